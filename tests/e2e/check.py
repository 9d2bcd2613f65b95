#!/usr/bin/python3
"""`spoolgate check`: everything that can be known without writing. Each finding provoked, its level,
its sentence and its remedy looked at; and that looking changes nothing.
"""
# also-under: asan
import os
import resource
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *


def findings(gateway, *arguments, env=None, limit=None):
    """(exit status, {check: [line]})."""
    def fewer():
        if limit:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    done = subprocess.run([SPOOLGATE, "check", "-c", gateway.config_path, "--json", *arguments],
                          capture_output=True, text=True, timeout=60 * SLOW, preexec_fn=fewer,
                          env={**gateway.environment(), **(env or {})}, cwd=gateway.directory)
    lines = {}
    try:
        facts = json.loads(done.stdout)
    except ValueError:
        check(False, f"check printed no JSON: {done.stdout} {done.stderr}")
        return done.returncode, lines
    for line in facts["lines"]:
        lines.setdefault(line["check"], []).append(line)
        check((line["level"] == "ok") == (line["remedy"] == ""), f"a remedy where one is needed: {line}")
    check_equal(facts["ok"], done.returncode == 0, "ok and the exit status agree")
    return done.returncode, lines


def finding(gateway, what, name, level, *say, config=None, **more):
    was = json.loads(json.dumps(gateway.config))
    gateway.configure(config or {})
    status, lines = findings(gateway, **more)
    gateway.config = was
    gateway.configure({})
    found = [line for line in lines.get(name, []) if line["level"] == level]
    if check(found, f"{what}: no {level} {name} in {lines}"):
        said = found[0]["text"] + "; " + found[0]["remedy"]
        for text in say:
            check(text in said, f"{what}: {text!r} is not in {said!r}")
        row(what, f"{level} {name}: {said}")
    if level == "fail":
        check_equal(status, 1, f"exit status, {what}")


def tree(directory):
    return sorted((path, sorted(names), sorted(files)) for path, names, files in os.walk(directory))


def all_is_well_and_nothing_changes():
    with Devstore("--require-acl") as bucket, Gateway(bucket, start=False) as gateway:
        before = tree(gateway.directory)
        status, lines = findings(gateway)
        check_equal(status, 0, f"exit status: {lines}")
        bad = [line for name in lines for line in lines[name]
               if line["level"] != "ok" and name != "clock"]  # the machine's, as it is
        check_equal(bad, [], "findings where all is well")
        for name in ("config", "spool", "spool-space", "state", "state-space", "control", "watches",
                     "leases", "descriptors", "clock", "keys", "bucket", "store-clock"):
            check(name in lines, f"{name} was looked at")
        check_equal(tree(gateway.directory), before, "the directories")
        check_equal(bucket.objects(), {}, "objects in the bucket")
        stats = bucket.stats()["requests"]
        check_equal(findings(gateway, "--offline")[0], 0, "--offline")
        check_equal(bucket.stats()["requests"], stats, "requests with --offline")
        plain = gateway.cli("check")
        check(all(line.split()[0] in ("ok", "warn", "fail") for line in plain.stdout.splitlines()),
              f"a line each: {plain.stdout}")
        check("\x1b" not in plain.stdout, "no colours in a pipe")
        check_equal(gateway.cli("check", "extra").returncode, 100, "an argument too many")


def findings_of_directories():
    with Devstore() as bucket, Gateway(bucket, start=False) as gateway:
        nowhere = os.path.join(gateway.directory, "nowhere")
        a_file = os.path.join(gateway.directory, "file")
        open(a_file, "w").close()
        finding(gateway, "no spool", "spool", "fail", "install -d", config={"spool": nowhere})
        finding(gateway, "a file for a spool", "spool", "fail", "no directory", config={"spool": a_file})
        finding(gateway, "no state", "state", "fail", "install -d", config={"state": nowhere})
        os.chmod(gateway.root, 0o777)
        finding(gateway, "a spool for everybody", "spool", "warn", "chmod o-w")
        os.chmod(gateway.root, 0o1777)
        finding(gateway, "a sticky spool for everybody", "spool", "ok")
        os.chmod(gateway.state, 0o777)
        finding(gateway, "a state directory for everybody", "state", "warn", "journal")
        os.chmod(gateway.state, 0o750)
        finding(gateway, "no directory for the socket", "control", "fail", "make the directory",
                config={"control": nowhere + "/control.sock"})
        finding(gateway, "no directory for the socket, where the service makes it", "control", "warn",
                "RuntimeDirectory", config={"control": "/run/spoolgate-that-is-not-there/control.sock"})
        finding(gateway, "few descriptors", "descriptors", "fail", "LimitNOFILE",
                config={"uploads": 512}, limit=256)
        small = os.path.join(gateway.directory, "small")
        os.mkdir(small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], check=True)
        try:
            with open(small + "/fill", "wb") as file:
                try:
                    file.write(bytes(1 << 20))
                except OSError:
                    pass
            os.mkdir(small + "/spool")
            finding(gateway, "a full disk", "spool-space", "fail", "free or add space",
                    config={"spool": small + "/spool"})
            subprocess.run(["mount", "-o", "remount,ro", small], check=True)
            finding(gateway, "a read-only disk", "spool", "fail", "for writing",
                    config={"spool": small + "/spool"})
        finally:
            subprocess.run(["umount", small], check=True)


def a_start_warns_of_the_machine():
    with Devstore() as bucket, Gateway(bucket, start=False) as gateway:
        os.chmod(gateway.root, 0o777)
        gateway.start()
        wait_until(lambda: "event=check" in gateway.log())
        line = next((l for l in gateway.log().splitlines() if "about=spool " in l), "")
        check("level=warning" in line and "chmod o-w" in line, f"the log: {gateway.log()}")


def findings_of_another_user():
    with Devstore() as bucket, Gateway(bucket, start=False) as gateway:
        os.chmod(gateway.directory, 0o755)
        os.chmod(gateway.root, 0o700)
        program = shutil.copy(SPOOLGATE, gateway.directory)  # the build may be closed to others
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program,
                               "check", "-c", gateway.config_path, "--offline"], text=True,
                              capture_output=True, env=gateway.environment(), cwd="/")
        check_equal(done.returncode, 1, f"nobody's check: {done.stdout} {done.stderr}")
        check("uid 65534" in done.stdout and "mode 0700" in done.stdout, f"says who and what: {done.stdout}")
        row("a spool of somebody else", next(l for l in done.stdout.splitlines() if " spool " in l))


def findings_of_the_store():
    with Devstore() as bucket, Gateway(bucket, start=False) as gateway:
        finding(gateway, "no keys", "keys", "fail", "AWS_ACCESS_KEY_ID",
                env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
        keys = os.path.join(gateway.directory, "keys")
        with open(keys, "w") as file:
            file.write(f"[default]\naws_access_key_id = {bucket.access_key}\n"
                       f"aws_secret_access_key = {bucket.secret_key}\n")
        os.chmod(keys, 0o644)
        finding(gateway, "a file of keys for everybody", "keys-file", "warn", "chmod 600",
                config={"credentials": {"source": "file", "file": keys}})
        finding(gateway, "nobody at the endpoint", "endpoint", "fail", "the store runs",
                config={"bucket": {"endpoint": f"http://127.0.0.1:{free_port()}"}})
        finding(gateway, "a CA file that is not there", "ca-file", "fail", "bucket.ca_file",
                config={"bucket": {"ca_file": "/nowhere/ca.pem"}})
        finding(gateway, "a wrong secret", "bucket", "fail", "enter the keys anew",
                env={"AWS_SECRET_ACCESS_KEY": "another"})
        finding(gateway, "no such bucket", "bucket", "fail", "bucket.arn",
                config={"bucket": {"arn": "arn:aws:s3:::another-bucket"}})
        finding(gateway, "another region", "region", "warn", 'set "bucket.region" to "eu-central-1"',
                config={"bucket": {"region": "us-east-1"}})
        bucket.fault("op=GetBucketLocation,code=AccessDenied")
        finding(gateway, "the bucket's place not to be asked", "bucket", "warn", "GetBucketLocation",
                "spoolgate test")
    for skew, level in (("5min", "warn"), ("-20min", "fail")):
        with Devstore("--fault", f"skew={skew}") as bucket, Gateway(bucket, start=False) as gateway:
            finding(gateway, f"a store's clock off by {skew}", "store-clock", level, "synchronised")


run_tests([all_is_well_and_nothing_changes, findings_of_directories, a_start_warns_of_the_machine,
           findings_of_another_user,
           findings_of_the_store])
