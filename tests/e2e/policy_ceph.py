#!/usr/bin/python3
# run-on: ceph
"""Our evaluator of bucket policies against a store that enforces them: each pair of a policy and a
request is asked of both. Ceph gets the policy and the real request, on the keys of the role.

As a program of its own, against the cluster that contrib/ceph-test/up made in DIR:

    policy_ceph.py --ceph DIR < pairs

reads one {"policy": …, "how": {"method", "key", "query", "headers"}} a line and prints it with
"ceph": "allowed", "refused", or what the store said otherwise. tests/tools/policy_pairs.py makes pairs.
"""

import argparse
import os
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ceph_store import *
import s3client

sys.path.insert(0, os.path.join(REPOSITORY, "tests/tools"))
import policy_pairs

OTHER = "arn:aws:iam::444455556666:user/anna"
LONG = bool(os.environ.get("SPOOLGATE_LONG"))
RANDOM_PAIRS = int(os.environ.get("POLICY_PAIRS") or (2000 if LONG else 100))
SEED = int(os.environ.get("POLICY_SEED") or (time.time_ns() % 100000 if LONG else 1))


class Asker:
    """Puts policies as the account's root, whom a Deny does not lock out, and asks as the role."""

    def __init__(self, store):
        self.store, self.role = store, store.role()
        self.root = store.s3(store.root)
        self.policy = None

    def put(self, policy):
        if policy != self.policy:
            self.root.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
            self.policy = policy

    def prepare(self, how):
        """The object is there, and belongs to somebody else: otherwise its own ACL would answer."""
        query = how.get("query") or {}
        if how.get("key") is not None:
            self.root.put_object(Bucket=BUCKET, Key=how["key"], Body=b"{}\n")
        if query.get("uploadId") == "":  # one that exists
            made = self.root.create_multipart_upload(Bucket=BUCKET, Key=how["key"])
            query["uploadId"] = made["UploadId"]
        return query

    def ask(self, pair):
        from botocore.exceptions import ClientError
        how = json.loads(json.dumps(pair["how"]))
        try:
            self.put(pair["policy"])
        except ClientError as error:
            return "policy not taken: " + str(error)
        query = "&".join(f"{name}={urllib.parse.quote(value, safe='-_.~')}"
                         for name, value in sorted(self.prepare(how).items()))
        path = "/" + BUCKET + ("" if how.get("key") is None else
                               "/" + urllib.parse.quote(how["key"], safe="/-_.~"))
        answer = s3client.ask(
            self.store, how["method"], "", query,
            {**(how.get("headers") or {}), "x-amz-security-token": self.role[2]},
            b"{}\n" if how["method"] == "PUT" else b"", path=path, access_key=self.role[0],
            secret=self.role[1])
        if answer.status // 100 == 2:
            return "allowed"
        return "refused" if answer.status == 403 else f"{answer.status} {answer.code}"


class Evaluator:
    """policy-eval, asked line by line."""

    PROGRAM = os.path.join(BUILD, "tests/tools/policy-eval")

    def __enter__(self):
        self.process = start_process([self.PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     text=True)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def ask(self, pair):
        line = json.dumps({"policy": pair["policy"], "request": pair["request"]})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


# ---- our own requests under policies that owners write ---------------------------------------------

KEY = "Panoptica/findings/2026-11-23/a/f.ndjson"
OURS = [  # action, method, key, query, headers
    ("s3:PutObject", "PUT", KEY, {}, {"x-amz-acl": ACL}),
    ("s3:PutObject", "PUT", KEY, {}, {}),
    ("s3:PutObject", "PUT", KEY, {}, {"x-amz-acl": "private"}),
    ("s3:PutObject", "PUT", "Panoptica/audit/f.ndjson", {}, {"x-amz-acl": ACL}),
    ("s3:PutObject", "PUT", "elsewhere/f.ndjson", {}, {"x-amz-acl": ACL}),
    ("s3:PutObject", "POST", KEY, {"uploads": ""}, {"x-amz-acl": ACL}),
    ("s3:PutObject", "PUT", KEY, {"partNumber": "1", "uploadId": ""}, {}),
    ("s3:AbortMultipartUpload", "DELETE", KEY, {"uploadId": ""}, {}),
    ("s3:GetObject", "GET", KEY, {}, {}),
    ("s3:GetObject", "HEAD", KEY, {}, {}),
    ("s3:GetObjectAcl", "GET", KEY, {"acl": ""}, {}),
    ("s3:DeleteObject", "DELETE", KEY, {}, {}),
    ("s3:ListBucket", "GET", None, {"list-type": "2"}, {}),
    ("s3:ListBucket", "GET", None, {"list-type": "2", "prefix": "Panoptica/"}, {}),
    ("s3:ListBucketMultipartUploads", "GET", None, {"uploads": ""}, {}),
    ("s3:GetBucketLocation", "GET", None, {"location": ""}, {}),
]


def generated(*options):
    return json.loads(subprocess.run(
        [SPOOLGATE, "policy", "generate", "--role", ROLE, "--bucket-arn", ARN, *options], check=True,
        capture_output=True, text=True, timeout=20, env=clean_environment()).stdout)


def changed(change):
    document = generated()
    change(document["Statement"])
    return document


def policies_of_owners():
    """{name: document}"""
    def condition_only(s): s[0]["Action"].remove("s3:PutObject")
    def prefix_only(s): (condition_only(s), s[1].update(Resource=f"{ARN}/Panoptica/findings/*"))
    def without_listing(s): s[0].update(Action=["s3:GetObject", "s3:PutObject"])
    def other_role(s): [x.update(Principal={"AWS": OTHER}) for x in s]
    def whole_account(s): [x.update(Principal={"AWS": "arn:aws:iam::111122223333:root"}) for x in s]
    def everybody(s): [x.update(Principal="*") for x in s]
    def bucket_only(s): (s[0].update(Resource=[ARN]), s.pop())
    def denied_without_acl(s): s[1].update(Effect="Deny", Principal="*", Condition={
        "StringNotEquals": {"s3:x-amz-acl": ACL}})
    def denied_without_any_acl(s): s[1].update(Effect="Deny", Principal="*", Condition={
        "Null": {"s3:x-amz-acl": "true"}})
    def denied_plain_http(s): s[1].update(Effect="Deny", Principal="*", Action="s3:*", Condition={
        "Bool": {"aws:SecureTransport": "false"}})
    def denied_elsewhere(s): s[1].update(Effect="Deny", Principal="*", Action="s3:PutObject", Resource=[
        f"{ARN}/elsewhere/*"], Condition={})
    changes = [condition_only, prefix_only, without_listing, other_role, whole_account, everybody,
               bucket_only, denied_without_acl, denied_without_any_acl, denied_plain_http,
               denied_elsewhere]
    return {"generated": generated(), "minimal": generated("--minimal"), **{c.__name__: changed(c) for c in changes}}


def pairs_of_ours():
    for name, policy in policies_of_owners().items():
        for action, method, path, query, headers in OURS:
            context = {"aws:SecureTransport": "false"}
            if "x-amz-acl" in headers:
                context["s3:x-amz-acl"] = headers["x-amz-acl"]
            if "prefix" in query:
                context["s3:prefix"] = query["prefix"]
            yield {"name": name, "policy": policy,
                   "request": {"principal": ROLE, "session": "spoolgate", "action": action,
                               "resource": ARN + (f"/{path}" if path else ""), "context": context,
                               "complete": True},
                   "how": {"method": method, "key": path, "query": query, "headers": headers}}


# ---- where Ceph 16.2 reads policies other than AWS documents it ------------------------------------
#
# Each quirk rewrites a pair so that an evaluator by AWS's rules answers as Ceph does. A disagreement is
# explained if the evaluator, asked again with quirks, agrees.


def no_secure_transport(pair):
    """aws:SecureTransport is not there at all over plain http"""
    pair["request"]["context"].pop("aws:SecureTransport", None)


def acl_of_put_only(pair):
    """PutObject and UploadPart have an empty s3:x-amz-acl where none is sent, and
    CreateMultipartUpload has none"""
    context = pair["request"]["context"]
    if pair["how"]["method"] == "PUT":
        context.setdefault("s3:x-amz-acl", "")
    elif pair["how"]["method"] == "POST":
        context.pop("s3:x-amz-acl", None)


def no_account_principal(pair):
    """an account as principal is not its roles"""
    for statement in pair["policy"]["Statement"]:
        if statement["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}:
            statement["Principal"] = {"AWS": OTHER}


def no_not_action(pair):
    """a statement with NotAction never applies"""
    statements = pair["policy"]["Statement"]
    statements[:] = [s for s in statements if "NotAction" not in s] or [
        {**statements[0], "Principal": {"AWS": OTHER}}]


def absent_keys(pair):
    """a negated operator does not hold for a key that is absent, and Null holds for one that is,
    whatever its value says"""
    context = pair["request"]["context"]
    for statement in pair["policy"]["Statement"]:
        for operator, keys in statement.get("Condition", {}).items():
            for name in keys:
                if operator == "Null":
                    keys[name] = "true"
                elif "Not" in operator and not operator.endswith("IfExists") and name not in context:
                    statement["Principal"] = {"AWS": OTHER}  # does not apply


QUIRKS = [no_secure_transport, acl_of_put_only, no_account_principal, no_not_action, absent_keys]


def explained(pair, ceph, evaluator):
    """The quirks that make the evaluator agree: one, or as many as it takes; None: they do not."""
    for quirks in ([q] for q in QUIRKS), (QUIRKS[:n] for n in range(2, len(QUIRKS) + 1)):
        for chosen in quirks:
            other = json.loads(json.dumps(pair))
            for quirk in chosen:
                quirk(other)
            if (evaluator.ask(other).get("decision") == "allowed") == (ceph == "allowed"):
                return " ".join(chosen[0].__doc__.split()) if len(chosen) == 1 else "several of these"
    return None


def ask_both(pairs, evaluator, asker):
    agreed, differing, unknown = 0, [], []
    for pair in pairs:
        ours, ceph = evaluator.ask(pair), asker.ask(pair)
        if "error" in ours or ceph not in ("allowed", "refused"):
            unknown.append((pair, ours, ceph))
        elif (ours["decision"] == "allowed") == (ceph == "allowed"):
            agreed += 1
        else:
            differing.append((pair, ours, ceph))
    return agreed, differing, unknown


def tell(kind, pair, ours, ceph):
    print(f"  {kind}: {pair.get('name', '')} {pair['how']} we: {ours.get('decision') or ours}, "
          f"Ceph: {ceph}\n    {ours.get('reason', '')}\n    {json.dumps(pair['policy'])}")


def compare_both(label, pairs, evaluator, asker):
    agreed, differing, unknown = ask_both(pairs, evaluator, asker)
    reasons = {}
    for pair, ours, ceph in differing:
        why = explained(pair, ceph, evaluator)
        reasons.setdefault(why, []).append(pair)
        if not why:
            tell("DIFFERS", pair, ours, ceph)
    for pair, ours, ceph in unknown:
        tell("not answered", pair, ours, ceph)
    check_equal(len(reasons.pop(None, [])), 0, f"{label}: disagreements that nobody has explained")
    check_equal(len(unknown), 0, f"{label}: pairs that one of the two did not answer")
    row(f"{label}: {agreed + len(differing) + len(unknown)} pairs of policy and request",
        "; ".join([f"{agreed} agree", *(f"{len(p)} differ since on Ceph {why}"
                                         for why, p in reasons.items())]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?")
    parser.add_argument("--ceph", metavar="DIR")
    given = parser.parse_args()
    if given.ceph:
        asker = Asker(running(given.ceph))
        for line in sys.stdin:
            pair = json.loads(line)
            print(json.dumps({**pair, "ceph": asker.ask(pair)}), flush=True)
        return
    with Ceph() as store, Evaluator() as evaluator:
        asker = Asker(store)
        compare_both("ours under owners' policies", pairs_of_ours(), evaluator, asker)
        compare_both(f"random (seed {SEED})",
                     policy_pairs.pairs(SEED, RANDOM_PAIRS, BUCKET, ROLE, OTHER), evaluator, asker)
    finish()


if __name__ == "__main__":
    main()
