#!/usr/bin/python3
"""The set-up page against the customer's bucket as it will be: Ceph enforces the policy that the page
generates, for a role that is assumed. With it pasted in the message arrives; with what owners get wrong the
page says what."""

import json
import os
import sys

from browser import Browser, check, check_equal, row, run_tests, shot
from console import SetUpConsole, fill, policy, press

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
from ceph_store import ARN, ROLE, Ceph

browser = bucket = None


class Page:
    """The set-up page of a console that has the caller's keys, filled in but for `more`."""

    def __init__(self, **more):
        self.more = more

    def __enter__(self):
        self.console = SetUpConsole(bucket.caller, AWS_ENDPOINT_URL_STS=bucket.url)
        self.console.__enter__()
        self.page = browser.page(self.console.link, ready="#bucket_arn")
        fill(self.page, **{"account_name": "prod", "bucket_arn": ARN, "role_arn": ROLE, "external_id": "customer-1",
                           "region": bucket.region, "endpoint": bucket.url, "path_style": True, **self.more})
        return self

    def __exit__(self, *_):
        self.page.context.close()
        self.console.__exit__()

    def refused(self, case, *words):
        ok, said = press(self.page, "Save")
        check(not ok, f"{case} is refused")
        check(all(word in said for word in words), f"{case}: {said}")
        check("bucket" not in self.console.saved(), f"{case}: nothing was saved")
        shot(self.page, "ceph-" + case.replace(" ", "-"), full=True)
        row(case, said)


def test_the_pasted_policy_lets_the_message_through():
    bucket.set_policy(None)
    with Page() as at:
        at.refused("no policy yet", "AccessDenied")
        text = policy(at.page)
        bucket.set_policy(text)  # as it stands in the field: what an owner would paste
        ok, said = press(at.page, "Test message")
        check(ok, f"the test message: {said}")
        ok, said = press(at.page, "Save")
        check(ok and at.console.path in said, f"saved: {said}")
        shot(at.page, "ceph-saved", full=True)
        check_equal(at.console.ended(), 0, "the console ends when it has saved")
        check_equal(at.console.saved()["credentials"]["assume_role"]["arn"], ROLE, "the role that was saved")
        row("the generated policy pasted", said)


def test_a_policy_that_lacks_something_is_told():
    with Page() as at:
        good = json.loads(policy(at.page))
        lacking = json.loads(json.dumps(good))
        lacking["Statement"] = lacking["Statement"][:1]
        lacking["Statement"][0]["Action"].remove("s3:PutObject")
        bucket.set_policy(lacking)
        at.refused("the statement with the condition is missing", "AccessDenied")
        other = json.loads(json.dumps(good))
        other["Statement"][0]["Action"].remove("s3:PutObject")
        other["Statement"][1]["Condition"]["StringEquals"]["s3:x-amz-acl"] = "private"
        bucket.set_policy(other)
        at.refused("the condition demands another acl", "AccessDenied")
        bucket.set_policy(good)
        ok, said = press(at.page, "Test message")
        check(ok, f"mended: {said}")


def test_a_role_that_cannot_be_assumed_is_told():
    with Page(role_arn=ROLE + "-of-nobody") as at:
        at.refused("wrong role", "there is no such role; check its ARN")


def main():
    global browser, bucket
    tests = [test for name, test in globals().items() if name.startswith("test_")]

    def all_of_them():
        global browser, bucket
        with Ceph() as bucket, Browser() as browser:
            yield from tests

    run_tests(all_of_them())


if __name__ == "__main__":
    main()
