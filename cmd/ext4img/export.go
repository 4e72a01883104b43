package main

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"ext4img/ext4"
	"ext4img/ext4/layout"

	"github.com/urfave/cli/v2"
)

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "copy a whole tree out of the image",
		ArgsUsage: "IMAGE DIR DST",
		Description: example("With modes, times, links, holes and attributes; owners and devices too for root. Into DST, which is created.\n"+
			"With --tar, DST is a tar archive, complete for everybody; - is standard output.",
			"ext4img export disk.img /etc ./etc", "ext4img export --tar disk.img / - | tar tv"),
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "tar", Usage: "DST is a tar archive"}},
		Action: exportTree,
	}
}

func exportTree(c *cli.Context) error {
	if err := need(c, 3, 3); err != nil {
		return err
	}
	dir, err := pathArg(c)
	if err != nil {
		return err
	}
	dst := c.Args().Get(2)
	return withImage(c, reading, func(img *image) error {
		bar := newProgress(c, "export", -1)
		defer bar.end()
		x := newExporter(c.Context, img.fs, exportOptions{
			Top: dir, Progress: bar.add,
			Warn: func(text string) { complain(messages(c), "export: %s", text) },
		})
		switch {
		case !c.Bool("tar"):
			err = x.toDir(dst)
		case dst == "-":
			err = x.toTar(rawOutput(c))
		default:
			err = x.toTarFile(dst)
		}
		return opError(c, dst, err)
	})
}

// exportOptions says what is taken out of an image.
type exportOptions struct {
	Top      string            // the path in the image that becomes DST
	Progress func(n int64)     // told of bytes that have been copied
	Warn     func(text string) // told what was left out
}

// exporter takes files out of an image.
type exporter struct {
	ctx   context.Context
	fs    *ext4.FS
	o     exportOptions
	copy  *copyOut
	links map[uint32]string // first name of an inode with several

	root *os.Root
	dirs []treeEntry // whose mode and times are set at the end
	skip []string    // what could not be set
}

func newExporter(ctx context.Context, f *ext4.FS, o exportOptions) *exporter {
	return &exporter{ctx: ctx, fs: f, o: o, copy: newCopyOut(ctx, o.Progress), links: map[uint32]string{}}
}

// each calls fn for the top and everything below.
func (x *exporter) each(fn func(full string, e *treeEntry) error) error {
	return walkTree(x.fs, x.o.Top, func(full string, info *ext4.FileInfo, _ int) error {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(full, strings.TrimRight(x.o.Top, "/")), "/")
		rel, err := cleanName(rel)
		if err != nil {
			return err
		}
		e, err := entryOf(x.fs, full, rel, info)
		if err != nil {
			return err
		}
		if s := info.Stat(); s.Links > 1 && !info.IsDir() {
			if first, seen := x.links[s.Ino]; seen {
				e.LinkTo = first
			} else {
				x.links[s.Ino] = rel
			}
		}
		return fn(full, &e)
	})
}

// toDir makes the tree below dst. All names are resolved below it: a symbolic link from the image cannot lead out.
func (x *exporter) toDir(dst string) (err error) {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	if x.root, err = os.OpenRoot(dst); err != nil {
		return err
	}
	defer x.root.Close()
	err = x.each(x.make)
	for i := len(x.dirs) - 1; i >= 0 && err == nil; i-- {
		e := &x.dirs[i]
		err = x.directory(e)
	}
	if len(x.skip) > 0 {
		x.o.Warn("not allowed here, left out: " + strings.Join(x.skip, ", "))
	}
	return err
}

// directory sets what a directory gets last.
func (x *exporter) directory(e *treeEntry) error {
	d, err := x.root.Open(e.Name)
	if err != nil {
		return err
	}
	err = x.attributes(d, e)
	if e := d.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = x.root.Chtimes(e.Name, e.Atime, e.Mtime)
	}
	return err
}

// make makes one file.
func (x *exporter) make(full string, e *treeEntry) error {
	if e.LinkTo != "" {
		return x.root.Link(e.LinkTo, e.Name)
	}
	switch e.kind() {
	case layout.ModeDir:
		if err := x.root.Mkdir(e.Name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		x.dirs = append(x.dirs, *e)
		return x.owner(e)
	case layout.ModeSymlink:
		return x.symlink(e)
	case layout.ModeRegular:
		return x.regular(full, e)
	}
	return x.special(e)
}

func (x *exporter) symlink(e *treeEntry) error {
	if err := x.root.Symlink(e.Target, e.Name); err != nil {
		return err
	}
	if err := x.owner(e); err != nil {
		return err
	}
	return x.finishSpecial(e)
}

// finishSpecial sets what a file has that is not opened: attributes, and times, those of a symbolic link too.
func (x *exporter) finishSpecial(e *treeEntry) error {
	dir, err := x.root.Open(path.Dir(e.Name))
	if err != nil {
		return err
	}
	defer dir.Close()
	refused, err := setSpecial(dir, path.Base(e.Name), e)
	for _, name := range refused {
		x.skip = append(x.skip, e.Name+": "+name)
	}
	return err
}

func (x *exporter) regular(full string, e *treeEntry) error {
	in, err := x.fs.OpenFile(full, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := x.root.OpenFile(e.Name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = x.copy.sparse(out, in, e.Size); err == nil {
		err = x.owner(e)
	}
	if err == nil {
		err = x.attributes(out, e) // after the owner: a change of it takes capabilities away
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = x.root.Chtimes(e.Name, e.Atime, e.Mtime)
	}
	return err
}

// attributes sets permissions and attributes of an open file.
func (x *exporter) attributes(out *os.File, e *treeEntry) error {
	if err := out.Chmod(fileModeOf(e.Mode)); err != nil {
		return err
	}
	refused, err := setHostXattrs(out, e.Xattrs)
	for _, name := range refused {
		x.skip = append(x.skip, e.Name+": "+name)
	}
	return err
}

// owner sets owner and group, which only root may.
func (x *exporter) owner(e *treeEntry) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return x.root.Lchown(e.Name, int(e.UID), int(e.GID))
}

func (x *exporter) special(e *treeEntry) error {
	dir, err := x.root.Open(path.Dir(e.Name))
	if err != nil {
		return err
	}
	defer dir.Close()
	err = makeSpecial(dir, path.Base(e.Name), e)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		x.skip = append(x.skip, e.Name)
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "mknod", Path: e.Name, Err: err}
	}
	if err := x.owner(e); err != nil {
		return err
	}
	if err := x.root.Chmod(e.Name, fileModeOf(e.Mode)); err != nil {
		return err
	}
	return x.finishSpecial(e)
}

// fileModeOf is the fs.FileMode of i_mode's permissions.
func fileModeOf(mode uint16) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	if mode&layout.ModeSetUID != 0 {
		m |= fs.ModeSetuid
	}
	if mode&layout.ModeSetGID != 0 {
		m |= fs.ModeSetgid
	}
	if mode&layout.ModeSticky != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// toTarFile writes an archive to a file of the host.
func (x *exporter) toTarFile(dst string) error {
	f, err := os.Create(dst)
	if err != nil {
		return err
	}
	err = x.toTar(f)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// toTar writes an archive.
func (x *exporter) toTar(out io.Writer) error {
	t := tar.NewWriter(out)
	err := x.each(func(full string, e *treeEntry) error { return x.archive(t, full, e) })
	if err == nil {
		err = t.Close()
	}
	return err
}

func (x *exporter) archive(t *tar.Writer, full string, e *treeEntry) error {
	h := &tar.Header{
		Name: e.Name, Mode: int64(e.Mode & 0o7777), Uid: int(e.UID), Gid: int(e.GID), ModTime: e.Mtime, AccessTime: e.Atime, Format: tar.FormatPAX,
	}
	if h.AccessTime.Before(time.Unix(0, 0)) {
		h.AccessTime = time.Time{}
	}
	for name, value := range e.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[paxXattr+name] = string(value)
	}
	switch e.kind() {
	case layout.ModeRegular:
		h.Typeflag, h.Size = tar.TypeReg, e.Size
	case layout.ModeDir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
	case layout.ModeSymlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
	case layout.ModeCharDev, layout.ModeBlockDev:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, int64(e.Major), int64(e.Minor)
		if e.kind() == layout.ModeBlockDev {
			h.Typeflag = tar.TypeBlock
		}
	case layout.ModeFIFO:
		h.Typeflag = tar.TypeFifo
	default:
		x.skip = append(x.skip, e.Name) // tar has no sockets
		return nil
	}
	if e.LinkTo != "" {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, e.LinkTo, 0
	}
	if err := t.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	return x.copy.stream(x.fs, full, t)
}
