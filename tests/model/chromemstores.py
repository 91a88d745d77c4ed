# SPDX-License-Identifier: Apache-2.0
"""
chromemstores: sound chromem-go stores by chance, written by Go's own encoder, for reference.py

What make() returns is sound: the library loads all of it, and verify must find neither an error nor a warning in it.
"""
import base64
import gzip
import hashlib
import json
import math
import os
import struct
import subprocess
import zlib

TYPES = ("memories", "checkpoints", "remediations", "sessions", "codebase")
EXTRAS = ("int", "text", "bytes", "map", "struct", "slice")
ODD_NAMES = ("My Notes (2026)", "日本語ドキュメント", "a", "x" * 300, "with/slash", "tab\there", "é" * 20, "UPPER_Case", " ")
ODD_IDS = ("0", "a/b/c", "../../etc/passwd", "日本", "é", "x" * 5000, "with space", "new\nline", "\x01", "q\"uote", "-", "%s", "😀" * 9)


def short_hash(text):
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()[:8]


def text64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def vector64(values):
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def unit(chance, dims):
    v = [chance.gauss(0, 1) for _ in range(dims)]
    norm = math.sqrt(sum(x * x for x in v)) or 1
    v = [struct.unpack("<f", struct.pack("<f", x / norm))[0] for x in v]
    return v if dims != 1 else [math.copysign(1.0, v[0])]


def sentence(chance, n):
    words = ("the", "vector", "of", "a", "store", "grün", "naïve", "日本", "error", "at", "line", "42", "fix:", "retry")
    return " ".join(chance.choice(words) for _ in range(n))


class Collection:
    def __init__(self, chance, name, gz, is_contextd):
        self.name, self.dir, self.gz = name, short_hash(name), gz
        self.dims = chance.choice((1, 2, 3, 8, 24, 24, 100, 384, 700))
        self.style = {}
        if not is_contextd and chance.random() < 0.3:
            order = [0, 1, 2, 3]
            chance.shuffle(order)
            self.style = {"order": order if chance.random() < 0.7 else None, "double": chance.random() < 0.4,
                          "extra": chance.choice(EXTRAS) if chance.random() < 0.5 else ""}
        self.has_vectors = is_contextd or chance.random() < 0.9
        self.meta = None if chance.random() < 0.5 else {f"k{i}": sentence(chance, i) for i in range(chance.randrange(4))}
        self.is_contextd = is_contextd
        self.docs = [self.document(chance, i) for i in range(chance.choice((1, 2, 3, 5, 5, 9)))]
        names = {short_hash(d["id"]) for d in self.docs}
        assert len(names) == len({d["id"] for d in self.docs})

    def document(self, chance, i):
        if self.is_contextd:
            project, _, kind = self.name.rpartition("_")
            meta = {"project_id": project, "title": sentence(chance, 3), "outcome": "success", "confidence": "0.5"}
            meta |= {"summary": sentence(chance, 4), "session_id": str(chance.random())} if kind == "checkpoints" else {}
        else:
            meta = chance.choice((None, {}, {"lang": "en"}, {f"key {n}": sentence(chance, n) for n in range(12)}, {"": ""}))
        identifier = f"{chance.getrandbits(128):032x}" if chance.random() < 0.8 else f"{chance.choice(ODD_IDS)}{i}"
        return {"id": identifier, "metadata": meta, "vector": unit(chance, self.dims) if self.has_vectors else [],
                "content": "" if chance.random() < 0.1 else sentence(chance, chance.choice((1, 5, 30, 2000)))}

    def extension(self):
        return ".gob.gz" if self.gz else ".gob"


def pairs(meta):
    return None if meta is None else [[text64(k), text64(v)] for k, v in meta.items()]


def document_row(path, doc, gz, style=None):
    return {"path": path, "id": text64(doc["id"]), "metadata": pairs(doc["metadata"]), "vector": vector64(doc["vector"]),
            "content": text64(doc["content"]), "gzip": gz, **(style or {})}


def metadata_row(path, name, meta, gz, style=None):
    return {"path": path, "meta": True, "id": text64(name), "metadata": pairs(meta), "gzip": gz, **(style or {})}


class Store:
    """What was written, and the writer of what damage adds to it."""

    def __init__(self, path, gobwrite, chance):
        self.path, self.gobwrite = path, gobwrite
        self.gz = chance.random() < 0.35
        self.is_contextd = chance.random() < 0.4
        self.types = chance.choice((0, 0, 1, 5, 70, 300))
        self.collections = []

    def write(self, rows):
        subprocess.run([self.gobwrite], input=json.dumps({"types": self.types, "files": rows}).encode(), check=True)

    def read_file(self, path):
        """The plain bytes of a file; what cannot be unpacked any more is taken as it is."""
        with open(path, "rb") as f:
            data = f.read()
        try:
            return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        except (OSError, EOFError, zlib.error):
            return data

    def put(self, path, data, packed=None):
        packed = path.endswith(".gz") if packed is None else packed
        with open(path, "wb") as f:
            f.write(gzip.compress(data, mtime=0) if packed else data)

    def documents(self):
        return [f"{self.path}/{c.dir}/{short_hash(d['id'])}{c.extension()}" for c in self.collections for d in c.docs]

    def metadata(self):
        return [f"{self.path}/{c.dir}/00000000{c.extension()}" for c in self.collections]


def make(path, gobwrite, chance):
    store = Store(path, gobwrite, chance)
    names = set()
    for _ in range(chance.choice((1, 2, 2, 3, 6))):
        if store.is_contextd:
            names.add(f"{chance.choice(('contextd', 'payments_api', 'ledger', 'web'))}_{chance.choice(TYPES)}")
        else:
            names.add(chance.choice(ODD_NAMES) if chance.random() < 0.5 else sentence(chance, 2))
    store.collections = [Collection(chance, n, store.gz, store.is_contextd) for n in sorted(names)]
    os.mkdir(path, 0o700)
    rows = []
    for c in store.collections:
        os.mkdir(f"{path}/{c.dir}", 0o700)
        style = {"order": [1, 0]} if c.style and chance.random() < 0.5 else {}
        rows.append(metadata_row(f"{path}/{c.dir}/00000000{c.extension()}", c.name, c.meta, c.gz, style))
        rows += [document_row(f"{path}/{c.dir}/{short_hash(d['id'])}{c.extension()}", d, c.gz, c.style) for d in c.docs]
    store.write(rows)
    if chance.random() < 0.15:
        inner = f"{path}/project/{short_hash('nested')}"
        os.makedirs(inner, 0o700)
        store.write([metadata_row(f"{inner}/00000000{'.gob.gz' if store.gz else '.gob'}", "nested", None, store.gz)])
    return store
