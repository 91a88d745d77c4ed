#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# inspect of Chroma stores: collections, records, one record with the vector that a client would get; of all releases
# that wrote stores, and of damaged ones.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"
truth=$data/base-truth.json

given() {
    store=$stores/$1
}

collections() {
    given base && unchanged json inspect 0 inspect "$store" && jq_is '.store.kind == "chroma" and .store.compression == null' &&
        jq_is "[.collections[] | {key: .name, value: {id, space, tenant, database, documents}}] | from_entries == $(jq -c 'map_values({id, space, tenant, database, documents: (.recs | length)})' "$truth")" &&
        jq_is '[.collections[] | {name, dimension}] | sort_by(.name) == [{name: "docs", dimension: 12}, {name: "fresh", dimension: 4}, {name: "notes", dimension: 8}]' &&
        jq_is 'all(.collections[]; .segment | length == 36)'
}

collections_as_text() {
    given base && runs 0 inspect "$store" &&
        grep -qE '^a1ec23ea-d7a3-40ca-8c8b-e39b3d781fd3 +38 +12 +cosine +default_tenant +default_database +docs$' "$scratch/out"
}

records() {
    local name
    given base
    for name in docs notes fresh; do
        unchanged json inspect 0 inspect "$store" "$name" && jq_is "[.documents[].id] | sort == $(jq -c ".$name.recs | keys" "$truth")" &&
            jq_is '(.collection.documents == (.documents | length)) and (.documents | map(.row) | . == sort)' &&
            jq_is "[.documents[] | {key: .id, value: .content_bytes}] | from_entries == $(jq -c ".$name.recs | map_values(if .d then .d | utf8bytelength else null end)" "$truth")" ||
            return
    done
}

# Every record of the store, as the client wrote it; cosine vectors come back from the index rounded.
every_record() {
    local name id
    given base
    while read -r name id; do
        runs 0 inspect --json --vector "$store" "$name" "$id" && cat "$scratch/out" >>"$scratch/all" || return
        [ "${id%0}" = "$id" ] || keep_document inspect
    done < <(jq -r 'to_entries[] | .key as $name | .value.recs | keys[] | "\($name) \(.)"' "$truth")
    # shellcheck disable=SC2016 # jq has variables too
    jq -sc '[.[].document | .id as $id | {key: .id, value: {e: .vector, d: (if .has_content then .content else null end),
        m: [.metadata[] | {key, value: (if .type == "int" or .type == "float" then .value | tonumber elif .type == "bool" then .value == "true" else .value end)}] | from_entries}}]
        | from_entries' "$scratch/all" >"$scratch/read" &&
        jq -c 'map(.recs) | add | map_values({e, d, m: (.m // {})})' "$truth" >"$scratch/written" &&
        jq -en '[input, input] as [$read, $written] | ($read | keys) == ($written | keys) and all($read | keys[];
            $read[.] as $r | $written[.] as $w | $r.d == $w.d and ($r.m | keys) == ($w.m | keys)
            and all(range($w.e | length); ($r.e[.] - $w.e[.] | fabs) < 0.00001) and ($r.e | length) == ($w.e | length)
            and all($w.m | keys[]; $r.m[.] == $w.m[.] or ($r.m[.] - $w.m[.] | fabs) < 0.000001))' "$scratch/read" "$scratch/written" >"$scratch/jq"
}

record_as_text() {
    given base && runs 0 inspect --vector "$store" docs doc-32 && out_has 'vector from  queue' && out_has '  page: 32' && out_has '  seen: true' &&
        out_has '  Ωmega vector straße' && out_has '  -2.18927884 1.50971174 '
}

# An addition of an id that is there is taken into the queue and changes nothing.
added_twice() {
    given healthy-1.3 && json inspect 0 inspect --vector "$store" ed232183-5fe6-4001-9bfb-dde011fe292c t0 &&
        jq_is '.document | .vector_source == "queue" and .seq_id == 1 and .vector == [-1.14592206, -1.55899119, 0.108158067]'
}

lists() {
    local id
    given healthy-1.3 && json inspect 0 inspect "$store" arrays && id=$(jq -r '.documents[0].id' "$scratch/out") &&
        json inspect 0 inspect "$store" arrays "$id" && jq_is '[.document.metadata[] | select(.is_element)] | length > 1' &&
        runs 0 inspect "$store" arrays "$id" && grep -qE '^  [a-z]+\[\]: ' "$scratch/out"
}

every_release() {
    local name
    for name in legacy-0.4.14 legacy-0.6.3; do
        given $name && unchanged json inspect 0 inspect "$store" && jq_is '[.collections[] | {name, documents, dimension, space}] ==
            [{name: "persisted", documents: 48, dimension: 12, space: "cosine"}, {name: "wal-only", documents: 9, dimension: 5, space: "l2"}]' &&
            json inspect 0 inspect "$store" wal-only && jq_is 'all(.documents[]; .seq_id > 0)' || return
    done
    given legacy-0.4.14 && json inspect 0 inspect "$store" persisted && jq -r '.documents[].id' "$scratch/out" >"$scratch/ids" || return
    while read -r name; do
        runs 0 inspect --json --vector "$store" persisted "$name" && jq_is '.document | .vector | length == 12' || return
    done <"$scratch/ids"
    given healthy-1.0 && json inspect 0 inspect "$store" && jq_is '.collections | length > 5'
}

# A journal is rolled back in a copy; the store stays.
with_a_journal() {
    mkdir "$scratch/copies" && given hot-journal && TMPDIR=$scratch/copies unchanged json inspect 0 inspect "$store" docs &&
        jq_is '.documents | length == 38' && rmdir "$scratch/copies"
}

no_vector() {
    given queue-emptied && json inspect 4 inspect --vector "$store" fresh f0 &&
        jq_is '.document | .vector_source == null and .vector == [] and .dimension == 0 and .norm == null and .has_content' &&
        runs 4 inspect "$store" fresh f0 && out_has 'vector from  nowhere: ' &&
        given segment-dir-missing && runs 4 inspect "$store" docs doc-0 && out_has 'nowhere: ' && runs 0 inspect "$store" docs doc-32 &&
        given pickle-empty && runs 4 inspect "$store" docs doc-0 && out_has 'nowhere: index_metadata.pickle '
}

damaged_database() {
    given sqlite-truncated && unchanged json error 8 inspect "$store" && err_has malformed &&
        given sqlite-page-damage && unchanged json inspect 0 inspect "$store" && unchanged json inspect 8 inspect "$store" docs &&
        jq_is '.error.status == 8'
}

# What stands where it does not belong is shown as what it is.
hostile_rows() {
    changed "UPDATE embeddings SET seq_id = 'x', created_at = x'ff' WHERE embedding_id = 'doc-32';
        UPDATE embedding_metadata SET key = char(27) || '[31m', string_value = NULL, int_value = NULL WHERE key = 'lang';
        UPDATE embeddings_queue SET vector = x'0000', operation = 2; UPDATE segments SET id = '../../../' || id WHERE scope = 'VECTOR'" &&
        json inspect 4 inspect "$store" docs doc-32 && jq_is '.document | .vector_source == null and .seq_id == null and any(.metadata[]; .type == "none")' &&
        runs 4 inspect "$store" docs doc-32 && out_has 'no whole number of elements' && ! grep -q $'\033' "$scratch/out" &&
        runs 4 inspect "$store" docs doc-0
}

# Names are unique in a database, not in a store.
same_name_twice() {
    given healthy-1.3 && json error 16 inspect "$store" tiny-l2-d3 && err_has 'two collections are named tiny-l2-d3; give an id' &&
        json inspect 0 inspect "$store" f5d81ade-fb26-4a85-af01-f28b8119e4ce && jq_is '.documents | length == 14'
}

not_there() {
    given base && json error 8 inspect "$store" nosuch && err_has 'no collection nosuch' && json error 8 inspect "$store" docs nosuch &&
        err_has 'no document nosuch in collection docs' && json error 16 inspect --timeline "$store"
}

# The row of another collection with the same id is not this one's.
same_id_in_two() {
    changed "INSERT INTO embeddings(id, segment_id, embedding_id, seq_id) SELECT 500, id, 'doc-32', 1 FROM segments
        WHERE scope = 'METADATA' AND collection = (SELECT id FROM collections WHERE name = 'notes')" &&
        runs 4 inspect --json "$store" notes doc-32 && jq_is '.document.row == 500 and .document.has_content == false' &&
        runs 0 inspect --json "$store" docs doc-32 && jq_is '.document.row == 33'
}

check "collections" collections
check "collections as text" collections_as_text
check "records" records
check "every record is what was written" every_record
check "a record as text" record_as_text
check "an id added twice" added_twice
check "lists" lists
check "every release" every_release
check "a store with a journal" with_a_journal
check "a record without a vector" no_vector
check "a damaged database" damaged_database
check "hostile rows" hostile_rows
check "a name twice" same_name_twice
check "an id in two collections" same_id_in_two
check "what is not there" not_there
finish_cli
