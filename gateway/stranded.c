/* Rejected files that cannot be moved away: the pipeline's table of them (unmoved.h), and what a
 * person or other settings want of one. What becomes of it then is intake.c's business. */
#include "gateway/pipeline_int.h"

#include <string.h>

/* As many as the watcher keeps of them, at about 1 KB each. */
#define MAX 16384
/* In 8 MiB. */
#define MARKS_MAX (7 << 17)

static bool is_in_view(void *arg, const char *path)
{
    const struct pipeline *p = arg;
    struct watcher_row row;
    return watcher_find(p->watcher, path, strlen(path), &row);
}

void stranded_init(struct pipeline *p)
{
    p->unmoved = unmoved_new(
        &(struct unmoved_cfg){.max = MAX, .marks_max = MARKS_MAX, .in_view = is_in_view, .arg = p});
}

static void look(void *arg, const char *path)
{
    const struct pipeline *p = arg;
    watcher_look(p->watcher, path, strlen(path), 0);
}

void stranded_look_anew(struct pipeline *p)
{
    unmoved_pardon(p->unmoved, look, p);
}
