# SPDX-License-Identifier: Apache-2.0
"""
salvage.py VSCTL STORES TRUTH [EVERY [SEED]]: a database damaged in each place, and what salvage says of it

One page after the other of stores written by real servers is overwritten, by random bytes or by
zeros, and the file is cut off at many lengths; of all these every EVERY-th (1: all of them). Then the
salvaged database opens, is sound, and each record in it is what its client wrote, or is said to be
partly there with all that is missing, or lost. None is there that was never written, and no value is
another. Speaks TAP.
"""
import json
import os
import pickle
import random
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile

PAGE = 4096


class Wrong(Exception):
    pass


def metadata_of(db, row):
    out = {}
    for key, text, integer, real, flag in db.execute(
            "SELECT key, string_value, int_value, float_value, bool_value FROM embedding_metadata WHERE id = ?", (row,)):
        values = [v for v in (text, integer, real, None if flag is None else bool(flag)) if v is not None]
        if len(values) != 1:
            raise Wrong(f"row {row}: {key} has {len(values)} values")
        out[key] = values[0]
    return out


def close(a, b):
    if isinstance(a, float) or isinstance(b, float):
        return abs(a - b) <= 1e-12 * max(abs(a), abs(b), 1)
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def may_miss(said, key):
    if "metadata, as far as it cannot be told" in said or "all but its vector" in said or \
            "what the write queue does not say" in said:
        return True
    return ("document" if key == "chroma:document" else f"metadata {key}") in said


def check_record(where, want, got, said):
    wanted = dict(want["m"])
    if want["d"] is not None:
        wanted["chroma:document"] = want["d"]
    for key, value in got.items():
        if key not in wanted:
            raise Wrong(f"{where}: {key} was never written")
        if not close(value, wanted[key]):
            raise Wrong(f"{where}: {key} is {value!r}, not {wanted[key]!r}")
    for key in wanted.keys() - got.keys():
        if not may_miss(said, key):
            raise Wrong(f"{where}: {key} is missing and nothing says so: {said!r}")


def pickled(store, segment):
    try:
        with open(os.path.join(store, segment, "index_metadata.pickle"), "rb") as f:
            return set(pickle.load(f)["id_to_label"])
    except FileNotFoundError:
        return set()
    # A class of Chroma's releases in Python.
    except ModuleNotFoundError:
        return None


def check_vectors(where, store, db, collection, said):
    segment = db.execute("SELECT id FROM segments WHERE collection = ? AND scope = 'VECTOR'", (collection,)).fetchone()
    ids = pickled(store, segment[0]) if segment else set()
    if ids is None:
        return
    ids |= {r[0] for r in db.execute("SELECT id FROM embeddings_queue WHERE vector IS NOT NULL AND topic LIKE ?",
                                     ("%" + collection,))}
    for record, missing in said.items():
        if record not in ids and "vector" not in missing:
            raise Wrong(f"{where}: the vector of {record} is nowhere and nothing says so")


def check_collection(where, store, db, truth, said):
    rows = {}
    for row, record in db.execute("SELECT e.id, e.embedding_id FROM embeddings e JOIN segments s ON s.id = e.segment_id "
                                  "WHERE s.collection = ? AND s.scope = 'METADATA'", (truth["id"],)):
        rows[record] = row
    mine = {r["id"]: r["missing"] or "" for r in said if r["collection_id"] == truth["id"] and r["status"] != "lost"}
    if mine.keys() != rows.keys():
        raise Wrong(f"{where}: said of {mine.keys() ^ rows.keys()}")
    for record, row in rows.items():
        # The end of the queue is lost, and only its beginning or the index directory is left to tell.
        if "changed or deleted since" in mine[record]:
            continue
        if record not in truth["recs"]:
            raise Wrong(f"{where}: {record} was never written")
        check_record(f"{where} {record}", truth["recs"][record], metadata_of(db, row), mine[record])
    check_vectors(where, store, db, truth["id"], mine)
    return truth["recs"].keys() - rows.keys()


def check_fts(db):
    wrong = db.execute("SELECT count(*) FROM embedding_metadata m LEFT JOIN embedding_fulltext_search f ON f.rowid = m.id "
                       "WHERE m.key = 'chroma:document' AND f.string_value IS NOT m.string_value").fetchone()[0]
    if wrong:
        raise Wrong(f"{wrong} documents are not in the full-text table")
    db.execute("INSERT INTO embedding_fulltext_search(embedding_fulltext_search) VALUES('integrity-check')")


def salvage(vsctl, root, name, data, truth, want_whole):
    store = os.path.join(root, "store")
    out = os.path.join(root, "out.sqlite3")
    with open(os.path.join(store, "chroma.sqlite3"), "wb") as f:
        f.write(data)
    if os.path.exists(out):
        os.unlink(out)
    done = subprocess.run([vsctl, "salvage", "--format", "json", "--to", out, store], capture_output=True, timeout=60, check=False)
    # Cut off before the first row that matters.
    if done.returncode == 8 and b"no page of it has rows" in done.stderr and len(data) < 8 * PAGE:
        return 0, 0, 0
    if done.returncode not in (0, 1, 4):
        raise Wrong(f"{name}: status {done.returncode}: {done.stderr.decode(errors='replace')}")
    report = json.loads(done.stdout)["salvage"]
    db = sqlite3.connect(out)
    if db.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
        raise Wrong(f"{name}: not sound")
    check_fts(db)
    said = report["records"]
    absent = [r for t in truth.values() for r in check_collection(f"{name} {t['name']}", store, db, t, said)]
    lost = [r for r in said if r["status"] == "lost"]
    named = {r["id"] for r in lost if r["id"]}
    unnamed = len([r for r in lost if not r["id"]])
    if report["all_ids_known"] and len(set(absent) - named) > unnamed:
        raise Wrong(f"{name}: {set(absent) - named} are gone and nothing says so")
    # Where a page of the schema is gone it is not known whether all rows of a table were found.
    is_schema = any(d["table"] == "sqlite_schema" for d in report["damages"])
    if "page" in name and not report["all_ids_known"] and not is_schema:
        raise Wrong(f"{name}: one page, and ids are not known")
    if want_whole and (done.returncode != 0 or report["partly"] or report["lost"]):
        raise Wrong(f"{name}: {report['partly']} partly, {report['lost']} lost")
    db.close()
    return report["whole"], report["partly"], len(absent)


def cases(data, every, rng):
    yield "undamaged", data, True
    pages = len(data) // PAGE
    listed = [(f"page {p + 1} {kind}", p, kind) for p in range(pages) for kind in ("random", "zero", "half")]
    for name, page, kind in listed[::every]:
        length = PAGE // 2 if kind == "half" else PAGE
        at = page * PAGE + (PAGE - length)
        junk = bytes(length) if kind == "zero" else rng.randbytes(length)
        yield name, data[:at] + junk + data[at + length:], False
    cuts = list(range(2 * PAGE, len(data), PAGE)) + [rng.randrange(2 * PAGE, len(data)) for _ in range(20)]
    for length in cuts[::every]:
        yield f"cut to {length} bytes", data[:length], False


def truth_of(path):
    """What a sound database holds, for stores of which nobody kept what was written."""
    db = sqlite3.connect(path)
    truth = {}
    for collection, name in db.execute("SELECT id, name FROM collections"):
        records = {}
        for row, record in db.execute("SELECT e.id, e.embedding_id FROM embeddings e JOIN segments s ON s.id = e.segment_id "
                                      "WHERE s.collection = ? AND s.scope = 'METADATA'", (collection,)):
            values = metadata_of(db, row)
            records[record] = {"d": values.pop("chroma:document", None), "m": values}
        truth[collection] = {"id": collection, "name": name, "recs": records}
    db.close()
    return truth


STORES = ["base", "legacy-0.4.14", "legacy-0.6.3", "healthy-1.0"]


def sweep(vsctl, root, name, truth, every, rng):
    """All cases of one store; how many of them failed."""
    failed = count = 0
    sums = [0, 0, 0]
    shutil.rmtree(os.path.join(root, "store"), ignore_errors=True)
    shutil.copytree(os.path.join(root, name), os.path.join(root, "store"))
    path = os.path.join(root, "store", "chroma.sqlite3")
    truth = truth or truth_of(path)
    with open(path, "rb") as f:
        data = f.read()
    for case, damaged, want_whole in cases(data, every, rng):
        count += 1
        try:
            figures = salvage(vsctl, root, case, damaged, truth, want_whole)
            sums = [a + b for a, b in zip(sums, figures)]
        except (Wrong, sqlite3.Error, subprocess.TimeoutExpired, json.JSONDecodeError, KeyError) as error:
            failed += 1
            print(f"# {name}: {case}: {type(error).__name__} {error}")
    print(f"# {name}: {count} databases: {sums[0]} records whole, {sums[1]} partly, {sums[2]} gone")
    return failed


def main(vsctl, stores, truth_path, every="1", seed="1"):
    rng = random.Random(int(seed))
    with open(truth_path, encoding="utf-8") as f:
        truth = json.load(f)
    root = tempfile.mkdtemp(prefix="vsctl-salvage-")
    results = []
    try:
        with tarfile.open(stores) as tar:
            tar.extractall(root, [m for m in tar.getmembers() if set(m.name.split("/")) & set(STORES)])
        for name in STORES:
            # The store of which it is known what was written is looked at most closely.
            step = int(every) * (1 if name == "base" else 3)
            results.append(sweep(os.path.abspath(vsctl), root, name, truth if name == "base" else None, step, rng))
    finally:
        shutil.rmtree(root)
    print(f"1..{len(results)}")
    for number, (name, failed) in enumerate(zip(STORES, results), 1):
        print(f"{'not ok' if failed else 'ok'} {number} - salvage of {name}, damaged in each place")
    return 1 if any(results) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
