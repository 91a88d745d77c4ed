#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# `restore --from-archive`: a store out of an archive of the older tool or an export of the library, and Go finds in it
# what was in the file. Killed runs go on; memory does not grow with the file. Arguments: vsctl, gobcheck.
set -u
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
gobcheck=${2:?}
store=$scratch/store
new=$scratch/new/store
id=snapshot_20260122_140309

fresh() {
    rm -rf "$store" "$scratch/new" "$scratch"/file* "$scratch/$id.tar.gz" && mkdir "$scratch/new" &&
        cp -a "$source/tests/data/chromem/healthy-example/store" "$store" &&
        PYTHONPATH=$source/tests/kit "$python" -c '
import sys, chromemstore as c
c.write_collection(sys.argv[1], "notes")' "$store" &&
        "$python" "$source/tests/kit/chromemstore.py" "$store" many 0 250 16
}

digest_of() {
    "$gobcheck" "$@" 2>"$scratch/go-says" | jq -r .db_digest
}

# from FILE OPTION...: restored to $new, and Go finds the same content in it.
from() {
    local want
    want=$(digest_of digest "$store") && [ ${#want} -eq 64 ] || return
    json restore 0 restore --from-archive "$@" "$new" && jq_is '.outcome == "restored" and .documents == 251 and .loadable == "yes"' &&
        same "$want" "$(digest_of digest "$new")" && runs 0 verify "$new" && same "" "$(find "$scratch/new" -name '.*')" &&
        rm -rf "$scratch/new" && mkdir "$scratch/new"
}

from_an_archive() {
    fresh && runs 0 export --as collections-json "$store" "$scratch/$id.tar.gz" && from "$scratch/$id.tar.gz" &&
        gunzip "$scratch/$id.tar.gz" && from "$scratch/$id.tar"
}

from_an_export() {
    fresh && printf %s "a key of thirty-two plain bytes!" >"$scratch/key" && runs 0 export "$store" "$scratch/file.gob" &&
        from "$scratch/file.gob" && runs 0 export --gzip --key-file "$scratch/key" "$store" "$scratch/file.gob.gz.enc" &&
        from "$scratch/file.gob.gz.enc" --key-file "$scratch/key" &&
        runs 8 restore --from-archive "$scratch/file.gob.gz.enc" "$new" && [ ! -e "$new" ]
}

packed() {
    fresh && runs 0 export "$store" "$scratch/file.gob" && runs 0 restore --gzip --from-archive "$scratch/file.gob" "$new" &&
        same "" "$(find "$new" -type f ! -name '*.gob.gz')" && runs 0 verify "$new" &&
        same "$(digest_of digest "$store")" "$(digest_of digest "$new" --compress)"
}

into_an_empty_directory() {
    fresh && runs 0 export "$store" "$scratch/file.gob" && mkdir -m 750 "$new" && runs 0 restore --from-archive "$scratch/file.gob" "$new" &&
        first_line "done: $new is a store of 251 documents (253 files written now; loads: yes)" && last_line "next: vsctl verify $new" &&
        same 750 "$(stat -c %a "$new")" && runs 16 restore --from-archive "$scratch/file.gob" "$new" && err_has "is not empty"
}

a_dry_run() {
    fresh && runs 0 export "$store" "$scratch/file.gob" && json restore 0 restore -n --from-archive "$scratch/file.gob" "$new" &&
        jq_is '.outcome == "dry-run" and .documents == 251' && [ ! -e "$new" ] && same "" "$(find "$scratch/new" -name '.*')" &&
        runs 0 restore -n --from-archive "$scratch/file.gob" "$new" && first_line "dry run: $new would become a store of 251 documents"
}

make_archive() {
    rm -rf "$scratch/made" && mkdir -p "$scratch/made/$id" && printf '%s' "$1" >"$scratch/made/$id/collections.json" &&
        printf '{}' >"$scratch/made/$id/metadata.json" && tar -C "$scratch/made" -czf "$scratch/$id.tar.gz" "$id"
}

without_embeddings() {
    fresh && make_archive '{"notes":{"batch_000000":[{"id":"a","text":"b","embedding":[]},{"id":"c","text":"d","embedding":[1,0]}]}}' &&
        runs 8 restore --from-archive "$scratch/$id.tar.gz" "$new" && err_has "--allow-missing-embeddings" && [ ! -e "$new" ] &&
        runs 0 restore --allow-missing-embeddings --from-archive "$scratch/$id.tar.gz" "$new" && out_has "1 documents have no embedding" &&
        runs 0 inspect "$new" notes a
}

# SHA-256 of both begins with 6ca13d52: one file, of which the library would keep the second only.
two_ids_in_one_file() {
    local pair
    fresh && pair=$("$python" - <<'PYTHON'
import hashlib
seen = {}
n = 0
while True:
    name = "id-%d" % n
    head = hashlib.sha256(name.encode()).hexdigest()[:8]
    if head in seen:
        print(seen[head], name)
        break
    seen[head] = name
    n += 1
PYTHON
    ) && make_archive "{\"notes\":{\"batch_000000\":[{\"id\":\"${pair% *}\",\"embedding\":[1,0]},{\"id\":\"${pair#* }\",\"embedding\":[0,1]}]}}" &&
        runs 8 restore --from-archive "$scratch/$id.tar.gz" "$new" && err_has "cannot hold" && err_has "${pair% *}" && [ ! -e "$new" ]
}

# Documents that are many times what fits into one batch, with a strange name among the collections.
large() {
    "$python" - "$scratch" "$id" "$1" <<'PYTHON'
import json, os, random, sys, tarfile
scratch, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.seed(7)
os.makedirs(f"{scratch}/made/{name}", exist_ok=True)
docs = [{"id": f"d-{i}", "text": f"text {i} \\ \" }}]] é", "metadata": {"n": i},
         "embedding": [round(random.uniform(-1, 1), 6) for _ in range(96)]} for i in range(count)]
batches = {f"batch_{b:06d}": docs[b * 100:b * 100 + 100] for b in range((count + 99) // 100)}
with open(f"{scratch}/made/{name}/collections.json", "w") as f:
    json.dump({"a \"quoted\" name": batches, "empty": {}}, f, ensure_ascii=False)
with open(f"{scratch}/made/{name}/metadata.json", "w") as f:
    json.dump({"total_chunks": count, "collections_count": 2}, f)
with tarfile.open(f"{scratch}/{name}.tar.gz", "w:gz", compresslevel=1) as t:
    t.add(f"{scratch}/made/{name}", name)
PYTHON
}

# Killed again and again, each time a little later: nothing is under the name until all of it is, and what was
# written once is not written again.
a_killed_run_goes_on() {
    local delay kills=0 begun=0 written
    fresh && large 4000 || return
    for delay in 0.05 0.1 0.2 0.3 0.4 0.6 0.8 1 1.5 2 3; do
        timeout -s KILL $delay "$vsctl" restore --from-archive "$scratch/$id.tar.gz" "$new" >"$scratch/out" 2>"$scratch/err" && break
        [ ! -e "$new" ] || return
        kills=$((kills + 1))
        [ -z "$(find "$scratch/new" -maxdepth 1 -name '.store.vsctl-restore-*')" ] || begun=$((begun + 1))
        [ $begun -lt 2 ] || break
    done
    echo "killed $kills times, $begun of them while it wrote"
    [ $begun -gt 0 ] && written=$(find "$scratch/new" -name '*.gob' | wc -l) && echo "$written files were there" && [ "$written" -gt 0 ] &&
        json restore 0 restore --from-archive "$scratch/$id.tar.gz" "$new" &&
        jq_is ".documents == 4000 and .files <= 4002 - $written + 1" && same "" "$(find "$scratch/new" -maxdepth 1 -name '.store.*')" &&
        runs 0 verify --level deep "$new" && "$gobcheck" digest "$new" >"$scratch/go" && jq -e '.document_count == 4000' "$scratch/go" >"$scratch/jq" &&
        runs 0 restore --from-archive "$scratch/$id.tar.gz" "$scratch/new/other" &&
        same "$(digest_of digest "$new")" "$(digest_of digest "$scratch/new/other")"
}

# A sanitizer keeps what was freed, to tell when it is used again: here it must not.
peak_of() {
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:quarantine_size_mb=0:thread_local_quarantine_size_kb=0 "$python" -c '
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$vsctl" restore --from-archive "$scratch/$id.tar.gz" "$1"
}

# Ten times the documents, and not half as much memory more.
memory_is_bounded() {
    local small large
    fresh && large 600 && small=$(peak_of "$scratch/new/small") && large 6000 && large=$(peak_of "$scratch/new/large") &&
        echo "600 documents: $small KiB; 6000: $large KiB" && [ "$large" -lt $((small * 3 / 2)) ]
}

odd_requests() {
    fresh && runs 0 export "$store" "$scratch/file.gob" && runs 16 restore --from-archive "$scratch/file.gob" "$new" some-id &&
        runs 16 restore --from-archive "$scratch/file.gob" --latest-good "$new" && runs 16 restore --gzip "$new" some-id && err_has "--from-archive" &&
        runs 8 restore --from-archive "$scratch/none.gob" "$new" && head -c 100 "$scratch/file.gob" >"$scratch/file-cut.gob" &&
        runs 8 restore --from-archive "$scratch/file-cut.gob" "$new" && err_has "offset" && [ ! -e "$new" ]
}

check "an archive of the older tool" from_an_archive
check "an export of the library, encrypted too" from_an_export
check "a packed store" packed
check "into an empty directory" into_an_empty_directory
check "a dry run" a_dry_run
check "documents without embeddings" without_embeddings
check "two ids in one file" two_ids_in_one_file
check "a killed run goes on" a_killed_run_goes_on
check "memory is bounded" memory_is_bounded
check "odd requests" odd_requests
finish_cli
