#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# lookup: from directories to names, by every source, and back; against another program that computes
# the hash.
set -u
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"

hash_of() {
    printf '%s' "$1" | sha256sum | cut -c 1-8
}

# ---- --of ----

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

of_goes_alone() {
    json error 16 lookup --of --mask '?l' a && json error 16 lookup --of --names x a
}

# ---- without a hint ----

incident() {
    runs 0 lookup e9f85bf6 && first_line 'e9f85bf6  contextd_memories' && out_has 'kind of record' &&
        out_has 'names tried: one in ' &&
        json lookup 0 lookup e9f85bf6 &&
        jq_is '.hashes[0].verdict == "found" and .candidates[0].name == "contextd_memories"' &&
        jq_is '.candidates[0] | .trusted and .expected_false_matches < 0.00001 and .tried > 100'
}

conversations() {
    runs 0 lookup 5C0DC939 && first_line '5c0dc939  conversations'
}

several() {
    json lookup 4 lookup e9f85bf6 deadbeef 6c7f5464 &&
        jq_is '[.hashes[].hash] == ["e9f85bf6", "deadbeef", "6c7f5464"]' &&
        jq_is '[.hashes[].verdict] == ["found", "nothing", "found"]' &&
        jq_is '[.candidates[].name] == ["contextd_memories", "checkpoints"]' &&
        runs 4 lookup e9f85bf6 deadbeef && out_has 'deadbeef  no name found' && last_line_has 'next: '
}

last_line_has() {
    tail -n 1 "$scratch/out" | grep -qF -- "$1"
}

quiet_is_short() {
    runs 0 -q lookup e9f85bf6 && out_is 'e9f85bf6  contextd_memories'
}

no_hash() {
    json error 16 lookup contextd_memories &&
        jq_is '.error.message | contains("vsctl lookup --of contextd_memories")' &&
        json error 16 lookup e9f85bf && json error 16 lookup e9f85bf6x && json error 16 lookup
}

# ---- word lists ----

words() {
    printf 'zebra\r\nlost and found\r\n' >"$scratch/words"
    json lookup 0 lookup "$(hash_of 'lost and found')" --names "$scratch/words" &&
        jq_is '.candidates[0] | .source == "word-list" and (.evidence[0] | startswith("line 2 of "))' &&
        "$vsctl" lookup "$(hash_of 'lost and found')" --names - <"$scratch/words" >"$scratch/out" &&
        out_has 'line 2 of standard input'
}

words_with_rules() {
    printf 'Zebra Crossing\n' >"$scratch/words"
    runs 4 lookup "$(hash_of zebra_crossing_skills)" --names "$scratch/words" &&
        runs 0 lookup "$(hash_of zebra_crossing_skills)" --names "$scratch/words" --rules &&
        first_line "$(hash_of zebra_crossing_skills)  zebra_crossing_skills"
}

# shellcheck disable=SC1003 # the backslashes are what is looked for
names_are_escaped() {
    printf 'a\033[31mb\\\n' >"$scratch/words"
    runs 0 lookup "$(hash_of $'a\e[31mb\\')" --names "$scratch/words" && out_has 'a\x1b[31mb\\' &&
        json lookup 0 lookup "$(hash_of $'a\e[31mb\\')" --names "$scratch/words" &&
        jq_is '.candidates[0].name == "a\u001b[31mb\\"'
}

bytes_come_in_hex() {
    printf '\377\376x\n' >"$scratch/words"
    json lookup 0 lookup "$(hash_of $'\377\376x')" --names "$scratch/words" &&
        jq_is '.candidates[0].name_hex == "fffe78"'
}

no_such_list() {
    json error 8 lookup deadbeef --names "$scratch/none" && json error 8 lookup deadbeef --names "$scratch"
}

too_long_a_line() {
    head -c 70000 /dev/zero | tr '\0' x >"$scratch/words"
    printf '\nlost\n' >>"$scratch/words"
    runs 0 lookup "$(hash_of lost)" --names "$scratch/words" && err_has '1 line of more than 65536 bytes'
}

both_of_a_collision() {
    printf 'umbrella_report_infra_remediations\nwonka_portal_queue_conversations\n' >"$scratch/words"
    json lookup 4 lookup ce28adc0 --names "$scratch/words" &&
        jq_is '.hashes[0].verdict == "ambiguous" and (.candidates | length) == 2' &&
        runs 4 lookup ce28adc0 --names "$scratch/words" && out_has '2 names fit' &&
        out_has '  umbrella_report_infra_remediations' && out_has '  wonka_portal_queue_conversations'
}

# ---- masks ----

mask() {
    json lookup 0 lookup "$(hash_of zz9_memories)" --mask '?l?l?d_memories' &&
        jq_is '.candidates[0] | .name == "zz9_memories" and .source == "mask"' &&
        jq_is '.candidates[0].evidence[0] == "number 6760 of the 6760 names of the mask"'
}

mask_with_charsets() {
    runs 0 lookup "$(hash_of x-b)" --mask '?1?2b' -1 xyz --custom-charset2 '?s' &&
        first_line "$(hash_of x-b)  x-b"
}

no_mask() {
    json error 16 lookup deadbeef --mask '?z' && json error 16 lookup deadbeef --mask '?1' &&
        json error 16 lookup deadbeef --mask '' && json error 16 lookup deadbeef --mask '?b?b?b?b?b?b?b?b'
}

too_many_to_be_sure() {
    json lookup 4 lookup "$(hash_of 4711-4b)" --mask '?d?d?d?d?s?d?h' &&
        err_has 'will not be certain' &&
        jq_is '.hashes[0].verdict == "doubtful" and .candidates[0].name == "4711-4b"' &&
        jq_is '.candidates[0].trusted == false and .candidates[0].expected_false_matches > 0.001'
}

# A search that would take years is ended as a person ends it, and what it found till then is told.
cancelled() {
    local status
    timeout --preserve-status -s INT 2 "$vsctl" lookup deadbeef --mask '?b?b?b?b?b?b?b?h' --json \
        >"$scratch/out" 2>"$scratch/err"
    status=$?
    [ $status -eq 32 ] || { echo "status $status" && return 1; }
    keep_document lookup && jq_is '.cancelled and .hashes[0].tried > 1000000'
}

thorough() {
    printf 'contextd_memories\n' >"$scratch/words"
    json lookup 0 lookup e9f85bf6 --names "$scratch/words" &&
        jq_is '.candidates[0].evidence | map(startswith("line ")) | any | not' &&
        json lookup 0 lookup e9f85bf6 --names "$scratch/words" --thorough &&
        jq_is '.candidates[0].evidence | map(startswith("line ")) | any'
}

# ---- stores ----

siblings() {
    fixture incident-missing-metadata &&
        unchanged json lookup 0 lookup e9f85bf6 --store "$store" &&
        jq_is '.candidates[0] | .name == "contextd_memories" and .source == "sibling"' &&
        jq_is '.candidates[0].evidence | map(startswith("begins with \"contextd_\"")) | any' &&
        jq_is ".store.path == \"$store\""
}

store_by_other_ways() {
    fixture incident-missing-metadata &&
        json lookup 0 lookup e9f85bf6 --vectorstore-path "$store" && jq_is '.candidates[0].source == "sibling"' &&
        VSCTL_STORE=$store json lookup 0 lookup e9f85bf6 && jq_is '.candidates[0].source == "sibling"'
}

# Each collection in turn loses its metadata file, alone. All names come back but those of two, of which
# neither documents nor neighbours say anything.
each_collection() {
    local dir name found=0 wrong=0
    fixture incident-missing-metadata || return
    for dir in "$store"/*/; do
        dir=$(basename "$dir")
        mv "$store/$dir/00000000.gob" "$scratch/meta" 2>/dev/null
        name=$("$vsctl" -q lookup "$dir" --store "$store" | sed -n "s/^$dir  //p")
        [ ! -f "$scratch/meta" ] || mv "$scratch/meta" "$store/$dir/00000000.gob"
        [ "$name" != 'no name found' ] || continue
        found=$((found + 1))
        [ "$(hash_of "$name")" = "$dir" ] || wrong=$((wrong + 1))
    done
    echo "found $found of 22"
    same "0 wrong" "$wrong wrong" && [ "$found" -ge 20 ]
}

# No metadata file is left to ask: of the first, its own documents say enough, of the second only those
# of a neighbour.
documents() {
    fixture incident-missing-metadata && find "$store" -name 00000000.gob -delete &&
        json lookup 0 lookup 9632c050 19930f74 --store "$store" &&
        jq_is '[.candidates[].name] == ["remediations_org_acme", "remediations_project_acme__home_dev_src_ledger"]' &&
        jq_is '[.candidates[].source] == ["document", "document"]' &&
        jq_is '.candidates[0].evidence[0] | startswith("4 documents of 9632c050 with tenant_id=\"acme\"")' &&
        jq_is '.candidates[1].evidence[0] | contains("project_path=\"/home/dev/src/ledger\"")'
}

compressed() {
    fixture healthy-gz && rm "$store"/e9f85bf6/00000000.gob.gz &&
        json lookup 0 lookup e9f85bf6 --store "$store" && jq_is '.candidates[0].name == "contextd_memories"'
}

remembered() {
    fixture healthy-plain && mkdir "$store.vsctl" &&
        printf '{"hash":"%s","name":"lost and found"}\n' "$(hash_of 'lost and found')" >"$store.vsctl/known-names.jsonl" &&
        json lookup 0 lookup "$(hash_of 'lost and found')" --store "$store" && jq_is '.candidates[0].source == "remembered"' &&
        mv "$store.vsctl" "$scratch/state" &&
        runs 4 lookup "$(hash_of 'lost and found')" --store "$store" &&
        json lookup 0 lookup "$(hash_of 'lost and found')" --store "$store" --state "$scratch/state" &&
        jq_is '.candidates[0].source == "remembered"'
}

registry() {
    fixture healthy-plain && runs 4 lookup "$(hash_of zenith_observatory_codebase)" --store "$store" &&
        printf '{"version":1,"tenants":{"zenith":{}},"teams":{},"projects":{"zenith/observatory":{}}}' >"$store/registry.json" &&
        runs 0 lookup "$(hash_of zenith_observatory_codebase)" --store "$store" && out_has 'from registry.json' &&
        echo '{' >"$store/registry.json" && runs 4 lookup deadbeef --store "$store"
}

no_store() {
    json error 8 lookup e9f85bf6 --store "$scratch/none" && json error 8 lookup e9f85bf6 --store "$vsctl"
}

check "of: known names" known
check "of: names of any length" any_length
check "of: the order is kept" order_is_kept
check "of: goes with no search" of_goes_alone
check "the incident needs no hint" incident
check "conversations" conversations
check "several hashes" several
check "quiet" quiet_is_short
check "what is no hash" no_hash
check "a word list" words
check "a word list with rules" words_with_rules
check "names are escaped" names_are_escaped
check "names that are no text" bytes_come_in_hex
check "a list that cannot be read" no_such_list
check "a line that is too long" too_long_a_line
check "two names with one hash" both_of_a_collision
check "a mask" mask
check "a mask with sets of its own" mask_with_charsets
check "what is no mask" no_mask
check "too many names to be sure" too_many_to_be_sure
check "a cancelled search" cancelled
check "a thorough search" thorough
check "other collections' names" siblings
check "a store named in other ways" store_by_other_ways
check "each collection in turn" each_collection
check "what documents say" documents
check "a compressed store" compressed
check "remembered names" remembered
check "contextd's registry" registry
check "no store" no_store
finish_cli
