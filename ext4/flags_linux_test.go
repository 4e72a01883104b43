package ext4_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"ext4img/aio"
	"ext4img/ext4"
	"ext4img/testimages/judge"
)

// Flags of inodes, as debugfs takes them.
const (
	flagImmutable = 0x10
	flagAppend    = 0x20
	flagEncrypt   = 0x800
	flagExtents   = 0x80000
	flagVerity    = 0x100000
)

// flagged makes an image with a file and a directory under each of some flags, set by debugfs.
func flagged(t *testing.T) string {
	t.Helper()
	judge.Need(t, "mke2fs", "debugfs", "e2fsck")
	name := filepath.Join(t.TempDir(), "a.img")
	judge.Run(t, "mke2fs", "-q", "-t", "ext4", "-O", "encrypt,verity", name, "32M")
	script := ""
	change(t, name, func(f *ext4.FS) {
		for n, flag := range map[string]int{"immutable": flagImmutable, "append": flagAppend, "encrypt": flagEncrypt, "verity": flagVerity} {
			file, err := f.Create("/"+n, ext4.Attr{Perm: 0o644})
			if err == nil {
				_, err = file.WriteAt([]byte("content"), 0)
			}
			if err = errors.Join(err, file.Close(), f.Mkdir("/"+n+".d", ext4.Attr{Perm: 0o755}), f.Mkdir("/"+n+".d/sub", ext4.Attr{Perm: 0o755})); err != nil {
				t.Fatal(err)
			}
			script += fmt.Sprintf("sif /%s flags %#x\n", n, flag|flagExtents)
			if flag != flagVerity {
				script += fmt.Sprintf("sif /%s.d flags %#x\n", n, flag|flagExtents)
			}
		}
	})
	judge.Feed(t, script, "debugfs", "-w", "-f", "-", name)
	return name
}

// change opens an image, works on it and closes it.
func change(t *testing.T, name string, work func(f *ext4.FS)) {
	t.Helper()
	dev, err := aio.Open(name, aio.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := ext4.Open(dev, ext4.Options{})
	if err != nil {
		t.Fatal(err)
	}
	work(f)
	if err := errors.Join(f.Close(), dev.Close()); err != nil {
		t.Fatal(err)
	}
}

// write opens a file and writes to its beginning.
func write(f *ext4.FS, name string, flag int) error {
	file, err := f.OpenFile(name, flag, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte("X"), 0)
	return errors.Join(err, file.Close())
}

// TestInodeFlags: immutable and append-only files and directories stay what they are; encrypted and sealed ones are
// read as they are stored and can be removed, all else is refused by name.
func TestInodeFlags(t *testing.T) {
	name := flagged(t)
	change(t, name, func(f *ext4.FS) {
		now := time.Now()
		for i, c := range []struct {
			err, want error
		}{
			{write(f, "/immutable", os.O_WRONLY), syscall.EPERM},
			{write(f, "/immutable", os.O_WRONLY|os.O_APPEND), syscall.EPERM},
			{f.Truncate("/immutable", 0), syscall.EPERM},
			{f.Chmod("/immutable", 0o600), syscall.EPERM},
			{f.Chown("/immutable", 1, 1), syscall.EPERM},
			{f.Chtimes("/immutable", now, now), syscall.EPERM},
			{f.SetXattr("/immutable", "user.a", []byte("b"), 0, true), syscall.EPERM},
			{f.Remove("/immutable"), syscall.EPERM},
			{f.Rename("/immutable", "/x", 0), syscall.EPERM},
			{f.Link("/immutable", "/x"), syscall.EPERM},
			{f.Mkdir("/immutable.d/x", ext4.Attr{}), syscall.EPERM},
			{f.Remove("/immutable.d/sub"), syscall.EPERM},
			{f.Rename("/immutable.d/sub", "/x", 0), syscall.EPERM},
			{f.Rename("/verity.d", "/immutable.d/x", 0), syscall.EPERM},
			{write(f, "/append", os.O_WRONLY), syscall.EPERM},
			{f.Truncate("/append", 0), syscall.EPERM},
			{f.Chmod("/append", 0o600), syscall.EPERM},
			{f.Remove("/append"), syscall.EPERM},
			{f.Rename("/append", "/x", 0), syscall.EPERM},
			{f.Link("/append", "/x"), syscall.EPERM},
			{f.Mkdir("/append.d/x", ext4.Attr{Perm: 0o700}), nil},
			{f.Remove("/append.d/sub"), syscall.EPERM},
			{f.Rename("/append.d/sub", "/x", 0), syscall.EPERM},
			{write(f, "/encrypt", os.O_WRONLY), ext4.ErrUnsupported},
			{f.Truncate("/encrypt", 0), ext4.ErrUnsupported},
			{f.Mkdir("/encrypt.d/x", ext4.Attr{}), ext4.ErrUnsupported},
			{f.Rename("/verity.d", "/encrypt.d/x", 0), ext4.ErrUnsupported},
			{write(f, "/verity", os.O_WRONLY), ext4.ErrUnsupported},
			{f.Truncate("/verity", 0), ext4.ErrUnsupported},
		} {
			if !errors.Is(c.err, c.want) {
				t.Errorf("call %d: %v, want %v", i, c.err, c.want)
			}
		}
		for _, n := range []string{"immutable", "append", "encrypt", "verity"} {
			if p, err := f.ReadFile(n); err != nil || string(p) != "content" {
				t.Errorf("%s: %q, %v", n, p, err)
			}
		}
		if file, err := f.OpenFile("/append", os.O_WRONLY|os.O_APPEND, 0); err != nil {
			t.Error(err)
		} else if _, err = file.Write([]byte(" and more")); errors.Join(err, file.Close()) != nil {
			t.Error(err)
		}
		if file, err := f.OpenFile("/append", os.O_WRONLY|os.O_APPEND, 0); err == nil {
			if _, err := file.WriteAt([]byte("X"), 0); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("overwriting: %v", err)
			}
			if err := file.Truncate(0); !errors.Is(err, syscall.EPERM) {
				t.Errorf("cutting: %v", err)
			}
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		}
		if p, err := f.ReadFile("append"); err != nil || string(p) != "content and more" {
			t.Errorf("append: %q, %v", p, err)
		}
		for _, n := range []string{"/encrypt", "/encrypt.d/sub", "/encrypt.d", "/verity"} {
			if err := f.Remove(n); err != nil {
				t.Error(err)
			}
		}
	})
	judge.Fsck(t, name)
}
