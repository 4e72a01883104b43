package extent

import (
	"fmt"
	"math"

	"ext4img/ext4/layout"
)

// step is one node on the way from the root to a leaf.
type step struct {
	node  layout.ExtentNode
	block layout.Pblk // 0 for the root
	at    int         // the entry taken; in the leaf, the last extent that does not begin after the block looked for, or -1
	end   uint64      // end of the node's range of logical blocks
}

// path leads from the root to a leaf. It is valid until the tree changes.
type path []step

func (p path) leaf() *step { return &p[len(p)-1] }

// root is the root of the tree, checked.
func (f *file) root() (layout.ExtentNode, error) {
	block, err := f.iblock()
	if err != nil {
		return nil, err
	}
	root := layout.ExtentNode(block)
	if err := f.m.g.CheckExtentRoot(f.ino, block); err != nil {
		return root, err
	}
	return root, f.aligned(root)
}

// aligned checks before a change that what the file has of a cluster lies there at the same place.
func (f *file) aligned(node layout.ExtentNode) error {
	ratio := uint64(f.m.g.ClusterRatio)
	if !f.strict || ratio == 1 || !node.Leaf() {
		return nil
	}
	for i := range node.Entries() {
		if e := node.Extent(i); (uint64(e.Pblk)-uint64(e.Lblk))%ratio != 0 {
			return layout.Corruptf("extent node of inode %d: logical block %d at block %d: not at the same place in a cluster of %d", f.ino, e.Lblk, e.Pblk, ratio)
		}
	}
	return nil
}

// child reads the node below entry s.at, and checks what only both together tell: its depth, and that its keys lie in
// the range that the entry gives it. That rules out loops, and a node reached twice. Before anything is changed, there
// must be an entry, and its key must be that of the entry above.
func (f *file) child(s *step) (step, error) {
	x, end := s.node.Index(s.at), s.end
	if err := f.m.space.InMetadata(x.Child, 1); err != nil {
		return step{}, fmt.Errorf("extent node of inode %d: %w", f.ino, err)
	}
	if s.at+1 < s.node.Entries() {
		end = uint64(s.node.Key(s.at + 1))
	}
	p, err := f.r.Read(f.ref(x.Child))
	if err != nil {
		return step{}, err
	}
	node, err := layout.ParseExtentNode(p) // again: a handle does not verify a block that it has changed
	if err != nil {
		return step{}, f.corrupt(x.Child, "%v", err)
	}
	if node.Depth() != s.node.Depth()-1 {
		return step{}, f.corrupt(x.Child, "eh_depth %d, want %d", node.Depth(), s.node.Depth()-1)
	}
	if f.strict && node.Entries() == 0 {
		return step{}, f.corrupt(x.Child, "eh_entries 0")
	}
	if n := node.Entries(); n > 0 {
		if node.Key(0) < x.Lblk || f.strict && node.Key(0) != x.Lblk {
			return step{}, f.corrupt(x.Child, "begins at logical block %d, its index at %d", node.Key(0), x.Lblk)
		}
		last := uint64(node.Key(n-1)) + 1
		if node.Leaf() {
			last = node.Extent(n - 1).End()
		}
		if last > end {
			return step{}, f.corrupt(x.Child, "reaches logical block %d, its index ends at %d", last, end)
		}
	}
	return step{node: node, block: x.Child, end: end}, f.aligned(node)
}

func (f *file) corrupt(block layout.Pblk, format string, args ...any) error {
	return layout.Corruptf("extent node of inode %d: block %d: %s", f.ino, block, fmt.Sprintf(format, args...))
}

// find is the path to the place where logical block l is or would be mapped.
func (f *file) find(l layout.Lblk) (path, error) {
	return f.findIn(make(path, 0, layout.MaxExtentDepth+1), l)
}

// findIn is find, using the memory of an empty path.
func (f *file) findIn(p path, l layout.Lblk) (path, error) {
	root, err := f.root()
	if err != nil {
		return nil, err
	}
	p = append(p, step{node: root, end: math.MaxUint32})
	for {
		s := p.leaf()
		s.at = s.node.Search(l)
		if s.node.Leaf() {
			return p, nil
		}
		s.at = max(s.at, 0)
		next, err := f.child(s)
		if err != nil {
			return nil, err
		}
		p = append(p, next)
	}
}

// toward moves to the next leaf to the right (dir 1) or left (dir -1), to its first or last extent. It returns false
// if there is none.
func (f *file) toward(p path, dir int) (path, bool, error) {
	level := len(p) - 2
	for level >= 0 && (p[level].at+dir < 0 || p[level].at+dir >= p[level].node.Entries()) {
		level--
	}
	if level < 0 {
		return nil, false, nil
	}
	p = append(make(path, 0, len(p)), p[:level+1]...)
	p[level].at += dir
	for !p.leaf().node.Leaf() {
		next, err := f.child(p.leaf())
		if err != nil {
			return nil, false, err
		}
		if dir < 0 {
			next.at = next.node.Entries() - 1
		}
		p = append(p, next)
	}
	return p, true, nil
}

// extentAt is the extent at the path's position, if there is one.
func (p path) extentAt() (layout.Extent, bool) {
	s := p.leaf()
	if s.at < 0 || s.at >= s.node.Entries() {
		return layout.Extent{}, false
	}
	return s.node.Extent(s.at), true
}

// left is the path to the last extent that does not begin after the block for which p was found. It may be in a leaf
// further left.
func (f *file) left(p path) (path, layout.Extent, bool, error) {
	for ok := true; ok; {
		if e, found := p.extentAt(); found {
			return p, e, true, nil
		}
		var err error
		if p, ok, err = f.toward(p, -1); err != nil {
			return nil, layout.Extent{}, false, err
		}
	}
	return nil, layout.Extent{}, false, nil
}

// right is the path to the first extent that begins after that block.
func (f *file) right(p path) (path, layout.Extent, bool, error) {
	p = append(path(nil), p...)
	p.leaf().at++
	for ok := true; ok; {
		if e, found := p.extentAt(); found {
			return p, e, true, nil
		}
		var err error
		if p, ok, err = f.toward(p, 1); err != nil {
			return nil, layout.Extent{}, false, err
		}
	}
	return nil, layout.Extent{}, false, nil
}

// around returns what maps logical block l, cut to begin there, and the extents before and after l's extent or hole.
// A missing extent has length 0. A hole reaches to the next extent or to the largest block of a file.
func (f *file) around(p path, l layout.Lblk) (prev, here, next layout.Extent, err error) {
	_, e, ok, err := f.left(p)
	if err != nil {
		return
	}
	if ok {
		prev = e
	}
	if _, next, _, err = f.right(p); err != nil {
		return
	}
	if ok && e.End() > uint64(l) {
		return prev, e.Cut(uint64(l), e.End()), next, nil
	}
	end := uint64(math.MaxUint32)
	if next.Len > 0 {
		end = uint64(next.Lblk)
	}
	return prev, layout.Extent{Lblk: l, Len: uint32(end - uint64(l))}, next, nil
}
