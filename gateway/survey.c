/* The list of findings: see survey.h. */
#include "gateway/survey.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *survey_level_name(enum survey_level l)
{
    static const char *const names[] = {"ok", "warn", "fail"};
    return names[l];
}

void survey_add(struct survey *s, enum survey_level level, const char *id, const char *remedy,
                const char *fmt, ...)
{
    va_list ap;
    s->lines = mem_resize(s->lines, s->n + 1, sizeof *s->lines);
    struct survey_line *l = &s->lines[s->n++];
    l->level = level;
    text_copy(l->id, sizeof l->id, id);
    va_start(ap, fmt);
    (void)vsnprintf(l->text, sizeof l->text, fmt, ap); /* cut if too long */
    va_end(ap);
    text_copy(l->remedy, sizeof l->remedy, level == SURVEY_OK ? "" : remedy);
}

enum survey_level survey_worst(const struct survey *s)
{
    enum survey_level worst = SURVEY_OK;
    for (size_t i = 0; i < s->n; i++) {
        if (s->lines[i].level > worst)
            worst = s->lines[i].level;
    }
    return worst;
}

void survey_fini(struct survey *s)
{
    free(s->lines);
    *s = (struct survey){0};
}
