/* Every key of the configuration, one row each: the only place that knows its default and limits.
 *
 * The order of the rows is the order in which `config show` prints them. */
#include "gateway/config_int.h"

#include <assert.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

/* In the order of the enums in config.h and base/log.h. */
static const char *const classes[] = {"processed", "raw", NULL};
static const char *const contents[] = {"ndjson", "any", NULL};
static const char *const actions[] = {"delete", "archive", "keep", NULL};
static const char *const conflicts[] = {"keep-both", "hold", "overwrite", NULL};
static const char *const sandboxes[] = {"auto", "require", "off", NULL};
static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const formats[] = {"text", "json", NULL};
static const char *const acls[] = {"bucket-owner-full-control", "none", NULL};
static const char *const encryptions[] = {"none", "AES256", "aws:kms", "aws:kms:dsse", NULL};
static const char *const sources[] = {"chain", "environment", "systemd",  "web-identity",
                                      "file",  "container",   "instance", NULL};

/* A choice is stored as an unsigned. */
static_assert(sizeof(enum config_class) == sizeof(unsigned), "enum");
static_assert(sizeof(enum log_level) == sizeof(unsigned), "enum");

#define AT(field) .offset = offsetof(struct config, field)
#define OBJECT(n)                                                                                  \
    {                                                                                              \
        .name = n, .kind = CONFIG_KIND_OBJECT                                                      \
    }
#define BOOL(n, f, d)                                                                              \
    {                                                                                              \
        .name = n, .kind = CONFIG_KIND_BOOL, AT(f), .fallback = d                                  \
    }
#define CHOICE(n, f, w, d)                                                                         \
    {                                                                                              \
        .name = n, .kind = CONFIG_KIND_CHOICE, AT(f), .words = w, .fallback = d                    \
    }
#define COUNT(n, f, d, lo, hi)                                                                     \
    {                                                                                              \
        .name = n, .kind = CONFIG_KIND_COUNT, AT(f), .fallback = d, .min = lo, .max = hi           \
    }
#define DURATION(n, f, d, lo, hi)                                                                  \
    {                                                                                              \
        .name = n, .kind = CONFIG_KIND_DURATION, AT(f), .fallback = d, .min = lo, .max = hi        \
    }
#define DIRECTORY(n, f, ex)                                                                        \
    {                                                                                              \
        .name = n, .kind = CONFIG_KIND_PATH, .flags = CONFIG_REQUIRED, AT(f), .example = ex,       \
        .check = config_check_directory                                                            \
    }
#define FILE_OR_NULL(n, f, ex)                                                                     \
    {                                                                                              \
        .name = n, .kind = CONFIG_KIND_PATH, .flags = CONFIG_NULLABLE, AT(f), .example = ex        \
    }

static const struct config_key keys[] = {
    DIRECTORY("spool", spool, "/var/spool/spoolgate"),
    DIRECTORY("state", state, "/var/lib/spoolgate"),
    {.name = "account_name",
     .kind = CONFIG_KIND_TEXT,
     .flags = CONFIG_REQUIRED,
     AT(account_name),
     .what = "a name such as \"prod\", one component of a path",
     .check = config_check_component},
    {.name = "bucket",
     .kind = CONFIG_KIND_OBJECT,
     .flags = CONFIG_REQUIRED,
     .what = "one object",
     .if_array = "one installation serves one bucket; run a second instance for a second bucket"},
    {.name = "bucket.arn",
     .kind = CONFIG_KIND_TEXT,
     .flags = CONFIG_REQUIRED,
     AT(bucket.arn),
     .what = "an S3 bucket ARN such as \"arn:aws:s3:::my-bucket\"",
     .check = config_check_arn},
    {.name = "bucket.region",
     .kind = CONFIG_KIND_TEXT,
     .flags = CONFIG_REQUIRED,
     AT(bucket.region),
     .what = "a region such as \"eu-central-1\""},
    {.name = "bucket.endpoint",
     .kind = CONFIG_KIND_TEXT,
     .flags = CONFIG_NULLABLE,
     AT(bucket.endpoint),
     .what = "a URL such as \"https://store.example:9000\", or null for AWS"},
    BOOL("bucket.path_style", bucket.path_style, "false"),
    {.name = "bucket.acl",
     .kind = CONFIG_KIND_WORD,
     .flags = CONFIG_NULLABLE,
     AT(bucket.acl),
     .words = acls,
     .fallback = "bucket-owner-full-control"},
    FILE_OR_NULL("bucket.ca_file", bucket.ca_file, "/etc/spoolgate/ca.pem"),
    BOOL("bucket.dual_stack", bucket.dual_stack, "false"),
    BOOL("bucket.fips", bucket.fips, "false"),
    BOOL("bucket.allow_http", bucket.allow_http, "false"),
    {.name = "bucket.encryption",
     .kind = CONFIG_KIND_OBJECT,
     .what = "an object such as {\"algorithm\": \"AES256\"}"},
    {.name = "bucket.encryption.algorithm",
     .kind = CONFIG_KIND_WORD,
     .flags = CONFIG_NULLABLE,
     AT(bucket.encryption.algorithm),
     .words = encryptions,
     .fallback = "none"},
    {.name = "bucket.encryption.kms_key_id",
     .kind = CONFIG_KIND_TEXT,
     .flags = CONFIG_NULLABLE,
     AT(bucket.encryption.kms_key_id),
     .what = "the ARN or id of a KMS key without spaces, or null",
     .check = config_check_word},
    BOOL("bucket.encryption.bucket_key_enabled", bucket.encryption.bucket_key_enabled, "false"),
    {.name = "bucket.encryption.context",
     .kind = CONFIG_KIND_PAIRS,
     AT(bucket.encryption.context),
     .what = "an object of texts such as {\"application\": \"siem\"}",
     .max = 32},
    {.name = "bucket.storage_class",
     .kind = CONFIG_KIND_TEXT,
     .flags = CONFIG_NULLABLE,
     AT(bucket.storage_class),
     .what = "a storage class such as \"STANDARD_IA\", or null for the bucket's own",
     .check = config_check_word},
    {.name = "bucket.tags",
     .kind = CONFIG_KIND_PAIRS,
     AT(bucket.tags),
     .what = "an object of texts such as {\"team\": \"siem\"}",
     .max = OPTIONS_TAGS_MAX,
     .check_pair = options_check_tag},
    {.name = "bucket.expected_owner",
     .kind = CONFIG_KIND_TEXT,
     .flags = CONFIG_NULLABLE,
     AT(bucket.expected_owner),
     .what = "the 12 digits of the owner's account in quotes, or null",
     .check = config_check_account},
    BOOL("bucket.requester_pays", bucket.requester_pays, "false"),
    OBJECT("credentials"),
    {.name = "credentials.source",
     .kind = CONFIG_KIND_WORD,
     AT(credentials.source),
     .words = sources,
     .fallback = "chain"},
    {.name = "credentials.profile",
     .kind = CONFIG_KIND_TEXT,
     .flags = CONFIG_NULLABLE,
     AT(credentials.profile),
     .what = "the name of a profile such as \"prod\", or null",
     .check = config_check_plain},
    FILE_OR_NULL("credentials.file", credentials.file, "/etc/spoolgate/credentials"),
    {.name = "credentials.assume_role",
     .kind = CONFIG_KIND_ROLES,
     .flags = CONFIG_NULLABLE,
     AT(credentials.roles),
     .what =
         "an object such as {\"arn\": \"arn:aws:iam::111122223333:role/name\"}, an array of them "
         "for roles assumed one after the other, or null"},
    {.name = "prefix",
     .kind = CONFIG_KIND_TEXT,
     AT(prefix),
     .fallback = "",
     .what = "a text such as \"some/where/\""},
    {.name = "layout",
     .kind = CONFIG_KIND_TEXT,
     AT(layout),
     .fallback = "Panoptica/{event_type}/{date}/{account}/{file}",
     .what = "a template such as \"Panoptica/{event_type}/{date}/{account}/{file}\", or \"any\""},
    OBJECT("send"),
    BOOL("send.raw", send.raw, "true"),
    BOOL("send.processed", send.processed, "true"),
    CHOICE("send.unnamed", send.unnamed, classes, "processed"),
    {.name = "send.types", .kind = CONFIG_KIND_TYPES, AT(send.types)},
    CHOICE("content", content, contents, "ndjson"),
    OBJECT("after_delivery"),
    CHOICE("after_delivery.action", after_delivery.action, actions, "delete"),
    {.name = "after_delivery.keep",
     .kind = CONFIG_KIND_DURATION,
     .flags = CONFIG_ZERO | CONFIG_ARCHIVE_ONLY,
     AT(after_delivery.keep_ms),
     .fallback = "30d",
     .example = "30d",
     .min = SECOND,
     .max = UINT64_C(3650) * DAY,
     .what = "for ever"},
    {.name = "after_delivery.max_size",
     .kind = CONFIG_KIND_SIZE,
     .flags = CONFIG_ZERO | CONFIG_ARCHIVE_ONLY,
     AT(after_delivery.max_bytes),
     .example = "10GiB",
     .min = KIB,
     .max = UINT64_MAX,
     .what = "no limit"},
    CHOICE("conflict", conflict, conflicts, "keep-both"),
    {.name = "ignore",
     .kind = CONFIG_KIND_PATTERNS,
     AT(ignore),
     .fallback = "*.tmp *.part *.swp",
     .what = "an array of patterns such as [\"*.tmp\"]"},
    DURATION("settle", settle_ms, "1s", 0, HOUR),
    DURATION("rescan", rescan_ms, "5min", 10 * SECOND, DAY),
    COUNT("uploads", uploads, "32", 1, 1024),
    {.name = "threads",
     .kind = CONFIG_KIND_COUNT,
     .flags = CONFIG_NULLABLE,
     AT(threads),
     .min = 1,
     .max = 16},
    {.name = "control",
     .kind = CONFIG_KIND_PATH,
     AT(control),
     .example = "/run/spoolgate/control.sock",
     .fallback = "/run/spoolgate/control.sock",
     .check = config_check_socket},
    OBJECT("metrics"),
    {.name = "metrics.listen",
     .kind = CONFIG_KIND_TEXT,
     .flags = CONFIG_NULLABLE,
     AT(metrics.listen),
     .what = "an address and a port such as \"127.0.0.1:9469\", or null",
     .check = config_check_listen},
    BOOL("metrics.allow_remote", metrics.allow_remote, "false"),
    CHOICE("sandbox", sandbox, sandboxes, "auto"),
    OBJECT("receipts"),
    {.name = "receipts.keep_days",
     .kind = CONFIG_KIND_DAYS,
     AT(receipts_keep_ms),
     .fallback = "30",
     .min = 1,
     .max = 3650},
    OBJECT("multipart"),
    {.name = "multipart.threshold",
     .kind = CONFIG_KIND_SIZE,
     AT(multipart.threshold),
     .fallback = "64MiB",
     .min = 5 * MIB,
     .max = 5 * GIB},
    {.name = "multipart.part_size",
     .kind = CONFIG_KIND_SIZE,
     .flags = CONFIG_ZERO,
     AT(multipart.part_size),
     .example = "16MiB",
     .min = 5 * MIB,
     .max = 5 * GIB,
     .what = "by the object's size"},
    COUNT("multipart.parallel", multipart.parallel, "4", 1, 16),
    OBJECT("timeouts"),
    DURATION("timeouts.connect", timeouts.connect_ms, "10s", 100, HOUR),
    DURATION("timeouts.first_byte", timeouts.first_byte_ms, "1min", 100, HOUR),
    DURATION("timeouts.stall", timeouts.stall_ms, "1min", 100, HOUR),
    BOOL("checksum_sha256", checksum_sha256, "true"),
    BOOL("content_md5", content_md5, "false"),
    BOOL("if_none_match", if_none_match, "true"),
    {.name = "bandwidth",
     .kind = CONFIG_KIND_SIZE,
     .flags = CONFIG_ZERO,
     AT(bandwidth),
     .example = "10MiB",
     .min = KIB,
     .max = UINT64_MAX,
     .what = "no limit"},
    OBJECT("limits"),
    {.name = "limits.max_file_size",
     .kind = CONFIG_KIND_SIZE,
     AT(limits.file_max),
     .fallback = "5TiB",
     .min = 1,
     .max = 5 * TIB},
    {.name = "limits.quota",
     .kind = CONFIG_KIND_SIZE,
     .flags = CONFIG_ZERO,
     AT(limits.quota),
     .example = "100GiB",
     .min = KIB,
     .max = UINT64_MAX,
     .what = "no limit"},
    COUNT("limits.min_free_percent", limits.free_percent, "5", 0, 50),
    COUNT("limits.min_free_inodes_percent", limits.free_inodes_percent, "5", 0, 50),
    OBJECT("log"),
    CHOICE("log.level", log.level, levels, "info"),
    CHOICE("log.format", log.format, formats, "text"),
};
const struct config_table config_table = {keys, sizeof keys / sizeof keys[0]};

static const struct config_key type_keys[] = {
    {.name = "class",
     .kind = CONFIG_KIND_CHOICE,
     .offset = offsetof(struct config_type, class),
     .words = classes},
    {.name = "priority",
     .kind = CONFIG_KIND_COUNT,
     .offset = offsetof(struct config_type, priority),
     .max = 100},
    {.name = "content",
     .kind = CONFIG_KIND_CHOICE,
     .offset = offsetof(struct config_type, content),
     .words = contents},
};
const struct config_table config_type_table = {type_keys, sizeof type_keys / sizeof type_keys[0]};

static const struct config_key role_keys[] = {
    {.name = "arn",
     .kind = CONFIG_KIND_TEXT,
     .flags = CONFIG_REQUIRED,
     .offset = offsetof(struct credentials_role, arn),
     .what = "the ARN of a role such as \"arn:aws:iam::111122223333:role/name\"",
     .check = config_check_role},
    {.name = "external_id",
     .kind = CONFIG_KIND_TEXT,
     .flags = CONFIG_NULLABLE,
     .offset = offsetof(struct credentials_role, external_id),
     .what = "the external id that the role's trust policy asks for, or null",
     .check = config_check_external_id},
    {.name = "session_name",
     .kind = CONFIG_KIND_TEXT,
     .offset = offsetof(struct credentials_role, session_name),
     .what = "a name such as \"spoolgate\"",
     .check = config_check_session},
    {.name = "duration",
     .kind = CONFIG_KIND_DURATION,
     .flags = CONFIG_ZERO,
     .offset = offsetof(struct credentials_role, duration_ms),
     .example = "1h",
     .min = 15 * MINUTE,
     .max = 12 * HOUR,
     .what = "as STS has it"},
    {.name = "endpoint",
     .kind = CONFIG_KIND_TEXT,
     .flags = CONFIG_NULLABLE,
     .offset = offsetof(struct credentials_role, endpoint),
     .what = "a URL such as \"https://store.example:9000\", or null for AWS",
     .check = config_check_url},
};
const struct config_table config_role_table = {role_keys, sizeof role_keys / sizeof role_keys[0]};

const char *config_key_in(const struct config_key *k, const char *parent)
{
    size_t n = strlen(parent);
    const char *last = k->name;
    if (n > 0) {
        if (strncmp(k->name, parent, n) != 0 || k->name[n] != '.')
            return NULL;
        last += n + 1;
    }
    return strchr(last, '.') ? NULL : last;
}

const struct config_key *config_find(const struct config_table *t, const char *parent,
                                     const char *name)
{
    for (size_t i = 0; i < t->n; i++) {
        const char *last = config_key_in(&t->keys[i], parent);
        if (last && strcmp(last, name) == 0)
            return &t->keys[i];
    }
    return NULL;
}
