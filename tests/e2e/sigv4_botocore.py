#!/usr/bin/env python3
"""Our signer and botocore's on random requests: every stage must be the same text.

    sigv4_botocore.py BUILD_DIRECTORY [CASES [SEED]]

Keys, queries and headers are random Unicode, with spaces and reserved characters. The last
line is "N passed, N failed"; exits with 1 if a stage differed, with 77 (skipped) without botocore.
"""
import datetime
import hashlib
import json
import pathlib
import random
import subprocess
import sys
from urllib.parse import quote

try:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError:
    print("skipped: botocore is not installed")
    sys.exit(77)

RESERVED = "!*'();:@&=+$,/?#[]% \"<>\\^`{|}~-._"
WORDS = ["Panoptica", "2026-11-23", "..", ".", "", "a b", "füße", "日本", "Ω≈", "🙂", "%41", "+", "a=b&c"]
METHODS = ["GET", "PUT", "POST", "HEAD", "DELETE"]
REGIONS = ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "ap-southeast-4"]
NAMES = ["x-amz-acl", "x-amz-checksum-sha256", "content-type", "content-md5", "if-none-match", "range",
         "x-amz-meta-a", "x-amz-meta-a-b", "x-amz-meta-ab", "content-length", "x-amz-server-side-encryption"]


def character(rnd):
    kind = rnd.randrange(10)
    if kind < 5:
        return chr(rnd.randrange(0x21, 0x7F))
    if kind < 8:
        return rnd.choice(RESERVED)
    while True:  # neither controls nor surrogates
        point = rnd.choice([rnd.randrange(0xA1, 0x800), rnd.randrange(0x800, 0xD800), rnd.randrange(0xE000, 0x10FFFE)])
        if chr(point).isprintable():
            return chr(point)


def text(rnd, longest):
    return "".join(character(rnd) for _ in range(rnd.randrange(longest + 1)))


def key(rnd):
    parts = [rnd.choice(WORDS) if rnd.random() < 0.4 else text(rnd, 12) for _ in range(rnd.randrange(6))]
    return "/".join(parts)


def header_value(rnd):
    """Printable ASCII with runs of blanks and tabs: what may stand in a header."""
    return "".join(rnd.choice("   \t" + "".join(map(chr, range(0x21, 0x7F)))) for _ in range(rnd.randrange(40)))


def case(rnd):
    query = [[text(rnd, 6) or "q", text(rnd, 8) if rnd.random() < 0.8 else None] for _ in range(rnd.randrange(5))]
    if rnd.random() < 0.3:
        query += [["uploadId", text(rnd, 30)], ["partNumber", str(rnd.randrange(1, 10001))]]
    if query and rnd.random() < 0.2:
        query.append([query[0][0], text(rnd, 8)])  # the same name twice
    headers = [[name, header_value(rnd)] for name in rnd.sample(NAMES, rnd.randrange(len(NAMES)))]
    if rnd.random() < 0.2:
        headers += [["x-amz-meta-twice", header_value(rnd)], ["x-amz-meta-twice", header_value(rnd)]]
    rnd.shuffle(query)
    moment = datetime.datetime(2000, 1, 1) + datetime.timedelta(seconds=rnd.randrange(2 * 10**9))
    return {
        "method": rnd.choice(METHODS),
        "key": key(rnd),
        "query": query,
        "headers": headers,
        "body": bytes(rnd.randrange(256) for _ in range(rnd.randrange(20))),
        "moment": moment,
        "region": rnd.choice(REGIONS),
        "access_key_id": "AKIA" + "".join(rnd.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16)),
        "secret_access_key": "".join(rnd.choices("ABCDabcd0123+/", k=rnd.choice([1, 40, 64, 100]))),
        "token": "".join(rnd.choices("ABCDabcd0123+/=", k=200)) if rnd.random() < 0.5 else None,
        "host": f"bucket-{rnd.randrange(100)}.s3.amazonaws.com",
    }


class Recorder(S3SigV4Auth):
    """Signs at a given time, and keeps what the stages gave."""

    def _modify_request_before_signing(self, request):
        request.context["timestamp"] = self.timestamp
        super()._modify_request_before_signing(request)

    def canonical_request(self, request):
        self.stages["canonical_request"] = super().canonical_request(request)
        return self.stages["canonical_request"]

    def string_to_sign(self, request, canonical_request):
        self.stages["string_to_sign"] = super().string_to_sign(request, canonical_request)
        return self.stages["string_to_sign"]


def by_botocore(c):
    url = f"https://{c['host']}/" + quote(c["key"], safe="/-._~")
    pairs = [quote(n, safe="-._~") + ("" if v is None else "=" + quote(v, safe="-._~")) for n, v in c["query"]]
    if pairs:
        url += "?" + "&".join(pairs)
    request = AWSRequest(method=c["method"], url=url, data=c["body"])
    for name, value in c["headers"]:
        request.headers.add_header(name, value)
    auth = Recorder(
        Credentials(c["access_key_id"], c["secret_access_key"], c["token"]), "s3", c["region"])
    stages = auth.stages = {}
    auth.timestamp = c["moment"].strftime("%Y%m%dT%H%M%SZ")
    auth.add_auth(request)
    stages["authorization"] = request.headers["Authorization"]
    return stages


def for_us(c):
    digest = hashlib.sha256(c["body"]).hexdigest()
    amz_date = c["moment"].strftime("%Y%m%dT%H%M%SZ")
    headers = c["headers"] + [["host", c["host"]], ["x-amz-date", amz_date], ["x-amz-content-sha256", digest]]
    if c["token"]:
        headers.append(["x-amz-security-token", c["token"]])
    told = {name: c[name] for name in ("method", "key", "query", "region", "access_key_id", "secret_access_key")}
    return {**told, "headers": headers, "payload_hash": digest, "amz_date": amz_date, "service": "s3"}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = pathlib.Path(sys.argv[1]) / "tests" / "tools" / "sigv4-sign"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 2500
    rnd = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 20130524)
    cases = [case(rnd) for _ in range(count)]
    lines = "".join(json.dumps(for_us(c)) + "\n" for c in cases)
    run = subprocess.run([program], input=lines, capture_output=True, text=True, encoding="utf-8", check=True)
    ours = [json.loads(line) for line in run.stdout.splitlines()]
    differences = abs(len(ours) - count)
    for c, mine in zip(cases, ours):
        theirs = by_botocore(c)
        for stage in ("canonical_request", "string_to_sign", "authorization"):
            if mine[stage] != theirs[stage]:
                differences += 1
                print(f"{stage} differs for key {c['key']!r}\n--- ours\n{mine[stage]}\n--- botocore\n{theirs[stage]}",
                      file=sys.stderr)
                break
    print(f"{count - differences} passed, {differences} failed")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
