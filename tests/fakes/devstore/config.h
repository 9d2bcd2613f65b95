/* What the command line chose. Filled by main.c, constant afterwards. */
#ifndef DEVSTORE_CONFIG_H
#define DEVSTORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_DENY_MAX    16
#define CONFIG_FAULTS_MAX  64
#define CONFIG_THREADS_MAX 64

struct config {
    const char *address;
    unsigned port; /* 0: the kernel picks one */
    const char *port_file;
    unsigned threads;

    const char *dir; /* NULL when counting */
    bool count;      /* keep no bytes */

    const char *access_key, *secret_key;
    const char *token; /* NULL: none is expected */
    bool session_keys; /* temporary keys derived from ours are accepted, too: see auth.c */
    const char *bucket, *region;
    const char *domain; /* NULL: path style only */

    bool require_acl;
    bool lenient;          /* aws-chunked bodies are decoded, their chunk signatures not checked */
    bool unsigned_payload; /* UNSIGNED-PAYLOAD is accepted */
    bool no_md5;
    bool deny_multipart;
    bool versioning;
    bool verbose;
    bool stats_at_exit;
    const char *deny_prefixes[CONFIG_DENY_MAX];
    size_t n_deny_prefixes;
    const char *faults[CONFIG_FAULTS_MAX];
    size_t n_faults;

    const char *tls_cert, *tls_key; /* both or none */
    const char *log_keys;
    uint64_t idle_ms; /* close a connection that was idle for so long; 0: never */
};

#endif
