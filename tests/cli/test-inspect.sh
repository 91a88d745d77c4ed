#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# inspect: collections, documents, one document, times; of stores, damaged stores and exports.
# shellcheck disable=SC2016 # jq has variables too
set -u
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
data=$source/tests/data/chromem

# ---- collections ----

collections() {
    fixture healthy-plain && json inspect 0 inspect "$store" &&
        jq_is "[.collections[] | {name, count: .documents}] | sort_by(.name) == $(jq -c '[.library.collections[] | {name, count}] | sort_by(.name)' "$scratch/healthy-plain/expected.json")" &&
        jq_is '.collections | all(.metadata_file == "ok" and .name_fits)' &&
        jq_is '.collections[] | select(.name == "contextd_memories") | .id == "e9f85bf6"' &&
        jq_is ".store == {path: \"$store\", kind: \"chromem\", compression: \"none\"}"
}

collections_as_text() {
    fixture healthy-plain && runs 0 inspect "$store" &&
        grep -qE '^directory +documents +modified +metadata file +name$' "$scratch/out" &&
        grep -qE '^e9f85bf6 +14 +20[0-9-]+T[0-9:]+Z +ok +contextd_memories$' "$scratch/out" &&
        same 6 "$(wc -l <"$scratch/out")"
}

collection_without_metadata() {
    fixture incident-missing-metadata && json inspect 0 inspect "$store" && jq_is '.collections | length == 22' &&
        jq_is '.collections[] | select(.id == "e9f85bf6") | .name == null and .metadata_file == "missing" and .name_fits == null and .documents == 4' &&
        runs 0 inspect "$store" && grep -qE '^e9f85bf6 +4 +[^ ]+ +missing +-$' "$scratch/out"
}

collection_with_bad_metadata() {
    fixture meta-truncated && json inspect 0 inspect "$store" &&
        jq_is '[.collections[] | select(.metadata_file != "ok")] | length == 1 and .[0].name == null and (.[0].metadata_file | length) > 10'
}

collection_of_another_name() {
    fixture meta-other-name && json inspect 0 inspect "$store" && jq_is '[.collections[] | select(.name_fits == false)] | length == 1'
}

compressed() {
    fixture healthy-gz && json inspect 0 inspect "$store" && jq_is '.store.compression == "gzip"' &&
        jq_is '[.collections[].documents] | add == 70' && json inspect 0 inspect "$store" contextd_memories &&
        jq_is '.documents | length == 14 and all(.file | endswith(".gob.gz"))'
}

# ---- documents ----

documents() {
    fixture healthy-plain && json inspect 0 inspect "$store" contextd_memories && cp "$scratch/out" "$scratch/by-name" &&
        jq_is '.collection | .id == "e9f85bf6" and .name == "contextd_memories" and .documents == 14 and .metadata == []' &&
        jq_is '.documents | length == 14 and (([.[].file] | sort) == [.[].file]) and all(.fault == null and .dimension > 0 and .file_bytes > 0)' &&
        json inspect 0 inspect "$store" e9f85bf6 && diff "$scratch/by-name" "$scratch/out"
}

# A document is in the file that its id hashes to.
documents_are_where_they_belong() {
    local id file
    fixture healthy-plain && runs 0 inspect "$store" contextd_memories --json &&
        jq -r '.documents[] | "\(.file) \(.id)"' "$scratch/out" >"$scratch/list" && [ -s "$scratch/list" ] || return
    while read -r file id; do
        same "$file" "$(printf '%s' "$id" | sha256sum | cut -c 1-8).gob" || return
    done <"$scratch/list"
}

norms() {
    fixture healthy-plain && runs 0 inspect "$store" contextd_memories --json &&
        jq_is '.documents | all((.norm - 1) | fabs < 0.00001)' && fixture embedding-not-normalised &&
        runs 0 inspect "$store" --json && for id in $(jq -r '.collections[].id' "$scratch/out"); do
        runs 0 inspect "$store" "$id" --json && jq -r '.documents[].norm | round' "$scratch/out"
    done >"$scratch/norms" && same 1 "$(grep -c '^2$' "$scratch/norms")" && same 0 "$(grep -vc '^[12]$' "$scratch/norms")"
}

not_a_number() {
    fixture embedding-nan && runs 0 inspect "$store" --json &&
        for id in $(jq -r '.collections[].id' "$scratch/out"); do
            json inspect 0 inspect "$store" "$id" && jq -r '.documents[].norm' "$scratch/out"
        done >"$scratch/norms" && same 1 "$(grep -c '^null$' "$scratch/norms")"
}

documents_without_metadata_file() {
    fixture incident-missing-metadata && json inspect 0 inspect "$store" contextd_memories &&
        jq_is '.collection.id == "e9f85bf6" and .collection.name == null and (.documents | length) == 4'
}

damaged_document() {
    fixture doc-truncated && path=$(jq -r '.findings[0].path' "$scratch/doc-truncated/expected.json") && dir=${path%/*} && file=${path#*/} &&
        json inspect 4 inspect "$store" "$dir" &&
        jq_is "[.documents[] | select(.fault)] | length == 1 and .[0].file == \"$file\" and .[0].id == null and .[0].fault_offset > 0" &&
        jq_is '[.documents[] | select(.fault == null)] | length > 0' &&
        runs 4 inspect "$store" "$dir" && grep -qE "^$file +- +- +- +cannot be decoded: [^ ]" "$scratch/out" &&
        json inspect 4 inspect "$store" "$dir" "$file" && jq_is '.document | .id == null and (.fault | length) > 10 and (.loader_error | length) > 5'
}

# The library names the whole path of a file that it cannot open.
document_not_there() {
    fixture healthy-plain && file=$(basename "$(find "$store/e9f85bf6" -name '[1-9a-f]*.gob' | sort | head -n 1)") &&
        rm "$store/e9f85bf6/$file" && ln -s nowhere "$store/e9f85bf6/$file" &&
        json inspect 4 inspect "$store" e9f85bf6 "$file" &&
        jq_is ".document.loader_error == \"couldn't open file: open $store/e9f85bf6/$file: no such file or directory\""
}

same_with_one_thread() {
    fixture healthy-plain && runs 0 inspect -j1 "$store" contextd_memories && cp "$scratch/out" "$scratch/one" &&
        runs 0 inspect -j4 "$store" contextd_memories && diff "$scratch/one" "$scratch/out"
}

# ---- one document ----

document() {
    local id file
    fixture healthy-plain && runs 0 inspect "$store" contextd_memories --json && id=$(jq -r '.documents[3].id' "$scratch/out") &&
        file=$(jq -r '.documents[3].file' "$scratch/out") && jq -c '.documents[3]' "$scratch/out" >"$scratch/row" &&
        json inspect 0 inspect "$store" contextd_memories "$id" && cp "$scratch/out" "$scratch/by-id" &&
        jq_is ".document | {id, file, file_bytes, dimension, content_bytes} == ($(cat "$scratch/row") | {id, file, file_bytes, dimension, content_bytes})" &&
        jq_is '.document | (.content | utf8bytelength) == .content_bytes and .collection == "e9f85bf6" and (has("vector") | not)' &&
        json inspect 0 inspect "$store" e9f85bf6 "$file" && diff "$scratch/by-id" "$scratch/out" &&
        json inspect 0 inspect "$store" e9f85bf6 "${file%.gob}" && diff "$scratch/by-id" "$scratch/out"
}

# The offsets are where the bytes are.
offsets() {
    local id file off
    fixture healthy-plain && runs 0 inspect "$store" contextd_memories --json && id=$(jq -r '.documents[0].id' "$scratch/out") &&
        runs 0 inspect "$store" contextd_memories "$id" --json && file=$store/e9f85bf6/$(jq -r .document.file "$scratch/out") &&
        off=$(jq .document.id_offset "$scratch/out") && same "$id" "$(tail -c +$((off + 1)) "$file" | head -c ${#id})" &&
        off=$(jq .document.content_offset "$scratch/out") &&
        same "$(jq -r '.document.content[:20]' "$scratch/out")" "$(tail -c +$((off + 1)) "$file" | head -c 20)"
}

vector() {
    fixture healthy-plain && runs 0 inspect "$store" contextd_memories --json && id=$(jq -r '.documents[0].id' "$scratch/out") &&
        json inspect 0 inspect --vector "$store" contextd_memories "$id" &&
        jq_is '.document | (.vector | length) == .dimension and ((.vector | map(. * .) | add | sqrt) - .norm | fabs < 0.000001)'
}

misnamed_document() {
    fixture doc-name-mismatch && path=$(jq -r '.findings[0].path' "$scratch/doc-name-mismatch/expected.json") &&
        runs 0 inspect "$store" "${path%/*}" --json && id=$(jq -r ".documents[] | select(.file == \"${path#*/}\") | .id" "$scratch/out") &&
        json inspect 0 inspect "$store" "${path%/*}" "$id" && jq_is ".document.file == \"${path#*/}\""
}

# Bytes that are no text are all there, in hex beside the text.
odd_bytes() {
    local dir id
    fixture healthy-odd && : >"$scratch/hex" && runs 0 inspect "$store" --json && for dir in $(jq -r '.collections[].id' "$scratch/out"); do
        json inspect 0 inspect "$store" "$dir" && jq -r '.documents[].file' "$scratch/out" >"$scratch/files" || return
        while read -r file; do
            json inspect 0 inspect --vector "$store" "$dir" "$file" && jq -r '.document | select(.content_hex) | "\(.content_bytes) \(.content_hex)"' "$scratch/out" >>"$scratch/hex" &&
                runs 0 inspect --vector "$store" "$dir" "$file" && ! grep -q $'[\x01-\x08\x0b-\x1f\x7f]' "$scratch/out" || return
        done <"$scratch/files"
    done && [ -s "$scratch/hex" ] && while read -r bytes hex; do
        same $((bytes * 2)) ${#hex} || return
    done <"$scratch/hex"
}

no_such_document() {
    fixture healthy-plain && json error 8 inspect "$store" contextd_memories nosuch && err_has 'no document nosuch in e9f85bf6' &&
        json error 8 inspect "$store" nosuch && err_has 'no collection nosuch in the store' &&
        json error 8 inspect "$store" contextd_memories ../e9f85bf6/00000000.gob && json error 8 inspect "$store" ../store/e9f85bf6
}

missing_path() {
    cd "$scratch" && json error 8 inspect nowhere && [ ! -e nowhere ]
}

nothing_is_written() {
    fixture many-damages && unchanged runs 0 inspect "$store" && unchanged runs 4 inspect "$store" 748200f7 &&
        unchanged runs 0 inspect --timeline "$store"
}

# ---- exports ----

export_collections() {
    local file key
    printf 'fixture-key-of-exactly-32-bytes!' >"$scratch/key"
    for file in store.gob store.gob.gz store.gob.enc store.gob.gz.enc; do
        key=()
        [ "${file%.enc}" = "$file" ] || key=(--key-file "$scratch/key")
        json inspect 0 inspect "${key[@]}" "$data/exports/$file" &&
            jq_is "[.collections[] | {name, count: .documents}] | sort_by(.name) == $(jq -c '[.collections[] | {name, count}] | sort_by(.name)' "$data/exports/expected.json")" || return
    done
}

# An export says the same of a document as the store that it was made from.
export_document() {
    local id
    fixture healthy-plain && runs 0 inspect --json "$store" contextd_remediations && id=$(jq -r '.documents[0].id' "$scratch/out") &&
        jq -c '[.documents[] | {id, dimension, norm, content_bytes}] | sort_by(.id)' "$scratch/out" >"$scratch/store-list" &&
        jq -c '.collection.metadata | sort' "$scratch/out" >"$scratch/store-metadata" && [ "$(wc -c <"$scratch/store-metadata")" -gt 40 ] &&
        json inspect 0 inspect "$data/exports/store.gob" contextd_remediations &&
        jq -c '[.documents[] | {id, dimension, norm, content_bytes}] | sort_by(.id)' "$scratch/out" | diff "$scratch/store-list" - &&
        jq -c '.collection.metadata | sort' "$scratch/out" | diff "$scratch/store-metadata" - &&
        runs 0 inspect --vector --json "$store" contextd_remediations "$id" && jq -c '.document | {id, content, vector, metadata: (.metadata | sort)}' "$scratch/out" >"$scratch/one" &&
        json inspect 0 inspect --vector "$data/exports/store.gob" contextd_remediations "$id" &&
        jq -c '.document | {id, content, vector, metadata: (.metadata | sort)}' "$scratch/out" | diff "$scratch/one" -
}

export_missing() {
    json error 8 inspect "$data/exports/store.gob" nosuch && err_has 'no collection nosuch in this export' &&
        json error 8 inspect "$data/exports/store.gob" contextd_memories nosuch && err_has 'no document nosuch in collection contextd_memories' &&
        json error 16 inspect --timeline "$data/exports/store.gob"
}

# The document stays one, and says why there is nothing in it.
export_truncated() {
    json inspect 8 inspect "$data/exports-damaged/truncated.gob" &&
        jq_is '.error.status == 8 and .collections == [] and (.error.message | contains("truncated.gob: "))' &&
        json error 8 inspect "$data/exports-damaged/truncated.gob" contextd_memories
}

# ---- times ----

timeline() {
    fixture incident-missing-metadata && touch -d 2026-01-20T10:00:00Z "$store"/e9f85bf6/*.gob &&
        touch -d 2026-01-22T12:30:00Z "$(find "$store/e9f85bf6" -name '*.gob' | sort | head -n 1)" &&
        json inspect 0 inspect --timeline "$store" contextd_memories &&
        jq_is '.timelines | length == 1 and .[0].id == "e9f85bf6" and .[0].has_metadata == false and .[0].documents == 4' &&
        jq_is '.timelines[0] | .first == "2026-01-20T10:00:00.000000000Z" and .last == "2026-01-22T12:30:00.000000000Z"' &&
        jq_is '.timelines[0] | (.buckets | add) == 4 and .buckets[0] == 3 and .gap != "none"' &&
        runs 0 inspect --timeline "$store" e9f85bf6 && out_has '2026-01-20T10:00:00Z        3  ##############################' &&
        out_has '4 documents, written from 2026-01-20T10:00:00Z to 2026-01-22T12:30:00Z'
}

timeline_of_all() {
    fixture incident-missing-metadata && json inspect 0 inspect --timeline "$store" &&
        jq_is '.timelines | length == 22 and ([.[] | select(.gap != "none") | .id] == ["e9f85bf6"])' &&
        runs 0 inspect --timeline "$store" && same 23 "$(wc -l <"$scratch/out")" && same 21 "$(grep -c ' no$' "$scratch/out")"
}

timeline_of_a_document() {
    runs 16 inspect --timeline x y z && err_has 'name no document with it'
}

check "collections" collections
check "collections as text" collections_as_text
check "a collection without metadata" collection_without_metadata
check "a collection with bad metadata" collection_with_bad_metadata
check "a collection of another name" collection_of_another_name
check "a compressed store" compressed
check "documents" documents
check "documents are where they belong" documents_are_where_they_belong
check "norms" norms
check "what is not a number" not_a_number
check "documents of a collection without metadata" documents_without_metadata_file
check "a damaged document" damaged_document
check "a document that cannot be opened" document_not_there
check "threads change nothing" same_with_one_thread
check "one document" document
check "offsets" offsets
check "a vector" vector
check "a document under another name" misnamed_document
check "bytes that are no text" odd_bytes
check "what is not there" no_such_document
check "a path that is not there is not made" missing_path
check "nothing is written" nothing_is_written
check "exports" export_collections
check "an export says what the store says" export_document
check "what is not in an export" export_missing
check "a damaged export" export_truncated
check "timeline" timeline
check "timeline of all collections" timeline_of_all
check "timeline takes no document" timeline_of_a_document
finish_cli
