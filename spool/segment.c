/* One segment file: name, header, and a reader that holds a window of it in memory.
 *
 * The reader can write again what it found valid (P3: after a failed write-back the page cache
 * shows bytes that the disk never got, and calls them clean). It never writes a byte that it did
 * not first read and check, and never moves one.
 */
#include "spool/segment.h"

#include "base/mem.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WINDOW = 256 * 1024 };
enum { NAME_DIGITS = 16 };
enum { WORD = 8 }; /* records begin at multiples of it */
_Static_assert(WINDOW >= 2 * RECORD_MAX, "a whole record fits behind any position after a refill");

static const char magic[8] = "SPOOLGJ1";

void segment_name(char out[SEGMENT_NAME_SIZE], uint32_t number)
{
    (void)snprintf(out, SEGMENT_NAME_SIZE, "%016u.seg", number);
}

bool segment_parse_name(const char *name, uint32_t *number)
{
    uint64_t n = 0;
    if (strlen(name) != SEGMENT_NAME_SIZE - 1 || strcmp(name + NAME_DIGITS, ".seg") != 0)
        return false;
    for (int i = 0; i < NAME_DIGITS; i++) { /* 16 digits fit into 64 bits */
        if (name[i] < '0' || name[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(name[i] - '0');
    }
    if (n == 0 || n > RECORD_SEGMENT_MAX)
        return false;
    *number = (uint32_t)n;
    return true;
}

/* The header as it lies on disk. */
struct raw_header {
    char magic[8];
    uint32_t version, header_len;
    uint64_t number, first_seq, created_ns;
    uint8_t hash_key[KEYED_HASH_KEY_SIZE];
    uint32_t flags, crc;
};
_Static_assert(sizeof(struct raw_header) == SEGMENT_HEADER_SIZE, "no padding");

void segment_encode_header(char out[SEGMENT_HEADER_SIZE], const struct segment_header *h)
{
    struct raw_header raw = {
        .version = htole32(SEGMENT_VERSION),
        .header_len = htole32(SEGMENT_HEADER_SIZE),
        .number = htole64(h->number),
        .first_seq = htole64(h->first_seq),
        .created_ns = htole64((uint64_t)h->created_ns),
        .flags = htole32(h->flags),
    };
    memcpy(raw.magic, magic, sizeof magic);
    memcpy(raw.hash_key, h->hash_key, sizeof raw.hash_key);
    raw.crc = htole32(crc32c(0, &raw, sizeof raw - sizeof raw.crc));
    memcpy(out, &raw, sizeof raw);
}

enum rc segment_decode_header(const char *data, size_t n, uint32_t number, struct segment_header *h,
                              struct err *e)
{
    struct raw_header raw;
    if (n < sizeof raw)
        return err_set(e, RC_CORRUPT, "the file is shorter than a segment's header: %zu bytes", n);
    memcpy(&raw, data, sizeof raw);
    if (memcmp(raw.magic, magic, sizeof magic) != 0)
        return err_set(e, RC_CORRUPT, "the file does not begin as a segment does");
    /* Before the CRC: another version may have it elsewhere. */
    if (le32toh(raw.version) > SEGMENT_VERSION)
        return err_set(e, RC_LIMIT, "the segment is of version %u, written by a newer spoolgate",
                       le32toh(raw.version));
    if (le32toh(raw.crc) != crc32c(0, &raw, sizeof raw - sizeof raw.crc))
        return err_set(e, RC_CORRUPT, "the CRC of the segment's header is wrong");
    if (le32toh(raw.version) != SEGMENT_VERSION || le32toh(raw.header_len) != sizeof raw ||
        (le32toh(raw.flags) & ~(uint32_t)SEGMENT_MENDED) != 0 || le64toh(raw.first_seq) == 0)
        return err_set(e, RC_CORRUPT, "the segment's header holds a value that cannot be");
    if (le64toh(raw.number) != number)
        return err_set(e, RC_CORRUPT, "the file is named for segment %u but holds segment %llu",
                       number, (unsigned long long)le64toh(raw.number));
    *h = (struct segment_header){
        .number = number,
        .flags = le32toh(raw.flags),
        .first_seq = le64toh(raw.first_seq),
        .created_ns = (int64_t)le64toh(raw.created_ns),
    };
    memcpy(h->hash_key, raw.hash_key, sizeof h->hash_key);
    return RC_OK;
}

enum rc segment_create(const struct fsio *fs, int dirfd, const struct segment_header *h,
                       struct err *e)
{
    char name[SEGMENT_NAME_SIZE], data[SEGMENT_HEADER_SIZE];
    segment_name(name, h->number);
    segment_encode_header(data, h);
    return fsio_replace(fs, dirfd, name, data, sizeof data, 0640, e);
}

enum rc segment_cut(const struct fsio *fs, int dirfd, uint32_t number, uint64_t end, struct err *e)
{
    char name[SEGMENT_NAME_SIZE];
    struct file_stat st;
    segment_name(name, number);
    int fd = fs->ops->open(fs->ctx, dirfd, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(e, fd, "cannot open the journal's segment %s", name);
    int result = fs->ops->stat(fs->ctx, fd, "", &st);
    if (result == 0 && st.id.size > end) {
        result = fs->ops->truncate(fs->ctx, fd, end);
        if (result == 0)
            result = fs->ops->datasync(fs->ctx, fd);
    }
    enum rc rc =
        result < 0 ? err_sys(e, result, "cannot cut the journal's segment %s", name) : RC_OK;
    if (rc == RC_OK)
        return fsio_close(fs, fd, e);
    (void)fs->ops->close(fs->ctx, fd); /* the failure is told already */
    return rc;
}

bool segment_is_at_fault(const struct fsio *fs, int dirfd, uint32_t number, int error)
{
    char name[SEGMENT_NAME_SIZE];
    struct file_stat st;
    switch (error) {
    case EACCES:
    case EPERM:
        segment_name(name, number);
        return fs->ops->stat(fs->ctx, dirfd, name, &st) == 0;
    case ENOENT:
    case ELOOP: /* a symbolic link, a socket */
    case ENXIO:
    case EIO:
    case EUCLEAN:
    case EBADMSG:
    case ENODATA:
        return true;
    default:
        return false;
    }
}

size_t segment_read_some(const struct fsio *fs, int fd, char *data, size_t n, uint64_t from)
{
    enum { BLOCK = 4096 }; /* what a disk fails with is a block or more */
    size_t total = 0, got = 0;
    for (size_t want = 0; got == want && total < n; total += got) {
        want = BLOCK - (size_t)((from + total) % BLOCK);
        if (want > n - total)
            want = n - total;
        if (fsio_read_full(fs, fd, data + total, want, from + total, &got, NULL) != RC_OK)
            break;
    }
    return total;
}

struct segment_reader {
    const struct fsio *fs;
    int dirfd, fd;
    uint32_t number, flags;
    bool rewrite;       /* asked for: to be synced */
    bool rewriting;     /* still so: all up to `end` is one run of valid records */
    enum rc rewrite_rc; /* the first failure of writing again */
    struct err rewrite_err;
    char *data;         /* WINDOW bytes: those of the file from `base` on */
    uint64_t base;      /* offset of data[0] */
    size_t at, fill;    /* position in data; bytes in data */
    bool eof;           /* nothing comes behind data[fill - 1] */
    bool unseen;        /* the word at the position has not been tried as the begin of a record */
    uint64_t last;      /* offset of the last record given */
    uint64_t end;       /* offset behind the last valid record */
    uint64_t rewritten; /* offset up to which bytes were written again */
};

struct segment_reader *segment_reader_new(const struct fsio *fs, int dirfd)
{
    struct segment_reader *s = mem_alloc(sizeof *s);
    *s = (struct segment_reader){.fs = fs, .dirfd = dirfd, .fd = -1};
    s->data = mem_alloc(WINDOW);
    return s;
}

void segment_reader_free(struct segment_reader *s)
{
    if (!s)
        return;
    BUG_ON(s->fd >= 0);
    free(s->data);
    free(s);
}

/* Write again what is in the window up to the offset `to`. */
static void write_again(struct segment_reader *s, uint64_t to)
{
    if (s->rewritten < s->base) /* zeros of a mended segment went by: they may stay as they are */
        s->rewritten = s->base;
    if (!s->rewriting || s->rewrite_rc != RC_OK || to <= s->rewritten)
        return;
    s->rewrite_rc = fsio_write_all(s->fs, s->fd, s->data + (s->rewritten - s->base),
                                   (size_t)(to - s->rewritten), s->rewritten, &s->rewrite_err);
    s->rewritten = to;
}

/* Drop what lies before the position and read on. A file may be larger than any segment (hostile):
 * bytes behind the largest place are as good as not there. */
static enum rc refill(struct segment_reader *s, struct err *e)
{
    write_again(s, s->base + s->at < s->end ? s->base + s->at : s->end);
    memmove(s->data, s->data + s->at, s->fill - s->at);
    s->base += s->at;
    s->fill -= s->at;
    s->at = 0;
    uint64_t from = s->base + s->fill;
    size_t want = WINDOW - s->fill, got;
    if (from + want > SEGMENT_BYTES_MAX)
        want = from < SEGMENT_BYTES_MAX ? (size_t)(SEGMENT_BYTES_MAX - from) : 0;
    enum rc rc = fsio_read_full(s->fs, s->fd, s->data + s->fill, want, from, &got, e);
    if (rc != RC_OK) {
        if (e)
            e->rc = RC_IO; /* whatever errno the disk fails with */
        got = segment_read_some(s->fs, s->fd, s->data + s->fill, want, from);
        s->fill += got;
        s->eof = false;
        return got > 0 ? RC_OK : RC_IO;
    }
    s->fill += got;
    s->eof = got < WINDOW - (size_t)(from - s->base);
    return RC_OK;
}

static enum rc check_regular(struct segment_reader *s, struct err *e)
{
    struct file_stat st;
    int result = s->fs->ops->stat(s->fs->ctx, s->fd, "", &st);
    if (result < 0)
        return err_sys(e, result, "cannot stat segment %u", s->number);
    if (!S_ISREG(st.mode))
        return err_set(e, RC_INVALID, "it is not a regular file");
    return RC_OK;
}

static enum rc open_error(int result, const char *name, struct err *e)
{
    if (result == -ELOOP)
        return err_set(e, RC_INVALID, "it is a symbolic link");
    if (result == -EISDIR || result == -ENXIO)
        return err_set(e, RC_INVALID, "it is not a regular file");
    return err_sys(e, result, "cannot open the journal's segment %s", name);
}

enum rc segment_open(struct segment_reader *s, uint32_t number, bool rewrite,
                     struct segment_header *h, struct err *e)
{
    char name[SEGMENT_NAME_SIZE];
    BUG_ON(s->fd >= 0);
    segment_name(name, number);
    int flags = (rewrite ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    s->fd = s->fs->ops->open(s->fs->ctx, s->dirfd, name, flags, 0);
    if (s->fd < 0) {
        int result = s->fd;
        s->fd = -1;
        return open_error(result, name, e);
    }
    s->number = number;
    s->flags = 0;
    s->rewrite = s->rewriting = rewrite;
    s->rewrite_rc = RC_OK;
    s->base = s->rewritten = s->end = s->last = 0;
    s->at = s->fill = 0;
    s->eof = s->unseen = false;
    enum rc rc = check_regular(s, e);
    if (rc == RC_OK && refill(s, e) != RC_OK)
        rc = RC_CORRUPT; /* its header cannot be read: that is damage to one file, and e says so */
    else if (rc == RC_OK)
        rc = segment_decode_header(s->data, s->fill, number, h, e);
    if (rc == RC_OK) {
        s->flags = h->flags;
        s->at = SEGMENT_HEADER_SIZE;
        s->end = SEGMENT_HEADER_SIZE;
    }
    if (rc == RC_OK || rc == RC_CORRUPT || rc == RC_LIMIT)
        return rc;
    (void)s->fs->ops->close(s->fs->ctx, s->fd); /* nothing was written */
    s->fd = -1;
    return rc;
}

/* Are there only zeros from the position to the end? Moves the position: the last thing done. */
static enum rc zeros_to_the_end(struct segment_reader *s, struct err *e)
{
    for (;;) {
        for (; s->at < s->fill; s->at++) {
            if (s->data[s->at] == 0)
                continue;
            s->at -= (size_t)((s->base + s->at) % WORD);
            s->unseen = true;
            return err_set(e, RC_CORRUPT, "bytes follow behind zeros");
        }
        if (s->eof)
            return RC_ABSENT;
        enum rc rc = refill(s, e);
        if (rc != RC_OK)
            return rc;
    }
}

/* What may be a record at the position: RECORD_MAX bytes, or what the file has left. */
static size_t in_sight(const struct segment_reader *s)
{
    size_t n = s->fill - s->at;
    return n < RECORD_MAX ? n : RECORD_MAX;
}

/* RC_ABSENT here means that all in sight is zeros. */
static enum rc look(struct segment_reader *s, struct record *r, size_t *len, struct err *e)
{
    if (s->fill - s->at < RECORD_MAX && !s->eof) {
        enum rc rc = refill(s, e);
        /* Before the bytes that the disk does not give there may be a whole record. */
        if (rc != RC_OK)
            return record_decode(s->data + s->at, in_sight(s), s->number, r, len, NULL) == RC_OK
                       ? RC_OK
                       : rc;
    }
    return record_decode(s->data + s->at, in_sight(s), s->number, r, len, e);
}

static bool at_zero_word(const struct segment_reader *s)
{
    static const char zero[WORD];
    return s->fill - s->at >= sizeof zero && memcmp(s->data + s->at, zero, sizeof zero) == 0;
}

static void take(struct segment_reader *s, size_t len)
{
    s->last = s->base + s->at;
    s->at += len;
    s->end = s->base + s->at;
}

void segment_untake(struct segment_reader *s)
{
    BUG_ON(s->last < s->base || s->end != s->base + s->at);
    s->at = (size_t)(s->last - s->base);
    s->end = s->last;
    s->unseen = true;
}

enum rc segment_next(struct segment_reader *s, struct record *r, struct err *e)
{
    size_t len;
    enum rc rc = look(s, r, &len, e);
    /* Zeros where verify took out damage; in a tail they end at the end of the file. */
    while (rc != RC_OK && (s->flags & SEGMENT_MENDED) && at_zero_word(s)) {
        s->at += WORD;
        rc = look(s, r, &len, e);
    }
    switch (rc) {
    case RC_OK:
        take(s, len);
        return RC_OK;
    case RC_AGAIN:
        return err_set(e, RC_AGAIN, "the file ends within a record");
    case RC_ABSENT:
        return zeros_to_the_end(s, e);
    default:
        return rc;
    }
}

enum rc segment_resync(struct segment_reader *s, uint64_t after, struct record *r, struct err *e)
{
    write_again(s, s->end);
    s->rewriting = false; /* what comes between is damage, and not ours to write */
    size_t skip = s->unseen ? 0 : WORD;
    s->unseen = false;
    for (;;) {
        size_t len;
        s->at += skip;
        if (s->at > s->fill)
            s->at = s->fill;
        enum rc rc = look(s, r, &len, e);
        if (rc == RC_OK && r->seq > after) {
            take(s, len);
            return RC_OK;
        }
        if (rc == RC_IO || (rc == RC_ABSENT && s->eof && in_sight(s) == s->fill - s->at))
            return rc;
        /* No record begins in zeros; otherwise it may begin at the next multiple of 8. */
        skip = rc == RC_ABSENT && in_sight(s) > WORD ? in_sight(s) / WORD * WORD : WORD;
    }
}

uint64_t segment_at(const struct segment_reader *s)
{
    return s->last;
}

uint64_t segment_end(const struct segment_reader *s)
{
    return s->end;
}

enum rc segment_close(struct segment_reader *s, struct err *e)
{
    BUG_ON(s->fd < 0);
    write_again(s, s->end);
    enum rc rc = s->rewrite_rc;
    if (rc != RC_OK && e)
        *e = s->rewrite_err;
    if (rc == RC_OK && s->rewrite) {
        int result = s->fs->ops->datasync(s->fs->ctx, s->fd);
        if (result < 0)
            rc = err_sys(e, result, "cannot sync segment %u", s->number);
    }
    int fd = s->fd;
    s->fd = -1;
    if (rc == RC_OK && s->rewrite)
        return fsio_close(s->fs, fd, e);
    (void)s->fs->ops->close(s->fs->ctx, fd); /* nothing written that anyone relies on */
    return rc;
}
