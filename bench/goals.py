"""What the gateway is to reach, against what a run has measured: one row a goal.

A goal is a list of facts, each (what, reached as words, True, False or None for not measured).
"""

import statistics

from svg import number

OURS = "spoolgate"
MEMORY, FILES = BARE = ("libcurl from memory", "libcurl from files")
SHAPES = {"hot": "one directory", "new": "ten to a new directory",
          "own": "each in a new directory"}


class Results:
    """The measures by name, and their rows by client."""

    def __init__(self, results):
        self.measures = {measure["name"]: measure for measure in results["measures"]}

    def rounds(self, name, client=OURS):
        for row in self.measures.get(name, {"rows": []})["rows"]:
            if row["client"] == client:
                return row["rounds"]
        return []

    def median(self, name, figure, client=OURS, x=None):
        """None: not measured."""
        values = [r[figure] for r in self.rounds(name, client)
                  if figure in r and (x is None or r.get("x") == x)]
        return statistics.median(values) if values else None

    def best_peer(self, name, figure, best):
        """(client, median) of the best that is neither ours nor bare libcurl."""
        found = {}
        for row in self.measures.get(name, {"rows": []})["rows"]:
            client = row["client"]
            value = self.median(name, figure, client)
            if value and not client.startswith(OURS) and client not in BARE and not lossy(row):
                found[client] = value
        if not found:
            return None
        client = best(found, key=found.get)
        return client, found[client]


def lossy(row):
    """Did it leave out or alter what it was given? Then its rate is that of something else."""
    return any(r.get("missing") or r.get("differing") for r in row["rounds"])


def paired(ours, theirs, figure):
    """ours / theirs within each round that has both, and in which nothing was lost."""
    def by_round(rounds):
        return {r.get("round", place): r[figure] for place, r in enumerate(rounds)
                if figure in r and not r.get("missing") and not r.get("differing")}
    a, b = by_round(ours), by_round(theirs)
    return [a[n] / b[n] for n in sorted(a.keys() & b.keys()) if b[n]]


def at_most(value, limit, unit=""):
    if value is None:
        return "not measured", None
    return f"{number(value)}{unit}", value <= limit


def ratio(results, name, figure, other):
    """Median of the ratios pair by pair."""
    ratios = paired(results.rounds(name), results.rounds(name, other), figure)
    return statistics.median(ratios) if ratios else None


def times_best(results, name, least):
    """Files a second against the best peer."""
    peer, rate = (results.best_peer(name, "files_per_s", max),
                  results.median(name, "files_per_s"))
    if not peer or rate is None:
        return "not measured", None
    times = ratio(results, name, "files_per_s", peer[0]) or rate / peer[1]
    return (f"{number(rate)} files/s, {number(times)} x the best, {peer[0]} ({number(peer[1])})",
            times >= least)


# --- the goals ------------------------------------------------------------------------------------


def drain_devstore(results):
    name = "drain-10k-devstore"
    return [("3 x the best peer", *times_best(results, name, 3)),
            ("0.15 ms CPU a file",
             *at_most(results.median(name, "cpu_ms_per_file"), 0.15, " ms"))]


def drain_minio(results):
    name = "drain-10k-minio"
    bare, working = (ratio(results, name, "files_per_s", other) for other in (MEMORY, FILES))
    text = "not measured" if working is None else f"{number(working)} of it" + (
        "" if bare is None else f"; {number(bare)} of one that sends what was signed before")
    return [("0.95 of the bare loop that drains the same files", text,
             None if working is None else working >= 0.95),
            ("above every peer", *times_best(results, name, 1))]


def latency(results):
    facts = []
    for shape, words in SHAPES.items():
        name = f"latency-{shape}-40-devstore"
        p50, p99 = results.median(name, "p50_ms"), results.median(name, "p99_ms")
        if p50 is None:
            facts.append((words, "not measured", None))
            continue
        rounds = results.rounds(name)
        missing = sum(r["missing"] for r in rounds)
        worst = max(r["p99_ms"] for r in rounds)
        facts.append((f"{words}: p50 3 ms, p99 15 ms, 0 missing",
                      f"p50 {number(p50)} ms, p99 {number(p99)} ms (worst round {number(worst)}), "
                      f"{missing} missing; peers: {latency_peers(results, name)}",
                      p50 <= 3 and p99 <= 15 and missing == 0))
    return facts


def latency_peers(results, name):
    words = []
    for row in results.measures[name]["rows"]:
        if row["client"].startswith(OURS) or not row["rounds"]:
            continue
        files = sum(r["files"] for r in row["rounds"])
        missing = 100 * sum(r["missing"] for r in row["rounds"]) / files
        p99 = results.median(name, "p99_ms", row["client"])
        words.append(f"{row['client']} p99 {number(p99)} ms, {number(missing)} % missing")
    return "; ".join(words) or "not measured"


def large(results):
    name = "large-1g-devstore"
    seconds = results.median(name, "seconds")
    peer = results.best_peer(name, "seconds", min)
    if seconds is None:
        fast = ("not measured", None)
    else:
        limit = min(3, peer[1]) if peer else 3
        fast = (f"{number(seconds)} s" + (f"; {peer[0]} {number(peer[1])} s" if peer else ""),
                seconds <= limit)
    return [("1 GiB in 3 s, or as fast as the fastest peer", *fast),
            ("under 64 MiB", *at_most(most(results, name, "peak_mib"), 64, " MiB")),
            ("1 000 x 1 MiB above every peer", *times_best(results, "large-1000x1m-devstore", 1))]


def most(results, name, figure):
    return max((r[figure] for r in results.rounds(name) if figure in r), default=None)


def million(results):
    rate, small = (results.median("drain-1m-devstore", "files_per_s"),
                   results.median("growth", "files_per_s", x=10000))
    peaks = [p for p in (most(results, "drain-1m-devstore", "peak_mib"),
                         most(results, "restart-1m", "peak_mib")) if p is not None]
    held = ("not measured", None) if rate is None or small is None else (
        f"{number(rate)} files/s, {number(rate / small)} of {number(small)} at 10 000",
        rate >= 0.8 * small)
    return [("1 000 000 x 300 B under 32 MiB", *at_most(max(peaks, default=None), 32, " MiB")),
            ("within 20 % of the rate at 10 000", *held),
            ("first object within 1 s of a restart",
             *at_most(most(results, "restart-1m", "first_put_s"), 1, " s"))]


def idle(results):
    cpu, seconds = results.median("idle", "cpu_s"), results.median("idle", "seconds")
    if cpu is None or seconds is None:
        return [("0.1 s CPU in 10 minutes", "not measured", None)]
    return [("0.1 s CPU in 10 minutes", f"{cpu:.2f} s in {number(seconds)} s",
             None if seconds < 600 else cpu < 0.1)]


def far(results):
    value = results.median("away-100ms", "of_files_x_latency")
    return [("100 ms away: within 10 % of files x latency / connections",
             *(("not measured", None) if value is None else
               (f"{number(value)} of it, "
                f"{number(results.median('away-100ms', 'seconds'))} s", value <= 1.1)))]


GOALS = ((1, drain_devstore), (2, drain_minio), (3, latency), (4, large), (5, million), (6, idle),
         (7, far))


def judge(results):
    """[(number of the goal, what, reached, True, False or None)]"""
    known = Results(results)
    return [(goal, *fact) for goal, facts in GOALS for fact in facts(known)]
