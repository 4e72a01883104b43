package check

import (
	"math/bits"
	"sort"
	"sync"

	"ext4img/ext4/layout"
)

// The kinds of quota.
const (
	quotaUser = iota
	quotaGroup
	quotaProject
	quotaKinds
)

// A quotaCount is what one user, group or project uses.
type quotaCount struct{ space, inodes uint64 }

// quotaUsage counts the usage of all users, groups and projects, if there are quota files to compare it with.
type quotaUsage struct {
	c    *checker
	mu   sync.Mutex
	used [quotaKinds]map[uint32]quotaCount // nil: not counted
}

// quotaFile is the inode of the quota file of a kind, or 0.
func (c *checker) quotaFile(kind int) layout.Ino {
	return layout.Ino([quotaKinds]uint32{c.sb.UsrQuotaInum(), c.sb.GrpQuotaInum(), c.sb.PrjQuotaInum()}[kind])
}

func newQuotaUsage(c *checker) *quotaUsage {
	q := &quotaUsage{c: c}
	for kind := range quotaKinds {
		if c.geo.hasRO(layout.ROCompatQuota) && c.quotaFile(kind) != 0 {
			q.used[kind] = map[uint32]quotaCount{}
		}
	}
	return q
}

// add adds an inode, after its blocks were counted, to the usage of its owners.
func (q *quotaUsage) add(k *inodeCheck) {
	c, n := q.c, uint32(k.ino)
	if !c.geo.hasRO(layout.ROCompatQuota) || n == c.sb.PrjQuotaInum() || n == c.sb.OrphanFileInum() || k.flag(layout.FlagEAInode) ||
		k.ino != layout.RootIno && n < c.geo.firstIno {
		return
	}
	space := k.clusters << c.geo.ratioBits << c.geo.bits
	inodes := k.eaInodes + k.eaBlkInos + 1
	ids := [quotaKinds]uint32{k.in.UID(), k.in.GID(), k.in.ProjectID()}
	q.mu.Lock()
	defer q.mu.Unlock()
	for kind, used := range q.used {
		if used == nil {
			continue
		}
		u := used[ids[kind]]
		u.space, u.inodes = u.space+space, u.inodes+inodes
		used[ids[kind]] = u
	}
}

// checkQuotaFiles compares the quota files with the usage counted.
func (c *checker) checkQuotaFiles() {
	for kind := range quotaKinds {
		if c.quota.used[kind] != nil {
			c.checkQuotaFile(kind)
		}
	}
}

// A quotaReader reads one quota file.
type quotaReader struct {
	c    *checker
	kind int
	ino  layout.Ino
	runs []fileRun
	size uint64
	head layout.QuotaHeader
	seen map[quotaNode]bool
	has  map[uint32]bool // identifiers with an entry
}

// A quotaNode is a block at a depth of the tree. Because of a wrong reference, one block may appear at several
// depths, where its bytes have different meanings.
type quotaNode struct {
	block uint32
	depth int
}

func (c *checker) checkQuotaFile(kind int) {
	q := &quotaReader{c: c, kind: kind, ino: c.quotaFile(kind), seen: map[quotaNode]bool{}, has: map[uint32]bool{}}
	place := inodeAt(q.ino)
	rec, err := c.readInode(q.ino)
	if err != nil {
		c.rep.add(codeQuotaFile, place.say("%v", err))
		return
	}
	in := layout.Inode(rec)
	q.size = in.Size()
	q.runs, _ = c.fileRuns(rec, (q.size+uint64(c.geo.bs)-1)>>c.geo.bits)
	p, ok := q.block(0)
	if !ok {
		c.rep.add(codeQuotaFile, place.say("unreadable"))
		return
	}
	h := layout.QuotaHeader(p)
	magic := layout.QuotaMagics[kind]
	if h.Magic() == bits.ReverseBytes32(magic) || h.Version() != layout.QuotaVersion {
		c.rep.add(codeQuotaFile, place.say("magic number %#x, version %d", h.Magic(), h.Version()))
		return
	}
	if h.Magic() != magic {
		c.rep.add(codeQuotaMagic, place.values(hex(h.Magic()), hex(magic)))
	}
	q.head = h
	if n := h.Blocks(); q.size > maxQuotaSize || uint64(n) > q.blocks() || max(h.FreeBlock(), h.FreeEntry()) >= n {
		c.rep.add(codeQuotaFile, place.say("%d bytes, %d blocks, %d and %d are free", q.size, n, h.FreeBlock(), h.FreeEntry()))
		return
	}
	q.tree(layout.QuotaTreeRoot, 0)
	for id, u := range c.quota.used[kind] {
		if !q.has[id] {
			c.rep.add(codeQuotaUsage, place.say("no entry for %d, which uses %d bytes and %d inodes", id, u.space, u.inodes))
		}
	}
}

// maxQuotaSize is the largest size of a quota file that e2fsck accepts.
const maxQuotaSize = 1 << 31

// blocks is the number of blocks in the quota file; the last one may be partial.
func (q *quotaReader) blocks() uint64 {
	return (q.size + layout.QuotaBlockSize - 1) / layout.QuotaBlockSize
}

// block reads a block of the quota file.
func (q *quotaReader) block(n uint32) ([]byte, bool) {
	g := q.c.geo
	off := uint64(n) * layout.QuotaBlockSize
	if off >= q.size {
		return nil, false
	}
	l := off >> g.bits
	i := sort.Search(len(q.runs), func(i int) bool { return q.runs[i].lblk > l }) - 1
	if i < 0 || l >= q.runs[i].lblk+q.runs[i].n {
		return nil, false
	}
	p := make([]byte, layout.QuotaBlockSize)
	err := q.c.readAt(p, int64(q.runs[i].pblk+l-q.runs[i].lblk)<<g.bits+int64(off&uint64(g.bs-1)))
	return p, err == nil
}

// tree checks a block of the tree and everything below it.
func (q *quotaReader) tree(n uint32, depth int) {
	at := quotaNode{n, depth}
	if n >= q.head.Blocks() {
		q.c.rep.add(codeQuotaFile, inodeAt(q.ino).say("reference to block %d of %d", n, q.head.Blocks()))
		return
	}
	p, ok := q.block(n)
	if !ok || q.seen[at] {
		return
	}
	q.seen[at] = true
	if depth == layout.QuotaTreeDepth {
		for _, e := range layout.QuotaEntries(p) {
			if e.Used() {
				q.entry(e)
			}
		}
		return
	}
	for i := range layout.QuotaRefs {
		if ref := le.Uint32(p[4*i:]); ref != 0 {
			q.tree(ref, depth+1)
		}
	}
}

// entry compares the entry of one identifier with its usage.
func (q *quotaReader) entry(e layout.QuotaEntry) {
	u := q.c.quota.used[q.kind][e.ID()]
	q.has[e.ID()] = true
	if e.Space() != u.space || e.Inodes() != u.inodes {
		q.c.rep.add(codeQuotaUsage, inodeAt(q.ino).say("%d: %d bytes and %d inodes, want %d and %d", e.ID(), e.Space(), e.Inodes(), u.space, u.inodes))
	}
}
