/* The read lease as a question: see lease.h. */
#include "base/lease.h"

#include <errno.h>
#include <fcntl.h>

enum lease_answer lease_ask_last(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
        return LEASE_NO_WRITER;
    return errno == EAGAIN ? LEASE_WRITER : LEASE_UNKNOWN;
}

enum lease_answer lease_ask(int fd)
{
    enum lease_answer answer = lease_ask_last(fd);
    if (answer == LEASE_NO_WRITER)
        (void)fcntl(fd, F_SETLEASE, F_UNLCK); /* if that fails, it goes with the descriptor */
    return answer;
}
