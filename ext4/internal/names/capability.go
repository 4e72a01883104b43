package names

import (
	"encoding/binary"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// XattrCapability is the attribute with the capabilities that a program has beyond those of its user. The next change
// of the file removes it.
const XattrCapability = "security.capability"

// CapabilityOK checks a value of the attribute as the kernel does: it must be of revision 2, or of revision 3, which
// names the root user for which it is meant. An empty value is stored, and has no effect.
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

// Capable reports whether a file has capabilities.
func (n *Names) Capable(r journal.Reader, ino layout.Ino) bool {
	value, err := n.Attrs.Get(r, ino, XattrCapability)
	return err == nil && len(value) > 0
}

// DropCapability removes the capabilities of a file, if it has any.
func (n *Names) DropCapability(h *journal.Handle, ino layout.Ino) error {
	if !n.Capable(h, ino) {
		return nil
	}
	return n.Attrs.Remove(h, ino, XattrCapability)
}
