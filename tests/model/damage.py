# SPDX-License-Identifier: Apache-2.0
"""
damage.py VSCTL DATA [--runs N] [--seconds S] [--seed SEED] [--store DIR...]: stores damaged by chance, and every command on them

DATA is tests/data: its stores of both kinds are taken, and each --store. A run copies one, makes one to four changes
by chance (bits, bytes, pages, lengths, whole files, links and pipes in their place, values of any type in any cell of
the database), and has the commands work on it. None may be ended by a signal or by a sanitizer, go on for long, or end
with a status that the manual does not have. Those that only read leave every byte and time of the store as it was.
What repair calls mended verify finds nothing in, and what was changed comes back byte for byte by undo. Speaks TAP;
a run that fails names its number, and --run does it again alone and keeps what it made.
"""
import argparse
import hashlib
import os
import random
import resource
import shutil
import sqlite3
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import time

DB = "chroma.sqlite3"
STATUS = {0, 1, 4, 8, 16, 32}
CPU = 20  # seconds of a processor that a command may take
WALL = 180


class Wrong(Exception):
    pass


# ---- damage ----

def files_of(store):
    out = []
    for path, _, names in os.walk(store):
        out += [os.path.join(path, n) for n in names if stat.S_ISREG(os.lstat(os.path.join(path, n)).st_mode)]
    return sorted(out)


def pick(store, chance):
    """Small files as often as large ones, and now and then the one that matters."""
    files = files_of(store)
    if chance.random() < 0.2:
        files = [f for f in files if os.path.basename(f) in (DB, "header.bin", "00000000.gob", "index_metadata.pickle")] or files
    return chance.choice(files) if files else None


def edit(path, change):
    with open(path, "rb") as f:
        data = bytearray(f.read())
    data = change(data)
    with open(path, "wb") as f:
        f.write(data)


def flip(data, chance):
    for _ in range(chance.choice((1, 1, 1, 5, 50))):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def scribble(data, chance):
    n = chance.choice((1, 2, 4, 8, 64, 500))
    at = chance.randrange(len(data) + 1)
    data[at:at + n] = chance.choice((bytes(n), b"\xff" * n, chance.randbytes(n)))
    return data


def number(data, chance):
    if len(data) >= 8:
        at = chance.randrange(len(data) - 7) // 4 * 4
        value = chance.choice((0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x10000, 1 << 62, (1 << 64) - 1))
        form = chance.choice(("<Q", "<I", ">I", "<H", ">H"))
        struct.pack_into(form, data, at, value & ((1 << 8 * struct.calcsize(form)) - 1))
    return data


def page(data, chance):
    at = chance.randrange(len(data) // 4096 + 1) * 4096
    data[at:at + 4096] = chance.choice((bytes(4096), chance.randbytes(4096), data[:4096]))
    return data


def cut(data, chance):
    return data[:chance.choice((0, 1, len(data) // 2, max(len(data) - 1, 0), chance.randrange(len(data) + 1)))]


def longer(data, chance):
    return data + chance.choice((b"\0", bytes(5000), chance.randbytes(100), data))


def remove_bytes(data, chance):
    at = chance.randrange(len(data) + 1)
    del data[at:at + chance.choice((1, 4, 100))]
    return data


def on_bytes(how):
    def damage(store, chance):
        path = pick(store, chance)
        if path:
            edit(path, lambda data: how(data, chance))
    return damage


def no_file(store, chance):
    path = pick(store, chance)
    if path:
        os.unlink(path)


def swapped(store, chance):
    a, b = pick(store, chance), pick(store, chance)
    if a and a != b:
        os.rename(a, a + "~")
        os.rename(b, a)
        os.rename(a + "~", b)


def other_type(store, chance):
    path = pick(store, chance)
    if path:
        os.unlink(path)
        how = chance.randrange(5)
        if how == 0:
            os.mkdir(path)
        elif how == 1:
            os.mkfifo(path)
        elif how == 2:
            os.symlink("nowhere", path)
        elif how == 3:
            os.symlink(path, path)
        else:
            os.symlink("/dev/zero", path)


def copied(store, chance):
    path = pick(store, chance)
    if path:
        shutil.copy2(path, os.path.join(os.path.dirname(path), chance.choice(("copy.gob", "x.tmp", "chroma.sqlite3-wal", "chroma.sqlite3-journal", "aaaaaaaa.gob"))))


def directory(store, chance):
    names = [n for n in os.listdir(store) if os.path.isdir(f"{store}/{n}") and not os.path.islink(f"{store}/{n}")]
    if names:
        name = f"{store}/{chance.choice(names)}"
        if chance.random() < 0.5:
            shutil.rmtree(name)
        else:
            shutil.copytree(name, name + chance.choice((".bak", ".tmp", "-2")), symlinks=True)


def cell(store, chance):
    """Any value in any place of the database."""
    try:
        db = sqlite3.connect(f"{store}/{DB}", isolation_level=None)
        db.text_factory = bytes
        tables = [n.decode() for n, in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND sql NOT LIKE 'CREATE VIRTUAL%'")]
        for _ in range(chance.choice((1, 1, 3, 20))):
            table = chance.choice(tables)
            columns = [c[1].decode() if isinstance(c[1], bytes) else c[1] for c in db.execute(f'PRAGMA table_info("{table}")')]
            rows = [r for r, in db.execute(f'SELECT rowid FROM "{table}"')]
            if not rows:
                continue
            row = chance.choice(rows)
            if chance.random() < 0.15:
                db.execute(f'DELETE FROM "{table}" WHERE rowid = ?', (row,))
                continue
            value = chance.choice((None, -1, 0, 1, 2 ** 63 - 1, -2 ** 63, 5, 0.5, 1e308, "", "x", "\u00fc" * 300, "a\0b", "{}", '{"a":', "[1]", b"", b"\0" * 8, chance.randbytes(7), b"\xff\xfe",
                                   "00000000-0000-0000-0000-000000000000", "../../x", "x" * 100000))
            try:
                db.execute(f'UPDATE "{table}" SET "{chance.choice(columns)}" = ? WHERE rowid = ?', (value, row))
            except sqlite3.Error:
                pass
        db.close()
    except sqlite3.Error:
        pass
    # A log that an edit has left is not what this is about.
    for name in ("-journal", "-wal", "-shm"):
        if os.path.lexists(f"{store}/{DB}{name}") and chance.random() < 0.5:
            os.unlink(f"{store}/{DB}{name}")


def dropped(store, chance):
    try:
        db = sqlite3.connect(f"{store}/{DB}", isolation_level=None)
        names = [r for r in db.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite%' AND name NOT LIKE 'embedding_fulltext_search_%'")]
        kind, name = chance.choice(names)
        db.execute(f'DROP {kind} "{name}"')
        db.close()
    except (sqlite3.Error, IndexError):
        pass


BOTH = [on_bytes(f) for f in (flip, flip, scribble, scribble, number, number, page, cut, longer, remove_bytes)] + [no_file, swapped, other_type, copied, directory]


def damage(store, chance):
    is_chroma = os.path.isfile(f"{store}/{DB}")
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        ways = BOTH + ([cell] * 10 + [dropped] if is_chroma and os.path.isfile(f"{store}/{DB}") else [])
        chance.choice(ways)(store, chance)


# ---- commands ----

def tree(store, with_times):
    out = []
    for path, dirs, names in sorted(os.walk(store)):
        for name in sorted(dirs + names) + ([""] if with_times else []):
            at = os.path.join(path, name)
            st = os.lstat(at)
            digest = None
            if stat.S_ISREG(st.st_mode):
                with open(at, "rb") as f:
                    digest = hashlib.sha256(f.read()).hexdigest()
            out.append((at[len(store):], stat.S_IFMT(st.st_mode), digest, st.st_mtime_ns if with_times and not stat.S_ISLNK(st.st_mode) else 0))
    return sorted(out)


class Runs:
    def __init__(self, args, stores):
        self.args, self.stores, self.commands = args, stores, 0
        self.dir = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.env = {**os.environ, "ASAN_OPTIONS": "abort_on_error=1:hard_rss_limit_mb=3000", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:abort_on_error=1"}

    def vsctl(self, *words):
        self.commands += 1
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            done = subprocess.run([self.args.vsctl, *words], capture_output=True, stdin=subprocess.DEVNULL, timeout=WALL, env=self.env, check=False)
        except subprocess.TimeoutExpired as e:
            raise Wrong(f"{' '.join(words)}: no end after {WALL} s") from e
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        said = (done.stdout[-1500:] + done.stderr[-4000:]).decode(errors="replace")
        if done.returncode not in STATUS:
            raise Wrong(f"{' '.join(words)}: ended with {done.returncode}\n{said}")
        if used > CPU:
            raise Wrong(f"{' '.join(words)}: took {used:.0f} s of a processor")
        return done.returncode, said

    def writes(self, original, *words):
        """A command that changes the store: verify finds nothing where it says so, and undo takes it back."""
        store = f"{self.dir}/changed"
        for path in (store, f"{store}.vsctl"):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(original, store, symlinks=True, copy_function=copy_any)
        before = tree(store, False)
        code, said = self.vsctl(*words, "--yes", "--force", store)
        left, found = self.vsctl("verify", store)
        # Where the last collection was set aside, there is no store any more.
        is_empty = left == 8 and "without any collection" in found
        if words == ("repair",) and code in (0, 1) and left != 0 and not is_empty:
            raise Wrong(f"repair ends with {code}, and verify with {left}\n{said}\n{found}")
        if tree(store, False) != before:
            again, said = self.vsctl("undo", "--yes", "--force", store)
            if again == 0 and tree(store, False) != before:
                raise Wrong(f"{' '.join(words)}: undo does not bring it back: {sorted(set(before) ^ set(tree(store, False)))[:6]}")
            if again not in (0, 4):
                raise Wrong(f"{' '.join(words)}: undo ends with {again}\n{said}")

    def run(self, n):
        chance = random.Random(self.args.seed * 1000003 + n)
        original, store = chance.choice(self.stores), f"{self.dir}/store"
        for path in (store, f"{store}.vsctl", f"{self.dir}/new"):
            if os.path.isfile(path):
                os.unlink(path)
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(original, store, symlinks=True)
        damage(store, chance)
        before = tree(store, True)
        is_chroma = os.path.lexists(f"{store}/{DB}")
        names = sorted(os.listdir(store))
        some = chance.choice(names) if names else "x"
        reading = [("verify", "--level", chance.choice(("quick", "full", "deep")), *chance.choice(((), ("--json",), ("--explain",))), store), ("inspect", store), ("inspect", store, some),
                   ("repair", "--dry-run", "--force", store), ("search", store, some, "--id", "doc-1"), ("snapshot", "create", "--force", store)]
        if is_chroma:
            collection = chance.choice(("docs", "notes", "fresh"))
            reading += [("salvage", "--force", "--to", f"{self.dir}/new", store), ("index", "check", store), ("optimize", "--dry-run", "--force", store), ("search", store, collection, "--id", chance.choice(("doc-1", "n3", "f2"))),
                        ("export", store, f"{self.dir}/new")]
        else:
            reading += [("recover-metadata", "--dry-run", "--force", store), ("export", store, f"{self.dir}/new")]
        for words in reading:
            if os.path.isfile(f"{self.dir}/new"):
                os.unlink(f"{self.dir}/new")
            self.vsctl(*words)
            if tree(store, True) != before:
                raise Wrong(f"{' '.join(words)} has changed the store: {sorted(set(before) ^ set(tree(store, True)), key=str)[:6]}")
        for words in [("repair",)] + ([("salvage",), ("index", "rebuild"), ("optimize",)] if is_chroma else [("recover-metadata",)]):
            self.writes(store, *words)


def copy_any(a, b):
    """Pipes are no files to be copied."""
    if stat.S_ISFIFO(os.lstat(a).st_mode):
        os.mkfifo(b)
        return b
    return shutil.copy2(a, b)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("vsctl")
    p.add_argument("data")
    p.add_argument("--runs", type=int, default=30)
    p.add_argument("--seconds", type=int, default=0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--run", type=int)
    p.add_argument("--store", action="append", default=[])
    args = p.parse_args()
    source = tempfile.mkdtemp()
    runs = None
    try:
        with tarfile.open(f"{args.data}/chroma/stores.tar.xz") as tar:
            tar.extractall(source)
        stores = [f"{source}/{n}" for n in sorted(os.listdir(source)) if os.path.isdir(f"{source}/{n}")]
        for s in stores:
            if os.path.exists(f"{s}/expected.json"):
                os.unlink(f"{s}/expected.json")
        # As often as those of the other kind.
        chromem = [f"{args.data}/chromem/{n}/store" for n in sorted(os.listdir(f"{args.data}/chromem")) if os.path.isdir(f"{args.data}/chromem/{n}/store")]
        stores += random.Random(args.seed).sample(chromem, min(len(chromem), len(stores) // 2)) + [os.path.abspath(s) for s in args.store]
        runs = Runs(args, stores)
        end = time.monotonic() + args.seconds if args.seconds else None
        numbers = [args.run] if args.run is not None else range(args.runs)
        failed = count = 0
        for n in numbers:
            if end and time.monotonic() > end:
                break
            count += 1
            try:
                runs.run(n)
            except Wrong as e:
                failed += 1
                print(f"# run {n} of seed {args.seed}:\n" + "\n".join(f"# {line}" for line in str(e).splitlines()[:60]), flush=True)
                if args.run is not None:
                    print(f"# kept: {runs.dir}")
                    runs.dir = None
                    break
        print(f"{'not ok' if failed else 'ok'} 1 - stores damaged by chance: {count} of them, {runs.commands} commands, {failed} wrong\n1..1")
        sys.exit(1 if failed else 0)
    finally:
        shutil.rmtree(source)
        if runs and runs.dir:
            shutil.rmtree(runs.dir)


main()
