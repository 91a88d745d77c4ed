#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-shapes.sh VSCTL [VERSION [SHAPE...]]: sound stores of the real Chroma server, of shapes that no fixture has
#
# They are made on the spot, nothing is found in them and nothing changed; then they are damaged in some of the ways that
# damage.py knows (EVERY says how many: each so manyth, default 20), and the server has to live with the outcome. With
# EVERY=1 and all shapes it is a campaign of an hour. REAL_CHROMA names where scripts/real-chroma has installed its
# servers; without it there is nothing to test with and the test is skipped.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
script=$here/../../../scripts/real-chroma
vsctl=$(realpath "$1")
version=${2:-1.3.4}
if [ -z "${REAL_CHROMA:-}" ] || [ ! -e "$REAL_CHROMA/$version/complete" ] || [ ! -e "$REAL_CHROMA/trixie.complete" ]; then
    echo "1..0 # SKIP scripts/real-chroma has not installed the servers where REAL_CHROMA says"
    exit 0
fi
dir=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$dir"' EXIT
shapes=("${@:3}")
[ ${#shapes[@]} -gt 0 ] || shapes=(narrow odd_texts)
node "$here/shapes.mjs" "$script" "$version" "$dir" "${shapes[@]}" >"$dir/log" 2>&1 || { sed 's/^/# /' "$dir/log" && echo "not ok 1 - stores are made" && echo 1..1 && exit 1; }
python3 "$here/damage.py" "$vsctl" "$script" "$version" "$dir" --every "${EVERY:-20}"
