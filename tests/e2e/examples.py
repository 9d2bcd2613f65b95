#!/usr/bin/python3
"""Every example of README.md, docs/ and the man pages is run as it stands, against devstore and a
gateway; only the paths of the packaged set-up and the store's address are mapped into a scratch directory.

An example is a fenced block of a page in Markdown, whose language says what to do with it (sh, python,
java, c: run; json: a configuration, a part of one, or a statement of a policy; text, ini: shown only),
or a literal block in the section EXAMPLES of a man page (sh, or JSON). What cannot be run here is in
NOT_RUN, with the reason. What has to be there before is in PREPARED. Entries that no example needs any
more are failures, and so is an example that nothing says how to run."""

import datetime
import glob
import http.server
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

ROLE = "arn:aws:iam::111122223333:role/panoptica-customer"
FILE = "Panoptica/findings/2026-11-23/prod/f-1.json"
SECRET = "theSecretBehindAllOthers0123456789"
REFUSING = "op=PutObject,status=503,code=SlowDown"
LANGUAGES = {"sh", "python", "java", "c", "json", "text", "ini"}

# (document, how the example begins): why not
NOT_RUN = {
    ("README.md", "./quickstart"): "the part quickstart of the test run runs it; run-tests is what runs this",
    ("README.md", "apt install"): "changes the machine's users and services: the package's own tests do it",
    ("README.md", "install -d"): "changes the machine's users and services: the package's own tests do it",
    ("docs/operations.md", "contrib/install-deps"): "installs into /usr: the package's build does the same",
    ("docs/operations.md", "systemd-sysusers"): "changes the machine's users and services",
    ("docs/operations.md", "useradd"): "changes the machine's users",
}

# What no example does that is run here, where it may be root that runs it.
OF_THE_MACHINE = re.compile(r"\b(sudo|apt|apt-get|dpkg|useradd|groupadd|usermod|adduser|install|setfacl|chown|"
                            r"cmake|ninja|mount|sysctl|systemd-\w+|systemctl (?!reload spoolgate$))\b", re.M)


class Example:
    def __init__(self, document, line, language, text):
        self.document, self.line, self.language, self.text = document, line, language, text
        self.name = f"{document}:{line}"

    def is_that(self, entry):
        return self.document == entry[0] and self.text.startswith(entry[1])


def of_markdown(name, text):
    for block in re.finditer(r"^```(\S*)\n(.*?)^```$", text, re.M | re.S):
        yield Example(name, text.count("\n", 0, block.start()) + 1, block[1], block[2])


def of_manual(name, text):
    start = text.find("\n.Sh EXAMPLES\n")
    end = text.find("\n.Sh ", start + 1) if start >= 0 else start
    for block in re.finditer(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", text[:end], re.M | re.S):
        if block.start() < start:
            continue
        shown = block[1].replace(r"\e", "\\").replace(r"\(dq", '"').replace(r"\-", "-").replace(r"\&", "")
        yield Example(name, text.count("\n", 0, block.start()) + 1, "json" if shown.startswith("{") else "sh", shown)


def examples():
    for path in ["README.md", *sorted(glob.glob("docs/*.md", root_dir=REPOSITORY)),
                 *sorted(glob.glob("docs/man/*", root_dir=REPOSITORY))]:
        with open(os.path.join(REPOSITORY, path), encoding="utf-8") as file:
            yield from (of_markdown if path.endswith(".md") else of_manual)(path, file.read())


# --- what stands in for AWS -----------------------------------------------------------------------

AWS = """#!/bin/sh -e
# The two commands of the AWS tools that examples name, on a file in place of a bucket.
case "$*" in
's3api get-bucket-policy --bucket customer-siem --query Policy --output text') cat "$EXAMPLES_POLICY" ;;
's3api put-bucket-policy --bucket customer-siem --policy file://'*)
    python3 -m json.tool "${6#file://}" >/dev/null
    cat "${6#file://}" >"$EXAMPLES_POLICY" ;;
*) echo "aws: unexpected: $*" >&2; exit 2 ;;
esac
"""
SYSTEMCTL = """#!/bin/sh -e
[ "$*" = 'reload spoolgate' ] || { echo "systemctl: unexpected: $*" >&2; exit 2; }
kill -HUP "$EXAMPLES_GATEWAY"
"""
JOURNALCTL = """#!/bin/sh -e
# Of an empty journal: what remains is whether it understands its arguments.
[ ! -x /usr/bin/journalctl ] || exec /usr/bin/journalctl --directory="$HOME" "$@"
"""


class Sts(http.server.BaseHTTPRequestHandler):
    """Keys for any role, such as devstore --session-keys takes."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        expires = int(time.time()) + 3600
        name = f"ASIAROLE{os.urandom(4).hex().upper()}.{expires}"
        until = datetime.datetime.fromtimestamp(expires, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = (f'<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
                f'<AccessKeyId>{name}</AccessKeyId><SecretAccessKey>{SECRET}/{name}</SecretAccessKey><SessionToken>'
                f'token-{name}</SessionToken><Expiration>{until}</Expiration></Credentials></AssumeRoleResult>'
                f'</AssumeRoleResponse>').encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# --- running one ----------------------------------------------------------------------------------


class Place:
    """Store, gateway and the programs that examples name."""

    def __init__(self, bucket, gateway, directory, sts):
        self.bucket, self.gateway, self.directory, self.count = bucket, gateway, directory, 0
        self.programs = os.path.join(directory, "bin")
        os.mkdir(self.programs)
        os.symlink(SPOOLGATE, os.path.join(self.programs, "spoolgate"))
        os.symlink("/usr/bin/python3", os.path.join(self.programs, "python3"))
        for name, text in (("aws", AWS), ("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)):
            with open(os.path.join(self.programs, name), "w") as file:
                file.write(text)
            os.chmod(file.name, 0o755)
        self.policy = os.path.join(directory, "policy.json")
        self.environment = {**gateway.environment(), "SPOOLGATE_CONFIG": gateway.config_path,
                            "PATH": f"{self.programs}:{os.environ['PATH']}", "EXAMPLES_POLICY": self.policy,
                            "EXAMPLES_GATEWAY": str(gateway.process.pid), "AWS_ENDPOINT_URL_STS": sts}
        self.config = json.dumps(gateway.config)

    def mapped(self, text):
        gateway = self.gateway
        for there, here in (("/etc/spoolgate/spoolgate.json", gateway.config_path),
                            ("/run/spoolgate/control.sock", gateway.control),
                            ("/var/spool/spoolgate", gateway.root), ("/var/lib/spoolgate", gateway.state),
                            ("https://store.example:9000", self.bucket.url)):
            text = text.replace(there, here)
        return text

    def run(self, command, cwd, stdin=None):
        done = subprocess.run(command, cwd=cwd, env=self.environment, input=stdin, capture_output=True, text=True,
                              timeout=120 * SLOW, start_new_session=True)
        return done.returncode, done.stdout + done.stderr

    def fresh(self):
        """A working directory, and the configuration as it was."""
        self.count += 1
        cwd = os.path.join(self.directory, f"at-{self.count}")
        os.mkdir(cwd)
        self.gateway.config = json.loads(self.config)
        self.gateway.configure({})
        os.symlink(self.gateway.config_path, os.path.join(cwd, "spoolgate.json"))
        return cwd

    def check_json(self, text, cwd):
        """A whole configuration, members of one, or a statement of a policy."""
        value = json.loads(text if text.startswith("{") else "{" + text + "}")
        if "Effect" in value:
            path = os.path.join(cwd, "policy.json")
            allowed = {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": ["s3:PutObject", "s3:PutObjectAcl"],
                       "Resource": "arn:aws:s3:::customer-siem/*"}
            with open(path, "w") as file:
                json.dump({"Version": "2012-10-17", "Statement": [allowed, value]}, file)
            ours = ["--role", ROLE, "--bucket-arn", "arn:aws:s3:::customer-siem"]
            status, said = self.run(["spoolgate", "policy", "check", path, *ours], cwd)
            refused, more = self.run(["spoolgate", "policy", "check", path, *ours, "--acl", "none"], cwd)
            return (0, "") if (status, refused) == (0, 1) else (status or 1, said + more)
        if "spool" not in value:
            value = {"spool": "/var/spool/spoolgate", "state": "/var/lib/spoolgate", "account_name": "prod",
                     "bucket": {"arn": "arn:aws:s3:::customer-siem", "region": "eu-central-1"}, **value}
        path = os.path.join(cwd, "c.json")
        with open(path, "w") as file:
            json.dump(value, file)
        return self.run(["spoolgate", "config", "check", "-c", path], cwd)

    def clear(self, example):
        """What was held, refused or forgotten goes on its way, so that the next begins with nothing."""
        self.bucket.clear_faults()
        if not spooled(self.gateway.root):
            return
        for verb in (["release", "--all", "--yes"], ["retry", "--state", "forgotten"], ["retry", "--all"]):
            self.gateway.cli(*verb)
        wait_until(lambda: not spooled(self.gateway.root), 10)
        for left in spooled(self.gateway.root):
            check(False, f"{example.name} left {left} in the spool")
            os.unlink(os.path.join(self.gateway.root, left))

    def execute(self, example):
        """(exit status, what it said)"""
        cwd, text = self.fresh(), example.text
        if example.language == "json":
            return self.check_json(text, cwd)
        for entry, prepare in PREPARED.items():
            if example.is_that(entry) and prepare:
                prepare(self)
        text = self.mapped(text)
        if example.text.startswith("spoolgate run "):
            return self.run_a_gateway(text, cwd)
        if example.text.startswith("curl -sN "):
            return self.run_a_stream(text, cwd)
        if example.language == "sh":
            return self.run(["bash", "-euo", "pipefail", "-c", text], cwd)
        name = {"python": "example.py", "java": "Deliver.java", "c": "example.c"}[example.language]
        with open(os.path.join(cwd, name), "w") as file:
            file.write(text)
        if example.language == "c":
            built = self.run(["cc", "-std=c11", "-D_DEFAULT_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-o",
                              "example", name], cwd)
            return built if built[0] else self.run(["./example"], cwd)
        return self.run([{"python": "/usr/bin/python3", "java": "java"}[example.language], name], cwd)

    def run_a_stream(self, text, cwd):
        """Until its first event; it has no end."""
        process = start_process(["bash", "-c", "exec " + text], cwd=cwd, env=self.environment, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        first = process.stdout.readline()
        process.stdout.close()
        stop_process(process)
        return (0, "") if first.startswith("event: ") else (1, f"it began with {first!r}")

    def run_a_gateway(self, text, cwd):
        """Until it answers, then SIGTERM; the one that all others ask is away meanwhile."""
        self.gateway.stop()
        process = start_process(["bash", "-c", "exec " + text], cwd=cwd, env=self.environment,
                                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        answers = wait_until(lambda: self.run(["spoolgate", "status"], cwd)[0] == 0, 20)
        status = stop_process(process)
        self.gateway.start()
        self.environment["EXAMPLES_GATEWAY"] = str(self.gateway.process.pid)
        return (status, "") if answers else (1, "it did not answer")


# --- what has to be there before ------------------------------------------------------------------


def state_of(place, path):
    return place.gateway.files().get(path, {}).get("state")


def delivered(place):
    done = place.gateway.cli("put", FILE, "--wait=30", stdin=b'{"id":1}\n')
    check(done.returncode in (0, 100), f"put before the example: {done.stderr}")


def rejected_and_mended(place):
    path = FILE
    Dropped().rename(place.gateway.root, path, b'{"id":1}')
    check(wait_until(lambda: state_of(place, path) == "rejected"), f"{path} is rejected")
    with open(os.path.join(place.gateway.root, ".spoolgate/rejected", path), "a") as file:
        file.write("\n")


def waiting(path):
    def prepare(place):
        place.bucket.fault(REFUSING)
        Dropped().rename(place.gateway.root, path, event())
        check(wait_until(lambda: state_of(place, path) in ("accepted", "deferred")), f"{path} waits")
    return prepare


def held(place):
    waiting("Panoptica/audit/2026-11-23/prod/held.json")(place)
    check_equal(place.gateway.cli("hold", "--all", "--yes").returncode, 0, "hold before the example")


def a_role_and_a_policy(place):
    """An owner's own statement with ours; the configuration has the role, and a store that speaks TLS."""
    place.gateway.configure({"credentials": {"assume_role": {"arn": ROLE}}, "bucket": {"endpoint": None}})
    theirs = {"Version": "2012-10-17", "Statement": [{
        "Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::customer-siem/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}
    with open(place.policy, "w") as file:
        json.dump(theirs, file)
    done = place.gateway.cli("policy", "merge", place.policy)
    check_equal(done.returncode, 0, f"merge before the example: {done.stderr}")
    with open(place.policy, "w") as file:
        file.write(done.stdout)


PREPARED = {
    ("docs/man/spoolgate-why.1", "spoolgate why"): delivered,
    ("docs/man/spoolgate-retry.1", "spoolgate retry Panoptica"): rejected_and_mended,
    ("docs/man/spoolgate-hold.1", "spoolgate hold 'Panoptica/audit"): waiting("Panoptica/audit/2026-11-23/prod/h.json"),
    ("docs/man/spoolgate-hold.1", "spoolgate hold --all"): waiting("Panoptica/audit/2026-11-23/prod/a.json"),
    ("docs/man/spoolgate-release.1", "spoolgate release"): held,
    ("docs/man/spoolgate-forget.1", "spoolgate forget"): waiting(FILE),
    ("docs/man/spoolgate-policy.1", "aws s3api"): a_role_and_a_policy,
    ("docs/man/spoolgate-policy.7", "aws s3api"): a_role_and_a_policy,
}


def every_example_runs():
    found = list(examples())
    known = True
    for what, entries in (("NOT_RUN", NOT_RUN), ("PREPARED", PREPARED)):
        for entry in entries:
            known &= check(any(e.is_that(entry) for e in found), f"{what} has an example that is not there: {entry}")
    for example in found:
        if example.language == "sh" and not any(example.is_that(entry) for entry in NOT_RUN):
            known &= check(not OF_THE_MACHINE.search(example.text),
                           f"{example.name} would change this machine: it belongs into NOT_RUN\n{example.text}")
    if not known:  # one that must not be run might be
        return
    with open("/proc/sys/kernel/hostname") as file:
        check(file.read().strip(), "this machine has a name")
    sts = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sts)
    threading.Thread(target=sts.serve_forever, daemon=True).start()
    ran, why_not = {}, []
    with Devstore("--require-acl", "--session-keys", secret_key=SECRET) as bucket, scratch_dir() as directory, \
            Gateway(bucket, {"settle": "100ms"}) as gateway:
        place = Place(bucket, gateway, directory, f"http://127.0.0.1:{sts.server_port}")
        for example in found:
            check(example.language in LANGUAGES, f"{example.name}: a block of the language {example.language!r}: how is it run?")
            reason = next((why for entry, why in NOT_RUN.items() if example.is_that(entry)), None)
            if example.language == "java" and not shutil.which("javac"):
                reason = "no JDK is here"
            if reason or example.language in ("text", "ini"):
                if reason:
                    why_not.append(f"{example.name}: {reason}")
                continue
            status, said = place.execute(example)
            check(status == 0, f"{example.name} ended with {status}: {said[-600:]}\n{example.text}")
            ran[example.language] = ran.get(example.language, 0) + 1
            place.clear(example)
        days = (TODAY, time.strftime("%Y-%m-%d", time.gmtime()))  # each producer took that of its moment
        written = {f"prod/f-{n}.json" for n in range(1, 6)}
        if not shutil.which("javac"):
            written.discard("prod/f-4.json")

        def missing():
            there = bucket.keys()
            return sorted(w for w in written if not any(f"Panoptica/findings/{day}/{w}" in there for day in days))
        check(wait_until(lambda: not missing(), 20),
              f"what the producers of README.md wrote has arrived, but for {missing()}")
        for path, (size, *_) in bucket.keys().items():
            check(size > 0, f"{path} is not empty")
    sts.shutdown()
    sts.server_close()
    for line in why_not:
        print(f"not run: {line}")
    row("examples of README.md, docs/ and the man pages, run as they stand",
        ", ".join(f"{n} {k}" for k, n in sorted(ran.items())) + f"; {len(why_not)} not run")


run_tests([every_example_runs])
