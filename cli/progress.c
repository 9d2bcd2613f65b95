/* How far a long step is: see progress.h.
 */
#include "cli/progress.h"

#include "base/clock.h"
#include "base/units.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { FIRST_MS = 300, AGAIN_MS = 100, CELLS = 20, LINE_MAX_ = 512 };

static uint64_t now_ms(void)
{
    return (uint64_t)(clock_mono_now_ns() / CLOCK_NS_PER_MS);
}

void progress_begin(struct progress *p, const char *what, uint64_t total, bool quiet)
{
    const char *kind = getenv("TERM");
    *p = (struct progress){.what = what, .total = total, .begin_ms = now_ms()};
    p->silent = quiet || isatty(STDERR_FILENO) != 1 || !kind || strcmp(kind, "dumb") == 0;
}

static bool is_time(struct progress *p, uint64_t *elapsed_ms)
{
    uint64_t now = now_ms();
    *elapsed_ms = now - p->begin_ms;
    if (p->silent || *elapsed_ms < FIRST_MS || (p->drawn && now - p->drawn_ms < AGAIN_MS))
        return false;
    p->drawn = true;
    p->drawn_ms = now;
    return true;
}

/* One row, cut where the terminal ends; a character of several bytes is not cut through. */
static void draw(const char *line)
{
    struct winsize w;
    size_t room = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1 ? w.ws_col - 1U : 79;
    size_t n = strlen(line);
    if (n > room)
        for (n = room; n > 0 && (line[n] & 0xc0) == 0x80;)
            n--;
    fprintf(stderr, "%.*s\033[K\r", (int)n, line); /* whatever is printed next replaces it */
    (void)fflush(stderr);                          /* nothing to do about it */
}

void progress_bytes(struct progress *p, uint64_t done)
{
    char line[LINE_MAX_], bar[CELLS + 1], a[UNITS_TEXT_SIZE], b[UNITS_TEXT_SIZE],
        c[UNITS_TEXT_SIZE], left[UNITS_TEXT_SIZE];
    uint64_t ms;
    if (!is_time(p, &ms))
        return;
    double speed = (double)done * 1000.0 / (double)ms;
    units_format_size(a, done);
    units_format_size(c, (uint64_t)speed);
    if (p->total == 0 || done > p->total) {
        (void)snprintf(line, sizeof line, "%s: %s, %s/s", p->what, a, c);
    } else {
        double part = (double)done / (double)p->total;
        uint64_t left_s = speed > 0 ? (uint64_t)((double)(p->total - done) / speed) : 0;
        for (unsigned i = 0; i < CELLS; i++)
            bar[i] = (double)i < part * CELLS ? '#' : '.';
        bar[CELLS] = '\0';
        (void)snprintf(line, sizeof line, "%s [%s] %3u %%  %s of %s, %s/s, %s left", p->what, bar,
                       (unsigned)(part * 100), a, units_format_size(b, p->total), c,
                       units_format_duration(left, left_s * 1000));
    }
    draw(line);
}

void progress_step(struct progress *p, const char *text)
{
    if (p->silent)
        return;
    p->drawn = true;
    draw(text);
}

void progress_wait(struct progress *p, const char *text)
{
    char line[LINE_MAX_];
    struct buf safe;
    uint64_t ms;
    if (!is_time(p, &ms))
        return;
    buf_init(&safe, 1 << 16);
    utf8_escape(&safe, text, strlen(text));
    (void)snprintf(line, sizeof line, "%s: %" PRIu64 " s, %s", p->what, ms / 1000, safe.data);
    buf_fini(&safe);
    draw(line);
}

void progress_end(struct progress *p)
{
    if (p->drawn)
        fputs("\033[K", stderr);
    p->drawn = false;
}
