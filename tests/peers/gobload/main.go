// SPDX-License-Identifier: Apache-2.0

// gobload loads a chromem-go store with Go's own gob decoder, for benchmarks.
//
//	gobload [--compress] [--parallel N] DIR
//
// It takes the library's steps when it opens a store: one file after the other,
// in one goroutine, and every document stays in memory. With --parallel, N
// goroutines share the files; the library has no such mode. Counting bytes costs
// three system calls a file that the library does not make, less than 1 % of the
// time. Stops at the first file that cannot be decoded. What was read is printed on one line. Exit status:
// 0 loaded, 1 not loadable, 2 usage.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"vsctl/tests/peers/chromem"
)

type collection struct {
	dir  string
	meta chromem.Metadata
	docs map[string]*chromem.Document
	lock sync.Mutex
}

type file struct {
	coll *collection
	path string
	meta bool
}

// list finds the files of a store, in the order in which the library reads them.
func list(dir, ext string) (colls []*collection, files []file, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		c := &collection{dir: filepath.Join(dir, entry.Name()), docs: map[string]*chromem.Document{}}
		names, err := os.ReadDir(c.dir)
		if err != nil {
			return nil, nil, err
		}
		colls = append(colls, c)
		for _, name := range names {
			if !name.IsDir() && strings.HasSuffix(name.Name(), ext) {
				files = append(files, file{c, filepath.Join(c.dir, name.Name()),
					name.Name() == chromem.MetadataFile+ext})
			}
		}
	}
	return colls, files, nil
}

// read decodes one file into its collection and returns its size.
func (f *file) read() (int64, error) {
	in, err := os.Open(f.path)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	if f.meta {
		_, err = chromem.Decode(in, &f.coll.meta)
	} else {
		d := &chromem.Document{}
		if _, err = chromem.Decode(in, d); err == nil {
			f.coll.lock.Lock()
			f.coll.docs[d.ID] = d
			f.coll.lock.Unlock()
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", f.path, err)
	}
	info, err := in.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// readAll has n goroutines read the files; each takes the next that nobody has.
func readAll(files []file, n int) (bytes int64, err error) {
	var next, sum atomic.Int64
	failures := make([]error, n)
	var wg sync.WaitGroup
	for i := range failures {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			for at := next.Add(1) - 1; at < int64(len(files)); at = next.Add(1) - 1 {
				size, err := files[at].read()
				if err != nil {
					failures[i] = err
					next.Store(int64(len(files)))
					return
				}
				sum.Add(size)
			}
		}(i)
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return 0, err
		}
	}
	return sum.Load(), nil
}

func run(args []string) error {
	set := flag.NewFlagSet("gobload", flag.ContinueOnError)
	compress := set.Bool("compress", false, "the store's files are compressed")
	parallel := set.Int("parallel", 1, "number of goroutines")
	if err := set.Parse(args); err != nil || set.NArg() != 1 || *parallel < 1 {
		return errUsage
	}
	colls, files, err := list(set.Arg(0), chromem.Extension(*compress))
	if err != nil {
		return err
	}
	bytes, err := readAll(files, *parallel)
	if err != nil {
		return err
	}
	db := map[string]*collection{}
	documents := 0
	for _, c := range colls {
		if c.meta.Name == "" && len(c.docs) > 0 {
			return fmt.Errorf("collection metadata file not found: %s", c.dir)
		}
		if c.meta.Name != "" {
			db[c.meta.Name] = c
		}
	}
	for _, c := range db {
		documents += len(c.docs)
	}
	fmt.Printf("%d collections, %d documents, %d files, %d bytes\n", len(db), documents, len(files), bytes)
	return nil
}

var errUsage = errors.New("usage: gobload [--compress] [--parallel N] DIR")

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gobload:", err)
		if err == errUsage {
			os.Exit(2)
		}
		os.Exit(1)
	}
}
