package dir

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A place says where an entry was found: in a record of a block, or in one of the two parts of an inline directory.
type place struct {
	lblk   layout.Lblk // in an inline directory, 0 is i_block and 1 the attribute
	off    int
	ino    layout.Ino
	ftype  uint8
	dotdot bool // ".." of an inline directory, which has no record
}

func placeOf(lblk layout.Lblk, e layout.Dirent) place {
	return place{lblk: lblk, off: e.Off, ino: e.Ino, ftype: e.Type}
}

// Lookup finds a name, and returns its inode and the type in its entry. The error is fs.ErrNotExist if there is no
// such name.
func (d *Dirs) Lookup(r journal.Reader, dir layout.Ino, name string) (layout.Ino, uint8, error) {
	f, err := d.open(r, dir)
	if err != nil {
		return 0, 0, err
	}
	at, ok, err := f.find(name)
	if err != nil {
		return 0, 0, err
	}
	if !ok {
		return 0, 0, fmt.Errorf("directory %d: %q: %w", dir, name, fs.ErrNotExist)
	}
	return at.ino, at.ftype, nil
}

// find searches for a name, whatever form the directory has.
func (f *file) find(name string) (place, bool, error) {
	if len(name) > layout.MaxNameLen {
		return place{}, false, nil
	}
	if err := f.prepare(name); err != nil {
		return place{}, false, err
	}
	switch {
	case f.isInline():
		return f.findInline(name)
	case f.indexed():
		return f.findHashed(name)
	}
	at, ok, _, err := f.findLinear(name, 0)
	return at, ok, err
}

// findIn searches one block.
func (f *file) findIn(lblk layout.Lblk, name string) (place, bool, error) {
	p, err := f.entries(lblk)
	if err != nil {
		return place{}, false, err
	}
	e, ok, err := f.format().Find(p, name, f.same)
	if err != nil {
		return place{}, false, fmt.Errorf("%s: %w", f.blockType(lblk), err)
	}
	return placeOf(lblk, e), ok, nil
}

// findLinear searches block after block. If it does not find the name, room is the first block with need bytes of
// room, or f.blocks.
func (f *file) findLinear(name string, need int) (at place, ok bool, room layout.Lblk, err error) {
	room = f.blocks
	for lblk := range f.blocks {
		at, ok, err = f.findIn(lblk, name)
		if ok || err != nil {
			return at, ok, room, err
		}
		if need == 0 || room < f.blocks {
			continue
		}
		p, err := f.entries(lblk)
		if err != nil {
			return place{}, false, room, err
		}
		if f.format().Fits(p, need) {
			room = lblk
		}
	}
	return place{}, false, room, nil
}

// findHashed searches the leaf to which the name's hash belongs, and the leaves after it in which that hash
// continues. "." and ".." are in the root. If the hash cannot be computed (SipHash needs a key), it searches every
// leaf.
func (f *file) findHashed(name string) (place, bool, error) {
	root, p, err := f.root()
	if err != nil {
		return place{}, false, err
	}
	if dotName(name) {
		e, err := f.format().At(p, layout.DotOffset(name))
		return placeOf(0, e), true, err
	}
	hash, known := f.hash(root.Version(), name)
	if !known {
		return f.findInAllLeaves(name)
	}
	t, err := f.probe(hash)
	if err != nil {
		return place{}, false, err
	}
	for range f.blocks {
		at, ok, err := f.findIn(t.leaf(), name)
		if ok || err != nil {
			return at, ok, err
		}
		more, err := t.next()
		if err != nil {
			return place{}, false, err
		}
		if !more || t.lowest()&^1 != uint32(hash) {
			return f.findFolded(name)
		}
	}
	return place{}, false, layout.Corruptf("directory %d: index: more leaves than %d blocks", f.ino, f.blocks)
}

// findFolded searches a casefolded directory for a name that is not where its hash belongs. Kernels disagree about
// the folded form of names with ignorable code points, and so about their hashes. Like the kernel it searches every
// leaf. For names in ASCII it need not.
func (f *file) findFolded(name string) (place, bool, error) {
	if f.same == nil || !strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return place{}, false, nil
	}
	s, err := f.d.t.Space().Super(f.r)
	if err != nil || s.EncodingFlags()&layout.EncodingNewest != 0 {
		return place{}, false, err
	}
	return f.findInAllLeaves(name)
}

func (f *file) findInAllLeaves(name string) (at place, ok bool, err error) {
	err = f.leaves(func(lblk layout.Lblk) (bool, error) {
		at, ok, err = f.findIn(lblk, name)
		return !ok, err
	})
	return at, ok, err
}
