package aio

import (
	"io"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxDepth bounds a queue. Every kernel with io_uring can make a ring of 32768, but many systems allow little
	// asynchronous I/O.
	maxDepth = 4096
	// maxTransfer is the most that one submission asks for; the rest follows as after a short transfer. Linux ends a
	// transfer at 2 GiB less a page.
	maxTransfer = 1 << 30
)

// slots is the part that both kernel engines share: the requests in flight, by number, and the requests that are
// complete and not yet reaped. Its owner's mutex protects it.
type slots struct {
	f        *file
	depth    int
	limit    int        // maxTransfer, except in tests
	requests []*Request // by slot, whose number is all that the kernel knows; keeps request and buffer alive
	free     []uint32
	ready    []*Request // complete
	out      []*Request // what the last Reap returned
	owned    int        // submitted and not yet reaped
	closed   bool
}

func newSlots(f *file, depth int) slots {
	s := slots{f: f, depth: depth, limit: maxTransfer, requests: make([]*Request, depth)}
	s.free = make([]uint32, depth)
	s.ready = make([]*Request, 0, depth)
	s.out = make([]*Request, 0, depth)
	for i := range s.free {
		s.free[i] = uint32(depth - 1 - i)
	}
	return s
}

// accept takes ownership of the requests, or of none.
func (s *slots) accept(n int) error {
	if s.closed {
		return ErrClosed
	}
	if s.owned+n > s.depth {
		return ErrFull
	}
	s.owned += n
	return nil
}

// settled reports whether a request needs no kernel, because there is nothing to do or it is wrong. Such a request is
// complete.
func (s *slots) settled(r *Request) bool {
	r.Err = nil
	r.state.done, r.state.tries = 0, 0
	switch {
	case r.Op == Flush:
		return !s.f.write
	case r.Op == Write && !s.f.write:
		r.Err = s.f.wrap("write", len(r.Buf), r.Off, ErrReadOnly)
	default:
		r.Err = CheckRange(s.f.size, r.Off, len(r.Buf))
		if r.Err == nil && r.Op == Write {
			if err := s.f.mayWrite(r.Off, len(r.Buf)); err != nil {
				r.Err = s.f.requestError(r, err)
			}
		}
	}
	return r.Err != nil || len(r.Buf) == 0
}

// take puts a request into a slot.
func (s *slots) take(r *Request) uint32 {
	i := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.requests[i] = r
	return i
}

// release empties a slot.
func (s *slots) release(i uint32) *Request {
	r := s.requests[i]
	s.requests[i] = nil
	s.free = append(s.free, i)
	return r
}

// inKernel is the number of slots in use.
func (s *slots) inKernel() int { return s.depth - len(s.free) }

// handOver moves what is ready to the slice that Reap returns.
func (s *slots) handOver() []*Request {
	s.out, s.ready = s.ready, s.out[:0]
	s.owned -= len(s.out)
	return s.out
}

// account takes the kernel's result for a request and reports whether the request must be submitted again: for the
// rest of a short transfer, or because the kernel asks for that.
func (s *slots) account(r *Request, res int64) (again bool) {
	if res < 0 {
		const enough = 100
		errno := unix.Errno(-res)
		if r.state.tries++; r.state.tries < enough && (errno == unix.EINTR || errno == unix.EAGAIN) {
			return true
		}
		r.Err = s.f.requestError(r, errno)
		return false
	}
	if r.Op == Flush {
		if err := s.f.intact(); err != nil {
			r.Err = s.f.requestError(r, err)
		}
		return false
	}
	done := r.state.done + int(res)
	if done >= len(r.Buf) {
		return false
	}
	// The rest must start aligned. A transfer that stops twice at the same place will not get further.
	done &^= s.f.align - 1
	if done <= r.state.done {
		r.Err = s.f.requestError(r, io.ErrUnexpectedEOF)
		return false
	}
	r.state.done = done
	return true
}

// requestError adds the place to the error of a request.
func (f *file) requestError(r *Request, err error) error {
	switch r.Op {
	case Read:
		return f.wrap("read", len(r.Buf), r.Off, err)
	case Write:
		return f.wrap("write", len(r.Buf), r.Off, err)
	}
	return f.wrap("flush", 0, 0, err)
}

// ramp returns how many of waiting requests to submit with one system call, if the kernel already works on busy
// others. The kernel prepares all requests of one call before it starts the first, so a disk with little to do gets
// its first requests in a small call. The numbers are measured (scripts/bench/aio, random writes at depth 16 and 32).
func ramp(waiting, busy int) int {
	switch {
	case busy >= 32:
		return waiting
	case busy >= 16:
		return min(waiting, 1)
	}
	return min(waiting, 2)
}

// A yielder yields for a goroutine that does nothing but wait in system calls. When such a goroutine has run for 10
// ms without yielding, Go's scheduler takes its processor (P) away at each system call, and the threads change at
// every I/O. If the goroutine yields now and then, it keeps its P.
type yielder struct{ last time.Time }

func (y *yielder) yield() {
	const often = 4 * time.Millisecond
	if now := time.Now(); now.Sub(y.last) > often {
		y.last = now
		runtime.Gosched()
	}
}
