// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"math/rand"

	"vsctl/tests/peers/chromem"
)

// source is splitmix64: cheap to start, so that every document has its own and
// is the same whichever worker makes it.
type source struct{ state uint64 }

func (s *source) Uint64() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (s *source) Int63() int64    { return int64(s.Uint64() >> 1) }
func (s *source) Seed(seed int64) { s.state = uint64(seed) }

// newRand returns the numbers that belong to one thing, named by parts.
func newRand(seed uint64, parts ...int) *rand.Rand {
	s := &source{seed}
	for _, p := range parts {
		s.state = s.Uint64() ^ uint64(p)
	}
	return rand.New(s)
}

// identifier has the shape of a random UUID.
func identifier(r *rand.Rand) string {
	a, b := r.Uint64(), r.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff,
		b&0xffffffffffff)
}

var words = []string{"vector", "store", "of", "the", "a", "collection", "document", "is", "written", "to",
	"disk", "and", "read", "back", "index", "metadata", "value", "checksum", "with", "name"}

func text(r *rand.Rand, length int) string {
	b := make([]byte, 0, length+16)
	for len(b) < length {
		b = append(b, words[r.Intn(len(words))]...)
		b = append(b, ' ')
	}
	return string(b[:length])
}

// vector is normalised as the library does it: the sum in float32, each element
// divided by its root.
func vector(r *rand.Rand, dims int) []float32 {
	v := make([]float32, dims)
	var norm float32
	for i := range v {
		v[i] = float32(r.NormFloat64())
		norm += v[i] * v[i]
	}
	norm = float32(math.Sqrt(float64(norm)))
	for i := range v {
		v[i] /= norm
	}
	return v
}

// document makes the content of document number index of collection number coll.
func document(s *settings, id string, coll, index int) chromem.Document {
	r := newRand(s.seed, 1, coll, index)
	metadata := make(map[string]string, s.keys)
	for i := 0; i < s.keys; i++ {
		metadata[fmt.Sprintf("key_%d", i)] = text(r, 4+r.Intn(24))
	}
	return chromem.Document{
		ID:        id,
		Metadata:  metadata,
		Embedding: vector(r, s.dims),
		Content:   text(r, s.contentBytes),
	}
}
