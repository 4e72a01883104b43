package layout

import (
	"fmt"
	"strings"

	"ext4img/aio/block"
)

// MaxNameLen is EXT4_NAME_LEN: the longest name in a directory, bytes.
const MaxNameLen = 255

// Values of file_type in a directory entry.
const (
	FTUnknown uint8 = 0 // also every entry without the filetype feature
	FTRegular uint8 = 1
	FTDir     uint8 = 2
	FTChar    uint8 = 3
	FTBlock   uint8 = 4
	FTFifo    uint8 = 5
	FTSocket  uint8 = 6
	FTSymlink uint8 = 7
)

const (
	direntHead  = 8    // inode, rec_len, name_len, file_type
	direntMin   = 12   // the shortest record
	direntTail  = 12   // struct ext4_dir_entry_tail
	tailType    = 0xDE // det_reserved_ft
	direntHash  = 8    // hash and minor hash after the name, in directories that are casefolded and encrypted
	direntAlign = 4
)

// A Dirent is one record of a directory block. If Ino is 0, the record is unused space.
type Dirent struct {
	Off    int // offset of the record in its block, bytes
	RecLen int // length of the record, bytes
	Ino    Ino
	Type   uint8  // FTRegular, …; FTUnknown without the filetype feature
	Name   []byte // a part of the block
}

// DirFormat says how the entries of one directory are laid out in its blocks.
type DirFormat struct {
	BlockSize int    // of the file system
	Inodes    uint32 // s_inodes_count
	FileType  bool   // entries have a file type
	Tail      bool   // leaf blocks end in a checksum
	Encrypted bool   // names are ciphertext: any byte
	Hashed    bool   // casefolded and encrypted: a hash follows each name
}

// DirFormat is the format of a directory with these i_flags.
func (g *Geometry) DirFormat(encrypted, casefold bool) DirFormat {
	return DirFormat{
		BlockSize: g.BlockSize, Inodes: g.Inodes, FileType: g.Incompat&IncompatFiletype != 0, Tail: g.MetadataCsum(),
		Encrypted: encrypted, Hashed: encrypted && casefold,
	}
}

// RecLen is the room that an entry with a name of n bytes needs.
func (f DirFormat) RecLen(n int) int {
	n += direntHead
	if f.Hashed {
		n += direntHash
	}
	return max(direntMin, (n+direntAlign-1)&^(direntAlign-1))
}

// Capacity is the room for entries in a leaf block, bytes.
func (f DirFormat) Capacity() int {
	if f.Tail {
		return f.BlockSize - direntTail
	}
	return f.BlockSize
}

// needed is the room that an entry needs, with its hash if it has one; "." and ".." never have a hash.
func (f DirFormat) needed(e Dirent) int {
	if e.Ino == 0 {
		return 0
	}
	if f.Hashed && (string(e.Name) == "." || string(e.Name) == "..") {
		return direntMin
	}
	return f.RecLen(len(e.Name))
}

// recLen decodes rec_len. Blocks of 64 KiB need 17 bits; the two high ones are stored in the two low bits.
func (f DirFormat) recLen(raw uint16) int {
	if f.BlockSize < MaxBlockSize {
		return int(raw)
	}
	if raw == 0xFFFF || raw == 0 {
		return f.BlockSize
	}
	return int(raw)&^3 | int(raw&3)<<16
}

func (f DirFormat) putRecLen(p []byte, n int) {
	if n == MaxBlockSize {
		n = 0xFFFF
	}
	le.PutUint16(p[4:], uint16(n))
}

// At decodes the record at off in p, the entries of a block (or of an inline directory), and checks it as
// __ext4_check_dir_entry does. With an error, RecLen leads to the next record, or is 0 where that cannot be told.
func (f DirFormat) At(p []byte, off int) (Dirent, error) {
	if off < 0 || off+direntMin > len(p) {
		return Dirent{}, Corruptf("entry at %d: beyond the %d bytes for entries", off, len(p))
	}
	raw := p[off:]
	e := Dirent{Off: off, RecLen: f.recLen(le.Uint16(raw[4:])), Ino: Ino(le.Uint32(raw))}
	nameLen := int(raw[6])
	if f.FileType {
		e.Type = raw[7]
	}
	switch left := len(p) - off - e.RecLen; {
	case e.RecLen < direntMin || e.RecLen%direntAlign != 0:
		return Dirent{}, Corruptf("entry at %d: rec_len %d", off, e.RecLen)
	case left < 0:
		return Dirent{}, Corruptf("entry at %d: rec_len %d of %d bytes left", off, e.RecLen, len(p)-off)
	case left > 0 && left < direntMin:
		return Dirent{}, Corruptf("entry at %d: rec_len %d leaves %d bytes", off, e.RecLen, left)
	case direntHead+nameLen > e.RecLen:
		return Dirent{Off: off, RecLen: e.RecLen}, Corruptf("entry at %d: name_len %d in rec_len %d", off, nameLen, e.RecLen)
	case uint32(e.Ino) > f.Inodes:
		return Dirent{Off: off, RecLen: e.RecLen}, Corruptf("entry at %d: inode %d of %d", off, e.Ino, f.Inodes)
	}
	e.Name = raw[direntHead : direntHead+nameLen]
	if f.needed(e) > e.RecLen {
		return Dirent{Off: off, RecLen: e.RecLen}, Corruptf("entry at %d: name_len %d in rec_len %d", off, nameLen, e.RecLen)
	}
	return e, nil
}

// CheckName returns an error if the name of an entry in use is wrong: no name may be empty or hold a NUL or a slash.
// Encrypted names may hold any byte.
func (f DirFormat) CheckName(e Dirent) error {
	switch {
	case e.Ino == 0:
		return nil
	case len(e.Name) == 0:
		return Corruptf("entry at %d: empty name", e.Off)
	case !f.Encrypted && strings.ContainsAny(string(e.Name), "\x00/"):
		return Corruptf("entry at %d: name %q", e.Off, e.Name)
	}
	return nil
}

// Entries calls fn with every record of p, used or not, in order, until fn returns false. It stops at the first
// record that is wrong and returns the error.
func (f DirFormat) Entries(p []byte, fn func(Dirent) bool) error {
	for off := 0; off < len(p); {
		e, err := f.At(p, off)
		if err != nil {
			return err
		}
		if !fn(e) {
			return nil
		}
		off += e.RecLen
	}
	return nil
}

// Find finds the entry with this name in p. match reports whether a stored name is the one wanted; if match is nil,
// the bytes must be equal.
func (f DirFormat) Find(p []byte, name string, match func(stored []byte) bool) (e Dirent, ok bool, err error) {
	err = f.Entries(p, func(d Dirent) bool {
		if d.Ino != 0 && (string(d.Name) == name || match != nil && match(d.Name)) {
			e, ok = d, true
		}
		return !ok
	})
	return e, ok, err
}

// Fits tells whether p has a record with room for an entry that needs n bytes (RecLen). p must have been checked.
func (f DirFormat) Fits(p []byte, n int) (ok bool) {
	err := f.Entries(p, func(e Dirent) bool {
		ok = e.RecLen-f.needed(e) >= n
		return !ok
	})
	return ok && err == nil
}

// Insert puts an entry into the first record of p that has enough room after its own name. ok is false if no record
// has.
func (f DirFormat) Insert(p []byte, name string, ino Ino, ftype uint8) (ok bool, err error) {
	need := f.RecLen(len(name))
	err = f.Entries(p, func(e Dirent) bool {
		used := f.needed(e)
		if e.RecLen-used < need {
			return true
		}
		if used > 0 {
			f.putRecLen(p[e.Off:], used)
		}
		f.put(p[e.Off+used:e.Off+e.RecLen], name, ino, ftype)
		ok = true
		return false
	})
	return ok, err
}

// put writes an entry that fills all of rec.
func (f DirFormat) put(rec []byte, name string, ino Ino, ftype uint8) {
	if !f.FileType {
		ftype = FTUnknown
	}
	n := f.RecLen(len(name))
	clear(rec[:min(n, len(rec))])
	le.PutUint32(rec, uint32(ino))
	f.putRecLen(rec, len(rec))
	rec[6], rec[7] = uint8(len(name)), ftype
	copy(rec[direntHead:], name)
}

// Delete removes the entry at off: its record is joined to the one before it, or becomes unused space if it is the
// first.
func (f DirFormat) Delete(p []byte, off int) error {
	prev := -1
	var found bool
	err := f.Entries(p, func(e Dirent) bool {
		if e.Off != off {
			prev = e.Off
			return e.Off < off
		}
		found = true
		if prev < 0 {
			clear(p[off : off+4])
			clear(p[off+6 : off+e.RecLen])
			return false
		}
		clear(p[off : off+e.RecLen])
		f.putRecLen(p[prev:], off+e.RecLen-prev)
		return false
	})
	if err == nil && !found {
		err = Corruptf("entry at %d: no record begins there", off)
	}
	return err
}

// SetIno changes the inode and the file type of the entry at off.
func (f DirFormat) SetIno(p []byte, off int, ino Ino, ftype uint8) {
	le.PutUint32(p[off:], uint32(ino))
	if f.FileType {
		p[off+7] = ftype
	}
}

// Clear makes p one record of unused space.
func (f DirFormat) Clear(p []byte) {
	clear(p)
	if len(p) >= direntMin {
		f.putRecLen(p, len(p))
	}
}

// Pack writes the entries of list to p, one after the other; the last record takes the remaining space. The entries
// must fit, and their names must not lie in p.
func (f DirFormat) Pack(p []byte, list []Dirent) {
	f.Clear(p)
	off := 0
	for i, e := range list {
		n := f.needed(e)
		if i == len(list)-1 {
			n = len(p) - off
		}
		f.put(p[off:off+n], string(e.Name), e.Ino, e.Type)
		off += n
	}
}

// Size is the room that the entries of list need without gaps, bytes.
func (f DirFormat) Size(list []Dirent) (n int) {
	for _, e := range list {
		n += f.needed(e)
	}
	return n
}

// DotOffset is the offset of "." or ".." in the root of a hashed directory, bytes.
func DotOffset(name string) int { return (len(name) - 1) * direntMin }

// DotEntries writes "." and ".." to p. The record of ".." takes the remaining space.
func (f DirFormat) DotEntries(p []byte, self, parent Ino) {
	plain := f
	plain.Hashed = false
	clear(p)
	plain.put(p[:direntMin], ".", self, FTDir)
	plain.put(p[direntMin:], "..", parent, FTDir)
}

// InlineParent is the inode of ".." in an inline directory: the first number in i_block.
func InlineParent(block []byte) Ino { return Ino(le.Uint32(block)) }

// SetInlineParent sets the inode of ".." in an inline directory.
func SetInlineParent(block []byte, parent Ino) { le.PutUint32(block, uint32(parent)) }

// DirBlockType is the buf.Type of a block of entries: a block of a linear directory, or a leaf of a hashed one. With
// metadata_csum its last record is struct ext4_dir_entry_tail.
type DirBlockType struct {
	G                   *Geometry
	Ino                 Ino    // the directory
	Gen                 uint32 // its i_generation
	Lblk                Lblk
	Encrypted, Casefold bool // its flags
}

// Owner is the inode that the object belongs to.
func (t DirBlockType) Owner() Ino { return t.Ino }

// String names the object in errors: buf.Type.
func (t DirBlockType) String() string {
	return fmt.Sprintf("directory %d: block %d", t.Ino, t.Lblk)
}

// Format is the format of the entries.
func (t DirBlockType) Format() DirFormat { return t.G.DirFormat(t.Encrypted, t.Casefold) }

// Area is the part of the block that holds entries.
func (t DirBlockType) Area(p []byte) []byte { return p[:min(len(p), t.Format().Capacity())] }

// Verify checks the structure, then the checksum.
func (t DirBlockType) Verify(p []byte) error {
	if err := t.Check(p); err != nil {
		return err
	}
	return t.verifyTail(p)
}

// verifyTail checks the checksum.
func (t DirBlockType) verifyTail(p []byte) error {
	if !t.G.MetadataCsum() {
		return nil
	}
	tail := p[len(p)-direntTail:]
	if got, want := le.Uint32(tail[8:]), t.checksum(p); got != want {
		return csumError(t.String(), got, want)
	}
	return nil
}

// Check checks every record, and that the tail is where it should be.
func (t DirBlockType) Check(p []byte) error {
	if err := t.checkTail(p); err != nil {
		return err
	}
	if err := t.Format().Entries(t.Area(p), func(Dirent) bool { return true }); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	return nil
}

// checkTail checks the size, and that the tail stands where it should.
func (t DirBlockType) checkTail(p []byte) error {
	if len(p) != t.G.BlockSize {
		return Corruptf("%s: %d bytes, want %d", t, len(p), t.G.BlockSize)
	}
	if t.G.MetadataCsum() {
		tail := p[len(p)-direntTail:]
		if le.Uint32(tail) != 0 || le.Uint16(tail[4:]) != direntTail || tail[6] != 0 || tail[7] != tailType {
			return Corruptf("%s: no checksum at its end", t)
		}
	}
	return nil
}

// Seal stores the tail and its checksum.
func (t DirBlockType) Seal(p []byte) {
	if !t.G.MetadataCsum() {
		return
	}
	t.PutTail(p)
	le.PutUint32(p[len(p)-4:], t.checksum(p))
}

// PutTail writes the tail of a new block, if it needs one; the checksum follows in Seal.
func (t DirBlockType) PutTail(p []byte) {
	if !t.G.MetadataCsum() {
		return
	}
	tail := p[len(p)-direntTail:]
	clear(tail[:8])
	le.PutUint16(tail[4:], direntTail)
	tail[7] = tailType
}

func (t DirBlockType) checksum(p []byte) uint32 {
	return block.Crc32c(t.G.InodeSeed(t.Ino, t.Gen), p[:len(p)-direntTail])
}

// DirPartsType is the buf.Type of a DirBlockType whose records may be wrong, each by itself: for callers that check them one
// by one, and change nothing.
type DirPartsType struct{ DirBlockType }

// Verify checks the checksum.
func (t DirPartsType) Verify(p []byte) error {
	if err := t.checkTail(p); err != nil {
		return err
	}
	return t.verifyTail(p)
}
