// SPDX-License-Identifier: Apache-2.0

// gobcheck says what Go's own gob decoder makes of a chromem-go directory, of a
// single file of one, or of an export file, and whether the library would open
// it. Tests use it as an independent reference.
//
//	gobcheck dir DIR [--compress]            every file, every collection's digest
//	gobcheck digest DIR [--compress]         the digests alone
//	gobcheck file FILE [--as doc|meta]       the content of one file
//	gobcheck export FILE [--key KEY]         an export file; KEY is 32 bytes
//	gobcheck mutate FILE [--as doc|meta|export]
//	                                         the verdict on every damaged variant
//
// Output is JSON, except for mutate, whose lines are described in mutate.go. The
// digests are described in chromem/digest.go. Exit status: 0 readable, 1 not
// readable, 2 usage or I/O.
package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"vsctl/tests/peers/chromem"
)

var errUsage = errors.New("usage: gobcheck dir|digest DIR [--compress] | file FILE [--as doc|meta]" +
	" | mutate FILE [--as doc|meta|export] | export FILE [--key KEY]")

func emit(v any) {
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	e.Encode(v)
}

// kindOf decides what a file is taken for; the name decides unless told.
func kindOf(command, path, as string) (kind string, err error) {
	switch {
	case as == "meta" || as == "doc" || as == "export" && command == "mutate":
		return as, nil
	case as != "":
		return "", errUsage
	case strings.HasPrefix(filepath.Base(path), chromem.MetadataFile+"."):
		return "meta", nil
	}
	return "doc", nil
}

// textOrHex puts s into out under key; bytes that JSON cannot hold go there in
// hexadecimal under key_hex.
func textOrHex(out map[string]any, key, s string) {
	if utf8.ValidString(s) {
		out[key] = s
	} else {
		out[key+"_hex"] = hex.EncodeToString([]byte(s))
	}
}

func showFile(path string, meta bool) (ok bool) {
	var d chromem.Document
	var m chromem.Metadata
	var into any = &d
	if meta {
		into = &m
	}
	left, err := chromem.DecodeFile(path, into)
	if err != nil {
		emit(map[string]any{"path": path, "error": err.Error()})
		return false
	}
	out := map[string]any{"undecoded_bytes": left}
	if meta {
		textOrHex(out, "name", m.Name)
		out["metadata"] = m.Metadata
		out["digest"] = chromem.MetadataDigest(&m)
	} else {
		bits := make([]string, len(d.Embedding)) // JSON has no NaN
		for i, f := range d.Embedding {
			bits[i] = fmt.Sprintf("%08x", math.Float32bits(f))
		}
		textOrHex(out, "id", d.ID)
		textOrHex(out, "content", d.Content)
		out["metadata"] = d.Metadata
		out["embedding_bits"] = bits
		out["digest"] = chromem.DocumentDigest(&d)
	}
	emit(out)
	return true
}

// options parses the command line; options may stand on both sides of the path.
func options(command string, args []string) (path, as, key string, compress bool, err error) {
	set := flag.NewFlagSet(command, flag.ContinueOnError)
	set.Usage = func() {}
	set.StringVar(&as, "as", "", "")
	set.StringVar(&key, "key", "", "")
	set.BoolVar(&compress, "compress", false, "")
	var operands []string
	for {
		if err := set.Parse(args); err != nil {
			return "", "", "", false, err
		}
		if set.NArg() == 0 {
			break
		}
		operands = append(operands, set.Arg(0))
		args = set.Args()[1:]
	}
	if len(operands) != 1 {
		return "", "", "", false, errUsage
	}
	return operands[0], as, key, compress, nil
}

func run(args []string) (ok bool, err error) {
	if len(args) > 0 && args[0] == workerCommand {
		return true, runWorker(args[1:])
	}
	if len(args) < 2 {
		return false, errUsage
	}
	path, as, key, compress, err := options(args[0], args[1:])
	if err != nil {
		return false, err
	}
	var r *report
	switch args[0] {
	case "dir", "digest":
		if r, err = checkDir(path, compress); err == nil && args[0] == "digest" {
			r.Files = nil
		}
	case "export":
		r, err = checkExport(path, key)
	case "file", "mutate":
		kind, err := kindOf(args[0], path, as)
		if err != nil {
			return false, err
		}
		if args[0] == "mutate" {
			return true, mutateFile(path, kind, os.Stdout)
		}
		return showFile(path, kind == "meta"), nil
	default:
		return false, errUsage
	}
	if err != nil {
		return false, err
	}
	emit(r)
	return r.OK, nil
}

func main() {
	ok, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "gobcheck:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}
