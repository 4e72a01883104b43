package quota

import (
	"fmt"

	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
)

// file is one quota file during one call.
type file struct {
	q      *Quota
	ino    layout.Ino
	blocks uint32 // dqi_blocks
}

// place is a record: its block and its index there.
type place struct {
	block uint32
	index int
}

// open reads and checks the header.
func (q *Quota) open(r journal.Reader, ino layout.Ino, kind Kind) (*file, error) {
	in, err := q.t.Read(r, ino)
	if err != nil {
		return nil, err
	}
	f := &file{q: q, ino: ino, blocks: layout.QuotaTreeRoot + 1}
	p, err := f.read(r, 0)
	if err != nil {
		return nil, err
	}
	head, err := layout.ParseQuotaHeader(p)
	if err != nil {
		return nil, err
	}
	if magic := layout.QuotaMagics[kind]; head.Magic() != magic || head.Version() != layout.QuotaVersion {
		return nil, layout.Corruptf("quota file: inode %d: magic %#x version %d, want %#x version %d", ino, head.Magic(), head.Version(),
			magic, layout.QuotaVersion)
	}
	f.blocks = head.Blocks()
	if f.blocks <= layout.QuotaTreeRoot || uint64(f.blocks)*layout.QuotaBlockSize > in.Size() {
		return nil, layout.Corruptf("quota file: inode %d: %d blocks, size %d", ino, f.blocks, in.Size())
	}
	return f, nil
}

// ref finds a block of the file. A hole is an error of kind layout.ErrCorrupt.
func (f *file) ref(r journal.Reader, block uint32) (buf.Ref, error) {
	if block >= f.blocks {
		return buf.Ref{}, layout.Corruptf("quota file: inode %d: block %d of %d", f.ino, block, f.blocks)
	}
	per := uint32(f.q.g.BlockSize / layout.QuotaBlockSize)
	e, err := f.q.m.Lookup(r, f.ino, layout.Lblk(block/per))
	if err != nil {
		return buf.Ref{}, err
	}
	if !e.Mapped() || e.Unwritten {
		return buf.Ref{}, layout.Corruptf("quota file: inode %d: block %d is a hole", f.ino, block)
	}
	return buf.Ref{
		Block: uint64(e.Pblk), Off: int(block%per) * layout.QuotaBlockSize, Len: layout.QuotaBlockSize,
		Type: layout.PlainType{Name: fmt.Sprintf("quota file block %d of inode %d", block, f.ino)},
	}, nil
}

func (f *file) read(r journal.Reader, block uint32) ([]byte, error) {
	ref, err := f.ref(r, block)
	if err != nil {
		return nil, err
	}
	return r.Read(ref)
}

func (f *file) edit(h *journal.Handle, block uint32) ([]byte, error) {
	ref, err := f.ref(h, block)
	if err != nil {
		return nil, err
	}
	return h.Get(ref)
}

// digit is the index of an identifier in a tree block of a level. The root has level 0.
func digit(id uint32, level int) int {
	return int(id >> (8 * (layout.QuotaTreeDepth - 1 - level)) & 0xFF)
}

// find looks up an identifier. If it has no record, the entry is nil.
func (f *file) find(r journal.Reader, id uint32) (layout.QuotaEntry, place, error) {
	block := uint32(layout.QuotaTreeRoot)
	for level := range layout.QuotaTreeDepth {
		p, err := f.read(r, block)
		if err != nil {
			return nil, place{}, err
		}
		if block = layout.QuotaRef(p, digit(id, level)); block == 0 {
			return nil, place{}, nil
		}
	}
	p, err := f.read(r, block)
	if err != nil {
		return nil, place{}, err
	}
	for i, e := range layout.QuotaEntries(p) {
		if e.Used() && e.ID() == id {
			return e, place{block, i}, nil
		}
	}
	return nil, place{}, layout.Corruptf("quota file: inode %d: block %d has no record of %d", f.ino, block, id)
}

// record finds the record of an identifier, or makes one with the tree blocks above it.
func (f *file) record(h *journal.Handle, id uint32) (place, error) {
	e, at, err := f.find(h, id)
	if err != nil || e != nil {
		return at, err
	}
	// The record comes first, then the references to it, from the lowest missing one upwards: all in one handle.
	if at, err = f.newRecord(h, id); err != nil {
		return at, err
	}
	block := uint32(layout.QuotaTreeRoot)
	for level := range layout.QuotaTreeDepth {
		p, err := f.edit(h, block)
		if err != nil {
			return at, err
		}
		next := layout.QuotaRef(p, digit(id, level))
		if next == 0 {
			if next = at.block; level < layout.QuotaTreeDepth-1 {
				if next, err = f.newBlock(h); err != nil {
					return at, err
				}
			}
			layout.SetQuotaRef(p, digit(id, level), next)
		}
		block = next
	}
	return at, nil
}

// newRecord takes a record in the first block that has room, or in a new one.
func (f *file) newRecord(h *journal.Handle, id uint32) (place, error) {
	head, err := f.head(h)
	if err != nil {
		return place{}, err
	}
	block := head.FreeEntry()
	if block == 0 {
		if block, err = f.newBlock(h); err != nil {
			return place{}, err
		}
		head.SetFreeEntry(block)
	}
	if block <= layout.QuotaTreeRoot {
		return place{}, layout.Corruptf("quota file: inode %d: dqi_free_entry %d", f.ino, block)
	}
	p, err := f.edit(h, block)
	if err != nil {
		return place{}, err
	}
	leaf, entries := layout.QuotaRecords(p), layout.QuotaEntries(p)
	for i, e := range entries {
		if e.Used() {
			continue
		}
		e.SetID(id)
		e.MarkUsed()
		leaf.SetCount(leaf.Count() + 1)
		if leaf.Count() < len(entries) {
			return place{block, i}, nil
		}
		return place{block, i}, f.leaveList(h, head, leaf)
	}
	return place{}, layout.Corruptf("quota file: inode %d: block %d: in the list of blocks with room, has none", f.ino, block)
}

// leaveList removes a block that is now full from the head of the list of blocks with room.
func (f *file) leaveList(h *journal.Handle, head layout.QuotaHeader, leaf layout.QuotaRecords) error {
	next := leaf.Next()
	leaf.SetLinks(0, 0)
	head.SetFreeEntry(next)
	if next == 0 {
		return nil
	}
	if next <= layout.QuotaTreeRoot {
		return layout.Corruptf("quota file: inode %d: dqdh_next_free %d", f.ino, next)
	}
	p, err := f.edit(h, next)
	if err != nil {
		return err
	}
	layout.QuotaRecords(p).SetLinks(layout.QuotaRecords(p).Next(), 0)
	return nil
}

func (f *file) head(h *journal.Handle) (layout.QuotaHeader, error) {
	p, err := f.edit(h, 0)
	if err != nil {
		return nil, err
	}
	return layout.ParseQuotaHeader(p)
}

// newBlock takes a zeroed block: an unused one, or a new one at the end of the file.
func (f *file) newBlock(h *journal.Handle) (uint32, error) {
	head, err := f.head(h)
	if err != nil {
		return 0, err
	}
	if block := head.FreeBlock(); block != 0 {
		if block <= layout.QuotaTreeRoot {
			return 0, layout.Corruptf("quota file: inode %d: dqi_free_blk %d", f.ino, block)
		}
		p, err := f.edit(h, block)
		if err != nil {
			return 0, err
		}
		head.SetFreeBlock(layout.QuotaRecords(p).Next())
		clear(p)
		return block, nil
	}
	block := f.blocks
	if err := f.grow(h, block); err != nil {
		return 0, err
	}
	f.blocks++
	head.SetBlocks(f.blocks)
	p, err := f.edit(h, block)
	if err != nil {
		return 0, err
	}
	clear(p)
	return block, nil
}

// grow makes the file long enough for a block. If need be, it maps one more block of the file system.
func (f *file) grow(h *journal.Handle, block uint32) error {
	per := uint32(f.q.g.BlockSize / layout.QuotaBlockSize)
	l := layout.Lblk(block / per)
	e, err := f.q.m.Lookup(h, f.ino, l)
	if err != nil {
		return err
	}
	if !e.Mapped() {
		if e, err = f.q.m.Allocate(h, f.ino, l, 1, false); err != nil {
			return err
		}
		typ := layout.PlainType{Name: fmt.Sprintf("new quota file block of inode %d", f.ino)}
		if _, err := h.Create(buf.Ref{Block: uint64(e.Pblk), Len: f.q.g.BlockSize, Type: typ}); err != nil {
			return err
		}
	}
	size := (uint64(block) + 1) * layout.QuotaBlockSize
	in, err := f.q.t.Read(h, f.ino)
	if err != nil || in.Size() >= size {
		return err
	}
	return f.q.t.SetSize(h, f.ino, size)
}
