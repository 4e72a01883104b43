//go:build !386 && !arm && !mips && !mipsle

package mount

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"ext4img/ext4"
	"ext4img/ext4/layout"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// handle is an open file or directory.
type handle struct {
	ino   uint32
	file  *ext4.File // nil for a directory
	dir   *listing   // nil for a file
	write bool
	atime atomic.Bool // the time of access was looked at
}

// handles are all of them, by the number that the kernel has.
type handles struct {
	mu   sync.RWMutex
	open map[uint64]*handle
	last uint64
}

func (t *handles) add(h *handle) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[uint64]*handle{}
	}
	t.last++
	t.open[t.last] = h
	return t.last
}

func (t *handles) get(fh uint64) *handle {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.open[fh]
}

func (t *handles) take(fh uint64) *handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.open[fh]
	delete(t.open, fh)
	return h
}

// close closes what the kernel did not.
func (t *handles) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for _, h := range t.open {
		if h.file != nil {
			errs = append(errs, h.file.Close())
		}
	}
	t.open = nil
	return errors.Join(errs...)
}

// Open opens a regular file.
func (s *server) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if s.down.Load() {
		return fuse.EIO
	}
	if in.Flags&(syscall.O_ACCMODE|syscall.O_TRUNC) != syscall.O_RDONLY {
		if status := s.changeable(); status != fuse.OK {
			return status
		}
	}
	return s.opened(s.inode(in.NodeId), in.Flags, out)
}

func (s *server) opened(i ext4.Inode, flags uint32, out *fuse.OpenOut) fuse.Status {
	file, err := i.OpenShared(int(flags) & (syscall.O_ACCMODE | os.O_APPEND | os.O_TRUNC))
	if err != nil {
		return s.status(err)
	}
	h := &handle{ino: i.Ino(), file: file, write: flags&syscall.O_ACCMODE != syscall.O_RDONLY}
	out.Fh, out.OpenFlags = s.handles.add(h), fuse.FOPEN_KEEP_CACHE
	if flags&syscall.O_DIRECT != 0 && s.direct {
		out.OpenFlags = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_DIRECT_IO | fuse.FOPEN_PARALLEL_DIRECT_WRITES
	}
	if h.write {
		s.nodes.writing(h.ino, 1)
	}
	return fuse.OK
}

// Create makes a regular file and opens it.
func (s *server) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if status := s.changeable(); status != fuse.OK {
		return status
	}
	m := newNode(in.Mode&uint32(layout.ModePermMask)|uint32(layout.ModeRegular), in.Umask, in.Owner)
	ref, err := s.inode(in.NodeId).Make(name, m)
	if err != nil {
		return s.status(err)
	}
	return s.created(ref, in, out)
}

// Tmpfile makes a regular file without a name and opens it.
func (s *server) Tmpfile(_ <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	if status := s.changeable(); status != fuse.OK {
		return status
	}
	m := newNode(in.Mode&uint32(layout.ModePermMask)|uint32(layout.ModeRegular), in.Umask, in.Owner)
	ref, err := s.inode(in.NodeId).MakeTemp(m)
	if err != nil {
		return s.status(err)
	}
	return s.created(ref, in, out)
}

func (s *server) created(ref *ext4.Ref, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	if status := s.made(ref, &out.EntryOut); status != fuse.OK {
		return status
	}
	flags := in.Flags &^ (syscall.O_EXCL | syscall.O_CREAT | syscall.O_TRUNC)
	status := s.opened(ref.Inode, flags, &out.OpenOut)
	if status != fuse.OK {
		s.nodes.forget(ref.Ino(), 1)
		return status
	}
	out.SetAttrTimeout(s.keep(ref.Ino()))
	return fuse.OK
}

// Release closes a file.
func (s *server) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	h := s.handles.take(in.Fh)
	if h == nil || h.file == nil {
		return
	}
	s.note(h.file.Close())
	if h.write {
		s.nodes.writing(h.ino, -1)
	}
}

// file is the open file that a request names.
func (s *server) file(fh uint64) (*handle, fuse.Status) {
	h := s.handles.get(fh)
	if h == nil || h.file == nil {
		return nil, fuse.EBADF
	}
	return h, fuse.OK
}

// blocks tells whether a range consists of whole blocks.
func (s *server) blocks(off int64, n int) bool { return n > 0 && off%s.bs == 0 && int64(n)%s.bs == 0 }

// Read reads, up to the end of the file.
func (s *server) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	h, status := s.file(in.Fh)
	if status != fuse.OK {
		return nil, status
	}
	var n int
	var err error
	if off := int64(in.Offset); s.blocks(off, len(buf)) {
		n, err = s.lane.do(h.file, ext4.OpRead, buf, off)
	} else {
		n, err = h.file.ReadAt(buf, off)
	}
	if err != nil && err != io.EOF {
		return nil, s.status(err)
	}
	if !h.atime.Swap(true) || s.o.Atime == StrictAtime {
		s.accessed(s.fs.Inode(h.ino), false)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Write writes. It is answered when the range is converted.
func (s *server) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if status := s.changeable(); status != fuse.OK {
		return 0, status
	}
	h, status := s.file(in.Fh)
	if status != fuse.OK {
		return 0, status
	}
	var n int
	var err error
	if off := int64(in.Offset); s.blocks(off, len(data)) {
		n, err = s.lane.do(h.file, ext4.OpWrite, data, off)
	} else {
		n, err = h.file.WriteAt(data, off)
	}
	if in.WriteFlags&fuse.WRITE_CACHE != 0 && s.nodes.outdated(h.ino) {
		// Not before the answer: the kernel may be waiting for it to give the inode up, and would wait for that here.
		go s.kernel.InodeNotify(in.NodeId, -1, 0)
	}
	return uint32(n), s.status(err)
}

// Flush is not needed: the kernel has written back what it keeps when it asks for it.
func (s *server) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

// Fsync makes a file durable.
func (s *server) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h, status := s.file(in.Fh)
	if status != fuse.OK {
		return status
	}
	err := h.file.Sync()
	if s.nodes.outdated(h.ino) {
		s.kernel.InodeNotify(in.NodeId, -1, 0)
	}
	return s.status(err)
}

// Fallocate preallocates, punches and zeroes; the kernel passes no other modes on.
func (s *server) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	if status := s.changeable(); status != fuse.OK {
		return status
	}
	h, status := s.file(in.Fh)
	if status != fuse.OK {
		return status
	}
	return s.status(h.file.Fallocate(ext4.FallocMode(in.Mode), int64(in.Offset), int64(in.Length)))
}

// Lseek finds data and holes. What the kernel has not written back is data, so it is made to do that first.
func (s *server) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	h, status := s.file(in.Fh)
	if status != fuse.OK {
		return status
	}
	if whence := in.Whence; whence != ext4.SeekData && whence != ext4.SeekHole {
		return fuse.EINVAL
	}
	s.kernel.InodeNotify(in.NodeId, 0, 0)
	off, err := h.file.Seek(int64(in.Offset), int(in.Whence))
	out.Offset = uint64(off)
	return s.status(err)
}
