/* The ceiling: what libcurl alone does here, in one thread and with nothing around it.
 *
 * N bodies of one size go from memory over C kept connections, each request built and signed before
 * the clock starts: no file, no queue, no journal, no hash. What the gateway costs beyond this
 * figure, taken in the same run, is the gateway's own. It speaks curl directly and not by
 * uploader/http.c, so that a waste in there shows.
 */
#include "base/checksum.h"
#include "base/clock.h"
#include "base/mem.h"
#include "uploader/request.h"

#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum { EXIT_NO = 1, EXIT_USAGE = 100, EXIT_ENVIRONMENT = 111 };
enum { FILES_MAX = 1000000, SIZE_MAX_BYTES = 64 << 20, CONNECTIONS_MAX = 1024, OWN_HEADERS = 2 };

struct bench_options {
    struct endpoint_cfg endpoint;
    const char *prefix;
    size_t files, size, connections;
};

/* One signed request, ready for curl. */
struct prepared {
    struct request request;
    struct curl_slist headers[REQUEST_HEADERS_MAX + OWN_HEADERS];
};

struct run {
    CURLM *multi;
    int epoll_fd;
    int64_t timer_due_ns; /* INT64_MAX: curl waits for no time */
    struct prepared *requests;
    size_t n, next, done, failed;
    long first_bad_status;
    char first_error[CURL_ERROR_SIZE];
};

static const char usage[] =
    "bench-ceiling: PUT signed objects from memory with a bare libcurl loop, and say what it "
    "cost.\n"
    "\n"
    "Example: AWS_ACCESS_KEY_ID=devstore AWS_SECRET_ACCESS_KEY=devstore-secret \\\n"
    "         bench-ceiling --url http://127.0.0.1:9000 --bucket customer-siem\n"
    "\n"
    "  --url URL         of the store (path style)\n"
    "  --bucket NAME     default customer-siem\n"
    "  --region NAME     default eu-central-1\n"
    "  --prefix P        the keys begin with it; default Panoptica/findings/2026-01-01/ceiling/\n"
    "  --files N         default 10000\n"
    "  --size BYTES      default 4096\n"
    "  --connections N   default 32\n"
    "\n"
    "Prints one JSON object. Exits with 1 if the store refused one of them.\n";

static void die(int status, const char *what, const char *detail)
{
    (void)fprintf(stderr, "bench-ceiling: %s%s%s\n", what, detail[0] ? ": " : "", detail);
    exit(status);
}

static size_t number(const char *text, size_t max)
{
    char *end;
    unsigned long long v = strtoull(text, &end, 10);

    if (end == text || *end != '\0' || v < 1 || v > max)
        die(EXIT_USAGE, "not a number in range", text);
    return (size_t)v;
}

static struct bench_options read_options(int argc, char **argv)
{
    static const struct option known[] = {{"url", required_argument, NULL, 'u'},
                                          {"bucket", required_argument, NULL, 'b'},
                                          {"region", required_argument, NULL, 'r'},
                                          {"prefix", required_argument, NULL, 'p'},
                                          {"files", required_argument, NULL, 'n'},
                                          {"size", required_argument, NULL, 's'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"connections", required_argument, NULL, 'c'},
                                          {NULL, 0, NULL, 0}};
    struct bench_options o = {
        .endpoint = {.bucket = "customer-siem", .region = "eu-central-1", .path_style = true},
        .prefix = "Panoptica/findings/2026-01-01/ceiling/",
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
        case 'n':
            o.files = number(optarg, FILES_MAX);
            break;
        case 's':
            o.size = number(optarg, SIZE_MAX_BYTES);
            break;
        case 'c':
            o.connections = number(optarg, CONNECTIONS_MAX);
            break;
        case 'h':
            (void)fputs(usage, stdout); /* nobody left to tell if stdout is gone */
            exit(0);
        default:
            exit(EXIT_USAGE);
        }
    }
    if (o.endpoint.url == NULL || optind != argc)
        die(EXIT_USAGE, "--url is needed, and no other argument", "see --help");
    return o;
}

/* ---- requests, made before the clock starts ---- */

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

static struct prepared *prepare(const struct bench_options *o, const char *body)
{
    const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
    struct prepared *all = mem_alloc(o->files * sizeof(*all));
    struct endpoint endpoint;
    struct err e = {0};
    uint8_t digest[SHA256_SIZE];
    char key[1024];

    if (id == NULL || secret == NULL)
        die(EXIT_USAGE, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set", "");
    if (endpoint_resolve(&o->endpoint, &endpoint, &e) != RC_OK)
        die(EXIT_USAGE, e.text, "");
    struct credentials *credentials = credentials_new(id, secret, NULL, INT64_MAX);
    struct request_context ctx = {.endpoint = &endpoint,
                                  .credentials = credentials,
                                  .acl = "bucket-owner-full-control",
                                  .checksum_sha256 = true,
                                  .if_none_match = true,
                                  .user_agent = "bench-ceiling"};
    sha256(body, o->size, digest);
    for (size_t i = 0; i < o->files; i++) {
        int n = snprintf(key, sizeof(key), "%s%06zu.json", o->prefix, i);
        struct request_spec spec = {.op = REQUEST_PUT_OBJECT,
                                    .key = key,
                                    .key_len = (size_t)n,
                                    .content_length = o->size,
                                    .sha256 = digest};
        if ((size_t)n >= sizeof(key))
            die(EXIT_USAGE, "the prefix is too long", "");
        request_init(&all[i].request);
        if (request_build(&all[i].request, &ctx, &spec, clock_wall_now_ns() / CLOCK_NS_PER_S, &e) !=
            RC_OK)
            die(EXIT_USAGE, e.text, "");
        set_headers(&all[i]);
    }
    credentials_free(credentials);
    return all;
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
        die(EXIT_ENVIRONMENT, "epoll_ctl", "");
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

static void start_next(struct run *r, CURL *easy)
{
    struct prepared *p = &r->requests[r->next++];

    if (curl_easy_setopt(easy, CURLOPT_URL, p->request.url) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, p->headers) != CURLE_OK ||
        curl_multi_add_handle(r->multi, easy) != CURLM_OK)
        die(EXIT_ENVIRONMENT, "libcurl does not take the request", "");
}

static CURL *new_easy(const struct bench_options *o, const char *body)
{
    CURL *easy = curl_easy_init();

    if (easy == NULL || curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->size) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT") != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_PROXY, "") != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, swallow) != CURLE_OK)
        die(EXIT_ENVIRONMENT, "libcurl does not start", "");
    return easy;
}

static void collect(struct run *r)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(r->multi, &left)) != NULL) {
        CURL *easy = m->easy_handle;
        CURLcode result = m->data.result;
        long status = 0;

        if (curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK)
            status = 0;
        if (result != CURLE_OK || status != 200) {
            if (r->failed++ == 0) {
                r->first_bad_status = status;
                snprintf(r->first_error, sizeof(r->first_error), "%s", curl_easy_strerror(result));
            }
        }
        r->done++;
        if (curl_multi_remove_handle(r->multi, easy) != CURLM_OK)
            die(EXIT_ENVIRONMENT, "libcurl does not let a handle go", "");
        if (r->next < r->n)
            start_next(r, easy);
        else
            curl_easy_cleanup(easy);
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
    r->n = o->files;
    r->timer_due_ns = INT64_MAX;
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (r->epoll_fd < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (r->multi = curl_multi_init()) == NULL ||
        curl_multi_setopt(r->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
        curl_multi_setopt(r->multi, CURLMOPT_SOCKETDATA, r) != CURLM_OK ||
        curl_multi_setopt(r->multi, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
        curl_multi_setopt(r->multi, CURLMOPT_TIMERDATA, r) != CURLM_OK ||
        curl_multi_setopt(r->multi, CURLMOPT_MAXCONNECTS, (long)o->connections) != CURLM_OK)
        die(EXIT_ENVIRONMENT, "libcurl does not start", "");
}

static double cpu_seconds(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    struct bench_options o = read_options(argc, argv);
    struct run r = {0};
    char *body = mem_alloc(o.size);

    memset(body, ' ', o.size);
    memcpy(body, "{}", o.size < 2 ? o.size : 2);
    body[o.size - 1] = '\n';
    r.requests = prepare(&o, body);
    open_loop(&r, &o);

    double cpu = cpu_seconds();
    int64_t began = clock_mono_now_ns();
    for (size_t i = 0; i < o.connections && i < o.files; i++)
        start_next(&r, new_easy(&o, body));
    while (r.done < r.n)
        turn(&r);
    double seconds = (double)(clock_mono_now_ns() - began) / 1e9;
    cpu = cpu_seconds() - cpu;

    printf("{\"files\": %zu, \"size\": %zu, \"connections\": %zu, \"failed\": %zu, "
           "\"seconds\": %.4f, \"files_per_s\": %.0f, \"cpu_ms_per_file\": %.4f}\n",
           o.files, o.size, o.connections, r.failed, seconds, (double)o.files / seconds,
           cpu * 1e3 / (double)o.files);
    if (r.failed > 0)
        (void)fprintf(stderr, "bench-ceiling: %zu refused, the first with status %ld (%s)\n",
                      r.failed, r.first_bad_status, r.first_error);
    for (size_t i = 0; i < r.n; i++)
        request_fini(&r.requests[i].request);
    free(r.requests);
    free(body);
    (void)curl_multi_cleanup(r.multi); /* the process ends */
    curl_global_cleanup();
    return r.failed > 0 ? EXIT_NO : fflush(stdout) != 0 ? EXIT_ENVIRONMENT : 0;
}
