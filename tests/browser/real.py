#!/usr/bin/python3
"""The console of a real gateway, in a real Chromium, with MinIO: from an empty configuration to a saved and
tested bucket, what the page says where that fails, and the pages while files go, are rejected and wait."""

import json
import os
import subprocess

from browser import (Browser, axe, check, check_equal, go, no_overflow, row, run_tests, shot, theme, wait_text)
from console import SetUpConsole, fill, link_of, policy, press
from lib import BUCKET, Gateway, Minio, REGION, SPOOLGATE, event, free_port, key, wait_until

ARN = f"arn:aws:s3:::{BUCKET}"
ROLE = "arn:aws:iam::111122223333:role/panoptica-customer"
HOSTILE = ["<script>document.title='owned'<\u2215script>.json", "<img src=x onerror=document.title='owned'>.json",
           "\"'><svg onload=document.title='owned'>.json", "right\u202eto-left-nosj.json", "&lt;b&gt;.json",
           "{{constructor.constructor('x')()}}.json"]
browser = store = None


def keys():
    return store.access_key, store.secret_key


def test_from_an_empty_configuration_to_a_saved_bucket():
    with SetUpConsole(keys()) as console:
        check_equal(console.mode, "setup", "the console's mode")
        page = browser.page(console.link, ready="#bucket_arn")
        check_equal(page.locator("nav a").all_text_contents(), ["Set up"], "only the one page")
        fill(page, account_name="prod", bucket_arn=ARN, role_arn=ROLE, region=REGION, endpoint=store.url,
             path_style=True)
        text = policy(page)
        printed = subprocess.run([SPOOLGATE, "policy", "generate", "--role", ROLE, "--bucket-arn", ARN],
                                 capture_output=True, text=True, timeout=20, env=console.env, check=False).stdout
        check_equal(text, printed, "the policy, to the byte what policy generate prints")
        check_equal(page.locator(".steps li").count(), 4, "steps")
        check(BUCKET in (page.locator(".bucket-page a").get_attribute("href") or ""), "the bucket's page")
        shot(page, "real-setup-policy", full=True)
        fill(page, role_arn="")
        ok, said = press(page, "Test message")
        check(ok and "arrived" in said, f"the test message: {said}")
        check(any("test" in name for name in store.list()), "it is in the bucket")
        ok, said = press(page, "Save")
        check(ok and console.path in said, f"saved: {said}")
        shot(page, "real-setup-saved", full=True)
        axe(page, "a saved set-up")
        check_equal(console.ended(), 0, "the console ends when it has saved")
        saved = console.saved()
        check_equal((saved["account_name"], saved["bucket"]["arn"], saved["bucket"]["region"]),
                    ("prod", ARN, REGION), "the configuration")
        page.context.close()
        row("set up from nothing, by the page", said)
        with Gateway(store, directory=console.directory, start=False) as gateway:
            with open(gateway.config_path, "w", encoding="utf-8") as file:
                json.dump(saved, file)
            gateway.start()
            name = key("findings", "first.json", account="prod")
            os.makedirs(os.path.dirname(os.path.join(gateway.root, name)))
            with open(os.path.join(gateway.root, name), "wb") as file:
                file.write(event(1))
            gateway.wait_delivered(1)


def failing(case, expected, **settings):
    """What the page says of settings that do not work; a table's row."""
    with SetUpConsole(keys()) as console:
        page = browser.page(console.link, ready="#bucket_arn")
        fill(page, **{"account_name": "prod", "bucket_arn": ARN, "region": REGION, "endpoint": store.url,
                      "path_style": True, **settings})
        ok, said = press(page, "Save")
        check(not ok, f"{case} is refused")
        check(all(word in said for word in expected), f"{case}: {said}")
        check("bucket" not in console.saved(), f"{case}: nothing was saved")
        axe(page, case)
        shot(page, "real-setup-" + case.replace(" ", "-"), full=True)
        row(case, said)
        page.context.close()


def test_a_set_up_that_fails_says_why_and_what_to_do():
    browser.allowed = ("status of 400", "status of 409")
    failing("no such bucket", ["NoSuchBucket"], bucket_arn="arn:aws:s3:::nobody-has-this")
    failing("store down", ["Remedy"], endpoint=f"http://127.0.0.1:{free_port()}")
    failing("a region that is none", ["region"], region="Frankfurt am Main")
    browser.allowed = ()


def test_a_wrong_region_is_followed_and_told():
    with SetUpConsole(keys()) as console:
        page = browser.page(console.link, ready="#bucket_arn")
        fill(page, account_name="prod", bucket_arn=ARN, region="us-west-2", endpoint=store.url, path_style=True)
        ok, said = press(page, "Test message")
        check(ok and f'set "bucket.region" to "{REGION}"' in said, f"the right region is named: {said}")
        shot(page, "real-setup-wrong-region", full=True)
        row("wrong region", said)
        page.context.close()


def producer(gateway, name, data, event_type="findings"):
    """Written beside its name, then renamed: with names that no shell would like."""
    path = os.path.join(gateway.root, key(event_type, name, account="prod"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    hidden = os.path.join(os.path.dirname(path), ".new")
    with open(hidden, "wb") as file:
        file.write(data)
    os.rename(hidden, path)
    return os.path.relpath(path, gateway.root)


def test_the_pages_of_a_gateway_that_works():
    with Gateway(store, {"settle": "100ms"}) as gateway:
        page = browser.page(link_of(gateway), ready=".tile")
        check(wait_text(page, ".sentence", "Everything is delivered"), "all is well")
        for number in range(60):
            producer(gateway, f"f-{number}.json", event(number), ("findings", "audit", "attack-paths")[number % 3])
        gateway.wait_delivered(60)
        check(wait_text(page, ".tile-note", "60 files in"), "they are counted")
        bad = [producer(gateway, name, b'{"id":1}\n{"id":2 "x":"<script>document.title=1</script>"}\n')
               for name in HOSTILE]
        check(wait_text(page, ".wishes a", f"{len(bad)} files rejected"), "what was rejected is linked from the sentence")
        page.reload()
        check(wait_text(page, ".chart .hint", "files in the last hour"), "the history has them")
        shot(page, "real-overview", full=True)

        go(page, "files?state=rejected")
        check(wait_text(page, ".pager", f"{len(bad)} files"), "the rejected files")
        for path in bad:
            line = page.locator("tr", has=page.get_by_label(f"Choose {path}", exact=True))
            check_equal(line.locator("button.link").text_content(), path.replace("\u202e", "U+202E"), "a hostile name")
            line.locator("button.link").click()
            page.wait_for_selector(".lines .bad")
            check_equal(page.locator(".lines .bad .line-number").text_content(), "2", "the faulty line")
            check("<script>" in page.locator(".lines .bad code").text_content(), "its text stays text")
            if path == bad[0]:
                axe(page, "a rejected file")
                shot(page, "real-file-rejected")
            page.keyboard.press("Escape")
            page.wait_for_selector("dialog", state="detached")
        check(page.title() != "owned", "no script of a name ran")
        shot(page, "real-files")

        go(page, "deliveries")
        check(wait_text(page, ".pager", "60 receipts"), "the receipts")
        page.get_by_role("searchbox").fill("audit")
        check(wait_text(page, ".pager", "20 receipts"), "those of one event type")
        page.locator("#since").fill("2099-01-01 00:00")
        check(wait_text(page, ".empty", "No receipt is like that"), "none since then")
        page.locator("#since").fill("2001-01-01")
        wait_text(page, ".pager", "20 receipts")
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Export as NDJSON").click()
        with open(waiting.value.path(), encoding="utf-8") as file:
            check_equal(len(file.readlines()), 20, "lines of the export")
        shot(page, "real-deliveries")

        go(page, "setup")
        wait_until(lambda: page.locator("#bucket_arn").input_value() == ARN, 5)
        check_equal(page.locator("#bucket_arn").input_value(), ARN, "what is configured is filled in")
        browser.allowed = ("status of 409",)
        fill(page, bucket_arn="arn:aws:s3:::second-bucket")
        ok, said = press(page, "Save")
        check(not ok and "one installation serves one bucket" in said, f"a second bucket: {said}")
        row("a second bucket", said)
        shot(page, "real-setup-second-bucket", full=True)
        browser.allowed = ()
        page.context.close()


def test_an_outage_is_seen_and_files_are_steered():
    with Gateway(store, {"settle": "100ms"}) as gateway:
        page = browser.page(link_of(gateway), ready=".tile")
        store.kill()
        names = [producer(gateway, f"w-{number}.json", event(number)) for number in range(5)]
        check(wait_text(page, ".sentence", "wait for the bucket"), "the outage, live")
        check_equal(page.locator(".badge.state-stuck").count(), 1, "stuck")
        shot(page, "real-overview-outage", full=True)
        go(page, "files")
        check(wait_text(page, ".pager", "5 files"), "five wait")

        def choose(*some):
            page.wait_for_selector("table.files:not([aria-busy])")
            for name in some:
                page.get_by_label(f"Choose {name}", exact=True).check()

        def verb(name):
            page.locator(".bar").get_by_role("button", name=name).click()

        choose(*names[:2])
        verb("Hold")
        check(wait_text(page, ".toast", "2 files held"), "two are held")
        choose(names[4])
        verb("Forget")
        page.locator("dialog").get_by_role("button", name="Forget").click()
        check(wait_text(page, ".toast", "1 file forgotten"), "one is forgotten")
        page.locator(".chips button", has_text="Held").click()
        check(wait_text(page, ".pager", "2 files"), "those held")
        choose(names[0])
        verb("Release")
        check(wait_text(page, ".toast", "1 file released"), "one is released")
        shot(page, "real-files-outage")
        store.start()
        go(page, "overview")
        check(wait_until(lambda: gateway.delivered() >= 3, 60), "the backlog goes when the store is back")
        check(wait_text(page, ".sentence", "is delivered"), "and the page says so")
        gateway.restart()
        check(wait_text(page, ".gone", "a new link is needed"), "what a restart of the gateway means is said")
        page.context.close()


def main():
    global browser, store
    tests = [test for name, test in globals().items() if name.startswith("test_")]

    def all_of_them():
        global browser, store
        with Minio() as store, Browser() as browser:
            yield from tests

    run_tests(all_of_them())


if __name__ == "__main__":
    main()
