// Package pump keeps the queue of a file system full. It owns the buffers in flight, and nothing on disk.
package pump

import (
	"context"
	"errors"
	"fmt"

	"ext4img/aio"
	"ext4img/cmd/ext4img/internal/sizes"
	"ext4img/ext4"
)

// maxArena bounds the memory for buffers in flight.
const maxArena = 1 << 30

// Pump keeps a queue full: buffers of one size, out of an arena that the queue knows, one for each request that can be in flight.
type Pump struct {
	ctx      context.Context
	queue    *ext4.Queue
	arena    *aio.Arena
	Free     []*ext4.Request // with their buffers at full length
	size     int
	inFlight int
	Done     func(r *ext4.Request) // a request came back without error; nil: nothing to do
	Forgive  error                 // an error of a request that ends nothing; nil: none
}

// New makes a pump for depth requests of size bytes.
func New(ctx context.Context, fs *ext4.FS, depth, size, align int) (*Pump, error) {
	room := (size + align - 1) &^ (align - 1)
	if depth < 1 || size < 1 || room > maxArena/depth {
		return nil, fmt.Errorf("%d requests of %s: must be more than 0, and %s together at most", depth, sizes.Short(int64(size)), sizes.Short(maxArena))
	}
	arena, err := aio.NewArena(depth*room, align)
	if err != nil {
		return nil, err
	}
	p := &Pump{ctx: ctx, arena: arena, size: size}
	if p.queue, err = fs.NewQueue(depth); err != nil {
		arena.Close()
		return nil, err
	}
	_ = p.queue.Register(arena) // without it, it is only slower
	for range depth {
		buf, err := arena.Alloc(size)
		if err != nil {
			p.Close()
			return nil, err
		}
		p.Free = append(p.Free, &ext4.Request{Buf: buf})
	}
	return p, nil
}

// Get returns a request with a buffer, waiting for one to come back. It fails when the
// user has interrupted, or when an earlier request has failed.
func (p *Pump) Get() (*ext4.Request, error) {
	if err := p.ctx.Err(); err != nil {
		return nil, context.Cause(p.ctx)
	}
	if len(p.Free) == 0 {
		if err := p.Reap(1); err != nil {
			return nil, err
		}
	}
	r := p.Free[len(p.Free)-1]
	p.Free = p.Free[:len(p.Free)-1]
	r.Buf = r.Buf[:p.size]
	return r, nil
}

// Submit sends requests on their way.
func (p *Pump) Submit(reqs []*ext4.Request) error {
	p.inFlight += len(reqs)
	return p.queue.Submit(reqs...)
}

// Reap takes back at least min requests.
func (p *Pump) Reap(min int) error {
	reqs, err := p.queue.Reap(min)
	for _, r := range reqs {
		p.inFlight--
		p.Free = append(p.Free, r)
		switch {
		case r.Err != nil && p.Forgive != nil && errors.Is(r.Err, p.Forgive):
		case r.Err != nil && err == nil:
			err = r.Err
		case r.Err == nil && p.Done != nil:
			p.Done(r)
		}
	}
	return err
}

// Drain waits for all requests. The first error counts.
func (p *Pump) Drain() error {
	var first error
	for p.inFlight > 0 {
		before := p.inFlight
		if err := p.Reap(p.inFlight); err != nil && first == nil {
			first = err
		}
		if p.inFlight == before { // the queue is broken, nothing comes back
			break
		}
	}
	return first
}

// Close ends the queue and gives the memory back.
func (p *Pump) Close() error {
	err := p.queue.Close()
	if e := p.arena.Close(); err == nil {
		err = e
	}
	return err
}
