/* The values of conditions that are no text: instants and addresses. */
#include "policy/condition.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool condition_date(const char *text, double *out)
{
    int64_t days, ns;
    size_t n = strlen(text);
    if (n > 0 && n != 4 && text[strspn(text, "0123456789")] == '\0') { /* four digits: a year */
        *out = strtod(text, NULL);
        return true;
    }
    if (clock_parse_date(text, n, &days)) {
        *out = (double)days * 86400;
        return true;
    }
    if (clock_parse_rfc3339(text, &ns) != RC_OK)
        return false;
    *out = (double)ns / 1e9;
    return true;
}

/* IPv4 or IPv6; the number of bits, 0: neither. */
static unsigned address(const char *text, unsigned char out[16])
{
    if (inet_pton(AF_INET, text, out) == 1)
        return 32;
    if (inet_pton(AF_INET6, text, out) == 1)
        return 128;
    return 0;
}

enum tri condition_address(const char *range, const char *text)
{
    unsigned char a[16], b[16];
    const char *slash = strchr(range, '/');
    char *alone = mem_strndup(range, slash ? (size_t)(slash - range) : strlen(range));
    unsigned bits = address(alone, a), ours = address(text, b), prefix = bits;
    free(alone);
    if (bits == 0 || ours == 0)
        return TRI_MAYBE;
    if (slash) {
        size_t n = strspn(slash + 1, "0123456789");
        if (n == 0 || n > 3 || slash[1 + n] != '\0')
            return TRI_MAYBE;
        prefix = (unsigned)strtoul(slash + 1, NULL, 10);
        if (prefix > bits)
            return TRI_MAYBE;
    }
    if (bits != ours)
        return TRI_NO;
    for (unsigned i = 0; i < prefix; i++) {
        unsigned char bit = (unsigned char)(0x80u >> (i % 8));
        if ((a[i / 8] & bit) != (b[i / 8] & bit))
            return TRI_NO;
    }
    return TRI_YES;
}
