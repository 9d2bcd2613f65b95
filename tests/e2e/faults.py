#!/usr/bin/python3
# also-under: asan valgrind
# takes: long
"""A store that misbehaves in every way there is: when it is well again all is delivered, the same
bytes, and nothing was ever overwritten with others."""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

MIB = 1 << 20
LONG = bool(os.environ.get("SPOOLGATE_LONG"))
CONFIG = {"settle": "100ms", "multipart": {"threshold": "5MiB", "part_size": "5MiB"},
          "timeouts": {"connect": "1s", "first_byte": "1500ms", "stall": "1500ms"}}
FAULTS = {
    "slow-down": ["op=PutObject,probability=0.5,status=503,code=SlowDown,retry-after=1"],
    "internal errors": ["probability=0.4,status=500,code=InternalError"],
    "bad gateway without a body of S3's": ["probability=0.4,status=502"],
    "resets": ["probability=0.4,reset"],
    "stored, and the answer lost": ["probability=0.4,store-then-reset"],
    "answers cut": ["probability=0.4,truncate=10"],
    "answers announced longer": ["op=PutObject,probability=0.4,wrong-length=64",
                                 "op=CompleteMultipartUpload,nth=1,wrong-length=64"],
    "200 with an Error body": ["op=CompleteMultipartUpload,count=3,error200",
                               "op=PutObject,probability=0.3,error200"],
    "garbage instead of XML": ["op=CreateMultipartUpload,count=2,garbage",
                               "op=CompleteMultipartUpload,count=2,garbage"],
    "answers without end": ["op=CreateMultipartUpload,count=1,endless",
                            "op=CompleteMultipartUpload,count=1,endless"],
    "black hole": ["probability=0.2,blackhole"],
    "uploads forgotten": ["op=UploadPart,nth=2,code=NoSuchUpload,status=404",
                          "op=CompleteMultipartUpload,nth=1,code=InvalidPart,status=400"],
    "timeouts told": ["probability=0.4,status=400,code=RequestTimeout"],
    "digests": ["op=PutObject,nth=3,count=2,status=400,code=BadDigest"],
    "a clock 20 minutes ahead": ["skew=20min"],
    "a clock 20 minutes behind": ["skew=-20min"],
    "a storm of slow-downs": ["status=503,code=SlowDown,retry-after=1"],
}


def drop(gateway, count=40, large=2):
    dropped = Dropped()
    for number in range(count):
        (dropped.rename, dropped.write, dropped.link)[number % 3](
            gateway.root, key("findings", f"f-{number}.ndjson"), event(number, 3000))
    for number in range(large):
        data = b"".join(event(number * 1000 + i, 64 * 1024) for i in range(12 * 16))
        dropped.rename(gateway.root, key("attack_paths", f"large-{number}.ndjson"), data)
    return dropped


def one_fault(name, specs):
    with Devstore("--require-acl") as bucket, Gateway(bucket, CONFIG) as gateway:
        for spec in specs:
            bucket.fault(spec)
        dropped = drop(gateway)
        keeps_its_word = wait_until(gateway.is_idle, 5)
        fired = bucket.stats()["faults_fired"]
        check(fired > 0, f"{name}: the fault fired")
        waits = gateway.status()
        if not keeps_its_word:
            check(waits["state"] == "ok" or len(waits["sentence"]) > 20, f"{name}: {waits['sentence']}")
        bucket.clear_faults()
        cleared = time.monotonic()
        gateway.wait_idle(45)
        took = 0 if keeps_its_word else time.monotonic() - cleared
        stats = bucket.stats()
        check_equal(stats["repeated_other"], 0, f"{name}: objects overwritten with other bytes")
        check_equal(stats["puts_without_acl"], 0, f"{name}: writes without the ACL")
        status = gateway.status()
        check_equal(status["since_start"]["conflicts"], 0, f"{name}: files under a second name")
        check_equal(status["since_start"]["delivered_files"], len(dropped), f"{name}: files delivered")
        check_equal((status["files"]["held"], status["files"]["rejected"], status["state"]),
                    (0, 0, "ok"), f"{name}: held, rejected, state")
        compare(bucket, dropped)
        check_equal(gateway.stop(), 0, f"{name}: exit status")
        gateway.journal_verify()
        row(name, f"{fired} faults, {stats['requests']} requests, all delivered "
            + ("meanwhile" if keeps_its_word else f"{took:.1f} s after it was well again"))


def fault_test(name, specs):
    def test():
        one_fault(name, specs)
    test.__name__ = name.replace(" ", "_").replace(",", "").replace("'", "")
    return test


def a_store_that_is_gone_for_one_prefix():
    with Devstore("--require-acl", "--deny-prefix", "Panoptica/audit/") as bucket, \
            Gateway(bucket, CONFIG) as gateway:
        sent, denied = Dropped(), Dropped()
        for number in range(30):
            sent.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
            denied.rename(gateway.root, key("audit", f"a-{number}.ndjson"), event(number))
        gateway.wait_delivered(30)
        compare(bucket, sent)
        status = gateway.status()
        lane = next(t for t in status["event_types"] if t["event_type"] == "audit")
        check(lane["held"] and "AccessDenied" in lane["held"], f"status names the refusal: {lane}")
        check_equal(sorted(spooled(gateway.root)), sorted(denied), "files in the spool")
        check("event types" in status["sentence"], f"the sentence: {status['sentence']}")
        first = next(iter(denied))  # it may have had to be quiet for a while
        wait_until(lambda: "AccessDenied" in gateway.cli("why", first).stdout)
        why = gateway.cli("why", first)
        check("AccessDenied" in why.stdout, f"why names it: {why.stdout}")
        requests = bucket.stats()["requests"]
        time.sleep(2)
        check(bucket.stats()["requests"] - requests <= 2, "it is not asked again and again")
        bucket.stop()
        bucket.options = [o for o in bucket.options if "audit" not in o and o != "--deny-prefix"]
        bucket.start()
        gateway.cli("retry", "--all")
        gateway.wait_idle()
        compare(bucket, Dropped(**sent, **denied))
        row("one prefix refused", "the others flow; \"" + status["sentence"] + "\"")


def a_store_that_refuses_single_objects():
    """The oldest of their event type; they are held in the end, and none waits for them."""
    refusals = {key("findings", "large.ndjson"): ("413,code=RequestEntityTooLarge", "limits the size"),
                key("findings", "name.ndjson"): ("400,code=XMinioInvalidObjectName", "rename the file")}
    with Devstore("--require-acl") as bucket, Gateway(bucket, CONFIG) as gateway:
        bad, sent = Dropped(), Dropped()
        for name, (status, _) in refusals.items():
            bucket.fault(f"op=PutObject,prefix={name},status={status}")
            bad.rename(gateway.root, name, event())
        check(wait_until(lambda: bucket.stats()["faults_fired"] >= 2), "they were refused")
        for number in range(8):
            sent.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        check(wait_until(lambda: len(bucket.keys()) == len(sent), 15), "the others pass")
        compare(bucket, sent)
        check(wait_until(lambda: gateway.status()["files"]["held"] == 2, 60), "they are held")
        lane = next(t for t in gateway.status()["event_types"] if t["event_type"] == "findings")
        check(not lane["held"], f"their event type is not refused: {lane}")
        for name, (_, remedy) in refusals.items():
            why = gateway.cli_json("why", name)
            check_equal((why["state"], why["code"]), ("held", "refused"), f"why {name}: {why}")
            check(remedy in why["why"], f"the remedy: {why['why']}")
        bucket.clear_faults()
        gateway.cli("retry", "--all")
        gateway.wait_idle()
        compare(bucket, Dropped(**sent, **bad))
        row("single objects refused", f"held, and the others flow; {why['why']}")


def a_refusal_that_is_one_files_own():
    """It says no more than AccessDenied (a firewall that dislikes the contents): its event type waits
    until another file passes, and then only that file does."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, CONFIG) as gateway:
        name, slow = key("findings", "bad.ndjson"), key("findings", "slow.ndjson")
        bucket.fault(f"op=PutObject,prefix={name},status=403,code=AccessDenied")
        bucket.fault(f"op=PutObject,prefix={slow},latency=1s")
        bad, sent = Dropped(), Dropped()
        sent.rename(gateway.root, slow, event())  # under way when the other one is refused
        check(wait_until(lambda: bucket.stats()["operations"].get("PutObject")), "one is under way")
        bad.rename(gateway.root, name, event())
        check(wait_until(lambda: bucket.stats()["faults_fired"] >= 2), "the other one is refused")
        for number in range(8):
            sent.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        check(wait_until(lambda: len(bucket.keys()) == len(sent), 60), "the others pass")
        compare(bucket, sent)
        check(wait_until(lambda: gateway.status()["files"]["deferred"] == 1), "it waits by itself")
        lane = next(t for t in gateway.status()["event_types"] if t["event_type"] == "findings")
        check(not lane["held"], f"its event type is not refused any more: {lane}")
        why = gateway.cli_json("why", name)
        check("AccessDenied" in why["why"], f"why: {why}")
        bucket.clear_faults()
        gateway.cli("retry", name)
        gateway.wait_idle()
        compare(bucket, Dropped(**sent, **bad))
        row("one object refused, as if it were its prefix", "the others flow once another one passed")


def keys_that_exist():
    with Devstore("--require-acl") as bucket, Gateway(bucket, CONFIG) as gateway:
        same = {key("findings", "same.ndjson"): event(1), key("findings", "none"): event(2)}
        other = {key("findings", "other.ndjson"): (event(3), event(4)),
                 key("findings", "two.dots.tar.gz"): (event(5), event(6)),
                 key("findings", "noextension"): (event(7), event(8))}
        s3, dropped = bucket.s3(), Dropped()
        for path, data in same.items():
            s3.put_object(Bucket=bucket.bucket, Key=path, Body=data, ACL=ACL)
        for path, (data, _) in other.items():
            s3.put_object(Bucket=bucket.bucket, Key=path, Body=data, ACL=ACL)
        for path, data in same.items():
            dropped.rename(gateway.root, path, data)
        for path, (_, data) in other.items():
            dropped.rename(gateway.root, path, data)
        gateway.wait_idle()
        counts = gateway.status()["since_start"]
        check_equal((counts["verified"], counts["conflicts"]), (2, 3), "verified and kept both")
        for path, (data, new) in other.items():
            digest = hashlib.sha256(new).hexdigest()[:8]
            head, _, name = path.rpartition("/")
            stem, extension = os.path.splitext(name)
            second = f"{head}/{stem}~{digest}{extension}"
            dropped.add(path, data)
            dropped.add(second, new)
            receipt = gateway.cli_json("why", path)
            check_equal(receipt["key"], second, f"the receipt of {path} names the second key")
            check(second in gateway.cli("why", path).stdout, "why names it, too")
        compare(bucket, dropped)
        row("keys that exist: the same bytes, others (keep-both)", "2 verified, 3 kept beside the others")
        check_equal(bucket.stats()["repeated_other"], 0, "objects overwritten with other bytes")
        check("kept_both" in gateway.log(), "the log says so")
        receipt = gateway.cli_json("why", next(iter(same)))
        check(receipt["verified"], f"the receipt says that it was there: {receipt}")


def objects_that_may_not_be_read():
    """What stands under their keys cannot be compared without s3:GetObject: the event type waits for the
    owner, since nobody would release files that were held one by one."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, CONFIG) as gateway:
        s3, dropped = bucket.s3(), Dropped()
        names = [key("findings", f"f-{number}.ndjson") for number in range(3)]
        for number, name in enumerate(names):
            s3.put_object(Bucket=bucket.bucket, Key=name, Body=event(number), ACL=ACL)
        for operation in ("HeadObject", "GetObject"):
            bucket.fault(f"op={operation},status=403,code=AccessDenied")
        for number, name in enumerate(names):
            dropped.rename(gateway.root, name, event(number))
        check(wait_until(lambda: "s3:GetObject" in gateway.status()["sentence"]), "status names the remedy")
        status = gateway.status()
        lane = next(t for t in status["event_types"] if t["event_type"] == "findings")
        check("s3:GetObject" in (lane["held"] or ""), f"the event type waits: {lane}")
        check_equal((status["state"], status["files"]["held"]), ("stuck", 0), "state, files held by themselves")
        bucket.clear_faults()
        gateway.cli("retry", "--all")
        gateway.wait_idle()
        check_equal(gateway.status()["since_start"]["verified"], len(names), "found to be the same")
        compare(bucket, dropped)
        row("objects that may not be read", f"\"{status['sentence']}\"")


def conflicts_may_be_held_or_overwrite():
    name = key("findings", "f.ndjson")
    with Devstore("--require-acl") as bucket, Gateway(bucket, {**CONFIG, "conflict": "hold"}) as gateway:
        bucket.s3().put_object(Bucket=bucket.bucket, Key=name, Body=event(1), ACL=ACL)
        Dropped().rename(gateway.root, name, event(2))
        check(wait_until(lambda: gateway.status()["files"]["held"] == 1), "the file is held")
        why = gateway.cli("why", name)
        check("held" in why.stdout and "other" in why.stdout, f"why says so: {why.stdout}")
        dropped = Dropped()
        dropped.add(name, event(1))
        compare(bucket, dropped)
        row("a key that exists with other bytes (hold)", re.search(r"(?m)^why +(.*)", why.stdout)[1])
        gateway.configure({"conflict": "overwrite"})
        gateway.reload()
        check(wait_until(lambda: "event=reloaded" in gateway.log()), "reloaded")
        gateway.cli("retry", name)
        gateway.wait_idle()
        dropped.add(name, event(2))
        compare(bucket, dropped)
        row("a key that exists with other bytes (overwrite)", "one object, the new bytes")


LARGE = {"settle": "100ms", "multipart": {"threshold": "5MiB", "part_size": "5MiB", "parallel": 2}}


def large_file(mib, seed=0):
    return b"".join(event(seed + n, 64 * 1024) for n in range(mib * 16))


def uploads_of(bucket):
    """{(key, upload id)} that are under way."""
    listed = bucket.s3().list_multipart_uploads(Bucket=bucket.bucket).get("Uploads", [])
    return {(u["Key"], u["UploadId"]) for u in listed}


def begin_large(bucket, gateway, name, data):
    """Dropped, and stopped by the store after some parts: what is under way."""
    dropped = Dropped()
    bucket.fault("op=UploadPart,nth=4,count=1000,blackhole")
    dropped.rename(gateway.root, name, data)
    check(wait_until(lambda: bucket.stats()["operations"].get("UploadPart", 0) >= 5, 30), "parts were sent")
    time.sleep(0.3)  # until the parts that were answered are on record
    return dropped, uploads_of(bucket)


def foreign_upload(bucket, name):
    s3 = bucket.s3()
    id_ = s3.create_multipart_upload(Bucket=bucket.bucket, Key=name, ACL=ACL)["UploadId"]
    s3.upload_part(Bucket=bucket.bucket, Key=name, UploadId=id_, PartNumber=1, Body=b"x" * 6 * MIB)
    return name, id_


def uploads_that_nobody_goes_on_with():
    """Killed in mid-upload, and the file is another, is gone, or fits one request when it is back:
    that upload is aborted. Nobody else's is."""
    name = key("findings", "large.ndjson")
    for case in ("changed", "removed", "sent in one request"):
        with Devstore("--require-acl") as bucket, Gateway(bucket, LARGE) as gateway:
            theirs = {foreign_upload(bucket, name), foreign_upload(bucket, key("findings", "theirs"))}
            dropped, begun = begin_large(bucket, gateway, name, large_file(40))
            ours = begun - theirs
            check_equal(len(ours), 1, f"{case}: uploads of ours under way")
            gateway.kill()
            bucket.clear_faults()
            if case == "changed":
                dropped.rename(gateway.root, name, large_file(30, 7))
            elif case == "removed":
                os.unlink(os.path.join(gateway.root, dropped.popitem()[0]))
            else:
                gateway.configure({"multipart": {"threshold": "64MiB"}})
            gateway.start()
            gateway.wait_idle(60)
            check(wait_until(lambda: uploads_of(bucket) == theirs),
                  f"{case}: what is left under way: {uploads_of(bucket)}, theirs: {theirs}")
            compare(bucket, dropped)
            row(f"killed in a multipart upload, then the file {case}",
                "our upload is aborted, the two of others stay")


def an_upload_aborted_by_another():
    """NoSuchUpload, for once not by a script."""
    name = key("findings", "large.ndjson")
    for down in (False, True):
        with Devstore("--require-acl") as bucket, Gateway(bucket, {**LARGE, "timeouts": {"first_byte": "2s"}}) as gateway:
            dropped, begun = begin_large(bucket, gateway, name, large_file(40))
            check_equal(len(begun), 1, "uploads under way")
            if down:
                gateway.kill()
            s3 = bucket.s3()
            for upload in begun:
                s3.abort_multipart_upload(Bucket=bucket.bucket, Key=name, UploadId=upload[1])
            bucket.clear_faults()
            if down:
                gateway.start()
            gateway.wait_idle(60)
            done = bucket.stats()["operations"]
            check_equal(done["CreateMultipartUpload"], 2, "uploads begun")
            check_equal(uploads_of(bucket), set(), "uploads left")
            compare(bucket, dropped)
            row("an upload aborted by another client, gateway " + ("down" if down else "running"),
                f"begun anew, {done['UploadPart']} parts sent")


def a_file_that_changes_within_its_upload():
    name = key("findings", "large.ndjson")
    with Devstore("--require-acl") as bucket, Gateway(bucket, {**LARGE, "timeouts": {"first_byte": "2s"}}) as gateway:
        dropped, begun = begin_large(bucket, gateway, name, large_file(40))
        dropped.rename(gateway.root, name, large_file(35, 3))
        bucket.clear_faults()
        gateway.wait_idle(60)
        check_equal(uploads_of(bucket) & begun, set(), "the first upload is gone")
        check_equal(uploads_of(bucket), set(), "uploads left")
        compare(bucket, dropped)
        check_equal(bucket.stats()["repeated_other"], 0, "objects overwritten with other bytes")
        row("a file that changes within its multipart upload", "begun anew with the new bytes, the old upload aborted")


def a_second_name_whose_upload_fails():
    """What was begun under the name that keeps both is known to no later try: it goes with the one that began it, and
    so does the first upload, which the next try is not to complete."""
    name = key("findings", "large.ndjson")
    data, there = large_file(8, 3), large_file(7)
    second = name.replace(".ndjson", f"~{hashlib.sha256(data).hexdigest()[:8]}.ndjson")
    with Devstore("--require-acl") as bucket, Gateway(bucket, LARGE) as gateway:
        bucket.s3().put_object(Bucket=bucket.bucket, Key=name, Body=there, ACL=ACL)
        bucket.fault("op=CompleteMultipartUpload,nth=2,count=1,status=500,code=InternalError")
        Dropped().rename(gateway.root, name, data)
        gateway.wait_idle(60)
        done = bucket.stats()["operations"]
        check_equal(uploads_of(bucket), set(), "uploads left")
        check_equal([done[f"{what}MultipartUpload"] for what in ("Create", "Complete", "Abort")], [4, 4, 3],
                    "uploads created, completed and aborted")
        dropped = Dropped()
        dropped.add(name, there)
        dropped.add(second, data)
        compare(bucket, dropped)
        row("a second name whose upload fails once", "none is left, and none that is gone is completed")


def killed_in_a_large_upload():
    parts_in_flight = 4
    with Devstore("--require-acl") as bucket, Gateway(bucket, {
            "settle": "100ms", "multipart": {"part_size": "5MiB", "parallel": parts_in_flight}}) as gateway:
        dropped, mib = Dropped(), 1024 if LONG else 300 if SLOW == 1 else 70
        data = large_file(mib)
        parts = -(-len(data) // (5 * MIB))
        bucket.fault("op=UploadPart,latency=150ms")
        dropped.rename(gateway.root, key("findings", "large.ndjson"), data)
        kills = 3 if SLOW == 1 else 1
        for round_ in range(kills):
            goal = parts * (round_ + 1) // (kills + 1)
            check(wait_until(lambda: bucket.stats()["operations"].get("UploadPart", 0) >= goal, 60),
                  f"{goal} parts were begun")
            gateway.kill()
            gateway.start()
        bucket.clear_faults()
        gateway.wait_idle(120)
        done = bucket.stats()["operations"]
        compare(bucket, dropped)
        check_equal(done["CreateMultipartUpload"], 1, "uploads begun")
        extra = done["UploadPart"] - parts
        check(extra <= kills * parts_in_flight, f"{extra} parts were sent again in {kills} kills")
        check("ListParts" not in done and "DeleteObject" not in done, f"requests: {done}")
        row(f"killed {kills} times in {mib} MiB of {parts} parts", f"{extra} parts sent again")


def a_large_file_of_a_store_that_asked_for_less():
    """One request at a time is one, of a large file's parts, too."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, {**LARGE, "uploads": 2}) as gateway:
        dropped = Dropped()
        bucket.fault("op=PutObject,count=1,status=503,code=SlowDown")
        dropped.rename(gateway.root, key("findings", "small.ndjson"), event(1))
        gateway.wait_idle(60)
        check_equal(gateway.status()["destination"]["concurrency"], 1, "requests allowed after a SlowDown")
        bucket.fault("op=UploadPart,latency=100ms")
        dropped.rename(gateway.root, key("findings", "large.ndjson"), large_file(30))
        gateway.wait_idle(60)
        check_equal(bucket.stats()["requests_max_concurrent"], 1, "requests at the same time")
        compare(bucket, dropped)
        row("a large file after a SlowDown", "one part after the other")


def everything_at_once():
    with Devstore("--require-acl") as bucket, Gateway(bucket, CONFIG) as gateway:
        for spec in ("probability=0.05,reset", "probability=0.05,store-then-reset",
                     "probability=0.05,status=503,code=SlowDown", "probability=0.03,truncate=20",
                     "probability=0.1,latency=300ms", "op=CompleteMultipartUpload,probability=0.3,error200",
                     "probability=0.01,blackhole"):
            bucket.fault(spec)
        dropped = drop(gateway, 300, 4)
        for _ in range(2):
            time.sleep(1.5)
            gateway.kill()
            gateway.start()
        time.sleep(2)
        bucket.clear_faults()
        gateway.wait_idle(60)
        compare(bucket, dropped)
        check_equal(bucket.stats()["repeated_other"], 0, "objects overwritten with other bytes")
        row("everything at once, and two kills", f"{len(dropped)} files")


run_tests([*(fault_test(name, specs) for name, specs in FAULTS.items()),
           a_store_that_is_gone_for_one_prefix, a_store_that_refuses_single_objects,
           a_refusal_that_is_one_files_own, keys_that_exist,
           objects_that_may_not_be_read, conflicts_may_be_held_or_overwrite,
           uploads_that_nobody_goes_on_with, an_upload_aborted_by_another, a_file_that_changes_within_its_upload,
           a_second_name_whose_upload_fails, killed_in_a_large_upload,
           a_large_file_of_a_store_that_asked_for_less, everything_at_once])
