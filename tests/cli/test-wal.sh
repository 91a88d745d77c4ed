#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# contextd's write-ahead log, as Go's encoder wrote it, and broken: list, check, compact.
set -u
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
log=$scratch/contextd/wal
pending=add_00000000000000000000000000000001.wal
synced=add_00000000000000000000000000000002.wal
deletion=delete_00000000000000000000000000000003.wal

fresh() {
    rm -rf "$scratch/contextd"
    mkdir -p "$scratch/contextd/store"
    cp -r "$source/tests/data/contextd-wal" "$log"
    rm "$log/README.md"
    chmod -R u+w "$log"
    store=$log
}

states_are() {
    jq_is "[.entries[] | \"\(.entry) \(.state)\"] == $1"
}

lists() {
    fresh && unchanged json wal 0 wal list "$log" &&
        states_are "[\"$pending pending\", \"$synced synced\", \"$deletion pending\"]" &&
        jq_is '.key == "there" and .sound and .counts.pending == 2 and .counts.synced == 1' &&
        jq_is '[.entries[].documents] == [2, 1, 1] and [.entries[].operation] == ["add", "add", "delete"]' &&
        jq_is '.entries[0].time == "2026-01-22T14:03:09Z" and .entries[1].synced' &&
        runs 0 wal "$log" && first_line 'sound: 3 entries, 2 pending, 1 synced' && last_line "next: vsctl wal compact --dry-run $log"
}

beside_a_store() {
    fresh && json wal 0 wal list "$scratch/contextd/store" && jq_is ".log == \"$log\" and .counts.pending == 2" &&
        json wal 0 wal check "$log/$synced" && jq_is '.counts.synced == 1 and .counts.pending == 0' &&
        (cd "$log" && json wal 0 wal list "$pending") && mkdir -p "$scratch/alone/store" &&
        runs 8 wal list "$scratch/alone/store" && err_has 'none beside it'
}

sound() {
    fresh && unchanged json wal 0 wal check "$log" && jq_is '.sound and .entries == []' && runs 0 wal check --quiet "$log" && out_is ''
}

# A byte of the content, of the id, of the time, of the checksum: each is found.
bad_mac() {
    local from to
    for pair in 'a text:a test' '1769090589487073000:1769090589487073009'; do
        from=${pair%:*} to=${pair#*:}
        fresh && sed -i "s/$from/$to/" "$log/$pending" && json wal 4 wal check "$log" &&
            states_are "[\"$pending bad-mac\"]" && jq_is '.meaning | test("skips entries")' || return
    done
}

# What is not covered does not matter: an entry may be marked as synced by anybody.
not_covered() {
    fresh && sed -i 's/quarterly_figures_2026/quarterly_figures_2027/' "$log/$pending" && json wal 0 wal check "$log"
}

lost_key() {
    fresh && rm "$log/.hmac_key" && json wal 4 wal check "$log" && jq_is '.key == "lost" and .counts.unproven == 3' &&
        runs 4 wal check "$log" && out_has 'the key is lost' && runs 0 wal list "$log" && out_has unproven || return
    printf x >"$log/.hmac_key" && json wal 4 wal check "$log" && jq_is '.key == "damaged"' || return
    rm "$log/"*.wal && json wal 0 wal check "$log" && jq_is '.key == "damaged" and .sound'
}

another_key() {
    fresh && printf '%32s' '' >"$log/.hmac_key" && json wal 4 wal check "$log" &&
        jq_is '.counts["bad-mac"] == 3 and (.meaning | test("probably another one"))'
}

unreadable() {
    local i size
    size=$(stat -c %s "$source/tests/data/contextd-wal/$pending")
    for ((i = 0; i < size; i += 37)); do
        fresh && truncate -s "$i" "$log/$pending" && runs 4 wal check "$log" && out_has "$pending" || return
    done
    fresh && mkfifo "$log/add_f.wal" && ln -s /etc/passwd "$log/add_l.wal" && head -c 5000 /dev/urandom >"$log/add_r.wal" &&
        : >"$log/$pending.tmp.0123456789abcdef" && json wal 4 wal check "$log" &&
        jq_is '.counts.unreadable == 3 and .leftovers == 1'
}

compacts() {
    fresh && unchanged json wal 0 wal compact --dry-run "$log" && jq_is "(.applied | not) and [.plan[].path] == [\"$synced\"]" &&
        json wal 0 wal compact "$log" && jq_is '.applied and .undo != null' && [ ! -e "$log/$synced" ] &&
        cmp "$log/$pending" "$source/tests/data/contextd-wal/$pending" && [ -e "$log/$deletion" ] && [ -e "$log/.hmac_key" ] &&
        runs 0 wal compact "$log" && first_line 'plan: 0 synced entries can be removed; 2 pending and 0 others stay' || return
    json wal 0 wal compact --undo "$log" && cmp "$log/$synced" "$source/tests/data/contextd-wal/$synced" &&
        runs 0 audit-log --json "$log" && jq_is '[.records[].phase] == ["started", "finished", "started", "finished"]'
}

# Without the key, or with a wrong checksum, an entry that says it is synced stays.
unproven_stays() {
    fresh && rm "$log/.hmac_key" && json wal 0 wal compact "$log" && jq_is '.plan == [] and (.applied | not)' && [ -e "$log/$synced" ] ||
        return
    fresh && sed -i 's/metadata of a type/metadata of a tape/' "$log/$synced" && json wal 0 wal compact "$log" &&
        jq_is '.counts["bad-mac"] == 1 and .plan == []' && [ -e "$log/$synced" ]
}

bad_input() {
    fresh
    runs 8 wal list "$scratch/nothing" && runs 16 wal compact "$log/$pending" && err_has 'takes the whole log' &&
        runs 16 wal check && runs 8 wal compact --undo "$log" || [ "$status" -eq 16 ] || return
    runs 0 wal --help && runs 0 wal compact --help
}

check "entries and their states" lists
check "beside a store" beside_a_store
check "a sound log" sound
check "bad MAC" bad_mac
check "what the checksum does not cover" not_covered
check "lost key" lost_key
check "another key" another_key
check "unreadable entries" unreadable
check "compaction and back" compacts
check "unproven entries are never removed" unproven_stays
check "bad input" bad_input
finish_cli
