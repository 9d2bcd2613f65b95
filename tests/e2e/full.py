#!/usr/bin/python3
"""No space, no inodes, no writing: on the state directory and on the spool, while files arrive.

What was accepted is not harmed, the first line of `status` says what is wrong, `put` refuses early
with a sentence, and all goes on by itself when there is room again. Mounts small file systems of
its own, so it must run as root: as anybody else it fails and says so.
"""
# also-under: asan

import contextlib
import errno
import os
import subprocess
import time

from lib import (ACL, SLOW, Devstore, Dropped, Gateway, check, check_equal, compare, event, key,
                 run_tests, scratch_dir, spooled, wait_until)
from powercut import private_mounts


@contextlib.contextmanager
def small(path, options):
    """A tmpfs of its own at path."""
    os.makedirs(path, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "spoolgate-e2e", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@contextlib.contextmanager
def disk(path, megabytes=16):
    """An ext4 of its own at path; yields a function that makes it read-only at once, as an error on
    the disk does, whoever has a file open."""
    os.makedirs(path, exist_ok=True)
    image = path + ".img"
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, path], check=True)
    device = os.stat(path).st_dev
    name = os.path.basename(os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))

    def fail():
        with open(f"/sys/fs/ext4/{name}/trigger_fs_error", "w") as file:
            file.write("a test")
    try:
        yield fail
    finally:
        subprocess.run(["umount", path], check=True)


def fill(path, leave=0):
    """Take all the space there is, but for `leave` bytes."""
    ballast = os.path.join(path, "ballast")
    with open(ballast, "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        if leave:
            file.truncate(os.path.getsize(ballast) - leave)
    return ballast


def sentence_has(gateway, word, timeout=20):
    """The first line of status comes to hold the word; counted as a check."""
    ok = wait_until(lambda: word in gateway.status()["sentence"], timeout)
    return check(ok, f"status says {word!r}" + ("" if ok else f": {gateway.status()['sentence']}"))


def left(root):
    """What is in the spool, as spooled() has it, without what a file system brings along."""
    return [p for p in spooled(root) if not p.startswith("lost+found")]


def drop(gateway, dropped, count, kind="findings", size=300, start=0):
    for number in range(start, start + count):
        path = key(kind, f"{kind}-{number}.ndjson")
        (dropped.rename, dropped.write)[number % 2](gateway.root, path, event(number, size))


def test_a_full_state_directory_stops_taking_on_and_goes_on_by_itself():
    with Devstore() as store, scratch_dir() as directory, \
         small(os.path.join(directory, "state"), "size=1m") as state, \
         Gateway(store, {"settle": "100ms"}, directory=directory) as gateway:
        dropped = Dropped()
        drop(gateway, dropped, 20)
        gateway.wait_idle()
        store.fault("status=503")  # what is accepted now stays so
        drop(gateway, dropped, 20, "audit")
        wait_until(lambda: gateway.status()["files"]["settling"] == 0 and
                   gateway.status()["backlog"]["files"] == 20)
        check_equal(gateway.status()["backlog"]["files"], 20, "files accepted before the disk is full")
        ballast = fill(state)
        drop(gateway, dropped, 400, "paths")
        sentence_has(gateway, "the journal cannot be written")
        store.clear_faults()
        check_equal(gateway.status()["state"], "stuck", "state")
        check(set(left(gateway.root)) >= {p for p in dropped if "paths" in p or "audit" in p} - set(store.keys()),
              "no file is gone that is not in the bucket")
        os.unlink(ballast)
        gateway.wait_idle(60)
        check_equal(gateway.status()["state"], "ok", "state after there is room again")
        compare(store, dropped)
        check_equal(gateway.starts, 1, "starts")
        gateway.stop()
        gateway.journal_verify()


def test_what_cannot_be_held_or_forgotten_is_not_tried_again_at_once():
    count = 60
    with Devstore() as store, scratch_dir() as directory, \
         small(os.path.join(directory, "state"), "size=1m") as state, \
         Gateway(store, {"settle": "100ms", "conflict": "hold"}, directory=directory) as gateway:
        for number in range(count):
            store.s3().put_object(Bucket=store.bucket, Key=key("audit", f"audit-{number}.ndjson"),
                                  Body=b"other bytes", ACL=ACL)
        for kind, code in (("audit", "held"), ("findings", "vanished")):
            dropped = Dropped()
            store.fault("status=503")
            drop(gateway, dropped, count, kind)
            check(wait_until(lambda: gateway.status()["backlog"]["files"] == count), "all are accepted")
            ballast = fill(state)
            if code == "vanished":
                for path in dropped:
                    os.unlink(os.path.join(gateway.root, path))
            store.clear_faults()
            # What fits into the segment's last block is recorded; what follows waits.
            sentence_has(gateway, "the journal cannot be written")
            had = gateway.log().count("event=" + code)
            time.sleep(3)
            again = gateway.log().count("event=" + code) - had
            check(again <= 4 * count, f"{again} times found to be {code} in 3 s")
            check(gateway.status()["backlog"]["files"] > 0, "some wait")
            os.unlink(ballast)
            check(wait_until(lambda: gateway.status()["backlog"]["files"] == 0, 30),
                  "all are done with when there is room again")
            check_equal(gateway.status()["files"]["held"], count, "held")
        gateway.stop()
        gateway.journal_verify()


def test_a_state_directory_that_is_full_at_the_start_says_so_and_goes_on_by_itself():
    with Devstore() as store, scratch_dir() as directory, \
         small(os.path.join(directory, "state"), "size=64k") as state, \
         Gateway(store, {"settle": "100ms"}, directory=directory, start=False) as gateway:
        ballast = fill(state)
        gateway.start()
        dropped = Dropped()
        drop(gateway, dropped, 4)
        sentence_has(gateway, "the journal cannot be written")
        check_equal(len(left(gateway.root)), 4, "files that cannot be accepted")
        os.unlink(ballast)
        gateway.wait_idle(60)
        compare(store, dropped)
        check_equal(gateway.starts, 1, "starts")


def test_what_a_power_loss_left_of_a_delivered_file_is_held_though_the_journal_was_full():
    whole, name = b"".join(event(number) for number in range(10)), key("findings", "torn.ndjson")
    with Devstore() as store, scratch_dir() as directory, \
         small(os.path.join(directory, "state"), "size=1m") as state, \
         Gateway(store, {"settle": "100ms"}, directory=directory) as gateway:
        store.fault("status=503")
        dropped = Dropped()
        dropped.rename(gateway.root, name, whole)
        check(wait_until(lambda: gateway.status()["backlog"]["files"] == 1), "it is accepted")
        path = os.path.join(gateway.root, name)
        parent = os.path.dirname(path)
        subprocess.run(["mount", "--bind", parent, parent], check=True)  # what lies in it cannot be taken aside
        try:
            store.clear_faults()
            sentence_has(gateway, "cannot be removed")
            gateway.stop()
        finally:
            subprocess.run(["umount", "-l", parent], check=True)
        times = os.stat(path)
        os.truncate(path, len(event(0)))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        ballast = fill(state)
        gateway.start()
        sentence_has(gateway, "the journal cannot be written")
        os.unlink(ballast)
        check(wait_until(lambda: gateway.status()["files"]["held"] == 1, 30), f"it is held: {gateway.files()}")
        check_equal(gateway.cli_json("why", name).get("code"), "shrunk", "why")
        compare(store, dropped)
        gateway.stop()
        gateway.journal_verify()


def full_spool(options, fill_up, why):
    with Devstore() as store, scratch_dir() as directory, \
         small(os.path.join(directory, "spool"), options), \
         Gateway(store, {"settle": "100ms"}, directory=directory) as gateway:
        dropped = Dropped()
        drop(gateway, dropped, 10)
        gateway.wait_idle()
        store.fault("status=503")
        fill_up(gateway, dropped)
        marker = os.path.join(gateway.root, ".spoolgate/full")
        check(wait_until(lambda: gateway.status()["spool"]["full"], 75), "status tells a full spool")
        sentence_has(gateway, why)
        # The marker itself needs an inode: without any left only `put` and status tell.
        if "nr_inodes" not in options:
            check(os.path.exists(marker), "the marker `full` is there")
        done = gateway.cli("put", key("findings", "late.ndjson"), stdin=event(1))
        check_equal(done.returncode, 111, f"exit status of put ({done.stderr.strip()})")
        check("full" in done.stderr or "free" in done.stderr, f"put says why: {done.stderr.strip()}")
        check(not any("late" in p for p in spooled(gateway.root)), "put has left nothing behind")
        before = set(dropped) - set(store.keys())
        check(before <= set(spooled(gateway.root)), "nothing that was dropped is gone")
        check_equal(gateway.stop(), 0, "exit status of a gateway with a full spool")
        gateway.start()  # only a gateway makes room
        store.clear_faults()
        gateway.wait_idle(60)
        check(wait_until(lambda: not gateway.status()["spool"]["full"], 30), "it has room again")
        check(not os.path.exists(marker), "the marker is gone")
        dropped.put(gateway, key("findings", "after.ndjson"), event(2))
        gateway.wait_idle()
        compare(store, dropped)
        check_equal(gateway.starts, 2, "starts")


def test_a_full_spool_refuses_early_and_goes_on_by_itself():
    def fill_up(gateway, dropped):
        number = 0
        with contextlib.suppress(OSError):
            while True:
                path = key("audit", f"{number}.ndjson")
                hidden = os.path.join(gateway.root, ".producer.tmp")
                data = event(number, 40000)
                with open(hidden, "wb") as file:
                    file.write(data)
                full = os.path.join(gateway.root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                os.rename(hidden, full)
                dropped.add(path, data)
                number += 1
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(gateway.root, ".producer.tmp"))
        check(number > 50, "the spool took files until it was full")
    full_spool("size=4m", fill_up, "free on the spool's file system")


def test_a_spool_without_inodes_refuses_early_and_goes_on_by_itself():
    def fill_up(gateway, dropped):
        number = 0
        try:
            while True:
                path = key("audit", f"{number}.ndjson")
                data = event(number)
                full = os.path.join(gateway.root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "xb") as file:
                    file.write(data)
                dropped.add(path, data)
                number += 1
        except OSError as error:
            check_equal(error.errno, errno.ENOSPC, "what ended it")
        check(number > 200, "the spool took files until it had no inodes")
    full_spool("size=8m,nr_inodes=400", fill_up, "inodes are free")


def test_a_spool_that_becomes_read_only_loses_nothing():
    with Devstore() as store, scratch_dir() as directory:
        root = os.path.join(directory, "spool")
        with Gateway(store, {"settle": "100ms"}, directory=directory, start=False) as gateway:
            with disk(root) as fail:
                gateway.start()
                dropped = Dropped()
                store.fault("status=503")
                drop(gateway, dropped, 60)
                wait_until(lambda: gateway.status()["backlog"]["files"] == 60)
                fail()
                store.clear_faults()
                wait_until(lambda: len(store.keys()) == 60, 60)
                check_equal(len(store.keys()), 60, "objects while the spool is read-only")
                check_equal(len(left(root)), 60, "files that cannot be removed")
                sentence_has(gateway, "cannot be removed")
                done = gateway.cli("put", key("findings", "late.ndjson"), stdin=event(1))
                check_equal(done.returncode, 111, f"exit status of put ({done.stderr.strip()})")
                check("Read-only" in done.stderr, f"put says why: {done.stderr.strip()}")
                check_equal(gateway.stop(), 0, "exit status of a gateway on a read-only spool")
                sent = store.stats()["operations"]["PutObject"]
            subprocess.run(["e2fsck", "-fy", root + ".img"], capture_output=True)
            subprocess.run(["mount", "-o", "loop", root + ".img", root], check=True)
            try:
                gateway.start()
                gateway.wait_idle(60)
                check_equal(store.stats()["operations"]["PutObject"], sent,
                            "PutObject requests: what was delivered is not sent again")
                drop(gateway, dropped, 5, "audit")
                gateway.wait_idle()
                compare(store, dropped)
                gateway.stop()
            finally:
                subprocess.run(["umount", root], check=True)


def test_a_state_directory_that_becomes_read_only_loses_nothing():
    with Devstore() as store, scratch_dir() as directory:
        state = os.path.join(directory, "state")
        with Gateway(store, {"settle": "100ms"}, directory=directory, start=False) as gateway:
            with disk(state) as fail:
                gateway.start()
                dropped = Dropped()
                drop(gateway, dropped, 10)
                gateway.wait_idle()
                # Answers that come when no receipt can be written any more: the files stay.
                store.fault(f"latency={int(4000 * SLOW)}ms")
                drop(gateway, dropped, 4, "access")
                check(wait_until(lambda: gateway.status()["files"]["sending"] == 4), "4 are sent")
                fail()
                check(wait_until(lambda: len([k for k in store.keys() if "access" in k]) == 4),
                      "all 4 are stored")
                sentence_has(gateway, "the journal cannot be written")
                check_equal(len([p for p in left(gateway.root) if "access" in p]), 4,
                            "files without a receipt")
                store.clear_faults()
                drop(gateway, dropped, 100, "audit")
                sentence_has(gateway, "the journal cannot be written")
                check(len(left(gateway.root)) >= 100 - len([k for k in store.keys() if "audit" in k]),
                      "no file is gone that is not in the bucket")
                check_equal(gateway.stop(), 0, "exit status of a gateway on a read-only state directory")
                done = gateway.cli("run")
                check_equal(done.returncode, 111, "exit status of run on a read-only state directory")
                check("Read-only" in done.stderr, f"run says why: {done.stderr.strip()}")
            subprocess.run(["e2fsck", "-fy", state + ".img"], capture_output=True)
            subprocess.run(["mount", "-o", "loop", state + ".img", state], check=True)
            try:
                gateway.start()
                gateway.wait_idle()
                compare(store, dropped)
                gateway.stop()
                gateway.journal_verify()
            finally:
                subprocess.run(["umount", state], check=True)


def test_what_stays_in_the_spool_is_not_sent_when_its_file_system_has_another_number():
    with Devstore() as store, scratch_dir() as directory:
        root, other = os.path.join(directory, "spool"), os.path.join(directory, "other")
        config = {"settle": "100ms", "after_delivery": {"action": "keep"}}
        with Gateway(store, config, directory=directory, start=False) as gateway:
            with disk(root):
                gateway.start()
                dropped = Dropped()
                drop(gateway, dropped, 5)
                gateway.wait_delivered(5)
                store.fault("status=503")
                drop(gateway, Dropped(), 1, "audit")
                check(wait_until(lambda: gateway.status()["backlog"]["files"] == 1), "one waits")
                done = gateway.cli("forget", "--all", "--yes")
                check_equal(done.returncode, 0, f"forget ({done.stderr.strip()})")
                files = {path: row["state"] for path, row in gateway.files().items()}
                check_equal(sorted(files.values()), ["delivered"] * 5 + ["forgotten"], "what stays")
                gateway.stop()
                store.clear_faults()
                device = os.stat(root).st_dev
            sent = store.stats()["operations"]["PutObject"]
            with disk(other):  # this one has the number now
                subprocess.run(["mount", "-o", "loop", root + ".img", root], check=True)
                try:
                    check(os.stat(root).st_dev != device, "the file system has another number")
                    gateway.start()
                    time.sleep(1)
                    check_equal({path: row["state"] for path, row in gateway.files().items()}, files,
                                "the files after the start")
                    check_equal(store.stats()["operations"]["PutObject"], sent, "PutObject requests")
                    gateway.stop()
                finally:
                    subprocess.run(["umount", root], check=True)
            compare(store, dropped)


def test_a_spool_root_that_is_unmounted_is_told_and_comes_back():
    with Devstore() as store, scratch_dir() as directory:
        root = os.path.join(directory, "spool")
        with Gateway(store, {"settle": "100ms", "rescan": "10s", "sandbox": "off"}, directory=directory,
                     start=False) as gateway:
            with small(root, "size=8m"):
                gateway.start()
                dropped = Dropped()
                drop(gateway, dropped, 5)
                gateway.wait_idle()
            drop(gateway, dropped, 5, "audit")  # into the directory below
            check(wait_until(lambda: not spooled(root), 60), "what is there now is taken")
            check("spool_root_replaced" in gateway.log(),
                  "the log tells of the spool root")
            gateway.wait_idle()
            compare(store, dropped)


if __name__ == "__main__":
    if os.geteuid() == 0:
        private_mounts()  # whatever becomes of this test, they do not outlive it
    else:
        check(False, "this must run as root: it mounts small file systems")
    run_tests([v for n, v in list(globals().items()) if n.startswith("test_")] if os.geteuid() == 0
              else [])
