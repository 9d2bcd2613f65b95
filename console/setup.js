// Page 1: from an account and a bucket to a tested, saved configuration. Keys never pass through
// here: the gateway finds them as it always does.
import { get, post } from "/api.js";
import { combobox } from "/combobox.js";
import { copyButton, foreign, h, icon, outLink, say } from "/dom.js";
import { duration } from "/format.js";
import * as live from "/live.js";

const ARN = /^arn:aws(-[a-z]+)*:s3:::([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])$/;

// Which field a fault of the configuration belongs to.
const FIELD_OF = {
    account_name: "account_name", bucket_arn: "bucket_arn", "bucket.arn": "bucket_arn", bucket: "bucket_arn",
    role_arn: "role_arn", "credentials.assume_role": "role_arn", "credentials.assume_role.arn": "role_arn",
    put_role_arn: "put_role_arn", region: "region", "bucket.region": "region", endpoint: "endpoint",
    "bucket.endpoint": "endpoint", external_id: "external_id",
    "credentials.assume_role.external_id": "external_id", ca_file: "ca_file", "bucket.ca_file": "ca_file",
    path_style: "path_style", "bucket.path_style": "path_style",
};

function textField(id, label, hint, example) {
    const input = h("input", { id, type: "text", autocomplete: "off", spellcheck: "false",
        autocapitalize: "off", placeholder: example, "aria-describedby": `${id}-hint ${id}-fault` });
    const fault = h("p", { id: `${id}-fault`, class: "fault", hidden: true });
    const setFault = (text) => {
        fault.textContent = text;
        fault.hidden = text === "";
        input.setAttribute("aria-invalid", String(text !== ""));
    };
    input.addEventListener("input", () => setFault(""));
    return {
        element: h("div", { class: "field" }, h("label", { for: id }, label), input,
            h("p", { id: `${id}-hint`, class: "hint" }, hint), fault),
        input,
        setFault,
        value: () => input.value.trim(),
        setValue: (value) => { input.value = value ?? ""; },
    };
}

function checkField(id, label, hint) {
    const input = h("input", { id, type: "checkbox", "aria-describedby": `${id}-hint` });
    return {
        element: h("div", { class: "field" },
            h("label", { class: "check" }, input, h("span", {}, label)),
            h("p", { id: `${id}-hint`, class: "hint" }, hint)),
        input,
        setFault: () => {},
        value: () => input.checked,
        setValue: (value) => { input.checked = value === true; },
    };
}

function makeFields() {
    const region = textField("region", "Region", "Such as eu-central-1. Left empty, the store is asked.");
    return {
        account_name: combobox({ id: "account_name", label: "AWS account name",
            hint: "As it stands in the keys of objects. Type a new one, or choose one that is known.",
            example: "prod" }),
        bucket_arn: combobox({ id: "bucket_arn", label: "S3 bucket ARN",
            hint: "The customer's bucket: arn:aws:s3:::NAME.", example: "arn:aws:s3:::customer-siem",
            onpick: (option) => {
                if (option.region && region.value() === "") {
                    region.setValue(option.region);
                }
            } }),
        role_arn: combobox({ id: "role_arn", label: "Role ARN",
            hint: "Whom the policy lets write, and which role is assumed for it.",
            example: "arn:aws:iam::111122223333:role/panoptica" }),
        external_id: textField("external_id", "External ID", "If the role's trust policy demands one."),
        put_role_arn: textField("put_role_arn", "Other role for PutObject",
            "For the policy's second statement, which allows no more. AWS wants s3:PutObjectAcl, too."),
        region,
        endpoint: textField("endpoint", "Endpoint", "The URL of a store that is not AWS.",
            "https://store.example:9000"),
        ca_file: textField("ca_file", "Certificates",
            "A file on the gateway's machine, if the store's certificate is from an authority of its own."),
        path_style: checkField("path_style", "Path style",
            "The bucket's name goes into the path; most stores that are not AWS want it."),
    };
}

const ALWAYS = ["account_name", "bucket_arn"];

class SetUp {
    constructor(root, context) {
        this.root = root;
        this.context = context;
        this.fields = makeFields();
        this.abort = new AbortController();
        this.tested = null;
    }

    /* ---- what was entered ---- */

    settings() {
        const out = {};
        for (const [name, field] of Object.entries(this.fields)) {
            const value = field.value();
            if (name !== "put_role_arn" && value !== "" && value !== false) {
                out[name] = value;
            }
        }
        return out;
    }

    // What can be seen without asking anyone. The first faulty field has the focus then.
    check(...wanted) {
        const faults = {};
        if (wanted.includes("account_name") && this.fields.account_name.value() === "") {
            faults.account_name = "Enter the account's name.";
        }
        const arn = this.fields.bucket_arn.value();
        if (arn === "") {
            faults.bucket_arn = "Enter the bucket's ARN.";
        } else if (!ARN.test(arn)) {
            faults.bucket_arn = "A bucket's ARN is arn:aws:s3:::NAME, with the name in small letters.";
        }
        return this.showFaults(faults);
    }

    // True: there are none.
    showFaults(faults) {
        let first = null;
        for (const [name, field] of Object.entries(this.fields)) {
            field.setFault(faults[name] ?? "");
            if (faults[name]) {
                first ??= name;
            }
        }
        if (first === null) {
            return true;
        }
        if (!ALWAYS.includes(first)) {
            this.fold.open = true;
        }
        this.fields[first].input.focus();
        return false;
    }

    // A refusal: at its fields where it names them, else as a result.
    refuse(problem, where) {
        const faults = {};
        for (const { path, text } of problem.errors ?? []) {
            const field = FIELD_OF[path] ?? null;
            if (field) {
                faults[field] = text;
            }
        }
        const named = Object.keys(faults).length > 0;
        where.replaceChildren(this.verdict(false, {
            sentence: named && !problem.details?.title ? "Some settings are not right." : problem.message,
            cause: problem.details?.cause,
            remedy: problem.details?.remedy,
            code: problem.details?.code,
            others: (problem.errors ?? []).filter((e) => !FIELD_OF[e.path]),
        }));
        if (named) {
            this.showFaults(faults);
        }
    }

    /* ---- what came of it ---- */

    verdict(ok, { sentence, cause, remedy, key, code, took, origin, remarks, others }) {
        const facts = [];
        const add = (name, value) => {
            if (value) {
                facts.push(h("dt", {}, name), h("dd", {}, value));
            }
        };
        add("Cause", cause);
        add("Remedy", remedy ? h("strong", {}, remedy) : null);
        add("Object", key && !sentence.includes(key) ? h("code", {}, key) : null);
        add("Code", code ? h("code", {}, code) : null);
        add("Keys", origin);
        add("Took", took);
        for (const remark of remarks ?? []) {
            add("Also", [remark.cause, remark.remedy].filter(Boolean).join(": "));
        }
        for (const other of others ?? []) {
            add(other.path, other.text);
        }
        return h("div", { class: `verdict ${ok ? "ok" : "bad"}` }, icon(ok ? "tick" : "cross"),
            h("div", {}, h("p", { class: "verdict-sentence" }, foreign(sentence)),
                facts.length > 0 ? h("dl", { class: "facts" }, ...facts) : null));
    }

    testVerdict(answer) {
        return this.verdict(answer.ok, { ...answer, origin: answer.credentials_origin, took: answer.took_ms === undefined ? null
            : duration(answer.took_ms) });
    }

    async busy(button, word, where, work) {
        const was = [...button.childNodes];
        this.buttons.forEach((b) => b.setAttribute("aria-disabled", "true"));
        button.replaceChildren(h("span", { class: "spinner", "aria-hidden": "true" }), word);
        where.replaceChildren();
        try {
            await work();
        } catch (problem) {
            if (problem.name !== "AbortError") {
                this.refuse(problem, where);
            }
        } finally {
            button.replaceChildren(...was);
            this.buttons.forEach((b) => b.removeAttribute("aria-disabled"));
        }
    }

    async generate() {
        if (!this.check()) {
            return;
        }
        await this.busy(this.generateButton, "Generating …", this.generateResult, async () => {
            const body = { bucket_arn: this.fields.bucket_arn.value() };
            for (const name of ["role_arn", "put_role_arn"]) {
                if (this.fields[name].value() !== "") {
                    body[name] = this.fields[name].value();
                }
            }
            this.showPolicy(await post("/v1/setup/policy", body, this.abort.signal), body.bucket_arn);
        });
    }

    showPolicy(answer, arn) {
        const text = h("textarea", { id: "policy", readonly: true, spellcheck: "false", wrap: "off",
            rows: String(Math.min(26, answer.policy.trimEnd().split("\n").length)) });
        text.value = answer.policy;
        const name = arn.replace(/^.*:::/, "");
        const page = answer.bucket_page
            ? h("p", { class: "bucket-page" }, outLink(answer.bucket_page,
                `The page of ${name} in the AWS Management Console`))
            : h("p", { class: "hint" }, "This store is not AWS: its owner sets the policy with its own tools.");
        this.policyPlace.replaceChildren(
            h("h3", { id: "policy-title", tabindex: "-1" }, "Access policy"), page,
            h("ol", { class: "steps" }, ...(answer.steps ?? []).map((step) => h("li", {}, step))),
            h("div", { class: "policy-field" },
                h("label", { for: "policy", class: "unseen" }, "Access policy"), text,
                copyButton(() => text.value)));
        this.policyPlace.querySelector("#policy-title").focus();
        say("The access policy is generated");
    }

    async test() {
        if (!this.check("account_name")) {
            return;
        }
        await this.busy(this.testButton, "Sending …", this.result, async () => {
            const answer = await post("/v1/setup/test", this.settings(), this.abort.signal);
            this.result.replaceChildren(this.testVerdict(answer));
        });
    }

    async save(anyway) {
        if (!this.check("account_name")) {
            return;
        }
        await this.busy(anyway ? this.anywayButton : this.saveButton, "Testing and saving …", this.result,
            async () => {
                const body = this.settings();
                if (anyway) {
                    body.anyway = true;
                }
                const answer = await post("/v1/setup/save", body, this.abort.signal);
                if (answer.saved || (answer.saved === undefined && (answer.ok || anyway))) {
                    this.showSaved(answer);
                } else {
                    this.anywayButton = h("button", { type: "button", onclick: () => this.save(true) },
                        "Save anyway");
                    this.result.replaceChildren(this.testVerdict(answer),
                        h("p", { class: "row" }, h("span", {}, "Nothing was saved."), this.anywayButton));
                }
            });
    }

    showSaved(answer) {
        const setup = this.context.session.mode === "setup";
        const parts = [this.testVerdict(answer)];
        parts.push(h("div", { class: "verdict ok" }, icon("tick"), h("div", {},
            h("p", { class: "verdict-sentence" }, answer.path ? `Saved in ${answer.path}.` : "Saved."),
            Array.isArray(answer.restart) && answer.restart.length > 0
                ? h("p", {}, `Restart the gateway: ${answer.restart.join(", ")} ` +
                    "cannot change while it runs.") : null,
            setup ? [h("p", {}, "Now start the gateway; this page has done its work."),
                h("pre", { class: "command" }, "systemctl enable --now spoolgate")]
                : h("p", {}, h("a", { href: "#/overview" }, "To the overview")))));
        this.result.replaceChildren(...parts);
        if (setup) {
            live.stop(); // its server ends now
        }
    }

    /* ---- the page ---- */

    draw() {
        const f = this.fields;
        this.generateButton = h("button", { type: "button", class: "primary",
            onclick: () => this.act(() => this.generate()) }, "Generate access policy");
        this.testButton = h("button", { type: "button", onclick: () => this.act(() => this.test()) },
            "Test message");
        this.saveButton = h("button", { type: "button", class: "primary",
            onclick: () => this.act(() => this.save(false)) }, "Save");
        this.buttons = [this.generateButton, this.testButton, this.saveButton];
        this.generateResult = h("div", { role: "status" });
        this.policyPlace = h("div", { class: "policy" });
        this.result = h("div", { role: "status", class: "result" });
        this.currentPlace = h("div", {});
        this.fold = h("details", { class: "fold" }, h("summary", {}, "Role and advanced settings"),
            h("div", { class: "grid two" }, f.role_arn.element, f.external_id.element, f.region.element,
                f.endpoint.element, f.put_role_arn.element, f.ca_file.element, f.path_style.element));
        this.root.append(
            h("h1", {}, "Set up"),
            h("p", { class: "lead" }, "Name the account and the bucket, have the bucket's owner paste the ",
                "policy, and see a message arrive."),
            this.currentPlace,
            h("section", { class: "card", "aria-labelledby": "step-1" },
                h("h2", { id: "step-1" }, h("span", { class: "step" }, "1"), "Account and bucket"),
                h("div", { class: "grid two" }, f.account_name.element, f.bucket_arn.element), this.fold,
                h("div", { class: "row" }, this.generateButton), this.generateResult, this.policyPlace),
            h("section", { class: "card", "aria-labelledby": "step-2" },
                h("h2", { id: "step-2" }, h("span", { class: "step" }, "2"), "Test and save"),
                h("p", { class: "hint" }, "A test message is one small object below the account's name. Saving ",
                    "sends one, too, and saves only if it arrives."),
                h("div", { class: "row" }, this.testButton, this.saveButton), this.result));
    }

    act(work) {
        if (this.testButton.getAttribute("aria-disabled") !== "true") {
            work();
        }
    }

    async fill() {
        try {
            const known = await get("/v1/setup", {}, this.abort.signal);
            this.fields.account_name.setOptions((known.account_names ?? []).map((value) => ({ value })));
            this.fields.bucket_arn.setOptions((known.buckets ?? []).map(({ arn, region }) =>
                ({ value: arn, hint: region, region })));
            this.fields.role_arn.setOptions((known.role_arns ?? []).map((value) => ({ value })));
            if (known.current) {
                this.showCurrent(known.current);
            }
            if (known.save && !known.save.allowed) {
                this.currentPlace.append(h("p", { class: "note" }, foreign(known.save.sentence)));
            }
        } catch (problem) {
            if (problem.name !== "AbortError") {
                this.currentPlace.replaceChildren(this.verdict(false, { sentence: problem.message }));
            }
        }
    }

    showCurrent(current) {
        for (const [name, field] of Object.entries(this.fields)) {
            const untouched = field.value() === "" || field.value() === false;
            if (untouched && current[name]) {
                field.setValue(current[name]);
            }
        }
        if (current.bucket_arn) {
            this.currentPlace.replaceChildren(h("p", { class: "note" },
                "This installation delivers to ", h("code", {}, current.bucket_arn.replace(/^.*:::/, "")),
                ". It has one bucket; a second one wants an installation of its own."));
        }
    }
}

export function mount(root, context) {
    const page = new SetUp(root, context);
    page.draw();
    page.fill();
    return () => page.abort.abort();
}
