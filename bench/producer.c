/* A producer that keeps its rate: files written under a hidden name, each renamed at its moment.
 *
 * A file is one line of JSON that its number alone makes. Digests are computed before the clock
 * starts and what happened is written down after it has stopped, so that between two renames there
 * is only what a producer does: mkdir where the shape wants one, open, write, close, rename. It
 * says how late it was: a run in which it did not keep its rate has measured the producer.
 */
#include "base/checksum.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/mem.h"
#include "bench/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILES_MAX = 10000000, SIZE_MIN_BYTES = 128, SIZE_MAX_BYTES = 64 << 20 };
enum { RATE_MAX = 1000000, FIRST_MAX = 900000000, KEY_MAX = 256 };

enum shape { SHAPE_HOT, SHAPE_NEW, SHAPE_OWN };
static const struct {
    const char *name;
    size_t per_directory;
} shapes[] = {[SHAPE_HOT] = {"hot", SIZE_MAX}, [SHAPE_NEW] = {"new", 10}, [SHAPE_OWN] = {"own", 1}};

enum { DIRECTORIES_PER_TYPE = 20 }; /* so often an event type is new, too */

struct producer_options {
    const char *root, *log;
    enum shape shape;
    size_t files, size, rate, first;
};

struct dropped {
    int64_t moved_ns, late_ns;
    uint8_t sha256[SHA256_SIZE];
};

static const char usage[] =
    "bench-producer: write files under hidden names and rename them, so many a second.\n"
    "\n"
    "Example: bench-producer --root /srv/spool --shape own --rate 400 --files 4000 --log "
    "moved.tsv\n"
    "\n"
    "  --root DIR     the spool\n"
    "  --shape NAME   hot: one directory, made before the clock starts; new: a new directory for\n"
    "                 every ten files; own: a new one for every file. Default hot\n"
    "  --rate N       files a second; default 40\n"
    "  --files N      default 400\n"
    "  --size BYTES   default 4096\n"
    "  --first N      number of the first file, for names that no earlier run has used\n"
    "  --log FILE     a line for each: moment of the rename in ns since 1970, key, size, SHA-256\n"
    "\n"
    "Prints one JSON object.\n";

static void die_errno(const char *what, const char *path)
{
    const char *why = strerror(errno);
    char text[2 * KEY_MAX + 64];

    (void)snprintf(text, sizeof(text), "%s %s", what, path);
    tool_die(TOOL_ENVIRONMENT, text, why);
}

static enum shape shape_named(const char *text)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        if (strcmp(shapes[i].name, text) == 0)
            return (enum shape)i;
    tool_die(TOOL_USAGE, "a shape is hot, new or own, not", text);
}

static struct producer_options read_options(int argc, char **argv)
{
    static const struct option known[] = {{"root", required_argument, NULL, 'd'},
                                          {"shape", required_argument, NULL, 's'},
                                          {"rate", required_argument, NULL, 'r'},
                                          {"files", required_argument, NULL, 'n'},
                                          {"size", required_argument, NULL, 'b'},
                                          {"log", required_argument, NULL, 'l'},
                                          {"first", required_argument, NULL, 'f'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    struct producer_options o = {.rate = 40, .files = 400, .size = 4096};
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'd':
            o.root = optarg;
            break;
        case 's':
            o.shape = shape_named(optarg);
            break;
        case 'r':
            o.rate = tool_number(optarg, 1, RATE_MAX);
            break;
        case 'n':
            o.files = tool_number(optarg, 1, FILES_MAX);
            break;
        case 'b':
            o.size = tool_number(optarg, SIZE_MIN_BYTES, SIZE_MAX_BYTES);
            break;
        case 'f':
            o.first = tool_number(optarg, 0, FIRST_MAX);
            break;
        case 'l':
            o.log = optarg;
            break;
        case 'h':
            (void)fputs(usage, stdout); /* nobody left to tell if stdout is gone */
            exit(0);
        default:
            exit(TOOL_USAGE);
        }
    }
    if (o.root == NULL || o.log == NULL || optind != argc)
        tool_die(TOOL_USAGE, "--root and --log are needed, and no other argument", "see --help");
    return o;
}

/* ---- names and bodies, which follow from the number alone ---- */

struct place {
    char date[CLOCK_DATE_SIZE]; /* of the start: a run over midnight is late for no directory */
    char directory[KEY_MAX], name[32];
};

static void place_of(const struct producer_options *o, size_t i, struct place *p)
{
    size_t directory = i / shapes[o->shape].per_directory;
    size_t at = o->first + directory;

    if (o->shape == SHAPE_HOT)
        (void)snprintf(p->directory, sizeof(p->directory), "Panoptica/hot/%s/111122223333",
                       p->date);
    else
        (void)snprintf(p->directory, sizeof(p->directory), "Panoptica/%s-%zu/%s/account-%09zu",
                       shapes[o->shape].name, at / DIRECTORIES_PER_TYPE, p->date, at);
    (void)snprintf(p->name, sizeof(p->name), "event-%09zu.json", o->first + i);
}

/* The body is the frame with the number in it: it has as many digits in every file. */
static char *frame_new(size_t size)
{
    char *body = mem_alloc(size);

    memset(body, 'x', size);
    memcpy(body + size - 3, "\"}\n", 3);
    return body;
}

static void frame_set(char *body, size_t number)
{
    char head[SIZE_MIN_BYTES];
    int n = snprintf(head, sizeof(head),
                     "{\"id\":\"event-%09zu\",\"severity\":\"HIGH\",\"padding\":\"", number);

    memcpy(body, head, (size_t)n);
}

/* ---- one file ---- */

/* As mkdir -p below the root. */
static void make_directories(int root_fd, const char *path)
{
    char part[KEY_MAX];

    if (mkdirat(root_fd, path, 0755) == 0)
        return;
    for (size_t i = 0; i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdirat(root_fd, part, 0755) != 0 && errno != EEXIST)
            die_errno("cannot make", part);
    }
}

static int64_t drop(int root_fd, const struct place *p, const char *body, size_t size)
{
    char hidden[2 * KEY_MAX], final[2 * KEY_MAX];

    (void)snprintf(hidden, sizeof(hidden), "%s/.%s.tmp", p->directory, p->name);
    (void)snprintf(final, sizeof(final), "%s/%s", p->directory, p->name);
    int fd = openat(root_fd, hidden, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        die_errno("cannot make", hidden);
    if (write(fd, body, size) != (ssize_t)size)
        die_errno("cannot write the whole of", hidden);
    if (close(fd) != 0)
        die_errno("cannot close", hidden);
    int64_t moved_ns = clock_wall_now_ns();
    if (renameat(root_fd, hidden, root_fd, final) != 0)
        die_errno("cannot rename", hidden);
    return moved_ns;
}

static void sleep_until(int64_t due_ns)
{
    struct timespec at = {.tv_sec = due_ns / CLOCK_NS_PER_S, .tv_nsec = due_ns % CLOCK_NS_PER_S};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

/* Nanoseconds from the first moment to the last. */
static int64_t produce(const struct producer_options *o, int root_fd, char *body,
                       struct dropped *all, struct place *p)
{
    int64_t began = clock_mono_now_ns(), gap_ns = CLOCK_NS_PER_S / (int64_t)o->rate;

    for (size_t i = 0; i < o->files; i++) {
        int64_t due = began + (int64_t)i * gap_ns;

        place_of(o, i, p);
        frame_set(body, o->first + i);
        if (clock_mono_now_ns() < due)
            sleep_until(due);
        all[i].late_ns = clock_mono_now_ns() - due;
        if (o->shape != SHAPE_HOT && i % shapes[o->shape].per_directory == 0)
            make_directories(root_fd, p->directory);
        all[i].moved_ns = drop(root_fd, p, body, o->size);
    }
    return clock_mono_now_ns() - began;
}

/* ---- what happened ---- */

static void write_log(const struct producer_options *o, const struct dropped *all, struct place *p)
{
    FILE *log = fopen(o->log, "we");

    if (log == NULL)
        die_errno("cannot write", o->log);
    for (size_t i = 0; i < o->files; i++) {
        char hex[2 * SHA256_SIZE + 1];

        hex_encode(hex, all[i].sha256, SHA256_SIZE);
        place_of(o, i, p);
        (void)fprintf(log, "%lld\t%s/%s\t%zu\t%s\n", (long long)all[i].moved_ns, p->directory,
                      p->name, o->size, hex); /* ferror is asked once, below */
    }
    if (ferror(log) != 0 || fclose(log) != 0)
        tool_die(TOOL_ENVIRONMENT, "the log could not be written", o->log);
}

static int by_lateness(const void *a, const void *b)
{
    int64_t x = ((const struct dropped *)a)->late_ns, y = ((const struct dropped *)b)->late_ns;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct producer_options o = read_options(argc, argv);
    struct dropped *all = mem_alloc(o.files * sizeof(*all));
    char *body = frame_new(o.size);
    struct place p;
    int root_fd = open(o.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (root_fd < 0)
        die_errno("cannot open", o.root);
    clock_date(p.date, clock_wall_now_ns() / CLOCK_NS_PER_S);
    for (size_t i = 0; i < o.files; i++) {
        frame_set(body, o.first + i);
        sha256(body, o.size, all[i].sha256);
    }
    if (o.shape == SHAPE_HOT) {
        place_of(&o, 0, &p);
        make_directories(root_fd, p.directory);
        sleep_until(clock_mono_now_ns() + CLOCK_NS_PER_S / 2); /* whoever watches has seen it */
    }

    double cpu = tool_cpu_seconds();
    double seconds = (double)produce(&o, root_fd, body, all, &p) / 1e9;
    cpu = tool_cpu_seconds() - cpu;
    write_log(&o, all, &p);
    qsort(all, o.files, sizeof(*all), by_lateness);
    printf("{\"files\": %zu, \"seconds\": %.4f, \"files_per_s\": %.1f, \"late_p99_ms\": %.3f, "
           "\"late_max_ms\": %.3f, \"cpu_ms_per_file\": %.4f}\n",
           o.files, seconds, (double)o.files / seconds,
           (double)all[(o.files - 1) * 99 / 100].late_ns / 1e6,
           (double)all[o.files - 1].late_ns / 1e6, cpu * 1e3 / (double)o.files);
    free(all);
    free(body);
    (void)close(root_fd); /* the process ends */
    return fflush(stdout) != 0 ? TOOL_ENVIRONMENT : 0;
}
