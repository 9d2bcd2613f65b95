/* What the daemon needs to reach: see sandbox_int.h.
 *
 * A file that somebody may replace by renaming a new one over it is reached through its directory,
 * since a right holds for what is there now. Where the directory would be too much (/etc, /root)
 * the file alone is. Either may be made anew, so each file but the configuration is followed:
 * sandbox_outgrown. Reads the environment and the AWS tools' files; changes nothing. */
#include "gateway/sandbox_int.h"

#include "base/mem.h"
#include "base/text.h"
#include "gateway/settings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Libraries, name lookup, time zones, certificates of the system, what the kernel tells. */
static const char *const system_directories[] = {
    "/usr",
    "/lib",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/connman",
    "/run/nscd",
    "/proc/self",
    "/proc/sys",
    "/sys/devices/system/cpu",
};
static const char *const system_files[] = {
    "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/hosts",           "/etc/host.conf",
    "/etc/gai.conf",    "/etc/services",      "/etc/protocols",       "/etc/networks",
    "/etc/localtime",   "/etc/ld.so.cache",   "/etc/ssl/openssl.cnf",
};
/* Where the rights of files keep us out of what is none of our business: a new resolv.conf is then
 * read like any other, and so is one that NetworkManager or netconfig keeps. */
static const char *const guarded_directories[] = {"/etc", "/run/NetworkManager", "/run/netconfig"};
static const char *const variables_of_files[] = {"OPENSSL_CONF", "SSL_CERT_FILE"};
static const char *const devices[] = {"/dev/null", "/dev/urandom", "/dev/random"};
static const char *const proxies[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                      "ALL_PROXY"};
enum { HTTPS = 443, DNS = 53, PROXY = 1080 }; /* the last as curl has it */

/* ---- paths ---- */

static struct sandbox_path *add_path(struct sandbox_needs *n, const char *path,
                                     enum sandbox_right right)
{
    for (size_t i = 0; i < n->n; i++) {
        if (n->paths[i].right == right && strcmp(n->paths[i].path, path) == 0)
            return &n->paths[i];
    }
    n->paths = mem_resize(n->paths, n->n + 1, sizeof *n->paths);
    n->paths[n->n] = (struct sandbox_path){.path = mem_strdup(path), .right = right};
    return &n->paths[n->n++];
}

static void follow(struct sandbox_needs *n, const char *path)
{
    struct sandbox_path *p = add_path(n, path, SANDBOX_READ);
    p->followed = true;
    if (stat(path, &p->seen) != 0)
        p->seen = (struct stat){0};
}

/* The directory of a path, "/" included; false: it is none of ours to grant. */
static bool directory_of(const char *path, char out[PATH_MAX])
{
    char copy[PATH_MAX];
    if (path[0] != '/' || strlen(path) >= sizeof copy)
        return false;
    text_copy(copy, sizeof copy, path); /* it may be `out` itself */
    text_copy(out, PATH_MAX, copy);
    char *slash = strrchr(out, '/');
    slash[slash == out ? 1 : 0] = '\0';
    return true;
}

/* "/" and "/etc", "/root", "/tmp": what else is there is nobody's business here. */
static bool is_too_much(const char *directory)
{
    return strchr(directory + 1, '/') == NULL;
}

/* A file that is read again, by name: itself; its directory or, where that is not there yet, the
 * one in which it would be made; and that to which links lead. false: there is none. */
static bool add_reached(struct sandbox_needs *n, const char *path)
{
    char dir[PATH_MAX], real[PATH_MAX];
    struct stat st;
    if (!directory_of(path, dir))
        return false;
    if (stat(dir, &st) != 0 && errno == ENOENT && !directory_of(dir, dir))
        return false;
    add_path(n, path, SANDBOX_READ);
    if (!is_too_much(dir))
        add_path(n, dir, SANDBOX_READ);
    if (realpath(path, real) && directory_of(real, dir) && !is_too_much(dir))
        add_path(n, dir, SANDBOX_READ);
    return true;
}

/* One that is read again by itself: next time it may be elsewhere. */
static void add_file(struct sandbox_needs *n, const char *path)
{
    if (add_reached(n, path))
        follow(n, path);
}

static void add_own(struct sandbox_needs *n, const char *path)
{
    struct sandbox_path *p = add_path(n, path, SANDBOX_OWN);
    if (stat(path, &p->seen) != 0)
        p->seen = (struct stat){0};
}

static bool is_same_file(const struct stat *a, const char *path)
{
    struct stat b;
    return stat(path, &b) == 0 && a->st_ino == b.st_ino && a->st_dev == b.st_dev;
}

/* A right on a directory holds for all below it. */
static bool has_other_directories(const struct config *c, const char *path)
{
    bool found = false;
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && !found && (d = readdir(dir));) {
        struct stat st;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        found =
            fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            (S_ISDIR(st.st_mode) && !is_same_file(&st, c->spool) && !is_same_file(&st, c->state));
    }
    if (dir)
        (void)closedir(dir); /* only read from */
    return found || !dir;
}

/* The configuration, which is not followed: it is read when somebody says so, and a start for the
 * sake of one that nobody has reloaded would end in it if it is faulty. And its directory, where
 * this user may replace the file by a new one (PATCH /v1/config), and nothing else than files would
 * come along. */
static void add_configuration(struct sandbox_needs *n, const struct config *c)
{
    char dir[PATH_MAX], real[PATH_MAX];
    (void)add_reached(n, c->path); /* without a directory it is not read again */
    if (realpath(c->path, real) && directory_of(real, dir) && !is_too_much(dir) &&
        faccessat(AT_FDCWD, real, W_OK, AT_EACCESS) == 0 &&
        faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0 && !has_other_directories(c, dir))
        add_path(n, dir, SANDBOX_EDIT);
}

static void add_system(struct sandbox_needs *n)
{
    bool privileged = geteuid() == 0 || faccessat(AT_FDCWD, "/etc/shadow", R_OK, AT_EACCESS) == 0;
    for (size_t i = 0; i < COUNT(system_directories); i++)
        add_path(n, system_directories[i], SANDBOX_READ);
    for (size_t i = 0; i < COUNT(guarded_directories) && !privileged; i++)
        add_path(n, guarded_directories[i], SANDBOX_READ);
    for (size_t i = 0; i < COUNT(system_files); i++)
        follow(n, system_files[i]);
    for (size_t i = 0; i < COUNT(devices); i++)
        add_path(n, devices[i], SANDBOX_USE);
    for (size_t i = 0; i < COUNT(variables_of_files); i++) {
        const char *value = getenv(variables_of_files[i]);
        if (value)
            add_file(n, value);
    }
    const char *certificates = getenv("SSL_CERT_DIR");
    if (certificates && certificates[0] == '/')
        add_path(n, certificates, SANDBOX_READ);
}

/* ---- ports ---- */

uint16_t sandbox_port_of(const char *url, uint16_t usual)
{
    const char *authority = strstr(url, "://");
    if (authority && usual == 0)
        usual = strncmp(url, "https", 5) == 0 ? HTTPS : 80;
    authority = authority ? authority + 3 : url;
    size_t n = strcspn(authority, "/?#");
    for (size_t i = n; i > 0 && authority[i - 1] != ']'; i--) {
        char *end;
        if (authority[i - 1] != ':')
            continue;
        unsigned long port = strtoul(authority + i, &end, 10);
        bool whole = end == authority + n && end != authority + i;
        return whole && port > 0 && port <= UINT16_MAX ? (uint16_t)port : usual;
    }
    return usual;
}

bool sandbox_needs_port(const struct sandbox_needs *n, uint16_t port)
{
    size_t i = 0;
    while (i < n->n_ports && n->ports[i] != port)
        i++;
    return i < n->n_ports;
}

static void add_port(struct sandbox_needs *n, uint16_t port)
{
    /* KNOWN: more endpoints than any configuration has roles; what is beyond is refused. */
    if (port != 0 && !sandbox_needs_port(n, port) && n->n_ports < SANDBOX_PORTS_MAX)
        n->ports[n->n_ports++] = port;
}

static void add_ports(struct sandbox_needs *n, const struct config *c)
{
    struct endpoint_cfg ec = settings_endpoint(c);
    struct endpoint ep;
    add_port(n, HTTPS); /* AWS in every region, and its STS */
    add_port(n, DNS);   /* answers that are too long for UDP */
    if (endpoint_resolve(&ec, &ep, NULL) == RC_OK)
        add_port(n, sandbox_port_of(ep.origin, 0));
    for (size_t i = 0; i < COUNT(proxies); i++) {
        const char *value = getenv(proxies[i]);
        if (!value || !value[0])
            continue;
        add_port(n, sandbox_port_of(value, PROXY));
        add_port(n, sandbox_port_of(value, HTTPS)); /* the same if it says its port */
    }
}

/* ---- credentials ---- */

static void needs_file(void *arg, const char *path)
{
    add_file(arg, path);
}

static void needs_url(void *arg, const char *url)
{
    add_port(arg, sandbox_port_of(url, 0));
}

static void needs_program(void *arg, const char *command)
{
    struct sandbox_needs *n = arg;
    n->programs = mem_resize(n->programs, n->n_programs + 1, sizeof *n->programs);
    n->programs[n->n_programs++] = mem_strdup(command);
}

/* ---- all ---- */

void sandbox_needs_of(const struct config *c, struct sandbox_needs *out)
{
    char dir[PATH_MAX];
    struct credentials_cfg cc = settings_credentials(c);
    *out = (struct sandbox_needs){0};
    add_system(out);
    add_configuration(out, c);
    if (c->bucket.ca_file)
        add_file(out, c->bucket.ca_file);
    add_own(out, c->spool);
    add_own(out, c->state);
    if (directory_of(c->control, dir))
        add_path(out, dir, SANDBOX_SOCKET);
    add_ports(out, c);
    credentials_source_needs(
        &cc, &(struct credentials_needs){
                 .file = needs_file, .url = needs_url, .program = needs_program, .arg = out});
}

void sandbox_needs_fini(struct sandbox_needs *n)
{
    for (size_t i = 0; i < n->n; i++)
        free(n->paths[i].path);
    for (size_t i = 0; i < n->n_programs; i++)
        free(n->programs[i]);
    free(n->paths);
    free(n->programs);
    *n = (struct sandbox_needs){0};
}
