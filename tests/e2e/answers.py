#!/usr/bin/python3
"""Answers that no store should give, from between the gateway and a good store: files wait, status
and why name the cause, and when the answers are good again all is delivered by itself.

What takes half a minute and more to be asked again is helped by `spoolgate retry`, unless
SPOOLGATE_LONG is set; then the cases that only take long run, too."""

import os
import re
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

LONG = bool(os.environ.get("SPOOLGATE_LONG"))
CONFIG = {"settle": "100ms", "multipart": {"threshold": "5MiB", "part_size": "5MiB"},
          "timeouts": {"connect": "2s", "first_byte": "1500ms", "stall": "1500ms"}}
XML = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"


class Between:
    """Stands between a gateway and a store, and spoils answers. `spoil(request, answer)`, given the
    operation and the store's whole answer, says what to send in its place: bytes, or an iterable of
    bytes and pauses (numbers: seconds), then a close; RESET in it resets. None: the answer as it is.
    `instead(request)` is asked first: what it says is sent and the store never sees the request."""

    RESET = object()

    def __init__(self, store):
        self.store, self.spoil, self.instead = store, None, None
        self.bucket, self.region = store.bucket, store.region
        self.access_key, self.secret_key = store.access_key, store.secret_key
        self.spoilt = self.connections = 0
        self.lock = threading.Lock()

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.clear()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def clear(self):
        self.spoil = self.instead = None

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    @staticmethod
    def _message(sock, held, head_only=False):
        """(head, body, what came after); None when the other side is gone."""
        while b"\r\n\r\n" not in held:
            if not (piece := sock.recv(1 << 16)):
                return None
            held += piece
        head, _, held = held.partition(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        length = int(length[1]) if length and not head_only else 0
        while len(held) < length:
            if not (piece := sock.recv(1 << 16)):
                return None
            held += piece
        return head + b"\r\n\r\n", held[:length], held[length:]

    def _serve(self, client):
        held = b""
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with client, socket.create_connection(("127.0.0.1", self.store.port)) as store:
                store.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while message := self._message(client, held):
                    head, body, held = message
                    request = operation(head)
                    if self.instead and (sent := self.instead(request)) is not None:
                        return self._send(client, sent)
                    store.sendall(head + body)
                    answer = self._message(store, b"", head.startswith(b"HEAD "))
                    if answer is None:
                        return
                    answer = answer[0] + answer[1]
                    if self.spoil and (sent := self.spoil(request, answer)) is not None:
                        return self._send(client, sent)
                    client.sendall(answer)
        except OSError:
            pass

    def _send(self, client, what):
        with self.lock:
            self.spoilt += 1
        for piece in [what] if isinstance(what, bytes) else what:
            if piece is self.RESET:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if isinstance(piece, bytes):
                client.sendall(piece)
            else:
                end = time.monotonic() + piece  # a client that gave up is not waited for
                while time.monotonic() < end:
                    client.settimeout(0.2)
                    try:
                        if not client.recv(1, socket.MSG_PEEK):
                            return
                    except TimeoutError:
                        pass
                    finally:
                        client.settimeout(None)


def operation(head):
    method, target = head.split(b" ", 2)[:2]
    query = target.partition(b"?")[2]
    name = {b"PUT": "UploadPart" if b"partNumber=" in query else "PutObject",
            b"POST": "Complete" if b"uploadId=" in query else "Create",
            b"HEAD": "Head", b"GET": "Get", b"DELETE": "Abort"}[method]
    return name, target.partition(b"?")[0]


def drop(gateway, count=16, large=True):
    dropped = Dropped()
    for number in range(count):
        dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number, 700))
    if large:
        dropped.rename(gateway.root, key("attack_paths", "large.ndjson"),
                       b"".join(event(i, 64 * 1024) for i in range(96)))
    return dropped


def whole(status, body=b"", *lines, length=None):
    head = b"HTTP/1.1 %s\r\n" % status + b"".join(line + b"\r\n" for line in lines)
    return head + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def error(status, code, *lines, more=b""):
    return whole(status, XML + b"<Error><Code>%s</Code><Message>m</Message>%s</Error>" % (code, more),
                 b"x-amz-request-id: R1", *lines)


def endless(head, piece):
    yield head
    while True:
        yield piece * 1000


def slowly(answer, pause, size=1):
    for at in range(0, len(answer), size):
        yield answer[at:at + size]
        yield pause


ETAG = b'ETag: "0123456789abcdef0123456789abcdef"'
OK = whole(b"200 OK", b"", ETAG)


def bad(case, answer, words, *, of="every", state="stuck", passes=False, retry=False, large=True,
        config=None):
    """While every answer (or those of one operation) is this one, the files wait, and the cause is
    told with these words; then all arrives. passes: it is to be understood, and nothing waits."""
    def test():
        with Devstore("--require-acl") as bucket, Between(bucket) as between, \
                Gateway(between, {**CONFIG, **(config or {})}) as gateway:
            make = answer if callable(answer) else lambda: answer
            choose = lambda request, *_: make() if of in ("every", request[0]) else None
            if passes:
                between.spoil = lambda request, good: answer(good)
            else:
                between.instead = choose
            dropped = drop(gateway, large=large)
            if passes:
                gateway.wait_idle(40)
                seen = "understood"
            else:
                seen = waits(case, gateway, dropped, words, state, of)
            check(between.spoilt > 0, f"{case}: answers were spoilt")
            between.clear()
            since = time.monotonic()
            if retry and not LONG:
                gateway.cli("retry", "--all")
            gateway.wait_idle(75)
            took = time.monotonic() - since
            status = gateway.status()
            check_equal((status["state"], status["files"]["held"], status["files"]["rejected"],
                         status["since_start"]["conflicts"], status["since_start"]["delivered_files"]),
                        ("ok", 0, 0, 0, len(dropped)), f"{case}: state, held, rejected, conflicts, delivered")
            check_equal(bucket.stats()["repeated_other"], 0, f"{case}: objects overwritten with others")
            arrived(case, seen if passes else f"\"{seen}\"; all stored {took:.1f} s after it", bucket, dropped)
    test.__name__ = re.sub(r"\W+", "_", case)
    return test


def waits(case, gateway, dropped, words, state, of):
    """Until status and why name the cause. The cause."""
    one = next(path for path in dropped if ("large" in path) == (of in ("Create", "Complete", "UploadPart")))

    def told():
        why = gateway.cli("why", one).stdout
        found = re.search(r"(?m)^why +(.*)", why)
        status = gateway.status()
        said = found[1] if found else ""
        ok = all(word in said for word in words) and status["state"] == state and (
            state != "stuck" or all(word in status["sentence"] for word in words))
        return ok and said
    cause = wait_until(told, 25, 0.2)
    if not check(cause, f"{case}: status and why say {words}"):
        print("    " + gateway.status()["sentence"])
        print("    " + gateway.cli("why", one).stdout)
    files = gateway.status()["files"]
    check_equal(files["rejected"], 0, f"{case}: rejected")
    return cause


def every_byte_of_a_put(reset):
    """One of three answers breaks off, each after one byte more than the one before."""
    def test():
        with Devstore("--require-acl") as bucket, Between(bucket) as between, \
                Gateway(between, {**CONFIG, "uploads": 8}) as gateway:
            place, whole_length, count = [0], [0], [0]

            def spoil(request, good):
                if request[0] != "PutObject" or b" 200 " not in good[:20]:
                    return None
                with between.lock:
                    count[0] += 1
                    if count[0] % 3:
                        return None
                    at, place[0] = place[0], place[0] + 1
                whole_length[0] = len(good)
                if at >= len(good):
                    return None
                return [good[:at], Between.RESET] if reset else good[:at]
            between.spoil = spoil
            dropped = drop(gateway, 800, large=False)
            gateway.wait_idle(60)
            check(place[0] > whole_length[0] > 100, f"{place[0]} places of {whole_length[0]} bytes")
            check_equal(bucket.stats()["repeated_other"], 0, "objects overwritten with others")
            check_equal(gateway.status()["since_start"]["conflicts"], 0, "files under a second name")
            arrived(f"PutObject's answer {'reset' if reset else 'closed'} after each of {whole_length[0]} bytes",
                    f"{gateway.status()['since_start']['verified']} found there", bucket, dropped)
    test.__name__ = "every_byte_" + ("reset" if reset else "closed")
    return test


def a_file_is_not_held_at_its_first_refusal():
    """What failed before was not its own trouble, and does not count towards its tries."""
    with Devstore("--require-acl") as bucket, Between(bucket) as between, Gateway(between, CONFIG) as gateway:
        answers = [error(b"500 X", b"InternalError")] * 4 + [error(b"413 X", b"TooLarge")]
        between.instead = lambda request: answers.pop(0) if request[0] == "PutObject" and answers else None
        dropped = drop(gateway, 1, large=False)
        path = next(iter(dropped))
        said = wait_until(lambda: "(413" in (why := gateway.cli("why", path).stdout) and why
                          or gateway.status()["since_start"]["delivered_files"] == 1, 60, 0.1)
        check(said and gateway.status()["files"]["held"] == 0, f"not held after its first refusal: {said}")
        gateway.wait_idle(60)
        check(not answers, f"answers left: {len(answers)}")
        arrived("a refusal after four failures", "the file waits for its next try", bucket, dropped)


def a_redirect_to_another_host():
    """Nothing is sent there, least of all a signature."""
    with Devstore("--require-acl") as bucket, Between(bucket) as between, Between(bucket) as elsewhere, \
            Gateway(between, CONFIG) as gateway:
        place = elsewhere.url.encode()
        for status in (b"301 Moved Permanently", b"307 Temporary Redirect", b"302 Found", b"308 Permanent Redirect"):
            between.instead = lambda request: error(
                status, b"PermanentRedirect", b"Location: " + place + request[1],
                more=b"<Endpoint>%s</Endpoint>" % place[7:])
            dropped = drop(gateway)
            seen = waits(status.decode(), gateway, dropped, ["region", "endpoint"], "stuck", "every")
            check_equal(elsewhere.connections, 0, f"connections to the other host after {status}")
            between.clear()
            if not LONG:
                gateway.cli("retry", "--all")
            gateway.wait_idle(45)
            arrived(f"{status.decode()} to another host", f"\"{seen}\"; 0 connections there", bucket, dropped)
            bucket.reset()


def another_region(case, status, code, names):
    """The bucket is elsewhere: the answer says where, and the gateway signs for there."""
    def test():
        with Devstore("--require-acl", "--region", "us-east-2") as bucket, Between(bucket) as between:
            between.region = "eu-central-1"

            def spoil(_request, good):
                if b"AuthorizationHeaderMalformed" not in good:
                    return None
                return error(status, code, *([b"x-amz-bucket-region: us-east-2"] if names == "header" else []),
                             more=b"<Region>us-east-2</Region>" if names == "body" else b"")
            between.spoil = spoil
            with Gateway(between, CONFIG) as gateway:
                dropped = drop(gateway)
                gateway.wait_idle(30)
                status_ = gateway.status()
                check_equal(status_["destination"]["region"], "us-east-2", f"{case}: region")
                check("destination_rerouted" in gateway.log(), f"{case}: the log says so")
                bucket.region = "us-east-2"
                arrived(case, "signed for us-east-2 from then on", bucket, dropped)
    test.__name__ = re.sub(r"\W+", "_", case)
    return test


def regions_in_a_circle():
    """Two regions that each name the other: it is not asked again and again."""
    with Devstore("--require-acl") as bucket, Between(bucket) as between, Gateway(between, CONFIG) as gateway:
        names = [b"eu-west-1", b"eu-west-2"]
        asked = [0]

        def instead(_request):
            asked[0] += 1
            names.reverse()
            return error(b"301 Moved Permanently", b"PermanentRedirect", b"x-amz-bucket-region: " + names[0])
        between.instead = instead
        dropped = drop(gateway)
        time.sleep(3)
        begin = asked[0]
        time.sleep(3)
        many = asked[0] - begin
        check(many < 30, f"{many} requests in 3 s to regions that name one another")
        seen = waits("regions in a circle", gateway, dropped, ["region"], "stuck", "every")
        between.clear()
        gateway.wait_idle(75)
        arrived("regions that name one another", f"\"{seen}\"; {many} requests in 3 s", bucket, dropped)


def our_own_clock_is_off():
    """By 20 minutes, ahead and behind, and set right while files flow."""
    for minutes in (20, -20):
        with scratch_dir() as directory, Devstore("--require-acl") as bucket:
            environment = shifted_clock(directory, minutes * 60)
            with Gateway(bucket, CONFIG, env=environment) as gateway:
                dropped = drop(gateway)
                gateway.wait_idle(30)
                offset = gateway.status()["destination"]["clock_offset_s"]
                check(abs(offset + minutes * 60) < 30, f"our clock is {minutes} min ahead, the offset {offset} s")
                shift_clock(directory, 0)
                for number in range(20):
                    dropped.rename(gateway.root, key("audit", f"a-{number}.ndjson"), event(number))
                gateway.wait_idle(30)
                offset = gateway.status()["destination"]["clock_offset_s"]
                check(abs(offset) < 30, f"our clock was set right, the offset is {offset} s")
                check_equal(gateway.status()["files"]["held"], 0, "held")
                arrived(f"our own clock {minutes:+} min, then right", "corrected from the store's answers, twice",
                        bucket, dropped)


def our_own_clock_is_set_back_while_put_waits():
    """Its receipt then has a time from before the put, and an older one of that name has a later time."""
    with scratch_dir() as directory, Devstore("--require-acl") as bucket:
        environment = shifted_clock(directory, 0)
        with Gateway(bucket, {**CONFIG, "conflict": "overwrite"}, env=environment) as gateway:
            dropped, name = Dropped(), key("findings", "f.ndjson")
            check_equal(gateway.cli("put", name, "--wait=20", stdin=event(1)).returncode, 0, "the older one")
            time.sleep(2.5)  # as exactly as files have times everywhere
            bucket.fault("op=PutObject,status=503,code=SlowDown")
            dropped.add(name, event(2))
            put = start_process([SPOOLGATE, "put", name, "--wait=60", "--json", "-c", gateway.config_path],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=gateway.environment())
            put.stdin.write(event(2))
            put.stdin.close()
            check(wait_until(lambda: gateway.status()["backlog"]["files"] == 1), "one is waited for")
            shift_clock(directory, -20 * 60)
            time.sleep(1.5)
            check_equal(put.poll(), None, "it waits, and does not take the older one's receipt")
            bucket.clear_faults()
            gateway.cli("retry", "--all")
            said = json.loads(put.stdout.read() or b"{}")
            put.stdout.close()
            check_equal((put.wait(), said.get("sha256")), (0, dropped[name][1]), "put --wait ends with its own receipt")
            arrived("our own clock set back by 20 min while put waits", "it ends when its file is delivered", bucket,
                    dropped)


def a_silent_store_is_told_by_the_test_message():
    """Also with limits of a minute and more, as by default: before the test itself is at its end."""
    with Devstore("--require-acl") as bucket, socket.create_server(("127.0.0.1", 0)) as silent, \
            Gateway(bucket, {"bucket": {"endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}"},
                             "timeouts": {"first_byte": "2min", "stall": "2min"}}, start=False) as gateway:
        began = time.monotonic()
        done = gateway.cli("test", timeout=100)
        took = time.monotonic() - began
        said = done.stdout + done.stderr
        check_equal(done.returncode, 1, f"exit status: {said}")
        check("was stopped" not in said and "said nothing" in said, f"the cause is told: {said}")
        arrived("the test message to a store that takes it and is silent", f"{took:.0f} s: {said.strip()[:150]}", bucket,
                Dropped())


def refused_event_types_take_turns():
    """However often the first of them is due again. One flows, and now and then a file of it is refused while another
    passes: then a refused event type is asked at once, and that is another one each time."""
    with Devstore("--require-acl") as bucket, Between(bucket) as between, Gateway(between, CONFIG) as gateway:
        asked, dropped, refused = {}, Dropped(), []
        passes = threading.Event()

        def instead(request):
            event_type, name = request[1].decode().split("/")[3], request[1].decode().rsplit("/", 1)[1]
            with between.lock:
                asked[event_type, name] = asked.get((event_type, name), 0) + 1
            if name.startswith("slow"):
                passes.wait(60 * SLOW)
            return error(b"403 Forbidden", b"AccessDenied") if name.startswith("refused") else None

        def drop_one(event_type, name):
            dropped.rename(gateway.root, key(event_type, name), event(len(dropped)))
            return wait_until(lambda: asked.get((event_type, name)))
        between.instead = instead
        for number in range(4):
            refused.append((f"type_{number}", "refused.ndjson"))
            check(drop_one(*refused[-1]), f"{refused[-1]} is asked for")
        for number in range(len(refused)):
            passes.clear()
            check(drop_one("flows", f"slow-{number}.ndjson"), "one is under way")
            check(drop_one("flows", f"refused-{number}.ndjson"), "another is refused")
            wait_until(lambda: any(t["held"] for t in gateway.status()["event_types"] if t["event_type"] == "flows"))
            before = sum(asked[one] for one in refused)
            passes.set()
            check(wait_until(lambda: sum(asked[one] for one in refused) > before), "a refused one is asked for")
        check(all(asked[one] > 1 for one in refused), f"each is asked again: {[asked[one] for one in refused]}")
        between.clear()
        gateway.cli("retry", "--all")
        gateway.wait_idle()
        arrived("event types that are refused", "asked in turn", bucket, dropped)


def a_refused_event_type_of_which_nothing_waits():
    """Nothing of it is asked for, so nothing says that it is still refused: that is no trouble of today."""
    with Devstore("--require-acl") as bucket, Between(bucket) as between, Gateway(between, CONFIG) as gateway:
        dropped, path = Dropped(), key("audit", "a.ndjson")
        between.instead = lambda request: error(b"403 Forbidden", b"AccessDenied")

        def told():
            status, page = gateway.status(), gateway.api("GET", "/metrics")[1]
            gauge = re.search(r'(?m)^spoolgate_event_type_refused\{event_type="audit"\} (\d)', page)
            return (status["state"], "refuses" in status["sentence"], gateway.api("GET", "/readyz")[0],
                    gauge and gauge[1])
        dropped.rename(gateway.root, path, event())
        check(wait_until(lambda: gateway.status()["state"] == "stuck"), "it is refused")
        check_equal(told(), ("stuck", True, 503, "1"), "state, sentence, readiness and gauge while it waits")
        check_equal(gateway.cli("hold", path).returncode, 0, "hold")
        check_equal(told(), ("ok", False, 200, "0"), "the same when it is held by itself")
        between.clear()
        check_equal(gateway.cli("release", path).returncode, 0, "release")
        gateway.cli("retry", "--all")
        gateway.wait_idle()
        arrived("a refused event type of which nothing waits", "no trouble", bucket, dropped)


BOMB = (b'<?xml version="1.0"?><!DOCTYPE Error [<!ENTITY a "aaaaaaaaaa">'
        + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))
        + b"]><Error><Code>&j;</Code></Error>")
NO_ANSWER, LOST = ["said nothing"], ["the connection ended before"]
NOT_S3 = ["the store"]

CASES = [
    a_silent_store_is_told_by_the_test_message,  # mostly waits, for half a minute: first
    bad("black hole", lambda: [60], NO_ANSWER),
    bad("first byte after the limit", lambda: [4, OK], NO_ANSWER),
    bad("a line every two seconds, over the stall limit", lambda: slowly(OK, 2.0, OK.index(b"\n") + 1),
        ["bytes stopped flowing"]),
    bad("closed without an answer", lambda: [], LOST),
    bad("reset without an answer", lambda: [Between.RESET], LOST),
    *(bad(f"{number} with a code", error(b"%d X" % number, code), [str(number), word])
      for number, code, word in ((500, b"InternalError", "tried again"), (503, b"ServiceUnavailable", "tried again"),
                                 (503, b"SlowDown", "fewer requests"), (429, b"TooManyRequests", "fewer requests"))),
    *(bad(f"{number} and a page of HTML", whole(b"%d X" % number, b"<html><body>no</html>"), [str(number), word])
      for number, word in ((500, "tried again"), (502, "proxy"), (503, "tried again"), (504, "proxy"),
                           (429, "fewer requests"), (408, "slowly"))),
    *(bad(f"429 with Retry-After: {value.decode()[:34]}",
          lambda value=value: error(b"429 Too Many", b"TooManyRequests", b"Retry-After: " + value,
                                    b"Date: Mon, 23 Nov 2026 05:00:00 GMT"), ["fewer requests"], retry=long)
      for value, long in ((b"1", False), (b"Mon, 23 Nov 2026 05:00:02 GMT", False),
                          (b"Sun, 06 Nov 1994 08:49:37 GMT", False), (b"-5", False), (b"soon", False),
                          (b"", False), (b"99999999999999999999999", True),
                          (b"Fri, 31 Dec 9999 23:59:59 GMT", True))),
    bad("200 with an Error body", whole(b"200 OK", XML + b"<Error><Code>InternalError</Code></Error>", ETAG),
        ["tried again"]),
    bad("200 without an ETag", whole(b"200 OK"), ["not what S3 says"], large=False),
    bad("Content-Length too long", whole(b"200 OK", b"", ETAG, length=9), LOST),
    bad("Content-Length too short", whole(b"503 X", XML + b"<Error/>", length=12), ["503"]),
    bad("Content-Length negative", b"HTTP/1.1 200 OK\r\n" + ETAG + b"\r\nContent-Length: -1\r\n\r\n", ["HTTP"]),
    bad("Content-Length no number", b"HTTP/1.1 503 X\r\nContent-Length: lots\r\n\r\n", ["PutObject"]),
    bad("Content-Length of 2^64", b"HTTP/1.1 503 X\r\nContent-Length: 18446744073709551616\r\n\r\n", ["PutObject"]),
    bad("Content-Length twice", b"HTTP/1.1 503 X\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\n", ["PutObject"]),
    bad("garbage in place of XML", whole(b"503 X", b"<?xml\0\xff\xfe<<<&&" * 99), ["503"]),
    bad("an XML bomb", whole(b"503 X", BOMB), ["503", "tried again"]),
    bad("XML ten thousand deep", whole(b"503 X", XML + b"<a>" * 10000), ["503", "tried again"]),
    bad("XML of an encoding that nobody has", whole(b"503 X", b'<?xml version="1.0" encoding="x-none"?><Error/>'),
        ["503", "tried again"]),
    bad("a bomb for an upload id", lambda: whole(b"200 OK", BOMB.replace(b"Error", b"InitiateMultipartUploadResult")),
        ["tried again"], of="Create", state="ok"),
    bad("an upload completed with garbage", whole(b"200 OK", b"\xff\0<done/>"), ["not what S3 says"], of="Complete",
        state="ok"),
    bad("a body without end", lambda: endless(b"HTTP/1.1 503 X\r\n\r\n", b"x" * 99), ["longer than any of S3's"]),
    bad("spaces without end before the XML", lambda: endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 99),
        ["longer than any of S3's"], of="Complete", state="ok"),
    bad("a header without end", lambda: endless(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"), ["longer than any of S3's"]),
    bad("a header line without end", lambda: endless(b"HTTP/1.1 200 OK\r\nx-a: ", b"y" * 99), ["PutObject"]),
    bad("a flood of 100 Continue", lambda: endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), ["longer than any of S3's"]),
    bad("a flood of 102 and 103", lambda: endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
        ["longer than any of S3's"]),
    bad("a 100 before each answer", lambda good: b"HTTP/1.1 100 Continue\r\n\r\n" + good, [], passes=True),
    bad("HTTP/1.0, closing", lambda good: good.replace(b"HTTP/1.1", b"HTTP/1.0", 1), [], passes=True),
    bad("a status line without a reason", lambda good: re.sub(rb"^(HTTP/1.1 \d+) [^\r]*", rb"\1", good), [],
        passes=True),
    bad("HTTP/0.9", b"200 OK whatever\r\n\r\n", ["HTTP"]),
    bad("a protocol of its own", b"ICY 200 OK\r\n\r\n", ["HTTP"]),
    bad("status 999", whole(b"999 X"), ["PutObject"]),
    bad("status 099", whole(b"099 X"), ["PutObject"]),
    bad("no status", b"HTTP/1.1 \r\n\r\n", ["PutObject"]),
    bad("101 Switching Protocols", b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", ["PutObject"]),
    *(bad(f"{number} to everything", whole(b"%d X" % number, b"", ETAG), [str(number)], retry=True, large=False)
      for number in (201, 204, 206, 304, 418)),
    bad("the bucket is gone", error(b"404 Not Found", b"NoSuchBucket"), ["no such bucket", "bucket.arn"], retry=True),
    bad("out of space, 507", error(b"507 X", b"XMinioStorageFull"), ["no space left"], retry=True),
    another_region("AuthorizationHeaderMalformed with a region", b"400 Bad Request",
                   b"AuthorizationHeaderMalformed", "body"),
    another_region("301 with a region", b"301 Moved Permanently", b"PermanentRedirect", "header"),
    another_region("307 with a region", b"307 Temporary Redirect", b"TemporaryRedirect", "header"),
    refused_event_types_take_turns, a_refused_event_type_of_which_nothing_waits,
    our_own_clock_is_off, our_own_clock_is_set_back_while_put_waits,
    a_file_is_not_held_at_its_first_refusal, a_redirect_to_another_host,
    every_byte_of_a_put(False), every_byte_of_a_put(True),
]
TAKES_LONG = [
    regions_in_a_circle,
    bad("30 bytes a second, within every limit", lambda good: slowly(good, 0.2, 6), [], passes=True, large=False),
]

run_together(TAKES_LONG + CASES if LONG else CASES, 12)
