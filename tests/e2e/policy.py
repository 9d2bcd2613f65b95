#!/usr/bin/python3
# also-under: asan
"""The bucket's policy as its owner and we meet it: generated to the byte, copied, written, merged into
what is there, checked, explained; and random pairs of policy and request against a second model."""

import base64
import os
import pty
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

sys.path.insert(0, os.path.join(REPOSITORY, "tests/tools"))
import policy_pairs

VECTORS = os.path.join(REPOSITORY, "tests/vectors/policy")
EVAL = os.path.join(BUILD, "tests/tools/policy-eval")
ROLE = "arn:aws:iam::111122223333:role/panoptica-customer"
ARN = f"arn:aws:s3:::{BUCKET}"
SUBJECT = ("--role", ROLE, "--bucket-arn", ARN)
DENY_PLAIN = {"Sid": "DenyPlain", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
              "Resource": [ARN, f"{ARN}/*"], "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
DENY_VPCE = {"Sid": "Vpce", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"{ARN}/*",
             "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}}


def policy(*arguments, stdin="", **env):
    done = subprocess.run([SPOOLGATE, "policy", *arguments], capture_output=True, text=True,
                          input=stdin, timeout=60 * SLOW,
                          env=clean_environment(SPOOLGATE_CONFIG="/nowhere/spoolgate.json", **env))
    return done.returncode, done.stdout, done.stderr


def golden(name):
    with open(os.path.join(VECTORS, name), encoding="utf-8") as file:
        return file.read()


def document(*statements, version="2012-10-17"):
    return json.dumps({"Version": version, "Statement": list(statements)})


def generated_to_the_byte():
    status, out, err = policy("generate", *SUBJECT)
    check_equal((status, out), (0, golden("one-role.json")), "one role")
    for words in (f"https://console.aws.amazon.com/s3/buckets/{BUCKET}?tab=permissions",
                  "Permissions tab", "Bucket policy", "Edit", "Paste", "Save changes"):
        check(words in err, f"stderr says {words!r}: {err}")
    gov = "arn:aws-us-gov:iam::"
    status, out, err = policy(
        "generate", "--role", gov + "111122223333:role/team/a=b@c", "--role", gov + "444455556666:role/second",
        "--put-role", gov + "111122223333:role/putter", "--bucket-arn", "arn:aws-us-gov:s3:::a.dotted-name")
    check_equal((status, out), (0, golden("several-roles.json")), "several roles, another one that puts")
    check("https://console.amazonaws-us-gov.com/s3/buckets/a.dotted-name" in err, err)
    status, out, err = policy("generate", "--role", "111122223333", "--bucket-arn", "arn:aws-cn:s3:::b-1")
    check_equal(json.loads(out)["Statement"][0]["Principal"], {"AWS": ["arn:aws-cn:iam::111122223333:root"]},
                "an account in China")
    check("https://console.amazonaws.cn/s3/buckets/b-1" in err, err)
    row("policy generate", "golden, three partitions")


def generated_from_the_configuration():
    with scratch_dir() as directory:
        path = os.path.join(directory, "spoolgate.json")
        config = {"spool": directory + "/spool", "state": directory + "/state", "account_name": "prod",
                  "prefix": "siem/", "bucket": {"arn": ARN, "region": REGION}}

        def write(**more):
            with open(path, "w") as file:
                json.dump({**config, **more}, file)

        write()
        status, out, err = policy("generate", "-c", path)
        check_equal((status, out), (100, ""), "no role anywhere")
        check("no role is given or configured" in err, err)
        status, out, err = policy("generate", "-c", path, "--account", "prod")
        check_equal((status, out), (100, ""), "an account without a role")
        check("credentials.assume_role.arn" in err, err)
        status, out, err = policy("generate", "-c", path, "--account", "test")
        check(status == 100 and "account \"prod\"" in err, err)
        status, out, _ = policy("generate", "-c", path, "--role", ROLE)
        check_equal((status, out), (0, golden("one-role.json")), "the configuration's bucket")
        status, out, _ = policy("generate", "-c", path, "--role", ROLE, "--minimal")
        minimum = json.loads(out)["Statement"]
        check_equal((status, minimum[0]["Resource"]), (0, f"{ARN}/siem/Panoptica/*"), "minimal: prefix")
        check("s3:PutObjectAcl" in minimum[0]["Action"], "minimal: the ACL")
        status, out, _ = policy("check", "-", "-c", path, "--role", ROLE, stdin=out)
        check_equal(status, 0, f"the minimum is enough: {out}")
        write(bucket={**config["bucket"], "acl": None})
        _, out, _ = policy("generate", "-c", path, "--role", ROLE, "--minimal")
        check("s3:PutObjectAcl" not in out, "minimal without an ACL")
        write(credentials={"source": "chain", "assume_role": {"arn": ROLE}})
        status, out, err = policy("generate", "-c", path, "--account", "prod")
        check_equal((status, out), (0, golden("one-role.json")), "the role of the account")
        check_equal(policy("generate", "-c", path)[1], golden("one-role.json"), "the configured role")
        row("policy generate --account", "the configured role")


def what_is_configured_is_what_is_asked():
    """Encryption, class, tags, the owner and the role's session come from the configuration."""
    def deny(action, condition):
        return document({"Effect": "Deny", "Principal": "*", "Action": action, "Resource": f"{ARN}/*",
                         "Condition": condition},
                        {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "s3:*",
                         "Resource": [ARN, f"{ARN}/*"]})

    key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    sse = "s3:x-amz-server-side-encryption"
    cases = (
        (deny("s3:PutObject", {"StringNotEquals": {sse: "aws:kms"}}),
         {"encryption": {"algorithm": "aws:kms"}}),
        (deny("s3:PutObject", {"StringNotEquals": {f"{sse}-aws-kms-key-id": key}}),
         {"encryption": {"algorithm": "aws:kms", "kms_key_id": key}}),
        (deny("s3:PutObject", {"StringNotEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}),
         {"storage_class": "STANDARD_IA"}),
        (deny("s3:PutObject", {"StringNotEquals": {"s3:RequestObjectTag/team": "siem"}}),
         {"tags": {"team": "siem"}}),
        (deny("s3:*", {"StringNotEquals": {"s3:ResourceAccount": "111122223333"}}),
         {"expected_owner": "111122223333"}),
    )
    with scratch_dir() as directory:
        path = os.path.join(directory, "spoolgate.json")
        config = {"spool": directory + "/spool", "state": directory + "/state", "account_name": "prod",
                  "credentials": {"source": "chain", "assume_role": {"arn": ROLE, "session_name": "s1"}}}
        for text, bucket in cases:
            for more, expected in (({}, 1), (bucket, 0)):
                with open(path, "w") as file:
                    json.dump({**config, "bucket": {"arn": ARN, "region": REGION, **more}}, file)
                status, out, err = policy("check", "-", "-c", path, stdin=text)
                check_equal(status, expected, f"bucket {more} under {text}: {out}{err}")
        for session, expected in (("s1", 0), ("s2", 1)):
            text = document({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": {
                "AWS": f"arn:aws:sts::111122223333:assumed-role/panoptica-customer/{session}"}})
            check_equal(policy("check", "-", "-c", path, stdin=text)[0], expected, f"session {session}")
    row("policy check of what is configured", f"{len(cases)} settings, the session")


def wrong_arguments_get_a_sentence():
    for arguments, words in (
            ((), "usage"), (("paste",), "usage"), (("generate", "x", *SUBJECT), "usage"),
            (("check", *SUBJECT), "usage"), (("generate", "--role", "me", "--bucket-arn", ARN), "role's ARN"),
            (("generate", "--role", ROLE, "--bucket-arn", BUCKET), "bucket ARN"),
            (("generate", "--role", ROLE, "--bucket-arn", "arn:aws-cn:s3:::b-1"), "partition"),
            (("generate", "--bucket-arn", ARN), "no role is given"),
            (("generate", *SUBJECT, "--minimal", "--put-role", ROLE), "--put-role"),
            (("check", "-", *SUBJECT, "--with", "aws:SourceVpce"), "--with KEY=VALUE"),
            (("check", "-", *SUBJECT, "--without", "a=b"), "--without KEY"),
            (("check", "-", *SUBJECT, "--tag", "a"), "KEY=VALUE"),
            (("merge", "-", *SUBJECT), "no policy"), (("check", "-", *SUBJECT), "no policy"),
            (("explain", "-"), "no policy")):
        status, out, err = policy(*arguments)
        check_equal((status, out), (100, ""), f"policy {' '.join(arguments)}")
        check(words in err, f"policy {' '.join(arguments)} says {words!r}: {err}")
    status, _, err = policy("check", "/nowhere/policy.json", *SUBJECT)
    check(status == 111 and "/nowhere/policy.json" in err, err)
    status, _, err = policy("check", "-", *SUBJECT, stdin=document() + " " * 21000)
    check(status == 100 and "20 KiB" in err, err)
    row("wrong arguments and documents", "each with a sentence")


def written_whole_and_never_over_another():
    with scratch_dir() as directory:
        path = os.path.join(directory, "policy.json")
        status, out, _ = policy("generate", *SUBJECT, "--output", path)
        check_equal((status, out), (0, ""), "--output")
        with open(path) as file:
            check_equal(file.read(), golden("one-role.json"), "what was written")
        with open(path, "w") as file:
            file.write("precious")
        status, _, err = policy("generate", *SUBJECT, "--output", path)
        check(status == 100 and "is there already" in err, err)
        with open(path) as file:
            check_equal(file.read(), "precious", "what was there")
        check_equal(policy("generate", *SUBJECT, "--output", path, "--force")[0], 0, "--force")
        with open(path) as file:
            check_equal(file.read(), golden("one-role.json"), "what was written over it")
        check_equal(os.listdir(directory), ["policy.json"], "nothing else is left")
        check_equal(policy("generate", *SUBJECT, "--output", directory + "/no/x")[0], 111, "no directory")
        check_equal(policy("generate", *SUBJECT, "--output", directory + "/")[0], 100, "no name")
    row("policy generate --output", "whole, not over another")


def copied():
    with scratch_dir() as directory:
        for name, display in (("wl-copy", "WAYLAND_DISPLAY"), ("xclip", "DISPLAY")):
            seen = os.path.join(directory, name + ".seen")
            with open(os.path.join(directory, name), "w") as file:
                file.write(f"#!/bin/sh\nenv >{seen}.env\nexec cat >{seen}\n")
            os.chmod(os.path.join(directory, name), 0o755)
            path = f"{directory}:{os.environ['PATH']}"
            status, _, err = policy("generate", *SUBJECT, "--copy", PATH=path,
                                    AWS_SECRET_ACCESS_KEY="not-theirs", **{display: "x:0"})
            check(status == 0 and f"clipboard ({name})" in err, err)
            with open(seen) as file:
                check_equal(file.read(), golden("one-role.json"), name)
            with open(seen + ".env") as file:
                check("not-theirs" not in file.read(), f"{name} is given no keys")
    # No display, no terminal: a session of its own has none.
    env = {k: v for k, v in clean_environment().items() if "DISPLAY" not in k}
    done = subprocess.run([SPOOLGATE, "policy", "generate", *SUBJECT, "--copy"], capture_output=True,
                          text=True, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
    check(done.returncode == 111 and "no clipboard" in done.stderr, done.stderr)
    # A terminal alone: OSC 52.
    pid, master = pty.fork()
    if pid == 0:
        os.execve(SPOOLGATE, [SPOOLGATE, "policy", "generate", *SUBJECT, "--copy"], env)
    said = b""
    try:
        while piece := os.read(master, 65536):
            said += piece
    except OSError:
        pass
    os.close(master)
    check_equal(os.waitpid(pid, 0)[1], 0, "exit status on a terminal")
    begin = said.find(b"\x1b]52;c;")
    code = said[begin + 7:said.find(b"\a", begin)] if begin >= 0 else b""
    check_equal(base64.b64decode(code).decode(), golden("one-role.json"), "what the terminal was given")
    row("policy generate --copy", "wl-copy, xclip, terminal, none")


def merged_into_what_is_there():
    theirs = json.dumps({"Id": "Theirs", "Version": "2012-10-17", "Statement": [DENY_PLAIN, DENY_VPCE]}, indent=1)
    status, once, err = policy("merge", "-", *SUBJECT, stdin=theirs)
    check_equal(status, 0, f"merge: {err}")
    end = theirs.index("\n ]\n}")
    check(once.startswith(theirs[:end]) and once.endswith("\n ]\n}"), f"theirs stays to the byte: {once}")
    check_equal(json.loads(once)["Statement"][2:], json.loads(golden("one-role.json"))["Statement"], "ours")
    for words in ("statement 3 (Sid StmtID) is added", "warning: PutObject by", "statement 2 (Sid Vpce) denies",
                  "aws:SourceVpce", "Paste it in place"):
        check(words in err, f"merge says {words!r}: {err}")
    status, twice, err = policy("merge", "-", *SUBJECT, stdin=once)
    check_equal((status, twice), (0, once), "merged twice")
    check("grants it already" in err, err)
    other = ("--role", "arn:aws:iam::111122223333:role/other", "--bucket-arn", ARN)
    status, both, err = policy("merge", "-", *other, stdin=once)
    check_equal(json.loads(both)["Statement"][2]["Principal"]["AWS"], [ROLE, other[1]], "both roles")
    check("keeps the other principals" in err, err)
    _, only, _ = policy("merge", "-", *other, "--only", stdin=both)
    check_equal(json.loads(only)["Statement"][3]["Principal"]["AWS"], [other[1]], "--only")
    large = document({**DENY_PLAIN, "Sid": "x" * 20000})
    status, out, err = policy("merge", "-", *SUBJECT, stdin=large)
    check(status == 100 and out == "" and "20 KiB" in err, err)
    row("policy merge", "theirs to the byte, twice as once, denials told")


def checked():
    ours = json.loads(golden("one-role.json"))["Statement"]
    cases = (
        ("as generated", document(*ours), (), 0, "Files can be delivered"),
        ("with a Deny of plain http", document(DENY_PLAIN, *ours), (), 0, "Files can be delivered"),
        ("another role", document(*ours), ("--role", "arn:aws:iam::111122223333:role/x"), 1, "Principal lacks"),
        ("from nowhere known", document(DENY_VPCE, *ours), (), 1, "cannot tell whether statement 1 (Sid Vpce)"),
        ("from the endpoint", document(DENY_VPCE, *ours), ("--with", "aws:SourceVpce=vpce-1"), 0, "can be"),
        ("from another", document(DENY_VPCE, *ours), ("--with", "aws:SourceVpce=vpce-2"), 1, "Vpce) denies it"),
        ("from none", document(DENY_VPCE, *ours), ("--without", "aws:SourceVpce"), 1, "Vpce) denies it"),
        ("without an ACL", document(ours[1]), ("--acl", "none"), 1, "a condition that fails: StringEquals s3:x-amz-acl"),
        ("what a --put-role gets", document(ours[1]), (), 1, "no file can be delivered with its ACL"),
        ("no object", document({**ours[0], "Resource": ARN}), (), 1, f"its Resource lacks {ARN}/Panoptica"),
        ("no PutObject", document({**ours[0], "Action": ["s3:PutObjectAcl"]}), (), 1, "its Action lacks s3:PutObject"),
        ("tags", document(*ours), ("--tag", "a=b"), 1, "s3:PutObjectTagging"),
        ("another prefix", document({**ours[0], "Resource": f"{ARN}/logs/*"}), ("--key", "logs/x"), 0, "can be"),
    )
    for name, text, more, expected, words in cases:
        role = () if "--role" in more else ("--role", ROLE)
        status, out, err = policy("check", "-", "--bucket-arn", ARN, *role, *more, stdin=text)
        check_equal(status, expected, f"{name}: {out}{err}")
        check(words in out, f"{name} says {words!r}: {out}")
        status, out, _ = policy("check", "-", "--bucket-arn", ARN, *role, *more, "--json", stdin=text)
        answer = json.loads(out)
        check_equal((status, answer["passes"]), (expected, expected == 0), f"{name} as JSON")
        check_equal(answer["roles"][0]["requests"][0]["request"], "PutObject", f"{name}: requests")
    with scratch_dir() as directory:
        path = os.path.join(directory, "request.json")
        for request, decision, expected in (
                ({"principal": ROLE, "action": "s3:PutObject", "resource": f"{ARN}/x"}, "allowed", 0),
                ({"principal": ROLE, "action": "s3:DeleteObject", "resource": f"{ARN}/x"}, "not-allowed", 1)):
            with open(path, "w") as file:
                json.dump(request, file)
            status, out, _ = policy("check", "-", "--request", path, "--json", stdin=document(*ours))
            check_equal((status, json.loads(out)["decision"]), (expected, decision), f"--request {request}")
        with open(path, "w") as file:
            file.write('{"action": "s3:PutObject"}')
        status, _, err = policy("check", "-", "--request", path, stdin=document(*ours))
        check(status == 100 and "resource" in err, err)
    row("policy check", f"{len(cases)} policies")


def explained():
    status, out, err = policy("explain", "-", *SUBJECT, stdin=document(DENY_VPCE, *json.loads(golden("one-role.json"))["Statement"]))
    check_equal((status, err), (0, ""), "explain")
    for words in ("1 (Sid Vpce). Forbids everybody", "aws:SourceVpce is not \"vpce-1\"",
                  "2 (Sid StmtID). Allows the role panoptica-customer of account 111122223333 to",
                  f"all objects of the bucket {BUCKET}", "it cannot be told whether files can be delivered"):
        check(words in out, f"explain says {words!r}: {out}")
    status, out, _ = policy("explain", "-", "--json", stdin=document(DENY_PLAIN))
    check_equal((status, len(json.loads(out)["statements"])), (0, 1), "explain as JSON, for nobody")
    row("policy explain", "in sentences")


def random_pairs_are_decided_as_by_another_model():
    count, seed = 600, int.from_bytes(os.urandom(4), "big")
    pairs = policy_pairs.pairs(seed, count, BUCKET, ROLE, "arn:aws:iam::444455556666:user/anna",
                                lock_out=True)
    lines = "".join(json.dumps({"policy": p["policy"], "request": p["request"]}) + "\n" for p in pairs)
    done = subprocess.run([EVAL], input=lines, capture_output=True, text=True, timeout=60 * SLOW)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    check_equal(len(answers), count, "answers")
    wrong = [(p, a) for p, a in zip(pairs, answers) if a.get("decision") != p["expected"]]
    check(not wrong, f"seed {seed}: {len(wrong)} differ, the first: {json.dumps(wrong[:1])}")
    row(f"{count} random pairs", f"{len(wrong)} decided otherwise")


run_tests([generated_to_the_byte, generated_from_the_configuration,
           what_is_configured_is_what_is_asked, wrong_arguments_get_a_sentence,
           written_whole_and_never_over_another, copied, merged_into_what_is_there, checked, explained,
           random_pairs_are_decided_as_by_another_model])
