package ext4

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Limits of names and paths, as in the kernel.
const (
	maxName  = 255  // bytes in a name
	maxPath  = 4096 // bytes in a symbolic link
	maxLinks = 40   // symbolic links followed in one path
)

// split cuts a path at its slashes.
func split(name string) []string {
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}

func baseName(name string) string {
	if b := path.Base(path.Clean("/" + name)); b != "/" {
		return b
	}
	return "."
}

// A spot is what an operation is for: a path, from the root or from a directory on; with an empty path, an inode itself.
type spot struct {
	at   layout.Ino // 0: the root, and the path may not be empty
	path string
}

// root is the spot of a path from the root.
func root(path string) spot { return spot{path: path} }

// String is the spot for errors.
func (s spot) String() string {
	switch {
	case s.at == 0:
		return s.path
	case s.path == "":
		return fmt.Sprintf("inode %d", s.at)
	}
	return fmt.Sprintf("inode %d: %s", s.at, s.path)
}

// A place is where a path leads, up to its last name.
type place struct {
	dir   layout.Ino
	name  string // empty for the root; "." and ".." are no names that can be made or taken away
	slash bool   // the path ends in a slash: a directory
}

func (p place) named() bool { return p.name != "" && p.name != "." && p.name != ".." }

// walk finds the inode of a spot. A symbolic link on the way is followed, one at the end only if follow, or a slash
// behind it, says so.
func (fs *FS) walk(r journal.Reader, s spot, follow bool) (layout.Ino, error) {
	if s.at != 0 && s.path == "" {
		return s.at, fs.inUse(r, s.at)
	}
	w := walker{fs: fs, r: r}
	p, err := w.start(s)
	if err != nil {
		return 0, err
	}
	return w.finish(p, follow)
}

// walkParent finds the directory that a path's last name is in, and that name.
func (fs *FS) walkParent(r journal.Reader, s spot) (place, error) {
	w := walker{fs: fs, r: r}
	return w.start(s)
}

// walkNew is walkParent for a name that is to be made, and so must not exist; dir: of a directory.
func (f *FS) walkNew(r journal.Reader, s spot, dir bool) (place, error) {
	w := walker{fs: f, r: r}
	p, err := w.start(s)
	if err != nil {
		return p, err
	}
	if !p.named() {
		return p, fs.ErrExist
	}
	switch _, err := w.step(p); {
	case err == nil:
		return p, fs.ErrExist
	case !isNotExist(err):
		return p, err
	case p.slash && !dir:
		return p, fs.ErrNotExist
	}
	return p, nil
}

// walkOpen finds what is to be opened, with the flags of package os, or the place where it is to be made: the error
// is then fs.ErrNotExist, and the place has a name. A symbolic link that leads to nothing is made to lead to a file.
func (f *FS) walkOpen(r journal.Reader, s spot, flag int) (place, layout.Ino, error) {
	if s.at != 0 && s.path == "" {
		return place{}, s.at, f.inUse(r, s.at)
	}
	w := walker{fs: f, r: r}
	p, err := w.start(s)
	create := flag&os.O_CREATE != 0
	for err == nil {
		if create && !p.named() && flag&os.O_EXCL != 0 {
			return place{}, 0, fs.ErrExist
		}
		if create && (!p.named() || p.slash) {
			return place{}, 0, syscall.EISDIR
		}
		ino, err := w.step(p)
		if err != nil {
			return p, 0, err
		}
		if create && flag&os.O_EXCL != 0 {
			return place{}, 0, fs.ErrExist
		}
		next, link, err := w.link(p, ino)
		if err != nil || !link {
			return p, ino, err
		}
		p = next
	}
	return place{}, 0, err
}

func checkName(name string) error {
	switch {
	case len(name) > maxName:
		return syscall.ENAMETOOLONG
	case strings.Contains(name, "\x00"):
		return syscall.EINVAL
	}
	return nil
}

// walker is one path resolution; links bounds it.
type walker struct {
	fs    *FS
	r     journal.Reader
	links int
}

// start resolves the path of a spot up to its last name.
func (w *walker) start(s spot) (place, error) {
	if s.at == 0 {
		s.at = layout.RootIno
	}
	return w.parent(s.at, s.path)
}

// parent resolves a path up to its last name, from a directory on.
func (w *walker) parent(at layout.Ino, name string) (p place, err error) {
	switch {
	case name == "":
		return p, fs.ErrNotExist
	case len(name) >= maxPath:
		return p, syscall.ENAMETOOLONG
	case name[0] == '/':
		at = layout.RootIno
	}
	parts := split(name)
	if len(parts) == 0 {
		return place{dir: at, slash: true}, nil
	}
	last := len(parts) - 1
	for _, part := range parts[:last] {
		if at, err = w.finish(place{at, part, true}, true); err != nil {
			return p, err
		}
	}
	return place{at, parts[last], strings.HasSuffix(name, "/")}, nil
}

// step looks up the last name of a place. What it leads to is in use.
func (w *walker) step(p place) (layout.Ino, error) {
	if p.name == "" || p.name == "." {
		return p.dir, nil
	}
	if err := checkName(p.name); err != nil {
		return 0, err
	}
	ino, _, err := w.fs.vol.Dirs.Lookup(w.r, p.dir, p.name)
	if err != nil {
		return 0, err
	}
	return ino, w.fs.inUse(w.r, ino)
}

// finish finds where a place leads to.
func (w *walker) finish(p place, follow bool) (layout.Ino, error) {
	ino, err := w.step(p)
	if err != nil || !follow && !p.slash {
		return ino, err
	}
	next, link, err := w.link(p, ino)
	switch {
	case err != nil || !link:
		return ino, err
	case next.name == "":
		return next.dir, nil
	}
	return w.finish(next, true)
}

// link resolves a symbolic link up to the last name of its text; link is false for anything else, which must be a
// directory if the path goes on behind it.
func (w *walker) link(p place, ino layout.Ino) (next place, link bool, err error) {
	rec, err := w.fs.vol.Inodes.Read(w.r, ino)
	switch {
	case err != nil:
		return next, false, err
	case !rec.IsSymlink() && p.slash && !rec.IsDir():
		return next, false, fmt.Errorf("inode %d: %w", ino, syscall.ENOTDIR)
	case !rec.IsSymlink():
		return next, false, nil
	}
	if w.links++; w.links > maxLinks {
		return next, true, syscall.ELOOP
	}
	target, err := w.fs.readlink(w.r, ino, rec)
	if err != nil {
		return next, true, err
	}
	next, err = w.parent(p.dir, target)
	next.slash = next.slash || p.slash
	return next, true, err
}

// readlink reads the text of a symbolic link: in i_block, inline, or in its first blocks.
func (fs *FS) readlink(r journal.Reader, ino layout.Ino, rec layout.Inode) (string, error) {
	size := rec.Size()
	switch {
	case rec.HasFlag(layout.FlagEncrypt):
		return "", layout.Unsupportedf("inode %d: an encrypted symbolic link", ino)
	case size == 0 || size > maxPath:
		return "", layout.Corruptf("inode %d: a symbolic link of %d bytes", ino, size)
	case rec.FastSymlink():
		return string(rec.Block()[:size]), nil
	}
	p := make([]byte, size)
	if rec.HasFlag(layout.FlagInlineData) {
		n := &node{fs: fs, ino: ino}
		err := n.readInline(r, rec, p, 0)
		return string(p), err
	}
	bs := uint64(fs.vol.Geo.BlockSize)
	for off := uint64(0); off < size; off += bs {
		e, err := fs.vol.Extents.Lookup(r, ino, layout.Lblk(off/bs))
		if err != nil {
			return "", err
		}
		if e.Pblk == 0 || e.Unwritten {
			return "", layout.Corruptf("inode %d: a symbolic link without its block %d", ino, off/bs)
		}
		q, err := r.Read(fs.linkRef(e.Pblk + layout.Pblk(off/bs) - layout.Pblk(e.Lblk)))
		if err != nil {
			return "", fmt.Errorf("inode %d: %w", ino, err)
		}
		copy(p[off:], q)
	}
	return string(p), nil
}

// linkRef is the block of a symbolic link's text: metadata, as in the kernel.
func (fs *FS) linkRef(p layout.Pblk) journal.Ref {
	return journal.Ref{Block: uint64(p), Len: fs.vol.Geo.BlockSize, Type: layout.PlainType{Name: "symbolic link"}}
}
