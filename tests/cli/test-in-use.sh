#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Stores that are in use. Live processes of every kind that can be seen are refused with 8 and named, and nothing is
# changed; --force goes on and says so. What a process does while we work is noticed as well.
# shellcheck disable=SC2016
set -u
# In memory where that is to be had: everything below is synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
store=$scratch/store

fresh() {
    rm -rf "$store" "$store.vsctl"
    cp -a "$source/tests/data/chromem/incident-missing-metadata/store" "$store"
}

# is_ready PID: it has said so, or it only sleeps.
is_ready() {
    [ -e "$scratch/ready" ] || grep -qx sleep "/proc/$1/comm"
}

# seen REASON COMMAND...: while the command runs, nothing is changed, it is named, and the reason said.
seen() {
    local reason=$1 pid bad=0
    shift
    fresh
    "$@" </dev/null >/dev/null 2>&1 3>&- &
    pid=$!
    within 20 is_ready "$pid" || return
    { unchanged runs 8 recover-metadata --yes "$store" && err_has "process $pid" && err_has "$reason" &&
        err_has "--force"; } || bad=1
    { runs 8 quarantine add --yes "$store" e9f85bf6 && [ -d "$store/e9f85bf6" ]; } || bad=1
    { runs 4 repair --dry-run "$store" && runs 4 verify "$store"; } || bad=1
    { runs 1 recover-metadata --yes --force "$store" && err_has "going on although the store seems to be in use" &&
        runs 0 verify "$store"; } || bad=1
    kill "$pid"
    wait "$pid" 2>/dev/null
    rm -f "$scratch/ready"
    return $bad
}

# A program that says when it is ready and then waits; what it holds is in its arguments.
waiter() {
    cat >"$scratch/wait.py" <<'END'
import os, sys, time
what, ready, place = sys.argv[1], sys.argv[2], os.fdopen(0).read().strip()
held = None
if what == "file":
    held = open(os.path.join(place, sorted(os.listdir(place))[0], "00000000.gob"))
elif what == "directory":
    held = os.open(place, os.O_RDONLY)
elif what == "inside":
    os.chdir(os.path.join(place, "e9f85bf6"))
open(ready, "w").close()
time.sleep(60)
END
}

# The path goes in by standard input, so that the arguments do not tell it.
holds() {
    waiter
    fresh
    printf '%s\n' "$store" >"$scratch/place"
    seen "$2" bash -c 'exec "$0" "$1" "$2" "$3" <"$4"' "$python" "$scratch/wait.py" "$1" "$scratch/ready" "$scratch/place"
}

in_the_command_line() {
    seen "names it in its command line" bash -c 'exec -a "server --vectorstore=$0" sleep 60' "$store"
}

in_the_environment() {
    seen "names it in its environment" env VECTORSTORE_PATH="$store" sleep 60
}

an_open_file() {
    holds file "has a file of it open"
}

an_open_directory() {
    holds directory "has a file of it open"
}

working_inside() {
    holds inside "runs in it"
}

# Another store whose name begins the same, and one who only remembers the path, are no users.
not_this_store() {
    local pid bad=0
    fresh
    env OLDPWD="$store" bash -c 'exec -a "server $0-of-others" sleep 60' "$store" &
    pid=$!
    sleep 0.2
    runs 1 recover-metadata --yes "$store" || bad=1
    kill "$pid"
    wait "$pid" 2>/dev/null
    return $bad
}

# A backup only reads, as the hourly one will find the application running.
backup_goes_on() {
    local pid bad=0
    fresh
    env VECTORSTORE_PATH="$store" sleep 60 &
    pid=$!
    sleep 0.2
    { runs 4 metadata backup "$store" && same "" "$(cat "$scratch/err")"; } || bad=1
    kill "$pid"
    wait "$pid" 2>/dev/null
    return $bad
}

recent_times_are_a_note() {
    fresh && find "$store" -exec touch -d '2026-01-01' {} + && touch "$store"/e9f85bf6/*.gob && runs 1 recover-metadata --yes "$store" && err_has "the newest file was written" &&
        err_has "stop it first"
}

old_times_are_none() {
    fresh && find "$store" -exec touch -d '2026-01-01' {} + && runs 1 recover-metadata --yes "$store" &&
        same "" "$(cat "$scratch/err")"
}

# on_terminal LINE COMMAND...: run COMMAND on a terminal; when it asks, the shell runs LINE, then it gets its yes.
on_terminal() {
    local meanwhile=$1
    shift
    "$python" "$source/tests/cli/on-terminal.py" --yes --meanwhile "$meanwhile" "$@" >"$scratch/out" 2>&1
    status=$?
}

# A document that is written while the person thinks: the plan no longer fits.
written_while_asking() {
    fresh
    on_terminal "cp '$store/e9f85bf6/'$(basename "$(find "$store/e9f85bf6" -name '*.gob' | head -n 1)") '$store/e9f85bf6/0badcafe.gob'" \
        "$vsctl" recover-metadata "$store"
    same 8 "$status" && out_has "e9f85bf6 has changed while it was being looked at" && [ ! -e "$store/e9f85bf6/00000000.gob" ]
}

quiet_while_asking() {
    fresh
    on_terminal true "$vsctl" recover-metadata "$store"
    same 1 "$status" && runs 0 verify "$store"
}

forced_while_asking() {
    fresh
    on_terminal "touch '$store/ab'" "$vsctl" recover-metadata --force "$store"
    same 1 "$status" && out_has "going on all the same"
}

# Time enough for the other, however busy the machine is.
slowly() {
    # The leak sanitizer does not work below strace.
    ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" \
        strace -f -qq -o "$scratch/trace" -e trace=fsync -e inject=fsync:delay_exit=20000 "$vsctl" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
}

# The directory comes back under our hands: a live process that we could not see makes it anew with its next write.
comes_back() {
    local pid bad=0
    fresh
    (
        cd "$scratch" || exit
        while [ -e store ]; do
            [ -d store/e9f85bf6 ] || mkdir store/e9f85bf6
        done
    ) 2>/dev/null &
    pid=$!
    slowly quarantine add --yes --json "$store" e9f85bf6
    { same 4 $status && keep_document change && jq_is '.applied and .came_back == "e9f85bf6"'; } || bad=1
    kill "$pid"
    wait "$pid" 2>/dev/null
    [ -d "$store/e9f85bf6" ] && runs 0 quarantine list "$store" && out_has e9f85bf6. || bad=1
    return $bad
}

comes_back_in_words() {
    local pid bad=0
    fresh
    (
        cd "$scratch" || exit
        while [ -e store ]; do
            [ -d store/e9f85bf6 ] || { mkdir store/e9f85bf6 && cp store/017f6ca7/00000000.gob store/e9f85bf6/one.gob; }
        done
    ) 2>/dev/null &
    pid=$!
    slowly quarantine add --yes "$store" e9f85bf6
    { same 4 $status && out_has "e9f85bf6 is in the store again" && out_has "stop that"; } || bad=1
    kill "$pid"
    wait "$pid" 2>/dev/null
    return $bad
}

check "the store in the command line" in_the_command_line
check "the store in the environment" in_the_environment
check "a file of the store open" an_open_file
check "the store's directory open" an_open_directory
check "a process that runs in the store" working_inside
check "others are no users" not_this_store
check "a backup only reads" backup_goes_on
check "recent times are a note" recent_times_are_a_note
check "old times are none" old_times_are_none
check "nothing happens while it asks" quiet_while_asking
check "a document is written while it asks" written_while_asking
check "and that is forced" forced_while_asking
check "a directory that comes back" comes_back
check "a directory that comes back with a document" comes_back_in_words
finish_cli
