package volume

import (
	"errors"
	"fmt"
	"syscall"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// errReadOnly is the error of a change of a read-only file system.
const errReadOnly = syscall.EROFS

// Changeable returns nil if changes are allowed, or else syscall.EROFS.
func (v *Volume) Changeable() error {
	switch {
	case v.readOnly:
		return errReadOnly
	case v.faults.stopped.Load():
		return fmt.Errorf("an error was found before, and the superblock asks for errors=remount-ro: %w", errReadOnly)
	}
	return nil
}

// Update runs fn in one handle: a step that leaves a valid file system. If fn fails, nothing has changed. credits is
// the approximate number of blocks that fn changes. After two kinds of failure it runs fn again in a transaction of
// its own: an allocation failed because the free blocks rest until a transaction has committed (ordering O5), or the
// handle needs more blocks than the running transaction has room for. An error that says that the image is wrong is
// recorded in the superblock.
func (v *Volume) Update(credits int, fn func(h *journal.Handle) error) (journal.TID, error) {
	if err := v.Changeable(); err != nil {
		return 0, err
	}
	tid, err := v.update(credits, fn)
	v.Fault(err)
	return tid, err
}

// UpdateInode is Update for a change of one inode. Errors name the inode.
func (v *Volume) UpdateInode(ino layout.Ino, credits int, fn func(h *journal.Handle) error) (journal.TID, error) {
	return v.Update(credits, func(h *journal.Handle) error { return layout.InInode(ino, fn(h)) })
}

// update is Update, but it does not check whether changes are allowed and records no errors.
func (v *Volume) update(credits int, fn func(h *journal.Handle) error) (journal.TID, error) {
	tid, err := v.step(credits+v.Quota.Credits(), fn)
	switch {
	case errors.Is(err, group.ErrResting):
		if err := v.Journal.CommitAll(); err != nil {
			return 0, err
		}
	case !errors.Is(err, journal.ErrNoCredits):
		return tid, err
	}
	return v.step(journal.Whole, fn)
}

// step runs fn once, in a handle.
func (v *Volume) step(credits int, fn func(h *journal.Handle) error) (journal.TID, error) {
	h, err := v.Journal.Start(credits)
	if err != nil {
		return 0, err
	}
	err = fn(h)
	if err == nil {
		err = v.Quota.Settle(h)
	}
	if err != nil {
		h.Cancel()
		return 0, err
	}
	return h.Stop()
}
