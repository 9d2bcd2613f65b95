#!/usr/bin/python3
# run-on: devstore minio versitygw ceph
"""How the bucket's owner wants objects to be kept: encrypted, in a class, with tags, in that owner's
bucket only. Each store is asked for what it can do, and says afterwards what it did."""

import functools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ceph_store import *

MIB = 1 << 20
ASCII_TAGS = {"team": "siem @ 4", "empty": "", "cost centre": "a+b=c/d"}
TAGS = {**ASCII_TAGS, "größe": ""}
KEY = "siem-key"
ACCOUNT = "444455556666"  # devstore's bucket is this account's
KMS = {"algorithm": "aws:kms", "kms_key_id": KEY}

# What each store can do. MinIO has no tags beyond ASCII. Ceph's SSE-S3 came with 17, and it forgets
# the tags of what goes in parts. versitygw keeps neither class nor encryption.
WANTED = {
    "devstore": {"encryption": {**KMS, "bucket_key_enabled": True, "context": {"app": "siem"}},
                 "storage_class": "STANDARD_IA", "tags": TAGS, "expected_owner": ACCOUNT,
                 "requester_pays": True},
    "minio": {"encryption": {"algorithm": "AES256"}, "storage_class": "REDUCED_REDUNDANCY",
              "tags": ASCII_TAGS, "requester_pays": True},
    "versitygw": {"encryption": {"algorithm": "AES256"}, "storage_class": "STANDARD", "tags": TAGS,
                  "requester_pays": True},
    "ceph": {"encryption": KMS, "storage_class": "STANDARD", "tags": TAGS, "requester_pays": True},
}


class EncryptingMinio(Minio):
    def environment(self):
        return {**super().environment(),
                "MINIO_KMS_SECRET_KEY": KEY + ":c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE="}


def store_with_keys():
    name = os.environ.get("SPOOLGATE_STORE") or "devstore"
    return {"minio": EncryptingMinio, "ceph": Ceph}.get(name, store)()


def gateway_of(bucket, config):
    """On Ceph with the role, else with the keys of the store."""
    if bucket.name == "ceph":
        return RoleGateway(bucket, config)
    return Gateway(bucket, {"settle": "100ms", **config})


def large(size):
    return b"".join(event(i, 4096) for i in range(size // 4096 + 1))


def headers_of(bucket, path):
    return bucket.s3().head_object(Bucket=BUCKET, Key=path)["ResponseMetadata"]["HTTPHeaders"]


def tags_of(bucket, path):
    got = bucket.s3().get_object_tagging(Bucket=BUCKET, Key=path)["TagSet"]
    return {t["Key"]: t["Value"] for t in got}


def check_kept(bucket, path, wanted):
    got = headers_of(bucket, path)
    sse = "x-amz-server-side-encryption"
    encryption = wanted["encryption"]
    if bucket.name != "versitygw":
        check_equal(got.get(sse), encryption["algorithm"], f"encryption of {path}")
    if "kms_key_id" in encryption:
        check(got.get(sse + "-aws-kms-key-id", "").endswith(KEY), f"key of {path}: {got}")
    if bucket.name == "devstore":
        check_equal(got.get(sse + "-bucket-key-enabled"), "true", "bucket key")
        check_equal(got.get(sse + "-context"), "eyJhcHAiOiJzaWVtIn0=", "context")
        check_equal(got.get("x-amz-tagging"),
                    "team=siem%20%40%204&empty=&cost%20centre=a%2Bb%3Dc%2Fd&gr%C3%B6%C3%9Fe=", "tags")
    elif bucket.name != "ceph" or "large" not in path:
        check_equal(tags_of(bucket, path), wanted["tags"], f"tags of {path}")
    if wanted["storage_class"] != "STANDARD":
        check_equal(got.get("x-amz-storage-class"), wanted["storage_class"], f"class of {path}")


def small_and_large_objects_are_kept_as_configured(bucket):
    wanted = WANTED[bucket.name]
    config = {"bucket": wanted, "multipart": {"threshold": "5MiB", "part_size": "5MiB"}}
    with gateway_of(bucket, config) as gateway:
        dropped = Dropped()
        for number in range(10):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        dropped.rename(gateway.root, key("findings", "large.ndjson"), large(11 * MIB))
        gateway.wait_idle(60)
        compare(bucket, dropped)
        for path in (key("findings", "f-0.ndjson"), key("findings", "large.ndjson")):
            check_kept(bucket, path, wanted)
        row(f"{', '.join(sorted(wanted))} on {bucket.name}", f"{len(dropped)} objects kept as asked")


def a_repeated_file_is_found_to_be_there(bucket):
    """The comparison after a 412 does without MD5 ETags, which encryption by KMS takes away."""
    with gateway_of(bucket, {"bucket": WANTED[bucket.name]}) as gateway:
        dropped = Dropped()
        for _ in range(2):
            dropped.rename(gateway.root, key("audit", "same.ndjson"), event(7))
            gateway.wait_idle(60)
        found = [k for k in bucket.list() if "/audit/" in k]
        check_equal(found, list(dropped), "objects of a file that came twice")


def another_owner_is_refused_and_files_wait(bucket):
    with gateway_of(bucket, {"bucket": {"expected_owner": "999999999999"}}) as gateway:
        dropped = Dropped()
        dropped.rename(gateway.root, key("raw", "f.ndjson"), event())
        wait_until(lambda: "AccessDenied" in gateway.cli("why", next(iter(dropped))).stdout)
        said = gateway.cli("why", next(iter(dropped))).stdout
        check("AccessDenied" in said, f"why: {said}")
        check_equal(spooled(gateway.root), list(dropped), "files in the spool")
        gateway.configure({"bucket": {"expected_owner": ACCOUNT}})
        gateway.reload()
        gateway.wait_idle(60)
        row("expected_owner of another account", "403, held; corrected: it flows")


def an_upload_of_before_a_reload_is_not_gone_on_with(bucket):
    """It would be an object as it was configured then."""
    with gateway_of(bucket, {"multipart": {"threshold": "5MiB", "part_size": "5MiB"}}) as gateway:
        dropped, name = Dropped(), key("findings", "reloaded.ndjson")
        completed = lambda: bucket.stats()["operations"].get("CompleteMultipartUpload", 0)
        before = completed()
        bucket.fault("op=CompleteMultipartUpload,status=500,code=InternalError")
        dropped.rename(gateway.root, name, large(11 * MIB))
        check(wait_until(lambda: completed() > before, 30), "all parts were sent")
        gateway.configure({"bucket": {"storage_class": "STANDARD_IA"}})
        gateway.reload()
        check(wait_until(lambda: "event=reloaded" in gateway.log(), 30), "reloaded")
        bucket.clear_faults()
        gateway.wait_idle(60)
        check_equal(headers_of(bucket, name).get("x-amz-storage-class"), "STANDARD_IA", "class of the object")
        left = bucket.s3().list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        check_equal(left, [], "uploads left")
        row("the class is changed while a large file waits for its next try", "begun anew with it")


def main():
    with store_with_keys() as bucket:
        tests = [small_and_large_objects_are_kept_as_configured,
                 a_repeated_file_is_found_to_be_there]
        if bucket.name == "devstore":
            tests += [another_owner_is_refused_and_files_wait,
                      an_upload_of_before_a_reload_is_not_gone_on_with]
        if bucket.name == "ceph":
            bucket.set_policy(subprocess.run(
                [SPOOLGATE, "policy", "generate", "--role", ROLE, "--bucket-arn", ARN],
                capture_output=True, text=True, check=True, timeout=20).stdout)
        run_tests([named(test, bucket) for test in tests])


def named(test, bucket):
    call = functools.partial(test, bucket)
    call.__name__ = test.__name__
    return call


if __name__ == "__main__":
    main()
