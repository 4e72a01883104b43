package ext4

import (
	"errors"
	"io/fs"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/volume"
	"ext4img/ext4/layout"
)

// The kinds of failure that an image can cause; errors.Is tells them. Others are fs.ErrNotExist, fs.ErrExist,
// syscall.ENOSPC and their like, and the I/O error itself.
var (
	// ErrCorrupt says that the image is wrong.
	ErrCorrupt = layout.ErrCorrupt
	// ErrUnsupported says that the image is right and this package is not able.
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
	return &fs.PathError{Op: op, Path: path, Err: kind(err)}
}

// kind makes the journal's kinds of failure known under the names of this package.
func kind(err error) error { return volume.Kind(err) }
