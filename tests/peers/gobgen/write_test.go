// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"path/filepath"
	"testing"

	"vsctl/tests/peers/chromem"
)

// load returns the digests of a store's documents by path without extension.
func load(t *testing.T, dir, ext string, dims int) map[string]string {
	t.Helper()
	digests := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"+ext))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		name := path[:len(path)-len(ext)]
		coll, base := filepath.Base(filepath.Dir(name)), filepath.Base(name)
		if base == chromem.MetadataFile {
			var m chromem.Metadata
			if _, err := chromem.DecodeFile(path, &m); err != nil {
				t.Error(err)
			}
			if chromem.Hash(m.Name) != coll {
				t.Errorf("collection %q is in %s", m.Name, coll)
			}
			continue
		}
		var d chromem.Document
		if left, err := chromem.DecodeFile(path, &d); err != nil || left != 0 {
			t.Errorf("%s: %d bytes left, error %v", path, left, err)
		}
		var norm float64
		for _, f := range d.Embedding {
			norm += float64(f) * float64(f)
		}
		if chromem.Hash(d.ID) != base || len(d.Embedding) != dims || math.Abs(norm-1) > 1e-5 {
			t.Errorf("%s: id %q, %d dimensions, norm %g", path, d.ID, len(d.Embedding), norm)
		}
		if len(d.Content) != 50 || len(d.Metadata) != 2 {
			t.Errorf("%s: %d bytes of text, %d metadata", path, len(d.Content), len(d.Metadata))
		}
		digests[coll+"/"+base] = chromem.DocumentDigest(&d)
	}
	return digests
}

func TestStoresAreWholeAndRepeatable(t *testing.T) {
	options := []string{"--docs", "301", "--dims", "7", "--collections", "4", "--content-bytes", "50",
		"--metadata-keys", "2"}
	plain, packed, other := t.TempDir(), t.TempDir(), t.TempDir()
	for _, args := range [][]string{{plain}, {"--gzip", packed}, {"--seed", "2", other}} {
		if err := run(append(append([]string{}, options...), args...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := run([]string{plain}); err == nil {
		t.Error("a directory in use was written to")
	}
	want := load(t, plain, ".gob", 7)
	if len(want) != 301 {
		t.Errorf("%d documents", len(want))
	}
	again := load(t, packed, ".gob.gz", 7)
	for name, digest := range want {
		if again[name] != digest {
			t.Errorf("%s differs between two runs", name)
		}
	}
	for name := range load(t, other, ".gob", 7) {
		if want[name] != "" {
			t.Errorf("%s is there whatever the seed", name)
		}
	}
}
