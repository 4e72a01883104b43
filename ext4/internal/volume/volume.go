// Package volume is an open file system without its names and its data: the device, its geometry, the journal, and the
// packages above the journal, wired in one place. It is the only package that starts handles.
//
//	Open ── reads the superblock, recovers the log, starts the journal
//	 └ Finish ── the orphans; from here on errors are recorded
//	    └ Update ── one handle: a step that leaves a valid file system
//	 Close ── everything home, and the mark of use off
//
// It owns the superblock's mark of use and the block of multi-mount protection, and writes both home past the log. What it
// asks of its callers: nothing that waits for a handle, a commit or the device while a handle or a view is held.
package volume

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"ext4img/aio"
	"ext4img/ext4/internal/dir"
	"ext4img/ext4/internal/extent"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/internal/quota"
	"ext4img/ext4/internal/xattr"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Options of Open.
type Options struct {
	// ReadOnly opens without changing a byte of the device. A dirty journal is recovered in memory.
	ReadOnly bool
	// Journal is the device of an external journal.
	Journal aio.Device
	// Clock gives the time of new timestamps; nil is time.Now.
	Clock func() time.Time
	// CommitInterval is the longest time a change stays uncommitted; 0 leaves commits to explicit ones and a full log.
	CommitInterval time.Duration
	// CacheBytes bounds the memory for cached metadata; 0 is the journal's default.
	CacheBytes int
	// FastCommits applies the fast commits that follow the last full transaction to a file system in memory.
	FastCommits func(v *Volume, fast []journal.FastCommit) error
}

// Layers are the packages over a journal, each for the bytes that it owns.
type Layers struct {
	Space   *group.Space
	Inodes  *inode.Table
	Extents *extent.Mapper
	Attrs   *xattr.Store
	Dirs    *dir.Dirs
	Quota   *quota.Quota
}

// Wire puts the packages over a journal. clock gives the time of new timestamps; nil is time.Now.
func Wire(g *layout.Geometry, j *journal.Journal, clock func() time.Time) Layers {
	var l Layers
	l.Space = group.New(g, j)
	l.Inodes = inode.New(l.Space, clock)
	l.Extents = extent.New(l.Space, l.Inodes)
	l.Attrs = xattr.New(l.Space, l.Inodes, l.Extents)
	l.Quota = quota.New(l.Inodes, l.Extents)
	l.Dirs = dir.New(l.Inodes, l.Extents, l.Attrs)
	return l
}

// Volume is an open file system below its names and its data.
type Volume struct {
	Layers
	Dev     aio.Device // an overlay when a dirty image is open for reading only
	Geo     *layout.Geometry
	Journal *journal.Journal

	readOnly bool
	recovery *journal.Recovery // of the log found at Open; nil if it was clean
	warnings []error           // of Open and Finish

	superRef journal.Ref  // the primary superblock
	own      []layout.Ino // see Own
	mmp      *mmp         // nil without multi-mount protection, or when open for reading
	marked   atomic.Bool  // the superblock on disk may carry the mark of use
	wasClean bool         // s_state had StateClean when a file system without a journal was opened
	faults   faults
}

// ReadOnly tells whether the file system refuses changes.
func (v *Volume) ReadOnly() bool { return v.readOnly }

// Recovery is what Open recovered from the log, nil if the log was clean.
func (v *Volume) Recovery() *journal.Recovery { return v.recovery }

// Warnings lists what Open and Finish found wrong and could do without, in the order in which they were found: orphans that
// stay on their list since they are damaged, a file system that is marked as one with errors.
func (v *Volume) Warnings() []error { return slices.Clone(v.warnings) }

func (v *Volume) warn(err error) { v.warnings = append(v.warnings, Kind(err)) }

// Super returns a copy of the superblock as it is now.
func (v *Volume) Super() (layout.Superblock, error) {
	view := v.Journal.View()
	defer view.Close()
	s, err := v.Space.Super(view)
	if err != nil {
		return nil, err
	}
	return append(layout.Superblock(nil), s...), nil
}

// Own tells whether an inode is one of the file system's own, which no name leads to in a sound file system.
func (v *Volume) Own(ino layout.Ino) bool {
	return ino < v.Geo.FirstIno && ino != layout.RootIno || slices.Contains(v.own, ino)
}

// ownInodes are those of the file system itself besides the reserved numbers.
func ownInodes(s layout.Superblock) (own []layout.Ino) {
	if s.FeatureROCompat()&layout.ROCompatQuota != 0 {
		own = append(own, layout.Ino(s.UsrQuotaInum()), layout.Ino(s.GrpQuotaInum()), layout.Ino(s.PrjQuotaInum()))
	}
	if s.FeatureCompat()&layout.CompatOrphanFile != 0 {
		own = append(own, layout.Ino(s.OrphanFileInum()))
	}
	return own
}

// Close writes all metadata home and marks the file system clean. It does not close the device.
func (v *Volume) Close() error {
	if v.readOnly {
		return v.Journal.Close()
	}
	if err := v.Journal.Close(); err != nil {
		return errors.Join(fmt.Errorf("close: %w", Kind(err)), v.mmp.release())
	}
	return errors.Join(v.markClean(), v.mmp.release())
}
