#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What holds for every file that is kept: licences, scripts and pages that their checkers accept, and
# nothing that only makes sense on the machine where it was written.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"
cd "$source" || exit 1

# The files of the project: what git keeps, or in an unpacked archive everything.
kept() {
    git ls-files -- "$@" 2>/dev/null && return
    local name
    for name in "$@"; do
        find . -path './build*' -prune -o -path "./${name}" -type f -print | sed 's|^\./||'
    done
}

c_files_name_their_licence() {
    local files
    mapfile -t files < <(kept '*.c' '*.h' '*.def')
    [ ${#files[@]} -gt 20 ] || return
    ! grep -L -m1 -F '/* SPDX-License-Identifier: Apache-2.0 */' "${files[@]}" | grep .
}

shell_scripts() {
    kept '*' | while read -r file; do
        case $file in
        tests/data/*) ;;
        *) head -c 64 "$file" | head -n 1 | grep -qaE '^#!.*\b(ba)?sh\b|^# shellcheck shell' && echo "$file" ;;
        esac
    done
}

scripts_pass_shellcheck() {
    local files
    mapfile -t files < <(shell_scripts)
    [ ${#files[@]} -gt 5 ] || return
    shellcheck -x "${files[@]}"
}

scripts_are_executable() {
    local file bad=0
    for file in $(shell_scripts); do
        case $file in
        *.bash | tests/*/*.sh) continue ;; # sourced, or named to their shell
        esac
        [ -x "$file" ] || { echo "$file" && bad=1; }
    done
    return $bad
}

pages_pass_mandoc() {
    local files page said
    mapfile -t files < <(kept 'man/*.[1-9]')
    [ ${#files[@]} -gt 0 ] || return
    # A manual of one project has no operating system in its footer; SEE ALSO may name pages of others.
    # One page at a time: mandoc writes the end of a full buffer twice.
    said=$(for page in "${files[@]}"; do mandoc -Tlint -Wstyle "$page"; done 2>&1 |
        grep -vE 'outdated mandoc.db|STYLE: (referenced manual not found|Mdocdate|operating system|RCS id missing)')
    [ -z "$said" ] || { echo "$said" && false; }
}

# Written so that no pattern matches itself.
strange='(^|[^A-Za-z0-9_.])/[w]ork/|/root/[a-z.]|/tmp/[b]uild|[.][.]/[s]hared
[H]OUSE[.]md|HOUSE [s]ection|[F]EATURES[.]md|[F]IELD-FAILURES|[R]IVALS[.]md|[B]RIEF[.]md|[A]NCHORS[.]md
registry[.]npmjs|[p]ypi[.]org|pythonhosted[.]org|proxy[.]golang[.]org|sum[.]golang[.]org|[a]rtifactory|deb[.]debian[.]org|crates[.]io
[a]nthropic|[o]penai[.]com|[c]opilot|[s]ub-?agent|language [m]odel wrote
this [s]ession|other [h]elpers?\b|helper [s]ession|co-authored[-]by'

no_strange_word() {
    ! grep -naiE "$strange" "$@"
}

kept_files_are_at_home() {
    local files
    mapfile -t files < <(kept '*')
    [ ${#files[@]} -gt 50 ] && no_strange_word "${files[@]}"
}

commit_messages_are_at_home() {
    git log --format='%H %s%n%b' >"$scratch/messages" && no_strange_word "$scratch/messages"
}

each_strange_word_is_seen() {
    local word
    for word in 'see /wo''rk/main' '../shar''ed/x' 'HOU''SE section 2' 'https://pypi''.org/simple' \
        'Co-Authored''-By: x' 'as the other hel''pers do'; do
        echo "$word" >"$scratch/word"
        if no_strange_word "$scratch/word" >/dev/null; then
            echo "not seen: $word"
            return 1
        fi
    done
    echo 'a network/work/place, a helper function, the session id of a document' >"$scratch/word"
    no_strange_word "$scratch/word"
}

lines_end_well() {
    local files
    mapfile -t files < <(kept '*.[ch]' '*.def' '*.sh' '*.md' '*.awk' '*meson.build' 'man/*' 'completions/*' 'scripts/*')
    ! grep -nE '[ 	]+$' "${files[@]}" || return
    for file in "${files[@]}"; do
        [ -z "$(tail -c 1 "$file")" ] || { echo "$file: no newline at its end" && return 1; }
    done
}

check "C files name their licence" c_files_name_their_licence
check "scripts pass shellcheck" scripts_pass_shellcheck
check "scripts can be run" scripts_are_executable
if [ -n "$(kept 'man/*.[1-9]')" ]; then
    check "manual pages pass mandoc" pages_pass_mandoc
fi
check "words of one workplace are recognised" each_strange_word_is_seen
check "no file has them" kept_files_are_at_home
if git rev-parse HEAD >/dev/null 2>&1; then
    check "no commit message has them" commit_messages_are_at_home
else
    skip "no commit message has them" "not a git clone"
fi
check "no trailing space and a newline at the end" lines_end_well
finish
