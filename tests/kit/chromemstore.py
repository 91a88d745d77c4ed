# SPDX-License-Identifier: Apache-2.0
"""
Writing chromem stores for tests, in the way chromem-go writes them: a document is truncated and
written again under the first 8 hex digits of the SHA-256 of its id, its collection's directory is
made when it is not there. The bytes of the type descriptors are those that a fresh chromem-go
process writes; they are read from the store in tests/data.
"""
import hashlib
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = os.path.join(HERE, "../data/chromem/healthy-example/store/ab5aa970")


def hash8(name):
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def uint(n):
    if n < 0x80:
        return bytes([n])
    raw = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([0x100 - len(raw)]) + raw


def text(s):
    raw = s.encode()
    return uint(len(raw)) + raw


def float32(x):
    # Go sends a float as the reversed bytes of the float64, as an unsigned integer.
    raw = struct.pack("<d", struct.unpack("<f", struct.pack("<f", x))[0])
    return uint(int.from_bytes(raw, "big"))


def descriptors(path):
    """All messages of a file but the last, and the type id of the last."""
    with open(path, "rb") as f:
        data = f.read()
    at, start = 0, 0
    while at < len(data):
        start = at
        size = data[at]
        at += 1
        if size >= 0x80:
            n = 0x100 - size
            size = int.from_bytes(data[at:at + n], "big")
            at += n
        body = at
        at += size
    n = 0x100 - data[body] if data[body] >= 0x80 else 0
    return data[:start], data[body:body + n + 1]


DOCUMENT, DOCUMENT_ID = descriptors(os.path.join(SAMPLE, "ea503d89.gob"))
METADATA, METADATA_ID = descriptors(os.path.join(SAMPLE, "00000000.gob"))


def message(types, type_id, value):
    body = type_id + value + b"\0"
    return types + uint(len(body)) + body


def pairs(metadata):
    return uint(len(metadata)) + b"".join(text(k) + text(v) for k, v in metadata.items())


def collection_file(name, metadata=None):
    value = uint(1) + text(name)
    if metadata:
        value += uint(1) + pairs(metadata)
    return message(METADATA, METADATA_ID, value)


def document_file(doc_id, content, embedding, metadata=None):
    value = uint(1) + text(doc_id)
    skip = 1
    if metadata:
        value += uint(1) + pairs(metadata)
    else:
        skip += 1
    value += uint(skip) + uint(len(embedding)) + b"".join(float32(x) for x in embedding)
    if content:
        value += uint(1) + text(content)
    return message(DOCUMENT, DOCUMENT_ID, value)


def write_as_go(path, data):
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def write_collection(store, name, metadata=None):
    write_as_go(os.path.join(store, hash8(name), "00000000.gob"), collection_file(name, metadata))


def document_path(store, collection, doc_id):
    return os.path.join(store, hash8(collection), hash8(doc_id) + ".gob")


def write_document(store, collection, doc_id, content, embedding, metadata=None):
    write_as_go(document_path(store, collection, doc_id), document_file(doc_id, content, embedding, metadata))


def unit_vector(seed, dimension):
    digest = hashlib.sha256(str(seed).encode()).digest()
    raw = [digest[i % 32] - 127.5 + i for i in range(dimension)]
    norm = sum(x * x for x in raw) ** 0.5
    return [x / norm for x in raw]


if __name__ == "__main__":
    # chromemstore.py STORE COLLECTION FIRST COUNT [DIMENSION]: documents doc-FIRST, ...
    import sys

    where, collection, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    dimension = int(sys.argv[5]) if len(sys.argv) > 5 else 8
    if not os.path.exists(os.path.join(where, hash8(collection), "00000000.gob")):
        write_collection(where, collection)
    for i in range(first, first + count):
        write_document(where, collection, f"doc-{i}", f"text {i}", unit_vector(i, dimension), {"n": str(i)})
