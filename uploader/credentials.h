/* Who we are to the store: a source that yields access keys, and the keys it yielded.
 *
 * A source is asked on the main thread, refreshed before its keys expire or when a file it read
 * has changed; the keys are immutable and shared with the uploader threads. Sources here:
 * environment, shared files with profiles, systemd credentials, and the chain that tries them in
 * this order: environment, systemd, shared file. Others come behind the same table.
 */
#ifndef UPLOADER_CREDENTIALS_H
#define UPLOADER_CREDENTIALS_H

#include "base/rc.h"
#include "base/secret.h"

#include <stdbool.h>
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

struct credentials_cfg {
    const char *source;      /* "chain", "environment", "file", "systemd" */
    const char *profile;     /* NULL: AWS_PROFILE, else "default" */
    const char *file;        /* NULL: AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials */
    const char *config_file; /* NULL: AWS_CONFIG_FILE, else ~/.aws/config */
    /* Reads an environment variable: getenv for the program, a table for tests. */
    const char *(*env)(void *arg, const char *name);
    void *env_arg;
};

struct credentials_source;
/* RC_INVALID: no such source. Reads nothing yet. */
enum rc credentials_source_new(const struct credentials_cfg *cfg, struct credentials_source **out,
                               struct err *e) MUST_CHECK;
void credentials_source_free(struct credentials_source *s);
/* Ask the source. RC_OK: *out is a new reference. RC_ABSENT: the source has none, e->text says
 * where it looked (for the chain: every place) and what to do. RC_DENIED: a file that may not be
 * read. RC_INVALID: a file that cannot be understood (file and line). systemd:
 * $CREDENTIALS_DIRECTORY/aws_access_key_id, aws_secret_access_key, aws_session_token (optional), or
 * one file `aws_credentials` in the shared file's format. */
enum rc credentials_source_get(struct credentials_source *s, struct credentials **out,
                               struct err *e) MUST_CHECK;
/* Has any file changed (inode, size, mtime, ctime) that the last answer came from, or that was
 * looked for and not found or not readable? Cheap: a stat a file. */
bool credentials_source_changed(struct credentials_source *s);
/* When to ask again: ten minutes before expiry, or with a third of the time left if that is sooner;
 * not under a second, so that a source that yields expired keys is not asked in a loop. UINT64_MAX:
 * never. now: wall seconds. */
uint64_t credentials_refresh_in_ms(const struct credentials *c, int64_t now_unix_s);

#endif
