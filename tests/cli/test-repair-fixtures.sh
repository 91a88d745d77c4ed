#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every shipped store is repaired. Afterwards Go's own decoder reads all of it, every document that it could decode
# before is still there (in the store or in quarantine), a second repair finds nothing to do, and undo gives the
# identical tree back. Arguments: vsctl, gobcheck.
set -u
# In memory where that is to be had: everything below is synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
gobcheck=${2:?}
fixtures=$source/tests/data/chromem

# Names, kinds, modes, link targets and contents of everything in a directory.
tree_of() {
    (cd "$1" && find . -printf '%P %y %m %l\n' | LC_ALL=C sort &&
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum) | sha256sum
}

# Digests of the document files that Go can decode.
documents_of() {
    # shellcheck disable=SC2046
    "$gobcheck" dir "$1" $(setting_of "$1") | jq -j '.files[] | select(.kind == "document" and (.error | not)) | .path + "\u0000"' |
        (cd "$1" && xargs -0 -r sha256sum) | cut -c 1-64 | LC_ALL=C sort -u
}

# Digests of all files, those in quarantine too: what is set aside stays as it is.
files_of() {
    find -L "$1" -type f -print0 | xargs -0 -r sha256sum | cut -c 1-64 | LC_ALL=C sort -u
}

# The stores below are opened with the setting that most of their files have.
setting_of() {
    local plain gzip
    plain=$(find "$1" -mindepth 2 -maxdepth 2 -name '*.gob' | wc -l)
    gzip=$(find "$1" -mindepth 2 -maxdepth 2 -name '*.gob.gz' | wc -l)
    [ "$gzip" -gt "$plain" ] && echo --compress
}

loads() {
    # shellcheck disable=SC2046
    "$gobcheck" dir "$1" $(setting_of "$1") >"$scratch/go.json" || {
        jq -r .error "$scratch/go.json"
        return 1
    }
}

repaired() {
    local store=$1/store before documents status undo
    cp -a "$fixtures/$2" "$1" && chmod -R u+rwX "$1" || return
    [ ! -f "$1/setup.sh" ] || (cd "$1" && sh setup.sh) || return
    before=$(tree_of "$store")
    documents_of "$store" >"$scratch/before"
    "$vsctl" repair --yes --json "$store" >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    case $status in 0 | 1 | 4) ;; *) show && return 1 ;; esac
    cp "$scratch/out" "$scratch/first"
    loads "$store" || { show && return 1; }
    files_of "$store" >"$scratch/after"
    # A document that was mended is another file now; the plan says which.
    documents=$(LC_ALL=C comm -23 "$scratch/before" "$scratch/after" | wc -l)
    mended=$(jq '[.plan[] | select(.action == "rewrite-document")] | length' "$scratch/first")
    [ "$documents" -le "$mended" ] || { echo "$documents documents are gone" && show && return 1; }
    "$vsctl" repair --yes --json "$store" >"$scratch/out" 2>"$scratch/err" </dev/null
    jq_is '.applied == false and .outcome == "nothing-to-do"' || return
    undo=$(jq -r .applied "$scratch/first")
    if [ "$undo" = true ]; then
        "$vsctl" undo --yes "$store" >"$scratch/out" 2>"$scratch/err" </dev/null || { show && return 1; }
        same "$before" "$(tree_of "$store")" || return
    fi
}

for fixture in "$fixtures"/*/store; do
    name=$(basename "$(dirname "$fixture")")
    case $name in exports*) continue ;; esac
    check "repaired, complete, repaired once, undone: $name" repaired "$scratch/$name" "$name"
    chmod -R u+rwX "$scratch/$name" && rm -rf "${scratch:?}/$name" "${scratch:?}/$name.vsctl"
done
finish
