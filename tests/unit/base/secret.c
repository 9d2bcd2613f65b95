#include "base/secret.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

Test(secret, it_holds_a_copy_of_the_text)
{
    char text[] = "hunter2";
    struct secret *s = secret_new(text, 6);
    secret_wipe(text, sizeof text);
    for (size_t i = 0; i < sizeof text; i++)
        cr_assert_eq(text[i], 0);
    cr_assert_str_eq(secret_text(s), "hunter");
    cr_assert_eq(secret_len(s), 6);
    secret_free(s);
    s = secret_new("", 0);
    cr_assert_str_eq(secret_text(s), "");
    secret_free(s);
}

Test(secret, it_lives_as_long_as_one_owner)
{
    struct secret *s = secret_new("abc", 3);
    struct secret *also = secret_share(s);
    secret_free(s);
    cr_assert_str_eq(secret_text(also), "abc");
    secret_free(also);
    secret_free(NULL);
    cr_assert_null(secret_share(NULL));
}

static void *share_and_free(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        struct secret *s = secret_share(arg);
        if (strcmp(secret_text(s), "shared") != 0)
            return arg;
        secret_free(s);
    }
    return NULL;
}

Test(secret, threads_may_share_it)
{
    struct secret *s = secret_new("shared", 6);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, share_and_free, s), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        cr_assert_eq(pthread_join(threads[i], &failed), 0);
        cr_assert_null(failed);
    }
    cr_assert_str_eq(secret_text(s), "shared");
    secret_free(s);
}

/* The sanitizers turn the fault into a report of their own. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
Test(secret, nobody_can_write_to_it, .signal = SIGSEGV)
{
    struct secret *s = secret_new("abc", 3);
    *(volatile char *)(uintptr_t)secret_text(s) = 'x';
}
#endif
