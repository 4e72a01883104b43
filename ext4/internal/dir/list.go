package dir

import (
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Empty reports whether a directory has no entries but "." and "..". It reads all blocks, not only those in the
// index. If a part cannot be read, it returns an error.
func (d *Dirs) Empty(r journal.Reader, dir layout.Ino) (bool, error) {
	empty := true
	err := d.Scan(r, dir, func(e Entry) (bool, error) {
		empty = dotName(e.Name)
		return empty, nil
	}, func(err error) error { return err })
	return empty, err
}
