//go:build !386 && !arm && !mips && !mipsle

package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"ext4img/ext4"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// status is the number that an error has for the kernel. Damage and errors of the device go to the log as well.
func (s *server) status(err error) fuse.Status {
	var errno syscall.Errno
	switch {
	case err == nil:
		return fuse.OK
	case errors.Is(err, ext4.ErrCorrupt):
		s.note(err)
		return fuse.Status(syscall.EUCLEAN)
	case errors.Is(err, ext4.ErrUnsupported):
		return fuse.Status(syscall.EOPNOTSUPP)
	case errors.As(err, &errno):
		if errno == syscall.EIO {
			s.note(err)
		}
		return fuse.Status(errno)
	case errors.Is(err, fs.ErrNotExist):
		return fuse.ENOENT
	case errors.Is(err, fs.ErrExist):
		return fuse.Status(syscall.EEXIST)
	case errors.Is(err, fs.ErrPermission):
		return fuse.EPERM
	case errors.Is(err, fs.ErrInvalid):
		return fuse.EINVAL
	case errors.Is(err, fs.ErrClosed):
		return fuse.EBADF
	}
	s.note(err)
	return fuse.EIO
}

// note tells the log of an error.
func (s *server) note(err error) {
	if err != nil {
		s.faults.tell(err.Error())
	}
}

// faults keeps the log short: what is broken is met again and again.
type faults struct {
	log  func(string)
	mu   sync.Mutex
	from time.Time
	n    int
	last string
}

const (
	logMost = 20 // lines in logTime
	logTime = time.Minute
)

func (f *faults) tell(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.log == nil || text == f.last {
		return
	}
	if now := time.Now(); now.Sub(f.from) > logTime {
		if f.n > logMost {
			f.log(fmt.Sprintf("%d more such messages were left out", f.n-logMost))
		}
		f.from, f.n = now, 0
	}
	f.last = text
	if f.n++; f.n <= logMost {
		f.log(text)
	}
}
