//go:build unix

package main

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// errNoStdin says that standard input is closed.
var errNoStdin = errors.New("standard input is closed")

// checkStdin tells whether standard input is there. Go puts the null device, open for reading and writing, where a program
// is started without; a shell that redirects from it opens it for reading.
func checkStdin(r io.Reader) error {
	f := file(r)
	if f == nil {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return errNoStdin
	}
	null, err := os.Stat(os.DevNull)
	if err != nil || !os.SameFile(info, null) {
		return nil
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_ACCMODE == unix.O_RDWR {
		return errNoStdin
	}
	return nil
}
