#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Rollback of Chroma stores: all of one, and single collections of one, whose others stay row by row what they are.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"
rm "$stores"/*/expected.json
state=$store.vsctl

# A copy of a store, with a snapshot "one".
with_one() {
    rm -rf "$scratch/kept"
    fresh "$1" && runs 0 snapshot create --name one "$store" && cp -a "$store" "$scratch/kept"
}

id_of() {
    sqlite3 "$1/chroma.sqlite3" "SELECT id FROM collections WHERE name = '$2' ORDER BY id LIMIT 1"
}

contents() {
    (cd "$1" && find . -type f -printf '%P %m %T@\n' | LC_ALL=C sort && find . -type f -exec sha256sum {} + | LC_ALL=C sort -k 2)
}

same_tree() {
    diff <(contents "$1") <(contents "$2")
}

# rows_of STORE COLLECTION: all rows of it, and what is in its index directory.
rows_of() {
    local id segment
    id=$(id_of "$1" "$2")
    sqlite3 "$1/chroma.sqlite3" "
        CREATE TEMP TABLE r AS SELECT e.id FROM embeddings e JOIN segments s ON s.id = e.segment_id WHERE s.collection = '$id';
        SELECT 'c', * FROM collections WHERE id = '$id'; SELECT 'cm', * FROM collection_metadata WHERE collection_id = '$id' ORDER BY key;
        SELECT 's', * FROM segments WHERE collection = '$id' ORDER BY id;
        SELECT 'p', m.* FROM max_seq_id m JOIN segments s ON s.id = m.segment_id WHERE s.collection = '$id' ORDER BY 2;
        SELECT 'e', * FROM embeddings WHERE id IN r ORDER BY id; SELECT 'm', * FROM embedding_metadata WHERE id IN r ORDER BY id, key;
        SELECT 'f', rowid, string_value FROM embedding_fulltext_search WHERE rowid IN r ORDER BY rowid;
        SELECT 'q', seq_id, operation, id, hex(vector), metadata FROM embeddings_queue WHERE topic LIKE '%/$id' ORDER BY seq_id"
    segment=$(sqlite3 "$1/chroma.sqlite3" "SELECT id FROM segments WHERE scope = 'VECTOR' AND collection = '$id'")
    [ -z "$segment" ] || [ ! -d "$1/$segment" ] || (cd "$1/$segment" && sha256sum ./*)
}

same_rows() {
    diff <(rows_of "$1" "$3") <(rows_of "$2" "$3") && [ -n "$(id_of "$1" "$3")" ]
}

# Records of a collection that are gone, another, and one that is new; a new collection.
bad_day() {
    sql "CREATE TEMP TABLE d AS SELECT e.id FROM embeddings e JOIN segments s ON s.id = e.segment_id JOIN collections c ON c.id = s.collection
            WHERE c.name = '$1' ORDER BY e.id LIMIT 4;
        DELETE FROM embedding_fulltext_search WHERE rowid IN d; DELETE FROM embedding_metadata WHERE id IN d;
        DELETE FROM embeddings WHERE id IN d;
        UPDATE embedding_metadata SET string_value = 'changed' WHERE key <> 'chroma:document' AND string_value IS NOT NULL AND id IN
            (SELECT e.id FROM embeddings e JOIN segments s ON s.id = e.segment_id JOIN collections c ON c.id = s.collection
                WHERE c.name = '$1' ORDER BY e.id LIMIT 3);
        UPDATE embeddings SET seq_id = seq_id + 1 WHERE id = (SELECT max(e.id) FROM embeddings e JOIN segments s ON s.id = e.segment_id
            JOIN collections c ON c.id = s.collection WHERE c.name = '$1');
        INSERT INTO embeddings (segment_id, embedding_id, seq_id) SELECT s.id, 'new one', 1 FROM segments s JOIN collections c
            ON c.id = s.collection WHERE c.name = '$1' AND s.scope = 'METADATA'" &&
        dd if=/dev/urandom of="$store/$(sql "SELECT s.id FROM segments s JOIN collections c ON c.id = s.collection WHERE c.name = '$1'
            AND s.scope = 'VECTOR'")/data_level0.bin" bs=64 count=1 seek=3 conv=notrunc 2>/dev/null
}

# As it is before it goes back.
keep_bad() {
    rm -rf "$scratch/bad" && cp -a "$store" "$scratch/bad"
}

new_collection() {
    sql "INSERT INTO collections (id, name, dimension, database_id) SELECT '11111111-2222-4333-8444-555555555555', 'later', 4, database_id
            FROM collections LIMIT 1;
        INSERT INTO segments VALUES ('11111111-2222-4333-8444-666666666666', 'urn:chroma:segment/vector/hnsw-local-persisted', 'VECTOR',
            '11111111-2222-4333-8444-555555555555'), ('11111111-2222-4333-8444-777777777777', 'urn:chroma:segment/metadata/sqlite',
            'METADATA', '11111111-2222-4333-8444-555555555555')"
}

# ---- all of it ----

all_goes_back() {
    with_one base && bad_day docs && new_collection && json change 0 rollback --yes "$store" one &&
        jq_is '.applied and .verdict == "healthy" and .loadable == "yes"' && same_tree "$scratch/kept" "$store"
}

undo_takes_it_back() {
    with_one base && bad_day docs && keep_bad && runs 0 rollback --yes "$store" one && runs 0 undo --yes "$store" &&
        same_tree "$scratch/bad" "$store"
}

# Whatever has become of the store, the snapshot is what comes back.
from_every_damage() {
    local name
    with_one base
    for name in data-level0-truncated dimension-mismatch fts-index-damage fts-rows-missing graph-disconnected header-count-huge hot-journal \
        leftover-wal length-missing link-list-size-damage max-seq-id-missing pickle-missing queue-emptied segment-dir-missing \
        segment-dir-orphan sqlite-page-damage sqlite-truncated two-writers; do
        echo "$name"
        rm -rf "$store" && cp -a "$stores/$name" "$store" && runs 0 rollback --yes "$store" one && runs 0 verify "$store" &&
            same_tree "$scratch/kept" "$store" && runs 0 undo --yes "$store" && same_tree "$stores/$name" "$store" || return
    done
}

of_every_release() {
    local name
    for name in healthy-1.0 healthy-1.3 legacy-0.4.14 legacy-0.6.3; do
        echo "$name"
        with_one "$name" && sql "UPDATE embedding_metadata SET string_value = 'x' WHERE key = 'chroma:document';
            INSERT INTO embedding_fulltext_search(embedding_fulltext_search) VALUES('rebuild')" &&
            runs 0 rollback --yes "$store" one && same_tree "$scratch/kept" "$store" || return
    done
}

# A corrupt state is one that somebody may want to have back.
to_a_corrupt_one() {
    with_one base && cp -a "$store" "$scratch/good" && rm -rf "$store" && cp -a "$stores/sqlite-truncated" "$store" &&
        runs 4 snapshot create --name broken "$store" && rm -rf "$store" && cp -a "$scratch/good" "$store" &&
        runs 0 rollback --yes "$store" broken && same_tree "$stores/sqlite-truncated" "$store"
    local r=$?
    rm -rf "$scratch/good"
    return $r
}

what_is_not_the_servers_stays() {
    with_one base && echo notes >"$store/README.txt" && mkdir "$store/.quarantine" && echo x >"$store/.quarantine/x" && bad_day docs &&
        runs 0 rollback --yes "$store" one && grep -q notes "$store/README.txt" && [ -e "$store/.quarantine/x" ]
}

nothing_to_do() {
    with_one base && unchanged runs 0 rollback --yes "$store" one && out_has "nothing to do" &&
        unchanged runs 0 rollback --yes --partial --collections docs "$store" one && out_has "nothing to do"
}

# ---- single collections ----

one_collection() {
    with_one base && bad_day docs && bad_day notes && new_collection && keep_bad &&
        json change 0 rollback --yes --partial --collections docs "$store" one && jq_is '.applied and (.collections | length) == 1' &&
        same_rows "$scratch/kept" "$store" docs && same_rows "$scratch/bad" "$store" notes && same_rows "$scratch/bad" "$store" fresh &&
        same_rows "$scratch/bad" "$store" later && runs 0 undo --yes "$store" && same_tree "$scratch/bad" "$store"
}

of_every_release_one() {
    local name one others other
    for name in healthy-1.0 healthy-1.3 legacy-0.4.14 legacy-0.6.3; do
        with_one "$name"
        # The one with the most records.
        one=$(sql "SELECT c.name FROM collections c JOIN segments s ON s.collection = c.id JOIN embeddings e ON e.segment_id = s.id
            GROUP BY c.id ORDER BY count(*) DESC LIMIT 1")
        mapfile -t others < <(sql "SELECT name FROM collections WHERE name <> '$one'")
        echo "$name: $one"
        bad_day "$one" && keep_bad &&
            runs 0 rollback --yes --failed-collections "$one" "$store" one && same_rows "$scratch/kept" "$store" "$one" || return
        for other in "${others[@]}"; do
            same_rows "$scratch/bad" "$store" "$other" || return
        done
    done
}

# A collection that was removed since, with its directory; and one whose name another has by now.
a_removed_one_comes_back() {
    local id segment
    with_one base
    id=$(id_of "$store" docs)
    segment=$(sql "SELECT id FROM segments WHERE scope = 'VECTOR' AND collection = '$id'")
    sql "CREATE TEMP TABLE r AS SELECT e.id FROM embeddings e JOIN segments s ON s.id = e.segment_id WHERE s.collection = '$id';
        DELETE FROM embedding_fulltext_search WHERE rowid IN r; DELETE FROM embedding_metadata WHERE id IN r; DELETE FROM embeddings WHERE id IN r;
        DELETE FROM max_seq_id WHERE segment_id IN (SELECT id FROM segments WHERE collection = '$id'); DELETE FROM segments WHERE
        collection = '$id'; DELETE FROM collections WHERE id = '$id'; DELETE FROM embeddings_queue WHERE topic LIKE '%/$id'" &&
        rm -r "${store:?}/$segment" && keep_bad && runs 0 rollback --yes --partial --collections docs "$store" one &&
        same_rows "$scratch/kept" "$store" docs && same_rows "$scratch/kept" "$store" notes && runs 0 verify --level deep "$store" &&
        runs 0 undo --yes "$store" && same_tree "$scratch/bad" "$store" && sql "UPDATE collections SET name = 'docs' WHERE name = 'notes'" &&
        unchanged runs 16 rollback --yes --partial --collections "$id" "$store" one && err_has "has the name"
}

# The numbers of its rows and of its part of the queue are another's by now.
taken_numbers() {
    with_one base && sql "CREATE TEMP TABLE r AS SELECT e.id, e.embedding_id FROM embeddings e JOIN segments s ON s.id = e.segment_id
            JOIN collections c ON c.id = s.collection WHERE c.name = 'docs';
        CREATE TEMP TABLE q AS SELECT seq_id FROM embeddings_queue WHERE topic LIKE '%/' || (SELECT id FROM collections WHERE name = 'docs');
        DELETE FROM embedding_fulltext_search WHERE rowid IN (SELECT id FROM r); DELETE FROM embedding_metadata WHERE id IN (SELECT id FROM r);
        DELETE FROM embeddings WHERE id IN (SELECT id FROM r); DELETE FROM embeddings_queue WHERE seq_id IN q;
        INSERT INTO embeddings_queue (seq_id, operation, topic, id) SELECT seq_id, 3, 'persistent://default/default/' ||
            (SELECT id FROM collections WHERE name = 'notes'), 'none' FROM q;
        INSERT INTO embeddings (id, segment_id, embedding_id, seq_id) SELECT r.id, s.id, 'taken ' || r.id, 1 FROM r, segments s JOIN
            collections c ON c.id = s.collection WHERE c.name = 'fresh' AND s.scope = 'METADATA' LIMIT 3" &&
        runs 0 rollback --yes --partial --collections docs "$store" one && same \
        "$(sqlite3 "$scratch/kept/chroma.sqlite3" "$(values_of docs)")" "$(sql "$(values_of docs)")"
}

values_of() {
    echo "SELECT e.embedding_id, m.key, m.string_value, m.int_value, f.string_value FROM embeddings e JOIN segments s ON s.id = e.segment_id
        JOIN collections c ON c.id = s.collection LEFT JOIN embedding_metadata m ON m.id = e.id
        LEFT JOIN embedding_fulltext_search f ON f.rowid = e.id AND m.key = 'chroma:document' WHERE c.name = '$1' ORDER BY 1, 2"
}

refused() {
    with_one base && bad_day docs && unchanged runs 16 rollback --yes --partial --collections dosc "$store" one && err_has "did you mean docs" &&
        unchanged runs 16 rollback --yes --partial "$store" one &&
        cp "$store/chroma.sqlite3" "$scratch/db" && printf 'x%.0s' $(seq 3000) | dd of="$store/chroma.sqlite3" bs=1 conv=notrunc 2>/dev/null &&
        unchanged runs 8 rollback --yes --partial --collections docs "$store" one && err_has "bring back the whole store" &&
        cp "$scratch/db" "$store/chroma.sqlite3" && sql "DELETE FROM migrations WHERE dir = 'metadb' AND version = 6" &&
        unchanged runs 8 rollback --yes --partial --collections docs "$store" one && err_has "different releases"
}

# ---- single batches, and times ----

# One of each release that has more than two hundred records.
batches() {
    local name one want
    for name in healthy-1.0 healthy-1.3; do
        with_one "$name"
        one=$(sql "SELECT c.name FROM collections c JOIN segments s ON s.collection = c.id JOIN embeddings e ON e.segment_id = s.id
            GROUP BY c.id HAVING count(*) > 200 ORDER BY count(*) LIMIT 1")
        want=$(sql "SELECT embedding_id FROM (SELECT e.embedding_id, row_number() OVER (ORDER BY e.seq_id) - 1 AS n FROM embeddings e
            JOIN segments s ON s.id = e.segment_id JOIN collections c ON c.id = s.collection WHERE c.name = '$one') WHERE n / 100 IN (0, 2)
            ORDER BY embedding_id")
        echo "$name: $one" && keep_bad && json change 0 rollback --yes --batches "$one:batch_000000,batch_000002" "$store" one &&
            jq_is '.loadable == "yes" and .errors_after == 0' && same "$want" "$(ids_of "$one")" &&
            runs 0 verify --level deep "$store" && runs 0 rollback --yes --batches "$one:batch_000000,batch_000002" "$store" one &&
            out_has "nothing to do" && each_other_is_kept "$one" && unchanged runs 16 rollback --yes --batches "$one:batch_000099" "$store" one || return
    done
}

ids_of() {
    sql "SELECT e.embedding_id FROM embeddings e JOIN segments s ON s.id = e.segment_id JOIN collections c ON c.id = s.collection
        WHERE c.name = '$1' ORDER BY e.embedding_id"
}

each_other_is_kept() {
    local others other
    mapfile -t others < <(sql "SELECT name FROM collections WHERE name <> '$1'")
    for other in "${others[@]}"; do
        same_rows "$scratch/bad" "$store" "$other" || return
    done
}

# The removal is in the queue, as the server writes it, above all that was there.
until_a_time() {
    local name
    for name in base:docs legacy-0.4.14:persisted legacy-0.6.3:persisted; do
        rm -rf "$store" "$state" && cp -a "$stores/${name%:*}" "$store" && sql "UPDATE embeddings SET created_at = '2026-11-20 10:00:00';
            UPDATE embeddings SET created_at = '2026-11-20 12:00:01' WHERE id IN (SELECT e.id FROM embeddings e JOIN segments s ON
            s.id = e.segment_id JOIN collections c ON c.id = s.collection WHERE c.name = '${name#*:}' ORDER BY e.id DESC LIMIT 5)" &&
            runs 0 snapshot create --name one "$store" && keep_bad || return
        echo "$name"
        json change 0 rollback --dry-run --at 2026-11-20T12:00:00Z --partial --collections "${name#*:}" "$store" one &&
            jq_is '.collections[0].added == 5 and .collections[0].removed == 0' &&
            json change 0 rollback --yes --at 2026-11-20T12:00:00Z --partial --collections "${name#*:}" "$store" one &&
            jq_is '.errors_after == 0' && same 5 $(($(sqlite3 "$scratch/bad/chroma.sqlite3" "SELECT count(*) FROM embeddings") - \
            $(sql "SELECT count(*) FROM embeddings"))) && same 5 "$(sql "SELECT count(*) FROM embeddings_queue WHERE operation = 3 AND
            seq_id > (SELECT max(seq_id) - 5 FROM embeddings_queue)")" && each_other_is_kept "${name#*:}" &&
            runs 0 verify --level deep "$store" || return
    done
    unchanged runs 16 rollback --yes --at 2026-11-20T12:00:00Z "$store" one && err_has "name those that are to go back"
}

# ---- what is told before ----

# figures FILTER: added, removed, changed and kept of the collection docs.
figures() {
    jq -c '.collections[] | select(.name == "docs") | [.added, .removed, .changed, .kept]' "$scratch/out"
}

the_dry_run_is_the_plan() {
    local args planned
    for args in "" "--partial --collections docs"; do
        with_one base && bad_day docs || return
        # shellcheck disable=SC2086
        unchanged json change 0 rollback --dry-run $args "$store" one && jq_is '.applied | not' || return
        planned=$(figures)
        # Three were changed in their metadata, and one in its vector.
        same "[1,4,4,30]" "$planned" || return
        # shellcheck disable=SC2086
        json change 0 rollback --yes $args "$store" one && same "$planned" "$(figures)" || return
    done
    [ -z "$(find "$TMPDIR" -maxdepth 1 -name '.vsctl-rollback*')" ]
}

the_state_before_is_kept() {
    with_one base && bad_day docs && keep_bad && "$vsctl" rollback --yes --partial --collections docs "$store" one >/dev/null 2>&1 &&
        runs 0 snapshot list "$store" && out_has "before a rollback"
    local id
    id=$(find "$state/manifests" -name 'snapshot_*.json' -printf '%f\n' | sed 's/.json//')
    rm -rf "$store" && "$vsctl" restore --to "$store" "$scratch/store" "$id" >/dev/null 2>&1
    same_tree "$scratch/bad" "$store"
}

# ---- writers ----

a_transaction_is_respected() {
    local pid r
    with_one base && bad_day docs
    "$python" - "$store/chroma.sqlite3" "$scratch/ready" <<'END' &
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
open(sys.argv[2], "w").close()
time.sleep(60)
END
    pid=$!
    within 20 test -e "$scratch/ready" || return
    runs 8 rollback --force --yes "$store" one && err_has "transaction"
    r=$?
    kill $pid
    wait $pid 2>/dev/null
    return $r
}

# Each rename takes a second, and somebody tries to write all the time.
writers_are_kept_out() {
    local pid
    with_one base && bad_day docs && rm -f "$scratch/tried"
    # Leaks cannot be looked for in what is traced.
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -o "$scratch/calls" -e trace=renameat,renameat2,rename -e inject=renameat,renameat2,rename:delay_enter=300000 \
        "$vsctl" rollback --force --yes --partial --collections docs "$store" one >"$scratch/out" 2>"$scratch/err" &
    pid=$!
    "$python" - "$store/chroma.sqlite3" "$pid" <<'END' >"$scratch/tried"
import os, sqlite3, sys, time
while True:
    try:
        os.kill(int(sys.argv[2]), 0)
        if open(f"/proc/{sys.argv[2]}/stat").read().split()[2] == "Z":
            break
    except (ProcessLookupError, FileNotFoundError):
        break
    try:
        db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")
        print("free")
    except sqlite3.OperationalError as e:
        print(e)
    db.close()
    time.sleep(0.02)
END
    wait $pid
    same 0 $? && grep -q "database is locked" "$scratch/tried" && same_rows "$scratch/kept" "$store" docs &&
        # Free again.
        sql "BEGIN IMMEDIATE; ROLLBACK"
}

# ---- restoring over it ----

restore_is_the_same() {
    with_one base && bad_day docs && runs 4 snapshot create --name bad "$store" && : >"$store/chroma.sqlite3-wal" &&
        runs 0 restore --yes --latest-good "$store" && same_tree "$scratch/kept" "$store" &&
        bad_day docs && bad_day notes && keep_bad && runs 0 restore --yes --collection docs "$store" one &&
        same_rows "$scratch/kept" "$store" docs && same_rows "$scratch/bad" "$store" notes
}

check "all goes back" all_goes_back
check "undo takes it back" undo_takes_it_back
check "back from every damage" from_every_damage
check "stores of every release" of_every_release
check "back to a corrupt state" to_a_corrupt_one
check "what is not the server's stays" what_is_not_the_servers_stays
check "nothing to do" nothing_to_do
check "one collection" one_collection
check "one collection of every release" of_every_release_one
check "a collection that was removed" a_removed_one_comes_back
check "numbers that others have" taken_numbers
check "refused" refused
check "batches" batches
check "until a time" until_a_time
check "the dry run is the plan" the_dry_run_is_the_plan
check "the state before is kept" the_state_before_is_kept
check "a transaction is respected" a_transaction_is_respected
if strace -o /dev/null true 2>/dev/null; then
    check "writers are kept out" writers_are_kept_out
else
    skip "writers are kept out" "nothing can be traced here"
fi
check "restore is the same" restore_is_the_same
finish_cli
