#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# selftest: every class of damage is detected in copies of stores of both kinds, which stay as they are.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"
mkdir "$scratch/copies"

# Nothing stays in the scratch directory.
selftest() {
    json selftest "$1" selftest --scratch "$scratch/copies" "${@:2}" && rmdir "$scratch/copies" && mkdir "$scratch/copies"
}

all_detected() {
    jq_is '.summary.missed == 0 and all(.classes[]; .outcome != "missed")' &&
        jq_is '(.classes | map([.kind, .class]) | unique | length) == (.classes | length)' || return
    # shellcheck disable=SC2016 # jq has variables too
    jq_is 'all(.classes[] | select(.outcome == "detected"); .code as $code | .expected | split(" ") | index($code) != null)'
}

# Only what a mode would stop is skipped, and only where the superuser runs this.
made_for_it() {
    selftest 0 --progress 1 && grep -qE 'selftest: [0-9]+ cases, .* [1-9][0-9]?%' "$scratch/err" && all_detected && jq_is '.store == null and .summary.detected >= 154 and .summary.not_repaired == 0 and .summary.repaired >= 104' &&
        jq_is '[.classes[] | select(.outcome == "skipped" and (.class | endswith("-unreadable") | not))] == []' &&
        jq_is '[.classes[].kind] | unique == ["chroma", "chromem"]'
}

# Each problem in the table is found in a store that was made for it, or it is said why it is not tried.
# shellcheck disable=SC2016 # jq has variables too
every_problem() {
    selftest 0 --no-repair && jq -r '(.classes[] | if .outcome == "skipped" then .expected else .code end), .not_injected[].code' "$scratch/out" |
        sort -u >"$scratch/tried" && jq_is '[.classes[].code] as $found | all(.not_injected[].code; IN($found[]) | not)' &&
        runs 0 help problems --json && jq -r '.problems[].code' "$scratch/out" | sort >"$scratch/problems" &&
        diff "$scratch/tried" "$scratch/problems"
}

# As somebody whom modes stop, nothing is skipped at all.
not_the_superuser() {
    local as=()
    [ "$(id -u)" -ne 0 ] || as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    chmod 755 "$scratch" && chmod 777 "$scratch/copies" &&
        "${as[@]}" "$vsctl" selftest --json --scratch "$scratch/copies" >"$scratch/out" 2>"$scratch/err" </dev/null &&
        all_detected && jq_is '.summary.skipped == 0 and .summary.not_repaired == 0' && rmdir "$scratch/copies" && mkdir "$scratch/copies"
}

as_text() {
    runs 0 selftest --no-repair --scratch "$scratch/copies" && out_has 'chromem  metadata-lost            detected  not tried  chromem-metadata-missing ' &&
        out_has 'chroma   database-cut' && grep -qE '^good: 15[0-9] of 15[0-9] classes detected in copies of 296 documents, [03] skipped; 0 of 0 repaired$' "$scratch/out"
}

chromem_stores() {
    local name
    for name in healthy-contextd healthy-gz healthy-plain many-damages; do
        echo "$name"
        fixture "$name" && unchanged selftest 0 "$store" && all_detected && jq_is '.summary.detected >= 60' || return
    done
    # What is damaged by itself is no help.
    jq_is '.summary.errors_before > 3'
}

compressed() {
    fixture healthy-gz && selftest 0 --no-repair "$store" &&
        jq_is 'all(.classes[] | select(.class == "document-checksum" or .class == "document-trailer"); .outcome == "detected")'
}

chroma_stores() {
    local name
    for name in base healthy-1.0 healthy-1.3 legacy-0.6.3; do
        store=$stores/$name
        echo "$name"
        unchanged selftest 0 --no-repair "$store" && all_detected && jq_is '.summary.detected >= 60 and all(.not_injected[].code; startswith("chroma-"))' || return
    done
}

chroma_repaired() {
    store=$stores/base && unchanged selftest 0 "$store" && all_detected &&
        jq_is '[.classes[] | select(.class == "link-range" or .class == "header-entry" or .class == "pickle-lost" or .class == "lists-size") | .repair]
            == ["repaired", "repaired", "repaired", "repaired"]'
}

bounded() {
    fixture healthy-contextd && selftest 0 --no-repair --max-documents 7 "$store" && jq_is '.summary.documents <= 7' &&
        json error 8 selftest --max-bytes 1K "$stores/base" && err_has '--max-bytes' && json error 16 selftest --max-bytes 0 "$store"
}

refused() {
    fixture healthy-contextd && json error 16 selftest --scratch "$store" "$store" && err_has 'inside of the store' &&
        json error 8 selftest --scratch "$scratch/absent" "$store" && json error 8 selftest "$scratch/absent" &&
        mkdir "$scratch/empty" && json error 16 selftest --scratch "$scratch/copies" "$scratch/empty" && err_has 'without STORE' &&
        json error 8 selftest --scratch "$scratch/copies" "$stores/sqlite-truncated" && err_has 'cannot be sampled' && rmdir "$scratch/copies"
}

check "stores made for it" made_for_it
check "every problem" every_problem
check "not the superuser" not_the_superuser
check "as text" as_text
check "chromem stores" chromem_stores
check "a compressed store" compressed
check "Chroma stores" chroma_stores
check "Chroma stores repaired" chroma_repaired
check "limits of the sample" bounded
check "refused" refused
finish_cli
