package ext4

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"ext4img/ext4/internal/ioend"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// openInode is what all users of one inode share while it is in use. It caches nothing of the disk.
type openInode struct {
	fs  *FS
	ino layout.Ino
	end *ioend.Inode // completed I/O

	// mu is the inode lock: who changes size or block map other than by direct I/O holds it.
	mu sync.Mutex

	refs    int           // guarded by FS.mu
	deleted bool          // guarded by FS.mu: it had no links and is being freed, or was
	tid     atomic.Uint32 // the newest transaction that changed the inode since it is in use; 0 for none
	dirty   atomic.Bool   // data was written that no flush has made durable
	touched atomic.Bool   // written blocks were overwritten, and the times do not show it yet
	// touchedAt is when, in nanoseconds since 1970.
	touchedAt atomic.Int64
	// persisting: one sync at a time waits for the device, and nobody else writes times meanwhile.
	persisting sync.Mutex

	plain atomic.Bool // known to have no capabilities

	known atomic.Bool // tid and dirty tell all: what happened before the inode came into use has been synced since
}

// get returns an inode in use, with one more reference.
func (f *FS) get(ino layout.Ino) *openInode {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[ino]
	if n == nil {
		n = &openInode{fs: f, ino: ino}
		n.end = ioend.New(n.convert, finishWrite)
		f.nodes[ino] = n
	}
	n.refs++
	return n
}

// put gives a reference back. The last one of an inode without links deletes the inode. The last one waits for requests
// in flight: who opens the inode next would not know of them.
func (f *FS) put(n *openInode) error {
	if err := f.evict(n); err != nil {
		return err
	}
	for !f.drop(n) {
		n.end.Block()
		n.waitDIO()
		n.end.Unblock()
		if err := n.touch(); err != nil {
			return err
		}
	}
	return nil
}

// drop is put for what is not the last reference of an inode with requests in flight.
func (f *FS) drop(n *openInode) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n.refs == 1 && n.end.InFlight() > 0 {
		return false
	}
	n.refs--
	if n.refs == 0 {
		delete(f.nodes, n.ino)
	}
	return true
}

// changed records the transaction of a change, for Sync.
func (n *openInode) changed(tid journal.TID) {
	for {
		old := n.tid.Load()
		if old != 0 && !journal.TID(old).Before(tid) || n.tid.CompareAndSwap(old, uint32(tid)) {
			return
		}
	}
}

// changes records the transaction of a handle that changes the inode, when the handle has succeeded.
func (n *openInode) changes(h *journal.Handle) {
	tid := h.TID()
	h.AtEnd(func(ok bool) {
		if ok {
			n.changed(tid)
		}
	})
}

// flushUnwritten converts what has completed and waits for what was begun before, also when nobody reaps its queue.
func (n *openInode) flushUnwritten() error {
	n.fs.vol.Journal.MustNotHold("wait for conversions")
	n.fs.urge()
	defer n.fs.ease()
	return n.end.FlushUnwrittenIO()
}

// waitDIO waits until no direct I/O is in flight, also when nobody reaps its queue.
func (n *openInode) waitDIO() {
	n.fs.vol.Journal.MustNotHold("wait for direct I/O")
	n.fs.urge()
	defer n.fs.ease()
	n.end.WaitDIO()
}

// flush converts everything written so far and returns the pending write error, once.
func (n *openInode) flush() error {
	err := n.flushUnwritten()
	if taken := n.end.TakeError(); taken != nil {
		err = taken
	}
	return err
}

// sync makes everything written to the inode durable: conversions, then the transaction they are in, whose commit
// flushes the device; without one, the device alone.
func (n *openInode) sync() error {
	first := n.flush()
	err := n.persist()
	if err == nil {
		err = n.fs.vol.Journal.Err() // somebody else was told, but nothing is durable any more
	}
	if first == nil && err != nil {
		first = fmt.Errorf("inode %d: %w", n.ino, err)
	}
	return first
}

// persist is the half of sync that waits for the device. One at a time: what another one is making durable is durable
// only when that one is through. A flush that fails aborts the file system, for a later one would succeed without what
// was lost.
func (n *openInode) persist() error {
	n.persisting.Lock()
	defer n.persisting.Unlock()
	if err := n.writeTimes(); err != nil {
		return err
	}
	fs, dirty := n.fs, n.dirty.Swap(false)
	tid := journal.TID(n.tid.Load())
	switch {
	case !n.known.Load():
		if err := fs.vol.Journal.CommitAll(); err != nil {
			return err
		}
		n.known.Store(true)
		return nil
	case tid != 0 && fs.vol.Journal.Committed().Before(tid):
		late := fs.vol.Journal.Running() != tid // then its commit may have flushed before what was written since
		if err := fs.vol.Journal.Commit(tid); err != nil || !late {
			return err
		}
	}
	if !dirty {
		return nil
	}
	if err := fs.vol.Dev.Flush(); err != nil {
		fs.vol.Journal.Abort(err)
		return err
	}
	return nil
}

// inode runs fn on the inode's record as it is now.
func (n *openInode) inode(fn func(v *journal.View, rec layout.Inode) error) error {
	v := n.fs.vol.Journal.View()
	defer v.Close()
	rec, err := n.fs.vol.Inodes.Read(v, n.ino)
	if err != nil {
		return err
	}
	return fn(v, rec)
}

// size is the file's size now, in bytes.
func (n *openInode) size() (size uint64, err error) {
	err = n.inode(func(_ *journal.View, rec layout.Inode) error {
		size = rec.Size()
		return nil
	})
	return size, err
}

// lookAt shows in a Stat what the inode does not yet: the times of overwrites.
func (f *FS) lookAt(ino layout.Ino, s *Stat) {
	f.mu.Lock()
	n := f.nodes[ino]
	f.mu.Unlock()
	if n == nil || !n.touched.Load() {
		return
	}
	s.Mtime = time.Unix(0, n.touchedAt.Load())
	if s.Ctime.Before(s.Mtime) {
		s.Ctime = s.Mtime
	}
}

// mtimeSet forgets the times of overwrites, since others were set after them.
func (f *FS) mtimeSet(ino layout.Ino) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.nodes[ino]; n != nil {
		n.touched.Store(false)
	}
}

// update is FS.update for one change of this inode.
func (n *openInode) update(credits int, fn func(h *journal.Handle) error) error {
	tid, err := n.fs.vol.Update(credits, func(h *journal.Handle) error { return layout.InInode(n.ino, fn(h)) })
	if err == nil {
		n.changed(tid)
	}
	return err
}
