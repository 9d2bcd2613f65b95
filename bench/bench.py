"""What the measures share: the machine, processes and what they used, input, and rounds in which
every client has its turn. The stores are those of stores.py.

bench/run puts tests/e2e on the path and tells lib.py which build to use before this is imported.
A measure is a function that takes the Bench and returns a dictionary as README.md says.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time

import lib
from stores import Counting, CountingTls, OnMinio, OnMinioDisk  # where measures look for them

REPOSITORY = lib.REPOSITORY
CACHE = os.path.join(lib.CACHE, "bench")


def say(text):
    print(text, file=sys.stderr, flush=True)


def takes(seconds, quick):
    """What a measure takes, about, for --list."""
    def mark(function):
        function.seconds, function.quick_seconds = seconds, quick
        return function
    return mark


def machine():
    model = "an unknown processor"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1])
    return {"date": time.strftime("%Y-%m-%d", time.gmtime()), "cores": os.cpu_count(),
            "processor": model, "memory_mib": memory // 1024, "kernel": platform.release(),
            "system": platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
            "load_before": os.getloadavg()[0]}


class Bench:
    """The options, the directories, and what went wrong."""

    def __init__(self, options):
        self.options = options
        self.quick = options.quick
        self.faults = []

    def scale(self, full, quick):
        return quick if self.quick else full

    def rounds(self, full=5):
        return self.options.rounds or self.scale(full, 1)

    @contextlib.contextmanager
    def directory(self, parent=None):
        path = tempfile.mkdtemp(prefix="spoolgate-bench-", dir=parent or self.options.tmpfs)
        try:
            yield path
        finally:
            if self.options.keep:
                say(f"kept {path}")
            else:
                shutil.rmtree(path, ignore_errors=True)

    def wrong(self, name, what):
        """The run will exit with 1."""
        say(f"  WRONG: {name}: {what}")
        self.faults.append(f"{name}: {what}")


# --- what a process used --------------------------------------------------------------------------


def cpu_seconds(pid):
    """User and system time of all its threads, ended ones too, and of its ended children."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    """Its peak memory; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0.0


def wakeups(pid):
    """How often its threads went to sleep of their own will."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as file:
            total += sum(int(line.split()[1]) for line in file
                         if line.startswith("voluntary_ctxt_switches"))
    return total


class Ended:
    """What a command did: status, began_ns (since 1970), seconds, cpu_s, peak_mib, out, err."""


def run_command(command, env, timeout=3600, cwd=None):
    """Run it to its end. The rusage of wait4 would count the memory of the Python that forked, so
    the peak is what /proc said last; it only grows, and is looked at every 10 ms."""
    done = Ended()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        done.began_ns, began = time.time_ns(), time.monotonic()
        process = lib.start_process(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                                    stdout=out, stderr=err)
        done.peak_mib = 0.0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            done.peak_mib = max(done.peak_mib, peak_mib(process.pid))
            if time.monotonic() - began > timeout:
                process.kill()
            time.sleep(0.01)
        done.seconds = time.monotonic() - began
        done.status = process.returncode = os.waitstatus_to_exitcode(status)
        done.cpu_s = usage.ru_utime + usage.ru_stime
        for name, file in (("out", out), ("err", err)):
            file.seek(0)
            setattr(done, name, file.read().decode(errors="replace"))
    return done


# --- input ----------------------------------------------------------------------------------------


def event(number, size):
    """One line of JSON, exactly so many bytes."""
    head = f'{{"id":"event-{number:08d}","severity":"HIGH","padding":"'
    return (head + "x" * (size - len(head) - 3) + '"}\n').encode()


class Backlog:
    """Files that wait. write() puts a copy of them below a root; path is one that clients share
    which only read. expected: {path: (size, sha256, md5)}, both as bytes."""

    large = False

    def __init__(self, bench, count, size, directories=100):
        self.bench, self.count, self.size = bench, count, size
        self.per_directory = -(-count // directories)
        self.bytes = count * size
        self.expected = {}

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        self.path = self._stack.enter_context(self.bench.directory())
        self._write(self.path, self.expected)
        return self

    def __exit__(self, *what):
        self._stack.close()

    def write(self, root):
        """Old enough afterwards to be taken at once."""
        self._write(root, None)
        time.sleep(1.2)

    def _write(self, root, expected):
        for number in range(self.count):
            at, first = divmod(number, self.per_directory)
            path = lib.key(f"type-{at % 10}", f"event-{number:07d}.json",
                           account=f"account-{at:04d}")
            full = f"{root}/{path}"
            if first == 0:
                os.makedirs(os.path.dirname(full), exist_ok=True)
            data = self.data(number)
            fd = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(fd, data)
            os.close(fd)
            if expected is not None:
                expected[path] = (len(data), hashlib.sha256(data).digest(),
                                  hashlib.md5(data).digest())

    def data(self, number):
        return event(number, self.size)


# --- rounds ---------------------------------------------------------------------------------------


class Failed(Exception):
    """A client could not be run; the text is what it said."""


def rates(moments, began_ns, count_bytes=0):
    """Figures of what was stored when."""
    last, first = max(moments), min(moments)
    figures = {"files_per_s": len(moments) / ((last - began_ns) / 1e9),
               "first_put_s": (first - began_ns) / 1e9, "seconds": (last - began_ns) / 1e9}
    if last > first:
        figures["files_per_s_first_to_last"] = len(moments) / ((last - first) / 1e9)
    if count_bytes:
        figures["mib_per_s"] = count_bytes / ((last - began_ns) / 1e9) / 2**20
    return figures


def one_round(bench, name, client, kind, source):
    """One client on a fresh store; its figures, or None if it could not be run."""
    parent = bench.options.disk if getattr(kind, "on_disk", False) else None
    try:
        with bench.directory() as directory, bench.directory(parent) as place, \
                kind(place, client.strict) as store:
            began_ns, figures = client.run(bench, store, source, directory)
            moments, seen = store.verify(client.expected(source), source.path)
        if not moments:
            raise Failed(f"nothing was stored; {figures.get('said', '')}")
    except (Failed, RuntimeError, OSError, subprocess.CalledProcessError) as error:
        bench.wrong(name, f"{client.name}: {error}")
        return None
    figures = {**rates(moments, began_ns, source.bytes), **seen, **figures}
    figures["cpu_ms_per_file"] = figures["cpu_s"] * 1e3 / len(moments)
    if client.ours:
        for what in ("missing", "differing", "extra", "without_acl"):
            if figures.get(what):
                bench.wrong(name, f"{client.name}: {figures[what]} objects {what}")
    return figures


def in_turn(clients, rounds):
    """(round, client): every client has its turn. The next round begins with the next one and goes
    the other way round, so that none always comes after the same one."""
    for number in range(rounds):
        first = number % len(clients)
        turns = clients[first:] + clients[:first]
        for client in reversed(turns) if number % 2 else turns:
            yield number, client


def side_by_side(bench, name, clients, kind, source, rounds, peer_rounds=1000):
    """Rows of a measure. A client may sit out: so many rounds are enough for a peer, or for this
    one."""
    clients = [client for client in clients if client.ours or not bench.options.ours]
    rows = {client.name: [] for client in clients}
    for number, client in in_turn(clients, rounds):
        if number >= min(client.at_most(bench, source), 1000 if client.ours else peer_rounds):
            continue
        figures = one_round(bench, name, client, kind, source)
        if figures is None:
            continue
        rows[client.name].append({"round": number, **figures})
        say(f"  {number + 1}: {client.name:26} {figures['seconds']:7.2f} s "
            f"{figures['files_per_s']:7.0f} files/s {figures['cpu_ms_per_file']:8.3f} ms CPU "
            f"a file {figures['peak_mib']:7.1f} MiB, missing {figures['missing']}, "
            f"differing {figures['differing']}")
    return [{"client": client.name, "note": client.note, "rounds": rows[client.name]}
            for client in clients if rows[client.name] or client.at_most(bench, source)]
