/* What the sources of credentials share. For credentials*.c and their tests. */
#ifndef UPLOADER_CREDENTIALS_INT_H
#define UPLOADER_CREDENTIALS_INT_H

#include "base/buf.h"
#include "uploader/credentials.h"

#include "uploader/http.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* One kind of source. */
struct credentials_source_ops {
    const char *name;   /* as in credentials_cfg.source */
    const char *remedy; /* what to do when there are none */
    /* As credentials_source_get, but with RC_ABSENT e->text is a clause that says where it looked
     * ("AWS_ACCESS_KEY_ID is not set"), or "" where nothing asks for this source. */
    enum rc (*get)(struct credentials_source *s, struct credentials **out, struct err *e);
};
extern const struct credentials_source_ops credentials_env_ops;
extern const struct credentials_source_ops credentials_systemd_ops;
extern const struct credentials_source_ops credentials_file_ops;
extern const struct credentials_source_ops credentials_web_ops;
extern const struct credentials_source_ops credentials_container_ops;
extern const struct credentials_source_ops credentials_instance_ops;

/* A file as it was when it was looked at; there is false: there was none. */
struct credentials_stamp {
    char *path;
    bool there;
    struct stat st;
};
#define CREDENTIALS_STAMPS_MAX 16

struct credentials_source {
    const struct credentials_source_ops *ops;
    char *profile, *file, *config_file; /* NULL: from the environment */
    const char *(*env)(void *arg, const char *name);
    void *env_arg;
    char *region, *ca_file; /* NULL: none */
    bool allow_http, fips;
    struct credentials_role *roles; /* texts owned */
    size_t n_roles;
    const atomic_bool *stop; /* the caller's, or the next */
    atomic_bool stopped;
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

/* ---- one profile of the AWS tools' files ---- */

enum credentials_setting {
    CREDENTIALS_ROLE_ARN,
    CREDENTIALS_SOURCE_PROFILE,
    CREDENTIALS_CREDENTIAL_SOURCE,
    CREDENTIALS_EXTERNAL_ID,
    CREDENTIALS_SESSION_NAME,
    CREDENTIALS_DURATION,
    CREDENTIALS_MFA_SERIAL,
    CREDENTIALS_WEB_TOKEN_FILE,
    CREDENTIALS_PROCESS,
    CREDENTIALS_SETTINGS_
};
/* The pointers lead into the text. */
struct credentials_profile {
    bool found;
    char *access_key_id, *secret_access_key, *session_token; /* NULL: not there, or empty */
    char *settings[CREDENTIALS_SETTINGS_];                   /* the same */
    const char *other; /* a setting by which the AWS tools would get keys in another way, or NULL */
};
/* Cuts the text up in place. In a config file the sections are "[profile name]" but for
 * "[default]". RC_INVALID: "<path>, line N: …", no secret in it. */
enum rc credentials_ini_parse(char *text, const char *path, const char *profile, bool is_config,
                              struct credentials_profile *out, struct err *e) MUST_CHECK;
/* Keys from such files, by whatever way the profile names; config NULL: there is but the one.
 * RC_ABSENT as in credentials_source_ops. */
enum rc credentials_file_get(struct credentials_source *s, const char *path, const char *config,
                             struct credentials **out, struct err *e) MUST_CHECK;

/* Of the profile and those that it names; for credentials_source_needs. */
void credentials_file_needs(struct credentials_source *s, const char *path, const char *config,
                            const struct credentials_needs *n);
void credentials_shared_files_needs(struct credentials_source *s,
                                    const struct credentials_needs *n);

/* ---- credential_process ---- */

#define CREDENTIALS_WORDS_MAX 64
/* Split a command as Python's shlex does, which the AWS tools use: spaces, both quotes, backslash;
 * nothing is expanded. In place; words ends with NULL. RC_INVALID: an open quote, too many words,
 * none. */
enum rc credentials_split(char *command, char *words[CREDENTIALS_WORDS_MAX + 1],
                          struct err *e) MUST_CHECK;
/* Run it and read its answer. `command` is cut up. where: for messages. */
enum rc credentials_process_get(struct credentials_source *s, char *command, const char *where,
                                struct credentials **out, struct err *e) MUST_CHECK;

/* Start a program in a group of its own, its output on fd. 0, or an errno. */
int credentials_process_spawn(const struct credentials_source *s, char *const words[], int fd,
                              pid_t *pid);

/* It and all of its group, and wait for its end. */
void credentials_process_kill(pid_t pid);

/* ---- the helper ---- */

bool credentials_helper_is_there(void);
/* The same by the helper. *life: gives a struct credentials_helper_end when the program has ended;
 * closing it kills the program. 0, or an errno; EPERM: it is none of the helper's commands. */
int credentials_helper_run(const char *command, int fd, int *life);
struct credentials_helper_end {
    int code, status; /* of siginfo_t */
};

/* ---- exchanges with endpoints ---- */

struct credentials_question {
    const char *method, *url;
    const char *const *headers;
    size_t n_headers;
    const char *body; /* NULL: none */
    size_t body_len;
    const char *ca_file;
    bool no_proxy;
    uint64_t connect_ms, total_ms;
};
struct credentials_reply {
    int status;                /* 0: none came */
    enum http_failure failure; /* why */
    char text[256];            /* in words */
    int64_t ahead_s;           /* how far the endpoint's clock is ahead of ours; 0 under a minute */
    struct credentials_text body;
};
/* RC_OK: an answer came, whatever its status. RC_NET, RC_CANCELLED; RC_INVALID: over 64 KiB.
 * credentials_reply_fini is fine after a failure, too. */
enum rc credentials_ask(struct credentials_source *s, const struct credentials_question *q,
                        struct credentials_reply *out) MUST_CHECK;
void credentials_reply_fini(struct credentials_reply *r);

/* ---- answers; pure. where: "the container's endpoint": begins the sentence of a failure ---- */

/* How the fields are called. */
enum credentials_form { CREDENTIALS_OF_METADATA, CREDENTIALS_OF_PROCESS };
/* shift_s is added to the expiry. RC_INVALID; no text of the answer is shown. */
enum rc credentials_from_json(const struct credentials_text *t, enum credentials_form form,
                              const char *where, int64_t shift_s, struct credentials **out,
                              struct err *e) MUST_CHECK;
enum rc credentials_from_xml(const struct credentials_text *t, const char *where, int64_t shift_s,
                             struct credentials **out, struct err *e) MUST_CHECK;

/* ---- STS ---- */

/* AWS's in the region; size: 160. */
void credentials_sts_url(char *out, size_t size, const char *region, bool fips);
/* With the keys `base`. RC_DENIED: refused; RC_NET; e->code is STS's. */
enum rc credentials_assume(struct credentials_source *s, const struct credentials_role *role,
                           struct credentials *base, struct credentials **out,
                           struct err *e) MUST_CHECK;
/* With a token from a file, unsigned. */
enum rc credentials_assume_by_token(struct credentials_source *s,
                                    const struct credentials_role *role, const char *token_file,
                                    struct credentials **out, struct err *e) MUST_CHECK;

/* The URL that the container's variables name. RC_ABSENT: none; RC_INVALID: one that may not be
 * asked. */
enum rc credentials_container_url(const struct credentials_source *s, struct buf *url,
                                  struct err *e) MUST_CHECK;

#endif
