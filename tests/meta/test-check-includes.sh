#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# check-includes.sh finds what it is there to find: each case puts one violation into a small tree that
# has none, and expects exactly that line. The last case is the project itself.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"

# A tree that keeps every rule, with what looks like a violation and is not one.
make_tree() {
    rm -rf "$scratch/tree"
    mkdir -p "$scratch"/tree/{cmd,libcore/{util,file,gob,chromem,check,journal,cellar}}
    cd "$scratch/tree" || exit 1
    cat >libcore/util/util.h <<'C'
#pragma once
#include <stdio.h>
C
    cat >libcore/util/digest.c <<'C'
#include "util/util.h"
#include <openssl/evp.h>
void vs_alloc(void) { abort(); }
C
    cat >libcore/gob/gob.h <<'C'
#pragma once
#include "util/util.h"
C
    cat >libcore/gob/wire.c <<'C'
#include "gob/gob.h"
#include "gob/wire.h" /* the room's own */
/* printf("in a comment"); exit(1); */
const char *text = "printf(stderr)"; // getenv("HOME")
int f(struct sink *s) { return s->printf(s) + s->open(s) + snprintf(0, 0, "\"exit(1)"); }
C
    cat >libcore/chromem/pack.c <<'C'
#include "file/file.h"
#include "gob/gob.h"
#include "util/util.h"
#include <zlib.h>
C
    cat >cmd/main.c <<'C'
#include "cmd.h"
#include "gob/gob.h"
#include <getopt.h>
int main(void) { printf("%s", getenv("HOME")); exit(0); }
C
}

clean() {
    make_tree
    "$source/scripts/check-includes.sh" "$scratch/tree"
}

# seeded FILE CODE EXPECTED: CODE as the last line of FILE must bring exactly one complaint.
seeded() {
    local said number
    make_tree
    printf '%s\n' "$2" >>"$1"
    number=$(wc -l <"$1")
    if said=$("$source/scripts/check-includes.sh" "$scratch/tree"); then
        echo "not found"
        return 1
    fi
    [ "$said" = "$1:$number: $3" ] && return
    printf 'said: %s\n' "$said"
    return 1
}

# The same, but only a part of the complaint is given, and there may be more than one.
seeded_part() {
    local said
    make_tree
    printf '%s\n' "$2" >>"$1"
    if said=$("$source/scripts/check-includes.sh" "$scratch/tree"); then
        echo "not found"
        return 1
    fi
    [[ $said == "$1:"*"$3"* ]] && return
    printf 'said: %s\n' "$said"
    return 1
}

nothing_to_read() {
    mkdir -p "$scratch/empty"
    "$source/scripts/check-includes.sh" "$scratch/empty"
    [ $? -eq 2 ]
}

check "a tree that keeps the rules" clean
check "a room above" seeded libcore/gob/wire.c '#include "chromem/chromem.h"' \
    'gob may not use chromem: it is not below it'
check "a room beside" seeded libcore/journal/record.c '#include "audit/audit.h"' \
    'journal may not use audit: it is not below it'
check "a codec and files" seeded libcore/gob/wire.c '#include "file/file.h"' \
    'gob may not use file: it is not below it'
check "the check room and repair" seeded libcore/check/run.c '#include "repair/repair.h"' \
    'check may not use repair: it is not below it'
check "a header behind the front door" seeded libcore/chromem/pack.c '#include "gob/wire.h"' \
    '"gob/wire.h" belongs to the room gob: include its front door "gob/gob.h"'
check "a header behind the front door from cmd" seeded cmd/main.c '#include "gob/wire.h"' \
    '"gob/wire.h" belongs to the room gob: include its front door "gob/gob.h"'
check "an include without its room" seeded libcore/gob/wire.c '#include "wire.h"' \
    'include "wire.h" names no room: write "ROOM/FILE"'
check "a room that is not in the layers" seeded_part libcore/cellar/x.c 'int x;' \
    'room cellar has no place in the layers'
check "OpenSSL away from home" seeded_part libcore/check/run.c '#include <openssl/sha.h>' 'is not included here'
check "zlib away from home" seeded_part libcore/gob/wire.c '#  include <zlib.h>' 'is not included here'
check "libdeflate in cmd" seeded_part cmd/main.c '#include <libdeflate.h>' 'is not included here'
check "SQLite away from home" seeded_part libcore/chromem/pack.c '#include <sqlite3.h>' 'is not included here'
check "libarchive away from home" seeded_part libcore/chromem/pack.c '#include <archive.h>' 'is not included here'
check "a codec that includes fcntl.h" seeded libcore/gob/wire.c '#include <fcntl.h>' \
    'the codec gob includes <fcntl.h>: codecs open nothing'
check "a codec that opens" seeded libcore/gob/wire.c 'int g(void) { return open("x", 0); }' \
    'the codec gob opens or reads a file: codecs take bytes'
check "printing in libcore" seeded libcore/check/run.c 'void g(void) { printf("x"); }' \
    'calls printf(): prints, and only cmd does'
check "a stream in libcore" seeded libcore/check/run.c 'void *g(void) { return stderr; }' \
    'uses stderr: only cmd does'
check "the environment in libcore" seeded libcore/chromem/pack.c 'void *g(void) { return getenv("HOME"); }' \
    'calls getenv(): reads or sets the environment, and only cmd does'
check "exit in libcore" seeded libcore/check/run.c 'void g(void) { if (1) exit (1); }' \
    'calls exit(): ends the process, and only cmd does'
check "abort outside util" seeded libcore/check/run.c 'void g(void) { abort(); }' \
    'calls abort(): ends the process, and only cmd does'
check "another program from libcore" seeded libcore/check/run.c 'int g(void) { return system("ls"); }' \
    'calls system(): runs another program, and only cmd does'
check "a violation behind a comment and a literal" seeded libcore/check/run.c \
    'void g(void) { f("/*"); /* " */ puts("\\"); }' 'calls puts(): prints, and only cmd does'
check "a header in a room is read too" seeded_part libcore/check/inline.h \
    'static inline void g(void) { puts(""); }' 'calls puts()'
check "no sources is not success" nothing_to_read
check "the project" "$source/scripts/check-includes.sh" "$source"
finish
