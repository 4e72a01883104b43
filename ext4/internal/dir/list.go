package dir

import (
	"fmt"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// List calls fn with every entry, "." and ".." too, until it returns false or an error. The order is that of the
// blocks, in a hashed directory that of the hashes: it is the same until the directory changes.
func (d *Dirs) List(r journal.Reader, dir layout.Ino, fn func(Entry) (bool, error)) error {
	f, err := d.open(r, dir)
	if err != nil {
		return err
	}
	switch {
	case f.isInline():
		return f.listInline(fn)
	case f.indexed():
		return f.listHashed(fn)
	}
	for lblk := range f.blocks {
		if more, err := f.listBlock(lblk, fn); err != nil || !more {
			return err
		}
	}
	return nil
}

func (f *file) listBlock(lblk layout.Lblk, fn func(Entry) (bool, error)) (more bool, err error) {
	p, err := f.entries(lblk)
	if err != nil {
		return false, err
	}
	return f.listEntries(f.blockType(lblk).String(), p, fn)
}

// listEntries lists the records of p; where is their place, for errors.
func (f *file) listEntries(where string, p []byte, fn func(Entry) (bool, error)) (more bool, err error) {
	more = true
	format := f.format()
	bad := format.Entries(p, func(e layout.Dirent) bool {
		if e.Ino == 0 {
			return true
		}
		if err = format.CheckName(e); err != nil {
			err = fmt.Errorf("%s: %w", where, err)
			return false
		}
		more, err = fn(Entry{Name: string(e.Name), Ino: e.Ino, Type: e.Type})
		return more && err == nil
	})
	if err == nil && bad != nil {
		err = fmt.Errorf("%s: %w", where, bad)
	}
	return more && err == nil, err
}

// listHashed lists the two entries of the root, then the leaves in the order of the hashes.
func (f *file) listHashed(fn func(Entry) (bool, error)) error {
	_, p, err := f.root()
	if err != nil {
		return err
	}
	for _, name := range []string{".", ".."} {
		e, err := f.format().At(p, layout.DotOffset(name))
		if err != nil {
			return fmt.Errorf("%s: %w", f.dxType(0), err)
		}
		if more, err := fn(Entry{Name: name, Ino: e.Ino, Type: e.Type}); err != nil || !more {
			return err
		}
	}
	return f.leaves(func(lblk layout.Lblk) (bool, error) { return f.listBlock(lblk, fn) })
}

// Empty tells whether a directory has no entries but "." and "..", in any of its blocks: an index that leads past some
// of them makes no directory empty. A part that cannot be read is an error.
func (d *Dirs) Empty(r journal.Reader, dir layout.Ino) (bool, error) {
	empty := true
	err := d.Scan(r, dir, func(e Entry) (bool, error) {
		empty = dotName(e.Name)
		return empty, nil
	}, func(err error) error { return err })
	return empty, err
}
