#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-report counts right, and no failure gets past it: it decides what scripts/test says.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"

# log RESULT NAME STDOUT: one test as meson records it, beside one of every suite that must exist.
log() {
    mkdir -p "$scratch/build/meson-logs"
    {
        jq -cn '("check", "cli", "meta", "corpus") |
            {name: "vsctl:\(.) / other", stdout: "", result: "OK"}'
        jq -cn --arg result "$1" --arg name "vsctl:unit / $2" --arg stdout "$3" '$ARGS.named'
    } >"$scratch/build/meson-logs/testlog.json"
}

# says STATUS LAST_LINE [REPORT_ARGUMENT...]
says() {
    local want_status=$1 want=$2 got status=0
    shift 2
    got=$("$source/scripts/test-report" "$@" "$scratch/build") || status=$?
    echo "$got"
    [ "$status" -eq "$want_status" ] && [ "$(tail -n 1 <<<"$got")" = "$want" ]
}

three=$'TAP version 13\n1..3\n# noise\nok - room::one  (0.01s)\nok 2 - room::two\nok 3\n'

all_pass() {
    log OK room "$three"
    says 0 "7 passed, 0 failed"
}

one_fails() {
    local said
    log FAIL room $'1..2\nok 1 - one\nnot ok 2 - two\n'
    said=$(says 1 "5 passed, 1 failed") && grep -qx 'FAILED: build: unit:room/two' <<<"$said"
}

failure_is_told() {
    local said
    log FAIL room "$(printf '1..2\nok 1 - one\n# of one\nnot ok 2 - two\n'; seq -f '# line %g' 40)"
    said=$(says 1 "5 passed, 1 failed") && ! grep -q 'of one' <<<"$said" && [ "$(grep -c '^    ' <<<"$said")" -eq 13 ] &&
        grep -A 1 -x 'FAILED: build: unit:room/two' <<<"$said" | grep -qx '    # line 1' && grep -qx '    # line 40' <<<"$said"
}

died() {
    log ERROR room $'1..3\nok 1 - one\n'
    says 1 "5 passed, 1 failed"
}

timed_out_without_tap() {
    log TIMEOUT room 'hello'
    says 1 "4 passed, 1 failed"
}

plain_program() {
    log OK room 'hello, not a TAP line: ok'
    says 0 "5 passed, 0 failed"
}

skipped() {
    log OK room $'1..2\nok 1 - one\nok 2 - two # SKIP no such tool\n'
    says 0 "5 passed, 0 failed"
}

suite_missing() {
    log OK room "$three"
    sed -i /corpus/d "$scratch/build/meson-logs/testlog.json"
    says 1 "6 passed, 1 failed"
}

suite_not_asked() {
    log OK room "$three"
    sed -i /corpus/d "$scratch/build/meson-logs/testlog.json"
    local got
    got=$("$source/scripts/test-report" "$scratch/build:unit,check") && [ "$(tail -n 1 <<<"$got")" = "6 passed, 0 failed" ] &&
        ! "$source/scripts/test-report" "$scratch/build:unit,corpus"
}

nothing_ran() {
    mkdir -p "$scratch/build/meson-logs"
    : >"$scratch/build/meson-logs/testlog.json"
    says 1 "0 passed, 5 failed"
}

# feature STATUS LAST_LINE ROW
feature() {
    log OK room "$three"
    printf '# comment\n%s\n' "$3" >"$scratch/features"
    says "$1" "$2" --features "$scratch/features"
}

feature_skipped() {
    log OK room $'1..2\nok 1 - one\nok 2 - two # SKIP no such tool\n'
    printf 'F1\tunit:room/two\n' >"$scratch/features"
    says 1 "5 passed, 1 failed" --features "$scratch/features"
}

check "cases and programs are counted" all_pass
check "a failed case" one_fails
check "what a failed case said is shown" failure_is_told
check "a program that died after a good case" died
check "a time limit" timed_out_without_tap
check "a program without TAP counts once" plain_program
check "a skipped case is not a passed one" skipped
check "a suite without tests" suite_missing
check "a suite that was not asked of this build" suite_not_asked
check "nothing ran" nothing_ran
check "a feature whose tests passed" feature 0 "7 passed, 0 failed" $'F1\tunit:room,unit:room/room::one,unit:room/room::two'
check "a feature whose test is not there" feature 1 "7 passed, 1 failed" $'F1\tunit:room,unit:cellar'
check "a feature whose case is not there" feature 1 "7 passed, 1 failed" $'F1\tunit:room/room::three'
check "a feature whose test was skipped" feature_skipped
finish
