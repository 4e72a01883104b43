package check

import (
	"encoding/binary"

	"ext4img/aio/block"
	"ext4img/ext4/layout"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian // byte order of the journal
)

// geometry is the checker's own reading of a superblock that passed tryOpen: numbers with which computations do not
// overflow or divide by zero. Nothing in it depends on the descriptors.
type geometry struct {
	compat   layout.Compat
	incompat layout.Incompat
	ro       layout.ROCompat

	bs          int  // block size, bytes
	bits        uint // its logarithm
	ratio       uint32
	ratioBits   uint
	blocks      uint64
	first       uint64 // s_first_data_block
	bpg, cpg    uint32 // blocks, clusters per group
	ipg         uint32
	inodes      uint32 // s_inodes_count
	groups      uint32
	isize       int
	firstIno    uint32
	descSize    int
	descBlocks  uint32
	reservedGDT uint32
	firstMetaBG uint32
	itable      uint32 // blocks of an inode table
	backup      [2]uint32
	csumSeed    uint32
	uuid        [16]byte
}

func (g *geometry) hasCompat(f layout.Compat) bool     { return g.compat&f != 0 }
func (g *geometry) hasIncompat(f layout.Incompat) bool { return g.incompat&f != 0 }
func (g *geometry) hasRO(f layout.ROCompat) bool       { return g.ro&f != 0 }
func (g *geometry) csum() bool                         { return g.hasRO(layout.ROCompatMetadataCsum) }
func (g *geometry) descCsum() bool {
	return g.hasRO(layout.ROCompatMetadataCsum | layout.ROCompatGdtCsum)
}

// Limits of the format that libext2fs enforces.
const (
	maxLogBlockSize   = 6  // 64 KiB
	maxLogClusterSize = 19 // 512 MiB
	maxLogFlex        = 31
	maxPerGroup       = 65536 - 8
	maxDescSize       = 1024
)

// newGeometry decodes s, or returns why that is impossible (superCorrupt, superDescSize). If lenient is set, the
// number of inodes may disagree with the groups and inodes per group, and descriptors may overlap.
func newGeometry(s layout.Superblock, lenient bool) (*geometry, openResult) {
	g := &geometry{compat: s.FeatureCompat(), incompat: s.FeatureIncompat(), ro: s.FeatureROCompat()}
	if s.LogBlockSize() > maxLogBlockSize {
		return nil, superCorrupt
	}
	bigalloc := g.hasRO(layout.ROCompatBigalloc)
	if !bigalloc && s.LogBlockSize() != s.LogClusterSize() {
		return nil, superCorrupt
	}
	if s.LogClusterSize() < s.LogBlockSize() || s.LogClusterSize() > maxLogClusterSize+1 {
		return nil, superCorrupt
	}
	g.bits = uint(10 + s.LogBlockSize())
	g.bs = 1 << g.bits
	g.ratioBits = uint(s.LogClusterSize() - s.LogBlockSize())
	g.ratio = 1 << g.ratioBits
	g.isize, g.firstIno = 128, uint32(layout.GoodOldFirst)
	if s.RevLevel() > 0 {
		g.isize, g.firstIno = int(s.InodeSize()), s.FirstIno()
	}
	if g.isize < 128 || g.isize > g.bs || g.isize&(g.isize-1) != 0 {
		return nil, superCorrupt
	}
	g.descSize = 32
	if g.hasIncompat(layout.Incompat64Bit) {
		g.descSize = int(s.DescSize())
		if g.descSize < 64 && !lenient || g.descSize == 0 {
			return nil, superDescSize
		}
	}
	return g, g.decodeGroups(s, lenient)
}

// decodeGroups decodes the fields that determine the number of groups.
func (g *geometry) decodeGroups(s layout.Superblock, lenient bool) openResult {
	g.blocks, g.first = s.BlocksCount(), uint64(s.FirstDataBlock())
	g.bpg, g.cpg, g.ipg, g.inodes = s.BlocksPerGroup(), s.ClustersPerGroup(), s.InodesPerGroup(), s.InodesCount()
	if uint64(g.bpg) != uint64(g.cpg)<<g.ratioBits || g.ipg == 0 {
		return superCorrupt
	}
	itable := (uint64(g.ipg)*uint64(g.isize) + uint64(g.bs) - 1) >> g.bits
	maxInodes := uint64(65536 - g.bs/g.isize)
	if g.bpg == 0 || uint64(g.bpg) > uint64(maxPerGroup)<<g.ratioBits || itable > maxInodes ||
		g.descSize > g.bs || g.first >= g.blocks || s.LogGroupsPerFlex() > maxLogFlex {
		return superCorrupt
	}
	g.itable = uint32(itable)
	groups := (g.blocks - g.first + uint64(g.bpg) - 1) / uint64(g.bpg)
	if groups>>32 != 0 {
		return superCorrupt
	}
	g.groups = uint32(groups)
	if !lenient && groups*uint64(g.ipg) != uint64(g.inodes) {
		return superCorrupt
	}
	perBlock := uint32(g.bs / g.descSize)
	g.descBlocks = uint32((groups + uint64(perBlock) - 1) / uint64(perBlock))
	g.reservedGDT = uint32(s.ReservedGDTBlocks())
	g.firstMetaBG = s.FirstMetaBG()
	g.backup = s.BackupBGs()
	copy(g.uuid[:], s.UUID())
	if g.hasIncompat(layout.IncompatCsumSeed) {
		g.csumSeed = s.CsumSeed()
	} else {
		g.csumSeed = block.Crc32c(^uint32(0), g.uuid[:])
	}
	return superOK
}

// hasSuper tells whether a group begins with a copy of the superblock.
func (g *geometry) hasSuper(group uint32) bool {
	if group == 0 {
		return true
	}
	if g.hasCompat(layout.CompatSparseSuper2) {
		return group == g.backup[0] || group == g.backup[1]
	}
	if group == 1 || !g.hasRO(layout.ROCompatSparseSuper) {
		return true
	}
	return isPower(group, 3) || isPower(group, 5) || isPower(group, 7)
}

func isPower(n, base uint32) bool {
	for n%base == 0 && n > 1 {
		n /= base
	}
	return n == 1
}

func (g *geometry) groupFirst(group uint32) uint64 { return g.first + uint64(group)*uint64(g.bpg) }

func (g *geometry) groupLast(group uint32) uint64 {
	if group == g.groups-1 {
		return g.blocks - 1
	}
	return g.groupFirst(group) + uint64(g.bpg) - 1
}

// clusters is the number of clusters of the whole file system.
func (g *geometry) clusters() uint64 { return g.cluster(g.blocks-1) + 1 }

// cluster is the number of the cluster that holds block b, in the order of the block bitmap.
func (g *geometry) cluster(b uint64) uint64 { return (b - g.first) >> g.ratioBits }

// clusterRun returns the clusters of n blocks from at on. The first block must be in the file system.
func (g *geometry) clusterRun(at, n uint64) (first, count uint64) {
	first = g.cluster(at)
	return first, g.cluster(min(at+n, g.blocks)-1) - first + 1
}

// valid tells whether b is a block of the file system.
func (g *geometry) valid(b uint64) bool { return b >= g.first && b < g.blocks }

func (g *geometry) descsPerBlock() uint32 { return uint32(g.bs / g.descSize) }

// bootBlock reports whether block 0 belongs to group 0 and is left to the boot loader.
func (g *geometry) bootBlock() bool { return g.bs == 1024 && g.first == 0 }

// superArea returns the blocks of a group's copies of superblock and descriptors, in runs.
func (g *geometry) superArea(group uint32) []blockRun {
	var runs []blockRun
	at := g.groupFirst(group)
	if at == 0 && g.bs == 1024 {
		at = 1
		if g.ratio > 1 {
			runs = append(runs, blockRun{0, 1})
		}
	}
	has := g.hasSuper(group)
	if has {
		runs = append(runs, blockRun{at, 1})
		at++
	}
	meta := group / g.descsPerBlock()
	if !g.hasIncompat(layout.IncompatMetaBG) || meta < g.firstMetaBG {
		old := uint64(g.descBlocks) + uint64(g.reservedGDT)
		if g.hasIncompat(layout.IncompatMetaBG) {
			old = uint64(g.firstMetaBG)
		}
		if has && at < g.blocks {
			runs = append(runs, blockRun{at, min(old, g.blocks-at)})
		}
		return runs
	}
	if k := group % g.descsPerBlock(); k == 0 || k == 1 || k == g.descsPerBlock()-1 {
		runs = append(runs, blockRun{at, 1})
	}
	return runs
}

// descLoc is the i-th block of descriptors in the copy that belongs to the superblock at block super (0: the primary
// one).
func (g *geometry) descLoc(super uint64, i uint32) uint64 {
	at, adjust := super, uint64(0)
	if super == 0 {
		at = g.first
	}
	if i == 0 && g.bs == 1024 && g.ratio > 1 || at == 0 && g.bs == 1024 {
		adjust = 1
	}
	if !g.hasIncompat(layout.IncompatMetaBG) || i < g.firstMetaBG {
		return at + uint64(i) + 1 + adjust
	}
	group := uint64(i) * uint64(g.descsPerBlock())
	has := b2u(g.hasSuper(uint32(group)))
	loc := g.groupFirst(uint32(group))
	if super != 0 && loc+has+uint64(g.bpg) < g.blocks {
		loc += uint64(g.bpg)
		has = b2u(g.hasSuper(uint32(group) + 1))
	}
	return loc + has + adjust
}

// uninitBlocks returns the blocks that are in use according to the group's descriptor alone. They stand for the block
// bitmap of a group that is flagged uninitialized.
func (g *geometry) uninitBlocks(group uint32, d layout.Desc) []blockRun {
	runs := g.superArea(group)
	return append(runs, blockRun{uint64(d.InodeTable()), uint64(g.itable)}, blockRun{uint64(d.BlockBitmap()), 1},
		blockRun{uint64(d.InodeBitmap()), 1})
}

// inodeGroup splits an inode number.
func (g *geometry) inodeGroup(ino layout.Ino) (group, index uint32) {
	return (uint32(ino) - 1) / g.ipg, (uint32(ino) - 1) % g.ipg
}

// A blockRun is n blocks from at on.
type blockRun struct{ at, n uint64 }

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
