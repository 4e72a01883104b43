package tree

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"ext4img/ext4/layout"
)

// hostReadError is a file of the host that cannot be read. The others can.
type hostReadError struct {
	path string
	err  error
}

func (e *hostReadError) Error() string { return e.path + ": " + e.err.Error() }
func (e *hostReadError) Unwrap() error { return e.err }

// walk imports a directory of the host. What cannot be read is named, and the rest goes on.
func (im *importer) walk(ctx context.Context, src string) error {
	if at, err := filepath.EvalSymlinks(src); err == nil {
		src = at
	}
	links := map[hostFile]string{}
	return filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil { // a directory that cannot be listed; it is there already
			return im.Failed(p, reason(err))
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return im.Failed(p, reason(err))
		}
		e, id, err := hostEntry(p, filepath.ToSlash(rel), info)
		if err != nil {
			return im.Failed(p, reason(err))
		}
		if id != (hostFile{}) && e.kind() != layout.ModeDir {
			if first, seen := links[id]; seen {
				e.LinkTo = first
				return unless(errLeftOut, im.add(ctx, e, nothing{}))
			}
		}
		err = im.hostFile(ctx, p, e)
		switch {
		case err == errLeftOut && e.kind() == layout.ModeDir:
			return fs.SkipDir
		case id != (hostFile{}) && err == nil:
			links[id] = e.Name
		}
		return unless(errLeftOut, err)
	})
}

// hostFile imports one file of the host.
func (im *importer) hostFile(ctx context.Context, p string, e Entry) error {
	if e.kind() != layout.ModeRegular || e.Size == 0 {
		return im.add(ctx, e, nothing{})
	}
	f, err := openQuietly(p)
	if err != nil {
		return im.Failed(p, reason(err))
	}
	defer f.Close()
	from := &hostContent{f: f, path: p, size: e.Size, block: im.block}
	if err := im.add(ctx, e, from); err != nil {
		return err
	}
	now, err := f.Stat()
	switch {
	case from.missing > 0:
		err = fmt.Errorf("%d bytes less than it should have could be read: zeros in their place", from.missing)
	case err == nil && (now.Size() != e.Size || !now.ModTime().Equal(e.Mtime)):
		err = fmt.Errorf("changed while it was read: %d bytes then, %d now", e.Size, now.Size())
	}
	if err != nil {
		return im.Failed(p, err)
	}
	return nil
}

// hostContent is the data of a file of the host, without its holes, as far as the image's blocks can follow them.
type hostContent struct {
	f          *os.File
	path       string
	size       int64
	block      int64
	off        int64 // up to where it has been read
	start, end int64 // the rest of a range of data
	missing    int64 // bytes that could not be read, because it has become shorter
}

func (h *hostContent) next(buf []byte) (off int64, n int, err error) {
	if h.start == h.end {
		if h.off >= h.size {
			return 0, 0, io.EOF
		}
		start, end, err := NextData(h.f, h.off, h.size)
		if err != nil {
			return 0, 0, &hostReadError{h.path, reason(err)}
		}
		if start >= h.size {
			return 0, 0, io.EOF
		}
		h.start = max(start/h.block*h.block, h.off)
		h.end = min((end+h.block-1)/h.block*h.block, h.size)
	}
	n = int(min(int64(len(buf)), h.end-h.start))
	got, err := h.f.ReadAt(buf[:n], h.start)
	if err == io.EOF && got < n {
		clear(buf[got:n])
		h.missing += int64(n - got)
	} else if err != nil && err != io.EOF {
		return 0, 0, &hostReadError{h.path, reason(err)}
	}
	off = h.start
	h.start += int64(n)
	h.off = h.start
	return off, n, nil
}
