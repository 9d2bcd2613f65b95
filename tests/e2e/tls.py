#!/usr/bin/python3
"""A store whose certificate cannot be accepted: the files wait, status and why name what is wrong
with it and the remedy, and when it is mended everything flows by itself, without a restart."""

import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

FILES = 40
CONFIG = {"settle": "100ms", "timeouts": {"connect": "3s", "first_byte": "3s", "stall": "3s"}}
CA_CONFIG = """[ca]
default_ca = here
[here]
dir = .
database = index
new_certs_dir = .
serial = serial
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


class Authority:
    """A CA in a directory of its own, and the certificates that it signs."""

    def __init__(self, directory, name):
        self.directory = os.path.join(directory, name)
        os.mkdir(self.directory)
        for file, text in (("ca.conf", CA_CONFIG), ("index", ""), ("serial", "01\n")):
            with open(os.path.join(self.directory, file), "w") as out:
                out.write(text)
        self.openssl("req", "-x509", *self.new_key("ca.key"), "-out", "ca.pem", "-days", "30",
                     "-subj", f"/CN={name}")
        self.pem = os.path.join(self.directory, "ca.pem")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.directory)

    @staticmethod
    def new_key(name):
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name

    def certificate(self, name, alternative="IP:127.0.0.1", days=(-1, 30)):
        """(certificate, key), valid from the first to the second day from now."""
        begin, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + d * 86400)) for d in days)
        self.openssl("req", *self.new_key(name + ".key"), "-out", name + ".csr", "-subj", f"/CN={name}",
                     "-addext", f"subjectAltName={alternative}")
        self.openssl("ca", "-config", "ca.conf", "-batch", "-in", name + ".csr", "-out", name + ".pem",
                     "-cert", "ca.pem", "-keyfile", "ca.key", "-startdate", begin, "-enddate", end,
                     "-notext")
        return [os.path.join(self.directory, name + end) for end in (".pem", ".key")]


def drop(gateway, first=0):
    dropped = Dropped()
    for number in range(first, first + FILES):
        dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number, 500))
    return dropped


def check_it_waits(gateway, dropped, code, *words):
    """status and why name the cause. The sentence."""
    def told():
        status = gateway.status()
        return status["state"] == "stuck" and status["destination"]["code"] == code and status
    status = wait_until(told, 20) or gateway.status()
    check_equal((status["state"], status["destination"]["code"]), ("stuck", code), "state and code")
    why = gateway.cli("why", next(iter(dropped))).stdout
    for word in words:
        check(word in status["sentence"], f"status says {word!r}: {status['sentence']}")
        check(word in why, f"why says {word!r}: {why}")
    check_equal((status["files"]["held"], status["files"]["rejected"]), (0, 0), "held, rejected")
    return status["sentence"]


def check_it_flows(case, sentence, bucket, gateway, dropped):
    """Within seconds, by itself, in the same process."""
    since = time.monotonic()
    gateway.wait_idle(40)
    took = time.monotonic() - since
    check_equal(gateway.status()["state"], "ok", f"{case}: state afterwards")
    check_equal(gateway.starts, 1, f"{case}: starts")
    cause = sentence.split("wait for the bucket: ")[-1]
    arrived(case, f"\"{cause}\"; all stored {took:.1f} s after it was mended", bucket, dropped)


class PlainStore:
    """The same store, asked by this test without TLS: its objects are read from its directory."""

    def __init__(self, bucket):
        self.directory = os.path.join(bucket.options[bucket.options.index("--dir") + 1], "objects")

    def objects(self):
        found = {}
        for name in os.listdir(self.directory):
            path = os.path.join(self.directory, name)
            found[percent_decoded(name)] = (os.path.getsize(path), sha256_file(path))
        return found


def percent_decoded(name):
    import urllib.parse
    return urllib.parse.unquote(name)


def bad_certificate(case, code, words, **wrong):
    """The store has a certificate that is wrong, and gets a good one."""
    def test():
        with scratch_dir() as directory:
            authority = Authority(directory, "customer-ca")
            bad, good = authority.certificate("bad", **wrong), authority.certificate("good")
            with Devstore("--dir", os.path.join(directory, "d"), "--tls", *bad) as bucket, \
                    Gateway(bucket, {**CONFIG, "bucket": {"ca_file": authority.pem}}) as gateway:
                dropped = drop(gateway)
                sentence = check_it_waits(gateway, dropped, code, *words)
                bucket.stop()
                bucket.options[-2:] = good
                bucket.start()
                check_it_flows(case, sentence, PlainStore(bucket), gateway, dropped)
    test.__name__ = case.replace(" ", "_").replace(",", "")
    return test


def certificate_that_turns_bad():
    """A kept connection lives on; those after it see the other certificate."""
    with scratch_dir() as directory:
        authority = Authority(directory, "customer-ca")
        good, bad = authority.certificate("good"), authority.certificate("bad", days=(-9, -2))
        with Devstore("--dir", os.path.join(directory, "d"), "--tls", *good) as bucket, \
                Gateway(bucket, {**CONFIG, "bucket": {"ca_file": authority.pem}}) as gateway:
            dropped = drop(gateway)
            gateway.wait_idle()
            bucket.stop()
            bucket.options[-2:] = bad
            bucket.start()
            more = drop(gateway, FILES)
            sentence = check_it_waits(gateway, more, "CertificateExpired", "has expired")
            bucket.stop()
            bucket.options[-2:] = good
            bucket.start()
            check_it_flows("a certificate that expires while files flow", sentence,
                           PlainStore(bucket), gateway, Dropped(**dropped, **more))


def self_signed():
    """Mended on our side, by the configuration."""
    with scratch_dir() as directory:
        authority = Authority(directory, "nobody-knows-me")
        authority.openssl("req", "-x509", *authority.new_key("self.key"), "-out", "self.pem", "-subj",
                          "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "9")
        cert, private = (os.path.join(authority.directory, "self" + end) for end in (".pem", ".key"))
        with Devstore("--dir", os.path.join(directory, "d"), "--tls", cert, private) as bucket, \
                Gateway(bucket, CONFIG) as gateway:
            dropped = drop(gateway)
            sentence = check_it_waits(gateway, dropped, "CertificateUnknown", "bucket.ca_file")
            # Beside the configuration, where the sandbox reaches what comes later.
            trusted = shutil.copy(cert, os.path.join(gateway.directory, "trusted.pem"))
            gateway.configure({"bucket": {"ca_file": trusted}})
            gateway.reload()
            check_it_flows("self-signed, then bucket.ca_file and a reload", sentence,
                           PlainStore(bucket), gateway, dropped)


def unknown_authority():
    """Mended on our side by another content of the file that is configured, without a reload."""
    with scratch_dir() as directory:
        theirs, other = Authority(directory, "their-ca"), Authority(directory, "other-ca")
        trusted = os.path.join(directory, "trusted.pem")
        shutil.copy(other.pem, trusted)
        with Devstore("--dir", os.path.join(directory, "d"), "--tls",
                      *theirs.certificate("good")) as bucket, \
                Gateway(bucket, {**CONFIG, "bucket": {"ca_file": trusted}}) as gateway:
            dropped = drop(gateway)
            sentence = check_it_waits(gateway, dropped, "CertificateUnknown", "bucket.ca_file")
            shutil.copy(theirs.pem, trusted + ".new")
            os.replace(trusted + ".new", trusted)
            check_it_flows("an unknown authority, then added to the file", sentence,
                           PlainStore(bucket), gateway, dropped)


def no_tls_there():
    """https:// where plain HTTP is spoken, then the store speaks TLS."""
    with scratch_dir() as directory:
        authority = Authority(directory, "customer-ca")
        with Devstore("--dir", os.path.join(directory, "d")) as bucket:
            bucket.url = bucket.url.replace("http:", "https:")
            with Gateway(bucket, {**CONFIG, "bucket": {"ca_file": authority.pem}}) as gateway:
                dropped = drop(gateway)
                sentence = check_it_waits(gateway, dropped, "TlsFailed", "TLS", "bucket.endpoint")
                bucket.stop()
                bucket.options += ["--tls", *authority.certificate("good")]
                bucket.start()
                check_it_flows("plain HTTP where TLS is asked for", sentence, PlainStore(bucket),
                               gateway, dropped)


run_together([
    bad_certificate("a certificate for another name", "CertificateOtherName",
                    ["another name", "bucket.endpoint"], alternative="DNS:elsewhere.example"),
    bad_certificate("an expired certificate", "CertificateExpired", ["has expired", "renewed"],
                    days=(-9, -2)),
    bad_certificate("a certificate of tomorrow", "CertificateNotYetValid", ["not valid yet", "clock"],
                    days=(2, 9)),
    certificate_that_turns_bad, self_signed, unknown_authority, no_tls_there])
