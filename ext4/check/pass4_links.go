package check

import "ext4img/ext4/layout"

// maxLinks is the largest link count. With dir_nlink, a directory that has more links stores 1.
const maxLinks = 65000

// pass4 compares the link count of every inode with the entries that name it.
func (c *checker) pass4() error {
	c.meter.begin(4, uint64(c.geo.groups))
	return c.eachGroups(linkBatch, func(_ *worker, from, to uint32) {
		for i := from; i < to; i++ {
			c.inodes.eachIn(uint64(i), func(n uint64) {
				if ino := layout.Ino(n); c.countsLinks(ino) {
					c.checkLinks(ino)
				}
			})
		}
	})
}

// linkBatch is the number of groups that a worker takes at a time.
const linkBatch = 16

// countsLinks reports whether the link count of an inode is that of its directory entries.
func (c *checker) countsLinks(ino layout.Ino) bool {
	i := uint64(ino)
	switch {
	case ino == layout.BadBlocksIno, ino > layout.RootIno && uint32(ino) < c.geo.firstIno:
		return false
	case uint32(ino) == c.sb.PrjQuotaInum():
		return false
	case uint32(ino) == c.sb.OrphanFileInum() && c.geo.hasCompat(layout.CompatOrphanFile):
		return false
	}
	return !c.imagic.test(i) && !c.inBadBlock.test(i)
}

// checkLinks compares one inode's link count.
func (c *checker) checkLinks(ino layout.Ino) {
	says, found := c.links.get(ino), c.found.get(ino)
	if found == 0 && c.checkValueRefs(ino) {
		found = 1
	}
	if c.orphans[ino] && says == 0 {
		return
	}
	if found == 0 {
		if c.suspect.test(uint64(ino)) {
			c.reportSuspect(ino)
		}
		c.rep.add(codeUnattached, inodeAt(ino))
		return
	}
	dir := c.dirs.test(uint64(ino))
	if dir && found > maxLinks {
		if !c.geo.hasRO(layout.ROCompatDirNlink) {
			c.rep.add(codeDirNlinkFeature, inodeAt(ino).values(found, maxLinks))
		}
		found = 1
	}
	if found == says {
		return
	}
	if dir && says == 1 && found > 1 && c.hasFlag(ino, layout.FlagIndex) {
		return // the count was once too high for its field, and stays 1
	}
	c.rep.add(codeLinkCount, inodeAt(ino).values(says, found))
}

// hasFlag reads an inode's flags.
func (c *checker) hasFlag(ino layout.Ino, f uint32) bool {
	rec, err := c.readInode(ino)
	return err == nil && layout.Inode(rec).HasFlag(f)
}

// checkValueRefs checks an inode without entries that may hold the value of an attribute. Its reference count is
// stored in fields that hold times in other inodes.
func (c *checker) checkValueRefs(ino layout.Ino) bool {
	refs := c.eaRefs.n[ino]
	if refs == 0 {
		return false
	}
	rec, err := c.readInode(ino)
	if err != nil || !layout.Inode(rec).HasFlag(layout.FlagEAInode) {
		return false
	}
	ctime, atime := le.Uint32(rec[iCtime:]), le.Uint32(rec[iAtime:])
	if says := uint64(ctime)<<32 | uint64(le.Uint32(rec[iVersion:])); says != refs && ctime != atime {
		c.rep.add(codeXattrInodeRefs, inodeAt(ino).values(says, refs))
	}
	return true
}
