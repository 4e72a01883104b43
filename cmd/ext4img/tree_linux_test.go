package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ext4img/testimages/judge"
)

// TestTrees: import a tree of the host, export it both ways, import the archive into another image; all the same.
func TestTrees(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	if err := makeTree(src); err != nil {
		t.Fatal(err)
	}
	img := newImage(t, "32M")
	ok(t, "import", src, img, "/top")
	fsck(t, img)
	ok(t, "export", img, "/top", filepath.Join(dir, "out"))
	ok(t, "export --tar", img, "/top", filepath.Join(dir, "out.tar"))
	second := newImage(t, "32M", "-b", "4096")
	ok(t, "import --tar", filepath.Join(dir, "out.tar"), second, "/")
	fsck(t, second)
	ok(t, "export", second, "/", filepath.Join(dir, "again"))
	if err := os.Remove(filepath.Join(dir, "again", "lost+found")); err != nil {
		t.Error(err)
	}
	want := listTree(t, src)
	for _, copy := range []string{"out", "again"} {
		if got := listTree(t, filepath.Join(dir, copy)); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", copy, got, want)
		}
	}
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Join(dir, "out", "holes"), &st); err != nil || st.Blocks > 64 {
		t.Errorf("holes: %d blocks, %v", st.Blocks, err)
	}
}

func makeTree(src string) error {
	p := func(name string) string { return filepath.Join(src, name) }
	if err := os.MkdirAll(p("a/b"), 0o755); err != nil {
		return err
	}
	f, err := os.Create(p("holes"))
	if err != nil {
		return err
	}
	_, e1 := f.WriteAt(bytes.Repeat([]byte("x"), 5000), 3<<20)
	return errorsOf(e1, f.Truncate(5<<20), f.Close(),
		os.WriteFile(p("a/file"), bytes.Repeat([]byte("abc"), 100000), 0o640),
		os.WriteFile(p("a/empty"), nil, 0o600),
		os.Chmod(p("a/file"), 0o640|os.ModeSetgid),
		os.Link(p("a/file"), p("a/b/hard")),
		os.Symlink("../a/file", p("a/sym")),
		os.Symlink(strings.Repeat("long/", 40), p("a/longsym")),
		syscall.Mkfifo(p("a/fifo"), 0o600),
		os.Chmod(p("a/b"), 0o711|os.ModeSticky),
	)
}

// listTree is a listing by find: type, mode, links, size, time, link text and name, and the checksums of the content.
func listTree(t *testing.T, dir string) string {
	t.Helper()
	script := `find . -printf '%y %m %n %s %Y %l %p\n' | sed 's/^d \([0-9]*\) \([0-9]*\) [0-9]*/d \1 \2 -/' | sort -k7; find . -type f -printf '%T@ %p\n' | sort -k2; find . -type f -exec md5sum {} + | sort -k2`
	c := judge.Command(t, "sh", "-c", script)
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
