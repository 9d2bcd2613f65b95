/* What the subcommands share: see cli.h. Talks to the daemon only over its control socket.
 */
#include "cli/cli.h"

#include "base/fsio.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "uploader/http.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX (64 << 20)

bool cli_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

enum cli_status cli_fail(enum cli_status status, const char *fmt, ...)
{
    char text[4096];
    struct buf shown;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* a cut message is still a message */
    va_end(args);
    buf_init(&shown, 4 * sizeof text);
    utf8_escape(&shown, text, strlen(text));
    fprintf(stderr, "spoolgate: %s\n", shown.data);
    buf_fini(&shown);
    return status;
}

enum cli_status cli_status_of(enum rc rc)
{
    switch (rc) {
    case RC_OK:
        return CLI_YES;
    case RC_CORRUPT:
    case RC_CHANGED:
        return CLI_NO;
    case RC_INVALID:
    case RC_LIMIT:
    case RC_EXISTS:
        return CLI_USAGE;
    default:
        return CLI_ENVIRONMENT;
    }
}

enum cli_status cli_fail_err(enum rc rc, const struct err *e)
{
    return cli_fail(cli_status_of(rc), "%s", e->text);
}

/* ---- options ---- */

static void take_out(int *argc, char **argv, int at, int n)
{
    memmove(&argv[at], &argv[at + n], (size_t)(*argc - at - n + 1) * sizeof *argv);
    *argc -= n;
}

enum cli_status cli_common_options(const struct cli_command *c, int *argc, char **argv,
                                   struct cli_common *out)
{
    *out = (struct cli_common){0};
    for (int i = 1; i < *argc;) {
        const char *a = argv[i];
        if (strcmp(a, "--") == 0)
            break;
        if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            fputs(c->help, stdout);
            out->done = true;
            return CLI_YES;
        }
        if (strcmp(a, "--json") == 0) {
            out->json = true;
            take_out(argc, argv, i, 1);
        } else if (strcmp(a, "-c") == 0 || strcmp(a, "--config") == 0) {
            if (i + 1 >= *argc)
                return cli_fail(CLI_USAGE, "%s wants a file: spoolgate %s --help", a, c->name);
            out->config_path = argv[i + 1];
            take_out(argc, argv, i, 2);
        } else if (strncmp(a, "--config=", 9) == 0) {
            out->config_path = a + 9;
            take_out(argc, argv, i, 1);
        } else {
            i++;
        }
    }
    return CLI_YES;
}

enum cli_status cli_load_config(const struct cli_common *o, struct config **out)
{
    struct config_faults faults = {0};
    const char *path = config_choose_path(o->config_path);
    enum rc rc = config_load(path, out, &faults);
    struct buf shown;
    buf_init(&shown, 4 * PATH_MAX);
    utf8_escape(&shown, path, strlen(path));
    for (size_t i = 0; i < faults.n; i++) /* what a line quotes is escaped already */
        fprintf(stderr, "spoolgate: %s: %s\n", shown.data, faults.lines[i]);
    buf_fini(&shown);
    config_faults_fini(&faults);
    return rc == RC_OK ? CLI_YES : CLI_USAGE;
}

/* ---- the daemon ---- */

void cli_query_encode(struct buf *out, const char *s)
{
    for (; *s; s++) {
        unsigned char b = (unsigned char)*s;
        bool plain = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
                     b == '-' || b == '.' || b == '_' || b == '~' || b == '/';
        if (plain)
            buf_addc(out, *s);
        else
            buf_addf(out, "%%%02X", b);
    }
}

static enum cli_status read_answer(const struct http_answer *a, const char *text, json_t **out,
                                   struct err *e)
{
    struct err parse = {0};
    json_t *v = json_parse(text ? text : "", a->body_len, &parse);
    if (a->status / 100 == 2 && v) {
        *out = v;
        return CLI_YES;
    }
    const char *title = json_string_value(json_object_get(v, "title"));
    (void)err_set(e, a->status == 404 ? RC_ABSENT : RC_INVALID, "%s",
                  title ? title : "the gateway's answer cannot be understood");
    json_decref(v);
    if (a->status == 404)
        return CLI_NO;
    return cli_fail(a->status / 100 == 4 ? CLI_USAGE : CLI_ENVIRONMENT, "%s", e->text);
}

/* What the system says of the socket, where libcurl names a host and a port that nobody gave it. 0:
 * it takes connections. */
static int socket_error(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        return ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    memcpy(a.sun_path, path, strlen(path));
    int error = connect(fd, (const struct sockaddr *)&a, sizeof a) == 0 ? 0 : errno;
    (void)close(fd); /* nothing was written */
    return error;
}

void cli_no_gateway(const struct config *c, const char *trouble, struct buf *out)
{
    int error = socket_error(c->control);
    const char *remedy = "is it running (spoolgate run, or systemctl status spoolgate), and may "
                         "this user open the socket?";
    if (error == ENOENT)
        remedy = "it does not run, or with another configuration: systemctl start spoolgate, or "
                 "spoolgate run";
    else if (error == ECONNREFUSED)
        remedy = "it has ended and left its socket: systemctl start spoolgate, or spoolgate run";
    else if (error == EACCES || error == EPERM)
        remedy = "this user may not open the socket: ask as root, or as a member of its group";
    buf_addf(out, "no gateway answers on %s (%s): %s", c->control,
             error ? strerror(error) : trouble, remedy);
}

enum cli_status cli_ask(const struct config *c, const char *method, const char *path_and_query,
                        const json_t *body, json_t **out, struct err *e)
{
    struct buf url, text;
    struct err own = {0};
    char *answer = NULL;
    e = e ? e : &own;
    buf_init(&url, 16384);
    buf_init(&text, 1 << 20);
    buf_addf(&url, "http://localhost%s", path_and_query);
    if (body)
        json_write(&text, body);
    static const char *const headers[] = {"Host: localhost", "Content-Type: application/json"};
    struct http_cfg http = {.user_agent = "spoolgate", .connections = 1, .no_proxy = true};
    struct http_call call = {
        .method = method,
        .url = url.data,
        .headers = headers,
        .n_headers = 2,
        .body = {.data = text.data, .size = text.len, .fd = -1},
        .answer_max = ANSWER_MAX,
        .unix_socket = c->control,
    };
    struct http_answer a = {0};
    enum cli_status status;
    enum rc rc = http_once(&http, &call, &a, &answer);
    if (rc != RC_OK) {
        struct buf why;
        buf_init(&why, 4096);
        cli_no_gateway(c, a.text, &why);
        status = cli_fail(CLI_ENVIRONMENT, "%s", why.data);
        buf_fini(&why);
    } else {
        status = read_answer(&a, answer, out, e);
    }
    free(answer);
    buf_fini(&url);
    buf_fini(&text);
    return status;
}

/* ---- paths ---- */

/* "a//b/./c" to "a/b/c"; RC_INVALID with "..". */
static enum rc normalise(const char *s, struct buf *out)
{
    while (*s) {
        size_t n = strcspn(s, "/");
        if (n == 2 && s[0] == '.' && s[1] == '.')
            return RC_INVALID;
        if (n > 0 && !(n == 1 && s[0] == '.')) {
            if (out->len > 0)
                buf_addc(out, '/');
            buf_add(out, s, n);
        }
        s += n;
        s += strspn(s, "/");
    }
    return RC_OK;
}

enum rc cli_path_below(const struct config *c, const char *given, struct buf *out, struct err *e)
{
    struct buf whole, root;
    char cwd[PATH_MAX];
    enum rc rc = RC_OK;
    buf_init(&whole, 2 * PATH_MAX);
    buf_init(&root, PATH_MAX);
    bool explicit = given[0] == '/' || strncmp(given, "./", 2) == 0;
    if (given[0] != '/' && explicit && getcwd(cwd, sizeof cwd)) {
        buf_adds(&whole, cwd);
        buf_addc(&whole, '/');
    }
    buf_adds(&whole, given);
    struct buf flat;
    buf_init(&flat, 2 * PATH_MAX);
    if (normalise(whole.data, &flat) != RC_OK || normalise(c->spool, &root) != RC_OK) {
        rc = err_set(e, RC_INVALID, "%s: a path with \"..\" is not followed", given);
    } else if (!explicit) {
        buf_add(out, flat.data, flat.len);
    } else if (flat.len > root.len + 1 && strncmp(flat.data, root.data, root.len) == 0 &&
               flat.data[root.len] == '/') {
        buf_adds(out, flat.data + root.len + 1);
    } else {
        rc = err_set(e, RC_INVALID, "%s is not below the spool root %s", given, c->spool);
    }
    buf_fini(&flat);
    buf_fini(&whole);
    buf_fini(&root);
    return rc;
}

void cli_print_json(const json_t *v)
{
    struct buf text;
    buf_init(&text, ANSWER_MAX);
    if (cli_is_terminal(STDOUT_FILENO))
        json_write_pretty(&text, v);
    else
        json_write(&text, v);
    puts(text.data);
    buf_fini(&text);
}

enum rc cli_write_file(const char *path, const char *text, size_t n, bool replace, struct err *e)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *folder = slash ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup(".");
    struct stat st;
    enum rc rc;
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        rc = err_sys(e, errno, "cannot open the directory %s (make it, or name another file)",
                     folder);
        goto out;
    }
    bool there = fstatat(dir, name, &st, 0) == 0;
    if (*name == '\0')
        rc = err_set(e, RC_INVALID, "%s is no name for a file", path);
    else if (there && !replace)
        rc = err_set(e, RC_EXISTS,
                     "%s is there already: choose another name, or replace it with --force", path);
    else
        rc = fsio_replace(&fsio_system, dir, name, text, n, there ? st.st_mode & 0777 : 0644, e);
    (void)close(dir); /* only a starting point */
out:
    free(folder);
    return rc;
}
