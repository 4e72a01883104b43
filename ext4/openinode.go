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

// openInode is the state that all users of an inode share while it is in use. It caches nothing of the disk.
type openInode struct {
	fs  *FS
	ino layout.Ino
	end *ioend.Inode // its completed-IO state

	// mu is the inode lock. Code that changes size or block map holds it, except for direct I/O.
	mu sync.Mutex

	refs    int           // guarded by FS.mu
	deleted bool          // guarded by FS.mu: the inode had no links, and is being freed or was freed
	tid     atomic.Uint32 // the newest transaction that changed the inode since it came into use; 0 for none
	dirty   atomic.Bool   // data was written, and no flush has made it durable yet
	touched atomic.Bool   // written blocks were overwritten, and the inode's times are not updated yet
	// touchedAt is the time of the overwrite, in nanoseconds since 1970.
	touchedAt atomic.Int64
	// persisting is held by the one sync that waits for the device, and while times are written.
	persisting sync.Mutex

	plain atomic.Bool // the file is known to have no capabilities

	known atomic.Bool // tid and dirty are complete: everything before the inode came into use has been synced since
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

// put gives a reference back. If it was the last one and the inode has no links, put deletes the inode. The last put
// waits for requests in flight, because a later opener of the inode would not know of them.
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

// drop gives a reference back, unless it is the last one and requests are in flight.
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

// flushUnwritten converts completed writes and waits for those begun before, even if no goroutine reaps their queue.
func (n *openInode) flushUnwritten() error {
	n.fs.vol.Journal.MustNotHold("wait for conversions")
	n.fs.urge()
	defer n.fs.ease()
	return n.end.FlushUnwrittenIO()
}

// waitDIO waits until no direct I/O is in flight, even if no goroutine reaps its queue.
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

// sync makes everything written to the inode durable: it converts, then commits the transaction of the conversions,
// which flushes the device. If there is no such transaction, it only flushes the device.
func (n *openInode) sync() error {
	first := n.flush()
	err := n.persist()
	if err == nil {
		err = n.fs.vol.Journal.Err() // another caller got the error, but nothing becomes durable any more
	}
	if first == nil && err != nil {
		first = fmt.Errorf("inode %d: %w", n.ino, err)
	}
	return first
}

// persist is the half of sync that waits for the device. Only one runs at a time: data that another one is making
// durable is durable only when that one has finished. A flush that fails aborts the file system, because a later
// flush would succeed although data was lost.
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
		late := fs.vol.Journal.Running() != tid // then its commit may have flushed before the latest writes
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

// inode runs fn on the inode's present record.
func (n *openInode) inode(fn func(v *journal.View, rec layout.Inode) error) error {
	v := n.fs.vol.Journal.View()
	defer v.Close()
	rec, err := n.fs.vol.Inodes.Read(v, n.ino)
	if err != nil {
		return err
	}
	return fn(v, rec)
}

// size is the file's present size, in bytes.
func (n *openInode) size() (size uint64, err error) {
	err = n.inode(func(_ *journal.View, rec layout.Inode) error {
		size = rec.Size()
		return nil
	})
	return size, err
}

// lookAt adds to a Stat the times of overwrites that the inode does not have yet.
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

// mtimeSet forgets the times of overwrites, because other times were set after them.
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
