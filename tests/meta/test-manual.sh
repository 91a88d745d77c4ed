#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The manual and the tests have what the tables have: problem codes with their severity, effect and remedy, and the
# bytes of the example files.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"
cd "$source" || exit 1
problems=man/vsctl-problems.7
store=tests/data/chromem/healthy-example/store/ab5aa970

# "code error refused quarantine-document" for each row of the table.
table() {
    sed -nE 's/^PROBLEM\([A-Z0-9_]+, "([a-z0-9-]+)", SEV_([A-Z]+), EFFECT_([A-Z]+), REMEDY_([A-Z_]+),.*/\1 \2 \3 \4/p' \
        libcore/check/problems.def | awk '{ gsub("_", "-", $4); print $1, tolower($2), tolower($3), tolower($4) }'
}

# The same from the page: ".It Sy code Pq error , refused , quarantine document".
page() {
    sed -nE 's/^\.It Sy ([a-z0-9-]+) Pq ([a-z]+) , ([a-z]+) , ([a-z -]+)$/\1 \2 \3|\4/p' "$problems" |
        tr ' |' '- ' | sed -E 's/^(.*)-([a-z]+)-([a-z]+) ([a-z-]+)$/\1 \2 \3 \4/'
}

table_is_read_whole() {
    [ "$(table | wc -l)" -eq "$(grep -c '^PROBLEM(' libcore/check/problems.def)" ] && [ "$(table | wc -l)" -gt 50 ]
}

every_problem_has_its_paragraph() {
    diff <(table | LC_ALL=C sort) <(page | LC_ALL=C sort)
}

# A heading alone explains nothing.
paragraphs_have_text() {
    awk '
        /^\.It Sy / || /^\.El/ { if (code != "" && text < 50) { print code ": " text " letters"; bad = 1 } }
        /^\.It Sy / { code = $3; text = 0; next }
        /^\.El/ { code = "" }
        !/^\./ { text += length($0) }
        END { exit bad }' "$problems"
}

every_remedy_is_explained() {
    local remedy bad=0
    for remedy in $(table | awk '$4 != "none" { print $4 }' | sort -u); do
        grep -qx "\.It ${remedy//-/ }" "$problems" || { echo "$remedy" && bad=1; }
    done
    return $bad
}

# "rename document nothing" for each automatic remedy, "by hand" for the others.
remedies() {
    tr '\n' ' ' <libcore/check/remedies.def | grep -oE 'REMEDY\([A-Z_]+, "[a-z-]+", (true|false), "[a-z]+"' |
        sed -E 's/.*, "([a-z-]+)", (true|false), "([a-z]+)"/\1 \2 \3/' | grep -v '^none ' |
        awk '{ name = $1; gsub("-", " ", name); print $2 == "true" ? name ": Automatic, loses " $3 "." : name ": Not automatic." }'
}

every_remedy_says_what_it_loses() {
    diff <(remedies | LC_ALL=C sort) <(awk '
        /^\.Ss Remedies/ { inside = 1 }
        inside && /^\.El/ { exit }
        inside && /^\.It / { name = substr($0, 5); getline; print name ": " $0 }' "$problems" | LC_ALL=C sort)
}

every_problem_has_a_repair_test() {
    local code bad=0
    for code in $(table | cut -d ' ' -f 1 | grep '^chromem-' | grep -v '^chromem-export-'); do
        grep -qF "\"$code\"" tests/check/test-repair.c || { echo "tests/check/test-repair.c does not repair $code" && bad=1; }
    done
    return $bad
}

every_problem_has_a_test() {
    local code bad=0
    for code in $(table | cut -d ' ' -f 1); do
        grep -qF "\"$code\"" tests/check/*.c || grep -qw -- "$code" tests/cli/test-chroma.sh tests/data/chroma/findings.tsv ||
            { echo "no test in tests/check or tests/cli names $code" && bad=1; }
    done
    return $bad
}

every_cause_is_explained() {
    diff <(grep -oE '\[CAUSE_[A-Z_]+\] = \{ "[a-z-]+"' libcore/check/explain.c | cut -d '"' -f 2 | LC_ALL=C sort) \
        <(sed -nE 's/^\.It Em ([a-z-]+)$/\1/p' "$problems")
}

# The n-th annotated listing of vsctl-chromem(5) as plain hex, each line's offset checked on the way.
listing() {
    awk -v want="$1" '
        /^\.Bd -literal$/ { n++ }
        /^\.Ed/ { inside = 0 }
        n == want && /^[0-9a-f][0-9a-f]  / {
            if ($1 != sprintf("%02x", at)) { print "offset " $1 " should be " sprintf("%02x", at) }
            for (rest = substr($0, 5); rest ~ /^[0-9a-f][0-9a-f]( |$)/; rest = substr(rest, 4)) {
                printf "%s", substr(rest, 1, 2)
                at++
            }
        }' man/vsctl-chromem.5
}

bytes_are_those_of_the_file() {
    diff <(listing "$1") <(od -An -v -tx1 "$store/$2" | tr -d ' \n')
}

check "the problem table is read whole" table_is_read_whole
check "every problem has its paragraph and no paragraph lacks a problem" every_problem_has_its_paragraph
check "every problem has a test" every_problem_has_a_test
check "paragraphs have text" paragraphs_have_text
check "every remedy is explained" every_remedy_is_explained
check "every remedy says whether it is automatic and what it loses" every_remedy_says_what_it_loses
check "every problem of a directory has a test of its repair" every_problem_has_a_repair_test
check "every cause is explained, in order" every_cause_is_explained
check "the metadata file byte by byte" bytes_are_those_of_the_file 1 00000000.gob
check "the document byte by byte" bytes_are_those_of_the_file 2 ea503d89.gob
finish
