// Package names holds the operations on names and attributes of an open file system. Each takes the number of an
// inode, or a name in a directory given by its number, and runs in the caller's handle or under a view. Only path.go
// knows paths: it finds the inodes for the others.
//
//	path.go                          Spot → Place (a name in a directory) → inode
//	create.go make.go over.go        operations that make names
//	remove.go rename.go              operations that remove or move names
//	attr.go acl.go xattr.go          attributes of an inode
//	capability.go symlink.go
//
// It owns no bytes: it drives dir, inode and xattr, and owns the rules about which operations are allowed. If an
// operation fails, the caller cancels its handle. If an operation removes the last link of an inode, the inode
// becomes an orphan; the caller deletes it (volume.Delete) once it is not in use any more.
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

// New makes Names over a volume. held reports whether an inode is in use although it may have no links. It is called
// under a handle or a view.
func New(v *volume.Volume, held func(ino layout.Ino) bool) *Names { return &Names{v, held} }

// InUse checks an inode that a name leads to, or whose number a caller has. A free inode is no file, and neither is
// an inode of the file system's own, to which no name leads in a sound file system. An inode without links is in use
// as long as it is held. For reading, an inode whose link count alone says that it is free is accepted too.
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
