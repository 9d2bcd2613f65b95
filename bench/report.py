#!/usr/bin/python3
"""RESULTS.md and its plots, from the JSON of a run.

bench/report.py FILE.json [DIR]     write DIR/RESULTS.md and DIR/plots (default: beside this file)

The whole page is generated. What a person has to say about a figure stands in notes.md beside this
file, below a heading that is the name of a measure or "goal N", and is put where it belongs.
"""

import json
import os
import statistics
import sys

import goals
import svg
from svg import number

HERE = os.path.dirname(os.path.abspath(__file__))
GROUPS = {"drain": "Draining a backlog", "latency": "From rename to stored",
          "large": "Large files", "growth": "Cost as the work grows",
          "restart": "Start with a backlog",
          "away": "A store far away", "slowdown": "A store that asks to slow down", "tls": "TLS",
          "watched": "While somebody looks", "idle": "Nothing to do"}
# In this order, but for the figure that the measure is about, which comes first.
COLUMNS = {
    "files_per_s": "files/s", "files_per_s_first_to_last": "first to last",
    "mib_per_s": "MiB/s", "seconds": "s", "us_per_file": "µs/file", "p50_ms": "p50 ms",
    "p99_ms": "p99 ms", "max_ms": "max ms", "first_put_s": "first put s",
    "accepted_s": "accepted s",
    "of_files_x_latency": "of files x latency", "cpu_s": "CPU s",
    "cpu_ms_per_file": "CPU ms/file", "accept_cpu_ms_per_file": "CPU ms/file to accept",
    "peak_mib": "peak MiB", "accept_peak_mib": "peak MiB to accept", "wakeups_per_s": "wake-ups/s",
    "requests": "requests", "connections": "connections", "missing": "missing",
    "differing": "differing", "extra": "nobody's", "without_acl": "without ACL",
    "rescan_drift": "rescan drift", "producer_files_per_s": "producer files/s",
    "producer_late_p99_ms": "producer late p99 ms"}
ONLY_IF_ANY = {"extra", "without_acl", "rescan_drift"}
SAID_BY = {"files_per_s": {"seconds", "cpu_s", "mib_per_s"},
           "us_per_file": {"seconds", "cpu_s", "mib_per_s"}, "p99_ms": {"cpu_s"},
           "seconds": {"files_per_s", "files_per_s_first_to_last", "cpu_ms_per_file"}}


# --- figures --------------------------------------------------------------------------------------


def summary(rounds, figure):
    """(least, median, most), or None."""
    values = [r[figure] for r in rounds if isinstance(r.get(figure), (int, float))]
    return (min(values), statistics.median(values), max(values)) if values else None


def cell(three):
    if three is None:
        return "–"
    low, middle, high = (number(v) for v in three)
    return middle if low == high else f"{middle} ({low}–{high})"


def columns(measure, rows):
    """Names of the figures that its table shows."""
    first = measure["figure"]
    hidden = SAID_BY.get(first, set())
    seen = {figure for row in rows for r in row["rounds"] for figure in r}

    def shown(figure):
        if figure not in seen or figure in hidden:
            return False
        if figure not in ONLY_IF_ANY:
            return True
        return any(r.get(figure) for row in rows for r in row["rounds"])

    rest = [figure for figure in COLUMNS if figure != first and shown(figure)]
    if first == "p99_ms":
        rest.remove("p50_ms")
        return ["p50_ms", first, *rest]
    return [first, *rest]


def is_ours(client):
    return client.startswith(goals.OURS)


def by_x(rows):
    """As rows, but one for each x that a client was measured at, and the name says so."""
    split = []
    for row in rows:
        for x in sorted({r["x"] for r in row["rounds"]}):
            split.append({"client": row["client"], "x": x,
                          "rounds": [r for r in row["rounds"] if r["x"] == x]})
    return split


def ratio_cell(measure, rows, row):
    if row["client"] == goals.OURS:
        return ""
    ours = next((r for r in rows if r["client"] == goals.OURS and r.get("x") == row.get("x")), None)
    ratios = goals.paired(ours["rounds"], row["rounds"], measure["figure"]) if ours else []
    if ratios:
        return cell((min(ratios), statistics.median(ratios), max(ratios)))
    return "lost files" if goals.lossy(row) else "–"


# --- plots ----------------------------------------------------------------------------------------


def better(measure):
    return "more is better" if measure["higher_is_better"] else "less is better"


def unit_of(measure):
    unit = measure["unit"]
    return "µs" + unit[2:] if unit.startswith("us") else unit


def kind_of(client):
    return "ours" if is_ours(client) else "ceiling" if client in goals.BARE else "peer"


def colours(names):
    """Ours has the first; other runs of ours and the peers the rest, always the same."""
    names = sorted(names)
    others = [name for name in names if not is_ours(name)]
    return {**{name: svg.OURS_TOO for name in names if is_ours(name)}, goals.OURS: 0,
            **{name: 1 + place % svg.OTHERS for place, name in enumerate(others)}}


def merged_quantiles(rounds):
    return sorted(v for r in rounds for v in r.get("quantiles_ms", []))


def draw_cdf(measure, rows):
    palette, curves = colours(row["client"] for row in rows), []
    for row in rows:
        points = merged_quantiles(row["rounds"])
        if points:
            files = sum(r["files"] for r in row["rounds"])
            missing = sum(r["missing"] for r in row["rounds"])
            curves.append((row["client"], palette[row["client"]], points,
                           (files - missing) / files))
    return svg.cdf(measure["title"], "ms from just before the rename to stored", curves)


def draw_bars(measure, rows):
    bars = []
    for row in rows:
        three = summary(row["rounds"], measure["figure"])
        if three:
            lost = max(r.get("missing", 0) for r in row["rounds"])
            name = row["client"] + (f" (lost {number(lost)})" if lost else "")
            bars.append((name, kind_of(row["client"]), *three))
    bars.sort(key=lambda bar: bar[3], reverse=measure["higher_is_better"])
    return svg.bars(measure["title"], unit_of(measure), bars, better(measure))


def draw_lines(measure, rows, figure, unit, title, straight):
    """straight: what it means if a line runs level."""
    palette, found = colours(row["client"] for row in rows), []
    for row in rows:
        spots = []
        for one in by_x([row]):
            three = summary(one["rounds"], figure)
            if three:
                spots.append((one["x"], *three))
        if spots:
            found.append((row["client"], palette[row["client"]], spots))
    ours = next((spots for name, _, spots in found if name == goals.OURS), None)
    ideal = (ours[0][0], ours[0][2], 0, straight) if ours else None
    return svg.lines(title, measure.get("x_title", "files"), unit, found, ideal)


def draw(measure, rows):
    """{file name: text}"""
    name = measure["name"]
    if not rows:
        return {}
    if measure["plot"] == "cdf" and any("quantiles_ms" in r for row in rows for r in row["rounds"]):
        return {name + ".svg": draw_cdf(measure, rows)}
    if measure["plot"] == "lines":
        return {name + ".svg": draw_lines(measure, rows, measure["figure"], unit_of(measure),
                                          measure["title"], "time in proportion"),
                name + "-memory.svg": draw_lines(measure, rows, "peak_mib", "peak MiB",
                                                 "Peak memory: " + measure["title"],
                                                 "memory that does not grow")}
    drawn = sum(summary(row["rounds"], measure["figure"]) is not None for row in rows)
    return {name + ".svg": draw_bars(measure, rows)} if drawn > 1 else {}


def overview(measures):
    """All latencies of ours on one axis."""
    rows = []
    for measure in measures:
        for row in measure["rows"]:
            if measure["plot"] == "cdf" and row["rounds"] and row["client"] == goals.OURS:
                rows.append((measure["title"], True, {
                    f: summary(row["rounds"], f + "_ms")[1] for f in ("p50", "p99", "max")}))
    return svg.dots("spoolgate, every shape and rate", "ms from just before the rename to stored",
                    rows) if len(rows) > 1 else None


# --- the page -------------------------------------------------------------------------------------


def table(head, rows):
    plain = [[str(c).replace("|", "\\|") for c in row] for row in [head, *rows]]
    return ["| " + " | ".join(plain[0]) + " |", "|---|" + "--:|" * (len(head) - 1),
            *("| " + " | ".join(row) + " |" for row in plain[1:]), ""]


def words_table(head, rows):
    return [line.replace("--:", "---") for line in table(head, rows)]


def read_notes(directory):
    """{heading: text}"""
    try:
        with open(os.path.join(directory, "notes.md")) as file:
            parts = ("\n" + file.read()).split("\n## ")[1:]
    except FileNotFoundError:
        return {}
    return {head.strip(): body.strip() for head, _, body in
            (part.partition("\n") for part in parts)}


def machine_line(results):
    m = results["machine"]
    memory = f", {m['memory_mib'] / 1024:.0f} GiB" if "memory_mib" in m else ""
    return (f"{m['date']}, {m['processor']}, {m['cores']} cores{memory}, "
            f"{m.get('system', 'Linux')}, Linux {m['kernel']}, load before the run "
            f"{m['load_before']:.1f}.")


def goals_section(results, notes):
    mark = {True: "yes", False: "**no**", None: "not measured"}
    facts = goals.judge(results)
    rows = [[goal, what, reached, mark[ok]] for goal, what, reached, ok in facts]
    lines = ["## Asked and reached", "", *words_table(["", "asked", "reached", ""], rows)]
    for goal in sorted({goal for goal, *_ in facts}):
        if note := notes.pop(f"goal {goal}", None):
            lines += [f"{goal}. {note}", ""]
    return lines


def clients_section(results):
    """How each was run: what its measures say of it, its version, its command line."""
    said = {}
    for measure in results["measures"]:
        for row in measure["rows"]:
            notes = said.setdefault(row["client"], [])
            if row.get("note") and row["note"].strip() not in notes:
                notes.append(row["note"].strip())
    described = {client["client"]: client for client in results.get("clients", [])}
    lines = ["## The clients", "", "Each got the same files on a fresh store, in turn within every "
             "round. `bench/install` gets them.", ""]
    for name in dict.fromkeys([*said, *described]):
        lines += [f"**{name}**" + about(described.get(name)), ""]
        for note in said.get(name, []):
            lines += (["```", note, "```"] if "\n" in note else [note]) + [""]
        if name in described:
            client = described[name]
            lines += ["```", client["command"],
                      *client.get("settings", "").rstrip().splitlines(), "```", ""]
    return lines


def about(client):
    return f" – {client['version']}, from `{client['install']}`" if client else ""


def failures_of(measure):
    lines = []
    for row in measure["rows"]:
        statuses = [r["exit_status"] for r in row["rounds"] if r.get("exit_status")]
        if not row["rounds"]:
            lines.append(f"{row['client']} could not be run to its end.")
        elif statuses:
            said = next((r["said"] for r in row["rounds"] if r.get("said")), "")
            said = " ".join(said.replace("`", "'").split())[:200]
            lines.append(f"{row['client']} exited with {statuses[0]} in {len(statuses)} of "
                         f"{len(row['rounds'])} rounds: `{said}`")
    late = [r["producer_files_per_s"] for row in measure["rows"] for r in row["rounds"]
            if r.get("producer_files_per_s", 1e9) < 0.98 * asked_rate(measure)]
    if late:
        lines.append(f"The producer did not keep its rate {number(len(late))} times "
                     f"(slowest: {number(min(late))}/s).")
    return [f"- {line}" for line in lines] + ([""] if lines else [])


def asked_rate(measure):
    parts = measure["name"].split("-")
    return int(parts[2]) if parts[0] == "latency" and len(parts) > 2 and parts[2].isdigit() else 0


def measure_section(measure, notes, drawn):
    rows = [row for row in measure["rows"] if row["rounds"]]
    lines = [f"### {measure['title']}", ""]
    if measure.get("note"):
        lines += [measure["note"], ""]
    lines += [f"![{measure['title']}](plots/{name})\n" for name in drawn]
    figures = columns(measure, rows) if rows else []
    head, cells = ["client", "rounds"], []
    if measure["plot"] == "lines":
        rows, head = by_x(rows), ["client", measure.get("x_title", "files"), "rounds"]
    head += [COLUMNS.get(f, f.replace("_", " ")) for f in figures]
    compares = sum(row["client"] != goals.OURS for row in rows)
    for row in rows:
        who = f"**{row['client']}**" if is_ours(row["client"]) else row["client"]
        line = [who, *([number(row["x"])] if "x" in row else []), len(row["rounds"]),
                *(cell(summary(row["rounds"], f)) for f in figures)]
        if compares:
            line.append(ratio_cell(measure, rows, row))
        cells.append(line)
    if compares:
        head.append("spoolgate / it")
    lines += table(head, cells) if cells else ["Nothing was measured.", ""]
    if note := notes.pop(measure["name"], None):
        lines += [note, ""]
    return lines + failures_of(measure)


INTRO = """# Results

Generated by `bench/run`; `bench/run --report FILE` or `bench/report.py FILE` writes it anew from the JSON of a run. [README.md](README.md) says what each measure does and what each column means, [HISTORY.md](HISTORY.md) what was tried.

A figure is the median of its rounds, in brackets the least and the most. `spoolgate / it` is ours divided by theirs within one round, again median, least and most: {more}. The store, the producer and the client share the machine.
""".format(more="above 1 we are ahead where more is better, below 1 where less is")


def page(results, notes):
    """(RESULTS.md, {name: plot})"""
    plots, sections, group = {}, [], None
    for measure in results["measures"]:
        family = measure["name"].split("-")[0]
        rows = [row for row in measure["rows"] if row["rounds"]]
        if family != group:
            group = family
            sections += ["## " + GROUPS.get(family, family), ""]
            if family == "latency" and (drawn := overview(results["measures"])):
                plots["latency.svg"] = drawn
                sections += ["![spoolgate, every shape and rate](plots/latency.svg)", ""]
        drawn = draw(measure, rows)
        plots.update(drawn)
        sections += measure_section(measure, notes, drawn)
    quick = ["This was a quick run: fewer files, one round. Its figures say little.", ""] \
        if results.get("quick") else []
    text = [INTRO, machine_line(results), "", *quick, *goals_section(results, notes),
            *sections, *clients_section(results)]
    return "\n".join(text).rstrip() + "\n", plots


def write(results, directory):
    notes = read_notes(HERE)
    text, plots = page(results, notes)
    for heading in notes:
        print(f"notes.md: there is no measure or goal {heading!r}", file=sys.stderr)
    place = os.path.join(directory, "plots")
    os.makedirs(place, exist_ok=True)
    for name in os.listdir(place):
        if name.endswith(".svg") and name not in plots:
            os.unlink(os.path.join(place, name))
    for name, drawn in {"RESULTS.md": text, **{"plots/" + n: p for n, p in plots.items()}}.items():
        path = os.path.join(directory, name)
        with open(path + ".new", "w") as file:
            file.write(drawn)
        os.replace(path + ".new", path)


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        print(__doc__.strip())
        sys.exit(0 if "--help" in sys.argv else 100)
    with open(sys.argv[1]) as file:
        results = json.load(file)
    write(results, sys.argv[2] if len(sys.argv) == 3 else HERE)


if __name__ == "__main__":
    main()
