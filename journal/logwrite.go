package journal

import (
	"encoding/binary"
	"fmt"
	"time"
)

// writeLog makes a frozen transaction durable.
//
// The first write covers the whole transaction, with zeros where the commit block will be, and is flushed. So the
// commit block is never on the device before the rest is (O2), and the same flush makes file data durable (O1). Then
// the commit block is written over the zeros. Only its first sector differs from zeros, so it cannot be torn.
func (j *Journal) writeLog(t *transaction, w *logWrite) error {
	n := uint32(len(w.buffer) / j.cfg.BlockSize)
	if n > j.last-j.head {
		if err := j.emptyLog(t.tid); err != nil {
			return err
		}
		if n > j.last-j.head {
			return fmt.Errorf("%d log blocks, the log has %d: %w", n, j.logBlocks(), ErrTooLarge)
		}
	}
	j.code.fill(w, t.tid)
	if err := j.log.write(j.head, w.buffer); err != nil {
		return err
	}
	if err := j.startLog(t); err != nil {
		return err
	}
	if err := j.flushDevices(); err != nil {
		return err
	}
	commit := w.buffer[len(w.buffer)-j.cfg.BlockSize:]
	j.code.fillCommit(commit, t.tid, w.sum, j.cfg.Clock())
	if err := j.log.write(j.head+n-1, commit); err != nil {
		return err
	}
	if err := j.log.dev.Flush(); err != nil {
		return err
	}
	j.head += n
	j.stats.commits.Add(1)
	j.stats.logged.Add(uint64(len(w.blocks)))
	j.stats.revoked.Add(uint64(len(t.revoked)))
	j.stats.logBytes.Add(uint64(len(w.buffer) + j.cfg.BlockSize))
	return nil
}

// startLog says in the journal superblock that the log is not empty, and sets the features that this transaction
// needs. The flush that precedes the commit block makes both durable.
func (j *Journal) startLog(t *transaction) error {
	j.superMu.Lock()
	defer j.superMu.Unlock()
	empty := j.super.start() == 0
	revoke := len(t.revoked) > 0 && j.super.features()&FeatureRevoke == 0
	if !empty && !revoke {
		return nil
	}
	if empty {
		j.super.setState(j.head, t.tid)
	}
	if revoke {
		j.super.setFeatures(FeatureRevoke)
	}
	return j.log.writeSuper(j.super)
}

// flushDevices makes everything written so far durable: the file system's data first, then the log.
func (j *Journal) flushDevices() error {
	if err := j.cfg.Device.Flush(); err != nil {
		return err
	}
	if j.log != nil && j.log.own {
		return j.log.dev.Flush()
	}
	return nil
}

func (c *codec) fillCommit(p []byte, tid TID, sum uint32, now time.Time) {
	putHeader(p, typeCommit, tid)
	binary.BigEndian.PutUint64(p[commitSec:], uint64(now.Unix()))
	putBE32(p[commitNsec:], uint32(now.Nanosecond()))
	switch {
	case c.csumV1():
		p[commitChksumType], p[commitChksumSize] = checksumCRC32, 4
		putBE32(p[commitChksum:], sum)
	case c.csumV2or3():
		putBE32(p[commitChksum:], sumWithHole(c.seed, p[:c.blockSize], commitChksum))
	}
}

// committed keeps the frozen copies for the checkpoint, and unpins the blocks that have not changed since. Blocks
// that the transaction revoked must no longer be written home: from now on they may hold file data.
func (j *Journal) committed(t *transaction, w *logWrite) {
	j.mu.Lock()
	for b := range t.revoked {
		delete(j.frozen, b)
	}
	if w != nil {
		for i := range w.blocks {
			b := &w.blocks[i]
			if b.escape {
				putBE32(b.data, magic)
			}
			j.frozen[b.block] = append(j.frozen[b.block][:0], b.data...)
		}
	}
	for _, b := range t.dirty {
		j.cache.Unpin(b)
	}
	j.committing = nil
	j.mu.Unlock()

	j.state.Lock()
	j.committedTID.Store(uint32(t.tid))
	j.state.Unlock()
	j.state.turn.Broadcast()
}
