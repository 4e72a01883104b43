//go:build !386 && !arm && !mips && !mipsle

package mount

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"syscall"

	"ext4img/ext4"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// listing is an open directory: its names as they were when it was opened or rewound. The offset of an entry is its index
// here, and so stays while names come and go.
type listing struct {
	mu      sync.Mutex
	entries []ext4.DirEntry
	read    bool
}

// OpenDir opens a directory.
func (s *server) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.Fh = s.handles.add(&handle{ino: inoOf(in.NodeId), dir: &listing{}})
	return fuse.OK
}

// ReleaseDir closes it.
func (s *server) ReleaseDir(in *fuse.ReleaseIn) { s.handles.take(in.Fh) }

// ReadDir lists names.
func (s *server) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.readDir(in, func(_ ext4.Inode, e fuse.DirEntry) bool { return out.AddDirEntry(e) })
}

// ReadDirPlus lists names with what they lead to. A name that is gone by now is left out.
func (s *server) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.readDir(in, func(dir ext4.Inode, e fuse.DirEntry) bool {
		if e.Name == "." || e.Name == ".." {
			return out.AddDirLookupEntry(e) != nil
		}
		ref, info, err := dir.LookupHeld(e.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return true
		case err != nil: // whoever looks at it is told
			return out.AddDirLookupEntry(e) != nil
		}
		e.Ino, e.Mode = uint64(info.Stat().Ino), uint32(info.Stat().Mode)
		entry := out.AddDirLookupEntry(e)
		if entry == nil {
			s.nodes.discard(ref)
			return false
		}
		s.entry(ref, info, entry)
		return true
	})
}

// readDir gives entries from an offset on to add, until it says that there is no more room.
func (s *server) readDir(in *fuse.ReadIn, add func(ext4.Inode, fuse.DirEntry) bool) fuse.Status {
	h := s.handles.get(in.Fh)
	if h == nil || h.dir == nil {
		return fuse.EBADF
	}
	l, dir := h.dir, s.fs.Inode(h.ino)
	l.mu.Lock()
	defer l.mu.Unlock()
	if in.Offset == 0 || !l.read {
		if err := s.list(dir, l); err != nil {
			return s.status(err)
		}
		s.accessed(dir, true)
	}
	for at := in.Offset; at < uint64(len(l.entries)); at++ {
		e := l.entries[at]
		if !add(dir, fuse.DirEntry{Name: e.Name, Ino: uint64(e.Ino), Mode: typeBits(e.Type), Off: at + 1}) {
			break
		}
	}
	return fuse.OK
}

// list reads a directory's names. What is broken of it goes to the log, the rest is listed.
func (s *server) list(dir ext4.Inode, l *listing) error {
	info, err := dir.Stat("")
	if err != nil {
		return err
	}
	l.entries, l.read = l.entries[:0], true
	if info.Stat().Links == 0 {
		return nil // removed while it is open
	}
	up, err := dir.Lookup("..")
	if err != nil {
		s.note(err)
		up = dir
	}
	l.entries = append(l.entries, ext4.DirEntry{Name: ".", Ino: dir.Ino(), Type: fs.ModeDir}, ext4.DirEntry{Name: "..", Ino: up.Ino(), Type: fs.ModeDir})
	return dir.Entries(context.Background(), func(e ext4.DirEntry) error {
		l.entries = append(l.entries, e)
		return nil
	}, func(err error) error {
		s.note(err)
		return nil
	})
}

// typeBits is the type of a directory entry as in i_mode; 0 where it is not known.
func typeBits(m fs.FileMode) uint32 {
	switch m.Type() {
	case 0:
		return syscall.S_IFREG
	case fs.ModeDir:
		return syscall.S_IFDIR
	case fs.ModeSymlink:
		return syscall.S_IFLNK
	case fs.ModeNamedPipe:
		return syscall.S_IFIFO
	case fs.ModeSocket:
		return syscall.S_IFSOCK
	case fs.ModeDevice:
		return syscall.S_IFBLK
	case fs.ModeDevice | fs.ModeCharDevice:
		return syscall.S_IFCHR
	}
	return 0
}

// FsyncDir makes the names of a directory durable.
func (s *server) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return s.status(s.inode(in.NodeId).Sync())
}
