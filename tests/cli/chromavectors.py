# SPDX-License-Identifier: Apache-2.0
"""
The vectors of a Chroma collection, as Python's own sqlite3 and pickle find them in a store: those of the index, and
what the queue has beyond its position.
"""
import os
import pickle
import struct


class Persistent:
    pass


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        return Persistent


def elements(directory, is_cosine):
    """{label: vector} of an index directory, by the layout in its header. For cosine it has vectors of length 1."""
    with open(os.path.join(directory, "header.bin"), "rb") as f:
        header = struct.unpack("<iQQQQQQiIQQQdQ", f.read(100))
    count, record, label_at, vector_at = header[3:7]
    with open(os.path.join(directory, "data_level0.bin"), "rb") as f:
        data = f.read()
    lengths = [1] * count
    if is_cosine:
        with open(os.path.join(directory, "length.bin"), "rb") as f:
            lengths = struct.unpack(f"<{count}f", f.read(4 * count))
    found = {}
    for i in range(count):
        at = i * record
        if data[at + 2] & 1:
            continue
        label, = struct.unpack_from("<Q", data, at + label_at)
        found[label] = [x * lengths[i] for x in struct.unpack_from(f"<{(label_at - vector_at) // 4}f", data, at + vector_at)]
    return found


def number(value):
    return int.from_bytes(value, "big") if isinstance(value, bytes) else value


def vectors_of(db, store, collection, is_cosine=False):
    segment, = db.execute("SELECT id FROM segments WHERE collection = ? AND scope = 'VECTOR'",
                          (collection,)).fetchone()
    vectors, position = {}, 0
    path = os.path.join(store, segment, "index_metadata.pickle")
    if os.path.exists(path):
        with open(path, "rb") as f:
            state = Unpickler(f).load()
        state = state if isinstance(state, dict) else vars(state)
        row = db.execute("SELECT seq_id FROM max_seq_id WHERE segment_id = ?", (segment,)).fetchone()
        position = number(row[0]) if row else state["max_seq_id"] or 0
        by_label = elements(os.path.dirname(path), is_cosine)
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
