/* Receipts and the heads of rejected files: see api_read.h. A job owns copies of all that it needs,
 * descriptors included: the pipeline and the configuration may be others when it comes back.
 */
#include "gateway/api_read.h"

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/peek.h"
#include "gateway/receipts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_DEFAULT  100
#define LINES_DEFAULT  20
#define BUDGET_MS      15
#define PATH_BYTES_MAX 4096
#define PAGE_MAX       (16 << 20)

/* A number from 1 to max; text NULL: fallback. */
static bool read_number(const char *text, unsigned long max, unsigned long fallback,
                        unsigned long *out)
{
    char *end;
    *out = fallback;
    if (!text)
        return true;
    if (*text < '0' || *text > '9')
        return false;
    *out = strtoul(text, &end, 10);
    return *end == '\0' && *out >= 1 && *out <= max;
}

static int duplicate(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* ---- receipts ---- */

struct receipts_job {
    int fd;
    char *bucket, *match;
    bool ndjson;
    struct receipts_query q;
    struct receipts_page page;
    struct buf rows;
    enum rc rc;
    struct err err;
};

static void add_receipt(void *arg, const struct record *r)
{
    struct receipts_job *job = arg;
    json_t *v = receipts_to_json(job->bucket, r);
    if (job->rows.len > 0 && !job->ndjson)
        buf_addc(&job->rows, ',');
    json_write(&job->rows, v);
    if (job->ndjson)
        buf_addc(&job->rows, '\n');
    json_decref(v);
}

static void receipts_run(void *arg)
{
    struct receipts_job *job = arg;
    job->page.each = add_receipt;
    job->page.arg = job;
    job->rc = receipts_read(&fsio_system, job->fd, &job->q, &job->page, &job->err);
}

static void receipts_answer(void *arg, struct control_answer *a)
{
    struct receipts_job *job = arg;
    char cursor[32] = "";
    if (job->rc != RC_OK) {
        api_err(a, job->rc, &job->err);
        return;
    }
    if (job->page.next != 0)
        (void)snprintf(cursor, sizeof cursor, "%" PRIx64, job->page.next);
    if (job->page.damaged)
        control_answer_header(a, "Spoolgate-Damaged", "true");
    if (job->ndjson) {
        a->content_type = "application/x-ndjson";
        if (cursor[0])
            control_answer_header(a, "Spoolgate-Cursor", cursor);
        buf_add(&a->body, job->rows.data, job->rows.len);
    } else {
        buf_adds(&a->body, "{\"receipts\":[");
        buf_add(&a->body, job->rows.data, job->rows.len);
        buf_addf(&a->body, "],\"cursor\":\"%s\",\"damaged\":%s}", cursor,
                 job->page.damaged ? "true" : "false");
    }
    if (job->rows.overflow)
        api_problem(a, 500, "the page is too long: ask for fewer receipts with limit");
}

static void receipts_free(void *arg)
{
    struct receipts_job *job = arg;
    if (job->fd >= 0)
        (void)close(job->fd); /* a directory, only read from */
    free(job->bucket);
    free(job->match);
    buf_fini(&job->rows);
    free(job);
}

static bool read_cursor(const char *text, record_place *before)
{
    char *end;
    *before = 0;
    if (!text || !*text)
        return true;
    if (strspn(text, "0123456789abcdef") != strlen(text) || strlen(text) > 11)
        return false;
    *before = strtoull(text, &end, 16);
    return *before >> RECORD_OFFSET_BITS != 0;
}

/* NULL: all is right with the query. */
static const char *read_query(const struct control_request *r, struct receipts_job *job)
{
    const char *since = control_argument(r, "since"), *until = control_argument(r, "until"),
               *match = control_argument(r, "match"), *format = control_argument(r, "format");
    int64_t now_ns = clock_wall_now_ns();
    unsigned long limit;
    job->q = (struct receipts_query){
        .since_ns = INT64_MIN, .until_ns = INT64_MAX, .budget_ms = BUDGET_MS};
    if (!read_number(control_argument(r, "limit"), RECEIPTS_LIMIT_MAX, LIMIT_DEFAULT, &limit))
        return "limit: expected a number from 1 to 1000";
    if ((since && *since && !receipts_parse_time(since, now_ns, &job->q.since_ns)) ||
        (until && *until && !receipts_parse_time(until, now_ns, &job->q.until_ns)))
        return "since, until: expected a time as 2026-11-23T08:00:00Z, 2026-11-23, or how long "
               "ago, as 2h";
    if (!read_cursor(control_argument(r, "cursor"), &job->q.before))
        return "cursor: expected what the page before gave";
    if (match && strlen(match) > PATH_BYTES_MAX)
        return "match: expected a pattern of at most 4096 bytes";
    if (format && strcmp(format, "json") != 0 && strcmp(format, "ndjson") != 0)
        return "format: expected json or ndjson";
    job->ndjson = format && strcmp(format, "ndjson") == 0;
    job->q.limit = limit;
    job->q.match = job->match = match && *match ? mem_strdup(match) : NULL;
    return NULL;
}

static void get_receipts(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct api *api = arg;
    struct receipts_job *job = mem_alloc(sizeof *job);
    *job = (struct receipts_job){.fd = -1};
    buf_init(&job->rows, PAGE_MAX);
    const char *wrong = read_query(r, job);
    if (!wrong) {
        job->bucket = mem_strdup(api_config(api)->bucket.name);
        job->fd = duplicate(api_journal_fd(api));
    }
    if (wrong) {
        api_problem(a, 400, wrong);
        receipts_free(job);
    } else if (job->fd < 0) {
        api_problem(a, 503, "too many files are open: try again");
        receipts_free(job);
    } else {
        struct api_work w = {receipts_run, receipts_answer, receipts_free, job};
        api_work(api, r, &w);
    }
}

/* ---- the head of a rejected file ---- */

struct head_job {
    int fd;
    char *path;
    unsigned lines;
    json_t *out;
    enum rc rc;
    struct err err;
};

static void head_run(void *arg)
{
    struct head_job *job = arg;
    job->rc = peek_rejected(&fsio_system, job->fd, job->path, job->lines, &job->out, &job->err);
}

static void head_answer(void *arg, struct control_answer *a)
{
    struct head_job *job = arg;
    if (job->rc != RC_OK)
        api_err(a, job->rc, &job->err);
    else
        json_write(&a->body, job->out);
}

static void head_free(void *arg)
{
    struct head_job *job = arg;
    (void)close(job->fd); /* a directory, only read from */
    json_decref(job->out);
    free(job->path);
    free(job);
}

static void get_head(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct api *api = arg;
    const char *path = control_argument(r, "path");
    unsigned long lines;
    if (!path || !*path || strlen(path) > PATH_BYTES_MAX) {
        api_problem(a, 400, "path: expected the file's path below the spool root");
        return;
    }
    if (!read_number(control_argument(r, "lines"), PEEK_LINES_MAX, LINES_DEFAULT, &lines)) {
        api_problem(a, 400, "lines: expected a number from 1 to 200");
        return;
    }
    int fd = duplicate(api_root_fd(api));
    if (fd < 0) {
        api_problem(a, 503, "too many files are open: try again");
        return;
    }
    struct head_job *job = mem_alloc(sizeof *job);
    *job = (struct head_job){.fd = fd, .path = mem_strdup(path), .lines = (unsigned)lines};
    struct api_work w = {head_run, head_answer, head_free, job};
    api_work(api, r, &w);
}

/* ---- */

static const struct api_route routes[] = {
    {"GET", "/v1/receipts", get_receipts, 0},
    {"GET", "/v1/file/head", get_head, 0},
};

void api_read_add(struct api *api)
{
    api_add(api, routes, sizeof routes / sizeof routes[0], api);
}
