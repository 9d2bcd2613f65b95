/* Does anyone have this file open for writing? Asked with a read lease (fcntl(2), F_SETLEASE),
 * which the kernel grants only while there is no writer. While it is held, whoever opens the file
 * for writing waits.
 *
 * A process that asks must ignore SIGIO: an open(2) for writing in between breaks the lease with
 * it.
 */
#ifndef BASE_LEASE_H
#define BASE_LEASE_H

enum lease_answer {
    LEASE_NO_WRITER,
    LEASE_WRITER, /* at least one, possibly ourselves */
    LEASE_UNKNOWN /* not allowed to ask (another owner's file without CAP_LEASE), or the file system
                     has no leases: quiet time alone must decide */
};
/* fd: a regular file opened read-only. The lease is given back at once. */
enum lease_answer lease_ask(int fd);
/* The same for a caller whose next call closes fd, which gives the lease back. */
enum lease_answer lease_ask_last(int fd);

#endif
