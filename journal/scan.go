package journal

import (
	"encoding/binary"
	"fmt"

	"ext4img/aio/block"
)

// scanned is what the log holds.
type scanned struct {
	transactions  int
	next          TID // the first that is not there
	latest        map[uint64]copyInLog
	revokedCopies int
}

// A copyInLog is the newest copy of a home block.
type copyInLog struct {
	tid    TID
	log    uint32
	escape bool
}

// scanner walks the log from its start to its end, one transaction after the other, and changes nothing. It keeps
// where each block's newest copy is, not the copies.
//
// The log ends where the next transaction is not whole: a block has no magic or another sequence number, or the
// commit block is missing. Every crash leaves a log like that. A log is corrupt if a transaction was committed and
// its blocks are not what was written: then nothing at all may be replayed.
type scanner struct {
	log   *logDevice
	code  *codec
	in    *logReader
	first uint32
	last  uint32
	limit uint64 // blocks of the file system's device

	pos      uint32 // next log block
	used     uint32 // log blocks passed so far
	tid      TID    // the TID expected next
	lastTime uint64 // h_commit_sec of the last commit
	t        pending
	found    scanned
	revoked  map[uint64]TID
	bad      []badCopy
}

// pending is the transaction whose commit block has not been seen yet.
type pending struct {
	defect  error // a wrong descriptor or revoke block; an error only if the transaction was committed
	copies  []pendingCopy
	revokes []uint64
	badData int    // copies with a wrong checksum
	sum     uint32 // checksum version 1
}

type pendingCopy struct {
	block uint64
	log   uint32
	flags uint32
	bad   bool
}

// badCopy is a committed copy whose checksum is wrong. It is harmless only if the block was revoked.
type badCopy struct {
	block uint64
	tid   TID
	log   uint32
}

func newScanner(log *logDevice, s super, limit uint64) *scanner {
	last, _ := s.last()
	c := &scanner{
		log: log, code: s.codec(log.blockSize), in: newLogReader(log, last), first: s.first(), last: last, limit: limit,
		pos: s.start(), tid: s.sequence(), revoked: make(map[uint64]TID),
	}
	c.found.latest = make(map[uint64]copyInLog)
	c.t.sum = ^uint32(0)
	return c
}

func (c *scanner) corrupt(at uint32, format string, args ...any) error {
	return fmt.Errorf("journal: log block %d: transaction %d: %s: %w", at, c.tid, fmt.Sprintf(format, args...), ErrCorrupt)
}

// scan reads and verifies the whole log.
func scan(log *logDevice, s super, limit uint64) (*scanned, error) {
	c := newScanner(log, s, limit)
	for {
		more, err := c.step()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
	}
	for _, b := range c.bad {
		if !c.isRevoked(b.block, b.tid) {
			c.tid = b.tid
			return nil, c.corrupt(b.log, "checksum of the copy of block %d is wrong", b.block)
		}
	}
	for block, p := range c.found.latest {
		if c.isRevoked(block, p.tid) {
			delete(c.found.latest, block)
			c.found.revokedCopies++
		}
	}
	c.found.next = c.tid
	return &c.found, nil
}

// isRevoked reports whether the block was revoked in transaction tid or later.
func (c *scanner) isRevoked(block uint64, tid TID) bool {
	r, ok := c.revoked[block]
	return ok && !r.Before(tid)
}

// step handles the next log block that is not data. It reports false at the end of the log.
func (c *scanner) step() (bool, error) {
	at := c.pos
	p, err := c.in.block(at)
	if err != nil {
		return false, err
	}
	h, ok := parseHeader(p)
	if !ok {
		return false, nil
	}
	if h.tid != c.tid {
		return false, c.jump(h, at)
	}
	if err := c.advance(at, 1); err != nil {
		return false, err
	}
	switch h.kind {
	case typeDescriptor:
		return c.descriptor(p, at)
	case typeRevoke:
		c.revoke(p, at)
		return true, nil
	case typeCommit:
		return c.commit(p, at)
	}
	return false, nil
}

// advance moves n log blocks forward, from the end of the area back to its beginning. A log that is longer than its
// area is an error.
func (c *scanner) advance(at uint32, n int) error {
	size := c.last - c.first
	if n > int(size-c.used) {
		return c.corrupt(at, "%d blocks from here, %d before, the log has %d: it goes round", n, c.used, size)
	}
	c.used += uint32(n)
	c.pos += uint32(n)
	if c.pos >= c.last {
		c.pos -= size
	}
	return nil
}

// descriptor reads the data blocks that p describes.
func (c *scanner) descriptor(p []byte, at uint32) (bool, error) {
	tags := c.code.tags(p)
	if !c.code.tailOK(p) {
		// This may be the end of the log, with old bytes. Whether a commit block follows decides.
		c.defect(c.corrupt(at, "descriptor block: checksum is wrong"))
		if c.advance(at, len(tags)) != nil {
			return false, nil
		}
		return true, nil
	}
	if c.code.csumV1() {
		c.t.sum = crc32be(c.t.sum, p)
	}
	for _, t := range tags {
		pos := c.pos
		if err := c.advance(at, 1); err != nil {
			return false, err
		}
		copied := pendingCopy{block: t.block, log: pos, flags: t.flags}
		if c.code.csumV1() || c.code.csumV2or3() {
			data, err := c.in.block(pos)
			if err != nil {
				return false, err
			}
			if c.code.csumV1() {
				c.t.sum = crc32be(c.t.sum, data)
			} else if copied.bad = c.code.dataSum(c.tid, data) != t.sum; copied.bad {
				c.t.badData++
			}
		}
		c.t.copies = append(c.t.copies, copied)
	}
	return true, nil
}

func (c *scanner) revoke(p []byte, at uint32) {
	if !c.code.tailOK(p) {
		c.defect(c.corrupt(at, "revoke block: checksum is wrong"))
		return
	}
	blocks, ok := c.code.revokes(p)
	if !ok {
		c.defect(c.corrupt(at, "revoke block: count %d is wrong", be32(p[headerSize:])))
		return
	}
	for _, b := range blocks {
		if b < c.limit {
			c.t.revokes = append(c.t.revokes, b)
		}
	}
}

func (c *scanner) defect(err error) {
	if c.t.defect == nil {
		c.t.defect = err
	}
}

// commit ends the transaction. A commit block that is older than the last one is left over from an earlier round of
// the log.
func (c *scanner) commit(p []byte, at uint32) (bool, error) {
	when := binary.BigEndian.Uint64(p[commitSec:])
	stale := when < c.lastTime
	defect := c.t.defect
	if defect == nil && !c.commitSumOK(p) {
		defect = c.corrupt(at, "commit block: checksum is wrong")
	}
	async := c.code.features&FeatureAsyncCommit != 0
	if defect == nil && async && c.t.badData > 0 {
		defect = c.corrupt(at, "%d blocks: checksum is wrong", c.t.badData)
	}
	if defect != nil {
		if stale {
			return false, nil
		}
		if async {
			// In the last transaction, the commit block may have reached the disk before the other blocks.
			if next, err := c.in.block(c.pos); err != nil {
				return false, err
			} else if h, ok := parseHeader(next); !ok || h.tid != c.tid+1 {
				return false, nil
			}
		}
		return false, defect
	}
	if err := c.take(); err != nil {
		return false, err
	}
	c.lastTime = when
	c.tid++
	c.found.transactions++
	c.t = pending{sum: ^uint32(0), copies: c.t.copies[:0], revokes: c.t.revokes[:0]}
	return true, nil
}

func (c *scanner) commitSumOK(p []byte) bool {
	if !c.code.csumV1() {
		return c.code.commitOK(p)
	}
	kind, size, sum := p[commitChksumType], p[commitChksumSize], be32(p[commitChksum:])
	if kind == 0 && size == 0 && sum == 0 {
		return true // the writer stored no checksum
	}
	return kind == checksumCRC32 && size == 4 && sum == c.t.sum
}

// take adds the transaction, which is committed, to what the log holds.
func (c *scanner) take() error {
	for _, p := range c.t.copies {
		if p.block >= c.limit {
			return c.corrupt(p.log, "copy of block %d, the device has %d", p.block, c.limit)
		}
		if c.log.holds(p.block) {
			return c.corrupt(p.log, "copy of block %d, which is the journal's own", p.block)
		}
		if p.bad {
			c.bad = append(c.bad, badCopy{p.block, c.tid, p.log})
		}
		c.found.latest[p.block] = copyInLog{tid: c.tid, log: p.log, escape: p.flags&tagEscape != 0}
	}
	for _, b := range c.t.revokes {
		c.revoked[b] = c.tid
	}
	return nil
}

// jump handles a block whose transaction is not the expected one. If the block is older, it is left over from an
// earlier round, and the log ends here. If it starts a later transaction that is whole and was committed after ours,
// then a transaction is missing and the log is corrupt.
func (c *scanner) jump(h header, at uint32) error {
	size := c.last - c.first
	if ahead := int32(h.tid - c.tid); ahead <= 0 || uint32(ahead) > size {
		return nil
	}
	probe := &scanner{
		log: c.log, code: c.code, in: newLogReader(c.log, c.last), first: c.first, last: c.last, limit: c.limit,
		pos: at, used: c.used, tid: h.tid, lastTime: c.lastTime, revoked: make(map[uint64]TID),
	}
	probe.found.latest = make(map[uint64]copyInLog)
	probe.t.sum = ^uint32(0)
	for probe.tid == h.tid {
		p, err := probe.in.block(probe.pos)
		if err != nil {
			return err
		}
		if next, ok := parseHeader(p); !ok || next.tid != h.tid {
			return nil
		}
		more, err := probe.step()
		if err != nil || !more {
			return nil // not a whole transaction: left over from an earlier round
		}
	}
	return c.corrupt(at, "found transaction %d, committed later", h.tid)
}

// A logReader reads single log blocks through a window. It is made for walks that go forward.
type logReader struct {
	log    *logDevice
	last   uint32
	window []byte
	from   uint32
	n      uint32 // blocks in the window
}

const windowBytes = 1 << 20

func newLogReader(log *logDevice, last uint32) *logReader {
	blocks := min(uint32(max(1, windowBytes/log.blockSize)), max(1, last))
	return &logReader{log: log, last: last, window: block.Aligned(int(blocks)*log.blockSize, max(log.blockSize, log.dev.Align()))}
}

// block returns log block n, valid until the next call.
func (r *logReader) block(n uint32) ([]byte, error) {
	bs := uint32(r.log.blockSize)
	if n < r.from || n-r.from >= r.n {
		count := min(uint32(len(r.window))/bs, r.last-n)
		r.n = 0
		if err := r.log.read(n, r.window[:count*bs]); err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		r.from, r.n = n, count
	}
	i := n - r.from
	return r.window[i*bs : (i+1)*bs], nil
}
