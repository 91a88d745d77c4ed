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
import sqlite3
import struct
import subprocess
import sys

from chromavectors import vectors_of

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
