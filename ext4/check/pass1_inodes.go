package check

import (
	"sync"

	"ext4img/ext4/layout"
)

// pass1 looks at every inode. The groups are handed out to the workers. Only the bad blocks inode comes before all
// others, because it says which parts of the inode tables cannot be read.
func (c *checker) pass1() error {
	c.initMaps()
	c.markMetadata()
	c.readBadBlocks()
	c.meter.begin(1, uint64(c.geo.groups))
	err := c.scanInodes(func(w *worker, ino layout.Ino, rec []byte) { w.checkInode(ino, rec) })
	c.rep.endInodes()
	if err != nil {
		return err
	}
	c.dirList.sort()
	c.xattrBlocks.finish(c)
	if c.largeDir.raised() && !c.geo.hasIncompat(layout.IncompatLargeDir) {
		c.rep.add(codeLargeDirFeature, superAt())
	}
	return nil
}

// initMaps makes the maps that the passes share.
func (c *checker) initMaps() {
	g := c.geo
	inodeMap := func() *bitmap { return newBitmap(1, uint64(g.inodes), g.ipg) }
	c.blocks = newBitmap(0, g.clusters(), g.cpg)
	c.dupes = newBitmap(0, g.clusters(), g.cpg)
	c.metadata = newBitmap(g.first, g.blocks-g.first, g.bpg)
	c.inodes, c.dirs, c.regular = inodeMap(), inodeMap(), inodeMap()
	c.symlinks = inodeMap()
	c.suspect, c.inBadBlock, c.imagic, c.casefolded = inodeMap(), inodeMap(), inodeMap(), inodeMap()
	c.links, c.found = newLinkCounts(g), newLinkCounts(g)
	c.xattrBlocks.init()
	c.eaRefs.init()
	c.policies.init()
	c.indexes.init()
	c.badBlocks = newBitmap(g.first, g.blocks-g.first, g.bpg)
	c.quota = newQuotaUsage(c)
}

// markMetadata claims the blocks of superblocks, descriptors, bitmaps and inode tables. Each may have only one
// purpose.
func (c *checker) markMetadata() {
	g := c.geo
	for i, d := range c.descs {
		for _, r := range g.superArea(uint32(i)) {
			c.metadata.setRange(r.at, r.n, nil)
		}
		c.markTable(codeInodeTableConflict, uint32(i), uint64(d.InodeTable()), uint64(g.itable))
		c.markTable(codeBlockBitmapConflict, uint32(i), uint64(d.BlockBitmap()), 1)
		c.markTable(codeInodeBitmapConflict, uint32(i), uint64(d.InodeBitmap()), 1)
	}
	for chunk := range c.metadata.chunks {
		if c.metadata.peek(uint64(chunk)) != nil {
			c.markClusters(uint64(chunk))
		}
	}
	if at := c.sb.MMPBlock(); g.hasIncompat(layout.IncompatMMP) && at > g.first && at < g.blocks {
		c.blocks.set(g.cluster(at))
	}
}

// markTable claims a run of metadata blocks of a group.
func (c *checker) markTable(code Code, group uint32, at, n uint64) {
	if at == 0 {
		c.rep.add(codeTableMissing, groupAt(group))
		return
	}
	clash := false
	c.metadata.setRange(at, n, func(b, _ uint64) {
		if !clash {
			c.rep.add(code, groupAt(group).block(-1, b))
		}
		clash = true
	})
}

// markClusters claims the clusters of the metadata blocks of one chunk.
func (c *checker) markClusters(chunk uint64) {
	if c.geo.ratio == 1 {
		c.blocks.merge(chunk, c.metadata.peek(chunk))
		return
	}
	from := c.geo.groupFirst(uint32(chunk))
	for b := from; b < min(from+uint64(c.geo.bpg), c.geo.blocks); b++ {
		if c.metadata.test(b) {
			c.blocks.set(c.geo.cluster(b))
		}
	}
}

// A tableStep is a piece of an inode table that is read in one go.
type tableStep struct {
	group      uint32
	from, take uint32 // records
}

// tableRead is the largest size of a step, in bytes.
const tableRead = 64 << 10

// tableSteps yields the parts of the inode tables that may be in use, in steps.
func (c *checker) tableSteps(yield func(tableStep) bool) {
	per := max(1, uint32(tableRead/c.geo.isize))
	for i := range c.geo.groups {
		n := c.usedInodes(i)
		if c.descs[i].InodeTable() == 0 {
			n = 0
		}
		for from := uint32(0); from < n; from += min(per, n-from) {
			if !yield(tableStep{i, from, min(per, n-from)}) {
				return
			}
		}
		c.meter.step(1)
	}
}

// scanInodes hands the record of every inode that may be in use to fn, in parallel.
func (c *checker) scanInodes(fn func(w *worker, ino layout.Ino, rec []byte)) error {
	n := c.workers()
	steps := make(chan tableStep)
	errs := make(chan error, n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			w := newWorker(c)
			defer w.close()
			if err := w.scanTables(steps, fn); err != nil {
				errs <- err
				for range steps { // drain the channel so that the sender can finish
				}
			}
		})
	}
	for s := range c.tableSteps {
		if c.cancelled() != nil {
			break
		}
		steps <- s
	}
	close(steps)
	wg.Wait()
	close(errs)
	if err := c.cancelled(); err != nil {
		return err
	}
	return <-errs
}

// A worker checks inodes or directory blocks; each goroutine has its own.
type worker struct {
	c         *checker
	cache     blockCache
	dirBlocks []dirBlock
	want      []uint64
	names     nameSet
}

func newWorker(c *checker) *worker {
	return &worker{c: c, cache: blockCache{c: c}}
}

// close adds what the worker has collected to the checker.
func (w *worker) close() {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.c.dirBlocks = append(w.c.dirBlocks, w.dirBlocks...)
}

// addDirBlock adds a directory block to the list. The list is never longer than the number of blocks.
func (w *worker) addDirBlock(b dirBlock) {
	if b.pblk != 0 && w.c.dirTotal.Add(1) > w.c.geo.blocks {
		w.c.giveUp()
		return
	}
	w.dirBlocks = append(w.dirBlocks, b)
}

// prefetch reads the blocks that the checks of the inodes from record k on will need: nodes and map blocks of the
// first level, xattr blocks, the texts of symlinks, and the roots of hashed directories. It stops when the cache is
// full and returns the record after the last inode covered.
func (w *worker) prefetch(table []byte, k uint32) uint32 {
	g := w.c.geo
	w.want = w.want[:0]
	n := uint32(len(table) / g.isize)
	for ; k < n && len(w.want) < w.cache.room(); k++ {
		in := layout.Inode(table[int(k)*g.isize:][:g.isize:g.isize])
		if in.Links() == 0 {
			continue
		}
		if b := g.fileACL(in); b != 0 {
			w.want = append(w.want, b)
		}
		w.want = appendMapBlocks(w.want, in)
	}
	w.cache.push(len(w.want), func(i int) uint64 { return w.want[i] })
	return k
}

// appendMapBlocks adds the blocks that the block map in an inode points to and that the check will read.
func appendMapBlocks(want []uint64, in layout.Inode) []uint64 {
	p := in.Block()
	text := in.IsSymlink() && in.Size() >= layout.InodeBlockSize
	index := in.IsDir() && in.HasFlag(layout.FlagIndex)
	switch {
	case in.HasFlag(layout.FlagInlineData), !in.IsRegular() && !in.IsDir() && !text:
	case in.HasFlag(layout.FlagExtents):
		n := parseNode(p)
		if !n.ok() || n.entries == 0 {
			return want
		}
		if n.depth == 0 && (text || index) {
			return append(want, n.extent(0).pblk)
		}
		for i := 0; n.depth > 0 && i < n.entries; i++ {
			want = append(want, n.index(i).pblk)
		}
	default:
		if text || index {
			want = append(want, uint64(le.Uint32(p)))
		}
		for i := 12; i < 15; i++ {
			if b := le.Uint32(p[4*i:]); b != 0 {
				want = append(want, uint64(b))
			}
		}
	}
	return want
}

// usedInodes is the number of records at the start of a group's inode table that may be in use.
func (c *checker) usedInodes(i uint32) uint32 {
	if c.inodeUninit(i) {
		return 0
	}
	if unused := c.descs[i].ItableUnused(); c.geo.descCsum() {
		return c.geo.ipg - min(unused, c.geo.ipg)
	}
	return c.geo.ipg
}

// scanTables reads pieces of inode tables and hands out their records. It reads each piece while it works on the one
// before.
func (w *worker) scanTables(steps <-chan tableStep, fn func(w *worker, ino layout.Ino, rec []byte)) error {
	r, err := newTableReader(w.c)
	if err != nil {
		return err
	}
	defer r.close()
	for s := range steps {
		if err := r.submit(s); err != nil {
			return err
		}
		if r.inFlight() < readAhead {
			continue
		}
		if err := w.scanNext(r, fn); err != nil {
			return err
		}
	}
	for r.inFlight() > 0 {
		if err := w.scanNext(r, fn); err != nil {
			return err
		}
	}
	return nil
}

// scanNext waits for the oldest piece and hands out its records.
func (w *worker) scanNext(r *tableReader, fn func(w *worker, ino layout.Ino, rec []byte)) error {
	c, g := w.c, w.c.geo
	s, p, err := r.next()
	at := uint64(c.descs[s.group].InodeTable())
	if err != nil {
		c.rep.add(codeTableUnreadable, groupAt(s.group).block(-1, at))
		if !c.rep.hasErrors() {
			return fatalf("inode table of group %d: block %d: unreadable", s.group, at)
		}
		return errStop
	}
	for k := uint32(0); k < s.take && !c.over.raised(); {
		end := w.prefetch(p, k)
		for ; k < end; k++ {
			rec := p[int(k)*g.isize:][:g.isize:g.isize]
			if ino := layout.Ino(s.group*g.ipg + s.from + k + 1); !w.inBadBlock(ino, at, s.from+k) {
				fn(w, ino, rec)
			}
		}
		w.cache.pop()
	}
	return nil
}

// inBadBlock reports whether an inode's record lies in a bad block. If so, it marks the inode as in use.
func (w *worker) inBadBlock(ino layout.Ino, table uint64, index uint32) bool {
	c := w.c
	if !c.badBlocks.test(table + uint64(index)*uint64(c.geo.isize)>>c.geo.bits) {
		return false
	}
	c.inBadBlock.set(uint64(ino))
	c.inodes.set(uint64(ino))
	if ino == layout.BadBlocksIno {
		c.rep.add(codeBadBlocksInBad, inodeAt(ino))
	}
	return true
}
