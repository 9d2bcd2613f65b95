/* The bucket: objects by key, never overwritten (If-None-Match: *), and uploads in parts. It keeps
 * digests, which is all that anybody asks for. */
#include "tests/torture/spool_rig.h"

#include <stdio.h>
#include <string.h>

static bool is_busy(struct store *s)
{
    enum { EVERY = 7 };
    s->requests++;
    return s->flaky && s->requests % EVERY == 0;
}

const struct object *store_find(const struct store *s, const char *key)
{
    for (size_t i = 0; i < s->n_objects; i++)
        if (strcmp(s->objects[i].key, key) == 0)
            return &s->objects[i];
    return NULL;
}

bool store_has(const struct store *s, const uint8_t sha[SHA256_SIZE])
{
    for (size_t i = 0; i < s->n_objects; i++)
        if (memcmp(s->objects[i].sha, sha, SHA256_SIZE) == 0)
            return true;
    return false;
}

static int add_object(struct store *s, const char *key, const void *data, size_t n)
{
    if (store_find(s, key))
        return 412;
    BUG_ON(s->n_objects == OBJECTS_MAX);
    struct object *o = &s->objects[s->n_objects++];
    (void)snprintf(o->key, sizeof o->key, "%s", key);
    o->size = n;
    sha256(data, n, o->sha);
    return 200;
}

int store_put(struct store *s, const char *key, const void *data, size_t n)
{
    return is_busy(s) ? 503 : add_object(s, key, data, n);
}

static struct upload *find_upload(struct store *s, const char *id)
{
    for (size_t i = 0; i < s->n_uploads; i++)
        if (strcmp(s->uploads[i].id, id) == 0)
            return &s->uploads[i];
    return NULL;
}

int store_create(struct store *s, char id[32])
{
    if (is_busy(s))
        return 503;
    BUG_ON(s->n_uploads == OBJECTS_MAX);
    struct upload *u = &s->uploads[s->n_uploads++];
    (void)snprintf(u->id, sizeof u->id, "upload-%zu", s->n_uploads);
    (void)snprintf(id, sizeof u->id, "%s", u->id);
    return 200;
}

int store_part(struct store *s, const char *id, unsigned number, const void *data, size_t n)
{
    struct upload *u = find_upload(s, id);
    if (is_busy(s))
        return 503;
    if (!u)
        return 404;
    BUG_ON(number == 0 || number > 16 || n > PART_BYTES);
    memcpy(u->data[number - 1], data, n);
    u->sizes[number - 1] = n;
    if (number > u->n_parts)
        u->n_parts = number;
    return 200;
}

int store_complete(struct store *s, const char *id, const char *key)
{
    char whole[16 * PART_BYTES];
    size_t n = 0;
    struct upload *u = find_upload(s, id);
    if (is_busy(s))
        return 503;
    if (!u)
        return 404;
    for (unsigned i = 0; i < u->n_parts; i++) {
        memcpy(whole + n, u->data[i], u->sizes[i]);
        n += u->sizes[i];
    }
    int status = add_object(s, key, whole, n);
    if (status == 200)
        u->id[0] = '\0'; /* it is over */
    return status;
}
