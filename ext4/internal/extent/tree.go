package extent

import (
	"fmt"
	"syscall"

	"ext4img/ext4/layout"
)

// capacity is the number of entries that a node may hold.
func (f *file) capacity(n layout.ExtentNode) int {
	if limit := f.m.nodeLimit; limit > 0 {
		return min(limit, n.Max())
	}
	return n.Max()
}

// writable prepares the node at a level of the path to be changed.
func (f *file) writable(p path, level int) (layout.ExtentNode, error) {
	var err error
	var b []byte
	if p[level].block == 0 {
		b, err = f.editIblock()
	} else {
		b, err = f.h.Get(f.ref(p[level].block))
	}
	if err != nil {
		return nil, err
	}
	p[level].node = layout.ExtentNode(b)
	return p[level].node, nil
}

// rewrite replaces the extent that covers logical block l, or the hole there, by parts, which are in order. They are
// joined with their neighbours in the same leaf if possible, so that a part that extends a neighbour needs no entry.
// The path must have been found for l.
func (f *file) rewrite(p path, l layout.Lblk, parts ...layout.Extent) error {
	for range 4 * layout.MaxExtentDepth {
		leaf := p.leaf()
		w := windowFor(leaf.node, leaf.node.Search(l), l, append(f.fresh[:0], parts...))
		if leaf.node.Entries()-w.drop+len(w.put) <= f.capacity(leaf.node) {
			return f.store(p, w)
		}
		if err := f.split(p); err != nil {
			return err
		}
		var err error
		if p, err = f.find(l); err != nil {
			return err
		}
	}
	return f.corrupt(p.leaf().block, "no room after splits")
}

// window is a change within one leaf: it replaces drop entries, from first on, by others.
type window struct {
	first, drop int
	put         []layout.Extent
}

// windowFor is the smallest change that has the result of put at l. at is the last entry that does not begin after l.
func windowFor(leaf layout.ExtentNode, at int, l layout.Lblk, put []layout.Extent) window {
	w := window{first: at + 1, put: put}
	if at >= 0 && leaf.Extent(at).End() > uint64(l) {
		w.first, w.drop = at, 1
	}
	if len(w.put) == 0 {
		return w
	}
	if w.first > 0 {
		if e := leaf.Extent(w.first - 1); e.Joins(w.put[0]) {
			e.Len += w.put[0].Len
			w.put[0] = e
			w.first, w.drop = w.first-1, w.drop+1
		}
	}
	if next := w.first + w.drop; next < leaf.Entries() {
		last := &w.put[len(w.put)-1]
		if e := leaf.Extent(next); last.Joins(e) {
			last.Len += e.Len
			w.drop++
		}
	}
	return w
}

// store makes the change in the leaf, and then the changes that follow from it in the nodes above.
func (f *file) store(p path, w window) error {
	level := len(p) - 1
	leaf, err := f.writable(p, level)
	if err != nil {
		return err
	}
	leaf.Resize(w.first, w.drop, len(w.put))
	for i, e := range w.put {
		leaf.PutExtent(w.first+i, e)
	}
	switch {
	case leaf.Entries() == 0:
		err = f.dropNode(p, level)
	case w.first == 0:
		err = f.fixKeys(p, level)
	}
	if err != nil || len(w.put) >= w.drop {
		return err
	}
	if level > 0 && leaf.Entries() == 1 {
		if err := f.absorb(p); err != nil {
			return err
		}
	}
	return f.collapse()
}

// absorb moves the lone extent of a leaf into a neighbouring leaf if it joins an extent there, and frees the leaf. If
// that leaves a lone extent again, it does so once more. So a tree that random writes made large becomes small again
// when they have filled the range.
func (f *file) absorb(p path) error {
	for range 2 {
		o, joined, err := f.neighbour(p)
		if err != nil || joined.Len == 0 {
			return err
		}
		if err := f.dropNode(p, len(p)-1); err != nil {
			return err
		}
		if p, err = f.find(o.Lblk); err != nil {
			return err
		}
		level := len(p) - 1
		leaf, err := f.writable(p, level)
		if err != nil {
			return err
		}
		leaf.PutExtent(p[level].at, joined)
		if p[level].at == 0 {
			if err := f.fixKeys(p, level); err != nil {
				return err
			}
		}
		if level == 0 || leaf.Entries() > 1 {
			return nil
		}
	}
	return nil
}

// neighbour finds an extent in another leaf that the lone extent of a leaf joins, and returns it and both joined. Its
// length is 0 if there is none.
func (f *file) neighbour(p path) (o, joined layout.Extent, err error) {
	e := p.leaf().node.Extent(0)
	for _, dir := range []int{-1, 1} {
		q, ok, err := f.toward(p, dir)
		if err != nil {
			return o, joined, err
		}
		if !ok {
			continue
		}
		if o, ok = q.extentAt(); !ok {
			continue
		}
		first, second := o, e
		if dir > 0 {
			first, second = e, o
		}
		if first.Joins(second) {
			first.Len += second.Len
			return o, first, nil
		}
	}
	return o, joined, nil
}

// fixKeys sets the keys above a node to its first key, after that has changed.
func (f *file) fixKeys(p path, level int) error {
	key := p[level].node.Key(0)
	for level--; level >= 0; level-- {
		at := p[level].at
		if p[level].node.Key(at) != key {
			node, err := f.writable(p, level)
			if err != nil {
				return err
			}
			node.SetKey(at, key)
		}
		if at > 0 {
			return nil
		}
	}
	return nil
}

// dropNode frees a node that has become empty, and the nodes above that become empty with it. A root is not freed: it
// becomes a leaf.
func (f *file) dropNode(p path, level int) error {
	for ; level > 0; level-- {
		if err := f.giveBlock(p[level].block); err != nil {
			return err
		}
		above, err := f.writable(p, level-1)
		if err != nil {
			return err
		}
		at := p[level-1].at
		above.Resize(at, 1, 0)
		if above.Entries() > 0 {
			if at == 0 {
				return f.fixKeys(p, level-1)
			}
			return nil
		}
	}
	p[0].node.SetDepth(0)
	return nil
}

// collapse moves the entries of a lone node below the root into the root, as long as they fit.
func (f *file) collapse() error {
	for range layout.MaxExtentDepth {
		root, err := f.root()
		if err != nil || root.Leaf() || root.Entries() != 1 {
			return err
		}
		top := step{node: root, end: 1 << 32}
		below, err := f.child(&top)
		if err != nil {
			return err
		}
		if below.node.Entries() > f.capacity(root) {
			return nil
		}
		b, err := f.editIblock()
		if err != nil {
			return err
		}
		root = layout.ExtentNode(b)
		root.SetDepth(below.node.Depth())
		root.Resize(0, 1, 0)
		below.node.CopyTail(0, root)
		if err := f.giveBlock(below.block); err != nil {
			return err
		}
	}
	return nil
}

// split makes one step that leads to room in the leaf of p: it splits the highest full node whose parent has room, or
// adds a level below the root. The path is not valid afterwards.
func (f *file) split(p path) error {
	level := len(p) - 1
	for level > 0 && p[level-1].node.Entries() >= f.capacity(p[level-1].node) {
		level--
	}
	if level == 0 {
		return f.deepen(p)
	}
	count := p[level].node.Entries()
	if count < 2 {
		return f.corrupt(p[level].block, "eh_max %d", p[level].node.Max())
	}
	cut := count / 2
	if p.atRightEdge(level) {
		cut = count - 1
	}
	old, err := f.writable(p, level)
	if err != nil {
		return err
	}
	block, fresh, err := f.newNode(p, old.Depth(), p[level].block+1)
	if err != nil {
		return err
	}
	old.CopyTail(cut, fresh)
	old.Resize(cut, count-cut, 0)
	above, err := f.writable(p, level-1)
	if err != nil {
		return err
	}
	at := p[level-1].at + 1
	above.Resize(at, 0, 1)
	above.PutIndex(at, layout.ExtentIndex{Lblk: fresh.Key(0), Child: block})
	return nil
}

// atRightEdge reports whether the path takes the last entry at every level down to this one. Then a split leaves the
// node full, since a file that grows at its end adds nothing to it.
func (p path) atRightEdge(level int) bool {
	for _, s := range p[:level+1] {
		if s.at != s.node.Entries()-1 {
			return false
		}
	}
	return true
}

// deepen moves the entries of the root into a new node below it.
func (f *file) deepen(p path) error {
	depth := p[0].node.Depth()
	if depth == layout.MaxExtentDepth {
		return fmt.Errorf("inode %d: extent tree of depth %d is full: %w", f.ino, depth, syscall.EFBIG)
	}
	root, err := f.writable(p, 0)
	if err != nil {
		return err
	}
	block, fresh, err := f.newNode(p, depth, p.nearby())
	if err != nil {
		return err
	}
	root.CopyTail(0, fresh)
	root.Resize(0, root.Entries(), 1)
	root.PutIndex(0, layout.ExtentIndex{Lblk: fresh.Key(0), Child: block})
	root.SetDepth(depth + 1)
	return nil
}

// nearby is a block on the path: the first node below the root, or the data.
func (p path) nearby() layout.Pblk {
	if len(p) > 1 {
		return p[1].block + 1
	}
	if p[0].node.Entries() == 0 {
		return 0
	}
	e := p[0].node.Extent(max(p[0].at, 0))
	return e.Pblk + layout.Pblk(e.Len)
}

// newNode allocates and formats a node. A wrong bitmap may call a node of the path free: that is an error.
func (f *file) newNode(p path, depth int, goal layout.Pblk) (layout.Pblk, layout.ExtentNode, error) {
	if !f.m.g.ContainsBlocks(goal, 1) {
		goal = f.m.space.GoalFor(f.ino)
	}
	block, err := f.takeBlock(goal)
	if err != nil {
		return 0, nil, err
	}
	for _, s := range p {
		if s.block == block {
			return 0, nil, f.corrupt(block, "marked free in the bitmap")
		}
	}
	b, err := f.h.Create(f.ref(block))
	if err != nil {
		return 0, nil, err
	}
	return block, layout.InitExtentNode(b, depth), nil
}
