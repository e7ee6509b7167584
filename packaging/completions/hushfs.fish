# SPDX-License-Identifier: Apache-2.0
# hushfs.fish: completion of hushfs and hushctl for fish.
#
# Commands, flags, options, and what they take are read from what --help prints, so that there is one list of them. Names
# come from the tables of `hushctl get`, which have no values. Nothing here has a passphrase asked for.

# The lines of --help of a command.
function __hushctl_help
    hushctl $argv --help </dev/null 2>/dev/null
end

# What stands behind a flag, as MESH or FILE; nothing if it takes no value.
function __hushctl_takes --no-scope-shadowing --argument-names flag
    string match -rg -- '(?:^|\s)'$flag'(?:, --[a-z-]+)?\s([A-Z][A-Z=]*|type=TYPE)(?=$|[],\s])' $help | head -n 1
end

# The names in the table of a type, of $mesh if it is secrets.
function __hushctl_names --no-scope-shadowing --argument-names type
    if contains -- --store $where; and not contains -- --key-file $where
        return
    end
    set -l of
    string match -q 'secret*' -- $type; and set of -m $mesh
    set -l rows (hushctl get $type $of $where </dev/null 2>/dev/null | string replace -ra '\s+' ' ' | string trim)
    set -l column (contains -i NAME (string split ' ' -- $rows[1])); or return
    for row in $rows[2..]
        set -l cells (string split ' ' -- $row)
        contains -- $cells[$column] $others[2..]; or echo $cells[$column]
    end
end

# What a flag takes, or may stand where the cursor is.
function __hushctl_words --no-scope-shadowing --argument-names takes word command
    switch $takes:$command:(count $others)
        case 'F:*' 'FILE:*' ':init:0' ':backup:0'
            __fish_complete_path $word
        case 'DIR:*'
            __fish_complete_directories $word
        case 'MESH:*'
            __hushctl_names meshes
        case 'FORM:*'
            printf '%s\n' table yaml json raw
        case 'FORMAT:*'
            printf '%s\n' universal kubernetes
        case 'NAME:*'
            printf '%s\n' kong-mesh-system kuma-system
        case 'type=TYPE:*'
            printf '%s\n' type=system.kuma.io/{secret,global-secret}
        case ':get:0'
            printf '%s\n' {secret,global-secret}{,s} mesh meshes
        case ':delete:0'
            printf '%s\n' secret global-secret mesh
        case ':get:1' ':delete:*'
            __hushctl_names $others[1]
        case ':key:0'
            printf '%s\n' list add remove rotate
        case ':key:1'
            test $others[1] = remove; and seq 0 7
    end
end

# The flags, each with what its line of --help says.
function __hushctl_flags --no-scope-shadowing
    for line in (string match -r '^  -.*' $help)
        set -l text (string replace -r '^  (--?[a-zA-Z][a-z-]*( ([A-Z][A-Z=]*|type=TYPE))?(, | +|$))+' '' -- $line)
        for flag in (string match -ra -- '--[a-z][a-z-]+' (string sub -l (math (string length -- $line) - (string length -- $text)) -- $line))
            printf '%s\t%s\n' $flag $text
        end
    end
end

function __hushctl_complete
    set -l words (commandline -opc)[2..]
    set -l word (commandline -ct)
    set -l command $words[1]
    set -l help (__hushctl_help $command)
    set -l takes
    set -l mesh default
    set -l where
    set -l others
    if test -z "$command"
        string replace -rf '^  ([a-z]+) +(.*)' '$1\t$2' -- $help
        string match -q -- '-*' $word; and printf '%s\n' --help --version
        return
    end
    for part in $words[2..]
        set -l value $part
        if test -z "$takes"
            if not string match -q -- '-*' $part
                set -a others $part
                continue
            end
            set flag (string split -m 1 = -- $part)[1]
            set takes (__hushctl_takes $flag)
            string match -q -- '*=*' $part; or continue
            set value (string split -m 1 = -- $part)[2]
        end
        switch "$flag"
            case -m --mesh
                set mesh $value
            case --mount --store --key-file --passphrase-file --anchor
                set -a where $flag (string replace -r '^~' $HOME -- $value)
        end
        set takes
    end
    if test -n "$takes"
        __hushctl_words $takes $word $command
    else if string match -q -- '--*=*' $word
        set -l flag (string split -m 1 = -- $word)[1]
        set takes (__hushctl_takes $flag)
        test -n "$takes"; and __hushctl_words $takes (string split -m 1 = -- $word)[2] $command | string replace -r '^' "$flag="
    else if string match -q -- '-*' $word
        __hushctl_flags
    else
        __hushctl_words '' $word $command
    end
end

# The last option of a list behind -o, after the others.
function __hushfs_options
    set -l word (commandline -ct)
    set -l before (string match -r '^.*,' -- $word)
    set -l last (string replace -r '^.*,' '' -- $word)
    switch $last
        case 'key_file=*' 'passphrase_file=*' 'anchor=*'
            set -l option (string split -m 1 = -- $last)
            __fish_complete_path $option[2] | string replace -r '^' "$before$option[1]="
        case '*'
            hushfs --help 2>/dev/null | string replace -rf '^  -o ([a-z_]+=?)\S*\s+(.*)' "$before"'$1\t$2'
    end
end

function __hushfs_wants --argument-names number
    set -l others
    set -l words (commandline -opc)[2..]
    set -l skip no
    for word in $words
        if test $skip = yes
            set skip no
        else if test "$word" = -o
            set skip yes
        else if not string match -q -- '-*' $word
            set -a others $word
        end
    end
    test (count $others) = $number
end

complete -c hushctl -e
complete -c hushctl -f -a '(__hushctl_complete)'
complete -c hushfs -e
complete -c hushfs -f
complete -c hushfs -n '__hushfs_wants 0' -F
complete -c hushfs -n '__hushfs_wants 1' -a '(__fish_complete_directories (commandline -ct))'
complete -c hushfs -s f -d 'stay in front'
complete -c hushfs -s o -x -a '(__hushfs_options)' -d options
complete -c hushfs -s h -l help -d 'print how it is called'
complete -c hushfs -s V -l version -d 'print the version'
