# What the scripts of this folder share; they source it.
#
# $SPOOLGATE_CACHE (default ~/.cache/spoolgate) keeps the programs, $SPOOLGATE_STORE_RUN the data,
# the log and the `env` file of the store that runs now.

MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
MC_VERSION=v0.0.0-20250313080218-cf909e1063a9
VERSITYGW_VERSION=v1.8.0

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${SPOOLGATE_CACHE:-$HOME/.cache/spoolgate}/bin
run=${SPOOLGATE_STORE_RUN:-${XDG_RUNTIME_DIR:-/tmp}/spoolgate-store-$(id -u)}
bucket=customer-siem
region=eu-central-1
access_key=spoolgate-test
secret_key=spoolgate-test-secret

say() { echo "$*" >&2; }
die() {
    say "$(basename "$0"): $*"
    exit 111
}

# Is the program of the pid file still the one that was started?
store_runs() {
    local pid
    pid=$(cat "$run/pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && grep -qz "^$bin/" "/proc/$pid/cmdline" 2>/dev/null
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# The HTTP status of a GET, over TLS where there is a CA; 000 when nobody listens.
http_status() { # PORT PATH
    if [ -f "$run/tls/ca.pem" ]; then
        printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" |
            timeout 5 openssl s_client -quiet -verify_return_error -CAfile "$run/tls/ca.pem" \
                -connect "127.0.0.1:$1" 2>/dev/null |
            awk 'NR == 1 { print $2; found = 1 } END { if (!found) print "000" }'
        return
    fi
    (
        exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
        printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" >&3
        read -r -t 5 _ status _ <&3 && echo "$status"
    ) 2>/dev/null || echo 000
}

make_run_dir() { # 1: the data in memory
    mkdir -p "$run"
    chmod 700 "$run"
    if [ "${1:-0}" = 1 ]; then
        [ -w /dev/shm ] || die "--tmpfs wants /dev/shm, and it cannot be written"
        mktemp -d /dev/shm/spoolgate-store-XXXXXX >"$run/data-dir"
    else
        mkdir -p "$run/data"
        echo "$run/data" >"$run/data-dir"
    fi
}

# A CA of our own and MinIO's certificate of it, as MinIO's --certs-dir wants it.
make_certificates() {
    local tls=$run/tls new_key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
    mkdir -p "$tls/certs"
    {
        openssl req -x509 "${new_key[@]}" -keyout "$tls/ca.key" -out "$tls/ca.pem" -days 30 \
            -subj '/CN=spoolgate test CA' &&
            openssl req "${new_key[@]}" -keyout "$tls/certs/private.key" -out "$tls/request" \
                -subj /CN=localhost &&
            openssl x509 -req -in "$tls/request" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" \
                -CAcreateserial -out "$tls/certs/public.crt" -days 30 \
                -extfile <(echo subjectAltName=DNS:localhost,IP:127.0.0.1)
    } 2>"$tls/log" || die "openssl cannot make certificates: $(cat "$tls/log")"
}

# mc on the running store, as its administrator.
client() { # ARGUMENTS…
    local scheme=${AWS_ENDPOINT_URL_S3%%://*} host=${AWS_ENDPOINT_URL_S3#*://}
    if [ "$scheme" = https ]; then export SSL_CERT_FILE=$run/tls/ca.pem; fi
    MC_HOST_store=$scheme://$access_key:$secret_key@$host "$bin/mc" --quiet --config-dir "$run/mc" "$@"
}

# Start a store and wait until it answers PATH with one of the statuses. Sets url.
start_store() { # NAME PORT PATH STATUSES COMMAND…
    local name=$1 port=$2 path=$3 statuses=$4
    shift 4
    MINIO_ROOT_USER=$access_key MINIO_ROOT_PASSWORD=$secret_key MINIO_REGION=$region \
        MINIO_BROWSER=off MINIO_UPDATE=off \
        setsid "$@" >>"$run/log" 2>&1 </dev/null &
    echo $! >"$run/pid"
    for _ in $(seq 150); do
        case " $statuses " in *" $(http_status "$port" "$path") "*)
            url=http://127.0.0.1:$port
            [ ! -f "$run/tls/ca.pem" ] || url=https://127.0.0.1:$port
            cat >"$run/env" <<END
export AWS_ACCESS_KEY_ID=$access_key
export AWS_SECRET_ACCESS_KEY=$secret_key
export AWS_DEFAULT_REGION=$region
export AWS_ENDPOINT_URL_S3=$url
END
            return ;;
        esac
        kill -0 "$(cat "$run/pid")" 2>/dev/null || break
        sleep 0.2
    done
    tail -n 20 "$run/log" >&2
    "$here/down" >/dev/null
    die "$name did not start; the lines above are the end of its log"
}
