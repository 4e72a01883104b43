package aio

import (
	"errors"
	"fmt"
)

// Errors of this package. Errors of the kernel come wrapped, as a syscall.Errno.
var (
	ErrClosed = errors.New("closed")
	ErrFull   = errors.New("more requests than the depth of the queue")
	ErrDepth  = errors.New("queue depth out of range")
	// ErrRange: the transfer is not inside the device.
	ErrRange = errors.New("outside the device")
	// ErrInUse: the image or device is mounted, attached, or locked by another process.
	ErrInUse = errors.New("in use")
	// ErrReadOnly: a write to a device that was opened for reading.
	ErrReadOnly = errors.New("opened read-only")
)

// CheckRange returns an error if [off, off+n) is not inside a device of size bytes.
func CheckRange(size, off int64, n int) error {
	if off < 0 || int64(n) > size || off > size-int64(n) {
		return fmt.Errorf("%d bytes at offset %d: %w of %d bytes", n, off, ErrRange, size)
	}
	return nil
}
