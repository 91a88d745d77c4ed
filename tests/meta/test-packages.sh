#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-packages.sh BUILD_ROOT: scripts/packages names what the project needs, so that a fresh machine
# gets it: the libraries that meson found, and the programs that scripts call.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"
build=$1

listed() {
    awk -v groups=" $* " '!/^#/ && NF && index(groups, " " $1 " ") { print $2 }' "$source/scripts/packages"
}

form() {
    ! grep -vE '^(#.*|(build|test|chroma|node|optional) [a-z0-9][a-z0-9+.-]+)?$' "$source/scripts/packages"
}

each_once() {
    ! listed build test optional | sort | uniq -d | grep .
}

# is_listed PATH GROUP...: the package that owns the file is in one of the groups.
is_listed() {
    local path owner
    path=$1
    shift
    # Where /bin is a link to /usr/bin the package may know the file by either name.
    owner=$(dpkg-query -S "$path" "${path#/usr}" 2>/dev/null | grep -v '^diversion' | head -n 1)
    owner=${owner%%:*}
    [ -n "$owner" ] && listed "$@" | grep -qx -- "$owner" && return
    echo "$path is of '$owner', which is not in scripts/packages"
    return 1
}

libraries() {
    local name directory groups bad=0
    for name in $(jq -r '.[].name' "$build/meson-info/intro-dependencies.json"); do
        directory=$(pkg-config --variable=pcfiledir "$name" 2>/dev/null) || continue
        groups=build
        [ "$name" = criterion ] && groups="build test"
        # shellcheck disable=SC2086
        is_listed "$directory/$name.pc" $groups || bad=1
    done
    return $bad
}

programs() {
    local name path bad=0
    for name in "$@"; do
        path=$(command -v "$name") || continue
        is_listed "$path" build test || bad=1
    done
    return $bad
}

check "every line has the form" form
check "no package twice" each_once
if command -v dpkg-query >/dev/null; then
    check "libraries" libraries
    check "programs" programs meson ninja pkg-config go git jq mandoc shellcheck fish zsh xmllint nm clang \
        clang-format
else
    skip "libraries" "not a Debian system"
    skip "programs" "not a Debian system"
fi
finish
