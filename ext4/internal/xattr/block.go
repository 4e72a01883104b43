package xattr

import (
	"fmt"
	"slices"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// storeBlock stores the attributes of the block, if they have changed: in another block that already has the same
// ones, or in place if no other inode uses the block, or else in a new block. It sets next.acl and i_file_acl.
func (x *Store) storeBlock(h *journal.Handle, before, next *attrs, refs map[layout.Ino]int) error {
	if slices.EqualFunc(before.list[inBlock], next.list[inBlock], same) && (before.acl != 0) == (len(next.list[inBlock]) > 0) {
		return nil
	}
	var err error
	if next.acl, err = x.settleBlock(h, before, next.list[inBlock], refs); err != nil {
		return err
	}
	if next.acl == before.acl {
		return nil
	}
	if before.acl != 0 {
		if err := x.release(h, before.acl, before.list[inBlock], refs); err != nil {
			return err
		}
	}
	in, err := x.t.Edit(h, next.ino)
	if err != nil {
		return err
	}
	x.g.SetFileACL(in, next.acl)
	return nil
}

// settleBlock finds or makes a block with the attributes list.
func (x *Store) settleBlock(h *journal.Handle, before *attrs, list []layout.Xattr, refs map[layout.Ino]int) (layout.Pblk, error) {
	if len(list) == 0 {
		return 0, nil
	}
	layout.SortXattrs(list)
	content := layout.InitXattrBlock(make([]byte, x.g.BlockSize), list)
	if p, err := x.share(h, content, before.acl); p != 0 || err != nil {
		return p, err
	}
	count(refs, list, 1)
	p := before.acl
	if p != 0 {
		b, err := h.Get(x.blockRef(p))
		if err != nil {
			return 0, err
		}
		if old := layout.XattrBlock(b); old.Refs() == 1 {
			count(refs, before.list[inBlock], -1)
			x.forgetBlock(h, old.Hash(), p)
			copy(b, content)
			x.rememberBlock(h, content.Hash(), p)
			return p, nil
		}
	}
	p, _, err := x.s.Alloc(h, group.Request{Goal: x.s.GoalFor(before.ino), Min: 1, Max: 1, Root: true})
	if err != nil {
		return 0, fmt.Errorf("attribute block: %w", err)
	}
	b, err := h.Create(x.blockRef(p))
	if err != nil {
		return 0, err
	}
	copy(b, content)
	x.rememberBlock(h, content.Hash(), p)
	return p, nil
}

// share takes a reference to a block with the same attributes. It returns 0 if none is known.
func (x *Store) share(h *journal.Handle, content layout.XattrBlock, not layout.Pblk) (layout.Pblk, error) {
	x.mu.Lock()
	candidates := slices.Clone(x.blocks.at[content.Hash()])
	x.mu.Unlock()
	for _, p := range candidates {
		if p == not {
			continue
		}
		b, err := x.readBlock(h, p)
		if err != nil {
			return 0, err
		}
		if b.Refs() >= layout.XattrMaxRefs || !b.SameXattrs(content) {
			continue
		}
		q, err := h.Get(x.blockRef(p))
		if err != nil {
			return 0, err
		}
		layout.XattrBlock(q).SetRefs(layout.XattrBlock(q).Refs() + 1)
		return p, nil
	}
	return 0, nil
}

// release ends an inode's use of a block, and frees the block after its last use.
func (x *Store) release(h *journal.Handle, p layout.Pblk, list []layout.Xattr, refs map[layout.Ino]int) error {
	q, err := h.Get(x.blockRef(p))
	if err != nil {
		return err
	}
	b := layout.XattrBlock(q)
	if n := b.Refs(); n > 1 {
		b.SetRefs(n - 1)
		return nil
	}
	count(refs, list, -1)
	x.forgetBlock(h, b.Hash(), p)
	h.Revoke(uint64(p))
	ratio := layout.Pblk(x.g.ClusterRatio)
	if err := x.s.Free(h, p-p%ratio, uint64(ratio)); err != nil {
		return fmt.Errorf("attribute block %d: %w", p, err)
	}
	return nil
}

// rememberBlock adds a block to those that can be shared, once the handle has stopped.
func (x *Store) rememberBlock(h *journal.Handle, hash uint32, p layout.Pblk) {
	h.AtEnd(func(ok bool) {
		if ok {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.blocks.add(hash, p)
		}
	})
}

// forgetBlock removes a block from those that can be shared, now and again when the handle has stopped.
func (x *Store) forgetBlock(h *journal.Handle, hash uint32, p layout.Pblk) {
	forget := func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.blocks.remove(hash, p)
	}
	forget()
	h.AtEnd(func(ok bool) {
		if ok {
			forget()
		}
	})
}
