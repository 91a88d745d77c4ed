#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-features.sh BUILD_ROOT: the tests that tests/features.tsv names exist. A case of a Criterion
# program is looked up in what the program lists, a case of a script in its text. Whether they pass is
# for scripts/test to say.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"
build=$(realpath "$1")
tests=$build/meson-info/intro-tests.json

# rows FILE: the lines that are no comments.
rows() {
    grep -v '^#' "$1" || true
}

form() {
    ! rows "$1" | grep -vP '^F[1-9][0-9]*\t[a-z]+:[a-z0-9-]+(/[^,/\t]+)?(,[a-z]+:[a-z0-9-]+(/[^,/\t]+)?)*$'
}

order() {
    rows "$1" | cut -f 1 | sort -c -u -V
}

# program SUITE TEST: what meson runs for it, one word a line.
program() {
    jq -r --arg suite "vsctl:$1" --arg test "$2" \
        '.[] | select(.name == $test and (.suite | index($suite))) | .cmd[]' "$tests"
}

# list_cases PROGRAM: the cases of a Criterion program as suite::name.
list_cases() {
    "$1" --list | awk '/^[^ ].*: [0-9]+ tests?$/ { suite = $1; sub(/:$/, "", suite) }
        /^(├──|└──)/ { print suite "::" $2 }'
}

# exists SUITE:TEST[/CASE]
exists() {
    local suite=${1%%:*} test=${1#*:} case='' words word
    if [[ $test == */* ]]; then
        case=${test#*/}
        test=${test%%/*}
    fi
    mapfile -t words < <(program "$suite" "$test")
    [ ${#words[@]} -gt 0 ] || return
    [ -n "$case" ] || return 0
    for word in "${words[@]}"; do
        [ -f "$word" ] || continue
        case $(realpath "$word") in
        "$source"/tests/*) grep -qF -e "\"$case\"" -e "'$case'" "$word" && return ;;
        "$build"/tests/*) list_cases "$word" | grep -qxF -- "$case" && return ;;
        esac
    done
    return 1
}

# all_exist FILE
all_exist() {
    local name bad=0
    for name in $(rows "$1" | cut -f 2 | tr ' ,' '\a\n'); do
        name=${name//$'\a'/ }
        exists "$name" || { echo "there is no $name" && bad=1; }
    done
    return $bad
}

# with CHECK LINES: the check on a table of its own.
with() {
    printf '# a comment\n%b\n' "$2" >"$scratch/features.tsv"
    "$1" "$scratch/features.tsv"
}

without() {
    ! with "$@"
}

check "rows have the form" form "$source/tests/features.tsv"
check "rows are sorted and each is there once" order "$source/tests/features.tsv"
check "every named test exists" all_exist "$source/tests/features.tsv"
check "a good row is good" with form 'F7\tunit:util,meta:test-report/nothing ran'
check "a row without tests is seen" without form 'F7\t'
check "a row twice is seen" without order 'F7\tunit:util\nF7\tunit:util'
check "existing tests are found" with all_exist 'F7\tunit:util,unit:util/hex::both_ways,meta:test-report/nothing ran'
check "a missing test is seen" without all_exist 'F7\tunit:cellar'
check "a missing suite is seen" without all_exist 'F7\tmeta:util'
check "a missing case of a program is seen" without all_exist 'F7\tunit:util/hex::one_way'
check "a missing case of a script is seen" without all_exist 'F7\tmeta:test-report/everything ran'
finish
