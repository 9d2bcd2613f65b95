#!/usr/bin/env python3
"""What is in the bucket, asked by a client that shares no code with spoolgate, against what was
dropped.

    bucket_report.py --url URL --bucket NAME --region NAME --manifest FILE [--stored TSV]
                     (keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)

Lists every object with its size, its grants and the time from close to stored, reads every byte
back, and compares names, sizes and SHA-256 with the manifest of make_events.py. --stored: lines of
key TAB … TAB time in ns, as devstore's keys have them; without it the store's LastModified counts,
which has milliseconds. Exits with 1, and says why, unless both sides are the same.
"""

import argparse
import hashlib
import os
import re
import sys
import urllib.parse
import xml.etree.ElementTree as xml
from datetime import datetime

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import s3client  # noqa: E402

OWNERS = ("bucket-owner", "")  # MinIO has one owner, without a name


class Bucket:
    """What s3client wants of a store."""

    def __init__(self, o):
        self.url, self.name, self.region = o.url, o.bucket, o.region
        self.port = urllib.parse.urlsplit(o.url).port
        self.access_key = os.environ["AWS_ACCESS_KEY_ID"]
        self.secret_key = os.environ["AWS_SECRET_ACCESS_KEY"]
        self.connection = s3client.connect(self)

    def get(self, key="", query=""):
        path = f"/{self.name}/" + urllib.parse.quote(key, safe="/-_.~")
        answer = s3client.ask(self, "GET", key, query, path=path, region=self.region,
                              connection=self.connection)
        if answer.status != 200:
            sys.exit(f"GET {path}?{query}: {answer.status} {answer.body.decode(errors='replace')}")
        return answer.body

    def tree(self, key="", query=""):
        text = re.sub(rb' xmlns(:\w+)?="[^"]*"', b"", self.get(key, query))
        return xml.fromstring(re.sub(rb"\bxsi:type", b"type", text))

    def list(self):
        """{key: (size, LastModified in ns)}"""
        found, token = {}, ""
        while True:
            page = self.tree(query="encoding-type=url&list-type=2" + (
                "&continuation-token=" + urllib.parse.quote(token, safe="-_.~") if token else ""))
            for row in page.iter("Contents"):
                when = datetime.fromisoformat(row.findtext("LastModified").replace("Z", "+00:00"))
                key = urllib.parse.unquote_plus(row.findtext("Key"))
                found[key] = int(row.findtext("Size")), int(when.timestamp() * 1000) * 1_000_000
            if page.findtext("IsTruncated") != "true":
                return found
            token = page.findtext("NextContinuationToken")

    def grants(self, key):
        """["FULL_CONTROL bucket-owner", …], the bucket's owner first."""
        rows = [(g.findtext("Grantee/DisplayName") or g.findtext("Grantee/ID") or "", g.findtext("Permission"))
                for g in self.tree(key, "acl=").iter("Grant")]
        return sorted(rows, key=lambda row: (row[0] not in OWNERS, row))


def milliseconds(ns):
    return f"{max(0, ns) / 1e6:.1f} ms"


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


HOW = {"rename": "renamed into place", "write": "written in place (then 1 s of quiet)",
       "put": "spoolgate put (with starting it)"}


def report_times(rows):
    print(f"\n{'from close to stored':38} {'files':>6} {'p50':>11} {'p99':>11} {'slowest':>11}")
    for how, text in HOW.items():
        times = [ns for _, ns, was in rows if was == how]
        if times:
            print(f"{text:38} {len(times):6} {milliseconds(percentile(times, 0.5)):>11} "
                  f"{milliseconds(percentile(times, 0.99)):>11} {milliseconds(max(times)):>11}")
    print("\nThe slowest three of those renamed:")
    for key, ns, _ in sorted((r for r in rows if r[2] == "rename"), key=lambda r: -r[1])[:3]:
        print(f"{milliseconds(ns):>11}  {key}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name in ("url", "bucket", "region", "manifest"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--stored")
    o = parser.parse_args()

    with open(o.manifest) as file:
        dropped = {row[0]: (int(row[1]), row[2], row[3], int(row[4]))
                   for row in (line.rstrip("\n").split("\t") for line in file)}
    bucket = Bucket(o)
    listed = bucket.list()
    if o.stored:
        with open(o.stored) as file:
            for row in (line.rstrip("\n").split("\t") for line in file):
                if row[0] in listed:
                    listed[row[0]] = listed[row[0]][0], int(row[-1])

    faults, times = [], []
    faults += [f"missing in the bucket: {key}" for key in sorted(dropped.keys() - listed.keys())]
    faults += [f"in the bucket, but never dropped: {key}" for key in sorted(listed.keys() - dropped.keys())]
    print(f"{'size':>9}  {'grants':28} {'after':>11}  key")
    for key, (size, stored_ns) in listed.items():
        grants = bucket.grants(key)
        if not any(who in OWNERS and what == "FULL_CONTROL" for who, what in grants):
            faults.append(f"the bucket's owner has no FULL_CONTROL of {key}")
        after = ""
        if key in dropped:
            want_size, sha256, how, closed_ns = dropped[key]
            times.append((key, stored_ns - closed_ns, how))
            after = milliseconds(stored_ns - closed_ns)
            if size != want_size or hashlib.sha256(bucket.get(key)).hexdigest() != sha256:
                faults.append(f"other bytes than were dropped: {key}")
        who, what = grants[0] if grants else ("nobody", "none")
        print(f"{size:9}  {what + ' ' + (who or '(owner)'):28} {after:>11}  {key}")
    if times:
        report_times(times)
    for fault in faults[:20]:
        print("FAILED:", fault, file=sys.stderr)
    if faults:
        print(f"FAILED: {len(faults)} differences between what was dropped and what arrived", file=sys.stderr)
        return 1
    total = sum(size for size, _ in listed.values())
    print(f"\nAll {len(listed)} files that were dropped ({total / 1e6:.1f} MB) are in the bucket, under "
          "their names,\nwith the same SHA-256, and the bucket's owner has FULL_CONTROL of each.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
