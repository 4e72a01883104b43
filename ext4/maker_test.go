package ext4

import (
	"bytes"
	"errors"
	iofs "io/fs"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"ext4img/ext4/layout"
)

// Entries for tests of a Maker.
func folder(p string) Entry { return Entry{Path: p, Mode: layout.ModeDir | 0o755} }
func fileEntry(p, data string) Entry {
	return Entry{Path: p, Mode: layout.ModeRegular | 0o644, Size: int64(len(data)), Data: []Piece{{0, []byte(data)}}}
}
func symEntry(p, to string) Entry  { return Entry{Path: p, Mode: layout.ModeSymlink, Target: to} }
func hardEntry(p, to string) Entry { return Entry{Path: p, LinkTo: to} }

// makeEach makes entries one by one, and the errors are those of each.
func makeEach(m *Maker, entries ...Entry) (errs []error) {
	for _, e := range entries {
		_, err := m.Make([]Entry{e})
		errs = append(errs, err)
	}
	return errs
}

// TestMakerBeneath: what leads out of the directory of a Maker fails, by names, by links that were there and by those that
// the Maker has made, and nothing outside changes; the rest is made.
func TestMakerBeneath(t *testing.T) {
	img := newImage(t, "32M", "-t", "ext4")
	fs, dev := openImage(t, img, Options{})
	must(t, fs.MkdirAll("/etc", Attr{Perm: 0o755}))
	must(t, fs.MkdirAll("/srv/app/in/deep", Attr{Perm: 0o755}))
	must(t, fs.Symlink("/etc", "/srv/app/abs", Attr{}))
	must(t, fs.Symlink("../../etc", "/srv/app/rel", Attr{}))
	must(t, fs.Symlink("in/../../../etc", "/srv/app/around", Attr{}))
	must(t, fs.Symlink("../..", "/srv/app/in/deep/top", Attr{}))
	must(t, fs.Symlink("loop", "/srv/app/loop", Attr{}))
	shadow, err := fs.Create("/etc/shadow", Attr{Perm: 0o600})
	must(t, err)
	_, err = shadow.Write([]byte("secret"))
	must(t, err)
	must(t, shadow.Close())
	before, err := fs.Stat("/etc")
	must(t, err)
	m, err := fs.NewMaker("/srv/app", Attr{Perm: 0o755})
	must(t, err)
	must(t, errors.Join(makeEach(m, fileEntry("plain", "plain"))...))
	outside := []Entry{
		fileEntry("../x", ""), fileEntry("a/../../x", ""), fileEntry("..", ""), fileEntry("in/..", ""),
		fileEntry("abs/shadow", "evil"), fileEntry("rel/shadow", "evil"), fileEntry("around/shadow", "evil"),
		fileEntry("in/deep/top/../etc/shadow", "evil"), hardEntry("h", "abs/shadow"), hardEntry("h", "../../etc/shadow"),
		hardEntry("abs/h", "plain"), folder("rel/new"), symEntry("around/l", "x"), fileEntry("rel/a/b/c", "x"),
	}
	for i, err := range makeEach(m, outside...) {
		if !errors.Is(err, ErrOutside) {
			t.Errorf("%s: %v", outside[i].Path, err)
		}
	}
	must(t, errors.Join(makeEach(m, symEntry("new", "/etc"), symEntry("up", "in/.."), symEntry("ok", "in"))...))
	for i, err := range makeEach(m, fileEntry("new/shadow", "evil"), fileEntry("up/f", "x"), hardEntry("h", "new/shadow")) {
		if !errors.Is(err, ErrOutside) {
			t.Errorf("made link %d: %v", i, err)
		}
	}
	if err := makeEach(m, fileEntry("loop/f", ""))[0]; !errors.Is(err, syscall.ELOOP) {
		t.Errorf("loop: %v", err)
	}
	must(t, errors.Join(makeEach(m, fileEntry("in/deep/top/f", "top"), fileEntry("ok/deep/g", "deep"), fileEntry("rel", "a file now"),
		fileEntry("rel2/x/y", "y"))...))
	must(t, m.Close())
	for name, want := range map[string]string{"/etc/shadow": "secret", "/srv/app/f": "top", "/srv/app/in/deep/g": "deep", "/srv/app/rel": "a file now"} {
		if got, err := fs.readFile(name); string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if after, err := fs.Stat("/etc"); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("/etc was touched: %v", err)
	}
	closeImage(t, fs, dev)
	fsckClean(t, img)
}

// TestMakerReplace: each kind over each kind, and hard links as tar archives have them.
func TestMakerReplace(t *testing.T) {
	img := newImage(t, "32M", "-t", "ext4", "-b", "1024")
	fs, dev := openImage(t, img, Options{})
	m, err := fs.NewMaker("/", Attr{Perm: 0o755})
	must(t, err)
	must(t, errors.Join(makeEach(m, fileEntry("other", "other"))...))
	kinds := map[string]Entry{"dir": folder(""), "file": fileEntry("", "new"), "sym": symEntry("", "other"), "hard": hardEntry("", "other"),
		"fifo": {Mode: layout.ModeFIFO | 0o600}}
	for a, first := range kinds {
		for b, second := range kinds {
			for _, full := range []bool{false, true} {
				first.Path, second.Path = "x/"+a+b, "x/"+a+b
				must(t, errors.Join(makeEach(m, first)...))
				if full && a == "dir" {
					must(t, errors.Join(makeEach(m, fileEntry(first.Path+"/in", "in"))...))
				}
				err := makeEach(m, second)[0]
				if refused := full && a == "dir" && b != "dir"; refused != errors.Is(err, syscall.ENOTEMPTY) || !refused && err != nil {
					t.Errorf("%s over %s: %v", b, a, err)
				}
				must(t, fs.RemoveAll("/"+first.Path))
			}
		}
	}
	must(t, errors.Join(makeEach(m, folder("usr/bin"), symEntry("bin", "usr/bin"), fileEntry("usr/bin/t", "t"))...))
	must(t, errors.Join(makeEach(m, hardEntry("bin/t", "usr/bin/t"), hardEntry("usr/bin/t", "bin/t"), hardEntry("usr/bin/t", "usr/bin/t"),
		hardEntry("p/q/r", "bin/t"), folder("e"), hardEntry("e", "usr/bin/t"))...))
	for _, err := range makeEach(m, hardEntry("usr/bin/t", "none"), hardEntry("usr/bin/t", "usr"), hardEntry("usr/bin/t", "usr/bin/t/x")) {
		if err == nil {
			t.Error("a link to what is no file was made")
		}
	}
	for _, name := range []string{"/usr/bin/t", "/bin/t", "/p/q/r", "/e"} {
		info, err := fs.Lstat(name)
		if got, e := fs.readFile(name); err != nil || string(got) != "t" || info.(*FileInfo).Stat().Links != 3 {
			t.Errorf("%s: %q, %v, %v", name, got, err, e)
		}
	}
	must(t, m.Close())
	closeImage(t, fs, dev)
	fsckClean(t, img)
}

// TestMakerKeepsOld: what cannot be made replaces nothing.
func TestMakerKeepsOld(t *testing.T) {
	img := newImage(t, "8M", "-t", "ext4", "-b", "1024")
	fs, dev := openImage(t, img, Options{})
	m, err := fs.NewMaker("/", Attr{Perm: 0o755})
	must(t, err)
	must(t, errors.Join(makeEach(m, fileEntry("d/f", "old"))...))
	large := fileEntry("d/f", strings.Repeat("x", 9<<20))
	long := symEntry("d/f", strings.Repeat("x", 1024))
	attr := fileEntry("d/f", "new")
	attr.Xattrs = map[string][]byte{"user.a": []byte("a"), "user.large": make([]byte, 5000)}
	foreign := fileEntry("d/f", "new")
	foreign.Xattrs = map[string][]byte{"system.data": []byte("a")}
	device := Entry{Path: "d/f", Mode: layout.ModeCharDev, Major: 4096}
	for i, err := range makeEach(m, large, long, attr, foreign, device) {
		var xe *XattrError
		if err == nil || errors.As(err, &xe) != (i == 2 || i == 3) {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	for range 2 { // what is not named leaves nothing behind
		f, err := m.Temp("d/f")
		must(t, err)
		_, err = f.WriteAt(make([]byte, 5<<20), 0)
		must(t, err)
		must(t, f.Close())
	}
	if got, err := fs.readFile("/d/f"); string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
	f, err := m.Temp("d/f")
	must(t, err)
	_, err = f.WriteAt([]byte("long content"), 0)
	must(t, err)
	e := Entry{Path: "d/f", Mode: layout.ModeRegular | layout.ModeSetUID | 0o755, UID: 7, GID: 8, Mtime: time.Unix(77, 0), File: f,
		Xattrs: map[string][]byte{XattrCapability: {1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}}
	must(t, errors.Join(makeEach(m, e)...))
	must(t, f.Close())
	info, err := fs.Lstat("/d/f")
	must(t, err)
	s := info.(*FileInfo).Stat()
	if caps, err := fs.Xattr("/d/f", XattrCapability, false); s.Mode&0o7777 != 0o4755 || s.UID != 7 || s.GID != 8 || len(caps) != 20 || s.Mtime.Unix() != 77 {
		t.Errorf("%+v, capabilities %x, %v", s, caps, err)
	}
	must(t, m.Close())
	closeImage(t, fs, dev)
	fsckClean(t, img)
	if got := dumpFile(t, img, "/d/f"); !bytes.Equal(got, []byte("long content")) {
		t.Errorf("debugfs: %q", got)
	}
}

// TestMakerDeep: paths of any depth, in time that grows with their number, and directories keep the times they were given.
func TestMakerDeep(t *testing.T) {
	img := newImage(t, "64M", "-t", "ext4")
	fs, dev := openImage(t, img, Options{})
	m, err := fs.NewMaker("/", Attr{Perm: 0o755})
	must(t, err)
	then := time.Unix(1000000000, 5)
	name, entries := "", []Entry(nil)
	for range 2000 {
		name += "/d"
		e := folder(name)
		e.Mtime, e.Atime = then, then
		entries = append(entries, e)
	}
	entries = append(entries, fileEntry(name+"/f", "deep"), fileEntry(name+strings.Repeat("/missing", 3000)+"/g", "deeper"))
	start := time.Now()
	_, err = m.Make(entries)
	must(t, err)
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("5000 directories took %v", took)
	}
	_, err = m.Make([]Entry{fileEntry("d/late", "x")})
	must(t, err)
	must(t, m.Close())
	for _, p := range []string{"/d", "/d/d", strings.Repeat("/d", 1999), strings.Repeat("/d", 2000)} {
		info, err := fs.Lstat(p)
		must(t, err)
		if !info.ModTime().Equal(then) && len(p) < 4000 {
			t.Errorf("%d levels: %v", len(p)/2, info.ModTime())
		}
	}
	if _, err := fs.Stat(path.Join(strings.Repeat("/d", 2000), "missing")); errors.Is(err, iofs.ErrNotExist) {
		t.Error("what was missing was not made")
	}
	closeImage(t, fs, dev)
	fsckClean(t, img)
}
