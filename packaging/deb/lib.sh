# What building and testing the packages share; they source it: roots of Debian releases.

roots=${SPOOLGATE_CACHE:-$HOME/.cache/spoolgate}/roots
root=

die() { # STATUS TEXT
    echo "$(basename "$0"): $2" >&2
    exit "$1"
}

release_number() { # CODENAME
    case $1 in
    bookworm) echo 12 ;;
    trixie) echo 13 ;;
    *) die 100 "the packages are for bookworm and trixie, not for $1" ;;
    esac
}

# The site that this machine's own packages come from.
debian_site() {
    apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' |
        awk '$2 == "main" && $1 !~ /security/ && !n++ { print $1 }'
}

# A tar of a fresh, minimal root; made once.
root_tar() { # RELEASE
    local tar=$roots/$1.tar site
    if [ ! -s "$tar" ]; then
        command -v mmdebstrap >/dev/null || apt-get -qq -y install mmdebstrap >&2
        site=$(debian_site)
        mkdir -p "$roots"
        nice mmdebstrap --quiet --variant=minbase "$1" "$tar.new" "deb $site $1 main" \
            "deb $site $1-updates main" >&2 || die 111 "mmdebstrap could not make a root of $1"
        mv "$tar.new" "$tar"
    fi
    echo "$tar"
}

# How this machine reaches its packages: proxies, and whether their dates count.
apt_options() {
    apt-config dump | grep -Ei '^acquire::(https?|check-)' || true
}

# Unpack a root into a directory of its own, with what programs in it expect to be mounted. With a
# second word, the one that keep_root kept under it, if there is one.
enter_root() { # RELEASE [NAME]
    local tar
    [ "$(id -u)" = 0 ] || die 111 "a root of another release needs root"
    tar=$roots/$1-${2:-}.tar
    [ -n "${2:-}" ] && [ -s "$tar" ] || tar=$(root_tar "$1")
    root=$(mktemp -d "${TMPDIR:-/tmp}/sg-root-XXXXXX")
    chmod 755 "$root"
    tar -C "$root" -xf "$tar"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    apt_options >"$root/etc/apt/apt.conf.d/90host"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # nothing is started by itself
    chmod 755 "$root/usr/sbin/policy-rc.d"
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    local name
    for name in null zero full random urandom tty; do
        touch "$root/dev/$name"
        mount --bind "/dev/$name" "$root/dev/$name"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    mkdir -m 1777 "$root/dev/shm"
}

# Ends the root: what runs in it, what is mounted in it, and it.
leave_root() {
    [ -n "$root" ] || return 0
    local pid
    for pid in /proc/[0-9]*; do
        case $(readlink "$pid/root" 2>/dev/null || true) in
        "$root" | "$root"/*) kill -KILL "${pid#/proc/}" 2>/dev/null || true ;;
        esac
    done
    awk -v root="$root/" 'index($5 "/", root) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while read -r mounted; do umount -l "$mounted" || true; done
    rm -rf --one-file-system "$root"
    root=
}

# Keep what was installed in it, without what was built.
keep_root() { # RELEASE NAME
    local tar=$roots/$1-$2.tar
    tar -C "$root" --one-file-system --exclude=./build --exclude=./var/cache/apt/archives/*.deb \
        -cf "$tar.new" . && mv "$tar.new" "$tar"
}
