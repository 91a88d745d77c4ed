# SPDX-License-Identifier: Apache-2.0
"""migrate.py WHAT COLLECTION [COUNT]: a migration of the store in VSCTL_STORE, as tests of `vsctl guard` need it.

    lose      the first COUNT documents go
    gain      COUNT documents come
    zero      the vectors of COUNT documents become zeros; nan: not finite
    halve     the vectors of COUNT documents get half as many elements
    drop-key  the metadata key "n" goes from COUNT documents; empty-key: gets no text; word-key: a word
    rename    every document goes to a collection called COLLECTION-new
    new-ids   every document gets another id

Documents are those that tests/kit/chromemstore.py writes: doc-0, doc-1, ...
"""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../kit"))
import chromemstore as kit  # noqa: E402

DIMENSION = 8


def main(what, collection, count=0):
    store = os.environ["VSCTL_STORE"]

    def write(i, vector=None, metadata=None, doc_id=None, into=collection):
        kit.write_document(store, into, doc_id or f"doc-{i}", f"text {i}",
                           vector or kit.unit_vector(i, DIMENSION), metadata or {"n": str(i)})

    there = len(os.listdir(os.path.join(store, kit.hash8(collection)))) - 1
    if what == "rename":
        kit.write_collection(store, collection + "-new")
        for i in range(there):
            write(i, into=collection + "-new")
        shutil.rmtree(os.path.join(store, kit.hash8(collection)))
        return
    if what == "new-ids":
        for i in range(there):
            os.unlink(kit.document_path(store, collection, f"doc-{i}"))
            write(i, doc_id=f"chunk-{i}")
        return
    for i in range(count):
        if what == "lose":
            os.unlink(kit.document_path(store, collection, f"doc-{i}"))
        elif what == "gain":
            write(there + i)
        elif what == "zero":
            write(i, [0.0] * DIMENSION)
        elif what == "nan":
            write(i, [float("nan")] * DIMENSION)
        elif what == "halve":
            write(i, kit.unit_vector(i, DIMENSION // 2))
        elif what == "drop-key":
            write(i, metadata={"other": str(i)})
        elif what == "empty-key":
            write(i, metadata={"n": ""})
        elif what == "word-key":
            write(i, metadata={"n": f"word {i}"})
        else:
            sys.exit(f"{what}?")


main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
