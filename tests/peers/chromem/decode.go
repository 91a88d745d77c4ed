// SPDX-License-Identifier: Apache-2.0

package chromem

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
)

// DecodeError is a failure to read one file. Its text is what the library
// returns: the step that failed, then the cause.
type DecodeError struct {
	Step  string
	Cause error
}

func (e *DecodeError) Error() string { return e.Step + ": " + e.Cause.Error() }
func (e *DecodeError) Unwrap() error { return e.Cause }

// Decode reads one value into v, which is a pointer. The first two bytes decide
// whether the data is compressed. left is the number of bytes behind the value
// that were not looked at; it is only known, and only given, for plain data.
func Decode(rs io.ReadSeeker, v any) (left int64, err error) {
	var magic [2]byte
	if _, err := rs.Read(magic[:]); err != nil {
		return 0, &DecodeError{"couldn't read magic number to determine whether the stream is compressed", err}
	}
	if _, err := rs.Seek(0, io.SeekStart); err != nil {
		return 0, &DecodeError{"couldn't reset reader", err}
	}
	// Both gob and gzip would put a buffer around a file. Doing it here leaves
	// the reader at hand, to ask it what it has not handed out.
	buffered := bufio.NewReader(rs)
	var r io.Reader = buffered
	zipped := magic == [2]byte{0x1f, 0x8b}
	if zipped {
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return 0, &DecodeError{"couldn't create gzip reader", err}
		}
		defer z.Close()
		r = z
	}
	if err := gob.NewDecoder(r).Decode(v); err != nil {
		return 0, &DecodeError{"couldn't decode object", err}
	}
	if zipped {
		return 0, nil
	}
	at, err := rs.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	end, err := rs.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	return end - at + int64(buffered.Buffered()), nil
}

// DecodeFile reads the value of one file into v.
func DecodeFile(path string, v any) (left int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, &DecodeError{"couldn't open file", err}
	}
	defer f.Close()
	return Decode(f, v)
}

// Decrypt opens the AES-256-GCM envelope of an export file.
func Decrypt(raw []byte, key string) ([]byte, error) {
	if len(key) != 32 {
		return nil, errors.New("encryption key must be 32 bytes long")
	}
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return nil, fmt.Errorf("couldn't create AES cipher: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("couldn't create GCM wrapper: %w", err)
	}
	if len(raw) < gcm.NonceSize() {
		return nil, errors.New("encrypted data too short")
	}
	plain, err := gcm.Open(nil, raw[:gcm.NonceSize()], raw[gcm.NonceSize():], nil)
	if err != nil {
		return nil, fmt.Errorf("couldn't decrypt data: %w", err)
	}
	return plain, nil
}

// DecodeExport reads an export file, encrypted if a key is given.
func DecodeExport(raw []byte, key string) (export Export, left int64, err error) {
	if key != "" {
		if raw, err = Decrypt(raw, key); err != nil {
			return export, 0, err
		}
	}
	export.Collections = map[string]*persistenceCollection{}
	left, err = Decode(bytes.NewReader(raw), &export)
	return export, left, err
}
