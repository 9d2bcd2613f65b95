/* What an upload was begun with, and keeps. */
#include "tests/unit/uploader/transfer_rig.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* The next try of a file, with what the last one told of its upload but for its parts. */
static struct transfer_job *next_try(struct ride *r, bool of_old)
{
    struct transfer_job *job = rig_job(&r->rig, "a", 1);

    job->upload_id = mem_strdup(r->progress[0].upload_id);
    job->part_bytes = r->progress[0].part_bytes;
    if (!of_old)
        memcpy(job->upload_terms, r->progress[0].upload_terms, SHA256_SIZE);
    return job;
}

Test(transfer_terms, an_upload_that_the_settings_of_today_would_begin_otherwise_is_begun_anew)
{
    static const struct script late[] = {
        {REQUEST_COMPLETE_MULTIPART, 1, 1, 500, "InternalError", NULL}};
    static const struct {
        const char *name, *acl; /* NULL: as before */
        struct options options;
        uint64_t part_bytes; /* 0: as before */
        bool no_checksums, content_md5;
        bool of_old; /* not known how it was begun */
        bool anew;
    } rows[] = {
        {.name = "as before"},
        {.name = "each request's own", .options.requester_pays = true, .content_md5 = true},
        {.name = "acl", .acl = "bucket-owner-read", .anew = true},
        {.name = "encryption", .options.encryption = "aws:kms", .anew = true},
        {.name = "key", .options.kms_key_id = "another", .anew = true},
        {.name = "context", .options.encryption_context = "e30=", .anew = true},
        {.name = "bucket key", .options.bucket_key = true, .anew = true},
        {.name = "class", .options.storage_class = "STANDARD_IA", .anew = true},
        {.name = "tags", .options.tagging = "a=b", .anew = true},
        {.name = "checksums", .no_checksums = true, .anew = true},
        {.name = "part size", .part_bytes = 250000, .anew = true},
        {.name = "acl, of old", .acl = "bucket-owner-read", .of_old = true},
        {.name = "part size, of old", .part_bytes = 250000, .of_old = true, .anew = true},
    };
    char *data = ride_pattern(1500000, 3);

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct transfer_job *job;
        struct scripts s;
        struct ride r;

        ride_init(&r);
        rig_write(&r.rig, "a", data, 1500000);
        RIDE_PLAY(&r, &s, late);
        cr_expect_eq(ride_file(&r, "a")->class, ANSWER_RETRY);
        job = next_try(&r, rows[i].of_old);
        r.rig.cfg.options = rows[i].options;
        r.rig.cfg.content_md5 = rows[i].content_md5;
        if (rows[i].acl != NULL)
            r.rig.cfg.acl = rows[i].acl;
        if (rows[i].part_bytes != 0)
            r.rig.cfg.part_bytes = rows[i].part_bytes;
        if (rows[i].no_checksums)
            r.rig.cfg.checksum_sha256 = false;
        cr_expect_eq(ride_job(&r, job)->result, TRANSFER_STORED, "%s: %s", rows[i].name,
                     r.out.err.text);
        cr_expect_eq(r.rig.store.asked[REQUEST_CREATE_MULTIPART], rows[i].anew ? 2 : 1, "%s",
                     rows[i].name);
        cr_expect_eq(r.rig.store.asked[REQUEST_ABORT_MULTIPART], rows[i].anew ? 1 : 0, "%s",
                     rows[i].name);
        cr_expect(ride_stored(&r, "a", data, 1500000), "%s", rows[i].name);
        ride_fini(&r);
    }
    free(data);
}

/* It is what the settings make it: begun anew it would be the same. */
Test(transfer_terms, an_upload_that_was_begun_as_it_would_be_today_is_held_when_it_is_refused)
{
    static const struct script at[] = {
        {REQUEST_COMPLETE_MULTIPART, 1, 1, 500, "InternalError", NULL},
        {REQUEST_COMPLETE_MULTIPART, 2, 2, 400, "InvalidRequest", NULL}};
    char *data = ride_pattern(1500000, 3);
    struct scripts s;
    struct ride r;

    ride_init(&r);
    rig_write(&r.rig, "a", data, 1500000);
    RIDE_PLAY(&r, &s, at);
    cr_expect_eq(ride_file(&r, "a")->class, ANSWER_RETRY);
    cr_expect_eq(ride_job(&r, next_try(&r, false))->result, TRANSFER_ANSWERED);
    cr_expect_eq(r.out.class, ANSWER_HOLD, "%s", answer_class_name(r.out.class));
    cr_expect_str_eq(r.rig.store.upload_id, "upload-1"); /* kept */
    ride_fini(&r);
    free(data);
}
