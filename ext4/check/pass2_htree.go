package check

import (
	"sync"

	"ext4img/ext4/layout"
)

// indexTable holds a record of each hashed directory while its blocks are checked.
type indexTable struct {
	mu sync.Mutex
	m  map[layout.Ino]*indexDir
}

// An indexDir is a hashed directory. Its blocks are checked in any order, and compared with each other at the end.
type indexDir struct {
	mu      sync.Mutex
	ino     layout.Ino
	version layout.HashVersion
	depth   int // indirect_levels of the root
	blocks  []indexBlock
	skip    bool // do not compare
}

// The kinds of an indexBlock.
const (
	indexUnseen = iota
	indexRoot
	indexNode
	indexLeaf
)

// An indexBlock is a block of a hashed directory: the range of hashes in it, and the range that its parent gives for
// it.
type indexBlock struct {
	kind                 uint8
	referenced, twice    bool
	first, last          bool // it is the first or last entry of its parent
	parent, previous     uint32
	min, max             uint32
	parentMin, parentMax uint32
}

func (t *indexTable) init() { t.m = map[layout.Ino]*indexDir{} }

func (t *indexTable) get(ino layout.Ino) *indexDir {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.m[ino]
}

// checkIndexRoot checks that an inode with the index flag is a directory with a valid root, and makes the record for
// the check of its blocks.
func (k *inodeCheck) checkIndexRoot() {
	c, g := k.c, k.g
	if k.mode != layout.ModeDir {
		k.bad(codeIndexNonDir, nil, nil)
		return
	}
	if !g.hasCompat(layout.CompatDirIndex) {
		k.bad(codeIndexFeature, nil, nil)
	}
	k.registerIndex()
	block, ok := k.rootBlock()
	if !ok {
		k.bad(codeIndexRoot, nil, nil)
		return
	}
	p, err := k.w.cache.read(block)
	if err != nil {
		k.bad(codeIndexRoot, nil, nil)
		return
	}
	version, infoLen, levels, flags := p[28], p[29], int(p[30]), p[31]
	if le.Uint32(p[24:]) != 0 || infoLen < 8 {
		k.bad(codeIndexRoot, nil, nil)
	}
	sip := k.flag(layout.FlagEncrypt) && k.flag(layout.FlagCasefold)
	switch {
	case version > 2 && version != byte(layout.HashSip):
		k.bad(codeIndexHash, version, nil)
	case sip != (version == byte(layout.HashSip)):
		k.bad(codeIndexHash, version, nil)
	}
	if flags&1 != 0 {
		k.bad(codeIndexFlags, flags, nil)
	}
	if levels > 3 || levels > g.indexLevels() && !k.largeEnough() {
		k.bad(codeIndexDepth, levels, g.indexLevels())
	}
	if levels > 2 || k.in.Size() > 1<<31-1 {
		c.largeDir.raise()
	}
}

// indexLevels is the number of levels of index blocks that the features allow.
func (g *geometry) indexLevels() int {
	if g.hasIncompat(layout.IncompatLargeDir) {
		return 3
	}
	return 2
}

// largeEnough reports whether a directory is too large for the levels that the features allow.
func (k *inodeCheck) largeEnough() bool {
	bits := k.g.bits
	per := uint64(1) << (bits - 3)
	full := (per - 1) * (per - 2)
	return k.in.Size() >= full<<bits || uint64(le.Uint32(k.rec[iBlocksLo:])) >= full<<(bits-9)
}

// rootBlock returns the first block of a directory.
func (k *inodeCheck) rootBlock() (uint64, bool) {
	g, p := k.g, k.in.Block()
	if !g.hasIncompat(layout.IncompatExtents) || !k.flag(layout.FlagExtents) {
		b := uint64(le.Uint32(p))
		return b, b != 0 && g.valid(b)
	}
	for n := parseNode(p); n.ok() && n.entries > 0; {
		if n.depth == 0 {
			x := n.extent(0)
			return x.pblk, x.lblk == 0 && x.len > 0 && g.valid(x.pblk)
		}
		x := n.index(0)
		child, err := k.w.cache.read(x.pblk)
		if !g.valid(x.pblk) || err != nil || parseNode(child).depth >= n.depth {
			break
		}
		n = parseNode(child)
	}
	return 0, false
}

// registerIndex makes the record of a hashed directory. If the directory has far more holes than blocks, its blocks
// are not compared: the holes are reported one by one.
func (k *inodeCheck) registerIndex() {
	blocks := uint64(k.lastBlock + 1)
	if blocks == 0 {
		return
	}
	d := &indexDir{ino: k.ino}
	if blocks > 2*k.mapped+maxHoles {
		k.bad(codeIndexUnreferenced, nil, nil)
		d.skip = true
	} else {
		d.blocks = make([]indexBlock, blocks)
	}
	t := &k.c.indexes
	t.mu.Lock()
	t.m[k.ino] = d
	t.mu.Unlock()
}

// begin prepares the record of block p before its entries are checked. It reports whether the block is a leaf.
func (d *indexDir) begin(c *checker, lblk uint32, p []byte) (leaf bool) {
	g := c.geo
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &d.blocks[lblk]
	b.kind, b.min, b.max = indexLeaf, ^uint32(0), 0
	if lblk == 0 {
		b.kind, b.first, b.last = indexRoot, true, true
		d.version, d.depth = layout.HashVersion(p[28]), int(p[30])+1
		if le.Uint32(p[24:]) != 0 || p[29] < 8 || int(p[30]) >= g.indexLevels() {
			c.rep.add(codeIndexRoot, inodeAt(d.ino).block(0, 0))
		}
		return false
	}
	e := direntAt(p, 0)
	room := g.bs - 8
	if g.csum() {
		room -= 8
	}
	if e.ino == 0 && e.recLen == g.bs && e.nameLen == 0 && int(le.Uint16(p[8:])) == room/8 {
		b.kind = indexNode
	}
	return b.kind == indexLeaf
}

// hash extends the range of a leaf by a hash.
func (b *indexBlock) hash(h uint32) { b.min, b.max = min(b.min, h), max(b.max, h) }

// checkNode checks the table of a root or an inner node, and records the ranges that it gives for the blocks below.
func (d *indexDir) checkNode(c *checker, lblk uint32, p []byte, csumOK bool) {
	g := c.geo
	d.mu.Lock()
	defer d.mu.Unlock()
	place := inodeAt(d.ino).block(int64(lblk), 0)
	at := 8
	if lblk == 0 {
		at = 24 + int(p[29])
	}
	if !csumOK {
		c.rep.add(codeIndexChecksum, place)
	}
	tail := 0
	if g.csum() {
		tail = 8
	}
	limit := (g.bs - at - tail) / 8
	count := int(le.Uint16(p[at+2:]))
	if got := int(le.Uint16(p[at:])); got != limit {
		c.rep.add(codeIndexLimit, place.values(got, limit))
	}
	if count > limit {
		c.rep.add(codeIndexCount, place.values(count, limit))
		count = limit
	}
	d.readTable(c, lblk, p[at:], count)
}

// readTable checks the entries of a node.
func (d *indexDir) readTable(c *checker, lblk uint32, table []byte, count int) {
	lo, hi, prev := ^uint32(0), uint32(0), uint32(0)
	block := func(i int) uint32 { return le.Uint32(table[8*i+4:]) & 0x0FFFFFFF }
	for i := range count {
		h := uint32(0)
		if i > 0 {
			h = le.Uint32(table[8*i:]) &^ 1
		}
		n := block(i)
		if uint64(n) >= uint64(len(d.blocks)) {
			c.rep.add(codeIndexBlock, inodeAt(d.ino).block(int64(lblk), 0).values(n, len(d.blocks)))
			prev = h
			continue
		}
		if h < prev {
			c.rep.add(codeIndexOrder, inodeAt(d.ino).block(int64(lblk), 0))
		}
		prev = h
		b := &d.blocks[n]
		if b.referenced {
			b.twice = true
		} else {
			b.referenced, b.parent = true, lblk
		}
		if i > 0 {
			b.previous = block(i - 1)
		}
		lo, hi = min(lo, h), max(hi, h)
		b.parentMin, b.parentMax = h, 0xFFFFFFFE
		if i+1 < count {
			b.parentMax = le.Uint32(table[8*i+8:]) &^ 1
		} else {
			b.last = true
		}
		b.first = b.first || i == 0
	}
	d.blocks[lblk].min, d.blocks[lblk].max = lo, hi
}

// finish compares the hashes in the blocks of a hashed directory with the ranges in the index.
func (d *indexDir) finish(c *checker) {
	if d.skip || len(d.blocks) == 0 {
		return
	}
	if d.blocks[0].referenced {
		d.blocks[0].twice = true
	}
	d.blocks[0].referenced = true
	d.raise(indexLeaf)
	d.raise(indexNode)
	for i := range d.blocks {
		b := &d.blocks[i]
		place := inodeAt(d.ino).block(int64(i), 0)
		if !b.first && b.min < b.parentMin {
			c.rep.add(codeIndexRange, place.say("hash %#x before %#x", b.min, b.parentMin))
		}
		if b.kind == indexLeaf && d.depthOf(uint32(i)) != d.depth {
			c.rep.add(codeIndexLeafDepth, place.values(d.depthOf(uint32(i)), d.depth))
		}
		if i > 0 && b.max > b.parentMax {
			c.rep.add(codeIndexRange, place.say("hash %#x behind %#x", b.max, b.parentMax))
		}
		if !b.referenced {
			c.rep.add(codeIndexUnreferenced, place)
		} else if b.twice {
			c.rep.add(codeIndexTwice, place)
		}
	}
}

// raise extends the ranges of parents by those of their first and last children, for all blocks of a kind.
func (d *indexDir) raise(kind uint8) {
	for i := range d.blocks {
		b := &d.blocks[i]
		if b.kind != kind || uint64(b.parent) >= uint64(len(d.blocks)) {
			continue
		}
		p := &d.blocks[b.parent]
		if b.first {
			p.min = b.min
			if p.previous != 0 && uint64(p.previous) < uint64(len(d.blocks)) {
				d.blocks[p.previous].parentMax = p.min
			}
		}
		if b.last {
			p.max = b.max
		}
	}
}

// depthOf counts the levels from a block up to the root.
func (d *indexDir) depthOf(i uint32) int {
	n := 0
	for ; d.blocks[i].kind != indexRoot && n < 16; n++ {
		i = d.blocks[i].parent
	}
	return n
}
