package journal

import (
	"errors"
	"fmt"
	"time"

	"ext4img/journal/buf"
)

// Amend writes the blocks that the fast commits change as one transaction that has the fast commits' TID: first to
// the log, whose older transactions are home already, then home. After a crash the log holds either the fast commits
// or the transaction that replaces them. Amend ends with Finish.
//
// If the blocks do not fit into the log, Amend writes them home without it. A crash in the middle of that leaves the
// fast commits in the log, and recovery applies them once more.
func (r *Recovery) Amend(blocks map[uint64][]byte) error {
	if r.super == nil {
		return fmt.Errorf("recovery: %w", ErrClosed)
	}
	bs := r.log.blockSize
	last, _ := r.super.last()
	j := &Journal{
		cfg: Config{Device: r.dev, BlockSize: bs, Clock: time.Now}, log: r.log, super: r.super, code: r.super.codec(bs),
		first: r.super.first(), head: r.super.first(), last: last,
	}
	t := newTransaction(r.Next - 1)
	for b, p := range blocks {
		t.dirty[b] = &buf.Buffer{Block: b, Data: p}
	}
	if j.need(len(blocks), 0) <= j.logBlocks() {
		if err := j.amend(t); err != nil {
			return fmt.Errorf("transaction %d: %w", t.tid, err)
		}
	}
	w, err := newHomeWriter(r.dev, bs, len(blocks))
	if err != nil {
		return err
	}
	for _, b := range sorted(blocks) {
		if err := w.add(b, blocks[b]); err != nil {
			return errors.Join(err, w.close())
		}
	}
	if err := w.close(); err != nil {
		return err
	}
	if err := r.dev.Flush(); err != nil {
		return err
	}
	return r.Finish()
}

// amend empties the log, whose transactions are all home, and writes t to it. t takes the TID of the fast commits,
// which is the first TID that the log then holds.
func (j *Journal) amend(t *transaction) error {
	j.super.setState(j.first, t.tid)
	if err := j.log.writeSuper(j.super); err != nil {
		return err
	}
	if err := j.log.dev.Flush(); err != nil {
		return err
	}
	return j.writeLog(t, j.layOut(t))
}
