#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# search: the exact answer against brute force over the vectors that were written, in stores of both kinds and of all
# releases; the index beside it; and what cannot be compared.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"
truth=$data/base-truth.json

given() {
    store=$stores/$1
}

# brute COLLECTION SPACE, with the vectors on standard input.
brute() {
    "$python" "$source/tests/cli/brute-force.py" "$vsctl" "$store" "$@"
}

chroma_as_written() {
    local name
    given base
    for name in docs notes fresh; do
        jq -c ".$name.recs | map_values(.e)" "$truth" | unchanged brute "$name" "$(jq -r ".$name.space" "$truth")" || return
    done
}

every_release() {
    local name
    for name in base healthy-1.0 healthy-1.3 legacy-0.4.14 legacy-0.6.3; do
        given $name
        "$python" "$source/tests/cli/brute-force.py" "$vsctl" "$store" || { echo "$name" && return 1; }
    done
}

with_a_journal() {
    given hot-journal && mkdir "$scratch/copies" && TMPDIR=$scratch/copies unchanged json search 0 search --id doc-32 "$store" docs &&
        jq_is '.compared == 38 and .index.recall == 1' && rmdir "$scratch/copies"
}

chromem_as_written() {
    store=$scratch/written
    PYTHONPATH=$source/tests/kit "$python" - "$store" >"$scratch/vectors" <<'PYTHON' || return
import json, math, random, struct, sys, chromemstore as c
random.seed(5)
vectors = {}
import os
os.makedirs(sys.argv[1], exist_ok=True)
c.write_collection(sys.argv[1], "written")
for i in range(120):
    v = [random.gauss(0, 1) for _ in range(17)]
    n = math.sqrt(sum(x * x for x in v))
    v = [struct.unpack("<f", struct.pack("<f", x / n))[0] for x in v]
    c.write_document(sys.argv[1], "written", f"d{i}", f"text {i}", v)
    vectors[f"d{i}"] = v
print(json.dumps(vectors))
PYTHON
    unchanged brute written similarity <"$scratch/vectors"
}

# Every collection of healthy stores answers; some against brute force.
chromem_fixtures() {
    local name id
    for name in healthy-example healthy-gz healthy-plain; do
        store=$source/tests/data/chromem/$name/store
        id=$("$vsctl" inspect --json "$store" | jq -r '[.collections[] | select(.documents > 1)][0].id') || return
        "$vsctl" inspect --json "$store" "$id" | jq -r '.documents[].id' | while read -r name; do
            "$vsctl" inspect --json --vector "$store" "$id" "$name" | jq -c '.document | {key: .id, value: .vector}'
        done | jq -sc from_entries >"$scratch/vectors"
        brute "$id" similarity <"$scratch/vectors" || { echo "$store $id" && return 1; }
    done
    store=$source/tests/data/chromem/healthy-contextd/store
    "$vsctl" inspect --json "$store" | jq -r '.collections[] | select(.documents > 0) | .id' >"$scratch/collections"
    while read -r id; do
        name=$("$vsctl" inspect --json "$store" "$id" | jq -r '.documents[0].id') &&
            runs 0 search --json -k 1 --id "$name" "$store" "$id" && jq_is ".results[0].id == \"$name\" and .results[0].score > 0.999" || return
    done <"$scratch/collections"
}

as_text() {
    given base && runs 0 search -k 5 --id doc-32 "$store" docs && first_line "5 nearest of 38 vectors in docs (cosine, 12 dimensions)" &&
        out_has "   1  0.000000         1  queue  doc-32  Ωmega vector straße" &&
        last_line "through the index: 5 found among 100 candidates, recall 1.00" &&
        runs 0 search -k 5 --exact --id doc-32 "$store" docs && out_lacks "by index" && out_lacks "through the index" &&
        fixture healthy-contextd && name=$("$vsctl" inspect --json "$store" contextd_memories | jq -r '.documents[0].id') &&
        runs 0 search -k 2 --id "$name" "$store" contextd_memories && out_has "   1    1.000000  $name" &&
        json search 0 search -k 2 --id "$name" "$store" e9f85bf6 && jq_is '.collection.name == "contextd_memories" and .index == null and .results[0].source == "file"'
}

# The record is found as it is now, not as the index still has it.
newer_in_the_queue() {
    given base && jq -c '.docs.recs["doc-3"].e' "$truth" >"$scratch/v" && json search 0 search -k 1 --vector "$scratch/v" "$store" docs &&
        jq_is '.results == [.results[0]] and .results[0].id == "doc-3" and .results[0].source == "queue" and .results[0].score < 0.00001'
}

wrong_vector() {
    given base
    echo '[1, 2]' >"$scratch/v" && json error 16 search --vector "$scratch/v" "$store" docs && err_has 'the vector has 2 values, and those of collection docs have 12' &&
        echo '[1, "2"]' >"$scratch/v" && json error 16 search --vector "$scratch/v" "$store" docs && err_has 'element 1 is not a number' &&
        echo '[1, 1e300]' >"$scratch/v" && json error 16 search --vector "$scratch/v" "$store" docs && err_has 'element 1 is larger than' &&
        echo '[' >"$scratch/v" && json error 16 search --vector "$scratch/v" "$store" docs && err_has 'not JSON: ' &&
        echo '{"a": 1}' >"$scratch/v" && json error 16 search --vector "$scratch/v" "$store" docs && err_has 'not an array of numbers' &&
        : >"$scratch/v" && json error 16 search --vector "$scratch/v" "$store" docs && err_has 'there are no bytes' &&
        printf '\0\0\300\177\0\0\0\0' >"$scratch/v" && json error 16 search --vector "$scratch/v" "$store" docs && err_has 'element 0, at offset 0, is not a number' &&
        printf '\0\0\200\377' >"$scratch/v" && json error 16 search --vector "$scratch/v" "$store" docs && err_has 'is infinite' &&
        printf '\0\0\0' >"$scratch/v" && json error 16 search --vector "$scratch/v" "$store" docs && err_has '3 bytes are no whole number' &&
        json error 8 search --vector "$scratch/absent" "$store" docs && mkfifo "$scratch/pipe" &&
        json error 16 search --vector "$scratch/pipe" "$store" docs && err_has '--vector -' &&
        fixture healthy-plain && name=$("$vsctl" inspect --json "$store" | jq -r '.collections[] | select(.documents > 0) | .id' | head -n 1) &&
        echo '[0, 0]' >"$scratch/v" && json error 16 search --vector "$scratch/v" "$store" "$name" && err_has 'no direction' &&
        echo '[1, 0]' >"$scratch/v" && json error 16 search --vector "$scratch/v" "$store" "$name" && err_has 'the vector has 2 values, and those of'
}

not_there() {
    given base && json error 16 search --id doc-1 "$store" dcs && err_has 'no collection dcs; did you mean docs?' &&
        json error 16 search --id doc-1 "$store" elsewhere && err_has 'vsctl inspect lists the 3 that there are' &&
        json error 16 search --id doc-999 "$store" docs && err_has 'no record doc-999 in collection docs' &&
        json error 16 search "$store" docs && err_has 'either --id ID or --vector FILE' &&
        json error 16 search --id a --vector b "$store" docs && json error 16 search -k 1001 --id doc-1 "$store" docs &&
        fixture healthy-contextd && json error 16 search --id x "$store" contextd_memory && err_has 'did you mean contextd_memories' &&
        json error 16 search --id x "$store" contextd_memories && err_has 'no document x in collection contextd_memories' &&
        mkdir -p "$scratch/empty" && json error 16 search --id x "$scratch/empty" any && err_has 'the store is empty' &&
        json error 8 search --id x "$scratch/absent" any &&
        given healthy-1.3 && json error 16 search --id t0 "$store" tiny-l2-d3 && err_has 'two collections are named tiny-l2-d3; give an id'
}

damaged() {
    given header-entry-damage && json search 4 search --id doc-0 "$store" docs && jq_is '.index.recall < 0.8 and (.results | length == 10)' &&
        jq_is 'any(.gaps[]; .kind == "index" and (.first | contains("77777")))' && runs 4 search --id doc-0 "$store" docs &&
        last_line "next: vsctl verify --level deep $store" &&
        given data-level0-truncated && json search 4 search --id doc-0 "$store" docs && jq_is 'any(.gaps[]; .kind == "without_vector" and .count == 14)' &&
        given header-count-huge && json search 4 search --id doc-0 "$store" docs && jq_is '.compared == 38' &&
        given queue-emptied && json search 4 search --id doc-0 "$store" docs && jq_is 'any(.gaps[]; .kind == "without_record" and .count == 2)' &&
        given two-writers && json search 4 search -k 1 --id "$("$vsctl" inspect --json "$store" | jq -r '.collections[0].id' | xargs "$vsctl" inspect --json "$store" | jq -r '.documents[0].id')" \
        "$store" "$("$vsctl" inspect --json "$store" | jq -r '.collections[0].id')" &&
        given dimension-mismatch && json search 4 search --id doc-0 "$store" docs && jq_is 'any(.gaps[]; .first | contains("is said to have 16"))' &&
        given pickle-missing && json error 8 search --id doc-0 "$store" docs && err_has 'neither index nor queue has the vector of doc-0' &&
        fixture doc-truncated && runs 4 verify --json "$store" && id=$(jq -r '.findings[0].collection' "$scratch/out") &&
        "$vsctl" inspect --json "$store" "$id" >"$scratch/list" || [ $? = 4 ] &&
        json search 4 search --id "$(jq -r '[.documents[] | select(.fault == null)][0].id' "$scratch/list")" "$store" "$id" &&
        jq_is '.gaps[0].kind == "unreadable" and .gaps[0].count == 1'
}

# Rows that no server writes, ids that are longer than lines, and text that would steer a terminal.
hostile() {
    changed "UPDATE embeddings_queue SET vector = x'0000' WHERE id = 'doc-33'; UPDATE embeddings_queue SET encoding = 'INT32' WHERE id = 'doc-36';
        UPDATE embedding_metadata SET string_value = char(27) || '[31m' || string_value WHERE key = 'chroma:document'" &&
        json search 4 search -k 38 --id doc-0 "$store" docs && jq_is '.compared < 38 and any(.gaps[]; .kind == "without_vector" and .count >= 2)' &&
        runs 4 search --id doc-0 "$store" docs && ! grep -q $'\033' "$scratch/out" && out_has '\x1b[31m' &&
        changed "UPDATE embeddings_queue SET vector = x'0000c07f' WHERE id = 'f0'" && json search 4 search --id f1 "$store" fresh &&
        jq_is 'any(.gaps[]; .first | contains("not finite"))' &&
        changed "UPDATE segments SET id = '../../../' || id WHERE scope = 'VECTOR'" && json search 4 search --id doc-32 "$store" docs
}

help_is_there() {
    runs 0 search --help && out_has "--vector-format" && out_has "nearest neighbours"
}

check "Chroma: what was written" chroma_as_written
check "Chroma: every release" every_release
check "a store with a journal" with_a_journal
check "chromem: what was written" chromem_as_written
check "chromem: fixtures" chromem_fixtures
check "as text" as_text
check "newer in the queue than in the index" newer_in_the_queue
check "a vector that is none, or of another dimension" wrong_vector
check "what is not there" not_there
check "damaged stores" damaged
check "hostile rows" hostile
check "help" help_is_there
finish_cli
