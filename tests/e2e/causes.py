#!/usr/bin/python3
"""What `spoolgate test` says when the message does not arrive, or arrives although something is not
as it should be: every cause provoked, its word, its sentence and its remedy looked at.

Most are provoked on devstore. What only AWS says comes from a store of a few lines that answers as
AWS does; the words are those of its documentation ("Access denied error messages", S3 User Guide).
"""
# also-under: asan
import http.server
import os
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

ME = "arn:aws:sts::111122223333:assumed-role/panoptica-customer/spoolgate"


class AwsLike:
    """Answers by method and path: {"PUT": (403, code, message), "location": …, "object": …}. "{path}" in
    a message becomes that of the request, bucket and key."""

    bucket, region, access_key, secret_key = BUCKET, REGION, "AKIAEXAMPLE", "secret"

    def __init__(self, answers, headers=None):
        self.answers, self.headers = answers, headers or {}

    def __enter__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kind = (self.command if self.command in ("PUT", "POST") else "location" if "?location" in self.path
                        else "uploads" if "?uploads" in self.path else "object")
                status, code, message = outer.answers.get(kind, (403, "AccessDenied", "Access Denied"))
                message = message.replace("{path}", urllib.parse.unquote(self.path.partition("?")[0]).lstrip("/"))
                body = (f"<Error><Code>{code}</Code><Message>{message}</Message></Error>" if code
                        else message).encode()
                self.send_response(status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class RawServer(AwsLike):
    """Says these bytes to everybody, whatever they want."""

    def __init__(self, said):
        super().__init__({})
        self.said = said

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def serve(self):
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            connection.sendall(self.said)
            connection.settimeout(1)
            try:
                while connection.recv(65536):
                    pass
            except OSError:
                pass
            connection.close()

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def cause(gateway, how, word, *say, status=1, config=None, env=None):
    """One row: the test under this configuration and environment has this cause, and its sentence
    and remedy say these words. Both forms of the command agree."""
    was = json.loads(json.dumps(gateway.config))
    gateway.configure(config or {})
    facts = gateway.cli("test", "--json", env=env)
    plain = gateway.cli("test", env=env)
    gateway.config = was
    gateway.configure({})
    check_equal((facts.returncode, plain.returncode), (status, status), f"exit status, {how}")
    try:
        facts = json.loads(facts.stdout)
    except ValueError:
        return check(False, f"{how}: no JSON: {facts.stdout} {facts.stderr}")
    said = "; ".join(filter(None, [facts["what"], facts["remedy"]]))
    check_equal(facts["cause"], word, f"cause, {how} ({said})")
    for text in say:
        check(text in said, f"{how}: {text!r} is not in {said!r}")
    if status == 0:
        check(facts["arrived"], f"{how}: it arrived")
    else:
        check(not facts["arrived"], f"{how}: it did not arrive")
        check_equal(len(plain.stderr.splitlines()), 1, f"sentences on stderr, {how}")
        check(facts["remedy"] == "" or facts["remedy"] in plain.stderr, f"{how}: {plain.stderr}")
    check("secret" not in plain.stdout + plain.stderr or "secret access key" in plain.stderr,
          f"{how}: a secret is told")
    row(how, f"{word}: {said}")
    return facts


def remark(gateway, how, word, *say, config=None, env=None):
    """It arrives, with a remark of this word."""
    was = json.loads(json.dumps(gateway.config))
    gateway.configure(config or {})
    facts = gateway.cli_json("test", env=env)
    gateway.config = was
    gateway.configure({})
    found = [r for r in facts["remarks"] if r["cause"] == word]
    check(facts["arrived"] and len(found) == 1, f"{how}: {facts}")
    said = "; ".join([found[0]["what"], found[0]["remedy"]]) if found else ""
    for text in say:
        check(text in said, f"{how}: {text!r} is not in {said!r}")
    row(how, f"arrived, {word}: {said}")


def causes_of_keys():
    with Devstore("--require-acl") as bucket, Gateway(bucket, start=False) as gateway:
        none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        cause(gateway, "no keys anywhere", "no-keys", "AWS_ACCESS_KEY_ID", status=111, env=none)
        rubbish = os.path.join(gateway.directory, "rubbish")
        with open(rubbish, "w") as file:
            file.write("[default\naws_access_key_id\n")
        cause(gateway, "a credentials file that is none", "keys-wrong", "rubbish", status=100,
              config={"credentials": {"source": "file", "file": rubbish}})
        cause(gateway, "an access key that the store does not know", "unknown-key", "access key id",
              env={"AWS_ACCESS_KEY_ID": "AKIANOBODY"})
        cause(gateway, "a wrong secret", "wrong-secret", "enter the keys anew",
              env={"AWS_SECRET_ACCESS_KEY": "another"})
        token = {"AWS_SESSION_TOKEN": "a-token"}
        for code, word in (("ExpiredToken", "expired-token"), ("InvalidToken", "invalid-token")):
            bucket.fault(f"op=PutObject,code={code}")
            cause(gateway, f"the store says {code}", word, "temporary keys", env=token)
            bucket.clear_faults()
        cause(gateway, "no place for the message", "local", "TMPDIR", status=111,
              config={"state": "/proc/nowhere"}, env={"TMPDIR": "/proc/nowhere"})


def causes_of_the_role():
    def answer(code):
        return (403, "", f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
                f"<Message>no</Message></Error></ErrorResponse>")

    with Devstore("--require-acl") as bucket, Gateway(bucket, start=False) as gateway:
        def role(url):
            return {"credentials": {"assume_role": {
                "arn": "arn:aws:iam::111122223333:role/panoptica-customer", "external_id": "42",
                "endpoint": url}}}

        for code, word, say in (("AccessDenied", "role-refused", "external_id"),
                                ("RegionDisabledException", "role-refused", "AWS_REGION"),
                                ("InvalidClientTokenId", "unknown-key", "STS does not know"),
                                ("ExpiredToken", "expired-token", "renew"),
                                ("ValidationError", "role-refused", "duration")):
            with AwsLike({"POST": answer(code)}) as sts:
                cause(gateway, f"STS says {code}", word, say, status=111, config=role(sts.url))
        cause(gateway, "STS is not there", "not-connected", "", status=111,
              config=role(f"http://127.0.0.1:{free_port()}"))


def causes_of_the_bucket():
    with Devstore("--require-acl") as bucket, Gateway(bucket, start=False) as gateway:
        cause(gateway, "no such bucket", "no-such-bucket", "bucket.arn",
              config={"bucket": {"arn": "arn:aws:s3:::another-bucket"}})
        cause(gateway, "acl none where the policy wants it", "acl-missing", "bucket-owner-full-control",
              "most likely", "s3:PutObjectAcl", "a Deny statement", "spoolgate policy check",
              config={"bucket": {"acl": "none"}})
        remark(gateway, "another region", "wrong-region", 'set "bucket.region" to "eu-central-1"',
               config={"bucket": {"region": "us-east-1"}})
        for code, status, word, say in (
                ("AccessControlListNotSupported", 400, "acls-disabled", "Object Ownership"),
                ("QuotaExceeded", 403, "quota", "quota"),
                ("XMinioStorageFull", 507, "storage-full", "no space"),
                ("SlowDown", 503, "throttled", "fewer requests"),
                ("InternalError", 500, "store-fails", "tried again"),
                ("NotImplemented", 501, "header-not-known", '"bucket.acl" to "none"'),
                ("MissingContentMD5", 400, "content-md5-demanded", "content_md5"),
                ("KMS.DisabledException", 400, "kms-unusable", "kms:GenerateDataKey"),
                ("MethodNotAllowed", 405, "not-the-api", "the S3 API's address"),
                ("AllAccessDisabled", 403, "bucket-disabled", "support"),
                ("UserSuspended", 403, "user-suspended", "enabled again"),
                ("InvalidEncryptionAlgorithmError", 400, "other-encryption-demanded", "encryption")):
            bucket.fault(f"op=PutObject,status={status},code={code}")
            cause(gateway, f"the store says {code}", word, say)
            bucket.clear_faults()
    with Devstore("--fault", "skew=25min") as bucket, Gateway(bucket, start=False) as gateway:
        remark(gateway, "a clock 25 minutes behind", "clock", "25 minutes behind", "synchronised")
    with Devstore("--fault", "skew=-25min") as bucket, Gateway(bucket, start=False) as gateway:
        remark(gateway, "a clock 25 minutes ahead", "clock", "25 minutes ahead of", "synchronised")
    with Devstore() as bucket, Gateway(bucket, start=False) as gateway:
        remark(gateway, "an object whose owner has no grant", "owner-without-full-control",
               "bucket.acl", config={"bucket": {"acl": "none"}})


def causes_of_the_policy():
    def says(reason, action="s3:PutObject"):
        return (403, "AccessDenied",
                f'User: {ME} is not authorized to perform: {action} on resource: '
                f'"arn:aws:s3:::{{path}}" because {reason}')

    allowed = (200, "", "<LocationConstraint>eu-central-1</LocationConstraint>")
    no_key = (404, "NoSuchKey", "The specified key does not exist.")
    statement = {"Effect": "Allow", "Action": ["s3:PutObject", "s3:PutObjectAcl"],
                 "Resource": f"arn:aws:s3:::{BUCKET}/*", "Condition": {"StringEquals": {"s3:x-amz-acl": ACL}}}
    with_tags = {"Effect": "Allow", "Action": ["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"],
                 "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    tags_alone = {**with_tags, "Action": ["s3:PutObject", "s3:PutObjectTagging"]}

    def one(how, word, *say, lacks=False, config=None, expected=statement, **answers):
        with AwsLike(answers) as store, Gateway(store, start=False) as gateway:
            facts = cause(gateway, how, word, *say, config=config)
            if lacks and facts:
                given = dict(facts.get("statement") or {})
                who = given.pop("Principal", {}).get("AWS")
                check_equal(given, expected, f"the statement, {how}")
                if lacks == "named":
                    check_equal(who, ["arn:aws:iam::111122223333:role/panoptica-customer"],
                                f"the role in it, {how}")

    one("a policy that does not know us", "policy-missing", "spoolgate policy generate", lacks=True)
    one("a policy without the objects", "object-resource-missing", f'"arn:aws:s3:::{BUCKET}/*"',
        "most likely", "a Deny statement", "spoolgate policy check", lacks=True, location=allowed)
    one("a policy without PutObject", "put-missing", "s3:PutObjectAcl", lacks=True,
        location=allowed, object=no_key)
    one("no resource-based policy", "policy-missing", "refused (s3:PutObject): the bucket's policy does not allow",
        "what \"spoolgate policy generate\" prints",
        lacks="named", PUT=says("no resource-based policy allows the s3:PutObject action"))
    tags = {"bucket": {"tags": {"team": "siem"}}}
    says_tags = says("no resource-based policy allows the s3:PutObjectTagging action", "s3:PutObjectTagging")
    one("a policy that does not allow tags", "policy-missing", "refused (s3:PutObjectTagging):",
        "spoolgate policy generate --minimal", "spoolgate policy merge --minimal", lacks="named", config=tags,
        expected=with_tags, PUT=says_tags)
    one("tags without an ACL", "policy-missing", "--minimal", lacks="named",
        config={"bucket": {**tags["bucket"], "acl": "none"}}, expected=tags_alone, PUT=says_tags)
    one("tags, and the store says nothing", "policy-missing", "--minimal", lacks=True, config=tags,
        expected=with_tags)
    one("tags, and our own policy", "identity-policy", "s3:PutObject, s3:PutObjectAcl and s3:PutObjectTagging",
        config=tags, PUT=says("no identity-based policy allows the s3:PutObjectTagging action",
                              "s3:PutObjectTagging"))
    for reason, word, say in (
            ("no identity-based policy allows the s3:PutObject action", "identity-policy",
             "across accounts"),
            ("an explicit deny in a resource-based policy", "explicit-deny", "policy check"),
            ("with an explicit deny in an identity-based policy", "explicit-deny-identity", "remove"),
            ("with an explicit deny in a service control policy", "explicit-deny-organization",
             "administrator"),
            ("no service control policy allows the s3:PutObject action", "organization-policy", "each level"),
            ("with an explicit deny in a resource control policy", "explicit-deny-organization",
             "that organization's"),
            ("with an explicit deny in a VPC endpoint policy", "vpc-endpoint-policy", "endpoint's policy"),
            ("no permissions boundary allows the s3:PutObject action", "permissions-boundary",
             "added to that boundary"),
            ("with an explicit deny in a permissions boundary", "permissions-boundary", "excepted"),
            ("no session policy allows the s3:PutObject action", "session-policy", "session policy"),
            ("with an explicit deny in a session policy", "session-policy", "a Deny statement"),
            ("with an explicit deny in a sessions policy", "session-policy", "a Deny statement"),
            ("public ACLs are prevented by the BlockPublicAcls setting in S3 Block Public Access",
             "block-public-acls", "not public")):
        one(f"AWS: {reason}", word, say, PUT=says(reason))
    one("the key that encrypts is not ours to use", "kms-not-allowed", "kms:GenerateDataKey",
        PUT=(403, "AccessDenied", f"User: {ME} is not authorized to perform: kms:GenerateDataKey on "
             "resource: arn:aws:kms:eu-central-1:111122223333:key/1 because no resource-based policy "
             "allows the kms:GenerateDataKey action"))
    one("a redirect that names no region", "wrong-region", "bucket.region", "bucket.endpoint",
        PUT=(301, "PermanentRedirect", "The bucket must be addressed using another endpoint."))
    one("another bucket's console page", "nothing-there", "bucket.arn",
        PUT=(404, "", "<html>not found</html>"))
    one("something that asks for a login", "login-demanded", "proxy", PUT=(401, "", "Unauthorized"))
    one("a proxy that limits bodies", "body-limit", "client_max_body_size",
        PUT=(413, "", "<html>too large</html>"))
    one("a hostile message", "refused", "look ?[31m here", PUT=(403, "Curious", "look \x7f[31m here"))


def certificate(directory, name, *options):
    """A self-signed certificate for `name`: its path and its key's."""
    cert, private = (os.path.join(directory, f"{name}{end}") for end in (".pem", ".key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", private, "-out", cert,
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName={name}", *options],
                   check=True, capture_output=True)
    return cert, private


def causes_of_the_way():
    with Devstore() as bucket, Gateway(bucket, start=False) as gateway:
        def endpoint(url, **more):
            return {"bucket": {"endpoint": url, **more}}

        # However long the name servers of this machine are silent.
        soon = {"RES_OPTIONS": "timeout:1 attempts:1"}
        cause(gateway, "a name that does not exist", "name-not-found", "name servers",
              config=endpoint("https://no-such-host.invalid"), env=soon)
        cause(gateway, "nobody at the port", "not-connected", "the store runs",
              config=endpoint(f"http://127.0.0.1:{free_port()}"))
        with socket.socket() as full:  # a line that is full: no more connections are answered
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [socket.socket() for _ in range(3)]
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            cause(gateway, "an address that does not answer", "connect-timeout", "firewall",
                  config={"bucket": {"endpoint": f"http://127.0.0.1:{full.getsockname()[1]}"},
                          "timeouts": {"connect": "1s"}})
            for one in waiting:
                one.close()
        cause(gateway, "https:// to a port without TLS", "tls-failed", "http://",
              config={**endpoint(bucket.url.replace("http:", "https:")), "timeouts": {"connect": "1s"}})
        for variable, word, say in (("http://no-such-proxy.invalid:3128", "proxy-not-found",
                                     "https_proxy"),
                                    (f"http://127.0.0.1:{free_port()}", "not-connected", "proxy")):
            cause(gateway, f"the proxy {variable.split(':')[1]}", word, say,
                  config=endpoint("https://store.example"), env={**soon, "https_proxy": variable})
        with RawServer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
            cause(gateway, "a proxy that does not let us through", "proxy-refused", "no_proxy",
                  config=endpoint("https://store.example"), env={"https_proxy": proxy.url})
        with RawServer(b"SSH-2.0-OpenSSH_9.2\r\n") as other:
            cause(gateway, "a port of another protocol", "not-http", "port",
                  config=endpoint(other.url))
        for fault, word, say in (("op=PutObject,reset", "connection-lost", "tried again"),
                                 ("op=PutObject,blackhole", "no-answer", "look at the store")):
            bucket.fault(fault)
            cause(gateway, f"devstore: {fault}", word, say, config={"timeouts": {"first_byte": "1s"}})
            bucket.clear_faults()


def causes_of_tls():
    with tempfile.TemporaryDirectory() as directory:
        for name, word, say, trusted in (
                ("IP:127.0.0.1", "certificate-unknown", "bucket.ca_file", False),
                ("DNS:another.example", "certificate-other-name", "another name", True),
                ("IP:127.0.0.1", None, "", True)):
            cert, private = certificate(directory, name)
            with Devstore("--tls", cert, private) as bucket, Gateway(bucket, start=False) as gateway:
                config = {"bucket": {"ca_file": cert}} if trusted else {}
                if word:
                    cause(gateway, f"a certificate for {name}{'' if trusted else ' of nobody'}", word,
                          say, config=config)
                    continue
                gateway.configure(config)
                check_equal(gateway.cli("test").returncode, 0, "with its CA it arrives")
                gateway.configure({"bucket": {"ca_file": os.path.join(directory, "nowhere.pem")}})
                cause(gateway, "a ca_file that is not there", "ca-file-bad", "PEM")
        cert, private = certificate(directory, "DNS:old")
        # Valid in 2020: by a CA's own tool, since `req` begins now.
        with open(os.path.join(directory, "ca.cnf"), "w") as file:
            file.write(f"[ca]\ndefault_ca=c\n[c]\ndatabase={directory}/index\nserial={directory}/serial\n"
                       f"new_certs_dir={directory}\ndefault_md=sha256\npolicy=p\nx509_extensions=e\n"
                       "[p]\ncommonName=supplied\n[e]\nsubjectAltName=IP:127.0.0.1\n")
        open(os.path.join(directory, "index"), "w").close()
        with open(os.path.join(directory, "serial"), "w") as file:
            file.write("01\n")
        subprocess.run(["openssl", "req", "-new", "-key", private, "-subj", "/CN=old", "-out",
                        cert + ".csr"], check=True, capture_output=True)
        subprocess.run(["openssl", "ca", "-batch", "-config", os.path.join(directory, "ca.cnf"),
                        "-selfsign", "-keyfile", private, "-in", cert + ".csr", "-out", cert,
                        "-startdate", "20200101000000Z", "-enddate", "20210101000000Z"],
                       check=True, capture_output=True)
        with Devstore("--tls", cert, private) as bucket, Gateway(bucket, start=False) as gateway:
            cause(gateway, "a certificate that expired in 2021", "certificate-expired", "renewed",
                  config={"bucket": {"ca_file": cert}})
            cause(gateway, "http:// to a port with TLS", "connection-lost", "",
                  config={"bucket": {"endpoint": bucket.url.replace("https:", "http:")}})


run_tests([causes_of_keys, causes_of_the_role, causes_of_the_bucket, causes_of_the_policy, causes_of_the_way,
           causes_of_tls])
