package journal

import (
	"fmt"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/journal/buf"
)

// writeHome writes a handle's changes home, in an image without a journal. It writes and flushes new objects first,
// so that nothing on the device points to old bytes. Then it writes the others in the order in which the handle
// touched them. So a crash leaves at most one handle half done. The changes are durable after the next commit.
func (j *Journal) writeHome(changed []*held) error {
	fresh := false
	for _, k := range changed {
		if k.created() {
			fresh = true
			if err := j.writeBlock(k.b.Block, k.b.Data); err != nil {
				return err
			}
		}
	}
	if fresh {
		if err := j.cfg.Device.Flush(); err != nil {
			return err
		}
	}
	for _, k := range changed {
		if !k.created() {
			if err := j.writeBlock(k.b.Block, k.b.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

// created reports whether the whole block is new.
func (k *held) created() bool {
	for i := range k.edits {
		if e := &k.edits[i]; e.created && e.ref.Len == len(k.b.Data) {
			return true
		}
	}
	return false
}

// writeBlock writes p, one block or several, home.
func (j *Journal) writeBlock(block uint64, p []byte) error {
	if _, err := j.cfg.Device.WriteAt(p, int64(block)*int64(j.cfg.BlockSize)); err != nil {
		return fmt.Errorf("block %d: %w", block, err)
	}
	j.stats.home.Add(uint64(len(p) / j.cfg.BlockSize))
	return nil
}

const (
	homeBatchBytes = 4 << 20   // the most that is copied and in flight at once
	homeWriteBytes = 256 << 10 // the most that one request carries
	homeDepth      = 32
)

// A homeWriter writes many blocks home. It writes blocks that follow each other with one request, and keeps several
// requests in flight.
type homeWriter struct {
	queue     aio.Queue
	blockSize int
	batch     []byte
	used      int
	reqs      []*aio.Request
	next      uint64 // block after the last one added
}

// newHomeWriter makes a homeWriter for about that many blocks.
func newHomeWriter(dev aio.Device, blockSize, blocks int) (*homeWriter, error) {
	q, err := dev.Queue(homeDepth)
	if err != nil {
		return nil, err
	}
	batch := min(homeBatchBytes, max(1, blocks)*blockSize)
	return &homeWriter{queue: q, blockSize: blockSize, batch: block.Aligned(batch, max(blockSize, dev.Align()))}, nil
}

// add takes a copy of the block's content p.
func (w *homeWriter) add(block uint64, p []byte) error {
	if w.used+w.blockSize > len(w.batch) {
		if err := w.drain(); err != nil {
			return err
		}
	}
	at := w.used
	w.used += copy(w.batch[at:], p)
	if n := len(w.reqs); n > 0 && block == w.next && len(w.reqs[n-1].Buf) < homeWriteBytes {
		r := w.reqs[n-1]
		r.Buf = w.batch[at-len(r.Buf) : w.used]
	} else {
		w.reqs = append(w.reqs, &aio.Request{Op: aio.Write, Buf: w.batch[at:w.used], Off: int64(block) * int64(w.blockSize)})
	}
	w.next = block + 1
	return nil
}

// drain writes what was added and waits for it.
func (w *homeWriter) drain() error {
	var first error
	for todo, flying := w.reqs, 0; len(todo)+flying > 0; {
		n := min(len(todo), homeDepth-flying)
		if n > 0 && first == nil {
			if err := w.queue.Submit(todo[:n]...); err != nil {
				first = err
			} else {
				flying += n
			}
		}
		todo = todo[n:]
		if flying == 0 {
			continue
		}
		done, err := w.queue.Reap(1)
		if err != nil {
			return err
		}
		flying -= len(done)
		for _, r := range done {
			if r.Err != nil && first == nil {
				first = fmt.Errorf("block %d: %w", r.Off/int64(w.blockSize), r.Err)
			}
		}
	}
	w.reqs, w.used = w.reqs[:0], 0
	return first
}

// close writes the rest. The device is not flushed.
func (w *homeWriter) close() error {
	err := w.drain()
	if cerr := w.queue.Close(); err == nil {
		err = cerr
	}
	return err
}

// UpdateHome changes one object in place, outside any log: it reads, verifies, edits, checks, seals, writes and
// flushes it. It is for the few bits that say how the log itself is to be treated. Callers use it while no journal is
// open, or from Config.Activate.
func UpdateHome(dev aio.Device, blockSize int, r buf.Ref, edit func([]byte) error) error {
	if !r.In(blockSize) || r.Block >= uint64(dev.Size())/uint64(blockSize) {
		return fmt.Errorf("%v: beyond the device: %w", r, ErrCorrupt)
	}
	data := block.Aligned(blockSize, dev.Align())
	off := int64(r.Block) * int64(blockSize)
	if err := readFull(dev, data, off); err != nil {
		return fmt.Errorf("%v: %w", r, err)
	}
	p := data[r.Off : r.Off+r.Len : r.Off+r.Len]
	if err := r.Type.Verify(p); err != nil {
		return fmt.Errorf("%v: %w", r, err)
	}
	if err := edit(p); err != nil {
		return err
	}
	if err := r.Type.Check(p); err != nil {
		return fmt.Errorf("%v: %w", r, err)
	}
	r.Type.Seal(p)
	if _, err := dev.WriteAt(data, off); err != nil {
		return fmt.Errorf("%v: %w", r, err)
	}
	return dev.Flush()
}
