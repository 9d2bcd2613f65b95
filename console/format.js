// Figures as people read them. Times are UTC, as in the log, the receipts and the paths.

const count = new Intl.NumberFormat("en");
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export function number(n) {
    return n === null || n === undefined ? "–" : count.format(n);
}

export function files(n) {
    return `${number(n)} ${n === 1 ? "file" : "files"}`;
}

export function rate(n) {
    return n >= 100 ? count.format(Math.round(n)) : tenth.format(n);
}

export function size(bytes) {
    if (bytes === null || bytes === undefined) {
        return "–";
    }
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = 0;
    let n = bytes;
    while (n >= 1024 && unit < units.length - 1) {
        n /= 1024;
        unit += 1;
    }
    return `${unit === 0 || n >= 100 ? count.format(Math.round(n)) : tenth.format(n)} ${units[unit]}`;
}

// Two units at most: 850 ms, 4.2 s, 3 min 5 s, 2 h 10 min, 3 d 4 h.
export function duration(ms) {
    if (ms === null || ms === undefined) {
        return "–";
    }
    if (ms < 1000) {
        return `${Math.round(ms)} ms`;
    }
    if (ms < 60000) {
        return `${ms < 10000 ? tenth.format(ms / 1000) : Math.floor(ms / 1000)} s`;
    }
    const steps = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    let s = Math.floor(ms / 1000);
    const at = steps.findIndex(([, seconds]) => s >= seconds);
    const words = [];
    for (const [name, seconds] of steps.slice(at, at + 2)) {
        const n = Math.floor(s / seconds);
        s -= n * seconds;
        if (n > 0) {
            words.push(`${n} ${name}`);
        }
    }
    return words.join(" ");
}

export function since(text, now = Date.now()) {
    return text ? duration(Math.max(0, now - Date.parse(text))) : "–";
}

// 2026-11-23 12:50:03
export function time(text) {
    return text ? `${text.slice(0, 10)} ${text.slice(11, 19)}` : "–";
}

export function clock(seconds) {
    return new Date(seconds * 1000).toISOString().slice(11, 16);
}
