package extent

import (
	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
)

// splitCost is how many blocks one change of a tree of some depth may touch: the path, the inode, and at every level a
// new node with what its allocation changes, and one more for a deeper root.
func splitCost(depth int) int {
	fresh := min(depth+1, layout.MaxExtentDepth)
	return depth + 1 + fresh*(1+group.BlockCredits)
}

// need makes sure that the handle has credits left for so many blocks.
func (f *file) need(n int) error { return f.h.Need(n) }

// StepCredits is what one step of Remove or Shift may change: the data's groups, the path, a split on the way, the
// nodes that become empty.
func (m *Mapper) StepCredits() int {
	return (removeGroups+1)*group.BlockCredits + splitCost(layout.MaxExtentDepth) + layout.MaxExtentDepth*group.BlockCredits
}

// SplitBlocks is how many clusters the conversion of a range that lies in so many extents may take for the tree at most:
// what to have promised (Space.Promise) before the range is written. It is split at both ends: in one leaf, or in two.
func (m Map) SplitBlocks(extents int) (uint64, error) {
	if m.f.kind != mappedByExtents || extents == 0 {
		return 0, nil
	}
	root, err := m.f.root()
	if err != nil {
		return 0, err
	}
	n := min(root.Depth()+1, layout.MaxExtentDepth)
	if extents > 1 {
		n += root.Depth()
	}
	return uint64(n), nil
}
