/* Where a bucket is reached. Nothing here asks the network: a name that resolves to nothing is
 * found out when it is used.
 *
 * What is put into an origin, a Host header or a path has been checked byte by byte, because parts
 * of it (a region after a redirect) come from a server. */
#include "uploader/endpoint.h"

#include "base/utf8.h"
#include "uploader/sigv4.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A URL taken apart. */
struct url {
    bool https;
    char host[256]; /* lower case; an IPv6 address in its brackets */
    unsigned port;  /* 0: the scheme's own */
    char path[192]; /* "" or "/prefix" without a slash at the end */
};

/* The first match counts. */
static const struct endpoint_partition partitions[] = {
    {"aws-cn", "cn-", "cn-north-1", "amazonaws.com.cn", false},
    {"aws-us-gov", "us-gov-", "us-gov-west-1", "amazonaws.com", true},
    {"aws-iso", "us-iso-", "us-iso-east-1", "c2s.ic.gov", true},
    {"aws-iso-b", "us-isob-", "us-isob-east-1", "sc2s.sgov.gov", true},
    {"aws-iso-e", "eu-isoe-", "eu-isoe-west-1", "cloud.adc-e.uk", true},
    {"aws-iso-f", "us-isof-", "us-isof-south-1", "csp.hci.ic.gov", true},
    {"aws-eusc", "eusc-", "eusc-de-east-1", "amazonaws.eu", true},
    {"aws", "", "us-east-1", "amazonaws.com", true},
};

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Bytes of a configuration in an error's sentence. */
static enum rc refuse(struct err *e, const char *what, const char *value, const char *why)
{
    struct buf shown;
    buf_init(&shown, 200);
    utf8_escape(&shown, value, strlen(value));
    enum rc rc = err_set(e, RC_INVALID, "%s \"%s\" %s", what, shown.data, why);
    buf_fini(&shown);
    return rc;
}

/* "127.0.0.1": four decimal numbers to 255, nothing else. */
static bool parse_ipv4(const char *s, unsigned char out[4])
{
    for (int i = 0; i < 4; i++) {
        unsigned value = 0;
        size_t digits = strspn(s, "0123456789");
        if (digits < 1 || digits > 3)
            return false;
        for (size_t d = 0; d < digits; d++)
            value = value * 10 + (unsigned)(s[d] - '0');
        if (value > 255)
            return false;
        out[i] = (unsigned char)value;
        s += digits;
        if (*s != (i < 3 ? '.' : '\0'))
            return false;
        s += i < 3;
    }
    return true;
}

static bool is_address(const char *host)
{
    unsigned char ip[4];
    return host[0] == '[' || parse_ipv4(host, ip);
}

static bool is_loopback(const char *host)
{
    unsigned char ip[4];
    size_t len = strlen(host), suffix = strlen(".localhost");
    if (parse_ipv4(host, ip))
        return ip[0] == 127;
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (len > suffix && strcmp(host + len - suffix, ".localhost") == 0); /* RFC 6761 6.3 */
}

/* S3 User Guide, "Bucket naming rules", as far as they can be broken by a bucket that exists. */
static enum rc check_bucket(const char *name, bool aws, struct err *e)
{
    const char *what = "the bucket's name";
    size_t len = strlen(name);
    unsigned char ip[4];
    if (len < 3 || len > 63)
        return refuse(e, what, name, "must have 3 to 63 characters");
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(name[i]) && name[i] != '-' && name[i] != '.')
            return refuse(e, what, name,
                          "may have lower-case letters, digits, dots and hyphens only");
    if (!is_alnum(name[0]) || !is_alnum(name[len - 1]))
        return refuse(e, what, name, "must begin and end with a letter or a digit");
    if (strstr(name, ".."))
        return refuse(e, what, name, "has two dots in a row, which S3 does not allow");
    if (parse_ipv4(name, ip))
        return refuse(e, what, name, "looks like an IP address, which S3 does not allow");
    if (aws && len > 6 && strcmp(name + len - 6, "--x-s3") == 0)
        return refuse(e, what, name,
                      "is a directory bucket of S3 Express One Zone, which has no object ACLs; use "
                      "a general purpose bucket");
    return RC_OK;
}

static enum rc check_region(const char *region, struct err *e)
{
    size_t len = strlen(region);
    bool good = len >= 1 && len <= 63 && is_alnum(region[0]) && is_alnum(region[len - 1]);
    for (size_t i = 0; good && i < len; i++)
        good = is_alnum(region[i]) || region[i] == '-';
    if (!good)
        return refuse(e, "the region", region,
                      "is not a region's name; give one like \"eu-central-1\"");
    return RC_OK;
}

static bool host_is_sane(const char *host)
{
    size_t len = strlen(host);
    if (host[0] == '[') {
        size_t inside = strspn(host + 1, "0123456789abcdef:.");
        return inside >= 2 && inside <= 45 && inside + 2 == len && host[len - 1] == ']';
    }
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(host[i]) && host[i] != '-' && host[i] != '.' && host[i] != '_')
            return false;
    return len >= 1 && is_alnum(host[0]) && is_alnum(host[len - 1]) && !strstr(host, "..");
}

/* The port behind the host: "" or ":9000". */
static bool parse_port(const char *s, size_t n, unsigned *port)
{
    *port = 0;
    if (n == 0)
        return true;
    if (s[0] != ':' || n < 2 || n > 6)
        return false;
    for (size_t i = 1; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        *port = *port * 10 + (unsigned)(s[i] - '0');
    }
    return *port >= 1 && *port <= 65535;
}

static enum rc parse_path(const char *text, const char *path, struct url *out, struct err *e)
{
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    if (len >= sizeof out->path)
        return refuse(e, "the endpoint", text, "has too long a path");
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(path[i]) && !(path[i] >= 'A' && path[i] <= 'Z') && !strchr("-._~/", path[i]))
            return refuse(e, "the endpoint", text,
                          "must be https://host[:port][/prefix], without query, fragment or "
                          "escapes");
    memcpy(out->path, path, len);
    out->path[len] = '\0';
    return RC_OK;
}

static enum rc parse_url(const char *text, struct url *out, struct err *e)
{
    static const char form[] = "must be https://host[:port][/prefix]";
    const char *what = "the endpoint";
    *out = (struct url){.https = strncasecmp(text, "https://", 8) == 0};
    if (!out->https && strncasecmp(text, "http://", 7) != 0)
        return refuse(e, what, text, form);
    const char *host = text + (out->https ? 8 : 7);
    size_t authority = strcspn(host, "/?#");
    if (memchr(host, '@', authority))
        /* Not shown: what stands before the '@' may be a password. */
        return err_set(e, RC_INVALID,
                       "the endpoint's URL has a user name in it; keys come from the credentials "
                       "source only");
    const char *bracket = host[0] == '[' ? memchr(host, ']', authority) : NULL;
    size_t host_len = bracket ? (size_t)(bracket - host) + 1 : strcspn(host, ":/?#");
    if (host_len >= sizeof out->host)
        return refuse(e, what, text, "has too long a host name");
    for (size_t i = 0; i < host_len; i++)
        out->host[i] = (char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] + 32 : host[i]);
    if (!host_is_sane(out->host))
        return refuse(e, what, text, "has no valid host name");
    if (!parse_port(host + host_len, authority - host_len, &out->port))
        return refuse(e, what, text, "has no valid port (1 to 65535)");
    if (out->port == (out->https ? 443 : 80))
        out->port = 0;
    return parse_path(text, host + authority, out, e);
}

const struct endpoint_partition *endpoint_partition_of(const char *region)
{
    const struct endpoint_partition *p = partitions;
    while (strncmp(region, p->regions, strlen(p->regions)) != 0)
        p++;
    return p;
}

const struct endpoint_partition *endpoint_partition_named(const char *name)
{
    const struct endpoint_partition *p = partitions;
    while (p->regions[0] != '\0' && strcmp(p->name, name) != 0)
        p++;
    return p;
}

static enum rc aws_url(const struct endpoint_cfg *cfg, struct url *out, struct err *e)
{
    const struct endpoint_partition *p = endpoint_partition_of(cfg->region);
    if (cfg->fips && !p->fips)
        return refuse(e, "the region", cfg->region, "has no FIPS endpoints; switch fips off");
    *out = (struct url){.https = true};
    (void)snprintf(out->host, sizeof out->host, "s3%s%s.%s.%s", cfg->fips ? "-fips" : "",
                   cfg->dual_stack ? ".dualstack" : "", cfg->region, p->suffix);
    return RC_OK;
}

enum rc endpoint_resolve(const struct endpoint_cfg *cfg, struct endpoint *out, struct err *e)
{
    struct endpoint_cfg c = *cfg;
    struct url url;
    enum rc rc;
    *out = (struct endpoint){0};
    if (c.url && (!c.region || !c.region[0]))
        c.region = "us-east-1"; /* what stores that know no regions sign with */
    if (!c.region)
        c.region = "";
    if ((rc = check_bucket(c.bucket, !c.url, e)) || (rc = check_region(c.region, e)) ||
        (rc = c.url ? parse_url(c.url, &url, e) : aws_url(&c, &url, e)))
        return rc;
    if (!url.https && !c.allow_http && !is_loopback(url.host))
        return refuse(e, "the endpoint", c.url,
                      "would send the data in clear text; use https, or allow plain http to it by "
                      "name");
    /* A wildcard certificate covers one label, and an address has no subdomains. */
    bool dotted = strchr(c.bucket, '.') != NULL;
    bool path_style =
        c.url ? c.path_style || is_address(url.host) || (dotted && url.https) : dotted;
    char port[16] = "";
    if (url.port)
        (void)snprintf(port, sizeof port, ":%u", url.port);
    int host_len = snprintf(out->host, sizeof out->host, "%s%s%s%s", path_style ? "" : c.bucket,
                            path_style ? "" : ".", url.host, port);
    int base_len = snprintf(out->base, sizeof out->base, "%s%s%s", url.path, path_style ? "/" : "",
                            path_style ? c.bucket : "");
    if (host_len < 0 || (size_t)host_len >= sizeof out->host || base_len < 0 ||
        (size_t)base_len >= sizeof out->base)
        return refuse(e, "the endpoint", c.url ? c.url : url.host, "is too long");
    (void)snprintf(out->origin, sizeof out->origin, "%s://%s", url.https ? "https" : "http",
                   out->host);
    (void)snprintf(out->bucket, sizeof out->bucket, "%s", c.bucket);
    (void)snprintf(out->region, sizeof out->region, "%s", c.region);
    return RC_OK;
}

enum rc endpoint_service(const struct endpoint_cfg *cfg, struct endpoint *out, struct err *e)
{
    struct endpoint_cfg c = *cfg;
    c.bucket = "any.bucket"; /* a dot: AWS too puts it into the path, from where it is cut */
    c.path_style = true;
    enum rc rc = endpoint_resolve(&c, out, e);
    if (rc != RC_OK)
        return rc;
    out->base[strlen(out->base) - strlen("/any.bucket")] = '\0';
    out->bucket[0] = '\0';
    return RC_OK;
}

void endpoint_path(const struct endpoint *ep, const char *key, size_t key_len, struct buf *out)
{
    buf_adds(out, ep->base);
    buf_addc(out, '/');
    sigv4_uri_encode(out, key, key_len, 1);
}

enum rc endpoint_reroute(const struct endpoint_cfg *cfg, const char *region, struct endpoint *out,
                         struct err *e)
{
    struct endpoint_cfg there = *cfg;
    there.region = region;
    enum rc rc = check_region(region, e);
    return rc ? rc : endpoint_resolve(&there, out, e);
}
