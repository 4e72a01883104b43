package ext4

import (
	"bytes"
	iofs "io/fs"
	"testing"
	"testing/fstest"
)

// TestIOFS has the standard library judge the io/fs interfaces, on a linear and a hashed directory, for a file system that
// can be changed and one that cannot.
func TestIOFS(t *testing.T) {
	img := newImage(t, "64M", "-t", "ext4", "-b", "1024")
	fs, dev := openImage(t, img, Options{})
	var want []string
	put := func(name string, size int) {
		f, err := fs.Create("/"+name, Attr{Perm: 0o644})
		must(t, err)
		if _, err := f.Write(bytes.Repeat([]byte(name), size)); err != nil {
			t.Fatal(err)
		}
		must(t, f.Close())
		want = append(want, name)
	}
	must(t, fs.MkdirAll("/a/b/empty", Attr{Perm: 0o755}))
	must(t, fs.MkdirAll("/many", Attr{Perm: 0o755}))
	put("top", 1)
	put("a/none", 0)
	put("a/b/long", 700)
	for i := range 60 {
		put("many/file with a name "+string(rune('A'+i%26))+string(rune('a'+i/26)), i%3)
	}
	must(t, fs.Symlink("../top", "/a/link", Attr{}))
	must(t, fs.Symlink("b", "/a/dirlink", Attr{}))
	must(t, fs.Truncate("/top", 3000))
	want = append(want, "a/link", "a/b/empty")
	must(t, fstest.TestFS(fs, want...))
	sub, err := iofs.Sub(fs, "a/b")
	must(t, err)
	must(t, fstest.TestFS(sub, "long", "empty"))
	closeImage(t, fs, dev)
	fs, dev = openImage(t, img, Options{ReadOnly: true})
	must(t, fstest.TestFS(fs, want...))
	closeImage(t, fs, dev)
	fsckClean(t, img)
}
