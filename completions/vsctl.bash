# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Completion of vsctl for bash. What there is to complete is asked of the program itself
# (`vsctl help --list`), so it is never out of date.

# Directories, and files where no directory fits.
_vsctl_paths() {
    mapfile -t COMPREPLY < <(compgen -d -- "$1")
    [ ${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$1")
    compopt -o filenames 2>/dev/null
}

# The collections of a store: directories named with 8 hex digits; of a Chroma store the names in its database.
_vsctl_collections() {
    local path name store=${1/#\~\//$HOME/}
    for path in "$store"/*/; do
        name=${path%/}
        name=${name##*/}
        [[ $name =~ ^[0-9a-f]{8}$ && $name == "$2"* ]] && COMPREPLY+=("$name")
    done
    [ -f "$store/chroma.sqlite3" ] || return 0
    while IFS= read -r name; do
        [[ $name == "$2"* ]] && COMPREPLY+=("$name")
    done < <("${COMP_WORDS[0]/#\~\//$HOME/}" inspect --format json "$store" 2>/dev/null |
        grep -oE '"name":"[A-Za-z0-9._-]+"' | cut -d '"' -f 4)
}

# The snapshots of a store, by their manifests in its state directory.
_vsctl_snapshots() {
    local path name store=${1/#\~\//$HOME/}
    for path in "${VSCTL_STATE:-${store%/}.vsctl}"/manifests/*.json; do
        name=${path##*/}
        name=${name%.json}
        [[ -f $path && $name == "$2"* ]] && COMPREPLY+=("$name")
    done
}

_vsctl() {
    local IFS=$'\n' cur=${COMP_WORDS[COMP_CWORD]} command='' pending='' line name word i
    local -a row given=() commands=()
    local -A operands=() default=() options=() kind=() argument=()
    COMPREPLY=()

    # kind WORDS ...: the empty fields between tabs count, and so tabs may not separate here.
    while IFS= read -r line; do
        IFS=$'\x1f' read -r -a row <<<"${line//$'\t'/$'\x1f'}"
        case ${row[0]} in
        command | group)
            commands+=("${row[1]}")
            [ "${row[0]}" = group ] && default["${row[1]}"]=${row[2]:-} || operands["${row[1]}"]=${row[2]:-}
            ;;
        option)
            for name in "--${row[2]}" ${row[3]:+"-${row[3]}"}; do
                kind["${row[1]} $name"]=${row[4]}
                argument["${row[1]} $name"]=${row[5]:-}
                options["${row[1]} "]+="$name"$'\n'
            done
            ;;
        esac
    done < <("${COMP_WORDS[0]/#\~\//$HOME/}" help --list 2>/dev/null)

    # What stands before the cursor: the command, the operands, an option that wants its argument.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [ -n "$pending" ]; then
            [ "$word" = = ] || pending=
        elif [ "$word" = -- ]; then
            _vsctl_paths "$cur"
            return
        elif [[ $word == -?* ]]; then
            for name in "$command $word" " $word"; do
                [ "${kind[$name]:-none}" != none ] && pending=$name && break
            done
        elif [ -z "$command" ]; then
            command=$word
        elif [[ -v default[$command] ]]; then
            if [[ -v operands[$command\ $word] ]]; then
                command="$command $word"
            else
                command="$command ${default[$command]}"
                given+=("$word")
            fi
        else
            given+=("$word")
        fi
    done
    [ "$cur" = = ] && cur=

    if [ -n "$pending" ]; then
        word=${kind[$pending]}
        case $word in
        choice) mapfile -t COMPREPLY < <(compgen -W "${argument[$pending]//|/$'\n'}" -- "$cur") ;;
        file | directory) _vsctl_paths "$cur" ;;
        esac
        return
    fi
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${options[$command ]:-}"$'\n'"${options[ ]:-}" -- "$cur")
        return
    fi

    # A word that starts a command line is a command; after a group's name, one of its verbs.
    for name in "${commands[@]}"; do
        if [ -z "$command" ]; then
            [[ $name != *' '* && $name == "$cur"* ]] && COMPREPLY+=("$name")
        elif [[ -v default[$command] ]]; then
            [[ $name == "$command $cur"* ]] && COMPREPLY+=("${name##* }")
        fi
    done
    [ -n "$command" ] && [ ${#COMPREPLY[@]} -eq 0 ] || return 0
    [[ -v default[$command] ]] && command="$command ${default[$command]}"

    # The operand that is due; the last one may repeat.
    IFS=' ' read -r -a row <<<"$(tr -d '[]' <<<"${operands[$command]:-}")"
    [ ${#row[@]} -gt 0 ] || return 0
    i=${#given[@]}
    if ((i >= ${#row[@]})); then
        [[ ${row[-1]} == *... ]] || return 0
        i=-1
    fi
    case ${row[i]%...} in
    STORE | FILE | DIR | PATH) _vsctl_paths "$cur" ;;
    COLLECTION) _vsctl_collections "${given[0]}" "$cur" ;;
    SNAPSHOT) _vsctl_snapshots "${given[0]}" "$cur" ;;
    COMMAND)
        for name in "${commands[@]}"; do
            [[ $name != *' '* && $name == "$cur"* ]] && COMPREPLY+=("$name")
        done
        ;;
    VERB)
        for name in "${commands[@]}"; do
            [[ $name == "${given[0]} $cur"* ]] && COMPREPLY+=("${name##* }")
        done
        ;;
    esac
    return 0
}

complete -F _vsctl vsctl
