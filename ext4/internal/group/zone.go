package group

import (
	"slices"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A zone is a run of blocks that hold bitmaps or inode tables: [from, to).
type zone struct{ from, to layout.Pblk }

// maxZones bounds the flex groups whose zones are remembered.
const maxZones = 1 << 14

// flexZones gives the zones of all groups of the flex group to which a group belongs, in order and merged. They may
// lie anywhere; usually they are in the first groups of the flex group. They never change, so they are remembered.
func (s *Space) flexZones(r journal.Reader, group layout.Group) ([]zone, error) {
	flex := uint32(group) / s.g.FlexSize
	if z, ok := s.zones[flex]; ok {
		return z, nil
	}
	var all []zone
	first := uint64(flex) * uint64(s.g.FlexSize)
	last := min(first+uint64(s.g.FlexSize), uint64(s.g.Groups))
	for g := first; g < last; g++ {
		d, err := s.Desc(r, layout.Group(g))
		if err != nil {
			return nil, err
		}
		table := d.InodeTable()
		for _, z := range []zone{
			{d.BlockBitmap(), d.BlockBitmap() + 1},
			{d.InodeBitmap(), d.InodeBitmap() + 1},
			{table, table + layout.Pblk(s.g.InodeTableBlocks())},
		} {
			if n := len(all); n > 0 && all[n-1].to == z.from {
				all[n-1].to = z.to
			} else {
				all = append(all, z)
			}
		}
	}
	all = mergeZones(all)
	if len(s.zones) >= maxZones {
		clear(s.zones)
	}
	s.zones[flex] = all
	return all, nil
}

func mergeZones(all []zone) []zone {
	slices.SortFunc(all, func(a, b zone) int {
		if a.from < b.from {
			return -1
		}
		return 1
	})
	merged := all[:0]
	for _, z := range all {
		if n := len(merged); n > 0 && z.from <= merged[n-1].to {
			merged[n-1].to = max(merged[n-1].to, z.to)
		} else {
			merged = append(merged, z)
		}
	}
	return slices.Clip(merged)
}

// zonesIn gives the part of the zones that overlaps the blocks [from, to) of one group, the superblock and descriptors
// at the start of the group among them.
func (s *Space) zonesIn(r journal.Reader, group layout.Group, from, to layout.Pblk) ([]zone, error) {
	all, err := s.flexZones(r, group)
	if err != nil {
		return nil, err
	}
	var in []zone
	first := s.g.GroupFirst(group)
	if end := first + layout.Pblk(s.g.OverheadInGroup(group)); from < end {
		in = append(in, zone{first, end})
	}
	i, _ := slices.BinarySearchFunc(all, from, func(z zone, p layout.Pblk) int {
		if z.to <= p {
			return -1
		}
		return 1
	})
	for ; i < len(all) && all[i].from < to; i++ {
		in = append(in, all[i])
	}
	return in, nil
}

// notMeta makes sure that a span of a group does not overlap metadata of any group of the flex group: a bitmap that
// calls such blocks free, or a file that claims them, is corrupt.
func (s *Space) notMeta(r journal.Reader, group layout.Group, x span) error {
	from := s.block(group, x.at)
	to := min(from+layout.Pblk(x.n)*layout.Pblk(s.g.ClusterRatio), layout.Pblk(s.g.Blocks))
	in, err := s.zonesIn(r, group, from, to)
	if err != nil {
		return err
	}
	if len(in) > 0 {
		return layout.Corruptf("blocks %d-%d: overlap the metadata in blocks %d-%d", from, to-1, in[0].from, in[0].to-1)
	}
	return nil
}

// buildBlockBitmap makes the block bitmap of a group whose bitmap on disk means nothing: in use are the group's
// superblock and descriptors, all bitmaps and inode tables that lie in it, and the padding behind its last cluster.
func (s *Space) buildBlockBitmap(r journal.Reader, group layout.Group) ([]byte, error) {
	first, ratio := s.g.GroupFirst(group), layout.Pblk(s.g.ClusterRatio)
	end := first + layout.Pblk(s.g.GroupBlocks(group))
	in, err := s.zonesIn(r, group, first, end)
	if err != nil {
		return nil, err
	}
	b := make([]byte, s.g.BlockSize)
	for _, z := range in {
		from, to := max(z.from, first)-first, min(z.to, end)-first
		if from < to {
			setBits(b, uint32(from/ratio), uint32((to-1)/ratio-from/ratio)+1)
		}
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
