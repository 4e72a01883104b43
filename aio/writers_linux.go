package aio

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// checkWriters refuses a regular file that another process has open for writing: then the kernel grants no lease for
// reading. /proc shows which process it is, as far as it shows other processes. There may be no such process: the
// writer can be a loop device, or the remains of a process that was killed.
func checkWriters(f *os.File) error {
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return err
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK); err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
		return err
	}
	if pid := writerOf(st); pid != 0 {
		return fmt.Errorf("%w: open for writing in %s", ErrInUse, processName(pid))
	}
	return nil
}

// writerOf returns another process that has a file open for writing, or 0.
func writerOf(st os.FileInfo) int {
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is right
	self := strconv.Itoa(os.Getpid())
	for _, fd := range fds {
		part := strings.Split(fd, "/")
		if part[2] == self {
			continue
		}
		if other, err := os.Stat(fd); err != nil || !os.SameFile(other, st) {
			continue
		}
		pid, err := strconv.Atoi(part[2])
		if err == nil && opensForWriting(fmt.Sprintf("/proc/%s/fdinfo/%s", part[2], part[4])) {
			return pid
		}
	}
	return 0
}

// opensForWriting reads the flags of a descriptor as proc(5) shows them: a line "flags:\t0100002", octal.
func opensForWriting(info string) bool {
	text, err := os.ReadFile(info)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err := strconv.ParseUint(strings.TrimSpace(value), 8, 64)
			return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY && flags&unix.O_PATH == 0
		}
	}
	return false
}

// processName names a process for an error.
func processName(pid int) string {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, strings.TrimSpace(string(comm)))
}
