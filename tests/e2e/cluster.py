#!/usr/bin/python3
# run-on: long
"""MinIO of four nodes on a network of their own: one is killed while files flow, and nobody notices;
a second one is killed, so that nothing can be written, and the files wait; both return, and all is
delivered by itself.

Each node is in a network namespace with an address on a bridge in a fifth one, since MinIO refuses
loopback and several nodes on one machine's addresses. The gateway runs in the fifth. Takes root."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

NODES = 4
SECONDS = 20
RATE = 25  # files a second


def ip(*arguments, namespace=None):
    inside = ["-n", namespace] if namespace else []
    subprocess.run(["ip", *inside, *arguments], check=True, capture_output=True)


class network:
    """Namespaces sg<pid>-0 (the bridge) to -4, gone with the with block or the script."""

    def __enter__(self):
        self.names = [f"sg{os.getpid()}-{n}" for n in range(NODES + 1)]
        atexit.register(self.__exit__)
        hub = self.names[0]
        for name in self.names:
            ip("netns", "add", name)
            ip("link", "set", "lo", "up", namespace=name)
        ip("link", "add", "name", "br0", "type", "bridge", namespace=hub)
        ip("addr", "add", "10.83.0.100/24", "dev", "br0", namespace=hub)
        ip("link", "set", "br0", "up", namespace=hub)
        for n, name in enumerate(self.names[1:], 1):
            ip("link", "add", "name", f"v{n}", "type", "veth", "peer", "name", "eth0", "netns", name, namespace=hub)
            ip("link", "set", f"v{n}", "master", "br0", "up", namespace=hub)
            ip("addr", "add", f"10.83.0.{n}/24", "dev", "eth0", namespace=name)
            ip("link", "set", "eth0", "up", namespace=name)
        return self

    def __exit__(self, *_):
        for name in getattr(self, "names", []):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        self.names = []


class Cluster(Minio):
    """Its url is that of the first node, which is never killed. This process reaches it in hub()."""

    name = "minio-cluster"

    def __init__(self, net, directory):
        self.net, self.directory, self.nodes = net, directory, {}
        self.port, self.url = 9000, "http://10.83.0.1:9000"

    def start_node(self, n):
        data = os.path.join(self.directory, f"data{n}")
        os.makedirs(data, exist_ok=True)
        with open(os.path.join(self.directory, f"log{n}"), "ab") as log:
            self.nodes[n] = start_process(
                ["ip", "netns", "exec", self.net.names[n], os.path.join(CACHE, "bin/minio"), "server",
                 "--quiet", "--anonymous", "--address", f"10.83.0.{n}:9000",
                 *(f"http://10.83.0.{m}:9000{self.directory}/data{m}" for m in range(1, NODES + 1))],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=clean_environment(**self.environment(), MINIO_CI_CD="1"))

    def kill_node(self, n):
        """`ip netns exec` becomes the program, so the pid is MinIO's."""
        self.nodes[n].kill()
        self.nodes[n].wait()

    def __enter__(self):
        for n in range(1, NODES + 1):
            self.start_node(n)
        if not wait_until(self.ready, 60, 0.3):
            with open(os.path.join(self.directory, "log1")) as log:
                raise RuntimeError("the cluster does not start: " + log.read()[-3000:])
        self.make_bucket()
        return self

    def __exit__(self, *_):
        for node in self.nodes.values():
            stop_process(node)

    def _get(self, path):
        return http_status("10.83.0.1", 9000, path, timeout=5)

    def ready(self):
        return self._get("/minio/health/cluster") == 200


def enter(namespace):
    """This process, and what it starts from now on, is in that network."""
    import ctypes
    with open(f"/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def produce(gateway, dropped, stop):
    number = 0
    while not stop.is_set():
        (dropped.rename, dropped.write, dropped.link)[number % 3](
            gateway.root, key(("findings", "audit")[number % 2], f"f-{number}.ndjson"),
            event(number, (300, 5000, 60000)[number % 3]))
        if number % 100 == 50:
            dropped.rename(gateway.root, key("attack_paths", f"large-{number}.ndjson"),
                           b"".join(event(number + n, 64 * 1024) for n in range(24 * 16)))
        number += 1
        stop.wait(1 / RATE)


def cause_of_waiting(gateway):
    """The sentence of status and why agree on something about the bucket."""
    def told():
        status = gateway.status()
        path = next(iter(gateway.files("accepted") or gateway.files("deferred")), None)
        if status["state"] != "stuck" or not path:
            return None
        why = gateway.cli("why", path).stdout
        cause = status["destination"]["why"]
        return cause if cause and cause in status["sentence"] and cause in why else None
    cause = wait_until(told, 40, 0.3)
    check(cause, f"status and why name the cause: {gateway.status()['sentence']}")
    return cause


def nodes_come_and_go():
    with scratch_dir() as directory, network() as net:
        enter(net.names[0])
        with Cluster(net, directory) as bucket, Gateway(bucket, {
                "settle": "200ms", "bucket": {"allow_http": True},
                "multipart": {"threshold": "16MiB"},
                "timeouts": {"first_byte": "20s", "stall": "20s"}}) as gateway:
            dropped, stop = Dropped(), threading.Event()
            producer = threading.Thread(target=produce, args=(gateway, dropped, stop))
            producer.start()
            try:
                time.sleep(SECONDS / 4)
                bucket.kill_node(3)
                before = gateway.delivered()
                time.sleep(SECONDS)
                after, status = gateway.delivered(), gateway.status()
                check(after - before > SECONDS * RATE / 4, f"{after - before} files with three nodes in {SECONDS} s")
                check_equal((status["files"]["held"], status["files"]["rejected"]), (0, 0), "held, rejected")
                one = f"{after - before} files delivered in {SECONDS} s without it"

                bucket.kill_node(4)
                cause = cause_of_waiting(gateway)
                time.sleep(5)
                stuck = gateway.delivered()
                time.sleep(SECONDS / 2)
                check_equal(gateway.delivered(), stuck, "files delivered without a write quorum")
                waiting = gateway.status()["backlog"]["files"]
                check(waiting > 0, f"{waiting} files wait")
                bucket.start_node(4)
                back = time.monotonic()
                check(wait_until(lambda: gateway.delivered() > stuck, 90), "it flows again")
                flows = time.monotonic() - back
                bucket.start_node(3)
                time.sleep(SECONDS / 4)
            finally:
                stop.set()
                producer.join()
            gateway.wait_idle(120)
            check(wait_until(bucket.ready, 60, 0.5), "the cluster is whole")
            status = gateway.status()
            check_equal(status["since_start"]["conflicts"], 0, "files under a second name")
            check_equal(status["state"], "ok", "state afterwards")
            compare(bucket, dropped)
            row("one of four nodes killed", one)
            row("two of four nodes killed",
                f"\"{cause}\"; {waiting} files waited, flowing {flows:.1f} s after its return, "
                f"{len(dropped)} files in all, {status['since_start']['verified']} found there")


if os.geteuid() != 0:
    print("network namespaces take root: left out")
    check(True, "")
    finish()
run_tests([nodes_come_and_go])
