package diskfs_test

import (
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ext4img/aio"
	"ext4img/ext4"
	"ext4img/ext4/diskfs"
	"ext4img/ext4/mkfs"
	"ext4img/testimages/judge"

	"github.com/diskfs/go-diskfs/filesystem"
)

// open makes an image and opens it for go-diskfs.
func open(name string) (filesystem.FileSystem, error) {
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(name, 32<<20); err != nil {
		return nil, err
	}
	dev, err := aio.Open(name, aio.Options{Write: true})
	if err != nil {
		return nil, err
	}
	if err := mkfs.Make(dev, mkfs.Options{Zeroed: true}); err != nil {
		return nil, err
	}
	f, err := ext4.Open(dev, ext4.Options{})
	if err != nil {
		return nil, err
	}
	return diskfs.New(f), nil
}

func Example() {
	dir, err := os.MkdirTemp("", "diskfs")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	fs, err := open(filepath.Join(dir, "disk.img"))
	if err != nil {
		log.Fatal(err)
	}
	defer fs.Close()

	// From here on everything is as with go-diskfs.
	if err := fs.Mkdir("/etc/app"); err != nil {
		log.Fatal(err)
	}
	f, err := fs.OpenFile("/etc/app/hello", os.O_CREATE|os.O_RDWR)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := f.Write([]byte("hello, world")); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
	text, err := fs.ReadFile("/etc/app/hello")
	fmt.Println(string(text), err)
	// Output: hello, world <nil>
}

// TestFileSystem calls everything that the interface has.
func TestFileSystem(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk.img")
	fs, err := open(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.OpenFile("/a", os.O_CREATE|os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	_, e1 := f.Write([]byte("0123456789"))
	_, e2 := f.Seek(3, io.SeekStart)
	part := make([]byte, 4)
	_, e3 := io.ReadFull(f, part)
	then := time.Date(2100, 1, 2, 3, 4, 5, 6, time.UTC)
	for i, err := range []error{
		e1, e2, e3, f.Close(),
		fs.Mkdir("/d/e"), fs.Mkdir("d"), fs.Link("/a", "/d/b"), fs.Symlink("../a", "/d/c"), fs.Mknod("/d/null", 0o020666, 1<<8|3),
		fs.Mknod("/d/file", 0o100640, 0), fs.Chown("/a", 5, 6), fs.Chmod("/a", 0o700|os.ModeSetuid), fs.Chtimes("/a", then, then, then),
		fs.Rename("/d/b", "/d/e/b"), fs.Remove("/d/file"), fs.SetLabel("sixteen bytes ok"),
	} {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	info, err := fs.Stat("/d/e/b")
	if err != nil || string(part) != "3456" || info.Size() != 10 || info.Mode() != 0o700|os.ModeSetuid || !info.ModTime().Equal(then) {
		t.Errorf("%q, %v, %v", part, info, err)
	}
	if list, err := fs.ReadDir("/d"); err != nil || len(list) != 3 {
		t.Errorf("%v, %v", list, err)
	}
	if fs.Type() != filesystem.TypeExt4 || fs.Label() != "sixteen bytes ok" || fs.SetLabel("more than sixteen") == nil {
		t.Errorf("type %v, label %q", fs.Type(), fs.Label())
	}
	if err := fs.Close(); err != nil {
		t.Fatal(err)
	}
	judge.Fsck(t, name)
}
