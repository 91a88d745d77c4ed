# SPDX-License-Identifier: Apache-2.0
#
# Completion of vsctl for fish. What there is to complete is asked of the program itself
# (`vsctl help --list`), so it is never out of date.

# Directories, and files where no directory fits.
function __vsctl_paths
    set -l found (__fish_complete_directories $argv[1] '')
    test (count $found) -gt 0; and printf '%s\n' $found; or __fish_complete_path $argv[1]
end

# The collections of a store, asked of the program that is the second argument: directories named with 8 hex digits; of
# a Chroma store the names in its database.
function __vsctl_collections
    set -l store (string replace -r '^~/' "$HOME/" -- $argv[1])
    for path in $store/*/
        string match -r '^[0-9a-f]{8}$' -- (basename $path)
    end
    test -f $store/chroma.sqlite3; or return
    $argv[2] inspect --format json $store 2>/dev/null | string match -ra '"name":"[A-Za-z0-9._-]+"' | string split -f 4 '"'
end

# The snapshots of a store, by their manifests in its state directory.
function __vsctl_snapshots
    set -l state (string replace -r '^~/' "$HOME/" -- $argv[1] | string replace -r '/$' '').vsctl
    set -q VSCTL_STATE; and test -n "$VSCTL_STATE"; and set state $VSCTL_STATE
    for path in $state/manifests/*.json
        string replace -r '\.json$' '' -- (basename $path)
    end
end

# These three see the variables of their caller.

# The kind and the argument of an option, when it takes one: a row of the list, of the command's own
# before the common ones.
function __vsctl_option -S
    set -l name (string replace -r '^--?' '' -- $argv[1])
    for owner in "$command" ''
        for row in $rows
            set -l field (string split \t -- $row)
            test "$field[1]" = option -a "$field[2]" = "$owner"; or continue
            test "$field[5]" = none; and continue
            if test "$field[3]" = "$name" -a (string sub -l 2 -- $argv[1]) = -- -o "$field[4]" = "$name" -a (string length -- $argv[1]) -eq 2
                printf '%s\n' $field[5] "$field[6]"
                return
            end
        end
    end
end

# Third column of a command's or a group's row: operands, or the verb that may be left out.
function __vsctl_row -S
    for row in $rows
        set -l field (string split \t -- $row)
        if test "$field[1]" = $argv[1] -a "$field[2]" = "$argv[2]"
            printf '%s\n' "$field[3]"
            return 0
        end
    end
    return 1
end

# Lines "word<tab>summary": commands, or the verbs of a group.
function __vsctl_commands -S
    for row in $rows
        set -l field (string split \t -- $row)
        contains -- "$field[1]" command group; or continue
        if test -z "$argv[1]"
            string match -q '* *' -- $field[2]; or printf '%s\t%s\n' $field[2] $field[4]
        else if string match -q "$argv[1] *" -- $field[2]
            printf '%s\t%s\n' (string split ' ' -- $field[2])[2] $field[4]
        end
    end
end

# Lines "word<tab>description" for the word at the cursor.
function __vsctl_candidates
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l rows ($words[1] help --list 2>/dev/null)
    set -l command ''
    set -l pending
    set -l given

    # What stands before the cursor: the command, the operands, an option that wants its argument.
    for word in $words[2..-1]
        if set -q pending[1]
            set pending
        else if test "$word" = --
            __vsctl_paths $current
            return
        else if string match -qr '^-.' -- $word
            set pending (__vsctl_option $word)
        else if test -z "$command"
            set command $word
        else if set -l verb (__vsctl_row group $command)
            if __vsctl_row command "$command $word" >/dev/null
                set command "$command $word"
            else
                set command "$command $verb"
                set -a given $word
            end
        else
            set -a given $word
        end
    end

    # `--name=` and the beginning of its argument: candidates are whole words.
    set -l before ''
    if not set -q pending[1]; and string match -q -- '--*=*' $current
        set before (string replace -r '=.*' '=' -- $current)
        set pending (__vsctl_option (string trim -r -c = -- $before))
        set -q pending[1]; or return
    end
    if set -q pending[1]
        switch $pending[1]
            case choice
                printf '%s\n' $before(string split '|' -- $pending[2])
            case file directory
                __vsctl_paths (string replace -- "$before" '' $current) | string replace -r '^' -- "$before"
        end
        return
    end

    if string match -q -- '-*' $current
        for row in $rows
            set -l field (string split \t -- $row)
            test "$field[1]" = option; or continue
            test "$field[2]" = "$command" -o -z "$field[2]"; or continue
            printf '%s\t%s\n' --$field[3] $field[7]
            test -n "$field[4]"; and printf '%s\t%s\n' -$field[4] $field[7]
        end
        return
    end

    # A word that starts a command line is a command; after a group's name, one of its verbs.
    if test -z "$command"
        __vsctl_commands ''
        return
    end
    if set -l verb (__vsctl_row group $command)
        set -l verbs (__vsctl_commands $command)
        string match -q -- "$current*" $verbs; and printf '%s\n' $verbs; and return
        set command "$command $verb"
    end

    # The operand that is due; the last one may repeat.
    set -l operands (__vsctl_row command $command | string replace -ra '[][]' '' | string split -n ' ')
    set -q operands[1]; or return
    set -l at (math (count $given) + 1)
    if test $at -gt (count $operands)
        string match -q '*...' -- $operands[-1]; or return
        set at -1
    end
    switch (string replace ... '' -- $operands[$at])
        case STORE FILE DIR PATH
            __vsctl_paths $current
        case COLLECTION
            __vsctl_collections $given[1] $words[1]
        case SNAPSHOT
            __vsctl_snapshots $given[1]
        case COMMAND
            __vsctl_commands ''
        case VERB
            __vsctl_commands $given[1]
    end
end

complete -c vsctl -f -a '(__vsctl_candidates)'
