# SPDX-License-Identifier: Apache-2.0
"""
writer.py VSCTL [SECONDS]: snapshots beside a live writer

A process adds documents and writes them anew as Go's os.Create does, truncating the file that is
there, in small writes, without a rest. Meanwhile snapshots are made; each of them must verify, be
restored, load without a finding of damage, and hold only whole documents: each file is, byte for
byte, one that was written at some time. Verify beside the writer must find nothing either.
Speaks TAP.
"""
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../kit"))
import chromemstore as cs  # noqa: E402

NAME = "alpha"
DOCUMENTS = 300


def document(number, version):
    # The length changes with the version, so that an old tail behind a new head would show.
    text = f"{number}:{version}:" + "t" * ((number * 7 + version * 131) % 3000)
    return cs.document_file(f"doc-{number}", text, cs.unit_vector(number * 100003 + version, 48), {"v": str(version)})


def write_in_pieces(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for at in range(0, len(data), 700):
        os.write(fd, data[at:at + 700])
    os.close(fd)


def writer(store, stop):
    number = version = 0
    while not stop.is_set():
        number = (number * 31 + 7) % DOCUMENTS
        version += 1
        write_in_pieces(cs.document_path(store, NAME, f"doc-{number}"), document(number, version))
        time.sleep(0.0005)


def is_whole(data):
    """Was this written at some time?"""
    for number in range(DOCUMENTS):
        mark = f"{number}:".encode()
        at = data.find(mark)
        while at >= 0:
            end = data.find(b":", at + len(mark))
            digits = data[at + len(mark):end] if end > 0 else b""
            if digits.isdigit() and data == document(number, int(digits)):
                return True
            at = data.find(mark, at + 1)
    return False


class Wrong(Exception):
    pass


def run(vsctl, *words, want=(0,)):
    done = subprocess.run([vsctl, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode not in want:
        raise Wrong(f"{' '.join(words)}: status {done.returncode}: {done.stderr.strip()[-600:]} {done.stdout.strip()[-600:]}")
    return done.stdout


def check_restored(vsctl, new):
    found = json.loads(run(vsctl, "verify", "--json", new))
    if found["loadable"] != "yes":
        raise Wrong(f"a restored store does not load: {found['loadable']}")
    directory = os.path.join(new, cs.hash8(NAME))
    files = [f for f in os.listdir(directory) if f != "00000000.gob"]
    for name in files:
        with open(os.path.join(directory, name), "rb") as f:
            if not is_whole(f.read()):
                raise Wrong(f"{name} in a restored store was never written like this")
    return len(files)


def play(vsctl, store, new, seconds):
    snapshots = documents = stable = 0
    end = time.time() + seconds
    while time.time() < end:
        snapshots += 1
        name = f"s{snapshots}"
        made = json.loads(run(vsctl, "snapshot", "create", "--json", "--name", name, store))
        stable += made["stable"]
        run(vsctl, "snapshot", "verify", "--quiet", store, name)
        run(vsctl, "restore", "--quiet", "--to", new, store, name)
        documents += check_restored(vsctl, new)
        shutil.rmtree(new)
        run(vsctl, "verify", "--quiet", store)
        if snapshots % 10 == 0:
            run(vsctl, "snapshot", "cleanup", "--quiet", "--keep-last", "3", store)
    return snapshots, documents, stable


def main():
    vsctl = os.path.realpath(sys.argv[1])
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 6
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for name in ("VSCTL_STORE", "VSCTL_STATE"):
        os.environ.pop(name, None)
    root = tempfile.mkdtemp(prefix="vsctl-writer-", dir=place)
    store = os.path.join(root, "store")
    cs.write_collection(store, NAME)
    stop = multiprocessing.Event()
    process = multiprocessing.Process(target=writer, args=(store, stop))
    process.start()
    wrong = None
    try:
        snapshots, documents, stable = play(vsctl, store, os.path.join(root, "new"), seconds)
        print(f"# {snapshots} snapshots in {seconds:.0f} s, {stable} of a store at rest, {documents} documents restored and whole")
    except Wrong as e:
        wrong = e
        print(f"# {e}")
    finally:
        stop.set()
        process.join()
        shutil.rmtree(root)
    print("1..1")
    print(f"{'not ok' if wrong else 'ok'} 1 - every snapshot beside a writer verifies and restores")
    sys.exit(wrong is not None)


if __name__ == "__main__":
    main()
