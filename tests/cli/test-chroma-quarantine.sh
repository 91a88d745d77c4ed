#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# quarantine of a Chroma collection: rows and index directory leave together, the others stay as they are, and the same
# records come back.
set -u
. "${SOURCE_ROOT:?}/tests/cli/chroma.sh"
docs=a1ec23ea-d7a3-40ca-8c8b-e39b3d781fd3
segment=24e69c0e-7aba-41e6-934b-8f72a5d57d41

truth_holds() {
    "$python" "$source/tests/cli/chroma-truth.py" "$vsctl" "$store" "$data/base-truth.json" 0
}

tree_of() {
    (cd "$1" && find . -printf '%P %y %m\n' | LC_ALL=C sort && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum)
}

# Rows of all collections but one, by their ids.
others() {
    sqlite3 "$1/chroma.sqlite3" "SELECT s.collection, e.*, m.* FROM embeddings e JOIN segments s ON s.id = e.segment_id JOIN embedding_metadata m ON m.id = e.id
        WHERE s.collection <> '$docs' ORDER BY 1, 2, m.key; SELECT * FROM embeddings_queue WHERE topic NOT LIKE '%$docs' ORDER BY 1;
        SELECT * FROM max_seq_id WHERE segment_id IN (SELECT id FROM segments WHERE collection <> '$docs') ORDER BY 1"
}

leaves_whole() {
    fresh base && others "$store" >"$scratch/others" && json change 0 quarantine add --yes --reason test "$store" docs &&
        jq_is '[.plan[] | select(.loses == "documents")] | length == 1' && [ ! -e "$store/$segment" ] && runs 0 verify "$store" && out_has "2 collections, 41 documents" &&
        others "$store" | diff "$scratch/others" - && runs 0 quarantine list "$store" && out_has docs && out_has test &&
        runs 0 quarantine show "$store" docs && out_has "38"
}

# The item is a store by itself.
item_is_a_store() {
    fresh base && runs 0 quarantine add --yes "$store" $docs && runs 0 verify --level deep "$store"/.quarantine/$docs.*Z/ && out_has "1 collection, 38 documents"
}

comes_back() {
    fresh base && runs 0 quarantine add --yes "$store" docs && json change 0 quarantine release --yes "$store" docs && truth_holds &&
        runs 0 verify --level deep "$store" && [ ! -e "$store/.quarantine" ]
}

# Others have its numbers by then.
comes_back_among_others() {
    fresh base && runs 0 quarantine add --yes "$store" notes && sqlite3 "$store/chroma.sqlite3" "INSERT INTO embeddings(id, segment_id, embedding_id, seq_id)
            SELECT (SELECT max(id) + 1 FROM embeddings), id, 'new', 95 FROM segments WHERE collection = '470e2546-7e6e-4cd5-8cc3-9d6ea7dc22a7' AND scope = 'METADATA';
        INSERT INTO embeddings_queue SELECT 95, created_at, 0, topic, 'new', vector, encoding, '{}' FROM embeddings_queue WHERE seq_id = 94;
        UPDATE max_seq_id SET seq_id = 95 WHERE seq_id = 94" && runs 0 verify "$store" && runs 0 quarantine release --yes "$store" notes && runs 0 verify --level deep "$store" &&
        out_has "3 collections, 80 documents"
}

conflicts_are_listed() {
    fresh base && runs 0 quarantine add --yes "$store" docs && sqlite3 "$store/chroma.sqlite3" "UPDATE collections SET name = 'docs' WHERE name = 'notes'" &&
        unchanged runs 4 quarantine release --yes "$store" docs && out_has quarantine-conflict && out_has "another collection of that name" &&
        sqlite3 "$store/chroma.sqlite3" "UPDATE collections SET name = 'notes' WHERE name = 'docs'" && mkdir "$store/$segment" &&
        unchanged runs 4 quarantine release --yes "$store" docs && out_has "directory of the name"
}

both_are_taken_back() {
    fresh base && tree_of "$store" >"$scratch/before" && runs 0 quarantine add --yes "$store" docs && runs 0 quarantine release --yes "$store" docs &&
        runs 0 undo --yes "$store" && runs 0 undo --yes "$store" && tree_of "$store" | diff "$scratch/before" -
}

# A damaged collection leaves, and the others are whole.
damaged_collection() {
    fresh link-out-of-range && runs 0 quarantine add --yes "$store" notes && runs 0 verify "$store" && runs 0 quarantine release --yes "$store" notes &&
        json verify 4 verify "$store" && jq_is '[.findings[].code] == ["chroma-index-link"]'
}

never_saved() {
    fresh base && runs 0 quarantine add --yes "$store" fresh && runs 0 verify "$store" && runs 0 quarantine release --yes "$store" fresh && truth_holds
}

purged_with_a_copy() {
    fresh base && runs 0 quarantine add --yes "$store" docs && unchanged runs 8 quarantine purge --yes "$store" docs &&
        cp -a "$store"/.quarantine/$docs.*Z "$scratch/copy" && runs 0 quarantine purge --yes --copy "$scratch/copy" "$store" docs && ! compgen -G "$store/.quarantine/$docs*" >/dev/null &&
        runs 0 verify "$store"
}

dry_run_changes_nothing() {
    fresh base && unchanged json change 0 quarantine add --dry-run "$store" docs && jq_is '(.applied | not) and (.plan | length) > 3'
}

bad_input() {
    fresh base && unchanged runs 16 quarantine add --yes "$store" nonsense && err_has "no such collection" && unchanged runs 16 quarantine add --yes "$store" docs notes &&
        unchanged runs 16 quarantine add --yes "$store" docs/header.bin && runs 8 quarantine release --yes "$store" nothing &&
        fresh sqlite-page-damage && unchanged runs 8 quarantine add --yes "$store" docs
}

# Rows that a repair has set aside come back with undo.
rows_of_a_repair() {
    fresh base && sqlite3 "$store/chroma.sqlite3" "INSERT INTO embedding_metadata VALUES(99999, 'k', 'v', NULL, NULL, NULL)" && runs 1 repair --yes "$store" &&
        runs 8 quarantine release --yes "$store" database && err_has "vsctl undo"
}

check "rows and index leave together" leaves_whole
check "an item is a store by itself" item_is_a_store
check "a collection comes back" comes_back
check "a collection comes back among others" comes_back_among_others
check "what stands in the way is listed" conflicts_are_listed
check "both are taken back" both_are_taken_back
check "a damaged collection" damaged_collection
check "a collection that was never saved" never_saved
check "purged with a copy" purged_with_a_copy
check "a dry run changes nothing" dry_run_changes_nothing
check "rows of a repair" rows_of_a_repair
check "bad input" bad_input
finish_cli
