#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The record of what was done: listed, verified after every kind of tampering, sealed.
set -u
# In memory where that is to be had: everything below is synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"

# A store with a log of six records: a dry run, a repair, its undo, and a command that was not confirmed.
# Made once and then copied back, to the path that its records name.
fresh() {
    store=$scratch/case/store
    log=$store.vsctl/audit.jsonl
    rm -rf "$scratch/case"
    if [ ! -d "$scratch/made" ]; then
        mkdir "$scratch/case"
        cp -a "$source/tests/data/chromem/many-damages/store" "$store" && chmod -R u+w "$store" &&
            runs 4 repair --dry-run "$store" && runs 1 repair --yes "$store" && runs 0 undo --yes "$store" &&
            runs 32 repair "$store" && cp -a "$scratch/case" "$scratch/made"
        return
    fi
    cp -a "$scratch/made" "$scratch/case"
}

verdict() {
    json audit-log "$1" audit-log verify "$store" "${@:3}" && jq_is ".verdict == \"$2\""
}

# found KIND: that and no other finding.
found() {
    jq_is "[.findings[] | select(.is_note | not) | .kind] == [\"$1\"]"
}

lists() {
    fresh && json audit-log 0 audit-log "$store" && jq_is '.matched == 6' &&
        jq_is '[.records[].phase] == ["dry-run", "started", "finished", "started", "finished", "cancelled"]' &&
        jq_is '[.records[].seq] == [1, 2, 3, 4, 5, 6]' &&
        jq_is '.records[2].exit_status == 1 and .records[5].exit_status == null' &&
        jq_is ".records[1].argv[1:] == [\"repair\", \"--yes\", \"$store\"]" &&
        runs 0 audit-log "$store" && first_line '6 records' && out_has 'cancelled' &&
        last_line "next: vsctl audit-log verify $store"
}

# What is listed is what the file has, byte for byte.
lists_the_lines_themselves() {
    fresh && runs 0 audit-log --json "$store" && while IFS= read -r line; do
        grep -qF -- "$line" "$scratch/out" || { echo "not there: $line" && return 1; }
    done <"$log"
}

records_validate() {
    local number=0
    fresh && mkdir "$scratch/records" || return
    while IFS= read -r line; do
        number=$((number + 1))
        printf '%s\n' "$line" >"$scratch/records/$number.audit-record.json"
    done <"$log"
    same 6 $number && "$python" "$source/tests/cli/validate.py" "$source/cmd/schema" "$scratch/records"
}

limits() {
    fresh && json audit-log 0 audit-log --limit 2 "$store" && jq_is '[.records[].seq] == [5, 6] and .matched == 6' &&
        runs 0 audit-log -n 2 "$store" && first_line 'the newest 2 of 6 records'
}

filters() {
    fresh && json audit-log 0 audit-log --action undo "$store" && jq_is '[.records[].seq] == [4, 5]' &&
        json audit-log 0 audit-log --action und "$store" && jq_is '.records == []' &&
        runs 0 audit-log --action und "$store" && first_line 'no records' &&
        json audit-log 0 audit-log --since 1h "$store" && jq_is '.matched == 6' &&
        json audit-log 0 audit-log --since 2200-01-01T00:00 "$store" && jq_is '.matched == 0' &&
        json audit-log 0 audit-log --since "$(jq -r 'select(.seq == 4) | .time' "$log")" "$store" &&
        jq_is '[.records[].seq] == [4, 5, 6]'
}

a_group_stands_for_its_verbs() {
    fresh && runs 0 quarantine add --yes --reason test "$store" e9f85bf6 &&
        json audit-log 0 audit-log --action quarantine "$store" && jq_is '[.records[].seq] == [7, 8]'
}

bad_options() {
    fresh && runs 16 audit-log --since yesterday "$store" && err_has '--since' &&
        runs 16 audit-log --since 2026-02-30 "$store" && runs 16 audit-log verify --anchor 3 "$store" &&
        err_has '--anchor' && runs 16 audit-log seal "$store" && err_has '--key-file' &&
        runs 16 audit-log verify --key-file "$log" "$store" && err_has 'sealing key' && runs 16 audit-log
}

asks_for_help() {
    runs 0 audit-log --help && out_has 'seal' && runs 0 audit-log verify --help && out_has '--anchor'
}

whole() {
    fresh && verdict 0 whole && jq_is '.records == 6 and .findings == [] and .head_proven' &&
        runs 0 audit-log verify "$store" && out_has 'whole: 6 records'
}

# Reading a log writes nothing, and opens nothing for writing that is not there.
reading_changes_nothing() {
    fresh && store=$store.vsctl && unchanged runs 0 audit-log "$scratch/case/store" &&
        unchanged runs 0 audit-log verify "$scratch/case/store" && rm -rf "$scratch/case/store.vsctl" &&
        runs 0 audit-log verify "$scratch/case/store" && [ ! -e "$scratch/case/store.vsctl" ]
}

edited() {
    fresh && sed -i '3s/"user":"[^"]*"/"user":"nobody"/' "$log" && verdict 4 tampered && found edited &&
        jq_is '.findings[0].line == 3 and .findings[0].record == 3' && runs 4 audit-log verify "$store" &&
        first_line 'tampered: 1 finding in 6 records; what the log says is no proof' && out_has 'edited: ' &&
        last_line "next: cp -a $store.vsctl $store.vsctl.evidence"
}

removed() {
    fresh && sed -i 3d "$log" && verdict 4 tampered && found removed && jq_is '.findings[0].record == 3'
}

reordered() {
    fresh && sed -i -n '3{h;d};4{p;g};p' "$log" && verdict 4 tampered && found reordered
}

duplicated() {
    fresh && sed -i 3p "$log" && verdict 4 tampered && found duplicated && jq_is '.findings[0].line == 4'
}

truncated() {
    fresh && sed -i '5,$d' "$log" && verdict 4 tampered && found truncated && jq_is '.records == 4' &&
        jq_is '.findings[0].detail | contains("record 6")'
}

unreadable() {
    fresh && sed -i '3s/.*/something else/' "$log" && verdict 4 tampered && jq_is '[.findings[].kind] | index("unreadable")' &&
        json audit-log 4 audit-log "$store" && jq_is '.unreadable and [.records[].seq] == [1, 2, 4, 5, 6]' &&
        runs 4 audit-log "$store" && out_has 'passed over'
}

unanchored() {
    fresh && rm "$store.vsctl/audit.head" && verdict 4 tampered && found unanchored && fresh &&
        echo junk >"$store.vsctl/audit.head" && verdict 4 tampered && found unanchored
}

torn_tail() {
    fresh && printf '{"action":"half' >>"$log" && verdict 0 whole && jq_is '[.findings[].kind] == ["torn"]' &&
        runs 0 audit-log verify "$store" && out_has 'torn: ' && runs 4 repair --dry-run "$store" && verdict 0 whole &&
        jq_is '.findings == []' && [ -e "$store.vsctl/audit.torn.7" ] && runs 0 audit-log "$store" && out_has 'set aside'
}

# The newest record without its head, as a kill between the two leaves it.
one_ahead() {
    local head
    fresh && head=$(cat "$store.vsctl/audit.head") && runs 4 repair --dry-run "$store" &&
        printf '%s\n' "$head" >"$store.vsctl/audit.head" && verdict 0 whole && jq_is '[.findings[].kind] == ["ahead"]'
}

of_another_store() {
    fresh && cp -a "$scratch/case" "$scratch/moved" && store=$scratch/moved/store && verdict 0 whole &&
        jq_is '[.findings[].kind] == ["foreign"]' && jq_is '.findings[0].detail | contains("6 of 6")'
    status=$?
    rm -rf "$scratch/moved"
    return $status
}

no_log() {
    fixture healthy-example && json audit-log 0 audit-log "$store" && jq_is '.records == [] and .matched == 0' &&
        verdict 0 absent && runs 0 audit-log verify "$store" && out_has 'absent: ' && [ ! -e "$store.vsctl" ] &&
        mkdir "$store.vsctl" && : >"$store.vsctl/audit.jsonl" && verdict 0 empty
}

# Log and head removed together: the journal remembers that there were changes.
log_gone() {
    fresh && rm "$store.vsctl"/audit.* && verdict 4 tampered && found truncated && fresh && rm "$log" &&
        verdict 4 tampered && found truncated
}

# The log outlives its store.
store_gone() {
    fresh && rm -rf "$store" && verdict 0 whole && jq_is '.records == 6' && runs 0 audit-log "$store" &&
        runs 8 audit-log "$scratch/nowhere" && err_has 'no such store' && [ ! -e "$scratch/nowhere.vsctl" ]
}

cannot_be_read() {
    fresh && rm "$log" && mkdir "$log" && runs 8 audit-log "$store" && runs 8 audit-log verify "$store" && rmdir "$log" &&
        mkfifo "$log" && runs 8 audit-log verify "$store" && err_has 'not a regular file' &&
        runs 8 audit-log --state "$scratch/case/store.vsctl/audit.head" "$store"
}

elsewhere() {
    fresh && mv "$store.vsctl" "$scratch/case/kept" && verdict 0 whole --state "$scratch/case/kept" &&
        jq_is '.next | contains("--state")' && export VSCTL_STATE=$scratch/case/kept && runs 0 audit-log "$store" &&
        first_line '6 records'
}

# A log written anew as a whole, head included: what only an anchor shows.
anchored() {
    local head
    fresh && runs 0 audit-log verify --json "$store" && head=$(jq -r .head "$scratch/out") &&
        verdict 0 whole --anchor "$head" && jq_is '.anchor_checked' && rm -r "$store.vsctl" &&
        runs 4 repair --dry-run "$store" && verdict 0 whole && verdict 4 tampered --anchor "$head" && found truncated &&
        for _ in 1 2 3 4 5; do runs 4 repair --dry-run "$store" || return; done && verdict 0 whole &&
        verdict 4 tampered --anchor "$head" && found edited
}

# The same without anybody having kept anything: each snapshot has the head of its time.
anchored_in_snapshots() {
    fresh && runs 4 snapshot create "$store" && verdict 0 whole && jq_is '.snapshots_checked == 1' &&
        runs 0 audit-log verify "$store" && out_has 'the manifests of 1 snapshot' && rm "$store.vsctl"/audit.* &&
        runs 4 repair --dry-run "$store" && verdict 4 tampered && found truncated &&
        jq_is '.findings[0].detail | contains("the manifest of snapshot_")' &&
        for _ in {1..9}; do runs 4 repair --dry-run "$store" || return; done && verdict 4 tampered && found edited &&
        verdict 0 whole --no-snapshots && jq_is '.snapshots_checked == 0' && rm -r "$store.vsctl/manifests" &&
        verdict 0 whole
}

sealed() {
    fresh && json audit-log 0 audit-log seal --key-file "$scratch/case/key" "$store" && jq_is '.sealed_from == 7' &&
        same 600 "$(stat -c %a "$scratch/case/key")" && runs 4 repair --dry-run "$store" &&
        verdict 0 whole --key-file "$scratch/case/key" && jq_is '.seals_checked and .sealed_from == 7' &&
        runs 0 audit-log verify --key-file "$scratch/case/key" "$store" && out_has 'the seals fit the key' &&
        runs 0 audit-log verify "$store" && out_has 'give --key-file' &&
        runs 8 audit-log seal --key-file "$scratch/case/second" "$store" && err_has 'sealed already' &&
        [ ! -e "$scratch/case/second" ]
}

wrong_key() {
    sealed && sed -i 's/./0/g' "$scratch/case/key" && verdict 4 tampered --key-file "$scratch/case/key" && found bad-seal
}

# Cut at a line end together with its head: the key has moved on and cannot be turned back.
sealed_and_cut() {
    local before
    fresh && runs 0 audit-log seal --key-file "$scratch/case/key" "$store" && before=$(cat "$store.vsctl/audit.head") &&
        runs 4 repair --dry-run "$store" && sed -i '$d' "$log" && printf '%s\n' "$before" >"$store.vsctl/audit.head" &&
        verdict 4 tampered && found truncated
}

key_near_the_log() {
    fresh && runs 16 audit-log seal --key-file "$store.vsctl/key" "$store" && err_has 'must not stay' &&
        runs 16 audit-log seal --key-file "$store/key" "$store" && [ ! -e "$store/key" ] && : >"$scratch/case/there" &&
        runs 8 audit-log seal --key-file "$scratch/case/there" "$store" && [ ! -s "$scratch/case/there" ] && verdict 0 whole &&
        jq_is '.sealed_from == null'
}

# By hand, as vsctl-audit(5) has it.
digest_by_hand() {
    (cd "$store" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum -z | sha256sum | cut -d ' ' -f 1)
}

digests_of_the_store() {
    local before after
    fresh && before=$(digest_by_hand) && runs 1 repair --yes "$store" && after=$(digest_by_hand) &&
        runs 0 undo --yes "$store" && same "$before" "$(digest_by_hand)" &&
        json audit-log 0 audit-log --limit 4 "$store" && jq_is '[.records[].seq] == [7, 8, 9, 10]' &&
        jq_is "[.records[].digest_before] == [\"$before\", \"$before\", \"$after\", \"$after\"]" &&
        jq_is "[.records[].digest_after] == [null, \"$after\", null, \"$before\"]" &&
        jq_is '.records[1].collections | index("e9f85bf6")'
}

# last PHASE STATUS: of the newest record.
last() {
    json audit-log 0 audit-log --limit 1 "$store" && jq_is ".records[0].phase == \"$1\"" &&
        jq_is ".records[0].exit_status == $2"
}

refused_commands() {
    fresh && runs 8 quarantine release --yes "$store" nosuch && last refused 8 &&
        runs 16 undo --yes "$store" nosuch && last refused 16 && runs 1 repair --yes "$store" &&
        runs 32 undo "$store" && last cancelled null
}

# By whoever has the store, or its lock.
kept_out() {
    local pid
    fresh || return
    "$python" -c 'import time; time.sleep(30)' --vectorstore "$store" &
    pid=$!
    sleep 0.2
    runs 8 repair --yes "$store" && last refused 8 && jq_is '.records[0].message | contains("in use")'
    status=$?
    kill "$pid"
    [ $status -eq 0 ] || return
    "$python" -c 'import fcntl, sys, time
lock = open(sys.argv[1], "r+")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(30)' "$store.vsctl/lock" >"$scratch/held" &
    pid=$!
    within 20 test -s "$scratch/held" || return
    runs 8 repair --yes "$store" && last refused 8 && runs 4 repair --dry-run "$store"
    status=$?
    kill "$pid"
    return $status
}

nothing_to_do_is_recorded() {
    fixture healthy-example && runs 0 repair --yes "$store" && last finished 0 &&
        jq_is '.records[0].message == "nothing to do" and .records[0].digest_after == null'
    status=$?
    rm -rf "$store.vsctl"
    return $status
}

# One file for each run, with what was planned and what became of it.
logs_of_runs() {
    local file
    fresh && rm -r "$store.vsctl/logs" && runs 1 repair --yes "$store" && file=$(echo "$store.vsctl"/logs/*) &&
        [[ $file =~ /logs/repair_[0-9]{8}_[0-9]{6}\.log$ ]] &&
        ! grep -vE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z (INFO|WARNING|ERROR) ' "$file" &&
        grep -q 'INFO command line: .* repair --yes ' "$file" && grep -q 'INFO plan: write-metadata e9f85bf6' "$file" &&
        grep -q 'INFO journal: run ' "$file" && tail -n 1 "$file" | grep -q 'INFO finished, status 1' &&
        runs 0 undo --list "$store" && same 1 "$(find "$store.vsctl/logs" -type f | wc -l)"
}

# What cannot be logged is done all the same, and said.
no_place_for_logs() {
    fresh && rm -r "$store.vsctl/logs" && : >"$store.vsctl/logs" && runs 1 repair --yes "$store" &&
        err_has 'the log of this run' && last finished 1
}

# Only the newest change can be meant without a name; one that was taken back cannot be again.
undo_lists_runs() {
    local run
    fresh && json undo 0 undo --list "$store" && jq_is '[.runs[] | [.command, .state]] == [["repair", "taken back"]]' &&
        jq_is '.next | startswith("vsctl verify ")' && run=$(jq -r '.runs[0].run' "$scratch/out") &&
        runs 16 undo --yes "$store" "$run" && err_has 'taken back already' && runs 16 undo --yes "$store" &&
        err_has 'no run to take back' && runs 1 repair --yes "$store" && runs 0 undo --list "$store" &&
        first_line '2 runs are kept' && json undo 0 undo --list "$store" && jq_is '[.runs[].state] == ["done", "taken back"]' &&
        eval "$(jq -r '.next | sub("^vsctl"; "runs 0")' "$scratch/out")" && json undo 0 undo --dry-run "$store" &&
        json undo 0 undo --yes "$store" && jq_is .applied
}

undo_lists_without_a_trace() {
    fixture healthy-example && json undo 0 undo --list "$store" && jq_is '.runs == []' && runs 0 undo --list "$store" &&
        first_line 'no runs are kept' && [ ! -e "$store.vsctl" ] && fresh && store=$store.vsctl &&
        unchanged runs 0 undo --list "$scratch/case/store"
}

check "a list" lists
check "a list has the lines themselves" lists_the_lines_themselves
check "records have their schema" records_validate
check "the newest so many" limits
check "by command and by time" filters
check "a group stands for its verbs" a_group_stands_for_its_verbs
check "options that make no sense" bad_options
check "help" asks_for_help
check "a whole log" whole
check "reading changes nothing" reading_changes_nothing
check "an edited record" edited
check "a removed record" removed
check "two records swapped" reordered
check "a record twice" duplicated
check "a log cut at a line end" truncated
check "a line that is no record" unreadable
check "a head that is gone" unanchored
check "a torn tail is a note, and is set aside" torn_tail
check "a record that the head does not have is a note" one_ahead
check "records of another store are a note" of_another_store
check "no log, and an empty one" no_log
check "a log that is gone" log_gone
check "a store that is gone" store_gone
check "what cannot be read" cannot_be_read
check "another state directory" elsewhere
check "a log written anew shows by an anchor" anchored
check "a log written anew shows by the snapshots" anchored_in_snapshots
check "sealing" sealed
check "a wrong key" wrong_key
check "a sealed log cut together with its head" sealed_and_cut
check "a key does not stay with the log" key_near_the_log
check "digests of the store, before and after" digests_of_the_store
check "refused and cancelled commands" refused_commands
check "kept out by another process" kept_out
check "nothing to do is recorded" nothing_to_do_is_recorded
check "a log of each run" logs_of_runs
check "no place for the log of a run" no_place_for_logs
check "undo lists runs" undo_lists_runs
check "undo lists without a trace" undo_lists_without_a_trace
finish_cli
