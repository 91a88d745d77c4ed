# SPDX-License-Identifier: Apache-2.0
"""
damage.py VSCTL SCRIPT VERSION SHAPES [--every N] [--only CLASS] [--shape NAME]: sound stores of many shapes, damaged

SHAPES is a directory that shapes.mjs has filled with stores of the real server. Each store is checked as it is: verify
says nothing is wrong at any level, and neither that nor looking, searching and snapshots change a byte of it. Then it
is damaged in each way that is seen in the field, in every index and every table that the way applies to (of these
combinations every N-th): verify says so, what it tells to do next is done, and the server has to start on the outcome
and to give back every record but for what the commands called incomplete. Speaks TAP. Without SCRIPT's servers
(VERSION is -) all is done but the last.
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


# ---- a store, as it lies there ----

def indexes(store):
    """The directories whose index was saved: they have a map of ids, and elements."""
    out = []
    for name in sorted(os.listdir(store)):
        at = os.path.join(store, name)
        if not os.path.exists(f"{at}/index_metadata.pickle"):
            continue
        with open(f"{at}/header.bin", "rb") as f:
            if struct.unpack_from("<Q", f.read(), 20)[0] > 8:
                out.append(at)
    return out


def patch(path, off, data):
    with open(path, "r+b") as f:
        f.seek(off)
        f.write(data)


def cut(path, part):
    os.truncate(path, int(os.path.getsize(path) * part))


class Index:
    def __init__(self, at):
        with open(f"{at}/header.bin", "rb") as f:
            h = f.read()
        self.count, self.record, self.label, self.vector = struct.unpack_from("<QQQQ", h, 20)
        self.entry = struct.unpack_from("<I", h, 56)[0]
        self.path = f"{at}/data_level0.bin"
        with open(self.path, "rb") as f:
            self.data = bytearray(f.read())

    def links(self, i):
        n = struct.unpack_from("<H", self.data, i * self.record)[0]
        return list(struct.unpack_from(f"<{n}I", self.data, i * self.record + 4))

    def set_links(self, i, links):
        struct.pack_into("<H", self.data, i * self.record, len(links))
        struct.pack_into(f"<{len(links)}I", self.data, i * self.record + 4, *links)

    def is_deleted(self, i):
        return self.data[i * self.record + 2] & 1

    def save(self):
        with open(self.path, "wb") as f:
            f.write(self.data)


# ---- ways to damage an index; each takes its directory and a source of chance ----

def graph_disconnected(at, chance):
    x = Index(at)
    lost = set(chance.sample([i for i in range(x.count) if not x.is_deleted(i) and i != x.entry], 6))
    for i in range(x.count):
        x.set_links(i, [] if i in lost else [to for to in x.links(i) if to not in lost])
    x.save()


def link_out_of_range(at, chance):
    x = Index(at)
    links = x.links(x.entry)
    x.set_links(x.entry, [16777200] + links[1:])
    x.save()


def link_list_size(at, chance):
    size = os.path.getsize(f"{at}/link_lists.bin")
    if size >= 4:
        patch(f"{at}/link_lists.bin", 0, struct.pack("<I", 1801))


def labels_twice(at, chance):
    x = Index(at)
    live = [i for i in range(x.count) if not x.is_deleted(i)]
    a, b = chance.sample(live, 2)
    x.data[b * x.record + x.label:b * x.record + x.label + 8] = x.data[a * x.record + x.label:a * x.record + x.label + 8]
    x.save()


def zero_page(at, chance):
    with open(f"{at}/header.bin", "rb") as f:
        used = struct.unpack_from("<QQ", f.read(), 20)
    size = used[0] * used[1]
    if size > 4096:
        page = chance.randrange(size // 4096)
        patch(f"{at}/data_level0.bin", page * 4096, bytes(4096))
    else:
        patch(f"{at}/data_level0.bin", 0, bytes(min(size, 4096)))


def bad_file(name, how):
    return lambda at, chance: how(f"{at}/{name}")


def header_word(off, value, form="<Q"):
    return lambda at, chance: patch(f"{at}/header.bin", off, struct.pack(form, value))


INDEX = {
    "data-level0-truncated": lambda at, chance: os.truncate(f"{at}/data_level0.bin", Index(at).record * (Index(at).count // 2) + 7),
    "length-missing": bad_file("length.bin", os.unlink),
    "link-lists-truncated": lambda at, chance: os.truncate(f"{at}/link_lists.bin", os.path.getsize(f"{at}/link_lists.bin") // 2 // 4 * 4 + 1),
    "link-list-size": link_list_size,
    "link-out-of-range": link_out_of_range,
    "graph-disconnected": graph_disconnected,
    "labels-twice": labels_twice,
    "page-zeroed": zero_page,
    "header-count": header_word(20, 1048608),
    "header-entry": header_word(56, 77777, "<I"),
    "header-dimension": header_word(36, 4096),
    "header-zeroed": bad_file("header.bin", lambda p: patch(p, 0, bytes(100))),
    "header-missing": bad_file("header.bin", os.unlink),
    "header-empty": bad_file("header.bin", lambda p: os.truncate(p, 0)),
    "level0-missing": bad_file("data_level0.bin", os.unlink),
    "level0-empty": bad_file("data_level0.bin", lambda p: os.truncate(p, 0)),
    "pickle-empty": bad_file("index_metadata.pickle", lambda p: os.truncate(p, 0)),
    "pickle-missing": bad_file("index_metadata.pickle", os.unlink),
    "pickle-half": bad_file("index_metadata.pickle", lambda p: cut(p, 0.5)),
    "pickle-most": bad_file("index_metadata.pickle", lambda p: cut(p, 0.9)),
    "pickle-random": bad_file("index_metadata.pickle", lambda p: patch(p, 20, os.urandom(40))),
    "directory-missing": lambda at, chance: shutil.rmtree(at),
}


# ---- ways to damage the database; each takes the connection, and returns false where it does not apply ----

def fts_rows(db, chance):
    rows = [r for r, in db.execute("SELECT rowid FROM embedding_fulltext_search")]
    for r in chance.sample(rows, min(len(rows), 5)):
        db.execute("DELETE FROM embedding_fulltext_search WHERE rowid = ?", (r,))
    return bool(rows)


def fts_block(db, chance):
    rows = [r for r, in db.execute("SELECT id FROM embedding_fulltext_search_data WHERE id > 100")]
    if rows:
        i = chance.choice(rows)
        n, = db.execute("SELECT length(block) FROM embedding_fulltext_search_data WHERE id = ?", (i,)).fetchone()
        db.execute("UPDATE embedding_fulltext_search_data SET block = ? WHERE id = ?", (chance.randbytes(n), i))
    return bool(rows)


def dimension(db, chance):
    return db.execute("UPDATE collections SET dimension = dimension + 4 WHERE dimension IS NOT NULL").rowcount > 0


def position_high(db, chance):
    """Only of an index: with rows behind it that it has not taken in, these are lost to it."""
    return db.execute("UPDATE max_seq_id SET seq_id = seq_id + 5000 WHERE segment_id IN (SELECT id FROM segments WHERE scope = 'VECTOR')").rowcount > 0


def queue_emptied(db, chance):
    return db.execute("DELETE FROM embeddings_queue").rowcount > 0


def segment_row(db, chance):
    return db.execute("DELETE FROM segments WHERE id = (SELECT min(id) FROM segments WHERE scope = 'VECTOR')").rowcount > 0


def orphans(db, chance):
    at = db.execute("SELECT max(id) + 1000 FROM embeddings").fetchone()[0]
    if at:
        db.execute("INSERT INTO embedding_metadata(id, key, string_value) VALUES (?, 'of', 'nobody')", (at,))
    return at is not None


DATABASE = {
    "fts-rows-missing": fts_rows, "fts-block": fts_block, "dimension": dimension, "position-high": position_high,
    "queue-emptied": queue_emptied, "segment-row-missing": segment_row, "metadata-of-nobody": orphans,
}


def page_of(table):
    def damage(store, chance):
        db = sqlite3.connect(f"{store}/{DB}")
        pages = [p for p, in db.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,))]
        db.close()
        patch(f"{store}/{DB}", (chance.choice(pages) - 1) * 4096, chance.randbytes(4096))
        return bool(pages)
    return damage


def truncated(store, chance):
    os.truncate(f"{store}/{DB}", int(os.path.getsize(f"{store}/{DB}") * 0.6))
    return True


FILE = {f"page-of-{t}": page_of(t) for t in ("embeddings", "embedding_metadata", "embeddings_queue", "collections", "segments")}
FILE["database-truncated"] = truncated
HARMLESS = {"link-lists-truncated", "link-list-size", "header-missing", "position-high", "segment-row-missing"}


def ways(store):
    """Name, function of store and chance."""
    for at in indexes(store):
        name = os.path.basename(at)
        for way, how in INDEX.items():
            yield f"{way} of {name[:8]}", way, lambda s, c, how=how, name=name: how(f"{s}/{name}", c) is not False
    for way, how in DATABASE.items():
        def edit(s, chance, how=how):
            with sqlite3.connect(f"{s}/{DB}") as db:
                done = how(db, chance)
            db.close()
            return done
        yield way, way, edit
    for way, how in FILE.items():
        yield way, way, how


# ---- what is done with it ----

class Wrong(Exception):
    pass


class Campaign:
    def __init__(self, args):
        self.args = args
        self.dir = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.cases = 0

    def run(self, *words, want=(0,)):
        try:
            done = subprocess.run([self.args.vsctl, *words], capture_output=True, timeout=120, check=False)
        except subprocess.TimeoutExpired as e:
            raise Wrong(f"{' '.join(words)}: no end after {e.timeout} s") from e
        if done.returncode not in want:
            raise Wrong(f"{' '.join(words)}: {done.returncode}\n{done.stdout.decode(errors='replace')[:1500]}{done.stderr.decode(errors='replace')[:500]}")
        return done

    def case(self, name, function, *args):
        self.cases += 1
        try:
            said = function(*args)
            print(f"ok - {name}{said or ''}", flush=True)
        except Wrong as e:
            print(f"not ok - {name}", flush=True)
            print("\n".join(f"# {line}" for line in str(e).splitlines()), flush=True)

    def tree(self, store):
        out = []
        for path, _, files in sorted(os.walk(store)):
            out.append((path, os.stat(path).st_mtime_ns))
            for name in sorted(files):
                with open(os.path.join(path, name), "rb") as f:
                    out.append((path, name, os.stat(f.fileno()).st_mtime_ns, hashlib.sha256(f.read()).hexdigest()))
        return out

    def fresh(self, shape):
        store = f"{self.dir}/store"
        for path in (store, f"{store}.vsctl", f"{self.dir}/other"):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(f"{self.args.shapes}/{shape}/store", store)
        return store

    def served(self, shape, store, reports=()):
        if self.args.version == "-":
            return
        files = []
        for i, report in enumerate(reports):
            files.append(f"{self.dir}/report-{i}")
            with open(files[-1], "wb") as f:
                f.write(report)
        done = subprocess.run(["node", f"{HERE}/repaired.mjs", self.args.script, self.args.version,
                               f"{self.args.shapes}/{shape}/truth.json", store, *files],
                              capture_output=True, timeout=120, check=False)
        text = done.stdout.decode(errors="replace")
        if done.returncode or not re.search("^ok", text, re.M):
            raise Wrong("\n".join(line for line in text.splitlines() if not line.startswith("ok")) + done.stderr.decode(errors="replace"))

    def sound(self, shape):
        store = self.fresh(shape)
        with open(f"{self.args.shapes}/{shape}/truth.json", encoding="utf-8") as f:
            truth = json.load(f)
        before = self.tree(store)
        for level in ("quick", "full", "deep"):
            said = json.loads(self.run("verify", "--json", "--level", level, store).stdout)
            codes = {f["code"] for f in said["findings"] if f["severity"] != "info"}
            if codes - {"chroma-index-recall", "chroma-index-stray"}:
                raise Wrong(f"{level}: {codes}")
        self.run("inspect", store)
        for c in truth:
            self.run("inspect", store, c["id"])
            for key in [k for k in c["recs"] if "\0" not in k][:3]:
                self.run("inspect", store, c["id"], key)
                self.run("search", store, c["id"], "--id", key)
        self.run("salvage", "--to", f"{self.dir}/other", store)
        os.unlink(f"{self.dir}/other") if os.path.exists(f"{self.dir}/other") else None
        self.run("snapshot", "create", "--name", "one", store)
        if self.tree(store) != before:
            raise Wrong("the store has changed")
        self.run("restore", "--to", f"{self.dir}/other", store, "one")
        self.run("verify", f"{self.dir}/other")
        self.served(shape, f"{self.dir}/other")
        # Written to by the server, and one collection at a time goes back.
        self.served(shape, store)
        for c in truth[:2]:
            self.run("rollback", "--yes", "--partial", "--collections", c["name"], store, "one", want=(0, 1) if sum(o["name"] == c["name"] for o in truth) == 1 else (0, 1, 16))
        self.run("verify", store)

    def mended(self, shape, way, how, number):
        store = self.fresh(shape)
        if not how(store, random.Random(number)):
            return " # SKIP there is nothing to damage"
        before = self.tree(store)
        done = self.run("verify", "--json", store, want=(0, 4))
        if self.tree(store) != before:
            raise Wrong("verify has changed the store")
        if done.returncode == 0:
            if way not in HARMLESS:
                raise Wrong("verify finds nothing")
        reports, steps = [], []
        for _ in range(4):
            said = json.loads(self.run("verify", "--json", store, want=(0, 4)).stdout)
            codes = sorted({f["code"] for f in said["findings"] if f["severity"] == "error"})
            if not codes:
                break
            command = ["repair"]
            if {"chroma-database-corrupt", "chroma-database-truncated"} & set(codes):
                command = ["salvage"]
            elif steps and steps[-1].startswith("repair"):
                command = ["index", "rebuild"]
            if " ".join(command) in steps:
                break
            done = self.run(*command, "--yes", "--json", store, want=(0, 1, 4))
            reports.append(done.stdout)
            steps.append(" ".join(command))
        left = self.run("verify", "--json", store, want=(0, 4))
        codes = sorted({f["code"] for f in json.loads(left.stdout)["findings"] if f["severity"] == "error"})
        if set(codes) - {"chroma-index-id-missing"}:
            raise Wrong(f"{steps} leave {codes}")
        self.served(shape, store, reports)
        return f": {', '.join(steps) or 'nothing to do'}{'; left: ' + ' '.join(codes) if codes else ''}"


def main():
    p = argparse.ArgumentParser()
    for name in ("vsctl", "script", "version", "shapes"):
        p.add_argument(name)
    p.add_argument("--every", type=int, default=1)
    p.add_argument("--offset", type=int, default=0)
    p.add_argument("--only", action="append")
    p.add_argument("--shape", action="append")
    p.add_argument("--damage-only", action="store_true")
    c = Campaign(p.parse_args())
    number = 0
    try:
        for shape in sorted(os.listdir(c.args.shapes)):
            if not os.path.exists(f"{c.args.shapes}/{shape}/truth.json") or c.args.shape and shape not in c.args.shape:
                continue
            if not c.args.only and not c.args.damage_only:
                c.case(f"{shape} as it is", c.sound, shape)
            for name, way, how in ways(f"{c.args.shapes}/{shape}/store"):
                number += 1
                if c.args.only and way not in c.args.only or number % c.args.every != c.args.offset:
                    continue
                c.case(f"{shape}: {name}", c.mended, shape, way, how, number)
    finally:
        shutil.rmtree(c.dir)
    print(f"1..{c.cases}")


if __name__ == "__main__":
    main()
