//go:build !386 && !arm && !mips && !mipsle

package mount

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/ext4"
)

const (
	laneDepth = 64       // requests in flight
	laneSmall = 64 << 10 // bytes of a small buffer, of which there are as many as requests
	laneLarge = 8        // buffers of the largest request
)

// A lane carries reads and writes of whole blocks to one ext4.Queue, from many goroutines. One goroutine submits what has
// come together, another reaps and wakes the goroutine whose request is through.
type lane struct {
	q     *ext4.Queue
	align int
	in    chan *transfer
	small chan []byte
	large chan []byte

	pending atomic.Int64 // submitted, or about to be, and not reaped
	work    chan struct{}
	done    sync.WaitGroup

	mu     sync.RWMutex // held for reading by whoever sends to in
	closed bool
}

// transfer is a request on its way.
type transfer struct {
	ext4.Request
	ended   atomic.Bool
	through chan struct{}
}

func newLane(fs *ext4.FS) (*lane, error) {
	q, err := fs.NewQueue(laneDepth)
	if err != nil {
		return nil, err
	}
	const align = 4096
	l := &lane{q: q, align: align, in: make(chan *transfer, laneDepth), work: make(chan struct{}, 1),
		small: make(chan []byte, laneDepth), large: make(chan []byte, laneLarge)}
	for range laneDepth {
		l.small <- nil
	}
	for range laneLarge {
		l.large <- nil
	}
	l.done.Add(2)
	go l.submit()
	go l.reap()
	return l, nil
}

// do reads or writes p, which consists of whole blocks, and returns how many bytes.
func (l *lane) do(f *ext4.File, op aio.Op, p []byte, off int64) (int, error) {
	buf, pool := p, chan []byte(nil)
	if uintptr(unsafe.Pointer(unsafe.SliceData(p)))%uintptr(l.align) != 0 {
		buf, pool = l.buffer(len(p))
		defer func() { pool <- buf[:cap(buf)] }()
		if op == ext4.OpWrite {
			copy(buf, p)
		}
	}
	t := &transfer{Request: ext4.Request{File: f, Op: op, Buf: buf, Off: off}, through: make(chan struct{})}
	t.User = t
	if !l.send(t) {
		return 0, aio.ErrClosed
	}
	<-t.through
	if t.Err == nil && pool != nil && op == ext4.OpRead {
		copy(p, buf[:t.N])
	}
	return t.N, t.Err
}

// buffer waits for an aligned buffer, and says where it goes afterwards.
func (l *lane) buffer(n int) (buf []byte, pool chan []byte) {
	pool, size := l.small, laneSmall
	if n > laneSmall {
		pool, size = l.large, max(maxRequest, n)
	}
	if buf = <-pool; cap(buf) < n {
		buf = block.Aligned(size, l.align)
	}
	return buf[:n], pool
}

func (l *lane) send(t *transfer) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return false
	}
	l.in <- t
	return true
}

// submit hands over what has come together.
func (l *lane) submit() {
	defer l.done.Done()
	defer close(l.work)
	var batch []*ext4.Request
	for t := range l.in {
		batch = append(batch[:0], &t.Request)
		for more := true; more && len(batch) < laneDepth/2; {
			select {
			case t, ok := <-l.in:
				if more = ok; ok {
					batch = append(batch, &t.Request)
				}
			default:
				more = false
			}
		}
		l.pending.Add(int64(len(batch)))
		if err := l.q.Submit(batch...); err != nil {
			l.refused(batch, err)
		}
		l.wake()
	}
}

// refused ends requests that the queue did not take: it is broken, takes none any more, and has ended what it had.
func (l *lane) refused(batch []*ext4.Request, err error) {
	done, _ := l.q.Reap(0)
	l.ended(done)
	for _, r := range batch {
		if t := r.User.(*transfer); !t.ended.Load() {
			r.N, r.Err = 0, err
			l.ended([]*ext4.Request{r})
		}
	}
}

// ended wakes the goroutines that wait for requests which are complete.
func (l *lane) ended(reqs []*ext4.Request) {
	for _, r := range reqs {
		if t := r.User.(*transfer); !t.ended.Swap(true) {
			l.pending.Add(-1)
			close(t.through)
		}
	}
}

func (l *lane) wake() {
	select {
	case l.work <- struct{}{}:
	default:
	}
}

// reap wakes the goroutines that wait for complete requests.
func (l *lane) reap() {
	defer l.done.Done()
	for range l.work {
		for l.pending.Load() > 0 {
			reqs, _ := l.q.Reap(1) // that the queue is broken is in the error of each request
			if l.ended(reqs); len(reqs) == 0 {
				break // what is about to be submitted comes with the next signal
			}
		}
	}
}

// close waits for what is in flight.
func (l *lane) close() error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	close(l.in)
	l.done.Wait()
	return l.q.Close()
}
