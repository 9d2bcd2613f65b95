// Requests to the gateway. A fault is a Problem with one sentence (RFC 9457); what concerns the whole
// console (session ended, gateway gone) is told to `watch` as well.

export class Problem extends Error {
    constructor(status, details) {
        super(details.title || `The gateway answered ${status}.`);
        this.status = status;
        this.details = details;
        this.errors = Array.isArray(details.errors) ? details.errors : [];
    }
}

// Status of a request that got no answer at all.
export const GONE = 0;

let csrf = "";
let watch = () => {};

export function onTrouble(callback) {
    watch = callback;
}

async function problemOf(answer) {
    let details = {};
    try {
        details = await answer.json();
    } catch {
        // Not even JSON: the status has to do.
    }
    return new Problem(answer.status, details && typeof details === "object" ? details : {});
}

// The answer itself, once it is known to be one of success.
export async function send(method, path, { query, body, signal } = {}) {
    const url = new URL(path, location.origin);
    for (const [name, value] of Object.entries(query ?? {})) {
        if (value !== undefined && value !== null && value !== "") {
            url.searchParams.set(name, value);
        }
    }
    const headers = {};
    if (method !== "GET") {
        headers["Spoolgate-Token"] = csrf;
        headers["Content-Type"] = "application/json";
    }
    let answer;
    try {
        answer = await fetch(url, { method, headers, signal, cache: "no-store", redirect: "error",
            body: body === undefined ? undefined : JSON.stringify(body) });
    } catch (fault) {
        if (fault.name === "AbortError") {
            throw fault;
        }
        watch(GONE);
        throw new Problem(GONE, { title: "The gateway does not answer." });
    }
    if (!answer.ok) {
        const problem = await problemOf(answer);
        if (answer.status === 401) {
            watch(401);
        }
        throw problem;
    }
    return answer;
}

export async function get(path, query, signal) {
    return (await send("GET", path, { query, signal })).json();
}

export async function post(path, body, signal) {
    return (await send("POST", path, { body, signal })).json();
}

// A page of a list, from the cursor on: fetched until it has so many rows, since the gateway may answer
// with few that match, or until that takes too long. ask({ cursor, limit }) gives { rows, cursor }.
export async function fill(rows, patienceMs, cursor, ask) {
    const found = [];
    const began = performance.now();
    do {
        const page = await ask({ cursor, limit: rows - found.length });
        found.push(...page.rows);
        cursor = page.cursor;
    } while (cursor !== "" && found.length < rows && performance.now() - began < patienceMs);
    return { rows: found, cursor };
}

// Who we are to the gateway; null: nobody (any more).
export async function session() {
    let answer;
    try {
        answer = await fetch("/session", { cache: "no-store", redirect: "error" });
    } catch {
        throw new Problem(GONE, { title: "The gateway does not answer." });
    }
    if (answer.status === 401) {
        csrf = "";
        return null;
    }
    if (!answer.ok) {
        throw await problemOf(answer);
    }
    const known = await answer.json();
    csrf = known.csrf;
    return known;
}

export async function logOut() {
    await send("DELETE", "/session");
    csrf = "";
}
