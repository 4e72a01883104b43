package dir

import (
	"cmp"
	"fmt"
	"slices"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// hashed is an entry with its hash; the name is a copy.
type hashed struct {
	layout.Dirent
	hash layout.NameHash
}

// collect copies the entries of p that are in use.
func (f *file) collect(p []byte) ([]layout.Dirent, error) {
	var list []layout.Dirent
	err := f.format().Entries(p, func(e layout.Dirent) bool {
		if e.Ino != 0 {
			e.Name = slices.Clone(e.Name)
			list = append(list, e)
		}
		return true
	})
	return list, err
}

// splitLeaf makes two leaves of a full one and the entry that does not fit. The upper half of the hashes moves to a
// new block. The index block above must have room for it.
func (f *file) splitLeaf(h *journal.Handle, t *path, v layout.HashVersion, hash layout.NameHash, n entry) error {
	lower := t.leaf()
	p, err := f.editEntries(h, lower)
	if err != nil {
		return err
	}
	list, err := f.hashedEntries(p, v)
	if err != nil {
		return err
	}
	list = append(list, hashed{layout.Dirent{Ino: n.ino, Type: n.ftype, Name: []byte(n.name)}, hash})
	slices.SortStableFunc(list, func(a, b hashed) int { return cmp.Compare(a.hash, b.hash) })
	cut := f.middle(list)
	first := uint32(list[cut].hash)
	if list[cut].hash == list[cut-1].hash {
		first |= 1 // this hash continues from the leaf before
	}
	upper, err := f.grow(h)
	if err != nil {
		return err
	}
	q, err := f.createEntries(h, upper)
	if err != nil {
		return err
	}
	f.format().Pack(p, plain(list[:cut]))
	f.format().Pack(q, plain(list[cut:]))
	node, err := f.editNode(h, t.bottom().lblk)
	if err != nil {
		return err
	}
	node.Insert(t.bottom().at+1, first, upper)
	return nil
}

// hashedEntries copies the entries of p with their hashes.
func (f *file) hashedEntries(p []byte, v layout.HashVersion) ([]hashed, error) {
	entries, err := f.collect(p)
	if err != nil {
		return nil, err
	}
	list := make([]hashed, len(entries))
	for i, e := range entries {
		hash, known := f.hash(v, string(e.Name))
		if !known {
			return nil, layout.Unsupportedf("directory %d: hash %d", f.ino, v)
		}
		list[i] = hashed{e, hash}
	}
	return list, nil
}

// middle is the index at which the entries, at least two, are best cut into halves of equal size.
func (f *file) middle(list []hashed) int {
	total := f.format().Size(plain(list))
	cut, size := 1, f.format().Size(plain(list[:1]))
	for ; cut < len(list)-1; cut++ {
		next := f.format().Size(plain(list[cut : cut+1]))
		if size+next/2 > total/2 {
			break
		}
		size += next
	}
	return cut
}

func plain(list []hashed) []layout.Dirent {
	out := make([]layout.Dirent, len(list))
	for i, e := range list {
		out[i] = e.Dirent
	}
	return out
}

// growIndex makes one step that leads to room on the way to a leaf. The lowest index block with room gets a second
// half of its child, which is full. If all are full, the entries of the root move down to a node of their own.
func (f *file) growIndex(h *journal.Handle, t *path) error {
	level := len(t.steps) - 2
	for level >= 0 && t.steps[level].node.Full() {
		level--
	}
	if level < 0 {
		return f.pushDown(h, len(t.steps)-1)
	}
	above, err := f.editNode(h, t.steps[level].lblk)
	if err != nil {
		return err
	}
	full, err := f.editNode(h, t.steps[level+1].lblk)
	if err != nil {
		return err
	}
	lblk, err := f.grow(h)
	if err != nil {
		return err
	}
	half, err := f.createNode(h, lblk, 0)
	if err != nil {
		return err
	}
	first := full.MoveTail(full.Len()/2, half)
	above.Insert(t.steps[level].at+1, first, lblk)
	return nil
}

// pushDown adds a level below the root.
func (f *file) pushDown(h *journal.Handle, levels int) error {
	if levels >= f.d.g.MaxDxLevels() {
		return fmt.Errorf("directory %d: full: its index has %d levels, the most there may be%s: %w",
			f.ino, levels, f.withLargeDir(), syscall.ENOSPC)
	}
	root, _, err := f.editRoot(h)
	if err != nil {
		return err
	}
	lblk, err := f.grow(h)
	if err != nil {
		return err
	}
	node, err := f.createNode(h, lblk, 0)
	if err != nil {
		return err
	}
	root.MoveTail(0, node)
	root.Reset(lblk)
	root.SetLevels(levels + 1)
	return nil
}

// makeHashed turns a linear directory of one block into a hashed one: its entries move to block 1, the only leaf.
func (f *file) makeHashed(h *journal.Handle) error {
	p, err := f.entries(0)
	if err != nil {
		return err
	}
	list, err := f.collect(p)
	if err != nil {
		return err
	}
	if len(list) < 2 || string(list[0].Name) != "." || string(list[1].Name) != ".." {
		return layout.Corruptf(`directory %d: block 0: does not begin with "." and ".."`, f.ino)
	}
	leaf, err := f.grow(h)
	if err != nil {
		return err
	}
	q, err := f.createEntries(h, leaf)
	if err != nil {
		return err
	}
	f.format().Pack(q, list[2:])
	ref, err := f.ref(0, f.dxType(0))
	if err != nil {
		return err
	}
	root, err := h.Create(ref)
	if err != nil {
		return err
	}
	f.format().DotEntries(root, list[0].Ino, list[1].Ino)
	f.d.g.InitDxRoot(root, f.newVersion(), leaf)
	return f.setFlags(h, f.flags|layout.FlagIndex)
}

// newVersion is the hash version for a directory that becomes hashed.
func (f *file) newVersion() layout.HashVersion {
	switch v := layout.HashVersion(f.d.g.DefHashVersion); {
	case v <= layout.HashTea:
		return v
	case v <= layout.HashTeaUnsigned:
		return v - layout.HashLegacyUnsigned
	}
	return layout.HashHalfMD4
}
