package volume

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"ext4img/aio"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// mmp is multi-mount protection: while the file system is open for writing, its block says so, with a number that
// changes at intervals. It guards against other computers; on this computer the device is locked.
//
// If Open finds the block in use, it refuses. It does not wait, as a kernel would, to see whether the number still
// changes. A user who knows better can run "tune2fs -E clear_mmp". If a killed process of this program on this
// computer left the block in use, Open takes it over, since the lock of that process on the device is gone.
type mmp struct {
	dev        aio.Device
	blockSize  int
	ref        journal.Ref
	quit, done chan struct{}
	log        atomic.Pointer[journal.Journal] // the journal to abort; set when it is open
	lost       error                           // why protection was lost: the block could not be written, or another computer wrote it; valid after done
}

// mmpDevice is the name of the device in the block.
const mmpDevice = "ext4img"

// mmpDefault is the interval at which the number changes, if the superblock does not give one.
const mmpDefault = 5 * time.Second

// errMMP says that the image is in use elsewhere.
var errMMP = fmt.Errorf("multi-mount protection (mmp): %w", syscall.EBUSY)

// holdMMP marks a file system with mmp as in use. It returns nil if the file system has none.
func holdMMP(g ground) (*mmp, error) {
	if !g.hasMMP() {
		return nil, nil
	}
	at := g.super.MMPBlock()
	if at <= uint64(g.geo.FirstDataBlock) || at >= g.geo.Blocks {
		return nil, layout.Corruptf("superblock: MMP block %d of %d", at, g.geo.Blocks)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("mmp: %w", err)
	}
	m := &mmp{dev: g.dev, blockSize: g.geo.BlockSize, quit: make(chan struct{}), done: make(chan struct{})}
	m.ref = journal.Ref{Block: at, Len: layout.MMPSize, Type: layout.MMPType{G: g.geo}}
	seq := uint32(1)
	err = m.update(func(b layout.MMP) error {
		mine := b.NodeName() == host[:min(len(host), 63)] && b.DeviceName() == mmpDevice
		switch old := b.Sequence(); {
		case old == layout.MMPFsck:
			return fmt.Errorf("block %d: being checked by %q: %w", at, b.NodeName(), errMMP)
		case old != layout.MMPClean && !mine:
			return fmt.Errorf("block %d: in use by %q on %q: %w", at, b.NodeName(), b.DeviceName(), errMMP)
		case old < layout.MMPMaxSeq:
			seq = old + 1
		}
		b.SetSequence(seq)
		b.SetTime(uint64(time.Now().Unix()))
		b.SetNames(host, mmpDevice)
		return nil
	})
	if err != nil {
		return nil, err
	}
	every := time.Duration(g.super.MMPInterval()) * time.Second
	if every <= 0 || every > time.Minute {
		every = mmpDefault
	}
	go m.beat(seq, every)
	return m, nil
}

// guard makes beat abort the journal if another computer has written the block.
func (m *mmp) guard(j *journal.Journal) {
	if m != nil {
		m.log.Store(j)
	}
}

func (m *mmp) update(fn func(b layout.MMP) error) error {
	return journal.UpdateHome(m.dev, m.blockSize, m.ref, func(p []byte) error { return fn(layout.MMP(p)) })
}

// beat changes the number until quit. If another computer has changed the number, beat ends all changes of the file
// system.
func (m *mmp) beat(seq uint32, every time.Duration) {
	defer close(m.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-m.quit:
			return
		case <-tick.C:
		}
		err := m.update(func(b layout.MMP) error {
			if b.Sequence() != seq {
				return fmt.Errorf("block %d: taken by %q on %q: %w", m.ref.Block, b.NodeName(), b.DeviceName(), errMMP)
			}
			seq = seq%layout.MMPMaxSeq + 1
			b.SetSequence(seq)
			b.SetTime(uint64(time.Now().Unix()))
			return nil
		})
		if err != nil {
			m.lost = err
			if j := m.log.Load(); j != nil {
				j.Abort(err)
			}
			return
		}
	}
}

// release marks the file system as not in use.
func (m *mmp) release() error {
	if m == nil {
		return nil
	}
	close(m.quit)
	<-m.done
	if m.lost != nil {
		return m.lost
	}
	return m.update(func(b layout.MMP) error {
		b.SetSequence(layout.MMPClean)
		return nil
	})
}
