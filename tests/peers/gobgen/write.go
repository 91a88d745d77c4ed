// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"vsctl/tests/peers/chromem"
)

type collection struct {
	dir  string
	meta chromem.Metadata
	ids  []string
}

// plan names everything. File names are 32-bit hashes, so in a large store some
// would coincide and overwrite each other: such names are passed over.
func plan(s *settings) ([]collection, error) {
	colls := make([]collection, s.collections)
	dirs := map[string]bool{}
	for i := range colls {
		c := &colls[i]
		c.meta = chromem.Metadata{Name: fmt.Sprintf("collection_%03d", i), Metadata: map[string]string{}}
		c.dir = filepath.Join(s.dir, chromem.Hash(c.meta.Name))
		if dirs[c.dir] {
			return nil, fmt.Errorf("too many collections: two of them hash to %s", filepath.Base(c.dir))
		}
		dirs[c.dir] = true
		r := newRand(s.seed, 0, i)
		taken := map[string]bool{chromem.MetadataFile: true}
		for n := s.docs*(i+1)/s.collections - s.docs*i/s.collections; len(c.ids) < n; {
			id := identifier(r)
			if hash := chromem.Hash(id); !taken[hash] {
				taken[hash] = true
				c.ids = append(c.ids, id)
			}
		}
	}
	return colls, nil
}

// A writer makes files; each worker has its own.
type writer struct {
	s         *settings
	ext       string
	metadata  *chromem.Encoder
	documents *chromem.Encoder
	plain     []byte
	packed    bytes.Buffer
	gzip      *gzip.Writer
}

func newWriter(s *settings) (w *writer, err error) {
	w = &writer{s: s, ext: chromem.Extension(s.gzip)}
	w.gzip = gzip.NewWriter(&w.packed)
	if w.metadata, err = chromem.NewMetadataEncoder(); err != nil {
		return nil, err
	}
	w.documents, err = chromem.NewDocumentEncoder()
	return w, err
}

func (w *writer) write(path string, e *chromem.Encoder, v any) (err error) {
	if w.plain, err = e.Append(w.plain[:0], v); err != nil {
		return err
	}
	data := w.plain
	if w.s.gzip {
		w.packed.Reset()
		w.gzip.Reset(&w.packed)
		w.gzip.Write(w.plain)
		if err := w.gzip.Close(); err != nil {
			return err
		}
		data = w.packed.Bytes()
	}
	w.s.files.Add(1)
	w.s.sum.Add(int64(len(data)))
	return os.WriteFile(path+w.ext, data, 0o644)
}

// begin makes the collections, without documents.
func begin(s *settings, colls []collection) error {
	w, err := newWriter(s)
	if err != nil {
		return err
	}
	for _, c := range colls {
		if err := os.Mkdir(c.dir, 0o700); err != nil {
			return err
		}
		if err := w.write(filepath.Join(c.dir, chromem.MetadataFile), w.metadata, c.meta); err != nil {
			return err
		}
	}
	return nil
}

// chunk is how many documents a worker takes at a time.
const chunk = 64

// write is one worker: it makes the next documents that nobody has taken yet.
func write(s *settings, colls []collection, next *atomic.Int64) error {
	w, err := newWriter(s)
	if err != nil {
		return err
	}
	for {
		at := int(next.Add(chunk)) - chunk
		done := true
		for i := range colls {
			c := &colls[i]
			from, to := at, at+chunk
			if to > len(c.ids) {
				to = len(c.ids)
			}
			for ; from < to; from++ {
				id := c.ids[from]
				path := filepath.Join(c.dir, chromem.Hash(id))
				if err := w.write(path, w.documents, document(s, id, i, from)); err != nil {
					return err
				}
				s.documents.Add(1)
				done = false
			}
		}
		if done {
			return nil
		}
	}
}
