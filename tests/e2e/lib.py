"""What the end-to-end scripts share: checks that count, stores and gateways that are started and
stopped, producers, and the comparison of what was dropped with what arrived.

A script is run with the build directory as its first argument; left out, $SPOOLGATE_BUILD, else
build/dev below the repository. $SPOOLGATE_BIN and $DEVSTORE_BIN name other programs. Its last line
is "N passed, N failed"; it exits 1 if anything failed. Everything lives in directories below
$TMPDIR that are gone afterwards, on ports of its own.

Two comment lines of a script tell the test run what else it is good for; without them it runs on
devstore with the plain build:
    # run-on: devstore minio versitygw
    # also-under: asan valgrind
Such a script takes its store from store(), which looks at $SPOOLGATE_STORE. Under a slow tool
$SPOOLGATE_SLOW multiplies every time limit and $SPOOLGATE_WRAP is put before `spoolgate run`.

    with store() as bucket, Gateway(bucket) as gateway:
        dropped = Dropped()
        dropped.rename(gateway.root, key("findings", "f-1.ndjson"), event())
        gateway.wait_idle()
        compare(bucket, dropped)
    finish()
"""

import atexit
import concurrent.futures
import hashlib
import http.client
import json
import os
import random
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]) else
                        os.environ.get("SPOOLGATE_BUILD") or os.path.join(REPOSITORY, "build/dev"))
SPOOLGATE = os.environ.get("SPOOLGATE_BIN") or os.path.join(BUILD, "spoolgate")
CACHE = os.environ.get("SPOOLGATE_CACHE") or os.path.expanduser("~/.cache/spoolgate")
SLOW = float(os.environ.get("SPOOLGATE_SLOW") or 1)
WRAP = shlex.split(os.environ.get("SPOOLGATE_WRAP") or "")

BUCKET = "customer-siem"
REGION = "eu-central-1"
ACL = "bucket-owner-full-control"
TODAY = time.strftime("%Y-%m-%d", time.gmtime())  # one day, though the script may run over midnight

# --- checks ---------------------------------------------------------------------------------------

passed = failed = 0


def check(ok, what):
    """Count one fact; a failure is shown at once and the script goes on."""
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print(f"FAILED: {what}", flush=True)
    return bool(ok)


def check_equal(got, expected, what):
    return check(got == expected, f"{what}: expected {expected!r}, got {got!r}")


_rows = []
_compared = [0, 0]  # missing and differing since the last row


def row(case, seen):
    """A line of the table of cases that finish() prints: what was done, what was seen, and what
    compare() has found missing or differing since the row before."""
    _rows.append((case, seen, *_compared))
    _compared[:] = 0, 0


def finish():
    """The table of cases if there is one, the last line, and the exit status."""
    for case, seen, missing, differing in _rows:
        print(f"| {case} | {seen} | missing {missing} | differing {differing} |")
    print(f"{passed} passed, {failed} failed", flush=True)
    if threading.active_count() > 1:  # a test that failed half-way left its threads: do not wait
        atexit._run_exitfuncs()
        os._exit(1 if failed else 0)
    sys.exit(1 if failed else 0)


def run_tests(tests):
    """Call each function; an exception is a failure of that one, and one without a row() gets one.
    Ends with finish(). Arguments of the script that are no directory choose the tests whose name
    contains one of them."""
    words = [a for a in sys.argv[1:] if not os.path.isdir(a)]
    for test in tests:
        if words and not any(word in test.__name__ for word in words):
            continue
        start, before, rows = time.monotonic(), failed, len(_rows)
        try:
            test()
        except Exception as error:  # the next test may still say something
            check(False, f"{test.__name__} ended with {type(error).__name__}: {error}")
        if len(_rows) == rows:  # its name is what was done
            row(test.__name__.removeprefix("test_").replace("_", " "),
                "as it should be" if failed == before else "FAILED")
        print(f"{'ok' if failed == before else 'FAILED':6} {test.__name__} "
              f"({time.monotonic() - start:.1f} s)", flush=True)
    finish()


def run_together(tests, at_once=6):
    """As run_tests, several at a time, for those that mostly wait; they end with arrived()."""
    words = [a for a in sys.argv[1:] if not os.path.isdir(a)]

    def run(test):
        start = time.monotonic()
        try:
            test()
        except Exception as error:
            check(False, f"{test.__name__} ended with {type(error).__name__}: {error}")
        print(f"done   {test.__name__} ({time.monotonic() - start:.1f} s)", flush=True)

    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
        list(threads.map(run, [t for t in tests
                               if not words or any(word in t.__name__ for word in words)]))
    finish()


_row_lock = threading.Lock()


def arrived(case, seen, store, dropped):
    """compare() and row() in one, for cases that run together."""
    with _row_lock:
        ok = compare(store, dropped)
        row(case, seen)
    return ok


def wait_until(true, timeout=10, interval=0.02):
    """Ask until it is true; the last answer."""
    end = time.monotonic() + timeout * SLOW
    while not (answer := true()) and time.monotonic() < end:
        time.sleep(interval)
    return answer


# --- directories, ports, processes ----------------------------------------------------------------

_running = []


def _end_all():
    for process in _running:
        if process.poll() is None:
            process.kill()
            process.wait()


def _on_sigterm(_number, _frame):
    sys.exit(143)


atexit.register(_end_all)
signal.signal(signal.SIGTERM, _on_sigterm)


def start_process(command, **more):
    """subprocess.Popen of something that never outlives the script."""
    process = subprocess.Popen(command, **more)
    _running.append(process)
    return process


class scratch_dir:
    """A directory that is gone after the with block."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="spoolgate-e2e-")
        atexit.register(shutil.rmtree, self.path, ignore_errors=True)
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


_ports = []


def free_port():
    """A port of 127.0.0.1 that nobody else gets until this script ends, also while nobody listens on
    it: below those that the kernel gives out, and held against other scripts by the name of a socket."""
    while True:
        port, held = random.randrange(20000, 32000), socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0spoolgate-port-{port}")
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            held.close()
            continue
        _ports.append(held)
        return port


def clean_environment(**more):
    """The environment without the caller's accounts, proxies and configuration; nor is the network
    asked whether this is an EC2 instance, which takes a second."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(("AWS_", "MINIO_", "SPOOLGATE_")) and not k.lower().endswith("_proxy")}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", **more}


def _preloaded(directory, name):
    """tests/tools/NAME.c as a library that a gateway with this environment loads first."""
    library = os.path.join(directory, f"{name}.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library,
                    os.path.join(REPOSITORY, f"tests/tools/{name}.c"), "-ldl"], check=True)
    return {"LD_PRELOAD": library}


def deaf_environment(directory, flag=None):
    """The environment of a gateway that inotify tells nothing; with a flag only while that file is
    there. See tests/tools/deaf.c."""
    return {**_preloaded(directory, "deaf"), **({"DEAF": flag} if flag else {})}


def slow_disk_environment(directory):
    """The environment of a gateway whose records take half a second. See tests/tools/slow_sync.c."""
    return _preloaded(directory, "slow_sync")


def slow_read_environment(directory, flag):
    """The environment of a gateway that reads large files slowly while that file is there. See
    tests/tools/slow_read.c."""
    return {**_preloaded(directory, "slow_read"), "SLOW_READ": flag}


def no_read_environment(directory, flag):
    """The environment of a gateway that cannot read files while that file is there. See
    tests/tools/no_read.c."""
    return {**_preloaded(directory, "no_read"), "NO_READ": flag}


def shift_clock(directory, seconds):
    """Now so far ahead, or behind: see shifted_clock."""
    path = os.path.join(directory, "ahead")
    with open(path, "r+b" if os.path.exists(path) else "wb") as file:
        file.write(struct.pack("q", seconds))


def shifted_clock(directory, seconds):
    """The environment of a gateway whose clock is so far ahead until shift_clock says otherwise."""
    shift_clock(directory, seconds)
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"  # ours comes first
    return {**_preloaded(directory, "clock"), "CLOCK_AHEAD": os.path.join(directory, "ahead"),
            "ASAN_OPTIONS": sanitizer.lstrip(":")}


def stop_process(process, timeout=20):
    """SIGTERM, and SIGKILL when that was not enough. The exit status; negative: the signal."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process in _running:
        _running.remove(process)
    return process.returncode


# --- stores ---------------------------------------------------------------------------------------


_boto3_lock = threading.Lock()


class Store:
    """What every store has: url, port, bucket, region, access_key, secret_key; a with statement
    starts and stops it."""

    name = ""
    enforces_acl = False  # does it refuse a write without the ACL, and tell grants?
    bucket, region = BUCKET, REGION
    access_key, secret_key = "devstore", "devstore-secret"

    def s3(self, **more):
        """A boto3 client, signed strictly."""
        import boto3
        from botocore.config import Config
        options = {"s3": {"addressing_style": "path", "payload_signing_enabled": True},
                   "retries": {"max_attempts": 0}, "max_pool_connections": 16}
        try:  # botocore from 1.36 on adds CRC32 trailers unless told otherwise
            config = Config(request_checksum_calculation="when_required",
                            response_checksum_validation="when_required", **options)
        except TypeError:
            config = Config(**options)
        with _boto3_lock:  # its default session is one thread's at a time
            return boto3.client("s3", endpoint_url=self.url, region_name=self.region, config=config,
                                aws_access_key_id=self.access_key,
                                aws_secret_access_key=self.secret_key, **more)

    def list(self):
        """{key: size} as the store lists it."""
        pages = self.s3().get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {o["Key"]: o["Size"] for page in pages for o in page.get("Contents", [])}

    def objects(self):
        """{key: (size, sha256)} of the bytes that a reader gets."""
        s3 = self.s3()

        def digest(item):
            body = s3.get_object(Bucket=self.bucket, Key=item[0])["Body"]
            sha256 = hashlib.sha256()
            for piece in body.iter_chunks(1 << 20):
                sha256.update(piece)
            return item[0], (item[1], sha256.hexdigest())

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            return dict(threads.map(digest, self.list().items()))

    def grants(self, key):
        """{(who, permission)}; who is DisplayName or ID."""
        acl = self.s3().get_object_acl(Bucket=self.bucket, Key=key)
        return {(g["Grantee"].get("DisplayName") or g["Grantee"].get("ID", ""), g["Permission"])
                for g in acl["Grants"]}

    def admin_client(self):
        return self.s3()

    def make_bucket(self):
        """MinIO says that it is ready a little before it is."""
        def made():
            try:
                self.admin_client().create_bucket(
                    Bucket=self.bucket,
                    CreateBucketConfiguration={"LocationConstraint": self.region})
            except Exception as error:
                if "NotInitialized" not in str(error):
                    raise
                return False
            return True
        if not wait_until(made, 30, 0.1):
            raise RuntimeError(f"{self.name} does not make a bucket")


class Devstore(Store):
    """A running devstore; `with Devstore("--count") as store:`. Without --dir or --count it keeps
    objects in a directory of its own. It may be killed and started again: with `port=`, or by
    kill() and start(), which keep port and directory."""

    name = "devstore"
    enforces_acl = True
    PROGRAM = os.environ.get("DEVSTORE_BIN") or os.path.join(BUILD, "tests/fakes/devstore/devstore")

    def __init__(self, *options, access_key="devstore", secret_key="devstore-secret", port=0):
        self.options = list(options)
        self.access_key, self.secret_key, self.port = access_key, secret_key, port
        self._dir = None
        self.process = None

    def __enter__(self):
        if "--dir" not in self.options and "--count" not in self.options:
            self._dir = scratch_dir()
            self.options += ["--dir", self._dir.__enter__()]
        return self.start()

    def start(self):
        self.port = self.port or free_port()
        self.process = start_process(
            [self.PROGRAM, "--access-key", self.access_key, "--secret-key", self.secret_key,
             "--port", str(self.port), *self.options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("devstore ready on "):
            raise RuntimeError("devstore did not start: " + self.process.stderr.read())
        self.port = int(line.rsplit(":", 1)[1])
        scheme = "https" if "--tls" in self.options else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.errors = self.process.communicate(timeout=20)[1]
        stop_process(self.process)
        if self._dir:
            self._dir.__exit__()

    def stop(self):
        """SIGTERM; start() brings it back."""
        stop_process(self.process)
        self.process.stdout.close()
        self.process.stderr.close()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def _admin(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, "/_devstore/" + path, body)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        if response.status != 200:
            raise RuntimeError(f"devstore {path}: {response.status} {text}")
        return text

    def stats(self):
        return json.loads(self._admin("GET", "stats"))

    def keys(self):
        """{key: (size, sha256, etag, acl, first_stored_ns)}; only plain http."""
        rows = (line.split("\t") for line in self._admin("GET", "keys").splitlines())
        return {r[0]: (int(r[1]), r[2], r[3], r[4], int(r[5])) for r in rows}

    def objects(self):
        """With --count what devstore knows of the bytes it has not kept."""
        if "--count" in self.options:
            return {key: row[:2] for key, row in self.keys().items()}
        return super().objects()

    def fault(self, spec):
        self._admin("POST", "fault", spec)

    def clear_faults(self):
        self._admin("DELETE", "fault")

    def reset(self):
        self._admin("POST", "reset")

    def make_bucket(self):
        """It is there from the start."""


def http_status(host, port, path, timeout=2):
    """Of a GET; 0: nobody answers."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


class _Daemon(Store):
    """A store that is somebody else's program, in a scratch directory, on a free port."""

    access_key, secret_key = "spoolgate-test", "spoolgate-test-secret"

    def command(self, directory):
        raise NotImplementedError

    def environment(self):
        return {}

    def ready(self):
        raise NotImplementedError

    def __init__(self):
        self._dir, self.port, self.process = scratch_dir(), 0, None

    def __enter__(self):
        self.directory = self._dir.__enter__()
        self.start()
        self.make_bucket()
        return self

    def start(self):
        for attempt in range(5):  # the port may be taken between asking and listening
            self.port = self.port if self.port and attempt == 0 else free_port()
            self.url = f"http://127.0.0.1:{self.port}"
            command = self.command(self.directory)
            if not os.access(command[0], os.X_OK):
                raise RuntimeError(f"{command[0]} is not there: contrib/minio-test/install gets it")
            with open(os.path.join(self.directory, "log"), "ab") as log:
                self.process = start_process(command, stdout=log, stderr=log,
                                             stdin=subprocess.DEVNULL,
                                             env=clean_environment(**self.environment()))
            if wait_until(lambda: self.process.poll() is not None or self.ready(), 30) and \
               self.process.poll() is None:
                return self
            stop_process(self.process)
        with open(os.path.join(self.directory, "log"), errors="replace") as log:
            raise RuntimeError(f"{self.name} did not start: {log.read()[-2000:]}")

    def _get(self, path):
        return http_status("127.0.0.1", self.port, path)

    def __exit__(self, *_):
        stop_process(self.process)
        self._dir.__exit__()

    def kill(self):
        self.process.kill()
        self.process.wait()


class Minio(_Daemon):
    """MinIO. It knows no ACLs: it takes the header and answers the same grants for everything."""

    name = "minio"

    def command(self, directory):
        return [os.path.join(CACHE, "bin/minio"), "server", "--quiet", "--anonymous", "--address",
                f"127.0.0.1:{self.port}", os.path.join(directory, "data")]

    def environment(self):
        return {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key,
                "MINIO_REGION": self.region, "MINIO_BROWSER": "off", "MINIO_UPDATE": "off",
                "HOME": self.directory}

    def ready(self):
        return self._get("/minio/health/ready") == 200

    def make_bucket(self):
        """Just after it calls itself ready it may not be so: XMinioServerNotInitialized."""
        from botocore.exceptions import ClientError

        def made():
            try:
                super(Minio, self).make_bucket()
            except ClientError as error:
                if "NotInitialized" not in str(error):
                    raise
                return False
            return True
        if not wait_until(made, 30, 0.1):
            raise RuntimeError("MinIO was not initialised in time")


class Versitygw(_Daemon):
    """The Versity gateway on a directory: another reading of S3, stricter in other places."""

    name = "versitygw"

    def command(self, directory):
        for name in ("data", "sidecar"):
            os.makedirs(os.path.join(directory, name), exist_ok=True)
        return [os.path.join(CACHE, "bin/versitygw"), "--access", self.access_key, "--secret",
                self.secret_key, "--region", self.region, "--port", f"127.0.0.1:{self.port}",
                "--quiet", "posix", "--sidecar", os.path.join(directory, "sidecar"),
                os.path.join(directory, "data")]

    def ready(self):
        return self._get("/") in (200, 403)


def store(*devstore_options):
    """The store that the run asks for; the options (default --require-acl) are for devstore."""
    name = os.environ.get("SPOOLGATE_STORE") or "devstore"
    if name == "devstore":
        return Devstore(*(devstore_options or ("--require-acl",)))
    return {"minio": Minio, "versitygw": Versitygw}[name]()


# --- the gateway ----------------------------------------------------------------------------------


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def _merge(into, more):
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value
    return into


class Gateway:
    """A gateway with a spool, state and configuration of its own.

    with Gateway(store, {"settle": "100ms"}) as gateway:   # started, ready, at the end stopped

    The dictionary is laid over the configuration. env adds to its environment (None as a value
    takes away). At the end it must have stopped in order (counted as checks); a test that ends it
    by kill() or stop() is not asked again. directory: use this one, and leave it there.
    """

    def __init__(self, store, config=None, *, env=None, directory=None, start=True):
        self.store, self._start = store, start
        self._own = None if directory else scratch_dir()
        self.directory = directory
        self._config, self._env = config or {}, env or {}
        self.process = None
        self.starts = 0

    def __enter__(self):
        self._failed_before = failed
        if self._own:
            self.directory = self._own.__enter__()
        self.root = os.path.join(self.directory, "spool")
        self.state = os.path.join(self.directory, "state")
        self.control = os.path.join(self.directory, "control.sock")
        self.config_path = os.path.join(self.directory, "spoolgate.json")
        self.log_path = os.path.join(self.directory, "gateway.log")
        os.makedirs(self.root, exist_ok=True)
        os.makedirs(self.state, exist_ok=True)
        self.config = {
            "spool": self.root, "state": self.state, "account_name": "prod",
            "bucket": {"arn": f"arn:aws:s3:::{self.store.bucket}", "region": self.store.region,
                       "endpoint": self.store.url, "path_style": True},
            "control": self.control}
        self.configure(self._config)
        if self._start:
            self.start()
        return self

    def __exit__(self, kind, *_):
        if self.process and self.process.poll() is None:
            check_equal(self.stop(), 0, "exit status of spoolgate run after SIGTERM")
        log = self.log()
        for word in ("Sanitizer:", "runtime error:", "BUG:"):
            check(word not in log, f"{word} in the gateway's log")
        if failed > self._failed_before or kind:
            print("the end of the gateway's log:")
            print("    " + "\n    ".join(log.splitlines()[-40:]), flush=True)
        if self._own:
            self._own.__exit__()

    def configure(self, more):
        """Lay `more` over the configuration and write the file. A running gateway wants reload()."""
        _merge(self.config, json.loads(json.dumps(more)))  # a copy: others share the caller's
        with open(self.config_path + ".new", "w") as file:
            json.dump(self.config, file, indent=4)
        os.replace(self.config_path + ".new", self.config_path)

    def environment(self):
        env = clean_environment(AWS_ACCESS_KEY_ID=self.store.access_key,
                                AWS_SECRET_ACCESS_KEY=self.store.secret_key, HOME=self.directory)
        env.update(self._env)
        return {k: v for k, v in env.items() if v is not None}

    def start(self, ready=True):
        with open(self.log_path, "ab") as log:
            self.process = start_process([*WRAP, SPOOLGATE, "run", "-c", self.config_path],
                                         stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         env=self.environment(), cwd=self.directory)
        self.starts += 1
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=20):
        """Until it answers and has looked through the whole spool once."""
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"spoolgate run ended with {self.process.returncode}: "
                                   + self.log()[-2000:])
            try:
                return not self.status()["watcher"]["first_scan"]
            except OSError:
                return False
        if not wait_until(ready, timeout):
            raise RuntimeError("spoolgate run was not ready in time: " + self.log()[-2000:])

    def stop(self, timeout=20):
        """SIGTERM; the exit status (negative: it had to be killed)."""
        return stop_process(self.process, timeout)

    def kill(self):
        """kill -9; start() brings it back."""
        self.process.kill()
        stop_process(self.process)

    def restart(self):
        self.stop()
        return self.start()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def signal(self, number):
        self.process.send_signal(number)

    def log(self):
        try:
            with open(self.log_path, errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def api(self, method, path, body=None):
        """(HTTP status, JSON or text) of the control API."""
        connection = _UnixConnection(self.control, 20 * SLOW)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def status(self):
        return self.api("GET", "/v1/status")[1]

    def files(self, state=None):
        """{path: row} of what the gateway has in its care."""
        rows, cursor = {}, ""
        while True:
            query = "&".join(["limit=1000", *([f"state={state}"] if state else []),
                              *([f"cursor={cursor}"] if cursor else [])])
            page = self.api("GET", "/v1/files?" + query)[1]
            rows.update((row["path"], row) for row in page["files"])
            if not (cursor := http_quote(page.get("cursor") or "")):
                return rows

    def cli(self, *arguments, stdin=b"", timeout=60, env=None):
        """spoolgate ARGUMENTS -c CONFIG; returncode, stdout and stderr as text."""
        text = subprocess.run([SPOOLGATE, arguments[0], "-c", self.config_path, *arguments[1:]],
                              input=stdin, capture_output=True, timeout=timeout * SLOW,
                              env={**self.environment(), **(env or {})}, cwd=self.directory)
        text.stdout, text.stderr = (t.decode(errors="replace") for t in (text.stdout, text.stderr))
        return text

    def cli_json(self, *arguments, **more):
        """The JSON that `spoolgate ARGUMENTS --json` prints, one value or a list of lines."""
        out = self.cli(*arguments, "--json", **more).stdout
        try:
            return json.loads(out)
        except ValueError:
            return [json.loads(line) for line in out.splitlines()]

    def delivered(self):
        """Files delivered since this process started."""
        return self.status()["since_start"]["delivered_files"]

    def wait_delivered(self, count, timeout=30):
        """Until it has delivered so many since its start; counted as a check."""
        wait_until(lambda: self.delivered() >= count, timeout)
        return check_equal(self.delivered(), count, "files delivered since the start")

    def is_idle(self):
        status = self.status()
        files = status["files"]
        busy = sum(files[name] for name in ("settling", "accepted", "sending", "deferred"))
        return busy == 0 and not status["watcher"]["first_scan"] and not spooled(self.root)

    def wait_idle(self, timeout=30):
        """Until nothing is in the spool any more and nothing is on its way; counted as a check. Only
        with after_delivery delete or archive, and nothing held."""
        ok = wait_until(self.is_idle, timeout)
        return check(ok, "everything in the spool was delivered in time" + (
            "" if ok else f": {len(spooled(self.root))} files are left, status {self.status()['sentence']}"))

    def journal_verify(self):
        """Offline; the exit status is checked."""
        done = self.cli("journal", "verify")
        return check_equal((done.returncode, done.stderr), (0, ""), "spoolgate journal verify")


def http_quote(text):
    import urllib.parse
    return urllib.parse.quote(text, safe="")


# --- producers ------------------------------------------------------------------------------------


def key(event_type, name, date=None, account="111122223333"):
    """Panoptica/<event_type>/<date>/<account>/<name>; date: the day, in UTC, on which the script
    began."""
    return f"Panoptica/{event_type}/{date or TODAY}/{account}/{name}"


def event(number=0, size=0):
    """One line of newline-delimited JSON, of about `size` bytes at least."""
    row = {"id": f"evt-{number:08d}", "severity": "HIGH", "title": "Public storage bucket",
           "padding": "x" * max(0, size - 100)}
    return json.dumps(row).encode() + b"\n"


def spooled(root):
    """Paths of the files below root that are not the gateway's own."""
    found = []
    for directory, names, files in os.walk(root):
        if directory == root and ".spoolgate" in names:
            names.remove(".spoolgate")
        found += [os.path.relpath(os.path.join(directory, f), root) for f in files]
    return found


_proc_fd = None


def _open_files():
    global _proc_fd
    if _proc_fd is None:
        _proc_fd = os.open("/proc/self/fd", os.O_RDONLY)
    return _proc_fd


class Dropped(dict):
    """{path below the root: (size, sha256)} of what producers dropped, by the ways they have."""

    def add(self, path, data):
        self[path] = (len(data), hashlib.sha256(data).hexdigest())

    def _place(self, root, path, data):
        self.add(path, data)
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        return full

    def rename(self, root, path, data):
        """Written under a name that is ignored, then renamed."""
        full = self._place(root, path, data)
        # Threads may drop at once.
        hidden = os.path.join(os.path.dirname(full), f".{len(self)}.{threading.get_native_id()}.tmp")
        with open(hidden, "wb") as file:
            file.write(data)
        os.rename(hidden, full)

    def write(self, root, path, data, *, pieces=1, pause=0):
        """Written in place, in so many pieces."""
        full = self._place(root, path, data)
        step = -(-len(data) // pieces) or 1
        with open(full, "wb", buffering=0) as file:
            for at in range(0, len(data), step):
                file.write(data[at:at + step])
                time.sleep(pause)

    def link(self, root, path, data):
        """An unnamed file that is linked in when it is whole."""
        full = self._place(root, path, data)
        fd = os.open(os.path.dirname(full), os.O_TMPFILE | os.O_WRONLY, 0o644)
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            # With src_dir_fd Python asks linkat(2) to follow; without, it calls link(2).
            os.link(str(fd), full, src_dir_fd=_open_files(), follow_symlinks=True)

    def put(self, gateway, path, data, *options):
        """spoolgate put; its exit status is checked."""
        self.add(path, data)
        done = gateway.cli("put", path, *options, stdin=data)
        check_equal((done.returncode, done.stderr), (0, ""), f"spoolgate put {path}")
        return done

    def mix(self, gateway, count, seed=1, shapes="mixed"):
        """`count` believable files from make_events, in every way in turn."""
        sys.path.insert(0, os.path.join(REPOSITORY, "tests/tools"))
        import make_events
        for number, item in enumerate(make_events.plan(count, seed, shapes)):
            data = item.data()
            if number % 20 == 19:
                self.put(gateway, item.path, data)
            else:
                (self.rename, self.write, self.link)[number % 3](gateway.root, item.path, data)


def sha256_file(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def compare(store, dropped, prefix=""):
    """Every dropped file arrived under its key with its bytes, and nothing else did; one check a
    fact. On a store that tells: with the ACL."""
    got = store.objects()
    want = {prefix + path: row for path, row in dropped.items()}
    missing, extra = sorted(want.keys() - got.keys()), sorted(got.keys() - want.keys())
    differing = sorted(k for k in want.keys() & got.keys() if got[k] != want[k])
    _compared[0] += len(missing)
    _compared[1] += len(differing)
    ok = check(not missing, f"{len(missing)} of {len(want)} files are missing: {missing[:3]}")
    ok &= check(not extra, f"{len(extra)} objects that nobody dropped: {extra[:3]}")
    ok &= check(not differing, f"{len(differing)} objects with other bytes: {differing[:3]}")
    if isinstance(store, Devstore):
        bare = sorted(k for k, row in store.keys().items() if row[3] != ACL)
        ok &= check(not bare, f"{len(bare)} objects without the ACL: {bare[:3]}")
    return ok
