package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"ext4img/ext4"
)

// ExportOptions say what is taken out of a file system. The zero value is good.
type ExportOptions struct {
	// Change, if not nil, is called with each entry, and may change owner, permissions and times. False leaves the entry
	// out; a directory with all that is in it. Attributes are not read yet.
	Change func(e *Entry) bool
	// Failed is told what could not be taken out, by its path in the file system. The rest goes on unless it returns an
	// error. With a nil Failed the first failure ends the export.
	Failed func(path string, err error) error
	// LeftOut, if not nil, is told what cannot be in the destination, or not for this user: no failure.
	LeftOut func(path string, why error)
	// Progress, if not nil, is told of bytes that have been copied.
	Progress func(n int64)
}

// withDefaults fills in what is not set.
func (o ExportOptions) withDefaults() ExportOptions {
	if o.Change == nil {
		o.Change = func(*Entry) bool { return true }
	}
	if o.Failed == nil {
		o.Failed = func(path string, err error) error { return &fs.PathError{Op: "export", Path: path, Err: err} }
	}
	if o.LeftOut == nil {
		o.LeftOut = func(string, error) {}
	}
	return o
}

// ExportDir copies the directory dir of a file system, and all that is in it, into the directory dst of the host, which is
// made if it is missing. What is there already is replaced when its successor is complete; directories are merged.
func ExportDir(ctx context.Context, f *ext4.FS, dir, dst string, o ExportOptions) error {
	return newExporter(ctx, f, dir, o.withDefaults()).toDir(dst)
}

// ExportTar writes the directory dir of a file system, and all that is in it, to w as a tar archive in the pax format, as GNU
// tar writes it: holes as sparse members of version 1.0, attributes as SCHILY.xattr records. After an error the
// archive is cut off.
func ExportTar(ctx context.Context, f *ext4.FS, dir string, w io.Writer, o ExportOptions) error {
	return newExporter(ctx, f, dir, o.withDefaults()).toTar(w)
}

// exporter takes a tree out of an image.
type exporter struct {
	ctx   context.Context
	fs    *ext4.FS
	o     ExportOptions
	copy  *Copier
	top   string                 // the directory, without needless slashes
	limit int64                  // bytes that the image can hold
	links map[uint32]*exportLink // of the inodes with several names, those that are not all seen yet
}

// exportLink is an inode with several names.
type exportLink struct {
	first string // the name it was exported by
	left  int    // names that are still to come
}

// exportSink is where a tree goes to: a directory of the host, or an archive. Its errors are about one entry, unless
// they are a hostFault that ends all.
type exportSink interface {
	enter(it *exportItem) error // a directory; what follows is in it
	leave() error               // the directory that was entered last
	file(it *exportItem) error  // all else
}

// exportItem is one file on its way.
type exportItem struct {
	Entry
	path string // in the image
	node ext4.Inode
}

func newExporter(ctx context.Context, f *ext4.FS, dir string, o ExportOptions) *exporter {
	geo := f.Geometry()
	return &exporter{
		ctx: ctx, fs: f, o: o, copy: NewCopier(ctx, o.Progress), top: path.Clean("/" + dir),
		limit: int64(geo.Blocks) * int64(geo.BlockSize), links: map[uint32]*exportLink{},
	}
}

// directory finds the directory to export. It is called before anything is made.
func (x *exporter) directory() (ext4.Inode, error) {
	top, err := x.fs.Find(x.top, true)
	if err != nil {
		return top, err
	}
	info, err := top.Stat(path.Base(x.top))
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		err = &fs.PathError{Op: "export", Path: x.top, Err: reason(err)}
	}
	return top, err
}

// walk gives a directory and everything below it to a sink.
func (x *exporter) walk(top ext4.Inode, to exportSink) error {
	w := ext4.Walk{
		Visit: func(v *ext4.Visit) error { return x.visit(v, to) },
		Leave: func(v *ext4.Visit) error {
			if err := to.leave(); err != nil {
				return x.failed(v.Path(), err)
			}
			return nil
		},
		Bad: func(v *ext4.Visit, err error) error { return x.failed(v.Path(), err) },
	}
	return w.Run(x.ctx, top, x.top)
}

func (x *exporter) visit(v *ext4.Visit, to exportSink) error {
	it, err := x.item(v)
	switch {
	case err != nil:
	case !x.o.Change(&it.Entry):
		return fs.SkipDir
	case v.Info.IsDir():
		err = to.enter(it)
	default:
		if err = to.file(it); err == nil {
			x.seen(it, v.Info.Stat())
		}
	}
	if err == nil {
		return nil
	}
	if err := x.failed(v.Path(), err); err != nil {
		return err
	}
	return fs.SkipDir
}

// item describes what the walk visits.
func (x *exporter) item(v *ext4.Visit) (*exportItem, error) {
	s := v.Info.Stat()
	it := &exportItem{path: v.Path(), node: v.Inode, Entry: Entry{
		Mode: s.Mode, UID: s.UID, GID: s.GID, Atime: s.Atime, Mtime: s.Mtime, Size: s.Size, Major: s.Major, Minor: s.Minor,
	}}
	it.Name = strings.TrimPrefix(strings.TrimPrefix(it.path, x.top), "/")
	if v.Depth == 0 {
		it.Name = "."
	} else if err := exportName(v.Name); err != nil {
		return nil, err
	}
	if l := x.links[s.Ino]; l != nil && !v.Info.IsDir() {
		it.LinkTo = l.first
		return it, nil
	}
	var err error
	if v.Info.Mode()&fs.ModeSymlink != 0 {
		it.Target, err = v.Inode.Readlink()
	}
	return it, err
}

// exportName refuses what is no name of a file: an image that lies must not lead out of the directory.
func exportName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return errNoName
	}
	return nil
}

var errNoName = fmt.Errorf("no name of a file: %w", ext4.ErrCorrupt)

// seen notes that a file was exported, for the other names it has.
func (x *exporter) seen(it *exportItem, s *ext4.Stat) {
	if l := x.links[s.Ino]; l != nil {
		if l.left--; l.left == 0 {
			delete(x.links, s.Ino)
		}
	} else if s.Links > 1 {
		x.links[s.Ino] = &exportLink{it.Name, int(s.Links) - 1}
	}
}

// xattrs reads the attributes of a file. Those that cannot be read are named, the others go on.
func (x *exporter) xattrs(it *exportItem) error {
	names, err := it.node.Xattrs()
	if err != nil {
		if err := x.failed(it.path, &xattrFault{"", reason(err)}); err != nil {
			return err
		}
	}
	for _, name := range names {
		value, err := it.node.Xattr(name)
		if err != nil {
			if err := x.failed(it.path, &xattrFault{name, reason(err)}); err != nil {
				return err
			}
			continue
		}
		if it.Xattrs == nil {
			it.Xattrs = map[string][]byte{}
		}
		it.Xattrs[name] = value
	}
	return nil
}

// open opens a regular file and finds its data.
func (x *exporter) open(it *exportItem) (in *ext4.File, data []span, err error) {
	if in, err = it.node.Open(it.path, os.O_RDONLY); err != nil {
		return nil, nil, err
	}
	if data, err = dataOf(in, it.Size, x.limit); err != nil {
		_ = in.Close()
		return nil, nil, err
	}
	return in, data, nil
}

// failed names what went wrong with one file. It returns an error if that ends all.
func (x *exporter) failed(path string, err error) error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	var host *hostFault
	switch {
	case !errors.As(err, &host) || !host.endsAll():
	case host.all: // not about this file
		return host.err
	default:
		return &fs.PathError{Op: "export", Path: path, Err: err}
	}
	return x.o.Failed(path, reason(err))
}

// refused names what the host did not take of one file. What an ordinary user may not make is only left out.
func (x *exporter) refused(path string, err error) error {
	if notForUs(err) {
		x.o.LeftOut(path, err)
		return nil
	}
	return x.failed(path, err)
}

// xattrFault is an error about an attribute of a file, or about all of them.
type xattrFault struct {
	name string
	err  error
}

func (e *xattrFault) Error() string {
	if e.name == "" {
		return "attributes: " + e.err.Error()
	}
	return "attribute " + e.name + ": " + e.err.Error()
}

func (e *xattrFault) Unwrap() error { return e.err }

// reasonOf is an error without the path that it begins with: the caller has a better one.
func reason(err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err
	}
	return err
}
