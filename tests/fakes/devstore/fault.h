/* Scripted misbehaviour: rules that say which requests suffer, and what. */
#ifndef DEVSTORE_FAULT_H
#define DEVSTORE_FAULT_H

#include "base/rc.h"
#include "tests/fakes/devstore/operation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What befalls one request. All zero but for the two that count bytes: nothing. */
struct fault_effect {
    bool any;
    int status; /* 0: by the code */
    char code[64];
    unsigned retry_after_s;
    int64_t latency_ms;
    int64_t skew_s;                /* the server's clock is ahead by so much */
    int64_t slow;                  /* bytes a second, 0: as fast as it goes */
    int64_t reset_after, truncate; /* -1: not */
    int64_t wrong_length;          /* added to the Content-Length; 0: not */
    bool reset, store_then_reset, blackhole, error200, garbage, endless;
};

struct faults;
struct faults *faults_new(void);
void faults_free(struct faults *f);
/* The grammar is fault_help. RC_INVALID, RC_LIMIT: with a sentence. */
enum rc faults_add(struct faults *f, const char *spec, struct err *e) MUST_CHECK;
void faults_clear(struct faults *f);
/* Every rule that matches is counted; those that fire add what no earlier one has set. */
void faults_match(struct faults *f, enum operation op, const char *key, size_t key_len,
                  struct fault_effect *out);
extern const char fault_help[];

#endif
