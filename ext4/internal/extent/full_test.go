package extent

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/bare"
)

// fill takes every free block outside the pool, and returns them.
func (w *world) fill(t bare.T) []run {
	t.Helper()
	var taken []run
	for {
		err := w.Do(t, func(h *journal.Handle) error {
			p, n, err := w.space.Alloc(h, group.Request{Min: w.G.ClusterRatio, Max: 4096, Root: true})
			if err == nil {
				taken = append(taken, run{p, uint64(n)})
			}
			return err
		})
		if errors.Is(err, syscall.ENOSPC) {
			return taken
		}
		if err != nil {
			t.Fatalf("%v", err)
		}
	}
}

func (w *world) release(t bare.T, taken []run) {
	t.Helper()
	for _, r := range taken {
		w.Must(t, func(h *journal.Handle) error { return w.space.Free(h, r.p, r.n) })
	}
}

// TestConvertInFullFileSystem gets a promise of blocks for each of many writes, fills the file system to the last
// block, and converts the writes: none runs out of space, however the tree grows.
func TestConvertInFullFileSystem(t *testing.T) {
	for _, v := range [][]string{{"-b", "1024"}, {"-b", "1024", "-O", "bigalloc", "-C", "16384"}} {
		const blocks, writes = 8192, 700
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		w := newWorld(t, mke2fs(t, "32M", v...), 0)
		w.setSize(t, blocks)
		w.allocateAll(t, 0, blocks, true)
		order := rand.New(rand.NewPCG(seed, 2)).Perm(blocks)[:writes]
		var reserved []uint64
		for range order {
			view := w.J.View()
			m, err := w.m.Open(view, w.ino)
			if err != nil {
				t.Fatal(err)
			}
			n, err := m.SplitBlocks(1)
			if err == nil {
				err = w.space.Promise(view, n)
			}
			view.Close()
			if err != nil {
				t.Fatal(err)
			}
			reserved = append(reserved, n)
		}
		taken := w.fill(t)
		for i, l := range order {
			w.Must(t, func(h *journal.Handle) error {
				m, err := w.m.Edit(h, w.ino)
				if err != nil {
					return err
				}
				return m.Written(layout.Lblk(l), 1)
			})
			w.space.Release(reserved[i])
		}
		w.release(t, taken)
		a, err := w.audit()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range order {
			if a.blocks[uint64(l)].unwritten {
				t.Fatalf("block %d is not written", l)
			}
		}
		w.judged(t)
	}
}

// TestPunchInFullFileSystem punches holes, each of which splits an extent, until the tree needs nodes although no
// block is free.
func TestPunchInFullFileSystem(t *testing.T) {
	for _, v := range [][]string{{"-b", "1024"}, {"-b", "1024", "-O", "bigalloc", "-C", "2048"}} {
		w := newWorld(t, mke2fs(t, "16M", v...), 4)
		step := layout.Lblk(8 * w.G.ClusterRatio)
		w.setSize(t, 4096)
		w.allocateAll(t, 0, 4096, false)
		taken := w.fill(t)
		for l := layout.Lblk(0); l < 50*step; l += step {
			// Take away at once the blocks that each hole gives back.
			w.Must(t, func(h *journal.Handle) error {
				_, _, err := w.m.Remove(h, w.ino, l+step/2, l+step)
				return err
			})
			if err := w.J.CommitAll(); err != nil {
				t.Fatal(err)
			}
			taken = append(taken, w.fill(t)...)
		}
		w.release(t, taken)
		a, err := w.audit()
		if err != nil {
			t.Fatal(err)
		}
		if want := 4096 - 50*int(step)/2; len(a.blocks) != want || a.depth < 2 {
			t.Fatalf("%d blocks mapped at depth %d, want %d", len(a.blocks), a.depth, want)
		}
		w.m.nodeLimit = 0
		w.removeAll(t)
		w.judged(t)
	}
}
