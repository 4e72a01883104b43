package simdev

import (
	"io"
	"slices"

	"ext4img/aio"
)

// A flight is a request that a queue owns.
type flight struct {
	q    *queue
	req  *aio.Request
	w    *Write // of a write only
	data []byte // of a write only: the buffer's bytes before it was filled with Scribble
	done bool
}

type queue struct {
	d       *Device
	depth   int
	flights []*flight // in order of submission
	done    []*flight // in order of completion
	out     []*aio.Request
	closed  bool
}

// Queue implements aio.Device.
func (d *Device) Queue(depth int) (aio.Queue, error) {
	if depth < 1 {
		return nil, aio.ErrDepth
	}
	return &queue{d: d, depth: depth}, nil
}

// Submit implements aio.Queue.
func (q *queue) Submit(reqs ...*aio.Request) error {
	d := q.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if q.closed {
		return aio.ErrClosed
	}
	if len(q.flights)+len(reqs) > q.depth {
		return aio.ErrFull
	}
	for _, r := range reqs {
		r.Err = nil
		f := &flight{q: q, req: r}
		if r.Op != aio.Flush {
			r.Err = aio.CheckRange(d.now.size, r.Off, len(r.Buf))
		}
		if r.Op == aio.Write {
			f.data = slices.Clone(r.Buf)
		}
		fillBytes(r.Buf, Scribble)
		if r.Op == aio.Write && r.Err == nil {
			f.w = d.accept(slices.Clone(f.data), r.Off)
		}
		q.flights = append(q.flights, f)
		if d.hold != nil && d.hold(r) {
			d.held = append(d.held, f)
		} else {
			d.run(f)
		}
	}
	d.changed.Broadcast()
	return nil
}

// run carries a request out.
func (d *Device) run(f *flight) {
	r := f.req
	if r.Err == nil {
		switch r.Op {
		case aio.Read:
			if r.Err = d.begin(aio.Read, r.Off, len(r.Buf)); r.Err == nil {
				_, r.Err = d.now.ReadAt(r.Buf, r.Off)
				if r.Err == io.EOF {
					r.Err = nil // the range was checked: all bytes are there
				}
			}
		case aio.Write:
			_, r.Err = d.put(f.w)
		case aio.Flush:
			r.Err = d.flush()
		}
	}
	f.done = true
	f.q.done = append(f.q.done, f)
}

// Reap implements aio.Queue.
func (q *queue) Reap(min int) ([]*aio.Request, error) {
	d := q.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if q.closed {
		return nil, aio.ErrClosed
	}
	return q.reap(min), nil
}

func (q *queue) reap(min int) []*aio.Request {
	for len(q.done) < min && len(q.done) < len(q.flights) {
		q.d.changed.Wait()
	}
	q.out = q.out[:0]
	for _, f := range q.done {
		q.giveBack(f)
		q.out = append(q.out, f.req)
	}
	q.flights = slices.DeleteFunc(q.flights, func(f *flight) bool { return f.done })
	q.done = q.done[:0]
	return q.out
}

// giveBack ends the ownership of a request's buffer.
func (q *queue) giveBack(f *flight) {
	if f.req.Op != aio.Write {
		return
	}
	if !allIs(f.req.Buf, Scribble) {
		panic("simdev: the buffer of a write was changed while a queue owned it")
	}
	copy(f.req.Buf, f.data)
	if f.w != nil {
		q.d.settle(f.w)
	}
}

// Close implements aio.Queue. It waits for held requests: release them first.
func (q *queue) Close() error {
	q.d.mu.Lock()
	defer q.d.mu.Unlock()
	if q.closed {
		return aio.ErrClosed
	}
	q.reap(len(q.flights))
	q.closed = true
	return nil
}

// Hold keeps requests that are submitted from now on from being carried out until they are released: those for which
// match returns true, or all if match is nil.
func (d *Device) Hold(match func(*aio.Request) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if match == nil {
		match = func(*aio.Request) bool { return true }
	}
	d.hold = match
}

// Held returns the held requests, in order of submission. They still belong to their queue: callers look at Op and
// Off only.
func (d *Device) Held() []*aio.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heldRequests()
}

// WaitHeld waits until n requests are held and returns them.
func (d *Device) WaitHeld(n int) []*aio.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.held) < n {
		d.changed.Wait()
	}
	return d.heldRequests()
}

func (d *Device) heldRequests() []*aio.Request {
	rs := make([]*aio.Request, len(d.held))
	for i, f := range d.held {
		rs[i] = f.req
	}
	return rs
}

// Release carries out these held requests, in this order, or all held requests if none is given. Hold stays in force.
func (d *Device) Release(reqs ...*aio.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(reqs) == 0 {
		reqs = d.heldRequests()
	}
	for _, r := range reqs {
		i := slices.IndexFunc(d.held, func(f *flight) bool { return f.req == r })
		if i < 0 {
			panic("simdev: release of a request that is not held")
		}
		f := d.held[i]
		d.held = slices.Delete(d.held, i, i+1)
		d.run(f)
	}
	d.changed.Broadcast()
}

// Unhold ends Hold and releases all held requests.
func (d *Device) Unhold() {
	d.mu.Lock()
	d.hold = nil
	d.mu.Unlock()
	if len(d.Held()) > 0 {
		d.Release()
	}
}
