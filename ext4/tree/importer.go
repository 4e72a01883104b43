package tree

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

// ImportOptions say how a tree comes into a file system. The zero value is good.
type ImportOptions struct {
	Depth     int  // writes in flight; 0: 32
	WriteSize int  // bytes of one write; 0: 1 MiB
	NoAtime   bool // times of access are those of modification: then the same tree gives the same bytes
	// Change, if not nil, is called with each entry before it is made, and may change owner, permissions, times and
	// attributes. False leaves the entry out; of a directory of the host, with all that is in it. It is also called once
	// with a directory "." that nothing names: what directories are like that are missing on the way to others.
	Change func(e *Entry) bool
	// Failed is told of a file that could not be made, or not as it should be. The rest goes on unless it returns an
	// error. With a nil Failed the first failure ends the import.
	Failed func(path string, err error) error
	// Warn, if not nil, is told of what is worth knowing and no failure.
	Warn func(text string)
	// Progress, if not nil, is told of bytes that were read.
	Progress func(n int64)
}

// withDefaults fills in what is not set.
func (o ImportOptions) withDefaults() ImportOptions {
	if o.Depth == 0 {
		o.Depth = 32
	}
	if o.WriteSize == 0 {
		o.WriteSize = 1 << 20
	}
	if o.Change == nil {
		o.Change = func(*Entry) bool { return true }
	}
	if o.Failed == nil {
		o.Failed = func(path string, err error) error { return &fs.PathError{Op: "import", Path: path, Err: err} }
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Progress == nil {
		o.Progress = func(int64) {}
	}
	return o
}

// ImportDir copies the directory src of the host, and all that is in it, into the directory dir of a file system, which is
// made if it is missing; so are those above it. Symbolic links in src are copied as they are; src itself may be one.
func ImportDir(ctx context.Context, f *ext4.FS, dir, src string, o ImportOptions) error {
	return imported(f, dir, o, func(im *importer) error { return im.walk(ctx, src) })
}

// ImportTar copies what a tar archive holds into the directory dir of a file system, which is made if it is missing: as GNU
// tar extracts it, but for what would lead out of dir, which is refused. The archive may be compressed (see OpenArchive,
// whose result it takes too). It is read to its end. ErrNoArchive, before anything has changed, for any other stream.
func ImportTar(ctx context.Context, f *ext4.FS, dir string, r io.Reader, o ImportOptions) error {
	a, ok := r.(*Archive)
	if !ok {
		var err error
		if a, err = OpenArchive(r); err != nil {
			return err
		}
	}
	return imported(f, dir, o, func(im *importer) error {
		if err := im.tar(ctx, &tarReader{r: a}); err != nil {
			return err
		}
		return a.drain()
	})
}

// imported runs an import.
func imported(f *ext4.FS, dir string, o ImportOptions, fill func(im *importer) error) error {
	im, err := newImporter(f, dir, o.withDefaults())
	if err != nil {
		return err
	}
	err = fill(im)
	if e := im.close(); err == nil {
		err = e
	}
	return err
}

// importer puts entries into an image: small files many at a time, large ones through a queue.
type importer struct {
	ImportOptions
	dir   string // in the file system: the tree goes beneath it
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
func newImporter(f *ext4.FS, dir string, o ImportOptions) (*importer, error) {
	im := &importer{ImportOptions: o, dir: dir, fs: f, block: int64(f.Geometry().BlockSize)}
	between := &Entry{Name: ".", Mode: layout.ModeDir | 0o755} // what directories that no entry names are like
	o.Change(between)
	missing := ext4.Attr{Perm: 0o755, UID: between.UID, GID: between.GID}
	if err := f.MkdirAll(dir, missing); err != nil {
		return nil, err
	}
	var err error
	if im.maker, err = f.NewMaker(dir, missing); err != nil {
		return nil, err
	}
	if im.fill, err = f.NewFiller(o.Depth, o.WriteSize); err != nil {
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

// errLeftOut says that the options leave an entry out.
var errLeftOut = errors.New("left out")

// unless is err, or nil if that is the expected one.
func unless(expected, err error) error {
	if err == expected {
		return nil
	}
	return err
}

// add takes one entry; errLeftOut if the options leave it out.
func (im *importer) add(ctx context.Context, e Entry, from content) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if im.NoAtime {
		e.Atime = e.Mtime
	}
	if !im.Change(&e) {
		return errLeftOut
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
		return im.Failed(host.path, host.err)
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
		im.Progress(int64(n))
	}
	return pieces, nil
}

// large fills a file that has no name yet, and then gives it the name: what had the name before stays until then.
func (im *importer) large(ctx context.Context, e Entry, x ext4.Entry, from content) error {
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
		im.Progress(int64(n))
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
			if err := im.Failed(im.at(rest[0].Path), xe); err != nil {
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
	return im.Failed(im.at(name), err)
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
