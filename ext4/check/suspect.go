package check

import "ext4img/ext4/layout"

// reportSuspect says what is wrong with an inode that pass 1 found suspect: its type, or fields that must be zero.
func (c *checker) reportSuspect(ino layout.Ino) {
	rec, err := c.readInode(ino)
	if err != nil {
		return
	}
	g, in, place := c.geo, layout.Inode(rec), inodeAt(ino)
	acl := g.fileACL(rec)
	if acl != 0 && !g.hasCompat(layout.CompatExtAttr) {
		c.rep.add(codeXattrFeature, place.block(-1, acl))
	}
	if code := c.typeProblem(ino, in); code != "" {
		c.rep.add(code, place.values(hex(in.Mode()), nil))
	}
	if le.Uint32(rec[iObsoFaddr:]) != 0 {
		c.rep.add(codeFieldNotZero, place.say("i_faddr %d", le.Uint32(rec[iObsoFaddr:])))
	}
	if c.sb.CreatorOS() == osHurd {
		if le.Uint16(rec[iBlocksHigh:]) != 0 {
			c.rep.add(codeFieldNotZero, place.say("h_i_frag or h_i_fsize"))
		}
	} else {
		if hi := le.Uint16(rec[iBlocksHigh:]); hi != 0 && !g.hasRO(layout.ROCompatHugeFile) {
			c.rep.add(codeFieldNotZero, place.say("l_i_blocks_hi %d", hi))
		}
		if hi := le.Uint16(rec[iFileACLHigh:]); hi != 0 && !g.hasIncompat(layout.Incompat64Bit) {
			c.rep.add(codeFieldNotZero, place.say("l_i_file_acl_high %d", hi))
		}
	}
	if acl != 0 && !g.valid(acl) {
		c.rep.add(codeXattrBlockIllegal, place.block(-1, acl))
	}
	if hi := le.Uint32(rec[iSizeHigh:]); hi != 0 && in.IsDir() && !g.hasIncompat(layout.IncompatLargeDir) {
		c.rep.add(codeFieldNotZero, place.say("i_size_high %d", hi))
	}
}

// typeProblem is the code for an inode that breaks the rules of its type.
func (c *checker) typeProblem(ino layout.Ino, in layout.Inode) Code {
	switch in.Type() {
	case layout.ModeDir, layout.ModeRegular:
		return ""
	case layout.ModeSymlink:
		if newWorker(c).symlinkOK(c.geo, ino, in) {
			return ""
		}
		return codeSymlinkInvalid
	}
	switch {
	case !special(in.Mode()):
		return codeModeInvalid
	case !deviceOK(in):
		return codeDeviceInvalid
	}
	return ""
}
