# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Test scripts in the Test Anything Protocol. Source it; then for each case
#
#     check DESCRIPTION COMMAND [ARGUMENT...]
#
# and last `finish`. What a failed command printed follows its line as comments. A description is the
# name of the case: it has no '#' and no ','. $scratch is a directory that goes away at the end.
# What the person who runs the tests has set for vsctl is not theirs.

unset "${!VSCTL_@}"
tap_count=0
tap_failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

check() {
    local description=$1 said
    shift
    tap_count=$((tap_count + 1))
    if said=$("$@" 2>&1); then
        echo "ok $tap_count - $description"
    else
        echo "not ok $tap_count - $description"
        printf '%s\n' "$said" | sed 's/^/# /'
        tap_failed=$((tap_failed + 1))
    fi
}

# A case that cannot run here, and why.
skip() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

finish() {
    echo "1..$tap_count"
    [ "$tap_failed" -eq 0 ]
}
