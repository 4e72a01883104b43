// Package diskfs makes an open ext4 file system a filesystem.FileSystem of go-diskfs, so that programs written for that
// library move over in a line:
//
//	fs, err := disk.GetFilesystem(1)           // before
//	fs := diskfs.New(ext4fs)                   // after
//
// It owns no bytes: every call is one of ext4.FS. Names are paths from the root, with a leading slash or without one.
// The caller keeps the device and closes it after the file system.
package diskfs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"ext4img/ext4"

	"github.com/diskfs/go-diskfs/filesystem"
)

// New wraps an open file system. Closing the wrapper closes it.
func New(f *ext4.FS) filesystem.FileSystem { return &fileSystem{f} }

type fileSystem struct{ *ext4.FS }

var _ filesystem.FileSystem = (*fileSystem)(nil)

// clean is a name in the form of io/fs.
func clean(name string) string {
	if c := path.Clean("/" + name)[1:]; c != "" {
		return c
	}
	return "."
}

// Type is TypeExt4.
func (f *fileSystem) Type() filesystem.Type { return filesystem.TypeExt4 }

// Mkdir makes a directory and those above it, as go-diskfs does; one that exists is no error.
func (f *fileSystem) Mkdir(name string) error {
	return f.MkdirAll(clean(name), ext4.Attr{Perm: 0o755})
}

// Mknod makes a file of the type that mode says, as mknod(2): dev as in Linux's makedev.
func (f *fileSystem) Mknod(name string, mode uint32, dev int) error {
	a := ext4.Attr{Perm: uint16(mode & 0o7777)}
	kind := uint16(mode & typeMask)
	if kind == 0 || kind == typeRegular {
		file, err := f.FS.OpenFile(clean(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, fs.FileMode(mode&0o777))
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
		return f.FS.Chmod(clean(name), a.Perm)
	}
	major, minor := split(uint64(dev))
	return f.FS.Mknod(clean(name), kind, a, major, minor)
}

const (
	typeMask    = 0o170000 // S_IFMT
	typeRegular = 0o100000 // S_IFREG
)

// split takes the numbers out of a dev_t of Linux.
func split(dev uint64) (major, minor uint32) {
	return uint32(dev>>8)&0xFFF | uint32(dev>>32)&^0xFFF, uint32(dev)&0xFF | uint32(dev>>12)&^0xFF
}

// Link gives a file one more name.
func (f *fileSystem) Link(oldpath, newpath string) error {
	return f.FS.Link(clean(oldpath), clean(newpath))
}

// Symlink makes newpath a symbolic link with the text oldpath.
func (f *fileSystem) Symlink(oldpath, newpath string) error {
	return f.FS.Symlink(oldpath, clean(newpath), ext4.Attr{Perm: 0o777})
}

// Chmod sets the permissions.
func (f *fileSystem) Chmod(name string, mode os.FileMode) error {
	return f.FS.Chmod(clean(name), ext4.PermBits(mode))
}

// Chown sets owner and group; -1 leaves one as it is.
func (f *fileSystem) Chown(name string, uid, gid int) error {
	return f.FS.Chown(clean(name), uid, gid)
}

// Chtimes sets the times of access and modification. The third, when a file was made, cannot be set: it is left as it is.
func (f *fileSystem) Chtimes(name string, _, atime, mtime time.Time) error {
	return f.FS.Chtimes(clean(name), atime, mtime)
}

// Open opens for reading, as fs.FS; a leading slash is no error.
func (f *fileSystem) Open(name string) (fs.File, error) {
	file, err := f.FS.OpenFile(clean(name), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// OpenFile opens with the flags of package os; what is created has the permissions 0644.
func (f *fileSystem) OpenFile(name string, flag int) (filesystem.File, error) {
	file, err := f.FS.OpenFile(clean(name), flag, 0o644)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// ReadDir lists a directory, sorted by name.
func (f *fileSystem) ReadDir(name string) ([]fs.DirEntry, error) { return f.FS.ReadDir(clean(name)) }

// ReadFile is the content of a file.
func (f *fileSystem) ReadFile(name string) ([]byte, error) { return f.FS.ReadFile(clean(name)) }

// Stat describes what a path leads to.
func (f *fileSystem) Stat(name string) (fs.FileInfo, error) { return f.FS.Stat(clean(name)) }

// Rename moves a file; what newpath was is replaced.
func (f *fileSystem) Rename(oldpath, newpath string) error {
	return f.FS.Rename(clean(oldpath), clean(newpath), 0)
}

// Remove removes a file or an empty directory.
func (f *fileSystem) Remove(name string) error { return f.FS.Remove(clean(name)) }

// Label is the volume's name.
func (f *fileSystem) Label() string {
	s, err := f.Super()
	if err != nil {
		return ""
	}
	return s.VolumeName()
}

// SetLabel sets the volume's name, at most 16 bytes.
func (f *fileSystem) SetLabel(label string) error {
	err := f.FS.SetLabel(label)
	if errors.Is(err, syscall.EROFS) {
		err = errors.Join(filesystem.ErrReadonlyFilesystem, err)
	}
	return err
}
