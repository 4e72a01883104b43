package layout

import (
	"fmt"
	"math"

	"ext4img/aio/block"
)

// Limits of extents and their trees.
const (
	MaxWrittenLen   uint32 = 32768 // blocks in a written extent (EXT_INIT_MAX_LEN)
	MaxUnwrittenLen uint32 = 32767 // blocks in an unwritten one (EXT_UNWRITTEN_MAX_LEN)
	MaxExtentDepth         = 5     // eh_depth of a root (EXT4_MAX_EXTENT_DEPTH)
)

const (
	extentMagic      = 0xF30A
	extentHeaderSize = 12
	extentEntrySize  = 12
	extentTailSize   = 4
)

// Extent maps Len blocks of a file, from Lblk on, to the blocks from Pblk on. An unwritten extent is allocated and
// reads as zeros. If Pblk is 0, the Extent describes a hole.
type Extent struct {
	Lblk      Lblk
	Pblk      Pblk
	Len       uint32 // blocks
	Unwritten bool
}

// Mapped reports whether this is an extent and not a hole.
func (e Extent) Mapped() bool { return e.Pblk != 0 }

// End is the logical block after the last one.
func (e Extent) End() uint64 { return uint64(e.Lblk) + uint64(e.Len) }

// EndByte is the byte of the file after the last one of the extent, for blocks of a size in bytes.
func (e Extent) EndByte(blockSize int) int64 { return int64(e.End()) * int64(blockSize) }

// DevByte is where the byte off of the file, which lies in the extent, is on the device, in bytes, for blocks of a size in
// bytes. The extent is mapped.
func (e Extent) DevByte(off int64, blockSize int) int64 {
	return (int64(e.Pblk)-int64(e.Lblk))*int64(blockSize) + off
}

// MaxLen is the greatest length an extent of this state may have.
func (e Extent) MaxLen() uint32 {
	if e.Unwritten {
		return MaxUnwrittenLen
	}
	return MaxWrittenLen
}

// Cut is the part of the extent, or of the hole, within [from, to). The range must overlap it.
func (e Extent) Cut(from, to uint64) Extent {
	from, to = max(from, uint64(e.Lblk)), min(to, e.End())
	if e.Mapped() {
		e.Pblk += Pblk(from - uint64(e.Lblk))
	}
	e.Lblk, e.Len = Lblk(from), uint32(to-from)
	return e
}

// Joins tells whether next continues the extent, logically and physically and in the same state, and both together
// do not exceed the greatest length.
func (e Extent) Joins(next Extent) bool {
	return e.End() == uint64(next.Lblk) && e.Pblk+Pblk(e.Len) == next.Pblk && e.Unwritten == next.Unwritten &&
		uint64(e.Len)+uint64(next.Len) <= uint64(e.MaxLen())
}

// ExtentIndex is an entry of an index node: the subtree of the logical blocks from Lblk up to the next entry.
type ExtentIndex struct {
	Lblk  Lblk
	Child Pblk
}

// ExtentNode is a view on a node of an extent tree: a whole block, or the root in an inode's i_block. A node of depth 0
// is a leaf and holds extents; any other holds indexes.
type ExtentNode []byte

// ParseExtentNode checks the header of a node: what lies within the header's bounds can be read from then on. It
// does not check the entries (Geometry.CheckExtentNode).
func ParseExtentNode(p []byte) (ExtentNode, error) {
	if len(p) < extentHeaderSize {
		return nil, Corruptf("%d bytes, want a header of %d", len(p), extentHeaderSize)
	}
	n := ExtentNode(p)
	if magic := le.Uint16(p); magic != extentMagic {
		return nil, Corruptf("eh_magic %#x, want %#x", magic, extentMagic)
	}
	if room := ExtentNodeCapacity(len(p)); n.Max() == 0 || n.Max() > room {
		return nil, Corruptf("eh_max %d, want 1 to %d", n.Max(), room)
	}
	if n.Entries() > n.Max() {
		return nil, Corruptf("eh_entries %d, want at most eh_max %d", n.Entries(), n.Max())
	}
	if n.Depth() > MaxExtentDepth {
		return nil, Corruptf("eh_depth %d, want at most %d", n.Depth(), MaxExtentDepth)
	}
	return n, nil
}

// ExtentNodeCapacity is the number of entries that fit in a node of so many bytes.
func ExtentNodeCapacity(size int) int { return (size - extentHeaderSize) / extentEntrySize }

// InitExtentNode makes an empty node of all of p, which must hold at least one entry: a block or an i_block.
func InitExtentNode(p []byte, depth int) ExtentNode {
	clear(p)
	le.PutUint16(p[0:], extentMagic)
	le.PutUint16(p[4:], uint16(ExtentNodeCapacity(len(p))))
	le.PutUint16(p[6:], uint16(depth))
	return ExtentNode(p)
}

// Entries is eh_entries: the number of entries in use, as far as the node has room for them.
func (n ExtentNode) Entries() int { return min(int(le.Uint16(n[2:])), ExtentNodeCapacity(len(n))) }

// Max is eh_max: the number of entries that fit.
func (n ExtentNode) Max() int { return int(le.Uint16(n[4:])) }

// Depth is eh_depth: the number of levels below this node.
func (n ExtentNode) Depth() int { return int(le.Uint16(n[6:])) }

// SetDepth sets eh_depth.
func (n ExtentNode) SetDepth(d int) { le.PutUint16(n[6:], uint16(d)) }

// Leaf tells whether the node holds extents.
func (n ExtentNode) Leaf() bool { return n.Depth() == 0 }

// entry returns the bytes of an entry. If the entry is not in the node, it returns zeros, and changes to them are
// lost. That can happen although the node was checked: a damaged file system may use one block for two things, and
// the other use may change the node.
func (n ExtentNode) entry(i int) []byte {
	if i < 0 || i >= ExtentNodeCapacity(len(n)) {
		return make([]byte, extentEntrySize)
	}
	off := extentHeaderSize + i*extentEntrySize
	return n[off : off+extentEntrySize]
}

// entries is the bytes of all entries in use.
func (n ExtentNode) entries() []byte {
	return n[extentHeaderSize : extentHeaderSize+n.Entries()*extentEntrySize]
}

// Key is the first logical block of entry i, of a leaf or an index node (ee_block, ei_block).
func (n ExtentNode) Key(i int) Lblk { return Lblk(le.Uint32(n.entry(i))) }

// SetKey changes only the first logical block of entry i.
func (n ExtentNode) SetKey(i int, l Lblk) { le.PutUint32(n.entry(i), uint32(l)) }

// Extent is entry i of a leaf.
func (n ExtentNode) Extent(i int) Extent { return ParseExtent([extentEntrySize]byte(n.entry(i))) }

// ParseExtent decodes a struct ext4_extent. If ee_len is above 32768, the extent is unwritten and ee_len - 32768
// blocks long.
func ParseExtent(p [extentEntrySize]byte) Extent {
	length := uint32(le.Uint16(p[4:]))
	e := Extent{Lblk: Lblk(le.Uint32(p[0:])), Pblk: Pblk(lohi(le.Uint32(p[8:]), uint32(le.Uint16(p[6:])))), Len: length}
	if length > MaxWrittenLen {
		e.Len, e.Unwritten = length-MaxWrittenLen, true
	}
	return e
}

// PutExtent overwrites entry i of a leaf. The length must be at least 1 and at most e.MaxLen().
func (n ExtentNode) PutExtent(i int, e Extent) {
	p := n.entry(i)
	length := e.Len
	if e.Unwritten {
		length += MaxWrittenLen
	}
	le.PutUint32(p[0:], uint32(e.Lblk))
	le.PutUint16(p[4:], uint16(length))
	le.PutUint16(p[6:], uint16(e.Pblk>>32))
	le.PutUint32(p[8:], uint32(e.Pblk))
}

// Index is entry i of an index node.
func (n ExtentNode) Index(i int) ExtentIndex {
	p := n.entry(i)
	return ExtentIndex{Lblk(le.Uint32(p)), Pblk(lohi(le.Uint32(p[4:]), uint32(le.Uint16(p[8:]))))}
}

// PutIndex overwrites entry i of an index node.
func (n ExtentNode) PutIndex(i int, x ExtentIndex) {
	p := n.entry(i)
	le.PutUint32(p[0:], uint32(x.Lblk))
	le.PutUint32(p[4:], uint32(x.Child))
	le.PutUint16(p[8:], uint16(x.Child>>32))
	le.PutUint16(p[10:], 0)
}

// Resize replaces the drop entries at i by count new ones, moves the entries after them, and sets eh_entries. If the
// result does not fit, nothing changes. The caller must fill the new entries, which hold garbage. Entries at the end
// that are no longer in use are zeroed.
func (n ExtentNode) Resize(i, drop, count int) {
	old := n.Entries()
	size := old - drop + count
	if i < 0 || drop < 0 || count < 0 || i+drop > old || size > ExtentNodeCapacity(len(n)) {
		return
	}
	from, to := extentHeaderSize+(i+drop)*extentEntrySize, extentHeaderSize+(i+count)*extentEntrySize
	copy(n[to:extentHeaderSize+size*extentEntrySize], n[from:extentHeaderSize+old*extentEntrySize])
	if size < old {
		clear(n[extentHeaderSize+size*extentEntrySize : extentHeaderSize+old*extentEntrySize])
	}
	le.PutUint16(n[2:], uint16(size))
}

// CopyTail appends the entries from i on to another node, which must have the same depth and room for them.
func (n ExtentNode) CopyTail(i int, to ExtentNode) {
	at, count := to.Entries(), n.Entries()-i
	to.Resize(at, 0, count)
	for k := range count {
		copy(to.entry(at+k), n.entry(i+k))
	}
}

// Search is the last entry whose key is at most l, or -1.
func (n ExtentNode) Search(l Lblk) int {
	entries := n.entries()
	low, high := 0, len(entries)/extentEntrySize
	for low < high {
		if mid := (low + high) / 2; Lblk(le.Uint32(entries[mid*extentEntrySize:])) <= l {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low - 1
}

// CheckExtentNode checks the whole of a node by itself: header, entries in order and apart from each other, lengths,
// blocks within the file system. maxDepth is MaxExtentDepth for a root and less for a block.
func (g *Geometry) CheckExtentNode(p []byte, maxDepth int) error {
	n, err := ParseExtentNode(p)
	if err != nil {
		return err
	}
	if n.Depth() > maxDepth {
		return Corruptf("eh_depth %d, want at most %d", n.Depth(), maxDepth)
	}
	if n.Leaf() {
		return g.checkExtents(n)
	}
	return g.checkIndexes(n)
}

// checkExtents checks the extents of a leaf. It runs for every node that a handle has changed, so it decodes an entry
// in full only if something is wrong with it.
func (g *Geometry) checkExtents(n ExtentNode) error {
	var end uint64
	for i, p := 0, n.entries(); len(p) >= extentEntrySize; i, p = i+1, p[extentEntrySize:] {
		length := uint64(le.Uint16(p[4:]))
		if length > uint64(MaxWrittenLen) {
			length -= uint64(MaxWrittenLen)
		}
		first := uint64(le.Uint32(p))
		data := Pblk(lohi(le.Uint32(p[8:]), uint32(le.Uint16(p[6:]))))
		if length == 0 || first < end || first+length > math.MaxUint32 || !g.validData(data, length) {
			return g.extentError(i, n.Extent(i), end)
		}
		end = first + length
	}
	return nil
}

// extentError says what is wrong with extent i. end is the end of the extent before it.
func (g *Geometry) extentError(i int, e Extent, end uint64) error {
	switch {
	case e.Len == 0:
		return Corruptf("extent %d at logical block %d: ee_len 0", i, e.Lblk)
	case uint64(e.Lblk) < end:
		return Corruptf("extent %d begins at logical block %d, the one before ends at %d", i, e.Lblk, end)
	case e.End() > math.MaxUint32:
		return Corruptf("extent %d at logical block %d: %d blocks reach beyond the last", i, e.Lblk, e.Len)
	}
	return Corruptf("extent %d at logical block %d: blocks %d+%d of %d", i, e.Lblk, e.Pblk, e.Len, g.Blocks)
}

func (g *Geometry) checkIndexes(n ExtentNode) error {
	if n.Entries() == 0 {
		return Corruptf("eh_entries 0 with eh_depth %d", n.Depth())
	}
	for i := range n.Entries() {
		x := n.Index(i)
		if i > 0 && x.Lblk <= n.Key(i-1) {
			return Corruptf("index %d begins at logical block %d, the one before at %d", i, x.Lblk, n.Key(i-1))
		}
		if !g.validData(x.Child, 1) {
			return Corruptf("index %d at logical block %d: block %d of %d", i, x.Lblk, x.Child, g.Blocks)
		}
	}
	return nil
}

// validData reports whether n blocks from p on may belong to a file: they lie in the file system and after the
// superblock.
func (g *Geometry) validData(p Pblk, n uint64) bool {
	return p > Pblk(g.FirstDataBlock) && g.ContainsBlocks(p, n)
}

// CheckExtentRoot checks the root of a tree, as CheckExtentNode does, and names it in the error.
func (g *Geometry) CheckExtentRoot(ino Ino, block []byte) error {
	if err := g.CheckExtentNode(block, MaxExtentDepth); err != nil {
		return fmt.Errorf("extent root of inode %d: %w", ino, err)
	}
	return nil
}

// ExtentNodeType is the buf.Type of a node in a block of its own. The inode's number and generation are the seed of
// its checksum.
type ExtentNodeType struct {
	G   *Geometry
	Ino Ino
	Gen uint32
}

// Owner is the inode that the object belongs to.
func (t ExtentNodeType) Owner() Ino { return t.Ino }

// String names the object in errors: buf.Type.
func (t ExtentNodeType) String() string { return fmt.Sprintf("extent node of inode %d", t.Ino) }

// Verify checks the checksum, then the structure. The checksum's place, et_checksum, follows eh_max.
func (t ExtentNodeType) Verify(p []byte) error {
	n, err := t.parse(p)
	if err != nil || !t.G.MetadataCsum() {
		return t.Check(p)
	}
	tail := n.tail()
	if got, want := le.Uint32(p[tail:]), t.checksum(p[:tail]); got != want {
		return csumError(t.String(), got, want)
	}
	return t.Check(p)
}

// Check checks the structure of the node alone, not its place in the tree.
func (t ExtentNodeType) Check(p []byte) error {
	if _, err := t.parse(p); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	if err := t.G.CheckExtentNode(p, MaxExtentDepth-1); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	return nil
}

// Seal stores the checksum.
func (t ExtentNodeType) Seal(p []byte) {
	n, err := t.parse(p)
	if err != nil || !t.G.MetadataCsum() {
		return
	}
	tail := n.tail()
	le.PutUint32(p[tail:], t.checksum(p[:tail]))
}

// parse makes sure that the node is a block and that the tail lies in it.
func (t ExtentNodeType) parse(p []byte) (ExtentNode, error) {
	if len(p) != t.G.BlockSize {
		return nil, Corruptf("%d bytes, want %d", len(p), t.G.BlockSize)
	}
	n, err := ParseExtentNode(p)
	if err == nil && n.tail()+extentTailSize > len(p) {
		err = Corruptf("eh_max %d leaves no room for the checksum", n.Max())
	}
	return n, err
}

func (t ExtentNodeType) checksum(p []byte) uint32 {
	return block.Crc32c(t.G.InodeSeed(t.Ino, t.Gen), p)
}

func (n ExtentNode) tail() int { return extentHeaderSize + n.Max()*extentEntrySize }
