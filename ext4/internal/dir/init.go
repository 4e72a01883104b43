package dir

import (
	"fmt"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Init makes "." and ".." in a new directory, which has no blocks yet. They are inline if the file system has inline
// data and the inode's record has room, or else in a first block.
func (d *Dirs) Init(h *journal.Handle, dir, parent layout.Ino) error {
	f, err := d.open(h, dir)
	if err != nil {
		return err
	}
	if f.blocks != 0 {
		return fmt.Errorf("directory %d: has %d blocks already", dir, f.blocks)
	}
	if d.g.Incompat&layout.IncompatInlineData != 0 && d.g.InodeSize > layout.GoodOldInodeSize {
		if done, err := f.initInline(h, parent); done || err != nil {
			return err
		}
	}
	p, err := f.firstBlock(h)
	if err != nil {
		return err
	}
	f.format().DotEntries(p, dir, parent)
	return nil
}

// firstBlock creates block 0.
func (f *file) firstBlock(h *journal.Handle) ([]byte, error) {
	lblk, err := f.grow(h)
	if err != nil {
		return nil, err
	}
	return f.createEntries(h, lblk)
}

// SetParent changes the inode of "..".
func (d *Dirs) SetParent(h *journal.Handle, dir, parent layout.Ino) error {
	f, err := d.open(h, dir)
	if err != nil {
		return err
	}
	at, ok, err := f.find("..")
	if err != nil {
		return err
	}
	if !ok {
		return layout.Corruptf(`directory %d: no ".."`, dir)
	}
	var p []byte
	switch {
	case at.dotdot:
		return f.setInlineParent(h, parent)
	case f.indexed():
		_, p, err = f.editRoot(h)
	default:
		p, err = f.editEntries(h, at.lblk)
	}
	if err != nil {
		return err
	}
	f.format().SetIno(p, at.off, parent, layout.FTDir)
	return nil
}
