/* The watcher with the real inotify: what is told, when, with which trust, and that nothing is
 * missed. */
#include "rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Test(watcher, a_file_that_is_there_at_the_start_is_told_by_the_startup_scan)
{
    struct rig r;
    rig_init(&r);
    rig_mkdirs(&r, "a/b");
    rig_write(&r, "a/b/f", "{}\n");
    rig_write(&r, "top", "{}\n");
    rig_write(&r, "a/x.tmp", "{}\n");
    rig_mkdirs(&r, ".spoolgate/rejected");
    rig_write(&r, ".spoolgate/rejected/r", "{}\n");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    cr_assert_eq(r.told_n, 2);
    cr_assert_eq(rig_last(&r, "a/b/f")->trust, WATCHER_QUIET);
    cr_assert_eq(rig_last(&r, "a/b/f")->source, WATCHER_STARTUP_SCAN);
    cr_assert_eq(rig_count(&r, "top"), 1);
    rig_fini(&r);
}

Test(watcher, moved_in_is_ready_at_once_and_written_in_place_when_it_was_quiet)
{
    struct rig r;
    rig_init(&r);
    rig_mkdirs(&r, "d");
    rig_start(&r);
    cr_assert(rig_scanned(&r));
    rig_arrive(&r, "d/moved");
    rig_write(&r, "d/written", "{}\n");
    cr_assert(rig_told(&r, "d/moved", 50));
    cr_assert_eq(rig_last(&r, "d/moved")->trust, WATCHER_MOVED);
    cr_assert_eq(rig_count(&r, "d/written"), 0);
    cr_assert(rig_told(&r, "d/written", 1000));
    cr_assert_eq(rig_last(&r, "d/written")->trust, WATCHER_QUIET);
    cr_assert_eq(rig_last(&r, "d/written")->source, WATCHER_EVENT);
    rig_turn(&r, 200);
    cr_assert_eq(r.told_n, 2);
    rig_fini(&r);
}
