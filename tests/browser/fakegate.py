"""A gateway made of paper: serves console/ with the real one's headers and answers its API from made-up
data, for states that a real gateway hardly shows (a million files, hostile names, outages).

    python3 tests/browser/fakegate.py [--port N] [--mode gateway|setup] [--state ok|behind|stuck]

prints a link that opens the console on it. Nothing but the standard library.
"""

import argparse
import fnmatch
import hashlib
import http.server
import json
import math
import os
import random
import secrets
import threading
import time
import urllib.parse

CONSOLE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "console")
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
          "form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
         ".js": "text/javascript; charset=utf-8"}
EVENT_TYPES = ["findings", "attack-paths", "audit", "inventory"]
BUCKET = "arn:aws:s3:::customer-siem"
ROLE = "arn:aws:iam::111122223333:role/panoptica"
HOSTILE = [
    "Panoptica/findings/2026-11-23/prod/<script>document.title='owned'</script>.json",
    "Panoptica/findings/2026-11-23/prod/<img src=x onerror=document.title='owned'>.json",
    "Panoptica/findings/2026-11-23/prod/\"'><svg onload=document.title='owned'>.json",
    "Panoptica/findings/2026-11-23/prod/javascript:alert(1).json",
    "Panoptica/audit/2026-11-23/prod/right\u202eto-left-nosj.json",
    "Panoptica/audit/2026-11-23/prod/&lt;b&gt;entity&amp;.json",
    "Panoptica/audit/2026-11-23/prod/{{constructor.constructor('x')()}}${1+1}.json",
    "Panoptica/attack-paths/2026-11-23/prod/" + "a-name-without-an-end-" * 9 + ".json",
    "Panoptica/attack-paths/2026-11-23/prod/\u65e5\u672c\u8a9e \U0001f680 e\u0301.json",
]


def now(offset=0.0):
    t = time.time() + offset
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(t)) + ".%03dZ" % (t % 1 * 1000)


def policy_of(role, arn, put_role=None):
    return json.dumps({"Version": "2012-10-17", "Id": "PolicyID", "Statement": [
        {"Sid": "StmtID", "Effect": "Allow", "Principal": {"AWS": [role]},
         "Action": ["s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket",
                    "s3:ListBucketMultipartUploads", "s3:PutObject", "s3:PutObjectAcl"],
         "Resource": [arn, arn + "/*"]},
        {"Sid": "Stmt1", "Effect": "Allow", "Principal": {"AWS": [put_role or role]}, "Action": "s3:PutObject",
         "Resource": arn + "/*",
         "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}}]}, indent=4) + "\n"


class Problem(Exception):
    def __init__(self, status, title, **more):
        super().__init__(title)
        self.status = status
        self.body = {"type": "about:blank", "title": title, "status": status, **more}


class FakeGate:
    """The state is public: a test sets `state`, `waiting`, `mode`, `test_answer` … as it goes."""

    def __init__(self, mode="gateway", state="ok", waiting=0, port=0):
        self.mode, self.state, self.waiting = mode, state, waiting
        self.files, self.receipts = [], []
        self.current = None if mode == "setup" else {"account_name": "prod", "bucket_arn": BUCKET, "role_arn": ROLE,
                                                    "region": "eu-central-1"}
        self.test_answer = {"ok": True, "sentence": "The test message arrived: s3://customer-siem/Panoptica/"
                            "test/2026-11-23/prod/spoolgate-test.json", "took_ms": 412,
                            "key": "Panoptica/test/2026-11-23/prod/spoolgate-test.json"}
        self.policy_fault = self.save_fault = None
        self.saved = None
        self.acts, self.heads = [], {}
        self.tokens, self.sessions = set(), {}
        self.started = time.time()
        self.delivered = 184223
        self.delay = 0.0
        self.random = random.Random(7)
        self.down = False
        self.streams, self.full = 0, False
        self.damaged_at = None  # the first row of a page of receipts for which the journal cannot be read
        self.make_history()
        gate = self

        class Handler(_Handler):
            owner = gate

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request, client_address):
                pass  # a browser that went away

        self.server_class, self.handler = Server, Handler
        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def link(self):
        token = secrets.token_urlsafe(24)
        self.tokens.add(token)
        return f"{self.origin}/login#{token}"

    def stop(self):
        self.down = True
        self.server.shutdown()
        self.server.server_close()

    def restart(self):
        self.down = False
        self.server = self.server_class(("127.0.0.1", self.port), self.handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    # --- data ---

    def make_history(self):
        r = random.Random(3)

        def points(n, step, weight):
            end = int(time.time() // step * step)
            out, backlog = [], 0
            for i in range(n):
                wave = 1 + 0.5 * math.sin(i / n * 9) + 0.25 * r.random()
                outage = 0.62 < i / n < 0.70
                catching = 0.70 <= i / n < 0.76
                counts = {} if outage else {
                    t: int(weight * wave * share * (2.4 if catching else 1) * (0.85 + 0.3 * r.random()))
                    for t, share in zip(EVENT_TYPES, (0.55, 0.22, 0.15, 0.08))}
                backlog = backlog + int(weight * 1.2) if outage else max(0, backlog - int(weight * 1.6)) \
                    if backlog else int(3 * r.random())
                late = min(8, i - 0.62 * n) * step * 1000 if outage or catching else None
                out.append({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end - (n - i) * step)),
                            "delivered": counts, "delivered_bytes": sum(counts.values()) * 3900, "rejected": 0,
                            "backlog_files": backlog, "backlog_bytes": backlog * 3900,
                            "oldest_age_ms": int(late) if late else None,
                            "p50_ms": None if outage else int(1100 + 300 * r.random() + (20000 if catching else 0)),
                            "p99_ms": None if outage else int(2900 + 900 * r.random() + (75000 if catching else 0))})
            return {"span": "hour" if step == 60 else "day", "step_ms": step * 1000,
                    "end": now(), "event_types": EVENT_TYPES, "points": out}

        self.history = {"hour": points(60, 60, 320), "day": points(96, 900, 4200)}

    def add_examples(self):
        """One of each state, and the hostile names."""
        states = [("rejected", "line 3, column 20: expected ',' or '}' after a value", "json"),
                  ("held", "held by hand", "by_hand"), ("held", "another object has its key", "conflict"),
                  ("deferred", "the store is busy (503 SlowDown)", "SlowDown"), ("sending", None, ""),
                  ("accepted", None, ""), ("settling", "it changed less than a second ago", ""),
                  ("forgotten", "forgotten by hand", "by_hand"),
                  ("rejected", "line 1, column 9: the last line has no newline at its end", "newline")]
        for i, (state, why, code) in enumerate(states):
            self.files.append({"path": f"Panoptica/{EVENT_TYPES[i % 4]}/2026-11-23/prod/f-{i + 1:04}.json",
                               "state": state, "size": 900 * (i + 1) ** 3, "since": now(-7 * (i + 1) ** 3),
                               "why": why, "code": code})
        for i, path in enumerate(HOSTILE):
            self.files.append({"path": path, "state": ["rejected", "held", "accepted"][i % 3], "size": 4096,
                               "since": now(-300 * i), "code": "json",
                               "why": "<b>line 1</b>, column 2: <script>document.title='owned'</script>"
                               if i % 3 != 2 else None})
        for i in range(450):
            path = HOSTILE[i % 9] if i % 50 < 2 else \
                f"Panoptica/{EVENT_TYPES[i % 4]}/2026-11-23/prod/f-{i:05}.json"
            digest = hashlib.sha256(path.encode()).hexdigest()
            self.receipts.append({
                "path": path, "key": path, "bucket": "customer-siem", "size": 512 + i * 137, "sha256": digest,
                "etag": f'"{digest[:32]}"', "version_id": None, "request_id": digest[:16].upper(), "attempts": 1,
                "verified": i % 40 == 3, "accepted_at": now(-i * 11 - 2), "delivered_at": now(-i * 11),
                "delivered_after_ms": 74210 if i % 60 == 7 else 900 + i % 700})

    def status(self):
        counts = {name: 0 for name in ("settling", "accepted", "sending", "deferred", "held", "rejected", "kept",
                                       "forgotten")}
        for row in self.files:
            counts["kept" if row["state"] == "delivered" else row["state"]] += 1
        counts["accepted"] += self.waiting
        backlog = self.waiting + counts["accepted"] + counts["deferred"] if self.waiting else \
            {"ok": 14, "behind": 5214, "stuck": 18233}[self.state]
        sentence = {
            "ok": "Delivering: 14 files (58.1 KiB) on their way.",
            "behind": "5214 files (19.8 MiB) wait, the oldest for 2 min 41 s.",
            "stuck": "18233 files (70.2 MiB) wait for the bucket: the bucket refuses to be written (403 AccessDenied): "
                     "the bucket policy does not allow s3:PutObject with this ACL to arn:aws:sts::111122223333:"
                     "assumed-role/panoptica/spoolgate; have its owner paste what spoolgate policy generate prints"}
        if self.state == "ok":
            self.delivered += self.random.randint(4, 9)
        age = {"ok": 1840, "behind": 161000, "stuck": 754000}[self.state]
        stuck = self.state == "stuck"
        return {
            "sentence": sentence[self.state], "state": self.state,
            "uptime_ms": int((time.time() - self.started + 90000) * 1000), "files": counts,
            "backlog": {"files": backlog, "bytes": backlog * 4000, "oldest_age_ms": age},
            "since_start": {"accepted": self.delivered + backlog, "delivered_files": self.delivered,
                            "delivered_bytes": self.delivered * 3900, "verified": 3, "conflicts": 0, "rejected": 2,
                            "last_delivered": now(-0.4 if not stuck else -750), "slowest_ms": 83011},
            "event_types": [
                {"event_type": t, "files": int(backlog * share), "bytes": int(backlog * share * 4000),
                 "oldest_age_ms": age if share > 0.1 else None, "delivered_files": int(self.delivered * share),
                 "delivered_bytes": 0, "held": None}
                for t, share in zip(EVENT_TYPES, (0.55, 0.22, 0.15, 0.08))],
            "destination": {
                "endpoint": "https://customer-siem.s3.eu-central-1.amazonaws.com", "bucket": "customer-siem",
                "region": "eu-central-1", "state": "waiting" if stuck else "open",
                "why": "the bucket refuses to be written (403 AccessDenied)" if stuck else None,
                "code": "AccessDenied" if stuck else None, "waiting_ms": 0, "next_probe_ms": None,
                "in_flight": 0 if stuck else 9, "concurrency": 32, "clock_offset_s": 0, "requests": 0,
                "connections": 9, "credentials": {
                    "origin": "role panoptica, by the file /var/lib/spoolgate/.aws/credentials",
                    "access_key_id": "ASIAIOSFODNN7EXAMPLE", "expires": now(2700)}},
            "spool": {"path": "/var/spool/spoolgate", "free_bytes": 81 << 30, "total_bytes": 120 << 30, "full": False,
                      "why": None},
        }

    def row(self, n):
        return {"path": f"Panoptica/{EVENT_TYPES[n % 4]}/2026-11-23/prod/f-{n:07}.json", "state": "accepted",
                "size": 512 + n * 977 % 90000, "since": now(-n / 900), "why": None}

    def list_files(self, state, match, cursor, limit, whole=False):
        """whole: what matches is the whole path, as for a verb, and no part of it."""
        rows, at = [], int(cursor or 0)
        looked, end = 0, len(self.files) + self.waiting
        while at < end and len(rows) < limit and looked < 20000:
            row = self.files[at] if at < len(self.files) else self.row(at - len(self.files))
            at += 1
            looked += 1
            path = row["path"]
            if (not state or row["state"] == state) and (not match or fnmatch.fnmatchcase(path, match) or (
                    match == path if whole else match in path)):
                rows.append({k: v for k, v in row.items() if k != "code"})
        return {"files": rows, "cursor": str(at) if at < end else ""}

    def find(self, path, rejected=False):
        """As the gateway: a rejected file only where there is no other of its name, or when it is named as one."""
        rows = [row for row in self.files if row["path"] == path and (not rejected or row["state"] == "rejected")]
        for row in sorted(rows, key=lambda row: row["state"] == "rejected"):
            return row
        if self.waiting and path.startswith("Panoptica/"):
            return {"path": path, "state": "accepted", "size": 1, "since": now(), "why": None}
        raise Problem(404, f"{path} is not waiting, held or rejected: it was delivered and removed, or it was never "
                      "in the spool")

    def why(self, path):
        row = self.find(path)
        remedy = {"held": "spoolgate release sends it" if row.get("code") == "by_hand" else
                  "spoolgate retry sends it as it is now; spoolgate forget gives it up",
                  "rejected": "mend it under .spoolgate/rejected and give it back with spoolgate retry",
                  "deferred": "it is tried again by itself; spoolgate retry tries now"}.get(row["state"])
        out = {"path": path, "state": row["state"], "remedy": remedy,
               "why": row["why"] or "it waits its turn: 4096 files of its event type are queued"}
        if row["state"] == "held":
            out["held_by"] = "operator" if row.get("code") == "by_hand" else "condition"
        if row["state"] == "rejected":
            return {**out, "code": row["code"], "rejected_at": row["since"]}
        return {**out, "size": row["size"], "accepted_at": row["since"], "history": [
            {"at": row["since"], "what": "accepted"},
            {"at": now(-3), "what": "attempt", "http_status": 503, "attempts": 2, "code": "SlowDown",
             "why": "the store is busy <script>document.title='owned'</script>"}]}

    def head(self, path):
        if path in self.heads:
            return self.heads[path]
        if self.find(path)["state"] != "rejected":
            raise Problem(400, "only rejected files are shown")
        return {"path": path, "fault": {"line": 3, "column": 20, "text": "expected ',' or '}' after a value"},
                "lines": [{"number": i + 1, "column": 1, "cut": i == 5, "text":
                           f'{{"id":{i + 1},"severity" "HIGH","title":"<script>document.title=\'owned\'</script>"}}'
                           if i == 2 else f'{{"id":{i + 1},"severity":"HIGH","title":"A finding, number {i + 1}"}}'}
                          for i in range(6)]}

    def act(self, verb, body):
        self.acts.append((verb, body))
        becomes = {"retry": "accepted", "hold": "held", "release": "accepted", "forget": "forgotten"}[verb]
        if "paths" in body:
            rejected = body.get("state") == "rejected"
            rows, cursor = [self.find(p, rejected) for p in body["paths"]], ""
        else:
            page = self.list_files(body.get("state"), body.get("match"), body.get("cursor"), 1000, True)
            cursor = page["cursor"]
            names = {row["path"] for row in page["files"]}
            rows = [row for row in self.files if row["path"] in names]
        out = []
        for row in rows:
            row["state"], row["why"], row["code"] = becomes, "by hand" if becomes != "accepted" else None, "by_hand"
            out.append({"path": row["path"], "result": becomes, "text": None})
        return {"count": len(out), "files": out, "left_by_hand": 0, "cursor": cursor}


class _Handler(http.server.BaseHTTPRequestHandler):
    owner = None
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", kind="application/json", **headers):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store",
                            "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff",
                            "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
                            **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def session(self):
        for part in (self.headers.get("Cookie") or "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == "spoolgate" and value in self.owner.sessions:
                return value
        return None

    def handle_any(self):
        gate = self.owner
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        try:
            if gate.down:
                self.close_connection = True
                return
            body = json.loads(raw) if raw else {}
            if url.path.startswith("/v1/") or url.path == "/session":
                if gate.delay and url.path != "/session":
                    time.sleep(gate.delay)
                self.api(gate, url.path, query, body)
            else:
                self.file(url.path)
        except Problem as problem:
            self.answer(problem.status, json.dumps(problem.body).encode(), "application/problem+json")

    do_GET = do_POST = do_DELETE = do_HEAD = handle_any

    def file(self, path):
        name = {"/": "/index.html", "/login": "/login.html"}.get(path, path)
        full = os.path.normpath(os.path.join(CONSOLE, name.lstrip("/")))
        if not full.startswith(CONSOLE + os.sep) or not os.path.isfile(full):
            raise Problem(404, "there is no such page")
        with open(full, "rb") as f:
            self.answer(200, f.read(), TYPES.get(os.path.splitext(full)[1], "text/plain"))

    def api(self, gate, path, query, body):
        if path == "/session" and self.command == "POST":
            if body.get("token") not in gate.tokens:
                raise Problem(403, "this link was used, or is too old")
            gate.tokens.discard(body["token"])
            value, csrf = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
            gate.sessions[value] = csrf
            return self.answer(200, {"csrf": csrf},
                               **{"Set-Cookie": f"spoolgate={value}; HttpOnly; SameSite=Strict; Path=/"})
        session = self.session()
        if session is None:
            raise Problem(401, "there is no session: ask for a new link with spoolgate console")
        if self.command not in ("GET", "HEAD") and self.headers.get("Spoolgate-Token") != gate.sessions[session]:
            raise Problem(403, "the token of the session is missing")
        name = self.command.lower() + path.replace("/v1", "", 1).replace("/", "_")
        handler = getattr(self, name, None)
        if handler is None:
            raise Problem(404, "there is no such thing")
        return handler(gate, query, body, session)

    def get_session(self, gate, _query, _body, session):
        self.answer(200, {"csrf": gate.sessions[session], "mode": gate.mode, "version": "0.9.0"})

    def delete_session(self, gate, _query, _body, session):
        del gate.sessions[session]
        self.answer(200, {})

    def get_status(self, gate, *_):
        self.answer(200, gate.status())

    def get_events(self, gate, _query, _body, session):
        gate.streams += 1
        if gate.full:
            raise Problem(503, "there are too many streams")
        self.send_response(200)
        for name, value in {"Content-Type": "text/event-stream", "Cache-Control": "no-store",
                            "Content-Security-Policy": POLICY, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        while not gate.down and session in gate.sessions:
            self.wfile.write(f"event: status\ndata: {json.dumps(gate.status())}\n\n".encode())
            self.wfile.flush()
            time.sleep(1)

    def get_history(self, gate, query, *_):
        self.answer(200, gate.history[query.get("span", "hour")])

    def get_files(self, gate, query, *_):
        self.answer(200, gate.list_files(query.get("state"), query.get("match"), query.get("cursor"),
                                         int(query.get("limit", 1000))))

    def get_file(self, gate, query, *_):
        self.answer(200, gate.why(query["path"]))

    def get_file_head(self, gate, query, *_):
        self.answer(200, gate.head(query["path"]))

    def get_receipts(self, gate, query, *_):
        match, at, limit = query.get("match", "").lower(), int(query.get("cursor") or 0), int(query.get("limit", 100))
        rows = [r for r in gate.receipts if match in r["path"].lower()
                and query.get("since", "") <= r["delivered_at"] <= query.get("until", "9")]
        page, cursor = rows[at:at + limit], str(at + limit) if at + limit < len(rows) else ""
        damaged = gate.damaged_at is not None and at <= gate.damaged_at < at + limit
        if query.get("format") == "ndjson":
            text = "".join(json.dumps(r) + "\n" for r in page).encode()
            return self.answer(200, text, "application/x-ndjson", **({"Spoolgate-Cursor": cursor} if cursor else {}),
                               **({"Spoolgate-Damaged": "true"} if damaged else {}))
        return self.answer(200, {"receipts": page, "cursor": cursor, "damaged": damaged})

    def post_rescan(self, *_):
        self.answer(200, {"started": True})

    def post_retry(self, gate, _query, body, _session):
        self.answer(200, gate.act("retry", body))

    def post_hold(self, gate, _query, body, _session):
        self.answer(200, gate.act("hold", body))

    def post_release(self, gate, _query, body, _session):
        self.answer(200, gate.act("release", body))

    def post_forget(self, gate, _query, body, _session):
        self.answer(200, gate.act("forget", body))

    def get_setup(self, gate, *_):
        self.answer(200, {"account_names": ["prod", "production-eu", "staging", "sandbox"], "buckets": [
            {"arn": BUCKET, "region": "eu-central-1"}, {"arn": "arn:aws:s3:::customer-archive", "region": "us-east-1"},
            {"arn": "arn:aws:s3:::panoptica-siem-eu", "region": "eu-west-1"},
            {"arn": "arn:aws:s3:::panoptica-siem-us", "region": "us-east-1"}], "current": gate.current, "role_arns": [ROLE], "save": {"allowed": True, "sentence": None}})

    def post_setup_policy(self, gate, _query, body, _session):
        if not body.get("role_arn"):
            raise Problem(400, "no role is given or configured: name who writes", errors=[
                {"path": "role_arn", "text": "Name the role that writes, such as arn:aws:iam::111122223333:role/x."}])
        if gate.policy_fault:
            raise Problem(400, gate.policy_fault)
        name = body["bucket_arn"].rsplit(":", 1)[1]
        self.answer(200, {"policy": policy_of(body["role_arn"], body["bucket_arn"], body.get("put_role_arn")),
                          "bucket_page": f"https://s3.console.aws.amazon.com/s3/buckets/{name}?tab=permissions",
                          "steps": ["Open the bucket's page in the AWS Management Console, as its owner.",
                                    "Choose Permissions, and there Bucket policy, Edit.",
                                    "Paste the policy; if there is one already, merge them with spoolgate policy merge.",
                                    "Save changes, and come back for the test message."]})

    def post_setup_test(self, gate, *_):
        time.sleep(0.1)
        self.answer(200, gate.test_answer)

    def post_setup_save(self, gate, _query, body, _session):
        if gate.save_fault:
            raise Problem(409, gate.save_fault)
        if not gate.test_answer["ok"] and not body.get("anyway"):
            return self.answer(200, {**gate.test_answer, "saved": False})
        gate.saved = body
        return self.answer(200, {**gate.test_answer, "saved": True, "path": "/etc/spoolgate/spoolgate.json",
                                 "restart": []})


def main():
    words = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    words.add_argument("--port", type=int, default=0)
    words.add_argument("--mode", default="gateway", choices=["gateway", "setup"])
    words.add_argument("--state", default="ok", choices=["ok", "behind", "stuck"])
    words.add_argument("--waiting", type=int, default=0)
    said = words.parse_args()
    gate = FakeGate(said.mode, said.state, said.waiting, said.port)
    gate.add_examples()
    print(gate.link(), flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
