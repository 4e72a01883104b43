package journal

import (
	"bytes"
	"fmt"

	"ext4img/journal/buf"
)

// A Handle is one step that leaves a valid file system: a group of changes that is in the log whole or not at all.
// It is also the lock: while it runs, no other handle and no view does. It belongs to one goroutine, which must not
// wait for a commit, or for anyone who does, before Stop or Cancel.
type Handle struct {
	j       *Journal
	tid     TID
	credits int
	done    bool

	blocks  map[uint64]*held
	order   []*held             // as first touched
	revoked map[uint64]struct{} // by this handle
	atEnd   []func(ok bool)
}

// held is one block that a handle changes.
type held struct {
	b      *buf.Buffer
	edits  []edit
	absent bool // not in memory before: a cancelled Create leaves nothing behind
	next   *held
}

// edit is one object that a handle changes.
type edit struct {
	ref     buf.Ref
	before  []byte // the object as it was
	created bool   // dirty whatever its bytes are: nobody knows what the device holds
	changed bool   // at Stop
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

// AtEnd calls fn when the handle ends: with true after Stop has joined the changes to the transaction, with false
// after Cancel or a failed Stop, last one first. The handle still holds the lock, so fn starts nothing; it is there to
// carry along what is kept in memory only.
func (h *Handle) AtEnd(fn func(ok bool)) { h.atEnd = append(h.atEnd, fn) }

// Extend adds credits, for work that could as well be done in the next handle. ErrNoCredits if the running transaction has
// no room: then stop, and go on in another handle.
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

// Need makes sure that n credits are left, for work that belongs into this handle. The first handle of a transaction may
// grow to half of the log. ErrNoCredits: cancel, and try again with a transaction of its own; ErrTooLarge: no transaction
// has the room.
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

// Get returns an object to change, verified. What differs at Stop is journaled; the caller changes only the bytes it
// means, and only until Stop or Cancel.
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

// Create returns an object to fill, zeroed; its old bytes are neither read nor verified. Where the object is less
// than its block the rest of the block stays as it is.
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

// Revoke says that the block is metadata no longer. What this handle and the running transaction have changed in it
// is dropped at Stop, and copies of it in the log will not be replayed once this transaction has committed.
func (h *Handle) Revoke(block uint64) {
	if h.revoked == nil {
		h.revoked = make(map[uint64]struct{})
	}
	h.revoked[block] = struct{}{}
}

// hold makes the block one of the handle's, for one credit. With fresh its bytes need not be read.
func (h *Handle) hold(block uint64, fresh bool) (*held, error) {
	if k := h.blocks[block]; k != nil {
		return k, nil
	}
	if err := h.Need(1); err != nil {
		return nil, err
	}
	b := h.j.cache.Lookup(block)
	absent := b == nil && fresh
	if absent {
		b = h.j.cache.Insert(block, buf.Aligned(h.j.cfg.BlockSize, h.j.cfg.Device.Align()))
	} else if b == nil {
		var err error
		if b, err = h.j.fetch(block); err != nil {
			return nil, err
		}
	}
	h.j.cache.Pin(b)
	k := h.j.newHeld()
	k.b, k.absent = b, absent
	h.blocks[block] = k
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

// maxSpare bounds the memory that is kept for the next handle: its snapshots, and the books of what it holds.
const maxSpare = 256

// newHeld is an empty held: one that is not needed any more, if there is one.
func (j *Journal) newHeld() *held {
	k := j.idle
	if k == nil {
		return &held{}
	}
	j.idle, k.next = k.next, nil
	return k
}

// snapshot returns n bytes. Those of whole blocks, which are most of all the memory that handles need, are used again.
func (j *Journal) snapshot(n int) []byte {
	if k := len(j.spare); n == j.cfg.BlockSize && k > 0 {
		p := j.spare[k-1]
		j.spare = j.spare[:k-1]
		return p
	}
	return make([]byte, n)
}

// discard takes back what a handle held a block with, and the snapshots.
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

// end releases the blocks and the lock, and tells who asked to know.
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

// Stop checks and seals what the handle has changed and joins it to the running transaction, whose TID it returns. On
// an error everything is put back, as by Cancel.
//
// Without changes, the TID is that of the newest transaction that has any.
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

// seal stores the checksums of what has changed. Other views of the same bytes are to be verified again.
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

// revoke drops the block from memory and the running transaction. A revoke record is needed only if an older
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
