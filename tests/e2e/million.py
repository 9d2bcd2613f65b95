#!/usr/bin/python3
"""A million waiting files: 300 bytes each, in 10 000 directories, a store that is away, then one that
only counts. What it costs in memory, how soon the first goes, whether the commands stay quick, and
that none is missing.

    tests/e2e/million.py BUILD_DIR

MILLION=100000: so many. Figures want the release build and a machine that is quiet. Everything lies in
$MILLION_DIR, else in /dev/shm if there is room for it (10 GiB), else in $TMPDIR.
"""
# run-on: long

import hashlib
import http.client
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import (SLOW, SPOOLGATE, Devstore, Gateway, check, check_equal, finish, row,  # noqa: E402
                 scratch_dir, wait_until)

# A million files are a lot for a disk that others use, too: in memory if there is room.
room = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
if os.environ.get("MILLION_DIR"):
    os.environ["TMPDIR"] = os.environ["MILLION_DIR"]
elif room and room.f_bavail * room.f_frsize > 10 << 30 and room.f_favail > 1_200_000:
    os.environ["TMPDIR"] = "/dev/shm"

FILES = int(os.environ.get("MILLION") or 1_000_000)
SMALL = 10_000
DIRECTORIES = max(1, FILES // 100)
TYPES = ("findings", "audit", "attack_paths", "raw")
CONFIG = {"rescan": "1h", "settle": "100ms", "log": {"level": "warning"}}


def path_of(number, directories):
    directory = number % directories
    kind = TYPES[directory % len(TYPES)]
    return f"Panoptica/{kind}/2026-11-23/{directory:012d}/f-{number:07d}.ndjson"


def bytes_of(number):
    line = '{"id":"evt-%08d","severity":"HIGH","padding":"' % number
    return (line + "x" * (297 - len(line)) + '"}\n').encode()


def produce_part(arguments):
    """Every `of`-th directory; the sum that sums up all."""
    root, first, count, directories, part, of = arguments
    total = 0
    for directory in range(part, directories, of):
        os.makedirs(os.path.join(root, os.path.dirname(path_of(directory, directories))), exist_ok=True)
        for number in range(first + directory, first + count, directories):
            path, data = path_of(number, directories), bytes_of(number)
            fd = os.open(os.path.join(root, path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(fd, data)
            os.close(fd)
            total = (total + sum_of(path, hashlib.sha256(data).hexdigest())) % (1 << 128)
    return total


def sum_of(path, sha256):
    """A number for the pair; their sum over all files does not depend on the order."""
    return int.from_bytes(hashlib.blake2b(f"{path} {sha256}".encode(), digest_size=16).digest(), "big")


def produce(root, first, count, directories):
    start, jobs = time.monotonic(), 4
    # lib.py's handler is not for the workers, and none of them is ended by a signal while it works.
    pool = multiprocessing.Pool(jobs, signal.signal, (signal.SIGTERM, signal.SIG_DFL))
    total = sum(pool.map(produce_part, [(root, first, count, directories, i, jobs) for i in range(jobs)]))
    pool.close()
    pool.join()
    print(f"  {count} files made in {time.monotonic() - start:.1f} s", flush=True)
    return total % (1 << 128)


def stored(store, of_small):
    """(how many, their sum) of the objects of the small or the large run, without keeping them."""
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=300)
    connection.request("GET", "/_devstore/keys")
    answer = connection.getresponse()
    count = total = 0
    for line in answer:
        key, _size, sha256 = line.decode().rstrip("\n").split("\t")[:3]
        if (int(key[-14:-7]) >= FILES) == of_small:
            count, total = count + 1, (total + sum_of(key, sha256)) % (1 << 128)
    connection.close()
    return count, total


def memory_mib(gateway, what="VmHWM"):
    with open(f"/proc/{gateway.process.pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(what))


def latencies(gateway, sample, seconds, label):
    """p50 and max in ms of what people ask, by the API and by the command."""
    asks = {"status": lambda: gateway.api("GET", "/v1/status"),
            "ls": lambda: gateway.api("GET", "/v1/files?limit=1000"),
            "why": lambda: gateway.api("GET", "/v1/file?path=" + sample),
            "status (command)": lambda: gateway.cli("status"),
            "why (command)": lambda: gateway.cli("why", sample)}
    for what, ask in asks.items():
        times, end = [], time.monotonic() + seconds
        while time.monotonic() < end or len(times) < 5:
            start = time.monotonic()
            ask()
            times.append((time.monotonic() - start) * 1000)
            time.sleep(0.02)
        times.sort()
        print(f"  {label:9} {what:18} p50 {times[len(times) // 2]:6.1f} ms   max {times[-1]:6.1f} ms   "
              f"of {len(times)}", flush=True)
        check(times[len(times) // 2] < 1000 * SLOW, f"{what} while {label}: p50 {times[len(times) // 2]:.0f} ms")


def first_page(gateway, label):
    """`spoolgate ls` shows its first line at once, however many follow."""
    start = time.monotonic()
    process = subprocess.Popen([SPOOLGATE, "ls", "-c", gateway.config_path], stdout=subprocess.PIPE,
                               env=gateway.environment())
    process.stdout.readline()
    took = time.monotonic() - start
    process.stdout.close()
    process.wait()
    print(f"  {label:9} ls (command)       first line after {took * 1000:.0f} ms", flush=True)


def answers(gateway):
    """Its status, or None: it does not answer yet."""
    try:
        return gateway.status()
    except OSError:
        return None


def drain(gateway, count, timeout):
    """Seconds until so many are delivered; the rate of the middle 80 %."""
    marks, start = [], time.monotonic()
    while time.monotonic() - start < timeout * SLOW:
        delivered = gateway.status()["since_start"]["delivered_files"]
        marks.append((time.monotonic(), delivered))
        if delivered >= count:
            break
        time.sleep(0.05 if count <= SMALL else 0.5)
    low = next(m for m in marks if m[1] >= count * 0.1)
    high = next((m for m in marks if m[1] >= count * 0.9), marks[-1])
    check_equal(marks[-1][1], count, "files delivered")
    return (high[1] - low[1]) / max(1e-6, high[0] - low[0])


def small_run(directory, store):
    """The rate that ten thousand reach."""
    with Gateway(store, CONFIG, directory=directory, start=False) as gateway:
        total = produce(gateway.root, FILES, SMALL, 100)
        gateway.start(ready=False)
        wait_until(lambda: answers(gateway), 20)
        rate = drain(gateway, SMALL, 120)
        check_equal(stored(store, True), (SMALL, total), "ten thousand arrived, each with its bytes")
        print(f"  {SMALL} files: {rate:.0f}/s, peak {memory_mib(gateway):.1f} MiB", flush=True)
        return rate


def main():
    with scratch_dir() as small, scratch_dir() as large, Devstore("--count") as store:
        rate_small = small_run(small, store)
        with Gateway(store, CONFIG, directory=large, start=False) as gateway:
            total = produce(gateway.root, 0, FILES, DIRECTORIES)
            sample = path_of(FILES // 2, DIRECTORIES)
            store.kill()
            start = time.monotonic()
            gateway.start(ready=False)
            check(wait_until(lambda: (answers(gateway) or {"files": {"accepted": 0}})["files"]["accepted"] >=
                             FILES * 0.999, 900, 0.5), "all are accepted")
            print(f"  {FILES} accepted in {time.monotonic() - start:.1f} s, peak {memory_mib(gateway):.1f} MiB",
                  flush=True)
            latencies(gateway, sample, 3, "stopped")
            first_page(gateway, "stopped")
            peak_accepting = memory_mib(gateway)
            gateway.kill()
            start = time.monotonic()
            store.start()
            watch = FirstPut(store)
            gateway.start(ready=False)
            started = time.monotonic()
            wait_until(lambda: answers(gateway), 60, 0.005)
            ready = time.monotonic() - started
            first = watch.seconds_since(started)
            print(f"  started with a journal of {FILES}: answers after {ready:.2f} s, first PUT after {first:.2f} s",
                  flush=True)
            asking = threading.Thread(target=lambda: (latencies(gateway, sample, 3, "draining"),
                                                      first_page(gateway, "draining")))
            asking.start()
            rate = drain(gateway, FILES, 3600)
            asking.join()
            peak = memory_mib(gateway)
            check_equal(stored(store, False), (FILES, total), "all arrived, each with its bytes")
            print(f"  {FILES} files: {rate:.0f}/s, {rate / rate_small:.2f} of the rate at {SMALL}; peak {peak:.1f} MiB",
                  flush=True)
            check(peak < 64 and peak_accepting < 64, f"peak memory {peak_accepting:.1f} and {peak:.1f} MiB")
            check(first < 10 * SLOW, f"first PUT after {first:.1f} s")
            check(rate > rate_small * 0.4, f"{rate:.0f}/s of {rate_small:.0f}/s")
            row(f"{FILES} waiting files", f"{rate:.0f}/s of {rate_small:.0f}/s at {SMALL}, peak {peak_accepting:.1f} "
                f"MiB accepting, {peak:.1f} MiB draining, first PUT {first:.2f} s after the start")


class FirstPut:
    """When the store saw its first PUT."""

    def __init__(self, store):
        self.store, self.at = store, None
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        while self.at is None:
            if self.store.stats()["objects_stored"] > 0:
                self.at = time.monotonic()
            time.sleep(0.005)

    def seconds_since(self, start):
        self.thread.join(120)
        return (self.at or float("inf")) - start


main()
finish()
