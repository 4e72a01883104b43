// Package dir owns the blocks of directories: names, and the inodes that they refer to.
//
// A directory is a file whose blocks hold records. A linear one is searched from its beginning. A hashed one (htree)
// hides an index in block 0 and in some others. Code that reads it as a linear one sees unused space there:
//
//	block 0   "."  ".."  [hash below 4711 → 1 | from 4711 → 5 | …]      root: leaves, or nodes and then leaves
//	block 1   names with hashes below 4711, in no order                 leaf
//	block 5   names with hashes from 4711 on                            leaf
//
// When a leaf is full, its upper half, by hash, moves to a new block. If both blocks hold names with one and the same
// hash, the lowest bit of the second block's hash in the index says so, and a search goes on there. An inline
// directory (inline_data) has no block: its records are in i_block, after the parent's number, and go on in the
// attribute "system.data".
//
// It promises that the kernel and e2fsck accept every block it writes, that a hashed directory is never changed as a
// linear one, and that entries are removed only by name. If a block is wrong, the error is of kind layout.ErrCorrupt
// and names inode and block, and nothing is changed.
//
// The caller passes a handle with Credits(), and cancels it if a change fails. It keeps a directory from changing
// while it is listed (the handle or view does). It takes care of link counts, times, and the inodes that names refer
// to. A directory keeps all its blocks until its inode is freed.
package dir

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"ext4img/ext4/internal/extent"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
)

// Inline stores the part of inline files and directories that does not fit into i_block. *xattr.Store implements it.
type Inline interface {
	// Inline reads that part.
	Inline(r journal.Reader, ino layout.Ino) ([]byte, error)
	// InlineRoom is the greatest length of that part, bytes.
	InlineRoom(r journal.Reader, ino layout.Ino) (int, error)
	// SetInline replaces that part. The error is syscall.ENOSPC if the inode's record has no room.
	SetInline(h *journal.Handle, ino layout.Ino, data []byte) error
	// DropInline removes that part.
	DropInline(h *journal.Handle, ino layout.Ino) error
}

// Dirs is the directories of one file system.
type Dirs struct {
	g      *layout.Geometry
	t      *inode.Table
	m      *extent.Mapper
	inline Inline
}

// New makes a Dirs over the inodes of t, their blocks mapped by m.
func New(t *inode.Table, m *extent.Mapper, inline Inline) *Dirs {
	return &Dirs{g: t.Space().Geometry(), t: t, m: m, inline: inline}
}

// An Entry is one name in a directory.
type Entry struct {
	Name string
	Ino  layout.Ino
	Type uint8 // layout.FTRegular, …; layout.FTUnknown if the file system does not store types
}

// file is one directory during one operation.
type file struct {
	d      *Dirs
	r      journal.Reader
	ino    layout.Ino
	gen    uint32
	flags  uint32
	blocks layout.Lblk
	near   layout.Extent // the extent that was looked up last
	same   func(stored []byte) bool
}

// open reads the inode of a directory.
func (d *Dirs) open(r journal.Reader, ino layout.Ino) (*file, error) {
	in, err := d.t.Read(r, ino)
	if err != nil {
		return nil, err
	}
	if !in.IsDir() {
		return nil, fmt.Errorf("inode %d: %w", ino, syscall.ENOTDIR)
	}
	f := &file{d: d, r: r, ino: ino, gen: in.Generation(), flags: in.Flags()}
	if f.isInline() {
		return f, nil
	}
	size := in.Size()
	if d.g.Incompat&layout.IncompatLargeDir == 0 {
		size = uint64(uint32(size)) // in old file systems, the high half has another meaning
	}
	bs := uint64(d.g.BlockSize)
	if size%bs != 0 || size/bs > min(d.g.Blocks, uint64(layout.MaxLblk)) {
		return nil, layout.Corruptf("directory %d: size %d with %d blocks of %d bytes", ino, size, d.g.Blocks, bs)
	}
	f.blocks = layout.Lblk(size / bs)
	return f, nil
}

func (f *file) isInline() bool { return f.flags&layout.FlagInlineData != 0 }

// indexed tells whether the directory is hashed (is_dx).
func (f *file) indexed() bool {
	return f.flags&layout.FlagIndex != 0 && f.d.g.Compat&layout.CompatDirIndex != 0
}

func (f *file) encrypted() bool { return f.flags&layout.FlagEncrypt != 0 }
func (f *file) casefold() bool  { return f.flags&layout.FlagCasefold != 0 }

func (f *file) format() layout.DirFormat { return f.d.g.DirFormat(f.encrypted(), f.casefold()) }

// ref finds the block of a logical block, and gives it the type with which to read it. A directory has no holes.
func (f *file) ref(lblk layout.Lblk, t buf.Type) (buf.Ref, error) {
	if lblk >= f.blocks {
		return buf.Ref{}, layout.Corruptf("directory %d: block %d of %d", f.ino, lblk, f.blocks)
	}
	if e := f.near; !e.Mapped() || lblk < e.Lblk || uint64(lblk) >= e.End() {
		e, err := f.d.m.Lookup(f.r, f.ino, lblk)
		if err != nil {
			return buf.Ref{}, fmt.Errorf("directory %d: block %d: %w", f.ino, lblk, err)
		}
		if !e.Mapped() || e.Unwritten {
			return buf.Ref{}, layout.Corruptf("directory %d: block %d: a hole", f.ino, lblk)
		}
		f.near = e
	}
	p := f.near.Pblk + layout.Pblk(lblk-f.near.Lblk)
	return buf.Ref{Block: uint64(p), Len: f.d.g.BlockSize, Type: t}, nil
}

func (f *file) blockType(lblk layout.Lblk) layout.DirBlockType {
	return layout.DirBlockType{G: f.d.g, Ino: f.ino, Gen: f.gen, Lblk: lblk, Encrypted: f.encrypted(), Casefold: f.casefold()}
}

func (f *file) dxType(lblk layout.Lblk) layout.DxType {
	return layout.DxType{G: f.d.g, Ino: f.ino, Gen: f.gen, Lblk: lblk}
}

// entries reads the records of a linear block or a leaf.
func (f *file) entries(lblk layout.Lblk) ([]byte, error) {
	t := f.blockType(lblk)
	ref, err := f.ref(lblk, t)
	if err != nil {
		return nil, err
	}
	p, err := f.r.Read(ref)
	if err != nil {
		return nil, err
	}
	return t.Area(p), nil
}

// editEntries returns the records of a linear block or a leaf, to be changed.
func (f *file) editEntries(h *journal.Handle, lblk layout.Lblk) ([]byte, error) {
	t := f.blockType(lblk)
	ref, err := f.ref(lblk, t)
	if err != nil {
		return nil, err
	}
	p, err := h.Get(ref)
	if err != nil {
		return nil, err
	}
	return t.Area(p), nil
}

// createEntries makes a block with one record of unused space.
func (f *file) createEntries(h *journal.Handle, lblk layout.Lblk) ([]byte, error) {
	t := f.blockType(lblk)
	ref, err := f.ref(lblk, t)
	if err != nil {
		return nil, err
	}
	p, err := h.Create(ref)
	if err != nil {
		return nil, err
	}
	t.PutTail(p)
	t.Format().Clear(t.Area(p))
	return t.Area(p), nil
}

// grow adds a block to the end of the directory, which the caller then creates.
func (f *file) grow(h *journal.Handle) (layout.Lblk, error) {
	lblk := f.blocks
	size := (uint64(lblk) + 1) * uint64(f.d.g.BlockSize)
	if lblk >= layout.MaxLblk || size > f.maxSize() {
		return 0, fmt.Errorf("directory %d: full: it has %d blocks, the most there may be%s: %w", f.ino, f.blocks, f.withLargeDir(), syscall.ENOSPC)
	}
	e, err := f.d.m.Allocate(h, f.ino, lblk, 1, false)
	if err != nil {
		return 0, fmt.Errorf("directory %d: block %d: %w", f.ino, lblk, err)
	}
	if err := f.d.t.SetSize(h, f.ino, size); err != nil {
		return 0, err
	}
	f.near, f.blocks = e, lblk+1
	return lblk, nil
}

// withLargeDir is the advice for a full directory.
func (f *file) withLargeDir() string {
	if f.d.g.Incompat&layout.IncompatLargeDir != 0 {
		return ""
	}
	return " without the feature large_dir"
}

// maxSize is the greatest size of a directory, bytes. Without large_dir the kernel reads only 31 bits of the size.
func (f *file) maxSize() uint64 {
	if f.d.g.Incompat&layout.IncompatLargeDir != 0 {
		return uint64(layout.MaxLblk) * uint64(f.d.g.BlockSize)
	}
	return 1<<31 - 1
}

// setFlags changes i_flags.
func (f *file) setFlags(h *journal.Handle, flags uint32) error {
	in, err := f.d.t.Edit(h, f.ino)
	if err != nil {
		return err
	}
	in.SetFlags(flags)
	f.flags = flags
	return nil
}

// checkName returns an error if a name is not allowed.
func checkName(name string) error {
	switch {
	case len(name) > layout.MaxNameLen:
		return fmt.Errorf("name of %d bytes: %w", len(name), syscall.ENAMETOOLONG)
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "\x00/"):
		return fmt.Errorf("name %q: %w", name, fs.ErrInvalid)
	}
	return nil
}

// dotName reports whether a name is "." or "..".
func dotName(name string) bool { return name == "." || name == ".." }
