#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# --prove: a loader of the user's own has the last word about a repair, on a copy. Arguments: vsctl, gobcheck.
set -u
# In memory where that is to be had: everything below is synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
gobcheck=${2:?}
store="$scratch/a store"

fresh() {
    rm -rf "$store" "$store.vsctl" "$scratch/seen"
    cp -a "$source/tests/data/chromem/incident-missing-metadata/store" "$store"
}

# The copy is gone, whatever became of the proof.
no_copy_left() {
    [ -z "$(find "$store.vsctl" -name 'prove-*')" ]
}

a_real_loader() {
    fresh && ! "$gobcheck" dir "$store" >/dev/null 2>&1 && runs 1 repair --yes --prove "$gobcheck dir" "$store" && no_copy_left &&
        runs 0 verify "$store" && fresh && runs 1 recover-metadata --yes --prove "$gobcheck dir" "$store" && no_copy_left
}

placeholder() {
    fresh && runs 1 recover-metadata --yes --prove 'grep -q contextd_memories {}/e9f85bf6/00000000.gob && test -d {} #' "$store"
}

# refuted MESSAGE CMD: everything is as it was, and a later repair works.
refuted() {
    fresh && unchanged_but_times runs 8 "$3" --yes --prove "$2" "$store" && err_has "$1" && no_copy_left && runs 4 verify "$store" &&
        runs 1 "$3" --yes "$store"
}

unchanged_but_times() {
    find "$store" -type f -exec sha256sum {} + | sort >"$scratch/before"
    "$@" || return
    find "$store" -type f -exec sha256sum {} + | sort | diff "$scratch/before" -
}

a_failure() {
    refuted "the proof ended with status 3, so everything was taken back" 'exit 3 #' repair &&
        refuted "the proof ended with status 3" 'exit 3 #' recover-metadata &&
        jq -s -e '.[-3].phase == "failed" and .[-3].exit_status == 8' "$store.vsctl/audit.jsonl" >/dev/null
}

a_signal() {
    refuted "the proof was ended by signal 9" 'kill -9 $$; #' repair
}

no_such_program() {
    refuted "the proof ended with status 127" "$scratch/no-such-loader" repair
}

# The copy, and not the store.
it_is_a_copy() {
    fresh && runs 1 repair --yes --prove "rm -rf {} && echo {} >'$scratch/seen'; true #" "$store" && runs 0 verify "$store" &&
        ! grep -qxF "$store" "$scratch/seen" && no_copy_left
}

output_goes_to_stderr() {
    fresh && json change 1 repair --yes --prove 'echo loaded; true' "$store" && jq_is .applied && err_has "loaded"
}

not_in_a_dry_run() {
    fresh && runs 4 repair --dry-run --prove "touch '$scratch/seen'; true" "$store" && [ ! -e "$scratch/seen" ]
}

nothing_to_prove() {
    fixture healthy-example && store=$scratch/healthy-example/store &&
        runs 0 repair --yes --prove "touch '$scratch/seen'; false" "$store" && [ ! -e "$scratch/seen" ]
}

check "Go's own decoder" a_real_loader
check "a place for the path" placeholder
check "a proof that fails" a_failure
check "a proof that is killed" a_signal
check "a program that is not there" no_such_program
check "the store itself is not given" it_is_a_copy
check "output goes to stderr" output_goes_to_stderr
check "not in a dry run" not_in_a_dry_run
check "where there is nothing to do" nothing_to_prove
finish_cli
