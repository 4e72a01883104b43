package ioend

import (
	"sync"
	"sync/atomic"
)

// Inode is the completion state of one open inode: the lock, and the goroutines that wait. The zero value is not
// usable; see New. All methods may be called from any goroutine.
type Inode struct {
	convert func(batch []Range)
	done    func(io *IOEnd, err error)

	mu        sync.Mutex // i_completed_io_lock; a leaf: nothing is called under it
	cond      *sync.Cond // counts dropped, or a block lifted
	s         state
	unwritten atomic.Int64 // mirror of s.unwritten, for readers without the lock
}

// New makes the completion state of an inode.
//
// convert makes the ranges written on disk. They are sorted, disjoint and not adjacent, and the device has accepted
// the data of each. convert sets Err on those it could not convert and goes on with the others. It runs without the
// inode's lock, in a worker or in a caller of FlushUnwrittenIO; several calls may run at once, on disjoint batches.
//
// done reports a write as complete, after its conversion. It must not block on another write of the inode, and must
// not keep io.
func New(convert func(batch []Range), done func(io *IOEnd, err error)) *Inode {
	in := &Inode{convert: convert, done: done}
	in.cond = sync.NewCond(&in.mu)
	return in
}

// Begin counts a direct write in flight. It waits while new direct I/O is blocked. The caller holds no handle, and
// nothing that a blocked truncate waits for. In particular, a writer that has begun writes and not yet submitted them
// must use TryBegin.
func (in *Inode) Begin(off, n int64, unwritten bool) *IOEnd {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pass()
	return in.begin(off, n, unwritten)
}

// TryBegin is Begin, but returns nil instead of waiting.
func (in *Inode) TryBegin(off, n int64, unwritten bool) *IOEnd {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.s.blocked {
		return nil
	}
	return in.begin(off, n, unwritten)
}

func (in *Inode) begin(off, n int64, unwritten bool) *IOEnd {
	io := in.s.begin(off, n, unwritten)
	in.unwritten.Store(int64(in.s.unwritten))
	return io
}

// BeginRead counts a direct read in flight, waiting while new direct I/O is blocked.
func (in *Inode) BeginRead() {
	in.mu.Lock()
	in.pass()
	in.s.dio++
	in.mu.Unlock()
}

// EndRead ends a read that BeginRead began.
func (in *Inode) EndRead() {
	in.mu.Lock()
	in.s.dio--
	if in.s.dio == 0 {
		in.cond.Broadcast()
	}
	in.mu.Unlock()
}

// pass waits while new direct I/O is blocked. It is called with the lock held.
func (in *Inode) pass() {
	if !in.s.wait() {
		return
	}
	for in.s.blocked {
		in.cond.Wait()
	}
	if in.s.pass() {
		in.cond.Broadcast()
	}
}

// AddCompleteIO takes a write, begun as unwritten, whose device I/O has ended, with err if it failed. If it returns
// true, the caller queues a work item that calls FlushCompletedIO(io). If it returns false, io must not be touched
// any more.
func (in *Inode) AddCompleteIO(io *IOEnd, err error) (queueWork bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.s.addCompleteIO(io, err)
}

// Complete ends a write that has nothing to convert: a write into written blocks, or one that was begun and never
// submitted. The caller reports it. The error, if any, is kept for the next Sync.
func (in *Inode) Complete(io *IOEnd, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	io.err = err
	wake := in.s.settle(io, nil)
	in.s.put(io)
	in.unwritten.Store(int64(in.s.unwritten))
	if wake {
		in.cond.Broadcast()
	}
}

// FlushCompletedIO converts the writes on the completed list and returns the first error of its own conversions. work
// is the IOEnd whose work item runs, or nil in any other context. It does not wait for writes that another context
// has taken, so only workers call it. A caller that needs the wait calls FlushUnwrittenIO.
func (in *Inode) FlushCompletedIO(work *IOEnd) error {
	f := flush{s: &in.s, work: work}
	in.locked(f.take)
	f.convert(in.convert)
	for _, io := range f.batch {
		in.done(io, f.result(io))
		in.settle(&f, io)
	}
	in.locked(f.release)
	in.locked(f.destroy)
	return f.err
}

// settle runs flush.settle under the lock and wakes the goroutines that wait for the counts.
func (in *Inode) settle(f *flush, io *IOEnd) {
	in.mu.Lock()
	defer in.mu.Unlock()
	wake := f.settle(io)
	in.unwritten.Store(int64(in.s.unwritten))
	if wake {
		in.cond.Broadcast()
	}
}

func (in *Inode) locked(step func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	step()
}

// FlushUnwrittenIO converts the completed writes, and waits until every unwritten write begun before the call is
// settled. It returns the first failed conversion that no Sync has reported yet. The caller holds no handle.
func (in *Inode) FlushUnwrittenIO() error {
	in.mu.Lock()
	e := in.s.mark()
	in.mu.Unlock()
	in.FlushCompletedIO(nil) // convErr has its error, too
	in.mu.Lock()
	defer in.mu.Unlock()
	for !in.s.passed(e) {
		in.cond.Wait()
	}
	return in.s.convErr
}

// Block holds off new direct I/O. If another caller does so already, it waits for that one first. It does not wait
// for direct I/O in flight: WaitDIO does.
func (in *Inode) Block() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for !in.s.tryBlock() {
		in.cond.Wait()
	}
}

// Unblock ends Block.
func (in *Inode) Unblock() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.s.unblock()
	in.cond.Broadcast()
}

// WaitDIO waits until no direct I/O is in flight. While new direct I/O is blocked, none follows. A write counts until
// it is converted and reported.
func (in *Inode) WaitDIO() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.s.dio > 0 {
		in.cond.Wait()
	}
}

// Unwritten is the number of unwritten writes begun and not settled, without the lock.
// A direct read flushes first if it is not zero.
func (in *Inode) Unwritten() int { return int(in.unwritten.Load()) }

// InFlight is the number of direct reads and writes begun and not ended.
func (in *Inode) InFlight() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.s.dio
}

// TakeError returns the first failed conversion or device I/O since the last call, once:
// Sync calls it after FlushUnwrittenIO.
func (in *Inode) TakeError() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.s.takeError()
}
