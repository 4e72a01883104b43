package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"ext4img/aio/block"
	"ext4img/aio/simdev"
)

// crashBase is a small file system with something in it, over poisoned free space.
func crashBase(t *testing.T, opts ...string) *simdev.Image {
	t.Helper()
	size, all := "8M", []string{"-t", "ext4", "-b", "1024", "-J", "size=1", "-N", "128"}
	if slices.Contains(opts, "-b") {
		size, all = "16M", []string{"-t", "ext4", "-J", "size=4", "-N", "128"}
	}
	img := newImage(t, size, append(all, opts...)...)
	fs, dev := openImage(t, img, Options{})
	for _, d := range []string{"/A", "/B"} {
		must(t, fs.Mkdir(d, Attr{Perm: 0o755}))
		f, err := fs.Create(d+"/old", Attr{Perm: 0o644})
		must(t, err)
		if _, err := f.WriteAt(bytes.Repeat([]byte(d+" old content "), 700), 0); err != nil {
			t.Fatal(err)
		}
		must(t, f.Close())
	}
	closeImage(t, fs, dev)
	poison(t, img)
	m, err := simdev.LoadImage(img)
	must(t, err)
	return m
}

// crashBases are the file systems that the sequences run on.
func crashBases(t *testing.T) (out []*simdev.Image) {
	for _, opts := range [][]string{
		{}, {"-O", "orphan_file"}, {"-O", "inline_data", "-I", "256"}, {"-b", "4096"}, {"-O", "bigalloc", "-C", "4096"},
		{"-O", "^extents,^metadata_csum,^64bit,^flex_bg,^extra_isize,^huge_file"}, {"-O", "^metadata_csum,^64bit"}, {"-O", "quota"}, {"-O", "^metadata_csum,uninit_bg"},
	} {
		out = append(out, crashBase(t, opts...))
	}
	return out
}

// crashAlphabet are the operations that the sequences are made of, over two files in each of two directories.
func crashAlphabet() []crashOp {
	file := func(name string, fn func(f *File) error) func(*FS) error {
		return func(fs *FS) error {
			f, err := fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
			if err != nil {
				return err
			}
			return errors.Join(fn(f), f.Close())
		}
	}
	write := func(name string, fill byte, off, n int) crashOp {
		return crashOp{name: fmt.Sprintf("write %s %d+%d", name, off, n), run: file(name, func(f *File) error {
			_, err := f.WriteAt(bytes.Repeat([]byte{fill}, n), int64(off))
			return err
		})}
	}
	falloc := func(name string, mode FallocMode, off, n int64) crashOp {
		return crashOp{name: fmt.Sprintf("fallocate %d %s %d+%d", mode, name, off, n),
			run: file(name, func(f *File) error { return f.Fallocate(mode, off, n) })}
	}
	path := func(name string, fn func(fs *FS) error) crashOp { return crashOp{name: name, run: fn} }
	attr := Attr{Perm: 0o700}
	return []crashOp{
		path("create /A/foo", file("/A/foo", func(*File) error { return nil })),
		path("mkdir /A/C", func(fs *FS) error { return fs.Mkdir("/A/C", attr) }),
		path("symlink", func(fs *FS) error { return fs.Symlink(strings.Repeat("x", 100), "/B/sym", attr) }),
		path("mknod", func(fs *FS) error { return fs.Mknod("/B/fifo", 0x1000, attr, 0, 0) }),
		path("link", func(fs *FS) error { return fs.Link("/A/old", "/B/hard") }),
		path("unlink /A/old", func(fs *FS) error { return fs.Remove("/A/old") }),
		path("unlink /A/foo", func(fs *FS) error { return fs.Remove("/A/foo") }),
		path("rmdir", func(fs *FS) error { return fs.Remove("/A/C") }),
		path("rename file", func(fs *FS) error { return fs.Rename("/A/old", "/B/new", 0) }),
		path("rename over", func(fs *FS) error { return fs.Rename("/A/old", "/B/old", 0) }),
		path("rename dir", func(fs *FS) error { return fs.Rename("/A/C", "/B/D", 0) }),
		path("exchange", func(fs *FS) error { return fs.Rename("/A/old", "/B/old", RenameExchange) }),
		path("chmod", func(fs *FS) error { return fs.Chmod("/A/old", 0o600) }),
		write("/A/foo", 'n', 0, 5000),
		write("/A/old", 'o', 2048, 4096),
		write("/A/old", 'e', 9000, 3000),
		write("/A/old", 'g', 40000, 1024),
		falloc("/A/foo", 0, 0, 20000),
		falloc("/A/old", FallocKeepSize, 4000, 30000),
		falloc("/A/old", FallocPunchHole|FallocKeepSize, 1000, 6000),
		falloc("/A/old", FallocZeroRange, 2048, 4096),
		falloc("/A/old", FallocCollapseRange, 4096, 4096),
		falloc("/A/old", FallocInsertRange, 4096, 8192),
		{name: "queue /A/old", run: file("/A/old", queueWrites)},
		path("xattr", func(fs *FS) error { return fs.SetXattr("/A/old", "user.a", bytes.Repeat([]byte("v"), 20), 0, false) }),
		path("large xattr", func(fs *FS) error { return fs.SetXattr("/A/old", "user.b", bytes.Repeat([]byte("V"), 500), 0, false) }),
		path("no xattr", func(fs *FS) error { return fs.RemoveXattr("/A/old", "user.b", false) }),
		{name: "grow /A", parts: growDir},
		{name: "remove all of /A", parts: removeAll},
		path("truncate 0", func(fs *FS) error { return fs.Truncate("/A/old", 0) }),
		path("truncate down", func(fs *FS) error { return fs.Truncate("/A/old", 3333) }),
		path("truncate up", func(fs *FS) error { return fs.Truncate("/A/old", 30000) }),
	}
}

// queueWrites writes at depth 8 into a preallocated range, and over what is there.
func queueWrites(f *File) error {
	if err := f.Fallocate(FallocKeepSize, 0, 64<<10); err != nil {
		return err
	}
	q, err := f.n.fs.NewQueue(8)
	if err != nil {
		return err
	}
	var reqs []*Request
	for i := range 8 {
		p := block.Aligned(4096, 4096)
		copy(p, bytes.Repeat([]byte{'a' + byte(i)}, len(p)))
		reqs = append(reqs, &Request{File: f, Op: OpWrite, Buf: p, Off: int64(i*5%16) * 4096})
	}
	err = q.Submit(reqs...)
	for done := 0; err == nil && done < len(reqs); {
		var list []*Request
		list, err = q.Reap(1)
		done += len(list)
		for _, r := range list {
			err = errors.Join(err, r.Err)
		}
	}
	return errors.Join(err, q.Close())
}

// growDir makes names until /A is a hashed directory.
func growDir(fs *FS, done func() error) error {
	for i := range 9 {
		if err := fs.Symlink("x", fmt.Sprintf("/A/%d%s", i, strings.Repeat("n", 240)), Attr{}); err != nil {
			return err
		}
		if err := done(); err != nil {
			return err
		}
	}
	return nil
}

// removeAll removes /A and everything below it.
func removeAll(fs *FS, done func() error) error {
	list, err := fs.ReadDir("/A")
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := errors.Join(fs.RemoveAll("/A/"+e.Name()), done()); err != nil {
			return err
		}
	}
	return fs.RemoveAll("/A")
}
