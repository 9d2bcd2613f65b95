/* The options of requests as texts: tags and the encryption context encoded, S3's rules for tags.
 * Pure; the requests themselves are written in request.c. */
#include "uploader/options.h"

#include "base/hex.h"
#include "base/json.h"
#include "base/mem.h"
#include "uploader/sigv4.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_CHARACTERS = 128, VALUE_MAX_CHARACTERS = 256, CONTEXT_MAX_BYTES = 16 * 1024 };

static const char *copy(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

void options_copy(struct options *to, const struct options *from)
{
    *to = (struct options){
        .encryption = copy(from->encryption),
        .kms_key_id = copy(from->kms_key_id),
        .encryption_context = copy(from->encryption_context),
        .bucket_key = from->bucket_key,
        .storage_class = copy(from->storage_class),
        .tagging = copy(from->tagging),
        .expected_owner = copy(from->expected_owner),
        .requester_pays = from->requester_pays,
    };
}

void options_fini(struct options *o)
{
    free((char *)o->encryption);
    free((char *)o->kms_key_id);
    free((char *)o->encryption_context);
    free((char *)o->storage_class);
    free((char *)o->tagging);
    free((char *)o->expected_owner);
    *o = (struct options){0};
}

void options_tagging(struct buf *out, const struct options_pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(out, '&');
        sigv4_uri_encode(out, pairs[i].name, strlen(pairs[i].name), 0);
        buf_addc(out, '=');
        sigv4_uri_encode(out, pairs[i].value, strlen(pairs[i].value), 0);
    }
}

void options_context(struct buf *out, const struct options_pair *pairs, size_t n)
{
    json_t *object = json_object();
    BUG_ON(!object);
    for (size_t i = 0; i < n; i++)
        BUG_ON(json_object_set_new(object, pairs[i].name, json_string(pairs[i].value)) != 0);
    struct buf text;
    buf_init(&text, CONTEXT_MAX_BYTES);
    json_write(&text, object);
    json_decref(object);
    out->overflow |= text.overflow;
    char *encoded = mem_alloc(BASE64_SIZE(text.len));
    base64_encode(encoded, text.data, text.len);
    buf_adds(out, encoded);
    free(encoded);
    buf_fini(&text);
}

static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static bool has_strange_character(const char *s)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  " +-=._:/@";
    for (; *s; s++) {
        if ((unsigned char)*s < 0x80 && !strchr(allowed, *s))
            return true;
    }
    return false;
}

enum rc options_check_tag(const char *name, const char *value, struct err *e)
{
    if (*name == '\0' || characters(name) > NAME_MAX_CHARACTERS)
        return err_set(e, RC_INVALID, "expected a tag's name of 1 to %d characters, found %zu",
                       NAME_MAX_CHARACTERS, characters(name));
    if (characters(value) > VALUE_MAX_CHARACTERS)
        return err_set(e, RC_INVALID, "expected a tag's value of at most %d characters, found %zu",
                       VALUE_MAX_CHARACTERS, characters(value));
    if (strncmp(name, "aws:", 4) == 0)
        return err_set(e, RC_INVALID,
                       "names of tags that begin with \"aws:\" are AWS's own: choose another");
    if (has_strange_character(name) || has_strange_character(value))
        return err_set(e, RC_INVALID,
                       "expected letters, digits, spaces and + - = . _ : / @ in the name and the "
                       "value of a tag");
    return RC_OK;
}
