package check

// An image made by somebody with bad intentions maps the same blocks thousands of times, in a few kilobytes. Each claim
// beyond the first is an error in itself; so the work that goes into them is bounded, and the check stops there.

// The cost of what is done again, in words of a bitmap. The bound leaves room for every cluster to be claimed eight times.
const (
	againNode  = 512 // a node or map block walked
	againDir   = 64  // a directory block looked at
	againBound = 1 << 22
)

// again pays for work on blocks that were claimed before. It is false once there was too much of it.
func (c *checker) again(cost uint64) bool {
	if c.toil.Add(cost) <= againBound+c.geo.clusters()/8 {
		return true
	}
	c.giveUp()
	return false
}

// giveUp ends the check: more is claimed than there can be.
func (c *checker) giveUp() {
	if c.over.raise() {
		c.rep.add(codeClaimedOften, superAt())
	}
}

// worthwhile tells whether to walk a node or map block before it is claimed.
func (c *checker) worthwhile(b uint64) bool {
	return !c.over.raised() && (!c.blocks.test(c.geo.cluster(b)) || c.again(againNode))
}
