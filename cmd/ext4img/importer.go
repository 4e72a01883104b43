package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"syscall"

	"ext4img/ext4"
	"ext4img/ext4/layout"
)

// importOptions say how a tree comes into an image.
type importOptions struct {
	dir      string // in the image: the tree goes beneath it, and nothing outside is touched
	uid, gid int    // of every file; -1: as the source says
	depth    int    // writes in flight
	piece    int    // bytes of one write
	noAtime  bool   // times of access are those of modification: the same tree gives the same image
	// failed is told of a file that could not be made, or not as it should be; the rest goes on unless it returns an error.
	failed func(path string, err error) error
	// warn is told of what is no failure.
	warn func(format string, args ...any)
	// progress is told of bytes that were read.
	progress func(n int64)
}

// importer puts entries into an image: small files many at a time, large ones through a queue.
type importer struct {
	importOptions
	fs    *ext4.FS
	block int64 // of the file system, bytes
	maker *ext4.Maker
	fill  *ext4.Filler

	batch []ext4.Entry
	data  int // bytes of content in it
}

const (
	smallFile    = 1 << 20 // bytes of a file whose content goes with its inode
	batchBytes   = 16 << 20
	batchEntries = 1024
)

// newImporter makes the directory that all goes beneath.
func newImporter(f *ext4.FS, o importOptions) (*importer, error) {
	im := &importer{importOptions: o, fs: f, block: int64(f.Geometry().BlockSize)}
	missing := owner(0o755)
	missing.UID, missing.GID = uint32(max(o.uid, 0)), uint32(max(o.gid, 0))
	if err := f.MkdirAll(o.dir, missing); err != nil {
		return nil, err
	}
	var err error
	if im.maker, err = f.NewMaker(o.dir, missing); err != nil {
		return nil, err
	}
	if im.fill, err = f.NewFiller(o.depth, o.piece); err != nil {
		return nil, errors.Join(err, im.maker.Close())
	}
	return im, nil
}

// close ends the import and syncs. What has been added is made, also after a failure.
func (im *importer) close() error {
	err := im.flush()
	for _, end := range []func() error{im.fill.Close, im.maker.Close, im.fs.Sync} {
		if e := end(); err == nil {
			err = e
		}
	}
	return err
}

// content gives the data of a regular file in pieces of at most len(buf) bytes, at least a block: in ascending order, each but
// the last beginning and ending at multiples of the image's block size. buf is where a piece goes.
type content interface {
	next(buf []byte) (off int64, n int, err error) // io.EOF after the last
}

// nothing is the content of an empty file.
type nothing struct{}

func (nothing) next([]byte) (int64, int, error) { return 0, 0, io.EOF }

// add takes one entry.
func (im *importer) add(ctx context.Context, e treeEntry, from content) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if im.noAtime {
		e.Atime = e.Mtime
	}
	if im.uid >= 0 {
		e.UID = uint32(im.uid)
	}
	if im.gid >= 0 {
		e.GID = uint32(im.gid)
	}
	x := ext4.Entry{
		Path: e.Name, Mode: e.Mode, UID: e.UID, GID: e.GID, Atime: e.Atime, Mtime: e.Mtime,
		Target: e.Target, LinkTo: e.LinkTo, Major: e.Major, Minor: e.Minor, Xattrs: e.Xattrs,
	}
	if e.LinkTo == "" && e.kind() == layout.ModeRegular {
		if e.Size > smallFile {
			return im.large(ctx, e, x, from)
		}
		x.Size = e.Size
		var err error
		if x.Data, err = im.small(e.Size, from); err != nil {
			return im.unread(e.Name, err)
		}
	}
	for _, value := range e.Xattrs {
		im.data += len(value)
	}
	im.batch = append(im.batch, x)
	if im.data >= batchBytes || len(im.batch) >= batchEntries {
		return im.flush()
	}
	return nil
}

// unread names a file whose content could not be read, if that is no more than its own failure.
func (im *importer) unread(name string, err error) error {
	var host *hostReadError
	if errors.As(err, &host) {
		return im.failed(host.path, host.err)
	}
	return err
}

// small reads the content of a small file.
func (im *importer) small(size int64, from content) (pieces []ext4.Piece, err error) {
	for size > 0 {
		buf := make([]byte, size)
		off, n, err := from.next(buf)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, ext4.Piece{Off: off, Data: buf[:n]})
		im.data += len(buf)
		im.progress(int64(n))
	}
	return pieces, nil
}

// large fills a file that has no name yet, and then gives it the name: what had the name before stays until then.
func (im *importer) large(ctx context.Context, e treeEntry, x ext4.Entry, from content) error {
	if err := im.flush(); err != nil {
		return err
	}
	f, err := im.maker.Temp(x.Path)
	if err != nil {
		return im.refused(x.Path, err)
	}
	if err = f.Truncate(e.Size); err == nil { // before anything is written: it may be too large
		err = im.pour(ctx, f, from)
	}
	switch {
	case err == nil:
		x.File = f
		im.batch = append(im.batch, x)
		err = im.flush()
	case errors.As(err, new(*hostReadError)):
		err = im.unread(e.Name, err)
	default:
		err = im.refused(x.Path, err)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

func (im *importer) pour(ctx context.Context, f *ext4.File, from content) error {
	for {
		buf, err := im.fill.Buffer()
		if err != nil {
			return err
		}
		off, n, err := from.next(buf)
		if err == io.EOF {
			return im.fill.Flush()
		}
		if err == nil {
			err = im.fill.Put(f, off, n)
		}
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			im.fill.Drop()
			return err
		}
		im.progress(int64(n))
	}
}

// flush makes what the batch holds. What cannot be made is named, and the rest goes on.
func (im *importer) flush() error {
	batch := im.batch
	im.batch, im.data = im.batch[:0], 0
	defer clear(batch)
	for rest := batch; len(rest) > 0; {
		n, err := im.maker.Make(rest)
		rest = rest[n:]
		if err == nil {
			continue
		}
		var xe *ext4.XattrError
		if errors.As(err, &xe) && (ofOneFile(err) || errors.Is(err, syscall.ENOSPC)) { // without it, then
			delete(rest[0].Xattrs, xe.Name)
			if err := im.failed(im.at(rest[0].Path), xe); err != nil {
				return err
			}
			continue
		}
		if err := im.refused(rest[0].Path, err); err != nil {
			return err
		}
		rest = rest[1:]
	}
	return nil
}

// refused names a file that the image did not take, or returns the error if it is not that of one file.
func (im *importer) refused(name string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if !ofOneFile(err) {
		return &fs.PathError{Op: "import", Path: im.at(name), Err: err}
	}
	return im.failed(im.at(name), err)
}

// at is the name in the image, for messages.
func (im *importer) at(name string) string {
	if name == "." || name == "" {
		return im.dir
	}
	return path.Join(im.dir, "/") + "/" + name
}

// ofOneFile tells whether an error is that of one file, so that others may succeed.
func ofOneFile(err error) bool {
	for _, e := range []error{ext4.ErrOutside, ext4.ErrUnsupported, ext4.ErrCorrupt, fs.ErrNotExist, fs.ErrExist, fs.ErrPermission,
		syscall.ENOTDIR, syscall.EISDIR, syscall.ENOTEMPTY, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EINVAL, syscall.EMLINK,
		syscall.EFBIG, syscall.ERANGE, syscall.E2BIG, syscall.EOPNOTSUPP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
