package ext4

import (
	"syscall"

	"ext4img/ext4/internal/inode"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// truncate sets the file's size. It holds off new direct I/O, waits for direct I/O in flight and flushes. If a
// conversion failed, it stops with that error.
func (n *openInode) truncate(size int64) error {
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

// setSize changes only the size and the times.
func (n *openInode) setSize(size int64) error {
	return n.update(2, func(h *journal.Handle) error {
		return n.resized(h, size)
	})
}

func (n *openInode) resized(h *journal.Handle, size int64) error {
	if err := n.fs.vol.Inodes.SetSize(h, n.ino, uint64(size)); err != nil {
		return err
	}
	return n.setTimes(h)
}

// shrink cuts the file, or removes blocks beyond a size that it already has. It first checks the blocks that are to
// be freed: if the map is wrong there, nothing changes. One handle sets the new size and adds the inode to the
// orphans. From then on recovery completes what a crash interrupts.
//
// The tail of the last block is cleared on the device only after that handle has committed. If it were cleared
// before, a crash could bring the old size back, and with it a tail whose synced bytes are lost.
func (n *openInode) shrink(size int64) error {
	fs := n.fs
	bs := int64(fs.vol.Geo.BlockSize)
	first := layout.Lblk((size + bs - 1) / bs)
	err := n.update(2+inode.OrphanCredits, func(h *journal.Handle) error {
		if err := fs.vol.Extents.Inspect(h, n.ino, first, ^layout.Lblk(0)); err != nil {
			return err
		}
		if err := fs.vol.Inodes.AddOrphan(h, n.ino); err != nil {
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
	return n.update(inode.OrphanCredits, func(h *journal.Handle) error {
		return fs.vol.Inodes.DelOrphan(h, n.ino)
	})
}

// clearTail zeroes the last block beyond size, if there is anything to zero. The size must have been committed.
func (n *openInode) clearTail(size int64) error {
	bs := int64(n.fs.vol.Geo.BlockSize)
	e, err := n.lookup(layout.Lblk(size / bs))
	if err != nil || e.Pblk == 0 || e.Unwritten {
		return err
	}
	if err := n.fs.vol.Journal.Commit(journal.TID(n.tid.Load())); err != nil {
		return err
	}
	return n.zeroPart(size, size/bs*bs+bs)
}

// removeBlocks frees the blocks [from, to), if everything that the map says of them is right.
func (n *openInode) removeBlocks(from, to layout.Lblk) error {
	if from >= to {
		return nil
	}
	if err := n.inspect(from, to); err != nil {
		return err
	}
	return n.freeBlocks(from, to)
}

// inspect checks what the map says of the blocks [from, to), before the first of them is freed or moved, or a part of
// one is cleared. If something is wrong, it is recorded, and nothing has changed.
func (n *openInode) inspect(from, to layout.Lblk) error {
	v := n.fs.vol.Journal.View()
	err := n.fs.vol.Extents.Inspect(v, n.ino, from, to)
	v.Close()
	if err != nil {
		n.fs.vol.Fault(err)
	}
	return err
}

// freeBlocks frees the blocks [from, to), which must have been checked.
func (n *openInode) freeBlocks(from, to layout.Lblk) error {
	tid, err := n.fs.vol.FreeBlocks(n.ino, from, to)
	if tid != 0 {
		n.changed(tid)
	}
	return err
}

// evict deletes an inode that has no links and no users except the caller. An inode with links stays.
func (f *FS) evict(n *openInode) error {
	if f.vol.ReadOnly() {
		return nil
	}
	f.mu.Lock()
	last := n.refs == 1 && !n.deleted
	f.mu.Unlock()
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
	f.mu.Lock()
	last, n.deleted = !n.deleted, true
	f.mu.Unlock()
	if !last {
		return nil
	}
	return n.delete()
}

// delete frees the blocks, the attributes and last the number of an inode that is among the orphans.
func (n *openInode) delete() error {
	n.end.Block()
	defer n.end.Unblock()
	n.waitDIO()
	_ = n.flushUnwritten() // every user who could get the error has closed the file
	return n.fs.vol.Delete(n.ino)
}

// cut removes the blocks beyond the size of an inode, in bytes: it completes an interrupted truncate.
func (f *FS) cut(ino layout.Ino, size int64) error {
	n := f.get(ino)
	err := n.shrink(size)
	if e := f.put(n); err == nil {
		err = e
	}
	return err
}
