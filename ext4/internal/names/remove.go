package names

import (
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Remove removes a name of a file, or of an empty directory. gone is the inode that has lost a link.
func (n *Names) Remove(h *journal.Handle, p Place) (gone layout.Ino, err error) {
	return n.remove(h, p, func(layout.Inode) error { return nil })
}

// Unlink is Remove for everything but directories.
func (n *Names) Unlink(h *journal.Handle, p Place) (gone layout.Ino, err error) {
	if !p.Named() {
		return 0, syscall.EISDIR
	}
	return n.remove(h, p, func(rec layout.Inode) error {
		if rec.IsDir() {
			return syscall.EISDIR
		}
		return nil
	})
}

// Rmdir is Remove for directories.
func (n *Names) Rmdir(h *journal.Handle, p Place) (gone layout.Ino, err error) {
	return n.remove(h, p, func(rec layout.Inode) error {
		if !rec.IsDir() {
			return syscall.ENOTDIR
		}
		return nil
	})
}

// NoName returns the reason why a directory cannot be removed whose path does not end in a name.
func NoName(p Place) error {
	switch p.Name {
	case ".":
		return syscall.EINVAL
	case "..":
		return syscall.ENOTEMPTY
	}
	return syscall.EBUSY // the root
}

// remove removes a name unless judge returns an error for its inode.
func (n *Names) remove(h *journal.Handle, p Place, judge func(layout.Inode) error) (layout.Ino, error) {
	if !p.Named() {
		return 0, NoName(p)
	}
	ino, err := n.Lookup(h, p)
	if err != nil {
		return 0, err
	}
	rec, err := n.Inodes.Read(h, ino)
	if err != nil {
		return 0, err
	}
	if err := judge(rec); err != nil {
		return 0, err
	}
	if p.Slash && !rec.IsDir() {
		return 0, syscall.ENOTDIR
	}
	return ino, n.RemoveFrom(h, p, ino)
}

// RemoveFrom removes a name, which leads to ino, from its directory, and a link from the inode. If that was the last
// link, the inode becomes an orphan.
func (n *Names) RemoveFrom(h *journal.Handle, p Place, ino layout.Ino) error {
	if err := n.MayRemove(h, p.Dir, ino); err != nil {
		return err
	}
	if _, err := n.Dirs.Remove(h, p.Dir, p.Name); err != nil {
		return err
	}
	if err := n.DirChanged(h, p.Dir); err != nil {
		return err
	}
	return n.dropLink(h, p.Dir, ino)
}

// dropLink removes the link that belonged to a name in dir.
func (n *Names) dropLink(h *journal.Handle, dir, ino layout.Ino) error {
	rec, err := n.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	rec.SetCtime(n.Inodes.Clock())
	if rec.IsDir() || rec.Links() == 1 {
		if err := n.MayFree(h, ino); err != nil {
			return err
		}
	}
	if rec.IsDir() {
		if err := n.AddLink(h, dir, -1); err != nil {
			return err
		}
		rec.SetLinks(0)
		rec.SetSize(0)
		return n.Inodes.AddOrphan(h, ino)
	}
	if rec.Links() == 0 {
		return layout.Corruptf("inode %d: has a name in directory %d and no links", ino, dir)
	}
	rec.SetLinks(rec.Links() - 1)
	if rec.Links() > 0 {
		return nil
	}
	return n.Inodes.AddOrphan(h, ino)
}

// MayRemove checks whether a name that leads to ino may be removed.
func (n *Names) MayRemove(r journal.Reader, dir, ino layout.Ino) error {
	if err := n.MayChangeDir(r, dir, true); err != nil {
		return err
	}
	rec, err := n.Inodes.Read(r, ino)
	if err != nil {
		return err
	}
	if rec.HasFlag(layout.FlagImmutable | layout.FlagAppend) {
		return syscall.EPERM
	}
	if !rec.IsDir() {
		return nil
	}
	if ino == layout.RootIno {
		return syscall.EBUSY
	}
	empty, err := n.Dirs.Empty(r, ino)
	if err == nil && !empty {
		err = syscall.ENOTEMPTY
	}
	return err
}
