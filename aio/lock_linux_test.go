package aio_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ext4img/aio"
	"ext4img/testimages/judge"
)

// holding runs a program that ends when its standard input ends. It returns once ready reports that the program is at
// work.
func holding(t *testing.T, ready func() bool, name string, args ...string) (end func()) {
	t.Helper()
	judge.Need(t, name)
	c := judge.Command(t, name, args...)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		in.Close()
		if name == "qemu-nbd" || name == "qemu-storage-daemon" {
			_ = c.Process.Signal(unix.SIGTERM)
		}
		_ = c.Wait()
	}
	t.Cleanup(end)
	for begin := time.Now(); !ready(); time.Sleep(5 * time.Millisecond) { // another process cannot signal its progress
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("%s does not begin: %s", name, out.String())
		}
	}
	return end
}

// locked says whether a process holds a record lock on a byte of a file.
func locked(t *testing.T, path string, at int64) func() bool {
	return func() bool {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		l := unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1}
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l) == nil && l.Type != unix.F_UNLCK
	}
}

// opens says whether path can be opened; any refusal must be ErrInUse.
func opens(t *testing.T, path string, write bool) bool {
	t.Helper()
	dev, err := aio.Open(path, aio.Options{Write: write})
	if err == nil {
		dev.Close()
		return true
	}
	if !errors.Is(err, aio.ErrInUse) {
		t.Errorf("%s: %v", path, err)
	}
	return false
}

// TestQEMUHolds: beside QEMU's programs, ours may open an image in the same cases in which QEMU's own may.
func TestQEMUHolds(t *testing.T) {
	for _, c := range []struct {
		name        string
		command     []string
		byte        int64 // the byte that the program locks when it is ready
		read, write bool  // what may be opened beside it
	}{
		{"qemu-nbd", []string{"qemu-nbd", "-f", "raw", "-t", "-k", "SOCKET", "IMAGE"}, 101, false, false},
		{"qemu-nbd shared", []string{"qemu-nbd", "-f", "raw", "-t", "-e", "5", "-k", "SOCKET", "IMAGE"}, 101, false, false},
		{"qemu-nbd read-only", []string{"qemu-nbd", "-r", "-f", "raw", "-t", "-k", "SOCKET", "IMAGE"}, 100, true, true},
		{"qemu-io", []string{"qemu-io", "-f", "raw", "IMAGE"}, 101, false, false},
		{"qemu-io read-only", []string{"qemu-io", "-r", "-f", "raw", "IMAGE"}, 100, true, true},
		{"qemu-storage-daemon", []string{"qemu-storage-daemon", "--blockdev", "driver=file,node-name=f,filename=IMAGE",
			"--nbd-server", "addr.type=unix,addr.path=SOCKET", "--export", "type=nbd,id=e,node-name=f,writable=on"}, 101, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			image := newFile(t, 1<<20)
			args := make([]string, len(c.command))
			for i, a := range c.command {
				args[i] = strings.NewReplacer("IMAGE", image, "SOCKET", filepath.Join(t.TempDir(), "s")).Replace(a)
			}
			end := holding(t, locked(t, image, c.byte), args[0], args[1:]...)
			if got := opens(t, image, true); got != c.write {
				t.Errorf("writing beside it: %v", got)
			}
			if got := opens(t, image, false); got != c.read {
				t.Errorf("reading beside it: %v", got)
			}
			end()
			if !opens(t, image, true) {
				t.Error("refused after it has ended")
			}
		})
	}
}

// TestQEMUMeetsUs: QEMU's programs accept or refuse an image that we hold.
func TestQEMUMeetsUs(t *testing.T) {
	image := newFile(t, 1<<20)
	for _, c := range []struct {
		args        []string
		read, write bool // allowed beside a reader of ours, beside a writer of ours
	}{
		{[]string{"qemu-img", "resize", "-f", "raw", "IMAGE", "2M"}, false, false},
		{[]string{"qemu-img", "info", "-f", "raw", "IMAGE"}, true, true}, // shares writing: it reads without copying
		{[]string{"qemu-img", "info", "-U", "-f", "raw", "IMAGE"}, true, true},
		{[]string{"qemu-img", "convert", "-f", "raw", "-O", "raw", "IMAGE", "IMAGE.copy"}, true, false},
		{[]string{"qemu-io", "-f", "raw", "-c", "write 0 512", "IMAGE"}, false, false},
		{[]string{"qemu-io", "-r", "-f", "raw", "-c", "read 0 512", "IMAGE"}, true, true},
	} {
		judge.Need(t, c.args[0])
		args := make([]string, len(c.args))
		for i, a := range c.args {
			args[i] = strings.ReplaceAll(a, "IMAGE", image)
		}
		for _, write := range []bool{false, true} {
			dev := opened(image, aio.Options{Write: write})(t)
			out, err := judge.Command(t, args[0], args[1:]...).CombinedOutput()
			if want := write && c.write || !write && c.read; (err == nil) != want {
				t.Errorf("%v beside one that opens with Write %v: %v: %s", c.args, write, err, out)
			}
			dev.Close()
		}
	}
}

// TestOtherWriters: a process that has the file open for writing, with or without locks of its own.
func TestOtherWriters(t *testing.T) {
	image := newFile(t, 1<<20)
	const shell = "sh"
	for script, want := range map[string]struct{ read, write bool }{
		"exec 3<>IMAGE":     {true, false},
		"exec 3>>IMAGE":     {true, false},
		"exec 3<IMAGE":      {true, true},
		"exec 3<>/dev/null": {true, true},
	} {
		t.Run(script, func(t *testing.T) {
			ready := filepath.Join(t.TempDir(), "ready")
			began := func() bool { _, err := os.Stat(ready); return err == nil }
			end := holding(t, began, shell, "-c", strings.ReplaceAll(script, "IMAGE", image)+"; : >"+ready+"; read x")
			if got := opens(t, image, true); got != want.write {
				t.Errorf("writing beside it: %v", got)
			}
			if got := opens(t, image, false); got != want.read {
				t.Errorf("reading beside it: %v", got)
			}
			end()
			if !opens(t, image, true) {
				t.Error("refused after it has ended")
			}
		})
	}
}

// TestRecordLocks: another open file description holds a write lock anywhere in the file.
func TestRecordLocks(t *testing.T) {
	image := newFile(t, 1<<20)
	for _, at := range []int64{0, 100, 101, 203, 4096, 1 << 40} {
		f, err := os.OpenFile(image, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		l := unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l); err != nil {
			t.Skip("judge missing: locks of open file descriptions: " + err.Error())
		}
		if opens(t, image, true) || opens(t, image, false) {
			t.Errorf("opened although byte %d is locked for writing", at)
		}
		f.Close()
	}
	if !opens(t, image, true) {
		t.Error("refused when nothing is locked")
	}
}

// TestBehindLoop: writers of the file, of a loop device on it and of another loop device exclude each other, in every
// order.
func TestBehindLoop(t *testing.T) {
	image := newFile(t, 8<<20)
	first := opened(image, aio.Options{Write: true})(t)
	a, b := loop(t, image), loop(t, image)
	for _, dev := range []string{a, b} {
		refused(t, dev, "stands on "+image)
		if opens(t, dev, false) {
			t.Errorf("%s was opened for reading beside a writer", dev)
		}
	}
	first.Close()
	for _, c := range [][2]string{{a, b}, {b, a}, {a, a}} {
		dev := opened(c[0], aio.Options{Write: true})(t)
		refused(t, c[1])
		if opens(t, c[1], false) || opens(t, image, false) {
			t.Errorf("opened for reading beside a writer through %s", c[0])
		}
		refused(t, image)
		dev.Close()
		dev = opened(c[0], aio.Options{})(t)
		if !opens(t, c[1], false) || !opens(t, image, false) {
			t.Error("two readers are refused")
		}
		refused(t, c[1])
		dev.Close()
	}
	end := holding(t, locked(t, image, 101), "qemu-io", "-f", "raw", image)
	refused(t, a, "QEMU")
	end()
	opened(a, aio.Options{Write: true})(t).Close()
}

// TestBehindDeleted: the path of the loop devices leads nowhere, or to another file.
func TestBehindDeleted(t *testing.T) {
	for _, other := range []bool{false, true} {
		image := newFile(t, 1<<20)
		a, b := loop(t, image), loop(t, image)
		reader := opened(image, aio.Options{})(t)
		if err := os.Remove(image); err != nil {
			t.Fatal(err)
		}
		if other {
			if err := os.WriteFile(image, make([]byte, 1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		refused(t, a, "another process has locked it")
		reader.Close()
		dev := opened(a, aio.Options{Write: true})(t)
		refused(t, b)
		dev.Close()
		opened(b, aio.Options{Write: true})(t).Close()
	}
}

// TestBehindLoops: a loop device on a loop device.
func TestBehindLoops(t *testing.T) {
	image := newFile(t, 4<<20)
	a := loop(t, image)
	b := loop(t, a)
	c := loop(t, image)
	dev := opened(b, aio.Options{Write: true})(t)
	refused(t, c)
	refused(t, image)
	dev.Close()
	dev = opened(c, aio.Options{Write: true})(t)
	refused(t, b)
	dev.Close()
}

// TestBehindPartitions: two partitions of one loop device do not exclude each other; each excludes the whole device.
func TestBehindPartitions(t *testing.T) {
	need(t, "losetup", "addpart", "delpart")
	image := newFile(t, 16<<20)
	a, b := loop(t, image), loop(t, image)
	for _, dev := range []string{a, b} {
		for n, start := range map[string]string{"1": "2048", "2": "10240"} {
			if out, err := judge.Command(t, "addpart", dev, n, start, "4096").CombinedOutput(); err != nil {
				t.Skipf("judge missing: addpart (%v: %s)", err, out)
			}
			t.Cleanup(func() { _ = judge.Command(t, "delpart", dev, n).Run() })
		}
	}
	one := opened(a+"p1", aio.Options{Write: true})(t)
	two := opened(a+"p2", aio.Options{Write: true})(t)
	refused(t, b+"p1", "stands on")
	refused(t, b, "stands on")
	refused(t, image)
	if opens(t, b, false) || opens(t, b+"p2", false) {
		t.Error("opened for reading beside a writer")
	}
	if out, err := judge.Command(t, "qemu-img", "resize", "-f", "raw", image, "17M").CombinedOutput(); err == nil {
		t.Errorf("qemu-img resize beside two writers: %s", out)
	}
	one.Close()
	if !opens(t, b+"p1", true) {
		t.Error("refused after the first has closed it")
	}
	refused(t, b+"p2")
	two.Close()
	opened(b, aio.Options{Write: true})(t).Close()
}

// lockHelper is the environment variable that makes TestHelperLocks hold an image open until standard input ends.
const lockHelper = "AIO_TEST_HOLD"

// TestHelperLocks runs as another process that writes.
func TestHelperLocks(t *testing.T) {
	path := os.Getenv(lockHelper)
	if path == "" {
		image := newFile(t, 1<<20)
		cmd := exec.Command(os.Args[0], "-test.run=^TestHelperLocks$")
		cmd.Env = append(os.Environ(), lockHelper+"="+image)
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "open\n" {
			t.Fatalf("helper: %q, %v", line, err)
		}
		refused(t, image, "open in another ext4img")
		if err := cmd.Process.Kill(); err != nil { // the killed process's ring may live on for a moment
			t.Fatal(err)
		}
		in.Close()
		_ = cmd.Wait()
		opened(image, aio.Options{Write: true})(t).Close()
		return
	}
	dev := opened(path, aio.Options{Write: true})(t)
	q, err := dev.Queue(8)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stdout.WriteString("open\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	q.Close()
	dev.Close()
}
