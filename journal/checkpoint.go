package journal

import (
	"ext4img/journal/buf"
)

// homeWriteBytes is the most that one write home carries.
const homeWriteBytes = 1 << 20

// Checkpoint commits, writes every block of the log home and empties the log.
func (j *Journal) Checkpoint() error {
	j.holder.mustNotHold("Checkpoint")
	j.takeTurn(nil)
	defer j.endTurn()
	if err := j.commit(); err != nil {
		return err
	}
	if j.log == nil {
		return nil
	}
	return j.checkpoint()
}

// checkpoint empties the log; whatever is running goes to its beginning.
func (j *Journal) checkpoint() error {
	if j.head == j.first {
		return nil
	}
	if err := j.emptyLog(j.Committed() + 1); err != nil {
		return j.fail(err)
	}
	return nil
}

// emptyLog writes home the newest committed copy of every block in the log (O3: never the cached block, which may hold
// changes of the running transaction), flushes, and only then lets the log begin anew with transaction next (O4).
// That is flushed too: until then recovery would replay the old log over whatever its blocks have become.
//
// So the log is always one stretch from its first block on and never wraps when we write it. (e2fsck 1.47 wraps a log
// with a fast commit area at the wrong block.)
func (j *Journal) emptyLog(next TID) error {
	if err := j.writeFrozen(); err != nil {
		return err
	}
	if err := j.cfg.Device.Flush(); err != nil {
		return err
	}
	j.superMu.Lock()
	j.super.setState(j.first, next)
	err := j.log.writeSuper(j.super)
	j.superMu.Unlock()
	if err != nil {
		return err
	}
	if err := j.log.dev.Flush(); err != nil {
		return err
	}
	j.head = j.first
	j.mu.Lock()
	clear(j.frozen)
	j.mu.Unlock()
	j.stats.checkpoints.Add(1)
	return nil
}

// writeFrozen writes the frozen copies home in the order of their blocks, neighbours together. Only the committer
// changes the map, so it needs no lock to read it.
func (j *Journal) writeFrozen() error {
	bs := j.cfg.BlockSize
	most := max(1, homeWriteBytes/bs)
	blocks := sorted(j.frozen)
	out := buf.Aligned(min(most, len(blocks))*bs, max(bs, j.cfg.Device.Align()))
	for len(blocks) > 0 {
		n := 1
		for n < len(blocks) && n < most && blocks[n] == blocks[0]+uint64(n) {
			n++
		}
		for i, b := range blocks[:n] {
			copy(out[i*bs:(i+1)*bs], j.frozen[b])
		}
		if err := j.writeBlock(blocks[0], out[:n*bs]); err != nil {
			return err
		}
		blocks = blocks[n:]
	}
	return nil
}
