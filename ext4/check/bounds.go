package check

// A malicious image of a few kilobytes can map the same blocks thousands of times. Each claim of a block beyond the
// first is an error in itself. So the work spent on such claims is bounded, and the check ends at the bound.

// The cost of looking at blocks again, in words of a bitmap. The bound leaves room for eight claims of every cluster.
const (
	againNode  = 512 // a node or map block walked
	againDir   = 64  // a directory block looked at
	againBound = 1 << 22
)

// again adds the cost of work on blocks that were claimed before. It returns false once the bound is passed.
func (c *checker) again(cost uint64) bool {
	if c.toil.Add(cost) <= againBound+c.geo.clusters()/8 {
		return true
	}
	c.giveUp()
	return false
}

// giveUp ends the check, because more blocks are claimed than an honest image can claim.
func (c *checker) giveUp() {
	if c.over.raise() {
		c.rep.add(codeClaimedOften, superAt())
	}
}

// worthwhile reports whether to walk a node or map block. It is called before the block is claimed.
func (c *checker) worthwhile(b uint64) bool {
	return !c.over.raised() && (!c.blocks.test(c.geo.cluster(b)) || c.again(againNode))
}
