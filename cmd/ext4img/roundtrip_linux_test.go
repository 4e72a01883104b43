package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// TestRoundTrip imports a tree that has everything, as root, and has rsync compare: what is exported, what the kernel
// shows, and what went through archives. With EXT4IMG_LONG=1 a real system is such a tree: that in EXT4IMG_TREE, or /usr.
func TestRoundTrip(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("judge missing: root, for owners and devices")
	}
	judge.Need(t, "rsync")
	t.Run("everything", func(t *testing.T) {
		src := filepath.Join(t.TempDir(), "src")
		if err := errorsOf(makeTree(src), makeEverything(t, src)); err != nil {
			t.Fatal(err)
		}
		roundTrip(t, src, "48M")
		throughTar(t, src, "48M")
	})
	t.Run("real", func(t *testing.T) {
		effort.NeedLong(t, "long")
		src := os.Getenv("EXT4IMG_TREE")
		if src == "" {
			src = "/usr"
		}
		roundTrip(t, src, "16G")
	})
}

// roundTrip imports a tree twice, to the same bytes, and has export and the kernel's mount compared with it.
func roundTrip(t *testing.T, src, size string) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	dir := t.TempDir()
	img := filepath.Join(dir, "a.img")
	var first [32]byte
	for i := range 2 {
		os.Remove(img)
		ok(t, "mkfs -U 47931e32-41be-4bd0-9ca5-c6b677cb7d31", img, size)
		ok(t, "import", src, img, "/top")
		if s := sum(t, img); i == 0 {
			first = s
		} else if s != first {
			t.Error("a second import gives another image")
		}
	}
	fsck(t, img)
	ok(t, "verify", img)
	out := filepath.Join(dir, "out")
	ok(t, "export", img, "/top", out)
	same(t, src, out)
	if err := os.RemoveAll(out); err != nil {
		t.Fatal(err)
	}
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := judge.MountLoop("-o", "loop,ro", img, mnt); err != nil {
		t.Logf("judge missing: a kernel that mounts this: %v: %s", err, out)
		return
	}
	defer func() {
		judge.Umount(t, mnt)
	}()
	same(t, src, filepath.Join(mnt, "top"))
}

// throughTar goes through archives, ours and those of tar.
func throughTar(t *testing.T, src, size string) {
	dir := t.TempDir()
	for _, name := range []string{"socket", "char again"} { // tar has no sockets, and no second names of devices
		if err := os.Remove(filepath.Join(src, name)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := judge.Command(t, "tar", "-C", src, "--xattrs", "--xattrs-include=*", "--acls", "--sparse", "--format=posix", "-cf", filepath.Join(dir, "gnu.tar"), ".").CombinedOutput(); err != nil {
		t.Skipf("judge missing: tar: %v: %s", err, out)
	}
	img := newImage(t, size, "-b", "4096")
	ok(t, "import", src, img, "/top")
	ok(t, "export --tar", img, "/top", filepath.Join(dir, "own.tar"))
	top := time.Unix(1600000000, 5)
	if err := os.Chtimes(src, top, top); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"own.tar", "gnu.tar"} {
		img := newImage(t, size, "-b", "4096")
		ok(t, "import --tar", filepath.Join(dir, name), img, "/top")
		fsck(t, img)
		out := filepath.Join(dir, name+".out")
		ok(t, "export", img, "/top", out)
		if err := os.Chtimes(out, top, top); err != nil {
			t.Fatal(err)
		}
		same(t, src, out)
	}
}

// same has rsync find what differs, and finds itself what rsync does not look at: the nanoseconds.
func same(t *testing.T, a, b string) {
	t.Helper()
	out, err := judge.Command(t, "rsync", "-aHAX", "--checksum", "--dry-run", "--itemize-changes", "--delete", a+"/", b+"/").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%s and %s: %v\n%.4000s", a, b, err, out)
	}
	times := func(dir string) string {
		c := judge.Command(t, "sh", "-c", `find . -printf '%T@ %b.%s.%p\n' | sed 's/ [0-9]*\.[0-9]*\./ /' | sort -k2`)
		c.Dir = dir
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if x, y := times(a), times(b); x != y {
		t.Errorf("times differ:\n%.2000s\n%.2000s", x, y)
	}
}

// makeEverything adds what makeTree leaves out, as far as the host's file system takes it.
func makeEverything(t *testing.T, src string) error {
	p := func(name string) string { return filepath.Join(src, name) }
	acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 7, 0, 0xE8, 3, 0, 0, 4, 0, 4, 0, 0xFF, 0xFF, 0xFF, 0xFF,
		0x10, 0, 7, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x20, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}
	capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	long := bytes.Repeat([]byte("n"), 255)
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	for _, name := range []string{"any \x01\x7f\xff\n\\ byte", string(long), "ünï", "tool", "listed", "noted", "future"} {
		add(os.WriteFile(p(name), []byte(name), 0o755))
	}
	add(os.WriteFile(p("large tool"), make([]byte, 3*1<<20), 0o755))
	add(os.Mkdir(p("setgid"), 0o755))
	add(os.Chown(p("setgid"), 0, 77))
	add(os.Chmod(p("setgid"), 0o775|os.ModeSetgid))
	add(os.WriteFile(p("setgid/other group"), []byte("x"), 0o600))
	add(os.Chown(p("setgid/other group"), 70000, 80000))
	add(os.Mkdir(p("setgid/plain"), 0o700))
	add(os.Chmod(p("setgid/plain"), 0o700))
	add(os.Chown(p("tool"), 1000, 1000))
	add(os.Chmod(p("tool"), 0o755|os.ModeSetuid))
	add(unix.Mknod(p("char"), unix.S_IFCHR|0o620, int(unix.Mkdev(5, 1))))
	add(unix.Mknod(p("block"), unix.S_IFBLK|0o660, int(unix.Mkdev(259, 70000))))
	add(unix.Mknod(p("socket"), unix.S_IFSOCK|0o711, 0))
	add(os.Lchown(p("a/sym"), 12, 13))
	add(os.Link(p("char"), p("char again")))
	then := time.Unix(4102444800, 123456789)
	add(os.Chtimes(p("future"), then, then))
	for i := range 300 {
		add(os.WriteFile(p(fmt.Sprintf("a/b/file %d", i)), bytes.Repeat([]byte{byte(i)}, i*37), 0o644))
	}
	for _, x := range []struct {
		file, name string
		value      []byte
	}{{"listed", "system.posix_acl_access", acl}, {"a", "system.posix_acl_default", acl}, {"a/file", "security.capability", capability},
		{"large tool", "security.capability", capability}, {"noted", "user.note", long}, {"noted", "trusted.other", nil}, {"a/b", "user.dir", []byte("d")}} {
		if err := unix.Setxattr(p(x.file), x.name, x.value, 0); err != nil && err != syscall.ENOTSUP {
			t.Logf("%s of %s: %v", x.name, x.file, err)
		}
	}
	return errorsOf(errs...)
}
