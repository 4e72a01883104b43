package check

import (
	"iter"

	"ext4img/ext4/layout"
)

// A fileRun maps n blocks of a file.
type fileRun struct{ lblk, pblk, n uint64 }

// fileRuns returns where the first n blocks of a file are. whole is false if one of them is a hole or an invalid
// block.
func (c *checker) fileRuns(rec []byte, n uint64) (runs []fileRun, whole bool) {
	g, next := c.geo, uint64(0)
	newWorker(c).eachMapped(rec, func(lblk, pblk, count uint64) bool {
		if next >= n || lblk != next || count == 0 || !g.valid(pblk) || pblk+count > g.blocks {
			return false
		}
		next += count
		if k := len(runs) - 1; k >= 0 && runs[k].pblk+runs[k].n == pblk {
			runs[k].n += count
		} else {
			runs = append(runs, fileRun{lblk, pblk, count})
		}
		return true
	})
	if next < n || len(runs) == 0 {
		return runs, next >= n
	}
	last := &runs[len(runs)-1]
	last.n = n - last.lblk
	return runs, true
}

// eachBlock goes through the blocks of runs.
func eachBlock(runs []fileRun) iter.Seq2[int64, uint64] {
	return func(yield func(int64, uint64) bool) {
		for _, r := range runs {
			for i := range r.n {
				if !yield(int64(r.lblk+i), r.pblk+i) {
					return
				}
			}
		}
	}
}

// eachMapped calls fn for each run that a block map maps, in the order of its entries, until fn returns false.
func (w *worker) eachMapped(rec []byte, fn func(lblk, pblk, n uint64) bool) bool {
	in := layout.Inode(rec)
	if in.HasFlag(layout.FlagExtents) {
		return w.eachExtent(parseNode(in.Block()), fn)
	}
	per := uint64(w.c.geo.bs / 4)
	next, span := uint64(0), uint64(1)
	for i := range 15 {
		if i >= 12 {
			span *= per
		}
		if !w.eachPointer(uint64(le.Uint32(in.Block()[4*i:])), max(0, i-11), next, span, fn) {
			return false
		}
		next += span
	}
	return true
}

func (w *worker) eachExtent(n node, fn func(lblk, pblk, n uint64) bool) bool {
	if !n.ok() || n.depth > maxTreeDepth {
		return false
	}
	for i := range n.entries {
		if n.depth == 0 {
			if x := n.extent(i); !fn(x.lblk, x.pblk, x.len) {
				return false
			}
			continue
		}
		x := n.index(i)
		if !w.c.geo.valid(x.pblk) {
			return false
		}
		p, err := w.cache.read(x.pblk)
		if err != nil || parseNode(p).depth != n.depth-1 || !w.eachExtent(parseNode(p), fn) {
			return false
		}
	}
	return true
}

func (w *worker) eachPointer(b uint64, depth int, lblk, span uint64, fn func(lblk, pblk, n uint64) bool) bool {
	switch {
	case b == 0:
		return true
	case depth == 0:
		return fn(lblk, b, 1)
	case !w.c.geo.valid(b):
		return false
	}
	p, err := w.cache.read(b)
	if err != nil {
		return false
	}
	span /= uint64(len(p) / 4)
	for i := 0; i < len(p); i += 4 {
		if !w.eachPointer(uint64(le.Uint32(p[i:])), depth-1, lblk+uint64(i/4)*span, span, fn) {
			return false
		}
	}
	return true
}
