// The connection to the gateway: the stream of its status, and what becomes of the page when the
// gateway goes away (asked again with growing pauses) or the session ends.
import { GONE, onTrouble, session } from "/api.js";

const KEEP_MS = 5 * 60 * 1000;
const PAUSES_MS = [1000, 2000, 4000, 8000, 15000, 30000];

const listeners = new Set();
const conditions = new Set();
let source = null;
let timer = 0;
let keeping = 0;
let attempt = 0;
let condition = "up"; // up, gone, ended
let latest = null;

function tell(next, more) {
    condition = next;
    for (const callback of conditions) {
        callback(next, more);
    }
}

function closeStream() {
    source?.close();
    source = null;
}

function openStream() {
    closeStream();
    source = new EventSource("/v1/events");
    source.addEventListener("status", (event) => {
        back();
        latest = { status: JSON.parse(event.data), at: performance.now() };
        for (const callback of listeners) {
            callback(latest.status, latest.at);
        }
    });
    // A browser tries again by itself, but neither slower each time nor does it say what is wrong.
    source.onerror = () => {
        closeStream();
        lost();
    };
}

function lost() {
    if (condition === "ended" || timer !== 0) {
        return;
    }
    const base = PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)];
    const pause = attempt === 0 ? 0 : base * (0.8 + 0.4 * Math.random());
    attempt += 1;
    if (attempt > 1) {
        tell("gone", Date.now() + pause);
    }
    timer = setTimeout(tryAgain, pause);
}

export async function tryAgain() {
    clearTimeout(timer);
    timer = 0;
    try {
        const known = await session();
        if (known === null) {
            ended();
            return;
        }
        if (known.mode === "gateway" && document.visibilityState === "visible") {
            openStream(); // its first word tells that all is well again
            return;
        }
        if (known.mode === "gateway") {
            keep();
        }
    } catch {
        attempt = Math.max(attempt, 1);
        lost();
        return;
    }
    back();
}

function back() {
    attempt = 0;
    if (condition === "gone") {
        tell("up");
    }
}

function ended() {
    closeStream();
    clearTimeout(timer);
    timer = 0;
    if (condition !== "ended") {
        tell("ended");
    }
}

// For good: the console is left, or the set-up page's server has done its work.
export function stop() {
    closeStream();
    clearTimeout(timer);
    timer = 0;
    condition = "ended";
}

export function start(mode) {
    onTrouble((status) => (status === GONE ? lost() : ended()));
    if (mode === "gateway") {
        openStream();
        document.addEventListener("visibilitychange", onVisibility);
    }
}

// A request now and then tells that the console is still wanted.
function keep() {
    clearInterval(keeping);
    keeping = setInterval(() => session().catch(() => {}), KEEP_MS);
}

// A browser has six connections to a host, whatever the number of its tabs: one that nobody looks at
// keeps none.
function onVisibility() {
    clearInterval(keeping);
    if (condition !== "up") {
        return;
    }
    if (document.visibilityState === "hidden") {
        closeStream();
        keep();
    } else if (source === null) {
        openStream();
    }
}

// Called with each status and when it came; with the latest at once. Returns what ends it.
export function onStatus(callback) {
    listeners.add(callback);
    if (latest) {
        callback(latest.status, latest.at);
    }
    return () => listeners.delete(callback);
}

// Called with up, gone (and when it is asked next) or ended.
export function onCondition(callback) {
    conditions.add(callback);
    return () => conditions.delete(callback);
}
