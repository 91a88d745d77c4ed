# SPDX-License-Identifier: Apache-2.0
"""zero-element.py: in the index of the Chroma store VSCTL_STORE, a vector of "docs" becomes zeros.

header.bin begins with a 32-bit number and six of 64 bits, of which the fourth says how long the record of an element is
and the last where in it the vector begins (libcore/hnsw/hnsw.h). It is the second: the first has a newer vector in the
queue.
"""

import os
import sqlite3
import struct

store = os.environ["VSCTL_STORE"]
database = sqlite3.connect(os.path.join(store, "chroma.sqlite3"))
segment, dimension = database.execute(
    "SELECT s.id, dimension FROM segments s JOIN collections c ON c.id = s.collection WHERE name = 'docs' AND scope = 'VECTOR'"
).fetchone()
with open(os.path.join(store, segment, "header.bin"), "rb") as header:
    _, _, _, _, record, _, vector = struct.unpack("<i6Q", header.read(52))
assert record > vector + 4 * dimension
with open(os.path.join(store, segment, "data_level0.bin"), "r+b") as elements:
    elements.seek(record + vector)
    elements.write(bytes(4 * dimension))
