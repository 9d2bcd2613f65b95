// Page 3: the files in the gateway's care. One page of rows at a time, whatever waits: a cursor leads
// on, so a million files cost the browser no more than a hundred.
import { fill, get } from "/api.js";
import { confirm } from "/confirm.js";
import { foreign, h, icon, pathText, say, setText, toast } from "/dom.js";
import { showFile } from "/file.js";
import { files, number, since, size, time } from "/format.js";
import { onStatus } from "/live.js";
import { VERBS, act, wantedRows } from "/verbs.js";

const ROWS = 100;
const PATIENCE_MS = 1500; // looking through files that do not match, before a page is shown short
const STATES = [["", "All"], ["settling", "Settling"], ["accepted", "Accepted"], ["sending", "Sending"],
    ["deferred", "Deferred"], ["held", "Held"], ["rejected", "Rejected"], ["forgotten", "Forgotten"],
    ["delivered", "Delivered"]];
const COUNT_OF = { delivered: "kept" };

// The list takes a part of a path, too; for a verb, what matches has to be the whole of it.
function wholeOf(match) {
    return match === "" || /[*?[\\]/.test(match) ? match : `*${match}*`;
}

class Files {
    constructor(root, query) {
        this.root = root;
        this.state = STATES.some(([s]) => s === query.get("state")) ? query.get("state") : "";
        this.match = query.get("match") ?? "";
        this.cursors = [""]; // where each page so far begins
        this.next = ""; // where the one after begins; "": there is none, or it is not known yet
        this.rows = [];
        this.chosen = new Set();
        this.everything = false;
        this.loading = null;
        this.ended = new AbortController();
    }

    /* ---- the list ---- */

    async load(reason) {
        this.loading?.abort();
        const mine = new AbortController();
        this.loading = mine;
        this.next = ""; // that of the page before leads nowhere from this one
        this.table.setAttribute("aria-busy", "true");
        let page;
        try {
            page = await fill(ROWS, PATIENCE_MS, this.cursors.at(-1), async (part) => {
                const { files: rows, cursor } = await get("/v1/files",
                    { state: this.state, match: this.match, ...part }, mine.signal);
                return { rows, cursor };
            });
        } catch (problem) {
            if (problem.name !== "AbortError") {
                this.table.removeAttribute("aria-busy");
                this.showFault(problem);
            }
            return;
        }
        if (this.ended.signal.aborted) {
            return;
        }
        this.rows = page.rows;
        this.next = page.cursor;
        this.chosen.clear();
        this.everything = false;
        this.table.removeAttribute("aria-busy");
        this.drawRows();
        if (reason) {
            say(`${files(page.rows.length)} shown`);
        }
    }

    showFault(problem) {
        this.body.replaceChildren();
        this.note.replaceChildren(h("p", { class: "fault" }, problem.message));
        this.drawPager();
        this.drawActions();
    }

    drawRows() {
        const now = Date.now();
        this.boxes = [];
        this.body.replaceChildren(...this.rows.map((row, index) => {
            const box = h("input", { type: "checkbox", "aria-label": `Choose ${row.path}`,
                onchange: () => this.choose(index, box.checked) });
            this.boxes.push(box);
            return h("tr", { role: "row" },
                h("td", { class: "pick", role: "cell" }, h("label", {}, box)),
                h("td", { class: "file", role: "cell" },
                    h("button", { type: "button", class: "link", onclick: () => this.open(row.path) },
                        pathText(row.path)),
                    row.why ? h("p", { class: "hint" }, foreign(row.why)) : null),
                h("td", { role: "cell", class: "state-cell" },
                    h("span", { class: `badge file-${row.state}` }, row.state)),
                h("td", { class: "num", role: "cell" }, size(row.size)),
                h("td", { class: "num", role: "cell", title: row.since ? `${time(row.since)} UTC` : null },
                    since(row.since, now)));
        }));
        this.note.replaceChildren(...this.emptyNote());
        this.drawPager();
        this.drawActions();
    }

    emptyNote() {
        if (this.rows.length > 0) {
            return [];
        }
        if (this.next !== "") {
            return [h("p", { class: "empty" }, "Nothing matches so far; there is more to look through.")];
        }
        const filtered = this.state !== "" || this.match !== "";
        return [h("p", { class: "empty" }, filtered ? "No file is like that."
            : "No file is in the gateway's care: everything is delivered.")];
    }

    drawPager() {
        const page = this.cursors.length;
        this.previous.disabled = page === 1;
        this.following.disabled = !this.next;
        setText(this.pageText, this.rows.length === 0 ? `Page ${number(page)}`
            : `Page ${number(page)}, ${files(this.rows.length)}`);
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
        this.scroller.scrollTop = 0;
        this.top.scrollIntoView({ block: "nearest" });
    }

    filter() {
        this.cursors = [""];
        const query = new URLSearchParams();
        if (this.state) {
            query.set("state", this.state);
        }
        if (this.match) {
            query.set("match", this.match);
        }
        history.replaceState(null, "", `#/files${query.size > 0 ? `?${query}` : ""}`);
        this.chips.forEach((chip, i) => chip.setAttribute("aria-pressed", String(STATES[i][0] === this.state)));
        this.load("filtered");
    }

    /* ---- choosing and acting ---- */

    choose(index, on) {
        this.everything = false;
        if (on) {
            this.chosen.add(index);
        } else {
            this.chosen.delete(index);
        }
        this.drawActions();
    }

    chooseAll(on) {
        this.everything = false;
        this.chosen = new Set(on ? this.rows.keys() : []);
        this.boxes.forEach((box) => { box.checked = on; });
        this.drawActions();
    }

    drawActions() {
        const n = this.chosen.size;
        this.all.checked = n > 0 && n === this.rows.length;
        this.all.indeterminate = n > 0 && n < this.rows.length;
        this.bar.hidden = n === 0;
        const more = this.next !== "" || this.cursors.length > 1;
        setText(this.chosenText, this.everything ? `Every ${this.state || "file"}${this.state ? " file" : ""}` +
            `${this.match ? " that matches" : ""} is chosen` : `${files(n)} chosen`);
        this.every.hidden = !(more && n > 0 && n === this.rows.length && !this.everything);
    }

    async act(name) {
        const verb = VERBS[name];
        const rows = [...this.chosen].map((i) => this.rows[i]);
        const paths = rows.map((row) => row.path);
        const whom = this.everything ? "every file that matches" : files(paths.length);
        if (verb.danger || this.everything) {
            const yes = await confirm({ title: `${verb.title} ${whom}?`, text: this.everything
                ? [verb.what, "This goes for all pages of the list, and for files that come meanwhile."]
                : [verb.what, h("ul", { class: "paths" }, ...paths.slice(0, 5).map((p) => h("li", {}, pathText(p))),
                    paths.length > 5 ? h("li", {}, `and ${number(paths.length - 5)} more`) : null)],
            act: verb.title, danger: verb.danger });
            if (!yes) {
                return;
            }
        }
        const match = wholeOf(this.match);
        const wanted = this.everything
            ? [{ ...(this.state ? { state: this.state } : {}), ...(match ? { match } : {}),
                ...(!this.state && !match ? { all: true } : {}) }]
            : wantedRows(rows);
        this.bar.setAttribute("aria-busy", "true");
        await act(name, wanted, this.ended.signal, (n) => setText(this.chosenText, `${verb.doing} … ${files(n)}`));
        this.bar.removeAttribute("aria-busy");
        if (!this.ended.signal.aborted) {
            this.load();
        }
    }

    open(path) {
        showFile(path, { changed: () => this.load() });
    }

    /* ---- the page ---- */

    draw() {
        this.chips = STATES.map(([state, title]) => h("button", { type: "button", class: "chip",
            "aria-pressed": String(state === this.state), onclick: () => {
                this.state = state;
                this.filter();
            } }, title, h("span", { class: "num chip-count" })));
        this.search = h("input", { type: "search", id: "match", value: this.match, autocomplete: "off",
            spellcheck: "false", placeholder: "A part of the path, or a pattern: *2026-11-*.json" });
        let pause = 0;
        this.search.addEventListener("input", () => {
            clearTimeout(pause);
            pause = setTimeout(() => {
                this.match = this.search.value.trim();
                this.filter();
            }, 250);
        });
        this.all = h("input", { type: "checkbox", "aria-label": "Choose all on this page",
            onchange: () => this.chooseAll(this.all.checked) });
        this.body = h("tbody", { role: "rowgroup" });
        this.note = h("div", { role: "status" }, h("p", { class: "loading" }, "Loading …"));
        this.table = h("table", { class: "files", role: "table", "aria-label": "Files", "aria-busy": "true" },
            h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
                h("th", { class: "pick", role: "columnheader", scope: "col" }, h("label", {}, this.all,
                    h("span", { class: "only-narrow" }, "All on this page"))),
                h("th", { role: "columnheader", scope: "col" }, "File"),
                h("th", { role: "columnheader", scope: "col" }, "State"),
                h("th", { class: "num", role: "columnheader", scope: "col" }, "Size"),
                h("th", { class: "num", role: "columnheader", scope: "col" }, "Since"))), this.body);
        this.chosenText = h("span", { class: "bar-text", role: "status" });
        this.every = h("button", { type: "button", class: "link", hidden: true, onclick: () => {
            this.everything = true;
            this.drawActions();
        } }, "Choose all that match, on every page");
        this.bar = h("div", { class: "bar", hidden: true }, this.chosenText, this.every,
            h("span", { class: "row" }, ...Object.entries(VERBS).map(([name, verb]) => h("button",
                { type: "button", class: `small${verb.danger ? " danger" : ""}`, onclick: () => this.act(name) },
                verb.title + (verb.danger ? " …" : "")))));
        this.previous = h("button", { type: "button", class: "small", onclick: () => this.turn(false) }, "Previous");
        this.following = h("button", { type: "button", class: "small", onclick: () => this.turn(true) }, "Next");
        this.pageText = h("span", { class: "num" });
        this.scroller = h("div", {}, this.table, this.note);
        this.top = h("h1", {}, "Files");
        this.root.append(
            this.top,
            h("div", { class: "filters" },
                h("div", { class: "search" }, h("label", { for: "match", class: "unseen" }, "Search by path"),
                    icon("search"), this.search),
                h("button", { type: "button", onclick: () => this.load("refreshed") }, "Refresh")),
            h("div", { class: "chips", role: "group", "aria-label": "State" }, ...this.chips),
            h("section", { class: "card flush", "aria-label": "List" }, this.bar, this.scroller,
                h("nav", { class: "pager", "aria-label": "Pages of the list" }, this.pageText, this.previous,
                    this.following)));
    }

    takeStatus(status) {
        this.chips.forEach((chip, i) => {
            const name = STATES[i][0];
            const n = status.files[COUNT_OF[name] ?? name];
            setText(chip.lastChild, name === "" || n === undefined || n === 0 ? "" : number(n));
        });
    }

    begin() {
        this.draw();
        this.load();
        const endStatus = onStatus((status) => this.takeStatus(status));
        return () => {
            this.ended.abort();
            this.loading?.abort();
            endStatus();
        };
    }
}

export function mount(root, { query }) {
    return new Files(root, query).begin();
}
