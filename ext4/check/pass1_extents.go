package check

import (
	"ext4img/ext4/layout"
)

// node is an extent node as it is on disk, right or wrong. The checker must also look at nodes that layout refuses.
type node struct {
	p       []byte
	magic   uint16
	entries int
	max     int
	depth   int
}

// rawExtent is one entry of a node. In an index entry, pblk is the child and len is unused.
type rawExtent struct {
	lblk      uint64
	pblk      uint64
	len       uint64
	unwritten bool
}

const (
	extentMagic  = 0xF30A
	extentSize   = 12
	maxTreeDepth = 5
)

func parseNode(p []byte) node {
	return node{p: p, magic: le.Uint16(p), entries: int(le.Uint16(p[2:])), max: int(le.Uint16(p[4:])), depth: int(le.Uint16(p[6:]))}
}

// ok reports whether the header can be right. The room of up to two entries may be used by a checksum.
func (n node) ok() bool {
	room := (len(n.p) - extentSize) / extentSize
	return n.magic == extentMagic && n.entries <= n.max && n.max <= room && n.max >= room-2
}

// extent decodes entry i as an entry of a leaf.
func (n node) extent(i int) rawExtent {
	e := n.p[extentSize*(i+1):]
	x := rawExtent{lblk: uint64(le.Uint32(e)), pblk: uint64(le.Uint16(e[6:]))<<32 | uint64(le.Uint32(e[8:])), len: uint64(le.Uint16(e[4:]))}
	if x.len > 32768 {
		x.len, x.unwritten = x.len-32768, true
	}
	return x
}

// index decodes entry i as an entry of an index node.
func (n node) index(i int) rawExtent {
	e := n.p[extentSize*(i+1):]
	return rawExtent{lblk: uint64(le.Uint32(e)), pblk: uint64(le.Uint16(e[8:]))<<32 | uint64(le.Uint32(e[4:]))}
}

// child is the block that entry i of an index node points to.
func (n node) child(i int) uint64 { return n.index(i).pblk }

// A nodePlace is a node on the way down, with the range of logical blocks that it covers.
type nodePlace struct {
	n     node
	level int    // 0: the root
	start uint64 // no entry may begin before
	end   uint64 // no entry may end after it; 0: no limit
	after uint64 // start of the next node to the right, or the end of the file: the limit of the last child
	depth int    // of the whole tree, as the root says
	block uint64 // its block; 0: it is in the inode
}

// checkExtents walks the tree in the inode.
func (k *inodeCheck) checkExtents() {
	root := parseNode(k.in.Block())
	if !root.ok() {
		k.bad(codeExtentHeader, nil, nil)
		return
	}
	depth := root.depth
	if depth > maxTreeDepth {
		k.bad(codeExtentDepth, depth, maxTreeDepth)
	}
	size := k.in.Size()
	blocks := (size + uint64(k.g.bs) - 1) >> k.g.bits
	k.walkNode(nodePlace{n: root, after: blocks, depth: depth}, blocks-1)
}

// walkNode checks the entries of a node and of the nodes below. eof is the last block of the file; in an empty file,
// no block counts as after it.
func (k *inodeCheck) walkNode(pl nodePlace, eof uint64) {
	if pl.level == pl.depth {
		k.walkLeaf(pl, eof)
		return
	}
	for i := range k.w.cache.ahead(pl.n.entries, pl.n.child) {
		x := pl.n.index(i)
		after := pl.after
		if i+1 < pl.n.entries {
			after = pl.n.index(i + 1).lblk
		}
		x.len = uint64(uint32(after - x.lblk))
		if k.extentOK(x, false, pl.start, pl.end, eof) {
			k.walkChild(pl, x, i, eof)
		}
	}
}

// walkLeaf checks the extents of a leaf.
func (k *inodeCheck) walkLeaf(pl nodePlace, eof uint64) {
	start := pl.start
	for i := range pl.n.entries {
		x := pl.n.extent(i)
		if !k.extentOK(x, true, start, pl.end, eof) {
			continue
		}
		if x.unwritten && k.mode == layout.ModeDir {
			k.c.rep.add(codeExtentUnwrittenDir, k.at().block(int64(x.lblk), x.pblk))
		}
		k.takeExtent(x)
		start = x.lblk + x.len - 1
	}
}

// extentOK checks one entry's numbers.
func (k *inodeCheck) extentOK(x rawExtent, leaf bool, start, end, eof uint64) bool {
	g := k.g
	last := x.lblk + x.len - 1
	beyondEOF := last > eof && (x.unwritten || k.flag(layout.FlagVerity))
	var code Code
	switch {
	case !g.valid(x.pblk) || x.pblk == 0:
		code = codeExtentStart
	case x.lblk < start:
		code = codeExtentOrder
	case end != 0 && last > end && !beyondEOF:
		code = codeExtentBounds
	case leaf && x.len == 0:
		code = codeExtentEmpty
	case leaf && x.pblk+x.len > g.blocks:
		code = codeExtentEnd
	case leaf && k.dirTooBig(x.lblk+x.len):
		code = codeDirTooBig
	case leaf && x.lblk < k.nextLblk:
		code = codeExtentOverlap
	}
	if leaf && code == "" {
		k.nextLblk = max(k.nextLblk, x.lblk+x.len)
	}
	if code == "" {
		return true
	}
	k.c.rep.add(code, k.at().block(int64(x.lblk), x.pblk).say("length %d", x.len))
	return false
}

// dirTooBig reports whether blocks are more than a directory may have.
func (k *inodeCheck) dirTooBig(blocks uint64) bool {
	return k.mode == layout.ModeDir && k.in.Size()>>32 == 0 && !k.g.hasIncompat(layout.IncompatLargeDir) &&
		blocks > 1<<(31-k.g.bits)
}

// walkChild reads a child node and walks it.
func (k *inodeCheck) walkChild(pl nodePlace, x rawExtent, i int, eof uint64) {
	g := k.g
	place := k.at().block(int64(x.lblk), x.pblk)
	if g.hasMeta(k.c, x.pblk) && k.ino != layout.ResizeIno {
		k.c.rep.add(codeMetadataCollision, place)
	}
	if k.seen[x.pblk] || pl.level >= maxTreeDepth {
		k.c.rep.add(codeExtentNode, place.say("a second time, or too deep"))
		k.claim(x.pblk, 1)
		return
	}
	if k.seen == nil {
		k.seen = map[uint64]bool{}
	}
	k.seen[x.pblk] = true
	if !k.c.worthwhile(x.pblk) {
		return
	}
	p, err := k.w.cache.read(x.pblk)
	if err != nil {
		k.c.rep.add(codeExtentNode, place.say("unreadable"))
		return
	}
	n := parseNode(p)
	if !n.ok() {
		k.c.rep.add(codeExtentNode, place)
		return
	}
	if n.depth != pl.depth-pl.level-1 {
		k.c.rep.add(codeExtentNodeDepth, place.values(n.depth, pl.depth-pl.level-1))
	}
	if !g.extentNodeChecksumOK(k.checksumSeed(), p, n.max) {
		k.c.rep.add(codeExtentChecksum, place)
	}
	first := n.index(0).lblk
	if first != x.lblk {
		k.c.rep.add(codeExtentIndexStart, place.values(first, x.lblk))
	}
	after := pl.after
	if i+1 < pl.n.entries {
		after = pl.n.index(i + 1).lblk
	}
	k.walkNode(nodePlace{n: n, level: pl.level + 1, start: first, end: x.lblk + x.len - 1, after: after, depth: pl.depth, block: x.pblk}, eof)
	k.claim(x.pblk, 1)
	k.clusters++
}

// takeExtent claims the blocks of an extent.
func (k *inodeCheck) takeExtent(x rawExtent) {
	g := k.g
	if k.mode == layout.ModeDir {
		if uint64(k.lastBlock+1) < x.lblk {
			k.c.rep.add(codeDirGap, k.at().block(k.lastBlock+1, 0))
		}
		k.dirExtent(x)
	}
	if k.unaligned(x.pblk, x.lblk) {
		k.c.rep.add(codeClusterMisaligned, k.at().block(int64(x.lblk), x.pblk))
	}
	from := x.pblk
	if g.ratio > 1 {
		c := g.cluster(x.pblk)
		if k.prevPblk != 0 && c == g.cluster(k.prevPblk) {
			c++
		}
		from = c<<g.ratioBits + g.first
	}
	if end := x.pblk + x.len; from < end {
		k.claim(from, end-from)
		k.clusters += (end - from + uint64(g.ratio) - 1) >> g.ratioBits
	}
	k.mapped += x.len
	k.lastBlock = int64(x.lblk + x.len - 1)
	k.prevPblk = x.pblk + x.len - 1
	if !x.unwritten && k.mode != layout.ModeDir {
		k.lastInit = k.lastBlock
	}
}

// unaligned reports whether a block breaks the rules of clusters: its offset in the physical cluster differs from
// that in the logical one, or the block before it lies in the same logical but in another physical cluster.
func (k *inodeCheck) unaligned(pblk, lblk uint64) bool {
	g := k.g
	if g.ratio == 1 {
		return false
	}
	mask := uint64(g.ratio) - 1
	if lblk&mask != pblk&mask {
		return true
	}
	return k.prevPblk != 0 && lblk&mask != 0 && lblk>>g.ratioBits == uint64(k.lastBlock)>>g.ratioBits &&
		pblk>>g.ratioBits != k.prevPblk>>g.ratioBits
}

// dirExtent adds the blocks of a directory's extent to the list of directory blocks, and the holes before it.
func (k *inodeCheck) dirExtent(x rawExtent) {
	k.dirHoles(int64(x.lblk))
	for i := range x.len {
		k.w.addDirBlock(dirBlock{pblk: x.pblk + i, ino: k.ino, lblk: uint32(x.lblk + i)})
	}
	k.lastDir = int64(x.lblk + x.len - 1)
}

// dirHoles adds the blocks of a directory up to before to the list, as holes. Of each hole it adds only the first few
// blocks: a wrong number could claim a hole that fills the memory.
func (k *inodeCheck) dirHoles(before int64) {
	for n := 0; k.lastDir+1 < before; n++ {
		if n == maxHoles {
			k.lastDir = before - 1
			return
		}
		k.lastDir++
		k.w.addDirBlock(dirBlock{ino: k.ino, lblk: uint32(k.lastDir)})
	}
}

// maxHoles bounds how many blocks of one hole in a directory are looked at.
const maxHoles = 64

// claim claims the clusters of n blocks.
func (k *inodeCheck) claim(at, n uint64) { k.c.claim(at, n) }

// claim claims the clusters of n blocks, which must be in the file system. A cluster claimed before becomes a dupe.
func (c *checker) claim(at, n uint64) {
	g := c.geo
	from, count := g.clusterRun(at, n)
	c.blocks.setRange(from, count, func(cl, n uint64) {
		c.again(1)
		if !g.hasRO(layout.ROCompatSharedBlocks) {
			c.dupes.setRange(cl, n, nil)
		}
	})
}

// hasMeta tells whether a block holds metadata of the file system as a whole.
func (g *geometry) hasMeta(c *checker, b uint64) bool { return c.metadata.test(b) }
