// What can be done with files, and what came of it.
import { post } from "/api.js";
import { toast } from "/dom.js";
import { files } from "/format.js";

export const VERBS = {
    retry: { title: "Retry", doing: "Retrying", done: "on their way again", one: "on its way again",
        what: "They are sent, or taken up again, as they are now." },
    hold: { title: "Hold", doing: "Holding", done: "held", one: "held",
        what: "They are not sent until they are released." },
    release: { title: "Release", doing: "Releasing", done: "released", one: "released",
        what: "They are sent when their turn comes." },
    forget: { title: "Forget", doing: "Forgetting", done: "forgotten", one: "forgotten", danger: true,
        what: "They are never sent as they are. Their bytes stay where they are in the spool; Retry " +
            "takes them up again." },
};

// Which of them make sense for a file in this state.
export function verbsFor({ state, held_by: heldBy }) {
    return {
        settling: [], accepted: ["hold", "forget"], sending: ["hold", "forget"],
        deferred: ["retry", "hold", "forget"], rejected: ["retry"], forgotten: ["retry"], delivered: [],
        held: heldBy === "operator" ? ["release", "forget"] : ["retry", "forget"],
    }[state] ?? [];
}

// What to ask for, for rows of a list. A rejected file is named as one: another, held or forgotten, may
// have come under its name, and is not meant.
export function wantedRows(rows) {
    const rejected = rows.filter((row) => row.state === "rejected");
    const others = rows.filter((row) => row.state !== "rejected");
    return [{ paths: others.map((row) => row.path) }, { paths: rejected.map((row) => row.path), state: "rejected" }]
        .filter(({ paths }) => paths.length > 0);
}

// All of one request, in pages until it is done.
async function ask(name, wanted, signal, take) {
    let cursor = "";
    do {
        const answer = await post(`/v1/${name}`, wanted.paths ? wanted : { ...wanted, cursor }, signal);
        take(answer.files ?? []);
        cursor = answer.cursor ?? "";
    } while (!wanted.paths && cursor !== "");
}

// wanted: requests, each { paths } or what chooses them. Says what came of it.
export async function act(name, wanted, signal, progress) {
    const verb = VERBS[name];
    let done = 0;
    const refused = [];
    const take = (rows) => {
        refused.push(...rows.filter(({ result }) => result === "failed"));
        done += rows.filter(({ result }) => result !== "failed" && result !== "unchanged").length;
        progress?.(done);
    };
    try {
        for (const one of wanted) {
            if (one.paths && one.state === "rejected" && name !== "retry") {
                take(one.paths.map((path) => ({ path, result: "failed", text: "a rejected file can only be retried" })));
            } else {
                await ask(name, one, signal, take);
            }
        }
    } catch (problem) {
        if (problem.name !== "AbortError") {
            toast(done > 0 ? `${files(done)} ${verb.done}; then: ${problem.message}` : problem.message, "bad");
        }
        return;
    }
    if (refused.length > 0) {
        toast(`${files(refused.length)} could not be: ${refused[0].text ?? refused[0].path}`, "bad");
    }
    if (done > 0 || refused.length === 0) {
        toast(done === 0 ? "No file was concerned." : `${files(done)} ${done === 1 ? verb.one : verb.done}.`);
    }
}
