/* Links, sessions and attempts: see session.h. What has ended is forgotten when the table is next
 * looked at; the tables are small and fixed, so that nobody can fill memory with them.
 *
 * The token that goes with changes is derived from the cookie with a key of this process: whoever
 * has read the one in some answer does not have the other, and there is nothing to keep.
 */
#include "gateway/session.h"

#include "base/checksum.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN_BYTES 32

struct row { /* of a link or a session; used_ms of a link is when it was made */
    bool taken;
    uint8_t digest[SHA256_SIZE];
    uint64_t made_ms, used_ms;
};
struct session_table {
    struct row links[SESSION_LINKS_MAX], sessions[SESSION_MAX];
    uint64_t refused_ms[SESSION_ATTEMPTS]; /* a ring of the last ones */
    size_t n_refused;
    struct secret *key;
};

struct session_table *session_table_new(void)
{
    struct session_table *t = mem_alloc(sizeof *t);
    char key[TOKEN_BYTES];
    random_bytes(key, sizeof key);
    t->key = secret_new(key, sizeof key);
    secret_wipe(key, sizeof key);
    return t;
}

void session_table_free(struct session_table *t)
{
    if (!t)
        return;
    secret_free(t->key);
    free(t);
}

static void digest_of(const char *token, uint8_t out[SHA256_SIZE])
{
    sha256(token, strlen(token), out);
}

/* The row with this digest. All are looked at, whichever it is. */
static struct row *find(struct row *rows, size_t n, const char *token)
{
    uint8_t digest[SHA256_SIZE];
    struct row *found = NULL;
    digest_of(token, digest);
    for (size_t i = 0; i < n; i++) {
        bool same = secret_equal(rows[i].digest, digest, sizeof digest);
        if (rows[i].taken && same)
            found = &rows[i];
    }
    return found;
}

/* A free row, else the one that was not used for the longest. */
static struct row *room(struct row *rows, size_t n)
{
    struct row *best = &rows[0];
    for (size_t i = 0; i < n && best->taken; i++) {
        if (!rows[i].taken || rows[i].used_ms < best->used_ms)
            best = &rows[i];
    }
    return best;
}

static void make(struct row *rows, size_t n, uint64_t now_ms, char token[SESSION_TOKEN_SIZE])
{
    struct row *r = room(rows, n);
    uint8_t bytes[TOKEN_BYTES];
    random_bytes(bytes, sizeof bytes);
    hex_encode(token, bytes, sizeof bytes);
    secret_wipe(bytes, sizeof bytes);
    *r = (struct row){.taken = true, .made_ms = now_ms, .used_ms = now_ms};
    digest_of(token, r->digest);
}

static void forget_ended(struct session_table *t, uint64_t now_ms)
{
    for (size_t i = 0; i < SESSION_LINKS_MAX; i++) {
        if (now_ms - t->links[i].made_ms >= SESSION_LINK_MS)
            t->links[i] = (struct row){0};
    }
    for (size_t i = 0; i < SESSION_MAX; i++) {
        if (now_ms - t->sessions[i].used_ms >= SESSION_IDLE_MS ||
            now_ms - t->sessions[i].made_ms >= SESSION_LIFE_MS)
            t->sessions[i] = (struct row){0};
    }
}

void session_link(struct session_table *t, uint64_t now_ms, char token[SESSION_TOKEN_SIZE])
{
    forget_ended(t, now_ms);
    make(t->links, SESSION_LINKS_MAX, now_ms, token);
}

static void derive_csrf(const struct session_table *t, const char *cookie,
                        char csrf[SESSION_TOKEN_SIZE])
{
    uint8_t mac[SHA256_SIZE];
    hmac_sha256(secret_text(t->key), secret_len(t->key), cookie, strlen(cookie), mac);
    hex_encode(csrf, mac, sizeof mac);
    secret_wipe(mac, sizeof mac);
}

uint64_t session_wait_ms(const struct session_table *t, uint64_t now_ms)
{
    if (t->n_refused < SESSION_ATTEMPTS)
        return 0;
    uint64_t since = now_ms - t->refused_ms[t->n_refused % SESSION_ATTEMPTS]; /* the oldest */
    return since < SESSION_ATTEMPTS_MS ? SESSION_ATTEMPTS_MS - since : 0;
}

enum session_answer session_open(struct session_table *t, uint64_t now_ms, const char *token,
                                 char cookie[SESSION_TOKEN_SIZE], char csrf[SESSION_TOKEN_SIZE])
{
    forget_ended(t, now_ms);
    if (session_wait_ms(t, now_ms) > 0)
        return SESSION_LATER;
    struct row *link = token ? find(t->links, SESSION_LINKS_MAX, token) : NULL;
    if (!link) {
        t->refused_ms[t->n_refused++ % SESSION_ATTEMPTS] = now_ms;
        return SESSION_REFUSED;
    }
    *link = (struct row){0};
    make(t->sessions, SESSION_MAX, now_ms, cookie);
    derive_csrf(t, cookie, csrf);
    return SESSION_OPENED;
}

bool session_use(struct session_table *t, uint64_t now_ms, const char *cookie,
                 char csrf[SESSION_TOKEN_SIZE])
{
    forget_ended(t, now_ms);
    struct row *session = cookie ? find(t->sessions, SESSION_MAX, cookie) : NULL;
    if (!session)
        return false;
    session->used_ms = now_ms;
    derive_csrf(t, cookie, csrf);
    return true;
}

bool session_csrf_is(const char csrf[SESSION_TOKEN_SIZE], const char *given)
{
    return given && strlen(given) == SESSION_TOKEN_SIZE - 1 &&
           secret_equal(csrf, given, SESSION_TOKEN_SIZE - 1);
}

void session_end(struct session_table *t, const char *cookie)
{
    struct row *session = find(t->sessions, SESSION_MAX, cookie);
    if (session)
        *session = (struct row){0};
}

size_t session_count(struct session_table *t, uint64_t now_ms)
{
    size_t n = 0;
    forget_ended(t, now_ms);
    for (size_t i = 0; i < SESSION_LINKS_MAX; i++)
        n += t->links[i].taken;
    for (size_t i = 0; i < SESSION_MAX; i++)
        n += t->sessions[i].taken;
    return n;
}
