package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"ext4img/ext4"
	"ext4img/ext4/layout"

	"github.com/urfave/cli/v2"
)

func importCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "copy a whole tree into the image",
		ArgsUsage: "SRC IMAGE DIR",
		Description: example("With modes, owners, times, links, holes, devices and attributes. Into DIR, which is created. With --tar, SRC\n"+
			"is a tar archive; - is standard input.", "ext4img import ./rootfs disk.img /", "tar c . | ext4img import --tar - disk.img /srv"),
		Flags: append(queueFlags(), sizeFlag(64<<10, "size of one write", "bs"),
			&cli.BoolFlag{Name: "tar", Usage: "SRC is a tar archive"}),
		Action: importTree,
	}
}

func importTree(c *cli.Context) error {
	if err := need(c, 3, 3); err != nil {
		return err
	}
	src := c.Args().Get(0)
	dir, err := inside(c, c.Args().Get(2))
	if err != nil {
		return err
	}
	if err := checkQueueFlags(c); err != nil {
		return err
	}
	return withImageAt(c, c.Args().Get(1), writing, func(img *image) error {
		im, err := newImporter(c, img, dir)
		if err != nil {
			return opError(c, dir, err)
		}
		if c.Bool("tar") {
			err = im.tar(src)
		} else {
			err = im.walk(src)
		}
		if e := im.close(); err == nil {
			err = e
		}
		return opError(c, src, err)
	})
}

// importer puts entries into an image.
type importer struct {
	c    *cli.Context
	fs   *ext4.FS
	dir  string
	copy *copier
	dirs []treeEntry // whose times are set at the end, after what is made in them
}

func newImporter(c *cli.Context, img *image, dir string) (*importer, error) {
	if err := img.fs.MkdirAll(dir, owner(0o755)); err != nil {
		return nil, err
	}
	bs, _ := sizeOf(c, "bs")
	p, err := newPump(c.Context, img.fs, c.Int("iodepth"), int(bs), max(img.dev.Align(), 4096))
	if err != nil {
		return nil, err
	}
	bar := newProgress(c, "import", -1)
	return &importer{c: c, fs: img.fs, dir: dir, copy: &copier{pump: p, bs: bs, bar: bar, limit: max(1, c.Int("iodepth")/4)}}, nil
}

// close sets the times of the directories and syncs.
func (im *importer) close() error {
	im.copy.bar.end()
	err := im.copy.pump.close()
	for i := len(im.dirs) - 1; i >= 0 && err == nil; i-- {
		e := &im.dirs[i]
		err = im.fs.Chtimes(im.at(e.Name), e.Atime, e.Mtime)
	}
	if e := im.fs.Sync(); err == nil {
		err = e
	}
	return err
}

func (im *importer) at(name string) string { return path.Join(im.dir, name) }

// add puts one entry. content writes a regular file's data.
func (im *importer) add(e treeEntry, content func(f *ext4.File) error) error {
	if err := im.c.Context.Err(); err != nil {
		return err
	}
	p := im.at(e.Name)
	if err := im.makeWay(e, p); err != nil {
		return err
	}
	a := ext4.Attr{Perm: e.Mode & layout.ModePermMask, UID: e.UID, GID: e.GID}
	var err error
	switch {
	case e.LinkTo != "":
		return im.fs.Link(im.at(e.LinkTo), p)
	case e.kind() == layout.ModeDir:
		err = im.directory(e, p, a)
	case e.kind() == layout.ModeRegular:
		err = im.regular(p, a, e.Size, content)
	case e.kind() == layout.ModeSymlink:
		err = im.fs.Symlink(e.Target, p, a)
	default:
		err = im.fs.Mknod(p, e.kind(), a, e.Major, e.Minor)
	}
	if err == nil {
		err = im.attributes(e, p)
	}
	return err
}

// makeWay removes what stands where an entry goes, and makes the directories above it.
func (im *importer) makeWay(e treeEntry, p string) error {
	old, err := im.fs.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return im.fs.MkdirAll(path.Dir(p), owner(0o755))
	case err != nil, old.IsDir():
		return err // a directory stays; one where a file shall go is the error of what follows
	}
	return im.fs.Unlink(p)
}

func (im *importer) directory(e treeEntry, p string, a ext4.Attr) error {
	im.dirs = append(im.dirs, e)
	err := im.fs.Mkdir(p, a)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := im.fs.Lchown(p, int(e.UID), int(e.GID)); err != nil {
		return err
	}
	return im.fs.Chmod(p, a.Perm)
}

func (im *importer) regular(p string, a ext4.Attr, size int64, content func(f *ext4.File) error) error {
	f, err := im.fs.Create(p, a)
	if err != nil {
		return err
	}
	im.copy.file = f
	err = content(f)
	if e := im.copy.flush(); err == nil {
		err = e
	}
	if e := im.copy.pump.drain(); err == nil {
		err = e
	}
	if err == nil {
		err = f.Truncate(size) // a hole at the end
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// attributes sets what creation has not set.
func (im *importer) attributes(e treeEntry, p string) error {
	if err := writeXattrs(im.fs, p, e.Xattrs); err != nil {
		return err
	}
	return im.fs.Lchtimes(p, e.Atime, e.Mtime)
}

// walk imports a directory of the host.
func (im *importer) walk(src string) error {
	links := map[hostFile]string{}
	return filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e, id, err := hostEntry(p, filepath.ToSlash(rel), info)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if id != (hostFile{}) && e.kind() != layout.ModeDir {
			if first, seen := links[id]; seen {
				e.LinkTo = first
			} else {
				links[id] = e.Name
			}
		}
		return im.add(e, func(*ext4.File) error { return im.hostContent(p, e.Size) })
	})
}

// hostContent copies the data of a file of the host, not its holes.
func (im *importer) hostContent(p string, size int64) error {
	f, err := os.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	for off := int64(0); off < size; {
		start, end, err := nextData(f, off, size)
		if err != nil {
			return err
		}
		if start >= size {
			return nil
		}
		if err := im.copy.copyRange(f, byteRange{start, end - start}); err != nil {
			return err
		}
		off = end
	}
	return nil
}

// tar imports an archive.
func (im *importer) tar(src string) error {
	r := im.c.App.Reader
	if src != "-" {
		f, err := os.Open(src)
		if err != nil {
			return err
		}
		defer f.Close()
		r = f
	} else {
		r = newCtxReader(im.c.Context, r)
	}
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		e, ok, err := tarEntry(h)
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		if !ok {
			continue
		}
		if err := im.add(e, func(*ext4.File) error { return im.copy.copySparse(t) }); err != nil {
			return err
		}
	}
}

// tarEntry translates a header; false: one that is not a file.
func tarEntry(h *tar.Header) (e treeEntry, ok bool, err error) {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return e, false, nil
	}
	if e.Name, err = cleanName(h.Name); err != nil {
		return e, false, err
	}
	if h.Typeflag == tar.TypeLink {
		e.LinkTo, err = cleanName(h.Linkname)
		return e, true, err
	}
	if e.Mode, err = modeOf(h.FileInfo().Mode()); err != nil {
		return e, false, err
	}
	e.UID, e.GID, e.Atime, e.Mtime, e.Size = uint32(h.Uid), uint32(h.Gid), h.AccessTime, h.ModTime, h.Size
	e.Target, e.Major, e.Minor = h.Linkname, uint32(h.Devmajor), uint32(h.Devminor)
	if e.Atime.IsZero() {
		e.Atime = e.Mtime
	}
	for k, v := range h.PAXRecords {
		if name, ok := strings.CutPrefix(k, paxXattr); ok {
			if e.Xattrs == nil {
				e.Xattrs = map[string][]byte{}
			}
			e.Xattrs[name] = []byte(v)
		}
	}
	return e, true, nil
}

// paxXattr is how tar archives name attributes.
const paxXattr = "SCHILY.xattr."

// copySparse writes what is not zero of a stream: blocks of zeros become holes.
func (w *copier) copySparse(r io.Reader) error {
	for off := int64(0); ; {
		if len(w.pump.free) == 0 || len(w.batch) >= w.limit {
			if err := w.flush(); err != nil {
				return err
			}
		}
		req, err := w.pump.get()
		if err != nil {
			return err
		}
		n, err := io.ReadFull(r, req.Buf)
		from, to := nonZero(req.Buf[:n])
		if from == to {
			w.pump.free = append(w.pump.free, req)
		} else {
			copy(req.Buf, req.Buf[from:to])
			req.Buf = req.Buf[:to-from]
			w.stage(req, off+int64(from))
		}
		off += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// nonZero is the part of a buffer that has data, in units of 4 KiB.
func nonZero(p []byte) (from, to int) {
	const unit = 4096
	zero := func(b []byte) bool {
		for _, c := range b {
			if c != 0 {
				return false
			}
		}
		return true
	}
	for from < len(p) && zero(p[from:min(from+unit, len(p))]) {
		from = min(from+unit, len(p))
	}
	to = len(p)
	for to > from && zero(p[max((to-1)/unit*unit, from):to]) {
		to = max((to-1)/unit*unit, from)
	}
	return from, to
}
