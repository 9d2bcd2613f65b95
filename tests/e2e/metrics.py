#!/usr/bin/python3
# run-on: devstore minio
"""/metrics, /livez and /readyz: the numbers are what happened, the page is what OpenMetrics and
promtool accept whatever the event types are called, docs/metrics.md lists exactly what is there, and
a real Prometheus gets data for each query of the dashboard in contrib/grafana.

With SPOOLGATE_LONG=1 each rule of contrib/grafana/alerts.yml is made to fire by what it is for, in a
copy of the rules whose `for` and windows are short; a gateway that has nothing wrong fires none.
That mounts small file systems of its own, so it must run as root.

Needs prometheus, promtool and python3-prometheus-client (contrib/install-deps test); without them
it fails and says so.
"""

import contextlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *  # noqa: E402
from powercut import private_mounts  # noqa: E402

GRAFANA = os.path.join(REPOSITORY, "contrib/grafana")
ON_DEVSTORE = (os.environ.get("SPOOLGATE_STORE") or "devstore") == "devstore"
LONG = bool(os.environ.get("SPOOLGATE_LONG"))
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
MIB = 1 << 20


# --- pages ----------------------------------------------------------------------------------------


def ask(port, path, method="GET", **headers):
    """(status, headers, text)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20 * SLOW)
    try:
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


class Page:
    """What a strict reader of OpenMetrics makes of /metrics."""

    def __init__(self, port):
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
        self.status, self.headers, self.text = ask(port, "/metrics")
        self.families = list(text_string_to_metric_families(self.text))
        self.samples = {}
        for family in self.families:
            for sample in family.samples:
                self.samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value

    def value(self, name, **labels):
        """Of one series; None: it is not there."""
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def sum(self, name, **labels):
        return sum(value for (n, l), value in self.samples.items()
                   if n == name and set(labels.items()) <= set(l))

    def values(self, name, label):
        return {dict(l).get(label) for n, l in self.samples if n == name} - {None}


def gateway_at(bucket, port, config=None, **more):
    return Gateway(bucket, {"settle": "100ms", "metrics": {"listen": f"127.0.0.1:{port}"},
                            **(config or {})}, **more)


def expect(page, rows):
    """rows: [(value, name, labels)]"""
    for value, name, labels in rows:
        check_equal(page.value(name, **labels), value, f"{name}{labels or ''}")


def promtool(*arguments, text=None, cwd=None):
    return subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True,
                          timeout=60 * SLOW, cwd=cwd)


def check_page(port):
    """Both formats, by strict readers; the OpenMetrics page."""
    page = Page(port)
    check_equal((page.status, page.headers["Content-Type"]), (200, OPENMETRICS), "GET /metrics")
    check(page.text.endswith("\n# EOF\n"), "the page has an end")
    status, headers, plain = ask(port, "/metrics", Accept="text/plain")
    check_equal((status, headers["Content-Type"]), (200, PLAIN), "the older format")
    said = promtool("check", "metrics", text=plain)
    check_equal((said.returncode, said.stdout + said.stderr), (0, ""), "promtool check metrics")
    names = {n for n, _ in page.samples}
    there = {line.split("{")[0].split(" ")[0] for line in plain.splitlines() if line[0] != "#"}
    check_equal(there, names, "series in the older format")
    return page


def check_documented(page):
    """docs/metrics.md against the page: names, types, labels, in both directions."""
    with open(os.path.join(REPOSITORY, "docs/metrics.md")) as file:
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\|", file.read(), re.M)
    told = {name: (kind, {w for w in re.findall(r"`(\w+)`", labels)}) for name, kind, labels in rows}
    check_equal(len(told), len(rows), "rows of docs/metrics.md that are there once")
    suffix = {"counter": "_total", "info": "_info"}
    seen = {}
    for family in page.families:
        labels = {l for s in family.samples for l in s.labels} - {"le"}
        seen[family.name + suffix.get(family.type, "")] = family.type, labels
    check_equal(sorted(set(seen) - set(told)), [], "metrics that docs/metrics.md does not have")
    check_equal(sorted(set(told) - set(seen)), [], "metrics that only docs/metrics.md has")
    for name in sorted(set(told) & set(seen)):
        check_equal(told[name][0], seen[name][0], f"type of {name} in docs/metrics.md")
        if any(f.samples for f in page.families if name.startswith(f.name)):
            check(seen[name][1] <= told[name][1],
                  f"labels of {name}: {seen[name][1]} but {told[name][1]} in docs/metrics.md")
    with open(os.path.join(GRAFANA, "dashboard.json")) as file:
        dashboard = file.read()
    check_equal([n for n in sorted(told) if n not in dashboard], [],
                "metrics that the dashboard does not show")
    with open(os.path.join(GRAFANA, "alerts.yml")) as file:
        asked = set(re.findall(r"\b(?:spoolgate|process)_[a-z_]+", dashboard + file.read()))
    asked = {re.sub(r"_(bucket|count|sum)$", "", n) if n not in told else n for n in asked}
    check_equal(sorted(asked - set(told)), [], "metrics that dashboard or rules ask for and nobody has")


# --- what happened --------------------------------------------------------------------------------


def test_the_numbers_are_what_happened():
    port = free_port()
    with store() as bucket, gateway_at(bucket, port, {"multipart": {"threshold": "5MiB"}}) as gateway:
        with Prometheus({"spoolgate": [port]}) as prometheus:
            numbers_of_a_run(bucket, gateway, port)
            check_dashboard(prometheus, port)


def numbers_of_a_run(bucket, gateway, port):
    dropped = Dropped()
    for number in range(120):
        dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number, 500 + number))
    for number in range(30):
        dropped.write(gateway.root, key("audit", f"a-{number}.ndjson"), event(number))
    line = event(0, MIB)
    dropped.rename(gateway.root, key("audit", "large.ndjson"), line * (12 * MIB // len(line)))
    refused = [(key("findings", "no.ndjson"), b"not JSON\n"), (key("findings", "2.ndjson"), b"[]\n"),
               ("Panoptica/findings/stray.ndjson", event())]
    for path, data in refused:
        Dropped().rename(gateway.root, path, data)
    gateway.wait_delivered(len(dropped))
    check(wait_until(lambda: gateway.status()["files"]["rejected"] == len(refused)), "files are rejected")
    page = check_page(port)
    by_type = {t: [size for path, (size, _) in dropped.items() if f"/{t}/" in path]
               for t in ("findings", "audit")}
    for kind, sizes in by_type.items():
        label = {"event_type": kind}
        expect(page, [(len(sizes), "spoolgate_files_delivered_total", label),
                      (sum(sizes), "spoolgate_delivered_bytes_total", label),
                      (len(sizes), "spoolgate_files_accepted_total", label),
                      (sum(sizes), "spoolgate_accepted_bytes_total", label),
                      (0, "spoolgate_files_late_total", label),
                      (0, "spoolgate_backlog_files", label), (0, "spoolgate_backlog_bytes", label),
                      (0, "spoolgate_oldest_unsent_age_seconds", label)])
    bad = sum(len(data) for _, data in refused[:2])
    content = {"event_type": "findings", "reason": "content"}
    expect(page, [(2, "spoolgate_files_rejected_total", content),
                  (bad, "spoolgate_rejected_bytes_total", content),
                  (1, "spoolgate_files_rejected_total", {"event_type": "none", "reason": "depth"}),
                  (3, "spoolgate_files", {"state": "rejected"}),
                  (0, "spoolgate_files", {"state": "accepted"}), (1, "spoolgate_ready", {}),
                  (len(dropped), "spoolgate_close_to_delivered_seconds_count", {}),
                  (1, "spoolgate_circuit_state", {"state": "closed"}),
                  (float("inf"), "spoolgate_credentials_expire_timestamp_seconds", {}),
                  (len(dropped) - 1, "spoolgate_requests_total", {"operation": "PutObject", "code": "200"}),
                  (1, "spoolgate_requests_total", {"operation": "CreateMultipartUpload", "code": "200"}),
                  (1, "spoolgate_requests_total", {"operation": "CompleteMultipartUpload", "code": "200"}),
                  (0, "spoolgate_inotify_overflows_total", {}), (0, "spoolgate_journal_failing", {}),
                  (1, "spoolgate_destination_info",
                   {"bucket": bucket.bucket, "region": bucket.region, "endpoint": bucket.url})])
    for operation in ("PutObject", "UploadPart"):
        check_equal(page.value("spoolgate_request_duration_seconds_count", operation=operation),
                    page.sum("spoolgate_requests_total", operation=operation),
                    f"requests in the histogram of {operation}")
    check(1 <= page.sum("spoolgate_requests_total", operation="UploadPart") <= 12, "parts are counted")
    check(abs(page.value("spoolgate_last_success_timestamp_seconds") - time.time()) < 60 * SLOW, "last success")
    check_equal(page.value("spoolgate_inotify_watches"), page.value("spoolgate_directories"), "watches")
    statfs = os.statvfs(gateway.root)
    check_equal(page.value("spoolgate_spool_size_bytes"), statfs.f_blocks * statfs.f_frsize, "size of the disk")
    journal = os.path.join(gateway.state, "journal")
    sizes = sum(os.path.getsize(os.path.join(journal, f)) for f in os.listdir(journal))
    check(0 < page.value("spoolgate_journal_size_bytes") <= sizes, "size of the journal")
    check(page.value("process_resident_memory_bytes") > MIB, "memory")
    began = page.value("process_start_time_seconds")
    check(time.time() - 600 * SLOW < began <= time.time() + 1, "start time")
    check_documented(page)
    compare(bucket, dropped)
    row("150 files, a large one, three wrong ones", "every number is what happened")


def test_waiting_held_and_tried_again():
    """Only devstore fails when it is told to."""
    if not ON_DEVSTORE:
        return row("faults", "devstore only")
    port = free_port()
    without_audit = {"send": {"types": {"audit": {"class": "raw"}}, "raw": False}}
    with store() as bucket, gateway_at(bucket, port, without_audit) as gateway:
        check(wait_until(lambda: ask(port, "/readyz")[0] == 200), "/readyz at rest")
        bucket.fault("op=PutObject,status=503")
        dropped, size = Dropped(), 0
        for number in range(10):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number, 1000))
        Dropped().rename(gateway.root, key("audit", "not-sent.ndjson"), event())
        check(wait_until(lambda: gateway.status()["backlog"]["files"] == 10), "ten files wait")
        size = sum(size for size, _ in dropped.values())
        check(wait_until(lambda: ask(port, "/readyz")[0] == 503), "/readyz says no during an outage")
        status, _, why = ask(port, "/readyz")
        check("Nothing is sent: " in why and "503" in why, f"/readyz says why: {why}")
        check_equal(ask(port, "/livez")[0], 200, "/livez during an outage")
        held = next(iter(gateway.files("accepted")))
        check_equal(gateway.cli("hold", held).returncode, 0, "spoolgate hold")
        page = check_page(port)
        label = {"event_type": "findings"}
        expect(page, [(9, "spoolgate_backlog_files", label), (0, "spoolgate_backlog_files", {"event_type": "audit"}),
                      (size - dropped[held][0], "spoolgate_backlog_bytes", label),
                      (1, "spoolgate_files_held_total", {**label, "reason": "by-hand"}),
                      (dropped[held][0], "spoolgate_held_bytes_total", {**label, "reason": "by-hand"}),
                      (2, "spoolgate_files", {"state": "held"}),  # and the one that is not sent
                      (1, "spoolgate_destination_held", {}), (0, "spoolgate_ready", {}),
                      (0, "spoolgate_circuit_state", {"state": "closed"})])
        check(page.value("spoolgate_oldest_unsent_age_seconds") > 0, "the oldest has an age")
        check_equal(page.value("spoolgate_oldest_unsent_age_seconds", **label) > 0, True, "of its event type, too")
        check(page.value("spoolgate_retries_total", code="ServiceUnavailable") >= 1, "failed attempts are counted")
        busy = {"code": "ServiceUnavailable"}
        check(page.sum("spoolgate_requests_total", **busy) >= page.value("spoolgate_retries_total", **busy),
              "and the requests of them")
        bucket.clear_faults()
        check_equal(gateway.cli("release", held).returncode, 0, "spoolgate release")
        gateway.wait_delivered(10)
        check(wait_until(lambda: ask(port, "/readyz")[::2] == (200, "ok\n")), "/readyz after the outage")
        gateway.reload()  # a new pool: its counts go on from the old one's
        check(wait_until(lambda: "reloaded" in gateway.log()), "reloaded")
        after = Page(port)
        check(after.value("spoolgate_requests_total", operation="PutObject", code="200") == 10,
              "counts of requests outlive a reload")
        check(after.value("spoolgate_retries_total", **busy) >= page.value("spoolgate_retries_total", **busy),
              "no counter goes back")
        bucket.fault("op=PutObject,code=AccessDenied,status=403,prefix=Panoptica/findings")
        dropped.rename(gateway.root, key("findings", "refused.ndjson"), event())
        check(wait_until(lambda: Page(port).value("spoolgate_event_type_refused", **label) == 1), "a refused event type")
        status, _, why = ask(port, "/readyz")
        check(status == 503 and "event type findings" in why, f"/readyz names it: {status} {why}")
        bucket.clear_faults()
        gateway.cli("retry", "--all")
        gateway.wait_delivered(11)
        compare(bucket, dropped)
    row("an outage, a hold, a refused event type, a reload", "counted, and /readyz says which")


def test_hostile_names_and_very_many_event_types():
    port = free_port()
    names = ['say "no"', "back\\slash", 'x"} 1', "Ünï çode", "new{type}", "a,b=c", "%s%n", "#EOF", "none", "other"]
    with store() as bucket, gateway_at(bucket, port) as gateway:
        dropped = Dropped()
        for name in names:
            dropped.rename(gateway.root, key(name, "f.ndjson"), event())
        for number in range(60):
            dropped.rename(gateway.root, key(f"type-{number:02d}", "f.ndjson"), event())
        Dropped().rename(gateway.root, "stray-\x1b[31m\"\n\udcff.ndjson", b"x")
        gateway.wait_delivered(len(dropped))
        check(wait_until(lambda: gateway.status()["files"]["rejected"] == 1), "the stray one is rejected")
        page = check_page(port)
        types = page.values("spoolgate_files_delivered_total", "event_type")
        check_equal(len(types), 33, "values of event_type: 32, and the others")
        check("other" in types, "the others are together")
        check_equal(page.sum("spoolgate_files_delivered_total"), len(dropped), "none is lost in the count")
        check(len(page.samples) < 700, f"{len(page.samples)} series")
        compare(bucket, dropped)
    row("70 event types, names with quotes, braces and control characters", "33 values of the label, a valid page")


def test_only_what_it_is_for():
    port = free_port()
    with Devstore("--require-acl") as bucket, gateway_at(bucket, port) as gateway:
        check_equal(ask(port, "/livez")[::2], (200, "ok\n"), "/livez")
        for method, path, headers, status in (
                ("HEAD", "/metrics", {}, 200), ("GET", "/metrics", {"Host": f"localhost:{port}"}, 200),
                ("GET", "/metrics", {"Host": f"[::1]:{port}"}, 200),
                ("POST", "/metrics", {}, 405), ("DELETE", "/readyz", {}, 405),
                ("GET", "/", {}, 404), ("GET", "/v1/status", {}, 404), ("POST", "/v1/rescan", {}, 404),
                ("GET", "/metrics/", {}, 404), ("GET", "/metrics?x=1", {}, 200),
                ("GET", "/metrics", {"Host": "rebound.example"}, 403),
                ("GET", "/readyz", {"Host": f"rebound.example:{port}"}, 403),
                ("GET", "/livez", {"Host": f"127.0.0.1.rebound.example:{port}"}, 403)):
            check_equal(ask(port, path, method, **headers)[0], status, f"{method} {path} {headers}")
        code, text = gateway.api("GET", "/metrics")
        check(code == 200 and "spoolgate_ready 1\n" in text, "the control socket has /metrics, too")
        # A port that somebody has: told, and files flow all the same.
        with gateway_at(bucket, port) as second:
            check("metrics_not_served" in second.log() and str(port) in second.log(), "a taken port is told")
            dropped = Dropped()
            dropped.rename(second.root, key("findings", "f.ndjson"), event())
            second.wait_delivered(1)
            second.configure({"metrics": {"listen": None}})
            second.reload()
            check(wait_until(lambda: "metrics.listen" in second.log().split("reload_failed")[-1]),
                  "a change of the listener wants a restart")
        check_equal(gateway.restart() is gateway and ask(port, "/readyz")[0] in (200, 503), True,
                    "a restart finds its port again")
    row("other methods, paths and hosts; a taken port", "refused, told; files flow")


# --- Prometheus -----------------------------------------------------------------------------------


class Prometheus:
    """A real one that scrapes each second. jobs: {name: [port, …]}"""

    def __init__(self, jobs, rules=None):
        self.jobs, self.rules = jobs, rules

    def __enter__(self):
        self._dir = scratch_dir()
        directory = self._dir.__enter__()
        self.port = free_port()
        config = os.path.join(directory, "prometheus.yml")
        with open(config, "w") as file:
            json.dump({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                       "rule_files": [self.rules] if self.rules else [],
                       "scrape_configs": [
                           {"job_name": name,
                            "static_configs": [{"targets": [f"127.0.0.1:{p}" for p in ports]}]}
                           for name, ports in self.jobs.items()]}, file)
        with open(os.path.join(directory, "log"), "wb") as log:
            self.process = start_process(
                ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
                stdout=log, stderr=log, env=clean_environment())
        self.log = os.path.join(directory, "log")
        if not wait_until(lambda: http_status("127.0.0.1", self.port, "/-/ready") == 200, 60):
            raise RuntimeError("prometheus did not start: " + open(self.log, errors="replace").read()[-1000:])
        return self

    def __exit__(self, *_):
        stop_process(self.process)
        self._dir.__exit__()

    def api(self, path, **arguments):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30 * SLOW)
        connection.request("GET", f"/api/v1/{path}?" + urllib.parse.urlencode(arguments))
        answer = json.loads(connection.getresponse().read())
        connection.close()
        if answer["status"] != "success":
            raise RuntimeError(f"{path} {arguments}: {answer}")
        return answer["data"]

    def query(self, text):
        """[(labels, value)]"""
        return [(r["metric"], float(r["value"][1])) for r in self.api("query", query=text)["result"]]

    def firing(self):
        """{(alert, instance)}"""
        return {(a["labels"]["alertname"], a["labels"].get("instance"))
                for a in self.api("alerts")["alerts"] if a["state"] == "firing"}


def panels():
    """(title, query) of each target of the dashboard, with its variables filled in."""
    with open(os.path.join(GRAFANA, "dashboard.json")) as file:
        dashboard = json.load(file)
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"]
            for name, value in (("$__rate_interval", "20s"), ("$__range", "1m"), ("$job", ".*"), ("$instance", ".*")):
                text = text.replace(name, value)
            yield panel["title"], text
    check_equal(len({p["id"] for p in dashboard["panels"]}), len(dashboard["panels"]), "ids of panels")


def check_dashboard(prometheus, port):
    files = Page(port).sum("spoolgate_files_delivered_total")
    scraped = lambda: [v for _, v in prometheus.query("sum(spoolgate_files_delivered_total)")] == [files]  # noqa: E731
    check(wait_until(scraped, 30, 0.3), f"Prometheus has the {files:.0f} files")
    wait_until(lambda: prometheus.query("count_over_time(up[1m]) > 3"), 20, 0.3)
    scrape = lambda: [(t["health"], t["lastError"]) for t in prometheus.api("targets")["activeTargets"]]  # noqa: E731
    wait_until(lambda: scrape() == [("up", "")], 20, 0.3)
    check_equal(scrape(), [("up", "")], "the scrape")
    empty, n = [], 0
    for title, text in panels():
        n += 1
        if not prometheus.query(text):
            empty.append(f"{title}: {text}")
    check_equal(empty, [], "queries of the dashboard without data")
    check(n >= 60, f"{n} queries")
    kinds = prometheus.api("metadata")
    check_equal(kinds["spoolgate_close_to_delivered_seconds"][0]["type"], "histogram", "metadata")
    row(f"{n} queries of the dashboard in a real Prometheus", "each returns data")


def test_the_rules_are_proved():
    for what in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts-test.yml"]):
        said = promtool(*what, cwd=GRAFANA)
        check(said.returncode == 0 and "SUCCESS" in said.stdout + said.stderr,
              f"promtool {' '.join(what)}: {said.stdout[-1500:]}{said.stderr[-1500:]}")
    with open(os.path.join(GRAFANA, "alerts.yml")) as file:
        names = re.findall(r"- alert: (\w+)", file.read())
    with open(os.path.join(GRAFANA, "alerts-test.yml")) as file:
        tested = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts", file.read()))
    check_equal(sorted(tested), sorted(names), "rules that a test makes fire")
    with open(os.path.join(GRAFANA, "README.md")) as file:
        check_equal(sorted(re.findall(r"^\| `(Spoolgate\w+)`", file.read(), re.M)), sorted(names), "rules in README.md")


# --- each alert by what it is for -----------------------------------------------------------------


@contextlib.contextmanager
def small(path, size):
    os.makedirs(path, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "spoolgate-e2e", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def fill(path, leave):
    """All but `leave` of the bytes that are free."""
    free = os.statvfs(path)
    with open(os.path.join(path, ".ballast"), "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            for _ in range(max(0, (free.f_bavail * free.f_frsize - leave) // 4096)):
                file.write(b"x" * 4096)
    return os.path.join(path, ".ballast")


def short_rules(directory):
    """The same expressions and thresholds; what must last and over how long is looked shorter."""
    with open(os.path.join(GRAFANA, "alerts.yml")) as file:
        text = re.sub(r"\bfor: \w+", "for: 3s", file.read()).replace("[2m]", "[10s]")
    path = os.path.join(directory, "alerts.yml")
    with open(path, "w") as file:
        file.write(text)
    return path, re.findall(r"- alert: (\w+)", text)


class Scene:
    """Gateways that something happens to, and what was seen to fire."""

    def __init__(self, stack, directory):
        self.stack, self.directory = stack, directory
        self.ports, self.gateways, self.stores = {}, {}, {}

    def add(self, name, config=None, env=None, before=None):
        directory = os.path.join(self.directory, name)
        os.makedirs(directory)
        port = self.ports[name] = free_port()
        bucket = self.stores[name] = self.stack.enter_context(Devstore("--require-acl"))
        if before:
            before(directory)
        self.gateways[name] = self.stack.enter_context(
            gateway_at(bucket, port, config, env=env, directory=directory))
        return self.gateways[name]

    def instance(self, name):
        return f"127.0.0.1:{self.ports[name]}"


def expiring_keys(directory):
    """A program that gives keys which hold for three minutes, once."""
    path = os.path.join(directory, "keys")
    with open(path, "w") as file:
        file.write(f"""#!/bin/sh
[ ! -e {directory}/asked ] || exit 1
: > {directory}/asked
expires=$(date -u -d '+180 seconds' +%Y-%m-%dT%H:%M:%SZ)
echo '{{"Version":1,"AccessKeyId":"devstore","SecretAccessKey":"devstore-secret","Expiration":"'$expires'"}}'
""")
    os.chmod(path, 0o755)
    aws = os.path.join(directory, "aws")
    with open(aws, "w") as file:
        file.write(f"[default]\ncredential_process = {path}\n")
    return aws


def damaged_journal(directory):
    """A segment that is none."""
    journal = os.path.join(directory, "state/journal")
    found = sorted(f for f in os.listdir(journal) if os.path.isfile(os.path.join(journal, f)))
    with open(os.path.join(journal, found[0]), "r+b") as file:
        file.seek(0)
        file.write(b"\0" * 4096)


def test_each_alert_fires_for_real():
    if not LONG:
        return row("each alert provoked", "only with SPOOLGATE_LONG=1")
    if not ON_DEVSTORE:
        return row("each alert provoked", "devstore only")
    if os.getuid() != 0:
        return check(False, "must run as root: it mounts small file systems")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(scratch_dir())
        provoke_all(stack, directory)


def provoke_all(stack, directory):
    rules, names = short_rules(directory)
    check_equal(promtool("check", "rules", rules).returncode, 0, "the copy of the rules")
    scene = Scene(stack, directory)
    quiet = scene.add("quiet")
    scene.add("outage")
    refused = scene.add("refused")
    scene.add("decisions")
    scene.add("down")
    aws = os.path.join(directory, "aws-keys")
    os.makedirs(aws)
    scene.add("keys", env={"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None,
                           "AWS_CONFIG_FILE": expiring_keys(aws)})
    deaf = scene.add("deaf", {"rescan": "10s"}, env=deaf_environment(directory))
    for name in ("space/state", "space/spool"):
        stack.enter_context(small(os.path.join(directory, name), "2m"))
    space = scene.gateways["space"] = gateway_at(
        stack.enter_context(Devstore("--require-acl")), scene.ports.setdefault("space", free_port()),
        directory=os.path.join(directory, "space"))
    stack.enter_context(space)
    torn = scene.add("torn")
    dropped = Dropped()
    dropped.rename(torn.root, key("findings", "f.ndjson"), event())
    torn.wait_delivered(1)
    torn.stop()
    damaged_journal(os.path.join(directory, "torn"))
    torn.start()
    with Prometheus({"spoolgate": list(scene.ports.values())}, rules) as prometheus:
        fired = set()

        def look():
            now = prometheus.firing()
            fired.update(now)
            return now

        def fires(alert, name, timeout=60):
            wanted = alert, scene.instance(name)
            ok = wait_until(lambda: wanted in look(), timeout, 0.5)
            check(ok, f"{alert} fires for {name}: {sorted(look())}")
            print(f"  {alert} fired for {name}" if ok else f"  {alert} did NOT fire for {name}", flush=True)

        def ends(alert, name, timeout=60):
            gone = alert, scene.instance(name)
            check(wait_until(lambda: gone not in look(), timeout, 0.5), f"{alert} ends for {name}")

        # First: after two minutes it notices, opens inotify anew and scans, which is no drift.
        Dropped().rename(deaf.root, key("findings", "unheard.ndjson"), event())
        fires("SpoolgateRescanDrift", "deaf", 90)

        fires("SpoolgateJournalTrouble", "torn")
        fires("SpoolgateCredentialsExpire", "keys")

        decisions = scene.gateways["decisions"]
        Dropped().rename(decisions.root, key("findings", "wrong.ndjson"), b"not JSON\n")
        fires("SpoolgateRejectedFiles", "decisions")
        scene.stores["decisions"].fault("op=PutObject,status=503")
        Dropped().rename(decisions.root, key("findings", "held.ndjson"), event())
        check(wait_until(lambda: decisions.cli("hold", key("findings", "held.ndjson")).returncode == 0, 20, 0.5), "held")
        scene.stores["decisions"].clear_faults()
        fires("SpoolgateHeldFiles", "decisions")
        check_equal(decisions.cli("release", key("findings", "held.ndjson")).returncode, 0, "released")
        ends("SpoolgateHeldFiles", "decisions")

        scene.stores["refused"].fault("op=PutObject,status=403,code=AccessDenied,prefix=Panoptica/findings")
        Dropped().rename(refused.root, key("findings", "f.ndjson"), event())
        Dropped().rename(refused.root, key("audit", "f.ndjson"), event())
        fires("SpoolgateDestinationHeld", "refused")

        outage = scene.gateways["outage"]
        dropped = Dropped()
        dropped.rename(outage.root, key("findings", "before.ndjson"), event())
        outage.wait_delivered(1)
        scene.stores["outage"].stop()
        for number in range(20):
            dropped.rename(outage.root, key("findings", f"f-{number}.ndjson"), event(number))
        fires("SpoolgateDestinationHeld", "outage")
        fires("SpoolgateNothingDelivered", "outage")

        ballast = fill(space.state, 100 << 10)
        fires("SpoolgateSpaceLow", "space")
        os.unlink(ballast)
        ends("SpoolgateSpaceLow", "space")
        ballast = fill(space.root, 60 << 10)
        fires("SpoolgateSpoolFull", "space")
        os.unlink(ballast)
        ends("SpoolgateSpoolFull", "space")
        journal_out_of_room(scene, space, fires, ends)

        scene.gateways["down"].kill()
        fires("SpoolgateDown", "down")
        scene.gateways["down"].start()
        ends("SpoolgateDown", "down")

        fires("SpoolgateBehind", "outage", 120)
        scene.stores["outage"].start()
        for alert in ("SpoolgateBehind", "SpoolgateNothingDelivered", "SpoolgateDestinationHeld"):
            ends(alert, "outage")
        compare(scene.stores["outage"], dropped)
        check_equal(sorted({alert for alert, _ in fired}), sorted(names), "alerts that fired")
        check_equal(sorted(a for a, i in fired if i == scene.instance("quiet")), [],
                    "alerts of a gateway that has nothing wrong")
        check_equal(quiet.status()["state"], "ok", "its state")
    row(f"{len(names)} alerts, each by what it is for", f"{len({a for a, _ in fired})} fired, the quiet gateway's none")


def journal_out_of_room(scene, space, fires, ends):
    """The state directory is full to the last byte while files come."""
    ballast = fill(space.state, 0)
    stop = threading.Event()

    def produce():
        number = 0
        while not stop.wait(0.2):
            number += 1
            Dropped().rename(space.root, key("findings", f"p-{number}.ndjson"), event(number))

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        fires("SpoolgateJournalTrouble", "space")
    finally:
        stop.set()
        producer.join()
        os.unlink(ballast)
    ends("SpoolgateJournalTrouble", "space")


def main():
    missing = [p for p in ("prometheus", "promtool") if not shutil.which(p)]
    try:
        import prometheus_client.openmetrics.parser  # noqa: F401
    except ImportError:
        missing.append("python3-prometheus-client")
    if missing:
        check(False, f"{', '.join(missing)} is not there: contrib/install-deps test installs what is needed")
        finish()
    if LONG and os.getuid() == 0:
        private_mounts()
    run_tests([test_the_numbers_are_what_happened, test_waiting_held_and_tried_again,
               test_hostile_names_and_very_many_event_types, test_only_what_it_is_for,
               test_the_rules_are_proved, test_each_alert_fires_for_real])


if __name__ == "__main__":
    main()
