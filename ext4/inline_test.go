package ext4

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"ext4img/ext4/layout"
)

// TestInlineFiles keeps small files in their inodes, as the kernel does: new ones, those that grow, are changed and cut, and
// those of a Maker. What no longer fits moves out, whole.
func TestInlineFiles(t *testing.T) {
	img := newImage(t, "16M", "-t", "ext4", "-O", "inline_data", "-I", "256")
	fs, dev := openImage(t, img, Options{})
	file := func(name string, fn func(f *File)) {
		t.Helper()
		f, err := fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		must(t, err)
		fn(f)
		must(t, f.Close())
	}
	write := func(f *File, p []byte, off int64) {
		t.Helper()
		_, err := f.WriteAt(p, off)
		must(t, err)
	}
	text := bytes.Repeat([]byte("inline "), 40)
	want := map[string]struct {
		data   []byte
		inline bool
	}{}
	expect := func(name string, data []byte, inline bool) {
		want[name] = struct {
			data   []byte
			inline bool
		}{bytes.Clone(data), inline}
	}

	file("/short", func(f *File) { write(f, text[:60], 0) })
	expect("/short", text[:60], true)
	file("/grown", func(f *File) {
		write(f, text[:10], 0)
		write(f, text[10:100], 10)
		write(f, []byte("changed"), 57)
		must(t, f.Sync())
	})
	expect("/grown", append(append(bytes.Clone(text[:57]), "changed"...), text[64:100]...), true)
	file("/gap", func(f *File) { write(f, text[:5], 90) })
	expect("/gap", append(make([]byte, 90), text[:5]...), true)
	file("/cut", func(f *File) {
		write(f, text[:100], 0)
		must(t, f.Truncate(20))
		must(t, f.Truncate(70))
	})
	expect("/cut", append(bytes.Clone(text[:20]), make([]byte, 50)...), true)
	file("/moved", func(f *File) {
		write(f, text[:100], 0)
		write(f, text[100:280], 100)
	})
	expect("/moved", text[:280], false)
	file("/beyond", func(f *File) {
		write(f, text[:8], 0)
		must(t, f.Truncate(5000))
	})
	expect("/beyond", append(bytes.Clone(text[:8]), make([]byte, 4992)...), false)
	file("/blocks", func(f *File) { // has blocks before it has data
		must(t, f.Fallocate(FallocKeepSize, 0, 8192))
		write(f, text[:30], 0)
	})
	expect("/blocks", text[:30], false)
	file("/attrs", func(f *File) { write(f, text[:40], 0) })
	must(t, fs.SetXattr("/attrs", "user.full", bytes.Repeat([]byte{7}, 60), 0, true))
	file("/attrs", func(f *File) { write(f, text[:59], 1) }) // no more than i_block is left
	expect("/attrs", append([]byte{text[0]}, text[:59]...), true)

	m, err := fs.NewMaker("/", Attr{})
	must(t, err)
	for name, n := range map[string]int{"/made": 90, "/large": 200} {
		_, err := m.Make([]Entry{{Path: name, Mode: layout.ModeRegular | 0o644, Size: int64(n), Data: []Piece{{0, text[:n]}},
			Xattrs: map[string][]byte{"user.a": []byte("b")}}})
		must(t, err)
		expect(name, text[:n], n < 100)
	}
	_, err = m.Make([]Entry{{Path: "/hole", Mode: layout.ModeRegular | 0o644, Size: 50}})
	must(t, err)
	expect("/hole", make([]byte, 50), false)
	must(t, m.Close())

	closeImage(t, fs, dev)
	fsckClean(t, img)
	for name, w := range want {
		if got := dumpFile(t, img, name); !bytes.Equal(got, w.data) {
			t.Errorf("%s: %q, want %q", name, got, w.data)
		}
		if inline := strings.Contains(debugfs(t, img, "stat "+name), "Size of inline data"); inline != w.inline {
			t.Errorf("%s: data in the inode %v, want %v", name, inline, w.inline)
		}
	}
}

// TestInlineNoSpace writes past what the inode holds when there is no block to move to: the data stays as it was.
func TestInlineNoSpace(t *testing.T) {
	img := newImage(t, "4M", "-t", "ext4", "-O", "inline_data", "-I", "256", "-m", "0")
	fs, dev := openImage(t, img, Options{})
	f, err := fs.OpenFile("/f", os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	kept := []byte("kept")
	_, err = f.WriteAt(kept, 0)
	must(t, err)
	full, err := fs.OpenFile("/full", os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	for at, n := int64(0), int64(1<<20); n >= 1024; {
		if err := full.Fallocate(0, at, n); err != nil {
			n /= 2
		} else {
			at += n
		}
	}
	if _, err := f.WriteAt(make([]byte, 3000), 2); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a write without room: %v", err)
	}
	must(t, full.Close())
	must(t, f.Close())
	closeImage(t, fs, dev)
	fsckClean(t, img)
	if got := dumpFile(t, img, "/f"); !bytes.Equal(got, kept) {
		t.Errorf("%q", got)
	}
}
