package layout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ext4img/aio/block"
)

// Limits of extended attributes.
const (
	XattrMaxName  = 255   // bytes, prefix included
	XattrMaxValue = 65536 // EXT4_XATTR_SIZE_MAX, bytes
	XattrMaxRefs  = 1024  // EXT4_XATTR_REFCOUNT_MAX: inodes that share one block
)

// Values of e_name_index: the prefix of a name.
const (
	XattrUser       uint8 = 1
	XattrACLAccess  uint8 = 2
	XattrACLDefault uint8 = 3
	XattrTrusted    uint8 = 4
	XattrSecurity   uint8 = 6
	XattrSystem     uint8 = 7 // inline data
	XattrRichACL    uint8 = 8
	XattrEncryption uint8 = 9
	XattrHurd       uint8 = 10
)

const (
	xattrMagic   = 0xEA020000
	xattrHeader  = 32 // struct ext4_xattr_header, at the start of a block
	xattrEntry   = 16 // struct ext4_xattr_entry without the name
	xattrEnd     = 4  // the four zero bytes after the last entry
	xattrAlign   = 4
	xattrIHeader = 4 // struct ext4_xattr_ibody_header
)

// An Xattr is one attribute as it is stored.
type Xattr struct {
	Index uint8  // number of the prefix
	Name  string // without the prefix
	Value []byte // nil if the value is in an inode of its own
	Inum  Ino    // e_value_inum: that inode, or 0
	Size  uint32 // size of the value, bytes
	Hash  uint32 // e_hash; 0 in an inode's record
}

// xattrPrefixes are the prefixes of names by index. A prefix that does not end in a dot is the whole name.
var xattrPrefixes = [...]string{
	XattrUser: "user.", XattrACLAccess: "system.posix_acl_access", XattrACLDefault: "system.posix_acl_default",
	XattrTrusted: "trusted.", XattrSecurity: "security.", XattrRichACL: "system.richacl", XattrHurd: "gnu.",
	XattrSystem: "system.",
}

// SplitXattrName splits a name into its prefix and the rest. ok is false if ext4 has no such prefix.
func SplitXattrName(full string) (index uint8, name string, ok bool) {
	for i, p := range xattrPrefixes {
		whole := !strings.HasSuffix(p, ".")
		if p == "" || uint8(i) == XattrSystem || whole && full != p {
			continue
		}
		if rest, found := strings.CutPrefix(full, p); found && (whole || rest != "") {
			return uint8(i), rest, true
		}
	}
	if full == "system.data" {
		return XattrSystem, "data", true
	}
	return 0, "", false
}

// XattrPrefix is the prefix of names with an index. Lustre's attributes (5) and the encryption context have none.
// known reports whether the kernel has attributes of that index.
func XattrPrefix(index uint8) (prefix string, known bool) {
	if index == 0 || int(index) >= len(xattrPrefixes) {
		return "", false
	}
	return xattrPrefixes[index], true
}

// FullName is the name with its prefix. If the index has no prefix, the name begins with one that tells the index.
func (x Xattr) FullName() string {
	if prefix, _ := XattrPrefix(x.Index); prefix != "" {
		return prefix + x.Name
	}
	return fmt.Sprintf("index%d.%s", x.Index, x.Name)
}

func xattrPad(n int) int { return (n + xattrAlign - 1) &^ (xattrAlign - 1) }

// XattrSize is the room that attributes need, bytes: entries, the four zero bytes after them, and values.
func XattrSize(list []Xattr) int {
	n := xattrEnd
	for _, x := range list {
		n += xattrPad(xattrEntry + len(x.Name))
		if x.Inum == 0 {
			n += xattrPad(len(x.Value))
		}
	}
	return n
}

// parseXattrs decodes the entries that begin at first. Offsets of values count from the start of p. The values are
// slices of p.
func (g *Geometry) parseXattrs(p []byte, first int) ([]Xattr, error) {
	end := first
	for !xattrLast(p, end) {
		if end+xattrEntry > len(p) {
			return nil, Corruptf("attribute at %d: beyond the end", end)
		}
		next := end + xattrPad(xattrEntry+int(p[end]))
		if next+xattrEnd > len(p) {
			return nil, Corruptf("attribute at %d: name_len %d", end, p[end])
		}
		end = next
	}
	var list []Xattr
	for off := first; off < end; off += xattrPad(xattrEntry + int(p[off])) {
		x, err := g.parseXattr(p, off, end+xattrEnd)
		if err != nil {
			return nil, fmt.Errorf("attribute at %d: %w", off, err)
		}
		list = append(list, x)
	}
	return list, nil
}

// xattrLast reports whether off is at the end of the entries: four zero bytes, or no room for an entry.
func xattrLast(p []byte, off int) bool { return off+xattrEnd > len(p) || le.Uint32(p[off:]) == 0 }

// parseXattr decodes the entry at off. Its value must not begin before low.
func (g *Geometry) parseXattr(p []byte, off, low int) (Xattr, error) {
	e := p[off:]
	x := Xattr{
		Index: e[1], Name: string(e[xattrEntry : xattrEntry+int(e[0])]), Inum: Ino(le.Uint32(e[4:])),
		Size: le.Uint32(e[8:]), Hash: le.Uint32(e[12:]),
	}
	at := int(le.Uint16(e[2:]))
	switch {
	case x.Index == 0 && x.Name == "" || strings.IndexByte(x.Name, 0) >= 0:
		return x, Corruptf("name %q", x.Name)
	case x.Size > XattrMaxValue:
		return x, Corruptf("%s: value of %d bytes", x.FullName(), x.Size)
	case x.Inum != 0 && (g.Incompat&IncompatEAInode == 0 || !g.ValidIno(x.Inum) || x.Inum < g.FirstIno):
		return x, Corruptf("%s: value in inode %d", x.FullName(), x.Inum)
	case x.Inum != 0 || x.Size == 0:
		return x, nil
	case at < low || at+xattrPad(int(x.Size)) > len(p):
		return x, Corruptf("%s: value of %d bytes at %d", x.FullName(), x.Size, at)
	}
	x.Value = p[at : at+int(x.Size) : at+int(x.Size)]
	return x, nil
}

// putXattrs writes attributes: entries from first on, and values from the end backwards. They must fit; their values
// must not lie in p.
func putXattrs(p []byte, first int, list []Xattr) {
	clear(p[first:])
	off, at := first, len(p)
	for _, x := range list {
		e := p[off:]
		e[0], e[1] = uint8(len(x.Name)), x.Index
		if x.Inum == 0 && len(x.Value) > 0 {
			at -= xattrPad(len(x.Value))
			copy(p[at:], x.Value)
			le.PutUint16(e[2:], uint16(at))
		}
		le.PutUint32(e[4:], uint32(x.Inum))
		le.PutUint32(e[8:], x.Size)
		le.PutUint32(e[12:], x.Hash)
		copy(e[xattrEntry:], x.Name)
		off += xattrPad(xattrEntry + len(x.Name))
	}
}

// SortXattrs sorts attributes in the order that a block needs: by index, length of the name, name.
func SortXattrs(list []Xattr) {
	slices.SortFunc(list, func(a, b Xattr) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(len(a.Name), len(b.Name)), strings.Compare(a.Name, b.Name))
	})
}

// InodeXattrRoom is the room for attributes (XattrSize) in an inode's record, bytes. It is negative if the record can
// hold none: without i_extra_isize, a record does not say where attributes begin.
func InodeXattrRoom(in Inode) int {
	if in.ExtraIsize() == 0 {
		return -1
	}
	return len(in) - GoodOldInodeSize - in.ExtraIsize() - xattrIHeader
}

// xattrRegion is the part of an inode's record after its fields, or nil.
func xattrRegion(in Inode) []byte {
	if InodeXattrRoom(in) < xattrEnd {
		return nil
	}
	return in[GoodOldInodeSize+in.ExtraIsize():]
}

// InodeXattrs decodes the attributes in an inode's record. The values are slices of the record.
func (g *Geometry) InodeXattrs(in Inode) ([]Xattr, error) {
	p := xattrRegion(in)
	if p == nil || le.Uint32(p) != xattrMagic {
		return nil, nil
	}
	return g.parseXattrs(p[xattrIHeader:], 0)
}

// PutInodeXattrs writes the attributes in an inode's record. They must fit, and their values must not lie in the
// record.
func PutInodeXattrs(in Inode, list []Xattr) {
	p := xattrRegion(in)
	if p == nil {
		return
	}
	clear(p)
	if len(list) > 0 {
		le.PutUint32(p, xattrMagic)
		putXattrs(p[xattrIHeader:], 0, list)
	}
}

// XattrBlock is a view on a block of attributes.
type XattrBlock []byte

// InitXattrBlock writes a block of attributes, sorted by SortXattrs, with one reference. They must fit.
func InitXattrBlock(p []byte, list []Xattr) XattrBlock {
	clear(p[:xattrHeader])
	putXattrs(p, xattrHeader, list)
	b := XattrBlock(p)
	le.PutUint32(p, xattrMagic)
	b.SetRefs(1)
	le.PutUint32(p[8:], 1)
	le.PutUint32(p[12:], xattrBlockHash(list))
	return b
}

// XattrBlockRoom is the room for attributes (XattrSize) in a block, bytes.
func (g *Geometry) XattrBlockRoom() int { return g.BlockSize - xattrHeader }

// XattrMinLarge is the size above which the kernel prefers to store a value in an inode of its own
// (EXT4_XATTR_MIN_LARGE_EA_SIZE).
func (g *Geometry) XattrMinLarge() int {
	return g.XattrBlockRoom() - xattrPad(xattrEntry+3) - xattrEnd
}

// XattrValueRoom is the room for values in a block, bytes. If values can have inodes of their own, a part of the
// block is kept for entries (EXT4_XATTR_BLOCK_RESERVE).
func (g *Geometry) XattrValueRoom() int {
	if g.Incompat&IncompatEAInode == 0 {
		return g.XattrBlockRoom()
	}
	return g.BlockSize - min(g.BlockSize/8, 1024)
}

// XattrValueSize is the part of XattrValueRoom that attributes need.
func XattrValueSize(list []Xattr) (n int) {
	for _, x := range list {
		if x.Inum == 0 {
			n += xattrPad(len(x.Value))
		}
	}
	return n
}

// Refs is h_refcount: how many inodes share the block.
func (b XattrBlock) Refs() uint32 { return le.Uint32(b[4:]) }

// SetRefs sets h_refcount.
func (b XattrBlock) SetRefs(n uint32) { le.PutUint32(b[4:], n) }

// Hash is h_hash; it is 0 if the block must not be shared.
func (b XattrBlock) Hash() uint32 { return le.Uint32(b[12:]) }

// SameXattrs tells whether two blocks hold the same attributes.
func (b XattrBlock) SameXattrs(c XattrBlock) bool {
	return b.Hash() == c.Hash() && string(b[xattrHeader:]) == string(c[xattrHeader:])
}

// BlockXattrs decodes the attributes of a block. The values are slices of the block.
func (g *Geometry) BlockXattrs(b XattrBlock) ([]Xattr, error) { return g.parseXattrs(b, xattrHeader) }

// XattrBlockType is the buf.Type of a block of attributes.
type XattrBlockType struct {
	G     *Geometry
	Block Pblk
}

// String names the object in errors: buf.Type.
func (t XattrBlockType) String() string { return fmt.Sprintf("attribute block %d", t.Block) }

// Verify checks the checksum, then the structure.
func (t XattrBlockType) Verify(p []byte) error {
	if err := t.header(p); err != nil {
		return err
	}
	if got, want := le.Uint32(p[16:]), t.checksum(p); t.G.MetadataCsum() && got != want {
		return csumError(t.String(), got, want)
	}
	return t.Check(p)
}

func (t XattrBlockType) header(p []byte) error {
	if len(p) != t.G.BlockSize {
		return Corruptf("%s: %d bytes, want %d", t, len(p), t.G.BlockSize)
	}
	if magic, blocks := le.Uint32(p), le.Uint32(p[8:]); magic != xattrMagic || blocks != 1 {
		return Corruptf("%s: h_magic %#x, h_blocks %d", t, magic, blocks)
	}
	if refs := XattrBlock(p).Refs(); refs == 0 || refs > XattrMaxRefs {
		return Corruptf("%s: h_refcount %d", t, refs)
	}
	return nil
}

// Check checks header and entries.
func (t XattrBlockType) Check(p []byte) error {
	if err := t.header(p); err != nil {
		return err
	}
	if _, err := t.G.BlockXattrs(p); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	return nil
}

// Seal stores the checksum.
func (t XattrBlockType) Seal(p []byte) {
	if t.G.MetadataCsum() {
		le.PutUint32(p[16:], t.checksum(p))
	}
}

func (t XattrBlockType) checksum(p []byte) uint32 {
	var num [8]byte
	le.PutUint64(num[:], uint64(t.Block))
	c := block.Crc32c(block.Crc32c(t.G.CsumSeed, num[:]), p[:16])
	return block.Crc32c(block.Crc32c(c, []byte{0, 0, 0, 0}), p[20:])
}
