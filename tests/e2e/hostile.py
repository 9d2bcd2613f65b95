#!/usr/bin/python3
"""Clumsy and hostile users: directories that may not be used, producers who shut the gateway out,
links that are swapped under it, paths without end, files without end, and a control socket full of
rubbish. Nothing outside the spool is touched or sent, and the files of the others are delivered.

Other users are needed (setpriv), so it must run as root: as anybody else it fails and says so.
"""
# also-under: asan
# takes: long

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import threading
import time

import lib
from lib import (SLOW, Devstore, Dropped, Gateway, check, check_equal, compare, event, free_port,
                 key, run_tests, scratch_dir, sha256_file, spooled, wait_until)

GATEWAY_UID, PRODUCER_UID, GROUP = 52001, 52002, 52003
QUICK = {"settle": "100ms"}


@contextlib.contextmanager
def gateway_as(uid, store, config=None, **more):
    """A gateway of a user without rights, in a directory that it may enter."""
    wrap = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--groups", str(GROUP)]
    with scratch_dir() as directory:
        os.chmod(directory, 0o755)
        os.chown(directory, uid, uid)
        for name, mode in (("spool", 0o2775), ("state", 0o750)):
            os.mkdir(os.path.join(directory, name))
            os.chown(os.path.join(directory, name), uid, GROUP)
            os.chmod(os.path.join(directory, name), mode)
        before, lib.WRAP[:] = list(lib.WRAP), wrap + lib.WRAP
        try:
            with Gateway(store, {**QUICK, **(config or {})}, directory=directory, **more) as gateway:
                yield gateway
        finally:
            lib.WRAP[:] = before


def as_producer(script, umask):
    """A shell script by another user of the group."""
    return subprocess.run(["setpriv", "--reuid", str(PRODUCER_UID), "--regid", str(PRODUCER_UID),
                           "--groups", str(GROUP), "sh", "-ec", f"umask {umask}; {script}"],
                          capture_output=True, text=True, check=True)


def run_once(gateway, *words):
    """`run` that must refuse at once: 111, and a sentence with these words."""
    done = subprocess.run([*lib.WRAP, lib.SPOOLGATE, "run", "-c", gateway.config_path],
                          capture_output=True, text=True, timeout=30 * SLOW,
                          env=gateway.environment(), cwd="/")
    check_equal(done.returncode, 111, f"exit status of run ({done.stderr.strip()})")
    check(all(w in done.stderr for w in words), f"run says {words}: {done.stderr.strip()}")
    check("Sanitizer" not in done.stderr, "no finding of a sanitizer")


# --- directories and rights -----------------------------------------------------------------------


def test_directories_that_may_not_be_used_are_named():
    with Devstore() as store, gateway_as(GATEWAY_UID, store, start=False) as gateway:
        for path in (gateway.root, gateway.state):
            os.chown(path, 0, 0)
            os.chmod(path, 0o700)
            run_once(gateway, path, "Permission denied")
            os.chown(path, GATEWAY_UID, GROUP)
            os.chmod(path, 0o2775)
        os.chmod(gateway.root, 0o500)
        run_once(gateway, ".spoolgate", "Permission denied")
        os.chmod(gateway.root, 0o2775)
        os.rmdir(gateway.root)
        run_once(gateway, gateway.root, "No such file or directory")
        with open(gateway.root, "w"):
            pass
        run_once(gateway, gateway.root, "Not a directory")
        os.unlink(gateway.root)
        os.symlink("/nonexistent", gateway.root)
        run_once(gateway, gateway.root, "No such file or directory")
        os.unlink(gateway.root)
        real = gateway.root + ".real"
        os.mkdir(real)
        os.chown(real, GATEWAY_UID, GROUP)
        os.symlink(real, gateway.root)
        closed = os.path.join(gateway.directory, "closed")
        os.mkdir(closed, 0o700)
        gateway.configure({"control": os.path.join(closed, "control.sock")})
        run_once(gateway, closed, "Permission denied")
        gateway.configure({"control": gateway.control})
        gateway.start()  # a root that is a link is the directory it leads to
        dropped = Dropped()
        dropped.rename(gateway.root, key("findings", "f.ndjson"), event(1))
        for base, _, _ in os.walk(real):
            os.chmod(base, 0o777)
        gateway.wait_idle()
        compare(store, dropped)
        second = subprocess.run([lib.SPOOLGATE, "run", "-c", gateway.config_path],
                                capture_output=True, text=True, env=gateway.environment())
        check_equal(second.returncode, 111, "exit status of a second gateway")
        check(f"(pid {gateway.process.pid})" in second.stderr,
              f"the second one names the first: {second.stderr}")


def test_what_lies_in_our_own_directories_keeps_no_gateway_from_starting():
    with Devstore() as store, gateway_as(GATEWAY_UID, store) as gateway:
        gateway.stop()
        ours = os.path.join(gateway.root, ".spoolgate")
        os.mkdir(os.path.join(ours, "rejected/shut"), 0o700)  # root's
        for name in ("rejected/open", "retiring/what"):
            os.mkdir(os.path.join(ours, name))
            os.chown(os.path.join(ours, name), GATEWAY_UID, GROUP)
            with open(os.path.join(ours, name, "file"), "w") as file:
                file.write("kept")
        gateway.start()
        check("event=rejected_not_counted" in gateway.log(), "the log tells what could not be read")
        check(os.path.exists(os.path.join(ours, "rejected/strays/what/file")),
              "a directory among those being retired is moved to the strays")
        check_equal(os.listdir(os.path.join(ours, "retiring")), [], "what is being retired")
        check_equal(gateway.status()["files"]["rejected"], 2, "rejected files that can be counted")


def test_a_producer_who_shuts_the_gateway_out_is_named_with_the_remedy():
    def says(what, words):
        def true():
            text = what(gateway.status())
            return text and all(w in text for w in words)
        check(wait_until(true, 20), f"status says {words}: {what(gateway.status())}")

    with Devstore() as store, gateway_as(GATEWAY_UID, store, {"rescan": "10s"}) as gateway:
        dropped = Dropped()
        path = key("findings", "shut.ndjson")
        dropped.add(path, event(1))
        full = os.path.join(gateway.root, path)
        line = event(1).decode().strip()
        # A directory that nobody else may enter.
        as_producer(f"mkdir -p {os.path.dirname(full)}; echo '{line}' > {full}", "077")
        says(lambda s: s["sentence"], ["Panoptica", f"owner {PRODUCER_UID}", "mode 2700", "chmod"])
        check_equal(gateway.status()["state"], "behind", "state")
        # Directories that may be entered, and a file that may not be read.
        as_producer(f"find {gateway.root}/Panoptica -type d -exec chmod g=rwxs {{}} +", "022")
        says(lambda s: s["sentence"], ["shut.ndjson", f"owner uid {PRODUCER_UID}", "mode 0600",
                                       "chmod g+r"])
        check("shut.ndjson" in gateway.status()["spool"]["denied"], "status names the file by itself, too")
        check(not store.keys(), "nothing has arrived yet")
        # A file that may be read in a directory that may not be written.
        as_producer(f"find {gateway.root}/Panoptica -type d -exec chmod g=rxs {{}} +; "
                    f"chmod 640 {full}", "022")
        check(wait_until(lambda: len(store.keys()) == 1, 40), "it is delivered as soon as it can be read")
        says(lambda s: s["sentence"], ["cannot be removed", "shut.ndjson", f"owner uid {PRODUCER_UID}",
                                       "mode 2750", "chmod g+rwxs"])
        as_producer(f"find {gateway.root}/Panoptica -type d -exec chmod g=rwxs {{}} +", "022")
        gateway.wait_idle()
        check(wait_until(lambda: gateway.status()["sentence"] == "Everything is delivered.", 20),
              f"status at the end: {gateway.status()['sentence']}")
        check_equal(gateway.status()["spool"]["denied"], None, "what cannot be read, at the end")
        compare(store, dropped)
        check_equal(store.stats()["operations"]["PutObject"], 1, "PutObject requests")


def test_many_files_that_may_not_be_read_do_not_fill_the_log():
    with Devstore() as store, gateway_as(GATEWAY_UID, store) as gateway:
        began = time.monotonic()
        names = [f"shut-{number}.ndjson" for number in range(5)]
        day = os.path.join(gateway.root, os.path.dirname(key("findings", "f")))
        as_producer(f"mkdir -p {day}", "002")
        for name in names * 2:  # an open for writing that writes nothing: it is looked at once more
            as_producer(f"cd {day}; : >> {name}; chmod 600 {name}", "077")
            check(wait_until(lambda: name in (gateway.status()["spool"]["denied"] or ""), 20),
                  f"status names {name}, which was looked at last")
        lines = sum("event=denied" in line for line in gateway.log().splitlines())
        check(1 <= lines <= 1 + (time.monotonic() - began) // 60, f"{lines} lines of the log about them")


# --- links ----------------------------------------------------------------------------------------


def exchange(a, b):
    """renameat2 with RENAME_EXCHANGE: no moment without either."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2) != 0:
        raise OSError(ctypes.get_errno(), "renameat2", a)


def test_directories_swapped_with_links_lead_nowhere():
    secret = b'{"secret":"outside"}\n'
    with Devstore() as store, scratch_dir() as outside, Gateway(store, QUICK) as gateway:
        dropped, stop, swaps = Dropped(), threading.Event(), [0]
        day = os.path.dirname(os.path.dirname(key("findings", "x")))
        account = os.path.basename(os.path.dirname(key("findings", "x")))
        names = [f"f-{n}.ndjson" for n in range(400)]
        os.makedirs(os.path.join(outside, account))
        for place in (outside, os.path.join(outside, account)):
            for name in names:
                with open(os.path.join(place, name), "wb") as file:
                    file.write(secret)
        target = os.path.join(gateway.root, day, account)
        os.makedirs(target)

        def swap():
            """In turn the last directory and the one above it are a link to outside, for moments."""
            link, number = os.path.join(gateway.directory, "link"), 0
            while not stop.is_set():
                number += 1
                place = target if number % 2 else os.path.dirname(target)
                with contextlib.suppress(FileExistsError):
                    os.symlink(outside, link)
                try:
                    exchange(place, link)
                except FileNotFoundError:  # a directory that is just being given back
                    continue
                time.sleep(0.001)
                while os.path.isdir(link) and not os.path.islink(link):
                    try:
                        exchange(place, link)
                    except FileNotFoundError:  # the link was rejected meanwhile
                        with contextlib.suppress(OSError):
                            os.rename(link, place)
                swaps[0] += 1

        fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY)  # before it leads elsewhere
        thread = threading.Thread(target=swap)
        thread.start()
        try:
            for name in names:
                path = os.path.join(day, account, name)
                data = event(len(dropped))
                hidden = os.open("." + name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
                os.write(hidden, data)
                os.close(hidden)
                os.rename("." + name, name, src_dir_fd=fd, dst_dir_fd=fd)
                dropped.add(path, data)
                time.sleep(0.01)
            os.close(fd)
        finally:
            stop.set()
            thread.join()
        check(swaps[0] > 20, f"it was swapped often ({swaps[0]} times)")
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(gateway.directory, "link"))
        gateway.configure({"rescan": "10s"})
        gateway.restart()
        gateway.wait_idle(60)
        here = [p for p in (os.path.join(d, f) for d, _, fs in os.walk(outside) for f in fs)]
        check_equal(len(here), 2 * len(names), "files outside")
        check(all(open(p, "rb").read() == secret for p in here), "files outside are as they were")
        compare(store, dropped)


def test_its_own_directory_swapped_with_a_link_leads_nowhere():
    with Devstore() as store, scratch_dir() as outside, \
         Gateway(store, {**QUICK, "after_delivery": {"action": "archive"}}) as gateway:
        dropped = Dropped()
        dropped.rename(gateway.root, key("findings", "first.ndjson"), event(1))
        gateway.wait_idle()
        for name in ("retiring", "rejected", "archive", "canary"):
            os.mkdir(os.path.join(outside, name))
        ours, aside = os.path.join(gateway.root, ".spoolgate"), os.path.join(gateway.root, ".aside")
        os.rename(ours, aside)
        os.symlink(outside, ours)
        dropped.rename(gateway.root, key("findings", "second.ndjson"), event(2))
        with open(os.path.join(gateway.root, "stray.json"), "w") as file:
            file.write("x\n")
        wait_until(lambda: len(store.keys()) == 2)
        time.sleep(2)
        check_equal([f for _, _, fs in os.walk(outside) for f in fs], [], "files outside")
        check("stray.json" in spooled(gateway.root), "what cannot be rejected stays where it is")
        os.unlink(ours)
        os.rename(aside, ours)
        check(wait_until(lambda: gateway.files("rejected").keys() == {"stray.json"}, 60), "it is rejected then")
        gateway.wait_idle(60)
        compare(store, dropped)


# --- paths and files without end ------------------------------------------------------------------


def test_paths_deeper_than_the_system_can_name_harm_nobody():
    with Devstore() as store, Gateway(store, QUICK) as gateway:
        dropped = Dropped()
        fd = os.open(gateway.root, os.O_RDONLY | os.O_DIRECTORY)
        for level in range(200):  # 40 000 bytes; PATH_MAX is 4 096
            os.mkdir("d" * 200, dir_fd=fd)
            below = os.open("d" * 200, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
            if level % 50 == 0:
                os.close(os.open("file.json", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=below))
            os.close(fd)
            fd = below
        os.close(os.open("file.json", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))
        os.close(fd)
        for number in range(20):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        check(wait_until(lambda: len(store.keys()) == 20), "the others are delivered")
        gateway.restart()
        for number in range(20, 40):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        check(wait_until(lambda: len(store.keys()) == 40), "the others are delivered after a restart")
        compare(store, dropped)
        check_equal(gateway.cli("status").returncode, 0, "exit status of status")
        check_equal(gateway.cli("ls").returncode, 0, "exit status of ls")


def test_names_that_climb_are_refused_by_every_command():
    with Devstore() as store, Gateway(store, QUICK) as gateway:
        for path in ("../x.json", "Panoptica/../../x", ".spoolgate/lock", "/etc/passwd", "a" * 5000,
                     "Panoptica/findings/2026-01-01/p/" + "a/" * 3000, "", "\x01"):
            for command in ("put", "why", "retry"):
                done = gateway.cli(command, path, stdin=event())
                check(done.returncode in (1, 100), f"{command} {path[:40]!r}: {done.returncode} {done.stderr}")
                check(done.stderr.startswith("spoolgate: ") and done.stderr.count("\n") == 1,
                      f"{command} {path[:40]!r} says one sentence: {done.stderr!r}")
        check_equal(spooled(gateway.root), [], "files in the spool")
        check(os.path.exists(os.path.join(gateway.root, ".spoolgate/lock")), "its own files are there")


def test_a_file_of_a_tebibyte_of_nothing_is_rejected_at_once():
    with Devstore() as store, Gateway(store, QUICK) as gateway:
        path = key("findings", "sparse.ndjson")
        os.makedirs(os.path.dirname(os.path.join(gateway.root, path)))
        with open(os.path.join(gateway.root, path), "wb") as file:
            file.truncate(1 << 40)
        check(wait_until(lambda: path in gateway.files("rejected")), "it is rejected")


def test_a_file_that_would_take_hours_holds_up_nobody():
    with Devstore("--count") as store, \
         Gateway(store, {**QUICK, "send": {"types": {"captures": {"content": "any"}}}}) as gateway:
        path = os.path.join(gateway.root, key("captures", "sparse.bin"))
        os.makedirs(os.path.dirname(path))
        with open(path, "wb") as file:
            file.truncate(1 << 40)
        check(wait_until(lambda: gateway.status()["files"]["sending"] == 1), "it is being sent")
        for number in range(200):
            Dropped().rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        check(wait_until(lambda: gateway.delivered() >= 200, 30), f"200 others: {gateway.delivered()}")
        with open(f"/proc/{gateway.process.pid}/status") as file:
            rss = int(next(l for l in file if l.startswith("VmRSS")).split()[1])
        check(rss < 600_000, f"its memory is bounded: {rss} KiB")
        start = time.monotonic()
        check_equal(gateway.stop(), 0, "exit status of stop")
        check(time.monotonic() - start < 15 * SLOW, "stop does not wait for it")
        os.unlink(path)
        gateway.start()
        gateway.wait_idle()


def test_a_file_that_never_ends_holds_up_nobody():
    with Devstore() as store, Gateway(store, QUICK) as gateway:
        dropped, stop = Dropped(), threading.Event()
        endless = os.path.join(gateway.root, key("audit", "endless.ndjson"))
        os.makedirs(os.path.dirname(endless))

        def write():
            with open(endless, "wb", buffering=0) as file:
                while not stop.is_set():
                    file.write(event(1))
                    time.sleep(0.005)

        thread = threading.Thread(target=write)
        thread.start()
        for number in range(100):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        gateway.wait_delivered(100)
        time.sleep(2)
        check_equal(gateway.delivered(), 100, "files delivered while one is still being written")
        check_equal(gateway.files()[key("audit", "endless.ndjson")]["state"], "settling", "its state")
        stop.set()
        thread.join()
        dropped[key("audit", "endless.ndjson")] = (os.path.getsize(endless), sha256_file(endless))
        gateway.wait_idle()
        compare(store, dropped)


def test_a_flood_of_empty_files_is_rejected_and_holds_up_nobody():
    count = 3000
    with Devstore() as store, Gateway(store, QUICK) as gateway:
        dropped = Dropped()
        place = os.path.join(gateway.root, os.path.dirname(key("paths", "x")))
        os.makedirs(place)
        for number in range(count):
            open(os.path.join(place, f"e-{number}.ndjson"), "wb").close()
        for number in range(50):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        check(wait_until(lambda: gateway.delivered() == 50, 30), "the others are delivered")
        wait_until(lambda: gateway.status()["files"]["rejected"] == count, 90)
        check_equal(gateway.status()["files"]["rejected"], count, "rejected files")
        check_equal(len(gateway.files("rejected")), count, "rejected files in the list")
        check_equal(gateway.cli("retry", "--all").returncode, 0, "exit status of retry --all")
        compare(store, dropped)


# --- the control socket ---------------------------------------------------------------------------


def say(gateway, data, answer=True, timeout=15):
    """Raw bytes to the control socket; what comes back until it closes, or b""."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout * SLOW)
    try:
        s.connect(gateway.control)
        s.sendall(data)
        got = b""
        while answer and (piece := s.recv(65536)):
            got += piece
            if b"\r\n\r\n" in got:
                break
        return got
    except OSError:
        return b""
    finally:
        s.close()


def test_rubbish_on_the_control_socket_stops_no_delivery():
    with Devstore() as store, Gateway(store, QUICK) as gateway:
        dropped = Dropped()
        head = b"%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
        for method in (b"DELETE", b"PUT", b"POST", b"PATCH", b"BREW", b"OPTIONS", b"TRACE", b"CONNECT"):
            got = say(gateway, head % (method, b"/v1/status", b"Content-Length: 0\r\n"))
            check(got.split()[1:2] in ([b"405"], [b"404"], [b"400"], [b"501"]),
                  f"{method.decode()} /v1/status: {got[:60]!r}")
        for target in (b"/", b"/v1/", b"/v1/file", b"/v1/file?path=", b"/v1/files?limit=-1",
                       b"/v1/files?limit=99999999999999999999", b"/v1/files?cursor=9999:zz",
                       b"/v1/files?cursor=1:%00%ff", b"/v1/files?state=nosuch", b"/../../etc/passwd",
                       b"/v1/file?path=%2e%2e%2fx", b"/v1/file?path=%00", b"/" + b"a" * 6000):
            got = say(gateway, head % (b"GET", target, b""))
            check(got.split()[1:2] and got.split()[1][:1] in (b"2", b"4"), f"GET {target[:60]!r}: {got[:60]!r}")
        for body in (b"", b"{", b"[]", b"null", b"{\"paths\":7}", b"{\"paths\":[7]}", b"{\"all\":3}",
                     b"\xff" * 100, b"[" * 100000, b"{\"paths\":[" + b"\"a\"," * 100000 + b"\"a\"]}"):
            got = say(gateway, head % (b"POST", b"/v1/retry", b"Content-Length: %d\r\n" % len(body)) + body)
            check(not got or got.split()[1][:1] in (b"2", b"4"),
                  f"POST /v1/retry {body[:30]!r}: {got[:60]!r}")
        huge = head % (b"POST", b"/v1/retry", b"Content-Length: 1099511627776\r\n") + b"x" * (8 << 20)
        got = say(gateway, huge, timeout=5)
        check(not got or got.split()[1][:1] == b"4", f"a huge body: {got[:60]!r}")
        for rubbish in (os.urandom(100000), b"\0" * 5000, b"GET / HTTP/9.9\r\n\r\n",
                        b"GET /v1/status HTTP/1.1\r\n" + b"X: y\r\n" * 50000):
            say(gateway, rubbish, timeout=2)
        check("sentence" in gateway.status(), "it answers afterwards")
        idle = []
        for number in range(120):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(5)
            with contextlib.suppress(OSError):
                s.connect(gateway.control)
                if number % 2:
                    s.sendall(b"GET /v1/st")  # and never the rest
                idle.append(s)
        for number in range(100):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        check(wait_until(lambda: len(store.keys()) == 100), "deliveries go on with 120 idle connections")
        answered = gateway.cli("status", timeout=60)
        check_equal(answered.returncode, 0, f"status with 120 idle connections ({answered.stderr.strip()})")
        for s in idle:
            s.close()
        check(wait_until(lambda: gateway.cli("status").returncode == 0), "status after they are gone")
        gateway.wait_idle()
        compare(store, dropped)


# --- the way to the store -------------------------------------------------------------------------


def test_every_way_not_to_reach_a_store_is_told_and_ends_by_itself():
    def told(gateway, *words):
        ok = wait_until(lambda: any(w in gateway.status()["sentence"] for w in words), 30)
        check(ok, f"status says one of {words}: {gateway.status()['sentence']}")
        check_equal(gateway.status()["state"], "stuck", "state")
        row = gateway.cli("why", key("findings", "f.ndjson"))
        check(row.returncode == 0 and any(w in row.stdout for w in words), f"why says it too: {row.stdout}")

    hole = socket.socket()  # it listens and never answers
    hole.bind(("127.0.0.1", 0))
    hole.listen(64)
    ways = [("refused", f"http://127.0.0.1:{free_port()}", ("connect",)),
            ("no such host", "https://store.invalid", ("resolve",)),
            ("black hole", f"http://127.0.0.1:{hole.getsockname()[1]}", ("no answer", "no byte", "timed out"))]
    with Devstore() as store:
        for name, url, words in ways:
            with Gateway(store, {**QUICK, "timeouts": {"connect": "2s", "first_byte": "1s", "stall": "1s"},
                                 "bucket": {"endpoint": url}}) as gateway:
                dropped = Dropped()
                dropped.rename(gateway.root, key("findings", "f.ndjson"), event(1))
                told(gateway, *words)
                gateway.configure({"bucket": {"endpoint": store.url}})
                gateway.restart()  # another port is beyond the sandbox of a running one
                gateway.wait_idle()
                compare(store, dropped)
    hole.close()


def test_a_clock_that_is_wrong_by_twenty_minutes_is_corrected_for():
    for skew in ("20min", "-20min"):
        with Devstore("--fault", f"skew={skew}") as store, Gateway(store, QUICK) as gateway:
            for number in range(20):
                Dropped().rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
            gateway.wait_idle(60)
            check_equal(gateway.delivered(), 20, f"files delivered to a store {skew} away")
            check(abs(gateway.status()["destination"]["clock_offset_s"]) in range(1190, 1211),
                  f"status tells the offset: {gateway.status()['destination']['clock_offset_s']}")


# --- the journal ----------------------------------------------------------------------------------


def test_a_journal_damaged_by_hand_costs_no_file():
    def damage(kind, path):
        size = os.path.getsize(path)
        with open(path, "r+b") as file:
            if kind == "flip":
                for at in range(80, size, 97):
                    file.seek(at)
                    byte = file.read(1)[0]
                    file.seek(at)
                    file.write(bytes([byte ^ 0x20]))
            elif kind == "header":
                file.write(os.urandom(64))
            elif kind == "cut":
                file.truncate(size // 2)
            elif kind == "zero":
                file.seek(size // 2)
                file.write(bytes(size - size // 2))
            elif kind == "grow":
                file.seek(0, 2)
                file.write(os.urandom(5000))
        if kind == "delete":
            os.unlink(path)
        if kind == "directory":
            os.unlink(path)
            os.mkdir(path)
        if kind == "link":
            os.unlink(path)
            os.symlink("/etc/passwd", path)

    with Devstore() as store, Gateway(store, QUICK) as gateway:
        dropped = Dropped()
        for kind in ("flip", "header", "cut", "zero", "grow", "delete", "directory", "link"):
            for fix in (False, True):
                store.fault("status=503")
                for number in range(30):
                    path = key("findings", f"{kind}-{fix}-{number}.ndjson")
                    dropped.rename(gateway.root, path, event(number))
                wait_until(lambda: gateway.status()["backlog"]["files"] == 30)
                gateway.kill()
                journal = os.path.join(gateway.state, "journal")
                newest = sorted(n for n in os.listdir(journal) if n.endswith(".seg"))[-1]
                damage(kind, os.path.join(journal, newest))
                if fix:
                    verified = gateway.cli("journal", "verify", "--fix")
                    check_equal(verified.returncode, 0, f"verify --fix after {kind} ({verified.stderr.strip()}"
                                f"{verified.stdout[-200:]})")
                    check_equal(gateway.cli("journal", "verify").returncode, 0, f"verify then, {kind}")
                store.clear_faults()
                gateway.start()
                gateway.wait_idle()
        compare(store, dropped)


if __name__ == "__main__":
    if os.geteuid() != 0:
        check(False, "this must run as root: it needs users of its own")
    run_tests([v for n, v in list(globals().items()) if n.startswith("test_")] if os.geteuid() == 0
              else [])
