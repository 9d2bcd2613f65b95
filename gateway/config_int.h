/* Inside the configuration: the table of keys, and what reads and writes by it. For config*.c and
 * their tests only.
 */
#ifndef GATEWAY_CONFIG_INT_H
#define GATEWAY_CONFIG_INT_H

#include "gateway/config.h"

enum config_kind {
    CONFIG_KIND_OBJECT,   /* holds the keys "name.…" */
    CONFIG_KIND_TEXT,     /* char *, not empty unless the fallback is */
    CONFIG_KIND_WORD,     /* char *, one of words */
    CONFIG_KIND_CHOICE,   /* an enum: the index into words */
    CONFIG_KIND_PATH,     /* char *, absolute, without needless slashes */
    CONFIG_KIND_BOOL,     /* bool */
    CONFIG_KIND_COUNT,    /* unsigned */
    CONFIG_KIND_DAYS,     /* a number of days; uint64_t of milliseconds */
    CONFIG_KIND_SIZE,     /* uint64_t of bytes */
    CONFIG_KIND_DURATION, /* uint64_t of milliseconds */
    CONFIG_KIND_PATTERNS, /* ignore */
    CONFIG_KIND_TYPES,    /* send.types */
    CONFIG_KIND_PAIRS,    /* struct config_pairs: an object of at most `max` texts */
    CONFIG_KIND_ROLES     /* credentials.assume_role */
};

enum {
    CONFIG_REQUIRED = 1,
    CONFIG_NULLABLE = 2,    /* null: zero, NULL */
    CONFIG_ZERO = 4,        /* 0 besides min..max; `what` says its meaning */
    CONFIG_ARCHIVE_ONLY = 8 /* belongs to the action "archive" */
};

/* One key: what it may be, and where its value goes. */
struct config_key {
    const char *name; /* below its table's object: "bucket.arn" */
    enum config_kind kind;
    unsigned flags;
    size_t offset;
    const char *fallback; /* its default as text; patterns with a space between; NULL: zero */
    const char *example;
    const char *what;         /* instead of the kind's own words; of CONFIG_ZERO the meaning of 0 */
    const char *const *words; /* ends with NULL */
    uint64_t min, max;        /* max UINT64_MAX: none but the kind's */
    /* More about a text that is of the right form. RC_INVALID: e is what to say instead of
     * "expected …, found …". */
    enum rc (*check)(const char *value, struct err *e);
    enum rc (*check_pair)(const char *name, const char *value, struct err *e); /* of a pair */
    const char *if_array; /* said of an array where an object belongs */
};
struct config_table {
    const struct config_key *keys;
    size_t n;
};
extern const struct config_table config_table;      /* offsets into struct config */
extern const struct config_table config_type_table; /* into struct config_type */
extern const struct config_table config_role_table; /* into struct credentials_role */

/* Of a row of send.types: as the rest of the configuration has it. Gone after config_parse. */
#define CONFIG_INHERITED 15u

/* The key `name` of the object `parent` ("": the table's own), or NULL. */
const struct config_key *config_find(const struct config_table *t, const char *parent,
                                     const char *name);
/* Is k directly in the object parent? Its last part, else NULL. */
const char *config_key_in(const struct config_key *k, const char *parent);
static inline void *config_at(const struct config_key *k, void *base)
{
    return (char *)base + k->offset;
}

/* "a duration such as "1s" from 0s to 1h" */
void config_say_expected(struct buf *b, const struct config_key *k);
/* A value in few words: "my-bucket", an array of 2; NULL: nothing. Escaped and cut. */
void config_say_found(struct buf *b, const json_t *v);
void config_say_text(struct buf *b, const char *s);
/* What config_parse reads back as exactly this: "1h", "0s"; "64MiB", "0". */
void config_say_duration(struct buf *b, uint64_t ms);
void config_say_size(struct buf *b, uint64_t bytes);
/* About a key that is in no table: what was meant, or what there is. */
void config_say_unknown(struct buf *b, const struct config_table *t, const char *parent,
                        const char *name);

void config_fault(struct config_faults *f, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Defaults, then what root says. Faults in the order of the file. */
void config_read(struct config *c, const json_t *root, struct config_faults *f);
/* The texts of a role; the struct stays. */
void config_role_fini(struct credentials_role *role);
/* What no key alone can show: keys that do not fit together. Keys with a fault are NULL or have
 * their default. */
void config_check_whole(const struct config *c, const json_t *root, struct config_faults *f);
/* For single values; see config_key.check. */
enum rc config_check_arn(const char *value, struct err *e);
enum rc config_check_role(const char *value, struct err *e);
enum rc config_check_session(const char *value, struct err *e);
enum rc config_check_external_id(const char *value, struct err *e);
enum rc config_check_url(const char *value, struct err *e);
enum rc config_check_account(const char *value, struct err *e);
enum rc config_check_component(const char *value, struct err *e);
enum rc config_check_directory(const char *value, struct err *e);
enum rc config_check_plain(const char *value, struct err *e);
enum rc config_check_socket(const char *value, struct err *e);
enum rc config_check_listen(const char *value, struct err *e) MUST_CHECK;
enum rc config_check_word(const char *value, struct err *e);

void config_pairs_fini(struct config_pairs *p);

#endif
