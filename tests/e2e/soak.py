#!/usr/bin/python3
# run-on: long
"""Everything at once, for long: 200 files a second by every way that producers have, and every 5 s a
fault of a random kind: kill -9 and restarts of the gateway, the store stopped or killed, storms of
503, SlowDown, resets and lost answers, the spool or the state directory full, inotify's queue
overflowing, reloads. At the end every file is in the bucket or rejected for its contents, none
differs, the journal verifies; memory, descriptors and threads have not grown: for that the gateway
is not ended in the second half.

SOAK_SECONDS (default 1200; 60 is a quick look), SOAK_RATE files a second (200), SEED. Must run as
root: spool and state are small file systems of their own.
"""

import collections
import contextlib
import errno
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *  # noqa: E402
from powercut import private_mounts  # noqa: E402

SECONDS = float(os.environ.get("SOAK_SECONDS") or 1200)
RATE = float(os.environ.get("SOAK_RATE") or 200)
SEED = int(os.environ.get("SEED") or time.time_ns() % 1000000)
EVERY = 5  # seconds from one fault to the next
SAMPLE = 1  # second from one look at the process to the next
GROWTH = 1.1  # of memory, from the first third of the second half to its last
KINDS = ("findings", "attack_paths", "raw")
CONFIG = {"settle": "200ms", "multipart": {"threshold": "5MiB", "part_size": "5MiB"},
          "send": {"types": {"raw": {"class": "raw"}}}}


def day_of_now():
    """Not that of the start: directories of the days before are removed meanwhile."""
    return time.strftime("%Y-%m-%d", time.gmtime())


@contextlib.contextmanager
def small(path, size):
    """A file system of its own, that can be full."""
    os.makedirs(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "spoolgate-e2e", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


class Producer:
    """Threads that drop RATE files a second until the with block ends. What they could not write
    for want of space they write again."""

    def __init__(self, gateway):
        self.gateway, self.dropped, self.bad = gateway, Dropped(), set()
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.number = self.refused = 0
        self.errors = []
        self.proc = os.open("/proc/self/fd", os.O_RDONLY)
        self.threads = [threading.Thread(target=self.run, args=a) for a in
                        ((self.place, RATE * 0.49, 1), (self.place, RATE * 0.49, 2),
                         (self.put, RATE * 0.02, 3))]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        os.close(self.proc)
        check(not self.errors, f"the producers could write: {self.errors[:3]}")

    def run(self, way, rate, seed):
        chance, next_at = random.Random(f"{SEED} {seed}"), time.monotonic()
        try:
            while not self.stop.is_set():
                way(chance)
                next_at += 1 / rate
                # What a pause has left undone is made up for, but not all at once.
                next_at = max(next_at, time.monotonic() - 2)
                time.sleep(max(0, next_at - time.monotonic()))
        except Exception as error:
            self.errors.append(repr(error))

    def next(self, chance):
        """A path and its bytes; one of 500 is large, one of 200 is no NDJSON."""
        with self.lock:
            self.number += 1
            number = self.number
        size = chance.choice((200, 200, 1000, 4000, 4000, 20_000))
        if number % 500 == 0:
            size = chance.choice((1 << 20, 3 << 20, 6 << 20))
        path = key(chance.choice(KINDS), f"f-{number:07d}.ndjson", day_of_now(),
                   account=f"acct-{number // 200 % 60}")
        data = event(number, size)
        if number % 200 == 100:
            data = data[:-2] + b"\n"
            self.bad.add(path)
        else:
            with self.lock:
                self.dropped.add(path, data)
        return path, data

    def again(self, write):
        """Until there is room for it."""
        while True:
            try:
                return write()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            self.refused += 1
            time.sleep(0.1)

    def place(self, chance):
        path, data = self.next(chance)
        full = os.path.join(self.gateway.root, path)
        way = chance.choice((self.rename, self.rename, self.in_place, self.linked))
        self.again(lambda: os.makedirs(os.path.dirname(full), exist_ok=True))
        self.again(lambda: way(full, data))

    @staticmethod
    def whole(name, data):
        """What could be written in part only is taken away at once."""
        try:
            with open(name, "wb", buffering=0) as file:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, "a short write")
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise

    def rename(self, full, data):
        hidden = os.path.join(os.path.dirname(full), f".{threading.get_ident()}.tmp")
        self.whole(hidden, data)
        os.rename(hidden, full)

    def in_place(self, full, data):
        self.whole(full, data)

    def linked(self, full, data):
        fd = os.open(os.path.dirname(full), os.O_TMPFILE | os.O_WRONLY, 0o644)
        try:
            if os.write(fd, data) != len(data):
                raise OSError(errno.ENOSPC, "a short write")
            # With src_dir_fd Python asks linkat(2) to follow; without, it calls link(2).
            os.link(str(fd), full, src_dir_fd=self.proc, follow_symlinks=True)
        finally:
            os.close(fd)

    def put(self, chance):
        path, data = self.next(chance)
        bad = path in self.bad
        while True:
            done = self.gateway.cli("put", path, stdin=data)
            if bad and done.returncode == 100:
                self.bad.remove(path)  # refused at once, which is as good
                return
            if not bad and done.returncode == 0:
                return
            if done.returncode != 111:
                raise RuntimeError(f"put {path}: {done.returncode} {done.stderr}")
            self.refused += 1
            time.sleep(0.2)


class Watch(threading.Thread):
    """(time, process, RSS in KiB, descriptors, threads) of the gateway, once a second."""

    def __init__(self, gateway):
        super().__init__()
        self.gateway, self.samples, self.stop = gateway, [], threading.Event()

    def run(self):
        while not self.stop.wait(SAMPLE):
            pid = self.gateway.process.pid
            try:
                with open(f"/proc/{pid}/status", encoding="ascii") as file:
                    fields = dict(line.split(":", 1) for line in file)
                self.samples.append((time.monotonic(), pid, int(fields["VmRSS"].split()[0]),
                                     len(os.listdir(f"/proc/{pid}/fd")), int(fields["Threads"])))
            except (OSError, KeyError):
                pass  # it was killed a moment ago


class Faults:
    def __init__(self, store, gateway, state, chance):
        self.store, self.gateway, self.state, self.chance = store, gateway, state, chance
        self.counts = collections.Counter()
        self.overflows = 0

    def pause(self, low, high):
        time.sleep(self.chance.uniform(low, high))

    def kill_the_gateway(self):
        self.overflows += self.gateway.status()["watcher"]["overflows"]
        self.gateway.kill()
        self.gateway.start(ready=False)

    def restart_the_gateway(self):
        self.overflows += self.gateway.status()["watcher"]["overflows"]
        check_equal(self.gateway.stop(), 0, "exit status of spoolgate run after SIGTERM")
        self.gateway.start(ready=False)

    def reload(self):
        self.gateway.reload()

    def stop_the_store(self):
        self.store.stop()
        self.pause(0.5, 3)
        self.store.start()

    def kill_the_store(self):
        self.store.kill()
        self.pause(0, 1)
        self.store.start()

    def storm(self, spec):
        self.store.fault(spec)
        self.pause(1, 4)
        self.store.clear_faults()

    def storm_of_503(self):
        self.storm("status=503,probability=0.7")

    def slow_down(self):
        self.storm("code=SlowDown,probability=0.5,retry-after=1")

    def resets(self):
        self.storm("reset,probability=0.3")

    def lost_answers(self):
        self.storm("store-then-reset,probability=0.3")

    def slow_answers(self):
        self.storm("latency=200ms,jitter=300ms")

    def errors_in_a_200(self):
        self.storm("error200,probability=0.3")

    def full(self, path):
        ballast = os.path.join(path, ".ballast.tmp")
        fd = os.open(ballast, os.O_CREAT | os.O_WRONLY)
        try:
            with contextlib.suppress(OSError):
                while True:
                    s = os.statvfs(path)
                    os.posix_fallocate(fd, os.fstat(fd).st_size, max(1, s.f_bavail) * s.f_bsize)
            self.pause(1, 3)
        finally:
            os.close(fd)
            os.unlink(ballast)

    def full_spool(self):
        self.full(self.gateway.root)

    def full_state(self):
        self.full(self.state)

    def overflow(self):
        """More events than inotify keeps, of files that are ignored, while the gateway does not
        read; what the producers do meanwhile has no event."""
        with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
            limit = int(file.read())
        directory = os.path.join(self.gateway.root, os.path.dirname(key("findings", "x", day_of_now())))
        os.makedirs(directory, exist_ok=True)
        time.sleep(0.3)  # until it is watched
        self.gateway.signal(signal.SIGSTOP)
        try:
            with contextlib.suppress(OSError):  # the spool may have become full
                for number in range(limit + 1000):
                    os.close(os.open(f"{directory}/{number % 2}.tmp", os.O_CREAT | os.O_WRONLY))
            time.sleep(0.5)
        finally:
            self.gateway.signal(signal.SIGCONT)
            for name in ("0.tmp", "1.tmp"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(directory, name))

    ENDS = (kill_the_gateway, restart_the_gateway)
    OTHERS = (reload, stop_the_store, kill_the_store, storm_of_503, slow_down, resets, lost_answers,
              slow_answers, errors_in_a_200, full_spool, full_state, overflow)

    def next(self, may_end):
        kinds = self.OTHERS + self.ENDS * (2 if may_end else 0)
        fault = self.chance.choice(kinds)
        self.counts[fault.__name__] += 1
        fault(self)


def check_flat(samples, since):
    """In the second half: the last third against the first third."""
    late = [s for s in samples if s[0] >= since]
    third = (late[-1][0] - late[0][0]) / 3 if late else 0
    first = [s for s in late if s[0] < late[0][0] + third]
    last = [s for s in late if s[0] > late[-1][0] - third]
    if not check(first and last and len({s[1] for s in late}) == 1,
                 "one process was looked at all through the second half"):
        return "-"
    rss = [statistics.median(s[2] for s in part) / 1024 for part in (first, last)]
    fds, threads = ([max(s[n] for s in part) for part in (first, last)] for n in (3, 4))
    if SECONDS >= 600:  # in less time it has not warmed up
        check(rss[1] <= rss[0] * GROWTH + 1, f"memory is flat: {rss[0]:.1f} MiB, then {rss[1]:.1f}")
        check(fds[1] <= fds[0] + 8, f"descriptors are flat: at most {fds[0]}, then {fds[1]}")
        check_equal(threads[1], threads[0], "threads at most, first and last")
    peak = max(s[2] for s in samples) / 1024
    return (f"RSS median {rss[0]:.1f} then {rss[1]:.1f} MiB, peak {peak:.1f}; descriptors at most "
            f"{fds[0]} then {fds[1]}; threads {threads[0]} then {threads[1]}")


def check_all_there(store, gateway, producer):
    """Missing, differing, extra and rejected, by what the store knows of the bytes it keeps."""
    got = {k: v[:2] for k, v in store.keys().items()}
    want = producer.dropped
    missing = [p for p in want if p not in got]
    differing = [p for p in want if p in got and got[p] != want[p]]
    extra = [k for k in got if k not in want]
    check(not missing, f"{len(missing)} files are missing: "
          f"{[(p, gateway.files().get(p)) for p in missing[:3]]}")
    check(not differing, f"{len(differing)} objects differ: {differing[:3]}")
    check(not extra, f"{len(extra)} objects that nobody dropped: {extra[:3]}")
    s3 = store.s3()
    for path in random.Random(SEED).sample(sorted(set(want) & set(got)), min(300, len(got))):
        body = s3.get_object(Bucket=store.bucket, Key=path)["Body"].read()
        if (len(body), hashlib.sha256(body).hexdigest()) != want[path]:
            check(False, f"the bytes of {path} differ")
    rejected = {p for p in spooled(gateway.root + "/.spoolgate/rejected")
                if not p.endswith(".reason")}
    check_equal((len(rejected - producer.bad), len(producer.bad - rejected)), (0, 0),
                "files rejected though they are good, and the other way round")
    check_equal(gateway.status()["files"]["held"], 0, "files held")
    return len(missing), len(differing), len(rejected)


def soak():
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(scratch_dir())
        stack.enter_context(small(directory + "/spool", "1g"))
        state = stack.enter_context(small(directory + "/state", "1g"))
        store = stack.enter_context(Devstore("--require-acl"))
        gateway = stack.enter_context(Gateway(store, CONFIG, directory=directory))
        faults = Faults(store, gateway, state, random.Random(SEED))
        watch = Watch(gateway)
        watch.start()
        stack.callback(watch.join)
        stack.callback(watch.stop.set)
        began = time.monotonic()
        second_half = began + SECONDS / 2
        with Producer(gateway) as producer:
            next_at = began + EVERY
            while next_at < began + SECONDS:
                time.sleep(max(0, next_at - time.monotonic()))
                faults.next(time.monotonic() < second_half - EVERY)
                next_at += EVERY
        watch.stop.set()
        store.clear_faults()
        stopped = time.monotonic()
        gateway.wait_idle(180)
        drained = time.monotonic() - stopped
        status = gateway.status()
        faults.overflows += status["watcher"]["overflows"]
        check_equal(status["state"], "ok", f"state at the end ({status['sentence']})")
        fed = len(producer.dropped) + len(producer.bad)
        missing, differing, rejected = check_all_there(store, gateway, producer)
        check(SECONDS < 600 or faults.overflows > 0, "inotify's queue overflowed")
        flat = check_flat(watch.samples, second_half + EVERY)
        check_equal(store.stats()["repeated_other"], 0, "objects overwritten with other bytes")
        gateway.stop()
        gateway.journal_verify()
        for name, count in sorted(faults.counts.items()):
            row(f"fault: {name.replace('_', ' ')}", f"{count} times")
        result = (f"fed {fed}, delivered {len(producer.dropped) - missing}, rejected {rejected}, "
                  f"missing {missing}, differing {differing}")
        row(f"soak, {SECONDS:.0f} s, {fed / SECONDS:.0f} files/s, seed {SEED}",
            f"{result}; {sum(faults.counts.values())} faults, {gateway.starts} starts, "
            f"{faults.overflows} overflows; writes that waited for room {producer.refused}; drained "
            f"{drained:.1f} s after the last file")
        row("soak, resources", flat)


if __name__ == "__main__":
    if os.geteuid() != 0:
        check(False, "this must run as root: it mounts file systems of its own")
        finish()
    private_mounts()
    print(f"SEED={SEED}", flush=True)
    run_tests([soak])
