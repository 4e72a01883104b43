package extent

import (
	"bytes"
	oldrand "math/rand"
	"math/rand/v2"
	"testing"
	"time"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// withLog opens the world again with the image's own journal.
func (w *world) withLog(t *testing.T) journal.Area {
	t.Helper()
	area := journal.Area{BlockSize: w.G.BlockSize}
	view := w.J.View()
	err := w.m.Walk(view, layout.JournalIno, 0, func(e layout.Extent) (bool, error) {
		area.Blocks = append(area.Blocks, journal.Run{Phys: uint64(e.Pblk), Len: e.Len})
		return true, nil
	})
	view.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.J.Close(); err != nil {
		t.Fatal(err)
	}
	w.openLog(t, area)
	return area
}

func (w *world) openLog(t *testing.T, area journal.Area) {
	t.Helper()
	w.Config = journal.Config{Log: &area, Features: journal.Feature64Bit | journal.FeatureCsumV3}
	w.Open(t)
	w.stack(w.m.nodeLimit)
}

// crashed is the world after a power cut that kept some of the writes that were not durable, and after recovery.
func (w *world) crashed(t *testing.T, area journal.Area, pieces []simdev.Piece) *world {
	t.Helper()
	c, fs := *w, *w.FS
	c.FS, fs.Dev = &fs, w.Dev.Crash(pieces...)
	if _, err := journal.Recover(c.Dev, area); err != nil {
		t.Fatal(err)
	}
	c.openLog(t, area)
	return &c
}

// TestCrash changes a file at random through the journal and cuts the power from time to time. After recovery the
// file system is whole.
func TestCrash(t *testing.T) {
	for _, args := range [][]string{{"-b", "1024"}, {"-b", "1024", "-O", "bigalloc", "-C", "4096"}} {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 6))
		const span = 3000
		w := newWorld(t, mke2fs(t, "64M", args...), 0)
		w.setSize(t, 2*span)
		area := w.withLog(t)
		for range 8 {
			for range 1 + rnd.IntN(150) {
				w.anything(t, rnd, span)
				if rnd.IntN(20) == 0 {
					if err := w.J.CommitAll(); err != nil {
						t.Fatal(err)
					}
				}
			}
			c := w.crashed(t, area, simdev.Random(w.Dev.Pending(), oldrand.New(oldrand.NewSource(rnd.Int64()))))
			if _, err := c.audit(); err != nil {
				t.Fatal(err)
			}
			c.judged(t)
		}
		w.removeAll(t)
		w.judged(t)
	}
}

// TestFreedNodesAreRevoked: a block that was a node and is now data keeps its data through recovery.
func TestFreedNodesAreRevoked(t *testing.T) {
	w := newWorld(t, mke2fs(t, "16M", "-b", "1024"), 0)
	w.setSize(t, 20000)
	area := w.withLog(t)
	w.allocateAll(t, 0, 1000, true)
	for l := layout.Lblk(0); l < 1000; l += 2 {
		w.Must(t, func(h *journal.Handle) error { return w.m.Convert(h, w.ino, l, 1, false) })
	}
	a, err := w.audit()
	if err != nil || a.nodes < 5 {
		t.Fatalf("%d nodes: %v", a.nodes, err)
	}
	commit := func() {
		t.Helper()
		if err := w.J.CommitAll(); err != nil {
			t.Fatal(err)
		}
	}
	commit()
	w.removeAll(t)
	commit()
	w.allocateAll(t, 0, uint32(w.freeNow(t))-50, false)
	commit()
	data := bytes.Repeat([]byte{0xAA}, w.G.BlockSize)
	for _, e := range w.walked(t) {
		for i := range int64(e.Len) {
			if _, err := w.Dev.WriteAt(data, (int64(e.Pblk)+i)*int64(w.G.BlockSize)); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := w.crashed(t, area, simdev.Wholes(w.Dev.Pending()))
	extents := c.walked(t)
	if len(extents) == 0 {
		t.Fatal("nothing is mapped after recovery")
	}
	p := make([]byte, w.G.BlockSize)
	for _, e := range extents {
		for i := range int64(e.Len) {
			if _, err := c.Dev.ReadAt(p, (int64(e.Pblk)+i)*int64(w.G.BlockSize)); err != nil || !bytes.Equal(p, data) {
				t.Fatalf("block %d: recovery wrote over the data: %v", int64(e.Pblk)+i, err)
			}
		}
	}
	c.judged(t)
}

// TestDirectoryBlocksAreRevoked: blocks of a directory are metadata, so copies may be in the log when they are freed.
func TestDirectoryBlocksAreRevoked(t *testing.T) {
	w := newWorld(t, mke2fs(t, "16M", "-b", "1024"), 0)
	w.withLog(t)
	const lostFound = 11
	var block layout.Pblk
	w.Must(t, func(h *journal.Handle) error {
		e, err := w.m.Lookup(h, lostFound, 1)
		if err != nil || !e.Mapped() {
			t.Fatalf("%v: %v", e, err)
		}
		block = e.Pblk
		_, err = h.Create(w.bufRef(block))
		return err
	})
	if err := w.J.CommitAll(); err != nil {
		t.Fatal(err)
	}
	w.Must(t, func(h *journal.Handle) error {
		_, _, err := w.m.Remove(h, lostFound, 1, 2)
		return err
	})
	if err := w.J.CommitAll(); err != nil {
		t.Fatal(err)
	}
	if n := w.J.Stats().Revoked; n != 1 {
		t.Errorf("%d revoke records after block %d was freed, want 1", n, block)
	}
}
