package journal

import (
	"bytes"
	"fmt"

	"ext4img/aio/block"
	"ext4img/journal/buf"
)

// A Handle is one step that leaves a valid file system: a group of changes that is in the log whole or not at all. It
// is also the lock: while it runs, no other handle and no view does. It belongs to one goroutine. Until Stop or
// Cancel, that goroutine must not wait for a commit, nor for a goroutine that waits for one.
type Handle struct {
	j       *Journal
	tid     TID
	credits int
	done    bool

	blocks  map[uint64]*held
	order   []*held             // in the order of the first access
	revoked map[uint64]struct{} // by this handle
	atEnd   []func(ok bool)
}

// held is one block that a handle changes.
type held struct {
	b      *buf.Buffer
	edits  []edit
	absent bool // it was not in memory before: after a cancelled Create it is dropped again
	next   *held
}

// edit is one object that a handle changes.
type edit struct {
	ref     buf.Ref
	before  []byte // the object as it was
	created bool   // always dirty: the bytes on the device are not known
	changed bool   // set at Stop
}

func (e *edit) bytes(b *buf.Buffer) []byte {
	return b.Data[e.ref.Off : e.ref.Off+e.ref.Len : e.ref.Off+e.ref.Len]
}

// differs finds out whether the object has changed.
func (e *edit) differs(b *buf.Buffer) bool {
	e.changed = e.created || !bytes.Equal(e.before, e.bytes(b))
	return e.changed
}

// overlaps reports whether r shares bytes with an object that the handle holds.
func (k *held) overlaps(r buf.Ref) bool {
	for i := range k.edits {
		if e := &k.edits[i].ref; e.Off < r.Off+r.Len && r.Off < e.Off+e.Len {
			return true
		}
	}
	return false
}

func (k *held) find(r buf.Ref) *edit {
	for i := range k.edits {
		if e := &k.edits[i].ref; e.Off == r.Off && e.Len == r.Len {
			return &k.edits[i]
		}
	}
	return nil
}

// TID is the transaction that Stop joins.
func (h *Handle) TID() TID { return h.tid }

// Room is the number of credits left.
func (h *Handle) Room() int { return max(0, h.credits-len(h.blocks)) }

// AtEnd calls fn when the handle ends: fn(true) after Stop has joined the changes to the transaction, fn(false) after
// Cancel or a failed Stop. Functions run in reverse order, the last one first. fn keeps state that is only in memory
// in step with the handle. The handle still holds the lock, so fn must not start a handle or a view.
func (h *Handle) AtEnd(fn func(ok bool)) { h.atEnd = append(h.atEnd, fn) }

// Extend adds credits for work that could be done in the next handle just as well. It returns ErrNoCredits if the
// running transaction has no room: the caller then stops this handle and goes on in another.
func (h *Handle) Extend(credits int) error {
	if h.done {
		return fmt.Errorf("handle: %w", ErrClosed)
	}
	if !h.j.fits(h.credits + credits) {
		return fmt.Errorf("handle of %d blocks, %d more: %w", h.credits, credits, ErrNoCredits)
	}
	h.credits += credits
	return nil
}

// Need makes sure that n credits are left, for work that must be part of this handle. The first handle of a
// transaction may grow to half of the log. Need returns ErrNoCredits if the running transaction has no room: the
// caller cancels, and tries again in a transaction of its own. It returns ErrTooLarge if no transaction has the room.
func (h *Handle) Need(n int) error {
	more := n - h.Room()
	if more <= 0 {
		return nil
	}
	err := h.Extend(more)
	if err == nil || h.done || !h.j.running.empty() {
		return err
	}
	total := len(h.blocks) + n
	if need := h.j.need(total, 0); need > 2*h.j.most() {
		return fmt.Errorf("handle of %d blocks: %d of the log's %d, at most %d are allowed: %w",
			total, need, h.j.logBlocks(), 2*h.j.most(), ErrTooLarge)
	}
	h.credits = total
	return nil
}

// Read returns an object as the handle sees it, with its own changes.
func (h *Handle) Read(r buf.Ref) ([]byte, error) {
	if h.done {
		return nil, fmt.Errorf("%v: handle: %w", r, ErrClosed)
	}
	if k := h.blocks[r.Block]; k != nil && r.In(h.j.cfg.BlockSize) && k.overlaps(r) {
		return k.b.Data[r.Off : r.Off+r.Len : r.Off+r.Len], nil // not sealed yet: nothing to verify
	}
	return h.j.read(r)
}

// Get returns an object to change, verified. The caller may change its bytes until Stop or Cancel, and changes only
// the bytes it means to. Stop journals the object if it differs.
func (h *Handle) Get(r buf.Ref) ([]byte, error) {
	if h.done {
		return nil, fmt.Errorf("%v: handle: %w", r, ErrClosed)
	}
	if err := h.j.inRange(r); err != nil {
		return nil, err
	}
	if k := h.blocks[r.Block]; k == nil || !k.overlaps(r) {
		if _, err := h.j.read(r); err != nil {
			return nil, err
		}
	}
	k, err := h.hold(r.Block, false)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", r, err)
	}
	delete(h.revoked, r.Block)
	e := k.find(r)
	if e == nil {
		e = h.add(k, r)
	}
	e.ref.Type = r.Type
	return e.bytes(k.b), nil
}

// Create returns an object to fill, zeroed; its old bytes are neither read nor verified. If the object is smaller
// than its block, the rest of the block stays as it is.
func (h *Handle) Create(r buf.Ref) ([]byte, error) {
	if h.done {
		return nil, fmt.Errorf("%v: handle: %w", r, ErrClosed)
	}
	if err := h.j.inRange(r); err != nil {
		return nil, err
	}
	k, err := h.hold(r.Block, r.Len == h.j.cfg.BlockSize)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", r, err)
	}
	delete(h.revoked, r.Block)
	e := k.find(r)
	if e == nil {
		e = h.add(k, r)
	}
	e.ref.Type, e.created = r.Type, true
	p := e.bytes(k.b)
	clear(p)
	return p, nil
}

// Revoke says that the block is no longer metadata. Stop drops the changes that this handle and the running
// transaction made in it. Once this transaction has committed, recovery will not replay older copies of the block in
// the log.
func (h *Handle) Revoke(block uint64) {
	if h.revoked == nil {
		h.revoked = make(map[uint64]struct{})
	}
	h.revoked[block] = struct{}{}
}

// hold adds the block to those that the handle holds, for one credit. If fresh is set, the block need not be read.
func (h *Handle) hold(at uint64, fresh bool) (*held, error) {
	if k := h.blocks[at]; k != nil {
		return k, nil
	}
	if err := h.Need(1); err != nil {
		return nil, err
	}
	b := h.j.cache.Lookup(at)
	absent := b == nil && fresh
	if absent {
		b = h.j.cache.Insert(at, block.Aligned(h.j.cfg.BlockSize, h.j.cfg.Device.Align()))
	} else if b == nil {
		var err error
		if b, err = h.j.fetch(at); err != nil {
			return nil, err
		}
	}
	h.j.cache.Pin(b)
	k := h.j.newHeld()
	k.b, k.absent = b, absent
	h.blocks[at] = k
	h.order = append(h.order, k)
	return k, nil
}

// add takes the snapshot of an object that may be changed.
func (h *Handle) add(k *held, r buf.Ref) *edit {
	before := h.j.snapshot(r.Len)
	copy(before, k.b.Data[r.Off:r.Off+r.Len])
	k.edits = append(k.edits, edit{ref: r, before: before})
	return &k.edits[len(k.edits)-1]
}

// maxSpare bounds the number of snapshots and of held structures that are kept for the next handle.
const maxSpare = 256

// newHeld returns an empty held, a used one if there is one.
func (j *Journal) newHeld() *held {
	k := j.idle
	if k == nil {
		return &held{}
	}
	j.idle, k.next = k.next, nil
	return k
}

// snapshot returns n bytes for a snapshot. Buffers of whole blocks are used again: they are most of the memory that
// handles need.
func (j *Journal) snapshot(n int) []byte {
	if k := len(j.spare); n == j.cfg.BlockSize && k > 0 {
		p := j.spare[k-1]
		j.spare = j.spare[:k-1]
		return p
	}
	return make([]byte, n)
}

// discard keeps k and its snapshots for later handles.
func (j *Journal) discard(k *held) {
	for i := range k.edits {
		if p := k.edits[i].before; len(p) == j.cfg.BlockSize && len(j.spare) < maxSpare {
			j.spare = append(j.spare, p)
		}
	}
	clear(k.edits)
	if len(j.held) <= maxSpare {
		*k = held{edits: k.edits[:0], next: j.idle}
		j.idle = k
	}
}

// Cancel puts every object back as it was.
func (h *Handle) Cancel() {
	if h.done {
		return
	}
	h.restore()
	h.end(false)
}

func (h *Handle) restore() {
	for _, k := range h.order {
		for i := len(k.edits) - 1; i >= 0; i-- {
			e := &k.edits[i]
			copy(e.bytes(k.b), e.before)
		}
		if k.absent {
			h.j.cache.Discard(k.b)
		}
	}
}

// end releases the blocks and the lock, and calls the functions that were given to AtEnd.
func (h *Handle) end(ok bool) {
	for _, k := range h.order {
		h.j.cache.Unpin(k.b)
		h.j.discard(k)
	}
	if len(h.blocks) > maxSpare {
		h.j.held, h.j.idle = make(map[uint64]*held), nil
	}
	clear(h.j.held)
	h.done, h.blocks, h.order = true, nil, nil
	if ok {
		for _, fn := range h.atEnd {
			fn(true)
		}
	} else {
		for i := len(h.atEnd) - 1; i >= 0; i-- {
			h.atEnd[i](false)
		}
	}
	h.j.holder.clear()
	h.j.mu.Unlock()
}

// Stop checks and seals what the handle has changed, joins it to the running transaction, and returns that
// transaction's TID. On an error every object is put back, as by Cancel.
//
// If the handle changed nothing, the TID is that of the newest transaction that has changes.
func (h *Handle) Stop() (TID, error) {
	if h.done {
		return 0, fmt.Errorf("handle: %w", ErrClosed)
	}
	changed, err := h.check()
	if err != nil {
		h.Cancel()
		return 0, err
	}
	tid := h.tid
	if len(changed)+len(h.revoked) > 0 {
		h.seal(changed)
		if err := h.join(changed); err != nil {
			h.end(false)
			return 0, err
		}
		h.j.stats.handles.Add(1)
	} else if h.j.running.empty() {
		tid--
	}
	h.end(true)
	return tid, nil
}

// check finds the blocks that have changed and checks the objects in them.
func (h *Handle) check() ([]*held, error) {
	if err := h.j.Err(); err != nil {
		return nil, err
	}
	var changed []*held
	fresh := 0
	for _, k := range h.order {
		if _, gone := h.revoked[k.b.Block]; gone {
			continue
		}
		dirty := false
		for i := range k.edits {
			if e := &k.edits[i]; e.differs(k.b) {
				dirty = true
				if err := e.ref.Type.Check(e.bytes(k.b)); err != nil {
					return nil, fmt.Errorf("%v: %w", e.ref, err)
				}
			}
		}
		if dirty {
			changed = append(changed, k)
			if h.j.running.dirty[k.b.Block] == nil {
				fresh++
			}
		}
	}
	t := h.j.running
	if h.j.log != nil {
		if n := h.j.need(len(t.dirty)+fresh, len(t.revoked)+len(h.revoked)); n > 2*h.j.most() {
			kind := ErrNoCredits
			if t.empty() {
				kind = ErrTooLarge
			}
			return nil, fmt.Errorf("transaction %d of %d log blocks, at most %d are allowed: %w", t.tid, n, 2*h.j.most(), kind)
		}
	}
	return changed, nil
}

// seal stores the checksums of the changed objects. Other objects that overlap them must be verified again.
func (h *Handle) seal(changed []*held) {
	for _, k := range changed {
		for i := range k.edits {
			if e := &k.edits[i]; e.changed {
				e.ref.Type.Seal(e.bytes(k.b))
				h.j.cache.SetChanged(k.b, e.ref)
			}
		}
	}
}

// join makes the changes part of the running transaction, or writes them home where there is no journal.
func (h *Handle) join(changed []*held) error {
	t := h.j.running
	for block := range h.revoked {
		h.j.revoke(block)
	}
	if h.j.log == nil {
		if err := h.j.writeHome(changed); err != nil {
			h.restore()
			return h.j.fail(err)
		}
		t.unflushed = true
		return nil
	}
	for _, k := range changed {
		delete(t.revoked, k.b.Block)
		if t.dirty[k.b.Block] == nil {
			h.j.cache.Pin(k.b)
			t.dirty[k.b.Block] = k.b
		}
	}
	return nil
}

// revoke drops the block from memory and from the running transaction. It adds a revoke record only if an older
// transaction in the log may hold a copy.
func (j *Journal) revoke(block uint64) {
	t := j.running
	b := t.dirty[block]
	if b != nil {
		delete(t.dirty, block)
		j.cache.Unpin(b)
	} else {
		b = j.cache.Lookup(block)
	}
	if b != nil {
		j.cache.Discard(b)
	}
	_, logged := j.frozen[block]
	if !logged && j.committing != nil {
		logged = j.committing.dirty[block] != nil
	}
	if logged {
		t.revoked[block] = struct{}{}
	}
}
