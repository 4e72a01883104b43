package aio

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxBehind bounds the depth of loop devices on files that lie in loop devices.
const maxBehind = 8

// lockBehind locks the files behind a block device that is a loop device, a partition of one, or mapped to one
// (device mapper, software RAID). A process that opens such a file itself, or another loop device on it, then finds
// the lock.
func lockBehind(dev *os.File, write bool) (locks []*os.File, err error) {
	st, err := dev.Stat()
	if err != nil {
		return nil, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, nil
	}
	return lockBehindNumber(uint64(sys.Rdev), write, maxBehind)
}

func lockBehindNumber(rdev uint64, write bool, depth int) (locks []*os.File, err error) {
	if depth == 0 {
		return nil, nil
	}
	dir, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(rdev), unix.Minor(rdev)))
	if err != nil {
		return nil, nil // no /sys
	}
	below, used := dir, whole
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		below = filepath.Dir(dir)
		used = part{sysNumber(dir, "start") * 512, sysNumber(dir, "size") * 512}
	}
	if path, err := os.ReadFile(filepath.Join(below, "loop/backing_file")); err == nil {
		if used != whole {
			used.off += sysNumber(below, "loop/offset")
		}
		return lockBacking(filepath.Base(below), strings.TrimSuffix(string(path), "\n"), write, used, depth)
	}
	slaves, _ := filepath.Glob(filepath.Join(below, "slaves/*/dev")) // the pattern is right
	for _, slave := range slaves {
		number, err := os.ReadFile(slave)
		if err != nil {
			continue
		}
		var major, minor uint32
		if _, err := fmt.Sscanf(string(number), "%d:%d", &major, &minor); err != nil {
			continue
		}
		more, err := lockBehindNumber(unix.Mkdev(major, minor), write, depth-1)
		locks = append(locks, more...)
		if err != nil {
			closeAll(locks)
			return nil, err
		}
	}
	return locks, nil
}

// sysNumber is the number that a file of sysfs holds, or 0.
func sysNumber(dir, name string) int64 {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// lockBacking locks the file behind a loop device. Its path may not lead to it: the file was deleted, belongs to
// another mount namespace, or may not be opened. Then lockBacking locks the other loop devices on the file instead,
// and looks at the kernel's list of locks.
func lockBacking(loop, path string, write bool, used part, depth int) ([]*os.File, error) {
	refuse := func(err error) error { return fmt.Errorf("/dev/%s stands on %s: %w", loop, path, err) }
	f := openBacking(loop, path, write && used != whole)
	if f == nil {
		locks, err := lockSiblings(loop, write)
		if err != nil {
			return nil, refuse(err)
		}
		return locks, nil
	}
	if err := lockFile(f, write, used); err != nil {
		f.Close()
		return nil, refuse(err)
	}
	locks := []*os.File{f}
	if st, err := f.Stat(); err == nil && st.Mode()&os.ModeDevice != 0 {
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			more, err := lockBehindNumber(uint64(sys.Rdev), write, depth-1)
			if err != nil {
				f.Close()
				return nil, err
			}
			locks = append(locks, more...)
		}
	}
	return locks, nil
}

// openBacking opens the file behind a loop device; nil if the path leads elsewhere, or it cannot be opened.
func openBacking(loop, path string, write bool) *os.File {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() && st.Mode()&os.ModeDevice == 0 { // opening a pipe would block
		return nil
	}
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR // a record lock for writing needs it
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil && write {
		f, err = os.OpenFile(path, os.O_RDONLY, 0)
	}
	if err != nil {
		return nil
	}
	if dev, ino, err := loopFile(loop); err == nil {
		st, err := f.Stat()
		if err != nil {
			f.Close()
			return nil
		}
		sys, ok := st.Sys().(*syscall.Stat_t)
		if ok && st.Mode().IsRegular() && (uint64(sys.Dev) != dev || sys.Ino != ino) {
			f.Close()
			return nil
		}
	}
	return f
}

// loopFile returns the device and inode of the file behind a loop device.
func loopFile(loop string) (dev, ino uint64, err error) {
	f, err := os.Open("/dev/" + loop)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	if err != nil {
		return 0, 0, err
	}
	return info.Device, info.Inode, nil
}

// lockSiblings locks the other loop devices on the same file, and refuses if any process holds a lock of that file.
func lockSiblings(loop string, write bool) (locks []*os.File, err error) {
	dev, ino, err := loopFile(loop)
	if err != nil {
		return nil, nil // without the numbers of the file, nothing can be compared
	}
	if holds, err := os.ReadFile("/proc/locks"); err == nil && lockedIn(string(holds), dev, ino, write) {
		return nil, fmt.Errorf("%w: another process has locked it", ErrInUse)
	}
	others, _ := filepath.Glob("/sys/block/loop*/loop/backing_file") // the pattern is right
	for _, attr := range others {
		name := strings.Split(attr, "/")[3]
		if d, i, err := loopFile(name); err != nil || name == loop || d != dev || i != ino {
			continue
		}
		f, err := os.Open("/dev/" + name)
		if err != nil {
			continue
		}
		locks = append(locks, f)
		if err := lockFlock(f, write); err != nil {
			closeAll(locks)
			return nil, fmt.Errorf("/dev/%s, on the same file: %w", name, err)
		}
	}
	return locks, nil
}

// lockedIn reports whether the text of /proc/locks lists a lock of flock(2) on the file that conflicts with ours. A
// line looks as in proc_locks(5): 1: FLOCK ADVISORY WRITE 4141 08:01:131075 0 EOF
func lockedIn(locks string, dev, ino uint64, write bool) bool {
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), ino)
	for line := range strings.Lines(locks) {
		field := strings.Fields(line)
		if len(field) >= 6 && field[1] == "FLOCK" && field[5] == file && (write || field[3] == "WRITE") {
			return true
		}
	}
	return false
}
