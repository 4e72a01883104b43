package aio

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// bypassCache asks macOS not to cache the data that is read and written through f.
func bypassCache(f *os.File) error {
	if _, err := unix.FcntlInt(f.Fd(), unix.F_NOCACHE, 1); err != nil {
		f.Close()
		return fmt.Errorf("F_NOCACHE: %w", err)
	}
	return nil
}
