package check

import "ext4img/ext4/layout"

// Inode 1 lists, as its data blocks, the blocks that the device cannot store.

// readBadBlocks claims the bad blocks, before any other block is claimed.
func (c *checker) readBadBlocks() {
	rec, err := c.readInode(layout.BadBlocksIno)
	if err != nil {
		return
	}
	w := newWorker(c)
	in := layout.Inode(rec)
	if in.HasFlag(layout.FlagExtents) {
		w.nodeClaims(parseNode(in.Block()), map[uint64]bool{}, func(at, n uint64) {
			c.takeBadBlocks(at, n)
		})
		return
	}
	p := in.Block()
	for i := range 15 {
		if b := uint64(le.Uint32(p[4*i:])); b != 0 {
			c.badPointer(w, b, max(0, i-11), map[uint64]bool{})
		}
	}
}

// badPointer follows a pointer of the bad blocks inode, depth levels of map blocks down.
func (c *checker) badPointer(w *worker, b uint64, depth int, seen map[uint64]bool) {
	g := c.geo
	place := inodeAt(layout.BadBlocksIno).block(-1, b)
	switch {
	case !g.valid(b):
		c.rep.add(codeBadBlockIllegal, place)
	case depth == 0:
		c.takeBadBlocks(b, 1)
	case c.metadata.test(b):
		c.rep.add(codeBadBlockMetadata, place)
	case c.blocks.set(g.cluster(b)):
		c.rep.add(codeBadBlockMap, place)
	}
	if depth == 0 || !g.valid(b) || seen[b] {
		return
	}
	seen[b] = true
	p, err := w.cache.read(b)
	for ; err == nil && len(p) >= 4; p = p[4:] {
		if x := uint64(le.Uint32(p)); x != 0 {
			c.badPointer(w, x, depth-1, seen)
		}
	}
}

// takeBadBlocks claims n bad blocks. Each is claimed once, however often it is listed.
func (c *checker) takeBadBlocks(at, n uint64) {
	next := at
	c.badBlocks.setRange(at, n, func(b, dup uint64) {
		c.again(1)
		c.takeNewBadBlocks(next, b-next)
		next = b + dup
	})
	c.takeNewBadBlocks(next, at+n-next)
}

func (c *checker) takeNewBadBlocks(at, n uint64) {
	for b := at; b < at+n; b++ {
		if c.blocks.set(c.geo.cluster(b)) && c.again(uint64(c.geo.groups)) {
			c.reportBadBlock(b)
		}
	}
}

// reportBadBlock reports a bad block that is in use. The code depends on what the file system stores in it.
func (c *checker) reportBadBlock(b uint64) {
	g := c.geo
	place := inodeAt(layout.BadBlocksIno).block(-1, b)
	for i, d := range c.descs {
		if c.inSuperArea(uint32(i), b) {
			c.rep.add(pick(i == 0, codeBadBlockSuper, codeBadBlockBackup), place.inGroup(i))
			return
		}
		switch b {
		case uint64(d.BlockBitmap()):
			c.rep.add(codeBlockBitmapBad, place.inGroup(i))
			return
		case uint64(d.InodeBitmap()):
			c.rep.add(codeInodeBitmapBad, place.inGroup(i))
			return
		}
		if table := uint64(d.InodeTable()); b >= table && b < table+uint64(g.itable) {
			return
		}
	}
	c.rep.add(codeBadBlockBackup, place)
}

// inSuperArea reports whether a block is in a group's copy of superblock and descriptors. Like e2fsck it assumes that
// the copies are in one place, even with meta_bg.
func (c *checker) inSuperArea(group uint32, b uint64) bool {
	g := c.geo
	at := g.groupFirst(group)
	return g.hasSuper(group) && b >= at && b <= at+uint64(g.descBlocks)
}

// checkBadBlocksInode checks the fields of inode 1, which must all be zero except for its blocks.
func (k *inodeCheck) checkBadBlocksInode() {
	k.c.inodes.set(uint64(k.ino))
	k.c.links.store(k.ino, k.in.Links())
	k.checkCasefold()
	if k.flag(layout.FlagExtents) && !k.g.hasIncompat(layout.IncompatExtents) {
		k.bad(codeExtentsFeature, nil, nil)
	}
	uid, gid := le.Uint16(k.rec[iUID:]), le.Uint16(k.rec[iGID:])
	if k.in.Mode() != 0 || uid != 0 || gid != 0 || k.in.Links() != 0 || k.flag(layout.FlagInlineData) || le.Uint32(k.rec[iFileACLLo:]) != 0 {
		k.bad(codeBadBlocksInode, nil, nil)
	}
}
