package main

import (
	"fmt"
	"io"

	"ext4img/cmd/ext4img/internal/pump"
	"ext4img/ext4"
)

// writeAll copies the source, and returns how many bytes it wrote.
func writeAll(e *env, img *image, f *ext4.File, src *source, q queueOptions) (int64, error) {
	p, err := pump.New(e.ctx, img.fs, q.depth, int(q.bs), max(img.dev.Align(), 4096))
	if err != nil {
		return 0, err
	}
	bar := newProgress(e, "write", src.total())
	w := &copier{pump: p, file: f, bs: q.bs, bar: bar, limit: max(1, q.depth/4)}
	if src.ranges == nil {
		r := src.r
		if src.size < 0 { // not a regular file: a read may block for ever
			r = newCtxReader(e.ctx, r)
		}
		err = w.copy(r, src.offset)
	}
	for _, r := range src.ranges {
		if err == nil {
			err = w.copyRange(src.file, r)
		}
	}
	if e := w.flush(); err == nil {
		err = e
	}
	if e := p.Drain(); err == nil {
		err = e
	}
	bar.end()
	if e := p.Close(); err == nil {
		err = e
	}
	return w.bytes, err
}

// copier cuts what it reads into writes.
type copier struct {
	pump  *pump.Pump
	file  *ext4.File
	bs    int64
	bar   *progress
	batch []*ext4.Request
	limit int // of batch: reading goes on while the rest is in flight
	bytes int64
}

// copyRange writes one range of the source at its own offset.
func (w *copier) copyRange(src io.ReaderAt, r byteRange) error {
	before := w.bytes
	if err := w.copy(io.NewSectionReader(src, r.off, r.n), r.off); err != nil {
		return err
	}
	if got := w.bytes - before; got < r.n {
		return fmt.Errorf("range %d %d: the source ends after %d bytes of it: %w", r.off, r.n, got, io.ErrUnexpectedEOF)
	}
	return nil
}

// copy writes all of r from off on. Writes end at multiples of the block size, so that all but the first and the last are whole ones.
func (w *copier) copy(r io.Reader, off int64) error {
	for {
		if len(w.pump.Free) == 0 || len(w.batch) >= w.limit {
			if err := w.flush(); err != nil {
				return err
			}
		}
		req, err := w.pump.Get()
		if err != nil {
			return err
		}
		req.Buf = req.Buf[:w.bs-off%w.bs]
		n, err := io.ReadFull(r, req.Buf)
		if n == 0 {
			w.pump.Free = append(w.pump.Free, req)
		} else {
			req.Buf = req.Buf[:n]
			w.stage(req, off)
			off += int64(n)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// stage puts a request with data into the batch.
func (w *copier) stage(req *ext4.Request, off int64) {
	req.File, req.Op, req.Off = w.file, ext4.OpWrite, off
	w.batch = append(w.batch, req)
	w.bytes += int64(len(req.Buf))
	w.bar.add(int64(len(req.Buf)))
}

// flush submits what has been read so far.
func (w *copier) flush() error {
	batch := w.batch
	w.batch = w.batch[:0]
	if len(batch) == 0 {
		return nil
	}
	return w.pump.Submit(batch)
}
