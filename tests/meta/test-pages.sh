#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-pages.sh VSCTL: each command has a manual page, and the pages have the commands, operands,
# summaries and options that `vsctl help --list` names, in the form that one line of it has:
#
#   .It Fl q , Fl -quiet             an option with a letter
#   .It Fl -level Cm full | quick    one of some words
#   .It Fl j , Fl -jobs Ar N         an argument
#   .Ar STORE Op Ar COLLECTION ...   operands STORE [COLLECTION...], in the synopsis
#
# The page of a group has a .Ss for each verb, with the verb's operands and options in it. `help` is
# explained in vsctl(1), where the options of every command are as well.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"
"$1" help --list >"$scratch/list" || exit 1
cd "$source/man" || exit 1

page_of() {
    [ -n "$1" ] && echo "vsctl-${1%% *}.1" || echo vsctl.1
}

# The part of a page that is about some words: all of it, or below the .Ss of a verb.
part() {
    case $1 in
    *' '*) awk -v verb="${1#* }" '/^\.S[sh]/ { inside = $1 == ".Ss" && $2 == verb && NF == 2 } inside' "$(page_of "$1")" ;;
    *) cat "$(page_of "$1")" ;;
    esac
}

# The lines that the list asks for.
option_lines() {
    awk -F '\t' -v words="$1" '$1 == "option" && $2 == words {
        argument = $6
        gsub(/\|/, " | ", argument)
        gsub(/\.\.\./, " ...", argument)
        printf ".It %sFl -%s%s\n", $4 == "" ? "" : "Fl " $4 " , ", $3,
            $5 == "none" ? "" : ($5 == "choice" ? " Cm " : " Ar ") argument
    }' "$scratch/list"
}

is_group() {
    cut -f 1,2 "$scratch/list" | grep -qxF -- "group	$1"
}

has_its_options() {
    is_group "$1" && return
    diff <(option_lines "$1" | LC_ALL=C sort) <(part "$1" | grep '^\.It.* Fl ' | LC_ALL=C sort)
}

# "STORE [COLLECTION [DOCUMENT]]" -> ".Ar STORE Op Ar COLLECTION Op Ar DOCUMENT"
operand_line() {
    awk -F '\t' -v words="$1" '$1 == "command" && $2 == words && $3 != "" {
        text = $3
        gsub(/\[/, "Op [", text)
        gsub(/[\[\]]/, "", text)
        gsub(/\.\.\./, " ...", text)
        n = split(text, word, " ")
        line = "."
        for (i = 1; i <= n; i++)
            line = line (i > 1 ? " " : "") (word[i] ~ /^[A-Z]+$/ ? "Ar " : "") word[i]
        print line
    }' "$scratch/list"
}

has_its_operands() {
    local line
    line=$(operand_line "$1")
    [ -z "$line" ] || part "$1" | grep -qxF -- "$line" || { echo "no line: $line" && false; }
}

summary() {
    awk -F '\t' -v words="$1" '($1 == "command" || $1 == "group") && $2 == words { print $4 }' "$scratch/list"
}

has_its_summary() {
    case $1 in
    *' '*) return 0 ;;
    esac
    grep -qxF -- ".Nd $(summary "$1")" "$(page_of "$1")" || { echo "no line: .Nd $(summary "$1")" && false; }
}

page_is_there() {
    [ -f "$(page_of "$1")" ] || { echo "no $(page_of "$1")" && false; }
}

agrees() {
    page_is_there "$1" && has_its_summary "$1" && has_its_operands "$1" && has_its_options "$1"
}

every_page_has_a_command() {
    local page name bad=0
    for page in vsctl-*.1; do
        name=${page#vsctl-}
        cut -f 2 "$scratch/list" | grep -qxF -- "${name%.1}" || { echo "$page: no such command" && bad=1; }
    done
    return $bad
}

top_commands() {
    awk -F '\t' '($1 == "command" || $1 == "group") && $2 !~ / / && $2 != "help" { print $2 }' "$scratch/list"
}

# In vsctl(1) a command is an item that refers to its page, with its summary below.
overview() {
    local name bad=0
    diff <(top_commands) <(sed -n 's/^\.It Xr vsctl-\([a-z-]*\) 1$/\1/p' vsctl.1) || bad=1
    while IFS= read -r name; do
        grep -A 1 -xF ".It Xr vsctl-$name 1" vsctl.1 | tail -n 1 | grep -qixF -- "$(summary "$name")." ||
            { echo "vsctl.1: below vsctl-$name: $(summary "$name")." && bad=1; }
    done < <(top_commands)
    return $bad
}

# Pages are installed, and refer to pages of ours that exist.
every_page_is_installed() {
    diff <(ls -- *.[1-9]) <(sed -nE "s/^ *'(vsctl.*\.[1-9])',$/\1/p" meson.build)
}

references_lead_somewhere() {
    local bad=0 page
    while IFS= read -r page; do
        [ -f "$page" ] || { echo "no $page" && bad=1; }
    done < <(sed -nE 's/^\.(It )?Xr (vsctl[a-z-]*) ([1-9]).*/\2.\3/p' -- *.[1-9] | sort -u)
    return $bad
}

check "options of every command" has_its_options ''
check "all commands in vsctl(1)" overview
while IFS= read -r words; do
    check "the page says what the program says: $words" agrees "$words"
done < <(awk -F '\t' '($1 == "command" || $1 == "group") && $2 != "help" { print $2 }' "$scratch/list")
check "every page has a command" every_page_has_a_command
check "every page is installed" every_page_is_installed
check "references lead somewhere" references_lead_somewhere
finish
