package ext4

import (
	"ext4img/aio"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// inlineCredits is what moving a file's data out of its inode may change.
func (fs *FS) inlineCredits() int { return fs.allocCredits() + fs.attrs.Credits() }

// moveOutOfInode gives a file whose data lies in its inode a block map, and the data its block. The block gets the data
// while the handle that maps it runs, so that no commit can come between (ordering O1).
func (n *node) moveOutOfInode() error {
	fs := n.fs
	if fs.geo.Incompat&layout.IncompatInlineData == 0 {
		return nil
	}
	inline := false
	err := n.inode(func(_ *journal.View, rec layout.Inode) error {
		inline = rec.HasFlag(layout.FlagInlineData)
		return nil
	})
	if err != nil || !inline {
		return err
	}
	return n.update(fs.inlineCredits(), func(h *journal.Handle) error {
		rec, err := fs.inodes.Edit(h, n.ino)
		if err != nil {
			return err
		}
		size := rec.Size()
		if size > uint64(fs.geo.BlockSize) {
			return layout.Corruptf("inode %d: %d bytes inline", n.ino, size)
		}
		data := aio.AlignedBuf(fs.geo.BlockSize, max(fs.dev.Align(), 1))
		if err := n.readInline(h, rec, data[:size], 0); err != nil {
			return err
		}
		if err := fs.attrs.DropInline(h, n.ino); err != nil {
			return err
		}
		rec.SetFlags(rec.Flags() &^ layout.FlagInlineData)
		fs.initMap(rec)
		if size == 0 {
			return nil
		}
		e, err := fs.extents.Allocate(h, n.ino, 0, 1, false)
		if err != nil {
			return err
		}
		n.dirty.Store(true)
		_, err = fs.dev.WriteAt(data, int64(e.Pblk)*int64(fs.geo.BlockSize))
		return err
	})
}

// fitInline prepares a file for a new size: data that lies in the inode moves out before it grows, and is cut when it
// shrinks.
func (n *node) fitInline(size int64) error {
	fs := n.fs
	var old uint64
	inline := false
	err := n.inode(func(_ *journal.View, rec layout.Inode) error {
		old, inline = rec.Size(), rec.HasFlag(layout.FlagInlineData)
		return nil
	})
	if err != nil || !inline {
		return err
	}
	if uint64(size) > old {
		return n.moveOutOfInode()
	}
	return n.update(fs.inlineCredits(), func(h *journal.Handle) error {
		rec, err := fs.inodes.Edit(h, n.ino)
		if err != nil {
			return err
		}
		data := make([]byte, size)
		if err := n.readInline(h, rec, data, 0); err != nil {
			return err
		}
		clear(rec.Block())
		k := copy(rec.Block(), data)
		if err := fs.attrs.SetInline(h, n.ino, data[k:]); err != nil {
			return err
		}
		return n.resized(h, size)
	})
}
