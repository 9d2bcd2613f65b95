#include "gateway/notify.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

Test(notify, who_reads_a_long_journal_asks_systemd_for_more_time)
{
    char dir[] = "/tmp/notify-XXXXXX", text[256];
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    cr_assert(mkdtemp(dir));
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s/socket", dir);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert(fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0);
    cr_assert_eq(setenv("NOTIFY_SOCKET", at.sun_path, 1), 0);
    static const struct {
        size_t nth, of;
        const char *want;
    } cases[] = {{3, 12000, "STATUS=Reading the journal: segment 3 of 12000"}, {0, 0, "STATUS="}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        notify_reading(cases[i].nth, cases[i].of);
        ssize_t n = recv(fd, text, sizeof text - 1, 0);
        cr_assert_gt(n, 0);
        text[n] = '\0';
        cr_expect(strstr(text, "EXTEND_TIMEOUT_USEC=600000000\n"), "%s", text);
        cr_expect(strstr(text, "WATCHDOG=1\n"), "%s", text);
        cr_expect_str_eq(strstr(text, "STATUS="), cases[i].want);
    }
    (void)close(fd);
    (void)unlink(at.sun_path);
    (void)rmdir(dir);
}
