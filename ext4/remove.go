package ext4

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Remove takes away a name: of a file, or of an empty directory. The last name of a file takes the file with it, as soon
// as nobody has it open.
func (f *FS) Remove(name string) error {
	return pathError("remove", name, f.remove(root(name), noName, func(layout.Inode) error { return nil }))
}

// Unlink is Remove for everything but directories.
func (f *FS) Unlink(name string) error {
	return pathError("unlink", name, f.remove(root(name), func(place) error { return syscall.EISDIR }, func(rec layout.Inode) error {
		if rec.IsDir() {
			return syscall.EISDIR
		}
		return nil
	}))
}

// Rmdir is Remove for directories.
func (f *FS) Rmdir(name string) error {
	return pathError("rmdir", name, f.remove(root(name), noName, func(rec layout.Inode) error {
		if !rec.IsDir() {
			return syscall.ENOTDIR
		}
		return nil
	}))
}

// noName is why a directory whose path does not end in a name cannot be removed.
func noName(p place) error {
	switch p.name {
	case ".":
		return syscall.EINVAL
	case "..":
		return syscall.ENOTEMPTY
	}
	return syscall.EBUSY // the root
}

// remove takes a name away if judge has nothing against what it leads to. unnamed is the error for a path that does not
// end in a name.
func (f *FS) remove(s spot, unnamed func(place) error, judge func(layout.Inode) error) error {
	var gone *node
	tid, err := f.vol.Update(f.nameCredits(), func(h *journal.Handle) error {
		p, err := f.walkParent(h, s)
		if err == nil && !p.named() {
			err = unnamed(p)
		}
		if err != nil {
			return err
		}
		w := walker{fs: f, r: h}
		ino, err := w.step(p)
		if err != nil {
			return err
		}
		rec, err := f.vol.Inodes.Read(h, ino)
		if err != nil {
			return err
		}
		if err := judge(rec); err != nil {
			return err
		}
		if p.slash && !rec.IsDir() {
			return syscall.ENOTDIR
		}
		f.hold(h, ino, &gone)
		return f.unlinkIn(h, p.dir, p.name, ino)
	})
	if err != nil {
		return err
	}
	return f.letGo(gone, tid)
}

// hold takes a reference to an inode as the handle ends, if it succeeds: before anybody else can free the inode, and
// its number is used again.
func (f *FS) hold(h *journal.Handle, ino layout.Ino, n **node) {
	h.AtEnd(func(ok bool) {
		if ok {
			*n = f.get(ino)
		}
	})
}

// nameOver lets a name lead to an inode; what it led to, old, which may be nothing (0), loses a link, and gone holds it
// when the handle has ended.
func (f *FS) nameOver(h *journal.Handle, p place, ino layout.Ino, ftype uint8, old layout.Ino, gone **node) error {
	if old == 0 {
		if err := f.vol.Dirs.Add(h, p.dir, p.name, ino, ftype); err != nil {
			return err
		}
		return f.dirChanged(h, p.dir)
	}
	if _, err := f.vol.Dirs.Replace(h, p.dir, p.name, ino, ftype); err != nil {
		return err
	}
	if err := f.dropLink(h, p.dir, old); err != nil {
		return err
	}
	f.hold(h, old, gone)
	return f.dirChanged(h, p.dir)
}

// letGo gives back what a handle held because its name is gone; nil is nothing.
func (f *FS) letGo(gone *node, tid journal.TID) error {
	if gone == nil {
		return nil
	}
	gone.changed(tid)
	return f.put(gone)
}

// unlinkIn takes one name out of a directory and a link from its inode, which becomes an orphan with the last one.
func (f *FS) unlinkIn(h *journal.Handle, dir layout.Ino, base string, ino layout.Ino) error {
	if err := f.mayRemove(h, dir, ino); err != nil {
		return err
	}
	if _, err := f.vol.Dirs.Remove(h, dir, base); err != nil {
		return err
	}
	if err := f.dirChanged(h, dir); err != nil {
		return err
	}
	return f.dropLink(h, dir, ino)
}

// dropLink takes away the link that a name in dir was.
func (f *FS) dropLink(h *journal.Handle, dir, ino layout.Ino) error {
	rec, err := f.vol.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	rec.SetCtime(f.vol.Inodes.Clock())
	if rec.IsDir() || rec.Links() == 1 {
		if err := f.vol.MayFree(h, ino); err != nil {
			return err
		}
	}
	if rec.IsDir() {
		if err := f.addLink(h, dir, -1); err != nil {
			return err
		}
		rec.SetLinks(0)
		rec.SetSize(0)
		return f.vol.Inodes.AddOrphan(h, ino)
	}
	if rec.Links() == 0 {
		return layout.Corruptf("inode %d: has a name in directory %d and no links", ino, dir)
	}
	rec.SetLinks(rec.Links() - 1)
	if rec.Links() > 0 {
		return nil
	}
	return f.vol.Inodes.AddOrphan(h, ino)
}

// mayRemove judges whether a name that leads to ino may go.
func (f *FS) mayRemove(r journal.Reader, dir, ino layout.Ino) error {
	if err := f.mayChangeDir(r, dir, true); err != nil {
		return err
	}
	rec, err := f.vol.Inodes.Read(r, ino)
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
	empty, err := f.vol.Dirs.Empty(r, ino)
	if err == nil && !empty {
		err = syscall.ENOTEMPTY
	}
	return err
}

// RemoveAll removes a path and everything below it. A path that does not exist is no error. What cannot be removed stays,
// with the directories above it, and the rest goes; the error is the first.
func (f *FS) RemoveAll(name string) error {
	var first error
	err := f.RemoveTree(context.Background(), name, func(path string, err error) error {
		if first == nil {
			first = pathError("remove", path, err)
		}
		return nil
	})
	if err == nil || isNotExist(err) {
		err = first
	}
	return err
}

// RemoveTree removes a path and everything below it, however deep. What cannot be removed stays, with the directories
// above it, and is told to bad; the rest goes unless bad returns an error, which ends it as the end of ctx does.
func (f *FS) RemoveTree(ctx context.Context, name string, bad func(path string, err error) error) error {
	top, err := f.removable(name)
	if err != nil {
		return pathError("remove", name, err)
	}
	stuck := 0 // how deep something is that stays; 0: nothing in the directory that is left next
	remove := func(v *Visit) error {
		err := error(nil)
		if v.Depth == 0 {
			err = f.Remove(name)
		} else {
			err = v.Dir.Remove(v.Name)
		}
		if err != nil {
			stuck = v.Depth
			return bad(v.Path(), reason(err))
		}
		return nil
	}
	w := Walk{
		Visit: func(v *Visit) error {
			if v.Info.IsDir() {
				return nil
			}
			return remove(v)
		},
		Leave: func(v *Visit) error {
			if stuck > v.Depth { // it is not empty, and why has been said
				stuck = v.Depth
				return nil
			}
			return remove(v)
		},
		Bad: func(v *Visit, err error) error {
			stuck = v.Depth
			if v.Info != nil && !errors.As(err, new(*LoopError)) { // a part of it that cannot be read may have names
				stuck++
			}
			return bad(v.Path(), err)
		},
	}
	return w.Run(ctx, top, name)
}

// removable is what a path leads to that ends in a name, and may be removed with all that is below it.
func (f *FS) removable(name string) (Inode, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	p, err := f.walkParent(v, root(name))
	if err == nil && !p.named() {
		err = noName(p)
	}
	if err != nil {
		return Inode{}, err
	}
	w := walker{fs: f, r: v}
	ino, err := w.step(p)
	if err == nil && ino == layout.RootIno {
		err = syscall.EBUSY
	}
	return Inode{f, ino}, err
}

// RenameFlags change what Rename does, with the values of renameat2(2).
type RenameFlags uint32

// The flags of Rename.
const (
	RenameNoReplace RenameFlags = 1 // an existing newname is an error
	RenameExchange  RenameFlags = 2 // both names exist and change places
)

// Rename gives a file or directory another name, in one step: a newname that exists is replaced, a directory only by a
// directory and only if it is empty. Two names of one file stay as they are.
func (f *FS) Rename(oldname, newname string, flags RenameFlags) error {
	return f.rename(oldname, newname, flags, false)
}

// Move is Rename as mv(1) does it: of two names of one file oldname goes; a file onto itself is ErrSameFile.
func (f *FS) Move(oldname, newname string, flags RenameFlags) error {
	return f.rename(oldname, newname, flags, true)
}

func (f *FS) rename(oldname, newname string, flags RenameFlags, merge bool) error {
	if flags&^(RenameNoReplace|RenameExchange) != 0 || flags == RenameNoReplace|RenameExchange {
		return pathError("rename", oldname, syscall.EINVAL)
	}
	var gone *node
	tid, err := f.vol.Update(f.nameCredits(), func(h *journal.Handle) error {
		r := rename{f: f, h: h, flags: flags, merge: merge, gone: &gone}
		if err := r.find(oldname, newname); err != nil {
			return err
		}
		return r.run()
	})
	if err == nil {
		err = f.letGo(gone, tid)
	}
	return pathError("rename", oldname, err)
}

// rename is one Rename in its handle.
type rename struct {
	f     *FS
	h     *journal.Handle
	flags RenameFlags
	merge bool // of two names of one file the old one goes
	from  entry
	to    entry  // ino 0 if the name is free
	gone  **node // what newname was, to be put when the handle has ended
}

// entry is a name in a directory and where it leads.
type entry struct {
	place
	ino layout.Ino
	rec layout.Inode
}

func (e entry) isDir() bool { return e.ino != 0 && e.rec.IsDir() }

func (r *rename) find(oldname, newname string) (err error) {
	from, err := r.f.walkParent(r.h, root(oldname))
	if err != nil {
		return err
	}
	to, err := r.f.walkParent(r.h, root(newname))
	switch {
	case err != nil:
		return err
	case !from.named():
		return syscall.EBUSY
	case !to.named() && r.flags == RenameNoReplace:
		return fs.ErrExist
	case !to.named():
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

func (r *rename) entry(p place) (e entry, err error) {
	e.place = p
	w := walker{fs: r.f, r: r.h}
	ino, err := w.step(p)
	if err != nil {
		return e, err
	}
	e.ino = ino
	e.rec, err = r.f.vol.Inodes.Read(r.h, ino)
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
	if err := r.f.vol.Dirs.Add(r.h, r.to.dir, r.to.name, r.from.ino, fileType(r.from.rec.Mode())); err != nil {
		return err
	}
	return r.takeOld()
}

// mergeNames takes the old one of two names of a file away.
func (r *rename) mergeNames() error {
	same, err := r.f.samePlace(r.h, r.from.place, r.to.place)
	switch {
	case err != nil:
		return err
	case same || r.from.isDir():
		return ErrSameFile
	case r.from.rec.Links() < 2:
		return layout.Corruptf("inode %d: two names and %d links", r.from.ino, r.from.rec.Links())
	}
	return r.f.unlinkIn(r.h, r.from.dir, r.from.name, r.from.ino)
}

// judge refuses what rename(2) refuses.
func (r *rename) judge() error {
	f := r.f
	if err := r.judgeNames(); err != nil || r.to.ino == r.from.ino {
		return err
	}
	for _, dir := range []layout.Ino{r.from.dir, r.to.dir} {
		if err := f.mayChangeDir(r.h, dir, dir == r.from.dir || r.to.ino != 0); err != nil {
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
	return f.mayRemove(r.h, r.to.dir, r.to.ino)
}

// judgeNames looks at what exists and where, before any permission.
func (r *rename) judgeNames() error {
	swap := r.flags == RenameExchange
	switch {
	case r.flags == RenameNoReplace && r.to.ino != 0:
		return fs.ErrExist
	case swap && r.to.ino == 0:
		return fs.ErrNotExist
	case swap && !r.to.isDir() && r.to.slash:
		return syscall.ENOTDIR
	case !r.from.isDir() && (r.from.slash || !swap && r.to.slash):
		return syscall.ENOTDIR
	}
	below, err := r.inside(r.from, r.to.dir)
	if err != nil {
		return err
	}
	above, err := r.inside(r.to, r.from.dir)
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

// inside tells whether a directory is top, or below it.
func (r *rename) inside(top entry, dir layout.Ino) (bool, error) {
	if !top.isDir() {
		return false, nil
	}
	at := dir
	for range r.f.vol.Geo.Inodes {
		if at == top.ino || at == layout.RootIno {
			return at == top.ino, nil
		}
		up, _, err := r.f.vol.Dirs.Lookup(r.h, at, "..")
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

// takeOld removes the old name and moves what a directory says of its parent.
func (r *rename) takeOld() error {
	if _, err := r.f.vol.Dirs.Remove(r.h, r.from.dir, r.from.name); err != nil {
		return err
	}
	if err := r.moved(r.from, r.to.dir); err != nil {
		return err
	}
	return r.stamp()
}

// moved lets a directory know its new parent, and both parents how many directories they have.
func (r *rename) moved(e entry, to layout.Ino) error {
	rec, err := r.f.vol.Inodes.Edit(r.h, e.ino)
	if err != nil {
		return err
	}
	rec.SetCtime(r.f.vol.Inodes.Clock())
	if !e.isDir() || e.dir == to {
		return nil
	}
	if err := r.f.vol.Dirs.SetParent(r.h, e.ino, to); err != nil {
		return err
	}
	if err := r.f.addLink(r.h, to, 1); err != nil {
		return err
	}
	return r.f.addLink(r.h, e.dir, -1)
}

// stamp sets the times of both directories.
func (r *rename) stamp() error {
	if err := r.f.dirChanged(r.h, r.from.dir); err != nil || r.from.dir == r.to.dir {
		return err
	}
	return r.f.dirChanged(r.h, r.to.dir)
}

// replace lets newname lead to the file; what it led to loses a link.
func (r *rename) replace() error {
	f := r.f
	if _, err := f.vol.Dirs.Replace(r.h, r.to.dir, r.to.name, r.from.ino, fileType(r.from.rec.Mode())); err != nil {
		return err
	}
	if err := f.dropLink(r.h, r.to.dir, r.to.ino); err != nil {
		return err
	}
	f.hold(r.h, r.to.ino, r.gone)
	return r.takeOld()
}

// exchange lets each name lead to the other's inode.
func (r *rename) exchange() error {
	f := r.f
	if _, err := f.vol.Dirs.Replace(r.h, r.to.dir, r.to.name, r.from.ino, fileType(r.from.rec.Mode())); err != nil {
		return err
	}
	if _, err := f.vol.Dirs.Replace(r.h, r.from.dir, r.from.name, r.to.ino, fileType(r.to.rec.Mode())); err != nil {
		return err
	}
	if err := r.moved(r.from, r.to.dir); err != nil {
		return err
	}
	if err := r.moved(r.to, r.from.dir); err != nil {
		return err
	}
	return r.stamp()
}
