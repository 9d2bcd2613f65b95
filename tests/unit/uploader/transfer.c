#include "tests/unit/uploader/transfer_rig.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

Test(transfer, a_file_becomes_an_object_of_the_same_bytes_whatever_its_size)
{
    static const struct {
        size_t n;
        unsigned requests;
    } rows[] = {{0, 1},      {1, 1},       {4096, 1},          {100000, 1},
                {100001, 1}, {1 << 20, 1}, {(1 << 20) + 1, 6}, {3000001, 13}};
    struct ride r;

    ride_init(&r);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char *data = ride_pattern(rows[i].n, (unsigned)i + 3), name[32];
        const struct transfer_outcome *o;
        uint8_t sum[SHA256_SIZE];

        snprintf(name, sizeof(name), "f%zu", i);
        rig_write(&r.rig, name, data, rows[i].n);
        r.rig.cfg.content_md5 = i % 2 == 0;
        o = ride_file(&r, name);
        sha256(data, rows[i].n, sum);
        cr_expect_eq(o->result, TRANSFER_STORED, "%zu: %s", rows[i].n, o->err.text);
        cr_expect(ride_stored(&r, name, data, rows[i].n), "%zu", rows[i].n);
        cr_expect_eq(o->tag, 7);
        cr_expect_eq(o->bytes, rows[i].n);
        cr_expect_eq(o->requests, rows[i].requests, "%zu: %u requests", rows[i].n, o->requests);
        cr_expect(memcmp(o->sha256, sum, sizeof(sum)) == 0);
        cr_expect_str_eq(o->key, name);
        cr_expect_gt(o->read_wall_ns, 0);
        cr_expect_geq(o->done_wall_ns, o->read_wall_ns);
        if (rows[i].requests == 1) {
            cr_expect_str_eq(o->version_id, "v1");
            cr_expect_eq(strlen(o->etag), 32);
        } else {
            cr_expect_str_eq(o->etag, "whole-2");
        }
        free(data);
    }
    cr_expect_leq(r.rig.store.parts_at_once, 4);
    cr_expect_eq(r.rig.store.asked[REQUEST_HEAD_OBJECT], 0);
    ride_fini(&r);
}

Test(transfer, what_is_there_already_is_compared_by_the_cheapest_proof)
{
    static const struct {
        const char *name;
        size_t n;
        char there; /* 's'ame bytes, 'd'ifferent of the same length, 'l'onger, 'S'horter */
        bool checksum, composite, md5;
        enum transfer_conflict policy;
        enum transfer_result result;
        bool both;
        unsigned heads, gets;
    } rows[] = {
        {"same-checksum", 5000, 's', true, false, false, TRANSFER_KEEP_BOTH, TRANSFER_VERIFIED,
         false, 1, 0},
        {"same-md5", 5000, 's', false, false, true, TRANSFER_KEEP_BOTH, TRANSFER_VERIFIED, false, 1,
         0},
        {"same-md5-large", 200000, 's', false, false, true, TRANSFER_KEEP_BOTH, TRANSFER_VERIFIED,
         false, 1, 0},
        {"same-get", 5000, 's', false, false, false, TRANSFER_HOLD_NEW, TRANSFER_VERIFIED, false, 1,
         1},
        {"same-composite-get", 5000, 's', true, true, false, TRANSFER_HOLD_NEW, TRANSFER_VERIFIED,
         false, 1, 1},
        {"longer", 5000, 'l', true, false, true, TRANSFER_HOLD_NEW, TRANSFER_CONFLICT, false, 1, 0},
        {"shorter", 5000, 'S', true, false, true, TRANSFER_HOLD_NEW, TRANSFER_CONFLICT, false, 1,
         0},
        {"other-checksum", 5000, 'd', true, false, true, TRANSFER_HOLD_NEW, TRANSFER_CONFLICT,
         false, 1, 0},
        {"other-md5-get", 5000, 'd', false, false, true, TRANSFER_HOLD_NEW, TRANSFER_CONFLICT,
         false, 1, 1},
        {"other-keep", 5000, 'd', true, false, true, TRANSFER_KEEP_BOTH, TRANSFER_STORED, true, 1,
         0},
        {"other-keep-large", 200000, 'd', true, false, true, TRANSFER_KEEP_BOTH, TRANSFER_STORED,
         true, 1, 0},
        {"other-over", 5000, 'd', true, false, true, TRANSFER_OVERWRITE, TRANSFER_STORED, false, 1,
         0},
        {"parts-same-get", 1500000, 's', false, false, false, TRANSFER_KEEP_BOTH, TRANSFER_VERIFIED,
         false, 1, 1},
        {"parts-other-keep", 1500000, 'd', true, false, true, TRANSFER_KEEP_BOTH, TRANSFER_STORED,
         true, 1, 0},
        {"parts-other-over", 1500000, 'd', true, false, true, TRANSFER_OVERWRITE, TRANSFER_STORED,
         false, 1, 0},
        {"parts-other-hold", 1500000, 'd', true, false, true, TRANSFER_HOLD_NEW, TRANSFER_CONFLICT,
         false, 1, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char *data = ride_pattern(rows[i].n + 1, 3), *other = ride_pattern(rows[i].n + 1, 3);
        size_t n = rows[i].n;
        size_t there_n = rows[i].there == 'l' ? n + 1 : rows[i].there == 'S' ? n - 1 : n;
        char both[TRANSFER_KEY_MAX + 1];
        const struct transfer_outcome *o;
        uint8_t sum[SHA256_SIZE];
        struct ride r;

        ride_init(&r);
        if (rows[i].there == 'd')
            other[n / 2] ^= 1;
        ride_has(&r, rows[i].name, other, there_n);
        r.rig.store.head_checksum = rows[i].checksum;
        r.rig.store.head_composite = rows[i].composite;
        r.rig.store.etag_is_md5 = rows[i].md5;
        r.rig.cfg.conflict = rows[i].policy;
        rig_write(&r.rig, rows[i].name, data, n);
        o = ride_file(&r, rows[i].name);
        cr_expect_eq(o->result, rows[i].result, "%s: %s, %s", rows[i].name,
                     transfer_result_name(o->result), o->err.text);
        sha256(data, n, sum);
        cr_expect_eq(transfer_conflict_key(rows[i].name, sum, both), RC_OK);
        cr_expect_str_eq(o->key, rows[i].both ? both : rows[i].name);
        cr_expect_eq(r.rig.store.asked[REQUEST_HEAD_OBJECT], rows[i].heads, "%s", rows[i].name);
        cr_expect_eq(r.rig.store.asked[REQUEST_GET_OBJECT], rows[i].gets, "%s", rows[i].name);
        if (o->result == TRANSFER_STORED)
            cr_expect(ride_stored(&r, o->key, data, n), "%s", rows[i].name);
        if (o->result == TRANSFER_VERIFIED)
            cr_expect_str_eq(o->version_id, "there");
        if (rows[i].both || o->result != TRANSFER_STORED)
            cr_expect(ride_stored(&r, rows[i].name, other, there_n), "%s: left alone",
                      rows[i].name);
        cr_expect_str_eq(r.rig.store.upload_id, "", "%s: an upload stayed behind", rows[i].name);
        ride_fini(&r);
        free(data);
        free(other);
    }
}

Test(transfer, the_name_that_keeps_both_may_be_taken_by_the_same_bytes_or_by_others)
{
    char both[TRANSFER_KEY_MAX + 1];
    uint8_t sum[SHA256_SIZE];
    struct ride r;

    ride_init(&r);
    rig_write(&r.rig, "a.json", "mine\n", 5);
    ride_has(&r, "a.json", "his..", 5);
    sha256("mine\n", 5, sum);
    cr_assert_eq(transfer_conflict_key("a.json", sum, both), RC_OK);
    ride_has(&r, both, "mine\n", 5);
    cr_expect_eq(ride_file(&r, "a.json")->result, TRANSFER_VERIFIED);
    cr_expect_str_eq(r.out.key, both);
    ride_has(&r, both, "hers.", 5);
    cr_expect_eq(ride_file(&r, "a.json")->result, TRANSFER_ANSWERED);
    cr_expect_eq(r.out.class, ANSWER_HOLD);
    cr_expect_neq(r.out.err.text[0], '\0');
    ride_fini(&r);
}

Test(transfer, an_answer_that_decides_is_handed_back_at_once_with_its_class)
{
    static const struct {
        struct script s;
        enum answer_class class;
        uint64_t retry_ms;
        const char *region;
    } rows[] = {
        {{REQUEST_PUT_OBJECT, 1, 9, 500, "InternalError", NULL}, ANSWER_RETRY, 0, ""},
        {{REQUEST_PUT_OBJECT, 1, 9, 503, "SlowDown", "Retry-After: 7\r\n"},
         ANSWER_THROTTLE,
         7000,
         ""},
        {{REQUEST_PUT_OBJECT, 1, 9, 503, "XMinioServerNotInitialized", "Retry-After: 60\r\n"},
         ANSWER_RETRY,
         0,
         ""},
        {{REQUEST_PUT_OBJECT, 1, 9, 400, "ExpiredToken", NULL}, ANSWER_REFRESH, 0, ""},
        {{REQUEST_PUT_OBJECT, 1, 9, 301, "PermanentRedirect", "x-amz-bucket-region: us-west-2\r\n"},
         ANSWER_REROUTE,
         0,
         "us-west-2"},
        {{REQUEST_PUT_OBJECT, 1, 9, 403, "AccessDenied", "x-amz-request-id: R1\r\n"},
         ANSWER_HOLD,
         0,
         ""},
        {{REQUEST_PUT_OBJECT, 1, 9, 200, "InternalError", "ETag: \"x\"\r\n"}, ANSWER_RETRY, 0, ""},
        {{REQUEST_PUT_OBJECT, 1, 9, 400, "EntityTooLarge", NULL}, ANSWER_CONDEMN, 0, ""},
        {{REQUEST_PUT_OBJECT, 1, 9, 200, "InternalError", NULL}, ANSWER_RETRY, 0, ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct transfer_outcome *o;
        struct scripts s;
        struct ride r;

        ride_init(&r);
        ride_play(&r, &s, &rows[i].s, 1);
        rig_write(&r.rig, "a", "x\n", 2);
        o = ride_file(&r, "a");
        cr_expect_eq(o->result, TRANSFER_ANSWERED, "row %zu", i);
        cr_expect_eq(o->class, rows[i].class, "row %zu: %s", i, answer_class_name(o->class));
        cr_expect_eq(o->requests, 1, "row %zu", i);
        cr_expect_eq(o->op, REQUEST_PUT_OBJECT);
        cr_expect_eq(o->retry_after_ms, rows[i].retry_ms);
        cr_expect_str_eq(o->region, rows[i].region);
        cr_expect_str_eq(o->err.code, rows[i].s.code);
        cr_expect_eq(o->err.http_status, rows[i].s.status);
        cr_expect_neq(o->err.text[0], '\0');
        cr_expect(!ride_stored(&r, "a", "x\n", 2));
        ride_fini(&r);
    }
}

Test(transfer, nobody_there_and_nobody_to_sign_are_told_from_each_other)
{
    struct ride r;

    ride_init(&r);
    rig_write(&r.rig, "a", "x\n", 2);
    r.env.credentials = NULL;
    cr_expect_eq(ride_file(&r, "a")->result, TRANSFER_ANSWERED);
    cr_expect_eq(r.out.class, ANSWER_REFRESH);
    cr_expect_eq(r.out.requests, 0);
    r.env.credentials = r.rig.credentials;
    scripted_free(r.rig.store.server);
    cr_expect_eq(ride_file(&r, "a")->result, TRANSFER_ANSWERED);
    cr_expect_eq(r.out.class, ANSWER_RETRY);
    cr_expect_eq(r.out.err.rc, RC_NET);
    cr_expect_eq(r.out.err.http_status, 0);
    r.rig.store.server = scripted_new(NULL, NULL); /* for ride_fini */
    ride_fini(&r);
}

Test(transfer, a_clock_that_is_off_is_corrected_once_from_the_answer)
{
    static const struct script once[] = {{REQUEST_PUT_OBJECT, 1, 1, 403, "RequestTimeTooSkewed",
                                          "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"}},
                               ever[] = {{REQUEST_PUT_OBJECT, 1, 9, 403, "RequestTimeTooSkewed",
                                          "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"}};
    int64_t expected = 784111777 - clock_wall_now_ns() / CLOCK_NS_PER_S;
    struct scripts s;
    struct ride r;

    ride_init(&r);
    RIDE_PLAY(&r, &s, once);
    rig_write(&r.rig, "a", "x\n", 2);
    cr_expect_eq(ride_file(&r, "a")->result, TRANSFER_STORED);
    cr_expect_eq(r.out.requests, 2);
    cr_expect(r.offset_s <= expected && r.offset_s > expected - 5);
    r.rig.store.asked[REQUEST_PUT_OBJECT] = 0;
    RIDE_PLAY(&r, &s, ever);
    cr_expect_eq(ride_file(&r, "a")->result, TRANSFER_ANSWERED);
    cr_expect_eq(r.out.class, ANSWER_SKEW);
    cr_expect_eq(r.out.requests, 2);
    ride_fini(&r);
}

Test(transfer, a_digest_mismatch_is_tried_three_times_more_and_then_told)
{
    static const size_t sizes[] = {5000, 200000};
    static const struct script thrice[] = {{REQUEST_PUT_OBJECT, 1, 3, 400, "BadDigest", NULL}},
                               ever[] = {{REQUEST_PUT_OBJECT, 1, 9, 400, "BadDigest", NULL}};

    for (size_t i = 0; i < 2; i++) {
        char *data = ride_pattern(sizes[i], 5);
        struct scripts s;
        struct ride r;

        ride_init(&r);
        RIDE_PLAY(&r, &s, thrice);
        rig_write(&r.rig, "a", data, sizes[i]);
        cr_expect_eq(ride_file(&r, "a")->result, TRANSFER_STORED);
        cr_expect_eq(r.out.requests, 4);
        r.rig.store.asked[REQUEST_PUT_OBJECT] = 0;
        RIDE_PLAY(&r, &s, ever);
        cr_expect_eq(ride_file(&r, "a")->result, TRANSFER_ANSWERED);
        cr_expect_eq(r.out.class, ANSWER_DIGEST);
        cr_expect_eq(r.out.requests, 4);
        ride_fini(&r);
        free(data);
    }
}

/* Only an object that nobody could read is its file's own trouble; keys and policies are not. */
Test(transfer, an_object_that_cannot_be_read_is_told_but_a_refused_head_is_asked_again_with_a_get)
{
    static const struct script head[] = {{REQUEST_HEAD_OBJECT, 1, 9, 403, "AccessDenied", NULL}},
                               both[] = {{REQUEST_HEAD_OBJECT, 1, 9, 403, "AccessDenied", NULL},
                                         {REQUEST_GET_OBJECT, 1, 9, 403, "AccessDenied", NULL}},
                               keys[] = {{REQUEST_HEAD_OBJECT, 1, 9, 403, "", NULL},
                                         {REQUEST_GET_OBJECT, 1, 9, 403, "SignatureDoesNotMatch",
                                          NULL}},
                               cold[] = {{REQUEST_HEAD_OBJECT, 1, 9, 403, "", NULL},
                                         {REQUEST_GET_OBJECT, 1, 9, 403, "InvalidObjectState",
                                          NULL}},
                               sealed[] = {{REQUEST_HEAD_OBJECT, 1, 9, 400, "", NULL},
                                           {REQUEST_GET_OBJECT, 1, 9, 400, "InvalidRequest", NULL}},
                               gone[] = {{REQUEST_HEAD_OBJECT, 1, 9, 404, "NoSuchKey", NULL}},
                               busy[] = {{REQUEST_HEAD_OBJECT, 1, 9, 503, "SlowDown", NULL}},
                               stale[] = {{REQUEST_HEAD_OBJECT, 1, 9, 400, "", NULL},
                                          {REQUEST_GET_OBJECT, 1, 9, 400, "ExpiredToken", NULL}};
    static const struct {
        const struct script *at;
        size_t n;
        enum transfer_result result;
        enum answer_class class;
        bool alone;
    } rows[] = {
        {head, 1, TRANSFER_VERIFIED, ANSWER_OK, false},
        {both, 2, TRANSFER_ANSWERED, ANSWER_HOLD, false},
        {keys, 2, TRANSFER_ANSWERED, ANSWER_HOLD, false},
        {cold, 2, TRANSFER_ANSWERED, ANSWER_HOLD, true},
        {sealed, 2, TRANSFER_ANSWERED, ANSWER_HOLD, true},
        {gone, 1, TRANSFER_ANSWERED, ANSWER_RETRY, false},
        {busy, 1, TRANSFER_ANSWERED, ANSWER_RETRY, false},
        {stale, 2, TRANSFER_ANSWERED, ANSWER_REFRESH, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct scripts s;
        struct ride r;

        ride_init(&r);
        rig_write(&r.rig, "a", "x\n", 2);
        ride_has(&r, "a", "x\n", 2);
        ride_play(&r, &s, rows[i].at, rows[i].n);
        cr_expect_eq(ride_file(&r, "a")->result, rows[i].result, "row %zu", i);
        cr_expect_eq(r.out.class, rows[i].class, "row %zu: %s", i, answer_class_name(r.out.class));
        cr_expect_eq(r.out.object_alone, rows[i].alone, "row %zu", i);
        cr_expect(rows[i].at != both || strstr(r.out.err.text, "s3:GetObject"), "the remedy");
        ride_fini(&r);
    }
}

Test(transfer, a_file_that_is_not_what_was_accepted_is_not_sent)
{
    struct transfer_job *job;
    struct ride r;
    char path[100];

    ride_init(&r);
    rig_write(&r.rig, "a", "first\n", 6);
    job = rig_job(&r.rig, "a", 1);
    unlinkat(r.rig.root_fd, "a", 0);
    cr_expect_eq(ride_job(&r, job)->result, TRANSFER_VANISHED);

    rig_write(&r.rig, "a", "first\n", 6);
    job = rig_job(&r.rig, "a", 1);
    job->id.mtime_ns -= CLOCK_NS_PER_S;
    cr_expect_eq(ride_job(&r, job)->result, TRANSFER_CHANGED);
    job = rig_job(&r.rig, "a", 1);
    job->id.ino++;
    cr_expect_eq(ride_job(&r, job)->result, TRANSFER_CHANGED);
    usleep(50000); /* no longer just written */
    job = rig_job(&r.rig, "a", 1);
    job->id.size += 10; /* longer when it was accepted, and not written to since */
    cr_expect_eq(ride_job(&r, job)->result, TRANSFER_SHRUNK);
    cr_expect_eq(r.out.err.rc, RC_CORRUPT);
    job = rig_job(&r.rig, "a", 1);
    job->id.size += 10;
    job->id.dev++; /* after the power came back the disk has another number */
    cr_expect_eq(ride_job(&r, job)->result, TRANSFER_SHRUNK);
    job = rig_job(&r.rig, "a", 1);
    job->id.size += 10;
    job->id.mtime_ns -= CLOCK_NS_PER_S; /* somebody truncated it */
    cr_expect_eq(ride_job(&r, job)->result, TRANSFER_CHANGED);

    job = rig_job(&r.rig, "a", 1);
    cr_assert_eq(linkat(r.rig.root_fd, "a", r.rig.root_fd, "second", 0), 0);
    cr_expect_eq(ride_job(&r, job)->result, TRANSFER_CHANGED);
    cr_expect_eq(ride_job(&r, rig_job(&r.rig, "a", 1))->result, TRANSFER_CHANGED);
    unlinkat(r.rig.root_fd, "second", 0);

    job = rig_job(&r.rig, "a", 1);
    unlinkat(r.rig.root_fd, "a", 0);
    cr_assert_eq(symlinkat("/etc/passwd", r.rig.root_fd, "a"), 0);
    cr_expect_eq(ride_job(&r, job)->result, TRANSFER_CHANGED);
    unlinkat(r.rig.root_fd, "a", 0);
    mkfifoat(r.rig.root_fd, "a", 0600);
    cr_expect_eq(ride_file(&r, "a")->result, TRANSFER_CHANGED);
    unlinkat(r.rig.root_fd, "a", 0);
    rig_write(&r.rig, "a", "first\n", 6);
    job = rig_job(&r.rig, "a", 1);
    free(job->path);
    snprintf(path, sizeof(path), "../%s/a", strrchr(r.rig.dir, '/') + 1);
    job->path = mem_strdup(path);
    cr_expect_eq(ride_job(&r, job)->result, TRANSFER_CHANGED);
    cr_expect_eq(r.rig.store.n, 0);
    ride_fini(&r);
}

/* While the store works on the n-th asking of op, something happens to the file. */
struct meddler {
    struct ride *ride;
    enum request_op op;
    char what; /* 'a'ppend, 't'runcate, 'u'nlink, 'r'ewrite the same length */
};

static bool meddle(struct mini_store *m, enum request_op op, unsigned seq,
                   const struct scripted_request *rq, struct scripted_reply *rp)
{
    struct meddler *md = m->arg;
    int fd;

    (void)rq;
    (void)rp;
    if (op != md->op || seq != 1)
        return false;
    usleep(
        20000); /* two ticks of the clock: within one, cut short looks like torn by a power loss */
    if (md->what == 'u') {
        unlinkat(md->ride->rig.root_fd, "a", 0);
        return false;
    }
    fd = openat(md->ride->rig.root_fd, "a",
                O_WRONLY | (md->what == 'a'   ? O_APPEND
                            : md->what == 't' ? O_TRUNC
                                              : 0));
    BUG_ON(write(fd, "y", 1) != 1);
    close(fd);
    return false;
}

Test(transfer, a_file_that_changes_while_it_is_sent_is_not_stored_whatever_the_store_says)
{
    static const struct {
        size_t n;
        enum request_op op;
        char what;
        enum transfer_result result;
    } rows[] = {
        {5000, REQUEST_PUT_OBJECT, 'a', TRANSFER_CHANGED},
        {5000, REQUEST_PUT_OBJECT, 't', TRANSFER_CHANGED},
        {5000, REQUEST_PUT_OBJECT, 'r', TRANSFER_CHANGED},
        {5000, REQUEST_PUT_OBJECT, 'u', TRANSFER_VANISHED},
        {200000, REQUEST_PUT_OBJECT, 'r', TRANSFER_CHANGED},
        {3000000, REQUEST_CREATE_MULTIPART, 'a', TRANSFER_CHANGED},
        {3000000, REQUEST_CREATE_MULTIPART, 't', TRANSFER_CHANGED},
        {3000000, REQUEST_UPLOAD_PART, 'a', TRANSFER_CHANGED},
        {3000000, REQUEST_UPLOAD_PART, 't', TRANSFER_CHANGED},
        {3000000, REQUEST_UPLOAD_PART, 'r', TRANSFER_CHANGED},
        {3000000, REQUEST_COMPLETE_MULTIPART, 'a', TRANSFER_CHANGED},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char *data = ride_pattern(rows[i].n, 3);
        struct ride r;
        struct meddler md = {&r, rows[i].op, rows[i].what};

        ride_init(&r);
        r.rig.store.fault = meddle;
        r.rig.store.arg = &md;
        rig_write(&r.rig, "a", data, rows[i].n);
        cr_expect_eq(ride_file(&r, "a")->result, rows[i].result, "row %zu: %s", i,
                     transfer_result_name(r.out.result));
        cr_expect_str_eq(r.rig.store.upload_id, "", "row %zu: an upload stayed behind", i);
        ride_fini(&r);
        free(data);
    }
}

Test(transfer, it_can_be_cancelled_at_any_time)
{
    static const size_t sizes[] = {5000, 200000, 3000000};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        char *data = ride_pattern(sizes[i], 3);

        for (int steps = 0; steps < 40; steps += 1 + steps / 4) {
            struct ride r;

            ride_init(&r);
            rig_write(&r.rig, "a", data, sizes[i]);
            for (int k = 0; k < 2; k++)
                (void)transfer_start(&r.env, rig_job(&r.rig, "a", 1), ride_done, &r);
            for (int k = 0; k < steps; k++)
                loop_step(r.loop, false);
            if (steps % 2 == 0)
                transfer_cancel_all(&r.env);
            ride_fini(&r); /* cancels what is left */
            cr_expect_eq(r.done, 2);
        }
        free(data);
    }
}

Test(transfer, the_key_that_keeps_both_has_the_mark_before_the_extension_and_fits)
{
    static const uint8_t sum[SHA256_SIZE] = {0x1a, 0x2b, 0x3c, 0x4d};
    static const struct {
        const char *key, *out;
    } rows[] = {
        {"dir/name.ext", "dir/name~1a2b3c4d.ext"},
        {"name", "name~1a2b3c4d"},
        {"a.b/name", "a.b/name~1a2b3c4d"},
        {"dir/.hidden", "dir/.hidden~1a2b3c4d"},
        {"dir/.hidden.x", "dir/.hidden~1a2b3c4d.x"},
        {"x.tar.gz", "x.tar~1a2b3c4d.gz"},
        {"x.", "x~1a2b3c4d."},
    };
    char key[TRANSFER_KEY_MAX + 1], out[TRANSFER_KEY_MAX + 1];

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        cr_expect_eq(transfer_conflict_key(rows[i].key, sum, out), RC_OK, "row %zu", i);
        cr_expect_str_eq(out, rows[i].out);
    }
    memset(key, 'k', sizeof(key));
    memcpy(key, "dir/", 4);
    memcpy(key + TRANSFER_KEY_MAX - 5, ".json", 6);
    cr_expect_eq(transfer_conflict_key(key, sum, out), RC_OK);
    cr_expect_eq(strlen(out), TRANSFER_KEY_MAX);
    cr_expect_str_eq(out + TRANSFER_KEY_MAX - 14, "~1a2b3c4d.json");
    for (size_t i = 4; i + 6 < TRANSFER_KEY_MAX; i += 3) /* three-byte characters stay whole */
        memcpy(key + i, "\xe2\x82\xac", 3);
    memcpy(key + TRANSFER_KEY_MAX - 5, ".json", 6);
    cr_expect_eq(transfer_conflict_key(key, sum, out), RC_OK);
    cr_expect_leq(strlen(out), TRANSFER_KEY_MAX);
    cr_expect_eq(utf8_span(out, strlen(out) - 14), strlen(out) - 14);
    key[TRANSFER_KEY_MAX - 3] = '/'; /* nothing left to cut */
    cr_expect_eq(transfer_conflict_key(key, sum, out), RC_LIMIT);
}

Test(transfer, parts_are_large_enough_that_a_thousand_do_or_ten_thousand_of_a_size_of_ones_own)
{
    static const struct {
        uint64_t configured, object, part;
    } rows[] = {
        {0, 64 * MIB + 1, 16 * MIB},          {0, 16000 * MIB, 16 * MIB},
        {0, 16000 * MIB + 1, 32 * MIB},       {0, 160000 * MIB, 256 * MIB},
        {0, 4096000 * MIB, 4096 * MIB},       {0, 4096000 * MIB + 1, 5120 * MIB},
        {0, 5120 * 10000 * MIB, 5120 * MIB},  {0, 5120 * 10000 * MIB + 1, 10240 * MIB},
        {5 * MIB, 64 * MIB, 5 * MIB},         {5 * MIB, 50000 * MIB, 5 * MIB},
        {5 * MIB, 50000 * MIB + 1, 10 * MIB}, {100, 64 * MIB, 100 * 128},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_expect_eq(transfer_part_bytes(rows[i].configured, rows[i].object), rows[i].part,
                     "row %zu: %llu", i,
                     (unsigned long long)transfer_part_bytes(rows[i].configured, rows[i].object));
}
