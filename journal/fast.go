package journal

import (
	"encoding/binary"
)

// A FastCommit is what one fast commit recorded, in order. Its changes come on top of the last full transaction, after
// those of the fast commits before it.
type FastCommit struct {
	TID     TID
	Records []FastRecord
}

// A FastRecord is a FastAddRange, FastDelRange, FastCreate, FastLink, FastUnlink or FastInode.
type FastRecord interface{ fastRecord() }

// FastAddRange maps Extent, an on-disk struct ext4_extent, in the inode.
type FastAddRange struct {
	Ino    uint32
	Extent [12]byte
}

// FastDelRange unmaps Len blocks from Lblk on.
type FastDelRange struct {
	Ino, Lblk, Len uint32
}

// FastCreate enters a new inode as Name in the directory Parent.
type FastCreate struct {
	Parent, Ino uint32
	Name        string
}

// FastLink enters an inode as Name in the directory Parent.
type FastLink struct {
	Parent, Ino uint32
	Name        string
}

// FastUnlink removes Name from the directory Parent.
type FastUnlink struct {
	Parent, Ino uint32
	Name        string
}

// FastInode is an inode's record, as long as the writer's inode size allows. Its block map is not to be taken over.
type FastInode struct {
	Ino uint32
	Raw []byte
}

func (FastAddRange) fastRecord() {}
func (FastDelRange) fastRecord() {}
func (FastCreate) fastRecord()   {}
func (FastLink) fastRecord()     {}
func (FastUnlink) fastRecord()   {}
func (FastInode) fastRecord()    {}

// Tags of the fast commit area (little endian, unlike the log): fc_tag, fc_len, value.
const (
	fastAddRange = 1
	fastDelRange = 2
	fastCreate   = 3
	fastLink     = 4
	fastUnlink   = 5
	fastInode    = 6
	fastPad      = 7
	fastTail     = 8
	fastHead     = 9

	fastTagSize  = 4
	fastInodeMin = 128
)

// readFast reads the fast commits that belong to transaction tid, the one that was running after the last commit. The
// area is written from its start for each transaction; a fast commit counts when its tail is there and right. What
// follows the last good tail was never complete, or is left from another transaction.
func readFast(log *logDevice, s super, tid TID) ([]FastCommit, error) {
	_, first := s.last()
	if first == 0 {
		return nil, nil
	}
	f := fastReader{tid: tid}
	in := newLogReader(log, s.maxlen())
	for n := first; n < s.maxlen(); n++ {
		p, err := in.block(n)
		if err != nil {
			return nil, err
		}
		if n == first && binary.LittleEndian.Uint16(p) != fastHead {
			break
		}
		if !f.block(p) {
			break
		}
	}
	return f.done, nil
}

// fastReader collects records until a tail makes them a commit.
type fastReader struct {
	tid  TID
	sum  uint32
	open []FastRecord
	done []FastCommit
}

// block takes one block's tags. It reports false where the fast commits end.
func (f *fastReader) block(p []byte) bool {
	for off := 0; off <= len(p)-fastTagSize; {
		tag, n := binary.LittleEndian.Uint16(p[off:]), int(binary.LittleEndian.Uint16(p[off+2:]))
		if n > len(p)-off-fastTagSize {
			return false
		}
		whole := p[off : off+fastTagSize+n]
		if !f.tag(tag, whole, whole[fastTagSize:]) {
			return false
		}
		off += len(whole)
	}
	return true
}

func (f *fastReader) tag(tag uint16, whole, value []byte) bool {
	le := binary.LittleEndian
	switch tag {
	case fastHead:
		// An unknown feature (fc_features) makes the records unreadable, but only a kernel to come writes one.
		if len(value) != 8 || le.Uint32(value) != 0 || TID(le.Uint32(value[4:])) != f.tid {
			return false
		}
	case fastTail:
		if len(value) < 8 {
			return false
		}
		f.sum = crc32c(f.sum, whole[:fastTagSize+4])
		if TID(le.Uint32(value)) != f.tid || le.Uint32(value[4:]) != f.sum {
			return false
		}
		f.done = append(f.done, FastCommit{TID: f.tid, Records: f.open})
		f.open, f.sum = nil, 0
		return true
	case fastPad:
	default:
		r := parseFast(tag, value)
		if r == nil {
			return false
		}
		f.open = append(f.open, r)
	}
	f.sum = crc32c(f.sum, whole)
	return true
}

// parseFast decodes a record's value; nil if it cannot be one.
func parseFast(tag uint16, v []byte) FastRecord {
	le := binary.LittleEndian
	switch tag {
	case fastAddRange:
		if len(v) == 16 {
			return FastAddRange{Ino: le.Uint32(v), Extent: [12]byte(v[4:16])}
		}
	case fastDelRange:
		if len(v) == 12 {
			return FastDelRange{Ino: le.Uint32(v), Lblk: le.Uint32(v[4:]), Len: le.Uint32(v[8:])}
		}
	case fastCreate, fastLink, fastUnlink:
		if len(v) <= 8 || len(v) > 8+255 {
			return nil
		}
		parent, ino, name := le.Uint32(v), le.Uint32(v[4:]), string(v[8:])
		switch tag {
		case fastCreate:
			return FastCreate{parent, ino, name}
		case fastLink:
			return FastLink{parent, ino, name}
		}
		return FastUnlink{parent, ino, name}
	case fastInode:
		if len(v) >= 4+fastInodeMin {
			return FastInode{Ino: le.Uint32(v), Raw: append([]byte(nil), v[4:]...)}
		}
	}
	return nil
}
