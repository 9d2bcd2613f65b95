#!/usr/bin/python3
"""Watching under stress: too few of what inotify hands out, directories that come, go and change
their place, the spool root itself replaced, and every way in which producers bring files.

Each case is a row of the table: what happened, and what was missing in the bucket at the end.
Namespaces and mounts need root: as anybody else it fails and says so. SPOOLGATE_LONG=1 adds
100 000 directories and a watcher that is told nothing, which take minutes.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import lib
from lib import (SLOW, TODAY, Devstore, Dropped, Gateway, arrived, check, check_equal, event, key,
                 run_together, scratch_dir, spooled, start_process, stop_process, wait_until)

FAST = {"settle": "200ms"}
# Without the sandbox, which does not reach another directory than that of the start: sandbox.py.
OPEN = {**FAST, "sandbox": "off"}
LONG = os.environ.get("SPOOLGATE_LONG") == "1"


def has(command):
    return shutil.which(command) is not None


def watcher(gateway):
    return gateway.status()["watcher"]


def drop(gateway, dropped, count, kind="findings", root=None, start=0, date=None):
    for number in range(start, start + count):
        dropped.rename(root or gateway.root, key(kind, f"{kind}-{number}.ndjson", date),
                       event(number))


def sentence(gateway):
    try:
        return gateway.status().get("sentence", "")
    except OSError:  # the socket is made anew
        return ""


def sentence_has(gateway, words, timeout=30):
    wait_until(lambda: words in sentence(gateway), timeout)
    return check(words in sentence(gateway), f"status says {words!r}: {sentence(gateway)!r}")


def gone(gateway, timeout=40):
    """Until nothing is left in the spool, whatever restarts inside."""
    def empty():
        try:
            return gateway.is_idle()
        except (OSError, KeyError):  # or its status has no files while the root is opened anew
            return False
    return check(wait_until(empty, timeout),
                 f"all was taken in time: {spooled(gateway.root)[:3]}, {sentence(gateway)!r}, exit "
                 f"status {gateway.process.poll()}")


def flood(gateway, dropped, count, kind):
    """Renames as fast as one process can, within directories that are there: four events each."""
    directory = os.path.dirname(f"{gateway.root}/{key(kind, 'x')}")
    began = time.monotonic()
    for number in range(count):
        path = key(kind, f"flood-{number}.ndjson")
        dropped.add(path, event(number))
        with open(f"{directory}/.{number}.tmp", "wb", buffering=0) as file:
            file.write(event(number))
        os.rename(f"{directory}/.{number}.tmp", f"{gateway.root}/{path}")
    return count / (time.monotonic() - began)


def limited(what, count):
    """The command that puts another into a user namespace with a limit of its own."""
    return ["unshare", "-Ur", "sh", "-c",
            f'echo {count} > /proc/sys/user/max_inotify_{what}; exec "$@"', "sh"]


class LimitedGateway(Gateway):
    """As Gateway; `before` is put before `spoolgate run`."""

    before = ()

    def start(self, ready=True):
        with open(self.log_path, "ab") as log:
            self.process = start_process([*self.before, lib.SPOOLGATE, "run", "-c",
                                          self.config_path], stdin=subprocess.DEVNULL, stdout=log,
                                         stderr=log, env=self.environment(), cwd=self.directory)
        self.starts += 1
        if ready:
            self.wait_ready()
        return self


# --- limits ---------------------------------------------------------------------------------------


def a_burst_overflows_the_queue():
    with Devstore("--require-acl") as store, Gateway(store, FAST) as gateway:
        dropped = Dropped()
        drop(gateway, dropped, 5)
        gateway.wait_idle()
        gateway.signal(signal.SIGSTOP)
        try:
            flood(gateway, dropped, 4200, "findings")
        finally:
            gateway.signal(signal.SIGCONT)
        gone(gateway, 90)
        seen = watcher(gateway)
        check(seen["overflows"] >= 1, f"the queue overflowed: {seen}")
        check("max_queued_events" in gateway.log(), "the log names the sysctl")
        check_equal(seen["drift"], 0, "what an overflow lost is no drift")
        arrived("4200 renames while the gateway was stopped",
                f"{seen['overflows']} overflow(s), {seen['rescans']} rescan(s)", store, dropped)


def too_few_watches():
    with Devstore("--require-acl") as store:
        gateway = LimitedGateway(store, FAST)
        gateway.before = limited("watches", 9)
        with gateway:
            dropped = Dropped()
            for number in range(20):
                drop(gateway, dropped, 2, f"type{number}")
            gone(gateway)
            wait_until(lambda: watcher(gateway)["polled_directories"] > 0)
            polled = watcher(gateway)["polled_directories"]
            check(polled > 0, f"some directories are polled: {watcher(gateway)}")
            sentence_has(gateway, "directories cannot be watched and are polled")
            wait_until(lambda: "user.max_inotify_watches is 9, " in gateway.log())
            check("user.max_inotify_watches is 9, " in gateway.log(), "the log names the sysctl")
            for number in range(20):
                drop(gateway, dropped, 2, f"type{number}", start=10)
            gone(gateway)
            subprocess.run(["nsenter", "-U", "--preserve-credentials", "-t",
                            str(gateway.process.pid), "sh", "-c",
                            "echo 10000 > /proc/sys/user/max_inotify_watches"], check=True)
            check(wait_until(lambda: watcher(gateway)["polled_directories"] == 0, 30),
                  f"all are watched once there is room: {watcher(gateway)}")
            check(wait_until(lambda: "polled" not in sentence(gateway)), sentence(gateway))
            for number in range(20):
                drop(gateway, dropped, 2, f"type{number}", start=20)
            gone(gateway)
            check_equal(watcher(gateway)["drift"], 0, "drift")
            arrived("9 watches for 60 directories, then room", f"{polled} were polled", store,
                    dropped)


def no_instance():
    with Devstore("--require-acl") as store:
        gateway = LimitedGateway(store, FAST, start=False)
        gateway.before = limited("instances", 0)
        with gateway:
            dropped = Dropped()
            drop(gateway, dropped, 3)
            gateway.start(ready=False)
            check_equal(gateway.process.wait(30 * SLOW), 111, "exit status without an instance")
            said = gateway.log()
            check("no inotify instance is left" in said and "user.max_inotify_instances is 0" in
                  said, f"the sysctl is named: {said}")
            gateway.before = ()
            gateway.start()
            gone(gateway)
            arrived("no inotify instance at the start, then one", "exit 111 with the sysctl",
                    store, dropped)


# --- directories ----------------------------------------------------------------------------------


def trees_that_move():
    with Devstore("--require-acl") as store, scratch_dir() as outside, \
            Gateway(store, FAST) as gateway:
        dropped = Dropped()
        os.makedirs(f"{gateway.root}/Panoptica")
        for number in range(5):  # in, with files
            drop(gateway, dropped, 20, f"in{number}", root=outside)
            os.rename(f"{outside}/Panoptica/in{number}", f"{gateway.root}/Panoptica/in{number}")
        gone(gateway)
        # What goes out is not ours any more; what is made there must not be seen.
        os.makedirs(f"{gateway.root}/Panoptica/out/{TODAY}/1", exist_ok=True)
        wait_until(lambda: False, 0.3)
        os.rename(f"{gateway.root}/Panoptica/out", f"{outside}/out")
        Dropped().rename(outside, f"out/{TODAY}/1/never.ndjson", event(1))
        # Within: the same directories under another name, files arriving before, then and after.
        for number in range(20):
            drop(gateway, dropped, 1, f"from{number}")
            os.rename(f"{gateway.root}/Panoptica/from{number}",
                      f"{gateway.root}/Panoptica/to{number}")
            name = key(f"from{number}", f"from{number}-0.ndjson")
            moved = name.replace(f"/from{number}/", f"/to{number}/", 1)
            dropped[moved] = dropped[name]  # sent under one of the names, or both
            drop(gateway, dropped, 1, f"to{number}", start=7)
        gone(gateway)
        stored = store.objects()
        for number in range(20):
            early = key(f"from{number}", f"from{number}-0.ndjson")
            late = early.replace(f"/from{number}/", f"/to{number}/", 1)
            for path, other in ((early, late), (late, early)):
                if path not in stored and other in stored:
                    del dropped[path]
        check(os.path.exists(f"{outside}/out/{TODAY}/1/never.ndjson"), "what was moved out stays")
        arrived("trees moved in with files, out, within", f"drift {watcher(gateway)['drift']}",
                store, dropped)


def a_directory_that_is_away_when_it_is_to_be_sent():
    """It is back, and scanned, before it is durable that its file is given up."""
    with Devstore("--require-acl") as store, scratch_dir() as tools, \
            Gateway(store, FAST, env=lib.slow_disk_environment(tools)) as gateway:
        store.fault("status=503")
        dropped, path = Dropped(), key("findings", "f.ndjson")
        dropped.rename(gateway.root, path, event(1))
        check(wait_until(lambda: gateway.status()["since_start"]["failed_attempts"] > 0), "it waits")
        here, away = os.path.join(gateway.root, os.path.dirname(path)), f"{gateway.root}/.away"
        os.rename(here, away)
        store.clear_faults()
        gateway.api("POST", "/v1/retry", {"all": True})
        check(wait_until(lambda: "event=vanished" in gateway.log(), 30, 0.005), "it is given up")
        os.rename(away, here)
        gone(gateway)
        arrived("a directory that is away when its file is to be sent", "back, and sent", store,
                dropped)


def made_and_removed_while_it_scans():
    with Devstore("--require-acl") as store:
        gateway = Gateway(store, FAST, start=False)
        with gateway:
            dropped, stop = Dropped(), threading.Event()
            for number in range(3000):
                os.makedirs(f"{gateway.root}/Panoptica/old{number % 30}/2020-01-01/{number}")

            def churn():
                while not stop.is_set():
                    for number in range(30):
                        shutil.rmtree(f"{gateway.root}/Panoptica/churn", ignore_errors=True)
                        os.makedirs(f"{gateway.root}/Panoptica/churn/2020-01-01/{number}",
                                    exist_ok=True)
            thread = threading.Thread(target=churn)
            thread.start()
            try:
                gateway.start(ready=False)
                for number in range(200):
                    drop(gateway, dropped, 1, f"new{number % 40}", start=number)
                gateway.wait_ready(60)
                for number in range(10):
                    gateway.api("POST", "/v1/rescan")
                    drop(gateway, dropped, 3, f"during{number}")
            finally:
                stop.set()
                thread.join()
            drop(gateway, dropped, 5, "churn")
            gone(gateway)
            check_equal(watcher(gateway)["drift"], 0, "drift")
            arrived("directories removed and made again during scans",
                    f"{watcher(gateway)['rescans']} rescans", store, dropped)


def dates_roll_over():
    with Devstore("--require-acl") as store:
        gateway = Gateway(store, FAST, start=False)
        with gateway:
            dropped = Dropped()
            for number in range(1, 29):
                os.makedirs(f"{gateway.root}/Panoptica/findings/2021-02-{number:02}/1")
            os.makedirs(f"{gateway.root}/Panoptica/findings/{TODAY}/1")
            drop(gateway, dropped, 3, date="2021-02-03")
            gateway.start()
            gone(gateway)
            left = f"{gateway.root}/Panoptica/findings"
            wait_until(lambda: len(os.listdir(left)) <= 2, 20)
            check(TODAY in os.listdir(left), "today's directory stays")
            check(len(os.listdir(left)) <= 2, f"old empty ones go: {os.listdir(left)[:5]}")
            wait_until(lambda: watcher(gateway)["directories"] <= 9)
            seen = watcher(gateway)
            check(seen["directories"] <= 9 and seen["watches"] == seen["directories"],
                  f"their watches go with them: {seen}")
            drop(gateway, dropped, 3, start=5, date="2021-02-09")  # made again
            gone(gateway)
            arrived("28 dates of the past, then one made again",
                    f"{seen['directories']} directories, {seen['watches']} watches", store, dropped)


def replaced_by_a_link():
    with Devstore("--require-acl") as store, scratch_dir() as outside, \
            Gateway(store, FAST) as gateway:
        dropped = Dropped()
        drop(gateway, dropped, 3)
        gone(gateway)
        drop(gateway, Dropped(), 3, root=outside, start=50)
        os.rename(f"{gateway.root}/Panoptica/findings", f"{gateway.root}/Panoptica/moved")
        os.symlink(f"{outside}/Panoptica/findings", f"{gateway.root}/Panoptica/findings")
        gateway.api("POST", "/v1/rescan")
        drop(gateway, dropped, 3, "moved")
        check(wait_until(lambda: gateway.delivered() == 6), sentence(gateway))
        check_equal(len(spooled(outside)), 3, "what lies behind the link stays")
        check(wait_until(lambda: not os.path.islink(f"{gateway.root}/Panoptica/findings")),
              "the link is rejected")
        drop(gateway, dropped, 3, start=90)
        gone(gateway)
        arrived("a directory replaced by a link, and back", "the link leads nowhere", store,
                dropped)


# --- mounts, and the root ---------------------------------------------------------------------------


class mounted:
    def __init__(self, *command):
        self.command, self.path = command, command[-1]

    def __enter__(self):
        os.makedirs(self.path, exist_ok=True)
        subprocess.run(["mount", *self.command], check=True)
        return self.path

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=True)


def bind_mounts():
    with Devstore("--require-acl") as store, scratch_dir() as outside:
        gateway = Gateway(store, OPEN, start=False)
        with gateway:
            dropped = Dropped()
            with mounted("--bind", gateway.root, gateway.root):
                gateway.start()
                drop(gateway, dropped, 5)
                gone(gateway)
                # Something mounted below: it is on another mount, which openat2 does not forbid.
                with mounted("--bind", outside, f"{gateway.root}/Panoptica/mounted"):
                    drop(gateway, dropped, 5, "mounted")
                    gateway.api("POST", "/v1/rescan")  # nothing tells of a mount
                    check(wait_until(lambda: gateway.delivered() == 10), sentence(gateway))
                    sentence_has(gateway, "the spool must be one file system")
                drop(gateway, dropped, 5, "mounted", start=20)
                gateway.api("POST", "/v1/rescan")
                gone(gateway)
            drop(gateway, dropped, 5, start=40)  # the root itself is not mounted any more
            gone(gateway)
            arrived("a bind mount on the root and one below it, both taken away",
                    "goes on", store, dropped)


def the_root_is_renamed_and_made_anew():
    with Devstore("--require-acl") as store, Gateway(store, OPEN) as gateway:
        dropped, old = Dropped(), gateway.root + ".old"
        drop(gateway, dropped, 5)
        gone(gateway)
        gateway.reload()  # the guard goes on with what the new configuration says
        check(wait_until(lambda: "event=reloaded" in gateway.log()), "it reloads")
        os.rename(gateway.root, old)
        sentence_has(gateway, "the spool root")
        check("goes on by itself" in sentence(gateway), sentence(gateway))
        drop(gateway, dropped, 20, "audit", root=old)  # what comes there is still taken
        os.mkdir(gateway.root)
        drop(gateway, dropped, 20)
        gone(gateway)
        check(wait_until(lambda: "spool root" not in sentence(gateway)), sentence(gateway))
        check(os.path.exists(f"{gateway.root}/.spoolgate/lock"), ".spoolgate is there again")
        second = subprocess.run([lib.SPOOLGATE, "run", "-c", other_state(gateway)],
                                capture_output=True, text=True, timeout=30 * SLOW,
                                env=gateway.environment())
        check_equal(second.returncode, 111, "a second gateway on the new root")
        check("in use by another gateway" in second.stderr, second.stderr)
        # The old one comes back, with files.
        os.rename(gateway.root, gateway.root + ".new")
        drop(gateway, dropped, 5, "back", root=old)
        os.rename(old, gateway.root)
        gone(gateway)
        shutil.rmtree(gateway.root)  # the new one may well get the number of the old inode
        os.mkdir(gateway.root)
        drop(gateway, dropped, 5, "removed")
        gone(gateway)
        arrived("the root renamed away, made anew, put back, removed and made again",
                "goes on by itself, locked", store, dropped)


def other_state(gateway):
    """The configuration of another installation with the same spool."""
    import json
    path = gateway.config_path + ".other"
    state = gateway.state + "-other"
    os.makedirs(state, exist_ok=True)
    with open(path, "w") as file:
        json.dump({**gateway.config, "state": state, "control": gateway.control + "-other"}, file)
    return path


def the_root_is_mounted_over():
    with Devstore("--require-acl") as store, Gateway(store, OPEN) as gateway:
        dropped = Dropped()
        drop(gateway, dropped, 5)
        gone(gateway)
        with mounted("-t", "tmpfs", "-o", "size=16m", "spoolgate-e2e", gateway.root):
            drop(gateway, dropped, 20, "over")
            gone(gateway)
            check(os.path.exists(f"{gateway.root}/.spoolgate/lock"), ".spoolgate is made there")
        drop(gateway, dropped, 20, "under")
        gone(gateway)
        arrived("a file system mounted over the root, and unmounted", "goes on by itself", store,
                dropped)


def the_root_loses_our_directory():
    with Devstore("--require-acl") as store, Gateway(store, FAST) as gateway:
        dropped = Dropped()
        drop(gateway, dropped, 5)
        gone(gateway)
        for number in range(3):
            shutil.rmtree(f"{gateway.root}/.spoolgate", ignore_errors=True)  # it may be making it
            drop(gateway, dropped, 20, f"type{number}")
            gone(gateway)
        check(wait_until(lambda: os.path.exists(f"{gateway.root}/.spoolgate/lock"), 20),
              "the lock is there again")
        arrived("rm -rf .spoolgate, three times", "made again, locked", store, dropped)


def the_root_is_replaced_under_load():
    with Devstore("--require-acl") as store, Gateway(store, OPEN) as gateway:
        dropped = Dropped()
        store.fault("latency=50ms")
        for number in range(4):
            drop(gateway, dropped, 150, f"type{number}")
            aside = f"{gateway.root}.{number}"
            os.rename(gateway.root, aside)
            os.mkdir(gateway.root)
            time.sleep(0.3 + number)
            gateway.reload()  # whatever it is doing: now or after it
            # Whatever was not delivered moves over, as an operator would do it.
            for path in spooled(aside):
                os.makedirs(os.path.dirname(f"{gateway.root}/{path}"), exist_ok=True)
                try:
                    os.rename(f"{aside}/{path}", f"{gateway.root}/{path}")
                except FileNotFoundError:
                    pass  # delivered just now
        gone(gateway, 60)
        held = gateway.files("held")
        check_equal(held, {}, "nothing is held")
        arrived("the root replaced four times while 600 files are sent", "goes on by itself",
                store, dropped)
        gateway.stop()
        gateway.journal_verify()


# --- producers --------------------------------------------------------------------------------------


def every_way_to_bring_files():
    with Devstore("--require-acl") as store, scratch_dir() as outside, \
            Gateway(store, FAST) as gateway:
        dropped, ways = Dropped(), ["rename", "link", "tmpfile"]
        drop(gateway, dropped, 1)
        source = f"{gateway.root}/.producer"  # the same file system, not looked at
        os.makedirs(source)
        for number in range(300):
            path = key("renamed", f"r-{number}.ndjson", account=str(number % 7))
            full = dropped._place(gateway.root, path, event(number))
            with open(f"{source}/{number}", "wb") as file:
                file.write(event(number))
            os.rename(f"{source}/{number}", full)
        rate = flood(gateway, dropped, 1500, "findings")
        for number in range(300):
            path = key("linked", f"l-{number}.ndjson")
            full = dropped._place(gateway.root, path, event(number))
            with open(f"{source}/{number}", "wb") as file:
                file.write(event(number))
            os.link(f"{source}/{number}", full)
            os.unlink(f"{source}/{number}")
            dropped.link(gateway.root, key("tmpfile", f"t-{number}.ndjson"), event(number))
        drop(gateway, dropped, 100, "copied", root=outside)
        old = 1000000000
        for path in spooled(outside):
            os.utime(f"{outside}/{path}", (old, old))
        subprocess.run(["cp", "-a", f"{outside}/Panoptica", gateway.root], check=True)
        shutil.rmtree(f"{outside}/Panoptica")
        if has("rsync"):
            ways.append("rsync")
            drop(gateway, dropped, 100, "synced", root=outside)
            subprocess.run(["rsync", "-a", f"{outside}/Panoptica", gateway.root], check=True)
            shutil.rmtree(f"{outside}/Panoptica")
        if os.path.ismount("/dev/shm"):
            ways.append("mv from another file system")
            with Gatherer() as shm:
                drop(gateway, dropped, 100, "moved", root=shm)
                subprocess.run(["mv", f"{shm}/Panoptica/moved", f"{gateway.root}/Panoptica/"],
                               check=True)
        gone(gateway, 60)
        seen = watcher(gateway)
        check_equal(seen["drift"], 0, "drift")
        arrived(f"{', '.join(ways)}, cp -a", f"{rate:.0f} renames a second, {seen['overflows']} "
                "overflow(s)", store, dropped)


class Gatherer:
    def __enter__(self):
        import tempfile
        self.path = tempfile.mkdtemp(prefix="spoolgate-e2e-", dir="/dev/shm")
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def odd_times_and_modes():
    with Devstore("--require-acl") as store:
        gateway = Gateway(store, FAST, start=False)
        with gateway:
            dropped, now = Dropped(), time.time()
            times = {"future": now + 86400, "near": now + 600, "epoch": 0, "y2106": 4294967295,
                     "before": -86400, "old": now - 86400 * 400}

            def bring(when):
                for name, at in times.items():
                    path = key("times", f"{when}-{name}.ndjson")
                    dropped.rename(gateway.root, path, event(1))
                    os.utime(f"{gateway.root}/{path}", (at, at))
                    path = key("times", f"{when}-{name}-written.ndjson")
                    dropped.write(gateway.root, path, event(2))
                    os.utime(f"{gateway.root}/{path}", (at, at))
                for mode in (0o444, 0o400, 0o000):
                    path = key("modes", f"{when}-{mode:o}.ndjson")
                    dropped.rename(gateway.root, path, event(mode))
                    os.chmod(f"{gateway.root}/{path}", mode)
            bring("stopped")
            gateway.start()
            gone(gateway)
            bring("running")
            gone(gateway)
            for number in range(3):  # a touch that comes late
                path = key("touched", f"t-{number}.ndjson")
                dropped.write(gateway.root, path, event(number))
                time.sleep(0.05)
                try:
                    os.utime(f"{gateway.root}/{path}", (now + 1e6, now + 1e6))
                except FileNotFoundError:
                    pass
            gone(gateway)
            check_equal(gateway.files("held"), {}, "nothing is held")
            arrived("mtimes of 1969, 1970, the future, 2106; modes 0444, 0400, 0; before the start"
                    " and while it runs", "all as others", store, dropped)


def names_like_ours():
    with Devstore("--require-acl") as store, Gateway(store, FAST) as gateway:
        dropped = Dropped()
        for name in ("x~1a2b3c4d.json", "x~1a2b3c4d", "#123", "12345", "lock", "canary", "full",
                     "spoolgate", "x.reason", "~", "x~.ndjson", "1"):
            if not name.endswith("~"):
                dropped.rename(gateway.root, key("names", name), event(1))
        ignored = [key("names", ".spoolgate"), key("names", "x~"), key("names", "x.tmp"),
                   "Panoptica/names/.spoolgate/2024-01-01/1/x.ndjson", ".spoolgate2/x.ndjson"]
        for path in ignored:
            Dropped().rename(gateway.root, path, event(2))
        check(wait_until(lambda: gateway.delivered() == len(dropped), 30), sentence(gateway))
        check_equal(sorted(spooled(gateway.root)), sorted(ignored), "what is ignored stays")
        arrived("names that look like ours", f"{len(ignored)} ignored", store, dropped)


# --- long -------------------------------------------------------------------------------------------


def memory_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def a_hundred_thousand_directories():
    with Devstore("--require-acl") as store:
        gateway = Gateway(store, FAST, start=False)
        with gateway:
            dropped, count = Dropped(), 100_000
            for number in range(count):
                os.makedirs(f"{gateway.root}/Panoptica/t{number // 1000}/{TODAY}/{number % 1000}")
            began = time.monotonic()
            gateway.start(ready=False)
            gateway.wait_ready(300)
            ready = time.monotonic() - began
            slowest = 0.0
            for number in range(7, count, 9973):
                path = f"Panoptica/t{number // 1000}/{TODAY}/{number % 1000}/x.ndjson"
                before = gateway.delivered()
                began = time.monotonic()
                dropped.rename(gateway.root, path, event(number))
                wait_until(lambda: gateway.delivered() > before, 60, 0.002)
                slowest = max(slowest, time.monotonic() - began)
            gone(gateway, 60)
            seen = watcher(gateway)
            kib = memory_kib(gateway.process.pid)
            check(slowest < 10 * SLOW, f"a new file was delivered after {slowest:.2f} s")
            check(kib < 128 * 1024, f"{kib} KiB for {count} directories")
            polled = seen["polled_directories"]
            check_equal(seen["watches"] + polled, seen["directories"], "watched or polled")
            arrived(f"{count} directories", f"ready after {ready:.1f} s, {kib // 1024} MiB, "
                    f"{seen['watches']} watches, {polled} polled, a file after at most "
                    f"{slowest * 1000:.0f} ms", store, dropped)


def a_watcher_that_hears_nothing():
    with Devstore("--require-acl") as store, scratch_dir() as directory:
        flag, pats = f"{directory}/flag", []
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(f"{directory}/notify")
        notify.settimeout(1)
        stop = threading.Event()

        def listen():
            while not stop.is_set():
                try:
                    if b"WATCHDOG=1" in notify.recv(4096):
                        pats.append(time.monotonic())
                except socket.timeout:
                    pass
        thread = threading.Thread(target=listen)
        thread.start()
        try:
            with Gateway(store, {**FAST, "rescan": "1h"}, env={
                    **lib.deaf_environment(directory, flag),
                    "NOTIFY_SOCKET": f"{directory}/notify",
                    "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": None}) as gateway:
                dropped = Dropped()
                drop(gateway, dropped, 5)
                gone(gateway)
                check(wait_until(lambda: len(pats) > 2), "systemd's watchdog is patted")
                open(flag, "w").close()
                began = time.monotonic()
                drop(gateway, dropped, 5, "deaf")
                check(wait_until(lambda: watcher(gateway)["canary_late"], 150, 0.2),
                      "it is noticed")
                noticed = time.monotonic() - began
                check(noticed < 125 * SLOW, f"noticed after {noticed:.0f} s")
                gone(gateway)
                seen = watcher(gateway)
                check(seen["reopened"] >= 1 and seen["drift"] >= 5,
                      f"opened anew, and what it had missed was found: {seen}")
                sentence_has(gateway, "inotify tells nothing")
                time.sleep(3)
                silent = len(pats)
                time.sleep(5)
                check_equal(len(pats), silent, "pats while it hears nothing")
                os.unlink(flag)
                check(wait_until(lambda: not watcher(gateway)["canary_late"], 90, 0.2),
                      "it heals by itself")
                check(wait_until(lambda: len(pats) > silent + 1), "and the watchdog is patted")
                drop(gateway, dropped, 5, "healed")
                gone(gateway, 10)
                arrived("inotify told nothing", f"noticed after {noticed:.0f} s, drift "
                        f"{seen['drift']}, opened anew, no pats meanwhile", store, dropped)
        finally:
            stop.set()
            thread.join()
            notify.close()


def opens(path, seconds):
    """How often somebody opens it meanwhile: IN_OPEN."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK)
    try:
        check(fd >= 0 and libc.inotify_add_watch(fd, os.fsencode(path), 0x20) >= 0, "inotify")
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            time.sleep(0.005)  # two alike that follow each other are one
            try:
                count += len(os.read(fd, 65536)) // 16
            except BlockingIOError:
                pass
        return count
    finally:
        os.close(fd)


def a_file_is_kept_open_without_settle():
    with Devstore("--require-acl") as store, Gateway(store, {"settle": "0s"}, start=False) as gateway:
        dropped, path, data = Dropped(), key("findings", "open.ndjson"), event(1)
        full = os.path.join(gateway.root, path)
        os.makedirs(os.path.dirname(full))
        with open(full, "wb", buffering=0) as file:
            file.write(data)
            gateway.start()  # its scan finds it in a writer's hands
            check(wait_until(lambda: path in gateway.files("settling"), 20), "it is known")
            count = opens(full, 4)
            check(0 < count < 20, f"looked at about once a second, {count} times in 4 s")
        dropped.add(path, data)
        gone(gateway)
        arrived("a file is kept open, settle 0s", f"looked at {count} times in 4 s", store, dropped)


if __name__ == "__main__":
    tests = [a_burst_overflows_the_queue, too_few_watches, no_instance, trees_that_move,
             a_directory_that_is_away_when_it_is_to_be_sent, made_and_removed_while_it_scans,
             dates_roll_over, replaced_by_a_link, bind_mounts, the_root_is_renamed_and_made_anew,
             the_root_is_mounted_over,
             the_root_loses_our_directory, the_root_is_replaced_under_load,
             every_way_to_bring_files, a_file_is_kept_open_without_settle, odd_times_and_modes,
             names_like_ours]
    if LONG:
        tests += [a_hundred_thousand_directories, a_watcher_that_hears_nothing]
    if os.geteuid() != 0:
        check(False, "this must run as root: it mounts file systems and makes namespaces")
        tests = []
    run_together(tests, 4)
