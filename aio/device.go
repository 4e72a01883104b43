package aio

import "io"

// A Device is an array of bytes with explicit durability. Writes that WriteAt or a queue has accepted may be lost,
// wholly or in part and in any order, until a Flush that began after them has returned without error.
//
// If offset, length and buffer address are multiples of Align, the transfer goes to the device as it is. Any other
// transfer is accepted too and passes through a bounce buffer.
type Device interface {
	io.ReaderAt
	io.WriterAt
	// Flush returns when every write accepted before it is durable. It is an error, from then on, if another program has made
	// the file shorter (*CutShortError); Close tells it too.
	Flush() error
	// Size is the device's length in bytes.
	Size() int64
	// Align is the unit, in bytes: offsets, lengths and buffer addresses that are multiples of it need no bounce
	// buffer. It is a power of two.
	Align() int
	// Queue makes a queue for at most depth requests in flight.
	Queue(depth int) (Queue, error)
	io.Closer
}

// A Queue carries asynchronous requests. One goroutine submits and one reaps; they may be the same or two.
type Queue interface {
	// Submit hands over the requests. The queue owns each request and its buffer until Reap returns it: a buffer
	// serves one request at a time. On an error (ErrFull, ErrClosed, or the system's) none of the requests was taken.
	//
	// Requests in flight may be carried out in any order. If two of them touch the same unit of Align and one is a
	// write, the bytes written there, or read from there, are any mixture of the two.
	Submit(reqs ...*Request) error
	// Reap waits until min requests are complete, or all that are in flight if they are fewer. It returns all
	// complete requests in the order of their completion. Each has transferred all its bytes, or carries an error
	// such as ErrRange. If nothing is in flight, Reap returns at once. The slice is valid until the next Reap.
	Reap(min int) ([]*Request, error)
	// Close waits for what is in flight and releases the queue.
	Close() error
}

// Op is what a Request does.
type Op uint8

// The operations of a Request.
const (
	Read  Op = iota // fill Buf from Off
	Write           // write Buf to Off
	Flush           // make durable every write that was reaped before this was submitted; no Buf
)

// A Request is one asynchronous operation.
type Request struct {
	Op  Op
	Buf []byte // a buffer from an Arena is faster
	Off int64  // bytes
	Err error  // set when Reap returns the request
	// User belongs to the submitter; the queue does not look at it.
	User any

	state requestState // belongs to the layers below while they own the request
}
