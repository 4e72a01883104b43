package ioend

import (
	"cmp"
	"slices"
)

// flush is one run of flushCompletedIO. Its methods are the steps (A) to (D), in
// that order; those marked locked run under one hold of the inode's lock each.
type flush struct {
	s      *state
	work   *IOEnd   // the IOEnd whose work item this is; nil outside a worker
	batch  []*IOEnd // the local list: the IOEnds that this context took
	ranges []Range  // batch, sorted and merged
	free   []*IOEnd // the IOEnds to destroy at (D)
	err    error    // first failed conversion of the batch
}

// take is step (A), locked: it moves the whole completed list to the local list, atomically.
func (f *flush) take() {
	if f.work != nil && f.work.flags&flagQueued == 0 {
		panic("ioend: work item of an IOEnd that is not queued")
	}
	f.batch, f.s.completed = f.s.completed, nil
}

// convert is the first half of step (B), unlocked: it sorts and merges the ranges of the batch whose data arrived,
// and converts them.
func (f *flush) convert(fn func([]Range)) {
	f.merge()
	if len(f.ranges) > 0 {
		fn(f.ranges)
	}
	for i := range f.ranges {
		if f.err == nil {
			f.err = f.ranges[i].Err
		}
	}
}

// merge sorts the batch and joins ranges that touch or overlap. A write whose device I/O failed is left out: its
// range stays unwritten.
func (f *flush) merge() {
	slices.SortStableFunc(f.batch, func(a, b *IOEnd) int { return cmp.Compare(a.Off, b.Off) })
	f.ranges = make([]Range, 0, len(f.batch))
	for _, io := range f.batch {
		io.must("converted")
		if io.err != nil {
			io.slot = -1
			continue
		}
		if n := len(f.ranges); n > 0 {
			if last := &f.ranges[n-1]; io.Off <= last.Off+last.Len {
				last.Len = max(last.Len, io.Off+io.Len-last.Off)
				io.slot = n - 1
				continue
			}
		}
		io.slot = len(f.ranges)
		f.ranges = append(f.ranges, Range{Off: io.Off, Len: io.Len})
	}
}

// convErr is the result of the conversion of a write in the batch.
func (f *flush) convErr(io *IOEnd) error {
	if io.slot < 0 {
		return nil
	}
	return f.ranges[io.slot].Err
}

// result is the error that the writer gets: that of the device, or that of the conversion.
func (f *flush) result(io *IOEnd) error {
	if io.err != nil {
		return io.err
	}
	return f.convErr(io)
}

// settle is the second half of step (B) for one write of the batch, locked, after the
// write was reported complete.
func (f *flush) settle(io *IOEnd) (wake bool) { return f.s.settle(io, f.convErr(io)) }

// release is step (C), locked, all of it in one hold. The package comment says for which parts one hold is necessary.
func (f *flush) release() {
	for _, io := range f.batch {
		f.clearUnwritten(io)
		f.disown(io)
	}
	f.endWork()
}

// clearUnwritten marks io as converted, or as given up after an error.
func (f *flush) clearUnwritten(io *IOEnd) {
	io.must("released")
	if io.flags&flagUnwritten == 0 {
		panic("ioend: Unwritten cleared twice")
	}
	io.flags &^= flagUnwritten
}

// disown moves io to the to-free list, unless a queued work item still owns it.
func (f *flush) disown(io *IOEnd) {
	io.must("disowned")
	if io.flags&flagQueued == 0 {
		f.free = append(f.free, io)
	}
}

// endWork gives up the work item's claim on its IOEnd. If no other context still has that IOEnd in its local list,
// endWork frees it too.
func (f *flush) endWork() {
	if f.work == nil {
		return
	}
	f.work.must("dequeued")
	f.work.flags &^= flagQueued
	if f.work.flags&flagUnwritten == 0 {
		f.free = append(f.free, f.work)
	}
}

// destroy is step (D), locked because the pool is the inode's.
func (f *flush) destroy() {
	for _, io := range f.free {
		f.s.put(io)
	}
	f.batch, f.free = nil, nil
}
