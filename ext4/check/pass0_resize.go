package check

import "ext4img/ext4/layout"

// checkResizeInode checks inode 7, which holds the blocks reserved for further descriptors. Its double indirect block
// lists those blocks of group 0, and each of them lists its copies.
func (c *checker) checkResizeInode() {
	g := c.geo
	resize := g.hasCompat(layout.CompatResizeInode)
	if resize && g.hasIncompat(layout.IncompatMetaBG) {
		c.rep.add(codeFeatureConflict, superAt().say("resize_inode and meta_bg"))
	}
	if !resize && g.reservedGDT != 0 {
		c.rep.add(codeReservedGDT, superAt().values(g.reservedGDT, 0))
	}
	rec, err := c.readInode(layout.ResizeIno)
	if err != nil || !g.inodeChecksumOK(layout.ResizeIno, rec) {
		return
	}
	in := layout.Inode(rec)
	if !resize {
		if !allZero(in.Block()) {
			c.rep.add(codeResizeNotClear, inodeAt(layout.ResizeIno))
		}
		return
	}
	dind := uint64(le.Uint32(in.Block()[13*4:]))
	others := allZero(in.Block()[:13*4]) && allZero(in.Block()[14*4:])
	if !others || dind == 0 || in.Links() == 0 || in.Mode()&layout.ModeRegular == 0 || !g.valid(dind) || !c.resizeBlocksOK(dind) {
		c.rep.add(codeResizeInode, inodeAt(layout.ResizeIno))
	}
}

// resizeBlocksOK walks the double indirect block of the resize inode.
func (c *checker) resizeBlocksOK(dind uint64) bool {
	g := c.geo
	top := make([]byte, g.bs)
	sub := make([]byte, g.bs)
	if c.readAt(top, int64(dind)<<g.bits) != nil {
		return false
	}
	at := g.first + 1 + uint64(g.descBlocks) + b2u(g.bootBlock())
	slot := g.descBlocks
	for range g.reservedGDT {
		slot %= uint32(g.bs / 4)
		if uint64(le.Uint32(top[slot*4:])) != at || c.readAt(sub, int64(at)<<g.bits) != nil {
			return false
		}
		k := 0
		for group := uint32(1); group < g.groups && k < g.bs/4; group++ {
			if !g.hasSuper(group) {
				continue
			}
			if uint64(le.Uint32(sub[k*4:])) != at+uint64(group)*uint64(g.bpg) {
				return false
			}
			k++
		}
		slot++
		at++
	}
	return true
}
