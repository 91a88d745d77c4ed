#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A store as one file: Go's own decoder reads what was written, whatever its form, and finds the same store in it.
# Archives of the older tool, both ways, and those that are refused. Arguments: vsctl, gobcheck.
set -u
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
gobcheck=${2:?}
store=$scratch/store
id=snapshot_20260122_140309

# Three batches of the older tool, and a collection of one document.
fresh() {
    rm -rf "$store" "$scratch"/out-*
    cp -a "$source/tests/data/chromem/healthy-example/store" "$store"
    PYTHONPATH=$source/tests/kit "$python" -c '
import sys, chromemstore as c
c.write_collection(sys.argv[1], "notes")' "$store" &&
        "$python" "$source/tests/kit/chromemstore.py" "$store" many 0 250 16
}

digest_of() {
    "$gobcheck" "$@" 2>"$scratch/go-says" | jq -r .db_digest
}

as_the_library() {
    local want
    fresh && want=$(digest_of digest "$store") && [ ${#want} -eq 64 ] || return
    json export 0 export "$store" "$scratch/out-a.gob" && jq_is '.documents == 251 and .packed == false and .encrypted == false' &&
        same "$want" "$(digest_of export "$scratch/out-a.gob")" &&
        same "$(jq -r .sha256 "$scratch/out")" "$(sha256sum <"$scratch/out-a.gob" | cut -d ' ' -f 1)" &&
        json export 0 export --gzip "$store" "$scratch/out-a.gob.gz" && jq_is .packed && gzip -t "$scratch/out-a.gob.gz" &&
        same "$want" "$(digest_of export "$scratch/out-a.gob.gz")" && runs 0 verify "$scratch/out-a.gob.gz"
}

encrypted() {
    local want
    fresh && printf %s "a key of thirty-two plain bytes!" >"$scratch/key" && want=$(digest_of digest "$store") || return
    json export 0 export --key-file "$scratch/key" "$store" "$scratch/out-a.enc" && jq_is .encrypted &&
        same "$want" "$(digest_of export "$scratch/out-a.enc" --key "$(cat "$scratch/key")")" &&
        runs 0 export --gzip --key-file "$scratch/key" "$store" "$scratch/out-b.enc" &&
        same "$want" "$(digest_of export "$scratch/out-b.enc" --key "$(cat "$scratch/key")")" &&
        runs 0 verify --key-file "$scratch/key" "$scratch/out-b.enc" &&
        runs 0 export --key-file "$scratch/key" "$store" "$scratch/out-c.enc" && ! cmp -s "$scratch/out-a.enc" "$scratch/out-c.enc" &&
        head -c 31 "$scratch/key" >"$scratch/short" && runs 16 export --key-file "$scratch/short" "$store" "$scratch/out-d.enc" &&
        [ ! -e "$scratch/out-d.enc" ]
}

# The whole is there, or nothing, and what is there is not replaced unasked.
nothing_is_replaced() {
    fresh && echo mine >"$scratch/out-a.gob" && runs 8 export "$store" "$scratch/out-a.gob" && err_has "--force" &&
        same mine "$(cat "$scratch/out-a.gob")" && runs 0 export --force "$store" "$scratch/out-a.gob" &&
        runs 0 verify "$scratch/out-a.gob" && runs 16 export "$store" "$store/inside.gob" && [ ! -e "$store/inside.gob" ] &&
        runs 8 export "$store" "$scratch/no/such/place.gob" && same "" "$(find "$scratch" -name '.*vsctl-part')"
}

a_store_that_does_not_load() {
    fresh && rm "$store/ab5aa970/00000000.gob" && runs 8 export "$store" "$scratch/out-a.gob" && err_has "vsctl verify" &&
        err_has ab5aa970 && [ ! -e "$scratch/out-a.gob" ]
}

# ---- the older tool's ----

archive() {
    runs 0 export --as collections-json "$store" "$scratch/out-dir/$id.tar.gz"
}

as_the_older_tool() {
    fresh && mkdir "$scratch/out-dir" && archive && tar -xzf "$scratch/out-dir/$id.tar.gz" -C "$scratch/out-dir" &&
        jq -e '(.many | keys) == ["batch_000000", "batch_000001", "batch_000002"] and (.many.batch_000000 | length) == 100
            and (.many.batch_000002 | length) == 50 and .many.batch_000000[0].metadata.n != null
            and ([.many[][] | .embedding | length] | unique) == [16] and ([.many[][].id] | unique | length) == 250' \
            "$scratch/out-dir/$id/collections.json" >"$scratch/jq" &&
        jq -e '.total_chunks == 251 and .collections_count == 2' "$scratch/out-dir/$id/metadata.json" >"$scratch/jq" &&
        same "$(jq -r .checksum_sha256 "$scratch/out-dir/manifests/$id.json")" "$(sha256sum <"$scratch/out-dir/$id.tar.gz" | cut -d ' ' -f 1)"
}

# The ratio is that of the archive to what is in it, and no more.
the_true_ratio() {
    local raw packed
    fresh && mkdir "$scratch/out-dir" && archive || return
    raw=$(tar -xOzf "$scratch/out-dir/$id.tar.gz" | wc -c) packed=$(stat -c %s "$scratch/out-dir/$id.tar.gz")
    jq -e --argjson raw "$raw" --argjson packed "$packed" \
        '(.compression_ratio - (1 - $packed / $raw) * 100 | fabs) < 0.01 and .compression_ratio > 50' \
        "$scratch/out-dir/manifests/$id.json" >"$scratch/jq"
}

# Listed and verified like one that the older tool made.
it_is_one_of_the_older_tools() {
    fresh && mkdir "$scratch/out-dir" && archive &&
        runs 0 snapshot verify --state "$scratch/out-dir" "$store" && json snapshot 0 snapshot list --state "$scratch/out-dir" "$store" &&
        jq_is '.snapshots[0].state == "of the older tool" and .snapshots[0].documents == 251'
}

there_and_back() {
    local want
    fresh && want=$(digest_of digest "$store") && mkdir "$scratch/out-dir" && archive &&
        json export 0 export "$scratch/out-dir/$id.tar.gz" "$scratch/out-a.gob" && jq_is '.documents == 251 and .store.kind == "older-archive"' &&
        same "$want" "$(digest_of export "$scratch/out-a.gob")"
}

# make_archive COLLECTIONS METADATA: an archive with these two members.
make_archive() {
    rm -rf "$scratch/out-made" && mkdir -p "$scratch/out-made/$id" && printf '%s' "$1" >"$scratch/out-made/$id/collections.json" &&
        printf '%s' "$2" >"$scratch/out-made/$id/metadata.json" && tar -C "$scratch/out-made" -czf "$scratch/$id.tar.gz" "$id"
}

refused() {
    local status=$1 text=$2
    shift 2
    rm -f "$scratch/out-a.gob"
    runs "$status" export "$@" "$scratch/$id.tar.gz" "$scratch/out-a.gob" && err_has "$text" && [ ! -e "$scratch/out-a.gob" ]
}

empty_embeddings() {
    make_archive '{"notes":{"batch_000000":[{"id":"a","text":"b","embedding":[],"metadata":null},{"id":"c","text":"d","embedding":[1,0]}]}}' \
        '{"collections_count":1,"total_chunks":2}' && refused 8 "1 of 2 documents have no embedding" &&
        json export 0 export --allow-missing-embeddings "$scratch/$id.tar.gz" "$scratch/out-a.gob" &&
        jq_is '.missing_embeddings == 1 and .documents == 2' && rm "$scratch/out-a.gob"
}

# Chroma keeps vectors of any length, and values that are no text.
values_of_chroma() {
    make_archive '{"notes":{"batch_000000":[{"id":"a","text":"b","embedding":[3,4],"metadata":{"n":7,"x":0.5,"t":true,"s":"text","z":null}}]}}' \
        '{"collections_count":1,"total_chunks":1}' && runs 0 export --force "$scratch/$id.tar.gz" "$scratch/out-a.gob" &&
        json inspect 0 inspect "$scratch/out-a.gob" notes a &&
        jq_is '(.document.metadata | from_entries) == {"n":"7","x":"0.5","t":"true","s":"text"} and (.document.norm - 1 | fabs) < 1e-6' &&
        "$gobcheck" export "$scratch/out-a.gob" >"$scratch/go" && grep -q '"ok": true' "$scratch/go" && rm "$scratch/out-a.gob"
}

out_of_the_directory() {
    make_archive '{}' '{}' && (cd "$scratch/out-made/$id" && tar -P -czf "$scratch/$id.tar.gz" "../$id/collections.json" "../../out-made/$id/metadata.json") &&
        refused 8 "does not stay in" && make_archive '{}' '{}' && ln -sf /etc/passwd "$scratch/out-made/$id/metadata.json" &&
        tar -C "$scratch/out-made" -czf "$scratch/$id.tar.gz" "$id" && refused 8 "not a regular file"
}

what_does_not_fit() {
    make_archive '{"notes":{"batch_000000":[{"id":"a","text":"b","embedding":[1]}]}}' '{"total_chunks":2}' && refused 8 "says 2 documents" &&
        make_archive '{"notes":{"batch_000000":[{"id":"a","text":"b","embedding":[1]}' '{}' && refused 8 "collections.json" &&
        make_archive '{"notes":{"batch_000000":[{"text":"b","embedding":[1]}]}}' '{}' && refused 8 "no id" &&
        make_archive '{"notes":{"batch_000000":[{"id":"a","embedding":["x"]}]}}' '{}' && refused 8 "no float" &&
        make_archive '{"notes":{"batch_000000":[{"id":"a","embedding":[1e300]}]}}' '{}' && refused 8 "no float" &&
        make_archive '{"notes":{"batch_000000":[{"id":"a","embedding":[1],"metadata":{"k":[1]}}]}}' '{}' && refused 8 "plain values" &&
        make_archive '{"notes":[]}' '{}' && refused 8 "batches" && make_archive '{"":{}}' '{}' && refused 8 "name" &&
        make_archive '[]' '{}' && refused 8 "not an object" &&
        make_archive '{}' '{}' && tar -C "$scratch/out-made" -czf "$scratch/$id.tar.gz" "$id/collections.json" && refused 8 "metadata.json" &&
        cp "$scratch/$id.tar.gz" "$scratch/a b.tar.gz" && runs 16 export "$scratch/a b.tar.gz" "$scratch/out-a.gob" &&
        head -c 60 "$scratch/$id.tar.gz" >"$scratch/out-cut" && mv "$scratch/out-cut" "$scratch/$id.tar.gz" && refused 8 "$id.tar.gz"
}

no_json_for_these_bytes() {
    fresh && mkdir "$scratch/out-dir" && "$python" - "$store/ab5aa970/ea503d89.gob" <<'PYTHON' &&
import sys
with open(sys.argv[1], "rb") as f:
    data = f.read()
end = len(data) - 3
with open(sys.argv[1], "wb") as f:
    f.write(data[:end] + b"\xff" + data[end + 1:])
PYTHON
        runs 8 export --as collections-json "$store" "$scratch/out-dir/$id.tar.gz" && err_has "UTF-8" &&
        same "" "$(find "$scratch/out-dir" -type f)"
}

odd_requests() {
    fresh && runs 16 export --as collections-json --gzip "$store" "$scratch/$id.tar.gz" && err_has "--gzip" &&
        runs 16 export --as collections-json "$store" "$scratch/out-a.gob" && err_has "ID.tar.gz" && [ ! -e "$scratch/out-a.gob" ] &&
        runs 16 export "$store" && runs 8 export "$scratch/none" "$scratch/out-a.gob" && runs 0 export --help && out_has "collections-json"
}

check "as the library exports it" as_the_library
check "encrypted" encrypted
check "nothing is replaced unasked" nothing_is_replaced
check "a store that does not load" a_store_that_does_not_load
check "as the older tool archives it" as_the_older_tool
check "the true ratio" the_true_ratio
check "an archive like the older tool's" it_is_one_of_the_older_tools
check "there and back" there_and_back
check "empty embeddings" empty_embeddings
check "values of Chroma" values_of_chroma
check "members out of the directory" out_of_the_directory
check "archives that do not fit" what_does_not_fit
check "bytes that JSON cannot hold" no_json_for_these_bytes
check "odd requests" odd_requests
finish_cli
