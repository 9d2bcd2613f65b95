#!/usr/bin/env python3
"""Believable findings, attack paths and raw events, as files of newline-delimited JSON.

    make_events.py ROOT COUNT [--seed N] [--date YYYY-MM-DD] [--shapes NAME] [--seconds N]
                   [--manifest FILE] [--put COMMAND]

Drops COUNT files below ROOT as Panoptica/<event_type>/<date>/<account>/<file>, over and over into
directories that were not there before, as producers do: some renamed into place, some simply
written (> FILE), and with --put some by that command (KEYPATH is added, the bytes are its stdin).
The same seed and --date make the same bytes. With --seconds the files are spread over so much time.

The manifest has a line a file, in the order in which they were dropped:
    path TAB size TAB sha256 TAB how TAB time in ns just before it was complete

Shapes: mixed (a few KiB each, some of several MB), small (one event each), large (5 to 12 MB).
Other scripts use plan(), which yields the files without writing them.
"""

import argparse
import datetime
import hashlib
import json
import os
import random
import shlex
import subprocess
import sys
import time

RAW = ("audit", "cloudtrail", "runtime_events")
PROCESSED = ("findings", "attack_paths", "vulnerabilities")
REGIONS = ("eu-central-1", "eu-west-1", "us-east-1", "us-west-2", "ap-southeast-2")
SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
ASSETS = (("AWS::S3::Bucket", "arn:aws:s3:::{name}"),
          ("AWS::EC2::Instance", "arn:aws:ec2:{region}:{account}:instance/i-{hex}"),
          ("AWS::IAM::Role", "arn:aws:iam::{account}:role/{name}"),
          ("AWS::Lambda::Function", "arn:aws:lambda:{region}:{account}:function:{name}"),
          ("Kubernetes::Pod", "k8s://{region}/{name}/pod/{hex}"))
NAMES = ("billing", "checkout", "payroll", "ingest", "web-front", "reports", "küche", "データ", "ci-runner")
FINDINGS = (("S3 bucket allows public read", "CIS 2.1.5"), ("Root account has no MFA", "CIS 1.5"),
            ("Security group open to the world on port 22", "CIS 5.2"),
            ("Container runs as root", "CIS K8s 5.2.6"), ("Role trusts any principal", "PCI 7.1"))
CALLS = (("s3.amazonaws.com", "PutObject"), ("iam.amazonaws.com", "CreateAccessKey"),
         ("ec2.amazonaws.com", "AuthorizeSecurityGroupIngress"), ("sts.amazonaws.com", "AssumeRole"),
         ("kms.amazonaws.com", "Decrypt"))


def hex_of(rnd, digits):
    return f"{rnd.getrandbits(4 * digits):0{digits}x}"


def asset(rnd, account):
    kind, pattern = rnd.choice(ASSETS)
    region, name = rnd.choice(REGIONS), rnd.choice(NAMES)
    return {"type": kind, "region": region, "name": name, "labels": {"env": rnd.choice(("prod", "stage"))},
            "id": pattern.format(account=account, region=region, name=name, hex=hex_of(rnd, 17))}


def finding(rnd, account, when):
    title, rule = rnd.choice(FINDINGS)
    return {"id": f"find-{hex_of(rnd, 16)}", "detectedAt": when, "severity": rnd.choice(SEVERITIES),
            "title": title, "control": rule, "status": rnd.choice(("OPEN", "OPEN", "RESOLVED")),
            "account": account, "asset": asset(rnd, account), "riskScore": rnd.randrange(10, 100),
            "remediation": "Restrict access to named principals, and check again."}


def attack_path(rnd, account, when):
    nodes = [asset(rnd, account) for _ in range(rnd.randrange(2, 6))]
    return {"id": f"path-{hex_of(rnd, 16)}", "detectedAt": when, "severity": rnd.choice(SEVERITIES[2:]),
            "account": account, "entry": "internet", "target": nodes[-1]["id"], "nodes": nodes,
            "edges": [{"from": a["id"], "to": b["id"], "via": rnd.choice(("network", "assume-role", "secret"))}
                      for a, b in zip(nodes, nodes[1:])],
            "techniques": rnd.sample(("T1078", "T1190", "T1530", "T1552", "T1611"), 2)}


def vulnerability(rnd, account, when):
    return {"id": f"CVE-{rnd.randrange(2019, 2026)}-{rnd.randrange(1000, 49999)}", "seenAt": when,
            "cvss": rnd.randrange(10, 101) / 10, "package": rnd.choice(("openssl", "zlib", "log4j-core", "curl")),
            "fixedIn": f"{rnd.randrange(1, 4)}.{rnd.randrange(30)}.{rnd.randrange(10)}",
            "account": account, "asset": asset(rnd, account), "exploitKnown": rnd.random() < 0.1}


def raw_event(rnd, account, when):
    service, call = rnd.choice(CALLS)
    region, name = rnd.choice(REGIONS), rnd.choice(NAMES)
    return {"eventVersion": "1.09", "eventTime": when, "eventSource": service, "eventName": call,
            "awsRegion": region, "recipientAccountId": account, "eventID": hex_of(rnd, 32),
            "sourceIPAddress": f"203.0.113.{rnd.randrange(1, 255)}",
            "userAgent": "aws-cli/2.17 Python/3.11 \"quoted\" \\ back\tslash",
            "userIdentity": {"type": "AssumedRole", "accountId": account,
                             "arn": f"arn:aws:sts::{account}:assumed-role/{name}/session-{hex_of(rnd, 6)}"},
            "requestParameters": {"bucketName": name, "key": f"in/{hex_of(rnd, 12)}.parquet"},
            "responseElements": None, "errorCode": rnd.choice((None, None, None, "AccessDenied"))}


MAKERS = {"findings": finding, "attack_paths": attack_path, "vulnerabilities": vulnerability}


class Item:
    """One file to drop: where it goes, how, and its bytes, which are made when they are asked for."""

    def __init__(self, seed, number, event_type, day, account, events, size):
        self.event_type, self._seed, self._day, self._account = event_type, f"{seed}/{number}", day, account
        self._events, self._size = events, size
        rnd = random.Random(self._seed)
        stamp = f"{day:%Y%m%d}T{rnd.randrange(24):02}{rnd.randrange(60):02}{rnd.randrange(60):02}Z"
        ending = rnd.choice(("json", "ndjson", "jsonl"))
        self.path = f"Panoptica/{event_type}/{day}/{account}/{stamp}-{number:06}-{hex_of(rnd, 8)}.{ending}"
        # Loggers write where the file is to be; those that compute a result rename it when it is done.
        self.how = "write" if event_type in RAW else "rename"

    def data(self):
        rnd = random.Random(self._seed + "/data")
        make = MAKERS.get(self.event_type, raw_event)

        def line():
            seconds = rnd.randrange(86400)
            when = f"{self._day}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"
            return json.dumps(make(rnd, self._account, when), ensure_ascii=False).encode() + b"\n"

        if not self._size:
            return b"".join(line() for _ in range(self._events))
        block = b"".join(line() for _ in range(400))  # large files repeat it: that is quick to make
        copies = self._size // len(block) + 1
        return b"".join(block.replace(b"203.0.113.", b"198.51.%d." % (n % 256)) for n in range(copies))


def plan(count, seed=1, shapes="mixed", date=None):
    """Yield `count` items of `date` (default today in UTC) and the day before."""
    rnd = random.Random(f"plan/{seed}")
    accounts = [f"{rnd.randrange(10**11, 10**12)}" for _ in range(max(4, count // 3))]
    days = [date or datetime.datetime.now(datetime.timezone.utc).date()]
    days.append(days[0] - datetime.timedelta(days=1))
    large = set(rnd.sample(range(count), min(count, 3 + count // 200))) if shapes == "mixed" else set()
    for number in range(count):
        event_type, size = rnd.choice(PROCESSED + PROCESSED + RAW), 0
        if shapes == "large" or number in large:
            event_type, size = rnd.choice(RAW), rnd.randrange(2_500_000, 6_000_000)
            size *= 2 if shapes == "large" else 1
        events = 1 if shapes == "small" else min(60, int(rnd.paretovariate(0.9)))
        yield Item(seed, number, event_type, rnd.choice(days), rnd.choice(accounts), events, size)


def drop(root, item, data, how, put):
    """The time in ns just before the file was complete under its name."""
    full = os.path.join(root, item.path)
    if how == "put":
        before = time.time_ns()
        subprocess.run([*put, item.path], input=data, stdout=subprocess.DEVNULL, check=True)
        return before
    os.makedirs(os.path.dirname(full), exist_ok=True)
    hidden = os.path.join(os.path.dirname(full), f".{os.path.basename(full)}.tmp")
    with open(full if how == "write" else hidden, "wb") as file:
        file.write(data)
        file.flush()
        before = time.time_ns()
    if how == "rename":
        before = time.time_ns()
        os.rename(hidden, full)
    return before


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root")
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--date", type=datetime.date.fromisoformat, help="default: today in UTC")
    parser.add_argument("--shapes", choices=("mixed", "small", "large"), default="mixed")
    parser.add_argument("--seconds", type=float, default=0, help="spread the files over so much time")
    parser.add_argument("--manifest", default="/dev/stdout")
    parser.add_argument("--put", type=shlex.split, help="drop every 20th file by this command")
    o = parser.parse_args()
    begin = time.monotonic()
    with open(o.manifest, "w", buffering=1) as manifest:
        for number, item in enumerate(plan(o.count, o.seed, o.shapes, o.date)):
            data = item.data()
            how = "put" if o.put and number % 20 == 19 else item.how
            time.sleep(max(0, begin + o.seconds * number / o.count - time.monotonic()))
            when = drop(o.root, item, data, how, o.put)
            print(item.path, len(data), hashlib.sha256(data).hexdigest(), how, when, sep="\t", file=manifest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
