// Package names is the operations on names and attributes of an open file system: each by the number of an inode, or by a
// name in a directory that is given by its number, and each in a handle of the caller's, or under a view. Walking a path
// to get there is one file on top of them.
//
//	path.go                          Spot → Place (a name in a directory) → inode
//	create.go make.go over.go        what makes names
//	remove.go rename.go              what takes them away or moves them
//	attr.go acl.go xattr.go          what an inode says of itself
//	capability.go symlink.go
//
// It owns no bytes: it drives dir, inode and xattr, and owns the rules about what may be done with which. An operation
// that fails leaves its handle to be cancelled. What an operation took the last link from is among the orphans; the caller
// deletes it (volume.Delete) when nobody uses it any more.
package names

import (
	"fmt"
	"syscall"

	"ext4img/ext4/internal/volume"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Names is the names of one file system.
type Names struct {
	*volume.Volume
	held func(ino layout.Ino) bool
}

// New makes Names over a volume. held tells whether an inode is in use although it may have no links: it is called under
// a handle or view.
func New(v *volume.Volume, held func(ino layout.Ino) bool) *Names { return &Names{v, held} }

// InUse judges an inode that a name leads to, or that a caller has the number of. One that is free is no file, nor is
// one of the file system's own, which no name leads to in a sound file system. One without links is in use as long as
// somebody has it open; and where nothing is changed, if only its count of links says that it is free.
func (n *Names) InUse(r journal.Reader, ino layout.Ino) error {
	rec, err := n.Inodes.Read(r, ino)
	switch {
	case err != nil:
		return err
	case n.Own(ino), rec.HasFlag(layout.FlagEAInode):
		return layout.Corruptf("inode %d: the file system's own, and has a name", ino)
	case rec.Links() > 0 && FileType(rec.Mode()) == layout.FTUnknown:
		return layout.Corruptf("inode %d: mode %#o: of no type", ino, rec.Mode())
	case rec.Links() > 0, n.ReadOnly() && rec.Type() != 0 && rec.Dtime() == 0, n.held(ino):
		return nil
	}
	return volume.Corrupt(fmt.Errorf("inode %d: it is free: %w", ino, syscall.ESTALE))
}
