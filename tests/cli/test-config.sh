#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Options from a file and the environment: which source counts, and every error at once.
set -u
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
file=$scratch/vsctl.conf

# config_file LINE...: what the file is from here on.
config_file() {
    printf '%s\n' "$@" >"$file"
    export VSCTL_CONFIG=$file
}

# value_of FILTER_ON_OPTION WANT: "value source" of one row.
value_is() {
    jq_is "[.settings[] | select($1)] | length == 1 and (.[0] | \"\(.value) \(.source)\" == \"$2\")"
}

nothing_set() {
    # As cli.sh has them for all tests.
    unset VSCTL_MIN_FREE VSCTL_MAX_MEMORY
    json config 0 config && jq_is '.valid and .file == null and all(.settings[]; .option == "format" or (.source == "default" and .value == null))' &&
        runs 0 config && first_line 'good: no settings, no file'
}

# Each level overrules the one below it, and is gone when it is taken away.
precedence() {
    config_file 'jobs = 2'
    json config 0 config && value_is '.option == "jobs"' '2 file' || return
    export VSCTL_JOBS=3
    json config 0 config && value_is '.option == "jobs"' '3 environment' &&
        json config 0 config --jobs 4 && value_is '.option == "jobs"' '4 command line' || return
    VSCTL_JOBS=''
    json config 0 config && value_is '.option == "jobs"' '2 file'
}

# The same, seen in what a command does.
precedence_in_force() {
    fixture incident-missing-metadata
    config_file "store = $store" '[verify]' 'format = json'
    runs 4 verify && jq_is '.command == "verify"' || return
    VSCTL_FORMAT=text runs 4 verify && out_has 'corrupt: 1 of 22' || return
    VSCTL_FORMAT=text runs 4 verify --format json && jq_is '.verdict == "corrupt"' || return
    unset VSCTL_CONFIG
    runs 16 verify && err_has 'verify needs STORE'
}

most_special_counts() {
    config_file 'lock-wait = 1' '[snapshot]' 'lock-wait = 2' '[snapshot create]' 'lock-wait = 3'
    json config 0 config snapshot create && value_is '.option == "lock-wait"' '3 file' &&
        json config 0 config snapshot delete && value_is '.option == "lock-wait"' '2 file' &&
        json config 0 config repair && value_is '.option == "lock-wait"' '1 file' || return
    VSCTL_LOCK_WAIT=7 json config 0 config snapshot create && value_is '.option == "lock-wait"' '7 environment' &&
        VSCTL_LOCK_WAIT=7 VSCTL_SNAPSHOT_CREATE_LOCK_WAIT=8 json config 0 config snapshot create &&
        value_is '.option == "lock-wait"' '8 environment'
}

store_and_state() {
    fixture incident-missing-metadata
    mkdir "$scratch/states"
    config_file "store = $store" "state = $scratch/states/one"
    runs 4 repair --dry-run || [ "$status" -eq 0 ] || return
    [ -d "$scratch/states/one" ] || return
    VSCTL_STATE=$scratch/states/two runs "$status" repair --dry-run
    [ -d "$scratch/states/two" ] || return
    runs "$status" repair --dry-run --state "$scratch/states/three" && [ -d "$scratch/states/three" ]
}

all_errors_at_once() {
    config_file 'jbos = 2' 'jobs = many' 'color = alwys' '[verifi]' 'level = full' '[verify]' 'level = ful' 'no equals' \
        'jobs = 1' 'jobs = 2' '[broken' 'ignored = 1' '[]' '[repair]' 'yes = yes' 'lock-wait ='
    export VSCTL_JBOS=2 VSCTL_PROGRESS=often
    json config 16 config --check
    jq_is '.valid == false and (.errors | length) == 13 and (has("settings") | not)' &&
        jq_is "[.errors[] | select(.where == \"$file:1\")][0].message | test(\"did you mean jobs\")" &&
        jq_is "[.errors[] | select(.where == \"$file:2\")][0].message | test(\"number up to 1024, not .many\")" &&
        jq_is "[.errors[] | select(.where == \"$file:3\")][0].message | test(\"did you mean always\")" &&
        jq_is "[.errors[] | select(.where == \"$file:5\")][0].message | test(\"did you mean verify\")" &&
        jq_is "[.errors[] | select(.where == \"$file:7\")][0].message | test(\"did you mean full\")" &&
        jq_is "[.errors[] | select(.where == \"$file:10\")][0].message | test(\"set already\")" &&
        jq_is "[.errors[] | select(.where == \"$file:15\")][0].message | test(\"cannot be set for repair\")" &&
        jq_is '[.errors[] | select(.where == "VSCTL_JBOS")] | length == 1' &&
        jq_is '[.errors[] | select(.where == "VSCTL_PROGRESS")] | length == 1' &&
        runs 16 config && first_line 'bad: 13 errors in the configuration' &&
        last_line 'next: correct what is listed, then vsctl config --check'
}

# A command does not begin with half of a configuration; help can be asked for all the same.
commands_refuse() {
    config_file 'jbos = 2'
    runs 16 lookup --of conversations && out_is '' && err_has "$file:1: 'jbos' cannot be set" && err_has 'vsctl config --check' &&
        runs 0 lookup --help && runs 0 help lookup && runs 0 --version
}

# A variable that means nothing to us may be somebody else's.
strange_variable() {
    export VSCTL_STRANGE=1
    runs 0 lookup --of conversations && runs 16 config --check && out_has VSCTL_STRANGE
}

paths() {
    config_file 'store = /nowhere/store' 'state = /nowhere/state' '[snapshot]' 'key-file = /nowhere/key'
    json config 16 config --check && jq_is '.errors | length == 3' &&
        runs 16 config --check && out_has '/nowhere/store is not there' && out_has 'in a directory that is not there'
}

file_options() {
    config_file 'jobs = 2'
    printf 'jobs = 9\n' >"$scratch/other"
    json config 0 config --config "$scratch/other" && value_is '.option == "jobs"' '9 file' &&
        runs 16 config --config "$scratch/absent" && runs 16 lookup --of x --config "$scratch/absent" && err_has absent &&
        runs 16 config --config "$scratch" && out_has 'not a regular file' || return
    VSCTL_CONFIG='' json config 0 config && jq_is '.file == null'
}

values_with_blanks() {
    config_file '  # note' '; note' '' "store = \"$scratch\"  " "  progress=5  " $'color\t=\tnever\r'
    json config 0 config && value_is '.option == "store" and .command == null' "$scratch file" && value_is '.option == "progress"' '5 file' &&
        value_is '.option == "color"' 'never file'
}

hostile_file() {
    head -c 200000 /dev/urandom >"$file"
    export VSCTL_CONFIG=$file
    runs 16 config --check || return
    head -c 2000000 /dev/zero >"$file"
    runs 16 config --check && out_has "$file" || return
    printf '[\n[a\n=\n= x\nx\n]\n' >"$file"
    json config 16 config --check
}

bad_input() {
    runs 16 config nothing && err_has "unknown command 'nothing'" && runs 16 config snapshot nothing &&
        err_has "unknown verb 'nothing'" && runs 16 config verify full && err_has 'verify has no verbs' &&
        runs 0 config --help && out_has 'usage: vsctl config'
}

check "nothing is set" nothing_set
check "flag before environment before file before default" precedence
check "what is in force is what a command does" precedence_in_force
check "the most special setting counts" most_special_counts
check "store and state directory" store_and_state
check "all errors at once" all_errors_at_once
check "commands refuse a wrong file" commands_refuse
check "a strange variable" strange_variable
check "paths that are not there" paths
check "which file is read" file_options
check "blanks and comments and quotation marks" values_with_blanks
check "a hostile file" hostile_file
check "bad input" bad_input
finish_cli
