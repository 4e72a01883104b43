package ext4

import (
	"fmt"
	"slices"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// finish does what follows the replay of the log when the file system is opened for writing: the orphans.
func (fs *FS) finish() error {
	if err := fs.warnOfErrors(); err != nil {
		return err
	}
	if err := fs.cleanOrphans(); err != nil {
		return fmt.Errorf("orphans: %w", err)
	}
	return fs.watchFaults()
}

// Warnings lists what Open found wrong and could do without: orphans that stay on their list since they are damaged, a
// file system that is marked as one with errors. In the order in which they were found.
func (fs *FS) Warnings() []error { return slices.Clone(fs.warnings) }

func (fs *FS) warn(err error) { fs.warnings = append(fs.warnings, kind(err)) }

// warnOfErrors warns of errors that somebody has seen before.
func (fs *FS) warnOfErrors() error {
	s, err := fs.Super()
	if err != nil || s.State()&layout.StateErrors == 0 {
		return err
	}
	fs.warn(layout.Corruptf("marked as a file system with errors (%d seen): it should be checked with e2fsck", s.ErrorCount()))
	return nil
}

// recount puts right what a kernel leaves to the next mount: the totals of the superblock, and whether the orphan file
// has entries.
func (fs *FS) recount() error {
	frozen := fs.readOnly
	fs.readOnly = false // in memory
	defer func() { fs.readOnly = frozen }()
	_, err := fs.update(orphanCredits, func(h *journal.Handle) error {
		if err := fs.space.Recount(h); err != nil {
			return err
		}
		return fs.inodes.OrphansDone(h)
	})
	return err
}

// cleanOrphans deletes the inodes without links that a crash left behind, and finishes interrupted truncates. What is
// damaged stays on its list as it is: nothing of it is changed before all of it was looked at.
func (fs *FS) cleanOrphans() error {
	v := fs.j.View()
	orphans, err := fs.inodes.Orphans(v)
	v.Close()
	if err != nil {
		fs.warn(fmt.Errorf("orphans: left as they are: %w", err))
		return nil
	}
	for _, ino := range orphans {
		err := fs.cleanOrphan(ino)
		if e := fs.j.Err(); e != nil {
			return e
		}
		if err != nil {
			fs.warn(fmt.Errorf("orphan inode %d: left as it is: %w", ino, err))
		}
	}
	return nil
}

func (fs *FS) cleanOrphan(ino layout.Ino) error {
	n := fs.get(ino)
	var links uint16
	var size uint64
	var mapped bool
	err := n.inode(func(v *journal.View, rec layout.Inode) error {
		links, size, mapped = rec.Links(), rec.Size(), mapsBlocks(rec)
		if rec.Mode() == 0 {
			return layout.Corruptf("mode 0")
		}
		return fs.mayFree(v, ino)
	})
	switch {
	case err != nil:
		fs.drop(n) // without deleting it
		return err
	case links > 0 && mapped:
		err = n.shrink(int64(size))
	case links > 0:
		err = n.update(orphanCredits, func(h *journal.Handle) error { return fs.inodes.DelOrphan(h, ino) })
	}
	if e := fs.put(n); err == nil {
		err = e
	}
	return err
}
