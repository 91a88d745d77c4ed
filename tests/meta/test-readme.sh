#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-readme.sh VSCTL: the tour in README.md shows what really happens. The commands of its console
# blocks are run in one go, from a directory that looks like the top of the repository, and what they
# print is compared with what the README says. Times are compared as "N", and so is how small a snapshot was
# packed, which depends on the times in it.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"
PATH=$(dirname "$(realpath "$1")"):$PATH
export COLUMNS=100 TZ=UTC

# said NUMBER: the console block as it stands. A command begins with "$ "; its output follows.
said() {
    awk -v want="$1" '/^```console$/ { n++; inside = 1; next } /^```/ { inside = 0 } inside && n == want' \
        "$source/README.md"
}

blocks() {
    grep -c '^```console$' "$source/README.md"
}

# Run each command of a block and print it with its output, like the block.
play() {
    local line
    while IFS= read -r line; do
        case $line in
        '$ '*)
            printf '%s\n' "$line"
            # In this shell, so that $? and variables go on from one command to the next.
            eval "${line#??}" </dev/null 2>&1
            ;;
        esac
    done < <(said "$1")
}

without_times() {
    sed -E 's/\b[0-9]+(\.[0-9]+)? (ms|s)\b/N s/g; s/(stored [0-9]+ files in) [0-9.]+ kB/\1 N kB/'
}

happens() {
    diff <(said "$1" | without_times) <(play "$1" | without_times)
}

mkdir "$scratch/top" && cd "$scratch/top" || exit 1
cp -r "$source/tests/data" "$scratch/data"
mkdir tests && ln -s "$scratch/data" tests/data

there_is_a_tour() {
    [ "$(blocks)" -gt 0 ] && [ "$(grep -c '^\$ vsctl ' "$source/README.md")" -gt 3 ]
}

check "there is a tour" there_is_a_tour
for ((block = 1; block <= $(blocks); block++)); do
    check "block $block happens as it says" happens "$block"
done
finish
