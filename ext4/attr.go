package ext4

import (
	"errors"
	"os"
	"syscall"
	"time"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// errSame is a change to what is there already: it leaves the time of change as it is, and is no error.
var errSame = errors.New("nothing changes")

// change edits the inode of a spot, in one handle, and sets its change time.
func (f *FS) change(op string, s spot, follow bool, credits int, fn func(h *journal.Handle, ino layout.Ino, rec layout.Inode) error) error {
	_, err := f.vol.Update(credits+2, func(h *journal.Handle) error {
		ino, err := f.walk(h, s, follow)
		if err != nil {
			return err
		}
		rec, err := f.vol.Inodes.Edit(h, ino)
		if err != nil {
			return err
		}
		if rec.HasFlag(layout.FlagImmutable | layout.FlagAppend) {
			return syscall.EPERM
		}
		switch err := fn(h, ino, rec); {
		case err == errSame:
			return nil
		case err != nil:
			return err
		}
		rec.SetCtime(f.vol.Inodes.Clock())
		return nil
	})
	return pathError(op, s.String(), err)
}

// Chmod sets the permissions, set-uid, set-gid and sticky bit, as i_mode has them (PermBits). A symbolic link is
// followed. An access control list changes with them.
func (f *FS) Chmod(name string, perm uint16) error { return f.chmodAt(root(name), perm) }

func (f *FS) chmodAt(s spot, perm uint16) error {
	return f.change("chmod", s, true, f.vol.Attrs.Credits(0), func(h *journal.Handle, ino layout.Ino, rec layout.Inode) error {
		rec.SetMode(rec.Type() | perm&layout.ModePermMask)
		return f.chmodACL(h, ino, perm)
	})
}

// Chown sets owner and group; -1 leaves one as it is. As in Linux, set-uid, set-gid and capabilities go with it. A
// symbolic link is followed.
func (f *FS) Chown(name string, uid, gid int) error {
	return f.chown("chown", root(name), uid, gid, true)
}

// Lchown is Chown of a symbolic link itself.
func (f *FS) Lchown(name string, uid, gid int) error {
	return f.chown("lchown", root(name), uid, gid, false)
}

func (f *FS) chown(op string, s spot, uid, gid int, follow bool) error {
	if uid < -1 || gid < -1 || int64(max(uid, gid)) > 1<<32-2 {
		return pathError(op, s.String(), syscall.EINVAL)
	}
	return f.change(op, s, follow, f.vol.Attrs.Credits(0), func(h *journal.Handle, ino layout.Ino, rec layout.Inode) error {
		if uid >= 0 {
			rec.SetUID(uint32(uid))
		}
		if gid >= 0 {
			rec.SetGID(uint32(gid))
		}
		if rec.IsDir() {
			return nil
		}
		dropSetID(rec)
		return f.dropCapability(h, ino)
	})
}

// dropSetID takes the bits away from a file that a change of owner takes away: set-uid, and set-gid where it means that.
func dropSetID(rec layout.Inode) {
	const groupExec = 0o010
	mode := rec.Mode()
	mode &^= layout.ModeSetUID
	if mode&groupExec != 0 {
		mode &^= layout.ModeSetGID
	}
	rec.SetMode(mode)
}

// Chtimes sets the times of access and modification; a zero Time leaves one as it is. A symbolic link is followed.
func (f *FS) Chtimes(name string, atime, mtime time.Time) error {
	return f.chtimes("chtimes", root(name), atime, mtime, true)
}

// Lchtimes is Chtimes of a symbolic link itself.
func (f *FS) Lchtimes(name string, atime, mtime time.Time) error {
	return f.chtimes("lchtimes", root(name), atime, mtime, false)
}

func (f *FS) chtimes(op string, s spot, atime, mtime time.Time, follow bool) error {
	return f.change(op, s, follow, 1, func(h *journal.Handle, ino layout.Ino, rec layout.Inode) error {
		if !atime.IsZero() {
			rec.SetAtime(atime)
		}
		if !mtime.IsZero() {
			rec.SetMtime(mtime)
			h.AtEnd(func(ok bool) {
				if ok {
					f.mtimeSet(ino)
				}
			})
		}
		return nil
	})
}

// Truncate sets the size of the file that a path leads to, in bytes.
func (f *FS) Truncate(name string, size int64) error {
	file, err := f.openFile(name, os.O_WRONLY, Attr{})
	if err != nil {
		return pathError("truncate", name, err)
	}
	err = file.Truncate(size)
	if e := file.Close(); err == nil {
		err = e
	}
	return err
}
