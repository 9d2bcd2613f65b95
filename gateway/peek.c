/* The first lines of a rejected file: see peek.h. Where the fault lies behind them, and still in
 * what was read, the lines around it follow. Of a long line a part is shown: its beginning, or what
 * is around the fault.
 */
#include "gateway/peek.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "spool/beneath.h"
#include "spool/ndjson.h"
#include "spool/reject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AROUND 2 /* lines before and behind the fault's */

struct fault {
    bool found;
    uint64_t line, column; /* from 1; 0: only the line, or not even that, is known */
    const char *text;
};

/* "line 17, column 5: expected …", as the check says it. */
static bool read_place(const char *reason, struct fault *f)
{
    char *end;
    if (strncmp(reason, "line ", 5) != 0)
        return false;
    f->line = strtoull(reason + 5, &end, 10);
    if (strncmp(end, ", column ", 9) != 0)
        return false;
    f->column = strtoull(end + 9, &end, 10);
    f->text = strncmp(end, ": ", 2) == 0 ? end + 2 : reason;
    return f->line > 0 && f->column > 0;
}

/* Of a fault in the contents; others have no place. */
static struct fault fault_of(const struct peek_text *t)
{
    struct fault f = {.text = t->reason};
    f.found = strcmp(t->code, "content") == 0 && read_place(t->reason, &f);
    return f;
}

/* As UTF-8, U+FFFD for each byte that is none. */
static json_t *clean_text(const char *s, size_t n)
{
    struct buf b;
    buf_init(&b, 3 * PEEK_TEXT_MAX + 3);
    while (n > 0) {
        size_t good = utf8_span(s, n);
        buf_add(&b, s, good);
        s += good;
        n -= good;
        if (n > 0) {
            buf_adds(&b, "\xef\xbf\xbd");
            s++;
            n--;
        }
    }
    json_t *v = json_stringn(b.data, b.len);
    buf_fini(&b);
    return v;
}

/* Not in the midst of a character, which has four bytes at most. */
static size_t begin_of_character(const char *s, size_t at)
{
    for (size_t back = 0; back < 4 && back <= at; back++) {
        if (((unsigned char)s[at - back] & 0xc0) != 0x80)
            return at - back;
    }
    return at;
}

static json_t *line_to_json(uint64_t number, const char *s, size_t n, bool ended,
                            const struct fault *f)
{
    size_t from = 0, shown = n;
    bool here = f->found && f->line == number && f->column <= n;
    if (here && f->column > PEEK_TEXT_MAX / 2 && n > PEEK_TEXT_MAX)
        from = begin_of_character(s, (size_t)f->column - PEEK_TEXT_MAX / 2);
    if (shown - from > PEEK_TEXT_MAX)
        shown = begin_of_character(s, from + PEEK_TEXT_MAX);
    return json_pack("{s:I, s:I, s:o, s:b}", "number", (json_int_t)number, "column",
                     (json_int_t)from + 1, "text", clean_text(s + from, shown - from), "cut",
                     from > 0 || shown < n || !ended);
}

static bool is_shown(uint64_t number, unsigned lines, const struct fault *f)
{
    return number <= lines ||
           (f->found && number + AROUND >= f->line && number <= f->line + AROUND);
}

void peek_lines(const struct peek_text *t, unsigned lines, json_t *o)
{
    struct fault f = fault_of(t);
    json_t *list = json_array();
    const char *p = t->data, *end = t->data + t->n;
    for (uint64_t number = 1; p < end; number++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        size_t n = (size_t)(stop - p);
        if (newline && n > 0 && p[n - 1] == '\r')
            n--;
        if (is_shown(number, lines, &f))
            json_array_append_new(list, line_to_json(number, p, n, newline || t->whole, &f));
        p = newline ? newline + 1 : end;
    }
    json_object_set_new(o, "lines", list);
    json_object_set_new(o, "fault",
                        f.found ? json_pack("{s:I, s:I, s:o}", "line", (json_int_t)f.line, "column",
                                            (json_int_t)f.column, "text",
                                            json_text(f.text, strlen(f.text)))
                                : json_null());
}

/* -errno; *size, and up to PEEK_BYTES_MAX bytes into data. First looked at without being opened: a
 * device would notice. */
static enum rc read_beneath(const struct fsio *fs, int root_fd, const char *below, char *data,
                            size_t *n, uint64_t *size, struct err *e)
{
    static const int flags[] = {O_PATH | O_NOFOLLOW, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY};
    enum rc rc = RC_OK;
    for (size_t i = 0; i < 2 && rc == RC_OK; i++) {
        struct file_stat st;
        int fd = beneath_open(fs, root_fd, below, flags[i]);
        if (fd < 0)
            return fd == -ELOOP || fd == -EINVAL || fd == -ENOTDIR
                       ? err_set(e, RC_INVALID, "it is no regular file that could be shown")
                       : err_sys(e, fd, "the rejected file cannot be opened");
        int result = fs->ops->stat(fs->ctx, fd, "", &st);
        if (result < 0)
            rc = err_sys(e, result, "the rejected file cannot be looked at");
        else if (!S_ISREG(st.mode))
            rc = err_set(e, RC_INVALID, "it is no regular file: there are no lines to show");
        else if (i == 1)
            rc = fsio_read_full(fs, fd, data, PEEK_BYTES_MAX, 0, n, e);
        *size = rc == RC_OK ? st.id.size : 0;
        (void)fs->ops->close(fs->ctx, fd); /* only read from */
    }
    return rc;
}

enum rc peek_rejected(const struct fsio *fs, int root_fd, const char *path, unsigned lines,
                      json_t **out, struct err *e)
{
    struct reject_row row;
    struct buf below;
    uint64_t size = 0;
    size_t n = 0;
    if (!beneath_is_path(path))
        return err_set(e, RC_INVALID,
                       "path: expected the file's path below the spool root, without . and ..");
    enum rc rc = reject_find(fs, root_fd, path, &row, e);
    if (rc == RC_ABSENT)
        return err_set(e, rc, "no file of this path is rejected: others are not shown");
    if (rc != RC_OK)
        return rc;
    char *data = mem_alloc(PEEK_BYTES_MAX);
    buf_init(&below, 8192);
    buf_addf(&below, REJECT_DIR "/%s", path);
    rc = read_beneath(fs, root_fd, below.data, data, &n, &size, e);
    if (rc == RC_OK) {
        struct peek_text t = {.data = data,
                              .n = n,
                              .whole = n < PEEK_BYTES_MAX || n == size,
                              .code = row.code,
                              .reason = row.reason};
        *out = json_pack("{s:o, s:o, s:o, s:I}", "path", json_text(path, strlen(path)), "code",
                         json_text(row.code, strlen(row.code)), "reason",
                         json_text(row.reason, strlen(row.reason)), "size", (json_int_t)size);
        peek_lines(&t, lines, *out);
    }
    buf_fini(&below);
    free(data);
    return rc;
}
