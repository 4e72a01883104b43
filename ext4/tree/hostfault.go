package tree

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"syscall"
)

// hostFault is an error of the host's file system, where something is written to.
type hostFault struct {
	op  string
	err error
	all bool // nothing else can be written either
}

func (e *hostFault) Error() string { return e.op + ": " + e.err.Error() }
func (e *hostFault) Unwrap() error { return e.err }

// onHost makes an error of package os a hostFault.
func onHost(op string, err error) error {
	if err == nil {
		return nil
	}
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, new(*hostFault)):
		return err
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	}
	return &hostFault{op: op, err: err}
}

// endsAll tells an error after which nothing else can be written either.
func (e *hostFault) endsAll() bool {
	for _, kind := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		if errors.Is(e.err, kind) {
			return true
		}
	}
	return e.all
}

// notForUs tells what fails because the user, or this system, cannot have it.
func notForUs(err error) bool {
	return os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission) || runtime.GOOS != "linux" && errors.Is(err, errors.ErrUnsupported)
}
