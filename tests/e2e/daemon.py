#!/usr/bin/python3
# also-under: asan valgrind
"""The daemon among signals, locks and sockets: SIGTERM loses nothing and does not wait for ever, a
second gateway is refused, a reload does not wait for what is slow."""

import contextlib
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

MIB = 1 << 20
FAST = {"settle": "100ms"}


def large(mib):
    return b"".join(event(n, 64 * 1024) for n in range(mib * 16))


def drop_small(gateway, count, event_type="findings"):
    dropped = Dropped()
    for number in range(count):
        dropped.rename(gateway.root, key(event_type, f"f-{number}.ndjson"), event(number, 2000))
    return dropped


def stop_in_time(gateway, limit=10):
    start = time.monotonic()
    check_equal(gateway.stop(), 0, "exit status after SIGTERM")
    took = time.monotonic() - start
    check(took < limit * SLOW, f"it ended {took:.1f} s after SIGTERM")
    return took


def sigterm_lets_what_is_in_flight_finish():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault("latency=1500ms")
        dropped = drop_small(gateway, 100)
        check(wait_until(lambda: gateway.status()["files"]["sending"] > 10), "many are in flight")
        took = stop_in_time(gateway)
        stored, asked = len(bucket.keys()), bucket.stats()["operations"]["PutObject"]
        check_equal(stored, asked, "requests that were begun and stored")
        check(10 < stored <= 100, f"{stored} were stored")
        check_equal(len(spooled(gateway.root)), 100 - stored, "files left in the spool")
        check("stop_cancels" not in gateway.log(), "nothing was cancelled")
        bucket.clear_faults()
        gateway.start()
        gateway.wait_idle()
        check_equal(bucket.stats()["operations"], {"PutObject": 100}, "requests in all")
        compare(bucket, dropped)
        gateway.stop()
        gateway.journal_verify()
        print(f"  {stored} of 100 were finished within {took:.1f} s, none was sent twice")


def systemd_is_told_how_far_the_journal_is():
    with Devstore("--require-acl") as bucket, scratch_dir() as directory, \
            contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as notify:
        notify.bind(f"{directory}/notify")
        notify.settimeout(20 * SLOW)
        with Gateway(bucket, FAST, env={"NOTIFY_SOCKET": f"{directory}/notify"}) as gateway:
            drop_small(gateway, 1)
            gateway.wait_idle()
            check_equal(gateway.stop(), 0, "exit status")
            while b"STOPPING=1" not in notify.recv(4096):
                pass
            gateway.start()
            told = b""
            while b"READY=1" not in told:
                told += notify.recv(4096) + b"\n"
            before = told.split(b"READY=1")[0]
            check(b"EXTEND_TIMEOUT_USEC=" in before and b"segment 1 of 1\n" in before,
                  f"more time is asked for while it is read: {told}")
            check(before.rstrip().endswith(b"STATUS="), "and that it is read is told")


def old_parts_of_the_journal_go_one_a_second():
    with Devstore("--require-acl") as bucket, scratch_dir() as directory, \
            Gateway(bucket, FAST, env=shifted_clock(directory, 0)) as gateway:
        for number in range(5):  # each start begins another
            drop_small(gateway, 1, f"type-{number}")
            gateway.wait_idle()
            gateway.stop()
            gateway.start()
        check(gateway.status()["journal"]["segments"] >= 5, "the journal has five parts")
        gateway.stop()
        shift_clock(directory, 40 * 86400)
        gateway.start()
        check(wait_until(lambda: gateway.status()["journal"]["segments"] == 0, 40 * SLOW),
              "all that is older than receipts are kept is soon gone")


def sigterm_cancels_what_does_not_end():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault("blackhole")
        dropped = drop_small(gateway, 20)
        check(wait_until(lambda: gateway.status()["files"]["sending"] > 10), "many are in flight")
        took = stop_in_time(gateway)
        check_equal(len(spooled(gateway.root)), 20, "files left in the spool")
        bucket.clear_faults()
        gateway.start()
        gateway.wait_idle()
        compare(bucket, dropped)
        print(f"  it ended {took:.1f} s after SIGTERM")


def sigterm_in_a_large_upload_costs_only_the_parts_in_flight():
    with Devstore("--require-acl") as bucket, Gateway(bucket, {
            **FAST, "bandwidth": "16MiB", "multipart": {"threshold": "16MiB", "part_size": "5MiB"}}) as gateway:
        dropped = Dropped()
        dropped.rename(gateway.root, key("findings", "large.ndjson"), large(160))
        check(wait_until(lambda: bucket.stats()["operations"].get("UploadPart", 0) > 5),
              "some parts are sent")
        stop_in_time(gateway)
        gateway.configure({"bandwidth": "0"})
        gateway.start()
        gateway.wait_idle(60)
        compare(bucket, dropped)
        done = bucket.stats()["operations"]
        check_equal((done["CreateMultipartUpload"], done["CompleteMultipartUpload"]), (1, 1), "uploads")
        parts = -(-next(iter(dropped.values()))[0] // (5 * MIB))
        check(done["UploadPart"] <= parts + 4, f"{done['UploadPart']} requests for {parts} parts")
        check_equal(gateway.delivered(), 1, "files delivered")
        print(f"  {done['UploadPart']} requests for {parts} parts")


def sigterm_twice_and_sigint():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Devstore("--count") as bucket, Gateway(bucket, FAST) as gateway:
            bucket.fault("latency=500ms")
            dropped = drop_small(gateway, 10)
            check(wait_until(lambda: gateway.status()["files"]["sending"] > 0), "something is in flight")
            gateway.signal(number)
            gateway.signal(number)
            check_equal(gateway.process.wait(20 * SLOW), 0, f"exit status after two {number.name}")
            gateway.start()
            gateway.wait_idle()
            compare(bucket, dropped)


def a_second_gateway_is_refused():
    with Devstore("--count") as bucket, Gateway(bucket, FAST) as gateway:
        for name, more in (("spool", {"state": "other-state"}), ("state", {"spool": "other-spool"})):
            config = json.loads(json.dumps(gateway.config))
            for what, where in more.items():
                config[what] = os.path.join(gateway.directory, where)
                os.makedirs(config[what])
            config["control"] = gateway.control + "2"
            path = os.path.join(gateway.directory, f"second-{name}.json")
            with open(path, "w") as file:
                json.dump(config, file)
            done = subprocess.run([SPOOLGATE, "run", "-c", path], env=gateway.environment(),
                                  capture_output=True, text=True, timeout=20 * SLOW)
            check_equal(done.returncode, 111, f"exit status of a second gateway with the same {name}")
            last = done.stderr.strip().splitlines()[-1]
            check("another gateway" in last and gateway.config[name] in last
                  and str(gateway.process.pid) in last, f"it says which and who: {last}")
            print(f"  {last}")
        done = gateway.cli("journal", "verify", "--fix")
        check(done.returncode == 111 and "another gateway" in done.stderr,
              f"the journal of a running gateway is not mended: {done.returncode} {done.stderr}")
        dropped = drop_small(gateway, 5)  # the first one is unharmed
        gateway.wait_idle()
        compare(bucket, dropped)


def control_sockets():
    with Devstore("--count") as bucket, Gateway(bucket, FAST) as gateway:
        mode = os.stat(gateway.control).st_mode & 0o777
        check_equal(oct(mode), oct(0o660), "mode of the control socket")
        gateway.kill()
        check(os.path.exists(gateway.control), "a killed gateway leaves its socket")
        status = gateway.cli("status")
        check(status.returncode == 111 and "no gateway answers" in status.stderr,
              f"status without a gateway: {status.returncode} {status.stderr}")
        gateway.start()  # the stale socket is replaced
        check_equal(gateway.cli("status").returncode, 0, "status after the restart")
        check_equal(gateway.stop(), 0, "exit status")
        check(not os.path.exists(gateway.control), "the socket is gone after SIGTERM")
        with open(gateway.control, "w") as file:
            file.write("precious")
        gateway.start(ready=False)
        check(gateway.process.wait(20 * SLOW) in (100, 111), "a file in the socket's place stops it")
        check("is no socket" in gateway.log(), "it says so")
        with open(gateway.control) as file:
            check_equal(file.read(), "precious", "the file in the socket's place")
        os.unlink(gateway.control)
        # One on which somebody answers is not taken away.
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(gateway.control)
            other.listen()
            gateway.start(ready=False)
            check(gateway.process.wait(20 * SLOW) in (100, 111), "a socket in use stops it")
            check("another gateway answers" in gateway.log(), "it says so")
        os.unlink(gateway.control)
        gateway.start()


def a_stop_while_a_reload_waits():
    with Devstore("--count") as bucket, Gateway(bucket, {**FAST, "uploads": 64}) as gateway:
        # Each of these answers is recorded: the last one comes while the journal is being written.
        bucket.fault("latency=1800ms,jitter=10ms,status=500")  # a reload waits for 2 s
        dropped = drop_small(gateway, 64)
        check(wait_until(lambda: gateway.status()["files"]["sending"] > 40), "many are in flight")
        gateway.configure({"uploads": 7})
        gateway.reload()  # waits until nothing is in flight
        stop_in_time(gateway)
        bucket.clear_faults()
        gateway.start()
        gateway.wait_idle()
        compare(bucket, dropped)


def a_mark_of_a_full_spool_does_not_outlive_it():
    with Devstore("--count") as bucket, Gateway(bucket, FAST) as gateway:
        gateway.stop()
        marker = os.path.join(gateway.root, ".spoolgate/full")
        open(marker, "w").close()  # there was no room when it was stopped
        gateway.start()
        check(wait_until(lambda: not os.path.exists(marker)), "the marker goes with the next start")
        dropped = Dropped()
        dropped.put(gateway, key("findings", "f-1.ndjson"), event())
        gateway.wait_idle()
        compare(bucket, dropped)


def a_directory_that_is_missing():
    with Devstore("--count") as bucket, Gateway(bucket, FAST, start=False) as gateway:
        os.rmdir(gateway.root)
        gateway.start(ready=False)
        check_equal(gateway.process.wait(20 * SLOW), 111, "exit status without a spool root")
        check(gateway.root in gateway.log() and "make it" in gateway.log(), "it names it")


def a_reload_does_not_wait_for_a_large_upload():
    with Devstore("--require-acl") as bucket, Gateway(bucket, {
            **FAST, "bandwidth": "16MiB", "multipart": {"threshold": "16MiB", "part_size": "5MiB"}}) as gateway:
        dropped = Dropped()
        dropped.rename(gateway.root, key("attack_paths", "large.ndjson"), large(150))
        check(wait_until(lambda: bucket.stats()["operations"].get("UploadPart", 0) > 4), "it is being sent")
        gateway.configure({"bandwidth": "0"})
        start = time.monotonic()
        gateway.reload()
        check(wait_until(lambda: "event=reloaded" in gateway.log()), "it is reloaded")
        took = time.monotonic() - start
        check(took < 5 * SLOW, f"the reload took {took:.1f} s")
        for number in range(20):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        gateway.wait_idle(60)
        compare(bucket, dropped)
        done = bucket.stats()["operations"]
        check_equal(done["CreateMultipartUpload"], 1, "uploads in parts")
        check(done["UploadPart"] <= 35, f"{done['UploadPart']} requests for 31 parts")
        print(f"  reloaded in {took:.1f} s, {done['UploadPart']} requests for 31 parts")


def a_reload_keeps_the_keys_that_serve():
    with Devstore("--require-acl") as bucket, Gateway(bucket, start=False) as gateway:
        keys = os.path.join(gateway.directory, "keys")
        with open(keys, "w") as file:
            file.write(f"[default]\naws_access_key_id = {bucket.access_key}\n"
                       f"aws_secret_access_key = {bucket.secret_key}\n")
        gateway.configure({"credentials": {"source": "file", "file": keys}})
        gateway.start()
        dropped = drop_small(gateway, 3)
        gateway.wait_idle()
        os.remove(keys)  # whoever hands out keys is away
        gateway.configure({"uploads": 7})
        gateway.reload()
        check(wait_until(lambda: "reloaded" in gateway.log(), 10), "the configuration was taken over")
        dropped.rename(gateway.root, key("findings", "after.ndjson"), event())
        gateway.wait_idle(10)
        compare(bucket, dropped)
        # Other settings of keys are another matter: these cannot be had.
        gateway.configure({"credentials": {"source": "environment"}})
        gateway.reload()
        check(wait_until(lambda: gateway.status()["destination"]["credentials"]["origin"] == "environment",
                         10), "the other source's keys are in use")


def reloads_under_load():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        dropped = Dropped()
        for number in range(600):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
            if number % 30 == 0:
                gateway.configure({"uploads": 1 + number % 16})
                gateway.reload()
        gateway.wait_idle()
        compare(bucket, dropped)
        check_equal(gateway.delivered(), 600, "files delivered")
        check("reload_failed" not in gateway.log(), "no reload failed")


run_tests([sigterm_lets_what_is_in_flight_finish, sigterm_cancels_what_does_not_end,
           systemd_is_told_how_far_the_journal_is, old_parts_of_the_journal_go_one_a_second,
           sigterm_in_a_large_upload_costs_only_the_parts_in_flight, sigterm_twice_and_sigint, a_reload_keeps_the_keys_that_serve,
           a_second_gateway_is_refused, control_sockets, a_directory_that_is_missing,
           a_stop_while_a_reload_waits, a_mark_of_a_full_spool_does_not_outlive_it,
           a_reload_does_not_wait_for_a_large_upload, reloads_under_load])
