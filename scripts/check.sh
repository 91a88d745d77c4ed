#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# check.sh [--changed [REV]]: all gates, before a merge. What scripts/test does, and formatting, clang-tidy,
# and a build and test of the release archive. Goes on after a gate that failed; status 1 when any did.
#
# clang-tidy takes longest: half a second to half a minute for each file, on all processors. With --changed it looks at
# what has changed since REV, by default main, and at no more than that.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
exec </dev/null
failed=()
since=
if [ "${1:-}" = --changed ]; then
    since=$(git rev-parse --verify "${2:-main}") || exit
elif [ $# -gt 0 ]; then
    echo "usage: scripts/check.sh [--changed [REV]]" >&2
    exit 16
fi

gate() {
    local name=$1
    shift
    echo "== $name"
    "$@" || failed+=("$name")
}

format() {
    git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror
}

sources() {
    if [ -n "$since" ]; then
        git diff -z --name-only --diff-filter=d "$since" -- 'libcore/*.c' 'cmd/*.c' 'tests/*.c'
    else
        git ls-files -z 'libcore/*.c' 'cmd/*.c' 'tests/*.c'
    fi
}

# A file that the analyser does not get through within ten minutes is a failure as well, and is named.
tidy() {
    # The shell below is to see the name.
    # shellcheck disable=SC2016
    sources | xargs -0 -r -n 1 -P "$(nproc)" sh -c \
        'timeout 600 nice clang-tidy --quiet -p build/clang "$0" || { echo "clang-tidy: $0" && exit 1; }'
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
