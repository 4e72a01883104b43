package ext4

import (
	"ext4img/aio/block"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// inlineCredits is the number of blocks that moving a file's data out of its inode may change.
func (f *FS) inlineCredits() int { return f.allocCredits() + f.vol.Attrs.Credits(0) }

// moveOutOfInode gives a file whose data lies in its inode a block map, and writes the data to a block while the
// handle that maps it runs, so that no commit can come between (ordering O1).
func (n *openInode) moveOutOfInode() error {
	fs := n.fs
	if fs.vol.Geo.Incompat&layout.IncompatInlineData == 0 {
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
		rec, err := fs.vol.Inodes.Edit(h, n.ino)
		if err != nil {
			return err
		}
		size := rec.Size()
		if size > uint64(fs.vol.Geo.BlockSize) {
			return layout.Corruptf("inode %d: %d bytes inline", n.ino, size)
		}
		data := block.Aligned(fs.vol.Geo.BlockSize, max(fs.vol.Dev.Align(), 1))
		if err := n.fs.vol.Attrs.ReadInline(h, n.ino, rec, data[:size], 0); err != nil {
			return err
		}
		if err := fs.vol.Attrs.DropInline(h, n.ino); err != nil {
			return err
		}
		rec.SetFlags(rec.Flags() &^ layout.FlagInlineData)
		fs.vol.Inodes.InitMap(rec)
		if size == 0 {
			return nil
		}
		e, err := fs.vol.Extents.Allocate(h, n.ino, 0, 1, false)
		if err != nil {
			return err
		}
		n.dirty.Store(true)
		_, err = fs.vol.Dev.WriteAt(data, e.DevByte(0, fs.vol.Geo.BlockSize))
		return err
	})
}

// fitInline prepares a file whose data lies in its inode for a new size. The data is cut or extended with zeros. If
// it does not fit then, it moves to a block.
func (n *openInode) fitInline(size int64) error {
	inline := false
	err := n.inode(func(_ *journal.View, rec layout.Inode) error {
		inline = rec.HasFlag(layout.FlagInlineData)
		return nil
	})
	if err != nil || !inline {
		return err
	}
	if fits, err := n.changeInline(func(data []byte, room int64) []byte {
		if size > room {
			return nil
		}
		return append(data, make([]byte, max(size-int64(len(data)), 0))...)[:size]
	}); fits || err != nil {
		return err
	}
	return n.moveOutOfInode()
}

// writeInline writes to a file whose data lies in its inode, or may begin to, if the result fits there.
func (n *openInode) writeInline(p []byte, off int64) (fits bool, err error) {
	fs := n.fs
	end := off + int64(len(p))
	if fs.vol.Geo.Incompat&layout.IncompatInlineData == 0 || end > int64(fs.vol.Geo.InodeSize) {
		return false, nil
	}
	return n.changeInline(func(data []byte, room int64) []byte {
		if end > room {
			return nil
		}
		data = append(data, make([]byte, max(end-int64(len(data)), 0))...)
		copy(data[off:], p)
		return data
	})
}

// changeInline changes data that lies in the inode. change gets the present data and the largest size, and returns
// the new data, or nil if that is too large. In that case, and for a file with blocks, nothing changes and fits is
// false.
func (n *openInode) changeInline(change func(data []byte, room int64) []byte) (fits bool, err error) {
	fs := n.fs
	err = n.update(fs.inlineCredits(), func(h *journal.Handle) error {
		fits = false
		rec, err := fs.vol.Inodes.Read(h, n.ino)
		if err != nil {
			return err
		}
		room, err := fs.inlineRoom(h, n.ino, rec)
		if err != nil || room == 0 || rec.Size() > uint64(room) {
			return err
		}
		data := make([]byte, rec.Size())
		if err := n.fs.vol.Attrs.ReadInline(h, n.ino, rec, data, 0); err != nil {
			return err
		}
		if data = change(data, int64(room)); data == nil {
			return nil
		}
		fits = true
		if err := fs.putInline(h, n.ino, data); err != nil {
			return err
		}
		return n.resized(h, int64(len(data)))
	})
	return fits, err
}

// inlineRoom is the number of bytes that the inode of a regular file can hold itself. It is 0 unless its data lies
// there, or the file is empty and has no blocks.
func (f *FS) inlineRoom(r journal.Reader, ino layout.Ino, rec layout.Inode) (int, error) {
	if f.vol.Geo.Incompat&layout.IncompatInlineData == 0 || !rec.IsRegular() {
		return 0, nil
	}
	if !rec.HasFlag(layout.FlagInlineData) {
		empty := rec.Size() == 0
		err := f.vol.Extents.Walk(r, ino, 0, func(layout.Extent) (bool, error) {
			empty = false
			return false, nil
		})
		if err != nil || !empty {
			return 0, err
		}
	}
	room, err := f.vol.Attrs.InlineRoom(r, ino)
	if err != nil || room < 0 {
		return 0, err
	}
	return layout.InodeBlockSize + room, nil
}

// putInline makes data the content of an inode that has room for it. The caller sets the size.
func (f *FS) putInline(h *journal.Handle, ino layout.Ino, data []byte) error {
	rec, err := f.vol.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	rec.SetFlags(rec.Flags()&^layout.FlagExtents | layout.FlagInlineData)
	clear(rec.Block())
	k := copy(rec.Block(), data)
	return f.vol.Attrs.SetInline(h, ino, data[k:])
}
