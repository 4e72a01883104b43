package volume

import (
	"bytes"
	"errors"
	"fmt"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/journal"
)

// Recover recovers the log of a file system on its device, and applies the fast commits that follow it. Its caller
// takes care of the orphans. A file system that does not need recovery stays as it is.
func Recover(dev aio.Device, o Options) error {
	g, err := readGround(dev, o.ReadOnly)
	if err != nil || !g.dirty() {
		return err
	}
	_, _, err = recoverLog(dev, o)
	return err
}

// recoverLog makes a device readable: it replays the log if it is dirty, mends a torn superblock, and applies fast
// commits. It returns the device to use from then on: an overlay, if the file system is dirty and opened only for
// reading.
func recoverLog(dev aio.Device, o Options) (aio.Device, *journal.Recovery, error) {
	g, err := readGround(dev, o.ReadOnly)
	if err != nil {
		return nil, nil, err
	}
	var rec *journal.Recovery
	if g.dirty() {
		area, err := g.logArea(o.Journal)
		if err != nil {
			return nil, nil, err
		}
		if rec, err = journal.Recover(dev, *area); err != nil {
			return nil, nil, err
		}
	}
	if err := mendSuper(dev, o.ReadOnly); err != nil {
		return nil, nil, err
	}
	if rec != nil && len(rec.Fast) > 0 {
		if dev, err = replayFast(dev, o, rec); err != nil {
			return nil, nil, err
		}
	}
	return dev, rec, nil
}

// replayFast applies the fast commits that follow the last full transaction: first in memory, over the device. The
// changed blocks then go to the log and home as one transaction, unless the file system is opened only for reading.
func replayFast(dev aio.Device, o Options, rec *journal.Recovery) (aio.Device, error) {
	over := aio.NewOverlay(dev)
	g, err := readGround(over, false)
	if err == nil {
		err = applyFast(g, o, rec.Fast)
	}
	if err != nil {
		return nil, fmt.Errorf("fast commits: %w", err)
	}
	if o.ReadOnly {
		return over, nil
	}
	blocks, err := changedBlocks(dev, over, g.geo.BlockSize)
	if err != nil {
		return nil, err
	}
	return dev, rec.Amend(blocks)
}

func applyFast(g ground, o Options, fast []journal.FastCommit) error {
	o.ReadOnly = false // the changes stay in memory
	v, err := start(g, o, nil, nil)
	if err != nil {
		return err
	}
	if err := o.FastCommits(v, fast); err != nil {
		return err
	}
	return v.Journal.Close()
}

// changedBlocks returns the blocks of an overlay that differ from its base.
func changedBlocks(base aio.Device, over *aio.Overlay, blockSize int) (map[uint64][]byte, error) {
	out := make(map[uint64][]byte)
	old := block.Aligned(blockSize, max(blockSize, base.Align()))
	read := func(dev aio.Device, p []byte, at int64) error {
		if n, err := dev.ReadAt(p, at); n < len(p) {
			return err
		}
		return nil
	}
	for _, page := range over.Pages() {
		first := page / int64(blockSize) * int64(blockSize)
		for at := first; at < page+4096; at += int64(blockSize) {
			p := make([]byte, blockSize)
			if err := errors.Join(read(over, p, at), read(base, old, at)); err != nil {
				return nil, err
			}
			if !bytes.Equal(p, old) {
				out[uint64(at)/uint64(blockSize)] = p
			}
		}
	}
	return out, nil
}
