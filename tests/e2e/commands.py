#!/usr/bin/python3
# also-under: asan valgrind
"""What the commands say and how they exit: put, test, status, ls, why, retry, journal."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

FAST = {"settle": "100ms"}


def expect(done, status, *words, what):
    """The exit status, and words that stdout or stderr must hold."""
    said = done.stdout + done.stderr
    ok = check_equal(done.returncode, status, f"exit status of {what} ({said.strip()[:300]})")
    for word in words:
        ok &= check(word in said, f"{what} says {word!r}: {said.strip()[:500]}")
    return ok


def put_needs_no_gateway():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST, start=False) as gateway:
        dropped = Dropped()
        dropped.put(gateway, key("findings", "stdin.ndjson"), event(1))
        path = os.path.join(gateway.directory, "some-file")
        with open(path, "wb") as file:
            file.write(event(2))
        expect(gateway.cli("put", key("findings", "file.ndjson"), path), 0, what="put of a file")
        dropped.add(key("findings", "file.ndjson"), event(2))
        whole = os.path.join(gateway.root, key("findings", "whole.ndjson"))
        expect(gateway.cli("put", whole, stdin=event(3)), 0, what="put by the whole path")
        dropped.add(key("findings", "whole.ndjson"), event(3))
        check_equal(sorted(spooled(gateway.root)), sorted(dropped), "files in the spool")
        expect(gateway.cli("put", key("findings", "wait.ndjson"), "--wait=5", stdin=event(4)), 111,
               "no gateway answers", what="put --wait without a gateway")
        dropped.add(key("findings", "wait.ndjson"), event(4))
        gateway.start()
        gateway.wait_idle()
        compare(bucket, dropped)


def put_refuses_with_a_sentence():
    with Devstore("--require-acl") as bucket, Gateway(
            bucket, {**FAST, "limits": {"max_file_size": "10KiB"}}) as gateway:
        outside = os.path.join(gateway.directory, "outside.ndjson")
        name = key("findings", "f.ndjson")
        dropped = Dropped()
        dropped.put(gateway, name, event(1))
        gateway.wait_idle()
        for status, words, path, data in (
                (100, ["layout"], "Panoptica/findings/f.ndjson", event()),
                (100, ["layout"], "Elsewhere/findings/2026-11-23/acct/f.ndjson", event()),
                (100, ["date"], "Panoptica/findings/2026-02-30/acct/f.ndjson", event()),
                (100, [".."], "Panoptica/../etc/passwd", event()),
                (100, [".."], os.path.join(gateway.root, "../outside.ndjson"), event()),
                (100, ["not below"], outside, event()),
                (100, ["x.tmp", "`ignore`", "another name"], key("findings", "x.tmp"), event()),
                (100, ["`ignore`"], key("findings", ".hidden"), event()),
                (100, ["`ignore`"], key("findings", "backup~"), event()),
                (100, ["line 2, column 8"], key("findings", "bad.ndjson"), b'{"id":1}\n{"id":2\n'),
                (100, ["line 1"], key("findings", "bad.ndjson"), b'{"id":1}'),
                (100, ["empty"], key("findings", "bad.ndjson"), b""),
                (100, ["10"], key("findings", "bad.ndjson"), event(0, 20000))):
            expect(gateway.cli("put", path, stdin=data), status, *words, what=f"put {path}")
        # A name that is still there is not overwritten; one that has left the spool is free.
        gateway.stop()
        dropped.put(gateway, key("findings", "twice.ndjson"), event(1))
        expect(gateway.cli("put", key("findings", "twice.ndjson"), stdin=event(2)), 100, "twice.ndjson",
               what="put of a name that is there")
        expect(gateway.cli("put", key("findings", "f2.ndjson"), "/nowhere/file"), 111, "/nowhere/file",
               what="put of a file that is not there")
        expect(gateway.cli("put"), 100, "usage", what="put without a name")
        left = [f for _, _, files in os.walk(gateway.root) for f in files if "lock" not in f]
        check_equal(left, ["twice.ndjson"], "files in the spool: nothing half is left")
        gateway.start()
        gateway.wait_idle()
        compare(bucket, dropped)


def put_waits_until_it_is_in_the_bucket():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        dropped = Dropped()
        name = key("findings", "f.ndjson")
        dropped.add(name, event(1))
        done = gateway.cli("put", name, "--wait", stdin=event(1))
        expect(done, 0, f"s3://{bucket.bucket}/{name}", what="put --wait")
        check(name in bucket.keys(), "it is in the bucket when put returns")
        name = key("findings", "g.ndjson")
        dropped.add(name, event(2))
        receipt = json.loads(gateway.cli("put", name, "--wait=20", "--json", stdin=event(2)).stdout)
        check_equal((receipt["key"], receipt["sha256"], receipt["size"]),
                    (name, dropped[name][1], dropped[name][0]), "the receipt")
        bucket.fault("latency=3s")
        name = key("findings", "slow.ndjson")
        dropped.add(name, event(3))
        expect(gateway.cli("put", name, "--wait=1", stdin=event(3)), 1, "safe in the spool",
               what="put --wait=1 of what takes longer")
        bucket.clear_faults()
        gateway.wait_idle()
        compare(bucket, dropped)


def put_waits_for_its_own_file():
    """Not for what was said of an older one of its name, which is rejected, held or forgotten."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        dropped = Dropped()
        name = key("findings", "rejected.ndjson")
        dropped.rename(gateway.root, name, b"{not json\n")
        check(wait_until(lambda: gateway.status()["files"]["rejected"] == 1), "the older one is rejected")
        expect(gateway.cli("why", name), 0, "rejected", what="why of what is rejected")
        dropped.add(name, event(1))
        done = gateway.cli("put", name, "--wait=20", "--json", stdin=event(1))
        if expect(done, 0, name, what="put --wait beside a rejected file"):
            check_equal(json.loads(done.stdout)["sha256"], dropped[name][1], "the receipt")
        expect(gateway.cli("why", name), 0, "delivered", dropped[name][1], what="why of what was delivered after")
        bucket.fault("op=PutObject,status=503,code=SlowDown")
        older = [key("findings", f"{verb}.ndjson") for verb in ("hold", "forget")]
        for path in older:
            Dropped().rename(gateway.root, path, event(2, 300))
        check(wait_until(lambda: gateway.status()["backlog"]["files"] == 2), "two others wait")
        for path, verb in zip(older, ("hold", "forget")):
            expect(gateway.cli(verb, path), 0, what=verb)
            os.unlink(os.path.join(gateway.root, path))
        bucket.clear_faults()
        gateway.cli("retry", name)  # the bucket is tried now
        for path in older:
            dropped.add(path, event(3))
            expect(gateway.cli("put", path, "--wait=20", stdin=event(3)), 0, path, what="put --wait in place of " + path)
        compare(bucket, dropped)
        bucket.fault("op=PutObject,status=503,code=SlowDown")
        name = key("findings", "given-up.ndjson")
        waiting = start_process([SPOOLGATE, "put", name, "--wait", "-c", gateway.config_path], stdin=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=gateway.environment())
        waiting.stdin.write(event(4))
        waiting.stdin.close()
        check(wait_until(lambda: gateway.status()["backlog"]["files"] == 1), "one is waited for")
        expect(gateway.cli("forget", name), 0, what="forget")
        check_equal(waiting.wait(20 * SLOW), 1, "exit status of put --wait of what was forgotten")
        said = waiting.stderr.read().decode()
        waiting.stderr.close()
        check("is forgotten" in said, f"it says so: {said}")


def test_says_what_to_change():
    with Devstore("--require-acl") as bucket, Gateway(bucket, start=False) as gateway:
        done = gateway.cli("test")
        expect(done, 0, "arrived", f"s3://{bucket.bucket}/Panoptica/test/", what="test")
        print("  " + done.stdout.strip())
        facts = gateway.cli_json("test")
        check(facts["arrived"] and facts["http_status"] in (0, 200), f"test --json: {facts}")
        stored = bucket.keys()
        check_equal(len(stored), 2, "test messages in the bucket")
        check_equal(spooled(gateway.root), [], "files left in the spool")

        def fails(what, *words, config=None, env=None, status=1):
            was = json.loads(json.dumps(gateway.config))
            gateway.configure(config or {})
            done = gateway.cli("test", env=env)
            expect(done, status, *words, what=f"test with {what}")
            check_equal(len(done.stderr.splitlines()), 1, f"sentences on stderr, with {what}")
            print(f"  {what}: {done.stderr.strip()}")
            gateway.config = was

        fails("a wrong secret", "SignatureDoesNotMatch", "secret",
              env={"AWS_SECRET_ACCESS_KEY": "wrong-secret"})
        fails("a wrong access key", "InvalidAccessKeyId", env={"AWS_ACCESS_KEY_ID": "nobody"})
        fails("no such bucket", "NoSuchBucket", "bucket",
              config={"bucket": {"arn": "arn:aws:s3:::another-bucket"}})
        fails("nobody at the endpoint", "connect",
              config={"bucket": {"endpoint": f"http://127.0.0.1:{free_port()}"}})
        fails("no ACL", "ACL", "bucket.acl", config={"bucket": {"acl": "none"}})
        fails("no credentials", "no credentials were found", status=111,
              env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
        gateway.configure({"bucket": {"region": "us-east-1"}})
        done = gateway.cli("test")
        expect(done, 0, "the bucket is in eu-central-1, not in us-east-1", what="test with the wrong region")
        gateway.configure({"bucket": {"region": bucket.region}})
        check_equal(len(bucket.keys()), len(stored) + 1, "messages in the bucket")
        for fault, word in (("op=PutObject,status=503,code=SlowDown", "SlowDown"),
                            ("op=PutObject,status=500,code=InternalError", "InternalError"),
                            ("op=PutObject,reset", "")):
            bucket.fault(fault)
            expect(gateway.cli("test"), 1, word, what=f"test with {fault}")
            bucket.clear_faults()


def status_ls_and_why():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        expect(gateway.cli("status"), 0, "Everything is delivered", what="status")
        expect(gateway.cli("status", "--max-age", "1s"), 0, what="status --max-age with nothing waiting")
        bucket.fault("op=PutObject,prefix=Panoptica/findings,status=503,code=SlowDown")
        dropped = Dropped()
        for number in range(5):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        name = next(iter(dropped))
        check(wait_until(lambda: gateway.status()["state"] == "stuck"), "the gateway is stuck")
        facts = gateway.cli_json("status")
        check_equal((facts["state"], facts["backlog"]["files"]), ("stuck", 5), "status --json")
        expect(gateway.cli("status"), 0, "SlowDown", what="status")
        time.sleep(1.1)
        expect(gateway.cli("status", "--max-age", "1s"), 1, "the oldest file waits", what="status --max-age 1s")
        expect(gateway.cli("status", "--max-age", "1h"), 0, what="status --max-age 1h")
        expect(gateway.cli("status", "--max-age", "soon"), 100, "usage", what="status --max-age soon")
        expect(gateway.cli("status", "more"), 100, "more", what="status with an argument")
        waiting = gateway.cli_json("ls")
        check_equal(sorted(r["path"] for r in waiting), sorted(dropped), "ls --json")
        check({r["state"] for r in waiting} <= {"accepted", "sending", "deferred"}, f"states: {waiting}")
        expect(gateway.cli("ls", "f-3"), 0, "f-3.ndjson", what="ls with a part of the name")
        check("f-1" not in gateway.cli("ls", "f-3").stdout, "ls shows what matches only")
        expect(gateway.cli("ls", "Panoptica/*/f-[12].ndjson"), 0, "f-1", "f-2", what="ls with a pattern")
        expect(gateway.cli("ls", "--state", "nonsense"), 100, "expected settling", what="ls --state nonsense")
        check_equal(gateway.cli("ls", "--state", "rejected").stdout, "", "ls --state rejected")
        expect(gateway.cli("why", name), 0, "SlowDown", "by itself", what="why of what waits")
        facts = gateway.cli_json("why", os.path.join(gateway.root, name))
        check_equal((facts["path"], facts["size"]), (name, dropped[name][0]), "why --json by the whole path")
        expect(gateway.cli("why", key("findings", "never.ndjson")), 1, "never", what="why of what never was")
        expect(gateway.cli("why", "/etc/passwd"), 100, "not below", what="why of a path elsewhere")
        bucket.clear_faults()
        expect(gateway.cli("retry", name), 0, what="retry of what waits")
        gateway.wait_idle()
        compare(bucket, dropped)
        done = gateway.cli("why", name)
        expect(done, 0, "delivered", dropped[name][1], what="why of a delivered file")
        receipt = gateway.cli_json("why", name)
        etag = bucket.keys()[name][2].strip('"')
        check_equal((receipt["state"], receipt["key"], receipt["sha256"], receipt["etag"].strip('"')),
                    ("delivered", name, dropped[name][1], etag), "the receipt")
        check(receipt["attempts"] >= 1 and receipt["delivered_at"] > receipt["accepted_at"],
              f"attempts and times: {receipt}")


def hold_release_and_retry():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault("op=PutObject,status=503,code=SlowDown")
        dropped = Dropped()
        for number in range(4):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        names = list(dropped)
        check(wait_until(lambda: gateway.status()["backlog"]["files"] == 4), "four wait")

        expect(gateway.cli("hold", *names[:3]), 0, *(f"held      {path}" for path in names[:3]), what="hold")
        check_equal(gateway.status()["files"]["held"], 3, "three are held when it returns")
        expect(gateway.cli("why", names[0]), 0, "held by hand", "release", what="why of a held file")
        bucket.clear_faults()
        check(wait_until(lambda: len(bucket.keys()) == 1), "the fourth goes")
        gateway.restart()
        check(not wait_until(lambda: len(bucket.keys()) > 1, 1), "held files stay, after a restart too")
        expect(gateway.cli("release", names[0]), 0, f"released  {names[0]}", what="release")
        check(wait_until(lambda: names[0] in bucket.keys()), "a released file goes")
        expect(gateway.cli("retry", names[1]), 0, what="retry of a held file")
        check(wait_until(lambda: names[1] in bucket.keys()), "a retried file goes")
        expect(gateway.cli("retry", "--all"), 0, "0 files on their way", "1 files are held by hand", what="retry --all")
        expect(gateway.cli("release", "--all"), 0, "1 files released", what="release --all")
        gateway.wait_idle()
        compare(bucket, dropped)
        for method, path, body, status in (
                ("GET", "/v1/nothing", None, 404), ("PUT", "/v1/status", None, 405),
                ("POST", "/v1/retry", {"paths": "f"}, 400), ("POST", "/v1/hold", {"all": "yes"}, 400),
                ("GET", "/v1/files?limit=0", None, 400), ("GET", "/v1/files?limit=x", None, 400),
                ("GET", "/v1/files?cursor=99:x", None, 400), ("GET", "/v1/file", None, 400),
                ("GET", "/livez", None, 200)):
            check_equal(gateway.api(method, path, body)[0], status, f"{method} {path}")


def the_journal_is_read_offline():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        dropped = Dropped()
        for number in range(10):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        gateway.wait_idle()
        gateway.stop()
        gateway.journal_verify()
        records = [json.loads(line) for line in gateway.cli("journal", "dump").stdout.splitlines()]
        for kind in ("accepted", "delivered"):
            check_equal(sorted(r["path"] for r in records if r["type"] == kind), sorted(dropped),
                        f"{kind} records")
        check_equal({r["path"]: (r["size"], r["sha256"]) for r in records if r["type"] == "delivered"},
                    dict(dropped), "sizes and digests in the journal")
        check_equal([r["seq"] for r in records], sorted(r["seq"] for r in records), "sequence numbers")
        facts = gateway.cli_json("journal", "verify")
        check_equal((facts["damaged"], facts["records"]), (0, len(records)), "journal verify --json")
        segments = sorted(os.listdir(os.path.join(gateway.state, "journal")))
        segment = next(s for s in segments if os.path.getsize(os.path.join(gateway.state, "journal", s)) > 1000)
        path = os.path.join(gateway.state, "journal", segment)
        with open(path, "r+b") as file:
            file.seek(700)
            byte = file.read(1)
            file.seek(700)
            file.write(bytes([byte[0] ^ 0xff]))
        done = gateway.cli("journal", "verify")
        expect(done, 1, "segment", "offset", what="journal verify of a damaged one")
        print("  " + done.stdout.splitlines()[0])
        expect(gateway.cli("journal", "verify", "--fix"), 0, "mended", what="journal verify --fix")
        gateway.journal_verify()
        expect(gateway.cli("journal", "burn"), 100, "usage", what="journal burn")
        gateway.start()
        dropped.rename(gateway.root, key("findings", "after.ndjson"), event(99))
        gateway.wait_idle()
        compare(bucket, dropped)


def what_cannot_be_printed_is_no_success():
    """A full disk ends with 111 and a sentence; a reader that has gone wanted no more."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        bucket.fault("op=PutObject,status=503,code=SlowDown")
        dropped = Dropped()
        dropped.rename(gateway.root, key("findings", "f.ndjson"), event(1))
        check(wait_until(lambda: gateway.status()["backlog"]["files"] == 1), "one waits")
        for arguments in (["ls"], ["status", "--json"], ["config", "show"], ["journal", "dump"],
                          ["--help"], ["--version"], ["why", key("findings", "f.ndjson")]):
            options = [] if arguments[0].startswith("-") else ["-c", gateway.config_path]
            with open("/dev/full", "w") as full:
                done = subprocess.run([SPOOLGATE, *arguments, *options], stdout=full, text=True,
                                      stderr=subprocess.PIPE, env=gateway.environment(), timeout=60 * SLOW)
            check(done.returncode == 111 and "could not be written out" in done.stderr,
                  f"{arguments} to a full disk: {done.returncode} {done.stderr}")
        reads, writes = os.pipe()
        os.close(reads)
        done = subprocess.run([SPOOLGATE, "ls", "-c", gateway.config_path], stdout=writes, text=True,
                              stderr=subprocess.PIPE, env=gateway.environment(), timeout=60 * SLOW,
                              restore_signals=False)  # SIGPIPE stays ignored, else it just ends there
        os.close(writes)
        check_equal((done.returncode, done.stderr), (0, ""), "ls for a reader that has gone")
        bucket.clear_faults()
        gateway.cli("retry", "--all")
        gateway.wait_idle()
        compare(bucket, dropped)


def help_and_usage():
    def run(*arguments):
        return subprocess.run([SPOOLGATE, *arguments], capture_output=True, text=True,
                              env=clean_environment(), stdin=subprocess.DEVNULL, timeout=20 * SLOW)
    for name in ("run", "put", "test", "status", "ls", "why", "retry", "hold", "release", "forget", "receipts", "policy", "journal",
                 "config", "check", "setup"):
        done = run(name, "--help")
        check(done.returncode == 0 and "Example" in done.stdout and "Exit status:" in done.stdout,
              f"spoolgate {name} --help: {done.stdout}{done.stderr}")
    check_equal(run("--help").returncode, 0, "spoolgate --help")
    for arguments in ((), ("burn",), ("status", "--nonsense"), ("put", "-c")):
        done = run(*arguments)
        check(done.returncode == 100 and done.stderr, f"spoolgate {' '.join(arguments)}: exit "
              f"{done.returncode} {done.stderr}")


run_tests([put_needs_no_gateway, put_refuses_with_a_sentence, put_waits_until_it_is_in_the_bucket,
           put_waits_for_its_own_file,
           test_says_what_to_change, status_ls_and_why, hold_release_and_retry,
           the_journal_is_read_offline, what_cannot_be_printed_is_no_success, help_and_usage])
