#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chromastore.py BASE STORE COLLECTIONS RECORDS DIMS: a Chroma store of any size, without a server

BASE is the database of a store that a server wrote; its schema and migrations are taken, and nothing else. The new store
has COLLECTIONS collections of RECORDS records in all, each with a text of some 80 words and four values of metadata. All
vectors are in the write-ahead queue, and the positions say that the index has taken them in: `vsctl index rebuild`
writes the index from there, and `chromastore.py --purge STORE` then empties the queue as the server does.
Vectors are clustered and of low rank, as embeddings are.
"""

import json
import os
import random
import shutil
import sqlite3
import struct
import sys
import uuid

WORDS = ("vector store index collection record search nearest graph link level queue row segment answer server "
         "question memory context token model layer batch write read page tree leaf key value time").split()


def make_vectors(rng, count, dims):
    rank = min(dims, 24)
    axes = [[rng.gauss(0, 1) for _ in range(dims)] for _ in range(rank)]
    centres = [[rng.gauss(0, 1) for _ in range(rank)] for _ in range(40)]
    for _ in range(count):
        centre = rng.choice(centres)
        weights = [c + rng.gauss(0, 0.3) for c in centre]
        yield [sum(w * a[i] for w, a in zip(weights, axes)) for i in range(dims)]


def vectors(seed, count, dims):
    """Packed float32; with numpy where it is at hand, which is a hundred times as fast."""
    try:
        import numpy
    except ImportError:
        for v in make_vectors(random.Random(seed), count, dims):
            yield struct.pack(f"<{dims}f", *v)
        return
    rng = numpy.random.default_rng(seed)
    rank = min(dims, 24)
    axes = rng.standard_normal((rank, dims))
    centres = rng.standard_normal((40, rank))
    picks = rng.integers(0, 40, count)
    weights = centres[picks] + rng.standard_normal((count, rank)) * 0.3
    for v in (weights @ axes).astype("<f4"):
        yield v.tobytes()


def add_collection(db, number, first, count, dims):
    rng = random.Random(number)
    collection, vector, metadata = (str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(3))
    database = db.execute("SELECT id FROM databases LIMIT 1").fetchone()[0]
    config = json.dumps({"hnsw": {"space": "l2", "ef_construction": 100, "ef_search": 100, "max_neighbors": 16,
                                  "sync_threshold": 1000}})
    db.execute("INSERT INTO collections(id, name, dimension, database_id, config_json_str) VALUES(?, ?, ?, ?, ?)",
               (collection, f"collection_{number:03}", dims, database, config))
    for segment, kind, scope in ((vector, "urn:chroma:segment/vector/hnsw-local-persisted", "VECTOR"),
                                 (metadata, "urn:chroma:segment/metadata/sqlite", "METADATA")):
        db.execute("INSERT INTO segments VALUES(?, ?, ?, ?)", (segment, kind, scope, collection))
    topic = f"persistent://default/default/{collection}"
    values, queue, rows, texts = [], [], [], []
    for i, packed in enumerate(vectors(number, count, dims)):
        row = first + i
        text = " ".join(rng.choice(WORDS) for _ in range(80))
        rows.append((row, metadata, f"id-{row}", row))
        values += [(row, "chroma:document", text, None, None, None), (row, "page", None, i, None, None),
                   (row, "lang", rng.choice(("en", "de", "ja")), None, None, None), (row, "w", None, None, i / 8, None),
                   (row, "seen", None, None, None, i % 2)]
        texts.append((row, text))
        queue.append((row, 0, topic, f"id-{row}", packed, "FLOAT32"))
    db.executemany("INSERT INTO embeddings(id, segment_id, embedding_id, seq_id) VALUES(?, ?, ?, ?)", rows)
    db.executemany("INSERT INTO embedding_metadata(id, key, string_value, int_value, float_value, bool_value) "
                   "VALUES(?, ?, ?, ?, ?, ?)", values)
    db.executemany("INSERT INTO embedding_fulltext_search(rowid, string_value) VALUES(?, ?)", texts)
    db.executemany("INSERT INTO embeddings_queue(seq_id, operation, topic, id, vector, encoding) VALUES(?, ?, ?, ?, ?, ?)",
                   queue)
    for segment in (vector, metadata):
        db.execute("INSERT INTO max_seq_id(segment_id, seq_id) VALUES(?, ?)", (segment, first + count - 1))


def make(base, store, collections, records, dims):
    os.makedirs(store)
    path = os.path.join(store, "chroma.sqlite3")
    shutil.copyfile(base, path)
    os.chmod(path, 0o644)
    db = sqlite3.connect(path)
    for table in ("collections", "collection_metadata", "segments", "segment_metadata", "embeddings", "embedding_metadata",
                  "embedding_metadata_array", "embedding_fulltext_search", "embeddings_queue", "max_seq_id"):
        db.execute(f"DELETE FROM {table}")
    first = 1
    for n in range(collections):
        count = records // collections + (n < records % collections)
        add_collection(db, n, first, count, dims)
        first += count
    db.commit()
    db.execute("VACUUM")
    db.close()


def purge(store):
    db = sqlite3.connect(os.path.join(store, "chroma.sqlite3"))
    # The server leaves the last ones, up to which the positions point.
    db.execute("DELETE FROM embeddings_queue WHERE seq_id < (SELECT max(seq_id) FROM embeddings_queue)")
    db.commit()
    db.execute("VACUUM")
    db.close()


if __name__ == "__main__":
    if sys.argv[1] == "--purge":
        purge(sys.argv[2])
    else:
        make(sys.argv[1], sys.argv[2], *(int(x) for x in sys.argv[3:6]))
