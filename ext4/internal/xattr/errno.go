//go:build !freebsd && !openbsd

package xattr

import "syscall"

// ErrNoData says that there is no such attribute.
const ErrNoData = syscall.ENODATA
