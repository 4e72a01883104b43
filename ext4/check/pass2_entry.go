package check

import (
	"bytes"
	"unicode/utf8"

	"ext4img/ext4/layout"
)

// File types in directory entries.
const (
	ftUnknown = 0
	ftRegular = 1
	ftDir     = 2
	ftSymlink = 7
)

var fileTypes = map[uint16]uint8{
	layout.ModeRegular: ftRegular, layout.ModeDir: ftDir, layout.ModeCharDev: 3, layout.ModeBlockDev: 4,
	layout.ModeFIFO: 5, layout.ModeSocket: 6, layout.ModeSymlink: ftSymlink,
}

// checkEntry checks one entry. room holds the bytes from the name to the end of the entry.
func (k *dirCheck) checkEntry(off int, d dirent, room []byte) {
	c := k.c
	name := room[:d.nameLen]
	switch k.state {
	case 0:
		k.checkDot(off, d, room)
	case 1:
		k.checkDotDot(off, d, room)
	default:
		if d.ino == uint32(k.b.ino) {
			k.bad(codeEntrySelf, off, name, d)
		}
	}
	if d.ino == 0 || !k.checkTarget(off, d, name) {
		return
	}
	ino := layout.Ino(d.ino)
	if c.suspect.test(uint64(d.ino)) {
		c.reportSuspect(ino)
	}
	k.checkInUse(off, d, name)
	k.checkFileType(off, d, name)
	k.checkName(off, d, name)
	if k.block != nil {
		k.hashName(d, room)
	}
	if k.state == 2 && c.dirs.test(uint64(d.ino)) {
		if other := c.dirList.claimParent(ino, k.b.ino); other != 0 {
			k.bad(codeEntryDirTwice, off, name, d)
		}
	}
	if k.w.names.seen(name, k.folded) {
		k.bad(codeEntryDuplicate, off, name, d)
	}
	c.found.add(ino)
}

// checkDot checks that an entry is ".".
func (k *dirCheck) checkDot(off int, d dirent, room []byte) {
	switch {
	case d.ino == 0:
		k.bad(codeDotMissing, off, nil, d)
	case d.nameLen != 1 || room[0] != '.':
		k.bad(codeDotName, off, room[:d.nameLen], d)
	case room[1] != 0:
		k.bad(codeDotNul, off, room[:d.nameLen], d)
	}
	if d.ino != uint32(k.b.ino) {
		k.bad(codeDotInode, off, room[:d.nameLen], d)
	}
	if d.recLen > 24 {
		k.bad(codeDotLong, off, room[:d.nameLen], d)
	}
}

// checkDotDot checks that an entry is "..". Pass 3 checks its inode.
func (k *dirCheck) checkDotDot(off int, d dirent, room []byte) {
	switch {
	case d.ino == 0:
		k.bad(codeDotDotMissing, off, nil, d)
	case d.nameLen != 2 || room[0] != '.' || room[1] != '.':
		k.bad(codeDotDotName, off, room[:d.nameLen], d)
	case room[2] != 0:
		k.bad(codeDotDotNul, off, room[:d.nameLen], d)
	default:
		k.rec.dotdot = layout.Ino(d.ino)
	}
}

// hidden reports whether an inode has no name because a field of the superblock refers to it.
func (c *checker) hidden(ino uint32) bool {
	s := c.sb
	return ino == s.UsrQuotaInum() || ino == s.GrpQuotaInum() || ino == s.PrjQuotaInum() || ino == s.OrphanFileInum()
}

// checkTarget checks that an entry has a name and a valid inode number that entries may refer to. It returns false if
// the number is not valid.
func (k *dirCheck) checkTarget(off int, d dirent, name []byte) bool {
	c, g := k.c, k.c.geo
	if d.ino != uint32(layout.RootIno) && d.ino < g.firstIno || d.ino > g.inodes || c.hidden(d.ino) {
		k.bad(codeEntryInode, off, name, d)
		return false
	}
	other := k.state == 2
	switch {
	case c.inBadBlock.test(uint64(d.ino)):
		k.bad(codeEntryBadBlock, off, name, d)
	case other && string(name) == ".", other && string(name) == "..":
		k.bad(codeEntryDotAgain, off, name, d)
	case other && d.ino == uint32(layout.RootIno):
		k.bad(codeEntryRoot, off, name, d)
	case other && d.nameLen == 0:
		k.bad(codeEntryNoName, off, name, d)
	}
	return true
}

// checkInUse checks that the inode of an entry is in use and was seen in pass 1.
func (k *dirCheck) checkInUse(off int, d dirent, name []byte) {
	c := k.c
	group, _ := c.geo.inodeGroup(layout.Ino(d.ino))
	if c.descs[group].Flags()&layout.DescInodeUninit != 0 {
		k.bad(codeEntryUninit, off, name, d)
	} else if d.ino >= group*c.geo.ipg+1+c.geo.ipg-c.descs[group].ItableUnused() { // a count beyond all inodes wraps around
		k.bad(codeEntryUnusedArea, off, name, d)
	}
	if !c.inodes.test(uint64(d.ino)) {
		k.bad(codeEntryUnused, off, name, d)
	}
}

// checkFileType compares the file type in an entry with the inode's.
func (k *dirCheck) checkFileType(off int, d dirent, name []byte) {
	c := k.c
	if !c.geo.hasIncompat(layout.IncompatFiletype) {
		if d.ftype != 0 {
			k.bad(codeEntryTypeSet, off, name, d)
		}
		return
	}
	want := c.fileType(layout.Ino(d.ino))
	switch {
	case d.ftype == want:
	case d.ftype == 0:
		k.bad(codeEntryTypeMissing, off, name, d)
	default:
		k.bad(codeEntryType, off, name, d)
	}
}

// fileType is the type of an inode in the encoding of directory entries.
func (c *checker) fileType(ino layout.Ino) uint8 {
	i := uint64(ino)
	switch {
	case c.dirs.test(i):
		return ftDir
	case c.regular.test(i):
		return ftRegular
	case c.suspect.test(i):
		return ftUnknown
	case c.symlinks.test(i):
		return ftSymlink
	}
	rec, err := c.readInode(ino)
	if err != nil {
		return ftUnknown
	}
	return fileTypes[layout.Inode(rec).Type()]
}

// checkName checks the characters of a name, or in an encrypted directory the rules for its names.
func (k *dirCheck) checkName(off int, d dirent, name []byte) {
	if k.policy == policyNone {
		if bytes.IndexByte(name, '/') >= 0 || bytes.IndexByte(name, 0) >= 0 {
			k.bad(codeEntryName, off, name, d)
		}
		if k.folded && k.c.sb.EncodingFlags()&layout.EncodingStrict != 0 && !utf8.Valid(name) {
			k.bad(codeEntryEncoding, off, name, d)
		}
		return
	}
	if k.state != 2 {
		return
	}
	if d.nameLen < 16 {
		k.bad(codeEntryCipherShort, off, name, d)
	}
	policy := k.c.policies.get(layout.Ino(d.ino))
	switch {
	case policy == k.policy:
	case policy != policyNone:
		k.bad(codeEntryPolicy, off, name, d)
	case k.c.fileType(layout.Ino(d.ino)) == ftDir, k.c.fileType(layout.Ino(d.ino)) == ftRegular,
		k.c.fileType(layout.Ino(d.ino)) == ftSymlink:
		k.bad(codeEntryPlain, off, name, d)
	}
}

// hashName extends the range of hashes of a leaf by the hash of a name.
func (k *dirCheck) hashName(d dirent, room []byte) {
	name := room[:d.nameLen]
	if k.index.version == layout.HashSip {
		if at := pad4(8+d.nameLen) - 8; at+4 <= len(room) {
			k.block.hash(le.Uint32(room[at:]) &^ 1)
		}
		return
	}
	if k.folded {
		var ok bool
		if name, ok = layout.FoldName(name); !ok {
			return // e2fsck accepts a name that is not UTF-8 at any place
		}
	}
	if h, ok := k.c.known.DirHash(k.index.version, name); ok {
		k.block.hash(uint32(h))
	} else {
		k.block.hash(0)
	}
}

// fold is the form of a name that is compared in a casefolded directory. A name that is not UTF-8 is compared by its
// bytes.
func fold(name []byte) []byte {
	if f, ok := layout.FoldName(name); ok {
		return f
	}
	return name
}

// nameSet holds the names of one block.
type nameSet struct {
	slots []int32 // index into names plus 1
	names [][]byte
	used  []int32
}

func (s *nameSet) reset() {
	if s.slots == nil {
		s.slots = make([]int32, 1<<14)
	}
	for _, i := range s.used {
		s.slots[i] = 0
	}
	s.names, s.used = s.names[:0], s.used[:0]
}

// seen adds a name and reports whether it was there before.
func (s *nameSet) seen(name []byte, folded bool) bool {
	if folded {
		name = fold(name)
	}
	h := uint32(2166136261)
	for _, b := range name {
		h = (h ^ uint32(b)) * 16777619
	}
	mask := uint32(len(s.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		n := s.slots[i]
		if n == 0 {
			s.names = append(s.names, name)
			s.slots[i] = int32(len(s.names))
			s.used = append(s.used, int32(i))
			return false
		}
		if bytes.Equal(s.names[n-1], name) {
			return true
		}
	}
}
