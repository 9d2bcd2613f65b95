/* The log. A line is built aside and goes out in one write(2), so threads need no lock and lines
 * never mix. A log that cannot be written is no reason to stop delivering. */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* Pipes and the journal's socket keep a write of up to 4096 bytes (PIPE_BUF) in one piece. */
enum { LINE_MAX_BYTES = 4096 };

static struct {
    int fd;
    enum log_level level;
    enum log_format format;
    bool prefix_priority;
    bool (*take)(const struct log_record *r);
} config = {.fd = STDERR_FILENO, .level = LOG_LEVEL_INFO};

static const struct {
    const char *name;
    int priority; /* syslog(3)'s */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3},
    [LOG_LEVEL_WARNING] = {"warning", 4},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_DEBUG] = {"debug", 7},
};

void log_setup(int fd, enum log_level level, enum log_format format, bool prefix_priority)
{
    config.fd = fd;
    config.level = level;
    config.format = format;
    config.prefix_priority = prefix_priority;
    config.take = NULL;
}

void log_divert(bool (*take)(const struct log_record *r))
{
    config.take = take;
}

bool log_enabled(enum log_level level)
{
    return level <= config.level;
}

/* utf8_escape leaves quotes alone; here they would end the value. In JSON its backslashes are
 * escaped once more, so that a reader of the JSON sees what a reader of the text sees. */
static void add_escaped(struct buf *b, const char *s, size_t n, bool json)
{
    struct buf safe;
    buf_init(&safe, 4 * n);
    utf8_escape(&safe, s, n);
    for (size_t i = 0; i < safe.len; i++) {
        if (safe.data[i] == '"' || (json && safe.data[i] == '\\'))
            buf_addc(b, '\\');
        buf_addc(b, safe.data[i]);
    }
    buf_fini(&safe);
}

/* Names, keys and numbers mostly do without quotes. */
static bool needs_quotes(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] <= ' ' || s[i] >= 0x7f || s[i] == '"' || s[i] == '=' || s[i] == '\\')
            return true;
    return n == 0;
}

static void add_string(struct buf *b, const char *s, size_t n, bool json)
{
    bool quoted = json || needs_quotes(s, n) || s[n] != '\0';
    if (quoted)
        buf_addc(b, '"');
    add_escaped(b, s, n, json);
    if (s[n] != '\0')
        buf_adds(b, "...");
    if (quoted)
        buf_addc(b, '"');
}

/* Of a string the first n bytes. */
static void add_value(struct buf *b, const struct log_field *f, size_t n, bool json)
{
    switch (f->kind) {
    case LOG_KIND_STR:
        add_string(b, f->str ? f->str : "-", n, json);
        break;
    case LOG_KIND_U64:
        buf_addf(b, "%" PRIu64, f->u64);
        break;
    case LOG_KIND_I64:
        buf_addf(b, "%" PRId64, (int64_t)f->u64);
        break;
    case LOG_KIND_BOOL:
        buf_adds(b, f->u64 ? "true" : "false");
        break;
    case LOG_KIND_END:
        break;
    }
}

/* A string that does not fit is shortened until it does, and a field of which nothing fits is left
 * out, so that the line can be parsed whatever it is about. */
static void add_field(struct buf *b, const struct log_field *f, bool json)
{
    size_t before = b->len;
    size_t n = f->kind == LOG_KIND_STR ? strnlen(f->str ? f->str : "-", LINE_MAX_BYTES) : 0;
    for (;;) {
        buf_addf(b, json ? ",\"%s\":" : " %s=", f->name);
        add_value(b, f, n, json);
        if (!b->overflow)
            return;
        buf_cut(b, before);
        b->overflow = false;
        if (n == 0)
            return;
        n -= n / 8 + 1;
    }
}

static void write_line(const char *data, size_t n)
{
    while (n > 0) {
        ssize_t done = write(config.fd, data, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return; /* there is nobody left to tell */
        data += done;
        n -= (size_t)done;
    }
}

void log_add_value(struct buf *b, const struct log_field *f)
{
    if (f->kind == LOG_KIND_STR)
        utf8_escape(b, f->str ? f->str : "-", strlen(f->str ? f->str : "-"));
    else
        add_value(b, f, 0, false);
}

/* The event and its fields, as far as they fit; "}" and a newline always do. */
static void add_event(struct buf *b, const char *event, const struct log_field *fields, bool json)
{
    add_field(b, &F_STR("event", event), json);
    for (; fields->kind != LOG_KIND_END; fields++)
        add_field(b, fields, json);
    b->max = LINE_MAX_BYTES;
    if (json)
        buf_addc(b, '}');
}

/* add_field begins with what separates it from the field before. */
static bool divert(enum log_level level, const char *event, const struct log_field *fields,
                   bool json)
{
    struct buf b;
    buf_init(&b, LINE_MAX_BYTES - 2);
    add_event(&b, event, fields, json);
    if (json)
        b.data[0] = '{';
    struct log_record r = {
        .level = level,
        .priority = levels[level].priority,
        .event = event,
        .text = b.data + !json,
        .text_len = b.len - !json,
        .fields = fields,
    };
    bool taken = config.take(&r);
    buf_fini(&b);
    return taken;
}

static void emit_line(enum log_level level, const char *event, const struct log_field *fields,
                      bool json)
{
    char when[CLOCK_RFC3339_SIZE];
    clock_rfc3339(when, clock_wall_now_ns());
    struct buf b;
    buf_init(&b, LINE_MAX_BYTES - 2);
    if (config.prefix_priority)
        buf_addf(&b, "<%d>", levels[level].priority);
    buf_addf(&b, json ? "{\"time\":\"%s\",\"level\":\"%s\"" : "time=%s level=%s", when,
             levels[level].name);
    add_event(&b, event, fields, json);
    buf_addc(&b, '\n');
    write_line(b.data, b.len);
    buf_fini(&b);
}

void log_emit(enum log_level level, const char *event, const struct log_field *fields)
{
    BUG_ON((unsigned)level > LOG_LEVEL_DEBUG);
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    bool json = config.format == LOG_FORMAT_JSON;
    if (!config.take || !divert(level, event, fields, json))
        emit_line(level, event, fields, json);
    errno = saved_errno;
}
