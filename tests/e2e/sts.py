#!/usr/bin/python3
# also-under: asan
"""Keys that others hand out: a program, STS (roles, chained roles, web identity), a container's
endpoint, EC2's metadata. A fake of each endpoint gives keys that devstore takes only if a request
was signed with just these; MinIO's STS gives real ones. Keys that expire or are revoked while files
wait cost no file and no restart, and no secret is seen anywhere.

The parts with MinIO run where its program is installed. What waits for keys to expire runs with
SPOOLGATE_LONG=1 only."""

import base64
import datetime
import glob
import http.server
import os
import resource
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

ROOT_ID, ROOT_SECRET = "AKIDSPOOLGATESTS", "theSecretBehindAllOthers0123456789"
BARE = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"}
FAST = {"settle": "100ms", "log": {"level": "debug"}}
ROLE = "arn:aws:iam::111122223333:role/panoptica-customer"


def bucket_of(*options):
    return Devstore("--session-keys", "--require-acl", *options, access_key=ROOT_ID, secret_key=ROOT_SECRET)


def make_keys(who, lifetime):
    """As devstore's --session-keys wants them."""
    expires = int(time.time() + lifetime)
    key_id = f"ASIA{who}{os.urandom(4).hex().upper()}.{expires}"
    return {"AccessKeyId": key_id, "SecretAccessKey": f"{ROOT_SECRET}/{key_id}", "Token": f"token-{key_id}",
            "Expiration": datetime.datetime.fromtimestamp(expires, datetime.timezone.utc)
            .strftime("%Y-%m-%dT%H:%M:%SZ")}


class Fake:
    """The endpoints, on loopback. `lifetime` is that of the keys; `fail` (status, body) is answered
    to everything; `delay` comes before each answer; `asked` has what was asked, in order."""

    def __init__(self, lifetime=3600):
        self.lifetime, self.fail, self.delay = lifetime, None, 0
        self.asked, self.given, self.hop_limit = [], [], False

    def __enter__(self):
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, status, text):
                data = text.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                fake.asked.append((self.command, self.path, dict(self.headers), urllib.parse.parse_qs(body)))
                if fake.delay:
                    time.sleep(fake.delay)
                try:
                    self.answer(*(fake.fail or fake.reply(*fake.asked[-1])))
                except OSError:
                    pass

            do_GET = do_PUT = do_POST = serve

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def give(self, who):
        self.given.append(make_keys(who, self.lifetime))
        return self.given[-1]

    def reply(self, method, path, headers, form):
        headers = {name.lower(): value for name, value in headers.items()}
        if (method, path) == ("PUT", "/latest/api/token"):
            if self.hop_limit:
                time.sleep(8)
            return 200, "imds-session"
        if path.startswith("/latest/meta-data/iam/security-credentials/"):
            if headers.get("x-aws-ec2-metadata-token") != "imds-session":
                return 401, ""
            if path.endswith("/"):
                return 200, "collector\n"
            return 200, json.dumps({"Code": "Success", "Type": "AWS-HMAC", **self.give("IMDS")})
        if path == "/container":
            if headers.get("authorization") != "pod-token":
                return 401, "{}"
            return 200, json.dumps(self.give("POD"))
        if method == "POST" and "Action" in form:
            return self.sts(headers, {name: values[0] for name, values in form.items()})
        return 404, ""

    def sts(self, headers, form):
        def error(code, text, status=403):
            return status, (f'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender'
                            f'</Type><Code>{code}</Code><Message>{text}</Message></Error></ErrorResponse>')
        if form["Action"] == "AssumeRoleWithWebIdentity":
            if "authorization" in headers:
                return error("AccessDenied", "signed")
            if form["WebIdentityToken"] != "the.web.token":
                return error("ExpiredTokenException", "Token expired", 400)
        elif form.get("ExternalId", "agreed") != "agreed":
            return error("AccessDenied", "User is not authorized to perform: sts:AssumeRole")
        elif "/sts/aws4_request" not in headers.get("authorization", ""):
            return error("AccessDenied", "not signed for sts")
        keys = self.give("ROLE")
        return 200, (f'<{form["Action"]}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
                     f'<{form["Action"]}Result><AssumedRoleUser><Arn>{form["RoleArn"]}</Arn></AssumedRoleUser>'
                     f'<Credentials><AccessKeyId>{keys["AccessKeyId"]}</AccessKeyId><SecretAccessKey>'
                     f'{keys["SecretAccessKey"]}</SecretAccessKey><SessionToken>{keys["Token"]}</SessionToken>'
                     f'<Expiration>{keys["Expiration"]}</Expiration></Credentials></{form["Action"]}Result>'
                     f'</{form["Action"]}Response>')


def write(path, text, mode=0o600):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as file:
        file.write(text)
    os.chmod(path + ".new", mode)
    os.replace(path + ".new", path)


def keys_in(gateway):
    return gateway.status()["destination"]["credentials"]


def drop(gateway, dropped, count=5):
    for number in range(len(dropped), len(dropped) + count):
        dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))


def secret_places(gateway):
    """{where: bytes} of all that others see."""
    places = {"the log": gateway.log().encode()}
    for top in (gateway.state, gateway.root):
        for where, _, names in os.walk(top):
            for name in names:
                path = os.path.join(where, name)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        places[path] = file.read()
    for arguments in (("status", "--json"), ("status",), ("config", "show"), ("ls", "--json"), ("journal", "dump"),
                      ("test", "--json")):
        done = gateway.cli(*arguments)
        places["spoolgate " + " ".join(arguments)] = (done.stdout + done.stderr).encode()
    if gateway.process.poll() is None:
        for name in ("cmdline", "comm"):
            with open(f"/proc/{gateway.process.pid}/{name}", "rb") as file:
                places[f"/proc/PID/{name}"] = file.read()
    return places


def check_nothing_is_told(gateway, *fakes):
    """Neither secret keys nor session tokens."""
    check_nothing_is_told_of(gateway, [ROOT_SECRET.encode()] + [k[n].encode() for f in fakes for k in f.given
                                                                for n in ("SecretAccessKey", "Token")])


def check_nothing_is_told_of(gateway, secrets):
    for where, data in secret_places(gateway).items():
        check(not any(s in data for s in secrets), f"a secret in {where}")


def delivers(case, bucket, gateway, fake, origin):
    dropped = Dropped()
    drop(gateway, dropped)
    gateway.wait_idle()
    told = keys_in(gateway)
    arrived(case, told["origin"][:70], bucket, dropped)
    check(origin in told["origin"], f"the origin names {origin}: {told['origin']}")
    if fake:
        check(told["access_key_id"] in {k["AccessKeyId"] for k in fake.given}, "signed with the keys that were given")
        check(told["expires"], f"the expiry is told: {told}")
        check_nothing_is_told(gateway, fake)
    return dropped


def from_a_program():
    with bucket_of() as bucket, scratch_dir() as home:
        keys = make_keys("PROC", 3600)
        answer = {"Version": 1, "SessionToken": keys.pop("Token"), **keys}
        write(os.path.join(home, "answer"), json.dumps(answer))
        write(os.path.join(home, ".aws/config"),
              f"[default]\ncredential_process = \"{home}/a helper\" 'two words'\n")
        # It leaves a child behind, which has to be gone with it.
        write(os.path.join(home, "a helper"), f"#!/bin/sh\n[ \"$1\" = 'two words' ] && [ -z \"$A_SECRET\" ] || exit 3\n"
                                              f"sleep 100 >/dev/null &\necho $! > {home}/left\ncat {home}/answer\n", 0o700)
        with Gateway(bucket, FAST, env={**BARE, "HOME": home, "A_SECRET": "x"}) as gateway:
            delivers("credential_process", bucket, gateway, None, "profile default")
            check_equal(keys_in(gateway)["access_key_id"], keys["AccessKeyId"], "the program's keys are in use")
            left = int(open(os.path.join(home, "left")).read())
            check(wait_until(lambda: not os.path.exists(f"/proc/{left}") or
                             open(f"/proc/{left}/stat").read().split()[2] == "Z"), "its children are gone")
            write(os.path.join(home, "a helper"), "#!/bin/sh\nexit 4\n", 0o700)
            told = gateway.cli("test").stdout + gateway.cli("test").stderr
            check("ended with status 4" in told, f"test tells why: {told}")


def keys_that_are_awaited():
    """The store takes the keys no longer, and their source needs long for others: status says so."""
    with bucket_of() as bucket, scratch_dir() as home:
        for name in ("first", "second"):
            keys = make_keys(name.upper(), 3600)
            write(os.path.join(home, name), json.dumps({"Version": 1, "SessionToken": keys.pop("Token"), **keys}))
        write(os.path.join(home, ".aws/config"), f"[default]\ncredential_process = {home}/helper\n")
        write(os.path.join(home, "helper"), f"#!/bin/sh\n[ -e {home}/slow ] || exec cat {home}/first\n"
                                            f"sleep 6\nexec cat {home}/second\n", 0o700)
        with Gateway(bucket, FAST, env={**BARE, "HOME": home}) as gateway:
            dropped = delivers("before", bucket, gateway, None, "profile default")
            write(os.path.join(home, "slow"), "")
            bucket.fault("op=PutObject,status=400,code=ExpiredToken,nth=1,count=1")
            drop(gateway, dropped)
            check(wait_until(lambda: "ExpiredToken" in gateway.status()["sentence"]), "status says what is awaited")
            check_equal(gateway.status()["state"], "stuck", "state")
            gateway.wait_idle()
            compare(bucket, dropped)
            row("keys that are awaited", "status says why nothing is sent; then all are delivered")


def from_the_instance():
    with bucket_of() as bucket, Fake() as fake:
        env = {**BARE, "AWS_EC2_METADATA_DISABLED": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": fake.url}
        with Gateway(bucket, FAST, env=env) as gateway:
            delivers("EC2 instance, IMDSv2", bucket, gateway, fake, "role collector of the EC2 instance")
            check_equal([a[0] for a in fake.asked[:3]], ["PUT", "GET", "GET"], "a token first")
            fake.hop_limit = True
            told = gateway.cli("test").stdout + gateway.cli("test").stderr
            check("HttpPutResponseHopLimit" in told, f"the hop limit is named: {told}")
            fake.hop_limit, fake.fail = False, (404, "")
            told = gateway.cli("test").stdout + gateway.cli("test").stderr
            check("IMDSv2" in told or "no role" in told, f"what is missing is named: {told}")


def from_the_container():
    with bucket_of() as bucket, Fake() as fake, scratch_dir() as home:
        write(os.path.join(home, "token"), "pod-token\n")
        env = {**BARE, "AWS_CONTAINER_CREDENTIALS_FULL_URI": fake.url + "/container",
               "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": os.path.join(home, "token")}
        with Gateway(bucket, FAST, env=env) as gateway:
            delivers("container (EKS pod identity)", bucket, gateway, fake, "container's endpoint")
            write(os.path.join(home, "token"), "another")
            told = gateway.cli("test").stdout + gateway.cli("test").stderr
            check("authorization token" in told, f"a refused token is named: {told}")


# In a network namespace of its own: the address of the agent of ECS on loopback, a child that answers
# there, and the program in our place.
THE_TASK = """import http.server, os, subprocess, sys, threading, time
for words in ("link set lo up", "address add 169.254.170.2/32 dev lo"):
    subprocess.run(["ip", *words.split()], check=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        data = sys.argv[1].encode()
        self.send_response(200 if self.path == "/v2/credentials/one" else 404)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
parent = os.getpid()
server = http.server.HTTPServer(("169.254.170.2", 80), Handler)
if os.fork() == 0:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while os.getppid() == parent:
        time.sleep(0.1)
    os._exit(0)
os.execv(sys.argv[2], sys.argv[2:])
"""


def from_the_task():
    """The bucket is not to be reached from there; status tells whose keys there are."""
    if WRAP or subprocess.run(["unshare", "--net", "ip", "link"], capture_output=True).returncode != 0:
        print("  (no network namespace here: the relative URI of ECS is not checked)")
        return
    with bucket_of() as bucket, Gateway(bucket, FAST, start=False, env={
            **BARE, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/one"}) as gateway:
        keys = make_keys("TASK", 3600)
        with open(gateway.log_path, "ab") as log:
            gateway.process = start_process(
                ["unshare", "--net", sys.executable, "-c", THE_TASK, json.dumps(keys), SPOOLGATE, "run", "-c",
                 gateway.config_path], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=gateway.environment(),
                cwd=gateway.directory)
        gateway.wait_ready()
        told = wait_until(lambda: keys_in(gateway).get("access_key_id") and keys_in(gateway)) or keys_in(gateway)
        check_equal(told.get("access_key_id"), keys["AccessKeyId"], "the keys of the task's role")
        check("169.254.170.2/v2/credentials/one" in str(told.get("origin")), f"the origin: {told}")
        row("container (ECS, relative URI)", told.get("origin"))
        # What others see of it. (The fake's command line, with the keys, was the launcher's.)
        check_nothing_is_told_of(gateway, [keys["SecretAccessKey"].encode(), keys["Token"].encode()])


def from_web_identity():
    with bucket_of() as bucket, Fake() as fake, scratch_dir() as home:
        write(os.path.join(home, "token"), "the.web.token\n")
        env = {**BARE, "AWS_WEB_IDENTITY_TOKEN_FILE": os.path.join(home, "token"), "AWS_ROLE_ARN": ROLE,
               "AWS_ENDPOINT_URL_STS": fake.url}
        with Gateway(bucket, FAST, env=env) as gateway:
            delivers("web identity", bucket, gateway, fake, "by web identity")
            check_equal(fake.asked[0][3]["RoleArn"], [ROLE], "the role")
            write(os.path.join(home, "token"), "an.old.token\n")
            check(wait_until(lambda: "the token has expired" in (keys_in(gateway)["failure"] or ""), 20),
                  f"an expired token is told: {keys_in(gateway)['failure']}")
            check_equal(gateway.status()["state"], "ok", "the old keys serve")
            write(os.path.join(home, "token"), "the.web.token\n")
            check(wait_until(lambda: not keys_in(gateway)["failure"], 20), "a new token is taken")


def a_role_on_top():
    with bucket_of() as bucket, Fake() as fake:
        role = {"arn": ROLE, "external_id": "agreed", "session_name": "collector", "duration": "30min",
                "endpoint": fake.url}
        with Gateway(bucket, {**FAST, "credentials": {"assume_role": dict(role)}}) as gateway:
            delivers("AssumeRole, external id", bucket, gateway, fake, ROLE)
            form = fake.asked[0][3]
            check_equal([form[n][0] for n in ("Action", "ExternalId", "RoleSessionName", "DurationSeconds")],
                        ["AssumeRole", "agreed", "collector", "1800"], "the request")
            gateway.configure({"credentials": {"assume_role": {**role, "external_id": "wrong"}}})
            told = gateway.cli("test").stdout + gateway.cli("test").stderr
            check("trust policy" in told and "external_id" in told, f"test names the remedy: {told}")
            print("  " + told.strip().splitlines()[-1][:200])
        bucket.reset()
        second = {"arn": ROLE + "-2", "endpoint": fake.url}
        fake.asked.clear()
        with Gateway(bucket, {**FAST, "credentials": {"assume_role": [role, second]}}) as gateway:
            delivers("roles, one after the other", bucket, gateway, fake, ROLE + "-2")
            check("ASIAROLE" in str(fake.asked[1][2]), "the second is asked for with the first's keys")


def roles_of_profiles():
    with bucket_of() as bucket, Fake() as fake, scratch_dir() as home:
        write(os.path.join(home, ".aws/credentials"),
              f"[base]\naws_access_key_id = {ROOT_ID}\naws_secret_access_key = {ROOT_SECRET}\n")
        write(os.path.join(home, ".aws/config"),
              f"[profile first]\nrole_arn = {ROLE}\nsource_profile = base\nexternal_id = agreed\n"
              f"role_session_name = me\nduration_seconds = 900\n[profile prod]\nrole_arn = {ROLE}-2\n"
              f"source_profile = first\n[profile circle]\nrole_arn = {ROLE}\nsource_profile = circle2\n"
              f"[profile circle2]\nrole_arn = {ROLE}\nsource_profile = circle\n")
        env = {**BARE, "HOME": home, "AWS_ENDPOINT_URL_STS": fake.url}
        with Gateway(bucket, {**FAST, "credentials": {"profile": "prod"}}, env=env) as gateway:
            delivers("role_arn and source_profile, twice", bucket, gateway, fake, ROLE + "-2")
            check_equal(fake.asked[0][3]["DurationSeconds"], ["900"], "duration_seconds")
            gateway.configure({"credentials": {"profile": "circle"}})
            told = gateway.cli("test").stdout + gateway.cli("test").stderr
            check("circle" in told, f"a circle is named: {told}")


def sources_of_profiles():
    """credential_source, and a web identity's token."""
    with bucket_of() as bucket, Fake() as fake, scratch_dir() as home:
        write(os.path.join(home, "token"), "the.web.token\n")
        write(os.path.join(home, "pod"), "pod-token\n")
        role = f"role_arn = {ROLE}\n"
        write(os.path.join(home, ".aws/config"),
              f"[profile env]\n{role}credential_source = Environment\n"
              f"[profile ec2]\n{role}credential_source = Ec2InstanceMetadata\n"
              f"[profile ecs]\n{role}credential_source = EcsContainer\n"
              f"[profile web]\n{role}web_identity_token_file = {home}/token\n"
              f"[profile odd]\n{role}credential_source = Moon\n")
        base = {"AWS_ACCESS_KEY_ID": ROOT_ID, "AWS_SECRET_ACCESS_KEY": ROOT_SECRET}
        cases = {"env": (base, ["ROLE"]),
                 "ec2": ({**BARE, "AWS_EC2_METADATA_DISABLED": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": fake.url},
                         ["IMDS", "ROLE"]),
                 "ecs": ({**BARE, "AWS_CONTAINER_CREDENTIALS_FULL_URI": fake.url + "/container",
                          "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": os.path.join(home, "pod")}, ["POD", "ROLE"]),
                 "web": (BARE, ["ROLE"])}
        for profile, (env, expected) in cases.items():
            bucket.reset()
            fake.given.clear()
            env = {**env, "HOME": home, "AWS_ENDPOINT_URL_STS": fake.url}
            with Gateway(bucket, {**FAST, "credentials": {"source": "file", "profile": profile}}, env=env) as gateway:
                delivers(f"profile {profile}", bucket, gateway, fake, ROLE)
                for keys, who in zip(fake.given, expected):
                    check(keys["AccessKeyId"].startswith("ASIA" + who), f"profile {profile}: keys of {who}")
                check(len(fake.given) >= len(expected), f"profile {profile}: {fake.given}")
                if profile == "ecs":
                    for source, env in (("ecs", BARE), ("odd", BARE), ("env", BARE)):
                        gateway.configure({"credentials": {"source": "chain", "profile": source}})
                        told = gateway.cli("test", env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": ""})
                        told = told.stdout + told.stderr
                        check("credential_source has to be" in told or "the keys for the role of" in told and
                              ("there are none in EcsContainer" in told or "AWS_ACCESS_KEY_ID" in told),
                              f"{source}: what is missing is named: {told}")


def denied_keys_are_replaced():
    """A store that says AccessDenied of keys that are dead, as MinIO does."""
    with bucket_of() as bucket, Fake() as fake:
        role = {"arn": ROLE, "endpoint": fake.url}
        with Gateway(bucket, {**FAST, "credentials": {"assume_role": role}}) as gateway:
            dropped = Dropped()
            drop(gateway, dropped)
            gateway.wait_idle()
            before, fake.delay = len(fake.asked), 2
            bucket.fault("op=PutObject,status=403,code=AccessDenied")
            drop(gateway, dropped)
            check(wait_until(lambda: len(fake.asked) > before), "the source is asked")
            bucket.clear_faults()  # as if it were the keys that are on their way
            start = time.monotonic()
            gateway.wait_idle(60)
            took = time.monotonic() - start
            check(took < 20, f"files are tried at once with new keys, not when it is their turn: {took:.1f} s")
            check_equal(len(fake.asked), before + 1, "how often the source was asked")
            check_equal(keys_in(gateway)["access_key_id"], fake.given[-1]["AccessKeyId"], "the keys in use")
            bucket.fault("op=PutObject,code=AccessDenied,status=403")
            drop(gateway, dropped)
            check(wait_until(lambda: "AccessDenied" in gateway.status()["sentence"]), "a real denial is told")
            time.sleep(2)
            check_equal(len(fake.asked), before + 1, "the source is not asked again so soon")
            bucket.clear_faults()
            gateway.cli("retry", "--all")
            gateway.wait_idle(60)
            arrived("AccessDenied with temporary keys", f"new keys, delivered after {took:.1f} s", bucket, dropped)


def keys_that_expire_in_mid_backlog():
    """They live six seconds and are renewed in time; then nobody renews them for a while."""
    with bucket_of() as bucket, Fake(lifetime=6) as fake:
        role = {"arn": ROLE, "endpoint": fake.url}
        with Gateway(bucket, {**FAST, "credentials": {"assume_role": role}}) as gateway:
            dropped = Dropped()
            end = time.monotonic() + 10
            while time.monotonic() < end:
                drop(gateway, dropped, 20)
                time.sleep(0.1)
            gateway.wait_idle()
            check(len(fake.given) >= 2, f"keys were renewed: {len(fake.given)}")
            arrived("keys of 6 s, renewed in time", f"{len(dropped)} files, {len(fake.given)} sets of keys",
                    bucket, dropped)
            fake.fail = (500, "")
            check(wait_until(lambda: keys_in(gateway)["failure"], 15), "a failed renewal is told")
            time.sleep(6)  # now they have expired
            drop(gateway, dropped, 50)
            check(wait_until(lambda: gateway.status()["state"] != "ok", 15), "status says so")
            print("  " + gateway.status()["sentence"][:200])
            fake.fail, before = None, gateway.starts
            start = time.monotonic()
            gateway.wait_idle(90)
            arrived("expired while STS was down", f"50 files waited, {time.monotonic() - start:.1f} s after it was "
                    "back", bucket, dropped)
            check_equal(gateway.starts, before, "no restart")
            check_nothing_is_told(gateway, fake)


def a_slow_source_delays_nothing():
    with bucket_of() as bucket, Fake(lifetime=20) as fake:
        with Gateway(bucket, {**FAST, "credentials": {"assume_role": {"arn": ROLE, "endpoint": fake.url}}}) as gateway:
            dropped = Dropped()
            drop(gateway, dropped)
            gateway.wait_idle()
            fake.delay = 12
            check(wait_until(lambda: keys_in(gateway)["asking"], 30), "the keys are being renewed")
            start = time.monotonic()
            drop(gateway, dropped)
            gateway.wait_idle()
            arrived("files while STS takes 12 s", f"delivered after {time.monotonic() - start:.1f} s", bucket, dropped)
            start = time.monotonic()
            gateway.stop()
            check(time.monotonic() - start < 5 * SLOW, f"stopped within {time.monotonic() - start:.1f} s all the same")


def a_core_dump_has_no_secret_key():
    if WRAP:
        return
    with bucket_of() as bucket, Fake() as fake, scratch_dir() as home:
        env = {**BARE, "AWS_EC2_METADATA_DISABLED": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": fake.url}
        pattern = open("/proc/sys/kernel/core_pattern").read().strip()
        gcore = shutil.which("gcore")
        if pattern.startswith("|") and not gcore:
            print("  (cores go to a program here: not checked)")
            return
        with Gateway(bucket, FAST, env=env, start=False) as gateway:
            soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
            gateway.start()
            resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
            dropped = Dropped()
            drop(gateway, dropped)
            gateway.wait_idle()
            with open(f"/proc/{gateway.process.pid}/statm") as file:
                if int(file.read().split()[0]) * resource.getpagesize() > 8 << 30:
                    print("  (the shadow memory of a sanitizer would fill the disk: not checked)")
                    return
            if gcore:
                subprocess.run([gcore, "-o", os.path.join(home, "core"), str(gateway.process.pid)], capture_output=True)
            else:
                gateway.process.send_signal(signal.SIGABRT)
                gateway.process.wait(60)
            cores = glob.glob(os.path.join(home, "core*")) + glob.glob(os.path.join(gateway.directory, "core*"))
            if not cores:
                print("  (this system writes no core here: not checked)")
                return
            data = open(cores[0], "rb").read()
            check(fake.given[0]["AccessKeyId"].encode() in data, "the dump is one of the gateway with its keys")
            found = data.count(fake.given[0]["SecretAccessKey"].encode())
            check_equal(found, 0, "secret access keys in the core dump")
            tokens = data.count(fake.given[0]["Token"].encode())  # these cannot be wiped: KNOWN_LIMITS.md
            arrived("a core dump", f"{len(data) >> 20} MiB, {found} secret keys in it, {tokens} session tokens",
                    bucket, dropped)


# MinIO's STS: real keys, real refusals. MinIO takes any role's ARN with AssumeRole, the policy is that
# of the user who asks.

OIDC_CLIENT = "spoolgate"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Oidc:
    """The smallest identity provider: its description, one RSA key, and tokens signed with it."""

    def __init__(self, directory):
        self.key = os.path.join(directory, "oidc.pem")
        subprocess.run(["openssl", "genrsa", "-out", self.key, "2048"], check=True, capture_output=True)
        modulus = subprocess.run(["openssl", "rsa", "-in", self.key, "-noout", "-modulus"], check=True,
                                 capture_output=True, text=True).stdout.strip().split("=")[1]
        self.jwks = {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one",
                               "n": b64(bytes.fromhex(modulus)), "e": "AQAB"}]}

    def __enter__(self):
        oidc = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                what = {"/.well-known/openid-configuration": {
                    "issuer": oidc.url, "jwks_uri": oidc.url + "/jwks", "authorization_endpoint": oidc.url + "/a",
                    "token_endpoint": oidc.url + "/t", "response_types_supported": ["id_token"],
                    "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"]},
                    "/jwks": oidc.jwks}.get(self.path)
                data = json.dumps(what).encode()
                self.send_response(200 if what else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def token(self, lifetime=3600):
        now = int(time.time())
        head = b64(json.dumps({"alg": "RS256", "typ": "JWT", "kid": "one"}).encode())
        body = b64(json.dumps({"iss": self.url, "aud": OIDC_CLIENT, "azp": OIDC_CLIENT, "sub": "collector", "iat": now,
                               "exp": now + lifetime, "policy": "readwrite"}).encode())
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], check=True, capture_output=True,
                                   input=f"{head}.{body}".encode()).stdout
        return f"{head}.{body}.{b64(signature)}"


class StsMinio(Minio):
    """With a user "collector" who may write, and an identity provider."""

    def __init__(self, oidc=None):
        super().__init__()
        self.oidc = oidc

    def environment(self):
        more = {} if not self.oidc else {
            "MINIO_IDENTITY_OPENID_CONFIG_URL": self.oidc.url + "/.well-known/openid-configuration",
            "MINIO_IDENTITY_OPENID_CLIENT_ID": OIDC_CLIENT, "MINIO_IDENTITY_OPENID_CLIENT_SECRET": "none",
            "MINIO_IDENTITY_OPENID_ROLE_POLICY": "readwrite"}
        return {**super().environment(), **more}

    def mc(self, *arguments):
        done = subprocess.run([os.path.join(CACHE, "bin/mc"), "--quiet", "--config-dir",
                               os.path.join(self.directory, "mc"), *arguments], capture_output=True, text=True,
                              env=clean_environment(MC_HOST_store=f"http://{self.access_key}:{self.secret_key}"
                                                                  f"@127.0.0.1:{self.port}", HOME=self.directory))
        if done.returncode != 0:
            raise RuntimeError(f"mc {arguments}: {done.stdout} {done.stderr}")
        return done.stdout + done.stderr

    def add_collector(self):
        self.mc("admin", "user", "add", "store", "collector", "collector-secret-1")
        self.mc("admin", "policy", "attach", "store", "readwrite", "--user", "collector")

    def revoke(self, user):
        """Every key that STS has given for this user (mc has no command for it yet)."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        url = f"{self.url}/minio/admin/v3/revoke-tokens/builtin?user={user}&fullRevoke=true"
        request = AWSRequest("POST", url, data=b"")
        S3SigV4Auth(Credentials(self.access_key, self.secret_key), "s3", self.region).add_auth(request)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", url[len(self.url):], b"", dict(request.headers))
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status // 100 != 2:
            raise RuntimeError(f"revoke: {answer.status} {text}")

    def role_arn(self):
        def found():
            text = self.mc("idp", "openid", "list", "store", "--json")
            with open(os.path.join(self.directory, "log"), errors="replace") as log:
                text += log.read()
            at = text.find("arn:minio:iam")
            return text[at:].split('"')[0].split()[0] if at >= 0 else None
        return wait_until(found, 20, 0.5)


def has_minio():
    return all(os.access(os.path.join(CACHE, "bin", name), os.X_OK) for name in ("minio", "mc"))


def gateway_of_collector(bucket):
    """A gateway with a role that MinIO's user of that name assumes."""
    bucket.add_collector()
    role = {"arn": ROLE, "endpoint": bucket.url, "duration": "15min"}
    return Gateway(bucket, {**FAST, "credentials": {"assume_role": role}}, env={
        "AWS_ACCESS_KEY_ID": "collector", "AWS_SECRET_ACCESS_KEY": "collector-secret-1"})


def a_role_of_minio_is_revoked_in_mid_backlog():
    if not has_minio():
        print("  (MinIO is not installed: not checked)")
        return
    with StsMinio() as bucket:
        with gateway_of_collector(bucket) as gateway:
            dropped = Dropped()
            drop(gateway, dropped, 50)
            gateway.wait_idle()
            first = keys_in(gateway)
            check(first["expires"] and first["access_key_id"] != "collector", f"keys of STS: {first}")
            bucket.revoke("collector")
            drop(gateway, dropped, 100)
            start = time.monotonic()
            gateway.wait_idle(90)
            arrived("MinIO: revoked in mid-backlog", f"100 files waited {time.monotonic() - start:.1f} s",
                    bucket, dropped)
            check(keys_in(gateway)["access_key_id"] != first["access_key_id"], "other keys were got")
            check_equal(gateway.starts, 1, "no restart")


def a_user_of_minio_is_removed_and_comes_back():
    """MinIO says AccessDenied of the keys of a user who is gone, also once the user is there again."""
    if not has_minio():
        print("  (MinIO is not installed: not checked)")
        return
    with StsMinio() as bucket:
        with gateway_of_collector(bucket) as gateway:
            dropped = Dropped()
            drop(gateway, dropped)
            gateway.wait_idle()
            first = keys_in(gateway)["access_key_id"]
            bucket.mc("admin", "user", "remove", "store", "collector")
            drop(gateway, dropped)
            check(wait_until(lambda: keys_in(gateway)["failure"], 20), f"why is told: {gateway.status()['sentence']}")
            print("  " + str(keys_in(gateway)["failure"])[:250])
            bucket.add_collector()
            start = time.monotonic()
            gateway.wait_idle(90)
            arrived("MinIO: user removed, comes back", f"5 files waited {time.monotonic() - start:.1f} s", bucket,
                    dropped)
            check(keys_in(gateway)["access_key_id"] != first, "other keys were got")
            check_equal(gateway.starts, 1, "no restart")


def web_identity_of_minio():
    if not has_minio():
        print("  (MinIO is not installed: not checked)")
        return
    with scratch_dir() as home, Oidc(home) as oidc, StsMinio(oidc) as bucket:
        arn = bucket.role_arn()
        write(os.path.join(home, "token"), oidc.token())
        env = {**BARE, "AWS_WEB_IDENTITY_TOKEN_FILE": os.path.join(home, "token"), "AWS_ROLE_ARN": arn,
               "AWS_ENDPOINT_URL_STS": bucket.url}
        with Gateway(bucket, FAST, env=env) as gateway:
            delivers("MinIO: web identity", bucket, gateway, None, "by web identity")
            before = keys_in(gateway)["access_key_id"]
            write(os.path.join(home, "token"), oidc.token())
            check(wait_until(lambda: keys_in(gateway)["access_key_id"] != before, 20), "a new token, new keys")
            write(os.path.join(home, "token"), oidc.token(-10))
            told = gateway.cli("test").stdout + gateway.cli("test").stderr
            check("cannot be assumed" in told, f"an expired token is told: {told}")
            print("  " + told.strip().splitlines()[-1][:250])


SHORT = [from_a_program, keys_that_are_awaited, from_the_instance, from_the_container, from_the_task,
         from_web_identity, a_role_on_top, roles_of_profiles, sources_of_profiles, denied_keys_are_replaced, a_core_dump_has_no_secret_key,
         web_identity_of_minio]
LONG = [keys_that_expire_in_mid_backlog, a_slow_source_delays_nothing, a_role_of_minio_is_revoked_in_mid_backlog,
        a_user_of_minio_is_removed_and_comes_back]
run_together(SHORT + (LONG if os.environ.get("SPOOLGATE_LONG") else []), 6)
