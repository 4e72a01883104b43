package fastcommit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// inode applies a record, without the fields that belong to structures which fast commits do not contain: the map,
// the block of attributes, i_blocks, and the link of the orphan list. In a directory it also leaves the fields that
// follow from its names.
func (r *replay) inode(ino layout.Ino, raw []byte) error {
	in := make(layout.Inode, r.Geo.InodeSize)
	length := copy(in, raw)
	_, err := r.Update(r.Credits(), func(h *journal.Handle) error {
		old, err := r.exists(h, ino)
		if err != nil {
			return err
		}
		if old != nil && (old.Generation() != in.Generation() || old.Type() != in.Type()) {
			return r.reborn(h, ino, in, length)
		}
		if old == nil {
			if _, err := r.Inodes.Claim(h, ino, in.IsDir()); err != nil {
				return err
			}
			return r.begin(h, ino, in, length)
		}
		return r.takeOver(h, ino, in, length)
	})
	if err != nil {
		return fmt.Errorf("inode %d: %w", ino, err)
	}
	return nil
}

// The fields of a record before and after i_block.
const (
	inodeHead = 0x28
	inodeTail = 0x64
)

// copyRecord copies the bytes around i_block, except for the fields that must stay.
func copyRecord(to, from layout.Inode, length int) {
	keep := append(layout.Inode(nil), to...)
	copy(to[:inodeHead], from)
	copy(to[inodeTail:length], from[inodeTail:length])
	to.SetFlags(from.Flags()&^layout.FlagHugeFile | keep.Flags()&layout.FlagHugeFile)
	to.SetRawBlocks(keep.RawBlocks())
	to.SetFileACL(keep.FileACL())
	to.SetDtime(keep.Dtime())
}

// begin fills an empty record. A directory is completed when it gets its name, which says what its parent is.
func (r *replay) begin(h *journal.Handle, ino layout.Ino, in layout.Inode, length int) error {
	rec, err := r.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	r.named = append(r.named, ino)
	copyRecord(rec, in, length)
	if delete(r.had, ino); !rec.IsDir() {
		r.had[ino] = 0
	}
	switch {
	case rec.IsDir():
		rec.SetLinks(0)
		rec.SetSize(0)
		rec.SetFlags(rec.Flags() &^ (layout.FlagIndex | layout.FlagInlineData))
		r.Inodes.InitMap(rec)
	case !in.MapsBlocks() || in.FastSymlink():
		copy(rec.Block(), in.Block())
	default:
		inode.ClearMap(rec)
	}
	return nil
}

// takeOver changes a record that is in use.
func (r *replay) takeOver(h *journal.Handle, ino layout.Ino, in layout.Inode, length int) error {
	rec, err := r.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	if rec.IsDir() {
		links, size, flags := rec.Links(), rec.Size(), rec.Flags()
		copyRecord(rec, in, length)
		rec.SetLinks(links)
		rec.SetSize(size)
		rec.SetFlags(flags)
		return nil
	}
	if err := r.touch(h, ino); err != nil {
		return err
	}
	wasInline, inline := rec.HasFlag(layout.FlagInlineData), in.HasFlag(layout.FlagInlineData)
	switch {
	case wasInline && !inline:
		if err := r.Attrs.DropInline(h, ino); err != nil {
			return err
		}
		r.Inodes.InitMap(rec)
	case inline && !wasInline:
		if err := r.unmap(h, ino, 0, ^layout.Lblk(0)); err != nil {
			return err
		}
	}
	copyRecord(rec, in, length)
	if inline {
		copy(rec.Block(), in.Block())
	}
	return nil
}

// reborn starts the next life of an inode number: everything that belonged to the last one is removed.
func (r *replay) reborn(h *journal.Handle, ino layout.Ino, in layout.Inode, length int) error {
	if err := r.touch(h, ino); err != nil {
		return err
	}
	rec, err := r.Inodes.Edit(h, ino)
	if err != nil {
		return err
	}
	if rec.MapsBlocks() {
		if err := r.unmap(h, ino, 0, ^layout.Lblk(0)); err != nil {
			return err
		}
	}
	if err := r.Inodes.AddBlocks(h, ino, -r.had[ino]); err != nil {
		return err
	}
	for done := false; !done; {
		var err error
		if done, err = r.Attrs.FreeAll(h, ino); err != nil {
			return err
		}
	}
	if err := r.Inodes.DelOrphan(h, ino); err != nil {
		return err
	}
	if rec.IsDir() != in.IsDir() {
		if err := r.Space.FreeInode(h, ino, rec.IsDir()); err != nil {
			return err
		}
		if err := r.Space.ClaimInode(h, ino, in.IsDir()); err != nil {
			return err
		}
	}
	blocks, huge := rec.RawBlocks(), rec.Flags()&layout.FlagHugeFile
	clear(rec)
	rec.SetRawBlocks(blocks)
	rec.SetFlags(huge)
	return r.begin(h, ino, in, length)
}

// onMap changes the map of a file that exists. If a later record turns inline data into a map, that record is applied
// first.
func (r *replay) onMap(number uint32, rest []journal.FastRecord, fn func(h *journal.Handle, ino layout.Ino) error) error {
	ino := layout.Ino(number)
	v := r.Journal.View()
	rec, err := r.exists(v, ino)
	inline, none := rec != nil && rec.HasFlag(layout.FlagInlineData), rec == nil || rec.IsDir()
	v.Close()
	if err != nil || none {
		return err
	}
	for _, other := range rest {
		if in, ok := other.(journal.FastInode); ok && inline && in.Ino == number {
			if err := r.inode(ino, in.Raw); err != nil {
				return err
			}
		}
	}
	_, err = r.Update(r.Extents.StepCredits(), func(h *journal.Handle) error {
		if err := r.touch(h, ino); err != nil {
			return err
		}
		return fn(h, ino)
	})
	if err != nil {
		return fmt.Errorf("inode %d: %w", ino, err)
	}
	return nil
}

// addRange maps an extent, and unmaps what was mapped there before.
func (r *replay) addRange(h *journal.Handle, ino layout.Ino, e layout.Extent) error {
	for l := uint64(e.Lblk); l < e.End(); {
		old, err := r.Extents.Lookup(h, ino, layout.Lblk(l))
		if err != nil {
			return err
		}
		part := e.Cut(l, min(e.End(), max(old.End(), l+1)))
		l = part.End()
		if old.Mapped() && old.Pblk == part.Pblk {
			if old.Unwritten != part.Unwritten {
				err = r.Extents.Convert(h, ino, part.Lblk, part.Len, part.Unwritten)
			}
		} else {
			if old.Mapped() {
				err = r.unmap(h, ino, part.Lblk, layout.Lblk(part.End()))
			}
			if err == nil {
				err = r.Extents.Insert(h, ino, part)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unmap removes a range from a map. The blocks stay in use until settle.
func (r *replay) unmap(h *journal.Handle, ino layout.Ino, from, to layout.Lblk) error {
	for done := from >= to; !done; {
		var gone []group.Run
		var err error
		if gone, done, to, err = r.Extents.Unmap(h, ino, from, to); err != nil {
			return err
		}
		r.gone = append(r.gone, gone...)
		if !done {
			if err := h.Need(r.Extents.StepCredits()); err != nil {
				return err
			}
		}
	}
	return nil
}

// touch counts the blocks of an inode before its map is first changed here. Directories count their own blocks, until
// their number is used again.
func (r *replay) touch(h *journal.Handle, ino layout.Ino) error {
	if _, ok := r.had[ino]; ok {
		return nil
	}
	runs, err := r.clusters(h, ino)
	if err == nil {
		r.had[ino] = count(runs)
	}
	return err
}

// clusters returns the data blocks of an inode, in whole clusters.
func (r *replay) clusters(v journal.Reader, ino layout.Ino) (out []group.Run, err error) {
	ratio := layout.Pblk(r.Geo.ClusterRatio)
	err = r.Extents.Walk(v, ino, 0, func(e layout.Extent) (bool, error) {
		from, to := e.Pblk-e.Pblk%ratio, e.Pblk+layout.Pblk(e.Len)+ratio-1
		out = append(out, group.Run{Start: from, Len: uint64(to - to%ratio - from)})
		return true, nil
	})
	return join(out), err
}

// join sorts runs, and merges those that touch or overlap.
func join(runs []group.Run) []group.Run {
	slices.SortFunc(runs, func(a, b group.Run) int { return cmp.Compare(a.Start, b.Start) })
	out := runs[:0]
	for _, x := range runs {
		if n := len(out); n > 0 && out[n-1].Start+layout.Pblk(out[n-1].Len) >= x.Start {
			end := max(out[n-1].Start+layout.Pblk(out[n-1].Len), x.Start+layout.Pblk(x.Len))
			out[n-1].Len = uint64(end - out[n-1].Start)
			continue
		}
		out = append(out, x)
	}
	return out
}

// without returns the blocks of a that are not in b. Both must be joined.
func without(a, b []group.Run) (out []group.Run) {
	for _, x := range a {
		at, end := x.Start, x.Start+layout.Pblk(x.Len)
		for len(b) > 0 && b[0].Start+layout.Pblk(b[0].Len) <= at {
			b = b[1:]
		}
		for i := 0; i < len(b) && b[i].Start < end; i++ {
			if b[i].Start > at {
				out = append(out, group.Run{Start: at, Len: uint64(b[i].Start - at)})
			}
			at = b[i].Start + layout.Pblk(b[i].Len)
		}
		if at < end {
			out = append(out, group.Run{Start: at, Len: uint64(end - at)})
		}
	}
	return out
}

func count(runs []group.Run) (n int64) {
	for _, x := range runs {
		n += int64(x.Len)
	}
	return n
}

// settle corrects i_blocks and frees the blocks that no file has in the end.
func (r *replay) settle() error {
	var have []group.Run
	for _, ino := range slices.Sorted(maps.Keys(r.had)) {
		_, err := r.Update(2, func(h *journal.Handle) error {
			runs, err := r.clusters(h, ino)
			if err != nil {
				return err
			}
			have = append(have, runs...)
			return r.Inodes.AddBlocks(h, ino, count(runs)-r.had[ino])
		})
		if err != nil {
			return fmt.Errorf("inode %d: %w", ino, err)
		}
	}
	for _, x := range without(join(r.gone), join(have)) {
		if _, err := r.Update(4, func(h *journal.Handle) error { return r.Space.Free(h, x.Start, x.Len) }); err != nil {
			return err
		}
	}
	return nil
}
