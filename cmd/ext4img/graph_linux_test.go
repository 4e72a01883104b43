package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ext4img/aio"
	"ext4img/ext4"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// listings are the commands that go over a whole tree.
var listings = []string{"ls -R", "ls -lR", "ls -R --json", "tree", "tree --json", "extents --all", "extents --all --json"}

// TestGraphs: a directory that is reached in a second way is entered once, the second way is named once, all else is shown,
// and the exit status is 1.
func TestGraphs(t *testing.T) {
	var doubled, seconds []string
	for i := range 41 {
		doubled = append(doubled, fmt.Sprintf("mkdir /l%02d", i))
	}
	at := "/l00"
	for i := range 40 {
		doubled = append(doubled, fmt.Sprintf("ln /l%02d /l%02d/a", i+1, i), fmt.Sprintf("ln /l%02d /l%02d/b", i+1, i))
		seconds = append(seconds, at+"/b", fmt.Sprintf("/l%02d", i+1))
		at += "/a"
	}
	for name, c := range map[string]struct{ script, seconds []string }{
		"levels":   {doubled, seconds},
		"cycle":    {[]string{"mkdir /a", "mkdir /a/b", "ln /a /a/b/loop"}, []string{"/a/b/loop"}},
		"self":     {[]string{"mkdir /a", "ln /a /a/me"}, []string{"/a/me"}},
		"root":     {[]string{"mkdir /a", "ln / /a/root"}, []string{"/a/root"}},
		"siblings": {[]string{"mkdir /a", "mkdir /b", "ln /b /a/b"}, []string{"/b"}},
		"odd name": {[]string{"mkdir /a", "ln /a /a/\u202ex"}, []string{`/a/\u202ex`}},
		"many":     {[]string{"mkdir /a", "mkdir /b", "ln /b /a/1", "ln /b /a/2", "ln /b /a/3", "ln /a /b/4"}, []string{"/a/1/4", "/a/2", "/a/3", "/b"}},
	} {
		img := newImage(t, "8M", "-O", "^metadata_csum")
		judge.Change(t, img, strings.Join(c.script, "\n")+"\n")
		slices.Sort(c.seconds)
		for _, line := range listings {
			r := cmd(t, nil, line, img)
			var named []string
			for l := range strings.Lines(r.err) {
				path, why, _ := strings.Cut(strings.TrimPrefix(l, "ext4img: "+strings.Fields(line)[0]+" "), ": ")
				named = append(named, path)
				if !strings.Contains(why, "inode ") {
					t.Errorf("%s: %s: %q has no reason", name, line, l)
				}
			}
			slices.Sort(named)
			if r.status != 1 || !slices.Equal(named, c.seconds) {
				t.Errorf("%s: %s: status %d, named %q, want %q", name, line, r.status, named, c.seconds)
			}
			if strings.Contains(line, "--json") && !json.Valid([]byte(r.out)) {
				t.Errorf("%s: %s: no JSON: %s", name, line, r.out)
			}
			if !strings.Contains(line, "extents") && !strings.Contains(r.out, "lost+found") {
				t.Errorf("%s: %s: the rest is missing: %s", name, line, r.out)
			}
		}
	}
}

// filled opens an image and lets fn fill it.
func filled(t *testing.T, img string, fn func(f *ext4.FS) error) {
	t.Helper()
	dev, err := aio.Open(img, aio.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := ext4.Open(dev, ext4.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errorsOf(fn(f), f.Close(), dev.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestDeepTree: a tree deeper than a path can be long is listed to its end.
func TestDeepTree(t *testing.T) {
	depth := 2500
	if effort.Long() {
		depth = 10000
	}
	img := newImage(t, "64M", "-b", "1024", "-N", fmt.Sprint(depth+1000))
	filled(t, img, func(f *ext4.FS) error {
		at := f.Inode(ext4.RootIno)
		for range depth {
			var err error
			if at, err = at.Mkdir("d", ext4.Attr{Perm: 0o755}); err != nil {
				return err
			}
		}
		_, err := at.Symlink("deepest target", "deepest", ext4.Attr{})
		if err != nil {
			return err
		}
		file, err := f.Create("/x", ext4.Attr{Perm: 0o644})
		if err != nil {
			return err
		}
		return errorsOf(f.Inode(file.Ino()).Link(at, "file"), file.Close())
	})
	for _, line := range listings {
		out := ok(t, line, img)
		want := "deepest"
		if strings.HasPrefix(line, "extents") {
			want = strings.Repeat("/d", depth) + "/file"
		}
		if !strings.Contains(out, want) {
			t.Errorf("%s: the deepest file is missing", line)
		}
	}
}

// signaller is an output that sends a signal when it is first written to.
type signaller struct {
	bytes.Buffer
	signals chan os.Signal
}

func (s *signaller) Write(p []byte) (int, error) {
	if s.signals != nil {
		s.signals <- syscall.SIGTERM
		s.signals = nil
	}
	return s.Buffer.Write(p)
}

// TestListingStops: SIGTERM ends every listing on its way.
func TestListingStops(t *testing.T) {
	img := newImage(t, "64M", "-N", "10000")
	filled(t, img, func(f *ext4.FS) error {
		err := f.Mkdir("/d", ext4.Attr{Perm: 0o755})
		for i := 0; i < 6000 && err == nil; i++ {
			var file *ext4.File
			if file, err = f.Create(fmt.Sprintf("/d/a file with a long name, that of number %d", i), ext4.Attr{Perm: 0o644}); err == nil {
				err = file.Close()
			}
		}
		return err
	})
	for _, line := range append([]string{"ls /d"}, listings...) {
		whole := len(ok(t, strings.TrimSuffix(line, " /d"), img, "/d"))
		signals := make(chan os.Signal)
		out := &signaller{signals: signals}
		var errs bytes.Buffer
		args := append([]string{name}, strings.Fields(strings.TrimSuffix(line, " /d"))...)
		status := run(append(args, img, "/d"), stdio{nil, out, &errs}, signals)
		if status != 143 || out.Len() >= whole || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%s: status %d, %d of %d bytes, %q", line, status, out.Len(), whole, errs.String())
		}
		if strings.Contains(line, "--json") && json.Valid(out.Bytes()) {
			t.Errorf("%s: what was cut short looks complete", line)
		}
	}
}
