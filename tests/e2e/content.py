#!/usr/bin/python3
# also-under: asan valgrind
"""What is in the files, and what becomes of them: broken ones are rejected with line and column and
come back mended; what is not selected waits; delivered files are deleted, archived or kept."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

GOOD = b"".join(event(n) for n in range(30))


def broken_line(number):
    """GOOD with a line that ends in the middle; the column where that is."""
    lines = GOOD.splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].rstrip(b"}\n") + b"\n"
    return b"".join(lines), len(lines[number - 1])


def rejected_path(gateway, path):
    return os.path.join(gateway.root, ".spoolgate/rejected", path)


def spool(gateway, path, data):
    """Dropped, but not expected in the bucket."""
    Dropped().rename(gateway.root, path, data)


def broken_files_are_rejected_and_come_back_mended():
    with Devstore("--require-acl") as bucket, Gateway(bucket, {"settle": "100ms"}) as gateway:
        data, column = broken_line(17)
        bad = {key("findings", "line-17.ndjson"): (data, "line 17"),
               key("findings", "no-newline.ndjson"): (GOOD.rstrip(b"\n"), "line 30"),
               key("audit", "array.ndjson"): (b'{"id":1}\n[1,2]\n', "line 2"),
               key("audit", "blank.ndjson"): (b'{"id":1}\n\n{"id":2}\n', "line 2"),
               key("audit", "latin-1.ndjson"): (b'{"id":"\xfc"}\n', "line 1"),
               key("audit", "gzip.ndjson"): (b"\x1f\x8b\x08\x00" + bytes(100), "line 1")}
        for path, (data, _) in bad.items():
            spool(gateway, path, data)
        ok = wait_until(lambda: gateway.status()["files"]["rejected"] == len(bad))
        check(ok, f"all are rejected: {gateway.status()['files']}")
        listed = {row["path"]: row for row in gateway.cli_json("ls", "--state", "rejected")}
        check_equal(sorted(listed), sorted(bad), "ls --state rejected")
        for path, (data, words) in bad.items():
            lies = rejected_path(gateway, path)
            with open(lies, "rb") as file:
                check(file.read() == data, f"{path} lies unchanged in rejected/")
            with open(lies + ".reason") as file:
                reason = json.load(file)["reason"]
            check(words in reason and "column" in reason, f"{words} and a column in {reason!r}")
            check_equal(listed[path]["why"], reason, "the reason in ls")
            why = gateway.cli("why", path)
            check(why.returncode == 0 and reason in why.stdout and "retry" in why.stdout,
                  f"why says the reason and the remedy: {why.stdout}")
            print(f"  {os.path.basename(path):18} {reason}")
        check(f"column {column}" in listed[next(iter(bad))]["why"], f"column {column} of line 17")
        status = gateway.cli("status").stdout
        check("6 rejected" in status, f"status counts them: {status.splitlines()[:1]}")
        check_equal(bucket.objects(), {}, "objects stored")

        dropped = Dropped()
        first, second, third, *rest = bad

        def mend(path):
            with open(rejected_path(gateway, path), "wb") as file:
                file.write(GOOD)
            dropped.add(path, GOOD)

        mend(first)  # by its path below the root
        done = gateway.cli("retry", first)
        check_equal((done.returncode, done.stderr), (0, ""), "retry by path")
        gateway.wait_delivered(1)
        mend(second)  # by the path where it lies
        done = gateway.cli("retry", rejected_path(gateway, second))
        check_equal((done.returncode, done.stderr), (0, ""), "retry by the whole path")
        gateway.wait_delivered(2)
        again = gateway.cli("retry", third)  # not mended
        check_equal(again.returncode, 0, "retry of a file that is still broken")
        wait_until(lambda: gateway.status()["since_start"]["rejected"] == len(bad) + 1)
        check_equal(gateway.status()["files"]["rejected"], len(bad) - 2, "files rejected")
        for path in (third, *rest):
            mend(path)
        done = gateway.cli("retry", "--all")
        check_equal((done.returncode, done.stderr), (0, ""), "retry --all")
        check(wait_until(lambda: gateway.status()["files"]["rejected"] == 0),
              "none is rejected afterwards")
        gateway.wait_idle()
        compare(bucket, dropped)
        left = [f for _, _, files in os.walk(rejected_path(gateway, "")) for f in files]
        check_equal(left, [], "files left in rejected/")
        with open(rejected_path(gateway, "strays/one"), "w"):
            pass  # as if it could not be put back while it was retired
        gateway.api("POST", "/v1/rescan")  # counts them too
        check(wait_until(lambda: gateway.status()["files"]["rejected"] == 1, 20), "a stray is counted")
        missing = gateway.cli("retry", key("findings", "never-there.ndjson"))
        check_equal(missing.returncode, 1, "retry of a file that nobody knows")
        check("never-there" in missing.stderr, f"it says so: {missing.stderr}")


def small_files_do_not_wait_until_large_ones_are_read():
    with Devstore("--require-acl") as bucket, Gateway(bucket, {"settle": "100ms"}) as gateway:
        dropped = Dropped()
        dropped.rename(gateway.root, key("findings", "first.ndjson"), event())
        gateway.wait_delivered(1)
        lines = b"".join(event(n, 1000) for n in range(1000))
        large = lines * ((34 << 20) // len(lines) + 1)
        names = [key("findings", f"large-{n}.ndjson") for n in range(4)]
        os.kill(gateway.process.pid, signal.SIGSTOP)  # so that it finds all of them at once
        for name in names:
            dropped.rename(gateway.root, name, large)
        for number in range(20):
            dropped.rename(gateway.root, key("findings", f"small-{number}.ndjson"), event(number))
        bad = key("findings", "large-bad.ndjson")
        spool(gateway, bad, large + b"{]\n")
        gateway.signal(signal.SIGCONT)
        gateway.wait_delivered(25)
        compare(bucket, dropped)
        ok = wait_until(lambda: bad in gateway.files("rejected"))
        check(ok, "a large one is rejected for its last line")
        dump = gateway.cli("journal", "dump").stdout.splitlines()
        order = [r["path"] for r in map(json.loads, dump) if r["type"] == "accepted"]
        check_equal(len(set(order[-3:]) & set(names)), 3, f"large ones among the three accepted last: {order[-3:]}")


def a_good_file_under_the_name_of_a_bad_one_is_sent():
    """While hundreds of bad files wait to be moved away, their producer mends the last of them."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, {"settle": "100ms"}) as gateway:
        names, mended = [key("findings", f"f-{n:03}.ndjson") for n in range(600)], Dropped()
        for path in names:
            spool(gateway, path, b"{not json\n")
        check(wait_until(lambda: gateway.status()["files"]["rejected"] > 0, 30, 0.005), "the first are rejected")
        for number, path in enumerate(names[-200:]):
            mended.rename(gateway.root, path, event(number))
        gateway.wait_idle(60)
        compare(bucket, mended)
        lost = [p for p in names[-200:] if os.path.exists(rejected_path(gateway, p))
                and open(rejected_path(gateway, p), "rb").read() != b"{not json\n"]
        check_equal(lost, [], "good files in rejected/")
        since = gateway.status()["since_start"]["rejected"]
        row("bad files mended while they are rejected", f"{200 - (since - 400)} of 200 in time, all are sent")


def content_may_be_switched_off_for_a_type():
    with Devstore("--require-acl") as bucket, Gateway(bucket, {
            "settle": "100ms", "send": {"types": {"packed": {"content": "any"}}}}) as gateway:
        dropped, data = Dropped(), b"\x1f\x8b\x08\x00" + bytes(range(256))
        dropped.rename(gateway.root, key("packed", "f.gz"), data)
        dropped.write(gateway.root, key("packed", "no-newline"), b"x")
        spool(gateway, key("findings", "f.gz"), data)
        wait_until(lambda: gateway.status()["files"]["rejected"] == 1 and gateway.delivered() == 2)
        check_equal(gateway.status()["files"]["rejected"], 1, "files rejected")
        compare(bucket, dropped)
        # For all of them, by a reload.
        gateway.configure({"content": "any"})
        gateway.reload()
        check(wait_until(lambda: "event=reloaded" in gateway.log()), "the gateway reloaded")
        gateway.cli("retry", "--all")
        dropped.add(key("findings", "f.gz"), data)
        gateway.wait_idle()
        compare(bucket, dropped)


def what_is_not_selected_waits():
    types = {"audit": {"class": "raw"}, "findings": {"class": "processed"}}
    with Devstore("--require-acl") as bucket, Gateway(bucket, {
            "settle": "100ms", "send": {"raw": False, "types": types}}) as gateway:
        sent, waiting = Dropped(), Dropped()
        for number in range(10):
            sent.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
            waiting.rename(gateway.root, key("audit", f"a-{number}.ndjson"), event(number))
        gateway.wait_delivered(10)
        check(wait_until(lambda: gateway.status()["files"]["held"] == 10), "ten files are held")
        compare(bucket, sent)
        rows = gateway.cli_json("ls", "--state", "held")
        check_equal({r["path"]: (r["state"], r["why"]) for r in rows},
                    {path: ("held", "not selected") for path in waiting}, "ls --state held")
        check("held" in gateway.cli("ls").stdout, "ls shows the state")
        why = gateway.cli("why", next(iter(waiting)))
        check("not selected" in why.stdout and "send" in why.stdout, f"why says so: {why.stdout}")
        status = gateway.status()
        check("held" in status["sentence"], f"the sentence counts them: {status['sentence']}")
        check_equal(gateway.cli("status", "--max-age", "1ms").returncode, 0,
                    "what is not selected is nobody's delay")
        check_equal(sorted(spooled(gateway.root)), sorted(waiting), "files in the spool")
        gateway.restart()
        check(wait_until(lambda: gateway.status()["files"]["held"] == 10), "held after a restart")
        gateway.configure({"send": {"raw": True}})
        gateway.reload()
        gateway.wait_idle()
        compare(bucket, Dropped(**sent, **waiting))


def what_is_deselected_waits_though_it_was_tried():
    with Devstore("--require-acl") as bucket, Gateway(bucket, {"settle": "100ms"}) as gateway:
        bucket.fault("op=PutObject,status=500,code=InternalError,prefix=Panoptica/audit")
        sent, waiting = Dropped(), Dropped()
        for number in range(3):
            waiting.rename(gateway.root, key("audit", f"a-{number}.ndjson"), event(number))

        def all_deferred():  # others pass, or the store as a whole would be paused
            number = len(sent)
            sent.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
            gateway.wait_delivered(number + 1)
            return gateway.status()["files"]["deferred"] == 3

        check(wait_until(all_deferred, 30, 0.2), f"three are deferred: {gateway.status()['files']}")
        gateway.configure({"send": {"types": {"audit": {"class": "raw"}}, "raw": False}})
        gateway.reload()
        check(wait_until(lambda: "event=reloaded" in gateway.log()), "the gateway reloaded")
        tried = bucket.stats()["operations"]["PutObject"]
        bucket.clear_faults()
        time.sleep(3)
        compare(bucket, sent)
        check_equal(bucket.stats()["operations"]["PutObject"], tried, "requests after the reload")
        check_equal(gateway.status()["files"]["held"], 3, "they are held")
        gateway.configure({"send": {"raw": True}})
        gateway.reload()
        gateway.wait_idle()
        compare(bucket, Dropped(**sent, **waiting))


def delivered_files_go_into_the_archive():
    with Devstore("--require-acl") as bucket, Gateway(bucket, {
            "settle": "100ms", "after_delivery": {"action": "archive"}}) as gateway:
        dropped = Dropped()
        for number in range(20):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        gateway.wait_idle()
        archive = os.path.join(gateway.root, ".spoolgate/archive")
        check(wait_until(lambda: gateway.status()["since_start"]["archived"] == 20), "20 archived")
        found = [os.path.join(d, f) for d, _, files in os.walk(archive) for f in files]
        days = (TODAY, time.strftime("%Y-%m-%d", time.gmtime()))
        relative = {os.path.relpath(path, archive): path for path in found}
        check_equal(sorted(name.split("/", 1)[1] for name in relative), sorted(dropped), "files in the archive")
        check(all(name.split("/", 1)[0] in days for name in relative),
              f"the archive is by the date of delivery: {sorted(relative)[:2]}")
        for name, path in relative.items():
            check_equal(sha256_file(path), dropped[name.split("/", 1)[1]][1], f"bytes of {name}")
        gateway.restart()
        check(not wait_until(lambda: gateway.delivered() > 0, 1), "nothing is sent again")
        compare(bucket, dropped)
        check_equal(bucket.stats()["operations"]["PutObject"], 20, "requests")


def kept_files_are_not_sent_again():
    with Devstore("--require-acl") as bucket, Gateway(bucket, {
            "settle": "100ms", "after_delivery": {"action": "keep"}}) as gateway:
        dropped = Dropped()
        for number in range(20):
            (dropped.rename, dropped.write)[number % 2](
                gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        gateway.wait_delivered(20)
        check(wait_until(lambda: gateway.status()["files"]["kept"] == 20), "20 files are kept")

        def rescan():
            before = gateway.status()["watcher"]["rescans"]
            gateway.api("POST", "/v1/rescan")
            check(wait_until(lambda: gateway.status()["watcher"]["rescans"] > before), "a rescan ran")
            time.sleep(0.5 * SLOW)

        for what in (rescan, gateway.restart, rescan):
            what()
            check_equal(bucket.stats()["operations"], {"PutObject": 20}, "requests")
            check_equal(sorted(spooled(gateway.root)), sorted(dropped), "files in the spool")
        check_equal(len(gateway.cli_json("ls", "--state", "delivered")), 20, "ls --state delivered")
        why = gateway.cli("why", next(iter(dropped)))
        check("delivered" in why.stdout, f"why of a kept file: {why.stdout}")
        compare(bucket, dropped)
        # New bytes under a kept name are a new file: other bytes than its key holds.
        name = next(iter(dropped))
        other = event(1000)
        Dropped().rename(gateway.root, name, other)
        check(wait_until(lambda: bucket.stats()["objects_stored"] == 21), "the new bytes are stored")
        digest = hashlib.sha256(other).hexdigest()
        stem, extension = os.path.splitext(name)
        dropped.add(f"{stem}~{digest[:8]}{extension}", other)
        compare(bucket, dropped)
        # The same while nobody watches.
        gateway.stop()
        name = list(dropped)[1]
        other = event(1001)
        Dropped().rename(gateway.root, name, other)
        gateway.start()
        check(wait_until(lambda: bucket.stats()["objects_stored"] == 22), "new bytes after a stop")
        digest = hashlib.sha256(other).hexdigest()
        stem, extension = os.path.splitext(name)
        dropped.add(f"{stem}~{digest[:8]}{extension}", other)
        compare(bucket, dropped)


run_tests([broken_files_are_rejected_and_come_back_mended,
           a_good_file_under_the_name_of_a_bad_one_is_sent, small_files_do_not_wait_until_large_ones_are_read,
           content_may_be_switched_off_for_a_type, what_is_not_selected_waits,
           what_is_deselected_waits_though_it_was_tried, delivered_files_go_into_the_archive,
           kept_files_are_not_sent_again])
