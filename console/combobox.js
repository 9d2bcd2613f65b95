// An input that may be typed into freely, with a list that typing narrows: the combobox of the ARIA
// Authoring Practices (list autocomplete, manual selection). The focus stays in the input; the list's
// active option is told by aria-activedescendant.
import { h, icon, say } from "/dom.js";

const SHOWN_MAX = 200;

// The option's text with what was typed marked in it.
function marked(text, typed) {
    const at = typed ? text.toLowerCase().indexOf(typed.toLowerCase()) : -1;
    if (at < 0) {
        return [text];
    }
    return [text.slice(0, at), h("mark", {}, text.slice(at, at + typed.length)),
        text.slice(at + typed.length)];
}

// options: [{ value, hint }]. onpick is called with the option chosen from the list.
export function combobox({ id, label, hint, example, onpick, oninput }) {
    let options = [];
    let shown = [];
    let active = -1;
    let narrowing = false; // nothing typed since it was opened: the whole list

    const list = h("ul", { id: `${id}-list`, role: "listbox", "aria-label": label, hidden: true });
    const input = h("input", { id, type: "text", role: "combobox", autocomplete: "off",
        spellcheck: "false", autocapitalize: "off", placeholder: example, "aria-autocomplete": "list",
        "aria-expanded": "false", "aria-controls": `${id}-list`,
        "aria-describedby": `${id}-hint ${id}-fault` });
    const toggle = h("button", { type: "button", class: "combo-toggle", tabindex: "-1",
        "aria-label": `Show what is known: ${label}`, "aria-expanded": "false",
        "aria-controls": `${id}-list` }, icon("down"));
    const fault = h("p", { id: `${id}-fault`, class: "fault", hidden: true });
    const element = h("div", { class: "field" },
        h("label", { for: id }, label),
        h("div", { class: "combo" }, input, toggle, list),
        h("p", { id: `${id}-hint`, class: "hint" }, hint), fault);

    const isOpen = () => !list.hidden;

    function setActive(index) {
        list.children[active]?.setAttribute("aria-selected", "false");
        active = index;
        const option = list.children[active];
        if (option) {
            option.setAttribute("aria-selected", "true");
            option.scrollIntoView({ block: "nearest" });
            input.setAttribute("aria-activedescendant", option.id);
        } else {
            input.removeAttribute("aria-activedescendant");
        }
    }

    function render() {
        const typed = narrowing ? input.value.trim() : "";
        const wanted = typed.toLowerCase();
        const found = options.filter((o) => o.value.toLowerCase().includes(wanted) ||
            (o.hint ?? "").toLowerCase().includes(wanted));
        shown = found.slice(0, SHOWN_MAX);
        list.replaceChildren(...shown.map((option, index) =>
            h("li", { id: `${id}-option-${index}`, role: "option", "aria-selected": "false",
                onpointerdown: (event) => event.preventDefault(),
                onclick: () => pick(index) },
            h("span", { class: "option" }, ...marked(option.value, typed)),
            option.hint ? h("span", { class: "option-hint" }, option.hint) : null)));
        active = -1;
        input.removeAttribute("aria-activedescendant");
        return found.length;
    }

    function open(all) {
        narrowing = !all;
        const n = render();
        const visible = n > 0;
        list.hidden = !visible;
        input.setAttribute("aria-expanded", String(visible));
        toggle.setAttribute("aria-expanded", String(visible));
        say(n === 0 ? "None known; what you type is taken as it is"
            : `${n} ${n === 1 ? "suggestion" : "suggestions"}`);
    }

    function close() {
        list.hidden = true;
        active = -1;
        input.removeAttribute("aria-activedescendant");
        input.setAttribute("aria-expanded", "false");
        toggle.setAttribute("aria-expanded", "false");
    }

    function pick(index) {
        const option = shown[index];
        input.value = option.value;
        close();
        setFault("");
        onpick?.(option);
        oninput?.();
        input.focus();
    }

    function setFault(text) {
        fault.textContent = text;
        fault.hidden = text === "";
        input.setAttribute("aria-invalid", String(text !== ""));
    }

    function move(event, forward) {
        event.preventDefault();
        if (!isOpen()) {
            open(true);
            if (event.altKey || !isOpen()) {
                return;
            }
        }
        const n = list.children.length;
        const from = active < 0 && !forward ? 0 : active;
        setActive((from + (forward ? 1 : -1) + n) % n);
    }

    input.addEventListener("input", () => {
        setFault("");
        open(false);
        oninput?.();
    });
    input.addEventListener("keydown", (event) => {
        if (event.isComposing) {
            return;
        }
        if (event.key === "ArrowDown" || event.key === "ArrowUp") {
            move(event, event.key === "ArrowDown");
        } else if (event.key === "Enter" && isOpen() && active >= 0) {
            event.preventDefault();
            pick(active);
        } else if (event.key === "Enter" && isOpen()) {
            close();
        } else if (event.key === "Escape" && isOpen()) {
            event.preventDefault();
            close();
        } else if (event.key === "Escape" && input.value !== "") {
            input.value = "";
            oninput?.();
        } else if (isOpen() && (event.key === "ArrowLeft" || event.key === "ArrowRight" ||
            event.key === "Home" || event.key === "End")) {
            setActive(-1); // the caret moves, the focus is on the text again
        }
    });
    input.addEventListener("blur", close);
    input.addEventListener("click", () => (isOpen() ? close() : open(true)));
    toggle.addEventListener("pointerdown", (event) => event.preventDefault());
    toggle.addEventListener("click", () => {
        const was = isOpen();
        input.focus();
        if (was) {
            close();
        } else {
            open(true);
        }
    });

    return {
        element,
        input,
        setFault,
        value: () => input.value.trim(),
        setValue: (value) => { input.value = value ?? ""; },
        setOptions: (all) => { options = all; },
    };
}
