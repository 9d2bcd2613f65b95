#!/usr/bin/python3
"""Rejected files: how many there are, and those that cannot be moved away.

    tests/e2e/rejected.py BUILD_DIR [TEST]…

Other users are needed (setpriv), so it must run as root: as anybody else it fails and says so.
"""
# also-under: asan

import contextlib
import json
import os
import resource
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hostile import GATEWAY_UID, as_producer, gateway_as  # noqa: E402
from lib import (SLOW, Devstore, Gateway, _UnixConnection, check, check_equal, http_quote, key,  # noqa: E402
                 run_tests, wait_until)

QUICK = {"settle": "100ms"}
IN_VIEW = 16384  # a quarter of the watcher's table


def write(gateway, path, text):
    whole = os.path.join(gateway.root, path)
    os.makedirs(os.path.dirname(whole), exist_ok=True)
    with open(whole, "w") as file:
        file.write(text)


def test_a_count_that_fails_leaves_the_last_one():
    with Devstore() as store, Gateway(store, {**QUICK, "log": {"level": "debug"}}) as gateway:
        for number in range(3):
            write(gateway, key("findings", f"bad-{number}.ndjson"), "{]\n")
        check(wait_until(lambda: gateway.status()["files"]["rejected"] == 3, 20), "three are rejected")
        control = _UnixConnection(gateway.control, 20 * SLOW)

        def ask(method, path):
            """On the connection that is open already."""
            control.request(method, path)
            return json.loads(control.getresponse().read())

        ask("GET", "/v1/status")
        before = resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        for count in (1, 2):  # when the second has begun, what the first has found was told
            ask("POST", "/v1/rescan")
            check(wait_until(lambda: gateway.log().count("rejected_not_counted") >= count, 30),
                  "without a descriptor they cannot be counted")
        check_equal(ask("GET", "/v1/status")["files"]["rejected"], 3, "rejected files, as status has them")
        resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, before)
        control.close()


def look_again(gateway, *paths):
    """An open for writing that writes nothing: they are looked at once more."""
    for path in paths:
        with open(os.path.join(gateway.root, path), "r+b"):
            pass


@contextlib.contextmanager
def two_that_stay():
    """A gateway, its store, and two files that it rejects where it may only read: one for its contents,
    one since the store refuses it."""
    with Devstore() as store, gateway_as(GATEWAY_UID, store) as gateway:
        bad, condemned = key("findings", "bad.ndjson"), key("findings", "condemned.ndjson")
        store.fault("op=PutObject,code=EntityTooLarge")
        day = os.path.join(gateway.root, os.path.dirname(bad))
        # Directories of the producer's own.
        as_producer(f"mkdir -p {day}; echo '{{]' > {day}/bad.ndjson; echo '{{}}' > {day}/condemned.ndjson", "022")
        for path in (bad, condemned):
            check(wait_until(lambda: sum("reject_failed" in line and path in line
                                         for line in gateway.log().splitlines()), 20 * SLOW),
                  f"{path} cannot be moved, and the log says so")
        yield store, gateway, bad, condemned


def let_it_write(gateway):
    as_producer(f"find {gateway.root}/Panoptica -type d -exec chmod g=rwxs {{}} +", "022")


def test_a_rejected_file_that_cannot_be_moved_away_is_recorded_told_and_sent_once():
    with two_that_stay() as (store, gateway, bad, condemned):
        for _ in range(4):
            look_again(gateway, bad, condemned)
            time.sleep(0.6 * SLOW)
        said = gateway.status()["sentence"]
        check("Rejected files cannot be moved away" in said and os.path.dirname(bad) in said, f"status says so: {said}")
        log = gateway.log().splitlines()
        dump = [json.loads(line) for line in gateway.cli("journal", "dump").stdout.splitlines()]
        for path in (bad, condemned):
            check_equal(sum("reject_failed" in line and path in line for line in log), 1,
                        f"lines of the log about {path}")
            check_equal(sum(r["type"] == "rejected" and r["path"] == path for r in dump), 1,
                        f"records of the rejection of {path}")
        check_equal(store.stats()["operations"]["PutObject"], 1, "PutObject requests")
        let_it_write(gateway)
        look_again(gateway, bad, condemned)
        check(wait_until(lambda: set(gateway.files("rejected")) == {bad, condemned}, 20),
              "they are moved as soon as that can be done")
        check(wait_until(lambda: "cannot be moved" not in gateway.status()["sentence"], 20),
              "status says no more of it")
        check(not store.keys(), "nothing was stored")


def test_they_are_shown_as_rejected_and_retry_means_them():
    with two_that_stay() as (store, gateway, bad, condemned):
        for path, words in ((bad, "line 1, column 2"), (condemned, "larger than")):
            told = gateway.cli_json("why", path)
            check_equal(told["state"], "rejected", f"state of {path}, as why tells it")
            check(words in told["why"] and "may not be written" in told["why"], f"and why: {told['why']}")
            check("group write in its directory" in told["remedy"], f"and the remedy: {told['remedy']}")
            check_equal(told["place"], os.path.join(gateway.root, path), "and its place")
            for verb in ("hold", "forget"):
                done = gateway.cli(verb, path)
                check(done.returncode == 1 and "it is rejected" in done.stderr, f"{verb} says so: {done.stderr}")
        listed = gateway.files("rejected")
        check_equal(set(listed), {bad, condemned}, "ls --state rejected")
        check("line 1, column 2" in listed[bad]["why"] and listed[bad]["size"] == 3, f"its row: {listed[bad]}")
        check_equal(gateway.files("settling"), {}, "ls --state settling")
        check_equal({path: r["state"] for path, r in gateway.files().items()},
                    {bad: "rejected", condemned: "rejected"}, "ls")
        first = gateway.api("GET", "/v1/files?limit=1")[1]
        second = gateway.api("GET", f"/v1/files?limit=1&cursor={http_quote(first['cursor'])}")[1]
        check_equal({r["path"] for r in first["files"] + second["files"]}, {bad, condemned}, "in pages of one")
        dump = gateway.cli("journal", "dump").stdout
        done = gateway.cli("retry", bad)
        check(done.returncode == 0 and "looked at now" in done.stdout, f"retry of one that cannot be moved: {done}")
        # As the console asks for it; and by state.
        for wish in ({"paths": [bad], "state": "rejected"}, {"state": "rejected", "match": bad}):
            rows = gateway.api("POST", "/v1/retry", wish)[1]["files"]
            check_equal([(r["path"], r["result"]) for r in rows], [(bad, "retried")], f"retry of {wish}")
        let_it_write(gateway)
        check_equal(gateway.cli("retry", bad).returncode, 0, "retry when it can be")
        check(wait_until(lambda: os.path.exists(os.path.join(gateway.root, ".spoolgate/rejected", bad)), 20),
              "then it is moved at once")
        check_equal(gateway.cli("journal", "dump").stdout.count('"rejected"'), dump.count('"rejected"'),
                    "records of rejections")
        store.clear_faults()
        check_equal(gateway.cli("retry", "--all").returncode, 0, "retry of all")
        check(wait_until(lambda: set(store.keys()) == {condemned}, 20), "what the bucket refused is sent again")


def test_other_settings_are_tried_on_them_at_once():
    with two_that_stay() as (store, gateway, bad, condemned):
        store.clear_faults()
        gateway.configure({"send": {"types": {"findings": {"content": "any"}}}})
        gateway.reload()
        check(wait_until(lambda: set(store.keys()) == {bad, condemned}, 20),  # by itself after 30 s, or an hour
              "they are delivered")


def test_more_than_can_be_kept_in_view_are_recorded_and_told_once_each():
    with Devstore() as store, gateway_as(GATEWAY_UID, store) as gateway:
        count = IN_VIEW + 600
        day = os.path.join(gateway.root, os.path.dirname(key("findings", "f")))
        as_producer(f"mkdir -p {day}; cd {day}; seq {count} | split -l 1 -a 4 - bad-", "022")
        check(wait_until(lambda: gateway.log().count("reject_failed") >= count, 120, 0.5),
              f"{count} cannot be moved, and the log says so")
        check(wait_until(lambda: gateway.status()["files"]["settling"] == IN_VIEW, 60), "so many are in view")
        status = gateway.status()
        check("than are kept in view" in status["sentence"], f"the others are not passed over: {status['sentence']}")
        check_equal(status["state"], "behind", "state")
        for name in os.listdir(day):  # looked at once more, each of them, and then the last
            with open(os.path.join(day, name), "r+b"):
                pass
        write(gateway, key("audit", "good.ndjson"), "{}\n")
        gateway.wait_delivered(1, 120)
        check_equal(gateway.stop(60 * SLOW), 0, "exit status")
        check_equal(gateway.log().count("reject_failed"), count, "lines of the log about them")
        dump = gateway.cli("journal", "dump").stdout
        check_equal(dump.count('"rejected"'), count, "records of their rejection")


if __name__ == "__main__":
    if os.geteuid() != 0:
        check(False, "this must run as root: it needs users of its own")
    run_tests([v for n, v in list(globals().items()) if n.startswith("test_")] if os.geteuid() == 0
              else [])
