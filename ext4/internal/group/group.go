// Package group owns the group descriptors, the block and inode bitmaps, and the totals of the superblock. It gives out
// blocks and inode numbers and takes them back.
//
//	superblock    s_free_blocks_count  s_free_inodes_count   the sum over all groups
//	descriptor g  free clusters, free inodes, directories, uninit flags, checksums of both bitmaps
//	bitmap g      one bit per cluster (or inode) of the group; 1 is in use; padding at the end is 1
//
// It promises that these always change together, in the caller's handle: a bit, the counts above it, the checksum of
// the bitmap. A bitmap that the descriptor declares uninitialized is built, not read. Freed blocks rest until the
// transaction that freed them has committed (ordering O5, TestFreedBlocksRest), because until then a crash gives them
// back to the old owner.
//
// The caller passes a handle with credits: BlockCredits for Alloc, InodeCredits for AllocInode and FreeInode, and for
// Free two per group and one more. If a block was metadata, the caller must revoke it (journal.Handle.Revoke) before
// it is freed. After an error the handle must be cancelled.
//
// Memory: in addition to the buffers there are only hints. They are 4 bytes per group that bound its longest free
// run, the resting clusters, and 16 bytes for each zone of metadata, of which a flex group usually has one. The
// running handle guards them, since only one runs at a time. Data that views use as well is guarded by a lock, or
// never changes.
package group

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
)

// ErrResting says that blocks are free, but rest until their transaction has committed: commit and try again. It is a
// kind of ENOSPC.
var ErrResting = fmt.Errorf("the free blocks rest until the next commit: %w", syscall.ENOSPC)

// ErrNoInodes says that no inode is free, although blocks may be. It is a kind of ENOSPC.
var ErrNoInodes = fmt.Errorf("no inode is free: remove files, or make a file system with more inodes: %w", syscall.ENOSPC)

// ErrNoBlocks says that no block is free. It is a kind of ENOSPC.
var ErrNoBlocks = fmt.Errorf("no block is free: %w", syscall.ENOSPC)

// BlockCredits is the number of blocks that Alloc changes at most: the bitmaps and descriptors of two groups, and the
// superblock. Free changes two for each group it touches, and the superblock.
const BlockCredits = 5

// Request asks Alloc for contiguous blocks.
type Request struct {
	Goal     layout.Pblk // the best place for the first block; 0: anywhere
	Min, Max uint32      // blocks; Min of 0 is 1, and must fit in a group. With bigalloc both are rounded up to whole clusters
	Reach    Reach       // how far down it may take the free count
	Below    layout.Pblk // all blocks must be below this; 0 is no limit
	Root     bool        // may use the blocks that the superblock reserves for the privileged user (s_r_blocks_count)
}

// Space is the free space of one file system.
type Space struct {
	g *layout.Geometry
	j *journal.Journal

	// Guarded by the running handle.
	bound   []int32  // per group, in clusters: no free run is longer; unknown until the bitmap was searched
	rest    resting  // clusters
	taken   resting  // clusters that the running handle has taken
	restI   resting  // inodes
	windows []window // space kept clear for files that grow, the oldest window first

	zones atomic.Pointer[[]zone] // zones of metadata; nil until first used

	mu       sync.Mutex
	pool     uint64 // clusters that ordinary allocation leaves free: SetPool
	promised uint64 // clusters set aside by Promise
}

// New makes a Space for the file system that g describes. j says which transactions have committed.
func New(g *layout.Geometry, j *journal.Journal) *Space {
	s := &Space{g: g, j: j, bound: make([]int32, g.Groups)}
	for i := range s.bound {
		s.bound[i] = unknown
	}
	return s
}

// Geometry is the shape of the file system.
func (s *Space) Geometry() *layout.Geometry { return s.g }

func (s *Space) descRef(group layout.Group) buf.Ref {
	block, off := s.g.DescLoc(group)
	return buf.Ref{Block: uint64(block), Off: off, Len: s.g.DescSize, Type: layout.DescType{G: s.g, Group: group}}
}

func (s *Space) superRef() buf.Ref {
	block, off := s.g.SuperLoc()
	return buf.Ref{Block: uint64(block), Off: off, Len: layout.SuperSize, Type: layout.SuperType{}}
}

// Desc reads the descriptor of a group. It must not be changed.
func (s *Space) Desc(r journal.Reader, group layout.Group) (layout.Desc, error) {
	if group >= s.g.Groups {
		return nil, layout.Corruptf("group %d of %d", group, s.g.Groups)
	}
	p, err := r.Read(s.descRef(group))
	if err != nil {
		return nil, fmt.Errorf("descriptor of group %d: %w", group, err)
	}
	return layout.Desc(p), nil
}

// TableDesc is Desc for callers that want to know where the inode table is, and nothing else.
func (s *Space) TableDesc(r journal.Reader, group layout.Group) (layout.Desc, error) {
	if group >= s.g.Groups {
		return nil, layout.Corruptf("group %d of %d", group, s.g.Groups)
	}
	ref := s.descRef(group)
	ref.Type = layout.DescTableType{DescType: layout.DescType{G: s.g, Group: group}}
	p, err := r.Read(ref)
	if err != nil {
		return nil, fmt.Errorf("descriptor of group %d: %w", group, err)
	}
	return layout.Desc(p), nil
}

func (s *Space) editDesc(h *journal.Handle, group layout.Group) (layout.Desc, error) {
	p, err := h.Get(s.descRef(group))
	if err != nil {
		return nil, fmt.Errorf("descriptor of group %d: %w", group, err)
	}
	return layout.Desc(p), nil
}

// Super reads the superblock. It must not be changed.
func (s *Space) Super(r journal.Reader) (layout.Superblock, error) {
	p, err := r.Read(s.superRef())
	if err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	return layout.Superblock(p), nil
}

// EditSuper returns the superblock to be changed.
func (s *Space) EditSuper(h *journal.Handle) (layout.Superblock, error) {
	p, err := h.Get(s.superRef())
	if err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	return layout.Superblock(p), nil
}
