#!/usr/bin/python3
# also-under: asan valgrind
"""The configuration as a user meets it: every fault at once with its place, what is in force, and
reloads that change all or nothing."""

import glob
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

VECTORS = os.path.join(REPOSITORY, "tests/vectors/config")


def spoolgate(*arguments):
    """The program with this configuration file, which names no directory that is there."""
    done = subprocess.run([SPOOLGATE, *arguments], capture_output=True, env=clean_environment(),
                          stdin=subprocess.DEVNULL, timeout=60 * SLOW)
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")


def wrong_files_get_every_fault_at_once():
    wrong = sorted(glob.glob(os.path.join(VECTORS, "wrong-*.json")))
    check(len(wrong) >= 20, f"{len(wrong)} wrong files")
    faults = 0
    for path in wrong:
        with open(path[:-5] + ".expected", encoding="utf-8") as file:
            expected = [f"spoolgate: {path}: {line.rstrip()}" for line in file]
        status, out, err = spoolgate("config", "check", "-c", path)
        name = os.path.basename(path)
        check_equal(status, 100, f"exit status for {name}")
        check_equal(out, "", f"stdout for {name}")
        check_equal(err.splitlines(), expected, f"faults of {name}")
        faults += len(expected)
    print(f"  {len(wrong)} wrong files, {faults} faults told")


def every_command_refuses_a_wrong_file():
    path = os.path.join(VECTORS, "wrong-bucket-array.json")
    for arguments in (["run"], ["test"], ["put", "a/b"], ["status"], ["ls"], ["why", "a"],
                      ["retry", "--all"], ["journal", "verify"], ["config", "show"]):
        status, out, err = spoolgate(*arguments, "-c", path)
        check_equal((status, out), (100, ""), f"spoolgate {' '.join(arguments)} with a wrong file")
        check("one installation serves one bucket" in err, f"it says why: {err}")
    status, _, err = spoolgate("run", "-c", "/nowhere/spoolgate.json")
    check_equal(status, 100, "exit status of run without a configuration")
    check("/nowhere/spoolgate.json" in err and "no such file" in err, f"it names the file: {err}")


def right_files_are_right():
    for name in ("minimal.json", "full.json"):
        path = os.path.join(VECTORS, name)
        check_equal(spoolgate("config", "check", "-c", path), (0, f"{path}: right\n", ""), name)
        check_equal(spoolgate("config", "check", "--json", "-c", path), (0, '{"ok":true}\n', ""), name)


def what_is_shown_is_what_is_in_force():
    for name in ("minimal.json", "full.json"):
        path = os.path.join(VECTORS, name)
        with open(path) as file:
            given = json.load(file)
        status, out, err = spoolgate("config", "show", "-c", path)
        check_equal((status, err), (0, ""), f"config show of {name}")
        first = json.loads(out)
        for name, value in given.items():
            if isinstance(value, (str, int)) and name != "settle":
                check_equal(first[name] if name != "rescan" else value, value, f"{name} as given")
        with scratch_dir() as directory:
            again = os.path.join(directory, "shown.json")
            with open(again, "w") as file:
                file.write(out)
            check_equal(spoolgate("config", "show", "-c", again), (0, out, ""),
                        "what was shown, read and shown again")
    # The one way to name the file by the environment.
    env = clean_environment(SPOOLGATE_CONFIG=os.path.join(VECTORS, "minimal.json"))
    done = subprocess.run([SPOOLGATE, "config", "check"], capture_output=True, env=env)
    check_equal(done.returncode, 0, "exit status with $SPOOLGATE_CONFIG")


def reload_logged(gateway, word, times=1):
    return wait_until(lambda: gateway.log().count(word) >= times)


def a_bad_reload_changes_nothing():
    with Devstore("--require-acl") as bucket, Gateway(bucket, {"settle": "100ms"}) as gateway:
        dropped, before = Dropped(), gateway.status()["destination"]
        dropped.rename(gateway.root, key("findings", "f-1.ndjson"), event(1))
        gateway.wait_delivered(1)
        good = dict(gateway.config)
        for number, text in enumerate(('{"spool": 1', '{}', json.dumps({**good, "bukcet": {}, "uploads": 0}),
                                       json.dumps({**good, "bucket": [good["bucket"]]}))):
            with open(gateway.config_path, "w") as file:
                file.write(text)
            had = gateway.log().count("event=reload_failed")
            gateway.reload()
            check(reload_logged(gateway, "event=reload_failed", had + 1), f"bad file {number} is logged")
            dropped.rename(gateway.root, key("findings", f"bad-{number}.ndjson"), event(number))
            gateway.wait_delivered(2 + number)
        log = gateway.log()
        for words in ("$.bukcet", "$.uploads", "one installation serves one bucket", "it is required"):
            check(words in log, f"the log says {words!r}")
        check("event=reloaded" not in log, "nothing was reloaded")
        os.unlink(gateway.config_path)
        had = gateway.log().count("event=reload_failed")
        gateway.reload()
        check(reload_logged(gateway, "event=reload_failed", had + 1), "a missing file is logged")
        after = gateway.status()["destination"]
        check_equal((after["endpoint"], after["bucket"]), (before["endpoint"], before["bucket"]),
                    "the destination")
        gateway.configure({})
        compare(bucket, dropped)


def a_key_that_needs_a_restart_says_so():
    changes = {"settle": "300ms", "rescan": "1min", "threads": 1, "layout": "any", "prefix": "x/",
               "receipts": {"keep_days": 3}, "log": {"level": "debug"}}
    with Devstore("--require-acl") as bucket, Gateway(bucket, {"settle": "100ms"}) as gateway:
        for number, (name, value) in enumerate(changes.items()):
            was = json.loads(json.dumps(gateway.config))
            gateway.configure({name: value})
            gateway.reload()
            check(reload_logged(gateway, "only with a restart", number + 1), f"{name} wants a restart")
            line = [r for r in gateway.log().splitlines() if "only with a restart" in r][-1]
            check(name.split(".")[0] in line, f"it names {name}: {line}")
            gateway.config = was
        check("event=reloaded" not in gateway.log(), "nothing was reloaded")
        gateway.configure({"uploads": 3, "after_delivery": {"action": "archive"}})
        gateway.reload()
        check(reload_logged(gateway, "event=reloaded"), "other keys are reloaded")
        dropped = Dropped()
        dropped.rename(gateway.root, key("findings", "f-1.ndjson"), event(1))
        gateway.wait_idle()
        check(wait_until(lambda: gateway.status()["since_start"]["archived"] == 1),
              "the new settings are in force")
        compare(bucket, dropped)
        # And with a restart the others are, too.
        gateway.configure(changes)
        gateway.restart()
        dropped = Dropped(dropped)
        name = "anywhere/at/all.ndjson"
        Dropped().rename(gateway.root, name, event(2))
        dropped.add("x/" + name, event(2))
        gateway.wait_idle()
        compare(bucket, dropped)


run_tests([wrong_files_get_every_fault_at_once, every_command_refuses_a_wrong_file,
           right_files_are_right, what_is_shown_is_what_is_in_force, a_bad_reload_changes_nothing,
           a_key_that_needs_a_restart_says_so])
