/* The format of ~/.aws/credentials and ~/.aws/config: INI as Python's configparser reads it, since
 * that is what the AWS tools write and read it with. A line that is indented deeper than the
 * setting before it belongs to that setting (a nested block such as "s3 =", or a value's next
 * line).
 *
 * The structure is checked in the whole file; names and values only in the profile that is asked
 * for. No error shows a line's text: it may be a secret. */
#include "uploader/credentials_int.h"

#include <string.h>
#include <strings.h>

struct reader {
    const char *path, *profile;
    bool is_config;
    unsigned line;
    size_t indent;         /* of the last section or setting */
    bool in_section, ours; /* ours: the profile asked for */
    unsigned ours_line;    /* where it began */
    bool after_setting;    /* a deeper line belongs to it … */
    bool one_line;         /* … and may not: it is one of the keys */
    struct credentials_profile *out;
};

static enum rc bad(const struct reader *r, struct err *e, const char *why)
{
    return err_set(e, RC_INVALID, "%s, line %u: %s", r->path, r->line, why);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cut the space off the end of s[0..n). */
static void trim_end(char *s, size_t n)
{
    while (n > 0 && is_space(s[n - 1]))
        n--;
    s[n] = '\0';
}

static char *skip_space(char *s)
{
    while (is_space(*s))
        s++;
    return s;
}

/* "[default]" and "[name]", in a config file "[default]" and "[profile name]". */
static bool section_is_ours(const struct reader *r, char *name)
{
    if (r->is_config && strcmp(r->profile, "default") == 0 && strcmp(name, "default") == 0)
        return true;
    if (r->is_config) {
        if (strncmp(name, "profile", 7) != 0 || !is_space(name[7]))
            return false;
        name = skip_space(name + 7);
        size_t len = strlen(name);
        if (len >= 2 && (name[0] == '"' || name[0] == '\'') && name[len - 1] == name[0]) {
            name[len - 1] = '\0';
            name++;
        }
    }
    return strcmp(name, r->profile) == 0;
}

static enum rc take_section(struct reader *r, char *s, struct err *e)
{
    char *end = strchr(s, ']');
    if (!end)
        return bad(r, e, "the section's name has no closing bracket");
    char *rest = skip_space(end + 1);
    if (*rest && *rest != '#' && *rest != ';')
        return bad(r, e, "there is text behind the section's name");
    char *name = skip_space(s + 1);
    trim_end(name, (size_t)(end - name));
    if (end <= name || !*name)
        return bad(r, e, "the section has no name");
    r->in_section = true;
    r->after_setting = false;
    r->ours = section_is_ours(r, name);
    if (!r->ours)
        return RC_OK;
    if (r->out->found)
        return err_set(e, RC_INVALID,
                       "%s, line %u: the profile is there a second time, after line %u; keep one",
                       r->path, r->line, r->ours_line);
    r->out->found = true;
    r->ours_line = r->line;
    return RC_OK;
}

/* Where a setting of ours belongs, or NULL. */
static char **slot_of(struct credentials_profile *p, const char *name)
{
    const struct {
        const char *name;
        char **slot;
    } slots[] = {
        {"aws_access_key_id", &p->access_key_id},
        {"aws_secret_access_key", &p->secret_access_key},
        {"aws_session_token", &p->session_token},
        /* The older name, which the AWS tools still read. */
        {"aws_security_token", &p->session_token},
        {"role_arn", &p->settings[CREDENTIALS_ROLE_ARN]},
        {"source_profile", &p->settings[CREDENTIALS_SOURCE_PROFILE]},
        {"credential_source", &p->settings[CREDENTIALS_CREDENTIAL_SOURCE]},
        {"external_id", &p->settings[CREDENTIALS_EXTERNAL_ID]},
        {"role_session_name", &p->settings[CREDENTIALS_SESSION_NAME]},
        {"duration_seconds", &p->settings[CREDENTIALS_DURATION]},
        {"mfa_serial", &p->settings[CREDENTIALS_MFA_SERIAL]},
        {"web_identity_token_file", &p->settings[CREDENTIALS_WEB_TOKEN_FILE]},
        {"credential_process", &p->settings[CREDENTIALS_PROCESS]},
    };
    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++)
        if (strcasecmp(name, slots[i].name) == 0)
            return slots[i].slot;
    return NULL;
}

static void note_other_way(struct credentials_profile *p, const char *name)
{
    static const char *const ways[] = {"sso_session", "sso_start_url", "login_session"};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && !p->other; i++)
        if (strcasecmp(name, ways[i]) == 0)
            p->other = ways[i];
}

static enum rc take_setting(struct reader *r, char *s, struct err *e)
{
    char *equals = strchr(s, '=');
    if (!equals || equals == s)
        return bad(r, e, "expected \"name = value\" or \"[section]\"");
    if (!r->in_section)
        return bad(r, e, "there is a setting before the first [section]");
    trim_end(s, (size_t)(equals - s));
    r->after_setting = true;
    r->one_line = false;
    if (!r->ours)
        return RC_OK;
    char **slot = slot_of(r->out, s);
    if (!slot) {
        note_other_way(r->out, s);
        return RC_OK;
    }
    if (*slot)
        return bad(r, e, "this key stands in the profile a second time; keep one");
    char *value = skip_space(equals + 1);
    size_t len = 0;
    while (value[len] &&
           !((value[len] == '#' || value[len] == ';') && (len == 0 || is_space(value[len - 1]))))
        len++; /* up to a comment behind the value */
    trim_end(value, len);
    r->one_line = true;
    if (*value)
        *slot = value;
    return RC_OK;
}

static enum rc take_line(struct reader *r, char *line, struct err *e)
{
    char *s = skip_space(line);
    size_t indent = (size_t)(s - line);
    trim_end(s, strlen(s));
    if (!*s || *s == '#' || *s == ';')
        return RC_OK;
    if (r->after_setting && indent > r->indent) {
        if (r->one_line)
            return bad(r, e,
                       "the line is indented deeper than the key before it, so it would be part of "
                       "that key; take the space at its beginning away");
        return RC_OK;
    }
    r->indent = indent;
    return *s == '[' ? take_section(r, s, e) : take_setting(r, s, e);
}

enum rc credentials_ini_parse(char *text, const char *path, const char *profile, bool is_config,
                              struct credentials_profile *out, struct err *e)
{
    struct reader r = {.path = path, .profile = profile, .is_config = is_config, .out = out};
    *out = (struct credentials_profile){0};
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3; /* a byte order mark, from editors on Windows */
    while (text) {
        char *next = strchr(text, '\n');
        if (next)
            *next++ = '\0';
        r.line++;
        enum rc rc = take_line(&r, text, e);
        if (rc)
            return rc;
        text = next;
    }
    return RC_OK;
}
