#!/usr/bin/python3
"""Random pairs of a bucket policy and a request, for whoever answers such questions: the evaluator of
this tree (tests/tools/policy-eval) and a store that enforces policies.

    tests/tools/policy_pairs.py [--seed N] [--count N] [--bucket NAME] [--us ARN] [--other ARN]
                                [--lock-out]

prints one JSON object a line:

    policy    the document to put on the bucket
    request   what policy-eval is asked (policy/request_json.h); its context is complete
    how       the same as HTTP: method, key (null: the bucket), query, headers; sent as `us`
    expected  "allowed", "denied" or "not-allowed", by a model that shares no code with the evaluator

Only what stores other than AWS know too is used: Allow and Deny, lists of principals and everybody,
NotAction, NotResource, wildcards, and conditions on headers and query. The same seed makes the same
pairs. `us` must not own the bucket, or its owner's rights answer instead of the policy."""

import argparse
import fnmatch
import json
import random
import re

OPERATIONS = {
    # action: (method, has a key, query that makes it that one)
    "s3:PutObject": ("PUT", True, {}),
    "s3:GetObject": ("GET", True, {}),
    "s3:DeleteObject": ("DELETE", True, {}),
    "s3:ListBucket": ("GET", False, {"list-type": "2"}),
    "s3:GetBucketLocation": ("GET", False, {"location": ""}),
    "s3:ListBucketMultipartUploads": ("GET", False, {"uploads": ""}),
}
KEYS = ["a", "logs/a", "logs/b", "Panoptica/findings/x.ndjson", "Panoptica/audit/x.ndjson"]
PATTERNS = ["*", "logs/*", "logs/?", "Panoptica/*", "Panoptica/*/x.ndjson", "a", "b*", "*.ndjson"]
ACLS = ["bucket-owner-full-control", "private", "public-read"]


def some(rng, values, most=3):
    return rng.sample(values, rng.randint(1, min(most, len(values))))


def one_or_list(rng, values):
    return values[0] if len(values) == 1 and rng.random() < 0.5 else values


def a_condition(rng):
    kind = rng.randrange(7)
    if kind == 0:
        return {"StringEquals": {"s3:x-amz-acl": one_or_list(rng, some(rng, ACLS, 2))}}
    if kind == 1:
        return {"StringNotEquals": {"s3:x-amz-acl": one_or_list(rng, some(rng, ACLS, 1))}}
    if kind == 2:
        return {"StringLike": {"s3:prefix": one_or_list(rng, some(rng, ["logs/*", "logs", "*", "Pan*"], 2))}}
    if kind == 3:
        return {"Null": {"s3:x-amz-acl": rng.choice(["true", "false"])}}
    if kind == 4:
        return {"StringEqualsIfExists": {"s3:x-amz-acl": rng.choice(ACLS)}}
    if kind == 5:
        return {"StringEquals": {"s3:prefix": rng.choice(["logs/", "logs", ""])}}
    return {"StringNotLike": {"s3:x-amz-acl": rng.choice(["bucket-*", "p*", "private"])}}


def a_statement(rng, number, bucket, us, other, lock_out):
    arn = f"arn:aws:s3:::{bucket}"
    statement = {"Sid": f"S{number}", "Effect": "Deny" if rng.random() < 0.35 else "Allow"}
    who = rng.random()
    if statement["Effect"] == "Deny" and not lock_out:
        who = 0.5
    if who < 0.15:
        statement["Principal"] = "*"
    elif who < 0.25:
        statement["Principal"] = {"AWS": "*"}
    else:
        names = [us] if who < 0.75 else [other] if who < 0.85 else [other, us]
        statement["Principal"] = {"AWS": one_or_list(rng, names)}
    actions = some(rng, list(OPERATIONS) + ["s3:*", "s3:Get*", "s3:*Object", "s3:List*"])
    statement["NotAction" if rng.random() < 0.12 else "Action"] = one_or_list(rng, actions)
    resources = some(rng, [arn] + [f"{arn}/{p}" for p in PATTERNS] + [arn + "*"])
    statement["NotResource" if rng.random() < 0.1 else "Resource"] = one_or_list(rng, resources)
    if rng.random() < 0.4:
        statement["Condition"] = a_condition(rng)
    return statement


def a_request(rng, bucket, us):
    action = rng.choice(list(OPERATIONS))
    method, on_object, query = OPERATIONS[action]
    key = rng.choice(KEYS) if on_object else None
    headers, query, context = {}, dict(query), {}
    if action == "s3:PutObject" and rng.random() < 0.7:
        headers["x-amz-acl"] = context["s3:x-amz-acl"] = rng.choice(ACLS)
    if action == "s3:ListBucket" and rng.random() < 0.7:
        query["prefix"] = context["s3:prefix"] = rng.choice(["logs", "logs/", "logs/a", "Panoptica/"])
    resource = f"arn:aws:s3:::{bucket}" + (f"/{key}" if on_object else "")
    return ({"principal": us, "action": action, "resource": resource, "context": context,
             "complete": True},
            {"method": method, "key": key, "query": query, "headers": headers})


# ---- the model -----------------------------------------------------------------------------------

def listed(value):
    return value if isinstance(value, list) else [value]


def like(pattern, text):
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), text) is not None


def holds(condition, context):
    for operator, keys in condition.items():
        for key, values in keys.items():
            value, values = context.get(key), listed(values)
            if operator == "Null":
                ok = (value is None) == (values[0] == "true")
            elif operator.endswith("IfExists"):
                ok = value is None or value in values
            elif operator == "StringEquals":
                ok = value is not None and value in values
            elif operator == "StringNotEquals":
                ok = value not in values
            elif operator == "StringLike":
                ok = value is not None and any(like(v, value) for v in values)
            else:
                ok = value is None or not any(like(v, value) for v in values)
            if not ok:
                return False
    return True


def applies(statement, request):
    principal = statement["Principal"]
    names = ["*"] if principal == "*" else listed(principal["AWS"])
    if "*" not in names and request["principal"] not in names:
        return False
    for name, text in (("Action", request["action"].lower()), ("Resource", request["resource"])):
        negated = "Not" + name in statement
        patterns = listed(statement["Not" + name if negated else name])
        if name == "Action":
            patterns = [p.lower() for p in patterns]
        if any(like(p, text) for p in patterns) == negated:
            return False
    return holds(statement.get("Condition", {}), request["context"])


def decide(policy, request):
    effects = {s["Effect"] for s in policy["Statement"] if applies(s, request)}
    return "denied" if "Deny" in effects else "allowed" if "Allow" in effects else "not-allowed"


# ---- pairs ---------------------------------------------------------------------------------------

def pairs(seed, count, bucket, us, other, lock_out=False):
    """`count` pairs, a third or so of each decision. lock_out: a Deny may be for everybody, which some
    stores also hold against the bucket's owner, who then cannot put the next policy."""
    rng, out, wanted = random.Random(seed), [], {"allowed": 0, "denied": 0, "not-allowed": 0}
    while len(out) < count:
        policy = {"Version": "2012-10-17", "Statement": [
            a_statement(rng, i, bucket, us, other, lock_out) for i in range(rng.randint(1, 4))]}
        request, how = a_request(rng, bucket, us)
        expected = decide(policy, request)
        if wanted[expected] * 3 > count:
            continue
        wanted[expected] += 1
        out.append({"policy": policy, "request": request, "how": how, "expected": expected})
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--bucket", default="customer-siem")
    parser.add_argument("--us", default="arn:aws:iam::111122223333:role/siem")
    parser.add_argument("--other", default="arn:aws:iam::444455556666:user/anna")
    parser.add_argument("--lock-out", action="store_true")
    given = parser.parse_args()
    for pair in pairs(given.seed, given.count, given.bucket, given.us, given.other, given.lock_out):
        print(json.dumps(pair))


if __name__ == "__main__":
    main()
