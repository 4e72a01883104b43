package aio

import (
	"errors"
	"slices"
	"sync"
	"unsafe"
)

// ErrArenaFull is the error of an Alloc that found no room.
var ErrArenaFull = errors.New("arena is full")

// An Arena is a bounded piece of memory outside the Go heap, from which aligned buffers are cut. A queue that was
// told of the arena (Register) need not pin the pages of these buffers again for each request. Its methods may be
// called from any goroutine.
type Arena struct {
	mem    []byte
	mapped []byte // all memory that the system gave; mem is a part of it
	align  int

	mu   sync.Mutex
	free []span // sorted, no two touch
}

// A span is mem[from:to].
type span struct{ from, to int }

// NewArena makes an arena of size bytes, whose buffers start at multiples of align (a power of two, at most 4096).
func NewArena(size, align int) (*Arena, error) {
	if size <= 0 || align <= 0 || align > 4096 || align&(align-1) != 0 {
		return nil, errors.New("arena: size or alignment out of range")
	}
	size = roundUp(size, align)
	mem, mapped, err := mapMemory(size)
	if err != nil {
		return nil, err
	}
	return &Arena{mem: mem, mapped: mapped, align: align, free: []span{{0, size}}}, nil
}

// Alloc cuts out a buffer of n bytes, not zeroed. It takes room for n rounded up to the alignment.
func (a *Arena) Alloc(n int) ([]byte, error) {
	need := roundUp(max(n, 1), a.align)
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.free {
		s := &a.free[i]
		if s.to-s.from < need {
			continue
		}
		b := a.mem[s.from : s.from+n : s.from+need]
		if s.from += need; s.from == s.to {
			a.free = slices.Delete(a.free, i, i+1)
		}
		return b, nil
	}
	return nil, ErrArenaFull
}

// Free gives a buffer back. It must start where the buffer from Alloc started.
func (a *Arena) Free(b []byte) {
	from, ok := a.offset(b[:cap(b)])
	if !ok {
		panic("aio: Free of a buffer of another arena")
	}
	s := span{from, from + cap(b)}
	a.mu.Lock()
	defer a.mu.Unlock()
	i, _ := slices.BinarySearchFunc(a.free, s, func(x, y span) int { return x.from - y.from })
	a.free = slices.Insert(a.free, i, s)
	if i+1 < len(a.free) && a.free[i].to == a.free[i+1].from {
		a.free[i].to = a.free[i+1].to
		a.free = slices.Delete(a.free, i+1, i+2)
	}
	if i > 0 && a.free[i-1].to == a.free[i].from {
		a.free[i-1].to = a.free[i].to
		a.free = slices.Delete(a.free, i, i+1)
	}
}

// Size is the arena's size in bytes.
func (a *Arena) Size() int { return len(a.mem) }

// Close gives the memory back to the system. No buffer of it may be used afterwards.
func (a *Arena) Close() error {
	mapped := a.mapped
	a.mem, a.mapped = nil, nil
	if mapped == nil {
		return nil
	}
	return unmapMemory(mapped)
}

// offset returns the offset of b in the arena, and whether b lies wholly inside the arena.
func (a *Arena) offset(b []byte) (int, bool) {
	if len(b) == 0 || len(a.mem) == 0 {
		return 0, false
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	base := uintptr(unsafe.Pointer(unsafe.SliceData(a.mem)))
	if at < base || at-base > uintptr(len(a.mem)-len(b)) || len(b) > len(a.mem) {
		return 0, false
	}
	return int(at - base), true
}

func roundUp(n, align int) int { return (n + align - 1) &^ (align - 1) }
