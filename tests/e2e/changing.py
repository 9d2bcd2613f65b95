#!/usr/bin/python3
# also-under: asan
# takes: long
"""Producers that rewrite, append to, rename, truncate or delete a file while it is being sent: each
ends in a named outcome, every version that was complete arrives, and nothing is lost."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

MIB = 1 << 20
CONFIG = {"settle": "200ms", "multipart": {"threshold": "5MiB", "part_size": "5MiB"}}


class Slow:
    """A store that takes three seconds for each write, and a gateway."""

    def __init__(self, latency="3s", **config):
        self.bucket = Devstore("--require-acl")
        self.latency, self.config = latency, config

    def __enter__(self):
        self.bucket.__enter__()
        self.gateway = Gateway(self.bucket, {**CONFIG, **self.config})
        self.gateway.__enter__()
        for operation in ("PutObject", "UploadPart"):
            self.bucket.fault(f"op={operation},latency={self.latency}")
        return self.bucket, self.gateway

    def __exit__(self, *what):
        self.gateway.__exit__(*what)
        self.bucket.__exit__(*what)


def sending(bucket, gateway, path, data, operation="PutObject"):
    """Drop it, and wait until it is on its way."""
    Dropped().rename(gateway.root, path, data)
    check(wait_until(lambda: bucket.stats()["operations"].get(operation, 0) > 0), f"{path} is on its way")
    return os.path.join(gateway.root, path)


def digest(data):
    return len(data), hashlib.sha256(data).hexdigest()


def second_name(path, data):
    stem, extension = os.path.splitext(path)
    return f"{stem}~{hashlib.sha256(data).hexdigest()[:8]}{extension}"


def check_stored(bucket, gateway, *versions, path):
    """These versions of one file, and nothing else, under the key and its second names."""
    gateway.wait_idle(30)
    got = bucket.objects()
    check_equal(sorted(got.values()), sorted(digest(v) for v in versions), f"versions of {path} stored")
    for name, row in got.items():
        ok = name == path or any(name == second_name(path, v) for v in versions if digest(v) == row)
        check(ok, f"{name} is the key or a second name of its bytes")
    check_equal(bucket.stats()["repeated_other"], 0, "objects overwritten with other bytes")


def rewritten_in_place():
    for size, operation in ((3000, "PutObject"), (12 * MIB, "UploadPart")):
        with Slow() as (bucket, gateway):
            path = key("findings", "f.ndjson")
            old = event(1, size)
            new = event(2, size)
            full = sending(bucket, gateway, path, old, operation)
            with open(full, "r+b") as file:
                file.write(new)
            gateway.wait_idle(40)
            stored = {row[:2] for row in bucket.keys().values()}
            check(digest(new) in stored, f"{size}: the new bytes are stored")
            check(stored <= {digest(old), digest(new)}, f"{size}: nothing but whole versions is stored")
            since = gateway.status()["since_start"]
            check(since["changed"] + since["verified"] + since["conflicts"] >= 1,
                  f"{size}: the change was noticed: {since}")
            receipts = [json.loads(r) for r in gateway.cli("journal", "dump").stdout.splitlines()]
            told = {(r["size"], r["sha256"]) for r in receipts if r["type"] == "delivered"}
            check(told <= stored, f"{size}: what is recorded is what is stored")


def appended_to():
    for size, operation in ((3000, "PutObject"), (12 * MIB, "UploadPart")):
        with Slow() as (bucket, gateway):
            path = key("findings", "f.ndjson")
            old, more = event(1, size), event(2, 500)
            full = sending(bucket, gateway, path, old, operation)
            with open(full, "ab") as file:
                file.write(more)
            gateway.wait_idle(40)
            stored = {row[:2] for row in bucket.keys().values()}
            check(digest(old + more) in stored, f"{size}: the longer file is stored")
            check(stored <= {digest(old), digest(old + more)}, f"{size}: only whole versions are stored")


def replaced_by_a_rename():
    with Slow() as (bucket, gateway):
        path = key("findings", "f.ndjson")
        old, new = event(1, 3000), event(2, 3000)
        sending(bucket, gateway, path, old)
        Dropped().rename(gateway.root, path, new)
        # The old bytes were read, or not, before they were replaced; the new ones must arrive.
        gateway.wait_idle(30)
        stored = {row[:2] for row in bucket.keys().values()}
        check(digest(new) in stored, "the new file is stored")
        check_stored(bucket, gateway, *([old, new] if digest(old) in stored else [new]), path=path)


def replaced_while_it_comes_to_be_held():
    """The hold is of the old file, which became shorter; the new one needs no rescan."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, CONFIG) as gateway:
        bucket.fault("op=PutObject,count=1,latency=3s,status=500")
        path, away = key("findings", "f.ndjson"), os.path.join(gateway.root, ".away")
        full = sending(bucket, gateway, path, event(1, 3000))
        before, new = os.stat(full), event(2, 3000)
        os.rename(full, away)
        os.truncate(away, 10)
        os.utime(away, ns=(before.st_atime_ns, before.st_mtime_ns))
        Dropped().rename(gateway.root, path, new)
        check(wait_until(lambda: not os.path.exists(full), 20), f"the new file is taken: {gateway.files()}")
        check("event=held" in gateway.log(), "the old one came to be held")
        check_equal(gateway.status()["files"]["held"], 0, "files held")
        check_equal(bucket.objects(), {path: digest(new)}, "objects")


def replaced_while_it_waits_with_parts_sent():
    """The upload that was begun for the old file is the new one's to abort, large or small."""
    for size in (11 * MIB, 3000):
        with Devstore("--require-acl") as bucket, Gateway(bucket, CONFIG) as gateway:
            bucket.fault("op=CompleteMultipartUpload,status=500,code=InternalError")
            path, new = key("findings", "f.ndjson"), event(2, size)
            sending(bucket, gateway, path, event(1, 12 * MIB), "CompleteMultipartUpload")
            check(wait_until(lambda: gateway.cli("hold", path).returncode == 0, 30, 0.2), f"{size}: held")
            uploads = lambda: bucket.s3().list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
            check_equal(len(uploads()), 1, f"{size}: uploads under way")
            bucket.clear_faults()
            Dropped().rename(gateway.root, path, new)
            gateway.wait_idle(40)
            check_equal(uploads(), [], f"{size}: uploads left")
            check_stored(bucket, gateway, new, path=path)


def renamed_away():
    with Slow() as (bucket, gateway):
        path, other = key("findings", "f.ndjson"), key("findings", "g.ndjson")
        data = event(1, 3000)
        full = sending(bucket, gateway, path, data)
        os.rename(full, os.path.join(gateway.root, other))
        gateway.wait_idle(30)
        got = bucket.objects()
        check_equal(got.get(other), digest(data), "the file is stored under its new name")
        check(set(got) <= {path, other}, f"objects: {sorted(got)}")


def deleted():
    for size, operation in ((3000, "PutObject"), (12 * MIB, "UploadPart")):
        with Slow() as (bucket, gateway):
            path = key("findings", "f.ndjson")
            data = event(1, size)
            full = sending(bucket, gateway, path, data, operation)
            os.unlink(full)
            gateway.wait_idle(30)
            got = bucket.objects()
            check(got in ({}, {path: digest(data)}), f"the whole file or nothing is stored: {got}")
            status = gateway.status()
            check(status["since_start"]["vanished"] + status["since_start"]["delivered_files"] == 1,
                  f"it is counted as vanished or delivered: {status['since_start']}")
            check_equal(status["state"], "ok", "state")
            why = gateway.cli("why", path)
            check(why.returncode in (0, 1) and len(why.stdout + why.stderr) > 20, "why says something of it")


def truncated():
    for size, operation in ((3000, "PutObject"), (12 * MIB, "UploadPart")):
        with Slow() as (bucket, gateway):
            path = key("findings", "f.ndjson")
            lines = [event(n, size // 10) for n in range(10)]
            full = sending(bucket, gateway, path, b"".join(lines), operation)
            os.truncate(full, len(lines[0]))
            check(wait_until(lambda: gateway.status()["files"]["held"] == 1 or gateway.is_idle(), 30),
                  f"{size}: it comes to rest: {gateway.status()['files']}")
            got = {row[:2] for row in bucket.objects().values()}
            check(got <= {digest(b"".join(lines)), digest(lines[0])}, f"{size}: only whole versions: {got}")
            if gateway.status()["files"]["held"]:
                why = gateway.cli("why", path)
                check("short" in why.stdout, f"{size}: why says that it became shorter: {why.stdout}")
                os.unlink(full)
                gateway.cli("retry", path)
                check(wait_until(gateway.is_idle), f"{size}: what is gone is let go")


def a_writer_that_never_lets_go():
    """Open for writing all the time: it is not sent before it is closed."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, CONFIG) as gateway:
        path = key("findings", "f.ndjson")
        full = os.path.join(gateway.root, path)
        os.makedirs(os.path.dirname(full))
        dropped, whole = Dropped(), b""
        with open(full, "wb", buffering=0) as file:
            for number in range(10):
                line = event(number)
                file.write(line)
                whole += line
                time.sleep(0.3)
            check_equal(bucket.keys(), {}, "objects while it is open")
            check_equal(gateway.status()["files"]["settling"], 1, "files settling")
            why = gateway.cli("why", path)
            check("settling" in why.stdout, f"why says so: {why.stdout}")
        dropped.add(path, whole)
        gateway.wait_idle()
        compare(bucket, dropped)


def a_log_that_grows_for_ever():
    """Appended to and closed again and again, faster than it is sent: every version that is stored
    is a whole one, and the last one is among them."""
    with Slow("300ms") as (bucket, gateway):
        path = key("findings", "f.ndjson")
        full = os.path.join(gateway.root, path)
        os.makedirs(os.path.dirname(full))
        lines = []
        for number in range(12):
            with open(full, "ab") as file:
                file.write(event(number))
            lines.append(event(number))
            time.sleep(0.25)
        gateway.wait_idle(30)
        # What was delivered is taken away, so that what comes after it is a new file.
        runs = {digest(b"".join(lines[a:b])) for a in range(len(lines)) for b in range(a + 1, len(lines) + 1)}
        got = {row[:2] for row in bucket.keys().values()}
        check(got <= runs, "only runs of whole lines are stored")
        s3, seen = bucket.s3(), set()
        for name in bucket.list():
            seen |= set(s3.get_object(Bucket=bucket.bucket, Key=name)["Body"].read().splitlines(True))
        check_equal(seen, set(lines), "lines stored")


run_tests([rewritten_in_place, appended_to, replaced_by_a_rename,
           replaced_while_it_comes_to_be_held, replaced_while_it_waits_with_parts_sent, renamed_away, deleted, truncated,
           a_writer_that_never_lets_go, a_log_that_grows_for_ever])
