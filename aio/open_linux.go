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
		return nil, errors.New("neither a regular file nor a block device")
	}
	if o.Write {
		if err := checkUnused(st, block); err != nil {
			return nil, err
		}
	}
	f := &file{path: path, write: o.Write}
	if f.locks, err = lockImage(path, o.Write, block); err != nil {
		return nil, err
	}
	if err := f.openDirect(path, o); err != nil {
		closeAll(f.locks)
		return nil, err
	}
	if f.size, err = f.f.Seek(0, io.SeekEnd); err == nil {
		err = f.findAlign(block)
	}
	if err == nil && !sameFile(f.f, f.locks[0]) {
		err = errors.New("the path was given to another file meanwhile")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openDirect opens with O_DIRECT, or without it if the file system refuses.
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

// findAlign asks the kernel for the alignment of direct I/O, with statx since Linux 6.1. On an older kernel it takes
// the sector size of a block device, and for a file the system's page size, which suffices everywhere.
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

// fallBack turns O_DIRECT off for an open file.
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
