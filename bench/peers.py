"""The clients that drain a tree of files into a store, each as well set up as its users know how.

A client has a name, a note (how it is run), strict (may the store be as strict as to us?), ours,
and run(bench, store, source, directory) -> (ns at which its process began, figures: cpu_s,
peak_mib, …). bench/install gets the programs.
"""

import functools
import glob
import json
import os
import subprocess
import time

import lib
from bench import CACHE, Failed, cpu_seconds, peak_mib, run_command

ACL = lib.ACL
CONNECTIONS = 32  # spoolgate's `uploads` as it comes


class Client:
    name = note = ""
    ours = False
    strict = True
    slow = False  # one round is enough with many files

    def expected(self, source):
        return source.expected

    def at_most(self, bench, source):
        """Rounds."""
        if self.ours or source.count <= 10000:
            return 1000
        return 1


class Spoolgate(Client):
    name, ours = "spoolgate", True
    note = "spoolgate run, its configuration as it comes, spool and state on tmpfs"

    def __init__(self, config=None, state_parent=None):
        self.config, self.state_parent = config or {}, state_parent

    def run(self, bench, store, source, directory):
        with bench.directory(self.state_parent) as state, \
                lib.Gateway(store.store, {**self.config, "state": state}, directory=directory,
                            start=False) as gateway:
            source.write(gateway.root)
            began = time.time_ns()
            gateway.start(ready=False)
            wait_delivered(gateway, source.count)
            pid = gateway.process.pid
            return began, {"cpu_s": cpu_seconds(pid), "peak_mib": peak_mib(pid)}


def wait_delivered(gateway, count, timeout=1800):
    """Until so many are delivered and none of them is left in the spool."""
    end = time.monotonic() + timeout
    while True:
        if gateway.process.poll() is not None or time.monotonic() > end:
            raise Failed("it ended or stood still: " + gateway.log()[-1500:])
        try:
            if gateway.delivered() >= count and not lib.spooled(gateway.root):
                break
        except OSError:
            pass  # it does not listen yet
        time.sleep(0.05)
    time.sleep(0.3)  # the last records


class Ceiling(Client):
    """bench-ceiling: from memory, signed before the clock starts."""

    name = "libcurl from memory"
    note = "bench-ceiling: as many bodies from memory, signed before the clock starts"

    def expected(self, source):
        return {}

    def run(self, bench, store, source, directory):
        store = store.store
        done = run_command(
            [os.path.join(lib.BUILD, "bench/bench-ceiling"), "--url", store.url, "--bucket",
             store.bucket, "--region", store.region, "--files", str(source.count), "--size",
             str(source.size), "--connections", str(CONNECTIONS)],
            lib.clean_environment(AWS_ACCESS_KEY_ID=store.access_key,
                                  AWS_SECRET_ACCESS_KEY=store.secret_key))
        if done.status:
            raise Failed(done.err or done.out)
        seen = json.loads(done.out)
        return done.began_ns, {"cpu_s": seen["cpu_ms_per_file"] * source.count / 1e3,
                               "peak_mib": done.peak_mib, "files_per_s": seen["files_per_s"],
                               "seconds": seen["seconds"], "extra": 0}


class Command(Client):
    """A program that is given a directory and ends."""

    def __init__(self, *variant):
        self.variant = variant

    def program(self):
        raise NotImplementedError

    def command(self, store, source, directory):
        raise NotImplementedError

    def environment(self, store, directory):
        return {}

    @functools.lru_cache
    def version(self):
        done = subprocess.run([self.program(), *self.version_arguments], capture_output=True,
                              text=True, stdin=subprocess.DEVNULL,
                              env=lib.clean_environment())
        return done.stdout.split("\n")[0].strip()

    def run(self, bench, store, source, directory):
        if not os.access(self.program(), os.X_OK):
            raise Failed(f"{self.program()} is not there: bench/install gets it")
        store = store.store
        env = lib.clean_environment(
            AWS_ACCESS_KEY_ID=store.access_key, AWS_SECRET_ACCESS_KEY=store.secret_key,
            AWS_REGION=store.region, AWS_DEFAULT_REGION=store.region, HOME=directory,
            **self.environment(store, directory))
        done = run_command(self.command(store, source, directory), env, cwd=directory)
        figures = {"cpu_s": done.cpu_s, "peak_mib": done.peak_mib, "seconds_to_exit": done.seconds}
        if done.status:
            figures.update(exit_status=done.status, said=(done.err or done.out)[-2000:])
        return done.began_ns, figures


class S5cmd(Command):
    name = "s5cmd cp"

    def program(self):
        found = glob.glob(os.path.join(CACHE, "venv/lib/python3*/site-packages/s5cmd/bin/s5cmd"))
        return found[0] if found else os.path.join(CACHE, "s5cmd")

    def command(self, store, source, directory):
        return [self.program(), "--endpoint-url", store.url, "--log", "error", "--numworkers",
                "64", "cp", "--acl", ACL, source.path + "/", f"s3://{store.bucket}/"]


PEERS = [S5cmd()]
