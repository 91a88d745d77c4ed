#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# check-disk-calls.sh [ARCHIVE]: finds what it is there to find, in sources and in objects; the last
# cases are the project itself and ARCHIVE, its compiled library.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$source/tests/meta/tap.sh"
script=$source/scripts/check-disk-calls.sh

make_tree() {
    rm -rf "$scratch/tree"
    mkdir -p "$scratch"/tree/{cmd,libcore/{file,check,chromem}}
    cd "$scratch/tree" || exit 1
    cat >libcore/file/ops.c <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int file_unlink_at(const char *name) { return unlink(name); }
int file_create_at(const char *name) { return open(name, O_WRONLY | O_CREAT, 0600); }
C
    cat >libcore/file/read.c <<'C'
#include <fcntl.h>
#include <unistd.h>
int file_read_at(const char *name);
int file_read_at(const char *name) { return open(name, O_RDONLY | O_CLOEXEC); }
C
    cat >libcore/chromem/scan.c <<'C'
int file_read_at(const char *name);
int chromem_scan(void);
int chromem_scan(void) { return file_read_at("x"); /* unlink(x) */ }
C
    cat >libcore/check/run.c <<'C'
int chromem_scan(void);
int check_store(void);
int check_store(void) { return chromem_scan(); }
C
    cat >libcore/chromem/write.c <<'C'
int file_unlink_at(const char *name);
int chromem_write(void);
int chromem_write(void) { return file_unlink_at("x"); }
C
    cat >cmd/main.c <<'C'
#include <unistd.h>
int main(void) { return (int)write(1, "x", 1) + s->rename(s); }
C
}

# Compile the tree's library the way the build names its objects.
make_archive() {
    local file
    rm -f ./*.o libcore.a
    for file in libcore/*/*.c; do
        file=${file#libcore/}
        ${CC:-cc} -c -o "${file//\//_}.o" "libcore/$file" || return
    done
    ar rcs libcore.a ./*.o
}

clean() {
    make_tree
    make_archive && "$script" --archive libcore.a "$scratch/tree"
}

# seeded FILE CODE EXPECTED: CODE as the last line of FILE must bring exactly one complaint.
seeded() {
    local said number
    make_tree
    printf '%s\n' "$2" >>"$1"
    number=$(wc -l <"$1")
    if said=$("$script" "$scratch/tree"); then
        echo "not found"
        return 1
    fi
    [ "$said" = "$1:$number: $3" ] && return
    printf 'said: %s\n' "$said"
    return 1
}

# seeded_object FILE CODE EXPECTED: the sources hide it, the objects show it.
seeded_object() {
    local said
    make_tree
    printf '%s\n' "$2" >>"$1"
    make_archive || return
    if said=$("$script" --archive libcore.a "$scratch/tree"); then
        echo "not found"
        return 1
    fi
    [ "$said" = "$3" ] && return
    printf 'said: %s\n' "$said"
    return 1
}

an_archive_without_checks() {
    make_tree
    make_archive && ar d libcore.a check_run.c.o
    "$script" --archive libcore.a "$scratch/tree" | grep -qx "no object of check/ in the archive"
}

check "a tree that keeps the rule" clean
check "unlink" seeded libcore/check/run.c 'int g(void) { return unlink("x"); }' \
    'calls unlink(): only libcore/file/ops.c changes the disk'
check "rename in the same room" seeded libcore/file/read.c 'int g(void) { return renameat (1, "x", 2, "y"); }' \
    'calls renameat(): only libcore/file/ops.c changes the disk'
check "write in libcore" seeded libcore/chromem/scan.c 'int g(void) { return write(1, "x", 1); }' \
    'calls write(): only libcore/file/ops.c changes the disk'
check "fsync" seeded libcore/chromem/scan.c 'int g(void) { return fsync(1); }' \
    'calls fsync(): only libcore/file/ops.c changes the disk'
check "mkdir in cmd" seeded cmd/main.c 'int g(void) { return mkdir("x", 0); }' \
    'calls mkdir(): only libcore/file/ops.c changes the disk'
check "stdio" seeded libcore/check/run.c 'void *g(void) { return fopen("x", "w"); }' \
    'calls fopen(): only libcore/file/ops.c changes the disk'
check "open for writing" seeded libcore/file/read.c 'int g(void) { return open("x", O_RDWR); }' \
    'uses O_RDWR: only libcore/file/ops.c opens files for writing'
check "a flag kept for later" seeded libcore/file/read.c 'static const int how = O_TRUNC;' \
    'uses O_TRUNC: only libcore/file/ops.c opens files for writing'
check "a shared mapping" seeded libcore/chromem/scan.c 'void *g(void) { return mmap(0, 1, 3, MAP_SHARED, 3, 0); }' \
    'uses MAP_SHARED: only libcore/file/ops.c opens files for writing'
check "a pointer to the function" seeded_object libcore/chromem/scan.c \
    $'#include <unistd.h>\nint (*hidden)(const char *) = unlink;' \
    'chromem_scan.c.o: refers to unlink(): only file_ops.c.o changes the disk'
check "a name pasted together" seeded_object libcore/chromem/scan.c \
    $'#include <unistd.h>\nint g(void);\n#define GLUE(a, b) a##b\nint g(void) { return GLUE(rm, dir)("x"); }' \
    'chromem_scan.c.o: refers to rmdir(): only file_ops.c.o changes the disk'
check "check reaches it directly" seeded_object libcore/check/run.c \
    'int file_unlink_at(const char *); int g(void); int g(void) { return file_unlink_at("x"); }' \
    'check/ reaches what changes the disk: check_run.c.o -> file_unlink_at in file_ops.c.o'
check "check reaches it through another room" seeded_object libcore/chromem/scan.c \
    'int chromem_write(void); int g(void); int g(void) { return chromem_write(); }' \
    'check/ reaches what changes the disk: check_run.c.o -> chromem_scan in chromem_scan.c.o -> chromem_write in chromem_write.c.o -> file_unlink_at in file_ops.c.o'
check "an archive without the room proves nothing" an_archive_without_checks
check "the sources of the project" "$script" "$source"
if [ $# -gt 0 ]; then
    check "the library of the project" "$script" --archive "$1" "$source"
fi
finish
