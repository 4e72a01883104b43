package layout

// The form of an ACL in Linux's xattr interface: a header, and entries of one size.
const (
	ACLVersion    = 2          // POSIX_ACL_XATTR_VERSION, the only field of the header
	ACLHeaderSize = 4          // bytes
	ACLEntrySize  = 8          // bytes: tag, permissions, id
	ACLNoID       = 0xFFFFFFFF // id of an entry that names no user or group
)

// The form on disk has a header of the same size.
const (
	aclDiskVersion = 1 // EXT4_ACL_VERSION
	aclShort       = 4 // bytes of an entry without an id
)

// Tags of entries of an ACL, in the order of the list.
const (
	ACLUserObj  = 0x01
	ACLUser     = 0x02
	ACLGroupObj = 0x04
	ACLGroup    = 0x08
	ACLMask     = 0x10
	ACLOther    = 0x20
)

// aclEntrySize is the size of an entry on disk: only entries for a named user or group have an id. 0: no such tag.
func aclEntrySize(tag uint16) int {
	switch tag {
	case ACLUserObj, ACLGroupObj, ACLMask, ACLOther:
		return aclShort
	case ACLUser, ACLGroup:
		return ACLEntrySize
	}
	return 0
}

// ACLToDisk turns a POSIX ACL from the form of Linux's xattr interface (version 2) to ext4's (version 1). ok is false
// if v is not an ACL.
func ACLToDisk(v []byte) (out []byte, ok bool) {
	if len(v) < ACLHeaderSize || (len(v)-ACLHeaderSize)%ACLEntrySize != 0 || le.Uint32(v) != ACLVersion {
		return nil, false
	}
	out = le.AppendUint32(nil, aclDiskVersion)
	for e := v[ACLHeaderSize:]; len(e) > 0; e = e[ACLEntrySize:] {
		n := aclEntrySize(le.Uint16(e))
		if n == 0 || le.Uint16(e[2:]) > 7 {
			return nil, false
		}
		out = append(out, e[:n]...)
	}
	return out, true
}

// ACLFromDisk turns a POSIX ACL from ext4's form to that of Linux's xattr interface.
func ACLFromDisk(v []byte) (out []byte, ok bool) {
	if len(v) < ACLHeaderSize || le.Uint32(v) != aclDiskVersion {
		return nil, false
	}
	out = le.AppendUint32(nil, ACLVersion)
	for e := v[ACLHeaderSize:]; len(e) > 0; {
		if len(e) < aclShort {
			return nil, false
		}
		n := aclEntrySize(le.Uint16(e))
		if n == 0 || n > len(e) {
			return nil, false
		}
		out = append(out, e[:n]...)
		if n == aclShort {
			out = le.AppendUint32(out, ACLNoID)
		}
		e = e[n:]
	}
	return out, true
}
