package ext4

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"ext4img/aio"
	"ext4img/ext4/internal/extent"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A Request is one asynchronous direct read or write of a file.
type Request struct {
	File *File
	Op   aio.Op // aio.Read or aio.Write
	Buf  []byte // a buffer from an aio.Arena that the queue knows is faster
	Off  int64  // bytes
	N    int    // set by Reap: bytes transferred; less than len(Buf) only for a read at the end of the file
	Err  error  // set by Reap
	User any    // for the submitter
}

// Queue carries asynchronous direct I/O on files of one FS. One goroutine submits and one reaps; they may be the same.
//
// The goroutine that waits drives: a Reap or a Submit that must wait takes completions from the device itself, and is
// the worker that converts them. All writes that complete while it converts one batch are the next batch. Each batch
// costs one handle, and no switch between goroutines. A batch is at most half of the queue: the next requests are
// submitted while the device works on the other half. The queue also has a goroutine of its own. It drives only while
// a goroutine that is not at the queue waits for its requests, for example in Sync or Truncate.
type Queue struct {
	fs    *FS
	dev   aio.Queue
	depth int

	mu       sync.Mutex
	change   *sync.Cond  // wakes goroutines at the queue when one of the fields below has changed
	urged    *sync.Cond  // wakes the stand-in when it must drive, or end
	inFlight int         // requests submitted and not finished
	onDevice int         // device requests submitted and not reaped; below zero for a moment while Submit returns
	driving  bool        // a goroutine is taking completions from the device
	handling bool        // and has some; it broadcasts change after it has handled all of them
	finish   []*Request  // finished, not reaped
	reaped   []*Request  // the requests that the last Reap returned
	free     []*transfer // for the next requests
	all      []*transfer // all transfers
	closing  bool
	broken   error // the device queue has failed; the requests that it had are given up

	batch  []*transfer    // used by Submit: transfers that have begun and must be mapped
	send   []*aio.Request // used by Submit: requests to be handed to the device
	done   []*aio.Request // used by the driver: completed requests that are not handled yet
	queued []conversion   // used by the driver: work items
	gone   chan struct{}  // closed when the queue's own goroutine has ended
}

// NewQueue makes a queue for at most depth requests in flight.
func (f *FS) NewQueue(depth int) (*Queue, error) {
	dev, err := f.vol.Dev.Queue(depth)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q := &Queue{fs: f, dev: dev, depth: depth, gone: make(chan struct{})}
	q.change, q.urged = sync.NewCond(&q.mu), sync.NewCond(&q.mu)
	f.mu.Lock()
	f.queues[q] = true
	f.mu.Unlock()
	go q.standIn()
	return q, nil
}

// Register tells the device of an arena, before the first Submit: transfers to and from its buffers are then cheaper.
// It reports whether the device makes use of it.
func (q *Queue) Register(a *aio.Arena) bool { return aio.Register(q.dev, a) }

// Submit hands over the requests. It waits while more requests than the queue's depth are in flight. The queue owns
// each request and its buffer until Reap returns it, with an error of its own if it failed. Writes go straight to the
// device. A write that does not consist of whole blocks is carried out under the inode lock before Submit returns.
func (q *Queue) Submit(reqs ...*Request) error {
	for len(reqs) > 0 {
		n, err := q.enter(len(reqs))
		if err != nil {
			return err
		}
		q.submit(reqs[:n])
		reqs = reqs[n:]
	}
	return nil
}

// enter waits for room and takes up to want places in the queue.
func (q *Queue) enter(want int) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.driveUntil(func() bool { return q.inFlight < q.depth || q.closing })
	if q.closing {
		return 0, fmt.Errorf("queue: %w", aio.ErrClosed)
	}
	if q.broken != nil {
		return 0, q.broken
	}
	n := min(want, q.depth-q.inFlight)
	q.inFlight += n
	return n, nil
}

// submit begins each request, maps all of them under one view, and sends their pieces to the device.
func (q *Queue) submit(reqs []*Request) {
	for _, r := range reqs {
		o := q.transfer(r)
		if err := o.begin(); err != nil {
			o.abandon(err)
			continue
		}
		q.batch = append(q.batch, o)
	}
	q.mapBatch()
}

// mapBatch maps the requests that have begun and sends them: first those that have blocks, then those that need
// blocks, and last those that must be carried out under the inode lock. These wait for direct I/O in flight, so by
// then nothing of the batch is held back.
func (q *Queue) mapBatch() {
	if len(q.batch) == 0 {
		return
	}
	batch := q.batch
	q.batch = nil
	holes, slow := q.locate(batch)
	for _, o := range holes {
		if err := o.n.fillHoles(o.req.Off, int64(len(o.req.Buf))); err != nil {
			o.abandon(err)
			continue
		}
		again, late := q.locate([]*transfer{o})
		slow = append(slow, late...)
		for _, o := range again {
			o.abandon(layout.Corruptf("block map: a hole where blocks were just allocated"))
		}
	}
	for _, o := range slow {
		o.finish(o.n.writeExclusive(o.req.Buf, o.req.Off))
	}
	q.batch = batch[:0]
}

// locate maps transfers and sends those that can go to the device. It returns those that need blocks first, and those that
// have to go under the inode lock, which count as in flight no more.
func (q *Queue) locate(batch []*transfer) (holes, slow []*transfer) {
	v := q.fs.vol.Journal.View()
	var m extent.Map
	var of *openInode // the inode whose map m is
	for _, o := range batch {
		var again bool
		var err error
		if of != o.n {
			if m, err = q.fs.vol.Extents.Open(v, o.n.ino); err == nil {
				of = o.n
			}
		}
		if err == nil {
			again, err = o.locate(v, m)
		}
		switch {
		case err == errExclusive:
			o.retract()
			slow = append(slow, o)
		case err != nil:
			o.abandon(err)
		case again:
			holes = append(holes, o)
		default:
			q.stage(o)
		}
	}
	v.Close()
	q.sendStaged()
	return holes, slow
}

// stage adds a transfer's pieces to those for the device. A transfer that needs no I/O is complete.
func (q *Queue) stage(o *transfer) {
	if len(o.pieces) == 0 {
		o.complete()
		return
	}
	o.left.Store(int32(len(o.pieces)))
	for i := range o.pieces {
		q.send = append(q.send, &o.pieces[i])
	}
}

// sendStaged hands the staged pieces to the device, at most as many at a time as its queue takes.
func (q *Queue) sendStaged() {
	send := q.send
	for len(send) > 0 {
		n, err := q.devRoom(send)
		if err == nil {
			err = q.dev.Submit(send[:n]...)
		}
		if send, err = q.sent(send, n, err); err != nil {
			q.fail(send, err)
			break
		}
	}
	q.send = q.send[:0]
}

// devRoom waits until the device queue has room, and returns for how many of the pieces. They count as sent from then
// on.
func (q *Queue) devRoom(send []*aio.Request) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.driveUntil(func() bool { return q.onDevice < q.depth })
	if q.broken != nil {
		return 0, q.broken
	}
	n := max(1, min(len(send), q.depth-max(q.onDevice, 0)))
	for _, r := range send[:n] {
		r.User.(*transfer).sent++
	}
	return n, nil
}

// sent is called after the first n pieces were submitted, with an error if the device did not take the others. It
// returns the pieces that the submitter still owns. If the queue has failed, the goroutine that found the failure
// gives up all pieces that count as sent, and sent returns none of those.
func (q *Queue) sent(send []*aio.Request, n int, err error) ([]*aio.Request, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.broken != nil:
		return send[n:], q.broken
	case err != nil:
		for _, r := range send[:n] {
			r.User.(*transfer).sent--
		}
		return send, err
	}
	q.onDevice += n
	q.changed()
	return send[n:], nil
}

// fail completes pieces that the device did not take, with an error.
func (q *Queue) fail(send []*aio.Request, err error) {
	for _, r := range send {
		r.User.(*transfer).failed(err)
		q.settle(r.User.(*transfer), 1)
	}
}

// giveUp is called with q.mu held, after the device queue has failed. It completes everything that the device has
// with an error. It is not known whether the device has carried those requests out, or still will. So unwritten
// blocks stay unwritten, and the file system is changed no more: a late write could overwrite blocks that were given
// to another file.
func (q *Queue) giveUp(err error) {
	q.broken = err
	q.fs.vol.Journal.Abort(err)
	for _, o := range q.all {
		lost := o.sent - o.reaped
		if lost == 0 {
			continue
		}
		o.reaped = o.sent
		o.failed(err)
		q.mu.Unlock()
		q.settle(o, lost)
		q.mu.Lock()
	}
}

// settle counts down the device requests of a transfer that no driver will count, and converts the writes that
// complete with them.
func (q *Queue) settle(o *transfer, n int) {
	if w := q.piecesDone(o, n); w.io != nil {
		_ = w.n.end.FlushCompletedIO(w.io)
	}
}

// driveUntil drives, or waits for the goroutine that does, until done is true, or the queue is broken and all that it had
// is given up. It and done are called with q.mu held.
func (q *Queue) driveUntil(done func() bool) {
	q.fs.vol.Journal.MustNotHold("wait at a queue")
	for !done() && (q.broken == nil || q.driving) {
		if q.driving || q.onDevice <= 0 {
			q.change.Wait()
			continue
		}
		q.driveOnce()
	}
}

// driveOnce drives, with q.mu held.
func (q *Queue) driveOnce() {
	q.driving = true
	q.mu.Unlock()
	n, err := q.drive()
	q.mu.Lock()
	q.onDevice -= n
	if err != nil {
		q.giveUp(fmt.Errorf("queue: %w", err))
	}
	q.driving, q.handling = false, false
	q.changed()
}

// drive takes a batch of what the device has completed, at least one request, and converts it. It returns how many.
func (q *Queue) drive() (int, error) {
	if len(q.done) == 0 {
		done, err := q.dev.Reap(1)
		if err != nil {
			return 0, err
		}
		q.done = done
	}
	n := min(len(q.done), (q.depth+1)/2)
	done := q.done[:n]
	q.done = q.done[n:]
	q.mu.Lock()
	q.handling = true
	q.mu.Unlock()
	q.queued = q.queued[:0]
	for _, r := range done {
		o := r.User.(*transfer)
		o.reaped++
		if r.Err != nil {
			o.failed(r.Err)
		}
		if w := q.piecesDone(o, 1); w.io != nil {
			q.queued = append(q.queued, w)
		}
	}
	for _, w := range q.queued {
		_ = w.n.end.FlushCompletedIO(w.io) // each write and the next Sync get the error
	}
	return n, nil
}

// standIn is the queue's own goroutine: it drives while somebody waits who is not at the queue.
func (q *Queue) standIn() {
	defer close(q.gone)
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closing && q.broken == nil {
		if q.driving || q.onDevice <= 0 || q.fs.urgent.Load() == 0 {
			q.urged.Wait()
			continue
		}
		q.driveOnce()
	}
}

// changed wakes, with q.mu held, those at the queue, and the stand-in if it is needed.
func (q *Queue) changed() {
	q.change.Broadcast()
	if q.fs.urgent.Load() > 0 {
		q.urged.Signal()
	}
}

// urge makes all queues drive themselves until ease is called: the caller is about to wait for requests that perhaps
// nobody is reaping.
func (f *FS) urge() {
	if f.urgent.Add(1) > 1 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for q := range f.queues {
		q.mu.Lock()
		q.changed()
		q.mu.Unlock()
	}
}

func (f *FS) ease() { f.urgent.Add(-1) }

// piecesDone counts device requests down. When they were the transfer's last, a write with something to convert goes to the
// completed list; if its work item is to be queued, it is returned.
func (q *Queue) piecesDone(o *transfer, n int) conversion {
	if o.left.Add(int32(-n)) > 0 {
		return conversion{}
	}
	return o.complete()
}

// finished is called when a request is complete.
func (q *Queue) finished(o *transfer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := o.req
	o.reset()
	q.free = append(q.free, o)
	q.inFlight--
	q.finish = append(q.finish, r)
	if !q.handling {
		q.changed()
	}
}

// transfer takes one from the free list for a request.
func (q *Queue) transfer(r *Request) *transfer {
	q.mu.Lock()
	defer q.mu.Unlock()
	var o *transfer
	if k := len(q.free); k > 0 {
		o, q.free = q.free[k-1], q.free[:k-1]
	} else {
		o = &transfer{q: q}
		q.all = append(q.all, o)
	}
	o.req, o.n = r, r.File.n
	r.N, r.Err = len(r.Buf), nil
	return o
}

// Reap waits until min requests are complete, or all that are in flight if they are fewer. It returns all complete
// requests in the order of their completion. The slice is valid until the next Reap.
func (q *Queue) Reap(min int) ([]*Request, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.driveUntil(func() bool { return len(q.finish) >= min || q.inFlight == 0 })
	q.reaped, q.finish = q.finish, q.reaped[:0]
	return q.reaped, q.broken
}

// Close waits for what is in flight and releases the queue.
func (q *Queue) Close() error {
	q.mu.Lock()
	q.driveUntil(func() bool { return q.inFlight == 0 })
	q.closing = true
	q.change.Broadcast()
	q.urged.Signal()
	q.mu.Unlock()
	<-q.gone
	q.fs.mu.Lock()
	delete(q.fs.queues, q)
	q.fs.mu.Unlock()
	return errors.Join(q.broken, q.dev.Close())
}

// counters count what Stats reports.
type counters struct {
	writes, unwritten, conversions, batches atomic.Uint64
}

// Stats counts what was done since Open.
type Stats struct {
	Writes            uint64 // direct writes
	UnwrittenWrites   uint64 // of them, into unwritten blocks or beyond the end of the file
	Conversions       uint64 // ranges converted, after merging
	ConversionBatches uint64 // handles that converted them
	Journal           journal.Stats
}

// Stats returns the counts since Open.
func (f *FS) Stats() Stats {
	c := &f.stats
	return Stats{c.writes.Load(), c.unwritten.Load(), c.conversions.Load(), c.batches.Load(), f.vol.Journal.Stats()}
}
