package aio

import "sync"

// poolWorkers bounds the goroutines, and so the threads, of the portable engine.
const poolWorkers = 32

// pool is the portable engine: goroutines that do plain reads and writes.
type pool struct {
	dev   Device
	depth int
	work  chan *Request
	wg    sync.WaitGroup

	mu       sync.Mutex
	finished sync.Cond
	inFlight int        // submitted and not yet reaped
	done     []*Request // complete and not yet reaped
	out      []*Request // what the last Reap returned
	closed   bool
}

func newPool(dev Device, depth int) (*pool, error) {
	if depth < 1 {
		return nil, ErrDepth
	}
	q := &pool{dev: dev, depth: depth, work: make(chan *Request, depth)}
	q.finished.L = &q.mu
	for range min(depth, poolWorkers) {
		q.wg.Add(1)
		go q.run()
	}
	return q, nil
}

func (q *pool) run() {
	defer q.wg.Done()
	for r := range q.work {
		r.Err = perform(q.dev, r)
		q.mu.Lock()
		q.done = append(q.done, r)
		q.finished.Signal()
		q.mu.Unlock()
	}
}

// perform carries one request out and returns its error.
func perform(dev Device, r *Request) error {
	if r.Op == Flush {
		return dev.Flush()
	}
	if err := CheckRange(dev.Size(), r.Off, len(r.Buf)); err != nil {
		return err
	}
	if r.Op == Write {
		_, err := dev.WriteAt(r.Buf, r.Off)
		return err
	}
	n, err := dev.ReadAt(r.Buf, r.Off)
	if n == len(r.Buf) {
		return nil // ReadAt may return io.EOF together with the last byte
	}
	return err
}

// Submit implements Queue.
func (q *pool) Submit(reqs ...*Request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	if q.inFlight+len(reqs) > q.depth {
		return ErrFull
	}
	q.inFlight += len(reqs)
	for _, r := range reqs {
		q.work <- r // never blocks: the channel's capacity is the depth
	}
	return nil
}

// Reap implements Queue.
func (q *pool) Reap(min int) ([]*Request, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, ErrClosed
	}
	return q.reap(min), nil
}

func (q *pool) reap(min int) []*Request {
	for len(q.done) < min && len(q.done) < q.inFlight {
		q.finished.Wait()
	}
	q.out, q.done = q.done, q.out[:0]
	q.inFlight -= len(q.out)
	return q.out
}

// Close implements Queue.
func (q *pool) Close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	q.reap(q.inFlight)
	q.closed = true
	q.mu.Unlock()
	close(q.work)
	q.wg.Wait()
	return nil
}
