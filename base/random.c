/* Randomness from libsodium. */
#include "base/random.h"

#include "base/rc.h"

#include <sodium.h>

/* Before main and before any thread: nothing may ask for random bytes earlier, and guarded memory
 * (base/secret.c) needs it as well. */
__attribute__((constructor)) static void start_sodium(void)
{
    BUG_ON(sodium_init() < 0);
}

void random_bytes(void *out, size_t n)
{
    randombytes_buf(out, n);
}

uint32_t random_below(uint32_t bound)
{
    return bound ? randombytes_uniform(bound) : 0;
}

static uint32_t system_below(void *arg, uint32_t bound)
{
    (void)arg;
    return random_below(bound);
}

const struct random_source random_system = {.below = system_below};
