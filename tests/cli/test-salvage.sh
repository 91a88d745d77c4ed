#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# salvage, on Chroma stores of the real server whose database is damaged: what comes back, what is said of the rest, and
# that nothing is lost by it. tests/model/salvage.py holds what comes back against what was written, place by place.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"
db=$store/chroma.sqlite3

digests() {
    (cd "$store" && find . -type f -exec sha256sum {} + | LC_ALL=C sort && find . -type d | LC_ALL=C sort)
}

# overwrite PAGE: with bytes that are none of a database
overwrite() {
    head -c 4096 /dev/zero | tr '\0' '\245' | dd of="$db" bs=4096 seek=$(($1 - 1)) conv=notrunc status=none
}

sound() {
    [ "$(sqlite3 "$db" "PRAGMA integrity_check; INSERT INTO embedding_fulltext_search(embedding_fulltext_search) VALUES('integrity-check')")" = ok ]
}

# A leaf of embedding_metadata: all of it is in the indexes over it, but for truth values.
a_damaged_page() {
    fresh sqlite-page-damage && runs 4 repair --yes "$store" && last_line "what is left needs a person; next: vsctl salvage $store" &&
        json change 4 salvage --yes "$store" && jq_is '.applied and .errors_after == 0 and
            .salvage.whole == 56 and .salvage.partly == 23 and .salvage.lost == 0 and .salvage.damages[0].page == 49 and
            .salvage.damages[0].offset == 196608 and ([.salvage.records[].missing] | unique) == [null, "metadata seen"]' &&
        sound && runs 0 verify --level deep "$store" && out_has "79 documents"
}

# Cut off in the middle: names and ids come from their indexes, documents from the full-text table.
a_file_that_is_cut_off() {
    fresh sqlite-truncated && runs 4 verify "$store" && json change 4 salvage --yes "$store" && sound &&
        jq_is '.salvage.collections == 3 and .salvage.partly == 79 and .salvage.lost == 0 and .salvage.all_ids_known' &&
        same "docs fresh notes" "$(sqlite3 "$db" 'SELECT name FROM collections ORDER BY 1' | tr '\n' ' ' | sed 's/ $//')" &&
        same 79 "$(sqlite3 "$db" "SELECT count(*) FROM embedding_metadata WHERE key = 'chroma:document'")" &&
        runs 4 index rebuild --yes "$store" && json verify 4 verify "$store" &&
        jq_is '[.findings[].code] | unique == ["chroma-index-id-missing"]'
}

# Header, schema and all roots.
without_page_1() {
    fresh base && overwrite 1 && json change 1 salvage --yes "$store" && jq_is '.salvage.whole == 79' && sound &&
        runs 0 verify --level deep "$store"
}

# A page of records themselves: ids from the index over them.
ids_from_their_index() {
    local before
    fresh base && before=$(sqlite3 "$db" 'SELECT id, segment_id, embedding_id FROM embeddings ORDER BY id') && overwrite 55 &&
        json change 1 salvage --yes "$store" && jq_is '.salvage.whole == 79' &&
        same "$before" "$(sqlite3 "$db" 'SELECT id, segment_id, embedding_id FROM embeddings ORDER BY id')" &&
        runs 0 verify --level deep "$store"
}

# All rows of segments: by the queue, and by the ids in the directories.
segments_are_found() {
    local before
    fresh base && before=$(sqlite3 "$db" 'SELECT * FROM segments ORDER BY id') && overwrite 7 && json change 1 salvage --yes "$store" &&
        same "$before" "$(sqlite3 "$db" 'SELECT * FROM segments ORDER BY id')"
}

# Numbers go on where they were, so that later writes are taken in.
the_queue_goes_on() {
    fresh base && overwrite 51 && overwrite 52 && overwrite 45 && runs 4 salvage --yes "$store" && out_has "numbers go on from 94" &&
        same 94 "$(sqlite3 "$db" 'SELECT max(seq_id) FROM embeddings_queue')" && json verify 4 verify "$store" &&
        jq_is '[.findings[] | select(.severity == "error") | .code] | unique == ["chroma-index-id-extra", "chroma-index-id-missing"]'
}

# The log beside it belongs to the old database, and goes where that goes.
a_log_is_taken_in() {
    fresh leftover-wal && overwrite 49 && digests >"$scratch/before" && runs 4 salvage --yes "$store" && sound && [ ! -e "$db-wal" ] &&
        [ "$(find "$store/.quarantine" -name 'chroma.sqlite3-wal' | wc -l)" -eq 1 ] && runs 0 undo --yes "$store" && digests | diff "$scratch/before" -
}

both_are_kept() {
    fresh base && overwrite 49 && sha256sum <"$db" >"$scratch/first" && runs 4 salvage --yes "$store" && overwrite 49 &&
        runs 4 salvage --yes "$store" && [ "$(find "$store/.quarantine" -name chroma.sqlite3 | wc -l)" -eq 2 ] &&
        find "$store/.quarantine" -name chroma.sqlite3 -exec sha256sum {} + | grep -qF "$(cut -d' ' -f1 "$scratch/first")"
}

it_is_taken_back() {
    fresh sqlite-page-damage && digests >"$scratch/before" && runs 4 salvage --yes "$store" && runs 0 undo --yes "$store" &&
        digests | diff "$scratch/before" -
}

# Neither a dry run nor --to changes the store.
elsewhere() {
    fresh sqlite-page-damage && unchanged json change 4 salvage --dry-run "$store" && jq_is '.outcome == "dry-run"' &&
        unchanged json change 4 salvage --to "$scratch/new" "$store" && jq_is '.outcome == "written"' &&
        same ok "$(sqlite3 "$scratch/new" 'PRAGMA integrity_check')" && mkdir "$scratch/dir" &&
        unchanged runs 4 salvage --to "$scratch/dir" "$store" && out_has "chroma.sqlite3; the store is as it was" &&
        cmp "$scratch/new" "$scratch/dir/chroma.sqlite3" && unchanged runs 16 salvage --to "$scratch/new" "$store" && err_has "there already"
}

# Old releases: numbers of the queue as blobs, other columns.
old_generations() {
    local name
    for name in legacy-0.4.14 legacy-0.6.3 healthy-1.0; do
        echo "$name"
        fresh "$name" && sqlite3 "$db" .dump >"$scratch/want" && unchanged runs 0 salvage --to "$scratch/$name" "$store" &&
            sqlite3 "$scratch/$name" .dump >"$scratch/got" && same "$(rows <"$scratch/want")" "$(rows <"$scratch/got")" || return
    done
}

# What a dump has of rows, but for the full-text index, which is made anew.
rows() {
    grep -aE '^INSERT INTO "?[a-z]' | grep -avE 'INTO "?(embedding_fulltext|sqlite_)' | LC_ALL=C sort
}

a_sound_database() {
    fresh base && unchanged runs 0 salvage --yes "$store" && first_line "the database can be read whole: there is nothing to salvage"
}

bad_input() {
    cp -a "$source/tests/data/chromem/healthy-example/store" "$scratch/other"
    fresh base && head -c 100000 /dev/urandom >"$db" && unchanged runs 8 salvage --yes "$store" && err_has "no page" &&
        : >"$db" && unchanged runs 8 salvage --yes "$store" && rm "$db" && runs 8 salvage --yes "$store" &&
        runs 16 salvage --yes "$scratch/other" && runs 16 salvage && runs 16 salvage --nonsense "$store" && runs 0 salvage --help &&
        out_has "page by page" && fresh sqlite-page-damage && unchanged runs 32 salvage "$store"
}

check "a damaged page" a_damaged_page
check "a file that is cut off" a_file_that_is_cut_off
check "without page 1" without_page_1
check "ids from their index" ids_from_their_index
check "segments are found" segments_are_found
check "the queue goes on" the_queue_goes_on
check "a log is taken in" a_log_is_taken_in
check "two salvages keep both" both_are_kept
check "a salvage is taken back" it_is_taken_back
check "into another file" elsewhere
check "old generations" old_generations
check "a sound database is left alone" a_sound_database
check "bad input" bad_input
finish_cli
