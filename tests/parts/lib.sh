# What the parts of the test run share; they source it. Each part is a program of its own that prints
# a line for each thing it ran and ends with "N passed, N failed"; it exits 1 if anything failed.

set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 111
passed=0 failed=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sg-XXXXXX")
chmod 711 "$scratch" # producers with other uids pass through it
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

end_part() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}

# A fact of its own, when no program counts.
fact() { # 0|1 TEXT
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $2"
    fi
}

# Configure and build; a failure ends the part.
build() { # PRESET TARGET…
    local preset=$1 began=$SECONDS
    shift
    if ! { cmake --preset "$preset" && ninja -C "build/$preset" "$@"; } >"$scratch/build.log" 2>&1; then
        grep -E -A 15 'FAILED|error:|Error' "$scratch/build.log" | head -n 60
        fact 1 "build/$preset does not build"
        end_part
    fi
    echo "build/$preset: built in $((SECONDS - began)) s"
}

# Run a program that counts its cases, in Criterion's words or in ours, and add them up. Its output is
# shown when something failed. A program that says nothing, or ends badly without a failed case,
# is a failed case. $limit seconds are its time, for a slow tool so many times more.
run_counted() { # NAME COMMAND…
    local name=$1 began=$SECONDS status line p=0 f=0
    shift
    timeout --kill-after=10 "$(awk "BEGIN { print ${limit:-300} * ${SPOOLGATE_SLOW:-1} }")" "$@" >"$scratch/out" 2>&1 </dev/null
    status=$?
    line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed|Synthesis: Tested:' "$scratch/out" | tail -n 1)
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
        p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]}
    elif [[ $line =~ Tested:[^0-9]*([0-9]+).*Passing:[^0-9]*([0-9]+) ]]; then
        p=${BASH_REMATCH[2]} f=$((BASH_REMATCH[1] - p))
    fi
    [ $((p + f)) -gt 0 ] || status=1
    if [ "$status" != 0 ] && [ "$f" = 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f))
    if [ "$f" = 0 ]; then
        printf 'ok     %-32s %5d passed              %4d s\n' "$name" "$p" $((SECONDS - began))
        return
    fi
    printf 'FAILED %-32s %5d passed, %3d failed  %4d s (status %d%s)\n' "$name" "$p" "$f" \
        $((SECONDS - began)) "$status" "$([ "$status" != 124 ] || echo ': took too long')"
    { # the verdicts first, Criterion's and ours: they may stand far above the end
        grep -aE -A 4 '\[(----|FAIL)\]' "$scratch/out" | head -n 60
        grep -aE '^FAILED:' "$scratch/out" | head -n 40
        echo "--- the end of what it said:"
        tail -n 40 "$scratch/out"
    } | sed 's/^/       /'
}

# The unit programs of a build, those named or all.
run_unit() { # PRESET [FOLDER…]
    local preset=$1 program found=0
    shift
    for program in "build/$preset"/tests/unit-*; do
        case $program in *-plain) continue ;; esac
        [ -x "$program" ] || continue
        [ $# = 0 ] || case " $* " in *" ${program##*/unit-} "*) ;; *) continue ;; esac
        found=$((found + 1))
        run_counted "${program##*/} ($preset)" "$program" --ignore-warnings # a test's log line is no fault
    done
    [ "$found" -ge "$(($# > 0 ? $# : 1))" ] || fact 1 "unit programs are missing in build/$preset"
}

run_torture() { # PRESET
    local program
    for program in "build/$1"/tests/torture/torture-*; do
        [ -x "$program" ] && run_counted "${program##*/} ($1)" "$program"
    done
}

# The scripts of tests/e2e whose comment `# NAME: …` has WORD; "run-on devstore" is what a script
# without the comment means. Those with `# takes: long` come first, lest they run on alone at the end.
e2e_scripts() { # NAME WORD
    local script line
    for script in $(grep -l '^# takes: long' tests/e2e/*.py) $(grep -L '^# takes: long' tests/e2e/*.py); do
        case $script in */lib.py | */powercut.py | */s3client.py | */sigv4_botocore.py) continue ;; esac
        line=$(sed -n "s/^# $1: *//p" "$script" | head -n 1)
        if [ "$1" = run-on ] && [ -z "$line" ]; then line=devstore; fi
        case " $line " in *" $2 "*) echo "$script" ;; esac
    done
}

# The same beside others, SPOOLGATE_JOBS at once; each with a TMPDIR of its own. end_counted waits for
# all of them and adds up.
begin_counted() { # NAME COMMAND…
    local name=$1 job
    shift
    while [ "$(jobs -rp | wc -l)" -ge "${SPOOLGATE_JOBS:-3}" ]; do
        wait -n
    done
    job=$(mktemp -d "$scratch/XXXXXX")
    chmod 711 "$job"
    {
        trap - EXIT
        scratch=$job passed=0 failed=0
        run_counted "$name" env TMPDIR="$job" "$@"
        echo "$passed $failed" >"$job/counts"
    } &
}

end_counted() {
    local job p f
    wait
    for job in "$scratch"/*/; do
        read -r p f <"$job/counts" || f=1
        passed=$((passed + p)) failed=$((failed + f))
        rm -rf "$job"
    done
}

# Three at a time: most of a script's time is waiting.
run_e2e() { # PRESET STORE LABEL SCRIPT…
    local preset=$1 store=$2 label=$3 script
    shift 3
    [ $# -gt 0 ] || fact 1 "no end-to-end script is meant for $label"
    for script in "$@"; do
        begin_counted "$(basename "$script" .py) ($label)" env SPOOLGATE_STORE="$store" \
            SPOOLGATE_BUILD="$PWD/build/$preset" /usr/bin/python3 "$script" "$PWD/build/$preset"
    done
    end_counted
}
