package layout

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// extentGeometry is the geometry of a file system, with only the fields that extent nodes need.
func extentGeometry(blockSize int) *Geometry {
	return &Geometry{BlockSize: blockSize, Blocks: 1 << 33, ROCompat: ROCompatMetadataCsum, CsumSeed: 0x1234, ClusterRatio: 1}
}

func TestExtentLengths(t *testing.T) {
	n := InitExtentNode(make([]byte, InodeBlockSize), 0)
	n.Resize(0, 0, 1)
	for _, c := range []struct {
		e   Extent
		raw uint16
	}{
		{Extent{1, 1 << 40, 1, false}, 1},
		{Extent{MaxLblk, 7, 1, true}, 32769},
		{Extent{2, 3, 32767, false}, 32767},
		{Extent{2, 3, 32768, false}, 32768},
		{Extent{2, 3, 32767, true}, 65535},
	} {
		n.PutExtent(0, c.e)
		if got := n.Extent(0); got != c.e {
			t.Errorf("%v comes back as %v", c.e, got)
		}
		if raw := le.Uint16(n.entry(0)[4:]); raw != c.raw {
			t.Errorf("%v: ee_len %d, want %d", c.e, raw, c.raw)
		}
	}
}

func TestExtentJoins(t *testing.T) {
	e := Extent{100, 5000, 30000, false}
	next := Extent{30100, 35000, 2768, false}
	if !e.Joins(next) {
		t.Error("32768 written blocks join")
	}
	for name, other := range map[string]Extent{
		"too long": {30100, 35000, 2769, false}, "a gap": {30101, 35000, 1, false}, "elsewhere": {30100, 35001, 1, false}, "unwritten": {30100, 35000, 1, true},
	} {
		if e.Joins(other) {
			t.Errorf("%s: joins", name)
		}
	}
	e.Unwritten, next.Unwritten = true, true
	if e.Joins(next) {
		t.Error("32768 unwritten blocks join")
	}
}

func TestExtentNodeEdits(t *testing.T) {
	n := InitExtentNode(make([]byte, 1024), 0)
	if n.Max() != 84 || n.Entries() != 0 || !n.Leaf() {
		t.Fatalf("empty node: %d of %d", n.Entries(), n.Max())
	}
	for i := range 10 {
		n.Resize(i, 0, 1)
		n.PutExtent(i, Extent{Lblk(10 * i), Pblk(1000 + 10*i), 5, i%2 == 0})
	}
	for l, want := range map[Lblk]int{0: 0, 9: 0, 10: 1, 95: 9, MaxLblk: 9} {
		if got := n.Search(l); got != want {
			t.Errorf("search %d: %d, want %d", l, got, want)
		}
	}
	to := InitExtentNode(make([]byte, 1024), 0)
	n.CopyTail(6, to)
	n.Resize(6, 4, 0)
	n.Resize(1, 3, 1)
	n.PutExtent(1, Extent{11, 2000, 1, false})
	keys := func(n ExtentNode) (all []Lblk) {
		for i := range n.Entries() {
			all = append(all, n.Key(i))
		}
		return all
	}
	if got := keys(n); !slices.Equal(got, []Lblk{0, 11, 40, 50}) {
		t.Errorf("keys %v", got)
	}
	if got := keys(to); !slices.Equal(got, []Lblk{60, 70, 80, 90}) {
		t.Errorf("moved keys %v", got)
	}
	if !allZero(n[extentHeaderSize+4*extentEntrySize:]) {
		t.Error("entries given up are not zero")
	}
}

// TestExtentNodeChecksum: the checksum follows the eh_max entries, whatever their number, and depends on inode and
// generation.
func TestExtentNodeChecksum(t *testing.T) {
	for _, size := range []int{1024, 2048, 4096, 65536} {
		typ := ExtentNodeType{G: extentGeometry(size), Ino: 12, Gen: 7}
		n := InitExtentNode(make([]byte, size), 0)
		n.Resize(0, 0, 1)
		n.PutExtent(0, Extent{5, 999, 3, true})
		for _, most := range []int{n.Max(), n.Max() - 2} {
			le.PutUint16(n[4:], uint16(most))
			typ.Seal(n)
			if err := typ.Verify(n); err != nil {
				t.Fatalf("%d: %v", size, err)
			}
			if le.Uint32(n[12+12*most:]) == 0 {
				t.Errorf("%d: no checksum behind %d entries", size, most)
			}
			for _, other := range []ExtentNodeType{{typ.G, 13, 7}, {typ.G, 12, 8}} {
				if err := other.Verify(n); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%v, generation %d: %v", other, other.Gen, err)
				}
			}
		}
	}
}

func TestExtentNodeCheck(t *testing.T) {
	g := extentGeometry(1024)
	leaf := func(all ...Extent) []byte {
		n := InitExtentNode(make([]byte, 1024), 0)
		n.Resize(0, 0, len(all))
		for i, e := range all {
			n.PutExtent(i, e)
		}
		return n
	}
	index := func(depth int, all ...ExtentIndex) []byte {
		n := InitExtentNode(make([]byte, 1024), depth)
		n.Resize(0, 0, len(all))
		for i, x := range all {
			n.PutIndex(i, x)
		}
		return n
	}
	patched := func(off int, v byte) []byte {
		p := leaf(Extent{0, 10, 1, false})
		p[off] = v
		return p
	}
	for name, p := range map[string][]byte{
		"nothing":           {},
		"half a header":     make([]byte, 8),
		"zeros":             make([]byte, 1024),
		"eh_max too large":  patched(4, 85),
		"eh_max 0":          patched(4, 0),
		"eh_entries":        patched(3, 1),
		"eh_depth":          patched(6, 6),
		"length 0":          leaf(Extent{0, 10, 0, false}),
		"overlap":           leaf(Extent{0, 10, 5, false}, Extent{4, 100, 1, true}),
		"order":             leaf(Extent{9, 10, 5, false}, Extent{4, 100, 1, true}),
		"beyond the last":   leaf(Extent{MaxLblk, 10, 2, false}),
		"block 0":           leaf(Extent{0, 0, 1, false}),
		"outside":           leaf(Extent{0, 1 << 33, 1, false}),
		"partly outside":    leaf(Extent{0, 1<<33 - 1, 2, false}),
		"empty index":       index(1),
		"equal keys":        index(1, ExtentIndex{5, 10}, ExtentIndex{5, 11}),
		"child outside":     index(1, ExtentIndex{5, 1 << 33}),
		"child in block 0":  index(1, ExtentIndex{5, 0}),
		"deep for a block":  index(5, ExtentIndex{5, 10}),
		"unwritten overlap": leaf(Extent{0, 10, 32767, true}, Extent{32766, 100000, 1, true}),
	} {
		if err := g.CheckExtentNode(p, MaxExtentDepth-1); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, p := range map[string][]byte{
		"empty leaf":   leaf(),
		"neighbours":   leaf(Extent{0, 10, 32767, true}, Extent{32767, 100000, 32768, false}, Extent{MaxLblk, 3, 1, true}),
		"index":        index(4, ExtentIndex{0, 10}, ExtentIndex{MaxLblk, 11}),
		"fewer at all": patched(4, 2),
	} {
		if err := g.CheckExtentNode(p, MaxExtentDepth-1); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIndirectPath(t *testing.T) {
	for _, size := range []int{1024, 2048, 4096, 65536} {
		g := extentGeometry(size)
		per := size / 4
		last := g.IndirectEnd() - 1
		for _, c := range []struct {
			l    uint64
			want []int
		}{
			{0, []int{0}}, {11, []int{11}}, {12, []int{12, 0}}, {uint64(11 + per), []int{12, per - 1}},
			{uint64(12 + per), []int{13, 0, 0}}, {uint64(12 + per + per*per - 1), []int{13, per - 1, per - 1}},
			{uint64(12 + per + per*per), []int{14, 0, 0, 0}},
		} {
			if got, ok := g.IndirectPath(Lblk(c.l)); !ok || !slices.Equal(got, c.want) {
				t.Errorf("%d: block %d: %v, want %v", size, c.l, got, c.want)
			}
		}
		if _, ok := g.IndirectPath(Lblk(last)); !ok {
			t.Errorf("%d: block %d has no path", size, last)
		}
		if _, ok := g.IndirectPath(Lblk(last + 1)); ok && last < uint64(MaxLblk) {
			t.Errorf("%d: block %d has a path", size, last+1)
		}
	}
}

// FuzzExtentNode: any bytes that pass the check can be read, edited and sealed, and pass again.
func FuzzExtentNode(f *testing.F) {
	n := InitExtentNode(make([]byte, 1024), 0)
	n.Resize(0, 0, 2)
	n.PutExtent(0, Extent{0, 10, 3, false})
	n.PutExtent(1, Extent{3, 13, 3, true})
	f.Add([]byte(n), uint32(2))
	n = InitExtentNode(make([]byte, 1024), 1)
	n.Resize(0, 0, 1)
	n.PutIndex(0, ExtentIndex{4, 10})
	f.Add([]byte(n), uint32(9))
	f.Add(make([]byte, InodeBlockSize), uint32(0))
	f.Fuzz(func(t *testing.T, p []byte, l uint32) {
		g := extentGeometry(len(p))
		typ := ExtentNodeType{G: g, Ino: 12, Gen: 1}
		_ = typ.Verify(p)
		typ.Seal(p)
		root := g.CheckExtentRoot(12, p)
		if typ.Check(p) != nil {
			return
		}
		if root != nil {
			t.Fatalf("good as a block, not as a root: %v", root)
		}
		if err := typ.Verify(p); err != nil {
			t.Fatalf("sealed and not good: %v", err)
		}
		n := ExtentNode(p)
		at := n.Search(Lblk(l))
		if at >= 0 && n.Key(at) > Lblk(l) || at+1 < n.Entries() && n.Key(at+1) <= Lblk(l) {
			t.Fatalf("search %d: %d", l, at)
		}
		before := bytes.Clone(p)
		for i := range n.Entries() {
			if n.Leaf() {
				n.PutExtent(i, n.Extent(i))
			} else {
				n.PutIndex(i, n.Index(i))
			}
		}
		if n.Leaf() && !bytes.Equal(p, before) {
			t.Fatal("what was read and put back has changed")
		}
		if n.Entries() > 0 {
			n.Resize(0, 1, 0)
		}
	})
}
