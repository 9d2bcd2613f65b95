/* spool/ledger against a simple model: ten thousand random verbs with failing commits, restarts and
 * compaction in between; what both say of every path must be the same. SEED=<n> repeats a run. */
#include "tests/unit/spool/ledger_fix.h"

#include "base/random.h"

enum { PATHS = 200, VERBS = 10000, TYPES = 3 };
enum kind { NONE, QUEUED, TAKEN, DELIVERED, HELD, KEPT, FORGOTTEN };
static const char *const kinds[] = {"",     "accepted",  "sending",  "delivered",
                                    "held", "delivered", "forgotten"};
static const char *const types[TYPES] = {"audit", "findings", "attack"};

struct path {
    enum kind kind;
    uint64_t size;
    int64_t accepted_ns; /* 0: not yet looked at */
    record_place first;  /* the same */
    int type;
    unsigned parts;
    bool upload;
    struct ledger_file *file;
};

struct model {
    struct fix f;
    struct path p[PATHS];
    uint64_t next_size;
};

static int below(int n)
{
    return rand() % n;
}

static size_t name(char out[32], const struct model *m, const struct path *p)
{
    return (size_t)snprintf(out, 32, "dir/file%d", (int)(p - m->p));
}

static struct path *path_of(struct model *m, const struct ledger_file *file)
{
    return &m->p[strtoul(file->path + strlen("dir/file"), NULL, 10)];
}

static void check(struct model *m)
{
    uint64_t files[TYPES] = {0}, bytes[TYPES] = {0}, count[FORGOTTEN + 1] = {0};
    int64_t oldest[TYPES] = {INT64_MAX, INT64_MAX, INT64_MAX};
    struct ledger_view v;
    char text[32];
    for (struct path *p = m->p; p < m->p + PATHS; p++) {
        size_t n = name(text, m, p);
        bool deferred = p->kind == TAKEN && p->file->state == LEDGER_DEFERRED;
        cr_assert_str_eq(state(&m->f, text), deferred ? "deferred" : kinds[p->kind], "%s", text);
        count[p->kind]++;
        if (p->kind == NONE)
            continue;
        cr_assert(ledger_find(m->f.l, text, n, &v) == RC_OK && v.id.size == p->size);
        cr_assert(v.file == p->file);
        cr_assert(p->accepted_ns == 0 || v.accepted_ns == p->accepted_ns, "%s changed its age",
                  text);
        p->accepted_ns = v.accepted_ns;
        if (p->first && p->first != v.first) { /* carried over: its upload begins anew */
            p->parts = 0;
            p->upload = false;
        }
        p->first = v.first;
        cr_assert_str_eq(v.event_type, types[p->type]);
        if (p->kind == HELD || p->kind == FORGOTTEN)
            cr_assert_str_eq(v.code, "code");
        if (p->kind == QUEUED || p->kind == TAKEN) {
            files[p->type]++;
            bytes[p->type] += p->size;
            if (p->accepted_ns < oldest[p->type])
                oldest[p->type] = p->accepted_ns;
        }
    }
    for (int t = 0; t < TYPES; t++) {
        struct ledger_lane_counts c = lane_counts(&m->f, types[t]);
        cr_assert(c.files == files[t] && c.bytes == bytes[t], "%s: %lu files, %lu bytes", types[t],
                  c.files, c.bytes);
        /* A file that is being carried over is in no lane until its record is durable. */
        if (journal_is_idle(ledger_journal(m->f.l)))
            cr_assert_eq(c.oldest_ns, oldest[t]);
    }
    cr_assert_eq(ledger_count(m->f.l, LEDGER_ACCEPTED), count[QUEUED]);
    cr_assert_eq(ledger_count(m->f.l, LEDGER_SENDING) + ledger_count(m->f.l, LEDGER_DEFERRED),
                 count[TAKEN]);
    cr_assert_eq(ledger_count(m->f.l, LEDGER_HELD), count[HELD]);
    cr_assert_eq(ledger_count(m->f.l, LEDGER_FORGOTTEN), count[FORGOTTEN]);
    cr_assert_eq(ledger_count(m->f.l, LEDGER_DELIVERED), count[DELIVERED] + count[KEPT]);
    if (journal_is_idle(ledger_journal(m->f.l))) /* nothing is being carried over */
        cr_assert_eq(queue_total(ledger_queue(m->f.l)), count[QUEUED]);
}

static void check_pages(struct model *m)
{
    static const struct {
        enum ledger_state state;
        enum kind kind;
    } pages[] = {{LEDGER_ACCEPTED, QUEUED},
                 {LEDGER_HELD, HELD},
                 {LEDGER_DELIVERED, KEPT},
                 {LEDGER_FORGOTTEN, FORGOTTEN}};
    static struct ledger_row rows[17];
    for (size_t i = 0; i < 4; i++) {
        char cursor[64] = "";
        size_t all = 0, want = 0;
        do {
            size_t n = ledger_page(m->f.l, pages[i].state, cursor, rows, 17);
            for (size_t k = 0; k < n; k++) {
                struct path *p = &m->p[strtoul(rows[k].path + strlen("dir/file"), NULL, 10)];
                cr_assert(p->kind == pages[i].kind && rows[k].size == p->size);
            }
            all += n;
        } while (cursor[0]);
        for (int k = 0; k < PATHS; k++)
            want += m->p[k].kind == pages[i].kind;
        cr_assert_eq(all, want);
    }
}

static void after_restart(struct model *m)
{
    struct ledger_file *file;
    for (struct path *p = m->p; p < m->p + PATHS; p++) {
        if (p->kind == TAKEN)
            p->kind = QUEUED;
        p->file = NULL;
    }
    check(m);
    while ((file = ledger_take_delivered(m->f.l)) != NULL) {
        struct path *p = path_of(m, file);
        cr_assert(p->kind == DELIVERED && file->id.size == p->size && file->sha256[1] == 2);
        p->file = file;
    }
    check(m);
}

static void take_some(struct model *m)
{
    struct ledger_file *file = ledger_take(m->f.l);
    if (!file)
        return;
    struct path *p = path_of(m, file);
    cr_assert(p->kind == QUEUED && file->id.size == p->size);
    cr_assert_eq(file->n_parts, p->upload ? p->parts : 0);
    /* What the file it replaced has left is not its own. */
    cr_assert_eq(file->part_bytes != 0, p->upload);
    cr_assert(!p->upload || file->upload_id);
    p->kind = TAKEN;
    p->file = file;
    if (below(2) == 0)
        file->state = LEDGER_DEFERRED;
}

static void on_taken(struct model *m, struct path *p, bool fails)
{
    struct err why = {.code = "c", .http_status = 500};
    struct ledger_part part = {.number = p->parts + 1, .etag = "e"};
    struct ledger *l = m->f.l;
    bool written = !fails;
    switch (below(8)) {
    case 0:
        ledger_put_back(l, p->file);
        p->kind = QUEUED;
        p->file = NULL;
        break;
    case 1:
        ledger_hold(l, p->file, "code", "text", NULL, NULL);
        p->kind = written ? HELD : QUEUED;
        p->file = NULL;
        break;
    case 2:
        ledger_forget(l, p->file, "code", "text", NULL, NULL);
        p->kind = written ? NONE : QUEUED;
        p->file = NULL;
        break;
    case 3:
        ledger_attempt(l, p->file, below(3), &why);
        break;
    case 4:
        if (fails)
            break; /* the part list is not what failing is about here */
        if (p->upload && below(4) == 0)
            ledger_upload_forgotten(l, p->file);
        else if (p->upload)
            ledger_part_stored(l, p->file, &part, NULL, NULL);
        else
            ledger_upload_created(l, p->file, "upload", 5, (uint8_t[SHA256_SIZE]){0});
        p->parts = p->file->n_parts ? (unsigned)p->file->n_parts : 0;
        p->upload = p->file->part_bytes != 0;
        break;
    default: /* several records that nobody waits for */
        ledger_attempt(l, p->file, below(3), &why);
        ledger_deliver(l, p->file, receipt(), NULL, NULL);
        p->kind = written ? DELIVERED : TAKEN;
    }
}

static void on_delivered(struct model *m, struct path *p)
{
    static const uint8_t flags[] = {0, RECORD_KEPT, RECORD_ARCHIVED, RECORD_GONE};
    int which = below(4);
    ledger_retire(m->f.l, p->file, flags[which]);
    p->kind = which == 1 ? KEPT : NONE;
    p->file = NULL;
}

static void on_idle(struct model *m, struct path *p, bool fails)
{
    struct path before = *p;
    char text[32];
    size_t n = name(text, m, p);
    enum rc rc = RC_OK, want = p->kind == NONE ? RC_ABSENT : RC_OK;
    switch (below(6)) {
    case 0:
        rc = ledger_hold_path(m->f.l, text, n, &(struct err){.code = "code", .text = "text"}, NULL,
                              NULL);
        want = p->kind == KEPT || p->kind == FORGOTTEN ? RC_ABSENT : want;
        want = p->kind == HELD ? RC_EXISTS : want;
        p->kind = p->kind == QUEUED ? HELD : p->kind;
        break;
    case 1:
        rc = ledger_release_path(m->f.l, text, n, NULL, NULL);
        want = p->kind == KEPT ? RC_ABSENT : p->kind == QUEUED ? RC_EXISTS : want;
        p->kind = p->kind == HELD || p->kind == FORGOTTEN ? QUEUED : p->kind;
        break;
    case 2:
        rc = ledger_forget_path(m->f.l, text, n, &(struct err){.code = "code"}, NULL, NULL);
        want = p->kind == KEPT ? RC_ABSENT : p->kind == FORGOTTEN ? RC_EXISTS : want;
        p->kind = p->kind == QUEUED || p->kind == HELD ? FORGOTTEN : p->kind;
        break;
    default:
        want = RC_OK;
        for (int times = below(4) == 0 ? 2 : 1; times > 0; times--) {
            *p = (struct path){.kind = QUEUED, .size = ++m->next_size, .type = below(TYPES)};
            accept(&m->f, text, types[p->type], p->size);
        }
    }
    cr_assert_eq(rc, want, "%s", text);
    if (fails)
        *p = before;
}

static void step(struct model *m)
{
    struct path *p = &m->p[below(PATHS)];
    /* A lost RETIRED leaves memory and journal apart until the restart, which the model has not. */
    bool fails = below(20) == 0 && p->kind != DELIVERED;
    m->f.broken = fails;
    switch (p->kind) {
    case TAKEN:
        on_taken(m, p, fails);
        break;
    case DELIVERED:
        on_delivered(m, p);
        break;
    default:
        if (below(3) == 0)
            take_some(m);
        else
            on_idle(m, p, fails);
    }
    flush(&m->f);
    if (fails)
        mend(&m->f);
}

Test(ledger_model, ten_thousand_random_verbs_leave_what_the_model_says)
{
    static struct model m;
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : random_below(1000000);
    cr_log_warn("SEED=%u", seed);
    srand(seed);
    fix_new(&m.f);
    ledger_close(m.f.l);
    m.f.segment_bytes = 32768; /* so that there is much to carry over */
    fix_open(&m.f);
    for (int i = 1; i <= VERBS; i++) {
        step(&m);
        if (below(30) == 0)
            check(&m);
        if (below(200) == 0) {
            restart(&m.f);
            after_restart(&m);
            check_pages(&m);
        }
        if (below(50) == 0) {
            check(&m);
            m.f.now += INT64_C(50) * 1000 * CLOCK_NS_PER_S;
            for (int k = below(5); k > 0; k--) {
                ledger_compact(m.f.l, m.f.now);
                if (below(3) > 0)
                    flush(&m.f);
                check(&m);
            }
            flush(&m.f);
            check(&m);
        }
    }
    struct journal_stats stats;
    journal_stats(ledger_journal(m.f.l), &stats);
    cr_assert_lt(stats.disk_bytes, VERBS * 120 / 3, "%lu bytes: old segments go", stats.disk_bytes);
    fix_free(&m.f);
}
