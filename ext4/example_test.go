package ext4_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/ext4"
	"ext4img/ext4/layout"
	"ext4img/ext4/mkfs"
)

// newImage makes an image to play with.
func newImage() string {
	dir, err := os.MkdirTemp("", "ext4img")
	if err != nil {
		log.Fatal(err)
	}
	name := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		log.Fatal(err)
	}
	if err := os.Truncate(name, 64<<20); err != nil {
		log.Fatal(err)
	}
	dev, err := aio.Open(name, aio.Options{Write: true})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	if err := mkfs.Make(dev, mkfs.Options{BlockSize: 4096, Zeroed: true}); err != nil {
		log.Fatal(err)
	}
	return name
}

// openImage opens an image for changes; closing takes both.
func openImage(name string) (*ext4.FS, func()) {
	dev, err := aio.Open(name, aio.Options{Write: true})
	if err != nil {
		log.Fatal(err)
	}
	fsys, err := ext4.Open(dev, ext4.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return fsys, func() {
		if err := errors.Join(fsys.Close(), dev.Close()); err != nil {
			log.Fatal(err)
		}
	}
}

// An image opened for changes, a file written and read again, all without a mount.
func Example() {
	image := newImage()
	defer os.RemoveAll(filepath.Dir(image))
	dev, err := aio.Open(image, aio.Options{Write: true})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	fsys, err := ext4.Open(dev, ext4.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := fsys.MkdirAll("/var/log", ext4.Attr{Perm: 0o755}); err != nil {
		log.Fatal(err)
	}
	f, err := fsys.Create("/var/log/boot", ext4.Attr{Perm: 0o640, GID: 4})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(f, "it booted")
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		log.Fatal(err)
	}
	text, err := fsys.ReadFile("var/log/boot")
	fmt.Printf("%s%v\n", text, err)
	if err := fsys.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// it booted
	// <nil>
}

// Scattered asynchronous writes into a preallocated file: what was written becomes written, the rest stays unwritten and
// reads as zeros.
func ExampleFS_NewQueue() {
	image := newImage()
	defer os.RemoveAll(filepath.Dir(image))
	fsys, done := openImage(image)
	defer done()
	f, err := fsys.Create("/db", ext4.Attr{Perm: 0o600})
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	if err := f.Fallocate(0, 0, 1<<20); err != nil {
		log.Fatal(err)
	}
	q, err := fsys.NewQueue(16)
	if err != nil {
		log.Fatal(err)
	}
	var writes []*ext4.Request
	for _, lblk := range []int64{200, 3, 90, 4} {
		writes = append(writes, &ext4.Request{File: f, Op: ext4.OpWrite, Buf: block.Aligned(4096, 4096), Off: lblk * 4096})
	}
	if err := q.Submit(writes...); err != nil {
		log.Fatal(err)
	}
	finished, err := q.Reap(len(writes))
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range finished {
		if r.Err != nil {
			log.Fatal(r.Err)
		}
	}
	if err := errors.Join(q.Close(), f.Sync()); err != nil {
		log.Fatal(err)
	}
	f.Extents(func(e layout.Extent) bool {
		if !e.Unwritten {
			fmt.Printf("blocks %d to %d are written\n", e.Lblk, e.End()-1)
		}
		return true
	})
	// Output:
	// blocks 3 to 4 are written
	// blocks 90 to 90 are written
	// blocks 200 to 200 are written
}

// FS is an fs.FS: everything that walks one works on an image.
func ExampleOpen_walk() {
	image := newImage()
	defer os.RemoveAll(filepath.Dir(image))
	fsys, done := openImage(image)
	defer done()
	fsys.MkdirAll("/etc/conf.d", ext4.Attr{Perm: 0o755})
	fsys.Symlink("../usr/share/zoneinfo/UTC", "/etc/localtime", ext4.Attr{})
	err := fs.WalkDir(fsys, "etc", func(path string, d fs.DirEntry, err error) error {
		fmt.Println(d.Type(), path)
		return err
	})
	fmt.Println(err)
	_, err = fsys.Stat("/etc/passwd")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output:
	// d--------- etc
	// d--------- etc/conf.d
	// L--------- etc/localtime
	// <nil>
	// true
}

// Rename with a flag: two names change places in one step.
func ExampleFS_Rename() {
	image := newImage()
	defer os.RemoveAll(filepath.Dir(image))
	fsys, done := openImage(image)
	defer done()
	for _, name := range []string{"/current", "/next"} {
		f, err := fsys.Create(name, ext4.Attr{Perm: 0o644})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprintf(f, "written as %s", name)
		f.Close()
	}
	if err := fsys.Rename("/next", "/current", ext4.RenameExchange); err != nil {
		log.Fatal(err)
	}
	text, _ := fsys.ReadFile("current")
	fmt.Printf("%s\n", text)
	// Output: written as /next
}

// Holes of a sparse file, found as lseek(2) finds them.
func ExampleFile_Fallocate() {
	image := newImage()
	defer os.RemoveAll(filepath.Dir(image))
	fsys, done := openImage(image)
	defer done()
	f, err := fsys.Create("/sparse", ext4.Attr{Perm: 0o644})
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	f.Write(make([]byte, 5*4096))
	if err := f.Fallocate(ext4.FallocPunchHole|ext4.FallocKeepSize, 4096, 2*4096); err != nil {
		log.Fatal(err)
	}
	hole, _ := f.Seek(0, ext4.SeekHole)
	data, _ := f.Seek(hole, ext4.SeekData)
	fmt.Println("hole at", hole, "data at", data)
	// Output: hole at 4096 data at 12288
}
