#include "tests/unit/uploader/mini_store.h"

#include "base/checksum.h"
#include "base/hex.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct mini_object *mini_store_find(const struct mini_store *m, const char *key)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (strcmp(m->objects[i].key, key) == 0)
            return &m->objects[i];
    }
    return NULL;
}

void mini_store_put(struct mini_store *m, const char *key, const char *data, size_t n)
{
    struct mini_object *o = (struct mini_object *)(uintptr_t)mini_store_find(m, key);

    if (o == NULL) {
        BUG_ON(m->n == MINI_OBJECTS);
        o = &m->objects[m->n++];
        snprintf(o->key, sizeof(o->key), "%s", key);
    }
    free(o->data);
    o->data = mem_alloc(n + 1);
    memcpy(o->data, data, n);
    o->n = n;
}

static void text_body(struct scripted_reply *rp, char *text)
{
    rp->body = text;
    rp->body_len = strlen(text);
    rp->free_body = true;
}

bool mini_any_upload(struct mini_store *m, enum request_op op, unsigned seq,
                     const struct scripted_request *rq, struct scripted_reply *rp)
{
    (void)m;
    (void)seq;
    (void)rq;
    if (op == REQUEST_CREATE_MULTIPART)
        text_body(rp, mem_strdup("<InitiateMultipartUploadResult><UploadId>any</UploadId>"
                                 "</InitiateMultipartUploadResult>"));
    else if (op == REQUEST_COMPLETE_MULTIPART)
        text_body(rp, mem_strdup("<CompleteMultipartUploadResult/>"));
    else
        snprintf(rp->headers, sizeof(rp->headers), "ETag: \"any\"\r\n");
    return true;
}

bool mini_error(struct scripted_reply *rp, int status, const char *code)
{
    char text[256];

    snprintf(text, sizeof(text), "<?xml version=\"1.0\"?><Error><Code>%s</Code></Error>", code);
    rp->status = status;
    text_body(rp, mem_strdup(text));
    return true;
}

static enum request_op op_of(const struct scripted_request *rq)
{
    const char *query = strchr(rq->target, '?');

    if (strcmp(rq->method, "HEAD") == 0)
        return REQUEST_HEAD_OBJECT;
    if (strcmp(rq->method, "GET") == 0)
        return REQUEST_GET_OBJECT;
    if (strcmp(rq->method, "DELETE") == 0)
        return REQUEST_ABORT_MULTIPART;
    if (strcmp(rq->method, "POST") == 0)
        return query != NULL && strstr(query, "uploads") ? REQUEST_CREATE_MULTIPART
                                                         : REQUEST_COMPLETE_MULTIPART;
    return query != NULL ? REQUEST_UPLOAD_PART : REQUEST_PUT_OBJECT;
}

static void etag_of(const void *data, size_t n, char out[2 * MD5_SIZE + 1])
{
    struct digest *d = digest_new(DIGEST_MD5);
    uint8_t sum[MD5_SIZE];

    digest_begin(d);
    digest_update(d, data, n);
    digest_finish(d, sum);
    digest_free(d);
    hex_encode(out, sum, sizeof(sum));
}

/* The signed digest is checked as S3 does: what arrives is what was signed. */
static bool digest_is_wrong(const struct scripted_request *rq)
{
    uint8_t sum[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1], header[1024];

    sha256(rq->body, rq->body_len, sum);
    hex_encode(hex, sum, sizeof(sum));
    return strcmp(scripted_header(rq, "x-amz-content-sha256", header), hex) != 0;
}

static bool condition_fails(const struct mini_store *m, const struct scripted_request *rq,
                            const char *key)
{
    char header[1024];

    return scripted_header(rq, "if-none-match", header)[0] != '\0' &&
           mini_store_find(m, key) != NULL;
}

static void show_object(const struct mini_store *m, const struct mini_object *o,
                        struct scripted_reply *rp)
{
    char etag[40] = "not-an-md5-2", line[128] = "", b64[BASE64_SIZE(SHA256_SIZE)];
    uint8_t sum[SHA256_SIZE];

    if (m->etag_is_md5)
        etag_of(o->data, o->n, etag);
    sha256(o->data, o->n, sum);
    base64_encode(b64, sum, sizeof(sum));
    if (m->head_checksum)
        snprintf(line, sizeof(line), "x-amz-checksum-sha256: %s%s\r\n", b64,
                 m->head_composite ? "-2" : "");
    snprintf(rp->headers, sizeof(rp->headers), "ETag: \"%s\"\r\nx-amz-version-id: there\r\n%s",
             etag, line);
    rp->body = memcpy(mem_alloc(o->n + 1), o->data, o->n); /* it is sent without the lock */
    rp->body_len = o->n;
    rp->free_body = true;
}

static void put_object(struct mini_store *m, const struct scripted_request *rq, const char *key,
                       struct scripted_reply *rp)
{
    char etag[40];

    if (digest_is_wrong(rq)) {
        mini_error(rp, 400, "XAmzContentSHA256Mismatch");
    } else if (condition_fails(m, rq, key)) {
        mini_error(rp, 412, "PreconditionFailed");
    } else {
        mini_store_put(m, key, rq->body, rq->body_len);
        etag_of(rq->body, rq->body_len, etag);
        snprintf(rp->headers, sizeof(rp->headers),
                 "ETag: \"%s\"\r\nx-amz-version-id: v1\r\nx-amz-request-id: R%u\r\n", etag, rq->n);
    }
}

static void create(struct mini_store *m, const char *key, struct scripted_reply *rp)
{
    char text[1400];
    size_t n;

    snprintf(m->upload_key, sizeof(m->upload_key), "%s", key);
    snprintf(m->upload_id, sizeof(m->upload_id), "upload-%u", ++m->uploads);
    for (n = strlen(m->upload_id); n < m->id_chars; n++)
        m->upload_id[n] = 'x';
    m->upload_id[n] = '\0';
    snprintf(text, sizeof(text),
             "<InitiateMultipartUploadResult><UploadId>%s</UploadId>"
             "</InitiateMultipartUploadResult>",
             m->upload_id);
    text_body(rp, mem_strdup(text));
}

static bool upload_is_gone(const struct mini_store *m, const struct scripted_request *rq)
{
    const char *id = strstr(rq->target, "uploadId=");

    return m->upload_id[0] == '\0' || id == NULL ||
           strncmp(id + 9, m->upload_id, strlen(m->upload_id)) != 0;
}

static void upload_part(struct mini_store *m, const struct scripted_request *rq,
                        struct scripted_reply *rp)
{
    const char *number = strstr(rq->target, "partNumber=");
    unsigned long n = number != NULL ? strtoul(number + 11, NULL, 10) : 0;
    char etag[40];

    if (upload_is_gone(m, rq)) {
        mini_error(rp, 404, "NoSuchUpload");
    } else if (digest_is_wrong(rq)) {
        mini_error(rp, 400, "XAmzContentSHA256Mismatch");
    } else {
        BUG_ON(n < 1 || n > MINI_PARTS);
        free(m->part[n - 1]);
        m->part[n - 1] = mem_alloc(rq->body_len + 1);
        memcpy(m->part[n - 1], rq->body, rq->body_len);
        m->part_n[n - 1] = rq->body_len;
        etag_of(rq->body, rq->body_len, etag);
        snprintf(rp->headers, sizeof(rp->headers), "ETag: \"%s\"\r\n", etag);
    }
}

static void complete(struct mini_store *m, const struct scripted_request *rq, const char *key,
                     struct scripted_reply *rp)
{
    size_t total = 0;
    char *all;

    if (upload_is_gone(m, rq)) {
        mini_error(rp, 404, "NoSuchUpload");
        return;
    }
    if (condition_fails(m, rq, key)) {
        mini_error(rp, 412, "PreconditionFailed");
        return;
    }
    for (unsigned i = 0; i < MINI_PARTS; i++)
        total += m->part_n[i];
    all = mem_alloc(total + 1);
    total = 0;
    for (unsigned i = 0; i < MINI_PARTS; i++) {
        if (m->part[i] == NULL)
            continue;
        memcpy(all + total, m->part[i], m->part_n[i]);
        total += m->part_n[i];
        free(m->part[i]);
        m->part[i] = NULL;
        m->part_n[i] = 0;
    }
    mini_store_put(m, key, all, total);
    free(all);
    m->upload_id[0] = '\0';
    text_body(rp, mem_strdup("  \n <?xml version=\"1.0\"?><CompleteMultipartUploadResult>"
                             "<ETag>&quot;whole-2&quot;</ETag></CompleteMultipartUploadResult>"));
}

static void part_comes(struct mini_store *m)
{
    pthread_mutex_lock(&m->lock);
    if (++m->parts_now > m->parts_at_once) {
        m->parts_at_once = m->parts_now;
        pthread_cond_broadcast(&m->more_parts);
    }
    while (m->parts_at_once < m->parts_awaited)
        pthread_cond_wait(&m->more_parts, &m->lock);
    pthread_mutex_unlock(&m->lock);
    usleep(m->part_ms * 1000);
}

static void handle(void *arg, const struct scripted_request *rq, struct scripted_reply *rp)
{
    struct mini_store *m = arg;
    enum request_op op = op_of(rq);
    const struct mini_object *o;
    char key[256];

    if (rq->body == NULL) {
        if (op == REQUEST_UPLOAD_PART)
            part_comes(m);
        return;
    }
    snprintf(key, sizeof(key), "%.*s", (int)strcspn(rq->target, "?"), rq->target);
    pthread_mutex_lock(&m->lock);
    if (op == REQUEST_UPLOAD_PART)
        m->parts_now--;
    m->asked[op]++;
    if (m->fault != NULL && m->fault(m, op, m->asked[op], rq, rp))
        goto out;
    switch (op) {
    case REQUEST_PUT_OBJECT:
        put_object(m, rq, key, rp);
        break;
    case REQUEST_CREATE_MULTIPART:
        create(m, key, rp);
        break;
    case REQUEST_UPLOAD_PART:
        upload_part(m, rq, rp);
        break;
    case REQUEST_COMPLETE_MULTIPART:
        complete(m, rq, key, rp);
        break;
    case REQUEST_ABORT_MULTIPART:
        m->upload_id[0] = '\0';
        rp->status = 204;
        break;
    default:
        o = mini_store_find(m, key);
        if (o != NULL)
            show_object(m, o, rp);
        else
            mini_error(rp, 404, "NoSuchKey");
        break;
    }
    if (m->spoil != NULL)
        m->spoil(m, op, m->asked[op], rp);
out:
    pthread_mutex_unlock(&m->lock);
}

void mini_store_init(struct mini_store *m)
{
    memset(m, 0, sizeof(*m));
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->more_parts, NULL);
    m->head_checksum = m->etag_is_md5 = true;
    m->server = scripted_new(handle, m);
}

void mini_store_look(struct mini_store *m)
{
    pthread_mutex_lock(&m->lock);
    pthread_mutex_unlock(&m->lock);
}

void mini_store_clear(struct mini_store *m)
{
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->n; i++)
        free(m->objects[i].data);
    for (unsigned i = 0; i < MINI_PARTS; i++)
        free(m->part[i]);
    memset(m->objects, 0, sizeof(m->objects));
    memset(m->part, 0, sizeof(m->part));
    memset(m->part_n, 0, sizeof(m->part_n));
    memset(m->asked, 0, sizeof(m->asked));
    m->n = 0;
    m->upload_id[0] = '\0';
    pthread_mutex_unlock(&m->lock);
}

void mini_store_fini(struct mini_store *m)
{
    scripted_free(m->server);
    mini_store_clear(m);
    pthread_cond_destroy(&m->more_parts);
    pthread_mutex_destroy(&m->lock);
}
