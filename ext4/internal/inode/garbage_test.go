package inode

import (
	"errors"
	"math/rand"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// TestOrphanFileGarbage puts garbage into the orphan file's inode and blocks, without checksums that would catch it.
// Reading and changing the orphans succeeds or is refused; nothing panics or hangs.
func TestOrphanFileGarbage(t *testing.T) {
	for i, args := range [][]string{{"-O", "orphan_file,^metadata_csum"}, {"-O", "orphan_file,^metadata_csum,^extent,^64bit"}} {
		w := mkfs(t, 8<<20, append(args, "-b", "1024")...)
		orphan := w.make(layout.ModeRegular, 0)
		image := w.Dev.Image()
		places := w.orphanPlaces()
		r := rand.New(rand.NewSource(int64(i)))
		for range 500 {
			dev := simdev.FromImage(image)
			for range 1 + r.Intn(4) {
				value := []byte{byte(r.Intn(256)), byte(r.Intn(3) * r.Intn(128)), 0, 0}[:1+r.Intn(4)]
				if _, err := dev.WriteAt(value, places[r.Intn(len(places))]+4*int64(r.Intn(32))); err != nil {
					t.Fatal(err)
				}
			}
			damaged := newWorld(t, dev.Image())
			damaged.useOrphans(orphan)
		}
	}
}

// orphanPlaces returns the offsets of the orphan file's record, its first block, and its possible indirect block.
func (w *world) orphanPlaces() []int64 {
	w.t.Helper()
	v := w.J.View()
	defer v.Close()
	super, err := w.tab.s.Super(v)
	if err != nil {
		w.t.Fatal(err)
	}
	ino := layout.Ino(super.OrphanFileInum())
	rec, err := w.tab.ref(v, ino)
	if err != nil {
		w.t.Fatal(err)
	}
	refs, err := w.tab.orphanRefs(v)
	if err != nil {
		w.t.Fatal(err)
	}
	in, err := w.tab.Read(v, ino)
	if err != nil {
		w.t.Fatal(err)
	}
	bs := int64(w.G.BlockSize)
	out := []int64{int64(rec.Block)*bs + int64(rec.Off), int64(refs[0].Block) * bs, int64(refs[0].Block+1)*bs - 128}
	if !in.HasFlag(layout.FlagExtents) {
		out = append(out, int64(layout.BlockList(in.Block()).Get(layout.DirectBlocks))*bs)
	}
	return out
}

func (w *world) useOrphans(ino layout.Ino) {
	w.t.Helper()
	v := w.J.View()
	_, err := w.tab.Orphans(v)
	v.Close()
	for _, step := range []func(*journal.Handle, layout.Ino) error{w.tab.AddOrphan, w.tab.DelOrphan} {
		if err == nil {
			err = w.do(func(h *journal.Handle) error { return step(h, ino) })
		}
	}
	if err != nil && !errors.Is(err, layout.ErrCorrupt) && !errors.Is(err, journal.ErrCorrupt) {
		w.t.Fatal(err)
	}
}
