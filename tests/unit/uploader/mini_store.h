/* A small object store for a scripted server: enough of S3 for a transfer, and a say for the test
 * in every answer. */
#ifndef TESTS_UNIT_UPLOADER_MINI_STORE_H
#define TESTS_UNIT_UPLOADER_MINI_STORE_H

#include "tests/unit/uploader/scripted.h"
#include "uploader/request.h"

#include <pthread.h>
#include <stdint.h>

#define MINI_OBJECTS 600
#define MINI_PARTS   64

struct mini_object {
    char key[256]; /* with its leading slash, as on the wire */
    char *data;
    size_t n;
};

struct mini_store;
/* May fill rp and return true: that is the answer. seq: how often this operation was asked, from 1.
 */
typedef bool mini_fault(struct mini_store *m, enum request_op op, unsigned seq,
                        const struct scripted_request *rq, struct scripted_reply *rp);

struct mini_store {
    pthread_mutex_t lock;
    struct mini_object objects[MINI_OBJECTS];
    unsigned n;
    unsigned asked[REQUEST_OP_COUNT_];
    bool head_checksum, head_composite; /* what HEAD shows beside the ETag */
    bool etag_is_md5;
    /* One multipart upload at a time. */
    char upload_key[256], upload_id[1200];
    unsigned id_chars; /* ids have at least so many */
    unsigned uploads;
    char *part[MINI_PARTS];
    size_t part_n[MINI_PARTS];
    unsigned parts_now, parts_at_once; /* the most parts seen within the store together */
    unsigned parts_awaited;            /* none goes on before so many have been, … */
    unsigned part_ms;                  /* … and each stays for so long more */
    pthread_cond_t more_parts;
    mini_fault *fault;
    /* Called when the work is done and the answer is there, to spoil it. */
    void (*spoil)(struct mini_store *m, enum request_op op, unsigned seq,
                  struct scripted_reply *rp);
    void *arg;
    struct scripted *server;
};

void mini_store_init(struct mini_store *m);
void mini_store_fini(struct mini_store *m);
void mini_store_clear(struct mini_store *m); /* of objects, parts and what was counted */
/* What the server's threads did until now is seen by the caller, also where no answer came. */
void mini_store_look(struct mini_store *m);
void mini_store_put(struct mini_store *m, const char *key, const char *data, size_t n);
const struct mini_object *mini_store_find(const struct mini_store *m, const char *key);
/* Takes whatever comes and keeps nothing, so that many uploads may be under way. */
mini_fault mini_any_upload;
/* An error with S3's XML. */
bool mini_error(struct scripted_reply *rp, int status, const char *code);

#endif
