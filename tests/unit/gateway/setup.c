/* From answers to a configuration: what stays, what is replaced, and where it is written. */
#include "gateway/setup.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROLE  "arn:aws:iam::111122223333:role/first"
#define OTHER "arn:aws:iam::111122223333:role/second"

static json_t *parsed(const char *text)
{
    struct err e;
    json_t *v = json_parse(text, strlen(text), &e);
    cr_assert_not_null(v, "%s: %s", text, e.text);
    return v;
}

Test(setup, answers_are_laid_over_what_is_there)
{
    static const struct {
        const char *what, *existing;
        struct setup answers;
        const char *expected;
    } rows[] = {
        {"an empty file",
         "{}",
         {.account = "prod", .bucket_arn = "arn:aws:s3:::b", .region = "eu-central-1"},
         "{\"spool\":\"/var/spool/spoolgate\",\"state\":\"/var/lib/spoolgate\","
         "\"account_name\":\"prod\",\"bucket\":{\"arn\":\"arn:aws:s3:::b\","
         "\"region\":\"eu-central-1\"},\"control\":\"/run/spoolgate/control.sock\"}"},
        {"the rest stays, in its order",
         "{\"uploads\":7,\"bucket\":{\"acl\":\"none\",\"arn\":\"arn:aws:s3:::b\",\"region\":\"x\"},"
         "\"spool\":\"/s\",\"state\":\"/t\",\"control\":\"/c\"}",
         {.account = "prod", .region = "y", .path_style = true},
         "{\"uploads\":7,\"bucket\":{\"acl\":\"none\",\"arn\":\"arn:aws:s3:::b\",\"region\":\"y\","
         "\"path_style\":true},\"spool\":\"/s\",\"state\":\"/t\",\"control\":\"/c\","
         "\"account_name\":\"prod\"}"},
        {"another role loses the first one's external id",
         "{\"spool\":\"/s\",\"state\":\"/t\",\"control\":\"/c\",\"bucket\":{\"arn\":\"a\","
         "\"region\":\"r\"},\"credentials\":{\"assume_role\":{\"arn\":\"" ROLE
         "\",\"external_id\":\"42\",\"duration\":\"1h\"}}}",
         {.role = OTHER},
         "{\"spool\":\"/s\",\"state\":\"/t\",\"control\":\"/c\",\"bucket\":{\"arn\":\"a\","
         "\"region\":\"r\"},\"credentials\":{\"assume_role\":{\"arn\":\"" OTHER
         "\",\"duration\":\"1h\"}}}"},
        {"of roles one after the other the last is changed, and those before it stay",
         "{\"spool\":\"/s\",\"state\":\"/t\",\"control\":\"/c\",\"bucket\":{\"arn\":\"a\","
         "\"region\":\"r\"},\"credentials\":{\"assume_role\":[{\"arn\":\"" ROLE
         "\",\"external_id\":\"1\"},{\"arn\":\"x\",\"external_id\":\"2\",\"duration\":\"1h\"}]}}",
         {.role = OTHER, .external_id = "3"},
         "{\"spool\":\"/s\",\"state\":\"/t\",\"control\":\"/c\",\"bucket\":{\"arn\":\"a\","
         "\"region\":\"r\"},\"credentials\":{\"assume_role\":[{\"arn\":\"" ROLE
         "\",\"external_id\":\"1\"},{\"arn\":\"" OTHER
         "\",\"duration\":\"1h\",\"external_id\":\"3\"}]}}"},
        {"the keys as they are",
         "{\"spool\":\"/s\",\"state\":\"/t\",\"control\":\"/c\",\"bucket\":{\"arn\":\"a\","
         "\"region\":\"r\"},\"credentials\":{\"profile\":\"p\",\"assume_role\":{\"arn\":\"" ROLE
         "\"}}}",
         {.keys_as_they_are = true, .role = OTHER},
         "{\"spool\":\"/s\",\"state\":\"/t\",\"control\":\"/c\",\"bucket\":{\"arn\":\"a\","
         "\"region\":\"r\"},\"credentials\":{\"profile\":\"p\"}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct setup s = rows[i].answers;
        struct buf text;
        buf_init(&text, 65536);
        s.existing = parsed(rows[i].existing);
        json_t *document = setup_document(&s, "arn:aws:s3:::stands-in", "stands-in");
        json_t *expected = parsed(rows[i].expected);
        if (!s.bucket_arn)
            json_object_set_new(json_object_get(expected, "bucket"), "arn",
                                json_string("arn:aws:s3:::stands-in"));
        if (!s.region)
            json_object_set_new(json_object_get(expected, "bucket"), "region",
                                json_string("stands-in"));
        json_write(&text, document);
        cr_assert(json_equal(document, expected), "%s: %s", rows[i].what, text.data);
        json_decref(expected);
        json_decref(document);
        json_decref(s.existing);
        buf_fini(&text);
    }
}

Test(setup, a_second_bucket_is_refused_and_the_first_is_not)
{
    static const struct {
        const char *existing, *arn;
        enum rc rc;
    } rows[] = {
        {"{}", "arn:aws:s3:::b", RC_OK},
        {"{\"bucket\":{}}", "arn:aws:s3:::b", RC_OK},
        {"{\"bucket\":{\"arn\":\"arn:aws:s3:::b\"}}", "arn:aws:s3:::b", RC_OK},
        {"{\"bucket\":{\"arn\":\"arn:aws:s3:::b\"}}", NULL, RC_OK},
        {"{\"bucket\":{\"arn\":\"arn:aws:s3:::b\"}}", "arn:aws:s3:::c", RC_EXISTS},
        {"{\"bucket\":{\"arn\":\"arn:aws:s3:::b\"}}", "arn:aws-cn:s3:::b", RC_EXISTS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct setup s = {
            .path = "/x.json", .existing = parsed(rows[i].existing), .bucket_arn = rows[i].arn};
        struct err e = {0};
        cr_assert_eq(setup_same_bucket(&s, &e), rows[i].rc, "row %zu: %s", i, e.text);
        if (rows[i].rc == RC_EXISTS)
            cr_assert(strstr(e.text, "one installation serves one bucket") &&
                          strstr(e.text, "second instance"),
                      "%s", e.text);
        json_decref(s.existing);
    }
}

Test(setup, of_roles_one_after_the_other_the_last_one_writes)
{
    static const struct {
        const char *existing, *arn;
    } rows[] = {
        {"{}", NULL},
        {"{\"credentials\":{\"assume_role\":{\"arn\":\"" ROLE "\"}}}", ROLE},
        {"{\"credentials\":{\"assume_role\":[{\"arn\":\"" ROLE "\"},{\"arn\":\"" OTHER "\"}]}}",
         OTHER},
        {"{\"credentials\":{\"assume_role\":[]}}", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct setup s = {.existing = parsed(rows[i].existing)};
        const char *arn = json_string_value(json_object_get(setup_last_role(&s), "arn"));
        cr_assert_eq(!arn, !rows[i].arn, "row %zu", i);
        cr_assert(!arn || strcmp(arn, rows[i].arn) == 0, "row %zu: %s", i, arn);
        json_decref(s.existing);
    }
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    return st.st_mode & 07777;
}

Test(setup, what_is_saved_keeps_its_mode_and_a_new_file_is_readable)
{
    char dir[] = "/tmp/setup-XXXXXX", path[64], link[64];
    cr_assert_not_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/spoolgate.json", dir);
    (void)snprintf(link, sizeof link, "%s/link.json", dir);
    struct setup s = {
        .path = path, .account = "one", .bucket_arn = "arn:aws:s3:::b", .region = "r"};
    struct err e = {0};
    umask(022);
    cr_assert_eq(setup_read(&s, &e), RC_OK, "%s", e.text);
    cr_assert_eq(json_object_size(s.existing), 0, "no file is an empty one");
    cr_assert_eq(setup_may_save(&s, &e), RC_OK, "%s", e.text);
    cr_assert_eq(setup_save(&s, &e), RC_OK, "%s", e.text);
    cr_assert_eq(mode_of(path), 0644);
    json_decref(s.existing);

    cr_assert_eq(chmod(path, 0600), 0);
    cr_assert_eq(symlink("spoolgate.json", link), 0);
    s.path = link;
    s.account = "two";
    cr_assert_eq(setup_read(&s, &e), RC_OK, "%s", e.text);
    cr_assert_str_eq(setup_existing(&s, "account_name"), "one");
    cr_assert_str_eq(setup_existing(&s, "bucket.arn"), "arn:aws:s3:::b");
    cr_assert_null(setup_existing(&s, "bucket.nothing"));
    cr_assert_null(setup_existing(&s, "account_name.below"));
    cr_assert_eq(setup_save(&s, &e), RC_OK, "%s", e.text);
    cr_assert_eq(mode_of(path), 0600, "the mode stays, and the link is followed");
    json_decref(s.existing);
    cr_assert_eq(setup_read(&s, &e), RC_OK);
    cr_assert_str_eq(setup_existing(&s, "account_name"), "two");
    json_decref(s.existing);

    FILE *f = fopen(path, "w");
    fputs("[1]", f);
    fclose(f);
    s.existing = NULL;
    cr_assert_eq(setup_read(&s, &e), RC_INVALID);
    cr_assert_null(s.existing);
    s.path = "/nowhere/at/all/spoolgate.json";
    cr_assert_neq(setup_may_save(&s, &e), RC_OK);
    unlink(link);
    unlink(path);
    cr_assert_eq(rmdir(dir), 0, "nothing is left beside it");
}

static void write_by_hand(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    cr_assert_eq(fclose(f), 0);
}

Test(setup, what_was_changed_since_it_was_read_is_not_overwritten)
{
    static const struct {
        const char *what, *read, *changed; /* NULL: there is no file */
        enum rc rc;
    } rows[] = {
        {"a hand edit", "{\"uploads\":7}", "{\"uploads\":8}", RC_CHANGED},
        {"a file that came meanwhile", NULL, "{\"uploads\":8}", RC_CHANGED},
        {"a file that went meanwhile", "{\"uploads\":7}", NULL, RC_CHANGED},
        {"written again, as it was", "{\"uploads\":7}", "{\"uploads\":7}", RC_OK},
        {"none all the time", NULL, NULL, RC_OK},
    };
    char dir[] = "/tmp/setup-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/spoolgate.json", dir);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct setup s = {.path = path, .account = "one"}, after = {.path = path};
        struct err e = {0};
        if (rows[i].read)
            write_by_hand(path, rows[i].read);
        cr_assert_eq(setup_read(&s, &e), RC_OK, "%s: %s", rows[i].what, e.text);
        if (rows[i].changed)
            write_by_hand(path, rows[i].changed);
        else
            (void)unlink(path); /* of some rows it is not there */
        enum rc rc = setup_save(&s, &e);
        cr_assert_eq(rc, rows[i].rc, "%s: %d %s", rows[i].what, rc, e.text);
        cr_assert(rc == RC_OK || strstr(e.text, "start the set-up again"), "%s", e.text);
        cr_assert_eq(setup_read(&after, &e), RC_OK);
        cr_assert_eq(setup_existing(&after, "account_name") != NULL, rc == RC_OK, "%s",
                     rows[i].what);
        json_decref(after.existing);
        json_decref(s.existing);
        (void)unlink(path); /* of some rows it is not there */
    }
    cr_assert_eq(rmdir(dir), 0, "nothing is left beside it");
}

Test(setup, keys_begin_with_the_prefix_and_what_the_layout_says_literally)
{
    static const char *const rows[][3] = {
        {"", "Panoptica/{event_type}/{date}/{account}/{file}", "Panoptica/"},
        {"pre/fix/", "Panoptica/{event_type}/{file}", "pre/fix/Panoptica/"},
        {"", "{event_type}/{file}", ""},
        {"p/", "any", "p/"},
        {"", "a/b-{event_type}/{file}", "a/"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;
        char prefix[32], layout[64];
        (void)snprintf(prefix, sizeof prefix, "%s", rows[i][0]);
        (void)snprintf(layout, sizeof layout, "%s", rows[i][1]);
        struct config c = {.prefix = prefix, .layout = layout};
        buf_init(&out, 256);
        setup_prefix(&c, &out);
        cr_assert_str_eq(out.data, rows[i][2], "row %zu", i);
        buf_fini(&out);
    }
}
