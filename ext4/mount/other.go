//go:build !linux || 386 || arm || mips || mipsle

package mount

import (
	"errors"
	"fmt"
	"runtime"

	"ext4img/ext4"
)

// A Server serves a file system to the kernel: on Linux alone.
type Server struct{}

// Serve mounts a file system: on Linux alone. The error is errors.ErrUnsupported.
func Serve(*ext4.FS, string, Options) (*Server, error) {
	return nil, fmt.Errorf("mount: not on %s: %w", runtime.GOOS+"/"+runtime.GOARCH, errors.ErrUnsupported)
}

// Wait waits for the end of the mount.
func (*Server) Wait() error { return nil }

// Unmount ends the mount.
func (*Server) Unmount() error { return nil }
