package group

import (
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// The choice of groups for inodes, after Orlov, as in ext4. Directories directly below the root are spread over the
// disk, since their contents have little to do with each other. Other directories stay near their parent while there
// is room for their files. Files go to the flex group of their directory.

// maxSpread bounds the flex groups looked at for a directory below the root.
const maxSpread = 256

// flexSum is the totals of one flex group.
type flexSum struct {
	inodes, clusters, dirs uint64
	first                  layout.Group // the first group with a free inode
	any                    bool
}

func (s *Space) flexRange(flex uint64) (first, last uint64) {
	first = flex * uint64(s.g.FlexSize)
	return first, min(first+uint64(s.g.FlexSize), uint64(s.g.Groups))
}

func (s *Space) sumFlex(r journal.Reader, flex uint64) (sum flexSum, err error) {
	first, last := s.flexRange(flex)
	last = min(last, first+maxSpread)
	for g := first; g < last; g++ {
		d, err := s.Desc(r, layout.Group(g))
		if err != nil {
			return sum, err
		}
		if n := d.FreeInodes(); n > 0 {
			sum.inodes += uint64(n)
			if !sum.any {
				sum.first, sum.any = layout.Group(g), true
			}
		}
		sum.clusters += uint64(d.FreeClusters())
		sum.dirs += uint64(d.UsedDirs())
	}
	return sum, nil
}

// inodeGroup is the group in which the search for a free inode begins.
func (s *Space) inodeGroup(r journal.Reader, super layout.Superblock, parent layout.Ino, dir bool) (layout.Group, error) {
	home, _ := s.g.InodeGroup(parent)
	flex := uint64(home) / uint64(s.g.FlexSize)
	flexes := (uint64(s.g.Groups) + uint64(s.g.FlexSize) - 1) / uint64(s.g.FlexSize)
	switch {
	case !dir:
		sum, err := s.sumFlex(r, flex)
		if err != nil || !sum.any {
			return home, err
		}
		return s.fileGroup(r, home, sum.first)
	case parent == layout.RootIno:
		return s.spread(r, super, flexes)
	}
	for i := range min(flexes, maxSpread) {
		sum, err := s.sumFlex(r, (flex+i)%flexes)
		if err != nil {
			return 0, err
		}
		if s.roomy(super, sum) {
			return sum.first, nil
		}
	}
	return home, nil
}

// fileGroup prefers the parent's own group if there are no flex groups. In a flex group, whose tables lie together,
// it takes the first group with room.
func (s *Space) fileGroup(r journal.Reader, home, first layout.Group) (layout.Group, error) {
	if s.g.FlexSize > 1 {
		return first, nil
	}
	d, err := s.Desc(r, home)
	if err != nil || d.FreeInodes() > 0 && d.FreeClusters() > 0 {
		return home, err
	}
	// Go away from a full group as ext4 does: in growing steps, to a group with a free inode and a free block.
	for i := uint64(1); i < uint64(s.g.Groups); i <<= 1 {
		g := layout.Group((uint64(home) + i) % uint64(s.g.Groups))
		if d, err := s.Desc(r, g); err != nil || d.FreeInodes() > 0 && d.FreeClusters() > 0 {
			return g, err
		}
	}
	return home, nil
}

// roomy reports whether a flex group has room for one more directory: it is not much fuller than the average.
func (s *Space) roomy(super layout.Superblock, sum flexSum) bool {
	groups, flex := uint64(s.g.Groups), uint64(s.g.FlexSize)
	perFlex := uint64(s.g.InodesPerGroup) * flex
	avgInodes := uint64(super.FreeInodesCount()) * flex / groups
	avgClusters := super.FreeBlocksCount() / uint64(s.g.ClusterRatio) * flex / groups
	avgUsed := perFlex - min(perFlex, avgInodes)
	minInodes := avgInodes - min(avgInodes, perFlex/4)
	minClusters := avgClusters - min(avgClusters, uint64(s.g.ClustersPerGroup)*flex/4)
	return sum.any && sum.dirs < avgUsed+perFlex/16+1 && sum.inodes >= minInodes && sum.clusters >= minClusters
}

// spread returns the flex group with the fewest directories among those that have at least the average of free inodes
// and blocks.
func (s *Space) spread(r journal.Reader, super layout.Superblock, flexes uint64) (layout.Group, error) {
	step := (flexes + maxSpread - 1) / maxSpread
	avgInodes := uint64(super.FreeInodesCount()) / flexes
	avgClusters := super.FreeBlocksCount() / uint64(s.g.ClusterRatio) / flexes
	var best flexSum
	for flex := uint64(0); flex < flexes; flex += step {
		sum, err := s.sumFlex(r, flex)
		if err != nil {
			return 0, err
		}
		if sum.any && sum.inodes >= avgInodes && sum.clusters >= avgClusters && (!best.any || sum.dirs < best.dirs) {
			best = sum
		}
	}
	return best.first, nil // group 0 if all are below the average
}

// GoalFor is the best place for the first block of an inode: in the inode's group or, in large flex groups, in the
// second group of its flex group. The first one holds the tables, and directories.
func (s *Space) GoalFor(ino layout.Ino) layout.Pblk {
	if !s.g.ValidIno(ino) {
		return 0
	}
	group, _ := s.g.InodeGroup(ino)
	if s.g.FlexSize >= 4 {
		group -= group % layout.Group(min(uint64(s.g.FlexSize), 1<<31))
		if group+1 < s.g.Groups {
			group++
		}
	}
	return s.g.GroupFirst(group)
}
