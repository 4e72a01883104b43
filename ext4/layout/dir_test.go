package layout

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// dirGeometry is the geometry of a file system, with only the fields that directories need.
func dirGeometry(blockSize int, csum bool) *Geometry {
	g := &Geometry{BlockSize: blockSize, Inodes: 1000, FirstIno: GoodOldFirst, InodeSize: 256, Incompat: IncompatFiletype | IncompatEAInode, Blocks: 1 << 20}
	if csum {
		g.ROCompat = ROCompatMetadataCsum
	}
	return g
}

func TestDirBlock(t *testing.T) {
	for _, bs := range []int{1024, 4096, 65536} {
		for _, csum := range []bool{false, true} {
			typ := DirBlockType{G: dirGeometry(bs, csum), Ino: 12, Gen: 7, Lblk: 3}
			f := typ.Format()
			p := make([]byte, bs)
			typ.PutTail(p)
			f.Clear(typ.Area(p))
			var names []string
			for i := 0; ; i++ {
				name := fmt.Sprintf("%0*d", 1+i%255, i)
				ok, err := f.Insert(typ.Area(p), name, Ino(1+i%1000), FTRegular)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				names = append(names, name)
			}
			typ.Seal(p)
			if err := typ.Verify(p); err != nil {
				t.Fatal(err)
			}
			for i, name := range names {
				e, ok, err := f.Find(typ.Area(p), name, nil)
				if err != nil || !ok || e.Ino != Ino(1+i%1000) {
					t.Fatalf("%q: %v %v %v", name, e, ok, err)
				}
			}
			p[20] ^= 1
			if err := typ.Verify(p); csum && !errors.Is(err, ErrCorrupt) {
				t.Errorf("a changed block of %d bytes: %v", bs, err)
			}
			p[20] ^= 1
			for i := len(names) - 1; i >= 0; i -= 2 {
				e, _, _ := f.Find(typ.Area(p), names[i], nil)
				if err := f.Delete(typ.Area(p), e.Off); err != nil {
					t.Fatal(err)
				}
				if _, ok, err := f.Find(typ.Area(p), names[i], nil); ok || err != nil {
					t.Fatalf("%q after Delete: %v, %v", names[i], ok, err)
				}
			}
			if err := typ.Check(p); err != nil {
				t.Error(err)
			}
			if err := f.Delete(typ.Area(p), 2); !errors.Is(err, ErrCorrupt) {
				t.Errorf("delete between records: %v", err)
			}
		}
	}
}

func TestRecLen64k(t *testing.T) {
	f := DirFormat{BlockSize: 65536, Inodes: 10, FileType: true}
	p := make([]byte, 65536)
	f.Clear(p)
	if e, err := f.At(p, 0); err != nil || e.RecLen != 65536 {
		t.Errorf("an empty block: %+v, %v", e, err)
	}
	f.DotEntries(p, 2, 2)
	if e, err := f.At(p, 12); err != nil || e.RecLen != 65524 {
		t.Errorf("the second record: %+v, %v", e, err)
	}
	p[12+4], p[12+5] = 0, 0 // 0 is 65536 too, which is too long here
	if _, err := f.At(p, 12); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a record beyond the block: %v", err)
	}
}

// TestBadDirents: records that are never valid.
func TestBadDirents(t *testing.T) {
	good := func() []byte {
		p := make([]byte, 64)
		f := DirFormat{BlockSize: 1024, Inodes: 10, FileType: true}
		f.Clear(p)
		f.Insert(p, "abc", 5, FTRegular)
		f.Insert(p, "def", 6, FTRegular)
		return p
	}
	f := DirFormat{BlockSize: 1024, Inodes: 10, FileType: true}
	for name, spoil := range map[string]func(p []byte){
		"rec_len 0":         func(p []byte) { p[4] = 0 },
		"rec_len 8":         func(p []byte) { p[4] = 8 },
		"rec_len odd":       func(p []byte) { p[4] = 13 },
		"rec_len too long":  func(p []byte) { p[12+4] = 200 },
		"name_len too long": func(p []byte) { p[6] = 5 },
		"inode too large":   func(p []byte) { p[0] = 11 },
		"crumbs at the end": func(p []byte) { p[12+4] = 48 },
	} {
		p := good()
		if err := f.Entries(p, func(Dirent) bool { return true }); err != nil {
			t.Fatal(err)
		}
		spoil(p)
		if err := f.Entries(p, func(Dirent) bool { return true }); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, e := range map[string]Dirent{"empty": {Ino: 1}, "slash": {Ino: 1, Name: []byte("a/b")}, "NUL": {Ino: 1, Name: []byte("a\x00")}} {
		if err := f.CheckName(e); !errors.Is(err, ErrCorrupt) {
			t.Errorf("name: %s: %v", name, err)
		}
	}
}

func TestDxNodes(t *testing.T) {
	for _, csum := range []bool{false, true} {
		g := dirGeometry(1024, csum)
		p := make([]byte, 1024)
		g.DirFormat(false, false).DotEntries(p, 12, 2)
		root := g.InitDxRoot(p, HashTea, 1)
		for i := 1; !root.Full(); i++ {
			root.Insert(root.Find(NameHash(i*10))+1, uint32(i*10), Lblk(i+1))
		}
		want := 124
		if csum {
			want = 123
		}
		if root.Len() != want || root.Version() != HashTea || root.Levels() != 0 {
			t.Fatalf("root of %d entries, hash %d, levels %d; want %d", root.Len(), root.Version(), root.Levels(), want)
		}
		for _, c := range []struct {
			h    NameHash
			want int
		}{{0, 0}, {9, 0}, {10, 1}, {19, 1}, {20, 2}, {0xFFFFFFF0, want - 1}} {
			if got := root.Find(c.h); got != c.want {
				t.Errorf("find %d: entry %d, want %d", c.h, got, c.want)
			}
		}
		q := make([]byte, 1024)
		node := g.InitDxNode(q, 0)
		if first := root.MoveTail(root.Len()/2, node); first != uint32(want/2*10) || node.Block(0) != Lblk(want/2+1) || root.Len()+node.Len() != want {
			t.Errorf("half of a node: from hash %d, block %d, %d and %d entries", first, node.Block(0), root.Len(), node.Len())
		}
		for lblk, b := range [][]byte{p, q} {
			typ := DxType{G: g, Ino: 12, Gen: 1, Lblk: Lblk(lblk)}
			typ.Seal(b)
			if err := typ.Verify(b); err != nil {
				t.Error(err)
			}
			b[len(b)-9] ^= 1 // after the entries in use: not covered
			if err := typ.Verify(b); err != nil {
				t.Error(err)
			}
			b[46] ^= 1
			if err := typ.Verify(b); csum && !errors.Is(err, ErrCorrupt) {
				t.Errorf("a changed index block: %v", err)
			}
		}
	}
}

// FuzzDirBlock: no bytes make the functions on a block panic or loop, and changes leave a valid block valid.
func FuzzDirBlock(f *testing.F) {
	p := make([]byte, 1024)
	dirGeometry(1024, false).DirFormat(false, false).DotEntries(p, 12, 2)
	f.Add(p, "name", false)
	f.Fuzz(func(t *testing.T, p []byte, name string, hashed bool) {
		if len(p) > 4096 || len(name) == 0 || len(name) > MaxNameLen {
			return
		}
		for _, bs := range []int{1024, 65536} {
			q := append(bytes.Clone(p), make([]byte, max(0, bs-len(p)))...)[:bs]
			typ := DirBlockType{G: dirGeometry(bs, false), Ino: 12, Encrypted: hashed, Casefold: hashed}
			format := typ.Format()
			right := typ.Check(q) == nil
			e, found, _ := format.Find(q, name, nil)
			if right && found {
				if err := format.Delete(q, e.Off); err != nil {
					t.Fatal(err)
				}
			}
			fits := format.Fits(q, format.RecLen(len(name)))
			ok, err := format.Insert(q, name, 5, FTRegular)
			if right && (err != nil || ok != fits || typ.Check(q) != nil) {
				t.Fatalf("insert: %v, %v; it fits: %v; then %v", ok, err, fits, typ.Check(q))
			}
		}
	})
}

// FuzzDx: no bytes make the functions on an index block panic.
func FuzzDx(f *testing.F) {
	g := dirGeometry(1024, true)
	p := make([]byte, 1024)
	g.DirFormat(false, false).DotEntries(p, 12, 2)
	g.InitDxRoot(p, HashTea, 1)
	f.Add(p)
	q := make([]byte, 1024)
	g.InitDxNode(q, 3)
	f.Add(q)
	f.Fuzz(func(t *testing.T, p []byte) {
		p = append(bytes.Clone(p), make([]byte, 1024)...)[:1024]
		for l := range Lblk(2) {
			typ := DxType{G: g, Ino: 12, Lblk: l}
			if typ.Check(p) != nil {
				continue
			}
			n, _ := typ.node(p)
			for _, h := range []NameHash{0, 1 << 20, hashEOF} {
				if i := n.Find(h); i < 0 || i >= n.Len() {
					t.Fatalf("find gave entry %d of %d", i, n.Len())
				}
			}
			typ.Seal(p)
			if err := typ.Verify(p); err != nil {
				t.Fatal(err)
			}
		}
	})
}
