#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The peers must do what they are measured for: all of them see the same store.
#
#   test-peers.sh MEASURE PEER-READ GOBGEN GOBLOAD

set -euo pipefail

measure=$1
peer_read=$2
gobgen=$3
gobload=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

expect() {
    if [[ $2 != "$3" ]]; then
        printf '%s: got "%s", not "%s"\n' "$1" "$2" "$3" >&2
        exit 1
    fi
}

# A text of 300,000 bytes takes more than one read with any buffer that is used here.
made=$("$gobgen" --docs 700 --dims 3 --collections 3 "$work/small")
large=$("$gobgen" --docs 2 --dims 3 --content-bytes 300000 "$work/large")
packed=$("$gobgen" --docs 70 --dims 3 --gzip "$work/packed")

for store in small large packed; do
    found=$(find "$work/$store" -type f -printf '%s\n' |
        awk '{ n++; sum += $1 } END { printf "%d files, %d bytes", n, sum }')
    for threads in 1 2 7; do
        expect "peer-read -t $threads $store" "$("$peer_read" -t $threads "$work/$store")" "$found"
    done
done
for threads in 1 3; do
    expect "gobload small" "$("$gobload" --parallel $threads "$work/small")" "$made"
    expect "gobload large" "$("$gobload" --parallel $threads "$work/large")" "$large"
    expect "gobload packed" "$("$gobload" --compress --parallel $threads "$work/packed")" "$packed"
done

# What cannot be decoded must not pass for loaded.
truncate -s -1 "$(find "$work/large" -name '*.gob' | sort | tail -n 1)"
if "$gobload" "$work/large" > "$work/out" 2>&1; then
    printf 'gobload took a file that was cut\n' >&2
    exit 1
fi

read -r wall processor memory status < <("$measure" bash -c 'sleep 0.2; exit 3')
expect 'exit status' "$status" 3
if ((wall < 200000 || processor >= wall || memory < 500)); then
    printf 'measure: %d us, %d us, %d KiB\n' "$wall" "$processor" "$memory" >&2
    exit 1
fi
