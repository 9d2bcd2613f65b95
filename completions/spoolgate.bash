# bash completion for spoolgate: commands, options, their values, and the files in the gateway's care.
# Needs nothing but bash; asks the gateway only where a file is wanted.

# What the configuration and the gateway say; the command as it was typed is in $program.
_spoolgate_paths() { # STATE…: paths that begin with $value
    local state
    for state in "$@"; do
        "$program" ls "${config[@]}" --json ${state:+--state "$state"} -- "$value*"
    done 2>/dev/null | sed -n 's/.*"path": *"\([^"\\]*\)".*/\1/p' | head -n 1000
}
_spoolgate_event_types() {
    {
        "$program" config show "${config[@]}" | grep -o '"[^"\\{}]*":{"class"' | cut -d '"' -f 2
        "$program" status "${config[@]}" --json | grep -o '"event_type":"[^"\\]*"' | cut -d '"' -f 4
    } 2>/dev/null | sort -u
}
# The next component of a key, as the layout has it.
_spoolgate_key() {
    local shown layout account part slashes=${value//[!\/]/} base= word
    local -a parts
    shown=$("$program" config show "${config[@]}" 2>/dev/null) || return
    layout=$(sed -n 's/.*"layout": *"\([^"\\]*\)".*/\1/p' <<<"$shown")
    account=$(sed -n 's/.*"account_name": *"\([^"\\]*\)".*/\1/p' <<<"$shown")
    IFS=/ read -ra parts <<<"$layout"
    part=${parts[${#slashes}]:-}
    [[ $value != */* ]] || base=${value%/*}/
    case $part in
    '{event_type}') for word in $(_spoolgate_event_types); do echo "$base$word/"; done ;;
    '{date}') echo "$base$(date -u +%F)/" ;;
    '{account}') echo "$base$account/" ;;
    '' | '{'* | any) ;;
    *) echo "$base$part/" ;;
    esac
}
_spoolgate_profiles() {
    sed -n 's/^\[\(profile \)\{0,1\}\([^] ]*\)\]$/\2/p' "${AWS_SHARED_CREDENTIALS_FILE:-$HOME/.aws/credentials}" \
        "${AWS_CONFIG_FILE:-$HOME/.aws/config}" 2>/dev/null | sort -u
}

_spoolgate() {
    local program=$1 line=${COMP_LINE:0:COMP_POINT} cur value option= command verb= i
    local common='-c --config --json -h --help' takes options= candidates=
    local -a words config=()
    COMPREPLY=()
    read -ra words <<<"$line"
    cur=${line##*[[:space:]]} value=$cur
    [ -n "$cur" ] || words+=('')
    local last=$((${#words[@]} - 1))
    command=${words[1]:-}

    if [ "$last" -le 1 ]; then
        candidates='run put test check status ls why retry hold release forget receipts policy
            journal config setup console -h --help -V --version'
        COMPREPLY=($(compgen -W "$candidates" -- "$cur"))
        return
    fi

    for ((i = 2; i < last; i++)); do
        case ${words[i]} in
        -c | --config) config=(-c "${words[i + 1]}") ;;
        --config=*) config=(-c "${words[i]#*=}") ;;
        esac
    done
    # Options that take a value; --wait has its own in the same word only.
    takes=' -c --config --state --max-age --since --until --port --account --role --external-id --bucket-arn
        --region --endpoint --ca-file --profile --spool --control --put-role --output --key --session --acl
        --encryption --kms-key --storage-class --tag --with --without --request '
    takes=" ${takes//$'\n'/ } "
    if [[ $cur == --*=* ]]; then
        option=${cur%%=*} value=${cur#*=}
    elif [[ $takes == *" ${words[last - 1]} "* ]]; then
        option=${words[last - 1]}
    fi

    for ((i = 2; i < last; i++)); do # the first word that is no option and no value of one
        [[ ${words[i]} != -* && $takes != *" ${words[i - 1]} "* ]] || continue
        verb=${words[i]}
        break
    done
    case $command in
    setup)
        options='--account --role --external-id --keys-as-they-are --bucket-arn --region --endpoint
            --path-style --ca-file --allow-http --profile --spool --state --control --copy --yes --save-anyway'
        ;;
    console) options='--port --open' ;;
    check) options=--offline ;;
    put) options=--wait ;;
    status) options='--watch --max-age' ;;
    ls) options=--state ;;
    retry) options='--state --all' ;;
    hold | release | forget) options='--state --all -y --yes' ;;
    receipts) options='--since --until' ;;
    journal) [ "$verb" = dump ] || options=--fix ;;
    policy)
        case $verb in
        generate | merge)
            options='--role --account --bucket-arn --put-role --minimal --output --force --copy'
            [ "$verb" = generate ] || options+=' --only'
            ;;
        check)
            options='--role --account --bucket-arn --key --session --acl --encryption --kms-key
                --storage-class --tag --with --without --request'
            ;;
        esac
        ;;
    esac

    case $command$option in
    *-c | *--config | *--ca-file | *--request | *--output | setup--control)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$value")
        ;;
    setup--spool | setup--state)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$value")
        ;;
    release--state) candidates=held ;;
    retry--state) candidates='held rejected forgotten deferred' ;;
    hold--state) candidates='accepted sending deferred held' ;;
    forget--state) candidates='accepted sending deferred held' ;;
    ls--state) candidates='settling accepted sending deferred held rejected forgotten delivered' ;;
    *--max-age) candidates='30s 60s 5min 1h' ;;
    *--since | *--until) candidates="1h 24h 7d $(date -u +%F)" ;;
    *--acl) candidates='bucket-owner-full-control none' ;;
    *--encryption) candidates='AES256 aws:kms aws:kms:dsse' ;;
    *--storage-class)
        candidates='STANDARD STANDARD_IA ONEZONE_IA INTELLIGENT_TIERING GLACIER_IR GLACIER DEEP_ARCHIVE'
        ;;
    *--profile) candidates=$(_spoolgate_profiles) ;;
    *--with | *--without)
        candidates='aws:SourceVpce aws:SourceVpc aws:SourceIp aws:SecureTransport aws:PrincipalOrgID'
        [ "$option" = --without ] || { candidates=${candidates// /= }=; compopt -o nospace; }
        ;;
    *--*) ;; # any text
    *)
        case $command,$cur in
        *,-*) candidates="$common $options" ;;
        policy,* | journal,* | config,*)
            if [ -z "$verb" ]; then
                case $command in
                policy) candidates='generate merge check explain' ;;
                journal) candidates='dump verify' ;;
                config) candidates='check show' ;;
                esac
            elif [ "$command" = policy ] && [ "$verb" != generate ]; then
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -f -- "$value")
            fi
            ;;
        put,*)
            compopt -o filenames -o nospace
            if [ -z "$verb" ]; then
                mapfile -t COMPREPLY < <(compgen -W "$(_spoolgate_key)" -- "$value")
            else
                mapfile -t COMPREPLY < <(compgen -f -- "$value")
            fi
            ;;
        receipts,*)
            compopt -o filenames -o nospace
            mapfile -t COMPREPLY < <(compgen -W "$(_spoolgate_key)" -- "$value")
            ;;
        ls,* | why,*) compopt -o filenames && mapfile -t COMPREPLY < <(_spoolgate_paths '') ;;
        retry,*) compopt -o filenames && mapfile -t COMPREPLY < <(_spoolgate_paths held rejected forgotten) ;;
        hold,*) compopt -o filenames && mapfile -t COMPREPLY < <(_spoolgate_paths accepted deferred) ;;
        release,*) compopt -o filenames && mapfile -t COMPREPLY < <(_spoolgate_paths held) ;;
        forget,*) compopt -o filenames && mapfile -t COMPREPLY < <(_spoolgate_paths accepted deferred held) ;;
        esac
        ;;
    esac
    [ -z "$candidates" ] || COMPREPLY=($(compgen -W "$candidates" -- "$value"))
    # Readline replaces what stands behind the last = or : only.
    if [[ $value == *[:=]* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${value%"${value##*[:=]}"}"}")
    fi
}
complete -F _spoolgate spoolgate
