package aio

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// uring is the queue over io_uring: Submit works on the submission ring and Reap on the completion ring.
type uring struct {
	kernelQueue
	ring     *ring
	fd       int32 // a descriptor, or 0 for the registered file
	fileFlag uint8
	arena    *Arena // registered
	pinned   bool   // one goroutine makes all calls, on one thread
}

func newUring(f *file, depth int) (*uring, error) {
	if depth < 1 || depth > maxDepth {
		return nil, ErrDepth
	}
	r, err := newRing(depth, false)
	if err != nil {
		return nil, err
	}
	if err := r.probe(); err != nil {
		r.close()
		return nil, err
	}
	q := &uring{}
	q.kernelQueue = newKernelQueue(q, f, depth)
	q.use(r)
	return q, nil
}

// use makes r the ring of the queue and registers the file.
func (q *uring) use(r *ring) {
	q.ring, q.fd, q.fileFlag = r, int32(q.f.f.Fd()), 0
	if r.registerFile(int(q.fd)) == nil {
		q.fd, q.fileFlag = 0, uringSQEFixedFile
	}
}

// pin implements pinner. The ring belongs to the thread that makes it.
func (q *uring) pin() bool {
	q.cq.Lock()
	defer q.cq.Unlock()
	q.sq.Lock()
	defer q.sq.Unlock()
	if q.pinned || q.closed || q.owned > 0 {
		return false
	}
	runtime.LockOSThread()
	r, err := newRing(q.depth, true)
	if err != nil {
		runtime.UnlockOSThread()
		return false
	}
	q.ring.close()
	q.use(r)
	q.pinned = true
	if a := q.arena; a != nil {
		q.arena = nil
		q.register(a)
	}
	return true
}

// register implements registrar. If the limit of locked memory is too low, nothing is registered and everything works
// as before.
func (q *uring) register(a *Arena) bool {
	if q.arena != nil || q.ring.registerBuffer(a.mem) != nil {
		return false
	}
	q.arena = a
	return true
}

// fill implements engine: it writes the next submission entry.
func (q *uring) fill(r *Request, slot uint32) {
	e := q.ring.next()
	q.waiting++
	*e = uringSQE{fd: q.fd, flags: q.fileFlag, userData: uint64(slot)}
	if r.Op == Flush {
		e.opcode, e.opFlags = uringOpFsync, uringFsyncDatasync
		return
	}
	p := r.Buf[r.state.done:]
	e.off = uint64(r.Off + int64(r.state.done))
	e.addr = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p))))
	e.len = uint32(min(len(p), q.limit))
	fixed := false
	if q.arena != nil {
		_, fixed = q.arena.offset(p)
	}
	switch {
	case r.Op == Read && fixed:
		e.opcode = uringOpReadFixed
	case r.Op == Read:
		e.opcode = uringOpRead
	case fixed:
		e.opcode = uringOpWriteFixed
	default:
		e.opcode = uringOpWrite
	}
}

// start implements engine.
func (q *uring) start() {
	if q.pinned {
		q.ring.publish() // Reap submits and waits with one system call
	} else {
		q.submit()
	}
}

// submit gives the filled entries to the kernel. Entries that it cannot take now (memory is short, or completions
// must be reaped first) stay for the next time. If it refuses, the requests fail with its error. sq is held.
func (q *uring) submit() {
	q.ring.publish()
	busy := q.busy()
	var err error
	for q.ring.unsubmitted() > 0 {
		var n int
		n, err = q.ring.enter(uint32(ramp(int(q.ring.unsubmitted()), busy)), 0, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			break
		}
		busy += n
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = int(q.ring.unsubmitted())
	if q.waiting > 0 && err != nil && err != unix.EAGAIN && err != unix.EBUSY {
		q.refuse(err)
	}
}

// refuse takes back the entries that the kernel has not taken. The kernel does not look at them between two calls of
// enter under sq.
func (q *uring) refuse(err error) {
	for ; q.waiting > 0; q.waiting-- {
		q.ring.tail--
		r := q.release(uint32(q.ring.sqes[q.ring.tail&q.ring.sqMask].userData))
		r.Err = q.f.requestError(r, err)
		q.ready = append(q.ready, r)
	}
	q.ring.publish()
}

// await collects completions until least are ready or nothing is in flight. cq is held.
func (q *uring) await(least int) error {
	if q.ring.needsEnter() {
		if _, err := q.ring.enter(0, 0, uringEnterGetevents); err != nil && !transient(err) {
			return fmt.Errorf("io_uring_enter: %w", err)
		}
	}
	for {
		q.collect()
		q.mu.Lock()
		missing, inKernel, waiting := least-len(q.ready), q.inKernel(), q.waiting
		q.mu.Unlock()
		if waiting > 0 && q.pinned {
			q.submitAndWait(max(0, min(missing, inKernel)))
			continue
		}
		if missing <= 0 || inKernel == 0 {
			return nil
		}
		if waiting > 0 {
			// Submit may be at work: some of the requests counted as waiting may be complete already.
			if q.retry(); waiting >= inKernel {
				continue // there is nothing to wait for
			}
		}
		q.yielder.yield()
		_, err := q.ring.enter(0, uint32(min(missing, inKernel-waiting)), uringEnterGetevents)
		if err != nil && !transient(err) {
			return fmt.Errorf("io_uring_enter: %w", err)
		}
	}
}

// submitAndWait submits and waits with one system call. If the disk is idle, the call submits only the first requests
// and does not wait. If the kernel cannot take every entry, it does not wait either.
func (q *uring) submitAndWait(wait int) {
	q.sq.Lock()
	defer q.sq.Unlock()
	busy, before := q.busy(), q.ring.unsubmitted()
	n := uint32(ramp(int(before), busy))
	flags := uint32(0)
	if n == before {
		flags = uringEnterGetevents
		q.yielder.yield()
	} else {
		wait = 0
	}
	_, err := q.ring.enter(n, uint32(wait), flags)
	left := q.ring.unsubmitted()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = int(left)
	switch {
	case err != nil && !transient(err):
		q.refuse(err)
	case left == before && q.waiting == q.inKernel() && err != unix.EINTR:
		q.refuse(unix.EAGAIN) // nothing is in flight that could make room
	}
}

func transient(err error) bool { return err == unix.EINTR || err == unix.EAGAIN || err == unix.EBUSY }

// retry submits the requests that the kernel did not take before. If nothing at all is in flight, waiting will not
// help: the requests that the kernel still does not take have failed.
func (q *uring) retry() {
	q.sq.Lock()
	defer q.sq.Unlock()
	q.submit()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting > 0 && q.waiting == q.inKernel() {
		q.refuse(unix.EAGAIN)
	}
}

// collect takes what the completion ring holds.
func (q *uring) collect() {
	r := q.ring
	head, tail := *r.cqHead, atomic.LoadUint32(r.cqTail)
	if head == tail {
		return
	}
	q.mu.Lock()
	for ; head != tail; head++ {
		c := &r.cqes[head&r.cqMask]
		slot := uint32(c.userData)
		if q.account(q.requests[slot], int64(c.res)) {
			q.again = append(q.again, slot)
			continue
		}
		q.ready = append(q.ready, q.release(slot))
	}
	q.mu.Unlock()
	atomic.StoreUint32(r.cqHead, head)
	if len(q.again) > 0 {
		q.resubmit()
	}
}

// destroy implements engine.
func (q *uring) destroy() error {
	q.ring.close()
	if q.pinned {
		runtime.UnlockOSThread()
	}
	return nil
}
