#!/usr/bin/python3
"""Broken journals, two gateways on one spool or state directory, state that was copied or is old,
and disks that refuse what follows a delivery.

Whatever became of the journal, the gateway starts, says what it set aside, loses no file of the
spool and makes no second object that differs (P4, P5); `journal verify` names segment, offset and
reason, `verify --fix` mends and keeps the original, `journal dump` copes. Mounts small file systems
of its own and uses other users, so it must run as root: as anybody else it fails and says so.
"""
# also-under: asan

import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib
from full import fill, small
from lib import (REPOSITORY, SLOW, Devstore, Dropped, Gateway, check, check_equal, event, key, row,
                 run_tests, scratch_dir, spooled, wait_until)

QUICK = {"settle": "50ms"}
HEADER, RECORD_HEADER = 64, 24
_one_at_a_time = threading.Lock()


def compare(store, dropped):
    with _one_at_a_time:  # boto3 makes its session when first asked
        return lib.compare(store, dropped)


def together(tests):
    """Tests that mostly wait, at the same time."""
    def guarded(test):
        try:
            test()
        except Exception as error:
            check(False, f"{test.__name__} ended with {type(error).__name__}: {error}")

    threads = [threading.Thread(target=guarded, args=(test,)) for test in tests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


# --- a journal on disk ----------------------------------------------------------------------------


class Journal:
    """The segments of a stopped gateway, and ways to break them."""

    def __init__(self, state):
        self.path = os.path.join(state, "journal")

    def numbers(self):
        return sorted(int(n[:16]) for n in os.listdir(self.path) if re.fullmatch(r"\d{16}\.seg", n))

    def name(self, number):
        return os.path.join(self.path, f"{number:016}.seg")

    def newest(self):
        return self.numbers()[-1]

    def middle(self):
        """One that has records, and another with a record after it."""
        return [n for n in self.numbers() if self.records(n)][-2]

    def read(self, number):
        with open(self.name(number), "rb") as file:
            return file.read()

    def write(self, number, data):
        with open(self.name(number), "wb") as file:
            file.write(data)

    def records(self, number):
        """Offsets of the records."""
        data, at, found = self.read(number), HEADER, []
        while at + RECORD_HEADER <= len(data):
            length = struct.unpack_from("<I", data, at)[0]
            if length < RECORD_HEADER or at + length > len(data):
                break
            found.append(at)
            at += length
        return found

    def flip(self, number, at):
        data = bytearray(self.read(number))
        data[at] ^= 0x10
        self.write(number, data)

    def set_aside(self):
        where = os.path.join(self.path, "quarantine")
        return sorted(os.listdir(where)) if os.path.isdir(where) else []


def torn_tail(j):
    j.write(j.newest(), j.read(j.newest())[:-5])
    return j.newest()


def garbage_behind(j):
    j.write(j.newest(), j.read(j.newest()) + os.urandom(999))
    return j.newest()


def torn_middle(j):
    data, at = bytearray(j.read(j.newest())), j.records(j.newest())[0]
    data[at + 30:at + 60] = bytes(30)
    j.write(j.newest(), data)
    return j.newest()


def cut_middle(j):
    n = j.middle()
    j.write(n, j.read(n)[:-5])
    return n


def flipped(offset, in_header=False):
    def damage(j):
        n = j.middle()
        j.flip(n, offset if in_header else j.records(n)[0] + offset)
        return n
    return damage


def zeroed(j):
    n = j.middle()
    data = bytearray(j.read(n))
    data[HEADER:HEADER + 512] = bytes(min(512, len(data) - HEADER))
    j.write(n, data)
    return n


def newer_version(j):
    n = j.middle()
    data = bytearray(j.read(n))
    data[8] = 2
    j.write(n, data)
    return n


def missing(j):
    n = j.middle()
    os.unlink(j.name(n))
    return n


def emptied(j):
    n = j.middle()
    j.write(n, b"")
    return n


def foreign(j):
    n = j.newest() + 1
    j.write(n, os.urandom(5000))
    return n


def beside(j):
    for name in ("README", "1.seg", "core"):
        with open(os.path.join(j.path, name), "w") as file:
            file.write("not ours")


def from_the_future(j):
    n = j.newest()
    data = bytearray(j.read(n))
    struct.pack_into("<Q", data, 32, int((time.time() + 80 * 365 * 86400) * 1e9))
    struct.pack_into("<I", data, 60, crc32c(data[:60]))
    j.write(n, data)


def duplicate(j):
    n = j.newest() + 3
    shutil.copy(j.name(j.middle()), j.name(n))
    return n


def instead(make):
    def damage(j):
        n = j.middle()
        os.unlink(j.name(n))
        make(j.name(n))
        return n
    return damage


def whole_journal(j):
    shutil.rmtree(j.path)


def whole_state(j):
    shutil.rmtree(os.path.dirname(j.path))


# what, how, what verify says of it (None: nothing; "legal": a torn tail), is it set aside
DAMAGE = [
    ("torn tail", torn_tail, "legal", False),
    ("bytes behind the tail", garbage_behind, "legal", False),
    ("torn in the middle", torn_middle, r"CRC", True),
    ("an older segment that ends too early", cut_middle, r"ends", True),
    ("a wrong bit in the header", flipped(30, in_header=True), r"CRC of the segment's header", True),
    ("a wrong bit in a length", flipped(1), r"", True),
    ("a wrong bit in a CRC", flipped(5), r"CRC", True),
    ("a wrong bit in a payload", flipped(40), r"CRC", True),
    ("512 bytes of zeros", zeroed, r"", True),
    ("a newer version", newer_version, r"newer spoolgate", True),
    ("a missing segment", missing, r"missing", False),
    ("an empty segment", emptied, r"shorter than a segment's header", True),
    ("a foreign file with a segment's name", foreign, r"does not begin as a segment", True),
    ("foreign files beside", beside, None, False),
    ("a segment from the future", from_the_future, None, False),
    ("a segment twice", duplicate, r"named for segment", True),
    ("a directory in its place", instead(os.mkdir), r"not a regular file", True),
    ("a link in its place", instead(lambda p: os.symlink("/etc/passwd", p)), r"symbolic link", True),
    ("a pipe in its place", instead(os.mkfifo), r"not a regular file", True),
    ("the journal deleted", whole_journal, None, False),
    ("the state directory deleted", whole_state, None, False),
]


class Case:
    """A gateway with receipts, files that wait and one that is held, over three segments; stopped."""

    def __init__(self, store, gateway, dropped, number):
        self.store, self.gateway, self.dropped, self.number = store, gateway, dropped, number
        self.journal = Journal(gateway.state)
        self.held = key("held", f"case-{number}.ndjson")
        store.clear_faults()
        gateway.start()
        self.drop("sent", 3)
        wait_until(lambda: not spooled(gateway.root))
        store.fault("status=503")
        self.drop("waits", 3)
        self.wait_accepted(3)
        gateway.kill()
        gateway.start()
        dropped.rename(gateway.root, self.held, event(number, 400))
        for turn in range(3):  # each a commit of its own
            self.drop(f"later{turn}", 1)
            self.wait_accepted(5 + turn)
        check_equal(gateway.api("POST", "/v1/hold", {"paths": [self.held]})[0], 200, "hold")
        check(wait_until(lambda: gateway.status()["files"]["held"] == 1), "one is held")
        gateway.stop()

    def drop(self, kind, count):
        for i in range(count):
            self.dropped.rename(self.gateway.root, key(kind, f"c{self.number}-{i}.ndjson"),
                                event(self.number * 10 + i, 300))

    def wait_accepted(self, count):
        check(wait_until(lambda: self.gateway.status()["backlog"]["files"] == count),
              f"{count} files are accepted: {self.gateway.status()['backlog']}")

    def go_on(self, what):
        """Start; all that was dropped is delivered once, and new files are."""
        gateway = self.gateway
        self.store.clear_faults()
        gateway.start()
        self.drop("after", 2)
        gateway.api("POST", "/v1/release", {"paths": [self.held]})  # unless its hold is lost, which cost it its rest
        gateway.wait_idle()
        compare(self.store, self.dropped)
        check_equal(self.store.stats()["repeated_other"], 0, f"{what}: objects with other bytes")
        check_equal(gateway.status()["since_start"]["conflicts"], 0, f"{what}: second objects")
        check_equal(gateway.stop(), 0, f"{what}: exit status")


def verify(gateway, *more, env=None):
    done = gateway.cli("journal", "verify", *more, env=env)
    check("Sanitizer" not in done.stderr, "no finding of a sanitizer")
    return done.returncode, done.stdout


def mend_a_copy(gateway, journal, what, aside):
    """verify --fix on a copy of the journal: it is whole afterwards, the original is kept."""
    with scratch_dir() as directory:
        copy = os.path.join(directory, "state")
        shutil.copytree(gateway.state, copy, symlinks=True,
                        copy_function=lambda a, b: os.mkfifo(b) if journal_fifo(a) else shutil.copy2(a, b))
        before = Journal(copy).set_aside()
        config = dict(gateway.config, state=copy)
        path, old = gateway.config_path, gateway.config
        gateway.config_path = os.path.join(directory, "copy.json")
        gateway.config = config
        try:
            gateway.configure({})
            status, said = verify(gateway, "--fix")
            check_equal(status, 0, f"{what}: exit status of verify --fix ({said.strip()})")
            check_equal(verify(gateway)[0], 0, f"{what}: exit status of verify after --fix")
            kept = set(Journal(copy).set_aside()) - set(before)
            check(bool(kept) == aside, f"{what}: what --fix has kept: {kept}")
        finally:
            gateway.config_path, gateway.config = path, old


def journal_fifo(path):
    import stat
    return stat.S_ISFIFO(os.lstat(path).st_mode)


def one_damage(case, what, damage, says, aside):
    gateway, journal = case.gateway, case.journal
    before = journal.set_aside()
    number = damage(journal)
    if what.endswith("deleted"):
        case.go_on(what)
        row(what, "starts anew, what is stored is found to be there")
        return
    status, said = verify(gateway)
    bad = says not in (None, "legal")
    check_equal(status, 1 if bad else 0, f"{what}: exit status of verify ({said.strip()})")
    line = next((l for l in said.splitlines() if l.startswith(f"segment {number}, offset ")), "")
    if says is not None:
        check(("legal" in line) if says == "legal" else ("damaged" in line and re.search(says, line)),
              f"{what}: verify names segment {number}, offset and reason: {said.strip()}")
    dump = gateway.cli("journal", "dump")
    check_equal(dump.returncode, 1 if bad else 0, f"{what}: exit status of dump")
    check(all(l.startswith("{") and l.endswith("}") for l in dump.stdout.splitlines()),
          f"{what}: dump prints records")
    if bad:
        mend_a_copy(gateway, journal, what, aside=True)
    case.go_on(what)
    new = [n for n in journal.set_aside() if n not in before]
    if aside:
        check(f"{number:016}.seg" in new and f"{number:016}.seg.reason" in new,
              f"{what}: segment {number} and a reason are in quarantine: {new}")
        check(f"segment={number} " in gateway.log() and "moved to quarantine" in gateway.log(),
              f"{what}: the log names segment {number}")
    else:
        check_equal(new, [], f"{what}: in quarantine")
    if damage is missing:  # told until somebody says that it is known
        check_equal(verify(gateway)[0], 1, f"{what}: exit status of verify afterwards")
        check_equal(verify(gateway, "--fix")[0], 0, f"{what}: exit status of verify --fix")
    row(what, "set aside" if aside else "goes on")


def damaged(first, step):
    def test():
        with Devstore("--require-acl") as store, Gateway(store, QUICK, start=False) as gateway:
            dropped = Dropped()
            for number in range(first, len(DAMAGE), step):
                one_damage(Case(store, gateway, dropped, number), *DAMAGE[number])
                for name in ("README", "1.seg", "core"):
                    if os.path.exists(os.path.join(gateway.state, "journal", name)):
                        os.unlink(os.path.join(gateway.state, "journal", name))
    return test


def test_whatever_happens_to_the_journal_nothing_is_lost():
    """Three gateways at a time, each with a third of the cases."""
    together([damaged(first, 3) for first in range(3)])


def test_cut_at_any_length_the_records_before_the_cut_are_read():
    with Devstore("--require-acl") as store, Gateway(store, QUICK, start=False) as gateway:
        dropped = Dropped()
        case = Case(store, gateway, dropped, 0)
        journal = case.journal
        newest = journal.newest()
        whole, places = journal.read(newest), journal.records(newest)
        end = places[-1] + struct.unpack_from("<I", whole, places[-1])[0]
        lengths = [*range(places[-2], end, 7), places[-1], end]
        for length in lengths:
            journal.write(newest, whole[:length])
            status, said = verify(gateway)
            left = sum(1 for at in places if at + struct.unpack_from("<I", whole, at)[0] <= length)
            before = len(gateway.cli("journal", "dump").stdout.splitlines()) if length == places[-2] else None
            if before is not None:
                base = before - left
            check(status == 0 and said.splitlines()[-1].startswith(f"{base + left} records, 0 damaged"),
                  f"cut at {length} of {end}: {said.strip()}")
        journal.write(newest, whole[:places[-1] + 9])
        case.go_on("cut in the last record")
        row(f"cut at {len(lengths)} lengths of the last two records", "torn tail, or the end")


# --- deleted, shut or copied ----------------------------------------------------------------------


def test_a_state_directory_deleted_under_a_running_gateway_is_told_and_costs_no_file():
    with Devstore("--require-acl") as store, Gateway(store, QUICK) as gateway:
        dropped = Dropped()
        for number in range(5):
            dropped.rename(gateway.root, key("a", f"{number}.ndjson"), event(number))
        gateway.wait_idle()
        shutil.rmtree(gateway.state)
        for number in range(5, 10):
            dropped.rename(gateway.root, key("a", f"{number}.ndjson"), event(number))
        check(wait_until(lambda: "was removed: restart" in gateway.status()["sentence"]),
              f"status says what to do: {gateway.status()['sentence']}")
        time.sleep(0.5)
        check_equal(len(spooled(gateway.root)), 5, "files without a receipt stay")
        gateway.restart()
        gateway.wait_idle()
        compare(store, dropped)
        check_equal(store.stats()["repeated_other"], 0, "objects with other bytes")
        row("the state directory deleted under a running gateway", "status says restart; then goes on")


def as_uid(uid, gid):
    return ["setpriv", "--reuid", str(uid), "--regid", str(gid), "--clear-groups"]


def test_a_segment_that_may_not_be_read_is_set_aside_and_one_mended_by_root_can_be():
    uid = 52001
    with Devstore("--require-acl") as store, scratch_dir() as directory:
        os.chmod(directory, 0o755)
        os.chown(directory, uid, uid)
        for name in ("spool", "state"):
            os.mkdir(os.path.join(directory, name))
            os.chown(os.path.join(directory, name), uid, uid)
        before, lib.WRAP[:] = list(lib.WRAP), as_uid(uid, uid) + lib.WRAP
        mask = os.umask(0)  # the producer is root, the gateway is not
        try:
            with Gateway(store, QUICK, directory=directory, start=False) as gateway:
                dropped = Dropped()
                case = Case(store, gateway, dropped, 0)
                number = case.journal.middle()
                os.chown(case.journal.name(number), 0, 0)
                os.chmod(case.journal.name(number), 0o600)
                case.go_on("a segment that may not be read")
                check(f"{number:016}.seg" in case.journal.set_aside(), "it is in quarantine")
                check("Permission denied" in gateway.log(), "the log says why")
                row("a segment that may not be read", "set aside")
                case = Case(store, gateway, dropped, 1)
                number = torn_middle(case.journal)
                # As root, who becomes the owner: then no leak checker may look into the process.
                status, said = verify(gateway, "--fix", env={"ASAN_OPTIONS": "detect_leaks=0"})
                check_equal(status, 0, f"exit status of root's verify --fix ({said.strip()})")
                check_equal(os.stat(case.journal.name(number)).st_uid, uid, "owner of what was mended")
                quarantined = case.journal.set_aside()
                case.go_on("a segment that root has mended")
                check_equal(case.journal.set_aside(), quarantined, "in quarantine")
                row("mended by root", "is the gateway's own, and read")
        finally:
            os.umask(mask)
            lib.WRAP[:] = before


def run_once(gateway, *words, wrap=()):
    """`run` that must refuse at once: 111, and a sentence with these words."""
    done = subprocess.run([*wrap, lib.SPOOLGATE, "run", "-c", gateway.config_path],
                          capture_output=True, text=True, timeout=30 * SLOW,
                          env=gateway.environment(), cwd="/")
    check_equal(done.returncode, 111, f"exit status of a second run ({done.stderr.strip()})")
    check(all(w in done.stderr for w in words), f"run says {words}: {done.stderr.strip()}")
    return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""


def test_a_second_gateway_is_refused_however_the_path_is_spelt():
    with Devstore("--require-acl") as store, scratch_dir() as directory, \
         Gateway(store, QUICK) as first, \
         Gateway(store, QUICK, directory=directory, start=False) as second:
        os.chmod(directory, 0o755)
        os.chmod(first.directory, 0o755)
        pid = f"pid {first.process.pid}" if not lib.WRAP else "pid"
        link = os.path.join(directory, "link")
        os.symlink(first.directory, link)
        bound = os.path.join(directory, "bound")
        os.mkdir(bound)
        subprocess.run(["mount", "--bind", first.directory, bound], check=True)
        try:
            for how, base in (("the same path", first.directory), ("a link", link),
                              ("a bind mount", bound)):
                for what, other in (("spool", "state"), ("state", "spool")):
                    second.configure({what: os.path.join(base, what),
                                      other: os.path.join(directory, other)})
                    run_once(second, "in use by another gateway", pid)
                    row(f"a second gateway on the {what} by {how}", "refused: in use by another gateway")
            run_once(second, "lock", wrap=as_uid(52002, 52002))
            row("a second gateway of another user", "refused: may not open the lock")
        finally:
            subprocess.run(["umount", bound], check=True)
        dropped = Dropped()
        dropped.rename(first.root, key("a", "x.ndjson"), event(1))
        first.wait_idle()
        compare(store, dropped)


def test_spool_and_state_copied_to_another_machine_lose_nothing():
    """Other inodes: what waits is taken up anew, what was delivered is found to be there."""
    with Devstore("--require-acl") as store, scratch_dir() as place, \
         Gateway(store, QUICK, start=False) as old:
        dropped = Dropped()
        case = Case(store, old, dropped, 0)
        directory = os.path.join(place, "new")
        subprocess.run(["cp", "-a", old.directory, directory], check=True)
        store.clear_faults()
        with Gateway(store, QUICK, directory=directory, start=False) as new:
            new.start()
            new.api("POST", "/v1/release", {"paths": [case.held]})
            new.wait_idle()
            compare(store, dropped)
            check_equal(store.stats()["repeated_other"], 0, "objects with other bytes")
            row("spool and state copied elsewhere", "what waits is sent from there")
        # And the first one, which does not know of it, goes on too.
        case.go_on("the machine it was copied from")
        row("the machine they were copied from goes on", "what is stored is found to be there")


def test_an_old_state_directory_that_is_put_back_deletes_nothing_that_is_not_stored():
    with Devstore("--require-acl") as store, scratch_dir() as place, \
         Gateway(store, QUICK, start=False) as gateway:
        dropped = Dropped()
        case = Case(store, gateway, dropped, 0)
        backup = os.path.join(place, "backup")
        subprocess.run(["cp", "-a", gateway.state, backup], check=True)
        case.go_on("before the backup is put back")
        # Other bytes under names that the old journal still waits for.
        again = [key("waits", "c0-0.ndjson"), key("later0", "c0-0.ndjson")]
        shutil.rmtree(gateway.state)
        subprocess.run(["cp", "-a", backup, gateway.state], check=True)
        news = {}
        for path in again:
            news[path] = event(77, 700)
            with open(os.path.join(gateway.root, os.path.dirname(path), ".x.tmp"), "wb") as file:
                file.write(news[path])
            os.rename(file.name, os.path.join(gateway.root, path))
        gateway.start()
        gateway.api("POST", "/v1/release", {"paths": [case.held]})
        gateway.wait_idle()
        objects = store.objects()
        for path, data in news.items():
            beside = [k for k in objects if k.startswith(path[:-len(".ndjson")] + "~")]
            check_equal(len(beside), 1, f"objects beside {path}")
            check(beside and objects[beside[0]][0] == len(data), "and it is the new file")
        check(all(objects.get(k) == v for k, v in dropped.items()), "what was stored is as it was")
        check_equal(store.stats()["repeated_other"], 0, "objects with other bytes")
        row("an old state directory put back", "other bytes of an old name are kept beside")


def test_a_file_that_took_the_place_of_a_delivered_one_is_not_removed_for_it():
    """The same inode, size and modification time: only the bytes tell."""
    with Devstore("--require-acl") as store, Gateway(store, QUICK) as gateway:
        dropped, root = Dropped(), gateway.root
        paths = [key("a", f"{number}.ndjson") for number in range(4)]
        with small(os.path.join(root, ".spoolgate/retiring"), "size=64k"):
            for number, path in enumerate(paths):
                dropped.rename(root, path, event(number, 300))
            gateway.wait_delivered(4)
            check(wait_until(lambda: "cannot be removed" in gateway.status()["sentence"]),
                  f"delivered, and not removed: {gateway.status()['sentence']}")
            gateway.kill()
        for path in paths[:2]:
            full = os.path.join(root, path)
            before = os.stat(full)
            with open(full, "r+b") as file:
                file.write(event(9, 300)[:before.st_size])
            os.utime(full, ns=(before.st_atime_ns, before.st_mtime_ns))
            after = os.stat(full)
            check_equal((after.st_ino, after.st_size, after.st_mtime_ns),
                        (before.st_ino, before.st_size, before.st_mtime_ns), "what stat tells")
        gateway.start()
        gateway.wait_idle()
        objects = store.objects()
        for path in paths[:2]:
            beside = [k for k in objects if k.startswith(path[:-len(".ndjson")] + "~")]
            check_equal(len(beside), 1, f"objects beside {path}")
        check(all(objects.get(k) == v for k, v in dropped.items()), "what was stored is as it was")
        row("other bytes in the inode of a delivered file", "sent as a new file")


# --- after the delivery ---------------------------------------------------------------------------


def files_that_cannot_be_removed_do_not_stop_the_others():
    count = 2300
    with Devstore("--require-acl") as store, Gateway(store, QUICK) as gateway:
        retiring = os.path.join(gateway.root, ".spoolgate/retiring")
        dropped = Dropped()
        with small(retiring, "size=64k"):  # another file system: nothing can be renamed into it
            for number in range(count):
                dropped.rename(gateway.root, key(f"t{number % 7}", f"{number}.ndjson"), event(number))
            check(wait_until(lambda: gateway.delivered() >= count, 60),
                  f"all {count} are delivered: {gateway.delivered()}")
            dropped.rename(gateway.root, key("late", "one.ndjson"), event(1))
            gateway.wait_delivered(count + 1)
            check("cannot be removed" in gateway.status()["sentence"],
                  f"status tells: {gateway.status()['sentence']}")
            check_equal(len(spooled(gateway.root)), count + 1, "files that stay")
            time.sleep(6)  # they are tried again, and nothing is sent for it
            check_equal(store.stats()["operations"], {"PutObject": count + 1}, "requests")
        gateway.wait_idle(60)
        check_equal(store.stats()["operations"], {"PutObject": count + 1}, "requests in all")
        compare(store, dropped)
        row(f"{count} delivered files that cannot be removed", "the next one is delivered; all go in the end")


def receipts_wait_for_room_and_nothing_is_sent_twice():
    with Devstore("--require-acl") as store, scratch_dir() as directory, \
         small(os.path.join(directory, "state"), "size=1m") as state, \
         Gateway(store, {**QUICK, "uploads": 32}, directory=directory) as gateway:
        dropped = Dropped()
        store.fault(f"latency={int(3000 * SLOW)}ms")
        for number in range(30):
            dropped.rename(gateway.root, key("a", f"{number}.ndjson"), event(number, 300))
        check(wait_until(lambda: gateway.status()["files"]["sending"] == 30), "all are sent")
        ballast = fill(state)
        check(wait_until(lambda: len(store.keys()) == 30), "all are stored")
        store.clear_faults()
        check(wait_until(lambda: "the journal cannot be written" in gateway.status()["sentence"]),
              f"status says so: {gateway.status()['sentence']}")
        time.sleep(5)
        check_equal(store.stats()["operations"], {"PutObject": 30}, "requests while it is full")
        waiting = gateway.files("deferred")
        check(waiting and all("its receipt waits" in r["why"] for r in waiting.values()),
              f"ls says what they wait for: {list(waiting.values())[:1]}")
        os.unlink(ballast)
        gateway.wait_idle(30)
        check_equal(store.stats()["operations"], {"PutObject": 30}, "requests in all")
        compare(store, dropped)
        gateway.stop()
        receipts = gateway.cli("journal", "dump").stdout.count('"type":"delivered"')
        check_equal(receipts, 30, "receipts")
        row("no room for the receipts of 30 files", "written when there is; nothing is sent twice")


def kept_files_that_were_removed_are_known_no_more():
    with Devstore("--require-acl") as store, \
         Gateway(store, {**QUICK, "rescan": "10s", "after_delivery": {"action": "keep"}}) as gateway:
        dropped = Dropped()
        for number in range(6):
            dropped.rename(gateway.root, key("a", f"{number}.ndjson"), event(number))
        check(wait_until(lambda: len(gateway.files("delivered")) == 6), "six are kept")
        for number in range(4):
            os.unlink(os.path.join(gateway.root, key("a", f"{number}.ndjson")))
        check(wait_until(lambda: len(gateway.files("delivered")) == 2, 40),
              f"two are left: {len(gateway.files('delivered'))}")
        gateway.restart()
        check_equal(len(gateway.files("delivered")), 2, "kept files after a restart")
        compare(store, dropped)
        row("kept files that were removed", "forgotten beside the rescan")


def test_what_follows_a_delivery_waits_and_stops_nothing():
    together([files_that_cannot_be_removed_do_not_stop_the_others,
              receipts_wait_for_room_and_nothing_is_sent_twice,
              kept_files_that_were_removed_are_known_no_more])


def test_journals_of_format_version_1_are_read():
    with Devstore("--require-acl") as store, Gateway(store, QUICK, start=False) as gateway:
        for name in ("life", "doubt", "mended"):
            source = os.path.join(REPOSITORY, "tests/vectors/journal-v1", name)
            shutil.rmtree(gateway.state)
            shutil.copytree(source, os.path.join(gateway.state, "journal"),
                            ignore=shutil.ignore_patterns("dump"))
            check_equal(verify(gateway)[0], 0, f"{name}: exit status of verify")
            with open(os.path.join(source, "dump")) as file:
                records = sum(1 for line in file if not line.startswith("fault"))
            dump = gateway.cli("journal", "dump")
            check_equal(len(dump.stdout.splitlines()), records, f"{name}: records")
            gateway.start()
            check_equal(gateway.stop(), 0, f"{name}: exit status")
            row(f"golden journal: {name}", f"{records} records")


if __name__ == "__main__":
    if os.geteuid() != 0:
        check(False, "this must run as root: it mounts small file systems and uses other users")
    run_tests([v for n, v in list(globals().items()) if n.startswith("test_")] if os.geteuid() == 0
              else [])
