package stress

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"

	"ext4img/ext4"
)

// sideJobs change the file while requests are in flight: what xfstests generic/299 and generic/300 do.
type sideJobs struct {
	mu    sync.Mutex // of tick
	jobs  []*sideJob
	wg    sync.WaitGroup
	count atomic.Int64 // runs of all
}

type sideJob struct {
	every, n int // run once in every ticks
	due      chan struct{}
	run      func() error
	err      error
}

// newSideJobs starts those that the options ask for; nil for none.
func newSideJobs(o Options, f *ext4.File, size int64) *sideJobs {
	s := &sideJobs{}
	rnd := &lockedRand{rnd: rand.New(rand.NewPCG(o.Seed, 1))}
	add := func(every int, run func() error) {
		if every > 0 {
			s.jobs = append(s.jobs, &sideJob{every: every, due: make(chan struct{}, 1), run: run})
		}
	}
	add(o.TruncateEvery, func() error { return f.Truncate(rnd.unit(size)) })
	add(o.PunchEvery, func() error {
		return f.Fallocate(ext4.FallocPunchHole|ext4.FallocKeepSize, rnd.unit(size), stampUnit+rnd.unit(size/16))
	})
	add(o.FallocateEvery, func() error { return f.Fallocate(0, rnd.unit(size), stampUnit+rnd.unit(size/16)) })
	if len(s.jobs) == 0 {
		return nil
	}
	for _, j := range s.jobs {
		s.wg.Go(func() { s.work(j) })
	}
	return s
}

// work runs a job each time it is due. A full file system is no failure: these jobs are to fill it.
func (s *sideJobs) work(j *sideJob) {
	for range j.due {
		if err := j.run(); err != nil && !errors.Is(err, syscall.ENOSPC) && j.err == nil {
			j.err = err
		}
		s.count.Add(1)
	}
}

// tick counts n requests. A job that still runs when it is due again is not queued twice.
func (s *sideJobs) tick(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.n += n; j.n >= j.every {
			j.n = 0
			select {
			case j.due <- struct{}{}:
			default:
			}
		}
	}
}

// stop waits for the jobs and returns their first error.
func (s *sideJobs) stop() error {
	for _, j := range s.jobs {
		close(j.due)
	}
	s.wg.Wait()
	for _, j := range s.jobs {
		if j.err != nil {
			return j.err
		}
	}
	return nil
}

// lockedRand is used by several jobs.
type lockedRand struct {
	mu  sync.Mutex
	rnd *rand.Rand
}

// unit draws a multiple of stampUnit below n.
func (r *lockedRand) unit(n int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rnd.Int64N(max(n/stampUnit, 1)) * stampUnit
}
