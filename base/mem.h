/* Memory that is there or the process is not.
 *
 * Everything here is bounded (P11), so running out of memory is a fault of the
 * machine that no call site can mend; we say so and abort, and the journal
 * makes the restart safe. This keeps hundreds of untestable branches out.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* Never NULL, zeroed. n may be 0. The caller frees with free(). */
void *mem_alloc(size_t n);
/* As realloc; new bytes are not zeroed; count*size is checked for overflow (BUG). */
void *mem_resize(void *p, size_t count, size_t size);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);

#endif
