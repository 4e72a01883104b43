package xattr

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
)

// valueInode checks that an inode holds a value of this size.
func (x *Store) valueInode(r journal.Reader, ino layout.Ino) (layout.Inode, error) {
	in, err := x.t.Read(r, ino)
	if err != nil {
		return nil, err
	}
	if !in.HasFlag(layout.FlagEAInode) || !in.IsRegular() || in.HasFlag(layout.FlagInlineData) || in.Size() > layout.XattrMaxValue {
		return nil, layout.Corruptf("inode %d: not one that holds a value", ino)
	}
	return in, nil
}

// readValue reads the value of an attribute from its inode, and checks the hashes.
func (x *Store) readValue(r journal.Reader, owner layout.Ino, e layout.Xattr) ([]byte, error) {
	if e.Inum == owner {
		return nil, layout.Corruptf("value in the inode itself")
	}
	in, err := x.valueInode(r, e.Inum)
	if err != nil {
		return nil, err
	}
	if in.Size() != uint64(e.Size) {
		return nil, layout.Corruptf("value of %d bytes in inode %d of %d", e.Size, e.Inum, in.Size())
	}
	hash := in.EAHash()
	v, err := x.readData(r, e.Inum, int(e.Size))
	if err != nil {
		return nil, err
	}
	if got := x.g.EAInodeHash(v); got != hash {
		return nil, layout.Corruptf("value in inode %d: hash %#x, want %#x", e.Inum, got, hash)
	}
	if !layout.XattrHashOK(e.Name, binary.LittleEndian.AppendUint32(nil, hash), e.Hash) {
		return nil, layout.Corruptf("hash %#x with a value in inode %d", e.Hash, e.Inum)
	}
	return v, nil
}

func (x *Store) dataRef(ino layout.Ino, p layout.Pblk) buf.Ref {
	return buf.Ref{Block: uint64(p), Len: x.g.BlockSize, Type: layout.PlainType{Name: fmt.Sprintf("value in inode %d", ino)}}
}

// readData reads the first n bytes of an inode that holds a value. It must have no holes.
func (x *Store) readData(r journal.Reader, ino layout.Ino, n int) ([]byte, error) {
	v := make([]byte, 0, n)
	for l := layout.Lblk(0); len(v) < n; l++ {
		e, err := x.m.Lookup(r, ino, l)
		if err != nil {
			return nil, err
		}
		if !e.Mapped() || e.Unwritten {
			return nil, layout.Corruptf("value in inode %d: block %d: a hole", ino, l)
		}
		p, err := r.Read(x.dataRef(ino, e.Pblk+layout.Pblk(l-e.Lblk)))
		if err != nil {
			return nil, err
		}
		v = append(v, p[:min(len(p), n-len(v))]...)
	}
	return v, nil
}

// storeValue finds or makes an inode that holds a value. The caller counts the reference.
func (x *Store) storeValue(h *journal.Handle, owner layout.Ino, v []byte) (layout.Ino, uint32, error) {
	hash := x.g.EAInodeHash(v)
	x.mu.Lock()
	candidates := slices.Clone(x.values.at[hash])
	x.mu.Unlock()
	for _, ino := range candidates {
		in, err := x.valueInode(h, ino)
		if err != nil {
			return 0, 0, err
		}
		if in.Size() != uint64(len(v)) || in.EAHash() != hash {
			continue
		}
		old, err := x.readData(h, ino, len(v))
		if err != nil {
			return 0, 0, err
		}
		if string(old) == string(v) {
			return ino, hash, nil
		}
	}
	ino, err := x.newValue(h, owner, v, hash)
	if err != nil {
		return 0, 0, fmt.Errorf("inode for the value: %w", err)
	}
	h.AtEnd(func(ok bool) {
		if ok {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.values.add(hash, ino)
		}
	})
	return ino, hash, nil
}

// newValue makes an inode that holds a value and has no references yet.
func (x *Store) newValue(h *journal.Handle, owner layout.Ino, v []byte, hash uint32) (layout.Ino, error) {
	parent, err := x.t.Read(h, owner)
	if err != nil {
		return 0, err
	}
	uid, gid := parent.UID(), parent.GID()
	ino, in, err := x.t.New(h, owner, layout.ModeRegular|0o600)
	if err != nil {
		return 0, err
	}
	in.SetUID(uid)
	in.SetGID(gid)
	in.SetLinks(1)
	in.SetFlags(in.Flags()&^layout.FlagInlineData | layout.FlagEAInode)
	in.SetEAHash(hash)
	in.SetEARefs(0)
	if err := x.t.SetSize(h, ino, uint64(len(v))); err != nil {
		return 0, err
	}
	return ino, x.writeData(h, ino, v)
}

func (x *Store) writeData(h *journal.Handle, ino layout.Ino, v []byte) error {
	for l := layout.Lblk(0); len(v) > 0; {
		want := uint32((len(v) + x.g.BlockSize - 1) / x.g.BlockSize)
		e, err := x.m.Allocate(h, ino, l, want, false)
		if err != nil {
			return err
		}
		for i := range min(e.Len, want) {
			p, err := h.Create(x.dataRef(ino, e.Pblk+layout.Pblk(i)))
			if err != nil {
				return err
			}
			v = v[copy(p, v):]
		}
		l += layout.Lblk(e.Len)
	}
	return nil
}

// countRefs updates the reference counts of inodes that hold values, and frees those whose count becomes 0.
func (x *Store) countRefs(h *journal.Handle, owner layout.Ino, refs map[layout.Ino]int) error {
	for _, ino := range slices.SortedFunc(maps.Keys(refs), cmp.Compare) {
		n := refs[ino]
		if n == 0 {
			continue
		}
		if ino == owner {
			return layout.Corruptf("value in the inode itself")
		}
		if _, err := x.valueInode(h, ino); err != nil {
			return err
		}
		in, err := x.t.Edit(h, ino)
		if err != nil {
			return err
		}
		left := int64(in.EARefs()) + int64(n)
		if left < 0 {
			return layout.Corruptf("inode %d: %d references to its value, one more goes", ino, in.EARefs())
		}
		in.SetEARefs(uint64(left))
		if left == 0 {
			if err := x.freeValue(h, ino, in); err != nil {
				return err
			}
		}
	}
	return nil
}

// freeValue frees an inode that no attribute refers to any more.
func (x *Store) freeValue(h *journal.Handle, ino layout.Ino, in layout.Inode) error {
	hash := in.EAHash()
	forget := func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.values.remove(hash, ino)
	}
	forget()
	h.AtEnd(func(ok bool) {
		if ok {
			forget()
		}
	})
	in.SetLinks(0)
	for end := ^layout.Lblk(0); ; {
		done, next, err := x.m.Remove(h, ino, 0, end)
		if err != nil {
			return err
		}
		if done {
			return x.t.Free(h, ino)
		}
		if next == end {
			return fmt.Errorf("inode %d: its value: %w", ino, journal.ErrNoCredits)
		}
		end = next
	}
}
