#!/usr/bin/python3
# also-under: asan valgrind
"""Keys from the environment, from shared files and from systemd; keys that change, that are missing
and appear; and no secret is ever seen anywhere."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

ID, SECRET = "AKIDSPOOLGATEE2E", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ID_2, SECRET_2 = "AKIDSPOOLGATENEXT", "aNotherSecret/Key+WithOtherBytes0123456789"
TOKEN = "SessionTokenThatIsAlsoSecret//////////0123456789=="
# Without keys, and without the second that it takes to find out that this is not EC2.
BARE = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"}
FAST = {"settle": "100ms"}


def stored_with(*options, access_key=ID, secret_key=SECRET):
    return Devstore("--require-acl", *options, access_key=access_key, secret_key=secret_key)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as file:
        file.write(text)
    os.chmod(path + ".new", 0o600)
    os.replace(path + ".new", path)


def ini(profile, access_key, secret_key, token=None):
    return (f"[{profile}]\naws_access_key_id = {access_key}\naws_secret_access_key={secret_key}\n"
            + (f"aws_session_token = {token}\n" if token else ""))


def deliver(bucket, gateway, dropped, count=5):
    begin = len(dropped)
    for number in range(begin, begin + count):
        dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
    gateway.wait_idle()
    compare(bucket, dropped)


def secrets_in(directory, secrets):
    """Files below that hold one of them."""
    found = []
    for where, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(where, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    data = file.read()
                found += [path for s in secrets if s.encode() in data]
    return found


def check_nothing_is_told(gateway, *secrets):
    """Logs, journal and spool; what the commands print; what other users see of the process."""
    check_equal(secrets_in(gateway.state, secrets), [], "files of the state with a secret")
    check_equal(secrets_in(gateway.root, secrets), [], "files of the spool with a secret")
    places = {"the log": gateway.log()}
    for arguments in (("status", "--json"), ("status",), ("config", "show"), ("ls", "--json"),
                      ("journal", "dump"), ("test",), ("test", "--json")):
        done = gateway.cli(*arguments)
        places["spoolgate " + " ".join(arguments)] = done.stdout + done.stderr
    if gateway.process.poll() is None:
        with open(f"/proc/{gateway.process.pid}/cmdline") as file:
            places["the command line"] = file.read()
        with open(f"/proc/{gateway.process.pid}/comm") as file:
            places["the process's name"] = file.read()
    for name, text in places.items():
        check(not any(s in text for s in secrets), f"a secret in {name}")


def from_the_environment():
    with stored_with() as bucket, Gateway(bucket, {**FAST, "log": {"level": "debug"}}) as gateway:
        deliver(bucket, gateway, Dropped())
        told = gateway.status()["destination"]["credentials"]
        check_equal((told["origin"], told["access_key_id"]), ("environment", ID), "origin and id")
        check_nothing_is_told(gateway, SECRET)


def with_a_session_token():
    with stored_with("--token", TOKEN, "--count") as bucket, Gateway(
            bucket, {**FAST, "log": {"level": "debug"}}, env={"AWS_SESSION_TOKEN": TOKEN}) as gateway:
        deliver(bucket, gateway, Dropped())
        check_nothing_is_told(gateway, SECRET, TOKEN)


def from_the_shared_file_with_a_profile():
    with stored_with() as bucket, scratch_dir() as home, Gateway(
            bucket, {**FAST, "credentials": {"profile": "prod"}},
            env={**BARE, "HOME": home}, start=False) as gateway:
        path = os.path.join(home, ".aws/credentials")
        write(path, ini("default", "AKIDWRONG", "wrong") + "\n# a comment\n" + ini("prod", ID, SECRET))
        gateway.start()
        deliver(bucket, gateway, Dropped())
        origin = gateway.status()["destination"]["credentials"]["origin"]
        check("profile prod" in origin and path in origin, f"the origin: {origin}")
        check_nothing_is_told(gateway, SECRET)


def from_a_named_file_and_by_the_variables():
    with stored_with() as bucket, scratch_dir() as home:
        path = os.path.join(home, "elsewhere/keys")
        write(path, ini("default", ID, SECRET))
        with Gateway(bucket, {**FAST, "credentials": {"source": "file", "file": path}}, env=BARE) as gateway:
            dropped = Dropped()
            deliver(bucket, gateway, dropped)
        bucket.reset()
        write(path, ini("team", ID, SECRET))
        with Gateway(bucket, FAST, env={**BARE, "AWS_SHARED_CREDENTIALS_FILE": path,
                                        "AWS_PROFILE": "team"}) as gateway:
            deliver(bucket, gateway, Dropped())


def from_systemd():
    with stored_with() as bucket, scratch_dir() as directory:
        write(os.path.join(directory, "aws_access_key_id"), ID + "\n")
        write(os.path.join(directory, "aws_secret_access_key"), SECRET + "\n")
        env = {**BARE, "CREDENTIALS_DIRECTORY": directory}
        with Gateway(bucket, {**FAST, "credentials": {"source": "systemd"}}, env=env) as gateway:
            deliver(bucket, gateway, Dropped())
            origin = gateway.status()["destination"]["credentials"]["origin"]
            check("systemd" in origin, f"the origin: {origin}")
            check_nothing_is_told(gateway, SECRET)
        bucket.reset()
        with Gateway(bucket, FAST, env=env) as gateway:  # in the chain
            deliver(bucket, gateway, Dropped())


def keys_that_change_are_read_again():
    with stored_with() as bucket, scratch_dir() as home, Gateway(
            bucket, FAST, env={**BARE, "HOME": home}, start=False) as gateway:
        path = os.path.join(home, ".aws/credentials")
        write(path, ini("default", ID, SECRET))
        gateway.start()
        dropped = Dropped()
        deliver(bucket, gateway, dropped)
        bucket.stop()  # the store's owner changes the keys
        bucket.access_key, bucket.secret_key = ID_2, SECRET_2
        bucket.start()
        for number in range(100, 110):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        check(wait_until(lambda: gateway.status()["state"] == "stuck"), "the old keys are refused")
        status = gateway.cli("status").stdout
        check("InvalidAccessKeyId" in status, f"status says why: {status.splitlines()[:1]}")
        check_equal(len(spooled(gateway.root)), 10, "files that wait")
        write(path, ini("default", ID_2, SECRET_2))
        start = time.monotonic()
        gateway.wait_idle(40)
        compare(bucket, dropped)
        check_equal(gateway.status()["destination"]["credentials"]["access_key_id"], ID_2, "the keys in use")
        check_nothing_is_told(gateway, SECRET, SECRET_2)
        print(f"  delivered {time.monotonic() - start:.1f} s after the new keys were written")


def keys_that_are_missing_and_appear():
    with stored_with() as bucket, scratch_dir() as home, Gateway(
            bucket, FAST, env={**BARE, "HOME": home}) as gateway:
        path = os.path.join(home, ".aws/credentials")
        dropped = Dropped()
        for number in range(5):
            dropped.rename(gateway.root, key("findings", f"f-{number}.ndjson"), event(number))
        check(wait_until(lambda: gateway.status()["backlog"]["files"] == 5), "five files are accepted")
        wait_until(lambda: path in gateway.status()["sentence"])
        status = gateway.status()
        check_equal((status["state"], status["destination"]["state"]), ("stuck", "waiting"), "states")
        for words in ("AWS_ACCESS_KEY_ID", path):
            check(words in status["sentence"], f"status says where it looked: {status['sentence']}")
        why = gateway.cli("why", next(iter(dropped)))
        check(path in why.stdout and "once there are credentials" in why.stdout, f"why, too: {why.stdout}")
        print("  " + status["sentence"])
        check_equal(len(spooled(gateway.root)), 5, "files that wait")
        write(path, f"[default]\naws_access_key_id = {ID}\n")  # half of it
        check(wait_until(lambda: "aws_secret_access_key" in gateway.status()["sentence"], 20),
              f"status says what the file lacks: {gateway.status()['sentence']}")
        check_equal(len(bucket.keys()), 0, "objects stored")
        write(path, ini("default", ID, SECRET))
        start = time.monotonic()
        gateway.wait_idle(30)
        compare(bucket, dropped)
        check_equal(gateway.status()["state"], "ok", "state afterwards")
        print(f"  delivered {time.monotonic() - start:.1f} s after the keys were written")
        check_nothing_is_told(gateway, SECRET)


def a_wrong_secret_is_told_without_it():
    wrong = "aWrongSecretThatMustNotBeSeen0123456789"
    with stored_with() as bucket, Gateway(bucket, {**FAST, "log": {"level": "debug"}},
                                          env={"AWS_SECRET_ACCESS_KEY": wrong}) as gateway:
        dropped = Dropped()
        dropped.rename(gateway.root, key("findings", "f.ndjson"), event())
        check(wait_until(lambda: "SignatureDoesNotMatch" in gateway.status()["sentence"]), "it is told")
        check_nothing_is_told(gateway, wrong, SECRET)
        gateway.stop()
        gateway._env = {}
        gateway.start()
        gateway.wait_idle()
        compare(bucket, dropped)


run_tests([from_the_environment, with_a_session_token, from_the_shared_file_with_a_profile,
           from_a_named_file_and_by_the_variables, from_systemd, keys_that_change_are_read_again,
           keys_that_are_missing_and_appear, a_wrong_secret_is_told_without_it])
