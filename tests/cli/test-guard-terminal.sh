#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Guarded commands at a terminal with job control; the cases are in job-control.py, and their names tell what they do.
set -u
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"

fresh() {
    rm -rf "${scratch:?}/store" "$scratch/store.vsctl"
    cp -a "$source/tests/data/chromem/healthy-example/store" "$scratch/store"
}

# The store is as it was, and no guard is under way in it.
as_before() {
    diff -r "$source/tests/data/chromem/healthy-example/store" "$scratch/store" && [ ! -e "$scratch/store.vsctl/guard/run.json" ]
}

terminal() {
    fresh && STORE_RECORD=$scratch/store.vsctl/guard/run.json timeout 110 "$python" "$source/tests/cli/job-control.py" \
        "$vsctl" "$scratch/store" "$1" && as_before
}

for name in $("$python" "$source/tests/cli/job-control.py" --list); do
    check "${name//_/ }" terminal "$name"
done
finish
