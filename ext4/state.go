package ext4

import (
	"fmt"
	"sync/atomic"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// sessionState is how the superblock on disk says that the file system is in use: with a journal by needs_recovery,
// without one by the missing "clean" in s_state. The journal has the mark written before the first handle, so that
// every logged copy of the superblock carries it, and an open that changes nothing writes nothing.
type sessionState struct {
	marked   atomic.Bool // the superblock on disk may carry the mark
	wasClean bool        // s_state had StateClean when a file system without a journal was opened
}

// setInUse puts the mark into a superblock.
func setInUse(s layout.Superblock) {
	if s.FeatureCompat()&layout.CompatHasJournal != 0 {
		s.SetFeatureIncompat(s.FeatureIncompat() | layout.IncompatRecover)
	} else {
		s.SetState(s.State() &^ layout.StateClean)
	}
}

// activate writes the mark home: the kernel wipes a log without needs_recovery.
func (fs *FS) activate() error {
	fs.state.marked.Store(true)
	err := journal.UpdateHome(fs.dev, fs.geo.BlockSize, fs.superRef, func(p []byte) error {
		setInUse(layout.Superblock(p))
		return nil
	})
	if err != nil {
		return fmt.Errorf("superblock: mark as in use: %w", err)
	}
	return nil
}

// markClean takes the mark, and nothing else (see tornMark), off the superblock, when everything is home and the log is empty.
func (fs *FS) markClean() error {
	if !fs.state.marked.Load() {
		return nil
	}
	err := journal.UpdateHome(fs.dev, fs.geo.BlockSize, fs.superRef, func(p []byte) error {
		s := layout.Superblock(p)
		s.SetFeatureIncompat(s.FeatureIncompat() &^ layout.IncompatRecover)
		if fs.state.wasClean {
			s.SetState(s.State() | layout.StateClean)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("superblock: mark as clean: %w", err)
	}
	fs.state.marked.Store(false)
	return nil
}
