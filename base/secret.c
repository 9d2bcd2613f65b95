/* Secrets in libsodium's guarded memory. Once made a secret is read-only to the whole process, so
 * that sharing between threads needs no lock; the count of owners lives outside the guarded page.
 */
#include "base/secret.h"

#include "base/mem.h"
#include "base/rc.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct secret {
    atomic_uint owners;
    size_t len;
    char *text; /* guarded */
};

struct secret *secret_new(const char *text, size_t n)
{
    /* Idempotent and cheap; a constructor elsewhere may not have been linked in. */
    BUG_ON(sodium_init() < 0);
    struct secret *s = mem_alloc(sizeof *s);
    atomic_init(&s->owners, 1);
    s->len = n;
    /* KNOWN: where RLIMIT_MEMLOCK is used up, libsodium goes on without the lock, and the secret
     * may reach the swap. Guard pages and the exclusion from core dumps hold all the same. */
    s->text = sodium_malloc(n + 1);
    BUG_ON(!s->text);
    memcpy(s->text, text, n);
    s->text[n] = '\0';
    BUG_ON(sodium_mprotect_readonly(s->text) != 0);
    return s;
}

struct secret *secret_share(struct secret *s)
{
    if (s)
        atomic_fetch_add_explicit(&s->owners, 1, memory_order_relaxed);
    return s;
}

void secret_free(struct secret *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->owners, 1, memory_order_acq_rel) != 1)
        return;
    sodium_free(s->text);
    free(s);
}

const char *secret_text(const struct secret *s)
{
    return s->text;
}

size_t secret_len(const struct secret *s)
{
    return s->len;
}

void secret_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

bool secret_equal(const void *a, const void *b, size_t n)
{
    return sodium_memcmp(a, b, n) == 0;
}
