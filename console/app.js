// The frame: session, pages by the address's fragment, theme, and what is said when the gateway is
// gone or the session has ended.
import { logOut, session } from "/api.js";
import { h, icon, say, setText, toast } from "/dom.js";
import * as live from "/live.js";
import * as setup from "/setup.js";

const PAGES = [
    { name: "overview", title: "Overview", load: () => import("/overview.js") },
    { name: "files", title: "Files", load: () => import("/files.js") },
    { name: "deliveries", title: "Deliveries", load: () => import("/deliveries.js") },
    { name: "setup", title: "Set up", load: async () => setup },
];
const THEMES = ["system", "light", "dark"];

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const banner = document.getElementById("banner");
let known = null;
let leave = null;
let visit = 0;
let countdown = 0;

/* ---- pages ---- */

function here() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    return { name: path, query: new URLSearchParams(query ?? "") };
}

function drawNav(current) {
    const pages = known.mode === "setup" ? PAGES.filter((p) => p.name === "setup") : PAGES;
    nav.replaceChildren(...pages.map((page) => h("a", { href: `#/${page.name}`,
        "aria-current": page.name === current ? "page" : null }, page.title)));
}

async function show(byHand) {
    const at = here();
    const page = known.mode === "setup" ? PAGES[3] : PAGES.find((p) => p.name === at.name) ?? PAGES[0];
    const mine = ++visit;
    drawNav(page.name);
    document.title = `${page.title} · spoolgate`;
    leave?.();
    leave = null;
    const module = await page.load();
    if (mine !== visit) {
        return;
    }
    main.replaceChildren();
    main.removeAttribute("aria-busy");
    leave = module.mount(main, { query: at.query, session: known, refreshSession }) ?? null;
    if (byHand) {
        window.scrollTo(0, 0);
        main.focus({ preventScroll: true });
        say(page.title);
    }
}

async function refreshSession() {
    known = (await session()) ?? known;
    return known;
}

/* ---- what concerns every page ---- */

function drawEnded() {
    leave?.();
    leave = null;
    visit += 1;
    nav.replaceChildren();
    document.getElementById("top-end").querySelector(".log-out")?.remove();
    banner.replaceChildren();
    document.title = "Logged out · spoolgate";
    main.removeAttribute("aria-busy");
    main.replaceChildren(h("section", { class: "card narrow" },
        h("h1", {}, "You are logged out"),
        h("p", {}, "The session has ended, or there was none. Deliveries go on without it."),
        h("p", {}, "For a new link, run this on the gateway's machine:"),
        h("pre", { class: "command" }, "spoolgate console")));
}

function drawGone(nextAt) {
    clearInterval(countdown);
    const when = h("span", { "aria-hidden": "true" });
    const tick = () => {
        const s = Math.max(0, Math.ceil((nextAt - Date.now()) / 1000));
        setText(when, s > 0 ? `Asked again in ${s} s.` : "Asking …");
    };
    const again = h("button", { type: "button", class: "small", onclick: live.tryAgain }, "Ask now");
    if (banner.querySelector(".gone") === null) {
        banner.replaceChildren(h("div", { class: "gone" }, icon("warn"),
            h("p", {}, "The gateway does not answer; what you see is from before. If it was started anew, a ",
                "new link is needed (", h("code", {}, "spoolgate console"), "). ", h("span", { class: "when" })), again));
    }
    banner.querySelector(".when").replaceChildren(when);
    tick();
    countdown = setInterval(tick, 500);
}

function onCondition(condition, more) {
    clearInterval(countdown);
    if (condition === "gone") {
        drawGone(more);
    } else if (condition === "ended") {
        drawEnded();
    } else {
        banner.replaceChildren();
        say("The gateway answers again");
        if (here().name !== "setup" && known.mode === "gateway") {
            show(false);
        }
    }
}

function themeButton() {
    let theme = document.documentElement.dataset.theme ?? "system";
    const button = h("button", { type: "button", class: "quiet icon-only" });
    const draw = () => {
        button.replaceChildren(icon({ system: "system", light: "sun", dark: "moon" }[theme]));
        button.setAttribute("aria-label", `Theme: ${theme === "system" ? "as the system" : theme}`);
        button.title = button.getAttribute("aria-label");
    };
    button.addEventListener("click", () => {
        theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
        if (theme === "system") {
            delete document.documentElement.dataset.theme;
        } else {
            document.documentElement.dataset.theme = theme;
        }
        try {
            localStorage.setItem("spoolgate-theme", theme);
        } catch {
            // It lasts as long as the page does.
        }
        document.dispatchEvent(new Event("themechange"));
        draw();
    });
    draw();
    return button;
}

function drawEnd() {
    const out = h("button", { type: "button", class: "quiet log-out", onclick: async () => {
        try {
            await logOut();
        } catch {
            // Then it ends by itself.
        }
        live.stop();
        drawEnded();
    } }, "Log out");
    document.getElementById("top-end").replaceChildren(themeButton(), out);
}

async function begin() {
    drawEnd();
    try {
        known = await session();
    } catch {
        main.replaceChildren(h("section", { class: "card narrow" },
            h("h1", {}, "No answer"),
            h("p", {}, "The gateway does not answer, or the tunnel to it is closed."),
            h("p", {}, h("button", { type: "button", class: "primary", onclick: () => location.reload() },
                "Try again"))));
        main.removeAttribute("aria-busy");
        return;
    }
    if (known === null) {
        drawEnded();
        return;
    }
    live.onCondition(onCondition);
    live.start(known.mode);
    window.addEventListener("hashchange", () => show(true).catch(fail));
    await show(false);
}

document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // its fragment is no page
    main.focus();
});

function fail(fault) {
    toast(`The page cannot be shown: ${fault.message}`, "bad");
}

begin().catch(fail);
