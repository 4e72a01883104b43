// Package extent maps the logical blocks of a file to blocks of the file system. It owns the extent nodes, the root of
// the tree in an inode's i_block, and the indirect blocks of files that are mapped as in ext2 and ext3.
//
//	i_block    depth 2    [0 → A] [5000 → B]                  at most 4 entries
//	A          depth 1    [0 → a] [812 → b] …                 entries of 12 bytes to fill the block
//	a          depth 0    [0+8 at 9000 written] [8+100 at 9008 unwritten] …
//
// What it promises. After every change the tree is whole: extents are in order and never overlap; an index key is the
// first key of the node below; only the root may be empty; every block that was taken or given back is counted in
// i_blocks, the bitmaps and the free counts in the same handle. A change touches only the block range that the caller
// asks for. Nothing is kept in memory between calls: the bytes are the only truth, so a handle can be cancelled at
// any point.
//
// What it asks of the caller. After an error from a function that takes a handle, the handle must be cancelled,
// because half of the change may be in it. Large changes are made in steps: Allocate and Remove do as much as suits
// one handle and return how far they came. Data blocks that are freed must not be in use by I/O.
//
// With bigalloc, space is allocated in clusters. A logical cluster of a file lies in one physical cluster, whatever
// number of extents map parts of it. It is freed with the last of them.
package extent

import (
	"errors"
	"fmt"
	"syscall"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
)

// Mapper maps the files of one file system.
type Mapper struct {
	space  *group.Space
	inodes *inode.Table
	g      *layout.Geometry
	// nodeLimit, if not 0, bounds how many entries a node is filled with. Tests use it to grow deep trees; the nodes
	// are valid, but not full.
	nodeLimit int
}

// New makes the mapper of a file system.
func New(s *group.Space, t *inode.Table) *Mapper {
	return &Mapper{space: s, inodes: t, g: s.Geometry()}
}

// file is the map of one inode during one call.
type file struct {
	m        *Mapper
	r        journal.Reader
	h        *journal.Handle // nil in a call that only reads
	raw      layout.Inode    // the record when the call began
	ino      layout.Ino
	typ      buf.Type // type of its nodes
	kind     kind
	journals bool         // its blocks are metadata, and may be in the log
	strict   bool         // index keys must be exact: the map is about to be changed
	reach    group.Reach  // how far down allocations of tree blocks may take the free count
	spare    run          // data about to be freed: new nodes take blocks of it if nothing else is free
	kept     *[]group.Run // where Unmap collects what it unmapped; nil in calls that free

	// Memory for Lookup and Convert, which are called for every write.
	way          [layout.MaxExtentDepth + 1]step
	parts, fresh [4]layout.Extent
}

// kind is how a file is mapped.
type kind int

const (
	mappedByNothing kind = iota // i_block is no map: a device, a short symlink, inline data
	mappedByExtents
	mappedByBlocks // direct and indirect blocks
)

func kindOf(raw layout.Inode) kind {
	switch raw.Type() {
	case layout.ModeRegular, layout.ModeDir, layout.ModeSymlink, 0:
	default:
		return mappedByNothing
	}
	switch {
	case raw.HasFlag(layout.FlagInlineData), raw.FastSymlink():
		return mappedByNothing
	case raw.HasFlag(layout.FlagExtents):
		return mappedByExtents
	}
	return mappedByBlocks
}

// open prepares a call that reads.
func (m *Mapper) open(r journal.Reader, ino layout.Ino) (*file, error) {
	raw, err := m.inodes.Read(r, ino)
	if err != nil {
		return nil, err
	}
	f := &file{m: m, r: r, raw: raw, ino: ino, kind: kindOf(raw)}
	f.typ = layout.ExtentNodeType{G: m.g, Ino: ino, Gen: raw.Generation()}
	f.journals = !raw.IsRegular() || raw.HasFlag(layout.FlagEAInode|layout.FlagJournalData)
	return f, nil
}

// change prepares a call that changes the map.
func (m *Mapper) change(h *journal.Handle, ino layout.Ino) (*file, error) {
	f, err := m.open(h, ino)
	if err != nil {
		return nil, err
	}
	if f.kind == mappedByNothing {
		return nil, layout.Unsupportedf("inode %d: its i_block is not a map of blocks", ino)
	}
	f.h, f.strict = h, true
	return f, nil
}

// iblock is the inode's present i_block. In a call that only reads, it is as it was when the call began.
func (f *file) iblock() ([]byte, error) {
	if f.h == nil {
		return f.raw.Block(), nil
	}
	raw, err := f.m.inodes.Read(f.r, f.ino)
	if err != nil {
		return nil, err
	}
	return raw.Block(), nil
}

// editIblock is the inode's i_block, to be changed.
func (f *file) editIblock() ([]byte, error) {
	raw, err := f.m.inodes.Edit(f.h, f.ino)
	if err != nil {
		return nil, err
	}
	return raw.Block(), nil
}

func (f *file) ref(block layout.Pblk) buf.Ref {
	return buf.Ref{Block: uint64(block), Len: f.m.g.BlockSize, Type: f.typ}
}

// takeBlock allocates a block, with bigalloc a cluster, for the map itself, and counts it in i_blocks.
func (f *file) takeBlock(goal layout.Pblk) (layout.Pblk, error) {
	ratio := f.m.g.ClusterRatio
	block, _, err := f.m.space.Alloc(f.h, group.Request{Goal: goal, Min: ratio, Max: ratio, Reach: f.reach, Root: true})
	if errors.Is(err, syscall.ENOSPC) && f.spare.n > 0 {
		// In a full file system a hole must still be punched: a node may take a block of the data being freed.
		// Metadata goes home only after the commit that frees the data. The block stays counted in i_blocks.
		f.spare.n -= uint64(ratio)
		return f.spare.p + layout.Pblk(f.spare.n), nil
	}
	if err != nil {
		return 0, fmt.Errorf("inode %d: block for its map: %w", f.ino, err)
	}
	return block, f.m.inodes.AddBlocks(f.h, f.ino, int64(ratio))
}

// giveBlock frees a block of the map.
func (f *file) giveBlock(block layout.Pblk) error {
	ratio := f.m.g.ClusterRatio
	f.h.Revoke(uint64(block))
	if err := f.m.space.Free(f.h, block-block%layout.Pblk(ratio), uint64(ratio)); err != nil {
		return fmt.Errorf("inode %d: block of its map: %w", f.ino, err)
	}
	return f.m.inodes.AddBlocks(f.h, f.ino, -int64(ratio))
}

// giveData frees whole clusters of data and subtracts them from i_blocks.
func (f *file) giveData(d run) error {
	if d.n == 0 {
		return nil
	}
	if f.kept != nil {
		*f.kept = append(*f.kept, group.Run{Start: d.p, Len: d.n})
		return nil
	}
	if f.journals {
		for b := range d.n {
			f.h.Revoke(uint64(d.p) + b)
		}
	}
	if err := f.m.space.Free(f.h, d.p, d.n); err != nil {
		return fmt.Errorf("inode %d: %w", f.ino, err)
	}
	return f.m.inodes.AddBlocks(f.h, f.ino, -int64(d.n))
}
