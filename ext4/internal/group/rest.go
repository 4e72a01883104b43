package group

import (
	"slices"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// resting is the space freed by transactions that have not committed (ordering O5). There is a batch for each such
// transaction, rarely more than two: the running one and one that is being committed.
//
//	batch TID 41   group 0: 17-19 40-47   group 5: (bits)
//	batch TID 42   group 0: 100-163
type resting struct {
	batches []*batch
}

type batch struct {
	tid    journal.TID
	groups map[layout.Group]*restSet
}

// A restSet is a set of clusters of one group: a few spans, or a bitmap if there are many.
type restSet struct {
	spans []span
	bits  []byte
}

// maxSpans is how many spans a restSet holds before it becomes a bitmap.
const maxSpans = 64

// expire forgets the batches of committed transactions and calls fn for each group in them.
func (r *resting) expire(committed journal.TID, fn func(layout.Group)) {
	kept := r.batches[:0]
	for _, b := range r.batches {
		if committed.Before(b.tid) {
			kept = append(kept, b)
			continue
		}
		for g := range b.groups {
			fn(g)
		}
	}
	clear(r.batches[len(kept):])
	r.batches = kept
}

// empty tells whether nothing rests.
func (r *resting) empty() bool { return len(r.batches) == 0 }

// add makes a span of a group rest until tid has committed. size is the size of a bitmap in bytes.
func (r *resting) add(tid journal.TID, g layout.Group, s span, size int) {
	var b *batch
	for _, old := range r.batches {
		if old.tid == tid {
			b = old
		}
	}
	if b == nil {
		b = &batch{tid, make(map[layout.Group]*restSet)}
		r.batches = append(r.batches, b)
	}
	set := b.groups[g]
	if set == nil {
		set = new(restSet)
		b.groups[g] = set
	}
	set.add(s, size)
}

// remove takes a span out again, because the handle that freed it was cancelled. It leaves no empty batch behind:
// without changes the transaction may never commit.
func (r *resting) remove(tid journal.TID, g layout.Group, s span, size int) {
	for i, b := range r.batches {
		set := b.groups[g]
		if set == nil || b.tid != tid {
			continue
		}
		set.toBits(size)
		clearBits(set.bits, s.at, s.n)
		if n := uint32(size) * 8; nextOne(set.bits, 0, n) == n {
			delete(b.groups, g)
		}
		if len(b.groups) == 0 {
			r.batches = slices.Delete(r.batches, i, i+1)
		}
		return
	}
}

// in reports whether space of a group rests.
func (r *resting) in(g layout.Group) bool {
	for _, b := range r.batches {
		if b.groups[g] != nil {
			return true
		}
	}
	return false
}

// mark sets the bits of the resting clusters of a group.
func (r *resting) mark(bitmap []byte, g layout.Group) {
	for _, b := range r.batches {
		if set := b.groups[g]; set != nil {
			set.mark(bitmap)
		}
	}
}

func (s *restSet) add(x span, size int) {
	if s.bits != nil {
		setBits(s.bits, x.at, x.n)
		return
	}
	if n := len(s.spans); n > 0 {
		switch last := &s.spans[n-1]; {
		case last.at+last.n == x.at:
			last.n += x.n
			return
		case x.at+x.n == last.at:
			last.at, last.n = x.at, last.n+x.n
			return
		}
	}
	s.spans = append(s.spans, x)
	if len(s.spans) > maxSpans {
		s.toBits(size)
	}
}

func (s *restSet) toBits(size int) {
	if s.bits == nil {
		bits := make([]byte, size)
		s.mark(bits)
		s.bits, s.spans = bits, nil
	}
}

func (s *restSet) mark(bitmap []byte) {
	if s.bits != nil {
		orBits(bitmap, s.bits)
	}
	for _, x := range s.spans {
		setBits(bitmap, x.at, x.n)
	}
}
