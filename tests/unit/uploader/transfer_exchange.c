#include "tests/unit/uploader/transfer_rig.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CENTURY_S INT64_C(3155760000)

/* What changes while requests wait for the only connection, and what the store sees of it. */
struct change {
    struct ride ride;
    struct credentials *credentials; /* from the first thing on that is stored */
    unsigned parts[2];               /* signed before and after, by what the store was shown */
};

static void change_now(struct change *c)
{
    c->ride.env.credentials = c->credentials;
    c->ride.offset_s = CENTURY_S;
}

static void on_progress(void *arg, const struct transfer_progress *p)
{
    if (p->is_part)
        change_now(arg);
}

/* The first answer is late: by then the others wait. */
static bool look_at_signature(struct mini_store *m, enum request_op op, unsigned seq,
                              const struct scripted_request *rq, struct scripted_reply *rp)
{
    struct change *c = m->arg;
    char text[1024];
    bool other, later;

    if (op != REQUEST_UPLOAD_PART && op != REQUEST_PUT_OBJECT)
        return false;
    rp->delay_ms = seq == 1 ? 300 : 0;
    other = strstr(scripted_header(rq, "authorization", text), "Credential=OTHER/") != NULL;
    later = strcmp(scripted_header(rq, "x-amz-date", text), "2100") > 0;
    cr_expect_eq(other, later, "key and time are of one moment");
    c->parts[other]++;
    return false;
}

static void change_init(struct change *c, struct credentials *credentials)
{
    memset(c, 0, sizeof(*c));
    ride_init(&c->ride);
    http_client_allow(c->ride.env.http, 1);
    c->credentials = credentials;
    c->ride.env.progress = on_progress;
    c->ride.env.arg = c;
    c->ride.rig.store.fault = look_at_signature;
    c->ride.rig.store.arg = c;
}

static void change_fini(struct change *c)
{
    ride_fini(&c->ride);
    credentials_free(c->credentials);
}

Test(transfer_exchange, a_request_is_signed_when_it_gets_its_connection_not_before)
{
    char *data = ride_pattern(1500000, 3);
    struct change c;

    change_init(&c, credentials_new("OTHER", "secret", NULL, INT64_MAX));
    rig_write(&c.ride.rig, "a", data, 1500000);
    cr_expect_eq(ride_file(&c.ride, "a")->result, TRANSFER_STORED, "%s", c.ride.out.err.text);
    mini_store_look(&c.ride.rig.store);
    cr_expect_eq(c.parts[0], 1);
    cr_expect_eq(c.parts[1], 4);
    change_fini(&c);
    free(data);
}

Test(transfer_exchange, what_cannot_be_signed_when_its_turn_comes_ends_the_transfer)
{
    static const struct {
        const char *token; /* NULL: no credentials at all */
        enum answer_class class;
    } rows[] = {{NULL, ANSWER_REFRESH}, {"a\nb", ANSWER_HOLD}};
    char *data = ride_pattern(1500000, 3);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct change c;
        const char *token = rows[i].token;

        change_init(&c, token ? credentials_new("OTHER", "secret", token, INT64_MAX) : NULL);
        rig_write(&c.ride.rig, "a", data, 1500000);
        cr_expect_eq(ride_file(&c.ride, "a")->result, TRANSFER_ANSWERED);
        cr_expect_eq(c.ride.out.class, rows[i].class, "row %zu: %s", i, c.ride.out.err.text);
        cr_expect_eq(c.ride.out.op, REQUEST_UPLOAD_PART);
        mini_store_look(&c.ride.rig.store);
        cr_expect_eq(c.parts[0] + c.parts[1], 1);
        cr_expect_str_eq(c.ride.rig.store.upload_id, "upload-1"); /* the next try goes on with it */
        change_fini(&c);
    }
    free(data);
}

static void change_when_done(void *arg, const struct transfer_outcome *o)
{
    cr_expect_eq(o->result, TRANSFER_STORED);
    change_now(arg);
}

/* Best effort: what the file is does not hang on it. */
Test(transfer_exchange, an_abort_that_cannot_be_signed_when_its_turn_comes_is_done_without)
{
    struct transfer_job *job;
    struct change c;

    change_init(&c, credentials_new("OTHER", "secret", "a\nb", INT64_MAX));
    rig_write(&c.ride.rig, "small", "x", 1);
    rig_write(&c.ride.rig, "gone", "x", 1);
    job = rig_job(&c.ride.rig, "gone", 2);
    job->upload_id = mem_strdup("upload-gone");
    job->part_bytes = 300000;
    cr_assert_eq(unlinkat(c.ride.rig.root_fd, "gone", 0), 0);
    (void)transfer_start(&c.ride.env, rig_job(&c.ride.rig, "small", 1), change_when_done, &c);
    cr_expect_eq(ride_job(&c.ride, job)->result, TRANSFER_VANISHED);
    mini_store_look(&c.ride.rig.store);
    cr_expect_eq(c.ride.rig.store.asked[REQUEST_PUT_OBJECT], 1);
    cr_expect_eq(c.ride.rig.store.asked[REQUEST_ABORT_MULTIPART], 0);
    change_fini(&c);
}
