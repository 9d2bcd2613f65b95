#!/usr/bin/python3
# run-on: devstore minio
# also-under: asan tsan
"""Names of every kind: stored under exactly that key, or refused with a sentence; never lost."""

import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

GOOD = ["plain.ndjson", "with space.ndjson", "a+b.ndjson", "50%.ndjson", "a%2Fb.ndjson", "a&b=c.ndjson",
        "tilde~x.ndjson", "(round).ndjson", "it's.ndjson", 'double"quote.ndjson', "star*.ndjson",
        "a:b@c,d;e.ndjson", "q?x=1#frag.ndjson", "b\\s.ndjson", "[x]{y}|^`.ndjson", "$HOME !.ndjson",
        "ü.ndjson", "u\u0308.ndjson", "漢字.ndjson", "🦉.ndjson", "-rf", "x" * 255, "漢" * 85,
        "<&amp;>.xml.ndjson"]


def path_of(name, event_type="findings", account="acct"):
    return f"Panoptica/{event_type}/{TODAY}/{account}/{name}"


def names_that_are_keys():
    dropped = Dropped()
    with store() as bucket, Gateway(bucket, {"settle": "100ms"}) as gateway:
        for number, name in enumerate(GOOD):
            if isinstance(bucket, Minio) and ("\\" in name):
                continue  # MinIO takes a backslash for a slash
            (dropped.rename, dropped.write)[number % 2](gateway.root, path_of(name), event(number))
        gateway.wait_idle()
        compare(bucket, dropped)
        s3 = bucket.s3()
        for name in dropped:
            body = s3.get_object(Bucket=bucket.bucket, Key=name)["Body"].read()
            check_equal((len(body), hashlib.sha256(body).hexdigest()), dropped[name], f"boto3 reads {name}")
        print(f"  {len(dropped)} names stored under exactly their key")


def a_key_of_1024_bytes():
    # With any layout, since three components of 255 do not reach 1 024.
    name = "/".join(["d" * 250] * 4) + "/" + "f" * (1024 - 4 * 251)
    with store() as bucket, Gateway(bucket, {"layout": "any", "settle": "100ms"}) as gateway:
        if isinstance(bucket, Minio):
            name = "/".join(["d" * 200] * 5) + "/" + "f" * (1024 - 5 * 201)
        check_equal(len(name), 1024, "length of the key")
        dropped, too_long = Dropped(), name + "x"
        dropped.rename(gateway.root, name, event())
        full = os.path.join(gateway.root, too_long)
        with open(full + ".tmp", "wb") as file:
            file.write(event(1))
        os.rename(full + ".tmp", full)
        wait_until(lambda: gateway.status()["files"]["rejected"] == 1 and bucket.objects())
        compare(bucket, dropped)
        rejected = os.path.join(gateway.root, ".spoolgate/rejected", too_long)
        check(os.path.exists(rejected), "the file whose key has 1 025 bytes is in rejected/")
        reason = open(rejected + ".reason").read()
        check("1024" in reason or "1 024" in reason, f"its reason names the limit: {reason}")


def names_and_files_that_are_refused():
    """Each with the word that its sentence must hold."""
    with store() as bucket, Gateway(bucket, {"settle": "100ms"}) as gateway:
        root = gateway.root
        here = os.path.join(root, path_of(""))
        os.makedirs(here)
        outside = os.path.join(gateway.directory, "outside.ndjson")
        with open(outside, "wb") as file:
            file.write(event())
        expected = {}

        def drop(path, word, data=event()):
            full = os.path.join(os.fsencode(root), path if isinstance(path, bytes) else path.encode())
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full + b".tmp", "wb") as file:
                file.write(data)
            os.rename(full + b".tmp", full)
            expected[path if isinstance(path, bytes) else path.encode()] = word

        def special(name, make, word):
            make(os.path.join(here, name))
            expected[path_of(name).encode()] = word

        drop(path_of("new\nline.ndjson"), "control")
        drop(path_of("bell\x07.ndjson"), "control")
        drop(path_of("").encode() + b"latin-\xfc.ndjson", "UTF-8")
        drop(f"Panoptica/findings/2026-02-30/acct/f.ndjson", "date")
        drop(f"Panoptica/findings/{TODAY}/f.ndjson", "")
        drop(f"Panoptica/findings/{TODAY}/acct/deeper/f.ndjson", "")
        drop("f.ndjson", "")
        drop(f"Elsewhere/findings/{TODAY}/acct/f.ndjson", "")
        drop(path_of("empty.ndjson"), "", b"")
        special("symlink.ndjson", lambda p: os.symlink(outside, p), "link")
        special("fifo.ndjson", os.mkfifo, "")
        special("hard.ndjson", lambda p: os.link(outside, p), "link")

        def make_socket(path):
            s = socket.socket(socket.AF_UNIX)
            at = os.getcwd()
            os.chdir(os.path.dirname(path))
            s.bind(os.path.basename(path))
            os.chdir(at)
        special("socket.ndjson", make_socket, "")

        ok = wait_until(lambda: gateway.status()["files"]["rejected"] >= len(expected), 20)
        check(ok, f"all {len(expected)} were rejected: {gateway.status()['files']}, left {spooled(root)}")
        for path, word in expected.items():
            lies = os.path.join(os.fsencode(root), b".spoolgate/rejected", path)
            if not check(os.path.lexists(lies), f"{path!r} lies in rejected/"):
                continue
            with open(lies + b".reason", "rb") as file:
                reason = json.load(file)
            check(len(reason["reason"]) > 15 and word.lower() in reason["reason"].lower(),
                  f"the reason for {path!r} names {word!r}: {reason['reason']!r}")
            print(f"  {path.decode(errors='backslashreplace').encode('unicode_escape').decode()[:60]:60} {reason['reason']}")
        check_equal(bucket.objects(), {}, "objects stored")
        check(open(outside, "rb").read() == event(), "the target of the links is unharmed")
        dropped = Dropped()
        dropped.rename(root, path_of("after.ndjson"), event(9))
        gateway.wait_delivered(1)
        compare(bucket, dropped)


def a_long_list_of_long_names_is_listed():
    """What the gateway answers of them is more than the command takes at once."""
    with store() as bucket, Gateway(bucket, {"settle": "100ms"}) as gateway:
        names = [os.path.join(*["\x01" * 240] * 3, "\x02" * 230 + f"{n:04}") for n in range(800)]
        os.makedirs(os.path.join(gateway.root, os.path.dirname(names[0])))
        for name in names:
            open(os.path.join(gateway.root, name), "w").close()
        check(wait_until(lambda: gateway.status()["files"]["rejected"] == len(names), 60), "all were rejected")
        check_equal([f["path"] for f in gateway.cli_json("ls")], names, "ls --json")


run_tests([names_that_are_keys, a_key_of_1024_bytes, a_long_list_of_long_names_is_listed,
           names_and_files_that_are_refused])
