#!/usr/bin/python3
"""`spoolgate setup`: unattended by flags, and by a person at a terminal (a pseudo-terminal here), from
nothing to a tested and saved configuration; and what it refuses.
"""
# run-on: devstore minio
# also-under: asan
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

ROLE = "arn:aws:iam::111122223333:role/panoptica-customer"


class Terminal:
    """A program at a terminal of 80 x 24: what it shows, without colours and cursor movement."""

    def __init__(self, arguments, env, cwd):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execve(SPOOLGATE, [SPOOLGATE, *arguments], {**env, "TERM": "xterm"})
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.shown, self.seen = "", 0

    def read(self, wait):
        if not select.select([self.fd], [], [], wait)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", data.decode(errors="replace"))
        return bool(data)

    def expect(self, text, timeout=20):
        """Wait for it behind what was expected before; counted as a check."""
        end = time.monotonic() + timeout * SLOW
        while text not in self.shown[self.seen:] and time.monotonic() < end:
            self.read(0.1)
        at = self.shown.find(text, self.seen)
        if not check(at >= 0, f"the terminal shows {text!r}: {self.shown[self.seen:]!r}"):
            raise RuntimeError("the terminal showed something else")
        self.seen = at + len(text)

    def type(self, text):
        os.write(self.fd, text.encode())
        time.sleep(0.15)
        self.read(0.05)

    def cooked(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ICANON)

    def end(self, timeout=20):
        """Its exit status."""
        limit = time.monotonic() + timeout * SLOW
        while time.monotonic() < limit:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                while self.read(0):
                    pass
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        return None


class Place:
    """A directory with an empty configuration, and AWS files of three profiles."""

    def __enter__(self):
        self._dir = scratch_dir()
        self.directory = self._dir.__enter__()
        self.config = os.path.join(self.directory, "spoolgate.json")
        for name in ("spool", "state", ".aws"):
            os.mkdir(os.path.join(self.directory, name))
        with open(os.path.join(self.directory, ".aws/config"), "w") as file:
            file.write(f"[default]\nregion = eu-central-1\n[profile acme-production]\nrole_arn = {ROLE}\n"
                       "source_profile = default\n[profile acme-staging]\nsso_account_id = 444455556666\n")
        return self

    def __exit__(self, *_):
        self._dir.__exit__()

    def paths(self):
        return ["--spool", f"{self.directory}/spool", "--state", f"{self.directory}/state",
                "--control", f"{self.directory}/control.sock"]

    def env(self, bucket):
        return clean_environment(AWS_ACCESS_KEY_ID=bucket.access_key,
                                 AWS_SECRET_ACCESS_KEY=bucket.secret_key, HOME=self.directory)

    def run(self, bucket, *arguments):
        done = subprocess.run([SPOOLGATE, "setup", "-c", self.config, *arguments], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60 * SLOW,
                              env=self.env(bucket), cwd=self.directory)
        check("\x1b" not in done.stdout + done.stderr, "a pipe gets no escape sequences")
        return done

    def saved(self):
        try:
            with open(self.config) as file:
                return json.load(file)
        except FileNotFoundError:
            return None


def to(bucket):
    return ["--endpoint", bucket.url, "--path-style"]


def unattended():
    with store("--require-acl") as bucket, Place() as place:
        arn = f"arn:aws:s3:::{bucket.bucket}"
        basics = ["--account", "prod", "--bucket-arn", arn, "--keys-as-they-are", *to(bucket)]
        done = place.run(bucket, *basics, *place.paths())
        check_equal(done.returncode, 0, f"setup by flags: {done.stderr}")
        check("The test message arrived" in done.stdout, f"it says so: {done.stdout}")
        saved = place.saved()
        check_equal((saved["account_name"], saved["bucket"]["arn"], saved["bucket"]["region"]),
                    ("prod", arn, bucket.region), "what was saved; the region was asked of the store")
        check_equal(os.stat(place.config).st_mode & 0o777, 0o644, "the file's mode")
        check_equal(len(bucket.objects()), 1, "test messages in the bucket")

        saved["uploads"] = 7
        saved["bucket"]["acl"] = "bucket-owner-full-control"
        with open(place.config, "w") as file:
            json.dump(saved, file)
        done = place.run(bucket, "--account", "another", "--yes")
        check_equal(done.returncode, 0, f"again, with another account: {done.stderr}")
        check_equal(place.saved(), {**saved, "account_name": "another"}, "the rest stays as it was")
        check_equal(len(bucket.objects()), 2, "saving sent a test message again")

        done = place.run(bucket, "--bucket-arn", "arn:aws:s3:::a-second-bucket")
        check_equal(done.returncode, 100, "a second bucket")
        check("one installation serves one bucket" in done.stderr and "second instance" in done.stderr,
              f"the sentence: {done.stderr}")
        check_equal(place.saved()["bucket"]["arn"], arn, "it stays with the first one")
        facts = json.loads(place.run(bucket, "--json").stdout)
        check(facts["saved"] and facts["test"]["arrived"], f"--json: {facts}")


def tags():
    """The usual policy allows none: with tags it is the one of what this configuration needs."""
    with Devstore() as bucket, Place() as place:
        with open(place.config, "w") as file:
            json.dump({"bucket": {"tags": {"team": "siem"}}}, file)
        done = place.run(bucket, "--account", "prod", "--bucket-arn", f"arn:aws:s3:::{bucket.bucket}", "--region",
                         bucket.region, "--role", ROLE, "--save-anyway", *to(bucket), *place.paths())
        printed = done.stdout.partition("\n}\n")[0] + "\n}\n"
        minimal = subprocess.run([SPOOLGATE, "policy", "generate", "--minimal", "-c", place.config], text=True,
                                 capture_output=True, env=place.env(bucket)).stdout
        check("s3:PutObjectTagging" in printed, f"the policy allows tags: {done.stdout} {done.stderr}")
        check_equal(printed, minimal, "it is that of policy generate --minimal")


def refusals():
    with store("--require-acl") as bucket, Place() as place:
        arn = f"arn:aws:s3:::{bucket.bucket}"
        for arguments, word in (([], "--account"), (["--account", "prod"], "--bucket-arn"),
                                (["--account", "a/b", "--bucket-arn", arn, "--region", "eu-central-1"],
                                 "$.account_name"),
                                (["--account", "prod", "--bucket-arn", "customer", "--region", "x"],
                                 "$.bucket.arn"),
                                (["--wrong"], "--help"), (["extra"], "takes no arguments")):
            done = place.run(bucket, *arguments)
            check_equal(done.returncode, 100, f"setup {arguments}")
            check(word in done.stderr, f"setup {arguments} says {word}: {done.stderr}")
        check(place.saved() is None, "nothing was saved")

        basics = ["--account", "prod", "--bucket-arn", arn, "--region", bucket.region,
                  "--keys-as-they-are", "--endpoint", f"http://127.0.0.1:{free_port()}",
                  *place.paths()]
        done = place.run(bucket, *basics)
        check_equal(done.returncode, 1, "a test that fails")
        check("nothing was saved" in done.stderr and place.saved() is None, f"is not saved: {done.stderr}")
        done = place.run(bucket, *basics, "--save-anyway")
        check_equal(done.returncode, 1, "--save-anyway says that the test failed")
        check(place.saved() is not None, "and saves")

        with open(place.config, "w") as file:
            file.write('{"spool": ')
        done = place.run(bucket)
        check_equal(done.returncode, 100, "a broken file")
        check("is no configuration" in done.stderr, f"says so: {done.stderr}")
        with open(place.config) as file:
            check_equal(file.read(), '{"spool": ', "and leaves it alone")


def a_role_of_another_makers_store():
    """Of which AWS's policy language has no name: the test goes on, and what was asked for is saved."""
    with store("--require-acl") as bucket, Place() as place:
        role, sts = "arn:aws:iam:::role/panoptica", f"http://127.0.0.1:{free_port()}"
        with open(place.config, "w") as file:
            json.dump({"credentials": {"assume_role": {"arn": role, "endpoint": sts}}}, file)
        done = place.run(bucket, "--account", "prod", "--bucket-arn", f"arn:aws:s3:::{bucket.bucket}", "--region",
                         bucket.region, "--save-anyway", *to(bucket), *place.paths())
        check("policy cannot be told here" in done.stderr and role in done.stderr, f"it is said: {done.stderr}")
        check(done.returncode != 100 and sts in done.stderr, f"the role was asked for: {done.returncode} {done.stderr}")
        check_equal((place.saved().get("account_name"), place.saved()["credentials"]["assume_role"]["arn"]),
                    ("prod", role), "what was saved")


def at_a_terminal():
    with store("--require-acl") as bucket, Place() as place:
        terminal = Terminal(["setup", "-c", place.config, *to(bucket), *place.paths()],
                            place.env(bucket), place.directory)
        terminal.expect("acme-production")  # the list stands below, and is drawn first
        terminal.expect("acme-staging")
        terminal.expect("AWS account name:")
        terminal.type("STAG")
        terminal.expect("> acme-staging")
        check("acme-production" not in terminal.shown[terminal.seen:], "typing narrows the list")
        terminal.type("\x15")  # erase the line
        terminal.type("acme-p")
        terminal.type("\r")
        terminal.expect("AWS account name: acme-production")
        terminal.expect(ROLE)
        terminal.expect("role to assume")
        terminal.type("none\r")
        terminal.expect(f"arn:aws:s3:::{bucket.bucket}")  # as the store lists them
        terminal.expect("S3 bucket ARN:")
        terminal.type(bucket.bucket[:5] + "\r")
        terminal.expect(f"S3 bucket ARN: arn:aws:s3:::{bucket.bucket}")
        terminal.expect("Press Enter")
        check(place.saved() is None, "nothing is saved before the test")
        terminal.type("\r")
        terminal.expect("The test message arrived")
        terminal.expect("Saved in")
        check_equal(terminal.end(), 0, "exit status")
        saved = place.saved()
        check_equal((saved["account_name"], saved["bucket"]["arn"]),
                    ("acme-production", f"arn:aws:s3:::{bucket.bucket}"), "what was saved")
        check("credentials" not in saved, "no role: the keys as they are")

        # Everything is preset now: Enter is enough. The policy is shown where a role is named.
        terminal = Terminal(["setup", "-c", place.config], place.env(bucket), place.directory)
        terminal.expect("[acme-production]")
        terminal.type("\x1b[A\x1b[B")  # up to the list and back to what is preset
        terminal.type("\r")
        terminal.expect("[none]")
        terminal.type("\r")
        terminal.expect(f"[arn:aws:s3:::{bucket.bucket}]")
        terminal.type("\r")
        terminal.expect("Press Enter")
        terminal.type("\x03")
        terminal.expect("nothing was changed")
        check_equal(terminal.end(), 1, "exit status after Ctrl-C")
        check_equal(place.saved(), saved, "nothing was changed")

        # Roles assumed one after the other are not asked for, so that Enter does not lose them.
        saved["credentials"] = {"assume_role": [{"arn": ROLE}, {"arn": ROLE + "-second"}]}
        with open(place.config, "w") as file:
            json.dump(saved, file)
        terminal = Terminal(["setup", "-c", place.config, "--account", "acme-production",
                             "--bucket-arn", saved["bucket"]["arn"], "--region", bucket.region],
                            place.env(bucket), place.directory)
        terminal.expect('"Principal"')
        terminal.expect(ROLE + "-second")  # the one that writes
        terminal.expect("Press Enter")
        check("role to assume" not in terminal.shown, terminal.shown)
        terminal.type("\x03")
        terminal.expect("nothing was changed")
        check_equal(terminal.end(), 1, "exit status after Ctrl-C")


def a_signal_restores_the_terminal():
    with store("--require-acl") as bucket, Place() as place:
        terminal = Terminal(["setup", "-c", place.config, *to(bucket), *place.paths()],
                            place.env(bucket), place.directory)
        terminal.expect("AWS account name:")
        check(not terminal.cooked(), "the terminal is raw while it asks")
        os.kill(terminal.pid, 15)
        check(wait_until(terminal.cooked, 5), "and as it was after SIGTERM")
        check_equal(terminal.end(), -15, "ended by the signal")


def a_terminal_where_it_fails():
    with store("--require-acl") as bucket, Place() as place:
        nobody = {**place.env(bucket), "AWS_SECRET_ACCESS_KEY": "wrong-secret-of-somebody"}
        terminal = Terminal(["setup", "-c", place.config, "--account", "prod", "--keys-as-they-are",
                             "--bucket-arn", f"arn:aws:s3:::{bucket.bucket}", "--region",
                             bucket.region, "--yes", *to(bucket), *place.paths()], nobody,
                            place.directory)
        terminal.expect("SignatureDoesNotMatch")
        terminal.expect("[R]etry")
        check(terminal.cooked() is False, "it waits for a key")
        terminal.type("x")  # no answer to that question
        terminal.type("r")
        terminal.expect("SignatureDoesNotMatch")
        terminal.expect("[R]etry")
        terminal.type("q")
        terminal.expect("nothing was saved")
        check_equal(terminal.end(), 1, "exit status")
        check(place.saved() is None, "nothing was saved")

        policy = Terminal(["setup", "-c", place.config, "--account", "prod", "--role", ROLE,
                           "--external-id", "42", "--bucket-arn", f"arn:aws:s3:::{bucket.bucket}",
                           "--region", bucket.region, *to(bucket), *place.paths()],
                          place.env(bucket), place.directory)
        policy.expect('"Principal"')
        policy.expect(ROLE)
        policy.expect("Permissions")
        policy.expect("Save changes")
        policy.expect("Press Enter")
        policy.type("\x04")
        policy.expect("nothing was changed")
        check_equal(policy.end(), 1, "exit status")


run_tests([unattended, tags, refusals, a_role_of_another_makers_store, at_a_terminal,
           a_signal_restores_the_terminal, a_terminal_where_it_fails])
