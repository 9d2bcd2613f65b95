// One question before something is done that cannot be taken back lightly.
import { h } from "/dom.js";

// Resolves to true only by the button that says what is done.
export function confirm({ title, text, act, danger, more }) {
    return new Promise((resolve) => {
        const go = h("button", { type: "button", class: danger ? "danger" : "primary" }, act);
        const stay = h("button", { type: "button", autofocus: true }, "Cancel");
        const dialog = h("dialog", { class: "confirm", "aria-labelledby": "confirm-title",
            "aria-describedby": "confirm-text" },
        h("h2", { id: "confirm-title" }, title),
        h("div", { id: "confirm-text" }, ...[].concat(text).map((t) =>
            (typeof t === "string" ? h("p", {}, t) : t))),
        more ?? null,
        h("div", { class: "row end" }, stay, go));
        let yes = false;
        go.addEventListener("click", () => {
            yes = true;
            dialog.close();
        });
        stay.addEventListener("click", () => dialog.close());
        dialog.addEventListener("close", () => {
            dialog.remove();
            resolve(yes);
        });
        document.body.append(dialog);
        dialog.showModal();
    });
}

// A sheet at the side, with a heading and a button that closes it. Returns the dialog and its body.
export function sheet(title, onclose) {
    const close = h("button", { type: "button", class: "quiet icon-only", "aria-label": "Close" },
        "✕");
    const body = h("div", { class: "sheet-body" });
    const foot = h("div", { class: "sheet-foot row" });
    const dialog = h("dialog", { class: "sheet", "aria-labelledby": "sheet-title" },
        h("div", { class: "sheet-head" }, h("h2", { id: "sheet-title" }, title), close), body, foot);
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => {
        if (event.target === dialog) {
            dialog.close(); // beside it
        }
    });
    dialog.addEventListener("close", () => {
        dialog.remove();
        onclose?.();
    });
    document.body.append(dialog);
    dialog.showModal();
    return { dialog, body, foot };
}
