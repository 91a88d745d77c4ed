#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# verify: verdict, exit status, the stable document, and what a person reads. Which damage gives which
# finding is the check suite's; here it is how they are told.
# shellcheck disable=SC2016 # jq has variables too
set -u
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"

# ---- verdicts ----

healthy() {
    fixture healthy-plain && runs 0 verify "$store" &&
        first_line 'healthy: 5 collections, 70 documents; the store loads' && last_line 'nothing to do'
}

healthy_as_json() {
    fixture healthy-plain && json verify 0 verify "$store" &&
        jq_is '.verdict == "healthy" and .loadable == "yes" and .loader_error == null and .level == "full"' &&
        jq_is '.summary | .collections == 5 and .healthy == 5 and .documents == 70 and .errors == 0 and .warnings == 0' &&
        jq_is "[.collections[].name] | sort == $(jq '[.library.collections[].name]' "$scratch/healthy-plain/expected.json")" &&
        jq_is "[.findings[] | select(.severity != \"info\")] == []"
}

incident() {
    fixture incident-missing-metadata && runs 4 verify "$store" &&
        first_line "corrupt: 1 of 22 collections is damaged; the store will not load: collection metadata file not found: $store/e9f85bf6" &&
        out_has 'e9f85bf6  name unknown, 4 documents' && out_has '  error   chromem-metadata-missing  e9f85bf6' &&
        out_has '    collection has 4 documents but no metadata file; the whole store will not load' &&
        last_line "next: vsctl recover-metadata $store e9f85bf6"
}

incident_as_json() {
    fixture incident-missing-metadata && json verify 4 verify "$store" &&
        jq_is '.verdict == "corrupt" and .loadable == "no"' &&
        jq_is ".loader_error == \"collection metadata file not found: $store/e9f85bf6\"" &&
        jq_is '.summary | .collections == 22 and .healthy == 21 and .corrupt == 1 and .empty == 0 and .errors == 1' &&
        jq_is '[.findings[] | select(.severity == "error")] | length == 1' &&
        jq_is '.findings[] | select(.severity == "error") | .code == "chromem-metadata-missing" and
            .collection == "e9f85bf6" and .document == null and .offset == null and
            .fix == "vsctl recover-metadata STORE e9f85bf6" and (.message | contains("4 documents"))' &&
        jq_is '.collections[] | select(.id == "e9f85bf6") | .name == null and .state == "corrupt" and .documents == 4'
}

# A file beyond the limit is not read: then nobody can say that the store is sound.
unverified() {
    local file
    fixture healthy-plain && file=$(find "$store/e9f85bf6" -name '[1-9a-f]*.gob' | sort | head -n 1) &&
        truncate -s 40M "$file" && runs 8 verify "$store" &&
        first_line 'unverified: no error was seen, and not everything could be looked at' && out_has 'not checked' &&
        last_line 'next: man vsctl-problems, under chromem-document-too-large' &&
        json verify 8 verify "$store" && jq_is '.verdict == "unverified" and .summary.errors == 0' &&
        jq_is '[.unchecked[] | select(.path == "e9f85bf6")] | length == 1'
}

# Every member that scripts rely on is there with the name and the type that it was promised with.
members() {
    fixture incident-missing-metadata && json verify 4 verify "$store" &&
        jq_is '.schema == 1 and .command == "verify"' &&
        jq_is 'keys_unsorted[:10] == ["schema", "command", "store", "verdict", "loadable", "loader_error", "level", "summary", "collections", "findings"]' &&
        jq_is ".store == {path: \"$store\", kind: \"chromem\", compression: \"none\"}" &&
        jq_is '.summary | [.collections, .healthy, .corrupt, .empty, .documents, .bytes, .errors, .warnings, .infos, .elapsed_seconds] | all(type == "number")' &&
        jq_is '.collections[0] | has("id") and has("name") and has("state") and has("documents") and has("dimension")' &&
        jq_is '.findings[0] | has("code") and has("severity") and has("collection") and has("path") and has("document") and has("offset") and has("message") and has("fix")' &&
        jq_is '.unchecked | type == "array"'
}

gzip_incident() {
    fixture healthy-gz && runs 0 verify "$store" && rm "$store/e9f85bf6/00000000.gob.gz" &&
        json verify 4 verify "$store" &&
        jq_is '.store.compression == "gzip" and .loadable == "no" and .findings[0].code == "chromem-metadata-missing"'
}

empty_collection() {
    fixture empty-collection-directory && json verify 0 verify "$store" &&
        jq_is '.verdict == "degraded" and .summary.empty == 1 and .loadable == "yes"' &&
        runs 4 verify "$store" --fail-on warning && grep -q '^degraded: .*1 warning; the store loads$' "$scratch/out"
}

fail_on_never() {
    fixture incident-missing-metadata && runs 0 verify "$store" --fail-on never &&
        grep -q '^corrupt: ' "$scratch/out"
}

silently_wrong() {
    fixture collection-duplicate-name && json verify 4 verify "$store" && jq_is '.loadable == "silently-wrong"' &&
        runs 4 verify "$store" && grep -q '^corrupt: .*; the store loads without an error, and not as it was written$' "$scratch/out"
}

nothing_is_written() {
    fixture many-damages && unchanged runs 4 verify "$store" && unchanged runs 4 verify "$store" --deep --explain
}

same_with_one_thread() {
    fixture many-damages && runs 4 verify "$store" --json -j1 &&
        jq 'del(.summary.elapsed_seconds)' "$scratch/out" >"$scratch/one" && runs 4 verify "$store" --json -j4 &&
        jq 'del(.summary.elapsed_seconds)' "$scratch/out" | diff "$scratch/one" -
}

# ---- what cannot be checked ----

missing_path() {
    cd "$scratch" && json error 8 verify no/such/store && jq_is '.error.status == 8 and .error.path == "no/such/store"' &&
        err_has 'vsctl: no/such/store: ' && [ ! -e no ] && runs 8 verify "$scratch/nothing" && [ ! -e "$scratch/nothing" ]
}

not_a_store() {
    echo 'some text' >"$scratch/file" && json error 8 verify "$scratch/file" && err_has "vsctl: $scratch/file: " &&
        runs 8 verify /dev/null && runs 8 verify "$source/cmd"
}

collection_directory_as_store() {
    fixture healthy-plain && json error 8 verify "$store/e9f85bf6" && err_has "a collection directory inside a store; check the whole store: vsctl verify $store"
}

no_such_collection() {
    fixture healthy-plain && json error 8 verify "$store" nosuch && err_has 'no collection nosuch in the store'
}

# ---- which store ----

store_from_environment() {
    fixture healthy-plain && VSCTL_STORE=$store runs 0 verify && VSCTL_STORE=$store runs 0 verify contextd_memories &&
        first_line 'healthy: 1 collection, 14 documents; the store loads' &&
        VSCTL_STORE=$scratch/none runs 0 verify "$store" && VSCTL_STORE=$scratch/none runs 8 verify
}

store_from_option() {
    fixture healthy-plain && runs 0 verify --vectorstore-path "$store" &&
        runs 0 verify --vectorstore-path "$store" contextd_memories &&
        VSCTL_STORE=$scratch/none runs 0 --vectorstore-path="$store" verify
}

no_store() {
    runs 16 verify && err_is 'vsctl: verify needs STORE; usage: vsctl verify STORE [COLLECTION...]' &&
        VSCTL_STORE='' runs 16 verify
}

# ---- which collections ----

one_collection() {
    fixture incident-missing-metadata && json verify 4 verify "$store" contextd_memories &&
        jq_is '[.collections[].id] == ["e9f85bf6"] and .summary.collections == 1' &&
        json verify 4 verify "$store" e9f85bf6 && jq_is '[.collections[].id] == ["e9f85bf6"]' &&
        json verify 0 verify "$store" contextd_checkpoints &&
        jq_is '.verdict == "healthy" and [.collections[].name] == ["contextd_checkpoints"]' &&
        jq_is '[.unchecked[].what] | index("the other collections") != null'
}

several_collections() {
    fixture many-damages && json verify 4 verify "$store" &&
        jq '[.findings[] | select(.collection)]' "$scratch/out" >"$scratch/all" &&
        readarray -t ids < <(jq -r ".collections[].id" "$scratch/out") &&
        documents=$(jq .summary.documents "$scratch/out") && errors=$(jq .summary.errors "$scratch/out") &&
        json verify 4 verify "$store" "${ids[@]}" && jq '[.findings[] | select(.collection)]' "$scratch/out" | diff "$scratch/all" - &&
        jq_is ".summary.documents == $documents and .summary.errors == $errors and .loadable == \"no\" and .verdict == \"corrupt\""
}

same_collection_twice() {
    fixture incident-missing-metadata && json verify 4 verify "$store" contextd_memories e9f85bf6 &&
        jq_is '.summary.collections == 1 and .summary.errors == 1 and (.findings | map(select(.severity == "error")) | length) == 1'
}

# ---- what a person reads ----

quiet() {
    fixture healthy-plain && runs 0 verify -q "$store" && out_is '' && fixture incident-missing-metadata &&
        runs 4 verify -q "$store" && same 1 "$(wc -l <"$scratch/out")" && grep -q '^corrupt: ' "$scratch/out"
}

verbose() {
    fixture healthy-plain && runs 0 verify -v "$store" && grep -qE '^directory +state +documents +dimension +size +name$' "$scratch/out" &&
        grep -qE '^e9f85bf6 +healthy +14 +[0-9]+ +.*B +contextd_memories$' "$scratch/out"
}

infos_are_counted() {
    fixture stray-files && runs 0 verify "$store" && out_lacks 'chromem-stray-file' && out_has 'note' &&
        runs 0 verify -v "$store" && out_has 'chromem-stray-file'
}

many_of_a_kind() {
    local i
    fixture healthy-plain || return
    for i in $(seq 25); do
        cp "$store/e9f85bf6/00000000.gob" "$store/e9f85bf6/$(printf '%08x' $((i + 1048576))).gob"
    done
    runs 4 verify "$store" && same 10 "$(grep -c '^  error   chromem-document-is-metadata' "$scratch/out")" &&
        out_has 'and 15 more of chromem-document-is-metadata; -v shows them' &&
        runs 4 verify -v "$store" && same 25 "$(grep -c '^  error   chromem-document-is-metadata' "$scratch/out")"
}

quick() {
    fixture doc-truncated && json verify 0 verify --quick "$store" &&
        jq_is '.level == "quick" and ([.unchecked[].what] | index("the contents of documents") != null)' &&
        runs 4 verify "$store" && fixture incident-missing-metadata && runs 4 verify --level quick "$store"
}

explained() {
    fixture incident-missing-metadata && json verify 4 verify --explain "$store" &&
        jq_is '.causes | length >= 1' && jq_is '.causes[0].findings >= 1' && jq_is '.causes[0].evidence | length > 10' &&
        runs 4 verify --explain "$store" && out_has 'what probably happened' && out_has 'evidence: ' &&
        runs 4 verify "$store" && out_lacks 'what probably happened' && json verify 4 verify "$store" && jq_is 'has("causes") | not'
}

most_findings() {
    fixture many-damages && runs 4 verify --json "$store" && errors=$(jq .summary.errors "$scratch/out") &&
        json verify 4 verify --max-findings 1 "$store" && jq_is '.findings | length == 1' &&
        jq_is '.findings[0].severity == "error"' &&
        jq_is ".summary.errors == $errors and .summary.omitted == .summary.errors + .summary.warnings + .summary.infos - 1" &&
        runs 4 verify --max-findings 1 "$store" && out_has 'not listed (--max-findings)'
}

hostile_names() {
    fixture healthy-plain && mkdir "$store"/$'\e[2J$(reboot)' && cp "$store/e9f85bf6/"[1-9]*.gob "$store"/$'\e[2J$(reboot)' &&
        runs 4 verify "$store" && ! grep -q $'\e' "$scratch/out" && out_has '\x1b[2J$(reboot)' &&
        json verify 4 verify "$store" && ! grep -q $'\e' "$scratch/out" &&
        jq_is '[.collections[].id] | index("\u001b[2J$(reboot)") != null'
}

# What stands behind "next:" is a command that a shell takes apart into the words that were meant.
next_can_be_pasted() {
    local line dir="$scratch/a store; it's \$HOME"
    fixture incident-missing-metadata && rm -rf "$dir" && mv "$store" "$dir" && store=$dir && runs 4 verify "$store" &&
        line=$(tail -n 1 "$scratch/out") && eval "set -- ${line#next: }" && same "vsctl recover-metadata" "$1 $2" &&
        same "$store" "$3" && same e9f85bf6 "$4"
}

lines_fit() {
    fixture many-damages && "$python" "$source/tests/cli/on-terminal.py" --columns 80 "$vsctl" verify --color never "$store" >"$scratch/out"
    # Words that are longer than a line cannot be broken; the store's path is one.
    [ "$(grep -vF "$store" "$scratch/out" | wc -L)" -le 80 ] || { cat "$scratch/out" && false; }
}

colors() {
    fixture incident-missing-metadata && runs 4 verify --color always "$store" &&
        grep -q $'^\e\[1;31mcorrupt: \e\[0m1 of 22' "$scratch/out" &&
        fixture healthy-plain && runs 0 verify --color always "$store" && grep -q $'^\e\[32mhealthy: \e\[0m' "$scratch/out"
}

# ---- the other inputs ----

other_compression() {
    fixture healthy-plain && json verify 4 verify --compression gzip "$store" &&
        jq_is '.findings[] | select(.severity == "error") | .code == "chromem-store-wrong-form"' &&
        jq_is '.loadable == "silently-wrong" and .store.compression == "none"' && runs 0 verify --compression plain "$store"
}

encrypted_export() {
    fixture exports && printf 'fixture-key-of-exactly-32-bytes!' >"$scratch/key" && printf 'a wrong key of exactly 32 bytes!' >"$scratch/other" &&
        json verify 0 verify --key-file "$scratch/key" "$scratch/exports/store.gob.enc" &&
        jq_is '.summary.documents == 70 and .store.kind == "chromem"' &&
        json verify 4 verify --key-file "$scratch/other" "$scratch/exports/store.gob.enc" &&
        jq_is '.findings[0].code == "chromem-export-key"' && runs 4 verify "$scratch/exports/store.gob.enc"
}

short_key() {
    printf 'short' >"$scratch/short" && json error 16 verify --key-file "$scratch/short" x && err_has 'exactly 32 bytes' &&
        head -c 33 /dev/zero >"$scratch/long" && runs 16 verify --key-file "$scratch/long" x &&
        runs 8 verify --key-file "$scratch/no-key" x && runs 16 verify --key-file "$scratch" x
}

against_an_export() {
    fixture healthy-plain && export=$source/tests/data/chromem/exports/store.gob && runs 0 verify --against "$export" "$store" &&
        rm "$store"/e9f85bf6/[1-9]*.gob && json verify 4 verify --against "$export" "$store" &&
        jq_is '[.findings[] | select(.code == "chromem-document-missing")] | length > 0'
}

# ---- stores in stores ----

nested() {
    fixture healthy-nested-stores && json verify 0 verify --recursive "$store" &&
        jq_is ".store.path == \"$store\" and [.nested[].store.path] == [\"$store/ledger\", \"$store/platform/billing\"]" &&
        jq_is '.nested | all(.verdict == "healthy" and (.summary.documents > 0))' &&
        runs 0 verify -r "$store" && first_line 'healthy: 3 of 3 stores' && last_line 'nothing to do' &&
        json verify 0 verify "$store" && jq_is 'has("nested") | not'
}

nested_damage() {
    fixture healthy-nested-stores && rm "$store"/platform/billing/*/00000000.gob && json verify 4 verify -r "$store" &&
        jq_is '.verdict == "healthy" and .nested[0].verdict == "healthy" and .nested[1].verdict == "corrupt"' &&
        runs 4 verify -r "$store" && first_line 'corrupt: 1 of 3 stores' &&
        grep -q "^corrupt: $store/platform/billing: " "$scratch/out" &&
        tail -n 1 "$scratch/out" | grep -qx "next: vsctl repair --dry-run $store/platform/billing" &&
        runs 4 verify -rq "$store" && same 1 "$(wc -l <"$scratch/out")"
}

# The directory above the stores holds no collection of its own.
nested_below_a_plain_directory() {
    fixture healthy-nested-stores && json verify 0 verify -r "$store/platform" &&
        jq_is '.summary.collections == 0 and (.nested | length) == 1'
}

nested_and_collections() {
    fixture healthy-nested-stores && runs 16 verify -r "$store" remediations && err_has 'name no collection with it'
}

nested_nothing() {
    mkdir -p "$scratch/bare/dir" && echo x >"$scratch/bare/file" && json error 8 verify -r "$scratch/bare" &&
        runs 8 verify -r "$scratch/none"
}

check "a healthy store" healthy
check "a healthy store as JSON" healthy_as_json
check "the store of the incident" incident
check "the store of the incident as JSON" incident_as_json
check "not everything could be looked at" unverified
check "the members that scripts rely on" members
check "a lost metadata file in a compressed store" gzip_incident
check "an empty collection is a warning" empty_collection
check "--fail-on never" fail_on_never
check "a store that is silently wrong" silently_wrong
check "nothing is written" nothing_is_written
check "threads change nothing" same_with_one_thread
check "a path that is not there is not made" missing_path
check "something that is no store" not_a_store
check "a collection directory in place of the store" collection_directory_as_store
check "a collection that is not there" no_such_collection
check "VSCTL_STORE" store_from_environment
check "--vectorstore-path" store_from_option
check "no store" no_store
check "one collection" one_collection
check "several collections" several_collections
check "one collection named twice" same_collection_twice
check "--quiet" quiet
check "--verbose" verbose
check "notes are counted and shown when asked for" infos_are_counted
check "many findings of a kind" many_of_a_kind
check "--quick" quick
check "--explain" explained
check "--max-findings" most_findings
check "names that would steer a terminal or a shell" hostile_names
check "the next command can be pasted" next_can_be_pasted
check "lines fit a terminal" lines_fit
check "colours of the verdict" colors
check "--compression" other_compression
check "an encrypted export" encrypted_export
check "keys of a wrong length" short_key
check "--against" against_an_export
check "--recursive" nested
check "--recursive finds damage" nested_damage
check "--recursive below a directory that is no store" nested_below_a_plain_directory
check "--recursive takes no collections" nested_and_collections
check "--recursive where there is no store" nested_nothing
finish_cli
