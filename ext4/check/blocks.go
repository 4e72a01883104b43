package check

import "ext4img/ext4/layout"

// checkMap checks an inode's xattr block and block map, and its size and count of blocks against them.
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

// checkBlockCount compares i_blocks with what was counted.
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

// dataBlocks is what i_blocks leaves for data when the xattr block is taken off.
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

// checkDirSize compares the size of a directory with its last block. The superblock may allow blocks behind the size.
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

// checkReallyDir looks whether an inode of a type without data has a directory's first block.
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

// firstBlock gives the first block of what i_block would be as a block map, 0 if it cannot be one, and whether it can
// be a device's numbers.
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

// looksLikeDir tells whether a block begins with "." and "..".
func (k *inodeCheck) looksLikeDir(p []byte) bool {
	dot := direntAt(p, 0)
	rl := dot.recLen
	if dot.nameLen != 1 || p[8] != '.' || layout.Ino(dot.ino) != k.ino || rl < 12 || rl%4 != 0 || rl >= len(p)-12 {
		return false
	}
	dd := direntAt(p, rl)
	return dd.nameLen == 2 && p[rl+8] == '.' && p[rl+9] == '.' && dd.recLen >= 12 && dd.recLen%4 == 0
}

// looksLikeInlineDir tells whether i_block begins as that of a directory with inline data.
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

// pass1b finds out who claims the clusters that are claimed twice.
func (c *checker) pass1b() error {
	if c.dupes.count() == 0 {
		return nil
	}
	c.meter.begin(1, uint64(c.geo.groups))
	return c.scanInodes(func(w *worker, ino layout.Ino, rec []byte) {
		if !c.inodes.test(uint64(ino)) {
			return
		}
		var first, n uint64
		w.eachClaim(ino, rec, func(at, count uint64) {
			from, clusters := c.geo.clusterRun(at, count)
			c.dupes.runs(from, clusters, func(cl, more uint64) {
				if n == 0 {
					first = cl<<c.geo.ratioBits + c.geo.first
				}
				n += more
			})
		})
		if n > 0 {
			c.rep.add(codeBlockClaimedTwice, inodeAt(ino).block(-1, first).say("%d of its clusters belong to others too", n))
		}
	})
}

// eachClaim calls fn for the runs of blocks that an inode claims.
func (w *worker) eachClaim(ino layout.Ino, rec []byte, fn func(at, n uint64)) {
	in, g := layout.Inode(rec), w.c.geo
	if b := g.fileACL(rec); g.valid(b) && b != 0 && g.hasCompat(layout.CompatExtAttr) {
		fn(b, 1)
	}
	k := &inodeCheck{w: w, c: w.c, g: g, ino: ino, rec: rec, in: in, mode: in.Type(), fl: in.Flags()}
	switch {
	case !k.hasBlocks() || ino == layout.ResizeIno:
	case k.flag(layout.FlagExtents):
		w.nodeClaims(parseNode(in.Block()), map[uint64]bool{}, fn)
	default:
		seen := map[uint64]bool{}
		if b := w.c.translatorBlock(rec); b != 0 {
			w.pointerClaims(b, 0, seen, fn)
		}
		for i := range 15 {
			if b := uint64(le.Uint32(in.Block()[4*i:])); b != 0 {
				w.pointerClaims(b, max(0, i-11), seen, fn)
			}
		}
	}
}

// nodeClaims calls fn for what a node and those below it claim. seen keeps it from walking one twice.
func (w *worker) nodeClaims(n node, seen map[uint64]bool, fn func(at, n uint64)) {
	g := w.c.geo
	if !n.ok() || n.depth > maxTreeDepth {
		return
	}
	for i := range n.entries {
		if n.depth == 0 {
			if x := n.extent(i); g.valid(x.pblk) && x.len > 0 && x.pblk+x.len <= g.blocks {
				fn(x.pblk, x.len)
			}
			continue
		}
		x := n.index(i)
		if !g.valid(x.pblk) {
			continue
		}
		fn(x.pblk, 1)
		if p, err := w.cache.read(x.pblk); err == nil && !seen[x.pblk] && parseNode(p).depth < n.depth {
			seen[x.pblk] = true
			w.nodeClaims(parseNode(p), seen, fn)
		}
	}
}

// pointerClaims calls fn for what a pointer of a block map claims, depth levels of map blocks included.
func (w *worker) pointerClaims(b uint64, depth int, seen map[uint64]bool, fn func(at, n uint64)) {
	if !w.c.geo.valid(b) {
		return
	}
	fn(b, 1)
	if depth == 0 || seen[b] {
		return
	}
	seen[b] = true
	p, err := w.cache.read(b)
	for ; err == nil && len(p) >= 4; p = p[4:] {
		if x := uint64(le.Uint32(p)); x != 0 {
			w.pointerClaims(x, depth-1, seen, fn)
		}
	}
}
