// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const golden = "../../data/chromem/healthy-example/store/ab5aa970/"

// The workers are this program again, which is the test program here.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workerCommand {
		runWorker(os.Args[2:])
		return
	}
	os.Exit(m.Run())
}

func TestEveryMutationHasItsLine(t *testing.T) {
	var out bytes.Buffer
	if err := mutateFile(golden+"00000000.gob", "meta", &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	const size = 89
	if len(lines) != 9*size {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		want := fmt.Sprintf("cut %d error ", i)
		if i >= size {
			want = fmt.Sprintf("flip %d %d ", (i-size)/8, (i-size)%8)
		}
		if !strings.HasPrefix(line, want) {
			t.Errorf("line %d is %q, not %q", i, line, want)
		}
	}
	for _, want := range []string{
		"cut 0 error EOF",
		"cut 88 error unexpected EOF",
		"flip 17 0 error gob: wrong type (string) for received field .Name",
		// "notes" becomes "ootes"; the digest was made with printf and sha256sum.
		"flip 74 0 ok 645c68ea6b0648c005079a989a05df30a91df39c79ee620ed3770d9a774a7001",
	} {
		found := false
		for _, line := range lines {
			found = found || line == want
		}
		if !found {
			t.Errorf("no line %q", want)
		}
	}
}

// A count of 2^28 metadata entries needs more memory than a worker may have.
func TestDeathOfAWorkerIsAVerdict(t *testing.T) {
	doc, err := os.ReadFile(golden + "ea503d89.gob")
	if err != nil {
		t.Fatal(err)
	}
	const value, count = 0x81, 0x8d // the last message; the number of entries
	large := append([]byte{}, doc[:count]...)
	large = append(large, 0xfc, 0x10, 0, 0, 0)
	large = append(large, doc[count+1:]...)
	large[value] += 4
	path := filepath.Join(t.TempDir(), "large.gob")
	if err := os.WriteFile(path, large, 0o600); err != nil {
		t.Fatal(err)
	}
	size := len(large)
	var out bytes.Buffer
	if err := runRange(path, "doc", size, size-2, size+1, &out); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("cut %d error unexpected EOF\ncut %d error unexpected EOF\n", size-2, size-1)
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("cuts: %q", out.String())
	}
	out.Reset()
	first := size + 8*(size-2) // bits of the text: the map is in front of them
	if err := runRange(path, "doc", size, first, first+2, &out); err != nil {
		t.Fatal(err)
	}
	want = fmt.Sprintf("flip %d 0 process-dies\nflip %d 1 process-dies\n", size-2, size-2)
	if out.String() != want {
		t.Errorf("flips: %q", out.String())
	}
}

func TestEscape(t *testing.T) {
	if got := escape("a\\b\n\x7f\xff ~"); got != `a\x5cb\x0a\x7f\xff ~` {
		t.Error(got)
	}
}
