package check

import (
	"ext4img/aio/block"
	"ext4img/ext4/layout"
)

// pass6 checks what is outside the tree of directories: orphans and quota files.
func (c *checker) pass6() error {
	c.meter.begin(6, 1)
	c.checkOrphanFile()
	c.checkOrphanList()
	c.checkQuotaFiles()
	return nil
}

// orphanMagic ends every block of the orphan file.
const orphanMagic = 0x0B10CA04

// checkOrphanFile checks that the orphan file is valid, and empty if nothing is to be recovered.
func (c *checker) checkOrphanFile() {
	g := c.geo
	present := g.hasRO(layout.ROCompatOrphanPresent)
	if !g.hasCompat(layout.CompatOrphanFile) {
		if present {
			c.rep.add(codeOrphanPresentNoFile, superAt())
		}
		return
	}
	ino := layout.Ino(c.sb.OrphanFileInum())
	if !g.hasCompat(layout.CompatHasJournal) {
		c.rep.add(codeOrphanFileNoJournal, inodeAt(ino))
	}
	rec, err := c.readInode(ino)
	if err != nil {
		c.rep.endsHere()
		c.rep.add(codeOrphanFile, inodeAt(ino).say("%v", err))
		return
	}
	entries, ok := c.readOrphanFile(ino, rec)
	switch {
	case !ok:
	case len(entries) > 0 && c.recovered == nil:
		c.rep.add(codeOrphanFile, inodeAt(ino).say("%d orphans", len(entries)))
	case len(entries) == 0 && present && c.recovered == nil:
		c.rep.add(codeOrphanPresentClean, inodeAt(ino))
	}
}

// readOrphanFile returns the numbers in the orphan file. If the file is wrong it reports that, and ok is false.
func (c *checker) readOrphanFile(ino layout.Ino, rec []byte) (entries []uint32, ok bool) {
	g, in, place := c.geo, layout.Inode(rec), inodeAt(ino)
	if in.Size()&uint64(g.bs-1) != 0 {
		c.rep.add(codeOrphanFile, place.say("size %d", in.Size()))
		return nil, false
	}
	if in.Size()>>g.bits > g.blocks {
		c.rep.add(codeOrphanFile, place.say("size %d", in.Size()))
		return nil, false
	}
	runs, whole := c.fileRuns(rec, in.Size()>>g.bits)
	if !whole {
		c.rep.add(codeOrphanFile, place.say("it has holes"))
		return nil, false
	}
	seed := g.inodeSeed(ino, in.Generation())
	p := make([]byte, g.bs)
	for lblk, b := range eachBlock(runs) {
		at := place.block(lblk, b)
		if c.readAt(p, int64(b)<<g.bits) != nil {
			c.rep.add(codeOrphanFile, at.say("unreadable"))
			return nil, false
		}
		var num [8]byte
		le.PutUint64(num[:], b)
		tail := p[g.bs-8:]
		csum := block.Crc32c(block.Crc32c(seed, num[:]), p[:g.bs-8])
		if !g.csum() {
			csum = 0
		}
		if le.Uint32(tail) != orphanMagic || le.Uint32(tail[4:]) != csum {
			c.rep.add(codeOrphanFile, at.say("magic number or checksum"))
			return nil, false
		}
		for k := 0; k < g.bs-8; k += 4 {
			if n := le.Uint32(p[k:]); n != 0 {
				entries = append(entries, n)
			}
		}
		if uint64(len(entries)) > uint64(g.inodes) {
			c.rep.add(codeOrphanFile, at.say("more orphans than inodes"))
			return nil, false
		}
	}
	return entries, true
}

// checkOrphanList checks the list that begins in the superblock. Its inodes are in use and wait for removal or
// truncation.
func (c *checker) checkOrphanList() {
	if c.recovered != nil || c.sb.LastOrphan() == 0 {
		return
	}
	seen := map[layout.Ino]bool{}
	for ino := layout.Ino(c.sb.LastOrphan()); ino != 0; {
		rec, err := c.readInode(ino)
		if err != nil || uint32(ino) < c.geo.firstIno || seen[ino] {
			c.rep.add(codeOrphanList, inodeAt(ino))
			return
		}
		seen[ino] = true
		ino = layout.Ino(layout.Inode(rec).Dtime())
	}
	c.rep.add(codeOrphanList, inodeAt(layout.Ino(c.sb.LastOrphan())).say("%d inodes wait although nothing is to be recovered", len(seen)))
}

// collectOrphans collects, after the recovery of the journal, the inodes that the next mount will remove or truncate.
func (c *checker) collectOrphans() {
	c.orphans = map[layout.Ino]bool{}
	for ino := layout.Ino(c.sb.LastOrphan()); ino != 0 && !c.orphans[ino]; {
		rec, err := c.readInode(ino)
		if err != nil || uint32(ino) < c.geo.firstIno {
			c.rep.add(codeOrphanList, inodeAt(ino))
			break
		}
		c.orphans[ino] = true
		ino = layout.Ino(layout.Inode(rec).Dtime())
	}
	if c.geo.hasCompat(layout.CompatOrphanFile) && c.geo.hasRO(layout.ROCompatOrphanPresent) {
		ino := layout.Ino(c.sb.OrphanFileInum())
		if rec, err := c.readInode(ino); err == nil {
			entries, _ := c.readOrphanFile(ino, rec)
			for _, n := range entries {
				c.orphans[layout.Ino(n)] = true
			}
		}
	}
	c.recovered.Orphans = len(c.orphans)
}
