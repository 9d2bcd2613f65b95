"""A second signer, independent of ours and of botocore's, and requests made with it.

ask() and put() send one request to a lib.Devstore and can do everything wrong that a client can.
"""

import base64
import hashlib
import hmac
import http.client
import re
import socket
import ssl
import urllib.parse
from datetime import datetime, timezone

BUCKET = "customer-siem"
ACL = {"x-amz-acl": "bucket-owner-full-control"}


def hexdigest(data):
    return hashlib.sha256(data).hexdigest()


def b64(data):
    return base64.b64encode(data).decode()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        found = re.search(rb"<Code>([^<]*)</Code>", body)
        self.code = found.group(1).decode() if found else ""


def signed_headers(store, method, path, query="", headers=None, body=b"", *, payload=None,
                   unsigned=(), when=None, region="eu-central-1", access_key=None,
                   secret=None,
                   host=None, path_signed=None):
    """The headers with Authorization; `unsigned` names those that the signature leaves out."""
    when = when or datetime.now(timezone.utc)
    stamp = when.strftime("%Y%m%dT%H%M%SZ")
    all_headers = {"host": host or f"127.0.0.1:{store.port}", "x-amz-date": stamp,
                   "x-amz-content-sha256": payload or hexdigest(body), **(headers or {})}
    names = sorted(n.lower() for n in all_headers if n not in unsigned)
    lower = {n.lower(): v for n, v in all_headers.items()}
    pairs = sorted(p if "=" in p else p + "=" for p in query.split("&") if p)
    canonical = "\n".join([method, path_signed or path, "&".join(pairs),
                           *(f"{n}:{' '.join(lower[n].split())}" for n in names), "",
                           ";".join(names), lower["x-amz-content-sha256"]])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hexdigest(canonical.encode())}"
    signing = ("AWS4" + (secret or store.secret_key)).encode()
    for word in scope.split("/"):
        signing = hmac.new(signing, word.encode(), hashlib.sha256).digest()
    signature = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
    all_headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key or store.access_key}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}")
    return all_headers


def connect(store, timeout=10):
    if store.url.startswith("https"):
        return http.client.HTTPSConnection("127.0.0.1", store.port, timeout=timeout,
                                           context=ssl._create_unverified_context())
    return http.client.HTTPConnection("127.0.0.1", store.port, timeout=timeout)


def ask(store, method, key, query="", headers=None, body=b"", *, sent_body=None, connection=None,
        extra=None, tamper=None, timeout=10, **signing):
    """One request by our own signer. extra: headers added after signing; tamper(headers)."""
    path = signing.pop("path", f"/{BUCKET}/" + urllib.parse.quote(key, safe="/-_.~"))
    all_headers = signed_headers(store, method, path, query, headers, body, **signing)
    all_headers.update(extra or {})
    if tamper:
        tamper(all_headers)
    own = connection is None
    connection = connection or connect(store, timeout)
    try:
        connection.putrequest(method, path + ("?" + query if query else ""), skip_host=True,
                              skip_accept_encoding=True)
        sent_body = body if sent_body is None else sent_body
        for name, value in all_headers.items():
            connection.putheader(name, value)
        if "Transfer-Encoding" not in all_headers and "Content-Length" not in all_headers:
            connection.putheader("Content-Length", str(len(sent_body)))
        connection.endheaders(sent_body)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        if own:
            connection.close()


def lost(call):
    """The exception's name, or the status if there was an answer after all."""
    try:
        return call().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__


def put(store, key, body=b"event\n", headers=None, **more):
    return ask(store, "PUT", key, headers={**ACL, **(headers or {})}, body=body, **more)


def client(store, **more):
    """botocore's client. Only this one needs boto3."""
    import boto3
    from botocore.config import Config
    options = {"s3": {"addressing_style": "path", "payload_signing_enabled": True},
               "retries": {"max_attempts": 0}}
    try:  # botocore from 1.36 on adds CRC32 trailers unless told otherwise
        config = Config(request_checksum_calculation="when_required",
                        response_checksum_validation="when_required", **options)
    except TypeError:
        config = Config(**options)
    return boto3.client("s3", endpoint_url=store.url, region_name="eu-central-1",
                        aws_access_key_id=store.access_key,
                        aws_secret_access_key=store.secret_key, config=config, **more)


def raw(store, data, timeout=5):
    with socket.create_connection(("127.0.0.1", store.port), timeout=timeout) as s:
        s.sendall(data)
        got = b""
        try:
            while chunk := s.recv(65536):
                got += chunk
        except OSError:
            pass
        return got
