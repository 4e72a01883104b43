package group

import (
	"errors"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// AllocInode takes a free inode number: a file's near its parent, a directory's where there is room for a directory
// and its files. It initialises that part of the inode table which comes into use, but not the record itself.
// syscall.ENOSPC if there is none.
func (s *Space) AllocInode(h *journal.Handle, parent layout.Ino, dir bool) (layout.Ino, error) {
	return 0, errors.ErrUnsupported
}

// FreeInode gives an inode number back; dir says whether it was a directory. A number that is free already is
// layout.ErrCorrupt.
func (s *Space) FreeInode(h *journal.Handle, ino layout.Ino, dir bool) error { return errors.ErrUnsupported }

// InodeCredits is the number of blocks that AllocInode changes at most.
func (s *Space) InodeCredits() int { return 0 }
