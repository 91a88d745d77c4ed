# SPDX-License-Identifier: Apache-2.0
"""
differ.py VSCTL SCRIPT VERSION SHAPE [--every N] [--offset I] [--only TEXT] [--out FILE]: verify against the server

SHAPE is a directory that shapes.mjs has filled with the shape `mixed`: store, truth.json, and earlier, the same store in
the middle of its life. The store is damaged in every way that can be made by rule: each table emptied, dropped, a row of
it deleted, doubled, each column of it of a wrong type; pages of each b-tree zeroed and scrambled; each file of an index
missing, empty, cut, zeroed, lengthened, with flipped bytes, from earlier, from another collection; journals and logs of
another time. Of each the real server is asked what it makes of it, and verify what it says:

    harm and no error        verify is blind
    an error and no harm     verify cries wolf
    repair says mended       and the server is still harmed

Speaks TAP; a difference is `not ok`. Not all of them are faults: a row that is deleted in every table was never there
for anybody who looks at the files alone.
"""
import argparse
import hashlib
import json
import os
import random
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
DB = "chroma.sqlite3"
FILES = ("header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle")


# ---- the ways: name, function of (store, earlier, chance); false: it does not apply ----

def connect(store):
    return sqlite3.connect(f"{store}/{DB}", isolation_level=None)


def edit(how):
    def damage(store, earlier, chance):
        db = connect(store)
        try:
            done = how(db, chance)
        except sqlite3.Error:
            done = False
        db.close()
        return done is not False
    return damage


def schema_edit(*statements):
    """Through the schema table, behind the back of what SQLite would keep."""
    def how(db, chance):
        db.execute("PRAGMA writable_schema = ON")
        for s in statements:
            db.execute(s)
        version = db.execute("PRAGMA schema_version").fetchone()[0]
        db.execute(f"PRAGMA schema_version = {version + 1}")
    return edit(how)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def a_row(db, table, chance):
    rows = [r for r, in db.execute(f"SELECT rowid FROM {quoted(table)}")]
    return chance.choice(rows) if rows else None


def without_constraints(db, table):
    """The table's columns may be anything from now on, until it is opened the next time with its own schema."""
    sql, = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    loose = re.sub(r"\bNOT NULL\b|\bUNIQUE\s*\([^)]*\)", lambda m: "" if m.group().startswith("NOT") else m.group(), sql)
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (loose, table))
    db.execute(f"PRAGMA schema_version = {db.execute('PRAGMA schema_version').fetchone()[0] + 1}")
    return sql


def set_column(table, column, value):
    def damage(store, earlier, chance):
        db = connect(store)
        try:
            row = a_row(db, table, chance)
            if row is None:
                return False
            sql = without_constraints(db, table)
            db.close()
            db = connect(store)
            old = db.execute(f"SELECT typeof({quoted(column)}), {quoted(column)} FROM {quoted(table)} WHERE rowid = ?", (row,)).fetchone()
            db.execute(f"UPDATE {quoted(table)} SET {quoted(column)} = {value} WHERE rowid = ?", (row,))
            new = db.execute(f"SELECT typeof({quoted(column)}), {quoted(column)} FROM {quoted(table)} WHERE rowid = ?", (row,)).fetchone()
            db.execute("PRAGMA writable_schema = ON")
            db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, table))
            return old != new
        except sqlite3.Error:
            return False
        finally:
            db.close()
    return damage


def delete_row(table):
    def how(db, chance):
        row = a_row(db, table, chance)
        return row is not None and db.execute(f"DELETE FROM {quoted(table)} WHERE rowid = ?", (row,)).rowcount > 0
    return edit(how)


def double_row(table):
    """A copy of a row under another key, if the table lets it."""
    def how(db, chance):
        row = a_row(db, table, chance)
        info = db.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
        names = [i[1] for i in info]
        if row is None:
            return False
        values = list(db.execute(f"SELECT {', '.join(map(quoted, names))} FROM {quoted(table)} WHERE rowid = ?", (row,)).fetchone())
        for i in info:
            if i[5]:
                v = values[i[0]]
                values[i[0]] = db.execute(f"SELECT max({quoted(i[1])}) + 1 FROM {quoted(table)}").fetchone()[0] if isinstance(v, int) else (
                    re.sub("^........", f"{chance.getrandbits(32):08x}", v) if isinstance(v, str) and len(v) == 36 else f"{v}x")
        db.execute(f"INSERT INTO {quoted(table)} VALUES ({', '.join('?' * len(values))})", values)
        return True
    return edit(how)


def page(name, kind, how):
    def damage(store, earlier, chance):
        db = connect(store)
        pages = [p for p, in db.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ?", (name, kind))]
        db.close()
        if not pages:
            return False
        at = (chance.choice(pages) - 1) * 4096
        with open(f"{store}/{DB}", "r+b") as f:
            f.seek(at)
            old = f.read(4096)
            new = how(bytearray(old), chance, 100 if at == 0 else 0)
            f.seek(at)
            f.write(new)
        return bytes(new) != old
    return damage


def page_flip(p, chance, at):
    used = [i for i in range(at, 4096) if p[i]]
    p[chance.choice(used)] ^= 1 << chance.randrange(8)
    return p


def index_row_missing(index, table):
    """A row that its index does not have."""
    def how(db, chance):
        row = a_row(db, table, chance)
        saved = db.execute("SELECT * FROM sqlite_master WHERE name = ?", (index,)).fetchone()
        if row is None or saved is None or not saved[4]:
            return False
        db.execute("PRAGMA writable_schema = ON")
        db.execute("DELETE FROM sqlite_master WHERE name = ?", (index,))
        db.execute(f"PRAGMA schema_version = {db.execute('PRAGMA schema_version').fetchone()[0] + 1}")
        db.execute(f"DELETE FROM {quoted(table)} WHERE rowid = ?", (row,))
        db.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", saved)
        db.execute(f"PRAGMA schema_version = {db.execute('PRAGMA schema_version').fetchone()[0] + 1}")
        return True
    return edit(how)


def sql(*statements):
    def how(db, chance):
        return sum(max(db.execute(s).rowcount, 0) for s in statements) > 0
    return edit(how)


def database_ways(store):
    db = connect(store)
    master = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    tables = [n for t, n, _, s in master if t == "table" and not (s or "").startswith("CREATE VIRTUAL")]
    for t in tables:
        yield f"table {t} emptied", sql(f"DELETE FROM {quoted(t)}")
        yield f"table {t} dropped", schema_edit(f"DELETE FROM sqlite_master WHERE tbl_name = '{t}'")
        for i in range(2):
            yield f"table {t} row deleted {i}", delete_row(t)
        yield f"table {t} row doubled", double_row(t)
        for _, column, *_ in db.execute(f"PRAGMA table_info({quoted(t)})").fetchall():
            for what, value in (("null", "NULL"), ("text", "'xyz'"), ("empty", "''"), ("blob", "x'00ff01'"), ("negative", "-7"), ("huge", "9223372036854775807"), ("real", "0.5")):
                yield f"table {t} {column} {what}", set_column(t, column, value)
    yield "virtual table dropped", schema_edit("DELETE FROM sqlite_master WHERE name = 'embedding_fulltext_search'")
    for t, n, of, s in master:
        if t == "index" and s:
            yield f"index {n} dropped", sql_any(f"DROP INDEX {quoted(n)}")
        if t == "index":
            yield f"index {n} lacks a deletion", index_row_missing(n, of)
    for n in sorted({n for t, n, _, s in master if not (s or "").startswith("CREATE VIRTUAL")} | {"sqlite_schema"}):
        for kind in ("leaf", "internal"):
            yield f"page {kind} of {n} zeroed", page(n, kind, lambda p, c, at: p[:at] + bytes(4096 - at))
            yield f"page {kind} of {n} random", page(n, kind, lambda p, c, at: p[:at] + bytearray(c.randbytes(4096 - at)))
            for i in range(3):
                yield f"page {kind} of {n} flipped {i}", page(n, kind, page_flip)
            yield f"page {kind} of {n} half", page(n, kind, lambda p, c, at: p[:2048] + bytes(2048))
    db.close()
    yield from file_ways()
    yield from semantic_ways()


def sql_any(*statements):
    def how(db, chance):
        for s in statements:
            db.execute(s)
    return edit(how)


def patch(path, off, data):
    with open(path, "r+b") as f:
        f.seek(off)
        f.write(data)


def header_bytes(off, data):
    def damage(store, earlier, chance):
        patch(f"{store}/{DB}", off, data)
    return damage


def put(name, data):
    def damage(store, earlier, chance):
        with open(f"{store}/{name}", "wb") as f:
            f.write(data(store, earlier, chance))
    return damage


def old_journal(store, earlier, chance):
    """As a transaction on the store of earlier left it, killed: what it would roll back is not this store any more."""
    work = tempfile.mkdtemp(dir="/dev/shm")
    shutil.copy(f"{earlier}/{DB}", work)
    program = (f"import sqlite3, os; db = sqlite3.connect('{work}/{DB}', isolation_level=None); db.execute('PRAGMA cache_size = 5'); "
               "db.execute('BEGIN'); db.execute(\"UPDATE embedding_metadata SET string_value = string_value || 'x'\"); os._exit(0)")
    subprocess.run([sys.executable, "-c", program], check=False)
    with open(f"{work}/{DB}-journal", "rb") as f:
        data = f.read()
    shutil.rmtree(work)
    return data


def old_wal(store, earlier, chance):
    """Of a time when somebody had the database in WAL mode."""
    work = tempfile.mkdtemp(dir="/dev/shm")
    shutil.copy(f"{earlier}/{DB}", work)
    program = (f"import sqlite3, os; db = sqlite3.connect('{work}/{DB}', isolation_level=None); db.execute('PRAGMA journal_mode = WAL'); "
               "db.execute(\"UPDATE collections SET name = name || 'x'\"); os._exit(0)")
    subprocess.run([sys.executable, "-c", program], check=False)
    with open(f"{work}/{DB}-wal", "rb") as f:
        data = f.read()
    shutil.rmtree(work)
    return data


def file_ways():
    yield "database missing", lambda s, e, c: os.unlink(f"{s}/{DB}")
    yield "database empty", lambda s, e, c: os.truncate(f"{s}/{DB}", 0)
    for part in (0.002, 0.3, 0.9, 0.99):
        yield f"database cut at {part}", lambda s, e, c, part=part: os.truncate(f"{s}/{DB}", int(os.path.getsize(f"{s}/{DB}") * part))
    yield "database lengthened by zeros", lambda s, e, c: os.truncate(f"{s}/{DB}", os.path.getsize(f"{s}/{DB}") + 40960)
    yield "database lengthened oddly", lambda s, e, c: os.truncate(f"{s}/{DB}", os.path.getsize(f"{s}/{DB}") + 1000)
    yield "database last page zeroed", lambda s, e, c: patch(f"{s}/{DB}", os.path.getsize(f"{s}/{DB}") - 4096, bytes(4096))
    yield "database from earlier", lambda s, e, c: shutil.copy(f"{e}/{DB}", f"{s}/{DB}")
    yield "indexes from earlier", lambda s, e, c: [shutil.copytree(f"{e}/{n}", f"{s}/{n}", dirs_exist_ok=True) for n in os.listdir(e) if "-" in n and os.path.isdir(f"{e}/{n}")]
    for what, off, data in (("magic", 0, b"X"), ("page size", 16, b"\x03\x00"), ("write version", 18, b"\x03\x03"), ("wal mode", 18, b"\x02\x02"), ("reserved", 20, b"\x10"),
                            ("payload fractions", 21, b"\0\0\0"), ("pages", 28, struct.pack(">I", 5)), ("pages zero", 28, bytes(4)), ("free list", 32, struct.pack(">II", 3, 7)),
                            ("schema format", 44, struct.pack(">I", 9)), ("encoding", 56, struct.pack(">I", 2)), ("user version", 60, struct.pack(">I", 77)),
                            ("application id", 68, struct.pack(">I", 77)), ("change counter", 24, struct.pack(">I", 1)), ("zeroed", 0, bytes(100))):
        yield f"database header {what}", header_bytes(off, data)
    yield "journal of zeros", put(f"{DB}-journal", lambda s, e, c: bytes(9000))
    yield "journal empty", put(f"{DB}-journal", lambda s, e, c: b"")
    yield "journal random", put(f"{DB}-journal", lambda s, e, c: c.randbytes(9000))
    yield "journal of another time", put(f"{DB}-journal", old_journal)
    yield "wal of another time", put(f"{DB}-wal", old_wal)
    yield "wal empty", put(f"{DB}-wal", lambda s, e, c: b"")
    yield "wal random", put(f"{DB}-wal", lambda s, e, c: c.randbytes(9000))
    yield "shm alone", put(f"{DB}-shm", lambda s, e, c: bytes(32768))
    yield "stray files", put("lost+found.txt", lambda s, e, c: b"hello")
    yield "stray directory", lambda s, e, c: os.mkdir(f"{s}/00000000-0000-0000-0000-000000000001")
    yield "vacuumed", sql_any("VACUUM")
    yield "page size 1024", sql_any("PRAGMA page_size = 1024", "VACUUM")
    yield "auto vacuum", sql_any("PRAGMA auto_vacuum = FULL", "VACUUM")
    yield "wal mode for good", sql_any("PRAGMA journal_mode = WAL")
    yield "extra table", sql_any("CREATE TABLE mine (a)")
    yield "extra index", sql_any("CREATE INDEX mine ON embeddings (created_at)")
    yield "analyzed", sql_any("ANALYZE")


VEC = "(SELECT s.id FROM segments s JOIN collections c ON c.id = s.collection WHERE c.name = '{}' AND s.scope = '{}')"


def semantic_ways():
    for name in ("alpha", "beta", "gamma", "delta", "emptied", "never"):
        of = f"(SELECT id FROM collections WHERE name = '{name}')"
        v, m = VEC.format(name, "VECTOR"), VEC.format(name, "METADATA")
        for scope, s in (("vector", v), ("metadata", m)):
            yield f"{name}: {scope} segment row missing", sql(f"DELETE FROM segments WHERE id = {s}")
            yield f"{name}: {scope} segment of another collection", sql(f"UPDATE segments SET collection = (SELECT id FROM collections WHERE name = 'never') WHERE id = {s} AND '{name}' <> 'never'")
            yield f"{name}: {scope} segment of no collection", sql(f"UPDATE segments SET collection = '11111111-2222-3333-4444-555555555555' WHERE id = {s}")
            yield f"{name}: {scope} segment type unknown", sql(f"UPDATE segments SET type = 'urn:chroma:segment/nothing' WHERE id = {s}")
            yield f"{name}: {scope} position missing", sql(f"DELETE FROM max_seq_id WHERE segment_id = {s}")
            yield f"{name}: {scope} position zero", sql(f"UPDATE max_seq_id SET seq_id = 0 WHERE segment_id = {s}")
            yield f"{name}: {scope} position lower", sql(f"UPDATE max_seq_id SET seq_id = seq_id - 7 WHERE segment_id = {s}")
            yield f"{name}: {scope} position one higher", sql(f"UPDATE max_seq_id SET seq_id = seq_id + 1 WHERE segment_id = {s}")
            yield f"{name}: {scope} position much higher", sql(f"UPDATE max_seq_id SET seq_id = seq_id + 50000 WHERE segment_id = {s}")
            yield f"{name}: {scope} position blob", sql(f"UPDATE max_seq_id SET seq_id = x'0000000000000010' WHERE segment_id = {s}")
            yield f"{name}: {scope} position for all", sql(f"UPDATE max_seq_id SET seq_id = (SELECT max(seq_id) FROM max_seq_id) WHERE segment_id = {s}")
        yield f"{name}: both segment rows missing", sql(f"DELETE FROM segments WHERE collection = {of}")
        yield f"{name}: segments of scopes exchanged", sql(f"UPDATE segments SET scope = CASE scope WHEN 'VECTOR' THEN 'METADATA' ELSE 'VECTOR' END WHERE collection = {of}")
        yield f"{name}: second vector segment", sql(f"INSERT INTO segments SELECT '99999999' || substr(id, 9), type, scope, collection FROM segments WHERE id = {v}")
        yield f"{name}: second metadata segment", sql(f"INSERT INTO segments SELECT '99999999' || substr(id, 9), type, scope, collection FROM segments WHERE id = {m}")
        yield f"{name}: collection row missing", sql(f"DELETE FROM collections WHERE name = '{name}'")
        yield f"{name}: dimension null", sql(f"UPDATE collections SET dimension = NULL WHERE name = '{name}' AND dimension IS NOT NULL")
        yield f"{name}: dimension lower", sql(f"UPDATE collections SET dimension = dimension - 1 WHERE name = '{name}' AND dimension IS NOT NULL")
        yield f"{name}: dimension zero", sql(f"UPDATE collections SET dimension = 0 WHERE name = '{name}'")
        yield f"{name}: renamed as another", sql(f"UPDATE collections SET name = 'gamma', database_id = (SELECT id FROM databases LIMIT 1) WHERE name = '{name}' AND name <> 'gamma'")
        yield f"{name}: database of nobody", sql(f"UPDATE collections SET database_id = 'nowhere' WHERE name = '{name}'")
        yield f"{name}: name upper case", sql(f"UPDATE collections SET name = upper(name) WHERE name = '{name}'")
        for column in ("config_json_str", "schema_str"):
            for what, value in (("cut", f"substr({column}, 1, length({column}) / 2)"), ("array", "'[]'"), ("object", "'{}'"), ("number", "'5'"), ("spaces", "'  '"), ("null word", "'null'"),
                                ("other space", f"replace({column}, '\"l2\"', '\"cosine\"')"), ("unknown space", f"replace({column}, '\"space\":\"', '\"space\":\"x')"),
                                ("no neighbours", f"replace({column}, '\"max_neighbors\":', '\"max_neighbors\":-')"),
                                ("threshold zero", f"replace({column}, '\"sync_threshold\":', '\"sync_threshold\":0.')"), ("extra key", f"replace({column}, '{{\"', '{{\"mine\":1,\"')")):
                yield f"{name}: {column} {what}", sql(f"UPDATE collections SET {column} = {value} WHERE name = '{name}' AND {column} IS NOT NULL AND {column} <> {value}")
        queue = f"topic LIKE '%' || {of}"
        yield f"{name}: queue rows gone", sql(f"DELETE FROM embeddings_queue WHERE {queue}")
        yield f"{name}: highest queue row gone", sql(f"DELETE FROM embeddings_queue WHERE seq_id = (SELECT max(seq_id) FROM embeddings_queue WHERE {queue})")
        yield f"{name}: a queue row in the middle gone", sql(f"DELETE FROM embeddings_queue WHERE seq_id = (SELECT seq_id FROM embeddings_queue WHERE {queue} ORDER BY seq_id LIMIT 1 OFFSET 3)")
        yield f"{name}: queue of another topic", sql(f"UPDATE embeddings_queue SET topic = 'persistent://default/default/' || (SELECT id FROM collections WHERE name = 'never') WHERE {queue}")
        yield f"{name}: queue topic with tenant", sql(f"UPDATE embeddings_queue SET topic = replace(topic, 'default/default', 'acme/one') WHERE {queue}")
        last = f"seq_id = (SELECT max(seq_id) FROM embeddings_queue WHERE {queue} AND vector IS NOT NULL)"
        for what, change in (("operation 9", "operation = 9"), ("vector cut", "vector = substr(vector, 1, length(vector) - 4)"), ("vector odd", "vector = substr(vector, 1, length(vector) - 3)"),
                             ("vector null", "vector = NULL"), ("encoding INT32", "encoding = 'INT32'"), ("encoding null", "encoding = NULL"), ("metadata cut", "metadata = substr(metadata, 1, 5)"),
                             ("metadata null", "metadata = NULL"), ("metadata array", "metadata = '[1]'"), ("document number", "metadata = '{\"chroma:document\":5}'"),
                             ("nested", "metadata = '{\"a\":{\"b\":1}}'"), ("id empty", "id = ''"), ("vector nan", "vector = x'0000c07f' || substr(vector, 5)"), ("vector zeros", "vector = zeroblob(length(vector))"),
                             ("twice", None), ("number of text", "metadata = '{\"n\":\"x\"}'")):
            if change:
                yield f"{name}: last queue row {what}", sql(f"UPDATE embeddings_queue SET {change} WHERE {last}")
        yield f"{name}: records of rows gone", sql(f"DELETE FROM embeddings WHERE segment_id = {m} AND id % 5 = 0")
        yield f"{name}: records gone, all", sql(f"DELETE FROM embeddings WHERE segment_id = {m}")
        yield f"{name}: records and metadata gone", sql(f"DELETE FROM embedding_metadata WHERE id IN (SELECT id FROM embeddings WHERE segment_id = {m} AND id % 7 = 0)", f"DELETE FROM embeddings WHERE segment_id = {m} AND id % 7 = 0")
        yield f"{name}: metadata gone", sql(f"DELETE FROM embedding_metadata WHERE id IN (SELECT id FROM embeddings WHERE segment_id = {m} AND id % 7 = 0)")
        yield f"{name}: documents gone", sql(f"DELETE FROM embedding_metadata WHERE key = 'chroma:document' AND id IN (SELECT id FROM embeddings WHERE segment_id = {m})")
        yield f"{name}: record moved to another collection", sql(f"UPDATE embeddings SET segment_id = {VEC.format('gamma' if name == 'beta' else 'beta', 'METADATA')} WHERE segment_id = {m} AND id % 9 = 0")
        yield f"{name}: record id changed", sql(f"UPDATE embeddings SET embedding_id = embedding_id || '!' WHERE segment_id = {m} AND id % 9 = 0")
        yield f"{name}: seq ids high", sql(f"UPDATE embeddings SET seq_id = seq_id + 90000 WHERE segment_id = {m} AND id % 9 = 0")
        yield f"{name}: seq ids blob", sql(f"UPDATE embeddings SET seq_id = x'0000000000000003' WHERE segment_id = {m} AND id % 9 = 0")
    yield "queue renumbered from one", sql("UPDATE embeddings_queue SET seq_id = -seq_id", "UPDATE embeddings_queue SET seq_id = seq_id + (SELECT -min(seq_id) + 1 FROM embeddings_queue)")
    yield "queue purge off", sql("UPDATE embeddings_queue_config SET config_json_str = replace(config_json_str, 'true', 'false')")
    yield "queue config cut", sql("UPDATE embeddings_queue_config SET config_json_str = '{\"auto'")
    yield "tenants gone", sql("DELETE FROM tenants")
    yield "tenant acme gone", sql("DELETE FROM tenants WHERE id = 'acme'")
    yield "database one gone", sql("DELETE FROM databases WHERE name = 'one'")
    yield "database default gone", sql("DELETE FROM databases WHERE name = 'default_database'")
    yield "database of a tenant that is not there", sql("UPDATE databases SET tenant_id = 'gone' WHERE name = 'one'")
    yield "database one twice", sql("INSERT INTO databases VALUES ('55555555-0000-0000-0000-000000000000', 'one', 'default_tenant')")
    yield "migration hash", sql("UPDATE migrations SET hash = 'abc' WHERE dir = 'metadb' AND version = 2")
    yield "migration filename", sql("UPDATE migrations SET filename = 'x' WHERE dir = 'metadb' AND version = 2")
    yield "migration sql", sql("UPDATE migrations SET sql = sql || ' ' WHERE dir = 'sysdb' AND version = 3")
    yield "migration newest gone", sql("DELETE FROM migrations WHERE dir = 'sysdb' AND version = (SELECT max(version) FROM migrations WHERE dir = 'sysdb')")
    yield "migration of metadb newest gone", sql("DELETE FROM migrations WHERE dir = 'metadb' AND version = (SELECT max(version) FROM migrations WHERE dir = 'metadb')")
    yield "migration middle gone", sql("DELETE FROM migrations WHERE dir = 'sysdb' AND version = 4")
    yield "migration from the future", sql("INSERT INTO migrations SELECT dir, version + 1, 'x', 'SELECT 1', 'x' FROM migrations WHERE dir = 'sysdb' ORDER BY version DESC LIMIT 1")
    yield "migration of an unknown directory", sql("INSERT INTO migrations VALUES ('mine', 1, 'x', 'SELECT 1', 'x')")
    yield "text in another collation of the index", sql("UPDATE embedding_fulltext_search_content SET c0 = c0 || 'x' WHERE id % 8 = 0")
    yield "metadata of two types", sql("UPDATE embedding_metadata SET int_value = 5, float_value = 0.5 WHERE key = 'n' AND id % 8 = 0")
    yield "metadata of no type", sql("UPDATE embedding_metadata SET int_value = NULL WHERE key = 'n' AND id % 8 = 0")
    yield "metadata truth value 7", sql("UPDATE embedding_metadata SET bool_value = 7 WHERE key = 'b' AND id % 8 = 0")
    yield "metadata key empty", sql("UPDATE embedding_metadata SET key = '' WHERE key = 's' AND id % 8 = 0")
    yield "document null", sql("UPDATE embedding_metadata SET string_value = NULL WHERE key = 'chroma:document' AND id % 8 = 0")
    yield "document a number", sql("UPDATE embedding_metadata SET string_value = NULL, int_value = 5 WHERE key = 'chroma:document' AND id % 8 = 0")
    yield "document blob", sql("UPDATE embedding_metadata SET string_value = x'ff00fe' WHERE key = 'chroma:document' AND id % 8 = 0")
    yield "document not UTF-8", sql("UPDATE embedding_metadata SET string_value = CAST(x'61ff62' AS TEXT) WHERE key = 's' AND id % 8 = 0")
    yield "id not UTF-8", sql("UPDATE embeddings SET embedding_id = CAST(x'61ff62' AS TEXT) WHERE id = 9")
    yield "fts config version", sql("UPDATE embedding_fulltext_search_config SET v = 3 WHERE k = 'version'")
    yield "array metadata leaked", sql("INSERT INTO embedding_metadata_array(id, key, int_value) VALUES ((SELECT max(id) FROM embeddings), 'alien', 5)")
    yield "array metadata of nobody", sql("INSERT INTO embedding_metadata_array(id, key, int_value) VALUES ((SELECT max(id) + 1 FROM embeddings), 'alien', 5)")
    yield "collection metadata of nobody", sql("INSERT INTO collection_metadata(collection_id, key, int_value) VALUES ('nobody', 'alien', 5)")
    yield "segment metadata of nobody", sql("INSERT INTO segment_metadata(segment_id, key, int_value) VALUES ('nobody', 'alien', 5)")
    yield "segment metadata of cosine", sql("INSERT INTO segment_metadata(segment_id, key, str_value) SELECT id, 'hnsw:space', 'cosine' FROM segments WHERE scope = 'VECTOR'")
    yield "segment metadata of M", sql("INSERT INTO segment_metadata(segment_id, key, int_value) SELECT id, 'hnsw:M', 5 FROM segments WHERE scope = 'VECTOR'")


# ---- index directories ----

def index_ways(store):
    db = connect(store)
    found = db.execute("SELECT c.name, s.id, c.dimension FROM segments s JOIN collections c ON c.id = s.collection WHERE s.scope = 'VECTOR' ORDER BY c.name").fetchall()
    db.close()
    all_ids = [(n, i) for n, i, _ in found if os.path.isdir(f"{store}/{i}")]
    for name, seg in all_ids:
        at = lambda s, f="", seg=seg: f"{s}/{seg}/{f}"
        yield f"{name}: directory missing", lambda s, e, c, at=at: shutil.rmtree(at(s))
        yield f"{name}: directory empty", lambda s, e, c, at=at: [os.unlink(at(s, f)) for f in os.listdir(at(s))]
        yield f"{name}: directory renamed", lambda s, e, c, at=at: os.rename(at(s).rstrip("/"), f"{s}/77777777-0000-0000-0000-000000000000")
        yield f"{name}: directory a file", lambda s, e, c, at=at: (shutil.rmtree(at(s)), open(at(s).rstrip("/"), "w").close())
        yield f"{name}: directory from earlier", lambda s, e, c, at=at: False if not os.path.isdir(at(e)) else shutil.copytree(at(e), at(s), dirs_exist_ok=True) and None
        yield f"{name}: directory a link", lambda s, e, c, at=at: (os.rename(at(s).rstrip("/"), f"{s}/moved"), os.symlink("moved", at(s).rstrip("/")))
        yield f"{name}: directory with more files", lambda s, e, c, at=at: open(at(s, "core.123"), "w").close()
        for other, oseg in all_ids:
            if other != name:
                yield f"{name}: directory of {other}", lambda s, e, c, at=at, oseg=oseg: shutil.copytree(f"{s}/{oseg}", at(s), dirs_exist_ok=True) and None
        for f in FILES:
            if not os.path.exists(at(store, f)):
                continue
            p = lambda s, at=at, f=f: at(s, f)
            size = os.path.getsize(at(store, f))
            yield f"{name}: {f} missing", lambda s, e, c, p=p: os.unlink(p(s))
            yield f"{name}: {f} empty", lambda s, e, c, p=p, size=size: os.truncate(p(s), 0) if size else False
            yield f"{name}: {f} zeroed", lambda s, e, c, p=p, size=size: patch(p(s), 0, bytes(size)) if size else False
            yield f"{name}: {f} random", lambda s, e, c, p=p, size=size: patch(p(s), 0, c.randbytes(size)) if size else False
            yield f"{name}: {f} half zeroed", lambda s, e, c, p=p, size=size: patch(p(s), size // 2, bytes(size - size // 2)) if size else False
            for part in (0.1, 0.5, 0.97):
                yield f"{name}: {f} cut at {part}", lambda s, e, c, p=p, size=size, part=part: os.truncate(p(s), int(size * part)) if size else False
            yield f"{name}: {f} lengthened", lambda s, e, c, p=p, size=size: os.truncate(p(s), size + 777)
            yield f"{name}: {f} doubled", lambda s, e, c, p=p, size=size: open(p(s), "ab").write(open(p(s), "rb").read()) and None if size else False
            yield f"{name}: {f} a directory", lambda s, e, c, p=p: (os.unlink(p(s)), os.mkdir(p(s)))
            yield f"{name}: {f} unreadable link", lambda s, e, c, p=p: (os.unlink(p(s)), os.symlink("/nonexistent", p(s)))
            yield f"{name}: {f} from earlier", lambda s, e, c, p=p: False if not os.path.exists(p(e)) or open(p(e), "rb").read() == open(p(s), "rb").read() else shutil.copy(p(e), p(s)) and None
            for i in range(10 if "pickle" in f else 6 if f == "header.bin" else 4):
                yield f"{name}: {f} bit flipped {i}", lambda s, e, c, p=p: flip(p(s), c)
            for other, oseg in all_ids:
                if other != name and os.path.exists(f"{store}/{oseg}/{f}"):
                    yield f"{name}: {f} of {other}", lambda s, e, c, p=p, oseg=oseg, f=f: shutil.copy(f"{s}/{oseg}/{f}", p(s)) and None
        for what, off, form, values in (("version", 0, "<i", (0, 2)), ("offset of level 0", 4, "<Q", (1, 188)), ("max elements", 12, "<Q", (0, 5, 1 << 40)), ("count", 20, "<Q", (0, 1, -1, -9, 9, 1 << 33)),
                                        ("record size", 28, "<Q", (0, 4, -8)), ("label offset", 36, "<Q", (0, 4)), ("data offset", 44, "<Q", (0, 4, 1 << 50)), ("max level", 52, "<i", (-1, 9, 7000)),
                                        ("entry", 56, "<I", (0, 0xffffffff, 3)), ("max m", 60, "<Q", (0, 1, 99)), ("max m0", 68, "<Q", (0, 1, 99)), ("m", 76, "<Q", (0, 1, 99)),
                                        ("mult", 84, "<d", (0.0, -1.0, float("nan"), 100.0)), ("ef construction", 92, "<Q", (0, 1, 1 << 40))):
            for v in values:
                yield f"{name}: header {what} {v}", lambda s, e, c, at=at, off=off, form=form, v=v, what=what: header_field(at(s, "header.bin"), off, form, v, what)
        for what, how in LEVEL0.items():
            yield f"{name}: level 0 {what}", lambda s, e, c, at=at, how=how: how(at(s), c)
        if os.path.exists(at(store, "index_metadata.pickle")):
            for what, how in PICKLE.items():
                yield f"{name}: pickle {what}", lambda s, e, c, at=at, how=how: how(at(s, "index_metadata.pickle"), c)


def flip(path, chance):
    with open(path, "rb") as f:
        data = f.read()
    limit = len(data)
    if path.endswith(("level0.bin", "length.bin")):
        with open(os.path.join(os.path.dirname(path), "header.bin"), "rb") as f:
            count, record = struct.unpack_from("<QQ", f.read(), 20)
        limit = count * (record if "level0" in path else 4)
    if not limit:
        return False
    i = chance.randrange(limit)
    patch(path, i, bytes([data[i] ^ (1 << chance.randrange(8))]))


def header_field(path, off, form, value, what):
    with open(path, "rb") as f:
        data = f.read()
    old, = struct.unpack_from(form, data, off)
    if what in ("count", "record size") and value < 10:
        value = old + value if what == "record size" or value in (-1, -9, 9) else value
    if value < 0 and form in ("<Q", "<I") or value == old:
        return False
    patch(path, off, struct.pack(form, value))


class Level0:
    def __init__(self, at):
        with open(f"{at}/header.bin", "rb") as f:
            h = f.read()
        self.count, self.record, self.label, self.vector = struct.unpack_from("<QQQQ", h, 20)
        self.entry, = struct.unpack_from("<I", h, 56)
        self.path = f"{at}/data_level0.bin"
        with open(self.path, "rb") as f:
            self.data = bytearray(f.read())
        self.live = [i for i in range(self.count) if not self.data[i * self.record + 2] & 1]
        self.dead = [i for i in range(self.count) if self.data[i * self.record + 2] & 1]

    def at(self, i, off=0):
        return i * self.record + off

    def save(self):
        with open(self.path, "wb") as f:
            f.write(self.data)


def level0(how):
    def damage(at, chance):
        x = Level0(at)
        if len(x.live) < 6 or how(x, chance) is False:
            return False
        x.save()
        return None
    return damage


def swap_labels(x, c):
    a, b = (x.at(i, x.label) for i in c.sample(x.live, 2))
    x.data[a:a + 8], x.data[b:b + 8] = x.data[b:b + 8], x.data[a:a + 8]


def swap_vectors(x, c):
    a, b = c.sample(x.live, 2)
    size = x.label - x.vector
    x.data[x.at(a, x.vector):x.at(a, x.vector) + size], x.data[x.at(b, x.vector):x.at(b, x.vector) + size] = \
        x.data[x.at(b, x.vector):x.at(b, x.vector) + size], x.data[x.at(a, x.vector):x.at(a, x.vector) + size]


def pack_at(form, off, value):
    def how(x, c):
        struct.pack_into(form, x.data, x.at(c.choice(x.live), off(x)), value)
    return how


def mark(x, c):
    x.data[x.at(c.choice(x.live), 2)] |= 1


def unmark(x, c):
    if not x.dead:
        return False
    x.data[x.at(c.choice(x.dead), 2)] &= 0xfe
    return None


def links_zero_all(x, c):
    for i in range(x.count):
        struct.pack_into("<H", x.data, x.at(i), 0)


def one_way(x, c):
    """Nothing leads to three of them."""
    lost = set(c.sample([i for i in x.live if i != x.entry], 3))
    for i in range(x.count):
        n, = struct.unpack_from("<H", x.data, x.at(i))
        links = [t for t in struct.unpack_from(f"<{n}I", x.data, x.at(i, 4)) if t not in lost]
        struct.pack_into("<H", x.data, x.at(i), len(links))
        struct.pack_into(f"<{len(links)}I", x.data, x.at(i, 4), *links)


def vectors_zero(x, c):
    for i in c.sample(x.live, 5):
        x.data[x.at(i, x.vector):x.at(i, x.label)] = bytes(x.label - x.vector)


LEVEL0 = {
    "labels exchanged": level0(swap_labels), "vectors exchanged": level0(swap_vectors), "label zero": level0(pack_at("<Q", lambda x: x.label, 0)),
    "label huge": level0(pack_at("<Q", lambda x: x.label, 1 << 60)), "label new": level0(pack_at("<Q", lambda x: x.label, 5000)), "nan": level0(pack_at("<f", lambda x: x.vector, float("nan"))),
    "inf": level0(pack_at("<f", lambda x: x.vector, float("inf"))), "large": level0(pack_at("<f", lambda x: x.vector, 1e30)), "live marked deleted": level0(mark), "deleted marked live": level0(unmark),
    "link count high": level0(pack_at("<H", lambda x: 0, 60000)), "link count one over": level0(lambda x, c: struct.pack_into("<H", x.data, x.at(c.choice(x.live)), (x.vector - 4) // 4 + 1)),
    "links all gone": level0(links_zero_all), "one way": level0(one_way), "vectors zero": level0(vectors_zero), "flags other": level0(pack_at("<B", lambda x: 3, 1)),
    "link to itself": level0(lambda x, c: [struct.pack_into("<I", x.data, x.at(i, 4), i) for i in c.sample(x.live, 3)]),
    "links to deleted count": level0(lambda x, c: struct.pack_into("<I", x.data, x.at(x.live[0], 4), x.count)),
}


def strings(data):
    """Where the pickle has short texts: offset of the length, length."""
    out, i = [], 0
    while True:
        i = data.find(b"X", i)
        if i < 0 or i + 5 > len(data):
            return out
        n, = struct.unpack_from("<I", data, i + 1)
        if 0 < n < 100 and i + 5 + n <= len(data):
            out.append((i + 1, n))
            i += 5 + n
        else:
            i += 1


def pickle_edit(how):
    def damage(path, chance):
        with open(path, "rb") as f:
            data = bytearray(f.read())
        data = how(data, chance)
        if data is None:
            return False
        with open(path, "wb") as f:
            f.write(data)
        return None
    return damage


def rename_id(data, c):
    """One id is spelled otherwise in both maps."""
    ids = [bytes(data[o + 4:o + 4 + n]) for o, n in strings(data) if data[o + 4:o + 5] == b"r"]
    if not ids:
        return None
    one = c.choice(ids)
    return data.replace(b"X" + struct.pack("<I", len(one)) + one, b"X" + struct.pack("<I", len(one)) + b"q" + one[1:])


def rename_once(data, c):
    ids = [(o, n) for o, n in strings(data) if data[o + 4:o + 5] == b"r"]
    if not ids:
        return None
    o, _ = c.choice(ids)
    data[o + 4:o + 5] = b"q"
    return data


def counter(value):
    def how(data, c):
        i = data.find(b"total_elements_added")
        if i < 0:
            return None
        j = i + 20
        if data[j:j + 1] == b"J":
            data[j + 1:j + 5] = struct.pack("<i", value)
            return data
        return None
    return how


PICKLE = {
    "id renamed": pickle_edit(rename_id), "id renamed in one map": pickle_edit(rename_once), "counter zero": pickle_edit(counter(0)), "counter low": pickle_edit(counter(5)),
    "counter high": pickle_edit(counter(100000)), "counter negative": pickle_edit(counter(-5)), "garbage behind": pickle_edit(lambda d, c: d + c.randbytes(50)),
    "not a pickle": pickle_edit(lambda d, c: b"\x80\x03}q\x00."), "json": pickle_edit(lambda d, c: b"{}"), "none": pickle_edit(lambda d, c: b"\x80\x03N."),
    "code": pickle_edit(lambda d, c: b"\x80\x03cposix\nsystem\nX\x04\0\0\0true\x85R."),
}


# ---- what is asked ----

class Campaign:
    def __init__(self, args):
        self.args = args
        self.dir = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.shape = args.shape

    def run(self, *words):
        try:
            done = subprocess.run([self.args.vsctl, *words], capture_output=True, timeout=60, check=False)
            return done.returncode, done.stdout, done.stderr.decode(errors="replace")
        except subprocess.TimeoutExpired:
            return 999, b"", "no end"

    @staticmethod
    def tree(store):
        out = []
        for path, names, files in sorted(os.walk(store)):
            out.append((path, os.stat(path).st_mtime_ns, sorted(names)))
            for name in sorted(files):
                at = os.path.join(path, name)
                if os.path.isfile(at):
                    with open(at, "rb") as f:
                        out.append((at, os.stat(at).st_mtime_ns, hashlib.sha256(f.read()).hexdigest()))
        return out

    def served(self, store, reports=()):
        files = []
        for i, report in enumerate(reports):
            files.append(f"{self.dir}/report-{i}")
            with open(files[-1], "wb") as f:
                f.write(report)
        try:
            done = subprocess.run(["node", f"{HERE}/repaired.mjs", self.args.script, self.args.version, f"{self.shape}/truth.json", store, *files],
                                  capture_output=True, timeout=90, check=False)
        except subprocess.TimeoutExpired:
            return ["no end"]
        lines = done.stdout.decode(errors="replace").splitlines()
        harm, name = [], ""
        for line in lines:
            if line.startswith("not ok"):
                name = line[9:].split(":")[0]
                if "records" not in line:
                    harm.append(line[9:])
            elif line.startswith("# "):
                harm.append(f"{name}: {line[2:]}")
            else:
                name = ""
        if not lines:
            harm.append("nothing said: " + done.stderr.decode(errors="replace")[-300:])
        return harm

    def case(self, name, how):
        store, copy = f"{self.dir}/store", f"{self.dir}/copy"
        chance = random.Random(name)
        for p in (store, copy, f"{store}.vsctl"):
            shutil.rmtree(p, ignore_errors=True)
        shutil.copytree(f"{self.shape}/store", store, symlinks=True)
        if how(store, f"{self.shape}/earlier", chance) is False:
            return None
        out = {"name": name}
        before = self.tree(store)
        shutil.copytree(store, copy, symlinks=True)
        out["harm"] = self.served(copy)
        for level in ("quick", "full", "deep"):
            status, text, err = self.run("verify", "--json", "--level", level, store)
            try:
                said = json.loads(text)
                out[level] = {"status": status, "verdict": said["verdict"], "loadable": said["loadable"], "codes": sorted({f"{f['severity'][0].upper()}:{f['code']}" for f in said["findings"]}),
                              "unchecked": [u for u in said["unchecked"] if "quick" not in json.dumps(u)]}
            except ValueError:
                out[level] = {"status": status, "verdict": "none", "loadable": "", "codes": [], "unchecked": [], "said": err[:400] + text.decode(errors="replace")[:300]}
            if level == "full":
                out["text"] = self.run("verify", store)[1].decode(errors="replace")
        if self.tree(store) != before:
            out["wrote"] = True
        steps, reports = [], []
        for _ in range(5):
            said = self.verified(store)
            codes = {f["code"] for f in said["findings"] if f["severity"] == "error"} if said else set()
            if not codes:
                break
            command = "repair"
            if {"chroma-database-corrupt", "chroma-database-truncated"} & codes:
                command = "salvage"
            elif steps and steps[-1].startswith("repair") and any("index rebuild" in (f["fix"] or "") for f in said["findings"]):
                command = "index rebuild"
            if any(s.startswith(command) for s in steps):
                break
            status, text, err = self.run(*command.split(), "--yes", "--json", store)
            reports.append(text) if text else None
            steps.append(f"{command} {status}" + (f" {err[:300]}" if err else ""))
        out["steps"] = steps
        if steps:
            said = self.verified(store) or {"verdict": "none", "loadable": "", "findings": []}
            out["left"] = {"verdict": said["verdict"], "loadable": said["loadable"], "codes": sorted({f"{f['severity'][0].upper()}:{f['code']}" for f in said["findings"]})}
            try:
                out["after"] = self.served(store, reports)
            except (OSError, ValueError) as e:
                out["after"] = [str(e)]
            out["incomplete"] = sum(len(json.loads(r).get("incomplete") or []) for r in reports if r.startswith(b"{"))
        return out

    def verified(self, store):
        try:
            return json.loads(self.run("verify", "--json", store)[1])
        except ValueError:
            return None


def judge(r):
    """The differences in a result."""
    full, wrong = r["full"], []
    errors = [c for c in full["codes"] if c.startswith("E:")]
    if r["harm"] and not errors and full["status"] == 0:
        wrong.append("blind")
    if not r["harm"] and errors:
        wrong.append("wolf")
    starts = not any("does not answer" in h for h in r["harm"])
    if not starts and full["loadable"] == "yes":
        wrong.append("loadable")
    if r.get("wrote"):
        wrong.append("wrote")
    if r["quick"]["codes"] and any(c.startswith("E:") and c not in full["codes"] for c in r["quick"]["codes"]):
        wrong.append("quick")
    if r["steps"] and r.get("after") and not any(c.startswith("E:") for c in r["left"]["codes"]):
        wrong.append("mended-not")
    if any(v["status"] in (999, -6, -11) for v in (r["quick"], full, r["deep"])):
        wrong.append("crash")
    return wrong


def main():
    p = argparse.ArgumentParser()
    for name in ("vsctl", "script", "version", "shape"):
        p.add_argument(name)
    p.add_argument("--every", type=int, default=1)
    p.add_argument("--offset", type=int, default=0)
    p.add_argument("--only")
    p.add_argument("--out")
    args = p.parse_args()
    c = Campaign(args)
    number = cases = 0
    out = open(args.out, "a", encoding="utf-8") if args.out else None
    try:
        for name, how in [*database_ways(f"{args.shape}/store"), *index_ways(f"{args.shape}/store")]:
            number += 1
            if args.only and not re.search(args.only, name) or number % args.every != args.offset:
                continue
            try:
                r = c.case(name, how)
            except (OSError, ValueError, sqlite3.Error) as e:
                print(f"not ok - {name}: {e!r}", flush=True)
                continue
            if r is None:
                continue
            cases += 1
            wrong = judge(r)
            r["wrong"] = wrong
            if out:
                print(json.dumps(r), file=out, flush=True)
            print(f"{'not ok' if wrong else 'ok'} - {name}{': ' if wrong else ''}{' '.join(wrong)}", flush=True)
    finally:
        shutil.rmtree(c.dir)
    print(f"1..{cases}")


if __name__ == "__main__":
    main()
