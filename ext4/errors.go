package ext4

import (
	"errors"
	"io/fs"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
)

// The kinds of failure that an image can cause, for errors.Is. Other errors are fs.ErrNotExist, fs.ErrExist,
// syscall.ENOSPC and the like, and I/O errors.
var (
	// ErrCorrupt says that the image is wrong.
	ErrCorrupt = layout.ErrCorrupt
	// ErrUnsupported says that the image is right but this package cannot handle it.
	ErrUnsupported = layout.ErrUnsupported
	// ErrNoInodes says that no inode is free, although blocks may be: it is a kind of syscall.ENOSPC.
	ErrNoInodes = group.ErrNoInodes
)

// pathError gives an error the operation and the path, as package os does.
func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}
