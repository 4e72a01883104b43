package inode

import (
	"errors"
	"fmt"
	"slices"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// AddOrphan records that an inode must be freed, or truncated to its size, if a crash comes before DelOrphan. It
// records it in the orphan file if there is one with room, or else in the list. Adding an inode twice changes
// nothing. Damaged parts of a list or a file stay as they are.
func (t *Table) AddOrphan(h *journal.Handle, ino layout.Ino) error {
	if !t.g.ValidIno(ino) {
		return layout.Corruptf("orphan inode %d of %d", ino, t.g.Inodes)
	}
	list, err := t.list(h)
	if err != nil && !damaged(err) {
		return err
	}
	if slices.Contains(list, ino) {
		return nil
	}
	if t.hasOrphanFile() {
		done, err := t.addToFile(h, ino)
		if done || err != nil && !damaged(err) {
			return err
		}
	}
	super, err := t.s.EditSuper(h)
	if err != nil {
		return err
	}
	in, err := t.Edit(h, ino)
	if err != nil {
		return err
	}
	in.SetDtime(super.LastOrphan())
	super.SetLastOrphan(uint32(ino))
	return nil
}

// damaged reports whether an error means that the bytes read are wrong, rather than that the device failed.
func damaged(err error) bool {
	return errors.Is(err, layout.ErrCorrupt) || errors.Is(err, journal.ErrCorrupt)
}

// DelOrphan removes an inode from the orphans. If the inode is not among them, it changes nothing.
func (t *Table) DelOrphan(h *journal.Handle, ino layout.Ino) error {
	if t.hasOrphanFile() {
		done, err := t.delFromFile(h, ino)
		if done || err != nil && !damaged(err) {
			return err
		}
	}
	list, err := t.list(h)
	if err != nil && !damaged(err) {
		return err
	}
	if i := slices.Index(list, ino); i >= 0 {
		return t.unlink(h, list, i)
	}
	return nil
}

// unlink removes entry i from the list.
func (t *Table) unlink(h *journal.Handle, list []layout.Ino, i int) error {
	in, err := t.Edit(h, list[i])
	if err != nil {
		return err
	}
	next := in.Dtime()
	in.SetDtime(0)
	if i == 0 {
		super, err := t.s.EditSuper(h)
		if err != nil {
			return err
		}
		super.SetLastOrphan(next)
		return nil
	}
	before, err := t.Edit(h, list[i-1])
	if err != nil {
		return err
	}
	before.SetDtime(next)
	return nil
}

// Orphans lists the orphans, in the order in which recovery must treat them: the list, then the orphan file.
func (t *Table) Orphans(r journal.Reader) ([]layout.Ino, error) {
	list, err := t.list(r)
	if err != nil {
		return nil, err
	}
	if !t.hasOrphanFile() {
		return list, nil
	}
	f, err := t.readFile(r)
	if err != nil {
		return nil, err
	}
	return append(list, f.all...), nil
}

// list reads the orphan list. A list that returns to one of its inodes, or leads to no inode, is corrupt. Then list
// returns the inodes before that point together with the error.
func (t *Table) list(r journal.Reader) ([]layout.Ino, error) {
	super, err := t.s.Super(r)
	if err != nil {
		return nil, err
	}
	var list []layout.Ino
	var seen map[layout.Ino]bool
	for next := super.LastOrphan(); next != 0; {
		ino := layout.Ino(next)
		if !t.g.ValidIno(ino) || ino < t.g.FirstIno {
			return list, layout.Corruptf("orphan list: entry %d: inode %d of %d", len(list), ino, t.g.Inodes)
		}
		if seen == nil {
			seen = make(map[layout.Ino]bool)
		}
		if seen[ino] {
			return list, layout.Corruptf("orphan list: entry %d: inode %d again", len(list), ino)
		}
		seen[ino] = true
		in, err := t.Read(r, ino)
		if err != nil {
			return list, fmt.Errorf("orphan list: entry %d: %w", len(list), err)
		}
		list = append(list, ino)
		next = in.Dtime()
	}
	return list, nil
}
