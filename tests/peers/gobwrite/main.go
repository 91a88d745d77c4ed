// SPDX-License-Identifier: Apache-2.0

// gobwrite writes chromem-go files with Go's own gob encoder, also such as the
// library itself does not write but reads: fields in another order, fields that
// it does not know, vectors of float64, other numbers of types.
//
//	gobwrite < DESCRIPTION
//
// DESCRIPTION is a JSON object: "types", how many types are numbered before
// those of the files (as in a program that has used gob before), and "files".
// Text is in base64, a vector the little-endian bits of its float32 in base64.
// Exit status: 0 written, 2 not.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"

	"vsctl/tests/peers/chromem"
)

type file struct {
	Path     string      `json:"path"`
	Meta     bool        `json:"meta"` // a collection's metadata: Name is the id's place
	ID       []byte      `json:"id"`
	Metadata [][2][]byte `json:"metadata"` // null: no map
	Vector   []byte      `json:"vector"`
	Content  []byte      `json:"content"`
	Gzip     bool        `json:"gzip"`
	Order    []int       `json:"order"`  // of the fields; none: as the library
	Double   bool        `json:"double"` // the vector is of float64
	Extra    string      `json:"extra"`  // the kind of one more field
}

type description struct {
	Types int    `json:"types"`
	Files []file `json:"files"`
}

// Inner is what a field may hold that the library does not know.
type inner struct {
	Deep  map[string][]int
	Other [2]bool
	Value complex128
}

var extras = map[string]any{
	"int":    int(-70000),
	"text":   "more",
	"bytes":  []byte{0, 1, 255},
	"map":    map[int]string{1: "one", -2: ""},
	"struct": inner{map[string][]int{"a": {1, 2}, "": nil}, [2]bool{true, false}, complex(1, -2)},
	"slice":  [][]inner{{{nil, [2]bool{}, 0}}, nil, {}},
}

// numberTypes has gob number n types that no file holds.
func numberTypes(n int) error {
	enc := gob.NewEncoder(io.Discard)
	for i := 0; i < n; i++ {
		array := reflect.ArrayOf(i+1, reflect.TypeOf(0))
		if err := enc.EncodeValue(reflect.New(array).Elem()); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) dict() map[string]string {
	if f.Metadata == nil {
		return nil
	}
	m := map[string]string{}
	for _, pair := range f.Metadata {
		m[string(pair[0])] = string(pair[1])
	}
	return m
}

func (f *file) floats() []float32 {
	v := make([]float32, len(f.Vector)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(f.Vector[4*i:]))
	}
	return v
}

type field struct {
	name  string
	value any
}

func (f *file) fields() []field {
	if f.Meta {
		return []field{{"Name", string(f.ID)}, {"Metadata", f.dict()}}
	}
	var vector any = f.floats()
	if f.Double {
		doubles := []float64{}
		for _, x := range f.floats() {
			doubles = append(doubles, float64(x))
		}
		vector = doubles
	}
	return []field{{"ID", string(f.ID)}, {"Metadata", f.dict()}, {"Embedding", vector}, {"Content", string(f.Content)}}
}

// value is what gob is given: the library's own types, or a struct made for it.
func (f *file) value() any {
	if f.Order == nil && !f.Double && f.Extra == "" {
		if f.Meta {
			return chromem.Metadata{Name: string(f.ID), Metadata: f.dict()}
		}
		return chromem.Document{ID: string(f.ID), Metadata: f.dict(), Embedding: f.floats(), Content: string(f.Content)}
	}
	fields := f.fields()
	if f.Order != nil {
		sorted := make([]field, len(fields))
		for i, n := range f.Order {
			sorted[i] = fields[n]
		}
		fields = sorted
	}
	if f.Extra != "" {
		middle := len(fields) / 2
		fields = append(fields[:middle], append([]field{{"Extra", extras[f.Extra]}}, fields[middle:]...)...)
	}
	types := make([]reflect.StructField, len(fields))
	for i, one := range fields {
		types[i] = reflect.StructField{Name: one.name, Type: reflect.TypeOf(one.value)}
	}
	v := reflect.New(reflect.StructOf(types)).Elem()
	for i, one := range fields {
		v.Field(i).Set(reflect.ValueOf(one.value))
	}
	return v.Interface()
}

func (f *file) write() error {
	var out bytes.Buffer
	var w io.Writer = &out
	var z *gzip.Writer
	if f.Gzip {
		z = gzip.NewWriter(&out)
		w = z
	}
	if err := gob.NewEncoder(w).Encode(f.value()); err != nil {
		return err
	}
	if z != nil {
		if err := z.Close(); err != nil {
			return err
		}
	}
	return os.WriteFile(f.Path, out.Bytes(), 0o644)
}

func run() error {
	var d description
	if err := json.NewDecoder(os.Stdin).Decode(&d); err != nil {
		return err
	}
	if err := numberTypes(d.Types); err != nil {
		return err
	}
	for i := range d.Files {
		if err := d.Files[i].write(); err != nil {
			return fmt.Errorf("%s: %w", d.Files[i].Path, err)
		}
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gobwrite:", err)
		os.Exit(2)
	}
}
