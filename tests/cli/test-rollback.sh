#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Rollback and restore from the command line: what goes back and what stays, what is refused, and that each way has
# its way back.
set -u
# In memory where that is to be had: everything below is synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
gobcheck=${2:-}

store=$scratch/store
state=$store.vsctl
alpha=8ed3f6ad
beta=f44e64e7
writer="$source/tests/kit/chromemstore.py"

write() {
    "$python" "$writer" "$store" "$@"
}

# Two collections in a snapshot "one", and then a bad day: alpha loses, gains and gets other documents, beta too.
fresh() {
    rm -rf "$store" "$state" "$scratch/new" "$scratch/kept"
    write alpha 0 250 && write beta 0 20 && find "$store" -exec touch -d '2026-01-01 12:00' {} + &&
        runs 0 snapshot create --name one "$store" && cp -a "$store" "$scratch/kept"
}

bad_day() {
    rm "$(document alpha doc-7)" && cp "$(document alpha doc-8)" "$scratch/doc-8" &&
        write alpha 250 5 && write alpha 3 2 16 && write beta 20 1 && write gamma 0 3
}

# A file of a document, by its collection and id.
document() {
    printf '%s/%s/%s.gob' "$store" "$(printf %s "$1" | sha256sum | cut -c 1-8)" "$(printf %s "$2" | sha256sum | cut -c 1-8)"
}

same_tree() {
    (cd "$1" && find . -mindepth 1 -type f -printf '%P %m %T@\n' -o -mindepth 1 -printf '%P %m\n' | sort && find . -type f -exec sha256sum {} + | sort) >"$scratch/a"
    (cd "$2" && find . -mindepth 1 -type f -printf '%P %m %T@\n' -o -mindepth 1 -printf '%P %m\n' | sort && find . -type f -exec sha256sum {} + | sort) >"$scratch/b"
    diff "$scratch/a" "$scratch/b"
}

loads() {
    [ -z "$gobcheck" ] || "$gobcheck" dir "$1" >"$scratch/go" 2>&1 || { cat "$scratch/go" && return 1; }
}

# ---- everything ----

all_goes_back() {
    fresh && bad_day && json change 0 rollback --yes "$store" one &&
        jq_is '.applied and .snapshot == "one" and .verdict == "healthy" and .loadable == "yes"' &&
        same_tree "$scratch/kept" "$store" && loads "$store"
}

undo_takes_it_back() {
    fresh && bad_day && cp -a "$store" "$scratch/bad" && runs 0 rollback --yes "$store" one && runs 0 undo --yes "$store" &&
        same_tree "$scratch/bad" "$store"
    local r=$?
    rm -rf "$scratch/bad"
    return $r
}

state_before_is_a_snapshot() {
    local safety
    fresh && bad_day && cp -a "$store" "$scratch/bad" && runs 0 rollback --yes "$store" one || return
    json snapshot 0 snapshot list "$store" && jq_is '[.snapshots[] | select(.state == "before a rollback")] | length == 1' || return
    safety=$(jq -r '.snapshots[] | select(.state == "before a rollback") | .snapshot' "$scratch/out")
    runs 0 snapshot verify "$store" "$safety" && runs 0 rollback --yes "$store" "$safety" && same_tree "$scratch/bad" "$store"
    local r=$?
    rm -rf "$scratch/bad"
    return $r
}

# What it would take back has changed, in each of the ways that only show on the way: nothing is begun.
undo_minds_what_changed() {
    fresh && bad_day && runs 0 rollback --yes "$store" one && rm -rf "${store:?}/$alpha" && unchanged runs 8 undo --yes "$store" &&
        err_has "$alpha" && err_has "has changed since run" || return
    fresh && rm -rf "${store:?}/$beta" && runs 0 rollback --yes "$store" one && write beta 90 1 &&
        unchanged runs 8 undo --yes "$store" && err_has "has changed since run"
}

a_second_one_does_nothing() {
    fresh && bad_day && runs 0 rollback --yes "$store" one && unchanged runs 0 rollback --yes "$store" one &&
        out_has "nothing to do"
}

# The dry run counts what the real run does, and writes nothing.
dry_run_is_the_plan() {
    fresh && bad_day && unchanged json change 0 rollback --dry-run "$store" one &&
        jq_is '.applied == false and .outcome == "dry-run"' &&
        jq_is '[.collections[] | {(.name // "gamma"): [.added, .removed, .changed, .kept]}] | add ==
            {"alpha": [5, 1, 2, 248], "beta": [1, 0, 0, 21], "gamma": [4, 0, 0, 0]}' || return
    jq -c '.plan' "$scratch/out" >"$scratch/plan"
    json change 0 rollback --yes "$store" one && jq -c '.plan' "$scratch/out" | cmp - "$scratch/plan"
}

text_says_what_and_how_back() {
    fresh && bad_day && runs 0 rollback --yes "$store" one && out_has "plan: back to one of" && out_has "3 files as they were then" &&
        out_has "done: the store loads" && [[ "$(tail -n 1 "$scratch/out")" == "to take it back: vsctl undo $store "* ]]
}

needs_a_yes() {
    fresh && bad_day && unchanged runs 32 rollback "$store" one && out_has "cancelled" && runs 0 snapshot list "$store" &&
        out_has "1 snapshot, 1 of them good"
}

manifest_says_restored() {
    fresh && bad_day && runs 0 rollback --yes "$store" one && json snapshot 0 snapshot show "$store" one &&
        jq_is '.status == "restored"'
}

# ---- a part ----

one_collection() {
    fresh && bad_day && cp -a "$store" "$scratch/bad" && runs 0 rollback --yes --partial --collections alpha "$store" one &&
        same_tree "$scratch/kept/$alpha" "$store/$alpha" && same_tree "$scratch/bad/$beta" "$store/$beta" && [ -d "$store/be9d587d" ]
    local r=$?
    rm -rf "$scratch/bad"
    return $r
}

failed_collections_is_the_same() {
    fresh && bad_day && runs 0 rollback --yes --partial --failed-collections "alpha,$beta" "$store" one &&
        same_tree "$scratch/kept/$alpha" "$store/$alpha" && same_tree "$scratch/kept/$beta" "$store/$beta" &&
        [ "$(find "$store" -mindepth 1 -maxdepth 1 | wc -l)" -eq 3 ]
}

unknown_collection() {
    fresh && unchanged runs 16 rollback --yes --partial --collections alhpa "$store" one && err_has "alhpa: no such collection" &&
        err_has "did you mean alpha?" && unchanged runs 16 rollback --yes --collections "alpha,,beta" "$store" one &&
        err_has "an empty name" && unchanged runs 16 rollback --yes --partial --collections "" "$store" one &&
        unchanged runs 16 rollback --yes --partial "$store" one && err_has "--partial needs --collections"
}

# 250 documents are batches of 100, 100 and 50, in the order of writing; all have one time here, so the order is that of
# the names, and the manifest says which are in which.
batches() {
    local want
    fresh && json change 0 rollback --yes --batches "alpha:batch_000001,batch_000002" "$store" one || return
    want=$(find "$store/$alpha" -name '*.gob' ! -name 00000000.gob | wc -l)
    same 150 "$want" && same_tree "$scratch/kept/$beta" "$store/$beta" && runs 16 rollback --yes --batches "alpha:batch_000003" "$store" one &&
        err_has "3 batches" && runs 16 rollback --yes --batches "batch_000001" "$store" one && runs 16 rollback --yes --batches "alpha:last" "$store" one
}

batches_are_in_the_order_of_writing() {
    local i
    rm -rf "$store" "$state" && write alpha 0 205 || return
    for i in $(seq 0 204); do
        touch -d "@$((1750000000 + i))" "$(document alpha "doc-$i")"
    done
    runs 0 snapshot create --name one "$store" && runs 0 rollback --yes --batches alpha:batch_000001 "$store" one || return
    for i in $(seq 0 204); do
        if [ "$i" -ge 100 ] && [ "$i" -lt 200 ]; then
            [ -f "$(document alpha "doc-$i")" ] || return 1
        else
            [ ! -e "$(document alpha "doc-$i")" ] || return 1
        fi
    done
}

until_a_time() {
    local i
    rm -rf "$store" "$state" && write alpha 0 20 || return
    for i in $(seq 0 19); do
        touch -d "2026-01-01 12:00:$(printf %02d "$i")Z" "$(document alpha "doc-$i")"
    done
    runs 0 snapshot create --name one "$store" && runs 0 rollback --yes --at 2026-01-01T12:00:09Z "$store" one || return
    same 10 "$(find "$store/$alpha" -name '*.gob' ! -name 00000000.gob | wc -l)" &&
        [ -f "$(document alpha doc-9)" ] && [ ! -e "$(document alpha doc-10)" ] &&
        runs 16 rollback --yes --at tomorrow "$store" one && err_has "not a time"
}

quarantine_stays() {
    fresh && runs 0 quarantine add --yes "$store" beta && runs 0 rollback --yes "$store" one &&
        same_tree "$scratch/kept/$beta" "$store/$beta" && runs 0 quarantine list "$store" && out_has "$beta."
}

# ---- around it ----

commands_are_run() {
    fresh && bad_day && runs 0 rollback --yes --pre-cmd "ls \"\$VSCTL_STORE/$beta\" | wc -l >'$scratch/pre'" \
        --post-cmd "ls \"\$VSCTL_STORE/$beta\" | wc -l >'$scratch/post'" "$store" one &&
        same 22 "$(cat "$scratch/pre")" && same 21 "$(cat "$scratch/post")"
}

pre_cmd_fails() {
    fresh && bad_day && unchanged runs 8 rollback --yes --pre-cmd 'exit 3' "$store" one && err_has "ended with status 3"
}

post_cmd_fails() {
    fresh && bad_day && runs 0 rollback --yes --post-cmd false "$store" one && err_has "--post-cmd failed" &&
        same_tree "$scratch/kept" "$store"
}

# pieces PATH: the middle of the piece of the archive that has this file, and of one that has not.
pieces() {
    "$python" - "$state/snapshots/one.tar.gz" "$1" <<'PIECES'
import sys, zlib
data, name = open(sys.argv[1], "rb").read(), sys.argv[2].encode()
at, has, other = 0, None, None
while at < len(data):
    length = int.from_bytes(data[at + 16:at + 20], "little")
    raw = zlib.decompress(data[at:at + length], 31)
    if name in raw:
        has = at + length // 2
    elif len(raw) > 10000:
        other = at + length // 2
    at += length
print(has, other)
PIECES
}

# Of the archive only what has to come back is read; all of it by verifying.
damage_where_it_matters() {
    local gone has other
    fresh && gone=$(document alpha doc-7) && rm "$gone" && cp "$state/snapshots/one.tar.gz" "$scratch/one" || return
    read -r has other <<<"$(pieces "$alpha/${gone##*/}")"
    printf '\125\252' | dd of="$state/snapshots/one.tar.gz" bs=1 seek="$has" conv=notrunc 2>/dev/null
    unchanged runs 8 rollback --dry-run "$store" one && err_has "snapshot one is damaged (readable: " &&
        unchanged runs 8 rollback --yes "$store" one && err_has "snapshot one is damaged (readable: " || return
    cp "$scratch/one" "$state/snapshots/one.tar.gz"
    printf '\125\252' | dd of="$state/snapshots/one.tar.gz" bs=1 seek="$other" conv=notrunc 2>/dev/null
    runs 4 snapshot verify "$store" one && runs 0 rollback --yes "$store" one && same_tree "$scratch/kept" "$store"
}

damaged_snapshot() {
    fresh && bad_day && printf xxxx | dd of="$state/snapshots/one.tar.gz" bs=1 seek=100 conv=notrunc 2>/dev/null &&
        unchanged runs 8 rollback --yes "$store" one && err_has "snapshot one is damaged" && err_has "vsctl snapshot list"
}

no_such_snapshot() {
    fresh && unchanged runs 8 rollback --yes "$store" two && err_has two && unchanged runs 16 rollback --yes "$store" &&
        runs 16 rollback --yes "$store" ../one
}

# Two stores that share a state directory: the newest of the other one is not ours.
latest_good_of_two() {
    fresh && cp -a "$store" "$scratch/other" && rm "$scratch/other/$beta"/*.gob && rmdir "$scratch/other/$beta" &&
        runs 0 snapshot create --name theirs --state "$state" "$scratch/other" && bad_day &&
        runs 0 restore --yes --latest-good "$store" && same_tree "$scratch/kept" "$store"
    local r=$?
    rm -rf "$scratch/other"
    return $r
}

another_store() {
    fresh && cp -a "$store" "$scratch/other" && runs 16 rollback --yes --state "$state" "$scratch/other" one &&
        err_has "is of another store" && runs 0 rollback --yes --force --state "$state" "$scratch/other" one
    local r=$?
    rm -rf "$scratch/other"
    return $r
}

in_use() {
    local pid r
    fresh && bad_day || return
    env VECTORSTORE_PATH="$store" sleep 60 &
    pid=$!
    sleep 0.2
    unchanged runs 8 rollback --yes "$store" one && err_has "process $pid"
    r=$?
    kill "$pid"
    wait "$pid" 2>/dev/null
    return $r
}

audited() {
    fresh && bad_day && runs 0 rollback --dry-run "$store" one && runs 32 rollback "$store" one && runs 0 rollback --yes "$store" one &&
        json audit-log 0 audit-log list --action rollback "$store" &&
        jq_is '[.records[].phase] == ["dry-run", "cancelled", "started", "finished"]' && runs 0 audit-log verify "$store" &&
        jq -es '[.[].status] == ["initiated", "completed"] and all(keys | length == 11) and .[1].rollback_success and
            .[1].collections_affected == ["alpha", "be9d587d", "beta"]' "$state/rollback_audit.jsonl" >/dev/null && compgen -G "$state/logs/rollback_*.log" >/dev/null
}

# ---- into a new place ----

into_a_new_place() {
    fresh && bad_day && unchanged json restore 0 restore --to "$scratch/new" "$store" one &&
        jq_is '.outcome == "restored" and .documents == 270 and .files == 272 and .verdict == "healthy"' &&
        same_tree "$scratch/kept" "$scratch/new" && loads "$scratch/new" && unchanged runs 16 restore --to "$scratch/new" "$store" one &&
        err_has "is not empty"
}

into_an_empty_one() {
    fresh && mkdir "$scratch/new" && runs 0 restore --to "$scratch/new/" "$store" one && last_line "next: vsctl verify $scratch/new/" &&
        same_tree "$scratch/kept" "$scratch/new"
}

one_collection_into_a_new_place() {
    fresh && runs 0 restore --to "$scratch/new" --collection beta "$store" one && same $beta "$(ls "$scratch/new")" &&
        same_tree "$scratch/kept/$beta" "$scratch/new/$beta" && runs 16 restore --to "$scratch/newer" --collection bata "$store" one &&
        err_has "did you mean beta?" && [ ! -e "$scratch/newer" ]
}

not_into_a_file() {
    fresh && touch "$scratch/file" && runs 16 restore --to "$scratch/file" "$store" one && runs 8 restore --to "$scratch/no/where" "$store" one &&
        [ ! -e "$scratch/no" ]
}

dry_restore() {
    fresh && json restore 0 restore --dry-run --to "$scratch/new" "$store" one && jq_is '.outcome == "dry-run" and .documents == 270' &&
        [ ! -e "$scratch/new" ]
}

lost_store() {
    fresh && rm -rf "$store" && runs 0 restore --latest-good "$store" && same_tree "$scratch/kept" "$store" && loads "$store" &&
        rm -rf "${store:?}"/* && runs 0 restore "$store" one && same_tree "$scratch/kept" "$store"
}

latest_good() {
    fresh && runs 16 restore --yes "$store" && runs 16 restore --yes --latest-good "$store" one || return
    # Newer, and of a store that does not load.
    rm "$store/$beta/00000000.gob" && runs 4 snapshot create --name bad "$store" && runs 0 restore --yes --latest-good "$store" &&
        out_has "back to one of" && same_tree "$scratch/kept" "$store" || return
    # The state that was left is not a good one, however well it loads.
    bad_day && runs 0 rollback --yes "$store" one && runs 0 restore --dry-run --latest-good "$store" && out_has "nothing to do"
}

latest_good_is_damaged() {
    fresh && write beta 20 1 && runs 0 snapshot create --full --name two "$store" &&
        printf xxxx | dd of="$state/snapshots/two.tar.gz" bs=1 seek=100 conv=notrunc 2>/dev/null && bad_day &&
        runs 0 restore --yes --latest-good "$store" && err_has "two" && same_tree "$scratch/kept" "$store"
}

check "all goes back" all_goes_back
check "undo takes it back" undo_takes_it_back
check "undo minds what has changed" undo_minds_what_changed
check "the state before is a snapshot" state_before_is_a_snapshot
check "a second one does nothing" a_second_one_does_nothing
check "the dry run is the plan" dry_run_is_the_plan
check "the text says what, and the way back" text_says_what_and_how_back
check "it needs a yes" needs_a_yes
check "the manifest says restored" manifest_says_restored
check "one collection" one_collection
check "failed collections" failed_collections_is_the_same
check "an unknown collection" unknown_collection
check "batches" batches
check "batches are in the order of writing" batches_are_in_the_order_of_writing
check "until a time" until_a_time
check "the quarantine stays" quarantine_stays
check "commands before and after" commands_are_run
check "the command before fails" pre_cmd_fails
check "the command after fails" post_cmd_fails
check "a damaged snapshot" damaged_snapshot
check "damage where it matters" damage_where_it_matters
check "no such snapshot" no_such_snapshot
check "a snapshot of another store" another_store
check "the latest good one of two stores" latest_good_of_two
check "a store in use" in_use
check "audited" audited
check "into a new place" into_a_new_place
check "into an empty directory" into_an_empty_one
check "one collection into a new place" one_collection_into_a_new_place
check "not over a file" not_into_a_file
check "a dry restore" dry_restore
check "a lost store" lost_store
check "the latest good one" latest_good
check "the latest good one is damaged" latest_good_is_damaged
finish_cli
