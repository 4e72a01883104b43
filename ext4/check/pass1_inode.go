package check

import (
	"errors"

	"ext4img/ext4/layout"
)

// inodeCheck is the check of one inode in pass 1.
type inodeCheck struct {
	w      *worker
	c      *checker
	g      *geometry
	ino    layout.Ino
	rec    []byte
	in     layout.Inode
	mode   uint16 // type bits of i_mode
	fl     uint32 // i_flags
	seed   uint32 // seed of the checksums that belong to the inode; computed at first use
	seedOK bool

	orphan bool // it will be removed or truncated after recovery

	// The result of walking the block map.
	clusters   uint64 // claimed: data, map and xattr blocks
	lastBlock  int64  // last mapped logical block, -1: none
	lastInit   int64  // last logical block that is mapped and written
	lastDir    int64  // last block added to the list of directory blocks
	prevPblk   uint64
	nextLblk   uint64 // first logical block at which the next extent may begin
	illegal    int
	mapped     uint64 // data blocks
	eaBlocks   uint64 // file system blocks of the values of in-inode xattrs
	eaInodes   uint64
	eaBlkCount uint64 // the same for the xattr block
	eaBlkInos  uint64
	seen       map[uint64]bool // map blocks visited, so that a loop is walked only once
	below      map[mapBlock]uint64
}

func isType(mode uint16, types ...uint16) bool {
	for _, t := range types {
		if mode&layout.ModeTypeMask == t {
			return true
		}
	}
	return false
}

// special reports whether files of a type have neither data nor link text.
func special(mode uint16) bool {
	return isType(mode, layout.ModeCharDev, layout.ModeBlockDev, layout.ModeFIFO, layout.ModeSocket)
}

func (k *inodeCheck) at() at                       { return inodeAt(k.ino) }
func (k *inodeCheck) bad(code Code, got, want any) { k.c.rep.add(code, k.at().values(got, want)) }
func (k *inodeCheck) flag(f uint32) bool           { return k.fl&f != 0 }

// checksumSeed is the seed of the checksums of the inode's blocks.
func (k *inodeCheck) checksumSeed() uint32 {
	if !k.seedOK {
		k.seed, k.seedOK = k.g.inodeSeed(k.ino, k.in.Generation()), true
	}
	return k.seed
}

// checkInode is pass 1 for one inode.
func (w *worker) checkInode(ino layout.Ino, rec []byte) {
	c := w.c
	k := &inodeCheck{w: w, c: c, g: c.geo, ino: ino, rec: rec, in: layout.Inode(rec), lastBlock: -1, lastInit: -1, lastDir: -1}
	k.mode, k.fl = k.in.Type(), k.in.Flags()
	k.orphan = c.orphans[ino]
	if k.g.csum() && !k.g.inodeChecksumOK(ino, rec) {
		k.bad(codeInodeChecksum, nil, nil)
	}
	if d := k.in.Dtime(); d != 0 && d < k.g.inodes && c.lowDtimeMeansOrphan() && !k.orphan {
		k.bad(codeLowDtime, d, nil)
	}
	if ino == layout.BadBlocksIno {
		k.checkBadBlocksInode()
		return
	}
	if k.in.Links() == 0 && uint32(ino) >= k.g.firstIno && !c.quotaReserved(ino) {
		k.checkUnused()
		return
	}
	c.links.store(ino, k.in.Links())
	k.checkFlags()
	if k.checkReserved() {
		return
	}
	if k.in.Links() == 0 {
		return
	}
	k.checkUsed()
}

// lowDtimeMeansOrphan reports whether a deletion time that could be an inode number is taken for one. It is not if
// the file system's own times are as low: then its clock was wrong.
func (c *checker) lowDtimeMeansOrphan() bool {
	for _, t := range []uint32{c.sb.Wtime(), c.sb.Mtime(), c.sb.MkfsTime()} {
		if t != 0 && t < c.geo.inodes {
			return false
		}
	}
	return true
}

// checkUnused checks an inode without links: it is deleted or will be.
func (k *inodeCheck) checkUnused() {
	if k.orphan {
		k.c.inodes.set(uint64(k.ino))
		if k.mode == layout.ModeDir {
			k.c.dirs.set(uint64(k.ino))
			k.mode, k.fl = layout.ModeRegular, k.fl&^layout.FlagIndex // its entries are not checked
		}
		k.checkExtraSpace()
		k.checkMap()
		return
	}
	if k.in.Dtime() == 0 && k.in.Mode() != 0 {
		k.bad(codeZeroDtime, nil, nil)
	}
}

// checkFlags checks i_flags against the features of the file system and against each other.
func (k *inodeCheck) checkFlags() {
	g := k.g
	extents, inline := g.hasIncompat(layout.IncompatExtents), g.hasIncompat(layout.IncompatInlineData)
	k.checkCasefold()
	if k.flag(layout.FlagInlineData) && k.flag(layout.FlagExtents) && (extents || inline) {
		k.checkInlineAndExtents()
	}
	if k.flag(layout.FlagInlineData) && uint32(k.ino) >= g.firstIno {
		if !inline {
			k.bad(codeInlineFeature, nil, nil)
		} else if _, err := k.w.inlineTail(k.ino, k.rec); err != nil {
			k.c.rep.add(codeInlineNoAttr, k.at().say("%v", err))
			if errors.Is(err, errNotAsked) {
				k.c.rep.endsAt(k.ino)
			}
		}
	}
	mattered := k.in.Links() != 0 || k.ino == layout.RootIno || k.ino == layout.JournalIno
	if !mattered {
		return
	}
	if k.flag(layout.FlagExtents) && !extents {
		k.bad(codeExtentsFeature, nil, nil)
	}
	if extents && !k.flag(layout.FlagExtents) && isType(k.mode, layout.ModeRegular, layout.ModeDir) &&
		parseNode(k.in.Block()).ok() {
		k.bad(codeExtentsFlagMissing, nil, nil)
	}
}

// checkCasefold checks the flag of casefolded directories.
func (k *inodeCheck) checkCasefold() {
	switch {
	case !k.flag(layout.FlagCasefold):
	case k.mode != layout.ModeDir:
		k.bad(codeCasefoldNonDir, nil, nil)
	case !k.g.hasIncompat(layout.IncompatCasefold):
		k.bad(codeCasefoldFeature, nil, nil)
	}
}

// checkInlineAndExtents checks an inode whose flags say both inline data and extents.
func (k *inodeCheck) checkInlineAndExtents() {
	if special(k.mode) {
		k.bad(codeSpecialFlags, nil, nil)
		return
	}
	k.bad(codeInlineAndExtents, nil, nil)
}

// checkReserved checks the inodes with a fixed meaning. It reports whether nothing else is to be checked.
func (k *inodeCheck) checkReserved() bool {
	c, sb, ino := k.c, k.c.sb, k.ino
	switch {
	case ino == layout.RootIno:
		if k.mode != layout.ModeDir {
			k.bad(codeRootNotDir, nil, nil)
		}
		if k.in.Dtime() != 0 && k.in.Links() != 0 {
			k.bad(codeRootDtime, nil, nil)
		}
		return false
	case ino == layout.JournalIno:
		return k.checkSystemFile(layout.Ino(sb.JournalInum()) == ino, codeJournalMode, codeJournalNotClear)
	case c.quotaReserved(ino):
		used := k.g.hasRO(layout.ROCompatQuota) && c.isQuotaFile(ino)
		return k.checkSystemFile(used, codeQuotaMode, codeQuotaNotClear)
	case uint32(ino) == sb.OrphanFileInum() && k.g.hasCompat(layout.CompatOrphanFile):
		return k.checkSystemFile(true, codeOrphanFileMode, codeOrphanFileMode)
	case uint32(ino) == sb.OrphanFileInum() && uint32(ino) >= k.g.firstIno:
		return k.checkSystemFile(false, codeOrphanFileMode, codeOrphanFileNotClear)
	case uint32(ino) < k.g.firstIno:
		k.checkReservedMode()
		c.inodes.set(uint64(ino))
		k.checkMap()
		return true
	}
	return false
}

// checkSystemFile checks an inode that belongs to the file system: a regular file if used, or else empty.
func (k *inodeCheck) checkSystemFile(used bool, badMode, notClear Code) bool {
	k.c.inodes.set(uint64(k.ino))
	if used {
		if k.mode != layout.ModeRegular {
			k.bad(badMode, hex(k.in.Mode()), nil)
		}
		k.checkMap()
		return true
	}
	if k.in.Links() != 0 || le.Uint32(k.rec[iBlocksLo:]) != 0 || le.Uint32(k.in.Block()) != 0 {
		k.bad(notClear, nil, nil)
	}
	return false
}

// checkReservedMode checks the type of a reserved inode, which must have none. The boot loader's and the resize inode
// may.
func (k *inodeCheck) checkReservedMode() {
	bad := k.in.Mode() != 0
	switch k.ino {
	case layout.BootIno:
		bad = k.mode == layout.ModeDir
	case layout.ResizeIno:
		bad = k.in.Mode() != 0 && k.mode != layout.ModeRegular
	}
	if bad {
		k.bad(codeReservedMode, hex(k.in.Mode()), nil)
	}
}

// checkUsed checks an inode that is in use.
func (k *inodeCheck) checkUsed() {
	c, g := k.c, k.g
	if k.in.Dtime() != 0 && !k.orphan {
		k.bad(codeDtimeInUse, k.in.Dtime(), 0)
	}
	c.inodes.set(uint64(k.ino))
	if k.fieldsSuspect() {
		c.suspect.set(uint64(k.ino))
	}
	if k.flag(layout.FlagImagic) {
		if g.hasCompat(layout.CompatImagicInodes) {
			c.imagic.set(uint64(k.ino))
		} else {
			k.bad(codeImagic, nil, nil)
		}
	}
	k.checkExtraSpace()
	k.checkReallyDir()
	if g.hasIncompat(layout.IncompatExtents) && k.flag(layout.FlagExtents) && k.mode == layout.ModeSymlink && !k.hasBlocks() {
		k.bad(codeSymlinkExtents, nil, nil)
	}
	if k.flag(layout.FlagEncrypt) {
		k.checkEncryption()
	}
	if g.hasIncompat(layout.IncompatCasefold) && k.flag(layout.FlagCasefold) {
		c.casefolded.set(uint64(k.ino))
	}
	if k.checkType() {
		k.checkMap()
	}
}

// fieldsSuspect reports whether a field that must be zero is not.
func (k *inodeCheck) fieldsSuspect() bool {
	g := k.g
	hurd := k.c.sb.CreatorOS() == osHurd
	if le.Uint32(k.rec[iObsoFaddr:]) != 0 || hurd && le.Uint16(k.rec[iBlocksHigh:]) != 0 {
		return true
	}
	if !g.hasIncompat(layout.IncompatLargeDir) && k.mode == layout.ModeDir && le.Uint32(k.rec[iSizeHigh:]) != 0 {
		return true
	}
	if hurd {
		return false
	}
	return !g.hasIncompat(layout.Incompat64Bit) && le.Uint16(k.rec[iFileACLHigh:]) != 0 ||
		!g.hasRO(layout.ROCompatHugeFile) && le.Uint16(k.rec[iBlocksHigh:]) != 0
}

// osHurd is s_creator_os of the Hurd, which gives some fields another meaning.
const osHurd = layout.OSHurd

// noteKind adds an inode to the bitmap of its type.
func (k *inodeCheck) noteKind() {
	switch k.mode {
	case layout.ModeDir:
		if !k.c.dirs.set(uint64(k.ino)) {
			k.c.dirList.add(k.ino, k.in.Generation())
			k.c.stats.dirs.Add(1)
		}
	case layout.ModeRegular:
		k.c.regular.set(uint64(k.ino))
		k.c.stats.files.Add(1)
	case layout.ModeSymlink:
		k.c.symlinks.set(uint64(k.ino))
	}
}

// checkType checks the rules for each type of file. It reports whether there is a block map to check.
func (k *inodeCheck) checkType() bool {
	k.noteKind()
	switch {
	case isType(k.mode, layout.ModeDir, layout.ModeRegular):
		return true
	case special(k.mode) && deviceOK(k.in):
		k.checkSpecial()
		return true
	case k.mode == layout.ModeSymlink && k.w.symlinkOK(k.g, k.ino, k.in):
		k.checkImmutable()
		return !k.flag(layout.FlagInlineData)
	}
	k.c.suspect.set(uint64(k.ino))
	return true
}

// deviceOK reports whether a device, FIFO or socket has none of the properties of files with data.
func deviceOK(in layout.Inode) bool {
	if in.HasFlag(layout.FlagIndex | layout.FlagExtents) {
		return false
	}
	return !in.HasFlag(layout.FlagImmutable|layout.FlagAppend) || allZero(in.Block()[16:])
}

// checkSpecial checks a device, FIFO or socket.
func (k *inodeCheck) checkSpecial() {
	if k.flag(layout.FlagExtents | layout.FlagInlineData) {
		k.bad(codeSpecialFlags, nil, nil)
	}
	k.checkImmutable()
	if k.in.Size() != 0 {
		k.bad(codeSpecialSize, k.in.Size(), 0)
	}
}

func (k *inodeCheck) checkImmutable() {
	if k.flag(layout.FlagImmutable | layout.FlagAppend) {
		k.bad(codeSpecialImmutable, nil, nil)
	}
}

// symlinkOK reports whether a symlink's text is at the right place and as long as i_size says.
func (w *worker) symlinkOK(g *geometry, ino layout.Ino, in layout.Inode) bool {
	size := in.Size()
	if size == 0 || size>>32 != 0 || in.HasFlag(layout.FlagIndex) {
		return false
	}
	if in.HasFlag(layout.FlagInlineData) {
		tail, err := w.inlineTail(ino, in)
		return !in.HasFlag(layout.FlagExtents) && err == nil && size == uint64(layout.InodeBlockSize+len(tail))
	}
	text := in.Block()
	if size >= layout.InodeBlockSize {
		block, ok := symlinkBlock(g, in)
		if !ok {
			return false
		}
		var err error
		if text, err = w.cache.read(block); err != nil {
			return false
		}
	} else if in.HasFlag(layout.FlagExtents) {
		return false
	}
	n := len(text)
	if in.HasFlag(layout.FlagEncrypt) {
		n = int(le.Uint16(text)) + 2
	} else {
		for i, b := range text {
			if b == 0 {
				n = i
				break
			}
		}
	}
	return n < len(text) && uint64(n) == size
}

// symlinkBlock returns the block with the text of a slow symlink, which must be its only block.
func symlinkBlock(g *geometry, in layout.Inode) (uint64, bool) {
	if !in.HasFlag(layout.FlagExtents) {
		b := uint64(le.Uint32(in.Block()))
		return b, allZero(in.Block()[4:]) && g.valid(b)
	}
	n := parseNode(in.Block())
	if !n.ok() || n.entries != 1 || n.depth != 0 {
		return 0, false
	}
	e := n.extent(0)
	return e.pblk, e.lblk == 0 && e.len == 1 && g.valid(e.pblk)
}

// hasBlocks reports whether i_block holds a block map.
func (k *inodeCheck) hasBlocks() bool {
	switch k.mode {
	case layout.ModeDir, layout.ModeRegular:
	case layout.ModeSymlink:
		if k.fileACL() == 0 {
			if le.Uint32(k.rec[iBlocksLo:]) == 0 {
				return false
			}
		} else if size := le.Uint32(k.rec[4:]); size < layout.InodeBlockSize {
			return size > 4 && le.Uint32(k.in.Block()[4:]) == 0
		}
	default:
		return false
	}
	return !k.flag(layout.FlagInlineData)
}

// fileACL is the xattr block.
func (k *inodeCheck) fileACL() uint64 { return k.g.fileACL(k.rec) }

func (g *geometry) fileACL(rec []byte) uint64 {
	b := uint64(le.Uint32(rec[iFileACLLo:]))
	if g.hasIncompat(layout.Incompat64Bit) {
		b |= uint64(le.Uint16(rec[iFileACLHigh:])) << 32
	}
	return b
}

// rawBlocks is i_blocks as it is stored in the inode.
func (k *inodeCheck) rawBlocks() uint64 {
	n := uint64(le.Uint32(k.rec[iBlocksLo:]))
	if k.g.hasRO(layout.ROCompatHugeFile) {
		n |= uint64(le.Uint16(k.rec[iBlocksHigh:])) << 32
	}
	return n
}

// quotaReserved reports whether an inode number is reserved for a quota file.
func (c *checker) quotaReserved(ino layout.Ino) bool {
	return ino == layout.UserQuotaIno || ino == layout.GrpQuotaIno || ino != 0 && uint32(ino) == c.sb.PrjQuotaInum()
}

// isQuotaFile reports whether the superblock names an inode as a quota file.
func (c *checker) isQuotaFile(ino layout.Ino) bool {
	n := uint32(ino)
	return n == c.sb.UsrQuotaInum() || n == c.sb.GrpQuotaInum() || n == c.sb.PrjQuotaInum()
}
