// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"vsctl/tests/peers/chromem"
)

// fileReport is what became of one directory entry.
type fileReport struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"` // collection, metadata, document, export, ignored
	Error  string `json:"error,omitempty"`
	Name   string `json:"name,omitempty"` // of the collection
	ID     string `json:"id,omitempty"`   // of the document
	Dims   int    `json:"dims,omitempty"`
	Wanted string `json:"expected_file,omitempty"` // set when the hash disagrees with the file name
	Left   int64  `json:"undecoded_bytes,omitempty"`
	Digest string `json:"digest,omitempty"` // of what was decoded
}

type collectionReport struct {
	Name     string            `json:"name"`
	Dir      string            `json:"dir,omitempty"`
	Metadata map[string]string `json:"metadata"`
	Count    int               `json:"count"`
	Digest   string            `json:"digest"`
}

type report struct {
	OK          bool               `json:"ok"`
	Error       string             `json:"error,omitempty"`
	Collections int                `json:"collection_count"`
	Documents   int                `json:"document_count"`
	Digest      string             `json:"db_digest,omitempty"`
	Colls       []collectionReport `json:"collections"`
	Files       []fileReport       `json:"files,omitempty"`
}

// fail keeps the first error: the one at which the library stops.
func (r *report) fail(format string, args ...any) {
	if r.Error == "" {
		r.Error = fmt.Sprintf(format, args...)
	}
}

type collection struct {
	dir  string
	meta chromem.Metadata
	docs map[string]*chromem.Document
}

func (r *report) finish(colls []collection) {
	digests := map[string]string{}
	sort.Slice(colls, func(i, j int) bool { return colls[i].meta.Name < colls[j].meta.Name })
	for _, c := range colls {
		digest := chromem.CollectionDigest(&c.meta, c.docs)
		digests[c.meta.Name] = digest
		r.Documents += len(c.docs)
		r.Colls = append(r.Colls,
			collectionReport{c.meta.Name, c.dir, c.meta.Metadata, len(c.docs), digest})
	}
	r.OK = true
	r.Collections = len(colls)
	r.Digest = chromem.StoreDigest(digests)
}

// isPipe tells whether opening the file would block for ever, as it does in the
// library. Everything else is opened, whatever it is.
func isPipe(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode()&fs.ModeNamedPipe != 0
}

// readFile decodes one file of a collection into c and reports it.
func (r *report) readFile(root string, c *collection, name, ext string) fileReport {
	fr := fileReport{Path: c.dir + "/" + name, Kind: "document"}
	path := filepath.Join(root, c.dir, name)
	doc := &chromem.Document{}
	var meta chromem.Metadata
	var into any = doc
	what := "document"
	if name == chromem.MetadataFile+ext {
		fr.Kind, what, into = "metadata", "collection metadata", &meta
	}
	if isPipe(path) {
		fr.Error = "is a pipe: opening it blocks"
		r.fail("couldn't read %s: %s", what, fr.Error)
		return fr
	}
	left, err := chromem.DecodeFile(path, into)
	if err != nil {
		fr.Error = err.Error()
		r.fail("couldn't read %s: %s", what, fr.Error)
		return fr
	}
	fr.Left = left
	var wanted, found string
	if fr.Kind == "metadata" {
		c.meta = meta
		fr.Name, fr.Digest = meta.Name, chromem.MetadataDigest(&meta)
		wanted, found = chromem.Hash(meta.Name), c.dir
	} else {
		c.docs[doc.ID] = doc
		fr.ID, fr.Dims, fr.Digest = doc.ID, len(doc.Embedding), chromem.DocumentDigest(doc)
		wanted, found = chromem.Hash(doc.ID)+ext, name
	}
	if wanted != found {
		fr.Wanted = wanted
	}
	return fr
}

// checkDir follows the library's rules for opening a directory, but goes on
// after an error, so that every file is reported.
func checkDir(root string, compress bool) (*report, error) {
	r := &report{Colls: []collectionReport{}}
	ext := chromem.Extension(compress)
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	byName := map[string]collection{}
	for _, entry := range entries {
		if !entry.IsDir() { // a symbolic link to a directory is not a directory here
			r.Files = append(r.Files, fileReport{Path: entry.Name(), Kind: "ignored"})
			continue
		}
		c := collection{dir: entry.Name(), docs: map[string]*chromem.Document{}}
		path := filepath.Join(root, c.dir)
		files, err := os.ReadDir(path)
		if err != nil {
			r.fail("couldn't read collection directory: %s", err)
			r.Files = append(r.Files, fileReport{Path: c.dir, Kind: "collection", Error: err.Error()})
			continue
		}
		for _, file := range files {
			if file.IsDir() || !strings.HasSuffix(file.Name(), ext) {
				r.Files = append(r.Files,
					fileReport{Path: c.dir + "/" + file.Name(), Kind: "ignored"})
				continue
			}
			r.Files = append(r.Files, r.readFile(root, &c, file.Name(), ext))
		}
		if c.meta.Name != "" {
			byName[c.meta.Name] = c
		} else if len(c.docs) > 0 {
			r.fail("collection metadata file not found: %s", path)
		}
	}
	if r.Error == "" {
		colls := make([]collection, 0, len(byName))
		for _, c := range byName {
			colls = append(colls, c)
		}
		r.finish(colls)
	}
	return r, nil
}

// exportReport describes what an export holds.
func exportReport(export chromem.Export) *report {
	r := &report{Colls: []collectionReport{}}
	colls := make([]collection, 0, len(export.Collections))
	for _, c := range export.Collections {
		colls = append(colls, collection{
			meta: chromem.Metadata{Name: c.Name, Metadata: c.Metadata},
			docs: c.Documents,
		})
	}
	r.finish(colls)
	return r
}

func checkExport(path, key string) (*report, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	export, left, err := chromem.DecodeExport(raw, key)
	if err != nil {
		r := &report{Colls: []collectionReport{}}
		r.fail("couldn't read file: %s", err)
		return r, nil
	}
	r := exportReport(export)
	if left > 0 {
		r.Files = append(r.Files, fileReport{Path: path, Kind: "export", Left: left})
	}
	return r, nil
}
