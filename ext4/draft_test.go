package ext4

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"ext4img/ext4/layout"
	"ext4img/testimages/effort"
)

// drafted replaces the content of a file, or makes it.
func drafted(fs *FS, name string, content []byte, o DraftOptions) error {
	d, err := fs.Draft(name, o)
	if err != nil {
		return err
	}
	if _, err := d.File.WriteAt(content, 0); err != nil {
		return errors.Join(err, d.Discard())
	}
	return d.Commit()
}

// scattered writes content in pieces that leave the map as many extents as it can have, last ones first.
func scattered(t *testing.T, fs *FS, f *File, content []byte) {
	t.Helper()
	bs := 2 * fs.vol.Geo.BlockSize
	filler, err := fs.Create("/filler", Attr{})
	must(t, err)
	for off := (len(content) - 1) / bs * bs; off >= 0; off -= bs {
		_, err := f.WriteAt(content[off:min(off+bs, len(content))], int64(off))
		must(t, err)
		_, err = filler.WriteAt([]byte("filler"), int64(len(content)-off)*2)
		must(t, err)
	}
	must(t, filler.Close())
	must(t, fs.Remove("/filler"))
}

// keeps is what a file has besides its content, for a comparison.
func keeps(t *testing.T, fs *FS, name string) string {
	t.Helper()
	info, err := fs.Stat(name)
	must(t, err)
	s := info.(*FileInfo).Stat()
	flags := s.Flags &^ (layout.FlagExtents | layout.FlagInlineData)
	var b strings.Builder
	fmt.Fprintf(&b, "inode %d mode %o links %d owner %d:%d flags %#x generation %d project %d atime %v crtime %v",
		s.Ino, s.Mode, s.Links, s.UID, s.GID, flags, s.Generation, s.Project, s.Atime, s.Crtime)
	must(t, snapXattrs(&b, fs, name))
	return b.String()
}

// TestDraftKeeps: new content for a file that exists changes nothing else of it, whatever the two maps are like, in every
// shape of file system; both names see it, and no block is lost.
func TestDraftKeeps(t *testing.T) {
	eachShape(t, func(t *testing.T, img string) {
		sizes := []int{0, 4, 150, 5000, 50_000}
		fs, dev := openImage(t, img, Options{})
		var names []string
		want := map[string][]byte{}
		for i, from := range sizes {
			for j, to := range sizes {
				if (i+j)%2 == 0 && i+j > 0 && i+j < 8 && !effort.Long() {
					continue
				}
				name := fmt.Sprintf("/%d-%d", from, to)
				names = append(names, name)
				f, err := fs.Create(name, Attr{Perm: 0o6640, UID: 70000, GID: 42})
				must(t, err)
				scattered(t, fs, f, bytes.Repeat([]byte{'o'}, from))
				must(t, f.Close())
				must(t, fs.Link(name, name+"-link"))
				must(t, fs.SetXattr(name, "user.note", bytes.Repeat([]byte("n"), 20*i), 0, false))
				if j%2 == 0 {
					must(t, fs.SetXattr(name, "user.large", bytes.Repeat([]byte("N"), 600), 0, false))
				}
				before := keeps(t, fs, name)
				d, err := fs.Draft(name, DraftOptions{New: Attr{Perm: 0o600, UID: 5}})
				must(t, err)
				want[name] = bytes.Repeat([]byte{byte('a' + j)}, to)
				scattered(t, fs, d.File, want[name])
				must(t, d.Commit())
				if after := keeps(t, fs, name); after != before {
					t.Errorf("%s: from\n%s to\n%s", name, before, after)
				}
			}
		}
		closeImage(t, fs, dev)
		fsckClean(t, img)
		for _, name := range names {
			if a, b := dumpFile(t, img, name), dumpFile(t, img, name+"-link"); !bytes.Equal(a, want[name]) || !bytes.Equal(a, b) {
				t.Errorf("%s: %d bytes, by its other name %d, want %d", name, len(a), len(b), len(want[name]))
			}
		}
	})
}

// TestDraftDeep: maps with index nodes, of checksums that belong to an inode, change places.
func TestDraftDeep(t *testing.T) {
	img := newImage(t, "64M", "-t", "ext4", "-b", "1024", "-O", "metadata_csum")
	fs, dev := openImage(t, img, Options{})
	for i, fill := range []byte{'o', 'n', 'm'} {
		d, err := fs.Draft("/f", DraftOptions{New: Attr{Perm: 0o600}})
		must(t, err)
		scattered(t, fs, d.File, bytes.Repeat([]byte{fill}, (1+i)<<19))
		must(t, d.Commit())
	}
	closeImage(t, fs, dev)
	fsckClean(t, img)
	if got := dumpFile(t, img, "/f"); !bytes.Equal(got, bytes.Repeat([]byte{'m'}, 3<<19)) {
		t.Errorf("%d bytes", len(got))
	}
	if out := debugfs(t, img, "dump_extents /f"); !strings.Contains(out, " 1/ 1") && !strings.Contains(out, " 2/ 2") {
		t.Errorf("the map is not deep:\n%.500s", out)
	}
}

// TestDraftOptions: what the options add.
func TestDraftOptions(t *testing.T) {
	img := newImage(t, "16M", shapes["ext4"]...)
	fs, dev := openImage(t, img, Options{})
	must(t, drafted(fs, "/f", []byte("old"), DraftOptions{New: Attr{Perm: 0o640, UID: 1, GID: 2}}))
	must(t, fs.Link("/f", "/hard"))
	must(t, fs.Symlink("f", "/link", Attr{}))
	must(t, fs.Symlink("none", "/dangling", Attr{}))
	must(t, fs.Mkdir("/d", Attr{Perm: 0o2755, GID: 9}))
	must(t, fs.SetXattr("/f", XattrCapability, append([]byte{0, 0, 0, 2}, make([]byte, 16)...), 0, false))
	check := func(name, want string) {
		t.Helper()
		info, err := fs.Lstat(name)
		must(t, err)
		s := info.(*FileInfo).Stat()
		content, err := fs.readFile(name)
		if got := fmt.Sprintf("%o %d:%d %d %s", s.Mode, s.UID, s.GID, s.Links, content); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", name, got, err, want)
		}
	}
	check("/f", "100640 1:2 2 old")
	must(t, drafted(fs, "/f", []byte("set"), DraftOptions{New: Attr{Perm: 0o4755, UID: 3, GID: 4}, SetPerm: true, SetUID: true, SetGID: true}))
	check("/hard", "104755 3:4 2 set")
	if _, err := fs.Xattr("/f", XattrCapability, false); !errors.Is(err, ErrNoXattr) {
		t.Errorf("capabilities: %v", err)
	}
	must(t, drafted(fs, "/link", []byte("through"), DraftOptions{Follow: true}))
	check("/f", "104755 3:4 2 through")
	must(t, drafted(fs, "/dangling", []byte("made"), DraftOptions{Follow: true, New: Attr{Perm: 0o600}}))
	check("/none", "100600 0:0 1 made")
	must(t, drafted(fs, "/d/in", []byte("group"), DraftOptions{New: Attr{Perm: 0o644}}))
	check("/d/in", "100644 0:9 1 group")
	must(t, drafted(fs, "/f", []byte("another"), DraftOptions{Name: true, New: Attr{Perm: 0o600}}))
	check("/f", "100600 0:0 1 another")
	check("/hard", "104755 3:4 1 through")
	must(t, drafted(fs, "/link", []byte("no link"), DraftOptions{Name: true, New: Attr{Perm: 0o600}}))
	check("/link", "100600 0:0 1 no link")
	in, err := fs.Find("/d", false)
	must(t, err)
	d, err := in.Draft("in", DraftOptions{})
	must(t, err)
	must(t, d.Commit())
	check("/d/in", "100644 0:9 1 ")
	closeImage(t, fs, dev)
	fsckClean(t, img)
}

// TestDraftRefused: what cannot be replaced is refused before anything is made, and a draft that is given up, or fails,
// leaves nothing.
func TestDraftRefused(t *testing.T) {
	img := newImage(t, "8M", "-t", "ext4", "-b", "1024", "-N", "64")
	fs, dev := openImage(t, img, Options{})
	old := bytes.Repeat([]byte("old "), 1000)
	for _, name := range []string{"/f", "/immutable", "/append"} {
		must(t, drafted(fs, name, old, DraftOptions{New: Attr{Perm: 0o640}}))
	}
	must(t, fs.Mkdir("/d", Attr{Perm: 0o755}))
	must(t, fs.Mkdir("/closed", Attr{Perm: 0o755}))
	must(t, fs.Mknod("/fifo", layout.ModeFIFO, Attr{}, 0, 0))
	must(t, fs.Symlink("f", "/link", Attr{}))
	must(t, fs.Symlink("loop", "/loop", Attr{}))
	closeImage(t, fs, dev)
	debugfsWrite(t, img, "sif /immutable flags 0x80010", "sif /append flags 0x80020", "sif /closed flags 0x80010")
	fs, dev = openImage(t, img, Options{})
	free, err := fs.FreeBlocks()
	must(t, err)
	for _, c := range []struct {
		name string
		o    DraftOptions
		want error
	}{
		{"/d", DraftOptions{}, syscall.EISDIR}, {"/d/", DraftOptions{}, syscall.EISDIR}, {"/", DraftOptions{}, syscall.EISDIR},
		{"/d/.", DraftOptions{}, syscall.EISDIR}, {"/new/", DraftOptions{}, syscall.EISDIR}, {"/d", DraftOptions{Name: true}, syscall.EISDIR},
		{"/d", DraftOptions{Follow: true}, syscall.EISDIR}, {"", DraftOptions{}, iofs.ErrNotExist}, {"/no/f", DraftOptions{}, iofs.ErrNotExist},
		{"/f/f", DraftOptions{}, syscall.ENOTDIR}, {"/fifo", DraftOptions{}, syscall.ENXIO}, {"/link", DraftOptions{}, syscall.ELOOP},
		{"/loop", DraftOptions{Follow: true}, syscall.ELOOP}, {"/immutable", DraftOptions{}, syscall.EPERM}, {"/append", DraftOptions{}, syscall.EPERM},
		{"/immutable", DraftOptions{Name: true}, syscall.EPERM}, {"/closed/f", DraftOptions{}, syscall.EPERM},
		{"/" + strings.Repeat("n", 256), DraftOptions{}, syscall.ENAMETOOLONG}, {"/a\x00b", DraftOptions{}, syscall.EINVAL},
	} {
		if err := drafted(fs, c.name, []byte("new"), c.o); !errors.Is(err, c.want) {
			t.Errorf("%.20s %+v: %v, want %v", c.name, c.o, err, c.want)
		}
	}
	if _, err := fs.Draft("/f", DraftOptions{Size: 16 << 20}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("more than there is room for, said before: %v", err)
	}
	full := drafted(fs, "/f", make([]byte, 16<<20), DraftOptions{})
	made := drafted(fs, "/g", make([]byte, 16<<20), DraftOptions{})
	if !errors.Is(full, syscall.ENOSPC) || !errors.Is(made, syscall.ENOSPC) {
		t.Errorf("more than there is room for: %v, %v", full, made)
	}
	d, err := fs.Draft("/f", DraftOptions{})
	must(t, err)
	must(t, d.Discard())
	must(t, d.Discard())
	if err := d.Commit(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("commit of a draft given up: %v", err)
	}
	d, err = fs.Draft("/f", DraftOptions{})
	must(t, err)
	must(t, fs.Rename("/f", "/moved", 0))
	must(t, drafted(fs, "/f", []byte("other"), DraftOptions{}))
	if err := d.Commit(); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("commit where another file is: %v", err)
	}
	must(t, fs.Remove("/f"))
	must(t, fs.Rename("/moved", "/f", 0))
	must(t, fs.Sync())
	if now, err := fs.FreeBlocks(); err != nil || now != free {
		t.Errorf("%d blocks free, before %d; %v", now, free, err)
	}
	closeImage(t, fs, dev)
	fsckClean(t, img)
	if got := dumpFile(t, img, "/f"); !bytes.Equal(got, old) {
		t.Errorf("%d bytes of old content, want %d", len(got), len(old))
	}
}

// TestCrashDraft: whatever moment the power goes, a file has its old content or its new, whole, by all of its names, and
// nothing is left of the draft.
func TestCrashDraft(t *testing.T) {
	x := newExplorer(t, min(crashBudget()/10, 600))
	const long, short = 30_000, 50
	for i, base := range crashBases(t) {
		content := map[string]bool{}
		op := func(name string, size int, fill byte) crashOp {
			p := bytes.Repeat([]byte{fill}, size)
			content[string(p)] = true
			return crashOp{name: fmt.Sprintf("draft %s, %d bytes", name, size), run: func(fs *FS) error { return drafted(fs, name, p, DraftOptions{}) }}
		}
		ops := []crashOp{
			{name: "link", run: func(fs *FS) error { return fs.Link("/A/old", "/B/hard") }}, syncOp(),
			op("/A/old", long, 'n'), op("/A/old", short, 's'), syncOp(), op("/B/hard", long+1, 'm'), op("/A/new", long, 'w'), syncOp(),
		}
		tr, err := runWorkload(base, ops)
		must(t, err)
		content[string(tr.snaps[0].files[inodeOf(t, tr, "/A/old")])] = true
		before := x.states
		for e := tr.trace.First; e <= tr.trace.Last; e++ {
			for _, pieces := range x.choices(tr.trace.Open(e), 12) {
				if x.states-before >= max(x.budget/9, 20) {
					break
				}
				x.states++
				state := tr.trace.State(e, pieces...)
				if err := x.judgeState(tr, e, state); err != nil {
					x.failed = append(x.failed, fmt.Sprintf("base %d, epoch %d: %v", i, e, err))
					continue
				}
				fs, err := Open(state, Options{ReadOnly: true})
				must(t, err)
				for _, name := range []string{"/A/old", "/B/hard", "/A/new"} {
					if p, err := fs.readFile(name); err == nil && !content[string(p)] || err != nil && !isNotExist(err) {
						x.failed = append(x.failed, fmt.Sprintf("base %d, epoch %d: %s: %d bytes, %v: neither old nor new", i, e, name, len(p), err))
					}
				}
				must(t, fs.Close())
			}
		}
	}
	x.finish()
}

// inodeOf is the key of a file in the first snapshot of a trace.
func inodeOf(t *testing.T, tr *crashTrace, name string) string {
	t.Helper()
	for _, line := range strings.Split(tr.snaps[0].meta, "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			return fields[1]
		}
	}
	t.Fatalf("no %s", name)
	return ""
}
