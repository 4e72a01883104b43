package names

import (
	"errors"
	"syscall"
	"time"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// ErrSame says that a change would change nothing: the time of change stays as it is. It is not reported as an error.
var ErrSame = errors.New("nothing changes")

// change edits an inode and sets its change time.
func (n *Names) change(h *journal.Handle, ino layout.Ino, fn func(rec layout.Inode) error) error {
	rec, err := n.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	if rec.HasFlag(layout.FlagImmutable | layout.FlagAppend) {
		return syscall.EPERM
	}
	switch err := fn(rec); {
	case err == ErrSame:
		return nil
	case err != nil:
		return err
	}
	rec.SetCtime(n.Inodes.Clock())
	return nil
}

// AttrCredits is the number of blocks that a change of an inode's attributes usually changes; size is that of an
// extended attribute, bytes.
func (n *Names) AttrCredits(size int) int { return n.Attrs.Credits(size) + 2 }

// Chmod sets the permissions, set-uid, set-gid and sticky bit, as i_mode has them. An access control list changes with them.
func (n *Names) Chmod(h *journal.Handle, ino layout.Ino, perm uint16) error {
	return n.change(h, ino, func(rec layout.Inode) error {
		rec.SetMode(rec.Type() | perm&layout.ModePermMask)
		return n.ChmodACL(h, ino, perm)
	})
}

// CheckOwner checks only the arguments of Chown.
func CheckOwner(uid, gid int) error {
	if uid < -1 || gid < -1 || int64(max(uid, gid)) > 1<<32-2 {
		return syscall.EINVAL
	}
	return nil
}

// Chown sets owner and group; -1 leaves one as it is. As in Linux, it removes set-uid, set-gid and capabilities.
func (n *Names) Chown(h *journal.Handle, ino layout.Ino, uid, gid int) error {
	if err := CheckOwner(uid, gid); err != nil {
		return err
	}
	return n.change(h, ino, func(rec layout.Inode) error {
		if uid >= 0 {
			rec.SetUID(uint32(uid))
		}
		if gid >= 0 {
			rec.SetGID(uint32(gid))
		}
		if rec.IsDir() {
			return nil
		}
		DropSetID(rec)
		return n.DropCapability(h, ino)
	})
}

// Chtimes sets the times of access and modification; a zero Time leaves one as it is.
func (n *Names) Chtimes(h *journal.Handle, ino layout.Ino, atime, mtime time.Time) error {
	return n.change(h, ino, func(rec layout.Inode) error {
		if !atime.IsZero() {
			rec.SetAtime(atime)
		}
		if !mtime.IsZero() {
			rec.SetMtime(mtime)
		}
		return nil
	})
}

// DropSetID clears the bits that a change of owner clears: set-uid, and set-gid if the group may execute the file.
func DropSetID(rec layout.Inode) {
	const groupExec = 0o010
	mode := rec.Mode()
	mode &^= layout.ModeSetUID
	if mode&groupExec != 0 {
		mode &^= layout.ModeSetGID
	}
	rec.SetMode(mode)
}
