#include "tests/unit/uploader/transfer_rig.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Test(transfer_multipart, a_multipart_upload_tells_its_parts_and_goes_on_from_them)
{
    char *data = ride_pattern(1500000, 3);
    struct transfer_job *job;
    struct scripts s;
    struct ride r;
    static const struct script no_complete[] = {
        {REQUEST_COMPLETE_MULTIPART, 1, 1, 500, "InternalError", NULL}};

    ride_init(&r);
    rig_write(&r.rig, "a", data, 1500000);
    RIDE_PLAY(&r, &s, no_complete);
    cr_expect_eq(ride_file(&r, "a")->result, TRANSFER_ANSWERED);
    cr_expect_eq(r.out.class, ANSWER_RETRY);
    cr_assert_eq(r.n_progress, 6);
    cr_expect(!r.progress[0].is_part);
    cr_expect_str_eq(r.progress[0].upload_id, "upload-1");
    cr_expect_str_eq(r.rig.store.upload_id, "upload-1"); /* kept */
    job = rig_job(&r.rig, "a", 1);
    job->upload_id = mem_strdup("upload-1");
    job->part_bytes = r.progress[0].part_bytes;
    job->parts = mem_alloc(6 * sizeof(*job->parts));
    for (unsigned i = 1; i < 6; i++)
        job->parts[job->n_parts++] = r.progress[i].part;
    job->parts[5] = (struct transfer_part){.number = 99}; /* no such part */
    job->n_parts++;
    job->parts[1].sha256[0] ^= 1; /* recorded for other bytes: to be sent again */
    job->parts[3].number = 0;     /* not recorded */
    r.rig.store.asked[REQUEST_UPLOAD_PART] = 0;
    cr_expect_eq(ride_job(&r, job)->result, TRANSFER_STORED, "%s", r.out.err.text);
    cr_expect_eq(r.rig.store.asked[REQUEST_UPLOAD_PART], 2);
    cr_expect_eq(r.rig.store.asked[REQUEST_CREATE_MULTIPART], 1);
    cr_expect_eq(r.n_progress, 2);
    cr_expect(ride_stored(&r, "a", data, 1500000));
    ride_fini(&r);
    free(data);
}

/* The next try of a file, with what the last one told of its upload; as a ledger of old knew it:
 * not how it was begun. */
static struct transfer_job *job_from(struct ride *r, const char *name)
{
    struct transfer_job *job = rig_job(&r->rig, name, 1);

    job->upload_id = mem_strdup(r->progress[0].upload_id);
    job->part_bytes = r->progress[0].part_bytes;
    job->parts = mem_alloc(r->n_progress * sizeof(*job->parts));
    for (unsigned i = 1; i < r->n_progress; i++)
        job->parts[job->n_parts++] = r->progress[i].part;
    return job;
}

Test(transfer_multipart, an_upload_s_id_is_given_back_whole_or_none_is_begun)
{
    static const struct script late[] = {
        {REQUEST_COMPLETE_MULTIPART, 1, 1, 500, "InternalError", NULL}};
    static const unsigned sizes[] = {255, 256, 344, 1023, 1024};
    char *data = ride_pattern(1500000, 3);

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct scripts s;
        struct ride r;

        ride_init(&r);
        r.rig.store.id_chars = sizes[i];
        rig_write(&r.rig, "a", data, 1500000);
        RIDE_PLAY(&r, &s, late);
        cr_expect_eq(ride_file(&r, "a")->class, ANSWER_RETRY);
        if (sizes[i] < TRANSFER_UPLOAD_ID_SIZE) {
            cr_assert_eq(r.n_progress, 6, "%u: %s", sizes[i], r.out.err.text);
            cr_expect_eq(ride_job(&r, job_from(&r, "a"))->result, TRANSFER_STORED, "%u: %s",
                         sizes[i], r.out.err.text);
            cr_expect_eq(r.rig.store.asked[REQUEST_UPLOAD_PART], 5, "%u", sizes[i]);
            cr_expect_eq(r.rig.store.asked[REQUEST_CREATE_MULTIPART], 1, "%u", sizes[i]);
        } else {
            cr_expect_eq(r.n_progress, 0);
            cr_expect_eq(r.out.op, REQUEST_CREATE_MULTIPART);
            cr_expect_eq(r.rig.store.asked[REQUEST_UPLOAD_PART], 0);
        }
        ride_fini(&r);
    }
    free(data);
}

Test(transfer_multipart, an_upload_that_is_gone_is_begun_anew_unless_it_had_been_completed)
{
    char *data = ride_pattern(1500000, 3);

    for (int completed = 0; completed < 2; completed++) {
        struct ride r;

        ride_init(&r);
        rig_write(&r.rig, "a", data, 1500000);
        cr_expect_eq(ride_file(&r, "a")->result, TRANSFER_STORED);
        if (!completed)
            ride_has(&r, "a", "something else", 14);
        ride_job(&r, job_from(&r, "a"));
        if (completed) {
            cr_expect_eq(r.out.result, TRANSFER_VERIFIED);
        } else {
            cr_expect_eq(r.out.result, TRANSFER_ANSWERED);
            cr_expect_eq(r.out.class, ANSWER_RESTART);
        }
        cr_expect_eq(r.rig.store.asked[REQUEST_CREATE_MULTIPART], 1);
        ride_fini(&r);
    }
    free(data);
}

/* Who may not list the bucket is told 403 of an object that is missing. */
Test(transfer_multipart, an_upload_that_is_gone_is_begun_anew_where_nothing_may_be_read)
{
    static const struct script blind[] = {
        {REQUEST_COMPLETE_MULTIPART, 1, 1, 404, "NoSuchUpload", NULL},
        {REQUEST_HEAD_OBJECT, 1, 99, 403, "AccessDenied", NULL},
        {REQUEST_GET_OBJECT, 1, 99, 403, "AccessDenied", NULL},
    };
    char *data = ride_pattern(1500000, 3);

    for (int there = 0; there < 2; there++) {
        struct scripts s;
        struct ride r;

        ride_init(&r);
        rig_write(&r.rig, "a", data, 1500000);
        if (there)
            ride_has(&r, "a", "something else", 14);
        RIDE_PLAY(&r, &s, blind);
        cr_expect_eq(ride_file(&r, "a")->result, TRANSFER_ANSWERED);
        cr_expect_eq(r.out.class, ANSWER_RESTART, "%s", r.out.err.text);
        ride_file(&r, "a"); /* the completion says whether one is there */
        cr_expect_eq(r.out.result, there ? TRANSFER_ANSWERED : TRANSFER_STORED);
        cr_expect_eq(r.out.class, there ? ANSWER_HOLD : ANSWER_OK, "%s", r.out.err.text);
        ride_fini(&r);
    }
    free(data);
}

Test(transfer_multipart, multipart_refusals_and_faults_end_as_they_should)
{
    static const struct script
        refused[] = {{REQUEST_CREATE_MULTIPART, 1, 9, 403, "AccessDenied", NULL}},
        signature[] = {{REQUEST_CREATE_MULTIPART, 1, 9, 403, "SignatureDoesNotMatch", NULL}},
        no_id[] = {{REQUEST_CREATE_MULTIPART, 1, 9, 200, "x", NULL}},
        late[] = {{REQUEST_COMPLETE_MULTIPART, 1, 9, 200, "InternalError", NULL}},
        invalid[] = {{REQUEST_COMPLETE_MULTIPART, 1, 9, 400, "InvalidPart", NULL}},
        part_once[] = {{REQUEST_UPLOAD_PART, 2, 2, 500, "InternalError", NULL}},
        part_waits[] = {{REQUEST_UPLOAD_PART, 2, 2, 503, "Busy", "Retry-After: 60\r\n"}},
        part_digest[] = {{REQUEST_UPLOAD_PART, 2, 4, 400, "BadDigest", NULL}},
        part_differs[] = {{REQUEST_UPLOAD_PART, 1, 99, 400, "XAmzContentChecksumMismatch", NULL}},
        part_denied[] = {{REQUEST_UPLOAD_PART, 3, 99, 403, "AccessDenied", NULL}},
        part_gone[] = {{REQUEST_UPLOAD_PART, 3, 99, 404, "NoSuchUpload", NULL}};
    static const struct {
        const char *name;
        const struct script *at;
        size_t n;
        enum transfer_result result;
        enum answer_class class;
        bool kept;
    } rows[] = {
        {"refused", refused, 1500000, TRANSFER_STORED, ANSWER_OK, false},
        {"refused-too-large", refused, 5000000, TRANSFER_ANSWERED, ANSWER_HOLD, false},
        {"signature", signature, 1500000, TRANSFER_ANSWERED, ANSWER_HOLD, false},
        {"no-id", no_id, 1500000, TRANSFER_ANSWERED, ANSWER_RETRY, false},
        {"late-error", late, 1500000, TRANSFER_ANSWERED, ANSWER_RETRY, true},
        {"invalid-part", invalid, 1500000, TRANSFER_ANSWERED, ANSWER_RESTART, false},
        {"part-once", part_once, 1500000, TRANSFER_STORED, ANSWER_OK, false},
        {"part-waits", part_waits, 1500000, TRANSFER_ANSWERED, ANSWER_RETRY, true},
        {"part-digest", part_digest, 1500000, TRANSFER_STORED, ANSWER_OK, false},
        {"part-differs", part_differs, 1500000, TRANSFER_ANSWERED, ANSWER_DIGEST, true},
        {"part-denied", part_denied, 1500000, TRANSFER_ANSWERED, ANSWER_HOLD, true},
        {"part-gone", part_gone, 1500000, TRANSFER_ANSWERED, ANSWER_RESTART, true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char *data = ride_pattern(rows[i].n, 3);
        struct scripts s;
        struct ride r;

        ride_init(&r);
        rig_write(&r.rig, "a", data, rows[i].n);
        ride_play(&r, &s, rows[i].at, 1);
        ride_file(&r, "a");
        cr_expect_eq(r.out.result, rows[i].result, "%s: %s", rows[i].name,
                     transfer_result_name(r.out.result));
        cr_expect_eq(r.out.class, rows[i].class, "%s: %s", rows[i].name,
                     answer_class_name(r.out.class));
        cr_expect_eq(r.rig.store.upload_id[0] != '\0', rows[i].kept, "%s: '%s'", rows[i].name,
                     r.rig.store.upload_id);
        cr_expect_eq(ride_stored(&r, "a", data, rows[i].n), rows[i].result == TRANSFER_STORED);
        cr_expect_eq(r.out.multipart_refused, i == 0, "%s", rows[i].name);
        ride_fini(&r);
        free(data);
    }
}

/* S3 asks that all of an upload is with SHA-256 checksums, or nothing: as it was begun. */
Test(transfer_multipart, an_upload_that_may_have_been_begun_otherwise_is_begun_anew)
{
    static const struct {
        struct script s; /* from the resumed try on */
        bool resumed, begun_anew;
    } rows[] = {
        {{REQUEST_UPLOAD_PART, 6, 99, 400, "InvalidRequest", NULL}, true, true},
        {{REQUEST_COMPLETE_MULTIPART, 2, 2, 400, "InvalidRequest", NULL}, true, true},
        {{REQUEST_COMPLETE_MULTIPART, 2, 2, 400, "InvalidArgument", NULL}, true, true},
        {{REQUEST_COMPLETE_MULTIPART, 2, 2, 403, "AccessDenied", NULL}, true, false},
        {{REQUEST_UPLOAD_PART, 6, 99, 400, "InvalidRequest", NULL}, false, false},
        {{REQUEST_COMPLETE_MULTIPART, 2, 2, 400, "InvalidRequest", NULL}, false, false},
    };
    char *data = ride_pattern(1500000, 3);

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct script at[] = {{REQUEST_COMPLETE_MULTIPART, 1, 1, 500, "InternalError", NULL},
                              rows[i].s};
        struct transfer_job *job;
        struct scripts s;
        struct ride r;

        ride_init(&r);
        rig_write(&r.rig, "a", data, 1500000);
        RIDE_PLAY(&r, &s, at);
        cr_expect_eq(ride_file(&r, "a")->class, ANSWER_RETRY);
        job = rows[i].resumed ? job_from(&r, "a") : rig_job(&r.rig, "a", 1);
        if (rows[i].s.op == REQUEST_UPLOAD_PART && rows[i].resumed)
            job->n_parts = 2; /* the others are still to be sent */
        cr_expect_eq(ride_job(&r, job)->result, TRANSFER_ANSWERED, "row %zu", i);
        cr_expect_eq(r.out.class, rows[i].begun_anew ? ANSWER_RESTART : ANSWER_HOLD, "row %zu: %s",
                     i, answer_class_name(r.out.class));
        cr_expect_str_eq(r.out.err.code, rows[i].s.code);
        cr_expect_eq(r.rig.store.upload_id[0] == '\0', rows[i].begun_anew, "row %zu: '%s'", i,
                     r.rig.store.upload_id);
        if (rows[i].begun_anew) {
            r.rig.store.fault = NULL;
            cr_expect_eq(ride_file(&r, "a")->result, TRANSFER_STORED, "row %zu", i);
        }
        ride_fini(&r);
    }
    free(data);
}

/* As a bucket with Object Lock does, where no other checksum is sent. */
static bool demand_md5(struct mini_store *m, enum request_op op, unsigned seq,
                       const struct scripted_request *rq, struct scripted_reply *rp)
{
    struct digest *d = digest_new(DIGEST_MD5);
    char header[1024], text[BASE64_SIZE(SHA256_SIZE)];
    uint8_t sum[MD5_SIZE];

    (void)m;
    (void)seq;
    digest_begin(d);
    digest_update(d, rq->body, rq->body_len);
    digest_finish(d, sum);
    digest_free(d);
    base64_encode(text, sum, sizeof(sum));
    if (op != REQUEST_UPLOAD_PART || strcmp(scripted_header(rq, "content-md5", header), text) == 0)
        return false;
    return mini_error(rp, 400, header[0] == '\0' ? "MissingContentMD5" : "BadDigest");
}

Test(transfer_multipart, each_part_has_its_content_md5_where_that_is_switched_on)
{
    char *data = ride_pattern(1500000, 3);

    for (int on = 0; on < 2; on++) {
        struct ride r;

        ride_init(&r);
        r.rig.cfg.content_md5 = on;
        r.rig.cfg.checksum_sha256 = false;
        r.rig.store.fault = demand_md5;
        rig_write(&r.rig, "a", data, 1500000);
        ride_file(&r, "a");
        cr_expect_eq(r.out.result, on ? TRANSFER_STORED : TRANSFER_ANSWERED, "%s", r.out.err.text);
        cr_expect_str_eq(r.out.err.code, on ? "" : "MissingContentMD5");
        cr_expect_eq(ride_stored(&r, "a", data, 1500000), on);
        ride_fini(&r);
    }
    free(data);
}

/* An upload of an earlier run whose file is not there as it was: nobody will go on with it. */
Test(transfer_multipart, an_upload_that_nobody_will_go_on_with_is_aborted)
{
    static const struct {
        const char *name;
        enum transfer_result result;
        bool whole; /* one PutObject is enough now */
        uint64_t part_bytes;
    } rows[] = {
        {"vanished", TRANSFER_VANISHED, false, 300000},
        {"changed", TRANSFER_CHANGED, false, 300000},
        {"single", TRANSFER_STORED, true, 300000},
        {"parts-of-nothing", TRANSFER_STORED, false, 0},
        {"parts-too-many", TRANSFER_STORED, false, 1},
    };
    char *data = ride_pattern(1500000, 3);

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        static const struct script once[] = {
            {REQUEST_COMPLETE_MULTIPART, 1, 1, 500, "InternalError", NULL}};
        struct transfer_job *job;
        struct scripts s;
        struct ride r;

        ride_init(&r);
        rig_write(&r.rig, "a", data, 1500000);
        RIDE_PLAY(&r, &s, once);
        cr_expect_eq(ride_file(&r, "a")->class, ANSWER_RETRY);
        cr_expect_str_eq(r.rig.store.upload_id, "upload-1"); /* kept */
        job = rig_job(&r.rig, "a", 1);
        job->upload_id = mem_strdup("upload-1");
        job->part_bytes = rows[i].part_bytes;
        if (rows[i].result == TRANSFER_VANISHED)
            cr_assert_eq(unlinkat(r.rig.root_fd, "a", 0), 0);
        else if (rows[i].result == TRANSFER_CHANGED)
            rig_write(&r.rig, "a", data + 1, 1400000);
        if (rows[i].whole)
            r.rig.cfg.single_max = 2000000;
        ride_job(&r, job);
        cr_expect_eq(r.out.result, rows[i].result, "%s: %s", rows[i].name,
                     transfer_result_name(r.out.result));
        cr_expect_eq(r.rig.store.asked[REQUEST_ABORT_MULTIPART], 1, "%s", rows[i].name);
        cr_expect_str_eq(r.rig.store.upload_id, "", "%s: an upload is left", rows[i].name);
        cr_expect_eq(r.rig.store.asked[REQUEST_CREATE_MULTIPART],
                     rows[i].result == TRANSFER_STORED && !rows[i].whole ? 2 : 1, "%s",
                     rows[i].name);
        ride_fini(&r);
    }
    free(data);
}

/* Only the job's own upload is known to whoever makes the next job. */
Test(transfer_multipart, an_upload_under_the_name_that_keeps_both_does_not_outlive_its_transfer)
{
    static const struct script rows[] = {
        {REQUEST_UPLOAD_PART, 6, 99, 503, "Busy", "Retry-After: 60\r\n"},
        {REQUEST_UPLOAD_PART, 6, 99, 503, "SlowDown", "Retry-After: 60\r\n"},
        {REQUEST_UPLOAD_PART, 6, 99, 403, "AccessDenied", NULL},
        {REQUEST_UPLOAD_PART, 6, 99, 400, "ExpiredToken", NULL},
        {REQUEST_COMPLETE_MULTIPART, 2, 2, 500, "InternalError", NULL},
        {REQUEST_COMPLETE_MULTIPART, 1, 1, 500, "InternalError", NULL}, /* the job's own: kept */
        {REQUEST_UPLOAD_PART, 99, 99, 500, "InternalError", NULL},      /* stored */
    };
    char *data = ride_pattern(1500000, 3);

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        bool first = i == 5;
        struct scripts s;
        struct ride r;

        ride_init(&r);
        rig_write(&r.rig, "a", data, 1500000);
        ride_has(&r, "a", "something else", 14);
        ride_play(&r, &s, &rows[i], 1);
        cr_expect_eq(ride_file(&r, "a")->result, i == 6 ? TRANSFER_STORED : TRANSFER_ANSWERED,
                     "row %zu", i);
        cr_expect_eq(r.rig.store.asked[REQUEST_CREATE_MULTIPART], first ? 1 : 2, "row %zu", i);
        cr_expect_str_eq(r.rig.store.upload_id, first ? "upload-1" : "", "row %zu", i);
        /* Begun, five parts, and gone: the second one is not told of. */
        cr_assert_eq(r.n_progress, first ? 6 : 7, "row %zu: %u", i, r.n_progress);
        cr_expect_str_eq(r.progress[0].upload_id, "upload-1");
        if (!first)
            cr_expect(!r.progress[6].is_part && r.progress[6].upload_id[0] == '\0', "row %zu", i);
        ride_fini(&r);
    }
    free(data);
}

static bool no_answer_to_abort(struct mini_store *m, enum request_op op, unsigned seq,
                               const struct scripted_request *rq, struct scripted_reply *rp)
{
    (void)m;
    (void)seq;
    (void)rq;
    rp->silent = op == REQUEST_ABORT_MULTIPART;
    return rp->silent;
}

static void note_result(void *arg, const struct transfer_outcome *o)
{
    *(int *)arg = (int)o->result;
}

Test(transfer_multipart, an_abort_that_is_not_answered_is_given_up, .timeout = 40)
{
    char *data = ride_pattern(1500000, 3);
    int vanished = -1, anew = -1;
    struct transfer_job *job;
    struct ride r;

    ride_init(&r);
    r.rig.store.fault = no_answer_to_abort;
    rig_write(&r.rig, "a", data, 1500000);
    rig_write(&r.rig, "b", data, 1500000);
    job = rig_job(&r.rig, "a", 1); /* its end comes behind the abort */
    job->upload_id = mem_strdup("upload-a");
    job->part_bytes = 300000;
    cr_assert_eq(unlinkat(r.rig.root_fd, "a", 0), 0);
    int64_t began = clock_mono_now_ns();
    (void)transfer_start(&r.env, job, note_result, &vanished);
    job = rig_job(&r.rig, "b", 2); /* another upload does */
    job->upload_id = mem_strdup("upload-b");
    job->part_bytes = 1;
    (void)transfer_start(&r.env, job, note_result, &anew);
    while (vanished < 0 || anew < 0)
        loop_step(r.loop, true);
    cr_expect_lt(clock_mono_now_ns() - began, 20 * CLOCK_NS_PER_S);
    cr_expect_eq(vanished, (int)TRANSFER_VANISHED);
    cr_expect_eq(anew, (int)TRANSFER_STORED);
    mini_store_look(&r.rig.store);
    cr_expect_eq(r.rig.store.asked[REQUEST_ABORT_MULTIPART], 2);
    cr_expect(ride_stored(&r, "b", data, 1500000));
    ride_fini(&r);
    free(data);
}

static bool slow_put(struct mini_store *m, enum request_op op, unsigned seq,
                     const struct scripted_request *rq, struct scripted_reply *rp)
{
    (void)m;
    (void)seq;
    (void)rq;
    rp->delay_ms = op == REQUEST_PUT_OBJECT ? 4000 : 0;
    return false;
}

Test(transfer_multipart, an_abort_that_waits_for_a_connection_is_sent_however_long_that_takes)
{
    struct http_cfg one = {.connections = 1, .no_proxy = true};
    struct http_client *many, *http;
    struct transfer_job *job;
    int small = -1, vanished = -1;
    struct ride r;

    ride_init(&r);
    many = r.env.http;
    r.env.http = http = http_client_new(r.loop, &one);
    r.rig.store.fault = slow_put;
    rig_write(&r.rig, "small", "x", 1);
    rig_write(&r.rig, "a", "x", 1);
    (void)transfer_start(&r.env, rig_job(&r.rig, "small", 1), note_result, &small);
    job = rig_job(&r.rig, "a", 2);
    job->upload_id = mem_strdup("upload-a");
    job->part_bytes = 300000;
    cr_assert_eq(unlinkat(r.rig.root_fd, "a", 0), 0);
    (void)transfer_start(&r.env, job, note_result, &vanished);
    while (small < 0 || vanished < 0)
        loop_step(r.loop, true);
    cr_expect_eq(small, (int)TRANSFER_STORED);
    cr_expect_eq(vanished, (int)TRANSFER_VANISHED);
    mini_store_look(&r.rig.store);
    cr_expect_eq(r.rig.store.asked[REQUEST_ABORT_MULTIPART], 1);
    transfer_env_fini(&r.env);
    http_client_free(http);
    r.env.http = many;
    ride_fini(&r);
}

/* Part 1 is answered late, and so is what comes after the parts. */
static bool late_first(struct mini_store *m, enum request_op op, unsigned seq,
                       const struct scripted_request *rq, struct scripted_reply *rp)
{
    const bool *refuse = m->arg;
    bool first = op == REQUEST_UPLOAD_PART && strstr(rq->target, "partNumber=1&") != NULL;

    (void)seq;
    if (first || op == REQUEST_COMPLETE_MULTIPART || op == REQUEST_ABORT_MULTIPART)
        rp->delay_ms = 300;
    return first && *refuse && mini_error(rp, 400, "InvalidPart");
}

static void step_until(struct ride *r, const unsigned *counter, unsigned n)
{
    while (*counter < n) {
        loop_step(r->loop, false);
        (void)usleep(1000);
        mini_store_look(&r->rig.store);
    }
}

/* A part waited for a record, in vain or until another slot was free: no later record may send it,
 * or complete the object, once more. */
Test(transfer_multipart, a_record_that_comes_after_the_last_part_changes_nothing, .timeout = 40)
{
    char *data = ride_pattern(900000, 3);

    for (int refuse = 0; refuse < 2; refuse++) {
        bool refuses = refuse;
        struct ride r;
        const unsigned *asked = r.rig.store.asked;

        ride_init(&r);
        r.rig.cfg.single_max = 100000;
        r.rig.cfg.parts_in_flight = 2;
        r.env.records = true;
        r.rig.store.fault = late_first;
        r.rig.store.arg = &refuses;
        rig_write(&r.rig, "a", data, 900000);
        (void)transfer_start(&r.env, rig_job(&r.rig, "a", 1), ride_done, &r);
        if (refuse) {
            step_until(&r, &asked[REQUEST_ABORT_MULTIPART], 1);
        } else {
            step_until(&r, &r.n_progress, 3); /* part 2, then part 1; part 3 waits */
            transfer_recorded(&r.env);        /* part 2's: its slot takes part 3 */
            step_until(&r, &asked[REQUEST_COMPLETE_MULTIPART], 1);
        }
        cr_expect_eq(r.done, 0);
        transfer_recorded(&r.env);
        step_until(&r, &r.done, 1);
        cr_expect_eq(r.out.result, refuse ? TRANSFER_ANSWERED : TRANSFER_STORED);
        cr_expect_eq(asked[REQUEST_UPLOAD_PART], refuse ? 2 : 3);
        cr_expect_eq(asked[REQUEST_COMPLETE_MULTIPART], !refuse);
        ride_fini(&r);
    }
    free(data);
}
