/* spoolgate put: stdin or a file into the spool, durable when it returns. Needs no running gateway
 * but for --wait.
 */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/units.h"
#include "cli/progress.h"
#include "cli/receipt.h"
#include "gateway/gateway.h"
#include "gateway/space.h"
#include "spool/layout.h"
#include "spool/ndjson.h"
#include "spool/put.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct put_options {
    struct cli_common common;
    const char *key_path, *file;
    bool wait;
    uint64_t wait_ms;
};

static enum cli_status parse(int argc, char **argv, struct put_options *o)
{
    static const struct option options[] = {{"wait", optional_argument, NULL, 'w'}, {0}};
    int opt;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt != 'w')
            return cli_fail(CLI_USAGE, "spoolgate put --help says which options there are");
        o->wait = true;
        o->wait_ms = UINT64_MAX;
        if (optarg) {
            char *end;
            unsigned long s = strtoul(optarg, &end, 10);
            if (end == optarg || *end != '\0' || s > 31536000)
                return cli_fail(CLI_USAGE, "--wait=%s: expected a number of seconds", optarg);
            o->wait_ms = (uint64_t)s * 1000;
        }
    }
    if (optind >= argc || argc - optind > 2)
        return cli_fail(CLI_USAGE, "usage: spoolgate put KEYPATH [FILE] [--wait[=SECONDS]]");
    o->key_path = argv[optind];
    o->file = argc - optind == 2 ? argv[optind + 1] : NULL;
    return CLI_YES;
}

/* ---- into the spool ---- */

struct putting {
    bool is_ndjson;
    struct ndjson ndjson;
    uint64_t bytes;
    struct progress progress;
};

static enum rc check_piece(void *arg, const char *data, size_t n, struct err *e)
{
    struct putting *p = arg;
    p->bytes += n;
    progress_bytes(&p->progress, p->bytes);
    return p->is_ndjson ? ndjson_feed(&p->ndjson, data, n, e) : RC_OK;
}

static enum rc check_end(void *arg, struct err *e)
{
    struct putting *p = arg;
    progress_wait(&p->progress, "all is written, the disk syncs it");
    return p->is_ndjson ? ndjson_finish(&p->ndjson, e) : RC_OK;
}

/* 0: it is no regular file. */
static uint64_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

static enum rc refuse_when_full(const struct config *c, int root_fd, struct err *e)
{
    struct statvfs s;
    struct stat marker;
    if (fstatat(root_fd, ".spoolgate/full", &marker, AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(e, RC_FULL,
                       "the spool is full: spoolgate status says why; try again when it has room");
    if (fstatvfs(root_fd, &s) != 0)
        return RC_OK; /* the write itself will tell */
    enum space space = space_judge(c, &s);
    if (space == SPACE_FEW_BYTES)
        return err_set(e, RC_FULL,
                       "less than %u %% is free on the spool's file system "
                       "(limits.min_free_percent): make room and try again",
                       c->limits.free_percent);
    if (space == SPACE_FEW_INODES)
        return err_set(e, RC_FULL,
                       "less than %u %% of the inodes are free on the spool's file system "
                       "(limits.min_free_inodes_percent): make room and try again",
                       c->limits.free_inodes_percent);
    return RC_OK;
}

/* The gateway would let it lie for ever, and --wait would wait for it as long. */
static enum rc refuse_if_ignored(const struct config *c, const char *path, struct err *e)
{
    const struct layout_ignore ignore = {(const char *const *)c->ignore, c->n_ignore};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (!layout_ignored(&ignore, name))
        return RC_OK;
    return err_set(e, RC_INVALID,
                   "%s is a name that the gateway does not look at (a leading dot, a trailing ~, "
                   "or a pattern of `ignore`): put it under another name",
                   name);
}

static enum rc put(const struct config *c, const char *path, int from, uint64_t *size,
                   struct err *e)
{
    struct putting p = {0};
    struct layout *layout = NULL;
    struct layout_match m;
    int root_fd = -1;
    enum rc rc = layout_new(c->layout, c->prefix, &layout, e);
    if (rc != RC_OK)
        return rc;
    if ((rc = layout_match(layout, path, strlen(path), &m, e)) != RC_OK ||
        (rc = refuse_if_ignored(c, path, e)) != RC_OK)
        goto out;
    if ((rc = gateway_open_root(c, &root_fd, e)) != RC_OK)
        goto out;
    if ((rc = refuse_when_full(c, root_fd, e)) != RC_OK)
        goto out;
    struct put_cfg cfg = {.fs = &fsio_system,
                          .root_fd = root_fd,
                          .size_max = c->limits.file_max,
                          .check = check_piece,
                          .finish = check_end,
                          .arg = &p};
    p.is_ndjson = config_type(c, path + m.event_type.at, m.event_type.n)->content == CONFIG_NDJSON;
    if (p.is_ndjson)
        ndjson_init(&p.ndjson);
    progress_begin(&p.progress, "Into the spool", size_of(from), false);
    rc = put_file(&cfg, from, path, size, e);
    progress_end(&p.progress);
out:
    if (root_fd >= 0)
        (void)close(root_fd); /* only a starting point */
    layout_free(layout);
    return rc;
}

/* ---- until it is delivered ---- */

/* How much of a large file the bucket has, which the status knows of the largest ones. */
static void tell_sending(const struct config *c, const char *path, struct progress *progress)
{
    struct err e = {0};
    json_t *v = NULL;
    size_t i;
    const json_t *t;
    if (progress->silent || cli_ask(c, "GET", "/v1/status", NULL, &v, &e) != CLI_YES)
        return;
    json_array_foreach(json_object_get(v, "transfers"), i, t)
    {
        const char *name = json_string_value(json_object_get(t, "path"));
        uint64_t sent = (uint64_t)json_integer_value(json_object_get(t, "sent"));
        progress->total = (uint64_t)json_integer_value(json_object_get(t, "size"));
        if (name && strcmp(name, path) == 0 && sent > 0) {
            progress_bytes(progress, sent);
            json_decref(v);
            return;
        }
    }
    json_decref(v);
    progress_wait(progress, "it is being sent");
}

/* Since when a receipt is of the file that was put, and not of an older one of its name. Where the
 * wall clock is set back meanwhile, the receipt has a time from before the put; it is known by when
 * its file was written then. */
struct since {
    int64_t wall_ns, mono_ns; /* of the beginning */
    int64_t ns;               /* of the beginning by the lowest clock since */
    int64_t written_ns;       /* the same when all was written */
};
/* Some file systems keep times of files to two seconds. */
#define WRITTEN_GRACE_NS (2 * CLOCK_NS_PER_S)

static struct since since_now(void)
{
    int64_t wall_ns = clock_wall_now_ns();
    return (struct since){.wall_ns = wall_ns, .mono_ns = clock_mono_now_ns(), .ns = wall_ns};
}

static void since_follow(struct since *s)
{
    int64_t went_ns = clock_mono_now_ns() - s->mono_ns;
    int64_t ns = clock_wall_now_ns() - went_ns;
    if (ns < s->ns)
        s->ns = ns;
}

static enum cli_status ask_receipt(const struct config *c, const char *path,
                                   const struct since *since, json_t **out)
{
    struct err e = {0};
    bool set_back = since->ns < since->wall_ns;
    enum rc rc = receipt_find(c, path, since->ns,
                              set_back ? since->written_ns - WRITTEN_GRACE_NS : INT64_MIN, out, &e);
    return rc == RC_OK || rc == RC_ABSENT ? CLI_YES : cli_fail_err(rc, &e);
}

/* Only a person ends these. */
static bool is_stuck(const char *state)
{
    return strcmp(state, "held") == 0 || strcmp(state, "rejected") == 0 ||
           strcmp(state, "forgotten") == 0;
}

/* Until the gateway has seen the file that was put it tells of an older one of that name: rejected,
 * or in its care although somebody took it away. KNOWN: where the clock is set back meanwhile, one
 * of up to so long before is taken for ours. */
static bool is_of_older(const json_t *v, int64_t since_ns)
{
    const char *at = json_string_value(json_object_get(v, "rejected_at"));
    int64_t ns;
    if (!at)
        at = json_string_value(json_object_get(v, "accepted_at"));
    return at && clock_parse_rfc3339(at, &ns) == RC_OK &&
           ns < since_ns - since_ns % CLOCK_NS_PER_MS; /* as exact as the text is */
}

/* CLI_YES with *out: delivered; CLI_YES without: not yet. */
static enum cli_status ask_once(const struct config *c, const char *path, const struct since *since,
                                struct progress *progress, json_t **out)
{
    struct buf url;
    struct err e = {0};
    json_t *v = NULL;
    buf_init(&url, 16384);
    buf_adds(&url, "/v1/file?path=");
    cli_query_encode(&url, path);
    enum cli_status status = cli_ask(c, "GET", url.data, NULL, &v, &e);
    buf_fini(&url);
    if (status == CLI_NO)
        return ask_receipt(c, path, since, out);
    if (status != CLI_YES)
        return status;
    const char *state = json_string_value(json_object_get(v, "state"));
    const char *why = json_string_value(json_object_get(v, "why"));
    if (state && (strcmp(state, "delivered") == 0 || is_stuck(state))) {
        status = ask_receipt(c, path, since, out);
        if (status == CLI_YES && !*out && is_stuck(state) && !is_of_older(v, since->ns)) {
            progress_end(progress);
            status =
                cli_fail(CLI_NO, "%s is %s: %s", path, state, why ? why : "no reason is known");
        }
    } else if (state && strcmp(state, "sending") == 0) {
        tell_sending(c, path, progress);
    } else if (state) {
        progress_wait(progress, why ? why : state);
    }
    json_decref(v);
    return status;
}

static enum cli_status wait_with(const struct config *c, const struct put_options *o,
                                 const char *path, struct since *since, struct progress *progress,
                                 json_t **receipt)
{
    int64_t begin = clock_mono_now_ns();
    for (long ms = 2;; ms = ms < 250 ? ms * 2 : 250) {
        since_follow(since);
        enum cli_status status = ask_once(c, path, since, progress, receipt);
        if (status != CLI_YES || *receipt)
            return status;
        if ((uint64_t)((clock_mono_now_ns() - begin) / CLOCK_NS_PER_MS) >= o->wait_ms) {
            progress_end(progress);
            return cli_fail(
                CLI_NO, "%s is safe in the spool, but was not delivered in time: spoolgate why %s",
                path, path);
        }
        struct timespec pause = {.tv_nsec = ms * 1000000};
        (void)nanosleep(&pause, NULL);
    }
}

static enum cli_status wait_for(const struct config *c, const struct put_options *o,
                                const char *path, struct since *since)
{
    struct progress progress;
    json_t *receipt = NULL;
    progress_begin(&progress, "To the bucket", 0, false);
    enum cli_status status = wait_with(c, o, path, since, &progress, &receipt);
    progress_end(&progress);
    if (receipt && o->common.json)
        cli_print_json(receipt);
    else if (receipt)
        printf("delivered to s3://%s/%s after %lld ms\n", c->bucket.name,
               json_string_value(json_object_get(receipt, "key")),
               (long long)json_integer_value(json_object_get(receipt, "delivered_after_ms")));
    json_decref(receipt);
    return status;
}

static enum cli_status run(int argc, char **argv)
{
    struct put_options o = {0};
    struct config *c = NULL;
    struct err e = {0};
    struct buf path;
    enum cli_status status = cli_common_options(&cmd_put, &argc, argv, &o.common);
    if (status != CLI_YES || o.common.done)
        return status;
    if ((status = parse(argc, argv, &o)) != CLI_YES ||
        (status = cli_load_config(&o.common, &c)) != CLI_YES)
        return status;
    buf_init(&path, 8192);
    int from = STDIN_FILENO;
    uint64_t size = 0;
    struct since since = since_now();
    enum rc rc = cli_path_below(c, o.key_path, &path, &e);
    if (rc == RC_OK && o.file) {
        from = open(o.file, O_RDONLY | O_CLOEXEC);
        if (from < 0)
            rc = err_sys(&e, errno, "cannot open %s", o.file);
    }
    if (rc == RC_OK)
        rc = put(c, path.data, from, &size, &e);
    since_follow(&since);
    since.written_ns = since.ns;
    if (from > STDIN_FILENO)
        (void)close(from); /* only read from */
    char shown[UNITS_TEXT_SIZE];
    if (rc != RC_OK)
        status = cli_fail_err(rc, &e);
    else if (o.wait)
        status = wait_for(c, &o, path.data, &since);
    else if (cli_is_terminal(STDOUT_FILENO))
        printf("%s, %s: safe in the spool\n", path.data, units_format_size(shown, size));
    buf_fini(&path);
    config_free(c);
    return status;
}

const struct cli_command cmd_put = {
    .name = "put",
    .summary = "stdin or a file into the spool, durable when it returns",
    .help =
        "Usage: spoolgate put KEYPATH [FILE] [--wait[=SECONDS]] [-c FILE] [--json]\n\n"
        "Copies FILE, or stdin, into the spool under KEYPATH (the key it will have in the "
        "bucket).\n"
        "When it returns 0 the file is on disk, synced, and complete under its name; nothing is\n"
        "overwritten. It needs no running gateway.\n\n"
        "      --wait[=SECONDS]  return when it is in the bucket (or 1 after SECONDS); --json "
        "prints\n"
        "                        the receipt\n\n"
        "Example:\n"
        "  echo '{\"id\":1}' | spoolgate put Panoptica/findings/2026-11-23/prod/f-1.json "
        "--wait=60\n\n"
        "Exit status: 0 in the spool (with --wait: delivered); 1 not delivered in time, held,\n"
        "rejected or forgotten; 100 usage, layout or contents; 111 no space, no permission, no "
        "gateway.\n",
    .run = run,
};
