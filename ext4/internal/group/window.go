package group

import "ext4img/ext4/layout"

// A file that is written piece by piece, at the same time as others, would be fragmented: the next piece of another
// file takes the blocks after its last piece. So the blocks after a large piece are kept clear for a while, in memory
// only: a window. A request whose goal is the start of a window continues there, and its next window is twice as
// long. Other requests use the window only if they would be fragmented otherwise. The kernel's preallocation does the
// same.

const (
	largePiece = 512 << 10 // bytes: smaller requests leave no window
	longWindow = 16 << 20  // bytes: no window is longer
	maxWindows = 16        // if there are more, the oldest is given up
)

// clusters is the number of clusters in that many bytes, at least one.
func (s *Space) clusters(bytes int) uint32 {
	return uint32(max(1, bytes/(s.g.BlockSize*int(s.g.ClusterRatio))))
}

// A window is n clusters from block p on, in one group.
type window struct {
	p layout.Pblk
	n uint32
}

// keepClear makes the clusters after a span that was taken a window, if the request was large. It removes the window
// that began at the goal.
func (s *Space) keepClear(w want, group layout.Group, x span) {
	longest := s.clusters(longWindow)
	n := min(4*min(w.max, longest), longest/2)
	for i, old := range s.windows {
		if old.p == w.goal {
			n = max(n, old.n)
			s.windows = append(s.windows[:i], s.windows[i+1:]...)
			break
		}
	}
	end := x.at + x.n
	if end >= s.g.ClustersPerGroup {
		group, end = group+1, end-s.g.ClustersPerGroup
	}
	if w.max < s.clusters(largePiece) || group >= s.g.Groups {
		return
	}
	size := s.size(group, blocks)
	if end >= size {
		return
	}
	if len(s.windows) == maxWindows {
		s.windows = append(s.windows[:0], s.windows[1:]...)
	}
	s.windows = append(s.windows, window{s.block(group, end), min(2*n, longest, size-end)})
}

// markWindows sets the bits of the windows in a group that do not begin at the goal. It changes a copy of the bitmap;
// copied says that b is a copy already.
func (s *Space) markWindows(b []byte, copied bool, group layout.Group, goal layout.Pblk) []byte {
	for _, w := range s.windows {
		g, at := s.cluster(w.p)
		if g != group || w.p == goal {
			continue
		}
		if !copied {
			b, copied = append([]byte(nil), b...), true
		}
		setBits(b, at, w.n)
	}
	return b
}

// windowed tells whether a group has a window.
func (s *Space) windowed(group layout.Group) bool {
	for _, w := range s.windows {
		if g, _ := s.cluster(w.p); g == group {
			return true
		}
	}
	return false
}
