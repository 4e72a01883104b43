package ext4

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"ext4img/ext4/layout"
)

// TestMakeAllByInode: entries in entries, deeper than a path can be long, in one call; names of files made before.
func TestMakeAllByInode(t *testing.T) {
	const depth = 3000
	img := newImage(t, "64M", "-t", "ext4", "-b", "1024", "-N", "4096")
	fs, dev := openImage(t, img, Options{})
	in := &Entry{Ino: RootIno}
	entries := make([]Entry, depth+2)
	for i := range depth {
		entries[i] = Entry{Path: "d", In: in, Mode: layout.ModeDir | 0o755}
		in = &entries[i]
	}
	entries[depth] = Entry{Path: "f", In: in, Mode: layout.ModeRegular | 0o644, Size: 3, Data: []Piece{{0, []byte("abc")}}}
	entries[depth+1] = Entry{Path: "top", In: &Entry{Ino: RootIno}, Same: &entries[depth]}
	made, err := fs.MakeAll(entries)
	if made != len(entries) || err != nil {
		t.Fatalf("made %d of %d: %v", made, len(entries), err)
	}
	if a, b := entries[depth].Ino, entries[depth+1].Ino; a != b || a == 0 {
		t.Errorf("inodes %d and %d", a, b)
	}
	r := runWalk(t, fs, "/")
	if got := r.visits[depth+1]; got != strings.Repeat("/d", depth)+"/f" || r.bad != nil {
		t.Errorf("%d bytes of path, %q", len(got), r.bad)
	}
	_, err = fs.MakeAll([]Entry{{Path: "x", In: &entries[depth], Mode: layout.ModeDir}})
	if !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("in a file: %v", err)
	}
	closeImage(t, fs, dev)
	fsckClean(t, img)
	if got := string(dumpFile(t, img, "/top")); got != "abc" {
		t.Errorf("content %q", got)
	}
}
