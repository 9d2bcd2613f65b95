#!/usr/bin/python3
# run-on: minio
"""MinIO over TLS with a CA of its own, as contrib/minio-test sets it up: a user who may do no more
than has to be, and keys of its STS over TLS, too. A CA that is not the store's is named as such."""

import os
import shlex
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

TOOLS = os.path.join(REPOSITORY, "contrib/minio-test")
ROLE = "arn:aws:iam::111122223333:role/panoptica-customer"


class TlsMinio(Store):
    """Started and stopped by the scripts for people."""

    name = "minio"

    def __enter__(self):
        self._dir = scratch_dir()
        self.directory = self._dir.__enter__()
        self.run = os.path.join(self.directory, "run")
        atexit.register(self.tool, "down")
        self.tool("up", "--tls")
        bucket = json.loads(self.tool("bucket"))["bucket"]
        self.url, self.ca = bucket["endpoint"], bucket["ca_file"]
        self.users = {name: self.keys(self.tool("users", name)) for name in ("collector", "role")}
        self.access_key, self.secret_key = self.keys(self.tool("up"))
        return self

    def __exit__(self, *_):
        self.tool("down")
        atexit.unregister(self.tool)
        self._dir.__exit__()

    def tool(self, name, *arguments):
        done = subprocess.run([os.path.join(TOOLS, name), *arguments], capture_output=True, text=True, timeout=120,
                              env=clean_environment(SPOOLGATE_STORE_RUN=self.run, SPOOLGATE_CACHE=CACHE))
        if done.returncode != 0:
            raise RuntimeError(f"{name}: {done.stderr}")
        return done.stdout

    @staticmethod
    def keys(text):
        lines = dict(line.removeprefix("export ").split("=", 1) for line in text.splitlines())
        return lines["AWS_ACCESS_KEY_ID"], lines["AWS_SECRET_ACCESS_KEY"]

    def s3(self, **more):
        return super().s3(verify=self.ca, **more)

    def environment_of(self, user):
        return dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), self.users[user]))


def config_of(minio, ca, **credentials):
    return {"settle": "100ms", "bucket": {"ca_file": ca}, "credentials": credentials}


def drop(gateway, dropped, name):
    for number in range(5):
        dropped.rename(gateway.root, key("findings", f"{name}-{number}.ndjson"), event(number))
    dropped.rename(gateway.root, key("findings", f"{name}-large.ndjson"), event(0, 17 << 20))  # in parts


def check_flows(minio, case, user, **credentials):
    with Gateway(minio, config_of(minio, minio.ca, **credentials), env=minio.environment_of(user)) as gateway:
        dropped = Dropped()
        drop(gateway, dropped, user)
        gateway.wait_idle()
        told = gateway.status()["destination"]["credentials"]
        temporary = bool(credentials)
        check_equal((told["access_key_id"] == minio.users[user][0], bool(told["expires"])),
                    (not temporary, temporary), f"{case}: whose keys")
        compare(minio, dropped)
        row(case, told["origin"])
        for bucket_key in list(minio.list()):
            minio.s3().delete_object(Bucket=minio.bucket, Key=bucket_key)


def check_wrong_ca(minio, role):
    wrong = os.path.join(minio.directory, "wrong.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", wrong + ".key", "-out", wrong, "-days", "30", "-subj", "/CN=another"],
                   check=True, capture_output=True)
    for case, user, credentials in (("another CA", "collector", {}),
                                    ("another CA, STS", "role", {"assume_role": role})):
        with Gateway(minio, config_of(minio, wrong, **credentials), env=minio.environment_of(user)) as gateway:
            dropped = Dropped()
            drop(gateway, dropped, user)
            sentence = wait_until(lambda: "certificate" in gateway.status()["sentence"] and
                                  gateway.status()["sentence"]) or gateway.status()["sentence"]
            check("certificate" in sentence, f"{case}: the certificate is named: {sentence}")
            check("bucket.ca_file" in sentence, f"{case}: the remedy is named: {sentence}")
            row(case, sentence[:200])
            # Beside the configuration, where the sandbox reaches what comes later.
            trusted = shutil.copy(minio.ca, os.path.join(gateway.directory, "trusted.pem"))
            gateway.configure({"bucket": {"ca_file": trusted}})
            gateway.reload()
            gateway.wait_idle()
            compare(minio, dropped)
            for bucket_key in list(minio.list()):
                minio.s3().delete_object(Bucket=minio.bucket, Key=bucket_key)


def over_tls():
    with TlsMinio() as minio:
        role = {"arn": ROLE, "endpoint": minio.url, "duration": "15min"}
        check_flows(minio, "a restricted user", "collector")
        check_flows(minio, "STS over TLS", "role", assume_role=role)
        check_wrong_ca(minio, role)
        with Gateway(minio, config_of(minio, minio.ca), env=minio.environment_of("collector")) as gateway:
            gateway.configure({"bucket": {"arn": "arn:aws:s3:::another-bucket"}})
            done = gateway.cli("test")
            told = done.stdout + done.stderr
            check(done.returncode == 1 and "s3:PutObject" in told, f"no other bucket is allowed: {done}")


run_tests([over_tls])
