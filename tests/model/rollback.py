# SPDX-License-Identifier: Apache-2.0
"""
rollback.py VSCTL [SEQUENCES [SEED]]: snapshots and rollbacks against a model

Random sequences of what an application does to a store (documents added, changed, removed;
collections made and removed) and of what an operator does (snapshots, cleanups, full and partial
rollbacks, undos, restores). The model is a dictionary from path to bytes; after each step the files
of the store are those of the model, every byte. Speaks TAP; a failed sequence prints its steps and
its seed.
"""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../kit"))
import chromemstore as cs  # noqa: E402

NAMES = ["alpha", "beta", "gamma", "contextd_memories"]
STEPS = 22


class Wrong(Exception):
    pass


class Scene:
    def __init__(self, vsctl, seed, root):
        self.vsctl = vsctl
        self.rng = random.Random(seed)
        self.root = root
        self.store = os.path.join(root, "store")
        self.model = {}
        self.snapshots = {}  # name -> model of then
        self.runs = []  # newest last: (model before, model after)
        self.log = []
        self.count = 0
        os.mkdir(self.store, 0o700)

    # ---- both ----

    def write(self, path, data):
        cs.write_as_go(os.path.join(self.store, path), data)
        self.model[path] = data

    def run(self, *words, want=(0,)):
        done = subprocess.run([self.vsctl, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode not in want:
            raise Wrong(f"{' '.join(words)}: status {done.returncode}: {done.stderr.strip()[-400:]} {done.stdout.strip()[-400:]}")
        return done

    def look(self):
        found = {}
        for directory, _, files in os.walk(self.store):
            for name in files:
                path = os.path.join(directory, name)
                with open(path, "rb") as f:
                    found[os.path.relpath(path, self.store)] = f.read()
        return found

    def compare(self, where, want=None):
        found = self.look()
        want = self.model if want is None else want
        if found != want:
            odd = sorted(p for p in set(found) | set(want) if found.get(p) != want.get(p))
            raise Wrong(f"{where}: {len(odd)} files differ: {odd[:3]}")

    # ---- what an application does ----

    def collections(self):
        return [n for n in NAMES if cs.hash8(n) + "/00000000.gob" in self.model]

    def documents(self):
        return [p for p in self.model if not p.endswith("00000000.gob")]

    def add(self):
        names = self.collections()
        if not names:
            return self.make_collection()
        name = self.rng.choice(names)
        for _ in range(self.rng.choice([1, 1, 2, 5])):
            self.count += 1
            self.put(name, f"doc-{self.count}")
        return f"add to {name}"

    def put(self, name, doc_id):
        path = os.path.relpath(cs.document_path(self.store, name, doc_id), self.store)
        text = "x" * self.rng.choice([0, 3, 3, 3, 200])
        self.write(path, cs.document_file(doc_id, text, cs.unit_vector(self.rng.random(), 4), {"n": doc_id}))

    def change(self):
        paths = self.documents()
        if not paths:
            return self.add()
        path = self.rng.choice(sorted(paths))
        # The same length as often as not: only the bytes differ.
        data = bytearray(self.model[path])
        if self.rng.random() < 0.6:
            at = data.rfind(b"x")
            if at >= 0:
                data[at] = ord(self.rng.choice("yzw"))
        else:
            data = bytearray(data.replace(b"x", b"xx", 1) if self.rng.random() < 0.1 else data)
        self.write(path, bytes(data))
        return f"change {path}"

    def remove(self):
        paths = self.documents()
        if not paths:
            return self.add()
        path = self.rng.choice(sorted(paths))
        os.unlink(os.path.join(self.store, path))
        del self.model[path]
        return f"remove {path}"

    def make_collection(self):
        name = self.rng.choice(NAMES)
        self.write(cs.hash8(name) + "/00000000.gob", cs.collection_file(name, {"owner": name} if self.rng.random() < 0.3 else None))
        return f"make {name}"

    def remove_collection(self):
        names = self.collections()
        if not names:
            return self.make_collection()
        name = self.rng.choice(names)
        shutil.rmtree(os.path.join(self.store, cs.hash8(name)))
        self.model = {p: d for p, d in self.model.items() if not p.startswith(cs.hash8(name) + "/")}
        return f"remove {name}"

    # ---- what an operator does ----

    def snapshot(self):
        self.count += 1
        name = f"s{self.count}"
        words = ["snapshot", "create", "--quiet", "--name", name]
        if self.rng.random() < 0.15:
            words.append("--full")
        if self.rng.random() < 0.15:
            words.append("--rehash")
        self.run(*words, self.store, want=(0, 4))
        self.snapshots[name] = dict(self.model)
        return " ".join(words)

    def listed(self):
        out = self.run("snapshot", "list", "--json", self.store).stdout
        return {s["snapshot"]: s for s in json.loads(out)["snapshots"]}

    def cleanup(self):
        if not self.snapshots:
            return self.snapshot()
        keep = self.rng.choice([1, 2, 3])
        good = [n for n, s in self.listed().items() if s["good"]]
        self.run("snapshot", "cleanup", "--quiet", "--keep-last", str(keep), self.store)
        left = self.listed()
        if good and not any(s["good"] for s in left.values()):
            raise Wrong("cleanup: the last good one is gone")
        self.snapshots = {n: m for n, m in self.snapshots.items() if n in left}
        self.run("snapshot", "verify", "--quiet", self.store)
        return f"cleanup --keep-last {keep}"

    def delete(self):
        if not self.snapshots:
            return self.snapshot()
        name = self.rng.choice(sorted(self.snapshots))
        done = self.run("snapshot", "delete", "--quiet", self.store, name, want=(0, 8))
        if done.returncode == 0:
            del self.snapshots[name]
        if (name in self.listed()) != (done.returncode != 0):
            raise Wrong(f"delete {name}: status {done.returncode}, and the list says otherwise")
        self.run("snapshot", "verify", "--quiet", self.store)
        return f"delete {name}: {done.returncode}"

    def rollback(self, partial=False):
        if not self.snapshots:
            return self.snapshot()
        name = self.rng.choice(sorted(self.snapshots))
        then = self.snapshots[name]
        words = ["rollback", "--yes", "--quiet"]
        chosen = None
        if partial:
            there = sorted({p.split("/")[0] for p in then})
            if not there:
                return self.add()
            chosen = self.rng.sample(there, self.rng.randint(1, len(there)))
            words += ["--partial", "--collections", ",".join(chosen)]
        after = {p: d for p, d in self.model.items() if chosen and p.split("/")[0] not in chosen}
        after.update({p: d for p, d in then.items() if not chosen or p.split("/")[0] in chosen})
        if self.rng.random() < 0.3:
            self.run(*words[:1], "--dry-run", *words[2:], self.store, name)
            self.compare("dry run")
        self.run(*words, self.store, name, want=(0, 4))
        if after != self.model:
            self.runs.append((self.model, dict(after)))
        self.model = after
        return f"{' '.join(words)} {name}"

    def partial(self):
        return self.rollback(partial=True)

    def undo(self):
        if not self.runs:
            return self.rollback()
        before, after = self.runs[-1]
        touched = [p for p in set(before) | set(after) if before.get(p) != after.get(p)]
        is_clean = all(self.model.get(p) == after.get(p) for p in touched)
        done = self.run("undo", "--yes", "--quiet", self.store, want=(0, 8))
        if done.returncode == 0:
            if not is_clean:
                raise Wrong("undo: what it would take back has changed since, and it did not mind")
            self.runs.pop()
            result = dict(self.model)
            for p in touched:
                result.pop(p, None)
                if p in before:
                    result[p] = before[p]
            self.model = result
        elif self.model == after:
            raise Wrong(f"undo: nothing has changed since, and it refuses: {done.stderr.strip()[-300:]}")
        else:
            # It will go on refusing: what came before it stays as it is.
            self.runs = []
        return f"undo: {done.returncode}"

    def restore(self):
        if not self.snapshots:
            return self.snapshot()
        name = self.rng.choice(sorted(self.snapshots))
        to = os.path.join(self.root, "new")
        self.run("restore", "--quiet", "--to", to, self.store, name, want=(0, 4))
        kept, self.store = self.store, to
        self.compare(f"restore {name}", self.snapshots[name])
        self.store = kept
        shutil.rmtree(to)
        return f"restore {name}"

    def play(self):
        application = [self.add] * 5 + [self.change] * 4 + [self.remove] * 3 + [self.make_collection, self.remove_collection]
        operator = [self.snapshot] * 5 + [self.rollback] * 4 + [self.partial] * 3 + [self.undo] * 3 + [self.restore, self.cleanup, self.delete]
        for name in NAMES[:2]:
            self.write(cs.hash8(name) + "/00000000.gob", cs.collection_file(name))
        for _ in range(6):
            self.add()
        for _ in range(STEPS):
            step = self.rng.choice(application if self.rng.random() < 0.5 else operator)
            self.log.append(step.__name__)
            self.log[-1] = step()
            self.compare(self.log[-1])
        self.run("audit-log", "verify", "--quiet", self.store, want=(0, 8))


def main():
    vsctl = os.path.realpath(sys.argv[1])
    sequences = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for name in ("VSCTL_STORE", "VSCTL_STATE"):
        os.environ.pop(name, None)
    failed = steps = 0
    for number in range(seed, seed + sequences):
        root = tempfile.mkdtemp(prefix="vsctl-model-", dir=place)
        scene = Scene(vsctl, number, root)
        try:
            scene.play()
        except Wrong as wrong:
            failed += 1
            print(f"# seed {number}, step {len(scene.log)}: {wrong}")
            for step in scene.log:
                print(f"#     {step}")
            if failed > 3:
                break
        finally:
            shutil.rmtree(root)
        steps += len(scene.log)
    print(f"# {sequences} sequences, {steps} steps")
    print("1..1")
    print(f"{'not ok' if failed else 'ok'} 1 - the store is what the model says after each step")
    sys.exit(failed > 0)


main()
