/* S3's XML by expat, the only file that includes it. What comes in is hostile: no DTD (so no
 * entities but the five), a bounded depth and size, and every text cut to its field, or left out.
 *
 * A field is known by its element's name directly below the root, or below an <Error> (which some
 * stores wrap once more). Lists are not read: a listing's entries are no fields. */
#include "uploader/xml.h"

#include "base/buf.h"
#include "base/secret.h"
#include "base/utf8.h"

#include <assert.h>
#include <expat.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A message may quote an ARN of 2048 bytes and a key of 1024. */
enum { DEPTH_MAX = 8, SIZE_MAX_BYTES = 64 * 1024, NAME_MAX_BYTES = 64, TEXT_MAX_BYTES = 4096 };

enum cut { CUT_END, CUT_MIDDLE, CUT_ALL }; /* what a text loses that is too long for its field */

struct field {
    const char *name;
    size_t offset, size;
    enum cut cut;
};
#define FIELD_CUT(element, member, cut)                                                            \
    {                                                                                              \
        element, offsetof(struct xml_answer, member), sizeof(((struct xml_answer *)0)->member),    \
            cut                                                                                    \
    }
#define FIELD(element, member) FIELD_CUT(element, member, CUT_END)
static const struct field fields[] = {
    FIELD("Code", code),
    FIELD_CUT("Message", message, CUT_MIDDLE),
    FIELD("Region", region),
    FIELD("RequestId", request_id),
    FIELD("Resource", resource),
    FIELD_CUT("UploadId", upload_id, CUT_ALL),
    FIELD("ETag", etag),
    FIELD("ChecksumSHA256", checksum_sha256),
    FIELD("ServerTime", server_time),
};

/* So that a text that was cut while it was gathered is seen to be too long for its field. */
static_assert(sizeof(((struct xml_answer *)0)->upload_id) <= TEXT_MAX_BYTES, "");

struct reader {
    XML_Parser parser;
    struct xml_answer *out;
    const char *refused; /* why reading was stopped by us */
    unsigned depth;
    char path[DEPTH_MAX][NAME_MAX_BYTES]; /* local names of the open elements */
    struct buf text;                      /* of the innermost element, since its start */
    char grantee[sizeof((struct xml_answer *)0)->owner_id]; /* of the open <Grant> */
    bool full_control;
    /* Of a listing, else NULL. */
    const char *parent, *name;
    void (*each)(void *arg, const char *text);
    void *arg;
};

static void refuse(struct reader *r, const char *why)
{
    r->refused = why;
    (void)XML_StopParser(r->parser, XML_FALSE); /* fails only if it is stopped already */
}

/* Where the text begins and how long it is without the space around it. */
static const char *trim(const struct buf *text, size_t *n)
{
    const char *s = text->data, *end = text->data + text->len;
    while (s < end && strchr(" \t\r\n", *s))
        s++;
    while (end > s && strchr(" \t\r\n", end[-1]))
        end--;
    *n = (size_t)(end - s);
    return s;
}

/* Copy without the space around it, cut where a character ends. */
static void put(char *out, size_t size, const struct buf *text)
{
    size_t n;
    const char *s = trim(text, &n);
    if (n >= size)
        n = utf8_span(s, size - 1);
    memcpy(out, s, n);
    out[n] = '\0';
}

/* The same, with two thirds of the room for the beginning and the rest for the end. */
static void put_ends(char *out, size_t size, const struct buf *text)
{
    static const char between[] = " \xe2\x80\xa6 "; /* an ellipsis */
    size_t n, mark = sizeof between - 1;
    const char *s = trim(text, &n);
    if (n < size) {
        put(out, size, text);
        return;
    }
    n = utf8_span(s, n); /* it was cut itself if there was more than is gathered */
    size_t head = utf8_span(s, size * 2 / 3), tail = size - 1 - head - mark;
    while (tail > 0 && ((unsigned char)s[n - tail] & 0xc0) == 0x80)
        tail--;
    memcpy(out, s, head);
    memcpy(out + head, between, mark);
    memcpy(out + head + mark, s + n - tail, tail);
    out[head + mark + tail] = '\0';
}

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct reader *r = arg;
    (void)attributes;
    if (r->refused)
        return; /* expat may still tell what it has read already */
    if (r->depth == DEPTH_MAX) {
        refuse(r, "elements nested too deeply");
        return;
    }
    const char *colon = strrchr(name, ':');
    const char *local = colon ? colon + 1 : name;
    size_t len = strlen(local);
    char *slot = r->path[r->depth++];
    if (len >= NAME_MAX_BYTES)
        len = 0; /* no element that we know */
    memcpy(slot, local, len);
    slot[len] = '\0';
    if (r->depth == 1)
        memcpy(r->out->root, slot, len + 1);
    if (strcmp(slot, "Grant") == 0) {
        r->grantee[0] = '\0';
        r->full_control = false;
    }
    buf_reset(&r->text);
}

static bool inside(const struct reader *r, const char *parent, const char *name)
{
    return r->depth >= 2 && strcmp(r->path[r->depth - 1], name) == 0 &&
           strcmp(r->path[r->depth - 2], parent) == 0;
}

/* The elements of GetObjectAcl's answer. The owner comes before the grants in S3's schema. */
static void acl_end(struct reader *r)
{
    if (inside(r, "Owner", "ID") && r->depth == 3)
        put(r->out->owner_id, sizeof r->out->owner_id, &r->text);
    else if (inside(r, "Grantee", "ID"))
        put(r->grantee, sizeof r->grantee, &r->text);
    else if (inside(r, "Grant", "Permission")) {
        char permission[32];
        put(permission, sizeof permission, &r->text);
        r->full_control = strcmp(permission, "FULL_CONTROL") == 0;
    } else if (inside(r, "AccessControlList", "Grant") && r->full_control && r->grantee[0] &&
               strcmp(r->grantee, r->out->owner_id) == 0)
        r->out->owner_full_control = true;
}

static void put_field(struct reader *r, const struct field *f)
{
    char *out = (char *)r->out + f->offset;
    if (f->cut == CUT_ALL && r->text.len >= f->size)
        buf_reset(&r->text);
    if (f->cut == CUT_MIDDLE)
        put_ends(out, f->size, &r->text);
    else
        put(out, f->size, &r->text);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
    struct reader *r = arg;
    (void)name;
    if (r->refused)
        return;
    const char *local = r->path[r->depth - 1];
    if (r->depth == 1 && strcmp(local, "LocationConstraint") == 0)
        put(r->out->location_constraint, sizeof r->out->location_constraint, &r->text);
    else if (r->depth == 2 || (r->depth == 3 && strcmp(r->path[1], "Error") == 0))
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
            if (strcmp(local, fields[i].name) == 0)
                put_field(r, &fields[i]);
    if (strcmp(r->out->root, "AccessControlPolicy") == 0)
        acl_end(r);
    if (r->each && inside(r, r->parent, r->name)) {
        char text[TEXT_MAX_BYTES + 1];
        put(text, sizeof text, &r->text);
        r->each(r->arg, text);
    }
    buf_reset(&r->text);
    r->depth--;
}

static void XMLCALL on_text(void *arg, const XML_Char *s, int len)
{
    struct reader *r = arg;
    size_t room = r->text.max - r->text.len;
    buf_add(&r->text, s, (size_t)len < room ? (size_t)len : room);
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_subset)
{
    (void)name, (void)system_id, (void)public_id, (void)has_subset;
    refuse(arg, "a document type definition");
}

static enum rc read_all(struct reader *r, const char *data, size_t n, struct err *e)
{
    if (n > SIZE_MAX_BYTES)
        return err_set(e, RC_INVALID, "the store's answer is over 64 KiB of XML");
    r->parser = XML_ParserCreate(NULL);
    BUG_ON(!r->parser); /* no memory */
    buf_init(&r->text, TEXT_MAX_BYTES);
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    enum rc rc = RC_OK;
    if (XML_Parse(r->parser, data, (int)n, XML_TRUE) != XML_STATUS_OK)
        rc =
            err_set(e, RC_INVALID, "the store's answer is not the XML it should be: %s in line %lu",
                    r->refused ? r->refused : XML_ErrorString(XML_GetErrorCode(r->parser)),
                    (unsigned long)XML_GetCurrentLineNumber(r->parser));
    buf_fini(&r->text);
    XML_ParserFree(r->parser);
    return rc;
}

enum rc xml_parse(const char *data, size_t n, struct xml_answer *out, struct err *e)
{
    struct reader r = {.out = out};
    *out = (struct xml_answer){0};
    enum rc rc = read_all(&r, data, n, e);
    if (rc != RC_OK)
        *out = (struct xml_answer){0};
    return rc;
}

enum rc xml_each(const char *data, size_t n, const char *parent, const char *name,
                 void (*each)(void *arg, const char *text), void *arg, struct err *e)
{
    struct xml_answer unused = {0};
    struct reader r = {.out = &unused, .parent = parent, .name = name, .each = each, .arg = arg};
    return read_all(&r, data, n, e);
}

/* ---- keys: as above, but nothing that passed through here stays in memory ---- */

static void wipe_and_free(void *p)
{
    if (p)
        secret_wipe(p, malloc_usable_size(p));
    free(p);
}

static void *wiping_realloc(void *p, size_t n)
{
    size_t before = p ? malloc_usable_size(p) : 0;
    void *fresh = malloc(n ? n : 1);
    if (!fresh)
        return NULL;
    if (p)
        memcpy(fresh, p, before < n ? before : n);
    wipe_and_free(p);
    return fresh;
}

struct keys_reader {
    XML_Parser parser;
    struct xml_keys *out;
    const char *refused;
    unsigned depth, credentials_depth; /* of the open <Credentials>; 0: none */
    char *slot;                        /* where the open element's text goes, or NULL */
    size_t size, len;
};

static void refuse_keys(struct keys_reader *r, const char *why)
{
    r->refused = why;
    (void)XML_StopParser(r->parser, XML_FALSE); /* fails only if it is stopped already */
}

static void XMLCALL keys_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct keys_reader *r = arg;
    (void)attributes;
    struct {
        const char *name;
        char *at;
        size_t size;
    } slots[] = {
        {"AccessKeyId", r->out->access_key_id, sizeof r->out->access_key_id},
        {"SecretAccessKey", r->out->secret_access_key, sizeof r->out->secret_access_key},
        {"SessionToken", r->out->session_token, sizeof r->out->session_token},
        {"Expiration", r->out->expiration, sizeof r->out->expiration},
    };
    const char *colon = strrchr(name, ':');
    name = colon ? colon + 1 : name;
    if (r->refused)
        return;
    if (++r->depth > DEPTH_MAX) {
        refuse_keys(r, "elements nested too deeply");
        return;
    }
    r->slot = NULL;
    if (r->credentials_depth == 0 && strcmp(name, "Credentials") == 0)
        r->credentials_depth = r->depth;
    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++)
        if (r->credentials_depth && r->depth == r->credentials_depth + 1 &&
            strcmp(name, slots[i].name) == 0) {
            r->slot = slots[i].at;
            r->size = slots[i].size;
            r->len = 0;
            r->slot[0] = '\0';
        }
}

static void XMLCALL keys_end(void *arg, const XML_Char *name)
{
    struct keys_reader *r = arg;
    (void)name;
    if (r->refused)
        return;
    r->slot = NULL;
    if (r->depth == r->credentials_depth)
        r->credentials_depth = 0;
    r->depth--;
}

static void XMLCALL keys_text(void *arg, const XML_Char *s, int len)
{
    struct keys_reader *r = arg;
    if (r->refused || !r->slot)
        return;
    for (int i = 0; i < len; i++) {
        if (strchr(" \t\r\n", s[i]))
            continue; /* around it; within it no key has any */
        if (r->len + 1 == r->size) {
            refuse_keys(r, "a key that is too long");
            return;
        }
        r->slot[r->len++] = s[i];
        r->slot[r->len] = '\0';
    }
}

static void XMLCALL keys_doctype(void *arg, const XML_Char *name, const XML_Char *system_id,
                                 const XML_Char *public_id, int has_subset)
{
    (void)name, (void)system_id, (void)public_id, (void)has_subset;
    refuse_keys(arg, "a document type definition");
}

enum rc xml_parse_keys(const char *data, size_t n, struct xml_keys *out, struct err *e)
{
    static const XML_Memory_Handling_Suite memory = {malloc, wiping_realloc, wipe_and_free};
    *out = (struct xml_keys){0};
    if (n > SIZE_MAX_BYTES)
        return err_set(e, RC_INVALID, "the answer is over 64 KiB of XML");
    struct keys_reader r = {.out = out, .parser = XML_ParserCreate_MM(NULL, &memory, NULL)};
    BUG_ON(!r.parser); /* no memory */
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, keys_start, keys_end);
    XML_SetCharacterDataHandler(r.parser, keys_text);
    XML_SetStartDoctypeDeclHandler(r.parser, keys_doctype);
    enum rc rc = RC_OK;
    if (XML_Parse(r.parser, data, (int)n, XML_TRUE) != XML_STATUS_OK) {
        secret_wipe(out, sizeof *out);
        rc = err_set(e, RC_INVALID, "the answer is not the XML it should be: %s",
                     r.refused ? r.refused : XML_ErrorString(XML_GetErrorCode(r.parser)));
    }
    XML_ParserFree(r.parser);
    return rc;
}
