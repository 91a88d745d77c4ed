#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-differ.sh VSCTL [VERSION [ONLY]]: what verify says of a damaged store against what the real server makes of it
#
# A store of some of everything is made on the spot and damaged in a few ways of those that differ.py knows; ONLY is a
# regular expression of their names, and "." all 2,600 of them, which is a campaign of hours. REAL_CHROMA names where
# scripts/real-chroma has installed its servers; without it there is nothing to test with and the test is skipped.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
script=$here/../../../scripts/real-chroma
vsctl=$(realpath "$1")
version=${2:-1.3.4}
only=${3:-'^(wal of another time|beta: vector segment row missing|beta: index_metadata.pickle doubled|gamma: header count 1|alpha: metadata position lower)$'}
if [ -z "${REAL_CHROMA:-}" ] || [ ! -e "$REAL_CHROMA/$version/complete" ] || [ ! -e "$REAL_CHROMA/trixie.complete" ]; then
    echo "1..0 # SKIP scripts/real-chroma has not installed the servers where REAL_CHROMA says"
    exit 0
fi
dir=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$dir"' EXIT
node "$here/shapes.mjs" "$script" "$version" "$dir" mixed >"$dir/log" 2>&1 || { sed 's/^/# /' "$dir/log" && echo "not ok 1 - the store is made" && echo 1..1 && exit 1; }
python3 "$here/differ.py" "$vsctl" "$script" "$version" "$dir/mixed" --only "$only"
