package ext4

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"testing"

	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// recorder is a Walk that notes what it is called with.
type recorder struct {
	visits, leaves, bad []string
}

func (r *recorder) walk() *Walk {
	return &Walk{
		Visit: func(v *Visit) error { r.visits = append(r.visits, v.Path()); return nil },
		Leave: func(v *Visit) error { r.leaves = append(r.leaves, v.Path()); return nil },
		Bad: func(v *Visit, err error) error {
			r.bad = append(r.bad, fmt.Sprintf("%s: %v", v.Path(), err))
			return nil
		},
	}
}

func runWalk(t *testing.T, f *FS, top string) *recorder {
	t.Helper()
	in, err := f.Find(top, false)
	must(t, err)
	r := &recorder{}
	must(t, r.walk().Run(context.Background(), in, top))
	return r
}

// TestWalkOrder: names in the order of their bytes, directories before and after what is in them, from any top.
func TestWalkOrder(t *testing.T) {
	img := newImage(t, "16M", shapes["1k"]...)
	fs, dev := openImage(t, img, Options{})
	must(t, fs.MkdirAll("/d/b", Attr{Perm: 0o755}))
	for _, name := range []string{"/d/b/z", "/d/b/\xff", "/d/a", "/d/b.c"} {
		f, err := fs.Create(name, Attr{})
		must(t, err)
		must(t, f.Close())
	}
	must(t, fs.Symlink("/d", "/d/b/link", Attr{}))
	for top, want := range map[string]string{
		"/d":   "/d /d/a /d/b /d/b/link /d/b/z /d/b/\xff /d/b.c; /d/b /d",
		"/d/a": "/d/a; ",
		"/":    "/ /d /d/a /d/b /d/b/link /d/b/z /d/b/\xff /d/b.c /lost+found; /d/b /d /lost+found /",
	} {
		r := runWalk(t, fs, top)
		if got := strings.Join(r.visits, " ") + "; " + strings.Join(r.leaves, " "); got != want || r.bad != nil {
			t.Errorf("%s: %q, bad %q, want %q", top, got, r.bad, want)
		}
	}
	top, err := fs.Find("/", false)
	must(t, err)
	r := &recorder{}
	w := r.walk()
	w.Visit = func(v *Visit) error {
		r.visits = append(r.visits, v.Path())
		switch v.Name {
		case "b":
			return iofs.SkipDir
		case "b.c":
			return iofs.SkipAll
		}
		return nil
	}
	must(t, w.Run(context.Background(), top, "/"))
	if got := strings.Join(r.visits, " "); got != "/ /d /d/a /d/b /d/b.c" {
		t.Errorf("with skips: %q", got)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	w.Visit = func(*Visit) error { cancel(enough); return nil }
	if err := w.Run(ctx, top, "/"); err != enough {
		t.Errorf("after a cancel: %v", err)
	}
	closeImage(t, fs, dev)
}

// TestWalkDeep: far deeper than a path can be long, made, walked and removed by inode.
func TestWalkDeep(t *testing.T) {
	depth := 6000
	if effort.Long() {
		depth = 100000
	}
	img := newImage(t, "256M", "-t", "ext4", "-b", "1024", "-N", fmt.Sprint(depth+1000))
	fs, dev := openImage(t, img, Options{})
	at := fs.Inode(RootIno)
	for range depth {
		var err error
		at, err = at.Mkdir("d", Attr{Perm: 0o755})
		must(t, err)
	}
	deepest := 0
	w := Walk{Visit: func(v *Visit) error {
		deepest = max(deepest, v.Depth)
		if v.Depth == depth && v.Path() != strings.Repeat("/d", depth) {
			t.Errorf("a path of %d bytes, want %d", len(v.Path()), 2*depth)
		}
		return nil
	}}
	must(t, w.Run(context.Background(), fs.Inode(RootIno), "/"))
	if deepest != depth {
		t.Errorf("walked down to %d, want %d", deepest, depth)
	}
	must(t, fs.RemoveAll("/d"))
	if _, err := fs.Lstat("/d"); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("after removal: %v", err)
	}
	closeImage(t, fs, dev)
	fsckClean(t, img)
}

// TestWalkGraph: directories that are reached in more than one way end, and every second way is named.
func TestWalkGraph(t *testing.T) {
	const levels = 40
	var doubled []string
	for i := range levels + 1 {
		doubled = append(doubled, fmt.Sprintf("mkdir /l%02d", i))
	}
	for i := range levels {
		doubled = append(doubled, fmt.Sprintf("ln /l%02d /l%02d/a", i+1, i), fmt.Sprintf("ln /l%02d /l%02d/b", i+1, i))
	}
	for name, c := range map[string]struct {
		script []string
		visits int
		second []string // some of the second ways
	}{
		"levels":   {doubled, levels + 3, []string{"/l00/b", "/l39", "/l00/a/a/a/b"}},
		"cycle":    {[]string{"mkdir /a", "mkdir /a/b", "ln /a /a/b/loop"}, 4, []string{"/a/b/loop"}},
		"self":     {[]string{"mkdir /a", "ln /a /a/me"}, 3, []string{"/a/me"}},
		"root":     {[]string{"mkdir /a", "ln / /a/root"}, 3, []string{"/a/root"}},
		"siblings": {[]string{"mkdir /a", "mkdir /b", "ln /b /a/b"}, 4, []string{"/b"}},
	} {
		img := newImage(t, "8M", "-t", "ext4", "-O", "^metadata_csum")
		cmd := judge.Command(t, "debugfs", "-w", "-f", "-", img)
		cmd.Stdin = strings.NewReader(strings.Join(c.script, "\n") + "\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("debugfs: %v\n%s", err, out)
		}
		fs, dev := openImage(t, img, Options{ReadOnly: true})
		r := runWalk(t, fs, "/")
		if len(r.visits) != c.visits {
			t.Errorf("%s: %d visits, want %d: %q", name, len(r.visits), c.visits, r.visits)
		}
		for _, want := range c.second {
			if !slices.ContainsFunc(r.bad, func(s string) bool { return strings.HasPrefix(s, want+": inode ") }) {
				t.Errorf("%s: no second way %s in %q", name, want, r.bad)
			}
		}
		top, err := fs.Find("/", false)
		must(t, err)
		w := Walk{Visit: func(*Visit) error { return nil }}
		var loop *LoopError
		if err := w.Run(context.Background(), top, "/"); !errors.As(err, &loop) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: without Bad: %v", name, err)
		}
		closeImage(t, fs, dev)
	}
}
