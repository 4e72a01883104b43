package check

import (
	"sync"

	"ext4img/aio/block"
	"ext4img/ext4/layout"
)

// pass2 looks at every block of every directory: first the blocks that begin a directory, then all others, in the
// order of the device.
func (c *checker) pass2() error {
	sortDirBlocks(c.dirBlocks)
	c.meter.begin(2, uint64(len(c.dirBlocks)))
	n := 0
	for n < len(c.dirBlocks) && c.dirBlocks[n].lblk == 0 {
		n++
	}
	if root := c.dirList.get(layout.RootIno); root != nil {
		root.parent = layout.RootIno
	}
	for _, part := range [][]dirBlock{c.dirBlocks[:n], c.dirBlocks[n:]} {
		if err := c.eachDirBlock(part); err != nil {
			return err
		}
	}
	for _, d := range c.indexes.m {
		d.finish(c)
	}
	c.indexes.init()
	c.dirBlocks = nil
	if c.largeFile.raised() {
		if !c.geo.hasRO(layout.ROCompatLargeFile) {
			c.rep.add(codeLargeFileFeature, superAt())
		}
	}
	return nil
}

// dirBatch is the number of directory blocks that a worker takes at a time.
const dirBatch = 128

// eachDirBlock checks directory blocks, in batches handed out to workers.
func (c *checker) eachDirBlock(blocks []dirBlock) error {
	batches := make(chan []dirBlock)
	var wg sync.WaitGroup
	for range 2 * c.workers() { // half of the workers wait for the device
		wg.Go(func() {
			w := newWorker(c)
			for batch := range batches {
				w.checkDirBatch(batch)
				c.meter.step(uint64(len(batch)))
			}
		})
	}
	for len(blocks) > 0 && c.cancelled() == nil && !c.over.raised() {
		n := min(dirBatch, len(blocks))
		batches <- blocks[:n]
		blocks = blocks[n:]
	}
	close(batches)
	wg.Wait()
	return c.cancelled()
}

// checkDirBatch reads a batch of blocks and checks them.
func (w *worker) checkDirBatch(batch []dirBlock) {
	for i := range w.cache.ahead(len(batch), func(i int) uint64 { return batch[i].pblk }) {
		b := batch[i]
		if w.c.dupes.test(w.c.geo.cluster(b.pblk)) && !w.c.again(againDir) {
			return
		}
		if w.c.inodes.test(uint64(b.ino)) {
			w.checkDirBlock(b)
		}
	}
}

// A dirent is the fixed part of an entry as it is on disk.
type dirent struct {
	ino     uint32
	recLen  int
	nameLen int
	ftype   uint8
}

// direntAt decodes the entry at offset off of p. In a block of 64 KiB the length of an entry has its own encoding.
func direntAt(p []byte, off int) dirent {
	if off+8 > len(p) {
		return dirent{recLen: 12}
	}
	e := p[off:]
	d := dirent{ino: le.Uint32(e), recLen: int(le.Uint16(e[4:])), nameLen: int(e[6]), ftype: e[7]}
	if len(p) >= 65536 {
		if d.recLen == 65535 || d.recLen == 0 {
			d.recLen = len(p)
		} else {
			d.recLen = d.recLen&65532 | d.recLen&3<<16
		}
	}
	return d
}

// dirCheck is the check of one block of a directory.
type dirCheck struct {
	w      *worker
	c      *checker
	b      dirBlock
	rec    *dirRecord
	index  *indexDir   // set in a hashed directory
	block  *indexBlock // set for a leaf of a hashed directory
	policy uint32
	folded bool
	state  int // 0: "." is due, 1: ".." is due, 2: others
}

func (k *dirCheck) at(off int) at {
	return inodeAt(k.b.ino).block(int64(k.b.lblk), k.b.pblk).say("at byte %d", off)
}

// bad reports a problem of the entry at offset off.
func (k *dirCheck) bad(code Code, off int, name []byte, d dirent) {
	k.c.rep.add(code, inodeAt(k.b.ino).block(int64(k.b.lblk), k.b.pblk).say("entry %q for inode %d at byte %d", name, d.ino, off))
}

// checkDirBlock checks one block.
func (w *worker) checkDirBlock(b dirBlock) {
	c := w.c
	k := &dirCheck{w: w, c: c, b: b, rec: c.dirList.get(b.ino), policy: c.policies.get(b.ino),
		folded: c.casefolded.test(uint64(b.ino))}
	if k.rec == nil {
		return
	}
	w.names.reset()
	if b.lblk > 0 {
		k.state = 2
	}
	switch {
	case b.inline:
		k.checkInline()
	case b.pblk == 0:
		if !c.geo.hasIncompat(layout.IncompatLargeDir) {
			c.rep.add(codeDirHole, k.at(0))
		}
	default:
		p, err := w.cache.read(b.pblk)
		if err != nil {
			c.rep.add(codeBlockUnreadable, k.at(0))
			return
		}
		k.checkBlock(p)
	}
}

// checkBlock checks a block of a directory that is not inline.
func (k *dirCheck) checkBlock(p []byte) {
	c := k.c
	csumOK := !c.geo.csum() || c.geo.dirBlockChecksumOK(k.rec, p)
	leaf := true
	if d := c.indexes.get(k.b.ino); d != nil && len(d.blocks) > 0 {
		if uint64(k.b.lblk) >= uint64(len(d.blocks)) {
			c.rep.add(codeIndexBlock, k.at(0).values(k.b.lblk, len(d.blocks)))
		} else {
			k.index = d
			leaf = d.begin(c, k.b.lblk, p)
		}
	}
	size := len(p)
	if leaf && c.geo.csum() {
		if csumOK || hasTail(p) {
			size -= 12
		} else {
			c.rep.add(codeDirNoChecksum, k.at(0))
			csumOK = true
		}
	}
	if leaf && k.index != nil {
		k.block = &k.index.blocks[k.b.lblk]
	}
	if !k.checkEntries(p, 0, size) {
		return
	}
	if !leaf {
		k.index.checkNode(c, k.b.lblk, p, csumOK)
	} else if !csumOK {
		c.rep.add(codeDirChecksum, k.at(0))
	}
}

// hasTail reports whether a block ends with the tail that holds a checksum.
func hasTail(p []byte) bool {
	top, off := len(p)-12, 0
	for off < top {
		n := int(le.Uint16(p[off+4:]))
		if n == 0 || n&3 != 0 {
			return false
		}
		off += n
	}
	t := p[top:]
	return off == top && le.Uint32(t) == 0 && le.Uint16(t[4:]) == 12 && le.Uint16(t[6:]) == 0xDE00
}

// dirBlockChecksumOK compares the checksum of a block. In a leaf the checksum is in a tail that looks like an entry;
// in an index block it follows the room for the table.
func (g *geometry) dirBlockChecksumOK(rec *dirRecord, p []byte) bool {
	seed := g.inodeSeed(rec.ino, rec.generation)
	if hasTail(p) {
		return block.Crc32c(seed, p[:len(p)-12]) == le.Uint32(p[len(p)-4:])
	}
	at := indexTableAt(p)
	if at == 0 {
		return false
	}
	limit, count := int(le.Uint16(p[at:])), int(le.Uint16(p[at+2:]))
	most := (len(p) - at) / 8
	if limit > most || count > most {
		return false
	}
	tail := at + 8*limit
	if tail > len(p)-8 {
		return false
	}
	s := block.Crc32c(block.Crc32c(seed, p[:at+8*count]), p[tail:tail+4])
	return block.Crc32c(s, make([]byte, 4)) == le.Uint32(p[tail+4:])
}

// indexTableAt returns the offset of the table in an index block, or 0 if the block does not look like one.
func indexTableAt(p []byte) int {
	first := int(le.Uint16(p[4:]))
	if first == len(p)&0xFFFF && le.Uint16(p[6:]) == 0 {
		return 8
	}
	if first == 12 && int(le.Uint16(p[16:])) == (len(p)-12)&0xFFFF && le.Uint32(p[24:]) == 0 && p[29] == 8 {
		return 32
	}
	return 0
}

// checkInline checks one part of a directory in its inode: the parent's number and the entries after it, or the rest
// of the entries in an attribute.
func (k *dirCheck) checkInline() {
	rec, err := k.c.readInode(k.b.ino)
	if err != nil {
		return
	}
	tail, err := k.w.inlineTail(k.b.ino, rec)
	if err != nil {
		return
	}
	size := layout.InodeBlockSize + len(tail)
	if size&3 != 0 || size > layout.InodeBlockSize && size < layout.InodeBlockSize+12 {
		k.c.rep.add(codeInlineDirSize, k.at(0).values(size, nil))
	}
	if k.b.lblk > 0 {
		k.checkEntries(tail, 0, len(tail))
		return
	}
	p := layout.Inode(rec).Block()
	ftype := uint8(0)
	if k.c.geo.hasIncompat(layout.IncompatFiletype) {
		ftype = ftDir
	}
	k.checkEntry(0, dirent{uint32(k.b.ino), 12, 1, ftype}, []byte(".\x00"))
	k.state++
	k.checkEntry(0, dirent{le.Uint32(p), 12, 2, ftype}, []byte("..\x00"))
	k.state++
	k.checkEntries(p, 4, len(p))
}

// checkEntries checks the entries from byte off to byte end. It returns false if they cannot be followed to the end.
func (k *dirCheck) checkEntries(p []byte, off, end int) bool {
	for off < end {
		d := direntAt(p, off)
		if end-off < 8 || off+d.recLen > end || d.recLen < 12 || d.recLen%4 != 0 || d.nameLen+8 > d.recLen {
			k.c.rep.add(codeDirCorrupt, k.at(off))
			return false
		}
		k.checkEntry(off, d, p[off+8:off+d.recLen])
		off += d.recLen
		k.state = min(k.state+1, 2)
	}
	return true
}
