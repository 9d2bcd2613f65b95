/* The configuration: one JSON file, checked whole, every fault told with its JSON path.
 *
 * There are no secrets in it. Unknown keys, wrong types and values out of range are faults; all of
 * them are listed, not the first only. spoolgate.json(5) in the README lists keys and defaults.
 */
#ifndef GATEWAY_CONFIG_H
#define GATEWAY_CONFIG_H

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "uploader/credentials.h"
#include "uploader/options.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_PATH_DEFAULT "/etc/spoolgate/spoolgate.json"
#define CONFIG_ENV          "SPOOLGATE_CONFIG"

enum config_class { CONFIG_PROCESSED, CONFIG_RAW };
enum config_content { CONFIG_NDJSON, CONFIG_ANY };
enum config_action { CONFIG_DELETE, CONFIG_ARCHIVE, CONFIG_KEEP };
enum config_sandbox { CONFIG_SANDBOX_AUTO, CONFIG_SANDBOX_REQUIRE, CONFIG_SANDBOX_OFF };
enum config_conflict { CONFIG_KEEP_BOTH, CONFIG_HOLD, CONFIG_OVERWRITE };

struct config_type { /* send.types.NAME */
    char *name;
    enum config_class class;
    unsigned priority; /* 0..100, default 0 */
    enum config_content content;
    /* What a row does not say is send.unnamed, 0, and the configuration's content. */
};

struct config_pairs { /* an object of texts */
    struct options_pair *items;
    size_t n;
};

#define CONFIG_ROLES_MAX 8

struct config {
    char *path;         /* of the file it was read from */
    char *spool;        /* required, absolute */
    char *state;        /* required, absolute, not inside spool nor around it */
    char *account_name; /* required: one path component, no '/' */
    struct {
        char *arn;       /* required: arn:PARTITION:s3:::NAME */
        char *name;      /* from the ARN */
        char *partition; /* "aws", "aws-us-gov", "aws-cn" */
        char *region;    /* required */
        char *endpoint;  /* NULL: AWS */
        char *acl;       /* default "bucket-owner-full-control"; NULL when "none" is configured */
        char *ca_file;   /* NULL: the system's */
        bool path_style, dual_stack, fips, allow_http;
        struct {
            char *algorithm;  /* NULL when "none" is configured, the default */
            char *kms_key_id; /* NULL */
            bool bucket_key_enabled;
            struct config_pairs context;
            char *context_text; /* of the header; NULL: none */
        } encryption;
        char *storage_class; /* NULL: the bucket's own */
        struct config_pairs tags;
        char *tagging;        /* of the header; NULL: none */
        char *expected_owner; /* 12 digits; NULL */
        bool requester_pays;
    } bucket;
    struct {
        char *source;         /* "chain" */
        char *profile, *file; /* NULL */
        /* assume_role, one object or several in an array; texts owned. session_name is "spoolgate"
         * by default, duration_ms 0 or 15min..12h. */
        struct credentials_role *roles;
        size_t n_roles;
    } credentials;
    char *prefix; /* "" */
    char *layout;
    struct {
        bool raw, processed;
        enum config_class unnamed; /* default processed */
        struct config_type *types;
        size_t n_types;
    } send;
    enum config_content content; /* of event types not named; default ndjson */
    struct {
        enum config_action action;
        uint64_t keep_ms;   /* archive.keep, default 30d; 0: for ever ("0") */
        uint64_t max_bytes; /* archive.max_size, default 0: no limit */
    } after_delivery;
    enum config_conflict conflict; /* "keep-both" */
    char **ignore;                 /* "*.tmp", "*.part", "*.swp" by default */
    size_t n_ignore;
    uint64_t settle_ms; /* 1s; 0s..1h */
    uint64_t rescan_ms; /* 5min; 10s.. */
    unsigned uploads;   /* 32; 1..1024 */
    unsigned threads;   /* null or absent: 0, the number of cores, at most 4; 1..16 */
    char *control;      /* absolute path of the unix socket */
    struct {
        char *listen;      /* "127.0.0.1:9469"; NULL: on the control socket only */
        bool allow_remote; /* false: listen is on this machine only */
    } metrics;
    enum config_sandbox sandbox; /* auto */
    uint64_t receipts_keep_ms;   /* receipts.keep_days 30; 1..3650 */
    struct {
        uint64_t threshold; /* 64MiB; 5MiB..5GiB */
        uint64_t part_size; /* 0: by object size; else 5MiB..5GiB */
        unsigned parallel;  /* 4; 1..16 */
    } multipart;
    struct {
        uint64_t connect_ms, first_byte_ms, stall_ms; /* 10s, 60s, 60s */
    } timeouts;
    bool checksum_sha256, content_md5, if_none_match; /* true, false, true */
    uint64_t bandwidth;                               /* bytes per second, 0: no limit */
    struct {
        uint64_t file_max;            /* max_file_size: 5TiB */
        uint64_t quota;               /* of the spool: bytes accepted and waiting; 0: none */
        unsigned free_percent;        /* min_free_percent: 5; 0..50 */
        unsigned free_inodes_percent; /* min_free_inodes_percent: 5; 0..50 */
    } limits;
    struct {
        enum log_level level;   /* info */
        enum log_format format; /* text */
    } log;
};

/* What is wrong, one line each: "$.bucket.arn: expected …, found …". In the order of the file, then
 * what does not fit together. Zero at first; lines are added. */
struct config_faults {
    char **lines;
    size_t n;
};
/* Read and check. RC_OK: *out. RC_INVALID: faults has every one. Any other result: the file cannot
 * be read (RC_ABSENT, RC_DENIED, RC_LIMIT over 1 MiB, RC_IO), one line says why and the remedy. */
enum rc config_load(const char *path, struct config **out, struct config_faults *faults) MUST_CHECK;
/* The same from text: for tests and for the console. path is for messages only. */
enum rc config_parse(const char *text, size_t n, const char *path, struct config **out,
                     struct config_faults *faults) MUST_CHECK;
void config_free(struct config *c);
void config_faults_fini(struct config_faults *f);
/* -c FILE, else $SPOOLGATE_CONFIG, else the packaged path. */
const char *config_choose_path(const char *from_option);
/* Everything with its defaults filled in, as a document that config_parse accepts. Caller
 * json_decrefs. */
json_t *config_to_json(const struct config *c);

/* Of an event type. The row named or a static default one. */
const struct config_type *config_type(const struct config *c, const char *event_type, size_t n);
/* Is it sent (send.raw, send.processed)? */
bool config_selects(const struct config *c, const char *event_type, size_t n);
bool config_selects_all(const struct config *c); /* whatever it is called */

#endif
