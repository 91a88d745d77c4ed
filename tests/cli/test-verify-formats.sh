#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# verify --format: each format is read by a program that was not written for vsctl.
# shellcheck disable=SC2016 # jq has variables too
set -u
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"

# A store with a collection whose name is hostile to every format, and damage in it.
hostile() {
    fixture healthy-plain && mv "$store" "$scratch/healthy-plain/a \"b\" <c> & | \\ d" &&
        store="$scratch/healthy-plain/a \"b\" <c> & | \\ d" &&
        rm "$(find "$store" -name 00000000.gob | sort | head -n 1)"
}

# ---- lines of JSON ----

json_lines() {
    fixture many-damages && runs 4 verify --format jsonl "$store" &&
        jq -s -e 'length > 2 and all(.schema == 1 and .command == "verify")' "$scratch/out" >"$scratch/jq" &&
        jq -s -e '.[-1].record == "summary" and (.[:-1] | all(.record == "finding" and has("code") and has("fix")))' "$scratch/out" >"$scratch/jq" &&
        cp "$scratch/out" "$scratch/lines" && runs 4 verify --json "$store" &&
        same "$(jq -c '.findings[]' "$scratch/out")" \
            "$(jq -c 'select(.record == "finding") | del(.schema, .command, .record)' "$scratch/lines")" &&
        same "$(jq -c '[.verdict, .loadable, .loader_error, (.summary | del(.elapsed_seconds))]' "$scratch/out")" \
            "$(jq -c 'select(.record == "summary") | [.verdict, .loadable, .loader_error, (.summary | del(.elapsed_seconds))]' "$scratch/lines")"
}

json_by_either_name() {
    fixture healthy-plain && runs 0 verify --format json "$store" && jq_is '.verdict == "healthy"' &&
        runs 0 --format json verify "$store" && jq_is '.verdict == "healthy"' &&
        runs 0 verify --json "$store" && jq_is '.verdict == "healthy"'
}

# ---- Prometheus ----

metric() {
    awk -v name="$1" 'index($0, name) == 1 { print $NF }' "$scratch/out"
}

prometheus() {
    hostile && runs 4 verify --format prometheus "$store" && promtool check metrics <"$scratch/out" &&
        same 0 "$(metric contextd_vectorstore_health_status)" && same 4 "$(metric vectorstore_collections_healthy)" &&
        same 1 "$(metric vectorstore_collections_corrupt)" && same 0 "$(metric vsctl_store_loadable)" &&
        same 70 "$(metric vsctl_documents)" && same 1 "$(grep -c 'severity="error"} 1$' "$scratch/out")"
}

prometheus_healthy() {
    fixture healthy-plain && runs 0 verify --format prometheus "$store" && promtool check metrics <"$scratch/out" &&
        same 1 "$(metric contextd_vectorstore_health_status)" && same 1 "$(metric vsctl_store_loadable)" &&
        same 1 "$(metric vsctl_verify_complete)" &&
        [ $(($(date +%s) - $(metric vsctl_verify_timestamp_seconds))) -lt 60 ]
}

# ---- JUnit ----

xpath() {
    xmllint --xpath "$1" "$scratch/out"
}

junit() {
    hostile && runs 4 verify --format junit "$store" && xmllint --noout "$scratch/out" &&
        same "vsctl verify $store" "$(xpath 'string(/testsuites/testsuite/@name)' | sed 's/\\\\/\\/g')" &&
        same 6 "$(xpath 'count(//testcase)')" && same 6 "$(xpath 'string(//testsuite/@tests)')" &&
        same 1 "$(xpath 'count(//testcase[failure])')" && same 1 "$(xpath 'string(//testsuite/@failures)')" &&
        same chromem-metadata-missing "$(xpath 'string(//failure/@type)')"
}

# The suite counts what the cases say, whatever is damaged.
junit_counts() {
    local name
    for name in many-damages doc-truncated incident-missing-metadata stray-files healthy-odd meta-no-name; do
        fixture $name
        "$vsctl" verify --format junit "$store" >"$scratch/out"
        echo "$name"
        same "$(xpath 'count(//testcase[failure])')" "$(xpath 'string(//testsuite/@failures)')" || return
        same "$(xpath 'count(//testcase)')" "$(xpath 'string(//testsuite/@tests)')" || return
        same "$("$vsctl" verify --json "$store" | jq .summary.errors)" "$(xpath 'count(//failure)')" || return
    done
}

# ---- Nagios ----

nagios() {
    fixture healthy-plain && runs 0 verify --format nagios "$store" && same 1 "$(wc -l <"$scratch/out")" &&
        out_has 'VECTORSTORE OK - healthy, 5 collections, 70 documents | errors=0;;0 ' &&
        mkdir "$store/00112233" && runs 1 verify --format nagios "$store" && out_has 'VECTORSTORE WARNING - degraded' &&
        rm "$(find "$store" -name 00000000.gob | head -n 1)" && runs 2 verify --format nagios "$store" &&
        out_has 'VECTORSTORE CRITICAL - corrupt' && out_has 'errors=1;;0'
}

nagios_unknown() {
    runs 3 verify --format nagios "$scratch/no | where" && same 1 "$(wc -l <"$scratch/out")" &&
        out_has 'VECTORSTORE UNKNOWN - ' && out_lacks '|'
}

nagios_one_bar() {
    hostile && runs 2 verify --format nagios "$store" && same 1 "$(tr -cd '|' <"$scratch/out" | wc -c)"
}

# ---- SARIF ----

sarif() {
    hostile && runs 4 verify --format sarif "$store" &&
        jq_is '.version == "2.1.0" and (.runs | length == 1) and .runs[0].tool.driver.name == "vsctl"' &&
        jq_is '.runs[0] | [.results[] | select(.level == "error")] | length == 1' &&
        jq_is '.runs[0] | [.tool.driver.rules[].id] as $rules | .results | all(.ruleId as $id | $rules | index($id))' &&
        jq_is '[.runs[0].results[] | .message.text, .locations[0].physicalLocation.artifactLocation.uri] | all(type == "string")' &&
        jq_is '[.runs[0].tool.driver.rules[].id] | length == (unique | length)'
}

# ---- what cannot be ----

unknown_format() {
    runs 16 verify --format jnit "$scratch" && err_has 'text|json|jsonl|prometheus|junit|nagios|sarif' && err_has 'did you mean junit'
}

one_store_only() {
    fixture healthy-nested-stores && runs 16 verify --recursive --format junit "$store" && err_has '--recursive'
}

check "jsonl: the same findings, a line each" json_lines
check "json by either name" json_by_either_name
check "prometheus: promtool reads it" prometheus
check "prometheus: a healthy store" prometheus_healthy
check "junit: xmllint reads it" junit
check "junit: counts" junit_counts
check "nagios: three of four" nagios
check "nagios: unknown" nagios_unknown
check "nagios: one bar" nagios_one_bar
check "sarif" sarif
check "an unknown format" unknown_format
check "one store only" one_store_only
finish
