package mkfs

import (
	"fmt"
	"math/bits"
	"syscall"

	"ext4img/aio/block"
	"ext4img/ext4/layout"
)

const (
	maxPerGroup  = 1<<16 - 8 // clusters in a group, whose number must fit into 16 bits
	maxGroups    = 1 << 24   // bounds the memory for descriptors
	spareInGroup = 50        // blocks that the last group must have beyond its own tables to be worth having
	extraIsize   = 32        // bytes of fields after the first 128 of an inode
	hashHalfMD4  = 1
)

// plan computes the values of the superblock, and from them the geometry.
func (b *builder) plan() error {
	o := b.o
	f, err := o.features()
	if err != nil {
		return err
	}
	if b.log, err = journalBlocks(o, &f); err != nil {
		return err
	}
	b.super = layout.Superblock(make([]byte, layout.SuperSize))
	fixed(b.super, o, f)
	p := &planner{o: o, s: b.super}
	if err := p.groups(); err != nil {
		return err
	}
	b.g, err = layout.NewGeometry(b.super)
	return err
}

// features is the set that the options ask for, without those that the size does not allow.
func (o Options) features() (Features, error) {
	f, err := DefaultFeatures(o.Type)
	if err == nil {
		f, err = ParseFeatures(f, o.Features)
	}
	if err == nil {
		err = f.check()
	}
	if err != nil {
		return Features{}, err
	}
	if o.Blocks > 1<<32-1 {
		if f.Incompat&layout.Incompat64Bit == 0 {
			return Features{}, fmt.Errorf("%d blocks: more than 2^32-1 need the feature 64bit", o.Blocks)
		}
		f.Compat &^= layout.CompatResizeInode // its block numbers have 32 bits
	}
	needRoom := f.ROCompat&layout.ROCompatProject != 0 || f.Incompat&layout.IncompatInlineData != 0
	if needRoom && o.InodeSize < layout.GoodOldInodeSize+extraIsize {
		return Features{}, fmt.Errorf("features project and inline_data need inodes of more than %d bytes", o.InodeSize)
	}
	return f, nil
}

// fixed sets the fields that need no arithmetic.
func fixed(s layout.Superblock, o Options, f Features) {
	seconds := uint32(o.Time.Unix())
	s.SetMagic(layout.SuperMagic)
	s.SetRevLevel(1)
	s.SetState(layout.StateClean)
	s.SetErrors(1) // go on
	s.SetMaxMountCount(0xFFFF)
	s.SetMkfsTime(seconds)
	s.SetWtime(seconds)
	s.SetLastCheck(seconds)
	s.SetFirstIno(uint32(layout.GoodOldFirst))
	s.SetInodeSize(uint16(o.InodeSize))
	s.SetFeatureCompat(f.Compat)
	s.SetFeatureIncompat(f.Incompat)
	s.SetFeatureROCompat(f.ROCompat)
	copy(s.UUID(), o.UUID[:])
	s.SetVolumeName(o.Label)
	s.SetHashSeed(o.HashSeed)
	s.SetDefHashVersion(hashHalfMD4)
	s.SetFlags(layout.FlagSignedHash)
	s.SetDefaultMountOpts(0xC) // user_xattr, acl
	s.SetLogBlockSize(uint32(bits.TrailingZeros(uint(o.BlockSize)) - 10))
	s.SetRaidStride(uint16(o.Stride))
	s.SetRaidStripeWidth(o.Stripe)
	if o.InodeSize >= layout.GoodOldInodeSize+extraIsize {
		s.SetMinExtraIsize(extraIsize)
		s.SetWantExtraIsize(extraIsize)
	}
	if f.Incompat&layout.Incompat64Bit != 0 {
		s.SetDescSize(layout.MinDescSize64)
	}
	if f.Incompat&layout.IncompatFlexBG != 0 {
		s.SetLogGroupsPerFlex(uint8(bits.TrailingZeros32(o.GroupsPerFlex)))
	}
	if f.ROCompat&layout.ROCompatMetadataCsum != 0 {
		s.SetChecksumType(1) // crc32c
	}
	if f.Incompat&layout.IncompatCsumSeed != 0 {
		s.SetCsumSeed(block.Crc32c(^uint32(0), o.UUID[:]))
	}
	if f.Incompat&layout.IncompatCasefold != 0 {
		s.SetEncoding(1) // utf8-12.1
	}
	if f.Incompat&layout.IncompatEncrypt != 0 {
		copy(s[0x254:], []byte{1, 4}) // s_encrypt_algos: AES-256-XTS, AES-256-CTS
	}
	if f.Incompat&layout.IncompatMMP != 0 {
		s.SetMMPInterval(mmpInterval)
	}
	if f.Compat&layout.CompatHasJournal != 0 {
		s.SetJournalInum(uint32(layout.JournalIno))
		s.SetJournalBackupType(1) // inode blocks
	}
}

// A planner computes the values that depend on each other.
type planner struct {
	o Options
	s layout.Superblock

	blocks   uint64 // s_blocks_count
	first    uint64 // s_first_data_block
	ratio    uint64 // blocks in a cluster
	perGroup uint64 // clusters
	ngroups  uint64
	perTable uint64 // inodes in a group
	dropped  uint64 // number of blocks without the last group, if that was left out; else 0
}

func (p *planner) bigalloc() bool { return p.s.FeatureROCompat()&layout.ROCompatBigalloc != 0 }

// groups computes the number of blocks, groups and inodes. It leaves out a last group that is too small for its own
// tables. If one bitmap cannot count the inodes of a group, it makes the groups smaller.
func (p *planner) groups() error {
	if err := p.clusters(); err != nil {
		return err
	}
	p.blocks = p.o.Blocks &^ (p.ratio - 1)
	for {
		if p.blocks <= p.first+spareInGroup {
			return fmt.Errorf("%d blocks of %d bytes: %w", p.blocks, p.o.BlockSize, syscall.ENOSPC)
		}
		bpg := p.perGroup * p.ratio
		p.ngroups = (p.blocks - p.first + bpg - 1) / bpg
		if p.ngroups > maxGroups {
			return layout.Unsupportedf("%d blocks: %d groups, at most %d can be made", p.blocks, p.ngroups, maxGroups)
		}
		if !p.inodesPerGroup() {
			if p.perGroup < 256+8 {
				return fmt.Errorf("%d inodes in %d blocks: %w", p.wantInodes(), p.blocks, syscall.ENOSPC)
			}
			p.perGroup -= 8
			p.blocks = p.o.Blocks &^ (p.ratio - 1) // with another group size, the last group may be large enough
			continue
		}
		p.set()
		if err := p.descriptors(); err != nil {
			return err
		}
		g, err := layout.NewGeometry(p.s)
		if err != nil {
			return err
		}
		last := g.Groups - 1
		if need := 2 + g.InodeTableBlocks() + g.OverheadInGroup(last); g.GroupBlocks(last) >= need+spareInGroup {
			return nil
		}
		if last == 0 {
			return fmt.Errorf("%d blocks of %d bytes with %d inodes: %w", p.blocks, p.o.BlockSize, g.Inodes, syscall.ENOSPC)
		}
		p.blocks = uint64(g.GroupFirst(last))
		p.dropped = p.blocks
	}
}

// clusters computes the size of clusters and of groups.
func (p *planner) clusters() error {
	bs := uint64(p.o.BlockSize)
	p.ratio = 1
	if p.bigalloc() {
		size := p.o.ClusterSize
		if size == 0 {
			size = 16 * p.o.BlockSize
		}
		if !power(size, 2*p.o.BlockSize, 1<<29) || size/p.o.BlockSize > 1<<15 {
			return fmt.Errorf("cluster size %d: want a power of two from 2 to 32768 blocks of %d bytes", size, bs)
		}
		p.ratio = uint64(size) / bs
	} else if bs == layout.MinBlockSize {
		p.first = 1
	}
	p.perGroup = min(8*bs, maxPerGroup)
	if n := uint64(p.o.BlocksPerGroup); n != 0 {
		if n%(8*p.ratio) != 0 || n/p.ratio > p.perGroup || n < 256 {
			return fmt.Errorf("%d blocks per group: want a multiple of %d from 256 to %d", n, 8*p.ratio, p.perGroup*p.ratio)
		}
		p.perGroup = n / p.ratio
	}
	return nil
}

func (p *planner) wantInodes() uint64 {
	n, each := p.o.Inodes, p.o.BytesPerInode
	if each == 0 {
		each = p.o.bytesPerInode(int(p.ratio) * p.o.BlockSize)
	}
	if n == 0 {
		n = p.o.Blocks * uint64(p.o.BlockSize) / each
	}
	if n == 0 { // the file system is so small that the ratio gives none
		n = p.o.Blocks * uint64(min(p.o.BlockSize, pageSize)) / pageSize
	}
	return min(max(n, uint64(layout.GoodOldFirst)+1), 1<<32-1)
}

// inodesPerGroup rounds the number of inodes so that inode tables fill their blocks and bitmaps their bytes. It
// returns false if one bitmap cannot count them.
func (p *planner) inodesPerGroup() bool {
	bs, perBlock := uint64(p.o.BlockSize), uint64(p.o.BlockSize/p.o.InodeSize)
	n := (p.wantInodes() + p.ngroups - 1) / p.ngroups
	if n > 8*bs {
		return false
	}
	n = min(n, 1<<16-perBlock)
	unit := max(perBlock, 8) // both are powers of two
	if n = (n + perBlock - 1) / perBlock * perBlock; n < unit {
		n = unit
	}
	n &^= unit - 1
	for n*p.ngroups <= uint64(layout.GoodOldFirst) {
		n += unit // rounding gave fewer inodes than are reserved
	}
	for n > unit && n*p.ngroups > 1<<32-1 {
		n -= unit
	}
	p.perTable = n
	return n*p.ngroups <= 1<<32-1
}

// set stores the values found so far in the superblock.
func (p *planner) set() {
	s := p.s
	s.SetBlocksCount(p.blocks)
	s.SetFirstDataBlock(uint32(p.first))
	s.SetLogClusterSize(s.LogBlockSize() + uint32(bits.TrailingZeros64(p.ratio)))
	s.SetClustersPerGroup(uint32(p.perGroup))
	s.SetBlocksPerGroup(uint32(p.perGroup * p.ratio))
	s.SetInodesPerGroup(uint32(p.perTable))
	s.SetInodesCount(uint32(p.perTable * p.ngroups))
	s.SetReservedBlocksCount(p.reserved())
	if s.FeatureCompat()&layout.CompatSparseSuper2 != 0 {
		var backup [2]uint32
		if p.ngroups > 1 {
			backup[0] = 1
		}
		if p.ngroups > 2 {
			backup[1] = uint32(p.ngroups - 1)
		}
		s.SetBackupBGs(backup)
	}
}

// reserved is the number of blocks for root. If a small last group was left out, even for a while, it is scaled down.
func (p *planner) reserved() uint64 {
	n := uint64(*p.o.ReservedPercent * float64(p.o.Blocks) / 100)
	if p.dropped > 0 {
		n = uint64(float64(n) / float64(p.o.Blocks) * float64(p.dropped))
	}
	return n
}

// descriptors computes how many blocks to reserve for more descriptors. If descriptors would fill most of a group, it
// spreads them with meta block groups.
func (p *planner) descriptors() error {
	size := uint64(layout.MinDescSize)
	if p.s.FeatureIncompat()&layout.Incompat64Bit != 0 {
		size = layout.MinDescSize64
	}
	per := uint64(p.o.BlockSize) / size
	now := (p.ngroups + per - 1) / per
	var reserved uint64
	if p.s.FeatureCompat()&layout.CompatResizeInode != 0 {
		limit := uint64(1<<32 - 1)
		if p.blocks < limit/1024 {
			limit = p.blocks * 1024
		}
		if n := p.o.ResizeBlocks; n != 0 {
			if n <= p.blocks {
				return fmt.Errorf("resize to %d blocks: the file system has %d", n, p.blocks)
			}
			limit = min(n, 1<<32-1)
		}
		bpg := p.perGroup * p.ratio
		then := ((limit-p.first+bpg-1)/bpg + per - 1) / per
		if limit > p.first && then > now {
			reserved = min(then-now, uint64(p.o.BlockSize)/4)
		}
	}
	if (now+reserved)*4 > p.perGroup*p.ratio*3 && p.s.FeatureIncompat()&layout.IncompatMetaBG == 0 {
		p.s.SetFeatureIncompat(p.s.FeatureIncompat() | layout.IncompatMetaBG)
		p.s.SetFeatureCompat(p.s.FeatureCompat() &^ layout.CompatResizeInode)
		reserved = 0
	}
	p.s.SetReservedGDTBlocks(uint16(reserved))
	return nil
}
