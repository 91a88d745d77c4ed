#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the records say of a store (status), and what recovery depends on (health): each check of it is made
# to fail alone.
set -u
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"

fresh() {
    rm -rf "${scratch:?}/healthy-example"
    fixture healthy-example
    state=$store.vsctl
}

# With a snapshot that was drilled, everything is well.
well() {
    fresh && runs 0 snapshot create --name base "$store" && runs 0 snapshot drill "$store"
}

# only_fails CHECK ARGUMENT...: this one fails, and no other.
only_fails() {
    local name=$1
    shift
    json health 4 health "$@" && jq_is '.result == "failed"' &&
        jq_is "[.checks[] | select(.result == \"failed\") | .check] == [\"$name\"]"
}

# ---- status ----

nothing_known() {
    fresh && unchanged json status 0 status "$store" &&
        jq_is '.health_status == "WARNING" and .backups_count == 0 and .corruption_free == null and .operations == []' &&
        jq_is '.database_size_mb == null and .collections_count == null and .latest_backup_age_hours == null' &&
        jq_is '.last_verify.source == null' && [ ! -e "$state" ] &&
        runs 0 status "$store" && out_has 'WARNING: no record says' && last_line "next: vsctl verify $store"
}

dashboard_keys() {
    local bytes
    well && json status 0 status "$store" || return
    bytes=$(find "$store" -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%.2f", n / 1048576 }')
    jq_is ".database_size_mb == $bytes and .collections_count == $(find "$store" -mindepth 1 -maxdepth 1 -type d | wc -l)" &&
        jq_is '.backups_count == 1 and .latest_backup_age_hours < 1 and .corruption_free == true and .health_status == "GOOD"' &&
        jq_is '.memory_usage_percent > 0 and .memory_usage_percent <= 100 and .disk_usage_percent >= 0'
}

good_as_text() {
    well && runs 0 status "$store" && first_line GOOD && out_has 'drill       good' && out_has 'snapshot drill' &&
        last_line "next: vsctl snapshot list $store"
}

# The records are all there is: a store that broke since is not looked at.
from_the_records_only() {
    well && rm "$store"/*/00000000.gob && json status 0 status "$store" && jq_is '.health_status == "GOOD"'
}

store_is_gone() {
    well && rm -r "$store" && json status 0 status "$store" &&
        jq_is '.health_status == "ERROR" and .store.kind == null and .backups_count == 1' &&
        runs 0 status "$store" && first_line 'ERROR: the store cannot be opened'
}

corrupt_snapshot() {
    fixture incident-missing-metadata && runs 0 snapshot create "$store" || [ "$status" -le 4 ] || return
    json status 0 status "$store" && jq_is '.corruption_free == false and .health_status == "ERROR"'
}

retention_from_the_file() {
    well && printf '[snapshot cleanup]\nkeep-daily = 14\n' >"$scratch/conf" || return
    json status 0 status --config "$scratch/conf" "$store" && jq_is '.retention == [{"rule":"keep-daily","value":"14"}]' &&
        runs 0 status --config "$scratch/conf" "$store" && out_has 'retention   keep-daily 14'
}

broken_monitor_record() {
    local content
    well || return
    for content in '' '{}' '[]' '{"schema":1,"kind":"vsctl-monitor"}' x; do
        printf '%s' "$content" >"$state/monitor.json"
        json status 0 status "$store" && jq_is '.health_status == "WARNING" and .last_scan == null' || return
    done
    rm "$state/monitor.json" && mkfifo "$state/monitor.json" &&
        json status 0 status "$store" && jq_is '.health_status == "WARNING"'
}

status_bad_input() {
    runs 8 status "$scratch/nothing" && err_has 'there is no such store' && runs 16 status && err_has 'status needs STORE' &&
        json error 8 status "$scratch/nothing" && runs 0 status --help
}

# ---- health ----

all_well() {
    well && unchanged json health 0 health "$store" && jq_is '.result == "ok" and all(.checks[]; .result == "ok")' &&
        runs 0 health --quiet "$store" && out_is '' && runs 0 health "$store" && first_line 'ok: 0 of 8 checks failed, 0 with a warning'
}

health_store() {
    well && printf x >"$(find "$store" -name 00000000.gob | head -n 1)" && only_fails store "$store" &&
        runs 4 health "$store" && last_line "next: vsctl verify $store" || return
    rm -r "$store" && json health 4 health "$store" && jq_is '.checks[0].result == "failed"'
}

health_state() {
    well && mv "$state" "$scratch/kept" && : >"$state" && json health 4 health "$store" &&
        jq_is '.checks[1].result == "failed" and .checks[0].result == "ok"' && rm "$state" && mv "$scratch/kept" "$state" &&
        json health 4 health --state /proc/nothing/here "$store" && jq_is '.checks[1].result == "failed"'
}

health_disk() {
    well && only_fails disk --min-free 1000T "$store" && json health 0 health --min-free 1 "$store"
}

# A shell that is not there, as in a minimal container.
health_dependencies() {
    well && command -v unshare >/dev/null && unshare -m true 2>/dev/null || return 0
    # shellcheck disable=SC2016 # for the inner shell
    unshare -m sh -c 'mount --bind /dev/null "$(readlink -f /bin/sh)" && exec "$@"' sh \
        "$vsctl" health --json "$store" >"$scratch/out" 2>"$scratch/err"
    [ $? -eq 4 ] && jq_is '[.checks[] | select(.result == "failed") | .check] == ["dependencies"]'
}

# A process that runs in the store's directory.
health_writers() {
    local user r
    well || return
    (cd "$store" && exec sleep 60) &
    user=$!
    sleep 0.3
    json health 0 health "$store" && only_fails writers --idle "$store"
    r=$?
    kill "$user"
    return $r
}

health_journal() {
    local run
    fixture healthy-contextd && state=$store.vsctl && rm -rf "$state" && runs 0 snapshot create "$store" &&
        runs 0 snapshot drill "$store" && runs 0 quarantine add --yes "$store" "$(basename "$(find "$store" -mindepth 1 -maxdepth 1 -type d | head -n 1)")" || return
    run=$(find "$state/journal" -name run.jsonl | head -n 1)
    sed -i '/"done"/d' "$run" && only_fails journal "$store" && out_has "is not finished"
}

no_snapshot_at_all() {
    fresh && json health 4 health "$store" &&
        jq_is '[.checks[] | select(.result != "ok") | "\(.check) \(.result)"] == ["snapshot failed", "drill warning"]'
}

snapshot_too_old() {
    well && sleep 2.1 && only_fails snapshot --max-age 1s --max-drill-age 1d "$store"
}

drill_too_old() {
    well && sleep 2.1 && only_fails drill --max-drill-age 1s "$store"
}

drill_failed() {
    well && runs 0 snapshot create --name other --full "$store" || return
    printf xxxx | dd of="$state/snapshots/other.tar.gz" bs=1 seek=200 conv=notrunc status=none
    runs 4 snapshot drill "$store" other
    only_fails drill "$store"
}

health_bad_input() {
    fresh
    runs 16 health --min-free lots "$store" && err_has 'a size such as' && runs 16 health --max-age yesterday "$store" &&
        runs 16 health --max-drill-age x "$store" && runs 16 health && runs 0 health --help
}

check "nothing is known" nothing_known
check "the keys of dashboards" dashboard_keys
check "good as text" good_as_text
check "from the records only" from_the_records_only
check "the store is gone" store_is_gone
check "a corrupt store" corrupt_snapshot
check "retention from the file" retention_from_the_file
check "a broken record of the monitor" broken_monitor_record
check "status: bad input" status_bad_input
check "all is well" all_well
check "health: store" health_store
check "health: state directory" health_state
check "health: disk" health_disk
check "health: dependencies" health_dependencies
check "health: writers" health_writers
check "health: journal" health_journal
check "health: no snapshot" no_snapshot_at_all
check "health: snapshot too old" snapshot_too_old
check "health: drill too old" drill_too_old
check "health: drill failed" drill_failed
check "health: bad input" health_bad_input
finish_cli
