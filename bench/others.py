"""The other measures: starting with a backlog, doing nothing, a store that is far away, that asks
to slow down, or that speaks TLS, and what a file costs as more of them wait."""

import contextlib
import http.client
import json
import os
import socket
import threading
import time
import urllib.parse

import bench as framework
import lib
import peers
from bench import Backlog, Failed, cpu_seconds, peak_mib, say, side_by_side, takes, wakeups
from drain import drain

# --- stores in other places -----------------------------------------------------------------------


class Away20(framework.Counting):
    name = "devstore, 20 ms away"
    options = ("--fault", "latency=20ms")


class Away100(framework.Counting):
    name = "devstore, 100 ms away"
    options = ("--fault", "latency=100ms")


class SlowDown(framework.Counting):
    name = "devstore, 5 % SlowDown"
    options = ("--fault", "op=PutObject,probability=0.05,code=SlowDown")


def away(bench, kind, milliseconds):
    """Beside files x latency / connections, which nobody can beat who has so many connections."""
    clients = [peers.Spoolgate(), peers.CeilingFrom(), peers.S5cmd(), peers.Rclone(32),
               peers.Aws(),
               peers.Spoolgate("spoolgate, 128 at once", {"uploads": 128}), peers.S5cmd(128),
               peers.Rclone(128)]
    if milliseconds == 20 or bench.quick:  # at 100 ms it would take minutes
        clients.insert(5, peers.McCp())
    name = f"away-{milliseconds}ms"
    measure = drain(bench, name, f"Drain 10 000 x 4 KiB, store {milliseconds} ms away", kind,
                    (bench.scale(10000, 320), 4096, 32), clients, bench.rounds(3), 1)
    asked = {client.name: getattr(client, "asked", peers.CONNECTIONS) for client in clients}
    asked["spoolgate, 128 at once"] = 128
    for row in measure["rows"]:
        for figures in row["rounds"]:
            best = measure["files"] * milliseconds / 1e3 / asked[row["client"]]
            figures["of_files_x_latency"] = figures["seconds"] / best
    measure["note"] = ("of_files_x_latency: seconds, divided by files x latency / connections. "
                       "mc chooses its connections by itself; it is compared with 32.")
    return measure


@takes(250, 15)
def away_20(bench):
    return away(bench, Away20, 20)


@takes(330, 30)
def away_100(bench):
    return away(bench, Away100, 100)


@takes(150, 15)
def slow_down(bench):
    """The bare loop does not try again."""
    clients = [c for c in peers.each_tool() if not isinstance(c, peers.Ceiling)]
    return drain(bench, "slowdown-5pct", "Drain 10 000 x 4 KiB, one request in 20 answered SlowDown",
                 SlowDown, (bench.scale(10000, 1000), 4096, 100), clients, bench.rounds(3), 1)


@takes(130, 15)
def tls(bench):
    return drain(bench, "tls", "Drain 10 000 x 4 KiB over TLS, devstore", framework.CountingTls,
                 (bench.scale(10000, 1000), 4096, 100), peers.each_tool(), bench.rounds(3), 1)


# --- what more files cost -------------------------------------------------------------------------


@takes(400, 20)
def growth(bench):
    """The same files, 300 bytes each, in more and more directories of a thousand."""
    counts = bench.scale((1000, 10000, 100000, 1000000), (1000, 3000))
    rows = {}
    for count in counts:
        clients = [peers.Spoolgate()]
        if count <= 100000:
            clients += [peers.S5cmd(), peers.Rclone()]
        with Backlog(bench, count, 300, max(1, count // 1000)) as source:
            for row in side_by_side(bench, "growth", clients, framework.Counting, source,
                                    bench.rounds(3) if count <= 10000 else 1, 1):
                for figures in row["rounds"]:
                    figures["x"] = count
                    figures["us_per_file"] = figures["seconds"] * 1e6 / count
                rows.setdefault(row["client"], {**row, "rounds": []})["rounds"] += row["rounds"]
    return {"name": "growth", "title": "What a file costs as more wait (300 B, devstore)",
            "store": "devstore", "figure": "us_per_file", "unit": "us/file",
            "higher_is_better": False, "plot": "lines", "x_title": "files waiting",
            "rows": list(rows.values())}


# --- start ----------------------------------------------------------------------------------------


def waits(gateway):
    try:
        files = gateway.status()["files"]
    except OSError:  # it does not listen yet
        return 0
    return files["accepted"] + files["sending"] + files["deferred"]


def first_put(store, timeout=60):
    """ns since 1970 of the first object."""
    end = time.monotonic() + timeout
    while not os.path.getsize(store.log):
        if time.monotonic() > end:
            raise Failed("nothing was stored in time")
        time.sleep(0.005)
    time.sleep(0.05)  # its line is whole
    with open(store.log) as file:
        return int(file.readline().split("\t")[0])


def restart_once(bench, count):
    """A backlog is accepted while nobody listens at the store's address; the gateway is killed;
    the store comes up, and the gateway again."""
    with contextlib.ExitStack() as stack:
        directory, aside = (stack.enter_context(bench.directory()) for _ in range(2))
        store = framework.Counting(aside)
        store.store.port = lib.free_port()
        store.store.url = f"http://127.0.0.1:{store.store.port}"
        gateway = stack.enter_context(peers.gateway_at(store, directory, {}))
        source = Backlog(bench, count, 300, max(1, count // 1000))
        source.write(gateway.root)
        began = time.monotonic()
        gateway.start(ready=False)
        while waits(gateway) < count:
            if gateway.process.poll() is not None or time.monotonic() - began > 300:
                raise Failed(f"{waits(gateway)} of {count} were accepted: " + gateway.log()[-1500:])
            time.sleep(0.1)
        pid, accepted_s = gateway.process.pid, time.monotonic() - began
        time.sleep(1)
        figures = {"accepted_s": accepted_s, "accept_cpu_ms_per_file": cpu_seconds(pid) * 1e3 / count,
                   "accept_peak_mib": peak_mib(pid)}
        gateway.kill()
        stack.enter_context(store)
        began = time.time_ns()
        gateway.start(ready=False)
        figures["first_put_s"] = (first_put(store) - began) / 1e9
        time.sleep(2)
        figures["peak_mib"] = peak_mib(gateway.process.pid)
        gateway.kill()
        say(f"  accepted in {accepted_s:.1f} s, first put {figures['first_put_s']:.3f} s after the "
            f"restart, {figures['peak_mib']:.1f} MiB")
        return figures


@takes(180, 8)
def restart(bench):
    count = bench.scale(1000000, 10000)
    rounds = [restart_once(bench, count) for _ in range(bench.rounds(2))]
    return {"name": "restart-1m", "title": "First object after a restart with 1 000 000 files waiting",
            "store": "devstore", "files": count, "figure": "first_put_s", "unit": "s",
            "higher_is_better": False, "plot": "bars",
            "rows": [{"client": "spoolgate", "note": peers.Spoolgate().note, "rounds": rounds}]}


# --- while somebody looks -------------------------------------------------------------------------


class Watched(peers.Spoolgate):
    """/metrics is scraped each second, and the console's overview is open."""

    @contextlib.contextmanager
    def beside(self, gateway):
        end, seen = threading.Event(), {"metrics": 0, "status": 0}
        stream = overview(gateway)

        def scrape():
            while not end.is_set():
                seen["metrics"] += "spoolgate_" in gateway.api("GET", "/metrics")[1]
                end.wait(1)

        def read():
            while stream.readline():
                seen["status"] += 1

        watchers = [threading.Thread(target=scrape), threading.Thread(target=read)]
        for watcher in watchers:
            watcher.start()
        try:
            yield
        finally:
            end.set()
            stream.connection.sock.shutdown(socket.SHUT_RDWR)
            for watcher in watchers:
                watcher.join()
        if not all(seen.values()):
            raise Failed(f"nobody looked: {seen}")


def overview(gateway):
    """What the browser does on that page: log in, the history, the stream of the status."""
    while not os.path.exists(gateway.control):
        time.sleep(0.01)
    link = urllib.parse.urlsplit(gateway.api("POST", "/v1/console", {})[1]["url"])
    connection = http.client.HTTPConnection(link.hostname, link.port, timeout=60)
    connection.auto_open = 0
    connection.connect()
    connection.request("POST", "/session", json.dumps({"token": link.fragment}),
                       {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    cookie = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}
    connection.request("GET", "/v1/history?span=hour", headers=cookie)
    connection.getresponse().read()
    connection.request("GET", "/v1/events", headers=cookie)
    stream = connection.getresponse()
    stream.connection = connection
    return stream


@takes(200, 20)
def watched(bench):
    clients = [peers.Spoolgate(), Watched(name="spoolgate, watched")]
    return {**drain(bench, "watched", "Drain 100 000 x 4 KiB while somebody looks", framework.Counting,
                    (bench.scale(100000, 2000), 4096, 1000), clients, bench.rounds()),
            "note": "watched: /metrics scraped each second, the console's overview open"}


# --- nothing to do --------------------------------------------------------------------------------


@takes(605, 22)
def idle(bench):
    seconds = bench.scale(600, 20)
    with bench.directory() as directory, framework.Counting(directory) as store, \
            peers.gateway_at(store, directory, {}) as gateway:
        gateway.start()
        time.sleep(2)
        pid = gateway.process.pid
        cpu, woken = cpu_seconds(pid), wakeups(pid)
        time.sleep(seconds)
        figures = {"cpu_s": cpu_seconds(pid) - cpu, "seconds": seconds, "peak_mib": peak_mib(pid),
                   "wakeups_per_s": (wakeups(pid) - woken) / seconds}
    say(f"  {figures['cpu_s']:.2f} s CPU, {figures['wakeups_per_s']:.2f} wake-ups a second")
    return {"name": "idle", "title": "CPU time of 10 minutes with nothing to do",
            "store": "devstore", "figure": "cpu_s", "unit": "s", "higher_is_better": False,
            "plot": "bars", "note": f"{seconds} s",
            "rows": [{"client": "spoolgate", "note": peers.Spoolgate().note, "rounds": [figures]}]}


MEASURES = {"restart-1m": restart, "growth": growth, "away-20ms": away_20, "away-100ms": away_100,
            "slowdown-5pct": slow_down, "tls": tls, "watched": watched, "idle": idle}
