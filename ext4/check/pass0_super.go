package check

import (
	"ext4img/ext4/layout"
)

// pass0 checks the superblock's values against each other, the descriptors, and the resize inode.
func (c *checker) pass0() error {
	c.meter.begin(0, uint64(c.geo.groups))
	if err := c.checkFeatures(); err != nil {
		return err
	}
	if err := c.checkSuperValues(); err != nil {
		return err
	}
	c.checkSuperExtras()
	for i := range c.descs {
		c.checkDesc(uint32(i))
	}
	c.checkQuotaNumbers()
	c.checkResizeInode()
	return nil
}

// checkFeatures refuses a file system that could be checked only in part.
func (c *checker) checkFeatures() error {
	g := c.geo
	if u := g.compat &^ checkedCompat; u != 0 {
		c.rep.add(codeFeatureUnknown, superAt().say("%s", u))
		return errStop
	}
	if u := g.ro &^ checkedRO; u != 0 {
		c.rep.add(codeFeatureUnknown, superAt().say("%s", u))
		return errStop
	}
	if g.hasIncompat(layout.IncompatCasefold) && c.sb.Encoding() != 1 {
		c.rep.add(codeEncodingUnknown, superAt().values(c.sb.Encoding(), 1))
		return errStop
	}
	return nil
}

// A superRange is a value of the superblock and its allowed range.
type superRange struct {
	name     string
	v        uint64
	min, max uint64
	power    bool // must be a power of two
}

// checkSuperValues checks the values that every file system needs. A value out of range ends the check.
func (c *checker) checkSuperValues() error {
	g, sb := c.geo, c.sb
	perBlock := uint64(g.bs / g.isize)
	maxClusters := min(8*uint64(g.bs), maxPerGroup)
	maxBlocks := uint64(1)<<32 - 1
	if g.hasIncompat(layout.Incompat64Bit) {
		maxBlocks = 1<<48 - 1
	}
	ranges := []superRange{
		{"s_inodes_count", uint64(g.inodes), 1, 1<<32 - 1, false},
		{"s_blocks_count", g.blocks, 1, maxBlocks, false},
		{"s_first_data_block", g.first, 0, g.blocks, false},
		{"s_log_cluster_size", uint64(sb.LogClusterSize()), uint64(sb.LogBlockSize()), maxLogClusterSize, false},
		{"s_clusters_per_group", uint64(g.cpg), 8, maxClusters, false},
		{"s_blocks_per_group", uint64(g.bpg), 8, maxClusters * uint64(g.ratio), false},
		{"s_inodes_per_group", uint64(g.ipg), perBlock, min(perBlock*(uint64(g.bpg)-4), 65536-perBlock), false},
		{"s_r_blocks_count", sb.ReservedBlocksCount(), 0, g.blocks / 2, false},
		{"s_reserved_gdt_blocks", uint64(g.reservedGDT), 0, uint64(g.bs / 4), false},
		{"s_desc_size", uint64(sb.DescSize()), 0, maxDescSize, true},
	}
	if err := c.checkRanges(ranges); err != nil {
		return err
	}
	if want := uint64(g.ipg) * uint64(g.groups); want != uint64(g.inodes) {
		c.rep.add(codeInodesCount, superAt().values(g.inodes, want))
		return errStop
	}
	if err := c.checkRanges([]superRange{{"s_first_ino", uint64(g.firstIno), 11, uint64(g.inodes), false}}); err != nil {
		return err
	}
	want := b2u(g.bs == 1024 && g.ratio == 1)
	return c.checkRanges([]superRange{{"s_first_data_block", g.first, want, want, false}})
}

func (c *checker) checkRanges(ranges []superRange) error {
	for _, r := range ranges {
		if r.v < r.min || r.v > r.max || r.power && r.v&(r.v-1) != 0 {
			c.rep.add(codeSuperValue, superAt().say("%s %d, want %d to %d", r.name, r.v, r.min, r.max))
			return fatalf("superblock: %s %d: %w", r.name, r.v, layout.ErrCorrupt)
		}
	}
	return nil
}

// checkSuperExtras checks values and features that contradict each other.
func (c *checker) checkSuperExtras() {
	g, sb := c.geo, c.sb
	if size := uint64(c.dev.Size()) >> g.bits; size < g.blocks {
		c.rep.add(codeDeviceSmall, superAt().values(size, g.blocks))
	}
	if e := sb.LastError(); sb.State()&layout.StateErrors != 0 {
		c.rep.add(codeErrorsSeen, superAt().say("%d, the last in %s, line %d, inode %d, block %d", sb.ErrorCount(), e.Func, e.Line, e.Ino, e.Block))
	}
	if g.isize > 128 {
		for _, e := range []struct {
			code Code
			v    uint16
		}{{codeMinExtraIsize, sb.MinExtraIsize()}, {codeWantExtraIsize, sb.WantExtraIsize()}} {
			if e.v != 0 && (e.v < 4 || int(e.v) > g.isize-128 || e.v&3 != 0) {
				c.rep.add(e.code, superAt().values(e.v, nil))
			}
		}
	}
	if g.csum() && g.hasRO(layout.ROCompatGdtCsum) {
		c.rep.add(codeFeatureConflict, superAt().say("metadata_csum and uninit_bg"))
	}
	if !g.csum() && g.hasIncompat(layout.IncompatCsumSeed) {
		c.rep.add(codeFeatureConflict, superAt().say("metadata_csum_seed without metadata_csum"))
	}
	if g.hasIncompat(layout.Incompat64Bit) && !g.hasIncompat(layout.IncompatExtents) {
		c.rep.add(codeFeatureConflict, superAt().say("64bit without extent"))
	}
	if g.hasIncompat(layout.IncompatMetaBG) && g.firstMetaBG > g.descBlocks {
		c.rep.add(codeFirstMetaBG, superAt().values(g.firstMetaBG, g.descBlocks))
	}
}

// checkDesc checks one group's descriptor.
func (c *checker) checkDesc(i uint32) {
	g, d := c.geo, c.descs[i]
	first, last := g.first, g.blocks-1
	if !g.hasIncompat(layout.IncompatFlexBG) {
		first, last = g.groupFirst(i), g.groupLast(i)
	}
	for _, r := range []struct {
		code Code
		at   uint64
		n    uint64
	}{{codeBlockBitmapPlace, uint64(d.BlockBitmap()), 1}, {codeInodeBitmapPlace, uint64(d.InodeBitmap()), 1},
		{codeInodeTablePlace, uint64(d.InodeTable()), uint64(g.itable)}} {
		if r.at < first || r.at+r.n-1 > last {
			c.rep.add(r.code, groupAt(i).block(-1, r.at))
		}
	}
	clusters := min(uint64(g.cpg), g.clusters()-uint64(i)*uint64(g.cpg))
	if uint64(d.FreeClusters()) > clusters || max(d.FreeInodes(), d.UsedDirs()) > g.ipg {
		c.rep.add(codeDescCounts, groupAt(i).say("%d clusters and %d inodes free, %d directories", d.FreeClusters(), d.FreeInodes(), d.UsedDirs()))
	}
	if g.descCsum() {
		if want := g.descChecksum(i, d); d.Checksum() != want {
			c.rep.add(codeDescChecksum, groupAt(i).values(hex(d.Checksum()), hex(want)))
		}
		if d.ItableUnused() > d.FreeInodes() || d.ItableUnused() > g.ipg {
			c.rep.add(codeDescUnused, groupAt(i).values(d.ItableUnused(), d.FreeInodes()))
		}
	} else if d.Flags()&(layout.DescBlockUninit|layout.DescInodeUninit) != 0 || d.ItableUnused() != 0 {
		c.rep.add(codeDescUninit, groupAt(i))
	}
	if i == g.groups-1 && d.Flags()&layout.DescBlockUninit != 0 {
		c.rep.add(codeDescLastUninit, groupAt(i))
	}
}

// checkQuotaNumbers checks the inode numbers of the quota files.
func (c *checker) checkQuotaNumbers() {
	for _, ino := range []uint32{c.sb.UsrQuotaInum(), c.sb.GrpQuotaInum(), c.sb.PrjQuotaInum()} {
		switch {
		case ino == 0:
		case ino == 1, ino == 2, ino >= 5 && ino <= 10, ino > c.geo.inodes:
			c.rep.add(codeQuotaInode, inodeAt(layout.Ino(ino)))
		}
	}
}

// blockUninit reports whether a group's descriptor says that its block bitmap is not initialized.
func (c *checker) blockUninit(i uint32) bool {
	return c.geo.descCsum() && c.descs[i].Flags()&layout.DescBlockUninit != 0
}

// inodeUninit reports whether a group's descriptor says that its inode bitmap and table are not initialized.
func (c *checker) inodeUninit(i uint32) bool {
	return c.geo.descCsum() && c.descs[i].Flags()&layout.DescInodeUninit != 0
}

// descOK reports whether a descriptor's checksum is right.
func (c *checker) descOK(i uint32) bool {
	return !c.geo.descCsum() || c.descs[i].Checksum() == c.geo.descChecksum(i, c.descs[i])
}
