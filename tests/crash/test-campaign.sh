#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-campaign.sh VSCTL [SECONDS [OPERATION...]]: faults from outside
#
# The program as it is installed, with the kernel's answers changed by strace: at the n-th call that changes a disk it
# is killed, or the call fails with EIO or ENOSPC. Afterwards the store is as before or as after, byte for byte, and
# the next command ends what was left: it does its work and the store is whole. Walks n = 1, 2, ... for every
# operation, evenly thinned out until it fits into SECONDS (default 40); 0 leaves nothing out. Prints the number of
# fault points.
set -u
# In memory where that is to be had: everything below is synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
source=${SOURCE_ROOT:?}
. "$source/tests/meta/tap.sh"
vsctl=$(realpath "${1:?}")
seconds=${2:-40}
fixture=$source/tests/data/chromem/many-damages/store
calls='openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,fchmod,fchmodat,fchownat,link,linkat,ftruncate,copy_file_range,utimensat'

tree_of() {
    (cd "$1" && find . -printf '%P %y %m %l\n' | LC_ALL=C sort &&
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum) | sed -E 's/[0-9]{8}T[0-9]{6}Z/TIME/g' | sha256sum
}

# What a restore has made: nothing, or all of it.
state_of_new() {
    if [ -e "$scratch/new" ]; then tree_of "$scratch/new"; else echo nothing; fi
}

# Sidecars carry the time at which they were written.
state_of() {
    [ "$name" != restore ] || { state_of_new && return; }
    rm -rf "$scratch/look" && cp -a "$scratch/store" "$scratch/look"
    find "$scratch/look/.quarantine" -maxdepth 1 -name '*.json' -exec sed -i -E 's/[0-9]{4}-?[0-9]{2}-?[0-9]{2}T[0-9:.]+Z?/TIME/g' {} + 2>/dev/null
    tree_of "$scratch/look"
}

# ---- operations: what is there before, and the command ----

plain() { :; }

with_item() {
    "$vsctl" quarantine add --yes "$scratch/store" 748200f7 >/dev/null 2>&1
    cp -a "$scratch"/store/.quarantine/748200f7.*Z "$scratch/copy"
}

# A snapshot, and documents that are gone, changed and new since.
with_snapshot() {
    "$vsctl" snapshot create --name one "$scratch/store" >/dev/null 2>&1
    rm "$scratch"/store/748200f7/61b59336.gob
    cp "$scratch"/store/cc02d464/00000000.gob "$scratch"/store/cc02d464/0d68b9f1.gob
    mkdir "$scratch"/store/00000001
    cp "$scratch"/store/cc02d464/00000000.gob "$scratch"/store/00000001/00000000.gob
}

# A Chroma store as a crash left it, with a journal beside its database, and a snapshot of what it was before; an index
# file that differs, one that is missing and a directory that is new.
with_chroma() {
    rm -rf "$scratch/store" && mkdir -p "$scratch/chroma" &&
        tar -C "$scratch/chroma" -xJf "$source/tests/data/chroma/stores.tar.xz" base hot-journal && cp -a "$scratch/chroma/base" "$scratch/store"
    "$vsctl" snapshot create --name one "$scratch/store" >/dev/null 2>&1
    rm -rf "$scratch/store" && cp -a "$scratch/chroma/hot-journal" "$scratch/store"
    printf x >>"$scratch/store/24e69c0e-7aba-41e6-934b-8f72a5d57d41/length.bin"
    rm "$scratch/store/24e69c0e-7aba-41e6-934b-8f72a5d57d41/index_metadata.pickle"
    mkdir "$scratch/store/24e69c0e-0000-41e6-934b-8f72a5d57d41"
    printf x >"$scratch/store/24e69c0e-0000-41e6-934b-8f72a5d57d41/header.bin"
}

with_chroma_gone_back() {
    with_chroma
    "$vsctl" rollback --yes --force "$scratch/store" one >/dev/null 2>&1
}

# damaged STORE: as the tests have it
damaged() {
    rm -rf "$scratch/store" && mkdir -p "$scratch/chroma" &&
        tar -C "$scratch/chroma" -xJf "$source/tests/data/chroma/stores.tar.xz" "$1" && cp -a "$scratch/chroma/$1" "$scratch/store"
}

# A page of the database is lost, and an old log is taken in first.
with_damaged_pages() {
    damaged leftover-wal
    head -c 4096 /dev/zero | tr '\0' '\245' | dd of="$scratch/store/chroma.sqlite3" bs=4096 seek=48 conv=notrunc status=none
}

# Rows of the queue that nobody needs.
with_queue() {
    damaged queue-unpurged
}

# Several findings: in the database, and in an index.
with_chroma_damages() {
    damaged fts-rows-missing
    printf x >>"$scratch/store/24e69c0e-7aba-41e6-934b-8f72a5d57d41/link_lists.bin"
    : >"$scratch/store/24e69c0e-7aba-41e6-934b-8f72a5d57d41/index_metadata.pickle"
    mkdir "$scratch/store/24e69c0e-0000-41e6-934b-8f72a5d57d41"
    printf x >"$scratch/store/24e69c0e-0000-41e6-934b-8f72a5d57d41/header.bin"
}

with_change() {
    "$vsctl" quarantine add --yes "$scratch/store" 748200f7 >/dev/null 2>&1
}

# contextd's write-ahead log in the place of the store: two entries that are pending, one that can go.
with_log() {
    rm -rf "$scratch/store" && cp -r "$source/tests/data/contextd-wal" "$scratch/store" && rm "$scratch/store/README.md" &&
        chmod -R u+w "$scratch/store"
}

with_log_compacted() {
    with_log && "$vsctl" wal compact "$scratch/store" >/dev/null 2>&1
}

declare -A prepare=([recover]=plain [repair]=plain [add]=plain [release]=with_item [purge]=with_item [backup]=plain [undo]=with_change [rollback]=with_snapshot [restore]=with_snapshot
    [chroma-rollback]=with_chroma [chroma-partial]=with_chroma [chroma-undo]=with_chroma_gone_back
    [chroma-salvage]=with_damaged_pages [chroma-optimize]=with_queue [chroma-repair]=with_chroma_damages [chroma-index]=with_chroma_damages
    [wal-compact]=with_log [wal-undo]=with_log_compacted)
declare -A command=(
    [recover]='recover-metadata --yes --force STORE'
    [repair]='repair --yes --force STORE'
    [add]='quarantine add --yes --force STORE 748200f7'
    [release]='quarantine release --yes --force STORE 748200f7'
    [purge]='quarantine purge --yes --force STORE 748200f7 --copy COPY'
    [backup]='metadata backup STORE'
    [undo]='undo --yes --force STORE'
    [rollback]='rollback --yes --force STORE one'
    [restore]='restore --to NEW STORE one'
    [chroma-rollback]='rollback --yes --force STORE one'
    [chroma-partial]='rollback --yes --force --partial --collections docs STORE one'
    [chroma-undo]='undo --yes --force STORE'
    [wal-compact]='wal compact STORE'
    [wal-undo]='wal compact --undo STORE'
    [chroma-salvage]='salvage --yes --force STORE'
    [chroma-optimize]='optimize --yes --force STORE'
    [chroma-repair]='repair --yes --force STORE'
    [chroma-index]='index rebuild --yes --force STORE docs'
)

# The scene of an operation, made once and copied for each fault.
scene() {
    rm -rf "$scratch/store" "$scratch/store.vsctl" "$scratch/copy" "$scratch/new"
    if [ -d "$scratch/scene.$1" ]; then
        cp -a "$scratch/scene.$1/." "$scratch/"
        return
    fi
    cp -a "$fixture" "$scratch/store"
    "${prepare[$1]}"
    mkdir "$scratch/scene.$1"
    for part in store store.vsctl copy; do
        [ ! -e "$scratch/$part" ] || cp -a "$scratch/$part" "$scratch/scene.$1/"
    done
}

# Whoever else runs here is looked at, too: how many there are moves the numbers of calls, and the faults with them,
# away from what they are meant for. So the program gets processes of its own where that is allowed.
alone=()
! unshare --pid --fork --mount-proc true 2>/dev/null || alone=(unshare --pid --fork --mount-proc)

# run NAME [STRACE OPTION...]: the operation, traced when there are options.
run() {
    local words=${command[$1]}
    shift
    words=${words//STORE/$scratch/store}
    words=${words//COPY/$scratch/copy}
    words=${words//NEW/$scratch/new}
    if [ $# -gt 0 ]; then
        # shellcheck disable=SC2086
        "${alone[@]}" strace -f -qq -o "$scratch/trace" -e trace="$calls" "$@" "$vsctl" --jobs 1 $words >"$scratch/out" 2>"$scratch/err" </dev/null
    else
        # shellcheck disable=SC2086
        "$vsctl" --jobs 1 $words >"$scratch/out" 2>"$scratch/err" </dev/null
    fi
}

# The calls of an operation that change a disk, one a line: "fsync 3" for the third of its kind, which is how strace
# counts. Opening a file counts when it is for writing.
calls_of() {
    scene "$1"
    run "$1" -e status=all
    awk '{ name = $2; sub(/\(.*/, "", name) }
        name !~ /^[a-z0-9]+$/ { next }
        { n[name]++ }
        name == "openat" && !/O_WRONLY|O_RDWR|O_CREAT/ { next }
        name == "write" && /write\([12],/ { next }
        { print name, n[name] }' "$scratch/trace"
}

points=0
budget=0

# A fault at one call: old or new at once or after the next command, which works.
survives() {
    local name=$1 call=$2 n=$3 fault=$4 now
    scene "$name"
    run "$name" -e "inject=$call:$fault:when=$n"
    points=$((points + 1))
    if [ "$name" = restore ]; then
        restored_again "$call" "$n" "$fault"
        return
    fi
    # What changes no store itself; everything else is ended, forward or back, by whoever comes next.
    case $name in
    chroma*) "$vsctl" snapshot create "$scratch/store" ;;
    wal*) "$vsctl" wal compact "$scratch/store" ;;
    *) "$vsctl" metadata backup "$scratch/store" ;;
    esac >"$scratch/next" 2>&1 </dev/null
    case $? in
    0 | 4) ;;
    *)
        echo "$name, $fault at $call $n: the next command fails" && cat "$scratch/next"
        return 1
        ;;
    esac
    now=$(state_of)
    [ "$now" = "$old" ] || [ "$now" = "$new" ] || {
        echo "$name, $fault at $call $n: neither old nor new"
        tail -n 3 "$scratch/trace"
        return 1
    }
}

# There is all or nothing, the same command makes it all, and nothing is left lying about.
restored_again() {
    local before
    before=$(state_of_new)
    [ "$before" = nothing ] || [ "$before" = "$new" ] || { echo "restore, $3 at $1 $2: neither old nor new" && return 1; }
    run restore
    case $?:$before in
    4:nothing | 16:*) ;; # The store that the snapshot is of does not load.
    *)
        echo "restore, $3 at $1 $2: not again: $(cat "$scratch/err")"
        return 1
        ;;
    esac
    if [ "$(state_of_new)" != "$new" ] || [ -e "$scratch/.new.vsctl-restore" ]; then
        echo "restore, $3 at $1 $2: not whole, or something is left"
        return 1
    fi
}

campaign() {
    local name=$1 total step began end bad=0 at=0 call n fault
    scene "$name"
    old=$(state_of)
    run "$name"
    new=$(state_of)
    [ "$name" = backup ] || [ "$old" != "$new" ] || { echo "$name changes nothing" && cat "$scratch/err" && return 1; }
    # Each call with each fault.
    calls_of "$name" | while read -r call n; do
        for fault in signal=SIGKILL error=EIO error=ENOSPC; do echo "$call $n $fault"; done
    done >"$scratch/faults"
    total=$(wc -l <"$scratch/faults")
    [ "$total" -gt 30 ] || { echo "only $total faults" && return 1; }
    step=1
    if [ "$budget" -gt 0 ]; then
        # How long one takes, and so how many there is time for. No multiple of three, so that all kinds are met.
        began=$(date +%s%N)
        read -r call n fault <"$scratch/faults"
        survives "$name" "$call" "$n" "$fault" || bad=1
        step=$((total * (($(date +%s%N) - began) / 1000000 + 1) / (budget * 1000) + 1))
        [ $((step % 3)) -ne 0 ] || step=$((step + 1))
    fi
    end=$((SECONDS + budget))
    while read -r call n fault; do
        at=$((at + 1))
        [ $((at % step)) -eq 0 ] || [ $step -eq 1 ] || continue
        [ "$budget" -eq 0 ] || [ $SECONDS -lt $end ] || break
        survives "$name" "$call" "$n" "$fault" || bad=1
    done <"$scratch/faults"
    echo "$name: $total" >>"$scratch/totals"
    echo "$points" >"$scratch/points.$name"
    return $bad
}

if ! strace -qq -o /dev/null -e inject=fsync:error=EIO:when=1 true 2>/dev/null; then
    echo "1..0 # SKIP strace cannot trace here"
    exit 0
fi
names=(recover repair add release purge backup undo rollback restore chroma-rollback chroma-partial chroma-undo chroma-salvage chroma-optimize
    chroma-repair chroma-index wal-compact wal-undo)
[ $# -lt 3 ] || names=("${@:3}")
[ "$seconds" -eq 0 ] || budget=$((seconds / ${#names[@]} + 1))
for name in "${names[@]}"; do
    check "old or new after every fault: $name" campaign "$name"
done
echo "# $(cat "$scratch"/points.* | awk '{ n += $1 } END { print n }') fault points of $(awk '{ n += $2 } END { print n }' "$scratch/totals") ($(paste -sd, "$scratch/totals"))"
finish
