package group

import (
	"errors"
	"syscall"
	"testing"

	"ext4img/ext4/layout"
	"ext4img/journal"

	"pgregory.net/rapid"
)

// A cell is the model's state of a block.
type cell byte

const (
	isFree cell = iota
	isMeta
	isUsed
	isResting
)

// A model holds the state of every block of a small file system.
type model struct {
	w      *world
	cells  []cell
	before []cell // when the handle began
	used   []layout.Extent
}

// TestModel allocates and frees in small groups, in handles that stop or are cancelled, and compares with a model.
// Blocks that are allocated were free and did not rest, and no request fails that could succeed.
func TestModel(t *testing.T) {
	for _, args := range [][]string{{"-O", "^has_journal"}, {"-O", "^has_journal,bigalloc", "-C", "4096"}} {
		made := mkfs(t, 8<<20, 0, append(args, "-b", "1024", "-g", "2048", "-m", "0")...)
		image := made.Dev.Image()
		rapid.Check(t, func(rt *rapid.T) {
			w := newWorld(t, image)
			m := &model{w: w, cells: make([]cell, w.G.Blocks)}
			m.learn()
			for range rapid.IntRange(1, 40).Draw(rt, "handles") {
				m.step(rt)
			}
		})
	}
}

// learn takes the initial state from the bitmaps.
func (m *model) learn() {
	v := m.w.J.View()
	defer v.Close()
	for g := range m.w.G.Groups {
		b, err := m.w.s.bitmap(v, g, blocks)
		if err != nil {
			m.w.t.Fatal(err)
		}
		for i := range m.w.s.size(g, blocks) {
			if b[i/8]>>(i%8)&1 != 0 {
				m.mark(m.w.s.block(g, i), m.w.G.ClusterRatio, isMeta)
			}
		}
	}
}

func (m *model) mark(p layout.Pblk, n uint32, c cell) {
	for i := range n {
		m.cells[p+layout.Pblk(i)] = c
	}
}

// step is one handle.
func (m *model) step(t *rapid.T) {
	h, err := m.w.J.Start(200)
	if err != nil {
		t.Fatal(err)
	}
	cells, used := append([]cell(nil), m.cells...), append([]layout.Extent(nil), m.used...)
	m.before = cells
	for range rapid.IntRange(1, 5).Draw(t, "operations") {
		if len(m.used) > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
			m.free(t, h)
		} else {
			m.alloc(t, h)
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "cancel") == 0 {
		h.Cancel()
		m.cells, m.used = cells, used
		return
	}
	if _, err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	if rapid.IntRange(0, 3).Draw(t, "commit") == 0 {
		if err := m.w.J.CommitAll(); err != nil {
			t.Fatal(err)
		}
		for i, c := range m.cells {
			if c == isResting {
				m.cells[i] = isFree
			}
		}
	}
}

func (m *model) free(t *rapid.T, h *journal.Handle) {
	i := rapid.IntRange(0, len(m.used)-1).Draw(t, "which")
	e, ratio := m.used[i], m.w.G.ClusterRatio
	from := rapid.Uint32Range(0, e.Len/ratio-1).Draw(t, "from") * ratio
	n := rapid.Uint32Range(1, (e.Len-from)/ratio).Draw(t, "clusters") * ratio
	if err := m.w.s.Free(h, e.Pblk+layout.Pblk(from), uint64(n)); err != nil {
		t.Fatal(err)
	}
	for i := range n { // blocks that the same handle has taken were free when it began
		p := e.Pblk + layout.Pblk(from+i)
		m.cells[p] = isResting
		if m.before[p] == isFree {
			m.cells[p] = isFree
		}
	}
	m.used = append(m.used[:i:i], m.used[i+1:]...)
	if from > 0 {
		m.used = append(m.used, layout.Extent{Pblk: e.Pblk, Len: from})
	}
	if rest := e.Len - from - n; rest > 0 {
		m.used = append(m.used, layout.Extent{Pblk: e.Pblk + layout.Pblk(from+n), Len: rest})
	}
}

func (m *model) alloc(t *rapid.T, h *journal.Handle) {
	ratio := m.w.G.ClusterRatio
	q := Request{
		Goal: layout.Pblk(rapid.Uint64Range(0, m.w.G.Blocks+5).Draw(t, "goal")), Min: rapid.Uint32Range(1, 300).Draw(t, "min"),
		Root: true,
	}
	q.Max = q.Min + rapid.Uint32Range(0, 3000).Draw(t, "more")
	p, n, err := m.w.s.Alloc(h, q)
	least := (q.Min + ratio - 1) / ratio * ratio
	if errors.Is(err, syscall.ENOSPC) {
		resting := false
		for _, c := range m.cells {
			resting = resting || c == isResting
		}
		if m.longest() >= least || errors.Is(err, ErrResting) && !resting {
			t.Fatalf("%+v: %v, but %d blocks are free in a row", q, err, m.longest())
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if n < least || n > (q.Max+ratio-1)/ratio*ratio {
		t.Fatalf("%+v gives %d blocks", q, n)
	}
	for i := range n {
		if c := m.cells[p+layout.Pblk(i)]; c != isFree {
			t.Fatalf("%+v gives %d+%d: block %d is %d", q, p, n, p+layout.Pblk(i), c)
		}
	}
	m.mark(p, n, isUsed)
	m.used = append(m.used, layout.Extent{Pblk: p, Len: n})
}

// longest is the longest free run within a group.
func (m *model) longest() (most uint32) {
	run := uint32(0)
	for p := layout.Pblk(m.w.G.FirstDataBlock); p < layout.Pblk(m.w.G.Blocks); p++ {
		if _, at := m.w.G.GroupOf(p); at == 0 {
			run = 0
		}
		if m.cells[p] != isFree {
			run = 0
			continue
		}
		run++
		most = max(most, run)
	}
	return most
}
