package main

import (
	"context"
	"errors"
	"fmt"

	"ext4img/aio"
	"ext4img/ext4"
)

// maxArena bounds the memory for buffers in flight.
const maxArena = 1 << 30

// pump keeps a queue full: buffers of one size, out of an arena that the queue knows, one for each request that can be in flight.
type pump struct {
	ctx      context.Context
	queue    *ext4.Queue
	arena    *aio.Arena
	free     []*ext4.Request // with their buffers at full length
	size     int
	inFlight int
	done     func(r *ext4.Request) // a request came back without error; nil: nothing to do
	forgive  error                 // an error of a request that ends nothing; nil: none
}

// newPump makes a pump for depth requests of size bytes.
func newPump(ctx context.Context, fs *ext4.FS, depth, size, align int) (*pump, error) {
	room := (size + align - 1) &^ (align - 1)
	if depth < 1 || size < 1 || room > maxArena/depth {
		return nil, fmt.Errorf("%d requests of %s: must be more than 0, and %s together at most", depth, shortSize(int64(size)), shortSize(maxArena))
	}
	arena, err := aio.NewArena(depth*room, align)
	if err != nil {
		return nil, err
	}
	p := &pump{ctx: ctx, arena: arena, size: size}
	if p.queue, err = fs.NewQueue(depth); err != nil {
		arena.Close()
		return nil, err
	}
	_ = p.queue.Register(arena) // without it, it is only slower
	for range depth {
		buf, err := arena.Alloc(size)
		if err != nil {
			p.close()
			return nil, err
		}
		p.free = append(p.free, &ext4.Request{Buf: buf})
	}
	return p, nil
}

// get returns a request with a buffer, waiting for one to come back. It fails when the
// user has interrupted, or when an earlier request has failed.
func (p *pump) get() (*ext4.Request, error) {
	if err := p.ctx.Err(); err != nil {
		return nil, context.Cause(p.ctx)
	}
	if len(p.free) == 0 {
		if err := p.reap(1); err != nil {
			return nil, err
		}
	}
	r := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	r.Buf = r.Buf[:p.size]
	return r, nil
}

// submit sends requests on their way.
func (p *pump) submit(reqs []*ext4.Request) error {
	p.inFlight += len(reqs)
	return p.queue.Submit(reqs...)
}

// reap takes back at least min requests.
func (p *pump) reap(min int) error {
	reqs, err := p.queue.Reap(min)
	for _, r := range reqs {
		p.inFlight--
		p.free = append(p.free, r)
		switch {
		case r.Err != nil && p.forgive != nil && errors.Is(r.Err, p.forgive):
		case r.Err != nil && err == nil:
			err = r.Err
		case r.Err == nil && p.done != nil:
			p.done(r)
		}
	}
	return err
}

// drain waits for all requests. The first error counts.
func (p *pump) drain() error {
	var first error
	for p.inFlight > 0 {
		before := p.inFlight
		if err := p.reap(p.inFlight); err != nil && first == nil {
			first = err
		}
		if p.inFlight == before { // the queue is broken, nothing comes back
			break
		}
	}
	return first
}

// close ends the queue and gives the memory back.
func (p *pump) close() error {
	err := p.queue.Close()
	if e := p.arena.Close(); err == nil {
		err = e
	}
	return err
}
