package names

import (
	"errors"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// ErrSameFile says that a name cannot be replaced by the file that it already names.
var ErrSameFile = errors.New("the same file")

// LinkOver gives an inode the name p. The inode that had the name, there, loses it; it is not a directory, and 0 if
// there is none. from is the name by which the inode was found, or empty. If p is from, or the only name of the
// inode, the error is ErrSameFile; if p is another name of the same inode, nothing changes. gone is the inode that
// has lost a link, or 0.
func (n *Names) LinkOver(h *journal.Handle, ino layout.Ino, from, p Place, there layout.Ino) (gone layout.Ino, err error) {
	if there == ino {
		return 0, n.sameFile(h, from, p, ino)
	}
	rec, err := n.mayLink(h, ino)
	if err != nil {
		return 0, err
	}
	if err := n.AddLink(h, ino, 1); err != nil {
		return 0, err
	}
	return there, n.NameOver(h, p, ino, FileType(rec.Mode()), there)
}

// NameOver makes a name lead to an inode, whose link is counted already. The inode that had the name, old, loses a
// link; it may be 0.
func (n *Names) NameOver(h *journal.Handle, p Place, ino layout.Ino, ftype uint8, old layout.Ino) error {
	if old == 0 {
		if err := n.Dirs.Add(h, p.Dir, p.Name, ino, ftype); err != nil {
			return err
		}
		return n.DirChanged(h, p.Dir)
	}
	if _, err := n.Dirs.Replace(h, p.Dir, p.Name, ino, ftype); err != nil {
		return err
	}
	if err := n.dropLink(h, p.Dir, old); err != nil {
		return err
	}
	return n.DirChanged(h, p.Dir)
}

// sameFile decides about a link of a file, found at from, over one of its own names, at p.
func (n *Names) sameFile(r journal.Reader, from, p Place, ino layout.Ino) error {
	rec, err := n.Inodes.Read(r, ino)
	if err != nil {
		return err
	}
	same, err := n.samePlace(r, from, p)
	if err == nil && (same || rec.Links() == 1) {
		err = ErrSameFile
	}
	return err
}

// samePlace reports whether two places that lead to one inode are, or may be, the same name. In a casefolded
// directory, names that are written differently may be.
func (n *Names) samePlace(r journal.Reader, a, b Place) (bool, error) {
	if a.Dir != b.Dir || a.Name == b.Name {
		return a.Dir == b.Dir, nil
	}
	rec, err := n.Inodes.Read(r, a.Dir)
	return err == nil && rec.HasFlag(layout.FlagCasefold), err
}

// SymlinkOver makes a symbolic link with the name p. The inode that had the name, there, loses it; it is not a
// directory, and 0 if there is none. If the link would replace the very file to which it leads, the error is
// ErrSameFile. gone is the inode that has lost a link.
func (n *Names) SymlinkOver(h *journal.Handle, p Place, target string, a Attr, there layout.Ino) (made, gone layout.Ino, err error) {
	if there != 0 && n.leadsTo(h, p, target) == there {
		from, err := n.WalkParent(h, Spot{p.Dir, target})
		if err != nil {
			return 0, 0, err
		}
		if err := n.sameFile(h, from, p, there); err != nil {
			return 0, 0, err
		}
	}
	made, err = n.New(h, p.Dir, layout.ModeSymlink, linkAttr(a), n.fillSymlink(target))
	if err != nil {
		return 0, 0, err
	}
	return made, there, n.NameOver(h, p, made, layout.FTSymlink, there)
}

// leadsTo is the inode to which a symbolic link at p to target would lead now, or 0.
func (n *Names) leadsTo(r journal.Reader, p Place, target string) layout.Ino {
	w := walker{n: n, r: r}
	to, err := w.parent(p.Dir, target)
	if err != nil {
		return 0
	}
	ino, err := w.finish(to, true)
	if err != nil {
		return 0
	}
	return ino
}

// WalkOver finds a name that is to be made or replaced, and the inode it leads to, or 0. It refuses names that cannot
// be replaced.
func (n *Names) WalkOver(r journal.Reader, s Spot) (p Place, there layout.Ino, err error) {
	w := walker{n: n, r: r}
	if p, err = w.start(s); err != nil {
		return p, 0, err
	}
	if !p.Named() {
		return p, 0, syscall.EISDIR
	}
	there, err = w.step(p)
	switch {
	case isNotExist(err) && !p.Slash:
		return p, 0, n.MayChangeDir(r, p.Dir, false)
	case err != nil:
		return p, 0, err
	}
	rec, err := n.Inodes.Read(r, there)
	switch {
	case err != nil:
		return p, 0, err
	case rec.IsDir():
		return p, 0, syscall.EISDIR
	case p.Slash:
		return p, 0, syscall.ENOTDIR
	}
	if err := n.MayChangeDir(r, p.Dir, false); err != nil {
		return p, 0, err
	}
	return p, there, n.MayRemove(r, p.Dir, there)
}
