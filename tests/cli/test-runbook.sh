#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every entry of vsctl-runbook(7), on a store that is damaged like that: three commands at most, each with the exit
# status that the page's source promises, and nothing that the reader has to make up.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"
page=$source/man/vsctl-runbook.7

# One line an entry: title, kind, store, statuses, preparation, commands; fields end with a tab.
entries() {
    awk '
function flush() {
	if (title != "")
		printf "%s\t%s\t%s\t%s\n", title, test, prepare == "" ? ":" : prepare, commands
	title = test = prepare = commands = ""
}
/^\.S[sh] / { flush() }
/^\.Ss / { title = substr($0, 5); sub(/^\\&/, "", title) }
/^\.\\" test: / && title != "" { test = substr($0, 11) }
/^\.\\" prepare: / && title != "" { prepare = substr($0, 14) }
/^\.Dl / { commands = commands (commands == "" ? "" : "|") substr($0, 5) }
END { flush() }' "$page"
}

run_entry() {
    local kind name words statuses commands i
    read -r kind name words <<<"$1"
    read -r -a statuses <<<"$words"
    IFS='|' read -r -a commands <<<"$3"
    echo "$kind $name: ${#commands[@]} commands"
    [ ${#commands[@]} -gt 0 ] && [ ${#commands[@]} -le 3 ] && [ ${#commands[@]} -eq ${#statuses[@]} ] || return
    store=$scratch/entry/store
    rm -rf "$scratch/entry" && mkdir "$scratch/entry" || return
    if [ "$kind" = chroma ]; then
        cp -a "$stores/$name" "$store" && rm -f "$store/expected.json"
    else
        cp -a "$source/tests/data/chromem/$name/store" "$store"
    fi || return
    eval "$2" || return
    for i in "${!commands[@]}"; do
        echo "${commands[i]}"
        read -r -a words <<<"${commands[i]//\/var\/lib\/app\/store/$store}"
        [ "${words[0]}" = vsctl ] && runs "${statuses[i]}" "${words[@]:1}" || return
    done
}

number=0
while IFS=$'\t' read -r title test prepare commands; do
    number=$((number + 1))
    check "$title" run_entry "$test" "$prepare" "$commands"
done < <(entries)

# The twelve of the field, the chromem ones, and those of both kinds.
all_are_there() {
    echo "$number entries"
    [ "$number" -ge 20 ] && [ "$(grep -c '^\.\\" test:' "$page")" -eq "$number" ]
}

check "all are there" all_are_there
finish
