package group

import (
	"cmp"
	"fmt"
	"slices"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A zone is a run of blocks, [from, to), that hold metadata which belongs to no file.
type zone struct{ from, to layout.Pblk }

// The kinds of metadata in a zone.
const (
	inSuper = iota
	inBlockBitmap
	inInodeBitmap
	inTable
	inOther // given by the caller of Protect
)

// A placed zone is a zone with the kind of its metadata.
type placed struct {
	zone
	what  uint8
	group layout.Group // or an index, for inOther
}

// A Named is a run of blocks that the file system keeps for itself outside the groups' tables, such as the log.
type Named struct {
	Name string
	Run
}

// Protect finds all metadata: superblocks and descriptors, the bitmaps and inode tables of all groups, and the runs
// that the caller names. From then on no such block is allocated or freed, and InMetadata reports it. The error is
// layout.ErrCorrupt if two runs overlap, or if one lies outside the file system or, without flex_bg, outside its
// group.
//
// It reads every descriptor, as the kernel does when it mounts: a wrong pointer may overlap the metadata of any
// group.
func (s *Space) Protect(r journal.Reader, more ...Named) error {
	all, err := s.places(r, more)
	if err != nil {
		return err
	}
	for i := 1; i < len(all); i++ {
		if a, b := all[i-1], all[i]; b.from < a.to {
			return layout.Corruptf("%s at blocks %d-%d overlaps %s at blocks %d-%d", s.placeName(b, more), b.from, b.to-1,
				s.placeName(a, more), a.from, a.to-1)
		}
	}
	s.setZones(all)
	return nil
}

func (s *Space) placeName(p placed, more []Named) string {
	switch p.what {
	case inSuper:
		return fmt.Sprintf("superblock or descriptors of group %d", p.group)
	case inBlockBitmap:
		return fmt.Sprintf("block bitmap of group %d", p.group)
	case inInodeBitmap:
		return fmt.Sprintf("inode bitmap of group %d", p.group)
	case inTable:
		return fmt.Sprintf("inode table of group %d", p.group)
	}
	return more[p.group].Name
}

// places lists all metadata in the order of the blocks.
func (s *Space) places(r journal.Reader, more []Named) ([]placed, error) {
	all := make([]placed, 0, 4*uint64(s.g.Groups)+uint64(len(more)))
	for g := range s.g.Groups {
		d, err := s.Desc(r, g)
		if err != nil {
			return nil, err
		}
		first, end := s.g.GroupFirst(g), s.g.GroupFirst(g)+layout.Pblk(s.g.GroupBlocks(g))
		if n := layout.Pblk(s.g.OverheadInGroup(g)); n > 0 {
			all = append(all, placed{zone{first, min(first+n, end)}, inSuper, g})
		}
		table := d.InodeTable()
		own := [...]placed{
			{zone{d.BlockBitmap(), d.BlockBitmap() + 1}, inBlockBitmap, g},
			{zone{d.InodeBitmap(), d.InodeBitmap() + 1}, inInodeBitmap, g},
			{zone{table, table + layout.Pblk(s.g.InodeTableBlocks())}, inTable, g},
		}
		for _, p := range own {
			if s.g.Incompat&layout.IncompatFlexBG == 0 && (p.from < first || p.to > end) {
				return nil, layout.Corruptf("%s at blocks %d-%d: the group has blocks %d-%d", s.placeName(p, more), p.from, p.to-1, first, end-1)
			}
		}
		all = append(all, own[:]...)
	}
	for i, m := range more {
		all = append(all, placed{zone{m.Start, m.Start + layout.Pblk(m.Len)}, inOther, layout.Group(i)})
	}
	slices.SortFunc(all, func(a, b placed) int { return cmp.Compare(a.from, b.from) })
	return all, nil
}

// setZones keeps the zones, merged. They never change while the file system is open.
func (s *Space) setZones(all []placed) {
	merged := make([]zone, 0, len(all))
	for _, p := range all {
		if n := len(merged); n > 0 && p.from <= merged[n-1].to {
			merged[n-1].to = max(merged[n-1].to, p.to)
		} else {
			merged = append(merged, p.zone)
		}
	}
	merged = slices.Clip(merged)
	s.zones.Store(&merged)
}

// allZones returns all zones in order, with gaps between them. If Protect was not called, it takes them from the
// descriptors.
func (s *Space) allZones(r journal.Reader) ([]zone, error) {
	if z := s.zones.Load(); z != nil {
		return *z, nil
	}
	all, err := s.places(r, nil)
	if err != nil {
		return nil, err
	}
	s.setZones(all)
	return *s.zones.Load(), nil
}

// overlapping gives the zones that overlap the blocks [from, to).
func overlapping(all []zone, from, to layout.Pblk) []zone {
	i, _ := slices.BinarySearchFunc(all, from, func(z zone, p layout.Pblk) int {
		if z.to <= p {
			return -1
		}
		return 1
	})
	n := i
	for n < len(all) && all[n].from < to {
		n++
	}
	return all[i:n]
}

// InMetadata returns layout.ErrCorrupt if one of n blocks from p on belongs to the file system itself and so cannot
// be part of a file. Before Protect it knows no such blocks.
func (s *Space) InMetadata(p layout.Pblk, n uint64) error {
	z := s.zones.Load()
	if z == nil {
		return nil
	}
	return metaError(*z, p, p+layout.Pblk(n))
}

func metaError(all []zone, from, to layout.Pblk) error {
	if in := overlapping(all, from, to); len(in) > 0 {
		return layout.Corruptf("blocks %d-%d: overlap the metadata in blocks %d-%d", from, to-1, in[0].from, in[0].to-1)
	}
	return nil
}

// notMeta returns an error if a span of a group overlaps metadata. Then a bitmap that calls such blocks free, or a
// file that claims them, is corrupt.
func (s *Space) notMeta(r journal.Reader, group layout.Group, x span) error {
	all, err := s.allZones(r)
	if err != nil {
		return err
	}
	from := s.block(group, x.at)
	return metaError(all, from, min(from+layout.Pblk(x.n)*layout.Pblk(s.g.ClusterRatio), layout.Pblk(s.g.Blocks)))
}

// InUse checks blocks that a file claims as its own: all n blocks from p on must be in use, and none may be metadata.
// With bigalloc it checks their clusters.
func (s *Space) InUse(r journal.Reader, p layout.Pblk, n uint64) error {
	if n == 0 || !s.g.ContainsBlocks(p, n) {
		return layout.Corruptf("blocks %d+%d of %d", p, n, s.g.Blocks)
	}
	all, err := s.allZones(r)
	if err != nil {
		return err
	}
	if err := metaError(all, p, p+layout.Pblk(n)); err != nil {
		return err
	}
	for end := p + layout.Pblk(n); p < end; {
		group, at := s.cluster(p)
		to := s.size(group, blocks)
		if g, last := s.cluster(end - 1); g == group {
			to = last + 1
		}
		b, err := s.bitmap(r, group, blocks)
		if err != nil {
			return err
		}
		if bad := nextZero(b, at, to); bad < to {
			return s.flipError(group, bad, blocks, false)
		}
		p = s.block(group, to)
	}
	return nil
}

// buildBlockBitmap makes the block bitmap of a group whose bitmap on disk is not initialized. In use are the group's
// superblock and descriptors, all bitmaps and inode tables that lie in it, and the padding after its last cluster.
func (s *Space) buildBlockBitmap(r journal.Reader, group layout.Group) ([]byte, error) {
	all, err := s.allZones(r)
	if err != nil {
		return nil, err
	}
	first, ratio := s.g.GroupFirst(group), layout.Pblk(s.g.ClusterRatio)
	end := first + layout.Pblk(s.g.GroupBlocks(group))
	b := make([]byte, s.g.BlockSize)
	for _, z := range overlapping(all, first, end) {
		from, to := max(z.from, first)-first, min(z.to, end)-first
		setBits(b, uint32(from/ratio), uint32((to-1)/ratio-from/ratio)+1)
	}
	pad(b, s.g.GroupClusters(group))
	return b, nil
}

// buildInodeBitmap makes the inode bitmap of a group without any inode in use.
func (s *Space) buildInodeBitmap() []byte {
	b := make([]byte, s.g.BlockSize)
	pad(b, s.g.InodesPerGroup)
	return b
}

// pad sets the bits from n to the end of the block.
func pad(b []byte, n uint32) { setBits(b, n, uint32(len(b))*8-n) }
