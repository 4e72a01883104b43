package volume

import (
	"errors"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Kind makes the journal's kinds of failure known under those of package layout: an error that is journal.ErrCorrupt is
// layout.ErrCorrupt as well, one that is journal.ErrUnsupported is layout.ErrUnsupported. Others, and nil, stay as they are.
func Kind(err error) error {
	switch {
	case errors.Is(err, journal.ErrCorrupt) && !errors.Is(err, layout.ErrCorrupt):
		return &alias{err, layout.ErrCorrupt}
	case errors.Is(err, journal.ErrUnsupported) && !errors.Is(err, layout.ErrUnsupported):
		return &alias{err, layout.ErrUnsupported}
	}
	return err
}

// Corrupt makes an error one that says that the image is wrong: layout.ErrCorrupt, beside what it is already.
func Corrupt(err error) error { return &alias{err, layout.ErrCorrupt} }

// alias is an error that also is another one.
type alias struct{ err, as error }

func (a *alias) Error() string   { return a.err.Error() }
func (a *alias) Unwrap() []error { return []error{a.err, a.as} }
