//go:build unix

package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// startDescriptors are what Go's runtime opens for its poller, and one file.
const startDescriptors = 3

// checkDescriptors tells whether there are enough file descriptors to begin with: without its own two, Go's runtime ends the
// program with a stack trace. It takes them here; where another is missing later, that is an error like others.
func checkDescriptors() error {
	var held []int
	defer func() {
		for _, fd := range held {
			_ = unix.Close(fd) // only opened
		}
		if len(held) == startDescriptors {
			startPoller()
		}
	}()
	for range startDescriptors {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
			return &os.SyscallError{Syscall: "start: file descriptors (ulimit -n)", Err: err}
		}
		if err != nil {
			return nil // no such file here: then it cannot be told
		}
		held = append(held, fd)
	}
	return nil
}

// startPoller has Go's runtime open what it needs.
func startPoller() {
	if f, err := os.Open(os.DevNull); err == nil {
		_ = f.Close() // only opened
	}
}
