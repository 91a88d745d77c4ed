#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-server.sh REBUILD: the real Chroma server opens indexes built and repaired here
#
# CHROMA_BINDINGS names the folder of the npm package chromadb-js-bindings-linux-x64-gnu, by default the one that
# scripts/real-chroma has installed below REAL_CHROMA; without it, or without node, the test is skipped.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
: "${CHROMA_BINDINGS=${REAL_CHROMA:+$REAL_CHROMA/1.0.3/node_modules/chromadb-js-bindings-linux-x64-gnu}}"
if [ -z "$CHROMA_BINDINGS" ] || [ ! -d "$CHROMA_BINDINGS" ] || ! command -v node >/dev/null; then
    echo "1..0 # SKIP there is no Chroma server to test with, or no node"
    exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
node "$here/server.mjs" "$CHROMA_BINDINGS" "$1" "$dir"
