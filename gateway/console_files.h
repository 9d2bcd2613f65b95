/* The console's files, as they were in console/ when the program was built: index.html is "/",
 * login.html is "/login", every other one has its own path. The .c is made by
 * cmake/EmbedConsole.cmake.
 */
#ifndef GATEWAY_CONSOLE_FILES_H
#define GATEWAY_CONSOLE_FILES_H

#include <stddef.h>

struct console_file {
    const char *path;
    const char *type; /* for Content-Type */
    const char *etag; /* with its quotes; another one when a byte is another */
    const unsigned char *data;
    size_t n;
};
extern const struct console_file console_files[];
extern const size_t console_files_n;

#endif
