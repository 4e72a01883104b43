package inode

import (
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
)

// maxOrphanBlocks bounds the orphan file. mke2fs makes at most 512 blocks.
const maxOrphanBlocks = 1 << 16

// An orphanFile holds what is known about the orphan file: its blocks, which never change, and the slots in use. The
// slots are a hint: when a handle is cancelled they are forgotten, and read again from the blocks.
type orphanFile struct {
	refs []buf.Ref
	used []int // per block: slots in use
	slot map[layout.Ino]slot
	all  []layout.Ino // when it was read, in the order of the slots
}

type slot struct{ block, at int }

func (t *Table) hasOrphanFile() bool { return t.g.Compat&layout.CompatOrphanFile != 0 }

// readFile reads the whole orphan file.
func (t *Table) readFile(r journal.Reader) (*orphanFile, error) {
	refs, err := t.orphanRefs(r)
	if err != nil {
		return nil, err
	}
	f := &orphanFile{refs: refs, used: make([]int, len(refs)), slot: make(map[layout.Ino]slot)}
	for i, ref := range refs {
		p, err := r.Read(ref)
		if err != nil {
			return nil, err
		}
		b := layout.OrphanBlock(p)
		for at := range b.Slots() {
			ino := b.Get(at)
			if ino == 0 {
				continue
			}
			if !t.g.ValidIno(ino) || ino < t.g.FirstIno {
				return nil, layout.Corruptf("%s: slot %d: inode %d of %d", ref.Type, at, ino, t.g.Inodes)
			}
			if _, twice := f.slot[ino]; twice {
				return nil, layout.Corruptf("%s: slot %d: inode %d again", ref.Type, at, ino)
			}
			f.used[i]++
			f.slot[ino] = slot{i, at}
			f.all = append(f.all, ino)
		}
	}
	return f, nil
}

// orphanRefs finds the blocks of the orphan file.
func (t *Table) orphanRefs(r journal.Reader) ([]buf.Ref, error) {
	super, err := t.s.Super(r)
	if err != nil {
		return nil, err
	}
	ino := layout.Ino(super.OrphanFileInum())
	in, err := t.Read(r, ino)
	if err != nil {
		return nil, err
	}
	n := in.Size() / uint64(t.g.BlockSize)
	if !in.IsRegular() || n == 0 || n > maxOrphanBlocks || in.Size()%uint64(t.g.BlockSize) != 0 {
		return nil, layout.Corruptf("orphan file: inode %d: mode %#o, size %d", ino, in.Mode(), in.Size())
	}
	blocks, err := t.mapBlocks(r, ino, in, int(n))
	if err != nil {
		return nil, err
	}
	refs := make([]buf.Ref, n)
	for i, p := range blocks {
		if p == 0 {
			return nil, layout.Corruptf("orphan file: inode %d: block %d is a hole", ino, i)
		}
		typ := layout.OrphanBlockType{G: t.g, Ino: ino, Gen: in.Generation(), Block: p}
		refs[i] = buf.Ref{Block: uint64(p), Len: t.g.BlockSize, Type: typ}
	}
	return refs, nil
}

// file returns what is known about the orphan file. The first call reads it.
func (t *Table) file(h *journal.Handle) (*orphanFile, error) {
	if t.orphans == nil {
		f, err := t.readFile(h)
		if err != nil {
			return nil, err
		}
		f.all = nil
		t.orphans = f
	}
	h.AtEnd(func(ok bool) {
		if !ok {
			t.orphans = nil
		}
	})
	return t.orphans, nil
}

// addToFile adds an inode to the orphan file. done is false if the file is full.
func (t *Table) addToFile(h *journal.Handle, ino layout.Ino) (done bool, err error) {
	f, err := t.file(h)
	if err != nil {
		return false, err
	}
	if _, ok := f.slot[ino]; ok {
		return true, nil
	}
	for i, ref := range f.refs {
		if f.used[i] >= (ref.Len-8)/4 {
			continue
		}
		p, err := h.Get(ref)
		if err != nil {
			return false, err
		}
		b := layout.OrphanBlock(p)
		for at := range b.Slots() {
			if b.Get(at) == 0 {
				b.Set(at, ino)
				f.used[i]++
				f.slot[ino] = slot{i, at}
				return true, t.setPresent(h, true)
			}
		}
		return false, layout.Corruptf("%s: no free slot, %d counted as used", ref.Type, f.used[i])
	}
	return false, nil
}

// delFromFile frees the slot of an inode. done is false if the inode has no slot.
func (t *Table) delFromFile(h *journal.Handle, ino layout.Ino) (done bool, err error) {
	f, err := t.file(h)
	if err != nil {
		return false, err
	}
	at, ok := f.slot[ino]
	if !ok {
		return false, nil
	}
	p, err := h.Get(f.refs[at.block])
	if err != nil {
		return false, err
	}
	b := layout.OrphanBlock(p)
	if got := b.Get(at.at); got != ino {
		return false, layout.Corruptf("%s: slot %d: inode %d, want %d", f.refs[at.block].Type, at.at, got, ino)
	}
	b.Set(at.at, 0)
	f.used[at.block]--
	delete(f.slot, ino)
	return true, t.setPresent(h, len(f.slot) > 0)
}

// OrphansDone clears the feature orphan_present if the orphan file has no entries. The kernel keeps it set while a
// file system is mounted.
func (t *Table) OrphansDone(h *journal.Handle) error {
	if !t.hasOrphanFile() {
		return nil
	}
	f, err := t.file(h)
	if err != nil {
		return err
	}
	return t.setPresent(h, len(f.slot) > 0)
}

// setPresent says in the superblock whether the orphan file has entries: the feature orphan_present.
func (t *Table) setPresent(h *journal.Handle, present bool) error {
	super, err := t.s.Super(h)
	if err != nil {
		return err
	}
	f := super.FeatureROCompat() &^ layout.ROCompatOrphanPresent
	if present {
		f |= layout.ROCompatOrphanPresent
	}
	if f == super.FeatureROCompat() {
		return nil
	}
	if super, err = t.s.EditSuper(h); err != nil {
		return err
	}
	super.SetFeatureROCompat(f)
	return nil
}
