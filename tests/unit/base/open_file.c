#include "base/open_file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

static int some_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    return fd;
}

Test(open_file, the_last_share_closes_it)
{
    int fd = some_fd();
    struct open_file *f = open_file_new(fd), *other = open_file_share(f);
    cr_assert_eq(open_file_fd(other), fd);
    open_file_free(f);
    cr_expect_geq(fcntl(fd, F_GETFD), 0);
    open_file_free(other);
    cr_expect_eq(fcntl(fd, F_GETFD), -1);
    cr_expect_null(open_file_share(NULL));
    open_file_free(NULL);
}

Test(open_file, past_the_bound_there_is_none_until_one_is_closed)
{
    struct open_file *all[OPEN_FILES_MAX];
    for (int i = 0; i < OPEN_FILES_MAX; i++)
        cr_assert((all[i] = open_file_new(some_fd())) != NULL);
    int fd = some_fd();
    for (int i = 0; i < 3; i++)
        cr_expect_null(open_file_new(fd));
    cr_expect_geq(fcntl(fd, F_GETFD), 0, "it is still ours");
    open_file_free(all[0]);
    cr_assert((all[0] = open_file_new(fd)) != NULL);
    for (int i = 0; i < OPEN_FILES_MAX; i++)
        open_file_free(all[i]);
    cr_expect_eq(fcntl(fd, F_GETFD), -1);
}
