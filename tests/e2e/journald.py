#!/usr/bin/python3
# also-under: valgrind
"""Where stderr is systemd's journal, events go there with fields: a journal of our own listens at its
socket, in a mount namespace, and takes the native protocol apart. Hostile names make no fields of their
own; what the journal does not take is a line on stderr; without a journal nothing changes."""

import os
import sys

if os.environ.get("JOURNALD_NAMESPACE") != "1":  # /run/systemd/journal/socket is libsystemd's only place
    os.execvpe("unshare", ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]),
                           sys.executable, *sys.argv], {**os.environ, "JOURNALD_NAMESPACE": "1"})

import ctypes
import re
import struct

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

SOCKET = "/run/systemd/journal/socket"


def read(path):
    with open(os.path.join(REPOSITORY, path), encoding="utf-8") as file:
        return file.read()


IDS = dict(re.findall(r"^\| `([a-z0-9_]+)` \| .* \| `([0-9a-f]{32})` \|$", read("docs/operations.md"), re.M))


def parse(datagram):
    """[(name, value)] of an entry: NAME=value, or NAME, a length and bytes (systemd's native protocol)."""
    fields, at = [], 0
    while at < len(datagram):
        end = datagram.index(b"\n", at)
        name, is_text, value = datagram[at:end].partition(b"=")
        if is_text:
            at = end + 1
        else:
            size, = struct.unpack_from("<Q", datagram, end + 1)
            value = datagram[end + 9:end + 9 + size]
            at = end + 9 + size + 1
            check_equal(datagram[at - 1:at], b"\n", f"the end of {name}")
        check(re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", name), f"{name!r} is a field's name")
        fields.append((name.decode(), value.decode()))
    return fields


class Journal:
    """What systemd-journald is to a program."""

    def __enter__(self):
        self.entries = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(SOCKET)
        self.socket.settimeout(0.01)
        return self

    def __exit__(self, *_):
        self.socket.close()
        if os.path.exists(SOCKET):
            os.unlink(SOCKET)

    def take(self):
        """All entries until now."""
        while True:
            try:
                datagram, ancillary, _, _ = self.socket.recvmsg(1 << 20, 1024)
            except TimeoutError:
                return self.entries
            check(not ancillary, "an entry comes without a file descriptor")
            fields = parse(datagram)
            names = [n for n, _ in fields]
            check(len(set(names)) == len(names), f"each field comes once: {names}")
            self.entries.append(dict(fields))

    def wait(self, event, **fields):
        """The first entry of this event, counted as a check."""
        wanted = {"SPOOLGATE_EVENT": event, **fields}

        def found():
            return next((e for e in self.take() if wanted.items() <= e.items()), None)
        entry = wait_until(found, 20)
        check(entry, f"the journal has {wanted}: {[e.get('SPOOLGATE_EVENT') for e in self.entries]}")
        return entry or {}


def gateway_of(bucket, directory, stream=None, **config):
    """With stderr, a file, as JOURNAL_STREAM says that it is the journal's; or as `stream` says."""
    log = os.path.join(directory, "gateway.log")
    with open(log, "ab"):
        at = os.stat(log)
    config.setdefault("settle", "100ms")
    return Gateway(bucket, config, directory=directory,
                   env={"JOURNAL_STREAM": stream or f"{at.st_dev}:{at.st_ino}"})


def entries_have_fields():
    with Journal() as journal, store() as bucket, scratch_dir() as directory, \
            gateway_of(bucket, directory) as gateway:
        started = journal.wait("started")
        check_equal({n: v for n, v in started.items() if n != "MESSAGE"},
                    {"PRIORITY": "6", "SYSLOG_IDENTIFIER": "spoolgate", "MESSAGE_ID": IDS["started"],
                     "SPOOLGATE_EVENT": "started", "SPOOLGATE_SPOOL": gateway.root,
                     "SPOOLGATE_BUCKET": bucket.bucket}, "the fields of started")
        check_equal(started.get("MESSAGE"), f"event=started spool={gateway.root} bucket={bucket.bucket}", "MESSAGE")
        bad = key("findings", "bad.json")
        Dropped().rename(gateway.root, bad, b"no json\n")
        rejected = journal.wait("rejected")
        check_equal([rejected.get(n) for n in ("PRIORITY", "MESSAGE_ID", "SPOOLGATE_PATH", "SPOOLGATE_CODE")],
                    ["4", IDS["rejected"], bad, "content"], "the fields of rejected")
        check("line 1, column 1" in rejected.get("SPOOLGATE_WHY", ""), f"why: {rejected}")
        with open(gateway.config_path, "a", encoding="utf-8") as file:
            file.write("}")
        gateway.reload()
        check_equal(journal.wait("reload_failed").get("PRIORITY"), "3", "PRIORITY of an error")
        gateway.stop()
        journal.wait("stopped")
        for entry in journal.entries:
            check_equal(entry.get("MESSAGE_ID"), IDS.get(entry["SPOOLGATE_EVENT"]),
                        f"MESSAGE_ID of {entry['SPOOLGATE_EVENT']}")
        check("event=" not in gateway.log(), f"no event is a line on stderr: {gateway.log()}")
        row("events in the journal: MESSAGE_ID, PRIORITY, fields", " ".join(e["SPOOLGATE_EVENT"] for e in journal.entries))


def hostile_names_stay_values():
    shown = {"new\nPRIORITY=0\nline.json": r"new\nPRIORITY=0\nline.json", "x\nMESSAGE\n\x08\ny": r"x\nMESSAGE\n\x08\ny",
             "say \"hi\" = 1\\.json": r'say "hi" = 1\\.json', "esc\x1b[31m.json": r"esc\x1b[31m.json",
             b"bytes-\xff\xfe.json": r"bytes-\xff\xfe.json", "\N{SNOWMAN}.json": "\N{SNOWMAN}.json", "n" * 240: "n" * 240}
    with Journal() as journal, store() as bucket, scratch_dir() as directory, \
            gateway_of(bucket, directory) as gateway:
        for name in shown:
            at = os.path.join(gateway.root.encode(), key("findings", "").encode(), os.fsencode(name))
            os.makedirs(os.path.dirname(at), exist_ok=True)
            with open(at + b".tmp", "wb") as file:
                file.write(b"no json\n")
            os.rename(at + b".tmp", at)
        wait_until(lambda: sum(e["SPOOLGATE_EVENT"] == "rejected" for e in journal.take()) == len(shown), 20)
        seen = [e for e in journal.take() if e["SPOOLGATE_EVENT"] == "rejected"]
        check_equal(len(seen), len(shown), "entries of rejected files")
        check_equal({e["SPOOLGATE_PATH"] for e in seen}, {key("findings", name) for name in shown.values()},
                    "SPOOLGATE_PATH, as ls shows it")
        for entry in seen:
            check_equal((entry["PRIORITY"], entry["MESSAGE_ID"]), ("4", IDS["rejected"]), "what a name cannot change")
            check(not re.search(r"[\x00-\x1f\x7f]", "".join(entry.values())), f"no control characters: {entry}")
        row("rejected files with hostile names", f"{len(seen)} entries, no field of theirs")


def refusals_and_tests_have_codes():
    with Journal() as journal, store() as bucket, scratch_dir() as directory, \
            gateway_of(bucket, directory) as gateway:
        def run_test(status):
            with open(gateway.log_path, "ab") as log:  # as a timer's unit: stderr is the journal
                done = subprocess.run([SPOOLGATE, "test", "-c", gateway.config_path], stdout=subprocess.DEVNULL,
                                      stderr=log, env=gateway.environment(), timeout=60 * SLOW)
            check_equal(done.returncode, status, "spoolgate test")

        run_test(0)
        arrived = journal.wait("test_delivered")
        check(arrived.get("SPOOLGATE_KEY", "").startswith("Panoptica/test/"), f"its key: {arrived}")
        bucket.fault("op=PutObject,status=403,code=AccessDenied")
        run_test(1)
        check_equal(journal.wait("test_failed").get("SPOOLGATE_CODE"), "AccessDenied", "the failed test's code")
        bucket.clear_faults()
        bucket.fault("op=PutObject,status=404,code=NoSuchBucket")
        dropped = Dropped()
        dropped.rename(gateway.root, key("findings", "waits.json"), event())
        waits = journal.wait("destination_waits")
        check_equal((waits.get("SPOOLGATE_CODE"), waits.get("MESSAGE_ID")),
                    ("NoSuchBucket", IDS["destination_waits"]), "the refusal")
        bucket.clear_faults()
        gateway.cli("retry", "--all")
        journal.wait("destination_back")
        gateway.wait_idle()
        check_equal(set(dropped) - set(bucket.list()), set(), "files that waited and did not arrive")
        row("a bucket that refuses; spoolgate test as a unit runs it", "destination_waits destination_back test_delivered test_failed")


def without_a_journal_there_are_lines():
    with Journal() as journal, store() as bucket, scratch_dir() as directory, \
            gateway_of(bucket, directory) as gateway:
        journal.wait("started")
        journal.socket.close()  # it ends under the gateway
        gateway.stop()
        check(re.search(r"^<6>time=\S+ level=info event=stopped$", gateway.log(), re.M), f"lines: {gateway.log()}")
    with Journal() as journal, store() as bucket, scratch_dir() as directory, \
            gateway_of(bucket, directory, stream="1:2") as gateway:
        gateway.stop()
        check_equal(journal.take(), [], "stderr is not the journal's")
        check(re.search(r"^time=\S+ level=info event=started ", gateway.log(), re.M), "lines without a prefix")
    with store() as bucket, scratch_dir() as directory, gateway_of(bucket, directory) as gateway:
        gateway.stop()
        check(re.search(r"^<6>time=\S+ level=info event=started ", gateway.log(), re.M), "no socket: lines")
    row("the journal ends, is another's, is not there", "lines on stderr")


libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"tmpfs", b"/run", b"tmpfs", 0, b"mode=755") != 0:
    check(False, f"a mount namespace of its own is needed: {os.strerror(ctypes.get_errno())}")
    finish()
os.makedirs(os.path.dirname(SOCKET))
run_tests([entries_have_fields, hostile_names_stay_values, refusals_and_tests_have_codes,
           without_a_journal_there_are_lines])
