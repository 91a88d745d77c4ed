#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The outage that this program was made for: one metadata file lost, the whole store refused. Three commands.
# Arguments: vsctl, gobcheck.
set -u
# In memory where that is to be had: everything below is synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
gobcheck=${2:?}
fixture=$source/tests/data/chromem/incident-missing-metadata

fresh() {
    chmod -R u+rwX "$scratch/store" 2>/dev/null
    rm -rf "$scratch/store" "$scratch/store.vsctl"
    cp -a "$fixture/store" "$scratch/store"
}

three_commands() {
    fresh && runs 4 verify "$scratch/store" && out_has e9f85bf6 &&
        runs 1 recover-metadata --yes "$scratch/store" && out_has contextd_memories &&
        out_has "1 error before, none now" &&
        runs 0 verify "$scratch/store"
}

# The same bytes as what the library writes for a fresh collection of that name: 94 of them.
bytes_are_the_librarys() {
    local file=$scratch/store/e9f85bf6/00000000.gob
    same 94 "$(stat -c %s "$file")" && "$gobcheck" dir "$scratch/store" >"$scratch/go" &&
        jq -e '.collection_count == 22 and .document_count == 88' "$scratch/go" &&
        same "$(jq -r .undamaged.db_digest "$fixture/expected.json")" "$(jq -r .db_digest "$scratch/go")"
}

dry_run_changes_nothing() {
    local before after
    fresh
    before=$(find "$scratch/store" -type f -print0 | sort -z | xargs -0 sha256sum)
    runs 4 recover-metadata --dry-run "$scratch/store" && out_has contextd_memories || return
    after=$(find "$scratch/store" -type f -print0 | sort -z | xargs -0 sha256sum)
    same "$before" "$after"
}

without_confirmation() {
    fresh && runs 32 recover-metadata "$scratch/store" && [ ! -e "$scratch/store/e9f85bf6/00000000.gob" ]
}

wrong_name_is_refused() {
    fresh && runs 16 recover-metadata --yes "$scratch/store" e9f85bf6 --name conversations && err_has 5c0dc939 &&
        [ ! -e "$scratch/store/e9f85bf6/00000000.gob" ]
}

forced_name_is_written() {
    fresh && runs 1 recover-metadata --yes "$scratch/store" e9f85bf6 --name conversations --force-name &&
        grep -q conversations "$scratch/store/e9f85bf6/00000000.gob"
}

# Quarantine first, recover there, release: the loop in which the original tools sent people round.
recovered_in_quarantine() {
    fresh && runs 0 quarantine add --yes "$scratch/store" e9f85bf6 && runs 0 verify "$scratch/store" &&
        runs 1 recover-metadata --yes --in-quarantine "$scratch/store" && out_has contextd_memories &&
        runs 0 quarantine release --yes "$scratch/store" e9f85bf6 && runs 0 verify "$scratch/store" &&
        bytes_are_the_librarys
}

backup_is_used_first() {
    fresh && runs 4 metadata backup "$scratch/store" && runs 1 recover-metadata --yes "$scratch/store" &&
        runs 0 metadata backup "$scratch/store" && rm "$scratch/store/e9f85bf6/00000000.gob" &&
        json change 4 recover-metadata --dry-run "$scratch/store" &&
        jq_is '[.plan[] | select(.action == "write-metadata") | .detail | contains("backup")] == [true]'
}

# A process that names the store in its command line may be writing to it.
live_process_is_seen() {
    local pid
    fresh
    sh -c 'sleep 30; :' serve --vectorstore "$scratch/store" &
    pid=$!
    sleep 0.2
    runs 8 recover-metadata --yes "$scratch/store" && err_has "process $pid" &&
        runs 1 recover-metadata --yes --force "$scratch/store"
    status=$?
    kill "$pid"
    return $status
}

no_store_no_state() {
    runs 8 recover-metadata --yes "$scratch/absent" && [ ! -e "$scratch/absent" ] && [ ! -e "$scratch/absent.vsctl" ]
}

state_inside_is_refused() {
    fresh && runs 16 recover-metadata --yes --state "$scratch/store/state" "$scratch/store" &&
        [ ! -e "$scratch/store/state" ]
}

check "verify, recover-metadata, verify" three_commands
check "what was written is what the library writes" bytes_are_the_librarys
check "a dry run shows the name and changes nothing" dry_run_changes_nothing
check "without a terminal and without --yes nothing happens" without_confirmation
check "a name of another hash is refused" wrong_name_is_refused
check "and written when forced" forced_name_is_written
check "recovered in quarantine and released" recovered_in_quarantine
check "a metadata backup is asked first" backup_is_used_first
check "a live process is seen" live_process_is_seen
check "a missing store leaves nothing behind" no_store_no_state
check "state inside the store is refused" state_inside_is_refused
finish_cli
