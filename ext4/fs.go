package ext4

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
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
	// CommitInterval is the longest time a change stays uncommitted; 0 leaves commits to Sync, Close and a full log.
	CommitInterval time.Duration
	// CacheBytes bounds the memory for cached metadata; 0 is 64 MiB.
	CacheBytes int
}

// FS is an open file system. All methods may be called from any goroutine.
type FS struct {
	dev      aio.Device // data goes here; an overlay when a dirty image is open for reading only
	geo      *layout.Geometry
	j        *journal.Journal
	readOnly bool
	recovery *journal.Recovery // of the log found at Open; nil if it was clean
	warnings []error           // of Open

	space   *group.Space
	inodes  *inode.Table
	extents *extent.Mapper
	dirs    *dir.Dirs
	attrs   *xattr.Store
	quota   *quota.Quota

	superRef journal.Ref  // the primary superblock
	own      []layout.Ino // see inUse
	mmp      *mmp         // nil without multi-mount protection, or when open for reading
	state    sessionState
	faults   faults

	mu     sync.Mutex
	nodes  map[layout.Ino]*node // inodes with an open File or an operation under way
	queues map[*Queue]bool
	urgent atomic.Int32 // who waits for requests of queues without being at one
	stats  counters
}

// Geometry is the shape of the file system. It must not be changed.
func (fs *FS) Geometry() *layout.Geometry { return fs.geo }

// ReadOnly tells whether the file system refuses changes.
func (fs *FS) ReadOnly() bool { return fs.readOnly }

// Recovery is what Open recovered from the log, nil if the log was clean.
func (fs *FS) Recovery() *journal.Recovery { return fs.recovery }

// Super returns a copy of the superblock as it is now.
func (fs *FS) Super() (layout.Superblock, error) {
	v := fs.j.View()
	defer v.Close()
	s, err := fs.space.Super(v)
	if err != nil {
		return nil, err
	}
	return append(layout.Superblock(nil), s...), nil
}

// FreeBlocks is the number of blocks that new files can take: what is free, without what is set aside for the splits of
// unwritten extents, a fiftieth of the file system and at most 4096 clusters (as the kernel's statfs).
func (fs *FS) FreeBlocks() (uint64, error) {
	v := fs.j.View()
	defer v.Close()
	return fs.space.FreeCount(v)
}

// Sync makes everything written and changed so far durable.
func (fs *FS) Sync() error {
	var first error
	for _, n := range fs.openNodes() {
		if err := errors.Join(n.flush(), n.touch(), fs.put(n)); err != nil && first == nil {
			first = fmt.Errorf("sync: inode %d: %w", n.ino, err)
		}
	}
	if fs.readOnly {
		return first
	}
	if err := fs.j.CommitAll(); err != nil && first == nil {
		first = fmt.Errorf("sync: %w", kind(err))
	}
	return first
}

// openNodes returns the inodes in use now, each with one more reference.
func (fs *FS) openNodes() []*node {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	out := make([]*node, 0, len(fs.nodes))
	for _, n := range fs.nodes {
		n.refs++
		out = append(out, n)
	}
	return out
}

// Close syncs, writes all metadata home and marks the file system clean. It does not close the device. Files and
// queues must be closed before.
func (fs *FS) Close() error {
	fs.recordPending()
	err := fs.Sync()
	if fs.readOnly {
		return errors.Join(err, fs.j.Close())
	}
	if e := fs.j.Close(); e != nil {
		return errors.Join(err, fmt.Errorf("close: %w", kind(e)), fs.releaseMMP())
	}
	return errors.Join(err, fs.markClean(), fs.releaseMMP())
}

// errReadOnly is what a change of a read-only file system meets.
const errReadOnly = syscall.EROFS

// update runs fn in one handle: a step that leaves a valid file system. If fn fails nothing has changed. credits is about how
// many blocks it changes. Two failures are followed by another try in a transaction of its own: that of an allocation,
// because what is free was freed in a transaction that is not committed yet (ordering O5); and that of a handle which
// needs more blocks than the running transaction has room for. An error that says that the image is wrong is recorded in
// the superblock.
func (fs *FS) update(credits int, fn func(h *journal.Handle) error) (journal.TID, error) {
	tid, err := fs.tryUpdate(credits, fn)
	fs.fault(err)
	return tid, err
}

func (fs *FS) tryUpdate(credits int, fn func(h *journal.Handle) error) (journal.TID, error) {
	if err := fs.changeable(); err != nil {
		return 0, err
	}
	tid, err := fs.step(credits+fs.quota.Credits(), fn)
	switch {
	case errors.Is(err, group.ErrResting):
		if err := fs.j.CommitAll(); err != nil {
			return 0, kind(err)
		}
	case !errors.Is(err, journal.ErrNoCredits):
		return tid, err
	}
	return fs.step(journal.Whole, fn)
}

func (fs *FS) step(credits int, fn func(h *journal.Handle) error) (journal.TID, error) {
	h, err := fs.j.Start(credits)
	if err != nil {
		return 0, kind(err)
	}
	err = fn(h)
	if err == nil {
		err = fs.quota.Settle(h)
	}
	if err != nil {
		h.Cancel()
		return 0, kind(err)
	}
	tid, err := h.Stop()
	return tid, kind(err)
}
