package check

import (
	"sync"

	"ext4img/ext4/layout"
)

// xattrBlocks holds a record of each xattr block, so that a shared block is checked once and its users are counted.
type xattrBlocks struct {
	mu sync.Mutex
	m  map[uint64]*xattrBlock
}

// An xattrBlock is a block of attributes.
type xattrBlock struct {
	once     sync.Once
	refcount uint32 // h_refcount
	users    uint32
	blocks   uint64 // file system blocks that each user is charged for
	inodes   uint64
}

func (x *xattrBlocks) init() { x.m = map[uint64]*xattrBlock{} }

// get finds or makes the record of a block and counts one more user.
func (x *xattrBlocks) get(b uint64) *xattrBlock {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.m[b]
	if r == nil {
		r = &xattrBlock{}
		x.m[b] = r
	}
	r.users++
	return r
}

// finish compares the number of users of each block with h_refcount.
func (x *xattrBlocks) finish(c *checker) {
	for b, r := range x.m {
		if r.users != r.refcount {
			c.rep.add(codeXattrRefcount, superAt().block(-1, b).values(r.refcount, r.users))
		}
	}
}

// checkXattrBlock checks the xattr block of an inode. It reports whether the block counts in the inode's blocks.
func (k *inodeCheck) checkXattrBlock() bool {
	c, g := k.c, k.g
	b := k.fileACL()
	if b == 0 {
		return false
	}
	if !g.hasCompat(layout.CompatExtAttr) || !g.valid(b) {
		c.suspect.set(uint64(k.ino))
		return false
	}
	r := c.xattrBlocks.get(b)
	r.once.Do(func() { k.checkNewXattrBlock(b, r) })
	k.eaBlkCount, k.eaBlkInos = r.blocks, r.inodes
	return true
}

// checkNewXattrBlock checks an xattr block when its first user is found.
func (k *inodeCheck) checkNewXattrBlock(b uint64, r *xattrBlock) {
	c, g := k.c, k.g
	place := k.at().block(-1, b)
	r.blocks = uint64(g.ratio)
	c.claim(b, 1)
	p, err := k.w.cache.read(b)
	if err != nil {
		c.rep.add(codeXattrBlockUnreadable, place)
		return
	}
	r.refcount = le.Uint32(p[4:])
	if le.Uint32(p) != xattrMagic {
		c.rep.add(codeXattrBlockMagic, place.values(hex(le.Uint32(p)), hex(uint32(xattrMagic))))
	}
	if le.Uint32(p[8:]) != 1 {
		c.rep.add(codeXattrBlockBlocks, place.values(le.Uint32(p[8:]), 1))
	}
	taken := regions{size: g.bs}
	taken.take(0, xattrHeaderSize)
	at := xattrHeaderSize
	for {
		e, ok := xattrAt(p, at)
		if !ok {
			break
		}
		if !k.checkBlockEntry(p, e, r, &taken, place) {
			break
		}
		at += e.size()
	}
	if !taken.take(at, 4) {
		c.rep.add(codeXattrCollision, place)
	}
	if !g.xattrBlockChecksumOK(b, p) {
		c.rep.add(codeXattrBlockChecksum, place)
	}
	k.countEARefs(p[xattrHeaderSize:])
}

// checkBlockEntry checks one attribute of a block. It returns false if the list cannot be followed further.
func (k *inodeCheck) checkBlockEntry(p []byte, e xattrEntry, r *xattrBlock, taken *regions, place at) bool {
	c := k.c
	if !taken.take(e.at, e.size()) {
		c.rep.add(codeXattrCollision, place)
		return false
	}
	switch {
	case e.nameIndex == 0:
		c.rep.add(codeXattrName, place)
		return false
	case !e.classKnown():
		c.rep.add(codeXattrClass, place.values(e.nameIndex, nil))
	}
	if e.valueIno != 0 {
		blocks, code := k.checkValueInode(e)
		if code != "" {
			c.rep.add(code, place)
		}
		r.blocks += blocks
		r.inodes++
		return true
	}
	if e.valueOff+e.valueSize > len(p) {
		c.rep.add(codeXattrValue, place)
		return false
	}
	if e.valueSize > 0 && !taken.take(e.valueOff, pad4(e.valueSize)) {
		c.rep.add(codeXattrCollision, place)
	}
	if !e.hashOK(p[e.valueOff:][:e.valueSize]) {
		c.rep.add(codeXattrHash, place.values(hex(e.hash), hex(e.hashOf(p[e.valueOff:][:e.valueSize], false))))
	}
	return true
}
