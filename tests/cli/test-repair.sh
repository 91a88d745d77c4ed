#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# repair, quarantine, metadata backup and plan files as a person meets them. Arguments: vsctl, gobcheck.
set -u
# In memory where that is to be had: everything below is synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
gobcheck=${2:?}
store=$scratch/store

fresh() {
    rm -rf "$store" "$store.vsctl"
    cp -a "$source/tests/data/chromem/$1/store" "$store"
}

# Names, kinds, modes and contents of a tree.
tree_of() {
    (cd "$1" && find . -printf '%P %y %m %l\n' | LC_ALL=C sort && find . -type f -exec sha256sum {} + | LC_ALL=C sort)
}

same_tree() {
    tree_of "$store" | diff "$1" -
}

loads() {
    "$gobcheck" dir "$store" >"$scratch/go"
}

item() {
    find "$store/.quarantine" -mindepth 1 -maxdepth 1 -type d -name "$1.*" | sort | sed -n "${2:-1}p"
}

# ---- repair ----

all_is_corrected() {
    fresh many-damages && runs 1 repair --yes "$store" && loads && runs 0 verify "$store" && runs 0 repair --yes "$store" &&
        out_has "nothing to do"
}

# One vector that is too long, which only a person can judge, and one document cut short.
something_is_left() {
    fresh embedding-not-normalised && file=$(find "$store" -name '*.gob' -size +1k ! -name '00000000.gob' | sort | tail -n 1) &&
        truncate -s 200 "$file" && json change 4 repair --yes "$store" && jq_is '.applied and (.left | length) == 1 and
            .left[0].code == "chromem-embedding-norm" and (.left[0].why | length) > 10 and (.left[0].fix | startswith("vsctl inspect "))' &&
        loads
}

dry_run_is_the_same_plan() {
    fresh many-damages && unchanged runs 4 repair --dry-run --json "$store" && keep_document change &&
        jq -c '[.plan[] | .action + .detail]' "$scratch/out" >"$scratch/dry" && runs 1 repair --yes --json "$store" &&
        jq -c '[.plan[] | .action + .detail]' "$scratch/out" | diff "$scratch/dry" -
}

only_some() {
    fresh many-damages && runs 4 repair --yes --only chromem-document-truncated "$store" && runs 4 verify --json "$store" &&
        jq_is '[.findings[].code] | (index("chromem-document-truncated") == null) and (index("chromem-document-empty") != null)' &&
        runs 16 repair --only nonsense "$store"
}

# ---- quarantine ----

round_trip() {
    fresh incident-missing-metadata && tree_of "$store" >"$scratch/tree" && runs 0 quarantine add --yes "$store" e9f85bf6 && loads &&
        runs 0 verify "$store" && runs 0 quarantine list "$store" && out_has e9f85bf6 &&
        runs 0 quarantine release --yes "$store" e9f85bf6 && same_tree "$scratch/tree"
}

# Directories of any name come back under it: hidden, not text, as long as a name may be.
round_trip_of_odd_names() {
    local name long
    long=$(printf 'x%.0s' {1..250})
    for name in .git $'not\xfftext' "$long"; do
        fresh healthy-example && mkdir "$store/$name" && echo nothing >"$store/$name/x.gob" && tree_of "$store" >"$scratch/tree" &&
            runs 1 repair --yes "$store" && loads && runs 0 quarantine list --json "$store" &&
            runs 0 quarantine release --yes "$store" "$(basename "$(find "$store/.quarantine" -mindepth 1 -maxdepth 1 -type d)")" &&
            same_tree "$scratch/tree" || return
    done
}

round_trip_of_a_file() {
    local file
    fresh healthy-plain && file=$(cd "$store" && find . -name '*.gob' ! -name '00000000.gob' | sort | head -n 1) && file=${file#./} &&
        tree_of "$store" >"$scratch/tree" && runs 0 quarantine add --yes "$store" "$file" && [ ! -e "$store/$file" ] && loads &&
        runs 0 quarantine release --yes "$store" "${file%/*}" && same_tree "$scratch/tree"
}

# The service writes the collection anew after it was set aside, and that is damaged as well.
twice_the_same() {
    fresh incident-missing-metadata && cp -a "$store/e9f85bf6" "$scratch/again" && runs 0 quarantine add --yes "$store" e9f85bf6 &&
        mv "$scratch/again" "$store/e9f85bf6" && runs 0 quarantine add --yes "$store" e9f85bf6 && loads &&
        [ -n "$(item e9f85bf6 1)" ] && [ -n "$(item e9f85bf6 2)" ] && diff -r "$(item e9f85bf6 1)" "$(item e9f85bf6 2)" &&
        runs 16 quarantine release --yes "$store" e9f85bf6 && err_has "2 items in quarantine are of e9f85bf6" &&
        runs 0 quarantine release --yes "$store" "$(basename "$(item e9f85bf6 1)")"
}

# Reason, findings, counts, digests; and what the documents of a collection without a name are.
sidecar() {
    fresh incident-missing-metadata && runs 0 quarantine add --yes --reason "found by the night watch" "$store" e9f85bf6 &&
        jq -e '.schema == 1 and .kind == "vsctl-quarantine" and .collection == "e9f85bf6" and .reason == "found by the night watch" and
            .documents == 4 and (.files | length) == 4 and all(.files[]; .sha256 | length == 64)' "$(item e9f85bf6).json" >/dev/null &&
        jq -r '.files[] | .sha256 + "  " + .name' "$(item e9f85bf6).json" | (cd "$(item e9f85bf6)" && sha256sum -c --quiet) &&
        jq -e '[.files[].name] | . == sort' "$(item e9f85bf6).json" >/dev/null &&
        runs 0 quarantine show "$store" e9f85bf6 && out_has "found by the night watch"
}

# Text and metadata of what is damaged are beside it.
salvaged() {
    fresh doc-zero-tail-embedding && runs 1 repair --yes "$store" && sidecars=$(find "$store/.quarantine" -maxdepth 1 -name '*.json') &&
        jq -e '.files[0].salvage | .state == "whole" or .state == "partly"' "$sidecars" >/dev/null &&
        jq -e '(.files[0].salvage.id | length) > 0 and (.files[0].salvage.metadata | length) > 0' "$sidecars" >/dev/null
}

# Merged with a collection that was made anew: what is new moves, what is the same goes, what differs stays and is told.
release_merges() {
    local one
    fresh incident-missing-metadata && cp -a "$store/e9f85bf6" "$scratch/again" && runs 0 quarantine add --yes "$store" e9f85bf6 &&
        one=$(find "$scratch/again" -name '*.gob' | sort | head -n 1) && mkdir "$store/e9f85bf6" && cp -a "$one" "$store/e9f85bf6/" &&
        runs 1 recover-metadata --yes "$store" && runs 0 quarantine release --yes "$store" e9f85bf6 &&
        same 5 "$(find "$store/e9f85bf6" -name '*.gob' | wc -l)" && [ ! -e "$store/.quarantine" ] && loads
    status=$?
    rm -rf "$scratch/again"
    return $status
}

release_conflicts() {
    local one
    fresh incident-missing-metadata && one=$(basename "$(find "$store/e9f85bf6" -name '*.gob' | sort | head -n 1)") &&
        runs 0 quarantine add --yes "$store" e9f85bf6 && mkdir "$store/e9f85bf6" &&
        cp "$store"/017f6ca7/[1-9a-f]*.gob "$scratch/" && cp "$(find "$scratch" -maxdepth 1 -name '*.gob' | head -n 1)" "$store/e9f85bf6/$one" &&
        json change 4 quarantine release --yes "$store" e9f85bf6 && jq_is '.left[0].code == "quarantine-conflict"' &&
        [ -e "$(item e9f85bf6)/$one" ]
    status=$?
    rm -f "$scratch"/*.gob
    return $status
}

# Nothing goes for good before another copy of it is shown to be the same.
purge_needs_a_copy() {
    fresh incident-missing-metadata && runs 0 quarantine add --yes "$store" e9f85bf6 && rm -rf "$scratch/copy" &&
        runs 8 quarantine purge --yes "$store" e9f85bf6 && err_has "there is no snapshot" && err_has "copy" &&
        cp -a "$(item e9f85bf6)" "$scratch/copy" && echo x >>"$(find "$scratch/copy" -type f | head -n 1)" &&
        runs 16 quarantine purge --yes "$store" e9f85bf6 --copy "$scratch/copy" && [ -d "$(item e9f85bf6)" ] &&
        rm -rf "$scratch/copy" && cp -a "$(item e9f85bf6)" "$scratch/copy" && rm "$(find "$scratch/copy" -type f | head -n 1)" &&
        runs 16 quarantine purge --yes "$store" e9f85bf6 --copy "$scratch/copy" && rm -rf "$scratch/copy" &&
        cp -a "$(item e9f85bf6)" "$scratch/copy" && runs 0 quarantine purge --yes "$store" e9f85bf6 --copy "$scratch/copy" &&
        [ ! -e "$store/.quarantine" ] && runs 0 quarantine list "$store" && out_has "nothing is in quarantine"
}

# A snapshot of a time when the documents stood in their collection.
snapshot_then_quarantine() {
    fresh incident-missing-metadata && rm -rf "$store.vsctl" && runs 4 snapshot create --name before --check quick "$@" "$store" &&
        runs 0 quarantine add --yes "$store" e9f85bf6
}

purge_with_a_snapshot() {
    snapshot_then_quarantine && json change 0 quarantine purge --dry-run "$store" e9f85bf6 && [ -d "$(item e9f85bf6)" ] &&
        jq_is '[.plan[].detail // empty] == ["remove the item, which snapshot before holds byte for byte"]' &&
        runs 0 quarantine purge --yes "$store" e9f85bf6 && out_has "snapshot before" && [ ! -e "$store/.quarantine" ]
}

# All but one: a document that was changed after the snapshot, and before it was set aside.
purge_with_one_missing() {
    fresh incident-missing-metadata && rm -rf "$store.vsctl" && runs 4 snapshot create --name before --check quick "$store" &&
        printf x >>"$(find "$store/e9f85bf6" -type f | sort | tail -n 1)" && runs 0 quarantine add --yes "$store" e9f85bf6 &&
        tree_of "$store" >"$scratch/tree" && runs 8 quarantine purge --yes "$store" e9f85bf6 &&
        err_has "before lacks 1 of them" && err_has "vsctl snapshot create" && tree_of "$store" | cmp - "$scratch/tree" &&
        runs 0 snapshot create --name after "$store" && runs 0 quarantine purge --yes "$store" e9f85bf6 &&
        out_has "snapshot after holds" && [ ! -e "$store/.quarantine" ]
}

# The list has them all, and the archive does not any more.
purge_with_a_damaged_archive() {
    snapshot_then_quarantine && "$python" -c '
import sys
with open(sys.argv[1], "r+b") as f:
    data = bytearray(f.read())
    data[len(data) // 2] ^= 1
    f.seek(0)
    f.write(data)' "$store.vsctl/snapshots/before.tar.gz" && tree_of "$store" >"$scratch/tree" &&
        runs 8 quarantine purge --yes "$store" e9f85bf6 && err_has "before has all of them in its list, but: snapshots/before.tar.gz" &&
        tree_of "$store" | cmp - "$scratch/tree" && rm "$store.vsctl/snapshots/before.tar.gz" &&
        runs 8 quarantine purge --yes "$store" e9f85bf6 && err_has "missing" && tree_of "$store" | cmp - "$scratch/tree"
}

purge_with_a_sealed_snapshot() {
    head -c 32 /dev/urandom >"$scratch/key"
    snapshot_then_quarantine --key-file "$scratch/key" && runs 8 quarantine purge --yes "$store" e9f85bf6 &&
        err_has "--key-file" && [ -d "$(item e9f85bf6)" ] &&
        runs 0 quarantine purge --yes --key-file "$scratch/key" "$store" e9f85bf6 && [ ! -e "$store/.quarantine" ]
}

# Two stores, one state directory: what the snapshot of one holds is no copy for the other, whose snapshot it is not.
purge_with_another_stores_snapshot() {
    snapshot_then_quarantine && rm -rf "$scratch/other" && cp -a "$store" "$scratch/other" &&
        runs 8 quarantine purge --yes --state "$store.vsctl" "$scratch/other" e9f85bf6 && err_has "there is no snapshot" &&
        [ -d "$scratch/other/.quarantine" ]
}

# No snapshot follows a link, so none holds one.
purge_with_a_link() {
    snapshot_then_quarantine && ln -s /etc/passwd "$(item e9f85bf6)/link" &&
        runs 8 quarantine purge --yes "$store" e9f85bf6 && err_has "not a file" && [ -d "$(item e9f85bf6)" ]
}

# ---- backups ----

keeps_24() {
    local n
    fresh healthy-example
    for ((n = 0; n < 25; n++)); do
        touch "$store.vsctl/metadata/20260101T0000$(printf %02d $n)Z.json" 2>/dev/null || mkdir -p "$store.vsctl/metadata"
    done
    rm -rf "$store.vsctl/metadata"
    runs 0 metadata backup "$store" && mv "$store.vsctl"/metadata/*.json "$scratch/one.json" || return
    for ((n = 0; n < 24; n++)); do
        cp "$scratch/one.json" "$store.vsctl/metadata/20260101T0000$(printf %02d $n)Z.json"
    done
    runs 0 metadata backup "$store" && same 24 "$(find "$store.vsctl/metadata" -name '*.json' | wc -l)" &&
        [ ! -e "$store.vsctl/metadata/20260101T000000Z.json" ] && [ -e "$store.vsctl/metadata/20260101T000001Z.json" ]
}

# ---- plans ----

plan_is_a_file() {
    fresh many-damages && tree_of "$store" >"$scratch/tree" && unchanged runs 4 repair --plan "$scratch/plan.json" "$store" &&
        jq -e '.schema == 1 and (.actions | length) > 5' "$scratch/plan.json" >/dev/null &&
        runs 1 repair --yes --apply "$scratch/plan.json" "$store" && runs 0 verify "$store" && runs 0 undo --yes "$store" &&
        same_tree "$scratch/tree"
}

plan_of_another_day() {
    fresh many-damages && runs 4 repair --plan "$scratch/plan.json" "$store" &&
        echo x >>"$(find "$store/cc02d464" -name '0d68b9f1.gob')" &&
        unchanged runs 8 repair --yes --apply "$scratch/plan.json" "$store" && err_has "has changed since the plan was made"
}

plan_that_is_none() {
    fresh many-damages && echo '{}' >"$scratch/plan.json" && unchanged runs 8 repair --yes --apply "$scratch/plan.json" "$store" &&
        err_has "plan.json" && runs 8 repair --yes --apply "$scratch/absent" "$store" &&
        runs 16 repair --plan a --apply b "$store"
}

undo_after_a_change() {
    fresh many-damages && runs 1 repair --yes "$store" && echo x >>"$store/a1ef3a3d/00000000.gob" &&
        unchanged runs 8 undo --yes "$store" && err_has "a1ef3a3d/00000000.gob"
}

check "all is corrected" all_is_corrected
check "something is left" something_is_left
check "a dry run shows the same plan" dry_run_is_the_same_plan
check "--only" only_some
check "set aside and released" round_trip
check "directories of odd names set aside and released" round_trip_of_odd_names
check "one file set aside and released" round_trip_of_a_file
check "the same collection twice" twice_the_same
check "the sidecar" sidecar
check "what could be salvaged" salvaged
check "released into a collection that was made anew" release_merges
check "conflicts stay in quarantine" release_conflicts
check "nothing is purged without a copy" purge_needs_a_copy
check "purged with a snapshot" purge_with_a_snapshot
check "a snapshot with all but one" purge_with_one_missing
check "a snapshot whose archive is damaged" purge_with_a_damaged_archive
check "a sealed snapshot" purge_with_a_sealed_snapshot
check "a snapshot of another store" purge_with_another_stores_snapshot
check "a link in quarantine" purge_with_a_link
check "24 backups are kept" keeps_24
check "a plan is a file" plan_is_a_file
check "a plan of another day" plan_of_another_day
check "a plan that is none" plan_that_is_none
check "undo after a change" undo_after_a_change
finish_cli
