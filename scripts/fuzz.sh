#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# fuzz.sh TARGET [SECONDS] [LIBFUZZER_OPTION...]: look for input that breaks a decoder
#
# Builds below build/fuzz with clang, libFuzzer and sanitizers, and starts from tests/fuzz/corpus/TARGET.
# What it finds interesting goes to build/fuzz/corpus/TARGET; what breaks the target to
# build/fuzz/crash-*: made small (-minimize_crash=1), it belongs into the corpus with the fix. Status 0
# when nothing was found. What campaigns there were, and what came of them, is in tests/fuzz/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -ge 1 ] || { sed -n 's/^# fuzz.sh/usage: fuzz.sh/p' "$0" >&2 && exit 16; }
target=$1
seconds=${2:-60}
shift $(($# < 2 ? $# : 2))
[ -d "tests/fuzz/corpus/$target" ] || { echo "fuzz.sh: no corpus for $target" >&2 && exit 16; }

if [ ! -f build/fuzz/build.ninja ]; then
    CC=clang meson setup build/fuzz -Db_sanitize=address,undefined -Db_lundef=false \
        -Dc_args=-fsanitize=fuzzer-no-link >/dev/null
fi
ninja -C build/fuzz "tests/fuzz/fuzz-$target" >/dev/null
mkdir -p "build/fuzz/corpus/$target"
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
exec nice "build/fuzz/tests/fuzz/fuzz-$target" -max_total_time="$seconds" -print_final_stats=1 \
    -artifact_prefix=build/fuzz/crash- "$@" "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target"
