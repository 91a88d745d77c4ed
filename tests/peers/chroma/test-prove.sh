#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-prove.sh VSCTL: the real Chroma server has the last word about a repair, by --prove
#
# What it can serve stays, and what it cannot is taken back. REAL_CHROMA names where scripts/real-chroma has installed
# its servers; without it there is nothing to test with and the test is skipped.
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
vsctl=$(realpath "$1")
if [ -z "${REAL_CHROMA:-}" ] || [ ! -e "$REAL_CHROMA/1.3.4/complete" ] || [ ! -e "$REAL_CHROMA/trixie.complete" ]; then
    echo "1..0 # SKIP scripts/real-chroma has not installed the servers where REAL_CHROMA says"
    exit 0
fi
# shellcheck source=tests/meta/tap.sh
. "$root/tests/meta/tap.sh"
prover="node $here/prove.mjs $root/scripts/real-chroma 1.3.4"
store=$scratch/store

fresh() {
    rm -rf "$store" "$store.vsctl"
    tar -C "$scratch" -xJf "$root/tests/data/chroma/stores.tar.xz" "$1" && mv "$scratch/$1" "$store" && rm -f "$store/expected.json"
}

digests() {
    (cd "$store" && find . -type f -exec sha256sum {} + | LC_ALL=C sort)
}

ends_with() {
    local want=$1 got=0
    shift
    "$@" >"$scratch/out" 2>"$scratch/err" </dev/null || got=$?
    [ "$got" -eq "$want" ] || { echo "$*: $got" && cat "$scratch/out" "$scratch/err" && return 1; }
}

# On a copy, as it is written to.
server_refuses() {
    rm -rf "$scratch/copy" && cp -a "$store" "$scratch/copy" && ! $prover "$scratch/copy" >/dev/null 2>&1
}

proven() {
    fresh header-entry-damage && server_refuses && ends_with 1 "$vsctl" repair --yes --prove "$prover" "$store" &&
        grep -q 'docs: 38 records' "$scratch/err" && ends_with 0 "$vsctl" verify "$store"
}

# The vectors of 14 records are gone for good: repair brings back the rest, and the server gives none of it when it is
# asked for all.
refuted() {
    fresh data-level0-truncated && digests >"$scratch/before" && ends_with 8 "$vsctl" repair --yes --prove "$prover" "$store" &&
        grep -q 'taken back' "$scratch/err" && digests | diff "$scratch/before" - && ends_with 4 "$vsctl" repair --yes "$store"
}

check "the server serves what was repaired" proven
check "what the server cannot serve is taken back" refuted
finish
