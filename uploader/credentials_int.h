/* What the sources of credentials share. For credentials*.c and their tests. */
#ifndef UPLOADER_CREDENTIALS_INT_H
#define UPLOADER_CREDENTIALS_INT_H

#include "base/buf.h"
#include "uploader/credentials.h"

#include <stddef.h>
#include <sys/stat.h>

/* One kind of source. */
struct credentials_source_ops {
    const char *name;   /* as in credentials_cfg.source */
    const char *remedy; /* what to do when there are none */
    /* As credentials_source_get, but with RC_ABSENT e->text is a clause that says where it looked
     * ("AWS_ACCESS_KEY_ID is not set"). */
    enum rc (*get)(struct credentials_source *s, struct credentials **out, struct err *e);
};
extern const struct credentials_source_ops credentials_env_ops;
extern const struct credentials_source_ops credentials_systemd_ops;
extern const struct credentials_source_ops credentials_file_ops;

/* A file as it was when it was looked at; there is false: there was none. */
struct credentials_stamp {
    char *path;
    bool there;
    struct stat st;
};
#define CREDENTIALS_STAMPS_MAX 8

struct credentials_source {
    const struct credentials_source_ops *ops;
    char *profile, *file, *config_file; /* NULL: from the environment */
    const char *(*env)(void *arg, const char *name);
    void *env_arg;
    struct credentials_stamp stamps[CREDENTIALS_STAMPS_MAX];
    size_t n_stamps;
};

/* The variable's value; NULL if it is unset or empty. */
const char *credentials_env(const struct credentials_source *s, const char *name);
/* The profile to use, never NULL. */
const char *credentials_profile(const struct credentials_source *s);

/* A file's bytes, NUL-terminated, and its stamp in s. Wipes itself: credentials_text_fini, which is
 * fine after a failure too. */
struct credentials_text {
    char *data;
    size_t len, size;
};
/* RC_ABSENT, RC_DENIED; RC_INVALID: not a regular file, over max bytes, or with a NUL in it. */
enum rc credentials_read(struct credentials_source *s, const char *path, size_t max,
                         struct credentials_text *out, struct err *e) MUST_CHECK;
void credentials_text_fini(struct credentials_text *t);

/* The keys of one profile in a file of the AWS tools. The pointers lead into the text. */
struct credentials_profile {
    bool found;
    char *access_key_id, *secret_access_key, *session_token; /* NULL: not there, or empty */
    const char *other; /* a setting by which the AWS tools would get keys in another way, or NULL */
};
/* Cuts the text up in place. In a config file the sections are "[profile name]" but for
 * "[default]". RC_INVALID: "<path>, line N: …", no secret in it. */
enum rc credentials_ini_parse(char *text, const char *path, const char *profile, bool is_config,
                              struct credentials_profile *out, struct err *e) MUST_CHECK;
/* Read such a file and make credentials of its profile. RC_ABSENT as in credentials_source_ops. */
enum rc credentials_file_get(struct credentials_source *s, const char *path, bool is_config,
                             struct credentials **out, struct err *e) MUST_CHECK;

#endif
