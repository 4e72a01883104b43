package ext4

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"ext4img/aio"
	"ext4img/ext4/internal/fastcommit"
	"ext4img/ext4/internal/names"
	"ext4img/ext4/internal/volume"
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
	// CommitInterval is the longest time that a change stays uncommitted. If it is 0, only Sync, Close and a full log
	// cause commits.
	CommitInterval time.Duration
	// CacheBytes bounds the memory for cached metadata; 0 is 64 MiB.
	CacheBytes int
}

// FS is an open file system. All methods may be called from any goroutine.
type FS struct {
	vol   *volume.Volume
	names *names.Names

	mu     sync.Mutex
	nodes  map[layout.Ino]*openInode // inodes with an open File or an operation under way
	queues map[*Queue]bool
	urgent atomic.Int32 // number of goroutines that wait for requests of queues without being at one
	stats  counters
}

// Open opens the file system on a device. If the journal needs recovery, Open first recovers it: on the device or,
// with Options.ReadOnly, in memory over it. If the file system is opened for writing, orphans are deleted or
// truncated. A damaged orphan stays as it is, and Warnings names it.
//
// A file system with an unknown incompatible feature is refused. One with an unknown read-only compatible feature can
// be opened only for reading. One whose metadata overlap is refused for writing. If Open refuses, it has written
// nothing. It does not close the device if it fails.
func Open(dev aio.Device, o Options) (*FS, error) {
	v, err := volume.Open(dev, volume.Options{
		ReadOnly: o.ReadOnly, Journal: o.Journal, Clock: o.Clock, CommitInterval: o.CommitInterval, CacheBytes: o.CacheBytes,
		FastCommits: fastcommit.Apply,
	})
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	f := over(v)
	if err := v.Finish(f.cut); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return f, nil
}

// over makes an FS over a volume.
func over(v *volume.Volume) *FS {
	f := &FS{vol: v, nodes: make(map[layout.Ino]*openInode), queues: make(map[*Queue]bool)}
	f.names = names.New(v, f.held)
	return f
}

// held reports whether an inode is in use.
func (f *FS) held(ino layout.Ino) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes[ino] != nil
}

// ApplyFast recovers the log of a device and applies the fast commits that follow it. Its caller takes care of the
// orphans. A log without fast commits is only replayed.
func ApplyFast(dev aio.Device) error { return Replay(dev, nil) }

// Replay is ApplyFast for a file system whose log may be on another device; log is nil if it is not.
func Replay(dev, log aio.Device) error {
	return volume.Recover(dev, volume.Options{Journal: log, FastCommits: fastcommit.Apply})
}

// ExternalLog is the log on a device of its own. There it follows a superblock with the UUID that the file system
// names.
func ExternalLog(s layout.Superblock, dev aio.Device) (*journal.Area, error) {
	return volume.ExternalLog(s, dev)
}

// Geometry is the shape of the file system. It must not be changed.
func (f *FS) Geometry() *layout.Geometry { return f.vol.Geo }

// ReadOnly tells whether the file system refuses changes.
func (f *FS) ReadOnly() bool { return f.vol.ReadOnly() }

// Recovery is what Open recovered from the log; nil if the log was clean.
func (f *FS) Recovery() *journal.Recovery { return f.vol.Recovery() }

// Super returns a copy of the superblock as it is now.
func (f *FS) Super() (layout.Superblock, error) { return f.vol.Super() }

// Warnings lists the defects that Open has met and tolerated, in the order in which it met them: damaged orphans,
// which stay on their list, and a file system marked as having errors.
func (f *FS) Warnings() []error { return f.vol.Warnings() }

// FreeBlocks is the number of blocks that new files can take: the free blocks without those set aside for splits of
// unwritten extents, which are a fiftieth of the file system and at most 4096 clusters (as in the kernel's statfs).
func (f *FS) FreeBlocks() (uint64, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	return f.vol.Space.FreeCount(v)
}

// Sync makes everything written and changed so far durable.
func (f *FS) Sync() error {
	var first error
	for _, n := range f.openNodes() {
		if err := errors.Join(n.flush(), n.touch(), f.put(n)); err != nil && first == nil {
			first = fmt.Errorf("sync: inode %d: %w", n.ino, err)
		}
	}
	if f.vol.ReadOnly() {
		return first
	}
	if err := f.vol.Journal.CommitAll(); err != nil && first == nil {
		first = fmt.Errorf("sync: %w", err)
	}
	return first
}

// openNodes returns the nodes of all inodes in use now, each with one more reference.
func (f *FS) openNodes() []*openInode {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]*openInode, 0, len(f.nodes))
	for _, n := range f.nodes {
		n.refs++
		out = append(out, n)
	}
	return out
}

// Close syncs, writes all metadata home and marks the file system clean. It does not close the device. Files and
// queues must be closed before.
func (f *FS) Close() error {
	f.vol.RecordPending()
	err := f.Sync()
	return errors.Join(err, f.vol.Close())
}
