package ext4

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/ext4/layout"
)

// A driver carries operations out on a real file system.
type driver interface {
	apply(o *operation, now int) outcome
	// tree describes every path but lost+found; the timestamps of a stampTime can be judged by times.
	tree() (map[string]entryState, error)
	times(s stampTime, got time.Time) bool
}

// entryState is what a path is, in a form that can be compared.
type entryState struct {
	mode         uint16
	links        int
	uid, gid     uint32
	size         int
	target       string
	major, minor uint32
	xattrs       string
	sum          [32]byte
	first        string // the first path of this inode
	a, m, c      time.Time
}

func xattrText(list map[string][]byte) string {
	var lines []string
	for name, v := range list {
		lines = append(lines, fmt.Sprintf("%q %d %x", name, len(v), sha256.Sum256(v)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// ours is the driver of this package.
type ours struct {
	t     *testing.T
	img   string
	fs    *FS
	dev   aio.Device
	fds   [slots]*File
	q     *Queue
	clock time.Time
}

// clockOf is the time at which an operation runs.
func clockOf(now int) time.Time { return time.Unix(1_600_000_000+int64(now), 123_456_789) }

func newOurs(t *testing.T, img string) *ours {
	d := &ours{t: t, img: img}
	d.open()
	t.Cleanup(func() {
		if t.Failed() && d.dev != nil {
			d.dev.Close()
		}
	})
	return d
}

func (d *ours) open() {
	d.fs, d.dev = openImage(d.t, d.img, Options{Clock: func() time.Time { return d.clock }})
	var err error
	d.q, err = d.fs.NewQueue(8)
	must(d.t, err)
}

// close closes everything, so that judges can look at the image.
func (d *ours) close() {
	must(d.t, d.q.Close())
	for i, f := range d.fds {
		if f != nil {
			must(d.t, f.Close())
		}
		d.fds[i] = nil
	}
	closeImage(d.t, d.fs, d.dev)
	d.dev = nil
}

// errnoOf is the error number that a caller of Linux would see. 1000: something that Linux has no number for.
func errnoOf(err error) syscall.Errno {
	var no syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrCorrupt):
		return 1000
	case errors.As(err, &no):
		return no
	case errors.Is(err, iofs.ErrNotExist):
		return syscall.ENOENT
	case errors.Is(err, iofs.ErrExist):
		return syscall.EEXIST
	case errors.Is(err, iofs.ErrInvalid):
		return syscall.EINVAL
	case errors.Is(err, ErrUnsupported):
		return syscall.EOPNOTSUPP
	}
	return 1000
}

func (d *ours) apply(o *operation, now int) outcome {
	d.clock = clockOf(now)
	data, err := d.run(o)
	if errnoOf(err) == 1000 {
		d.t.Errorf("%v: %v", o, err)
	}
	if err != nil {
		data = ""
	}
	return outcome{errnoOf(err), data}
}

func (d *ours) run(o *operation) (string, error) {
	fs := d.fs
	switch o.kind {
	case opMkdir:
		return "", fs.Mkdir(o.path, Attr{Perm: o.mode})
	case opUnlink:
		return "", fs.Unlink(o.path)
	case opRmdir:
		return "", fs.Rmdir(o.path)
	case opRename:
		return "", fs.Rename(o.path, o.to, RenameFlags(o.flag))
	case opLink:
		return "", fs.Link(o.path, o.to)
	case opSymlink:
		return "", fs.Symlink(o.to, o.path, Attr{})
	case opMknod:
		return "", fs.Mknod(o.path, o.mode&layout.ModeTypeMask, Attr{Perm: o.mode & layout.ModePermMask}, uint32(o.off), uint32(o.n))
	case opStat:
		return d.stat(o)
	case opReadlink:
		return fs.Readlink(o.path)
	case opChmod:
		return "", fs.Chmod(o.path, o.mode)
	case opChown:
		return "", fs.Chown(o.path, o.uid, o.gid)
	case opLchown:
		return "", fs.Lchown(o.path, o.uid, o.gid)
	case opChtimes:
		return "", fs.Chtimes(o.path, o.atime, o.mtime)
	case opLchtimes:
		return "", fs.Lchtimes(o.path, o.atime, o.mtime)
	case opGetxattr:
		v, err := fs.Xattr(o.path, o.attr, o.follows())
		return string(v), err
	case opSetxattr:
		return "", fs.SetXattr(o.path, o.attr, o.value(), o.flag, o.follows())
	case opRemovexattr:
		return "", fs.RemoveXattr(o.path, o.attr, o.follows())
	case opSync:
		return "", fs.Sync()
	case opOpen:
		f, err := fs.openFile(o.path, o.flag, Attr{Perm: o.mode})
		if err == nil {
			d.fds[o.fd] = f
		}
		return "", err
	}
	return d.runOnFile(o, d.fds[o.fd])
}

func (d *ours) runOnFile(o *operation, f *File) (string, error) {
	switch o.kind {
	case opClose:
		d.fds[o.fd] = nil
		return "", f.Close()
	case opRead:
		p := make([]byte, o.n)
		k, err := f.ReadAt(p, o.off)
		if err == io.EOF {
			err = nil
		}
		return string(p[:k]), err
	case opWrite:
		_, err := f.WriteAt(content(o.fill, int(o.n)), o.off)
		return "", err
	case opQRead:
		r := &Request{File: f, Op: OpRead, Off: o.off, Buf: block.Aligned(int(o.n)+1, 4096)[:o.n]}
		err := d.queue(r)
		return string(r.Buf[:r.N]), err
	case opQWrite:
		var rs []*Request
		for _, p := range o.parts {
			buf := block.Aligned(int(p.n), 4096)
			copy(buf, content(p.fill, int(p.n)))
			rs = append(rs, &Request{File: f, Op: OpWrite, Off: p.off, Buf: buf})
		}
		return "", d.queue(rs...)
	case opTruncate:
		return "", f.Truncate(o.off)
	case opFallocate:
		return "", f.Fallocate(FallocMode(o.flag), o.off, o.n)
	case opDig:
		err := f.DigHoles(o.off, o.n)
		if errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.EINVAL) {
			err = nil // the kernel has no such operation
		}
		return "", err
	}
	return "", f.Sync()
}

// queue carries requests out together.
func (d *ours) queue(rs ...*Request) error {
	if err := d.q.Submit(rs...); err != nil {
		return err
	}
	var first error
	for range rs {
		done, err := d.q.Reap(len(rs))
		if err != nil {
			return err
		}
		for _, r := range done {
			if r.Err != nil && first == nil {
				first = r.Err
			}
		}
		if len(done) == len(rs) {
			break
		}
	}
	return first
}

func (d *ours) stat(o *operation) (string, error) {
	get := d.fs.Stat
	if o.nofollow {
		get = d.fs.Lstat
	}
	info, err := get(o.path)
	if err != nil {
		return "", err
	}
	s := info.Sys().(*Stat)
	size := s.Size
	if info.IsDir() {
		size = 0
	}
	return fmt.Sprintf("%o %d %d %d %d", s.Mode, s.Links, s.UID, s.GID, size), nil
}

func (d *ours) tree() (map[string]entryState, error) {
	out := map[string]entryState{}
	first := map[uint32]string{}
	var walk func(path string) error
	walk = func(path string) error {
		e, ino, err := d.state(path)
		if err != nil {
			return err
		}
		if first[ino] == "" {
			first[ino] = path
		}
		e.first = first[ino]
		out[path] = e
		if e.mode&layout.ModeTypeMask != layout.ModeDir {
			return nil
		}
		list, err := d.fs.ReadDir(path)
		if err != nil {
			return err
		}
		for _, k := range list {
			if path == "/" && k.Name() == "lost+found" {
				continue
			}
			if err := walk(strings.TrimSuffix(path, "/") + "/" + k.Name()); err != nil {
				return err
			}
		}
		return nil
	}
	return out, walk("/")
}

func (d *ours) state(path string) (e entryState, ino uint32, err error) {
	info, err := d.fs.Lstat(path)
	if err != nil {
		return e, 0, err
	}
	s := info.Sys().(*Stat)
	e = entryState{mode: s.Mode, links: int(s.Links), uid: s.UID, gid: s.GID, size: int(s.Size), major: s.Major, minor: s.Minor,
		a: s.Atime, m: s.Mtime, c: s.Ctime}
	switch s.Mode & layout.ModeTypeMask {
	case layout.ModeDir:
		e.size = 0
	case layout.ModeSymlink:
		e.target, err = d.fs.Readlink(path)
	case layout.ModeRegular:
		var p []byte
		p, err = d.fs.readFile(path)
		e.sum = sha256.Sum256(p)
	}
	names, errX := d.fs.Xattrs(path, false)
	attrs := map[string][]byte{}
	for _, name := range names {
		v, e := d.fs.Xattr(path, name, false)
		attrs[name], errX = v, errors.Join(errX, e)
	}
	e.xattrs = xattrText(attrs)
	return e, s.Ino, errors.Join(err, errX)
}

func (d *ours) times(s stampTime, got time.Time) bool {
	if s.any {
		return true
	}
	want := s.at
	if want.IsZero() {
		want = clockOf(s.op)
		if got.Nanosecond() == 0 {
			want = want.Truncate(time.Second)
		}
	}
	return got.Equal(want)
}
