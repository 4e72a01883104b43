package check

import (
	"cmp"
	"slices"
	"sort"

	"ext4img/ext4/layout"
)

// Inode 1 lists the blocks that the device cannot store: as if they were its data.

// readBadBlocks claims the bad blocks, before anything else may.
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

// takeBadBlocks claims n bad blocks, each once, however often it is listed.
func (c *checker) takeBadBlocks(at, n uint64) {
	next := at
	c.badBlocks.setRange(at, n, func(b, dup uint64) {
		c.again(1)
		c.takeNewBadBlocks(next, b-next)
		next = b + dup
	})
	c.takeNewBadBlocks(next, at+n-next)
}

// takeNewBadBlocks claims bad blocks. Those that the file system has metadata in are reported by what is there.
func (c *checker) takeNewBadBlocks(at, n uint64) {
	for b := at; b < at+n; b++ {
		if !c.blocks.set(c.geo.cluster(b)) {
			continue
		}
		if c.places == nil {
			c.places = c.metadataPlaces()
		}
		c.reportBadBlock(b)
	}
}

// A metadataPlace is where a group has a bitmap or its inode table, and what to report when a bad block is there.
type metadataPlace struct {
	blockRun
	group int
	code  Code // none: reported by the inodes in it
}

// metadataPlaces gives the places in order.
func (c *checker) metadataPlaces() []metadataPlace {
	places := make([]metadataPlace, 0, 3*len(c.descs))
	for i, d := range c.descs {
		places = append(places,
			metadataPlace{blockRun{uint64(d.BlockBitmap()), 1}, i, codeBlockBitmapBad},
			metadataPlace{blockRun{uint64(d.InodeBitmap()), 1}, i, codeInodeBitmapBad},
			metadataPlace{blockRun{uint64(d.InodeTable()), uint64(c.geo.itable)}, i, ""})
	}
	slices.SortStableFunc(places, func(a, b metadataPlace) int { return cmp.Compare(a.at, b.at) })
	return places
}

// reportBadBlock reports a bad block that is in use.
func (c *checker) reportBadBlock(b uint64) {
	place := inodeAt(layout.BadBlocksIno).block(-1, b)
	i := sort.Search(len(c.places), func(i int) bool { return c.places[i].at > b }) - 1
	if i >= 0 && b < c.places[i].at+c.places[i].n {
		if m := c.places[i]; m.code != "" {
			c.rep.add(m.code, place.inGroup(m.group))
		}
		return
	}
	for _, r := range c.geo.superArea(0) {
		if b >= r.at && b < r.at+r.n {
			c.rep.add(codeBadBlockSuper, place)
			return
		}
	}
	c.rep.add(codeBadBlockBackup, place)
}

// checkBadBlocksInode checks the fields of inode 1, which but for its blocks has none.
func (k *inodeCheck) checkBadBlocksInode() {
	k.c.inodes.set(uint64(k.ino))
	k.c.links.store(k.ino, k.in.Links())
	if k.flag(layout.FlagExtents) && !k.g.hasIncompat(layout.IncompatExtents) {
		k.bad(codeExtentsFeature, nil, nil)
	}
	uid, gid := le.Uint16(k.rec[2:]), le.Uint16(k.rec[0x18:])
	if k.in.Mode() != 0 || uid != 0 || gid != 0 || k.in.Links() != 0 || k.flag(layout.FlagInlineData) || le.Uint32(k.rec[0x68:]) != 0 {
		k.bad(codeBadBlocksInode, nil, nil)
	}
}
