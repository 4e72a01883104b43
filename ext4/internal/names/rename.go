package names

import (
	"fmt"
	"io/fs"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// RenameFlags change what Rename does, with the values of renameat2(2).
type RenameFlags uint32

// The flags of Rename.
const (
	RenameNoReplace RenameFlags = 1 // an existing newname is an error
	RenameExchange  RenameFlags = 2 // both names exist and change places
)

// Rename gives the file or directory at from the name to, in one step. A name that exists is replaced; a directory
// only by a directory, and only if it is empty. If both are names of one file, both stay. With merge, as in mv(1),
// the old one is removed instead, and a file onto itself is ErrSameFile. gone is the inode that has lost a link, or
// 0.
func (n *Names) Rename(h *journal.Handle, from, to Place, flags RenameFlags, merge bool) (gone layout.Ino, err error) {
	if err := CheckRename(flags); err != nil {
		return 0, err
	}
	r := rename{n: n, h: h, flags: flags, merge: merge}
	if err := r.find(from, to); err != nil {
		return 0, err
	}
	err = r.run()
	return r.gone, err
}

// CheckRename checks only the flags: the error is syscall.EINVAL.
func CheckRename(flags RenameFlags) error {
	if flags&^(RenameNoReplace|RenameExchange) != 0 || flags == RenameNoReplace|RenameExchange {
		return syscall.EINVAL
	}
	return nil
}

// rename is one Rename in its handle.
type rename struct {
	n     *Names
	h     *journal.Handle
	flags RenameFlags
	merge bool // of two names of one file, remove the old one
	from  entry
	to    entry      // ino 0 if the name is free
	gone  layout.Ino // the inode that has lost a link, or 0
}

// entry is a name in a directory and the inode it leads to.
type entry struct {
	Place
	ino layout.Ino
	rec layout.Inode
}

func (e entry) isDir() bool { return e.ino != 0 && e.rec.IsDir() }

func (r *rename) find(from, to Place) (err error) {
	switch {
	case !from.Named():
		return syscall.EBUSY
	case !to.Named() && r.flags == RenameNoReplace:
		return fs.ErrExist
	case !to.Named():
		return syscall.EBUSY
	}
	if r.from, err = r.entry(from); err != nil {
		return err
	}
	if r.to, err = r.entry(to); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

func (r *rename) entry(p Place) (e entry, err error) {
	e.Place = p
	ino, err := r.n.Lookup(r.h, p)
	if err != nil {
		return e, err
	}
	e.ino = ino
	e.rec, err = r.n.Inodes.Read(r.h, ino)
	return e, err
}

func (r *rename) run() error {
	if err := r.judge(); err != nil {
		return err
	}
	switch {
	case r.to.ino == r.from.ino && r.merge:
		return r.mergeNames()
	case r.to.ino == r.from.ino:
		return nil
	case r.flags == RenameExchange:
		return r.exchange()
	case r.to.ino != 0:
		return r.replace()
	}
	if err := r.n.Dirs.Add(r.h, r.to.Dir, r.to.Name, r.from.ino, FileType(r.from.rec.Mode())); err != nil {
		return err
	}
	return r.takeOld()
}

// mergeNames removes the old one of two names of a file.
func (r *rename) mergeNames() error {
	same, err := r.n.samePlace(r.h, r.from.Place, r.to.Place)
	switch {
	case err != nil:
		return err
	case same || r.from.isDir():
		return ErrSameFile
	case r.from.rec.Links() < 2:
		return layout.Corruptf("inode %d: two names and %d links", r.from.ino, r.from.rec.Links())
	}
	return r.n.RemoveFrom(r.h, r.from.Place, r.from.ino)
}

// judge refuses everything that rename(2) refuses.
func (r *rename) judge() error {
	n := r.n
	if err := r.judgeNames(); err != nil || r.to.ino == r.from.ino {
		return err
	}
	for _, dir := range []layout.Ino{r.from.Dir, r.to.Dir} {
		if err := n.MayChangeDir(r.h, dir, dir == r.from.Dir || r.to.ino != 0); err != nil {
			return err
		}
	}
	for _, e := range []entry{r.from, r.to} {
		if e.ino != 0 && e.rec.HasFlag(layout.FlagImmutable|layout.FlagAppend) {
			return syscall.EPERM
		}
	}
	switch {
	case r.to.ino == 0 || r.flags == RenameExchange:
		return nil
	case r.from.isDir() && !r.to.isDir():
		return syscall.ENOTDIR
	case !r.from.isDir() && r.to.isDir():
		return syscall.EISDIR
	}
	return n.MayRemove(r.h, r.to.Dir, r.to.ino)
}

// judgeNames checks which names exist and where they lead, before any permission.
func (r *rename) judgeNames() error {
	swap := r.flags == RenameExchange
	switch {
	case r.flags == RenameNoReplace && r.to.ino != 0:
		return fs.ErrExist
	case swap && r.to.ino == 0:
		return fs.ErrNotExist
	case swap && !r.to.isDir() && r.to.Slash:
		return syscall.ENOTDIR
	case !r.from.isDir() && (r.from.Slash || !swap && r.to.Slash):
		return syscall.ENOTDIR
	}
	below, err := r.inside(r.from, r.to.Dir)
	if err != nil {
		return err
	}
	above, err := r.inside(r.to, r.from.Dir)
	switch {
	case err != nil:
		return err
	case below || above && swap:
		return fmt.Errorf("a directory cannot be moved to below itself: %w", syscall.EINVAL)
	case above:
		return syscall.ENOTEMPTY
	}
	return nil
}

// inside reports whether a directory is top, or is below it.
func (r *rename) inside(top entry, dir layout.Ino) (bool, error) {
	if !top.isDir() {
		return false, nil
	}
	at := dir
	for range r.n.Geo.Inodes {
		if at == top.ino || at == layout.RootIno {
			return at == top.ino, nil
		}
		up, _, err := r.n.Dirs.Lookup(r.h, at, "..")
		if isNotExist(err) {
			err = layout.Corruptf(`directory %d: no ".."`, at)
		}
		if err != nil {
			return false, err
		}
		at = up
	}
	return false, layout.Corruptf("directory %d: its parents are a circle", dir)
}

// takeOld removes the old name, and updates ".." of a directory that moves.
func (r *rename) takeOld() error {
	if _, err := r.n.Dirs.Remove(r.h, r.from.Dir, r.from.Name); err != nil {
		return err
	}
	if err := r.moved(r.from, r.to.Dir); err != nil {
		return err
	}
	return r.stamp()
}

// moved changes ".." of a directory to its new parent, and the link counts of both parents.
func (r *rename) moved(e entry, to layout.Ino) error {
	rec, err := r.n.Inodes.Edit(r.h, e.ino)
	if err != nil {
		return err
	}
	rec.SetCtime(r.n.Inodes.Clock())
	if !e.isDir() || e.Dir == to {
		return nil
	}
	if err := r.n.Dirs.SetParent(r.h, e.ino, to); err != nil {
		return err
	}
	if err := r.n.AddLink(r.h, to, 1); err != nil {
		return err
	}
	return r.n.AddLink(r.h, e.Dir, -1)
}

// stamp sets the times of both directories.
func (r *rename) stamp() error {
	if err := r.n.DirChanged(r.h, r.from.Dir); err != nil || r.from.Dir == r.to.Dir {
		return err
	}
	return r.n.DirChanged(r.h, r.to.Dir)
}

// replace makes the new name lead to the file. The inode that had the name loses a link.
func (r *rename) replace() error {
	n := r.n
	if _, err := n.Dirs.Replace(r.h, r.to.Dir, r.to.Name, r.from.ino, FileType(r.from.rec.Mode())); err != nil {
		return err
	}
	if err := n.dropLink(r.h, r.to.Dir, r.to.ino); err != nil {
		return err
	}
	r.gone = r.to.ino
	return r.takeOld()
}

// exchange makes each name lead to the other's inode.
func (r *rename) exchange() error {
	n := r.n
	if _, err := n.Dirs.Replace(r.h, r.to.Dir, r.to.Name, r.from.ino, FileType(r.from.rec.Mode())); err != nil {
		return err
	}
	if _, err := n.Dirs.Replace(r.h, r.from.Dir, r.from.Name, r.to.ino, FileType(r.to.rec.Mode())); err != nil {
		return err
	}
	if err := r.moved(r.from, r.to.Dir); err != nil {
		return err
	}
	if err := r.moved(r.to, r.from.Dir); err != nil {
		return err
	}
	return r.stamp()
}
