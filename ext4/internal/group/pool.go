package group

import (
	"fmt"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A write into preallocated blocks splits an extent when it is converted, and that can take blocks for the tree. So a
// fixed number of clusters, the pool, is not for ordinary allocation: so many stay free when a file system is full, over
// any number of sessions, and only splits take of them. Nothing on disk says where they are: it is a floor under the
// free count, as in the kernel (s_resv_clusters). While writes are in flight, what their splits may need is promised to
// them: it stays free for them alone.
//
//	0 ..... promised ..... pool ............................... free count
//	splits that have       other      ordinary allocation
//	a promise              splits

// A Reach says how far down an allocation may take the free count.
type Reach int

const (
	Ordinary Reach = iota // neither into the pool nor into what is promised
	Pool                  // into the pool: for splits of extents that have their blocks
	Promised              // to the last cluster: for splits that Promise has set clusters aside for
)

// The pool is a fiftieth of all clusters, at most 4096 (ext4_calculate_resv_clusters).
const (
	poolShare = 50
	poolMost  = 4096
)

// PoolSize is how many clusters the pool of a file system has. One without extents has nothing to split, and no pool.
func PoolSize(g *layout.Geometry) uint64 {
	if g.Incompat&layout.IncompatExtents == 0 {
		return 0
	}
	return min(g.Blocks/uint64(g.ClusterRatio)/poolShare, poolMost)
}

// SetPool begins to keep a pool of n clusters. Recovery comes before: it allocates what was allocated when the pool was
// kept.
func (s *Space) SetPool(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pool = n
}

// kept is how many clusters an allocation must leave free.
func (s *Space) kept(r Reach) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r {
	case Promised:
		return 0
	case Pool:
		return s.promised
	}
	return max(s.pool, s.promised)
}

// Promise sets n clusters aside, in memory only: an Alloc with less than the reach Promised leaves so many free.
// syscall.ENOSPC if so many are not free beside those that were promised before.
func (s *Space) Promise(r journal.Reader, n uint64) error {
	super, err := s.Super(r)
	if err != nil {
		return err
	}
	total := super.FreeBlocksCount() / uint64(s.g.ClusterRatio)
	s.mu.Lock()
	defer s.mu.Unlock()
	if total < s.promised || total-s.promised < n {
		ratio := uint64(s.g.ClusterRatio)
		return fmt.Errorf("%d blocks free, %d wanted and %d promised to other writes: %w", total*ratio, n*ratio, s.promised*ratio, syscall.ENOSPC)
	}
	s.promised += n
	return nil
}

// Release takes a promise of n clusters back, whether they were used or not: what was used is gone from the free count.
func (s *Space) Release(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.promised -= min(n, s.promised)
}

// FreeCount is the number of blocks that ordinary allocation can still take, those that rest among them.
func (s *Space) FreeCount(r journal.Reader) (uint64, error) {
	super, err := s.Super(r)
	if err != nil {
		return 0, err
	}
	n, kept := super.FreeBlocksCount(), s.kept(Ordinary)*uint64(s.g.ClusterRatio)
	return n - min(n, kept), nil
}
