/* Files below --dir. An object is written to tmp/ and renamed into objects/, then its line is
 * appended to the index; so a process killed at any point leaves whole objects only. At start a
 * file without a line is removed (its client never got an answer).
 *
 * File names are percent-escaped keys, so no key can name anything outside objects/. KNOWN: nothing
 * is synced; this store is for processes that die, not for machines that do.
 */
#include "tests/fakes/devstore/disk.h"

#include "base/hex.h"
#include "base/mem.h"
#include "tests/fakes/devstore/http.h"
#include "uploader/sigv4.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES (32 * 1024)
#define NAME_LIMIT     240
#define HASH_CHUNK     (256 * 1024)

struct disk {
    int objects_fd, tmp_fd, index_fd;
    _Atomic uint64_t next_tmp;
};

static void remove_all(int dirfd)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (dir == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)unlinkat(dirfd, entry->d_name, 0); /* what stays is swept at the next start */
    (void)closedir(dir);
}

static int open_dir(int at, const char *name)
{
    if (mkdirat(at, name, 0777) < 0 && errno != EEXIST)
        return -1;
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

struct disk *disk_open(const char *dir, struct err *e)
{
    struct disk *d = mem_alloc(sizeof *d);
    int root = open_dir(AT_FDCWD, dir);

    d->objects_fd = d->tmp_fd = d->index_fd = -1;
    if (root >= 0) {
        d->objects_fd = open_dir(root, "objects");
        d->tmp_fd = open_dir(root, "tmp");
        d->index_fd = openat(root, "index", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    }
    if (d->objects_fd < 0 || d->tmp_fd < 0 || d->index_fd < 0) {
        (void)err_sys(e, errno, "cannot use the directory %s", dir);
        goto fail;
    }
    (void)close(root);
    root = -1;
    if (flock(d->index_fd, LOCK_EX | LOCK_NB) < 0) {
        (void)err_set(e, RC_AGAIN, "another devstore uses the directory %s", dir);
        goto fail;
    }
    remove_all(d->tmp_fd);
    return d;
fail:
    if (root >= 0)
        (void)close(root);
    disk_close(d);
    return NULL;
}

void disk_close(struct disk *d)
{
    if (d == NULL)
        return;
    if (d->objects_fd >= 0)
        (void)close(d->objects_fd);
    if (d->tmp_fd >= 0)
        (void)close(d->tmp_fd);
    if (d->index_fd >= 0)
        (void)close(d->index_fd);
    free(d);
}

int disk_tmp_open(struct disk *d, char name[STORE_TMP_MAX])
{
    int fd;

    (void)snprintf(name, STORE_TMP_MAX, "%llu", (unsigned long long)d->next_tmp++);
    fd = openat(d->tmp_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return fd >= 0 ? fd : -errno;
}

int disk_tmp_reopen(struct disk *d, const char *name)
{
    int fd = openat(d->tmp_fd, name, O_RDWR | O_CLOEXEC);

    return fd >= 0 ? fd : -errno;
}

void disk_tmp_remove(struct disk *d, const char *name)
{
    (void)unlinkat(d->tmp_fd, name, 0); /* what stays is removed at the next start */
}

void disk_name(struct buf *out, const char *key)
{
    size_t start = out->len;

    if (key[0] == '.') {
        buf_adds(out, "%2E");
        sigv4_uri_encode(out, key + 1, strlen(key + 1), 0);
    } else {
        sigv4_uri_encode(out, key, strlen(key), 0);
    }
    if (out->len - start > NAME_LIMIT) { /* '=' is escaped in other names: no key can collide */
        uint8_t hash[SHA256_SIZE];
        char hex[2 * SHA256_SIZE + 1];
        sha256(key, strlen(key), hash);
        hex_encode(hex, hash, sizeof hash);
        buf_cut(out, start);
        buf_addf(out, "=%s", hex);
    }
}

static void name_init(struct buf *name, const char *key)
{
    buf_init(name, 4 * STORE_KEY_MAX);
    disk_name(name, key);
}

static int64_t mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

enum rc disk_place(struct disk *d, const char *tmp, const char *key, int64_t *modified_ns,
                   struct err *e)
{
    struct buf name;
    struct stat st;
    enum rc rc = RC_OK;

    name_init(&name, key);
    if (fstatat(d->tmp_fd, tmp, &st, 0) < 0 ||
        renameat(d->tmp_fd, tmp, d->objects_fd, name.data) < 0)
        rc = err_sys(e, errno, "cannot place an object");
    else
        *modified_ns = mtime_ns(&st);
    buf_fini(&name);
    return rc;
}

int disk_read(struct disk *d, const char *key)
{
    struct buf name;
    int fd;

    name_init(&name, key);
    fd = openat(d->objects_fd, name.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        fd = -errno;
    buf_fini(&name);
    return fd;
}

bool disk_has(struct disk *d, const char *key, const struct object *o, bool *touched)
{
    struct buf name;
    struct stat st;
    bool has;

    name_init(&name, key);
    has = fstatat(d->objects_fd, name.data, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
    *touched = has && ((uint64_t)st.st_size != o->size || mtime_ns(&st) != o->modified_ns);
    buf_fini(&name);
    return has;
}

void disk_sweep(struct disk *d, bool (*known)(void *arg, const char *name), void *arg)
{
    int fd = openat(d->objects_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (dir == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.' && !known(arg, entry->d_name))
            (void)unlinkat(d->objects_fd, entry->d_name, 0); /* swept again at the next start */
    (void)closedir(dir);
}

/* size sha256 etag parts checksum acl modified first version key meta, by tabs; "-" for none */
enum rc disk_record(struct disk *d, const char *key, const struct object *o, const char *meta,
                    struct err *e)
{
    char sha[2 * SHA256_SIZE + 1] = "-", etag[2 * MD5_SIZE + 1];
    char checksum[2 * SHA256_SIZE + 1] = "-";
    struct buf line;
    ssize_t n;
    enum rc rc = RC_OK;

    if (o->has_sha256)
        hex_encode(sha, o->sha256, SHA256_SIZE);
    if (o->has_checksum)
        hex_encode(checksum, o->checksum, SHA256_SIZE);
    hex_encode(etag, o->etag, MD5_SIZE);
    buf_init(&line, LINE_MAX_BYTES);
    buf_addf(&line, "%llu\t%s\t%s\t%u\t%s\t%s\t%lld\t%lld\t%llu\t", (unsigned long long)o->size,
             sha, etag, o->parts, checksum, o->acl[0] != '\0' ? o->acl : "-",
             (long long)o->modified_ns, (long long)o->first_ns, (unsigned long long)o->version);
    sigv4_uri_encode(&line, key, strlen(key), 1);
    buf_addc(&line, '\t');
    sigv4_uri_encode(&line, meta, strlen(meta), 1);
    buf_addc(&line, '\n');
    n = write(d->index_fd, line.data, line.len);
    if (n < 0)
        rc = err_sys(e, errno, "cannot append to the index");
    else if ((size_t)n != line.len)
        rc = err_set(e, RC_FULL, "the index was written in part only: is the disk full?");
    buf_fini(&line);
    return rc;
}

static bool parse_hex_or_dash(const char *text, uint8_t *out, size_t n, bool *has)
{
    *has = strcmp(text, "-") != 0;
    return !*has || hex_decode(out, n, text, strlen(text)) == RC_OK;
}

/* line: NUL-terminated, cut up here. */
static bool parse_line(char *line, struct object *o, struct buf *key, struct buf *meta)
{
    char *field[11];
    bool has_etag;

    memset(o, 0, sizeof *o);
    for (size_t i = 0; i < 11; i++) {
        field[i] = line;
        line = line != NULL ? strchr(line, '\t') : NULL;
        if ((line == NULL) != (i == 10))
            return false;
        if (line != NULL)
            *line++ = '\0';
    }
    o->size = strtoull(field[0], NULL, 10);
    o->parts = (uint16_t)strtoul(field[3], NULL, 10);
    o->modified_ns = strtoll(field[6], NULL, 10);
    o->first_ns = strtoll(field[7], NULL, 10);
    o->version = strtoull(field[8], NULL, 10);
    if (strcmp(field[5], "-") != 0)
        (void)snprintf(o->acl, sizeof o->acl, "%s", field[5]);
    buf_reset(key);
    buf_reset(meta);
    return parse_hex_or_dash(field[1], o->sha256, SHA256_SIZE, &o->has_sha256) &&
           parse_hex_or_dash(field[2], o->etag, MD5_SIZE, &has_etag) && has_etag &&
           parse_hex_or_dash(field[4], o->checksum, SHA256_SIZE, &o->has_checksum) &&
           http_decode(key, field[9], strlen(field[9]), false) &&
           http_decode(meta, field[10], strlen(field[10]), false) && key->len > 0 &&
           key->len <= STORE_KEY_MAX;
}

enum rc disk_load(struct disk *d,
                  void (*found)(void *arg, const char *key, const struct object *o,
                                const char *meta),
                  void *arg, struct err *e)
{
    int fd = dup(d->index_fd);
    FILE *in = fd >= 0 ? fdopen(fd, "r") : NULL;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    bool torn = false;
    struct buf key, meta;
    struct object o;

    if (in == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return err_sys(e, errno, "cannot read the index");
    }
    buf_init(&key, STORE_KEY_MAX + 1);
    buf_init(&meta, STORE_META_MAX);
    while ((n = getline(&line, &cap, in)) > 0) {
        torn = line[n - 1] != '\n';
        if (torn)
            break;
        line[n - 1] = '\0';
        if (parse_line(line, &o, &key, &meta))
            found(arg, key.data, &o, meta.data);
    }
    /* The next line must not grow out of a torn one. */
    if (torn && write(d->index_fd, "\n", 1) != 1)
        (void)err_sys(e, errno, "cannot end the index's torn line");
    free(line);
    buf_fini(&key);
    buf_fini(&meta);
    (void)fclose(in); /* only read */
    return RC_OK;
}

enum rc disk_hash(struct disk *d, const char *key, uint64_t *size, uint8_t sha256_out[SHA256_SIZE],
                  uint8_t md5[MD5_SIZE])
{
    int fd = disk_read(d, key);
    struct digest *sha = digest_new(DIGEST_SHA256), *md = digest_new(DIGEST_MD5);
    char *chunk = mem_alloc(HASH_CHUNK);
    ssize_t n = -1;
    enum rc rc = RC_OK;

    digest_begin(sha);
    digest_begin(md);
    *size = 0;
    while (fd >= 0 && (n = read(fd, chunk, HASH_CHUNK)) > 0) {
        digest_update(sha, chunk, (size_t)n);
        digest_update(md, chunk, (size_t)n);
        *size += (uint64_t)n;
    }
    if (n < 0)
        rc = rc_from_errno(fd < 0 ? -fd : errno);
    digest_finish(sha, sha256_out);
    digest_finish(md, md5);
    if (fd >= 0)
        (void)close(fd); /* only read */
    digest_free(sha);
    digest_free(md);
    free(chunk);
    return rc;
}

enum rc disk_reset(struct disk *d, struct err *e)
{
    remove_all(d->objects_fd);
    if (ftruncate(d->index_fd, 0) < 0)
        return err_sys(e, errno, "cannot empty the index");
    return RC_OK;
}
