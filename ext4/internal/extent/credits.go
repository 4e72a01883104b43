package extent

import (
	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
)

// splitCost is the number of blocks that one change of a tree of some depth may touch: the path, the inode, at every
// level a new node with the blocks that its allocation changes, and one node more for a deeper root.
func splitCost(depth int) int {
	fresh := min(depth+1, layout.MaxExtentDepth)
	return depth + 1 + fresh*(1+group.BlockCredits)
}

// need makes sure that the handle has n credits left.
func (f *file) need(n int) error { return f.h.Need(n) }

// StepCredits is the number of blocks that one step of Remove or Shift may change: the groups of the data, the path,
// a split on the way, and the nodes that become empty.
func (m *Mapper) StepCredits() int {
	return (removeGroups+1)*group.BlockCredits + splitCost(layout.MaxExtentDepth) + layout.MaxExtentDepth*group.BlockCredits
}

// SplitBlocks is the most clusters that the tree may need when a range in so many extents is converted. Callers have
// that many promised (Space.Promise) before they write the range. It is split at both ends: in one leaf, or in two.
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
