package ext4

import (
	"fmt"
	"time"

	"ext4img/ext4/internal/ioend"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Credits of one handle of conversions: enough for a depth-first batch on a deep tree, and a small part of the
// smallest log there is.
const (
	convertCredits = 40 // the most that one range may need
	convertMore    = 4  // what each further range usually needs: its leaf, and sometimes a new one
	convertMost    = 160
)

// convert makes the ranges of a batch written, and the file long enough for them. Their data is on the device already
// (ordering O1). It is the callback of the completed-IO machine. The ranges share one handle as long as its credits
// last. If that handle fails, each range gets a handle of its own, so that one bad range does not affect the others.
func (n *openInode) convert(batch []ioend.Range) {
	n.fs.stats.conversions.Add(uint64(len(batch)))
	for len(batch) > 0 {
		done, err := n.convertSome(batch)
		if err != nil {
			for i := range batch {
				_, batch[i].Err = n.convertSome(batch[i : i+1])
			}
			return
		}
		batch = batch[done:]
	}
}

// convertSome converts ranges in one handle and returns how many it has converted.
func (n *openInode) convertSome(batch []ioend.Range) (done int, err error) {
	credits := min(convertCredits+convertMore*len(batch), convertMost)
	err = n.update(credits, func(h *journal.Handle) error {
		done = 0
		m, err := n.fs.vol.Extents.Edit(h, n.ino)
		if err != nil {
			return err
		}
		var size int64
		for i := range batch {
			if i > 0 && h.Room() < convertCredits && h.Extend(convertCredits) != nil {
				break
			}
			first, end := n.fs.blocks(batch[i].Off, batch[i].Len)
			if err := m.Written(first, uint32(end-first)); err != nil {
				return err
			}
			size = batch[i].Off + batch[i].Len
			done++
		}
		return n.wrote(h, size)
	})
	n.fs.stats.batches.Add(1)
	if err != nil {
		return 0, fmt.Errorf("convert: %w", err)
	}
	return done, nil
}

// wrote updates size and times for a write that ends at end.
func (n *openInode) wrote(h *journal.Handle, end int64) error {
	fs := n.fs
	rec, err := fs.vol.Inodes.Edit(h, n.ino)
	if err != nil {
		return err
	}
	if uint64(end) > rec.Size() {
		if err := fs.vol.Inodes.SetSize(h, n.ino, uint64(end)); err != nil {
			return err
		}
	}
	n.stamp(rec)
	return nil
}

// stamp sets the times of a change of content in a record that is being changed.
func (n *openInode) stamp(rec layout.Inode) {
	now := n.fs.vol.Inodes.Clock()
	rec.SetMtime(now)
	rec.SetCtime(now)
	n.touched.Store(false)
}

// setTimes sets the times of a change of content in a handle.
func (n *openInode) setTimes(h *journal.Handle) error {
	rec, err := n.fs.vol.Inodes.Edit(h, n.ino)
	if err == nil {
		n.stamp(rec)
	}
	return err
}

// tick is the precision of the times of overwrites. Like the kernel's clock for files, it is 4 ms. So a sync after
// each overwrite commits at most once in a tick, and is only a flush otherwise.
const tick = 4 * time.Millisecond

// overwritten records a write into written blocks. The next flush makes it durable, and the next sync writes its
// times.
func (n *openInode) overwritten() {
	n.dirty.Store(true)
	n.touchedAt.Store(n.fs.vol.Inodes.Clock().UnixNano())
	n.touched.Store(true)
}

// touch writes the times of overwrites, which have no handle of their own.
func (n *openInode) touch() error {
	n.persisting.Lock()
	defer n.persisting.Unlock()
	return n.writeTimes()
}

// writeTimes is touch, called with n.persisting held.
func (n *openInode) writeTimes() error {
	if !n.touched.Swap(false) || n.fs.vol.ReadOnly() {
		return nil
	}
	return n.update(1, func(h *journal.Handle) error {
		rec, err := n.fs.vol.Inodes.Edit(h, n.ino)
		if err != nil {
			return err
		}
		at := time.Unix(0, n.touchedAt.Load())
		if rec.Mtime().Truncate(tick).Equal(at.Truncate(tick)) {
			return nil
		}
		rec.SetMtime(at)
		if rec.Ctime().Before(at) {
			rec.SetCtime(at)
		}
		return nil
	})
}

// allocCredits is the number of credits for a handle that allocates.
func (f *FS) allocCredits() int { return f.vol.Extents.StepCredits() }

// errStopped wraps an error of a flush that prevents a truncate or a similar operation.
func errStopped(err error) error {
	return fmt.Errorf("a write before it was not converted: %w", err)
}

// exclusive removes the file's capabilities and then runs fn, which changes the file, as alone does.
func (n *openInode) exclusive(fn func() error) error {
	return n.alone(func() error {
		if err := n.dropCapability(); err != nil {
			return err
		}
		return fn()
	})
}

// alone runs fn while no direct I/O of the inode is in flight or can begin, and everything completed is converted. If
// a conversion failed, fn does not run: a file whose conversion failed must not be cut.
func (n *openInode) alone(fn func() error) error {
	n.fs.vol.Journal.MustNotHold("inode lock")
	n.mu.Lock()
	defer n.mu.Unlock()
	n.end.Block()
	defer n.end.Unblock()
	n.waitDIO()
	if err := n.flushUnwritten(); err != nil {
		return errStopped(err)
	}
	return fn()
}
