package names

import (
	"io/fs"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Mkdir makes a directory.
func (n *Names) Mkdir(h *journal.Handle, p Place, a Attr) (layout.Ino, error) {
	return n.Create(h, p, layout.ModeDir, a, func(h *journal.Handle, dir, ino layout.Ino, rec layout.Inode) error {
		return n.InitDir(h, ino, rec, dir)
	})
}

// Symlink makes a symbolic link to target. A short target is stored in the inode, a long one in a block of its own.
func (n *Names) Symlink(h *journal.Handle, p Place, target string, a Attr) (layout.Ino, error) {
	return n.Create(h, p, layout.ModeSymlink, linkAttr(a), n.fillSymlink(target))
}

// linkAttr sets the permissions that all symbolic links have.
func linkAttr(a Attr) Attr {
	a.Perm = 0o777
	return a
}

func (n *Names) fillSymlink(target string) Fill {
	return func(h *journal.Handle, _, ino layout.Ino, rec layout.Inode) error {
		return n.InitSymlink(h, ino, rec, target)
	}
}

// Mknod makes a device, a FIFO or a socket: mode is its type.
func (n *Names) Mknod(h *journal.Handle, p Place, mode uint16, a Attr, major, minor uint32) (layout.Ino, error) {
	return n.Create(h, p, mode, a, func(_ *journal.Handle, _, _ layout.Ino, rec layout.Inode) error {
		return n.InitSpecial(rec, mode, major, minor)
	})
}

// Tmpfile makes a regular file without a name, near a directory. It is one of the orphans until LinkTmpfile gives it
// a name.
func (n *Names) Tmpfile(h *journal.Handle, near layout.Ino, a Attr) (layout.Ino, layout.Inode, error) {
	ino, rec, err := n.Inodes.New(h, near, layout.ModeRegular|a.Perm&layout.ModePermMask)
	if err != nil {
		return 0, nil, err
	}
	rec.SetUID(a.UID)
	rec.SetGID(a.GID)
	rec.SetLinks(0)
	return ino, rec, n.Inodes.AddOrphan(h, ino)
}

// LinkTmpfileOver gives a file of Tmpfile the name p. The inode that had the name, old, loses it; it is not a
// directory, and 0 if there is none. The file inherits lists like a new one.
func (n *Names) LinkTmpfileOver(h *journal.Handle, ino layout.Ino, p Place, old layout.Ino) error {
	rec, err := n.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	if err := n.Inodes.DelOrphan(h, ino); err != nil {
		return err
	}
	rec.SetLinks(1)
	if err := n.InheritGroup(h, p.Dir, rec); err != nil {
		return err
	}
	if err := n.NameOver(h, p, ino, layout.FTRegular, old); err != nil {
		return err
	}
	return n.InheritACL(h, p.Dir, ino)
}

// LinkTmpfile gives a file of Tmpfile a name that does not exist yet. If the file already has a name, the error is
// fs.ErrExist too.
func (n *Names) LinkTmpfile(h *journal.Handle, ino layout.Ino, p Place) error {
	if err := n.MayChangeDir(h, p.Dir, false); err != nil {
		return err
	}
	rec, err := n.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	if rec.Links() != 0 {
		return fs.ErrExist
	}
	rec.SetLinks(1)
	if err := n.Inodes.DelOrphan(h, ino); err != nil {
		return err
	}
	if err := n.Dirs.Add(h, p.Dir, p.Name, ino, layout.FTRegular); err != nil {
		return err
	}
	return n.DirChanged(h, p.Dir)
}
