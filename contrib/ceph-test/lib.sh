# What the scripts of this folder share; they source it.
#
# Everything of a cluster is in one directory: configuration, keys, the monitor's store, logs, the
# sockets and the pid files. `run` names it.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bucket=customer-siem
region=eu-central-1
role=panoptica-customer
# A tenant of RGW's stands in the account field of its ARNs, so this one makes them look as AWS's.
account=111122223333
owner_access=CUSTOMEROWNER0000000
owner_secret=customer-owner-secret
root_access=CUSTOMERROOT00000000
root_secret=customer-root-secret
caller_access=PANOPTICACALLER00000
caller_secret=panoptica-caller-secret

say() { echo "$*" >&2; }
die() {
    say "$(basename "$0"): $*"
    exit 111
}

choose_run_dir() { # [DIR]
    run=${1:-${SPOOLGATE_CEPH_RUN:-${XDG_RUNTIME_DIR:-/tmp}/spoolgate-ceph-$(id -u)}}
    case $run in /*) ;; *) run=$PWD/$run ;; esac
    case $run in
    *[!A-Za-z0-9/._~+-]*) die "Ceph wants a directory of letters, digits and /._~+-: $run" ;;
    esac
}

# Is the program of the pid file still the one that was started?
daemon_runs() { # ceph-mon|ceph-osd|radosgw
    local pid
    pid=$(cat "$run/$1.pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "-c $run/ceph.conf"
}

# Stop what was started, the gateway first.
stop_daemons() {
    local name pid
    for name in radosgw ceph-osd ceph-mon; do
        daemon_runs "$name" || continue
        pid=$(cat "$run/$name.pid")
        # The data is in memory and goes away anyway, so nothing has to be left in order.
        kill -KILL "$pid" 2>/dev/null || true
        for _ in $(seq 100); do
            daemon_runs "$name" || break
            sleep 0.05
        done
    done
}
