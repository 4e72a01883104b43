package journal

import "errors"

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

// checkpoint empties the log. The running transaction will be written at the log's beginning.
func (j *Journal) checkpoint() error {
	if j.head == j.first {
		return nil
	}
	if err := j.emptyLog(j.Committed() + 1); err != nil {
		return j.fail(err)
	}
	return nil
}

// emptyLog writes home the newest committed copy of every block in the log, flushes, and only then lets the log begin
// anew with transaction next (O4). It never writes the cached block, which may hold changes of the running
// transaction (O3). The new beginning of the log is flushed too: until it is durable, recovery would replay the old
// log over the blocks, and by then they may hold other data.
//
// So the log is always one stretch that starts at its first block, and our own log never wraps. (e2fsck 1.47 wraps a
// log that has a fast commit area at the wrong block.)
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

// writeFrozen writes the frozen copies home in the order of their blocks. Only the committer changes the map, so it
// needs no lock to read it.
func (j *Journal) writeFrozen() error {
	if len(j.frozen) == 0 {
		return nil
	}
	w, err := newHomeWriter(j.cfg.Device, j.cfg.BlockSize, len(j.frozen))
	if err != nil {
		return err
	}
	for _, b := range sorted(j.frozen) {
		if err := w.add(b, j.frozen[b]); err != nil {
			return errors.Join(err, w.close())
		}
	}
	j.stats.home.Add(uint64(len(j.frozen)))
	return w.close()
}
