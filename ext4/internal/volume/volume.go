// Package volume is an open file system without its names and its data: the device, its geometry, the journal, and the
// packages above the journal, wired in one place. It is the only package that starts handles.
//
//	Open ── reads the superblock, recovers the log, starts the journal
//	 └ Finish ── treats the orphans; from here on errors are recorded
//	    └ Update ── one handle: a step that leaves a valid file system
//	 Close ── writes everything home, and takes the mark of use off
//
// It owns the superblock's mark of use and the block of multi-mount protection, and writes both home outside the log.
// A caller that holds a handle or a view must not wait for a handle, a commit or the device.
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
	// CommitInterval is the longest time that a change stays uncommitted. If it is 0, only callers and a full log
	// cause commits.
	CommitInterval time.Duration
	// CacheBytes bounds the memory for cached metadata; 0 is the journal's default.
	CacheBytes int
	// FastCommits applies the fast commits that follow the last full transaction to a file system in memory.
	FastCommits func(v *Volume, fast []journal.FastCommit) error
}

// Layers are the packages above the journal, each with the bytes that it owns.
type Layers struct {
	Space   *group.Space
	Inodes  *inode.Table
	Extents *extent.Mapper
	Attrs   *xattr.Store
	Dirs    *dir.Dirs
	Quota   *quota.Quota
}

// Wire opens the packages above a journal. clock gives the time of new timestamps; nil is time.Now.
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

// Volume is an open file system without its names and its data.
type Volume struct {
	Layers
	Dev     aio.Device // an overlay when a dirty image is open for reading only
	Geo     *layout.Geometry
	Journal *journal.Journal

	readOnly bool
	recovery *journal.Recovery // what Open recovered from the log; nil if the log was clean
	warnings []error           // warnings of Open and Finish

	superRef journal.Ref  // the primary superblock
	own      []layout.Ino // see Own
	mmp      *mmp         // nil without multi-mount protection, or when open for reading
	marked   atomic.Bool  // the superblock on disk may carry the mark of use
	wasClean bool         // s_state had StateClean when a file system without a journal was opened
	faults   faults
}

// ReadOnly tells whether the file system refuses changes.
func (v *Volume) ReadOnly() bool { return v.readOnly }

// Recovery is what Open recovered from the log; nil if the log was clean.
func (v *Volume) Recovery() *journal.Recovery { return v.recovery }

// Warnings lists the defects that Open and Finish have met and tolerated, in the order in which they met them:
// damaged orphans, which stay on their list, and a file system marked as having errors.
func (v *Volume) Warnings() []error { return slices.Clone(v.warnings) }

func (v *Volume) warn(err error) { v.warnings = append(v.warnings, err) }

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

// Own reports whether an inode belongs to the file system itself. In a sound file system no name leads to such an
// inode.
func (v *Volume) Own(ino layout.Ino) bool {
	return ino < v.Geo.FirstIno && ino != layout.RootIno || slices.Contains(v.own, ino)
}

// ownInodes lists the file system's own inodes that are not among the reserved numbers.
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
		return errors.Join(fmt.Errorf("close: %w", err), v.mmp.release())
	}
	return errors.Join(v.markClean(), v.mmp.release())
}
