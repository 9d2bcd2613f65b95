/* Every answer of the store, broken off after every byte, by a close and by a reset: no answer that
 * is not whole counts, and the next try ends well. */
#include "tests/unit/uploader/transfer_rig.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A_STORE 100 /* cases a store: its server has a thread for each connection there was */

/* The first answer to `op` breaks off. */
struct breakage {
    enum request_op op;
    size_t at;
    bool reset;
    _Atomic size_t whole; /* the answer's length */
};

static void break_off(struct mini_store *m, enum request_op op, unsigned seq,
                      struct scripted_reply *rp)
{
    struct breakage *b = m->arg;

    if (op != b->op || seq != 1)
        return;
    rp->whole = &b->whole;
    rp->cut_after = (long)b->at;
    rp->cut_resets = b->reset;
    if (b->at > 0)
        return;
    if (b->reset)
        rp->reset = true;
    else
        rp->raw = "";
}

enum before {
    NOTHING_THERE,
    SAME_THERE,
    SAME_THERE_BARE /* no checksum, no MD5: only bytes tell */
};

struct way {
    const char *name;
    enum request_op op;
    size_t size;
    enum before before;
    enum transfer_result first, later; /* of a try that meets no breakage, and of one that did */
};

/* The job of the next try: with what the one before told of its upload. */
static struct transfer_job *next_job(struct ride *r)
{
    struct transfer_job *job = rig_job(&r->rig, "a", 7);

    if (r->n_progress == 0)
        return job;
    job->upload_id = mem_strdup(r->progress[0].upload_id);
    job->part_bytes = r->progress[0].part_bytes;
    job->parts = mem_alloc(MINI_PARTS * sizeof(*job->parts));
    for (unsigned i = 1; i < r->n_progress; i++)
        job->parts[job->n_parts++] = r->progress[i].part;
    return job;
}

/* False: the answer came whole. */
static bool one_case(struct ride *r, const struct way *w, const char *data, struct breakage *b)
{
    struct mini_store *m = &r->rig.store;
    bool broken;

    mini_store_clear(m);
    if (w->before != NOTHING_THERE)
        ride_has(r, "a", data, w->size);
    m->head_checksum = m->etag_is_md5 = w->before != SAME_THERE_BARE;
    b->whole = 0;
    ride_file(r, "a");
    mini_store_look(m);
    cr_assert_gt(b->whole + (b->at == 0), 0, "%s: it was never asked", w->name);
    broken = b->at == 0 || b->at < b->whole;
    /* curl asks again by itself where a kept connection ends before the first byte. */
    if (broken && m->asked[w->op] == 1) {
        cr_expect_eq(r->out.result, TRANSFER_ANSWERED, "%s at %zu: %s", w->name, b->at,
                     transfer_result_name(r->out.result));
        cr_expect_eq(r->out.class, ANSWER_RETRY, "%s at %zu: %s", w->name, b->at,
                     answer_class_name(r->out.class));
        cr_expect_gt(strlen(r->out.err.text), 20, "%s at %zu", w->name, b->at);
        ride_job(r, next_job(r));
        mini_store_look(m);
    }
    cr_expect_eq(r->out.result, broken ? w->later : w->first, "%s at %zu: %s, %s", w->name, b->at,
                 transfer_result_name(r->out.result), r->out.err.text);
    cr_expect(ride_stored(r, "a", data, w->size), "%s at %zu: the object", w->name, b->at);
    cr_expect_eq(m->n, 1, "%s at %zu: %u objects", w->name, b->at, m->n);
    return broken;
}

static void every_byte(const struct way *w, bool reset)
{
    char *data = ride_pattern(w->size, 5);
    struct breakage b = {.op = w->op, .reset = reset};
    bool broken = true;

    while (broken) {
        struct ride r;

        ride_init(&r);
        r.rig.cfg.single_max = 1000;
        r.rig.cfg.part_bytes = 1000;
        r.rig.store.spoil = break_off;
        r.rig.store.arg = &b;
        rig_write(&r.rig, "a", data, w->size);
        for (unsigned i = 0; broken && i < A_STORE; i++, b.at++)
            broken = one_case(&r, w, data, &b);
        ride_fini(&r);
    }
    cr_expect_eq(b.at, b.whole + 1, "%s: %zu places in %zu bytes", w->name, b.at, b.whole);
    free(data);
}

Test(transfer_bytes,
     an_answer_that_breaks_off_after_any_byte_does_not_count_and_the_next_try_ends_well)
{
    static const struct way ways[] = {
        {"PutObject", REQUEST_PUT_OBJECT, 300, NOTHING_THERE, TRANSFER_STORED, TRANSFER_VERIFIED},
        {"412 to PutObject", REQUEST_PUT_OBJECT, 300, SAME_THERE, TRANSFER_VERIFIED,
         TRANSFER_VERIFIED},
        {"HeadObject", REQUEST_HEAD_OBJECT, 300, SAME_THERE, TRANSFER_VERIFIED, TRANSFER_VERIFIED},
        {"GetObject", REQUEST_GET_OBJECT, 300, SAME_THERE_BARE, TRANSFER_VERIFIED,
         TRANSFER_VERIFIED},
        {"CreateMultipartUpload", REQUEST_CREATE_MULTIPART, 2500, NOTHING_THERE, TRANSFER_STORED,
         TRANSFER_STORED},
        {"CompleteMultipartUpload", REQUEST_COMPLETE_MULTIPART, 2500, NOTHING_THERE,
         TRANSFER_STORED, TRANSFER_VERIFIED},
        {"412 to CompleteMultipartUpload", REQUEST_COMPLETE_MULTIPART, 2500, SAME_THERE,
         TRANSFER_VERIFIED, TRANSFER_VERIFIED},
    };

    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        every_byte(&ways[i], false);
        every_byte(&ways[i], true);
    }
}

struct part_breakage {
    size_t first, step; /* the answer to the n-th asking of a part breaks off at first + n * step */
    unsigned n;
    _Atomic size_t whole;
    bool reset;
};

static void break_parts(struct mini_store *m, enum request_op op, unsigned seq,
                        struct scripted_reply *rp)
{
    struct part_breakage *b = m->arg;

    if (op != REQUEST_UPLOAD_PART || seq > b->n)
        return;
    rp->whole = &b->whole;
    rp->cut_after = (long)(b->first + (seq - 1) * b->step);
    rp->cut_resets = b->reset;
    rp->reset = rp->cut_after == 0;
}

/* A part is tried again in place after a while, so each place in the answer is another part's. */
Test(transfer_bytes, the_answer_to_a_part_may_break_off_after_any_byte)
{
    enum { PARTS = 60, SIZE = PARTS * 1000 };
    char *data = ride_pattern(SIZE, 5);

    for (unsigned round = 0; round < 4; round++) {
        struct part_breakage b = {round / 2, 2, PARTS, 0, round % 2};
        struct ride r;

        ride_init(&r);
        r.rig.cfg.single_max = 1000;
        r.rig.cfg.part_bytes = 1000;
        r.rig.cfg.parts_in_flight = PARTS;
        r.rig.store.spoil = break_parts;
        r.rig.store.arg = &b;
        rig_write(&r.rig, "a", data, SIZE);
        ride_file(&r, "a");
        mini_store_look(&r.rig.store);
        cr_expect_eq(r.out.result, TRANSFER_STORED, "%u: %s", round, r.out.err.text);
        cr_expect(ride_stored(&r, "a", data, SIZE), "%u: the object", round);
        cr_expect_lt(b.whole, 2 * PARTS, "no place is left out of %zu", b.whole);
        cr_expect_gt(r.rig.store.asked[REQUEST_UPLOAD_PART], PARTS + b.whole / 2 - 2, "%u", round);
        ride_fini(&r);
    }
    free(data);
}
