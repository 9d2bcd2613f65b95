/* A file that is open for reading and goes from hand to hand, over threads too; whoever gives up
 * the last share of it closes it. There is a bound on how many there are at once: past it there is
 * none, and both sides go on with a descriptor of their own.
 */
#ifndef BASE_OPEN_FILE_H
#define BASE_OPEN_FILE_H

#define OPEN_FILES_MAX 256

struct open_file;
/* Takes fd; NULL: there are OPEN_FILES_MAX, and fd is still the caller's. */
struct open_file *open_file_new(int fd);
int open_file_fd(const struct open_file *f);
struct open_file *open_file_share(struct open_file *f); /* NULL allowed */
void open_file_free(struct open_file *f);               /* one share; NULL allowed */

#endif
