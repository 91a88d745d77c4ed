# SPDX-License-Identifier: Apache-2.0
"""
chromemdamage: what can happen to a chromem-go store, each way at places of chance, for reference.py

Each way takes a Store and a source of chance, changes the directory and returns what verify must not miss whatever the
reference loader says: "seen" where a finding is due, "" where the loader alone is the judge, and None when the store has
no place for it.
"""
import gzip
import math
import os
import shutil
import socket

from chromemstores import document_row, metadata_row, sentence, short_hash, unit


def some_document(store, chance):
    paths = [p for p in store.documents() if os.path.isfile(p) and not os.path.islink(p)]
    return chance.choice(paths) if paths else None


def some_metadata(store, chance):
    paths = [p for p in store.metadata() if os.path.isfile(p) and not os.path.islink(p)]
    return chance.choice(paths) if paths else None


def some_file(store, chance):
    return some_metadata(store, chance) if chance.random() < 0.3 else some_document(store, chance)


def some_directory(store, chance):
    dirs = [f"{store.path}/{c.dir}" for c in store.collections if os.path.isdir(f"{store.path}/{c.dir}")]
    dirs = [d for d in dirs if not os.path.islink(d)]
    return chance.choice(dirs) if dirs else None


def to(*kinds, seen=None):
    """A way is a change of something of each kind, which are not the same; it returns what is seen where that is not given."""
    def decorate(change):
        def way(store, chance):
            things = [kind(store, chance) for kind in kinds]
            if None in things or len(set(things)) < len(things):
                return None
            said = change(store, chance, *things)
            return said if seen is None else seen
        return way
    return decorate


def on_content(change, seen=""):
    """A change of the bytes that the encoder wrote; of a compressed file half the time of what is on disk."""
    @to(some_file, seen=seen)
    def way(store, chance, path):
        if chance.random() < 0.5:
            with open(path, "rb") as f:
                data = bytearray(f.read())
            with open(path, "wb") as f:
                f.write(change(data, chance))
        else:
            store.put(path, bytes(change(bytearray(store.read_file(path)), chance)))
    return way


def cut(data, chance):
    return data[:chance.choice((0, 1, 2, len(data) - 1, chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))]


def flip(data, chance):
    if data:
        # The descriptors are as long as the value of a small document, and far shorter than that of a large one.
        at = chance.randrange(min(len(data), 200)) if chance.random() < 0.5 else chance.randrange(len(data))
        data[at] ^= 1 << chance.randrange(8)
    return data


def zero_tail(data, chance):
    at = chance.randrange(len(data) + 1)
    if chance.random() < 0.3:
        at = at // 512 * 512
    return data[:at] + bytes(len(data) - at)


def zero_range(data, chance):
    at = chance.randrange(len(data) + 1)
    n = min(chance.choice((1, 2, 8, 64, 512)), len(data) - at)
    data[at:at + n] = bytes(n)
    return data


def noise(data, chance):
    at = chance.randrange(len(data) + 1)
    n = min(chance.choice((1, 2, 8, 64)), len(data) - at)
    data[at:at + n] = chance.choice((b"\xff" * n, chance.randbytes(n)))
    return data


def longer(data, chance):
    return data + chance.choice((b"\0", bytes(5000), chance.randbytes(100), bytes(data), b"\x1f\x8b", b"\n"))


def doubled(data, _):
    return data + data


def lost_front(data, chance):
    return data[chance.choice((1, 2, 35, chance.randrange(len(data) + 1))):]


@to(some_file, seen="")
def sparse(store, chance, path):
    """The size is right, and the blocks from some place on never came."""
    size = os.path.getsize(path)
    os.truncate(path, chance.randrange(size + 1))
    os.truncate(path, size)


# ---- whole files ----

def gone(_, __, path):
    os.unlink(path)


@to(some_file, some_file, seen="seen")
def swapped(store, chance, a, b):
    os.rename(a, a + "~")
    os.rename(b, a)
    os.rename(a + "~", b)


@to(some_file, some_file, seen="seen")
def over(store, chance, a, b):
    shutil.copyfile(a, b)


@to(some_file, seen="")
def renamed(store, chance, path):
    os.rename(path, f"{os.path.dirname(path)}/{odd_name(path, store, chance)}")


def odd_name(path, store, chance):
    name = os.path.basename(path)
    ext = ".gob.gz" if store.gz else ".gob"
    stem = name[:-len(ext)]
    return chance.choice((stem[:7], stem + "0", stem.upper(), stem + " (copy)", stem + "_old", "." + stem, "", "zzz", "0000000", "000000000",
                          "ffffffff", "\n", "tmp123456", stem + ".tmp", "é", "x" * 200)) + \
        chance.choice((ext, ext, ext, ext, ".gob", ".gob.gz", ".gob.bak", ".gob~", ext + ".tmp", ".GOB", ".gob.gz.gz", ""))


@to(some_file, seen="")
def copied(store, chance, path):
    shutil.copyfile(path, f"{os.path.dirname(path)}/{odd_name(path, store, chance)}")


@to(some_document, some_directory)
def moved(store, chance, path, other):
    if other == os.path.dirname(path):
        return None
    os.rename(path, f"{other}/{os.path.basename(path)}")
    return ""


@to(some_file, seen="seen")
def other_form(store, chance, path):
    """The bytes are those of the other setting, or the name is."""
    data, packed = store.read_file(path), path.endswith(".gz")
    how = chance.randrange(4)
    if how == 0:
        store.put(path, data, not packed)
    elif how == 1:
        os.rename(path, path[:-3] if packed else path + ".gz")
    elif how == 2:
        store.put(path[:-3] if packed else path + ".gz", data)
    else:
        store.put(path, gzip.compress(data), True)


def members(store, chance):
    """gzip files that other programs write: members in a row, a name in the header, nothing packed."""
    path = some_file(store, chance)
    if not path or not path.endswith(".gz"):
        return None
    data = store.read_file(path)
    at = chance.randrange(len(data) + 1)
    with open(path, "wb") as f:
        if chance.random() < 0.5:
            f.write(gzip.compress(data[:at]) + gzip.compress(data[at:]))
        else:
            with gzip.GzipFile("name with space", "wb", chance.choice((0, 1, 9)), f, 1e9) as z:
                z.write(data)
    return ""


# ---- documents and metadata that other programs wrote ----

def document(change, seen="seen"):
    """@change(collection, document, chance) alters a copy of a document; it may return another name for its file."""
    def way(store, chance):
        collections = [c for c in store.collections if c.docs and os.path.isdir(f"{store.path}/{c.dir}")]
        if not collections:
            return None
        c = chance.choice(collections)
        doc = dict(chance.choice(c.docs))
        name = short_hash(doc["id"])
        name = change(c, doc, chance) or name
        store.write([document_row(f"{store.path}/{c.dir}/{name}{c.extension()}", doc, c.gz, c.style)])
        # What the others are shows what one should be.
        return seen if len(c.docs) > 3 and c.has_vectors else ""
    return way


def vector(make):
    def change(c, doc, chance):
        doc["vector"] = make(list(doc["vector"]), c, chance)
    return document(change)


def one_of(value):
    def make(v, _, chance):
        if v:
            v[chance.randrange(len(v))] = value
        return v
    return make


def second_with_id(c, doc, chance):
    if chance.random() < 0.7:
        doc["content"] += " changed"
    return chance.choice(("00000001", "ffffffff", "zzz", "A", c.dir))


def no_id(_, doc, chance):
    doc["id"] = ""
    return chance.choice((None, "e3b0c442"))


def other_id(_, doc, chance):
    doc["id"] = doc["id"][:-1] + chr(ord(doc["id"][-1]) ^ 1) if chance.random() < 0.5 else "some other id"


def other_text(_, doc, chance):
    doc["content"] = chance.choice(("", "\0" * 50, sentence(chance, 10), b"\xff\xfe", b"caf\xe9 " * 10))


def other_metadata(store, chance):
    c = chance.choice(store.collections)
    if not os.path.isdir(f"{store.path}/{c.dir}"):
        return None
    name = chance.choice((chance.choice(store.collections).name, "", "elsewhere", c.name + "x", c.name[:-1] + chr(ord(c.name[-1]) ^ 1), c.name.upper()))
    store.write([metadata_row(f"{store.path}/{c.dir}/00000000{c.extension()}", name, c.meta, c.gz)])
    return "" if name == c.name else "seen"


# ---- directories and other kinds of entries ----

@to(some_directory)
def second_directory(store, chance, path):
    name = os.path.basename(path)
    new = f"{store.path}/{chance.choice((name + '.bak', name + '.tmp', name.upper(), 'copy', '.trash', name[:7], name + '0', '00000000', 'ffffffff', '.' + name, 'lost+found', '日本'))}"
    if os.path.lexists(new):
        return None
    how = chance.random()
    if how < 0.3:
        os.rename(path, new)
        return ""
    shutil.copytree(path, new)
    if how < 0.5:
        for name in os.listdir(new):
            if name.startswith("00000000."):
                os.unlink(f"{new}/{name}")
    elif how < 0.7:
        names = [n for n in os.listdir(new) if not n.startswith("00000000.")]
        if names:
            os.unlink(f"{new}/{chance.choice(names)}")
    return ""


def stray(store, chance):
    where = store.path if chance.random() < 0.4 else some_directory(store, chance)
    if not where:
        return None
    name = chance.choice(("notes.txt", "x.tmp", ".DS_Store", "00000000", "a.gob.swp", "core", "12345678.gob.tmp-1", "ÿ", "x\ny"))
    if not os.path.lexists(f"{where}/{name}"):
        with open(f"{where}/{name}", "wb") as f:
            f.write(chance.choice((b"", b"text\n", bytes(100))))
    return ""


def empty_directory(store, chance):
    where = store.path if chance.random() < 0.5 else some_directory(store, chance)
    name = chance.choice(("00000000.gob", "abcdef01", "abcdef01.gob", "tmp", "abcdef01.gob.gz", ".git"))
    if not where or os.path.lexists(f"{where}/{name}"):
        return None
    os.mkdir(f"{where}/{name}")
    if chance.random() < 0.3:
        with open(f"{where}/{name}/x.gob{'.gz' if store.gz else ''}", "wb") as f:
            f.write(b"no document")
    return ""


@to(some_directory, seen="")
def emptied(store, chance, path):
    for name in os.listdir(path):
        if chance.random() < 0.5 or not name.startswith("00000000."):
            shutil.rmtree(f"{path}/{name}") if os.path.isdir(f"{path}/{name}") and not os.path.islink(f"{path}/{name}") else os.unlink(f"{path}/{name}")


@to(some_file)
def other_kind(store, chance, path):
    aside = f"{store.path}.aside"
    os.makedirs(aside, exist_ok=True)
    target = f"{aside}/{len(os.listdir(aside))}"
    os.rename(path, target)
    how = chance.randrange(6)
    if how == 0:
        os.symlink(target, path)
        return ""
    if how == 1:
        os.symlink("nowhere", path)
    elif how == 2:
        os.symlink(path, path)
    elif how == 3:
        os.symlink(aside, path)
    elif how == 4:
        os.mkdir(path)
    else:
        with socket.socket(socket.AF_UNIX) as s:
            here = os.open(os.path.dirname(path), os.O_RDONLY)
            os.fchdir(here)
            s.bind(os.path.basename(path))
            os.chdir("/")
            os.close(here)
    return ""


@to(some_directory, seen="seen")
def linked_directory(store, chance, path):
    aside = f"{store.path}.aside"
    os.makedirs(aside, exist_ok=True)
    target = f"{aside}/{len(os.listdir(aside))}"
    os.rename(path, target)
    os.symlink(target, path)


def mode(store, chance):
    path = chance.choice((some_file, some_directory))(store, chance)
    if path:
        os.chmod(path, chance.choice((0, 0o200, 0o100, 0o444, 0o666, 0o777)) | (0o100 if os.path.isdir(path) and chance.random() < 0.5 else 0))
    return "" if path else None


NAN, INF = math.nan, math.inf
WAYS = {
    "cut": on_content(cut), "flip": on_content(flip), "zero tail": on_content(zero_tail), "zero range": on_content(zero_range),
    "noise": on_content(noise), "longer": on_content(longer), "doubled": on_content(doubled, "seen"), "lost front": on_content(lost_front),
    "sparse": sparse, "gone": to(some_document, seen="")(gone), "metadata gone": to(some_metadata, seen="seen")(gone),
    "swapped": swapped, "over": over, "renamed": renamed,
    "copied": copied, "moved": moved, "other form": other_form, "members": members, "second with id": document(second_with_id, ""),
    "no id": document(no_id), "other id": document(other_id), "other text": document(other_text, ""), "other metadata": other_metadata,
    "second directory": second_directory, "stray": stray, "empty directory": empty_directory, "emptied": emptied,
    "other kind": other_kind, "linked directory": linked_directory, "mode": mode,
    "dimension": vector(lambda v, c, chance: unit(chance, len(v) + chance.choice((1, 5, -1) if len(v) > 1 else (1, 5)))),
    "no vector": vector(lambda v, c, chance: []),
    "nan": vector(one_of(NAN)), "inf": vector(one_of(INF)), "minus inf": vector(one_of(-INF)),
    "zero vector": vector(lambda v, c, chance: [0.0] * len(v)),
    "long vector": vector(lambda v, c, chance: [x * chance.choice((2.0, 0.5, 1.01, 1e10)) for x in v]),
}
# Those that hit a byte are many ways in one.
OFTEN = ("cut", "flip", "flip", "flip", "zero tail", "zero tail", "zero range", "noise", "copied", "renamed", "other kind", "second directory")
