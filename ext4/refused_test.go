package ext4

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"
	"syscall"
	"testing"

	"ext4img/ext4/layout"
)

// nameOp is an operation that makes or replaces the name to; those that need a file take from.
type nameOp struct {
	name string
	from bool // it takes from
	over bool // it replaces what to is
	run  func(fs *FS, from, to string) error
}

var nameOps = []nameOp{
	{"link", true, false, (*FS).Link},
	{"link over", true, true, (*FS).LinkOver},
	{"symlink", false, false, func(fs *FS, from, to string) error { return fs.Symlink(from, to, Attr{}) }},
	{"symlink over", false, true, func(fs *FS, from, to string) error { return fs.SymlinkOver(from, to, Attr{}) }},
	{"rename", true, true, func(fs *FS, from, to string) error { return fs.Rename(from, to, 0) }},
	{"rename no replace", true, false, func(fs *FS, from, to string) error { return fs.Rename(from, to, RenameNoReplace) }},
	{"exchange", true, true, func(fs *FS, from, to string) error { return fs.Rename(from, to, RenameExchange) }},
	{"mkdir", false, false, func(fs *FS, _, to string) error { return fs.Mkdir(to, Attr{Perm: 0o755}) }},
	{"mkdir all", false, false, func(fs *FS, _, to string) error { return fs.MkdirAll(to, Attr{Perm: 0o755}) }},
	{"mknod", false, false, func(fs *FS, _, to string) error { return fs.Mknod(to, layout.ModeFIFO, Attr{}, 0, 0) }},
	{"draft", false, true, func(fs *FS, _, to string) error { return drafted(fs, to, []byte("new"), DraftOptions{}) }},
	{"draft of a name", false, true, func(fs *FS, _, to string) error { return drafted(fs, to, []byte("new"), DraftOptions{Name: true}) }},
}

// refusal is what an operation must refuse.
type refusal struct {
	what, from, to string
	not            string // operations that do not refuse it, or that it means nothing to
	want           []error
}

var refusals = []refusal{
	{"name too long", "/k", "/" + strings.Repeat("n", 256), "", []error{syscall.ENAMETOOLONG}},
	{"path too long", "/k", strings.Repeat("/dir/..", 700), "", []error{syscall.ENAMETOOLONG}},
	{"parent missing", "/k", "/none/x", "mkdir all", []error{iofs.ErrNotExist}},
	{"parent a file", "/k", "/k/x", "", []error{syscall.ENOTDIR}},
	{"parent immutable", "/k", "/imm/x", "", []error{syscall.EPERM, iofs.ErrNotExist}},
	{"name in an immutable directory", "/k", "/imm/f", "draft", []error{syscall.EPERM, iofs.ErrExist, syscall.ENOTDIR}},
	{"loop in the path", "/k", "/loop/x", "", []error{syscall.ELOOP}},
	{"zero byte", "/k", "/a\x00b", "", []error{syscall.EINVAL}},
	{"no path", "/k", "", "mkdir all", []error{iofs.ErrNotExist}},
	{"root", "/k", "/", "mkdir all", []error{iofs.ErrExist, syscall.EISDIR, syscall.EBUSY, syscall.ENOTDIR}},
	{"dot", "/k", "/dir/.", "mkdir all", []error{iofs.ErrExist, syscall.EISDIR, syscall.EBUSY, syscall.ENOTDIR}},
	{"dots", "/k", "/dir/..", "mkdir all", []error{iofs.ErrExist, syscall.EISDIR, syscall.EBUSY, syscall.ENOTDIR}},
	{"directory", "/k", "/dir", "mkdir all, exchange", []error{iofs.ErrExist, syscall.EISDIR}},
	{"file with a slash", "/src", "/k/", "", []error{syscall.ENOTDIR, iofs.ErrExist, syscall.EISDIR}},
	{"new file with a slash", "/src", "/new/", "mkdir, mkdir all", []error{syscall.ENOTDIR, iofs.ErrNotExist, syscall.EISDIR}},
	{"itself", "/k", "/k", "rename, exchange, draft, draft of a name", []error{ErrSameFile, iofs.ErrExist, syscall.ENOTDIR}},
	{"itself by another path", "/dir/../k", "/./k", "rename, exchange, draft, draft of a name", []error{ErrSameFile, iofs.ErrExist, syscall.ENOTDIR}},
	{"immutable file", "/src", "/immf", "", []error{syscall.EPERM, iofs.ErrExist, syscall.ENOTDIR}},
	{"file for appending", "/src", "/append", "", []error{syscall.EPERM, iofs.ErrExist, syscall.ENOTDIR}},
	{"from nothing", "/none", "/k", "symlink over, draft, draft of a name", []error{iofs.ErrNotExist, iofs.ErrExist, syscall.ENOTDIR}},
	{"from a missing parent", "/none/x", "/k", "symlink over, draft, draft of a name", []error{iofs.ErrNotExist, iofs.ErrExist, syscall.ENOTDIR}},
	{"from a directory", "/dir", "/k", "exchange, symlink over, draft, draft of a name", []error{syscall.EPERM, syscall.ENOTDIR, iofs.ErrExist}},
	{"from an immutable file", "/immf", "/k", "symlink over, draft, draft of a name", []error{syscall.EPERM, syscall.ENOTDIR, iofs.ErrExist}},
	{"from an immutable directory", "/imm/f", "/k", "symlink over, draft, draft of a name, link over", []error{syscall.EPERM, syscall.ENOTDIR, iofs.ErrExist}},
	{"into itself", "/dir", "/dir/sub/y", "symlink, symlink over, mkdir, mkdir all, mknod, draft, draft of a name",
		[]error{syscall.EINVAL, syscall.EPERM, iofs.ErrNotExist}},
	{"above itself", "/dir/sub", "/dir", "mkdir all", []error{syscall.EINVAL, syscall.EPERM, iofs.ErrExist, syscall.ENOTEMPTY, syscall.EISDIR}},
	{"directory that is not empty", "/empty", "/dir", "mkdir all, exchange", []error{syscall.EPERM, iofs.ErrExist, syscall.ENOTEMPTY, syscall.EISDIR}},
	{"through a dangling link", "/k", "/dangling/x", "", []error{iofs.ErrNotExist, iofs.ErrExist}},
}

// refusedImage has something of each kind.
func refusedImage(t *testing.T) string {
	t.Helper()
	img := newImage(t, "16M", "-t", "ext4", "-b", "1024")
	fs, dev := openImage(t, img, Options{})
	for _, d := range []string{"/dir/sub", "/empty", "/imm"} {
		must(t, fs.MkdirAll(d, Attr{Perm: 0o755}))
	}
	for _, name := range []string{"/k", "/src", "/dir/x", "/imm/f", "/immf", "/append"} {
		must(t, drafted(fs, name, bytes.Repeat([]byte("content of "+name), 300), DraftOptions{New: Attr{Perm: 0o640, UID: 7, GID: 8}}))
	}
	must(t, fs.SetXattr("/k", "user.note", []byte("kept"), 0, false))
	must(t, fs.Symlink("loop", "/loop", Attr{}))
	must(t, fs.Symlink("none", "/dangling", Attr{}))
	closeImage(t, fs, dev)
	debugfsWrite(t, img, "sif /immf flags 0x80010", "sif /append flags 0x80020", "sif /imm flags 0x80010")
	return img
}

// told is all that debugfs tells of an image's files: names, inodes and content.
func told(t *testing.T, img string) string {
	t.Helper()
	var b strings.Builder
	for _, d := range []string{"/", "/dir", "/dir/sub", "/empty", "/imm"} {
		b.WriteString(debugfs(t, img, "ls -p "+d))
	}
	for _, f := range []string{"/k", "/src", "/dir/x", "/imm/f", "/immf", "/append", "/loop", "/dangling", "/dir", "/imm"} {
		b.WriteString(debugfs(t, img, "stat "+f))
	}
	for _, f := range []string{"/k", "/src", "/dir/x", "/imm/f", "/immf", "/append"} {
		b.Write(dumpFile(t, img, f))
	}
	return b.String()
}

// TestRefusedNames: each operation that makes, replaces or moves a name, with each name that it must refuse: nothing is
// there that was not, and nothing is gone.
func TestRefusedNames(t *testing.T) {
	img := refusedImage(t)
	before := told(t, img)
	cases := 0
	for _, op := range nameOps {
		fs, dev := openImage(t, img, Options{})
		for _, r := range refusals {
			if strings.Contains(", "+r.not+", ", ", "+op.name+", ") || !op.from && strings.HasPrefix(r.what, "from ") && !op.over {
				continue
			}
			cases++
			err := op.run(fs, r.from, r.to)
			found := false
			for _, want := range r.want {
				found = found || errors.Is(err, want)
			}
			if !found {
				t.Errorf("%s: %s (%.20s, %.20s): %v, want one of %v", op.name, r.what, r.from, r.to, err, r.want)
			}
		}
		closeImage(t, fs, dev)
		if after := told(t, img); after != before {
			t.Fatalf("%s has changed the image from\n%s\nto\n%s", op.name, before, after)
		}
	}
	fsckClean(t, img)
	t.Logf("%d cases", cases)
}

// TestRefusedFull: without room for a directory's block, or without inodes, what is to be replaced stays, and names that
// need neither are made.
func TestRefusedFull(t *testing.T) {
	for what, c := range map[string]struct {
		opts []string
		fill func(t *testing.T, fs *FS)
		fits string // operations that need no room
	}{
		"inodes": {[]string{"-N", "32"}, func(t *testing.T, fs *FS) {
			for i := 0; ; i++ {
				f, err := fs.Create(fmt.Sprintf("/full/%d", i), Attr{})
				if errors.Is(err, syscall.ENOSPC) {
					return
				}
				must(t, err)
				must(t, f.Close())
			}
		}, "link, link over, rename, rename no replace, exchange"},
		"blocks": {nil, func(t *testing.T, fs *FS) {
			for i := 0; i < 3; i++ { // the directory's block has no room for one more name
				f, err := fs.Create(fmt.Sprintf("/full/%d%s", i, strings.Repeat("n", 240)), Attr{})
				must(t, err)
				must(t, f.Close())
			}
			free, err := fs.FreeBlocks()
			must(t, err)
			f, err := fs.Create("/filler", Attr{})
			must(t, err)
			for n := int64(free) * 1024; n >= 1024; n /= 2 {
				info, err := f.Stat()
				must(t, err)
				for f.Fallocate(0, info.Size(), n) == nil {
					info, err = f.Stat()
					must(t, err)
				}
			}
			must(t, f.Close())
		}, ""},
	} {
		img := newImage(t, "8M", append([]string{"-t", "ext4", "-b", "1024", "-O", "^dir_index"}, c.opts...)...)
		fs, dev := openImage(t, img, Options{})
		must(t, fs.Mkdir("/full", Attr{Perm: 0o755}))
		old := bytes.Repeat([]byte("old"), 1000)
		must(t, drafted(fs, "/k", old, DraftOptions{New: Attr{Perm: 0o640}}))
		must(t, drafted(fs, "/full/k", old, DraftOptions{New: Attr{Perm: 0o640}}))
		c.fill(t, fs)
		closeImage(t, fs, dev)
		for _, op := range nameOps {
			to := "/full/" + strings.Repeat("m", 250)
			if op.over && what == "inodes" {
				to = "/full/k"
			}
			one := copied(t, img)
			fs, dev := openImage(t, one, Options{})
			err := op.run(fs, "/k", to)
			fits := strings.Contains(", "+c.fits+", ", ", "+op.name+", ")
			if fits && err != nil || !fits && !errors.Is(err, syscall.ENOSPC) && !(op.name == "exchange" && isNotExist(err)) {
				t.Errorf("no %s: %s: %v", what, op.name, err)
			}
			closeImage(t, fs, dev)
			fsckClean(t, one)
			for _, name := range []string{"/k", "/full/k"} {
				if err == nil && strings.HasPrefix(op.name, "rename") && name == "/k" {
					name = to
				}
				if p := dumpFile(t, one, name); !bytes.Equal(p, old) {
					t.Errorf("no %s: %s: debugfs reads %d bytes of %s", what, op.name, len(p), name)
				}
			}
		}
	}
}

// TestLinkOver: what a link replaces loses one link, and other names of one file stay.
func TestLinkOver(t *testing.T) {
	eachShape(t, func(t *testing.T, img string) {
		fs, dev := openImage(t, img, Options{})
		for _, name := range []string{"/a", "/b", "/c", "/d"} {
			must(t, drafted(fs, name, []byte(name), DraftOptions{New: Attr{Perm: 0o644}}))
		}
		must(t, fs.Link("/b", "/b2"))
		must(t, fs.LinkOver("/a", "/b"))
		must(t, fs.LinkOver("/a", "/new"))
		must(t, fs.LinkOver("/new", "/a")) // two names of one file
		must(t, fs.SymlinkOver("a", "/c", Attr{}))
		must(t, fs.SymlinkOver(strings.Repeat("x", 100), "/new2", Attr{}))
		must(t, fs.SymlinkOver("b", "/c", Attr{})) // leads to what /c led to, which is not /c
		must(t, fs.LinkOver("/c", "/d"))           // a link to a symbolic link
		if err := fs.SymlinkOver("../b2", "/b2", Attr{}); !errors.Is(err, ErrSameFile) {
			t.Errorf("a link over the file it leads to: %v", err)
		}
		must(t, fs.SymlinkOver("c", "/c", Attr{})) // nothing but a link is lost
		closeImage(t, fs, dev)
		fsckClean(t, img)
		for _, name := range []string{"/a", "/b", "/new"} {
			if got := string(dumpFile(t, img, name)); got != "/a" {
				t.Errorf("%s: %q", name, got)
			}
		}
		if got := string(dumpFile(t, img, "/b2")); got != "/b" {
			t.Errorf("the other name of what was replaced: %q", got)
		}
	})
}
