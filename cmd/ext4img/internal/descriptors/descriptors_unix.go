//go:build unix

package descriptors

import (
	"errors"
	"os"
	"syscall"
)

// needed are the two that Go's runtime opens for its poller, a file, and the pipe that go-fuse tries at its start.
const needed = 5

// The check is a variable's value so that it is made before packages of other modules begin: see the package comment.
var _ = begin()

// begin ends the program if there are too few file descriptors.
func begin() bool {
	err := check()
	if err != nil {
		_, _ = os.Stderr.WriteString("ext4img: " + err.Error() + "\n") // if that fails there is nowhere to say it
		os.Exit(1)
	}
	return err == nil
}

// check opens as many files as are needed, and then has Go's runtime open its poller, which it keeps.
func check() error {
	var held []int
	defer func() {
		for _, fd := range held {
			_ = syscall.Close(fd) // only opened
		}
		if len(held) < needed {
			return
		}
		if f, err := os.Open(os.DevNull); err == nil {
			_ = f.Close() // only opened
		}
	}()
	for range needed {
		fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			return &os.SyscallError{Syscall: "start: file descriptors (ulimit -n)", Err: err}
		}
		if err != nil {
			return nil // no such file here: then it cannot be told
		}
		held = append(held, fd)
	}
	return nil
}
