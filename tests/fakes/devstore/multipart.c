/* Multipart uploads: a list under one lock. Joining runs under it too.
 *
 * Invariant: a part's file belongs to its part until the part is replaced, the upload is aborted or
 * done; a failed join changes nothing.
 *
 * KNOWN: while one upload is joined, other multipart requests wait for it (a copy of the parts'
 * bytes within the kernel); uploads that were never completed live until the process ends.
 */
#include "tests/fakes/devstore/multipart.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UPLOADS_MAX 10000

struct upload {
    struct upload *next; /* by key, then id */
    struct upload_info info;
    char *key, *meta;
    char acl[STORE_ACL_MAX];
    struct part *parts; /* by number */
    size_t n_parts, parts_cap;
};

struct multiparts {
    struct store *store;
    bool counting, no_md5;
    pthread_mutex_t lock;
    struct upload *uploads;
    size_t n_uploads;
};

struct multiparts *multiparts_new(struct store *store, const struct config *config)
{
    struct multiparts *m = mem_alloc(sizeof *m);

    m->store = store;
    m->counting = config->count;
    m->no_md5 = config->no_md5;
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

static void part_drop(struct multiparts *m, struct part *p)
{
    if (p->tmp[0] != '\0')
        store_tmp_remove(m->store, p->tmp);
    p->tmp[0] = '\0';
}

static void upload_free(struct multiparts *m, struct upload *u)
{
    for (size_t i = 0; i < u->n_parts; i++)
        part_drop(m, &u->parts[i]);
    free(u->parts);
    free(u->key);
    free(u->meta);
    free(u);
}

void multiparts_reset(struct multiparts *m)
{
    pthread_mutex_lock(&m->lock);
    for (struct upload *u = m->uploads, *next; u != NULL; u = next) {
        next = u->next;
        upload_free(m, u);
    }
    m->uploads = NULL;
    m->n_uploads = 0;
    pthread_mutex_unlock(&m->lock);
}

void multiparts_free(struct multiparts *m)
{
    if (m == NULL)
        return;
    multiparts_reset(m);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static int order(const struct upload *a, const struct upload *b)
{
    int keys = strcmp(a->key, b->key);

    return keys != 0 ? keys : strcmp(a->info.id, b->info.id);
}

bool multipart_create(struct multiparts *m, const char *key, const char *acl, const char *meta,
                      bool sha256, char id[MULTIPART_ID_SIZE], struct failure *f)
{
    struct upload *u, **at;
    uint8_t random[(MULTIPART_ID_SIZE - 1) / 2];
    bool full;

    pthread_mutex_lock(&m->lock);
    full = m->n_uploads >= UPLOADS_MAX;
    if (!full) {
        u = mem_alloc(sizeof *u);
        random_bytes(random, sizeof random);
        hex_encode(u->info.id, random, sizeof random);
        memcpy(id, u->info.id, MULTIPART_ID_SIZE);
        u->info.initiated_ns = clock_wall_now_ns();
        u->info.sha256 = sha256;
        u->info.key = u->key = mem_strdup(key);
        u->meta = mem_strdup(meta);
        (void)snprintf(u->acl, sizeof u->acl, "%s", acl);
        for (at = &m->uploads; *at != NULL && order(*at, u) < 0;)
            at = &(*at)->next;
        u->next = *at;
        *at = u;
        m->n_uploads++;
    }
    pthread_mutex_unlock(&m->lock);
    return !full || failure_set(f, "SlowDown", "There are too many uploads under way.");
}

/* The link that points to it. */
static struct upload **find(struct multiparts *m, const char *id)
{
    struct upload **at = &m->uploads;

    while (*at != NULL && strcmp((*at)->info.id, id) != 0)
        at = &(*at)->next;
    return at;
}

/* NULL, and the failure, if there is none for this key. */
static struct upload *need(struct multiparts *m, const char *id, const char *key, struct failure *f)
{
    struct upload *u = *find(m, id);

    if (u != NULL && strcmp(u->key, key) == 0)
        return u;
    failure_set(f, "NoSuchUpload",
                "The specified upload does not exist. The upload ID may be invalid, or the upload "
                "may have been aborted or completed.");
    return NULL;
}

/* The first part whose number is at least this. */
static size_t part_index(const struct upload *u, unsigned number)
{
    size_t low = 0, high = u->n_parts;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (u->parts[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool multipart_put_part(struct multiparts *m, const char *id, const char *key,
                        const struct part *part, struct failure *f)
{
    struct upload *u;
    size_t i;
    bool ok = false;

    pthread_mutex_lock(&m->lock);
    u = need(m, id, key, f);
    if (u == NULL)
        goto out;
    if (part->has_checksum && !u->info.sha256) {
        ok = failure_set(f, "InvalidRequest",
                         "Checksum Type mismatch occurred, expected checksum Type: null, actual "
                         "checksum Type: sha256");
        goto out;
    }
    i = part_index(u, part->number);
    if (i < u->n_parts && u->parts[i].number == part->number) {
        part_drop(m, &u->parts[i]);
    } else {
        if (u->n_parts == u->parts_cap) {
            u->parts_cap = u->parts_cap > 0 ? u->parts_cap * 2 : 16;
            u->parts = mem_resize(u->parts, u->parts_cap, sizeof *u->parts);
        }
        memmove(&u->parts[i + 1], &u->parts[i], (u->n_parts - i) * sizeof *u->parts);
        u->n_parts++;
    }
    u->parts[i] = *part;
    u->parts[i].modified_ns = clock_wall_now_ns();
    ok = true;
out:
    pthread_mutex_unlock(&m->lock);
    return ok;
}

static void remove_upload(struct multiparts *m, struct upload **at)
{
    struct upload *u = *at;

    *at = u->next;
    m->n_uploads--;
    upload_free(m, u);
}

bool multipart_abort(struct multiparts *m, const char *id, const char *key, struct failure *f)
{
    bool ok;

    pthread_mutex_lock(&m->lock);
    ok = need(m, id, key, f) != NULL;
    if (ok)
        remove_upload(m, find(m, id));
    pthread_mutex_unlock(&m->lock);
    return ok;
}

void multipart_done(struct multiparts *m, const char *id)
{
    struct upload **at;

    pthread_mutex_lock(&m->lock);
    at = find(m, id);
    if (*at != NULL)
        remove_upload(m, at);
    pthread_mutex_unlock(&m->lock);
}

/* The text of <name>…</name> within [p, end), blanks and quotes around it left out. */
static bool element(const char *p, const char *end, const char *name, char *out, size_t cap)
{
    char tag[40];
    const char *from, *to;
    size_t n;

    (void)snprintf(tag, sizeof tag, "<%s>", name);
    from = memmem(p, (size_t)(end - p), tag, strlen(tag));
    if (from == NULL)
        return false;
    from += strlen(tag);
    to = memchr(from, '<', (size_t)(end - from));
    if (to == NULL)
        return false;
    static const char *const trimmed[] = {"&quot;", "&#34;", "\"", " ", "\n", "\r", "\t"};
    for (size_t i = 0; i < sizeof trimmed / sizeof trimmed[0]; i++) {
        n = strlen(trimmed[i]);
        if ((size_t)(to - from) >= n && memcmp(from, trimmed[i], n) == 0) {
            from += n;
            i = (size_t)-1;
        } else if ((size_t)(to - from) >= n && memcmp(to - n, trimmed[i], n) == 0) {
            to -= n;
            i = (size_t)-1;
        }
    }
    n = (size_t)(to - from);
    if (n >= cap)
        return false;
    memcpy(out, from, n);
    out[n] = '\0';
    return true;
}

/* Is what the client says of this part true? */
static const struct part *claimed_part(const struct upload *u, const char *p, const char *end,
                                       unsigned *last, struct failure *f)
{
    char number[8], etag[72], checksum[64], expected[2 * MD5_SIZE + 1];
    char expected_checksum[BASE64_SIZE(SHA256_SIZE)];
    const struct part *part;
    unsigned long n;
    size_t i;

    if (!element(p, end, "PartNumber", number, sizeof number) ||
        !element(p, end, "ETag", etag, sizeof etag) ||
        strspn(number, "0123456789") != strlen(number)) {
        failure_set(f, "MalformedXML", "The XML you provided was not well-formed.");
        return NULL;
    }
    n = strtoul(number, NULL, 10);
    if (n <= *last) {
        failure_set(f, "InvalidPartOrder", "The list of parts was not in ascending order.");
        return NULL;
    }
    *last = (unsigned)n;
    i = part_index(u, (unsigned)n);
    part = i < u->n_parts && u->parts[i].number == n ? &u->parts[i] : NULL;
    if (part != NULL)
        hex_encode(expected, part->md5, MD5_SIZE);
    if (part == NULL || strcmp(expected, etag) != 0)
        goto invalid;
    if (element(p, end, "ChecksumSHA256", checksum, sizeof checksum)) {
        base64_encode(expected_checksum, part->sha256, SHA256_SIZE);
        if (strcmp(checksum, expected_checksum) != 0)
            goto invalid;
    } else if (u->info.sha256) {
        failure_set(f, "InvalidRequest",
                    "The upload was created using a sha256 checksum. The complete request must "
                    "include the checksum for each part. It was missing for part %lu in the "
                    "request.",
                    n);
        return NULL;
    }
    return part;
invalid:
    failure_set(f, "InvalidPart",
                "One or more of the specified parts could not be found. The part may not have been "
                "uploaded, or the specified entity tag may not match: part %lu.",
                n);
    return NULL;
}

/* The parts that the document lists, in its order. *parts: the caller frees. */
static bool claimed_parts(const struct upload *u, const struct buf *xml, const struct part ***parts,
                          size_t *n, struct failure *f)
{
    const char *p = xml->data, *all_end = xml->data + xml->len, *end;
    unsigned last = 0;

    *parts = mem_alloc(MULTIPART_PART_MAX * sizeof **parts);
    *n = 0;
    if (memmem(p, xml->len, "<CompleteMultipartUpload", 24) == NULL ||
        memmem(p, xml->len, "</CompleteMultipartUpload>", 26) == NULL)
        return failure_set(f, "MalformedXML", "The XML you provided was not well-formed.");
    while ((p = memmem(p, (size_t)(all_end - p), "<Part>", 6)) != NULL) {
        end = memmem(p, (size_t)(all_end - p), "</Part>", 7);
        if (end == NULL || *n == MULTIPART_PART_MAX)
            return failure_set(f, "MalformedXML", "The XML you provided was not well-formed.");
        (*parts)[*n] = claimed_part(u, p, end, &last, f);
        if ((*parts)[(*n)++] == NULL)
            return false;
        p = end;
    }
    if (*n == 0)
        return failure_set(f, "MalformedXML", "The list of parts is empty.");
    for (size_t i = 0; i + 1 < *n; i++)
        if ((*parts)[i]->size < MULTIPART_PART_MIN)
            return failure_set(f, "EntityTooSmall",
                               "Your proposed upload is smaller than the minimum allowed size: "
                               "part %u.",
                               (*parts)[i]->number);
    return true;
}

static int copy_part(struct multiparts *m, int to, const struct part *p)
{
    int from = store_tmp_reopen(m->store, p->tmp);
    uint64_t left = p->size;
    int error = from < 0 ? -from : 0;

    while (error == 0 && left > 0) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)left, 0);
        if (n < 0 && errno != EINTR)
            error = errno;
        else if (n == 0)
            error = EIO;
        else if (n > 0)
            left -= (uint64_t)n;
    }
    if (from >= 0)
        (void)close(from); /* only read */
    return error;
}

static bool join_files(struct multiparts *m, const struct part **parts, size_t n,
                       char tmp[STORE_TMP_MAX], struct failure *f)
{
    int to = store_tmp_open(m->store, tmp);
    int error = to < 0 ? -to : 0;

    for (size_t i = 0; i < n && error == 0; i++)
        error = copy_part(m, to, parts[i]);
    if (to >= 0 && close(to) < 0 && error == 0)
        error = errno;
    if (error == 0)
        return true;
    if (to >= 0)
        store_tmp_remove(m->store, tmp);
    tmp[0] = '\0';
    return failure_set(f, "InternalError", "devstore cannot join the parts: %s", strerror(error));
}

/* The digest of the parts' digests. */
static void sum_up(const struct multiparts *m, const struct part **parts, size_t n,
                   struct object *o)
{
    struct digest *md5 = digest_new(m->no_md5 ? DIGEST_SHA256 : DIGEST_MD5);
    struct digest *sha = digest_new(DIGEST_SHA256);
    uint8_t sum[SHA256_SIZE];

    digest_begin(md5);
    digest_begin(sha);
    for (size_t i = 0; i < n; i++) {
        o->size += parts[i]->size;
        digest_update(md5, parts[i]->md5, MD5_SIZE);
        digest_update(sha, parts[i]->sha256, SHA256_SIZE);
    }
    digest_finish(md5, sum);
    memcpy(o->etag, sum, MD5_SIZE);
    digest_finish(sha, o->checksum);
    digest_free(md5);
    digest_free(sha);
    o->parts = (uint16_t)n;
}

bool multipart_join(struct multiparts *m, const char *id, const char *key, const struct buf *xml,
                    struct object *o, char tmp[STORE_TMP_MAX], struct buf *meta, struct failure *f)
{
    const struct part **parts = NULL;
    struct upload *u;
    size_t n = 0;
    bool ok;

    tmp[0] = '\0';
    memset(o, 0, sizeof *o);
    pthread_mutex_lock(&m->lock);
    u = need(m, id, key, f);
    ok = u != NULL && claimed_parts(u, xml, &parts, &n, f);
    if (ok) {
        sum_up(m, parts, n, o);
        o->has_checksum = u->info.sha256;
        memcpy(o->acl, u->acl, sizeof o->acl);
        buf_adds(meta, u->meta);
        ok = m->counting || join_files(m, parts, n, tmp, f);
    }
    pthread_mutex_unlock(&m->lock);
    free(parts);
    return ok;
}

void multipart_list(struct multiparts *m, bool (*visit)(void *arg, const struct upload_info *u),
                    void *arg)
{
    pthread_mutex_lock(&m->lock);
    for (struct upload *u = m->uploads; u != NULL && visit(arg, &u->info); u = u->next)
        ;
    pthread_mutex_unlock(&m->lock);
}

bool multipart_list_parts(struct multiparts *m, const char *id, const char *key, unsigned after,
                          bool (*visit)(void *arg, const struct part *p), void *arg,
                          struct failure *f)
{
    struct upload *u;

    pthread_mutex_lock(&m->lock);
    u = need(m, id, key, f);
    if (u != NULL)
        for (size_t i = part_index(u, after + 1); i < u->n_parts && visit(arg, &u->parts[i]); i++)
            ;
    pthread_mutex_unlock(&m->lock);
    return u != NULL;
}
