/* Randomness from libsodium, and a seam for tests: whoever needs random numbers for a decision
 * takes a struct random_source, so that a test can give it known ones. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t n);
/* Uniform in [0, bound); 0 if bound is 0. */
uint32_t random_below(uint32_t bound);

struct random_source {
    uint32_t (*below)(void *arg, uint32_t bound);
    void *arg;
};
extern const struct random_source random_system;

#endif
