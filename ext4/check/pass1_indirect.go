package check

import "ext4img/ext4/layout"

// Numbers of map blocks, as negative logical blocks.
const (
	indirect       = -1
	doubleIndirect = -2
	tripleIndirect = -3
	translator     = -4 // not a map block: the translator of the Hurd
)

// checkIndirect walks the block map of an inode without extents: 12 blocks, then trees of depth one, two and three.
func (k *inodeCheck) checkIndirect() {
	p := k.in.Block()
	isDir := k.mode == layout.ModeDir
	if b := k.c.translatorBlock(k.rec); b != 0 {
		k.takeBlock(b, translator)
	}
	if isDir && le.Uint32(p) == 0 {
		k.dirHoles(1)
	}
	for i := range 12 {
		if b := uint64(le.Uint32(p[4*i:])); b != 0 {
			k.takeBlock(b, int64(i))
		}
	}
	per := int64(k.g.bs / 4)
	next, span := int64(12), int64(1)
	for depth := 1; depth <= 3; depth++ {
		span *= per
		if b := uint64(le.Uint32(p[4*(11+depth):])); b != 0 {
			if !k.walkIndirect(b, depth, next, span) {
				return
			}
		}
		next += span
	}
	k.lastInit = k.lastBlock
}

// translatorBlock is the block of an inode that only the Hurd uses (h_i_translator), or 0.
func (c *checker) translatorBlock(rec []byte) uint64 {
	if c.sb.CreatorOS() != osHurd {
		return 0
	}
	return uint64(le.Uint32(rec[iVersion:]))
}

// walkIndirect walks a map block that is depth levels above the data and covers span blocks from first on. It returns
// false if a wrong number makes it useless to go on.
func (k *inodeCheck) walkIndirect(b uint64, depth int, first, span int64) bool {
	g := k.g
	if g.hasMeta(k.c, b) && k.ino != layout.ResizeIno {
		k.c.rep.add(codeMetadataCollision, k.at().block(-1, b))
	}
	if k.c.geo.valid(b) && !k.c.worthwhile(b) || !k.takeBlock(b, int64(-depth)) {
		return false
	}
	if k.seen[b] {
		k.clusters += k.below[mapBlock{b, depth}]
		return true
	}
	if k.seen == nil {
		k.seen = map[uint64]bool{}
	}
	k.seen[b] = true
	p, err := k.w.cache.read(b)
	if err != nil {
		k.c.rep.add(codeBlockUnreadable, k.at().block(-1, b))
		k.c.rep.endsAt(k.ino)
		return false
	}
	before := k.clusters
	if !k.walkPointers(p, depth, first, span) {
		return false
	}
	if k.ino == layout.ResizeIno {
		k.countBelow(mapBlock{b, depth}, k.clusters-before)
	}
	return true
}

// walkPointers claims and walks the blocks that a map block points to.
func (k *inodeCheck) walkPointers(p []byte, depth int, first, span int64) bool {
	n := len(p) / 4
	if depth == 1 {
		for i := range n {
			if x := pointer(p, i); x != 0 {
				k.takeBlock(x, first+int64(i))
			}
		}
		return true
	}
	span /= int64(n)
	for i := range k.w.cache.ahead(n, func(i int) uint64 { return pointer(p, i) }) {
		if x := pointer(p, i); x != 0 && !k.walkIndirect(x, depth-1, first+int64(i)*span, span) {
			return false
		}
	}
	return true
}

// pointer is one of the numbers in a map block.
func pointer(p []byte, i int) uint64 { return uint64(le.Uint32(p[4*i:])) }

// A mapBlock is a map block and its depth.
type mapBlock struct {
	block uint64
	depth int
}

// countBelow remembers how many blocks a map block of the resize inode adds to the count of blocks. The blocks of
// that inode are already claimed for their purpose, so two pointers to one map block are no duplicate claim: the
// block counts twice.
func (k *inodeCheck) countBelow(b mapBlock, n uint64) {
	if k.below == nil {
		k.below = map[mapBlock]uint64{}
	}
	k.below[b] = n
}

// takeBlock claims one block of a block map: data at lblk, or a map block (lblk negative). It reports whether the
// number is that of a valid block.
func (k *inodeCheck) takeBlock(b uint64, lblk int64) bool {
	if code := k.blockCode(b, lblk); code != "" {
		k.illegal++
		k.c.rep.add(code, k.at().block(lblk, b))
		return code != codeBlockIllegal
	}
	switch {
	case k.ino == layout.ResizeIno:
		if lblk == doubleIndirect {
			k.claim(b, 1)
		}
		k.clusters++
	case !k.sameCluster(b, lblk):
		k.claim(b, 1)
		k.clusters++
	case k.unaligned(b, uint64(lblk)):
		k.c.rep.add(codeClusterMisaligned, k.at().block(lblk, b))
	}
	if lblk >= 0 {
		k.lastBlock = lblk
		k.mapped++
		if k.mode == layout.ModeDir {
			k.dirHoles(lblk)
			k.w.addDirBlock(dirBlock{pblk: b, ino: k.ino, lblk: uint32(lblk)})
			k.lastDir = lblk
		}
	}
	k.prevPblk = b
	return true
}

// sameCluster reports whether a block lies in the same cluster as the block before it, which is claimed already.
func (k *inodeCheck) sameCluster(b uint64, lblk int64) bool {
	g := k.g
	mask := uint64(g.ratio) - 1
	return g.ratio > 1 && k.prevPblk != 0 && b>>g.ratioBits == k.prevPblk>>g.ratioBits && b&mask == uint64(uint32(lblk))&mask
}

// blockCode is the code for a wrong block number at that place.
func (k *inodeCheck) blockCode(b uint64, lblk int64) Code {
	g := k.g
	limit := uint64(1) << (41 - g.bits) // the most blocks in a file that is mapped block by block
	switch {
	case !g.valid(b):
		return codeBlockIllegal
	case k.mode == layout.ModeDir && lblk > 1<<(31-g.bits) && k.in.Size()>>32 == 0 && !g.hasIncompat(layout.IncompatLargeDir):
		return codeDirTooBig
	case isType(k.mode, layout.ModeDir, layout.ModeRegular) && k.clusters+1 >= limit:
		return codeFileTooBig
	case !isType(k.mode, layout.ModeDir, layout.ModeRegular) && lblk > 0:
		return codeFileTooBig
	}
	return ""
}
