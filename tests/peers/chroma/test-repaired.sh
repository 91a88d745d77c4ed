#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-repaired.sh VSCTL: the real Chroma server on what was repaired and rolled back
#
# Each store of tests/data/chroma that can be repaired is, and the server has to start on it, to give back every record
# that the repair did not call lost, to take writes, and to start again. REAL_CHROMA names where scripts/real-chroma has
# installed its servers; without it there is nothing to test with and the test is skipped.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$here/../../..
script=$root/scripts/real-chroma
vsctl=$(realpath "$1")
if [ -z "${REAL_CHROMA:-}" ] || [ ! -e "$REAL_CHROMA/1.0.3/complete" ] || [ ! -e "$REAL_CHROMA/trixie.complete" ]; then
    echo "1..0 # SKIP scripts/real-chroma has not installed the servers where REAL_CHROMA says"
    exit 0
fi
dir=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$dir"' EXIT
tar -C "$dir" -xJf "$root/tests/data/chroma/stores.tar.xz"
cases=0

# TAP of a program that counts nothing, with what it is about in front.
show() {
    local line
    while IFS= read -r line; do
        case $line in
            ok*|'not ok'*)
                cases=$((cases + 1))
                printf '%s\n' "${line/ - / - $1: }" ;;
            *) printf '%s\n' "$line" ;;
        esac
    done
}

# one STORE STATUS [COMMAND]: repaired, with that exit status, and served.
one() {
    local name=$1 want=$2 rest="${3:-repair} then " status command reports=()
    rm -f "$dir/$name/expected.json"
    while [ -n "$rest" ]; do
        command=${rest%% then *}
        rest=${rest#* then }
        reports+=("$dir/out.${#reports[@]}")
        status=0
        # shellcheck disable=SC2086
        "$vsctl" $command --yes --format json "$dir/$name" >"${reports[-1]}" 2>"$dir/err" || status=$?
        if [ "$status" -ne "$want" ]; then
            echo "not ok - $command ends with $status" | show "$name"
            sed 's/^/# /' "${reports[-1]}" "$dir/err"
            return
        fi
    done
    node "$here/repaired.mjs" "$script" 1.3.4 "$root/tests/data/chroma/base-truth.json" "$dir/$name" "${reports[@]}" >"$dir/tap" 2>&1 || true
    grep -q '^\(not \)\?ok' "$dir/tap" || echo "not ok - repaired.mjs says nothing" >>"$dir/tap"
    show "$name" <"$dir/tap"
    rm -rf "${dir:?}/$name" "$dir/$name.vsctl"
}

while IFS=$'\t' read -r name status command; do
    case $name in '' | '#'*) continue ;; esac
    one "$name" "$status" "$command"
done <"$here/repaired.tsv"
for version in 1.0.3 1.3.4; do
    mkdir -p "$dir/$version/store"
    node "$here/large.mjs" "$script" "$version" "$vsctl" "$dir/$version" >"$dir/tap" 2>&1 || echo "# large.mjs ends with $?" >>"$dir/tap"
    grep -q '^ok' "$dir/tap" || echo "not ok - large.mjs says nothing" >>"$dir/tap"
    show large <"$dir/tap"
done
echo "1..$cases"
