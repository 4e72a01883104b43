package journal

import (
	"encoding/binary"
	"time"

	"ext4img/aio"
)

// Info is what the journal superblock says.
type Info struct {
	Version    int // 1 or 2
	BlockSize  int
	Blocks     uint32 // s_maxlen
	First      uint32 // s_first
	Start      uint32 // s_start; 0: the log is empty
	Sequence   TID    // s_sequence
	Errno      int32  // s_errno
	Features   Features
	ChecksumV1 bool   // commit blocks carry a version 1 checksum
	FastBlocks uint32 // length of the fast commit area
	UUID       [16]byte
}

// ReadInfo reads and checks the journal superblock.
func ReadInfo(dev aio.Device, area Area) (*Info, error) {
	log, err := newLogDevice(dev, area)
	if err != nil {
		return nil, err
	}
	s, err := log.readSuper()
	if err != nil {
		return nil, err
	}
	i := &Info{
		Version: 2, BlockSize: log.blockSize, Blocks: s.maxlen(), First: s.first(), Start: s.start(), Sequence: s.sequence(),
		Errno: s.errno(), Features: s.features(), ChecksumV1: s.compat()&compatChecksum != 0,
		UUID: s.codec(log.blockSize).uuid,
	}
	if s.version1() {
		i.Version = 1
	}
	if _, fast := s.last(); fast != 0 {
		i.FastBlocks = s.maxlen() - fast
	}
	return i, nil
}

// Kind says what an Entry is.
type Kind int

// The kinds of entries. Kinds of log blocks have the numbers of h_blocktype.
const (
	KindEnd        Kind = 0 // the walk ends here; TID and Found say why
	KindDescriptor Kind = typeDescriptor
	KindCommit     Kind = typeCommit
	KindRevoke     Kind = typeRevoke
	KindFast       Kind = 100 // one record of the fast commit area
)

// An Entry is one block of the log that is not data, or one record of the fast commit area.
type Entry struct {
	Kind    Kind
	Block   uint32     // log block
	TID     TID        // the transaction that the walk expects here
	SumOK   bool       // the block's own checksum is right, or the format has none
	Tags    []EntryTag // of a descriptor
	Revoked []uint64   // of a revoke block
	Time    time.Time  // of a commit
	Record  FastRecord // of KindFast

	// At the end of the log: the block has the magic, but another sequence number or an unknown type.
	Magic     bool
	Found     TID
	FoundType uint32
}

// An EntryTag is one block that a descriptor describes.
type EntryTag struct {
	Block uint64 // home
	Log   uint32 // log block
	Flags uint32 // 1 escaped, 2 same UUID, 4 deleted, 8 last
	SumOK bool
}

// Show walks the log block by block from its start. It calls fn for each block that is not data, for the block that
// ends the log, and for each record of the fast commit area. It does not stop at wrong checksums. If the log is
// empty, it reports the fast commit area only. An error of fn ends the walk and is returned.
func Show(dev aio.Device, area Area, fn func(Entry) error) error {
	log, err := newLogDevice(dev, area)
	if err != nil {
		return err
	}
	s, err := log.readSuper()
	if err != nil {
		return err
	}
	if s.start() != 0 {
		c := newScanner(log, s, uint64(dev.Size())/uint64(log.blockSize))
		for {
			e, err := c.show()
			if err != nil {
				return err
			}
			if err := fn(e); err != nil {
				return err
			}
			if e.Kind == KindEnd {
				break
			}
		}
	}
	return walkFast(log, s, func(at uint32, r FastRecord) (bool, error) {
		return true, fn(Entry{Kind: KindFast, Block: at, SumOK: true, Record: r})
	})
}

// show decodes the block at the current place and moves on.
func (c *scanner) show() (Entry, error) {
	e := Entry{Block: c.pos, TID: c.tid, SumOK: true}
	p, err := c.in.block(c.pos)
	if err != nil {
		return e, err
	}
	h, ok := parseHeader(p)
	if e.Magic = ok; ok {
		e.Found, e.FoundType = h.tid, h.kind
	}
	if !ok || h.tid != c.tid {
		return e, nil
	}
	if err := c.advance(e.Block, 1); err != nil {
		return e, err
	}
	switch h.kind {
	case typeDescriptor:
		e.Kind, e.SumOK = KindDescriptor, c.code.tailOK(p)
		e.Tags, err = c.showTags(c.code.tags(p), e.Block)
	case typeRevoke:
		e.Kind, e.SumOK = KindRevoke, c.code.tailOK(p)
		e.Revoked, ok = c.code.revokes(p)
		e.SumOK = e.SumOK && ok
	case typeCommit:
		e.Kind, e.SumOK = KindCommit, c.commitSumOK(p)
		e.Time = time.Unix(int64(binary.BigEndian.Uint64(p[commitSec:])), int64(be32(p[commitNsec:])))
		c.tid++
		c.t.sum = ^uint32(0)
	}
	return e, err
}

func (c *scanner) showTags(tags []tag, at uint32) ([]EntryTag, error) {
	out := make([]EntryTag, 0, len(tags))
	if c.code.csumV1() {
		p, err := c.in.block(at)
		if err != nil {
			return nil, err
		}
		c.t.sum = crc32be(c.t.sum, p)
	}
	for _, t := range tags {
		pos := c.pos
		if err := c.advance(at, 1); err != nil {
			return nil, err
		}
		p, err := c.in.block(pos)
		if err != nil {
			return nil, err
		}
		if c.code.csumV1() {
			c.t.sum = crc32be(c.t.sum, p)
		}
		out = append(out, EntryTag{t.block, pos, t.flags, c.code.dataSum(c.tid, p) == t.sum || !c.code.csumV2or3()})
	}
	return out, nil
}
