//go:build !386 && !arm && !mips && !mipsle

package mount

import (
	"errors"
	"sync"

	"ext4img/ext4"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// nodes are the inodes that the kernel knows, by number, each held as long as it does.
type nodes struct {
	note func(error)

	mu    sync.Mutex
	held  map[uint32]*held
	gone  []*ext4.Ref // forgotten, to be released
	more  *sync.Cond  // gone has grown, or ended is set
	ended bool
	done  chan struct{} // nothing is released any more
}

type held struct {
	ref     *ext4.Ref
	lookups uint64 // that the kernel has not forgotten
	writers int    // handles open for writing
	shown   bool   // the kernel keeps attributes that a write would change
}

func newNodes(note func(error)) *nodes {
	t := &nodes{note: note, held: map[uint32]*held{}, done: make(chan struct{})}
	t.more = sync.NewCond(&t.mu)
	go t.release()
	return t
}

// inoOf is the inode of a node id: FUSE's root is the root directory.
func inoOf(id uint64) uint32 {
	if id == fuse.FUSE_ROOT_ID {
		return ext4.RootIno
	}
	return uint32(id)
}

// idOf is the node id of an inode.
func idOf(ino uint32) uint64 {
	if ino == ext4.RootIno {
		return fuse.FUSE_ROOT_ID
	}
	return uint64(ino)
}

// add counts a look-up of an inode that ref holds.
func (t *nodes) add(ref *ext4.Ref) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.held[ref.Ino()]
	if h == nil {
		t.held[ref.Ino()] = &held{ref: ref, lookups: 1}
		return
	}
	h.lookups++
	t.drop(ref)
}

// drop has a reference released, with t.mu held.
func (t *nodes) drop(ref *ext4.Ref) {
	t.gone = append(t.gone, ref)
	t.more.Signal()
}

// discard releases a reference that did not become a look-up.
func (t *nodes) discard(ref *ext4.Ref) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(ref)
}

// forget takes look-ups back.
func (t *nodes) forget(ino uint32, n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.held[ino]
	if h == nil {
		return
	}
	if h.lookups -= min(n, h.lookups); h.lookups == 0 {
		delete(t.held, ino)
		t.drop(h.ref)
	}
}

// writing counts handles that are open for writing.
func (t *nodes) writing(ino uint32, delta int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.held[ino]; h != nil {
		h.writers += delta
	}
}

// written tells whether an inode is open for writing: what it says of itself may then change without a request that asks
// for that.
func (t *nodes) written(ino uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.held[ino]
	return h != nil && h.writers > 0
}

// show notes that the kernel is about to keep what an inode says of itself.
func (t *nodes) show(ino uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.held[ino]; h != nil {
		h.shown = true
	}
}

// outdated tells whether the kernel keeps attributes of an inode whose blocks have changed, and notes that it will be told.
func (t *nodes) outdated(ino uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.held[ino]
	if h == nil || !h.shown {
		return false
	}
	h.shown = false
	return true
}

// release gives references back, which may delete files: not in the requests that forget them.
func (t *nodes) release() {
	defer close(t.done)
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		for len(t.gone) == 0 && !t.ended {
			t.more.Wait()
		}
		if len(t.gone) == 0 {
			return
		}
		gone := t.gone
		t.gone = nil
		t.mu.Unlock()
		for _, ref := range gone {
			t.note(ref.Release())
		}
		t.mu.Lock()
	}
}

// close releases everything.
func (t *nodes) close() error {
	t.mu.Lock()
	t.ended = true
	t.more.Signal()
	t.mu.Unlock()
	<-t.done
	var errs []error
	for _, h := range t.held {
		errs = append(errs, h.ref.Release())
	}
	t.held = nil
	return errors.Join(errs...)
}

// Forget is told that the kernel knows an inode n look-ups less.
func (s *server) Forget(id, n uint64) {
	if id != fuse.FUSE_ROOT_ID {
		s.nodes.forget(inoOf(id), n)
	}
}
