package aio

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// openFile opens path, takes the locks and finds size and alignment.
func openFile(path string, o Options) (*file, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	block := st.Mode()&os.ModeDevice != 0 && st.Mode()&os.ModeCharDevice == 0
	if !block && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("open %s: neither a regular file nor a block device", path)
	}
	if o.Write {
		if err := checkUnused(st, block); err != nil {
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
	}
	f := &file{path: path, write: o.Write}
	if f.lock, err = lockFile(path, o.Write, block); err != nil {
		return nil, err
	}
	if err := f.openDirect(path, o); err != nil {
		f.lock.Close()
		return nil, err
	}
	if f.size, err = f.f.Seek(0, io.SeekEnd); err == nil {
		err = f.findAlign(block)
	}
	if err == nil && !sameFile(f.f, f.lock) {
		err = errors.New("the path was given to another file meanwhile")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return f, nil
}

// lockFile takes the lock that keeps other processes of this program out and, on a block device to be written, the kernel's
// exclusive claim, which mounts and other drivers make too. Both stand on a descriptor of their own, because the one for
// I/O may live on for a moment after the end of the process: a killed process's ring keeps it.
func lockFile(path string, write, block bool) (*os.File, error) {
	flags, how, who := os.O_RDONLY, unix.LOCK_SH, "open for writing by another ext4img"
	if write {
		how, who = unix.LOCK_EX, "open in another ext4img"
		if block {
			flags |= unix.O_EXCL
		}
	}
	f, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("open %s: %w: mounted, or claimed by another driver or process", path, ErrInUse)
	}
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS):
		return f, nil // a network file system without locks
	case errors.Is(err, unix.EWOULDBLOCK):
		err = fmt.Errorf("%w: %s", ErrInUse, who)
	}
	f.Close()
	return nil, fmt.Errorf("open %s: lock: %w", path, err)
}

// openDirect opens with O_DIRECT, or without where the file system refuses it.
func (f *file) openDirect(path string, o Options) (err error) {
	flags := os.O_RDONLY
	if o.Write {
		flags = os.O_RDWR
	}
	if !o.Buffered {
		f.f, err = os.OpenFile(path, flags|unix.O_DIRECT, 0)
		if err == nil {
			f.direct = true
			return nil
		}
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
		f.reason = "the file system refuses O_DIRECT"
	} else {
		f.reason = "buffered by request"
	}
	f.f, err = os.OpenFile(path, flags, 0)
	return err
}

// findAlign asks the kernel for the alignment of direct I/O: statx since 6.1, else the sector size of a block device; for a
// file on an older kernel the system's page size, which suffices everywhere.
func (f *file) findAlign(block bool) error {
	f.align, f.memAlign = defaultAlign, defaultAlign
	if block {
		var err error
		if f.sector, err = unix.IoctlGetInt(int(f.f.Fd()), unix.BLKSSZGET); err != nil {
			return err
		}
	}
	if !f.direct {
		return nil
	}
	var st unix.Statx_t
	err := unix.Statx(int(f.f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err == nil && st.Mask&unix.STATX_DIOALIGN != 0 {
		if st.Dio_offset_align == 0 {
			return f.fallBack("statx reports that direct I/O is not supported")
		}
		return f.setAlign(int(st.Dio_offset_align), int(st.Dio_mem_align))
	}
	if block {
		return f.setAlign(f.sector, f.sector)
	}
	return f.setAlign(os.Getpagesize(), os.Getpagesize())
}

func (f *file) setAlign(offset, mem int) error {
	const limit = 64 << 10
	if offset <= 0 || offset > limit || offset&(offset-1) != 0 || mem <= 0 || mem > limit || mem&(mem-1) != 0 {
		return fmt.Errorf("alignment %d (offset) and %d (memory) is out of range", offset, mem)
	}
	f.align, f.memAlign = offset, mem
	return nil
}

// fallBack takes O_DIRECT off an open file.
func (f *file) fallBack(reason string) error {
	flags, err := unix.FcntlInt(f.f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	if _, err := unix.FcntlInt(f.f.Fd(), unix.F_SETFL, flags&^unix.O_DIRECT); err != nil {
		return err
	}
	f.direct, f.reason = false, reason
	return nil
}

func flushFile(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return err
		}
	}
}
