/* The ceilings: what libcurl alone does here, in one thread and over C kept connections.
 *
 * From memory: N bodies of one size, each request built and signed before the clock starts. From a
 * directory (--from): each file below it is found, opened, read, hashed, signed and sent, as any
 * uploader must, and nothing else: no watching, no queue, no journal, no removal. What the gateway
 * costs beyond these figures, taken in the same run, is the gateway's own. The requests are the
 * gateway's, header by header. It speaks curl directly and not by uploader/http.c, so that a waste
 * in there shows.
 */
#include "base/checksum.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench/tool.h"
#include "uploader/request.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 1000000, SIZE_MAX_BYTES = 64 << 20, CONNECTIONS_MAX = 1024, OWN_HEADERS = 2 };

struct bench_options {
    struct endpoint_cfg endpoint;
    const char *prefix, *ca; /* NULL: the system's CAs */
    char *from;              /* NULL: from memory */
    size_t files, size, connections;
};

/* One signed request, ready for curl. */
struct prepared {
    struct request request;
    struct curl_slist headers[REQUEST_HEADERS_MAX + OWN_HEADERS];
};

/* A connection's place: its handle, and with --from its file and request. */
struct slot {
    CURL *easy;
    struct prepared own;
    char *body;
    size_t cap;
};

struct run {
    CURLM *multi;
    int epoll_fd;
    int64_t timer_due_ns; /* INT64_MAX: curl waits for no time */
    const struct request_context *ctx;
    const char *prefix;
    FTS *walk; /* --from; NULL: from memory */
    size_t root_len;
    const char *body; /* from memory: of all of them */
    size_t size;
    struct prepared *requests;
    struct slot *slots;
    size_t n, next, active, done, failed;
    uint64_t bytes;
    long first_bad_status;
    char first_error[CURL_ERROR_SIZE];
};

static const char usage[] =
    "bench-ceiling: PUT signed objects with a bare libcurl loop, and say what it cost.\n"
    "\n"
    "Example: AWS_ACCESS_KEY_ID=devstore AWS_SECRET_ACCESS_KEY=devstore-secret \\\n"
    "         bench-ceiling --url http://127.0.0.1:9000 --bucket customer-siem\n"
    "\n"
    "  --url URL         of the store (path style)\n"
    "  --bucket NAME     default customer-siem\n"
    "  --region NAME     default eu-central-1\n"
    "  --from DIR        the files below DIR, under their paths; each is read, hashed and signed\n"
    "                    when its turn comes. Without: from memory, signed before\n"
    "  --prefix P        the keys begin with it; default Panoptica/findings/2026-01-01/ceiling/,\n"
    "                    with --from nothing\n"
    "  --files N         default 10000\n"
    "  --size BYTES      default 4096\n"
    "  --connections N   default 32\n"
    "  --ca FILE         trust these certificates\n"
    "\n"
    "Prints one JSON object. Exits with 1 if the store refused one of them.\n";

static struct bench_options read_options(int argc, char **argv)
{
    static const struct option known[] = {{"url", required_argument, NULL, 'u'},
                                          {"bucket", required_argument, NULL, 'b'},
                                          {"region", required_argument, NULL, 'r'},
                                          {"prefix", required_argument, NULL, 'p'},
                                          {"from", required_argument, NULL, 'd'},
                                          {"files", required_argument, NULL, 'n'},
                                          {"ca", required_argument, NULL, 'a'},
                                          {"size", required_argument, NULL, 's'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"connections", required_argument, NULL, 'c'},
                                          {NULL, 0, NULL, 0}};
    struct bench_options o = {
        .endpoint = {.bucket = "customer-siem", .region = "eu-central-1", .path_style = true},
        .files = 10000,
        .size = 4096,
        .connections = 32};
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'u':
            o.endpoint.url = optarg;
            break;
        case 'b':
            o.endpoint.bucket = optarg;
            break;
        case 'r':
            o.endpoint.region = optarg;
            break;
        case 'p':
            o.prefix = optarg;
            break;
        case 'a':
            o.ca = optarg;
            break;
        case 'd':
            o.from = optarg;
            break;
        case 'n':
            o.files = tool_number(optarg, 1, FILES_MAX);
            break;
        case 's':
            o.size = tool_number(optarg, 1, SIZE_MAX_BYTES);
            break;
        case 'c':
            o.connections = tool_number(optarg, 1, CONNECTIONS_MAX);
            break;
        case 'h':
            (void)fputs(usage, stdout); /* nobody left to tell if stdout is gone */
            exit(0);
        default:
            exit(TOOL_USAGE);
        }
    }
    if (o.endpoint.url == NULL || optind != argc)
        tool_die(TOOL_USAGE, "--url is needed, and no other argument", "see --help");
    if (o.prefix == NULL)
        o.prefix = o.from != NULL ? "" : "Panoptica/findings/2026-01-01/ceiling/";
    return o;
}

/* ---- requests ---- */

static void set_headers(struct prepared *p)
{
    static const char *const own[OWN_HEADERS] = {"Accept:", "Expect:"};
    size_t n = 0;

    for (; n < p->request.n_headers; n++)
        p->headers[n].data = (char *)(uintptr_t)p->request.headers[n]; /* curl only reads it */
    for (size_t i = 0; i < OWN_HEADERS; i++)
        p->headers[n++].data = (char *)(uintptr_t)own[i];
    for (size_t i = 0; i < n; i++)
        p->headers[i].next = i + 1 < n ? &p->headers[i + 1] : NULL;
}

static void build(struct prepared *p, const struct request_context *ctx, const char *key,
                  size_t size, const uint8_t digest[SHA256_SIZE])
{
    struct request_spec spec = {.op = REQUEST_PUT_OBJECT,
                                .key = key,
                                .key_len = strlen(key),
                                .content_length = size,
                                .sha256 = digest};
    struct err e = {0};

    if (request_build(&p->request, ctx, &spec, clock_wall_now_ns() / CLOCK_NS_PER_S, &e) != RC_OK)
        tool_die(TOOL_USAGE, e.text, "");
    set_headers(p);
}

static struct credentials *read_credentials(void)
{
    const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");

    if (id == NULL || secret == NULL)
        tool_die(TOOL_USAGE, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set", "");
    return credentials_new(id, secret, NULL, INT64_MAX);
}

static void prepare_all(struct run *r, const struct bench_options *o, char *body)
{
    uint8_t digest[SHA256_SIZE];
    char key[1024];

    memset(body, ' ', o->size);
    memcpy(body, "{}", o->size < 2 ? o->size : 2);
    body[o->size - 1] = '\n';
    r->n = o->files;
    r->requests = mem_alloc(o->files * sizeof(*r->requests));
    sha256(body, o->size, digest);
    for (size_t i = 0; i < o->files; i++) {
        int n = snprintf(key, sizeof(key), "%s%06zu.json", o->prefix, i);
        if (n < 0 || (size_t)n >= sizeof(key))
            tool_die(TOOL_USAGE, "the prefix is too long", "");
        request_init(&r->requests[i].request);
        build(&r->requests[i], r->ctx, key, o->size, digest);
    }
}

/* ---- files ---- */

/* All of a file, into the slot. Its size. */
static size_t read_file(struct slot *s, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    size_t have = 0;

    if (fd < 0 || fstat(fd, &st) != 0)
        tool_die(TOOL_ENVIRONMENT, path, strerror(errno));
    if (st.st_size > SIZE_MAX_BYTES)
        tool_die(TOOL_USAGE, path, "it is over 64 MiB");
    if ((size_t)st.st_size > s->cap) {
        s->cap = (size_t)st.st_size;
        s->body = mem_resize(s->body, s->cap, 1);
    }
    while (have < (size_t)st.st_size) {
        ssize_t n = read(fd, s->body + have, (size_t)st.st_size - have);
        if (n <= 0)
            tool_die(TOOL_ENVIRONMENT, path, n < 0 ? strerror(errno) : "it became shorter");
        have += (size_t)n;
    }
    if (close(fd) != 0)
        tool_die(TOOL_ENVIRONMENT, path, strerror(errno));
    return have;
}

/* The next file of the walk, read, hashed and signed. NULL: there is none. */
static const struct prepared *next_file(struct run *r, struct slot *s, size_t *size)
{
    uint8_t digest[SHA256_SIZE];
    char key[2048];
    FTSENT *entry;

    do {
        errno = 0;
        entry = fts_read(r->walk);
        if (entry == NULL && errno == 0)
            return NULL;
        if (entry == NULL)
            tool_die(TOOL_ENVIRONMENT, "the directory of --from cannot be read", strerror(errno));
        if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS)
            tool_die(TOOL_ENVIRONMENT, entry->fts_path, strerror(entry->fts_errno));
    } while (entry->fts_info != FTS_F && entry->fts_info != FTS_NSOK);
    *size = read_file(s, entry->fts_path);
    sha256(s->body, *size, digest);
    int n = snprintf(key, sizeof(key), "%s%s", r->prefix, entry->fts_path + r->root_len);
    if (n < 0 || (size_t)n >= sizeof(key))
        tool_die(TOOL_USAGE, entry->fts_path, "the key is too long");
    build(&s->own, r->ctx, key, *size, digest);
    return &s->own;
}

static void open_walk(struct run *r, char *from)
{
    char *roots[] = {from, NULL};

    r->root_len = strlen(from) + 1;
    if (from[r->root_len - 2] == '/')
        from[--r->root_len - 1] = '\0';
    r->walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    if (r->walk == NULL)
        tool_die(TOOL_ENVIRONMENT, from, strerror(errno));
}

/* ---- the loop ---- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *assigned)
{
    struct run *r = arg;
    struct epoll_event ev = {.data.fd = fd};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* a closed one has left already */
        return 0;
    }
    if (what != CURL_POLL_OUT)
        ev.events |= EPOLLIN;
    if (what != CURL_POLL_IN)
        ev.events |= EPOLLOUT;
    if (epoll_ctl(r->epoll_fd, assigned ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) != 0)
        tool_die(TOOL_ENVIRONMENT, "epoll_ctl", "");
    return curl_multi_assign(r->multi, fd, r) == CURLM_OK ? 0 : -1;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct run *r = arg;

    (void)multi;
    r->timer_due_ns =
        timeout_ms < 0 ? INT64_MAX : clock_mono_now_ns() + timeout_ms * CLOCK_NS_PER_MS;
    return 0;
}

static size_t swallow(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    (void)arg;
    return size * n;
}

/* False: there is nothing left to send. */
static bool start_next(struct run *r, struct slot *s)
{
    const struct prepared *p = NULL;
    const char *body = r->body;
    size_t size = r->size;

    if (r->walk != NULL) {
        p = next_file(r, s, &size);
        body = s->body;
    } else if (r->next < r->n) {
        p = &r->requests[r->next++];
    }
    if (p == NULL)
        return false;
    r->bytes += size;
    r->active++;
    if (curl_easy_setopt(s->easy, CURLOPT_URL, p->request.url) != CURLE_OK ||
        curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, p->headers) != CURLE_OK ||
        curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size) != CURLE_OK ||
        curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, size > 0 ? body : "") != CURLE_OK ||
        curl_multi_add_handle(r->multi, s->easy) != CURLM_OK)
        tool_die(TOOL_ENVIRONMENT, "libcurl does not take the request", "");
    return true;
}

static void open_slot(struct slot *s, const char *ca)
{
    s->easy = curl_easy_init();
    request_init(&s->own.request);
    if (s->easy == NULL || curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s) != CURLE_OK ||
        curl_easy_setopt(s->easy, CURLOPT_CUSTOMREQUEST, "PUT") != CURLE_OK ||
        curl_easy_setopt(s->easy, CURLOPT_PROXY, "") != CURLE_OK ||
        curl_easy_setopt(s->easy, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
        curl_easy_setopt(s->easy, CURLOPT_PATH_AS_IS, 1L) != CURLE_OK ||
        (ca != NULL && curl_easy_setopt(s->easy, CURLOPT_CAINFO, ca) != CURLE_OK) ||
        curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, swallow) != CURLE_OK)
        tool_die(TOOL_ENVIRONMENT, "libcurl does not start", "");
}

static void collect(struct run *r)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(r->multi, &left)) != NULL) {
        CURL *easy = m->easy_handle;
        CURLcode result = m->data.result;
        struct slot *slot = NULL;
        long status = 0;

        if (curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK)
            status = 0;
        if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &slot) != CURLE_OK || slot == NULL)
            tool_die(TOOL_ENVIRONMENT, "libcurl forgets whose handle it is", "");
        if (result != CURLE_OK || status != 200) {
            if (r->failed++ == 0) {
                r->first_bad_status = status;
                snprintf(r->first_error, sizeof(r->first_error), "%s", curl_easy_strerror(result));
            }
        }
        r->done++;
        r->active--;
        if (curl_multi_remove_handle(r->multi, easy) != CURLM_OK)
            tool_die(TOOL_ENVIRONMENT, "libcurl does not let a handle go", "");
        (void)start_next(r, slot); /* none left: the loop ends with the last one under way */
    }
}

static void turn(struct run *r)
{
    struct epoll_event ready[64];
    int64_t wait_ns = r->timer_due_ns - clock_mono_now_ns();
    int wait_ms = r->timer_due_ns == INT64_MAX ? 1000
                  : wait_ns <= 0               ? 0
                                               : (int)(wait_ns / CLOCK_NS_PER_MS) + 1;
    int running, n = epoll_wait(r->epoll_fd, ready, 64, wait_ms);

    for (int i = 0; i < n; i++) {
        int mask = (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CURL_CSELECT_IN : 0) |
                   (ready[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
        (void)curl_multi_socket_action(r->multi, ready[i].data.fd, mask, &running);
    }
    if (r->timer_due_ns <= clock_mono_now_ns()) {
        r->timer_due_ns = INT64_MAX;
        (void)curl_multi_socket_action(r->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    collect(r);
}

static void open_loop(struct run *r, const struct bench_options *o)
{
    r->timer_due_ns = INT64_MAX;
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (r->epoll_fd < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (r->multi = curl_multi_init()) == NULL ||
        curl_multi_setopt(r->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
        curl_multi_setopt(r->multi, CURLMOPT_SOCKETDATA, r) != CURLM_OK ||
        curl_multi_setopt(r->multi, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
        curl_multi_setopt(r->multi, CURLMOPT_TIMERDATA, r) != CURLM_OK ||
        curl_multi_setopt(r->multi, CURLMOPT_MAXCONNECTS, (long)o->connections) != CURLM_OK)
        tool_die(TOOL_ENVIRONMENT, "libcurl does not start", "");
}

static void clean_up(struct run *r, const struct bench_options *o)
{
    for (size_t i = 0; i < r->n; i++)
        request_fini(&r->requests[i].request);
    for (size_t i = 0; i < o->connections; i++) {
        curl_easy_cleanup(r->slots[i].easy);
        request_fini(&r->slots[i].own.request);
        free(r->slots[i].body);
    }
    free(r->requests);
    free(r->slots);
    if (r->walk != NULL)
        (void)fts_close(r->walk);       /* only read */
    (void)curl_multi_cleanup(r->multi); /* the process ends */
    curl_global_cleanup();
}

int main(int argc, char **argv)
{
    struct bench_options o = read_options(argc, argv);
    struct credentials *credentials = read_credentials();
    struct endpoint endpoint;
    /* What the gateway's requests have, as its configuration comes. */
    struct request_context ctx = {.endpoint = &endpoint,
                                  .credentials = credentials,
                                  .acl = "bucket-owner-full-control",
                                  .checksum_sha256 = true,
                                  .if_none_match = true,
                                  .user_agent = "bench-ceiling"};
    struct err e = {0};
    char *body = mem_alloc(o.size);
    struct run r = {.ctx = &ctx, .prefix = o.prefix, .body = body, .size = o.size};

    if (endpoint_resolve(&o.endpoint, &endpoint, &e) != RC_OK)
        tool_die(TOOL_USAGE, e.text, "");
    if (o.from == NULL)
        prepare_all(&r, &o, body);
    open_loop(&r, &o);
    r.slots = mem_alloc(o.connections * sizeof(*r.slots));
    for (size_t i = 0; i < o.connections; i++)
        open_slot(&r.slots[i], o.ca);

    double cpu = tool_cpu_seconds();
    int64_t began = clock_mono_now_ns();
    if (o.from != NULL)
        open_walk(&r, o.from);
    for (size_t i = 0; i < o.connections && start_next(&r, &r.slots[i]); i++)
        ;
    while (r.active > 0)
        turn(&r);
    double seconds = (double)(clock_mono_now_ns() - began) / 1e9;
    cpu = tool_cpu_seconds() - cpu;

    printf("{\"files\": %zu, \"bytes\": %llu, \"connections\": %zu, \"failed\": %zu, "
           "\"seconds\": %.4f, \"files_per_s\": %.0f, \"cpu_ms_per_file\": %.4f}\n",
           r.done, (unsigned long long)r.bytes, o.connections, r.failed, seconds,
           (double)r.done / seconds, r.done > 0 ? cpu * 1e3 / (double)r.done : 0);
    if (r.failed > 0)
        (void)fprintf(stderr, "bench-ceiling: %zu refused, the first with status %ld (%s)\n",
                      r.failed, r.first_bad_status, r.first_error);
    clean_up(&r, &o);
    credentials_free(credentials);
    free(body);
    return r.failed > 0 ? TOOL_NO : fflush(stdout) != 0 ? TOOL_ENVIRONMENT : 0;
}
