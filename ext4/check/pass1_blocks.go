package check

import "ext4img/ext4/layout"

// checkMap checks an inode's xattr block and block map, and compares its size and block count with them.
func (k *inodeCheck) checkMap() {
	g := k.g
	k.clusters = k.eaBlocks >> g.ratioBits
	if k.checkXattrBlock() {
		k.clusters += k.eaBlkCount >> g.ratioBits
	}
	switch {
	case g.hasIncompat(layout.IncompatInlineData) && k.flag(layout.FlagInlineData):
		k.inlineDirBlocks()
	case !k.hasBlocks():
	case g.hasIncompat(layout.IncompatExtents) && k.flag(layout.FlagExtents):
		k.checkExtents()
	default:
		k.checkIndirect()
	}
	if k.flag(layout.FlagIndex) {
		k.checkIndexRoot()
	}
	isDir := k.mode == layout.ModeDir
	if k.clusters == 0 && isDir && !k.flag(layout.FlagInlineData) {
		k.bad(codeDirEmpty, nil, nil)
	}
	k.c.quota.add(k)
	k.checkSize()
	if k.mode == layout.ModeRegular && k.in.Size() > 1<<31-1 {
		k.c.largeFile.raise()
	}
	k.checkBlockCount()
	if g.hasRO(layout.ROCompatBigalloc) && isType(k.mode, layout.ModeRegular, layout.ModeDir) && k.dataBlocks() > 0 &&
		(k.ino == layout.RootIno || uint32(k.ino) >= g.firstIno) && !k.flag(layout.FlagExtents|layout.FlagInlineData) {
		k.bad(codeBigallocBlockMap, nil, nil)
	}
}

// checkBlockCount compares i_blocks with the number of blocks counted.
func (k *inodeCheck) checkBlockCount() {
	g := k.g
	huge := g.hasRO(layout.ROCompatHugeFile) && k.flag(layout.FlagHugeFile)
	want := k.clusters << g.ratioBits
	if !huge {
		want *= uint64(g.bs / 512)
	}
	if k.c.sb.CreatorOS() == osHurd {
		return
	}
	if got := k.rawBlocks(); got != want || huge && le.Uint16(k.rec[iBlocksHigh:]) != 0 {
		k.bad(codeBlockCount, got, want)
	}
}

// dataBlocks is i_blocks without the xattr block.
func (k *inodeCheck) dataBlocks() uint64 {
	n := k.rawBlocks()
	if k.fileACL() != 0 {
		n -= min(n, uint64(k.g.bs/512)<<k.g.ratioBits)
	}
	return n
}

// checkSize compares i_size with the last block.
func (k *inodeCheck) checkSize() {
	g, size := k.g, k.in.Size()
	if k.mode == layout.ModeSymlink {
		return
	}
	if k.mode == layout.ModeDir {
		k.checkDirSize()
		return
	}
	extents := g.hasIncompat(layout.IncompatExtents) && k.flag(layout.FlagExtents)
	switch {
	case k.lastInit >= 0 && size < uint64(k.lastInit)<<g.bits && !k.flag(layout.FlagVerity) && !k.orphan:
		k.bad(codeSize, size, uint64(k.lastBlock+1)<<g.bits)
	case !extents && size > maxBlockMapSize(g.bits):
		k.bad(codeSize, size, nil)
	case extents && size > 1<<(32+g.bits)-1:
		k.bad(codeSize, size, nil)
	}
}

// maxBlockMapSize is the largest size that a block map reaches.
func maxBlockMapSize(bits uint) uint64 {
	per := uint64(1) << (bits - 2)
	return (12 + per + per*per + per*per*per) << bits
}

// checkDirSize compares the size of a directory with its last block. The superblock may allow blocks after the size.
func (k *inodeCheck) checkDirSize() {
	g, size := k.g, k.in.Size()
	blocks, want := int64(uint32(size>>g.bits)), k.lastBlock+1
	switch {
	case k.flag(layout.FlagInlineData):
		tail, err := k.w.inlineTail(k.ino, k.rec)
		if err != nil || uint64(layout.InodeBlockSize+len(tail)) != size {
			k.bad(codeSize, size, layout.InodeBlockSize+len(tail))
		}
	case size&uint64(g.bs-1) != 0, blocks > want, want-blocks > int64(k.c.sb[sPreallocDirBlocks]):
		k.bad(codeSize, size, want<<g.bits)
	}
}
