//go:build freebsd || openbsd

package xattr

import "syscall"

// ErrNoData says that there is no such attribute. These systems have this name for it, and no ENODATA.
const ErrNoData = syscall.ENOATTR
