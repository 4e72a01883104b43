package volume

import (
	"errors"
	"fmt"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// orphanCredits is the number of blocks that adding or removing an orphan may change.
const orphanCredits = inode.OrphanCredits

// Finish completes an Open. If the file system is open for writing, it deletes or truncates orphans; from then on
// errors are recorded in the superblock. A damaged orphan stays as it is, and Warnings names it. Finish calls cut to
// complete an interrupted truncate: cut removes what lies beyond the file's size in bytes. If Finish fails, the file
// system is closed and not marked clean.
func (v *Volume) Finish(cut func(ino layout.Ino, size int64) error) error {
	if !v.readOnly {
		if err := v.finish(cut); err != nil {
			return errors.Join(err, v.Journal.Close(), v.mmp.release())
		}
	}
	v.Space.SetPool(group.PoolSize(v.Geo))
	return nil
}

func (v *Volume) finish(cut func(ino layout.Ino, size int64) error) error {
	if err := v.warnOfErrors(); err != nil {
		return err
	}
	if err := v.cleanOrphans(cut); err != nil {
		return fmt.Errorf("orphans: %w", err)
	}
	return v.watchFaults()
}

// warnOfErrors warns of errors that were recorded before this session.
func (v *Volume) warnOfErrors() error {
	s, err := v.Super()
	if err != nil || s.State()&layout.StateErrors == 0 {
		return err
	}
	v.warn(layout.Corruptf("marked as a file system with errors (%d seen): it should be checked with e2fsck", s.ErrorCount()))
	return nil
}

// cleanOrphans deletes the inodes without links that a crash left behind, and completes interrupted truncates. It
// checks all of an orphan before it changes anything. A damaged orphan stays on its list as it is.
func (v *Volume) cleanOrphans(cut func(ino layout.Ino, size int64) error) error {
	view := v.Journal.View()
	orphans, err := v.Inodes.Orphans(view)
	view.Close()
	if err != nil {
		v.warn(fmt.Errorf("orphans: left as they are: %w", err))
		return nil
	}
	for _, ino := range orphans {
		err := v.cleanOrphan(ino, cut)
		if e := v.Journal.Err(); e != nil {
			return e
		}
		if err != nil {
			v.warn(fmt.Errorf("orphan inode %d: left as it is: %w", ino, err))
		}
	}
	return nil
}

func (v *Volume) cleanOrphan(ino layout.Ino, cut func(ino layout.Ino, size int64) error) error {
	links, size, mapped, err := v.lookAtOrphan(ino)
	switch {
	case err != nil:
		return err
	case links == 0:
		return v.Delete(ino)
	case mapped:
		return cut(ino, size)
	}
	_, err = v.UpdateInode(ino, orphanCredits, func(h *journal.Handle) error { return v.Inodes.DelOrphan(h, ino) })
	return err
}

// lookAtOrphan checks whether an orphan can be freed, or cut.
func (v *Volume) lookAtOrphan(ino layout.Ino) (links uint16, size int64, mapped bool, err error) {
	view := v.Journal.View()
	defer view.Close()
	rec, err := v.Inodes.Read(view, ino)
	if err != nil {
		return 0, 0, false, err
	}
	if rec.Mode() == 0 {
		return 0, 0, false, layout.Corruptf("mode 0")
	}
	return rec.Links(), int64(rec.Size()), rec.MapsBlocks(), v.MayFree(view, ino)
}

// MayFree checks everything that goes with the last link of an inode before that link is removed: its number, the
// blocks of its map and its attributes. Without the check, an inode that cannot be freed would stay among the
// orphans.
func (v *Volume) MayFree(r journal.Reader, ino layout.Ino) error {
	rec, err := v.Inodes.Read(r, ino)
	if err == nil {
		err = v.Space.MayFreeInode(r, ino, rec.IsDir())
	}
	if err == nil {
		err = v.Inodes.InspectTranslator(r, ino)
	}
	if err == nil {
		err = v.Extents.InspectAll(r, ino)
	}
	if err == nil {
		err = v.Attrs.Inspect(r, ino)
	}
	return err
}

// FreeBlocks frees the blocks [from, to) of an inode, which must have been checked, from the right and in several
// handles. It returns the last transaction that changed the inode, or 0, even if it also returns an error.
func (v *Volume) FreeBlocks(ino layout.Ino, from, to layout.Lblk) (last journal.TID, err error) {
	mapped, err := v.mapsBlocks(ino)
	if err != nil || !mapped {
		return 0, err
	}
	for done := from >= to; !done; {
		var next layout.Lblk
		tid, err := v.UpdateInode(ino, v.Extents.StepCredits(), func(h *journal.Handle) (err error) {
			done, next, err = v.Extents.Remove(h, ino, from, to)
			return err
		})
		if err != nil {
			return last, err
		}
		last, to = tid, next
	}
	return last, nil
}

func (v *Volume) mapsBlocks(ino layout.Ino) (bool, error) {
	view := v.Journal.View()
	defer view.Close()
	rec, err := v.Inodes.Read(view, ino)
	if err != nil {
		return false, err
	}
	return rec.MapsBlocks(), nil
}

// Delete frees the blocks, the attributes and last the number of an inode, in as many handles as needed. The inode
// must be among the orphans, have no links and not be in use.
func (v *Volume) Delete(ino layout.Ino) error {
	if _, err := v.FreeBlocks(ino, 0, ^layout.Lblk(0)); err != nil {
		return err
	}
	for done := false; !done; {
		_, err := v.UpdateInode(ino, v.Attrs.Credits(0), func(h *journal.Handle) (err error) {
			done, err = v.Attrs.FreeAll(h, ino)
			return err
		})
		if err != nil {
			return err
		}
	}
	_, err := v.UpdateInode(ino, orphanCredits+4, func(h *journal.Handle) error {
		if err := v.Inodes.FreeTranslator(h, ino); err != nil {
			return err
		}
		if err := v.Inodes.DelOrphan(h, ino); err != nil {
			return err
		}
		return v.Inodes.Free(h, ino)
	})
	return err
}
