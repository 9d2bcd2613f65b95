#!/usr/bin/python3
# also-under: asan
"""`status --watch` in a real terminal (tmux), 80x24 and 200x50 at once: an outage and its recovery, keys,
hostile names, sizes, signals, a gateway that goes away; what it prints where there is no terminal; and
what other commands show of their progress. $SPOOLGATE_CAPTURES names a directory that gets the pictures
as text."""

import os
import pty
import re
import select
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

CAPTURES = os.environ.get("SPOOLGATE_CAPTURES")
LARGE = {"multipart": {"threshold": "5MiB", "part_size": "5MiB"}, "settle": "100ms", "rescan": "10s"}
STATES = "settling|accepted|sending|deferred|held|rejected|forgotten|delivered"
OURS = re.compile(rb"\x1b\[(?:\?(?:1049|25|7)[hl]|H|2J|K|\d+;1H|(?:\d+;?)*m)")


class Pane:
    """A shell in a tmux of its own; everything that it writes to its terminal is kept as bytes."""

    def __init__(self, gateway, columns, rows, **environment):
        self.gateway, self.columns, self.rows = gateway, columns, rows
        self._scratch = scratch_dir()
        self.environment = {"LC_ALL": "C.UTF-8", **environment}

    def __enter__(self):
        directory = self._scratch.__enter__()
        self.socket, self.written = os.path.join(directory, "tmux"), os.path.join(directory, "bytes")
        more = [w for k, v in {**self.environment, "PS1": "$ "}.items() for w in ("-e", f"{k}={v}")]
        self.tmux("-u", "-f", "/dev/null", "new-session", "-d", "-x", str(self.columns), "-y", str(self.rows),
                  *more, "env -u NO_COLOR sh" if "NO_COLOR" not in self.environment else "sh")
        self.tmux("set-option", "-g", "status", "off")
        self.tmux("resize-window", "-x", str(self.columns), "-y", str(self.rows))
        self.tmux("pipe-pane", f"cat >{self.written}")
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")
        self._scratch.__exit__()

    def tmux(self, *arguments):
        return subprocess.run(["tmux", "-S", self.socket, *arguments], capture_output=True, text=True,
                              env=self.gateway.environment() | {"LC_ALL": "C.UTF-8"}, timeout=20 * SLOW).stdout

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def picture(self):
        return self.tmux("capture-pane", "-p").split("\n")[:self.rows]

    def shows(self, pattern, timeout=15):
        """Until a row matches; the rows."""
        def matching():
            rows = self.picture()
            return rows if any(re.search(pattern, row) for row in rows) else None
        rows = wait_until(matching, timeout, 0.1)
        check(rows, f"{self.columns}x{self.rows} shows {pattern!r}" + ("" if rows else ":\n" + "\n".join(self.picture())))
        return rows or self.picture()

    def sentence(self, pattern, timeout=15):
        """Until the sentence, which may take some rows, matches."""
        def matching():
            return re.search(pattern, " ".join(row.strip() for row in self.picture()[:self.rows // 2]))
        ok = wait_until(matching, timeout, 0.1)
        check(ok, f"{self.columns}x{self.rows}: the sentence says {pattern!r}" +
              ("" if ok else ":\n" + "\n".join(self.picture())))

    def watch(self, *arguments):
        """The terminal's settings are noted before."""
        self.keys(f"clear; stty -g; exec 3>&1; {SPOOLGATE} status --watch -c {self.gateway.config_path} "
                  f"{' '.join(arguments)}; echo ended $?; stty -g", "Enter")

    def pid(self):
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()
        found = subprocess.run(["ps", "--ppid", shell, "-o", "pid=,comm="], capture_output=True, text=True).stdout
        return next((int(line.split()[0]) for line in found.splitlines() if line.split()[1] == "spoolgate"), 0)

    def ended(self, how):
        """It is over, and the terminal as it was."""
        def settings():
            """As stty prints them on one row, or on several of a narrow terminal, before and after."""
            return re.findall(r"(?<![0-9a-f:])(?:[0-9a-f]+:){20,}[0-9a-f]+", "".join(r.strip() + (" " if len(r) < self.columns else "")
                                                                                     for r in self.picture()))
        check(wait_until(lambda: len(settings()) == 2, 10, 0.1), f"stty before and after {how}: {self.picture()[:8]}")
        check_equal(len(set(settings())), 1, f"settings of the terminal, before and after {how}")
        check_equal(self.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{wrap_flag}").strip(),
                    "0 1 1", f"alternate screen, cursor and wrap after {how}")

    def raw(self):
        with open(self.written, "rb") as file:
            return file.read()


def keep(pane, name):
    if CAPTURES:
        os.makedirs(CAPTURES, exist_ok=True)
        with open(os.path.join(CAPTURES, f"{name}-{pane.columns}x{pane.rows}.txt"), "w", encoding="utf-8") as file:
            file.write("\n".join(pane.picture()) + "\n")


def right(pane, what):
    """Headings once, keys last, each row of a table in its columns: nothing wrapped or ran over."""
    rows = pane.picture()
    shown = f"{what}, {pane.columns}x{pane.rows}:\n" + "\n".join(rows)
    ok = check_equal(len(rows), pane.rows, f"rows, {what}") and check(rows[-1].startswith("q quit"), f"keys last, {shown}")
    places = [[i for i, row in enumerate(rows) if row.startswith(heading)]
              for heading in ("rate ", "EVENT TYPE", "FILES ", "LAST ERRORS")]
    if not check(all(len(p) == 1 for p in places) and places == sorted(places), f"headings, {shown}") or not ok:
        return
    _, types, files, errors = (p[0] for p in places)
    edge = rows[types].index("WAITING") + len("WAITING")
    for row in rows[types + 1:files]:
        check(not row or row == "  none so far" or re.match(rf"^[> ] .{{{edge - 14},}} \d+( |$)", row), f"an event type's row {row!r}, {shown}")
    for row in rows[files + 1:errors]:
        check(not row or row == "  none" or re.match(rf"^[> ] ({STATES}) +\S.* \S+ (B|[KMGT]iB|-)  \S", row) or
              re.match(rf"^[> ] ({STATES}) .* -  \S", row), f"a file's row {row!r}, {shown}")


def only_ours(pane, what, after=0):
    """No sequence but those that the view itself uses reached the terminal, and no other control."""
    views = re.findall(rb"\x1b\[\?1049h.*?\x1b\[\?1049l", pane.raw()[after:], re.S)
    check(views, f"{what}: the alternate screen is taken and given back")
    left = OURS.sub(b"", b"".join(views))
    found = [left[max(0, m.start() - 20):m.start() + 20] for m in re.finditer(rb"[\x00-\x1f\x7f]", left)]
    check(not found, f"{what}: controls that are not the view's: {found[:3]}")
    text = left.decode("utf-8", "replace")
    check(not re.search("[\u0080-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", text), f"{what}: marks that turn text around")


HOSTILE = ["\x1b[2J\x1b]0;pwned\x07.ndjson", "new\nline.ndjson", "\u202egnp.ndjson", "日本語" * 20 + ".ndjson",
           "e\u0301" * 30 + ".ndjson", "x" * 200 + ".ndjson", "back\\slash.ndjson", b"\xff\xfe\x9b31m.ndjson"]


def drop_hostile(gateway, dropped):
    for name in HOSTILE:
        path = os.path.join(os.fsencode(gateway.root), os.fsencode(key("findings", "")), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"not JSON \x1b[31m")
    dropped.rename(gateway.root, key("日本\u202eevil\u001b"[:-1], "a.ndjson"), event(1))


def outage(gateway, bucket, dropped, panes):
    bucket.stop()
    for number in range(40):
        dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
    for number in range(5):
        dropped.rename(gateway.root, key("attack-paths", f"a-{number}.ndjson"), event(number))
    drop_hostile(gateway, dropped)
    for pane in panes:
        pane.sentence(r"files \(.* old\) wait for the bucket: .*Rejected: \d+ files")
        pane.shows(r"^[> ] rejected .*(ndjson|…)")
        pane.shows(r"^rate     nothing goes; again in \d")
        right(pane, "outage")
        keep(pane, "outage")


def keys_work(gateway, pane):
    pane.keys("h")
    pane.shows("Choose a row with the arrows first")
    pane.keys("?")
    pane.shows("only what fits")
    pane.keys("x")
    pane.keys("/")
    pane.keys("f-7.ndjson accepted", "Enter")
    pane.shows("^FILES that fit: f-7.ndjson accepted")
    pane.shows(r"^  (accepted|deferred) .*f-7\.ndjson")
    pane.keys("Down", "Down", "Down", "h")
    pane.shows(r"^Hold .*f-7\.ndjson\? \[y/n\]")
    pane.keys("n")
    pane.shows("Nothing was changed")
    check_equal(gateway.status()["files"]["held"], 0, "held after no")
    pane.keys("h", "y")
    pane.shows("^held.*f-7.ndjson")
    check(wait_until(lambda: gateway.status()["files"]["held"] == 1), "one is held after yes")
    pane.keys("Escape", "Escape")
    pane.shows("^FILES in flight")
    pane.keys("f")
    pane.keys("held", "Enter")
    pane.shows("^FILES that fit: held")
    pane.shows(r"^  held .*f-7\.ndjson")
    pane.keys("End", "Enter")
    pane.shows("^why: ")
    pane.keys("x", "l")
    pane.shows(r"^Release .*f-7\.ndjson\? \[y/n\]")
    pane.keys("y")
    check(wait_until(lambda: gateway.status()["files"]["held"] == 0), "none is held after release")
    pane.keys("Escape", "Escape", "/", "C-u")
    pane.keys("attack", "Enter")
    pane.shows("^FILES that fit: attack")
    pane.keys("Down", "h")
    pane.shows("^Hold all files of the event type attack-paths")
    pane.keys("y")
    pane.shows("5 files of attack-paths held")
    pane.keys("l", "y")
    pane.shows("5 files of attack-paths released")
    check_equal(gateway.status()["files"]["held"], 0, "held in the end")
    pane.keys("Escape", "Escape")


def sizes_and_stops(pane):
    size = pane.columns, pane.rows
    pane.resize(132, 30)
    pane.shows("^LAST ERRORS")
    right(pane, "resized")
    for columns, rows in ((60, 16), (40, 10), (20, 5), (10, 2), (1, 1)):
        pane.resize(columns, rows)
        time.sleep(0.3)
        check(pane.pid() != 0, f"it runs at {columns}x{rows}")
    pane.resize(*size)
    pane.shows("^LAST ERRORS")
    right(pane, "back at its size")
    process = pane.pid()
    os.kill(process, signal.SIGTSTP)
    check(wait_until(lambda: pane.tmux("display-message", "-p", "#{alternate_on}").strip() == "0"), "stopped: the terminal is the shell's")
    pane.keys("fg", "Enter")
    pane.shows("^LAST ERRORS")
    right(pane, "after SIGCONT")


def recovery(gateway, bucket, dropped, panes):
    bucket.start()
    bucket.fault("op=UploadPart,slow=2500000")
    panes[0].keys("Down", "r")
    panes[0].shows(r"^Try again all files of the event type \S+\? \[y/n\]")
    panes[0].keys("y")
    dropped.rename(gateway.root, key("attack-paths", "large.ndjson"), event(1, 30 << 20))
    for pane in panes:
        pane.shows(r"^  sending .* \d+ % +30\.\d MiB  .*large\.ndjson", 30)
        right(pane, "recovery")
        keep(pane, "recovery")
    bucket.clear_faults()
    for pane in panes:
        pane.sentence(r"Everything else is delivered\. Rejected: \d+ files", 30)
        keep(pane, "delivered")


def an_outage_and_its_recovery():
    with Devstore("--require-acl") as bucket, Gateway(bucket, LARGE) as gateway:
        with Pane(gateway, 80, 24) as small, Pane(gateway, 200, 50) as large:
            panes, dropped = (small, large), Dropped()
            for pane in panes:
                pane.watch()
            for pane in panes:
                pane.sentence("^Everything is delivered")
                right(pane, "idle")
                keep(pane, "idle")
            before = len(small.raw())
            time.sleep(2)
            check(len(small.raw()) - before < 600, f"a picture that stays as it is costs {len(small.raw()) - before} bytes in 2 s")
            outage(gateway, bucket, dropped, panes)
            keys_work(gateway, small)
            sizes_and_stops(large)
            recovery(gateway, bucket, dropped, panes)
            gateway.stop()
            for pane in panes:
                pane.sentence("No gateway answers on .* stands below is")
                keep(pane, "gone")
            gateway.start()
            for pane in panes:
                pane.sentence("^Everything else is delivered")
            small.keys("q")
            small.ended("q")
            small.shows("^ended 0$")
            only_ours(small, "80x24")
            large.keys("C-c")
            check(wait_until(lambda: not large.pid()), "Control-C ends it")
            only_ours(large, "200x50")
        compare(bucket, dropped)
        row("status --watch at 80x24 and 200x50: outage, keys, recovery, gateway gone and back",
            "rows in their columns, the sentence says it, no foreign control")


def signals_plain_and_ascii():
    with Devstore("--require-acl") as bucket, Gateway(bucket, LARGE) as gateway:
        drop_hostile(gateway, Dropped())
        for number in range(100):
            Dropped().rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        check(wait_until(lambda: gateway.status()["files"]["rejected"] > 0), "rejected files")
        check(wait_until(lambda: any(sum(p["delivered"].values()) for p in
                                     gateway.api("GET", "/v1/history?span=hour")[1]["points"])), "the history has them")
        check(not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", gateway.cli("status").stdout), "no controls in what status prints")
        with Pane(gateway, 160, 24, LC_ALL="C", NO_COLOR="1") as pane:
            pane.watch()
            pane.shows("^  rejected ")
            pane.shows(r"peak (0\.[1-9]|[1-9])")  # of the time before the view
            right(pane, "ASCII")
            os.kill(pane.pid(), signal.SIGTERM)
            pane.ended("SIGTERM")
            only_ours(pane, "ASCII")
            raw = pane.raw()
            raw = raw[raw.index(b"\x1b[?1049h"):]
            check(all(byte < 0x80 for byte in raw), "only ASCII where the locale is not UTF-8")
            check(not re.search(rb"\x1b\[[0-9;]*3[0-7]", raw), "no colour with NO_COLOR")
            start = len(pane.raw())
            pane.watch()
            pane.shows("^LAST ERRORS")
            pane.keys("C-c")
            check(wait_until(lambda: not pane.pid()), "Control-C")
            only_ours(pane, "a second time", start)


def lines(gateway, *ways, seconds=2.5):
    """What status --watch prints in a pipe, for each of these options."""
    processes = [start_process([SPOOLGATE, "status", "--watch", "-c", gateway.config_path, *way],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=gateway.environment()) for way in ways]
    time.sleep(seconds * SLOW)
    found = []
    for process in processes:
        stop_process(process)
        out, errors = process.communicate()
        check_equal(errors, b"", "stderr of status --watch in a pipe")
        check(b"\x1b" not in out, "no escapes in a pipe")
        found.append(out.decode().splitlines())
    return found


def lines_where_there_is_no_terminal():
    with Devstore("--require-acl") as bucket, Gateway(bucket, LARGE) as gateway:
        plain, facts = lines(gateway, [], ["--json"])
        check(len(plain) >= 2 and all(re.fullmatch(r"\d\d:\d\d:\d\dZ  Everything is delivered\.  \[.*/s\]", line)
                                      for line in plain), f"a line a second: {plain}")
        check(len(facts) >= 2 and all(json.loads(line)["state"] == "ok" for line in facts), "status --watch --json")
        done = gateway.cli("status", "--watch", "--max-age", "1s")
        check_equal(done.returncode, 100, "--watch with --max-age")
        with Pane(gateway, 80, 24) as pane:
            pane.keys("export TERM=dumb", "Enter")
            pane.watch()
            pane.shows(r"^\d\d:\d\d:\d\dZ  Everything is delivered")
            pane.keys("C-c")
            check(wait_until(lambda: not pane.pid()), "Control-C")
        gateway.stop()
        gone, = lines(gateway, [])
        check(len(gone) >= 2 and all("o gateway answers on" in line for line in gone), f"it goes on trying: {gone}")


def a_gateway_that_hangs():
    with Devstore("--require-acl") as bucket, Gateway(bucket, LARGE) as gateway, Pane(gateway, 80, 24) as pane:
        pane.watch()
        pane.sentence("^Everything is delivered")
        gateway.signal(signal.SIGSTOP)
        pane.sentence("has not answered for .* stands below is")
        right(pane, "it hangs")
        pane.keys("?")  # keys are heard meanwhile
        pane.shows("only what fits")
        pane.keys("x")
        gateway.signal(signal.SIGCONT)
        pane.sentence("^Everything is delivered")
        pane.keys("C-c")
        check(wait_until(lambda: not pane.pid()), "Control-C")


def at_terminal(gateway, *arguments, feed=()):
    """What a command writes to a terminal on stderr; feed: pieces for stdin, one each 0.2 s."""
    master, slave = pty.openpty()
    process = start_process([SPOOLGATE, arguments[0], "-c", gateway.config_path, *arguments[1:]], stdin=subprocess.PIPE,
                            stdout=subprocess.DEVNULL, stderr=slave, env={**gateway.environment(), "TERM": "xterm"})
    os.close(slave)
    out = b""
    for piece in feed:
        process.stdin.write(piece)
        process.stdin.flush()
        time.sleep(0.2)
    process.stdin.close()
    while process.poll() is None or select.select([master], [], [], 0)[0]:
        if select.select([master], [], [], 0.2)[0]:
            try:
                out += os.read(master, 65536)
            except OSError:
                break
    os.close(master)
    check_equal(process.wait(), 0, f"{arguments[0]} at a terminal: {out[-300:]}")
    return out.decode(errors="replace")


def others_show_their_progress():
    with Devstore("--require-acl") as bucket, Gateway(bucket, LARGE) as gateway:
        line = event(1, 1 << 20)
        out = at_terminal(gateway, "put", key("findings", "slow.ndjson"), feed=[line] * 5)
        check(re.search(r"Into the spool: [\d.]+ MiB, [\d.]+ MiB/s", out), f"put from a pipe: {out!r}")
        file = os.path.join(gateway.directory, "large.ndjson")
        with open(file, "wb") as to:
            to.write(line * 40)
        bucket.fault("op=UploadPart,slow=5000000")
        out = at_terminal(gateway, "put", key("findings", "large.ndjson"), file, "--wait=60")
        check("To the bucket" in out and re.search(r"\[#+\.*\] +\d+ %", out), f"put --wait: {out[-400:]!r}")
        check(out.endswith("\x1b[K"), f"nothing is left behind: {out[-40:]!r}")
        bucket.clear_faults()
        for command in (("put", key("findings", "quiet.ndjson"), file, "--wait=60"), ("journal", "verify")):
            done = gateway.cli(*command)
            check_equal((done.returncode, done.stderr), (0, ""), f"{command[0]} in a pipe is silent")


run_together([an_outage_and_its_recovery, signals_plain_and_ascii, lines_where_there_is_no_terminal,
           a_gateway_that_hangs, others_show_their_progress])
