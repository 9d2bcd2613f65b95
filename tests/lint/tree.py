"""What the checks look at: the files of the tree, committed or about to be."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files(*suffixes):
    """Paths relative to ROOT, sorted; of an unpacked archive all but build/ and hidden ones."""
    try:
        out = subprocess.run(
            ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            check=True, capture_output=True, text=True).stdout
        names = out.split("\0")
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, below, here in os.walk(ROOT):
            below[:] = [b for b in below if b != "build" and not b.startswith(".")]
            names += [os.path.relpath(os.path.join(folder, name), ROOT) for name in here]
    return sorted({n for n in names
                   if n.endswith(suffixes or "") and os.path.isfile(os.path.join(ROOT, n))})


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as f:
        return f.read()


_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code(name):
    """The text without comments and literals; line numbers stay."""
    return _TOKEN.sub(lambda m: " " + "\n" * m.group().count("\n"), read(name))


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def finish(findings):
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
