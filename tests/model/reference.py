# SPDX-License-Identifier: Apache-2.0
"""
reference.py VSCTL GOBCHECK GOBWRITE [--runs N] [--seconds S] [--seed SEED] [--run N]: vsctl against Go's own decoder

A run has Go's encoder write a sound chromem-go store of chance, in which verify may find nothing, damages it in one to
three ways, and compares what vsctl and gobcheck, which loads a store as the library does, say of it: whether it loads
and with which words not, which collections it has under which names, how many documents. What changes without an error
must be seen, where the store can show it. Then it is repaired: it must load, every document that was whole must be there
or in quarantine, and a second verify must agree with the loader again. Speaks TAP; a run that fails names its number,
and --run does it again alone and keeps what it made.
"""
import argparse
import json
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time

import chromemdamage
import chromemstores

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class Wrong(Exception):
    pass


def digests_below(path):
    """Of all files, those in quarantine and of the state too, by their bytes."""
    out = set()
    for where, _, names in os.walk(path):
        for name in names:
            at = os.path.join(where, name)
            if stat.S_ISREG(os.stat(at, follow_symlinks=os.path.lexists(at) and os.path.exists(at)).st_mode):
                with open(at, "rb") as f:
                    out.add(f.read())
    return out


def plain(text):
    """JSON of either makes U+FFFD of what is no text, not always as many of them."""
    return re.sub("[\0\ufffd]+", "?", text)


class Run:
    def __init__(self, args, number, scratch):
        self.args, self.number, self.scratch = args, number, scratch
        self.chance = random.Random(args.seed * 1000003 + number)
        self.path = f"{scratch}/store"
        self.log = []
        self.prefix = []

    def tool(self, *words, ok=(0, 1)):
        done = subprocess.run([*self.prefix, *words], capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
        if done.returncode not in ok:
            raise Wrong(f"{' '.join(words)}: ended with {done.returncode}\n{(done.stdout[-2000:] + done.stderr[-2000:]).decode(errors='replace')}")
        return done

    def loader(self):
        setting = ["--compress"] if self.store.gz else []
        return json.loads(self.tool(self.args.gobcheck, "dir", self.path, *setting).stdout)

    def verify(self, *more):
        setting = "gzip" if self.store.gz else "plain"
        done = self.tool(self.args.vsctl, "verify", "--json", "--compression", setting, *more, self.path, ok=(0, 4, 8))
        try:
            return json.loads(done.stdout)
        except ValueError as e:
            raise Wrong(f"verify: {done.stdout[:500]} {done.stderr[:500]}") from e

    def compare(self, go, said, when):
        """What both can say of a store."""
        if (said["loadable"] != "no") != go["ok"]:
            raise Wrong(f"{when}: verify says loadable {said['loadable']} ({said['loader_error']}), and the loader {go.get('error', 'loads it')}")
        error = go.get("error", "").replace(self.path, "${STORE}") or None
        mine = (said["loader_error"] or "").replace(self.path, "${STORE}") or None
        if error != mine:
            raise Wrong(f"{when}: verify has the loader say\n  {mine}\nand it says\n  {error}")
        counts = {}
        for f in go.get("files") or []:
            if f["kind"] == "document":
                where = f["path"].split("/")[0]
                counts[where] = counts.get(where, 0) + 1
        names = {}
        for c in said["collections"]:
            if c["documents"] != counts.get(c["id"], 0):
                raise Wrong(f"{when}: {c['id']} has {c['documents']} documents for verify and {counts.get(c['id'], 0)} for the loader")
            names[c["id"]] = c["name"]
        for c in go["collections"]:
            if plain(names.get(c["dir"]) or "") != plain(c["name"]):
                raise Wrong(f"{when}: {c['dir']} is named {names.get(c['dir'])!r} for verify and {c['name']!r} for the loader")

    def is_search_broken(self, go):
        """Vectors of several sizes in one collection."""
        served = {c["dir"] for c in go["collections"]}
        sizes = {}
        for f in go.get("files") or []:
            if f["kind"] == "document" and f["path"].split("/")[0] in served:
                sizes.setdefault(f["path"].split("/")[0], set()).add(f.get("dims", 0))
        return any(len(s) > 1 for s in sizes.values())

    def judge(self, sound, go, said, must):
        """What becomes of a store that loads."""
        loud = [f for f in said["findings"] if f["severity"] != "info"]
        if "seen" in must and not loud:
            raise Wrong("verify finds nothing")
        if not go["ok"]:
            return
        is_same = go["db_digest"] == sound["db_digest"]
        if self.is_search_broken(go) and said["loadable"] != "silently-wrong":
            raise Wrong("the loader loads vectors of several sizes, and verify does not say that it is wrong")
        ids = {(c["dir"], f["id"]) for c in go["collections"] for f in (go.get("files") or []) if f["kind"] == "document" and f["path"].startswith(c["dir"] + "/") and "id" in f}
        before = {(c["dir"], f["id"]) for c in sound["collections"] for f in sound.get("files", []) if f["kind"] == "document" and f["path"].startswith(c["dir"] + "/") and "id" in f}
        if ids - before and not loud:
            raise Wrong(f"documents load under ids that they did not have, and verify finds nothing: {sorted(ids - before)[:3]}")
        names = {(c["dir"], c["name"]) for c in go["collections"]} - {(c["dir"], c["name"]) for c in sound["collections"]}
        if names and not loud:
            raise Wrong(f"collections load under names that they did not have, and verify finds nothing: {sorted(names)[:3]}")
        # Another day these lose something, or only what is no longer in the store tells that they have not.
        allowed = {"chromem-document-checksum", "chromem-document-duplicate-id", "chromem-store-wrong-form", "chromem-metadata-field-damaged",
                   "chromem-document-field-damaged", "chromem-collection-mixed-forms", "chromem-collection-duplicate-name"}
        silent = [f["code"] for f in said["findings"] if f["severity"] == "error"]
        if is_same and said["loadable"] == "silently-wrong" and not set(silent) & allowed and not self.is_search_broken(go):
            raise Wrong(f"the loader loads what was written, and verify calls it silently wrong: {silent}")

    def repair(self, go):
        whole = {f["digest"]: f["path"] for f in (go.get("files") or []) if f["kind"] == "document" and "digest" in f}
        kept = {}
        for digest, path in whole.items():
            with open(f"{self.path}/{path}", "rb") as f:
                kept[digest] = f.read()
        done = self.tool(self.args.vsctl, "repair", "--yes", "--force", "--json", self.path, ok=(0, 1, 4, 8))
        plan = json.loads(done.stdout) if done.stdout else {}
        if done.returncode == 8:
            self.log.append("repair: 8 " + done.stderr.decode(errors="replace")[:300])
            return
        after, said = self.loader(), self.verify()
        # Where the last collection was set aside, there is no store any more.
        if "error" in said:
            if after["collection_count"] or not re.search("without any collection|not a store, but there are stores below", said["error"]["message"]):
                raise Wrong(f"after repair verify says {said['error']['message']}, and the loader {after}")
            return
        self.compare(after, said, "after repair")
        if done.returncode in (0, 1) and [f for f in said["findings"] if f["severity"] == "error"]:
            raise Wrong(f"repair ends with {done.returncode}, and verify finds {[f['code'] for f in said['findings'] if f['severity'] == 'error']}")
        if not after["ok"]:
            raise Wrong(f"not loadable after repair, which ended with {done.returncode}: {after['error']}; {[(f['code'], f['fix']) for f in said['findings'] if f['severity'] == 'error']}")
        there = {f.get("digest") for f in (after.get("files") or [])}
        gone = {d: p for d, p in whole.items() if d not in there}
        rewritten = {json.dumps(a) for a in plan.get("plan", []) if a.get("action") == "rewrite-document"}
        if gone:
            bytes_below = digests_below(self.path) | digests_below(f"{self.path}.vsctl")
            lost = [p for d, p in gone.items() if kept[d] not in bytes_below and not any(p in r for r in rewritten)]
            if lost:
                raise Wrong(f"repair lost {lost}")
        again = self.tool(self.args.vsctl, "repair", "--yes", "--force", "--json", self.path, ok=(0, 1, 4))
        if json.loads(again.stdout).get("applied"):
            raise Wrong(f"a second repair finds something to do: {again.stdout.decode()[:1500]}")

    def go(self):
        self.store = chromemstores.make(self.path, self.args.gobwrite, self.chance)
        sound, said = self.loader(), self.verify()
        self.compare(sound, said, "sound")
        loud = [f for f in said["findings"] if f["severity"] != "info"]
        if loud or said["loadable"] != "yes":
            raise Wrong(f"sound, and verify finds {json.dumps(loud)[:1500]}")
        must = []
        for _ in range(self.chance.choice((1, 1, 1, 2, 3))):
            name = self.chance.choice(self.args.way or [*chromemdamage.WAYS, *chromemdamage.OFTEN])
            expected = chromemdamage.WAYS[name](self.store, self.chance)
            self.log.append(f"{name}: {expected!r}")
            must.append(expected)
        if must == [None]:
            return
        # Permissions mean nothing to root.
        if "mode" in " ".join(self.log) and os.geteuid() == 0:
            for where, dirs, names in os.walk(self.scratch):
                for name in [".", *dirs, *names]:
                    os.chown(os.path.join(where, name), 65534, 65534, follow_symlinks=False)
            self.prefix = NOBODY
        go, said = self.loader(), self.verify()
        self.compare(go, said, "damaged")
        self.judge(sound, go, said, must if len(must) == 1 else [])
        quick = self.verify("--level", "quick")
        deep = self.verify("--level", "deep")
        if deep["loadable"] != said["loadable"] or (quick["loadable"] == "no" and go["ok"]):
            raise Wrong(f"loadable {said['loadable']} by default, {quick['loadable']} quick, {deep['loadable']} deep")
        self.prefix = []
        if "mode" not in " ".join(self.log):
            self.repair(go)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("vsctl")
    p.add_argument("gobcheck")
    p.add_argument("gobwrite")
    p.add_argument("--runs", type=int, default=100)
    p.add_argument("--seconds", type=int, default=0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--run", type=int)
    p.add_argument("--way", action="append")
    args = p.parse_args()
    for name in ("vsctl", "gobcheck", "gobwrite"):
        setattr(args, name, os.path.abspath(getattr(args, name)))
    end = time.monotonic() + args.seconds if args.seconds else None
    failed = count = 0
    for n in [args.run] if args.run is not None else range(args.runs):
        if end and time.monotonic() > end:
            break
        count += 1
        scratch = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        os.chmod(scratch, 0o755)
        run = Run(args, n, scratch)
        try:
            run.go()
        except (Wrong, subprocess.TimeoutExpired) as e:
            failed += 1
            print(f"# run {n} of seed {args.seed}: {'; '.join(run.log)}\n" + "\n".join(f"#   {line}" for line in str(e).splitlines()[:20]), flush=True)
        if args.run is None:
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            print(f"# {'; '.join(run.log)}; kept: {scratch}")
    print(f"{'not ok' if failed else 'ok'} 1 - stores judged as Go's decoder judges them: {count} of them, {failed} not\n1..1")
    sys.exit(1 if failed else 0)


main()
