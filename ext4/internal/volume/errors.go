package volume

import (
	"errors"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Kind translates the journal's kinds of failure to those of package layout: a journal.ErrCorrupt is also a
// layout.ErrCorrupt, and a journal.ErrUnsupported also a layout.ErrUnsupported. Other errors, and nil, are returned
// as they are.
func Kind(err error) error {
	switch {
	case errors.Is(err, journal.ErrCorrupt) && !errors.Is(err, layout.ErrCorrupt):
		return &alias{err, layout.ErrCorrupt}
	case errors.Is(err, journal.ErrUnsupported) && !errors.Is(err, layout.ErrUnsupported):
		return &alias{err, layout.ErrUnsupported}
	}
	return err
}

// Corrupt makes an error one that says that the image is wrong: it is a layout.ErrCorrupt in addition to what it is.
func Corrupt(err error) error { return &alias{err, layout.ErrCorrupt} }

// alias is an error that also is another one.
type alias struct{ err, as error }

func (a *alias) Error() string   { return a.err.Error() }
func (a *alias) Unwrap() []error { return []error{a.err, a.as} }
