#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Chroma stores, written by the real server and damaged: what is found, that nothing else is, and that nothing is
# written. Then what is found in databases that are changed here, statement by statement.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"

# found NAME LOADABLE CODE...: exactly these errors, those that go with them aside, and no file touched.
found() {
    local name=$1 loadable=$2 status=0 code
    shift 2
    ! harms "$name" || status=4
    store=$stores/$name
    unchanged json verify $status verify "$store" && jq_is ".loadable == \"$loadable\" and .store.kind == \"chroma\"" || return
    for code; do
        jq_is "any(.findings[]; .code == \"$code\")" || return
    done
    if harms "$name"; then
        jq_is ".summary.errors > 0"
    else
        jq_is ".summary.errors == 0 and all(.findings[].code; IN(\"$(printf '%s","' "$@")\"))"
    fi
}

# Nothing is left behind where copies are made.
no_copies_are_left() {
    local scratched=$scratch/copies
    mkdir "$scratched" && TMPDIR=$scratched runs 0 verify "$stores/hot-journal" && TMPDIR=$scratched runs 0 verify "$stores/leftover-wal" &&
        rmdir "$scratched"
}

# ---- damage made here ----

# tells CODE SEVERITY SQL [STATUS]
tells() {
    local status=4
    [ "$2" = error ] || status=0
    changed "$3" && json verify $status verify "$store" && jq_is "any(.findings[]; .code == \"$1\" and .severity == \"$2\")"
}

# No error: harmless, whatever else it is.
tells_nothing() {
    changed "$1" && json verify 0 verify "$store" && jq_is 'all(.findings[]; .severity != "error") and .loadable == "yes"'
}

# Of a database that was written over since, and in another mode: it is sound without the log, and not with it.
foreign_log() {
    changed "DELETE FROM embedding_metadata WHERE id % 2 = 0; VACUUM" || return
    sqlite3 "$store/chroma.sqlite3" "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; UPDATE embedding_metadata SET string_value = string_value || 'x'" \
        ".system cp $store/chroma.sqlite3-wal $scratch/wal" >/dev/null
    changed "SELECT 1" && cp "$scratch/wal" "$store/chroma.sqlite3-wal" && unchanged json verify 4 verify "$store" &&
        jq_is '[.findings[].code] == ["chroma-database-log-foreign"]'
}

# The schema cannot be read, and the server does not start.
unknown_format() {
    changed "SELECT 1" && printf '\0\0\0\011' | dd of="$store/chroma.sqlite3" bs=1 seek=44 conv=notrunc status=none &&
        json verify 4 verify "$store" && jq_is '.loadable == "no" and any(.findings[]; .code == "chroma-database-unreadable")'
}

docs="(SELECT id FROM collections WHERE name = 'docs')"
vector="(SELECT id FROM segments WHERE scope = 'VECTOR' AND collection = $docs)"
metadata="(SELECT id FROM segments WHERE scope = 'METADATA' AND collection = $docs)"

busy() {
    local pid r
    changed "SELECT 1" || return
    # Sleeps in the middle of a transaction.
    "$python" - "$store/chroma.sqlite3" "$scratch/ready" <<'END' &
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
db.execute("UPDATE collections SET dimension = 12 WHERE name = 'docs'")
open(sys.argv[2], "w").close()
time.sleep(60)
END
    pid=$!
    within 20 test -e "$scratch/ready" || return
    unchanged runs 8 verify "$store" && err_has "process $pid" && err_has "transaction"
    r=$?
    kill "$pid"
    wait "$pid" 2>/dev/null
    rm -f "$scratch/ready"
    return $r
}

# A connection that is open and does nothing is no reason to refuse.
idle() {
    local pid r
    changed "SELECT 1" || return
    "$python" -c 'import sqlite3, sys, time; db = sqlite3.connect(sys.argv[1]); db.execute("SELECT count(*) FROM segments").fetchall(); time.sleep(60)' \
        "$store/chroma.sqlite3" &
    pid=$!
    sleep 0.3
    runs 0 verify "$store"
    r=$?
    kill "$pid"
    wait "$pid" 2>/dev/null
    return $r
}

# ---- sizes ----

large() {
    changed "SELECT 1" && truncate -s 501M "$store/chroma.sqlite3" && json verify 0 verify --quick "$store" &&
        jq_is 'any(.findings[]; .code == "chroma-database-large" and .severity == "warning")' &&
        changed "SELECT 1" && truncate -s 499M "$store/chroma.sqlite3" && json verify 0 verify --quick "$store" &&
        jq_is 'all(.findings[]; .code != "chroma-database-large")'
}

fragmented() {
    changed "CREATE TABLE filler(x); INSERT INTO filler VALUES(zeroblob(12000000)); DROP TABLE filler" && json verify 0 verify "$store" &&
        jq_is 'any(.findings[]; .code == "chroma-database-fragmented" and .severity == "warning")'
}

large_log() {
    changed "SELECT 1" && truncate -s 65M "$store/chroma.sqlite3-wal" && json verify 0 verify "$store" &&
        jq_is 'any(.findings[]; .code == "chroma-database-wal-large" and .severity == "warning")'
}

two_of_a_name() {
    # As a table is that was put together by hand, without its unique index.
    changed "CREATE TABLE bare AS SELECT * FROM collections; DROP TABLE collections; ALTER TABLE bare RENAME TO collections;
        UPDATE collections SET name = 'docs' WHERE name = 'notes'" && json verify 4 verify "$store" &&
        jq_is 'any(.findings[]; .code == "chroma-collection-duplicate-name")'
}

another_program() {
    rm -rf "$store" && mkdir "$store" &&
        sqlite3 "$store/chroma.sqlite3" "CREATE TABLE bookmarks(url TEXT)" && unchanged json verify 4 verify "$store" &&
        jq_is '.findings[0].code == "chroma-database-foreign" and .loadable == "no"' &&
        printf 'not a database, but long enough to be looked at\n%.0s' 1 2 3 4 >"$store/chroma.sqlite3" && unchanged runs 4 verify "$store" &&
        out_has "not an SQLite database"
}

no_database() {
    changed "SELECT 1" && rm "$store/chroma.sqlite3" && unchanged json verify 4 verify "$store" &&
        jq_is '.findings[0].code == "chroma-database-missing" and .loadable == "silently-wrong"'
}

# Of an empty file SQLite makes a new database, as of none.
empty_database() {
    changed "SELECT 1" && : >"$store/chroma.sqlite3" && unchanged json verify 4 verify "$store" &&
        jq_is '.findings[0].code == "chroma-database-missing" and .loadable == "silently-wrong"'
}

# The first page is zeroes: what the others hold can be had.
no_header() {
    changed "SELECT 1" && dd if=/dev/zero of="$store/chroma.sqlite3" bs=100 count=1 conv=notrunc status=none &&
        unchanged runs 4 verify "$store" && out_has "next: vsctl salvage"
}

# A collection that was never saved, and one that was emptied: the server begins their index anew, whatever the files are.
ignored_index() {
    local never emptied level
    changed "DELETE FROM embeddings WHERE segment_id = $metadata; DELETE FROM embedding_metadata WHERE id NOT IN (SELECT id FROM embeddings);
             DELETE FROM embedding_fulltext_search WHERE rowid NOT IN (SELECT id FROM embeddings);
             DELETE FROM embeddings_queue WHERE topic LIKE '%/' || $docs AND seq_id < 45; UPDATE embeddings_queue SET operation = 3, vector = NULL, encoding = NULL WHERE topic LIKE '%/' || $docs" || return
    never=$(sqlite3 "$store/chroma.sqlite3" "SELECT id FROM segments WHERE scope = 'VECTOR' AND collection = (SELECT id FROM collections WHERE name = 'fresh')")
    emptied=$(sqlite3 "$store/chroma.sqlite3" "SELECT id FROM segments WHERE scope = 'VECTOR' AND collection = $docs")
    # total_elements_added, and two maps of nothing.
    printf '\x80\x03}(X\x0e\0\0\0dimensionalityNX\x14\0\0\0total_elements_addedJ\x07\0\0\0X\x0a\0\0\0max_seq_idNX\x0b\0\0\0id_to_label}X\x0b\0\0\0label_to_id}X\x0c\0\0\0id_to_seq_id}u.' \
        >"$store/$emptied/index_metadata.pickle"
    truncate -s 50 "$store/$never/header.bin" && rm "$store/$never/length.bin" "$store/$emptied/link_lists.bin" && truncate -s 60 "$store/$emptied/header.bin"
    for level in quick full deep; do
        json verify 0 verify --level "$level" "$store" && jq_is '.loadable == "yes"' || return
    done
}

# What stands behind the end of a pickle Python does not see, and the server refuses.
long_pickle() {
    changed "SELECT 1" && printf x >>"$store/24e69c0e-7aba-41e6-934b-8f72a5d57d41/index_metadata.pickle" &&
        json verify 4 verify "$store" && jq_is 'any(.findings[]; .code == "chroma-index-pickle-unreadable" and (.message | contains("1 byte")))'
}

# A WAL that somebody else may still write, a journal of nothing.
empty_journal() {
    changed "SELECT 1" && : >"$store/chroma.sqlite3-journal" && unchanged runs 0 verify "$store" && out_lacks journal
}

# A damaged one too large for a copy in memory is copied to disk for FTS5; without room the rest is checked. A sound one
# needs no copy. The files are sparse.
copied_to_disk() {
    local copies=$scratch/large-copies
    fresh fts-index-damage && mkdir "$copies" &&
        truncate -s 300M "$store/chroma.sqlite3" && TMPDIR=$copies json verify 4 verify "$store" &&
        jq_is 'any(.findings[]; .code == "chroma-fts-damaged")' && rmdir "$copies" &&
        TMPDIR=/proc json verify 8 verify "$store" &&
        jq_is '.verdict == "unverified" and .summary.errors == 0 and any(.unchecked[]; .what == "the full-text index")' &&
        changed "SELECT 1" && truncate -s 300M "$store/chroma.sqlite3" && TMPDIR=/proc json verify 0 verify "$store"
}

every_level() {
    local level
    store=$stores/healthy-1.3
    for level in quick full deep; do
        unchanged json verify 0 verify --level $level "$store" && jq_is ".level == \"$level\" and .summary.errors == 0" || return
    done
    jq_is '.summary.collections > 3 and .summary.documents > 100 and all(.collections[]; .id | length == 36)'
}

text_says_it() {
    store=$stores/link-out-of-range
    runs 4 verify "$store" && [[ "$(head -n 1 "$scratch/out")" == corrupt:* ]] && out_has notes
}

hostile_rows() {
    # Numbers, texts and blobs where others are expected.
    changed "UPDATE segments SET id = cast(rowid || x'00ff' AS BLOB) WHERE scope = 'VECTOR'; UPDATE max_seq_id SET seq_id = 'many';
        UPDATE embeddings_queue SET topic = x'2f', id = x'00', vector = 7;
        UPDATE collections SET name = cast(name || x'ff00fe' AS BLOB), dimension = -9223372036854775808" && runs 4 verify --level deep "$store"
}

while IFS=$'\t' read -r name loadable codes; do
    # shellcheck disable=SC2086
    check "$name" found "$name" "$loadable" $codes
done <"$data/findings.tsv"
check "no copies are left" no_copies_are_left
check "segment of no collection" tells chroma-segment-orphan warning "INSERT INTO segments VALUES('x', 'y', 'METADATA', 'z')"
check "collection without a segment" tells chroma-collection-segments error "DELETE FROM segments WHERE id = $metadata"
check "collection of no database" tells chroma-collection-database error "UPDATE collections SET database_id = 'gone' WHERE name = 'docs'"
check "configuration that is no JSON" tells chroma-collection-config error "UPDATE collections SET schema_str = '{' WHERE name = 'docs'"
check "dimension that is none" tells chroma-collection-dimension error "UPDATE collections SET dimension = 0 WHERE name = 'docs'"
check "table that is gone" tells chroma-database-table error "DROP TABLE maintenance_log"
check "migration that was changed" tells chroma-migration-changed error "UPDATE migrations SET sql = sql || ' ' WHERE dir = 'sysdb' AND version = 3"
check "migration that is missing" tells chroma-migration-gap error "DELETE FROM migrations WHERE dir = 'sysdb' AND version = 3"
check "migration from the future" tells chroma-migration-newer info "INSERT INTO migrations VALUES('sysdb', 11, 'x', 'x', 'x')"
check "metadata of no record" tells chroma-metadata-orphan error "INSERT INTO embedding_metadata VALUES(99999, 'k', 'v', NULL, NULL, NULL)"
check "array metadata of no record" tells chroma-metadata-array-orphan error "INSERT INTO embedding_metadata_array VALUES(99999, 'k', 'v', NULL, NULL, NULL)"
check "array metadata of another record" tells chroma-metadata-array-leaked error \
    "INSERT INTO embedding_metadata_array SELECT e.id, 'leaked', 'v', NULL, NULL, NULL FROM embeddings e JOIN embeddings_queue q ON q.seq_id = e.seq_id WHERE q.operation = 0 LIMIT 1"
check "a key twice" tells chroma-metadata-twice warning \
    "INSERT INTO embedding_metadata_array SELECT m.id, m.key, 'v', NULL, NULL, NULL FROM embedding_metadata m JOIN embeddings e ON e.id = m.id WHERE m.key = 'lang' AND e.seq_id NOT IN (SELECT seq_id FROM embeddings_queue) LIMIT 1"
check "a value of two types" tells chroma-metadata-value error "UPDATE embedding_metadata SET int_value = 1 WHERE key = 'lang'"
check "a truth value of 2" tells chroma-metadata-value error "UPDATE embedding_metadata SET bool_value = 2 WHERE key = 'seen'"
check "a document that differs" tells chroma-document-differs error "UPDATE embedding_metadata SET string_value = 'other' WHERE key = 'chroma:document' AND id = 5"
check "a row of the index of no document" tells chroma-fts-extra info "INSERT INTO embedding_fulltext_search(rowid, string_value) VALUES(99999, 'stray')"
check "migrations that are all gone" tells chroma-migration-gap error "DELETE FROM migrations"
check "table of migrations that is gone" tells chroma-database-table error "DROP TABLE migrations"
check "type of a segment" tells chroma-segment-type error "UPDATE segments SET type = 'urn:x' WHERE id = $vector"
check "dimension that is gone" tells chroma-collection-dimension error "UPDATE collections SET dimension = NULL WHERE name = 'docs'"
check "schema that lacks a part" tells chroma-collection-config error "UPDATE collections SET schema_str = '{}' WHERE name = 'docs'"
check "schema with a number below zero" tells chroma-collection-config error "UPDATE collections SET schema_str = replace(schema_str, '\"max_neighbors\":', '\"max_neighbors\":-') WHERE name = 'docs'"
check "schema that is null" tells_nothing "UPDATE collections SET schema_str = 'null' WHERE name = 'notes'"
check "metadata of the queue inside each other" tells chroma-queue-row error "UPDATE embeddings_queue SET metadata = '{\"a\":{\"b\":1}}' WHERE seq_id = 40"
check "sparse vector in the queue" tells_nothing "UPDATE embeddings_queue SET metadata = '{\"a\":{\"#type\":\"sparse_vector\",\"indices\":[1],\"values\":[0.5]}}' WHERE seq_id = 94"
check "document of the queue that is a number" tells chroma-queue-row error "UPDATE embeddings_queue SET metadata = '{\"chroma:document\":5}' WHERE seq_id = 40"
check "topic with a tenant in it" tells chroma-queue-row error "UPDATE embeddings_queue SET topic = replace(topic, 'default/default', 'acme/one') WHERE seq_id = 40"
check "file format that SQLite does not know" unknown_format
check "log of another time" foreign_log
check "records of no segment" tells chroma-record-no-segment warning "INSERT INTO embeddings(id, segment_id, embedding_id, seq_id) VALUES(99999, 'gone', 'x', x'0000000000000001')"
check "records of no segment, by a release that leaves none" tells chroma-collection-missing error "INSERT INTO embeddings(id, segment_id, embedding_id, seq_id) VALUES(99999, 'gone', 'x', 1)"
check "row of a collection that is gone" tells chroma-collection-missing error "DELETE FROM collections WHERE name = 'fresh'"
check "a document that only the full-text table has" tells chroma-document-missing error "DELETE FROM embedding_metadata WHERE key = 'chroma:document' AND id = 5"
check "a document that became nothing" tells chroma-document-missing error "UPDATE embedding_metadata SET string_value = NULL WHERE key = 'chroma:document' AND id = 5"
check "position ahead of the queue" tells chroma-position-ahead error "UPDATE max_seq_id SET seq_id = 5000 WHERE segment_id = $metadata"
check "index ahead of the records" tells chroma-position-order error "UPDATE max_seq_id SET seq_id = CASE segment_id WHEN $vector THEN 45 ELSE 40 END WHERE segment_id IN ($vector, $metadata)"
check "position behind the records" tells chroma-position-behind warning "UPDATE max_seq_id SET seq_id = 33 WHERE segment_id = $metadata"
check "position that is a blob" tells chroma-position-encoding error "UPDATE max_seq_id SET seq_id = x'000000000000002d' WHERE segment_id = $metadata"
check "position of no segment" tells chroma-position-orphan info "INSERT INTO max_seq_id VALUES('gone', 1)"
check "operation of the queue" tells chroma-queue-row error "UPDATE embeddings_queue SET operation = 7 WHERE seq_id = 40"
check "vector of the queue cut short" tells chroma-queue-row error "UPDATE embeddings_queue SET vector = x'000000' WHERE seq_id = 40"
check "vector of the queue of another dimension" tells chroma-queue-row error "UPDATE embeddings_queue SET vector = x'00000000' WHERE seq_id = 40"
check "vector of the queue that is no number" tells chroma-queue-row error "UPDATE embeddings_queue SET vector = cast(x'0000c07f' || substr(vector, 5) AS BLOB) WHERE seq_id = 40"
check "encoding of the queue" tells chroma-queue-row error "UPDATE embeddings_queue SET encoding = 'INT32' WHERE seq_id = 40"
check "metadata of the queue" tells chroma-queue-row error "UPDATE embeddings_queue SET metadata = '[' WHERE seq_id = 40"
check "topic of the queue" tells chroma-queue-topic warning "INSERT INTO embeddings_queue VALUES(95, 0, 2, 'persistent://default/default/gone', 'x', NULL, NULL, NULL)"
check "hostile rows" hostile_rows
check "two collections of one name" two_of_a_name
check "a large database" large
check "a fragmented database" fragmented
check "a large log" large_log
check "busy is not corrupt" busy
check "an idle connection" idle
check "a database of another program" another_program
check "no database" no_database
check "an empty database" empty_database
check "a database without its first bytes" no_header
check "indexes that the server does not read" ignored_index
check "bytes behind a pickle" long_pickle
check "an empty journal" empty_journal
check "a database copied to disk for its full-text index" copied_to_disk
check "every level" every_level
check "the text says it" text_says_it
finish_cli
