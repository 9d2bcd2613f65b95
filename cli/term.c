/* A terminal that is drawn on as a whole: see term.h.
 *
 * Rows are built as text with styles in it and compared as such. Autowrap is off meanwhile: should
 * a terminal take a character for wider than we do, one row is cut and the others stand. It is read
 * through a descriptor of its own, so that the shell's is never made non-blocking.
 */
#include "cli/term.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

enum { ROW_BYTES_MAX = 16 * TERM_COLUMNS_MAX, KEYS_MAX = 256 };

struct row {
    struct buf now, shown;
    unsigned used;
};

struct term {
    int fd;
    struct termios before;
    bool entered, utf8, colour;
    unsigned rows, columns, shown_rows, shown_columns;
    struct row row[TERM_ROWS_MAX];
    unsigned char keys[KEYS_MAX];
    size_t n_keys;
};

static const char enter_text[] = "\033[?1049h\033[?25l\033[?7l\033[H\033[2J";
static const char leave_text[] = "\033[0m\033[?7h\033[?25h\033[?1049l";

/* What a signal that ends us has to give back; valid while entered. */
static const struct term *entered;
static const int faults[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#define FAULTS (sizeof faults / sizeof faults[0])

/* ---- taking and giving back ---- */

bool term_is_there(void)
{
    const char *kind = getenv("TERM");
    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && kind && kind[0] &&
           strcmp(kind, "dumb") != 0;
}

/* Async-signal-safe. */
static void give_back(const struct term *t)
{
    ssize_t n = write(STDOUT_FILENO, leave_text, sizeof leave_text - 1);
    (void)n; /* the terminal may be gone */
    (void)tcsetattr(t->fd, TCSADRAIN, &t->before);
}

static void end_by_fault(int signo)
{
    if (entered)
        give_back(entered);
    (void)signal(signo, SIG_DFL); /* a known signal */
    (void)raise(signo);
}

struct term *term_new(struct err *e)
{
    struct term *t = mem_alloc(sizeof *t);
    const char *plain = getenv("NO_COLOR");
    const char *name = ttyname(STDIN_FILENO);
    t->fd = open(name ? name : "/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (t->fd < 0 || tcgetattr(t->fd, &t->before) != 0) {
        (void)err_sys(e, errno, "cannot open the terminal %s", name ? name : "/dev/tty");
        if (t->fd >= 0)
            (void)close(t->fd); /* nothing was written */
        free(t);
        return NULL;
    }
    t->colour = !plain || !plain[0];
    t->utf8 = setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    for (size_t i = 0; i < TERM_ROWS_MAX; i++) {
        buf_init(&t->row[i].now, ROW_BYTES_MAX);
        buf_init(&t->row[i].shown, ROW_BYTES_MAX);
    }
    term_begin(t);
    return t;
}

void term_free(struct term *t)
{
    if (!t)
        return;
    term_leave(t);
    for (size_t i = 0; i < TERM_ROWS_MAX; i++) {
        buf_fini(&t->row[i].now);
        buf_fini(&t->row[i].shown);
    }
    (void)close(t->fd); /* all was written elsewhere */
    free(t);
}

static bool write_all(const char *data, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDOUT_FILENO, data, n);
        if (done < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
            (void)poll(&p, 1, 1000); /* someone else made it non-blocking */
        } else if (done < 0 && errno != EINTR) {
            return false;
        }
        if (done > 0) {
            data += done;
            n -= (size_t)done;
        }
    }
    return true;
}

void term_enter(struct term *t)
{
    struct termios raw = t->before;
    if (t->entered)
        return;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* ISIG stays: Control-C and Control-Z mean it */
    raw.c_iflag &= ~(tcflag_t)(ICRNL | IXON);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    (void)tcsetattr(t->fd, TCSADRAIN, &raw); /* without it keys want Enter, no more */
    t->entered = true;
    t->n_keys = 0;
    entered = t;
    for (size_t i = 0; i < FAULTS; i++)
        (void)signal(faults[i], end_by_fault);          /* known signals */
    (void)write_all(enter_text, sizeof enter_text - 1); /* term_end finds out if it is gone */
}

void term_leave(struct term *t)
{
    if (!t->entered)
        return;
    give_back(t);
    t->entered = false;
    entered = NULL;
    for (size_t i = 0; i < FAULTS; i++)
        (void)signal(faults[i], SIG_DFL); /* known signals */
}

int term_fd(const struct term *t)
{
    return t->fd;
}

bool term_is_utf8(const struct term *t)
{
    return t->utf8;
}

unsigned term_rows(const struct term *t)
{
    return t->rows;
}

unsigned term_columns(const struct term *t)
{
    return t->columns;
}

/* ---- keys ---- */

static int key_of(const unsigned char *s, size_t n)
{
    static const struct {
        const char *text;
        int key;
    } known[] = {
        {"[A", TERM_KEY_UP},   {"OA", TERM_KEY_UP},       {"[B", TERM_KEY_DOWN},
        {"OB", TERM_KEY_DOWN}, {"[5~", TERM_KEY_PAGE_UP}, {"[6~", TERM_KEY_PAGE_DOWN},
        {"[H", TERM_KEY_HOME}, {"OH", TERM_KEY_HOME},     {"[1~", TERM_KEY_HOME},
        {"[F", TERM_KEY_END},  {"OF", TERM_KEY_END},      {"[4~", TERM_KEY_END},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (n == strlen(known[i].text) && memcmp(s, known[i].text, n) == 0)
            return known[i].key;
    }
    return 0;
}

/* How many bytes of an escape sequence are there; 0: its end is missing. */
static size_t sequence(const unsigned char *s, size_t n)
{
    if (n < 2)
        return 0;
    if (s[1] != '[' && s[1] != 'O')
        return 1; /* the escape key, and then another */
    for (size_t i = 2; i < n; i++) {
        if (s[i] >= '@' || s[i] < ' ')
            return i + 1;
    }
    return 0;
}

/* The next key; *used: its bytes, 0: not all of it is there. */
static int next_key(const struct term *t, size_t at, bool flush, size_t *used)
{
    if (t->keys[at] != 0x1b) {
        *used = 1;
        return t->keys[at];
    }
    *used = sequence(t->keys + at, t->n_keys - at);
    if (*used == 0 && (flush || t->n_keys - at > 32))
        *used = t->n_keys - at;
    return *used == 1 ? TERM_KEY_ESCAPE : key_of(t->keys + at + 1, *used ? *used - 1 : 0);
}

int term_keys(struct term *t, int *keys, int n, bool flush)
{
    int got = 0;
    size_t at = 0, used;
    ssize_t more = read(t->fd, t->keys + t->n_keys, KEYS_MAX - t->n_keys);
    struct pollfd p = {.fd = t->fd};
    if (more < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    if (more <= 0 && poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)))
        return -1;
    t->n_keys += more > 0 ? (size_t)more : 0;
    while (at < t->n_keys && got < n) {
        int key = next_key(t, at, flush, &used);
        if (used == 0)
            break;
        at += used;
        if (key != 0)
            keys[got++] = key;
    }
    memmove(t->keys, t->keys + at, t->n_keys - at);
    t->n_keys -= at;
    return got;
}

bool term_is_waiting(const struct term *t)
{
    return t->n_keys > 0;
}

/* ---- text ---- */

/* The character at s, which is valid UTF-8: its bytes, and its cells; -1: not to be shown. */
static size_t character(const char *s, bool utf8, unsigned long *code, int *cells)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    *code = n == 1 ? p[0] : p[0] & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++)
        *code = *code << 6 | (p[i] & 0x3f);
    if (n == 1)
        *cells = 1;
    else
        *cells = utf8 ? wcwidth((wchar_t)*code) : -1;
    if (*cells == 0) /* it would change another one, or the direction of the row */
        *cells = -1;
    return n;
}

/* Append s with all that is not printable escaped; a backslash stays one, it does no harm. */
static void make_printable(const struct term *t, struct buf *out, const char *s)
{
    unsigned long code;
    int cells;
    for (size_t n = strlen(s), valid = utf8_span(s, n); *s;) {
        if (valid == 0) {
            buf_addf(out, "\\x%02x", (unsigned char)*s++);
            valid = utf8_span(s, --n);
            continue;
        }
        size_t bytes = character(s, t->utf8, &code, &cells);
        if (code < 0x20 || (code >= 0x7f && code < 0xa0))
            buf_addf(out, "\\x%02lx", code);
        else if (cells > 0)
            buf_add(out, s, bytes);
        else
            buf_addf(out, "\\u{%lx}", code);
        s += bytes;
        n -= bytes;
        valid -= bytes;
    }
}

static unsigned cells_of(const struct term *t, const char *s, const char *end)
{
    unsigned long code;
    unsigned sum = 0;
    int cells;
    while (s < end) {
        s += character(s, t->utf8, &code, &cells);
        sum += (unsigned)cells;
    }
    return sum;
}

/* What fits of printable text. */
static const char *fitting(const struct term *t, const char *s, unsigned room)
{
    unsigned long code;
    int cells;
    while (*s) {
        size_t n = character(s, t->utf8, &code, &cells);
        if ((unsigned)cells > room)
            break;
        room -= (unsigned)cells;
        s += n;
    }
    return s;
}

static void append(struct term *t, struct row *r, const char *s, const char *end)
{
    buf_add(&r->now, s, (size_t)(end - s));
    r->used += cells_of(t, s, end);
}

static const char *ellipsis(const struct term *t)
{
    return t->utf8 ? "…" : "~";
}

static void append_cut(struct term *t, struct row *r, const char *s, unsigned room, bool keep_end)
{
    const char *end = s + strlen(s), *mark = ellipsis(t);
    unsigned all = cells_of(t, s, end);
    if (all <= room) {
        append(t, r, s, end);
        return;
    }
    if (room == 0)
        return;
    unsigned head = keep_end ? (room - 1) / 3 : room - 1;
    append(t, r, s, fitting(t, s, head));
    append(t, r, mark, mark + strlen(mark));
    if (!keep_end)
        return;
    const char *tail = fitting(t, s, all - (room - 1 - head));
    if (cells_of(t, tail, end) > room - 1 - head) { /* half of a wide character */
        unsigned long code;
        int cells;
        tail += character(tail, t->utf8, &code, &cells);
    }
    append(t, r, tail, end);
}

/* ---- one picture ---- */

void term_begin(struct term *t)
{
    struct winsize w;
    bool told = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 && w.ws_row > 0;
    t->columns = told ? w.ws_col : 80;
    t->rows = told ? w.ws_row : 24;
    t->columns = t->columns < TERM_COLUMNS_MAX ? t->columns : TERM_COLUMNS_MAX;
    t->rows = t->rows < TERM_ROWS_MAX ? t->rows : TERM_ROWS_MAX;
    for (unsigned i = 0; i < TERM_ROWS_MAX; i++) {
        buf_reset(&t->row[i].now);
        t->row[i].used = 0;
    }
}

void term_style(struct term *t, unsigned row, enum term_style style)
{
    static const char *const coloured[TERM_STYLE_COUNT_] = {"0",    "0;2",    "0;1", "0;32",
                                                            "0;33", "0;1;31", "0;7"};
    static const char *const plain[TERM_STYLE_COUNT_] = {"0", "0", "0;1", "0", "0;1", "0;1", "0;7"};
    if (row < t->rows)
        buf_addf(&t->row[row].now, "\033[%sm", (t->colour ? coloured : plain)[style]);
}

void term_text(struct term *t, unsigned row, const char *text, unsigned room, bool keep_end)
{
    struct buf safe;
    if (row >= t->rows || t->row[row].used >= t->columns)
        return;
    unsigned left = t->columns - t->row[row].used;
    buf_init(&safe, 16 * ROW_BYTES_MAX);
    make_printable(t, &safe, text);
    append_cut(t, &t->row[row], safe.data, room < left ? room : left, keep_end);
    buf_fini(&safe);
}

void term_textf(struct term *t, unsigned row, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* a cut text is still a text */
    va_end(args);
    term_text(t, row, text, TERM_COLUMNS_MAX, false);
}

void term_column(struct term *t, unsigned row, unsigned column)
{
    if (row >= t->rows)
        return;
    struct row *r = &t->row[row];
    unsigned to = r->used < column || r->used == 0 ? column : r->used + 1;
    for (; r->used < to && r->used < t->columns; r->used++)
        buf_addc(&r->now, ' ');
}

void term_right(struct term *t, unsigned row, unsigned column, const char *text)
{
    unsigned n = (unsigned)strlen(text); /* figures: ASCII */
    term_column(t, row, column > n ? column - n : 0);
    term_text(t, row, text, TERM_COLUMNS_MAX, false);
}

unsigned term_used(const struct term *t, unsigned row)
{
    return row < t->rows ? t->row[row].used : t->columns;
}

/* The end of the row that begins at s, at a word if one ends in its second half. */
static const char *row_end(const struct term *t, const char *s)
{
    const char *end = fitting(t, s, t->columns), *at = end;
    if (*end == '\0')
        return end;
    while (at > s && *at != ' ')
        at--;
    return (size_t)(at - s) * 2 > (size_t)(end - s) ? at : end;
}

static unsigned count_rows(const struct term *t, const char *s)
{
    unsigned n = 0;
    for (; *s; n++) {
        s = row_end(t, s);
        while (*s == ' ')
            s++;
    }
    return n;
}

unsigned term_wrap_rows(const struct term *t, const char *text, unsigned max)
{
    struct buf safe;
    buf_init(&safe, 16 * ROW_BYTES_MAX);
    make_printable(t, &safe, text);
    unsigned n = count_rows(t, safe.data);
    buf_fini(&safe);
    return n < max ? n : max;
}

/* Take words out of the middle of what is too long for so many rows: the cause stands in front, the
 * remedy at the end. */
static void cut_middle(const struct term *t, struct buf *text, unsigned rows)
{
    unsigned all = cells_of(t, text->data, text->data + text->len);
    unsigned room = rows * t->columns < all ? rows * t->columns : all;
    for (; count_rows(t, text->data) > rows && room > 8; room -= 4) {
        struct buf cut;
        const char *head = fitting(t, text->data, room * 3 / 5);
        const char *tail = fitting(t, text->data, all - room * 2 / 5);
        const char *word = strchr(tail, ' ');
        while (head > text->data && *head != ' ' && rows > 1)
            head--;
        buf_init(&cut, 16 * ROW_BYTES_MAX);
        buf_add(&cut, text->data, (size_t)(head - text->data));
        buf_addf(&cut, " %s ", ellipsis(t));
        buf_adds(&cut, word && rows > 1 ? word + 1 : tail);
        if (count_rows(t, cut.data) > rows) {
            buf_fini(&cut);
            continue;
        }
        buf_fini(text);
        *text = cut;
        return;
    }
}

void term_wrap(struct term *t, unsigned row, const char *text, unsigned rows, enum term_style s)
{
    struct buf safe;
    buf_init(&safe, 16 * ROW_BYTES_MAX);
    make_printable(t, &safe, text);
    cut_middle(t, &safe, rows);
    const char *at = safe.data;
    for (unsigned i = 0; i < rows && row + i < t->rows && *at; i++) {
        const char *end = row_end(t, at);
        term_style(t, row + i, s);
        append(t, &t->row[row + i], at, end);
        term_style(t, row + i, TERM_PLAIN);
        for (at = end; *at == ' ';)
            at++;
    }
    buf_fini(&safe);
}

bool term_end(struct term *t, bool anew)
{
    struct buf out;
    bool ok = true;
    if (!t->entered)
        return true;
    anew |= t->rows != t->shown_rows || t->columns != t->shown_columns;
    t->shown_rows = t->rows;
    t->shown_columns = t->columns;
    buf_init(&out, (size_t)TERM_ROWS_MAX * ROW_BYTES_MAX);
    if (anew)
        buf_adds(&out, "\033[0m\033[2J");
    for (unsigned i = 0; i < t->rows; i++) {
        struct row *r = &t->row[i];
        bool same =
            r->now.len == r->shown.len && memcmp(r->now.data, r->shown.data, r->now.len) == 0;
        if (same && !anew)
            continue;
        buf_addf(&out, "\033[%u;1H%s\033[0m", i + 1, r->now.data);
        if (r->used < t->columns)
            buf_adds(&out, "\033[K");
        buf_reset(&r->shown);
        buf_add(&r->shown, r->now.data, r->now.len);
    }
    if (out.len > 0)
        ok = write_all(out.data, out.len);
    buf_fini(&out);
    return ok;
}
