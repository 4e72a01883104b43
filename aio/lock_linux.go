package aio

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lockImage takes the locks of a file or block device:
//   - flock, which keeps other processes of this program out;
//   - QEMU's locks;
//   - on a block device to be written, the kernel's exclusive claim, which mounts and other drivers also make;
//   - the locks of the files behind a loop device.
//
// The first returned file is the image. The locks have descriptors of their own, because the descriptor for I/O may
// live on for a moment after the process has ended: the ring of a killed process keeps it.
func lockImage(path string, write, block bool) ([]*os.File, error) {
	flags := os.O_RDONLY
	if write && block {
		flags |= os.O_EXCL
	}
	f, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("%w: mounted, or claimed by another driver or process", ErrInUse)
	}
	if err != nil {
		return nil, bare(err)
	}
	locks := []*os.File{f}
	err = lockFile(f, write, whole)
	if err == nil && block {
		var more []*os.File
		more, err = lockBehind(f, write)
		locks = append(locks, more...)
	}
	if err != nil {
		closeAll(locks)
		return nil, err
	}
	return locks, nil
}

// part is the part of a file that is used, in bytes.
type part struct{ off, size int64 }

// whole is all of a file, whatever its size.
var whole = part{0, 0}

// lockFile locks a whole file, or a part of it. Locks of different parts do not exclude each other.
func lockFile(f *os.File, write bool, p part) error {
	if err := lockFlock(f, write && p == whole); err != nil {
		return err
	}
	if err := lockQEMU(f, write, p); err != nil {
		return err
	}
	if p != whole {
		if err := lockRecord(f, write, p); err != nil {
			return err
		}
	}
	// Look for a lock that another process holds for writing, for example on a part.
	if l, err := getLock(f, unix.F_RDLCK, p); err == nil && l.Type != unix.F_UNLCK {
		return fmt.Errorf("%w: bytes from %d on are locked for writing by %s", ErrInUse, l.Start, holder(l))
	}
	if write && p == whole { // not for a part: the writer of another part has the file open, too
		return checkWriters(f)
	}
	return nil
}

// lockFlock takes the lock of flock(2). On network file systems without such locks it takes none.
func lockFlock(f *os.File, exclusive bool) error {
	how, who := unix.LOCK_SH, "open for writing by another ext4img"
	if exclusive {
		how, who = unix.LOCK_EX, "open in another ext4img"
	}
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	switch {
	case err == nil, noLocks(err):
		return nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return fmt.Errorf("%w: %s", ErrInUse, who)
	}
	return fmt.Errorf("lock: %w", err)
}

// noLocks reports whether an error means that the file system or the kernel has no such locks.
func noLocks(err error) bool {
	for _, e := range []error{unix.ENOLCK, unix.ENOTSUP, unix.ENOSYS, unix.EINVAL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// QEMU's image locks, as in its block/file-posix.c: read locks of one byte each, of open file descriptions. A process
// that has permission p locks byte 100+p. A process that does not share permission p with others locks byte 200+p.
const (
	qemuHas     = 100
	qemuUnshare = 200

	qemuRead   = 0 // consistent read
	qemuWrite  = 1
	qemuResize = 3
)

// lockQEMU takes the locks that QEMU would take for the same use, and refuses where QEMU would. A reader does not
// share the permission to write and is refused beside a writer, as qemu-img convert is. Writers of parts of a file
// share that permission among themselves. So they keep QEMU out; only lockRecord keeps them out of each other's part.
func lockQEMU(f *os.File, write bool, p part) error {
	has, unshare := []int64{qemuRead}, []int64{qemuWrite}
	switch {
	case write && p == whole:
		has, unshare = []int64{qemuRead, qemuWrite}, []int64{qemuWrite, qemuResize}
	case write:
		unshare = []int64{qemuWrite, qemuResize}
	}
	// Take all locks before looking for those of others: if two processes come at once, at least one sees the other.
	for _, p := range has {
		if err := setLock(f, unix.F_RDLCK, part{qemuHas + p, 1}); err != nil {
			return recordError(err)
		}
	}
	for _, p := range unshare {
		if err := setLock(f, unix.F_RDLCK, part{qemuUnshare + p, 1}); err != nil {
			return recordError(err)
		}
	}
	for _, p := range has {
		if l, err := getLock(f, unix.F_WRLCK, part{qemuUnshare + p, 1}); err == nil && l.Type != unix.F_UNLCK {
			return fmt.Errorf("%w: open in QEMU or a program with its locks, which does not share it (byte %d)", ErrInUse, qemuUnshare+p)
		}
	}
	for _, p := range unshare {
		if l, err := getLock(f, unix.F_WRLCK, part{qemuHas + p, 1}); err == nil && l.Type != unix.F_UNLCK {
			return fmt.Errorf("%w: open for writing by QEMU or a program with its locks (byte %d)", ErrInUse, qemuHas+p)
		}
	}
	return nil
}

// recordError interprets the result of taking a record lock: another process holds a write lock, or locks are missing
// here.
func recordError(err error) error {
	switch {
	case err == nil, noLocks(err):
		return nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: locked for writing by another process", ErrInUse)
	}
	return fmt.Errorf("lock: %w", err)
}

// lockRecord locks a part of a file. A lock for writing needs a descriptor that is open for writing. Without one,
// lockRecord only looks for locks of others.
func lockRecord(f *os.File, write bool, p part) error {
	kind := int16(unix.F_RDLCK)
	if write {
		kind = unix.F_WRLCK
	}
	if l, err := getLock(f, kind, p); err == nil && l.Type != unix.F_UNLCK {
		return fmt.Errorf("%w: bytes from %d on are locked by %s", ErrInUse, l.Start, holder(l))
	}
	err := setLock(f, kind, p)
	if errors.Is(err, unix.EBADF) {
		return nil
	}
	return recordError(err)
}

func holder(l unix.Flock_t) string {
	if l.Pid > 0 {
		return processName(int(l.Pid))
	}
	return "another process"
}

// setLock takes a record lock of the open file description.
func setLock(f *os.File, kind int16, p part) error {
	l := unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: p.off, Len: p.size}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l)
}

// getLock asks for a lock of another process that conflicts with ours. Its Type is F_UNLCK if there is none.
func getLock(f *os.File, kind int16, p part) (unix.Flock_t, error) {
	l := unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: p.off, Len: p.size}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l)
	return l, err
}
