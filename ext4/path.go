package ext4

import (
	"fmt"
	"io/fs"
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

// split cuts a path at its slashes. Leading and doubled slashes and "." mean nothing; ".." is looked up like any
// other name.
func split(name string) []string {
	var parts []string
	for _, p := range strings.Split(name, "/") {
		if p != "" && p != "." {
			parts = append(parts, p)
		}
	}
	return parts
}

func baseName(name string) string {
	if b := path.Base(path.Clean("/" + name)); b != "/" {
		return b
	}
	return "."
}

// walk finds the inode of a path. A symbolic link on the way is followed, one at the end only if follow says so.
func (fs *FS) walk(r journal.Reader, name string, follow bool) (layout.Ino, error) {
	w := walker{fs: fs, r: r}
	return w.walk(layout.RootIno, split(name), follow || strings.HasSuffix(name, "/"))
}

// walkParent finds the directory that a path's last name is in, and that name.
func (f *FS) walkParent(r journal.Reader, name string) (layout.Ino, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return 0, "", fs.ErrExist
	}
	last := parts[len(parts)-1]
	if last == ".." {
		return 0, "", syscall.EINVAL
	}
	w := walker{fs: f, r: r}
	dir, err := w.walk(layout.RootIno, parts[:len(parts)-1], true)
	if err != nil {
		return 0, "", err
	}
	return dir, last, checkName(last)
}

func checkName(name string) error {
	switch {
	case len(name) > maxName:
		return syscall.ENAMETOOLONG
	case name == "" || strings.ContainsAny(name, "\x00/"):
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

func (w *walker) walk(at layout.Ino, parts []string, follow bool) (layout.Ino, error) {
	for i, name := range parts {
		if err := checkName(name); err != nil {
			return 0, err
		}
		next, _, err := w.fs.dirs.Lookup(w.r, at, name)
		if err != nil {
			return 0, err
		}
		if last := i == len(parts)-1; !last || follow {
			if next, err = w.follow(at, next); err != nil {
				return 0, err
			}
		}
		at = next
	}
	return at, nil
}

// follow goes on from a symbolic link in dir to where it leads; anything else it returns as it is.
func (w *walker) follow(dir, ino layout.Ino) (layout.Ino, error) {
	rec, err := w.fs.inodes.Read(w.r, ino)
	if err != nil {
		return 0, err
	}
	if !rec.IsSymlink() {
		return ino, nil
	}
	if w.links++; w.links > maxLinks {
		return 0, syscall.ELOOP
	}
	target, err := w.fs.readlink(w.r, ino, rec)
	if err != nil {
		return 0, err
	}
	if strings.HasPrefix(target, "/") {
		dir = layout.RootIno
	}
	return w.walk(dir, split(target), true)
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
	bs := uint64(fs.geo.BlockSize)
	for off := uint64(0); off < size; off += bs {
		e, err := fs.extents.Lookup(r, ino, layout.Lblk(off/bs))
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
	return journal.Ref{Block: uint64(p), Len: fs.geo.BlockSize, Type: layout.PlainType{Name: "symbolic link"}}
}
