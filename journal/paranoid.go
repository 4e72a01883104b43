//go:build paranoid

package journal

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
)

// holder knows the goroutine that holds the handle, and those that hold views.
type holder struct {
	id    atomic.Int64
	mu    sync.Mutex
	views map[int64]int // how many, by goroutine
}

// viewer is the goroutine that began a view.
type viewer int64

func (h *holder) set()   { h.id.Store(goroutine()) }
func (h *holder) clear() { h.id.Store(0) }

func (h *holder) enter() viewer {
	id := goroutine()
	h.count(id, 1)
	return viewer(id)
}

func (h *holder) leave(v viewer) { h.count(int64(v), -1) }

func (h *holder) count(id int64, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.views == nil {
		h.views = map[int64]int{}
	}
	if h.views[id] += n; h.views[id] == 0 {
		delete(h.views, id)
	}
}

// mustNotHold panics if the calling goroutine holds the handle or a view: it would wait for itself.
func (h *holder) mustNotHold(what string) {
	id := goroutine()
	if h.id.Load() == id {
		panic(fmt.Sprintf("journal: %s by goroutine %d, which holds a handle", what, id))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.views[id] > 0 {
		panic(fmt.Sprintf("journal: %s by goroutine %d, which holds a view", what, id))
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
