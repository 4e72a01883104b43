package ext4

import (
	"fmt"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// finishRecovery does what follows the replay of the log: the orphans. For a file system opened for reading it happens
// in memory.
func (fs *FS) finishRecovery() error {
	defer fs.space.SetPool(group.PoolSize(fs.geo))
	frozen := fs.readOnly
	if frozen && fs.recovery == nil {
		return nil
	}
	fs.readOnly = false
	defer func() { fs.readOnly = frozen }()
	if fs.recovery != nil {
		if err := fs.recount(); err != nil {
			return err
		}
	}
	if err := fs.cleanOrphans(); err != nil {
		return fmt.Errorf("orphans: %w", err)
	}
	return nil
}

// recount puts right what a kernel leaves to the next mount: the totals of the superblock, and whether the orphan file
// has entries.
func (fs *FS) recount() error {
	_, err := fs.update(orphanCredits, func(h *journal.Handle) error {
		if err := fs.space.Recount(h); err != nil {
			return err
		}
		return fs.inodes.OrphansDone(h)
	})
	return err
}

// cleanOrphans deletes the inodes without links that a crash left behind, and finishes interrupted truncates.
func (fs *FS) cleanOrphans() error {
	v := fs.j.View()
	orphans, err := fs.inodes.Orphans(v)
	v.Close()
	if err != nil {
		return err
	}
	for _, ino := range orphans {
		if err := fs.cleanOrphan(ino); err != nil {
			return fmt.Errorf("inode %d: %w", ino, err)
		}
	}
	return nil
}

func (fs *FS) cleanOrphan(ino layout.Ino) error {
	n := fs.get(ino)
	var links uint16
	var size uint64
	var mapped bool
	err := n.inode(func(_ *journal.View, rec layout.Inode) error {
		links, size, mapped = rec.Links(), rec.Size(), mapsBlocks(rec)
		return nil
	})
	switch {
	case err != nil:
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
