#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Whose files are: an operator is root, the application is not, and it must be able to read what was repaired.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"
user=12345
group=54321

# owned FIXTURE: a copy of a store that belongs to the application.
owned() {
    fixture "$1" && rm -rf "$store.vsctl" && chown -R $user:$group "$store"
}

owned_chroma() {
    fresh "$1" && chown -R $user:$group "$store"
}

all_are_theirs() {
    local others
    others=$(find "${1:-$store}" \( ! -uid $user -o ! -gid $group \) -printf '%U:%G %p\n')
    same '' "$others"
}

# read_as_user FILE: who is no root can read it.
read_as_user() {
    setpriv --reuid $user --regid $group --clear-groups cat "$1" >"$scratch/read"
}

metadata_that_was_lost() {
    owned incident-missing-metadata && runs 1 recover-metadata --yes "$store" && all_are_theirs &&
        chmod a+x "$scratch" "$scratch/incident-missing-metadata" && read_as_user "$store/e9f85bf6/00000000.gob" &&
        runs 0 undo --yes "$store" && all_are_theirs
}

# Directories and files that were not there before, and back.
set_aside_and_released() {
    owned incident-missing-metadata && runs 0 quarantine add --yes "$store" e9f85bf6 && [ -d "$store/.quarantine" ] && all_are_theirs &&
        runs 0 quarantine release --yes --force "$store" e9f85bf6 && all_are_theirs && runs 0 undo --yes "$store" && all_are_theirs
}

repaired() {
    owned doc-truncated && runs 1 repair --yes "$store" && all_are_theirs && runs 0 undo --yes "$store" && all_are_theirs
}

# Files that are there keep their owners, whoever that is; what is new has that of its directory.
rolled_back() {
    local file directory
    owned healthy-plain && runs 0 snapshot create --name one "$store" && file=$(find "$store" -name '*.gob' ! -name 00000000.gob | sort | head -n 1) &&
        directory=${file%/*} && chown 777:888 "$file" && printf x >>"$file" && rm "$directory/00000000.gob" &&
        runs 0 rollback --yes "$store" one && same 777:888 "$(stat -c %u:%g "$file")" && chown $user:$group "$file" && all_are_theirs &&
        rm -rf "$directory" && runs 0 rollback --yes "$store" one && all_are_theirs && runs 0 undo --yes "$store" && all_are_theirs
}

# What a snapshot is restored to belongs to whom the store belonged to.
restored() {
    owned healthy-gz && runs 0 snapshot create --name one "$store" && rm -rf "$scratch/restored" &&
        runs 0 restore --to "$scratch/restored" "$store" one && all_are_theirs "$scratch/restored" &&
        jq -e ".store_owner == {user: $user, group: $group}" "$store.vsctl/manifests/one.json" >"$scratch/jq"
}

entries_of_a_log() {
    rm -rf "$scratch/wal" && cp -r "$source/tests/data/contextd-wal" "$scratch/wal" && rm "$scratch/wal/README.md" &&
        chown -R $user:$group "$scratch/wal" && runs 0 wal compact "$scratch/wal" && all_are_theirs "$scratch/wal" &&
        runs 0 wal compact --undo "$scratch/wal" && all_are_theirs "$scratch/wal"
}

database() {
    owned_chroma fts-rows-missing && runs 1 repair --yes "$store" && all_are_theirs && runs 0 undo --yes "$store" && all_are_theirs
}

index_of_a_collection() {
    owned_chroma pickle-missing && runs 1 index rebuild --yes "$store" && all_are_theirs && runs 0 undo --yes "$store" && all_are_theirs
}

database_rolled_back() {
    owned_chroma base && runs 0 snapshot create --name one "$store" && sql "DELETE FROM embeddings WHERE id % 7 = 0" && chown -R $user:$group "$store" &&
        runs 0 rollback --yes "$store" one && all_are_theirs && runs 0 restore --to "$scratch/new" "$store" one && all_are_theirs "$scratch/new"
}

# Made by root, and asked for by a schedule that is the application.
a_state_of_somebody_else() {
    owned healthy-plain && runs 0 snapshot create --name one "$store" && chmod a+x "$scratch" "$scratch/healthy-plain" &&
        cp "$vsctl" "$scratch/vsctl" || return
    for words in "snapshot list" "snapshot create" "repair --yes" "status" "audit-log" "monitor --once"; do
        # shellcheck disable=SC2086 # several words
        setpriv --reuid $user --regid $group --clear-groups "$scratch/vsctl" $words "$store" >"$scratch/out" 2>"$scratch/err"
        same 8 $? && err_has "$store.vsctl: belongs to the user root; run this as that user, or give another --state" || return
    done
}

if [ "$(id -u)" -ne 0 ] || ! chown $user:$group "$scratch/documents"; then
    echo "1..0 # SKIP only root gives files away"
    exit 0
fi
check "metadata that was lost" metadata_that_was_lost
check "set aside and released" set_aside_and_released
check "repaired" repaired
check "rolled back" rolled_back
check "restored" restored
check "entries of a log" entries_of_a_log
check "a state of somebody else" a_state_of_somebody_else
check "a database" database
check "an index" index_of_a_collection
check "a database that is rolled back" database_rolled_back
finish
