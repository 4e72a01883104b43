package main

import "fmt"

func mapClasses() []class {
	return []class{
		{"extent.header", extentHeader},
		{"extent.start", extentStart},
		{"extent.length", extentLength},
		{"extent.logical", extentLogical},
		{"extent.overlap", extentOverlap},
		{"extent.order", extentOrder},
		{"extent.index", extentIndex},
		{"extent.node", extentNode},
		{"indirect.pointer", indirectPointer},
	}
}

func extentHeader(m *mutation) string {
	n := pick(m, m.nodes...)
	if inner := m.inner(); m.r.IntN(2) == 0 && len(inner) > 0 {
		n = pick(m, inner...)
	}
	if n.at == 0 {
		return ""
	}
	m.ino = n.ino
	what := m.set(n.at, pick(m, field{"eh_magic", 0, 16}, field{"eh_entries", 2, 16}, field{"eh_max", 4, 16}, field{"eh_depth", 6, 16}))
	m.sealNode(n)
	return fmt.Sprintf("inode %d: node in block %d: %s", n.ino, n.block, what)
}

// inner gives the nodes outside inodes.
func (m *mutation) inner() (out []node) {
	for _, n := range m.nodes {
		if n.block != 0 {
			out = append(out, n)
		}
	}
	return out
}

// extent draws an extent; ok is false where there is none.
func (m *mutation) extent(list []entry, more int) (e entry, ok bool) {
	for range 50 {
		if e = pick(m, list...); e.off != 0 && e.i+more < e.n {
			m.ino = e.ino
			return e, true
		}
	}
	return e, false
}

func (m *mutation) sealEntry(e entry, what string) string {
	m.sealNode(e.node)
	return fmt.Sprintf("inode %d: entry %d of %d: %s", e.ino, e.i, e.n, what)
}

func extentStart(m *mutation) string {
	e, ok := m.extent(m.leaves, 0)
	if !ok {
		return ""
	}
	if m.r.IntN(6) == 0 {
		return m.sealEntry(e, "ee_start_hi "+m.change16(e.off+6, pick[uint64](m, 1, 0x8000, 0xFFFF)))
	}
	return m.sealEntry(e, "ee_start_lo "+m.change32(e.off+8, uint64(m.number())))
}

func extentLength(m *mutation) string {
	e, ok := m.extent(m.leaves, 0)
	if !ok {
		return ""
	}
	old := uint64(le.Uint16(m.b[e.off+4:]))
	return m.sealEntry(e, "ee_len "+m.change16(e.off+4, pick(m, 0, 0x8000, 0xFFFF, old+1, old+1+m.r.Uint64N(300), old-1, old^0x8000)))
}

func extentLogical(m *mutation) string {
	e, ok := m.extent(m.leaves, 0)
	if !ok {
		return ""
	}
	old := uint64(le.Uint32(m.b[e.off:]))
	return m.sealEntry(e, "ee_block "+m.change32(e.off, pick(m, 0, old+1, old-1, old+m.r.Uint64N(4000), 0xFFFFFFFF, 0xFFFFFFFE, old^0x80000000)))
}

// extentOverlap makes an extent so long that it runs into the one after it.
func extentOverlap(m *mutation) string {
	e, ok := m.extent(m.leaves, 1)
	if !ok {
		return ""
	}
	unwritten := uint64(0)
	if le.Uint16(m.b[e.off+4:]) > 0x8000 {
		unwritten = 0x8000
	}
	n := uint64(le.Uint32(m.b[e.off+12:])-le.Uint32(m.b[e.off:])) + 1 + m.r.Uint64N(3)
	if n > 0x7FFF {
		return ""
	}
	return m.sealEntry(e, "ee_len into the next "+m.change16(e.off+4, n|unwritten))
}

func extentOrder(m *mutation) string {
	e, ok := m.extent(append(m.leaves[:len(m.leaves):len(m.leaves)], m.indexes...), 1)
	if !ok {
		return ""
	}
	a, b := m.b[e.off:e.off+12], m.b[e.off+12:e.off+24]
	first := string(a)
	if m.r.IntN(2) == 0 {
		copy(a, b)
		copy(b, first)
		return m.sealEntry(e, "changed places with the next")
	}
	copy(b, first)
	return m.sealEntry(e, "copied over the next")
}

func extentIndex(m *mutation) string {
	e, ok := m.extent(m.indexes, 0)
	if !ok {
		return ""
	}
	if m.r.IntN(3) == 0 {
		return m.sealEntry(e, "ei_block "+m.change32(e.off, m.other(uint64(le.Uint32(m.b[e.off:])), 32)))
	}
	return m.sealEntry(e, "ei_leaf_lo "+m.change32(e.off+4, uint64(m.number())))
}

// extentNode makes a node zeros, or that of another file.
func extentNode(m *mutation) string {
	inner := m.inner()
	if len(inner) == 0 {
		return ""
	}
	n, from := pick(m, inner...), pick(m, inner...)
	m.ino = n.ino
	p := m.b[n.at : n.at+m.g.BlockSize]
	if from.ino == n.ino && m.r.IntN(2) == 0 {
		clear(p)
		return fmt.Sprintf("inode %d: node in block %d: zeros", n.ino, n.block)
	}
	copy(p, m.b[from.at:from.at+m.g.BlockSize])
	m.sealNode(n)
	return fmt.Sprintf("inode %d: node in block %d: that of inode %d, block %d", n.ino, n.block, from.ino, from.block)
}

func indirectPointer(m *mutation) string {
	p := pick(m, m.pointers...)
	if p.off == 0 {
		return ""
	}
	m.ino = p.ino
	what := m.change32(p.off, uint64(m.number()))
	if p.inInode {
		m.sealInode(p.ino)
	}
	return fmt.Sprintf("inode %d: pointer %s", p.ino, what)
}
