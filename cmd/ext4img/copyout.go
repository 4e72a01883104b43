package main

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"ext4img/aio"
	"ext4img/ext4"
)

// copyOut copies the content of files out of an image, one after the other through one buffer.
type copyOut struct {
	ctx      context.Context
	progress func(n int64) // told of bytes that have been copied; never nil
	buf      []byte
}

// newCopyOut makes a copyOut that gives up when ctx ends. progress may be nil.
func newCopyOut(ctx context.Context, progress func(n int64)) *copyOut {
	if progress == nil {
		progress = func(int64) {}
	}
	return &copyOut{ctx: ctx, progress: progress}
}

// buffer is the one buffer, made when the first file needs it.
func (c *copyOut) buffer() []byte {
	if c.buf == nil {
		c.buf = aio.AlignedBuf(1<<20, 4096)
	}
	return c.buf
}

// stream copies the content of the regular file at name to w, holes as zeros.
func (c *copyOut) stream(f *ext4.FS, name string, w io.Writer) error {
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = syscall.EISDIR
	}
	for buf := c.buffer(); err == nil; {
		if err = c.ctx.Err(); err != nil {
			break
		}
		var n int
		n, err = file.Read(buf)
		if n > 0 {
			if _, e := w.Write(buf[:n]); e != nil {
				err = e
			}
			c.progress(int64(n))
		}
	}
	if err == io.EOF {
		err = nil
	}
	if e := file.Close(); err == nil {
		err = e
	}
	return err
}

// sparse copies the written ranges of a file to out and leaves out the rest, which reads as zeros.
func (c *copyOut) sparse(out *os.File, in *ext4.File, size int64) error {
	if err := out.Truncate(size); err != nil {
		return err
	}
	for off := int64(0); off < size; {
		start, err := in.Seek(off, ext4.SeekData)
		if err != nil {
			return noMoreData(err)
		}
		end, err := in.Seek(start, ext4.SeekHole)
		if err != nil {
			return err
		}
		if err := c.piece(out, in, start, end); err != nil {
			return err
		}
		off = end
	}
	return nil
}

// piece copies the bytes from start to end, to the same place.
func (c *copyOut) piece(out io.WriterAt, in io.ReaderAt, start, end int64) error {
	buf := c.buffer()
	for off := start; off < end; {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n, err := in.ReadAt(buf[:min(int64(len(buf)), end-off)], off)
		if n == 0 && err != nil {
			return err
		}
		if _, err := out.WriteAt(buf[:n], off); err != nil {
			return err
		}
		off += int64(n)
		c.progress(int64(n))
		if err == io.EOF && off < end {
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

// noMoreData: a search for data beyond the last is no failure.
func noMoreData(err error) error {
	if errors.Is(err, syscall.ENXIO) {
		return nil
	}
	return err
}
