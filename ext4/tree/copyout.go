package tree

import (
	"context"
	"io"
	"os"
	"syscall"

	"ext4img/aio/block"
	"ext4img/ext4"
)

// A Copier copies the content of single files out of a file system, one after the other through one buffer. One goroutine
// uses it.
type Copier struct {
	ctx      context.Context
	progress func(n int64) // told of bytes that have been copied; never nil
	buf      []byte
}

// NewCopier makes a Copier that gives up when ctx ends. progress, if not nil, is told of bytes that have been copied.
func NewCopier(ctx context.Context, progress func(n int64)) *Copier {
	if progress == nil {
		progress = func(int64) {}
	}
	return &Copier{ctx: ctx, progress: progress}
}

// buffer is the one buffer, made when the first file needs it.
func (c *Copier) buffer() []byte {
	if c.buf == nil {
		c.buf = block.Aligned(1<<20, 4096)
	}
	return c.buf
}

// Stream copies the content of the regular file at name to w, holes as zeros.
func (c *Copier) Stream(f *ext4.FS, name string, w io.Writer) error {
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

// File copies the regular file at name to the file dst of the host, which is replaced when its successor is complete
// (see ReplaceFile). Holes stay holes, but for a dst that is no regular file, such as a pipe: that gets all bytes.
func (c *Copier) File(f *ext4.FS, name, dst string) error {
	if old, err := os.Stat(dst); err == nil && !old.IsDir() && !old.Mode().IsRegular() {
		return ReplaceFile(dst, 0, func(w *os.File) error { return c.Stream(f, name, w) })
	}
	in, err := f.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	geo := f.Geometry()
	data, err := dataOf(in, info.Size(), int64(geo.Blocks)*int64(geo.BlockSize))
	if err != nil {
		return err
	}
	return ReplaceFile(dst, info.Mode().Perm(), func(out *os.File) error { return c.sparse(out, in, info.Size(), data) })
}

// sparse copies the data of a file to an empty one of the same size, and leaves out the rest, which reads as zeros.
func (c *Copier) sparse(out *os.File, in io.ReaderAt, size int64, data []span) error {
	if err := out.Truncate(size); err != nil {
		return onHost("truncate", err)
	}
	for _, s := range data {
		if _, err := c.span(io.NewOffsetWriter(hostWriter{out}, s.start), in, s); err != nil {
			return err
		}
	}
	return nil
}

// span copies a range of a file to w and returns how many bytes came through.
func (c *Copier) span(w io.Writer, in io.ReaderAt, s span) (done int64, err error) {
	buf := c.buffer()
	for off := s.start; off < s.end; {
		if err := c.ctx.Err(); err != nil {
			return off - s.start, err
		}
		n, err := in.ReadAt(buf[:min(int64(len(buf)), s.end-off)], off)
		if n == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return off - s.start, err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return off - s.start, err
		}
		off += int64(n)
		c.progress(int64(n))
	}
	return s.end - s.start, nil
}

// hostWriter is a file of the host: its errors are not the image's.
type hostWriter struct{ f *os.File }

func (h hostWriter) WriteAt(p []byte, off int64) (int, error) {
	n, err := h.f.WriteAt(p, off)
	return n, onHost("write", err)
}
