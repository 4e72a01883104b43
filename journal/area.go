package journal

import (
	"fmt"
	"sort"

	"ext4img/aio"
	"ext4img/aio/block"
)

// A logDevice reads and writes log blocks by their number in the log.
type logDevice struct {
	dev       aio.Device
	own       bool // the log has a device of its own
	blockSize int
	super     uint32
	runs      []Run
	starts    []uint64 // first log block of each run
	blocks    uint64   // the sum of all runs
}

// newLogDevice checks that the area lies within its device.
func newLogDevice(fs aio.Device, a Area) (*logDevice, error) {
	l := &logDevice{dev: a.Device, own: a.Device != nil, blockSize: a.BlockSize, super: a.Super, runs: a.Blocks}
	if !l.own {
		l.dev = fs
	}
	if n := a.BlockSize; n < minBlockSize || n > maxBlockSize || n&(n-1) != 0 {
		return nil, fmt.Errorf("log: block size %d: %w", n, ErrUnsupported)
	}
	limit := uint64(l.dev.Size()) / uint64(a.BlockSize)
	for _, r := range a.Blocks {
		if r.Phys > limit || uint64(r.Len) > limit-r.Phys {
			return nil, fmt.Errorf("log block %d: block %d beyond the device's %d: %w", l.blocks, r.Phys, limit, ErrCorrupt)
		}
		l.starts = append(l.starts, l.blocks)
		l.blocks += uint64(r.Len)
	}
	if uint64(a.Super) >= l.blocks {
		return nil, fmt.Errorf("log: %d blocks, none for its superblock: %w", l.blocks, ErrCorrupt)
	}
	return l, nil
}

// at returns the device offset of log block n and how many log blocks are contiguous from there.
func (l *logDevice) at(n uint64) (off int64, contiguous uint64) {
	i := sort.Search(len(l.starts), func(i int) bool { return l.starts[i] > n }) - 1
	skip := n - l.starts[i]
	return int64(l.runs[i].Phys+skip) * int64(l.blockSize), uint64(l.runs[i].Len) - skip
}

// each splits p, whole blocks at log block n, into contiguous pieces of the device.
func (l *logDevice) each(n uint32, p []byte, do func(p []byte, off int64) error) error {
	for pos := uint64(n); len(p) > 0; {
		if pos >= l.blocks {
			return fmt.Errorf("log block %d: beyond the log's %d: %w", pos, l.blocks, ErrCorrupt)
		}
		off, run := l.at(pos)
		size := len(p)
		if most := run * uint64(l.blockSize); uint64(size) > most {
			size = int(most)
		}
		if err := do(p[:size], off); err != nil {
			return fmt.Errorf("log block %d: %w", pos, err)
		}
		p = p[size:]
		pos += uint64(size / l.blockSize)
	}
	return nil
}

func (l *logDevice) read(n uint32, p []byte) error {
	return l.each(n, p, func(p []byte, off int64) error { return readFull(l.dev, p, off) })
}

func (l *logDevice) write(n uint32, p []byte) error {
	return l.each(n, p, func(p []byte, off int64) error {
		_, err := l.dev.WriteAt(p, off)
		return err
	})
}

// holds reports whether device block b of the file system is one of the log's.
func (l *logDevice) holds(b uint64) bool {
	if l.own {
		return false
	}
	for _, r := range l.runs {
		if b >= r.Phys && b-r.Phys < uint64(r.Len) {
			return true
		}
	}
	return false
}

// readSuper reads and checks the journal superblock.
func (l *logDevice) readSuper() (super, error) {
	s := super(block.Aligned(l.blockSize, l.dev.Align()))
	if err := l.read(l.super, s); err != nil {
		return nil, fmt.Errorf("journal superblock: %w", err)
	}
	if err := s.check(l.blockSize, l.blocks, l.super); err != nil {
		return nil, err
	}
	return s, nil
}

func (l *logDevice) writeSuper(s super) error {
	s.seal()
	if err := l.write(l.super, s); err != nil {
		return fmt.Errorf("journal superblock: %w", err)
	}
	return nil
}

// readFull reads all of p. An io.ReaderAt may report the end of the device although it filled p: that is no error
// here.
func readFull(dev aio.Device, p []byte, off int64) error {
	n, err := dev.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return err
}
