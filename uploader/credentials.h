/* Who we are to the store: a source that yields access keys, and the keys it yielded.
 *
 * A source may ask the network or run a program, so it is asked on a worker thread, by one thread
 * at a time; again before its keys expire or when a file it read has changed. The keys are
 * immutable and shared with the uploader threads. The chain tries, in this order: environment,
 * systemd credentials, web identity, shared files with profiles, container, EC2 instance. On top of
 * any, roles are assumed one after the other.
 */
#ifndef UPLOADER_CREDENTIALS_H
#define UPLOADER_CREDENTIALS_H

#include "base/rc.h"
#include "base/secret.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CREDENTIALS_ID_MAX     128
#define CREDENTIALS_SECRET_MAX 512
#define CREDENTIALS_TOKEN_MAX  12288

/* Can these be keys: within the lengths above, visible ASCII only (they go into headers)? Every
 * source asks before credentials_new. token may be NULL. RC_INVALID: "<where>: …", no secret in it.
 */
enum rc credentials_check(const char *access_key_id, const char *secret_access_key,
                          const char *session_token, const char *where, struct err *e) MUST_CHECK;

/* Immutable, reference-counted, shared between threads. */
struct credentials;
/* Copies all. session_token NULL: permanent keys. */
struct credentials *credentials_new(const char *access_key_id, const char *secret_access_key,
                                    const char *session_token, int64_t expires_unix_s);
/* The same for a source: origin is what credentials_origin says, else "the program". */
struct credentials *credentials_new_from(const char *origin, const char *access_key_id,
                                         const char *secret_access_key, const char *session_token,
                                         int64_t expires_unix_s);
struct credentials *credentials_share(struct credentials *c);
void credentials_free(struct credentials *c);
const char *credentials_access_key_id(const struct credentials *c);
const char *credentials_secret_access_key(const struct credentials *c);
const char *credentials_session_token(const struct credentials *c); /* NULL: permanent keys */
int64_t credentials_expires(const struct credentials *c);           /* INT64_MAX: never */
bool credentials_are_temporary(const struct credentials *c);
/* Differs between any two credentials made in this process, also with the same access key id:
 * whoever derives something from the secret keeps this to know when it is stale. Never 0. */
uint64_t credentials_serial(const struct credentials *c);
/* "environment", "profile prod in /root/.aws/credentials", …: for people, no secret in it. */
const char *credentials_origin(const struct credentials *c);

/* AssumeRole of STS: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html */
struct credentials_role {
    const char *arn;
    const char *external_id;  /* NULL: none */
    const char *session_name; /* NULL: "spoolgate" */
    uint64_t duration_ms;     /* 0: as STS has it, an hour */
    const char *endpoint;     /* NULL: AWS_ENDPOINT_URL_STS, else AWS's in the region */
};

struct credentials_cfg {
    const char *source;  /* "chain", "environment", "systemd", "web-identity", "file", "container",
                            "instance" */
    const char *profile; /* NULL: AWS_PROFILE, else "default" */
    const char *file;    /* NULL: AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials */
    const char *config_file;              /* NULL: AWS_CONFIG_FILE, else ~/.aws/config */
    const struct credentials_role *roles; /* assumed in turn, the last one's keys are yielded */
    size_t n_roles;
    const char *region;  /* where STS is asked, unless AWS_REGION or AWS_DEFAULT_REGION says */
    const char *ca_file; /* NULL: the system's; for endpoints of STS that are not AWS's */
    bool allow_http;     /* plain HTTP to such an endpoint that is not on loopback */
    bool fips;           /* AWS's FIPS endpoints of STS */
    /* Reads an environment variable: getenv for the program, a table for tests. */
    const char *(*env)(void *arg, const char *name);
    void *env_arg;
    const atomic_bool *stop; /* once it is true, as after credentials_source_stop; NULL: none */
};

/* What a source made from cfg reaches for, with the AWS tools' files as they are now: files that it
 * reads again and again, endpoints that are not AWS's, commands of credential_process. For a
 * process that confines itself before it asks. */
struct credentials_needs {
    void (*file)(void *arg, const char *path);
    void (*url)(void *arg, const char *url);
    void (*program)(void *arg, const char *command);
    void *arg;
};
void credentials_source_needs(const struct credentials_cfg *cfg, const struct credentials_needs *n);

/* A process of its own that runs credential_process from now on, and nothing but these commands:
 * made before this process confines itself, so that it need not run anything itself. It ends with
 * us. No other thread may be there yet. */
enum rc credentials_helper_start(const char *const commands[], size_t n, struct err *e) MUST_CHECK;
void credentials_helper_stop(void);    /* if there is one; waits for its end */
bool credentials_helper_is_gone(void); /* it was started, and has ended since */

struct credentials_source;
/* RC_INVALID: no such source. Reads nothing yet. */
enum rc credentials_source_new(const struct credentials_cfg *cfg, struct credentials_source **out,
                               struct err *e) MUST_CHECK;
void credentials_source_free(struct credentials_source *s);
/* Ask the source. RC_OK: *out is a new reference. RC_ABSENT: the source has none, e->text says
 * where it looked (for the chain: every place) and what to do. RC_DENIED: a file that may not be
 * read, or a refusal by STS or another endpoint. RC_NET: an endpoint that does not answer.
 * RC_INVALID: a file or an answer that cannot be understood (file and line). It may take as long as
 * its exchanges: 15 s each for STS, a minute for a credential_process. systemd:
 * $CREDENTIALS_DIRECTORY/aws_access_key_id, aws_secret_access_key, aws_session_token (optional), or
 * one file `aws_credentials` in the shared file's format. */
enum rc credentials_source_get(struct credentials_source *s, struct credentials **out,
                               struct err *e) MUST_CHECK;
/* From any thread, for good: what is under way ends soon with RC_CANCELLED. For a source that was
 * not given a stop of its own. */
void credentials_source_stop(struct credentials_source *s);
/* Has any file changed (inode, size, mtime, ctime) that the last answer came from, or that was
 * looked for and not found or not readable? Cheap: a stat a file. */
bool credentials_source_changed(struct credentials_source *s);
/* When to ask again: ten minutes before expiry, or with a third of the time left if that is sooner;
 * not under a second, so that a source that yields expired keys is not asked in a loop. UINT64_MAX:
 * never. now: wall seconds. */
uint64_t credentials_refresh_in_ms(const struct credentials *c, int64_t now_unix_s);

#endif
