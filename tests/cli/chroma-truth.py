#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# chroma-truth.py VSCTL STORE TRUTH LOST: does the store hold what a client has written? Texts and metadata are read
# from the database, vectors from the index and the queue by Python's own pickle; of each ASK_EVERY-th record
# `vsctl inspect` has to say the same. LOST: how many records may be without a vector. "text": vectors are not looked at.
# Prints each difference; exit status 1 when there is any.
import json
import sqlite3
import subprocess
import sys

from chromavectors import vectors_of

ASK_EVERY = 12

vsctl, store, truth, lost = sys.argv[1:5]
wrong = []
without = 0
db = sqlite3.connect("file:" + store + "/chroma.sqlite3?immutable=1", uri=True)


def records(collection):
    rows = db.execute(
        "SELECT e.embedding_id, e.id FROM embeddings e JOIN segments s ON s.id = e.segment_id "
        "WHERE s.scope = 'METADATA' AND s.collection = ?", (collection,)).fetchall()
    out = {}
    for name, row in rows:
        metadata = {}
        for key, text, integer, real, truth_value in db.execute(
                "SELECT key, string_value, int_value, float_value, bool_value FROM embedding_metadata WHERE id = ?", (row,)):
            metadata[key] = (text if text is not None else integer if integer is not None else real if real is not None
                             else bool(truth_value))
        for key, text, integer, real, truth_value in db.execute(
                "SELECT key, string_value, int_value, float_value, bool_value FROM embedding_metadata_array WHERE id = ? "
                "ORDER BY rowid", (row,)):
            metadata.setdefault(key, []).append(text if text is not None else integer if integer is not None else real)
        document = metadata.pop("chroma:document", None)
        searched = db.execute("SELECT string_value FROM embedding_fulltext_search WHERE rowid = ?", (row,)).fetchone()
        if (searched[0] if searched else None) != document:
            wrong.append(f"{name}: the full-text table has {searched}")
        out[name] = document, metadata
    return out


def close(a, b):
    return abs(a - b) <= 1e-5 * max(1.0, abs(a))


def is_written(want, got):
    return len(got) == len(want) and all(map(close, want, got))


def inspected(collection, name):
    r = subprocess.run([vsctl, "inspect", "--vector", "--json", store, collection, name], capture_output=True, check=False)
    return json.loads(r.stdout)["document"].get("vector") if r.returncode == 0 else None


with open(truth, encoding="utf-8") as f:
    truth = json.load(f)
for name, collection in truth.items():
    have = records(collection["id"])
    vectors = {} if lost == "text" else vectors_of(db, store, collection["id"], collection["space"] == "cosine")
    for record in set(have) ^ set(collection["recs"]):
        wrong.append(f"{name}: {record} is {'extra' if record in have else 'gone'}")
    for number, (record, want) in enumerate(collection["recs"].items()):
        if record not in have:
            continue
        document, metadata = have[record]
        if document != want["d"] or metadata != (want["m"] or {}):
            wrong.append(f"{name}: {record} is {document} {metadata}")
        if lost == "text":
            continue
        answers = [vectors.get(record)]
        if number % ASK_EVERY == 0:
            answers.append(inspected(collection["id"], record))
        without += not answers[0]
        for got in answers:
            if bool(got) != bool(answers[0]) or got and not is_written(want["e"], got):
                wrong.append(f"{name}: the vectors of {record} are {answers}")
if lost != "text" and without != int(lost):
    wrong.append(f"{without} without a vector, and not {lost}")
print("\n".join(wrong))
sys.exit(1 if wrong else 0)
