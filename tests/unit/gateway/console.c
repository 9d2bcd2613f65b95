/* The console: which requests come from its own pages, and that its port stays its own. */
#include "gateway/console.h"

#include "gateway/console_files.h"
#include "gateway/console_guard.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

Test(console, only_names_of_this_machine_are_hosts)
{
    static const struct {
        const char *host;
        bool ours;
    } rows[] = {
        {"127.0.0.1", true},
        {"127.0.0.1:8080", true},
        {"localhost:1", true},
        {"LocalHost:65535", true},
        {"[::1]", true},
        {"[::1]:9999", true},
        {"", false},
        {"127.0.0.1:", false},
        {"127.0.0.1:123456", false},
        {"127.0.0.1:80x", false},
        {"127.0.0.1:-1", false},
        {"127.0.0.1.", false},
        {"127.0.0.10", false},
        {"127.0.0.1.example", false},
        {"localhost.example:80", false},
        {"x@localhost", false},
        {"::1", false},
        {"attacker.example", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_eq(console_is_host(rows[i].host), rows[i].ours, "%s", rows[i].host);
}

Test(console, a_request_of_another_page_is_refused)
{
    static const struct {
        struct console_origin o;
        bool refused;
    } rows[] = {
        {{.host = "127.0.0.1:80", .n_hosts = 1}, false},
        {{.host = NULL, .n_hosts = 0}, true},
        {{.host = "127.0.0.1:80", .n_hosts = 2}, true},
        {{.host = "attacker.example:80", .n_hosts = 1}, true},
        {{.host = "localhost:80", .n_hosts = 1, .origin = "http://localhost:80", .n_origins = 1},
         false},
        {{.host = "localhost:80", .n_hosts = 1, .origin = "http://LOCALHOST:80", .n_origins = 1},
         false},
        {{.host = "localhost:80", .n_hosts = 1, .origin = "http://localhost:80", .n_origins = 2},
         true},
        {{.host = "localhost:80", .n_hosts = 1, .origin = "http://localhost:81", .n_origins = 1},
         true},
        {{.host = "localhost:80", .n_hosts = 1, .origin = "http://127.0.0.1:80", .n_origins = 1},
         true},
        {{.host = "localhost:80", .n_hosts = 1, .origin = "https://localhost:80", .n_origins = 1},
         true},
        {{.host = "localhost:80", .n_hosts = 1, .origin = "null", .n_origins = 1}, true},
        {{.host = "localhost", .n_hosts = 1, .fetch_site = "same-origin"}, false},
        {{.host = "localhost", .n_hosts = 1, .fetch_site = "none"}, false},
        {{.host = "localhost", .n_hosts = 1, .fetch_site = "same-site"}, true},
        {{.host = "localhost", .n_hosts = 1, .fetch_site = "cross-site"}, true},
        {{.host = "localhost", .n_hosts = 1, .fetch_site = "anything"}, true},
        /* A link in another program leads to /login, and nowhere else. */
        {{.host = "localhost",
          .n_hosts = 1,
          .fetch_site = "cross-site",
          .fetch_mode = "navigate",
          .is_entrance = true},
         false},
        {{.host = "localhost",
          .n_hosts = 1,
          .fetch_site = "cross-site",
          .fetch_mode = "cors",
          .is_entrance = true},
         true},
        {{.host = "localhost", .n_hosts = 1, .fetch_site = "cross-site", .fetch_mode = "navigate"},
         true},
        {{.host = "attacker.example",
          .n_hosts = 1,
          .fetch_site = "cross-site",
          .fetch_mode = "navigate",
          .is_entrance = true},
         true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_eq(console_guard(&rows[i].o) != NULL, rows[i].refused, "row %zu", i);
}

static bool answers(uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = connect(fd, (const struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return ok;
}

Test(console, its_port_stays_its_own_while_it_does_not_listen)
{
    struct console_port port, taken;
    struct err e;
    cr_assert_eq(console_bind(0, &port, &e), RC_OK);
    cr_assert_neq(port.port, 0);
    cr_assert_not(answers(port.port), "bound is not listening");
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(listen(port.fd, 8), 0);
        int served = fcntl(port.fd, F_DUPFD_CLOEXEC, 0);
        cr_assert(answers(port.port), "round %d", i);
        cr_assert_eq(console_bind(port.port, &taken, &e), RC_IO, "nobody else has it");
        close(served); /* as the listener's end does */
        cr_assert_eq(shutdown(port.fd, SHUT_RDWR), 0);
        cr_assert_not(answers(port.port), "round %d, closed", i);
    }
    close(port.fd);
    cr_assert_eq(console_bind(port.port, &taken, &e), RC_OK, "free again at once");
    close(taken.fd);
}

struct rig {
    struct loop *loop;
    struct console *c;
};

static void api(void *arg, const struct control_request *r, struct control_answer *a)
{
    (void)arg;
    (void)r;
    (void)a;
}

Test(console, a_first_link_opens_the_port_and_others_are_refused)
{
    struct rig r = {.loop = loop_new()};
    struct buf url;
    struct err e;
    struct console_port other;
    buf_init(&url, 256);
    r.c = console_new(
        &(struct console_cfg){.loop = r.loop, .mode = "setup", .port.fd = -1, .handler = api});
    cr_assert_eq(console_port_of(r.c), 0);
    cr_assert_eq(console_bind(0, &other, &e), RC_OK);
    cr_assert_eq(listen(other.fd, 1), 0);
    cr_assert_eq(console_link(r.c, other.port, &url, &e), RC_IO, "somebody has that port");
    cr_assert_eq(console_link(r.c, 0, &url, &e), RC_OK);
    uint16_t port = console_port_of(r.c);
    cr_assert(answers(port));
    cr_assert_eq(strncmp(url.data, "http://127.0.0.1:", 17), 0);
    cr_assert_not_null(strstr(url.data, "/login#"));
    size_t first = url.len;
    cr_assert_eq(console_link(r.c, port, &url, &e), RC_OK, "the same port by its number");
    cr_assert_neq(strncmp(url.data, url.data + first, first), 0, "another token");
    cr_assert_eq(console_link(r.c, other.port, &url, &e), RC_EXISTS);
    console_free(r.c);
    cr_assert_not(answers(port));
    close(other.fd);
    buf_fini(&url);
    loop_free(r.loop);
}

Test(console, its_files_are_in_the_program)
{
    bool home = false, entrance = false;
    for (size_t i = 0; i < console_files_n; i++) {
        const struct console_file *f = &console_files[i];
        home = home || strcmp(f->path, "/") == 0;
        entrance = entrance || strcmp(f->path, "/login") == 0;
        cr_assert_eq(f->path[0], '/');
        cr_assert_gt(f->n, 0, "%s", f->path);
        cr_assert(f->etag[0] == '"' && f->etag[strlen(f->etag) - 1] == '"', "%s", f->etag);
        cr_assert_null(strstr(f->path, ".."));
    }
    cr_assert(home && entrance);
}
