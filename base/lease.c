/* The read lease as a question: see lease.h. */
#include "base/lease.h"

#include <errno.h>
#include <fcntl.h>

enum lease_answer lease_ask(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
        /* A lease that could not be given back goes with the descriptor. */
        (void)fcntl(fd, F_SETLEASE, F_UNLCK);
        return LEASE_NO_WRITER;
    }
    return errno == EAGAIN ? LEASE_WRITER : LEASE_UNKNOWN;
}
