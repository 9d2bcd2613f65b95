// Elements, and nothing that parses text into them: every text comes in as a text node. File names
// and whatever else a producer or a store wrote is hostile.

const BARRED = /^(on|style$|srcdoc$)/i;

// An element: h("p", { class: "note", onclick: f }, "text", element, null, [more]).
export function h(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes ?? {})) {
        if (value === null || value === undefined || value === false) {
            continue;
        }
        if (typeof value === "function") {
            element.addEventListener(key.slice(2), value);
        } else if (BARRED.test(key)) {
            throw new TypeError(`the attribute ${key} is barred`);
        } else if (key === "value" || key === "checked" || key === "indeterminate") {
            element[key] = value;
        } else {
            element.setAttribute(key, value === true ? "" : value);
        }
    }
    element.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
    return element;
}

// The element's new contents; what is null is left out, as by h.
export function fill(element, ...children) {
    element.replaceChildren(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
}

const ICONS = {
    copy: "M9 9h10v11H9zM5 15V4h10",
    check: "M5 12.5l4.5 4.5L19 7.5",
    close: "M6 6l12 12M18 6L6 18",
    down: "M6 9l6 6 6-6",
    out: "M14 5h5v5M19 5l-8 8M17 14v5H5V7h5",
    sun: "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22M5 5l1.8 1.8M17.2 17.2L19 19M5 19l1.8-1.8M17.2 6.8L19 5",
    moon: "M20 14.5A8 8 0 119.5 4a6.5 6.5 0 0010.5 10.5z",
    system: "M4 5h16v11H4zM9 20h6M12 16v4",
    warn: "M12 4l9 16H3zM12 10v4.5M12 17.3v.2",
    cross: "M12 3a9 9 0 100 18 9 9 0 000-18zM9 9l6 6M15 9l-6 6",
    tick: "M12 3a9 9 0 100 18 9 9 0 000-18zM8 12.3l2.8 2.8L16 9.8",
    search: "M10.5 4a6.5 6.5 0 100 13 6.5 6.5 0 000-13zM15.5 15.5L20 20",
};

export function icon(name) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    const path = document.createElementNS(space, "path");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", ICONS[name]);
    svg.append(path);
    return svg;
}

// A text that changes often: the node is touched only when it does, so that nothing flickers and no
// screen reader hears it twice.
export function setText(element, text) {
    if (element.textContent !== text) {
        element.textContent = text;
    }
}

// For screen readers only.
export function say(text) {
    document.getElementById("say").textContent = text;
}

// A message at the page's edge. Faults stay until they are closed.
export function toast(text, kind = "ok") {
    const close = h("button", { type: "button", class: "quiet icon-only", "aria-label": "Close message",
        onclick: () => box.remove() }, icon("close"));
    const box = h("div", { class: `toast ${kind}` }, icon(kind === "ok" ? "tick" : "cross"),
        h("p", {}, text), close);
    document.getElementById("toasts").append(box);
    if (kind === "ok") {
        setTimeout(() => box.remove(), 6000);
    }
}

// Copy, and say so on the button itself for a moment.
export function copyButton(text, label = "Copy") {
    const word = h("span", {}, label);
    const button = h("button", { type: "button", class: "small", onclick: async () => {
        try {
            await navigator.clipboard.writeText(text());
            word.textContent = "Copied";
        } catch {
            word.textContent = "Select and copy by hand";
        }
        say(word.textContent);
        setTimeout(() => { word.textContent = label; }, 2500);
    } }, icon("copy"), word);
    return button;
}

// Letters that cannot be seen, or that change how others are read (the bidirectional controls: they
// make exe.json of nosj.exe).
const UNPRINTABLE = /([\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff])/;

function spelt(text) {
    return String(text).split(UNPRINTABLE).map((part, i) => (i % 2 === 0 ? part
        : h("span", { class: "unprintable" },
            `U+${part.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`)));
}

// A text that somebody else wrote, in one line.
export function foreign(text) {
    return h("bdi", {}, ...spelt(text));
}

// Directory quiet, name clear. A name can be of any length and of any letters.
export function pathText(path) {
    const cut = path.lastIndexOf("/") + 1;
    return h("bdi", { class: "path" },
        cut > 0 ? h("span", { class: "dir" }, ...spelt(path.slice(0, cut))) : null,
        ...spelt(path.slice(cut)));
}

// Only to https, and without telling where from.
export function outLink(url, ...children) {
    let safe = null;
    try {
        safe = new URL(url);
    } catch {
        return h("span", {}, ...children);
    }
    if (safe.protocol !== "https:") {
        return h("span", {}, ...children);
    }
    return h("a", { href: safe.href, target: "_blank", rel: "noopener noreferrer" }, ...children,
        icon("out"), h("span", { class: "unseen" }, " (opens in a new tab)"));
}
