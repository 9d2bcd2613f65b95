/* devstore: a small strict S3-compatible store for the quick start, the failure tests and the
 * benches. This file reads the options, puts the parts together and ends cleanly on SIGTERM.
 */
#include "tests/fakes/devstore/config.h"

#include "base/units.h"
#include "tests/fakes/devstore/server.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EXIT_USAGE 100
#define EXIT_WORLD 111

enum option_kind { TEXT, FLAG, NUMBER, DURATION, DENY, FAULT, TLS_FILES, HELP };

/* One line of --help, one option, one field of struct config. */
static const struct option_spec {
    const char *name;
    enum option_kind kind;
    size_t field;
    const char *value, *help;
} specs[] = {
#define AT(f) offsetof(struct config, f)
    {"address", TEXT, AT(address), "IP", "listen here instead of on 127.0.0.1"},
    {"port", NUMBER, AT(port), "N", "0 (default): the kernel picks one"},
    {"port-file", TEXT, AT(port_file), "FILE", "write the port into FILE"},
    {"threads", NUMBER, AT(threads), "N", "serve with N threads (default 1)"},
    {"dir", TEXT, AT(dir), "DIR", "keep objects as files below DIR"},
    {"count", FLAG, AT(count), NULL, "keep no bytes, only what is known of them"},
    {"access-key", TEXT, AT(access_key), "ID", "default devstore"},
    {"secret-key", TEXT, AT(secret_key), "KEY", "default devstore-secret"},
    {"token", TEXT, AT(token), "T", "demand this session token"},
    {"session-keys", FLAG, AT(session_keys), NULL,
     "accept keys \"ASIA<who>.<expiry>\" as well, secret \"<secret key>/<id>\", token "
     "\"token-<id>\""},
    {"bucket", TEXT, AT(bucket), "NAME", "the only bucket; default customer-siem"},
    {"region", TEXT, AT(region), "NAME", "default eu-central-1"},
    {"domain", TEXT, AT(domain), "NAME", "BUCKET.NAME in Host names the bucket, too"},
    {"require-acl", FLAG, AT(require_acl), NULL,
     "refuse a write without x-amz-acl: bucket-owner-full-control"},
    {"deny-prefix", DENY, 0, "P", "refuse keys that begin with P (repeatable)"},
    {"deny-multipart", FLAG, AT(deny_multipart), NULL, "refuse CreateMultipartUpload"},
    {"allow-unsigned-payload", FLAG, AT(unsigned_payload), NULL, "accept UNSIGNED-PAYLOAD"},
    {"lenient", FLAG, AT(lenient), NULL, "the same, and decode aws-chunked bodies unverified"},
    {"no-md5", FLAG, AT(no_md5), NULL, "ETags from SHA-256, for speed"},
    {"versioning", FLAG, AT(versioning), NULL, "give x-amz-version-id (the newest one is kept)"},
    {"fault", FAULT, 0, "SPEC", "misbehave, see below (repeatable)"},
    {"tls", TLS_FILES, 0, "CERT KEY", "speak TLS with these PEM files"},
    {"idle", DURATION, AT(idle_ms), "TIME", "close connections that were idle so long (30s)"},
    {"log-keys", TEXT, AT(log_keys), "FILE",
     "append first_stored_ns, key, size, sha256 of each new key"},
    {"stats-at-exit", FLAG, AT(stats_at_exit), NULL, "print the statistics on SIGTERM"},
    {"verbose", FLAG, AT(verbose), NULL, "a line on stderr for each answer"},
    {"help", HELP, 0, NULL, "this text"},
#undef AT
};
#define N_SPECS (sizeof specs / sizeof specs[0])

static void help(void)
{
    char left[64];

    (void)printf("devstore: a small strict S3-compatible store for tests and trying out.\n\n"
                 "Example: devstore --dir /tmp/devstore --port 9000 --require-acl\n\n");
    for (size_t i = 0; i < N_SPECS; i++) {
        (void)snprintf(left, sizeof left, "--%s %s", specs[i].name,
                       specs[i].value != NULL ? specs[i].value : "");
        (void)printf("  %-25s %s\n", left, specs[i].help);
    }
    (void)printf(
        "\n%s\n"
        "At run time, unsigned:\n"
        "  POST /_devstore/fault (a SPEC as the body)   DELETE /_devstore/fault\n"
        "  GET /_devstore/stats   GET /_devstore/keys[?prefix=P]   POST /_devstore/reset\n",
        fault_help);
}

static int usage(const char *text, const char *what)
{
    (void)fprintf(stderr, "devstore: %s%s; --help shows the options\n", text, what);
    return EXIT_USAGE;
}

/* 0, or the exit status. */
static int set_option(struct config *c, const struct option_spec *spec, char **argv)
{
    void *field = (char *)c + spec->field;
    unsigned long number;
    char *end;

    switch (spec->kind) {
    case TEXT:
        *(const char **)field = optarg;
        return 0;
    case FLAG:
        *(bool *)field = true;
        return 0;
    case NUMBER:
        errno = 0;
        number = strtoul(optarg, &end, 10);
        if (*end != '\0' || end == optarg || errno != 0 || number > 65535)
            return usage("no such number: ", optarg);
        *(unsigned *)field = (unsigned)number;
        return 0;
    case DURATION:
        return units_parse_duration(optarg, field) == RC_OK ? 0 : usage("no such time: ", optarg);
    case DENY:
        if (c->n_deny_prefixes == CONFIG_DENY_MAX)
            return usage("too many --deny-prefix", "");
        c->deny_prefixes[c->n_deny_prefixes++] = optarg;
        return 0;
    case FAULT:
        if (c->n_faults == CONFIG_FAULTS_MAX)
            return usage("too many --fault", "");
        c->faults[c->n_faults++] = optarg;
        return 0;
    case TLS_FILES:
        c->tls_cert = optarg;
        c->tls_key = argv[optind];
        if (c->tls_key == NULL)
            return usage("--tls needs two files: CERT KEY", "");
        optind++;
        return 0;
    case HELP:
        break;
    }
    help();
    exit(0);
}

static int read_options(struct config *c, int argc, char **argv)
{
    struct option options[N_SPECS + 1] = {0};
    int at, status;

    for (size_t i = 0; i < N_SPECS; i++)
        options[i] =
            (struct option){.name = specs[i].name,
                            .has_arg = specs[i].value != NULL ? required_argument : no_argument,
                            .val = 1000 + (int)i};
    while ((at = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (at < 1000)
            return EXIT_USAGE; /* getopt has said why */
        status = set_option(c, &specs[at - 1000], argv);
        if (status != 0)
            return status;
    }
    if (optind < argc)
        return usage("not an option: ", argv[optind]);
    if (c->count == (c->dir != NULL))
        return usage("either --dir DIR or --count must be given", "");
    if (c->threads < 1 || c->threads > CONFIG_THREADS_MAX)
        return usage("--threads is from 1 to 64", "");
    return 0;
}

static int write_port(const struct config *c, unsigned port)
{
    FILE *out;
    int bad;

    if (c->port_file == NULL)
        return 0;
    out = fopen(c->port_file, "w");
    bad = out == NULL || fprintf(out, "%u\n", port) < 0;
    if (out != NULL && fclose(out) != 0)
        bad = 1;
    if (bad)
        (void)fprintf(stderr, "devstore: cannot write %s: %s\n", c->port_file, strerror(errno));
    return bad;
}

static int serve(struct service *service, int stop_fd)
{
    const struct config *c = service->config;
    unsigned port = c->port;
    struct err e = {0};
    struct server *server = server_new(service, stop_fd, &port, &e);
    struct buf stats;

    if (server == NULL) {
        (void)fprintf(stderr, "devstore: %s\n", e.text);
        return EXIT_WORLD;
    }
    if (write_port(c, port) != 0) {
        server_free(server);
        return EXIT_WORLD;
    }
    (void)printf("devstore ready on %s:%u\n", c->address, port);
    (void)fflush(stdout);
    server_run(server);
    server_free(server);
    if (c->stats_at_exit) {
        buf_init(&stats, 64 * 1024);
        stats_write_json(&service->stats, &stats);
        (void)fputs(stats.data, stderr);
        buf_fini(&stats);
    }
    return 0;
}

static int stop_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL); /* cannot fail with these arguments */
    (void)signal(SIGPIPE, SIG_IGN);               /* OpenSSL writes without MSG_NOSIGNAL */
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
    static struct service service;
    struct config config = {.address = "127.0.0.1",
                            .threads = 1,
                            .access_key = "devstore",
                            .secret_key = "devstore-secret",
                            .bucket = "customer-siem",
                            .region = "eu-central-1"};
    struct err e = {0};
    int stop_fd, status = read_options(&config, argc, argv);

    if (status != 0)
        return status;
    service.config = &config;
    service.faults = faults_new();
    for (size_t i = 0; i < config.n_faults; i++) {
        if (faults_add(service.faults, config.faults[i], &e) != RC_OK) {
            faults_free(service.faults);
            return usage(e.text, "");
        }
    }
    status = EXIT_WORLD;
    stop_fd = stop_signals();
    service.store = store_open(&config, &service.stats, &e);
    if (service.store == NULL) {
        (void)fprintf(stderr, "devstore: %s\n", e.text);
        goto out;
    }
    service.multiparts = multiparts_new(service.store, &config);
    status = serve(&service, stop_fd);
    multiparts_free(service.multiparts);
out:
    store_close(service.store);
    faults_free(service.faults);
    if (stop_fd >= 0)
        (void)close(stop_fd);
    return status;
}
