package check

import "ext4img/ext4/layout"

// checkMMP checks the block of multi-mount protection.
func (c *checker) checkMMP() error {
	g := c.geo
	if !g.hasIncompat(layout.IncompatMMP) {
		return nil
	}
	at := c.sb.MMPBlock()
	if at <= g.first || at >= g.blocks {
		c.rep.add(codeMMPPlace, superAt().values(at, nil))
		return nil
	}
	p := make([]byte, layout.MMPSize)
	if c.readAt(p, int64(at)<<g.bits) != nil {
		c.rep.add(codeMMPPlace, superAt().block(-1, at).say("unreadable"))
		return nil
	}
	m := layout.MMP(p)
	switch {
	case m.Magic() != layout.MMPMagic:
		c.rep.add(codeMMPMagic, superAt().block(-1, at).values(hex(m.Magic()), hex(uint32(layout.MMPMagic))))
	case g.csum() && m.Checksum() != m.ComputeChecksum(g.csumSeed):
		c.rep.add(codeMMPChecksum, superAt().block(-1, at).values(hex(m.Checksum()), hex(m.ComputeChecksum(g.csumSeed))))
	case m.Sequence() != layout.MMPClean:
		c.rep.add(codeMMPInUse, superAt().block(-1, at).say("by node %q, device %q", m.NodeName(), m.DeviceName()))
	}
	return nil
}
