// Page 2: is everything delivered, how fast, and what waits. Live by the stream; the charts by the
// gateway's history.
import { get, post } from "/api.js";
import { Chart } from "/charts.js";
import { foreign, h, say, setText, toast } from "/dom.js";
import { duration, files, number, rate, since, size, time } from "/format.js";
import { onStatus } from "/live.js";

const OBJECTIVE_MS = 60000;
const RATE_OVER_MS = 10000;
const TYPES_DRAWN = 7; // the others stand together
const STATE_WORDS = { ok: "All is well", behind: "Behind", stuck: "Stuck" };
const DESTINATION_WORDS = { open: "answers", waiting: "waited for", probing: "being tried" };

function tile(label, more) {
    const value = h("p", { class: "tile-value" }, "–");
    const note = h("p", { class: "tile-note" });
    return { element: h("div", { class: "tile" }, h("h2", { class: "tile-label" }, label), value,
        more ?? null, note), value, note };
}

// Sum of an object's figures.
function total(counts) {
    return Object.values(counts ?? {}).reduce((sum, n) => sum + n, 0);
}

class Overview {
    constructor(root) {
        this.root = root;
        this.span = "hour";
        this.seen = []; // { at, files, bytes } of the last seconds
        this.status = null;
        this.abort = new AbortController();
        this.historyTimer = 0;
    }

    draw() {
        this.state = h("span", { class: "badge" });
        this.sentence = h("p", { class: "sentence" }, "Waiting for the gateway's first word …");
        this.wishes = h("p", { class: "wishes" });
        this.meter = h("div", { class: "meter", "aria-hidden": "true" }, h("progress", { max: "1", value: 0,
            tabindex: "-1" }));
        this.age = tile("Oldest unsent", this.meter);
        this.rate = tile("Rate");
        this.backlog = tile("Backlog");
        this.last = tile("Last delivered");
        this.rescan = h("button", { type: "button", class: "small", onclick: () => this.doRescan() },
            "Look through the spool");
        this.types = h("tbody", {});
        this.destination = h("dl", { class: "facts" });
        this.charts = {
            delivered: new Chart({ id: "delivered", title: "Delivered files", kind: "bars", format: number }),
            backlog: new Chart({ id: "backlog", title: "Backlog of files", kind: "lines", format: number }),
            latency: new Chart({ id: "latency", title: "From close to delivered", kind: "lines",
                format: (ms) => duration(ms), mark: { at: OBJECTIVE_MS, text: "objective: 1 min" } }),
        };
        const spans = ["hour", "day"].map((span) => h("button", { type: "button",
            "aria-pressed": String(span === this.span), onclick: (event) => this.setSpan(span, event.target) },
        span === "hour" ? "Last hour" : "Last day"));
        this.spanButtons = spans;
        this.root.append(
            h("h1", { class: "unseen" }, "Overview"),
            h("section", { class: "card verdict-card", "aria-label": "Verdict" }, this.state,
                h("div", {}, this.sentence, this.wishes)),
            h("div", { class: "tiles" }, this.age.element, this.rate.element, this.backlog.element,
                this.last.element),
            h("div", { class: "row between" },
                h("div", { class: "segments", role: "group", "aria-label": "Span of the charts" }, ...spans)),
            h("div", { class: "charts" }, this.charts.delivered.element, this.charts.backlog.element,
                this.charts.latency.element),
            h("div", { class: "pair" },
                h("section", { class: "card", "aria-labelledby": "types-title" },
                    h("h2", { id: "types-title" }, "By event type"),
                    h("div", { class: "scroll", tabindex: "0", role: "region",
                        "aria-label": "Event types, table" },
                        h("table", {}, h("thead", {}, h("tr", {}, ...["Event type", "Waiting", "Size", "Oldest",
                            "Delivered"].map((t, i) => h("th", { scope: "col", class: i > 0 ? `num${i === 2 ? " type-size" : ""}` : null }, t)))),
                        this.types))),
                h("section", { class: "card", "aria-labelledby": "destination-title" },
                    h("div", { class: "row between" }, h("h2", { id: "destination-title" }, "Bucket and spool"),
                        this.rescan), this.destination)));
    }

    /* ---- live ---- */

    take(status, at) {
        this.status = status;
        this.statusAt = at;
        const done = status.since_start;
        const before = this.seen.at(-1);
        if (before && done.delivered_files < before.files) {
            this.seen = []; // it has begun anew
        }
        // A status comes at most a second after something changed: until then all was as before.
        const still = this.seen.at(-1);
        if (still && at - still.at > 1500) {
            this.seen.push({ ...still, at: at - 1000 });
        }
        this.seen.push({ at, files: done.delivered_files, bytes: done.delivered_bytes });
        this.tick();
        this.drawTypes();
        this.drawDestination();
        setText(this.sentence, status.sentence);
        if (this.said !== undefined && this.said !== status.state) {
            say(status.sentence); // its figures change each second: only a new state is announced
        }
        this.said = status.state;
        const decide = status.state === "ok" && status.files.held + status.files.rejected > 0;
        setText(this.state, decide ? "Needs a decision" : STATE_WORDS[status.state] ?? status.state);
        this.state.className = `badge state-${decide ? "behind" : status.state}`;
    }

    // Each second: what changes without a word from the gateway.
    tick() {
        if (!this.status) {
            return;
        }
        const now = performance.now();
        const s = this.status;
        while (this.seen.length > 1 && this.seen[1].at < now - RATE_OVER_MS) {
            this.seen.shift();
        }
        const [first, newest] = [this.seen[0], this.seen.at(-1)];
        const seconds = (now - first.at) / 1000;
        const known = seconds >= 1;
        setText(this.rate.value, known ? `${rate((newest.files - first.files) / seconds)} files/s` : "–");
        setText(this.rate.note, known ? `${size((newest.bytes - first.bytes) / seconds)}/s over the last 10 s`
            : "counting");

        const oldest = s.backlog.oldest_age_ms;
        const age = oldest === null ? null : oldest + (now - this.statusAt);
        const late = age !== null && age > OBJECTIVE_MS;
        setText(this.age.value, age === null ? "none" : duration(age));
        setText(this.age.note, late ? `past the objective of 1 min` : "objective: 1 min");
        this.age.element.classList.toggle("late", late);
        this.meter.firstChild.value = Math.min(1, (age ?? 0) / OBJECTIVE_MS);

        setText(this.backlog.value, files(s.backlog.files));
        setText(this.backlog.note, `${size(s.backlog.bytes)}, ${number(s.destination.in_flight)} of at most ` +
            `${number(s.destination.concurrency)} requests under way`);
        const last = s.since_start.last_delivered;
        setText(this.last.value, last ? `${since(last)} ago` : "none yet");
        setText(this.last.note, `${files(s.since_start.delivered_files)} in ` +
            `${duration(s.uptime_ms)}`);
    }

    drawTypes() {
        const rows = this.status.event_types;
        this.types.replaceChildren(...(rows.length === 0
            ? [h("tr", {}, h("td", { colspan: "5", class: "empty" }, "No event has come yet."))]
            : rows.map((t) => h("tr", {},
                h("th", { scope: "row" }, foreign(t.event_type),
                    t.held ? h("p", { class: "hint" }, foreign(t.held)) : null),
                h("td", { class: "num" }, number(t.files)), h("td", { class: "num type-size" }, size(t.bytes)),
                h("td", { class: "num" }, t.oldest_age_ms === null ? "–" : duration(t.oldest_age_ms)),
                h("td", { class: "num" }, number(t.delivered_files))))));
    }

    drawDestination() {
        const { destination: d, spool, files: f } = this.status;
        const facts = [
            ["Bucket", `${d.bucket} in ${d.region}`],
            ["Endpoint", d.endpoint],
            ["State", DESTINATION_WORDS[d.state] ?? d.state],
            ["Why", d.why],
            ["Keys", d.credentials?.access_key_id ? `${d.credentials.access_key_id} from ${d.credentials.origin}`
                : d.credentials?.failure],
            ["Keys expire", d.credentials?.expires ? `${time(d.credentials.expires)} UTC` : null],
            ["Spool", `${spool.path}, ${size(spool.free_bytes)} free of ${size(spool.total_bytes)}`],
        ];
        this.destination.replaceChildren(...facts.filter(([, text]) => text).flatMap(([name, text]) =>
            [h("dt", {}, name), h("dd", {}, foreign(text))]));
        const wishes = ["held", "rejected"].filter((name) => f[name] > 0).map((name) => `${name} ${f[name]}`);
        if (this.wished !== wishes.join()) { // a link that is made anew each second loses the focus
            this.wished = wishes.join();
            this.wishes.replaceChildren(...wishes.map((wish) => h("a", { href: `#/files?state=${wish.split(" ")[0]}` },
                `${files(Number(wish.split(" ")[1]))} ${wish.split(" ")[0]}`)));
        }
    }

    async doRescan() {
        try {
            await post("/v1/rescan", {});
            toast("The spool is looked through.");
        } catch (problem) {
            toast(problem.message, "bad");
        }
    }

    /* ---- charts ---- */

    setSpan(span) {
        this.span = span;
        this.spanButtons.forEach((b, i) => b.setAttribute("aria-pressed", String((i === 0) === (span === "hour"))));
        this.loadHistory();
    }

    async loadHistory() {
        clearTimeout(this.historyTimer);
        const span = this.span;
        if (document.visibilityState === "visible") {
            try {
                const history = await get("/v1/history", { span }, this.abort.signal);
                if (span === this.span) {
                    this.drawHistory(history);
                }
            } catch (problem) {
                if (problem.name === "AbortError") {
                    return;
                }
            }
        }
        if (!this.abort.signal.aborted && span === this.span) {
            this.historyTimer = setTimeout(() => this.loadHistory(), span === "hour" ? 10000 : 60000);
        }
    }

    drawHistory({ step_ms: stepMs, event_types: types, points }) {
        const times = points.map((p) => Date.parse(p.at) / 1000);
        const step = stepMs / 1000;
        const span = this.span === "hour" ? "hour" : "day";
        const sums = types.map((t) => [t, points.reduce((n, p) => n + (p.delivered[t] ?? 0), 0)]);
        sums.sort((a, b) => (b[1] - a[1]) || (a[0] < b[0] ? -1 : 1));
        const named = sums.slice(0, TYPES_DRAWN).map(([t]) => t).filter((t) => t !== "other");
        const rest = types.filter((t) => !named.includes(t));
        // A type keeps its colour while the others change places.
        this.colours ??= new Map();
        const free = ["1", "2", "3", "4", "5", "6", "7"];
        for (const [type, ink] of [...this.colours]) {
            if (named.includes(type)) {
                free.splice(free.indexOf(ink), 1);
            } else {
                this.colours.delete(type);
            }
        }
        named.forEach((t) => this.colours.has(t) || this.colours.set(t, free.shift()));
        const series = named.map((t) => ({ name: t, colour: this.colours.get(t),
            values: points.map((p) => p.delivered[t] ?? 0) }));
        if (rest.length > 0) {
            series.push({ name: "other", colour: "8", values: points.map((p) =>
                rest.reduce((n, t) => n + (p.delivered[t] ?? 0), 0)) });
        }
        const all = points.map((p) => total(p.delivered));
        const sum = all.reduce((a, b) => a + b, 0);
        this.charts.delivered.show({ times, step,
            series: series.length > 0 ? series : [{ name: "delivered", colour: "1", values: all }],
            summary: sum === 0 ? `Nothing was delivered in the last ${span}.`
                : `${files(sum)} in the last ${span}, at most ${number(Math.max(...all))} in ${duration(stepMs)}.` });
        const waiting = points.map((p) => p.backlog_files);
        this.charts.backlog.show({ times, step, series: [{ name: "files that wait", colour: "1", values: waiting }],
            summary: `At most ${files(Math.max(0, ...waiting))} and ` +
                `${size(Math.max(0, ...points.map((p) => p.backlog_bytes)))} waited.` });
        const worst = Math.max(0, ...points.map((p) => p.p99_ms ?? 0));
        const lateSteps = points.filter((p) => (p.p99_ms ?? 0) > OBJECTIVE_MS).length;
        this.charts.latency.show({ times, step, series: [
            { name: "half within (p50)", colour: "1", values: points.map((p) => p.p50_ms ?? null) },
            { name: "99 % within (p99)", colour: "2", values: points.map((p) => p.p99_ms ?? null) }],
        summary: worst === 0 ? "Nothing to measure yet."
            : lateSteps === 0 ? `99 % were delivered within ${duration(worst)}, always inside the objective.`
                : `In ${number(lateSteps)} of ${number(points.length)} steps 1 % took longer than a minute, ` +
                    `at most ${duration(worst)}.` });
    }

    begin() {
        this.draw();
        this.endStatus = onStatus((status, at) => this.take(status, at));
        this.timer = setInterval(() => this.tick(), 1000);
        this.loadHistory();
        document.addEventListener("visibilitychange", () => {
            if (document.visibilityState === "visible") {
                this.loadHistory();
            }
        }, { signal: this.abort.signal });
        return () => {
            this.endStatus();
            clearInterval(this.timer);
            clearTimeout(this.historyTimer);
            this.abort.abort();
            Object.values(this.charts).forEach((chart) => chart.end());
        };
    }
}

export function mount(root) {
    return new Overview(root).begin();
}
