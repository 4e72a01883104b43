package check

import (
	"cmp"
	"iter"
	"slices"

	"ext4img/ext4/layout"
)

// A blockCache keeps blocks that a worker requested before it needs them, read in few large requests. It is a stack
// of levels: push reads some blocks, pop forgets them. Code that walks a tree pushes some of a node's children at a
// time, so that the cache holds one level of blocks for each level of the tree.
type blockCache struct {
	c      *checker
	levels []cacheLevel
	depth  int // levels in use; the memory of the others is kept for later
}

// A cacheLevel holds the blocks that one push has read.
type cacheLevel struct {
	mem  []byte
	want []uint64 // sorted
	at   [][]byte // the blocks; nil for a block that could not be read
}

const (
	aheadBytes = 64 << 10 // of blocks in a level
	aheadGap   = 16       // the most unwanted blocks that are read to avoid a second request
)

// room is the number of blocks in a level.
func (b *blockCache) room() int { return max(1, aheadBytes>>b.c.geo.bits) }

// ahead yields 0 to n-1, and reads the blocks at(i) before they are needed: some at a time, each time in a level of
// its own.
func (b *blockCache) ahead(n int, at func(int) uint64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for from := 0; from < n; {
			to := min(from+b.room(), n)
			b.push(to-from, func(i int) uint64 { return at(from + i) })
			more := true
			for ; from < to && more; from++ {
				more = yield(from)
			}
			b.pop()
			if !more {
				return
			}
		}
	}
}

// push reads up to n blocks, at most room, into a new level. It leaves out blocks that another level holds. A block
// that cannot be read is missing in the level.
func (b *blockCache) push(n int, at func(int) uint64) {
	if b.depth == len(b.levels) {
		b.levels = append(b.levels, cacheLevel{})
	}
	l := &b.levels[b.depth]
	l.want, l.at = l.want[:0], l.at[:0]
	for i := range min(n, b.room()) {
		if p := at(i); p != 0 && b.c.geo.valid(p) && b.find(p) == nil {
			l.want = append(l.want, p)
		}
	}
	slices.Sort(l.want)
	l.want = slices.Compact(l.want)
	b.depth++
	b.fill(l)
}

// pop forgets the last level and keeps its memory for the next one.
func (b *blockCache) pop() { b.depth-- }

// fill reads the blocks of a level. Unwanted blocks between them take no more memory than the level itself.
func (b *blockCache) fill(l *cacheLevel) {
	if len(l.want) > 0 && l.mem == nil {
		l.mem = make([]byte, 2*b.room()<<b.c.geo.bits)
	}
	mem, gaps := l.mem, b.room()
	for want := l.want; len(want) > 0; {
		n := 1
		for ; n < len(want); n++ {
			gap := want[n] - want[n-1] - 1
			if gap > uint64(min(aheadGap, gaps)) {
				break
			}
			gaps -= int(gap)
		}
		size := int(want[n-1]-want[0]+1) << b.c.geo.bits
		l.at = b.readRun(l.at, mem[:size], want[:n])
		mem, want = mem[size:], want[n:]
	}
}

// readRun reads the blocks from the first to the last of want into p, and appends the slice of each wanted block to
// blocks.
func (b *blockCache) readRun(blocks [][]byte, p []byte, want []uint64) [][]byte {
	g := b.c.geo
	failed := b.c.readAt(p, int64(want[0])<<g.bits) != nil
	for _, w := range want {
		if failed {
			blocks = append(blocks, nil)
			continue
		}
		blocks = append(blocks, p[(w-want[0])<<g.bits:][:g.bs:g.bs])
	}
	return blocks
}

// find looks for a block in all levels.
func (b *blockCache) find(at uint64) []byte {
	for i := b.depth - 1; i >= 0; i-- {
		l := &b.levels[i]
		if k, ok := slices.BinarySearch(l.want, at); ok {
			return l.at[k]
		}
	}
	return nil
}

// read returns one block. The bytes must not be changed. A block that was read ahead is valid until pop.
func (b *blockCache) read(at uint64) ([]byte, error) {
	if p := b.find(at); p != nil {
		return p, nil
	}
	p := make([]byte, b.c.geo.bs)
	if err := b.c.readAt(p, int64(at)<<b.c.geo.bits); err != nil {
		return nil, err
	}
	return p, nil
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

// sortDirBlocks sorts the blocks of directories in the order of the device. Blocks that begin a directory come first,
// because they say how the names in the others are hashed.
func sortDirBlocks(blocks []dirBlock) {
	slices.SortFunc(blocks, func(a, b dirBlock) int {
		return cmp.Or(cmp.Compare(min(a.lblk, 1), min(b.lblk, 1)), cmp.Compare(a.pblk, b.pblk), cmp.Compare(a.ino, b.ino),
			cmp.Compare(a.lblk, b.lblk))
	})
}
