"""The clients that drain a tree of files into a store, each as well set up as its users know how.

A client has a name, a note (how it is run), strict (may the store be as strict as to us?), ours,
and run(bench, store, source, directory) -> (ns at which its process began, figures: cpu_s,
peak_mib, …). bench/install gets the programs.
"""

import contextlib
import glob
import json
import os
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
    ours = True

    def __init__(self, name="spoolgate", config=None, state_parent=None):
        self.name, self.config, self.state_parent = name, config or {}, state_parent
        self.note = ("spoolgate run, spool on tmpfs, state on " +
                     ("a disk" if state_parent else "tmpfs") +
                     (", " + json.dumps(config) if config else ", its configuration as it comes"))

    def beside(self, gateway):
        """What goes on meanwhile."""
        return contextlib.nullcontext()

    def run(self, bench, store, source, directory):
        with bench.directory(self.state_parent) as state, \
                gateway_at(store, directory, {**self.config, "state": state}) as gateway:
            source.write(gateway.root)
            began = time.time_ns()
            gateway.start(ready=False)
            with self.beside(gateway):
                wait_delivered(gateway, source.count)
            pid = gateway.process.pid
            return began, {"cpu_s": cpu_seconds(pid), "peak_mib": peak_mib(pid)}


def gateway_at(store, directory, config):
    """One that is not started yet."""
    if getattr(store.store, "ca", None):
        config = {**config, "bucket": {"ca_file": store.store.ca}}
    return lib.Gateway(store.store, config, directory=directory, start=False)


def wait_delivered(gateway, count, timeout=1800):
    """Until so many are delivered and none of them is left in the spool. Each question costs the
    gateway, and Python more, so it is asked when it is not at work only."""
    end = time.monotonic() + timeout
    while True:
        if gateway.process.poll() is not None or time.monotonic() > end:
            raise Failed("it ended or stood still: " + gateway.log()[-1500:])
        used = cpu_seconds(gateway.process.pid)
        time.sleep(0.2)
        if cpu_seconds(gateway.process.pid) - used > 0.02:
            continue
        try:
            if gateway.delivered() >= count and not lib.spooled(gateway.root):
                break
        except OSError:
            pass  # it does not listen yet
    time.sleep(0.3)  # the last records


class Ceiling(Client):
    """bench-ceiling from memory. It goes by its own clock, which starts when all is signed."""

    name = "libcurl from memory"
    note = ("bench-ceiling: the same requests from memory, built and signed before the clock "
            "starts; at most 100 000 of them")
    most = 100000

    def expected(self, source):
        return {}

    def arguments(self, source):
        return ["--files", str(min(source.count, self.most)), "--size", str(source.size)]

    def run(self, bench, store, source, directory):
        store = store.store
        ca = ["--ca", store.ca] if getattr(store, "ca", None) else []
        done = run_command(
            [os.path.join(lib.BUILD, "bench/bench-ceiling"), "--url", store.url, "--bucket",
             store.bucket, "--region", store.region, "--connections", str(CONNECTIONS), *ca,
             *self.arguments(source)],
            lib.clean_environment(AWS_ACCESS_KEY_ID=store.access_key,
                                  AWS_SECRET_ACCESS_KEY=store.secret_key))
        if done.status:
            raise Failed(done.err or done.out)
        return done.began_ns, self.figures(done, json.loads(done.out))

    def figures(self, done, seen):
        return {"cpu_s": seen["cpu_ms_per_file"] * seen["files"] / 1e3, "extra": 0,
                "peak_mib": done.peak_mib, "files_per_s": seen["files_per_s"],
                "seconds": seen["seconds"],
                "mib_per_s": seen["bytes"] / seen["seconds"] / 2**20}


class CeilingFrom(Ceiling):
    """bench-ceiling --from: its whole process counts, as that of every other client."""

    name = "libcurl from files"
    note = ("bench-ceiling --from: finds, opens, reads, hashes, signs and sends the files, in one "
            "thread over 32 connections, and does nothing else")

    def expected(self, source):
        return source.expected

    def arguments(self, source):
        return ["--from", source.path]

    def figures(self, done, seen):
        return {"cpu_s": done.cpu_s, "peak_mib": done.peak_mib}


class Command(Client):
    """A program that is given a directory and ends. asked: its connections at once."""

    strict = False
    install = "bench/install"
    most = 100000  # files: more would take it longer than the rest of the run

    def __init__(self, asked=None):
        self.asked = asked or self.asked
        if self.asked != type(self).asked:
            self.name = f"{self.name}, {self.asked} at once"

    asked = CONNECTIONS

    @property
    def note(self):
        return self.text

    def at_most(self, bench, source):
        return 0 if source.count > self.most else super().at_most(bench, source)

    def program(self):
        raise NotImplementedError

    version_arguments = ("--version",)

    def version(self):
        done = run_command([self.program(), *self.version_arguments], lib.clean_environment(), 60)
        return done.out.split("\n")[0].strip()

    def command(self, store, source, directory):
        """A list; directory is one of its own."""
        raise NotImplementedError

    def environment(self, store, directory):
        return {}

    def run(self, bench, store, source, directory):
        if not os.access(self.program(), os.X_OK):
            raise Failed(f"{self.program()} is not there: bench/install gets it")
        store = store.store
        command = self.command(store, source, directory)
        ca = {"SSL_CERT_FILE": store.ca} if getattr(store, "ca", None) else {}
        env = lib.clean_environment(
            AWS_ACCESS_KEY_ID=store.access_key, AWS_SECRET_ACCESS_KEY=store.secret_key,
            AWS_REGION=store.region, AWS_DEFAULT_REGION=store.region, HOME=directory, **ca,
            **self.environment(store, directory))
        done = run_command(command, env, cwd=directory)
        figures = {"cpu_s": done.cpu_s, "peak_mib": done.peak_mib, "seconds_to_exit": done.seconds}
        if done.status:
            figures.update(exit_status=done.status, said=(done.err or done.out)[-2000:])
        return done.began_ns, figures


class S5cmd(Command):
    name = "s5cmd cp"
    text = "fed a directory"
    version_arguments = ("version",)
    most = 10**6

    def program(self):
        """The program itself: what pip puts on the path is a Python script that starts it."""
        found = glob.glob(os.path.join(CACHE, "venv/lib/python3*/site-packages/s5cmd/bin/s5cmd"))
        return found[0] if found else os.path.join(CACHE, "venv/bin/s5cmd")

    def options(self, store):
        return ["--endpoint-url", store.url, "--log", "error", "--numworkers", str(self.asked)]

    def command(self, store, source, directory):
        return [self.program(), *self.options(store), "cp", *self.large(source), "--acl", ACL,
                source.path + "/", f"s3://{store.bucket}/"]

    def large(self, source):
        """Of one large file, parts go in parallel as well."""
        return ["--concurrency", "16", "--part-size", "32"] if source.large else []


class S5cmdRun(S5cmd):
    name = "s5cmd run"
    text = "fed a list of commands, a file each, that was written before its clock starts"
    most = 100000

    def command(self, store, source, directory):
        listed = os.path.join(directory, "commands")
        with open(listed, "w") as file:
            for path in source.expected:
                file.write(f"cp --acl {ACL} {source.path}/{path} s3://{store.bucket}/{path}\n")
        return [self.program(), *self.options(store), "run", listed]


class Rclone(Command):
    name = "rclone copy"
    text = "64 transfers, no HEAD, no listing, no look at the destination"
    asked = 64
    version_arguments = ("version",)
    most = 10**6

    def program(self):
        return os.path.join(CACHE, "venv/bin/rclone")

    def command(self, store, source, directory):
        large = ["--s3-upload-concurrency", "16", "--s3-chunk-size", "32M",
                 "--s3-disable-checksum"] if source.large else []
        return [self.program(), "copy", source.path, f":s3:{store.bucket}", "--config", "/dev/null",
                "--s3-provider", "Other", "--s3-endpoint", store.url, "--s3-env-auth",
                "--s3-region", store.region, "--s3-acl", ACL, "--transfers", str(self.asked),
                "--s3-no-head", "--s3-no-check-bucket", "--ignore-times", "--no-traverse",
                "--no-check-dest", "--stats", "0", *large]


class McCp(Command):
    name = "mc cp"
    text = "--recursive; it chooses how many at once by itself"
    install = "contrib/minio-test/install mc"

    def program(self):
        return os.path.join(lib.CACHE, "bin/mc")

    def version(self):
        """Built from a Go module, it does not know its own version: that of the script does."""
        with open(os.path.join(lib.REPOSITORY, "contrib/minio-test/lib.sh")) as file:
            return next("mc " + line.split("=")[1].strip() for line in file
                        if line.startswith("MC_VERSION="))

    def environment(self, store, directory):
        scheme, host = store.url.split("://")
        return {"MC_HOST_bench": f"{scheme}://{store.access_key}:{store.secret_key}@{host}"}

    verb = ("cp", "--recursive")

    def command(self, store, source, directory):
        return [self.program(), "--quiet", *self.verb, "--attr", "x-amz-acl=" + ACL,
                source.path + "/", f"bench/{store.bucket}/"]


class McCpSha256(McCp):
    """As it comes it hashes nothing, so no digest says what left it."""

    name = "mc cp, SHA-256"
    text = "--recursive --checksum SHA256: of each part, but not of the whole file"
    verb = ("cp", "--recursive", "--checksum", "SHA256")


class McMirror(McCp):
    name = "mc mirror"
    text = "--overwrite; it lists the destination, and chooses how many at once by itself"
    verb = ("mirror", "--overwrite")


class Aws(Command):
    name = "aws s3 cp"
    text = "--recursive, max_concurrent_requests 32, parts of 32 MiB"
    most = 10000

    def program(self):
        return os.path.join(CACHE, "venv/bin/aws")

    def environment(self, store, directory):
        path = os.path.join(directory, "aws.conf")
        with open(path, "w") as file:
            file.write("[default]\ns3 =\n"
                       f"  max_concurrent_requests = {self.asked}\n"
                       "  max_queue_size = 10000\n"
                       "  multipart_threshold = 64MB\n"
                       "  multipart_chunksize = 32MB\n")
        ca = {"AWS_CA_BUNDLE": store.ca} if getattr(store, "ca", None) else {}
        return {"AWS_CONFIG_FILE": path, **ca}

    def at_most(self, bench, source):
        """A file takes it some 3 ms."""
        return min(2, super().at_most(bench, source)) if source.count > 2000 else \
            super().at_most(bench, source)

    def command(self, store, source, directory):
        return [self.program(), "--endpoint-url", store.url, "s3", "cp", "--recursive", "--only-show-errors",
                "--acl", ACL, source.path, f"s3://{store.bucket}/"]


def everyone():
    return [Spoolgate(), Ceiling(), CeilingFrom(), S5cmd(), S5cmdRun(), Rclone(), McCp(),
            McMirror(), Aws()]


def each_tool():
    """As everyone, each program in the form that is its fastest."""
    return [client for client in everyone() if not isinstance(client, (S5cmdRun, McMirror))]


class _Example:
    url, bucket, region, path = "http://127.0.0.1:9000", lib.BUCKET, lib.REGION, "DIRECTORY"
    access_key, secret_key = "KEY", "SECRET"
    large, expected = False, ["PATH"]


def describe():
    """Of each peer: its version, how it is installed, and its command line."""
    rows = []
    for client in everyone():
        if not isinstance(client, Command) or not os.access(client.program(), os.X_OK):
            continue
        with lib.scratch_dir() as directory:
            command = client.command(_Example, _Example, directory)
            environment = client.environment(_Example, directory)
            settings = ""
            if "AWS_CONFIG_FILE" in environment:
                with open(environment["AWS_CONFIG_FILE"]) as file:
                    settings = file.read()
            text = " ".join([os.path.basename(command[0]), *command[1:]])
            rows.append({"client": client.name, "version": client.version(),
                         "install": client.install, "command": text.replace(directory, "DIRECTORY"),
                         "settings": settings})
    return rows
