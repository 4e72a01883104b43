package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ReplaceFile writes a file of the host, which fill gets empty. The file is written under another name and then gets its own:
// what was there before stays until its successor is complete, which has its permissions and owner. A new file gets perm,
// less what the umask takes. What is no regular file, such as a device, is written to as it is.
func ReplaceFile(dst string, perm fs.FileMode, fill func(out *os.File) error) error {
	old, err := os.Stat(dst)
	if errors.Is(err, fs.ErrNotExist) {
		old, err = nil, nil
	}
	if err != nil {
		return err
	}
	if link, err := os.Lstat(dst); err == nil && link.Mode()&fs.ModeSymlink != 0 && old == nil {
		return fillFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm, fill) // refuses: it leads nowhere
	}
	if old != nil {
		switch {
		case old.IsDir():
			return &fs.PathError{Op: "create", Path: dst, Err: syscall.EISDIR}
		case !old.Mode().IsRegular():
			return fillFile(dst, os.O_WRONLY, 0, fill)
		}
		if dst, err = filepath.EvalSymlinks(dst); err != nil {
			return err
		}
		may, err := os.OpenFile(dst, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_ = may.Close()
	}
	tmp, out, err := createBeside(dst, perm)
	if old != nil && errors.Is(err, fs.ErrPermission) { // a directory for others to write to
		return fillFile(dst, os.O_WRONLY|os.O_TRUNC, 0, fill)
	}
	if err != nil {
		return err
	}
	if err = fill(out); err == nil && old != nil {
		err = likeOld(out, old)
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp, dst)
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}

// createBeside makes a file with a name of its own in the directory of another one.
func createBeside(dst string, perm fs.FileMode) (name string, out *os.File, err error) {
	for i := range 1000 {
		name = filepath.Join(filepath.Dir(dst), fmt.Sprintf(".ext4img-new-%d-%d", os.Getpid(), i))
		out, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return name, out, err
}

// fillFile opens a file and fills it. One that it has made and cannot fill is removed.
func fillFile(name string, flag int, perm fs.FileMode, fill func(out *os.File) error) error {
	out, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return err
	}
	err = fill(out)
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil && flag&os.O_EXCL != 0 {
		_ = os.Remove(name)
	}
	return err
}

// likeOld gives a file the owner and the permissions of the one that it replaces.
func likeOld(out *os.File, old fs.FileInfo) error {
	if err := keepOwner(out, old); err != nil {
		return err
	}
	return out.Chmod(old.Mode())
}
