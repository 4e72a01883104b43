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
		Flags: append(queueFlags(), sizeFlag(1<<20, "size of one write", "bs"),
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

// importer puts entries into an image: small files many at a time, large ones through a queue.
type importer struct {
	c      *cli.Context
	fs     *ext4.FS
	dir    string
	block  int64 // of the file system, bytes
	fill   *ext4.Filler
	bar    *progress
	noTime bool        // times of access follow from those of modification: SOURCE_DATE_EPOCH
	dirs   []treeEntry // whose times are set at the end, after what is made in them

	batch []ext4.Entry
	data  int // bytes of content in it
}

const (
	smallFile    = 1 << 20 // bytes of a file whose content goes with its inode
	batchBytes   = 16 << 20
	batchEntries = 1024
)

func newImporter(c *cli.Context, img *image, dir string) (*importer, error) {
	if err := img.fs.MkdirAll(dir, owner(0o755)); err != nil {
		return nil, err
	}
	bs, _ := sizeOf(c, "bs")
	fill, err := img.fs.NewFiller(c.Int("iodepth"), int(bs))
	if err != nil {
		return nil, err
	}
	fixed, err := clock()
	if err != nil {
		return nil, errors.Join(err, fill.Close())
	}
	return &importer{
		c: c, fs: img.fs, dir: dir, block: int64(img.fs.Geometry().BlockSize), fill: fill, bar: newProgress(c, "import", -1), noTime: fixed != nil,
	}, nil
}

// close ends the import: it sets the times of the directories and syncs.
func (im *importer) close() error {
	im.bar.end()
	err := im.flush()
	if e := im.fill.Close(); err == nil {
		err = e
	}
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

// content gives the data of a regular file in pieces of at most max bytes: in ascending order, each but the last
// beginning and ending at multiples of the image's block size. buf is where a piece goes.
type content interface {
	next(buf []byte) (off int64, n int, err error) // io.EOF after the last
}

// add takes one entry.
func (im *importer) add(e treeEntry, from content) error {
	if err := im.c.Context.Err(); err != nil {
		return err
	}
	if im.noTime {
		e.Atime = e.Mtime
	}
	x := ext4.Entry{
		Path: im.at(e.Name), Mode: e.Mode, UID: e.UID, GID: e.GID, Atime: e.Atime, Mtime: e.Mtime,
		Target: e.Target, Major: e.Major, Minor: e.Minor, Xattrs: e.Xattrs,
	}
	switch {
	case e.LinkTo != "":
		x.LinkTo = im.at(e.LinkTo)
	case e.kind() == layout.ModeDir:
		im.dirs = append(im.dirs, e)
	case e.kind() == layout.ModeRegular && e.Size > smallFile:
		return im.large(e, x, from)
	case e.kind() == layout.ModeRegular:
		x.Size = e.Size
		var err error
		if x.Data, err = im.small(e.Size, from); err != nil {
			return err
		}
	}
	im.batch = append(im.batch, x)
	if im.data >= batchBytes || len(im.batch) >= batchEntries {
		return im.flush()
	}
	return nil
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
		im.data += n
		im.bar.add(int64(n))
		size -= int64(n)
	}
	return pieces, nil
}

// large makes a large file and fills it.
func (im *importer) large(e treeEntry, x ext4.Entry, from content) error {
	im.batch = append(im.batch, x)
	if err := im.flush(); err != nil {
		return err
	}
	f, err := im.fs.OpenFile(x.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = im.pour(f, from)
	if err == nil {
		err = f.Truncate(e.Size) // a hole at the end
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if value, ok := e.Xattrs[ext4.XattrCapability]; ok && err == nil { // the writes have taken it away
		err = im.fs.SetXattr(x.Path, ext4.XattrCapability, value, 0, false)
	}
	if err == nil {
		err = im.fs.Lchtimes(x.Path, e.Atime, e.Mtime)
	}
	return err
}

func (im *importer) pour(f *ext4.File, from content) error {
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
		if err == nil {
			err = im.c.Context.Err()
		}
		if err != nil {
			return err
		}
		im.bar.add(int64(n))
	}
}

// flush makes what the batch holds. Where something is in the way, or a directory is missing, that is mended first.
func (im *importer) flush() error {
	batch := im.batch
	im.batch, im.data = im.batch[:0], 0
	for mended := -1; ; {
		n, err := im.fs.MakeAll(batch)
		if err == nil {
			clear(im.batch[:cap(im.batch)])
			return nil
		}
		if n > 0 {
			batch, mended = batch[n:], -1
		}
		if mended == 0 {
			return err
		}
		mended = 0
		done, e := im.mend(&batch[0], err)
		if e != nil {
			return e
		}
		if done {
			batch, mended = batch[1:], -1
		}
	}
}

// mend makes way for an entry that could not be made, or does what is to be done itself.
func (im *importer) mend(e *ext4.Entry, cause error) (done bool, err error) {
	if errors.Is(cause, fs.ErrNotExist) && e.LinkTo == "" {
		return false, im.fs.MkdirAll(path.Dir(e.Path), owner(0o755))
	}
	if !errors.Is(cause, fs.ErrExist) {
		return false, cause
	}
	old, err := im.fs.Lstat(e.Path)
	if err != nil {
		return false, err
	}
	if !old.IsDir() {
		return false, im.fs.Unlink(e.Path)
	}
	if e.Mode&layout.ModeTypeMask != layout.ModeDir || e.LinkTo != "" {
		return false, cause // a directory stays
	}
	if err := im.fs.Lchown(e.Path, int(e.UID), int(e.GID)); err != nil {
		return false, err
	}
	if err := im.fs.Chmod(e.Path, e.Mode&layout.ModePermMask); err != nil {
		return false, err
	}
	return true, writeXattrs(im.fs, e.Path, e.Xattrs)
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
		if e.kind() != layout.ModeRegular || e.LinkTo != "" || e.Size == 0 {
			return im.add(e, nothing{})
		}
		f, err := openQuietly(p)
		if err != nil {
			return err
		}
		defer f.Close()
		return im.add(e, &hostContent{f: f, size: e.Size, block: im.block})
	})
}

// nothing is the content of an empty file.
type nothing struct{}

func (nothing) next([]byte) (int64, int, error) { return 0, 0, io.EOF }

// hostContent is the data of a file of the host, without its holes, as far as the image's blocks can follow them.
type hostContent struct {
	f          *os.File
	size       int64
	block      int64
	off        int64 // up to where it has been read
	start, end int64 // the rest of a range of data
}

func (h *hostContent) next(buf []byte) (off int64, n int, err error) {
	if h.start == h.end {
		if h.off >= h.size {
			return 0, 0, io.EOF
		}
		start, end, err := nextData(h.f, h.off, h.size)
		if err != nil {
			return 0, 0, err
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
		clear(buf[got:n]) // it has become shorter
	} else if err != nil && err != io.EOF {
		return 0, 0, err
	}
	off = h.start
	h.start += int64(n)
	h.off = h.start
	return off, n, nil
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
		if err := im.add(e, &streamContent{r: t, block: im.block}); err != nil {
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

// streamContent is the data of a stream: blocks of zeros become holes.
type streamContent struct {
	r     io.Reader
	block int64
	off   int64 // of what comes next
	done  bool
}

func (s *streamContent) next(buf []byte) (off int64, n int, err error) {
	for !s.done {
		n, err := io.ReadFull(s.r, buf)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			s.done = true
		} else if err != nil {
			return 0, 0, err
		}
		from, to := nonZero(buf[:n], int(max(s.block, 4096)))
		off := s.off + int64(from)
		s.off += int64(n)
		if from < to {
			return off, copy(buf, buf[from:to]), nil
		}
	}
	return 0, 0, io.EOF
}

// nonZero is the part of a buffer that has data, in whole units.
func nonZero(p []byte, unit int) (from, to int) {
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
