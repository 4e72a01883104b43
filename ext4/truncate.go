package ext4

import (
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// truncate sets the file's size. It holds off new direct I/O, waits for what is in flight and flushes; if a
// conversion failed it stops with that error.
func (n *node) truncate(size int64) error {
	if size < 0 {
		return syscall.EINVAL
	}
	if err := n.fits(0, size); err != nil {
		return err
	}
	return n.exclusive(func() error {
		old, err := n.size()
		if err != nil {
			return err
		}
		if err := n.fitInline(size); err != nil {
			return err
		}
		if uint64(size) > old {
			if err := n.zeroTail(size); err != nil {
				return err
			}
			return n.setSize(size)
		}
		return n.shrink(size)
	})
}

// setSize changes nothing but size and times.
func (n *node) setSize(size int64) error {
	return n.update(2, func(h *journal.Handle) error {
		return n.resized(h, size)
	})
}

func (n *node) resized(h *journal.Handle, size int64) error {
	if err := n.fs.inodes.SetSize(h, n.ino, uint64(size)); err != nil {
		return err
	}
	return n.wrote(h, 0)
}

// orphanCredits is what adding to or taking off the orphans may change: the inode, its neighbour in the list or a
// block of the orphan file, the superblock.
const orphanCredits = 4

// shrink cuts the file, or cuts off what lies beyond a size it has already. What is to be freed is looked at first: a
// map that is wrong there stays as it is. The new size goes with the inode's entry among the orphans into one handle:
// from then on recovery finishes what a crash interrupts.
//
// The tail of the last block is cleared on the device only after that handle has committed: before, a crash would bring
// the old size back, and with it bytes that had been synced.
func (n *node) shrink(size int64) error {
	fs := n.fs
	bs := int64(fs.geo.BlockSize)
	first := layout.Lblk((size + bs - 1) / bs)
	err := n.update(2+orphanCredits, func(h *journal.Handle) error {
		if err := fs.extents.Inspect(h, n.ino, first, ^layout.Lblk(0)); err != nil {
			return err
		}
		if err := fs.inodes.AddOrphan(h, n.ino); err != nil {
			return err
		}
		return n.resized(h, size)
	})
	if err != nil {
		return err
	}
	if size%bs != 0 {
		if err := n.clearTail(size); err != nil {
			return err
		}
	}
	if err := n.freeBlocks(first, ^layout.Lblk(0)); err != nil {
		return err
	}
	return n.update(orphanCredits, func(h *journal.Handle) error {
		return fs.inodes.DelOrphan(h, n.ino)
	})
}

// clearTail zeroes the last block beyond size, if there is anything to zero, when the size is committed.
func (n *node) clearTail(size int64) error {
	bs := int64(n.fs.geo.BlockSize)
	e, err := n.lookup(layout.Lblk(size / bs))
	if err != nil || e.Pblk == 0 || e.Unwritten {
		return err
	}
	if err := n.fs.j.Commit(journal.TID(n.tid.Load())); err != nil {
		return kind(err)
	}
	return n.zeroPart(size, size/bs*bs+bs)
}

// removeBlocks frees the blocks [from, to), when all that the map says of them is right.
func (n *node) removeBlocks(from, to layout.Lblk) error {
	if from >= to {
		return nil
	}
	v := n.fs.j.View()
	err := n.fs.extents.Inspect(v, n.ino, from, to)
	v.Close()
	if err != nil {
		n.fs.fault(err)
		return err
	}
	return n.freeBlocks(from, to)
}

// freeBlocks frees the blocks [from, to), which have been looked at, a step at a time from the right.
func (n *node) freeBlocks(from, to layout.Lblk) error {
	fs := n.fs
	mapped, err := n.hasMap()
	if err != nil || !mapped {
		return err
	}
	for done := from >= to; !done; {
		var next layout.Lblk
		err := n.update(fs.extents.StepCredits(), func(h *journal.Handle) (err error) {
			done, next, err = fs.extents.Remove(h, n.ino, from, to)
			return err
		})
		if err != nil {
			return err
		}
		to = next
	}
	return nil
}

// hasMap tells whether i_block maps blocks: not that of a device, of a short symlink or of inline data.
func (n *node) hasMap() (yes bool, err error) {
	err = n.inode(func(_ *journal.View, rec layout.Inode) error {
		yes = mapsBlocks(rec)
		return nil
	})
	return yes, err
}

func mapsBlocks(rec layout.Inode) bool {
	switch rec.Type() {
	case layout.ModeRegular, layout.ModeDir:
		return !rec.HasFlag(layout.FlagInlineData)
	case layout.ModeSymlink:
		return !rec.HasFlag(layout.FlagInlineData) && !rec.FastSymlink()
	}
	return false
}

// evict deletes an inode that has no links and no users beside the caller. What has links stays.
func (fs *FS) evict(n *node) error {
	if fs.readOnly {
		return nil
	}
	fs.mu.Lock()
	last := n.refs == 1 && !n.deleted
	fs.mu.Unlock()
	if !last {
		return nil
	}
	var dead bool
	err := n.inode(func(_ *journal.View, rec layout.Inode) error {
		dead = rec.Links() == 0 && rec.Mode() != 0
		return nil
	})
	if err != nil || !dead {
		return err
	}
	fs.mu.Lock()
	last, n.deleted = !n.deleted, true
	fs.mu.Unlock()
	if !last {
		return nil
	}
	return n.delete()
}

// mayFree looks at all that goes with the last link of an inode, before that is taken away: its number, the blocks of its
// map and its attributes. What is wrong with any of them is found here, or the inode would stay among the orphans.
func (fs *FS) mayFree(r journal.Reader, ino layout.Ino) error {
	used, err := fs.space.InodeInUse(r, ino)
	if err == nil && !used {
		err = layout.Corruptf("inode %d: free in the inode bitmap", ino)
	}
	if err == nil {
		err = fs.extents.Inspect(r, ino, 0, ^layout.Lblk(0))
	}
	if err == nil {
		err = fs.attrs.Inspect(r, ino)
	}
	return err
}

// delete frees the blocks, the attributes and at last the number of an inode that is among the orphans.
func (n *node) delete() error {
	fs := n.fs
	n.end.Block()
	defer n.end.Unblock()
	n.waitDIO()
	_ = n.flushUnwritten() // whoever could be told has closed the file
	if err := n.freeBlocks(0, ^layout.Lblk(0)); err != nil {
		return err
	}
	for done := false; !done; {
		err := n.update(fs.attrs.Credits(0), func(h *journal.Handle) (err error) {
			done, err = fs.attrs.FreeAll(h, n.ino)
			return err
		})
		if err != nil {
			return err
		}
	}
	return n.update(orphanCredits+4, func(h *journal.Handle) error {
		if err := fs.inodes.FreeTranslator(h, n.ino); err != nil {
			return err
		}
		if err := fs.inodes.DelOrphan(h, n.ino); err != nil {
			return err
		}
		return fs.inodes.Free(h, n.ino)
	})
}
