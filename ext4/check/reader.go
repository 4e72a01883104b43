package check

import (
	"cmp"
	"slices"

	"ext4img/ext4/layout"
)

// blockCache keeps the blocks that a worker asked for ahead of their use, read in few large requests.
type blockCache struct {
	c      *checker
	blocks map[uint64][]byte
	slab   []byte // memory for blocks
	used   int    // of it
}

// maxPrefetch bounds the blocks a cache holds at once, in bytes; maxRead one request.
const (
	maxPrefetch = 512 << 10
	maxRead     = 512 << 10
	maxGap      = 16 // blocks nobody asked for that are read along rather than making two requests
)

// prefetch reads blocks. What cannot be read is simply not there.
func (b *blockCache) prefetch(want []uint64) {
	g := b.c.geo
	want = slices.DeleteFunc(want, func(p uint64) bool { return !g.valid(p) })
	slices.Sort(want)
	want = slices.Compact(want)
	if len(want) > maxPrefetch/g.bs {
		want = want[:maxPrefetch/g.bs]
	}
	if b.blocks == nil {
		b.blocks = map[uint64][]byte{}
	}
	for len(want) > 0 {
		n := 1
		for n < len(want) && want[n]-want[n-1] <= maxGap && (want[n]-want[0]+1)<<g.bits <= maxRead {
			n++
		}
		b.readRun(want[0], want[n-1]-want[0]+1, want[:n])
		want = want[n:]
	}
}

// readRun reads n blocks from at on and keeps those in want.
func (b *blockCache) readRun(at, n uint64, want []uint64) {
	g := b.c.geo
	p := b.room(int(n << g.bits))
	if b.c.readAt(p, int64(at)<<g.bits) != nil {
		return
	}
	for _, w := range want {
		b.blocks[w] = p[(w-at)<<g.bits:][:g.bs:g.bs]
	}
}

// read gives one block. The bytes must not be changed.
func (b *blockCache) read(at uint64) ([]byte, error) {
	if p, ok := b.blocks[at]; ok {
		return p, nil
	}
	p := make([]byte, b.c.geo.bs)
	if err := b.c.readAt(p, int64(at)<<b.c.geo.bits); err != nil {
		return nil, err
	}
	return p, nil
}

// room gives memory that serves until clear.
func (b *blockCache) room(n int) []byte {
	if b.used+n > len(b.slab) { // what was cut out of the old one stays as it is
		b.slab, b.used = make([]byte, max(n, maxPrefetch)), 0
	}
	p := b.slab[b.used:][:n:n]
	b.used += n
	return p
}

// clear forgets everything: the memory of blocks that were read will hold others.
func (b *blockCache) clear() {
	clear(b.blocks)
	b.used = 0
}

// readInode reads one inode's record.
func (c *checker) readInode(ino layout.Ino) ([]byte, error) {
	g := c.geo
	if ino == 0 || uint32(ino) > g.inodes {
		return nil, layout.Corruptf("inode %d of %d", ino, g.inodes)
	}
	group, k := g.inodeGroup(ino)
	table := uint64(c.descs[group].InodeTable())
	if !g.valid(table) {
		return nil, layout.Corruptf("inode table of group %d: block %d", group, table)
	}
	p := make([]byte, g.isize)
	return p, c.readAt(p, int64(table)<<g.bits+int64(k)*int64(g.isize))
}

// sortDirBlocks puts the blocks of directories in the order of the device, those that begin a directory first: they
// say how the names of the others are hashed.
func sortDirBlocks(blocks []dirBlock) {
	slices.SortFunc(blocks, func(a, b dirBlock) int {
		return cmp.Or(cmp.Compare(min(a.lblk, 1), min(b.lblk, 1)), cmp.Compare(a.pblk, b.pblk), cmp.Compare(a.ino, b.ino),
			cmp.Compare(a.lblk, b.lblk))
	})
}
