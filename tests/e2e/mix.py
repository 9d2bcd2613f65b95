#!/usr/bin/python3
"""What every day is like: files of all kinds and in all ways, on every store.

All of them arrive, each once, with its bytes and the ACL; a stop and a start change nothing.
"""
# run-on: devstore minio versitygw
# also-under: asan tsan valgrind

import os

from lib import (SLOW, Devstore, Dropped, Gateway, check, check_equal, compare, event, finish, key,
                 spooled, store)

FILES = 60 if SLOW > 1 else 200


def main():
    with store() as bucket, Gateway(bucket, {"settle": "200ms"}) as gateway:
        dropped = Dropped()
        dropped.mix(gateway, FILES)
        gateway.wait_idle(60)
        gateway.wait_delivered(FILES)
        compare(bucket, dropped)
        check_equal(gateway.files(), {}, "files in the gateway's care")
        check_equal(gateway.cli("status", "--max-age", "60s").returncode, 0, "status --max-age 60s")

        receipt = gateway.cli_json("put", key("findings", "waited.json"), "--wait=30", stdin=event())
        dropped.add(key("findings", "waited.json"), event())
        check(receipt and receipt["sha256"] == dropped[key("findings", "waited.json")][1],
              f"put --wait --json prints the receipt: {receipt}")

        before = bucket.stats()["operations"] if isinstance(bucket, Devstore) else None
        check_equal(gateway.stop(), 0, "exit status after SIGTERM")
        gateway.journal_verify()
        while_down = key("audit", "while-down.ndjson")
        dropped.rename(gateway.root, while_down, event(1))
        gateway.start()
        gateway.wait_idle()
        compare(bucket, dropped)
        if before:
            after = bucket.stats()["operations"]
            check_equal(after["PutObject"] - before["PutObject"], 1,
                        "PutObject requests after the start: only for the new file")

        big = key("cloudtrail", "of-several-parts.ndjson")
        size = (8 if SLOW > 1 else 70) * 2**20
        line = event(2, 1000)
        dropped.write(gateway.root, big, line * (size // len(line)), pieces=7)
        gateway.wait_idle(120)
        compare(bucket, dropped)
        own = os.path.join(gateway.root, ".spoolgate")
        left = [name for name in spooled(own) if not name.startswith(("canary", "lock"))]
        check_equal(left, [], "what the gateway leaves in its own directory")
    finish()


main()
