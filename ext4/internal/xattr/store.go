// Package xattr owns the extended attributes: those in the records of inodes, after the fields, the blocks of
// attributes that inodes share, and the inodes that hold one large value each (ea_inode).
//
//	inode record  | fields | EA020000 | user.a → value, user.b → inode 77 | … values |
//	i_file_acl    → block  | EA020000 refs hash | entries, sorted → … ← values |      shared by up to 1024 inodes
//	inode 77      the value as its data; references counted in i_ctime and i_version, its hash in i_atime
//
// A new attribute goes into the inode's record, or else into the block. If it fits into neither, its value goes into
// an inode of its own. If this Store has seen another block with the same content, that block is shared.
//
// It promises that reference counts, i_blocks, bitmaps and hashes change together in the caller's handle. POSIX ACLs
// are passed and returned in the form of Linux's xattr interface and stored in ext4's.
//
// The caller passes a handle with Credits, cancels it if a change fails, keeps i_mode and ACLs together, and sets
// i_ctime. The part of an inline file that does not fit into i_block is the attribute "system.data". List leaves it
// out. Set and Remove change neither it nor the attribute of encryption.
package xattr

import (
	"fmt"
	"sync"
	"syscall"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
)

// Flags of Set, as Linux has them.
const (
	Create  = 1 // XATTR_CREATE: the attribute must not exist
	Replace = 2 // XATTR_REPLACE: the attribute must exist
)

// Mapper maps the data of inodes that hold values. *extent.Mapper implements it.
type Mapper interface {
	Lookup(r journal.Reader, ino layout.Ino, lblk layout.Lblk) (layout.Extent, error)
	Allocate(h *journal.Handle, ino layout.Ino, lblk layout.Lblk, n uint32, unwritten bool) (layout.Extent, error)
	Remove(h *journal.Handle, ino layout.Ino, from, to layout.Lblk) (done bool, next layout.Lblk, err error)
	Inspect(r journal.Reader, ino layout.Ino, from, to layout.Lblk) error
}

// Store is the attributes of one file system.
type Store struct {
	g *layout.Geometry
	s *group.Space
	t *inode.Table
	m Mapper

	mu     sync.Mutex
	blocks cache[layout.Pblk] // blocks of attributes by h_hash
	values cache[layout.Ino]  // inodes that hold values, by the hash of the value
}

// New makes a Store.
func New(s *group.Space, t *inode.Table, m Mapper) *Store {
	x := &Store{g: s.Geometry(), s: s, t: t, m: m}
	t.Values = x.countValues
	return x
}

// An Attr is one attribute in a list.
type Attr struct {
	Name string // with the prefix
	Size int    // size of the value as it is stored, bytes
}

// attrs is the attributes of one inode during one operation.
type attrs struct {
	ino  layout.Ino
	acl  layout.Pblk // i_file_acl
	list [2][]layout.Xattr
}

// The places of an attribute.
const (
	inRecord = 0
	inBlock  = 1
)

// load decodes the attributes of an inode. The values are parts of buffers: valid while nothing is changed. With an error
// come those that can be read all the same, for callers that change nothing.
func (x *Store) load(r journal.Reader, ino layout.Ino) (*attrs, error) {
	in, err := x.t.Read(r, ino)
	if err != nil {
		return &attrs{ino: ino}, err
	}
	a := &attrs{ino: ino, acl: x.g.FileACL(in)}
	if a.list[inRecord], err = x.g.InodeXattrs(in); err != nil {
		a.list[inRecord], err = nil, fmt.Errorf("inode %d: %w", ino, err)
	}
	return a, both(err, x.loadBlock(r, a))
}

// loadBlock decodes the attributes of the block.
func (x *Store) loadBlock(r journal.Reader, a *attrs) error {
	if a.acl == 0 {
		return nil
	}
	b, err := x.readBlock(r, a.acl)
	if err != nil {
		return fmt.Errorf("inode %d: %w", a.ino, err)
	}
	list, err := x.g.BlockXattrs(b)
	if err != nil {
		return fmt.Errorf("inode %d: attribute block %d: %w", a.ino, a.acl, err)
	}
	a.list[inBlock] = list
	return nil
}

// both joins two errors, of which there may be one or none.
func both(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return fmt.Errorf("%w; %w", a, b)
}

func (x *Store) blockRef(p layout.Pblk) buf.Ref {
	return buf.Ref{Block: uint64(p), Len: x.g.BlockSize, Type: layout.XattrBlockType{G: x.g, Block: p}}
}

func (x *Store) readBlock(r journal.Reader, p layout.Pblk) (layout.XattrBlock, error) {
	if !x.g.ContainsBlocks(p, 1) {
		return nil, layout.Corruptf("i_file_acl %d of %d blocks", p, x.g.Blocks)
	}
	b, err := r.Read(x.blockRef(p))
	return layout.XattrBlock(b), err
}

// find returns the list that holds an attribute, and its index there.
func (a *attrs) find(index uint8, name string) (where, i int, ok bool) {
	for where, list := range a.list {
		for i, e := range list {
			if e.Index == index && e.Name == name {
				return where, i, true
			}
		}
	}
	return 0, 0, false
}

// Get returns a copy of an attribute's value. The error is ErrNoData if there is no such attribute. One that can be read
// is, whatever is wrong with others.
func (x *Store) Get(r journal.Reader, ino layout.Ino, name string) ([]byte, error) {
	index, suffix, ok := layout.SplitXattrName(name)
	if !ok {
		return nil, fmt.Errorf("inode %d: attribute %q: %w", ino, name, syscall.EOPNOTSUPP)
	}
	a, err := x.load(r, ino)
	where, i, ok := a.find(index, suffix)
	if !ok && err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("inode %d: attribute %q: %w", ino, name, ErrNoData)
	}
	v, err := x.value(r, a, where, i)
	if err != nil {
		return nil, fmt.Errorf("inode %d: attribute %q: %w", ino, name, err)
	}
	return v, nil
}

// value copies a value and converts it to the form that callers use.
func (x *Store) value(r journal.Reader, a *attrs, where, i int) ([]byte, error) {
	e := a.list[where][i]
	v := append([]byte{}, e.Value...)
	if e.Inum != 0 {
		var err error
		if v, err = x.readValue(r, a.ino, e); err != nil {
			return nil, err
		}
	}
	if e.Index == layout.XattrACLAccess || e.Index == layout.XattrACLDefault {
		acl, ok := layout.ACLFromDisk(v)
		if !ok {
			return nil, layout.Corruptf("not an ACL")
		}
		return acl, nil
	}
	return v, nil
}

// List returns the names of an inode's attributes and the sizes of their values: those in the record first, then
// those in the block, each as they are stored. With an error, which names what cannot be read, come the others.
func (x *Store) List(r journal.Reader, ino layout.Ino) ([]Attr, error) {
	a, err := x.load(r, ino)
	var out []Attr
	for _, list := range a.list {
		for _, e := range list {
			if !private(e.Index) {
				out = append(out, Attr{e.FullName(), int(e.Size)})
			}
		}
	}
	return out, err
}

// private reports whether attributes with this prefix are hidden from users.
func private(index uint8) bool { return index == layout.XattrSystem || index == layout.XattrEncryption }
