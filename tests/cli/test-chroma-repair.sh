#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# repair of Chroma stores: those that a real server left broken or that were damaged, by the table repairs.tsv, then
# damage that is made here. Each is repaired and verified, its records are held against what the client had written, a
# second repair finds nothing to do, and undo gives the identical tree back.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"

tree_of() {
    (cd "$1" && find . -printf '%P %y %m %l\n' | LC_ALL=C sort &&
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum) | sha256sum
}

truth_holds() {
    "$python" "$source/tests/cli/chroma-truth.py" "$vsctl" "$store" "$data/base-truth.json" "$1"
}

# The actions of the plan that a person is shown, each once.
actions_are() {
    same "$1" "$(jq -r '[.plan[] | select(.detail) | .action] | reduce .[] as $a ([]; if index($a) then . else . + [$a] end) | join(" ")' \
        "$scratch/out")"
}

# What verify still calls an error or warning was announced, and nothing else.
only_left() {
    "$vsctl" verify --json "$store" >"$scratch/verified" 2>&1
    same "$1" "$(jq -r '[.findings[] | select(.severity != "info") | .code] | unique | join(" ")' "$scratch/verified")"
}

# repaired STATUS ACTIONS LEFT LOST
repaired() {
    local before status=$1
    before=$(tree_of "$store")
    json change "$status" repair --yes "$store" || return
    actions_are "$2" && same "$3" "$(jq -r '[.left[].code] | unique | join(" ")' "$scratch/out")" && only_left "$3" || return
    cp "$scratch/out" "$scratch/first"
    [ "$4" = - ] || truth_holds "$4" || return
    [ "$status" -eq 4 ] || status=0
    json change "$status" repair --yes "$store" && jq_is '.outcome == "nothing-to-do"' || return
    jq -e .applied "$scratch/first" >/dev/null || return 0
    runs 0 undo --yes "$store" && same "$before" "$(tree_of "$store")"
}

from_table() {
    local name=$1
    shift
    fresh "$name" && repaired "$@"
}

# mends ACTIONS LOST SQL: everything that the statements break is corrected. LOST "text": vectors are not looked at, and
# nothing that is done has to do with them.
mends() {
    changed "$3" && repaired 1 "$1" "" "$2"
}

# leaves CODE ACTIONS SQL: this is left, and the plan says why.
leaves() {
    changed "$3" && repaired 4 "$2" "$1" -
}

docs="(SELECT id FROM collections WHERE name = 'docs')"
vector="(SELECT id FROM segments WHERE scope = 'VECTOR' AND collection = $docs)"
metadata="(SELECT id FROM segments WHERE scope = 'METADATA' AND collection = $docs)"
doc35="(SELECT id FROM embeddings WHERE embedding_id = 'doc-35')"

# The directory of another collection says nothing of this one's dimension.
index_of_another() {
    changed "UPDATE embeddings_queue SET operation = 1, vector = NULL, encoding = NULL WHERE topic LIKE '%/' || $docs" &&
        cp "$store"/be27a44b-4844-410f-8509-b3428441e570/* "$store/24e69c0e-7aba-41e6-934b-8f72a5d57d41/" &&
        json change 4 repair --yes "$store" && asked "SELECT dimension FROM collections WHERE name = 'docs'" 12
}

# A log that was left when the database was in another mode, at another time: without it all is well, and with it nothing is.
log_of_another_time() {
    changed "DELETE FROM embedding_metadata WHERE id % 2 = 0; VACUUM" || return
    sqlite3 "$store/chroma.sqlite3" "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; UPDATE embedding_metadata SET string_value = string_value || 'x'" \
        ".system cp $store/chroma.sqlite3-wal $scratch/wal" >/dev/null
    fresh base && cp "$scratch/wal" "$store/chroma.sqlite3-wal" && json verify 4 verify "$store" &&
        jq_is '[.findings[].code] == ["chroma-database-log-foreign"]' && repaired 1 leave-foreign-log "" 0
}

# ---- what a row says after a repair ----

# asked SQL WANT
asked() {
    same "$2" "$(sqlite3 "$store/chroma.sqlite3" "$1")"
}

# A position that is too high is set to the last row that the index has: nothing is skipped, and nothing played twice.
position_is_found() {
    local at
    for at in 33 40 45 46 50 94 95 5032 9007199254740993; do
        changed "UPDATE max_seq_id SET seq_id = $at WHERE segment_id = $vector" && runs 1 repair --yes "$store" &&
            asked "SELECT seq_id FROM max_seq_id WHERE segment_id = $vector" 32 && runs 0 verify "$store" || return
    done
}

# The pickle is lost as well: vectors alone tell how far the index is, and the ids come back by their order.
position_without_ids() {
    changed "UPDATE max_seq_id SET seq_id = 5032 WHERE segment_id = $vector" && : >"$store/24e69c0e-7aba-41e6-934b-8f72a5d57d41/index_metadata.pickle" &&
        runs 1 repair --yes "$store" && asked "SELECT seq_id FROM max_seq_id WHERE segment_id = $vector" 32 && truth_holds 0
}

# The rows that a lower position would take in again are of records that are gone: it stays.
position_stays() {
    changed "INSERT INTO embeddings_queue SELECT 95, 0, 3, topic, id, NULL, NULL, '{}' FROM embeddings_queue WHERE seq_id = 32" &&
        rm "$store/24e69c0e-7aba-41e6-934b-8f72a5d57d41/data_level0.bin" && runs 4 repair --yes "$store" &&
        asked "SELECT seq_id FROM max_seq_id WHERE segment_id = $vector" 32 && json change 4 repair --yes "$store" &&
        jq_is '.outcome == "nothing-to-do"'
}

# The database is from a backup that was made before the first save of the index: no position, and ids of later on.
index_of_later_on() {
    changed "DELETE FROM max_seq_id WHERE segment_id = $vector; DELETE FROM embedding_metadata WHERE id = 5; DELETE FROM embeddings WHERE id = 5;
             DELETE FROM embedding_fulltext_search WHERE rowid = 5" && runs 4 verify "$store" && out_has chroma-index-id-extra &&
        json change 1 repair --yes "$store" && jq_is '.indexes[0].lost == 0 and .errors_after == 0' && runs 0 verify --level deep "$store"
}

# Numbers of the pickle that the server cannot take: of a store that has such it serves nothing.
numbers_out_of_range() {
    fresh base && "$python" -c 'import sys; p = sys.argv[1]; d = open(p, "rb").read(); k = b"dimensionality"; i = d.index(k) + len(k); i += d[i:].index(b"N")
open(p, "wb").write(d[:i] + b"J" + (-1).to_bytes(4, "little", signed=True) + d[i + 1:])' "$store/24e69c0e-7aba-41e6-934b-8f72a5d57d41/index_metadata.pickle" &&
        runs 4 verify "$store" && out_has "dimensionality is -1" && runs 1 repair --yes "$store" && truth_holds 0
}

# The disk was full at the first save: a pickle that is cut off, and no position. All vectors are in the queue.
first_save_failed() {
    fresh base && local at
    at=$store/$(sqlite3 "$store/chroma.sqlite3" "SELECT id FROM segments WHERE scope = 'VECTOR' AND collection = (SELECT id FROM collections WHERE name = 'fresh')")
    : >"$at/index_metadata.pickle" && : >"$at/link_lists.bin" && runs 4 verify "$store" && json change 1 repair --yes "$store" &&
        jq_is '.indexes[0].lost == 0 and .errors_after == 0' && truth_holds 0 && runs 0 verify --level deep "$store"
}

# Killed when the header told of more pages than had been written: the journal takes that back.
killed_while_growing() {
    fresh hot-journal && printf '\0\1\0\0' | dd of="$store/chroma.sqlite3" bs=1 seek=28 conv=notrunc status=none && runs 0 verify "$store" &&
        out_has healthy && runs 1 repair --yes "$store" && runs 0 verify "$store"
}

numbering_goes_on() {
    fresh queue-emptied && runs 4 repair --yes "$store" &&
        asked "SELECT max(seq_id) >= (SELECT max(seq_id) FROM max_seq_id) AND count(*) = 1 FROM embeddings_queue" 1
}

# Rows at the end of the queue are gone, and records are ahead of it.
queue_cut_off() {
    changed "DELETE FROM embeddings_queue WHERE seq_id > 88" && runs 4 repair --yes "$store" && out_has "count on from 94" &&
        asked "SELECT max(seq_id) FROM embeddings_queue" 94
}

# Kept as they were, down to the blob.
rows_are_kept() {
    local want
    changed "INSERT INTO embeddings_queue VALUES(95, 'now', 7, 'persistent://default/default/' || $docs, 'poison', x'00ff', 'FLOAT32', 'no JSON')" &&
        runs 1 repair --yes "$store" && out_has "1 row of the queue that cannot be taken in goes to the quarantine" || return
    want='{"reason":"chroma-queue-row","table":"embeddings_queue","row":{"seq_id":95,"created_at":"now","operation":7,"topic":'
    grep -qF "$want" "$store"/.quarantine/database.*/rows.jsonl && grep -qF '"vector":{"blob":"00ff"}' "$store"/.quarantine/database.*/rows.jsonl &&
        asked "SELECT seq_id, operation FROM embeddings_queue ORDER BY 1 DESC LIMIT 1" "95|3" &&
        runs 0 quarantine list "$store" && out_has "database."
}

# ---- the plan ----

plan_is_a_file() {
    fresh header-count-huge && sqlite3 "$store/chroma.sqlite3" "UPDATE collections SET dimension = 16 WHERE name = 'notes'" &&
        unchanged runs 4 repair --plan "$scratch/plan.json" "$store" && grep -q '"sql":"UPDATE collections' "$scratch/plan.json" &&
        runs 1 repair --yes --apply "$scratch/plan.json" "$store" && runs 0 verify --level deep "$store" && truth_holds 0 &&
        rm -rf "$store" "$store.vsctl" && fresh header-count-huge && runs 8 repair --yes --apply "$scratch/plan.json" "$store"
}

dry_run_changes_nothing() {
    fresh queue-emptied && unchanged json change 4 repair --dry-run "$store" && jq_is '(.applied | not) and (.plan | length) > 2'
}

only_what_is_asked() {
    fresh fts-rows-missing && sqlite3 "$store/chroma.sqlite3" "UPDATE max_seq_id SET seq_id = 5000 WHERE segment_id = $vector" &&
        json change 4 repair --yes --only chroma-document-not-indexed "$store" && actions_are fill-fulltext &&
        json verify 4 verify "$store" && jq_is 'all(.findings[]; .code != "chroma-document-not-indexed")'
}

# A server that has the database open and writes: nothing is done.
while_writing() {
    local pid r
    fresh fts-rows-missing || return
    "$python" -c 'import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
time.sleep(60)' "$store/chroma.sqlite3" &
    pid=$!
    sleep 0.4
    runs 8 repair --yes --force "$store"
    r=$?
    kill "$pid"
    wait "$pid" 2>/dev/null
    return $r
}

# An index of SQLite's own that lacks rows: made by hiding it while rows change.
sqlite_index() {
    fresh base && "$python" - "$store/chroma.sqlite3" <<'END' || return
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA writable_schema = ON")
row = db.execute("SELECT * FROM sqlite_master WHERE name = 'embedding_metadata_int_value'").fetchone()
db.execute("DELETE FROM sqlite_master WHERE name = 'embedding_metadata_int_value'")
db.close()
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("UPDATE embedding_metadata SET int_value = int_value + 1 WHERE key = 'page' AND id > 70")
db.execute("PRAGMA writable_schema = ON")
db.execute("INSERT INTO sqlite_master VALUES(?, ?, ?, ?, ?)", row)
db.close()
END
    repaired 1 rebuild-indexes "" -
}

while IFS='|' read -r name status actions left lost; do
    check "$name" from_table "$name" "$status" "$actions" "$left" "$lost"
done < <(tr '\t' '|' <"$data/repairs.tsv")
check "position of an index that is too high" position_is_found
check "position of an index whose ids are lost" position_without_ids
check "numbers of an emptied queue go on" numbering_goes_on
check "a queue whose end is gone" queue_cut_off
check "rows that leave are kept" rows_are_kept
check "position ahead of the queue" mends correct-positions 0 "UPDATE max_seq_id SET seq_id = 5000 WHERE segment_id = $metadata"
check "both positions ahead" mends correct-positions 0 "UPDATE max_seq_id SET seq_id = 5000 WHERE segment_id IN ($metadata, $vector)"
check "index ahead of the records" mends correct-positions 0 "UPDATE max_seq_id SET seq_id = 46 WHERE segment_id = $vector"
check "position behind the records" mends correct-positions 0 "UPDATE max_seq_id SET seq_id = 33 WHERE segment_id = $metadata"
check "position that is a blob" mends correct-positions 0 "UPDATE max_seq_id SET seq_id = x'000000000000002d' WHERE segment_id = $metadata"
check "position that is no number" mends correct-positions 0 "UPDATE max_seq_id SET seq_id = 'many' WHERE segment_id IN ($metadata, $vector)"
check "position of no segment" mends "keep-rows remove-orphan-positions" 0 "INSERT INTO max_seq_id VALUES('gone', 1)"
check "index of another collection" index_of_another
check "a log of another time" log_of_another_time
check "segment of no collection" mends "keep-rows remove-orphan-segments" text "INSERT INTO segments VALUES('x', 'y', 'METADATA', 'z')"
check "segment of a collection whose row is gone" leaves "chroma-collection-missing chroma-segment-orphan" "" \
    "DELETE FROM collections WHERE name = 'fresh'; DELETE FROM embeddings_queue WHERE topic LIKE '%470e2546-7e6e-4cd5-8cc3-9d6ea7dc22a7' AND seq_id < 94;
     UPDATE embeddings_queue SET topic = 'persistent://default/default/' || (SELECT id FROM collections WHERE name = 'notes'), operation = 3, id = 'x', vector = NULL, encoding = NULL WHERE seq_id = 94"
check "collection without its segment of records" mends restore-segment 0 "DELETE FROM segments WHERE id = $metadata"
check "records of no segment" mends "keep-rows remove-orphan-records" text \
    "INSERT INTO embeddings(id, segment_id, embedding_id, seq_id) VALUES(99999, 'gone', 'x', x'0000000000000001'); INSERT INTO embedding_metadata VALUES(99999, 'chroma:document', 'lost', NULL, NULL, NULL);
     INSERT INTO embedding_fulltext_search(rowid, string_value) VALUES(99999, 'lost')"
check "documents that only the full-text table has" mends restore-documents 0 \
    "DELETE FROM embedding_metadata WHERE key = 'chroma:document' AND id % 3 = 0; UPDATE embedding_metadata SET string_value = NULL WHERE key = 'chroma:document' AND id % 3 = 1"
check "records whose rows are gone" leaves "chroma-index-id-extra chroma-metadata-orphan" "" "DELETE FROM embeddings WHERE segment_id = $metadata AND id % 5 = 0"
check "configuration that is a list" mends "keep-rows correct-configuration" 0 "UPDATE collections SET config_json_str = '[]' WHERE name = 'docs'"
check "metadata of no record" mends "keep-rows remove-orphan-metadata" text "INSERT INTO embedding_metadata VALUES(99999, 'k', 'it''s', NULL, NULL, NULL)"
check "array metadata of no record" mends "keep-rows remove-orphan-metadata" text "INSERT INTO embedding_metadata_array VALUES(99999, 'k', 'v', NULL, NULL, NULL)"
check "array metadata of another record" mends "keep-rows remove-leaked-metadata" text \
    "INSERT INTO embedding_metadata_array SELECT id, 'leaked', 'v', NULL, NULL, NULL FROM embeddings WHERE embedding_id = 'doc-35'"
check "a key twice that the queue tells" mends "keep-rows remove-leaked-metadata" 0 "INSERT INTO embedding_metadata_array VALUES($doc35, 'lang', 'v', NULL, NULL, NULL)"
check "a key twice that nothing tells" leaves chroma-metadata-twice "" \
    "INSERT INTO embedding_metadata_array SELECT id, 'lang', 'v', NULL, NULL, NULL FROM embeddings WHERE embedding_id = 'doc-1'"
check "a value of two types that the queue tells" mends "keep-rows correct-metadata" 0 \
    "UPDATE embedding_metadata SET int_value = 1 WHERE key = 'lang' AND id = $doc35; UPDATE embedding_metadata SET bool_value = 2 WHERE key = 'seen' AND id = $doc35"
check "a value of two types that nothing tells" leaves chroma-metadata-value "" "UPDATE embedding_metadata SET int_value = 1 WHERE key = 'lang' AND id = 5"
check "a document that differs, from the queue" mends "keep-rows correct-documents correct-fulltext" 0 \
    "UPDATE embedding_metadata SET string_value = 'other' WHERE key = 'chroma:document' AND id = $doc35"
check "a text that differs" mends "keep-rows correct-fulltext" text "UPDATE embedding_fulltext_search SET string_value = 'other' WHERE rowid = 5"
check "a row of the index of no document" mends "keep-rows remove-orphan-text" text "INSERT INTO embedding_fulltext_search(rowid, string_value) VALUES(99999, 'stray')"
check "a full-text index without its content" mends rebuild-fulltext text "DELETE FROM embedding_fulltext_search_content; DELETE FROM embedding_fulltext_search_data"
check "a full-text index without its settings" mends rebuild-fulltext text "DELETE FROM embedding_fulltext_search_config; DELETE FROM embedding_fulltext_search_idx"
check "a full-text table that is gone" mends make-table text "DROP TABLE embedding_fulltext_search"
check "a table of nothing that is gone" mends make-table text "DROP TABLE maintenance_log"
check "a table of something that is gone" leaves chroma-database-table "" "DROP TABLE collection_metadata"
check "an index of SQLite's" sqlite_index
check "the default database is gone" mends restore-database text "DELETE FROM databases; DELETE FROM tenants"
check "another database is gone" leaves chroma-collection-database "" "UPDATE collections SET database_id = 'gone' WHERE name = 'docs'"
check "a configuration that the schema overrules" mends "keep-rows correct-configuration" text "UPDATE collections SET config_json_str = '{' WHERE name = 'docs'"
check "a schema that is no JSON" leaves chroma-collection-config "" "UPDATE collections SET schema_str = '{' WHERE name = 'docs'"
check "dimension that is none" mends correct-dimension 0 "UPDATE collections SET dimension = 0 WHERE name = 'docs'"
check "dimension of a collection that was never saved" mends correct-dimension 0 "UPDATE collections SET dimension = -4 WHERE name = 'fresh'"
check "a migration that is missing" mends restore-migration 0 "DELETE FROM migrations WHERE dir = 'sysdb' AND version = 3"
check "several migrations that are missing" mends restore-migration 0 "DELETE FROM migrations WHERE dir = 'sysdb' AND version IN (1, 3, 4)"
check "a migration that was changed" mends "keep-rows restore-migration" 0 "UPDATE migrations SET sql = sql || ' ', hash = 'x' WHERE dir = 'metadb' AND version = 2"
check "migrations that are all gone" leaves "chroma-migration-gap" "" "DELETE FROM migrations WHERE dir = 'embeddings_queue'"
check "collection without its segment of vectors" mends restore-segment 0 "DELETE FROM segments WHERE id = $vector"
check "collections without their segments of vectors" mends restore-segment 0 "DELETE FROM segments WHERE scope = 'VECTOR'"
check "collection without any segment" mends restore-segment 0 "DELETE FROM segments WHERE collection = $docs"
check "collection that never had an index, without its segment" mends restore-segment 0 \
    "DELETE FROM segments WHERE scope = 'VECTOR' AND collection = (SELECT id FROM collections WHERE name = 'fresh')"
check "segment of vectors under another collection" mends restore-segment 0 \
    "UPDATE segments SET collection = (SELECT id FROM collections WHERE name = 'notes') WHERE id = $vector"
check "a second segment of vectors that holds nothing" mends "keep-rows remove-idle-segment" 0 \
    "INSERT INTO segments VALUES('x', 'urn:chroma:segment/vector/hnsw-local-persisted', 'VECTOR', $docs)"
check "type of a segment" mends correct-segment-type 0 "UPDATE segments SET type = 'urn:x' WHERE id IN ($vector, $metadata)"
check "topic with a tenant in it" mends "keep-rows correct-queue-rows" 0 "UPDATE embeddings_queue SET topic = replace(topic, 'default/default', 'acme/one')"
check "operation of a row that was taken in" mends "keep-rows correct-queue-rows" 0 "UPDATE embeddings_queue SET operation = 7 WHERE seq_id = 40"
check "encoding of a row" mends "keep-rows correct-queue-rows" 0 "UPDATE embeddings_queue SET encoding = 'INT32' WHERE seq_id = 40"
check "metadata of a row that was taken in" mends "keep-rows correct-queue-rows" 0 "UPDATE embeddings_queue SET metadata = '[' WHERE seq_id = 40"
check "topic of the queue" mends "keep-rows remove-queue-rows" 0 "INSERT INTO embeddings_queue VALUES(95, 0, 2, 'persistent://default/default/gone', 'x', NULL, NULL, NULL)"
check "a vector of the queue that is gone" leaves chroma-index-id-missing "keep-rows remove-queue-rows" "UPDATE embeddings_queue SET vector = x'000000' WHERE seq_id = 40"
check "a position stays where nothing is to be had" position_stays
check "an index that is newer than the database" index_of_later_on
check "numbers of a pickle out of range" numbers_out_of_range
check "the first save of an index failed" first_save_failed
check "killed while the database grew" killed_while_growing
check "a plan is a file" plan_is_a_file
check "a dry run changes nothing" dry_run_changes_nothing
check "only what is asked for" only_what_is_asked
check "a writer at work" while_writing
finish_cli
