// SPDX-License-Identifier: Apache-2.0

// Package chromem reads and digests chromem-go files with nothing but Go's
// standard library. It is the reference that the C reader is compared with, so
// it takes every step in the way and in the order in which the library takes
// it, and every error text is the library's own.
package chromem

import (
	"crypto/sha256"
	"encoding/hex"
)

// MetadataFile is the name of a collection's metadata file without extension.
const MetadataFile = "00000000"

// Document is what a document file holds. The name of the type and the names of
// its fields are on disk: gob matches on them and names them in its errors.
type Document struct {
	ID        string
	Metadata  map[string]string
	Embedding []float32
	Content   string
}

// Metadata is what a metadata file holds. The library uses a struct without a
// name, which shows in the file (the descriptor has no name) and in the texts of
// gob's errors; hence the alias.
type Metadata = struct {
	Name     string
	Metadata map[string]string
}

type persistenceCollection struct {
	Name      string
	Metadata  map[string]string
	Documents map[string]*Document
}

// Export is what an export file of a whole store holds.
type Export = struct {
	Collections map[string]*persistenceCollection
}

// Extension returns the ending of the file names in a store.
func Extension(compress bool) string {
	if compress {
		return ".gob.gz"
	}
	return ".gob"
}

// Hash returns the directory name of a collection, or the file name (without
// extension) of a document: the first 4 bytes of SHA-256 as hexadecimal text.
func Hash(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:4])
}
