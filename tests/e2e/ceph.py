#!/usr/bin/python3
# run-on: ceph
"""The customer's bucket as it will be: Ceph enforces the policy that `spoolgate policy generate`
prints, for a gateway that assumes a role; every object belongs to the bucket's owner; what the policy
refuses waits, and `why` names the condition."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ceph_store import *

MIB = 1 << 20
bucket = None  # one cluster for all tests


def generated(*options, role=ROLE):
    """The document as the command prints it, byte for byte."""
    done = subprocess.run([SPOOLGATE, "policy", "generate", "--role", role, "--bucket-arn", ARN,
                           *options], capture_output=True, text=True, timeout=20,
                          env=clean_environment())
    check_equal(done.returncode, 0, f"policy generate: {done.stderr}")
    return done.stdout


def generated_for_two():
    """The same document with another role in its first statement: ours has only the second, which
    allows PutObject under the ACL's condition. (Not the caller's ARN: to Ceph a role's session is
    its caller, too.)"""
    return generated("--put-role", ROLE, role=f"{ROLE}-reader")


def strict(prefix=""):
    """PutObject by the ACL's condition only, which owners write who take the first statement's
    PutObject for a mistake; below a prefix only, if one is named."""
    document = json.loads(generated())
    document["Statement"][0]["Action"].remove("s3:PutObject")
    document["Statement"][1]["Resource"] = f"{ARN}/{prefix}*"
    return document


def denying():
    """Everything allowed, and a Deny of what lacks the ACL."""
    document = json.loads(generated())
    document["Statement"][1].update({
        "Effect": "Deny", "Principal": "*",
        "Condition": {"StringNotEquals": {"s3:x-amz-acl": ACL}}})
    return document


def begin(policy):
    bucket.empty()
    bucket.set_policy(policy)


def drop(gateway, dropped, count, event_type="findings", name="f"):
    for number in range(count):
        ways = (dropped.rename, dropped.write, dropped.link)
        ways[number % 3](gateway.root, key(event_type, f"{name}-{number}.ndjson"), event(number))


def check_owned(dropped):
    """The bucket's owner has full control of every object, and can read it."""
    s3 = bucket.s3()
    without = [k for k in dropped if (OWNER_NAME, "FULL_CONTROL") not in bucket.grants(k)]
    check_equal(without, [], "objects on which the bucket's owner has no FULL_CONTROL")
    unread = [k for k in dropped
              if hashlib.sha256(s3.get_object(Bucket=BUCKET, Key=k)["Body"].read()).hexdigest()
              != dropped[k][1]]
    check_equal(unread, [], "objects whose bytes the bucket's owner does not get")


def wait_held(gateway, count, event_type="findings", timeout=20):
    """Until the event type is refused and just so many files wait for it."""
    def held():
        status = gateway.status()
        lanes = [t for t in status["event_types"] if t["event_type"] == event_type and t["held"]]
        return lanes and status["files"]["accepted"] == count and status["files"]["sending"] == 0
    status = {} if wait_until(held, timeout) else gateway.status()
    return check(not status, f"{count} files of {event_type} are held: {status.get('event_types')}")


def why(gateway, path):
    return gateway.cli("why", path).stdout


def large(number, size):
    return b"".join(event(number * 100000 + i, 4096) for i in range(size // 4096 + 1))


def the_generated_policy_is_taken_as_it_is_and_files_flow():
    for options in (), ("--minimal",):
        text = generated(*options)
        begin(text)
        check_equal(bucket.policy(), text, "the policy that the store keeps")
        with RoleGateway(bucket, {"multipart": {"threshold": "5MiB"}}) as gateway:
            dropped = Dropped()
            drop(gateway, dropped, 30)
            dropped.rename(gateway.root, key("findings", "large.ndjson"), large(0, 9 * MIB))
            gateway.wait_idle(60)
            compare(bucket, dropped)
            check_owned(dropped)
            row(f"policy generate {' '.join(options)}, byte for byte, the role assumed",
                f"{len(dropped)} files delivered, all of them the bucket owner's")


def the_caller_alone_is_nobody():
    """Without the role the caller's keys are refused, however much the policy allows the role."""
    begin(generated())
    with RoleGateway(bucket, {"credentials": {"assume_role": None}}) as gateway:
        dropped = Dropped()
        drop(gateway, dropped, 2)
        wait_held(gateway, 2)
        check_equal(bucket.list(), {}, "objects in the bucket meanwhile")
        gateway.configure({"credentials": {"assume_role": {"arn": ROLE, "endpoint": bucket.url}}})
        gateway.reload()
        gateway.wait_idle(60)
        compare(bucket, dropped)
        check_owned(dropped)
        row("the caller's keys without the role", "403, held; with the role they flow")


def the_test_message_says_that_it_arrived():
    begin(generated())
    with RoleGateway(bucket, start=False) as gateway:
        done = gateway.cli("test")
        check_equal(done.returncode, 0, f"exit status of spoolgate test: {done.stdout}{done.stderr}")
        check_equal(len(bucket.list()), 1, "test messages in the bucket")
        check_owned({k: (size, sha) for k, (size, sha) in bucket.objects().items()})
        row("spoolgate test", done.stdout.strip().splitlines()[0][:100] if done.stdout else "")


def without_the_acl_files_wait_and_why_names_the_condition():
    for name, policy in (("generated, our role in its second statement", generated_for_two()),
                         ("allowed by condition only", strict()),
                         ("denied by condition", denying())):
        begin(policy)
        if isinstance(policy, str):
            check_equal(bucket.policy(), policy, "the policy that the store keeps")
        with RoleGateway(bucket, {"bucket": {"acl": "none"}}) as gateway:
            dropped = Dropped()
            drop(gateway, dropped, 3)
            wait_held(gateway, 3)
            check_equal(bucket.list(), {}, "objects in the bucket meanwhile")
            said = why(gateway, next(iter(dropped)))
            check("403" in said and "AccessDenied" in said, f"why tells the answer: {said}")
            check("bucket-owner-full-control" in said, f"why names the condition: {said}")
            gateway.configure({"bucket": {"acl": ACL}})
            gateway.reload()
            gateway.wait_idle(60)
            compare(bucket, dropped)
            check_owned(dropped)
            row(f"acl: none, {name}", "403, held; with the ACL configured they flow")


def without_the_acl_the_owner_cannot_read_what_the_generated_policy_lets_in():
    """Why the ACL matters although the first statement allows PutObject without it."""
    begin(generated())
    with RoleGateway(bucket, {"bucket": {"acl": "none"}}) as gateway:
        dropped = Dropped()
        drop(gateway, dropped, 1)
        gateway.wait_idle(60)
        try:
            bucket.s3().get_object(Bucket=BUCKET, Key=next(iter(dropped)))
            seen = "read"
        except Exception as error:
            seen = "AccessDenied" if "AccessDenied" in str(error) else str(error)
        check_equal(seen, "AccessDenied", "what the bucket's owner gets of an object without the ACL")
        row("acl: none under the generated policy", f"stored; the bucket's owner: {seen}")


def an_upload_in_parts_that_is_refused_is_one_request():
    for name, policy, parts in (("generated", generated(), True),
                                ("generated, second statement's", generated_for_two(), False),
                                ("strict", strict(), None)):
        begin(policy)
        with RoleGateway(bucket, {"multipart": {"threshold": "5MiB", "part_size": "5MiB"}}) as gateway:
            dropped = Dropped()
            for number in range(2):
                dropped.rename(gateway.root, key("findings", f"l-{number}.ndjson"),
                               large(number, 12 * MIB))
            gateway.wait_idle(120)
            compare(bucket, dropped)
            check_owned(dropped)
            s3 = bucket.s3()
            tags = [s3.head_object(Bucket=BUCKET, Key=k)["ETag"] for k in dropped]
            in_parts = ["-" in t for t in tags]
            if parts is not None:
                check_equal(in_parts, [parts, parts], "objects that went in parts")
            left = s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
            check_equal(left, [], "uploads that nobody finished")
            row(f"12 MiB under the {name} policy", f"ETags {', '.join(t.strip(chr(34))[-6:] for t in tags)}")


def a_policy_for_one_prefix_lets_that_prefix_through():
    begin(strict("Panoptica/findings/"))
    with RoleGateway(bucket) as gateway:
        dropped, refused = Dropped(), Dropped()
        for number in range(5):
            drop(gateway, dropped, 4, name=f"a{number}")
            drop(gateway, refused, 1, event_type="audit", name=f"b{number}")
        wait_held(gateway, len(refused), "audit")
        wait_until(lambda: len(bucket.list()) == len(dropped), 30)
        compare(bucket, dropped)
        check_owned(dropped)
        said = why(gateway, next(iter(refused)))
        check("audit" in said, f"why names the prefix: {said}")
        bucket.set_policy(strict())
        gateway.cli("retry", "--all")
        gateway.wait_idle(60)
        dropped.update(refused)
        compare(bucket, dropped)
        row("policy for Panoptica/findings/ only",
            "findings delivered, audit held; after the owner's change audit too")


def main():
    global bucket
    with Ceph() as bucket:
        run_tests([
            the_generated_policy_is_taken_as_it_is_and_files_flow,
            the_caller_alone_is_nobody,
            the_test_message_says_that_it_arrived,
            without_the_acl_files_wait_and_why_names_the_condition,
            without_the_acl_the_owner_cannot_read_what_the_generated_policy_lets_in,
            an_upload_in_parts_that_is_refused_is_one_request,
            a_policy_for_one_prefix_lets_that_prefix_through,
        ])


if __name__ == "__main__":
    main()
