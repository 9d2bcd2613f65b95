/* Damaged segments set aside: quarantine/<name> and quarantine/<name>.reason. Nothing is ever
 * removed or overwritten there; that is the operator's.
 */
#include "spool/journal_int.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { TRIES = 100 };
enum { NAME_SIZE = SEGMENT_NAME_SIZE + 16 };

static enum rc open_quarantine(const struct fsio *fs, int dirfd, int *fd, struct err *e)
{
    enum rc rc = fsio_mkdirs(fs, dirfd, JOURNAL_QUARANTINE, 0750, true, e);
    if (rc != RC_OK)
        return rc;
    *fd = fs->ops->open(fs->ctx, dirfd, JOURNAL_QUARANTINE, O_RDONLY | O_DIRECTORY, 0);
    return *fd < 0 ? err_sys(e, *fd, "cannot open the journal's quarantine directory") : RC_OK;
}

static void candidate(char out[NAME_SIZE], uint32_t number, int nth)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, number);
    if (nth == 1)
        (void)snprintf(out, NAME_SIZE, "%s", name);
    else
        (void)snprintf(out, NAME_SIZE, "%s.%d", name, nth);
}

/* Of use to people only: that it is missing stops nothing. */
static void write_reason(const struct fsio *fs, int fd, const char *name, const struct err *why)
{
    char reason_name[NAME_SIZE + sizeof ".reason"], text[sizeof why->text + 1];
    struct err e;
    (void)snprintf(reason_name, sizeof reason_name, "%s.reason", name);
    int n = snprintf(text, sizeof text, "%s\n", why->text);
    if (fsio_replace(fs, fd, reason_name, text, (size_t)n, 0640, &e) != RC_OK)
        log_warning("journal_quarantine_reason", F_STR("name", name), F_STR("error", e.text));
}

enum rc journal_quarantine_note(const struct fsio *fs, int dirfd, uint32_t number,
                                const struct err *why, struct err *e)
{
    int fd;
    char name[SEGMENT_NAME_SIZE + sizeof ".reason"], text[sizeof why->text + 1];
    enum rc rc = open_quarantine(fs, dirfd, &fd, e);
    if (rc != RC_OK)
        return rc;
    segment_name(name, number);
    (void)snprintf(name + SEGMENT_NAME_SIZE - 1, sizeof ".reason", ".reason");
    int n = snprintf(text, sizeof text, "%s\n", why->text);
    rc = fsio_replace(fs, fd, name, text, (size_t)n, 0640, e);
    (void)fs->ops->close(fs->ctx, fd); /* a directory */
    return rc;
}

enum rc journal_quarantine_move(const struct fsio *fs, int dirfd, uint32_t number,
                                const struct err *why, struct err *e)
{
    int fd;
    char from[SEGMENT_NAME_SIZE], to[NAME_SIZE];
    enum rc rc = open_quarantine(fs, dirfd, &fd, e);
    if (rc != RC_OK)
        return rc;
    segment_name(from, number);
    int result = -EEXIST;
    for (int nth = 1; result == -EEXIST && nth <= TRIES; nth++) {
        candidate(to, number, nth);
        result = fs->ops->rename(fs->ctx, dirfd, from, fd, to, RENAME_NOREPLACE);
    }
    if (result == 0)
        result = fs->ops->sync(fs->ctx, fd);
    if (result == 0)
        result = fs->ops->sync(fs->ctx, dirfd);
    if (result < 0)
        rc = err_sys(e, result, "cannot move the journal's segment %s to quarantine", from);
    else
        write_reason(fs, fd, to, why);
    (void)fs->ops->close(fs->ctx, fd); /* a directory */
    return rc;
}

enum rc journal_quarantine_copy(const struct fsio *fs, int dirfd, uint32_t number, const char *data,
                                size_t n, const struct err *why, struct err *e)
{
    int fd;
    char to[NAME_SIZE];
    struct file_stat st;
    enum rc rc = open_quarantine(fs, dirfd, &fd, e);
    if (rc != RC_OK)
        return rc;
    int result = 0;
    for (int nth = 1; result == 0 && nth <= TRIES; nth++) {
        candidate(to, number, nth);
        result = fs->ops->stat(fs->ctx, fd, to, &st);
    }
    if (result != -ENOENT)
        rc = err_sys(e, result ? result : EEXIST, "cannot find a name in quarantine for segment %u",
                     number);
    else
        rc = fsio_replace(fs, fd, to, data, n, 0640, e);
    if (rc == RC_OK)
        write_reason(fs, fd, to, why);
    (void)fs->ops->close(fs->ctx, fd); /* a directory */
    return rc;
}
