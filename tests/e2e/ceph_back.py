#!/usr/bin/python3
# run-on: ceph
"""The bucket's owner removes the policy and puts it back: what was refused meanwhile waits, and flows
by itself within the half minute after which the gateway tries again. A script of its own, so that
the others need not wait for it."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ceph_store import *
import ceph


def what_a_removed_policy_holds_flows_when_it_is_back():
    ceph.begin(ceph.generated())
    with RoleGateway(ceph.bucket) as gateway:
        dropped = Dropped()
        ceph.drop(gateway, dropped, 5, name="before")
        gateway.wait_idle(60)
        ceph.bucket.set_policy(None)
        ceph.drop(gateway, dropped, 5, name="after")
        ceph.wait_held(gateway, 5)
        said = ceph.why(gateway, key("findings", "after-0.ndjson"))
        check("AccessDenied" in said and "policy" in said, f"why: {said}")
        check_equal(gateway.cli("status").returncode, 0, "spoolgate status")
        check_equal(len(ceph.bucket.list()), 5, "objects while there is no policy")
        began = time.monotonic()
        ceph.bucket.set_policy(ceph.generated())
        gateway.wait_idle(60)
        took = time.monotonic() - began
        compare(ceph.bucket, dropped)
        ceph.check_owned(dropped)
        row("policy removed and put back", f"held, then delivered by itself after {took:.0f} s")


if __name__ == "__main__":
    with Ceph() as ceph.bucket:
        run_tests([what_a_removed_policy_holds_flows_when_it_is_back])
