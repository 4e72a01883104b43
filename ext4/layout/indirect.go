package layout

import "fmt"

// Places in the i_block of a file that is mapped by block numbers, as in ext2 and ext3.
const (
	DirectBlocks   = 12 // EXT4_NDIR_BLOCKS
	IndirectLevels = 3  // i_block[12] leads to the data over one block of numbers, [13] over two, [14] over three
)

// BlockList is a view on little-endian block numbers of 32 bits: an indirect block, or the 15 of i_block. 0 is a hole.
type BlockList []byte

// Len is the number of block numbers.
func (b BlockList) Len() int { return len(b) / 4 }

// Get is block number i.
func (b BlockList) Get(i int) Pblk { return Pblk(le.Uint32(b[4*i:])) }

// Set stores block number i. An indirect map reaches the first 2^32 blocks of a file system only.
func (b BlockList) Set(i int, p Pblk) { le.PutUint32(b[4*i:], uint32(p)) }

// Empty tells whether all block numbers are 0.
func (b BlockList) Empty() bool { return allZero(b) }

// IndirectPath is the way to a logical block: the index in i_block and then in each indirect block. It returns false
// for a block that such a map cannot reach.
func (g *Geometry) IndirectPath(l Lblk) ([]int, bool) {
	n, per := uint64(l), uint64(g.BlockSize/4)
	if n < DirectBlocks {
		return []int{int(n)}, true
	}
	n -= DirectBlocks
	span := per
	for level := 1; level <= IndirectLevels; level++ {
		if n < span {
			path := make([]int, level+1)
			for i := level; i > 0; i-- {
				path[i] = int(n % per)
				n /= per
			}
			path[0] = DirectBlocks + level - 1
			return path, true
		}
		n -= span
		span *= per
	}
	return nil, false
}

// IndirectEnd is the number of logical blocks that an indirect map reaches.
func (g *Geometry) IndirectEnd() uint64 {
	per := uint64(g.BlockSize / 4)
	return min(DirectBlocks+per+per*per+per*per*per, uint64(MaxLblk)+1)
}

// IndirectSpan is the number of logical blocks below one entry of a list at a level. Lists of level 0 hold the
// numbers of data blocks.
func (g *Geometry) IndirectSpan(level int) uint64 {
	span := uint64(1)
	for range level {
		span *= uint64(g.BlockSize / 4)
	}
	return span
}

// CheckBlockList checks that every number is 0 or a block that may belong to a file.
func (g *Geometry) CheckBlockList(p []byte) error {
	b := BlockList(p)
	for i := range b.Len() {
		if n := b.Get(i); n != 0 && !g.validData(n, 1) {
			return Corruptf("entry %d: block %d of %d", i, n, g.Blocks)
		}
	}
	return nil
}

// IndirectType is the buf.Type of an indirect block. It has no checksum.
type IndirectType struct {
	G   *Geometry
	Ino Ino
}

// Owner is the inode that the object belongs to.
func (t IndirectType) Owner() Ino { return t.Ino }

// String names the object in errors: buf.Type.
func (t IndirectType) String() string { return fmt.Sprintf("indirect block of inode %d", t.Ino) }

// Verify checks the structure.
func (t IndirectType) Verify(p []byte) error { return t.Check(p) }

// Check checks that the block numbers lie in the file system.
func (t IndirectType) Check(p []byte) error {
	if len(p) != t.G.BlockSize {
		return Corruptf("%s: %d bytes, want %d", t, len(p), t.G.BlockSize)
	}
	if err := t.G.CheckBlockList(p); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	return nil
}

// Seal does nothing.
func (IndirectType) Seal([]byte) {}
