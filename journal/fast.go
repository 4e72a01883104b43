package journal

import (
	"encoding/binary"
	"fmt"

	"ext4img/aio/block"
)

// A FastCommit is what one fast commit recorded, in order. Its changes apply on top of the last full transaction and
// of the fast commits before it.
type FastCommit struct {
	TID     TID
	Records []FastRecord
}

// A FastRecord is a FastAddRange, FastDelRange, FastCreate, FastLink, FastUnlink or FastInode. Show yields FastHead and
// FastTail as well.
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

// FastHead begins the fast commits of a transaction.
type FastHead struct {
	Features uint32 // fc_features; none is defined
	TID      TID
}

// FastTail ends one fast commit.
type FastTail struct {
	TID   TID
	SumOK bool // the checksum over the fast commit is right
}

func (FastHead) fastRecord()     {}
func (FastTail) fastRecord()     {}
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

// readFast reads the fast commits that belong to transaction tid, the one that was running after the last commit.
// Each transaction writes the area again from its start. A fast commit counts if its tail is present and right.
// Records after the last good tail were never completed, or are left over from another transaction.
func readFast(log *logDevice, s super, tid TID) ([]FastCommit, error) {
	var done []FastCommit
	var open []FastRecord
	err := walkFast(log, s, func(at uint32, r FastRecord) (bool, error) {
		switch r := r.(type) {
		case FastHead:
			if r.TID == tid && r.Features != 0 {
				return false, fmt.Errorf("journal: log block %d: fast commit features 0x%x: %w", at, r.Features, ErrUnsupported)
			}
			return r.TID == tid, nil
		case FastTail:
			if r.TID != tid || !r.SumOK {
				return false, nil
			}
			done = append(done, FastCommit{TID: tid, Records: open})
			open = nil
		default:
			open = append(open, r)
		}
		return true, nil
	})
	return done, err
}

// walkFast calls fn with each record of the fast commit area, until fn returns false or the bytes are no record. It
// leaves out paddings.
func walkFast(log *logDevice, s super, fn func(at uint32, r FastRecord) (bool, error)) error {
	_, first := s.last()
	if first == 0 {
		return nil
	}
	in := newLogReader(log, s.maxlen())
	var sum uint32 // since the last tail
	for n := first; n < s.maxlen(); n++ {
		p, err := in.block(n)
		if err != nil {
			return err
		}
		if n == first && binary.LittleEndian.Uint16(p) != fastHead {
			return nil
		}
		for len(p) >= fastTagSize {
			tag, size := binary.LittleEndian.Uint16(p), int(binary.LittleEndian.Uint16(p[2:]))
			if size > len(p)-fastTagSize {
				return nil
			}
			whole := p[:fastTagSize+size]
			p = p[len(whole):]
			if tag == fastPad {
				sum = block.Crc32c(sum, whole)
				continue
			}
			r := parseFast(tag, whole[fastTagSize:])
			if r == nil {
				return nil
			}
			if tail, ok := r.(FastTail); ok {
				tail.SumOK = block.Crc32c(sum, whole[:fastTagSize+4]) == binary.LittleEndian.Uint32(whole[fastTagSize+4:])
				r, sum = tail, 0
			} else {
				sum = block.Crc32c(sum, whole)
			}
			if more, err := fn(n, r); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// parseFast decodes a record's value, or returns nil if the value does not fit the tag.
func parseFast(tag uint16, v []byte) FastRecord {
	le := binary.LittleEndian
	switch tag {
	case fastHead:
		if len(v) == 8 {
			return FastHead{Features: le.Uint32(v), TID: TID(le.Uint32(v[4:]))}
		}
	case fastTail: // its length is the rest of the block
		if len(v) >= 8 {
			return FastTail{TID: TID(le.Uint32(v))}
		}
	case fastAddRange:
		if len(v) == 16 {
			return FastAddRange{Ino: le.Uint32(v), Extent: [12]byte(v[4:16])}
		}
	case fastDelRange:
		if len(v) == 12 {
			return FastDelRange{Ino: le.Uint32(v), Lblk: le.Uint32(v[4:]), Len: le.Uint32(v[8:])}
		}
	case fastCreate, fastLink, fastUnlink:
		if len(v) > 8 && len(v) <= 8+255 {
			return parseFastName(tag, le.Uint32(v), le.Uint32(v[4:]), string(v[8:]))
		}
	case fastInode:
		if len(v) >= 4+fastInodeMin {
			return FastInode{Ino: le.Uint32(v), Raw: append([]byte(nil), v[4:]...)}
		}
	}
	return nil
}

func parseFastName(tag uint16, parent, ino uint32, name string) FastRecord {
	switch tag {
	case fastCreate:
		return FastCreate{parent, ino, name}
	case fastLink:
		return FastLink{parent, ino, name}
	}
	return FastUnlink{parent, ino, name}
}
