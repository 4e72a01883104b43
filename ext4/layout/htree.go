package layout

import (
	"fmt"
	"sort"

	"ext4img/aio/block"
)

const (
	dxEntry       = 8  // struct dx_entry: hash and block; the first one's hash is struct dx_countlimit
	dxTail        = 8  // struct dx_tail
	dxInfoLength  = 8  // dx_root_info.info_length
	dxRootEntries = 32 // entries of a root: they follow ".", ".." and dx_root_info
	dxNodeEntries = 8  // entries of a node: they follow the unused record that hides them
	dxBlockMask   = 0x0FFFFFFF
	dxInfo        = 24 // offset of dx_root_info in a root
)

// DxNode is a view on the entries of an index block of a hashed directory, root or node. Entry 0 has no stored hash:
// it covers all hashes below that of entry 1.
type DxNode struct {
	p  []byte
	at int // offset of struct dx_countlimit
}

// DxRoot is a view on block 0 of a hashed directory.
type DxRoot struct{ DxNode }

// dxLimit is the number of entries that fit after offset at.
func (g *Geometry) dxLimit(at int) int {
	room := g.BlockSize - at
	if g.MetadataCsum() {
		room -= dxTail
	}
	return room / dxEntry
}

// MaxDxLevels is how many levels of nodes may lie between root and leaves.
func (g *Geometry) MaxDxLevels() int {
	if g.Incompat&IncompatLargeDir != 0 {
		return 2
	}
	return 1
}

// ParseDxRoot checks block 0 of a hashed directory (dx_probe) and makes a view on it.
func (g *Geometry) ParseDxRoot(p []byte) (DxRoot, error) {
	r := DxRoot{DxNode{p, dxRootEntries}}
	if len(p) != g.BlockSize {
		return DxRoot{}, Corruptf("%d bytes, want %d", len(p), g.BlockSize)
	}
	f := g.DirFormat(false, false)
	dot, err := f.At(p, 0)
	if err != nil {
		return DxRoot{}, err
	}
	dotdot, err := f.At(p, direntMin)
	if err != nil {
		return DxRoot{}, err
	}
	switch {
	case string(dot.Name) != "." || dot.RecLen != direntMin:
		return DxRoot{}, Corruptf(`first entry %q, rec_len %d, want "."`, dot.Name, dot.RecLen)
	case string(dotdot.Name) != ".." || dotdot.RecLen != g.BlockSize-direntMin:
		return DxRoot{}, Corruptf(`second entry %q, rec_len %d, want ".."`, dotdot.Name, dotdot.RecLen)
	case le.Uint32(p[dxInfo:]) != 0 || p[dxInfo+5] != dxInfoLength:
		return DxRoot{}, Corruptf("dx_root_info: reserved_zero %#x, info_length %d", le.Uint32(p[dxInfo:]), p[dxInfo+5])
	case p[dxInfo+7]&1 != 0:
		return DxRoot{}, Unsupportedf("dx_root_info: unused_flags %#x", p[dxInfo+7])
	case r.Version() > HashTea && r.Version() != HashSip:
		return DxRoot{}, Corruptf("dx_root_info: hash_version %d", r.Version())
	case r.Levels() > g.MaxDxLevels():
		return DxRoot{}, Corruptf("dx_root_info: indirect_levels %d, want at most %d", r.Levels(), g.MaxDxLevels())
	}
	return r, r.check(g)
}

// ParseDxNode checks an index block below the root and makes a view on it.
func (g *Geometry) ParseDxNode(p []byte) (DxNode, error) {
	n := DxNode{p, dxNodeEntries}
	if len(p) != g.BlockSize {
		return DxNode{}, Corruptf("%d bytes, want %d", len(p), g.BlockSize)
	}
	if ino, rec := le.Uint32(p), g.DirFormat(false, false).recLen(le.Uint16(p[4:])); ino != 0 || rec != g.BlockSize {
		return DxNode{}, Corruptf("entries begin with inode %d, rec_len %d: not an index node", ino, rec)
	}
	return n, n.check(g)
}

// check checks the counts and the order of the hashes. Equal hashes are possible: the second has the continuation bit.
func (n DxNode) check(g *Geometry) error {
	if want := g.dxLimit(n.at); n.Limit() != want {
		return Corruptf("limit %d, want %d", n.Limit(), want)
	}
	if n.Len() == 0 || n.Len() > n.Limit() {
		return Corruptf("count %d of limit %d", n.Len(), n.Limit())
	}
	for i := 2; i < n.Len(); i++ {
		if n.Hash(i) < n.Hash(i-1) {
			return Corruptf("entry %d: hash %#x after %#x", i, n.Hash(i), n.Hash(i-1))
		}
	}
	return nil
}

// InitDxRoot makes p, which begins with "." and "..", the root of a hashed directory with one leaf. It overwrites the
// rest of p.
func (g *Geometry) InitDxRoot(p []byte, version HashVersion, leaf Lblk) DxRoot {
	g.DirFormat(false, false).putRecLen(p[direntMin:], g.BlockSize-direntMin)
	clear(p[dxInfo:])
	p[dxInfo+4], p[dxInfo+5] = uint8(version), dxInfoLength
	r := DxRoot{DxNode{p, dxRootEntries}}
	r.init(g, leaf)
	return r
}

// InitDxNode makes p an index node with one child.
func (g *Geometry) InitDxNode(p []byte, child Lblk) DxNode {
	g.DirFormat(false, false).Clear(p)
	n := DxNode{p, dxNodeEntries}
	n.init(g, child)
	return n
}

func (n DxNode) init(g *Geometry, child Lblk) {
	le.PutUint16(n.p[n.at:], uint16(g.dxLimit(n.at)))
	n.Reset(child)
}

// Version is hash_version: HashLegacy, HashHalfMD4, HashTea or HashSip.
func (r DxRoot) Version() HashVersion { return HashVersion(r.p[dxInfo+4]) }

// Levels is indirect_levels: levels of nodes between the root and the leaves.
func (r DxRoot) Levels() int { return int(r.p[dxInfo+6]) }

// SetLevels sets indirect_levels.
func (r DxRoot) SetLevels(n int) { r.p[dxInfo+6] = uint8(n) }

// Limit is how many entries fit.
func (n DxNode) Limit() int { return int(le.Uint16(n.p[n.at:])) }

// Len is the number of entries.
func (n DxNode) Len() int { return int(le.Uint16(n.p[n.at+2:])) }

func (n DxNode) setLen(v int) { le.PutUint16(n.p[n.at+2:], uint16(v)) }

// Full reports whether no further entry fits.
func (n DxNode) Full() bool { return n.Len() >= n.Limit() }

// Hash is the lowest hash below entry i. Its lowest bit is set if names with that hash began in the leaf before. For
// entry 0 it is 0.
func (n DxNode) Hash(i int) uint32 {
	if i == 0 {
		return 0
	}
	return le.Uint32(n.p[n.at+i*dxEntry:])
}

// Block is the logical block that entry i leads to.
func (n DxNode) Block(i int) Lblk { return Lblk(le.Uint32(n.p[n.at+i*dxEntry+4:]) & dxBlockMask) }

// SetBlock sets the block that entry i leads to.
func (n DxNode) SetBlock(i int, b Lblk) { le.PutUint32(n.p[n.at+i*dxEntry+4:], uint32(b)) }

// Find returns the entry that covers a hash: the last one whose hash is not above it.
func (n DxNode) Find(h NameHash) int {
	return sort.Search(n.Len()-1, func(i int) bool { return n.Hash(i+1) > uint32(h) })
}

// Insert puts an entry at position i > 0. The node must not be full.
func (n DxNode) Insert(i int, hash uint32, b Lblk) {
	at, end := n.at+i*dxEntry, n.at+n.Len()*dxEntry
	copy(n.p[at+dxEntry:end+dxEntry], n.p[at:end])
	n.setLen(n.Len() + 1)
	le.PutUint32(n.p[at:], hash)
	n.SetBlock(i, b)
}

// Reset leaves one entry, which leads to child.
func (n DxNode) Reset(child Lblk) {
	n.setLen(1)
	n.SetBlock(0, child)
}

// MoveTail moves the entries from position i on to the node to, whose own entries are lost, and returns the lowest of
// their hashes. If i is 0, n is left without entries and must be Reset.
func (n DxNode) MoveTail(i int, to DxNode) uint32 {
	count := n.Len()
	hash := n.Hash(i)
	from := n.p[n.at+i*dxEntry : n.at+count*dxEntry]
	copy(to.p[to.at+4:], from[4:]) // the new node stores its counts in place of the first entry's hash
	to.setLen(count - i)
	clear(from[4:])
	if i > 0 {
		clear(from[:4])
		n.setLen(i)
	}
	return hash
}

// DxType is the buf.Type of an index block of a hashed directory. With metadata_csum, struct dx_tail follows the
// space for entries.
type DxType struct {
	G    *Geometry
	Ino  Ino    // the directory
	Gen  uint32 // its i_generation
	Lblk Lblk   // 0: the root
}

// Owner is the inode that the object belongs to.
func (t DxType) Owner() Ino { return t.Ino }

// String names the object in errors: buf.Type.
func (t DxType) String() string { return fmt.Sprintf("directory %d: index block %d", t.Ino, t.Lblk) }

func (t DxType) node(p []byte) (DxNode, error) {
	var n DxNode
	var err error
	if t.Lblk == 0 {
		var r DxRoot
		r, err = t.G.ParseDxRoot(p)
		n = r.DxNode
	} else {
		n, err = t.G.ParseDxNode(p)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", t, err)
	}
	return n, err
}

// Verify checks the structure, then the checksum, whose offset depends on the structure.
func (t DxType) Verify(p []byte) error {
	n, err := t.node(p)
	if err != nil || !t.G.MetadataCsum() {
		return err
	}
	if got, want := le.Uint32(n.tail()[4:]), t.checksum(n); got != want {
		return csumError(t.String(), got, want)
	}
	return nil
}

// Check checks the structure.
func (t DxType) Check(p []byte) error {
	_, err := t.node(p)
	return err
}

// Seal stores the checksum.
func (t DxType) Seal(p []byte) {
	if !t.G.MetadataCsum() {
		return
	}
	if n, err := t.node(p); err == nil {
		le.PutUint32(n.tail()[4:], t.checksum(n))
	}
}

func (n DxNode) tail() []byte {
	at := n.at + n.Limit()*dxEntry
	return n.p[at : at+dxTail]
}

// checksum covers everything up to the last entry in use, and the tail with its checksum as zero.
func (t DxType) checksum(n DxNode) uint32 {
	c := block.Crc32c(t.G.InodeSeed(t.Ino, t.Gen), n.p[:n.at+n.Len()*dxEntry])
	c = block.Crc32c(c, n.tail()[:4])
	return block.Crc32c(c, []byte{0, 0, 0, 0})
}
