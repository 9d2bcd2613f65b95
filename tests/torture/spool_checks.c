/* What must hold when everything is recovered and all that can be sent has been: the promises, held
 * against the disk, the bucket, the journal and the ledger. */
#include "tests/torture/spool_rig.h"

#include "spool/dirpage.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct fsio *disk(struct run *t)
{
    return faultfs_fsio(t->fs);
}

struct census {
    struct run *t;
    const char *under;
    bool found[VERSIONS];
    unsigned files;
};

static bool count_file(void *arg, const struct dirwalk_entry *entry)
{
    struct census *c = arg;
    struct file_stat st;
    const char *data;
    uint8_t sha[SHA256_SIZE];
    if (entry->is_dir || !faultfs_peek(c->t->fs, entry->dirfd, entry->name, &st, &data))
        return true;
    c->files++;
    sha256(data, st.id.size, sha);
    int v = version_of(sha);
    if (v >= 0)
        c->found[v] = true;
    return true;
}

static void take_census(struct run *t, const char *under, struct census *c)
{
    struct err e;
    const struct dirwalk w = {.fs = disk(t), .after = "", .visit = count_file, .arg = c};
    *c = (struct census){.t = t, .under = under};
    enum rc rc = dirwalk(&w, t->g.root_fd, under, &e);
    if (rc != RC_OK && rc != RC_ABSENT)
        violation(t, "the spool cannot be read", under);
}

/* P2, P7: what is recorded as delivered is there, with these bytes. */
static enum rc check_record(void *arg, record_place at, const struct record *r)
{
    struct run *t = arg;
    char key[RECORD_MAX];
    (void)at;
    if (r->type != RECORD_DELIVERED)
        return RC_OK;
    memcpy(key, r->key.p, r->key.n);
    key[r->key.n] = '\0';
    const struct object *o = store_find(&t->store, key);
    if (!o || memcmp(o->sha, r->sha256, SHA256_SIZE) != 0)
        violation(t, "a recorded delivery is not true", key);
    else
        witness_receipt(t, r->sha256, r->id.ino);
    return RC_OK;
}

void check_receipts(struct run *t)
{
    struct err e;
    const struct journal_reader reader = {.record = check_record, .arg = t};
    const struct journal_verify_cfg cfg = {
        .fs = disk(t), .dirfd = t->g.journal_fd, .reader = &reader};
    if (journal_verify(&cfg, &e) != RC_OK)
        violation(t, "the journal is damaged", e.text);
}

/* P5: no object but those that a producer wrote, each once. */
static void check_store(struct run *t, bool power_cut)
{
    bool seen[VERSIONS] = {0};
    for (size_t i = 0; i < t->store.n_objects; i++) {
        const struct object *o = &t->store.objects[i];
        int v = version_of(o->sha);
        /* What a producer never synced may lie there in part after a power cut, and whole to all
         * appearances: nobody can tell. */
        if (v < 0 && power_cut && strstr(o->key, "/loose"))
            continue;
        if (v < 0) {
            violation(t, "an object has bytes that nobody wrote", o->key);
            continue;
        }
        if (versions[v].wrong)
            violation(t, "an object should have been rejected", o->key);
        if (seen[v])
            violation(t, "an object is there twice", o->key);
        seen[v] = true;
    }
}

/* No promised byte is missing, and all that can be sent was. */
static void check_promised(struct run *t, bool disk_failed)
{
    struct census inbox, ours;
    take_census(t, RIG_INBOX, &inbox);
    take_census(t, ".spoolgate", &ours);
    for (unsigned v = 0; v < VERSIONS; v++) {
        bool sent = store_has(&t->store, version_sha(v));
        if (t->fate[v] != PROMISED)
            continue;
        if (!sent && !inbox.found[v] && !ours.found[v])
            violation(t, "promised bytes are lost", versions[v].path);
        else if (!sent && !versions[v].wrong && !disk_failed)
            violation(t, "a file was not sent", versions[v].path);
        else if (!sent && !versions[v].wrong && !ours.found[v])
            violation(t, "a file was not sent", versions[v].path);
        if (versions[v].wrong && inbox.found[v])
            violation(t, "a wrong file was not rejected", versions[v].path);
    }
    struct census aside;
    take_census(t, RETIRE_DIR, &aside);
    if (aside.files > 0)
        violation(t, "a file was left aside", RETIRE_DIR);
}

struct states {
    struct run *t;
    unsigned files;
};

static bool check_state(void *arg, const struct dirwalk_entry *entry)
{
    struct states *s = arg;
    struct ledger_view view;
    char path[128];
    if (entry->is_dir || entry->name[0] == '.')
        return true;
    (void)snprintf(path, sizeof path, RIG_INBOX "/%s", entry->path);
    s->files++;
    if (ledger_find(s->t->g.ledger, path, strlen(path), &view) != RC_OK)
        violation(s->t, "a file is in no state", path);
    return true;
}

/* Returns how many of them have a file. A kept file is not ours any more: it may have gone. */
static size_t check_rows(struct run *t, const struct ledger_row *rows, size_t n)
{
    struct file_stat st;
    const char *data;
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        if (faultfs_peek(t->fs, t->g.root_fd, rows[i].path, &st, &data))
            found++;
        else if (rows[i].state != LEDGER_DELIVERED)
            violation(t, "a state has no file", rows[i].path);
    }
    return found;
}

/* P6: every file in one state, and no state without a file. */
static void check_states(struct run *t)
{
    struct states s = {.t = t};
    struct err e;
    const struct dirwalk w = {.fs = disk(t), .after = "", .visit = check_state, .arg = &s};
    enum rc rc = dirwalk(&w, t->g.root_fd, RIG_INBOX, &e);
    if (rc != RC_OK && rc != RC_ABSENT)
        violation(t, "the spool cannot be read", RIG_INBOX);
    uint64_t known = 0;
    for (int i = 0; i < LEDGER_STATE_COUNT_; i++) {
        struct ledger_row rows[WINDOW];
        char cursor[64] = "";
        size_t n = 0;
        do {
            size_t got = ledger_page(t->g.ledger, (enum ledger_state)i, cursor, rows, WINDOW);
            known += check_rows(t, rows, got);
            n += got;
        } while (cursor[0] != '\0');
        if (n != ledger_count(t->g.ledger, (enum ledger_state)i))
            violation(t, "count and list differ", ledger_state_name((enum ledger_state)i));
    }
    if (known != s.files)
        violation(t, "files and states are not one to one", "");
    if (ledger_count(t->g.ledger, LEDGER_ACCEPTED) > 0)
        violation(t, "a file waits for ever", "");
}

void check_all(struct run *t, bool power_cut, bool disk_failed)
{
    check_store(t, power_cut);
    check_promised(t, disk_failed);
    check_states(t);
    check_receipts(t);
}
