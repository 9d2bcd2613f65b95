#!/usr/bin/python3
# run-on: devstore
# also-under: asan tsan
"""Everything at once that threads can do to each other: several uploader threads, a store that
errs, settings and keys that change, questions all the while, and stops in the middle of it."""

import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

FILES = 800 if SLOW > 1 else 2000
TROUBLE = ("op=PutObject,probability=0.02,status=503,code=SlowDown",
           "op=PutObject,probability=0.02,store-then-reset",
           "op=UploadPart,probability=0.1,status=500,code=InternalError",
           "op=PutObject,probability=0.01,reset")


def ask(gateway, stop):
    """What an operator's screen does, until told to stop."""
    while not stop.is_set():
        try:
            gateway.status()
            gateway.files()
            gateway.api("POST", "/v1/retry", {"all": True})
            gateway.api("POST", "/v1/rescan")
        except OSError:
            pass  # it is just being started again
        time.sleep(0.05)


def write_keys(gateway, bucket):
    path = os.path.join(gateway.directory, "keys")
    with open(path + ".new", "w") as file:
        file.write(f"[default]\naws_access_key_id = {bucket.access_key}\n"
                   f"aws_secret_access_key = {bucket.secret_key}\n")
    os.replace(path + ".new", path)
    return path


def in_trouble_and_turmoil():
    with Devstore("--require-acl", "--threads", "2") as bucket, \
         Gateway(bucket, {"settle": "100ms", "threads": 3, "uploads": 24}, start=False) as gateway:
        gateway.configure({"credentials": {"source": "file", "file": write_keys(gateway, bucket)},
                           "multipart": {"threshold": "5MiB"}})
        gateway.start()
        for spec in TROUBLE:
            bucket.fault(spec)
        dropped, stop = Dropped(), threading.Event()
        asker = threading.Thread(target=ask, args=(gateway, stop))
        asker.start()
        for number in range(FILES):
            way = (dropped.rename, dropped.link, dropped.write)[number % 3]
            way(gateway.root, key(("findings", "audit", "attack_paths")[number % 7 % 3],
                                  f"f-{number}.ndjson", account=f"acct-{number % 29}"),
                event(number, 4096 if number % 5 else 200_000))
            if number % (FILES // 8) == 50:
                gateway.configure({"bandwidth": f"{50 + number % 7}MB", "uploads": 8 + number % 17})
                gateway.reload()
            if number % (FILES // 8) == 90:
                write_keys(gateway, bucket)
            if number % (FILES // 2) == FILES // 3:
                dropped.write(gateway.root, key("cloudtrail", f"big-{number}.ndjson"),
                              event(number, 1000) * 12_000)
                check_equal(gateway.stop(), 0, "exit status of a stop in mid-work")
                gateway.start()
        gateway.wait_idle(120)
        stop.set()
        asker.join()
        bucket.clear_faults()
        compare(bucket, dropped)
        check_equal(gateway.status()["since_start"]["conflicts"], 0, "files under a second name")
        check_equal(bucket.stats()["repeated_other"], 0, "objects overwritten with other bytes")
        gateway.stop()
        gateway.journal_verify()


def over_tls():
    """Two threads at the door of one TLS library."""
    with scratch_dir() as directory:
        cert, private = os.path.join(directory, "cert"), os.path.join(directory, "key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", private, "-out", cert],
                       check=True, capture_output=True)
        with Devstore("--count", "--tls", cert, private) as bucket, \
             Gateway(bucket, {"settle": "100ms", "threads": 2, "bucket": {"ca_file": cert}}) as gateway:
            dropped = Dropped()
            for number in range(FILES // 4):
                dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number, 5000))
                if number % 50 == 49:
                    gateway.reload()
            gateway.wait_idle(120)
            gateway.wait_delivered(len(dropped))


def after_a_reload_the_root_is_still_known():
    """By its name, which came from settings that are gone."""
    with Devstore("--count") as bucket, Gateway(bucket) as gateway:
        for times in (1, 2):
            gateway.configure({"uploads": 8 + times})
            gateway.reload()
            check(wait_until(lambda: gateway.log().count("event=reloaded") == times), "it reloads")
        gateway.files()
        os.rename(gateway.root, gateway.root + ".away")
        gateway.api("POST", "/v1/rescan")
        told = f"the spool root {gateway.root} was removed"
        check(wait_until(lambda: told in gateway.log()), f"the log says: {told}")
        os.rename(gateway.root + ".away", gateway.root)


def a_reload_while_one_waits_counts_too():
    """The first one waits for what is being sent."""
    with Devstore("--count") as bucket, Gateway(bucket, {"settle": "100ms"}) as gateway:
        bucket.fault("op=PutObject,count=1,latency=2s")
        gateway.files()
        Dropped().rename(gateway.root, key("findings", "slow.ndjson"), event())
        check(wait_until(lambda: gateway.status()["files"]["sending"] == 1), "a file is being sent")
        gateway.reload()
        time.sleep(0.3 * SLOW)
        gateway.status()  # it has seen the signal before it answers
        gateway.configure({"bucket": {"region": "nowhere at all"}})
        gateway.reload()
        check(wait_until(lambda: "event=reload_failed" in gateway.log()), "the second one is read")
        check_equal(gateway.log().count("event=reloaded"), 1, "settings that were taken")


run_tests([in_trouble_and_turmoil, over_tls, after_a_reload_the_root_is_still_known,
           a_reload_while_one_waits_counts_too])
