package ext4

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ext4img/ext4/layout"
	"ext4img/testimages/judge"
)

// debugfsWrite runs commands of debugfs that change an image.
func debugfsWrite(t *testing.T, img string, cmds ...string) {
	t.Helper()
	judge.Feed(t, strings.Join(cmds, "\n")+"\n", "debugfs", "-w", "-f", "-", img)
}

// blockOf is where a block of a file lies on the device, bytes.
func blockOf(t *testing.T, img, name string, lblk, size int) int64 {
	t.Helper()
	fields := strings.Fields(debugfs(t, img, fmt.Sprintf("bmap %s %d", name, lblk)))
	n, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
	must(t, err)
	return n * int64(size)
}

// poke changes bytes of an image.
func poke(t *testing.T, img string, off int64, p ...byte) {
	t.Helper()
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt(p, off)
	must(t, errors.Join(err, f.Close()))
}

// peek reads bytes of an image.
func peek(t *testing.T, img string, off int64, n int) []byte {
	t.Helper()
	f, err := os.Open(img)
	must(t, err)
	defer f.Close()
	p := make([]byte, n)
	_, err = f.ReadAt(p, off)
	must(t, err)
	return p
}

// manyNames makes /d with empty files n000, n001, … whose names are long.
func manyNames(t *testing.T, img string, n int) {
	t.Helper()
	fs, dev := openImage(t, img, Options{})
	must(t, fs.Mkdir("/d", Attr{Perm: 0o755}))
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = Entry{Path: fmt.Sprintf("/d/n%03d-some-long-file-name", i), Mode: layout.ModeRegular | 0o644}
	}
	m, err := fs.NewMaker("/", Attr{})
	must(t, err)
	_, err = m.Make(entries)
	must(t, errors.Join(err, m.Close()))
	closeImage(t, fs, dev)
}

// fsckLost is how many files e2fsck finds without a name.
func fsckLost(t *testing.T, img string) int {
	t.Helper()
	out, err := judge.Command(t, "e2fsck", "-fn", img).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return strings.Count(string(out), "Unattached inode")
}

// TestBrokenIndex: whatever an index leads past, its names are listed, and nothing that has a name is lost with the
// directory: it stays if it cannot be emptied.
func TestBrokenIndex(t *testing.T) {
	const names, bs = 300, 1024
	base := newImage(t, "16M", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum")
	manyNames(t, base, names)
	root := peek(t, base, blockOf(t, base, "/d", 0, bs), bs)
	for name, spoil := range map[string]func(p []byte){
		"second leaf is the first":  func(p []byte) { copy(p[0x2c:0x30], p[0x24:0x28]) },
		"first leaf is the second":  func(p []byte) { copy(p[0x24:0x28], p[0x2c:0x30]) },
		"leaf beyond the directory": func(p []byte) { binary.LittleEndian.PutUint32(p[0x2c:], 5000) },
		"leaf is the root":          func(p []byte) { binary.LittleEndian.PutUint32(p[0x2c:], 0) },
		"one entry":                 func(p []byte) { p[0x22] = 1 },
		"no entries":                func(p []byte) { p[0x22] = 0 },
		"too many entries":          func(p []byte) { p[0x22], p[0x23] = 0xff, 0xff },
		"hash version":              func(p []byte) { p[0x1c] = 99 },
		"another hash":              func(p []byte) { p[0x1c] = 2 },
		"levels":                    func(p []byte) { p[0x1e] = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			img := copied(t, base)
			p := append([]byte(nil), root...)
			spoil(p)
			poke(t, img, blockOf(t, img, "/d", 0, bs), p...)
			fs, dev := openImage(t, img, Options{})
			if r := runWalk(t, fs, "/d"); len(r.visits) != names+1 {
				t.Errorf("%d visits, want %d; bad %q", len(r.visits), names+1, r.bad)
			}
			var told []string
			err := fs.RemoveTree(context.Background(), "/d", func(path string, err error) error {
				told = append(told, path)
				return nil
			})
			_, gone := fs.Lstat("/d")
			left := 0
			if gone == nil {
				left = len(runWalk(t, fs, "/d").visits) - 1
			}
			if err != nil || gone != nil && len(told) > 0 || gone == nil && len(told) != left {
				t.Errorf("removed: %v; %d told, %d names left, gone: %v", err, len(told), left, gone)
			}
			closeImage(t, fs, dev)
			if n := fsckLost(t, img); n > 0 {
				t.Errorf("%d files lost", n)
			}
		})
	}
}

// TestBrokenBlocks: a block of many that cannot be read ends no listing, and is named.
func TestBrokenBlocks(t *testing.T) {
	const names, bs = 300, 1024
	flip := func(t *testing.T, img string) { off := blockOf(t, img, "/d", 3, bs); poke(t, img, off+8, 'X') }
	for name, c := range map[string]struct {
		features string
		spoil    func(t *testing.T, img string)
	}{
		"checksum, hashed": {"metadata_csum", flip},
		"checksum, linear": {"metadata_csum,^dir_index", flip},
		"record, hashed":   {"^metadata_csum", func(t *testing.T, img string) { poke(t, img, blockOf(t, img, "/d", 3, bs)+4, 3, 0) }},
		"record, linear":   {"^metadata_csum,^dir_index", func(t *testing.T, img string) { poke(t, img, blockOf(t, img, "/d", 3, bs)+4, 3, 0) }},
		"slash":            {"^metadata_csum,^dir_index", func(t *testing.T, img string) { poke(t, img, blockOf(t, img, "/d", 3, bs)+8, '/') }},
		"hole":             {"^metadata_csum,^dir_index", func(t *testing.T, img string) { debugfsWrite(t, img, "punch /d 3 3") }},
		"twice": {"^metadata_csum,^dir_index,^extents,^64bit", func(t *testing.T, img string) {
			debugfsWrite(t, img, fmt.Sprintf("sif /d block[3] %d", blockOf(t, img, "/d", 2, bs)/bs))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			img := newImage(t, "16M", "-t", "ext4", "-b", "1024", "-O", c.features)
			manyNames(t, img, names)
			c.spoil(t, img)
			fs, dev := openImage(t, img, Options{ReadOnly: true})
			r := runWalk(t, fs, "/d")
			if len(r.visits) < names-40 || len(r.visits) > names || len(r.bad) != 1 || !strings.HasPrefix(r.bad[0], "/d: directory ") ||
				!strings.Contains(r.bad[0], "block 3") {
				t.Errorf("%d visits of %d, bad %q", len(r.visits), names, r.bad)
			}
			checkReadDir(t, fs, "/d", r.visits[1:])
			closeImage(t, fs, dev)
		})
	}
}

// TestBrokenInline: in a directory that lies in its inode, the names before the broken record are listed.
func TestBrokenInline(t *testing.T) {
	for name, spoil := range map[string][]byte{"record": {3, 0}, "name": {12, 0, 0}} {
		img := newImage(t, "16M", "-t", "ext4", "-O", "inline_data,^metadata_csum")
		fs, dev := openImage(t, img, Options{})
		must(t, fs.Mkdir("/d", Attr{Perm: 0o755}))
		for _, name := range []string{"a", "b", "c"} {
			must(t, fs.Mkdir("/d/"+name, Attr{Perm: 0o755}))
		}
		in, err := fs.Find("/d", false)
		must(t, err)
		ino := in.Ino()
		closeImage(t, fs, dev)
		fields := strings.Fields(debugfs(t, img, fmt.Sprintf("imap <%d>", ino)))
		block, err := strconv.ParseInt(strings.TrimSuffix(fields[len(fields)-3], ","), 10, 64)
		must(t, err)
		off, err := strconv.ParseInt(strings.TrimPrefix(fields[len(fields)-1], "0x"), 16, 64)
		must(t, err)
		poke(t, img, block*1024+off+0x28+4+12+4, spoil...) // rec_len of b, behind i_block's parent and a
		fs, dev = openImage(t, img, Options{ReadOnly: true})
		r := runWalk(t, fs, "/d")
		if len(r.visits) < 2 || len(r.visits) > 3 || len(r.bad) != 1 {
			t.Errorf("%s: visits %q, bad %q", name, r.visits, r.bad)
		}
		checkReadDir(t, fs, "/d", r.visits[1:])
		closeImage(t, fs, dev)
	}
}

// checkReadDir compares what the three ways of package io/fs list of a directory that has a broken part with the paths
// that can be read.
func checkReadDir(t *testing.T, f *FS, name string, want []string) {
	t.Helper()
	same := func(how string, list []iofs.DirEntry, err error) {
		t.Helper()
		var got []string
		for _, e := range list {
			got = append(got, name+"/"+e.Name())
		}
		slices.Sort(got)
		if !slices.Equal(got, want) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %d names, want %d; error %v", how, len(got), len(want), err)
		}
	}
	list, err := f.ReadDir(name)
	same("FS.ReadDir", list, err)
	dir, err := f.OpenFile(name, os.O_RDONLY, 0)
	must(t, err)
	list, err = dir.ReadDir(-1)
	same("File.ReadDir(-1)", list, err)
	if list, err := dir.ReadDir(-1); err != nil || len(list) > 0 {
		t.Errorf("File.ReadDir(-1) again: %d names, %v", len(list), err)
	}
	must(t, dir.Close())
	dir, err = f.OpenFile(name, os.O_RDONLY, 0)
	must(t, err)
	list = nil
	for {
		part, e := dir.ReadDir(7)
		list = append(list, part...)
		if e != nil {
			same("File.ReadDir(7)", list, e)
			break
		}
	}
	if part, err := dir.ReadDir(7); len(part) > 0 || err != io.EOF {
		t.Errorf("File.ReadDir(7) at the end: %d names, %v", len(part), err)
	}
	must(t, dir.Close())
	var told error
	list = nil
	must(t, iofs.WalkDir(f, name[1:], func(p string, d iofs.DirEntry, err error) error {
		if err != nil {
			told = err
		} else if p != name[1:] {
			list = append(list, d)
		}
		return nil
	}))
	same("WalkDir", list, told)
}

// TestDotsAreNoRoom: a record of "." or ".." that is out of use takes no other name.
func TestDotsAreNoRoom(t *testing.T) {
	for name, at := range map[string]int64{".": 0, "..": 12} {
		for what, p := range map[string][]byte{"no inode": {0, 0, 0, 0}, "no name": {0, 0, 0, 0, 12, 0, 0, 0}} {
			img := newImage(t, "8M", "-t", "ext4", "-O", "^metadata_csum")
			debugfsWrite(t, img, "mkdir /d")
			off := blockOf(t, img, "/d", 0, 1024)
			if len(p) > 4 && name == ".." {
				p = []byte{0, 0, 0, 0, 0xf4, 3, 0, 0}
			}
			poke(t, img, off+at, p...)
			before := peek(t, img, off, 1024)
			fs, dev := openImage(t, img, Options{})
			for op, do := range map[string]func() error{
				"mkdir":   func() error { return fs.Mkdir("/d/n", Attr{}) },
				"symlink": func() error { return fs.Symlink("x", "/d/n", Attr{}) },
				"create":  func() error { _, err := fs.Create("/d/n", Attr{}); return err },
				"rename":  func() error { return fs.Rename("/lost+found", "/d/n", 0) },
			} {
				if err := do(); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%q with %s: %s: %v, want corrupt", name, what, op, err)
				}
			}
			closeImage(t, fs, dev)
			if after := peek(t, img, off, 1024); string(after) != string(before) {
				t.Errorf("%q with %s: the block has changed", name, what)
			}
		}
	}
}

// TestNoFile: a name that leads to an inode that is free, or to one of the file system's own, leads to no file.
func TestNoFile(t *testing.T) {
	for name, spoil := range map[string][]string{
		"cleared": {"clri /f"}, "no links": {"sif /f links_count 0"}, "no mode": {"sif /f mode 0"},
		"journal": {"rm /f", "link <8> /f"}, "resize inode": {"rm /f", "link <7> /f"}, "never used": {"rm /f", "link <2000> /f"},
		"orphan file": {"rm /f", "link <12> /f"}, "attribute": {"sif /f flags 0x280000"},
	} {
		img := newImage(t, "64M", "-t", "ext4", "-b", "4096", "-J", "size=16", "-O", "orphan_file,ea_inode")
		fs, dev := openImage(t, img, Options{})
		f, err := fs.Create("/f", Attr{Perm: 0o644})
		must(t, err)
		must(t, f.Close())
		must(t, fs.Symlink("f", "/link", Attr{}))
		closeImage(t, fs, dev)
		debugfsWrite(t, img, spoil...)
		before := debugfs(t, img, "stat /f") + debugfs(t, img, "ls -l /")
		fs, dev = openImage(t, img, Options{})
		for op, do := range map[string]func() error{
			"stat":     func() error { _, err := fs.Stat("/f"); return err },
			"lstat":    func() error { _, err := fs.Lstat("/link"); _, err2 := fs.Stat("/link"); return errors.Join(err, err2) },
			"open":     func() error { _, err := fs.OpenFile("/f", os.O_RDWR, 0); return err },
			"create":   func() error { _, err := fs.Create("/f", Attr{}); return err },
			"chmod":    func() error { return fs.Chmod("/f", 0o600) },
			"chown":    func() error { return fs.Chown("/f", 1, 1) },
			"touch":    func() error { return fs.Chtimes("/f", fs.vol.Inodes.Clock(), fs.vol.Inodes.Clock()) },
			"setxattr": func() error { return fs.SetXattr("/f", "user.a", nil, 0, false) },
			"truncate": func() error { return fs.Truncate("/f", 0) },
			"link":     func() error { return fs.Link("/f", "/g") },
			"mkdir":    func() error { return fs.Mkdir("/f/d", Attr{}) },
			"rename":   func() error { return fs.Rename("/f", "/g", 0) },
			"over":     func() error { return fs.Rename("/link", "/f", 0) },
			"exchange": func() error { return fs.Rename("/link", "/f", RenameExchange) },
			"unlink":   func() error { return fs.Unlink("/f") },
			"remove":   func() error { return fs.Remove("/f") },
			"tree":     func() error { return fs.RemoveAll("/f") },
		} {
			if err := do(); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %s: %v, want corrupt", name, op, err)
			}
		}
		closeImage(t, fs, dev)
		if after := debugfs(t, img, "stat /f") + debugfs(t, img, "ls -l /"); after != before {
			t.Errorf("%s: changed from\n%s\nto\n%s", name, before, after)
		}
	}
}

// copied is a copy of an image.
func copied(t *testing.T, img string) string {
	t.Helper()
	p, err := os.ReadFile(img)
	must(t, err)
	out := img + ".copy"
	must(t, os.WriteFile(out, p, 0o600))
	return out
}
