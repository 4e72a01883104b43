package aio

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// openFile opens path with the system's own lock: no other process can write the file, nor, with Write, read it.
func openFile(path string, o Options) (*file, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	access, share := uint32(syscall.GENERIC_READ), uint32(syscall.FILE_SHARE_READ)
	if o.Write {
		access, share = access|syscall.GENERIC_WRITE, 0
	}
	h, err := syscall.CreateFile(name, access, share, nil, syscall.OPEN_EXISTING, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		const sharingViolation = syscall.Errno(32)
		if errors.Is(err, sharingViolation) {
			err = fmt.Errorf("%w: open in another process", ErrInUse)
		}
		return nil, err
	}
	f := os.NewFile(uintptr(h), path)
	size, err := f.Seek(0, 2)
	if err != nil {
		f.Close()
		return nil, err
	}
	d := &file{f: f, path: path, size: size, align: defaultAlign, memAlign: defaultAlign, write: o.Write}
	d.reason = "this system has no O_DIRECT"
	return d, nil
}

func flushFile(f *os.File) error { return f.Sync() }
