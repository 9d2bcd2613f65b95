/* What a client goes by where its owner left it open, and the two ways of telling curl where a call
 * goes. */
#include "tests/unit/uploader/scripted.h"
#include "uploader/http_int.h"

#include "base/clock.h"
#include "base/text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};
#define N_VARIABLES (sizeof(variables) / sizeof(variables[0]))

static void forget_proxies(void)
{
    for (size_t i = 0; i < N_VARIABLES; i++)
        cr_assert_eq(unsetenv(variables[i]), 0);
    cr_assert_eq(unsetenv("no_proxy"), 0);
    cr_assert_eq(unsetenv("NO_PROXY"), 0);
}

Test(http_cfg, the_environment_is_not_asked_again_unless_it_names_a_proxy)
{
    for (size_t i = 0; i <= N_VARIABLES; i++) {
        struct http_cfg cfg = {.no_proxy = false};

        forget_proxies();
        if (i < N_VARIABLES)
            cr_assert_eq(setenv(variables[i], "http://proxy.example", 1), 0);
        http_cfg_complete(&cfg);
        cr_expect_eq(cfg.no_proxy, i == N_VARIABLES, "row %zu", i);
        if (i == N_VARIABLES)
            continue;
        cr_assert_eq(setenv(variables[i], "", 1), 0);
        http_cfg_complete(&cfg);
        cr_expect(cfg.no_proxy, "row %zu, empty", i);
    }
}

Test(http_cfg, progress_is_looked_at_several_times_within_the_shorter_limit)
{
    static const struct {
        uint64_t first_byte_ms, stall_ms, want;
    } rows[] = {{0, 0, 1000}, {800, 60000, 100}, {60000, 400, 50}, {8, 8, 10}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_cfg cfg = {.first_byte_ms = rows[i].first_byte_ms,
                               .stall_ms = rows[i].stall_ms};

        http_cfg_complete(&cfg);
        cr_expect_eq(http_cfg_watch_ms(&cfg), rows[i].want, "row %zu", i);
        cr_expect_eq(cfg.connections, 1);
    }
}

/* The request line's target, and the server that got it. */
struct place {
    char target[4096];
    unsigned n, connections;
};

static void note(void *arg, const struct scripted_request *rq, struct scripted_reply *rp)
{
    struct place *p = arg;

    (void)rp;
    if (rq->body == NULL)
        return;
    text_copy(p->target, sizeof(p->target), rq->target);
    p->n++;
    if (rq->connection + 1 > p->connections)
        p->connections = rq->connection + 1;
}

static void ended(void *arg, const struct http_answer *a)
{
    cr_expect_eq(a->rc, RC_OK, "%s", a->text);
    cr_expect_eq(a->status, 200);
    *(bool *)arg = true;
}

static void put(struct http_client *c, struct loop *l, const char *origin, const char *path,
                bool known)
{
    static const char *const headers[] = {"host: example"};
    char url[8192];
    bool done = false;
    struct http_call call = {.method = "PUT",
                             .url = url,
                             .origin_len = known ? strlen(origin) : 0,
                             .headers = headers,
                             .n_headers = 1,
                             .body = {.data = "body", .size = 4},
                             .done = ended,
                             .arg = &done};

    snprintf(url, sizeof(url), "%s%s", origin, path);
    http_start(c, &call);
    while (!done)
        loop_step(l, true);
}

Test(http_cfg, what_was_signed_is_the_target_whichever_server_and_way_came_before)
{
    static const char *const paths[] = {"/", "/a/../b//./c?x=1", "/%C3%A4%2F%2B?prefix=%C3%A4&q",
                                        "/?uploads"};
    struct place places[2] = {{.n = 0}};
    struct scripted *servers[2] = {scripted_new(note, &places[0]), scripted_new(note, &places[1])};
    struct http_cfg cfg = {.no_proxy = true, .connections = 2};
    struct loop *l = loop_new();
    struct err e;

    cr_assert_eq(http_global_init(&e), RC_OK);
    struct http_client *c = http_client_new(l, &cfg);
    for (unsigned i = 0; i < 64; i++) {
        unsigned server = i >> 2 & 1;
        const char *path = paths[i & 3];

        put(c, l, scripted_origin(servers[server]), path, (i >> 3 & 3) % 3 != 0);
        cr_expect_str_eq(places[server].target, path, "row %u", i);
    }
    cr_expect_eq(places[0].n, 32);
    cr_expect_eq(places[1].n, 32);
    cr_expect_eq(places[0].connections, 1);
    http_client_free(c);
    scripted_free(servers[0]);
    scripted_free(servers[1]);
    loop_free(l);
    http_global_fini();
}

Test(http_cfg, a_connection_that_is_always_busy_is_given_up_when_it_is_old)
{
    struct place place = {.n = 0};
    struct scripted *server = scripted_new(note, &place);
    struct http_cfg cfg = {.no_proxy = true, .connections = 1, .lifetime_s = 1};
    struct loop *l = loop_new();
    int64_t began = clock_mono_now_ns();
    struct err e;

    cr_assert_eq(http_global_init(&e), RC_OK);
    struct http_client *c = http_client_new(l, &cfg);
    for (unsigned i = 0; i < 200 && place.connections < 2; i++) {
        put(c, l, scripted_origin(server), "/", true);
        usleep(20 * 1000);
    }
    cr_expect_eq(place.connections, 2);
    cr_expect_geq(clock_mono_now_ns() - began, CLOCK_NS_PER_S, "and no sooner");
    http_client_free(c);
    scripted_free(server);
    loop_free(l);
    http_global_fini();
}

Test(http_cfg, a_proxy_is_sent_the_whole_url)
{
    struct place place = {.n = 0};
    struct scripted *proxy = scripted_new(note, &place);
    struct http_cfg cfg = {.connections = 1};
    struct loop *l = loop_new();
    struct err e;

    forget_proxies();
    cr_assert_eq(setenv("http_proxy", scripted_origin(proxy), 1), 0);
    cr_assert_eq(http_global_init(&e), RC_OK);
    struct http_client *c = http_client_new(l, &cfg);
    put(c, l, "http://store.example", "/a/../b?x=%2F", true);
    cr_expect_str_eq(place.target, "http://store.example/a/../b?x=%2F", "%s", place.target);
    http_client_free(c);
    scripted_free(proxy);
    loop_free(l);
    http_global_fini();
}
