# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# For tests that run the program on Chroma stores of the real server, as tests/data/chroma/README.md describes them.
# Source it in place of cli.sh, with the path of the program as $1.
#
#   $data, $stores      what is committed, and each store of it unpacked
#   fresh NAME          $store is a copy of one, of which nothing is kept, and $scratch/new is free
#   sql STATEMENT       on the database of $store
#   changed STATEMENT   a fresh copy of the base store after it
#   harms NAME          the server does not serve all of it

# In memory where that is to be had: databases are synced many times.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "${SOURCE_ROOT:?}/tests/cli/cli.sh"
data=$source/tests/data/chroma
stores=$scratch/stores
store=$scratch/store
mkdir "$stores"
tar -C "$stores" -xJf "$data/stores.tar.xz"

fresh() {
    rm -rf "$store" "$store.vsctl" "$scratch/new"
    cp -a "$stores/$1" "$store"
    rm -f "$store/expected.json"
}

# From SQLite 3.42 on its shell lets nobody write to the tables that an FTS5 index consists of, unless told to, which it
# repeats aloud.
sql() {
    sqlite3 -cmd ".output /dev/null" -cmd ".dbconfig defensive off" -cmd ".output stdout" "$store/chroma.sqlite3" "$1"
}

changed() {
    fresh base && sql "$1"
}

harms() {
    jq -e .harm "$stores/$1/expected.json" >/dev/null
}
