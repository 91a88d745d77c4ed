#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-server.sh REBUILD: the real Chroma server opens indexes built and repaired here
#
# CHROMA_BINDINGS names the folder of the npm package chromadb-js-bindings-linux-x64-gnu; without it, or
# without node, there is nothing to test with and the test is skipped.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${CHROMA_BINDINGS:-}" ] || ! command -v node >/dev/null; then
    echo "1..0 # SKIP CHROMA_BINDINGS is not set, or there is no node"
    exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
node "$here/server.mjs" "$CHROMA_BINDINGS" "$1" "$dir"
