package ext4

import (
	"errors"
	"sync"
	"syscall"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// reservePool bounds the pool in clusters, as the kernel bounds its own (s_resv_clusters): 2% of what is free, at most
// 4096 clusters.
const reservePool = 4096

// reserve sets blocks aside at submission for the tree blocks that a conversion's split may need, so that the
// conversion cannot run out of space. It holds a pool from the start, so that a write into preallocated blocks
// succeeds also when everything else has been allocated.
type reserve struct {
	mu    sync.Mutex
	pool  uint64 // clusters set aside and not promised
	limit uint64 // what the pool grows back to
}

// fill sets the pool aside.
func (r *reserve) fill(space *group.Space, v journal.Reader, g *layout.Geometry) error {
	free, err := space.FreeCount(v)
	if err != nil {
		return err
	}
	n := min(free/uint64(g.ClusterRatio)/50, reservePool)
	if err := space.Reserve(v, n); err != nil {
		return err
	}
	r.pool, r.limit = n, n
	return nil
}

// take promises n clusters, one for each block of a tree: from the pool, else from what is free.
func (r *reserve) take(space *group.Space, v journal.Reader, n uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pool < n {
		if err := space.Reserve(v, n); err != nil {
			if errors.Is(err, syscall.ENOSPC) {
				err = syscall.ENOSPC
			}
			return err
		}
		r.pool += n
	}
	r.pool -= n
	return nil
}

// release takes a promise back. What conversions used of it is gone from the free count; the pool grows back only to
// its bound.
func (r *reserve) release(space *group.Space, n uint64) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pool += n
	if r.pool > r.limit {
		space.Release(r.pool - r.limit)
		r.pool = r.limit
	}
}
