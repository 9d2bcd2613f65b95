/* A list that typing narrows: see choose.h. The terminal is in raw mode only while one key is
 * waited for at a time, and restored on every way out; nothing but cursor movement and erasing is
 * assumed of it.
 */
#include "cli/choose.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { ROWS_MAX = 8, TYPED_MAX = 2048, MATCHES_MAX = 4096 };
enum { KEY_UP = 256, KEY_DOWN, KEY_END };

bool choose_may_ask(void)
{
    return isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
}

/* ---- the list ---- */

static char *printable(const char *s)
{
    struct buf b;
    buf_init(&b, 8192);
    utf8_escape(&b, s, strlen(s));
    char *text = buf_take(&b);
    return text ? text : mem_strdup("");
}

void choose_list_add(struct choose_list *l, const char *value, const char *note)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->items[i].value, value) == 0)
            return;
    }
    l->items = mem_resize(l->items, l->n + 1, sizeof *l->items);
    l->items[l->n++] = (struct choose_item){.value = printable(value), .note = printable(note)};
}

void choose_list_fini(struct choose_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i].value);
        free(l->items[i].note);
    }
    free(l->items);
    *l = (struct choose_list){0};
}

static size_t find_matches(const struct choose_list *l, const char *typed, size_t *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n && n < max; i++) {
        if (strcasestr(l->items[i].value, typed) || strcasestr(l->items[i].note, typed))
            out[n++] = i;
    }
    return n;
}

/* ---- keys ---- */

static int read_byte(int wait_ms)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    unsigned char c;
    for (;;) {
        int got = poll(&p, 1, wait_ms);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        return n == 1 ? c : -1;
    }
}

/* One key: a byte, KEY_…, or KEY_END at the end of input. An escape sequence that we do not know is
 * swallowed whole. */
static int read_key(void)
{
    int c = read_byte(-1);
    if (c < 0)
        return KEY_END;
    if (c != 0x1b)
        return c;
    int next = read_byte(50);
    if (next != '[' && next != 'O')
        return 0;
    do
        c = read_byte(50);
    while (c >= 0 && c < '@');
    return c == 'A' ? KEY_UP : c == 'B' ? KEY_DOWN : 0;
}

/* What a signal that ends us has to restore; valid while raw. */
static struct termios cooked;
static const int ending[] = {SIGTERM, SIGHUP, SIGQUIT};

static void restore_and_end(int signo)
{
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &cooked); /* async-signal-safe; the end comes anyway */
    (void)signal(signo, SIG_DFL);
    (void)raise(signo);
}

static bool raw_begin(struct termios *before)
{
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, before) != 0)
        return false;
    raw = cooked = *before;
    for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++)
        (void)signal(ending[i], restore_and_end); /* known signals */
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    raw.c_iflag &= ~(tcflag_t)(ICRNL | IXON);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static void raw_end(const struct termios *before)
{
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, before); /* the terminal may be gone */
    for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++)
        (void)signal(ending[i], SIG_DFL); /* nothing else of ours handles them */
}

/* ---- drawing ---- */

struct view {
    const char *question, *preset;
    const struct choose_list *list;
    char typed[TYPED_MAX];
    size_t len;
    size_t matches[MATCHES_MAX], n; /* of what is typed */
    size_t at;                      /* the marked one; n: what is typed itself */
    unsigned drawn;                 /* lines below the first */
};

static unsigned columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 20 ? w.ws_col : 80;
}

static void erase(const struct view *v)
{
    for (unsigned i = 0; i < v->drawn; i++)
        fputs("\n\033[2K", stderr);
    if (v->drawn > 0)
        fprintf(stderr, "\033[%uA", v->drawn);
    fputs("\r\033[2K", stderr);
}

/* What fits of a line, cut at a character. */
static void put_cut(const char *s, unsigned width)
{
    unsigned shown = 0;
    size_t n = 0;
    while (s[n] && (shown < width || (s[n] & 0xc0) == 0x80)) {
        shown += (s[n] & 0xc0) != 0x80;
        n++;
    }
    fprintf(stderr, "%.*s", (int)n, s);
}

static void draw_row(const struct view *v, size_t row, unsigned width)
{
    char line[4096];
    const struct choose_item *item = &v->list->items[v->matches[row]];
    (void)snprintf(line, sizeof line, "%s %s%s%s", row == v->at ? ">" : " ", item->value,
                   item->note[0] ? "  " : "", item->note);
    fputs(row == v->at ? "\n\033[7m" : "\n", stderr);
    put_cut(line, width - 1);
    if (row == v->at)
        fputs("\033[0m", stderr);
}

static void draw(struct view *v)
{
    unsigned width = columns();
    size_t from = v->at >= ROWS_MAX && v->at < v->n ? v->at - ROWS_MAX + 1 : 0;
    erase(v);
    v->drawn = 0;
    for (size_t i = from; i < v->n && i < from + ROWS_MAX; i++, v->drawn++)
        draw_row(v, i, width);
    if (v->n > 0 && v->len > 0) {
        fprintf(stderr, "\n%s \"", v->at == v->n ? "> \033[7muse" : "  use");
        put_cut(v->typed, width - 20);
        fprintf(stderr, "\" as it is%s", v->at == v->n ? "\033[0m" : "");
        v->drawn++;
    }
    if (v->n > ROWS_MAX) {
        fprintf(stderr, "\n  (%zu more; type to narrow)", v->n - ROWS_MAX);
        v->drawn++;
    }
    if (v->drawn > 0)
        fprintf(stderr, "\033[%uA", v->drawn);
    fputc('\r', stderr);
    fputs(v->question, stderr);
    if (v->preset[0])
        fprintf(stderr, " [%s]", v->preset);
    fprintf(stderr, ": %s", v->typed);
    (void)fflush(stderr); /* nothing to do about it */
}

static void narrow(struct view *v)
{
    v->n = find_matches(v->list, v->typed, v->matches, MATCHES_MAX);
    v->at = v->len > 0 || v->preset[0] == '\0' ? 0 : v->n;
    for (size_t i = 0; i < v->n && v->len > 0; i++) {
        if (strcmp(v->list->items[v->matches[i]].value, v->typed) == 0)
            v->at = i;
    }
}

/* ---- questions ---- */

static const char *marked(const struct view *v)
{
    if (v->at < v->n)
        return v->list->items[v->matches[v->at]].value;
    return v->len > 0 ? v->typed : v->preset;
}

/* True: the answer is given. */
static bool press(struct view *v, int key)
{
    switch (key) {
    case '\r':
    case '\n':
        return marked(v)[0] != '\0';
    case KEY_UP:
        v->at = v->at > 0 ? v->at - 1 : v->n;
        return false;
    case KEY_DOWN:
        v->at = v->at < v->n ? v->at + 1 : 0;
        return false;
    case '\t': /* what is marked, to be edited */
        v->len = (size_t)snprintf(v->typed, sizeof v->typed, "%s", marked(v));
        v->len = v->len < sizeof v->typed ? v->len : sizeof v->typed - 1;
        narrow(v);
        return false;
    case 0x15: /* Ctrl-U */
        v->len = 0;
        break;
    case 0x7f:
    case 0x08:
        while (v->len > 0 && (v->typed[--v->len] & 0xc0) == 0x80)
            ;
        break;
    default:
        if (key < ' ' || key > 255 || v->len + 1 >= sizeof v->typed)
            return false;
        v->typed[v->len++] = (char)key;
    }
    v->typed[v->len] = '\0';
    narrow(v);
    return false;
}

enum rc choose_from(const char *question, const struct choose_list *list, const char *preset,
                    struct buf *out)
{
    static const struct choose_list none;
    struct termios before;
    struct view *v = mem_alloc(sizeof *v);
    enum rc rc = RC_CANCELLED;
    *v = (struct view){.question = question, .preset = preset, .list = list ? list : &none};
    if (!raw_begin(&before)) {
        free(v);
        return RC_CANCELLED;
    }
    narrow(v);
    for (bool given = false; !given;) {
        draw(v);
        int key = read_key();
        if (key == KEY_END || key == 0x03 || (key == 0x04 && v->len == 0))
            break;
        given = press(v, key);
        if (given)
            rc = RC_OK;
    }
    erase(v);
    raw_end(&before);
    if (rc == RC_OK) {
        buf_adds(out, marked(v));
        fprintf(stderr, "%s: %s\n", question, marked(v));
    }
    free(v);
    return rc;
}

char choose_key(const char *question, const char *keys)
{
    struct termios before;
    char answer = '\0';
    if (!raw_begin(&before))
        return '\0';
    fprintf(stderr, "%s ", question);
    (void)fflush(stderr); /* nothing to do about it */
    for (;;) {
        int key = read_key();
        if (key == KEY_END || key == 0x03 || key == 0x04)
            break;
        answer = key == '\r' || key == '\n' ? keys[0] : key < 128 ? (char)tolower(key) : '\0';
        if (answer != '\0' && strchr(keys, answer))
            break;
        answer = '\0';
    }
    raw_end(&before);
    fprintf(stderr, "%c\n", answer ? answer : ' ');
    return answer;
}
