"""From just before the rename to stored, file by file, while a producer keeps its rate.

Three shapes of directories, three rates. bench-producer writes; each client watches the tree with
its own means, has been warmed up with a second of the same (but for "first run"), and is given a
few seconds after the last file. What has not arrived then is missing.
"""

import contextlib
import functools
import json
import os
import signal
import subprocess
import threading
import time

import bench as framework
import lib
import peers
from bench import Failed, cpu_seconds, in_turn, peak_mib, say, takes
from stores import TICK_NS

SHAPES = {"hot": "into one directory", "new": "ten to a new directory",
          "own": "each into a new directory"}
SECONDS = {40: 10, 400: 5, 2000: 5}
QUANTILES = 200
PEER_ROUNDS = 3  # they take longer than ours, and lose the same share each time
PATIENCE = 5  # seconds without a new object, after which no more is expected
WARM_UP_FIRST = 500_000_000


# --- the producer ---------------------------------------------------------------------------------


class Stream:
    """Files to come: how many, how fast, into which directories."""

    def __init__(self, shape, rate, files):
        self.shape, self.rate, self.files = shape, rate, files

    def produce(self, root, directory, first=0):
        """({key: (ns of the rename, size, sha256 in hex)}, what it says of itself)"""
        log = os.path.join(directory, f"moved-{first}.tsv")
        done = subprocess.run(
            [os.path.join(lib.BUILD, "bench/bench-producer"), "--root", root, "--shape",
             self.shape, "--rate", str(self.rate), "--files", str(self.files), "--first",
             str(first), "--log", log], capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"bench-producer: {done.stderr}")
        with open(log) as file:
            rows = (line.rstrip("\n").split("\t") for line in file)
            return {row[1]: (int(row[0]), int(row[2]), row[3]) for row in rows}, \
                json.loads(done.stdout)

    def warm_up(self, root, directory):
        return Stream(self.shape, self.rate, self.rate).produce(root, directory, WARM_UP_FIRST)[0]


# --- who watches ----------------------------------------------------------------------------------


def family(pid):
    """It and its living descendants."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/children") as file:
                    found += [int(child) for child in file.read().split()]
    return found


def used(pid):
    """CPU seconds of it and its descendants, those that it has waited for, too."""
    total = 0.0
    for one in family(pid):
        with contextlib.suppress(OSError):
            total += cpu_seconds(one)
    return total


class PeakOf:
    """The most that the living ones of a family had together, looked at ten times a second: what
    has ended can no longer be asked."""

    def __init__(self, pid):
        self.mib, self._end = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look, args=(pid,))

    def _look(self, pid):
        while not self._end.wait(0.1):
            self.mib = max(self.mib, sum(peak_mib(one) for one in family(pid)))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()


class Ours:
    """The gateway in its configuration as it comes."""

    ours, strict = True, True

    def __init__(self, warm=True):
        self.warm = warm
        self.name = "spoolgate" if warm else "spoolgate, first run"
        self.note = "spoolgate run, its configuration as it comes" + (
            "" if warm else "; nothing went through it before")

    @contextlib.contextmanager
    def watching(self, bench, store, directory):
        with lib.Gateway(store.store, directory=directory) as gateway:
            time.sleep(0.5)
            self.pid, self.gateway = gateway.process.pid, gateway
            yield gateway.root

    def rest(self, count, arrived):
        peers.wait_delivered(self.gateway, count, 60)

    def figures(self):
        return {"rescan_drift": self.gateway.status()["watcher"]["drift"]}


class Pipe:
    """Programs of others, in a script of bash. "$root", "$bucket" and "$url" are set for it."""

    ours, strict, warm = False, False, True
    name = note = script = ""
    ready = 3  # seconds until its watches are set, generously

    def programs(self):
        """{variable of the script: path}"""
        return {}

    def environment(self, store):
        return {}

    @contextlib.contextmanager
    def watching(self, bench, store, directory):
        programs = self.programs()
        for path in programs.values():
            if not os.access(path, os.X_OK):
                raise Failed(f"{path} is not there: bench/install gets it")
        root = os.path.join(directory, "spool")
        os.mkdir(root)
        store = store.store
        env = lib.clean_environment(
            AWS_ACCESS_KEY_ID=store.access_key, AWS_SECRET_ACCESS_KEY=store.secret_key,
            AWS_REGION=store.region, AWS_DEFAULT_REGION=store.region, HOME=directory, root=root,
            bucket=store.bucket, url=store.url, **programs, **self.environment(store))
        with open(os.path.join(directory, "client.log"), "wb") as log:
            process = lib.start_process(["bash", "-c", self.script], env=env, cwd=directory,
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        start_new_session=True)
        try:
            time.sleep(self.ready)
            if process.poll() is not None:
                with open(log.name, errors="replace") as file:
                    raise Failed(f"it ended with {process.returncode}: {file.read()[-1500:]}")
            self.pid = process.pid
            yield root
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            lib.stop_process(process)

    def rest(self, count, arrived):
        """Until all are there, or none has come for a while."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < PATIENCE:
            now = arrived()
            if now >= count:
                return
            if now != seen:
                seen, since = now, time.monotonic()
            time.sleep(0.5)

    def figures(self):
        return {}


class InotifyS5cmd(Pipe):
    name = "inotifywait | s5cmd run"
    script = r"""inotifywait -q -m -r -e close_write -e moved_to --exclude '/\.[^/]*$' \
    --format '%w%f' "$root" |
sed -u "s|^$root/\(.*\)|cp --acl bucket-owner-full-control \"&\" \"s3://$bucket/\1\"|" |
"$s5cmd" --endpoint-url "$url" --log error --numworkers 64 run"""

    @functools.cached_property
    def note(self):
        """It says its version first when asked for help."""
        try:
            said = subprocess.run(["inotifywait", "--help"], capture_output=True, text=True).stdout
        except FileNotFoundError:
            return self.script
        return f"# {said.splitlines()[0]}\n{self.script}"

    def programs(self):
        return {"s5cmd": peers.S5cmd().program()}


class McWatch(Pipe):
    name = "mc mirror --watch"
    script = """"$mc" --quiet mirror --watch --exclude '*.tmp' \\
    --attr x-amz-acl=bucket-owner-full-control "$root" "peer/$bucket\""""
    note = script

    def programs(self):
        return {"mc": os.path.join(lib.CACHE, "bin/mc")}

    def environment(self, store):
        return {"MC_HOST_peer":
                f"http://{store.access_key}:{store.secret_key}@127.0.0.1:{store.port}"}


class RcloneLoop(Pipe):
    name = "rclone move every second"
    script = """while :; do
    "$rclone" move --exclude '*.tmp' --transfers 64 --ignore-times --no-traverse \\
        --no-check-dest --s3-no-head --s3-no-check-bucket "$root" ":s3:$bucket"
    sleep 1
done"""
    note = script

    def programs(self):
        return {"rclone": peers.Rclone().program()}

    def environment(self, store):
        return {"RCLONE_S3_PROVIDER": "Other", "RCLONE_S3_ENDPOINT": store.url,
                "RCLONE_S3_ENV_AUTH": "true", "RCLONE_S3_REGION": store.region,
                "RCLONE_S3_ACL": lib.ACL, "RCLONE_CONFIG": "/dev/null"}


# --- one run --------------------------------------------------------------------------------------


def quantiles(values):
    """Evenly from the least to the most, four digits of each."""
    last = len(values) - 1
    return [float(f"{values[round(n * last / (QUANTILES - 1))]:.4g}") for n in range(QUANTILES)]


def figures_of(took):
    """By the nearest rank: what was seen, nothing in between."""
    return {"p50_ms": took[-(-len(took) // 2) - 1], "p99_ms": took[-(-len(took) * 99 // 100) - 1],
            "max_ms": took[-1], "quantiles_ms": quantiles(took)}


def one_run(bench, client, kind, stream):
    with bench.directory() as directory, kind(directory, client.strict) as store, \
            client.watching(bench, store, directory) as root:
        warm_up = {}
        if client.warm:
            warm_up = stream.warm_up(root, directory)
            client.rest(len(warm_up), lambda: len(store.arrived(warm_up)))
        before = used(client.pid)
        with PeakOf(client.pid) as peak:
            dropped, producer = stream.produce(root, directory)
            client.rest(len(dropped) + (len(warm_up) if client.ours else 0),
                        lambda: len(store.arrived(dropped)))
        cpu = used(client.pid) - before
        stored = store.moments(dropped)
        seen = store.judge(dropped, warm_up)
        if not stored:
            raise Failed("nothing was stored")
        took = sorted((stored[key] - dropped[key][0]) / 1e6 for key in stored)
        return {**figures_of(took), **seen, **client.figures(), "files": len(dropped),
                "warm_up_files": len(warm_up), "cpu_s": cpu,
                "cpu_ms_per_file": cpu * 1e3 / len(stored), "peak_mib": peak.mib,
                "producer_files_per_s": producer["files_per_s"],
                "producer_late_p99_ms": producer["late_p99_ms"],
                "producer_late_max_ms": producer["late_max_ms"]}


def side_by_side(bench, name, clients, kind, stream, rounds):
    """As bench.side_by_side, of a stream of files in place of a backlog."""
    rows = {client.name: [] for client in clients}
    for number, client in in_turn(clients, rounds):
        if number >= PEER_ROUNDS and not client.ours:
            continue
        try:
            figures = one_run(bench, client, kind, stream)
        except (Failed, RuntimeError, OSError, subprocess.CalledProcessError) as error:
            bench.wrong(name, f"{client.name}: {error}")
            continue
        rows[client.name].append({"round": number, **figures})
        say("  {}: {:24} p50 {p50_ms:8.1f}  p99 {p99_ms:8.1f}  max {max_ms:8.1f} ms  "
            "{cpu_ms_per_file:7.3f} ms CPU  missing {missing}, differing {differing}; "
            "producer {producer_files_per_s:.0f}/s".format(number + 1, client.name, **figures))
        for what in ("missing", "differing", "extra"):
            if client.ours and figures[what]:
                bench.wrong(name, f"{client.name}: {figures[what]} objects {what}")
    return [{"client": client.name, "note": client.note, "rounds": rows[client.name]}
            for client in clients]


# --- measures -------------------------------------------------------------------------------------


def clients_at(bench, shape, rate, kind):
    """At 2 000 a second none of the peers survives; a quick run looks at them in one shape."""
    clients = [Ours()]
    if kind is framework.Counting:
        clients.append(Ours(warm=False))
    if not bench.options.ours and rate <= bench.scale(400, 40 if shape == "new" else 0):
        clients += [InotifyS5cmd(), McWatch(), RcloneLoop()]
    return clients


def latency(bench, name, shape, rate, kind):
    files = rate * bench.scale(SECONDS[rate], 2)
    rows = side_by_side(bench, name, clients_at(bench, shape, rate, kind), kind, Stream(shape, rate, files),
                        bench.rounds(5 if kind is framework.Counting else 3))
    return {"name": name, "title": f"{rate} files/s, {SHAPES[shape]}, {kind.name}",
            "store": kind.name, "figure": "p99_ms", "unit": "ms", "higher_is_better": False,
            "plot": "cdf", "files": files, "rows": rows,
            "note": "From just before the rename to stored; a client has seen a second of the "
            "same before." + ("" if kind is framework.Counting else " The moment of an object is "
                              f"the change time of its file and {TICK_NS / 1e6:.0f} ms, the "
                              "kernel's tick, or what MinIO calls modified, if that is later.")}


def measures():
    found = {}
    for kind, store, rates in ((framework.Counting, "devstore", SECONDS),
                               (framework.OnMinio, "minio", (40,))):
        for rate in rates:
            ours, peers_too = SECONDS[rate] + 5, SECONDS[rate] + 12
            seconds = 10 * ours + (PEER_ROUNDS * 3 * peers_too if rate <= 400 else 0)
            for shape in SHAPES:
                name = f"latency-{shape}-{rate}-{store}"
                quick = 45 if rate == 40 and shape == "new" else 10
                found[name] = takes(seconds, quick)(functools.partial(
                    latency, name=name, shape=shape, rate=rate, kind=kind))
    return found


MEASURES = measures()
