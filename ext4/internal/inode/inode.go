// Package inode owns the inode records and the orphans: the list that begins in the superblock, and the orphan file.
//
//	descriptor g ──> inode table of group g    record of inode g·n+1 | g·n+2 | …   (s_inode_size bytes each)
//	s_last_orphan ─> inode 17 ─ i_dtime ─> inode 12 ─ i_dtime ─> 0
//	orphan file      block: 17 0 0 12 … | ob_magic ob_checksum
//
// It promises that a record is edited in place, through a view: bytes that this program does not know, such as
// attributes in the inode or later fields, stay as they are. A new record starts from zeros, whatever garbage the
// table held.
//
// The caller passes a handle with credits: one for the record, Credits more for New and Free, and OrphanCredits for
// AddOrphan and DelOrphan. After an error the handle must be cancelled. The caller takes care of link counts, owners
// and contents.
package inode

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"ext4img/aio/block"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
)

// OrphanCredits is the number of blocks that AddOrphan and DelOrphan change at most: the superblock, the record, and
// the record before it in the list or a block of the orphan file.
const OrphanCredits = 4

// Table is the inodes of one file system.
type Table struct {
	s     *group.Space
	g     *layout.Geometry
	Clock func() time.Time // the time for new and freed inodes

	// Values counts the attributes of an inode whose values are in inodes of their own: quotas charge each of those
	// to the owner of the attribute. nil: there are none.
	Values func(r journal.Reader, ino layout.Ino) (uint64, error)

	// Lenient makes everything that is in the inode tables readable, whatever the descriptors say of parts that were
	// never used: as the kernel reads. It is for reading only, and is set before the first use.
	Lenient bool

	// Guarded by the running handle.
	made    uint32      // inodes made so far; a part of new generations
	orphans *orphanFile // cached facts about the orphan file; nil until first used
	watched watched

	near atomic.Pointer[tablePart] // the part of an inode table that was read last
}

// tablePart is the part of a group's inode table that is in use. It never moves. It gets shorter only if a handle is
// cancelled; therefore only parts that views have read are kept.
type tablePart struct {
	group layout.Group
	first layout.Pblk
	used  uint32 // inodes
}

// New makes a Table over the file system of s. clock gives the time for new and freed inodes; nil is time.Now.
func New(s *group.Space, clock func() time.Time) *Table {
	if clock == nil {
		clock = time.Now
	}
	return &Table{s: s, g: s.Geometry(), Clock: clock}
}

// Space is the free space that the table takes its inodes from.
func (t *Table) Space() *group.Space { return t.s }

// Credits is the number of blocks that New and Free change at most.
func (t *Table) Credits() int { return t.s.InodeCredits() + 1 }

// ref finds the record of an inode. A record in a part of a table that was never used is garbage. A reference to it is
// an error of kind layout.ErrCorrupt, unless the table is Lenient.
func (t *Table) ref(r journal.Reader, ino layout.Ino) (buf.Ref, error) {
	if !t.g.ValidIno(ino) {
		return buf.Ref{}, layout.Corruptf("inode %d of %d", ino, t.g.Inodes)
	}
	group, at := t.g.InodeGroup(ino)
	part := t.near.Load()
	if part == nil || part.group != group || at >= part.used {
		var err error
		if part, err = t.readPart(r, group); err != nil {
			return buf.Ref{}, fmt.Errorf("inode %d: %w", ino, err)
		}
	}
	if at >= part.used {
		return buf.Ref{}, layout.Corruptf("inode %d: in the unused part of the inode table of group %d", ino, group)
	}
	per := t.g.InodesPerBlock()
	return buf.Ref{
		Block: uint64(part.first) + uint64(at/per), Off: int(at%per) * t.g.InodeSize, Len: t.g.InodeSize,
		Type: layout.InodeType{G: t.g, Ino: ino},
	}, nil
}

// readPart finds a group's inode table.
func (t *Table) readPart(r journal.Reader, group layout.Group) (*tablePart, error) {
	d, err := t.s.TableDesc(r, group)
	if err != nil {
		return nil, err
	}
	part := &tablePart{group, d.InodeTable(), t.g.InodesPerGroup}
	if t.g.GdtCsum() && !t.Lenient {
		part.used -= min(part.used, d.ItableUnused())
		if d.Flags()&layout.DescInodeUninit != 0 {
			part.used = 0
		}
	}
	if _, ok := r.(*journal.View); ok {
		t.near.Store(part)
	}
	return part, nil
}

// Read reads an inode's record, in use or not. The record must not be changed. If no inode has that number, or the
// record was never used, the error is layout.ErrCorrupt.
func (t *Table) Read(r journal.Reader, ino layout.Ino) (layout.Inode, error) {
	ref, err := t.ref(r, ino)
	if err != nil {
		return nil, err
	}
	p, err := r.Read(ref)
	if err != nil {
		return nil, fmt.Errorf("inode %d: %w", ino, err)
	}
	return layout.Inode(p), nil
}

// Edit returns an inode's record to be changed.
func (t *Table) Edit(h *journal.Handle, ino layout.Ino) (layout.Inode, error) {
	ref, err := t.ref(h, ino)
	if err != nil {
		return nil, err
	}
	p, err := h.Get(ref)
	if err != nil {
		return nil, fmt.Errorf("inode %d: %w", ino, err)
	}
	err = t.watch(h, ino, func() (Usage, error) { return t.usage(h, ino, p) })
	return layout.Inode(p), err
}

// New allocates an inode and makes its record. It has the mode with its type, the present time, a generation, no
// links and no owner. Files and directories get an empty extent tree if the file system has extents. Flags and
// project are inherited from the parent. The caller sets owner and links, and gives the inode a name or adds it to
// the orphans.
func (t *Table) New(h *journal.Handle, parent layout.Ino, mode uint16) (layout.Ino, layout.Inode, error) {
	up, err := t.Read(h, parent)
	if err != nil {
		return 0, nil, err
	}
	if up.HasFlag(layout.FlagEncrypt) {
		return 0, nil, layout.Unsupportedf("inode %d: new inode in an encrypted directory: encrypt", parent)
	}
	dir := mode&layout.ModeTypeMask == layout.ModeDir
	ino, err := t.s.AllocInode(h, parent, dir)
	if err != nil {
		return 0, nil, err
	}
	in, err := t.blank(h, ino)
	if err != nil {
		return 0, nil, err
	}
	now := t.Clock()
	in.SetMode(mode)
	in.SetExtraIsize(t.extraIsize())
	in.SetAtime(now)
	in.SetMtime(now)
	in.SetCtime(now)
	in.SetCrtime(now)
	in.SetGeneration(t.generation(ino, now))
	in.SetFlags(inherited(up.Flags(), mode))
	if t.g.ROCompat&layout.ROCompatProject != 0 && up.HasFlag(layout.FlagProjInherit) {
		in.SetProjectID(up.ProjectID())
	}
	if dir || mode&layout.ModeTypeMask == layout.ModeRegular {
		t.InitMap(in)
	}
	return ino, in, nil
}

// InitMap makes i_block of a record that is being changed an empty map: an extent tree where the file system has extents.
func (t *Table) InitMap(in layout.Inode) {
	if t.g.Incompat&layout.IncompatExtents != 0 {
		in.SetFlags(in.Flags() | layout.FlagExtents)
	}
	ClearMap(in)
}

// ClearMap makes i_block of a record that is being changed an empty map of the kind that the flags say.
func ClearMap(in layout.Inode) {
	clear(in.Block())
	if in.HasFlag(layout.FlagExtents) {
		layout.InitExtentNode(in.Block(), 0)
	}
}

// blank makes an empty record.
func (t *Table) blank(h *journal.Handle, ino layout.Ino) (layout.Inode, error) {
	ref, err := t.ref(h, ino)
	if err != nil {
		return nil, err
	}
	p, err := h.Create(ref)
	if err != nil {
		return nil, fmt.Errorf("inode %d: %w", ino, err)
	}
	err = t.watch(h, ino, func() (Usage, error) { return Usage{}, nil })
	delete(t.watched.freed, ino)
	return layout.Inode(p), err
}

// Claim takes an inode number that must be free and returns its record, which is empty, to be filled. It is for the
// recovery of fast commits, which name the inodes made.
func (t *Table) Claim(h *journal.Handle, ino layout.Ino, dir bool) (layout.Inode, error) {
	if err := t.s.ClaimInode(h, ino, dir); err != nil {
		return nil, err
	}
	return t.blank(h, ino)
}

// knownExtra is the number of bytes beyond 128 in the kernel's record: up to i_projid.
const knownExtra = 32

// extraIsize is i_extra_isize of a new inode.
func (t *Table) extraIsize() int {
	room := t.g.InodeSize - layout.GoodOldInodeSize
	n := knownExtra
	if t.g.ROCompat&layout.ROCompatExtraIsize != 0 {
		n = max(n, t.g.WantExtraIsize, t.g.MinExtraIsize)
	}
	return min(n, room) &^ 3
}

// generation makes a number that an earlier inode with the same number is unlikely to have had. It depends only on
// what was done so far, so that the same work gives the same image.
func (t *Table) generation(ino layout.Ino, now time.Time) uint32 {
	t.made++
	var b [16]byte
	binary.LittleEndian.PutUint32(b[0:], uint32(ino))
	binary.LittleEndian.PutUint64(b[4:], uint64(now.UnixNano()))
	binary.LittleEndian.PutUint32(b[12:], t.made)
	return block.Crc32c(t.g.CsumSeed, b[:])
}

// The flags that a new inode inherits from its directory (EXT4_FL_INHERITED). Of those, the flags that only a
// directory may have, and the flags that may be set on other types than files and directories. Two bits have no name
// in layout: no compression (0x400) and DAX (0x2000000).
const (
	inheritFlags = layout.FlagSecRm | layout.FlagUnRm | layout.FlagCompr | layout.FlagSync | layout.FlagNoDump |
		layout.FlagNoAtime | 0x400 | layout.FlagJournalData | layout.FlagNoTail | layout.FlagDirSync |
		layout.FlagProjInherit | layout.FlagCasefold | 0x2000000
	dirFlags   = layout.FlagDirSync | layout.FlagTopDir | layout.FlagCasefold | layout.FlagProjInherit
	otherFlags = layout.FlagNoDump | layout.FlagNoAtime
)

func inherited(flags uint32, mode uint16) uint32 {
	flags &= inheritFlags
	switch mode & layout.ModeTypeMask {
	case layout.ModeDir:
		return flags
	case layout.ModeRegular:
		return flags &^ dirFlags
	}
	return flags & otherFlags
}

// InspectTranslator checks the block of the Hurd's translator, if the inode has one, before FreeTranslator frees it.
func (t *Table) InspectTranslator(r journal.Reader, ino layout.Ino) error {
	in, err := t.Read(r, ino)
	if err != nil || t.g.Translator(in) == 0 {
		return err
	}
	if err := t.s.InUse(r, t.g.Translator(in), 1); err != nil {
		return fmt.Errorf("inode %d: h_i_translator: %w", ino, err)
	}
	return nil
}

// FreeTranslator frees the block of the Hurd's translator, if the inode has one.
func (t *Table) FreeTranslator(h *journal.Handle, ino layout.Ino) error {
	in, err := t.Read(h, ino)
	if err != nil || t.g.Translator(in) == 0 {
		return err
	}
	p := t.g.Translator(in)
	if !t.g.ContainsBlocks(p, 1) {
		return layout.Corruptf("inode %d: h_i_translator %d of %d blocks", ino, p, t.g.Blocks)
	}
	ratio := layout.Pblk(t.g.ClusterRatio)
	if err := t.s.Free(h, p-p%ratio, uint64(ratio)); err != nil {
		return fmt.Errorf("inode %d: h_i_translator: %w", ino, err)
	}
	if in, err = t.Edit(h, ino); err != nil {
		return err
	}
	t.g.ClearTranslator(in)
	return t.AddBlocks(h, ino, -int64(ratio))
}

// Free gives back an inode that has no links and no blocks and is not an orphan (DelOrphan comes first, because both
// use i_dtime). It sets i_dtime. Mode and other fields stay, for tools that look for lost files. The number can be
// used again.
func (t *Table) Free(h *journal.Handle, ino layout.Ino) error {
	in, err := t.Edit(h, ino)
	if err != nil {
		return err
	}
	if n := in.Links(); n != 0 {
		return layout.Corruptf("free inode %d: %d links", ino, n)
	}
	if err := t.s.FreeInode(h, ino, in.IsDir()); err != nil {
		return err
	}
	in.SetDtime(max(1, uint32(t.Clock().Unix())))
	if t.watched.freed != nil {
		t.watched.freed[ino] = true
	}
	return nil
}
