package check

import (
	"slices"
	"testing"
	"time"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
)

// An editor changes a file system field by field.
type editor struct {
	t   testing.TB
	dev *simdev.Device
	c   *checker
}

func edit(t *testing.T, name string) *editor {
	t.Helper()
	e := &editor{t: t, dev: load(t, name)}
	e.c = &checker{dev: e.dev, rep: newReporter(1)}
	if err := e.c.open(); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *editor) bytes(off int64, n int, change func(p []byte)) {
	e.t.Helper()
	p := make([]byte, n)
	if _, err := e.dev.ReadAt(p, off); err != nil {
		e.t.Fatal(err)
	}
	change(p)
	if _, err := e.dev.WriteAt(p, off); err != nil {
		e.t.Fatal(err)
	}
}

func (e *editor) block(b uint64, change func(p []byte)) {
	e.t.Helper()
	e.bytes(int64(b)<<e.c.geo.bits, e.c.geo.bs, change)
}

// super changes the superblock and corrects its checksum.
func (e *editor) super(change func(s layout.Superblock)) {
	e.t.Helper()
	e.bytes(1024, 1024, func(p []byte) {
		change(layout.Superblock(p))
		layout.Superblock(p).SetChecksum(layout.Superblock(p).ComputeChecksum())
	})
}

// desc changes the descriptor of a group and corrects its checksum.
func (e *editor) desc(group uint32, change func(d layout.Desc)) {
	e.t.Helper()
	g := e.c.geo
	off := int64(g.first+1)<<g.bits + int64(group)*int64(g.descSize)
	e.bytes(off, g.descSize, func(p []byte) {
		change(layout.Desc(p))
		if g.descCsum() {
			layout.Desc(p).SetChecksum(g.descChecksum(group, layout.Desc(p)))
		}
	})
}

// inode changes the record of an inode, in a file system without checksums of inodes.
func (e *editor) inode(ino layout.Ino, change func(in layout.Inode)) {
	e.t.Helper()
	g := e.c.geo
	group, k := g.inodeGroup(ino)
	off := int64(e.c.descs[group].InodeTable())<<g.bits + int64(k)*int64(g.isize)
	e.bytes(off, g.isize, func(p []byte) { change(layout.Inode(p)) })
}

// where returns the device's block that holds block lblk of a file.
func (e *editor) where(ino layout.Ino, lblk uint64) uint64 {
	e.t.Helper()
	rec, err := e.c.readInode(ino)
	if err != nil {
		e.t.Fatal(err)
	}
	at := uint64(0)
	newWorker(e.c).eachMapped(rec, func(l, p, n uint64) bool {
		if lblk >= l && lblk < l+n {
			at = p + lblk - l
		}
		return at == 0
	})
	if at == 0 {
		e.t.Fatalf("inode %d: no block %d", ino, lblk)
	}
	return at
}

// entry finds an entry in the first block of a directory, and returns its inode and its place.
func (e *editor) entry(dir layout.Ino, name string) (ino layout.Ino, block uint64, off int) {
	e.t.Helper()
	block = e.where(dir, 0)
	e.block(block, func(p []byte) {
		for at := 0; at < len(p); {
			d := direntAt(p, at)
			if string(p[at+8:at+8+d.nameLen]) == name {
				ino, off = layout.Ino(d.ino), at
			}
			at += max(d.recLen, 12)
		}
	})
	if ino == 0 {
		e.t.Fatalf("no entry %q", name)
	}
	return ino, block, off
}

func (e *editor) file(name string) layout.Ino { ino, _, _ := e.entry(layout.RootIno, name); return ino }

// change changes the inode of a file in the root directory.
func (e *editor) change(name string, change func(in layout.Inode)) {
	e.t.Helper()
	e.inode(e.file(name), change)
}

// atEntry changes an entry of the root directory.
func (e *editor) atEntry(name string, change func(p []byte)) {
	e.t.Helper()
	_, block, off := e.entry(layout.RootIno, name)
	e.block(block, func(p []byte) { change(p[off:]) })
}

// extent changes the first extent or index entry in an inode.
func (e *editor) extent(name string, change func(header, first []byte)) {
	e.t.Helper()
	e.change(name, func(in layout.Inode) { p := in.Block(); change(p[:12], p[12:24]) })
}

// A defect is one change to a healthy image, and the code that the check must report for it. Other codes that follow
// from the change are not listed: the verdict is compared with that of e2fsck.
type defect struct {
	image  string
	code   Code
	change func(e *editor)
}

func add16(p []byte, n int) { le.PutUint16(p, uint16(int(le.Uint16(p))+n)) }

var defects = slices.Concat(superDefects, inodeDefects, mapDefects, dirDefects, summaryDefects)

var superDefects = []defect{
	{"nocsum", codeSuperBad, func(e *editor) { e.super(func(s layout.Superblock) { s[56] = 0 }) }},
	{"default-1k", codeSuperBad, func(e *editor) { e.bytes(1024+1020, 4, func(p []byte) { p[0]++ }) }},
	{"nocsum", codeFeatureUnknown, func(e *editor) { e.super(func(s layout.Superblock) { s[0x5F] |= 0x80 }) }},
	{"nocsum", codeMinExtraIsize, func(e *editor) { e.super(func(s layout.Superblock) { s[0x15C] = 3 }) }},
	{"nocsum", codeWantExtraIsize, func(e *editor) { e.super(func(s layout.Superblock) { s[0x15E] = 3 }) }},
	{"nocsum", codeDescCounts, func(e *editor) { e.desc(1, func(d layout.Desc) { d.SetFreeInodes(60000) }) }},
	{"nocsum", codeDescChecksum, func(e *editor) { e.desc(0, func(layout.Desc) {}); e.bytes(2048+0x1E, 1, func(p []byte) { p[0]++ }) }},
	{"nocsum", codeErrorsSeen, func(e *editor) {
		e.super(func(s layout.Superblock) { s.AddError(layout.ErrorRecord{Time: time.Unix(1, 0), Func: "f"}) })
	}},
	{"mmp", codeMMPMagic, func(e *editor) { e.block(e.c.sb.MMPBlock(), func(p []byte) { p[0]++ }) }},
	{"mmp", codeMMPChecksum, func(e *editor) { e.block(e.c.sb.MMPBlock(), func(p []byte) { p[100]++ }) }},
	{"ext3", codeJournalInode, func(e *editor) {
		e.super(func(s layout.Superblock) { clear(s[0x10C:0x150]) })
		e.inode(8, func(in layout.Inode) { in.SetLinks(0) })
	}},
	{"ext3", codeJournalSuper, func(e *editor) { e.block(e.where(8, 0), func(p []byte) { p[0]++ }) }},
	{"ext3", codeJournalErrno, func(e *editor) { e.block(e.where(8, 0), func(p []byte) { p[35] = 5 }) }},
	{"ext3", codeResizeInode, func(e *editor) { e.inode(7, func(in layout.Inode) { in.SetLinks(0) }) }},
	{"quota", codeQuotaMagic, func(e *editor) { e.block(e.where(3, 0), func(p []byte) { p[0]++ }) }},
	{"quota", codeQuotaFile, func(e *editor) { e.block(e.where(3, 0), func(p []byte) { p[4]++ }) }},
	{"quota", codeQuotaUsage, func(e *editor) { e.change("dir", func(in layout.Inode) { in.SetUID(77) }) }},
	{"orphan-file", codeOrphanFile, func(e *editor) {
		e.block(e.where(layout.Ino(e.c.sb.OrphanFileInum()), 0), func(p []byte) { p[0] = 13 })
	}},
	{"nocsum", codeOrphanList, func(e *editor) { e.super(func(s layout.Superblock) { s[0xE8] = 15 }) }},
}

var inodeDefects = []defect{
	{"default-1k", codeInodeChecksum, func(e *editor) { e.change("hello", func(in layout.Inode) { in.SetAtime(in.Mtime()); in[8] ^= 1 }) }},
	{"nocsum", codeZeroDtime, func(e *editor) { e.change("hello", func(in layout.Inode) { in.SetLinks(0) }) }},
	{"nocsum", codeDtimeInUse, func(e *editor) { e.change("hello", func(in layout.Inode) { in.SetDtime(5000000) }) }},
	{"nocsum", codeRootNotDir, func(e *editor) { e.inode(2, func(in layout.Inode) { in.SetMode(0o100644) }) }},
	{"nocsum", codeInlineFeature, func(e *editor) {
		e.change("hello", func(in layout.Inode) { in.SetFlags(in.Flags() | layout.FlagInlineData) })
	}},
	{"ext3", codeExtentsFeature, func(e *editor) {
		e.change("hello", func(in layout.Inode) { in.SetFlags(in.Flags() | layout.FlagExtents) })
	}},
	{"nocsum", codeExtraIsize, func(e *editor) { e.change("hello", func(in layout.Inode) { le.PutUint16(in[0x80:], 129) }) }},
	{"nocsum", codeSpecialSize, func(e *editor) { e.change("null", func(in layout.Inode) { in.SetSize(10) }) }},
	{"nocsum", codeSize, func(e *editor) { e.change("scattered", func(in layout.Inode) { in.SetSize(5) }) }},
	{"nocsum", codeBlockCount, func(e *editor) { e.change("hello", func(in layout.Inode) { in.SetRawBlocks(in.RawBlocks() + 2) }) }},
	{"nocsum", codeModeInvalid, func(e *editor) { e.change("fifo", func(in layout.Inode) { in.SetMode(0o030644) }) }},
	{"nocsum", codeDeviceInvalid, func(e *editor) {
		e.change("null", func(in layout.Inode) { in.Block()[20] = 1; in.SetFlags(layout.FlagImmutable) })
	}},
	{"nocsum", codeSymlinkInvalid, func(e *editor) { e.change("fast", func(in layout.Inode) { in.Block()[2] = 0 }) }},
	{"nocsum", codeFieldNotZero, func(e *editor) { e.change("hello", func(in layout.Inode) { in[0x70] = 1 }) }},
	{"nocsum", codeXattrBlockIllegal, func(e *editor) { e.change("hello", func(in layout.Inode) { in.SetFileACL(1 << 30) }) }},
	{"nocsum", codeXattrBlockMagic, func(e *editor) {
		e.change("hello", func(in layout.Inode) { in.SetFileACL(layout.Pblk(e.where(e.file("hello"), 0))) })
	}},
	{"nocsum", codeIndexNonDir, func(e *editor) {
		e.change("hello", func(in layout.Inode) { in.SetFlags(in.Flags() | layout.FlagIndex) })
	}},
	{"nocsum", codeLinkCount, func(e *editor) { e.change("hello", func(in layout.Inode) { in.SetLinks(9) }) }},
}

var mapDefects = []defect{
	{"nocsum", codeExtentHeader, func(e *editor) { e.extent("hello", func(h, _ []byte) { h[0] = 0 }) }},
	{"nocsum", codeExtentDepth, func(e *editor) { e.extent("hello", func(h, _ []byte) { h[6] = 9 }) }},
	{"nocsum", codeExtentEmpty, func(e *editor) { e.extent("hello", func(_, x []byte) { le.PutUint16(x[4:], 0) }) }},
	{"nocsum", codeExtentStart, func(e *editor) { e.extent("hello", func(_, x []byte) { le.PutUint32(x[8:], 1<<30) }) }},
	{"nocsum", codeExtentEnd, func(e *editor) {
		e.extent("hello", func(_, x []byte) { le.PutUint32(x[8:], uint32(e.c.geo.blocks)-1); le.PutUint16(x[4:], 9) })
	}},
	{"nocsum", codeExtentUnwrittenDir, func(e *editor) { e.extent("empty", func(_, x []byte) { add16(x[4:], 0x8000) }) }},
	{"nocsum", codeExtentNode, func(e *editor) {
		e.extent("scattered", func(_, x []byte) { le.PutUint32(x[4:], uint32(e.where(15, 0))) })
	}},
	{"nocsum", codeMetadataCollision, func(e *editor) {
		e.extent("scattered", func(_, x []byte) { le.PutUint32(x[4:], uint32(e.c.descs[0].InodeTable())) })
	}},
	{"nocsum", codeBlockClaimedTwice, func(e *editor) { e.extent("hello", func(_, x []byte) { le.PutUint32(x[8:], uint32(e.where(2, 0))) }) }},
	{"ext3", codeBlockIllegal, func(e *editor) { e.change("hello", func(in layout.Inode) { le.PutUint32(in.Block(), 1<<30) }) }},
	{"ext3", codeBlockClaimedTwice, func(e *editor) {
		e.change("hello", func(in layout.Inode) { le.PutUint32(in.Block(), uint32(e.where(2, 0))) })
	}},
	{"ext3", codeDirHole, func(e *editor) { e.change("htree", func(in layout.Inode) { le.PutUint32(in.Block()[12:], 0) }) }},
}

var dirDefects = []defect{
	{"nocsum", codeDirCorrupt, func(e *editor) { e.atEntry("hello", func(p []byte) { le.PutUint16(p[4:], 3) }) }},
	{"default-1k", codeDirChecksum, func(e *editor) { e.atEntry("hello", func(p []byte) { p[8] = 'j' }) }},
	{"nocsum", codeDotInode, func(e *editor) { e.atEntry(".", func(p []byte) { p[0] = 12 }) }},
	{"nocsum", codeDotName, func(e *editor) { e.atEntry(".", func(p []byte) { p[8] = 'x' }) }},
	{"nocsum", codeDotDotName, func(e *editor) { e.atEntry("..", func(p []byte) { p[8] = 'x' }) }},
	{"nocsum", codeDotDotMissing, func(e *editor) { e.atEntry("..", func(p []byte) { p[0] = 0 }) }},
	{"nocsum", codeEntryInode, func(e *editor) { e.atEntry("hello", func(p []byte) { le.PutUint32(p, 1<<30) }) }},
	{"nocsum", codeEntryInode, func(e *editor) { e.atEntry("hello", func(p []byte) { le.PutUint32(p, 8) }) }},
	{"nocsum", codeEntryRoot, func(e *editor) { e.atEntry("empty", func(p []byte) { le.PutUint32(p, 2) }) }},
	{"nocsum", codeEntryNoName, func(e *editor) { e.atEntry("hello", func(p []byte) { p[6] = 0 }) }},
	{"nocsum", codeEntryUnused, func(e *editor) { e.atEntry("hello", func(p []byte) { le.PutUint32(p, 90) }) }},
	{"nocsum", codeEntryType, func(e *editor) { e.atEntry("hello", func(p []byte) { p[7] = 2 }) }},
	{"nocsum", codeEntryTypeMissing, func(e *editor) { e.atEntry("hello", func(p []byte) { p[7] = 0 }) }},
	{"nocsum", codeEntryName, func(e *editor) { e.atEntry("hello", func(p []byte) { p[8] = '/' }) }},
	{"nocsum", codeEntryDirTwice, func(e *editor) {
		e.atEntry("hello", func(p []byte) { le.PutUint32(p, uint32(e.file("empty"))); p[7] = 2 })
	}},
	{"nocsum", codeEntryDuplicate, func(e *editor) { e.atEntry("fifo", func(p []byte) { copy(p[8:12], "fast") }) }},
	{"nocsum", codeUnattached, func(e *editor) { e.atEntry("fifo", func(p []byte) { le.PutUint32(p, uint32(e.file("hello"))) }) }},
	{"nocsum", codeDirUnconnected, func(e *editor) { e.atEntry("empty", func(p []byte) { le.PutUint32(p, 0) }) }},
	{"nocsum", codeDotDotWrong, func(e *editor) {
		e.block(e.where(e.file("empty"), 0), func(p []byte) { le.PutUint32(p[12:], uint32(e.file("dir"))) })
	}},
	{"ext3", codeIndexLimit, func(e *editor) { e.block(e.where(e.file("htree"), 0), func(p []byte) { add16(p[32:], 1) }) }},
	{"ext3", codeIndexCount, func(e *editor) { e.block(e.where(e.file("htree"), 0), func(p []byte) { le.PutUint16(p[34:], 60000) }) }},
	{"ext3", codeIndexHash, func(e *editor) { e.block(e.where(e.file("htree"), 0), func(p []byte) { p[28] = 17 }) }},
	{"ext3", codeIndexRoot, func(e *editor) { e.block(e.where(e.file("htree"), 0), func(p []byte) { p[29] = 7 }) }},
	{"ext3", codeIndexRange, func(e *editor) { e.block(e.where(e.file("htree"), 1), func(p []byte) { p[8] ^= 1 }) }},
}

var summaryDefects = []defect{
	{"nocsum", codeBlockMarked, func(e *editor) { e.block(uint64(e.c.descs[0].BlockBitmap()), func(p []byte) { p[1000] |= 1 }) }},
	{"nocsum", codeBlockNotMarked, func(e *editor) { e.block(uint64(e.c.descs[0].BlockBitmap()), func(p []byte) { p[0] &^= 1 }) }},
	{"nocsum", codeInodeMarked, func(e *editor) { e.block(uint64(e.c.descs[0].InodeBitmap()), func(p []byte) { p[60] |= 1 }) }},
	{"nocsum", codeInodeNotMarked, func(e *editor) { e.block(uint64(e.c.descs[0].InodeBitmap()), func(p []byte) { p[1] &^= 1 << 4 }) }},
	{"default-1k", codeBlockBitmapChecksum, func(e *editor) { e.desc(0, func(d layout.Desc) { d.SetBlockBitmapCsum(1) }) }},
	{"default-1k", codeInodeBitmapChecksum, func(e *editor) { e.desc(0, func(d layout.Desc) { d.SetInodeBitmapCsum(1) }) }},
	{"nocsum", codeInodeBitmapPadding, func(e *editor) { e.block(uint64(e.c.descs[0].InodeBitmap()), func(p []byte) { p[1023] = 0 }) }},
	{"nocsum", codeGroupFreeBlocks, func(e *editor) { e.desc(0, func(d layout.Desc) { d.SetFreeClusters(d.FreeClusters() - 1) }) }},
	{"nocsum", codeGroupFreeInodes, func(e *editor) { e.desc(0, func(d layout.Desc) { d.SetFreeInodes(d.FreeInodes() - 1) }) }},
	{"nocsum", codeGroupDirs, func(e *editor) { e.desc(0, func(d layout.Desc) { d.SetUsedDirs(d.UsedDirs() + 1) }) }},
}

func TestDefects(t *testing.T) {
	for _, d := range defects {
		t.Run(d.image+"/"+string(d.code), func(t *testing.T) {
			t.Parallel()
			e := edit(t, d.image)
			d.change(e)
			r := run(t, e.dev)
			if r.Counts[d.code] == 0 {
				t.Errorf("not found: %s", summary(r))
			}
			if r.ExitStatus(false) == ExitClean && d.code.Severity() != Note {
				t.Errorf("status 0: %s", summary(r))
			}
			if got, want := r.ExitStatus(true), e2fsck(t, e.dev); (got == 0) != (want == 0) || (got == ExitCannotCheck) != (want&12 == 8) {
				t.Errorf("status %d, e2fsck says %d: %s", got, want, summary(r))
			}
		})
	}
}
