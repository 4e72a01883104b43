//go:build !386 && !arm && !mips && !mipsle

package mount

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ext4img/ext4"
	"ext4img/ext4/layout"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const (
	maxRequest = 1 << 20   // bytes of a read or write
	background = 128       // requests that the kernel sends without waiting
	forever    = time.Hour // how long the kernel may keep names and attributes: all changes go through it
)

// A Server serves a file system to the kernel.
type Server struct {
	dir  string
	fuse *fuse.Server
	fs   *server
	end  sync.Once
	err  error // of the end
}

// server answers the requests. Methods that it does not have are not supported: ENOSYS.
type server struct {
	fuse.RawFileSystem
	fs      *ext4.FS
	o       Options
	bs      int64 // block size, bytes
	names   time.Duration
	direct  bool // the kernel allows files that are opened for direct I/O beside others
	kernel  *fuse.Server
	nodes   *nodes
	lane    *lane
	handles handles
	faults  faults
	down    atomic.Bool // shut down by ioctl(2)
}

// Serve mounts a file system on an empty directory and serves it until it is unmounted. The caller keeps it open until
// Wait has returned, and opens no files of it meanwhile. As root it mounts by itself, other users need fusermount3.
func Serve(fs *ext4.FS, dir string, o Options) (*Server, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err == nil {
		err = mountable(dir)
	}
	if err != nil {
		return nil, err
	}
	l, err := newLane(fs)
	if err != nil {
		return nil, err
	}
	s := &server{RawFileSystem: fuse.NewDefaultRawFileSystem(), fs: fs, o: o, bs: int64(fs.Geometry().BlockSize), names: forever, lane: l}
	s.faults.log = o.Log
	s.nodes = newNodes(s.note)
	if fs.Geometry().Incompat&layout.IncompatCasefold != 0 {
		s.names = 0 // the kernel would keep two spellings of a name as two names
	}
	m := s.mountOptions()
	kernel, err := fuse.NewServer(s, dir, m)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), s.close())
	}
	v := &Server{dir: dir, fuse: kernel, fs: s}
	go kernel.Serve()
	if err := kernel.WaitMount(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), v.Unmount(), v.Wait())
	}
	return v, nil
}

// mountable judges the directory, and that there is something to mount with.
func mountable(dir string) error {
	names, err := os.ReadDir(dir)
	switch {
	case err != nil:
		return err
	case len(names) > 0:
		return &os.PathError{Op: "mount", Path: dir, Err: unix.ENOTEMPTY}
	}
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		return fmt.Errorf("FUSE is not there, or not for this user: %w", err)
	} else if err := f.Close(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		if _, err := fusermount(); err != nil {
			return fmt.Errorf("users other than root need fusermount3: %w", err)
		}
	}
	return nil
}

func fusermount() (string, error) {
	if path, err := exec.LookPath("fusermount3"); err == nil {
		return path, nil
	}
	return exec.LookPath("fusermount")
}

// mountOptions are what the kernel and go-fuse are told.
func (s *server) mountOptions() *fuse.MountOptions {
	m := &fuse.MountOptions{
		AllowOther: s.o.AllowOther, Name: "ext4img", FsName: s.o.Source,
		Options: []string{"default_permissions"}, MaxBackground: background, CongestionThreshold: background,
		MaxWrite: maxRequest, MaxReadAhead: maxRequest, EnableSymlinkCaching: true, EnableAcl: true,
		ExplicitDataCacheControl: true, DisableSplice: true,
		Logger: log.New(logWriter{s}, "", 0), PanicHandler: s.panicked,
		ExtraCapabilities: fuse.CAP_ASYNC_DIO | fuse.CAP_DONT_MASK | fuse.CAP_EXPORT_SUPPORT | fuse.CAP_READDIRPLUS_AUTO |
			fuse.CAP_IOCTL_DIR | fuse.CAP_WRITEBACK_CACHE | fuse.CAP_DIRECT_IO_ALLOW_MMAP,
		DisabledCapabilities: fuse.CAP_NO_OPEN_SUPPORT | fuse.CAP_PASSTHROUGH,
	}
	if s.fs.ReadOnly() {
		m.ExtraCapabilities &^= fuse.CAP_WRITEBACK_CACHE
	}
	if os.Geteuid() != 0 {
		m.Options = append(m.Options, s.o.Flags...)
		if s.fs.ReadOnly() {
			m.Options = append(m.Options, "ro")
		}
		return m
	}
	m.DirectMountStrict = true
	m.DirectMountFlags = unix.MS_NOSUID | unix.MS_NODEV
	m.Options = append(m.Options, s.o.Flags...)
	if s.fs.ReadOnly() {
		m.DirectMountFlags |= unix.MS_RDONLY
	}
	return m
}

// logWriter takes what go-fuse has to say.
type logWriter struct{ s *server }

func (w logWriter) Write(p []byte) (int, error) {
	w.s.faults.tell(strings.TrimSpace(string(p)))
	return len(p), nil
}

// panicked keeps a fault of this program from ending the mount: the request fails.
func (s *server) panicked(what any) fuse.Status {
	s.faults.tell(fmt.Sprintf("a request failed unexpectedly: %v\n%s", what, debug.Stack()))
	return fuse.EIO
}

// Init is called before the first request.
func (s *server) Init(kernel *fuse.Server) {
	s.kernel = kernel
	s.direct = kernel.KernelSettings().Flags64()&fuse.CAP_DIRECT_IO_ALLOW_MMAP != 0
}

// String is the type of file system behind "fuse.".
func (s *server) String() string { return "ext4img" }

// Wait waits until the file system is unmounted and all of it has been given up: open files, and what was kept for the
// kernel. The caller may close the file system then.
func (v *Server) Wait() error {
	v.fuse.Wait()
	v.end.Do(func() { v.err = v.fs.close() })
	return v.err
}

// Unmount has the kernel write back what it keeps, and ends the mount. If the file system is in use it is taken out of the
// tree, and ends with its last user.
func (v *Server) Unmount() error {
	if f, err := os.Open(v.dir); err == nil {
		_ = unix.Syncfs(int(f.Fd())) // what could not be written was told to whoever wrote it, or is by close
		_ = f.Close()
	}
	if os.Geteuid() == 0 {
		if err := unix.Unmount(v.dir, 0); err == nil {
			return nil
		}
		return unix.Unmount(v.dir, unix.MNT_DETACH)
	}
	path, err := fusermount()
	if err != nil {
		return err
	}
	if err := exec.Command(path, "-u", v.dir).Run(); err == nil {
		return nil
	}
	if out, err := exec.Command(path, "-u", "-z", v.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("unmount %s: %s: %w", v.dir, strings.TrimSpace(string(out)), err)
	}
	return nil
}

// close gives up what the kernel did not.
func (s *server) close() error {
	err := s.handles.close()
	err = errors.Join(err, s.lane.close())
	return errors.Join(err, s.nodes.close())
}

// StatFs counts what is used and free.
func (s *server) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	u, err := s.fs.Usage()
	if err != nil {
		return s.status(err)
	}
	*out = fuse.StatfsOut{Blocks: u.Blocks, Bfree: u.Free, Bavail: u.Available, Files: u.Inodes, Ffree: u.IFree,
		Bsize: uint32(u.BlockSize), Frsize: uint32(u.BlockSize), NameLen: 255}
	return fuse.OK
}
