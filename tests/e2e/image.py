#!/usr/bin/python3
# run-on: long
"""Power cuts on a real file system: spool and state lie on a disk of powercut.py, fed by `spoolgate
put`, by producers that sync and by producers that do not, while the bucket is slow and fails now and
then. At random moments the disk's image is taken as a power cut would leave it, its journal is
replayed by the kernel, and a gateway is started on it, against the bucket as it was at that moment.

Checked of each image: the gateway starts and ends well; every file whose producer was told that it
is safe (put returned 0, or file and directories were synced) before the cut began is in the bucket
or comes to be there, whole and under its name; no object has bytes that nobody wrote; the archive
has none that nobody wrote; nothing of those files is held or rejected; the journal verifies; the
file system's own checker is content. A producer that does not sync may find its file empty or
shortened by the file system, which nobody can tell afterwards: those are counted.

IMAGES is the number of images (default 200) on each of FS (default "ext4", in the long run "ext4 xfs
btrfs" with a fifth of them on the latter two), SEED the seed. Must run as root.
"""

import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *  # noqa: E402
from powercut import Disk, checked, mounted, private_mounts  # noqa: E402

IMAGES = int(os.environ.get("IMAGES") or 200)
SEED = int(os.environ.get("SEED") or time.time_ns() % 1000000)
KINDS = (os.environ.get("FS") or "ext4 xfs btrfs").split()
MEGABYTES = 512
PER_DISK = 25  # images until the next disk, with another configuration
CUTS = ("some", "flushed", "all", "some")
ACTIONS = ("delete", "archive", "delete", "keep")
FAULTS = ("op=PutObject,latency=50ms", "op=PutObject,store-then-reset,probability=0.1",
          "op=PutObject,code=SlowDown,probability=0.2", "op=PutObject,latency=300ms", "")
CONFIG = {"settle": "200ms", "multipart": {"threshold": "5MiB", "part_size": "5MiB"},
          "send": {"types": {"audit": {"content": "any"}}}}  # by its contents nothing looks torn


class OnDisk(Gateway):
    """A gateway whose spool and state are on a file system that is mounted already."""

    def __init__(self, store, mount, directory, config):
        super().__init__(store, {**config, "spool": mount + "/spool", "state": mount + "/state"},
                         directory=directory, start=False)
        self.mount = mount

    def __enter__(self):
        super().__enter__()
        self.root, self.state = self.mount + "/spool", self.mount + "/state"
        for path in (self.root, self.state):
            os.makedirs(path, exist_ok=True)
        return self.start()


class Written(dict):
    """{path: (data's sha256, size, synced, data or None)} of what was begun, and when which of them
    was confirmed."""

    def __init__(self):
        super().__init__()
        self.confirmed = []
        self.number = 0
        self.lock = threading.Lock()

    def next(self, kind, size, synced):
        with self.lock:
            self.number += 1
            number = self.number
        path = key(kind, f"f-{number:06d}.ndjson", account=f"acct-{number // 50 % 40}")
        data = event(number, size)
        self[path] = (hashlib.sha256(data).hexdigest(), len(data), synced,
                      None if synced else data)
        return path, data

    def judge(self, path, size, sha256, beside=False):
        """'whole', 'short' (possible without a sync) or 'wrong'. beside: what came out short may
        have been stored beside what was stored whole before."""
        row = self.get(path)
        if row is None and beside:
            row = self.get(re.sub("~[0-9a-f]{8}(?=[.]ndjson$)", "", path))
        if row is None:
            return "wrong"
        if row[:2] == (sha256, size):
            return "whole"
        if not row[2] and hashlib.sha256(row[3][:size]).hexdigest() == sha256:
            return "short"
        return "wrong"


class Producers:
    """Threads that write until the with block ends."""

    def __init__(self, gateway, seed):
        self.gateway, self.seed = gateway, seed
        self.written, self.stop = Written(), threading.Event()
        self.errors = []
        self.threads = [threading.Thread(target=self.run, args=(way, n)) for n, way in
                        enumerate((self.put, self.put, self.synced, self.unsynced))]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        check(not self.errors, f"the producers could write: {self.errors[:2]}")

    def run(self, way, number):
        chance = random.Random(f"{self.seed} {number}")
        try:
            while not self.stop.is_set():
                way(chance)
                time.sleep(chance.expovariate(30))
        except Exception as error:
            self.errors.append(repr(error))

    @staticmethod
    def shape(chance):
        size = chance.choice((200, 200, 3000, 5000, 20_000, 100_000))
        return chance.choice(("findings", "attack_paths", "audit")), size

    def put(self, chance):
        kind, size = self.shape(chance)
        if chance.random() < 0.005:
            size = chance.choice((5 << 20, 11 << 20))  # two parts, three parts
        path, data = self.written.next(kind, size, True)
        done = self.gateway.cli("put", path, stdin=data)
        if done.returncode == 0:
            self.written.confirmed.append((time.time_ns(), path))
        elif done.returncode != 111:  # it may be full
            self.errors.append(done.stderr)

    def synced(self, chance):
        path, data = self.written.next(*self.shape(chance), True)
        full = os.path.join(self.gateway.root, path)
        parent = os.path.dirname(full)
        os.makedirs(parent, exist_ok=True)
        hidden = os.path.join(parent, ".synced.tmp")
        with open(hidden, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(hidden, full)
        while len(parent) >= len(self.gateway.mount):
            fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(fd)
            os.close(fd)
            parent = os.path.dirname(parent)
        self.written.confirmed.append((time.time_ns(), path))

    def unsynced(self, chance):
        path, data = self.written.next(*self.shape(chance), False)
        way = chance.choice((Dropped.rename, Dropped.write, Dropped.link))
        way(Dropped(), self.gateway.root, path, data)


def bucket_at(store, ns, directory):
    """A copy of the bucket as it was at that time: objects are linked, and a line of the index says
    when its object was first stored."""
    source = store.options[store.options.index("--dir") + 1]
    os.makedirs(os.path.join(directory, "objects"))
    with open(os.path.join(source, "index"), encoding="utf-8") as index, \
         open(os.path.join(directory, "index"), "w", encoding="utf-8") as out:
        for line in index:
            if line.endswith("\n") and int(line.split("\t")[7]) <= ns:
                out.write(line)
    for name in os.listdir(os.path.join(source, "objects")):
        with contextlib.suppress(FileNotFoundError):
            os.link(os.path.join(source, "objects", name), os.path.join(directory, "objects", name))
    return Devstore("--require-acl", "--dir", directory)


def left(gateway):
    """What is in the spool and not held."""
    held = gateway.files("held")
    return [p for p in spooled(gateway.root)
            if p not in held and not os.path.basename(p).startswith(".")]


def is_settled(gateway):
    status = gateway.status()
    return not status["watcher"]["first_scan"] and not any(
        status["files"][name] for name in ("settling", "accepted", "sending", "deferred")) and (
            gateway.config["after_delivery"]["action"] == "keep" or not left(gateway))


class Totals:
    def __init__(self):
        self.images = self.confirmed = self.missing = self.wrong = self.short = self.held = 0
        self.rejected = self.pending = self.left = self.repeated = 0
        self.slowest = 0.0


def archived(written, path, full):
    """As Written.judge; what was found aside without the journal has its SHA-256 as a name."""
    sha256 = sha256_file(full)
    if "/recovered/" in path:
        return "whole" if path.endswith(sha256) else "wrong"
    return written.judge(path.split("/", 1)[1], os.path.getsize(full), sha256)


def archived_too(ours, path):
    """btrfs may show a file that was being archived under both names; it is in the bucket."""
    return any(os.path.exists(f"{ours}/archive/{date}/{path}") and
               os.path.samefile(f"{ours}/archive/{date}/{path}", f"{ours}/rejected/{path}")
               for date in os.listdir(ours + "/archive"))


def verdicts(written, bucket, gateway, confirmed, forgetful, totals):
    """What the bucket, the spool, the archive and the rejected hold against what was written.
    forgetful: nobody knows of each file any more whether it was delivered whole."""
    objects = bucket.keys()
    missing = [p for p in confirmed if p not in objects]
    totals.missing += len(missing)
    check(not missing, f"{len(missing)} of {len(confirmed)} confirmed files are missing: "
          f"{[(p, gateway.files().get(p)) for p in missing[:2]]}")
    verdict = {p: written.judge(p, *row[:2], forgetful) for p, row in objects.items()}
    wrong = [(p, *objects[p][:2]) for p, v in verdict.items() if v == "wrong"]
    totals.wrong += len(wrong)
    totals.short += sum(v == "short" for v in verdict.values())
    check(not wrong, f"{len(wrong)} objects that nobody wrote: {wrong[:3]}")
    held = gateway.files("held")
    totals.held += len(held)
    bad = [(p, row) for p, row in held.items() if written[p][2]]
    check(not bad, f"{len(bad)} files that were synced are held: {bad[:2]}")
    ours = os.path.join(gateway.root, ".spoolgate")
    rejected = [p for p in spooled(ours + "/rejected") if not p.endswith(".reason")]
    totals.rejected += len(rejected)
    # What lay aside and is not whole is named by the whole one's SHA-256.
    unsynced = {row[0] for row in written.values() if not row[2]}
    bad = [p for p in rejected if (p.rsplit(".", 1)[-1] not in unsynced if p.startswith("strays/")
                                   else p not in written or written[p][2])
           and not (forgetful and p in objects and archived_too(ours, p))]
    check(not bad, f"{len(bad)} files that were synced are rejected: {bad[:2]}")
    bad = [p for p in spooled(ours + "/archive")
           if archived(written, p, f"{ours}/archive/{p}") == "wrong"]
    check(not bad, f"{len(bad)} archived files that nobody wrote: {bad[:2]}")
    check(not os.listdir(ours + "/retiring"), "nothing is left half retired")


def look_at(number, image, kind, bucket, written, confirmed, live, totals):
    """Start a gateway on the image, let it work, and judge."""
    before = failed
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(scratch_dir())
        stack.enter_context(mounted(image, directory + "/disk", kind))
        without_state = number % 10 == 9  # the disk with the state is lost altogether
        if without_state:
            shutil.rmtree(directory + "/disk/state", ignore_errors=True)
        store = stack.enter_context(bucket)
        config = {**CONFIG, "after_delivery": live.config["after_delivery"]}
        gateway = stack.enter_context(OnDisk(store, directory + "/disk", directory, config))
        ok = wait_until(lambda: is_settled(gateway), 30)
        check(ok, "everything on the image was worked off" + (
            "" if ok else f": {gateway.status()['sentence']} {left(gateway)[:2]}"))
        # btrfs may bring a file back whose removal is older than the record that says so.
        verdicts(written, store, gateway, confirmed, without_state or kind == "btrfs", totals)
        check_equal(store.stats()["repeated_other"], 0, "objects overwritten with other bytes")
        check_equal(gateway.stop(), 0, "exit status of spoolgate run after SIGTERM")
        gateway.journal_verify()
    check_equal(checked(image, kind), "", f"what the checker of {kind} says")
    return failed == before


def one_disk(kind, first, count, totals):
    """Images first … first + count - 1, of one disk that gateway and producers work on."""
    chance = random.Random(f"{SEED} {kind} {first}")
    action = ACTIONS[first // PER_DISK % len(ACTIONS)]
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(scratch_dir())
        disk = stack.enter_context(Disk(MEGABYTES << 20))
        disk.make(kind)
        stack.enter_context(mounted(disk.path, directory + "/disk", kind))
        store = stack.enter_context(Devstore("--require-acl"))
        live = stack.enter_context(OnDisk(store, directory + "/disk", directory,
                                          {**CONFIG, "after_delivery": {"action": action}}))
        producers = stack.enter_context(Producers(live, f"{SEED} {kind} {first}"))
        image = directory + "/image"
        for number in range(first, first + count):
            store.clear_faults()
            if fault := chance.choice(FAULTS):
                store.fault(fault)
            if chance.random() < 0.1:
                live.kill()
                live.start()
            time.sleep(chance.uniform(0.05, 0.6))
            began = time.monotonic()
            cut = disk.cut(CUTS[number % len(CUTS)], number, image)
            confirmed = [p for ns, p in list(producers.written.confirmed) if ns < cut.ns]
            bucket = bucket_at(store, cut.ns, f"{directory}/bucket-{number}")
            good = look_at(number, image, kind, bucket, producers.written, confirmed, live, totals)
            shutil.rmtree(f"{directory}/bucket-{number}")
            totals.images += 1
            totals.confirmed += len(confirmed)
            totals.pending += cut.pending
            totals.slowest = max(totals.slowest, time.monotonic() - began)
            if not good:
                print(f"    image {number} on {kind}, {CUTS[number % len(CUTS)]}, {action}, "
                      f"SEED={SEED}: {cut.kept} of {cut.pending} writes kept, {len(confirmed)} "
                      "confirmed", flush=True)


def images_on(kind, count):
    totals, began = Totals(), time.monotonic()
    for first in range(0, count, PER_DISK):
        one_disk(kind, first, min(PER_DISK, count - first), totals)
    seconds = time.monotonic() - began
    print(f"  {kind}: {totals.images} images in {seconds:.0f} s, {seconds / count:.1f} s each, the "
          f"slowest {totals.slowest:.1f} s")
    row(f"power cut, {kind}, {totals.images} images, seed {SEED}",
        f"{totals.confirmed} times a confirmed file: {totals.missing} missing; objects nobody wrote "
        f"{totals.wrong}; unsynced files that came out short: {totals.short} stored, {totals.held} "
        f"held, {totals.rejected} rejected; writes in the drive's cache {totals.pending}")


def power_cuts_on_ext4():
    images_on("ext4", IMAGES)


def power_cuts_on_xfs():
    images_on("xfs", -(-IMAGES // 5))


def power_cuts_on_btrfs():
    images_on("btrfs", -(-IMAGES // 5))


if __name__ == "__main__":
    if os.geteuid() != 0:
        check(False, "this must run as root: it mounts file systems of its own")
        finish()
    private_mounts()
    print(f"SEED={SEED}", flush=True)
    run_tests([globals()[f"power_cuts_on_{kind}"] for kind in KINDS])
