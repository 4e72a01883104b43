package aio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/aio/devtest"
	"ext4img/testimages/judge"
)

// need skips the test unless the programs exist and may be run.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("judge missing: root")
	}
	for _, p := range programs {
		judge.Need(t, p)
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := judge.Command(t, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// loop attaches a file to a loop device until the test ends.
func loop(t *testing.T, path string, args ...string) string {
	t.Helper()
	need(t, "losetup")
	out, err := judge.Command(t, "losetup", append([]string{"--find", "--show"}, append(args, path)...)...).CombinedOutput()
	if err != nil {
		t.Skipf("judge missing: losetup (%v: %s)", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() { command(t, "losetup", "-d", dev) })
	return dev
}

func TestLoopDevice(t *testing.T) {
	for _, engine := range engines() {
		for _, sector := range []string{"512", "4096"} {
			t.Run(engine+" "+sector, func(t *testing.T) {
				dev := loop(t, newFile(t, devtest.MinSize+8192), "--direct-io=on", "--sector-size", sector)
				devtest.Run(t, func(t *testing.T) aio.Device {
					d := opened(dev, aio.Options{Write: true, Engine: engine})(t)
					if want, _ := strconv.Atoi(sector); d.Align() != want {
						t.Errorf("alignment %d, want %d", d.Align(), want)
					}
					return d
				})
			})
		}
	}
}

// refused checks that path cannot be opened for writing, and that the error says why.
func refused(t *testing.T, path string, words ...string) {
	t.Helper()
	dev, err := aio.Open(path, aio.Options{Write: true})
	if err == nil {
		dev.Close()
		t.Fatalf("%s was opened for writing", path)
	}
	t.Log(err)
	if !errors.Is(err, aio.ErrInUse) {
		t.Errorf("error is not ErrInUse: %v", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error does not say %q: %v", w, err)
		}
	}
}

func TestRefuseMounted(t *testing.T) {
	need(t, "mke2fs", "mount", "umount")
	image := newFile(t, 16<<20)
	command(t, "mke2fs", "-q", "-t", "ext4", "-F", image)
	dev := loop(t, image)
	refused(t, image, "attached to "+dev)
	point := filepath.Join(t.TempDir(), "a mount")
	if err := os.Mkdir(point, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "mount", dev, point)
	t.Cleanup(func() { command(t, "umount", point) })
	refused(t, image, "attached to "+dev, "mounted on "+point)
	refused(t, dev, "mounted on "+point)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Link(image, link); err == nil {
		refused(t, link, dev)
	}
	for _, path := range []string{image, dev} {
		opened(path, aio.Options{})(t).Close() // reading must be allowed
	}
}

// TestRefuseDeleted: the path in sysfs leads nowhere, but the inode is the same.
func TestRefuseDeleted(t *testing.T) {
	image := newFile(t, 1<<20)
	dev := loop(t, image)
	other := image + "2"
	if err := os.Rename(image, other); err != nil {
		t.Fatal(err)
	}
	refused(t, other, dev)
}

func TestRefuseClaimedDevice(t *testing.T) {
	dev := loop(t, newFile(t, 1<<20))
	fd, err := unix.Open(dev, unix.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, dev, "claimed")
	unix.Close(fd)
	opened(dev, aio.Options{Write: true})(t).Close()
}

func TestLocks(t *testing.T) {
	path := newFile(t, 1<<20)
	w := opened(path, aio.Options{Write: true})(t)
	refused(t, path, "open in another")
	if d, err := aio.Open(path, aio.Options{}); !errors.Is(err, aio.ErrInUse) {
		t.Errorf("a reader beside a writer: %v, %v", d, err)
	}
	w.Close()
	a := opened(path, aio.Options{})(t)
	b := opened(path, aio.Options{})(t)
	refused(t, path, "open in another")
	a.Close()
	b.Close()
	for range 5 { // at once, although the rings of the process before may still exist
		opened(path, aio.Options{Write: true})(t).Close()
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none"), os.DevNull} {
		if _, err := aio.Open(path, aio.Options{}); err == nil {
			t.Errorf("%s was opened", path)
		}
	}
	if _, err := aio.Open(newFile(t, 512), aio.Options{Engine: "fast"}); err == nil {
		t.Error("an engine that does not exist was accepted")
	}
	dev := open(t, newFile(t, 4096), aio.Options{})
	if _, err := dev.WriteAt(make([]byte, 1), 0); !errors.Is(err, aio.ErrReadOnly) {
		t.Errorf("write to a device opened for reading: %v", err)
	}
	for _, engine := range engines() {
		q, err := open(t, newFile(t, 4096), aio.Options{Engine: engine}).Queue(1)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Submit(&aio.Request{Op: aio.Write, Buf: make([]byte, 1)}); err != nil {
			t.Fatal(err)
		}
		if got, err := q.Reap(1); err != nil || len(got) != 1 || !errors.Is(got[0].Err, aio.ErrReadOnly) {
			t.Errorf("%s: write to a device opened for reading: %v, %v", engine, got, err)
		}
		q.Close()
	}
}

// TestBufferedFallback: tmpfs reports no alignment for direct I/O; some file systems refuse direct I/O.
func TestBufferedFallback(t *testing.T) {
	var st unix.Statfs_t
	if unix.Statfs("/dev/shm", &st) != nil || st.Type != unix.TMPFS_MAGIC {
		t.Skip("judge missing: tmpfs")
	}
	f, err := os.CreateTemp("/dev/shm", "aio")
	if err != nil {
		t.Skip("judge missing: tmpfs")
	}
	defer os.Remove(f.Name())
	if err := f.Truncate(devtest.MinSize + 700); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, engine := range engines() {
		devtest.Run(t, func(t *testing.T) aio.Device {
			warned := 0
			d := opened(f.Name(), aio.Options{Write: true, Engine: engine, Warn: func(s string) { warned++; t.Log(s) }})(t)
			if warned == 0 != aio.Describe(d).Direct {
				t.Errorf("%d warnings, %+v", warned, aio.Describe(d))
			}
			return d
		})
	}
}

// TestNoSpace: a sparse image on a full file system. Each write that meets a hole fails, and no other does.
func TestNoSpace(t *testing.T) {
	need(t, "mke2fs", "mount", "umount")
	outer := newFile(t, 32<<20)
	command(t, "mke2fs", "-q", "-t", "ext4", "-m", "0", "-F", outer)
	dev, point := loop(t, outer), t.TempDir()
	command(t, "mount", dev, point)
	t.Cleanup(func() { command(t, "umount", point) })
	image := filepath.Join(point, "image")
	const blocks, allocated = 64, 8
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(blocks * 4096); err != nil {
		t.Fatal(err)
	}
	for i := range allocated {
		if _, err := f.WriteAt(bytes.Repeat([]byte{1}, 4096), int64(i)*8*4096); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	fill, err := os.Create(filepath.Join(point, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer fill.Close()
	for n := 1 << 20; n >= 1024; n /= 2 {
		for err == nil {
			_, err = fill.Write(make([]byte, n))
		}
		err = fill.Sync()
	}
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) { fullDisk(t, open(t, image, aio.Options{Write: true, Engine: engine}), blocks) })
	}
}

func fullDisk(t *testing.T, d aio.Device, blocks int) {
	q, err := d.Queue(blocks)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var reqs []*aio.Request
	for i := range blocks {
		buf := block.Aligned(4096, 4096)
		buf[0] = byte(i)
		reqs = append(reqs, &aio.Request{Op: aio.Write, Buf: buf, Off: int64(i) * 4096, User: i})
	}
	if err := q.Submit(reqs...); err != nil {
		t.Fatal(err)
	}
	got, err := q.Reap(blocks)
	if err != nil || len(got) != blocks {
		t.Fatalf("reaped %d, %v", len(got), err)
	}
	for _, r := range reqs {
		hole := r.User.(int)%8 != 0
		if hole != errors.Is(r.Err, unix.ENOSPC) || !hole && r.Err != nil {
			t.Errorf("block %d: %v", r.User, r.Err)
		}
	}
}

// TestShrunk: the file has become shorter than it was at Open.
func TestShrunk(t *testing.T) {
	for _, engine := range engines() {
		path := newFile(t, 1<<20)
		d := open(t, path, aio.Options{Write: true, Engine: engine})
		if err := os.Truncate(path, 1<<19+1000); err != nil {
			t.Fatal(err)
		}
		q, err := d.Queue(4)
		if err != nil {
			t.Fatal(err)
		}
		var reqs []*aio.Request
		for _, off := range []int64{0, 1<<19 - 4096, 1<<19 - 2048, 1<<19 + 4096} {
			reqs = append(reqs, &aio.Request{Op: aio.Read, Buf: block.Aligned(4096, 4096), Off: off})
		}
		if err := q.Submit(reqs...); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Reap(4); err != nil {
			t.Fatal(err)
		}
		for i, r := range reqs {
			if bad := i >= 2; bad != errors.Is(r.Err, io.ErrUnexpectedEOF) || !bad && r.Err != nil {
				t.Errorf("%s: read at %d: %v", engine, r.Off, r.Err)
			}
		}
		q.Close()
	}
}

// TestShrunkDevice: the block device has become shorter. Transfers beyond its end fail, and no others.
func TestShrunkDevice(t *testing.T) {
	for _, engine := range engines() {
		path := newFile(t, 4<<20)
		dev := loop(t, path)
		d := opened(dev, aio.Options{Write: true, Engine: engine})(t)
		if err := os.Truncate(path, 2<<20); err != nil {
			t.Fatal(err)
		}
		command(t, "losetup", "-c", dev)
		q, err := d.Queue(16)
		if err != nil {
			t.Fatal(err)
		}
		var reqs []*aio.Request
		for i := range 16 {
			reqs = append(reqs, &aio.Request{Op: aio.Op(i % 2), Buf: block.Aligned(4096, 4096), Off: int64(i) << 18})
		}
		if err := q.Submit(reqs...); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Reap(16); err != nil {
			t.Fatal(err)
		}
		for _, r := range reqs {
			if bad := r.Off >= 2<<20; bad != (r.Err != nil) {
				t.Errorf("%s: op %d at %d: %v", engine, r.Op, r.Off, r.Err)
			}
		}
		t.Log(reqs[15].Err)
		q.Close()
		d.Close()
	}
}

// TestBadSectors: a device of the kernel that fails in one part.
func TestBadSectors(t *testing.T) {
	need(t, "dmsetup")
	under := loop(t, newFile(t, 4<<20))
	name := fmt.Sprintf("aio-test-%d", os.Getpid())
	table := fmt.Sprintf("0 1024 linear %s 0\n1024 1024 error\n2048 1024 linear %s 2048", under, under)
	cmd := judge.Command(t, "dmsetup", "create", name)
	cmd.Stdin = strings.NewReader(table)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("judge missing: dmsetup (%v: %s)", err, out)
	}
	t.Cleanup(func() { command(t, "dmsetup", "remove", "--retry", name) })
	for _, engine := range engines() {
		d := opened("/dev/mapper/"+name, aio.Options{Write: true, Engine: engine})(t)
		q, err := d.Queue(16)
		if err != nil {
			t.Fatal(err)
		}
		var reqs []*aio.Request
		for i := range 16 {
			op := aio.Op(i % 2)
			reqs = append(reqs, &aio.Request{Op: op, Buf: block.Aligned(4096, 4096), Off: int64(i/2) * 196608, User: i})
		}
		if err := q.Submit(reqs...); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Reap(16); err != nil {
			t.Fatal(err)
		}
		for _, r := range reqs {
			if bad := r.Off >= 1024*512 && r.Off < 2048*512; bad != errors.Is(r.Err, unix.EIO) || !bad && r.Err != nil {
				t.Errorf("%s: op %d at %d: %v", engine, r.Op, r.Off, r.Err)
			}
		}
		q.Close()
		d.Close()
	}
}

// forbid is the environment variable that names the system calls which this process, a second run of the test, may
// not use.
const forbid = "AIO_TEST_FORBID"

// TestFallback makes the system calls of the engines fail as a container's filter does.
func TestFallback(t *testing.T) {
	if os.Getenv(forbid) != "" {
		forbidden(t)
		return
	}
	path := newFile(t, 1<<20)
	for _, c := range []struct{ calls, engine, want string }{
		{fmt.Sprint(unix.SYS_IO_URING_SETUP), "auto", "libaio"},
		{fmt.Sprint(unix.SYS_IO_URING_ENTER), "auto", "libaio"},
		{fmt.Sprint(unix.SYS_IO_URING_REGISTER), "auto", "libaio"},
		{fmt.Sprint(unix.SYS_IO_URING_SETUP, ",", unix.SYS_IO_SETUP), "auto", "sync"},
		{fmt.Sprint(unix.SYS_IO_URING_SETUP), "io_uring", "operation not permitted"},
		{fmt.Sprint(unix.SYS_IO_SETUP), "libaio", "operation not permitted"},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFallback$", "-test.v")
		cmd.Env = append(os.Environ(), forbid+"="+c.calls, "AIO_TEST_PATH="+path, "AIO_TEST_ENGINE="+c.engine)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "engine: "+c.want) {
			t.Errorf("without %s, %s: %v, want %s\n%s", c.calls, c.engine, err, c.want, out)
		}
	}
}

// forbidden opens the file under a filter and prints the engine it got, or the error.
func forbidden(t *testing.T) {
	prog := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
	for _, c := range strings.Split(os.Getenv(forbid), ",") {
		n, err := strconv.Atoi(strings.TrimSpace(c))
		if err != nil {
			t.Fatal(err)
		}
		prog = append(prog, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(n)},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	}
	prog = append(prog, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Skip("judge missing: seccomp")
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		t.Skip("judge missing: seccomp")
	}
	d, err := aio.Open(os.Getenv("AIO_TEST_PATH"), aio.Options{Engine: os.Getenv("AIO_TEST_ENGINE")})
	if err != nil {
		fmt.Println("engine:", err)
		if strings.Contains(err.Error(), "operation not permitted") {
			fmt.Println("engine: operation not permitted")
		}
		return
	}
	defer d.Close()
	fmt.Printf("engine: %s (%s)\n", aio.Describe(d).Engine, aio.Describe(d).Reason)
}
