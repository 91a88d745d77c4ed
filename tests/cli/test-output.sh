#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The output stream: closed, full, a pipe nobody reads; colour; what would steer a terminal.
set -u
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"

status_of() {
    local want=$1
    shift
    "$@" 2>"$scratch/err"
    status=$?
    : >"$scratch/out"
    [ $status -eq "$want" ] || { show && false; }
}

closed() { "$vsctl" lookup --of x >&-; }
full() { "$vsctl" lookup --of x >/dev/full; }
full_json() { "$vsctl" lookup --of x --json >/dev/full; }
nothing_open() { "$vsctl" lookup --of x <&- >&- 2>&-; }

closed_output() {
    status_of 8 closed && err_is 'vsctl: cannot write the output: Bad file descriptor'
}

full_disk() {
    status_of 8 full && err_is 'vsctl: cannot write the output: No space left on device' && status_of 8 full_json
}

# The reader is gone before the first byte is written; nobody is told about that but the caller.
reader_gone() {
    { sleep 0.2 && "$vsctl" help 2>"$scratch/err"; echo $? >"$scratch/status"; } | true
    sleep 0.1
    while [ ! -s "$scratch/status" ]; do sleep 0.1; done
    same 8 "$(cat "$scratch/status")" && same '' "$(cat "$scratch/err")"
}

everything_closed() {
    status_of 8 nothing_open
}

no_color_in_a_file() {
    runs 0 lookup --of x && ! grep -q $'\e' "$scratch/out"
}

color_always() {
    runs 0 lookup --of x --color always && grep -q $'\e\[1m' "$scratch/out"
}

# on_terminal COMMAND...: what it prints when its output is a terminal of 60 columns.
on_terminal() {
    "$python" "$source/tests/cli/on-terminal.py" --columns 60 "$@" >"$scratch/out"
}

# What stands in the last column goes on below itself; where the output is no terminal each row is one line.
last_column_wraps() {
    fixture many-damages || return
    "$python" "$source/tests/cli/on-terminal.py" --columns 100 "$vsctl" repair --dry-run --color never "$store" >"$scratch/out"
    same 4 $? && [ "$(wc -L <"$scratch/out")" -le 100 ] && grep -qE '^ {44}it beside it' "$scratch/out" &&
        runs 4 repair --dry-run "$store" && out_has "with what could be salvaged of it beside it"
}

terminal_has_color() {
    on_terminal "$vsctl" lookup --of x && grep -q $'\e\[1mdirectory' "$scratch/out"
}

no_color() {
    NO_COLOR=1 on_terminal "$vsctl" lookup --of x && ! grep -q $'\e' "$scratch/out" && out_has directory
}

empty_no_color() {
    NO_COLOR='' on_terminal "$vsctl" lookup --of x && grep -q $'\e' "$scratch/out"
}

dumb_terminal() {
    TERM=dumb on_terminal "$vsctl" lookup --of x && ! grep -q $'\e' "$scratch/out" && out_has directory
}

color_never() {
    on_terminal "$vsctl" lookup --of x --color never && ! grep -q $'\e' "$scratch/out" && out_has directory
}

lines_are_broken() {
    on_terminal "$vsctl" help --color never && [ "$(wc -L <"$scratch/out")" -le 60 ] &&
        [ "$("$vsctl" help | wc -L)" -gt 80 ]
}

hostile_name() {
    runs 0 lookup --of $'a\e[2J\nb' && out_has 'a\x1b[2J\nb' && ! grep -q $'\e' "$scratch/out"
}

hostile_name_as_json() {
    json lookup 0 lookup --of $'a\e[2J\nb\u202e' && jq_is '.names[0].name == "a\u001b[2J\nb\u202e"' &&
        ! grep -q $'\e' "$scratch/out"
}

invalid_utf8_as_json() {
    json lookup 0 lookup --of $'caf\xe9' && jq_is '.names[0] == {hash: "dafd66c0", name: "caf\ufffd", name_hex: "636166e9"}'
}

check "the last column wraps" last_column_wraps
check "closed output" closed_output
check "a full disk" full_disk
check "a pipe that nobody reads" reader_gone
check "every standard descriptor closed" everything_closed
check "no colour in a file" no_color_in_a_file
check "--color always" color_always
check "colour on a terminal" terminal_has_color
check "NO_COLOR" no_color
check "an empty NO_COLOR does not count" empty_no_color
check "a dumb terminal has no colour" dumb_terminal
check "--color never" color_never
check "lines are broken on a terminal only" lines_are_broken
check "control bytes in text" hostile_name
check "control bytes in JSON" hostile_name_as_json
check "invalid UTF-8 in JSON" invalid_utf8_as_json
finish_cli
