#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# callers: every function that a header of libcore declares is named by libcore or cmd outside of its own definition.
# What only tests or nobody would call is listed below with the reason why it is there, and nothing else is.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"

while read -r name _; do
    echo "$name"
done <<'END' | sort >"$scratch/reasons"
audit_verify            for other programs: the whole log in one call, which a command does in steps to show progress
chromem_decode_export   for other programs: an export that is in memory already; fuzzed
chromem_reader_set_general  the plain decoder, which the quick one is held against
chromem_source_digest   for other programs: what a store holds as one value, as clients in Go compute it
gob_put_float           completes the writer, one function per type of the format
hash_engine_name        says which of several kernels was at work
hnsw_check_index        for other programs: the check of an index that is in memory; fuzzed
hnsw_finding_name       for other programs: what a finding of that check is called
hnsw_graph_index        for other programs: a graph as the index that it will be, before it is written
hnsw_kernels_at         a kernel by name, to hold each against the portable one
hnsw_search_exact       for other programs: what the answers of an index are measured against
snap_older_parse        an older archive's text that is in memory already; fuzzed
mask_len                for other programs: how many names a mask stands for
END

# Names of code and how often each is there; then those of functions in headers, but for ones that stand there whole.
words() {
    (cd "$1" && find libcore cmd \( -name '*.[ch]' -o -name '*.def' \) -print0 | xargs -0 awk -f "$source/scripts/c-code.awk") |
        sed -E 's/^[^:]*:[0-9]+://' | grep -oE '[A-Za-z_][A-Za-z0-9_]*' | sort | uniq -c | awk '{ print $2, $1 }' | sort
}

functions() {
    (cd "$1" && find libcore -name '*.h' -print0 | xargs -0 awk -f "$source/scripts/c-code.awk") | sed -E 's/^[^:]*:[0-9]+://' |
        awk '/^[a-z].*[a-z0-9_]\(/ && !/(typedef|static) / {
            sub(/^must_check_ /, "")
            sub(/ *\(.*/, "")
            sub(/.*[ *]/, "")
            print
        }' | grep -vxE 'defined|__extension__' | sort -u
}

# Twice: these are its prototype and its definition.
without_callers() {
    words "$1" >"$scratch/words"
    functions "$1" | join - "$scratch/words" | awk '$2 < 3 { print $1 }'
}

project() {
    without_callers "$source" >"$scratch/found"
    [ "$(functions "$source" | wc -l)" -gt 500 ] && diff "$scratch/reasons" "$scratch/found" |
        sed -n 's/^< /has callers now: /p; s/^> /nobody calls: /p' | grep . && return 1
    [ -s "$scratch/found" ]
}

# A tree of its own, with one function that is called and one that is not.
would_be_found() {
    mkdir -p "$scratch/tree/libcore/a" "$scratch/tree/cmd"
    printf 'int used(int n);\nmust_check_ int *idle(void);\n' >"$scratch/tree/libcore/a/a.h"
    printf '/* idle() */\nint used(int n)\n{\n\treturn n;\n}\n\nint *idle(void)\n{\n\treturn 0;\n}\n' >"$scratch/tree/libcore/a/a.c"
    printf 'int main(void)\n{\n\treturn used(1);\n}\n' >"$scratch/tree/cmd/main.c"
    [ "$(without_callers "$scratch/tree")" = idle ]
}

check "a function without callers is found" would_be_found
check "every function has a caller or a reason" project
finish
