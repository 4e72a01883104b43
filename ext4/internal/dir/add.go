package dir

import (
	"fmt"
	"io/fs"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Credits is the number of blocks that one Add usually changes: the directory's inode and a node of its map, a leaf
// and its new neighbour, the index above them, and the blocks that the allocation of a block changes. If the index
// grows, so does the handle.
func (d *Dirs) Credits() int { return 10 }

// Add gives an inode a name. The error is fs.ErrExist if the name is taken, syscall.ENOSPC if there is no room for it.
func (d *Dirs) Add(h *journal.Handle, dir layout.Ino, name string, ino layout.Ino, ftype uint8) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("directory %d: %w", dir, err)
	}
	if !d.g.ValidIno(ino) {
		return fmt.Errorf("directory %d: %q: inode %d: %w", dir, name, ino, fs.ErrInvalid)
	}
	f, err := d.open(h, dir)
	if err != nil {
		return err
	}
	if f.encrypted() {
		return layout.Unsupportedf("directory %d: encrypted: new names", dir)
	}
	if err := f.prepare(name); err != nil {
		return err
	}
	if err := f.checkEncoding(name); err != nil {
		return err
	}
	n := entry{name, ino, ftype}
	if f.isInline() {
		done, err := f.addInline(h, n)
		if done || err != nil {
			return err
		}
	}
	if f.indexed() {
		return f.addHashed(h, n)
	}
	return f.addLinear(h, n)
}

// entry is an entry that is to be added.
type entry struct {
	name  string
	ino   layout.Ino
	ftype uint8
}

func (f *file) exists(name string) error {
	return fmt.Errorf("directory %d: %q: %w", f.ino, name, fs.ErrExist)
}

// addLinear adds to the first block with room. If the directory grows beyond its first block, it becomes hashed, if
// the file system has hashed directories.
func (f *file) addLinear(h *journal.Handle, n entry) error {
	if err := f.checkDots(); err != nil {
		return err
	}
	_, taken, room, err := f.findLinear(n.name, f.format().RecLen(len(n.name)))
	if err != nil {
		return err
	}
	if taken {
		return f.exists(n.name)
	}
	if f.flags&layout.FlagIndex != 0 { // without dir_index the index is not kept up to date
		if err := f.setFlags(h, f.flags&^layout.FlagIndex); err != nil {
			return err
		}
	}
	if room < f.blocks {
		return f.insertInto(h, room, n)
	}
	if f.blocks == 1 && f.d.g.Compat&layout.CompatDirIndex != 0 {
		if err := f.makeHashed(h); err != nil {
			return err
		}
		return f.addHashed(h, n)
	}
	lblk, err := f.grow(h)
	if err != nil {
		return err
	}
	p, err := f.createEntries(h, lblk)
	if err != nil {
		return err
	}
	return f.put(p, n)
}

// checkDots checks that a linear directory begins with "." and "..". If one of them is unused, its record must not be
// used for another name.
func (f *file) checkDots() error {
	p, err := f.entries(0)
	if err != nil {
		return err
	}
	off := 0
	for _, name := range []string{".", ".."} {
		e, err := f.format().At(p, off)
		if err != nil {
			return fmt.Errorf("%s: %w", f.blockType(0), err)
		}
		if e.Ino == 0 || string(e.Name) != name {
			return layout.Corruptf("%s: entry at %d: %q of inode %d, want %q", f.blockType(0), off, e.Name, e.Ino, name)
		}
		off += e.RecLen
	}
	return nil
}

// insertInto adds to a block that has room, or to a part of an inline directory.
func (f *file) insertInto(h *journal.Handle, lblk layout.Lblk, n entry) error {
	return f.edit(h, lblk, func(p []byte) error { return f.put(p, n) })
}

// put adds to records that have room.
func (f *file) put(p []byte, n entry) error {
	ok, err := f.format().Insert(p, n.name, n.ino, n.ftype)
	if err == nil && !ok {
		err = fmt.Errorf("directory %d: %q: %w", f.ino, n.name, syscall.ENOSPC)
	}
	return err
}

// addHashed adds to the leaf to which the name's hash belongs. If there is no room it makes some first: a place in
// every index block on the way, then a second leaf.
func (f *file) addHashed(h *journal.Handle, n entry) error {
	_, taken, err := f.findHashed(n.name)
	if err != nil {
		return err
	}
	if taken {
		return f.exists(n.name)
	}
	root, _, err := f.root()
	if err != nil {
		return err
	}
	hash, known := f.hash(root.Version(), n.name)
	if !known {
		return layout.Unsupportedf("directory %d: hash %d: new names", f.ino, root.Version())
	}
	for range 2 * (f.d.g.MaxDxLevels() + 2) {
		t, err := f.probe(hash)
		if err != nil {
			return err
		}
		p, err := f.entries(t.leaf())
		if err != nil {
			return err
		}
		switch {
		case f.format().Fits(p, f.format().RecLen(len(n.name))):
			return f.insertInto(h, t.leaf(), n)
		case !t.bottom().node.Full():
			return f.splitLeaf(h, t, root.Version(), hash, n)
		}
		if err := f.growIndex(h, t); err != nil {
			return err
		}
	}
	return layout.Corruptf("directory %d: index: no room after splitting every level", f.ino)
}

// Remove removes a name and returns its inode. The error is fs.ErrNotExist if there is no such name.
func (d *Dirs) Remove(h *journal.Handle, dir layout.Ino, name string) (layout.Ino, error) {
	f, at, err := d.locate(h, dir, name)
	if err != nil {
		return 0, err
	}
	return at.ino, f.edit(h, at.lblk, func(p []byte) error { return f.format().Delete(p, at.off) })
}

// Replace changes the inode of a name, and returns the old one. The error is fs.ErrNotExist if there is no such name.
func (d *Dirs) Replace(h *journal.Handle, dir layout.Ino, name string, ino layout.Ino, ftype uint8) (layout.Ino, error) {
	if !d.g.ValidIno(ino) {
		return 0, fmt.Errorf("directory %d: %q: inode %d: %w", dir, name, ino, fs.ErrInvalid)
	}
	f, at, err := d.locate(h, dir, name)
	if err != nil {
		return 0, err
	}
	return at.ino, f.edit(h, at.lblk, func(p []byte) error {
		f.format().SetIno(p, at.off, ino, ftype)
		return nil
	})
}

// locate finds a name that is to be changed.
func (d *Dirs) locate(h *journal.Handle, dir layout.Ino, name string) (*file, place, error) {
	if dotName(name) {
		return nil, place{}, fmt.Errorf("directory %d: %q: %w", dir, name, fs.ErrInvalid)
	}
	f, err := d.open(h, dir)
	if err != nil {
		return nil, place{}, err
	}
	at, ok, err := f.find(name)
	if err != nil {
		return nil, place{}, err
	}
	if !ok {
		return nil, place{}, fmt.Errorf("directory %d: %q: %w", dir, name, fs.ErrNotExist)
	}
	return f, at, nil
}

// edit changes the records of a block, or of a part of an inline directory.
func (f *file) edit(h *journal.Handle, lblk layout.Lblk, fn func(p []byte) error) error {
	if f.isInline() {
		return f.editInline(h, lblk, fn)
	}
	p, err := f.editEntries(h, lblk)
	if err != nil {
		return err
	}
	return fn(p)
}
