package aio

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// libaio is the queue over io_setup, io_submit and io_getevents.
type libaio struct {
	kernelQueue
	ctx uintptr
	// shared is the context's ring of completions in user space, nil if its layout is not the one known here.
	shared *aioRing
	events []ioEvent // the events in shared
	got    []ioEvent // under cq: events from io_getevents

	// Under sq.
	iocbs []iocb // by slot
	batch []*iocb
}

func newLibaio(f *file, depth int) (*libaio, error) {
	if depth < 1 || depth > maxDepth {
		return nil, ErrDepth
	}
	q := &libaio{}
	q.kernelQueue = newKernelQueue(q, f, depth)
	_, _, errno := unix.Syscall(unix.SYS_IO_SETUP, uintptr(depth), uintptr(unsafe.Pointer(&q.ctx)), 0)
	if errno == unix.EAGAIN {
		return nil, fmt.Errorf("io_setup: all the asynchronous I/O of this system is in use (/proc/sys/fs/aio-max-nr): %w", errno)
	}
	if errno != 0 {
		return nil, fmt.Errorf("io_setup: %w", errno)
	}
	q.got = make([]ioEvent, depth)
	q.iocbs = make([]iocb, depth)
	q.batch = make([]*iocb, 0, depth)
	q.findRing()
	return q, nil
}

// findRing looks for the ring in the memory of the context, which the kernel has mapped.
func (q *libaio) findRing() {
	r := *(**aioRing)(unsafe.Pointer(&q.ctx))
	if r.magic != aioRingMagic || r.incompat != 0 || r.headerLength != uint32(unsafe.Sizeof(*r)) {
		return
	}
	q.shared = r
	q.events = unsafe.Slice((*ioEvent)(unsafe.Add(unsafe.Pointer(r), r.headerLength)), r.nr)
}

// fill implements engine: it appends to the batch.
func (q *libaio) fill(r *Request, slot uint32) {
	c := &q.iocbs[slot]
	*c = iocb{data: uint64(slot), fd: uint32(q.f.f.Fd())}
	q.batch = append(q.batch, c)
	q.waiting++
	if r.Op == Flush {
		c.opcode = iocbFdsync
		return
	}
	p := r.Buf[r.state.done:]
	c.opcode = iocbPread
	if r.Op == Write {
		c.opcode = iocbPwrite
	}
	c.buf = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p))))
	c.nbytes = uint64(min(len(p), q.limit))
	c.offset = r.Off + int64(r.state.done)
}

// start implements engine.
func (q *libaio) start() { q.submit() }

// submit gives the batch to the kernel. Requests that the kernel cannot take now stay for the next time. If it
// refuses a request, which is the first of those left, that request has failed. sq is held.
func (q *libaio) submit() {
	busy := q.busy()
	for len(q.batch) > 0 {
		want := ramp(len(q.batch), busy)
		n, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, q.ctx, uintptr(want), uintptr(unsafe.Pointer(&q.batch[0])))
		if errno == unix.EINTR {
			continue
		}
		if errno == unix.EAGAIN || errno == 0 && n == 0 {
			break
		}
		if errno != 0 {
			q.refuse(errno)
			continue
		}
		q.batch = q.batch[:copy(q.batch, q.batch[n:])]
		busy += int(n)
	}
	q.mu.Lock()
	q.waiting = len(q.batch)
	q.mu.Unlock()
}

// refuse fails the first request of the batch.
func (q *libaio) refuse(errno unix.Errno) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.release(uint32(q.batch[0].data))
	r.Err = q.f.requestError(r, errno)
	q.ready = append(q.ready, r)
	q.batch = q.batch[:copy(q.batch, q.batch[1:])]
	q.waiting--
}

// await collects completions until least are ready or nothing is in flight. cq is held.
func (q *libaio) await(least int) error {
	if err := q.collect(0); err != nil {
		return err
	}
	for {
		q.mu.Lock()
		missing, inKernel, waiting := least-len(q.ready), q.inKernel(), q.waiting
		q.mu.Unlock()
		if missing <= 0 || inKernel == 0 {
			return nil
		}
		if waiting > 0 {
			// Submit may be at work: some of the requests counted as waiting may be complete already.
			if q.retry(); waiting >= inKernel {
				continue // there is nothing to wait for
			}
		}
		if err := q.collect(min(missing, inKernel-waiting)); err != nil {
			return err
		}
	}
}

// retry submits the requests that the kernel did not take before. If nothing at all is in flight, waiting will not
// help: the requests that the kernel still does not take have failed.
func (q *libaio) retry() {
	q.sq.Lock()
	defer q.sq.Unlock()
	q.submit()
	for len(q.batch) > 0 && q.busy() == 0 {
		q.refuse(unix.EAGAIN)
	}
}

// collect takes completions from the shared ring, without a system call. If there are none, it waits for at least
// least completions with io_getevents.
func (q *libaio) collect(least int) error {
	n := q.peek()
	if n == 0 && (least > 0 || q.shared == nil) {
		q.yielder.yield()
		got, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, q.ctx, uintptr(least), uintptr(len(q.got)), uintptr(unsafe.Pointer(&q.got[0])), 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return fmt.Errorf("io_getevents: %w", errno)
		}
		if errno == 0 {
			n = int(got)
		}
	}
	q.mu.Lock()
	for _, e := range q.got[:n] {
		slot := uint32(e.data)
		if q.account(q.requests[slot], e.res) {
			q.again = append(q.again, slot)
			continue
		}
		q.ready = append(q.ready, q.release(slot))
	}
	q.mu.Unlock()
	if len(q.again) > 0 {
		q.resubmit()
	}
	return nil
}

// peek copies completions out of the shared ring. The kernel stores an event and then the tail; we read the event and then
// store the head. As in uring, sync/atomic is ordered strongly enough for both.
func (q *libaio) peek() int {
	if q.shared == nil {
		return 0
	}
	head, tail := q.shared.head, atomic.LoadUint32(&q.shared.tail)
	n := 0
	for head != tail && n < len(q.got) {
		q.got[n] = q.events[head]
		n++
		if head++; head == q.shared.nr {
			head = 0
		}
	}
	if n > 0 {
		atomic.StoreUint32(&q.shared.head, head)
	}
	return n
}

// destroy implements engine.
func (q *libaio) destroy() error {
	if _, _, errno := unix.Syscall(unix.SYS_IO_DESTROY, q.ctx, 0, 0); errno != 0 {
		return fmt.Errorf("io_destroy: %w", errno)
	}
	return nil
}
