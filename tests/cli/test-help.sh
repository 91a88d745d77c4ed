#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Help, version, and the list that completions and manual pages are held against.
# shellcheck disable=SC2016 # jq has variables too
set -u
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
readarray -t words < <("$vsctl" help --list --json | jq -r '.commands[].words')

overview() {
    local word
    runs 0 help && first_line 'vsctl checks and repairs vector stores.' || return
    for word in "${words[@]}"; do
        out_has "  ${word%% *}" || return
    done
    cp "$scratch/out" "$scratch/overview"
    runs 0 --help && out_is "$(cat "$scratch/overview")" && runs 0 -h && out_is "$(cat "$scratch/overview")"
}

# help_of WORDS...: both ways to ask give the same, with every option of the list in it.
help_of() {
    local option
    runs 0 help "$@" && out_has "usage: vsctl $*" && out_has 'exit status' || return
    cp "$scratch/out" "$scratch/help"
    runs 0 "$@" --help && out_is "$(cat "$scratch/help")" || return
    while read -r option; do
        out_has "--$option" || return
    done < <("$vsctl" help --list | awk -F'\t' -v words="$*" '$1 == "option" && ($2 == words || $2 == "") { print $3 }')
}

examples_of() {
    runs 0 help "$@" && out_has 'examples' && out_has "  vsctl $*"
}

# Every option that an example names is one that the command has.
example_runs() {
    local line
    "$vsctl" help "$@" | sed -n '/^examples/,/^exit status/s/^  vsctl /vsctl /p' >"$scratch/examples"
    [ -s "$scratch/examples" ] || return
    while read -r line; do
        # shellcheck disable=SC2086
        set -- $line
        shift
        "$vsctl" --help "$@" >"$scratch/out" 2>"$scratch/err" || { echo "$line" && cat "$scratch/err" && return 1; }
    done <"$scratch/examples"
}

# The same for the examples of a manual page, up to what the shell makes of them.
page_examples_run() {
    local line count=0
    while IFS= read -r line; do
        # What stands behind two dashes, and behind a pipe or an "and", is another program's.
        line=$(sed -E 's/\\-/-/g; s/ (--|\||&&|>|2>) .*//; s/ [|&;].*//' <<<"$line")
        (
            set -f
            eval "set -- ${line//$/\\$}"
            shift
            "$vsctl" --help "$@" >"$scratch/out" 2>"$scratch/err"
        ) || { echo "$line" && cat "$scratch/err" && return 1; }
        count=$((count + 1))
    done < <(sed -n '/^\.Sh EXAMPLES/,/^\.Sh /{s/^\.Sh.*//;s/^\.Dl //;s/^\$ //;s/^[0-9* ]* root //;/^vsctl /p}' "$1")
    [ $count -gt 0 ]
}

help_needs_no_operands() {
    runs 0 lookup --help && runs 0 lookup --of --help --json && jq_is '.command == "help"'
}

unknown_in_help() {
    runs 16 help lokup && err_has 'did you mean vsctl lookup?'
}

version() {
    runs 0 --version && same "vsctl $(sed -n "s/^  version: '\(.*\)',/\1/p" "$source/meson.build" | head -n 1)" "$(cat "$scratch/out")"
}

list_as_json() {
    json help 0 help --list && jq_is '[.commands[].words] | index("help") != null' &&
        jq_is '.options | map(select(.name == "format"))[0] | .kind == "choice" and .argument == "text|json"' &&
        jq_is '[.commands[] | select(.words == "help") | .options[].name] | index("list") == null'
}

list_says_the_same() {
    runs 0 help --list && awk -F'\t' '$1 == "option" { print $2 "\t" $3 "\t" $5 }' "$scratch/out" | sort >"$scratch/text" &&
        runs 0 help --list --json &&
        jq -r '(.options[] | "\t\(.name)\t\(.kind)"), (.commands[] | .words as $w | .options[] | "\($w)\t\(.name)\t\(.kind)")' \
            "$scratch/out" | sort >"$scratch/json" && diff "$scratch/text" "$scratch/json"
}

# A command's option stands for a common one of its name, and then has at least its words; no letter is
# used twice.
options_are_distinct() {
    runs 0 help --list --json &&
        jq_is '.options as $common | all(.commands[]; .options as $own | [$own[].name] as $names |
            ($names | length == (unique | length)) and
            ([$own[], ($common[] | select(.name as $n | $names | index($n) | not))] | [.[].letter | values] |
             length == (unique | length)) and
            all($common[]; . as $c | all($own[] | select(.name == $c.name); .argument | startswith($c.argument))))'
}

# What the table says is what is printed, for all problems and for one.
problems() {
    runs 0 help problems && out_has chromem-metadata-missing && out_has "next: vsctl help problems CODE" &&
        same "$(grep -c '^PROBLEM(' "$source/libcore/check/problems.def")" "$(grep -cE '^(chromem|chroma|contextd)-' "$scratch/out")" &&
        runs 0 help problems chromem-document-truncated && out_has "severity: error; effect: refused" &&
        out_has "automatic: yes; loses: documents" && runs 0 help problems chromem-embedding-norm && out_has "automatic: no; loses: -" &&
        runs 16 help problems nonsense && err_has "there is no problem 'nonsense'"
}

problems_as_json() {
    json problems 0 help problems && jq_is '(.problems | length) > 40 and (.problems[] | select(.code == "chromem-document-truncated") |
        .automatic and .loses == "documents" and .severity == "error")' &&
        same "$(grep -c '^PROBLEM(' "$source/libcore/check/problems.def")" "$(jq '.problems | length' "$scratch/out")" &&
        json problems 0 help problems chromem-embedding-norm && jq_is '[.problems[].code] == ["chromem-embedding-norm"] and
            (.problems[0] | .automatic == false and .loses == null)' &&
        runs 16 help problems nonsense --json && jq_is '.error.message | contains("nonsense")'
}

check "overview" overview
for word in "${words[@]}"; do
    # shellcheck disable=SC2086
    check "help of $word" help_of $word
    # shellcheck disable=SC2086
    check "examples of $word" examples_of $word
    # shellcheck disable=SC2086
    check "options in examples of $word exist" example_runs $word
done
check "problems" problems
check "problems as JSON" problems_as_json
check "--help needs no operands" help_needs_no_operands
check "help of an unknown command" unknown_in_help
check "version" version
check "the list as JSON" list_as_json
check "the list says the same in both forms" list_says_the_same
check "options of a command are distinct" options_are_distinct
for page in "$source"/man/vsctl-*.1; do
    grep -q '^\.Sh EXAMPLES' "$page" || continue
    name=${page##*/}
    check "options in examples of ${name%.1}(1) exist" page_examples_run "$page"
done
finish_cli
