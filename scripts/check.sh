#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# check.sh: all gates, before a merge. What scripts/test does, and formatting, clang-tidy, and a build
# and test of the release archive. Goes on after a gate that failed; status 1 when any did.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
exec </dev/null
failed=()

gate() {
    local name=$1
    shift
    echo "== $name"
    "$@" || failed+=("$name")
}

format() {
    git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror
}

tidy() {
    git ls-files -z 'libcore/*.c' 'cmd/*.c' 'tests/*.c' |
        xargs -0 -n 4 -P "$(nproc)" nice clang-tidy --quiet -p build/clang
}

# The archive must build and pass on its own; it holds what is committed and nothing else.
dist() {
    local log=build/dist.log
    meson dist -C build/clang --allow-dirty --formats gztar >"$log" 2>&1 || { tail -n 60 "$log" && false; }
}

scripts/install-packages build test optional || exit
gate "tests" scripts/test
gate "clang-format" format
gate "clang-tidy" tidy
gate "meson dist" dist

if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
echo "all gates passed"
