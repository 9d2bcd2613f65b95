/* What we ask of a bucket. The list and its context keys follow what the uploader sends: a header
 * that is not sent is an absent key, what AWS alone can know is left unknown. */
#include "policy/ours.h"

#include "base/buf.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>

/* A tag's name has up to 128 characters of up to 4 bytes. */
enum { KEYS_MAX = 112, NAMES_MAX = 1 + OURS_TAGS_MAX, NAME_BYTES = 544 };

enum bits {
    ON_OBJECT = 1 << 0,
    BEGINS = 1 << 1,   /* has the object's headers: ACL, encryption, class, tags */
    GOES_ON = 1 << 2,  /* belongs to an upload that had them */
    CREATES = 1 << 3,  /* makes the object be there: If-None-Match */
    REQUIRED = 1 << 4, /* nothing works without */
    IF_ACL = 1 << 5,   /* asked if an ACL is sent */
    IF_TAGS = 1 << 6,
};
static const struct asked {
    const char *request, *action;
    unsigned bits;
    const char *without;
} asked[] = {
    {"PutObject", "s3:PutObject", ON_OBJECT | BEGINS | CREATES | REQUIRED,
     "no file can be delivered"},
    {"PutObject", "s3:PutObjectAcl", ON_OBJECT | BEGINS | CREATES | REQUIRED | IF_ACL,
     "no file can be delivered with its ACL"},
    {"PutObject", "s3:PutObjectTagging", ON_OBJECT | BEGINS | CREATES | REQUIRED | IF_TAGS,
     "no file can be delivered with its tags"},
    {"CreateMultipartUpload", "s3:PutObject", ON_OBJECT | BEGINS,
     "large files go in one request, up to 5 GiB"},
    {"UploadPart", "s3:PutObject", ON_OBJECT | GOES_ON, "large files cannot go in parts"},
    {"CompleteMultipartUpload", "s3:PutObject", ON_OBJECT | GOES_ON | CREATES,
     "large files cannot go in parts"},
    {"AbortMultipartUpload", "s3:AbortMultipartUpload", ON_OBJECT,
     "parts of uploads that were given up stay and cost storage"},
    {"HeadObject", "s3:GetObject", ON_OBJECT,
     "a file whose key is taken waits, because it cannot be compared with the object"},
    {"HeadObject of a missing key", "s3:ListBucket", 0,
     "an object that is missing looks like one that may not be read"},
    {"ListMultipartUploads", "s3:ListBucketMultipartUploads", 0,
     "uploads that were forgotten are not found"},
    {"GetBucketLocation", "s3:GetBucketLocation", 0, "the bucket's region must be configured"},
};

/* Keys and their values of one request; the memory that they point to. */
struct known {
    struct context_key keys[KEYS_MAX];
    const char *values[KEYS_MAX];
    size_t n;
    char names[NAMES_MAX][NAME_BYTES]; /* the account, then those of tags */
    const char *tag_values[OURS_TAGS_MAX], *tag_keys[OURS_TAGS_MAX];
    char now[CLOCK_RFC3339_SIZE], epoch[24];
};

static void know(struct known *k, const char *name, const char *value)
{
    BUG_ON(k->n == KEYS_MAX);
    k->values[k->n] = value;
    k->keys[k->n] = (struct context_key){.name = name,
                                         .kind = value ? CONTEXT_ONE : CONTEXT_ABSENT,
                                         .values = &k->values[k->n],
                                         .n = value ? 1 : 0};
    k->n++;
}

static void know_list(struct known *k, const char *name, enum context_kind kind,
                      const char *const *values, size_t n)
{
    BUG_ON(k->n == KEYS_MAX);
    k->keys[k->n++] = (struct context_key){.name = name, .kind = kind, .values = values, .n = n};
}

static void know_time(struct known *k, int64_t now_s)
{
    clock_rfc3339(k->now, now_s * CLOCK_NS_PER_S);
    (void)snprintf(k->epoch, sizeof k->epoch, "%lld", (long long)now_s);
    know(k, "aws:CurrentTime", k->now);
    know(k, "aws:EpochTime", k->epoch);
}

static void know_principal(struct known *k, const char *arn)
{
    const char *account = arn;
    for (int colons = 0; *account && colons < 4; account++)
        colons += *account == ':';
    const char *resource = account + strcspn(account, ":");
    if (*resource == '\0')
        return;
    (void)snprintf(k->names[0], sizeof k->names[0], "%.*s", (int)(resource - account), account);
    resource++;
    bool role = strncmp(resource, "role/", 5) == 0, user = strncmp(resource, "user/", 5) == 0;
    know(k, "aws:PrincipalArn", arn);
    know(k, "aws:PrincipalAccount", k->names[0]);
    know(k, "aws:PrincipalType", role ? "AssumedRole" : user ? "User" : "Account");
    know(k, "aws:PrincipalIsAWSService", "false");
    if (user)
        know(k, "aws:username", strrchr(resource, '/') + 1);
    else
        know(k, "aws:username", NULL);
}

/* What is the same for all requests. */
static void know_always(struct known *k, const struct ours_cfg *cfg)
{
    static const char *const versions[] = {"1.2", "1.3"};
    /* A digest of the body always, never UNSIGNED-PAYLOAD: any two stand for all. */
    static const char *const digests[] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b"};
    static const char *const never[] = {"aws:SourceArn",
                                        "aws:SourceAccount",
                                        "aws:SourceOrgID",
                                        "aws:Referer",
                                        "aws:CalledVia",
                                        "aws:PrincipalServiceName",
                                        "s3:DataAccessPointArn",
                                        "s3:DataAccessPointAccount",
                                        "s3:AccessPointNetworkOrigin",
                                        "s3:AccessGrantsInstanceArn"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        know(k, never[i], NULL);
    know(k, "aws:ViaAWSService", "false");
    know(k, "aws:SecureTransport", cfg->plain_http ? "false" : "true");
    if (cfg->plain_http)
        know(k, "s3:TlsVersion", NULL);
    else
        know_list(k, "s3:TlsVersion", CONTEXT_ONE_OF, versions, 2);
    know_list(k, "s3:x-amz-content-sha256", CONTEXT_ONE_OF, digests, 2);
    know(k, "s3:authType", "REST-HEADER");
    know(k, "s3:signatureversion", "AWS4-HMAC-SHA256");
    if (cfg->owner) {
        know(k, "s3:ResourceAccount", cfg->owner);
        know(k, "aws:ResourceAccount", cfg->owner);
    }
    if (cfg->region)
        know(k, "aws:RequestedRegion", cfg->region);
    know_principal(k, cfg->principal);
    know_time(k, cfg->now_s);
}

static void know_tags(struct known *k, const struct ours_cfg *cfg)
{
    size_t n = cfg->n_tags < OURS_TAGS_MAX ? cfg->n_tags : OURS_TAGS_MAX;
    for (size_t i = 0; i < n; i++) {
        const char *equals = strchr(cfg->tags[i], '=');
        int len = (int)(equals ? (size_t)(equals - cfg->tags[i]) : strlen(cfg->tags[i]));
        char *name = k->names[1 + i];
        (void)snprintf(name, sizeof k->names[0], "s3:RequestObjectTag/%.*s", len, cfg->tags[i]);
        k->tag_keys[i] = name + strlen("s3:RequestObjectTag/");
        k->tag_values[i] = equals ? equals + 1 : "";
        know(k, name, k->tag_values[i]);
    }
    if (n == 0)
        know(k, "s3:RequestObjectTagKeys", NULL);
    else
        know_list(k, "s3:RequestObjectTagKeys", CONTEXT_LIST, k->tag_keys, n);
}

/* Headers of the request that makes an object. */
static void know_headers(struct known *k, const struct ours_cfg *cfg)
{
    static const char *const never[] = {
        "s3:x-amz-copy-source",
        "s3:x-amz-metadata-directive",
        "s3:x-amz-grant-full-control",
        "s3:x-amz-grant-read",
        "s3:x-amz-grant-read-acp",
        "s3:x-amz-grant-write",
        "s3:x-amz-grant-write-acp",
        "s3:x-amz-website-redirect-location",
        "s3:x-amz-server-side-encryption-customer-algorithm",
        "s3:object-lock-mode",
        "s3:object-lock-retain-until-date",
        "s3:object-lock-legal-hold",
        "s3:object-lock-remaining-retention-days",
    };
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        know(k, never[i], NULL);
    know(k, "s3:x-amz-acl", cfg->acl);
    know(k, "s3:x-amz-server-side-encryption", cfg->encryption);
    if (!cfg->kms_key ||
        strncmp(cfg->kms_key, "arn:", 4) == 0) /* S3 makes an ARN of what is none */
        know(k, "s3:x-amz-server-side-encryption-aws-kms-key-id", cfg->kms_key);
    know(k, "s3:x-amz-storage-class", cfg->storage_class);
    know_tags(k, cfg);
}

/* KNOWN: whether S3 holds the ACL, the encryption and the class of an upload against the policy for
 * its parts too is not documented, so these keys stay unknown there. */
static void know_request(struct known *k, const struct ours_cfg *cfg, unsigned bits)
{
    know_always(k, cfg);
    if (bits & BEGINS)
        know_headers(k, cfg);
    if (bits & (BEGINS | GOES_ON)) {
        /* S3 User Guide, "Enforce conditional writes": what makes the object, and how. */
        know(k, "s3:ObjectCreationOperation", bits & CREATES ? "true" : "false");
        know(k, "s3:if-none-match", bits & CREATES && cfg->if_none_match ? "*" : NULL);
        know(k, "s3:if-match", NULL);
    }
    for (size_t i = 0; i < cfg->n_known && k->n < KEYS_MAX; i++)
        k->keys[k->n++] = cfg->known[i];
}

static enum tri allowed(enum evaluate_decision d)
{
    return d == EVALUATE_ALLOWED ? TRI_YES : d == EVALUATE_UNKNOWN ? TRI_MAYBE : TRI_NO;
}

void ours_check(const struct statements *policy, const struct ours_cfg *cfg,
                struct ours_report *out)
{
    struct buf object;
    buf_init(&object, 8192);
    buf_addf(&object, "%s/%s", cfg->bucket_arn, cfg->key);
    out->n = 0;
    out->passes = TRI_YES;
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        const struct asked *a = &asked[i];
        if ((a->bits & IF_ACL && !cfg->acl) || (a->bits & IF_TAGS && cfg->n_tags == 0))
            continue;
        struct known k = {.n = 0};
        struct evaluate_request r = {
            .principal = cfg->principal,
            .session = cfg->session,
            .action = a->action,
            .resource = a->bits & ON_OBJECT ? object.data : cfg->bucket_arn,
        };
        struct ours_row *row = &out->rows[out->n++];
        *row = (struct ours_row){.request = a->request,
                                 .action = a->action,
                                 .required = (a->bits & REQUIRED) != 0,
                                 .without = a->without};
        know_request(&k, cfg, a->bits);
        r.context = (struct context){.keys = k.keys, .n = k.n};
        evaluate(policy, &r, &row->result);
        if (row->required)
            out->passes = tri_and(out->passes, allowed(row->result.decision));
    }
    buf_fini(&object);
}
