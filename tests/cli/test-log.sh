#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# --log-file: which events get a line, what is in it, where the file comes from, and that it can be shared and rotated.
set -u
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
log=$scratch/vsctl.log

# lines N PATTERN: the log has N lines, and the last one fits.
lines() {
    same "$1" "$(wc -l <"$log")" || return
    tail -n 1 "$log" | grep -qE "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z $2\$" || { cat "$log" && return 1; }
}

each_change_and_failure() {
    fixture incident-missing-metadata
    runs 4 verify --log-file "$log" "$store" && lines 1 "ERROR verify\\[[0-9]+\\]: status 4: $store: corrupt: 1 errors, 0 warnings; loadable: no" &&
        runs 0 inspect --log-file "$log" "$store" && lines 1 '.*' &&
        runs 4 repair --dry-run --log-file "$log" "$store" && lines 2 "ERROR repair\\[[0-9]+\\]: status 4: $store: dry-run" &&
        runs 1 repair --yes --log-file "$log" "$store" && lines 3 "WARNING repair\\[[0-9]+\\]: status 1: $store: applied as [^ ]+: 1 errors before, 0 now" &&
        runs 0 verify --log-file "$log" "$store" && lines 3 '.*' &&
        runs 0 snapshot create --log-file "$log" "$store" && lines 4 "INFO snapshot create\\[[0-9]+\\]: status 0: $store.*" &&
        runs 8 verify --log-file "$log" "$scratch/absent" && lines 5 "ERROR verify\\[[0-9]+\\]: status 8: $scratch/absent: $scratch/absent: there is no such .*" &&
        runs 16 search --log-file "$log" "$store" none && lines 6 "ERROR search\\[[0-9]+\\]: status 16: .*" &&
        [ "$(stat -c %a "$log")" = 640 ]
}

one_line_whatever_it_is_about() {
    rm -f "$log"
    runs 8 verify --log-file "$log" "$scratch/a"$'\n''b'$'\033''[31m' && lines 1 'ERROR .*' && ! grep -q $'\033' "$log"
}

precedence() {
    fixture healthy-plain
    printf '%s\n' "log-file = $scratch/by-file.log" >"$scratch/vsctl.conf"
    export VSCTL_CONFIG=$scratch/vsctl.conf
    runs 0 snapshot create "$store" && [ -s "$scratch/by-file.log" ] &&
        VSCTL_LOG_FILE=$scratch/by-variable.log runs 0 snapshot create "$store" && [ -s "$scratch/by-variable.log" ] &&
        VSCTL_LOG_FILE=$scratch/by-variable.log runs 0 snapshot create --log-file "$scratch/by-flag.log" "$store" && [ -s "$scratch/by-flag.log" ] &&
        [ "$(cat "$scratch"/by-*.log | wc -l)" -eq 3 ]
}

not_writable() {
    fixture healthy-plain
    runs 0 snapshot create --log-file "$scratch/absent/log" "$store" && err_has 'the log could not be written' &&
        runs 0 snapshot create --log-file "$scratch" "$store" && err_has 'the log could not be written'
}

many_writers() {
    local i
    rm -f "$log"
    for i in {1..40}; do
        "$vsctl" verify --log-file "$log" "$scratch/absent-$i" 2>/dev/null &
    done
    wait
    [ "$(grep -cE '^[0-9T:.-]+Z ERROR verify\[[0-9]+\]: status 8: [^ ]+absent-[0-9]+: ' "$log")" -eq 40 ] && [ "$(wc -l <"$log")" -eq 40 ]
}

rotated() {
    local pid status
    rm -f "$log" "$log.1"
    fixture healthy-plain
    "$vsctl" monitor --interval 1s --log-file "$log" "$store" 2>"$scratch/monitor" &
    pid=$!
    sleep 0.3
    rm "$store"/*/00000000.gob
    within 10 grep -q 'ERROR monitor.*: degraded: ' "$log" && mv "$log" "$log.1" && fixture healthy-plain && kill -HUP $pid &&
        within 10 grep -q 'INFO monitor.*: recovered: ' "$log" && [ "$(cat "$log" "$log.1" | wc -l)" -eq 2 ]
    status=$?
    kill $pid && wait $pid
    return $status
}

check "one line for each change and each failure" each_change_and_failure
check "one line whatever it is about" one_line_whatever_it_is_about
check "flag before environment before file" precedence
check "a log that cannot be written" not_writable
check "many writers" many_writers
check "rotated under a monitor" rotated
finish
