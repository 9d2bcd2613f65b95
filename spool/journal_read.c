/* Records read back from their places, through a few windows over the segments.
 *
 * The caller walks backlogs record by record, forwards and backwards and in several lanes at once,
 * so a window begins a little before the place asked for, and the least recently used one goes.
 * A window never holds a byte behind the durable end it was read with, so none can become stale.
 */
#include "spool/journal_int.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Each lane is walked at two places: where files are taken, and where those delivered are retired.
 */
enum { WINDOWS = 48, WINDOW_BYTES = 16 * 1024, BACK_BYTES = 4 * 1024 };
_Static_assert(WINDOW_BYTES - BACK_BYTES >= RECORD_MAX, "a window holds the record asked for");

struct journal_window {
    const struct fsio *fs;
    int dirfd;
    int fd; /* of the segment read last; -1: none */
    uint32_t fd_segment;
    uint64_t clock;
    uint32_t *told; /* segments of which the log says that they cannot be read */
    size_t n_told;
    struct {
        uint32_t segment; /* 0: empty */
        uint64_t from, to, used;
        char *data; /* WINDOW_BYTES, made at first use */
    } w[WINDOWS];
};

struct journal_window *journal_window_new(const struct fsio *fs, int dirfd)
{
    struct journal_window *w = mem_alloc(sizeof *w);
    w->fs = fs;
    w->dirfd = dirfd;
    w->fd = -1;
    return w;
}

static void close_fd(struct journal_window *w)
{
    if (w->fd >= 0)
        (void)w->fs->ops->close(w->fs->ctx, w->fd); /* only read from */
    w->fd = -1;
}

void journal_window_free(struct journal_window *w)
{
    if (!w)
        return;
    close_fd(w);
    for (int i = 0; i < WINDOWS; i++)
        free(w->w[i].data);
    free(w->told);
    free(w);
}

void journal_window_forget(struct journal_window *w, uint32_t segment)
{
    if (w->fd_segment == segment)
        close_fd(w);
    for (int i = 0; i < WINDOWS; i++)
        if (w->w[i].segment == segment)
            w->w[i].segment = 0;
    for (size_t i = 0; i < w->n_told; i++)
        if (w->told[i] == segment)
            w->told[i--] = w->told[--w->n_told];
}

static void tell_once(struct journal_window *w, uint32_t segment, const struct err *why)
{
    for (size_t i = 0; i < w->n_told; i++)
        if (w->told[i] == segment)
            return;
    w->told = mem_resize(w->told, w->n_told + 1, sizeof *w->told);
    w->told[w->n_told++] = segment;
    log_error("segment_unreadable", F_U64("segment", segment), F_STR("why", why->text));
}

static enum rc open_segment(struct journal_window *w, uint32_t segment, struct err *e)
{
    char name[SEGMENT_NAME_SIZE];
    if (w->fd >= 0 && w->fd_segment == segment)
        return RC_OK;
    close_fd(w);
    segment_name(name, segment);
    int fd = w->fs->ops->open(w->fs->ctx, w->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) {
        struct err why;
        enum rc rc = err_sys(&why, fd, "cannot open the journal's segment %s", name);
        if (segment_is_at_fault(w->fs, w->dirfd, segment, -fd)) { /* it would be set aside */
            tell_once(w, segment, &why);
            if (rc != RC_ABSENT)
                rc = why.rc = RC_CORRUPT;
        }
        if (e)
            *e = why;
        return rc;
    }
    w->fd = fd;
    w->fd_segment = segment;
    return RC_OK;
}

/* A failure of the machine's. All others are the disk's, and the bytes are gone for good. */
static bool passes(int error)
{
    return error == ENOMEM || error == EAGAIN || error == EINTR || error == ESTALE;
}

/* Read the window that holds the place into slot i. */
static enum rc load(struct journal_window *w, int i, uint32_t segment, uint64_t offset,
                    uint64_t end, struct err *e)
{
    enum rc rc = open_segment(w, segment, e);
    if (rc != RC_OK)
        return rc;
    if (!w->w[i].data)
        w->w[i].data = mem_resize(NULL, WINDOW_BYTES, 1);
    uint64_t from = offset > BACK_BYTES ? offset - BACK_BYTES : 0;
    size_t n = end - from < WINDOW_BYTES ? (size_t)(end - from) : WINDOW_BYTES, got;
    w->w[i].segment = 0;
    struct err why;
    rc = fsio_read_full(w->fs, w->fd, w->w[i].data, n, from, &got, &why);
    if (rc != RC_OK && passes(why.sys_errno)) {
        close_fd(w); /* ESTALE is that of the descriptor: another one may do */
        if (e)
            *e = why;
        return rc;
    }
    if (rc != RC_OK) {
        tell_once(w, segment, &why);
        /* The bytes that the disk does not give may be another record's. */
        from = offset;
        n = end - from < RECORD_MAX ? (size_t)(end - from) : RECORD_MAX;
        got = segment_read_some(w->fs, w->fd, w->w[i].data, n, from);
    }
    w->w[i].segment = segment;
    w->w[i].from = from;
    w->w[i].to = from + got;
    return RC_OK;
}

/* Decode the record at the place. RC_AGAIN: window i does not hold all of it; RC_CORRUPT. */
static enum rc look(struct journal_window *w, int i, uint32_t segment, uint64_t offset, char *buf,
                    struct record *r, struct err *e)
{
    if (w->w[i].segment != segment || offset < w->w[i].from || offset >= w->w[i].to)
        return RC_AGAIN;
    size_t len, n = (size_t)(w->w[i].to - offset);
    const char *data = w->w[i].data + (offset - w->w[i].from);
    if (n > RECORD_MAX)
        n = RECORD_MAX;
    enum rc rc = record_decode(data, n, segment, r, &len, e);
    if (rc != RC_OK)
        return rc == RC_AGAIN ? RC_AGAIN : RC_CORRUPT;
    w->w[i].used = ++w->clock;
    memcpy(buf, data, len);
    return record_decode(buf, len, segment, r, &len, e); /* again: its texts point into buf */
}

enum rc journal_window_read(struct journal_window *w, record_place at, uint64_t end, char *buf,
                            struct record *r, struct err *e)
{
    uint32_t segment = (uint32_t)(at >> RECORD_OFFSET_BITS);
    uint64_t offset = at & (SEGMENT_BYTES_MAX - 1);
    enum rc rc = RC_AGAIN;
    int slot = 0; /* the least recently used so far */
    for (int i = 0; i < WINDOWS && rc == RC_AGAIN; i++) {
        rc = look(w, i, segment, offset, buf, r, e);
        if (w->w[i].used < w->w[slot].used)
            slot = i;
    }
    if (rc == RC_AGAIN) {
        rc = load(w, slot, segment, offset, end, e);
        if (rc != RC_OK)
            return rc;
        rc = look(w, slot, segment, offset, buf, r, e);
    }
    if (rc == RC_AGAIN || rc == RC_CORRUPT)
        return err_set(e, RC_CORRUPT,
                       "there is no whole record at offset %llu of the journal's segment %u",
                       (unsigned long long)offset, segment);
    return rc;
}
