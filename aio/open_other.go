//go:build !linux && !windows

package aio

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openFile opens path and takes the lock. I/O goes through the page cache, because there is no O_DIRECT. On macOS it
// asks the system not to cache.
func openFile(path string, o Options) (*file, error) {
	flags := os.O_RDONLY
	how := unix.LOCK_SH
	if o.Write {
		flags, how = os.O_RDWR, unix.LOCK_EX
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		f.Close()
		return nil, fmt.Errorf("%w: open in another process", ErrInUse)
	}
	size, err := f.Seek(0, 2)
	if err != nil {
		f.Close()
		return nil, err
	}
	d := &file{f: f, path: path, size: size, align: defaultAlign, memAlign: defaultAlign, write: o.Write}
	d.reason = "this system has no O_DIRECT"
	if err := bypassCache(f); err != nil {
		return nil, err
	}
	return d, nil
}

func flushFile(f *os.File) error { return f.Sync() }
