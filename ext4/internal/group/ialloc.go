package group

import (
	"fmt"

	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
)

// AllocInode takes a free inode number: for a file near its parent, for a directory where there is room for it and
// its files. It initializes the part of the inode table that comes into use, but not the record itself, which keeps
// its old bytes. It returns ErrNoInodes if there is no free inode.
//
// It takes a number that was freed by an uncommitted transaction only if there is no other. Using it at once would be
// correct, since a transaction is atomic. But the log is easier to read if an inode's two lives are apart, and stale
// references are found more easily.
func (s *Space) AllocInode(h *journal.Handle, parent layout.Ino, dir bool) (layout.Ino, error) {
	if !s.g.ValidIno(parent) {
		return 0, layout.Corruptf("inode %d of %d", parent, s.g.Inodes)
	}
	super, err := s.Super(h)
	if err != nil {
		return 0, err
	}
	if super.FreeInodesCount() == 0 {
		return 0, ErrNoInodes
	}
	if !s.restI.empty() {
		s.restI.expire(s.j.Committed(), func(layout.Group) {})
	}
	start, err := s.inodeGroup(h, super, parent, dir)
	if err != nil {
		return 0, err
	}
	for _, resting := range []bool{false, true} {
		for i := range s.g.Groups {
			group := layout.Group((uint64(start) + uint64(i)) % uint64(s.g.Groups))
			at, err := s.findInode(h, group, resting)
			if err != nil {
				return 0, err
			}
			if at < s.g.InodesPerGroup {
				return s.takeInode(h, group, at, dir)
			}
		}
		if s.restI.empty() {
			break
		}
	}
	return 0, ErrNoInodes
}

// findInode is the index of the first free inode of a group, or the number of inodes in a group.
func (s *Space) findInode(h *journal.Handle, group layout.Group, resting bool) (uint32, error) {
	none := s.g.InodesPerGroup
	d, err := s.Desc(h, group)
	if err != nil || d.FreeInodes() == 0 {
		return none, err
	}
	b, err := s.bitmap(h, group, inodes)
	if err != nil {
		return none, err
	}
	if !resting && s.restI.in(group) {
		b = append([]byte(nil), b...)
		s.restI.mark(b, group)
	}
	return nextZero(b, min(s.firstInode(group), none), none), nil
}

// firstInode is the index of a group's first inode that is not reserved.
func (s *Space) firstInode(group layout.Group) uint32 {
	first, before := uint64(s.g.FirstIno)-1, uint64(group)*uint64(s.g.InodesPerGroup)
	if first <= before {
		return 0
	}
	return uint32(first - before)
}

func (s *Space) takeInode(h *journal.Handle, group layout.Group, at uint32, dir bool) (layout.Ino, error) {
	ino := layout.Ino(uint32(group)*s.g.InodesPerGroup + at + 1)
	old, err := s.Desc(h, group)
	if err != nil {
		return 0, err
	}
	// The flags are read before flip changes them: they say which part of the table is in use.
	used := s.g.InodesPerGroup
	if s.g.GdtCsum() {
		used -= old.ItableUnused()
		if s.isUninit(old, inodes) {
			used = 0
		}
	}
	// Like the kernel: a group with inodes in use has an initialized block bitmap too.
	if s.isUninit(old, blocks) {
		if _, _, err := s.initBitmap(h, group, blocks); err != nil {
			return 0, fmt.Errorf("take inode %d: %w", ino, err)
		}
	}
	d, err := s.flip(h, group, span{at, 1}, inodes, true)
	if err != nil {
		return 0, fmt.Errorf("take inode %d: %w", ino, err)
	}
	if dir {
		d.SetUsedDirs(d.UsedDirs() + 1)
	}
	if at < used {
		return ino, nil
	}
	d.SetItableUnused(s.g.InodesPerGroup - at - 1)
	return ino, s.zeroRecords(h, group, d, used, at)
}

// zeroRecords clears records of a table that would hold garbage otherwise: the records, usually none, between the
// part in use and the record that comes into use; and those after it in its block, if that block is used for the
// first time. The kernel clears those for tools that read whole blocks. A table that is marked as zeroed needs none
// of this.
func (s *Space) zeroRecords(h *journal.Handle, group layout.Group, d layout.Desc, used, at uint32) error {
	if d.Flags()&layout.DescInodeZeroed != 0 {
		return nil
	}
	b, err := s.bitmap(h, group, inodes)
	if err != nil {
		return err
	}
	per := s.g.InodesPerBlock()
	end := at
	if fresh := used == 0 || (used-1)/per < at/per; fresh {
		end = (at/per + 1) * per
	}
	last := min(end, s.g.InodesPerGroup)
	for _, x := range [][2]uint32{{max(used, s.firstInode(group)), at}, {at + 1, last}} {
		if bad := nextOne(b, x[0], x[1]); bad < x[1] {
			return layout.Corruptf("inode bitmap of group %d: index %d in use, the descriptor says unused", group, bad)
		}
	}
	for i := used; i < end; i++ {
		if i == at {
			continue
		}
		r := buf.Ref{
			Block: uint64(d.InodeTable()) + uint64(i/per), Off: int(i%per) * s.g.InodeSize, Len: s.g.InodeSize,
			Type: layout.PlainType{Name: fmt.Sprintf("unused record %d of group %d", i, group)},
		}
		if _, err := h.Create(r); err != nil {
			return err
		}
	}
	return nil
}

// FreeInode gives an inode number back; dir says whether it was a directory. If the number is reserved or already
// free, or its group has no directories, it returns layout.ErrCorrupt; MayFreeInode tells before.
func (s *Space) FreeInode(h *journal.Handle, ino layout.Ino, dir bool) error {
	if !s.g.ValidIno(ino) {
		return layout.Corruptf("free inode %d of %d", ino, s.g.Inodes)
	}
	group, at := s.g.InodeGroup(ino)
	d, err := s.Desc(h, group)
	if err == nil {
		err = s.mayFreeInode(d, ino, dir)
	}
	if err != nil {
		return err
	}
	if s.isUninit(d, inodes) {
		return s.flipError(group, at, inodes, false)
	}
	x := span{at, 1}
	d, err = s.flip(h, group, x, inodes, false)
	if err != nil {
		return fmt.Errorf("free inode %d: %w", ino, err)
	}
	if dir {
		d.SetUsedDirs(d.UsedDirs() - 1)
	}
	tid := h.TID()
	s.restI.add(tid, group, x, s.g.BlockSize)
	h.AtEnd(func(ok bool) {
		if !ok {
			s.restI.remove(tid, group, x, s.g.BlockSize)
		}
	})
	return nil
}

// InodeCredits is the number of blocks that AllocInode and FreeInode change at most: both bitmaps, descriptor,
// superblock, the block of the record, and the blocks that zeroRecords may write.
func (s *Space) InodeCredits() int { return 5 + int(uint32(s.g.FirstIno)/s.g.InodesPerBlock()) }
