#!/usr/bin/python3
# run-on: devstore minio
# takes: long
"""Files of every size arrive with equal bytes, the large ones in parts, and the largest one costs
the gateway no memory."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

MIB = 1 << 20
THRESHOLD = 64 * MIB  # in one request up to here
PART = 16 * MIB
MEMORY_MAX = 64 * MIB
HUGE = (1 << 30) if SLOW == 1 else 128 * MIB
SIZES = {"1 B": 1, "4 KiB": 4096, "5 MiB": 5 * MIB, "64 MiB": THRESHOLD, "64 MiB + 1": THRESHOLD + 1}


def lines(size):
    """Newline-delimited JSON of exactly so many bytes, no two MiB of it the same: (piece, piece, …)."""
    written, number = 0, 0
    while written < size:
        piece = b"".join(event(number + i, 1024) for i in range(1024))
        number += 1024
        if written + len(piece) > size - 2048:
            piece = piece[:piece.rfind(b"\n", 0, max(0, size - written - 64)) + 1]
            rest = size - written - len(piece)
            piece += b'{"last":"' + b"z" * (rest - 12) + b'"}\n'
        written += len(piece)
        yield piece


def parts_of(path, part_bytes):
    """The ETag that S3 gives to an object stored in parts of this size, and those of its parts."""
    parts = []
    with open(path, "rb") as file:
        while piece := file.read(part_bytes):
            parts.append(hashlib.md5(piece))
    whole = hashlib.md5(b"".join(p.digest() for p in parts)).hexdigest()
    return f"{whole}-{len(parts)}", [p.hexdigest() for p in parts]


def etag_of(bucket, name):
    return bucket.s3().head_object(Bucket=bucket.bucket, Key=name)["ETag"].strip('"')


def check_etags(bucket, gateway, name, path):
    """The ETag of an object in parts, and the journal's of each part, are those of the bytes."""
    etag = etag_of(bucket, name)
    whole, parts = parts_of(path, PART)
    check_equal(etag, whole, f"ETag of {name}")
    records = [json.loads(line) for line in gateway.cli("journal", "dump").stdout.splitlines()]
    first = next(r for r in records if r["type"] == "accepted" and r["path"] == name)
    told = {r["part"]: r["etag"].strip('"') for r in records
            if r["type"] == "part" and r["part"] > 0 and r["file"] == first_place(first)}
    check_equal(told, dict(enumerate(parts, 1)), f"part ETags of {name} in the journal")
    return len(parts)


def first_place(record):
    """How the journal names the file that began with this record."""
    return (record["segment"] << 24) | record["offset"]


def every_size():
    with store() as bucket, scratch_dir() as originals, Gateway(bucket, {
            "settle": "200ms", "send": {"types": {"raw_bytes": {"content": "any"}}}}) as gateway:
        dropped = Dropped()
        for number, (name, size) in enumerate(SIZES.items()):
            data = os.urandom(size)
            path = key("raw_bytes", f"{name}.bin")
            (dropped.rename, dropped.write)[number % 2](gateway.root, path, data)
            with open(os.path.join(originals, f"{name}.bin"), "wb") as file:
                file.write(data)
        data = b"".join(lines(5 * MIB))
        check_equal(len(data), 5 * MIB, "length of the lines")
        dropped.rename(gateway.root, key("findings", "renamed.ndjson"), data)
        data = b"".join(lines(5 * MIB))
        dropped.write(gateway.root, key("findings", "in pieces.ndjson"), data, pieces=50, pause=0.02)
        gateway.wait_idle(60)
        compare(bucket, dropped)
        check_equal(gateway.status()["since_start"]["delivered_files"], len(dropped), "files delivered")
        for name, size in SIZES.items():
            path, original = key("raw_bytes", f"{name}.bin"), os.path.join(originals, f"{name}.bin")
            if size > THRESHOLD:
                print(f"  {name}: {check_etags(bucket, gateway, path, original)} parts")
            else:
                with open(original, "rb") as file:
                    md5 = hashlib.md5(file.read()).hexdigest()
                check_equal(etag_of(bucket, path), md5, f"ETag of {name}")
        if isinstance(bucket, Devstore):
            stats = bucket.stats()
            check_equal(stats["operations"]["CreateMultipartUpload"], 1, "uploads in parts")
            check_equal(stats["operations"]["PutObject"], len(dropped) - 1, "uploads in one request")


def huge(content):
    with store() as bucket, scratch_dir() as originals, Gateway(bucket, {
            "settle": "200ms", "content": content}) as gateway:
        name, digest = key("findings", "huge.ndjson"), hashlib.sha256()
        original = os.path.join(originals, "huge")
        with open(original, "wb") as file:
            if content == "ndjson":
                for piece in lines(HUGE):
                    digest.update(piece)
                    file.write(piece)
            else:  # mostly a hole, so that zeros are tried too
                file.truncate(HUGE)
                for at in range(0, HUGE, 64 * MIB):
                    file.seek(at)
                    file.write(os.urandom(MIB))
        check_equal(os.path.getsize(original), HUGE, "length of the file")
        want = sha256_file(original)
        full = os.path.join(gateway.root, name)
        os.makedirs(os.path.dirname(full))
        start = time.monotonic()
        # A second link is a producer that is not done: so it is copied, not linked.
        subprocess.run(["cp", original, full + ".tmp"], check=True)
        os.rename(full + ".tmp", full)
        copied = time.monotonic()
        gateway.wait_idle(180)
        took = time.monotonic() - copied
        check_equal(gateway.delivered(), 1, "files delivered")
        with open(f"/proc/{gateway.process.pid}/status") as file:
            peak = int(next(r for r in file if r.startswith("VmHWM")).split()[1]) * 1024
        if SLOW == 1:
            check(peak < MEMORY_MAX, f"peak memory of the gateway is {peak / MIB:.1f} MiB")
        s3, got = bucket.s3(), hashlib.sha256()
        body = s3.get_object(Bucket=bucket.bucket, Key=name)["Body"]
        for piece in body.iter_chunks(MIB):
            got.update(piece)
        check_equal(got.hexdigest(), want, "SHA-256 of the object")
        count = check_etags(bucket, gateway, name, original)
        print(f"  {HUGE // MIB} MiB of {content}: made in {copied - start:.1f} s, stored {took:.1f} s "
              f"later in {count} parts, peak memory of the gateway {peak / MIB:.1f} MiB")


def huge_of_any_bytes():
    huge("any")


def huge_of_many_lines():
    huge("ndjson")


run_tests([every_size, huge_of_any_bytes, huge_of_many_lines])
