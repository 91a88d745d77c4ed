#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Where recover-metadata takes names from: each source alone finds a name that no rule and no neighbour tells, and
# says where it stood. What fits more than once is listed, and nothing is written.
set -u
# In memory where that is to be had: everything below is synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
store=$scratch/place/store
state=$store.vsctl

# A store with a collection "quarterly_figures_2026" that has lost its metadata, no state, and nothing beside it.
fresh() {
    rm -rf "$scratch/place"
    mkdir "$scratch/place"
    cp -a "$source/tests/data/chromem/healthy-example/store" "$store"
    mkdir "$store/b896586b"
    cp "$store/ab5aa970/ea503d89.gob" "$store/b896586b/"
}

lose() {
    rm "$store/b896586b/00000000.gob"
}

# The same with a past: it had its metadata, then they were lost, and of the state only the files given are left.
fresh_with_past() {
    local file
    fresh && "$vsctl" recover-metadata --yes "$store" b896586b --name quarterly_figures_2026 >"$scratch/made" 2>&1
    [ -f "$store/b896586b/00000000.gob" ] || return
    mv "$state" "$scratch/past"
    mkdir -m 700 "$state"
    for file in "$@"; do
        mv "$scratch/past/$file" "$state/" || return
    done
    rm -rf "$scratch/past"
    lose
}

# recovered EVIDENCE: the name is found, for this reason, and written.
recovered() {
    runs 4 recover-metadata --dry-run "$store" && out_has "write metadata with the name quarterly_figures_2026" &&
        out_has "$1" && runs 1 recover-metadata --yes "$store" && runs 0 verify "$store" &&
        grep -q quarterly_figures_2026 "$store/b896586b/00000000.gob"
}

nothing_knows() {
    fresh && runs 4 recover-metadata --yes "$store" && out_has "no name found" && [ ! -e "$store/b896586b/00000000.gob" ]
}

given() {
    fresh && runs 1 recover-metadata --yes "$store" b896586b --name quarterly_figures_2026 &&
        out_has "given with --name" && runs 0 verify "$store"
}

backup() {
    fresh_with_past && runs 4 metadata backup "$store" &&
        runs 1 recover-metadata --yes "$store" b896586b --name quarterly_figures_2026 &&
        runs 0 metadata backup "$store" && rm -f "$state"/known-names.jsonl "$state"/audit* && lose &&
        recovered "metadata backup"
}

manifest() {
    fresh && mkdir -p "$state/manifests" &&
        printf '%s\n' '{"schema":1,"id":"snapshot_20260122_140309","collections":[{"directory":"b896586b","name":"quarterly_figures_2026"}]}' \
            >"$state/manifests/snapshot_20260122_140309.json" && recovered "snapshot snapshot_20260122_140309"
}

# The same from a snapshot as this program makes it.
snapshot() {
    fresh && runs 1 recover-metadata --yes --state "$scratch/elsewhere" "$store" b896586b --name quarterly_figures_2026 &&
        rm -rf "$scratch/elsewhere" && runs 0 snapshot create --name before "$store" &&
        rm -f "$state"/known-names.jsonl "$state"/audit* && lose && recovered "snapshot before"
}

# A manifest that is damaged, or none, keeps the others from nothing.
odd_manifests() {
    fresh && mkdir -p "$state/manifests/directory.json" && echo '{"name":"quart' >"$state/manifests/torn.json" &&
        printf '%s\n' '{"collections":[{"name_hex":"717561727465726c795f666967757265735f32303236"}]}' \
            >"$state/manifests/hex.json" && recovered "snapshot hex"
}

audit_log() {
    fresh_with_past audit.jsonl audit.head && recovered "audit log, record 1 of 20"
}

torn_audit_log() {
    fresh_with_past audit.jsonl audit.head && printf '{"action":"rep' >>"$state/audit.jsonl" && recovered "audit log, record"
}

remembered() {
    fresh_with_past known-names.jsonl && recovered "seen in this store at 20"
}

# Every command that writes remembers, not only the one that repairs.
remembered_by() {
    fresh && runs 1 recover-metadata --yes --state "$scratch/elsewhere" "$store" b896586b --name quarterly_figures_2026 &&
        "$vsctl" "$@" "$store" >"$scratch/made" 2>&1 </dev/null
    rm -rf "$scratch/elsewhere" "$state/metadata" "$state"/audit* "$state/journal"
    [ "$(wc -l <"$state/known-names.jsonl")" -eq 2 ] && lose && recovered "seen in this store at 20"
}

# Reading writes nothing, a dry run no name.
not_remembered_by() {
    fresh && runs 1 recover-metadata --yes --state "$scratch/elsewhere" "$store" b896586b --name quarterly_figures_2026 &&
        "$vsctl" "$@" "$store" >"$scratch/made" 2>&1 </dev/null
    rm -rf "$scratch/elsewhere"
    [ ! -e "$state/known-names.jsonl" ]
}

write_ahead_log() {
    fresh && cp -a "$source/tests/data/contextd-wal" "$scratch/place/wal" &&
        recovered "write-ahead log add_00000000000000000000000000000001.wal"
}

broken_write_ahead_log() {
    fresh && cp -a "$source/tests/data/contextd-wal" "$scratch/place/wal" &&
        head -c 100 "$scratch/place/wal/add_00000000000000000000000000000002.wal" >"$scratch/place/wal/add_a.wal" &&
        mkfifo "$scratch/place/wal/add_b.wal" && ln -s nowhere "$scratch/place/wal/add_c.wal" &&
        recovered "write-ahead log add_00000000000000000000000000000001.wal"
}

remains() {
    fresh_with_past && { head -c 5 /dev/zero && printf quarterly_figures_2026 && head -c 9 /dev/zero; } >"$store/b896586b/00000000.gob" &&
        recovered "the damaged metadata file itself"
}

word_list() {
    fresh && printf 'one\nquarterly_figures_2026\n' >"$scratch/words" && lookup_takes --names "$scratch/words"
}

mask() {
    fresh && lookup_takes --mask 'quarterly_figures_20?d?d'
}

lookup_takes() {
    runs 1 recover-metadata --yes "$@" "$store" && out_has quarterly_figures_2026 && runs 0 verify "$store"
}

neighbours() {
    fixture incident-missing-metadata && runs 4 recover-metadata --dry-run "$store" && out_has contextd_memories &&
        out_has 'begins with "contextd_"'
}

# Two names of one hash, both seen by earlier runs.
two_names() {
    fixture name-hash-collision && rm "$store/ce28adc0/00000000.gob" && mkdir "$store.vsctl" &&
        printf '{"schema":1,"hash":"ce28adc0","name":"%s","first_seen":"2026-01-22T14:03:09Z","source":"repair"}\n' \
            umbrella_report_infra_remediations wonka_portal_queue_conversations >"$store.vsctl/known-names.jsonl"
}

# A person chooses.
ambiguous() {
    two_names && json change 4 recover-metadata --yes "$store" && [ ! -e "$store/ce28adc0/00000000.gob" ] &&
        jq_is '.applied == false and (.left | length) == 1 and (.left[0].why | contains("more than one name fits")
            and contains("umbrella_report_infra_remediations") and contains("wonka_portal_queue_conversations"))'
}

# And repair sets it aside rather than choosing, so that the others load.
ambiguous_in_repair() {
    two_names && runs 1 repair --yes "$store" &&
        [ ! -e "$store/ce28adc0" ] && runs 0 verify "$store"
}

# ---- a snapshot that is asked for ----

# A collection with a metadata map, and a snapshot of it; then the metadata are lost.
fresh_with_snapshot() {
    fresh && PYTHONPATH=$source/tests/kit "$python" -c '
import sys, chromemstore
chromemstore.write_collection(sys.argv[1], "quarterly_figures_2026", {"owner": "finance", "year": "2026"})' "$store" &&
        cp "$store/b896586b/00000000.gob" "$scratch/original" && runs 0 snapshot create --name before "$@" "$store" &&
        rm -f "$state"/known-names.jsonl "$state"/audit* && lose
}

as_it_was() {
    cmp "$store/b896586b/00000000.gob" "$scratch/original"
}

from_snapshot() {
    fresh_with_snapshot && runs 4 recover-metadata --dry-run --from-snapshot before "$store" &&
        out_has "write metadata with the name quarterly_figures_2026 (snapshot before, b896586b/00000000.gob) and the metadata map of the snapshot" &&
        [ ! -e "$store/b896586b/00000000.gob" ] && runs 1 recover-metadata --yes --from-snapshot before "$store" &&
        as_it_was && runs 0 verify "$store"
}

# What stands in its place is not asked, whatever it says.
from_snapshot_over_another() {
    fresh_with_snapshot && PYTHONPATH=$source/tests/kit "$python" -c '
import sys, chromemstore
chromemstore.write_collection(sys.argv[1], "quarterly_figures_2026", {"owner": "nobody"})' "$store" &&
        runs 0 recover-metadata --yes --from-snapshot before "$store" && ! as_it_was >"$scratch/differ" 2>&1 &&
        runs 1 recover-metadata --yes --from-snapshot before "$store" b896586b && as_it_was
}

# The map comes from a snapshot as well when only the name was asked for.
map_of_a_snapshot() {
    fresh_with_snapshot && runs 1 recover-metadata --yes "$store" b896586b --name quarterly_figures_2026 &&
        out_has "and the metadata map of a snapshot" && as_it_was
}

# A sealed one cannot be read without its key, and nobody asked for it.
map_of_a_sealed_snapshot() {
    head -c 32 /dev/urandom >"$scratch/key"
    fresh_with_snapshot --key-file "$scratch/key" &&
        runs 1 recover-metadata --yes "$store" b896586b --name quarterly_figures_2026 && ! as_it_was >"$scratch/differ" 2>&1
}

from_sealed_snapshot() {
    head -c 32 /dev/urandom >"$scratch/key"
    fresh_with_snapshot --key-file "$scratch/key" &&
        runs 8 recover-metadata --yes --from-snapshot before "$store" && err_has "--key-file" &&
        [ ! -e "$store/b896586b/00000000.gob" ] &&
        runs 1 recover-metadata --yes --from-snapshot before --key-file "$scratch/key" "$store" && as_it_was
}

from_snapshot_in_quarantine() {
    fresh_with_snapshot && runs 0 quarantine add --yes "$store" b896586b &&
        runs 1 recover-metadata --yes --in-quarantine --from-snapshot before "$store" b896586b &&
        runs 0 quarantine release --yes "$store" b896586b && as_it_was
}

from_damaged_snapshot() {
    fresh_with_snapshot && "$python" - "$state/snapshots/before.tar.gz" <<'PYTHON' &&
import sys
with open(sys.argv[1], "r+b") as f:
    data = bytearray(f.read())
    data[len(data) // 2] ^= 1
    f.seek(0)
    f.write(data)
PYTHON
        runs 8 recover-metadata --yes --from-snapshot before "$store" && err_has "snapshots/before.tar.gz" &&
        [ ! -e "$store/b896586b/00000000.gob" ]
}

# Two stores may have one state directory; each has its own snapshots.
from_another_stores_snapshot() {
    fresh_with_snapshot && cp -a "$store" "$scratch/place/other" &&
        runs 16 recover-metadata --yes --state "$state" --from-snapshot before "$scratch/place/other" &&
        err_has "a snapshot of another store" && [ ! -e "$scratch/place/other/b896586b/00000000.gob" ]
}

from_snapshot_without_it() {
    fresh && lose 2>"$scratch/absent"
    rm -rf "$store/b896586b" && runs 0 snapshot create --name early "$store" && mkdir "$store/b896586b" &&
        cp "$store/ab5aa970/ea503d89.gob" "$store/b896586b/" &&
        json change 4 recover-metadata --yes --from-snapshot early "$store" &&
        jq_is '.left[0].why == "snapshot early has no metadata of it" and (.left[0].fix | contains("recover-metadata"))' &&
        [ ! -e "$store/b896586b/00000000.gob" ]
}

from_snapshot_that_is_not_there() {
    fresh_with_snapshot && runs 8 recover-metadata --yes --from-snapshot after "$store" &&
        err_has "there is no snapshot after" && runs 16 recover-metadata --from-snapshot before --name x "$store" b896586b &&
        runs 16 recover-metadata --key-file "$scratch/original" "$store" && err_has "--from-snapshot"
}

check "without a source there is no name" nothing_knows
check "a given name" given
check "a metadata backup" backup
check "the manifest of a snapshot" manifest
check "a snapshot" snapshot
check "odd manifests" odd_manifests
check "from a snapshot" from_snapshot
check "from a snapshot, over what stands there" from_snapshot_over_another
check "from a snapshot, in quarantine" from_snapshot_in_quarantine
check "from a sealed snapshot" from_sealed_snapshot
check "from a damaged snapshot" from_damaged_snapshot
check "from a snapshot of another store" from_another_stores_snapshot
check "from a snapshot that does not have it" from_snapshot_without_it
check "from a snapshot that is not there" from_snapshot_that_is_not_there
check "the map of a snapshot" map_of_a_snapshot
check "the map of a sealed snapshot" map_of_a_sealed_snapshot
check "the audit log" audit_log
check "a torn audit log" torn_audit_log
check "names remembered from earlier runs" remembered
check "repair remembers" remembered_by repair --yes
check "a backup remembers" remembered_by metadata backup
check "undo remembers" remembered_by undo --yes
check "a dry run remembers nothing" not_remembered_by repair --dry-run
check "verify remembers nothing" not_remembered_by verify
check "contextd's write-ahead log" write_ahead_log
check "a write-ahead log with broken entries" broken_write_ahead_log
check "what is left of the file" remains
check "a word list" word_list
check "a mask" mask
check "the names of neighbours" neighbours
check "more than one name" ambiguous
check "more than one name, in a repair" ambiguous_in_repair
finish_cli
