#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# index rebuild, on Chroma stores that a real server left broken or that were damaged: what comes back, what is said of
# the rest, and that it can be taken back.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"

digests() {
    (cd "$store" && find . -path ./.quarantine -prune -o -type f -exec sha256sum {} + | LC_ALL=C sort)
}

# Killed while it saved: the pickle is empty, and all of its ids come back by their order.
ids_come_back() {
    fresh killed-while-persisting && runs 4 verify "$store" && out_has "next: vsctl index rebuild" &&
        runs 1 index rebuild --yes "$store" && out_has "38 ids found by their order" && runs 0 verify --level deep "$store" &&
        out_has "healthy"
}

# Records that were deleted since leave gaps in the numbers of the rows, and their elements in the index.
gaps_are_counted() {
    local name
    for name in pickle-empty pickle-missing; do
        echo "$name"
        fresh "$name" && json change 1 index rebuild --yes "$store" docs && jq_is '.indexes[0].by_order == 30 and .indexes[0].lost == 0' &&
            runs 0 verify --level deep "$store" || return
    done
    # The map is whole as a file, and lacks five ids.
    fresh pickle-sqlite-disagree && json change 1 index rebuild --yes "$store" notes && jq_is '.indexes[0].by_order == 5 and .indexes[0].lost == 0' &&
        runs 0 verify --level deep "$store"
}

# Upserts of records that are there, and records that were deleted and written again, above what the index has taken in.
upserts_are_told_apart() {
    fresh base && sqlite3 "$store/chroma.sqlite3" "CREATE TEMP TABLE v AS SELECT topic, vector FROM embeddings_queue WHERE id = 'doc-32';
            INSERT INTO embeddings_queue(seq_id, operation, topic, id, vector, encoding, metadata)
            SELECT (SELECT max(seq_id) FROM embeddings_queue) + n, o, topic, i, CASE o WHEN 2 THEN vector END, CASE o WHEN 2 THEN 'FLOAT32' END, '{}'
            FROM v, (SELECT 1 n, 2 o, 'doc-10' i UNION SELECT 2, 2, 'doc-0' UNION SELECT 3, 3, 'doc-20' UNION SELECT 4, 2, 'doc-20');
            UPDATE embeddings SET id = (SELECT max(id) + 1 FROM embeddings) WHERE embedding_id = 'doc-20';
            UPDATE embedding_metadata SET id = (SELECT max(id) FROM embeddings) WHERE id = 21;
            INSERT INTO embedding_fulltext_search(rowid, string_value) SELECT (SELECT max(id) FROM embeddings), string_value
            FROM embedding_fulltext_search WHERE rowid = 21; DELETE FROM embedding_fulltext_search WHERE rowid = 21;
            UPDATE embeddings SET seq_id = (SELECT max(seq_id) FROM embeddings_queue WHERE id = embedding_id)
            WHERE embedding_id IN ('doc-0', 'doc-10', 'doc-20');
            UPDATE max_seq_id SET seq_id = (SELECT max(seq_id) FROM embeddings_queue) WHERE segment_id IN (SELECT id FROM segments
            WHERE scope = 'METADATA' AND collection = (SELECT id FROM collections WHERE name = 'docs'))" &&
        runs 0 verify --level deep "$store" && rm "$store/24e69c0e-7aba-41e6-934b-8f72a5d57d41/index_metadata.pickle" &&
        json change 1 index rebuild --yes "$store" docs && jq_is '.indexes[0].by_order == 29 and .indexes[0].lost == 0' &&
        runs 0 verify --level deep "$store"
}

# An add of an id that is there stays in the queue and changes nothing: its vector is nobody's.
an_add_without_effect() {
    fresh base && sqlite3 "$store/chroma.sqlite3" "INSERT INTO embeddings_queue SELECT (SELECT max(seq_id) + 1 FROM embeddings_queue), 0, 0, topic,
            'doc-5', vector, encoding, metadata FROM embeddings_queue WHERE id = 'doc-32'; UPDATE max_seq_id SET seq_id =
            (SELECT max(seq_id) FROM embeddings_queue) WHERE segment_id IN
            (SELECT id FROM segments WHERE collection = (SELECT id FROM collections WHERE name = 'docs'))" &&
        : >"$store/24e69c0e-7aba-41e6-934b-8f72a5d57d41/index_metadata.pickle" && runs 4 index rebuild --yes "$store" docs &&
        runs 0 inspect --vector "$store" docs doc-5 && out_has "  -0.289093971 -0.445183873 1.45088494 "
}

# The file of lengths is of another time: of a record whose vector is in the queue the length is that of the queue.
lengths_of_another_time() {
    local at=$store/24e69c0e-7aba-41e6-934b-8f72a5d57d41 id before
    fresh base && id=$(sqlite3 "$store/chroma.sqlite3" "SELECT id FROM embeddings_queue WHERE seq_id = 32") &&
        runs 0 inspect --vector "$store" docs "$id" && before=$(grep -o -E -- '^  +-?[0-9]\.[0-9]{4}' "$scratch/out" | head -n 1) && [ -n "$before" ] &&
        "$python" -c 'import array, sys; a = array.array("f", open(sys.argv[1], "rb").read()); open(sys.argv[1], "wb").write(array.array("f", [2 * x for x in a]).tobytes())' \
            "$at/length.bin" && : >"$at/link_lists.bin" && runs 1 index rebuild --yes "$store" docs && out_has "1 from the queue" &&
        runs 0 inspect --vector "$store" docs "$id" && out_has "$before"
}

# A link that leads nowhere costs the links of one element, and no more is touched.
only_the_damage_is_mended() {
    fresh link-out-of-range && json change 1 index rebuild --yes "$store" notes &&
        jq_is '.applied and .errors_before == 1 and .errors_after == 0 and (.indexes | length) == 1 and .indexes[0].mended and
            .indexes[0].relinked == 1 and .indexes[0].records == 34 and .indexes[0].lost == 0' && runs 0 verify --level deep "$store"
}

each_is_mended() {
    local name
    for name in graph-disconnected header-count-huge header-entry-damage link-list-size-damage link-lists-truncated length-missing \
        torn-persist disk-full; do
        echo "$name"
        fresh "$name" && runs 1 index rebuild --yes "$store" && runs 0 verify --level deep "$store" || return
    done
}

# What has no copy is named, for its owner to embed it again.
the_lost_are_named() {
    fresh data-level0-truncated && runs 4 index rebuild --yes "$store" docs && out_has "14 without any copy of their vector" &&
        out_has "doc-17" && json verify 4 verify "$store" && jq_is '[.findings[].code] == ["chroma-index-id-missing"]' &&
        runs 4 verify "$store" && same "next: vsctl snapshot list $store" "$(tail -n 1 "$scratch/out")" &&
        unchanged runs 4 index rebuild --yes "$store" && out_has "14 records to be embedded again" &&
        same "what is left needs a person; next: vsctl snapshot list $store" "$(tail -n 1 "$scratch/out")" &&
        unchanged runs 4 repair --yes "$store" && same "what is left needs a person; next: vsctl snapshot list $store" "$(tail -n 1 "$scratch/out")"
}

# By the very id, for programs; people read it escaped.
the_lost_are_named_as_they_are() {
    fresh data-level0-truncated && sqlite3 "$store/chroma.sqlite3" \
        "UPDATE embeddings SET embedding_id = char(8238) || 'a' || char(10) WHERE embedding_id = 'doc-17'" &&
        cp -a "$store" "$store.again" && json change 4 index rebuild --yes "$store" docs &&
        jq_is '[.incomplete[].id] | index("\u202ea\n") != null' && rm -rf "$store" && mv "$store.again" "$store" &&
        runs 4 index rebuild --yes "$store" docs && out_has '\u202ea\n'
}

# Two servers wrote one directory, and gave one label to two records. Where neither the queue nor the links of the elements
# tell whose one is, nothing is given back: none has the vector of another.
nobody_gets_anothers() {
    fresh two-writers && json change 4 index rebuild --yes "$store" && jq_is '.indexes[0].records == 37 and .indexes[0].lost == 51 and
            (.incomplete | length) == 51' && "$python" "$source/tests/cli/chroma-truth.py" "$vsctl" "$store" \
        "$source/tests/data/chroma/two-writers-truth.json" 51 && fresh two-writers && runs 4 index rebuild --yes "$store" &&
        out_has "51 without a copy of their vector that is surely theirs" && out_has "two processes"
}

# A flipped bit makes two elements of one label as well, and costs no more than these two.
a_flipped_label() {
    fresh base && flip_label "$store"/24e69c0e-7aba-41e6-934b-8f72a5d57d41 && json change 4 index rebuild --yes "$store" docs &&
        jq_is '.indexes[0].lost <= 2 and .indexes[0].records >= 30'
}

flip_label() {
    "$python" - "$1" <<'FLIP'
import struct
import sys

with open(sys.argv[1] + "/header.bin", "rb") as f:
    header = f.read()
count, size, label = struct.unpack_from("<QQQ", header, 20)
with open(sys.argv[1] + "/data_level0.bin", "r+b") as f:
    at = {}
    for i in range(count):
        f.seek(i * size + label)
        at[struct.unpack("<Q", f.read(8))[0]] = i * size + label
    victim = max(l for l in at if l ^ 2 in at)
    f.seek(at[victim])
    f.write(struct.pack("<Q", victim ^ 2))
FLIP
}

dry_run_changes_nothing() {
    fresh killed-while-persisting && unchanged json change 4 index rebuild --dry-run "$store" &&
        jq_is '(.applied | not) and .indexes[0].by_order == 38'
}

# The old files are in quarantine as they were, and come back as they were.
it_is_taken_back() {
    fresh link-out-of-range && digests >"$scratch/before" && json change 1 index rebuild --yes "$store" &&
        [ "$(find "$store/.quarantine" -name data_level0.bin | wc -l)" -eq 1 ] && runs 0 undo --yes "$store" && digests | diff "$scratch/before" -
}

the_database_is_not_touched() {
    fresh torn-persist && sha256sum <"$store/chroma.sqlite3" >"$scratch/before" && runs 1 index rebuild --yes "$store" &&
        sha256sum <"$store/chroma.sqlite3" | diff "$scratch/before" -
}

nothing_to_do() {
    fresh base && unchanged runs 0 index rebuild --yes "$store" && out_has "nothing to do"
}

# What was set aside stays, however soon the next comes: here as if in each of the seconds to come.
again_within_a_second() {
    local home=.quarantine/24e69c0e-7aba-41e6-934b-8f72a5d57d41 s
    fresh pickle-missing || return
    # Also of before: a clock that is being set goes back.
    for s in {-20..60}; do
        mkdir -p "$store/$home.$(date -u -d "$s seconds" +%Y%m%dT%H%M%SZ)"
    done
    runs 1 index rebuild --yes "$store" docs && runs 0 verify --level deep "$store" && ls "$store/.quarantine" &&
        [ -f "$(echo "$store/$home".*.1/header.bin)" ]
}

bad_input() {
    cp -a "$source/tests/data/chromem/healthy-example/store" "$scratch/other" &&
        fresh base && unchanged runs 16 index rebuild --yes "$store" nonsense && err_has "no such collection" &&
        unchanged runs 16 index rebuild --yes "$store" fresh && err_has "never saved" && runs 16 index rebuild && runs 16 index nonsense "$store" &&
        runs 0 index rebuild --help && out_has "STORE [COLLECTION...]" && runs 16 index rebuild "$scratch/other"
}

# Sound ones, damaged ones, one of several, and a store that has none; nothing is written.
indexes_are_checked() {
    local before
    fresh base && before=$(digests) && json verify 0 index check "$store" && jq_is '.command == "index check" and .level == "deep"' &&
        same "$before" "$(digests)" && fresh graph-disconnected && runs 4 index check "$store" && out_has "next: vsctl index rebuild" &&
        runs 0 index check "$store" docs && runs 4 index check "$store" notes && runs 8 index check "$store" nots && err_has "no collection nots" && [ ! -e "$store.vsctl" ] &&
        runs 16 index check "$source/tests/data/chromem/healthy-plain/store" && err_has "no index"
}

check "ids whose pickle is lost come back by their order" ids_come_back
check "ids come back where others were deleted" gaps_are_counted
check "upserts of what was there are told from new records" upserts_are_told_apart
check "an add without effect" an_add_without_effect
check "lengths of another time" lengths_of_another_time
check "only what is damaged is linked anew" only_the_damage_is_mended
check "each damage of an index is mended" each_is_mended
check "records without a copy are named" the_lost_are_named
check "they are named as they are" the_lost_are_named_as_they_are
check "two writers: nobody gets another's vector" nobody_gets_anothers
check "a flipped bit of a label" a_flipped_label
check "a dry run changes nothing" dry_run_changes_nothing
check "a rebuild is taken back" it_is_taken_back
check "the database is not touched" the_database_is_not_touched
check "a sound store is left alone" nothing_to_do
check "again within a second" again_within_a_second
check "bad input" bad_input
check "indexes are checked" indexes_are_checked
finish_cli
