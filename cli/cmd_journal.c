/* spoolgate journal: read the journal offline; say what is damaged, and mend it on demand. */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/hex.h"
#include "cli/progress.h"
#include "gateway/gateway.h"
#include "spool/journal.h"
#include "spool/lock.h"
#include "spool/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pass {
    bool json, print;
    uint64_t records, legal, illegal, mended;
    struct progress progress;
    int journal_fd;
    uint32_t segment;           /* that is being read */
    uint64_t bytes_before_that; /* of the journal */
};

static void set_text(json_t *o, const char *name, struct record_text t)
{
    if (t.n > 0)
        json_object_set_new(o, name, json_text(t.p, t.n));
}

static json_t *record_json(record_place at, const struct record *r)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_rfc3339(time, r->at_ns);
    json_t *o =
        json_pack("{s:I, s:I, s:I, s:s, s:s}", "segment", (json_int_t)(at >> RECORD_OFFSET_BITS),
                  "offset", (json_int_t)(at & ((1u << RECORD_OFFSET_BITS) - 1)), "seq",
                  (json_int_t)r->seq, "type", record_type_name(r->type), "at", time);
    set_text(o, "path", r->path);
    set_text(o, "event_type", r->event_type);
    set_text(o, "key", r->key);
    set_text(o, "etag", r->etag);
    set_text(o, "version_id", r->version_id);
    set_text(o, "request_id", r->request_id);
    set_text(o, "upload_id", r->upload_id);
    set_text(o, "code", r->code);
    set_text(o, "text", r->text);
    if (r->type == RECORD_ACCEPTED || r->type == RECORD_DELIVERED)
        json_object_set_new(o, "size", json_integer((json_int_t)r->id.size));
    if (r->type == RECORD_DELIVERED) {
        char sha[2 * SHA256_SIZE + 1];
        hex_encode(sha, r->sha256, SHA256_SIZE);
        json_object_set_new(o, "sha256", json_string(sha));
    }
    if (r->type == RECORD_PART)
        json_object_set_new(o, "part", json_integer((json_int_t)r->part_number));
    if (r->first != 0)
        json_object_set_new(o, "file", json_integer((json_int_t)r->first));
    return o;
}

/* ---- how far it is ---- */

static uint64_t segment_bytes(int journal_fd, uint32_t number)
{
    char name[SEGMENT_NAME_SIZE];
    struct stat st;
    segment_name(name, number);
    return fstatat(journal_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_size : 0;
}

/* Of all segments; 0: not known. */
static uint64_t journal_bytes(int journal_fd)
{
    uint64_t sum = 0;
    uint32_t number;
    int fd = openat(journal_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            (void)close(fd); /* a directory */
        return 0;
    }
    for (struct dirent *d; (d = readdir(dir));) {
        if (segment_parse_name(d->d_name, &number))
            sum += segment_bytes(journal_fd, number);
    }
    (void)closedir(dir); /* only read from */
    return sum;
}

static void tell_progress(struct pass *p, record_place at)
{
    uint32_t segment = (uint32_t)(at >> RECORD_OFFSET_BITS);
    if (p->progress.silent)
        return;
    if (segment != p->segment && p->segment != 0)
        p->bytes_before_that += segment_bytes(p->journal_fd, p->segment);
    p->segment = segment;
    progress_bytes(&p->progress,
                   p->bytes_before_that + (at & ((UINT64_C(1) << RECORD_OFFSET_BITS) - 1)));
}

/* ---- reading ---- */

static enum rc on_record(void *arg, record_place at, const struct record *r)
{
    struct pass *p = arg;
    p->records++;
    tell_progress(p, at);
    if (p->print) {
        struct buf line;
        json_t *o = record_json(at, r);
        buf_init(&line, 65536);
        json_write(&line, o);
        puts(line.data);
        buf_fini(&line);
        json_decref(o);
    }
    return RC_OK;
}

static void on_fault(void *arg, const struct journal_fault *f)
{
    struct pass *p = arg;
    p->legal += f->legal;
    p->illegal += !f->legal;
    p->mended += f->mended;
    progress_end(&p->progress);
    const char *kind = f->legal ? "legal" : f->mended ? "mended" : "damaged";
    if (p->json) {
        json_t *o = json_pack("{s:I, s:I, s:s, s:o}", "segment", (json_int_t)f->segment, "offset",
                              (json_int_t)f->offset, "fault", kind, "why",
                              json_text(f->why.text, strlen(f->why.text)));
        cli_print_json(o);
        json_decref(o);
    } else {
        fprintf(p->print ? stderr : stdout, "segment %u, offset %llu: %s: %s\n", f->segment,
                (unsigned long long)f->offset, kind, f->why.text);
    }
}

/* What root writes the gateway could not read. */
static enum rc become_owner(int state_fd, const char *state, struct err *e)
{
    struct stat st;
    if (fstat(state_fd, &st) != 0)
        return err_sys(e, errno, "cannot look at %s", state);
    if (geteuid() != 0 || st.st_uid == 0)
        return RC_OK;
    if (setgroups(0, NULL) != 0 || setegid(st.st_gid) != 0 || seteuid(st.st_uid) != 0)
        return err_sys(e, errno, "cannot become uid %u, to whom %s belongs", st.st_uid, state);
    return RC_OK;
}

/* Mending under a running gateway would pull the ground from under it. */
static enum rc lock_state(const struct config *c, int *fd, struct err *e)
{
    int state_fd = open(c->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state_fd < 0)
        return err_sys(e, errno, "cannot open %s", c->state);
    enum rc rc = become_owner(state_fd, c->state, e);
    if (rc == RC_OK)
        rc = lock_take(state_fd, "lock", c->state, fd, e);
    (void)close(state_fd); /* only read from */
    return rc;
}

static enum cli_status read_all(const struct config *c, struct pass *p, bool fix)
{
    struct err e = {0};
    int fd = -1, lock_fd = -1;
    struct journal_reader reader = {.record = on_record, .arg = p};
    enum rc rc = gateway_open_journal(c, &fd, &e);
    if (rc == RC_OK && fix)
        rc = lock_state(c, &lock_fd, &e);
    if (rc == RC_OK) {
        p->journal_fd = fd;
        progress_begin(&p->progress, "Reading the journal", p->print ? 0 : journal_bytes(fd),
                       p->print || p->json);
        struct journal_verify_cfg cfg = {.fs = &fsio_system,
                                         .dirfd = fd,
                                         .reader = &reader,
                                         .fault = on_fault,
                                         .arg = p,
                                         .fix = fix};
        rc = journal_verify(&cfg, &e);
        progress_end(&p->progress);
    }
    if (fd >= 0)
        (void)close(fd); /* a directory */
    if (lock_fd >= 0)
        (void)close(lock_fd); /* lets the lock go */
    return rc == RC_OK || rc == RC_CORRUPT ? CLI_YES : cli_fail_err(rc, &e);
}

static enum cli_status run(int argc, char **argv)
{
    static const struct option options[] = {{"fix", no_argument, NULL, 'f'}, {0}};
    struct cli_common o;
    struct config *c = NULL;
    bool fix = false;
    int opt;
    enum cli_status status = cli_common_options(&cmd_journal, &argc, argv, &o);
    if (status != CLI_YES || o.done)
        return status;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt != 'f')
            return cli_fail(CLI_USAGE, "usage: spoolgate journal dump|verify [--fix]");
        fix = true;
    }
    const char *what = optind + 1 == argc ? argv[optind] : "";
    bool dump = strcmp(what, "dump") == 0;
    if ((!dump && strcmp(what, "verify") != 0) || (dump && fix))
        return cli_fail(CLI_USAGE, "usage: spoolgate journal dump|verify [--fix]");
    if ((status = cli_load_config(&o, &c)) != CLI_YES)
        return status;
    struct pass p = {.json = o.json, .print = dump};
    status = read_all(c, &p, fix);
    /* What one pass mends may show something new, which is told, and mended, in the next. */
    bool left = p.illegal > p.mended;
    if (status == CLI_YES && !dump) {
        if (o.json)
            printf("{\"records\":%llu,\"legal\":%llu,\"damaged\":%llu,\"mended\":%s}\n",
                   (unsigned long long)p.records, (unsigned long long)p.legal,
                   (unsigned long long)p.illegal, fix && p.illegal && !left ? "true" : "false");
        else
            printf("%llu records, %llu damaged places%s\n", (unsigned long long)p.records,
                   (unsigned long long)p.illegal,
                   p.illegal == 0 ? ""
                   : !fix         ? ": --fix mends them"
                   : left         ? "; not all could be mended"
                                  : ", mended; the originals are in quarantine/");
    }
    if (status == CLI_YES && left)
        status = CLI_NO;
    config_free(c);
    return status;
}

const struct cli_command cmd_journal = {
    .name = "journal",
    .summary = "dump or verify the journal, offline; --fix mends it",
    .help = "Usage: spoolgate journal dump|verify [--fix] [-c FILE] [--json]\n\n"
            "dump prints each record as a line of JSON. verify names each damaged place: segment, "
            "offset,\n"
            "reason; a torn end of the newest segment is legal.\n\n"
            "      --fix  mend what is damaged; originals go to quarantine/ (the gateway must be "
            "stopped)\n\n"
            "Example:\n  spoolgate journal verify\n\n"
            "Exit status: 0 whole (or mended); 1 damaged; 111 it cannot be read.\n",
    .run = run,
};
