package group

import (
	"errors"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Alloc takes between Min and Max contiguous free blocks, as near the goal as they are to be had in full, and returns
// the first and their number. With bigalloc the result is whole clusters, and may be more than Max. The error is
// syscall.ENOSPC when no such run is free, ErrResting when there may be one after the next commit.
func (s *Space) Alloc(h *journal.Handle, q Request) (layout.Pblk, uint32, error) {
	return 0, 0, errors.ErrUnsupported
}

// Free gives back n blocks from p on, in any number of groups. With bigalloc they must be whole clusters. They can be allocated again
// once the handle's transaction has committed. Blocks that are free already, or belong to a group's own metadata,
// are layout.ErrCorrupt.
func (s *Space) Free(h *journal.Handle, p layout.Pblk, n uint64) error {
	return errors.ErrUnsupported
}

// Reserve sets n blocks aside, in memory only: an Alloc that does not say Reserved leaves so many free. With bigalloc each
// may need a cluster, and so many are set aside. syscall.ENOSPC if there are not enough.
func (s *Space) Reserve(r journal.Reader, n uint64) error { return errors.ErrUnsupported }

// Release takes back n blocks that Reserve has set aside.
func (s *Space) Release(n uint64) {}

// FreeCount is the number of blocks that can still be allocated or reserved.
func (s *Space) FreeCount(r journal.Reader) (uint64, error) { return 0, errors.ErrUnsupported }

// GoalFor is where the first block of an inode would best be.
func (s *Space) GoalFor(ino layout.Ino) layout.Pblk { return 0 }
