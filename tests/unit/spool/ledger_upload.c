/* spool/ledger: the multipart upload of a file that another one replaced. */
#include "tests/unit/spool/ledger_fix.h"

static struct ledger_file *take_only(struct fix *f)
{
    struct ledger_file *file = ledger_take(f->l);
    cr_assert_not_null(file);
    cr_assert_null(ledger_take(f->l));
    return file;
}

/* A file "p" with an upload and two parts, back in its queue. */
static void begin(struct fix *f)
{
    struct ledger_part part = {.number = 1, .etag = "one"};
    fix_new(f);
    accept(f, "p", "audit", 40);
    flush(f);
    struct ledger_file *file = take_only(f);
    ledger_upload_created(f->l, file, "first", 1000, (uint8_t[SHA256_SIZE]){7});
    ledger_part_stored(f->l, file, &part, NULL, NULL);
    part.number = 2;
    ledger_part_stored(f->l, file, &part, NULL, NULL);
    flush(f);
    ledger_put_back(f->l, file);
}

/* Of an upload that can only be aborted, or of none (NULL), also after a restart. */
static void expect_left(struct fix *f, uint64_t size, const char *upload_id)
{
    for (int i = 0; i < 2; i++) {
        struct ledger_file *file = take_only(f);
        cr_assert_eq(file->id.size, size);
        cr_assert_eq(file->upload_id != NULL, upload_id != NULL, "%s", file->upload_id);
        if (upload_id)
            cr_assert_str_eq(file->upload_id, upload_id);
        cr_assert(file->part_bytes == 0 && file->n_parts == 0 && file->upload_terms[0] == 0);
        restart(f);
    }
}

Test(ledger_upload, what_a_replaced_file_left_is_the_new_one_s_to_abort_once)
{
    struct err why = {.code = "by-hand", .text = "for a while"};
    struct fix f;
    begin(&f);
    accept(&f, "p", "audit", 41);
    flush(&f);
    expect_left(&f, 41, "first");
    accept(&f, "p", "audit", 42); /* of the second one nothing was begun */
    flush(&f);
    expect_left(&f, 42, "first");
    cr_assert_eq(ledger_hold_path(f.l, "p", 1, &why, NULL, NULL), RC_OK);
    flush(&f);
    accept(&f, "p", "audit", 43); /* over a held one */
    flush(&f);
    expect_left(&f, 43, "first");
    struct ledger_file *file = take_only(&f);
    ledger_upload_forgotten(f.l, file);
    flush(&f);
    cr_assert_null(file->upload_id);
    ledger_put_back(f.l, file);
    expect_left(&f, 43, NULL);
    accept(&f, "p", "audit", 44);
    flush(&f);
    expect_left(&f, 44, NULL);
    fix_free(&f);
}

Test(ledger_upload, an_upload_of_its_own_comes_before_what_was_left)
{
    struct fix f;
    begin(&f);
    accept(&f, "p", "audit", 41);
    flush(&f);
    struct ledger_file *file = take_only(&f);
    ledger_upload_created(f.l, file, "second", 500, (uint8_t[SHA256_SIZE]){8});
    flush(&f);
    restart(&f);
    file = take_only(&f);
    cr_assert_str_eq(file->upload_id, "second");
    cr_assert(file->part_bytes == 500 && file->upload_terms[0] == 8 && file->n_parts == 0);
    fix_free(&f);
}

static void retire(void *arg, enum rc rc)
{
    struct fix *f = arg;
    struct ledger_view v;
    cr_assert_eq(rc, RC_OK);
    cr_assert_eq(ledger_find(f->l, "p", 1, &v), RC_OK);
    ledger_retire(f->l, v.file, RECORD_KEPT);
}

Test(ledger_upload, a_delivered_file_leaves_none)
{
    struct fix f;
    begin(&f);
    ledger_deliver(f.l, take_only(&f), receipt(), retire, &f);
    flush(&f);
    accept(&f, "p", "audit", 41);
    flush(&f);
    expect_left(&f, 41, NULL);
    fix_free(&f);
}
