// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

/*
mutate prints the verdict on every damaged variant of a file, one line each:

	cut LEN VERDICT          the first LEN bytes, for LEN = 0 .. size-1
	flip OFFSET BIT VERDICT  one bit inverted, for OFFSET = 0 .. size-1 and, for
	                         each, BIT = 0 .. 7 (0 is the least significant)

first all cuts, then all flips. VERDICT is one of

	ok DIGEST       the library reads it; DIGEST names the content it reads, as
	                chromem/digest.go defines it for a document, a metadata or a store
	error TEXT      the library refuses it; TEXT is the cause, without the words
	                that the library puts before it ("couldn't decode object: "
	                and so on). Bytes outside 0x20 .. 0x7e and the backslash are
	                written as \xHH with lower-case digits
	process-dies    decoding ends the process or takes more than it should: out
	                of memory, an unrecovered panic, a minute of work

A damaged count can make the decoder reserve memory for many million map entries,
and running out of memory cannot be caught in Go. So workers, which are processes
of their own, do the decoding: when one dies, its place is known by the number of
lines it wrote, and another goes on behind that place.
*/

const workerCommand = "mutate-worker"

const (
	// gob reserves what a message claims, up to 8 GiB, and refuses it when the
	// data ends sooner. Nothing of it is touched, so this must stay an error.
	workerAddressSpace = 16 << 30
	workerResident     = 2 << 30
	workerSilence      = time.Minute

	// A worker that has allocated this much makes room for a fresh one: without
	// garbage collection, all memory a worker gets is new, and new memory costs
	// nothing until it is touched, whatever size the damaged file asks for.
	workerAllocated = 128 << 20

	exitRecycle = 3
)

// mutation number i of a file of the given size.
type mutation struct {
	cut         bool
	offset, bit int
}

func mutationAt(i, size int) mutation {
	if i < size {
		return mutation{cut: true, offset: i}
	}
	i -= size
	return mutation{offset: i / 8, bit: i % 8}
}

func mutationCount(size int) int { return size + 8*size }

func (m mutation) String() string {
	if m.cut {
		return fmt.Sprintf("cut %d", m.offset)
	}
	return fmt.Sprintf("flip %d %d", m.offset, m.bit)
}

// resident returns the bytes of memory that a process has touched.
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// guard kills the worker when it is silent or fat for too long.
func guard(process *os.Process, lines *atomic.Int64, done <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	seen, since := int64(-1), time.Now()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		if n := lines.Load(); n != seen {
			seen, since = n, time.Now()
		}
		if resident(process.Pid) > workerResident || time.Since(since) > workerSilence {
			process.Kill()
			return
		}
	}
}

// runOne lets one worker do mutations from..to-1. It returns how many it has
// done and whether it died on the next.
func runOne(path, kind string, from, to int, out io.Writer) (count int, died bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, false, err
	}
	cmd := exec.Command(self, workerCommand, path, kind, strconv.Itoa(from), strconv.Itoa(to))
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return 0, false, err
	}
	if err := cmd.Start(); err != nil {
		return 0, false, err
	}
	var lines atomic.Int64
	done := make(chan struct{})
	go guard(cmd.Process, &lines, done)
	in := bufio.NewReaderSize(pipe, 1<<16)
	for {
		line, rerr := in.ReadBytes('\n')
		if rerr != nil { // what has no end of line was not finished
			break
		}
		lines.Add(1)
		out.Write(line)
	}
	err = cmd.Wait()
	close(done)
	count = int(lines.Load())
	var exit *exec.ExitError
	switch {
	case err == nil && from+count == to:
		return count, false, nil
	case errors.As(err, &exit) && exit.ExitCode() == exitRecycle && count > 0:
		return count, false, nil
	case errors.As(err, &exit) && exit.ExitCode() == exitUnable:
		return count, false, errors.New(strings.TrimSpace(complaint.String()))
	case err != nil && from+count < to:
		return count, true, nil
	}
	return count, false, fmt.Errorf("worker stopped at mutation %d of %d..%d: %v", from+count, from, to, err)
}

// runRange does mutations from..to-1 with as many workers as it takes.
func runRange(path, kind string, size, from, to int, out io.Writer) error {
	for from < to {
		count, died, err := runOne(path, kind, from, to, out)
		if err != nil {
			return err
		}
		from += count
		if died {
			fmt.Fprintf(out, "%s process-dies\n", mutationAt(from, size))
			from++
		}
	}
	return nil
}

// mutateFile prints the lines of all mutations of a file, in order.
func mutateFile(path, kind string, out io.Writer) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	size := int(info.Size())
	total := mutationCount(size)
	shards := runtime.NumCPU()
	texts := make([]bytes.Buffer, shards)
	failures := make([]error, shards)
	var wg sync.WaitGroup
	for i := range texts {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			failures[i] = runRange(path, kind, size, total*i/shards, total*(i+1)/shards, &texts[i])
		}(i)
	}
	wg.Wait()
	for i := range texts {
		if failures[i] != nil {
			return failures[i]
		}
		if _, err := out.Write(texts[i].Bytes()); err != nil {
			return err
		}
	}
	return nil
}
