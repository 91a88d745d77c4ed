// SPDX-License-Identifier: Apache-2.0

// gobgen writes a chromem-go store of any size, for tests and benchmarks.
//
//	gobgen [--docs N] [--dims D] [--collections C] [--content-bytes B]
//	       [--metadata-keys K] [--gzip] [--seed S] DIR
//
// The files are what the library writes: see chromem/encode.go. Documents are
// spread evenly over the collections. Vectors are normally distributed and then
// normalised by the library's rule. The same options give the same content, and
// so the same digests; the bytes of a file are the same too if K is at most 1,
// since gob writes maps in random order.
//
// DIR must not exist or be empty. What was written is printed on one line. Exit
// status: 0 written, 2 usage or I/O.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

type settings struct {
	dir                   string
	docs, dims            int
	collections           int
	contentBytes, keys    int
	gzip                  bool
	seed                  uint64
	files, documents, sum atomic.Int64
}

func parse(args []string) (*settings, error) {
	s := &settings{}
	set := flag.NewFlagSet("gobgen", flag.ContinueOnError)
	set.IntVar(&s.docs, "docs", 1000, "number of documents")
	set.IntVar(&s.dims, "dims", 384, "elements of each vector")
	set.IntVar(&s.collections, "collections", 1, "number of collections")
	set.IntVar(&s.contentBytes, "content-bytes", 200, "bytes of text in each document")
	set.IntVar(&s.keys, "metadata-keys", 3, "metadata entries of each document")
	set.BoolVar(&s.gzip, "gzip", false, "compress the files")
	set.Uint64Var(&s.seed, "seed", 1, "what the content is made from")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if set.NArg() != 1 {
		return nil, errors.New("one operand is needed: the directory to write")
	}
	if s.docs < 0 || s.dims < 0 || s.collections < 1 || s.contentBytes < 0 || s.keys < 0 {
		return nil, errors.New("numbers must not be negative, and there must be a collection")
	}
	s.dir = set.Arg(0)
	return s, nil
}

func emptyDirectory(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = &fs.PathError{Op: "write store", Path: dir, Err: errors.New("directory is not empty")}
	}
	return err
}

func run(args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	if err := emptyDirectory(s.dir); err != nil {
		return err
	}
	colls, err := plan(s)
	if err != nil {
		return err
	}
	if err := begin(s, colls); err != nil {
		return err
	}
	workers := runtime.NumCPU()
	failures := make([]error, workers)
	var next atomic.Int64
	var wg sync.WaitGroup
	for i := range failures {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			failures[i] = write(s, colls, &next)
		}(i)
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	fmt.Printf("%d collections, %d documents, %d files, %d bytes\n",
		s.collections, s.documents.Load(), s.files.Load(), s.sum.Load())
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "gobgen:", err)
		}
		os.Exit(2)
	}
}
