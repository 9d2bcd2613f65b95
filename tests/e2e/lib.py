"""What the end-to-end scripts share: checks that count, programs that are started and stopped.

A script is run with the build directory as its first argument (build/dev below the repository if
it is left out). Its last line is "N passed, N failed"; it exits 1 if anything failed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.path.join(REPOSITORY, "build/dev")

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


def finish():
    """The last line, and the exit status."""
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def wait_until(true, timeout=10, interval=0.02):
    """Ask until it is true; the last answer."""
    end = time.monotonic() + timeout
    while not (answer := true()) and time.monotonic() < end:
        time.sleep(interval)
    return answer


class scratch_dir:
    """A directory that is gone after the with block."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="spoolgate-e2e-")
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


class Devstore:
    """A running devstore; `with Devstore("--count") as store:`."""

    PROGRAM = os.path.join(BUILD, "tests/fakes/devstore/devstore")

    def __init__(self, *options, access_key="devstore", secret_key="devstore-secret"):
        self.options = list(options)
        self.access_key, self.secret_key = access_key, secret_key

    def __enter__(self):
        self.process = subprocess.Popen(
            [self.PROGRAM, "--access-key", self.access_key, "--secret-key", self.secret_key,
             *self.options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
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

    def kill(self):
        self.process.kill()
        self.process.wait()

    def _admin(self, method, path, body=None):
        import http.client
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, "/_devstore/" + path, body)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        if response.status != 200:
            raise RuntimeError(f"devstore {path}: {response.status} {text}")
        return text

    def stats(self):
        import json
        return json.loads(self._admin("GET", "stats"))

    def keys(self):
        """{key: (size, sha256, etag, acl, first_stored_ns)}; only plain http."""
        rows = (line.split("\t") for line in self._admin("GET", "keys").splitlines())
        return {r[0]: (int(r[1]), r[2], r[3], r[4], int(r[5])) for r in rows}

    def fault(self, spec):
        self._admin("POST", "fault", spec)

    def clear_faults(self):
        self._admin("DELETE", "fault")

    def reset(self):
        self._admin("POST", "reset")
