package ioend

import (
	"errors"
	"fmt"
)

// A world is the machine that is explored: the production state and flushes, surrounded by a model of the ext4
// package: writers, a work queue, workers, callers of FlushUnwrittenIO, truncate and punch. One step of one actor is
// one atomic region of the production code, or one event outside it.
type world struct {
	v      *variant
	s      state
	ios    []*IOEnd // every IOEnd ever made
	writes []write
	queue  []item
	actors []actor
	lock   int // number of the actor that holds the inode lock, from 1; 0: none
	log    func(string, ...any)
}

// write is the world's record of one direct write.
type write struct {
	io        *IOEnd // nil before it begins, and after its IOEnd is freed
	phase     phase
	converted bool
	reported  bool
	settled   bool
	ioErr     bool // the device I/O failed
	convErr   bool // the conversion failed
	over      bool // its blocks turn out to be written
}

type phase uint8

const (
	notBegun phase = iota
	inFlight
	ioDone
	added
)

// item is a queued work item.
type item struct {
	io    *IOEnd
	write int
}

type kind uint8

const (
	writer kind = iota
	worker
	flusher
	exclusive // truncate or punch
	reader    // direct read without the inode lock
)

type actor struct {
	kind  kind
	pc    pc
	write int // writer: its write; worker: the write its work item belongs to
	i     int // position in the batch, or in the holds of release
	f     flush
	mark  uint64
	must  uint8 // flush: writes that were complete when it began
	more  bool  // one-by-one variant: take again
}

type pc uint8

const (
	pcStart pc = iota
	pcWaiting
	pcInFlight
	pcIODone
	pcTake
	pcConvert
	pcReport
	pcSettle
	pcRelease
	pcDestroy
	pcBlock
	pcWaitDIO
	pcMark
	pcWait
	pcBody
	pcUnblock
	pcEndRead
	pcEnd
)

// config says which actors take part, and what fails.
type config struct {
	writes, workers, flushers, exclusives, readers int
	ioErr, convErr                                 int // 1-based write that fails, 0: none
	over                                           int // 1-based write into written blocks, 0: none
	deep                                           bool
}

func (c config) String() string {
	s := fmt.Sprintf("%d writes, %d workers, %d flushers, %d of truncate/punch, %d readers",
		c.writes, c.workers, c.flushers, c.exclusives, c.readers)
	if c.over > 0 {
		s += ", one write an overwrite"
	}
	return s
}

var (
	errIO   = errors.New("I/O error")
	errConv = errors.New("conversion error")
)

func newWorld(c config, v *variant) *world {
	w := &world{v: v, writes: make([]write, c.writes)}
	add := func(k kind, n int) {
		for i := 0; i < n; i++ {
			w.actors = append(w.actors, actor{kind: k, write: i})
		}
	}
	add(writer, c.writes)
	add(worker, c.workers)
	add(flusher, c.flushers)
	add(exclusive, c.exclusives)
	add(reader, c.readers)
	if c.ioErr > 0 {
		w.writes[c.ioErr-1].ioErr = true
	}
	if c.convErr > 0 {
		w.writes[c.convErr-1].convErr = true
	}
	if c.over > 0 {
		w.writes[c.over-1].over = true
	}
	return w
}

// clone copies the world: every IOEnd is copied and every pointer redirected.
func (w *world) clone() *world {
	n := new(world)
	w.copyTo(n)
	return n
}

// copyTo makes n a copy of w. n is a new world, or an unused one whose memory is used again.
func (w *world) copyTo(n *world) {
	n.v, n.lock, n.log = w.v, w.lock, nil
	n.ios = n.ios[:min(len(n.ios), len(w.ios))]
	for i, io := range w.ios {
		if i == len(n.ios) {
			n.ios = append(n.ios, new(IOEnd))
		}
		*n.ios[i] = *io
	}
	at := func(io *IOEnd) *IOEnd {
		for i := range w.ios {
			if w.ios[i] == io {
				return n.ios[i]
			}
		}
		return nil
	}
	list := func(to, from []*IOEnd) []*IOEnd {
		to = to[:0]
		for _, io := range from {
			to = append(to, at(io))
		}
		return to
	}
	had := n.s
	n.s = w.s
	n.s.completed, n.s.pool = list(had.completed, w.s.completed), list(had.pool, w.s.pool)
	n.s.epochs = append(had.epochs[:0], w.s.epochs...)
	n.writes = append(n.writes[:0], w.writes...)
	for i := range n.writes {
		n.writes[i].io = at(w.writes[i].io)
	}
	n.queue = append(n.queue[:0], w.queue...)
	for i := range n.queue {
		n.queue[i].io = at(w.queue[i].io)
	}
	if n.actors == nil {
		n.actors = make([]actor, len(w.actors))
	}
	for i := range n.actors {
		had := n.actors[i].f
		n.actors[i] = w.actors[i]
		f := &n.actors[i].f
		f.batch, f.free = list(had.batch, f.batch), list(had.free, f.free)
		f.ranges = append(had.ranges[:0], f.ranges...)
		f.work = at(f.work)
		if f.s != nil {
			f.s = &n.s
		}
	}
}

// owner is the write to which an IOEnd belongs, or -1.
func (w *world) owner(io *IOEnd) int {
	for i := range w.writes {
		if w.writes[i].io == io && io != nil {
			return i
		}
	}
	return -1
}

// forget removes freed IOEnds from their writes, and registers new ones.
func (w *world) forget() {
	for i := range w.writes {
		if io := w.writes[i].io; io != nil && !io.live {
			w.writes[i].io = nil
		}
	}
}

func (w *world) say(a *actor, format string, args ...any) {
	if w.log == nil {
		return
	}
	w.log("%-10s %s", w.name(a), fmt.Sprintf(format, args...))
}

func (w *world) name(a *actor) string {
	n := 0
	for i := range w.actors {
		if w.actors[i].kind == a.kind {
			n++
		}
		if &w.actors[i] == a {
			break
		}
	}
	if a.kind == exclusive {
		return [...]string{"truncate", "punch"}[n-1]
	}
	return fmt.Sprintf("%s %d", [...]string{"writer", "worker", "flusher", "", "reader"}[a.kind], n)
}

// names lists the writes to which the IOEnds of a list belong.
func (w *world) names(l []*IOEnd) string {
	if w.log == nil {
		return ""
	}
	s := "{"
	for i, io := range l {
		if i > 0 {
			s += " "
		}
		s += fmt.Sprintf("w%d", w.owner(io)+1)
	}
	return s + "}"
}

// enabled reports whether the actor can step. Only waiting keeps an actor from stepping.
func (w *world) enabled(a *actor) bool {
	switch a.pc {
	case pcEnd:
		return false
	case pcStart:
		return !(a.kind == worker && len(w.queue) == 0) && !(a.kind == exclusive && w.lock != 0)
	case pcWaiting, pcWaitDIO, pcWait, pcBlock:
		return w.guard(a)
	}
	return true
}

// guard is the condition for which a sleeping actor waits, as in inode.go.
func (w *world) guard(a *actor) bool {
	switch a.pc {
	case pcWaiting:
		return !w.s.blocked
	case pcBlock:
		return !w.s.blocked && w.s.admit == 0
	case pcWaitDIO:
		return w.s.dio == 0
	case pcWait:
		return w.v.waited(&w.s, a.mark)
	}
	return false
}

// step runs one atomic step of an actor. wake reports whether the blocking layer would broadcast.
func (w *world) step(i int) (wake bool) {
	a := &w.actors[i]
	switch a.pc {
	case pcTake, pcConvert, pcReport, pcSettle, pcRelease, pcDestroy:
		wake = w.stepFlush(a)
	default:
		switch a.kind {
		case writer:
			wake = w.stepWriter(a)
		case worker:
			w.stepWorker(a)
		case flusher:
			w.stepFlusher(a)
		case exclusive:
			wake = w.stepExclusive(i, a)
		case reader:
			wake = w.stepReader(a)
		}
	}
	w.forget()
	return wake
}

func (w *world) stepWriter(a *actor) (wake bool) {
	wr := &w.writes[a.write]
	switch a.pc {
	case pcStart:
		if w.s.wait() {
			w.say(a, "waits: new direct I/O is blocked")
			a.pc = pcWaiting
			return false
		}
		w.begin(a, wr)
	case pcWaiting:
		wake = w.s.pass()
		w.begin(a, wr)
	case pcInFlight:
		if wr.over && wr.io.flags&flagUnwritten != 0 {
			w.say(a, "w%d: its blocks are written", a.write+1)
			return w.s.overwrites(wr.io)
		}
		w.say(a, "w%d: the device has written the data", a.write+1)
		wr.phase, a.pc = ioDone, pcIODone
	case pcIODone:
		if wr.over {
			w.say(a, "w%d is complete", a.write+1)
			wake = w.s.settle(wr.io, nil) && !w.v.mute
			w.s.put(wr.io)
			wr.phase, wr.converted, wr.reported, wr.settled, a.pc = added, true, true, true, pcEnd
			return wake
		}
		var err error
		if wr.ioErr {
			err = errIO
		}
		queue := w.v.add(&w.s, wr.io, err)
		if queue {
			w.queue = append(w.queue, item{wr.io, a.write})
		}
		w.say(a, "AddCompleteIO(w%d): work queued: %v", a.write+1, queue)
		wr.phase, a.pc = added, pcEnd
	}
	return wake
}

func (w *world) begin(a *actor, wr *write) {
	off := int64(0)
	if wr.ioErr || wr.convErr {
		off = 1 << 30 // far away, so that only its own range fails
	}
	wr.io = w.s.begin(off, 4096, true)
	known := false
	for _, io := range w.ios {
		known = known || io == wr.io
	}
	if !known {
		w.ios = append(w.ios, wr.io)
	}
	w.say(a, "begins w%d", a.write+1)
	wr.phase, a.pc = inFlight, pcInFlight
}

func (w *world) stepWorker(a *actor) {
	it := w.queue[0]
	w.queue = w.queue[1:]
	if w.v.trylock && w.lock != 0 {
		w.say(a, "work of w%d: trylock of the inode fails, requeued", it.write+1)
		w.queue = append(w.queue, it)
		return
	}
	w.say(a, "starts the work of w%d", it.write+1)
	a.write = it.write
	a.f = flush{s: &w.s, work: it.io}
	a.pc = pcTake
}

// complete is the set of writes whose data the device has written and which have not failed.
func (w *world) complete() (set uint8) {
	from := ioDone
	if w.v.addedOnly {
		from = added
	}
	for i := range w.writes {
		if wr := &w.writes[i]; wr.phase >= from && !wr.ioErr && !wr.over {
			set |= 1 << i
		}
	}
	return set
}

func (w *world) stepFlusher(a *actor) {
	switch a.pc {
	case pcStart:
		w.startFlush(a)
	case pcWait:
		w.endFlush(a)
		a.pc = pcEnd
	}
}

func (w *world) startFlush(a *actor) {
	a.must = w.complete()
	a.mark = w.s.mark()
	a.f = flush{s: &w.s}
	w.say(a, "FlushUnwrittenIO begins")
	a.pc = pcTake
}

// endFlush checks the promise of a flush that returns nil.
func (w *world) endFlush(a *actor) {
	err := w.s.convErr
	w.say(a, "FlushUnwrittenIO returns %v", err)
	for i := range w.writes {
		if a.must&(1<<i) != 0 && err == nil && !w.writes[i].converted {
			violate("flush returned nil, but w%d, complete before it began, is not converted", i+1)
		}
	}
}

func (w *world) stepExclusive(i int, a *actor) (wake bool) {
	switch a.pc {
	case pcStart:
		w.lock = i + 1
		w.say(a, "takes the inode lock")
		a.pc = pcBlock
	case pcBlock:
		if !w.s.tryBlock() {
			violate("tryBlock refused against its guard")
		}
		w.say(a, "blocks new direct I/O")
		a.pc = pcWaitDIO
	case pcWaitDIO:
		w.say(a, "sees no direct I/O in flight")
		w.startFlush(a)
	case pcWait:
		w.endFlush(a)
		a.pc = pcBody
		if w.s.convErr != nil {
			a.pc = pcUnblock // never touch a file whose conversion failed
		}
	case pcBody, pcUnblock:
		w.s.unblock()
		w.lock = 0
		w.say(a, "done: lets direct I/O pass, drops the inode lock")
		a.pc = pcEnd
		wake = true
	}
	return wake
}

func (w *world) stepReader(a *actor) (wake bool) {
	switch a.pc {
	case pcStart, pcWaiting:
		if a.pc == pcWaiting {
			wake = w.s.pass()
		} else if w.s.wait() {
			a.pc = pcWaiting
			return false
		}
		w.s.dio++
		w.say(a, "begins a direct read")
		a.pc = pcMark
	case pcMark:
		if w.s.unwritten == 0 {
			a.must, a.pc = w.complete(), pcEndRead
			return false
		}
		w.startFlush(a)
	case pcWait:
		w.endFlush(a)
		a.pc = pcEndRead
	case pcEndRead:
		w.say(a, "has read")
		w.s.dio--
		wake, a.pc = w.s.dio == 0, pcEnd
	}
	return wake
}

// stepFlush runs one step of flushCompletedIO for any of its contexts.
func (w *world) stepFlush(a *actor) (wake bool) {
	f := &a.f
	switch a.pc {
	case pcTake:
		a.more = w.v.take(f)
		w.say(a, "(A) takes %s", w.names(f.batch))
		a.pc = pcConvert
		if w.v.reportFirst {
			a.pc = pcReport
		}
		if len(f.batch) == 0 {
			a.pc = pcRelease
			if f.work == nil { // nothing to release, nothing to destroy
				w.endDestroy(a)
			}
		}
	case pcConvert:
		f.convert(w.convert)
		for _, io := range f.batch {
			w.writes[w.owner(io)].converted = f.result(io) == nil
		}
		w.say(a, "(B) converts %s", w.names(f.batch))
		a.pc = pcReport
		if w.v.reportFirst {
			a.pc = pcSettle
		}
	case pcReport:
		w.report(a, f.batch[a.i]) // only its writer sees it, so it is one step with what follows
		if w.v.reportFirst && a.i == 0 {
			a.pc = pcConvert
			return false
		}
		fallthrough
	case pcSettle:
		wake = w.settle(a, f.batch[a.i])
		a.i++
		a.pc = pcReport
		if a.i == len(f.batch) {
			a.pc, a.i = pcRelease, 0
		}
	case pcRelease:
		w.say(a, "(C) releases, hold %d", a.i+1)
		done := w.v.release(f, a.i, a.more)
		a.i++
		if done {
			a.pc, a.i = pcDestroy, 0
			if len(f.free) == 0 {
				w.endDestroy(a)
			}
		}
	case pcDestroy:
		w.say(a, "(D) frees %s", w.names(f.free))
		f.destroy()
		w.endDestroy(a)
	}
	return wake
}

// convert is the callback. A write that must fail has a range of its own.
func (w *world) convert(ranges []Range) {
	for i := range ranges {
		if ranges[i].Off == 1<<30 {
			ranges[i].Err = errConv
		}
	}
}

func (w *world) report(a *actor, io *IOEnd) {
	wr := &w.writes[w.owner(io)]
	w.say(a, "(B) reports w%d complete", w.owner(io)+1)
	if wr.reported {
		violate("w%d reported twice", w.owner(io)+1)
	}
	if !wr.converted && !wr.ioErr && !wr.convErr {
		violate("w%d reported complete before its conversion", w.owner(io)+1)
	}
	wr.reported = true
}

func (w *world) settle(a *actor, io *IOEnd) (wake bool) {
	w.say(a, "(B) drops the counts of w%d", w.owner(io)+1)
	w.writes[w.owner(io)].settled = true
	wake = a.f.settle(io)
	if w.v.settled != nil {
		w.v.settled(&a.f, io)
	}
	return wake && !w.v.mute
}

func (w *world) endDestroy(a *actor) {
	if a.more {
		a.f.ranges, a.pc = nil, pcTake
		return
	}
	a.f = flush{}
	a.pc = pcWait
	if a.kind == worker {
		a.pc, a.write = pcStart, 0
	}
}

// violation is a broken invariant, or a panic of the production code.
type violation string

func violate(format string, args ...any) { panic(violation(fmt.Sprintf(format, args...))) }
