/* The bucket's side of the survey: see survey.h. */
#include "gateway/survey.h"

#include "base/clock.h"
#include "base/text.h"
#include "gateway/ask.h"
#include "gateway/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SKEW_WARN_S    60
#define SKEW_FAIL_S    (15 * 60) /* where S3 refuses signatures */
#define EXPIRES_SOON_S 600

/* ---- keys ---- */

static void look_at_file(const char *path, struct survey *s)
{
    struct stat st;
    char remedy[512];
    if (!path || stat(path, &st) != 0 || !(st.st_mode & (S_IRWXG | S_IRWXO)))
        return;
    (void)snprintf(remedy, sizeof remedy, "chmod 600 %.400s", path);
    survey_add(s, SURVEY_WARN, "keys-file", remedy, "others may read the keys in %s (mode %04o)",
               path, (unsigned)(st.st_mode & 07777));
}

static struct credentials *look_at_keys(const struct config *c, struct survey *s)
{
    struct credentials_cfg cc = settings_credentials(c);
    struct credentials_source *source = NULL;
    struct credentials *keys = NULL;
    struct err e = {0};
    if (credentials_source_new(&cc, &source, &e) != RC_OK ||
        credentials_source_get(source, &keys, &e) != RC_OK) {
        survey_add(s, SURVEY_FAIL, "keys",
                   "see credentials in the README for the sources and their order", "%s", e.text);
    } else {
        int64_t now_s = clock_wall_now_ns() / CLOCK_NS_PER_S, end_s = credentials_expires(keys);
        char when[CLOCK_RFC3339_SIZE] = "";
        if (end_s != INT64_MAX)
            clock_rfc3339(when, end_s * CLOCK_NS_PER_S);
        bool old = end_s != INT64_MAX && end_s - now_s < EXPIRES_SOON_S;
        survey_add(s, old ? SURVEY_WARN : SURVEY_OK, "keys", "have the source renew them",
                   "keys from %s (%s)%s%s", credentials_origin(keys),
                   credentials_access_key_id(keys), when[0] ? ", good until " : "", when);
    }
    look_at_file(c->credentials.file, s);
    credentials_source_free(source);
    return keys;
}

static bool look_at_ca_file(const struct config *c, struct survey *s)
{
    if (!c->bucket.ca_file)
        return true;
    bool readable = access(c->bucket.ca_file, R_OK) == 0;
    survey_add(s, readable ? SURVEY_OK : SURVEY_FAIL, "ca-file",
               "let the gateway's user read it, or correct \"bucket.ca_file\"", "%s %s",
               c->bucket.ca_file, readable ? "can be read" : "cannot be read");
    return readable;
}

/* ---- the store ---- */

static void look_at_skew(const struct question_answer *a, struct survey *s)
{
    if (a->date_unix_s == 0)
        return;
    int64_t off_s = a->date_unix_s - clock_wall_now_ns() / CLOCK_NS_PER_S;
    int64_t size_s = off_s < 0 ? -off_s : off_s;
    survey_add(s,
               size_s >= SKEW_FAIL_S   ? SURVEY_FAIL
               : size_s >= SKEW_WARN_S ? SURVEY_WARN
                                       : SURVEY_OK,
               "store-clock",
               "have this machine's clock synchronised; the difference is corrected for",
               "this machine's clock is %" PRId64 " s %s the store's", size_s,
               off_s > 0 ? "behind" : "ahead of");
}

static void look_at_region(const struct config *c, const struct endpoint *ep,
                           const struct question_answer *a, struct survey *s)
{
    const char *region = a->location[0] ? a->location : a->region;
    char remedy[128];
    if (region[0] == '\0' || strcmp(region, ep->region) == 0)
        return;
    (void)snprintf(remedy, sizeof remedy, "set \"bucket.region\" to \"%.60s\"", region);
    /* Stores of other makers often say us-east-1 whatever their region is called. */
    survey_add(s, c->bucket.endpoint ? SURVEY_WARN : SURVEY_FAIL, "region", remedy,
               "the bucket is in %s, and the configuration says %s", region, ep->region);
}

static void tell_answer(const struct config *c, const struct endpoint *ep,
                        const struct question_answer *a, struct survey *s)
{
    if (a->rc == RC_OK) {
        survey_add(s, SURVEY_OK, "bucket", "", "%s answers for the bucket %s", ep->origin,
                   c->bucket.name);
    } else if (a->status == 0) {
        survey_add(s, SURVEY_FAIL, "endpoint", a->remedy, "%s does not answer: %s", ep->origin,
                   a->message);
    } else if (a->status == 403 && strcmp(a->code, "AccessDenied") == 0) {
        survey_add(s, SURVEY_WARN, "bucket",
                   "allow s3:GetBucketLocation (\"spoolgate policy generate\"); whether files may "
                   "be written "
                   "only \"spoolgate test\" can tell",
                   "%s answers, but our keys may not ask where the bucket %s is", ep->origin,
                   c->bucket.name);
    } else {
        survey_add(s, a->status >= 500 ? SURVEY_WARN : SURVEY_FAIL, "bucket", a->remedy,
                   "%s answered GetBucketLocation with %d %s%s%s", ep->origin, a->status, a->code,
                   a->message[0] ? ": " : "", a->message);
    }
    if (a->status != 0) {
        look_at_skew(a, s);
        look_at_region(c, ep, a, s);
    }
}

void survey_store(const struct config *c, struct survey *s)
{
    struct endpoint_cfg ec = settings_endpoint(c);
    struct endpoint ep;
    struct err e = {0};
    struct credentials *keys = look_at_keys(c, s);
    bool ca = look_at_ca_file(c, s);
    if (endpoint_resolve(&ec, &ep, &e) != RC_OK) {
        survey_add(s, SURVEY_FAIL, "endpoint", "correct \"bucket.endpoint\"", "%s", e.text);
    } else if (keys && ca) {
        struct asker asker = {.config = c, .endpoint = &ep, .keys = keys};
        struct question_answer a;
        ask_store(&asker, REQUEST_GET_BUCKET_LOCATION, "", &a);
        tell_answer(c, &ep, &a, s);
        question_answer_fini(&a);
    }
    credentials_free(keys);
}
