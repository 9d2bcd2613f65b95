"""The package on a fresh Debian: install, wait for a configuration, deliver, upgrade and downgrade in
mid-flow, remove, install again, purge. One root, systemd as its process 1, MinIO outside of it.

    tests/packages/install.py RELEASE OLD.deb NEW.deb

Prints what was seen and what is left after each step; the last line is "N passed, N failed".
"""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests/e2e"))
from lib import check, check_equal, finish, row  # noqa: E402

RELEASE, OLD, NEW = sys.argv[1], os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3])
TMP = tempfile.mkdtemp(prefix="sg-packages-", dir=os.environ.get("TMPDIR", "/tmp"))
STORE = dict(os.environ, SPOOLGATE_STORE_RUN=os.path.join(TMP, "store"))
SPOOL, STATE, CONFIG = "/var/spool/spoolgate", "/var/lib/spoolgate", "/etc/spoolgate/spoolgate.json"
LEASE = 28
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def bash(script, **more):
    return subprocess.run(["bash", "-euc", script], check=True, text=True, **more)


class Root:
    """A fresh Debian; in_it() runs a shell line in it, with systemd as its process 1 once booted."""

    def __init__(self):
        self.path = bash(f'. {TOP}/packaging/deb/lib.sh; enter_root {RELEASE}; echo "$root"',
                         stdout=subprocess.PIPE).stdout.strip().splitlines()[-1]
        self.unshare = self.init = None

    def boot(self):
        os.unlink(self.path + "/usr/sbin/policy-rc.d")
        self.unshare = subprocess.Popen([os.path.join(HERE, "boot"), self.path])
        for _ in range(300):
            if self.unshare.poll() is not None:
                raise RuntimeError("systemd does not start in its root")
            children = f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children"
            self.init = open(children).read().split()[:1]
            if self.init:
                self.init = int(self.init[0])
                said = self.in_it("systemctl is-system-running", may_fail=True)
                if said.strip() in ("running", "degraded"):
                    return
                self.init = None
            time.sleep(0.2)
        raise RuntimeError("systemd has not come up")

    def command(self, line):
        chroot = (["nsenter", "-t", str(self.init), "-a", "-r", "-w"] if self.init
                  else ["chroot", self.path])
        return chroot + ["env", "-i", "PATH=" + PATH, "LC_ALL=C.UTF-8", "HOME=/root",
                         "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER=", "bash", "-ec", line]

    def in_it(self, line, may_fail=False):
        done = subprocess.run(self.command(line), text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=900)
        if done.returncode and not may_fail:
            raise RuntimeError(f"{line}: exit status {done.returncode}\n{done.stdout[-3000:]}")
        return done.stdout

    def says(self, line):
        return subprocess.run(self.command(line), stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=900).returncode

    def end(self):
        if self.unshare and self.unshare.poll() is None:
            if self.init:
                os.kill(self.init, signal.SIGKILL)
            else:
                self.unshare.kill()
            self.unshare.wait()
        self.init = None
        bash(f'. {TOP}/packaging/deb/lib.sh; root={self.path}; leave_root')


def store(script):
    """A line of shell with MinIO's environment."""
    return bash(f'cd {TOP}/contrib/minio-test; . ./lib.sh; [ ! -e "$run/env" ] || . "$run/env"; {script}',
                env=STORE, stdout=subprocess.PIPE).stdout


def wait_for(fact, what, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if fact():
            return check(True, what)
        time.sleep(0.3)
    return check(False, f"{what}: not within {seconds} s")


class Producer:
    """Files of a user, and what they held."""

    def __init__(self, root):
        self.root, self.n, self.made = root, 0, {}

    def line(self, user, script):
        return (f"setpriv --reuid {user} --regid {user} --init-groups --bounding-set -all "
                f"env -C / bash -ec 'umask 022; {script}'")

    def write(self, how, user="alice", directory="findings"):
        """One file, made in the given way; `how` is shell with $d its directory, $f its name and $line
        what is in it."""
        self.n += 1
        name = f"f-{self.n}.json"
        day = f"Panoptica/{directory}/{time.strftime('%Y-%m-%d', time.gmtime())}/prod"
        text = json.dumps({"n": self.n})
        self.root.in_it(self.line(user, f"d={SPOOL}/{day} f={name} line='\"'\"'{text}'\"'\"'; {how}"))
        self.made[f"{day}/{name}"] = text + "\n"

    def flow(self, seconds):
        """Files in ever new directories for so long, by another process; join() returns how many."""
        script = (f"end=$((SECONDS + {seconds})) n=0; while [ $SECONDS -lt $end ]; do n=$((n + 1)); "
                  f"d={SPOOL}/Panoptica/attack-paths/$(date -u +%F)/acc-$((n / 20)); mkdir -p $d; "
                  "echo {\\\"n\\\":$n} >$d/.f-$n; mv $d/.f-$n $d/f-$n.json; sleep 0.03; done; echo $n; date -u +%F")
        self.flowing = subprocess.Popen(self.root.command(self.line("bob", script)), text=True,
                                        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def join(self):
        n, day = self.flowing.communicate()[0].split()[-2:]
        for i in range(1, int(n) + 1):
            self.made[f"Panoptica/attack-paths/{day}/acc-{i // 20}/f-{i}.json"] = f'{{"n":{i}}}\n'
        return int(n)


def compare(producer, what):
    """What was written is in the bucket, and there with the same bytes."""
    copy = os.path.join(TMP, "copy")
    shutil.rmtree(copy, ignore_errors=True)
    store(f"client mirror --quiet store/$bucket {copy} >/dev/null")
    missing = [k for k in producer.made if not os.path.exists(os.path.join(copy, k))]
    differing = [k for k, text in producer.made.items()
                 if k not in missing and open(os.path.join(copy, k)).read() != text]
    check_equal((missing[:5], differing[:5]), ([], []), f"{what}: missing and differing")
    row(what, f"{len(producer.made)} files, missing {len(missing)}, differing {len(differing)}")


def left(root, step):
    """What of the package is there."""
    there = root.in_it("for p in /usr/bin/spoolgate /etc/spoolgate /var/spool/spoolgate /var/lib/spoolgate; do "
                       "[ ! -e $p ] || echo $p; done; find /etc/spoolgate -type f 2>/dev/null || true; "
                       "find /var/spool/spoolgate -type f 2>/dev/null || true; "
                       "dpkg-query -W -f '${db:Status-Abbrev}' spoolgate 2>/dev/null || true").split()
    row(f"left after {step}", " ".join(there) or "nothing")
    return there


def apt(root, what):
    return root.in_it(f"apt-get -y -q --no-install-recommends -o Dpkg::Use-Pty=0 {what}")


def idle(root):
    return lambda: (not root.in_it(f"find {SPOOL}/Panoptica -type f 2>/dev/null || true").strip()
                    and root.says("spoolgate status") == 0)


def main_pid(root, unit="spoolgate"):
    return int(root.in_it(f"systemctl show -p MainPID --value {unit}"))


# --- the steps ------------------------------------------------------------------------------------

def test_install(root):
    apt(root, "update")
    root.in_it("cp /debs/*.deb /root/; cp /root/old.deb /root/spoolgate_0_all.deb; useradd alice")
    apt(root, "install man-db dbus systemd-sysv acl")
    readme(root, "apt install", apt_install="apt-get -y -q --no-install-recommends install")
    root.in_it("rm /root/spoolgate_0_all.deb")
    said = root.in_it("spoolgate --version")
    row("install", said.strip())
    check(re.match(r"spoolgate \d+\.\d+\.\d+\n$", said), f"--version says {said!r}")
    check("deliver" in root.in_it("man -P cat spoolgate") or "spoolgate" in root.in_it("man -P cat 1 spoolgate"),
          "the manual page is there")
    for page in ("1 spoolgate-status", "5 spoolgate.json", "7 spoolgate-policy"):
        check_equal(root.says(f"man -w {page}"), 0, f"man {page}")
    check("spoolgate" in root.in_it(". /usr/share/bash-completion/completions/spoolgate; complete -p spoolgate"),
          "bash completes")
    for path in ("/usr/share/zsh/vendor-completions/_spoolgate",
                 "/usr/share/fish/vendor_completions.d/spoolgate.fish",
                 "/usr/share/doc/spoolgate/examples/spoolgate.json"):
        check(os.path.exists(root.path + path), f"{path} is there")


def test_waits_for_its_configuration(root):
    check_equal(root.in_it("systemctl is-enabled spoolgate").strip(), "enabled", "the service is")
    check_equal(root.in_it("systemctl is-active spoolgate", may_fail=True).strip(), "inactive", "and")
    check_equal(root.says("systemctl start spoolgate"), 0, "a start without configuration is no failure")
    check_equal(root.in_it("systemctl is-failed spoolgate", may_fail=True).strip(), "inactive", "it is")
    said = root.in_it("systemctl status spoolgate", may_fail=True)
    check("ConditionPathExists=" + CONFIG + " was not met" in said, f"its status says why: {said}")
    row("not configured", "enabled, inactive: ConditionPathExists was not met")


def readme(root, begins, **answers):
    """Run a block of README.md as it stands, but for what answers to its questions."""
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
        block = next(b for b in re.findall(r"^```sh\n(.*?)^```$", file.read(), re.M | re.S) if b.startswith(begins))
    for words, more in answers.items():
        block = block.replace(words.replace("_", " "), more)
    return root.in_it("cd /root; shopt -s expand_aliases\n" + block)


def as_gateway(line):
    return f"runuser -u spoolgate -- env -C / HOME={STATE} {line}"


KEYS = """printf '[default]\\naws_access_key_id = %s\\naws_secret_access_key = %s\\n' "$access_key" "$secret_key\""""


def answers():
    url = store('echo "$AWS_ENDPOINT_URL_S3"').strip()
    return (f"spoolgate setup --account prod --bucket-arn arn:aws:s3:::customer-siem --region eu-central-1 "
            f"--endpoint {url} --path-style --keys-as-they-are --yes")


def setup(root, config=CONFIG, more=""):
    keys = store(KEYS)
    root.in_it(as_gateway(f"sh -c 'umask 077; mkdir -p {STATE}/.aws; printf %s \"{keys}\" >{STATE}/.aws/credentials'"))
    said = root.in_it(as_gateway(f"{answers()} -c {config} {more}"))
    return said


def test_set_up_and_delivers(root, producer):
    with open(root.path + "/root/credentials", "w", encoding="utf-8") as file:
        file.write(store(KEYS))
    said = readme(root, "install -d", spoolgate_setup=answers())
    check("arrived" in said, f"setup: {said}")
    producer.made[time.strftime("Panoptica/findings/%Y-%m-%d/prod/f-0.json", time.gmtime())] = '{"id":0}\n'
    row("README's lines for a real bucket", root.in_it("spoolgate status").splitlines()[0])
    # From here on the service has nothing but what systemd hands to it.
    root.in_it(f"install -d -m 700 /etc/credstore; mv {STATE}/.aws/credentials "
               "/etc/credstore/spoolgate.aws_credentials; chown root:root /etc/credstore/*; chmod 600 /etc/credstore/*")
    root.in_it("systemctl restart spoolgate")
    status = open(f"/proc/{_outer_pid(root)}/status").read()
    wanted = 1 << LEASE
    check_equal(int(re.search(r"CapEff:\s*(\w+)", status)[1], 16), wanted, "its capabilities")
    check_equal(int(re.search(r"CapBnd:\s*(\w+)", status)[1], 16), wanted, "the most that it can get")
    check_equal(re.search(r"NoNewPrivs:\s*(\d)", status)[1], "1", "no new privileges")
    check_equal(re.search(r"Seccomp:\s*(\d)", status)[1], "2", "system calls are filtered")
    check_equal(root.says("test -z \"$(nsenter -t $(systemctl show -p MainPID --value spoolgate) -m cat /etc/shadow 2>/dev/null)\""), 0,
                "/etc/shadow cannot be read in its mount namespace, by root either")
    root.in_it("useradd -G spoolgate-producers bob; useradd mallory")
    ways = {
        "mkdir -p and mv": "mkdir -p $d; echo $line >$d/.$f; mv $d/.$f $d/$f",
        "in place": "mkdir -p $d; echo $line >$d/$f",
        "umask 077": "umask 077; mkdir -p $d; echo $line >$d/$f",
        "spoolgate put": "echo $line | spoolgate put ${d#/var/spool/spoolgate/}/$f",
    }
    for i, (name, how) in enumerate(ways.items()):
        producer.write(how, directory=f"way-{i}")
        producer.write("mkdir -p $d; echo $line >$d/.$f; mv $d/.$f $d/$f", user="bob", directory="way-0")
    wait_for(idle(root), "all of two producers' files are delivered")
    compare(producer, "two producers, umask 022: " + "; ".join(ways))
    shut = ("mkdir -p $d; echo $line >$d/.$f; chmod 600 $d/.$f; mv $d/.$f $d/$f",
            "install -d -m 755 $d; echo $line >$d/$f")
    for i, how in enumerate(shut):
        producer.write(how, directory=f"shut-{i}")
    wait_for(lambda: "cannot" in root.in_it("spoolgate status", may_fail=True), "status tells of what is shut", 60)
    row("file 0600, directory 0755", root.in_it("spoolgate status", may_fail=True).splitlines()[0])
    root.in_it("install -D -t /etc/systemd/system/spoolgate.service.d /usr/share/doc/spoolgate/examples/any-mode.conf; "
               "systemctl daemon-reload; systemctl restart spoolgate")
    wait_for(idle(root), "with any-mode.conf they are delivered")
    compare(producer, "file 0600, directory 0755, with any-mode.conf")
    root.in_it("rm -r /etc/systemd/system/spoolgate.service.d; systemctl daemon-reload; systemctl restart spoolgate")
    day = f"{SPOOL}/Panoptica/way-0"
    outside = producer.line("mallory", f"echo {{}} >{day}/x.json")
    check(root.says(outside) != 0, "a user outside the group is refused")
    check(root.says(producer.line("mallory", f"ls {SPOOL}")) != 0, "and cannot look")
    check(root.says(producer.line("alice", f"mv {SPOOL}/.spoolgate {SPOOL}/gone")) != 0,
          "a producer cannot move .spoolgate away")
    row("a user outside the group", "refused")


def test_journal_has_fields(root):
    """systemd's own journal, and its catalog after the package's installation."""
    entry = json.loads(root.in_it("journalctl -u spoolgate -o json SPOOLGATE_EVENT=started").splitlines()[-1])
    wanted = {"PRIORITY": "6", "SYSLOG_IDENTIFIER": "spoolgate", "SPOOLGATE_SPOOL": SPOOL,
              "SPOOLGATE_BUCKET": "customer-siem", "_TRANSPORT": "journal"}
    check_equal({k: entry.get(k) for k in wanted}, wanted, "fields of the event started")
    said = root.in_it(f"journalctl -u spoolgate -x --no-pager MESSAGE_ID={entry['MESSAGE_ID']}")
    check("Subject: The gateway has started" in said, f"journalctl -x explains it: {said[-600:]}")
    lines = root.in_it("journalctl -u spoolgate -o cat --no-pager _TRANSPORT=stdout").strip()
    check("event=" not in lines, f"no event is a bare line: {lines}")
    row("systemd's journal", f"MESSAGE_ID={entry['MESSAGE_ID']} SPOOLGATE_EVENT=started; journalctl -x explains it")


def _outer_pid(root):
    """The service's main process as this namespace numbers it."""
    pid = str(main_pid(root))
    for path in glob.glob("/proc/[0-9]*/status"):
        try:
            if re.search(rf"^NSpid:.*\t{pid}$", open(path).read(), re.M) and "spoolgate" in open(path).readline():
                return path.split("/")[2]
        except OSError:
            pass
    raise RuntimeError(f"process {pid} of the root is not to be found")


def change(root, producer, deb, step):
    """Another version while files flow: how long nobody was there, and nothing is missing."""
    producer.flow(14)
    time.sleep(3)
    before, began = main_pid(root), time.monotonic()
    apt(root, f"install --allow-downgrades /root/{deb}.deb")
    took = time.monotonic() - began
    check(main_pid(root) not in (0, before), f"{step}: another process runs")
    stopped = root.in_it("journalctl -u spoolgate -o short-unix --no-pager | "
                         "awk '/Stopping/ {a = $1} /Started/ && a {b = $1} END {print b - a}'")
    check(float(stopped) < 10.5, f"{step}: the new one is there within 10 s: {stopped}")
    n = producer.join()
    wait_for(idle(root), f"{step}: all is delivered")
    check_equal(root.in_it("dpkg-query -W -f '${Version}' spoolgate"),
                root.in_it(f"dpkg-deb -f /root/{deb}.deb Version").strip(), f"{step}: the version")
    compare(producer, f"{step} while {n} files came; from the old's stop to the new's start {float(stopped):.2f} s"
                      f" (dpkg {took:.1f} s)")


def test_upgrade_and_downgrade(root, producer):
    change(root, producer, "new", "upgrade")
    change(root, producer, "old", "downgrade")


def test_reload_and_wrong_configuration(root, producer):
    root.in_it(f"sed -i 's/\"account_name\": *\"prod\"/\"account_name\": \"prod2\"/' {CONFIG}")
    pid = main_pid(root)
    check_equal(root.says("systemctl reload spoolgate"), 0, "reload")
    check_equal(main_pid(root), pid, "the process stays")
    root.in_it(f"cp {CONFIG} /root/right.json; echo '{{}}' >{CONFIG}")
    check(root.says("systemctl restart spoolgate") != 0, "a wrong configuration fails the start")
    time.sleep(7)
    seen = root.in_it("systemctl show -p ActiveState -p NRestarts -p ExecMainStatus spoolgate")
    check_equal(sorted(seen.split()), ["ActiveState=failed", "ExecMainStatus=100", "NRestarts=0"],
                "it is not tried again")
    row("a wrong configuration", " ".join(seen.split()))
    root.in_it(f"cp /root/right.json {CONFIG}; systemctl restart spoolgate")


def test_second_instance(root, producer):
    more = " ".join(f"--{name} {path}" for name, path in (
        ("spool", SPOOL + "-two"), ("state", STATE + "-two"), ("control", "/run/spoolgate-two/control.sock")))
    # The set-up tests with the directories that the unit makes; so it is the unit's turn first.
    setup(root, "/etc/spoolgate/two.json", more)
    root.in_it("cp /etc/credstore/spoolgate.aws_credentials /etc/credstore/spoolgate-two.aws_credentials; "
               f"rm {STATE}/.aws/credentials; systemctl start spoolgate@two")
    day = time.strftime("%Y-%m-%d", time.gmtime())
    key = f"Panoptica/findings/{day}/two/f.json"
    root.in_it(producer.line("alice", f"mkdir -p {SPOOL}-two/{os.path.dirname(key)}; "
                                      f"echo {{\\\"n\\\":0}} >{SPOOL}-two/{key}"))
    producer.made[key] = '{"n":0}\n'
    wait_for(lambda: root.says(f"test -e {SPOOL}-two/{key}") != 0, "the second instance delivers")
    compare(producer, "a second instance, spoolgate@two")


def test_remove_and_purge(root, producer):
    def leave_one(**more):
        root.in_it("systemctl stop spoolgate")
        producer.write("mkdir -p $d; echo $line >$d/$f", **more)

    leave_one()
    apt(root, "remove spoolgate")
    check(root.says("systemctl is-active spoolgate spoolgate@two") != 0, "remove stops all instances")
    there = left(root, "remove")
    check({SPOOL, STATE, CONFIG} <= set(there) and len([p for p in there if p.endswith(".json") and SPOOL in p]) == 1,
          f"remove keeps spool, state and configuration: {there}")
    apt(root, "install /root/new.deb")
    check_equal(root.in_it("systemctl is-active spoolgate").strip(), "active", "installed again, it runs")
    wait_for(idle(root), "what waited is delivered")
    compare(producer, "remove, install again")

    leave_one()
    said = apt(root, "purge spoolgate")
    there = left(root, "purge with an undelivered file, nobody asked")
    check("files that were not delivered stay in /var/spool/spoolgate" in said, f"purge says so: {said[-600:]}")
    check(SPOOL in there and STATE in there and "/etc/spoolgate" not in there, f"it keeps files and journal: {there}")
    apt(root, "install /root/new.deb")
    setup(root)
    root.in_it("systemctl start spoolgate")
    wait_for(idle(root), "the kept file is delivered by the next installation")
    compare(producer, "purge, install again, set up again")

    apt(root, "purge spoolgate")
    there = left(root, "purge with all delivered")
    check_equal(there, [], "nothing is left")
    check_equal(root.in_it("ls -d /var/spool/spoolgate* /var/lib/spoolgate* /etc/spoolgate 2>/dev/null || true"), "",
                "nor of the second instance")

    apt(root, "install /root/new.deb")
    leave_one()
    producer.made.popitem()
    root.in_it("echo 'spoolgate spoolgate/remove-files boolean true' | debconf-set-selections")
    apt(root, "purge spoolgate")
    check_equal(left(root, "purge with an undelivered file, told to remove it"), [], "nothing is left")


def main():
    root = None
    try:
        store("./up --tmpfs >/dev/null; ./bucket >/dev/null")
        root = Root()
        os.mkdir(root.path + "/debs")
        shutil.copy(OLD, root.path + "/debs/old.deb")
        shutil.copy(NEW, root.path + "/debs/new.deb")
        producer = Producer(root)
        test_install(root)
        root.boot()
        test_waits_for_its_configuration(root)
        test_set_up_and_delivers(root, producer)
        test_journal_has_fields(root)
        for test in (test_upgrade_and_downgrade, test_reload_and_wrong_configuration,
                     test_second_instance, test_remove_and_purge):
            test(root, producer)
    except Exception as error:
        check(False, f"{type(error).__name__}: {error}")
        if root and root.init:
            print(root.in_it("journalctl -b --no-pager -u 'spoolgate*' | tail -n 40", may_fail=True))
    finally:
        if root:
            root.end()
        store("./down 2>/dev/null")
        shutil.rmtree(TMP, ignore_errors=True)
    finish()


main()
