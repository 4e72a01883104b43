package extent

import (
	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
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

// ReserveFor is how many blocks the conversion of one range may take for the tree at most: what to set aside with
// Space.Reserve before the range is written.
func (m *Mapper) ReserveFor(r journal.Reader, ino layout.Ino) (uint64, error) {
	f, err := m.Open(r, ino)
	if err != nil {
		return 0, err
	}
	return f.Reserve()
}

// Reserve is Mapper.ReserveFor.
func (m Map) Reserve() (uint64, error) {
	if m.f.kind != mappedByExtents {
		return 0, nil
	}
	root, err := m.f.root()
	if err != nil {
		return 0, err
	}
	return uint64(min(root.Depth()+1, layout.MaxExtentDepth)), nil
}
