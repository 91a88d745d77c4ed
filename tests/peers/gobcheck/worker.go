// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"

	"vsctl/tests/peers/chromem"
)

// exitUnable is the status of main for an error: the worker could not work. The
// Go runtime ends a program that panics or is out of memory with 2, so it must
// be another.
const exitUnable = 4

// escape makes one line of any text.
func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '\\' {
			fmt.Fprintf(&b, "\\x%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// content decodes data as a file of the kind and digests what it says.
func content(data []byte, kind string) (digest string, err error) {
	switch kind {
	case "meta":
		var m chromem.Metadata
		_, err = chromem.Decode(bytes.NewReader(data), &m)
		return chromem.MetadataDigest(&m), err
	case "export":
		export, _, err := chromem.DecodeExport(data, "")
		if err != nil {
			return "", err
		}
		r := exportReport(export)
		return r.Digest, nil
	}
	var d chromem.Document
	_, err = chromem.Decode(bytes.NewReader(data), &d)
	return chromem.DocumentDigest(&d), err
}

func verdict(data []byte, kind string) string {
	digest, err := content(data, kind)
	if err != nil {
		var failure *chromem.DecodeError
		if errors.As(err, &failure) {
			err = failure.Cause
		}
		return "error " + escape(err.Error())
	}
	return "ok " + digest
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// work prints the lines of mutations from..to-1, each as soon as it is known.
func work(data []byte, kind string, from, to int) error {
	for i := from; i < to; i++ {
		m := mutationAt(i, len(data))
		var v string
		if m.cut {
			v = verdict(data[:m.offset:m.offset], kind)
		} else {
			data[m.offset] ^= 1 << m.bit
			v = verdict(data, kind)
			data[m.offset] ^= 1 << m.bit
		}
		if _, err := os.Stdout.WriteString(m.String() + " " + v + "\n"); err != nil {
			return err
		}
		if i+1 < to && allocated() > workerAllocated {
			os.Exit(exitRecycle)
		}
	}
	return nil
}

func startWorker(args []string) error {
	if len(args) != 4 {
		return errUsage
	}
	from, err1 := strconv.Atoi(args[2])
	to, err2 := strconv.Atoi(args[3])
	if err1 != nil || err2 != nil {
		return errUsage
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	if from < 0 || to > mutationCount(len(data)) {
		return fmt.Errorf("%s changed its size", args[0])
	}
	limit := syscall.Rlimit{Cur: workerAddressSpace, Max: workerAddressSpace}
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		return err
	}
	debug.SetGCPercent(-1)
	return work(data, args[1], from, to)
}

// runWorker does not return when it fails, as its exit status has a meaning.
func runWorker(args []string) error {
	if err := startWorker(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitUnable)
	}
	return nil
}
