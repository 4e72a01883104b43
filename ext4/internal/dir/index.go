package dir

import (
	"fmt"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A step is one index block on the way to a leaf.
type step struct {
	lblk layout.Lblk
	node layout.DxNode
	at   int // the entry by which to go down
}

// path is the way from the root to a leaf. It is valid until the index changes.
type path struct {
	f     *file
	steps []step
}

// root reads block 0 of a hashed directory.
func (f *file) root() (layout.DxRoot, []byte, error) {
	p, err := f.readIndex(0)
	if err != nil {
		return layout.DxRoot{}, nil, err
	}
	root, err := f.d.g.ParseDxRoot(p)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.dxType(0), err)
	}
	return root, p, err
}

func (f *file) readIndex(lblk layout.Lblk) ([]byte, error) {
	ref, err := f.ref(lblk, f.dxType(lblk))
	if err != nil {
		return nil, err
	}
	return f.r.Read(ref)
}

// node reads an index block below the root.
func (f *file) node(lblk layout.Lblk) (layout.DxNode, error) {
	if lblk == 0 {
		return layout.DxNode{}, layout.Corruptf("directory %d: index: leads back to the root", f.ino)
	}
	p, err := f.readIndex(lblk)
	if err != nil {
		return layout.DxNode{}, err
	}
	n, err := f.d.g.ParseDxNode(p)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.dxType(lblk), err)
	}
	return n, err
}

// editRoot returns the root, to be changed.
func (f *file) editRoot(h *journal.Handle) (layout.DxRoot, []byte, error) {
	ref, err := f.ref(0, f.dxType(0))
	if err != nil {
		return layout.DxRoot{}, nil, err
	}
	p, err := h.Get(ref)
	if err != nil {
		return layout.DxRoot{}, nil, err
	}
	root, err := f.d.g.ParseDxRoot(p)
	return root, p, err
}

// editNode returns an index block, root or not, to be changed.
func (f *file) editNode(h *journal.Handle, lblk layout.Lblk) (layout.DxNode, error) {
	if lblk == 0 {
		root, _, err := f.editRoot(h)
		return root.DxNode, err
	}
	ref, err := f.ref(lblk, f.dxType(lblk))
	if err != nil {
		return layout.DxNode{}, err
	}
	p, err := h.Get(ref)
	if err != nil {
		return layout.DxNode{}, err
	}
	return f.d.g.ParseDxNode(p)
}

// createNode makes a new block an index node with one child, which the caller then replaces.
func (f *file) createNode(h *journal.Handle, lblk, child layout.Lblk) (layout.DxNode, error) {
	ref, err := f.ref(lblk, f.dxType(lblk))
	if err != nil {
		return layout.DxNode{}, err
	}
	p, err := h.Create(ref)
	if err != nil {
		return layout.DxNode{}, err
	}
	return f.d.g.InitDxNode(p, child), nil
}

// probe goes from the root to the first leaf that may hold a hash.
func (f *file) probe(hash layout.NameHash) (*path, error) {
	return f.descend(func(n layout.DxNode) int { return n.Find(hash) })
}

// descend goes from the root to a leaf. In each node it takes the entry that choose returns.
func (f *file) descend(choose func(n layout.DxNode) int) (*path, error) {
	root, _, err := f.root()
	if err != nil {
		return nil, err
	}
	t := &path{f: f, steps: []step{{0, root.DxNode, choose(root.DxNode)}}}
	for range root.Levels() {
		lblk := t.leaf()
		n, err := f.node(lblk)
		if err != nil {
			return nil, err
		}
		t.steps = append(t.steps, step{lblk, n, choose(n)})
	}
	return t, nil
}

// bottom is the last step: the index block above the leaf.
func (t *path) bottom() *step { return &t.steps[len(t.steps)-1] }

// leaf is the block that the path leads to.
func (t *path) leaf() layout.Lblk { return t.bottom().node.Block(t.bottom().at) }

// lowest is the hash that the index gives for the leaf to which next has just moved: that of the highest step that
// moved.
func (t *path) lowest() uint32 {
	for i := len(t.steps) - 1; i >= 0; i-- {
		if s := t.steps[i]; s.at > 0 {
			return s.node.Hash(s.at)
		}
	}
	return 0
}

// next moves to the leaf after this one; more is false if there is none.
func (t *path) next() (more bool, err error) {
	level := len(t.steps) - 1
	for ; level >= 0; level-- {
		s := &t.steps[level]
		if s.at+1 < s.node.Len() {
			s.at++
			break
		}
	}
	if level < 0 {
		return false, nil
	}
	for ; level+1 < len(t.steps); level++ {
		lblk := t.steps[level].node.Block(t.steps[level].at)
		n, err := t.f.node(lblk)
		if err != nil {
			return false, err
		}
		t.steps[level+1] = step{lblk, n, 0}
	}
	return true, nil
}

// leaves calls fn with every leaf in the order of the hashes, until fn returns false or an error. If an index leads
// to more leaves than the directory has blocks, it is corrupt.
func (f *file) leaves(fn func(lblk layout.Lblk) (bool, error)) error {
	t, err := f.descend(func(layout.DxNode) int { return 0 })
	if err != nil {
		return err
	}
	for range f.blocks {
		more, err := fn(t.leaf())
		if err != nil || !more {
			return err
		}
		if more, err = t.next(); err != nil || !more {
			return err
		}
	}
	return layout.Corruptf("directory %d: index: more leaves than %d blocks", f.ino, f.blocks)
}
