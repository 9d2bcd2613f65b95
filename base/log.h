/* The log: one event, one line, on stderr, as key=value or JSON; hostile bytes escaped.
 *
 *     log_info("delivered", F_STR("key", key), F_U64("size", n));
 *
 * Whoever decides what to do about a failure logs it, once. Thread-safe: a line is one write(2).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum log_kind { LOG_KIND_END, LOG_KIND_STR, LOG_KIND_U64, LOG_KIND_I64, LOG_KIND_BOOL };
struct log_field {
    const char *name;
    enum log_kind kind;
    const char *str;
    uint64_t u64;
};
#define F_STR(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_STR, .str = (v)})
#define F_U64(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_U64, .u64 = (uint64_t)(v)})
#define F_I64(n, v)                                                                                \
    ((struct log_field){.name = (n), .kind = LOG_KIND_I64, .u64 = (uint64_t)(int64_t)(v)})
#define F_BOOL(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_BOOL, .u64 = (v) ? 1 : 0})

/* Before threads start. fd: where lines go (2 by default; -1: nowhere). systemd's <3>-style prefix
 * is written when `prefix_priority`. */
void log_setup(int fd, enum log_level level, enum log_format format, bool prefix_priority);
/* An event on its way to what takes more than lines. Lives as long as the call. */
struct log_record {
    enum log_level level;
    int priority; /* syslog(3)'s */
    const char *event;
    const char *text; /* the line, without time, level and newline */
    size_t text_len;
    const struct log_field *fields; /* ends with LOG_KIND_END */
};
/* Before threads start. take gets the events that would be lines; it is called by any thread. An
 * event that it does not take (false) becomes a line after all. NULL, and log_setup: all are. */
void log_divert(bool (*take)(const struct log_record *r));
/* Append the field's value: a number, true, false, or the string with hostile bytes escaped, "-"
 * for NULL. */
void log_add_value(struct buf *b, const struct log_field *f);

bool log_enabled(enum log_level level);
/* fields end with LOG_KIND_END. A NULL str is shown as "-". */
void log_emit(enum log_level level, const char *event, const struct log_field *fields);
#define LOG_EMIT_(level, event, ...)                                                               \
    log_emit(level, event, (struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.kind = LOG_KIND_END}})
#define log_error(event, ...)   LOG_EMIT_(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) LOG_EMIT_(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_info(event, ...)    LOG_EMIT_(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)                                                                      \
    do {                                                                                           \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                          \
            LOG_EMIT_(LOG_LEVEL_DEBUG, event, __VA_ARGS__);                                        \
    } while (0)

#endif
