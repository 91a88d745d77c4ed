#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-completions.sh SHELL VSCTL: the completion for SHELL (bash, zsh, fish), loaded in that shell,
# offers every command, verb, option and option value that `vsctl help --list` names and nothing else,
# and paths and collections where they belong. Asked twice: of the program, and of a made-up list that
# has one of everything a list can have.
#
# A question is a command line with the cursor at its end. Each driver reads questions, one a line, and
# answers each with a line "== QUESTION" and the candidates, one a line.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"
shell=$1
vsctl=$(realpath "$2")
export completions=$source/completions scratch

if ! command -v "$shell" >/dev/null; then
    echo "1..0 # SKIP $shell is not installed"
    exit 0
fi

mkdir -p "$scratch/made-up"
cat >"$scratch/made-up/vsctl" <<'MADE_UP'
#!/bin/sh
[ "$*" != "inspect --format json ../chroma/base" ] ||
    { echo '{"store":{"kind":"chroma"},"collections":[{"id":"1","name":"docs"},{"id":"2","name":"a b"},{"id":"3","name":"notes"}]}' && exit 0; }
[ "$*" = "help --list" ] || exit 16
cat <<'LIST' | tr '|' '\t' | tr '/' '|'
option||format||choice|text/json|how to print: the result
option||jobs|j|number|N|threads
option||vectorstore-path||directory|DIR|the store
option||help|h|none||print this help
command|verify|STORE|what's wrong
option|verify|level||choice|quick/full/deep|how much
option|verify|against|a|file|FILE|compare
command|inspect|STORE [COLLECTION [DOCUMENT]]|look
command|recover|STORE [COLLECTION...]|mend
group|snapshot|list|copies of a store
command|snapshot list|STORE|which there are
command|snapshot create|STORE|make one
option|snapshot create|name||text|NAME|its name
group|key||keys
command|key make|FILE|make one
command|help|[COMMAND [VERB]]|explain
LIST
MADE_UP
chmod +x "$scratch/made-up/vsctl"

# ---- what can be asked ----

mkdir -p "$scratch/here/store/"{0123abcd,0123cdef,e9f85bf6,not-hex,.hidden} "$scratch/here/other"
touch "$scratch/here/file" "$scratch/here/store/0123ffff"
# Of three collections: docs, notes, fresh.
mkdir "$scratch/chroma" && tar -C "$scratch/chroma" -xJf "$source/tests/data/chroma/stores.tar.xz" base
# Beside the store, and out of sight of what completes directories.
export VSCTL_STATE=$scratch/state
mkdir -p "$VSCTL_STATE/manifests" && touch "$VSCTL_STATE/manifests/"{snapshot_1,before-upgrade}.json "$VSCTL_STATE/manifests/other.tmp"
cd "$scratch/here" || exit 1

# expect LABEL QUESTION: what is to be answered comes on standard input.
expect() {
    count=$((count + 1))
    printf '%s\n' "$2" >"$scratch/question.$count"
    printf '%s\n' "$1" >"$scratch/label.$count"
    LC_ALL=C sort -u >"$scratch/expected.$count"
}

top_commands() {
    awk -F '\t' '($1 == "command" || $1 == "group") && $2 !~ / / { print $2 }' "$scratch/list"
}

# What `vsctl WORDS --` may go on with.
long_options() {
    awk -F '\t' -v words="$1" '$1 == "option" && ($2 == "" || $2 == words) { print "--" $3 }' "$scratch/list"
}

# options_of KIND: "WORDS,NAME,ARGUMENT" for each.
options_of() {
    awk -F '\t' -v kind="$1" '$1 == "option" && $5 == kind { print $2 "," $3 "," $6 }' "$scratch/list"
}

make_questions() {
    count=0
    rm -f "$scratch"/{question,label,expected}.*
    expect "commands" "vsctl " < <(top_commands)
    expect "the beginning of a command" "vsctl he" < <(top_commands | grep '^he')
    expect "no such command" "vsctl zzz" </dev/null
    expect "options before a command" "vsctl --" < <(long_options '')
    while IFS= read -r words; do
        expect "options of $words" "vsctl $words --" < <(long_options "$words")
        expect "the beginning of an option of $words" "vsctl $words --he" < <(long_options "$words" | grep '^--he')
    done < <(awk -F '\t' '$1 == "command" { print $2 }' "$scratch/list")
    while IFS= read -r group; do
        expect "verbs of $group" "vsctl $group " \
            < <(awk -F '\t' -v group="$group " 'index($2, group) == 1 && $1 == "command" { print substr($2, length(group) + 1) }' "$scratch/list")
    done < <(awk -F '\t' '$1 == "group" { print $2 }' "$scratch/list")
    while IFS=, read -r words name values; do
        expect "values of ${words:-every command} --$name" "vsctl $words --$name " < <(tr '|' '\n' <<<"$values")
        expect "values of ${words:-every command} --$name=" "vsctl $words --$name=" < <(tr '|' '\n' <<<"$values")
        [ -n "$words" ] || expect "a command after --$name VALUE" "vsctl --$name ${values%%|*} hel" <<<"help"
    done < <(options_of choice)
    while IFS=, read -r words name _; do
        expect "a file for $words --$name" "vsctl $words --$name fi" <<<"file"
        expect "a file for $words --$name=" "vsctl $words --$name=fi" <<<"file"
    done < <(options_of file)
    expect "commands to explain" "vsctl help " < <(top_commands)
    expect "the directory of an option" "vsctl --vectorstore-path " < <(printf 'store\nother\n')
    expect "paths after two dashes" "vsctl help -- st" <<<store
    while IFS=, read -r words operands; do
        case $operands in
        STORE*)
            expect "the store of $words" "vsctl $words " < <(printf 'store\nother\n')
            expect "a file where no directory fits, of $words" "vsctl $words fi" <<<file
            ;;
        esac
        case $operands in
        "STORE SNAPSHOT"* | "STORE [SNAPSHOT"*)
            expect "snapshots of $words" "vsctl $words store " < <(printf 'before-upgrade\nsnapshot_1\n')
            expect "the beginning of a snapshot of $words" "vsctl $words store sn" <<<snapshot_1
            ;;
        "STORE [COLLECTION"*)
            expect "collections of $words" "vsctl $words store 0123" < <(printf '0123abcd\n0123cdef\n')
            expect "collections of $words in a Chroma store" "vsctl $words ../chroma/base do" <<<docs
            expect "the other collections of $words in a Chroma store" "vsctl $words ../chroma/base n" <<<notes
            ;;
        esac
    done < <(awk -F '\t' '$1 == "command" { print $2 "," $3 }' "$scratch/list")
    while IFS= read -r group; do
        expect "an operand where a verb of $group may be left out" "vsctl $group oth" <<<other
    done < <(awk -F '\t' '$1 == "group" { verb[$2 " " $3] = $2 } $1 == "command" && $3 ~ /^STORE/ && $2 in verb { print verb[$2] }' "$scratch/list")
}

# ---- how to ask each shell ----

ask_bash() {
    bash --norc --noprofile <<'DRIVER'
source "$completions/vsctl.bash"
complete -p vsctl >/dev/null || exit 1
while IFS= read -r line <&3; do
    # Words as readline makes them: an equals sign is one of its own.
    spaced=${line//=/ = }
    IFS=' ' read -r -a COMP_WORDS <<<"$spaced"
    [[ $spaced == *' ' && $line != *= ]] && COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _vsctl vsctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "== $line"
    printf '%s\n' "${COMPREPLY[@]}"
done 3<"$scratch/questions"
DRIVER
}

# shellcheck disable=SC2016 # the variables are for fish
ask_fish() {
    fish --no-config -c '
        source "$completions/vsctl.fish"
        while read -l line
            echo "== $line"
            complete -C "$line" | string replace -r "\t.*" ""
        end <"$scratch/questions"'
}

# Inside an interactive zsh a widget lists what would be offered for a line; compadd, through which all
# of it goes, is made to write it down.
ask_zsh() {
    cat >"$scratch/inner.zsh" <<'INNER'
PROMPT=
fpath=($completions $fpath)
autoload -Uz compinit && compinit -u -D
compadd() {
    local -a hits
    if (( ! ${@[(I)-[OAD]*]} )); then
        builtin compadd -A hits "$@"
        (( $#hits )) && print -rl -- $hits >>$scratch/answers
    fi
    builtin compadd "$@"
}
ask() {
    local -a questions
    local question
    questions=("${(@f)$(<$scratch/questions)}")
    for question in $questions; do
        print -r -- "== $question" >>$scratch/answers
        BUFFER=$question CURSOR=$#question
        zle list-choices
    done
    BUFFER=
    : >$scratch/asked
}
zle -N ask
bindkey '^X' ask
INNER
    : >"$scratch/answers"
    rm -f "$scratch/asked"
    # The ready mark is written in two halves so that the echo of the command does not match.
    timeout 200 zsh -f <<'OUTER'
zmodload zsh/zpty
zpty -b inner 'TERM=dumb zsh -f -i'
zpty -w inner "source $scratch/inner.zsh; print re''ady"
zpty -r inner said $'*ready\r\n'
zpty -w -n inner $'\C-x'
while [[ ! -e $scratch/asked ]]; do
    zpty -rt inner said
    sleep 0.05
done
zpty -d inner
OUTER
    cat "$scratch/answers"
}

# The n-th answer, in one form for all shells: without the directory before a name, a slash behind it,
# or the option that a value was joined to.
answer() {
    awk -v want="$1" '/^== / { n++; next } n == want && $0 != ""' "$scratch/said" |
        sed -E 's/^--[a-z-]+=//; s|/$||; s|.*/||' | LC_ALL=C sort -u
}

answered() {
    diff "$scratch/expected.$1" <(answer "$1")
}

all_were_asked() {
    [ "$count" -gt 10 ] && [ "$(grep -c '^== ' "$scratch/said")" -eq "$count" ] && return
    cat "$scratch/said" "$scratch/errors"
    return 1
}

# ask WHOM PROGRAM
ask() {
    local i
    PATH=$(dirname "$2"):$path
    vsctl help --list >"$scratch/list"
    make_questions
    for ((i = 1; i <= count; i++)); do
        cat "$scratch/question.$i"
    done >"$scratch/questions"
    "ask_$shell" >"$scratch/said" 2>"$scratch/errors" </dev/null
    check "$1: every question is answered" all_were_asked
    check "$1: nothing to complain about" test ! -s "$scratch/errors"
    for ((i = 1; i <= count; i++)); do
        check "$1: $(cat "$scratch/label.$i")" answered "$i"
    done
}

path=$PATH
ask "a made-up list" "$scratch/made-up/vsctl"
ask "the program" "$vsctl"
finish
