# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# For tests that run the program. Source it with the path of the program as $1; cases are functions
# given to `check` (see ../meta/tap.sh) that are chains of the words below; end with `finish_cli`.
#
#   runs STATUS ARGUMENT...     run it; its output goes to $scratch/out and $scratch/err
#   json SCHEMA STATUS ARG...   the same with --format json; the document goes to the validator at the end
#   out_is TEXT, err_is TEXT    the whole output, but for the last line end
#   out_has TEXT, err_has TEXT  a line with TEXT in it; out_lacks TEXT
#   first_line TEXT, last_line TEXT
#   jq_is FILTER                the filter yields true on the output
#   fixture NAME                a copy of a store of tests/data/chromem; $store is its path
#   unchanged COMMAND...        the command passes and the copy is, byte and time, what it was
#   within SECONDS COMMAND...   the command passes now or before that time is over: what another process does is waited for
source=${SOURCE_ROOT:?}
. "$source/tests/meta/tap.sh"
vsctl=$(realpath "${1:?}")
python=${PYTHON:-/usr/bin/python3}
unset NO_COLOR
export TERM=xterm-256color VSCTL_CONFIG=
# A machine that is full or busy is no reason for these to fail.
export VSCTL_MIN_FREE=0 VSCTL_MAX_MEMORY=100
mkdir "$scratch/documents"

show() {
    echo "status: $status"
    sed 's/^/out: /' "$scratch/out"
    sed 's/^/err: /' "$scratch/err"
}

runs() {
    local want=$1
    shift
    "$vsctl" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    [ $status -eq "$want" ] || { show && false; }
}

json() {
    local schema=$1
    shift
    runs "$@" --format json || return
    keep_document "$schema"
}

# Each case runs in a subshell, so numbers come from what is there.
keep_document() {
    local number
    number=$(find "$scratch/documents" -type f | wc -l)
    cp "$scratch/out" "$scratch/documents/$number.$1.json"
}

same() {
    [ "$1" = "$2" ] || { printf 'want: %s\ngot:  %s\n' "$1" "$2" && false; }
}

out_is() {
    same "$1" "$(cat "$scratch/out")"
}

err_is() {
    same "$1" "$(cat "$scratch/err")"
}

out_has() {
    grep -qF -- "$1" "$scratch/out" || { echo "not there: $1" && show && false; }
}

out_lacks() {
    ! grep -qF -- "$1" "$scratch/out" || { echo "there: $1" && show && false; }
}

err_has() {
    grep -qF -- "$1" "$scratch/err" || { echo "not there: $1" && show && false; }
}

first_line() {
    same "$1" "$(head -n 1 "$scratch/out")"
}

last_line() {
    same "$1" "$(tail -n 1 "$scratch/out")"
}

jq_is() {
    jq -e "$1" "$scratch/out" >"$scratch/jq" 2>&1 || { echo "jq: $1" && cat "$scratch/jq" "$scratch/out" && false; }
}

fixture() {
    rm -rf "${scratch:?}/$1"
    cp -a "$source/tests/data/chromem/$1" "$scratch/$1"
    chmod -R u+w "$scratch/$1"
    if [ -f "$scratch/$1/setup.sh" ]; then
        (cd "$scratch/$1" && sh setup.sh) || return
    fi
    store=$scratch/$1/store
}

# Names, types, modes, times of change and contents of a tree.
tree_state() {
    find "$1" -printf '%P %y %m %s %T@ %C@ %l\n' | sort
    find "$1" -type f -exec sha256sum {} + | sort
}

unchanged() {
    tree_state "$store" >"$scratch/before"
    "$@" || return
    tree_state "$store" >"$scratch/after"
    diff "$scratch/before" "$scratch/after"
}

within() {
    local end=$((SECONDS + $1 + 1))
    shift
    until "$@" >"$scratch/within" 2>&1; do
        [ $SECONDS -lt $end ] || { echo "never: $*" && cat "$scratch/within" && return 1; }
        sleep 0.02
    done
}

documents_validate() {
    find "$scratch/documents" -type f | grep -q . || { echo "no document was kept" && return 1; }
    "$python" "$source/tests/cli/validate.py" "$source/cmd/schema" "$scratch/documents"
}

finish_cli() {
    check "documents validate against their schemas" documents_validate
    finish
}
