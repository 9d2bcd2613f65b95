#include "tests/unit/uploader/rig.h"

#include "base/fsio.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void rig_init(struct rig *r)
{
    struct endpoint_cfg ep = {.bucket = "bucket", .region = "eu-central-1", .path_style = true};
    struct err e;

    memset(r, 0, sizeof(*r));
    cr_assert_eq(http_global_init(&e), RC_OK);
    snprintf(r->dir, sizeof(r->dir), "/tmp/transfer-XXXXXX");
    cr_assert(mkdtemp(r->dir) != NULL);
    r->root_fd = open(r->dir, O_RDONLY | O_DIRECTORY);
    cr_assert(r->root_fd >= 0);
    mini_store_init(&r->store);
    ep.url = scripted_origin(r->store.server);
    cr_assert_eq(endpoint_resolve(&ep, &r->endpoint, &e), RC_OK, "%s", e.text);
    r->credentials = credentials_new("AKIDEXAMPLE", "secret", NULL, INT64_MAX);
    r->cfg = (struct transfer_cfg){
        .root_fd = r->root_fd,
        .single_max = 1 << 20,
        .single_limit = 4 << 20,
        .part_bytes = 300000,
        .parts_in_flight = 4,
        .read_whole_max = 100000,
        .acl = "bucket-owner-full-control",
        .checksum_sha256 = true,
        .if_none_match = true,
        .user_agent = "spoolgate-test",
    };
}

void rig_fini(struct rig *r)
{
    DIR *d = opendir(r->dir);
    struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL) {
        if (e->d_name[0] != '.')
            unlinkat(r->root_fd, e->d_name, 0);
    }
    closedir(d);
    rmdir(r->dir);
    close(r->root_fd);
    mini_store_fini(&r->store);
    credentials_free(r->credentials);
}

void rig_write(struct rig *r, const char *name, const char *data, size_t n)
{
    int fd = openat(r->root_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, data, n), (ssize_t)n);
    close(fd);
}

struct transfer_job *rig_job(struct rig *r, const char *name, uint64_t tag)
{
    struct file_stat st;

    cr_assert_eq(fsio_system.ops->stat(fsio_system.ctx, r->root_fd, name, &st), 0);
    return transfer_job_new(tag, name, name, &st.id);
}
