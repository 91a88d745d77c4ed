# SPDX-License-Identifier: Apache-2.0
"""
brute-force.py VSCTL STORE COLLECTION SPACE: the answers of `vsctl search` against sorting all vectors

The vectors come on standard input as JSON {id: [number, ...]}, from whoever wrote the store. Some are
searched for by their id and by their values, in both forms of a file; each answer must have the ids
in the order of distances computed here in double precision, as far as these can be told apart. SPACE
is l2, cosine, ip, or similarity for chromem.

brute-force.py VSCTL STORE: the same for every collection of a Chroma store, with the vectors that
Python's own sqlite3 and pickle find in it.
"""
import json
import math
import os
import pickle
import sqlite3
import struct
import subprocess
import sys

CLOSE = 2e-5
QUERIES = 4  # of each collection


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def score(space, a, b):
    if space == "l2":
        return sum((x - y) ** 2 for x, y in zip(a, b))
    if space == "ip":
        return 1 - dot(a, b)
    similarity = dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))
    return similarity if space == "similarity" else 1 - similarity


def ask(vsctl, store, collection, arguments, data):
    done = subprocess.run([vsctl, "search", "--json", *arguments, store, collection],
                          input=data, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{arguments}: status {done.returncode}: {done.stderr.decode()}{done.stdout.decode()}")
    return json.loads(done.stdout)


def judge(space, vectors, query, answer, count):
    sign = -1 if space == "similarity" else 1
    scores = {key: score(space, query, value) for key, value in vectors.items()}
    best = sorted(sign * s for s in scores.values())[:count]
    found = answer["results"]
    if len(found) != min(count, len(vectors)) or len({hit["id"] for hit in found}) != len(found):
        sys.exit(f"{len(found)} hits: {answer}")
    for hit, expected in zip(found, best):
        scale = max(1, abs(expected))
        if abs(scores[hit["id"]] - hit["score"]) > CLOSE * scale or \
                abs(sign * hit["score"] - expected) > CLOSE * scale:
            sys.exit(f"rank {hit['rank']}: {hit}, own distance {scores[hit['id']]}, best {expected}")
    return answer


def judge_all(vsctl, store, collection, space, vectors):
    for at in range(0, len(vectors), max(1, len(vectors) // QUERIES)):
        key, value = list(vectors.items())[at]
        count = 1 + at % 12
        number = ["-k", str(count)]
        raw = struct.pack(f"<{len(value)}f", *value)
        text = json.dumps([value] if at % 2 else value).encode()
        for arguments, data in ((["--id", key], b""), (["--vector", "-"], text),
                                (["--vector", "-", "--vector-format", "float32", "--exact"], raw)):
            answer = judge(space, vectors, value,
                           ask(vsctl, store, collection, number + arguments, data), count)
            if answer["compared"] != len(vectors) or answer["gaps"]:
                sys.exit(f"compared {answer['compared']} of {len(vectors)}: {answer['gaps']}")
            # Stores as small as these the index finds whole, but for elements that are cut off.
            if answer["index"] and answer["index"]["recall"] < 0.8:
                sys.exit(f"{arguments}: {answer['index']}")
    print(f"{len(vectors)} vectors of {collection}")


class Persistent:
    pass


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        return Persistent


def elements(directory):
    """{label: vector} of an index directory, by the layout in its header."""
    with open(os.path.join(directory, "header.bin"), "rb") as f:
        header = struct.unpack("<iQQQQQQiIQQQdQ", f.read(100))
    count, record, label_at, vector_at = header[3:7]
    with open(os.path.join(directory, "data_level0.bin"), "rb") as f:
        data = f.read()
    found = {}
    for i in range(count):
        at = i * record
        if data[at + 2] & 1:
            continue
        label, = struct.unpack_from("<Q", data, at + label_at)
        found[label] = struct.unpack_from(f"<{(label_at - vector_at) // 4}f", data, at + vector_at)
    return found


def number(value):
    return int.from_bytes(value, "big") if isinstance(value, bytes) else value


def vectors_of(db, store, collection):
    segment, = db.execute("SELECT id FROM segments WHERE collection = ? AND scope = 'VECTOR'",
                          (collection,)).fetchone()
    vectors, position = {}, 0
    path = os.path.join(store, segment, "index_metadata.pickle")
    if os.path.exists(path):
        with open(path, "rb") as f:
            state = Unpickler(f).load()
        state = state if isinstance(state, dict) else vars(state)
        row = db.execute("SELECT seq_id FROM max_seq_id WHERE segment_id = ?", (segment,)).fetchone()
        position = number(row[0]) if row else state["max_seq_id"]
        by_label = elements(os.path.dirname(path))
        vectors = {key: by_label[label] for key, label in state["id_to_label"].items()}
    for seq, operation, key, blob in db.execute(
            "SELECT seq_id, operation, id, vector FROM embeddings_queue WHERE topic LIKE ? "
            "ORDER BY seq_id", (f"%{collection}",)):
        if seq <= position:
            continue
        if operation == 3:
            vectors.pop(key, None)
        elif blob and (operation == 2 or (operation == 1) == (key in vectors)):
            vectors[key] = struct.unpack(f"<{len(blob) // 4}f", blob)
    return vectors


def main(vsctl, store, collection=None, space=None):
    if collection:
        judge_all(vsctl, store, collection, space, json.load(sys.stdin))
        return
    shown = subprocess.run([vsctl, "inspect", "--json", store], capture_output=True, check=True)
    db = sqlite3.connect(f"file:{store}/chroma.sqlite3?immutable=1", uri=True)
    for row in json.loads(shown.stdout)["collections"]:
        vectors = vectors_of(db, store, row["id"])
        if len(vectors) != row["documents"]:
            sys.exit(f"{row}: {len(vectors)} vectors")
        judge_all(vsctl, store, row["id"], row["space"], vectors)


main(*sys.argv[1:])
