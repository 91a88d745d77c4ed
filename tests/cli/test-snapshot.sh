#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Snapshots from the command line: what plain tools make of them, what is refused, what retention keeps.
set -u
# In memory where that is to be had: everything below is synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"

# Cases run in subshells, and some of them look at what the one before left.
store=$scratch/healthy-example/store
state=$store.vsctl

fresh() {
    rm -rf "${scratch:?}/${1:-healthy-example}" "${scratch:?}/restored"
    fixture "${1:-healthy-example}"
    state=$store.vsctl
}

newest() {
    find "$state/manifests" -name '*.json' -printf '%f\n' | sort | tail -n 1 | sed 's/\.json$//'
}

# ---- what is written ----

create_says_what_was_done() {
    fresh && unchanged json snapshot 0 snapshot create "$store" &&
        jq_is '.created and .good and .stable and .chain == 0 and (.snapshot | test("^snapshot_[0-9]{8}_[0-9]{6}$"))' &&
        runs 0 snapshot create --name again "$store" && out_has "done: again" && last_line "next: vsctl snapshot verify $store again"
}

plain_tools_read_it() {
    local sum
    fresh && runs 0 snapshot create --name one "$store" && gzip -t "$state/snapshots/one.tar.gz" || return
    sum=$(jq -r .checksum_sha256 "$state/manifests/one.json")
    same "$sum" "$(sha256sum <"$state/snapshots/one.tar.gz" | cut -d ' ' -f 1)" || return
    mkdir "$scratch/restored" &&
        tar --strip-components=1 -C "$scratch/restored" -xzf "$state/snapshots/one.tar.gz" 2>"$scratch/said" &&
        [ ! -s "$scratch/said" ] && diff -r "$store" "$scratch/restored"
}

bsdtar_reads_it() {
    command -v bsdtar >/dev/null || return 0
    mkdir -p "$scratch/bsd" && bsdtar --strip-components 1 -C "$scratch/bsd" -xf "$state/snapshots/one.tar.gz" &&
        diff -r "$store" "$scratch/bsd"
}

manifest_fits_its_schema() {
    cp "$state/manifests/one.json" "$scratch/out" && keep_document snapshot-manifest &&
        zcat "$state/manifests/one.members.gz" | jq -e '.kind == "vsctl-members" and (.files | length) > 0' >/dev/null
}

equal_stores_give_equal_archives() {
    fresh && runs 0 snapshot create --name one --full "$store" || return
    cp "$state/snapshots/one.tar.gz" "$scratch/first.tar.gz" && rm -rf "$state" &&
        runs 0 snapshot create --name one --jobs 1 "$store" && cmp "$scratch/first.tar.gz" "$state/snapshots/one.tar.gz"
}

ratio_is_never_negative() {
    jq -e '.compression_ratio >= 0 and .compression_ratio <= 100' "$state/manifests/one.json" >/dev/null
}

unchanged_costs_little() {
    fresh && runs 0 snapshot create --name one "$store" && json snapshot 0 snapshot create --name two "$store" || return
    # Files of a fixture are older than two seconds: nothing is read again.
    jq_is '.stored_files == 0 and .parent == "one" and .chain == 1' || return
    # Its list says that it is the other's.
    cp "$state/manifests/two.json" "$scratch/out" && keep_document snapshot-manifest &&
        jq_is '.schema == 2 and .members_base.snapshot == "one" and .chain == 1' &&
        zcat "$state/manifests/two.members.gz" | jq -e '.schema == 2 and .base.snapshot == "one" and .base.gone == [] and .files == []' >/dev/null &&
        same "$(jq -r .members_base.sha256 "$state/manifests/two.json")" "$(sha256sum <"$state/manifests/one.members.gz" | cut -d ' ' -f 1)"
}

log_and_audit_tell_of_it() {
    grep -rq one "$state"/logs/snapshot_*.log && runs 0 audit-log list "$store" && out_has "snapshot create" &&
        runs 0 audit-log verify "$store"
}

# ---- looking ----

list_and_show() {
    json snapshot 0 snapshot list "$store" && jq_is '.snapshots | length == 2 and all(.good)' &&
        json snapshot 0 snapshot show "$store" one && jq_is '.collections | length > 0' &&
        runs 0 snapshot show "$store" two && out_has "builds on" && out_has one &&
        runs 0 snapshot verify --quiet "$store" && out_is ""
}

the_store_need_not_be_there() {
    mv "$store" "$store.lost" && runs 0 snapshot list "$store" && out_has two &&
        json snapshot 0 snapshot verify "$store" && jq_is '.verified == 2 and .bad == 0' &&
        json snapshot 0 snapshot drill "$store" two && jq_is '.good and .verdict == "healthy"'
    local status=$?
    mv "$store.lost" "$store"
    return $status
}

status_follows() {
    jq -e '.status == "verified" and .drill.good' "$state/manifests/two.json" >/dev/null &&
        [ ! -e "$state/.vsctl-drill" ]
}

nothing_to_look_at() {
    fresh && runs 8 snapshot list "$store" && err_has "snapshot create" && runs 8 snapshot verify "$store" &&
        [ ! -e "$state" ]
}

no_such_snapshot() {
    fresh && runs 0 snapshot create --name one "$store" && runs 8 snapshot show "$store" none && err_has "no snapshot none" &&
        runs 8 snapshot verify "$store" none && runs 8 snapshot drill "$store" none && runs 8 snapshot delete "$store" none
}

# ---- names and places ----

names() {
    local long
    long=$(printf 'x%.0s' {1..300})
    fresh && runs 16 snapshot create --name a/b "$store" && runs 16 snapshot create --name "$long" "$store" &&
        runs 16 snapshot create --name .. "$store" && runs 16 snapshot create --name '' "$store" && [ ! -e "$state" ] &&
        runs 0 snapshot create --name one "$store" && runs 8 snapshot create --name one "$store" && err_has "already"
}

state_inside_the_store() {
    fresh && unchanged runs 16 snapshot create --state "$store/state" "$store" && err_has "inside the store"
}

state_elsewhere() {
    fresh && runs 0 snapshot create --state "$scratch/elsewhere" "$store" && [ -d "$scratch/elsewhere/snapshots" ] &&
        [ ! -e "$state" ] && VSCTL_STATE=$scratch/elsewhere runs 0 snapshot verify "$store"
    local status=$?
    rm -rf "$scratch/elsewhere"
    return $status
}

not_a_store() {
    mkdir -p "$scratch/other" && echo text >"$scratch/other/file" && runs 8 snapshot create "$scratch/other" &&
        runs 8 snapshot create "$source/tests/data/golden/notes-export.gob" && err_has "snapshots are made of directories" &&
        runs 8 snapshot create "$scratch/nowhere" && [ ! -e "$scratch/nowhere.vsctl" ] && [ ! -e "$scratch/other.vsctl" ]
}

# ---- damage ----

corrupt_store_is_marked() {
    fresh many-damages && unchanged json snapshot 4 snapshot create --name bad "$store" && jq_is '.good == false and .verdict == "corrupt"' &&
        runs 0 snapshot verify "$store" bad && runs 0 snapshot list "$store" && out_has "of a corrupt store"
}

four_checks() {
    fresh && runs 0 snapshot create --name one "$store" && cp -a "$state" "$scratch/kept" || return
    damage "printf xxxx | dd of=$state/manifests/one.json bs=1 seek=40 conv=notrunc status=none" manifest &&
        damage "rm $state/manifests/one.members.gz" manifest &&
        damage "rm $state/snapshots/one.tar.gz" archive &&
        damage "truncate -s -1 $state/snapshots/one.tar.gz" archive &&
        damage "printf xxxx | dd of=$state/snapshots/one.tar.gz bs=1 seek=100 conv=notrunc status=none" checksum
    local status=$?
    rm -rf "$scratch/kept"
    return $status
}

# damage COMMAND CHECK: the first check that fails is CHECK; then everything is put back.
damage() {
    rm -rf "$state" && cp -a "$scratch/kept" "$state" && eval "$1" &&
        json snapshot 4 snapshot verify "$store" one &&
        jq_is "[.checks[] | select(.result == \"bad\")][0].check == \"$2\""
}

hostile_archives() {
    local kind
    fresh && runs 0 snapshot create --name one "$store" || return
    for kind in absolute dots link hardlink device duplicate extra missing size; do
        hostile "$kind" || { echo "$kind" && return 1; }
    done
}

# An archive that is wrong, under a manifest that vouches for it: what is left is the last check.
hostile() {
    rm -rf "$state" && runs 0 snapshot create --name one "$store" || return
    "$python" - "$state" "$1" <<'PYTHON' || return
import gzip, hashlib, io, json, sys, tarfile
state, kind = sys.argv[1:]
archive = f"{state}/snapshots/one.tar.gz"
members = []
with tarfile.open(archive) as tar:
    for info in tar:
        members.append((info, tar.extractfile(info).read()))
first, data = members[0]
def like(name, **changes):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, data
if kind == "absolute":
    members.append(like("/tmp/evil"))
elif kind == "dots":
    members.append(like("one/../../evil"))
elif kind == "link":
    members.append((like("one/link", type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0)[0], b""))
elif kind == "hardlink":
    members.append((like("one/link", type=tarfile.LNKTYPE, linkname=first.name, size=0)[0], b""))
elif kind == "device":
    members.append((like("one/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, size=0)[0], b""))
elif kind == "duplicate":
    members.append(members[0])
elif kind == "extra":
    members.append(like("one/extra"))
elif kind == "missing":
    members.pop()
elif kind == "size":
    members[0] = (like(first.name, size=len(data) - 1)[0], data[:-1])
raw = io.BytesIO()
with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
    for info, content in members:
        tar.addfile(info, io.BytesIO(content))
packed = gzip.compress(raw.getvalue())
open(archive, "wb").write(packed)
path = f"{state}/manifests/one.json"
manifest = json.load(open(path))
digest = hashlib.sha256(packed).hexdigest()
manifest["checksum_sha256"] = digest
manifest["archives"][0].update(sha256=digest, size=len(packed))
del manifest["manifest_sha256"]
text = json.dumps(manifest, separators=(",", ":"), ensure_ascii=False)[:-1]
seal = hashlib.sha256(text.encode()).hexdigest()
open(path, "w").write(f'{text},"manifest_sha256":"{seal}"}}\n')
PYTHON
    json snapshot 4 snapshot verify "$store" one &&
        jq_is '[.checks[] | select(.result == "bad")] | length == 1 and .[0].check == "readable"' &&
        runs 4 snapshot drill "$store" one && [ ! -e /tmp/evil ] && [ ! -e "$scratch/evil" ] && [ ! -e "$state/.vsctl-drill" ]
}

newer_and_foreign_manifests() {
    fresh && runs 0 snapshot create --name one "$store" || return
    sed -i 's/"schema":1/"schema":3/' "$state/manifests/one.json"
    runs 4 snapshot verify "$store" one && out_has "newer version" && echo '{"snapshot_id":"two"}' >"$state/manifests/two.json" &&
        runs 0 snapshot list "$store" && out_has unreadable && runs 8 snapshot show "$store" two
}

# What the older tool leaves: the archive beside the manifests' directory.
the_older_tools() {
    local dir=$scratch/older sum
    fresh && runs 0 snapshot create --name one "$store" && rm -rf "$dir" && mkdir -p "$dir/snapshot_20250102_030405" || return
    echo '{"notes":{"batch_000000":[{"id":"a","text":"b","embedding":[],"metadata":null}]}}' >"$dir/snapshot_20250102_030405/collections.json"
    echo '{"collections_count":1,"total_chunks":1}' >"$dir/snapshot_20250102_030405/metadata.json"
    tar -C "$dir" -czf "$state/snapshot_20250102_030405.tar.gz" snapshot_20250102_030405 || return
    sum=$(sha256sum <"$state/snapshot_20250102_030405.tar.gz" | cut -d ' ' -f 1)
    jq -nc --arg sum "$sum" '{snapshot_id: "snapshot_20250102_030405", timestamp: "2025-01-02T03:04:05.678", chromadb_url: "http://localhost:8000",
        total_chunks: 1, total_collections: 1, checksum_sha256: $sum, status: "created", compression_ratio: 70.5}' \
        >"$state/manifests/snapshot_20250102_030405.json"
    json snapshot 0 snapshot list "$store" && jq_is '.snapshots[1] | .state == "of the older tool" and .documents == 1 and .time == "2025-01-02T03:04:05Z"' &&
        runs 0 snapshot verify "$store" && runs 8 snapshot drill "$store" snapshot_20250102_030405 && err_has "older tool" &&
        runs 8 snapshot delete "$store" snapshot_20250102_030405 &&
        json snapshot 0 snapshot cleanup --keep-last 1 "$store" && jq_is '.removed == 0' &&
        printf x >>"$state/snapshot_20250102_030405.tar.gz" && json snapshot 4 snapshot verify "$store" snapshot_20250102_030405 &&
        jq_is '[.checks[] | select(.result == "bad")][0].check == "checksum"' &&
        rm "$state/snapshot_20250102_030405.tar.gz" && json snapshot 4 snapshot verify "$store" snapshot_20250102_030405 &&
        jq_is '[.checks[] | select(.result == "bad")][0].check == "archive"'
}

# ---- retention ----

cleanup_needs_a_rule() {
    fresh && runs 0 snapshot create --name one "$store" && runs 16 snapshot cleanup "$store" && runs 0 snapshot list "$store" && out_has one
}

cleanup_keeps_the_last_good_one() {
    fresh && runs 0 snapshot create --full --name one "$store" && runs 0 snapshot create --full --name two "$store" || return
    rm "$store"/*/00000000.gob && runs 4 snapshot create --full --name bad "$store" &&
        json snapshot 0 snapshot cleanup --dry-run --keep-last 1 "$store" && jq_is '.dry_run and .removed == 0' &&
        json snapshot 0 snapshot cleanup --keep-last 1 "$store" && jq_is '.removed == 1' &&
        json snapshot 0 snapshot list "$store" && jq_is '[.snapshots[].snapshot] | sort == ["bad", "two"]'
}

# What a snapshot that stays needs of one that goes is in a new archive, which tar reads like any other.
cleanup_orphans_nothing() {
    fresh && PYTHONPATH=$source/tests/kit "$python" "$source/tests/kit/chromemstore.py" "$store" passing 0 60 &&
        runs 0 snapshot create --name one "$store" && rm -r "${store:?}/$(printf passing | sha256sum | head -c 8)" &&
        runs 0 snapshot create --name two "$store" &&
        json snapshot 0 snapshot cleanup --dry-run --keep-last 1 "$store" &&
        jq_is '.removed == 0 and .archives_packed_anew == 0 and (.decisions[] | select(.snapshot == "one").reason | contains("what two needs of it stays"))' &&
        runs 0 snapshot list "$store" && out_has one &&
        json snapshot 0 snapshot cleanup --keep-last 1 "$store" &&
        jq_is '.removed == 1 and .archives_packed_anew == 1 and .archives_freed_bytes > 0' &&
        [ ! -e "$state/snapshots/one.tar.gz" ] && tar -tzf "$state/snapshots/one.kept-1.tar.gz" | grep -q '^one/' &&
        runs 0 snapshot verify "$store" && runs 0 restore "$store" two --to "$scratch/back" && diff -r "$store" "$scratch/back" &&
        rm -rf "$scratch/back"
}

delete_orphans_nothing() {
    fresh && runs 0 snapshot create --name one "$store" && runs 0 snapshot create --name two "$store" &&
        json snapshot 0 snapshot delete "$store" one && jq_is '.removed == "one" and .archives_packed_anew == 0' &&
        [ -e "$state/snapshots/one.tar.gz" ] && [ -e "$state/manifests/one.members.gz" ] && runs 0 snapshot verify "$store" two &&
        runs 8 snapshot create --name one "$store" && runs 8 snapshot delete "$store" two && err_has "last good" &&
        runs 0 snapshot delete --force "$store" two && same "" "$(find "$state/snapshots" "$state/manifests" -type f)"
}

# The list that a snapshot builds on is the file of one that need not be there.
missing_base() {
    fresh && runs 0 snapshot create --name one "$store" && runs 0 snapshot create --name two "$store" &&
        runs 0 snapshot delete "$store" one && rm "$state/manifests/one.members.gz" &&
        runs 4 snapshot verify "$store" two && out_has "manifests/one.members.gz" && out_has "the list of two builds on that of one" &&
        runs 8 restore "$store" two --to "$scratch/back" && err_has "manifests/one.members.gz" && [ ! -e "$scratch/back" ] &&
        json snapshot 0 snapshot create --name three "$store" && jq_is '.parent == null' && runs 0 snapshot verify "$store" three
}

# Two stores with one state directory: what is done for one is nothing to the other.
two_stores_one_state() {
    local other=$scratch/other shared=$scratch/shared
    fresh && rm -rf "$other" "$shared" && cp -a "$store" "$other" &&
        runs 0 snapshot create --state "$shared" --name a1 "$store" && runs 0 snapshot create --state "$shared" --name b1 "$other" &&
        runs 0 snapshot create --state "$shared" --name a2 --full "$store" && runs 0 snapshot create --state "$shared" --name b2 --full "$other" &&
        json snapshot 0 snapshot list --state "$shared" "$store" && jq_is '[.snapshots[].snapshot] == ["a2", "a1"]' &&
        runs 0 snapshot list --state "$shared" "$other" && err_has "2 snapshots of other stores" && out_lacks a1 &&
        json snapshot 0 snapshot cleanup --state "$shared" --keep-last 1 "$store" && jq_is '.removed == 1 and (.decisions | length) == 2' &&
        runs 16 snapshot delete --state "$shared" "$store" b1 && err_has "another store" &&
        runs 8 snapshot delete --state "$shared" "$store" a2 && err_has "last good" &&
        rm -r "$other" && json snapshot 0 snapshot list --state "$shared" "$other" && jq_is '[.snapshots[].snapshot] == ["b2", "b1"]' &&
        json snapshot 0 snapshot create --state "$shared" --if-older 24h "$store" && jq_is '.snapshot == "a2"' &&
        rm -rf "$shared"
}

if_older() {
    fresh && runs 0 snapshot create --if-older 24h "$store" && json snapshot 0 snapshot create --if-older 24h "$store" &&
        jq_is '.created == false' && runs 0 snapshot create --if-older 0 "$store" && runs 16 snapshot create --if-older soon "$store"
}

# ---- keys ----

encrypted() {
    fresh && head -c 32 /dev/urandom >"$scratch/key" && head -c 32 /dev/urandom >"$scratch/other-key" &&
        runs 0 snapshot create --name one --key-file "$scratch/key" "$store" &&
        ! grep -aq 'VS' <(head -c 64 "$state/snapshots/one.tar.gz.sealed") &&
        runs 0 snapshot verify --key-file "$scratch/key" "$store" one &&
        runs 4 snapshot verify "$store" one && out_has "--key-file" &&
        runs 4 snapshot verify --key-file "$scratch/other-key" "$store" one && out_has "authentication failed" &&
        runs 0 snapshot drill --key-file "$scratch/key" "$store" one
}

beside_a_writer() {
    fresh || return
    local pid file=$store/ab5aa970/ea503d89.gob
    [ -f "$file" ] || return
    (for _ in $(seq 300); do cp "$file" "$store/ab5aa970/$(printf %08x $RANDOM).gob"; done) &
    pid=$!
    runs 0 snapshot create --check none --name live "$store"
    local status=$?
    kill $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ $status -eq 0 ] && runs 0 snapshot verify "$store" live && runs 0 snapshot drill "$store" live
}

# A file system of 512 kB, where one may be mounted.
no_space() {
    fresh && mkdir -p "$scratch/full" && mount -t tmpfs -o size=512k tmpfs "$scratch/full" || return
    mkdir "$scratch/full/state"
    unchanged runs 8 snapshot create --state "$scratch/full/state" "$store" && err_has "not enough space" && err_has "are free" &&
        [ -z "$(find "$scratch/full/state/snapshots" -type f)" ] && runs 0 snapshot list --state "$scratch/full/state" "$store"
    local status=$?
    umount "$scratch/full"
    return $status
}

can_mount() {
    mkdir -p "$scratch/full" && mount -t tmpfs tmpfs "$scratch/full" 2>/dev/null && umount "$scratch/full"
}

check "create says what was done and leaves the store as it was" create_says_what_was_done
check "tar and gzip and sha256sum read it" plain_tools_read_it
check "bsdtar reads it" bsdtar_reads_it
check "the manifest fits its schema" manifest_fits_its_schema
check "equal stores give equal archives" equal_stores_give_equal_archives
check "the ratio is never negative" ratio_is_never_negative
check "an unchanged store costs a list" unchanged_costs_little
check "the log and the audit log tell of it" log_and_audit_tell_of_it
check "list and show" list_and_show
check "the store need not be there" the_store_need_not_be_there
check "the status in the manifest follows" status_follows
check "nothing to look at" nothing_to_look_at
check "no such snapshot" no_such_snapshot
check "names" names
check "a state directory inside the store" state_inside_the_store
check "a state directory elsewhere" state_elsewhere
check "not a store" not_a_store
check "a corrupt store is marked" corrupt_store_is_marked
check "each of the four checks fails by itself" four_checks
check "hostile archives" hostile_archives
check "manifests of a newer version and of nobody" newer_and_foreign_manifests
check "snapshots of the older tool" the_older_tools
check "cleanup needs a rule" cleanup_needs_a_rule
check "cleanup keeps the last good one" cleanup_keeps_the_last_good_one
check "cleanup orphans nothing" cleanup_orphans_nothing
check "delete orphans nothing" delete_orphans_nothing
check "a list without what it builds on" missing_base
check "two stores with one state directory" two_stores_one_state
check "create for cron" if_older
check "encrypted" encrypted
check "beside a writer" beside_a_writer
if can_mount; then
    check "no space is said before anything is written" no_space
else
    skip "no space is said before anything is written" "nothing can be mounted here"
fi
finish_cli
