//go:build freebsd || openbsd

package xattr

import "syscall"

// ErrNoData says that there is no such attribute. These systems call the error ENOATTR and have no ENODATA.
const ErrNoData = syscall.ENOATTR
