//go:build paranoid

package journal

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
)

// holder knows the goroutine that holds the handle.
type holder struct{ id atomic.Int64 }

func (h *holder) set()   { h.id.Store(goroutine()) }
func (h *holder) clear() { h.id.Store(0) }

// mustNotHold panics if the caller holds the handle: it would wait for itself.
func (h *holder) mustNotHold(what string) {
	if id := goroutine(); h.id.Load() == id {
		panic(fmt.Sprintf("journal: %s by goroutine %d, which holds a handle", what, id))
	}
}

// goroutine reads the number from the trace's first line, "goroutine 18 [running]:".
func goroutine() int64 {
	var trace [64]byte
	fields := bytes.Fields(trace[:runtime.Stack(trace[:], false)])
	if len(fields) < 2 {
		return -1
	}
	id, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return -1
	}
	return id
}
