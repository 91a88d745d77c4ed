#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# check-includes.sh [ROOT]: who may use whom
#
# 1. A room includes only rooms below it, and of those only the front door ROOM/ROOM.h.
# 2. Codecs (gob, pickle, hnsw, sqlitefile, fts5) turn bytes into values: they open nothing.
# 3. A library of the system is included only where it has its one home.
# 4. In libcore nothing prints, reads the environment or ends the process; util may abort. Only cmd
#    runs other programs.
#
# Reads the sources as text, so it needs no build. Prints FILE:LINE: and what is wrong; status 1 when
# anything is. Tests may look inside a room; they are not read.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/..}"

mapfile -t files < <(find libcore cmd -type f \( -name '*.[ch]' -o -name '*.def' \) 2>/dev/null | LC_ALL=C sort)
if [ ${#files[@]} -eq 0 ]; then
    echo "check-includes: no C files below $PWD" >&2
    exit 2
fi

awk -f "$here/c-code.awk" "${files[@]}" | awk '
function layer(room, below,    n, i, part) {
	known[room] = 1
	n = split(below, part, " ")
	for (i = 1; i <= n; i++)
		may[room, part[i]] = 1
}

# The places, as a regular expression, in which headers that match a pattern may be included.
function home(headers, places) {
	homes++
	home_of[homes] = headers
	home_at[homes] = places
}

function ban(names, what,    n, i, part) {
	n = split(names, part, " ")
	for (i = 1; i <= n; i++)
		banned[part[i]] = what
}

BEGIN {
	codecs = "gob pickle hnsw sqlitefile fts5"
	formats = "util file " codecs " chromem chroma"
	layer("util", "")
	layer("file", "util")
	layer("gob", "util")
	layer("pickle", "util")
	layer("hnsw", "util")
	layer("sqlitefile", "util")
	layer("fts5", "util")
	layer("chromem", "util file " codecs)
	layer("chroma", "util file " codecs)
	layer("store", formats)
	layer("journal", "util file")
	layer("audit", "util file")
	layer("check", formats " store")
	layer("lookup", formats " store")
	layer("search", formats " store")
	layer("snap", formats " store journal audit")
	layer("guard", formats " store check search")
	layer("repair", formats " store journal audit check lookup snap")
	layer("selftest", formats " store check snap")

	home("^openssl/", "^libcore/util/digest[.]c$|^libcore/chromem/seal[.]c$")
	home("^(zlib|libdeflate|igzip_lib|isa-l)([./]|$)", "^libcore/(chromem/[^/]*|snap/pack)[.]c$")
	home("^(archive|archive_entry)[.]h$", "^libcore/snap/[^/]*[.]c$")
	home("^sqlite3", "^libcore/chroma/(db[.]c|db-private[.]h|edit[.]c|fulltext[.]c|fulltext-tokens[.]c)$")
	home("^jansson", "^libcore/util/json-read[.]c$")
	home("^pthread[.]h$", "^(libcore/(util/pool|file/(known|seen))|cmd/monitor|cmd/monitor-http)[.]c$")
	home("^(err|error|getopt|argp|syslog)[.]h$", "^cmd/")
	home("^(curl|microhttpd)", "^cmd/")

	ban("printf vprintf fprintf vfprintf dprintf vdprintf puts fputs putc fputc putchar fwrite " \
	    "perror psignal syslog vsyslog", "prints")
	ban("getenv secure_getenv setenv unsetenv putenv clearenv wordexp", "reads or sets the environment")
	ban("exit _exit _Exit quick_exit atexit on_exit pthread_exit", "ends the process")
	ban("system popen fork vfork posix_spawn posix_spawnp execl execlp execle execv execvp execvpe " \
	    "execve fexecve", "runs another program")
	ban("signal sigaction sigprocmask setlocale chdir fchdir umask", "changes the state of the process")
	ban("abort", "ends the process")
	split("stdout stderr stdin environ", streams, " ")
	opens = "(open|openat|openat2|opendir|fdopendir|fopen|read|pread|mmap|stat|fstat|lstat|fstatat)"
}

function complain(text) {
	print file ":" line ": " text
	bad = 1
}

function check_quoted(name,    part, n, other) {
	n = split(name, part, "/")
	if (room == "cmd" && (n == 1 || part[1] == "cmd"))
		return
	other = part[1]
	if (n != 2) {
		complain("include \"" name "\" names no room: write \"ROOM/FILE\"")
		return
	}
	if (other == room)
		return
	if (room != "cmd" && !((room, other) in may))
		complain(room " may not use " other ": it is not below it")
	else if (part[2] != other ".h")
		complain("\"" name "\" belongs to the room " other ": include its front door \"" \
			 other "/" other ".h\"")
}

function check_system(name,    i) {
	for (i = 1; i <= homes; i++)
		if (name ~ home_of[i] && file !~ home_at[i])
			complain("<" name "> is not included here: its place is " home_at[i])
	if (index(" " codecs " ", " " room " ") && name ~ /^(fcntl|dirent|sys\/(stat|mman|uio|statvfs))[.]h$/)
		complain("the codec " room " includes <" name ">: codecs open nothing")
}

function check_code(text,    name, i) {
	gsub(/->/, ".", text)
	text = " " text " "
	for (i in streams)
		if (text ~ ("[^A-Za-z0-9_.]" streams[i] "[^A-Za-z0-9_]"))
			complain("uses " streams[i] ": only cmd does")
	if (index(" " codecs " ", " " room " ") && text ~ ("[^A-Za-z0-9_.]" opens "[ \t]*[(]"))
		complain("the codec " room " opens or reads a file: codecs take bytes")
	while (match(text, /[^A-Za-z0-9_.][A-Za-z_][A-Za-z0-9_]*[ \t]*[(]/)) {
		name = substr(text, RSTART + 1, RLENGTH - 2)
		sub(/[ \t]+$/, "", name)
		text = substr(text, RSTART + RLENGTH - 1)
		if (name in banned && !(name == "abort" && room == "util"))
			complain("calls " name "(): " banned[name] ", and only cmd does")
	}
}

{
	file = $0
	sub(/:.*/, "", file)
	code = substr($0, length(file) + 2)
	line = code
	sub(/:.*/, "", line)
	code = substr(code, length(line) + 2)

	split(file, path, "/")
	room = path[1] == "cmd" ? "cmd" : path[2]
	if (room != "cmd" && !(room in known)) {
		if (!(room in told))
			complain("room " room " has no place in the layers of check-includes.sh")
		told[room] = 1
		next
	}

	if (match(code, /^[ \t]*#[ \t]*include[ \t]*["<][^">]*[">]/)) {
		name = substr(code, 1, RLENGTH - 1)
		quoted = name ~ /"/
		sub(/^[^"<]*["<]/, "", name)
		if (quoted)
			check_quoted(name)
		else
			check_system(name)
	} else if (room != "cmd") {
		check_code(code)
	}
}

END { exit bad }
'
