package aio

import (
	"errors"
	"sync"
)

// engine is what differs between io_uring and libaio.
type engine interface {
	fill(r *Request, slot uint32) // adds what is left of a request to the batch for the kernel; sq and mu are held
	start()                       // gives the batch to the kernel, or leaves that to await; sq is held
	submit()                      // gives the batch to the kernel at once; sq is held
	await(least int) error        // collects completions until least are ready or nothing is in flight; cq is held
	destroy() error               // frees the kernel's resources; nothing is in flight, cq and sq are held
}

// kernelQueue is the Queue of the two kernel engines.
//
// Submit and Reap share the slots, which mu protects for a few instructions at a time. Order of the locks: cq, sq,
// mu. While a goroutine waits for completions it holds only cq.
type kernelQueue struct {
	engine engine

	cq      sync.Mutex // protects the completions: one Reap at a time
	again   []uint32   // under cq: slots to be submitted again
	yielder yielder    // under cq

	sq       sync.Mutex // protects the submissions
	unbuffed []*Request // under sq: requests of a batch that need a bounce buffer

	mu      sync.Mutex
	waiting int // number of requests in the batch that the kernel has not taken
	slots
}

func newKernelQueue(e engine, f *file, depth int) kernelQueue {
	return kernelQueue{engine: e, again: make([]uint32, 0, depth), unbuffed: make([]*Request, 0, depth), slots: newSlots(f, depth)}
}

// Submit implements Queue. As a rule it makes one system call for the whole batch.
func (q *kernelQueue) Submit(reqs ...*Request) error {
	q.sq.Lock()
	defer q.sq.Unlock()
	q.mu.Lock()
	if err := q.accept(len(reqs)); err != nil {
		q.mu.Unlock()
		return err
	}
	for _, r := range reqs {
		switch {
		case q.settled(r):
			q.ready = append(q.ready, r)
		case r.Op != Flush && !q.f.aligned(r.Buf, r.Off):
			q.unbuffed = append(q.unbuffed, r)
		default:
			q.engine.fill(r, q.take(r))
		}
	}
	q.mu.Unlock()
	q.engine.start()
	for i, r := range q.unbuffed {
		r.Err = perform(q.f, r)
		q.mu.Lock()
		q.ready = append(q.ready, r)
		q.mu.Unlock()
		q.unbuffed[i] = nil
	}
	q.unbuffed = q.unbuffed[:0]
	return nil
}

// Reap implements Queue.
func (q *kernelQueue) Reap(min int) ([]*Request, error) {
	q.cq.Lock()
	defer q.cq.Unlock()
	q.mu.Lock()
	closed := q.closed
	q.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if err := q.engine.await(min); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.handOver(), nil
}

// resubmit submits again the requests that the kernel has completed only in part. cq is held.
func (q *kernelQueue) resubmit() {
	q.sq.Lock()
	defer q.sq.Unlock()
	q.mu.Lock()
	for _, slot := range q.again {
		q.engine.fill(q.requests[slot], slot)
	}
	q.again = q.again[:0]
	q.mu.Unlock()
	q.engine.submit()
}

// busy is the number of requests that the kernel works on.
func (q *kernelQueue) busy() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inKernel() - q.waiting
}

// Close implements Queue.
func (q *kernelQueue) Close() error {
	q.mu.Lock()
	closed := q.closed
	q.closed = true
	q.mu.Unlock()
	if closed {
		return ErrClosed
	}
	q.cq.Lock()
	defer q.cq.Unlock()
	err := q.engine.await(q.depth)
	q.sq.Lock()
	defer q.sq.Unlock()
	return errors.Join(err, q.engine.destroy())
}
