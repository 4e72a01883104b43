package extent

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// TestJudged changes a file at random, with nodes of full size. From time to time e2fsck and debugfs judge the image.
func TestJudged(t *testing.T) {
	for name, args := range map[string][]string{
		"1k":       {"-b", "1024"},
		"2k":       {"-b", "2048", "-I", "128"},
		"4k":       {"-b", "4096"},
		"64k":      {"-b", "65536", "-O", "^has_journal,^resize_inode"},
		"bigalloc": {"-b", "1024", "-O", "bigalloc", "-C", "16384"},
		"uninit":   {"-b", "1024", "-O", "^metadata_csum,uninit_bg"},
	} {
		t.Run(name, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			rnd := rand.New(rand.NewPCG(seed, 4))
			w := newWorld(t, mke2fs(t, "64M", args...), 0)
			span := uint32(min(w.free*3/4, 20000))
			w.setSize(t, uint64(span)+1000)
			for range 2 {
				for range 400 {
					w.anything(t, rnd, span)
				}
				if _, err := w.audit(); err != nil {
					t.Fatal(err)
				}
				extents := w.walked(t)
				path := w.judged(t)
				if got := dumped(t, path); !slices.Equal(got, extents) {
					t.Fatalf("debugfs sees %d extents, we %d", len(got), len(extents))
				}
				w.reopen(t, path)
			}
			w.removeAll(t)
			if got := w.freeNow(t); got != w.free {
				t.Fatalf("%d blocks free, want %d", got, w.free)
			}
			w.judged(t)
		})
	}
}

// anything makes one random change.
func (w *world) anything(t *testing.T, rnd *rand.Rand, span uint32) {
	t.Helper()
	ratio := w.G.ClusterRatio
	l, n := layout.Lblk(rnd.Uint32N(span)), 1+rnd.Uint32N(60)
	view := w.J.View()
	here, err := w.m.Lookup(view, w.ino, l)
	view.Close()
	if err != nil {
		t.Fatal(err)
	}
	switch k := rnd.IntN(20); {
	case !here.Mapped():
		w.Must(t, func(h *journal.Handle) error {
			_, err := w.m.Allocate(h, w.ino, l, min(n*uint32(1+k), span-uint32(l)), k%3 > 0)
			return err
		})
	case k < 16:
		w.Must(t, func(h *journal.Handle) error { return w.m.Convert(h, w.ino, l, min(n, here.Len), k > 13) })
	case k < 18:
		w.Must(t, func(h *journal.Handle) error {
			_, _, err := w.m.Remove(h, w.ino, l, l+layout.Lblk(n))
			return err
		})
	default:
		from, by := l/layout.Lblk(ratio)*layout.Lblk(ratio), layout.Lblk(ratio*(1+n%8))
		w.Must(t, func(h *journal.Handle) error {
			if _, _, err := w.m.Remove(h, w.ino, from, from+by); err != nil {
				return err
			}
			_, _, err := w.m.Shift(h, w.ino, from+by, ^layout.Lblk(0), -int64(by))
			return err
		})
		at := layout.Lblk(rnd.Uint32N(span)) / layout.Lblk(ratio) * layout.Lblk(ratio)
		w.Must(t, func(h *journal.Handle) error {
			_, _, err := w.m.Shift(h, w.ino, at, ^layout.Lblk(0), int64(by))
			return err
		})
	}
}

// TestIndirectJudged fills every level of a map by block numbers.
func TestIndirectJudged(t *testing.T) {
	for name, args := range map[string][]string{
		"ext2-1k": {"-b", "1024", "-O", "^has_journal,^extents,^64bit,^metadata_csum,^flex_bg,^huge_file,uninit_bg"},
		"ext3-4k": {"-b", "4096", "-O", "^extents,^64bit,^metadata_csum"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, mke2fs(t, "64M", args...), 0)
			per := layout.Lblk(w.G.BlockSize / 4)
			last := layout.Lblk(12 + per + per*per + 2*per*per)
			w.setSize(t, uint64(last)+20)
			for _, l := range []layout.Lblk{last, 12 + per + per*per - 3, 12 + per - 3, 0, 12 + per + 5*per} {
				w.allocateAll(t, l, 20, false)
			}
			a, err := w.audit()
			if err != nil {
				t.Fatal(err)
			}
			if want := 5 * 20; len(a.blocks) != want {
				t.Fatalf("%d blocks, want %d", len(a.blocks), want)
			}
			path := w.judged(t)
			w.reopen(t, path)
			lists := 0
			view := w.J.View()
			err = w.m.Nodes(view, w.ino, func(n Node) error {
				if n.Block != 0 {
					lists++
				}
				return nil
			})
			view.Close()
			if err != nil || len(a.owned) != 100+lists {
				t.Fatalf("%d lists, %d blocks: %v", lists, len(a.owned), err)
			}
			w.Must(t, func(h *journal.Handle) error {
				_, _, err := w.m.Remove(h, w.ino, 5, 12+per)
				return err
			})
			if a, err = w.audit(); err != nil || len(a.blocks) != 100-15-3 {
				t.Fatalf("%d blocks after a punch: %v", len(a.blocks), err)
			}
			path = w.judged(t)
			w.reopen(t, path)
			w.removeAll(t)
			if a, err = w.audit(); err != nil || len(a.owned) != 0 {
				t.Fatalf("%d blocks after removal: %v", len(a.owned), err)
			}
			w.judged(t)
		})
	}
}
