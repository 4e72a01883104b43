package ext4

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/ext4/layout"
	"ext4img/testimages/judge"
)

// newImage makes an image with mke2fs and returns its path.
func newImage(t *testing.T, size string, opts ...string) string {
	t.Helper()
	judge.Need(t, "mke2fs")
	img := filepath.Join(t.TempDir(), "img")
	args := append([]string{"-q", "-F"}, opts...)
	judge.Run(t, "mke2fs", append(args, img, size)...)
	return img
}

// fsckClean asks e2fsck.
func fsckClean(t *testing.T, img string) {
	t.Helper()
	judge.Fsck(t, img)
}

// debugfs runs one command of debugfs and returns what it prints.
func debugfs(t *testing.T, img, cmd string) string {
	t.Helper()
	return judge.Debugfs(t, img, cmd)
}

// openImage opens an image for changes; the test closes it with closeImage.
func openImage(t *testing.T, img string, o Options) (*FS, aio.Device) {
	t.Helper()
	dev, err := aio.Open(img, aio.Options{Write: !o.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	fs, err := Open(dev, o)
	if err != nil {
		dev.Close()
		t.Fatal(err)
	}
	return fs, dev
}

func closeImage(t *testing.T, fs *FS, dev aio.Device) {
	t.Helper()
	if err := fs.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := dev.Close(); err != nil {
		t.Errorf("close device: %v", err)
	}
}

// dumpFile reads a file through debugfs.
func dumpFile(t *testing.T, img, name string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "dump")
	debugfs(t, img, "dump "+name+" "+out)
	p, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if len(p) == layout.InodeBlockSize { // of a smaller inline file debugfs dumps the whole of i_block
		var size int
		_, text, _ := strings.Cut(debugfs(t, img, "stat "+name), "Size: ")
		_, err := fmt.Sscan(text, &size)
		must(t, err)
		p = p[:size]
	}
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shapes are the file systems that the general tests run on.
var shapes = map[string][]string{
	"ext4":     {"-t", "ext4"},
	"1k":       {"-t", "ext4", "-b", "1024"},
	"2k":       {"-t", "ext4", "-b", "2048"},
	"nocsum":   {"-t", "ext4", "-O", "^metadata_csum,^64bit"},
	"uninit":   {"-t", "ext4", "-O", "^metadata_csum,uninit_bg"},
	"bigalloc": {"-t", "ext4", "-O", "bigalloc", "-C", "16384"},
	"inline":   {"-t", "ext4", "-O", "inline_data"},
	"nojnl":    {"-t", "ext4", "-O", "^has_journal"},
	"orphan":   {"-t", "ext4", "-O", "orphan_file"},
	"128":      {"-t", "ext4", "-I", "128"},
	"ext3":     {"-t", "ext3"},
	"ext2":     {"-t", "ext2"},
	"meta_bg":  {"-t", "ext4", "-O", "meta_bg,^resize_inode"},
	"ea_inode": {"-t", "ext4", "-O", "ea_inode,large_dir"},
	"quota":    {"-t", "ext4", "-O", "quota,project"},
}

func eachShape(t *testing.T, fn func(t *testing.T, img string)) {
	for name, opts := range shapes {
		t.Run(name, func(t *testing.T) { fn(t, newImage(t, "64M", opts...)) })
	}
}

func TestNamesOnEveryShape(t *testing.T) {
	eachShape(t, func(t *testing.T, img string) {
		fs, dev := openImage(t, img, Options{})
		must(t, fs.Mkdir("/a", Attr{Perm: 0o755}))
		must(t, fs.MkdirAll("/a/b/c", Attr{Perm: 0o700}))
		text := bytes.Repeat([]byte("some text, "), 1000)
		f, err := fs.Create("/a/file", Attr{Perm: 0o640, UID: 1000, GID: 70000})
		must(t, err)
		if _, err := f.Write(text); err != nil {
			t.Fatal(err)
		}
		must(t, f.Sync())
		must(t, f.Close())
		small, err := fs.Create("/a/small", Attr{Perm: 0o600})
		must(t, err)
		if _, err := small.Write([]byte("tiny")); err != nil {
			t.Fatal(err)
		}
		must(t, small.Close())
		must(t, fs.Symlink("file", "/a/fast", Attr{}))
		long := strings.Repeat("../b/", 30) + "../file"
		must(t, fs.Symlink(long, "/a/b/slow", Attr{}))
		must(t, fs.Link("/a/file", "/a/b/hard"))
		must(t, fs.Mknod("/a/null", 0x2000, Attr{Perm: 0o666}, 1, 3))
		must(t, fs.Rename("/a/b/c", "/c", 0))
		must(t, fs.Rename("/a/small", "/c/other", 0))
		must(t, fs.Chmod("/a/file", 0o4711))
		for _, p := range []string{"/a/file", "/a/fast", "/a/b/hard", "/a/b/slow"} {
			got, err := fs.readFile(p)
			must(t, err)
			if !bytes.Equal(got, text) {
				t.Errorf("%s: %d bytes differ", p, len(got))
			}
		}
		must(t, fs.Remove("/a/file"))
		must(t, fs.Mkdir("/gone", Attr{}))
		must(t, fs.Remove("/gone"))
		closeImage(t, fs, dev)
		fsckClean(t, img)
		if got := dumpFile(t, img, "/a/b/hard"); !bytes.Equal(got, text) {
			t.Errorf("debugfs reads %d other bytes", len(got))
		}
		if got := dumpFile(t, img, "/c/other"); string(got) != "tiny" {
			t.Errorf("debugfs reads %q", got)
		}
		fs, dev = openImage(t, img, Options{})
		must(t, fs.RemoveAll("/a"))
		must(t, fs.RemoveAll("/c"))
		closeImage(t, fs, dev)
		fsckClean(t, img)
	})
}

func TestScatteredWrites(t *testing.T) {
	for _, shape := range []string{"ext4", "1k", "bigalloc", "nojnl", "orphan"} {
		t.Run(shape, func(t *testing.T) { scatteredWrites(t, newImage(t, "192M", shapes[shape]...)) })
	}
}

func scatteredWrites(t *testing.T, img string) {
	const size, bs, writes, depth = 96 << 20, 4096, 6000, 32
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	fs, dev := openImage(t, img, Options{})
	f, err := fs.Create("/db", Attr{Perm: 0o644})
	must(t, err)
	must(t, f.Fallocate(0, 0, size))
	want := make([]byte, size)
	q, err := fs.NewQueue(depth)
	must(t, err)
	free := make([]*Request, depth)
	for i := range free {
		free[i] = &Request{Buf: block.Aligned(bs, 4096)}
	}
	order := rnd.Perm(size / bs)[:writes]
	for len(order) > 0 || len(free) < depth {
		k := min(len(free), len(order))
		batch := free[:k]
		for i, r := range batch {
			off := int64(order[i]) * bs
			for j := range r.Buf {
				r.Buf[j] = byte(rnd.Uint32())
			}
			copy(want[off:], r.Buf)
			*r = Request{File: f, Op: aio.Write, Buf: r.Buf, Off: off}
		}
		must(t, q.Submit(batch...))
		order, free = order[k:], free[k:]
		done, err := q.Reap(1)
		must(t, err)
		for _, r := range done {
			must(t, r.Err)
			free = append(free, r)
		}
	}
	must(t, q.Close())
	must(t, f.Sync())
	must(t, f.Close())
	t.Logf("%+v", fs.Stats())
	closeImage(t, fs, dev)
	fsckClean(t, img)
	if got := dumpFile(t, img, "/db"); !bytes.Equal(got, want) {
		t.Errorf("debugfs reads other bytes")
	}
	fs, dev = openImage(t, img, Options{})
	must(t, fs.Truncate("/db", 12345))
	must(t, fs.Remove("/db"))
	closeImage(t, fs, dev)
	fsckClean(t, img)
}
