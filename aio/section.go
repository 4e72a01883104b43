package aio

import (
	"fmt"
	"io"
)

// section is a part of a device, such as a partition.
type section struct {
	dev       Device
	off, size int64
}

// Section returns the part [off, off+size) of dev as a device. Closing it closes dev. If off is not a multiple of
// dev.Align(), everything works, but every transfer passes through a bounce buffer.
func Section(dev Device, off, size int64) (Device, error) {
	if off < 0 || size < 0 || size > dev.Size() || off > dev.Size()-size {
		return nil, fmt.Errorf("section of %d bytes at %d: %w of %d bytes", size, off, ErrRange, dev.Size())
	}
	return &section{dev, off, size}, nil
}

func (s *section) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= s.size {
		return 0, io.EOF
	}
	if int64(len(p)) > s.size-off {
		n, err := s.dev.ReadAt(p[:s.size-off], s.off+off)
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	return s.dev.ReadAt(p, s.off+off)
}

func (s *section) WriteAt(p []byte, off int64) (int, error) {
	if err := CheckRange(s.size, off, len(p)); err != nil {
		return 0, err
	}
	return s.dev.WriteAt(p, s.off+off)
}

func (s *section) Flush() error   { return s.dev.Flush() }
func (s *section) Size() int64    { return s.size }
func (s *section) Align() int     { return s.dev.Align() }
func (s *section) Close() error   { return s.dev.Close() }
func (s *section) Unwrap() Device { return s.dev }

func (s *section) Queue(depth int) (Queue, error) {
	q, err := s.dev.Queue(depth)
	if err != nil {
		return nil, err
	}
	return &sectionQueue{q, s}, nil
}

// sectionQueue adds the section's own offset to requests while they are in flight. A request that is not inside the
// section is passed on as a read of no bytes, so that it completes with its error in turn, like any other.
type sectionQueue struct {
	q Queue
	s *section
}

// cut is what a section removes from a request that it must not pass on.
type cut struct {
	by  *sectionQueue // nil: nothing was removed
	op  Op
	buf []byte
	off int64
	err error
}

func (q *sectionQueue) Submit(reqs ...*Request) error {
	for _, r := range reqs {
		q.enter(r)
	}
	err := q.q.Submit(reqs...)
	if err != nil {
		for _, r := range reqs {
			q.leave(r)
			r.Err = nil
		}
	}
	return err
}

func (q *sectionQueue) Reap(min int) ([]*Request, error) {
	reqs, err := q.q.Reap(min)
	for _, r := range reqs {
		q.leave(r)
	}
	return reqs, err
}

func (q *sectionQueue) enter(r *Request) {
	if r.Op != Flush {
		if err := CheckRange(q.s.size, r.Off, len(r.Buf)); err != nil {
			r.state.cut = cut{q, r.Op, r.Buf, r.Off, err}
			r.Op, r.Buf, r.Off = Read, nil, 0
		}
		r.Off += q.s.off
	}
}

func (q *sectionQueue) leave(r *Request) {
	if c := r.state.cut; c.by == q {
		r.Op, r.Buf, r.Off, r.Err = c.op, c.buf, c.off, c.err
		r.state.cut = cut{}
	} else if r.Op != Flush {
		r.Off -= q.s.off
	}
}

func (q *sectionQueue) Close() error { return q.q.Close() }

func (q *sectionQueue) register(a *Arena) bool { return Register(q.q, a) }

func (q *sectionQueue) pin() bool { return Pin(q.q) }
