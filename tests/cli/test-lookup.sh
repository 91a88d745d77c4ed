#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# lookup --of: the directory of a name, against another program that computes it.
set -u
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"

hash_of() {
    printf '%s' "$1" | sha256sum | cut -c 1-8
}

known() {
    runs 0 lookup --of contextd_memories conversations &&
        out_is $'directory  name\ne9f85bf6   contextd_memories\n5c0dc939   conversations'
}

# Around the lengths at which the hash takes another block.
any_length() {
    local len name
    for len in 1 2 31 32 54 55 56 63 64 65 119 120 1000; do
        name=$(printf 'n%.0s' $(seq "$len"))
        json lookup 0 lookup --of "$name" && jq_is ".names[0].hash == \"$(hash_of "$name")\"" || return
    done
}

order_is_kept() {
    json lookup 0 lookup --of b a b && jq_is '[.names[].name] == ["b", "a", "b"]'
}

without_of() {
    json error 16 lookup e9f85bf6 && jq_is '.error.message | contains("vsctl lookup --of NAME")'
}

check "known names" known
check "names of any length" any_length
check "the order is kept" order_is_kept
check "without --of" without_of
finish_cli
