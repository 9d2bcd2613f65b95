#!/usr/bin/python3
"""What people decide about files: hold, release, forget, retry by name, pattern and state; that it is
durable when the command returns; and the receipts of what was delivered.

    tests/e2e/verbs.py BUILD_DIR [TEST]…
"""

import json
import os
import pty
import select
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import (SLOW, SPOOLGATE, Devstore, Dropped, Gateway, check, check_equal, compare, event, key,  # noqa: E402
                 no_read_environment, row, run_tests, scratch_dir, slow_disk_environment, spooled, wait_until)

FAST = {"settle": "100ms", "rescan": "10s"}
REFUSING = "op=PutObject,status=503,code=SlowDown"


def expect(done, status, *words, what):
    text = done.stdout + done.stderr
    ok = done.returncode == status and all(word in text for word in words)
    return check(ok, f"{what}: expected {status} {words}, got {done.returncode}: {text}")


def drop(gateway, count, event_type="findings", start=0):
    dropped = Dropped()
    for number in range(start, start + count):
        dropped.rename(gateway.root, key(event_type, f"f-{number}.ndjson"), event(number))
    return dropped


def wait_waiting(gateway, count):
    check(wait_until(lambda: gateway.status()["backlog"]["files"] >= count), f"{count} files wait")


def states(gateway):
    return {path: found["state"] for path, found in gateway.files().items()}


def durable_when_it_returns():
    """Each verb, then kill -9 at once: what the command said is so after the restart."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault(REFUSING)
        dropped = drop(gateway, 6)
        wait_waiting(gateway, 6)
        held, forgotten, both, free, late, changed = dropped
        expect(gateway.cli("hold", held, both), 0, f"held      {held}", f"held      {both}", what="hold")
        gateway.kill()
        gateway.start()
        check_equal(states(gateway)[held], "held", "after kill -9 a held file")
        expect(gateway.cli("forget", forgotten, both, changed), 0, "forgotten", "stays at", gateway.root, what="forget")
        gateway.kill()
        gateway.start()
        now = states(gateway)
        check_equal([now[p] for p in (held, forgotten, both, changed)],
                    ["held", "forgotten", "forgotten", "forgotten"], "after kill -9")
        check(free in now and now[free] in ("accepted", "deferred", "sending"), f"the others wait: {now}")
        expect(gateway.cli("hold", held), 0, "unchanged", "held already", what="hold again")
        expect(gateway.cli("forget", forgotten), 0, "unchanged", "forgotten already", what="forget again")
        expect(gateway.cli("release", free), 0, "unchanged", "not held", what="release of what is not held")
        expect(gateway.cli("release", forgotten), 1, "retry takes it up", what="release of a forgotten one")
        bucket.clear_faults()
        gateway.cli("retry", free)
        check(wait_until(lambda: len(bucket.keys()) == 2), "the two others go")
        gateway.api("POST", "/v1/rescan")
        gateway.restart()
        gateway.api("POST", "/v1/rescan")
        time.sleep(1)
        check_equal(sorted(bucket.keys()), sorted([free, late]), "no rescan and no restart sends the rest")
        check_equal(sorted(spooled(gateway.root)), sorted([held, forgotten, both, changed]), "their bytes are there")
        facts = gateway.cli_json("why", held)
        check_equal((facts["state"], facts["held_by"]), ("held", "operator"), "why of what was held by hand")
        facts = gateway.cli_json("why", forgotten)
        check_equal((facts["state"], facts["place"]), ("forgotten", os.path.join(gateway.root, forgotten)),
                    "why of what was forgotten")
        check_equal(gateway.status()["files"]["forgotten"], 3, "status counts the forgotten")
        expect(gateway.cli("status"), 0, "3 files stay in the spool", what="status")
        expect(gateway.cli("ls", "--state", "forgotten"), 0, forgotten, both, what="ls --state forgotten")
        dropped.rename(gateway.root, changed, event(99, 500))
        check(wait_until(lambda: changed in bucket.keys()), "a forgotten file that changes is sent")
        expect(gateway.cli("retry", forgotten), 0, "retried", what="retry of a forgotten file")
        check(wait_until(lambda: forgotten in bucket.keys()), "it is sent")
        expect(gateway.cli("release", held), 0, "released", what="release")
        expect(gateway.cli("retry", "--state", "forgotten"), 0, both, what="retry --state forgotten")
        gateway.wait_idle()
        compare(bucket, dropped)
        for verb in ("hold", "forget", "release"):
            expect(gateway.cli(verb, held), 1, held, "delivered", what=f"{verb} of a delivered file")
        row("hold, forget, release, retry and kill -9", "durable when the command returns")


def a_held_file_that_is_replaced_while_the_gateway_is_down():
    """A new version is a new file, as it is while the gateway runs; another mode makes no new one,
    nor does a file system that lost the end of it."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault(REFUSING)
        dropped = drop(gateway, 3)
        wait_waiting(gateway, 3)
        replaced, chmodded, torn = dropped
        expect(gateway.cli("hold", *dropped), 0, f"held      {torn}", what="hold")
        gateway.stop()
        bucket.clear_faults()
        dropped.rename(gateway.root, replaced, event(99, 500))
        os.chmod(os.path.join(gateway.root, chmodded), 0o640)
        full = os.path.join(gateway.root, torn)
        before = os.stat(full)
        os.truncate(full, 10)
        os.utime(full, ns=(before.st_atime_ns, before.st_mtime_ns))
        gateway.start()
        check(wait_until(lambda: gateway.delivered() == 1), "the new version is sent")
        rescans = gateway.status()["watcher"]["rescans"]
        gateway.api("POST", "/v1/rescan")
        check(wait_until(lambda: gateway.status()["watcher"]["rescans"] > rescans), "a rescan ran")
        check_equal(states(gateway), {chmodded: "held", torn: "held"}, "the others")
        check_equal(gateway.status()["since_start"]["accepted"], 1, "files accepted since the start")
        del dropped[chmodded], dropped[torn]
        compare(bucket, dropped)


def a_forgotten_file_with_another_mode():
    """It stays given up until its bytes are others, whoever looks: a scan, or somebody who moved it."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault(REFUSING)
        dropped = drop(gateway, 3)
        wait_waiting(gateway, 3)
        chmodded, moved, replaced = dropped
        expect(gateway.cli("forget", "--yes", *dropped), 0, f"forgotten {moved}", what="forget")
        gateway.stop()
        bucket.clear_faults()
        os.chmod(os.path.join(gateway.root, chmodded), 0o640)
        gateway.start()
        full = os.path.join(gateway.root, moved)
        os.rename(full, full + ".tmp")
        os.rename(full + ".tmp", full)
        dropped.rename(gateway.root, replaced, event(99, 500))
        check(wait_until(lambda: gateway.delivered() == 1), "the new version of one is sent")
        rescans = gateway.status()["watcher"]["rescans"]
        gateway.api("POST", "/v1/rescan")
        check(wait_until(lambda: gateway.status()["watcher"]["rescans"] > rescans), "a rescan ran")
        time.sleep(0.5)
        check_equal(states(gateway), {chmodded: "forgotten", moved: "forgotten"}, "the others")
        del dropped[chmodded], dropped[moved]
        compare(bucket, dropped)


def what_is_being_sent():
    """A file in flight is waited for; delivered meanwhile, it is too late, and says so."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault("op=PutObject,latency=2s")
        dropped = drop(gateway, 1)
        name = next(iter(dropped))
        check(wait_until(lambda: states(gateway).get(name) == "sending"), "it is being sent")
        expect(gateway.cli("hold", name), 1, "delivered", what="hold of what is delivered meanwhile")
        bucket.clear_faults()
        bucket.fault("op=PutObject,latency=1500ms,status=503,code=SlowDown")
        dropped.update(drop(gateway, 1, start=1))
        name = list(dropped)[1]
        check(wait_until(lambda: states(gateway).get(name) in ("sending", "deferred")), "another is being sent")
        expect(gateway.cli("hold", name), 0, f"held      {name}", what="hold of what fails meanwhile")
        bucket.clear_faults()
        expect(gateway.cli("release", "--all"), 0, "1 files released", what="release --all of one file")
        gateway.wait_idle()
        compare(bucket, dropped)


def nothing_is_sent_after_hold_all():
    """Files go from state to state while they are listed page by page: none of them is missed."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, {**FAST, "uploads": 4}) as gateway:
        bucket.fault("latency=15ms,jitter=15ms")
        dropped, rounds = Dropped(), 0
        for number in range(3000):
            dropped.rename(gateway.root, key(("findings", "audit")[number % 2], f"f-{number}.ndjson"), event(number))
        wait_until(lambda: gateway.status()["backlog"]["files"] > 0)
        while rounds < 6 and gateway.status()["backlog"]["files"] > 200:
            held = gateway.cli("hold", "--all", "--yes")  # 1: some were delivered before it was their turn
            check(held.returncode in (0, 1), f"round {rounds}: hold: {held.returncode} {held.stderr}")
            left = gateway.status()["files"]
            check_equal((left["accepted"], left["sending"], left["deferred"]), (0, 0, 0), f"round {rounds}: not held")
            delivered = gateway.delivered()
            time.sleep(0.3)
            check_equal(gateway.delivered(), delivered, f"round {rounds}: files delivered after it")
            rounds += 1
            expect(gateway.cli("release", "--all", "--yes"), 0, what="release")
            time.sleep(0.2)
        check(rounds > 2, f"{rounds} rounds")
        bucket.clear_faults()
        gateway.wait_idle(60)
        compare(bucket, dropped)
        row("hold --all while files are sent", f"{rounds} times, nothing was sent afterwards")


def a_held_file_that_is_removed_is_let_go():
    """But not one whose directory is gone, too: that may come back with its file system."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault(REFUSING)
        dropped = drop(gateway, 2)
        dropped.update(drop(gateway, 1, "audit"))
        wait_waiting(gateway, 3)
        removed, stays, moved = dropped
        expect(gateway.cli("hold", "--all", "--yes"), 0, "3 files held", what="hold")
        away = os.path.join(gateway.root, "Panoptica/audit")
        os.rename(away, gateway.state + ".away")
        os.unlink(os.path.join(gateway.root, removed))
        check(wait_until(lambda: gateway.status()["files"]["held"] == 2, 20), "it is held no more")
        check_equal(states(gateway), {stays: "held", moved: "held"}, "the others are")
        os.rename(gateway.state + ".away", away)
        bucket.clear_faults()
        gateway.restart()
        time.sleep(0.5)
        check_equal((states(gateway), bucket.keys()), ({stays: "held", moved: "held"}, {}), "after a restart")
        expect(gateway.cli("release", "--all", "--yes"), 0, "2 files released", what="release")
        gateway.wait_idle()
        del dropped[removed]
        compare(bucket, dropped)


def chosen_by_pattern_and_state():
    with Devstore("--require-acl", "--count") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault(REFUSING)
        dropped = drop(gateway, 1200)
        dropped.update(drop(gateway, 5, "audit"))
        wait_waiting(gateway, 1205)
        for arguments, words in ((("hold", "--all"), "Hold 12"), (("forget", "Panoptica/audit/*"), "Forget 5 files"),
                                 (("forget", "--state", "accepted"), "Forget")):
            expect(gateway.cli(*arguments), 100, words, "--yes", what=f"{arguments} in a pipe")
        check(not {"held", "forgotten"} & set(states(gateway).values()), "nothing was changed")
        expect(gateway.cli("hold", "Panoptica/audit/*/f-1.ndjson"), 0, "1 files held", what="a pattern that hits one")
        start = time.monotonic()
        done = gateway.cli("hold", "--all", "--yes")
        expect(done, 0, "1204 files held", what="hold --all")
        print(f"  1204 files held in {time.monotonic() - start:.2f} s")
        check_equal(done.stdout.count("\n"), 1205, "one line a file, and the sum")
        check_equal(gateway.status()["files"]["held"], 1205, "all are held")
        expect(gateway.cli("hold", "--all", "--yes"), 0, "there are none", what="hold --all again")
        expect(gateway.cli("hold", "Panoptica/none/*", "--yes"), 1, "matches", what="a pattern that hits none")
        rows = gateway.cli("forget", "Panoptica/audit/*", os.path.join(gateway.root, "Panoptica/*/f-7.ndjson"),
                           "--state", "held", "--yes", "--json").stdout.splitlines()
        rows = [json.loads(line) for line in rows]
        check_equal(({r["result"] for r in rows}, len(rows)), ({"forgotten"}, 6), "forget by patterns and state")
        expect(gateway.cli("retry", "--all"), 0, "1199 files are held by hand", what="retry --all leaves them")
        check_equal(gateway.status()["files"]["held"], 1199, "they are held still")
        bucket.clear_faults()
        expect(gateway.cli("release", "--state", "held", "-y"), 0, "1199 files released", what="release --state held")
        expect(gateway.cli("retry", "--state", "forgotten"), 0, "6 files on their way", what="retry --state forgotten")
        gateway.wait_idle(60)
        compare(bucket, dropped)
        expect(gateway.cli("forget", "--state", "rejected", "-y"), 100, "forget takes", what="forget --state rejected")
        expect(gateway.cli("hold", "--state", "nonsense", "-y"), 100, "hold takes", what="hold --state nonsense")
        expect(gateway.cli("forget"), 100, "usage", what="forget without a file")
        expect(gateway.cli("forget", "--all", "f"), 100, "usage", what="forget --all with a file")
        expect(gateway.cli("hold", "/etc/passwd"), 100, "not below", what="hold of a path elsewhere")
        expect(gateway.cli("hold", "never.ndjson"), 1, "never", what="hold of what never was")
        row("1 205 files by pattern, by state, all", "each once, none unasked")


def at_a_terminal(gateway, arguments, answer):
    """spoolgate ARGUMENTS with a terminal; what it showed, and the exit status."""
    master, slave = pty.openpty()
    process = subprocess.Popen([SPOOLGATE, arguments[0], "-c", gateway.config_path, *arguments[1:]], stdin=slave,
                               stdout=slave, stderr=slave, env=gateway.environment())
    os.close(slave)
    shown, answered, end = "", False, time.monotonic() + 20 * SLOW
    while time.monotonic() < end:
        if select.select([master], [], [], 0.1)[0]:
            try:
                shown += os.read(master, 65536).decode(errors="replace")
            except OSError:
                break
        elif process.poll() is not None:
            break
        if "[y/N]" in shown and not answered:
            os.write(master, answer.encode() + b"\n")
            answered = True
    status = process.wait(20 * SLOW)
    os.close(master)
    return shown, status


def a_terminal_is_asked():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault(REFUSING)
        dropped = drop(gateway, 150)
        wait_waiting(gateway, 150)
        shown, status = at_a_terminal(gateway, ["forget", "--all"], "n")
        check(status == 1 and "Forget 150 files" in shown and "nothing was changed" in shown, f"no: {status} {shown}")
        check_equal(gateway.status()["files"]["forgotten"], 0, "no means no")
        shown, status = at_a_terminal(gateway, ["hold", "--all"], "y")
        check(status == 0 and "150 of 150" in shown and "150 files held" in shown, f"yes: {status} {shown}")
        check(shown.count("ndjson") == 0, "on a terminal many files are counted, not listed")
        bucket.clear_faults()
        shown, status = at_a_terminal(gateway, ["release", "--all", "--yes"], "")
        check(status == 0 and "[y/N]" not in shown, f"--yes is not asked: {status} {shown}")
        gateway.wait_idle()
        compare(bucket, dropped)


def the_api_is_told_nonsense():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        for verb, body in (("hold", {}), ("hold", {"all": False}), ("hold", {"paths": "f"}), ("hold", {"paths": [1]}),
                           ("hold", {"paths": [""]}), ("hold", {"paths": ["a"] * 1001}),
                           ("retry", {"all": True, "limit": 0}), ("retry", {"all": True, "limit": 1001}),
                           ("retry", {"all": True, "limit": "x"}), ("retry", {"all": True, "cursor": "77:00"}),
                           ("retry", {"all": True, "cursor": "1:zz"}), ("release", {"state": "accepted"}), ("hold", {"paths": ["f"], "state": "rejected"})):
            check_equal(gateway.api("POST", f"/v1/{verb}", body)[0], 400, f"{verb} {str(body)[:60]}")
        status, answer = gateway.api("POST", "/v1/hold", {"paths": ["never", "../x", "a" * 3000]})
        check_equal((status, [r["result"] for r in answer["files"]]), (200, ["failed"] * 3), "paths of nobody")
        check_equal(gateway.api("GET", "/v1/files?cursor=1:zz")[0], 400, "a wrong cursor")


def the_journal_cannot_be_read():
    """Then nothing is said of a file, least of all that it was never there. The journal is longer than
    what the gateway keeps of it in memory."""
    with scratch_dir() as tools, Devstore("--require-acl") as bucket:
        flag = os.path.join(tools, "flag")
        with Gateway(bucket, FAST, env=no_read_environment(tools, flag)) as gateway:
            bucket.fault(REFUSING)
            names, dropped = [], Dropped()
            for number in range(1200):
                names.append(key("t" * 250, f"{number:0240}.ndjson", account="a" * 250))
                dropped.rename(gateway.root, names[-1], event(number))
            wait_waiting(gateway, len(names))
            for verb, done in (("hold", "held"), ("retry", "retried")):
                open(flag, "x").close()
                answer = gateway.api("POST", f"/v1/{verb}", {"paths": names[:1000]})[1]
                os.unlink(flag)
                said = {(r["result"], r["text"]) for r in answer["files"]}
                unread = ("failed", "the journal cannot be read now: try again")
                check(unread in said, f"{verb} says that it could not be told: {said}")
                check_equal({result for result, _ in said - {unread}} - {done}, set(), f"{verb} of the others")
                answer = gateway.api("POST", "/v1/hold", {"paths": names[:1000]})[1]
                check(all(r["result"] in ("held", "unchanged") for r in answer["files"]), "then it can be")


def rejected_files():
    """Listed page by page, whatever bytes their names have, and put back by pattern."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        dropped = Dropped()
        for number in range(300):
            dropped.rename(gateway.root, key("findings", f"bad-{number}.ndjson"), b"{not json\n")
        strange = os.fsencode(os.path.join(gateway.root, "odd")) + b"-\xff\xfe.ndjson"
        with open(strange, "wb") as file:
            file.write(b"{}\n")
        check(wait_until(lambda: gateway.status()["files"]["rejected"] == 301, 30), "all are rejected")
        seen, cursor, pages = [], "", 0
        while True:
            page = gateway.api("GET", "/v1/files?state=rejected&limit=40" + (f"&cursor={cursor}" if cursor else ""))[1]
            seen += [r["path"] for r in page["files"]]
            pages += 1
            if not (cursor := page["cursor"]):
                break
        check_equal((len(seen), len(set(seen)), pages), (301, 301, 8), "each once, in pages of 40")
        gateway.restart()
        check(wait_until(lambda: gateway.status()["files"]["rejected"] == 301), "counted after a restart")
        os.unlink(os.path.join(gateway.root, ".spoolgate/rejected", list(dropped)[299]))
        gateway.api("POST", "/v1/rescan")
        check(wait_until(lambda: gateway.status()["files"]["rejected"] == 300, 20), "counted when one was removed")
        dropped.pop(list(dropped)[299])
        expect(gateway.cli("forget", list(dropped)[0]), 1, "rejected", ".spoolgate/rejected", what="forget of a rejected file")
        for path in list(dropped):
            with open(os.path.join(gateway.root, ".spoolgate/rejected", path), "wb") as file:
                file.write(b'{"a": 1}\n')
            dropped.add(path, b'{"a": 1}\n')
        expect(gateway.cli("retry", "Panoptica/findings/*/bad-[0-9].ndjson"), 0, "10 files on their way", what="retry by pattern")
        check(wait_until(lambda: len(bucket.keys()) == 10), "the ten go")
        expect(gateway.cli("retry", "--all"), 0, "290 files on their way", what="retry --all")
        check(wait_until(lambda: gateway.status()["files"]["rejected"] == 1, 30), "the strange name comes back")
        check(wait_until(lambda: len(bucket.keys()) == 299, 30), "the others go")
        compare(bucket, dropped)


def a_rejected_file_named_by_its_place():
    """A newer file of that name waits or is held by now, and is not the one that was named."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault(REFUSING)
        name = key("findings", "f.ndjson")
        place, pattern = ".spoolgate/rejected/" + name, ".spoolgate/rejected/Panoptica/*"
        Dropped().rename(gateway.root, name, b"{not json\n")
        check(wait_until(lambda: gateway.status()["files"]["rejected"] == 1), "the first is rejected")
        dropped = drop(gateway, 1, "audit")
        dropped.rename(gateway.root, name, event(1))
        wait_waiting(gateway, 2)
        for verb in ("hold", "forget", "release"):
            for named in (place, os.path.join(gateway.root, place), pattern):
                done = gateway.cli(verb, *dropped, named, *(() if verb == "release" else ("--yes",)))
                expect(done, 1, named, "rejected, so it is not sent", what=f"{verb} {named}")
        check(not {"held", "forgotten"} & set(states(gateway).values()), f"nothing was touched: {states(gateway)}")
        expect(gateway.cli("hold", name), 0, "held", what="hold")
        for named in (place, pattern):
            expect(gateway.cli("retry", named), 1, name, "there is a new file", what=f"retry {named}")
        expect(gateway.cli("retry", "--state", "held", place), 1, "rejected, not held", what="retry --state held")
        expect(gateway.cli("retry", place + "-none"), 1, "there is no rejected file", what="retry of nothing")
        check_equal(gateway.cli_json("why", name)["state"], "held", "the newer file")
        os.rename(os.path.join(gateway.root, name), os.path.join(gateway.root, key("findings", "newer.ndjson")))
        with open(os.path.join(gateway.root, place), "wb") as file:
            file.write(event(2))
        dropped.add(name, event(2))
        dropped.add(key("findings", "newer.ndjson"), event(1))
        bucket.clear_faults()
        expect(gateway.cli("retry", place), 0, f"restored  {name}", what="retry")
        gateway.wait_idle()
        compare(bucket, dropped)


def held_with_its_event_type():
    """What waits because its event type is refused is held too: it does not go when that may again."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault("op=PutObject,status=403,code=AccessDenied,prefix=Panoptica/findings")
        dropped = drop(gateway, 5)
        check(wait_until(lambda: list(states(gateway).values()) == ["held"] * 5, 20), "they wait for their event type")
        expect(gateway.cli("hold", "--all"), 100, "Hold 5 files", what="hold --all in a pipe")
        expect(gateway.cli("hold", "--state", "held", "Panoptica/*/f-0.ndjson"), 0, "1 files held", what="hold --state held")
        expect(gateway.cli("hold", "--all", "--yes"), 0, "4 files held", what="hold --all")
        expect(gateway.cli("hold", "--all"), 0, "there are none", what="hold --all again")
        bucket.clear_faults()
        expect(gateway.cli("retry", "--all"), 0, "5 files are held by hand", what="retry --all")
        dropped.update(drop(gateway, 1, start=5))
        check(wait_until(lambda: bucket.keys()), "the event type goes out again")
        time.sleep(0.5)
        check_equal(sorted(bucket.keys()), sorted(dropped)[5:], "sent after hold --all")
        expect(gateway.cli("release", "--all", "--yes"), 0, "5 files released", what="release --all")
        gateway.wait_idle()
        compare(bucket, dropped)


def what_shrank_goes_as_it_is():
    """Held since it is shorter than what was accepted: retry and release send what is left of it."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault(REFUSING)
        whole, dropped = b"".join(event(number) for number in range(10)), Dropped()
        names = [key("findings", f"f-{verb}.ndjson") for verb in ("retry", "release")]
        for name in names:
            dropped.rename(gateway.root, name, whole)
        wait_waiting(gateway, 2)
        for name in names:
            path = os.path.join(gateway.root, name)
            times = os.stat(path)
            os.truncate(path, len(event(0)))
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            dropped.add(name, event(0))
        bucket.clear_faults()
        gateway.api("POST", "/v1/rescan")
        check(wait_until(lambda: gateway.status()["files"]["held"] == 2, 20), f"they are held: {states(gateway)}")
        for verb, name in zip(("retry", "release"), names):
            check_equal(gateway.cli_json("why", name).get("code"), "shrunk", f"why {name}")
            expect(gateway.cli(verb, name), 0, {"retry": "retried", "release": "released"}[verb], what=verb)
            check(wait_until(lambda: name in bucket.keys()), f"{verb} sends it: {states(gateway)}")
        gateway.wait_idle()
        compare(bucket, dropped)


def what_shrank_is_held_whoever_looks_meanwhile():
    """While the record of that is written, a scan finds a file that is not what was accepted: it is
    neither taken for a new one nor, cut in mid-line, rejected."""
    with scratch_dir() as tools, Devstore("--require-acl") as bucket, \
            Gateway(bucket, FAST, env=slow_disk_environment(tools)) as gateway:
        bucket.fault(REFUSING)
        dropped = Dropped()
        lengths = {key("findings", f"f-{number}.ndjson"): length
                   for number, length in enumerate((len(event(0)), len(event(0)) + 10))}
        for name in lengths:
            dropped.rename(gateway.root, name, event(0) + event(1))
        wait_waiting(gateway, 2)
        for name, length in lengths.items():
            path = os.path.join(gateway.root, name)
            times = os.stat(path)
            os.truncate(path, length)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        bucket.clear_faults()
        gateway.cli("retry", "--all")

        def is_over():
            gateway.api("POST", "/v1/rescan")
            files = gateway.status()["files"]
            return files["held"] == 2 or files["rejected"] or bucket.keys()
        check(wait_until(is_over, 20, 0.01), "they come to be held")
        rescans = gateway.status()["watcher"]["rescans"]
        gateway.api("POST", "/v1/rescan")
        check(wait_until(lambda: gateway.status()["watcher"]["rescans"] > rescans), "a rescan ran")
        check(wait_until(lambda: gateway.status()["files"]["settling"] == 0), "what it found was looked at")
        check_equal(states(gateway), dict.fromkeys(lengths, "held"), "what shrank")
        check_equal(gateway.status()["since_start"]["accepted"], 2, "files accepted")
        check_equal(bucket.keys(), {}, "objects")


def a_stop_waits_for_no_flood():
    """What is still to be rejected is left to the next start."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bad = Dropped()
        for number in range(400):
            bad.rename(gateway.root, key("findings", f"bad-{number}.ndjson"), b"{not json\n")
        check(wait_until(lambda: gateway.status()["files"]["rejected"] > 0), "the first are rejected")
        start = time.monotonic()
        check_equal(gateway.stop(), 0, "exit status after SIGTERM")
        check(time.monotonic() - start < 10 * SLOW, f"it took {time.monotonic() - start:.1f} s to stop")
        gateway.start()
        check(wait_until(lambda: gateway.status()["files"]["rejected"] == 400, 60), "then all are rejected")
        check_equal(spooled(gateway.root), [], "files left in the spool")


def receipts_of(gateway, *arguments, status=0):
    done = gateway.cli("receipts", *arguments)
    check_equal(done.returncode, status, f"receipts {arguments}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def receipts():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        dropped = drop(gateway, 20)
        gateway.wait_idle()
        time.sleep(1.1)
        between = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        time.sleep(1)
        early = set(dropped)
        dropped.update(drop(gateway, 20, "audit"))
        gateway.wait_idle()
        for running in (True, False):
            if not running:
                gateway.stop()
            got = receipts_of(gateway)
            check_equal({r["path"]: (r["size"], r["sha256"]) for r in got}, dict(dropped), "a receipt for each")
            check_equal(len(got), 40, "once each")
            check_equal([r["path"] in early for r in got], [True] * 20 + [False] * 20, "in the order of delivery")
            etags = {k: r[2].strip('"') for k, r in bucket.keys().items()}
            check_equal({r["key"]: r["etag"].strip('"') for r in got}, etags, "their ETags")
            check(all(r["bucket"] == bucket.bucket and r["attempts"] >= 0 and r["accepted_at"] <= r["delivered_at"]
                      and r["verified"] is False and "request_id" in r and "version_id" in r for r in got), f"fields: {got[0]}")
            check_equal({r["path"] for r in receipts_of(gateway, "--until", between)}, early, "--until")
            check_equal({r["path"] for r in receipts_of(gateway, "--since", between)}, set(dropped) - early, "--since")
            check_equal(len(receipts_of(gateway, "--since", "1h", "--until", between)), 20, "--since 1h --until T")
            check_equal(len(receipts_of(gateway, "Panoptica/audit/*")), 20, "by pattern")
            name = next(iter(early))
            check_equal([r["path"] for r in receipts_of(gateway, os.path.join(gateway.root, name))], [name], "by path")
            check_equal(receipts_of(gateway, "nothing*"), [], "nothing matches")
        expect(gateway.cli("receipts", "--since", "yesterday"), 100, "no time", what="--since yesterday")
        journal = os.path.join(gateway.state, "journal")
        gateway.start()
        dropped.update(drop(gateway, 5, "late"))  # a segment behind the one that is damaged
        gateway.wait_idle()
        gateway.stop()
        first = sorted(s for s in os.listdir(journal) if s.endswith(".seg"))[0]
        with open(os.path.join(journal, first), "r+b") as file:
            file.seek(os.path.getsize(file.name) // 2)
            file.write(b"damage")
        done = gateway.cli("receipts")
        expect(done, 1, "segment 1", "offset", what="receipts of a damaged journal")
        left = [json.loads(line)["path"] for line in done.stdout.splitlines()]
        check(0 < len(left) < 45 and sum("late" in p for p in left) == 5, f"the rest is printed: {len(left)}")
        compare(bucket, dropped)
        row("receipts, with and without a gateway", f"{len(left)} left beside a damaged segment")


run_tests([durable_when_it_returns, a_held_file_that_is_replaced_while_the_gateway_is_down,
           a_forgotten_file_with_another_mode, what_is_being_sent,
           nothing_is_sent_after_hold_all, a_held_file_that_is_removed_is_let_go, chosen_by_pattern_and_state,
           a_terminal_is_asked, the_api_is_told_nonsense, the_journal_cannot_be_read, rejected_files, a_rejected_file_named_by_its_place,
           held_with_its_event_type, what_shrank_goes_as_it_is,
           what_shrank_is_held_whoever_looks_meanwhile, a_stop_waits_for_no_flood, receipts])
