/* Where keys come from, and what is said when they do not. */
#include "uploader/credentials.h"

#include "uploader/credentials_int.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* An environment and a home of the test's own. */
struct world {
    char home[64];
    const char *vars[16][2];
    size_t n_vars;
};
static struct world w;

static void set_var(const char *name, const char *value)
{
    for (size_t i = 0; i < w.n_vars; i++)
        if (strcmp(w.vars[i][0], name) == 0) {
            w.vars[i][1] = value;
            return;
        }
    cr_assert_lt(w.n_vars, 16);
    w.vars[w.n_vars][0] = name;
    w.vars[w.n_vars++][1] = value;
}

static const char *get_var(void *arg, const char *name)
{
    struct world *world = arg;
    for (size_t i = 0; i < world->n_vars; i++)
        if (strcmp(world->vars[i][0], name) == 0)
            return world->vars[i][1];
    return NULL;
}

static void start(void)
{
    (void)snprintf(w.home, sizeof w.home, "/tmp/credXXXXXX");
    cr_assert(mkdtemp(w.home));
    set_var("HOME", w.home);
    set_var("AWS_EC2_METADATA_DISABLED",
            "true"); /* the chain ends there and would ask the network */
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void stop(void)
{
    cr_expect_eq(nftw(w.home, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", w.home, name);
    return path;
}

static void put_file(const char *name, const char *text)
{
    char dir[128];
    (void)snprintf(dir, sizeof dir, "%s", path_of(name));
    *strrchr(dir, '/') = '\0';
    (void)mkdir(dir, 0700); /* may be there */
    FILE *f = fopen(path_of(name), "w");
    cr_assert(f);
    cr_assert_geq(fputs(text, f), 0);
    cr_assert_eq(fclose(f), 0);
}

static struct credentials_source *source(const char *kind, const char *profile)
{
    struct credentials_cfg cfg = {
        .source = kind, .profile = profile, .env = get_var, .env_arg = &w};
    struct credentials_source *s;
    struct err e = {0};
    cr_assert_eq(credentials_source_new(&cfg, &s, &e), RC_OK, "%s", e.text);
    return s;
}

/* Ask; the keys must be id, secret, token (NULL: none), from a place that has origin in its name.
 */
static void expect_keys(struct credentials_source *s, const char *id, const char *secret,
                        const char *token, const char *origin)
{
    struct credentials *c = NULL;
    struct err e = {0};
    cr_assert_eq(credentials_source_get(s, &c, &e), RC_OK, "%s", e.text);
    cr_expect_str_eq(credentials_access_key_id(c), id);
    cr_expect_str_eq(credentials_secret_access_key(c), secret);
    cr_expect_eq(credentials_are_temporary(c), token != NULL);
    if (token)
        cr_expect_str_eq(credentials_session_token(c), token);
    else
        cr_expect_null(credentials_session_token(c));
    cr_expect(strstr(credentials_origin(c), origin), "%s", credentials_origin(c));
    cr_expect_eq(credentials_expires(c), INT64_MAX);
    credentials_free(c);
}

static void expect_failure(struct credentials_source *s, enum rc rc, const char *says)
{
    struct credentials *c = NULL;
    struct err e = {0};
    cr_expect_eq(credentials_source_get(s, &c, &e), rc, "%s", e.text);
    cr_expect_eq(e.rc, rc);
    cr_expect(strstr(e.text, says), "\"%s\" is not in: %s", says, e.text);
    cr_expect_not(strstr(e.text, "HUSHED"), "%s", e.text);
    cr_expect_null(c);
}

TestSuite(credentials, .init = start, .fini = stop);

Test(credentials, the_environment_gives_whole_pairs_only)
{
    struct credentials_source *s = source("environment", NULL);
    expect_failure(s, RC_ABSENT, "AWS_ACCESS_KEY_ID is not set");
    set_var("AWS_ACCESS_KEY_ID", "AKID");
    expect_failure(s, RC_INVALID, "but not AWS_SECRET_ACCESS_KEY");
    set_var("AWS_SECRET_ACCESS_KEY", "HUSHED");
    expect_keys(s, "AKID", "HUSHED", NULL, "environment");
    set_var("AWS_SESSION_TOKEN", "TOKEN");
    expect_keys(s, "AKID", "HUSHED", "TOKEN", "environment");
    set_var("AWS_SESSION_TOKEN", ""); /* empty is unset */
    expect_keys(s, "AKID", "HUSHED", NULL, "environment");
    set_var("AWS_SECRET_ACCESS_KEY", "HUSHED\r");
    expect_failure(s, RC_INVALID, "position 7");
    set_var("AWS_SECRET_ACCESS_KEY", "HUSHED with space");
    expect_failure(s, RC_INVALID, "position 7");
    set_var("AWS_ACCESS_KEY_ID", NULL);
    expect_failure(s, RC_INVALID, "but not AWS_ACCESS_KEY_ID");
    credentials_source_free(s);
}

Test(credentials, files_are_read_as_the_aws_tools_write_them)
{
    static const struct {
        const char *profile, *credentials, *config;
        const char *id, *secret, *token, *origin;
    } cases[] = {
        {NULL, "[default]\naws_access_key_id = A\naws_secret_access_key = S\n", NULL, "A", "S",
         NULL, "profile default in "},
        {"p",
         "[default]\naws_access_key_id=X\n\n[p]\naws_access_key_id=A\naws_secret_access_key=S/+=\n"
         "aws_session_token=T==\n[q]\naws_access_key_id=Y",
         NULL, "A", "S/+=", "T==", "profile p in "},
        /* comments, blanks, tabs, CRLF, a byte order mark, odd case, no line end at the end */
        {NULL,
         "\xef\xbb\xbf# one\r\n; two\r\n\r\n  [ default ] # three\r\n\tAWS_Access_Key_Id\t=\tA\t; "
         "four\r\n"
         "\taws_secret_access_key = S#notacomment # five",
         NULL, "A", "S#notacomment", NULL, "default"},
        /* nested settings, and names that we do not know */
        {"p", NULL,
         "[profile p]\nregion = eu-west-1\ns3 =\n    max_concurrent_requests = 20\n"
         "    aws_access_key_id = NO\n    no equals sign\naws_access_key_id = A\n"
         "aws_secret_access_key = S\n",
         "A", "S", NULL, "/.aws/config"},
        {"a b", NULL, "[profile \"a b\"]\naws_access_key_id = A\naws_secret_access_key = S\n", "A",
         "S", NULL, "profile a b in "},
        {NULL, NULL, "[default]\naws_access_key_id = A\naws_secret_access_key = S\n", "A", "S",
         NULL, "config"},
        {"default", NULL, "[profile default]\naws_access_key_id = A\naws_secret_access_key = S\n",
         "A", "S", NULL, "config"},
        /* the credentials file comes first */
        {"p", "[p]\naws_access_key_id = A\naws_secret_access_key = S\n",
         "[profile p]\naws_access_key_id = B\naws_secret_access_key = S\n", "A", "S", NULL,
         "/.aws/credentials"},
        /* … but only with keys in it */
        {"p", "[p]\nregion = x\n",
         "[profile p]\naws_access_key_id = B\naws_secret_access_key = S\n", "B", "S", NULL,
         "config"},
        /* in the config file "[p]" is no profile */
        {"p", "[p]\naws_access_key_id = A\naws_secret_access_key = S\n",
         "[p]\naws_access_key_id = B\n", "A", "S", NULL, "/.aws/credentials"},
        /* the older name of the token; empty values are none */
        {NULL,
         "[default]\naws_access_key_id = A\naws_secret_access_key = S\naws_security_token = T\n",
         NULL, "A", "S", "T", "default"},
        {NULL, "[default]\naws_access_key_id = A\naws_secret_access_key = S\naws_session_token =\n",
         NULL, "A", "S", NULL, "default"},
        /* a broken profile that is not asked for is nobody's business */
        {"p",
         "[x]\naws_access_key_id = A\naws_access_key_id = B\n[x]\n[p]\naws_access_key_id = A\n"
         "aws_secret_access_key = S\n",
         NULL, "A", "S", NULL, "profile p"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)unlink(path_of(".aws/credentials"));
        (void)unlink(path_of(".aws/config"));
        if (cases[i].credentials)
            put_file(".aws/credentials", cases[i].credentials);
        if (cases[i].config)
            put_file(".aws/config", cases[i].config);
        struct credentials_source *s = source("file", cases[i].profile);
        expect_keys(s, cases[i].id, cases[i].secret, cases[i].token, cases[i].origin);
        credentials_source_free(s);
    }
}

Test(credentials, a_file_that_cannot_be_understood_is_named_with_its_line)
{
    static const struct {
        const char *text;
        enum rc rc;
        const char *says;
    } cases[] = {
        {"HUSHED\n", RC_INVALID, "credentials, line 1: expected"},
        {"\n\nHUSHED = x\n", RC_INVALID, "line 3: there is a setting before the first"},
        {"[default\n", RC_INVALID, "line 1: the section's name has no closing"},
        {"[]\n", RC_INVALID, "line 1: the section has no name"},
        {"[  ]\n", RC_INVALID, "line 1: the section has no name"},
        {"[default] HUSHED\n", RC_INVALID, "line 1: there is text behind"},
        {"[default]\nHUSHED\n", RC_INVALID, "line 2: expected"},
        {"[default]\n= HUSHED\n", RC_INVALID, "line 2: expected"},
        {"[default]\naws_secret_access_key: HUSHED\n", RC_INVALID, "line 2: expected"},
        {"[other]\nHUSHED\n", RC_INVALID, "line 2: expected"},
        {"[default]\n#\n[default]\n", RC_INVALID,
         "line 3: the profile is there a second time, after line 1"},
        {"[default]\naws_access_key_id = A\naws_access_key_id = B\n", RC_INVALID,
         "line 3: this key"},
        {"[default]\naws_secret_access_key = HU\n  SHED\n", RC_INVALID,
         "line 3: the line is indented"},
        {"[default]\naws_access_key_id =\n  HUSHED\n", RC_INVALID, "line 3: the line is indented"},
        {"[default]\naws_access_key_id = A\n", RC_INVALID, "no aws_secret_access_key"},
        {"[default]\naws_secret_access_key = HUSHED\n", RC_INVALID, "no aws_access_key_id"},
        {"[default]\naws_access_key_id = A\naws_secret_access_key = HUSHED x\n", RC_INVALID,
         "position 7"},
        {"[default]\naws_access_key_id = \xc3\xa9\naws_secret_access_key = HUSHED\n", RC_INVALID,
         "position 1"},
        {"[default]\ncredential_process = /bin/x\n", RC_DENIED, "its program cannot be started"},
        {"[default]\nsso_session = x\n", RC_ABSENT, "it uses sso_session"},
        {"[default]\nregion = x\n", RC_ABSENT, "has no aws_access_key_id"},
        {"[other]\naws_access_key_id = A\naws_secret_access_key = HUSHED\n", RC_ABSENT,
         "has no profile default"},
        {"", RC_ABSENT, "has no profile default"},
    };
    struct credentials_source *s = source("file", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_file(".aws/credentials", cases[i].text);
        expect_failure(s, cases[i].rc, cases[i].says);
        expect_failure(s, cases[i].rc, "/.aws/credentials");
    }
    credentials_source_free(s);
}

Test(credentials, files_that_are_not_there_or_are_no_files_are_told_apart)
{
    struct credentials_source *s = source("file", NULL);
    expect_failure(s, RC_ABSENT, "there is no ");
    expect_failure(s, RC_ABSENT, "aws configure");
    cr_assert_eq(mkdir(path_of(".aws"), 0700), 0);
    cr_assert_eq(mkdir(path_of(".aws/credentials"), 0700), 0);
    expect_failure(s, RC_INVALID, "not a regular file");
    cr_assert_eq(rmdir(path_of(".aws/credentials")), 0);
    cr_assert_eq(mkfifo(path_of(".aws/credentials"), 0600), 0);
    expect_failure(s, RC_INVALID, "not a regular file");
    cr_assert_eq(unlink(path_of(".aws/credentials")), 0);
    put_file(".aws/credentials", "");
    cr_assert_eq(truncate(path_of(".aws/credentials"), 1024 * 1024 + 1), 0);
    expect_failure(s, RC_INVALID, "over 1048576 bytes");
    cr_assert_eq(truncate(path_of(".aws/credentials"), 10), 0);
    expect_failure(s, RC_INVALID, "zero byte");
    set_var("HOME", NULL);
    expect_failure(s, RC_ABSENT, "HOME is not set");
    credentials_source_free(s);
}

Test(credentials, a_file_that_may_not_be_read_is_denied_and_not_skipped)
{
    /* Root may read everything, so the rest is done by somebody else, at home elsewhere. */
    uid_t me = geteuid();
    cr_assert_eq(rmdir(w.home), 0);
    if (me == 0)
        cr_assert_eq(seteuid(65534), 0);
    start();
    put_file(".aws/credentials",
             "[default]\naws_access_key_id = A\naws_secret_access_key = HUSHED\n");
    cr_assert_eq(chmod(path_of(".aws/credentials"), 0), 0);
    struct credentials_source *s = source("chain", NULL);
    expect_failure(s, RC_DENIED, ".aws/credentials");
    cr_expect_not(credentials_source_changed(s));
    cr_assert_eq(chmod(path_of(".aws/credentials"), 0600), 0);
    cr_expect(credentials_source_changed(s), "a chmod may be the remedy");
    expect_keys(s, "A", "HUSHED", NULL, "default");
    credentials_source_free(s);
    cr_assert_eq(seteuid(me), 0);
    cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0); /* lost by seteuid; the leak sanitizer needs it */
}

Test(credentials, a_config_file_beside_the_keys_that_is_broken_is_not_passed_over)
{
    static const char *const broken[] = {"[default]\nrole_arn = arn:aws:iam::1:role/r\nHUSHED\n",
                                         "[default\nrole_arn = arn:aws:iam::1:role/r\n",
                                         "[default]\nregion = x\n[default]\nregion = x\n"};
    static const char keys[] = "[default]\naws_access_key_id = A\naws_secret_access_key = HUSHED\n";
    put_file(".aws/credentials", keys);
    put_file("named", keys);
    for (int named = 0; named < 2; named++) {
        set_var("AWS_SHARED_CREDENTIALS_FILE", named ? "~/named" : NULL);
        struct credentials_source *s = source("chain", NULL);
        for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
            put_file(".aws/config", broken[i]);
            expect_failure(s, RC_INVALID, "/.aws/config, line ");
        }
        put_file(".aws/config", "[default]\nregion = x\n");
        cr_expect(credentials_source_changed(s));
        expect_keys(s, "A", "HUSHED", NULL, named ? "/named" : "/.aws/credentials");
        credentials_source_free(s);
    }
}

Test(credentials, a_home_that_is_closed_keeps_nobody_from_a_file_that_was_named)
{
    /* Root may read everything, so the rest is done by somebody else, at home elsewhere. */
    uid_t me = geteuid();
    char named[128];
    cr_assert_eq(rmdir(w.home), 0);
    if (me == 0)
        cr_assert_eq(seteuid(65534), 0);
    start();
    static const char keys[] = "[default]\naws_access_key_id = A\naws_secret_access_key = HUSHED\n";
    put_file(".aws/credentials", keys);
    put_file("named", keys);
    put_file(".aws/config", "[default]\nrole_arn = arn:aws:iam::1:role/r\n");
    cr_assert_eq(chmod(path_of(".aws/config"), 0), 0);
    (void)snprintf(named, sizeof named, "%s", path_of("named"));
    struct credentials_source *s = source("file", NULL);
    expect_failure(s, RC_DENIED, "/.aws/config");
    set_var("AWS_CONFIG_FILE", "~/.aws/config");
    set_var("AWS_SHARED_CREDENTIALS_FILE", named);
    expect_failure(s, RC_DENIED, "/.aws/config");
    set_var("AWS_CONFIG_FILE", NULL);
    expect_keys(s, "A", "HUSHED", NULL, "/named, without ");
    expect_keys(s, "A", "HUSHED", NULL, "/.aws/config (may not be read)");
    set_var("AWS_SHARED_CREDENTIALS_FILE", NULL);
    credentials_source_free(s);
    struct credentials_cfg cfg = {.source = "file", .file = named, .env = get_var, .env_arg = &w};
    cr_assert_eq(credentials_source_new(&cfg, &s, NULL), RC_OK);
    expect_keys(s, "A", "HUSHED", NULL, "/named, without ");
    credentials_source_free(s);
    cr_assert_eq(seteuid(me), 0);
    cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0); /* lost by seteuid; the leak sanitizer needs it */
}

Test(credentials, paths_and_profiles_come_from_the_configuration_before_the_environment)
{
    static const char text[] = "[default]\naws_access_key_id = D\naws_secret_access_key = S\n"
                               "[env]\naws_access_key_id = E\naws_secret_access_key = S\n"
                               "[cfg]\naws_access_key_id = C\naws_secret_access_key = S\n";
    put_file("moved", text);
    put_file("named", "[cfg]\naws_access_key_id = N\naws_secret_access_key = S\n");
    set_var("AWS_SHARED_CREDENTIALS_FILE", "~/moved");
    struct credentials_source *s = source("file", NULL);
    expect_keys(s, "D", "S", NULL, "/moved");
    set_var("AWS_PROFILE", "env");
    expect_keys(s, "E", "S", NULL, "profile env");
    credentials_source_free(s);
    s = source("file", "cfg");
    expect_keys(s, "C", "S", NULL, "profile cfg");
    credentials_source_free(s);
    struct credentials_cfg cfg = {.source = "file",
                                  .profile = "cfg",
                                  .file = path_of("named"),
                                  .env = get_var,
                                  .env_arg = &w};
    cr_assert_eq(credentials_source_new(&cfg, &s, NULL), RC_OK);
    expect_keys(s, "N", "S", NULL, "/named");
    credentials_source_free(s);
}

Test(credentials, systemd_hands_over_single_values_or_a_whole_file)
{
    struct credentials_source *s = source("systemd", NULL);
    expect_failure(s, RC_ABSENT, "CREDENTIALS_DIRECTORY is not set");
    char dir[80];
    (void)snprintf(dir, sizeof dir, "%s/creds", w.home);
    set_var("CREDENTIALS_DIRECTORY", dir);
    expect_failure(s, RC_ABSENT, "LoadCredential");
    put_file("creds/aws_credentials",
             "[default]\naws_access_key_id = F\naws_secret_access_key = S\n");
    expect_keys(s, "F", "S", NULL, "aws_credentials");
    put_file("creds/aws_access_key_id", " A\n");
    expect_failure(s, RC_INVALID, "no aws_secret_access_key");
    put_file("creds/aws_secret_access_key", "HUSHED\r\n");
    expect_keys(s, "A", "HUSHED", NULL, "systemd credentials in ");
    put_file("creds/aws_session_token", "T");
    expect_keys(s, "A", "HUSHED", "T", "systemd");
    put_file("creds/aws_session_token", "");
    expect_failure(s, RC_INVALID, "session token");
    credentials_source_free(s);
}

Test(credentials, the_chain_takes_the_first_that_has_keys_and_names_every_place_if_none_has)
{
    struct credentials_source *s = source("chain", NULL);
    static const char *const places[] = {"AWS_ACCESS_KEY_ID is not set", "CREDENTIALS_DIRECTORY",
                                         "/.aws/credentials", "/.aws/config", "aws configure"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        expect_failure(s, RC_ABSENT, places[i]);
    put_file(".aws/credentials", "[default]\naws_access_key_id = F\naws_secret_access_key = S\n");
    expect_keys(s, "F", "S", NULL, "profile default");
    char dir[80];
    (void)snprintf(dir, sizeof dir, "%s/creds", w.home);
    set_var("CREDENTIALS_DIRECTORY", dir);
    expect_keys(s, "F", "S", NULL, "profile default");
    put_file("creds/aws_access_key_id", "D");
    put_file("creds/aws_secret_access_key", "S");
    expect_keys(s, "D", "S", NULL, "systemd");
    set_var("AWS_ACCESS_KEY_ID", "E");
    expect_failure(s, RC_INVALID, "set both"); /* half a pair is not passed over */
    set_var("AWS_SECRET_ACCESS_KEY", "S");
    expect_keys(s, "E", "S", NULL, "environment");
    credentials_source_free(s);
}

Test(credentials, a_change_of_any_file_that_was_looked_at_is_seen)
{
    static const char text[] = "[default]\naws_access_key_id = A\naws_secret_access_key = S\n";
    struct credentials_source *s = source("chain", NULL);
    cr_expect_not(credentials_source_changed(s), "nothing was asked yet");
    expect_failure(s, RC_ABSENT, "there is no");
    cr_expect_not(credentials_source_changed(s));
    put_file(".aws/credentials", text);
    cr_expect(credentials_source_changed(s), "it has come");
    expect_keys(s, "A", "S", NULL, "default");
    cr_expect_not(credentials_source_changed(s));
    put_file("next", text);
    char next[128];
    (void)snprintf(next, sizeof next, "%s", path_of("next"));
    cr_assert_eq(rename(next, path_of(".aws/credentials")), 0);
    cr_expect(credentials_source_changed(s), "another inode");
    expect_keys(s, "A", "S", NULL, "default");
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
    cr_assert_eq(utimensat(AT_FDCWD, path_of(".aws/credentials"), times, 0), 0);
    cr_expect(credentials_source_changed(s), "another mtime");
    expect_keys(s, "A", "S", NULL, "default");
    cr_assert_eq(unlink(path_of(".aws/credentials")), 0);
    cr_expect(credentials_source_changed(s), "it has gone");
    credentials_source_free(s);
}

Test(credentials, keys_are_shared_and_each_set_has_its_own_serial)
{
    struct credentials *a = credentials_new("A", "S", NULL, INT64_MAX);
    struct credentials *b = credentials_new("A", "S", "T", 1000);
    cr_expect_neq(credentials_serial(a), 0);
    cr_expect_neq(credentials_serial(a), credentials_serial(b));
    struct credentials *again = credentials_share(a);
    credentials_free(a);
    cr_expect_str_eq(credentials_secret_access_key(again), "S");
    credentials_free(again);
    credentials_free(b);
    credentials_free(NULL);
    cr_expect_null(credentials_share(NULL));
}

Test(credentials, keys_are_asked_for_again_well_before_they_expire)
{
    static const struct {
        int64_t expires;
        uint64_t wait_ms;
    } cases[] = {
        {INT64_MAX, UINT64_MAX},
        {1000 + 3600, 3000000},
        {1000 + 1800, 1200000},
        {1000 + 900, 600000},
        {1000 + 30, 20000},
        {1000 + 1, 1000},
        {1000, 1000},
        {0, 1000},
        {INT64_MIN, 1000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct credentials *c = credentials_new("A", "S", "T", cases[i].expires);
        cr_expect_eq(credentials_refresh_in_ms(c, 1000), cases[i].wait_ms, "%zu", i);
        credentials_free(c);
    }
    struct credentials *late = credentials_new("A", "S", "T", INT64_MAX - 1);
    cr_expect_gt(credentials_refresh_in_ms(late, INT64_MIN), 1000000);
    credentials_free(late);
}

Test(credentials, what_cannot_be_a_key_is_refused_by_length_and_by_byte)
{
    static char secret[CREDENTIALS_SECRET_MAX + 2], id[CREDENTIALS_ID_MAX + 2],
        token[CREDENTIALS_TOKEN_MAX + 2];
    memset(secret, 's', sizeof secret - 1);
    memset(id, 'i', sizeof id - 1);
    memset(token, 't', sizeof token - 1);
    struct err e = {0};
    cr_expect_eq(credentials_check(id, "s", NULL, "w", &e), RC_INVALID);
    cr_expect_eq(credentials_check("i", secret, NULL, "w", &e), RC_INVALID);
    cr_expect_eq(credentials_check("i", "s", token, "w", &e), RC_INVALID);
    cr_expect_eq(credentials_check("", "s", NULL, "w", &e), RC_INVALID);
    cr_expect_eq(credentials_check("i", "s", "a\nb", "w", &e), RC_INVALID);
    id[CREDENTIALS_ID_MAX] = secret[CREDENTIALS_SECRET_MAX] = token[CREDENTIALS_TOKEN_MAX] = '\0';
    cr_expect_eq(credentials_check(id, secret, token, "w", &e), RC_OK);
}

Test(credentials, an_unknown_source_is_refused)
{
    struct credentials_cfg cfg = {.source = "magic"};
    struct credentials_source *s = NULL;
    struct err e = {0};
    cr_expect_eq(credentials_source_new(&cfg, &s, &e), RC_INVALID);
    cr_expect(strstr(e.text, "\"chain\""));
    cr_expect_null(s);
    credentials_source_free(NULL);
}

Test(credentials, sts_is_asked_under_the_name_that_aws_gives_it_in_the_region)
{
    static const struct {
        const char *region;
        bool fips;
        const char *url;
    } rows[] = {
        {"eu-central-1", false, "https://sts.eu-central-1.amazonaws.com"},
        {"cn-north-1", false, "https://sts.cn-north-1.amazonaws.com.cn"},
        {"us-east-1", true, "https://sts-fips.us-east-1.amazonaws.com"},
        {"us-gov-west-1", false, "https://sts.us-gov-west-1.amazonaws.com"},
        {"us-gov-west-1", true, "https://sts.us-gov-west-1.amazonaws.com"},
        {"us-gov-east-1", true, "https://sts.us-gov-east-1.amazonaws.com"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char url[160];
        credentials_sts_url(url, sizeof url, rows[i].region, rows[i].fips);
        cr_expect_str_eq(url, rows[i].url);
    }
}
