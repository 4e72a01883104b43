package xattr

import (
	"fmt"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Inspect checks an inode's attributes before they are all freed: the record and the block must be readable, and the
// block and every inode that holds a value must be in use and counted. The error is layout.ErrCorrupt if something is
// wrong.
func (x *Store) Inspect(r journal.Reader, ino layout.Ino) error {
	a, err := x.load(r, ino)
	if err != nil {
		return err
	}
	refs := map[layout.Ino]int{}
	for _, list := range a.list {
		count(refs, list, 1)
	}
	for _, list := range a.list {
		for _, e := range list {
			if e.Inum == 0 {
				continue
			}
			if err := x.inspectValue(r, ino, e.Inum, refs[e.Inum]); err != nil {
				return fmt.Errorf("inode %d: attribute %q: %w", ino, e.FullName(), err)
			}
		}
	}
	if a.acl == 0 {
		return nil
	}
	b, err := x.readBlock(r, a.acl)
	if err != nil {
		return err
	}
	if b.Refs() == 0 {
		return layout.Corruptf("inode %d: attribute block %d: h_refcount 0", ino, a.acl)
	}
	if err := x.s.InUse(r, a.acl, 1); err != nil {
		return fmt.Errorf("inode %d: attribute block: %w", ino, err)
	}
	return nil
}

func (x *Store) inspectValue(r journal.Reader, owner, ino layout.Ino, refs int) error {
	if ino == owner {
		return layout.Corruptf("value in the inode itself")
	}
	in, err := x.valueInode(r, ino)
	if err != nil {
		return err
	}
	if have := in.EARefs(); have < uint64(refs) {
		return layout.Corruptf("inode %d: %d references to its value, the attributes have %d", ino, have, refs)
	}
	if err := x.s.MayFreeInode(r, ino, in.IsDir()); err != nil {
		return err
	}
	return x.m.Inspect(r, ino, 0, ^layout.Lblk(0))
}
