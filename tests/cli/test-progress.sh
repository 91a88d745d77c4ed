#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# How far a command is: SIGUSR1, --progress, a terminal; and silence everywhere else.
set -u
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"

# A store that takes a moment: one document under 20000 names.
large_store() {
    fixture healthy-plain
    "$python" - "$store/e9f85bf6" <<'PYTHON'
import os
import sys

os.chdir(sys.argv[1])
first = min(name for name in os.listdir(".") if name != "00000000.gob")
for i in range(20000):
    os.link(first, "%08x.gob" % (0x10000000 + i))
PYTHON
}

# catches_usr1 PID: the process has come so far that the signal does not end it.
catches_usr1() {
    local caught
    caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null)
    [ -n "$caught" ] && [ $((16#$caught >> 9 & 1)) = 1 ]
}

# signalled SECONDS ARGUMENT...: run it, with a SIGUSR1 every so often.
signalled() {
    local every=$1 pid
    shift
    "$vsctl" "$@" >"$scratch/out" 2>"$scratch/err" &
    pid=$!
    until catches_usr1 $pid || [ -z "$(jobs -rp)" ]; do
        sleep 0.01
    done
    while [ -n "$(jobs -rp)" ]; do
        kill -USR1 $pid
        sleep "$every"
    done
    wait $pid
    status=$?
}

# The first signal may come before the command is known.
signal_tells() {
    store=$scratch/healthy-plain/store
    signalled 0.05 verify -j1 --max-findings 1 "$store"
    same 0 "$status" && grep -q '^degraded: ' "$scratch/out" &&
        grep -qE '^vsctl verify: [0-9]+ documents, .*[0-9]+%, [0-9]+ s' "$scratch/err" &&
        ! grep -vE '^vsctl( verify)?: ' "$scratch/err" && ! grep -q $'\e' "$scratch/err"
}

# One line that is drawn again and again: how many, how fast, and once there is something to go by, for how long yet.
terminal_tells() {
    store=$scratch/healthy-plain/store
    "$python" "$source/tests/cli/on-terminal.py" --columns 100 "$vsctl" verify -j1 --max-findings 1 "$store" | tr '\r' '\n' >"$scratch/drawn"
    # A machine that is done at once has nothing to draw.
    grep '^vsctl verify: ' "$scratch/drawn" >"$scratch/lines" || return 0
    grep -qE '^vsctl verify: [0-9]+ documents, [0-9]+/s, [0-9]+%, [0-9]+ s' "$scratch/lines" &&
        ! grep -E ', [2-9] s' "$scratch/lines" | grep -vE ', about [0-9]+ s left'
}

# Nothing is known about how long it takes to look names up; the line comes all the same.
signal_without_a_job() {
    local pid names
    mapfile -t names < <(seq -f '%0100g' 2000)
    mkfifo "$scratch/pipe"
    "$vsctl" lookup --of "${names[@]}" >"$scratch/pipe" 2>"$scratch/err" &
    pid=$!
    exec 5<"$scratch/pipe"
    within 30 catches_usr1 $pid && read -r _ <&5 || return
    kill -USR1 $pid
    sleep 0.3
    kill -USR1 $pid
    sleep 0.3
    cat <&5 >"$scratch/out"
    exec 5<&-
    wait $pid && same 2000 "$(wc -l <"$scratch/out")" && same 2 "$(grep -cx 'vsctl lookup: [0-9] s' "$scratch/err")"
}

silent_elsewhere() {
    runs 0 verify -j1 --max-findings 1 "$scratch/healthy-plain/store" && err_is ''
}

every_second() {
    fixture healthy-gz && runs 0 verify --progress 1 "$store" && err_is '' && runs 16 verify --progress x "$store"
}

check "a store that takes a moment" large_store
check "SIGUSR1 tells how far it is" signal_tells
check "rate and time left on a terminal" terminal_tells
check "SIGUSR1 where nothing is measured" signal_without_a_job
check "silence where there is no terminal" silent_elsewhere
check "--progress" every_second
finish
