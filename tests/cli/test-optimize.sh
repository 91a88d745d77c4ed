#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# optimize: what goes, that nothing else does, and that it is taken back.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"

asked() {
    same "$2" "$(sqlite3 "$store/chroma.sqlite3" "$1")"
}

# Every row but that of the queue and of SQLite's own statistics.
rows_of() {
    sqlite3 "$1/chroma.sqlite3" "SELECT * FROM collections ORDER BY 1; SELECT * FROM segments ORDER BY 1; SELECT * FROM embeddings ORDER BY 1;
        SELECT * FROM embedding_metadata ORDER BY 1, 2; SELECT rowid, string_value FROM embedding_fulltext_search ORDER BY 1; SELECT * FROM max_seq_id ORDER BY 1"
}

tree_of() {
    (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum)
}

# The rows that records and index have go, those that only the queue has stay.
queue_is_purged() {
    fresh queue-unpurged && rows_of "$store" >"$scratch/rows" && json change 0 optimize --yes "$store" &&
        jq_is '([.queue[].rows] | add) > 1300 and .bytes_after < .bytes_before and ([.plan[].action] | index("purge-automatically"))' &&
        rows_of "$store" | diff "$scratch/rows" - && runs 0 verify --level deep "$store" && out_has "no warnings" &&
        asked "SELECT count(*) FROM embeddings_queue q JOIN segments s ON q.topic LIKE '%/' || s.collection JOIN max_seq_id m ON m.segment_id = s.id
            WHERE q.seq_id < m.seq_id AND s.scope = 'VECTOR' AND (SELECT count(*) FROM max_seq_id x JOIN segments y ON y.id = x.segment_id WHERE
            y.collection = s.collection) = 2" 0 && asked "SELECT max(seq_id) FROM embeddings_queue" "$(sqlite3 "$stores/queue-unpurged/chroma.sqlite3" \
            "SELECT max(seq_id) FROM embeddings_queue")"
}

# A row whose vector the index does not have stays, whatever the positions say.
what_the_index_lacks_stays() {
    fresh queue-unpurged && sqlite3 "$store/chroma.sqlite3" "UPDATE embeddings_queue SET vector = zeroblob(length(vector)) WHERE seq_id =
        (SELECT max(seq_id) - 1 FROM embeddings_queue WHERE vector IS NOT NULL AND topic LIKE '%af75144e-c5bd-4812-b862-817d67242cc1')" || return
    json change 0 optimize --dry-run "$store" && jq_is '([.queue[].kept] | add) > 0'
}

# The second time there is nothing to gain.
once_is_enough() {
    fresh base && runs 0 optimize --yes "$store" && json change 0 optimize --yes "$store" && jq_is '.outcome == "nothing-to-do"'
}

a_snapshot_is_made() {
    fresh base && runs 0 optimize --yes "$store" && err_has "snapshot_" && json snapshot 0 snapshot list "$store" && jq_is '[.snapshots[].state] == ["before optimize"]' &&
        runs 0 snapshot show "$store" "$(jq -r '.snapshots[].snapshot' "$scratch/out")" && out_has "before optimize" &&
        fresh base && runs 0 optimize --yes --no-snapshot "$store" && runs 0 snapshot list "$store" && out_lacks "snapshot_"
}

it_is_taken_back() {
    fresh queue-unpurged && tree_of "$store" >"$scratch/before" && runs 0 optimize --yes "$store" && runs 0 undo --yes "$store" &&
        tree_of "$store" | diff "$scratch/before" -
}

dry_run_changes_nothing() {
    fresh queue-unpurged && unchanged runs 0 optimize --dry-run "$store" && out_has "rows of the write queue go" && out_has "dry run"
}

# An old release's store, and one with a log beside it.
other_stores() {
    fresh legacy-0.6.3 && runs 0 optimize --yes "$store" && runs 0 verify "$store" &&
        fresh leftover-wal && runs 0 optimize --yes -v "$store" && out_has "journal_mode" && [ ! -e "$store/chroma.sqlite3-wal" ] && runs 0 verify "$store"
}

settings_are_told() {
    fresh base && json change 0 optimize --dry-run "$store" &&
        jq_is '[.pragmas[] | select(.persists) | .name] == ["journal_mode", "page_size", "auto_vacuum"] and (.pragmas[1].value == "4096")'
}

errors_come_first() {
    fresh fts-rows-missing && unchanged runs 16 optimize --yes "$store" && err_has "vsctl repair" && fresh sqlite-page-damage && unchanged runs 16 optimize --yes "$store"
}

bad_input() {
    cp -a "$source/tests/data/chromem/healthy-example/store" "$scratch/other" && runs 16 optimize --yes "$scratch/other" && runs 16 optimize &&
        runs 8 optimize --yes "$scratch/nothing" && runs 0 optimize --help && out_has "no-snapshot" && fresh base && runs 32 optimize "$store"
}

check "rows that everything has go" queue_is_purged
check "rows that the index lacks stay" what_the_index_lacks_stays
check "once is enough" once_is_enough
check "a snapshot is made" a_snapshot_is_made
check "it is taken back" it_is_taken_back
check "a dry run changes nothing" dry_run_changes_nothing
check "other stores" other_stores
check "settings are told" settings_are_told
check "errors come first" errors_come_first
check "bad input" bad_input
finish_cli
