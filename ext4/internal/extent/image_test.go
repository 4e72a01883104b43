package extent

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/bare"
	"ext4img/testimages/judge"
)

// allocateAll maps [from, from+n).
func (w *world) allocateAll(t bare.T, from layout.Lblk, n uint32, unwritten bool) {
	t.Helper()
	for end := from + layout.Lblk(n); from < end; {
		w.Must(t, func(h *journal.Handle) error {
			e, err := w.m.Allocate(h, w.ino, from, uint32(end-from), unwritten)
			if err == nil {
				from += layout.Lblk(e.Len)
			}
			return err
		})
	}
}

func (w *world) removeAll(t bare.T) {
	t.Helper()
	to := ^layout.Lblk(0)
	for done := false; !done; {
		w.Must(t, func(h *journal.Handle) (err error) {
			done, to, err = w.m.Remove(h, w.ino, 0, to)
			return err
		})
	}
}

// dumped reads the extents of /f0 as debugfs sees them.
func dumped(t *testing.T, path string) []layout.Extent {
	t.Helper()
	var all []layout.Extent
	for lines := bufio.NewScanner(strings.NewReader(judge.Debugfs(t, path, "dump_extents -l /f0"))); lines.Scan(); {
		line := strings.NewReplacer("/", " ", "-", " ").Replace(lines.Text())
		var level, depth, i, n, first, last, p, plast uint64
		var length uint32
		if k, _ := fmt.Sscan(line, &level, &depth, &i, &n, &first, &last, &p, &plast, &length); k < 9 {
			continue
		}
		all = append(all, layout.Extent{Lblk: layout.Lblk(first), Pblk: layout.Pblk(p), Len: length, Unwritten: strings.Contains(line, "Uninit")})
	}
	return all
}

func (w *world) walked(t *testing.T) []layout.Extent {
	t.Helper()
	v := w.J.View()
	defer v.Close()
	var all []layout.Extent
	err := w.m.Walk(v, w.ino, 0, func(e layout.Extent) (bool, error) {
		all = append(all, e)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestScatteredConversions makes 9,000 scattered blocks in a range of 65,536 written, in batches, as direct writes
// do. Then it removes everything.
func TestScatteredConversions(t *testing.T) {
	for _, v := range []struct {
		name  string
		args  []string
		block uint32
	}{
		{"4k", []string{"-b", "4096"}, 4096},
		{"1k", []string{"-b", "1024"}, 1024},
		{"bigalloc", []string{"-b", "4096", "-O", "bigalloc", "-C", "65536"}, 4096},
	} {
		t.Run(v.name, func(t *testing.T) { scatter(t, mke2fs(t, fmt.Sprint(128*v.block/1024, "M"), v.args...)) })
	}
}

func scatter(t *testing.T, image *simdev.Image) {
	const blocks, writes, batch = 65536, 9000, 32
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, image, 0)
	w.setSize(t, blocks)
	w.allocateAll(t, 0, blocks, true)
	want := map[uint64]bool{}
	for order := rnd.Perm(blocks)[:writes]; len(order) > 0; order = order[min(batch, len(order)):] {
		some := slices.Clone(order[:min(batch, len(order))])
		slices.Sort(some)
		w.Must(t, func(h *journal.Handle) error {
			for _, l := range some {
				want[uint64(l)] = true
				if err := w.m.Convert(h, w.ino, layout.Lblk(l), 1, false); err != nil {
					return err
				}
			}
			return nil
		})
	}
	a, err := w.audit()
	if err != nil {
		t.Fatal(err)
	}
	extents := w.walked(t)
	t.Logf("%d extents in %d nodes, depth %d", len(extents), a.nodes, a.depth)
	if len(a.blocks) != blocks {
		t.Fatalf("%d blocks mapped, want %d", len(a.blocks), blocks)
	}
	for l, b := range a.blocks {
		if b.unwritten == want[l] {
			t.Fatalf("block %d: unwritten %v", l, b.unwritten)
		}
	}
	path := w.judged(t)
	if got := dumped(t, path); !slices.Equal(got, extents) {
		t.Fatalf("debugfs sees %d extents, we %d", len(got), len(extents))
	}
	w.reopen(t, path)
	w.removeAll(t)
	if a, err = w.audit(); err != nil || len(a.owned) != 0 || a.depth != 0 {
		t.Fatalf("after removal: %d clusters, depth %d: %v", len(a.owned), a.depth, err)
	}
	if got := w.freeNow(t); got != w.free {
		t.Fatalf("%d blocks free, want %d", got, w.free)
	}
	w.judged(t)
}

// reopen goes on with a saved image.
func (w *world) reopen(t *testing.T, path string) {
	t.Helper()
	image, err := simdev.LoadImage(path)
	if err != nil {
		t.Fatal(err)
	}
	free := w.free
	*w = *newWorld(t, image, w.m.nodeLimit)
	w.free = free
}

// TestLengths goes beyond the greatest lengths of both states.
func TestLengths(t *testing.T) {
	w := newWorld(t, mke2fs(t, "1G", "-b", "4096"), 0)
	w.setSize(t, 100000)
	state := func(what string, want ...layout.Extent) {
		t.Helper()
		got := w.walked(t)
		for i := range got {
			got[i].Pblk = 0
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
		if _, err := w.audit(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	convert := func(l layout.Lblk, n uint32, unwritten bool) {
		t.Helper()
		w.Must(t, func(h *journal.Handle) error { return w.m.Convert(h, w.ino, l, n, unwritten) })
	}
	var first layout.Extent
	w.Must(t, func(h *journal.Handle) (err error) {
		first, err = w.m.Allocate(h, w.ino, 0, 40000, false)
		return err
	})
	if first.Len != 32768 {
		t.Skipf("a run of %d blocks is no test", first.Len)
	}
	state("written", layout.Extent{Len: 32768})
	convert(0, 32768, true)
	state("unwritten", layout.Extent{Len: 32767, Unwritten: true}, layout.Extent{Lblk: 32767, Len: 1, Unwritten: true})
	convert(32767, 1, false)
	state("last written", layout.Extent{Len: 32767, Unwritten: true}, layout.Extent{Lblk: 32767, Len: 1})
	convert(100, 32667, false)
	state("tail written", layout.Extent{Len: 100, Unwritten: true}, layout.Extent{Lblk: 100, Len: 32668})
	convert(0, 100, false)
	state("written again", layout.Extent{Len: 32768})
	w.allocateAll(t, 32768, 10, false)
	if got := w.walked(t); len(got) != 2 || got[0].Len != 32768 || got[1].Len != 10 {
		t.Fatalf("beyond the limit: %v", got)
	}
	convert(5, 1, true)
	state("one", layout.Extent{Len: 5}, layout.Extent{Lblk: 5, Len: 1, Unwritten: true}, layout.Extent{Lblk: 6, Len: 32762}, layout.Extent{Lblk: 32768, Len: 10})
	w.judged(t)
}

// TestSequentialGrowsInPlace writes an unwritten extent from its start: the written extent grows, and nothing is
// split.
func TestSequentialGrowsInPlace(t *testing.T) {
	w := newWorld(t, mke2fs(t, "64M", "-b", "4096"), 0)
	w.setSize(t, 4096)
	w.allocateAll(t, 0, 4096, true)
	before := len(w.walked(t))
	for l := layout.Lblk(0); l < 4096; l += 16 {
		w.Must(t, func(h *journal.Handle) error { return w.m.Convert(h, w.ino, l, 16, false) })
		if n := len(w.walked(t)); n > before+1 {
			t.Fatalf("%d extents after %d blocks, %d before", n, l+16, before)
		}
	}
	w.judged(t)
}

// BenchmarkConvert is one handle of 32 scattered conversions.
func BenchmarkConvert(b *testing.B) {
	image := mke2fs(b, "1G", "-b", "4096")
	w := newWorld(b, image, 0)
	const blocks = 131072
	w.allocateAll(b, 0, blocks, true)
	order := rand.New(rand.NewPCG(1, 1)).Perm(blocks)
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		at := i * 32 % (blocks - 32)
		some := slices.Clone(order[at : at+32])
		slices.Sort(some)
		w.Must(b, func(h *journal.Handle) error {
			for _, l := range some {
				if err := w.m.Convert(h, w.ino, layout.Lblk(l), 1, i*32/blocks%2 == 1); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// TestRandomFillShrinks writes a whole range in random order: in the end the tree is as small as its extents allow.
func TestRandomFillShrinks(t *testing.T) {
	const blocks = 20000
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newWorld(t, mke2fs(t, "64M", "-b", "1024"), 0)
	w.setSize(t, blocks)
	w.allocateAll(t, 0, blocks, true)
	before := len(w.walked(t))
	most := 0
	for i, l := range rand.New(rand.NewPCG(seed, 5)).Perm(blocks) {
		w.Must(t, func(h *journal.Handle) error { return w.m.Convert(h, w.ino, layout.Lblk(l), 1, false) })
		if i%5000 == 0 {
			a, err := w.audit()
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, a.nodes)
		}
	}
	a, err := w.audit()
	if err != nil {
		t.Fatal(err)
	}
	after := len(w.walked(t))
	t.Logf("%d extents before, %d after; %d nodes at most, %d in the end", before, after, most, a.nodes)
	if after > 2*before+4 || a.nodes > 10 {
		t.Errorf("%d extents in %d nodes are left, %d extents at the start", after, a.nodes, before)
	}
	w.judged(t)
}
