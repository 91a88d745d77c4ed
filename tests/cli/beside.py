#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server that never rests: beside.py STORE SEGMENT

Numbers its transactions, each of which writes two rows that must agree, and every fiftieth time rewrites all
index files of SEGMENT with the number in them before it notes the number in the database, as the
server does. Ends when it is killed.
"""

import os
import sqlite3
import sys
import time

store, segment = sys.argv[1:]
database = sqlite3.connect(os.path.join(store, "chroma.sqlite3"), isolation_level=None, timeout=20)
directory = os.path.join(store, segment)
names = sorted(os.listdir(directory))
number = 0
while True:
    number += 1
    if number % 50 == 0:
        for name in names:
            with open(os.path.join(directory, name), "r+b") as file:
                file.write(number.to_bytes(8, "little"))
    database.execute("BEGIN IMMEDIATE")
    for key in ("one", "two"):
        database.execute("DELETE FROM collection_metadata WHERE collection_id = 'beside' AND key = ?", (key,))
        database.execute(
            "INSERT INTO collection_metadata (collection_id, key, int_value) VALUES ('beside', ?, ?)", (key, number))
    if number % 50 == 0:
        database.execute("DELETE FROM collection_metadata WHERE collection_id = 'beside' AND key = 'persisted'")
        database.execute(
            "INSERT INTO collection_metadata (collection_id, key, int_value) VALUES ('beside', 'persisted', ?)", (number,))
    database.execute("COMMIT")
    time.sleep(0.002)
