package volume

import (
	"ext4img/ext4/layout"
)

// Corrupt makes an error one that says that the image is wrong: it is a layout.ErrCorrupt in addition to what it is.
func Corrupt(err error) error { return &alias{err, layout.ErrCorrupt} }

// alias is an error that also is another one.
type alias struct{ err, as error }

func (a *alias) Error() string   { return a.err.Error() }
func (a *alias) Unwrap() []error { return []error{a.err, a.as} }
