#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-server.sh REBUILD: the real Chroma server opens indexes built and repaired here
#
# REAL_CHROMA names where scripts/real-chroma has installed its servers; without it there is nothing to test with and the
# test is skipped.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${REAL_CHROMA:-}" ] || [ ! -e "$REAL_CHROMA/1.0.3/complete" ]; then
    echo "1..0 # SKIP scripts/real-chroma has not installed the server where REAL_CHROMA says"
    exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
node "$here/server.mjs" "$here/../../../scripts/real-chroma" "$1" "$dir"
