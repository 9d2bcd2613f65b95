/* The console's links, sessions and attempts. */
#include "gateway/session.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct rig {
    struct session_table *t;
    char link[SESSION_TOKEN_SIZE], cookie[SESSION_TOKEN_SIZE], csrf[SESSION_TOKEN_SIZE];
};

static void rig_init(struct rig *r, uint64_t now)
{
    r->t = session_table_new();
    session_link(r->t, now, r->link);
}

static enum session_answer open_with(struct rig *r, uint64_t now, const char *token)
{
    return session_open(r->t, now, token, r->cookie, r->csrf);
}

Test(session, a_link_opens_one_session_and_then_no_other)
{
    struct rig r;
    char cookie[SESSION_TOKEN_SIZE], csrf[SESSION_TOKEN_SIZE];
    rig_init(&r, 1000);
    cr_assert_eq(strlen(r.link), SESSION_TOKEN_SIZE - 1);
    cr_assert_eq(open_with(&r, 2000, r.link), SESSION_OPENED);
    cr_assert_eq(session_open(r.t, 2001, r.link, cookie, csrf), SESSION_REFUSED);
    cr_assert(session_use(r.t, 3000, r.cookie, csrf));
    cr_assert_str_eq(csrf, r.csrf);
    cr_assert_str_neq(r.csrf, r.cookie);
    cr_assert_eq(session_count(r.t, 3000), 1);
    session_end(r.t, r.cookie);
    cr_assert_not(session_use(r.t, 3001, r.cookie, csrf));
    cr_assert_eq(session_count(r.t, 3001), 0);
    session_table_free(r.t);
}

Test(session, what_is_not_a_token_opens_nothing)
{
    struct rig r;
    char csrf[SESSION_TOKEN_SIZE], cut[SESSION_TOKEN_SIZE], longer[SESSION_TOKEN_SIZE + 1];
    rig_init(&r, 0);
    memcpy(cut, r.link, sizeof cut);
    cut[SESSION_TOKEN_SIZE - 2] = '\0';
    snprintf(longer, sizeof longer, "%s0", r.link);
    const char *const wrong[] = {NULL, "", cut, longer};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_eq(open_with(&r, 1, wrong[i]), SESSION_REFUSED, "token %zu", i);
        cr_assert_not(session_use(r.t, 1, wrong[i], csrf), "cookie %zu", i);
    }
    cr_assert_not(session_use(r.t, 1, r.link, csrf), "a link is no cookie");
    cr_assert_eq(open_with(&r, 1, r.link), SESSION_OPENED, "after four that were wrong");
    cr_assert_eq(open_with(&r, 1, r.cookie), SESSION_REFUSED, "a cookie is no link");
    session_table_free(r.t);
}

Test(session, links_and_sessions_end_in_time)
{
    static const struct {
        uint64_t opened, used, again;
        bool opens, there;
    } rows[] = {
        {SESSION_LINK_MS - 1, 0, 0, true, true},
        {SESSION_LINK_MS, 0, 0, false, false},
        {1, SESSION_IDLE_MS, 0, true, true},
        {1, SESSION_IDLE_MS + 1, 0, true, false},
        {1, SESSION_IDLE_MS, 2 * SESSION_IDLE_MS - 1, true, true},
        {1, SESSION_IDLE_MS, 2 * SESSION_IDLE_MS, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig r;
        bool there = false;
        rig_init(&r, 0);
        cr_assert_eq(open_with(&r, rows[i].opened, r.link) == SESSION_OPENED, rows[i].opens,
                     "row %zu", i);
        if (rows[i].opens)
            there =
                session_use(r.t, rows[i].used ? rows[i].used : rows[i].opened, r.cookie, r.csrf);
        if (rows[i].again)
            there = session_use(r.t, rows[i].again, r.cookie, r.csrf);
        cr_assert_eq(there, rows[i].there, "row %zu", i);
        session_table_free(r.t);
    }
    struct rig r;
    rig_init(&r, 0);
    cr_assert_eq(open_with(&r, 0, r.link), SESSION_OPENED);
    for (uint64_t now = 0; now < SESSION_LIFE_MS; now += SESSION_IDLE_MS - 1)
        cr_assert(session_use(r.t, now, r.cookie, r.csrf), "in use");
    cr_assert_not(session_use(r.t, SESSION_LIFE_MS, r.cookie, r.csrf), "however much it is used");
    session_table_free(r.t);
}

Test(session, who_tries_too_often_waits)
{
    struct rig r;
    rig_init(&r, 0);
    for (uint64_t i = 0; i < SESSION_ATTEMPTS; i++) {
        cr_assert_eq(session_wait_ms(r.t, i), 0);
        cr_assert_eq(open_with(&r, i * 10, "wrong"), SESSION_REFUSED);
    }
    cr_assert_eq(open_with(&r, 100, r.link), SESSION_LATER, "even with a link that is right");
    cr_assert_eq(session_wait_ms(r.t, 100), SESSION_ATTEMPTS_MS - 100);
    cr_assert_eq(open_with(&r, SESSION_ATTEMPTS_MS - 1, r.link), SESSION_LATER);
    cr_assert_eq(open_with(&r, SESSION_ATTEMPTS_MS, "wrong"), SESSION_REFUSED, "one is forgotten");
    cr_assert_eq(open_with(&r, SESSION_ATTEMPTS_MS, r.link), SESSION_LATER);
    cr_assert_eq(open_with(&r, SESSION_ATTEMPTS_MS + 10, r.link), SESSION_OPENED,
                 "the link was not used up meanwhile");
    session_table_free(r.t);
}

Test(session, the_tables_are_bounded_and_the_oldest_makes_room)
{
    struct rig r;
    char first[SESSION_TOKEN_SIZE], second[SESSION_TOKEN_SIZE], token[SESSION_TOKEN_SIZE];
    rig_init(&r, 0);
    session_link(r.t, 1, second);
    for (uint64_t i = 2; i <= SESSION_LINKS_MAX; i++)
        session_link(r.t, i, token);
    cr_assert_eq(session_count(r.t, 9), SESSION_LINKS_MAX);
    cr_assert_eq(open_with(&r, 9, r.link), SESSION_REFUSED, "the oldest made room");
    cr_assert_eq(open_with(&r, 9, second), SESSION_OPENED);
    memcpy(first, r.cookie, sizeof first);
    for (uint64_t i = 0; i < SESSION_MAX; i++) {
        session_link(r.t, 100 + i, token);
        if (i == 5)
            cr_assert(session_use(r.t, 100 + i, first, r.csrf));
        cr_assert_eq(open_with(&r, 100 + i, token), SESSION_OPENED);
        if (i == 0)
            memcpy(second, r.cookie, sizeof second);
    }
    cr_assert(session_use(r.t, 200, first, r.csrf), "in use, so it stays");
    cr_assert_not(session_use(r.t, 200, second, r.csrf), "not used for the longest");
    session_table_free(r.t);
}

Test(session, a_change_wants_the_token_of_its_own_session)
{
    struct rig r, other;
    rig_init(&r, 0);
    rig_init(&other, 0);
    cr_assert_eq(open_with(&r, 0, r.link), SESSION_OPENED);
    cr_assert_eq(open_with(&other, 0, other.link), SESSION_OPENED);
    cr_assert(session_csrf_is(r.csrf, r.csrf));
    cr_assert_not(session_csrf_is(r.csrf, NULL));
    cr_assert_not(session_csrf_is(r.csrf, ""));
    cr_assert_not(session_csrf_is(r.csrf, other.csrf));
    cr_assert_not(session_csrf_is(r.csrf, r.cookie));
    char one_off[SESSION_TOKEN_SIZE];
    memcpy(one_off, r.csrf, sizeof one_off);
    one_off[SESSION_TOKEN_SIZE - 2] ^= 1;
    cr_assert_not(session_csrf_is(r.csrf, one_off));
    session_table_free(r.t);
    session_table_free(other.t);
}
