#!/usr/bin/python3
# run-on: minio
"""A real MinIO whose disk fills up, whose bucket is deleted, and that takes no more requests than it
is allowed: files wait, status and why name the cause, and all arrives when it is well again.

The disk is a small file system in memory, which takes root; else that part says so and is left out."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

MIB = 1 << 20
CONFIG = {"settle": "100ms"}


class small_disk:
    """A tmpfs of its own, unmounted whatever happens."""

    def __init__(self, size):
        self.size, self.path = size, None

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="spoolgate-e2e-disk-")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", "store", self.path], check=True)
        atexit.register(self.__exit__)
        return self.path

    def resize(self, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", self.path], check=True)

    def __exit__(self, *_):
        if self.path:
            subprocess.run(["umount", "--lazy", self.path], check=False)
            os.rmdir(self.path)
        self.path = None


class MinioAt(Minio):
    """With its data in this directory, and this in its environment."""

    def __init__(self, directory=None, **env):
        super().__init__()
        self.data, self.env = directory, env

    def command(self, directory):
        command = super().command(directory)
        if self.data:
            command[-1] = self.data
        return command

    def environment(self):
        return {**super().environment(), **self.env}


def drop(gateway, count, size, first=0):
    dropped = Dropped()
    for number in range(first, first + count):
        dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number, size))
    return dropped


def wait_told(gateway, path, *words):
    """Until status and why have the words. The cause, as why says it."""
    def told():
        why = gateway.cli("why", path).stdout
        cause = next((line[10:] for line in why.splitlines() if line.startswith("why")), "")
        status = gateway.status()
        return (status["state"] == "stuck" and all(w in cause and w in status["sentence"] for w in words)
                and cause)
    cause = wait_until(told, 40, 0.2)
    if not check(cause, f"status and why say {words}"):
        print("   ", gateway.status()["sentence"])
        print("   ", gateway.cli("why", path).stdout)
    return cause


def one_that_waits(gateway):
    return wait_until(lambda: next(iter(gateway.files("accepted") or gateway.files("deferred")), None), 20)


def check_it_recovers(case, cause, bucket, gateway, dropped, limit=45):
    since = time.monotonic()
    gateway.wait_idle(limit)
    took = time.monotonic() - since
    status = gateway.status()
    check_equal((status["state"], status["files"]["held"], status["files"]["rejected"]), ("ok", 0, 0),
                "state, held, rejected")
    check_equal(status["since_start"]["conflicts"], 0, "files under a second name")
    arrived(case, f"\"{cause}\"; all stored {took:.1f} s after it was well again", bucket, dropped)


def the_disk_is_full():
    if os.geteuid() != 0:
        print("  left out: mounting a small disk takes root")
        return
    with small_disk("96m") as disk, MinioAt(disk) as bucket, Gateway(bucket, CONFIG) as gateway:
        dropped = drop(gateway, 150, MIB)
        path = one_that_waits(gateway)
        cause = wait_told(gateway, path, "507", "XMinioStorageFull", "no space left")
        delivered = gateway.delivered()
        check(0 < delivered < len(dropped), f"{delivered} of {len(dropped)} were delivered before")
        requests = gateway.status()["since_start"]["requests"]
        time.sleep(3)
        check(gateway.status()["since_start"]["requests"] - requests <= 3, "it is not asked again and again")
        disk_of(bucket).resize("600m")
        check_it_recovers("MinIO's disk is full, then larger", cause, bucket, gateway, dropped)


def disk_of(bucket):
    found = small_disk("")
    found.path = bucket.data
    return found


def the_bucket_is_deleted():
    with Minio() as bucket, Gateway(bucket, CONFIG) as gateway:
        dropped = drop(gateway, 30, 500)
        gateway.wait_idle()
        s3 = bucket.s3()
        for name in bucket.list():
            s3.delete_object(Bucket=bucket.bucket, Key=name)
        s3.delete_bucket(Bucket=bucket.bucket)
        more = drop(gateway, 30, 500, 30)
        cause = wait_told(gateway, next(iter(more)), "NoSuchBucket", "no such bucket")
        bucket.make_bucket()
        check_it_recovers("the bucket is deleted and made again", cause, bucket, gateway, more)


def more_requests_than_it_takes():
    """It answers 429 or 503 above its maximum, after its deadline. They are fewer at once then."""
    with MinioAt(MINIO_API_REQUESTS_MAX="2", MINIO_API_REQUESTS_DEADLINE="20ms") as bucket, \
            Gateway(bucket, {**CONFIG, "uploads": 32}) as gateway:
        dropped = drop(gateway, 600, 20000)
        gateway.wait_idle(60)
        status = gateway.status()
        failed_ = status["since_start"]["failed_attempts"]
        check(failed_ > 0, "some requests were too many")
        check(failed_ < 4 * len(dropped), f"{failed_} requests of {status['since_start']['requests']} were too many")
        check_equal(status["since_start"]["conflicts"], 0, "files under a second name")
        stop_process(bucket.process)
        bucket.env = {}
        bucket.start()
        arrived("more requests than MinIO takes (MINIO_API_REQUESTS_MAX=2)",
                f"{failed_} of {status['since_start']['requests']} refused", bucket, dropped)


run_together([the_disk_is_full, the_bucket_is_deleted, more_requests_than_it_takes])
