package buf

import (
	"testing"
	"unsafe"

	"ext4img/aio/block"
)

type kind struct{ n int }

func (kind) String() string      { return "kind" }
func (kind) Verify([]byte) error { return nil }
func (kind) Check([]byte) error  { return nil }
func (kind) Seal([]byte)         {}

func fillCache(c *Cache, from, n uint64) {
	for b := from; b < from+n; b++ {
		c.Insert(b, make([]byte, 1024))
	}
}

func TestBound(t *testing.T) {
	c := NewCache(1024, 20*1024)
	pinned := c.Insert(1000, make([]byte, 1024))
	c.Pin(pinned)
	fillCache(c, 0, 20)
	c.Lookup(0) // used again
	fillCache(c, 20, 1)
	if c.Len() != 21 {
		t.Errorf("%d blocks, want 20 and the pinned one", c.Len())
	}
	if c.Lookup(1000) != pinned || c.Lookup(0) == nil || c.Lookup(1) != nil {
		t.Error("another block than the least recently used one has gone")
	}
	c.Unpin(pinned)
	fillCache(c, 100, 20)
	if c.Lookup(1000) != nil {
		t.Error("an unpinned block stays for ever")
	}
}

func TestPinBringsBack(t *testing.T) {
	c := NewCache(1024, 1)
	b := c.Insert(1, make([]byte, 1024))
	b.Data[0] = 7
	fillCache(c, 10, 50)
	if c.Lookup(1) != nil {
		t.Fatal("not evicted")
	}
	c.Pin(b)
	if c.Lookup(1) != b {
		t.Error("not back")
	}
	c.Unpin(b)
}

func TestDiscard(t *testing.T) {
	c := NewCache(1024, 1)
	b := c.Insert(1, make([]byte, 1024))
	c.Pin(b)
	c.Discard(b)
	if c.Lookup(1) != nil {
		t.Error("still there")
	}
	c.Unpin(b)
	if c.Lookup(1) != nil {
		t.Error("a discarded block has come back")
	}
	fillCache(c, 1, 5)
	c.Reset()
	if c.Len() != 0 {
		t.Errorf("%d blocks after Reset", c.Len())
	}
}

func TestVerified(t *testing.T) {
	c := NewCache(1024, 1)
	b := c.Insert(1, make([]byte, 1024))
	is := func(r Ref) bool {
		got, ok := c.Find(r)
		return ok && got == b
	}
	r := Ref{Block: 1, Off: 128, Len: 128, Type: kind{1}}
	if is(r) {
		t.Error("verified from the start")
	}
	c.SetVerified(b, r)
	other := r
	other.Type = kind{2}
	if !is(r) || is(other) {
		t.Error("verified as what it is not")
	}
	c.SetVerified(b, other)
	if is(r) || !is(other) {
		t.Error("the last type counts")
	}
	next := Ref{Block: 1, Off: 256, Len: 128, Type: kind{1}}
	c.SetVerified(b, next)
	whole := Ref{Block: 1, Off: 200, Len: 56, Type: kind{3}}
	c.SetChanged(b, whole)
	if is(other) || !is(next) || !is(whole) {
		t.Error("what overlaps a change is not verified any more, and nothing else")
	}
	if b, ok := c.Find(Ref{Block: 2, Len: 1, Type: kind{1}}); b != nil || ok {
		t.Error("found a block that is not there")
	}
}

func TestAligned(t *testing.T) {
	for _, align := range []int{1, 512, 4096, 65536} {
		for _, n := range []int{0, 1, 1024, 4096, 12288} {
			p := block.Aligned(n, align)
			if len(p) != n || n > 0 && uintptr(unsafe.Pointer(unsafe.SliceData(p)))%uintptr(align) != 0 {
				t.Errorf("block.Aligned(%d, %d): %d bytes at %p", n, align, len(p), p)
			}
		}
	}
}

func TestRef(t *testing.T) {
	k := kind{}
	for _, c := range []struct {
		r    Ref
		want bool
	}{
		{Ref{Off: 0, Len: 1024, Type: k}, true},
		{Ref{Off: 1, Len: 1024, Type: k}, false},
		{Ref{Off: 1000, Len: 24, Type: k}, true},
		{Ref{Off: -1, Len: 10, Type: k}, false},
		{Ref{Off: 0, Len: 0, Type: k}, false},
		{Ref{Off: 0, Len: 10}, false},
		{Ref{Off: 1, Len: int(^uint(0) >> 1), Type: k}, false},
	} {
		if got := c.r.In(1024); got != c.want {
			t.Errorf("%+v: %v", c.r, got)
		}
	}
	if got := (Ref{Block: 7, Off: 256, Type: k}).String(); got != "kind: block 7+256" {
		t.Error(got)
	}
}
