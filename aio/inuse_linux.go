package aio

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkUnused refuses a block device that is mounted, and an image that is attached to a loop device: the kernel
// would write to it from its own page cache at the same time as we do. If something cannot be looked at (no /proc, no
// /sys, another mount namespace), checkUnused does not refuse. For block devices, the exclusive claim of lockFile
// covers other namespaces.
func checkUnused(st os.FileInfo, block bool) error {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if block {
		if where := mountPoint(func(m mount) bool { return m.dev == uint64(sys.Rdev) }); where != "" {
			return fmt.Errorf("%w: mounted on %s", ErrInUse, where)
		}
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file") // the pattern is right
	for _, attr := range loops {
		name := strings.Split(attr, "/")[3]
		if !loopBacks(attr, "/dev/"+name, st, sys) {
			continue
		}
		where := mountPoint(func(m mount) bool {
			rest, ok := strings.CutPrefix(m.source, "/dev/"+name)
			return ok && (rest == "" || rest[0] == 'p')
		})
		if where != "" {
			return fmt.Errorf("%w: attached to /dev/%s, which is mounted on %s", ErrInUse, name, where)
		}
		return fmt.Errorf("%w: attached to /dev/%s (losetup -d /dev/%s detaches it)", ErrInUse, name, name)
	}
	return nil
}

// loopBacks reports whether the file behind loop device dev is the one with status st. attr is the file of sysfs that
// holds the path of the file behind. If that path leads nowhere (deleted, or of another namespace), loopBacks asks
// the device itself.
func loopBacks(attr, dev string, st os.FileInfo, sys *syscall.Stat_t) bool {
	path, err := os.ReadFile(attr)
	if err != nil {
		return false // detached meanwhile
	}
	if back, err := os.Stat(string(bytes.TrimSuffix(path, []byte("\n")))); err == nil {
		b, ok := back.Sys().(*syscall.Stat_t)
		same := ok && back.Mode()&os.ModeDevice != 0 && st.Mode()&os.ModeDevice != 0 && b.Rdev == sys.Rdev
		if same || os.SameFile(back, st) {
			return true
		}
	}
	f, err := os.Open(dev)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	return err == nil && info.Device == uint64(sys.Dev) && info.Inode == sys.Ino
}

// A mount is what one line of /proc/self/mountinfo says.
type mount struct {
	dev           uint64
	point, source string
}

// mountPoint returns where the first mount that match accepts is mounted, or "".
func mountPoint(match func(mount) bool) string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for _, m := range parseMounts(f) {
		if match(m) {
			return m.point
		}
	}
	return ""
}

// parseMounts reads mountinfo, as proc(5) describes it: 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw
func parseMounts(r io.Reader) []mount {
	var ms []mount
	for s := bufio.NewScanner(r); s.Scan(); {
		before, after, ok := strings.Cut(s.Text(), " - ")
		fields, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(tail) < 2 {
			continue
		}
		var major, minor uint32
		if _, err := fmt.Sscanf(fields[2], "%d:%d", &major, &minor); err != nil {
			continue
		}
		ms = append(ms, mount{unix.Mkdev(major, minor), unescape(fields[4]), unescape(tail[1])})
	}
	return ms
}

// unescape decodes \ooo to spaces, tabs, newlines and backslashes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
