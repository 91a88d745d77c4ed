#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# check-disk-calls.sh [--archive FILE] [ROOT]: one file changes the disk
#
# Only libcore/file/ops.c calls functions that change what is on a disk, so that one seam sees them
# all and tests can fail each in turn. The sources are read as text. With --archive, the compiled
# library (libcore.a) is read as well: there no other object may refer to such a function, however
# the call is spelled, and nothing that the objects of check/ need, directly or not, may be ops.c:
# looking at a store cannot change it. One object may stand between: chroma_copy.c, which makes a copy
# of a database in a scratch directory outside the store, where a journal can be rolled back.
#
# cmd writes to its streams and so may call write() and ioctl(). Tests are not read.
set -euo pipefail

archive=
if [ "${1:-}" = --archive ]; then
    archive=$(realpath "$2")
    shift 2
fi
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/..}"
ops=libcore/file/ops.c

# Acting on a descriptor; what cmd may do with its streams and its terminal.
writers='write pwrite writev pwritev pwritev2 sendfile splice tee vmsplice ioctl'

# Changing names, sizes, modes and times, and making them last.
changers='creat mkdir mkdirat rmdir rename renameat renameat2 link linkat symlink symlinkat unlink
unlinkat remove truncate ftruncate fallocate posix_fallocate copy_file_range fsync fdatasync sync
syncfs sync_file_range msync chmod fchmod fchmodat chown fchown lchown fchownat utime utimes lutimes
futimes futimesat utimensat futimens mknod mknodat mkfifo mkfifoat mkstemp mkostemp mkstemps mkostemps
mkdtemp mktemp tmpfile tempnam setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
mount umount umount2 pivot_root chroot fopen freopen fdopen syscall nftw ftw
gzopen gzdopen json_dump_file json_dumpfd BIO_new_file archive_write_disk_new
archive_write_open_filename archive_write_open_fd archive_write_open_file archive_write_open_FILE'

# Flags that turn open() or mmap() into one of these.
flags='O_WRONLY O_RDWR O_CREAT O_TRUNC O_APPEND O_TMPFILE O_EXCL MAP_SHARED MAP_SHARED_VALIDATE
FICLONE FICLONERANGE'

mapfile -t files < <(find libcore cmd -type f -name '*.[ch]' ! -path "$ops" 2>/dev/null | LC_ALL=C sort)
if [ ${#files[@]} -eq 0 ]; then
    echo "check-disk-calls: no C files below $PWD" >&2
    exit 2
fi
status=0

awk -f "$here/c-code.awk" "${files[@]}" |
    awk -v writers="$writers" -v changers="$changers" -v flags="$flags" -v ops="$ops" '
function set(into, names,    n, i, part) {
	n = split(names, part, /[ \n]+/)
	for (i = 1; i <= n; i++)
		into[part[i]] = 1
}

BEGIN {
	set(write_call, writers)
	set(change_call, changers)
	set(flag, flags)
}

{
	file = $0
	sub(/:.*/, "", file)
	code = substr($0, length(file) + 2)
	line = code
	sub(/:.*/, "", line)
	code = " " substr(code, length(line) + 2) " "
	if (code ~ /^[ \t]*#[ \t]*include/)
		next

	gsub(/->/, ".", code)
	while (match(code, /[^A-Za-z0-9_.][A-Za-z_][A-Za-z0-9_]*[ \t]*[^A-Za-z0-9_ \t]/)) {
		name = substr(code, RSTART + 1, RLENGTH - 2)
		is_call = substr(code, RSTART + RLENGTH - 1, 1) == "("
		sub(/[ \t]+$/, "", name)
		code = substr(code, RSTART + RLENGTH - 1)
		if (is_call && (name in change_call || (name in write_call && file !~ /^cmd\//))) {
			print file ":" line ": calls " name "(): only " ops " changes the disk"
			bad = 1
		} else if (name in flag) {
			print file ":" line ": uses " name ": only " ops " opens files for writing"
			bad = 1
		}
	}
}

END { exit bad }
' || status=1

[ -n "$archive" ] || exit $status

# An archive without check/ proves nothing, unless there is no such room.
want_checks=$(find libcore/check -name '*.c' 2>/dev/null | wc -l)
nm -P -A "$archive" | awk -v want_checks="$want_checks" -v writers="$writers" -v changers="$changers" '
function set(into, names,    n, i, part) {
	n = split(names, part, /[ \n]+/)
	for (i = 1; i <= n; i++)
		into[part[i]] = 1
}

function complain(text) {
	print text
	bad = 1
}

BEGIN {
	set(changes, writers " " changers)
}

# "libcore.a[file_ops.c.o]: name type ...": U needs the name, an upper-case type defines it.
{
	object = $1
	sub(/^.*\[/, "", object)
	sub(/\]:$/, "", object)
	sub(/^.*\//, "", object)
	name = $2
	objects[object] = 1
	if ($3 == "U")
		needs[object] = needs[object] " " name
	else if ($3 ~ /^[A-Z]$/)
		owner[name] = object
}

END {
	seam = "file_ops.c.o"
	scratch = "chroma_copy.c.o"
	for (object in objects) {
		n = split(needs[object], part, " ")
		for (i = 1; i <= n; i++) {
			name = part[i]
			sub(/64$/, "", name)
			if (object != seam && (name in changes || part[i] in changes))
				complain(object ": refers to " part[i] "(): only " seam " changes the disk")
		}
		if (object ~ /^check_/) {
			roots++
			queue[++tail] = object
			via[object] = object
		}
	}
	if (roots == 0 && want_checks > 0)
		complain("no object of check/ in the archive")

	for (head = 1; head <= tail; head++) {
		object = queue[head]
		n = split(needs[object], part, " ")
		for (i = 1; i <= n; i++) {
			next_object = owner[part[i]]
			if (next_object == "" || next_object in via || next_object == scratch)
				continue
			via[next_object] = via[object] " -> " part[i] " in " next_object
			queue[++tail] = next_object
		}
	}
	if (seam in via)
		complain("check/ reaches what changes the disk: " via[seam])
	exit bad
}
' || status=1

exit $status
