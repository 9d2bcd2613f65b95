#!/usr/bin/python3
# also-under: asan
"""The gateway in its sandbox: what is in force; everything that it does goes on inside; what a new
configuration or a replaced file would need beyond it is told; kernels and containers without."""

import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

ID, SECRET = "AKIDSPOOLGATEE2E", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ID_2, SECRET_2 = "AKIDSPOOLGATENEXT", "aNotherSecret/Key+WithOtherBytes0123456789"
BARE = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"}
FAST = {"settle": "100ms", "sandbox": "auto"}
WITHOUT = os.path.join(BUILD, "tests/tools/without")
LANDLOCK = subprocess.run([sys.executable, "-c", "import ctypes; print(ctypes.CDLL(None).syscall("
                           "444, None, 0, 1))"], capture_output=True, text=True).stdout.strip()
LANDLOCK = int(LANDLOCK) if LANDLOCK.isdigit() and int(LANDLOCK) >= 2 else None


def deliver(bucket, gateway, dropped, count=5, kind="findings"):
    begin = len(dropped)
    for number in range(begin, begin + count):
        dropped.rename(gateway.root, key(kind, f"f-{number}.ndjson"), event(number))
    gateway.wait_idle()
    return compare(bucket, dropped)


def fields(gateway):
    """NoNewPrivs and Seccomp of every thread."""
    seen = set()
    for task in os.listdir(f"/proc/{gateway.process.pid}/task"):
        with open(f"/proc/{gateway.process.pid}/task/{task}/status") as file:
            rows = dict(line.split(":", 1) for line in file)
        seen.add((rows["NoNewPrivs"].strip(), rows["Seccomp"].strip()))
    return seen


def what_is_in_force():
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        deliver(bucket, gateway, Dropped(), 50)
        told = gateway.status()["sandbox"]
        check_equal(told, {"wanted": True, "landlock": LANDLOCK, "seccomp": True,
                           "why": told["why"] if LANDLOCK is None else None}, "status")
        check_equal(fields(gateway), {("1", "2")}, "NoNewPrivs and Seccomp of all threads")
        check_equal(gateway.log().count("event=sandbox "), 1, "lines about it in the log")
        lines = {l["check"]: l for l in gateway.cli_json("check", "--offline")["lines"]}
        check_equal(lines["sandbox"]["level"], "ok" if LANDLOCK else "warn", "check")
        row("what is in force", f"Landlock {LANDLOCK}, seccomp, no_new_privs, in every thread")


def the_whole_work_goes_on_inside():
    """Archive, reject and retry, multipart, held, reload, listings, a state elsewhere, links."""
    with Devstore("--require-acl") as bucket, scratch_dir() as elsewhere, scratch_dir() as directory:
        os.makedirs(os.path.join(elsewhere, "deep/spool"))
        os.symlink(os.path.join(elsewhere, "deep"), os.path.join(directory, "link"))
        os.symlink("link/spool", os.path.join(directory, "spool"))
        shm = tempfile.mkdtemp(dir="/dev/shm")
        os.symlink(shm, os.path.join(directory, "state"))
        try:
            config = {**FAST, "after_delivery": {"action": "archive"},
                      "multipart": {"threshold": "5MiB", "part_size": "5MiB"}, "content": "any",
                      "send": {"types": {"findings": {"content": "ndjson"}}}}
            with Gateway(bucket, config, directory=directory) as gateway:
                dropped = Dropped()
                deliver(bucket, gateway, dropped, 20)
                dropped.rename(gateway.root, key("big", "b.bin"), os.urandom(12 << 20))
                dropped.link(gateway.root, key("audit", "l.bin"), event(1))
                gateway.wait_idle()
                bad = key("findings", "bad.ndjson")
                os.makedirs(os.path.dirname(os.path.join(gateway.root, bad)), exist_ok=True)
                with open(os.path.join(gateway.root, bad), "w") as file:
                    file.write("{no json")
                os.mkfifo(os.path.join(gateway.root, "fifo"))
                os.symlink("/etc/shadow", os.path.join(gateway.root, key("findings", "s.ndjson")))
                check(wait_until(lambda: gateway.files("rejected")), "it is rejected")
                time.sleep(1)
                check_equal(gateway.cli("retry", bad).returncode, 0, "retry")
                check(wait_until(lambda: bad in gateway.files("rejected")), "rejected again")
                for name in ("ls", "status", "receipts"):
                    check_equal(gateway.cli(name).returncode, 0, name)
                done = gateway.cli("put", key("findings", "put.ndjson"), "--wait=20", stdin=event(7))
                check_equal(done.returncode, 0, f"put --wait: {done.stderr}")
                dropped.add(key("findings", "put.ndjson"), event(7))
                compare(bucket, dropped)
                gateway.configure({"uploads": 7})
                gateway.reload()
                check(wait_until(lambda: "event=reloaded" in gateway.log()), "it reloads")
                gateway.restart()
                check("Permission denied" not in gateway.log() and
                      "not permitted" not in gateway.log() and
                      "not implemented" not in gateway.log(), "nothing was refused")
        finally:
            shutil.rmtree(shm, ignore_errors=True)
        row("archive, multipart, reject, retry, put --wait, reload, restart; spool behind links, "
            "state on another file system", "nothing refused")


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)


def a_program_gives_the_keys():
    with Devstore("--require-acl", access_key=ID, secret_key=SECRET) as bucket, scratch_dir() as home:
        command = f"{home}/keys"
        # It runs a program of its own and reads what the gateway may not: it is outside.
        write(command, f"""#!/bin/sh
cat /etc/shadow >/dev/null || exit 3
[ -r /etc/hosts ] && /bin/echo '{{"Version": 1, "AccessKeyId": "{ID}", "SecretAccessKey": "{SECRET}"}}'
""")
        os.chmod(command, 0o755)
        write(f"{home}/.aws/config", f"[default]\ncredential_process = {command}\n")
        with Gateway(bucket, FAST, env={**BARE, "HOME": home}) as gateway:
            deliver(bucket, gateway, Dropped())
            write(f"{home}/.aws/config", "[default]\ncredential_process = /bin/other\n")
            check(wait_until(lambda: "runs no other" in gateway.log(), 20),
                  "another program is not run, and the log says why")
            children = subprocess.run(["ps", "-o", "comm=", "--ppid", str(gateway.process.pid)],
                                      capture_output=True, text=True).stdout.split()
            check_equal(children, ["spoolgate-keys"], "its helper")
        with Gateway(bucket, FAST, env={**BARE, "HOME": home}, directory=gateway.directory) as gateway:
            gateway.kill()
            check(wait_until(lambda: gateway.start() is not None), "a helper holds no lock")
            helper = subprocess.run(["pgrep", "-P", str(gateway.process.pid), "spoolgate-keys"],
                                    capture_output=True, text=True).stdout
            os.kill(int(helper), signal.SIGKILL)
            check(wait_until(lambda: gateway.process.poll() is not None, 30), "it ends without its helper")
            check_equal(gateway.process.returncode, 111, "its exit status")
        row("credential_process", "run by a helper outside; another command is not run; ends with 111 without it")


def more_than_was_known_at_the_start():
    with Devstore("--require-acl") as bucket, scratch_dir() as other, \
            Gateway(bucket, FAST) as gateway:
        dropped = Dropped()
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", f"{other}/ca.pem")
        for more, less, word in (
                ({"bucket": {"ca_file": f"{other}/ca.pem"}}, {"bucket": {"ca_file": None}}, other),
                ({"bucket": {"endpoint": "http://127.0.0.1:9"}},
                 {"bucket": {"endpoint": bucket.url}}, "port 9 ")):
            if LANDLOCK is None or (LANDLOCK < 4 and "port" in word):
                continue
            gateway.configure(more)
            gateway.reload()
            check(wait_until(lambda: word in gateway.log() and "restart the gateway" in gateway.log()),
                  f"the log names {word}")
            deliver(bucket, gateway, dropped)  # with the old settings
            gateway.configure(less)
        row("a reload that names a new directory, a new port", "told, the old settings stay")


def another_configuration_behind_the_link():
    """Releases of the configuration, and a link to the one in use. That of the next is faulty."""
    if LANDLOCK is None:
        return
    with Devstore("--require-acl") as bucket, scratch_dir() as elsewhere, \
            Gateway(bucket, FAST, start=False) as gateway:
        for name, text in (("1", json.dumps(gateway.config)), ("2", "{")):
            write(f"{elsewhere}/releases/{name}/spoolgate.json", text)
        link = f"{elsewhere}/current"
        os.symlink("releases/1", link)
        gateway.config_path = f"{link}/spoolgate.json"
        gateway.start()
        dropped = Dropped()
        deliver(bucket, gateway, dropped)
        os.symlink("releases/2", link + ".new")
        os.replace(link + ".new", link)
        gateway.reload()
        check(wait_until(lambda: "reload_failed" in gateway.log() and "the sandbox hides the new file: restart"
                         in gateway.log(), 20), "a reload is told why it cannot be")
        deliver(bucket, gateway, dropped)  # with the old settings
        row("a configuration that the sandbox hides", "a reload is told so, the old settings stay")


def another_root():
    if LANDLOCK is None:
        return
    with Devstore("--require-acl") as bucket, Gateway(bucket, FAST) as gateway:
        dropped = Dropped()
        deliver(bucket, gateway, dropped)
        os.rename(gateway.root, gateway.root + ".old")
        os.mkdir(gateway.root)
        check(wait_until(lambda: gateway.process.poll() is not None, 30), "it ends")
        check_equal(gateway.process.returncode, 111, "its exit status")
        check("start the gateway again" in gateway.log(), "it says why")
        gateway.start()
        deliver(bucket, gateway, dropped)
        row("the spool root renamed and made anew", "ends with 111; delivers when started again")


def without(what, word):
    def started(mode):
        gateway = Gateway(bucket, {**FAST, "sandbox": mode}, directory=directory, start=False)
        gateway.__enter__()
        WRAP[:0] = [WITHOUT, what]
        try:
            return gateway.start(ready=mode != "require")
        finally:
            del WRAP[:2]

    with Devstore("--require-acl") as bucket, scratch_dir() as directory:
        gateway = started("auto")
        deliver(bucket, gateway, Dropped())
        check_equal(gateway.log().count("event=sandbox "), 1, "lines about it")
        check(word in gateway.log(), f"the log says {word}")
        told = gateway.status()["sandbox"]
        check(word in (told["why"] or ""), f"status says {word}: {told}")
        check_equal((told["landlock"], told["seccomp"]),
                    (None, True) if what == "landlock" else (LANDLOCK, False), "what is in force")
        check("note        " + word in gateway.cli("status").stdout, "the note of status")
        found = subprocess.run([WITHOUT, what, SPOOLGATE, "check", "--offline", "-c",
                                gateway.config_path], capture_output=True, text=True,
                               env=gateway.environment()).stdout
        check(word in found, f"check says {word}")
        gateway.__exit__(None)
        gateway = started("require")
        check_equal(gateway.process.wait(20 * SLOW), 111, "exit status with require")
        check("sandbox is required" in gateway.log(), "it says why")
        row(f"without {what}", "told once; delivers; `require` does not start")


def a_kernel_without_landlock():
    without("landlock", "no Landlock")


def a_container_that_refuses_seccomp():
    without("seccomp", "no seccomp")


if __name__ == "__main__":
    run_tests([what_is_in_force, the_whole_work_goes_on_inside, a_program_gives_the_keys,
               more_than_was_known_at_the_start, another_configuration_behind_the_link, another_root,
               a_kernel_without_landlock, a_container_that_refuses_seccomp])
