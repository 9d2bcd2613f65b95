// Page 4: the receipts, which prove what was delivered, when, and with which SHA-256.
import { fill, get, send } from "/api.js";
import { sheet } from "/confirm.js";
import { copyButton, h, icon, pathText, say, setText, toast } from "/dom.js";
import { duration, files, number, size, time } from "/format.js";

const ROWS = 100;
const EXPORT_ROWS = 1000;
const PATIENCE_MS = 2000;
const OBJECTIVE_MS = 60000;

const DAMAGED = "A part of the journal cannot be read, so receipts may be missing: spoolgate journal verify says more.";

const MOMENT = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?)?Z?$/;

// A field for a moment in UTC, as the list writes them (a browser's own field writes them as its
// language does); the gateway gets RFC 3339.
function moment(id, label, onchange) {
    const input = h("input", { type: "text", id, size: "19", autocomplete: "off", spellcheck: "false",
        placeholder: "2026-11-23 13:00", "aria-describedby": `${id}-fault` });
    const fault = h("p", { id: `${id}-fault`, class: "fault", hidden: true }, "YYYY-MM-DD hh:mm");
    const parse = () => {
        const [, date, minutes = "00:00", seconds = ":00"] = MOMENT.exec(input.value.trim()) ?? [];
        const text = date ? `${date}T${minutes}${seconds}Z` : "";
        return Number.isNaN(Date.parse(text)) ? "" : text;
    };
    let before = "";
    input.addEventListener("input", () => {
        const wrong = input.value.trim() !== "" && parse() === "";
        fault.hidden = !wrong;
        input.setAttribute("aria-invalid", String(wrong));
        if (!wrong && parse() !== before) {
            before = parse();
            onchange();
        }
    });
    return { element: h("div", { class: "field inline" }, h("label", { for: id }, label), input, fault),
        value: parse };
}

function showReceipt(receipt) {
    const { body, foot } = sheet("Receipt");
    const row = (name, value, mono) => (value === null || value === undefined || value === "" ? []
        : [h("dt", {}, name), h("dd", {}, mono ? h("code", {}, value) : value)]);
    body.append(h("p", { class: "sheet-path" }, pathText(receipt.path)),
        h("dl", { class: "facts" },
            ...row("Delivered", `${time(receipt.delivered_at)} UTC`),
            ...row("Accepted", `${time(receipt.accepted_at)} UTC`),
            ...row("After", duration(receipt.delivered_after_ms)),
            ...row("Size", `${number(receipt.size)} bytes`),
            ...row("Bucket", receipt.bucket, true), ...row("Key", receipt.key, true),
            ...row("SHA-256", receipt.sha256, true), ...row("ETag", receipt.etag, true),
            ...row("Version", receipt.version_id, true), ...row("Request", receipt.request_id, true),
            ...row("Attempts", number(receipt.attempts)),
            ...row("Verified", receipt.verified ? "it was there already, with the same bytes" : null)));
    foot.append(copyButton(() => JSON.stringify(receipt), "Copy as JSON"));
}

class Deliveries {
    constructor(root, query) {
        this.root = root;
        this.match = query.get("match") ?? "";
        this.cursors = [""];
        this.next = "";
        this.rows = [];
        this.ended = new AbortController();
    }

    query(more) {
        return { match: this.match, since: this.since.value(), until: this.until.value(), ...more };
    }

    async load(reason) {
        this.loading?.abort();
        const mine = new AbortController();
        this.loading = mine;
        this.next = ""; // that of the page before leads nowhere from this one
        this.table.setAttribute("aria-busy", "true");
        let page;
        let damaged = false;
        try {
            page = await fill(ROWS, PATIENCE_MS, this.cursors.at(-1), async (part) => {
                const answer = await get("/v1/receipts", this.query(part), mine.signal);
                damaged ||= answer.damaged;
                return { rows: answer.receipts, cursor: answer.cursor };
            });
        } catch (problem) {
            if (problem.name !== "AbortError") {
                this.table.removeAttribute("aria-busy");
                this.body.replaceChildren();
                this.rows = [];
                this.drawPager();
                this.note.replaceChildren(h("p", { class: "fault" }, problem.message));
            }
            return;
        }
        this.rows = page.rows;
        this.next = page.cursor;
        this.damaged = damaged;
        this.table.removeAttribute("aria-busy");
        this.drawRows();
        if (reason) {
            say(`${number(page.rows.length)} receipts shown`);
        }
    }

    drawRows() {
        this.body.replaceChildren(...this.rows.map((r) => h("tr", { role: "row" },
            h("td", { class: "num start when", role: "cell" }, time(r.delivered_at)),
            h("td", { class: "file", role: "cell" },
                h("button", { type: "button", class: "link", onclick: () => showReceipt(r) }, pathText(r.path))),
            h("td", { class: "num", role: "cell" }, size(r.size)),
            h("td", { class: `num${r.delivered_after_ms > OBJECTIVE_MS ? " late" : ""}`, role: "cell" },
                duration(r.delivered_after_ms)),
            h("td", { role: "cell", class: "sha" }, h("code", { title: r.sha256 }, `${r.sha256.slice(0, 12)}…`)))));
        this.note.replaceChildren(...(this.rows.length > 0 ? [] : [h("p", { class: "empty" },
            this.next !== "" ? "Nothing matches so far; there is more to look through."
                : "No receipt is like that. Receipts are kept for receipts.keep_days.")]),
        ...(this.damaged ? [h("p", { class: "fault" }, DAMAGED)] : []));
        this.drawPager();
    }

    drawPager() {
        this.previous.disabled = this.cursors.length === 1;
        this.following.disabled = this.next === "";
        setText(this.pageText, `Page ${number(this.cursors.length)}, ${number(this.rows.length)} ` +
            `${this.rows.length === 1 ? "receipt" : "receipts"}`);
    }

    turn(forward) {
        if (forward ? this.next === "" : this.cursors.length === 1) {
            return; // pressed again before the page has come
        }
        if (forward) {
            this.cursors.push(this.next);
        } else {
            this.cursors.pop();
        }
        this.load("turned");
        this.top.scrollIntoView({ block: "nearest" });
    }

    filter() {
        this.cursors = [""];
        history.replaceState(null, "", `#/deliveries${this.match ? `?${new URLSearchParams({ match: this.match })}`
            : ""}`);
        this.load("filtered");
    }

    /* ---- export ---- */

    // Page for page into one file; the browser keeps what it has got so far on disk if it must.
    async exportAll() {
        if (this.exporting) {
            this.exporting.abort();
            return;
        }
        const mine = new AbortController();
        this.exporting = mine;
        const pages = [];
        let rows = 0;
        let damaged = false;
        let cursor = "";
        this.exportWord.textContent = "Stop";
        try {
            do {
                const answer = await send("GET", "/v1/receipts", { signal: mine.signal,
                    query: this.query({ format: "ndjson", cursor, limit: EXPORT_ROWS }) });
                const page = await answer.text();
                rows += page.split("\n").length - 1;
                pages.push(new Blob([page]));
                damaged ||= answer.headers.get("Spoolgate-Damaged") === "true";
                cursor = answer.headers.get("Spoolgate-Cursor") ?? "";
                setText(this.exportText, `${number(rows)} receipts so far …`);
            } while (cursor !== "");
            this.download(new Blob(pages, { type: "application/x-ndjson" }));
            setText(this.exportText, `${number(rows)} ${rows === 1 ? "receipt" : "receipts"} exported.`);
            if (damaged) {
                toast(`The export may not be whole. ${DAMAGED}`, "bad");
            }
        } catch (problem) {
            setText(this.exportText, problem.name === "AbortError" ? "Stopped: nothing was saved." : "");
            if (problem.name !== "AbortError") {
                toast(`The export ended early: ${problem.message}`, "bad");
            }
        } finally {
            this.exporting = null;
            this.exportWord.textContent = "Export as NDJSON";
        }
    }

    download(blob) {
        const url = URL.createObjectURL(blob);
        const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "");
        h("a", { href: url, download: `spoolgate-receipts-${stamp}Z.ndjson` }).click();
        setTimeout(() => URL.revokeObjectURL(url), 60000);
    }

    /* ---- the page ---- */

    draw() {
        this.search = h("input", { type: "search", id: "match", value: this.match, autocomplete: "off",
            spellcheck: "false", placeholder: "A part of the path, or a pattern" });
        let pause = 0;
        this.search.addEventListener("input", () => {
            clearTimeout(pause);
            pause = setTimeout(() => {
                this.match = this.search.value.trim();
                this.filter();
            }, 250);
        });
        this.since = moment("since", "From (UTC)", () => this.filter());
        this.until = moment("until", "Until (UTC)", () => this.filter());
        this.exportWord = h("span", {}, "Export as NDJSON");
        this.exportText = h("span", { class: "hint", role: "status" });
        this.body = h("tbody", { role: "rowgroup" });
        this.note = h("div", { role: "status" }, h("p", { class: "loading" }, "Loading …"));
        this.table = h("table", { class: "receipts", role: "table", "aria-label": "Receipts", "aria-busy": "true" },
            h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
                h("th", { role: "columnheader", scope: "col" }, "Delivered (UTC)"),
                h("th", { role: "columnheader", scope: "col" }, "File"),
                h("th", { class: "num", role: "columnheader", scope: "col" }, "Size"),
                h("th", { class: "num", role: "columnheader", scope: "col" }, "After"),
                h("th", { role: "columnheader", scope: "col" }, "SHA-256"))), this.body);
        this.previous = h("button", { type: "button", class: "small", disabled: true,
            onclick: () => this.turn(false) }, "Previous");
        this.following = h("button", { type: "button", class: "small", disabled: true,
            onclick: () => this.turn(true) }, "Next");
        this.pageText = h("span", { class: "num" });
        this.top = h("h1", {}, "Deliveries");
        this.root.append(this.top,
            h("div", { class: "filters" },
                h("div", { class: "search" }, h("label", { for: "match", class: "unseen" }, "Search by path"),
                    icon("search"), this.search),
                this.since.element, this.until.element,
                h("button", { type: "button", onclick: () => this.load("refreshed") }, "Refresh"),
                h("button", { type: "button", onclick: () => this.exportAll() }, this.exportWord)),
            this.exportText,
            h("section", { class: "card flush", "aria-label": "List" }, this.table, this.note,
                h("nav", { class: "pager", "aria-label": "Pages of the list" }, this.pageText, this.previous,
                    this.following)));
    }

    begin() {
        this.draw();
        this.load();
        return () => {
            this.ended.abort();
            this.loading?.abort();
            this.exporting?.abort();
        };
    }
}

export function mount(root, { query }) {
    return new Deliveries(root, query).begin();
}
