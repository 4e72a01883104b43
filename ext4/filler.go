package ext4

import (
	"errors"
	"fmt"
	"syscall"

	"ext4img/aio"
	"ext4img/ext4/layout"
)

// A Filler writes the content of files that are not written otherwise at the same time, in large pieces through a
// queue of the device. Unlike with a Queue, blocks are allocated and converted in the order of the file, whatever the
// order in which the device completes, so that the same input gives the same image. Only one goroutine may use it.
type Filler struct {
	fs    *FS
	q     aio.Queue
	arena *aio.Arena
	size  int
	free  [][]byte
	file  *File // the file whose pieces are staged
	stage []Piece
	whole map[*byte][]byte // the whole buffer of a piece, by its first byte
}

// NewFiller makes a Filler that has depth pieces of at most size bytes in flight.
func (f *FS) NewFiller(depth, size int) (*Filler, error) {
	unit := max(f.vol.Geo.BlockSize, 4096)
	size = (max(size, 1) + unit - 1) / unit * unit
	q, err := f.vol.Dev.Queue(depth)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	arena, err := aio.NewArena(depth*size, 4096)
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	l := &Filler{fs: f, q: q, arena: arena, size: size, whole: make(map[*byte][]byte)}
	aio.Register(q, arena) // if this fails, transfers are only slower
	for range depth {
		buf, err := arena.Alloc(size)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.free = append(l.free, buf)
		l.whole[&buf[0]] = buf
	}
	return l, nil
}

// Buffer returns the buffer for the next piece: the size given to NewFiller, rounded up to whole blocks.
func (l *Filler) Buffer() ([]byte, error) {
	if len(l.free) == 0 {
		if err := l.Flush(); err != nil {
			return nil, err
		}
	}
	return l.free[len(l.free)-1], nil
}

// Put takes the first n bytes of Buffer as the content of a file from off on. off must be a multiple of the block
// size, and after the pieces put before. If n is not a multiple of the block size, the file ends there.
func (l *Filler) Put(f *File, off int64, n int) error {
	if f != l.file {
		if err := l.Flush(); err != nil {
			return err
		}
		l.file = f
	}
	if off%int64(l.fs.vol.Geo.BlockSize) != 0 || n < 0 || n > l.size || len(l.free) == 0 {
		return f.wrap("write", syscall.EINVAL)
	}
	if err := f.n.checkRange(off, n); err != nil {
		return f.wrap("write", err)
	}
	last := len(l.free) - 1
	l.stage = append(l.stage, Piece{off, l.free[last][:n]})
	l.free = l.free[:last]
	return nil
}

// Flush writes the pieces that were put.
func (l *Filler) Flush() error {
	stage, f := l.stage, l.file
	l.stage, l.file = nil, nil
	if len(stage) == 0 {
		return nil
	}
	defer func() {
		for _, p := range stage {
			l.free = append(l.free, l.whole[&p.Data[:1][0]])
		}
	}()
	if err := f.allows(aio.Write); err != nil {
		return f.wrap("write", err)
	}
	byExtents, err := f.n.mappedByExtents()
	if err != nil {
		return f.wrap("write", err)
	}
	if byExtents {
		return f.wrap("write", f.n.exclusive(func() error { return l.write(f.n, stage) }))
	}
	for _, p := range stage {
		if _, err := f.WriteAt(p.Data, p.Off); err != nil {
			return err
		}
	}
	return nil
}

// write allocates blocks, writes the pieces and converts their ranges, in this order (ordering O1).
func (l *Filler) write(n *openInode, stage []Piece) error {
	bs := int64(l.fs.vol.Geo.BlockSize)
	if err := n.zeroTail(stage[0].Off + 1); err != nil {
		return err
	}
	for _, r := range joined(stage, bs) {
		if err := n.fillHoles(r.Off, r.Len); err != nil {
			return err
		}
	}
	for _, p := range stage {
		if err := l.send(n, p); err != nil {
			e := l.wait() // the buffers will be used again
			return errors.Join(err, e)
		}
	}
	if err := l.wait(); err != nil {
		return err
	}
	n.dirty.Store(true)
	last := stage[len(stage)-1]
	for _, r := range joined(stage, bs) {
		if err := n.convertExclusive(r.Off, min(r.Off+r.Len, last.Off+int64(len(last.Data)))); err != nil {
			return err
		}
	}
	return nil
}

// blockRange is a range of bytes, whole blocks.
type blockRange struct{ Off, Len int64 }

// joined returns the ranges that pieces in ascending order cover, in whole blocks.
func joined(stage []Piece, bs int64) (out []blockRange) {
	for _, p := range stage {
		n := (int64(len(p.Data)) + bs - 1) / bs * bs
		if k := len(out); k > 0 && out[k-1].Off+out[k-1].Len == p.Off {
			out[k-1].Len += n
		} else {
			out = append(out, blockRange{p.Off, n})
		}
	}
	return out
}

// send submits a piece, padded to whole blocks, with one request for each extent in which it lies.
func (l *Filler) send(n *openInode, p Piece) error {
	bs := int64(l.fs.vol.Geo.BlockSize)
	size := (int64(len(p.Data)) + bs - 1) / bs * bs
	data := p.Data[:size]
	clear(data[len(p.Data):])
	for off := p.Off; len(data) > 0; {
		e, err := n.lookup(layout.Lblk(off / bs))
		if err != nil {
			return err
		}
		if e.Pblk == 0 {
			return layout.Corruptf("block map: a hole at block %d, which was just allocated", off/bs)
		}
		k := min(int64(len(data)), e.EndByte(int(bs))-off)
		r := &aio.Request{Op: aio.Write, Buf: data[:k], Off: e.DevByte(off, int(bs))}
		err = l.q.Submit(r)
		if errors.Is(err, aio.ErrFull) {
			if err = l.wait(); err == nil {
				err = l.q.Submit(r)
			}
		}
		if err != nil {
			return err
		}
		data, off = data[k:], off+k
	}
	return nil
}

// wait reaps everything in flight, and returns the first error.
func (l *Filler) wait() (first error) {
	for {
		done, err := l.q.Reap(1)
		for _, r := range done {
			if err == nil {
				err = r.Err
			}
		}
		if first == nil {
			first = err
		}
		if len(done) == 0 {
			return first
		}
	}
}

// Close ends the queue and frees the memory. Pieces that were put and not flushed are dropped.
func (l *Filler) Close() error {
	return errors.Join(l.q.Close(), l.arena.Close())
}

// Drop forgets the pieces that were put and not flushed.
func (l *Filler) Drop() {
	for _, p := range l.stage {
		l.free = append(l.free, l.whole[&p.Data[:1][0]])
	}
	l.stage, l.file = nil, nil
}
