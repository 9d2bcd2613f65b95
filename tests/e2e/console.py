#!/usr/bin/python3
"""The console's web server: what is tried against it, what it answers, and that deliveries go on
meanwhile, on devstore only, as no other store would change that; and the set-up over HTTP, from an empty
configuration to a bucket that is tested and saved, and failing. With SPOOLGATE_LONG also a link that is too old."""
# run-on: devstore minio
# also-under: asan
import http.server
import os
import re
import resource
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

ROLE = "arn:aws:iam::111122223333:role/panoptica-customer"
CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
       "form-action 'none'; frame-ancestors 'none'; base-uri 'none'")


class Answer:
    """Of one request: status (0: the connection was closed without one), headers in lower case, body."""

    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if lines[0].startswith("HTTP/") else 0
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value

    def json(self):
        return json.loads(self.body)


def read_to_end(s):
    data = b""
    try:
        while piece := s.recv(65536):
            data += piece
    except OSError:
        pass
    return data


class Browser:
    """Whoever asks a console: a port, and once logged in a cookie and a token. Headers given as None
    are left out; a list is that header several times."""

    def __init__(self, url):
        match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/login#([0-9a-f]{64})", url)
        check(match, f"the link is one: {url!r}")
        self.port, self.link = int(match[1]), match[2]
        self.cookie = self.csrf = None

    def raw(self, data, timeout=20):
        with socket.create_connection(("127.0.0.1", self.port), timeout * SLOW) as s:
            try:
                s.sendall(data)
            except OSError:
                pass  # it was answered before it was read
            return Answer(read_to_end(s))

    def ask(self, method, path, body=None, **headers):
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        all_headers = {"Host": f"127.0.0.1:{self.port}", "Connection": "close"}
        if data:
            all_headers |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
        if self.cookie:
            all_headers["Cookie"] = f"spoolgate-{self.port}={self.cookie}"
        if self.csrf and method not in ("GET", "HEAD"):
            all_headers["Spoolgate-Token"] = self.csrf
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = f"{method} {path} HTTP/1.1\r\n"
        for name, value in all_headers.items():
            for one in value if isinstance(value, list) else [value]:
                head += f"{name}: {one}\r\n" if one is not None else ""
        return self.raw(head.encode() + b"\r\n" + data)

    def log_in(self):
        answer = self.ask("POST", "/session", {"token": self.link})
        check_equal(answer.status, 200, f"log-in: {answer.body}")
        self.set_cookie = answer.headers["set-cookie"]
        self.cookie = re.match(f"spoolgate-{self.port}=([0-9a-f]{{64}});", self.set_cookie)[1]
        self.csrf = answer.json()["csrf"]
        return self


def console_of(gateway, *options):
    done = gateway.cli("console", *options)
    check_equal(done.returncode, 0, f"spoolgate console: {done.stderr}")
    check("ssh -N -L" in done.stderr, f"it says how to get there from elsewhere: {done.stderr}")
    return Browser(done.stdout.strip())


def listeners(pid):
    """{"address:port" in hexadecimal} on which a process listens."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file][1:]
    return {r[1] for r in rows if r[3] == "0A" and f"socket:[{r[9]}]" in inodes}


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Deliveries:
    """A producer that goes on while something else is done; at the end all has arrived. `rate` is of
    what was delivered while the with block ran."""

    def __init__(self, gateway, dropped):
        self.gateway, self.dropped, self.ended = gateway, dropped, threading.Event()

    def _produce(self):
        number = len(self.dropped)
        while not self.ended.is_set():
            for _ in range(4):
                self.dropped.rename(self.gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
                number += 1
            time.sleep(0.05)

    def __enter__(self):
        self.before, self.start = self.gateway.delivered(), time.monotonic()
        self.cpu = cpu_s(self.gateway.process.pid)
        self.thread = threading.Thread(target=self._produce, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.gateway.wait_idle()
        took, files = time.monotonic() - self.start, self.gateway.delivered() - self.before
        self.rate = files / took
        self.cpu_ms = 1000 * (cpu_s(self.gateway.process.pid) - self.cpu) / max(files, 1)


def test_it_is_closed_until_it_is_asked_for():
    with store() as bucket, Gateway(bucket) as gateway:
        check_equal(listeners(gateway.process.pid), set(), "TCP ports before anybody asked")
        browser = console_of(gateway)
        check_equal(listeners(gateway.process.pid), {f"0100007F:{browser.port:04X}"}, "it listens on 127.0.0.1 only")
        again = console_of(gateway)
        check_equal(again.port, browser.port, "a second link's port")
        other = gateway.cli("console", "--port", str(free_port()))
        check_equal(other.returncode, 100, "another port while it is open")
        check("leave --port out" in other.stderr, other.stderr)
        facts = gateway.cli_json("console")
        check_equal((facts["port"], facts["mode"]), (browser.port, "gateway"), "--json")
        home = browser.ask("GET", "/")
        check_equal(home.status, 200, "the page itself wants no session")
        check_equal(home.headers.get("content-security-policy"), CSP, "its policy")
        for name, value in (("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"),
                            ("cross-origin-opener-policy", "same-origin"), ("cache-control", "no-cache")):
            check_equal(home.headers.get(name), value, name)
        check_equal(browser.ask("GET", "/", If_None_Match=home.headers["etag"]).status, 304, "the same page again")
        check_equal(browser.ask("HEAD", "/").body, b"", "HEAD")
        for path in set(re.findall(rb'(?:src|href)="(/[^"#]*)"', home.body)):
            answer = browser.ask("GET", path.decode())
            check_equal(answer.status, 200, f"{path}")
            check(answer.headers["content-type"].split(";")[0] in (
                "text/css", "text/javascript", "image/svg+xml", "text/html"), f"{path}: {answer.headers}")
        browser.log_in()
        for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
            check(part in browser.set_cookie, f"the cookie is {part}: {browser.set_cookie}")
        who = browser.ask("GET", "/session").json()
        check_equal((who["csrf"], who["mode"]), (browser.csrf, "gateway"), "GET /session")
        status = browser.ask("GET", "/v1/status")
        check_equal((status.status, status.headers["cache-control"]), (200, "no-store"), "the API")
        check("sentence" in status.json(), "it is the API's answer")
        check_equal(browser.ask("DELETE", "/session").status, 204, "log-out")
        check_equal(browser.ask("GET", "/v1/status").status, 401, "after the log-out")
        log = gateway.log()
        for secret in (browser.link, browser.cookie, browser.csrf, again.link):
            check(secret not in log, "no token is in the log")
        for word in ("event=console_open", "event=console_login"):
            check(word in log, f"{word} is in the log")
    row("closed until it is asked for, then on 127.0.0.1 only; pages, session, log-out", "as it should be")


ORIGINS = [  # what, headers over those of a browser that is logged in, method, expected
    ("another origin", {"Origin": "http://attacker.example"}, "POST", 403),
    ("another port of this machine", {"Origin": "http://127.0.0.1:3000"}, "POST", 403),
    ("a sandboxed frame or file (Origin: null)", {"Origin": "null"}, "POST", 403),
    ("two Origins", {"Origin": ["http://{host}", "http://attacker.example"]}, "POST", 403),
    ("its own origin", {"Origin": "http://{host}"}, "POST", 200),
    ("a page of another site reads", {"Sec-Fetch-Site": "cross-site"}, "GET", 403),
    ("a page of another port reads", {"Sec-Fetch-Site": "same-site"}, "GET", 403),
    ("its own page reads", {"Sec-Fetch-Site": "same-origin"}, "GET", 200),
    ("another Host (DNS rebinding)", {"Host": "attacker.example:{port}"}, "GET", 403),
    ("a Host that only begins like ours", {"Host": "127.0.0.1.attacker.example"}, "GET", 403),
    ("a Host with a user before it", {"Host": "x@127.0.0.1:{port}"}, "GET", 403),
    ("two Hosts", {"Host": ["{host}", "attacker.example"]}, "GET", (400, 403)),
    ("no Host", {"Host": None}, "GET", (400, 403)),
    ("the Host of a tunnel", {"Host": "localhost:9999", "Origin": "http://localhost:9999"}, "POST", 200),
    ("the Host of a tunnel, IPv6", {"Host": "[::1]:9999"}, "GET", 200),
    ("no cookie", {"Cookie": None}, "GET", 401),
    ("a wrong cookie", {"Cookie": "spoolgate-{port}=" + 64 * "0"}, "GET", 401),
    ("no token", {"Spoolgate-Token": None}, "POST", 403),
    ("a wrong token", {"Spoolgate-Token": 64 * "0"}, "POST", 403),
    ("the cookie as the token", {"Spoolgate-Token": "{cookie}"}, "POST", 403),
    ("the token of another session", {"Spoolgate-Token": "{other}"}, "POST", 403),
    ("two tokens", {"Spoolgate-Token": ["{csrf}", "{csrf}"]}, "POST", 403),
]


def fill(value, names):
    if isinstance(value, list):
        return [fill(v, names) for v in value]
    return value and value.format(**names)


def forged_requests(browser, other):
    names = {"host": f"127.0.0.1:{browser.port}", "port": browser.port, "cookie": browser.cookie,
             "csrf": browser.csrf, "other": other.csrf}
    for what, headers, method, expected in ORIGINS:
        headers = {name: fill(value, names) for name, value in headers.items()}
        answer = browser.ask(method, "/v1/rescan" if method == "POST" else "/v1/files", **headers)
        expected = expected if isinstance(expected, tuple) else (expected,)
        check(answer.status in expected, f"{what}: {answer.status} {answer.body}, not {expected}")
        row(what, f"{answer.status}" + (f", {answer.json()['title']}" if answer.status >= 400 and answer.body
                                        .startswith(b"{") else ""))


def methods_and_paths(browser):
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        check_equal(browser.ask(method, "/").status, 405, f"{method} /")
        answer = browser.ask(method, "/v1/files")
        check_equal((answer.status, "GET" in answer.headers.get("allow", "")), (405, True), f"{method} /v1/files")
    check_equal(browser.ask("PUT", "/session").status, 405, "PUT /session")
    check(browser.ask("CONNECT", "attacker.example:443").status in (400, 401, 403, 404, 405), "CONNECT")
    answer = browser.ask("POST", "/v1/console", {})
    check_equal(answer.status, 403, "a link by the browser")
    row("other methods; CONNECT; a link asked for over TCP", "405 with Allow; 400 to 405; 403")
    seen = set()
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd",
                 "/vendor/../index.html", "/vendor/uplot/../../index.html", "/index.html%00.js", "/.git/config",
                 "/index.html/", "/\\..\\etc\\passwd", "/" + "a" * 60000):
        answer = browser.ask("GET", path)
        seen.add(answer.status)
        check(answer.status in (0, 400, 404, 414, 431) and b"root:" not in answer.body, f"{path[:40]}: {answer.status}")
    row("path traversal in the static files, NUL, backslashes, 60 KB of path", f"{sorted(seen)}")
    form = browser.ask("POST", "/session", b'{"token":"x"}', Content_Type="text/plain")
    check_equal(form.status, 415, "what a plain form can send")
    row("a form's POST /session (text/plain)", f"{form.status}")


def hostile_names(browser, gateway):
    name = "<img src=x onerror=alert(1)>.ndjson"
    path = key("findings", name)
    full = os.path.join(gateway.root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w") as file:
        file.write("</script><script>alert(1)</script>\n")
    check(wait_until(lambda: path in gateway.files("rejected"), 20), "the file is rejected")
    answer = browser.ask("GET", "/v1/files?state=rejected")
    check(path in [f["path"] for f in answer.json()["files"]], "it is listed")
    check_equal((answer.headers["content-type"].split(";")[0], answer.headers["x-content-type-options"],
                 answer.headers["content-security-policy"]), ("application/json", "nosniff", CSP), "as what")
    head = browser.ask("GET", "/v1/file/head?path=" + http_quote(path))
    check_equal((head.status, head.headers["content-type"].split(";")[0]), (200, "application/json"),
                "its first lines")
    check("alert(1)" in head.json()["lines"][0]["text"], f"are there: {head.body}")
    gone = browser.ask("GET", "/" + http_quote("<script>alert(1)</script>"))
    check_equal((gone.status, gone.headers["content-type"]), (404, "application/problem+json"), "in a path")
    os.remove(os.path.join(gateway.root, ".spoolgate/rejected", path))
    os.remove(os.path.join(gateway.root, ".spoolgate/rejected", path + ".reason"))
    row("a script in a file's name, in its contents, in a path",
        "application/json or problem+json, nosniff, CSP without inline")


def too_much(browser, gateway):
    before = resident_kib(gateway.process.pid)
    answers = [browser.ask("POST", "/v1/rescan", 10 * 1024 * 1024 * b" ") for _ in range(3)]
    check(all(a.status in (0, 413) for a in answers), f"10 MB: {[a.status for a in answers]}")
    liar = browser.ask("POST", "/v1/rescan", b"{}", Content_Length="10485760000000")
    check(liar.status in (0, 400, 413), f"a length of 10 TB: {liar.status}")
    long = browser.ask("GET", "/v1/files", X_Long="x" * 1000000)
    check(long.status in (0, 400, 413, 431), f"1 MB of headers: {long.status}")
    grown = resident_kib(gateway.process.pid) - before
    check(grown < 8192 * (1 if SLOW == 1 else 32), f"memory grew by {grown} KiB")
    row("10 MB request three times; a Content-Length of 10 TB; 1 MB of headers",
        f"{answers[0].status}; {liar.status}; {long.status}; memory +{max(grown, 0) // 1024} MiB")


def idle_connections(browser, gateway):
    idle = []
    try:
        for _ in range(1000):
            s = socket.socket()
            s.settimeout(5)
            s.connect_ex(("127.0.0.1", browser.port))
            idle.append(s)
        start = time.monotonic()
        answer = browser.ask("GET", "/v1/status")
        took = time.monotonic() - start
        check_equal(answer.status, 200, "the console, with 1 000 connections that say nothing")
        fds = len(os.listdir(f"/proc/{gateway.process.pid}/fd"))
        check(fds < 300, f"{fds} descriptors are open")
        row("1 000 idle connections", f"the next is answered after {1000 * took:.0f} ms, {fds} descriptors")
    finally:
        for s in idle:
            s.close()


def slow_readers(browser, largest):
    """They ask for the largest file of the pages, which wants no session, and take nothing of it."""
    readers = []
    try:
        for _ in range(200):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            s.settimeout(5)
            if s.connect_ex(("127.0.0.1", browser.port)) == 0:
                s.sendall(f"GET {largest} HTTP/1.1\r\nHost: 127.0.0.1:{browser.port}\r\n\r\n".encode() * 100)
            readers.append(s)
        time.sleep(1)
        start = time.monotonic()
        answered = wait_until(lambda: browser.ask("GET", "/v1/status").status == 200, 20, 0.5)
        took = time.monotonic() - start
        check(answered, "the console, with 200 that ask for a large file and do not read it")
        row("200 readers that take nothing", f"another is answered after {1000 * took:.0f} ms")
    finally:
        for s in readers:
            s.close()


class SlowRequests:
    """Sixty that send a byte now and then, while the with block does something else."""

    def __init__(self, browser):
        self.browser, self.took = browser, []

    def _dribble(self):
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.browser.port), 30) as s:
            try:
                s.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{self.browser.port}\r\nX-Slow: ".encode())
                while time.monotonic() - start < 25 * SLOW:
                    s.sendall(b"x")
                    time.sleep(0.3)
            except OSError:
                pass
        self.took.append(time.monotonic() - start)

    def __enter__(self):
        self.threads = [threading.Thread(target=self._dribble, daemon=True) for _ in range(60)]
        for thread in self.threads:
            thread.start()
        time.sleep(0.5)
        start = time.monotonic()
        answer = self.browser.ask("GET", "/v1/status")
        self.answered = time.monotonic() - start
        check_equal(answer.status, 200, "the console, with 60 requests that come byte by byte")
        return self

    def __exit__(self, kind, *_):
        for thread in self.threads:
            thread.join()
        check(max(self.took) < 20 * SLOW, f"a slow request is cut off after {max(self.took):.1f} s")
        row("60 requests byte by byte", f"another is answered after {1000 * self.answered:.0f} ms; they are cut off "
            f"after {max(self.took):.0f} s at the latest")


def test_attacks_while_files_are_delivered():
    with Devstore("--count", "--require-acl") as bucket, Gateway(bucket, {"settle": "100ms"}) as gateway:
        browser, other, dropped = console_of(gateway).log_in(), console_of(gateway).log_in(), Dropped()
        with Deliveries(gateway, dropped) as alone:
            time.sleep(2)
        with Deliveries(gateway, dropped) as attacked:
            with SlowRequests(browser):
                forged_requests(browser, other)
                methods_and_paths(browser)
                hostile_names(browser, gateway)
                too_much(browser, gateway)
            idle_connections(browser, gateway)
            slow_readers(browser, "/vendor/uplot/uPlot.iife.min.js")
        replayed = browser.ask("POST", "/session", {"token": browser.link}, Cookie=None)
        check_equal(replayed.status, 401, f"a link for the second time: {replayed.body}")
        row("a replayed link", f"{replayed.status}, {replayed.json()['title']}")
        check(attacked.rate > 0.3 * alone.rate, f"{attacked.rate:.0f} files/s under attack, {alone.rate:.0f} without")
        arrived("deliveries meanwhile", f"{alone.rate:.0f} files/s and {alone.cpu_ms:.2f} ms of CPU a file without "
                f"attacks, {attacked.rate:.0f} and {attacked.cpu_ms:.2f} with them", bucket, dropped)


def test_too_many_log_ins():
    with Devstore() as bucket, Gateway(bucket) as gateway:
        browser = console_of(gateway)
        wrong = [browser.ask("POST", "/session", {"token": 64 * digit}).status for digit in "01234"]
        check_equal(wrong, 5 * [401], "five wrong ones")
        later = browser.ask("POST", "/session", {"token": browser.link})
        check_equal(later.status, 429, "the sixth, though it is right")
        check(0 < int(later.headers["retry-after"]) <= 61, f"Retry-After: {later.headers}")
        check_equal(browser.ask("GET", "/").status, 200, "pages are still there")
        row("too many log-ins", f"five times 401, then {later.status} with Retry-After: {later.headers['retry-after']}")
        if os.environ.get("SPOOLGATE_LONG"):
            time.sleep(301)
            expired = browser.ask("POST", "/session", {"token": browser.link})
            check_equal(expired.status, 401, "a link after five minutes")
            row("an expired link", f"{expired.status}")
    with Devstore() as bucket, Gateway(bucket) as gateway:
        first = console_of(gateway)
        for _ in range(8):
            gateway.api("POST", "/v1/console")
        check_equal(first.ask("POST", "/session", {"token": first.link}).status, 401,
                    "a link after eight newer ones")
        for bad in (b"", b"[]", b'{"token":7}', b"{" * 300000):
            answer = first.ask("POST", "/session", bad or None, Content_Type="application/json")
            check(answer.status in (401, 413, 429), f"{bad[:12]}: {answer.status}")


def test_the_command():
    with Devstore() as bucket, Gateway(bucket, start=False) as gateway, scratch_dir() as tools:
        for arguments, word in ((["--port", "0"], "1 to 65535"), (["--port", "x"], "1 to 65535"),
                                (["extra"], "takes no arguments"), (["--wrong"], "--help")):
            done = gateway.cli("console", *arguments)
            check_equal(done.returncode, 100, f"console {arguments}: {done.stderr}")
            check(word in done.stderr, f"console {arguments} says {word}: {done.stderr}")
        with open(gateway.config_path, "w") as file:
            file.write('{"spool": ')
        done = gateway.cli("console")
        check_equal((done.returncode, "is no configuration" in done.stderr), (100, True), f"a broken file: {done.stderr}")
        gateway.configure({})
        taken = socket.create_server(("127.0.0.1", 0))
        done = gateway.cli("console", "--port", str(taken.getsockname()[1]))
        check_equal((done.returncode, "Address already in use" in done.stderr), (111, True), f"a port in use: {done.stderr}")
        taken.close()
        gateway.start()
        opener, seen = os.path.join(tools, "xdg-open"), os.path.join(tools, "seen")
        with open(opener, "w") as file:
            file.write(f"#!/bin/bash\nstat -c %a \"$1\" >{seen}; echo \"$@\" >>{seen}; cat \"$1\" >>{seen}\n")
        os.chmod(opener, 0o755)
        done = gateway.cli("console", "--open", env={"PATH": f"{tools}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": tools})
        url = done.stdout.strip()
        with open(seen) as file:
            mode, argument, page = file.read().split("\n", 2)
        check_equal((done.returncode, mode), (0, "600"), f"console --open: {done.stderr}")
        check(url in page and url.partition("#")[2] not in argument, "the link is in the file and not in the arguments")
        check(not os.path.exists(argument), "the file is gone")
        with scratch_dir() as empty:
            done = gateway.cli("console", "--open", env={"PATH": empty, "XDG_RUNTIME_DIR": tools})
        check("open the link yourself" in done.stderr and done.stdout.startswith("http://"), f"no browser: {done.stderr}")
    row("the command: usage, a broken file, a port in use, --open", "as it should be")


# --- the set-up -----------------------------------------------------------------------------------


class SetUp:
    """`spoolgate console` where no gateway runs, in a directory of its own."""

    def __init__(self, bucket, config=None, env=None, profile=""):
        self.bucket, self.first, self.env, self.profile = bucket, config, env or {}, profile

    def __enter__(self):
        self._dir = scratch_dir()
        self.directory = self._dir.__enter__()
        self.path = os.path.join(self.directory, "spoolgate.json")
        self._home = scratch_dir()  # in the same one the sandbox would let nothing be written
        self.home = self._home.__enter__()
        for name in (f"{self.directory}/spool", f"{self.directory}/state", f"{self.home}/.aws"):
            os.mkdir(name)
        with open(f"{self.home}/.aws/config", "w") as file:
            file.write(f"{self.profile}[profile acme-production]\nrole_arn = {ROLE}\n")
        if self.first is None:  # what a package brings: where everything is, and no bucket
            self.first = {"spool": f"{self.directory}/spool", "state": f"{self.directory}/state",
                          "control": f"{self.directory}/control.sock", "uploads": 7}
        with open(self.path, "w") as file:
            json.dump(self.first, file)
        env = clean_environment(HOME=self.home, **{"AWS_ACCESS_KEY_ID": self.bucket.access_key,
                                                    "AWS_SECRET_ACCESS_KEY": self.bucket.secret_key, **self.env})
        self.process = start_process([SPOOLGATE, "console", "-c", self.path], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True, env=env, cwd=self.directory)
        self.browser = Browser(self.process.stdout.readline().strip()).log_in()
        return self

    def __exit__(self, *_):
        stop_process(self.process)
        self.last = self.saved()
        self._dir.__exit__()
        self._home.__exit__()

    def settings(self, **more):
        basics = {"account_name": "prod", "bucket_arn": f"arn:aws:s3:::{self.bucket.bucket}",
                  "endpoint": self.bucket.url, "path_style": True}
        return {k: v for k, v in (basics | more).items() if v is not None}

    def post(self, what, body):
        answer = self.browser.ask("POST", f"/v1/setup/{what}", body)
        return answer.status, answer.json()

    def saved(self):
        with open(self.path) as file:
            return json.load(file)


def test_from_nothing_to_a_saved_bucket():
    with store("--require-acl") as bucket, SetUp(bucket) as page:
        arn = f"arn:aws:s3:::{bucket.bucket}"
        check_equal(page.browser.ask("GET", "/session").json()["mode"], "setup", "the mode")
        known = page.browser.ask("GET", "/v1/setup").json()
        check_equal((known["account_names"], known["buckets"], known["current"], known["save"]["allowed"]),
                    (["acme-production"], [], None, True), "what is known")
        check_equal(known["role_arns"], [ROLE], "roles of the AWS tools' files")
        check_equal(page.browser.ask("GET", "/v1/status").status, 404, "there is no gateway's API")
        for partition, host in (("aws", "console.aws.amazon.com"), ("aws-us-gov", "console.amazonaws-us-gov.com"),
                                ("aws-cn", "console.amazonaws.cn")):
            bucket_arn, role = f"arn:{partition}:s3:::{bucket.bucket}", ROLE.replace(":aws:", f":{partition}:")
            for more, options in (({}, []), ({"put_role_arn": role + "-put"}, ["--put-role", role + "-put"]),
                                  ({"minimal": True}, ["--minimal"])):
                status, policy = page.post("policy", {"bucket_arn": bucket_arn, "role_arn": role, **more})
                printed = subprocess.run([SPOOLGATE, "policy", "generate", "--bucket-arn", bucket_arn, "--role", role,
                                          *options], capture_output=True, text=True, env=clean_environment(
                                              SPOOLGATE_CONFIG="/nowhere/spoolgate.json"))
                check_equal((status, policy.get("policy")), (200, printed.stdout), f"the policy, {partition}, {options}")
                check(host in (policy.get("bucket_page") or "") and bucket.bucket in policy["bucket_page"]
                      and "permissions" in policy["bucket_page"], f"the bucket's page: {policy.get('bucket_page')}")
                check_equal(len(policy["steps"]), 4, "steps")
                check(policy["bucket_page"] in printed.stderr, "the command has the same page")
        for more in ({"put_role_arn": ROLE + "-put", "minimal": True}, {"put_role_arn": 7},
                     {"put_role_arn": "x" * 2049}):
            status, refused = page.post("policy", {"bucket_arn": arn, "role_arn": ROLE, **more})
            check_equal((status, [e["path"] for e in refused.get("errors", [])]), (400, ["put_role_arn"]),
                        f"what the policy cannot have: {refused}")
        check_equal(page.process.poll(), None, "it goes on after such a question")
        status, tested = page.post("test", page.settings())
        check_equal((status, tested.get("ok")), (200, True), f"the test message: {tested}")
        check(tested["key"] in bucket.objects(), "it is in the bucket")
        check_equal(page.saved(), page.first, "nothing is saved yet")
        status, saved = page.post("save", page.settings(account_name="  prod\n"))
        check_equal((status, saved.get("ok"), saved.get("saved"), saved.get("restart")), (200, True, True, []),
                    f"save: {saved}")
        check_equal(len(bucket.objects()), 2, "saving has sent a test message, too")
        check_equal(page.saved(), {**page.first, "account_name": "prod", "bucket": {
            "arn": arn, "region": bucket.region, "endpoint": bucket.url, "path_style": True}}, "what was saved")
        out, err = page.process.communicate(timeout=20 * SLOW)
        check_equal(page.process.returncode, 0, f"it ends by itself: {err}")
        check("Saved" in err and page.browser.link not in err, f"and says so: {err}")
        row("from an empty configuration to a saved bucket", f"region {tested['region']} found, {tested['sentence'][:24]}")

        config = page.saved()
        with Gateway(bucket, config, directory=page.directory, env={"HOME": page.home}) as gateway:
            browser = console_of(gateway).log_in()
            known = browser.ask("GET", "/v1/setup").json()
            check_equal((known["current"]["bucket_arn"], known["buckets"]), (arn, [{"arn": arn, "region": bucket.region}]),
                        "what is known now")
            answer = browser.ask("POST", "/v1/setup/save", page.settings(bucket_arn="arn:aws:s3:::a-second-bucket"))
            check_equal(answer.status, 409, "a second bucket")
            check("one installation serves one bucket" in answer.json()["title"], f"the sentence: {answer.body}")
            row("a second bucket", f"409, {answer.json()['title'][:110]} …")
            answer = browser.ask("POST", "/v1/setup/save", page.settings(account_name="another"))
            check_equal((answer.status, answer.json().get("saved")), (200, True), f"saved by the gateway: {answer.body}")
            check(wait_until(lambda: "event=reloaded" in gateway.log(), 10), "and taken over")
            answer = browser.ask("GET", "/v1/config").json()
            check_equal(answer["config"]["account_name"], "another", "it is in force")
            dropped = Dropped()
            dropped.rename(gateway.root, key("findings", "after.ndjson", account="of-a-receipt"), event())
            gateway.wait_delivered(1)
            os.mkdir(f"{page.directory}/another")
            gateway.restart()
            browser = console_of(gateway).log_in()
            before = page.saved()
            known = browser.ask("GET", "/v1/setup").json()
            if gateway.status()["sandbox"]["landlock"]:
                check(not known["save"]["allowed"] and "by hand" in known["save"]["sentence"], f"{known['save']}")
                answer = browser.ask("POST", "/v1/setup/save", page.settings(account_name="it's the third"))
                check_equal((answer.status, page.saved()), (403, before), f"where the sandbox forbids it: {answer.body}")
                command = re.search(r"run: (spoolgate setup .*?); then", answer.json()["remedy"])[1].replace(
                    "spoolgate", SPOOLGATE, 1)
                check("remove" not in answer.json()["remedy"], f"all is given: {answer.body}")
                bare = browser.ask("POST", "/v1/setup/save", page.settings(endpoint=None, path_style=None))
                check_equal((bare.status, page.saved()), (403, before), f"without what the file has: {bare.body}")
                check("as one who may write it remove bucket.endpoint, bucket.path_style from it by hand, then run: "
                      in bare.json()["remedy"], f"what the command does not remove is named: {bare.json()['remedy']}")
                done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=page.directory,
                                      env=gateway.environment())
                check_equal((done.returncode, page.saved()), (0, {**before, "account_name": "it's the third"}),
                            f"the command that the remedy names: {command} {done.stderr}")
                row("a configuration that the gateway may not write", f"403, {answer.json()['title'][:100]} …")
            names = known["account_names"]
            check_equal(names, ["another", "acme-production", "of-a-receipt"], "accounts of the configuration, of the "
                        "AWS tools' files, of receipts")
            check(set(dropped) <= set(bucket.objects()), "files flow")


def test_what_the_page_refuses():
    with store("--require-acl") as bucket, SetUp(bucket, env={"AWS_REGION": "eu-central-1"}) as page:
        for what, settings, path, word in (
                ("no account", page.settings(account_name=None), "account_name", "missing"),
                ("no bucket", page.settings(bucket_arn=" "), "bucket_arn", "missing"),
                ("a bare name", page.settings(bucket_arn="customer"), "bucket.arn", "expected"),
                ("an account with /", page.settings(account_name="a/b"), "account_name", "expected"),
                ("plain http elsewhere", page.settings(endpoint="http://store.example"), "bucket.endpoint", ""),
                ("a number", page.settings(region=7), "region", "text"),
                ("an unknown member", page.settings(secret_key="x"), "secret_key", "none of the settings")):
            status, said = page.post("test", settings)
            texts = {e["path"]: e["text"] for e in said.get("errors", [])}
            check(status == 400 and word in texts.get(path, ""), f"{what}: {status} {said}")
        # Where no region is named, nothing is said of one: the account's fault is the only one.
        for partition in ("aws", "aws-us-gov", "aws-cn", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"):
            status, said = page.post("test", {"account_name": "a/b", "bucket_arn": f"arn:{partition}:s3:::customer"})
            check_equal((status, [e["path"] for e in said.get("errors", [])]), (400, ["account_name"]),
                        f"no region, in {partition}: {said}")
        status, said = page.post("policy", {"bucket_arn": f"arn:aws:s3:::{bucket.bucket}"})
        check_equal((status, said["errors"][0]["path"]), (400, "role_arn"), "a policy for nobody")

        def fails(what, settings, *words, status=200):
            got, said = page.post("save", settings)
            text = " ".join(str(said.get(k, "")) for k in ("sentence", "cause", "remedy", "code"))
            check_equal((got, said.get("ok"), said.get("saved")), (status, False, False), f"{what}: {said}")
            for word in words:
                check(word in text, f"{what} says {word}: {text}")
            check_equal(page.saved(), page.first, f"{what}: nothing is saved")
            check(bucket.secret_key not in json.dumps(said), "no key is in the answer")
            row(what, f"{said.get('cause', '')[:90]}; {said.get('remedy', '')[:70]}")
        down = free_port()
        fails("the store is down", page.settings(endpoint=f"http://127.0.0.1:{down}"), "did not arrive", str(down))
        fails("a bucket that is not there", page.settings(bucket_arn="arn:aws:s3:::is-not-there-at-all"), "NoSuchBucket")
        if isinstance(bucket, Devstore):
            bucket.fault("op=PutObject,status=400,code=AccessControlListNotSupported")
            fails("the bucket refuses ACLs", page.settings(), "Object Ownership")
            bucket.clear_faults()
            bucket.fault("op=PutObject,status=403,code=AccessDenied")
            fails("the policy is missing", page.settings(), "AccessDenied")
            bucket.clear_faults()
        status, said = page.post("test", page.settings(region="ap-southeast-2"))
        check(status == 200 and (said["ok"] or "region" in said["cause"]), f"a wrong region: {said}")
        check(not said["ok"] or any("ap-southeast-2" in r["cause"] for r in said["remarks"]), f"it says so: {said}")
        row("a wrong region", (said["sentence"] if not said["ok"] else said["remarks"][0]["cause"])[:90])
        settings = page.settings(endpoint=f"http://127.0.0.1:{down}", anyway=True, region="eu-central-1")
        status, said = page.post("save", settings)
        check_equal((status, said.get("ok"), said.get("saved")), (200, False, True), f"saved anyway: {said}")
        check_equal(page.saved()["bucket"]["region"], "eu-central-1", "it is saved")
    with store("--require-acl") as bucket, SetUp(bucket, env={"AWS_SECRET_ACCESS_KEY": "of-somebody-else"}) as page:
        status, said = page.post("test", page.settings(region=bucket.region))
        check_equal((status, said["ok"], said["code"]), (200, False, "SignatureDoesNotMatch"), "a wrong key")
        row("a wrong key", f"{said['cause'][:90]}; {said['remedy'][:70]}")
        with socket.create_server(("127.0.0.1", 0)) as silent:  # takes requests, and never answers
            settings = page.settings(region=bucket.region, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
            waiting = threading.Thread(target=page.browser.ask, args=("POST", "/v1/setup/test", settings), daemon=True)
            waiting.start()
            time.sleep(0.7 * SLOW)
            start = time.monotonic()
            status, said = page.post("test", settings)
            check_equal((status, "under way" in said["title"]), (409, True), f"another test meanwhile: {said}")
            check_equal(page.browser.ask("GET", "/session").status, 200, "the page is answered meanwhile")
            page.process.send_signal(signal.SIGINT)
            page.process.wait(20 * SLOW)
            took = time.monotonic() - start
            check_equal(page.process.returncode, 1, "given up")
            check(took < 4 * SLOW, f"it ended after {took:.1f} s")
            row("a store that never answers; Ctrl-C meanwhile", f"another test: 409; ended after {took:.1f} s")


def ends_meanwhile(page, settings, what):
    """A test that would go on for long, and a wish to stop."""
    asking = threading.Thread(target=page.browser.ask, args=("POST", "/v1/setup/test", settings), daemon=True)
    asking.start()
    time.sleep(1 * SLOW)
    check(asking.is_alive(), f"{what}: the test is under way")
    start = time.monotonic()
    page.process.send_signal(signal.SIGINT)
    page.process.wait(90 * SLOW)
    took = time.monotonic() - start
    check(took < 4 * SLOW, f"{what}: it ended after {took:.1f} s")
    row(f"{what}; Ctrl-C meanwhile", f"ended after {took:.1f} s")


def test_a_stop_waits_for_no_step_of_a_test():
    with store() as bucket, socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with SetUp(bucket) as page:
            ends_meanwhile(page, page.settings(endpoint=endpoint), "where the bucket is, is not answered")
        nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        with SetUp(bucket, env=nobody, profile="[default]\ncredential_process = /bin/sleep 40\n") as page:
            ends_meanwhile(page, page.settings(region=bucket.region), "a program for keys that does not end")
        if isinstance(bucket, Devstore):
            with SetUp(bucket) as page:
                bucket.fault("op=GetObjectAcl,latency=30s")
                ends_meanwhile(page, page.settings(region=bucket.region), "a question that is not answered")
                bucket.clear_faults()


def test_no_thread_for_a_test_ends_nothing():
    with store() as bucket, SetUp(bucket) as page:
        with open(f"/proc/{page.process.pid}/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        before = resource.prlimit(page.process.pid, resource.RLIMIT_AS)
        resource.prlimit(page.process.pid, resource.RLIMIT_AS, (now + (2 << 20), before[1]))
        status, said = page.post("test", page.settings(region=bucket.region))
        check_equal((status, "no thread" in said["title"]), (503, True), f"no memory for a thread: {said}")
        resource.prlimit(page.process.pid, resource.RLIMIT_AS, before)
        status, said = page.post("test", page.settings(region=bucket.region))
        check_equal((status, said["ok"]), (200, True), f"another one afterwards: {said}")
    row("no thread can be had for a test", "503; the next one works")


class RefusingSts(http.server.BaseHTTPRequestHandler):
    """Nobody may assume a role here; what was asked for is kept."""

    asked = []

    def do_POST(self):
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        body = (b'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
                b"<Code>AccessDenied</Code><Message>User is not authorized to perform: sts:AssumeRole</Message></Error>"
                b"<RequestId>r</RequestId></ErrorResponse>")
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_roles():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RefusingSts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sts = f"http://127.0.0.1:{server.server_port}"
    with store() as bucket, scratch_dir() as directory:
        for name in ("spool", "state"):
            os.mkdir(f"{directory}/{name}")
        first = {"spool": f"{directory}/spool", "state": f"{directory}/state", "control": f"{directory}/control.sock",
                 "credentials": {"assume_role": [{"arn": ROLE + "-of-the-machine", "endpoint": sts},
                                                 {"arn": ROLE, "endpoint": sts, "session_name": "kept"}]}}
        with SetUp(bucket, first) as page:
            region = {"region": bucket.region}
            status, said = page.post("test", page.settings(role_arn=ROLE, **region))
            check_equal((status, said["ok"]), (200, False), f"a role that may not be assumed: {said}")
            check("AssumeRole" in said["cause"] or "AccessDenied" in said["cause"], f"says so: {said}")
            check(any(f"RoleArn={http_quote(ROLE + '-of-the-machine')}" in a for a in RefusingSts.asked),
                  f"the roles before it are still assumed: {RefusingSts.asked}")
            row("a role that may not be assumed", f"{said['cause'][:90]}; {said.get('remedy', '')[:80]}")
            status, said = page.post("save", page.settings(role_arn=ROLE, external_id="42", anyway=True, **region))
            check_equal(page.saved()["credentials"]["assume_role"], [
                first["credentials"]["assume_role"][0], {**first["credentials"]["assume_role"][1], "external_id": "42"}],
                "the role stays, with those before it; only the external id is new")
            page.process.wait(20 * SLOW)
        with SetUp(bucket, page.last) as page:
            status, said = page.post("save", page.settings(**region))
            check_equal((status, said["saved"]), (200, True), f"without a role: {said}")
            check("assume_role" not in page.saved()["credentials"], f"none is configured then: {page.saved()}")
    server.shutdown()
    server.server_close()


attacks = [test_the_command, test_attacks_while_files_are_delivered, test_too_many_log_ins]
run_tests([test_it_is_closed_until_it_is_asked_for, *(attacks if store().name == "devstore" else []),
           test_from_nothing_to_a_saved_bucket, test_what_the_page_refuses, test_a_stop_waits_for_no_step_of_a_test,
           test_no_thread_for_a_test_ends_nothing, test_roles])
