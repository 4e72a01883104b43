package volume

import (
	"errors"
	"fmt"
	"syscall"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// errReadOnly is what a change of a read-only file system meets.
const errReadOnly = syscall.EROFS

// Changeable tells whether changes are still made: nil, or syscall.EROFS.
func (v *Volume) Changeable() error {
	switch {
	case v.readOnly:
		return errReadOnly
	case v.faults.stopped.Load():
		return fmt.Errorf("an error was found before, and the superblock asks for errors=remount-ro: %w", errReadOnly)
	}
	return nil
}

// Update runs fn in one handle: a step that leaves a valid file system. If fn fails nothing has changed. credits is about how
// many blocks it changes. Two failures are followed by another try in a transaction of its own: that of an allocation,
// because what is free was freed in a transaction that is not committed yet (ordering O5); and that of a handle which
// needs more blocks than the running transaction has room for. An error that says that the image is wrong is recorded in
// the superblock.
func (v *Volume) Update(credits int, fn func(h *journal.Handle) error) (journal.TID, error) {
	if err := v.Changeable(); err != nil {
		return 0, err
	}
	tid, err := v.update(credits, fn)
	v.Fault(err)
	return tid, err
}

// UpdateInode is Update for a change of one inode, which errors name.
func (v *Volume) UpdateInode(ino layout.Ino, credits int, fn func(h *journal.Handle) error) (journal.TID, error) {
	return v.Update(credits, func(h *journal.Handle) error { return layout.InInode(ino, fn(h)) })
}

// update is Update without a look at whether changes are allowed, and without a record of errors.
func (v *Volume) update(credits int, fn func(h *journal.Handle) error) (journal.TID, error) {
	tid, err := v.step(credits+v.Quota.Credits(), fn)
	switch {
	case errors.Is(err, group.ErrResting):
		if err := v.Journal.CommitAll(); err != nil {
			return 0, Kind(err)
		}
	case !errors.Is(err, journal.ErrNoCredits):
		return tid, err
	}
	return v.step(journal.Whole, fn)
}

// step runs fn in a handle, once.
func (v *Volume) step(credits int, fn func(h *journal.Handle) error) (journal.TID, error) {
	h, err := v.Journal.Start(credits)
	if err != nil {
		return 0, Kind(err)
	}
	err = fn(h)
	if err == nil {
		err = v.Quota.Settle(h)
	}
	if err != nil {
		h.Cancel()
		return 0, Kind(err)
	}
	tid, err := h.Stop()
	return tid, Kind(err)
}
