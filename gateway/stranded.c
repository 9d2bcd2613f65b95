/* Rejected files that cannot be moved away: the pipeline's table of them (unmoved.h), and what a
 * person or other settings want of one. What becomes of it then is intake.c's business. */
#include "gateway/pipeline_int.h"

#include "spool/beneath.h"

#include <stdio.h>
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

const struct unmoved_file *stranded_find(struct pipeline *p, const char *path)
{
    struct file_stat st;
    /* The path is only looked at; admission opens it with care. */
    if (!beneath_is_path(path) ||
        fsio_system.ops->stat(fsio_system.ctx, p->cfg.root_fd, path, &st) < 0)
        return NULL;
    const struct unmoved_file *f = unmoved_find(p->unmoved, path, &st.id);
    return f && f->failure ? f : NULL;
}

const struct unmoved_file *stranded_row(struct pipeline *p, const struct watcher_row *row)
{
    const struct unmoved_file *f = unmoved_at(p->unmoved, row->path);
    return f && !row->stuck ? stranded_find(p, row->path) : f;
}

const char *stranded_why(char out[STRANDED_WHY_SIZE], const struct unmoved_file *f)
{
    (void)snprintf(out, STRANDED_WHY_SIZE, "%s. It lies in the spool still: %s", f->reason,
                   f->failure); /* cut where it is too long for people anyway */
    return out;
}

bool stranded_retry(struct pipeline *p, const char *path)
{
    const struct unmoved_file *f = stranded_find(p, path);
    if (!f)
        return false;
    const struct identity id = f->id;
    unmoved_pardon_one(p->unmoved, path, &id);
    watcher_look(p->watcher, path, strlen(path), 0);
    return true;
}
