package aio

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openFile opens path, takes the locks and finds size and alignment.
func openFile(path string, o Options) (*file, error) {
	flags := os.O_RDONLY
	if o.Write {
		flags = os.O_RDWR
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	block := st.Mode()&os.ModeDevice != 0 && st.Mode()&os.ModeCharDevice == 0
	if !block && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("open %s: neither a regular file nor a block device", path)
	}
	if o.Write {
		if err := checkUnused(path, st, block); err != nil {
			return nil, err
		}
		if block {
			flags |= unix.O_EXCL
		}
	}
	f := &file{path: path, write: o.Write}
	if err := f.openDirect(path, flags, o); err != nil {
		if errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("open %s: %w: mounted, or held by another driver or process", path, ErrInUse)
		}
		return nil, err
	}
	if err := lockFile(f.f, o.Write); err != nil {
		f.f.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if f.size, err = sizeOf(f.f, block); err == nil {
		err = f.findAlign(block)
	}
	if err != nil {
		f.f.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return f, nil
}

// openDirect opens with O_DIRECT, or without where the file system refuses it.
func (f *file) openDirect(path string, flags int, o Options) (err error) {
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

func lockFile(f *os.File, write bool) error {
	how, who := unix.LOCK_SH, "open for writing by another process"
	if write {
		how, who = unix.LOCK_EX, "open in another process"
	}
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return fmt.Errorf("%w: %s", ErrInUse, who)
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS):
		return nil // a network file system without locks
	}
	return err
}

func sizeOf(f *os.File, block bool) (int64, error) {
	if block {
		return f.Seek(0, 2)
	}
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// findAlign asks the kernel for the alignment of direct I/O: statx since 6.1, else the sector size of a block device; for a
// file on an older kernel the system's page size, which suffices everywhere.
func (f *file) findAlign(block bool) error {
	f.align, f.memAlign = defaultAlign, defaultAlign
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
		n, err := unix.IoctlGetInt(int(f.f.Fd()), unix.BLKSSZGET)
		if err != nil {
			return err
		}
		return f.setAlign(n, n)
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
