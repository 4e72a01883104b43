package dir

import (
	"fmt"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Scan calls fn with every entry of a directory, "." and ".." too, until it returns false or an error. It reads block
// after block as the kernel does where it trusts no index: what an index leaves out is found, nothing comes twice.
//
// What is wrong with a part of the directory is told to bad, and the rest goes on unless bad returns an error: a block
// that cannot be read, a hole, a record that is none, a name that no name can be.
func (d *Dirs) Scan(r journal.Reader, dir layout.Ino, fn func(Entry) (bool, error), bad func(error) error) error {
	f, err := d.open(r, dir)
	if err != nil {
		return err
	}
	s := scan{file: f, fn: fn, bad: bad, seen: map[layout.Pblk]bool{}}
	if f.isInline() {
		return s.inline()
	}
	if f.blocks == 0 {
		return s.bad(layout.Corruptf("directory %d: of no blocks", dir))
	}
	for lblk := layout.Lblk(0); lblk < f.blocks && !s.ended; {
		e, err := d.m.Lookup(r, dir, lblk)
		if err != nil {
			return s.bad(fmt.Errorf("directory %d: from block %d on: %w", dir, lblk, err))
		}
		if err := s.extent(e.Cut(uint64(lblk), min(e.End(), uint64(f.blocks)))); err != nil {
			return err
		}
		lblk = layout.Lblk(min(e.End(), uint64(f.blocks)))
	}
	return nil
}

// scan is one Scan.
type scan struct {
	*file
	fn    func(Entry) (bool, error)
	bad   func(error) error
	seen  map[layout.Pblk]bool // the blocks that were read, so that a block mapped many times is read once
	ended bool                 // fn has returned false
}

// inline scans the two parts of an inline directory.
func (s *scan) inline() error {
	parent, parts, err := s.inlineParts()
	if err != nil {
		return err
	}
	for _, e := range []Entry{{".", s.ino, layout.FTDir}, {"..", parent, layout.FTDir}} {
		if err := s.give(e); err != nil || s.ended {
			return err
		}
	}
	for i, p := range parts {
		if err := s.records(s.partName(i), p); err != nil || s.ended {
			return err
		}
	}
	return nil
}

// extent scans the blocks of an extent.
func (s *scan) extent(e layout.Extent) error {
	if !e.Mapped() || e.Unwritten {
		return s.bad(layout.Corruptf("directory %d: block %d: a hole of %d blocks", s.ino, e.Lblk, e.Len))
	}
	for i := range e.Len {
		lblk, p := e.Lblk+layout.Lblk(i), e.Pblk+layout.Pblk(i)
		if s.seen[p] {
			return s.bad(layout.Corruptf("directory %d: block %d: block %d of the device is in the directory twice", s.ino, lblk, p))
		}
		s.seen[p] = true
		s.near = e
		if err := s.block(lblk); err != nil || s.ended {
			return err
		}
	}
	return nil
}

// block scans one block. Index blocks hold no names, except for the two in the root.
func (s *scan) block(lblk layout.Lblk) error {
	if s.indexed() {
		if p, ok := s.isIndex(lblk); ok {
			if lblk > 0 {
				return nil
			}
			return s.dots(p)
		}
	}
	t := layout.DirPartsType{DirBlockType: s.blockType(lblk)}
	ref, err := s.ref(lblk, t)
	if err != nil {
		return s.bad(err)
	}
	p, err := s.r.Read(ref)
	if err != nil {
		return s.bad(err)
	}
	return s.records(t.String(), t.Area(p))
}

// isIndex reports whether a block of a hashed directory belongs to its index. It reads the block as bytes without a
// type and looks at them itself: a leaf, which is no index block, must not be recorded as damage.
func (s *scan) isIndex(lblk layout.Lblk) ([]byte, bool) {
	typ := s.dxType(lblk)
	ref, err := s.ref(lblk, layout.PlainType{Name: typ.String()})
	if err != nil {
		return nil, false
	}
	p, err := s.r.Read(ref)
	return p, err == nil && typ.Verify(p) == nil
}

// dots yields the two entries in the root of an index.
func (s *scan) dots(p []byte) error {
	for _, name := range []string{".", ".."} {
		e, err := s.format().At(p, layout.DotOffset(name))
		if err != nil {
			return s.bad(fmt.Errorf("%s: %w", s.dxType(0), err))
		}
		if err := s.give(Entry{name, e.Ino, e.Type}); err != nil || s.ended {
			return err
		}
	}
	return nil
}

// records scans the records of p; where is their place, for errors. One that is wrong is left out; what follows it can be
// found unless its length is wrong, too.
func (s *scan) records(where string, p []byte) error {
	format := s.format()
	for off := 0; off < len(p) && !s.ended; {
		e, err := format.At(p, off)
		if err == nil {
			err = format.CheckName(e)
		}
		switch {
		case err != nil:
			err = s.bad(fmt.Errorf("%s: %w", where, err))
		case e.Ino != 0:
			err = s.give(Entry{string(e.Name), e.Ino, e.Type})
		}
		if err != nil || e.RecLen == 0 {
			return err
		}
		off += e.RecLen
	}
	return nil
}

func (s *scan) give(e Entry) error {
	more, err := s.fn(e)
	s.ended = !more
	return err
}
