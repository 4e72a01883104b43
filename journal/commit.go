package journal

import (
	"fmt"

	"ext4img/aio/block"
)

// takeTurn waits until the caller is the committer and returns true. If until is given and that transaction becomes
// durable first, takeTurn returns false.
func (j *Journal) takeTurn(until *TID) bool {
	j.state.Lock()
	defer j.state.Unlock()
	for {
		if until != nil && !j.Committed().Before(*until) {
			return false
		}
		if !j.state.busy {
			j.state.busy = true
			return true
		}
		j.state.turn.Wait()
	}
}

func (j *Journal) endTurn() {
	j.state.Lock()
	j.state.busy = false
	j.state.Unlock()
	j.state.turn.Broadcast()
}

// Commit returns when transaction tid is durable, with all data that was written to the device before the call.
// Callers that wait together share one commit.
func (j *Journal) Commit(tid TID) error {
	j.holder.mustNotHold("Commit")
	if !j.takeTurn(&tid) {
		return nil
	}
	defer j.endTurn()
	if j.Running().Before(tid) {
		return fmt.Errorf("commit of transaction %d, which has not begun: %d is running", tid, j.Running())
	}
	return j.commit()
}

// CommitAll makes durable all changes of handles that have stopped, and all data that was written before the call. It
// commits the running transaction, and flushes the device even if there are no changes to commit.
func (j *Journal) CommitAll() error {
	j.holder.mustNotHold("CommitAll")
	j.takeTurn(nil)
	defer j.endTurn()
	return j.commit()
}

// commitChanges commits the running transaction if it has changes.
func (j *Journal) commitChanges() error {
	j.takeTurn(nil)
	defer j.endTurn()
	j.mu.RLock()
	empty := j.running.empty()
	j.mu.RUnlock()
	if empty {
		return nil
	}
	return j.commit()
}

// commit freezes the running transaction under the handle lock, then writes it without the lock. Only the committer
// calls it.
func (j *Journal) commit() error {
	if err := j.Err(); err != nil {
		return err
	}
	t, frozen := j.freeze()
	if t == nil {
		if err := j.flushDevices(); err != nil {
			return j.fail(err) // the lost data would seem durable after a later flush
		}
		return nil
	}
	if j.log == nil {
		if err := j.cfg.Device.Flush(); err != nil {
			return j.fail(err)
		}
		j.committed(t, frozen)
		return nil
	}
	if err := j.writeLog(t, frozen); err != nil {
		return j.fail(fmt.Errorf("transaction %d: %w", t.tid, err))
	}
	j.committed(t, frozen)
	if j.head-j.first > (j.last-j.first)/2 || len(j.frozen)*j.cfg.BlockSize > maxFrozenBytes {
		return j.checkpoint()
	}
	return nil
}

// A frozenBlock is a block as a transaction commits it.
type frozenBlock struct {
	block  uint64
	data   []byte // a part of the log's buffer; the magic in it may be escaped
	escape bool
}

// A logWrite is a transaction as it goes to the log: contiguous blocks, the last one kept for the commit block.
type logWrite struct {
	buffer []byte
	blocks []frozenBlock
	groups []group
	sum    uint32 // the commit block's checksum of version 1
}

// A group is a descriptor or revoke block at index at of the buffer. A descriptor's n blocks follow it.
type group struct {
	at, n  int
	revoke []uint64
}

// freeze ends the running transaction, copies its blocks and begins the next one. It returns nil if there is nothing
// to commit.
func (j *Journal) freeze() (*transaction, *logWrite) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.running
	if t.empty() {
		return nil, nil
	}
	var w *logWrite
	if j.log != nil {
		w = j.layOut(t)
	}
	j.committing = t
	j.running = newTransaction(t.tid + 1)
	j.runningTID.Store(uint32(t.tid + 1))
	return t, w
}

// layOut places the transaction's blocks: revoke blocks, then descriptors with their blocks, then the commit block.
func (j *Journal) layOut(t *transaction) *logWrite {
	bs := j.cfg.BlockSize
	blocks, revokes := sorted(t.dirty), sorted(t.revoked)
	w := &logWrite{
		buffer: block.Aligned(j.need(len(blocks), len(revokes))*bs, max(bs, j.log.dev.Align())),
		blocks: make([]frozenBlock, 0, len(blocks)),
	}
	at := 0
	for per := j.code.revokesPerBlock(); len(revokes) > 0; at++ {
		n := min(per, len(revokes))
		w.groups = append(w.groups, group{at: at, revoke: revokes[:n]})
		revokes = revokes[n:]
	}
	for per := j.code.tagsPerBlock(); len(blocks) > 0; {
		n := min(per, len(blocks))
		w.groups = append(w.groups, group{at: at, n: n})
		at++
		for _, b := range blocks[:n] {
			data := w.buffer[at*bs : (at+1)*bs]
			copy(data, t.dirty[b].Data)
			w.blocks = append(w.blocks, frozenBlock{block: b, data: data})
			at++
		}
		blocks = blocks[n:]
	}
	return w
}

// fill makes the descriptor and revoke blocks. The last block, which is for the commit block, stays zero: see
// writeLog.
func (c *codec) fill(w *logWrite, tid TID) {
	blocks := w.blocks
	sum := ^uint32(0)
	for _, g := range w.groups {
		p := w.buffer[g.at*c.blockSize : (g.at+1)*c.blockSize]
		if g.n == 0 {
			c.fillRevoke(p, tid, g.revoke)
			continue
		}
		c.fillDescriptor(p, tid, blocks[:g.n])
		blocks = blocks[g.n:]
		if c.csumV1() {
			sum = crc32be(sum, w.buffer[g.at*c.blockSize:(g.at+1+g.n)*c.blockSize])
		}
	}
	w.sum = sum
}

func (c *codec) fillRevoke(p []byte, tid TID, revoked []uint64) {
	putHeader(p, typeRevoke, tid)
	off := revokeHead
	for _, b := range revoked {
		if c.wide() {
			putBE32(p[off:], uint32(b>>32))
			off += 4
		}
		putBE32(p[off:], uint32(b))
		off += 4
	}
	putBE32(p[headerSize:], uint32(off))
	c.sealTail(p)
}

func (c *codec) fillDescriptor(p []byte, tid TID, blocks []frozenBlock) {
	putHeader(p, typeDescriptor, tid)
	off := headerSize
	for i := range blocks {
		b := &blocks[i]
		t := tag{block: b.block}
		if be32(b.data) == magic {
			putBE32(b.data, 0)
			b.escape = true
			t.flags |= tagEscape
		}
		if i > 0 {
			t.flags |= tagSameUUID
		}
		if i == len(blocks)-1 {
			t.flags |= tagLast
		}
		t.sum = c.dataSum(tid, b.data)
		c.putTag(p[off:], t)
		off += c.tagBytes()
		if i == 0 {
			copy(p[off:], c.uuid[:])
			off += uuidSize
		}
	}
	c.sealTail(p)
}
