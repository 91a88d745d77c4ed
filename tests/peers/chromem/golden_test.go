// SPDX-License-Identifier: Apache-2.0

package chromem

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// A store that chromem-go wrote, and what it reported about it.
const golden = "../../data/chromem/healthy-example"

func goldenFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(golden, "store", Hash("notes"), name+".gob"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDigestsAreThoseTheLibraryReported(t *testing.T) {
	var expected struct {
		Library struct {
			Digest      string `json:"db_digest"`
			Collections []struct{ Name, Digest string }
		}
	}
	text, err := os.ReadFile(filepath.Join(golden, "expected.json"))
	if err == nil {
		err = json.Unmarshal(text, &expected)
	}
	if err != nil {
		t.Fatal(err)
	}
	var meta Metadata
	var doc Document
	if _, err := Decode(bytes.NewReader(goldenFile(t, MetadataFile)), &meta); err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(bytes.NewReader(goldenFile(t, Hash("note-1"))), &doc); err != nil {
		t.Fatal(err)
	}
	digest := CollectionDigest(&meta, map[string]*Document{doc.ID: &doc})
	if want := expected.Library.Collections[0].Digest; digest != want {
		t.Errorf("collection digest %s, the library has %s", digest, want)
	}
	digest = StoreDigest(map[string]string{meta.Name: digest})
	if want := expected.Library.Digest; digest != want {
		t.Errorf("store digest %s, the library has %s", digest, want)
	}
}

func TestEveryCutIsRefused(t *testing.T) {
	meta, doc := goldenFile(t, MetadataFile), goldenFile(t, Hash("note-1"))
	for n := range meta {
		if _, err := Decode(bytes.NewReader(meta[:n]), &Metadata{}); err == nil {
			t.Errorf("%d bytes of the metadata were read", n)
		}
	}
	for n := range doc {
		if _, err := Decode(bytes.NewReader(doc[:n]), &Document{}); err == nil {
			t.Errorf("%d bytes of the document were read", n)
		}
	}
}

func TestBytesBehindTheValueAreCounted(t *testing.T) {
	data := append(goldenFile(t, MetadataFile), make([]byte, 5000)...)
	left, err := Decode(bytes.NewReader(data), &Metadata{})
	if err != nil || left != 5000 {
		t.Errorf("%d bytes left, error %v", left, err)
	}
}

func TestEncodedFilesAreThoseOfTheLibrary(t *testing.T) {
	meta := Metadata{Name: "notes", Metadata: map[string]string{"owner": ""}}
	doc := Document{
		ID:        "note-1",
		Metadata:  map[string]string{"lang": "en"},
		Embedding: []float32{0.6, -0.8, 0, math.Float32frombits(1 << 31), math.SmallestNonzeroFloat32},
		Content:   "Hi \u2615",
	}
	metaEncoder, err := NewMetadataEncoder()
	if err != nil {
		t.Fatal(err)
	}
	docEncoder, err := NewDocumentEncoder()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 2; i++ { // what comes first must not differ from what follows
		file, err := metaEncoder.Append(nil, meta)
		if err != nil || !bytes.Equal(file, goldenFile(t, MetadataFile)) {
			t.Errorf("metadata is % x, error %v", file, err)
		}
		file, err = docEncoder.Append(nil, doc)
		if err != nil || !bytes.Equal(file, goldenFile(t, Hash(doc.ID))) {
			t.Errorf("document is % x, error %v", file, err)
		}
	}
}
