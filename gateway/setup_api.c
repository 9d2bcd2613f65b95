/* The routes of the set-up, the policy, and what is known: see setup_api.h.
 */
#include "gateway/setup_api_int.h"

#include "base/mem.h"
#include "gateway/receipts.h"
#include "gateway/setup.h"
#include "policy/document.h"
#include "spool/layout.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCOUNTS_MAX       1000
#define RECEIPTS_BUDGET_MS 300

struct setup_api {
    struct setup_api_cfg cfg;
    char *path; /* of cfg: a configuration that is swapped out takes its own along */
    struct setup_test *test;
};

/* ---- what came ---- */

void setup_fault(json_t *list, const char *path, const char *text)
{
    json_array_append_new(list, json_pack("{s:o, s:o}", "path", json_text(path, strlen(path)),
                                          "text", json_text(text, strlen(text))));
}

void setup_refuse(struct control_answer *a, json_t *faults)
{
    const char *first = json_string_value(json_object_get(json_array_get(faults, 0), "text"));
    struct buf title;
    buf_init(&title, 4096);
    buf_adds(&title, first ? first : "the settings are wrong");
    api_problem_full(a,
                     &(struct api_problem){.status = 400, .title = title.data, .errors = faults});
    buf_fini(&title);
}

bool setup_text(const json_t *v, char out[SETUP_TEXT_MAX + 1])
{
    const char *s = !v || json_is_null(v) ? "" : json_string_value(v);
    out[0] = '\0';
    if (!s)
        return false;
    s += strspn(s, " \t\r\n");
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r\n", s[n - 1]))
        n--;
    if (n > SETUP_TEXT_MAX)
        return false;
    memcpy(out, s, n);
    out[n] = '\0';
    return true;
}

json_t *setup_body(const struct control_request *r, struct control_answer *a)
{
    struct err e = {0};
    json_t *body = json_parse(r->body, r->body_len, &e);
    if (json_is_object(body))
        return body;
    api_problem(a, 400, body ? "expected a JSON object" : e.text);
    json_decref(body);
    return NULL;
}

/* ---- POST /v1/setup/policy ---- */

static json_t *policy_answer(const char *bucket_arn, const struct buf *policy)
{
    struct buf page;
    json_t *steps = json_array();
    buf_init(&page, 1024);
    for (size_t i = 0; i < SETUP_STEPS; i++)
        json_array_append_new(steps, json_string(setup_steps[i]));
    bool known = document_console(bucket_arn, &page, NULL) == RC_OK;
    json_t *v =
        json_pack("{s:o, s:o, s:o}", "policy", json_text(policy->data, policy->len), "bucket_page",
                  known ? json_string(page.data) : json_null(), "steps", steps);
    buf_fini(&page);
    return v;
}

/* What this configuration asks of the bucket; without one, or of another bucket, what anybody's
 * would. */
static void needs_of(const struct config *c, const char *bucket_arn, struct buf *prefix,
                     struct document_needs *out)
{
    bool ours = c && strcmp(c->bucket.arn, bucket_arn) == 0;
    if (ours)
        setup_prefix(c, prefix);
    *out = (struct document_needs){.acl = !ours || c->bucket.acl,
                                   .tags = ours && c->bucket.tags.n > 0,
                                   .prefix = prefix->data};
}

static void post_policy(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct setup_api *s = arg;
    json_t *body = setup_body(r, a), *faults;
    char arn[SETUP_TEXT_MAX + 1], role[SETUP_TEXT_MAX + 1], put_role[SETUP_TEXT_MAX + 1];
    const char *roles[] = {role}, *put_roles[] = {put_role};
    struct document_needs needs;
    struct buf text, prefix;
    struct err e = {0};
    if (!body)
        return;
    bool minimal = json_is_true(json_object_get(body, "minimal"));
    buf_init(&text, 2 * DOCUMENT_MAX);
    buf_init(&prefix, 4096);
    faults = json_array();
    if (!setup_text(json_object_get(body, "bucket_arn"), arn) || !arn[0])
        setup_fault(faults, "bucket_arn", "the bucket's ARN is missing");
    if (!setup_text(json_object_get(body, "role_arn"), role) || !role[0])
        setup_fault(faults, "role_arn",
                    "name who writes, such as arn:aws:iam::111122223333:role/panoptica-customer");
    if (!setup_text(json_object_get(body, "put_role_arn"), put_role)) /* "" where it is none */
        setup_fault(faults, "put_role_arn",
                    "expected the ARN of a role, a text of at most 2048 bytes");
    else if (put_role[0] && minimal)
        setup_fault(faults, "put_role_arn",
                    "this names the role of the second statement, which the minimal policy does "
                    "not have: leave out one of the two");
    needs_of(api_config(s->cfg.api), arn, &prefix, &needs);
    /* The usual document allows no tags: nobody who pastes it would be served. */
    if (!put_role[0] && !json_object_get(body, "minimal"))
        minimal = needs.tags;
    struct document_cfg dc = {
        .bucket_arn = arn,
        .role_arns = roles,
        .n_role_arns = 1,
        .put_role_arns = put_role[0] ? put_roles : NULL,
        .n_put_role_arns = put_role[0] ? 1 : 0,
        .needs = minimal ? &needs : NULL,
    };
    if (json_array_size(faults) > 0)
        setup_refuse(a, json_incref(faults));
    else if (document_generate(&dc, &text, &e) != RC_OK)
        api_problem(a, 400, e.text);
    else
        api_json(a, policy_answer(arn, &text));
    json_decref(faults);
    json_decref(body);
    buf_fini(&prefix);
    buf_fini(&text);
}

/* ---- GET /v1/setup ---- */

struct known {
    char *path; /* of setup: this may come back from the pool when the api is gone */
    struct setup setup;
    json_t *accounts, *roles;
    int journal_fd;        /* -1: there is none */
    struct layout *layout; /* NULL: that has no accounts */
    bool may_save;
    struct err err;
};

static void add_once(void *arg, const char *value, const char *note)
{
    json_t *list = arg, *v;
    size_t i;
    (void)note;
    json_array_foreach(list, i, v)
    {
        if (strcmp(json_string_value(v), value) == 0)
            return;
    }
    json_array_append_new(list, json_text(value, strlen(value)));
}

static void add_account(void *arg, const struct record *r)
{
    struct known *k = arg;
    struct layout_match m;
    if (json_array_size(k->accounts) >= ACCOUNTS_MAX ||
        layout_match(k->layout, r->path.p, r->path.n, &m, NULL) != RC_OK || m.account.n == 0)
        return;
    char *name = mem_strndup(r->path.p + m.account.at, m.account.n);
    add_once(k->accounts, name, "");
    free(name);
}

/* Those of the last receipts; it is no matter if they cannot be read. */
static void accounts_of_receipts(struct known *k)
{
    struct receipts_query q = {.since_ns = INT64_MIN,
                               .until_ns = INT64_MAX,
                               .limit = RECEIPTS_LIMIT_MAX,
                               .budget_ms = RECEIPTS_BUDGET_MS};
    struct receipts_page page = {.each = add_account, .arg = k};
    struct err e;
    if (k->journal_fd >= 0 && k->layout &&
        receipts_read(&fsio_system, k->journal_fd, &q, &page, &e) != RC_OK)
        (void)e;
}

static void known_run(void *arg)
{
    struct known *k = arg;
    if (setup_read(&k->setup, &k->err) != RC_OK)
        return;
    setup_accounts(&k->setup, add_once, k->accounts);
    setup_roles(&k->setup, add_once, k->roles);
    accounts_of_receipts(k);
    k->may_save = setup_may_save(&k->setup, &k->err) == RC_OK;
}

static json_t *member(const json_t *o, const char *name)
{
    json_t *v = json_object_get(o, name);
    return v ? json_incref(v) : json_null();
}

static json_t *current(const json_t *existing, const json_t *role)
{
    const json_t *bucket = json_object_get(existing, "bucket");
    if (!json_is_string(json_object_get(bucket, "arn")))
        return json_null();
    return json_pack(
        "{s:o, s:o, s:o, s:n, s:o, s:o, s:o, s:b, s:o}", "account_name",
        member(existing, "account_name"), "bucket_arn", member(bucket, "arn"), "role_arn",
        member(role, "arn"), "put_role_arn", "region", member(bucket, "region"), "endpoint",
        member(bucket, "endpoint"), "external_id", member(role, "external_id"), "path_style",
        json_is_true(json_object_get(bucket, "path_style")), "ca_file", member(bucket, "ca_file"));
}

static void known_answer(void *arg, struct control_answer *a)
{
    struct known *k = arg;
    if (!k->setup.existing) {
        api_err(a, k->err.rc, &k->err);
        return;
    }
    json_t *existing = k->setup.existing, *now = current(existing, setup_last_role(&k->setup));
    json_t *buckets = json_array();
    if (json_is_object(now))
        json_array_append_new(buckets, json_pack("{s:o, s:o}", "arn", member(now, "bucket_arn"),
                                                 "region", member(now, "region")));
    bool may = k->may_save;
    api_json(a,
             json_pack("{s:O, s:O, s:o, s:o, s:o, s:{s:i, s:i}, s:{s:b, s:o}}", "account_names",
                       k->accounts, "role_arns", k->roles, "buckets", buckets, "current", now,
                       "path", json_text(k->setup.path, strlen(k->setup.path)), "limits", "buckets",
                       1, "policy_bytes", (int)DOCUMENT_MAX, "save", "allowed", may, "sentence",
                       may ? json_null() : json_text(k->err.text, strlen(k->err.text))));
}

static void known_free(void *arg)
{
    struct known *k = arg;
    json_decref(k->setup.existing);
    free(k->path);
    layout_free(k->layout);
    if (k->journal_fd >= 0)
        (void)close(k->journal_fd); /* only read from */
    json_decref(k->accounts);
    json_decref(k->roles);
    free(k);
}

static void get_setup(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct setup_api *s = arg;
    struct known *k = mem_alloc(sizeof *k);
    (void)a; /* it is answered later */
    *k = (struct known){
        .path = mem_strdup(s->path), .accounts = json_array(), .roles = json_array()};
    k->setup.path = k->path;
    const struct config *c = api_config(s->cfg.api);
    if (c && (layout_new(c->layout, c->prefix, &k->layout, NULL) != RC_OK))
        k->layout = NULL;
    int journal = api_journal_fd(s->cfg.api);
    k->journal_fd = journal < 0 ? -1 : fcntl(journal, F_DUPFD_CLOEXEC, 3);
    api_work(
        s->cfg.api, r,
        &(struct api_work){.run = known_run, .answer = known_answer, .free = known_free, .job = k});
}

/* ---- all ---- */

static void post_test(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct setup_api *s = arg;
    setup_test_start(s->test, r, a, false);
}

static void post_save(void *arg, const struct control_request *r, struct control_answer *a)
{
    struct setup_api *s = arg;
    setup_test_start(s->test, r, a, true);
}

static const struct api_route routes[] = {
    {"GET", "/v1/setup", get_setup, API_NO_PIPELINE},
    {"POST", "/v1/setup/policy", post_policy, API_NO_PIPELINE},
    {"POST", "/v1/setup/test", post_test, API_NO_PIPELINE},
    {"POST", "/v1/setup/save", post_save, API_NO_PIPELINE},
};

struct setup_api *setup_api_new(const struct setup_api_cfg *cfg)
{
    struct setup_api *s = mem_alloc(sizeof *s);
    s->cfg = *cfg;
    s->path = mem_strdup(cfg->path);
    s->cfg.path = s->path;
    s->test = setup_test_new(&s->cfg);
    api_add(cfg->api, routes, sizeof routes / sizeof routes[0], s);
    return s;
}

void setup_api_free(struct setup_api *s)
{
    if (!s)
        return;
    setup_test_free(s->test);
    free(s->path);
    free(s);
}
