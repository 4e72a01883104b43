package names

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Limits of names and paths, as in the kernel.
const (
	MaxName  = 255  // bytes in a name
	MaxPath  = 4096 // bytes in a symbolic link
	MaxLinks = 40   // symbolic links followed in one path
)

// Split cuts a path at its slashes.
func Split(name string) []string {
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}

// A Spot says which inode an operation is for: a path, from the root or from a directory on. With an empty path it is
// the inode At itself.
type Spot struct {
	At   layout.Ino // 0: the root, and the path may not be empty
	Path string
}

// Root is the spot of a path that starts at the root.
func Root(path string) Spot { return Spot{Path: path} }

// String is the spot in the form that errors show.
func (s Spot) String() string {
	switch {
	case s.At == 0:
		return s.Path
	case s.Path == "":
		return fmt.Sprintf("inode %d", s.At)
	}
	return fmt.Sprintf("inode %d: %s", s.At, s.Path)
}

// A Place is a directory and a name in it: the last name of a path.
type Place struct {
	Dir   layout.Ino
	Name  string // empty for the root; "." and ".." cannot be made or removed
	Slash bool   // the path ends in a slash: a directory
}

// Named reports whether the name can be made or removed.
func (p Place) Named() bool { return p.Name != "" && p.Name != "." && p.Name != ".." }

// Walk finds the inode of a spot. Symbolic links on the way are followed. One at the end is followed only if follow
// is set, or if a slash comes after it.
func (n *Names) Walk(r journal.Reader, s Spot, follow bool) (layout.Ino, error) {
	if s.At != 0 && s.Path == "" {
		return s.At, n.InUse(r, s.At)
	}
	w := walker{n: n, r: r}
	p, err := w.start(s)
	if err != nil {
		return 0, err
	}
	return w.finish(p, follow)
}

// WalkParent finds the directory that a path's last name is in, and that name.
func (n *Names) WalkParent(r journal.Reader, s Spot) (Place, error) {
	w := walker{n: n, r: r}
	return w.start(s)
}

// WalkNew is WalkParent for a name that is to be made and so must not exist. dir says that it is to be a directory.
func (n *Names) WalkNew(r journal.Reader, s Spot, dir bool) (Place, error) {
	w := walker{n: n, r: r}
	p, err := w.start(s)
	if err != nil {
		return p, err
	}
	if !p.Named() {
		return p, fs.ErrExist
	}
	switch _, err := w.step(p); {
	case err == nil:
		return p, fs.ErrExist
	case !isNotExist(err):
		return p, err
	case p.Slash && !dir:
		return p, fs.ErrNotExist
	}
	return p, nil
}

// WalkOpen finds the inode to be opened with the flags of package os. If it does not exist and may be made, the error
// is fs.ErrNotExist, and the place has a name. If a symbolic link leads to nothing, the place is where it leads.
func (n *Names) WalkOpen(r journal.Reader, s Spot, flag int) (Place, layout.Ino, error) {
	if s.At != 0 && s.Path == "" {
		return Place{}, s.At, n.InUse(r, s.At)
	}
	w := walker{n: n, r: r}
	p, err := w.start(s)
	create := flag&os.O_CREATE != 0
	for err == nil {
		if create && !p.Named() && flag&os.O_EXCL != 0 {
			return Place{}, 0, fs.ErrExist
		}
		if create && (!p.Named() || p.Slash) {
			return Place{}, 0, syscall.EISDIR
		}
		ino, err := w.step(p)
		if err != nil {
			return p, 0, err
		}
		if create && flag&os.O_EXCL != 0 {
			return Place{}, 0, fs.ErrExist
		}
		next, link, err := w.link(p, ino)
		if err != nil || !link {
			return p, ino, err
		}
		p = next
	}
	return Place{}, 0, err
}

// CheckName checks only a name: the error is syscall.ENAMETOOLONG, or EINVAL for a name with a zero byte.
func CheckName(name string) error {
	switch {
	case len(name) > MaxName:
		return syscall.ENAMETOOLONG
	case strings.Contains(name, "\x00"):
		return syscall.EINVAL
	}
	return nil
}

// WalkDir finds the directory to which a path leads. A symbolic link at its end is followed.
func (n *Names) WalkDir(r journal.Reader, path string) (layout.Ino, error) {
	w := walker{n: n, r: r}
	p, err := w.parent(layout.RootIno, path)
	if err != nil {
		return 0, err
	}
	p.Slash = true
	return w.finish(p, true)
}

// Lookup returns the inode to which a name in a directory leads. It must be in use.
func (n *Names) Lookup(r journal.Reader, p Place) (layout.Ino, error) {
	w := walker{n: n, r: r}
	return w.step(p)
}

// walker resolves one path; links bounds the symbolic links that it follows.
type walker struct {
	n     *Names
	r     journal.Reader
	links int
}

// start resolves the path of a spot up to its last name.
func (w *walker) start(s Spot) (Place, error) {
	if s.At == 0 {
		s.At = layout.RootIno
	}
	return w.parent(s.At, s.Path)
}

// parent resolves a path up to its last name, from a directory on.
func (w *walker) parent(at layout.Ino, name string) (p Place, err error) {
	switch {
	case name == "":
		return p, fs.ErrNotExist
	case len(name) >= MaxPath:
		return p, syscall.ENAMETOOLONG
	case name[0] == '/':
		at = layout.RootIno
	}
	parts := Split(name)
	if len(parts) == 0 {
		return Place{Dir: at, Slash: true}, nil
	}
	last := len(parts) - 1
	for _, part := range parts[:last] {
		if at, err = w.finish(Place{at, part, true}, true); err != nil {
			return p, err
		}
	}
	return Place{at, parts[last], strings.HasSuffix(name, "/")}, nil
}

// step looks up the last name of a place. The inode must be in use.
func (w *walker) step(p Place) (layout.Ino, error) {
	if p.Name == "" || p.Name == "." {
		return p.Dir, nil
	}
	if err := CheckName(p.Name); err != nil {
		return 0, err
	}
	ino, _, err := w.n.Dirs.Lookup(w.r, p.Dir, p.Name)
	if err != nil {
		return 0, err
	}
	return ino, w.n.InUse(w.r, ino)
}

// finish finds the inode to which a place leads.
func (w *walker) finish(p Place, follow bool) (layout.Ino, error) {
	ino, err := w.step(p)
	if err != nil || !follow && !p.Slash {
		return ino, err
	}
	next, link, err := w.link(p, ino)
	switch {
	case err != nil || !link:
		return ino, err
	case next.Name == "":
		return next.Dir, nil
	}
	return w.finish(next, true)
}

// link resolves a symbolic link up to the last name of its text. For any other inode, link is false; if the path goes
// on, that inode must be a directory.
func (w *walker) link(p Place, ino layout.Ino) (next Place, link bool, err error) {
	rec, err := w.n.Inodes.Read(w.r, ino)
	switch {
	case err != nil:
		return next, false, err
	case !rec.IsSymlink() && p.Slash && !rec.IsDir():
		return next, false, fmt.Errorf("inode %d: %w", ino, syscall.ENOTDIR)
	case !rec.IsSymlink():
		return next, false, nil
	}
	if w.links++; w.links > MaxLinks {
		return next, true, syscall.ELOOP
	}
	target, err := w.n.text(w.r, ino, rec)
	if err != nil {
		return next, true, err
	}
	next, err = w.parent(p.Dir, target)
	next.Slash = next.Slash || p.Slash
	return next, true, err
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
