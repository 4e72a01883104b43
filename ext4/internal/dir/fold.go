package dir

import (
	"ext4img/ext4/layout"
)

// prepare sets what counts as the same name in this directory.
func (f *file) prepare(name string) error {
	if f.casefold() && !f.encrypted() {
		return layout.Unsupportedf("directory %d: casefold", f.ino)
	}
	return nil
}
