#!/usr/bin/env python3
"""devstore against two signers that are not ours: botocore's and s3client.py's.

Every operation strictly signed, every refusal, every scripted fault.
"""

import hashlib
import http.client
import os
import re
import socket
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone

from lib import Devstore, check, check_equal, finish, scratch_dir, wait_until
from s3client import (ACL, BUCKET, ask, b64, client, connect, hexdigest, lost, put, raw,
                      signed_headers)

MIB = 1024 * 1024


# --- operations, signed by botocore -----------------------------------------------------------

HOSTILE_KEYS = ["Panoptica/audit/2026-11-23/prod/a.ndjson", "a b+c&d=e/ü~*'()!.json", "../../etc/passwd",
                ".", "..", "./x", "a//b", "%2e%2e/%00", "q?x=y#z", "k" * 1024, "\u2603" * 300,
                "tab\tand\nline", "<&\"'>"]


def test_objects(store, counting):
    s3 = client(store)
    for key in HOSTILE_KEYS:
        body = key.encode()[:50]
        s3.put_object(Bucket=BUCKET, Key=key, Body=body, ACL="bucket-owner-full-control",
                      ContentType="application/x-ndjson", Metadata={"origin": "test"})
        head = s3.head_object(Bucket=BUCKET, Key=key)
        check_equal(head["ContentLength"], len(body), f"size of {key[:30]!r}")
        check_equal(head["ETag"], '"' + hashlib.md5(body).hexdigest() + '"', f"etag of {key[:30]!r}")
        check_equal(head["ContentType"], "application/x-ndjson", "content type")
        check_equal(head["Metadata"], {"origin": "test"}, "metadata")
        if not counting:
            check_equal(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read(), body,
                        f"bytes of {key[:30]!r}")
    listed = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, PaginationConfig={"PageSize": 3}) for o in page["Contents"]]
    check_equal(listed, sorted(HOSTILE_KEYS, key=lambda k: k.encode()), "all keys in pages of 3")
    check_equal(len(store.keys()), len(HOSTILE_KEYS), "admin's list of keys")
    page = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/", Prefix="Panoptica/")
    check_equal([p["Prefix"] for p in page.get("CommonPrefixes", [])], ["Panoptica/audit/"],
                "common prefixes")
    pages = list(s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Delimiter="/", PaginationConfig={"PageSize": 1}))
    prefixes = [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])]
    check_equal(len(prefixes), len(set(prefixes)), "no common prefix twice across pages")
    grants = s3.get_object_acl(Bucket=BUCKET, Key=HOSTILE_KEYS[0])
    check_equal({g["Grantee"]["DisplayName"]: g["Permission"] for g in grants["Grants"]},
                {"bucket-owner": "FULL_CONTROL", "writer": "FULL_CONTROL"}, "grants")
    check_equal(grants["Owner"]["DisplayName"], "bucket-owner", "owner")
    check_equal(s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"], "eu-central-1",
                "location")
    check_equal(s3.head_bucket(Bucket=BUCKET)["ResponseMetadata"]["HTTPStatusCode"], 200,
                "HeadBucket")


def test_reading(store):
    put(store, "r", b"0123456789")
    put(store, "private", b"x", headers={"x-amz-acl": "private"})
    for text, status, body in [("bytes=2-4", 206, b"234"), ("bytes=7-", 206, b"789"),
                               ("bytes=-3", 206, b"789"), ("bytes=0-99", 206, b"0123456789"),
                               ("bytes=5-2", 200, b"0123456789"), ("pages=1", 200, b"0123456789")]:
        answer = ask(store, "GET", "r", headers={"range": text})
        check_equal((answer.status, answer.body), (status, body), f"range {text}")
    check_equal(ask(store, "GET", "r", headers={"range": "bytes=10-"}).code, "InvalidRange",
                "range past the end")
    check_equal(ask(store, "GET", "none").code, "NoSuchKey", "GET of no key")
    check_equal(ask(store, "HEAD", "none").status, 404, "HEAD of no key")
    check_equal(ask(store, "GET", "none", "acl").code, "NoSuchKey", "ACL of no key")
    check(b"bucket-owner</DisplayName></Grantee>" not in ask(store, "GET", "private", "acl").body,
          "a private object has no grant for the bucket's owner")
    body = b"with checksum"
    digest = b64(hashlib.sha256(body).digest())
    answer = put(store, "c", body, {"x-amz-checksum-sha256": digest})
    check_equal(answer.headers["x-amz-checksum-sha256"], digest, "checksum in the put's answer")
    check_equal(ask(store, "HEAD", "c").headers["x-amz-checksum-sha256"], None, "no checksum unasked")
    answer = ask(store, "HEAD", "c", headers={"x-amz-checksum-mode": "ENABLED"})
    check_equal(answer.headers["x-amz-checksum-sha256"], digest, "checksum when asked")
    answer = ask(store, "HEAD", "r", headers={"x-amz-checksum-mode": "ENABLED"})
    check_equal(answer.headers["x-amz-checksum-sha256"], None, "no checksum if none was sent")
    check("x-amz-request-id" in answer.headers and "Date" in answer.headers, "id and date")


def complete_body(parts, checksums=None):
    rows = "".join(
        f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag>"
        + (f"<ChecksumSHA256>{checksums[i]}</ChecksumSHA256>" if checksums else "") + "</Part>"
        for i, (n, etag) in enumerate(parts))
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


def begin_upload(store, key, headers=None):
    answer = ask(store, "POST", key, "uploads=", headers={**ACL, **(headers or {})})
    return re.search(rb"<UploadId>([^<]+)", answer.body).group(1).decode()


def test_multipart(store, counting):
    s3 = client(store)
    parts = [os.urandom(5 * MIB), os.urandom(5 * MIB), b"end"]
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="m", ACL="bucket-owner-full-control",
                                        ChecksumAlgorithm="SHA256")["UploadId"]
    done = []
    for n, data in [(3, parts[2]), (1, b"old"), (1, parts[0]), (2, parts[1])]:
        digest = b64(hashlib.sha256(data).digest())
        part = s3.upload_part(Bucket=BUCKET, Key="m", UploadId=upload, PartNumber=n, Body=data,
                              ChecksumSHA256=digest)
        if data != b"old":
            done.append({"PartNumber": n, "ETag": part["ETag"], "ChecksumSHA256": digest})
    done.sort(key=lambda p: p["PartNumber"])
    check_equal([u["UploadId"] for u in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]],
                [upload], "ListMultipartUploads")
    page = s3.list_parts(Bucket=BUCKET, Key="m", UploadId=upload, MaxParts=2)
    check_equal(([p["PartNumber"] for p in page["Parts"]], page["IsTruncated"]), ([1, 2], True),
                "ListParts")
    check_equal(s3.list_parts(Bucket=BUCKET, Key="m", UploadId=upload,
                              PartNumberMarker=2)["Parts"][0]["Size"], 3, "the last part")
    result = s3.complete_multipart_upload(Bucket=BUCKET, Key="m", UploadId=upload,
                                          MultipartUpload={"Parts": done})
    etag = hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest() + "-3"
    check_equal(result["ETag"].strip('"'), etag, "etag of the whole")
    answer = ask(store, "HEAD", "m", headers={"x-amz-checksum-mode": "ENABLED"})
    composite = b64(hashlib.sha256(b"".join(hashlib.sha256(p).digest() for p in parts)).digest())
    check_equal(answer.headers["x-amz-checksum-sha256"], composite + "-3", "composite checksum")
    check_equal(store.keys()["m"][3], "bucket-owner-full-control", "ACL of the upload")
    if not counting:
        check(s3.get_object(Bucket=BUCKET, Key="m")["Body"].read() == b"".join(parts), "all bytes")
        check_equal(store.keys()["m"][1], hexdigest(b"".join(parts)), "SHA-256 of the whole")
    check("Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET), "nothing is left under way")


def test_multipart_refusals(store):
    big = b"x" * (5 * MIB)
    upload = begin_upload(store, "n")
    etags = [ask(store, "PUT", "n", f"partNumber={n}&uploadId={upload}",
                 body=b"small").headers["ETag"] for n in (1, 2)]
    query = f"uploadId={upload}"
    for body, code in [
            (complete_body([(1, etags[0]), (2, etags[1])]), "EntityTooSmall"),
            (complete_body([(2, etags[1]), (1, etags[0])]), "InvalidPartOrder"),
            (complete_body([(1, '"' + "0" * 32 + '"')]), "InvalidPart"),
            (complete_body([(7, etags[0])]), "InvalidPart"),
            (complete_body([]), "MalformedXML"), (b"nonsense", "MalformedXML")]:
        check_equal(ask(store, "POST", "n", query, body=body).code, code, f"Complete: {code}")
    answer = ask(store, "PUT", "n", f"partNumber=3&{query}", body=b"x",
                 headers={"x-amz-checksum-sha256": b64(hashlib.sha256(b"x").digest())})
    check_equal(answer.code, "InvalidRequest", "a checksum that was not announced")
    for number in ("0", "10001", "x"):
        check_equal(ask(store, "PUT", "n", f"partNumber={number}&{query}", body=b"x").code,
                    "InvalidArgument", f"part number {number}")
    put(store, "n", b"meanwhile")
    etag = ask(store, "PUT", "n", f"partNumber=1&{query}", body=big).headers["ETag"]
    answer = ask(store, "POST", "n", query, body=complete_body([(1, etag)]),
                 headers={"if-none-match": "*"})
    check_equal(answer.code, "PreconditionFailed", "Complete onto an existing key")
    check_equal(ask(store, "DELETE", "other", query).code, "NoSuchUpload", "another key's upload")
    check_equal(ask(store, "DELETE", "n", query).status, 204, "Abort")
    for method, more in (("DELETE", ""), ("GET", ""), ("PUT", "&partNumber=1")):
        check_equal(ask(store, method, "n", query + more).code, "NoSuchUpload", f"{method} afterwards")
    upload = begin_upload(store, "n2", {"x-amz-checksum-algorithm": "SHA256"})
    etag = ask(store, "PUT", "n2", f"partNumber=1&uploadId={upload}", body=b"x").headers["ETag"]
    answer = ask(store, "POST", "n2", f"uploadId={upload}", body=complete_body([(1, etag)]))
    check_equal(answer.code, "InvalidRequest", "Complete without the announced checksums")


# --- refusals ------------------------------------------------------------------------------------

def test_signatures(store):
    def replace(name, old, new):
        return lambda h: h.__setitem__(name, h[name].replace(old, new))

    now = datetime.now(timezone.utc)
    cases = [
        ("wrong secret", dict(secret="wrong"), "SignatureDoesNotMatch"),
        ("changed header", dict(tamper=lambda h: h.__setitem__("x-amz-acl", "private")),
         "SignatureDoesNotMatch"),
        ("unsorted names", dict(tamper=replace("Authorization", "host;x-amz-acl", "x-amz-acl;host")),
         "SignatureDoesNotMatch"),
        ("absent signed header", dict(tamper=replace("Authorization", "host;", "accept;host;")),
         "SignatureDoesNotMatch"),
        ("unknown key", dict(access_key="AKIDNOBODY"), "InvalidAccessKeyId"),
        ("a token nobody asked for", dict(headers={"x-amz-security-token": "t"}), "InvalidToken"),
        ("region", dict(region="us-east-1"), "AuthorizationHeaderMalformed"),
        ("unsigned x-amz header", dict(extra={"x-amz-meta-added": "1"}), "AccessDenied"),
        ("unsigned ACL", dict(unsigned=("x-amz-acl",)), "AccessDenied"),
        ("unsigned host", dict(unsigned=("host",)), "AccessDenied"),
        ("no authorization", dict(tamper=lambda h: h.pop("Authorization")), "AccessDenied"),
        ("nonsense", dict(tamper=lambda h: h.__setitem__("Authorization", "AWS4-HMAC-SHA256 x")),
         "AuthorizationHeaderMalformed"),
        ("16 minutes late", dict(when=now - timedelta(minutes=16)), "RequestTimeTooSkewed"),
        ("16 minutes early", dict(when=now + timedelta(minutes=16)), "RequestTimeTooSkewed"),
        ("unsigned payload", dict(payload="UNSIGNED-PAYLOAD"), "AccessDenied"),
        ("aws-chunked", dict(payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), "AccessDenied"),
        ("payload is nonsense", dict(payload="abc"), "InvalidArgument"),
        ("other body", dict(sent_body=b"Event\n"), "XAmzContentSHA256Mismatch"),
        ("Content-MD5", dict(headers={"content-md5": b64(b"0" * 16)}), "BadDigest"),
        ("Content-MD5 of no length", dict(headers={"content-md5": "abc"}), "InvalidDigest"),
        ("checksum", dict(headers={"x-amz-checksum-sha256": b64(b"0" * 32)}), "BadDigest"),
        ("chunked", dict(tamper=lambda h: h.__setitem__("Transfer-Encoding", "chunked"),
                         sent_body=b"0\r\n\r\n"), "MissingContentLength"),
        ("no such bucket", dict(path="/other/x"), "NoSuchBucket"),
        ("long key", dict(path=f"/{BUCKET}/" + "k" * 1025), "KeyTooLongError"),
        ("no UTF-8", dict(path=f"/{BUCKET}/%FF"), "InvalidURI"),
        ("NUL", dict(path=f"/{BUCKET}/a%00b"), "InvalidURI"),
        ("half an escape", dict(path=f"/{BUCKET}/a%2"), "InvalidURI"),
        ("signed otherwise than encoded", dict(path=f"/{BUCKET}/a+b", path_signed=f"/{BUCKET}/a+b"),
         "SignatureDoesNotMatch"),
        ("tagging is not stored as an object", dict(query="tagging="), "NotImplemented"),
        ("copy", dict(headers={"x-amz-copy-source": "/a/b"}), "NotImplemented"),
        ("no canned ACL", dict(headers={"x-amz-acl": "mine"}), "InvalidArgument"),
    ]
    for what, more, code in cases:
        answer = put(store, "refused", **more)
        check_equal(answer.code, code, what)
    check(b"<Region>eu-central-1</Region>" in put(store, "x", region="us-east-1").body, "Region told")
    answer = put(store, "x", when=now - timedelta(hours=1))
    check(b"<ServerTime>" in answer.body, "ServerTime told")
    check(b"x-amz-meta-added" in put(store, "x", extra={"x-amz-meta-added": "1"}).body,
          "the unsigned header is named")
    check_equal(put(store, "ok", path=f"/{BUCKET}/a%2Bb+c", path_signed=f"/{BUCKET}/a%2Bb%2Bc").status,
                200, "signed as S3 encodes, sent otherwise")
    check_equal(ask(store, "DELETE", "ok").code, "AccessDenied", "DeleteObject is never granted")
    check_equal(list(store.keys()), ["a+b+c"], "nothing refused was stored")
    check_equal(store.stats()["refused_unsigned_headers"], 4, "unsigned headers counted")


def test_policy():
    with Devstore("--count", "--require-acl", "--deny-prefix", "secret/", "--deny-multipart",
                  "--token", "T") as store:
        token = {"x-amz-security-token": "T"}
        check_equal(put(store, "a", headers=token).status, 200, "with token and ACL")
        check_equal(put(store, "a").code, "InvalidAccessKeyId", "without the token")
        check_equal(put(store, "a", headers={"x-amz-security-token": "U"}).code, "InvalidToken",
                    "another token")
        check_equal(put(store, "secret/a", headers=token).code, "AccessDenied", "denied prefix")
        check_equal(ask(store, "PUT", "b", headers=token, body=b"").code, "AccessDenied", "no ACL")
        check_equal(put(store, "b", headers={**token, "x-amz-acl": "private"}).code, "AccessDenied",
                    "another ACL")
        answer = ask(store, "POST", "b", "uploads=", headers={**ACL, **token})
        check_equal(answer.code, "AccessDenied", "denied multipart")
        stats = store.stats()
        check_equal((stats["puts_with_acl"], stats["puts_without_acl"]), (3, 2), "ACLs counted")


def test_conditions(store):
    check_equal(put(store, "k", b"1", {"if-none-match": "*"}).status, 200, "a new key")
    check_equal(put(store, "k", b"1", {"if-none-match": "*"}).code, "PreconditionFailed", "again")
    check_equal(put(store, "k", b"1").status, 200, "the same bytes again")
    check_equal(put(store, "k", b"2").status, 200, "other bytes")
    check_equal(put(store, "k", b"2", {"if-none-match": '"x"'}).code, "NotImplemented", "an ETag")
    stats = store.stats()
    check_equal((stats["repeated_same"], stats["repeated_other"]), (1, 1), "repetitions counted")
    check_equal(stats["statuses"]["412"], 1, "412 counted")
    check_equal(stats["operations"]["PutObject"], 5, "operations counted")


# --- HTTP ----------------------------------------------------------------------------------------

def test_http(store):
    for what, data in [
            ("bare LF", b"GET / HTTP/1.1\nHost: x\n\r\n\r\n"), ("no version", b"GET /\r\n\r\n"),
            ("folding", b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"),
            ("two lengths", b"PUT /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            ("negative length", b"PUT /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
            ("both lengths", b"PUT /x HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ("many headers", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n"),
            ("NUL", b"GET /\0 HTTP/1.1\r\n\r\n"), ("endless head", b"GET /" + b"a" * 70000),
            ("nothing", b"\r\n\r\n"), ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\n")]:
        got = raw(store, data)
        check(got.startswith(b"HTTP/1.1 400"), f"{what}: {got[:60]!r}")
    connection = connect(store)
    for i in range(3):
        check_equal(put(store, f"kept{i}", connection=connection).status, 200, "keep-alive")
    connection.close()
    # pipelined: two requests in one write
    lines = []
    for i in range(2):
        headers = signed_headers(store, "PUT", f"/{BUCKET}/p{i}", headers=ACL, body=b"abc")
        headers["Content-Length"] = "3"
        if i == 1:
            headers["Connection"] = "close"
        lines.append(f"PUT /{BUCKET}/p{i} HTTP/1.1\r\n"
                     + "".join(f"{n}: {v}\r\n" for n, v in headers.items()) + "\r\nabc")
    check_equal(raw(store, "".join(lines).encode()).count(b"HTTP/1.1 200 OK"), 2, "pipelined")
    # Expect: 100-continue, granted and refused before the body
    for acl, expected in (("bucket-owner-full-control", b"HTTP/1.1 100"), ("mine", b"HTTP/1.1 400")):
        headers = signed_headers(store, "PUT", f"/{BUCKET}/e", headers={"x-amz-acl": acl}, body=b"abc")
        headers.update({"Content-Length": "3", "Expect": "100-continue", "Connection": "close"})
        head = f"PUT /{BUCKET}/e HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items())
        with socket.create_connection(("127.0.0.1", store.port), timeout=5) as s:
            s.sendall(head.encode() + b"\r\n")
            check(s.recv(4096).startswith(expected), f"Expect with {acl}")
            if acl != "mine":
                s.sendall(b"abc")
                check(s.recv(4096).startswith(b"HTTP/1.1 200"), "after 100-continue")
    # refused before a large body has come: the answer can still be read
    answer = lost(lambda: put(store, "big", b"x" * (20 * MIB), secret="wrong"))
    check(answer in (403, "BrokenPipeError", "ConnectionResetError"), f"early refusal: {answer}")
    check_equal(put(store, "after").status, 200, "the store is well")


def test_host_style():
    with Devstore("--count", "--domain", "s3.test") as store:
        for host, path in ((f"{BUCKET}.s3.test", "/v/k"), (f"{BUCKET}.s3.test:99", "/v/k2"),
                           ("s3.test", f"/{BUCKET}/v/k3")):
            check_equal(put(store, "", path=path, host=host).status, 200, f"host {host}")
        check_equal(put(store, "", path="/k", host="other.s3.test").code, "NoSuchBucket", "other host")
        check_equal(sorted(store.keys()), ["v/k", "v/k2", "v/k3"], "keys of both styles")


def test_lenient():
    with Devstore("--count", "--lenient") as store:
        check_equal(put(store, "u", payload="UNSIGNED-PAYLOAD").status, 200, "unsigned payload")
        chunks = (b"5;chunk-signature=00\r\nhello\r\n" b"6\r\n world\r\n" b"0;chunk-signature=00\r\n"
                  b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n")
        headers = {"x-amz-decoded-content-length": "11", "content-encoding": "aws-chunked"}
        for payload in ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"):
            answer = put(store, "c" + payload, chunks, headers, payload=payload)
            check_equal(answer.status, 200, payload)
            check_equal(store.keys()["c" + payload][:2], (11, hexdigest(b"hello world")), "decoded")
        for what, body in (("size", b"zz\r\nhello\r\n"), ("end", b"5\r\nhelloXX0\r\n\r\n"),
                           ("short", b"5\r\nhel")):
            answer = put(store, "bad", body, headers, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            check_equal(answer.code, "InvalidRequest", f"chunks broken: {what}")
        in_chunks(store, chunks, headers)
        check("bad" not in store.keys(), "broken chunks are not stored")


def in_chunks(store, chunks, headers):
    """aws-chunked within HTTP's own chunks, which SDKs send over TLS."""
    more = dict(headers=headers, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                extra={"Transfer-Encoding": "chunked"})
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece)
                      for piece in (chunks[:7], chunks[7:40], chunks[40:])) + b"0\r\n\r\n"
    connection = connect(store)
    for name in ("framed", "again"):  # the second one shows where the first one ended
        answer = put(store, name, b"", sent_body=framed, connection=connection, **more)
        check_equal((answer.status, store.keys()[name][:2]), (200, (11, hexdigest(b"hello world"))),
                    f"aws-chunked in HTTP's chunks, {name}")
    connection.close()
    for what, body in (("size", b"zz\r\n"), ("end", b"1\r\naXX"),
                       ("inner", b"3\r\nzz\n\r\n0\r\n\r\n")):
        answer = put(store, "bad", b"", sent_body=body, **more)
        check_equal(answer.code, "InvalidRequest", f"HTTP's chunks broken: {what}")
    more["headers"] = {"content-encoding": "aws-chunked"}
    check_equal(put(store, "bad", b"", sent_body=framed, **more).code, "MissingContentLength",
                "HTTP's chunks without the decoded length")
    more["extra"] = {"Transfer-Encoding": "gzip"}
    check_equal(put(store, "bad", b"", sent_body=framed, **more).code, "BadRequest",
                "another transfer coding")


# --- faults --------------------------------------------------------------------------------------

def timed(call):
    start = time.monotonic()
    result = call()
    return result, time.monotonic() - start


def test_fault_answers(store):
    def with_fault(spec, call):
        store.clear_faults()
        store.fault(spec)
        return call()

    answer = with_fault("op=PutObject,code=SlowDown,retry-after=2", lambda: put(store, "f"))
    check_equal((answer.status, answer.code, answer.headers["Retry-After"]), (503, "SlowDown", "2"),
                "SlowDown")
    check_equal(with_fault("status=500", lambda: put(store, "f")).code, "InternalError", "500")
    check_equal(with_fault("code=ExpiredToken", lambda: put(store, "f")).code, "ExpiredToken",
                "ExpiredToken")
    answer = with_fault("error200", lambda: put(store, "f"))
    check_equal((answer.status, answer.code), (200, "InternalError"), "200 with an error")
    answer = with_fault("garbage", lambda: put(store, "f"))
    check(answer.status == 200 and b"<<" in answer.body, "garbage")
    check("f" not in store.keys(), "none of them stored anything")
    answer = with_fault("skew=20min", lambda: put(store, "f"))
    check_equal(answer.code, "RequestTimeTooSkewed", "skew")
    check_equal(with_fault("skew=-20min", lambda: put(store, "f", when=datetime.now(timezone.utc)
                                                      - timedelta(minutes=20))).status, 200,
                "skew behind, and the client corrected")
    answer, took = timed(lambda: with_fault("latency=200ms,jitter=50ms", lambda: put(store, "f")))
    check(answer.status == 200 and 0.2 <= took < 5, f"latency: {took:.3f} s")
    answer, took = timed(lambda: with_fault("slow=20000", lambda: put(store, "f", b"x" * 10000)))
    check(answer.status == 200 and 0.4 <= took < 5, f"slow: {took:.3f} s")
    store.clear_faults()
    statuses = []
    store.fault("op=PutObject,prefix=n/,nth=3,count=2,status=503")
    for i in range(6):
        statuses.append(put(store, f"n/{i}").status)
        check_equal(put(store, f"o/{i}").status, 200, "another prefix")
    check_equal(statuses, [200, 200, 503, 503, 200, 200], "nth and count")
    store.clear_faults()
    store.fault("probability=0.5,status=500")
    statuses = [put(store, "p").status for _ in range(60)]
    check(5 < statuses.count(500) < 55, f"probability: {statuses.count(500)} of 60")
    store.clear_faults()
    for bad in ("", "nonsense", "status=abc", "op=Nothing", "latency=5", "probability=2", "nth=-1",
                "x" * 3000):
        try:
            store.fault(bad)
            check(False, f"bad fault accepted: {bad[:20]}")
        except RuntimeError as error:
            check("400" in str(error), "bad fault refused")


def test_fault_connections(store):
    def once(spec, call):
        store.clear_faults()
        store.fault(spec)
        result = call()
        store.clear_faults()
        return result

    reset = ("ConnectionResetError", "RemoteDisconnected")
    check(once("reset", lambda: lost(lambda: put(store, "g1"))) in reset, "reset")
    check("g1" not in store.keys(), "reset stores nothing")
    check(once("store-then-reset", lambda: lost(lambda: put(store, "g2"))) in reset,
          "store-then-reset")
    check("g2" in store.keys(), "store-then-reset stores")
    check(once("reset-after=10", lambda: lost(lambda: put(store, "g3"))) != 200, "reset-after")
    put(store, "t", b"0123456789")
    check_equal(once("truncate=4", lambda: lost(lambda: ask(store, "GET", "t"))), "IncompleteRead",
                "truncate")
    check_equal(once("wrong-length", lambda: lost(lambda: ask(store, "GET", "t"))), "IncompleteRead",
                "announced longer")
    check_equal(once("wrong-length=-3", lambda: ask(store, "GET", "t").body), b"0123456",
                "announced shorter")
    check_equal(once("blackhole", lambda: lost(lambda: put(store, "g4", timeout=0.5))),
                "TimeoutError", "blackhole")
    check("g4" not in store.keys(), "blackhole stores nothing")

    def endless():
        path = f"/{BUCKET}/t"
        headers = signed_headers(store, "GET", path)
        with socket.create_connection(("127.0.0.1", store.port), timeout=5) as s:
            s.sendall((f"GET {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items())
                       + "\r\n").encode())
            n = 0
            while n < 8 * MIB:
                n += len(s.recv(MIB))
            return n

    check(once("endless", endless) >= 8 * MIB, "endless")
    check_equal(put(store, "g5").status, 200, "the store is well")
    check(store.stats()["answers_lost"] >= 5, "lost answers counted")
    check(wait_until(lambda: store.stats()["requests_now"] == 0), "no request is left open")


# --- the process ---------------------------------------------------------------------------------

def test_restart():
    with scratch_dir() as directory:
        log = os.path.join(directory, "keys.log")
        options = ("--dir", os.path.join(directory, "data"), "--log-keys", log)
        bodies = {f"dir/{i}": os.urandom(i * 1000) for i in range(20)}
        with Devstore(*options) as store:
            before = time.time_ns()
            for key, body in bodies.items():
                put(store, key, body, {"x-amz-meta-n": "1"})
            put(store, "dir/3", b"replaced")
            bodies["dir/3"] = b"replaced"
            keys = store.keys()
            store.kill()
        rows = [line.split("\t") for line in open(log)]
        check_equal([r[1] for r in rows], list(bodies), "--log-keys has each key once")
        check(all(before <= int(r[0]) <= time.time_ns() for r in rows), "its times are right")
        with open(os.path.join(directory, "data/index"), "a") as index:
            index.write("12\ttorn")
        open(os.path.join(directory, "data/objects/stray"), "w").close()
        for _ in range(2):
            with Devstore(*options) as store:
                check_equal(store.keys(), keys, "the index survives kill -9")
                check_equal({k: ask(store, "GET", k).body for k in bodies}, bodies, "so do the bytes")
                check_equal(ask(store, "HEAD", "dir/1").headers["x-amz-meta-n"], "1", "and metadata")
                check_equal(put(store, "after", b"x").status, 200, "and it goes on")
                keys = store.keys()
                second = subprocess.run([Devstore.PROGRAM, *options], capture_output=True, text=True)
                check("another devstore" in second.stderr and second.returncode == 111, "one at a time")
        check(not os.path.exists(os.path.join(directory, "data/objects/stray")), "strays are removed")


def test_kill_while_writing():
    with scratch_dir() as directory:
        with Devstore("--dir", directory) as store:
            body = os.urandom(3 * MIB)

            def write(n):
                try:
                    for i in range(1000):
                        put(store, f"w{n}-{i}", body)
                except (OSError, http.client.HTTPException):
                    pass

            threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
            for thread in threads:
                thread.start()
            wait_until(lambda: len(os.listdir(os.path.join(directory, "objects"))) > 5)
            store.kill()
            for thread in threads:
                thread.join()
        with Devstore("--dir", directory) as store:
            keys = store.keys()
            check(len(keys) > 5, "something was stored")
            check(all(k[:2] == (len(body), hexdigest(body)) for k in keys.values()), "whole objects only")
            check(all(ask(store, "GET", k).body == body for k in keys), "and their bytes")


def test_options():
    run = lambda *o: subprocess.run([Devstore.PROGRAM, *o], capture_output=True, text=True, timeout=10)
    check("store-then-reset" in run("--help").stdout, "--help has the grammar of faults")
    for options in ((), ("--count", "--dir", "x"), ("--count", "extra"), ("--count", "--fault", "x"),
                    ("--count", "--port", "x"), ("--nonsense",), ("--count", "--threads", "0")):
        check_equal(run(*options).returncode, 100, f"usage: {options}")
    with scratch_dir() as directory:
        port_file = os.path.join(directory, "port")
        store = Devstore("--count", "--stats-at-exit", "--port", "0", "--port-file", port_file,
                         "--versioning", "--no-md5", "--threads", "2", "--fault", "nth=1,status=500")
        with store:
            check_equal(int(open(port_file).read()), store.port, "--port-file")
            check_equal(put(store, "a").status, 500, "--fault")
            answer = put(store, "a")
            check_equal(answer.headers["ETag"], '"' + hexdigest(b"event\n")[:32] + '"', "--no-md5")
            check("x-amz-version-id" in answer.headers, "--versioning")
        check('"PutObject":2' in store.errors, "--stats-at-exit")
        check_equal(store.process.returncode, 0, "SIGTERM ends it cleanly")


def test_threads():
    with Devstore("--count", "--threads", "2") as store:
        def work(n):
            connection = connect(store)
            for i in range(50):
                check_equal(put(store, f"{n}/{i}", connection=connection).status, 200, "threads")
            connection.close()

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check_equal(len(store.keys()), 400, "all of them stored")
        check_equal(store.stats()["connections_total"] >= 8, True, "connections counted")


def test_idle():
    with Devstore("--count", "--idle", "2s") as store:
        connection = connect(store)
        put(store, "a", connection=connection)
        check_equal(connection.sock.recv(1), b"", "an idle connection is closed")
        connection.close()


def test_tls():
    with scratch_dir() as directory:
        cert, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days",
                        "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                       check=True, capture_output=True)
        with Devstore("--dir", os.path.join(directory, "d"), "--tls", cert, key) as store:
            body = os.urandom(4 * MIB)
            s3 = client(store, verify=cert)
            s3.put_object(Bucket=BUCKET, Key="t", Body=body, ACL="bucket-owner-full-control")
            check(s3.get_object(Bucket=BUCKET, Key="t")["Body"].read() == body, "4 MiB over TLS")
            connection = connect(store)
            for i in range(20):
                check_equal(put(store, f"k{i}", connection=connection).status, 200, "TLS, kept")
            connection.close()
            check_equal(raw(store, b"GET / HTTP/1.1\r\n\r\n")[:4] != b"HTTP", True, "no plain text")
            check_equal(put(store, "after").status, 200, "the store is well")


def main():
    with scratch_dir() as directory:
        for options in (("--count",), ("--dir", os.path.join(directory, "d"))):
            counting = options[0] == "--count"
            with Devstore(*options) as store:
                for test in (test_objects, test_multipart):
                    test(store, counting)
                    store.reset()
                if not counting:
                    for test in (test_reading, test_multipart_refusals, test_signatures,
                                 test_conditions, test_http, test_fault_answers,
                                 test_fault_connections):
                        test(store)
                        store.reset()
            check_equal(store.process.returncode, 0, "a clean exit")
    for test in (test_policy, test_host_style, test_lenient, test_restart, test_kill_while_writing,
                 test_options, test_threads, test_idle, test_tls):
        test()
    finish()


if __name__ == "__main__":
    main()
