/* The configuration's file, replaced: whole, with its mode, through links, and by one at a time. */
#include "gateway/config_store.h"

#include "tests/unit/spool/scratch.h"

#include <pthread.h>

static const char *path_in(const struct scratch *s, const char *name, char out[512])
{
    (void)snprintf(out, 512, "%s/%s", s->path, name);
    return out;
}

static void read_it(const struct scratch *s, const char *name, struct config_store *store)
{
    char path[512];
    cr_assert_eq(config_store_read(path_in(s, name, path), store, NULL), RC_OK);
}

Test(config_store, a_new_text_replaces_the_old_and_mode_and_links_stay)
{
    struct scratch s = scratch_new();
    struct config_store store;
    char path[512], first[CONFIG_STORE_ETAG_SIZE];
    struct stat st;
    scratch_write(&s, "real.json", "{\"a\":1}\n");
    cr_assert_eq(fchmodat(s.fd, "real.json", 0640, 0), 0);
    cr_assert_eq(symlinkat("real.json", s.fd, "link.json"), 0);
    scratch_write(&s, "real.json.tmp", "left by a crash");
    read_it(&s, "link.json", &store);
    cr_assert_str_eq(store.text, "{\"a\":1}\n");
    memcpy(first, store.etag, sizeof first);
    cr_assert_eq(strlen(first), CONFIG_STORE_ETAG_SIZE - 1);
    cr_assert_eq(config_store_may_write(&store, NULL), RC_OK);
    cr_assert_eq(config_store_write(&store, "{}\n", 3, NULL), RC_OK);
    config_store_fini(&store);
    cr_assert_str_eq(scratch_text(&s, "real.json"), "{}\n");
    cr_assert_not(scratch_has(&s, "real.json.tmp"));
    cr_assert_eq(lstat(path_in(&s, "link.json", path), &st), 0);
    cr_assert(S_ISLNK(st.st_mode));
    cr_assert_eq(stat(path_in(&s, "real.json", path), &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0640);
    read_it(&s, "real.json", &store);
    cr_assert_str_neq(store.etag, first);
    config_store_fini(&store);
    scratch_free(&s);
}

Test(config_store, what_somebody_else_has_changed_meanwhile_is_left_alone)
{
    struct scratch s = scratch_new();
    struct config_store store;
    struct err e = {0};
    scratch_write(&s, "c.json", "{}");
    read_it(&s, "c.json", &store);
    scratch_write(&s, "c.json", "{\"theirs\":1}");
    cr_assert_eq(config_store_write(&store, "{\"ours\":1}", 10, &e), RC_CHANGED);
    cr_assert(strstr(e.text, "was changed meanwhile"), "%s", e.text);
    cr_assert_str_eq(scratch_text(&s, "c.json"), "{\"theirs\":1}");
    cr_assert_not(scratch_has(&s, "c.json.tmp"));
    config_store_fini(&store);
    scratch_free(&s);
}

struct writer {
    struct config_store store;
    pthread_barrier_t *begin;
    char text[4000];
    enum rc rc;
};

static void *write_at_once(void *arg)
{
    struct writer *w = arg;
    (void)pthread_barrier_wait(w->begin);
    w->rc = config_store_write(&w->store, w->text, sizeof w->text - 1, NULL);
    return NULL;
}

Test(config_store, of_two_who_write_at_once_one_writes_and_the_other_is_told)
{
    struct scratch s = scratch_new();
    pthread_barrier_t begin;
    static struct writer writers[2];
    cr_assert_eq(pthread_barrier_init(&begin, NULL, 2), 0);
    scratch_write(&s, "c.json", "{}");
    for (int round = 0; round < 40; round++) {
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            memset(writers[i].text, 'a' + i, sizeof writers[i].text - 1);
            writers[i].begin = &begin;
            read_it(&s, "c.json", &writers[i].store);
        }
        for (int i = 0; i < 2; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, write_at_once, &writers[i]), 0);
        for (int i = 0; i < 2; i++)
            cr_assert_eq(pthread_join(threads[i], NULL), 0);
        int won = writers[0].rc == RC_OK ? 0 : 1;
        cr_assert_eq(writers[won].rc, RC_OK, "round %d: %d", round, writers[won].rc);
        cr_assert_eq(writers[!won].rc, RC_CHANGED, "round %d: %d", round, writers[!won].rc);
        cr_assert_str_eq(scratch_text(&s, "c.json"), writers[won].text, "round %d", round);
        for (int i = 0; i < 2; i++)
            config_store_fini(&writers[i].store);
    }
    cr_assert_not(scratch_has(&s, "c.json.tmp"));
    (void)pthread_barrier_destroy(&begin);
    scratch_free(&s);
}

Test(config_store, what_cannot_be_read_or_written_is_said)
{
    struct scratch s = scratch_new();
    struct config_store store;
    struct err e = {0};
    char path[512];
    cr_assert_eq(config_store_read(path_in(&s, "none.json", path), &store, &e), RC_ABSENT);
    config_store_fini(&store);
    scratch_mkdirs(&s, "d/");
    cr_assert_neq(config_store_read(path_in(&s, "d", path), &store, &e), RC_OK);
    config_store_fini(&store);
    scratch_write(&s, "c.json", "{}");
    cr_assert_eq(fchmodat(s.fd, "c.json", 0444, 0), 0);
    read_it(&s, "c.json", &store);
    if (geteuid() != 0) { /* root may write what nobody may */
        cr_assert_eq(config_store_may_write(&store, &e), RC_DENIED);
        cr_assert_eq(config_store_write(&store, "x", 1, &e), RC_DENIED);
        cr_assert(strstr(e.text, "by hand"), "%s", e.text);
        cr_assert_str_eq(scratch_text(&s, "c.json"), "{}");
    }
    config_store_fini(&store);
    scratch_free(&s);
}
