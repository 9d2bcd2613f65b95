#!/usr/bin/python3
"""How long the gateway waits, and for what: a store that asks for a minute, and a large file under way, keep the
others back no longer than they must."""
# takes: long

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

PARTS = {"settle": "100ms", "multipart": {"threshold": "5MiB", "part_size": "5MiB", "parallel": 2}}


def large_file(mib):
    return b"".join(event(n, 64 * 1024) for n in range(mib * 16))


def drop(gateway, dropped):
    for number in range(20):
        dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))


def a_store_that_asks_for_a_minute():
    """MinIO says so with each 503. While it starts it is not taken at its word; else the gateway waits, and
    `retry` ends that, also for a large file of which some parts are there."""
    minute = "status=503,retry-after=60,code="
    for name, spec, by_hand in (("while it starts", minute + "XMinioServerNotInitialized", False),
                                ("of everybody", minute + "ServiceUnavailable", True),
                                ("of one part", "op=UploadPart,nth=2,count=1," + minute + "ServiceUnavailable", True)):
        with Devstore("--require-acl") as bucket, Gateway(bucket, PARTS) as gateway:
            bucket.fault(spec)
            dropped = Dropped()
            dropped.rename(gateway.root, key("findings", "large.ndjson"), large_file(12))
            drop(gateway, dropped)
            check(wait_until(lambda: bucket.stats()["faults_fired"] > 0), f"{name}: the fault fired")
            check(not wait_until(gateway.is_idle, 3), f"{name}: it waits")
            sentence = gateway.status()["sentence"]
            bucket.clear_faults()
            cleared = time.monotonic()
            if by_hand:
                check(not wait_until(gateway.is_idle, 3), f"{name}: it waits as it was asked to")
                check_equal(gateway.cli("retry", "--all").returncode, 0, f"{name}: retry")
            gateway.wait_idle(20)
            took = time.monotonic() - cleared
            compare(bucket, dropped)
            row(f"Retry-After: 60 {name}", f'"{sentence}"; all delivered {took:.1f} s after it was well again'
                + (", 3 s of it until retry" if by_hand else ""))


def a_large_file_does_not_stand_in_the_way():
    """An upload that goes on for long neither keeps the probes back nor is one until its end."""
    for case, by_hand in (("under way when the store failed", False), ("under way, and retry", True), ("the probe", False)):
        with Devstore("--require-acl") as bucket, Gateway(bucket, {**PARTS, "bandwidth": "8MiB"}) as gateway:
            dropped = Dropped()
            if case == "the probe":
                bucket.fault("status=503")
            dropped.rename(gateway.root, key("findings", "large.ndjson"), large_file(240))
            if case != "the probe":
                check(wait_until(lambda: bucket.stats()["operations"].get("UploadPart", 0) >= 2, 30), "parts are sent")
                bucket.fault("op=PutObject,status=503")
            drop(gateway, dropped)
            check(wait_until(lambda: gateway.status()["destination"]["state"] != "open"), f"{case}: the bucket waits")
            bucket.clear_faults()
            began = time.monotonic()
            if by_hand:
                gateway.cli("retry", "--all")
            check(wait_until(lambda: gateway.delivered() >= 20, 6 if by_hand else 20), f"{case}: the others are sent")
            took = time.monotonic() - began
            transfers = [t["path"] for t in gateway.status()["transfers"]]
            check_equal(transfers, [key("findings", "large.ndjson")], f"{case}: it goes on meanwhile")
            gateway.configure({"bandwidth": "0"})
            gateway.reload()
            gateway.wait_idle(60)
            compare(bucket, dropped)
            row(f"a large file, {case}", f"the others were sent {took:.1f} s after the store was well again")


def a_reload_while_a_large_file_is_looked_at():
    """It waits for the end of that file, and nothing else waits for it."""
    with Devstore("--require-acl") as bucket, scratch_dir() as tools:
        slow = os.path.join(tools, "slow")
        with Gateway(bucket, PARTS, env=slow_read_environment(tools, slow)) as gateway:
            open(slow, "w").close()
            dropped = Dropped()
            dropped.rename(gateway.root, key("findings", "large.ndjson"), large_file(48))
            check(not wait_until(gateway.delivered, 0.5), "it is being read")
            gateway.configure({"uploads": 7})
            gateway.reload()
            check(wait_until(lambda: "New settings wait" in gateway.status()["sentence"], 5), "the reload waits for it")
            drop(gateway, dropped)
            gateway.wait_delivered(20)
            check("event=reloaded" not in gateway.log(), "the others are sent before the reload")
            os.unlink(slow)
            check(wait_until(lambda: "event=reloaded" in gateway.log(), 20), "then the settings are taken over")
            gateway.wait_idle(60)
            compare(bucket, dropped)


run_tests([a_store_that_asks_for_a_minute, a_large_file_does_not_stand_in_the_way,
           a_reload_while_a_large_file_is_looked_at])
