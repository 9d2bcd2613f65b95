/* What transfers need around them: a root with files, a store, credentials. */
#ifndef TESTS_UNIT_UPLOADER_RIG_H
#define TESTS_UNIT_UPLOADER_RIG_H

#include "tests/unit/uploader/mini_store.h"
#include "uploader/transfer.h"

struct rig {
    char dir[64];
    int root_fd;
    struct mini_store store;
    struct endpoint endpoint;
    struct credentials *credentials;
    struct transfer_cfg cfg;
};

void rig_init(struct rig *r);
void rig_fini(struct rig *r);
void rig_write(struct rig *r, const char *name, const char *data, size_t n);
/* A job for a file of the root as it is now; its key is its name. */
struct transfer_job *rig_job(struct rig *r, const char *name, uint64_t tag);

#endif
