package layout

import "ext4img/aio/block"

// EAInodeHash is the hash of a value that has an inode of its own (ext4_xattr_inode_hash).
func (g *Geometry) EAInodeHash(value []byte) uint32 { return block.Crc32c(g.CsumSeed, value) }

// XattrHash is e_hash of a name and a value stored with it, or of a name and the hash (EAInodeHash) of a value in an
// inode of its own. In an inode's record only the latter is stored.
func XattrHash(name string, value []byte) uint32 { return xattrHash(name, value, false) }

// XattrInodeHash is e_hash for a value in an inode of its own.
func XattrInodeHash(name string, valueHash uint32) uint32 {
	var word [4]byte
	le.PutUint32(word[:], valueHash)
	return xattrHash(name, word[:], false)
}

// XattrHashOK reports whether e_hash is right. Old kernels took the bytes of names as signed on some processors, so
// either of two hashes is right.
func XattrHashOK(name string, data []byte, hash uint32) bool {
	return hash == xattrHash(name, data, false) || hash == xattrHash(name, data, true)
}

// xattrHash is ext4_xattr_hash_entry, or ext4_xattr_hash_entry_signed.
func xattrHash(name string, data []byte, signed bool) (h uint32) {
	for i := range len(name) {
		h = h<<5 ^ h>>27 ^ hashChar(name[i], !signed)
	}
	for len(data) > 0 {
		var word [4]byte
		n := copy(word[:], data)
		h = h<<16 ^ h>>16 ^ le.Uint32(word[:])
		data = data[n:]
	}
	return h
}

// xattrBlockHash is h_hash (ext4_xattr_rehash). If an entry has no hash, the block must not be shared and has none
// either.
func xattrBlockHash(list []Xattr) (h uint32) {
	for _, x := range list {
		if x.Hash == 0 {
			return 0
		}
		h = h<<16 ^ h>>16 ^ x.Hash
	}
	return h
}

// EAHash is the hash of the value in an inode with FlagEAInode, stored in i_atime.
func (i Inode) EAHash() uint32 { return le.Uint32(i[0x8:]) }

// EARefs is the number of attributes whose value is in this inode, which has FlagEAInode. i_ctime holds the high
// half, the low half of i_version the low half.
func (i Inode) EARefs() uint64 { return lohi(le.Uint32(i[0x24:]), le.Uint32(i[0xC:])) }

// SetEAHash sets the hash of the value.
func (i Inode) SetEAHash(h uint32) {
	le.PutUint32(i[0x8:], h)
	i.setExtra(0x8C, 0)
}

// SetEARefs sets the number of attributes whose value is in this inode.
func (i Inode) SetEARefs(n uint64) {
	le.PutUint32(i[0x24:], uint32(n))
	le.PutUint32(i[0xC:], uint32(n>>32))
	i.setExtra(0x84, 0)
}
