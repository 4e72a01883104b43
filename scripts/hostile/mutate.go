package main

import (
	"fmt"
	"math/rand/v2"

	"ext4img/ext4/layout"
)

// mutation is an image with a defect. Its bytes depend on the base image, the seed and the number alone.
type mutation struct {
	*image
	r *rand.Rand

	class string
	what  string
	ino   layout.Ino // the inode that it is about; 0 where there is none
}

// class makes one kind of defect. It returns what it did, or "" where the image has nothing of the kind.
type class struct {
	name string
	make func(*mutation) string
}

func classes() []class {
	return append(append(generalClasses(), mapClasses()...), nameClasses()...)
}

// mutate makes mutation number n of the seed.
func mutate(base *image, seed uint64, n int) *mutation {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	all := classes()
	for {
		m := &mutation{image: base.copy(), r: r}
		c := all[r.IntN(len(all))]
		if m.what = c.make(m); m.what != "" && string(m.b) != string(base.b) {
			m.class = c.name
			return m
		}
	}
}

func pick[T any](m *mutation, list ...T) (v T) {
	if len(list) > 0 {
		v = list[m.r.IntN(len(list))]
	}
	return v
}

// number gives a block number that is wrong in one of the ways that matter: outside, metadata, another file's, or free.
func (m *mutation) number() layout.Pblk {
	d := m.desc(layout.Group(m.r.IntN(int(m.g.Groups))))
	end := layout.Pblk(m.g.Blocks)
	first := layout.Pblk(m.g.FirstDataBlock)
	switch m.r.IntN(6) {
	case 0:
		return pick(m, end, end+layout.Pblk(1+m.r.IntN(1<<20)), 0, first, first+1)
	case 1:
		return pick(m, d.BlockBitmap(), d.InodeBitmap(), d.InodeTable())
	case 2, 3:
		if e := pick(m, m.maps[pick(m, m.inodes...)]...); e.Len > 0 {
			return e.Pblk + layout.Pblk(m.r.IntN(int(e.Len)))
		}
	}
	return first + layout.Pblk(m.r.Uint64N(uint64(end-first)))
}

// other gives a value of so many bits that is not the old one: an edge, a bit changed, a neighbour, or any.
func (m *mutation) other(old uint64, bits int) uint64 {
	mask := uint64(1)<<bits - 1
	for range 50 {
		v := pick(m, 0, 1, 2, mask>>1, mask>>1+1, mask-1, mask, old^1<<m.r.IntN(bits), old+1, old-1, m.r.Uint64()) & mask
		if v != old {
			return v
		}
	}
	return old ^ 1
}

func (m *mutation) change16(off int, v uint64) string {
	old := le.Uint16(m.b[off:])
	le.PutUint16(m.b[off:], uint16(v))
	return fmt.Sprintf("%#x->%#x", old, uint16(v))
}

func (m *mutation) change32(off int, v uint64) string {
	old := le.Uint32(m.b[off:])
	le.PutUint32(m.b[off:], uint32(v))
	return fmt.Sprintf("%#x->%#x", old, uint32(v))
}

// about draws an inode, or gives 0 where the list is empty, and notes that the mutation is about it.
func (m *mutation) about(list ...layout.Ino) layout.Ino {
	m.ino = pick(m, list...)
	return m.ino
}

func (m *mutation) file() layout.Ino { return m.about(pick(m, m.regular, m.dirs, m.links)...) }

type field struct {
	name string
	off  int
	bits int
}

var superFields = []field{
	{"s_inodes_count", 0, 32}, {"s_blocks_count_lo", 4, 32}, {"s_free_blocks_count_lo", 0xC, 32}, {"s_free_inodes_count", 0x10, 32},
	{"s_first_data_block", 0x14, 32}, {"s_log_block_size", 0x18, 32}, {"s_log_cluster_size", 0x1C, 32}, {"s_blocks_per_group", 0x20, 32},
	{"s_clusters_per_group", 0x24, 32}, {"s_inodes_per_group", 0x28, 32}, {"s_state", 0x3A, 16}, {"s_errors", 0x3C, 16},
	{"s_creator_os", 0x48, 32}, {"s_rev_level", 0x4C, 32}, {"s_first_ino", 0x54, 32}, {"s_inode_size", 0x58, 16},
	{"s_reserved_gdt_blocks", 0xCE, 16}, {"s_journal_inum", 0xE0, 32}, {"s_def_hash_version", 0xFC, 8}, {"s_desc_size", 0xFE, 16},
	{"s_first_meta_bg", 0x104, 32}, {"s_blocks_count_hi", 0x150, 32}, {"s_min_extra_isize", 0x15C, 16}, {"s_want_extra_isize", 0x15E, 16},
	{"s_flags", 0x160, 32}, {"s_log_groups_per_flex", 0x174, 8}, {"s_checksum_type", 0x175, 8}, {"s_usr_quota_inum", 0x240, 32},
	{"s_orphan_file_inum", 0x280, 32}, {"s_last_orphan", 0xE8, 32}, {"s_feature_compat", 0x5C, 32}, {"s_feature_incompat", 0x60, 32},
	{"s_feature_ro_compat", 0x64, 32}, {"s_error_count", 0x194, 32}, {"s_overhead_blocks", 0x248, 32}, {"s_hash_seed", 0xEC, 32},
}

var inodeFields = []field{
	{"i_size_lo", 4, 32}, {"i_size_high", 0x6C, 32}, {"i_blocks_lo", 0x1C, 32}, {"i_links_count", 0x1A, 16}, {"i_dtime", 0x14, 32},
	{"i_file_acl_lo", 0x68, 32}, {"i_extra_isize", 0x80, 16}, {"i_generation", 0x64, 32}, {"i_mode", 0, 16}, {"i_blocks_high", 0x74, 16},
}

// set changes a field at a place to another value.
func (m *mutation) set(at int, f field) string {
	p := m.b[at+f.off:]
	switch f.bits {
	case 8:
		old := p[0]
		p[0] = byte(m.other(uint64(old), 8))
		return fmt.Sprintf("%s %#x->%#x", f.name, old, p[0])
	case 16:
		return f.name + " " + m.change16(at+f.off, m.other(uint64(le.Uint16(p)), 16))
	}
	return f.name + " " + m.change32(at+f.off, m.other(uint64(le.Uint32(p)), 32))
}

func generalClasses() []class {
	return []class{
		{"super.field", func(m *mutation) string {
			what := m.set(layout.SuperOffset, pick(m, superFields...))
			m.s.Seal()
			return what
		}},
		{"super.orphan", superOrphan},
		{"desc.pointer", descPointer},
		{"desc.count", descCount},
		{"bitmap.block", func(m *mutation) string { return bitmapBit(m, false) }},
		{"bitmap.inode", func(m *mutation) string { return bitmapBit(m, true) }},
		{"bitmap.used", bitmapUsed},
		{"inode.field", inodeField},
		{"inode.type", inodeType},
		{"inode.flags", inodeFlags},
		{"inode.zero", inodeZero},
		{"inode.clone", inodeClone},
		{"inode.reserved", inodeReserved},
		{"inode.root", rootField},
		{"journal.super", journalSuper},
		{"journal.inode", journalInode},
		{"orphan.file", orphanFile},
		{"quota.usage", quotaUsage},
		{"checksum", checksumOnly},
	}
}

func superOrphan(m *mutation) string {
	ino := pick(m, 1, 2, layout.Ino(m.g.Inodes)+1, m.file(), m.about(m.free...), 8)
	m.s.SetLastOrphan(uint32(ino))
	m.s.Seal()
	return fmt.Sprintf("s_last_orphan %d", ino)
}

func descPointer(m *mutation) string {
	group := layout.Group(m.r.IntN(int(m.g.Groups)))
	d, p := m.desc(group), m.number()
	var what string
	switch m.r.IntN(3) {
	case 0:
		what = fmt.Sprintf("block bitmap %d->%d", d.BlockBitmap(), p)
		d.SetBlockBitmap(p)
	case 1:
		what = fmt.Sprintf("inode bitmap %d->%d", d.InodeBitmap(), p)
		d.SetInodeBitmap(p)
	default:
		what = fmt.Sprintf("inode table %d->%d", d.InodeTable(), p)
		d.SetInodeTable(p)
	}
	m.sealDesc(group)
	return fmt.Sprintf("group %d: %s", group, what)
}

func descCount(m *mutation) string {
	group := layout.Group(m.r.IntN(int(m.g.Groups)))
	p, off := m.g.DescLoc(group)
	what := m.set(int(p)*m.g.BlockSize+off, pick(m, field{"free blocks", 0xC, 16}, field{"free inodes", 0xE, 16},
		field{"directories", 0x10, 16}, field{"flags", 0x12, 16}, field{"unused inodes", 0x1C, 16}))
	m.sealDesc(group)
	return fmt.Sprintf("group %d: %s", group, what)
}

func bitmapBit(m *mutation, inodes bool) string {
	group := layout.Group(m.r.IntN(int(m.g.Groups)))
	n, p := m.g.ClustersPerGroup, m.desc(group).BlockBitmap()
	if inodes {
		n, p = m.g.InodesPerGroup, m.desc(group).InodeBitmap()
	}
	i := m.r.Uint32N(n)
	for range 1 + m.r.IntN(9)*m.r.IntN(9) {
		m.block(p)[i%n/8] ^= 1 << (i % 8)
		i++
	}
	m.sealBitmap(group, inodes)
	return fmt.Sprintf("group %d: bits up to %d", group, i-1)
}

// bitmapUsed marks as free what a file uses: an inode, or the blocks of an extent.
func bitmapUsed(m *mutation) string {
	ino := m.file()
	if m.r.IntN(2) == 0 {
		group, i := m.g.InodeGroup(ino)
		m.block(m.desc(group).InodeBitmap())[i/8] &^= 1 << (i % 8)
		m.sealBitmap(group, true)
		return fmt.Sprintf("inode %d is marked as free", ino)
	}
	e := pick(m, m.maps[ino]...)
	if e.Len == 0 {
		return ""
	}
	group, i := m.g.GroupOf(e.Pblk)
	i /= m.g.ClusterRatio
	m.block(m.desc(group).BlockBitmap())[i/8] &^= 1 << (i % 8)
	m.sealBitmap(group, false)
	return fmt.Sprintf("block %d of inode %d is marked as free", e.Pblk, ino)
}

func inodeField(m *mutation) string {
	ino := m.file()
	f := pick(m, inodeFields...)
	if f.off >= m.g.InodeSize {
		return ""
	}
	what := m.set(m.inodeAt(ino), f)
	m.sealInode(ino)
	return fmt.Sprintf("inode %d: %s", ino, what)
}

func rootField(m *mutation) string {
	m.ino = layout.RootIno
	what := m.set(m.inodeAt(m.ino), pick(m, inodeFields[:6]...))
	m.sealInode(m.ino)
	return "root: " + what
}

func inodeType(m *mutation) string {
	ino := m.file()
	in := m.inode(ino)
	old := in.Mode()
	in.SetMode(uint16(m.r.IntN(16))<<12 | old&0xFFF)
	m.sealInode(ino)
	return fmt.Sprintf("inode %d: mode %o->%o", ino, old, in.Mode())
}

func inodeFlags(m *mutation) string {
	ino := m.file()
	in := m.inode(ino)
	old := in.Flags()
	in.SetFlags(old ^ pick(m, layout.FlagExtents, layout.FlagIndex, layout.FlagInlineData, layout.FlagEAInode, layout.FlagHugeFile,
		0x800, 0x100000, 0x40000000, 0x4, 0x80000000, 0x10, 0x20))
	m.sealInode(ino)
	return fmt.Sprintf("inode %d: flags %#x->%#x", ino, old, in.Flags())
}

func inodeZero(m *mutation) string {
	ino := m.file()
	clear(m.inode(ino))
	return fmt.Sprintf("inode %d: zeros", ino)
}

// inodeClone gives one inode the map of another: every block of it is claimed twice.
func inodeClone(m *mutation) string {
	from, to := m.file(), m.file()
	copy(m.inode(to).Block(), m.inode(from).Block())
	m.sealInode(to)
	return fmt.Sprintf("inode %d: i_block of %d", to, from)
}

func inodeReserved(m *mutation) string {
	ino := layout.Ino(pick(m, 1, 3, 4, 5, 6, 7, 9, 10))
	off := pick(m, 0, 4, 0x28, 0x2C, 0x58)
	what := m.change32(m.inodeAt(ino)+off, pick(m, 0x81A4, 0x41ED, 1, 0xFFFF, m.r.Uint64()))
	m.sealInode(ino)
	return fmt.Sprintf("inode %d: offset %#x %s", ino, off, what)
}

func journalSuper(m *mutation) string {
	if len(m.maps[layout.JournalIno]) == 0 {
		return ""
	}
	p := m.block(m.maps[layout.JournalIno][0].Pblk)
	off := pick(m, 0, 4, 0xC, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x2C, 0x40, 0x50)
	old := be.Uint32(p[off:])
	be.PutUint32(p[off:], uint32(m.other(uint64(old), 32)))
	m.sealJournal(p)
	return fmt.Sprintf("journal: offset %#x %#x->%#x", off, old, be.Uint32(p[off:]))
}

func journalInode(m *mutation) string {
	what := m.set(m.inodeAt(layout.JournalIno), pick(m, append(inodeFields, field{"i_flags", 0x20, 32}, field{"i_block[5]", 0x3C, 32})...))
	m.sealInode(layout.JournalIno)
	return "journal inode: " + what
}

func orphanFile(m *mutation) string {
	ino := layout.Ino(m.s.OrphanFileInum())
	if m.g.Compat&layout.CompatOrphanFile == 0 || len(m.maps[ino]) == 0 {
		return ""
	}
	p := m.maps[ino][0].Pblk
	at := int(p)*m.g.BlockSize + pick(m, 0, 4, m.g.BlockSize-8)
	what := m.change32(at, uint64(pick(m, 12, m.free[0], layout.Ino(m.g.Inodes)+1, 2, 8, m.file())))
	m.sealOrphans(ino, p)
	m.s.SetFeatureROCompat(m.s.FeatureROCompat() | layout.ROCompatOrphanPresent)
	m.s.Seal()
	return "orphan file: " + what
}

func quotaUsage(m *mutation) string {
	ino := layout.Ino(m.s.UsrQuotaInum())
	if len(m.maps[ino]) == 0 {
		return ""
	}
	e := m.maps[ino][0]
	at := int(e.Pblk)*m.g.BlockSize + m.r.IntN(int(e.Len)*m.g.BlockSize/4)*4
	return "quota file: " + m.change32(at, m.other(uint64(le.Uint32(m.b[at:])), 32))
}

// checksumOnly changes bytes of metadata and leaves the checksum as it was.
func checksumOnly(m *mutation) string {
	at := m.inodeAt(m.file()) + m.r.IntN(m.g.InodeSize)
	switch group := layout.Group(m.r.IntN(int(m.g.Groups))); m.r.IntN(6) {
	case 0:
		at = layout.SuperOffset + m.r.IntN(layout.SuperSize)
	case 1:
		p, off := m.g.DescLoc(group)
		at = int(p)*m.g.BlockSize + off + m.r.IntN(m.g.DescSize)
	case 2:
		at = int(m.desc(group).BlockBitmap())*m.g.BlockSize + m.r.IntN(int(m.g.ClustersPerGroup)/8)
	case 3:
		d := pick(m, append(append(m.blocks, m.roots...), m.xattrs...)...)
		m.ino, at = d.ino, int(d.block)*m.g.BlockSize+m.r.IntN(m.g.BlockSize)
	case 4:
		if n := pick(m, m.nodes...); n.block != 0 {
			m.ino, at = n.ino, n.at+m.r.IntN(m.g.BlockSize)
		}
	}
	old := m.b[at]
	m.b[at] ^= 1 << m.r.IntN(8)
	return fmt.Sprintf("byte %d %#x->%#x, no checksum", at, old, m.b[at])
}
