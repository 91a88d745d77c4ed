#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The command line: where options may stand, what is answered when it makes no sense.
set -u
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"

table=$'directory  name\ne9f85bf6   contextd_memories\n5c0dc939   conversations'

no_command() {
    runs 16 && out_is '' && err_is 'vsctl: give a command; vsctl help lists them'
}

option_behind() {
    runs 0 lookup contextd_memories conversations --of && out_is "$table"
}

option_between() {
    runs 0 lookup contextd_memories --of conversations && out_is "$table"
}

option_before_the_command() {
    runs 0 --of lookup contextd_memories conversations && out_is "$table"
}

argument_before_the_command() {
    runs 0 --format text -j 2 lookup --of contextd_memories conversations && out_is "$table" &&
        runs 0 --jobs=2 -qj2 lookup --of contextd_memories conversations && out_is "$table"
}

double_dash() {
    runs 0 lookup --of -- --json -q && out_is $'directory  name\n2903d237   --json\n5ce68166   -q'
}

double_dash_before_the_command() {
    runs 0 --of -- lookup --json && out_is $'directory  name\n2903d237   --json'
}

last_format_counts() {
    runs 0 lookup --of conversations --json --format=text && first_line 'directory  name' &&
        runs 0 lookup --of conversations --format text --json && jq_is '.schema == 1'
}

unknown_command() {
    runs 16 lokup && out_is '' &&
        err_is "vsctl: unknown command 'lokup'; did you mean vsctl lookup?"
}

command_not_like_any() {
    runs 16 zzzzzz && err_is "vsctl: unknown command 'zzzzzz'; vsctl help lists what there is"
}

beginning_of_a_command() {
    runs 16 loo && err_has 'did you mean vsctl lookup?'
}

path_for_a_command() {
    runs 16 "$scratch" &&
        err_is "vsctl: '$scratch' is a path, not a command; to check it: vsctl verify $scratch"
}

hostile_command() {
    runs 16 $'\e[2Jx' && err_has "unknown command '\\x1b[2Jx'"
}

unknown_option() {
    runs 16 lookup --off x && err_is 'vsctl: unknown option --off; did you mean --of?' &&
        runs 16 lookup --quite x && err_has 'did you mean --quiet?' &&
        runs 16 lookup --xylophone x &&
        err_is 'vsctl: unknown option --xylophone; vsctl lookup --help lists what there is'
}

unknown_letter() {
    runs 16 lookup -Z x && err_has 'unknown option -Z;' && runs 16 lookup -vZ x && err_has 'unknown option -Z;'
}

long_option_with_one_dash() {
    runs 16 lookup -fromat x && err_is 'vsctl: unknown option -fromat; did you mean --format?'
}

argument_is_missing() {
    runs 16 lookup --of x --format && err_is 'vsctl: --format needs text|json' &&
        runs 16 lookup --of x -j && err_is 'vsctl: -j needs N'
}

argument_is_not_wanted() {
    runs 16 lookup --of=x && err_is 'vsctl: --of takes no argument'
}

choice() {
    runs 16 lookup --of x --format jsn && err_is "vsctl: --format takes text|json, not 'jsn'; did you mean json?" &&
        runs 16 lookup --of x --format yaml && err_is "vsctl: --format takes text|json, not 'yaml'"
}

number() {
    runs 16 lookup --of x --jobs many && err_is "vsctl: --jobs takes a number up to 1024, not 'many'" &&
        runs 16 search --id x --nearest 0 . docs && err_is "vsctl: --nearest takes a number from 1 up to 1000, not '0'" &&
        runs 16 lookup --of x --jobs 1025 && runs 16 lookup --of x --jobs=-1 && runs 16 lookup --of x -j 2x
}

too_few_operands() {
    runs 16 lookup --of && err_is 'vsctl: lookup needs HASH; usage: vsctl lookup HASH...'
}

too_many_operands() {
    runs 16 help lookup verb more &&
        err_is "vsctl: 'more' is one word too many; usage: vsctl help [COMMAND [VERB]]"
}

error_in_json() {
    json error 16 lokup && err_has 'did you mean' &&
        jq_is '.command == null and .error.status == 16 and .error.path == null' &&
        jq_is '.error.message | startswith("unknown command '\''lokup'\''")'
}

error_in_json_names_the_command() {
    json error 16 lookup --off x && jq_is '.command == "lookup"'
}

format_behind_the_error() {
    runs 16 --off lookup --json && jq_is '.error.status == 16'
}

bad_format_after_json() {
    runs 16 lookup --of x --json --format yaml && out_is ''
}

check "no command" no_command
check "options behind the operands" option_behind
check "options between the operands" option_between
check "an option of the command before it" option_before_the_command
check "arguments of options before the command" argument_before_the_command
check "-- ends the options" double_dash
check "-- before the command" double_dash_before_the_command
check "the last format counts" last_format_counts
check "an unknown command" unknown_command
check "a command that is like none" command_not_like_any
check "the beginning of a command" beginning_of_a_command
check "a path where a command should be" path_for_a_command
check "control bytes in a command" hostile_command
check "an unknown option" unknown_option
check "an unknown letter" unknown_letter
check "a long option with one dash" long_option_with_one_dash
check "an argument is missing" argument_is_missing
check "an argument that is not wanted" argument_is_not_wanted
check "a word that is no choice" choice
check "what is no number" number
check "too few operands" too_few_operands
check "too many operands" too_many_operands
check "an error as JSON" error_in_json
check "an error as JSON names the command" error_in_json_names_the_command
check "the format is known however late it stands" format_behind_the_error
check "a bad format is answered as text" bad_format_after_json
finish_cli
