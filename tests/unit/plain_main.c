/* Runs the Criterion tests of a program under ThreadSanitizer and valgrind, for which Criterion's
 * own runner is no use: it wants memory at addresses that the sanitizer keeps for itself, and it
 * starts the program anew for each test, which takes valgrind a second. Same tests, same
 * assertions; each test is a forked process. The functions by which a test speaks to Criterion's
 * runner are defined here, and so come before those of the library.
 *
 * KNOWN: no parameterized tests, no theories, no timeouts, no parallel runs. Of the options
 * only --except=WORD is known: tests whose suite::name contains WORD are left out. An argument
 * without a dash chooses the tests whose suite::name contains it.
 */
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The linker's names for the two sections into which Test and TestSuite put their pointers. */
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak)),
    *__stop_cr_sts[] __attribute__((weak));

static const struct criterion_test *current;
static void (*suite_init)(void), (*suite_fini)(void);

void criterion_internal_test_setup(void)
{
    if (suite_init)
        suite_init();
    if (current->data->init)
        current->data->init();
}

void criterion_internal_test_main(void (*fn)(void))
{
    fn();
}

void criterion_internal_test_teardown(void)
{
    if (current->data->fini)
        current->data->fini();
    if (suite_fini)
        suite_fini();
}

void criterion_send_assert(struct criterion_assert_stats *stats)
{
    if (!stats->passed)
        fprintf(stderr, "%s:%u: %s\n", stats->file, stats->line,
                stats->message ? stats->message : "assertion failed");
}

void cr_log(enum criterion_severity severity, const char *msg, ...)
{
    va_list arguments;
    (void)severity;
    va_start(arguments, msg);
    vfprintf(stderr, msg, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void cri_asserts_passed_incr(void)
{
}

void criterion_abort_test(void)
{
    exit(1);
}

void criterion_continue_test(void)
{
    fprintf(stderr, "cr_expect is not known here: use cr_assert\n");
    exit(1);
}

static const struct criterion_suite *suite_of(const struct criterion_test *test)
{
    for (struct criterion_suite **s = __start_cr_sts; s < __stop_cr_sts; s++)
        if (*s && strcmp((*s)->name, test->category) == 0)
            return *s;
    return NULL;
}

static bool run(const struct criterion_test *test)
{
    pid_t child = fork();
    if (child < 0)
        return false;
    if (child == 0) {
        const struct criterion_suite *suite = suite_of(test);
        current = test;
        suite_init = suite && suite->data ? suite->data->init : NULL;
        suite_fini = suite && suite->data ? suite->data->fini : NULL;
        test->test();
        exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child)
        return false;
    if (test->data->signal != 0)
        return WIFSIGNALED(status) && WTERMSIG(status) == test->data->signal;
    return WIFEXITED(status) && WEXITSTATUS(status) == test->data->exit_code;
}

static bool is_left_out(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--except=", 9) == 0 && strstr(name, argv[i] + 9))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    const char *part = argc > 1 && argv[argc - 1][0] != '-' ? argv[argc - 1] : "";
    int tested = 0, failed = 0;
    for (struct criterion_test **t = __start_cr_tst; t < __stop_cr_tst; t++) {
        char name[256];
        if (!*t || (*t)->data->disabled)
            continue;
        (void)snprintf(name, sizeof name, "%s::%s", (*t)->category, (*t)->name);
        if (!strstr(name, part) || is_left_out(name, argc, argv))
            continue;
        tested++;
        if (!run(*t)) {
            failed++;
            printf("[FAIL] %s\n", name);
            (void)fflush(stdout);
        }
    }
    printf("[====] Synthesis: Tested: %d | Passing: %d | Failing: %d\n", tested, tested - failed,
           failed);
    return failed ? 1 : 0;
}
