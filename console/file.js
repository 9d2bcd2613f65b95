// One file: why it is where it is, what can be done, its history, and the first lines of a rejected
// one with the fault marked.
import { get } from "/api.js";
import { confirm, sheet } from "/confirm.js";
import { copyButton, fill, foreign, h, pathText } from "/dom.js";
import { size, time } from "/format.js";
import { VERBS, act, verbsFor, wantedRows } from "/verbs.js";

function facts(list) {
    return h("dl", { class: "facts" }, ...list.filter(([, value]) => value).flatMap(([name, value]) =>
        [h("dt", {}, name), h("dd", {}, value)]));
}

function historyTable(history) {
    return h("section", {}, h("h3", {}, "History"), h("div", { class: "scroll", tabindex: "0", role: "region",
        "aria-label": "History" },
    h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "At (UTC)"),
        h("th", { scope: "col" }, "What"), h("th", { scope: "col" }, "Why"))),
    h("tbody", {}, ...history.map((row) => h("tr", {}, h("td", { class: "num start" }, time(row.at)),
        h("td", {}, row.what, row.http_status ? ` (${row.http_status})` : ""),
        h("td", {}, foreign(row.why ?? row.code ?? ""))))))));
}

// Of how many bytes of the file a letter stands; U+FFFD stands for one that is not UTF-8.
function bytesOf(letter) {
    const code = letter.codePointAt(0);
    if (code < 0x80 || code === 0xfffd) {
        return 1;
    }
    return code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

// A line, or the bytes of it that are shown, with the column of the fault marked; columns count bytes.
function lineText(line, fault) {
    const before = line.column > 1 ? "… " : "";
    const after = line.cut ? " …" : "";
    if (!fault || fault.line !== line.number) {
        return [before, line.text, after];
    }
    const letters = [...line.text];
    let at = 0;
    for (let next = line.column; at < letters.length; at += 1) {
        next += bytesOf(letters[at]);
        if (next > fault.column) {
            break;
        }
    }
    if (at === letters.length) { // at the line's end
        return [before, line.text, after, h("mark", { class: "fault-mark" }, "⏎")];
    }
    return [before, letters.slice(0, at).join(""), h("mark", { class: "fault-mark" }, letters[at]),
        letters.slice(at + 1).join(""), after];
}

function drawHead(place, head) {
    const { lines, fault } = head;
    const seen = fault && lines.some((line) => line.number === fault.line);
    fill(place, h("h3", {}, "First lines"),
        h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "First lines" },
            h("ol", { class: "lines" }, ...lines.map((line) => {
                const bad = fault && fault.line === line.number;
                return h("li", { value: null, class: bad ? "bad" : null },
                    h("span", { class: "line-number" }, String(line.number)),
                    h("code", {}, ...lineText(line, fault)),
                    bad ? h("p", { class: "line-fault" }, `Column ${fault.column}: ${fault.text}`) : null);
            }))),
        lines.length === 0 ? h("p", { class: "empty" }, "The file is empty.") : null,
        fault && !seen ? h("p", { class: "fault" }, `Line ${fault.line}, column ${fault.column}: ${fault.text}`) : null);
}

// The sheet at the side. changed is called when something was done with the file.
export function showFile(path, { changed }) {
    const ended = new AbortController();
    const { dialog, body, foot } = sheet("Why is it here?", () => ended.abort());
    body.append(h("p", { class: "loading" }, "Asking …"));

    async function doVerb(name, state) {
        const verb = VERBS[name];
        if (verb.danger && !await confirm({ title: `${verb.title} this file?`,
            text: ["It is never sent as it is. Its bytes stay where they are in the spool; Retry takes it up again.",
                h("ul", { class: "paths" }, h("li", {}, pathText(path)))], act: verb.title, danger: true })) {
            return;
        }
        dialog.close(); // what is said then is not behind it
        await act(name, wantedRows([{ path, state }]));
        changed();
    }

    async function load() {
        const why = await get("/v1/file", { path }, ended.signal);
        const headPlace = h("section", {});
        fill(body,
            h("p", { class: "sheet-path" }, pathText(path)),
            h("p", { class: "row" }, h("span", { class: `badge file-${why.state}` }, why.state),
                copyButton(() => path, "Copy the path")),
            h("p", { class: "sentence small" }, foreign(why.why)),
            why.remedy ? h("p", { class: "note" }, foreign(why.remedy)) : null,
            facts([["Size", why.size === undefined ? null : size(why.size)],
                ["Accepted", why.accepted_at ? `${time(why.accepted_at)} UTC` : null],
                ["Rejected", why.rejected_at ? `${time(why.rejected_at)} UTC` : null],
                ["Code", why.code ? h("code", {}, why.code) : null],
                ["Held by", why.held_by], ["Place", why.place ? h("code", {}, why.place) : null]]),
            headPlace,
            why.history?.length > 0 ? historyTable(why.history) : null);
        foot.replaceChildren(...verbsFor(why).map((name) => h("button", { type: "button",
            class: VERBS[name].danger ? "danger" : name === "hold" ? null : "primary", onclick: () => doVerb(name, why.state) },
        VERBS[name].title + (VERBS[name].danger ? " …" : ""))));
        if (why.state === "rejected") {
            headPlace.append(h("p", { class: "loading" }, "Reading the first lines …"));
            try {
                drawHead(headPlace, await get("/v1/file/head", { path, lines: 20 }, ended.signal));
            } catch (problem) {
                headPlace.replaceChildren(h("p", { class: "hint" }, problem.message));
            }
        }
    }

    load().catch((problem) => {
        if (problem.name !== "AbortError") {
            body.replaceChildren(h("p", { class: "sheet-path" }, pathText(path)),
                h("p", { class: "sentence small" }, problem.message));
        }
    });
}
