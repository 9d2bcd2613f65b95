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

// In pages until all are done; wanted is { paths } or what chooses them. Says what came of it.
export async function act(name, wanted, signal, progress) {
    const verb = VERBS[name];
    let done = 0;
    const refused = [];
    let cursor = "";
    try {
        do {
            const answer = await post(`/v1/${name}`, wanted.paths ? wanted : { ...wanted, cursor }, signal);
            for (const file of answer.files ?? []) {
                if (file.result === "failed") {
                    refused.push(file);
                } else if (file.result !== "unchanged") {
                    done += 1;
                }
            }
            cursor = answer.cursor ?? "";
            progress?.(done);
        } while (!wanted.paths && cursor !== "");
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
