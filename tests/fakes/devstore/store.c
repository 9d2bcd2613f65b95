/* The index: a hash table under one lock, and a sorted view that listings make when they need it.
 *
 * Invariant: what the table says of a key was true of the key's file when it was put in; readers
 * open the file under the lock, so that name and facts belong together.
 */
#include "tests/fakes/devstore/store.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/utf8.h"
#include "tests/fakes/devstore/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Header lines to give back; objects of the same producer mostly have the same, and share it. */
struct meta {
    unsigned refs;
    char text[];
};

struct entry {
    struct entry *next;
    uint64_t hash;
    struct object object;
    struct meta *meta;
    size_t key_len;
    char key[];
};

struct store {
    struct stats *stats;
    struct disk *disk; /* NULL when counting */
    int log_fd;
    pthread_mutex_t lock;
    uint8_t hash_key[KEYED_HASH_KEY_SIZE];
    struct entry **buckets;
    size_t n_buckets, n_entries; /* n_buckets: a power of two */
    struct entry **sorted;       /* n_sorted of them; stale unless n_sorted == n_entries */
    size_t n_sorted;
    struct meta *last_meta;
    uint64_t next_version;
};

void object_etag(char out[OBJECT_ETAG_SIZE], const struct object *o)
{
    char hex[2 * MD5_SIZE + 1];

    hex_encode(hex, o->etag, MD5_SIZE);
    if (o->parts > 0)
        (void)snprintf(out, OBJECT_ETAG_SIZE, "\"%s-%u\"", hex, o->parts);
    else
        (void)snprintf(out, OBJECT_ETAG_SIZE, "\"%s\"", hex);
}

void object_checksum(char out[OBJECT_CHECKSUM_SIZE], const struct object *o)
{
    char text[BASE64_SIZE(SHA256_SIZE)];

    base64_encode(text, o->checksum, SHA256_SIZE);
    if (o->parts > 0)
        (void)snprintf(out, OBJECT_CHECKSUM_SIZE, "%s-%u", text, o->parts);
    else
        (void)snprintf(out, OBJECT_CHECKSUM_SIZE, "%s", text);
}

static void meta_release(struct meta *m)
{
    if (m != NULL && --m->refs == 0)
        free(m);
}

static struct meta *meta_of(struct store *s, const char *text)
{
    if (s->last_meta == NULL || strcmp(s->last_meta->text, text) != 0) {
        size_t n = strlen(text) + 1;
        meta_release(s->last_meta);
        s->last_meta = mem_alloc(sizeof *s->last_meta + n);
        memcpy(s->last_meta->text, text, n);
        s->last_meta->refs = 1;
    }
    s->last_meta->refs++;
    return s->last_meta;
}

static struct entry *find(const struct store *s, uint64_t hash, const char *key, size_t key_len)
{
    struct entry *e = s->buckets[hash & (s->n_buckets - 1)];

    while (e != NULL &&
           (e->hash != hash || e->key_len != key_len || memcmp(e->key, key, key_len) != 0))
        e = e->next;
    return e;
}

static void grow(struct store *s)
{
    size_t n = s->n_buckets * 2;
    struct entry **buckets = mem_alloc(n * sizeof *buckets);

    for (size_t i = 0; i < s->n_buckets; i++) {
        for (struct entry *e = s->buckets[i], *next; e != NULL; e = next) {
            next = e->next;
            e->next = buckets[e->hash & (n - 1)];
            buckets[e->hash & (n - 1)] = e;
        }
    }
    free(s->buckets);
    s->buckets = buckets;
    s->n_buckets = n;
}

static struct entry *insert(struct store *s, uint64_t hash, const char *key, size_t key_len)
{
    struct entry *e = mem_alloc(sizeof *e + key_len + 1);

    if (s->n_entries >= s->n_buckets)
        grow(s);
    e->hash = hash;
    e->key_len = key_len;
    memcpy(e->key, key, key_len);
    e->next = s->buckets[hash & (s->n_buckets - 1)];
    s->buckets[hash & (s->n_buckets - 1)] = e;
    s->n_entries++;
    return e;
}

static void clear(struct store *s)
{
    for (size_t i = 0; i < s->n_buckets; i++) {
        for (struct entry *e = s->buckets[i], *next; e != NULL; e = next) {
            next = e->next;
            meta_release(e->meta);
            free(e);
        }
        s->buckets[i] = NULL;
    }
    free(s->sorted);
    s->sorted = NULL;
    s->n_entries = s->n_sorted = 0;
}

/* The index says so; the last line of a key is the one that counts. */
static void loaded(void *arg, const char *key, const struct object *o, const char *meta)
{
    struct store *s = arg;
    size_t key_len = strlen(key);
    uint64_t hash = keyed_hash(s->hash_key, key, key_len);
    struct entry *e = find(s, hash, key, key_len);

    if (e == NULL)
        e = insert(s, hash, key, key_len);
    meta_release(e->meta);
    e->meta = meta_of(s, meta);
    e->object = *o;
}

/* A file and its line disagree when the process was killed between the two: the file counts. */
static void reconcile(struct store *s)
{
    for (size_t i = 0; i < s->n_buckets; i++) {
        for (struct entry **at = &s->buckets[i], *e; (e = *at) != NULL;) {
            struct object *o = &e->object;
            bool touched, has = disk_has(s->disk, e->key, o, &touched);
            if (has && touched) {
                has = disk_hash(s->disk, e->key, &o->size, o->sha256, o->etag) == RC_OK;
                o->has_sha256 = true;
                o->has_checksum = false;
                o->parts = 0;
            }
            if (has) {
                at = &e->next;
                continue;
            }
            *at = e->next;
            meta_release(e->meta);
            free(e);
            s->n_entries--;
        }
    }
}

struct names {
    size_t n, cap;
    char **name;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_known(void *arg, const char *name)
{
    const struct names *names = arg;

    return names->n > 0 &&
           bsearch(&name, names->name, names->n, sizeof *names->name, compare_names) != NULL;
}

static void sweep(struct store *s)
{
    struct names names = {.name = mem_alloc((s->n_entries + 1) * sizeof *names.name)};
    struct buf name;

    for (size_t i = 0; i < s->n_buckets; i++) {
        for (struct entry *e = s->buckets[i]; e != NULL; e = e->next) {
            buf_init(&name, 4 * STORE_KEY_MAX);
            disk_name(&name, e->key);
            names.name[names.n++] = buf_take(&name);
            buf_fini(&name);
        }
    }
    qsort(names.name, names.n, sizeof *names.name, compare_names);
    disk_sweep(s->disk, is_known, &names);
    for (size_t i = 0; i < names.n; i++)
        free(names.name[i]);
    free(names.name);
}

struct store *store_open(const struct config *config, struct stats *stats, struct err *e)
{
    struct store *s = mem_alloc(sizeof *s);

    s->stats = stats;
    s->log_fd = -1;
    s->n_buckets = 1024;
    s->buckets = mem_alloc(s->n_buckets * sizeof *s->buckets);
    s->next_version = (uint64_t)clock_wall_now_ns();
    random_bytes(s->hash_key, sizeof s->hash_key);
    pthread_mutex_init(&s->lock, NULL);
    if (config->log_keys != NULL) {
        s->log_fd = open(config->log_keys, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (s->log_fd < 0) {
            (void)err_sys(e, errno, "cannot open %s", config->log_keys);
            goto fail;
        }
    }
    if (!config->count) {
        s->disk = disk_open(config->dir, e);
        if (s->disk == NULL || disk_load(s->disk, loaded, s, e) != RC_OK)
            goto fail;
        reconcile(s);
        sweep(s);
    }
    return s;
fail:
    store_close(s);
    return NULL;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    clear(s);
    meta_release(s->last_meta);
    free(s->buckets);
    disk_close(s->disk);
    if (s->log_fd >= 0)
        (void)close(s->log_fd); /* written line by line; each write was looked at */
    pthread_mutex_destroy(&s->lock);
    free(s);
}

enum rc store_reset(struct store *s, struct err *e)
{
    enum rc rc = RC_OK;

    pthread_mutex_lock(&s->lock);
    clear(s);
    if (s->disk != NULL)
        rc = disk_reset(s->disk, e);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int store_tmp_open(struct store *s, char name[STORE_TMP_MAX])
{
    return disk_tmp_open(s->disk, name);
}

int store_tmp_reopen(struct store *s, const char *name)
{
    return disk_tmp_reopen(s->disk, name);
}

void store_tmp_remove(struct store *s, const char *name)
{
    disk_tmp_remove(s->disk, name);
}

static void log_first(struct store *s, const struct entry *e)
{
    char sha[2 * SHA256_SIZE + 1] = "-";
    struct buf line;

    if (e->object.has_sha256)
        hex_encode(sha, e->object.sha256, SHA256_SIZE);
    buf_init(&line, 8 * STORE_KEY_MAX);
    buf_addf(&line, "%lld\t", (long long)e->object.first_ns);
    utf8_escape(&line, e->key, e->key_len);
    buf_addf(&line, "\t%llu\t%s\n", (unsigned long long)e->object.size, sha);
    if (write(s->log_fd, line.data, line.len) != (ssize_t)line.len)
        (void)fprintf(stderr, "devstore: --log-keys could not be written\n");
    buf_fini(&line);
}

static bool same_bytes(const struct object *a, const struct object *b)
{
    if (a->size != b->size)
        return false;
    if (a->has_sha256 && b->has_sha256)
        return memcmp(a->sha256, b->sha256, SHA256_SIZE) == 0;
    return a->parts == b->parts && memcmp(a->etag, b->etag, MD5_SIZE) == 0;
}

enum rc store_commit(struct store *s, const char *key, size_t key_len, struct object *o,
                     const char *meta, const char *tmp, bool only_new, struct err *err)
{
    uint64_t hash = keyed_hash(s->hash_key, key, key_len);
    struct entry *e;
    int64_t now;
    enum rc rc = RC_OK;

    pthread_mutex_lock(&s->lock);
    e = find(s, hash, key, key_len);
    if (e != NULL && only_new) {
        rc = err_set(err, RC_EXISTS, "the key exists");
        goto out;
    }
    if (s->disk != NULL)
        rc = disk_place(s->disk, tmp, key, &o->modified_ns, err);
    if (rc != RC_OK)
        goto out;
    now = clock_wall_now_ns(); /* a file's mtime is of the kernel's coarse clock */
    if (s->disk == NULL)
        o->modified_ns = now;
    o->first_ns = e != NULL ? e->object.first_ns : now;
    o->version = s->next_version++;
    if (s->disk != NULL)
        rc = disk_record(s->disk, key, o, meta, err);
    if (rc != RC_OK)
        goto out;
    stats_add(&s->stats->objects_stored, 1);
    if (e != NULL) {
        stats_add(same_bytes(&e->object, o) ? &s->stats->repeated_same : &s->stats->repeated_other,
                  1);
        meta_release(e->meta);
        e->object = *o;
    } else {
        e = insert(s, hash, key, key_len);
        e->object = *o;
        if (s->log_fd >= 0)
            log_first(s, e);
    }
    e->meta = meta_of(s, meta);
out:
    pthread_mutex_unlock(&s->lock);
    return rc;
}

bool store_find(struct store *s, const char *key, size_t key_len, struct object *o,
                struct buf *meta)
{
    uint64_t hash = keyed_hash(s->hash_key, key, key_len);
    struct entry *e;

    pthread_mutex_lock(&s->lock);
    e = find(s, hash, key, key_len);
    if (e != NULL) {
        *o = e->object;
        if (meta != NULL)
            buf_adds(meta, e->meta->text);
    }
    pthread_mutex_unlock(&s->lock);
    return e != NULL;
}

int store_read(struct store *s, const char *key, size_t key_len, struct object *o, struct buf *meta)
{
    uint64_t hash = keyed_hash(s->hash_key, key, key_len);
    struct entry *e;
    int fd = -ENOENT;

    pthread_mutex_lock(&s->lock);
    e = find(s, hash, key, key_len);
    if (e != NULL) {
        *o = e->object;
        buf_adds(meta, e->meta->text);
        fd = s->disk != NULL ? disk_read(s->disk, e->key) : -ENODATA;
    }
    pthread_mutex_unlock(&s->lock);
    return fd;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;

    return strcmp(x->key, y->key); /* bytes as unsigned: the order of UTF-8, which is S3's */
}

/* Objects are never removed one by one, so the view is stale exactly when their number changed. */
static void sort(struct store *s)
{
    if (s->n_sorted == s->n_entries)
        return;
    s->sorted = mem_resize(s->sorted, s->n_entries, sizeof *s->sorted);
    s->n_sorted = 0;
    for (size_t i = 0; i < s->n_buckets; i++)
        for (struct entry *e = s->buckets[i]; e != NULL; e = e->next)
            s->sorted[s->n_sorted++] = e;
    qsort(s->sorted, s->n_sorted, sizeof *s->sorted, compare_entries);
}

/* The first index whose key is >= text (> text if after). */
static size_t lower_bound(const struct store *s, const char *text, bool after)
{
    size_t low = 0, high = s->n_sorted;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(s->sorted[mid]->key, text);
        if (order < 0 || (after && order == 0))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void store_list(struct store *s, const char *prefix, const char *after,
                bool (*visit)(void *arg, const char *key, size_t key_len, const struct object *o),
                void *arg)
{
    size_t prefix_len = strlen(prefix), i;

    pthread_mutex_lock(&s->lock);
    sort(s);
    i = lower_bound(s, prefix, false);
    if (after != NULL) {
        size_t from = lower_bound(s, after, true);
        i = from > i ? from : i;
    }
    for (; i < s->n_sorted; i++) {
        const struct entry *e = s->sorted[i];
        if (strncmp(e->key, prefix, prefix_len) != 0)
            break;
        if (!visit(arg, e->key, e->key_len, &e->object))
            break;
    }
    pthread_mutex_unlock(&s->lock);
}

void store_hash_missing(struct store *s)
{
    uint8_t md5[MD5_SIZE];
    uint64_t size;

    if (s->disk == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_buckets; i++)
        for (struct entry *e = s->buckets[i]; e != NULL; e = e->next)
            if (!e->object.has_sha256)
                e->object.has_sha256 =
                    disk_hash(s->disk, e->key, &size, e->object.sha256, md5) == RC_OK;
    pthread_mutex_unlock(&s->lock);
}
