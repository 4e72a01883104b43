package group

import (
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// maxLoads bounds the groups whose bitmaps one search reads in order to find a longer run. The search for the
// smallest acceptable run has no bound.
const maxLoads = 256

// find looks for a free run. For a large request it first looks for one with room for the requests that will follow.
// Then it looks for any run of the full length wanted: in the group of the goal from the goal on, then in the groups
// that follow. Then it looks for half the length, and so on down to the smallest acceptable one.
//
// Groups that cannot have such a run are passed over without reading their bitmaps: by their bound if it is known, or
// else by the count in their descriptor.
func (s *Space) find(h *journal.Handle, w want) (layout.Group, span, error) {
	w.windows = true
	if x, err := s.near(h, w); err != nil || x.n > 0 {
		return w.group, x, err
	}
	level := max(w.min, min(w.max, s.g.ClustersPerGroup))
	for _, room := range s.rooms(w, level) {
		if group, x, err := s.findLevel(h, w, room); err != nil || x.n > 0 {
			return s.found(h, w, group, x, err)
		}
	}
	w.windows = false
	for ; ; level = max(w.min, level/2) {
		if group, x, err := s.findLevel(h, w, level); err != nil || x.n > 0 {
			return s.found(h, w, group, x, err)
		}
		if level == w.min {
			return 0, span{}, s.noSpace(w)
		}
	}
}

// rooms returns the lengths of runs to look for: at best with room for what may follow a large piece, at least level.
func (s *Space) rooms(w want, level uint32) (out []uint32) {
	if w.max >= s.clusters(largePiece) {
		for n := min(16*min(level, 1<<20), s.clusters(longWindow), s.g.ClustersPerGroup); n > level; n /= 2 {
			out = append(out, n)
		}
	}
	return append(out, level)
}

// found cuts a run to the length wanted, or extends it into the next group.
func (s *Space) found(h *journal.Handle, w want, group layout.Group, x span, err error) (layout.Group, span, error) {
	if err != nil {
		return 0, span{}, err
	}
	x.n = min(x.n, w.max)
	more, err := s.extend(h, w, group, x)
	return group, span{x.at, x.n + more}, err
}

// near serves a large request at its goal, if there the full length is free, or half an empty group. Half a group is
// as good as the full length elsewhere, because the next request will continue where this one ends. A superblock may
// lie between.
func (s *Space) near(h *journal.Handle, w want) (span, error) {
	if w.groups == 0 || w.max < s.clusters(largePiece) {
		return span{}, nil
	}
	half := s.g.ClustersPerGroup / 2
	d, err := s.Desc(h, w.group)
	if err != nil || d.FreeClusters() < min(half, w.max) {
		return span{}, err
	}
	b, err := s.usable(h, w, w.group)
	if err != nil {
		return span{}, err
	}
	size := s.size(w.group, blocks)
	at := w.at
	if w.max > half {
		at = nextZero(b, w.at, min(size, w.at+half/4))
	}
	x := span{at, min(nextOne(b, at, size)-at, w.max)}
	if x.n == 0 {
		return span{}, nil
	}
	more, err := s.extend(h, w, w.group, x)
	if x.n += more; err != nil || x.n < max(w.min, min(half, w.max)) {
		return span{}, err
	}
	return x, nil
}

// findLevel looks for a run of at least level clusters. It returns an empty span if there is none.
func (s *Space) findLevel(h *journal.Handle, w want, level uint32) (layout.Group, span, error) {
	loads := 0
	for i := layout.Group(0); i < w.groups; i++ {
		group := w.group + i
		if group >= w.groups || group < i {
			group -= w.groups
		}
		if s.bound[group] != unknown && uint32(s.bound[group]) < level {
			continue
		}
		if loads > maxLoads && level > w.min {
			break
		}
		x, loaded, err := s.search(h, w, group, level)
		if err != nil || x.n > 0 {
			return group, x, err
		}
		if loaded {
			loads++
		}
	}
	return 0, span{}, nil
}

// search looks in one group, first at the goal. If it finds nothing, it returns an empty span and learns the group's
// bound.
func (s *Space) search(h *journal.Handle, w want, group layout.Group, level uint32) (x span, loaded bool, err error) {
	d, err := s.Desc(h, group)
	if err != nil {
		return span{}, false, err
	}
	if n := d.FreeClusters(); n < level {
		s.bound[group] = int32(n)
		return span{}, false, nil
	}
	b, err := s.usable(h, w, group)
	if err != nil {
		return span{}, false, err
	}
	size := s.size(group, blocks)
	if group == w.group && w.goal != 0 {
		if n := nextOne(b, w.at, size) - w.at; n >= level {
			return span{w.at, n}, true, nil
		}
	}
	x, ok := bestRun(b, 0, size, level)
	if !ok {
		if !w.windows || !s.windowed(group) {
			s.bound[group] = int32(x.n)
		}
		return span{}, true, nil
	}
	return x, true, nil
}

// usable is a group's bitmap in which resting clusters count as used, and windows too if w respects them. It must not
// be changed.
func (s *Space) usable(h *journal.Handle, w want, group layout.Group) ([]byte, error) {
	b, err := s.bitmap(h, group, blocks)
	if err != nil {
		return nil, err
	}
	rests := s.rest.in(group)
	if rests {
		b = append([]byte(nil), b...)
		s.rest.mark(b, group)
	}
	if w.windows {
		b = s.markWindows(b, rests, group, w.goal)
	}
	return b, nil
}

// extend returns by how many clusters a run continues in the next group, if it is shorter than wanted and reaches the
// end of its own group.
func (s *Space) extend(h *journal.Handle, w want, group layout.Group, x span) (uint32, error) {
	if x.n >= w.max || x.at+x.n < s.g.ClustersPerGroup || group+1 >= w.groups {
		return 0, nil
	}
	d, err := s.Desc(h, group+1)
	if err != nil || d.FreeClusters() == 0 {
		return 0, err
	}
	b, err := s.usable(h, w, group+1)
	if err != nil {
		return 0, err
	}
	return nextOne(b, 0, min(w.max-x.n, s.size(group+1, blocks))), nil
}
