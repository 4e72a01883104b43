package dir

import (
	"ext4img/ext4/layout"
	"ext4img/journal"
)

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
