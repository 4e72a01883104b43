package main

import (
	"context"
	"io"
)

// ctxReader reads from a stream that may block for ever, such as a pipe, and gives up when the context ends. The read itself goes on
// in its goroutine, into memory of its own.
type ctxReader struct {
	ctx    context.Context
	chunks chan chunk
	back   chan []byte
	rest   []byte
	whole  []byte // of which rest is a part
	err    error
}

type chunk struct {
	p   []byte
	err error
}

func newCtxReader(ctx context.Context, r io.Reader) *ctxReader {
	c := &ctxReader{ctx: ctx, chunks: make(chan chunk), back: make(chan []byte, 2)}
	c.back <- make([]byte, 1<<18)
	c.back <- make([]byte, 1<<18)
	go func() {
		for {
			select {
			case p := <-c.back:
				n, err := r.Read(p[:cap(p)])
				select {
				case c.chunks <- chunk{p[:n], err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return c
}

func (c *ctxReader) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.whole != nil {
			c.back <- c.whole
			c.whole = nil
		}
		if c.err != nil {
			return 0, c.err
		}
		select {
		case got := <-c.chunks:
			c.whole, c.rest, c.err = got.p, got.p, got.err
		case <-c.ctx.Done():
			return 0, context.Cause(c.ctx)
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
