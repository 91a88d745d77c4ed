// SPDX-License-Identifier: Apache-2.0

package chromem

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"reflect"
)

// firstType is the first number that a current Go gives to a type that it meets.
const firstType = 64

// shift is by how much the numbers of this process are higher than that.
var shift = numberTypes()

// numberTypes has the types of a store numbered, before any other use of gob:
// the metadata, its map, the document, its vector.
func numberTypes() int {
	var b bytes.Buffer
	enc := gob.NewEncoder(&b)
	if err := enc.Encode(Metadata{}); err != nil {
		panic(err)
	}
	id, _, _, _, err := cutMessage(b.Bytes())
	if err == nil {
		err = enc.Encode(Document{})
	}
	if err != nil {
		panic(err)
	}
	return -id - firstType
}

// An Encoder writes values of one type as the library does: every file is a gob
// stream of its own, with the definitions of all types in front of the value.
//
// Go numbers types per process, in the order in which they are first encoded,
// from 64 or (before 1.20) 65. So that files do not depend on the version of Go
// that built this program, an Encoder renumbers them as a current Go would.
//
// The definitions are the same in every file. They are made once; after that, a
// gob.Encoder sends values alone, and the definitions are put in front of each.
type Encoder struct {
	definitions []byte
	stream      bytes.Buffer
	gob         *gob.Encoder
}

// NewMetadataEncoder returns an encoder for Metadata.
func NewMetadataEncoder() (*Encoder, error) {
	return newEncoder(Metadata{Name: "n", Metadata: map[string]string{"k": "v"}})
}

// NewDocumentEncoder returns an encoder for Document.
func NewDocumentEncoder() (*Encoder, error) {
	return newEncoder(Document{"i", map[string]string{"k": "v"}, []float32{0.5}, "c"})
}

func newEncoder(sample any) (*Encoder, error) {
	e := &Encoder{}
	e.gob = gob.NewEncoder(&e.stream)
	if err := e.gob.Encode(sample); err != nil {
		return nil, err
	}
	for rest := e.stream.Bytes(); ; {
		id, _, body, after, err := cutMessage(rest)
		if err != nil {
			return nil, err
		}
		if id >= 0 {
			break
		}
		if body, err = renumberDefinition(body); err != nil {
			return nil, err
		}
		e.definitions = append(appendUint(e.definitions, uint64(len(body))), body...)
		rest = after
	}
	// gob must agree that the definitions still mean the same.
	back := reflect.New(reflect.TypeOf(sample))
	file, err := e.Append(nil, sample)
	if err == nil {
		err = gob.NewDecoder(bytes.NewReader(file)).DecodeValue(back)
	}
	if err == nil && !reflect.DeepEqual(back.Elem().Interface(), sample) {
		err = errors.New("renumbered types do not decode to the same value")
	}
	return e, err
}

// Append appends the file that holds v to out and returns the result.
func (e *Encoder) Append(out []byte, v any) ([]byte, error) {
	e.stream.Reset()
	if err := e.gob.Encode(v); err != nil {
		return nil, err
	}
	id, value, _, after, err := cutMessage(e.stream.Bytes())
	if err != nil {
		return nil, err
	}
	if id < firstType || len(after) > 0 {
		return nil, fmt.Errorf("type %d and %d bytes behind the value", id, len(after))
	}
	number := appendInt(nil, id-shift)
	out = append(out, e.definitions...)
	out = appendUint(out, uint64(len(number)+len(value)))
	out = append(out, number...)
	return append(out, value...), nil
}

var errWire = errors.New("not the definition of a type as gob writes it")

func appendUint(out []byte, n uint64) []byte {
	if n < 0x80 {
		return append(out, byte(n))
	}
	var digits []byte
	for ; n > 0; n >>= 8 {
		digits = append([]byte{byte(n)}, digits...)
	}
	return append(append(out, byte(-len(digits))), digits...)
}

func appendInt(out []byte, n int) []byte {
	return appendUint(out, uint64(n<<1^n>>63))
}

// cutUint takes an unsigned integer off the front of b.
func cutUint(b []byte) (n uint64, rest []byte, err error) {
	if len(b) == 0 {
		return 0, nil, errWire
	}
	if b[0] < 0x80 {
		return uint64(b[0]), b[1:], nil
	}
	digits := -int(int8(b[0]))
	if digits > 8 || len(b) <= digits {
		return 0, nil, errWire
	}
	for _, d := range b[1 : 1+digits] {
		n = n<<8 | uint64(d)
	}
	return n, b[1+digits:], nil
}

func cutInt(b []byte) (n int, rest []byte, err error) {
	u, rest, err := cutUint(b)
	return int(u>>1) ^ -int(u&1), rest, err
}

// cutMessage takes a message off the front of b: the number of its type, what
// comes after that number, and the whole.
func cutMessage(b []byte) (id int, value, body, rest []byte, err error) {
	n, rest, err := cutUint(b)
	if err != nil || n > uint64(len(rest)) {
		return 0, nil, nil, nil, errWire
	}
	body, rest = rest[:n], rest[n:]
	id, value, err = cutInt(body)
	return id, value, body, rest, err
}

// A renumberer copies a definition and takes shift off every number of a type
// that is not built into gob.
type renumberer struct {
	in  []byte
	out []byte
	err error
}

func (r *renumberer) uint() uint64 {
	n, rest, err := cutUint(r.in)
	if err != nil {
		r.err, r.in = err, nil
		return 0
	}
	r.out = appendUint(r.out, n)
	r.in = rest
	return n
}

func (r *renumberer) typeNumber() {
	n, rest, err := cutInt(r.in)
	if err != nil {
		r.err, r.in = err, nil
		return
	}
	if n >= firstType {
		n -= shift
	} else if n <= -firstType {
		n += shift
	}
	r.out = appendInt(r.out, n)
	r.in = rest
}

func (r *renumberer) text() {
	n := r.uint()
	if n > uint64(len(r.in)) {
		r.err = errWire
		return
	}
	r.out = append(r.out, r.in[:n]...)
	r.in = r.in[n:]
}

// structure copies a struct value; field copies one of its fields.
func (r *renumberer) structure(field func(number int)) {
	number := -1
	for step := r.uint(); step != 0 && r.err == nil; step = r.uint() {
		number += int(step)
		field(number)
	}
}

// named copies a { name string, type number } pair: what a definition begins
// with, and what a field of a struct is.
func (r *renumberer) named() {
	r.structure(func(number int) {
		switch number {
		case 0:
			r.text()
		case 1:
			r.typeNumber()
		default:
			r.err = errWire
		}
	})
}

func renumberDefinition(body []byte) ([]byte, error) {
	r := &renumberer{in: body}
	r.typeNumber()
	r.structure(func(kind int) {
		r.structure(func(number int) {
			switch {
			case number == 0:
				r.named()
			case kind == 2 && number == 1: // the fields of a struct
				for n := r.uint(); n > 0 && r.err == nil; n-- {
					r.named()
				}
			case kind == 1 && number == 1, kind == 3 && number <= 2: // of a slice, of a map
				r.typeNumber()
			default:
				r.err = errWire
			}
		})
	})
	if r.err == nil && len(r.in) > 0 {
		r.err = errWire
	}
	return r.out, r.err
}
