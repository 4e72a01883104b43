package group

import (
	"fmt"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// unknown is the bound of a group whose bitmap was not searched since a bit in it changed.
const unknown = -1

// Alloc takes between Min and Max contiguous free blocks and returns the first and their number. It prefers a full
// run, as near the goal as possible. With bigalloc the result is whole clusters, and may be more than Max. The run
// ends at the latest at the end of the group after the one in which it begins. The error is syscall.ENOSPC if no such
// run is free, and ErrResting if there may be one after the next commit.
func (s *Space) Alloc(h *journal.Handle, q Request) (layout.Pblk, uint32, error) {
	w := s.want(q)
	s.expire()
	if err := s.afford(h, q, &w); err != nil {
		return 0, 0, err
	}
	group, x, err := s.find(h, w)
	if err != nil {
		return 0, 0, err
	}
	p := s.block(group, x.at)
	if err := s.take(h, group, x); err != nil {
		return 0, 0, wrap(p, uint64(x.n)*uint64(s.g.ClusterRatio), "take", err)
	}
	s.keepClear(w, group, x)
	n := uint64(x.n) * uint64(s.g.ClusterRatio)
	return p, uint32(min(n, s.g.Blocks-uint64(p))), nil
}

// A want is a request in clusters, with the place of its goal.
type want struct {
	goal     layout.Pblk // 0 is none
	group    layout.Group
	at       uint32
	min, max uint32
	groups   layout.Group // only groups below this
	windows  bool         // take nothing from windows of other requests
}

func (s *Space) want(q Request) want {
	up := func(n uint32) uint32 {
		return uint32((uint64(n) + uint64(s.g.ClusterRatio) - 1) / uint64(s.g.ClusterRatio))
	}
	w := want{min: max(1, up(q.Min)), groups: s.g.Groups}
	w.max = max(w.min, up(q.Max))
	if q.Below > 0 && uint64(q.Below) < s.g.Blocks {
		w.groups = 0
		if q.Below > layout.Pblk(s.g.FirstDataBlock) {
			w.groups, _ = s.g.GroupOf(q.Below) // that group is partly beyond the limit
		}
	}
	if s.g.ContainsBlocks(q.Goal, 1) {
		w.goal = q.Goal
		w.group, w.at = s.cluster(q.Goal)
	}
	if w.group >= w.groups {
		w.group, w.at, w.goal = 0, 0, 0
	}
	return w
}

// expire forgets the resting space of transactions that have committed meanwhile.
func (s *Space) expire() {
	if !s.rest.empty() {
		s.rest.expire(s.j.Committed(), func(g layout.Group) { s.bound[g] = unknown })
	}
}

// afford lowers w.max to the number of clusters that may be taken in total, without those set aside for others.
func (s *Space) afford(r journal.Reader, q Request, w *want) error {
	super, err := s.Super(r)
	if err != nil {
		return err
	}
	ratio := uint64(s.g.ClusterRatio)
	total, kept := super.FreeBlocksCount()/ratio, s.kept(q.Reach)
	if !q.Root {
		kept += super.ReservedBlocksCount() / ratio
	}
	switch {
	case total == 0:
		return ErrNoBlocks
	case total < kept || total-kept < uint64(w.min):
		return fmt.Errorf("%d blocks free, %d wanted and %d set aside: %w", total*ratio, uint64(w.min)*ratio, kept*ratio, syscall.ENOSPC)
	}
	w.max = uint32(min(uint64(w.max), total-kept))
	return nil
}

// noSpace is the error if no run was found.
func (s *Space) noSpace(w want) error {
	switch {
	case !s.rest.empty():
		return ErrResting
	case w.min > 1:
		return fmt.Errorf("no %d blocks are free in a row: %w", uint64(w.min)*uint64(s.g.ClusterRatio), syscall.ENOSPC)
	case w.groups < s.g.Groups:
		return fmt.Errorf("no block is free in the first %d groups, beyond which this file cannot reach: %w", w.groups, syscall.ENOSPC)
	}
	return ErrNoBlocks
}

// take marks a span as used. It begins in a group and may end in the next.
func (s *Space) take(h *journal.Handle, group layout.Group, x span) error {
	for x.n > 0 {
		part := span{x.at, min(x.n, s.size(group, blocks)-x.at)}
		if err := s.notMeta(h, group, part); err != nil {
			return err
		}
		if _, err := s.flip(h, group, part, blocks, true); err != nil {
			return err
		}
		s.taken.add(h.TID(), group, part, s.g.BlockSize)
		g := group
		h.AtEnd(func(ok bool) {
			s.taken = resting{}
			if !ok {
				s.bound[g] = unknown
			}
		})
		x.n -= part.n
		x.at = 0
		group++
	}
	return nil
}

// Free gives back n blocks from p on, in any number of groups. With bigalloc they must be whole clusters. They can be
// allocated again once the handle's transaction has committed. It returns layout.ErrCorrupt if a block is already
// free, or belongs to the metadata of a group.
func (s *Space) Free(h *journal.Handle, p layout.Pblk, n uint64) error {
	ratio := uint64(s.g.ClusterRatio)
	if n == 0 || !s.g.ContainsBlocks(p, n) {
		return layout.Corruptf("free blocks %d+%d of %d", p, n, s.g.Blocks)
	}
	whole := uint64(p)+n == s.g.Blocks || n%ratio == 0
	if _, at := s.g.GroupOf(p); uint64(at)%ratio != 0 || !whole {
		return layout.Corruptf("free blocks %d+%d: not whole clusters of %d blocks", p, n, ratio)
	}
	s.expire()
	for left := (n + ratio - 1) / ratio; left > 0; {
		group, at := s.cluster(p)
		x := span{at, uint32(min(left, uint64(s.size(group, blocks)-at)))}
		if err := s.freeSpan(h, group, x); err != nil {
			return wrap(p, n, "free", err)
		}
		left -= uint64(x.n)
		p += layout.Pblk(uint64(x.n) * ratio)
	}
	return nil
}

func (s *Space) freeSpan(h *journal.Handle, group layout.Group, x span) error {
	if err := s.notMeta(h, group, x); err != nil {
		return err
	}
	d, err := s.Desc(h, group)
	if err != nil {
		return err
	}
	if s.isUninit(d, blocks) {
		return s.flipError(group, x.at, blocks, false)
	}
	if _, err := s.flip(h, group, x, blocks, false); err != nil {
		return err
	}
	s.letRest(h, group, x)
	return nil
}

// letRest makes a freed span rest, except for clusters that the same handle took before: they had no owner when the
// handle began. Besides, a handle that takes and frees the same clusters changes nothing, and its transaction may not
// commit for a long time.
func (s *Space) letRest(h *journal.Handle, group layout.Group, x span) {
	if !s.taken.in(group) {
		s.restUntilCommit(h, group, x)
		return
	}
	mine := make([]byte, s.g.BlockSize)
	s.taken.mark(mine, group)
	for at, end := x.at, x.at+x.n; at < end; {
		next := nextZero(mine, at, end)
		if next > at {
			s.taken.remove(h.TID(), group, span{at, next - at}, s.g.BlockSize)
			s.bound[group] = unknown
		} else {
			next = nextOne(mine, at, end)
			s.restUntilCommit(h, group, span{at, next - at})
		}
		at = next
	}
}

func (s *Space) restUntilCommit(h *journal.Handle, group layout.Group, x span) {
	tid := h.TID()
	s.rest.add(tid, group, x, s.g.BlockSize)
	h.AtEnd(func(ok bool) {
		if !ok {
			s.rest.remove(tid, group, x, s.g.BlockSize)
			s.bound[group] = unknown
		}
	})
}
