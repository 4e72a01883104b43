package layout

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func testXattrs() []Xattr {
	list := []Xattr{
		{Index: XattrUser, Name: "b", Value: []byte("value"), Size: 5},
		{Index: XattrUser, Name: "a", Value: []byte{}, Size: 0},
		{Index: XattrTrusted, Name: strings.Repeat("n", 200), Value: bytes.Repeat([]byte("v"), 101), Size: 101},
		{Index: XattrSecurity, Name: "large", Inum: 77, Size: 60000},
	}
	for i, x := range list {
		list[i].Hash = XattrHash(x.Name, x.Value)
	}
	return list
}

func sameXattrs(a, b []Xattr) bool {
	return slices.EqualFunc(a, b, func(x, y Xattr) bool {
		return x.Index == y.Index && x.Name == y.Name && x.Inum == y.Inum && x.Size == y.Size && x.Hash == y.Hash && bytes.Equal(x.Value, y.Value)
	})
}

func TestXattrBlock(t *testing.T) {
	typ := XattrBlockType{G: dirGeometry(1024, true), Block: 99}
	list := testXattrs()
	SortXattrs(list)
	if list[0].Name != "a" || list[3].Name != "large" {
		t.Fatalf("sorted: %v", list)
	}
	p := make([]byte, 1024)
	b := InitXattrBlock(p, list)
	typ.Seal(p)
	if err := typ.Verify(p); err != nil {
		t.Fatal(err)
	}
	if got, err := typ.G.BlockXattrs(b); err != nil || !sameXattrs(got, list) {
		t.Errorf("read back %v, %v", got, err)
	}
	if b.Refs() != 1 || b.Hash() == 0 {
		t.Errorf("%d references, hash %d", b.Refs(), b.Hash())
	}
	p[1000] ^= 1
	if err := typ.Verify(p); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a changed block: %v", err)
	}
}

func TestInodeXattrs(t *testing.T) {
	g := dirGeometry(1024, true)
	in := Inode(make([]byte, 1024))
	in.SetExtraIsize(32)
	list := testXattrs()
	if XattrSize(list) > InodeXattrRoom(in) {
		t.Fatalf("%d bytes, room for %d", XattrSize(list), InodeXattrRoom(in))
	}
	PutInodeXattrs(in, list)
	if got, err := g.InodeXattrs(in); err != nil || !sameXattrs(got, list) {
		t.Errorf("read back %v, %v", got, err)
	}
	PutInodeXattrs(in, nil)
	if got, err := g.InodeXattrs(in); err != nil || got != nil || !allZero(in[160:]) {
		t.Errorf("after all are gone: %v, %v", got, err)
	}
	small := Inode(make([]byte, 128))
	if n := InodeXattrRoom(small); n >= 0 {
		t.Errorf("room for %d bytes in an inode of 128", n)
	}
	PutInodeXattrs(small, nil)
}

func TestXattrNames(t *testing.T) {
	for full, want := range map[string]uint8{
		"user.x": XattrUser, "trusted.x.y": XattrTrusted, "security.capability": XattrSecurity, "system.posix_acl_access": XattrACLAccess,
		"system.posix_acl_default": XattrACLDefault, "system.data": XattrSystem, "gnu.x": XattrHurd, "system.richacl": XattrRichACL,
		"user.": 0, "user": 0, "system.posix_acl_accessory": 0, "system.other": 0, "": 0, ".x": 0,
	} {
		index, name, ok := SplitXattrName(full)
		if index != want || ok != (want != 0) {
			t.Errorf("%q: index %d, %v; want %d", full, index, ok, want)
		}
		if x := (Xattr{Index: index, Name: name}); ok && x.FullName() != full {
			t.Errorf("%q: comes back as %q", full, x.FullName())
		}
	}
}

func TestACL(t *testing.T) {
	v2 := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 7, 0, 1, 2, 3, 4, 4, 0, 4, 0, 255, 255, 255, 255, 0x10, 0, 7, 0, 255, 255, 255, 255,
		0x20, 0, 0, 0, 255, 255, 255, 255}
	v1 := []byte{1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 7, 0, 1, 2, 3, 4, 4, 0, 4, 0, 0x10, 0, 7, 0, 0x20, 0, 0, 0}
	if got, ok := ACLToDisk(v2); !ok || !bytes.Equal(got, v1) {
		t.Errorf("to disk: %x, %v", got, ok)
	}
	if got, ok := ACLFromDisk(v1); !ok || !bytes.Equal(got, v2) {
		t.Errorf("from disk: %x, %v", got, ok)
	}
	for _, bad := range [][]byte{nil, {2}, v1, v2[:7], append(bytes.Clone(v2), 3, 0, 0, 0, 0, 0, 0, 0)} {
		if _, ok := ACLToDisk(bad); ok {
			t.Errorf("%x passes as an ACL", bad)
		}
	}
}

// FuzzXattrs: no bytes make the parsers panic, and attributes that they accept can be written and read again.
func FuzzXattrs(f *testing.F) {
	list := testXattrs()
	SortXattrs(list)
	p := make([]byte, 1024)
	InitXattrBlock(p, list)
	f.Add(p)
	f.Fuzz(func(t *testing.T, p []byte) {
		g := dirGeometry(1024, false)
		p = append(bytes.Clone(p), make([]byte, 1024)...)[:1024]
		in := Inode(bytes.Clone(p))
		_, _ = g.InodeXattrs(in)
		if (XattrBlockType{G: g, Block: 5}).Verify(p) != nil {
			return
		}
		list, err := g.BlockXattrs(p)
		if err != nil {
			t.Fatal(err)
		}
		if XattrSize(list) > g.XattrBlockRoom() {
			return // the values overlap
		}
		q := make([]byte, 1024)
		got, err := g.BlockXattrs(InitXattrBlock(q, list))
		if err != nil || !sameXattrs(got, list) {
			t.Fatalf("%v came back as %v, %v", list, got, err)
		}
	})
}

// FuzzACL: no bytes make the conversions panic, and an accepted ACL converts back to itself.
func FuzzACL(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 7, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, p []byte) {
		if v, ok := ACLFromDisk(p); ok {
			if back, ok := ACLToDisk(v); ok && !bytes.Equal(back, p) {
				t.Fatalf("%x came back as %x", p, back)
			}
		}
		_, _ = ACLToDisk(p)
	})
}
