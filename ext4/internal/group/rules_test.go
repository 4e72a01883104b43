package group

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/effort"
)

// fill takes all free space and returns it.
func (w *world) fill() (all []layout.Extent) {
	w.t.Helper()
	for {
		p, n, err := w.alloc(Request{Min: 1, Max: 1 << 15, Root: true})
		if errors.Is(err, syscall.ENOSPC) && !errors.Is(err, ErrResting) {
			return all
		}
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, layout.Extent{Pblk: p, Len: n})
	}
}

// allocated is the number of blocks that a request gets; 0 if there is no space for it.
func (w *world) allocated(q Request) uint64 {
	w.t.Helper()
	_, n, err := w.alloc(q)
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		w.t.Fatal(err)
	}
	return uint64(n)
}

func (w *world) took(q Request, want uint64) {
	w.t.Helper()
	if n := w.allocated(q); n != want {
		w.t.Fatalf("%+v got %d blocks, want %d", q, n, want)
	}
}

func (w *world) freeCount() uint64 {
	w.t.Helper()
	v := w.J.View()
	defer v.Close()
	n, err := w.s.FreeCount(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// TestFreedBlocksRest is ordering O5: blocks that a transaction has freed are not allocated before it has committed,
// since until then a crash gives them back to their old owner.
func TestFreedBlocksRest(t *testing.T) {
	for _, name := range []string{"has_journal", "^has_journal"} {
		t.Run(name, func(t *testing.T) {
			w := mkfs(t, 64<<20, 0, "-b", "1024", "-O", name)
			all := w.fill()
			if n := w.freeCount(); n != 0 {
				t.Fatalf("%d blocks free after filling", n)
			}
			if err := w.J.CommitAll(); err != nil {
				t.Fatal(err)
			}
			one := all[3]
			w.free(one.Pblk, uint64(one.Len))
			if _, _, err := w.alloc(Request{Min: 1, Max: 1}); !errors.Is(err, ErrResting) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("allocating what rests: %v", err)
			}
			if err := w.J.CommitAll(); err != nil {
				t.Fatal(err)
			}
			p, n, err := w.alloc(Request{Max: one.Len, Root: true})
			if err != nil || p != one.Pblk || n != one.Len {
				t.Fatalf("after the commit: %d+%d, %v; want %d+%d", p, n, err, one.Pblk, one.Len)
			}
			for i, e := range all {
				if i%2 == 0 { // many spans of a group, so that they become a bitmap
					for b := uint32(0); b < min(e.Len, 400); b += 2 {
						w.free(e.Pblk+layout.Pblk(b), 1)
					}
				}
			}
			if _, _, err := w.alloc(Request{Max: 1, Root: true}); !errors.Is(err, ErrResting) {
				t.Fatalf("allocating what rests: %v", err)
			}
		})
	}
}

// TestCancelForgets cancels handles: blocks that they freed do not rest, blocks that they took are free, and the
// hints agree.
func TestCancelForgets(t *testing.T) {
	w := mkfs(t, 32<<20, 0, "-b", "1024")
	before := w.freeCount()
	h, err := w.J.Start(500)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, _, err := w.s.Alloc(h, Request{Max: 1 << 15, Root: true}); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	h.Cancel()
	if n := w.freeCount(); n != before {
		t.Fatalf("%d free after the cancelled handle, %d before", n, before)
	}
	all := w.fill()
	if h, err = w.J.Start(500); err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if err := w.s.Free(h, e.Pblk, uint64(e.Len)); err != nil {
			t.Fatal(err)
		}
	}
	h.Cancel()
	if _, _, err := w.alloc(Request{Max: 1}); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrResting) {
		t.Fatalf("allocating in a full file system: %v", err)
	}
	for _, e := range all {
		w.free(e.Pblk, uint64(e.Len))
	}
	if n := w.freeCount(); n != before {
		t.Fatalf("%d free at the end, %d before", n, before)
	}
	w.fsck()
}

// TestPool fills a file system with a pool, and then with promises. Ordinary allocation leaves both, a split leaves
// the promised clusters, and a split with the promise gets even the last cluster.
func TestPool(t *testing.T) {
	for _, v := range []struct {
		options []string
		pool    uint64 // clusters
	}{
		{[]string{"-b", "1024", "-m", "10"}, 32768 / 50},
		{[]string{"-b", "4096", "-m", "0"}, 8192 / 50},
		{[]string{"-b", "1024", "-O", "bigalloc", "-C", "16384"}, 2048 / 50},
		{[]string{"-b", "1024", "-O", "^extent,^has_journal,^64bit"}, 0},
	} {
		t.Run(strings.Join(v.options, ""), func(t *testing.T) {
			w := mkfs(t, 32<<20, 0, v.options...)
			ratio := uint64(w.G.ClusterRatio)
			if n := PoolSize(w.G); n != v.pool {
				t.Fatalf("pool of %d clusters, want %d", n, v.pool)
			}
			free := w.freeCount()
			w.s.SetPool(v.pool)
			if n := w.freeCount(); n != free-v.pool*ratio {
				t.Fatalf("%d free, want %d less than %d", n, v.pool*ratio, free)
			}
			promise := func(n uint64) error {
				v := w.J.View()
				defer v.Close()
				return w.s.Promise(v, n)
			}
			if err := promise(free/ratio + 1); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("promising more than there is: %v", err)
			}
			w.fill()
			most := Request{Max: 1 << 15, Root: true}
			w.took(most, 0)
			if v.pool == 0 {
				w.took(Request{Max: 1, Root: true, Reach: Pool}, 0)
				return
			}
			if err := promise(10); err != nil {
				t.Fatal(err)
			}
			w.took(most, 0)
			w.took(Request{Max: uint32(ratio), Root: true, Reach: Pool}, ratio)
			w.s.SetPool(0)
			for w.allocated(Request{Max: 1 << 15, Root: true, Reach: Pool}) > 0 {
			}
			w.took(most, 0)
			if err := promise(1); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("promising what is promised: %v", err)
			}
			for left := uint64(10); left > 0; left-- {
				w.took(Request{Max: uint32(ratio), Root: true, Reach: Promised}, ratio)
				w.s.Release(1)
			}
			w.took(Request{Max: 1, Root: true, Reach: Promised}, 0)
		})
	}
}

// TestKeptForRoot: an allocation takes blocks that the superblock reserves for root only if it may.
func TestKeptForRoot(t *testing.T) {
	w := mkfs(t, 32<<20, 0, "-b", "1024", "-m", "10")
	for w.allocated(Request{Max: 1 << 15}) > 0 {
	}
	if n := w.freeCount(); n < 3276 || n > 3277 {
		t.Fatalf("%d blocks left, want the tenth that is reserved", n)
	}
	w.took(Request{Max: 1, Root: true}, 1)
}

// TestBadFree: blocks that must not be freed are refused.
func TestBadFree(t *testing.T) {
	w := mkfs(t, 64<<20, 0, "-b", "1024")
	v := w.J.View()
	d, err := w.s.Desc(v, 1)
	if err != nil {
		t.Fatal(err)
	}
	table := d.InodeTable()
	v.Close()
	p, _, err := w.alloc(Request{Max: 4})
	if err != nil {
		t.Fatal(err)
	}
	w.free(p, 4)
	for _, x := range []struct {
		p layout.Pblk
		n uint64
	}{{p, 1}, {p + 3, 1}, {1, 1}, {table + 3, 1}, {table - 1, 2}, {0, 1}, {1 << 40, 1}, {5, 1 << 60}, {p, 0}, {8193, 1}} {
		err := w.do(func(h *journal.Handle) error { return w.s.Free(h, x.p, x.n) })
		if !errors.Is(err, layout.ErrCorrupt) {
			t.Errorf("freeing %d+%d: %v", x.p, x.n, err)
		}
	}
	w.fsck()
}

// TestContiguous allocates a large file in an empty file system, in requests of the length of an extent.
func TestContiguous(t *testing.T) {
	for _, args := range [][]string{nil, {"-b", "1024"}, {"-O", "^flex_bg"}} {
		w := mkfs(t, 2<<30, 0, args...)
		runs := w.stream(1<<30/w.G.BlockSize, layout.MaxUnwrittenLen)
		limit := 12
		if w.G.BlockSize == 1024 {
			limit = 1<<20/int(w.G.BlocksPerGroup) + 2
		}
		if len(runs) > limit {
			t.Errorf("mke2fs %v: %d extents for 1 GiB, want at most %d: %v", args, len(runs), limit, runs)
		}
	}
}

// stream allocates n blocks, each request at the end of the one before, and returns the extents.
func (w *world) stream(n int, most uint32) (runs []layout.Extent) {
	w.t.Helper()
	v := w.s.GoalFor(12)
	for n > 0 {
		p, got, err := w.alloc(Request{Goal: v, Max: uint32(min(n, int(most)))})
		if err != nil {
			w.t.Fatal(err)
		}
		if k := len(runs); k > 0 && runs[k-1].Pblk+layout.Pblk(runs[k-1].Len) == p && runs[k-1].Len+got <= most {
			runs[k-1].Len += got
		} else {
			runs = append(runs, layout.Extent{Pblk: p, Len: got})
		}
		n -= int(got)
		v = p + layout.Pblk(got)
	}
	return runs
}

// TestHuge allocates 1 TiB in a sparse file system of 15 TiB.
func TestHuge(t *testing.T) {
	effort.NeedLong(t, "long")
	w := mkfs(t, 15<<40, 0, "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", "-N", "4000000")
	start := time.Now()
	runs := w.stream(int(1<<40/int64(w.G.BlockSize)), layout.MaxUnwrittenLen)
	t.Logf("%d extents in %v", len(runs), time.Since(start))
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("1 TiB took %v", d)
	}
	start = time.Now()
	for range 1000 { // far from any goal
		if _, _, err := w.alloc(Request{Goal: 1, Min: 1, Max: 1 << 15}); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("1000 more from the start: %v", time.Since(start))
}

// TestGoalAtGroupEnd makes a large request when the rest of the goal's group is in use and the next group is free.
func TestGoalAtGroupEnd(t *testing.T) {
	w := mkfs(t, 2<<30, 0)
	first := w.G.GroupFirst(6)
	if p, n, err := w.alloc(Request{Goal: first + 32760, Max: 8}); err != nil || p != first+32760 || n != 8 {
		t.Fatalf("%d+%d, %v", p, n, err)
	}
	if p, n, err := w.alloc(Request{Goal: first + 32766, Max: 32767}); err != nil || n != 32767 {
		t.Fatalf("%d+%d, %v", p, n, err)
	}
	if p, n, err := w.alloc(Request{Goal: first + 20000, Max: 100}); err != nil || p != first+20000 || n != 100 {
		t.Fatalf("%d+%d, %v", p, n, err)
	}
}

// TestBelow: an allocation stays below the blocks that an indirect map can reach.
func TestBelow(t *testing.T) {
	w := mkfs(t, 64<<20, 0, "-b", "1024")
	for {
		p, n, err := w.alloc(Request{Goal: 60000, Max: 512, Below: 30000, Root: true})
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil || p+layout.Pblk(n) > 30000 {
			t.Fatalf("%d+%d, %v", p, n, err)
		}
	}
	if w.freeCount() == 0 {
		t.Error("nothing left above")
	}
}
