# Code of C files without comments and without the inside of literals, as FILE:LINE:CODE for each
# line that has any. Lines with #include stay whole, since what they name is what matters.

FNR == 1 { in_comment = 0 }

!in_comment && /^[ \t]*#[ \t]*include/ {
	print FILENAME ":" FNR ":" $0
	next
}

{
	code = ""
	rest = $0
	while (rest != "") {
		if (in_comment) {
			end = index(rest, "*/")
			if (end == 0)
				break
			rest = substr(rest, end + 2)
			in_comment = 0
			code = code " "
			continue
		}
		if (!match(rest, /\/\*|\/\/|"|'/)) {
			code = code rest
			break
		}
		mark = substr(rest, RSTART, RLENGTH)
		code = code substr(rest, 1, RSTART - 1)
		rest = substr(rest, RSTART + RLENGTH)
		if (mark == "/*") {
			in_comment = 1
		} else if (mark == "//") {
			break
		} else {
			code = code mark mark
			if (mark == "\"")
				closed = match(rest, /^([^"\\]|\\.)*"/)
			else
				closed = match(rest, /^([^'\\]|\\.)*'/)
			rest = closed ? substr(rest, RLENGTH + 1) : ""
		}
	}
	if (code ~ /[^ \t]/)
		print FILENAME ":" FNR ":" code
}
