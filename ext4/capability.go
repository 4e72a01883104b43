package ext4

import (
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// capable reports whether the file has capabilities. It is called before every write.
func (n *openInode) capable(r journal.Reader) bool {
	if n.plain.Load() {
		return false
	}
	if n.fs.names.Capable(r, n.ino) {
		return true
	}
	n.plain.Store(true)
	return false
}

// dropCapability removes the capabilities of a file that is about to change. Set-uid stays, because a program that
// changes an image acts as root.
func (n *openInode) dropCapability() error {
	v := n.fs.vol.Journal.View()
	capable := n.capable(v)
	v.Close()
	if !capable {
		return nil
	}
	return n.update(n.fs.vol.Attrs.Credits(0)+1, func(h *journal.Handle) error {
		rec, err := n.fs.vol.Inodes.Edit(h, n.ino)
		if err != nil {
			return err
		}
		rec.SetCtime(n.fs.vol.Inodes.Clock())
		return n.fs.names.DropCapability(h, n.ino)
	})
}

// capabilitySet makes the next write to a file look for capabilities again. It is called in the handle that sets
// them.
func (f *FS) capabilitySet(ino layout.Ino) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.nodes[ino]; n != nil {
		n.plain.Store(false)
	}
}
