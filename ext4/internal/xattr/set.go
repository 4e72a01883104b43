package xattr

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Credits is the number of blocks that one Set of a value of so many bytes usually changes: the record, the
// superblock, two blocks of attributes and the blocks that allocating and freeing them changes; for a large value
// with ea_inode also the inode and its blocks. For a Remove, value is 0. The handle grows if a large value is
// removed.
func (x *Store) Credits(value int) int {
	n := 4 + 2*group.BlockCredits
	if x.g.Incompat&layout.IncompatEAInode != 0 && value > x.g.XattrMinLarge() {
		n += x.t.Credits() + (value+x.g.BlockSize-1)/x.g.BlockSize + group.BlockCredits
	}
	return n
}

// Set gives an attribute a value. flags are Create, Replace or 0. The errors are EOPNOTSUPP for a prefix that ext4
// does not know, ERANGE and E2BIG for a name or value that is too long, EEXIST and ErrNoData as the flags say, EINVAL
// for a malformed ACL, and ENOSPC if there is no room.
func (x *Store) Set(h *journal.Handle, ino layout.Ino, name string, value []byte, flags int) error {
	if err := x.set(h, ino, name, value, flags); err != nil {
		return fmt.Errorf("inode %d: attribute %q: %w", ino, name, err)
	}
	return nil
}

func (x *Store) set(h *journal.Handle, ino layout.Ino, name string, value []byte, flags int) error {
	index, suffix, err := x.checkName(name)
	if err != nil {
		return err
	}
	if len(value) > layout.XattrMaxValue {
		return fmt.Errorf("value of %d bytes: %w", len(value), syscall.E2BIG)
	}
	if index == layout.XattrACLAccess || index == layout.XattrACLDefault {
		acl, ok := layout.ACLToDisk(value)
		if !ok {
			return fmt.Errorf("malformed ACL: %w", syscall.EINVAL)
		}
		value = acl
	}
	a, err := x.load(h, ino)
	if err != nil {
		return err
	}
	_, _, exists := a.find(index, suffix)
	switch {
	case exists && flags&Create != 0:
		return syscall.EEXIST
	case !exists && flags&Replace != 0:
		return ErrNoData
	}
	return x.change(h, a, func(next *attrs) error {
		next.drop(index, suffix)
		return x.place(h, next, layout.Xattr{Index: index, Name: suffix, Value: slices.Clone(value), Size: uint32(len(value))})
	})
}

// checkName splits the name of an attribute that is to be changed, and returns an error if the name is not allowed.
func (x *Store) checkName(name string) (index uint8, suffix string, err error) {
	index, suffix, ok := layout.SplitXattrName(name)
	switch {
	case !ok || private(index):
		return 0, "", syscall.EOPNOTSUPP
	case len(suffix) > layout.XattrMaxName || len(name) > layout.XattrMaxName:
		return 0, "", syscall.ERANGE
	case slices.Contains([]byte(suffix), 0):
		return 0, "", syscall.EINVAL
	}
	return index, suffix, nil
}

// Remove removes an attribute. The error is ErrNoData if there is no such attribute.
func (x *Store) Remove(h *journal.Handle, ino layout.Ino, name string) error {
	index, suffix, err := x.checkName(name)
	if err == nil {
		err = x.remove(h, ino, index, suffix)
	}
	if err != nil {
		return fmt.Errorf("inode %d: attribute %q: %w", ino, name, err)
	}
	return nil
}

func (x *Store) remove(h *journal.Handle, ino layout.Ino, index uint8, suffix string) error {
	a, err := x.load(h, ino)
	if err != nil {
		return err
	}
	if _, _, ok := a.find(index, suffix); !ok {
		return ErrNoData
	}
	return x.change(h, a, func(next *attrs) error {
		next.drop(index, suffix)
		return nil
	})
}

// FreeAll removes the attributes of an inode that is to be freed: as many as the handle has room for, at least one.
// Callers call it in further handles until done is true.
func (x *Store) FreeAll(h *journal.Handle, ino layout.Ino) (done bool, err error) {
	for steps := 0; ; steps++ {
		a, err := x.load(h, ino)
		if err != nil {
			return false, err
		}
		if len(a.list[inRecord]) == 0 && a.acl == 0 {
			return true, nil
		}
		if want := freeCredits - h.Room(); steps > 0 && want > 0 && h.Extend(want) != nil {
			return false, nil
		}
		if err := x.freeSome(h, a); err != nil {
			return false, err
		}
	}
}

// freeCredits is the number of blocks that the removal of one attribute usually changes, if its value has an inode of
// its own.
const freeCredits = 40

// freeSome removes one attribute whose value has an inode of its own, or else all attributes. From a block that other
// inodes share it also removes all: a block with one attribute less would have to be allocated.
func (x *Store) freeSome(h *journal.Handle, a *attrs) error {
	shared := false
	if a.acl != 0 {
		b, err := x.readBlock(h, a.acl)
		if err != nil {
			return err
		}
		shared = b.Refs() > 1
	}
	return x.change(h, a, func(next *attrs) error {
		for where, list := range next.list {
			i := slices.IndexFunc(list, func(e layout.Xattr) bool { return e.Inum != 0 })
			if i >= 0 && (where != inBlock || !shared) {
				next.list[where] = slices.Delete(list, i, i+1)
				return nil
			}
		}
		next.list = [2][]layout.Xattr{}
		return nil
	})
}

// drop removes an attribute from the lists.
func (a *attrs) drop(index uint8, name string) {
	for where := range a.list {
		a.list[where] = slices.DeleteFunc(a.list[where], func(e layout.Xattr) bool { return e.Index == index && e.Name == name })
	}
}

// clone copies the lists and the values in them, so that the buffers from which they came can be written.
func (a *attrs) clone() *attrs {
	c := &attrs{ino: a.ino, acl: a.acl}
	for where, list := range a.list {
		for _, e := range list {
			e.Value = slices.Clone(e.Value)
			c.list[where] = append(c.list[where], e)
		}
	}
	return c
}

// room is the space for attributes.
type room struct {
	list   [2]int // bytes in each of the lists
	values int    // bytes for values in the block
	large  [2]int // bytes in each of the lists for attributes whose value is in an inode of its own
}

func (x *Store) room(h *journal.Handle, ino layout.Ino) (room, error) {
	in, err := x.t.Read(h, ino)
	if err != nil {
		return room{}, err
	}
	r := room{list: [2]int{inRecord: layout.InodeXattrRoom(in), inBlock: x.g.XattrBlockRoom()}, values: x.g.XattrValueRoom()}
	r.large = r.list
	if in.FastSymlink() {
		r.large[inRecord] = 0 // without a block of attributes, e2fsck takes the blocks of values in i_blocks for those of the link
	}
	return r, nil
}

// place puts a new attribute into the first list that has room. If the value is large, or there is no room for it,
// the value goes into an inode of its own, if the file system has such inodes.
func (x *Store) place(h *journal.Handle, a *attrs, e layout.Xattr) error {
	room, err := x.room(h, a.ino)
	if err != nil {
		return err
	}
	large := x.g.Incompat&layout.IncompatEAInode != 0
	if !large || len(e.Value) <= x.g.XattrMinLarge() {
		if a.fit(room, e) {
			return nil
		}
	}
	if !large || len(e.Value) == 0 {
		return x.noRoom(e)
	}
	probe := e
	probe.Value, probe.Inum = nil, 1
	if !a.clone().fit(room, probe) {
		return x.noRoom(e)
	}
	ino, hash, err := x.storeValue(h, a.ino, e.Value)
	if err != nil {
		return err
	}
	e.Value, e.Inum, e.Hash = nil, ino, layout.XattrInodeHash(e.Name, hash)
	a.fit(room, e)
	return nil
}

// noRoom is the error if an attribute fits nowhere.
func (x *Store) noRoom(e layout.Xattr) error {
	without := ""
	if x.g.Incompat&layout.IncompatEAInode == 0 {
		without = " without the feature ea_inode"
	}
	return fmt.Errorf("value of %d bytes: no room beside the other attributes, in the inode and a block of %d bytes%s: %w",
		len(e.Value), x.g.BlockSize, without, syscall.ENOSPC)
}

// fit adds an attribute to the first list with room.
func (a *attrs) fit(r room, e layout.Xattr) bool {
	for where := range a.list {
		n := e
		if where == inBlock && n.Inum == 0 {
			n.Hash = layout.XattrHash(n.Name, n.Value)
		}
		most := r.list[where]
		if n.Inum != 0 {
			most = r.large[where]
		}
		next := append(slices.Clone(a.list[where]), n)
		crowded := where == inBlock && n.Inum == 0 && len(n.Value) > 0 && layout.XattrValueSize(next) > r.values
		if layout.XattrSize(next) <= most && !crowded {
			a.list[where] = next
			return true
		}
	}
	return false
}

// change edits the attributes of an inode and stores them. edit changes the lists of a copy of a.
func (x *Store) change(h *journal.Handle, a *attrs, edit func(next *attrs) error) error {
	before := a.clone()
	next := a.clone()
	if err := edit(next); err != nil {
		return err
	}
	if _, err := x.t.Edit(h, a.ino); err != nil { // quotas read the attributes before they change
		return err
	}
	refs := make(map[layout.Ino]int)
	if err := x.storeRecord(h, before, next, refs); err != nil {
		return err
	}
	if err := x.storeBlock(h, before, next, refs); err != nil {
		return err
	}
	if delta := x.cost(next) - x.cost(before); delta != 0 {
		if err := x.t.AddBlocks(h, a.ino, delta); err != nil {
			return err
		}
	}
	if err := x.countRefs(h, a.ino, refs); err != nil {
		return err
	}
	return x.markFeature(h, next)
}

// markFeature sets the feature ext_attr when the first attribute is stored (ext4_xattr_update_super_block).
func (x *Store) markFeature(h *journal.Handle, a *attrs) error {
	if len(a.list[inRecord])+len(a.list[inBlock]) == 0 {
		return nil
	}
	s, err := x.s.Super(h)
	if err != nil || s.FeatureCompat()&layout.CompatExtAttr != 0 {
		return err
	}
	if s, err = x.s.EditSuper(h); err == nil {
		s.UpdateRev()
		s.SetFeatureCompat(s.FeatureCompat() | layout.CompatExtAttr)
	}
	return err
}

// countValues counts the attributes whose values are in inodes of their own: quotas charge those to the owner of the
// attribute.
func (x *Store) countValues(r journal.Reader, ino layout.Ino) (n uint64, err error) {
	a, err := x.load(r, ino)
	if err != nil {
		return 0, err
	}
	for _, list := range a.list {
		for _, e := range list {
			if e.Inum != 0 {
				n++
			}
		}
	}
	return n, nil
}

// Blocks is the number of file system blocks in an inode's i_blocks that are for its attributes.
func (x *Store) Blocks(r journal.Reader, ino layout.Ino) (int64, error) {
	a, err := x.load(r, ino)
	if err != nil {
		return 0, err
	}
	return x.cost(a), nil
}

// cost is what attributes add to i_blocks, in file system blocks: their block, and the clusters of each value in an
// inode of its own, although those belong to that inode.
func (x *Store) cost(a *attrs) (n int64) {
	ratio := int64(x.g.ClusterRatio)
	if a.acl != 0 {
		n += ratio
	}
	cluster := ratio * int64(x.g.BlockSize)
	for _, list := range a.list {
		for _, e := range list {
			if e.Inum != 0 {
				n += (int64(e.Size) + cluster - 1) / cluster * ratio
			}
		}
	}
	return n
}

// count adds n references to the inodes that hold values of list.
func count(refs map[layout.Ino]int, list []layout.Xattr, n int) {
	for _, e := range list {
		if e.Inum != 0 {
			refs[e.Inum] += n
		}
	}
}

// storeRecord writes the attributes in the record, if they have changed.
func (x *Store) storeRecord(h *journal.Handle, before, next *attrs, refs map[layout.Ino]int) error {
	if slices.EqualFunc(before.list[inRecord], next.list[inRecord], same) {
		return nil
	}
	in, err := x.t.Edit(h, next.ino)
	if err != nil {
		return err
	}
	count(refs, before.list[inRecord], -1)
	count(refs, next.list[inRecord], 1)
	layout.PutInodeXattrs(in, next.list[inRecord])
	return nil
}

func same(a, b layout.Xattr) bool {
	return a.Index == b.Index && a.Name == b.Name && a.Inum == b.Inum && a.Size == b.Size && a.Hash == b.Hash && string(a.Value) == string(b.Value)
}

// Inline reads the part of an inline file or directory that does not fit into i_block.
func (x *Store) Inline(r journal.Reader, ino layout.Ino) ([]byte, error) {
	v, err := x.Get(r, ino, "system.data")
	if errors.Is(err, ErrNoData) {
		return nil, nil
	}
	return v, err
}

// ReadInline reads from off on what lies in an inode's record: 60 bytes in i_block, the rest in the attribute system.data.
// Beyond what is stored p gets zeros.
func (x *Store) ReadInline(r journal.Reader, ino layout.Ino, rec layout.Inode, p []byte, off int64) error {
	rest, err := x.Inline(r, ino)
	if err != nil {
		return err
	}
	data := append(append([]byte(nil), rec.Block()...), rest...)
	k := 0
	if off < int64(len(data)) {
		k = copy(p, data[off:])
	}
	clear(p[k:])
	return nil
}

// InlineRoom is the greatest length of that part, bytes. It is negative if the inode has no room even for an empty
// part.
func (x *Store) InlineRoom(r journal.Reader, ino layout.Ino) (int, error) {
	n, err := x.inlineRoom(r, ino)
	return n &^ 3, err
}

// inlineRoom is the room in the record beside its other attributes. It is negative if not even an empty value fits.
func (x *Store) inlineRoom(r journal.Reader, ino layout.Ino) (int, error) {
	in, err := x.t.Read(r, ino)
	if err != nil {
		return 0, err
	}
	list, err := x.g.InodeXattrs(in)
	if err != nil {
		return 0, fmt.Errorf("inode %d: %w", ino, err)
	}
	list = slices.DeleteFunc(list, isInline)
	return layout.InodeXattrRoom(in) - layout.XattrSize(append(list, inlineAttr(nil))), nil
}

func inlineAttr(data []byte) layout.Xattr {
	return layout.Xattr{Index: layout.XattrSystem, Name: "data", Value: data, Size: uint32(len(data))}
}

func isInline(e layout.Xattr) bool { return e.Index == layout.XattrSystem && e.Name == "data" }

// SetInline replaces that part. An inline file has it even if it is empty. The error is syscall.ENOSPC if it does not
// fit into the inode's record.
func (x *Store) SetInline(h *journal.Handle, ino layout.Ino, data []byte) error {
	room, err := x.inlineRoom(h, ino)
	if err != nil {
		return err
	}
	if len(data) > room {
		return fmt.Errorf("inode %d: %d bytes inline: %w", ino, len(data), syscall.ENOSPC)
	}
	a, err := x.load(h, ino)
	if err != nil {
		return err
	}
	return x.change(h, a, func(next *attrs) error {
		list := slices.DeleteFunc(next.list[inRecord], isInline)
		next.list[inRecord] = append(list, inlineAttr(slices.Clone(data)))
		return nil
	})
}

// DropInline removes that part from a file that is no longer inline.
func (x *Store) DropInline(h *journal.Handle, ino layout.Ino) error {
	err := x.remove(h, ino, layout.XattrSystem, "data")
	if errors.Is(err, ErrNoData) {
		return nil
	}
	return err
}
