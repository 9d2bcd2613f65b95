#!/usr/bin/python3
"""What the program tells of itself is what its manual and its completions tell: commands, options and
their arguments, keys of the configuration with range and default, states. The manual is well-formed,
and real shells complete."""

import glob
import os
import pty
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

MAN = os.path.join(REPOSITORY, "docs/man")
COMPLETIONS = os.path.join(REPOSITORY, "completions")
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES",
            "SEE ALSO"]
COMMON = {"-c", "--config", "--json", "-h", "--help"}
VERBS = {"policy": ("generate", "merge", "check", "explain"), "journal": ("dump", "verify"),
         "config": ("check", "show")}


def same(got, wanted, where):
    """Both directions, named."""
    got, wanted = set(got), set(wanted)
    check(not wanted - got, f"{where} lacks {sorted(wanted - got)}")
    check(not got - wanted, f"{where} has {sorted(got - wanted)}, which the program does not")


def read(path):
    with open(os.path.join(REPOSITORY, path), encoding="utf-8") as file:
        return file.read()


def page(name):
    return read(f"docs/man/{name}")


def section(text, name):
    return text.partition(f"\n.Sh {name}\n")[2].partition("\n.Sh ")[0]


def roff(text):
    """Of literal text: as it is shown."""
    return re.sub(r"^\\&", "", text.replace(r"\e", "\\").replace(r"\(dq", '"').replace(r"\-", "-"), flags=re.M)


def program(*arguments):
    return subprocess.run([SPOOLGATE, *arguments], capture_output=True, text=True, timeout=60 * SLOW,
                          env=clean_environment(SPOOLGATE_CONFIG="/nowhere/spoolgate.json"))


def help_of(*command):
    done = program(*command, "--help")
    check_equal((done.returncode, done.stderr), (0, ""), f"{command} --help")
    return done.stdout


def commands():
    return re.findall(r"^  ([a-z]+) ", help_of().partition("Commands:\n")[2].partition("\n\n")[0], re.M)


def options_in(text):
    """--wait=60 and [--wait[=SECONDS]] are --wait; -c and -y, too."""
    return set(re.findall(r"(?<![\w-])(--[a-z][a-z-]*|-[a-zA-Z])(?![\w-])", text))


def told(command):
    """What --help tells, without its example."""
    return options_in(help_of(command).partition("\nExample")[0])


def items(text):
    """{option: has it an argument} of the items `.It Fl …`."""
    found = {}
    for line in re.findall(r"^\.It (Fl .*)$", text, re.M):
        names = ["-" + n for n in re.findall(r"Fl (-?[A-Za-z][a-z-]*)", line)]
        found.update((name, " Ar " in line) for name in names)
    return found


def table(command):
    """{--option: no, required or optional} as the source's getopt_long has it."""
    file = f"cli/cmd_{command}.c"
    if not os.path.exists(os.path.join(REPOSITORY, file)):
        file = "cli/cmd_verbs.c"
    text = read(file)
    found = {"--" + n: kind for n, kind in re.findall(r'\{"([a-z-]+)", (no|required|optional)_argument', text)}
    found |= {"--" + n: "required" for n in re.findall(r'^    TEXT\("([a-z-]+)"', text, re.M)}
    found |= {"--" + n: "no" for n in re.findall(r'^    BOOL\("([a-z-]+)"', text, re.M)}
    return found


def states():
    return set(re.findall(r'\{LISTING_[A-Z]+, "([a-z]+)"', read("gateway/listing.c"))) | {"delivered"}


# --- the manual -----------------------------------------------------------------------------------


def commands_and_options_have_their_page():
    all_commands = commands()
    same({os.path.basename(p) for p in glob.glob(MAN + "/*")},
         {"spoolgate.1", "spoolgate.json.5", "spoolgate-journal.5", "spoolgate-policy.7"} |
         {f"spoolgate-{c}.1" for c in all_commands}, "docs/man")
    top = page("spoolgate.1")
    same(re.findall(r"^\.It Cm ([a-z]+)\n\.Xr spoolgate-\1 1 :", top, re.M), all_commands, "spoolgate.1's list")
    same(items(section(top, "OPTIONS")), options_in(help_of().partition("\nOptions")[2]) | {"-V"}, "OPTIONS of spoolgate.1")
    options = 0
    for command in all_commands:
        name = f"spoolgate-{command}.1"
        text, helped, getopt = page(name), told(command), table(command)
        options += len(helped - COMMON)
        listed = items(section(text, "OPTIONS"))
        same(listed.keys() - COMMON, helped - COMMON, f"OPTIONS of {name}")
        same(COMMON & listed.keys(), COMMON - ({"--json"} - helped - ({"--json"} if command == "policy" else set())),
             f"OPTIONS of {name}, those of every command,")
        check(not (helped - COMMON - {"-y"}) - getopt.keys(), f"{command} --help tells of {helped - COMMON - getopt.keys()}")
        check(not getopt.keys() - helped - ({"--yes"} if command == "retry" else set()),
              f"{command} --help says nothing of {getopt.keys() - helped}")
        for option, kind in getopt.items():
            if option in listed:
                check_equal(listed[option], kind != "no", f"{name}: {option} has an argument")
        usage = options_in(help_of(command).partition("\n\n")[0].partition("Usage")[2])
        synopsis = {"-" + o for o in re.findall(r"Fl (-?[A-Za-z][a-z-]*)", section(text, "SYNOPSIS"))}
        check(not usage - synopsis, f"{name}: SYNOPSIS lacks {usage - synopsis}")
        check(not synopsis - helped, f"{name}: SYNOPSIS has {synopsis - helped}")
        for verb in VERBS.get(command, ()):
            check(f".Nm spoolgate {command} {verb}\n" in text, f"{name}: SYNOPSIS lacks {verb}")
    row("options of --help in the manual and the reverse", f"{len(all_commands)} commands, {options} options")


def pages_are_whole():
    names = {os.path.basename(p) for p in glob.glob(MAN + "/*")}
    same(re.findall(r"^\.It Cm ([a-z]+)\n", page("spoolgate.1").partition(".Ss States of a file")[2]
                    .partition("\n.Ss")[0], re.M), states(), "the states of spoolgate.1")
    same(re.findall(r"^\| ([a-z]+) \|", read("README.md").partition("| state | means |")[2].partition("\n\n")[0], re.M),
         states(), "the states of README.md")
    for name in sorted(names):
        text = page(name)
        title, number = name.rsplit(".", 1)
        check(f"\n.Dt {title.upper()} {number}\n" in text, f"{name}: .Dt is another")
        check(f"\n.Sh NAME\n.Nm {title}\n.Nd " in text, f"{name}: NAME is another")
        if number == "1":
            check_equal(re.findall(r"^\.Sh (.*)$", text, re.M), SECTIONS, f"sections of {name}")
        for to, n in re.findall(r"^\.Xr (\S+) (\d)", text, re.M):
            check(f"{to}.{n}" in names, f"{name}: there is no {to}({n})")
        lint = subprocess.run(["mandoc", "-T", "lint", os.path.join(MAN, name)], capture_output=True, text=True)
        found = [line for line in (lint.stdout + lint.stderr).splitlines()  # until they are installed
                 if "referenced manual not found: Xr spoolgate" not in line]
        check(not found, f"mandoc -T lint {name}: {found[:3]}")
    for command in commands():
        text, helped = page(f"spoolgate-{command}.1"), help_of(command)
        statuses = set(re.findall(r"(?:^|; |: )(0|1|100|101|111) ", helped.partition("Exit status")[2]))
        listed = set(re.findall(r"^\.It (\d+)$", section(text, "EXIT STATUS"), re.M))
        check(not statuses - listed, f"spoolgate-{command}.1: EXIT STATUS lacks {statuses - listed}")
        flat = " ".join(roff(section(text, "EXAMPLES")).split())
        for example in re.findall(r"^  ((?:spoolgate|echo) .*(?:\\\n.*)*)", helped.partition("\nExample")[2], re.M):
            check(" ".join(example.split()) in flat, f"spoolgate-{command}.1: the example of --help is not there: {example}")
    row("man pages: sections, cross-references, statuses, examples of --help, mandoc -T lint", f"{len(names)} pages")


# --- the configuration ----------------------------------------------------------------------------


def leaves(value, path=""):
    for name, more in value.items():
        here = f"{path}.{name}" if path else name
        if isinstance(more, dict) and more:
            yield from leaves(more, here)
        else:
            yield here, more


def configured(directory, value, verb):
    path = os.path.join(directory, "c.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)
    return program("config", verb, "-c", path)


def schema_keys():
    """The rows of the schema that hold a value, those of send.types and assume_role below them."""
    text = read("gateway/config_schema.c")
    tables = re.split(r"^static const struct config_key (\w+)\[\] = \{", text, flags=re.M)[1:]
    below = {"keys": "", "type_keys": "send.types.NAME.", "role_keys": "credentials.assume_role."}
    found = set()
    for name, body in zip(tables[::2], tables[1::2]):
        body = body.partition("\n};")[0]
        names = re.findall(r'^    (?:\{\.name = |(?:BOOL|CHOICE|COUNT|DURATION|DIRECTORY|FILE_OR_NULL)\()"([a-z0-9_.]+)"',
                           body, re.M)
        kinds = dict(re.findall(r'\{\.name = "([a-z0-9_.]+)",\s*\.kind = CONFIG_KIND_(\w+)', body))
        found |= {below[name] + n for n in names if kinds.get(n) != "OBJECT"}
    return found


def documented_keys():
    """{key: (what it may be, default or None if required, restart, example or None)}"""
    found = {}
    body = page("spoolgate.json.5").partition(".Ss Keys")[2].partition("\n.Sh ")[0]
    for name, text in re.findall(r"^\.It Ic (\S+)\n(.*?)(?=^\.It |\Z)", body, re.M | re.S):
        head = " ".join(text.partition("\n.Pp")[0].split())
        match = re.fullmatch(r"(.*?)\. (Required|Default: (.*?))\.( Takes a restart\.)?", head)
        if not check(match, f"spoolgate.json.5: {name} begins with {head!r}"):
            continue
        example = re.search(r"^\.Bd -literal .*\n(.*)\n\.Ed", text, re.M)
        found[name] = match[1], match[3], bool(match[4]), example and roff(example[1])
    return found


def keys_have_range_and_default():
    example = json.loads(read("examples/spoolgate.json"))
    role = {"arn": "arn:aws:iam::111122223333:role/name"}

    def wreck(value, path=""):
        if isinstance(value, dict) and value and path != "send.types":
            return {k: wreck(v, f"{path}.{k}" if path else k) for k, v in value.items()}
        return "x" if isinstance(value, bool) else True
    with scratch_dir() as directory:
        faults = configured(directory, wreck(example), "check").stderr
        example["send"]["types"] = {"NAME": {"class": 1, "priority": "x", "content": 1}}
        example["credentials"]["assume_role"] = dict.fromkeys(
            ("arn", "external_id", "session_name", "duration", "endpoint"), 1)
        faults += configured(directory, example, "check").stderr
        expected = dict(re.findall(r": \$\.(\S+): expected (.*), found .*", faults))
        least = {k: example[k] for k in ("spool", "state", "account_name")}
        least["bucket"] = {k: example["bucket"][k] for k in ("arn", "region")}
        shown = configured(directory, {**least, "after_delivery": {"action": "archive"},
                                       "credentials": {"assume_role": role}}, "show")
        defaults = {k: json.dumps(v) for k, v in leaves(json.loads(shown.stdout))}
        plain = dict(leaves(json.loads(configured(directory, least, "show").stdout)))
        defaults |= {k: json.dumps(plain[k]) for k in ("after_delivery.action", "credentials.assume_role")}
        defaults |= {"send.types.NAME.class": "that of send.unnamed", "send.types.NAME.content": "that of content",
                     "send.types.NAME.priority": "0"}
        required = {"credentials.assume_role.arn"}
        for key in list(least) + ["bucket.arn", "bucket.region"]:
            less = json.loads(json.dumps(least))
            if "." in key:
                del less["bucket"][key.partition(".")[2]]
            else:
                del less[key]
            if configured(directory, less, "check").returncode == 100:
                required.add(key)
        keys = schema_keys()
        same(expected, keys, "examples/spoolgate.json, as far as the program complains of it,")
        documented = documented_keys()
        same(documented, keys, "spoolgate.json.5")
        readme = read("README.md")
        restart = set(re.findall(r"^\| `([a-z_.]+)` ° \|", readme, re.M))
        same({k for k, v in documented.items() if v[2]}, restart, "spoolgate.json.5, keys that take a restart,")
        examples = 0
        for key, (what, default, _, text) in documented.items():
            check_equal(what[:1].lower() + what[1:] if what[:1].isupper() and not expected.get(key, "")[:1].isupper()
                        else what, expected.get(key), f"spoolgate.json.5: what {key} may be")
            check_equal(default, None if key in required else defaults.get(key), f"spoolgate.json.5: default of {key}")
            if not text:
                continue
            examples += 1
            trial = json.loads(json.dumps(least))
            if key in ("after_delivery.keep", "after_delivery.max_size"):
                trial["after_delivery"] = {"action": "archive"}
            if key.startswith("bucket.encryption."):
                trial["bucket"]["encryption"] = {"algorithm": "aws:kms"}
            at = trial
            for part in key.split(".")[:-1]:
                at = at.setdefault(part, {})
            at |= json.loads("{" + text + "}")
            check_equal(list(json.loads("{" + text + "}")), [key.rsplit(".", 1)[-1]], f"the example of {key} names")
            done = configured(directory, trial, "check")
            check_equal((done.returncode, done.stderr), (0, ""), f"spoolgate.json.5: the example of {key}")
    row("keys of the configuration in spoolgate.json(5) and the reverse: range, default, restart",
        f"{len(keys)} keys, {examples} examples")


# --- completions ----------------------------------------------------------------------------------

ZSH = r"""
PS1= PS2= RPS1= ; unsetopt zle_bracketed_paste 2>/dev/null
fpath=(%(dir)s $fpath); autoload -Uz compinit; compinit -u -D; zmodload zsh/complist 2>/dev/null
compadd() {
    if [[ ${@[1,(i)(-|--)]} = *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
    local -a hits; builtin compadd -A hits "$@"; print -rl -- $hits >>%(out)s; builtin compadd "$@"
}
zle -C capture list-choices _main_complete
captured() { zle capture; print -r -- END >>%(out)s; BUFFER= }
zle -N captured; bindkey '^X^X' captured
print -r -- END >>%(out)s
"""
BASH = r"""
PS1=; source %(dir)s/spoolgate.bash
captured() { _spoolgate "$@"; { printf '%%s\n' "${COMPREPLY[@]}"; echo END; } >>%(out)s; COMPREPLY=(); }
complete -F captured spoolgate; echo END >>%(out)s
"""


class Shell:
    """An interactive shell on a terminal of its own; complete() is what it offers for a line."""

    START = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}

    def __init__(self, name, directory, environment):
        self.name, self.environment = name, {**environment, "TERM": "dumb", "HOME": directory}
        self.out = os.path.join(directory, name + ".out")
        self.seen = 0
        if name == "fish":
            return
        self.terminal, slave = pty.openpty()
        self.process = start_process(self.START[name], stdin=slave, stdout=slave, stderr=slave,
                                     env=self.environment, cwd=directory, start_new_session=True)
        os.close(slave)
        threading.Thread(target=self._drain, daemon=True).start()
        setup = os.path.join(directory, name + ".rc")
        with open(setup, "w", encoding="utf-8") as file:
            file.write((ZSH if name == "zsh" else BASH) % {"dir": COMPLETIONS, "out": self.out})
        self._ask(f" . {setup}\n")

    def _drain(self):
        try:
            while os.read(self.terminal, 65536):
                pass
        except OSError:
            pass

    def _answers(self):
        try:
            with open(self.out, encoding="utf-8") as file:
                return file.read().split("END\n")
        except FileNotFoundError:
            return [""]

    def _ask(self, keys):
        os.write(self.terminal, keys.encode())
        if not wait_until(lambda: len(self._answers()) > self.seen + 1, 20):
            raise RuntimeError(f"{self.name} does not answer to {keys!r}")
        self.seen += 1
        return [line for line in self._answers()[self.seen - 1].split("\n") if line]

    def complete(self, line):
        if self.name == "fish":
            done = subprocess.run(["fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]",
                                   os.path.join(COMPLETIONS, "spoolgate.fish"), line], capture_output=True,
                                  text=True, env=self.environment, timeout=60 * SLOW)
            check_equal(done.stderr, "", f"fish, {line}")
            return {word.partition("\t")[0] for word in done.stdout.splitlines()}
        return {w.rstrip() for w in self._ask(line + ("\x18\x18" if self.name == "zsh" else "\t\x15"))}

    def close(self):
        if self.name != "fish":
            self.process.kill()
            stop_process(self.process)
            os.close(self.terminal)


def shells_complete():
    all_commands = commands()
    with store() as bucket, scratch_dir() as directory, Gateway(bucket, {
            "send": {"types": {"audit": {"class": "raw"}}, "unnamed": "processed", "raw": False}}) as gateway:
        os.symlink(SPOOLGATE, os.path.join(directory, "spoolgate"))
        held = key("audit", "held.json")
        put = gateway.cli("put", held, stdin=event())
        check_equal(put.returncode, 0, put.stderr)
        wait_until(lambda: gateway.files("held"))
        takes = {}
        for command in ("retry", "hold", "release", "forget"):
            said = gateway.cli(command, "--state", "nonsense").stderr
            takes[command] = set(re.findall(r"[a-z]+", said.rpartition(" takes ")[2])) - {"or"}
            item = page(f"spoolgate-{command}.1").partition(".It Fl -state")[2].partition("\n.It ")[0]
            same(re.findall(r"^\.Cm ([a-z]+)", item, re.M), takes[command], f"spoolgate-{command}.1, --state,")
        root = "Panoptica"
        environment = clean_environment(SPOOLGATE_CONFIG=gateway.config_path,
                                        PATH=f"{directory}:{os.environ['PATH']}")
        for name in ("bash", "zsh", "fish"):
            shell = Shell(name, directory, environment)

            def offers(line, wanted, exactly=True):
                got = shell.complete(line)
                wanted = set(wanted)
                check(got == wanted if exactly else wanted <= got,
                      f"{name}, {line!r}: offers {sorted(got)}, not {sorted(wanted)}")
            same(shell.complete("spoolgate ") - {"-h", "--help", "-V", "--version"}, all_commands, f"{name}'s list of commands")
            for command in all_commands:
                got = set()
                for verb in ([f"{v} " for v in VERBS[command]] if command in VERBS else [""]):
                    got |= shell.complete(f"spoolgate {command} {verb}--")
                got = {w.partition("=")[0] for w in got if w.startswith("--")}
                same(got | {"--json"}, {o for o in told(command) | COMMON if o.startswith("--")}, f"{name}, {command} --")
            for command in VERBS:
                offers(f"spoolgate {command} ", VERBS[command])
            offers("spoolgate ls --state ", states())
            offers("spoolgate ls --state he", {"held"})
            for command, taken in takes.items():
                offers(f"spoolgate {command} --state ", taken)
            offers("spoolgate policy check x --acl ", {"bucket-owner-full-control", "none"})
            got = shell.complete("spoolgate policy check x --encryption ")
            check_equal(got, {"AES256", "aws:kms", "aws:kms:dsse"}, f"{name}: encryptions")
            offers("spoolgate put ", {root + "/"}, name != "fish")  # fish: files, too
            offers(f"spoolgate put {root}/", {f"{root}/audit/"}, False)
            offers(f"spoolgate put {root}/audit/", {f"{root}/audit/{TODAY}/"})
            offers(f"spoolgate put {root}/audit/{TODAY}/", {f"{root}/audit/{TODAY}/prod/"})
            if name == "zsh":  # component by component
                check(shell.complete("spoolgate release ") & {root, root + "/", held}, "zsh: release offers the held file")
                check(not shell.complete("spoolgate forget nothing-like-it"), "zsh: forget offers what is not there")
            else:
                offers("spoolgate release ", {held})
                offers(f"spoolgate why {held[:-4]}", {held})
                offers(f"spoolgate retry -c {gateway.config_path} {root}/", {held})
                offers("spoolgate forget nothing-like-it", set())
            shell.close()
    row("bash, zsh, fish complete commands, options, states, keys, files", "as --help and the gateway say")


run_tests([commands_and_options_have_their_page, pages_are_whole, keys_have_range_and_default, shells_complete])
