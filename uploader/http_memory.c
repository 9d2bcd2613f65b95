/* The memory that curl is given: the buffers through which keys came are not left behind in the
 * heap. Wiping costs nothing where files are sent, since it is chosen by thread.
 *
 * KNOWN: OpenSSL's record buffers are not ours to wipe; a few kilobytes of an answer may stay in
 * freed memory there. */
#include "uploader/http_int.h"

#include "base/secret.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local bool wipes;

void http_wipe_freed(bool yes)
{
    wipes = yes;
}

void http_memory_free(void *p)
{
    if (wipes && p != NULL)
        secret_wipe(p, malloc_usable_size(p));
    free(p);
}

void *http_memory_realloc(void *p, size_t n)
{
    size_t before = wipes && p != NULL ? malloc_usable_size(p) : 0;
    void *fresh;

    if (before == 0)
        return realloc(p, n);
    fresh = malloc(n ? n : 1);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, p, before < n ? before : n);
    http_memory_free(p);
    return fresh;
}
