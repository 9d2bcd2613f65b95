#!/usr/bin/python3
# run-on: devstore minio
# also-under: tsan
"""kill -9 and SIGTERM at random moments under load: nothing is missing, nothing differs, what the
crashes cost is a few repeated requests, and every stop is an orderly one."""

import os
import random
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

ROUNDS = int(os.environ.get("KILL_ROUNDS") or 10)
RATE = 100


def produce(root, dropped, stop, seed, rate=RATE, prefix=""):
    """`rate` files a second by every way, from 200 B to 200 kB."""
    chance, number, next_at = random.Random(seed), 0, time.monotonic()
    ways = (dropped.rename, dropped.link, dropped.write)
    while not stop.is_set():
        data = event(number, chance.choice((200, 4096, 4096, 200_000)))
        name = key(chance.choice(("findings", "audit", "attack_paths")), f"f-{prefix}{number}.ndjson",
                   account=f"acct-{number % 37}")
        ways[number % 3](root, name, data)
        number += 1
        next_at += SLOW / rate
        time.sleep(max(0, next_at - time.monotonic()))


def killed_again_and_again():
    chance = random.Random(20261123)
    with store() as bucket, Gateway(bucket, {"settle": "200ms"}) as gateway:
        dropped, stop = Dropped(), threading.Event()
        producer = threading.Thread(target=produce, args=(gateway.root, dropped, stop, 7))
        producer.start()
        verified = 0
        for _ in range(ROUNDS):
            time.sleep(chance.uniform(0.3, 2.5))
            verified += gateway.status()["since_start"]["verified"]
            gateway.kill()
            gateway.start()
        time.sleep(1)
        stop.set()
        producer.join()
        gateway.wait_idle(60)
        status = gateway.status()["since_start"]
        verified += status["verified"]
        check_equal(status["conflicts"], 0, "files stored under a second name")
        compare(bucket, dropped)
        gateway.stop()
        gateway.journal_verify()
        repeated = (f", repeated PUTs {bucket.stats()['repeated_same']} same, "
                    f"{bucket.stats()['repeated_other']} other" if isinstance(bucket, Devstore) else "")
        print(f"  {ROUNDS} kills, {len(dropped)} files, 0 missing; objects found to be there already "
              f"(repeated requests): {verified}{repeated}")
        if isinstance(bucket, Devstore):
            check_equal(bucket.stats()["repeated_other"], 0, "objects overwritten with other bytes")


def stopped_again_and_again():
    chance = random.Random(20261124)
    with store() as bucket, Gateway(bucket, {"settle": "50ms"}) as gateway:
        dropped, stop = Dropped(), threading.Event()
        producers = [threading.Thread(target=produce, args=(gateway.root, dropped, stop, n), kwargs={
            "rate": 200, "prefix": f"{n}-"}) for n in (1, 2)]
        for producer in producers:
            producer.start()
        for _ in range(ROUNDS):
            time.sleep(chance.uniform(0.05, 0.4))
            check_equal(gateway.stop(), 0, "exit status of spoolgate run after SIGTERM")
            gateway.start()
        stop.set()
        for producer in producers:
            producer.join()
        gateway.wait_idle(60)
        check_equal(gateway.status()["since_start"]["conflicts"], 0, "files stored under a second name")
        compare(bucket, dropped)
        print(f"  {ROUNDS} stops, {len(dropped)} files")


run_tests([killed_again_and_again, stopped_again_and_again])
