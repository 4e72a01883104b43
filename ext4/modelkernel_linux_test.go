package ext4

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
	"golang.org/x/sys/unix"
)

// kernel is the driver of the kernel's ext4 on a loop mount. Its calls run on a thread of their own, which has the mount
// as its root directory: symbolic links and ".." cannot lead out of it.
type kernel struct {
	t     *testing.T
	mnt   string
	calls chan func()
	ended chan struct{}
	fds   [slots]int
	wall  []time.Time // when each operation began
	gone  bool
}

// newKernel mounts an image; how: "rw" or "ro".
func newKernel(t *testing.T, img, how string) *kernel {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("judge missing: kernel mount (needs root)")
	}
	k := &kernel{t: t, mnt: t.TempDir(), calls: make(chan func()), ended: make(chan struct{})}
	if out, err := judge.MountLoop("-o", "loop,noatime,"+how, img, k.mnt); err != nil {
		t.Skipf("this kernel does not mount these features (%v: %.80s)", err, out)
	}
	ready := make(chan error)
	go k.serve(ready)
	if err := <-ready; err != nil {
		judge.Umount(t, k.mnt)
		t.Skipf("judge missing: kernel mount (%v)", err)
	}
	t.Cleanup(k.close)
	return k
}

// serve runs the calls. Its thread ends with it, and with the thread the changed root.
func (k *kernel) serve(ready chan error) {
	defer close(k.ended)
	runtime.LockOSThread()
	home, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Unshare(unix.CLONE_FS)
	}
	if err == nil {
		err = errors.Join(unix.Chroot(k.mnt), unix.Chdir("/"))
	}
	ready <- err
	if err != nil {
		return
	}
	unix.Umask(0)
	for fn := range k.calls {
		fn()
	}
	for i, fd := range k.fds {
		if fd > 0 {
			unix.Close(fd)
		}
		k.fds[i] = 0
	}
	if err := errors.Join(unix.Fchdir(home), unix.Chroot("."), unix.Close(home)); err != nil {
		k.t.Errorf("back to the root: %v", err)
	}
}

// close unmounts, once.
func (k *kernel) close() {
	if k.gone {
		return
	}
	k.gone = true
	close(k.calls)
	<-k.ended
	judge.Umount(k.t, k.mnt)
}

// call runs fn on the thread.
func (k *kernel) call(fn func()) {
	done := make(chan struct{})
	k.calls <- func() { fn(); close(done) }
	<-done
}

func (k *kernel) apply(o *operation, now int) (out outcome) {
	for len(k.wall) <= now {
		k.wall = append(k.wall, time.Now())
	}
	k.call(func() {
		data, err := k.run(o)
		var no syscall.Errno
		if err != nil && !errors.As(err, &no) {
			k.t.Errorf("%v: %v", o, err)
		}
		out = outcome{err: no}
		if no == 0 {
			out.data = data
		}
	})
	return out
}

func (k *kernel) run(o *operation) (string, error) {
	at := unix.AT_FDCWD
	switch o.kind {
	case opMkdir:
		return "", unix.Mkdir(o.path, uint32(o.mode))
	case opUnlink:
		return "", unix.Unlink(o.path)
	case opRmdir:
		return "", unix.Rmdir(o.path)
	case opRename:
		return "", unix.Renameat2(at, o.path, at, o.to, uint(o.flag))
	case opLink:
		return "", unix.Link(o.path, o.to)
	case opSymlink:
		return "", unix.Symlink(o.to, o.path)
	case opMknod:
		return "", unix.Mknod(o.path, uint32(o.mode), int(unix.Mkdev(uint32(o.off), uint32(o.n))))
	case opChmod:
		return "", unix.Chmod(o.path, uint32(o.mode))
	case opChown:
		return "", unix.Chown(o.path, o.uid, o.gid)
	case opLchown:
		return "", unix.Lchown(o.path, o.uid, o.gid)
	case opChtimes, opLchtimes:
		flags := 0
		if !o.follows() {
			flags = unix.AT_SYMLINK_NOFOLLOW
		}
		return "", unix.UtimesNanoAt(at, o.path, []unix.Timespec{timespec(o.atime), timespec(o.mtime)}, flags)
	case opReadlink:
		p := make([]byte, names.MaxPath)
		n, err := unix.Readlink(o.path, p)
		return string(p[:max(n, 0)]), err
	case opStat:
		return kernelStat(o)
	case opSync:
		unix.Sync()
		return "", nil
	case opOpen:
		fd, err := unix.Open(o.path, o.flag|unix.O_CLOEXEC, uint32(o.mode))
		if err == nil {
			k.fds[o.fd] = fd
		}
		return "", err
	case opGetxattr, opSetxattr, opRemovexattr:
		return kernelXattr(o)
	}
	return k.runOnFile(o, k.fds[o.fd])
}

func timespec(t time.Time) unix.Timespec {
	if t.IsZero() {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		panic(err) // a system with seconds of 32 bits
	}
	return ts
}

func kernelStat(o *operation) (string, error) {
	var s unix.Stat_t
	get := unix.Stat
	if o.nofollow {
		get = unix.Lstat
	}
	if err := get(o.path, &s); err != nil {
		return "", err
	}
	if s.Mode&unix.S_IFMT == unix.S_IFDIR {
		s.Size = 0
	}
	return fmt.Sprintf("%o %d %d %d %d", s.Mode, s.Nlink, s.Uid, s.Gid, s.Size), nil
}

func kernelXattr(o *operation) (string, error) {
	get, set, remove := unix.Getxattr, unix.Setxattr, unix.Removexattr
	if !o.follows() {
		get, set, remove = unix.Lgetxattr, unix.Lsetxattr, unix.Lremovexattr
	}
	switch o.kind {
	case opSetxattr:
		return "", set(o.path, o.attr, o.value(), o.flag)
	case opRemovexattr:
		return "", remove(o.path, o.attr)
	}
	p := make([]byte, 65536)
	n, err := get(o.path, o.attr, p)
	return string(p[:max(n, 0)]), err
}

func (k *kernel) runOnFile(o *operation, fd int) (string, error) {
	switch o.kind {
	case opClose:
		k.fds[o.fd] = 0
		return "", unix.Close(fd)
	case opRead, opQRead:
		p := make([]byte, o.n)
		n, err := unix.Pread(fd, p, o.off)
		return string(p[:max(n, 0)]), err
	case opWrite:
		return "", writeAll(fd, content(o.fill, int(o.n)), o.off)
	case opQWrite:
		for _, p := range o.parts {
			if err := writeAll(fd, content(p.fill, int(p.n)), p.off); err != nil {
				return "", err
			}
		}
		return "", nil
	case opTruncate:
		return "", unix.Ftruncate(fd, o.off)
	case opFallocate:
		return "", unix.Fallocate(fd, uint32(o.flag), o.off, o.n)
	case opDig:
		return "", nil
	}
	return "", unix.Fsync(fd)
}

func writeAll(fd int, p []byte, off int64) error {
	for first := true; first || len(p) > 0; first = false {
		n, err := unix.Pwrite(fd, p, off)
		if err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (k *kernel) tree() (out map[string]entryState, err error) {
	k.call(func() { out, err = mountedTree("/") })
	return out, err
}

// mountedTree describes a mounted tree.
func mountedTree(root string) (map[string]entryState, error) {
	out, first := map[string]entryState{}, map[uint64]string{}
	var walk func(path string) error
	walk = func(path string) error {
		full := filepath.Join(root, path)
		e, ino, err := kernelState(full)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if first[ino] == "" {
			first[ino] = path
		}
		e.first = first[ino]
		out[path] = e
		if e.mode&layout.ModeTypeMask != layout.ModeDir {
			return nil
		}
		list, err := os.ReadDir(full)
		if err != nil {
			return err
		}
		for _, f := range list {
			if path == "/" && f.Name() == "lost+found" {
				continue
			}
			if err := walk(strings.TrimSuffix(path, "/") + "/" + f.Name()); err != nil {
				return err
			}
		}
		return nil
	}
	return out, walk("/")
}

func kernelState(path string) (e entryState, ino uint64, err error) {
	var s unix.Stat_t
	if err := unix.Lstat(path, &s); err != nil {
		return e, 0, err
	}
	e = entryState{mode: uint16(s.Mode), links: int(s.Nlink), uid: s.Uid, gid: s.Gid, size: int(s.Size), major: unix.Major(s.Rdev), minor: unix.Minor(s.Rdev),
		a: time.Unix(s.Atim.Unix()), m: time.Unix(s.Mtim.Unix()), c: time.Unix(s.Ctim.Unix())}
	switch e.mode & layout.ModeTypeMask {
	case layout.ModeDir:
		e.size = 0
	case layout.ModeSymlink:
		e.target, err = os.Readlink(path)
	case layout.ModeRegular:
		var p []byte
		p, err = os.ReadFile(path)
		e.sum = sha256.Sum256(p)
	}
	if err != nil {
		return e, 0, err
	}
	p := make([]byte, 65536)
	n, err := unix.Llistxattr(path, p)
	attrs := map[string][]byte{}
	for _, name := range strings.Split(strings.TrimSuffix(string(p[:max(n, 0)]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		v := make([]byte, 65536)
		n, errX := unix.Lgetxattr(path, name, v)
		attrs[name], err = v[:max(n, 0)], errors.Join(err, errX)
	}
	e.xattrs = xattrText(attrs)
	return e, s.Ino, err
}

// times allows for the kernel's clock, which ticks, on a busy machine late.
func (k *kernel) times(s stampTime, got time.Time) bool {
	if s.any || !s.at.IsZero() {
		return s.any || got.Equal(s.at)
	}
	begin, end := k.wall[s.op].Add(-100*time.Millisecond), time.Now()
	if s.op+1 < len(k.wall) {
		end = k.wall[s.op+1]
	}
	return !got.Before(begin.Truncate(time.Second)) && (got.Nanosecond() == 0 || !got.Before(begin)) && !got.After(end)
}

// kernelWalk compares an image with the model through a mount.
func kernelWalk(t *testing.T, img string, m *model) {
	k := newKernel(t, img, "ro")
	compareTree(t, "the kernel", oursTimes{k, &ours{clock: clockOf(m.now)}}, m)
	k.close()
	detached(t, img)
}

// detached waits until no loop device has a file: the kernel may let go of it a while after the unmount.
func detached(t *testing.T, img string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		out, err := judge.Command(t, "losetup", "-j", img).Output()
		must(t, err)
		if len(out) == 0 {
			return
		}
	}
	t.Fatalf("%s: still attached to a loop device", img)
}

// oursTimes is the kernel that reads what this package has written.
type oursTimes struct {
	*kernel
	by *ours
}

func (o oursTimes) times(s stampTime, got time.Time) bool { return o.by.times(s, got) }

// TestModelLikeKernel has this package and the kernel carry out the same operations on two equal images: every answer
// must be the same, and at the end the trees, which also must be the model's.
func TestModelLikeKernel(t *testing.T) {
	ops := longForm(300, 20_000)
	for _, shape := range modelShapes() {
		t.Run(shape, func(t *testing.T) {
			seed := effort.Seed(t, ops)
			img, g := modelImage(t, shape, seed)
			g.careful = g.inline
			other, _ := modelImage(t, shape, seed)
			k := newKernel(t, other, "rw")
			d := newOurs(t, img)
			for range ops {
				if o := g.next(); !dangerous(g.m, o) {
					step(t, g.m, o, []string{"ours", "the kernel"}, d, k)
				}
			}
			g.m.now++
			d.clock = clockOf(g.m.now)
			compareTree(t, "the kernel", k, g.m)
			d.close()
			d.open()
			compareTree(t, "ours", d, g.m)
			d.close()
			k.close()
			judged(t, img)
		})
	}
}

// TestFragmentation fills an image, deletes half and fills it again, here and through the kernel: in the long form the
// files must have no more than 1.2 times as many extents as the kernel's. The image of the short form has two groups and
// too few files for a bar so close.
func TestFragmentation(t *testing.T) {
	size, most := int64(256)<<20, 1.7
	if effort.Long() {
		size, most = 768<<20, 1.2
	}
	for _, growing := range []int{1, 4} {
		t.Run(fmt.Sprintf("growing%d", growing), func(t *testing.T) {
			f := newFilling(rand.New(rand.NewPCG(effort.Seed(t, 0), 9)), size)
			imgs := [2]string{}
			for i := range imgs {
				imgs[i] = newImage(t, fmt.Sprintf("%dK", size>>10), "-t", "ext4", "-b", "4096", "-m", "0")
			}
			k := newKernel(t, imgs[0], "rw")
			f.play(t, k, growing)
			k.close()
			d := newOurs(t, imgs[1])
			f.play(t, d, growing)
			d.close()
			judged(t, imgs[1])
			want, got := f.extents(t, imgs[0]), f.extents(t, imgs[1])
			t.Logf("%d files, %d deleted, %d more: extents per file: kernel %.3f, here %.3f, ratio %.3f", len(f.first), len(f.deleted), len(f.second), want, got, got/want)
			if got > most*want {
				t.Errorf("ratio %.3f, want at most %.1f", got/want, most)
			}
		})
	}
}
