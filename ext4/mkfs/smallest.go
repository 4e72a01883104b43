package mkfs

import (
	"fmt"
	"io"
	"syscall"

	"ext4img/aio"
)

// trialBlocks is up to which size a file system is made for a trial first. In larger ones all that is made beside the
// tables takes a small part of what they leave free.
const trialBlocks = 1 << 20

// TooSmallError says that a file system with what the options ask for does not fit.
type TooSmallError struct {
	Bytes     uint64 // that there are
	BlockSize int    // bytes
	Inodes    uint64 // that were asked for; 0: as many as the size asks for
	Need      uint64 // blocks that would do; 0 if no size does
}

// Is makes it a syscall.ENOSPC.
func (e *TooSmallError) Is(target error) bool { return target == syscall.ENOSPC }

// Error names the sizes in bytes.
func (e *TooSmallError) Error() string {
	text := fmt.Sprintf("%d bytes: too small for a file system with blocks of %d bytes", e.Bytes, e.BlockSize)
	if e.Inodes != 0 {
		text += fmt.Sprintf(" and %d inodes", e.Inodes)
	}
	if e.Need == 0 {
		return text
	}
	return fmt.Sprintf("%s: it takes at least %d bytes", text, e.Need*uint64(e.BlockSize))
}

// size is that of the file system, bytes.
func (o Options) size() uint64 {
	if o.Bytes != 0 {
		return o.Bytes
	}
	return o.Blocks * uint64(o.BlockSize)
}

// try tells whether a file system with options that are complete can be made. The error is syscall.ENOSPC if it does not fit.
func (o Options) try() error {
	if o.Blocks > trialBlocks {
		return (&builder{o: o}).plan()
	}
	o.Zeroed = true
	b, err := newPlan(o)
	if err != nil {
		return err
	}
	b.dev = nowhere{int64(o.size())}
	return b.build()
}

// smallest is the number of blocks from which on the options will do; 0 if that is far away.
func (o Options) smallest() uint64 {
	const far = 1 << 24
	o.Bytes = 0
	fits := func(blocks uint64) bool {
		o.Blocks = blocks
		return o.try() == nil
	}
	low, high := o.Blocks, max(2*o.Blocks, 64) // low does not fit
	for ; !fits(high); low, high = high, 2*high {
		if high >= far {
			return 0
		}
	}
	for low+1 < high {
		if mid := low + (high-low)/2; fits(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}

// nowhere is a device of zeros that keeps nothing.
type nowhere struct{ bytes int64 }

func (n nowhere) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func (n nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (n nowhere) Flush() error                           { return nil }
func (n nowhere) Size() int64                            { return n.bytes }
func (n nowhere) Align() int                             { return 512 }
func (n nowhere) Queue(int) (aio.Queue, error)           { return nil, io.ErrClosedPipe }
func (n nowhere) Close() error                           { return nil }
