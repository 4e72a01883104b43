package check

import (
	"bytes"
	"fmt"
	"math"
	"sync"

	"ext4img/ext4/layout"
)

// Extended attributes are stored in the inode after its fields, and in a block that inodes with equal attributes may
// share.
const (
	xattrMagic      = 0xEA020000
	xattrEntrySize  = 16
	xattrHeaderSize = 32
)

// xattrEntry is an entry as it is on disk.
type xattrEntry struct {
	at        int // offset in the area of entries
	nameLen   int
	nameIndex uint8
	valueOff  int
	valueIno  uint32
	valueSize int
	hash      uint32
	name      []byte // cut at the end of the area
}

// classKnown reports whether the kernel has attributes of the entry's name index.
func (e xattrEntry) classKnown() bool {
	_, known := layout.XattrPrefix(e.nameIndex)
	return known
}

// fullName is the name with the prefix of its index. As in e2fsck, the name ends at a NUL, and an unknown index has
// no prefix.
func (e xattrEntry) fullName() string {
	name, _, _ := bytes.Cut(e.name, []byte{0})
	prefix, _ := layout.XattrPrefix(e.nameIndex)
	return prefix + string(name)
}

// xattrAt decodes the entry at offset at of p. ok is false at the end of the list, and if there is no room for an
// entry.
func xattrAt(p []byte, at int) (e xattrEntry, ok bool) {
	if at+xattrEntrySize > len(p) || le.Uint32(p[at:]) == 0 {
		return e, false
	}
	b := p[at:]
	e = xattrEntry{at: at, nameLen: int(b[0]), nameIndex: b[1], valueOff: int(le.Uint16(b[2:])), valueIno: le.Uint32(b[4:]),
		valueSize: int(min(le.Uint32(b[8:]), math.MaxInt32/2)), hash: le.Uint32(b[12:])}
	e.name = b[xattrEntrySize:min(len(b), xattrEntrySize+e.nameLen)]
	return e, true
}

func pad4(n int) int { return (n + 3) &^ 3 }

// size is the room an entry takes, without its value.
func (e xattrEntry) size() int { return pad4(xattrEntrySize + e.nameLen) }

// hashOf computes the hash of an entry's name and value (nil if the value is in an inode of its own). signed says
// that the bytes of the name count as signed.
func (e xattrEntry) hashOf(value []byte, signed bool) uint32 {
	var h uint32
	for _, b := range e.name {
		v := uint32(b)
		if signed {
			v = uint32(int32(int8(b)))
		}
		h = h<<5 ^ h>>27 ^ v
	}
	var word [4]byte
	for ; len(value) > 0; value = value[min(4, len(value)):] {
		word = [4]byte{}
		copy(word[:], value)
		h = h<<16 ^ h>>16 ^ le.Uint32(word[:])
	}
	return h
}

// hashOK compares e_hash of an entry with the hash of its name and value.
func (e xattrEntry) hashOK(value []byte) bool {
	return e.hash == e.hashOf(value, false) || e.hash == e.hashOf(value, true)
}

// regions records which bytes of an area are taken.
type regions struct {
	size int
	runs [][2]int
}

// take takes n bytes. It returns false if some of them are outside the area or taken already.
func (r *regions) take(at, n int) bool {
	if n <= 0 || at < 0 || at+n > r.size {
		return false
	}
	for _, o := range r.runs {
		if at < o[1] && o[0] < at+n {
			return false
		}
	}
	r.runs = append(r.runs, [2]int{at, at + n})
	return true
}

// checkExtraSpace checks the bytes after the first 128 of an inode: i_extra_isize, attributes, times.
func (k *inodeCheck) checkExtraSpace() {
	g := k.g
	if g.isize == 128 {
		return
	}
	room := g.isize - 128
	extra := int(le.Uint16(k.rec[iExtraIsize:]))
	if extra != 0 && (extra < 4 || extra > room || extra&3 != 0) {
		k.bad(codeExtraIsize, extra, nil)
		return
	}
	if extra >= room-4 {
		return
	}
	if le.Uint32(k.rec[128+extra:]) == xattrMagic {
		k.checkBodyXattrs(k.rec[128+extra:])
	}
	k.checkTimes(extra)
}

// checkTimes reports times that were stored in the way in which old systems stored times before 1970.
func (k *inodeCheck) checkTimes(extra int) {
	for _, t := range []struct{ at, more int }{{iAtime, iAtimeExtra}, {iMtime, iMtimeExtra}, {iCtime, iCtimeExtra}, {iCrtime, iCrtimeExtra}} {
		if 128+extra < t.more+4 || len(k.rec) < t.more+4 {
			continue
		}
		if le.Uint32(k.rec[t.at:])>>31 != 0 && le.Uint32(k.rec[t.more:])&3 == 3 {
			k.bad(codeTime, nil, nil)
			return
		}
	}
}

// checkBodyXattrs checks the attributes in an inode. p begins with their magic number and ends with the record.
func (k *inodeCheck) checkBodyXattrs(p []byte) {
	body := p[4:]
	remain := len(body)
	taken := regions{size: len(p)}
	taken.take(0, 4)
	at := 0
	for remain >= xattrEntrySize {
		e, ok := xattrAt(body, at)
		if !ok {
			break
		}
		if !e.classKnown() {
			k.bad(codeXattrClass, e.nameIndex, nil)
		}
		code, used := k.checkBodyEntry(body, e, &taken, remain)
		if code != "" {
			k.c.rep.add(code, k.at().say("in the inode"))
			k.countEARefs(body)
			return
		}
		remain -= used
		at += e.size()
	}
	if !taken.take(4+at, 4) {
		k.c.rep.add(codeXattrCollision, k.at().say("in the inode"))
	}
	k.countEARefs(body)
}

// checkBodyEntry checks one attribute in an inode, and returns the room that it takes.
func (k *inodeCheck) checkBodyEntry(body []byte, e xattrEntry, taken *regions, remain int) (Code, int) {
	if !taken.take(4+e.at, e.size()) {
		return codeXattrCollision, 0
	}
	remain -= xattrEntrySize
	if pad4(e.nameLen) > remain {
		return codeXattrName, 0
	}
	remain -= pad4(e.nameLen)
	used := xattrEntrySize + pad4(e.nameLen)
	if e.valueIno != 0 {
		blocks, code := k.checkValueInode(e)
		k.eaBlocks += blocks
		k.eaInodes++
		return code, used
	}
	if e.valueSize > remain {
		return codeXattrValue, 0
	}
	var value []byte // an empty value takes no room, whatever e_value_offs says
	if e.valueSize > 0 {
		if !taken.take(4+e.valueOff, pad4(e.valueSize)) {
			return codeXattrCollision, 0
		}
		if e.valueOff+e.valueSize > len(body) {
			return codeXattrValue, 0
		}
		value = body[e.valueOff:][:e.valueSize]
	}
	if e.hash != 0 && !e.hashOK(value) {
		return codeXattrHash, 0
	}
	return "", used + e.valueSize
}

// checkValueInode checks the inode that holds the value of an attribute, and returns the blocks that it accounts for.
func (k *inodeCheck) checkValueInode(e xattrEntry) (uint64, Code) {
	g := k.g
	rec, err := k.c.readInode(layout.Ino(e.valueIno))
	if err != nil || e.valueIno < g.firstIno {
		return 0, codeXattrInode
	}
	in := layout.Inode(rec)
	hash := le.Uint32(rec[iAtime:])
	want := func(signed bool) uint32 { h := e.hashOf(nil, signed); return h<<16 ^ h>>16 ^ hash }
	marked := in.HasFlag(layout.FlagEAInode)
	blocks := uint64(0)
	switch {
	case e.hash == want(false) || e.hash == want(true):
		size := uint64(g.ratio) << g.bits
		blocks = (uint64(e.valueSize) + size - 1) / size * uint64(g.ratio)
	case le.Uint32(rec[iMtime:]) == uint32(k.ino) && in.Generation() == k.in.Generation():
		// A reference of the old kind: the inode names its only user.
	case !marked:
		return 0, codeXattrInode
	default:
		return 0, codeXattrHash
	}
	if !marked {
		return 0, codeXattrInodeFlag
	}
	return blocks, ""
}

// countEARefs counts the references from an area of entries to inodes that hold values.
func (k *inodeCheck) countEARefs(p []byte) {
	for at := 0; ; {
		e, ok := xattrAt(p, at)
		if !ok {
			return
		}
		if e.valueIno != 0 {
			k.c.eaRefs.add(layout.Ino(e.valueIno))
		}
		at += e.size()
	}
}

// eaRefs counts, for each inode that holds a value, the attributes that refer to it.
type eaRefs struct {
	mu sync.Mutex
	n  map[layout.Ino]uint64
}

func (r *eaRefs) init() { r.n = map[layout.Ino]uint64{} }

func (r *eaRefs) add(ino layout.Ino) {
	r.mu.Lock()
	r.n[ino]++
	r.mu.Unlock()
}

// errNotAsked: e2fsck has no question for this problem when it looks for inline data, and ends.
var errNotAsked = fmt.Errorf("attributes: %w", layout.ErrCorrupt)

// xattrValue reads one attribute of an inode, from the record or from its xattr block. It returns an error if an
// attribute before it is wrong.
func (w *worker) xattrValue(ino layout.Ino, rec []byte, name string) ([]byte, error) {
	g := w.c.geo
	var found []byte
	have := false
	look := func(entries, values []byte) error {
		return w.eachXattr(ino, rec, entries, values, func(e xattrEntry, v []byte) {
			if !have && e.fullName() == name {
				found, have = v, true
			}
		})
	}
	if g.isize > 128 {
		extra := int(le.Uint16(rec[iExtraIsize:]))
		if extra >= 2 && g.isize > 128+extra+4 {
			if extra&3 != 0 {
				return nil, fmt.Errorf("i_extra_isize %d: %w", extra, errNotAsked)
			}
			if le.Uint32(rec[128+extra:]) == xattrMagic {
				body := rec[128+extra+4:]
				if err := look(body, body); err != nil {
					return nil, err
				}
			}
		}
	}
	if b := g.fileACL(rec); b != 0 {
		p, err := w.readXattrBlock(b)
		if err != nil {
			return nil, err
		}
		if err := look(p[xattrHeaderSize:], p); err != nil {
			return nil, err
		}
	}
	if !have {
		return nil, layout.Corruptf("no such attribute")
	}
	return found, nil
}

// readXattrBlock reads an xattr block, and returns an error if the block is wrong.
func (w *worker) readXattrBlock(b uint64) ([]byte, error) {
	g := w.c.geo
	if !g.valid(b) {
		return nil, layout.Corruptf("xattr block %d", b)
	}
	p, err := w.cache.read(b)
	if err != nil {
		return nil, err
	}
	if le.Uint32(p) != xattrMagic || le.Uint32(p[8:]) != 1 {
		return nil, layout.Corruptf("xattr block %d: header", b)
	}
	if !g.xattrBlockChecksumOK(b, p) {
		return nil, layout.Corruptf("xattr block %d: checksum", b)
	}
	return p, nil
}

// eachXattr calls fn for the attributes of an area. Offsets of values count from the start of values.
func (w *worker) eachXattr(ino layout.Ino, rec, entries, values []byte, fn func(e xattrEntry, v []byte)) error {
	end := 0
	for e, ok := xattrAt(entries, 0); ok; e, ok = xattrAt(entries, end) {
		if end+e.size() > len(entries) {
			return layout.Corruptf("attribute with a name of %d bytes", e.nameLen)
		}
		end += e.size()
	}
	used, shift := 0, len(values)-len(entries)
	for e, ok := xattrAt(entries, 0); ok; e, ok = xattrAt(entries, e.at+e.size()) {
		used += e.size()
		v, err := w.xattrBytes(ino, rec, e, values, shift+end+4)
		if err != nil {
			return err
		}
		if e.valueIno == 0 {
			if used += e.valueSize; used > len(entries) {
				return layout.Corruptf("attributes of %d bytes", used)
			}
		}
		fn(e, v)
	}
	return nil
}

// xattrBytes returns the value of an attribute. A value in an inode of its own is checked but not read. No value may
// begin before offset least.
func (w *worker) xattrBytes(ino layout.Ino, rec []byte, e xattrEntry, values []byte, least int) ([]byte, error) {
	if e.valueIno != 0 {
		k := &inodeCheck{w: w, c: w.c, g: w.c.geo, ino: ino, rec: rec, in: layout.Inode(rec)}
		_, code := k.checkValueInode(e)
		switch {
		case !w.c.geo.hasIncompat(layout.IncompatEAInode), e.valueOff != 0, e.valueSize > 64<<10:
			return nil, layout.Corruptf("attribute with its value in inode %d", e.valueIno)
		case e.valueIno > w.c.geo.inodes:
			return nil, fmt.Errorf("value in inode %d: %w", e.valueIno, errNotAsked)
		case code != "":
			return nil, layout.Corruptf("attribute with its value in inode %d", e.valueIno)
		}
		return nil, nil
	}
	if e.valueOff+e.valueSize > len(values) || e.valueSize > 0 && e.valueOff < least {
		return nil, layout.Corruptf("attribute with a value at %d of %d bytes", e.valueOff, e.valueSize)
	}
	v := values[e.valueOff:][:e.valueSize]
	if e.hash != 0 && !e.hashOK(v) {
		return nil, fmt.Errorf("hash %#x: %w", e.hash, errNotAsked)
	}
	return v, nil
}
