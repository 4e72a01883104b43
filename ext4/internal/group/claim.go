package group

import (
	"fmt"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A Run is a number of contiguous blocks.
type Run struct {
	Start layout.Pblk
	Len   uint64
}

// Claim takes those of the blocks that are free, in whole clusters, and returns them. It is for the recovery of fast
// commits, which name the allocated blocks.
func (s *Space) Claim(h *journal.Handle, r Run) ([]Run, error) {
	if r.Len == 0 || !s.g.ContainsBlocks(r.Start, r.Len) {
		return nil, layout.Corruptf("claim blocks %d+%d of %d", r.Start, r.Len, s.g.Blocks)
	}
	var taken []Run
	ratio := layout.Pblk(s.g.ClusterRatio)
	for p, end := r.Start, r.Start+layout.Pblk(r.Len); p < end; {
		group, at := s.cluster(p)
		to := s.size(group, blocks)
		if last, end := s.cluster(end - 1); last == group {
			to = end + 1
		}
		runs, err := s.claimIn(h, group, at, to)
		if err != nil {
			return nil, wrap(r.Start, r.Len, "claim", err)
		}
		taken = append(taken, runs...)
		p = s.block(group, at) + layout.Pblk(to-at)*ratio
	}
	return taken, nil
}

// claimIn claims the clusters [at, to) of one group.
func (s *Space) claimIn(h *journal.Handle, group layout.Group, at, to uint32) (taken []Run, err error) {
	if err := s.notMeta(h, group, span{at, to - at}); err != nil {
		return nil, err
	}
	for at < to {
		b, err := s.bitmap(h, group, blocks)
		if err != nil {
			return nil, err
		}
		from := nextZero(b, at, to)
		if at = nextOne(b, from, to); from == to {
			break
		}
		if _, err := s.flip(h, group, span{from, at - from}, blocks, true); err != nil {
			return nil, err
		}
		s.bound[group] = unknown
		taken = append(taken, Run{s.block(group, from), uint64(at-from) * uint64(s.g.ClusterRatio)})
	}
	return taken, nil
}

// InodeInUse tells whether an inode number is taken.
func (s *Space) InodeInUse(r journal.Reader, ino layout.Ino) (bool, error) {
	if !s.g.ValidIno(ino) {
		return false, layout.Corruptf("inode %d of %d", ino, s.g.Inodes)
	}
	group, at := s.g.InodeGroup(ino)
	b, err := s.bitmap(r, group, inodes)
	if err != nil {
		return false, fmt.Errorf("inode %d: %w", ino, err)
	}
	return nextOne(b, at, at+1) == at, nil
}

// MayFreeInode returns an error of kind layout.ErrCorrupt for a number that FreeInode would refuse. dir says whether it
// is a directory's.
func (s *Space) MayFreeInode(r journal.Reader, ino layout.Ino, dir bool) error {
	used, err := s.InodeInUse(r, ino)
	if err != nil {
		return err
	}
	group, at := s.g.InodeGroup(ino)
	if !used {
		return s.flipError(group, at, inodes, false)
	}
	d, err := s.Desc(r, group)
	if err != nil {
		return err
	}
	return s.mayFreeInode(d, ino, dir)
}

func (s *Space) mayFreeInode(d layout.Desc, ino layout.Ino, dir bool) error {
	if ino < s.g.FirstIno {
		return layout.Corruptf("free inode %d: not one of %d to %d", ino, s.g.FirstIno, s.g.Inodes)
	}
	if group, _ := s.g.InodeGroup(ino); dir && d.UsedDirs() == 0 {
		return layout.Corruptf("descriptor of group %d: no directories, freeing directory %d", group, ino)
	}
	return nil
}

// ClaimInode takes an inode number that must be free, and otherwise does the same as AllocInode.
func (s *Space) ClaimInode(h *journal.Handle, ino layout.Ino, dir bool) error {
	if !s.g.ValidIno(ino) || ino < s.g.FirstIno {
		return layout.Corruptf("claim inode %d: not one of %d to %d", ino, s.g.FirstIno, s.g.Inodes)
	}
	group, at := s.g.InodeGroup(ino)
	_, err := s.takeInode(h, group, at, dir)
	return err
}

// Recount sets the totals of the superblock to the sums over the groups. After a crash of a kernel they may be
// different, because it keeps them in memory while a file system is mounted.
func (s *Space) Recount(h *journal.Handle) error {
	var clusters uint64
	var inodes uint32
	for g := range s.g.Groups {
		d, err := s.Desc(h, g)
		if err != nil {
			return err
		}
		clusters += uint64(d.FreeClusters())
		inodes += d.FreeInodes()
	}
	super, err := s.EditSuper(h)
	if err != nil {
		return err
	}
	super.SetFreeBlocksCount(clusters * uint64(s.g.ClusterRatio))
	super.SetFreeInodesCount(inodes)
	return nil
}
