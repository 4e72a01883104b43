package check

import "ext4img/ext4/layout"

// checkReallyDir checks whether an inode of a type without data has the first block of a directory.
func (k *inodeCheck) checkReallyDir() {
	g := k.g
	if isType(k.mode, layout.ModeDir, layout.ModeRegular, layout.ModeSymlink) || le.Uint32(k.in.Block()) == 0 {
		return
	}
	if g.hasIncompat(layout.IncompatInlineData) && k.flag(layout.FlagInlineData) {
		if k.looksLikeInlineDir() {
			k.bad(codeLooksLikeDir, nil, nil)
		}
		return
	}
	block, device := k.firstBlock()
	if !g.valid(block) {
		return
	}
	if isType(k.mode, layout.ModeCharDev, layout.ModeBlockDev) && k.in.Links() == 1 && device {
		return
	}
	p, err := k.w.cache.read(block)
	if err == nil && k.looksLikeDir(p) {
		k.bad(codeLooksLikeDir, nil, nil)
	}
}

// firstBlock takes i_block as a block map and returns its first block, or 0 if it is invalid. It also reports whether
// i_block can be a device's numbers.
func (k *inodeCheck) firstBlock() (block uint64, device bool) {
	g, p := k.g, k.in.Block()
	if g.hasIncompat(layout.IncompatExtents) && k.flag(layout.FlagExtents) {
		n := parseNode(p)
		if !n.ok() || n.depth != 0 || n.entries == 0 || n.extent(0).lblk != 0 {
			return 0, false
		}
		return n.extent(0).pblk, false
	}
	device = allZero(p[16:])
	for i := range 15 {
		b := uint64(le.Uint32(p[4*i:]))
		if b != 0 && (!g.valid(b) || k.c.blocks.test(g.cluster(b))) {
			return 0, false
		}
	}
	return uint64(le.Uint32(p)), device
}

// looksLikeDir reports whether a block begins with "." and "..".
func (k *inodeCheck) looksLikeDir(p []byte) bool {
	dot := direntAt(p, 0)
	rl := dot.recLen
	if dot.nameLen != 1 || p[8] != '.' || layout.Ino(dot.ino) != k.ino || rl < 12 || rl%4 != 0 || rl >= len(p)-12 {
		return false
	}
	dd := direntAt(p, rl)
	return dd.nameLen == 2 && p[rl+8] == '.' && p[rl+9] == '.' && dd.recLen >= 12 && dd.recLen%4 == 0
}

// looksLikeInlineDir reports whether i_block begins like that of a directory with inline data.
func (k *inodeCheck) looksLikeInlineDir() bool {
	tail, err := k.w.inlineTail(k.ino, k.rec)
	if err != nil || (layout.InodeBlockSize+len(tail))&3 != 0 {
		return false
	}
	p := k.in.Block()
	parent, e := le.Uint32(p), direntAt(p, 4)
	possible := func(n uint32, or layout.Ino) bool {
		return n < k.g.inodes && (n >= k.g.firstIno || layout.Ino(n) == or)
	}
	return possible(parent, layout.RootIno) && possible(e.ino, 0) && e.recLen <= layout.InodeBlockSize-4
}
