//go:build !linux

package tree

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"ext4img/ext4/layout"
)

// hostFile is the identity of a file of the host with several names. Here every name is a file of its own.
type hostFile struct{ dev, ino uint64 }

// hostEntry describes a file of the host: what package os knows of it. Owners, devices and attributes travel in tar archives.
func hostEntry(p, rel string, info fs.FileInfo) (e Entry, id hostFile, err error) {
	e = Entry{Name: rel, Size: info.Size(), Mtime: info.ModTime(), Atime: info.ModTime()}
	if e.Mode, err = modeOf(info.Mode()); err == nil && e.kind() == layout.ModeSymlink {
		e.Target, err = os.Readlink(p)
	}
	return e, id, err
}

// openQuietly opens a file of the host for reading.
func openQuietly(p string) (*os.File, error) { return os.Open(p) }

// NextData finds the next range of a file that is not a hole: all of it.
func NextData(_ *os.File, off, size int64) (start, end int64, err error) { return off, size, nil }

// makeSpecial makes a device, FIFO or socket in an open directory.
func makeSpecial(*os.File, string, *Entry) error { return errors.ErrUnsupported }

// setHostXattr sets an attribute of an open file of the host.
func setHostXattr(*os.File, string, []byte) error { return errors.ErrUnsupported }

// setSpecialXattr sets an attribute of what is not opened.
func setSpecialXattr(_ *os.File, _, _ string, _ []byte) error { return errors.ErrUnsupported }

// setSpecialTimes sets the times of what is not opened. Here they stay those of now.
func setSpecialTimes(_ *os.File, _ string, _, _ time.Time) error { return nil }

// keepOwner gives a file the owner of another one: what runs here has one user.
func keepOwner(*os.File, fs.FileInfo) error { return nil }
