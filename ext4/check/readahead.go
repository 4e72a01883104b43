package check

import (
	"ext4img/aio"
	"ext4img/ext4/layout"
)

// readAhead is the number of pieces of inode tables that a worker has in memory; all but one are still being read.
const readAhead = 2

// A tableReader reads pieces of inode tables in the order in which they are requested, several at a time.
type tableReader struct {
	c       *checker
	queue   aio.Queue
	arena   *aio.Arena
	free    []*aio.Request
	pending []*tablePiece // in order
	last    *tablePiece   // handed out by next, and valid until the next call
}

// A tablePiece is one step that is being read.
type tablePiece struct {
	step tableStep
	req  *aio.Request
	err  error
	done bool
}

func newTableReader(c *checker) (*tableReader, error) {
	r := &tableReader{c: c}
	size := max(tableRead, c.geo.isize)
	var err error
	if r.arena, err = aio.NewArena((readAhead+1)*size, min(c.dev.Align(), 4096)); err != nil {
		return nil, err
	}
	for range readAhead + 1 {
		p, err := r.arena.Alloc(size)
		if err != nil {
			return nil, err
		}
		r.free = append(r.free, &aio.Request{Op: aio.Read, Buf: p})
	}
	r.queue, err = c.dev.Queue(readAhead + 1)
	return r, err
}

func (r *tableReader) inFlight() int { return len(r.pending) }

// submit starts to read a piece.
func (r *tableReader) submit(s tableStep) error {
	g := r.c.geo
	req := r.free[len(r.free)-1]
	r.free = r.free[:len(r.free)-1]
	t := &tablePiece{step: s, req: req}
	r.pending = append(r.pending, t)
	at := uint64(r.c.descs[s.group].InodeTable())
	req.Buf = req.Buf[:int(s.take)*g.isize]
	req.Off = int64(at)<<g.bits + int64(s.from)*int64(g.isize)
	req.Err, req.User = nil, t
	if !g.valid(at) || req.Off < 0 || req.Off+int64(len(req.Buf)) > r.c.dev.Size() {
		t.err, t.done = layout.Corruptf("inode table at block %d", at), true
		return nil
	}
	return r.queue.Submit(req)
}

// next waits for the oldest piece. It may be used until the next call.
func (r *tableReader) next() (tableStep, []byte, error) {
	if r.last != nil {
		r.free = append(r.free, r.last.req)
	}
	t := r.pending[0]
	r.pending, r.last = r.pending[1:], t
	for !t.done {
		done, err := r.queue.Reap(1)
		if err != nil {
			return t.step, nil, err
		}
		for _, req := range done {
			p := req.User.(*tablePiece)
			p.done, p.err = true, req.Err
		}
	}
	return t.step, t.req.Buf, t.err
}

// close waits for pieces that are being read and frees the memory.
func (r *tableReader) close() {
	r.queue.Close()
	r.arena.Close()
}
