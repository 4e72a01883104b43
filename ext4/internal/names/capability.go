package names

import (
	"encoding/binary"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// XattrCapability is the attribute with what a program may do that its user may not. The next change of the file takes it
// away.
const XattrCapability = "security.capability"

// CapabilityOK judges a value of the attribute as the kernel does: revision 2, or 3 with the root it is meant for. An
// empty one is stored, and means nothing.
func CapabilityOK(value []byte) bool {
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

// Capable tells whether a file has capabilities.
func (n *Names) Capable(r journal.Reader, ino layout.Ino) bool {
	value, err := n.Attrs.Get(r, ino, XattrCapability)
	return err == nil && len(value) > 0
}

// DropCapability takes the capabilities of a file away, if it has any.
func (n *Names) DropCapability(h *journal.Handle, ino layout.Ino) error {
	if !n.Capable(h, ino) {
		return nil
	}
	return n.Attrs.Remove(h, ino, XattrCapability)
}
