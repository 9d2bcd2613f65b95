/* spoolgate test: one small message into the bucket, now, on the way that every file takes. Needs
 * no running gateway and leaves nothing in the spool.
 */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/fsio.h"
#include "base/random.h"
#include "gateway/destination.h"
#include "spool/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEST_TIMEOUT_MS 60000

struct test {
    struct loop *loop;
    struct destination *destination;
    struct loop_timer *timeout;
    struct transfer_outcome outcome;
    bool ended, timed_out;
    char dir[64];
    int dir_fd;
    struct identity id;
    struct buf key;
    struct transfer_job *job; /* until the destination has a slot */
};

/* ---- the message ---- */

static enum rc write_message(struct test *t, const struct config *c, struct err *e)
{
    char now[CLOCK_RFC3339_SIZE], host[256] = "";
    struct buf line;
    struct stat st;
    (void)gethostname(host, sizeof host - 1); /* only told */
    clock_rfc3339(now, clock_wall_now_ns());
    json_t *v =
        json_pack("{s:s, s:s, s:o, s:s, s:s}", "type", "test", "source", "spoolgate", "host",
                  json_text(host, strlen(host)), "account", c->account_name, "time", now);
    buf_init(&line, 4096);
    json_write(&line, v);
    json_decref(v);
    buf_addc(&line, '\n');
    enum rc rc = RC_OK;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(t->dir, sizeof t->dir, "%s/spoolgate-test-XXXXXX",
                   tmp && strlen(tmp) < 32 ? tmp : "/tmp"); /* fits by the check */
    if (!mkdtemp(t->dir)) {
        t->dir[0] = '\0';
        rc = err_sys(e, errno, "cannot make a temporary directory");
        goto out;
    }
    t->dir_fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = t->dir_fd < 0
                 ? -1
                 : openat(t->dir_fd, "message", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        rc = err_sys(e, errno, "cannot write in %s", t->dir);
        goto out;
    }
    rc = fsio_write_all(&fsio_system, fd, line.data, line.len, 0, e);
    if (fstat(fd, &st) != 0 && rc == RC_OK)
        rc = err_sys(e, errno, "cannot look at the message");
    if (close(fd) != 0 && rc == RC_OK)
        rc = err_sys(e, errno, "cannot write the message");
    struct file_stat fst;
    int got = fsio_system.ops->stat(fsio_system.ctx, t->dir_fd, "message", &fst);
    if (got < 0 && rc == RC_OK)
        rc = err_sys(e, got, "cannot look at the message");
    t->id = fst.id;
out:
    buf_fini(&line);
    return rc;
}

static enum rc make_key(struct test *t, const struct config *c, struct err *e)
{
    struct layout *layout = NULL;
    char date[CLOCK_DATE_SIZE], amz[CLOCK_AMZ_SIZE], name[64];
    int64_t now_s = clock_wall_now_ns() / CLOCK_NS_PER_S;
    enum rc rc = layout_new(c->layout, c->prefix, &layout, e);
    if (rc != RC_OK)
        return rc;
    clock_date(date, now_s);
    clock_amz(amz, now_s);
    (void)snprintf(name, sizeof name, "spoolgate-test-%s-%08x.json", amz, random_below(UINT32_MAX));
    struct buf path;
    buf_init(&path, 4096);
    layout_path(layout, "test", date, c->account_name, name, &path);
    layout_key(layout, path.data, path.len, &t->key);
    buf_fini(&path);
    layout_free(layout);
    return RC_OK;
}

static void remove_message(struct test *t)
{
    /* What cannot be removed is a small file in the temporary directory. */
    if (t->dir_fd >= 0) {
        (void)unlinkat(t->dir_fd, "message", 0);
        (void)close(t->dir_fd);
    }
    if (t->dir[0] != '\0')
        (void)rmdir(t->dir);
}

/* ---- sending ---- */

static unsigned no_attempts(void *arg, uint64_t tag)
{
    (void)arg;
    (void)tag;
    return 0;
}

static void end(struct test *t)
{
    t->ended = true;
    loop_stop(t->loop);
}

static void submit_if_possible(struct test *t)
{
    if (!t->job || !t->destination || destination_slots(t->destination) == 0)
        return;
    struct transfer_job *job = t->job;
    t->job = NULL;
    destination_submit(t->destination, job);
}

static void on_done(void *arg, const struct transfer_outcome *o, enum advice a)
{
    struct test *t = arg;
    t->outcome = *o;
    /* New credentials, another region: what the gateway would do at once is done here too, once. */
    bool again = a == ADVICE_PUT_BACK && o->result == TRANSFER_ANSWERED &&
                 (o->class == ANSWER_REROUTE) && t->outcome.requests > 0 && !t->timed_out;
    if (again && destination_slots(t->destination) > 0) {
        t->job = transfer_job_new(2, "message", t->key.data, &t->id);
        submit_if_possible(t);
        return;
    }
    end(t);
}

static void on_progress(void *arg, const struct transfer_progress *p)
{
    (void)arg;
    (void)p;
}

static void on_ready(void *arg)
{
    submit_if_possible(arg);
}

static void on_timeout(void *arg)
{
    struct test *t = arg;
    t->timed_out = true;
    end(t);
}

static enum rc send_message(struct test *t, const struct config *c, struct err *e)
{
    struct destination_cfg cfg = {
        .loop = t->loop,
        .config = c,
        .root_fd = t->dir_fd,
        .threads = 1,
        .attempts = no_attempts,
        .done = on_done,
        .progress = on_progress,
        .ready = on_ready,
        .arg = t,
    };
    t->job = transfer_job_new(1, "message", t->key.data, &t->id);
    enum rc rc = destination_new(&cfg, &t->destination, e);
    if (rc != RC_OK)
        return rc;
    submit_if_possible(t);
    if (t->job) {
        struct destination_status s;
        destination_status(t->destination, &s);
        return err_set(e, RC_DENIED, "%s", s.why.text);
    }
    t->timeout = loop_timer_new(t->loop, on_timeout, t);
    loop_timer_set(t->timeout, TEST_TIMEOUT_MS);
    loop_run(t->loop);
    return RC_OK;
}

static enum cli_status tell(const struct cli_common *o, const struct config *c,
                            const struct test *t)
{
    const struct transfer_outcome *r = &t->outcome;
    struct destination_status s;
    destination_status(t->destination, &s);
    const char *region = s.region; /* it may have turned out to be another one */
    bool arrived = t->ended && !t->timed_out &&
                   (r->result == TRANSFER_STORED || r->result == TRANSFER_VERIFIED);
    if (o->json) {
        json_t *v =
            json_pack("{s:b, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:I}", "arrived", arrived,
                      "bucket", c->bucket.name, "region", region, "key", t->key.data, "http_status",
                      r->err.http_status, "code", json_text(r->err.code, strlen(r->err.code)),
                      "why", json_text(r->err.text, strlen(r->err.text)), "etag",
                      json_text(r->etag, strlen(r->etag)), "request_id",
                      json_text(r->request_id, strlen(r->request_id)), "answer_ms",
                      (json_int_t)(r->answer_us / 1000));
        cli_print_json(v);
        json_decref(v);
        return arrived ? CLI_YES : CLI_NO;
    }
    if (arrived) {
        printf("The test message arrived: s3://%s/%s (ETag %s, answered in %llu ms).\n",
               c->bucket.name, t->key.data, r->etag, (unsigned long long)(r->answer_us / 1000));
        if (strcmp(region, c->bucket.region) != 0)
            printf("The bucket's region is %s, not %s: set bucket.region to it.\n", region,
                   c->bucket.region);
        return CLI_YES;
    }
    if (t->timed_out)
        return cli_fail(CLI_NO, "the test message got no answer within %d s from %s",
                        TEST_TIMEOUT_MS / 1000, c->bucket.endpoint ? c->bucket.endpoint : "AWS");
    return cli_fail(CLI_NO, "the test message did not arrive: %s", r->err.text);
}

static enum cli_status run(int argc, char **argv)
{
    struct cli_common o;
    struct config *c = NULL;
    struct err e = {0};
    struct test t = {.dir_fd = -1};
    enum cli_status status = cli_common_options(&cmd_test, &argc, argv, &o);
    if (status != CLI_YES || o.done)
        return status;
    if (argc > 1)
        return cli_fail(CLI_USAGE, "test takes no arguments, found \"%s\"", argv[1]);
    if ((status = cli_load_config(&o, &c)) != CLI_YES)
        return status;
    log_setup(-1, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, false); /* all is told below, once */
    buf_init(&t.key, 4096);
    t.loop = loop_new();
    enum rc rc = http_global_init(&e);
    if (rc == RC_OK)
        rc = make_key(&t, c, &e);
    if (rc == RC_OK)
        rc = write_message(&t, c, &e);
    if (rc == RC_OK)
        rc = send_message(&t, c, &e);
    status = rc == RC_OK ? tell(&o, c, &t) : cli_fail_err(rc, &e);
    transfer_job_free(t.job);
    destination_free(t.destination);
    loop_timer_free(t.timeout);
    remove_message(&t);
    loop_free(t.loop);
    http_global_fini();
    buf_fini(&t.key);
    config_free(c);
    return status;
}

const struct cli_command cmd_test = {
    .name = "test",
    .summary = "sends one test message now; says it arrived, or what to change",
    .help = "Usage: spoolgate test [-c FILE] [--json]\n\n"
            "Sends one line of JSON (event type `test`, today's date, the configured account) with "
            "the real\n"
            "headers to the configured bucket, and says whether it arrived; if not, the cause and "
            "the remedy.\n\n"
            "Example:\n  spoolgate test -c /etc/spoolgate/spoolgate.json\n\n"
            "Exit status: 0 it arrived; 1 it did not; 100 configuration; 111 the environment.\n",
    .run = run,
};
