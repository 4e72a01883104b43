package ext4

import (
	"errors"

	"ext4img/ext4/internal/extent"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Node is one node of a file's block map.
type Node = extent.Node

// errEnough ends a walk whose caller needs no more.
var errEnough = errors.New("enough")

// Nodes calls more for each node of the file's block map, each before the nodes below it, until more returns false.
func (f *File) Nodes(more func(Node) bool) error {
	err := f.n.inode(func(v *journal.View, rec layout.Inode) error {
		if !rec.MapsBlocks() {
			return nil
		}
		return f.fs.vol.Extents.Nodes(v, f.n.ino, func(n Node) error {
			if !more(n) {
				return errEnough
			}
			return nil
		})
	})
	if err == errEnough {
		err = nil
	}
	return f.wrap("extents", err)
}
