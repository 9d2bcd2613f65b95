# fish completion for spoolgate: commands, options, their values, and the files in the gateway's care.

set -l all run put test check status ls why retry hold release forget receipts policy journal config setup console

function __spoolgate_config --description 'the -c of the command line'
    set -l words (commandline -xpc 2>/dev/null; or commandline -opc)
    set -l taken
    for word in $words
        if set -q taken[1]
            printf '%s\n' -c $word
            return
        end
        switch $word
            case -c --config
                set taken 1
            case '--config=*'
                printf '%s\n' -c (string replace -- --config= '' $word)
                return
        end
    end
end
function __spoolgate_paths --description 'STATE…: paths that begin with the word'
    set -l word (commandline -ct)
    set -l config (__spoolgate_config)
    for state in $argv
        set -l of --state $state
        test $state = all; and set of
        spoolgate ls $config --json $of -- "$word*" 2>/dev/null
    end | string replace -rf '.*"path": *"([^"\\\\]*)".*' '$1' | head -n 1000
end
function __spoolgate_event_types
    set -l config (__spoolgate_config)
    begin
        spoolgate config show $config 2>/dev/null | string match -ra '"[^"\\\\{}]*":\{"class"' | string split -f 2 '"'
        spoolgate status $config --json 2>/dev/null | string match -ra '"event_type":"[^"\\\\]*"' | string split -f 4 '"'
    end | sort -u
end
function __spoolgate_key --description 'the next component of a key, as the layout has it'
    set -l word (commandline -ct)
    set -l shown (spoolgate config show (__spoolgate_config) 2>/dev/null); or return
    set -l layout (string replace -rf '.*"layout": *"([^"\\\\]*)".*' '$1' -- $shown)
    set -l account (string replace -rf '.*"account_name": *"([^"\\\\]*)".*' '$1' -- $shown)
    set -l parts (string split / -- $layout)
    set -l given (string split / -- $word)
    set -l base (string replace -r '[^/]*$' '' -- $word)
    switch "$parts[$(count $given)]"
        case '{event_type}'
            for name in (__spoolgate_event_types)
                echo $base$name/
            end
        case '{date}'
            echo $base(date -u +%F)/
        case '{account}'
            echo $base$account/
        case '' '{*' any
        case '*'
            echo $base$parts[(count $given)]/
    end
end
function __spoolgate_profiles
    set -l files ~/.aws/credentials ~/.aws/config
    set -q AWS_SHARED_CREDENTIALS_FILE; and set files[1] $AWS_SHARED_CREDENTIALS_FILE
    set -q AWS_CONFIG_FILE; and set files[2] $AWS_CONFIG_FILE
    cat $files 2>/dev/null | string replace -rf '^\[(?:profile )?([^] ]*)\]$' '$1' | sort -u
end

complete -c spoolgate -f
complete -c spoolgate -n "not __fish_seen_subcommand_from $all" -s h -l help -d 'Commands and options'
complete -c spoolgate -n "not __fish_seen_subcommand_from $all" -s V -l version -d 'The version'
set -l top "not __fish_seen_subcommand_from $all"
complete -c spoolgate -n $top -a run -d 'The gateway, in the foreground'
complete -c spoolgate -n $top -a put -d 'Stdin or a file into the spool, durably'
complete -c spoolgate -n $top -a test -d 'Send one test message now'
complete -c spoolgate -n $top -a check -d 'What can be known without writing'
complete -c spoolgate -n $top -a status -d 'Is everything delivered, and if not, why'
complete -c spoolgate -n $top -a ls -d 'Files that are not delivered yet'
complete -c spoolgate -n $top -a why -d 'State of one file, and what to do'
complete -c spoolgate -n $top -a retry -d 'Rejected, held or waiting files: try now'
complete -c spoolgate -n $top -a hold -d 'Do not send waiting files'
complete -c spoolgate -n $top -a release -d 'Send held files'
complete -c spoolgate -n $top -a forget -d 'Never send files as they are'
complete -c spoolgate -n $top -a receipts -d 'What was delivered'
complete -c spoolgate -n $top -a policy -d "The bucket's access policy"
complete -c spoolgate -n $top -a journal -d 'Dump or verify the journal'
complete -c spoolgate -n $top -a config -d 'Check or show the configuration'
complete -c spoolgate -n $top -a setup -d 'Account, role, bucket: a tested configuration'
complete -c spoolgate -n $top -a console -d 'A link to the console in a browser'

set -l any "__fish_seen_subcommand_from $all"
complete -c spoolgate -n $any -s c -l config -r -F -d 'The configuration'
complete -c spoolgate -n $any -l json -d 'Facts as JSON'
complete -c spoolgate -n $any -s h -l help -d 'What it does, with an example'

function __spoolgate_is --description 'COMMAND…: is it the command?'
    set -l words (commandline -xpc 2>/dev/null; or commandline -opc)
    contains -- "$words[2]" $argv
end
function __spoolgate_no_verb --description 'COMMAND VERB…: is it without a verb yet?'
    __spoolgate_is $argv[1]; and not __spoolgate_verb $argv[2..]
end
function __spoolgate_verb
    set -l words (commandline -xpc 2>/dev/null; or commandline -opc)
    for word in $words[3..]
        contains -- $word $argv; and return 0
    end
    return 1
end

complete -c spoolgate -n '__spoolgate_is console' -l port -x -d 'Of the link'
complete -c spoolgate -n '__spoolgate_is console' -l open -d "In this user's browser"
complete -c spoolgate -n '__spoolgate_is setup' -l account -x -d "The account's name in the keys"
complete -c spoolgate -n '__spoolgate_is setup' -l role -x -d 'ARN of the role to assume'
complete -c spoolgate -n '__spoolgate_is setup' -l external-id -x -d "What the role's trust policy demands"
complete -c spoolgate -n '__spoolgate_is setup' -l keys-as-they-are -d 'Assume no role'
complete -c spoolgate -n '__spoolgate_is setup' -l bucket-arn -x -d 'The bucket'
complete -c spoolgate -n '__spoolgate_is setup' -l region -x -d "The bucket's region"
complete -c spoolgate -n '__spoolgate_is setup' -l endpoint -x -d 'URL of a store that is not AWS'
complete -c spoolgate -n '__spoolgate_is setup' -l path-style -d 'The bucket goes into the path'
complete -c spoolgate -n '__spoolgate_is setup' -l ca-file -r -F -d 'Certificates to trust'
complete -c spoolgate -n '__spoolgate_is setup' -l allow-http -d 'Plain http to another host'
complete -c spoolgate -n '__spoolgate_is setup' -l profile -x -a '(__spoolgate_profiles)' -d "A profile of the AWS tools' files"
complete -c spoolgate -n '__spoolgate_is setup' -l spool -x -a '(__fish_complete_directories)' -d 'Where producers write'
complete -c spoolgate -n '__spoolgate_is setup' -l state -x -a '(__fish_complete_directories)' -d 'Where the journal is'
complete -c spoolgate -n '__spoolgate_is setup' -l control -r -F -d 'The control socket'
complete -c spoolgate -n '__spoolgate_is setup' -l copy -d 'The policy into the clipboard'
complete -c spoolgate -n '__spoolgate_is setup' -l yes -d 'Do not wait for the policy'
complete -c spoolgate -n '__spoolgate_is setup' -l save-anyway -d 'Save even if the test fails'

complete -c spoolgate -n '__spoolgate_is check' -l offline -d 'No request to the store'
complete -c spoolgate -n '__spoolgate_is put' -l wait -d 'Until it is in the bucket; --wait=SECONDS'
complete -c spoolgate -n '__spoolgate_is put receipts' -a '(__spoolgate_key)'
complete -c spoolgate -n '__spoolgate_is put' -F
complete -c spoolgate -n '__spoolgate_is status' -l watch -d 'The whole terminal, once a second'
complete -c spoolgate -n '__spoolgate_is status' -l max-age -x -a '30s 60s 5min 1h' -d '1 if a file waits longer'
complete -c spoolgate -n '__spoolgate_is receipts' -l since -x -a '1h 24h 7d (date -u +%F)' -d 'Delivered then or later'
complete -c spoolgate -n '__spoolgate_is receipts' -l until -x -a '1h 24h 7d (date -u +%F)' -d 'Delivered then or before'

complete -c spoolgate -n '__spoolgate_is ls' -l state -x -a 'settling accepted sending deferred held rejected forgotten delivered' -d 'Only these'
complete -c spoolgate -n '__spoolgate_is retry' -l state -x -a 'held rejected forgotten deferred' -d 'Only these'
complete -c spoolgate -n '__spoolgate_is hold' -l state -x -a 'accepted sending deferred held' -d 'Only these'
complete -c spoolgate -n '__spoolgate_is release' -l state -x -a held -d 'Only these'
complete -c spoolgate -n '__spoolgate_is forget' -l state -x -a 'accepted sending deferred held' -d 'Only these'
complete -c spoolgate -n '__spoolgate_is retry hold release forget' -l all -d 'All that the command is meant for'
complete -c spoolgate -n '__spoolgate_is hold release forget' -s y -l yes -d 'Do not ask'
complete -c spoolgate -n '__spoolgate_is ls why' -a '(__spoolgate_paths all)'
complete -c spoolgate -n '__spoolgate_is retry' -a '(__spoolgate_paths held rejected forgotten)'
complete -c spoolgate -n '__spoolgate_is hold' -a '(__spoolgate_paths accepted deferred)'
complete -c spoolgate -n '__spoolgate_is release' -a '(__spoolgate_paths held)'
complete -c spoolgate -n '__spoolgate_is forget' -a '(__spoolgate_paths accepted deferred held)'

complete -c spoolgate -n '__spoolgate_no_verb config check show' -a 'check show'
complete -c spoolgate -n '__spoolgate_no_verb journal dump verify' -a 'dump verify'
complete -c spoolgate -n '__spoolgate_is journal; and not __spoolgate_verb dump' -l fix -d 'Mend what is damaged'
complete -c spoolgate -n '__spoolgate_no_verb policy generate merge check explain' -a 'generate merge check explain'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb merge check explain' -F
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb generate merge check' -l role -x -d 'Who writes'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb generate merge check' -l account -x -d "A configured account's role"
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb generate merge check' -l bucket-arn -x -d 'The bucket'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb generate merge' -l put-role -x -d 'Another role for the second statement'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb generate merge' -l minimal -d 'Only what the configuration needs'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb generate merge' -l output -r -F -d 'Into a new file'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb generate merge' -l force -d 'Replace that file'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb generate merge' -l copy -d 'To the clipboard'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb merge' -l only -d 'Roles not given now are removed'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb check' -l key -x -d "A typical object's key"
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb check' -l session -x -d "Name of the role's session"
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb check' -l acl -x -a 'bucket-owner-full-control none' -d 'ACL of uploads'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb check' -l encryption -x -a 'AES256 aws:kms aws:kms:dsse' -d 'Encryption of uploads'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb check' -l kms-key -x -d 'KMS key of uploads'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb check' -l storage-class -x -a 'STANDARD STANDARD_IA ONEZONE_IA INTELLIGENT_TIERING GLACIER_IR GLACIER DEEP_ARCHIVE' -d 'Storage class of uploads'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb check' -l tag -x -d 'KEY=VALUE of uploads'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb check' -l with -x -a 'aws:SourceVpce= aws:SourceVpc= aws:SourceIp= aws:SecureTransport= aws:PrincipalOrgID=' -d 'A context key of requests'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb check' -l without -x -a 'aws:SourceVpce aws:SourceVpc aws:SourceIp aws:SecureTransport aws:PrincipalOrgID' -d 'A context key that is absent'
complete -c spoolgate -n '__spoolgate_is policy; and __spoolgate_verb check' -l request -r -F -d 'One request as JSON'
