//go:build !386 && !arm && !mips && !mipsle

package mount_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"ext4img/aio"
	"ext4img/ext4"
	"ext4img/ext4/mount"
	"ext4img/testimages/judge"

	"golang.org/x/sys/unix"
)

// TestAttributes sets and reads attributes and access control lists through the mount, and reads them through the kernel's own
// mount afterwards.
func TestAttributes(t *testing.T) {
	judge.Need(t, "setfacl", "getfacl", "setfattr", "getfattr")
	if os.Geteuid() != 0 {
		t.Skip("not root: trusted attributes, other owners")
	}
	path := judge.Mke2fs(t, "32M", "-b", "4096")
	const list = `find . -not -type l | sort | xargs getfacl -p; getfattr -R -h -d -m - --absolute-names . | sort; find . -printf '%p %m %u %g\n' | sort`
	var want string
	serve(t, path, mount.Options{}, func(dir string, _ *ext4.FS) {
		sh(t, dir, `
			mkdir d plain; setfacl -d -m u:1234:rwx,g:77:r-x,m::rwx d
			(umask 077; touch d/f plain/f; mkdir d/sub plain/sub); chmod 640 d/f
			setfacl -m u:55:rw plain/f; chown 9:8 plain/f
			setfattr -n user.note -v text d/f; setfattr -n trusted.t -v secret d; setfattr -n security.x -v y plain/f
			setfattr -n user.big -v "$(head -c 3000 /dev/zero | tr '\0' x)" plain/f
			setfattr -n user.gone -v 1 d; setfattr -x user.gone d; ! setfattr -x user.gone d 2>/dev/null
			ln -s f d/link; setfattr -h -n trusted.l -v 1 d/link; ! setfattr -n user.l -h -v 1 d/link 2>/dev/null`)
		want = sh(t, dir, list)
	})
	judge.Mount(t, path, "ro", func(root string) {
		if got := sh(t, root, list); got != want {
			t.Errorf("through the kernel: %s", differ(got, want))
		}
	})
}

// TestSpecialCalls covers rename in its forms, files without a name, flags, and files opened by their handles.
func TestSpecialCalls(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: flags, handles")
	}
	path := judge.Mke2fs(t, "32M")
	serve(t, path, mount.Options{}, func(dir string, _ *ext4.FS) {
		at := func(name string) string { return filepath.Join(dir, name) }
		for _, name := range []string{"a", "b"} {
			must(t, os.WriteFile(at(name), []byte(name), 0o644))
		}
		rename := func(flags uint) error { return unix.Renameat2(unix.AT_FDCWD, at("a"), unix.AT_FDCWD, at("b"), flags) }
		if err := rename(unix.RENAME_NOREPLACE); !errors.Is(err, syscall.EEXIST) {
			t.Errorf("rename that replaces nothing: %v", err)
		}
		must(t, rename(unix.RENAME_EXCHANGE))
		if text, err := os.ReadFile(at("a")); err != nil || string(text) != "b" {
			t.Errorf("after the exchange: %q, %v", text, err)
		}
		testTemp(t, dir)
		testFlags(t, at("a"))
		testHandle(t, dir, at("b"))
	})
}

func testTemp(t *testing.T, dir string) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR, 0o600)
	must(t, err)
	defer unix.Close(fd)
	must2(t)(unix.Write(fd, []byte("temporary")))
	must(t, unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, filepath.Join(dir, "named"), unix.AT_SYMLINK_FOLLOW))
	if text, err := os.ReadFile(filepath.Join(dir, "named")); err != nil || string(text) != "temporary" {
		t.Errorf("a file that got its name later: %q, %v", text, err)
	}
	other, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR, 0o600)
	must(t, err)
	must(t, unix.Close(other))
}

func testFlags(t *testing.T, name string) {
	const immutable, appendOnly = 0x10, 0x20
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	must(t, err)
	for _, c := range []struct {
		flag uint32
		try  func() error
	}{
		{immutable, func() error { return os.WriteFile(name, nil, 0) }},
		{immutable, func() error { return os.Remove(name) }},
		{immutable, func() error { return os.Chmod(name, 0o600) }},
		{appendOnly, func() error { return os.Truncate(name, 0) }},
		{appendOnly, func() error { _, err := os.OpenFile(name, os.O_WRONLY, 0); return err }},
	} {
		must(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags|c.flag)))
		if err := c.try(); !errors.Is(err, syscall.EPERM) {
			t.Errorf("with flag %#x: %v", c.flag, err)
		}
	}
	a, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	must2(t)(a.Write([]byte("more")))
	must(t, a.Close())
	must(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags)))
	if text, err := os.ReadFile(name); err != nil || string(text) != "bmore" {
		t.Errorf("appended: %q, %v", text, err)
	}
}

func testHandle(t *testing.T, dir, name string) {
	h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, name, 0)
	must(t, err)
	root, err := unix.Open(dir, unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(root)
	fd, err := unix.OpenByHandleAt(root, h, unix.O_RDONLY)
	must(t, err)
	must(t, unix.Close(fd))
}

// TestShutdown ends all changes by ioctl(2): with a log flush what was done is there after recovery, without one only what was
// synced.
func TestShutdown(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	const goingDown = 0x8004587D
	for how, kept := range map[int]bool{0: true, 1: true, 2: false} {
		path := judge.Mke2fs(t, "32M")
		dir, fs, end := begin(t, path, mount.Options{})
		must(t, os.Mkdir(filepath.Join(dir, "synced"), 0o755))
		must(t, fs.Sync())
		must(t, os.Mkdir(filepath.Join(dir, "late"), 0o755))
		d, err := os.Open(dir)
		must(t, err)
		must(t, unix.IoctlSetPointerInt(int(d.Fd()), goingDown, how))
		must(t, d.Close())
		if err := os.Mkdir(filepath.Join(dir, "after"), 0o755); !errors.Is(err, syscall.EIO) {
			t.Errorf("%d: a directory after the end: %v", how, err)
		}
		end(true)
		dev, err := aio.Open(path, aio.Options{Write: true})
		must(t, err)
		fs, err = ext4.Open(dev, ext4.Options{})
		must(t, err)
		for name, want := range map[string]bool{"/synced": true, "/late": kept, "/after": false} {
			if _, err := fs.Stat(name); (err == nil) != want {
				t.Errorf("%d: %s: %v", how, name, err)
			}
		}
		must(t, errors.Join(fs.Close(), dev.Close()))
		judge.Fsck(t, path)
	}
}
