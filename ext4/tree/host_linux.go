package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"ext4img/ext4/layout"

	"golang.org/x/sys/unix"
)

// hostFile is the identity of a file of the host with several names; zero for one with a single name.
type hostFile struct{ dev, ino uint64 }

// hostEntry describes a file of the host.
func hostEntry(p, rel string, info fs.FileInfo) (e Entry, id hostFile, err error) {
	e = Entry{Name: rel, Size: info.Size(), Mtime: info.ModTime(), Atime: info.ModTime()}
	if e.Mode, err = modeOf(info.Mode()); err != nil {
		return e, id, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		e.UID, e.GID = st.Uid, st.Gid
		e.Major, e.Minor = unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
		if st.Nlink > 1 {
			id = hostFile{uint64(st.Dev), uint64(st.Ino)}
		}
	}
	var st unix.Stat_t
	if unix.Lstat(p, &st) == nil {
		sec, nsec := st.Atim.Unix()
		e.Atime = time.Unix(sec, nsec)
	}
	if e.kind() == layout.ModeSymlink {
		if e.Target, err = os.Readlink(p); err != nil {
			return e, id, err
		}
	}
	e.Xattrs, err = hostXattrs(p)
	return e, id, err
}

// hostXattrs reads the attributes of a file of the host. A file system without any is no error.
func hostXattrs(p string) (map[string][]byte, error) {
	names, err := growing(func(buf []byte) (int, error) { return unix.Llistxattr(p, buf) })
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || len(names) == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, name := range strings.Split(strings.TrimRight(string(names), "\x00"), "\x00") {
		value, err := growing(func(buf []byte) (int, error) { return unix.Lgetxattr(p, name, buf) })
		if err != nil {
			continue // gone meanwhile, or not for us to read
		}
		all[name] = value
	}
	return all, nil
}

// growing calls a function that fills a buffer, first with a small one, then with one of the largest size there is.
func growing(fn func(buf []byte) (int, error)) ([]byte, error) {
	buf := make([]byte, 256)
	n, err := fn(buf)
	if errors.Is(err, unix.ERANGE) {
		buf = make([]byte, 1<<16)
		n, err = fn(buf)
	}
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// openQuietly opens a file of the host for reading and leaves its time of access alone, where that is allowed.
func openQuietly(p string) (*os.File, error) {
	f, err := os.OpenFile(p, os.O_RDONLY|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		f, err = os.Open(p)
	}
	return f, err
}

// NextData finds the next range of a file that is not a hole.
func NextData(f *os.File, off, size int64) (start, end int64, err error) {
	start, err = unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size, nil
	}
	if err != nil { // not supported here: all of it is data
		return off, size, nil
	}
	end, err = unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE)
	return start, min(end, size), err
}

// makeSpecial makes a device, FIFO or socket in an open directory.
func makeSpecial(dir *os.File, name string, e *Entry) error {
	return unix.Mknodat(int(dir.Fd()), name, uint32(e.Mode), int(unix.Mkdev(e.Major, e.Minor)))
}

// setHostXattr sets an attribute of an open file of the host.
func setHostXattr(f *os.File, name string, value []byte) error {
	return unix.Fsetxattr(int(f.Fd()), name, value, 0)
}

// setSpecialXattr sets an attribute of what is not opened: a link, a device, a FIFO, a socket.
func setSpecialXattr(dir *os.File, name, attr string, value []byte) error {
	return unix.Lsetxattr(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name), attr, value, 0)
}

// setSpecialTimes sets the times of what is not opened.
func setSpecialTimes(dir *os.File, name string, atime, mtime time.Time) error {
	times := make([]unix.Timespec, 2)
	for i, t := range []time.Time{atime, mtime} {
		var err error
		if times[i], err = unix.TimeToTimespec(t); err != nil {
			return err // beyond what this system can express
		}
	}
	return unix.UtimesNanoAt(int(dir.Fd()), name, times, unix.AT_SYMLINK_NOFOLLOW)
}

// keepOwner gives a file the owner of another one, as far as the user may.
func keepOwner(out *os.File, old fs.FileInfo) error {
	st, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if err := out.Chown(int(st.Uid), int(st.Gid)); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}
