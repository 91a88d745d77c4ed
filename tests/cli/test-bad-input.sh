#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Names, places and disks as nobody wants them: each is answered with one clear sentence and the right status, and
# the store is what it was. What is printed to be typed next can be pasted.
set -u
# In memory where that is to be had: everything below is synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
store=$scratch/store

fresh() {
    chmod -R u+rwX "$store" "$store.vsctl" 2>/dev/null
    rm -rf "$store" "$store.vsctl"
    cp -a "$source/tests/data/chromem/incident-missing-metadata/store" "$store"
}

# refused STATUS TEXT ARGUMENT...: nothing is changed, and the reason is one line.
refused() {
    local status=$1 text=$2
    shift 2
    fresh && unchanged runs "$status" "$@" && err_has "$text" && [ "$(wc -l <"$scratch/err")" -eq 1 ]
}

# ---- names ----

with_a_slash() {
    refused 16 "a/b: not a collection" recover-metadata --yes "$store" a/b &&
        refused 16 "deeper path" quarantine add --yes "$store" e9f85bf6/a/b
}

dots() {
    refused 16 "..: not the name of a directory" recover-metadata --yes "$store" .. &&
        refused 16 ".: not the name of a directory" recover-metadata --yes "$store" . &&
        refused 16 "..: not a collection" quarantine add --yes "$store" .. &&
        refused 16 ".: not a collection" quarantine add --yes "$store" . &&
        refused 16 "e9f85bf6/..: not a file" quarantine add --yes "$store" e9f85bf6/..
}

absent_names() {
    refused 16 "nosuch: the store has no such collection" recover-metadata --yes "$store" nosuch &&
        refused 16 "nosuch: the store has no such collection" quarantine add --yes "$store" nosuch &&
        refused 16 "e9f85bf6/nosuch.gob: the store has no such file" quarantine add --yes "$store" e9f85bf6/nosuch.gob &&
        refused 8 "nothing in quarantine is called nosuch" quarantine release --yes "$store" nosuch
}

control_bytes() {
    refused 16 'a\n\x1b[2J: the store has no such collection' recover-metadata --yes "$store" $'a\n\e[2J' &&
        refused 16 'a\n\x1b[2J: the store has no such collection' quarantine add --yes "$store" $'a\n\e[2J' &&
        refused 8 'nothing in quarantine is called a\n\x1b[2J' quarantine release --yes "$store" $'a\n\e[2J'
}

long_names() {
    local long
    long=$(head -c 65536 /dev/zero | tr '\0' a)
    refused 16 "the name hashes to bf718b6f, not to e9f85bf6" recover-metadata --yes "$store" e9f85bf6 --name "$long" &&
        refused 16 "has no such collection" recover-metadata --yes "$store" "$long" &&
        refused 16 "has no such collection" quarantine add --yes "$store" "$long"
}

# No longer name than 64 KiB is a collection's; what is forced must still load.
too_long_a_name() {
    local long
    long=$(head -c 100000 /dev/zero | tr '\0' a)
    refused 16 "100000 bytes" recover-metadata --yes "$store" e9f85bf6 --name "$long" --force-name
}

other_hash() {
    refused 16 "the name hashes to 5c0dc939, not to e9f85bf6; give --force-name" \
        recover-metadata --yes "$store" e9f85bf6 --name conversations
}

empty_name() {
    refused 16 "--name needs NAME" recover-metadata --yes "$store" e9f85bf6 --name ""
}

# ---- what is printed can be pasted ----

# A store whose path is hostile, with one collection that cannot be named, and one whose directory begins with a dash.
hostile_store() {
    hostile=$scratch/$1
    rm -rf "$scratch/cwd" && mkdir "$scratch/cwd" && cd "$scratch/cwd" || return
    hostile=$1
    cp -a -- "$source/tests/data/chromem/healthy-example/store" "./$hostile"
    mkdir "./$hostile/01234567"
    cp -- "./$hostile/ab5aa970/ea503d89.gob" "./$hostile/01234567/"
}

# The commands that a run prints, as the shell reads them.
printed() {
    "$vsctl" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    grep -oE '(next|back): vsctl .*' "$scratch/out" | sed -E 's/^(next|back): //'
}

paste() {
    local line
    line=$1
    # shellcheck disable=SC2317
    (vsctl() { "$vsctl" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null; } && eval "$line")
}

pasted_for() {
    local line status
    hostile_store "$1" || return
    # A list of what cannot be repaired, then verify as it is printed, then repair, then undo as it is printed.
    line=$(printed verify -- "$hostile" | tail -n 1)
    paste "${line/recover-metadata/recover-metadata --dry-run}"
    status=$?
    [ $status -eq 4 ] || { echo "$line: $status" && cat "$scratch/err" && return 1; }
    line=$(printed repair --yes -- "$hostile" | tail -n 1)
    [ ! -e "./$hostile/01234567" ] || { cat "$scratch/out" && return 1; }
    paste "${line/vsctl undo/vsctl undo --yes}" || { echo "$line" && cat "$scratch/err" && return 1; }
    [ -e "./$hostile/01234567" ]
}

pasted() {
    pasted_for -store && pasted_for "a store" && pasted_for "it's" && pasted_for $'a\nb' && pasted_for $'a\e[2Jb' &&
        pasted_for "\$(touch here)" && [ ! -e here ] && pasted_for "--yes"
}

state_is_repeated() {
    local line
    hostile_store "a store" && line=$(printed repair --yes --state "my state" "$hostile" | tail -n 1) &&
        paste "${line/vsctl undo/vsctl undo --yes}" && [ -e "./$hostile/01234567" ] && [ ! -e "./$hostile.vsctl" ]
}

# Directories of collections may have any name.
collection_with_a_dash() {
    local line
    hostile_store store && mv store/ab5aa970 "store/-x y" && printed verify store >"$scratch/line"
    line=$(cat "$scratch/line")
    json change 4 repair --yes --only chromem-collection-misnamed store &&
        jq_is '.left[0].path | startswith("-x y")' && jq_is '.left[0].code == "chromem-collection-misnamed"' &&
        runs 0 quarantine add --yes -- store "-x y" && [ ! -e "store/-x y" ] &&
        runs 0 quarantine release --yes -- store "-x y" && [ -e "store/-x y" ]
}

# ---- places ----

state_is_a_file() {
    fresh && echo >"$store.vsctl" && unchanged runs 8 recover-metadata --yes "$store" && err_has "$store.vsctl"
}

state_is_a_dangling_link() {
    fresh && rm -rf "$store.vsctl" && ln -s nowhere "$store.vsctl" && unchanged runs 8 recover-metadata --yes "$store" &&
        err_has "$store.vsctl"
    rm -f "$store.vsctl"
}

link_in_the_way() {
    fresh && ln -s /etc/passwd "$store/e9f85bf6/00000000.gob" && cp /etc/passwd "$scratch/passwd" &&
        runs 1 recover-metadata --yes "$store" && cmp -s /etc/passwd "$scratch/passwd" &&
        [ ! -L "$store/e9f85bf6/00000000.gob" ] && runs 0 verify "$store"
}

quarantine_is_a_link() {
    fresh && mkdir "$scratch/elsewhere" && ln -s "$scratch/elsewhere" "$store/.quarantine" &&
        unchanged runs 16 quarantine add --yes "$store" e9f85bf6 && err_has ".quarantine in the store is not a directory"
    rmdir "$scratch/elsewhere"
}

quarantine_is_a_file() {
    fresh && echo >"$store/.quarantine" && unchanged runs 16 quarantine add --yes "$store" e9f85bf6 &&
        err_has ".quarantine in the store is not a directory"
}

collection_is_a_link() {
    fresh && ln -s e9f85bf6 "$store/0badcafe" && unchanged runs 16 recover-metadata --yes "$store" 0badcafe &&
        err_has "0badcafe: not a collection directory"
}

two_at_once() {
    local bad=0 pid
    fresh && mkdir "$store.vsctl" || return
    # Whoever holds the lock is named.
    "$python" -c 'import fcntl, sys, time; f = open(sys.argv[1], "w"); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(20)' \
        "$store.vsctl/lock" &
    pid=$!
    sleep 0.5
    { unchanged runs 8 recover-metadata --yes "$store" && err_has "locked by another vsctl" && err_has "held by"; } || bad=1
    runs 4 recover-metadata --dry-run "$store" || bad=1
    kill "$pid"
    wait "$pid" 2>/dev/null
    runs 1 recover-metadata --yes "$store" || bad=1
    return $bad
}

# Both end, one of them has done it, and the store is whole.
two_race() {
    local first second
    fresh
    "$vsctl" recover-metadata --yes --lock-wait 30 "$store" >"$scratch/one" 2>&1 </dev/null &
    first=$!
    "$vsctl" recover-metadata --yes --lock-wait 30 "$store" >"$scratch/two" 2>&1 </dev/null
    second=$?
    wait $first
    first=$?
    case $first.$second in 0.1 | 1.0 | 8.1 | 1.8) ;; *) echo "$first and $second" && cat "$scratch/one" "$scratch/two" && return 1 ;; esac
    runs 0 verify "$store"
}

# ---- disks and users, where this may be tried ----

# In a mount namespace of its own: run the function with "$scratch" as it is.
mounted() {
    unshare --mount true 2>/dev/null || { echo "no mounts here" && return 0; }
    # shellcheck disable=SC2163
    export -f "$@" fresh runs show unchanged tree_state err_has out_has same
    export scratch store vsctl source
    unshare --mount bash -c "$1"
}

full_disk() {
    fresh
    mkdir -p "$scratch/small" && mount -t tmpfs -o size=1m none "$scratch/small" || return
    cp -a "$store" "$scratch/small/store"
    store=$scratch/small/store
    tree_state "$store" >"$scratch/before.full"
    head -c 2m /dev/zero >"$scratch/small/filler" 2>/dev/null
    runs 8 recover-metadata --yes "$store" && err_has "No space left on device" &&
        tree_state "$store" | diff "$scratch/before.full" - && rm "$scratch/small/filler" &&
        runs 1 recover-metadata --yes "$store" && runs 0 verify "$store"
}

read_only() {
    fresh
    mkdir -p "$scratch/ro" && mount --bind "$store" "$scratch/ro" && mount -o remount,ro,bind "$scratch/ro" || return
    store=$scratch/ro
    unchanged runs 8 recover-metadata --yes --state "$scratch/ro-state" "$store" && err_has "Read-only file system" &&
        runs 4 verify "$store" && runs 4 recover-metadata --dry-run --state "$scratch/ro-state" "$store"
}

other_file_system() {
    fresh
    mkdir "$store/.quarantine" && mount -t tmpfs none "$store/.quarantine" || return
    runs 8 quarantine add --yes "$store" e9f85bf6 && err_has "are on different file systems" && [ -d "$store/e9f85bf6" ] &&
        [ -z "$(ls -A "$store/.quarantine")" ] && runs 1 recover-metadata --yes "$store"
}

no_permission() {
    [ "$(id -u)" -eq 0 ] || return 0
    fresh
    chmod 755 "$scratch" "$store"
    chown -R root "$store"
    mkdir -m 777 "$scratch/theirs"
    setpriv --reuid 65534 --regid 65534 --clear-groups "$vsctl" recover-metadata --yes --state "$scratch/theirs/state" "$store" \
        >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    same 8 $status && err_has "ermission denied" && [ ! -e "$store/e9f85bf6/00000000.gob" ]
}

check "names with a slash" with_a_slash
check "names of dots" dots
check "names that are not there" absent_names
check "control bytes in names" control_bytes
check "names of 64 KiB" long_names
check "a name that is too long" too_long_a_name
check "a name with another hash" other_hash
check "an empty name" empty_name
check "what is printed can be pasted" pasted
check "--state is repeated" state_is_repeated
check "a collection that begins with a dash" collection_with_a_dash
check "a file in place of the state" state_is_a_file
check "a dangling link in place of the state" state_is_a_dangling_link
check "a link in place of the metadata" link_in_the_way
check "a link in place of the quarantine" quarantine_is_a_link
check "a file in place of the quarantine" quarantine_is_a_file
check "a link in place of a collection" collection_is_a_link
check "two runs at once" two_at_once
check "two runs that race" two_race
check "a full disk" mounted full_disk
check "a read-only file system" mounted read_only
check "quarantine on another file system" mounted other_file_system
check "no permission" no_permission
finish_cli
