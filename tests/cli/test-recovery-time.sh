#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The limits that were set for a store of 9,832 chunks: five minutes to make a snapshot and to roll all of it back, two
# for a part. What it takes is in tests/bench/README.md; here it is a fiftieth of a limit on an idle machine, so only
# something that has become another kind of slow breaks it, sanitizers and neighbours do not.
set -u
# In memory where that is to be had.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
store=$scratch/store
state=$store.vsctl

# within SECONDS COMMAND...
within() {
    local limit=$1 began=$SECONDS
    shift
    "$@" || return
    ((SECONDS - began < limit)) || { echo "$((SECONDS - began)) s" && return 1; }
}

contents() {
    (cd "$store" && find . -type f -exec sha256sum {} + | LC_ALL=C sort -k 2)
}

# back SECONDS ROLLBACK-OPTION...: of the contents in the file "good" that all are there again in that time
back() {
    within "$1" json change 0 rollback --yes --force "${@:2}" "$store" good && jq_is .applied && contents >"$scratch/again" &&
        diff -q "$scratch/good" "$scratch/again"
}

documents_in_time() {
    local collection spoiled
    for collection in alpha beta gamma delta; do
        "$python" "$source/tests/kit/chromemstore.py" "$store" $collection 0 2458 || return
    done
    contents >"$scratch/good" && [ "$(grep -vc 00000000.gob "$scratch/good")" = 9832 ] &&
        within 300 runs 0 snapshot create --name good "$store" &&
        find "$store" -name '*[05]?.gob' ! -name 00000000.gob -delete && back 300 &&
        spoiled=$store/$(printf alpha | sha256sum | cut -c 1-8) && find "$spoiled" -name '*[05]?.gob' ! -name 00000000.gob -delete &&
        back 120 --partial --collections alpha
}

# How many records of the collection are whole, and how many there are.
records() {
    sqlite3 "$store/chroma.sqlite3" "SELECT count(*), (SELECT count(*) FROM embeddings) FROM embeddings e
        JOIN embedding_metadata m ON m.id = e.id AND m.key = 'page' JOIN segments s ON s.id = e.segment_id
        JOIN collections c ON c.id = s.collection WHERE c.name = 'collection_001'"
}

spoil() {
    sqlite3 "$store/chroma.sqlite3" "DELETE FROM embedding_metadata WHERE key = 'page' AND id IN (SELECT e.id FROM embeddings e
        JOIN segments s ON s.id = e.segment_id JOIN collections c ON c.id = s.collection WHERE c.name = 'collection_001')" &&
        [ "$(records)" = '0|9832' ]
}

records_in_time() {
    rm -rf "$store" "$state"
    tar -C "$scratch" -xJf "$source/tests/data/chroma/stores.tar.xz" base &&
        "$python" "$source/tests/kit/chromastore.py" "$scratch/base/chroma.sqlite3" "$store" 4 9832 8 &&
        runs 1 index rebuild --yes "$store" && "$python" "$source/tests/kit/chromastore.py" --purge "$store" &&
        rm -rf "$state" "$store/.quarantine" && contents >"$scratch/good" && [ "$(records)" = '2458|9832' ] &&
        within 300 runs 0 snapshot create --name good "$store" &&
        spoil && back 300 &&
        spoil && within 120 runs 0 rollback --yes --force --partial --collections collection_001 "$store" good &&
        [ "$(records)" = '2458|9832' ] && runs 0 verify "$store"
}

check "documents of chromem in time" documents_in_time
check "records of Chroma in time" records_in_time
finish_cli
