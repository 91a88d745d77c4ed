// SPDX-License-Identifier: Apache-2.0

package chromem

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"math"
	"sort"
)

/*
Digests name content, not bytes: gob writes maps in random order, so the same
document has other bytes every time it is written. They are SHA-256, as
lower-case hexadecimal text, over these encodings:

	number      8 bytes, little endian
	string      number of bytes, then the bytes
	map         number of entries, then key and value (strings) of each, in byte
	            order of the keys; no map and an empty map are the same
	vector      number of elements, then each as 4 bytes: the bits of the
	            float32, little endian (a NaN keeps its bits)
	document    id (string), metadata (map), embedding (vector), content (string)

	digest of a document    document
	digest of a metadata    name (string), metadata (map)
	digest of a collection  name (string), metadata (map), number of documents,
	                        then each document, in byte order of the ids
	digest of a store       number of collections, then the 64 characters of each
	                        collection's digest, in byte order of the names
*/

type hasher struct{ hash.Hash }

func newHasher() hasher { return hasher{sha256.New()} }

func (h hasher) text() string { return hex.EncodeToString(h.Sum(nil)) }

func (h hasher) number(n int) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

func (h hasher) str(s string) {
	h.number(len(s))
	io.WriteString(h, s)
}

func (h hasher) dict(m map[string]string) {
	h.number(len(m))
	for _, k := range sortedKeys(m) {
		h.str(k)
		h.str(m[k])
	}
}

func (h hasher) document(d *Document) {
	h.str(d.ID)
	h.dict(d.Metadata)
	h.number(len(d.Embedding))
	bits := make([]byte, 4*len(d.Embedding))
	for i, f := range d.Embedding {
		binary.LittleEndian.PutUint32(bits[4*i:], math.Float32bits(f))
	}
	h.Write(bits)
	h.str(d.Content)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// DocumentDigest returns the digest of one document.
func DocumentDigest(d *Document) string {
	h := newHasher()
	h.document(d)
	return h.text()
}

// MetadataDigest returns the digest of the content of one metadata file.
func MetadataDigest(m *Metadata) string {
	h := newHasher()
	h.str(m.Name)
	h.dict(m.Metadata)
	return h.text()
}

// CollectionDigest returns the digest of a collection; docs is keyed by id.
func CollectionDigest(m *Metadata, docs map[string]*Document) string {
	h := newHasher()
	h.str(m.Name)
	h.dict(m.Metadata)
	h.number(len(docs))
	for _, id := range sortedKeys(docs) {
		h.document(docs[id])
	}
	return h.text()
}

// StoreDigest returns the digest of a store from its collections' digests, which
// are keyed by name.
func StoreDigest(byName map[string]string) string {
	h := newHasher()
	h.number(len(byName))
	for _, name := range sortedKeys(byName) {
		io.WriteString(h, byName[name])
	}
	return h.text()
}
