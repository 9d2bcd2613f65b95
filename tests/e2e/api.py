#!/usr/bin/python3
# also-under: asan
"""The control API is what docs/api.md says, in both directions: its resources, methods, members and
errors; lists end and are whole, streams change, the configuration changes or says why not, and hostile
paths, requests and readers get nothing and block nobody."""

import errno
import os
import re
import stat
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *
from lib import _UnixConnection

FAST = {"settle": "100ms"}
PATCH = "application/merge-patch+json"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")
SECTION = re.compile(r"^## ([A-Z]+) (/\S*)\n(.*?)(?=^## |\Z)", re.M | re.S)

# --- what is documented, and what is there --------------------------------------------------------


def tree(path):
    with open(os.path.join(REPOSITORY, path), encoding="utf-8") as file:
        return file.read()


def routes_of_code():
    found = set()
    for name in sorted(os.listdir(os.path.join(REPOSITORY, "gateway"))):
        if name.endswith(".c"):
            found.update(re.findall(r'\{"([A-Z]+)",\s*"(/[^"]*)",\s*\w+,\s*[\w |]+\}', tree(f"gateway/{name}")))
    return found


def rows(text, kind):
    """{name: what it says} of the tables in a section that begin so."""
    found = {}
    for table in re.findall(rf"^\| {kind} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M):
        for names, says in re.findall(r"^\| (`.*?`) \| (.*) \|$", table, re.M):
            found.update((name, says) for name in re.findall(r"`([^`]+)`", names))
    return found


DOCUMENT = tree("docs/api.md")
SECTIONS = {(method, path): text for method, path, text in SECTION.findall(DOCUMENT)}
PROBLEM = rows(DOCUMENT.partition("\n## Errors\n")[2].partition("\n## ")[0], "member")


def members_documented(route):
    """Some refer to another route's."""
    text = SECTIONS[route]
    found = rows(text, "member")
    for link in re.findall(r"(?:answer|members) (?:as|are those) of (?:the )?\[\w+\]\(#([a-z]+)-([\w-]+)\)",
                           text.replace("\n", " ")):
        other = next(r for r in SECTIONS if (r[0].lower(), r[1].replace("/", "")) == link)
        found = {**members_documented(other), **found}
    return found


def members_of(value, at=""):
    """Of an answer: paths with [] for the elements of lists."""
    if isinstance(value, dict):
        for name, more in value.items():
            here = f"{at}.{name}" if at else name
            if at == "points[].delivered":
                here = f"{at}.TYPE"
            yield here
            if here not in ("config", "statement"):  # the README and S3 describe these
                yield from members_of(more, here)
    elif isinstance(value, list):
        for more in value:
            yield from members_of(more, at + "[]")


def value_at(value, at):
    for name in at.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


called, seen = set(), {}


def look(route, answer):
    """An answer of 200: nothing that is not documented, all that always should be there."""
    there, documented = set(members_of(answer)), members_documented(route)
    objects = {at for at in there if isinstance(value_at(answer, at), dict)}
    seen.setdefault(route, set()).update(there)
    check(not there - set(documented), f"{route} has {sorted(there - set(documented))}, not in docs/api.md")
    for name, says in documented.items():
        parent = name.rpartition(".")[0]
        if (not parent or parent in objects) and "*sometimes*" not in says and not name.endswith(".TYPE"):
            check(name in there, f"{route} lacks {name}")


def ask(gateway, method, path, body=None, headers=None, timeout=20):
    """(status, headers, JSON or text); every answer is looked at."""
    connection = _UnixConnection(gateway.control, timeout * SLOW)
    try:
        data = json.dumps(body) if isinstance(body, (dict, list)) else body
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    route = (method, path.partition("?")[0])
    kind = response.headers.get("Content-Type") or ""
    answer = json.loads(text) if "json" in kind and "ndjson" not in kind and text else text
    check_equal(response.headers.get("Cache-Control"), "no-store", f"Cache-Control of {method} {path}")
    if response.status < 400:
        called.add(route)
        if isinstance(answer, dict):
            look(route, answer)
    elif method != "HEAD" and route[1] not in ("/livez", "/readyz"):
        check_equal(kind, "application/problem+json", f"{method} {path}: the type of {text[:200]}")
        there = set(members_of(answer))
        check(not there - set(PROBLEM), f"{there - set(PROBLEM)} of a problem are not in docs/api.md")
        check({"type", "status", "title"} <= there and answer["status"] == response.status, f"{answer}")
        seen.setdefault("problem", set()).update(there)
    return response.status, response.headers, answer


def get(gateway, path, /, **arguments):
    query = "&".join(f"{k}={http_quote(str(v))}" for k, v in arguments.items())
    return ask(gateway, "GET", path + ("?" + query if query else ""))


def patch(gateway, body, **headers):
    return ask(gateway, "PATCH", "/v1/config", body, {"Content-Type": PATCH, **headers})


def pages(gateway, path, name, /, **arguments):
    """The rows of all pages, and how many pages there were."""
    found, cursor, count = [], "", 0
    while True:
        status, _, answer = get(gateway, path, cursor=cursor, **arguments)
        if not check_equal(status, 200, f"{path} {arguments}: {answer}"):
            return found, count
        check(len(answer[name]) <= arguments.get("limit", 10000), f"{path}: a page is too long")
        found += answer[name]
        cursor, count = answer["cursor"], count + 1
        if not cursor:
            return found, count


def reject(gateway, name, data):
    """Its path, once it is rejected."""
    path = key("findings", name)
    Dropped().rename(gateway.root, path, data)
    wait_until(lambda: os.path.lexists(os.path.join(gateway.root, ".spoolgate/rejected", path + ".reason")))
    return path


# --- all of it on one gateway ---------------------------------------------------------------------


def test_the_resources_are_those_documented():
    code, document = routes_of_code(), set(SECTIONS)
    check(len(code) > 15, f"{len(code)} routes in the code")
    check_equal(sorted(code - document), [], "resources that docs/api.md does not have")
    check_equal(sorted(document - code), [], "resources of docs/api.md that the code does not have")
    for route, text in SECTIONS.items():
        if route[0] != "GET" or "```" in text:
            continue
        check(route[1] in ("/livez", "/readyz", "/v1/setup"), f"{route} has no example")


def call_each(gateway, bucket):
    waiting, bad = key("findings", "wait.ndjson"), reject(gateway, "bad.ndjson", b'{"a":1}\n{"a" 2}\n')
    dropped = Dropped()
    bucket.fault("latency=1500ms")
    dropped.rename(gateway.root, key("findings", "slow.ndjson"), event(0, 300))
    check(wait_until(lambda: get(gateway, "/v1/status")[2]["transfers"]), "a file that is being sent")
    gateway.wait_delivered(1)
    bucket.clear_faults()
    bucket.fault("status=503")
    dropped.rename(gateway.root, waiting, event(1, 300))
    wait_until(lambda: ask(gateway, "GET", "/v1/file?path=" + http_quote(waiting))[0] == 200)
    wait_until(lambda: gateway.status()["destination"]["state"] != "open")
    for path, arguments in (("/v1/status", {}), ("/v1/files", {}), ("/v1/file", {"path": waiting}),
                            ("/v1/file", {"path": bad}), ("/v1/file/head", {"path": bad}),
                            ("/v1/receipts", {}), ("/v1/history", {}), ("/v1/history", {"span": "day"}),
                            ("/v1/config", {}), ("/metrics", {}), ("/livez", {}), ("/v1/setup", {})):
        status, _, answer = get(gateway, path, **arguments)
        check_equal(status, 200, f"{path}: {str(answer)[:200]}")
        check_equal(ask(gateway, "HEAD", path + "?" + "&".join(f"{k}={http_quote(v)}"
                                                               for k, v in arguments.items()))[0::2],
                    (200, ""), f"HEAD {path}")
    check(wait_until(lambda: get(gateway, "/readyz")[0] == 503, 30), "/readyz while the bucket is away")
    for verb in ("hold", "release", "forget", "retry"):
        status, _, answer = ask(gateway, "POST", f"/v1/{verb}", {"paths": [waiting]})
        check_equal((status, answer["files"][0]["path"]), (200, waiting), verb)
        if verb in ("hold", "forget"):
            get(gateway, "/v1/file", path=waiting)
    bucket.clear_faults()
    ask(gateway, "POST", "/v1/retry", {"all": True})
    check_equal(ask(gateway, "POST", "/v1/rescan")[2], {"started": True}, "rescan")
    gateway.wait_delivered(2)
    check(wait_until(lambda: get(gateway, "/readyz")[0] == 200), "/readyz when the bucket is back")
    dropped.rename(gateway.root, waiting, event(2, 300))  # so that receipts have two of a path
    return dropped


def setup_routes(gateway, bucket):
    settings = {"account_name": "prod", "bucket_arn": f"arn:aws:s3:::{bucket.bucket}", "region": bucket.region,
                "endpoint": bucket.url, "path_style": True}
    policy = {"bucket_arn": settings["bucket_arn"], "role_arn": "arn:aws:iam::111122223333:role/gateway"}
    check_equal(ask(gateway, "POST", "/v1/setup/policy", policy)[0], 200, "a policy")
    for body in ({}, [], "x", {"bucket_arn": 1, "role_arn": 2}):
        check_equal(ask(gateway, "POST", "/v1/setup/policy", body)[0], 400, f"a policy from {body!r}")
    check_equal(patch(gateway, {"bucket": {"tags": {"team": "siem"}}})[2]["reloaded"], True, "tags are set")
    for more, tagging in (({}, True), ({"minimal": True}, True), ({"minimal": False}, False)):
        text = ask(gateway, "POST", "/v1/setup/policy", {**policy, **more})[2]["policy"]
        check_equal("s3:PutObjectTagging" in text, tagging, f"the policy allows tags where some are set, {more}")
    check_equal(patch(gateway, {"bucket": {"tags": None}})[2]["reloaded"], True, "and taken away")
    status, _, answer = ask(gateway, "POST", "/v1/setup/test", settings)
    check_equal((status, answer.get("ok")), (200, True), f"a test message: {answer}")
    bucket.fault("status=403")
    status, _, answer = ask(gateway, "POST", "/v1/setup/test", settings)
    check_equal((status, answer.get("ok")), (200, False), f"a test message that is refused: {answer}")
    bucket.clear_faults()
    status, _, answer = ask(gateway, "POST", "/v1/setup/save", settings)
    check_equal((status, answer.get("saved")), (200, True), f"saving: {answer}")
    status, _, answer = ask(gateway, "POST", "/v1/console", "")
    check(status == 200 and answer["url"].startswith("http://127.0.0.1:"), f"a link: {answer}")


def wrong_methods(gateway):
    by_path = {}
    for method, path in SECTIONS:
        by_path.setdefault(path, set()).add(method)
    for path, methods in by_path.items():
        for method in METHODS:
            if method in methods:
                continue
            status, headers, _ = ask(gateway, method, path, "{}" if method in ("POST", "PATCH", "PUT") else None)
            check_equal((status, set((headers["Allow"] or "").split(", "))), (405, methods), f"{method} {path}")
    for path in ("/", "/v1", "/v1/", "/v1/status/", "/v2/status", "//v1/status", "/v1/statu%00s", "/v1/../v1/status"):
        check_equal(get(gateway, path)[0], 404, path)


def wrong_requests(gateway):
    for path in ("/v1/files?limit=0", "/v1/files?limit=x", "/v1/files?limit=10001", "/v1/files?state=lost",
                 "/v1/files?cursor=zzz", "/v1/file", "/v1/file?path=", "/v1/file?path=" + "x" * 5000,
                 "/v1/file/head", "/v1/file/head?path=", "/v1/file/head?path=a&lines=0",
                 "/v1/file/head?path=a&lines=201", "/v1/file/head?path=a%00b", "/v1/receipts?limit=0",
                 "/v1/receipts?limit=1001", "/v1/receipts?limit=-1", "/v1/receipts?since=soon",
                 "/v1/receipts?until=99999999999999999999d", "/v1/receipts?cursor=zz", "/v1/receipts?cursor=1",
                 "/v1/receipts?cursor=ffffffffffffffff", "/v1/receipts?format=xml", "/v1/history?span=week"):
        status = get(gateway, path)[0]
        check(status == 400 or (status == 404 and path.startswith("/v1/file?")), f"{path[:60]}: {status}")
    for verb in ("retry", "hold", "release", "forget"):
        for body in ("", "{", "[]", "{}", '{"paths":"x"}', '{"paths":[1]}', '{"paths":[""]}', '{"all":1}',
                     '{"paths":["a"],"paths":["b"]}', '{"all":true,"limit":0}', '{"all":true,"cursor":"x"}',
                     json.dumps({"paths": ["x"] * 1001}), '{"paths":["' + "x" * 5000 + '"]}'):
            status, _, answer = ask(gateway, "POST", f"/v1/{verb}", body)
            check_equal(status, 400, f"{verb} {body[:40]}: {answer}")
    status, _, answer = ask(gateway, "POST", "/v1/retry", '{"paths":["' + "x" * (10 << 20) + '"]}')
    check_equal(status, 413, f"10 MiB: {answer}")


def lists_end(gateway, bucket, dropped):
    bucket.fault("status=503")
    for number in range(130):
        dropped.rename(gateway.root, key("audit" if number % 3 else "findings", f"l-{number}.ndjson"),
                       event(number, 300))
    wanted = set(spooled(gateway.root))
    check(wait_until(lambda: gateway.status()["backlog"]["files"] >= 130), "130 files wait")
    held, before, cursor = 0, 0, ""
    while True:  # so that none changes its state while it is listed
        answer = ask(gateway, "POST", "/v1/hold", {"match": "*/l-*", "cursor": cursor, "limit": 50})[2]
        held, cursor = held + answer["count"], answer["cursor"]
        if not cursor and held == before:
            break
        before = before if cursor else held
    check_equal(held, 130, "held, by pages")
    for limit in (1, 7, 50, 1000):
        if limit == 1 and SLOW > 1:
            continue
        found, count = pages(gateway, "/v1/files", "files", limit=limit, match="/l-")
        check_equal((len(found), {f["path"] for f in found} - wanted), (130, set()), f"files, {limit} a page")
        check_equal({f["state"] for f in found}, {"held"}, "their state")
    found, _ = pages(gateway, "/v1/files", "files", limit=20, state="held", match="Panoptica/audit/*")
    check_equal(len(found), 86, "held files by pattern")
    ask(gateway, "POST", "/v1/release", {"all": True})
    bucket.clear_faults()
    ask(gateway, "POST", "/v1/retry", {"all": True})
    gateway.wait_idle()
    told = [json.loads(line) for line in gateway.cli("receipts").stdout.splitlines()]
    for limit in (3, 100, 1000):
        found, count = pages(gateway, "/v1/receipts", "receipts", limit=limit)
        check_equal(found, told[::-1], f"receipts, {limit} a page, newest first")
    found, _ = pages(gateway, "/v1/receipts", "receipts", match="Panoptica/audit/*")
    check_equal(len(found), len([r for r in told if "/audit/" in r["path"]]), "receipts by pattern")
    middle = told[len(told) // 2]["delivered_at"]
    since, _ = pages(gateway, "/v1/receipts", "receipts", since=middle)
    until, _ = pages(gateway, "/v1/receipts", "receipts", until=middle)
    check({r["delivered_at"] >= middle for r in since} == {True}, "since")
    check(len(since) + len(until) >= len(told), "since and until together are all")
    check_equal(pages(gateway, "/v1/receipts", "receipts", since="1970-01-01", until="1971-01-01")[0], [], "none")
    status, headers, text = get(gateway, "/v1/receipts", format="ndjson", limit=7)
    check_equal((headers["Content-Type"], [json.loads(l) for l in text.splitlines()]),
                ("application/x-ndjson", told[::-1][:7]), "receipts as NDJSON")
    rest, cursor = 7, headers["Spoolgate-Cursor"]
    while cursor:
        _, headers, text = get(gateway, "/v1/receipts", format="ndjson", limit=50, cursor=cursor)
        rest, cursor = rest + len(text.splitlines()), headers["Spoolgate-Cursor"]
    check_equal(rest, len(told), "receipts as NDJSON, all pages")


def history_tells(gateway):
    _, _, answer = get(gateway, "/v1/history", span="hour")
    check_equal((len(answer["points"]), answer["step_ms"]), (60, 60000), "points of an hour")
    delivered = sum(sum(p["delivered"].values()) for p in answer["points"])
    check_equal(delivered, gateway.delivered(), "files of the history")
    check_equal(sorted(answer["event_types"]), ["audit", "findings"], "event types of the history")
    check(answer["points"][-1]["p99_ms"] is not None or answer["points"][-2]["p99_ms"] is not None, "a p99")
    check(answer["points"][0]["backlog_files"] is None, "an hour ago nothing was known")
    _, _, answer = get(gateway, "/v1/history", span="day")
    check_equal((len(answer["points"]), answer["step_ms"]), (96, 900000), "points of a day")


def configuration_is_read(gateway):
    status, headers, answer = get(gateway, "/v1/config")
    check_equal(answer["config"], gateway.cli_json("config", "show"), "the configuration as `config show` has it")
    check(re.fullmatch(r'"[0-9a-f]{32}"', headers["ETag"]), f"ETag {headers['ETag']}")
    marked = re.findall(r"^\| `([a-z._]+)` ° \|", tree("README.md"), re.M)
    check_equal(sorted(answer["restart"]), sorted(marked), "keys that need a restart, as the README marks them")
    return headers["ETag"]


def configuration_is_changed(gateway):
    tag = configuration_is_read(gateway)
    before = os.stat(gateway.config_path)
    os.chmod(gateway.config_path, 0o640)
    status, _, answer = patch(gateway, {"uploads": 7, "limits": {"quota": "1GiB"}}, **{"If-Match": tag})
    check_equal((status, answer), (200, {"changed": ["uploads", "limits.quota"], "restart": [], "reloaded": True,
                                         "why": None}), "a change that is taken over")
    after = os.stat(gateway.config_path)
    check_equal((stat.S_IMODE(after.st_mode), after.st_uid, after.st_gid), (0o640, before.st_uid, before.st_gid),
                "mode and owner of the new file")
    check_equal(get(gateway, "/v1/config")[2]["config"]["uploads"], 7, "uploads in force")
    with open(gateway.config_path, encoding="utf-8") as file:
        text = file.read()
    check_equal(list(json.loads(text))[:4], ["spool", "state", "account_name", "bucket"], "the order of the keys")
    check_equal(patch(gateway, {"uploads": 8}, **{"If-Match": tag})[0], 412, "If-Match of the old file")
    check_equal(patch(gateway, {"uploads": 8}, **{"If-Match": f"W/{tag}"})[0], 412, "a weak If-Match")
    check_equal(patch(gateway, {"uploads": 7}, **{"If-Match": "*"})[2]["changed"], [], "nothing that changes")
    check_equal(patch(gateway, {"limits": None})[2]["changed"], ["limits.quota"], "null removes")
    status, _, answer = patch(gateway, {"uploads": 9, "rescan": "10min"})
    check_equal((answer["changed"], answer["restart"], answer["reloaded"]), (["rescan", "uploads"], ["rescan"], False),
                "a key that needs a restart")
    check_equal(get(gateway, "/v1/config")[2]["config"]["uploads"], 7, "what is in force until then")
    check_equal(patch(gateway, {"rescan": None})[2]["reloaded"], True, "taken back, the rest is taken over")
    check_equal(get(gateway, "/v1/config")[2]["config"]["uploads"], 9, "uploads in force")
    check(not [n for n in os.listdir(gateway.directory) if n.endswith(".tmp")], "no temporary file is left")


def configuration_is_refused(gateway):
    with open(gateway.config_path, "rb") as file:
        text = file.read()
    status, _, answer = patch(gateway, {"uploads": 0, "nonsense": 1, "bucket": {"arn": "x"}})
    check_equal((status, sorted(e["path"] for e in answer["errors"])), (400, ["bucket.arn", "nonsense", "uploads"]),
                "all errors at once")
    for body in ("", "[]", "7", "{", '{"uploads":1,"uploads":2}', '{"uploads":"\xff"}'.encode("latin-1"),
                 json.dumps({"bucket": None}), json.dumps({"ignore": ["x" * 1048500]})):
        check_equal(patch(gateway, body)[0], 400, f"a patch {body[:40]!r}")
    check_equal(ask(gateway, "PATCH", "/v1/config", "{}", {"Content-Type": "text/plain"})[0::2][0], 415, "as text")
    check_equal(ask(gateway, "PATCH", "/v1/config", "{}")[1]["Accept-Patch"], PATCH, "Accept-Patch")
    check_equal(patch(gateway, "[" * 100000)[0], 400, "a hundred thousand brackets")
    with open(gateway.config_path, "rb") as file:
        check(file.read() == text, "nothing was written")
    with open(gateway.config_path, "wb") as file:
        file.write(b"{ this is not JSON")
    check_equal(patch(gateway, {"uploads": 3})[0], 409, "over a file that is no JSON")
    with open(gateway.config_path, "wb") as file:
        file.write(text)


def test_a_running_gateway():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        slow, quiet = SlowReaders(gateway), threading.Thread(target=nothing_changes)
        quiet.start()
        dropped = call_each(gateway, bucket)
        setup_routes(gateway, bucket)
        wrong_methods(gateway)
        wrong_requests(gateway)
        lists_end(gateway, bucket, dropped)
        history_tells(gateway)
        configuration_is_changed(gateway)
        configuration_is_refused(gateway)
        events_change(gateway, dropped)
        slow.end()
        quiet.join()


# --- streams, slow and idle ones ------------------------------------------------------------------


class Stream:
    """One of /v1/events."""

    def __init__(self, gateway):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(gateway.control)
        self.socket.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.held = b""

    def read(self, seconds):
        """What has come by then, in all; None: it was ended."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                piece = self.socket.recv(1 << 16)
            except TimeoutError:
                break
            if not piece:
                return None
            self.held += piece
        return self.held

    def statuses(self):
        return [json.loads(d) for d in re.findall(rb"event: status\ndata: (.*)\n\n", self.held)]

    def close(self):
        self.socket.close()


def events_change(gateway, dropped):
    called.add(("GET", "/v1/events"))
    stream = Stream(gateway)
    check(wait_until(lambda: len(stream.read(0.2) and stream.statuses()) >= 1), "a status at once")
    check(b"Content-Type: text/event-stream" in stream.held, "its type")
    look(("GET", "/v1/status"), stream.statuses()[0])
    before = stream.statuses()[-1]["since_start"]["delivered_files"]
    dropped.rename(gateway.root, key("findings", "seen.ndjson"), event(7, 300))
    check(wait_until(lambda: (stream.read(0.3) or True) and
                     stream.statuses()[-1]["since_start"]["delivered_files"] == before + 1), "it is seen to change")
    begin = len(stream.statuses())
    stream.read(3)
    check(len(stream.statuses()) - begin <= 3, "once a second at most")
    check_equal(ask(gateway, "HEAD", "/v1/events")[0::2], (200, ""), "HEAD of a stream")
    streams = [Stream(gateway) for _ in range(31)]
    check(wait_until(lambda: all(s.read(0.05) and s.statuses() for s in streams)), "32 streams")
    check_equal(get(gateway, "/v1/events")[0], 503, "one more")
    for s in streams:
        s.close()
    stream.close()


def nothing_changes():
    """On a gateway of its own, beside the others: a comment says that the stream is alive."""
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        stream = Stream(gateway)
        check(wait_until(lambda: b"\n:\n\n" in (stream.read(0.5) or b""), 25), "a comment after 15 s")
        check(len(stream.statuses()) < 6, f"{len(stream.statuses())} events where nothing changes")
        stream.close()


class SlowReaders:
    """Beside everything else: idle connections, a request that trickles in, an answer that nobody takes."""

    def __init__(self, gateway):
        self.gateway, self.start = gateway, time.monotonic()
        self.trickle = self._connect()
        self.trickle.sendall(b"GET /v1/status HTTP/1.1\r\nX: ")
        self.ended = None
        self.thread = threading.Thread(target=self._trickle, daemon=True)
        self.thread.start()

    def _connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(self.gateway.control)
        return s

    def _trickle(self):
        try:
            while time.monotonic() - self.start < 60 * SLOW:
                time.sleep(1)
                self.trickle.sendall(b"x")
        except OSError:
            self.ended = time.monotonic() - self.start

    def end(self):
        wait_until(lambda: self.ended, 30)
        check(self.ended and 9 < self.ended < 20 * SLOW, f"a request of a byte a second was cut after {self.ended} s")
        idle = []
        for _ in range(1000):
            try:
                idle.append(self._connect())
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise
                time.sleep(0.01)
        begin = time.monotonic()
        check_equal(get(self.gateway, "/v1/status")[0], 200, "the status beside a thousand idle connections")
        check(time.monotonic() - begin < 3 * SLOW, "and soon")
        lazy = self._connect()
        lazy.setblocking(False)
        for _ in range(200):  # answers that nobody reads: the connection's own buffer is all they get
            try:
                lazy.send(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
            except BlockingIOError:
                break
        check_equal(get(self.gateway, "/livez")[0], 200, "who reads nothing blocks nobody")
        for s in [*idle, lazy, self.trickle]:
            s.close()


# --- the heads of rejected files ------------------------------------------------------------------


def test_heads_of_hostile_files():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        rejected = os.path.join(gateway.root, ".spoolgate/rejected")

        def head(path, **more):
            return get(gateway, "/v1/file/head", path=path, **more)[0::2]

        lines = b'{"a":1}\n' * 30 + b'{"a" 1}\n' + b'{"b":2}\n' * 5
        path = reject(gateway, "fault.ndjson", lines)
        status, answer = head(path, lines=3)
        check_equal((status, answer["code"], answer["fault"]["line"], answer["size"]), (200, "content", 31, len(lines)),
                    "the fault")
        check_equal([l["number"] for l in answer["lines"]], [1, 2, 3, 29, 30, 31, 32, 33], "lines around the fault")
        path = reject(gateway, "bytes.ndjson", b'{"a":"<script>\xff\x00\x1b[2J"}\n')
        status, answer = head(path)
        check_equal((status, answer["lines"][0]["text"]), (200, '{"a":"<script>\ufffd\x00\x1b[2J"}'), "odd bytes")
        path = reject(gateway, "empty.ndjson", b"")
        status, answer = head(path)
        check_equal((status, answer["lines"], answer["fault"]), (200, [], None), "an empty file")
        path = reject(gateway, "long.ndjson", b'{"a":"' + b"x" * (1 << 20))
        with open(os.path.join(rejected, path), "r+b") as file:
            file.truncate(1 << 30)  # a line of a GiB, of zeros
        begin = time.monotonic()
        status, answer = head(path)
        check_equal((status, len(answer["lines"]), answer["lines"][0]["cut"]), (200, 1, True), "a line of a GiB")
        check(time.monotonic() - begin < 2 * SLOW, "and soon")

        here = os.path.dirname(path)
        base = os.path.join(rejected, here)
        secret = os.path.join(gateway.directory, "secret")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("secret\n")
        os.symlink(secret, os.path.join(base, "link"))
        os.symlink(gateway.directory, os.path.join(base, "linked"))
        os.mkfifo(os.path.join(base, "fifo"))
        os.mkdir(os.path.join(base, "directory"))
        listener = socket.socket(socket.AF_UNIX)
        os.chdir(base)
        listener.bind("socket")
        for name in ("link", "linked/secret", "fifo", "directory", "socket"):
            status, answer = head(f"{here}/{name}")
            check(status in (400, 404) and "secret\n" not in str(answer), f"{name}: {status} {answer}")
        waiting = key("findings", "waits.ndjson")
        bucket.fault("status=503")
        Dropped().rename(gateway.root, waiting, event(1, 300))
        for odd in ("../../../etc/passwd", "/etc/passwd", f"{here}/../{here}/long.ndjson", "..", ".", "a//b",
                    f"{here}/", waiting, "x" * 4000, "/".join(["a"] * 1500), f"{here}/long.ndjson.reason", "\xff\xfe",
                    "strays/../../lock", "../lock"):
            status, answer = head(odd)
            check(status in (400, 404), f"{odd[:60]}: {status} {answer}")
        listener.close()
        check_equal(get(gateway, "/v1/status")[0], 200, "the gateway goes on")
        stream = Stream(gateway)  # a stop does not wait for it
        check(wait_until(lambda: stream.read(0.2) and stream.statuses()), "a stream when the gateway stops")
        begin = time.monotonic()
        check_equal(gateway.stop(), 0, "the exit status beside an open stream")
        check(time.monotonic() - begin < 9 * SLOW, "soon")
        check(stream.read(2) is None and stream.held.endswith(b"0\r\n\r\n"), "the stream was ended in order")


# --- a configuration that may not be written ------------------------------------------------------


def refused_to_write(gateway, why):
    status, _, answer = get(gateway, "/v1/config")
    check_equal((status, answer["writable"], bool(answer["why"])), (200, False, True), f"{why}: GET says so")
    status, _, answer = patch(gateway, {"uploads": 3})
    check_equal(status, 403, f"{why}: {answer}")
    check("by hand" in answer["title"], f"{why}: {answer['title']}")
    row(why, answer["title"].replace(gateway.directory, "DIR"))


def test_a_configuration_that_the_gateway_may_not_write():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST, start=False) as gateway:
        if os.geteuid() != 0:
            os.chmod(gateway.config_path, 0o444)
            gateway.start()
            refused_to_write(gateway, "a file without the right to write")
            os.chmod(gateway.config_path, 0o644)
            gateway.stop()
        os.mkdir(os.path.join(gateway.directory, "other"))  # a right on a directory is one on all below it
        gateway.start()
        if gateway.status()["sandbox"]["landlock"]:
            refused_to_write(gateway, "a directory with other directories in it")
        gateway.stop()
        handle, common = tempfile.mkstemp(".json", "spoolgate-e2e-", "/tmp")  # /tmp itself is not opened
        os.close(handle)
        shutil.copy(gateway.config_path, common)
        try:
            gateway.config_path = common
            gateway.start()
            if gateway.status()["sandbox"]["landlock"]:
                refused_to_write(gateway, "a directory that the sandbox does not open")
                gateway.stop()
                gateway.configure({"sandbox": "off"})
                gateway.start()
            check_equal(patch(gateway, {"uploads": 3})[0], 200, "without a sandbox")
        finally:
            os.unlink(common)


def test_what_was_not_called_and_not_seen():
    missing = set(SECTIONS) - called
    check_equal(sorted(missing), [], "resources that were not called")
    for route, there in seen.items():
        documented = set(PROBLEM) if route == "problem" else set(members_documented(route))
        rare = {"code", "cause", "remedy"} if route == "problem" else RARE.get(route[1], set())
        check_equal(sorted(documented - there - rare), [], f"documented members of {route} that were not seen")


# What only a failing disk or bucket would show: other scripts see it.
RARE = {"/v1/file": {"history[].http_status", "history[].attempts"},
        "/v1/setup/test": {"remarks[].code", "remarks[].cause", "remarks[].remedy", "statement"},
        "/v1/setup/save": {"remarks[].code", "remarks[].cause", "remarks[].remedy", "statement", "cause", "remedy",
                           "code"}}

if __name__ == "__main__":
    run_tests([test_the_resources_are_those_documented, test_a_running_gateway, test_heads_of_hostile_files,
               test_a_configuration_that_the_gateway_may_not_write, test_what_was_not_called_and_not_seen])
