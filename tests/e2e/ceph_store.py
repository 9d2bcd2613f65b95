# run-on: no store: what the scripts for Ceph share
"""Ceph's S3 gateway as a store of lib.py: contrib/ceph-test's cluster in a scratch directory, with the
bucket's owner, the caller, and the role that the caller assumes.

access_key and secret_key, and with them s3(), objects() and grants(), are the owner's: the role may
not list the grants. role() gives the keys that STS gives for the role.
"""

import os
import subprocess

from lib import *

ROLE = "arn:aws:iam::111122223333:role/panoptica-customer"
CALLER = "arn:aws:iam::111122223333:user/panoptica"
ARN = f"arn:aws:s3:::{BUCKET}"
OWNER_NAME = "the bucket's owner"
SCRIPTS = os.path.join(REPOSITORY, "contrib/ceph-test")


def client(store, service, keys, **options):
    """A boto3 client with keys of (id, secret[, token]). It sends bodies at once: after a refusal
    before `100 Continue` Ceph leaves the connection unusable."""
    import boto3
    from botocore.config import Config
    made = boto3.client(
        service, endpoint_url=store.url, region_name=store.region, aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1], aws_session_token=keys[2] if len(keys) > 2 else None,
        config=Config(retries={"max_attempts": 0}, read_timeout=20,
                      s3={"addressing_style": "path", "payload_signing_enabled": True}, **options))
    if service == "s3":
        made.meta.events.unregister("before-call.s3", _expect_header())
    return made


def _expect_header():
    from botocore.handlers import add_expect_header
    return add_expect_header


class Ceph(Store):
    name = "ceph"
    enforces_acl = True

    def __enter__(self):
        self._dir = scratch_dir()
        self.directory = os.path.join(self._dir.__enter__(), "c")
        atexit.register(self._down)
        done = subprocess.run([os.path.join(SCRIPTS, "up"), self.directory], capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=300 * SLOW)
        if done.returncode != 0:
            raise RuntimeError(f"Ceph did not start: {done.stderr[-2000:]}")
        self._take(done.stdout)
        return self

    def _take(self, text):
        env = dict(line.removeprefix("export ").split("=", 1) for line in text.splitlines())
        self.url = env["AWS_ENDPOINT_URL_S3"]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.access_key, self.secret_key = env["OWNER_ACCESS_KEY_ID"], env["OWNER_SECRET_ACCESS_KEY"]
        self.root = env["ROOT_ACCESS_KEY_ID"], env["ROOT_SECRET_ACCESS_KEY"]
        self.caller = env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]

    def _down(self):
        subprocess.run([os.path.join(SCRIPTS, "down"), self.directory], capture_output=True,
                       timeout=60, check=False)

    def __exit__(self, *_):
        self._down()
        atexit.unregister(self._down)
        self._dir.__exit__()

    def s3(self, keys=None, **_):
        return client(self, "s3", keys or (self.access_key, self.secret_key))

    def role(self, seconds=3600, session="spoolgate", keys=None):
        """(id, secret, token) of the role."""
        sts = client(self, "sts", keys or self.caller)
        got = sts.assume_role(RoleArn=ROLE, RoleSessionName=session, DurationSeconds=seconds)
        return tuple(got["Credentials"][n] for n in
                     ("AccessKeyId", "SecretAccessKey", "SessionToken"))

    def set_policy(self, document):
        """Text or a document; None removes it."""
        if document is None:
            self.s3().delete_bucket_policy(Bucket=BUCKET)
            return
        text = document if isinstance(document, str) else json.dumps(document)
        self.s3().put_bucket_policy(Bucket=BUCKET, Policy=text)

    def policy(self):
        return self.s3().get_bucket_policy(Bucket=BUCKET)["Policy"]

    def empty(self):
        s3 = self.s3()
        for name in self.list():
            s3.delete_object(Bucket=BUCKET, Key=name)
        for upload in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])

    def make_bucket(self):
        """It is there from the start."""


class RoleGateway(Gateway):
    """A gateway that has the caller's keys, and assumes the role with them."""

    def __init__(self, bucket, config=None, **more):
        assume = {"arn": ROLE, "external_id": "customer-1", "endpoint": bucket.url}
        super().__init__(bucket, {"settle": "100ms", "credentials": {"assume_role": assume},
                                  **(config or {})},
                         env={"AWS_ACCESS_KEY_ID": bucket.caller[0],
                              "AWS_SECRET_ACCESS_KEY": bucket.caller[1]}, **more)


def running(directory):
    """The cluster that contrib/ceph-test/up made there."""
    store = Ceph()
    with open(os.path.join(directory, "env")) as file:
        store._take(file.read())
    return store
