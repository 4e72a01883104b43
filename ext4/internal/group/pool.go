package group

import (
	"fmt"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A write into preallocated blocks may split an extent when it is converted, and the split may need blocks for the
// tree. So ordinary allocation leaves a fixed number of clusters free, the pool: only splits may take them. They stay
// free when the file system is full, over any number of sessions. The pool has no place on disk: it is a lower bound
// of the free count, as in the kernel (s_resv_clusters). While writes are in flight, the clusters that their splits
// may need are promised to them: nothing else may take those.
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

// PoolSize is the size of a file system's pool in clusters. A file system without extents has nothing to split, and
// no pool.
func PoolSize(g *layout.Geometry) uint64 {
	if g.Incompat&layout.IncompatExtents == 0 {
		return 0
	}
	return min(g.Blocks/uint64(g.ClusterRatio)/poolShare, poolMost)
}

// SetPool begins to keep a pool of n clusters. It is called after recovery, which may have to allocate blocks below
// the pool: they were allocated when the pool was kept.
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

// Promise sets n clusters aside, in memory only: an Alloc with a reach below Promised leaves them free. It returns
// syscall.ENOSPC if so many are not free in addition to those promised before.
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

// Release takes back a promise of n clusters, used or not. Used clusters are no longer in the free count.
func (s *Space) Release(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.promised -= min(n, s.promised)
}

// FreeCount is the number of blocks that ordinary allocation can still take, including those that rest.
func (s *Space) FreeCount(r journal.Reader) (uint64, error) {
	super, err := s.Super(r)
	if err != nil {
		return 0, err
	}
	n, kept := super.FreeBlocksCount(), s.kept(Ordinary)*uint64(s.g.ClusterRatio)
	return n - min(n, kept), nil
}
