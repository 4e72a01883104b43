package ext4

import (
	"context"
	"errors"
	"syscall"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Remove removes a name of a file, or of an empty directory. When the last name of a file is removed, the file is
// deleted as soon as no goroutine has it open.
func (f *FS) Remove(name string) error {
	return pathError("remove", name, f.remove(root(name), f.names.Remove))
}

// Unlink is Remove for everything but directories.
func (f *FS) Unlink(name string) error {
	return pathError("unlink", name, f.remove(root(name), f.names.Unlink))
}

// Rmdir is Remove for directories.
func (f *FS) Rmdir(name string) error {
	return pathError("rmdir", name, f.remove(root(name), f.names.Rmdir))
}

// remove runs fn, which removes a name.
func (f *FS) remove(s names.Spot, fn func(h *journal.Handle, p names.Place) (gone layout.Ino, err error)) error {
	return f.takeName(f.names.Credits(), func(h *journal.Handle) (layout.Ino, error) {
		p, err := f.names.WalkParent(h, s)
		if err != nil {
			return 0, err
		}
		return fn(h, p)
	})
}

// RemoveAll removes a path and everything below it. A path that does not exist is no error. Entries that cannot be
// removed stay, with the directories above them, and the rest is removed. It returns the first error.
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

// RemoveTree removes a path and everything below it, however deep. For each entry that cannot be removed it calls
// bad; the entry and the directories above it stay. The rest is removed, unless bad returns an error, or ctx ends:
// that ends RemoveTree.
func (f *FS) RemoveTree(ctx context.Context, name string, bad func(path string, err error) error) error {
	top, err := f.removable(name)
	if err != nil {
		return pathError("remove", name, err)
	}
	stuck := 0 // depth of an entry that stays; 0: nothing stays in the directory that is left next
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
		Changing: true,
		Visit: func(v *Visit) error {
			if v.Info.IsDir() {
				return nil
			}
			return remove(v)
		},
		Leave: func(v *Visit) error {
			if stuck > v.Depth { // it is not empty, and the reason was reported already
				stuck = v.Depth
				return nil
			}
			return remove(v)
		},
		Bad: func(v *Visit, err error) error {
			stuck = v.Depth
			if v.Info != nil && !errors.As(err, new(*LoopError)) { // a part that cannot be read may have names
				stuck++
			}
			return bad(v.Path(), err)
		},
	}
	return w.Run(ctx, top, name)
}

// removable returns the inode of a path that ends in a name and may be removed with everything below it.
func (f *FS) removable(name string) (Inode, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	p, err := f.names.WalkParent(v, root(name))
	if err == nil && !p.Named() {
		err = names.NoName(p)
	}
	if err != nil {
		return Inode{}, err
	}
	ino, err := f.names.Lookup(v, p)
	if err == nil && ino == layout.RootIno {
		err = syscall.EBUSY
	}
	return Inode{f, ino}, err
}

// RenameFlags change what Rename does, with the values of renameat2(2).
type RenameFlags uint32

// The flags of Rename.
const (
	RenameNoReplace = RenameFlags(names.RenameNoReplace) // an existing newname is an error
	RenameExchange  = RenameFlags(names.RenameExchange)  // both names exist and change places
)

// Rename gives a file or directory another name, in one step. A newname that exists is replaced; a directory only by
// a directory, and only if it is empty. If both are names of one file, both stay.
func (f *FS) Rename(oldname, newname string, flags RenameFlags) error {
	return f.rename(oldname, newname, flags, false)
}

// Move is Rename as in mv(1): if both are names of one file, oldname is removed; a file onto itself is ErrSameFile.
func (f *FS) Move(oldname, newname string, flags RenameFlags) error {
	return f.rename(oldname, newname, flags, true)
}

func (f *FS) rename(oldname, newname string, flags RenameFlags, merge bool) error {
	return f.renameAt(root(oldname), root(newname), flags, merge)
}

func (f *FS) renameAt(old, next names.Spot, flags RenameFlags, merge bool) error {
	if err := names.CheckRename(names.RenameFlags(flags)); err != nil {
		return pathError("rename", old.String(), err)
	}
	err := f.takeName(f.names.Credits(), func(h *journal.Handle) (layout.Ino, error) {
		from, err := f.names.WalkParent(h, old)
		if err != nil {
			return 0, err
		}
		to, err := f.names.WalkParent(h, next)
		if err != nil {
			return 0, err
		}
		return f.names.Rename(h, from, to, names.RenameFlags(flags), merge)
	})
	return pathError("rename", old.String(), err)
}
