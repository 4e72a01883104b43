// Package dir owns the blocks of directories: names, and where they lead.
//
// A directory is a file whose blocks hold records. A linear one is searched from its beginning. A hashed one (htree)
// hides an index in block 0 and in some others, which look like unused space to who reads it linearly:
//
//	block 0   "."  ".."  [hash below 4711 → 1 | from 4711 → 5 | …]      root: leaves, or nodes and then leaves
//	block 1   names with hashes below 4711, in no order                 leaf
//	block 5   names with hashes from 4711 on                            leaf
//
// When a leaf is full its upper half, by hash, moves to a new block. If one hash is on both sides, the lowest bit of
// the second one's hash in the index says so, and a search goes on there. An inline directory (inline_data) has no
// block at all: its records lie in i_block, behind the parent's number, and go on in the attribute "system.data".
//
// It promises that every block it writes is one that the kernel and e2fsck accept, that a hashed directory is never
// changed as a linear one, and that nothing is taken out but by its name. Blocks that are not as they should be are
// errors of kind layout.ErrCorrupt with inode and block; none is changed.
//
// It asks the caller for a handle with Credits(), to Cancel the handle when a change fails, to lock a directory
// against changes while it is listed (the handle or view does), and to do link counts, times, and all that the names
// lead to. Blocks that a directory has it keeps; whoever frees the inode frees them.
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

// Inline stores what does not fit into i_block of inline files and directories; *xattr.Store does.
type Inline interface {
	// Inline reads it.
	Inline(r journal.Reader, ino layout.Ino) ([]byte, error)
	// InlineRoom is how long it can be, bytes.
	InlineRoom(r journal.Reader, ino layout.Ino) (int, error)
	// SetInline replaces it: syscall.ENOSPC if there is no room in the inode's record.
	SetInline(h *journal.Handle, ino layout.Ino, data []byte) error
	// DropInline takes it away.
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
	Type uint8 // layout.FTRegular, …; layout.FTUnknown where the file system does not store types
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

// open reads what a directory is.
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
		size = uint64(uint32(size)) // the high half is something else in old file systems
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

// ref finds a logical block: its place, and as what it is to be read. A directory has no holes.
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

// editEntries gives the records of a linear block or a leaf to change.
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

// createEntries begins a block of records anew: one record of unused space.
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

// withLargeDir is what helps against a full directory.
func (f *file) withLargeDir() string {
	if f.d.g.Incompat&layout.IncompatLargeDir != 0 {
		return ""
	}
	return " without the feature large_dir"
}

// maxSize is how long a directory may get, bytes: the kernel reads 31 bits of the size unless large_dir is there.
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

// checkName tells whether a name may be given to something.
func checkName(name string) error {
	switch {
	case len(name) > layout.MaxNameLen:
		return fmt.Errorf("name of %d bytes: %w", len(name), syscall.ENAMETOOLONG)
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "\x00/"):
		return fmt.Errorf("name %q: %w", name, fs.ErrInvalid)
	}
	return nil
}

// dotName tells whether a name is one of the two that every directory has.
func dotName(name string) bool { return name == "." || name == ".." }
