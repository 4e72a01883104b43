package extent

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"

	"pgregory.net/rapid"
)

// model is the expected map of a file.
type model struct {
	*world
	t      *rapid.T
	blocks map[uint64]mapped
	span   uint64 // logical blocks used
	top    uint64 // a second range of blocks begins here
}

// errCancel makes a test's handle be cancelled.
var errCancel = errors.New("cancelled by the test")

func TestModel(t *testing.T) {
	for _, v := range []struct {
		name  string
		limit int
		args  []string
	}{
		{"1k", 4, []string{"-b", "1024", "-O", "^has_journal"}},
		{"4k-wide", 7, []string{"-b", "4096", "-O", "^has_journal"}},
		{"nocsum", 6, []string{"-b", "1024", "-O", "^has_journal,^metadata_csum,^64bit"}},
		{"bigalloc", 4, []string{"-b", "1024", "-C", "8192", "-O", "^has_journal,bigalloc"}},
		{"indirect", 0, []string{"-b", "1024", "-O", "^has_journal,^extents,^64bit,^metadata_csum"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			image := mke2fs(t, "16M", v.args...)
			rapid.Check(t, func(r *rapid.T) { runModel(r, image, v.limit) })
		})
	}
}

func runModel(t *rapid.T, image *simdev.Image, limit int) {
	m := &model{world: newWorld(t, image, limit), t: t, blocks: map[uint64]mapped{}, span: 200, top: uint64(layout.MaxLblk) - 50}
	if limit == 0 {
		m.span, m.top = 2000, 300000
	}
	m.check()
	t.Repeat(map[string]func(*rapid.T){
		"":         func(*rapid.T) { m.check() },
		"allocate": func(*rapid.T) { m.allocate() },
		"insert":   func(*rapid.T) { m.insert() },
		"convert":  func(*rapid.T) { m.convert() },
		"scatter":  func(*rapid.T) { m.scatter() },
		"remove":   func(*rapid.T) { m.remove() },
		"shift":    func(*rapid.T) { m.shift() },
	})
	m.removeRange(0, 1<<32-1)
	m.check()
	if a, _ := m.audit(); len(a.owned) != 0 {
		t.Fatalf("%d clusters left after removal of all", len(a.owned))
	}
}

// check compares the file with the model.
func (m *model) check() {
	a, err := m.audit()
	if err != nil {
		m.t.Fatalf("audit: %v", err)
	}
	if len(a.blocks) != len(m.blocks) {
		m.t.Fatalf("%d blocks mapped, want %d", len(a.blocks), len(m.blocks))
	}
	for l, want := range m.blocks {
		if got := a.blocks[l]; got != want {
			m.t.Fatalf("logical block %d: %v, want %v", l, got, want)
		}
	}
	v := m.J.View()
	defer v.Close()
	m.checkLookup(v)
	seen := 0
	err = m.m.Walk(v, m.ino, 0, func(e layout.Extent) (bool, error) {
		for i := range uint64(e.Len) {
			if m.blocks[uint64(e.Lblk)+i] != (mapped{uint64(e.Pblk) + i, e.Unwritten}) {
				return false, fmt.Errorf("walk: %v, block %d is not so", e, i)
			}
			seen++
		}
		return true, nil
	})
	if err != nil || seen != len(m.blocks) {
		m.t.Fatalf("walk: %d blocks, want %d: %v", seen, len(m.blocks), err)
	}
}

func (m *model) checkLookup(v *journal.View) {
	for range 4 {
		l := m.lblk()
		e, err := m.m.Lookup(v, m.ino, layout.Lblk(l))
		if err != nil || e.Lblk != layout.Lblk(l) || e.Len == 0 {
			m.t.Fatalf("lookup %d: %v: %v", l, e, err)
		}
		want, ok := m.blocks[l]
		if ok != e.Mapped() || ok && (want != mapped{uint64(e.Pblk), e.Unwritten}) {
			m.t.Fatalf("lookup %d: %v, want %v", l, e, want)
		}
		if ok {
			if last := uint64(e.Len) - 1; m.blocks[l+last] != (mapped{want.p + last, want.unwritten}) {
				m.t.Fatalf("lookup %d: %v goes too far", l, e)
			}
			continue
		}
		if end := e.End(); end < 1<<32-1 && m.blocks[end] == (mapped{}) {
			m.t.Fatalf("lookup %d: hole up to %d, which is none's", l, end)
		}
		for k := range m.blocks {
			if k >= l && k < e.End() {
				m.t.Fatalf("lookup %d: hole %v, but %d is mapped", l, e, k)
			}
		}
	}
}

func (m *model) lblk() uint64 {
	if rapid.IntRange(0, 5).Draw(m.t, "high") == 0 {
		return m.top + rapid.Uint64Range(0, 50).Draw(m.t, "lblk")
	}
	return rapid.Uint64Range(0, m.span-1).Draw(m.t, "lblk")
}

func (m *model) length(most uint64) uint32 {
	return uint32(rapid.Uint64Range(1, most).Draw(m.t, "length"))
}

// try runs a change, sometimes in a handle that it then cancels. After a cancelled handle, and after one of the
// allowed errors, nothing may have changed, and try returns false.
func (m *model) try(fn func(h *journal.Handle) error, allowed ...error) bool {
	cancel := rapid.IntRange(0, 4).Draw(m.t, "cancel") == 0
	err := m.Do(m.t, func(h *journal.Handle) error {
		if err := fn(h); err != nil || !cancel {
			return err
		}
		return errCancel
	})
	if err == nil {
		return true
	}
	for _, a := range append(allowed, errCancel, syscall.ENOSPC) {
		if errors.Is(err, a) {
			return false
		}
	}
	if a, _ := m.audit(); errors.Is(err, syscall.EFBIG) && a.depth == layout.MaxExtentDepth {
		return false
	}
	m.t.Fatalf("%v", err)
	return false
}

func (m *model) indirect() bool { return m.G.Incompat&layout.IncompatExtents == 0 }

func (m *model) allocate() {
	l, n := m.lblk(), m.length(30)
	n = uint32(min(uint64(n), 1<<32-1-l))
	unwritten := rapid.Bool().Draw(m.t, "unwritten") && !m.indirect()
	var e layout.Extent
	_, taken := m.blocks[l]
	ok := m.try(func(h *journal.Handle) (err error) {
		e, err = m.m.Allocate(h, m.ino, layout.Lblk(l), n, unwritten)
		if taken != errors.Is(err, syscall.EEXIST) {
			m.t.Fatalf("allocate %d: taken %v: %v", l, taken, err)
		}
		return err
	}, syscall.EEXIST)
	if ok {
		if e.Lblk != layout.Lblk(l) || e.Len == 0 || e.Len > n || e.Unwritten != unwritten {
			m.t.Fatalf("allocate %d+%d: %v", l, n, e)
		}
		m.add(e)
	}
}

func (m *model) add(e layout.Extent) {
	for i := range uint64(e.Len) {
		if _, taken := m.blocks[uint64(e.Lblk)+i]; taken {
			m.t.Fatalf("%v was not a hole at %d", e, i)
		}
		m.blocks[uint64(e.Lblk)+i] = mapped{uint64(e.Pblk) + i, e.Unwritten}
	}
}

func (m *model) insert() {
	if m.G.Bigalloc() {
		m.t.Skip("clusters")
	}
	l, n := m.lblk(), m.length(5)
	n = uint32(min(uint64(n), 1<<32-1-l))
	e := layout.Extent{Lblk: layout.Lblk(l), Unwritten: rapid.Bool().Draw(m.t, "unwritten") && !m.indirect()}
	ok := m.try(func(h *journal.Handle) (err error) {
		if e.Pblk, e.Len, err = m.space.Alloc(h, group.Request{Goal: 5000, Min: 1, Max: n}); err != nil {
			return err
		}
		if err := m.inodes.AddBlocks(h, m.ino, int64(e.Len)); err != nil {
			return err
		}
		return m.m.Insert(h, m.ino, e)
	}, syscall.EEXIST)
	if ok {
		m.add(e)
	}
}

func (m *model) convert() {
	l, n := m.lblk(), m.length(40)
	unwritten := rapid.IntRange(0, 3).Draw(m.t, "unwritten") == 0
	if !rapid.Bool().Draw(m.t, "exact") {
		for _, ok := m.blocks[l]; !ok && l < m.span; _, ok = m.blocks[l] {
			l++
		}
		k := uint32(0)
		for _, ok := m.blocks[l]; ok && k < n; _, ok = m.blocks[l+uint64(k)] {
			k++
		}
		n = max(k, 1)
	}
	m.convertRange(l, n, unwritten)
}

func (m *model) convertRange(l uint64, n uint32, unwritten bool) {
	if m.indirect() {
		return
	}
	holes := false
	for i := range uint64(n) {
		_, ok := m.blocks[l+i]
		holes = holes || !ok
	}
	ok := m.try(func(h *journal.Handle) error {
		err := m.m.Convert(h, m.ino, layout.Lblk(l), n, unwritten)
		if holes && err == nil {
			m.t.Fatalf("convert %d+%d: holes converted", l, n)
		}
		return err
	}, ErrHole, syscall.EFBIG)
	if !ok {
		return
	}
	for i := range uint64(n) {
		b := m.blocks[l+i]
		b.unwritten = unwritten
		m.blocks[l+i] = b
	}
}

// scatter makes every second block of a range written, one by one, which gives the most extents possible.
func (m *model) scatter() {
	l := m.lblk()
	for i := range uint64(20) {
		if _, ok := m.blocks[l+2*i]; ok {
			m.convertRange(l+2*i, 1, false)
		}
	}
}

func (m *model) remove() {
	l, n := m.lblk(), uint64(m.length(60))
	if rapid.IntRange(0, 30).Draw(m.t, "all") == 0 {
		n = 1<<32 - 1 - l
	}
	m.removeRange(l, min(l+n, 1<<32-1))
}

// removeRange removes in handles with as few credits as possible.
func (m *model) removeRange(from, to uint64) {
	for done := false; !done; {
		h, err := m.J.Start(m.m.StepCredits())
		if err != nil {
			m.t.Fatalf("%v", err)
		}
		var next layout.Lblk
		done, next, err = m.m.Remove(h, m.ino, layout.Lblk(from), layout.Lblk(to))
		if err != nil {
			h.Cancel()
			if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EFBIG) {
				return
			}
			m.t.Fatalf("remove %d to %d: %v", from, to, err)
		}
		if _, err := h.Stop(); err != nil {
			m.t.Fatalf("%v", err)
		}
		for l := range m.blocks {
			if l >= uint64(next) && l < to {
				delete(m.blocks, l)
			}
		}
		to = uint64(next)
	}
}

func (m *model) shift() {
	if m.indirect() {
		m.t.Skip("no shift")
	}
	ratio := uint64(m.G.ClusterRatio)
	from := m.lblk() / ratio * ratio
	n := uint64(m.length(40)) * ratio
	if rapid.Bool().Draw(m.t, "collapse") {
		m.removeRange(from, min(from+n, 1<<32-1))
		for l := from; l < min(from+n, 1<<32-1); l++ {
			if _, ok := m.blocks[l]; ok {
				return // the removal ran out of space
			}
		}
		if from+n < 1<<32-1 {
			m.shiftFrom(from+n, -int64(n))
		}
		return
	}
	for l := range m.blocks {
		if l >= from && l+n > uint64(layout.MaxLblk) {
			m.wantShiftError(from, int64(n))
			return
		}
	}
	m.shiftFrom(from, int64(n))
}

func (m *model) wantShiftError(from uint64, delta int64) {
	err := m.Do(m.t, func(h *journal.Handle) error {
		_, _, err := m.m.Shift(h, m.ino, layout.Lblk(from), ^layout.Lblk(0), delta)
		return err
	})
	if !errors.Is(err, syscall.EFBIG) && !errors.Is(err, syscall.ENOSPC) {
		m.t.Fatalf("shift %d by %d: %v, want EFBIG", from, delta, err)
	}
}

func (m *model) shiftFrom(from uint64, delta int64) {
	first, last := layout.Lblk(from), ^layout.Lblk(0)
	for done := false; !done; {
		h, err := m.J.Start(m.m.StepCredits())
		if err != nil {
			m.t.Fatalf("%v", err)
		}
		var next layout.Lblk
		done, next, err = m.m.Shift(h, m.ino, first, last, delta)
		if err != nil {
			h.Cancel()
			if a, _ := m.audit(); errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EFBIG) && a.depth == layout.MaxExtentDepth {
				return // the split at the start found no space; nothing was moved
			}
			m.t.Fatalf("shift %d by %d: %v", from, delta, err)
		}
		if _, err := h.Stop(); err != nil {
			m.t.Fatalf("%v", err)
		}
		if delta < 0 {
			first = next
		} else {
			last = next
		}
		if _, err := m.audit(); err != nil {
			m.t.Fatalf("in the middle of a shift: %v", err)
		}
	}
	moved := map[uint64]mapped{}
	for l, b := range m.blocks {
		if l >= from {
			l = uint64(int64(l) + delta)
		}
		moved[l] = b
	}
	m.blocks = moved
}
