package ext4

import (
	"encoding/binary"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// XattrCapability is the attribute with what a program may do that its user may not. The next change of the file takes it
// away.
const XattrCapability = "security.capability"

// capabilityOK judges a value of the attribute as the kernel does: revision 2, or 3 with the root it is meant for. An
// empty one is stored, and means nothing.
func capabilityOK(value []byte) bool {
	const effective, revision2, revision3 = 1, 0x02000000, 0x03000000
	switch len(value) {
	case 0:
		return true
	case 20:
		return binary.LittleEndian.Uint32(value)&^effective == revision2
	case 24:
		return binary.LittleEndian.Uint32(value)&^effective == revision3
	}
	return false
}

// capable tells whether the file has capabilities. It is asked before every write.
func (n *node) capable(r journal.Reader) bool {
	if n.plain.Load() {
		return false
	}
	value, err := n.fs.vol.Attrs.Get(r, n.ino, XattrCapability)
	if err == nil && len(value) > 0 {
		return true
	}
	n.plain.Store(true)
	return false
}

// dropCapability takes the capabilities of a file away that is about to change. Set-uid stays: who changes an image is root.
func (n *node) dropCapability() error {
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
		return n.fs.dropCapability(h, n.ino)
	})
}

// dropCapability takes the capabilities of a file away, if it has any.
func (fs *FS) dropCapability(h *journal.Handle, ino layout.Ino) error {
	if value, err := fs.vol.Attrs.Get(h, ino, XattrCapability); err != nil || len(value) == 0 {
		return nil
	}
	return fs.vol.Attrs.Remove(h, ino, XattrCapability)
}

// capabilitySet lets the next write to a file look for capabilities again. Called in the handle that sets them.
func (fs *FS) capabilitySet(ino layout.Ino) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if n := fs.nodes[ino]; n != nil {
		n.plain.Store(false)
	}
}
