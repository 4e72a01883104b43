package aio

import "sync"

// An Event is one I/O that a Trace saw end.
type Event struct {
	Op   Op
	Off  int64
	Data []byte // read or written; not valid after the call
	// Epoch is the number of flushes that had succeeded when the I/O began; Until is that number when it ended. The
	// next flush after Until makes the I/O durable.
	Epoch, Until int
	Err          error
}

// A Trace passes every I/O on to another device, and reports each when it has ended.
type Trace struct {
	dev    Device
	mu     sync.Mutex
	report func(Event)
	epoch  int
}

// NewTrace makes a trace of dev. report is called by one goroutine at a time and must not use the trace. Closing it closes dev.
func NewTrace(dev Device, report func(Event)) *Trace { return &Trace{dev: dev, report: report} }

// Size implements Device.
func (t *Trace) Size() int64 { return t.dev.Size() }

// Align implements Device.
func (t *Trace) Align() int { return t.dev.Align() }

// Close implements Device.
func (t *Trace) Close() error { return t.dev.Close() }

// Unwrap returns the device that is traced.
func (t *Trace) Unwrap() Device { return t.dev }

// ReadAt implements io.ReaderAt.
func (t *Trace) ReadAt(p []byte, off int64) (int, error) {
	begin := t.now()
	n, err := t.dev.ReadAt(p, off)
	t.end(Event{Op: Read, Off: off, Data: p[:n], Epoch: begin, Err: err})
	return n, err
}

// WriteAt implements io.WriterAt.
func (t *Trace) WriteAt(p []byte, off int64) (int, error) {
	begin := t.now()
	n, err := t.dev.WriteAt(p, off)
	t.end(Event{Op: Write, Off: off, Data: p[:n], Epoch: begin, Err: err})
	return n, err
}

// Flush implements Device.
func (t *Trace) Flush() error {
	begin := t.now()
	err := t.dev.Flush()
	t.end(Event{Op: Flush, Epoch: begin, Err: err})
	return err
}

func (t *Trace) now() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.epoch
}

func (t *Trace) end(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.Until = t.epoch
	t.report(e)
	if e.Op == Flush && e.Err == nil {
		t.epoch++
	}
}

// Queue implements Device.
func (t *Trace) Queue(depth int) (Queue, error) {
	q, err := t.dev.Queue(depth)
	if err != nil {
		return nil, err
	}
	return &traceQueue{q, t}, nil
}

type traceQueue struct {
	q Queue
	t *Trace
}

func (q *traceQueue) Submit(reqs ...*Request) error {
	begin := q.t.now()
	for _, r := range reqs {
		r.state.epoch = begin
	}
	return q.q.Submit(reqs...)
}

func (q *traceQueue) Reap(min int) ([]*Request, error) {
	reqs, err := q.q.Reap(min)
	for _, r := range reqs {
		q.t.end(Event{Op: r.Op, Off: r.Off, Data: r.Buf, Epoch: r.state.epoch, Err: r.Err})
	}
	return reqs, err
}

func (q *traceQueue) Close() error           { return q.q.Close() }
func (q *traceQueue) register(a *Arena) bool { return Register(q.q, a) }
func (q *traceQueue) pin() bool              { return Pin(q.q) }
