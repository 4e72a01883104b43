package check

import (
	"errors"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// The journal superblock, big-endian (struct journal_superblock_s).
const (
	jbdMagic        = 0xC03B3998
	jbdSuperV1      = 3
	jbdSuperV2      = 4
	jbdMinBlocks    = 1024
	jbdDefaultFast  = 256
	jbdCompatCsum   = 0x1
	jbdIncompatCsum = 0x18 // versions 2 and 3
	jbdIncompatFast = 0x20
	jbdKnown        = 0x3F
)

// manyReserved is the number of blocks in the resize inode from which e2fsck -fn ends early. It clears the error
// number of a journal in its cache, and ends when that cache must be written. If that happens while it checks the
// resize inode, it goes on.
const manyReserved = 20

// A journalFile describes where the log of an internal journal is.
type journalFile struct {
	runs   []fileRun
	blocks uint64
	super  []byte // the journal superblock's 1,024 bytes
}

// prepareJournal finds and checks the journal, and recovers it into memory if needed. Defects of a journal that waits
// for recovery count as Extra: e2fsck -fn does not look at that journal and checks the file system as it is.
func (c *checker) prepareJournal() error {
	g, sb := c.geo, c.sb
	has, dirty := g.hasCompat(layout.CompatHasJournal), g.hasIncompat(layout.IncompatRecover)
	external := !allZero(sb.JournalUUID())
	if external && (!has || sb.JournalInum() != 0) {
		c.rep.add(codeJournalUUID, superAt())
		return errStop
	}
	if !has && !dirty && sb.JournalInum() == 0 && sb.JournalDev() == 0 && !external {
		return nil
	}
	if external {
		c.rep.add(codeJournalExternal, superAt())
		return nil
	}
	f, ok := c.findJournal()
	switch {
	case !ok && (has || sb.JournalInum() != 0):
		c.rep.add(pick(dirty, codeJournalInodeDirty, codeJournalInode), inodeAt(layout.Ino(sb.JournalInum())))
		return nil
	case !ok && dirty:
		c.rep.add(codeRecoverNoJournal, superAt())
		return nil
	case !ok:
		return nil
	}
	if what := c.journalSuperProblem(f); what != "" {
		c.rep.add(pick(dirty, codeJournalSuperDirty, codeJournalSuper), inodeAt(layout.Ino(sb.JournalInum())).say("%s", what))
		return nil
	}
	if !has {
		c.rep.add(codeHasJournalClear, superAt())
	}
	if dirty {
		return c.recover(f)
	}
	if start := be.Uint32(f.super[jsStart:]); has && start != 0 {
		c.rep.add(codeJournalNotEmpty, inodeAt(layout.Ino(sb.JournalInum())).values(start, 0))
	}
	if e := be.Uint32(f.super[jsErrno:]); e != 0 {
		if !g.hasCompat(layout.CompatResizeInode) || g.reservedGDT < manyReserved {
			c.rep.endsAt(0)
		}
		c.rep.add(codeJournalErrno, inodeAt(layout.Ino(sb.JournalInum())).values(int32(e), 0))
	}
	return nil
}

func pick[T any](cond bool, a, b T) T {
	if cond {
		return a
	}
	return b
}

// findJournal finds the log by the journal inode, or by the copy of its block map in the superblock.
func (c *checker) findJournal() (*journalFile, bool) {
	g, sb := c.geo, c.sb
	if n := sb.JournalInum(); n == 0 || uint64(n) > uint64(g.groups)*uint64(g.ipg) {
		return nil, false
	}
	rec, err := c.readInode(layout.Ino(sb.JournalInum()))
	if err == nil && g.inodeChecksumOK(layout.Ino(sb.JournalInum()), rec) {
		if f, ok := c.journalByInode(rec); ok {
			return f, true
		}
	}
	if sb.JournalBackupType() != 1 {
		return nil, false
	}
	copied := make([]byte, 128)
	in := layout.Inode(copied)
	copy(in.Block(), sb.JournalBlocks()[:layout.InodeBlockSize])
	le.PutUint32(copied[iSizeHigh:], le.Uint32(sb.JournalBlocks()[60:]))
	le.PutUint32(copied[iSizeLo:], le.Uint32(sb.JournalBlocks()[64:]))
	in.SetLinks(1)
	in.SetMode(layout.ModeRegular)
	return c.journalByInode(copied)
}

// journalByInode checks that an inode can be that of a journal, and reads the journal superblock.
func (c *checker) journalByInode(rec []byte) (*journalFile, bool) {
	g, in := c.geo, layout.Inode(rec)
	if in.Links() == 0 || !in.IsRegular() || in.HasFlag(layout.FlagEncrypt) || in.Size()>>g.bits < jbdMinBlocks {
		return nil, false
	}
	// e2fsck takes only the lower half of the size to compute how many blocks must be mapped.
	blocks := max(1, (uint64(max(0, int32(in.Size())))+uint64(g.bs)-1)>>g.bits)
	if blocks > g.blocks {
		return nil, false
	}
	runs, whole := c.fileRuns(rec, blocks)
	if !whole {
		return nil, false
	}
	f := &journalFile{runs: runs, blocks: in.Size() >> g.bits, super: make([]byte, 1024)}
	return f, c.readAt(f.super, int64(runs[0].pblk)<<g.bits) == nil
}

// journalSuperProblem says what is wrong with a journal superblock.
func (c *checker) journalSuperProblem(f *journalFile) string {
	s := f.super
	kind, v2 := be.Uint32(s[4:]), be.Uint32(s[4:]) == jbdSuperV2
	switch {
	case be.Uint32(s) != jbdMagic:
		return "magic number " + hex(be.Uint32(s))
	case kind != jbdSuperV1 && kind != jbdSuperV2:
		return "block type " + hex(kind)
	case v2 && be.Uint32(s[jsNrUsers:]) > 1:
		return "several file systems"
	case v2 && be.Uint32(s[jsFeatureIncompat:])&^uint32(jbdKnown) != 0, v2 && be.Uint32(s[jsFeatureROCompat:]) != 0:
		return "unknown features"
	}
	if v2 {
		if what := journalCsumProblem(s); what != "" {
			return what
		}
	}
	maxlen := be.Uint32(s[jsMaxLen:])
	switch {
	case be.Uint32(s[jsBlockSize:]) != uint32(c.geo.bs):
		return "block size " + hex(be.Uint32(s[jsBlockSize:]))
	case uint64(maxlen) > f.blocks:
		return "longer than its file"
	}
	if v2 && be.Uint32(s[jsFeatureIncompat:])&jbdIncompatFast != 0 {
		fast := be.Uint32(s[jsNumFCBlocks:])
		if fast == 0 {
			fast = jbdDefaultFast
		}
		if maxlen-fast < jbdMinBlocks {
			return "too many blocks for fast commits"
		}
	}
	return ""
}

// journalCsumProblem checks the checksum features of a journal superblock and its own checksum.
func journalCsumProblem(s []byte) string {
	csum := be.Uint32(s[jsFeatureIncompat:]) & jbdIncompatCsum
	switch {
	case csum == 0:
		return ""
	case csum == jbdIncompatCsum, be.Uint32(s[jsFeatureCompat:])&jbdCompatCsum != 0:
		return "several kinds of checksums"
	case s[jsChecksumType] != 4:
		return "checksum type " + hex(s[jsChecksumType])
	}
	h := block.Crc32c(block.Crc32c(^uint32(0), s[:jsChecksum]), make([]byte, 4))
	if block.Crc32c(h, s[jsChecksum+4:layout.SuperSize]) != be.Uint32(s[jsChecksum:]) {
		return "checksum"
	}
	return ""
}

// recover replays the log on a copy-on-write view of the device, and opens the file system again as it is afterwards.
func (c *checker) recover(f *journalFile) error {
	area := c.logArea(f)
	if err := c.checkLog(area); err != nil && !errors.Is(err, journal.ErrCorrupt) && !errors.Is(err, journal.ErrUnsupported) {
		return err
	}
	overlay := aio.NewOverlay(c.dev)
	r, err := journal.Recover(overlay, area)
	if err != nil {
		c.rep.add(codeRecovery, superAt().say("%v", err))
		if errors.Is(err, journal.ErrCorrupt) || errors.Is(err, journal.ErrUnsupported) {
			return nil
		}
		return err
	}
	if len(r.Fast) > 0 {
		if c.opt.ApplyFast == nil {
			c.rep.add(codeFastCommits, superAt().values(len(r.Fast), nil))
		} else if err := c.opt.ApplyFast(overlay); err != nil {
			c.rep.add(codeRecovery, superAt().say("fast commits: %v", err))
		}
	}
	c.dev = overlay
	c.recovered = &Recovered{Transactions: r.Transactions, Blocks: r.Blocks}
	if err := c.open(); err != nil {
		return err
	}
	c.collectOrphans()
	return nil
}

// logArea describes the log to package journal.
func (c *checker) logArea(f *journalFile) journal.Area {
	a := journal.Area{BlockSize: c.geo.bs}
	for _, r := range f.runs {
		a.Blocks = append(a.Blocks, journal.Run{Phys: r.pblk, Len: uint32(r.n)})
	}
	return a
}

// checkLog looks for blocks with wrong checksums at which recovery ends although committed transactions follow. At
// the end of the log such blocks are no defect: a crash leaves them of the transaction that it interrupted.
func (c *checker) checkLog(a journal.Area) error {
	var bad []journal.Entry
	reported := 0
	return journal.Show(c.dev, a, func(e journal.Entry) error {
		ok := e.SumOK
		for _, t := range e.Tags {
			ok = ok && t.SumOK
		}
		switch {
		case e.Kind == journal.KindFast || e.Kind == journal.KindEnd:
		case !ok:
			bad = append(bad, e)
		case e.Kind == journal.KindCommit:
			for ; reported < len(bad); reported++ {
				b := bad[reported]
				c.rep.add(codeLogBlock, superAt().block(int64(b.Block), 0).say("transaction %d; %d is committed", b.TID, e.TID))
			}
		}
		return c.cancelled()
	})
}
