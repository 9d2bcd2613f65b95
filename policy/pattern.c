/* Patterns: compiled to bytes and two wildcards that no byte is, so that the text of a variable can
 * never act as one. Matching is iterative: at worst pattern times text. */
#include "policy/pattern.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STAR = 0x100, ANY = 0x101, ARN_PARTS = 6 };

static void add(struct pattern *p, unsigned short token)
{
    if ((p->n & (p->n + 1)) == 0) /* 0, 1, 3, 7, …: full */
        p->at = mem_resize(p->at, 2 * p->n + 1, sizeof *p->at);
    p->at[p->n++] = token;
}

static void add_text(struct pattern *p, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(p, (unsigned char)s[i]);
}

/* key, 'default' between the braces. False: that is not what stands there. */
static bool take_apart(const char *s, size_t n, char *key, size_t key_size, const char **fallback,
                       size_t *fallback_n)
{
    const char *comma = memchr(s, ',', n);
    size_t key_n = comma ? (size_t)(comma - s) : n;
    *fallback = NULL;
    while (key_n > 0 && s[key_n - 1] == ' ')
        key_n--;
    if (key_n == 0 || key_n >= key_size)
        return false;
    memcpy(key, s, key_n);
    key[key_n] = '\0';
    if (!comma)
        return true;
    const char *q = comma + 1, *end = s + n;
    while (q < end && *q == ' ')
        q++;
    while (end > q && end[-1] == ' ')
        end--;
    if (end - q < 2 || *q != '\'' || end[-1] != '\'')
        return false;
    *fallback = q + 1;
    *fallback_n = (size_t)(end - q) - 2;
    return true;
}

/* The text between ${ and }. */
static enum tri add_variable(struct pattern *p, const char *s, size_t n,
                             const struct context *context, struct context_unknown *unknown)
{
    char key[256];
    const char *fallback;
    size_t fallback_n = 0;
    if (n == 1 && (*s == '*' || *s == '?' || *s == '$')) {
        add(p, (unsigned char)*s);
        return TRI_YES;
    }
    if (!take_apart(s, n, key, sizeof key, &fallback, &fallback_n)) {
        context_note(unknown, "policy variable", "of a form that is not known");
        return TRI_MAYBE;
    }
    const struct context_key *k = context_find(context, key);
    if (k->kind == CONTEXT_ONE && k->n == 1) {
        add_text(p, k->values[0], strlen(k->values[0]));
        return TRI_YES;
    }
    if (k->kind == CONTEXT_ABSENT && fallback) {
        add_text(p, fallback, fallback_n);
        return TRI_YES;
    }
    context_note(unknown, "policy variable", key);
    return TRI_MAYBE;
}

enum tri pattern_init(struct pattern *out, const char *text, unsigned kind,
                      const struct context *context, struct context_unknown *unknown)
{
    *out = (struct pattern){0};
    for (const char *s = text; *s; s++) {
        const char *end = NULL;
        if ((kind & PATTERN_VARIABLES) && s[0] == '$' && s[1] == '{')
            end = strchr(s + 2, '}');
        if (end) {
            if (add_variable(out, s + 2, (size_t)(end - s) - 2, context, unknown) != TRI_YES) {
                pattern_fini(out);
                return TRI_MAYBE;
            }
            s = end;
        } else if ((kind & PATTERN_WILDCARDS) && (*s == '*' || *s == '?')) {
            add(out, *s == '*' ? STAR : ANY);
        } else {
            add(out, (unsigned char)*s);
        }
    }
    return TRI_YES;
}

void pattern_fini(struct pattern *p)
{
    free(p->at);
    *p = (struct pattern){0};
}

/* One character of UTF-8, or one byte of what is not. */
static size_t step(const char *s, size_t n)
{
    size_t k = 1;
    while (k < n && k < 4 && ((unsigned char)s[0] & 0xc0) == 0xc0 &&
           ((unsigned char)s[k] & 0xc0) == 0x80)
        k++;
    return k;
}

static bool matches(const unsigned short *p, size_t p_n, const char *s, size_t n)
{
    size_t i = 0, j = 0, star = SIZE_MAX, from = 0;
    while (j < n) {
        if (i < p_n && p[i] == STAR) {
            star = i++;
            from = j;
        } else if (i < p_n && p[i] == ANY) {
            i++;
            j += step(s + j, n - j);
        } else if (i < p_n && p[i] == (unsigned char)s[j]) {
            i++;
            j++;
        } else if (star != SIZE_MAX) {
            i = star + 1;
            from += step(s + from, n - from);
            j = from;
        } else {
            return false;
        }
    }
    while (i < p_n && p[i] == STAR)
        i++;
    return i == p_n;
}

bool pattern_matches(const struct pattern *p, const char *text, size_t n)
{
    return matches(p->at, p->n, text, n);
}

enum tri pattern_matches_arn(const struct pattern *p, const char *arn)
{
    const unsigned short *at = p->at;
    size_t left = p->n;
    bool wild = false, same = true;
    if (p->n == 1 && p->at[0] == STAR)
        return TRI_YES;
    for (size_t i = 0; i < p->n; i++)
        wild = wild || p->at[i] >= STAR;
    for (int part = 0; part < ARN_PARTS - 1; part++) {
        size_t p_n = 0, n = strcspn(arn, ":");
        while (p_n < left && at[p_n] != ':')
            p_n++;
        if (p_n == left)
            return wild ? TRI_MAYBE : TRI_NO;
        same = same && arn[n] == ':' && matches(at, p_n, arn, n);
        at += p_n + 1;
        left -= p_n + 1;
        arn += n + (arn[n] == ':');
    }
    return same && matches(at, left, arn, strlen(arn)) ? TRI_YES : TRI_NO;
}

bool pattern_action(const char *pattern, const char *action)
{
    const char *star = NULL, *from = NULL;
    while (*action) {
        if (*pattern == '*') {
            star = pattern++;
            from = action;
        } else if (*pattern && (*pattern == '?' || strncasecmp(pattern, action, 1) == 0)) {
            pattern++;
            action++;
        } else if (star) {
            pattern = star + 1;
            action = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
