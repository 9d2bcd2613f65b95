// The one-time link: its token leaves the address bar before anything else happens, becomes a
// session, and is forgotten.
import { h } from "/dom.js";

const title = document.getElementById("title");
const text = document.getElementById("text");
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

function show(heading, ...sentences) {
    document.title = `${heading} · spoolgate`;
    title.textContent = heading;
    text.replaceChildren(
        ...sentences.map((sentence) => h("p", {}, sentence)),
        h("p", {}, "For a new link, run this on the gateway's machine:"),
        h("pre", { class: "command" }, "spoolgate console"),
    );
}

async function enter() {
    if (!token) {
        const answer = await fetch("/session", { cache: "no-store" });
        if (answer.ok) {
            location.replace("/");
            return;
        }
        show("Not logged in", "A link from the gateway opens the console.");
        return;
    }
    const answer = await fetch("/session", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ token }),
    });
    if (answer.ok) {
        location.replace("/");
    } else if (answer.status === 429) {
        show("Too many attempts", "Wait for a minute, then open a new link.");
    } else {
        show("This link does not work", "A link works once, and within five minutes.");
    }
}

enter().catch(() => show("No answer", "The console is not running, or the tunnel to it is closed."));
