package mkfs

import (
	"slices"
	"syscall"

	"ext4img/ext4/layout"
)

// A run is the blocks from start up to, not including, end.
type run struct{ start, end uint64 }

func (r run) len() uint64 { return r.end - r.start }

// space knows which blocks are in use. It does not store the superblocks and descriptors at the start of groups: they
// follow from the geometry.
type space struct {
	g    *layout.Geometry
	used map[layout.Group][]run // in order, with gaps between them, within the group
}

func newSpace(g *layout.Geometry) *space {
	return &space{g, make(map[layout.Group][]run)}
}

func (s *space) ratio() uint64 { return uint64(s.g.ClusterRatio) }

// overhead is the superblock and the descriptors of a group.
func (s *space) overhead(group layout.Group) run {
	first := uint64(s.g.GroupFirst(group))
	return run{first, first + uint64(s.g.OverheadInGroup(group))}
}

// hit returns the first used run that overlaps the n blocks from p on.
func (s *space) hit(p, n uint64) (run, bool) {
	end := min(p+n, s.g.Blocks)
	if p >= end {
		return run{}, false
	}
	last, _ := s.g.GroupOf(layout.Pblk(end - 1))
	for group, _ := s.g.GroupOf(layout.Pblk(p)); group <= last; group++ {
		if r := s.overhead(group); r.start < end && r.end > p {
			return r, true
		}
		for _, r := range s.used[group] {
			if r.start < end && r.end > p {
				return r, true
			}
		}
	}
	return run{}, false
}

// take marks the blocks of r as used.
func (s *space) take(r run) {
	for r.start < r.end {
		group, _ := s.g.GroupOf(layout.Pblk(r.start))
		end := min(r.end, uint64(s.g.GroupFirst(group))+uint64(s.g.GroupBlocks(group)))
		s.insert(group, run{r.start, end})
		r.start = end
	}
}

func (s *space) insert(group layout.Group, r run) {
	runs := s.used[group]
	i, _ := slices.BinarySearchFunc(runs, r, func(a, b run) int {
		if a.start < b.start {
			return -1
		}
		return 1
	})
	switch {
	case i > 0 && runs[i-1].end == r.start:
		runs[i-1].end = r.end
	case i < len(runs) && runs[i].start == r.end:
		runs[i].start = r.start
	default:
		runs = slices.Insert(runs, i, r)
	}
	s.used[group] = runs
}

// contiguous finds and takes n contiguous free blocks that start within [goal, limit).
func (s *space) contiguous(goal, limit, n uint64) (uint64, bool) {
	for p := goal; p+n <= limit; {
		r, ok := s.hit(p, n)
		if !ok {
			s.take(run{p, p + n})
			return p, true
		}
		p = r.end
	}
	return 0, false
}

// data takes n blocks for a file, from goal on and then from the start of the device, in as few runs as the free
// space there allows. With bigalloc, runs begin at clusters and own their last cluster as a whole.
func (s *space) data(goal, n uint64) ([]run, error) {
	var runs []run
	first := s.roundUp(uint64(s.g.FirstDataBlock))
	p, wrapped := s.roundUp(goal), false
	for n > 0 {
		if p >= s.g.Blocks {
			if wrapped {
				return nil, syscall.ENOSPC
			}
			p, wrapped = first, true
			continue
		}
		length := min(s.roundUp(n), s.g.Blocks-p)
		if r, ok := s.hit(p, length); ok {
			if r.start < p+s.ratio() {
				p = s.roundUp(r.end)
				continue
			}
			length = (r.start - p) &^ (s.ratio() - 1)
		}
		s.take(run{p, p + length})
		runs = append(runs, run{p, p + min(n, length)})
		n -= min(n, length)
		p += length
	}
	return runs, nil
}

func (s *space) roundUp(n uint64) uint64 { return (n + s.ratio() - 1) &^ (s.ratio() - 1) }

// bitmap sets in p, a block, the bits of a group's used clusters, and those after the group's end. It returns the
// number of used clusters.
func (s *space) bitmap(group layout.Group, p []byte) uint32 {
	first, n := uint64(s.g.GroupFirst(group)), s.g.GroupClusters(group)
	clear(p)
	var used uint32
	mark := func(r run) {
		for c := (r.start - first) / s.ratio(); c < (r.end-first+s.ratio()-1)/s.ratio(); c++ {
			if bit := byte(1) << (c % 8); p[c/8]&bit == 0 {
				p[c/8] |= bit
				used++
			}
		}
	}
	mark(s.overhead(group))
	for _, r := range s.used[group] {
		mark(r)
	}
	setBits(p, n, uint32(8*len(p)))
	return used
}

// setBits sets the bits from up to to of p.
func setBits(p []byte, from, to uint32) {
	for ; from < to && from%8 != 0; from++ {
		p[from/8] |= 1 << (from % 8)
	}
	for ; from+8 <= to; from += 8 {
		p[from/8] = 0xFF
	}
	for ; from < to; from++ {
		p[from/8] |= 1 << (from % 8)
	}
}
