"""What the measures share: stores that tell when they stored what, input, processes and what they
used, and rounds in which every client has its turn.

bench/run puts tests/e2e on the path and tells lib.py which build to use before this is imported.
A measure is a function that takes the Bench and returns a dictionary as README.md says.
"""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

import lib

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


# --- stores that tell when they stored ------------------------------------------------------------


class Counting:
    """devstore, which keeps no bytes, and logs the moment and the SHA-256 of each first put.
    strict: as a client of spoolgate's manners finds it; else it also takes aws-chunked bodies and
    unsigned payloads. Every client has to send the ACL."""

    name = "devstore"
    options = ()

    def __init__(self, directory, strict=True):
        self.log = os.path.join(directory, "keys.log")
        self.store = self.make(directory, "--count", "--no-md5", "--log-keys", self.log,
                               "--require-acl", *([] if strict else ["--lenient"]), *self.options)

    @staticmethod
    def make(directory, *options):
        return lib.Devstore(*options)

    def __enter__(self):
        self.store.__enter__()
        return self

    def __exit__(self, *what):
        self.store.__exit__(*what)

    def rows(self):
        """{key: (ns since 1970, size, sha256 or "-")}"""
        with open(self.log) as file:
            rows = (line.rstrip("\n").split("\t") for line in file)
            return {row[1]: (int(row[0]), int(row[2]), row[3]) for row in rows}

    def verify(self, expected, path=None):
        """Moments of all that was stored, and figures: missing, differing, requests, … Of an
        object in parts the ETag is compared with that of the file below path."""
        rows, stats, differing = self.rows(), self.store.stats(), 0
        for key, (size, sha256, _) in expected.items():
            _, got_size, digest = rows.get(key, (0, size, sha256.hex()))
            if digest == "-" and got_size == size:
                etag = self.store.keys()[key][2]
                differing += etag not in parts_etags(
                    os.path.join(path, key), etag, hashlib.sha256, (hashlib.sha256, hashlib.md5))
            else:
                differing += (got_size, digest) != (size, sha256.hex())
        return [row[0] for row in rows.values()], {
            "missing": len(expected.keys() - rows.keys()),
            "differing": differing + stats["repeated_other"],
            "extra": len(rows.keys() - expected.keys()),
            "without_acl": stats["puts_without_acl"],
            # The one that asks for the statistics is none of the client's.
            "requests": stats["requests"] - 1, "connections": stats["connections_total"] - 1}


def parts_etags(path, etag, outer, inners):
    """ETags that an object in parts may have: the part size is unknown, but some whole MiB. devstore
    without MD5 digests a part by SHA-256, unless the client sent its MD5."""
    size, parts = os.path.getsize(path), int(etag.rsplit("-")[1])
    sizes = [mib << 20 for mib in range(1, (size >> 20) + 1) if -(-size // (mib << 20)) == parts]
    usual = [n for n in sizes if n >> 20 in (5, 8, 16, 32, 50, 64, 128)]
    found = []
    for part_size in usual or sizes[:8]:
        wholes, holes = [outer() for _ in inners], {}
        with open(path, "rb") as file:
            while piece := file.read(part_size):
                for whole, digest in zip(wholes, part_digests(piece, inners, holes)):
                    whole.update(digest)
        found += [f"{whole.hexdigest()[:32]}-{parts}" for whole in wholes]
    return found


def part_digests(piece, inners, holes):
    """A file that is a hole has the same part again and again."""
    hole = not any(piece[:4096]) and piece == bytes(len(piece))
    if hole and len(piece) in holes:
        return holes[len(piece)]
    digests = [inner(piece).digest()[:16] for inner in inners]
    if hole:
        holes[len(piece)] = digests
    return digests


class CountingTls(Counting):
    """devstore behind TLS, with a certificate of an authority of its own."""

    name = "devstore, TLS"

    @staticmethod
    def make(directory, *options):
        class Tls(lib.Devstore):
            ca = os.path.join(directory, "ca.pem")

            def _admin(self, method, path, body=None):
                with urllib.request.urlopen(
                        f"{self.url}/_devstore/{path}", body, timeout=60,
                        context=ssl.create_default_context(cafile=self.ca)) as answer:
                    return answer.read().decode()

        make_certificate(directory)
        return Tls(*options, "--tls", f"{directory}/server.pem", f"{directory}/server.key")


def make_certificate(directory):
    """ca.pem, and server.pem with server.key signed by it, for 127.0.0.1."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for arguments in (
            ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj",
             "/CN=bench authority"],
            ["req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost"],
            ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
             "-CAcreateserial", "-out", "server.pem", "-days", "30", "-extfile", "names"]):
        with open(os.path.join(directory, "names"), "w") as file:
            file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=directory)


class OnMinio:
    """MinIO on tmpfs. An object's moment is the change time of its xl.meta, set by the rename that
    makes it visible; it has the grain of the kernel's tick."""

    name = "MinIO on tmpfs"

    def __init__(self, directory, strict=True):
        class Minio(lib.Minio):
            def make_bucket(self):
                run_mc(self, "mb", "--region", self.region, f"bench/{self.bucket}")
        self.parent = os.path.dirname(directory)
        self.store = Minio()

    def __enter__(self):
        default, tempfile.tempdir = tempfile.gettempdir(), self.parent
        try:
            self.store.__enter__()
        finally:
            tempfile.tempdir = default
        self.root = os.path.join(self.store.directory, "data", self.store.bucket)
        return self

    def __exit__(self, *what):
        self.store.__exit__(*what)

    def verify(self, expected, path=None):
        """As Counting.verify. A plain ETag is the MD5 of the bytes."""
        listed = (json.loads(line) for line in run_mc(
            self.store, "ls", "--recursive", "--json", f"bench/{self.store.bucket}").splitlines())
        rows = {row["key"]: (row["size"], row["etag"]) for row in listed}
        differing = 0
        for key in expected.keys() & rows.keys():
            (size, _, md5), (got_size, etag) = expected[key], rows[key]
            whole = [md5.hex()] if "-" not in etag else parts_etags(
                os.path.join(path, key), etag, hashlib.md5, (hashlib.md5,)) if got_size == size else []
            differing += got_size != size or etag not in whole
        moments = [os.stat(os.path.join(self.root, key, "xl.meta")).st_ctime_ns for key in rows]
        return moments, {"missing": len(expected.keys() - rows.keys()), "differing": differing,
                         "extra": len(rows.keys() - expected.keys())}


class OnMinioDisk(OnMinio):
    name = "MinIO on disk"
    on_disk = True


def run_mc(store, *arguments):
    """MinIO's client as its administrator; what it prints."""
    host = f"http://{store.access_key}:{store.secret_key}@127.0.0.1:{store.port}"
    done = subprocess.run(
        [os.path.join(lib.CACHE, "bin/mc"), "--quiet", *arguments], capture_output=True, text=True,
        env=lib.clean_environment(HOME=store.directory, MC_HOST_bench=host))
    if done.returncode:
        raise RuntimeError(f"mc {arguments[0]}: {done.stderr or done.stdout}")
    return done.stdout


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


def side_by_side(bench, name, clients, kind, source, rounds, peer_rounds=1000):
    """Rows of a measure: in each round every client has its turn, and the next round begins with
    the next one. A client may sit out: so many rounds are enough for a peer, or for this one."""
    rows = {client.name: [] for client in clients}
    for number in range(rounds):
        turn = number % len(clients)
        for client in clients[turn:] + clients[:turn]:
            if number >= min(client.at_most(bench, source),
                             1000 if client.ours else peer_rounds):
                continue
            figures = one_round(bench, name, client, kind, source)
            if figures is None:
                continue
            rows[client.name].append(figures)
            say(f"  {number + 1}: {client.name:26} {figures['seconds']:7.2f} s "
                f"{figures['files_per_s']:7.0f} files/s {figures['cpu_ms_per_file']:8.3f} ms CPU "
                f"a file {figures['peak_mib']:7.1f} MiB, missing {figures['missing']}, "
                f"differing {figures['differing']}")
    return [{"client": client.name, "note": client.note, "rounds": rows[client.name]}
            for client in clients if rows[client.name] or client.at_most(bench, source)]
