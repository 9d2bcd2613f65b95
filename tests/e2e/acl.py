#!/usr/bin/python3
# run-on: devstore versitygw
"""Each write carries the signed ACL header, a small object costs one request, and connections are
no more than the pool. The store that refuses a write without the ACL says so in the gateway's
words, and nothing is lost meanwhile."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

MIB = 1 << 20
UPLOADS = 8
SMALL = 300


def large(number, size):
    return b"".join(event(number * 100000 + i, 4096) for i in range(size // 4096 + 1))


def counts_of(bucket):
    """Admin requests are not counted, but their connections are: one for each question asked."""
    return bucket.stats() if isinstance(bucket, Devstore) else None


def check_acl(stats, writes):
    check_equal(stats["puts_with_acl"], writes, "writes with the signed ACL header")
    check_equal(stats["puts_without_acl"], 0, "writes without the ACL")
    check_equal(stats["refused_unsigned_headers"], 0, "requests with an unsigned x-amz- header")


def small_objects_cost_one_request():
    with store() as bucket, Gateway(bucket, {"uploads": UPLOADS, "settle": "100ms"}) as gateway:
        dropped = Dropped()
        if isinstance(bucket, Devstore):
            bucket.fault("latency=20ms")  # so that it is at work on many at a time
        before = counts_of(bucket)
        for number in range(SMALL):
            (dropped.rename, dropped.write, dropped.link)[number % 3](
                gateway.root, key("findings", f"f-{number}.ndjson", account=f"a-{number % 11}"),
                event(number, 200 + number * 37 % 9000))
        gateway.wait_idle(60)
        stats = counts_of(bucket)
        if stats:
            check_acl(stats, SMALL)
            check_equal(stats["operations"], {"PutObject": SMALL}, "requests by operation")
            check_equal(stats["statuses"], {"200": SMALL}, "answers by status")
            # The second question's connection is among them.
            connections = stats["connections_total"] - before["connections_total"] - 1
            check(connections <= UPLOADS, f"{connections} connections, {UPLOADS} allowed")
            check(1 < stats["requests_max_concurrent"] <= UPLOADS,
                  f"{stats['requests_max_concurrent']} requests at a time, {UPLOADS} allowed")
            print(f"  {SMALL} files: {stats['requests']} requests on {connections} connections, "
                  f"{stats['requests_max_concurrent']} at a time at most")
        compare(bucket, dropped)


def small_large_and_conflicting_objects():
    with store() as bucket, Gateway(bucket, {
            "uploads": UPLOADS, "settle": "100ms", "multipart": {"threshold": "5MiB"}}) as gateway:
        dropped, s3 = Dropped(), bucket.s3()
        taken = [key("findings", f"taken-{n}.ndjson") for n in range(4)]
        for n, name in enumerate(taken):
            s3.put_object(Bucket=bucket.bucket, Key=name, Body=event(n if n < 2 else n + 1000),
                          ACL=ACL)
        before = counts_of(bucket)
        for number in range(40):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number, 2000))
        for number in range(3):
            dropped.rename(gateway.root, key("attack_paths", f"large-{number}.ndjson"),
                           large(number, (12 + 5 * number) * MIB))
        for n, name in enumerate(taken):  # two of the same bytes, two of others
            dropped.rename(gateway.root, name, event(n))
        gateway.wait_idle(60)
        since_start = gateway.status()["since_start"]
        check_equal(since_start["delivered_files"], 47, "files delivered")
        check_equal(since_start["verified"], 2, "files that were there already")
        check_equal(since_start["conflicts"], 2, "files stored under a second name")
        if before:
            stats = counts_of(bucket)
            done, was = stats["operations"], before["operations"]
            # 40 + 4 + 2 under the second name, 3 in parts.
            check_equal(done["PutObject"] - was["PutObject"], 46, "PutObject")
            check_equal(done["CreateMultipartUpload"], 3, "CreateMultipartUpload")
            check_equal(stats["puts_with_acl"] - before["puts_with_acl"], 49, "writes with the ACL")
            check_equal(stats["puts_without_acl"], 0, "writes without the ACL")
            check_equal(stats["refused_unsigned_headers"], 0, "unsigned x-amz- headers")
            check_equal(stats["repeated_same"] + stats["repeated_other"], 0, "objects stored again")
            check(stats["requests_max_concurrent"] <= UPLOADS,
                  f"{stats['requests_max_concurrent']} requests at a time, {UPLOADS} allowed")
            print(f"  requests by operation: {done}")
        for n, name in enumerate(taken):
            if n >= 2:
                second = second_name(name, dropped[name][1])
                dropped[second], dropped[name] = dropped[name], digest_of(event(n + 1000))
        compare(bucket, dropped)


def second_name(name, sha256):
    """Where a file goes whose key holds other bytes already."""
    stem, extension = os.path.splitext(name)
    return f"{stem}~{sha256[:8]}{extension}"


def digest_of(data):
    return len(data), hashlib.sha256(data).hexdigest()


def without_the_acl_files_wait():
    with store() as bucket:
        if not isinstance(bucket, Devstore):
            return  # versitygw demands no ACL
        with Gateway(bucket, {"settle": "100ms", "bucket": {"acl": "none"}}) as gateway:
            dropped = Dropped()
            for number in range(20):
                dropped.rename(gateway.root, key("findings" if number % 2 else "audit",
                                                 f"f-{number}.ndjson"), event(number))
            wait_until(lambda: gateway.status()["state"] == "stuck" and
                       gateway.status()["backlog"]["files"] == 20)
            status = gateway.status()
            check_equal(status["state"], "stuck", "state")
            check_equal(bucket.objects(), {}, "objects stored")
            check_equal(sorted(spooled(gateway.root)), sorted(dropped), "files in the spool")
            check_equal(status["files"]["rejected"], 0, "files rejected")
            check("bucket.acl" in status["sentence"] and "403 AccessDenied" in status["sentence"],
                  f"status names the cause: {status['sentence']}")
            print(f"  status: {status['sentence']}")
            why = gateway.cli("why", next(iter(dropped)))
            check_equal(why.returncode, 0, "exit status of why")
            check("bucket.acl" in why.stdout and "403" in why.stdout, f"why names it: {why.stdout}")
            print("  why: " + next((r for r in why.stdout.splitlines() if r.startswith("why")), ""))
            check_equal(bucket.stats()["puts_with_acl"], 0, "writes with the ACL")
            gateway.configure({"bucket": {"acl": ACL}})
            gateway.reload()
            gateway.wait_idle()
            compare(bucket, dropped)
            check_equal(gateway.status()["state"], "ok", "state afterwards")


run_tests([small_objects_cost_one_request, small_large_and_conflicting_objects,
           without_the_acl_files_wait])
