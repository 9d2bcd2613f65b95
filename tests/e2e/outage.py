#!/usr/bin/python3
# run-on: minio
# takes: long
"""The store goes away while files arrive, in order or killed in mid-upload, and comes back: status
and why say meanwhile what is wrong, and afterwards all is delivered within half a minute, by itself.

SPOOLGATE_LONG=1 makes the outage two minutes long; $OUTAGE_SECONDS any length."""

import os
import random
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

SECONDS = float(os.environ.get("OUTAGE_SECONDS") or (120 if os.environ.get("SPOOLGATE_LONG") else 20))
COUNT = 2000
BACK = 30  # seconds within which all must be there
MIB = 1 << 20


def produce(root, dropped, count, seconds):
    chance, begin = random.Random(5), time.monotonic()
    ways = (dropped.rename, dropped.link, dropped.write)
    for number in range(count):
        name = key(("findings", "audit", "attack_paths")[number % 3], f"f-{number}.ndjson",
                   account=f"acct-{number % 50}")
        ways[number % 3](root, name, event(number, chance.choice((200, 4096, 20000))))
        time.sleep(max(0, begin + (number + 1) * seconds / count - time.monotonic()))


def check_it_says_what_is_wrong(bucket, gateway):
    """While the store is away: the sentence of status, and why of a file that waits."""
    check(wait_until(lambda: gateway.status()["state"] == "stuck", 15), "status says that it is stuck")
    # A connection that was cut names no address; the next try, a second later, does.
    wait_until(lambda: str(bucket.port) in gateway.status()["sentence"], 15)
    status = gateway.status()
    check("wait for the bucket" in status["sentence"] and str(bucket.port) in status["sentence"],
          f"status names the cause: {status['sentence']}")
    path = next(iter(gateway.files("accepted") or gateway.files("deferred")), None)
    if check(path, "files wait"):
        why = gateway.cli("why", path)
        check(str(bucket.port) in why.stdout and "by itself" in why.stdout,
              f"why names the cause and what happens next: {why.stdout}")
        print("  " + next(r for r in why.stdout.splitlines() if r.startswith("why")))
    print(f"  status: {status['sentence']}")


def check_it_recovers(gateway, since):
    ok = wait_until(gateway.is_idle, BACK)
    took = time.monotonic() - since
    check(ok and took <= BACK * SLOW, f"all delivered {took:.1f} s after the store's return")
    status = gateway.status()
    check_equal(status["state"], "ok", "state afterwards")
    return took


def stopped_while_files_arrive():
    with store() as bucket, Gateway(bucket, {"settle": "200ms"}) as gateway:
        dropped = Dropped()
        dropped.rename(gateway.root, key("findings", "before.ndjson"), event())
        gateway.wait_delivered(1)
        stop_process(bucket.process)
        producer = threading.Thread(target=produce, args=(gateway.root, dropped, COUNT, SECONDS))
        producer.start()
        time.sleep(SECONDS / 2)
        check_it_says_what_is_wrong(bucket, gateway)
        oldest = gateway.status()["backlog"]["oldest_age_ms"]
        check(oldest and oldest > SECONDS * 300, f"the oldest file waits for {oldest} ms")
        producer.join()
        waiting = gateway.status()["backlog"]["files"]
        bucket.start()
        took = check_it_recovers(gateway, time.monotonic())
        compare(bucket, dropped)
        status = gateway.status()["since_start"]
        check_equal(status["delivered_files"], COUNT + 1, "files delivered")
        check_equal(status["conflicts"], 0, "files stored under a second name")
        print(f"  away for {SECONDS:.0f} s, {COUNT} files arrived, {waiting} waited; all stored {took:.1f} s "
              f"after its return, {status['requests']} requests, {status['verified']} found there")


def killed_in_mid_upload():
    with store() as bucket, Gateway(bucket, {
            "settle": "200ms", "bandwidth": "32MiB", "multipart": {"threshold": "16MiB"}}) as gateway:
        dropped = Dropped()
        data = b"".join(event(n, 64 * 1024) for n in range(1600))  # 100 MiB
        dropped.rename(gateway.root, key("attack_paths", "large.ndjson"), data)
        for number in range(1000):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson", account=f"a-{number % 9}"),
                           event(number, 20000))
        check(wait_until(lambda: gateway.delivered() > 20), "some are delivered")
        done = gateway.delivered()
        bucket.kill()
        check(done < len(dropped), f"{done} of {len(dropped)} were delivered when it was killed")
        check_it_says_what_is_wrong(bucket, gateway)
        time.sleep(3)
        bucket.start()
        took = check_it_recovers(gateway, time.monotonic())
        compare(bucket, dropped)
        status = gateway.status()["since_start"]
        check_equal(status["conflicts"], 0, "files stored under a second name")
        print(f"  killed when {done} of {len(dropped)} were delivered; all stored {took:.1f} s after its "
              f"return, {status['requests']} requests, {status['verified']} found there")


def killed_again_and_again():
    """Without a reload or anything else that could wake it."""
    with store() as bucket, Gateway(bucket, {"settle": "200ms"}) as gateway:
        dropped, chance = Dropped(), random.Random(11)
        producer = threading.Thread(target=produce, args=(gateway.root, dropped, 1000, 15))
        producer.start()
        for _ in range(4):
            time.sleep(chance.uniform(0.5, 1.5))
            bucket.kill()
            time.sleep(chance.uniform(0.2, 3))
            bucket.start()
        back = time.monotonic()
        producer.join()
        took = check_it_recovers(gateway, max(back, time.monotonic()))
        compare(bucket, dropped)
        status = gateway.status()["since_start"]
        check_equal(status["conflicts"], 0, "files stored under a second name")
        print(f"  4 kills, {len(dropped)} files: all stored {took:.1f} s after the last was dropped, "
              f"{status['requests']} requests, {status['verified']} found there")


def wakeups(gateway):
    with open(f"/proc/{gateway.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("voluntary"))


def rests_while_nothing_can_be_sent():
    """Files whose next try is due wait for the bucket: the gateway sleeps until that is due, too."""
    with store() as bucket, Gateway(bucket, {"settle": "200ms"}) as gateway:
        dropped = Dropped()
        dropped.rename(gateway.root, key("findings", "before.ndjson"), event())
        gateway.wait_delivered(1)
        bucket.kill()
        for number in range(60):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        check(wait_until(lambda: gateway.status()["state"] == "stuck", 15), "status says that it is stuck")
        check(wait_until(lambda: gateway.files("deferred"), 5, 0.2), "some files had a try of their own")
        before = wakeups(gateway)
        time.sleep(4)
        check(wakeups(gateway) - before < 600, f"woken {wakeups(gateway) - before} times in 4 s")
        bucket.start()
        check_it_recovers(gateway, time.monotonic())
        compare(bucket, dropped)


run_tests([stopped_while_files_arrive, killed_in_mid_upload, killed_again_and_again,
           rests_while_nothing_can_be_sent])
