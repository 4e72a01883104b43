package check

import "ext4img/ext4/layout"

// pass1b finds the inodes that claim the clusters that are claimed twice.
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

// nodeClaims calls fn for the blocks that a node and the nodes below it claim. seen keeps it from walking a node
// twice.
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

// pointerClaims calls fn for the blocks that a pointer of a block map claims, depth levels of map blocks included.
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
