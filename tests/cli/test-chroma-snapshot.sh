#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Snapshots of Chroma stores: of every state in which a server leaves one, beside a writer, restored and compared.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"
state=$store.vsctl

rows_of() {
    sqlite3 "$1/chroma.sqlite3" "SELECT count(*) FROM embeddings"
}

# Bytes of a tree, without what SQLite keeps beside a database.
contents() {
    (cd "$1" && find . -type f ! -name 'chroma.sqlite3-*' -exec sha256sum {} + | LC_ALL=C sort -k 2)
}

# Nothing but whole databases comes out, and nothing of the copies stays.
is_clean() {
    [ -z "$(find "$1" -name 'chroma.sqlite3-*')" ] && [ ! -e "$state/snapshots/.database" ]
}

# ---- every kind of store ----

each_comes_back() {
    local name status
    for name in "$stores"/*; do
        name=${name##*/}
        echo "$name"
        status=0
        ! harms "$name" || status=4
        fresh "$name" && unchanged json snapshot $status snapshot create --name one "$store" && jq_is ".stable and .skipped == 0" &&
            runs 0 snapshot verify "$store" one && runs 0 snapshot drill "$store" one || return
        # What does not load is restored all the same, and that is said.
        "$vsctl" restore --to "$scratch/new" "$store" one >/dev/null 2>&1
        is_clean "$scratch/new" || return
        case $name in
        hot-journal | leftover-wal) same "$(rows_of "$stores/base")" "$(rows_of "$scratch/new")" ;;
        *) same "$(contents "$store")" "$(contents "$scratch/new")" ;;
        esac || return
    done
}

# A log or a journal is part of what the database says.
what_lies_beside_is_taken_in() {
    local name before
    for name in hot-journal leftover-wal; do
        fresh "$name" && runs 0 snapshot create --name one "$store" && runs 0 restore --to "$scratch/new" "$store" one || return
        # SQLite's own reading of a copy.
        rm -rf "$scratch/read" && cp -a "$store" "$scratch/read" &&
            before=$(sqlite3 "$scratch/read/chroma.sqlite3" "SELECT embedding_id, seq_id FROM embeddings ORDER BY id") &&
            same "$before" "$(sqlite3 "$scratch/new/chroma.sqlite3" "SELECT embedding_id, seq_id FROM embeddings ORDER BY id")" &&
            is_clean "$scratch/new" || return
    done
}

# ---- what is said of it ----

records_are_counted() {
    fresh base && json snapshot 0 snapshot create --name one "$store" && jq_is '.documents == 79 and .collections == 3 and .good' &&
        json snapshot 0 snapshot show "$store" one && jq_is '.store_kind == "chroma" and ([.collections[].documents] | add) == 79 and
            any(.collections[]; .name == "docs" and .documents > 30 and .batches == 1)' &&
        json snapshot 0 snapshot list "$store" && jq_is '.snapshots[0].documents == 79' &&
        cp "$state/manifests/one.json" "$scratch/out" && keep_document snapshot-manifest &&
        jq -e 'all(.collection_list[]; .rows | length == 64)' "$state/manifests/one.json" >/dev/null
}

# One value of one record, and only the digest of its collection is another.
rows_have_a_digest() {
    local one
    fresh base && runs 0 snapshot create --name one "$store" &&
        sql "UPDATE embedding_metadata SET string_value = string_value || '.' WHERE key = 'chroma:document' AND id = (SELECT e.id FROM
            embeddings e JOIN segments s ON s.id = e.segment_id JOIN collections c ON c.id = s.collection WHERE c.name = 'docs' LIMIT 1);
            INSERT INTO embedding_fulltext_search(embedding_fulltext_search) VALUES('rebuild')" || return
    "$vsctl" snapshot create --name two "$store" >/dev/null
    one=$(jq -c '[.collection_list[] | {name, rows}]' "$state/manifests/one.json")
    jq -e --argjson one "$one" '[.collection_list[] | {name, rows}] - $one | map(.name) == ["docs"]' "$state/manifests/two.json" >/dev/null
}

unchanged_costs_nothing() {
    fresh base && find "$store" -exec touch -d '2026-01-01 12:00' {} + && runs 0 snapshot create --name one "$store" &&
        json snapshot 0 snapshot create --name two "$store" && jq_is '.stored_files == 0 and .parent == "one"' &&
        # Index files that did not change stay where they are when the database does.
        sql "UPDATE collections SET name = 'docs2' WHERE name = 'docs'" && json snapshot 0 snapshot create --name three "$store" &&
        jq_is '.stored_files == 1' && runs 0 snapshot delete "$store" two && runs 0 snapshot drill "$store" three
}

# A database of more than 32 MiB goes through memory in parts.
a_large_one() {
    fresh base && sql "CREATE TABLE pad(x); INSERT INTO pad SELECT randomblob(1 << 20) FROM generate_series(1, 40)" &&
        find "$store" -exec touch -d '2026-01-01 12:00' {} + && json snapshot 0 snapshot create --check none --name one "$store" &&
        json snapshot 0 snapshot create --check none --name two "$store" && jq_is '.stored_files == 0' &&
        runs 0 restore --to "$scratch/new" "$store" two && same "$(contents "$store")" "$(contents "$scratch/new")"
}

encrypted() {
    fresh base && head -c 32 /dev/urandom >"$scratch/key" && runs 0 snapshot create --key-file "$scratch/key" --name one "$store" &&
        ! grep -aq "SQLite format 3" "$state"/snapshots/one.tar* && runs 0 restore --key-file "$scratch/key" --to "$scratch/new" "$store" one &&
        same "$(contents "$store")" "$(contents "$scratch/new")"
}

a_corrupt_one_pushes_nothing_out() {
    fresh base && runs 0 snapshot create --name good "$store" && sql "DELETE FROM embeddings_queue" &&
        runs 4 snapshot create --name bad1 "$store" && out_has "of a corrupt store" && runs 4 snapshot create --name bad2 "$store" &&
        runs 0 snapshot cleanup --keep-last 1 "$store" && json snapshot 0 snapshot list "$store" &&
        jq_is 'any(.snapshots[]; .snapshot == "good" and .good)'
}

a_flipped_byte_is_found() {
    fresh base && runs 0 snapshot create --name one "$store" &&
        printf '\377' | dd of="$state/snapshots/one.tar.gz" bs=1 seek=9000 conv=notrunc 2>/dev/null &&
        runs 4 snapshot verify "$store" one && out_has "checksum"
}

# The database that comes out has other records than were counted: the archive is no proof of that.
a_drill_counts_records() {
    fresh base && runs 0 snapshot create --name one "$store" || return
    "$python" - "$state/manifests/one.json" <<'END'
import hashlib, re, sys
path = sys.argv[1]
text = open(path).read()
text = re.sub(r'("rows":")(.)', lambda m: m[1] + ("0" if m[2] != "0" else "1"), text, count=1)
body = text[: text.index(',"manifest_sha256":"')]
open(path, "w").write(body + ',"manifest_sha256":"' + hashlib.sha256(body.encode()).hexdigest() + '"}\n')
END
    runs 0 snapshot verify "$store" one && runs 4 snapshot drill "$store" one && out_has "not those of the snapshot"
}

# ---- restoring ----

one_collection_is_refused() {
    fresh base && runs 0 snapshot create --name one "$store" && runs 16 restore --to "$scratch/new" --collection docs "$store" one &&
        err_has "share one database" && err_has "vsctl rollback --partial --collections docs" && [ ! -e "$scratch/new" ]
}

# A collection of 3,000 records whose vectors are still in the queue, as between two saves of the index.
grow() {
    sql "BEGIN; WITH c(id) AS (SELECT id FROM collections WHERE name = 'docs'),
            s(id) AS (SELECT s.id FROM segments s, c WHERE s.collection = c.id AND s.scope = 'METADATA'),
            v(x) AS (SELECT vector FROM embeddings_queue WHERE topic LIKE '%' || (SELECT id FROM c) AND vector IS NOT NULL LIMIT 1),
            top(q, e) AS (SELECT (SELECT max(seq_id) FROM embeddings_queue), (SELECT max(id) FROM embeddings))
        INSERT INTO embeddings_queue (seq_id, operation, topic, id, vector, encoding, metadata)
            SELECT q + value, 0, 'persistent://default/default/' || c.id, printf('more-%06d', $1 + value), x, 'FLOAT32', '{}'
            FROM c, v, top, generate_series(1, $2);
        INSERT INTO embeddings (segment_id, embedding_id, seq_id) SELECT s.id, q.id, q.seq_id FROM embeddings_queue q, segments s, collections c
            WHERE c.name = 'docs' AND s.collection = c.id AND s.scope = 'METADATA' AND q.id > printf('more-%06d', $1) AND q.id LIKE 'more-%';
        UPDATE max_seq_id SET seq_id = (SELECT max(seq_id) FROM embeddings_queue) WHERE segment_id = (SELECT s.id FROM segments s
            JOIN collections c ON c.id = s.collection WHERE c.name = 'docs' AND s.scope = 'METADATA');
        COMMIT"
}

damage() {
    printf 'x%.0s' $(seq 4000) | dd of="$store/chroma.sqlite3" bs=1 seek=$((4096 * 3 + 8)) conv=notrunc 2>/dev/null
}

# Three thousand were there when all was well, four thousand when it was not.
the_latest_good_one() {
    fresh base && grow 0 2921 && same 3000 "$(rows_of "$store")" && runs 0 snapshot create --name good "$store" &&
        grow 2921 1000 && same 4000 "$(rows_of "$store")" && damage && runs 4 snapshot create --name bad "$store" &&
        : >"$store/chroma.sqlite3-wal" && runs 0 restore --latest-good --to "$scratch/new" "$store" && out_has "good was restored" &&
        same 3000 "$(rows_of "$scratch/new")" && is_clean "$scratch/new" && runs 0 verify "$scratch/new"
}

a_lost_store() {
    fresh base && runs 0 snapshot create --name one "$store" && rm -rf "$store" && runs 0 restore --latest-good "$store" &&
        same 79 "$(rows_of "$store")" && runs 0 verify "$store"
}

the_database_is_lost() {
    fresh base && rm "$store/chroma.sqlite3" && json snapshot 4 snapshot create --name one "$store" && jq_is '.documents == 0 and .files == 14'
}

# ---- beside a server ----

# taken_beside ID SEGMENT
taken_beside() {
    runs 0 snapshot create --check none --name "$1" "$store" && runs 0 snapshot verify "$store" "$1" || return
    rm -rf "$scratch/new"
    # The index files have no sense, so what comes out does not load.
    "$vsctl" restore --to "$scratch/new" "$store" "$1" >/dev/null 2>&1
    is_of_one_moment "$scratch/new" "$2" "$(jq .stable "$state/manifests/$1.json")"
}

beside_a_writer() {
    local pid segment i r=0 stable=0
    fresh base
    segment=$(sql "SELECT s.id FROM segments s JOIN collections c ON c.id = s.collection
        WHERE c.name = 'docs' AND s.scope = 'VECTOR'")
    "$python" "$source/tests/cli/beside.py" "$store" "$segment" &
    pid=$!
    sleep 0.3
    for i in 1 2 3 4 5 6; do
        sleep 0.1
        taken_beside "live$i" "$segment" || { r=1 && break; }
        [ "$(jq .stable "$state/manifests/live$i.json")" = false ] || stable=$((stable + 1))
    done
    echo "$stable of 6 of one moment"
    kill $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ $r -eq 0 ] && [ $stable -gt 0 ]
}

# is_of_one_moment STORE SEGMENT STABLE
is_of_one_moment() {
    "$python" - "$@" <<'END'
import os, sqlite3, sys
store, segment, stable = sys.argv[1:]
db = sqlite3.connect(store + "/chroma.sqlite3")
assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
rows = dict(db.execute("SELECT key, int_value FROM collection_metadata WHERE collection_id = 'beside'"))
assert rows and rows["one"] == rows["two"], rows
if stable == "true" and "persisted" in rows:
    numbers = {int.from_bytes(open(f"{store}/{segment}/{name}", "rb").read(8), "little") for name in os.listdir(f"{store}/{segment}")}
    assert len(numbers) == 1, numbers
    assert numbers.pop() - rows["persisted"] in (0, 50), rows
END
}

# Somebody's transaction is waited for.
a_transaction_is_waited_for() {
    local pid r
    fresh base
    "$python" - "$store/chroma.sqlite3" "$scratch/ready" <<'END' &
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
db.execute("UPDATE collections SET name = 'later' WHERE name = 'docs'")
open(sys.argv[2], "w").close()
time.sleep(1)
db.execute("COMMIT")
END
    pid=$!
    within 20 test -e "$scratch/ready" || return
    json snapshot 0 snapshot create --name one "$store"
    r=$?
    wait $pid
    [ $r -eq 0 ] && json snapshot 0 snapshot show "$store" one && jq_is 'any(.collections[]; .name == "later")'
}

check "each store comes back as it was" each_comes_back
check "what lies beside the database is taken in" what_lies_beside_is_taken_in
check "records are counted" records_are_counted
check "rows have a digest" rows_have_a_digest
check "what did not change costs nothing" unchanged_costs_nothing
check "a large database" a_large_one
check "encrypted" encrypted
check "a corrupt store pushes nothing out" a_corrupt_one_pushes_nothing_out
check "a flipped byte is found" a_flipped_byte_is_found
check "a drill counts records" a_drill_counts_records
check "one collection alone is refused" one_collection_is_refused
check "the latest good one has 3000 records" the_latest_good_one
check "a lost store" a_lost_store
check "a lost database" the_database_is_lost
check "beside a writer" beside_a_writer
check "a transaction is waited for" a_transaction_is_waited_for
finish_cli
