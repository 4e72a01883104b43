package layout

import (
	"math/bits"

	"ext4img/aio/block"
)

// Limits of the format.
const (
	MinBlockSize     = 1024
	MaxBlockSize     = 65536
	GoodOldInodeSize = 128
	MinDescSize      = 32
	MinDescSize64    = 64
	MaxDescSize      = 1024
)

// Geometry is the shape of a file system as its superblock describes it: decoded once, checked, never changed. Counts
// that change while the file system is in use are not in it.
type Geometry struct {
	Compat   Compat
	Incompat Incompat
	ROCompat ROCompat

	BlockSize        int    // bytes
	ClusterRatio     uint32 // blocks in a cluster; 1 without bigalloc
	Blocks           uint64 // s_blocks_count
	FirstDataBlock   uint32 // s_first_data_block
	BlocksPerGroup   uint32
	ClustersPerGroup uint32
	InodesPerGroup   uint32
	Inodes           uint32 // s_inodes_count
	Groups           Group  // number of groups
	InodeSize        int    // bytes
	FirstIno         Ino    // first inode that is not reserved
	DescSize         int    // bytes
	DescBlocks       uint32 // blocks of descriptors in all
	ReservedGDT      uint32 // s_reserved_gdt_blocks
	FirstMetaBG      uint32
	FlexSize         uint32    // groups in a flex group; 1 without flex_bg
	BackupBGs        [2]uint32 // with sparse_super2

	CreatorOS      uint32 // s_creator_os: OSLinux and others
	CsumSeed       uint32 // seed of the crc32c checksums
	UUID           [16]byte
	HashSeed       [4]uint32
	DefHashVersion uint8
	UnsignedHash   bool // s_flags has the unsigned hash
	WantExtraIsize int  // bytes beyond 128 in a new inode
	MinExtraIsize  int
	ResizeInode    bool
}

// NewGeometry decodes and checks a superblock. It does not judge features (see Geometry.Unsupported) nor the checksum
// (see Superblock.VerifyChecksum). Computations with the values that it accepts do not overflow.
func NewGeometry(s Superblock) (*Geometry, error) {
	if len(s) < SuperSize {
		return nil, Corruptf("superblock: %d bytes, want %d", len(s), SuperSize)
	}
	g := &Geometry{
		Compat: s.FeatureCompat(), Incompat: s.FeatureIncompat(), ROCompat: s.FeatureROCompat(),
		Blocks: s.BlocksCount(), FirstDataBlock: s.FirstDataBlock(), BlocksPerGroup: s.BlocksPerGroup(),
		ClustersPerGroup: s.ClustersPerGroup(), InodesPerGroup: s.InodesPerGroup(), Inodes: s.InodesCount(),
		ReservedGDT: uint32(s.ReservedGDTBlocks()), FirstMetaBG: s.FirstMetaBG(), BackupBGs: s.BackupBGs(),
		CreatorOS: s.CreatorOS(), UUID: [16]byte(s.UUID()), HashSeed: s.HashSeed(), DefHashVersion: s.DefHashVersion(),
		UnsignedHash: s.Flags()&FlagUnsignedHash != 0, WantExtraIsize: int(s.WantExtraIsize()), MinExtraIsize: int(s.MinExtraIsize()),
		ResizeInode: s.FeatureCompat()&CompatResizeInode != 0, FlexSize: 1, ClusterRatio: 1,
	}
	for _, step := range []func(Superblock) error{g.decodeSizes, g.decodeInodes, g.decodeGroups, g.decodeDescs} {
		if err := step(s); err != nil {
			return nil, err
		}
	}
	g.CsumSeed = block.Crc32c(^uint32(0), g.UUID[:])
	if g.Incompat&IncompatCsumSeed != 0 {
		g.CsumSeed = s.CsumSeed()
	}
	if g.Incompat&IncompatFlexBG != 0 && s.LogGroupsPerFlex() > 0 && s.LogGroupsPerFlex() < 32 {
		g.FlexSize = 1 << s.LogGroupsPerFlex()
	}
	return g, nil
}

func (g *Geometry) decodeSizes(s Superblock) error {
	log := s.LogBlockSize()
	if log > 6 {
		return Corruptf("superblock: s_log_block_size %d, want at most 6", log)
	}
	g.BlockSize = MinBlockSize << log
	if t := s.ChecksumType(); g.MetadataCsum() && t != ChecksumCRC32C {
		return Corruptf("superblock: s_checksum_type %d, want %d", t, ChecksumCRC32C)
	}
	if g.Bigalloc() {
		logc := s.LogClusterSize()
		if logc < log || logc-log > 16 {
			return Corruptf("superblock: s_log_cluster_size %d with s_log_block_size %d", logc, log)
		}
		g.ClusterRatio = 1 << (logc - log)
	} else if g.ClustersPerGroup = g.BlocksPerGroup; s.LogClusterSize() != log {
		return Corruptf("superblock: s_log_cluster_size %d with s_log_block_size %d and no bigalloc", s.LogClusterSize(), log)
	}
	if max := uint32(8 * g.BlockSize); g.ClustersPerGroup == 0 || g.ClustersPerGroup > max || g.ClustersPerGroup%8 != 0 {
		return Corruptf("superblock: s_clusters_per_group %d, want a multiple of 8 up to %d", g.ClustersPerGroup, max)
	}
	if uint64(g.BlocksPerGroup) != uint64(g.ClustersPerGroup)*uint64(g.ClusterRatio) {
		return Corruptf("superblock: s_blocks_per_group %d, want %d clusters of %d blocks", g.BlocksPerGroup, g.ClustersPerGroup, g.ClusterRatio)
	}
	var first uint32
	if g.BlockSize == 1024 && g.ClusterRatio == 1 {
		first = 1
	}
	if g.FirstDataBlock != first {
		return Corruptf("superblock: s_first_data_block %d, want %d", g.FirstDataBlock, first)
	}
	if g.Blocks <= uint64(g.FirstDataBlock) || g.Blocks > 1<<48 {
		return Corruptf("superblock: s_blocks_count %d", g.Blocks)
	}
	return nil
}

func (g *Geometry) decodeInodes(s Superblock) error {
	g.InodeSize, g.FirstIno = GoodOldInodeSize, GoodOldFirst
	if s.RevLevel() > 0 {
		g.InodeSize, g.FirstIno = int(s.InodeSize()), Ino(s.FirstIno())
	}
	if g.InodeSize < GoodOldInodeSize || g.InodeSize > g.BlockSize || bits.OnesCount(uint(g.InodeSize)) != 1 {
		return Corruptf("superblock: s_inode_size %d with blocks of %d bytes", g.InodeSize, g.BlockSize)
	}
	if g.FirstIno < GoodOldFirst || uint32(g.FirstIno) > g.Inodes {
		return Corruptf("superblock: s_first_ino %d of %d inodes", g.FirstIno, g.Inodes)
	}
	perBlock := uint32(g.BlockSize / g.InodeSize)
	if g.InodesPerGroup < perBlock || g.InodesPerGroup > uint32(8*g.BlockSize) || g.InodesPerGroup%perBlock != 0 {
		return Corruptf("superblock: s_inodes_per_group %d, want a multiple of %d up to %d", g.InodesPerGroup, perBlock, 8*g.BlockSize)
	}
	room := g.InodeSize - GoodOldInodeSize
	if room == 0 {
		g.WantExtraIsize, g.MinExtraIsize = 0, 0 // not used, and revision 0 does not have them
	}
	if g.WantExtraIsize > room || g.MinExtraIsize > room {
		return Corruptf("superblock: s_want_extra_isize %d, s_min_extra_isize %d, want at most %d", g.WantExtraIsize, g.MinExtraIsize, room)
	}
	return nil
}

func (g *Geometry) decodeGroups(Superblock) error {
	groups := (g.Blocks - uint64(g.FirstDataBlock) + uint64(g.BlocksPerGroup) - 1) / uint64(g.BlocksPerGroup)
	if groups > 1<<31 || groups*uint64(g.InodesPerGroup) != uint64(g.Inodes) {
		return Corruptf("superblock: s_inodes_count %d, want %d groups of %d", g.Inodes, groups, g.InodesPerGroup)
	}
	g.Groups = Group(groups)
	return nil
}

func (g *Geometry) decodeDescs(s Superblock) error {
	g.DescSize = MinDescSize
	if g.Incompat&Incompat64Bit != 0 {
		g.DescSize = int(s.DescSize())
		if g.DescSize < MinDescSize64 || g.DescSize > MaxDescSize || bits.OnesCount(uint(g.DescSize)) != 1 {
			return Corruptf("superblock: s_desc_size %d, want a power of two from 64 to 1024", g.DescSize)
		}
	}
	per := g.DescsPerBlock()
	g.DescBlocks = uint32((uint64(g.Groups) + uint64(per) - 1) / uint64(per))
	if g.MetaBG() && g.FirstMetaBG > g.DescBlocks {
		return Corruptf("superblock: s_first_meta_bg %d of %d descriptor blocks", g.FirstMetaBG, g.DescBlocks)
	}
	if g.ReservedGDT > uint32(g.BlockSize/4) {
		return Corruptf("superblock: s_reserved_gdt_blocks %d, want at most %d", g.ReservedGDT, g.BlockSize/4)
	}
	return nil
}

// ReadOnlyFeatures returns the features that are not known here and so forbid writing.
func (g *Geometry) ReadOnlyFeatures() ROCompat { return g.ROCompat &^ KnownROCompat }

// MetadataCsum tells whether metadata carries crc32c checksums.
func (g *Geometry) MetadataCsum() bool { return g.ROCompat&ROCompatMetadataCsum != 0 }

// GdtCsum tells whether descriptors carry a checksum and uninit flags, of either kind.
func (g *Geometry) GdtCsum() bool { return g.ROCompat&(ROCompatGdtCsum|ROCompatMetadataCsum) != 0 }

// Bigalloc tells whether blocks are allocated in clusters.
func (g *Geometry) Bigalloc() bool { return g.ROCompat&ROCompatBigalloc != 0 }

// MetaBG tells whether descriptors lie in meta block groups, from FirstMetaBG on.
func (g *Geometry) MetaBG() bool { return g.Incompat&IncompatMetaBG != 0 }

// DescsPerBlock is the number of descriptors in a block.
func (g *Geometry) DescsPerBlock() uint32 { return uint32(g.BlockSize / g.DescSize) }

// InodesPerBlock is the number of inode records in a block.
func (g *Geometry) InodesPerBlock() uint32 { return uint32(g.BlockSize / g.InodeSize) }

// InodeTableBlocks is the length of one group's inode table in blocks.
func (g *Geometry) InodeTableBlocks() uint32 { return g.InodesPerGroup / g.InodesPerBlock() }

// SuperLoc is the block and the offset in it, in bytes, of the primary superblock.
func (g *Geometry) SuperLoc() (Pblk, int) {
	return Pblk(SuperOffset / g.BlockSize), SuperOffset % g.BlockSize
}

// HasSuper tells whether a group begins with a superblock or a copy of it.
func (g *Geometry) HasSuper(group Group) bool {
	switch {
	case group == 0:
		return true
	case g.Compat&CompatSparseSuper2 != 0:
		return uint32(group) == g.BackupBGs[0] || uint32(group) == g.BackupBGs[1]
	case group == 1 || g.ROCompat&ROCompatSparseSuper == 0:
		return true
	case group%2 == 0:
		return false
	}
	return isPower(group, 3) || isPower(group, 5) || isPower(group, 7)
}

func isPower(n, base Group) bool {
	for n%base == 0 {
		n /= base
	}
	return n == 1
}

// GroupFirst is the first block of a group.
func (g *Geometry) GroupFirst(group Group) Pblk {
	return Pblk(uint64(group)*uint64(g.BlocksPerGroup) + uint64(g.FirstDataBlock))
}

// GroupBlocks is the number of blocks in a group: the last may be short.
func (g *Geometry) GroupBlocks(group Group) uint32 {
	return uint32(min(uint64(g.BlocksPerGroup), g.Blocks-uint64(g.GroupFirst(group))))
}

// GroupClusters is the number of clusters in a group. The end of the device may cut the last cluster short.
func (g *Geometry) GroupClusters(group Group) uint32 {
	return (g.GroupBlocks(group) + g.ClusterRatio - 1) / g.ClusterRatio
}

// GroupOf is the group of a block and the block's number in it. The block must be one of the file system
// (ContainsBlocks).
func (g *Geometry) GroupOf(p Pblk) (Group, uint32) {
	rel := uint64(p) - uint64(g.FirstDataBlock)
	return Group(rel / uint64(g.BlocksPerGroup)), uint32(rel % uint64(g.BlocksPerGroup))
}

// ContainsBlocks tells whether the n blocks from p on all belong to the file system.
func (g *Geometry) ContainsBlocks(p Pblk, n uint64) bool {
	return uint64(p) >= uint64(g.FirstDataBlock) && uint64(p) < g.Blocks && n <= g.Blocks-uint64(p)
}

// ValidIno tells whether ino is the number of an inode of the file system.
func (g *Geometry) ValidIno(ino Ino) bool { return ino >= 1 && uint32(ino) <= g.Inodes }

// InodeGroup is the group of an inode and its index in it. The number must be valid (ValidIno).
func (g *Geometry) InodeGroup(ino Ino) (Group, uint32) {
	rel := uint32(ino) - 1
	return Group(rel / g.InodesPerGroup), rel % g.InodesPerGroup
}

// metaGroup tells whether a group's descriptors lie in a meta block group.
func (g *Geometry) metaGroup(group Group) bool {
	return g.MetaBG() && uint32(group)/g.DescsPerBlock() >= g.FirstMetaBG
}

// DescLoc is the block and the offset in it, in bytes, of a group's descriptor.
func (g *Geometry) DescLoc(group Group) (Pblk, int) {
	per := g.DescsPerBlock()
	n, off := uint32(group)/per, int(uint32(group)%per)*g.DescSize
	if !g.metaGroup(group) {
		super, _ := g.SuperLoc()
		return super + 1 + Pblk(n), off
	}
	return g.metaDescBlock(Group(n * per)), off
}

// metaDescBlock is the block of descriptors of a group in a meta block group: it follows the superblock, if the group
// has one.
func (g *Geometry) metaDescBlock(group Group) Pblk {
	p := g.GroupFirst(group)
	if g.HasSuper(group) {
		p++
	}
	if group == 0 && g.bootBlock() {
		p++
	}
	return p
}

// bootBlock reports whether block 0 belongs to group 0 and precedes the superblock: with bigalloc and blocks of 1
// KiB.
func (g *Geometry) bootBlock() bool { return g.BlockSize == 1024 && g.FirstDataBlock == 0 }

// OverheadInGroup is the number of blocks at the start of a group that superblock, descriptors and the blocks reserved
// for more descriptors take.
func (g *Geometry) OverheadInGroup(group Group) uint32 {
	var n uint32
	if group == 0 && g.bootBlock() {
		n++
	}
	if g.HasSuper(group) {
		n++
		if !g.metaGroup(group) {
			gdt := g.DescBlocks
			if g.MetaBG() {
				gdt = g.FirstMetaBG
			}
			return n + gdt + g.ReservedGDT
		}
	}
	if g.metaGroup(group) {
		per := Group(g.DescsPerBlock())
		if i := group % per; i == 0 || i == 1 || i == per-1 {
			n++
		}
	}
	return n
}
