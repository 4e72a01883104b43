package check

import (
	"math/bits"
	"sync/atomic"

	"ext4img/ext4/layout"
)

// pass5 compares the bitmaps with the blocks and inodes found, and the counts in descriptors and superblock with the
// bitmaps.
func (c *checker) pass5() error {
	c.meter.begin(5, uint64(c.geo.groups))
	uninit := c.uninitClusters()
	var clusters, inodes atomic.Uint64
	err := c.eachGroups(bitmapBatch, func(w *worker, from, to uint32) {
		at := func(i int) uint64 { return c.bitmapAhead(from+uint32(i/2), i%2 == 1) }
		for i := range w.cache.ahead(2*int(to-from), at) {
			if group := from + uint32(i/2); i%2 == 0 {
				clusters.Add(w.checkBlockBitmap(group, uninit))
			} else {
				inodes.Add(w.checkInodeBitmap(group))
			}
		}
	})
	if err != nil {
		return err
	}
	if free := c.sb.FreeBlocksCount() >> c.geo.ratioBits; free != clusters.Load() {
		c.rep.add(codeFreeBlocks, superAt().values(c.sb.FreeBlocksCount(), clusters.Load()<<c.geo.ratioBits))
	}
	if free := c.sb.FreeInodesCount(); uint64(free) != inodes.Load() {
		c.rep.add(codeFreeInodes, superAt().values(free, inodes.Load()))
	}
	return nil
}

// bitmapBatch is the number of groups that a worker takes at a time.
const bitmapBatch = 64

// uninitClusters returns the clusters in use that no bitmap on disk shows, because their group's block bitmap is not
// initialized.
func (c *checker) uninitClusters() *bitmap {
	g := c.geo
	m := newBitmap(0, g.clusters(), g.cpg)
	for i, d := range c.descs {
		if !c.blockUninit(uint32(i)) {
			continue
		}
		for _, r := range g.uninitBlocks(uint32(i), d) {
			if r.n > 0 && g.valid(r.at) && r.at+r.n <= g.blocks {
				from, count := g.clusterRun(r.at, r.n)
				m.setRange(from, count, nil)
			}
		}
	}
	return m
}

// bitmapAhead returns the block of a group's bitmap if it will be read, or else 0.
func (c *checker) bitmapAhead(group uint32, ofInodes bool) uint64 {
	d := c.descs[group]
	switch {
	case ofInodes && !c.inodeUninit(group):
		return uint64(d.InodeBitmap())
	case !ofInodes && !c.blockUninit(group):
		return uint64(d.BlockBitmap())
	}
	return 0
}

// bitmapOnDisk reads a bitmap. It returns nil for a bitmap of zeros.
func (w *worker) bitmapOnDisk(group uint32, at uint64, uninit bool) []byte {
	c := w.c
	if uninit && c.descOK(group) || !c.geo.valid(at) || at == 0 {
		return nil
	}
	p, err := w.cache.read(at)
	if err != nil {
		c.rep.add(codeBitmapUnreadable, groupAt(group).block(-1, at))
		return nil
	}
	return p
}

// checkBlockBitmap compares the block bitmap of a group, and returns the number of free clusters in it.
func (w *worker) checkBlockBitmap(group uint32, uninit *bitmap) uint64 {
	c, g := w.c, w.c.geo
	d := c.descs[group]
	p := w.bitmapOnDisk(group, uint64(d.BlockBitmap()), c.blockUninit(group))
	n := uint32(min(uint64(g.cpg), g.clusters()-uint64(group)*uint64(g.cpg)))
	diff, used := compareBitmap(p, c.blocks.peek(uint64(group)), uninit.peek(uint64(group)), n)
	at := func(first uint32) at {
		return groupAt(group).block(-1, (uint64(group)*uint64(g.cpg)+uint64(first))<<g.ratioBits+g.first)
	}
	if diff.missing > 0 {
		c.rep.add(codeBlockNotMarked, at(diff.firstMissing).say("and %d more in this group", diff.missing-1))
		if c.blockUninit(group) {
			c.rep.add(codeBlockUninitUsed, groupAt(group))
		}
	}
	if diff.extra > 0 {
		c.rep.add(codeBlockMarked, at(diff.firstExtra).say("and %d more in this group", diff.extra-1))
	}
	if g.csum() && p != nil && !c.blockUninit(group) {
		if want := g.bitmapChecksum(p, g.cpg/8, bgBlockBitmapCsumEnd); g.bitmapSum(d.BlockBitmapCsum(), bgBlockBitmapCsumEnd) != want {
			c.rep.add(codeBlockBitmapChecksum, groupAt(group).values(hex(d.BlockBitmapCsum()), hex(want)))
		}
	}
	if !paddingSet(p, n, g.cpg) && n < g.cpg || p != nil && !paddingSet(p, g.cpg&^7, uint32(len(p)*8)) {
		c.rep.add(codeBlockBitmapPadding, groupAt(group))
	}
	free := n - used
	if d.FreeClusters() != free {
		c.rep.add(codeGroupFreeBlocks, groupAt(group).values(d.FreeClusters(), free))
	}
	return uint64(free)
}

// checkInodeBitmap compares the inode bitmap of a group, and returns the number of free inodes in it.
func (w *worker) checkInodeBitmap(group uint32) uint64 {
	c, g := w.c, w.c.geo
	d := c.descs[group]
	p := w.bitmapOnDisk(group, uint64(d.InodeBitmap()), c.inodeUninit(group))
	found := c.inodes.peek(uint64(group))
	diff, used := compareBitmap(p, found, nil, g.ipg)
	first := group*g.ipg + 1
	if diff.missing > 0 {
		c.rep.add(codeInodeNotMarked, inodeAt(layout.Ino(first+diff.firstMissing)).say("and %d more in its group", diff.missing-1))
		if c.inodeUninit(group) {
			c.rep.add(codeInodeUninitUsed, groupAt(group))
		}
	}
	if diff.extra > 0 {
		c.rep.add(codeInodeMarked, inodeAt(layout.Ino(first+diff.firstExtra)).say("and %d more in its group", diff.extra-1))
	}
	if g.csum() && p != nil && !c.inodeUninit(group) {
		if want := g.bitmapChecksum(p, g.ipg/8, bgInodeBitmapCsumEnd); g.bitmapSum(d.InodeBitmapCsum(), bgInodeBitmapCsumEnd) != want {
			c.rep.add(codeInodeBitmapChecksum, groupAt(group).values(hex(d.InodeBitmapCsum()), hex(want)))
		}
	}
	if p != nil && !paddingSet(p, g.ipg&^7, uint32(len(p)*8)) {
		c.rep.add(codeInodeBitmapPadding, groupAt(group))
	}
	free := g.ipg - used
	if d.FreeInodes() != free {
		c.rep.add(codeGroupFreeInodes, groupAt(group).values(d.FreeInodes(), free))
	}
	dirs := uint32(0)
	for _, w := range c.dirs.peek(uint64(group)) {
		dirs += uint32(bits.OnesCount64(w))
	}
	if d.UsedDirs() != dirs {
		c.rep.add(codeGroupDirs, groupAt(group).values(d.UsedDirs(), dirs))
	}
	return uint64(free)
}

// A difference is what differs between a bitmap on disk and the blocks or inodes found.
type difference struct {
	missing, extra           uint32 // in use but not marked; marked but not in use
	firstMissing, firstExtra uint32
}

// compareBitmap compares the first n bits of the bitmap disk with those in found. Bits of also count as set on disk.
// It counts the bits set on disk. A nil slice stands for zeros.
func compareBitmap(disk []byte, found, also []uint64, n uint32) (d difference, used uint32) {
	for i := uint32(0); i < n; i += 64 {
		var have, want uint64
		if disk != nil {
			have = loadWord(disk, int(i/8))
		}
		if also != nil {
			have |= also[i/64]
		}
		if found != nil {
			want = found[i/64]
		}
		mask := ^uint64(0)
		if n-i < 64 {
			mask = 1<<(n-i) - 1
		}
		have, want = have&mask, want&mask
		used += uint32(bits.OnesCount64(have))
		if have == want {
			continue
		}
		if m := want &^ have; m != 0 {
			if d.missing == 0 {
				d.firstMissing = i + uint32(bits.TrailingZeros64(m))
			}
			d.missing += uint32(bits.OnesCount64(m))
		}
		if m := have &^ want; m != 0 {
			if d.extra == 0 {
				d.firstExtra = i + uint32(bits.TrailingZeros64(m))
			}
			d.extra += uint32(bits.OnesCount64(m))
		}
	}
	return d, used
}

// loadWord reads 64 bits; bits after the end of p are zero.
func loadWord(p []byte, at int) uint64 {
	if at+8 <= len(p) {
		return le.Uint64(p[at:])
	}
	var b [8]byte
	if at < len(p) {
		copy(b[:], p[at:])
	}
	return le.Uint64(b[:])
}

// paddingSet reports whether the bits from from to to-1 are all set. In a bitmap of zeros they are not.
func paddingSet(p []byte, from, to uint32) bool {
	for i := from; i < to; {
		if i%8 == 0 && to-i >= 8 && p != nil {
			if p[i/8] != 0xFF {
				return false
			}
			i += 8
			continue
		}
		if p == nil || p[i/8]>>(i%8)&1 == 0 {
			return false
		}
		i++
	}
	return true
}
