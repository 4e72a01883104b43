package ext4

import (
	"errors"
	"maps"
	"slices"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// inSteps makes an entry whose content and attributes do not fit into a transaction; cause is the error that said so.
// Each part gets a handle of its own: for a file before it gets its name, for a directory after it.
func (m *Maker) inSteps(e *Entry, cause error) (made int, err error) {
	kind := e.Mode & layout.ModeTypeMask
	if len(e.Data)+len(e.Xattrs) == 0 || e.LinkTo != "" || e.File != nil && len(e.Xattrs) == 0 {
		return 0, cause
	}
	switch kind {
	case layout.ModeRegular:
		err = m.fileInSteps(*e, cause)
	case layout.ModeDir:
		err = m.dirInSteps(*e, cause)
	default:
		err = cause
	}
	if err != nil {
		return 0, err
	}
	return 1, nil
}

func (m *Maker) fileInSteps(e Entry, cause error) (err error) {
	if e.File == nil {
		if e.File, err = m.Temp(e.Path); err != nil {
			return err
		}
		defer func() {
			if e := e.File.Close(); err == nil {
				err = e
			}
		}()
		n := e.File.n
		for _, piece := range e.Data {
			if err := n.writeExclusive(piece.Data, piece.Off); err != nil {
				return err
			}
		}
		if err := e.File.Truncate(e.Size); err != nil {
			return err
		}
	}
	ino := e.File.n.ino
	lists := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		value := e.Xattrs[name]
		if names.IsACL(name) {
			lists[name] = value
			continue
		}
		err := e.File.n.update(m.fs.vol.Attrs.Credits(len(value)), func(h *journal.Handle) error {
			rec, err := m.fs.vol.Inodes.Edit(h, ino)
			if err != nil {
				return err
			}
			return m.begin(h, 0).xattr(ino, rec, name, value)
		})
		if err != nil {
			return &XattrError{name, err}
		}
	}
	e.Data, e.Xattrs = nil, lists
	return m.alone(e, cause)
}

func (m *Maker) dirInSteps(e Entry, cause error) error {
	all := e.Xattrs
	e.Xattrs = nil
	if err := m.alone(e, cause); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) { // a directory over a directory changes its attributes
		e.Xattrs = map[string][]byte{name: all[name]}
		if err := m.alone(e, cause); err != nil {
			return err
		}
	}
	return nil
}

// alone makes one entry in one handle, after those for missing directories on its way.
func (m *Maker) alone(e Entry, cause error) error {
	for {
		var s *making
		credits := m.fs.names.Credits()
		tid, err := m.fs.vol.Update(credits, func(h *journal.Handle) error {
			s = m.begin(h, credits)
			return s.run([]Entry{e})
		})
		if errors.Is(err, journal.ErrTooLarge) {
			return cause
		}
		if err != nil {
			return err
		}
		if err := s.ended(tid); err != nil || s.made > 0 {
			return err
		}
	}
}
