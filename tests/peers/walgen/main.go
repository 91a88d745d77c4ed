// SPDX-License-Identifier: Apache-2.0

// walgen writes the entries of a write-ahead log as contextd does, for tests:
// one gob value a file, with a checksum under the key that lies beside them.
//
//	walgen DIR
//
// What it writes is always the same but for the order of map entries. The files
// below tests/data/contextd-wal came from it.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/gob"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Document and WALEntry have the names and fields of contextd's own types.
type Document struct {
	ID         string
	Content    string
	Metadata   map[string]interface{}
	Collection string
}

type WALEntry struct {
	ID           string
	Operation    string
	Docs         []Document
	IDs          []string
	Timestamp    time.Time
	Synced       bool
	Checksum     []byte
	RemoteState  string
	SyncAttempts int
	LastAttempt  time.Time
	SyncError    string
}

// Odd is a type that nobody else registers.
type Odd struct{ Text string }

var key = bytes.Repeat([]byte{0x5a}, 32)

func (e *WALEntry) seal() {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(e.ID + e.Operation + e.Timestamp.Format(time.RFC3339Nano)))
	for _, d := range e.Docs {
		mac.Write([]byte(d.ID + d.Content))
	}
	for _, id := range e.IDs {
		mac.Write([]byte(id))
	}
	e.Checksum = mac.Sum(nil)
}

func entries() []WALEntry {
	at := time.Date(2026, 1, 22, 14, 3, 9, 487073000, time.UTC)
	return []WALEntry{
		{ID: fmt.Sprintf("add_%032x", 1), Operation: "add", Timestamp: at, RemoteState: "unknown",
			Docs: []Document{
				{ID: "1769090589487073000", Content: "a text", Collection: "quarterly_figures_2026",
					Metadata: map[string]interface{}{"project_id": "ledger", "confidence": 0.5, "usage_count": 3,
						"tags": []string{"a", "b"}, "auto": true}},
				{ID: "1769090589487073001", Content: "another", Collection: "quarterly_figures_2026"},
			}},
		{ID: fmt.Sprintf("add_%032x", 2), Operation: "add", Timestamp: at.Add(time.Hour), RemoteState: "exists",
			Synced: true, SyncAttempts: 2, LastAttempt: at.Add(2 * time.Hour),
			Docs: []Document{
				{ID: "odd", Content: "metadata of a type of its own", Collection: "oddities_of_2026",
					Metadata: map[string]interface{}{"odd": Odd{"text"}}},
			}},
		{ID: fmt.Sprintf("delete_%032x", 3), Operation: "delete", Timestamp: at.Add(3 * time.Hour),
			IDs: []string{"1769090589487073001"}, SyncError: "connection refused"},
	}
}

func run(dir string) error {
	gob.Register(Odd{})
	if err := os.WriteFile(filepath.Join(dir, ".hmac_key"), key, 0o600); err != nil {
		return err
	}
	for _, e := range entries() {
		var out bytes.Buffer
		e.seal()
		if err := gob.NewEncoder(&out).Encode(e); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, e.ID+".wal"), out.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: walgen DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
