package layout

// Values of s_creator_os, which says what some fields of an inode's record mean.
const (
	OSLinux = 0
	OSHurd  = 1
)

// The Hurd has fields of its own in place of Linux's: h_i_translator for l_i_version, h_i_frag and h_i_fsize for
// l_i_blocks_high, h_i_mode_high for l_i_file_acl_high, and h_i_author for l_i_checksum_lo and l_i_reserved. The
// Hurd's translator is a program that serves a file or directory. Its block holds the command line, and i_blocks
// counts it.
const hurdTranslatorOff = 0x24

// Hurd reports whether records have the fields of the Hurd.
func (g *Geometry) Hurd() bool { return g.CreatorOS == OSHurd }

// Translator is h_i_translator: the block with the command line of a file's translator, or 0. Only records of the
// Hurd have it. The Hurd does not know extents, and e2fsck ignores the field in an inode with extents.
func (g *Geometry) Translator(i Inode) Pblk {
	if !g.Hurd() || i.HasFlag(FlagExtents) {
		return 0
	}
	return Pblk(le.Uint32(i[hurdTranslatorOff:]))
}

// ClearTranslator sets h_i_translator to 0. Only the Hurd has it.
func (g *Geometry) ClearTranslator(i Inode) {
	if g.Hurd() {
		le.PutUint32(i[hurdTranslatorOff:], 0)
	}
}

// AddVersion counts a change in i_version. The Hurd has none.
func (g *Geometry) AddVersion(i Inode) {
	if !g.Hurd() {
		i.SetVersion(i.Version() + 1)
	}
}

// fileACLLow covers the half of i_file_acl that every record has.
const fileACLLow = 1<<32 - 1

// wideFileACL tells whether i_file_acl has a high half.
func (g *Geometry) wideFileACL() bool { return g.Incompat&Incompat64Bit != 0 && !g.Hurd() }

// FileACL is i_file_acl: the block of extended attributes, or 0.
func (g *Geometry) FileACL(i Inode) Pblk {
	if !g.wideFileACL() {
		return i.FileACL() & fileACLLow
	}
	return i.FileACL()
}

// SetFileACL sets i_file_acl.
func (g *Geometry) SetFileACL(i Inode, p Pblk) {
	if !g.wideFileACL() {
		p = i.FileACL()&^fileACLLow | p&fileACLLow
	}
	i.SetFileACL(p)
}

// UnsupportedCreator returns the features for which records of this creator have no room. If there are any, the file
// system must not be changed. The kernel does not mount it.
func (g *Geometry) UnsupportedCreator() Incompat {
	if !g.Hurd() {
		return 0
	}
	return g.Incompat & (Incompat64Bit | IncompatEAInode)
}

// UpdateRev turns a superblock of revision 0, in which feature words have no meaning for old programs, into one of
// revision 1 with the same values (ext4_update_dynamic_rev). It is called before a feature is set.
func (s Superblock) UpdateRev() {
	if s.RevLevel() > 0 {
		return
	}
	s.SetRevLevel(1)
	s.SetFirstIno(uint32(GoodOldFirst))
	s.SetInodeSize(uint16(GoodOldInodeSize))
}
